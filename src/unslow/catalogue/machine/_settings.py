"""Reading settings in source: what the pages of this family share."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unslow.source.module import Module

_SEEDS = frozenset({"enable_op_determinism", "seed", "set_random_seed", "set_seed"})

_BRANCHES = (ast.If, ast.IfExp, ast.Try, ast.While, ast.For, ast.ExceptHandler)


def always(module: Module, node: ast.AST) -> bool:
    """Whether nothing decides if the code at a node runs, but that its function is called."""
    if module.guarded(node):
        return False
    function = module.function(node)
    for each in module.ancestors(node):
        if each is function:
            return True
        if isinstance(each, _BRANCHES) and not _is_main_guard(each):
            return False
    return True


def _is_main_guard(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Name)
        and node.test.left.id == "__name__"
    )


def seeds(module: Module) -> bool:
    """Whether a module wants the same results in every run: it sets a seed."""
    for call in module.calls():
        func = call.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if name in _SEEDS or "seed" in name.lower():
            return True
    return False


def environment(module: Module, *names: str) -> Iterator[tuple[ast.Assign, str]]:
    """The statements `os.environ[name] = "value"`, with the value."""
    for statement in module.nodes(ast.Assign):
        target = statement.targets[0]
        if len(statement.targets) != 1 or not isinstance(target, ast.Subscript):
            continue
        if module.qualified(target.value) != "os.environ":
            continue
        value = module.constant(statement.value)
        if module.constant(target.slice) in names and isinstance(value, str):
            yield statement, value
