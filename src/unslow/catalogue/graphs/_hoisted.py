"""Ops that the rounds of a loop make for `session.run`, made once before the loop and fed."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _source, _values
from unslow.finding import Edit
from unslow.source.bindings import Binding, block_of

if TYPE_CHECKING:
    from unslow.source.module import Module

OF_ONE = _values.names(
    """
    abs argmax argmin cast ceil cos exp expand_dims floor identity image.adjust_brightness
    image.adjust_contrast image.adjust_gamma image.adjust_hue image.adjust_saturation
    image.convert_image_dtype image.flip_left_right image.flip_up_down image.grayscale_to_rgb
    image.per_image_standardization image.resize image.rgb_to_grayscale image.rot90 io.decode_bmp
    io.decode_gif io.decode_jpeg io.decode_png io.decode_raw io.read_file log math.reduce_max
    math.reduce_mean math.reduce_min math.reduce_sum math.square nn.relu nn.sigmoid nn.softmax
    read_file reduce_max reduce_mean reduce_min reduce_prod reduce_sum reshape reverse round shape
    sigmoid sign sin size sqrt square squeeze strings.length strings.lower strings.upper tanh tile
    transpose
    """
)
"""Functions whose first argument becomes a tensor of its own type, whatever the others are.

Those that take some types alone are left out: they cast an array, and refuse a tensor.
"""

OF_SEVERAL = _values.names("add divide matmul maximum minimum multiply pow subtract tensordot")
"""Functions in which an array takes the type of the others, so that a fed tensor may not fit."""

MAKES_CONSTANT = "tensorflow.constant"


class Unsure(Exception):
    """The ops of a loop cannot surely be made before it."""


class Hoist:
    """The ops of the runs in a loop, as they are made before the outermost loop around it."""

    def __init__(self, module: Module, inner: ast.AST) -> None:
        """`inner`: the loop that runs a session. Raises `Unsure` for loops that do not fit."""
        if not isinstance(inner, ast.For) or not module.editable(inner):
            raise Unsure
        self._module = module
        self._block = inner.body
        self._fors = [inner]
        for each in module.loops(inner):
            if not isinstance(each, ast.For) or not _is_plain(module, each, self._fors[-1]):
                break
            self._fors.append(each)
        self._outer = self._fors[-1]
        if not module.editable(self._outer):
            raise Unsure
        self._feeds: dict[str, tuple[str, str]] = {}
        self._moved: dict[ast.stmt, ast.Assign] = {}
        self._covered: list[ast.AST] = []
        self._lines: list[tuple[tuple[int, int], str]] = []
        self._edits: list[Edit] = []
        self._taken: set[str] = set()
        self._tensorflow, imports = module.imported("tensorflow")
        self._edits += imports

    def edits(self, runs: Iterable[ast.Call], ops: Iterable[ast.AST]) -> tuple[Edit, ...]:
        """The edits after which no round makes an op. Raises `Unsure` where one would."""
        module = self._module
        for run in runs:
            self._run(run)
        for op in ops:
            if not any(module.inside(op, each) for each in self._covered):
                raise Unsure
        for statement in self._moved.values():
            self._move(statement)
        lines = [*self._placeholders(), *(text for _, text in sorted(self._lines))]
        return (*self._edits, module.insert(self._outer, "\n".join(lines)))

    def _placeholders(self) -> Iterable[str]:
        for fed, arguments in self._feeds.values():
            yield f"{fed} = {self._tensorflow}.compat.v1.placeholder({arguments})"

    def _run(self, run: ast.Call) -> None:
        """Make what a run fetches before the loop, and feed it in the run."""
        module = self._module
        statement = module.statement(run)
        if not any(each is statement for each in self._block) or not module.editable(statement):
            raise Unsure
        if module.has_star(run) or not run.args:
            raise Unsure
        fetch = run.args[0]
        session = run.func.value if isinstance(run.func, ast.Attribute) else None
        if isinstance(session, ast.Name):
            self._bound_before(session)
        if not isinstance(fetch, (ast.BinOp, ast.Subscript)) and self._is_same(fetch):
            return
        if module.value(fetch).kind != "tensor":
            raise Unsure
        names = self._built(fetch, run)
        written = module.text(fetch)
        if not isinstance(fetch, ast.Name):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            whole = isinstance(statement, ast.Assign) and statement.value is run
            base = target.id if isinstance(target, ast.Name) and whole else ""
            tensor = self._free(f"{base}_tensor" if base else "fetched")
            text = self._rewritten(fetch, module.start(fetch), module.end(fetch))
            text = f"({text})" if "\n" in text else text
            self._lines.append((module.start(fetch), f"{tensor} = {text}"))
            self._covered.append(fetch)
            written = tensor
        before = module.text_between(module.end(run.func), module.start(fetch)).strip()
        given = module.argument(run, 1, "feed_dict")
        feed = ", ".join(f"{self._feeds[name][0]}: {name}" for name in names)
        if before != "(" or (names and given is not None and not isinstance(given, ast.Dict)):
            raise Unsure
        if names and isinstance(given, ast.Dict):
            line, column = module.start(given)
            more = ", " if given.keys else ""
            self._edits.append(module.edit((line, column + 1), (line, column + 1), feed + more))
        elif names:
            written += f", feed_dict={{{feed}}}"
        if written != module.text(fetch):
            self._edits.append(module.replace(fetch, written))

    def _is_same(self, expression: ast.expr) -> bool:
        return self._module.invariant(expression, self._outer)

    def _built(self, expression: ast.expr, run: ast.Call) -> list[str]:
        """The names that must be fed to an expression of ops."""
        module = self._module
        if self._is_same(expression):
            return []
        if isinstance(expression, ast.Name):
            return self._local(expression, run)
        if isinstance(expression, ast.BinOp):
            return self._all((expression.left, expression.right), run)
        if isinstance(expression, ast.UnaryOp) and isinstance(expression.op, ast.USub):
            return self._built(expression.operand, run)
        if isinstance(expression, ast.Subscript):
            if not self._is_same(expression.slice):
                raise Unsure
            return self._built(expression.value, run)
        if not isinstance(expression, ast.Call) or module.has_star(expression):
            raise Unsure
        name = module.qualified(expression.func) or ""
        rest = [*expression.args, *(each.value for each in expression.keywords)]
        if name in OF_SEVERAL or name == MAKES_CONSTANT:
            return self._all(rest, run)
        if name not in OF_ONE or not expression.args:
            raise Unsure
        if not all(self._is_same(each) for each in rest[1:]):
            raise Unsure
        first = rest[0]
        if isinstance(first, ast.Name) and not self._is_same(first):
            binding = self._only_binding(first)
            if not self._is_tensor(binding):
                return [self._feed(first, binding, run)]
        return self._built(first, run)

    def _all(self, expressions: Iterable[ast.expr], run: ast.Call) -> list[str]:
        found = [name for each in expressions for name in self._built(each, run)]
        return list(dict.fromkeys(found))

    def _is_tensor(self, binding: Binding) -> bool:
        return binding.value is not None and (
            binding.kind == "assign" and self._module.value(binding.value).kind == "tensor"
        )

    def _only_binding(self, name: ast.Name) -> Binding:
        binding = _source.only_binding(self._module, name)
        if binding is None or binding.path:
            raise Unsure
        if self._module.home(name) is not self._module.scope(self._outer):
            raise Unsure
        return binding

    def _before(self, binding: Binding, run: ast.Call) -> ast.Assign:
        """The plain assignment of a binding, in the block of a run and before it."""
        node = binding.node
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            raise Unsure
        if block_of(self._fors[0], node) is not self._block:
            raise Unsure
        if self._module.start(node) >= self._module.start(self._module.statement(run)):
            raise Unsure
        return node

    def _local(self, name: ast.Name, run: ast.Call) -> list[str]:
        """A tensor that the round binds to a name, for runs alone: its assignment moves."""
        binding = self._only_binding(name)
        if not self._is_tensor(binding) or binding.value is None:
            raise Unsure
        statement = self._before(binding, run)
        if not self._module.editable(statement) or _source.has_long_string(statement):
            raise Unsure
        names = self._built(binding.value, run)
        self._moved[statement] = statement
        self._covered.append(statement)
        return names

    def _move(self, statement: ast.Assign) -> None:
        module = self._module
        (target,) = statement.targets
        home = module.home(target) if isinstance(target, ast.Name) else None
        if not isinstance(target, ast.Name) or home is None:
            raise Unsure
        if len(module.scopes[home][target.id]) != 1:
            raise Unsure
        fetched = [run.args[0] for run in module.calls_of("run", "session") if run.args]
        inside = [*self._covered, *(each for each in fetched if isinstance(each, ast.Name))]
        for use in module.uses_of(target.id, home):
            if not any(module.inside(use, each) for each in inside):
                raise Unsure
            if self._outer not in module.ancestors(use):
                raise Unsure
        line = statement.end_lineno or statement.lineno
        end = (line, len(module.source.lines[line - 1].rstrip()) + 1)
        text = self._rewritten(statement, module.start(statement), end)
        self._lines.append((module.start(statement), text))
        self._edits.append(module.delete(statement))

    def _feed(self, name: ast.Name, binding: Binding, run: ast.Call) -> str:
        """Feed a name that another value is bound to in each round."""
        module = self._module
        if name.id in self._feeds:
            return name.id
        loop = next((each for each in self._fors if each is binding.node), None)
        if loop is None:
            self._before(binding, run)
        if module.value(name).kind == "string":
            arguments = f"{self._tensorflow}.string, ()"
        elif loop is not None:
            array = loop.iter
            if not isinstance(array, ast.Name) or not _values.is_array(module, array):
                raise Unsure
            self._bound_before(array)
            arguments = f"{array.id}.dtype, {array.id}.shape[1:]"
        else:
            tensor = self._fetched(binding)
            arguments = f"{tensor}.dtype, {tensor}.shape"
        for use in module.uses(name.id):
            parent = module.parent(use)
            if isinstance(parent, ast.Attribute) and (
                not isinstance(parent.ctx, ast.Load) or parent.attr == "resize"
            ):
                raise Unsure
        self._feeds[name.id] = (self._free(f"fed_{name.id}"), arguments)
        return name.id

    def _fetched(self, binding: Binding) -> str:
        """The name of the one tensor whose value a name has, as another run gave it."""
        module, value = self._module, binding.value
        if not isinstance(value, ast.Call) or not any(
            value is each for each in module.calls_of("run", "session")
        ):
            raise Unsure
        tensor = value.args[0] if value.args else None
        if not isinstance(tensor, ast.Name) or module.value(tensor).kind != "tensor":
            raise Unsure
        self._bound_before(tensor)
        if _values.rank(module, tensor) is None:
            raise Unsure
        return tensor.id

    def _bound_before(self, name: ast.Name) -> None:
        home = self._module.home(name)
        if home is None or isinstance(home, ast.ClassDef):
            raise Unsure
        for binding in self._module.scopes[home][name.id]:
            if self._module.inside(binding.node, self._outer):
                raise Unsure

    def _free(self, wanted: str) -> str:
        name = self._module.free_name(wanted)
        number = 2
        while name in self._taken:
            name, number = self._module.free_name(f"{wanted}_{number}"), number + 1
        self._taken.add(name)
        return name

    def _rewritten(self, node: ast.AST, start: tuple[int, int], end: tuple[int, int]) -> str:
        """What stands between two places, with the placeholders for the names that are fed."""
        module = self._module
        if _source.has_long_string(node):
            raise Unsure
        names = [n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in self._feeds]
        text, here = "", start
        for name in sorted(names, key=module.start):
            text += module.text_between(here, module.start(name)) + self._feeds[name.id][0]
            here = module.end(name)
        text += module.text_between(here, end)
        deeper = module.indent(self._block[0]).removeprefix(module.indent(self._outer))
        first, *others = text.split("\n")
        return "\n".join([first, *(each.removeprefix(deeper) for each in others)])


def _is_plain(module: Module, outer: ast.For, inner: ast.For) -> bool:
    """Whether a loop only repeats an inner one, with nothing of TensorFlow beside it."""
    rest = [each for each in outer.body if each is not inner]
    return len(rest) < len(outer.body) and not any(
        isinstance(node, ast.Call)
        and (
            (module.qualified(node.func) or "").startswith("tensorflow.")
            or module.value(node).kind in ("graph", "session")
        )
        for each in rest
        for node in ast.walk(each)
    )
