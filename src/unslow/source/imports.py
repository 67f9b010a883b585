"""Imports that an edit needs: the name there is, or the line to add."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from unslow.finding import Edit

if TYPE_CHECKING:
    from unslow.source.module import Module

CONVENTIONS = {"numpy": "np", "tensorflow": "tf"}
"""The names under which people import these."""


def imported(module: Module, dotted: str) -> tuple[str, tuple[Edit, ...]]:
    """What to write for the library's module `dotted`, and the import that is lacking."""
    for statement in module.tree.body:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            continue
        for alias in statement.names:
            name = alias.asname or alias.name
            if "." in name:
                continue
            value = module.project.inference.global_value(name, module)
            if value.kind == "external" and value.name == dotted:
                return name, ()
    last = dotted.rpartition(".")[2]
    name = module.free_name(CONVENTIONS.get(dotted, last))
    line = f"import {dotted}\n" if name == dotted else f"import {dotted} as {name}\n"
    return name, (_insertion(module, dotted, line),)


def _insertion(module: Module, dotted: str, line: str) -> Edit:
    body = module.tree.body
    standing: list[ast.stmt] = []
    for position, statement in enumerate(body):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            standing.append(statement)
        elif not (position == 0 and _is_docstring(statement)):
            break
    after = standing[-1] if standing else None
    if dotted in sys.stdlib_module_names:
        own = [each for each in standing if isinstance(each, ast.Import) and _is_library(each)]
        earlier = [each for each in own if each.names[0].name < dotted]
        if earlier:
            after = earlier[-1]
        elif own:
            return module.insert(own[0], line)
    if after is None and body and _is_docstring(body[0]):
        after = body[0]
    if after is not None:
        return module.insert_below(after.end_lineno or after.lineno, line)
    if body:
        return module.insert(body[0], line)
    return module.edit((1, 1), (1, 1), line)


def _is_library(statement: ast.Import) -> bool:
    """Whether a statement imports a module of the standard library."""
    return statement.names[0].name.split(".")[0] in sys.stdlib_module_names


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
