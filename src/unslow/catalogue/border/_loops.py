"""What the pages of this family ask of a program's loops."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unslow.source.bindings import Loop
    from unslow.source.module import Module

_LEAVES = (ast.Break, ast.Return, ast.Raise)

INSERTABLE = (
    *(ast.For, ast.AsyncFor, ast.While),
    *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return),
)
"""Statements before which a line can be written; an `elif` is none."""


def each_round(module: Module, node: ast.AST, least: int = 4) -> Loop | None:
    """The innermost loop around a node that runs it in nearly every of its rounds.

    `None` where there is none, where it stands under `if step % 100 == 0:` and the like,
    where it only runs for debugging or after a failure, and where the loops around it are
    known to have fewer rounds than `least`.
    """
    loops = module.loops(node)
    if not loops or module.guarded(node):
        return None
    again = module.repetition(node)
    if again is None or (again.times is not None and again.times < least):
        return None
    child: ast.AST = node
    for outer in module.ancestors(node):
        if isinstance(child, ast.stmt) and _is_seldom(outer, child, outer is loops[0]):
            return None
        if outer is loops[0]:
            return loops[0]
        if isinstance(outer, ast.IfExp) and child is not outer.test and is_seldom(outer.test):
            return None
        child = outer
    return None


def _is_seldom(outer: ast.AST, child: ast.stmt, is_loop: bool) -> bool:
    """Whether a statement runs in few rounds, by what stands around and before it."""
    if isinstance(outer, ast.ExceptHandler):
        return True
    if isinstance(outer, ast.If) and is_seldom(outer.test):
        return True
    for block in blocks(outer):
        if child not in block:
            continue
        if not is_loop and isinstance(block[-1], _LEAVES):
            return True
        for before in block[: block.index(child)]:
            leaves = isinstance(before, ast.If) and isinstance(before.body[-1], ast.Continue)
            if isinstance(before, ast.If) and leaves and is_seldom(before.test):
                return True
    return False


def is_seldom(test: ast.expr) -> bool:
    """Whether a condition picks rounds: `step % 100 == 0`, `step == 0`, `i in (3, 7)`."""
    return any(
        (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod))
        or (
            isinstance(node, ast.Compare)
            and any(isinstance(op, (ast.Eq, ast.In)) for op in node.ops)
        )
        for node in ast.walk(test)
    )


def blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The lists of statements that a node holds."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def outermost(module: Module, expression: ast.expr, node: ast.AST) -> Loop | None:
    """The outermost of the loops around `node` in all of which `expression` is the same."""
    found = None
    for loop in module.loops(node):
        if not module.invariant(expression, loop):
            break
        found = loop
    return found


def anchor(module: Module, loop: Loop) -> ast.stmt | None:
    """The statement before which a line runs once before a loop; `None` where there is none."""
    statement = module.statement(loop)
    if isinstance(statement, INSERTABLE) and module.editable(statement):
        same = module.function(loop) is module.function(statement)
        return statement if same else None
    return None


def on_tape(module: Module, node: ast.AST) -> bool:
    """Whether a gradient tape may watch a node, or one is opened in it."""
    around = (each for each in module.ancestors(node) if isinstance(each, (ast.With, ast.For)))
    inside = (each for each in ast.walk(node) if isinstance(each, ast.With))
    return any(
        module.value(item.context_expr).kind == "tape"
        for each in (*around, *inside)
        if isinstance(each, ast.With)
        for item in each.items
    )


def iterables(node: ast.AST) -> tuple[tuple[ast.expr, ast.expr], ...]:
    """The targets and iterables of a `for` or a comprehension."""
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return ((node.target, node.iter),)
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        return tuple((each.target, each.iter) for each in node.generators)
    return ()


def walked(
    module: Module, target: ast.expr, iterable: ast.expr
) -> Iterator[tuple[ast.Name, ast.expr]]:
    """Names and what each takes its elements from; `enumerate` and `zip` are seen through."""
    if isinstance(iterable, ast.Call) and not module.has_star(iterable) and iterable.args:
        name = module.qualified(iterable.func)
        pair = isinstance(target, (ast.Tuple, ast.List))
        if name == "enumerate" and isinstance(target, (ast.Tuple, ast.List)):
            if len(target.elts) == 2:
                yield from walked(module, target.elts[1], iterable.args[0])
            return
        if name == "zip" and isinstance(target, (ast.Tuple, ast.List)):
            if len(target.elts) == len(iterable.args):
                for each, source in zip(target.elts, iterable.args, strict=True):
                    yield from walked(module, each, source)
            return
        if name in ("tqdm.tqdm", "tqdm.auto.tqdm", "tqdm.notebook.tqdm") and not pair:
            yield from walked(module, target, iterable.args[0])
            return
    if isinstance(target, ast.Name):
        yield target, iterable
