"""The ops that a function builds beside an imported graph, written for a graph that is kept.

What is another one at each call becomes a placeholder: only strings whose place tells that
they are scalars. Whatever else varies is not known, and then nothing is written.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _source
from unslow.source.bindings import FUNCTIONS
from unslow.source.module import UNKNOWN

if TYPE_CHECKING:
    from unslow.source.module import Module

_ROOMS = frozenset({"audio", "image", "io", "linalg", "math", "nn", "signal", "strings"})

_TOP_NAMES = """
    abs add argmax argmin cast clip_by_value concat constant convert_to_tensor divide expand_dims
    gather greater identity less maximum minimum multiply one_hot ones_like pad rank reduce_max
    reduce_mean reduce_min reduce_sum reshape reverse shape sigmoid size slice split sqrt square
    squeeze stack subtract tile transpose unstack where zeros_like
"""
_TOP = frozenset(_TOP_NAMES.split())

_NOT_REPEATABLE = (
    "candidate",
    "distorted",
    "dropout",
    "fractional",
    "nce",
    "random",
    "sample",
    "write",
)
"""Parts of names of ops that draw random numbers, or that do more than compute."""

_SCALAR_STRINGS = {
    "read_file": "filename",
    "decode_and_crop_jpeg": "contents",
    "decode_bmp": "contents",
    "decode_gif": "contents",
    "decode_image": "contents",
    "decode_jpeg": "contents",
    "decode_png": "contents",
}
"""Functions whose first argument is one string, and its keyword."""

_OPERATOR_NAMES = "add addv2 sub mul truediv realdiv floordiv floormod mod pow neg"
_OPERATORS = frozenset(_OPERATOR_NAMES.split())

_STRING_CALLS = frozenset({"str", "os.fspath", "os.path.join"})


class _UnsureError(Exception):
    """A statement is not one that may be built once for all calls."""


@dataclass
class Built:
    """The ops of a function, as they stand in a graph that is kept.

    `tensors`: of each name the placeholders it depends on; `placeholders`: name and the
    expression that is fed there; `lines`: the statements with the placeholders put in;
    `ops`: the names that ops made here may begin with, in small letters.
    """

    tensors: dict[str, frozenset[str]] = field(default_factory=dict)
    placeholders: dict[str, ast.expr] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    ops: set[str] = field(default_factory=set)

    def may_name(self, fetched: str) -> bool:
        """Whether a tensor's name may speak of an op that is made here."""
        root = re.sub(r"_\d+$", "", re.split("[/:]", fetched.lower())[0]).replace("_", "")
        return any(root in op or op in root for op in self.ops)


def built(
    module: Module, statements: list[ast.stmt], function: ast.FunctionDef, taken: set[str]
) -> Built | None:
    """The statements of a function that build its ops; `None` where one is not plain.

    `taken`: names that placeholders must not have.
    """
    if not all(module.editable(each) for each in statements):
        return None
    builder = _Builder(module, function, statements, taken)
    try:
        for statement in statements:
            builder.add(statement)
    except _UnsureError:
        return None
    return builder.built


def comments_above(module: Module, statement: ast.stmt) -> list[str]:
    """The lines of comments right above a statement, indented like it."""
    line = _source.first_line(statement) - 1
    above: list[str] = []
    while line > 0 and module.source.lines[line - 1].startswith(module.indent(statement) + "#"):
        above.insert(0, module.source.lines[line - 1])
        line -= 1
    return above


class _Builder:
    def __init__(
        self,
        module: Module,
        function: ast.FunctionDef,
        statements: list[ast.stmt],
        taken: set[str],
    ) -> None:
        self.module, self.function, self.statements = module, function, statements
        self.taken = taken
        self.built = Built()
        self._swaps: list[tuple[ast.expr, str]] = []

    def add(self, statement: ast.stmt) -> None:
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            raise _UnsureError
        target = statement.targets[0]
        if not isinstance(target, ast.Name) or self.module.home(target) is not self.function:
            raise _UnsureError
        text = _source.lines_of(self.module, statement, statement)
        if text is None:
            raise _UnsureError
        self._swaps = []
        needs = self._tensor(statement.value)
        if needs is None:
            raise _UnsureError
        lines = text.split("\n")
        indent = len(self.module.indent(statement))
        for node, name in sorted(self._swaps, key=lambda swap: self.module.start(swap[0]))[::-1]:
            (first, start), (last, end) = self.module.start(node), self.module.end(node)
            if first != last:
                raise _UnsureError
            row = first - statement.lineno
            line = lines[row]
            lines[row] = line[: start - 1 - indent] + name + line[end - 1 - indent :]
        above = comments_above(self.module, statement)
        self.built.lines += [line.strip() for line in above] + lines
        self.built.tensors[target.id] = needs

    def _tensor(self, node: ast.expr) -> frozenset[str] | None:
        """The placeholders that a tensor depends on; `None` where this is no tensor."""
        if isinstance(node, ast.Name):
            if self.module.home(node) is not self.function:
                return None
            return self.built.tensors.get(node.id)
        if isinstance(node, ast.BinOp):
            sides = (self._tensor(node.left), self._tensor(node.right))
            if sides == (None, None):
                return None
            self.built.ops |= _OPERATORS
            return self._part(node.left) | self._part(node.right)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            self.built.ops |= _OPERATORS
            return self._tensor(node.operand)
        if isinstance(node, ast.Subscript):
            self.built.ops.add("stridedslice")
            return None if not self._constant(node.slice) else self._tensor(node.value)
        if isinstance(node, ast.Call):
            return self._call(node)
        return None

    def _call(self, node: ast.Call) -> frozenset[str]:
        name = self._building(node)
        if name is None or self.module.has_star(node):
            raise _UnsureError
        self.built.ops.add(name.replace("_", ""))
        needs: frozenset[str] = frozenset()
        keyword = _SCALAR_STRINGS.get(name)
        text = None if keyword is None else self.module.argument(node, 0, keyword)
        for each in _source.arguments(node):
            if each is text and not self._is_fixed(each):
                needs |= self._placeholder(each, keyword or name)
            else:
                needs |= self._part(each)
        if any(each.arg == "name" for each in node.keywords):
            raise _UnsureError
        return needs

    def _building(self, node: ast.Call) -> str | None:
        """The last part of the name of a function that makes a tensor, the same each time."""
        parts = (self.module.qualified(node.func) or "").split(".")
        if parts[0] != "tensorflow" or any(word in parts[-1] for word in _NOT_REPEATABLE):
            return None
        if len(parts) == 2 and (parts[1] in _TOP or parts[1] in _SCALAR_STRINGS):
            return parts[1]
        if len(parts) == 3 and parts[1] in _ROOMS and self.module.value(node).kind == "tensor":
            return parts[2]
        return None

    def _part(self, node: ast.expr) -> frozenset[str]:
        """The placeholders that an operand depends on, which may be a constant, too."""
        if self._constant(node):
            value = self.module.constant(node)
            if isinstance(value, str):  # It may be what the op is to be called.
                self.built.ops.add(value.lower().replace("_", ""))
            return frozenset()
        if isinstance(node, (ast.List, ast.Tuple)):
            return frozenset().union(*(self._part(each) for each in node.elts))
        needs = self._tensor(node)
        if needs is None:
            raise _UnsureError
        return needs

    def _is_fixed(self, node: ast.expr) -> bool:
        """Whether an argument is a constant or comes from a tensor of this graph."""
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        return (
            self._constant(node)
            or bool(names & self.built.tensors.keys())
            or (isinstance(node, ast.Call) and self._building(node) is not None)
        )

    def _constant(self, node: ast.expr) -> bool:
        """Whether an expression is the same in every call, wherever it stands in the module."""
        if isinstance(node, ast.Attribute):
            # A dtype, or one of an enumeration: never a call.
            return (self.module.qualified(node) or "").startswith("tensorflow.")
        if isinstance(node, ast.Slice):
            bounds = (node.lower, node.upper, node.step)
            return all(self._constant(each) for each in bounds if each is not None)
        if isinstance(node, ast.Tuple) and node.elts:
            return all(self._constant(each) for each in node.elts)
        for name in ast.walk(node):
            if not isinstance(name, ast.Name):
                continue
            value = self.module.constant(name)
            if self.module.home(name) is not self.module.tree or isinstance(value, (list, dict)):
                return False
        return self.module.constant(node) is not UNKNOWN

    def _placeholder(self, node: ast.expr, keyword: str) -> frozenset[str]:
        """The placeholder for a string that is another one at each call."""
        if self.module.value(node).kind != "string" or not self._can_be_fed(node):
            raise _UnsureError
        same = ast.dump(node)
        held = self.built.placeholders.items()
        name = next((name for name, other in held if ast.dump(other) == same), None)
        if name is None:
            name = self._free("name" if keyword == "filename" else keyword)
            self.built.placeholders[name] = node
        self._swaps.append((node, name))
        return frozenset({name})

    def _free(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}_{number}", number + 1
        self.taken.add(name)
        return name

    def _can_be_fed(self, node: ast.expr) -> bool:
        """Whether an expression has no effects, and the same value where a session runs."""
        plain = (ast.Attribute, ast.Constant, ast.JoinedStr, ast.FormattedValue, ast.expr_context)
        for each in ast.walk(node):
            if isinstance(each, ast.Call):
                if each.keywords or self.module.qualified(each.func) not in _STRING_CALLS:
                    return False
            elif isinstance(each, ast.Name):
                if not self._is_steady(each):
                    return False
            elif not isinstance(each, (*plain, ast.BinOp, ast.operator)):
                return False
        return True

    def _is_steady(self, name: ast.Name) -> bool:
        """Whether a name has one value from before the ops are built to the function's end."""
        home = self.module.home(name)
        if home is None:  # A builtin.
            return True
        bindings = self.module.scopes[home][name.id]
        if len(bindings) != 1:
            return False
        if home is self.module.tree or bindings[0].kind == "parameter":
            return not isinstance(home, FUNCTIONS) or home is self.function
        node = bindings[0].node
        return (
            home is self.function
            and isinstance(node, ast.Assign)
            and node in self.function.body
            and node.lineno < self.statements[0].lineno
        )
