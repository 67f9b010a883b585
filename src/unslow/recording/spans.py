"""Which lines of a function belong to what is done in it again and again."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType


@dataclass(frozen=True)
class Span:
    """Lines `first` to `last`. `loop`: they end with a loop's body, and not with a function's."""

    first: int
    last: int
    loop: bool


def span_around(code: CodeType, line: int) -> Span | None:
    """The lines that run each time a statement in `code` does; `None` where no source tells.

    In a function that is the function; in a loop, and at the top level, what the innermost
    loop does from that statement on.
    """
    return _span(code.co_filename, code.co_firstlineno, code.co_name, line)


@functools.lru_cache(maxsize=256)
def _span(filename: str, first: int, name: str, line: int) -> Span | None:
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError):
        return None
    owner: ast.AST | None = tree if name == "<module>" else _function(tree, first, name)
    if owner is None:
        return None
    inner = [node for node in _own(owner) if isinstance(node, (ast.For, ast.AsyncFor, ast.While))]
    around = [node for node in inner if _holds(node.body, line)]
    if around:
        body = max(around, key=lambda node: node.lineno).body
        return Span(line, body[-1].end_lineno or line, True)
    if isinstance(owner, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return Span(owner.body[0].lineno, owner.end_lineno or line, False)
    return None


def _function(tree: ast.AST, first: int, name: str) -> ast.AST | None:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            decorators = [each.lineno for each in node.decorator_list]
            if first in (node.lineno, *decorators):
                return node
    return None


def _own(owner: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, those of functions in it left out."""
    for node in ast.iter_child_nodes(owner):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            yield node
            yield from _own(node)


def _holds(body: list[ast.stmt], line: int) -> bool:
    return body[0].lineno <= line <= (body[-1].end_lineno or line)
