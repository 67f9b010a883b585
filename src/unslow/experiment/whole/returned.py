"""Keeps what functions return, by a small change of their code when it is compiled.

`return value` becomes a call that hands the value on. What is called stands among the
constants of the code, where no name can clash with it and no program finds it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

FIRST = 3
"""Calls of each function whose values are kept."""


class Keeper:
    """Takes the first values that one function returns; the rest only pass through."""

    __slots__ = ("_left", "_note")

    def __init__(self, note: Callable[[Any], bool], first: int = FIRST) -> None:
        """`note` is given a value and says whether it has kept it; it must not raise."""
        self._note = note
        self._left = first

    def keep(self, value: Any) -> Any:
        """Return `value`."""
        if self._left and self._note(value):
            self._left -= 1
        return value


class Instrument:
    """Puts keepers into the functions of one file, by qualified name (`Class.method`)."""

    def __init__(self, keepers: Mapping[str, Keeper]) -> None:
        self._keepers = {name.replace(".<locals>", ""): each for name, each in keepers.items()}
        self._marks: dict[str, Keeper] = {}

    def mark(self, tree: ast.Module) -> None:
        """Make every `return value` of the functions a call of a mark, in place."""
        marker = _Marker(self._keepers)
        marker.visit(tree)
        self._marks.update(marker.marks)

    def equip(self, code: CodeType) -> CodeType:
        """The code compiled from a marked tree, with the keepers in place of the marks."""
        constants = tuple(self._constant(each) for each in code.co_consts)
        if all(new is old for new, old in zip(constants, code.co_consts, strict=True)):
            return code
        return code.replace(co_consts=constants)

    def _constant(self, constant: Any) -> Any:
        if isinstance(constant, CodeType):
            return self.equip(constant)
        if isinstance(constant, str):
            return self._marks.get(constant, constant)
        return constant


class _Marker(ast.NodeTransformer):
    def __init__(self, keepers: Mapping[str, Keeper]) -> None:
        self.marks: dict[str, Keeper] = {}
        self._keepers = keepers
        self._names: list[str] = []
        self._mark = ""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node, "")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._inside(node, "")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        name = ".".join([*self._names, node.name])
        keeper = self._keepers.get(name)
        mark = ""
        if keeper is not None and not _is_generator(node):
            mark = f"\0returned by {name}"
            self.marks[mark] = keeper
        return self._inside(node, mark)

    def visit_Return(self, node: ast.Return) -> ast.AST:
        if self._mark and node.value is not None:
            mark = ast.copy_location(ast.Constant(self._mark), node.value)
            keep = ast.copy_location(ast.Attribute(mark, "keep", ast.Load()), node.value)
            node.value = ast.copy_location(ast.Call(keep, [node.value], []), node.value)
        return node

    def _inside(
        self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, mark: str
    ) -> ast.AST:
        outer, self._mark = self._mark, mark
        self._names.append(node.name)
        self.generic_visit(node)
        self._names.pop()
        self._mark = outer
        return node


def _is_generator(function: ast.FunctionDef) -> bool:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)
    return False
