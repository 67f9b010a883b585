"""Whether what a model is asked depends on what it answered before, as the source says it."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from pathlib import Path

from unslow.finding import Site

MOST_CALLERS = 5
"""Functions between a loop and the call of the model."""

_MUTATORS = frozenset(
    {
        *("add", "append", "appendleft", "assign", "extend", "extendleft", "fill", "insert"),
        *("put", "set", "setdefault", "update"),
    }
)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def feeds_itself(site: Site, method: str) -> bool:
    """Whether the calls of a method at a line go round with their results in their inputs."""
    filename = str(Path(site.path).absolute())
    if site.cell is not None:
        filename += f":cell {site.cell}"
    try:
        tree = ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError):
        return False
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return any(
        _goes_round(tree, parents, call, MOST_CALLERS)
        for call in _calls(tree, method)
        if call.lineno <= site.line <= (call.end_lineno or call.lineno)
    )


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    """The calls of what has this name, or of a method that has."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            func = node.func
            if getattr(func, "attr", getattr(func, "id", None)) == name:
                yield node


def _goes_round(
    tree: ast.AST, parents: dict[ast.AST, ast.AST], call: ast.Call, callers: int
) -> bool:
    around: list[ast.AST] = []
    node: ast.AST = call
    while node in parents and not isinstance(node, _FUNCTIONS):
        node = parents[node]
        around.append(node)
    loops = [each for each in around if isinstance(each, _LOOPS)]
    touched = _touched(loops[-1] if loops else around[-1], call)
    function = around[-1]
    if not loops:
        # From one call of the function to the next only what is not its own stays.
        touched = {name for name in touched if "." in name or name in _outer(function)}
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if any(_reads(each, touched) for each in given):
        return True
    if loops or not isinstance(function, ast.FunctionDef) or not callers:
        return False
    return any(
        _goes_round(tree, parents, each, callers - 1) for each in _calls(tree, function.name)
    )


def _touched(region: ast.AST, call: ast.Call) -> set[str]:
    """The names in a region that hold something worked out from what a call returned."""
    touched: set[str] = set()
    before = -1
    while len(touched) > before:
        before = len(touched)
        _spread(region, call, touched, False)
    return touched


def _spread(node: ast.AST, call: ast.Call, touched: set[str], follows: bool) -> None:
    """Add the names that a node gives such values. `follows`: it runs depending on one."""

    def has(value: ast.AST | None) -> bool:
        return value is not None and (
            any(each is call for each in ast.walk(value)) or _reads(value, touched)
        )

    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        follows = follows or has(node.test)
    if isinstance(node, ast.Assign):
        targets, value = node.targets, node.value
        if follows or has(value):
            touched.update(_base(part) for each in targets for part in _parts(each))
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.NamedExpr)):
        if follows or has(node.value):
            touched.add(_base(node.target))
    elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
        if has(node.iter) and not any(each is call for each in ast.walk(node.iter)):
            touched.update(_base(part) for part in _parts(node.target))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if node.func.attr in _MUTATORS and (follows or any(has(each) for each in given)):
            touched.add(_base(node.func.value))
    for child in ast.iter_child_nodes(node):
        _spread(child, call, touched, follows)


def _parts(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, (ast.List, ast.Tuple)):
        for each in target.elts:
            yield from _parts(each)
    else:
        yield target.value if isinstance(target, ast.Starred) else target


def _base(target: ast.expr) -> str:
    """What is changed where something is stored: `state` for `state[0]`, `self.x` for itself."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return ast.unparse(target)


def _reads(value: ast.AST, names: set[str]) -> bool:
    return any(
        isinstance(each, (ast.Name, ast.Attribute)) and ast.unparse(each) in names
        for each in ast.walk(value)
    )


def _outer(function: ast.AST) -> set[str]:
    """The names that a function declares to be not its own."""
    return {
        name
        for node in ast.walk(function)
        if isinstance(node, (ast.Global, ast.Nonlocal))
        for name in node.names
    }
