"""Fixes as what they make of a program's files."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unslow.finding import Alternative, Edit, Finding
from unslow.source import edits as editing
from unslow.source.notebook import NotebookText
from unslow.source.project import text_of
from unslow.source.text import SourceError, Text

Named = tuple[str, str]
"""The absolute path of a file and a name in it."""

_PLAIN = (
    *(ast.Constant, ast.UnaryOp, ast.BinOp, ast.Tuple),
    *(ast.operator, ast.unaryop, ast.expr_context),
)
"""What the values of constants are made of."""

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, eq=False)
class Fix:
    """One finding with the one of its alternatives that is to be tried."""

    finding: Finding
    alternative: Alternative

    @cached_property
    def edits(self) -> tuple[Edit, ...]:
        return self.alternative.edits

    @cached_property
    def paths(self) -> frozenset[str]:
        """The absolute paths of the files that it changes."""
        return frozenset(absolute(edit.path) for edit in self.edits)


def absolute(path: str) -> str:
    """The absolute path of a file that a finding or an edit names."""
    return os.path.abspath(path)  # noqa: PTH100 - Path.resolve would follow links


class Sources:
    """The bytes of a program's files as they are, by absolute path, and what fixes make of them."""

    def __init__(self, contents: Mapping[str, bytes], constants: Collection[Named] = ()) -> None:
        """`constants`: names, of whatever files, whose values stand in the source."""
        self.contents = dict(contents)
        self.constants = frozenset(constants)
        self._outlines = {path: _outline(path, data) for path, data in contents.items()}

    def changed(self, fixes: Sequence[Fix]) -> dict[str, bytes]:
        """All files, with the edits of `fixes` applied.

        Raises:
            EditError: they cannot be; also where the result is no Python any more.
        """
        contents = dict(self.contents)
        for path in sorted({path for fix in fixes for path in fix.paths}):
            if path not in contents:
                raise editing.EditError(f"{path} is no file of the program")
            edits = [e for fix in fixes for e in fix.edits if absolute(e.path) == path]
            contents[path] = editing.apply(contents[path], edits, is_notebook(path))
            if _outline(path, contents[path]) is None and self._outlines[path] is not None:
                raise editing.EditError("the result would not parse")
        return contents

    def functions(self, fixes: Iterable[Fix]) -> set[Named]:
        """The functions that `fixes` change, with those around them."""
        found: set[Named] = set()
        for fix in fixes:
            for edit in fix.edits:
                path = absolute(edit.path)
                outline = self._outlines.get(path)
                if outline is not None:
                    found |= {(path, name) for name in outline.around(edit)}
        return found

    def left_out(self, contents: Mapping[str, bytes]) -> set[Named]:
        """The names that a change of the files to `contents` brings or takes away."""
        found: set[Named] = set()
        for path, data in contents.items():
            if data == self.contents[path]:
                continue
            before, after = self._outlines[path], _outline(path, data)
            if before is not None and after is not None:
                found |= {(path, name) for name in before.names ^ after.names}
        return found


def constants(contents: Mapping[str, bytes]) -> set[Named]:
    """The module-level names that are bound once, to a number or a text in the source.

    What counts to such a number counts as one.
    """
    found: set[Named] = set()
    for path, data in contents.items():
        try:
            tree = text_of(Path(path), data).parse()
        except SourceError:
            continue
        found |= {(path, name) for name in _constants(tree)}
    return found


def _constants(tree: ast.Module) -> Iterator[str]:
    bound = Counter(_bound(tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            bound.update(2 * node.names)
    known: set[str] = set()
    for node in tree.body:
        target = value = None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign):
            target, value = node.target, node.value
        elif isinstance(node, ast.For) and _counts(node.iter):
            target, value = node.target, ast.Constant(0)
        if isinstance(target, ast.Name) and bound[target.id] == 1 and _is_plain(value, known):
            known.add(target.id)
            yield target.id


def _counts(iterated: ast.expr) -> bool:
    called = iterated.func if isinstance(iterated, ast.Call) else None
    return isinstance(called, ast.Name) and called.id == "range"


def _is_plain(value: ast.expr | None, known: Collection[str]) -> bool:
    """Whether a value is made of constants alone."""
    return value is not None and all(
        isinstance(node, _PLAIN) or (isinstance(node, ast.Name) and node.id in known)
        for node in ast.walk(value)
    )


def is_notebook(path: str) -> bool:
    """Whether the file's name is that of a notebook."""
    return path.lower().endswith(".ipynb")


class _Outline:
    """What a file defines: its module-level names and its functions."""

    def __init__(self, text: Text) -> None:
        tree = text.parse()
        self._starts = text.starts if isinstance(text, NotebookText) else (1,)
        self._functions = list(_functions(tree.body, ""))
        self.names = frozenset(_bound(tree.body)) | {name for name, _, _ in self._functions}

    def around(self, edit: Edit) -> Iterator[str]:
        """The qualified names of the functions in which an edit changes something."""
        shift = self._starts[(edit.cell or 1) - 1] - 1
        first, last = edit.start[0] + shift, edit.end[0] + shift
        # What ends at the start of a line leaves that line as it is.
        if edit.end[1] == 1 and last > first:
            last -= 1
        for name, start, end in self._functions:
            if first <= end and last >= start:
                yield name


def _outline(path: str, data: bytes) -> _Outline | None:
    """The outline of a file; `None` where it does not parse."""
    try:
        text = text_of(Path(path), data)
        if isinstance(text, NotebookText) and text.broken:
            return None
        return _Outline(text)
    except SourceError:
        return None


def _functions(body: Iterable[ast.AST], outer: str) -> Iterator[tuple[str, int, int]]:
    """Qualified name, first and last line of all functions in the statements."""
    for node in body:
        if isinstance(node, (*_Function, ast.ClassDef)):
            name = f"{outer}{node.name}"
            if not isinstance(node, ast.ClassDef):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                yield name, first, node.end_lineno or node.lineno
            yield from _functions(node.body, f"{name}.")
        else:
            yield from _functions(ast.iter_child_nodes(node), outer)


def _bound(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The names that module-level code binds."""
    for node in nodes:
        if isinstance(node, (*_Function, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((each.asname or each.name).partition(".")[0] for each in node.names)
        elif isinstance(node, ast.Lambda):
            continue
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            yield from (n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
        else:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.ExceptHandler) and node.name:
                yield node.name
            yield from _bound(ast.iter_child_nodes(node))
