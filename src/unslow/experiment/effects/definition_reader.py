"""Reads one definition for what it does outside the process, and what it leads to."""

from __future__ import annotations

import ast
import contextlib
import functools
import operator
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, Protocol

from unslow.experiment.effects import outside, scopes
from unslow.experiment.effects.scopes import Instance, Known, Meaning
from unslow.experiment.effects.source_text import Definition

LONGEST_TEXT = 60
"""Characters of source that are quoted."""

_READING = re.compile(r"[btU]*r[btU]*([:|].*)?|c")
"""Modes of opening a file that write nothing to it. `c`: a map of it, copied where written."""


_REDIRECTS = (contextlib.redirect_stdout, contextlib.redirect_stderr)


class Follower(Protocol):
    """Whom a reader tells of what a definition refers to."""

    names: outside.Names

    def follow(self, thing: Any) -> str | None:
        """Look later at the user's code that `thing` may run; what it does itself, if bad."""

    def methods_named(self, name: str) -> None:
        """Look later at all methods of the user's with this name."""

    def is_users(self, thing: Any) -> bool:
        """Whether a function or a class is the user's own."""


class _Found(Exception):
    """Ends the reading of a function at its first effect."""

    def __init__(self, what: str, node: ast.AST) -> None:
        super().__init__(what)
        self.what = what
        self.node = node


class Reader(ast.NodeVisitor):
    """Reads one definition."""

    def __init__(
        self, search: Follower, function: FunctionType, owner: Known | None, definition: Definition
    ) -> None:
        self._search = search
        self._function = function
        self._definition = definition
        self._names = scopes.Names(function, definition, owner)

    def first(self) -> tuple[str, str] | None:
        """What the definition does outside the process and where, `None` if nothing is seen."""
        body = self._definition.body
        try:
            for node in body if isinstance(body, list) else [body]:
                self.visit(node)
        except _Found as found:
            line = getattr(found.node, "lineno", self._definition.lineno)
            text = " ".join(ast.unparse(found.node).split())
            if len(text) > LONGEST_TEXT:
                text = text[: LONGEST_TEXT - 1] + "…"
            return f"{found.what}: {text}", place_of(self._function, line)
        return None

    def _nested(self, node: ast.AST, outside_it: Sequence[ast.AST | None]) -> None:
        for each in outside_it:
            if each is not None:
                self.visit(each)
        self._names.enter(node)
        self.generic_visit(node)
        self._names.leave()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._nested(node, (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults))

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._nested(node, (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults))

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._nested(node, (*node.args.defaults, *node.args.kw_defaults))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._nested(node, (*node.decorator_list, *node.bases))

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._nested(node, ())

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp  # type: ignore[assignment]

    def visit_arguments(self, node: ast.arguments) -> None:
        """Defaults are read where the definition stands; annotations do nothing."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._refer(node, self._names.meaning(node))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        base = self._names.meaning(node.value)
        if not isinstance(node.ctx, ast.Load):
            self.visit(node.value)
            return
        getter = scopes.property_getter(base, node.attr)
        if getter is not None:
            owner = base if isinstance(base, Known) else None
            if self._search.follow(getter if owner is None else MethodType(getter, owner.value)):
                raise _Found("acts outside", node)
        meaning = scopes.member(base, node.attr)
        if meaning is None:
            if base is None or self._is_users_object(base):
                self._search.methods_named(node.attr)
            if not self._is_plain_base(node.value, base):
                self.visit(node.value)
            return
        self._refer(node, meaning)
        if not self._is_plain_base(node.value, base):
            self.visit(node.value)

    def _is_users_object(self, base: Meaning) -> bool:
        kind = base.kind if isinstance(base, Instance) else type(getattr(base, "value", None))
        return self._search.is_users(kind)

    def _is_plain_base(self, node: ast.expr, base: Meaning) -> bool:
        """Whether what stands before the dot is a name that does nothing by itself."""
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(base, Known):
            return False
        if isinstance(base.value, ModuleType):
            return True
        return self._search.is_users(type(base.value)) and isinstance(node, ast.Name)

    def _refer(self, node: ast.expr, meaning: Meaning) -> None:
        if isinstance(meaning, Known):
            kind = self._search.follow(meaning.value)
            if kind is not None:
                raise _Found(kind, node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.ctx, ast.Load):
            if self._is_in_namespace(node):
                self._refer(node, self._names.meaning(node))
        elif self._is_environment(node.value):
            raise _Found(outside.SETTING, node)
        elif self._keeps_changes(node.value):
            raise _Found(outside.FILE, node)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if self._keeps_changes(node.target):
            raise _Found(outside.FILE, node)
        self.generic_visit(node)

    def _is_in_namespace(self, node: ast.expr) -> bool:
        """Whether it is `globals()[name]` or the like: whatever has that name."""
        return isinstance(node, ast.Subscript) and self._names.is_namespace(node.value)

    def _keeps_changes(self, node: ast.expr) -> bool:
        """Whether what is stored in something goes to a file, as in that of a `np.memmap`."""
        while True:
            meaning = self._names.meaning(node)
            if isinstance(meaning, Known):
                return outside.keeps_changes(meaning.value)
            if not isinstance(node, (ast.Attribute, ast.Subscript)):
                return False
            node = node.value

    def _is_environment(self, node: ast.expr) -> bool:
        base = self._names.meaning(node)
        return isinstance(base, Known) and type(base.value).__name__ == "_Environ"

    def visit_Call(self, node: ast.Call) -> None:
        function = self._names.meaning(node.func)
        looked_at = self._known_call(node, function)
        for each in (*node.args, *(keyword.value for keyword in node.keywords)):
            if isinstance(each, ast.Attribute) and self._names.meaning(each) is None:
                self._unknown_method(each, each.attr, outside.METHODS, each)
        if isinstance(node.func, ast.Call):
            self._called_by_name(node.func)
        if function is None and self._is_in_namespace(node.func):
            raise _Found(outside.UNKNOWN, node)
        self._changed_by(node, function)
        if not looked_at:
            if isinstance(node.func, ast.Attribute) and self._method_call(
                node, node.func, function
            ):
                self.visit(node.func.value)
            else:
                self._visit_called(node)
        for each in node.args:
            self.visit(each)
        for keyword in node.keywords:
            self.visit(keyword.value)

    def _known_call(self, node: ast.Call, function: Meaning) -> bool:
        """Judge a call by its arguments where that is how it is known; whether it was."""
        if not isinstance(function, Known):
            return False
        names = self._search.names
        opener = names.opener(function.value)
        if opener is not None:
            if not self._only_reads(node, *opener):
                raise _Found(outside.FILE, node)
            return True
        target = names.saver(function.value)
        if target is not None:
            if not (self._in_memory(node, target) or self._gives_text(node, function, target)):
                raise _Found(outside.FILE, node)
            return True
        if function.value is print:
            self._printed(node)
            return True
        if function.value is functools.partial and node.args:
            first = self._names.meaning(node.args[0])
            if isinstance(first, Known) and first.value is print:
                self._printed(node)
        if any(function.value is each for each in _REDIRECTS):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if not all(_is_none(each) or self._is_stream(each) for each in given):
                raise _Found(outside.FILE, node)
        if function.value is operator.methodcaller or function.value is operator.attrgetter:
            self._method_by_name(node)
        if getattr(function.value, "__name__", "") in ("print", "print_v2"):
            for keyword in node.keywords:
                if keyword.arg == "output_stream" and not self._is_stream(keyword.value):
                    raise _Found(outside.FILE, node)
        return False

    def _printed(self, node: ast.Call) -> None:
        for keyword in node.keywords:
            usual = _is_none(keyword.value) or self._is_stream(keyword.value)
            if keyword.arg == "file" and not usual:
                raise _Found(outside.FILE, node)

    def _method_by_name(self, node: ast.Call) -> None:
        """`operator.methodcaller(name)`: a method of what it will be given."""
        for each in node.args[:1]:
            name = each.value if isinstance(each, ast.Constant) else None
            if not isinstance(name, str):
                raise _Found(outside.UNKNOWN, node)
            self._search.methods_named(name)
            if name in outside.METHODS:
                raise _Found(outside.METHODS[name], node)

    def _changed_by(self, node: ast.Call, function: Meaning) -> None:
        """Judge what a call changes in place: its `out`, or the array whose method it is."""
        changed = [keyword.value for keyword in node.keywords if keyword.arg == "out"]
        if isinstance(function, Known) and self._search.names.changes_first(function.value):
            changed += node.args[:1]
        elif isinstance(node.func, ast.Attribute) and node.func.attr in outside.MEMMAP_METHODS:
            changed.append(node.func.value)
        if any(self._keeps_changes(each) for each in changed):
            raise _Found(outside.FILE, node)

    def _only_reads(self, node: ast.Call, position: int, default: str) -> bool:
        mode: ast.expr | None = node.args[position] if len(node.args) > position else None
        for keyword in node.keywords:
            if keyword.arg == "mode":
                mode = keyword.value
        if any(isinstance(each, ast.Starred) for each in node.args) or any(
            keyword.arg is None for keyword in node.keywords
        ):
            return False
        value: Any = default
        if mode is not None:
            meaning = self._names.meaning(mode)
            value = meaning.value if isinstance(meaning, Known) else None
        return isinstance(value, str) and _READING.fullmatch(value) is not None

    def _target(self, node: ast.Call, position: int) -> ast.expr | None:
        if len(node.args) > position:
            return node.args[position]
        wanted = ("file", "fp", "fname", "stream")
        return next((each.value for each in node.keywords if each.arg in wanted), None)

    def _in_memory(self, node: ast.Call, position: int) -> bool:
        target = self._target(node, position)
        return target is not None and self._is_stream(target)

    def _gives_text(self, node: ast.Call, function: Known, position: int) -> bool:
        """Whether it returns what it would write, as YAML's does that has no target."""
        module = getattr(function.value, "__module__", "")
        return module.startswith("yaml") and self._target(node, position) is None

    def _is_buffer(self, node: ast.expr) -> bool:
        """Whether an expression is a buffer in memory."""
        meaning = self._names.meaning(node)
        if isinstance(meaning, Instance):
            return issubclass(meaning.kind, outside.IN_MEMORY)
        return isinstance(meaning, Known) and isinstance(meaning.value, outside.IN_MEMORY)

    def _is_stream(self, node: ast.expr) -> bool:
        """Whether an expression is a buffer in memory, or the program's own output."""
        meaning = self._names.meaning(node)
        if isinstance(node, ast.Attribute) and node.attr == "buffer":
            return self._is_stream(node.value)
        return self._is_buffer(node) or (
            isinstance(meaning, Known) and outside.is_output(meaning.value)
        )

    def _visit_called(self, node: ast.Call) -> None:
        try:
            self.visit(node.func)
        except _Found as found:
            if found.node is node.func:
                raise _Found(found.what, node) from found
            raise

    def _called_by_name(self, node: ast.Call) -> None:
        """`getattr(thing, name)(…)`: what has that name, if it is written down."""
        function = self._names.meaning(node.func)
        if not (isinstance(function, Known) and function.value is getattr):
            return
        name = node.args[1] if len(node.args) > 1 else None
        if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
            raise _Found(outside.UNKNOWN, node)
        attribute = ast.copy_location(ast.Attribute(node.args[0], name.value, ast.Load()), node)
        if self._names.meaning(attribute) is None:
            self._unknown_method(attribute, name.value, outside.METHODS, node)
        self.visit(attribute)

    def _method_call(self, node: ast.Call, func: ast.Attribute, function: Meaning) -> bool:
        """Judge a method by its name where it is not known; whether it is known to be harmless."""
        if self._is_environment(func.value):
            if func.attr not in ("get", "items", "keys", "values", "copy"):
                raise _Found(outside.SETTING, node)
            return True
        if self._is_stream(func.value) or any(self._is_buffer(each) for each in node.args[:1]):
            return True
        if self._has_target(node, func.attr) and not self._is_users_method(function):
            self._unknown_method(func, func.attr, {func.attr: outside.FILE}, node)
        if function is not None:
            return False
        if func.attr == "open" and not self._opens_to_read(node):
            raise _Found(outside.FILE, node)
        self._unknown_method(func, func.attr, outside.METHODS, node)
        return False

    def _has_target(self, node: ast.Call, name: str) -> bool:
        """Whether a method is given what it would write to."""
        named = outside.ONLY_TARGET.get(name) or outside.WITH_TARGET.get(name)
        if named is None:
            return False
        for keyword in node.keywords:
            if keyword.arg == named:
                return not _is_none(keyword.value) and not self._is_stream(keyword.value)
        if name in outside.WITH_TARGET:
            return bool(node.args)
        return len(node.args) == 1 and not node.keywords

    def _is_users_method(self, function: Meaning) -> bool:
        return isinstance(function, Known) and self._search.is_users(function.value)

    def _opens_to_read(self, node: ast.Call) -> bool:
        mode = node.args[0] if node.args else None
        for keyword in node.keywords:
            mode = keyword.value if keyword.arg == "mode" else mode
        value = mode.value if isinstance(mode, ast.Constant) else None
        return mode is None or (isinstance(value, str) and _READING.fullmatch(value) is not None)

    def _unknown_method(
        self, func: ast.Attribute, name: str, table: Mapping[str, str], node: ast.AST
    ) -> None:
        base = self._names.meaning(func.value)
        kind = base.kind if isinstance(base, Instance) else type(getattr(base, "value", None))
        if kind in (str, bytes, list, tuple, dict, set):
            return
        if name in table:
            raise _Found(table[name], node)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def place_of(function: FunctionType, line: int) -> str:
    """`path:line`, the path relative to the working directory where it lies below it."""
    filename = function.__code__.co_filename
    name, mark, cell = filename.partition(":cell ")
    with contextlib.suppress(ValueError, OSError):
        name = str(Path(name).relative_to(Path.cwd()))
    return f"{name}{mark}{cell}:{line}"


def name_of(function: FunctionType) -> str:
    """A function as a sentence names it."""
    return "a lambda" if function.__name__ == "<lambda>" else f"{function.__name__}()"
