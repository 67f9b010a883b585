"""The syntax tree of a Python function, and what its names mean."""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unslow.native.interpreter.compiled import is_current, smallest
from unslow.native.untranslatable import Untranslatable

Function = ast.FunctionDef | ast.Lambda
Scope = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True, eq=False)
class Code:
    """A function's tree, its file, and the names that are its own."""

    node: Function
    path: str
    own: frozenset[str]

    @property
    def name(self) -> str:
        return getattr(self.node, "name", "<lambda>")


@functools.lru_cache(maxsize=64)
def _functions(text: str) -> dict[tuple[str, int], list[Any]]:
    """The functions of a file by their names and first lines."""
    found: dict[tuple[str, int], list[Any]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Lambda):
            found.setdefault(("<lambda>", node.lineno), []).append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *[each.lineno for each in node.decorator_list]])
            found.setdefault((node.name, first), []).append(node)
    return found


def code_of(function: types.FunctionType) -> Code:
    """The code of a Python function.

    Raises:
        Untranslatable: its source cannot be found.
    """
    code = function.__code__
    path = inspect.getsourcefile(function) or code.co_filename
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    if not text:
        raise Untranslatable(f"the source of {function.__qualname__} cannot be found")
    try:
        known = _functions(text)
        current = _is_rewritten(function) or is_current(code, text)
    except SyntaxError as error:
        raise Untranslatable(f"the source of {function.__qualname__} cannot be read") from error
    if not current:
        raise Untranslatable(
            f"the source of {function.__qualname__} is no longer what Python compiled"
        )
    found = known.get((code.co_name, code.co_firstlineno), [])
    if len(found) > 1:
        found = smallest([node for node in found if _compiles_to(node, code)]) or found
        if len({ast.dump(node) for node in found}) == 1:
            found = found[:1]
    if len(found) != 1:
        raise Untranslatable(f"the source of {function.__qualname__} cannot be told for sure")
    return code_from(found[0], path)


def _is_rewritten(function: types.FunctionType) -> bool:
    """Whether pytest has put its own code into the assertions of a function's module."""
    return type(function.__globals__.get("__loader__")).__module__.startswith("_pytest.")


def code_from(node: Any, path: str) -> Code:
    """The code of a function's node.

    Raises:
        Untranslatable: it is no plain function.
    """
    if isinstance(node, ast.AsyncFunctionDef):
        raise Untranslatable("an asynchronous function")
    body = node.body if isinstance(node.body, list) else [node.body]
    for each in inside(body):
        if isinstance(each, (ast.Yield, ast.YieldFrom)):
            raise Untranslatable("a generator: it stops and goes on")
        if isinstance(each, ast.Await):
            raise Untranslatable("an asynchronous function")
    return Code(node, path, own_names(node))


def _compiles_to(node: ast.AST, code: types.CodeType) -> bool:
    """Whether a node, one of several on a line, is what the code was compiled from."""
    positions = getattr(code, "co_positions", None)
    if positions is not None and isinstance(node, ast.Lambda):
        columns = {
            (line, column)
            for line, _, column, _ in positions()
            if line is not None and column is not None
        }
        body = node.body
        end = (body.end_lineno or 0, body.end_col_offset or 0)
        inner = {each for each in columns if each >= (node.lineno, node.col_offset)}
        start = (body.lineno, body.col_offset)
        return bool(inner) and all(start <= each <= end for each in columns if each[1])
    if isinstance(node, ast.Lambda):
        names = [argument.arg for argument in node.args.args]
        return list(code.co_varnames[: code.co_argcount]) == names
    return True


def inside(body: list[Any]) -> Iterator[ast.AST]:
    """All nodes of some statements, but not those of functions and classes in them."""
    waiting = list(body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, Scope):
            waiting += list(ast.iter_child_nodes(node))


def own_names(node: Function) -> frozenset[str]:
    """The names that belong to a function: its arguments, and what it assigns to."""
    arguments = node.args
    names = {
        each.arg
        for each in [
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            *([arguments.vararg] if arguments.vararg else []),
            *([arguments.kwarg] if arguments.kwarg else []),
        ]
    }
    body = node.body if isinstance(node.body, list) else [node.body]
    outer: set[str] = set()
    for each in inside(body):
        if isinstance(each, ast.Name) and isinstance(each.ctx, (ast.Store, ast.Del)):
            names.add(each.id)
        elif isinstance(each, (ast.FunctionDef, ast.ClassDef)):
            names.add(each.name)
        elif isinstance(each, (ast.Import, ast.ImportFrom)):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in each.names}
        elif isinstance(each, (ast.Nonlocal, ast.Global)):
            outer |= set(each.names)
        elif isinstance(each, ast.ExceptHandler) and each.name:
            names.add(each.name)
    return frozenset(names - outer)


def leaves(statements: list[Any], kinds: tuple[type, ...]) -> bool:
    """Whether a statement of such a kind may end the block, from within ifs and loops."""
    for statement in statements:
        if isinstance(statement, kinds):
            return True
        if isinstance(statement, (ast.For, ast.While)):
            inner = tuple(kind for kind in kinds if kind is ast.Return)
            if inner and leaves(statement.body, inner):
                return True
            if leaves(statement.orelse, kinds):
                return True
        elif isinstance(statement, (ast.If, ast.With)):
            if leaves(statement.body, kinds) or leaves(getattr(statement, "orelse", []), kinds):
                return True
        elif isinstance(statement, ast.Try):
            parts = [statement.body, statement.orelse, statement.finalbody]
            if any(leaves(part, kinds) for part in parts):
                return True
    return False
