"""Scopes: which names a piece of code binds, and which bindings reach a use."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Scope = (
    ast.Module
    | ast.FunctionDef
    | ast.AsyncFunctionDef
    | ast.Lambda
    | ast.ClassDef
    | ast.ListComp
    | ast.SetComp
    | ast.DictComp
    | ast.GeneratorExp
)

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
LOOPS = (ast.For, ast.AsyncFor, ast.While, *COMPREHENSIONS)

Loop = (
    ast.For
    | ast.AsyncFor
    | ast.While
    | ast.ListComp
    | ast.SetComp
    | ast.DictComp
    | ast.GeneratorExp
)

BindingKind = Literal[
    "assign", "augmented", "for", "with", "import", "definition", "parameter", "other"
]

_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True, eq=False)
class Binding:
    """A place where a name gets its value.

    `node`: the statement, comprehension, parameter or import alias; `value`: the expression
    the value comes from: what is assigned, iterated over (`for`) or entered (`with`).
    `path`: the position in an unpacked target, such as (1,) for `b` in `a, b = x`; -1 stands
    for a starred part and what follows it.
    """

    name: str
    kind: BindingKind
    node: ast.AST
    value: ast.expr | None = None
    path: tuple[int, ...] = ()


def bindings_in(node: ast.AST) -> Iterator[Binding]:
    """The names that one statement or expression node binds by itself, not its children."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _targets(target, "assign", node, node.value)
    elif isinstance(node, ast.AnnAssign):
        if node.value is not None or isinstance(node.target, ast.Name):
            yield from _targets(node.target, "assign", node, node.value)
    elif isinstance(node, ast.AugAssign):
        yield from _targets(node.target, "augmented", node, node.value)
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        yield from _targets(node.target, "for", node, node.iter)
    elif isinstance(node, COMPREHENSIONS):
        for generator in node.generators:
            yield from _targets(generator.target, "for", node, generator.iter)
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        for item in node.items:
            if item.optional_vars is not None:
                yield from _targets(item.optional_vars, "with", node, item.context_expr)
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            yield Binding(name, "import", alias)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield Binding(node.name, "definition", node)
    elif isinstance(node, ast.NamedExpr):
        yield Binding(node.target.id, "assign", node, node.value)
    elif isinstance(node, ast.ExceptHandler):
        if node.name:
            yield Binding(node.name, "other", node)
    elif isinstance(node, ast.Delete):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield Binding(target.id, "other", node)
    elif isinstance(node, (ast.MatchAs, ast.MatchStar)):
        if node.name:
            yield Binding(node.name, "other", node)
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield Binding(node.rest, "other", node)


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.arg]:
    """All parameters in the order of the signature, `*args` and `**kwargs` last."""
    found = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    found += [each for each in (function.args.vararg, function.args.kwarg) if each is not None]
    return found


def _targets(
    target: ast.expr,
    kind: BindingKind,
    node: ast.AST,
    value: ast.expr | None,
    path: tuple[int, ...] = (),
) -> Iterator[Binding]:
    if isinstance(target, ast.Name):
        yield Binding(target.id, kind, node, value, path)
    elif isinstance(target, (ast.Tuple, ast.List)):
        starred = False
        for position, element in enumerate(target.elts):
            starred = starred or isinstance(element, ast.Starred)
            inner = element.value if isinstance(element, ast.Starred) else element
            yield from _targets(inner, kind, node, value, (*path, -1 if starred else position))


class Flow:
    """Which of a scope's bindings of a name reach a place, along its statements."""

    def __init__(
        self,
        bindings: list[Binding],
        parents: dict[ast.AST, ast.AST],
        scope: Scope,
    ) -> None:
        self._parents = parents
        self._scope = scope
        self._at: dict[ast.AST, list[Binding]] = {}
        self._around: dict[ast.AST, list[Binding]] = {}
        for binding in bindings:
            statement = self._statement(binding.node)
            self._at.setdefault(statement, []).append(binding)
            outer: ast.AST = statement
            while outer is not scope and outer in parents:
                outer = parents[outer]
                self._around.setdefault(outer, []).append(binding)

    def _statement(self, node: ast.AST) -> ast.AST:
        while not isinstance(node, ast.stmt) and node in self._parents:
            if isinstance(node, (ast.ExceptHandler, ast.arg)):
                return node
            node = self._parents[node]
        return node

    def reaching(self, statement: ast.AST) -> list[Binding]:
        """The bindings that may hold when `statement` begins (or runs its own expression)."""
        found: list[Binding] = []
        here = statement
        if isinstance(here, ast.While):
            self._backward(here.body, found)
        while here is not self._scope and here in self._parents:
            parent = self._parents[here]
            block = block_of(parent, here)
            if block is not None:
                if self._backward(block[: _index(block, here)], found):
                    return _distinct(found)
                if isinstance(parent, (ast.For, ast.AsyncFor, ast.While)):
                    if block is parent.body:
                        self._backward(block[_index(block, here) :], found)
                elif isinstance(parent, ast.Try):
                    if block is parent.orelse and self._backward(parent.body, found):
                        return _distinct(found)
                    if block is parent.finalbody:
                        found += self._around.get(parent, ())
                if not (isinstance(parent, (ast.For, ast.AsyncFor)) and block is parent.orelse):
                    heads = [b for b in self._at.get(parent, ()) if b.node is parent]
                    if heads and parent is not self._scope:
                        return _distinct([*found, *heads])
            elif isinstance(here, ast.ExceptHandler) and isinstance(parent, ast.Try):
                # Any of the body's statements may have been the last.
                found += self._inside(parent.body)
            here = parent
            if isinstance(here, ast.ExceptHandler) and here in self._at:
                return _distinct([*found, *self._at[here]])
            if isinstance(here, ast.While):
                self._backward(here.body, found)
        found += [b for b in self._at.get(self._scope, ()) if b.kind == "parameter"]
        found += [b for node, held in self._at.items() if isinstance(node, ast.arg) for b in held]
        return _distinct(found)

    def _inside(self, block: list[ast.stmt]) -> list[Binding]:
        return [
            binding
            for each in block
            for binding in [*self._at.get(each, ()), *self._around.get(each, ())]
        ]

    def _backward(self, block: list[ast.stmt], found: list[Binding]) -> bool:
        """Collect what a block leaves bound at its end; whether it surely binds the name."""
        for statement in reversed(block):
            own = self._at.get(statement, ())
            compound = statement in self._around
            if own and not isinstance(statement, (ast.For, ast.AsyncFor, ast.With, ast.AsyncWith)):
                found += own
                return True
            if isinstance(statement, (ast.With, ast.AsyncWith)):
                if compound and self._backward(statement.body, found):
                    return True
                if own:
                    found += own
                    return True
            elif isinstance(statement, ast.If):
                if compound and self._branches([statement.body, statement.orelse], found):
                    return True
            elif isinstance(statement, ast.Try):
                if compound and self._try(statement, found):
                    return True
            elif own or compound:
                found += own
                found += self._around.get(statement, ())
        return False

    def _branches(self, branches: list[list[ast.stmt]], found: list[Binding]) -> bool:
        killed = True
        for branch in branches:
            if branch and isinstance(branch[-1], _ENDS):
                continue
            killed = self._backward(branch, found) and killed
        return killed

    def _try(self, statement: ast.Try, found: list[Binding]) -> bool:
        if self._backward(statement.finalbody, found):
            return True
        killed = self._backward([*statement.body, *statement.orelse], found)
        for handler in statement.handlers:
            if handler.body and isinstance(handler.body[-1], _ENDS):
                continue
            if not self._backward(handler.body, found):
                found += self._inside(statement.body)
                killed = False
        return killed


def block_of(parent: ast.AST, statement: ast.AST) -> list[ast.stmt] | None:
    """The list of statements of `parent` in which a statement stands."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(parent, field, None)
        if isinstance(block, list) and any(each is statement for each in block):
            return block
    return None


def _index(block: list[ast.stmt], statement: ast.AST) -> int:
    return next(i for i, each in enumerate(block) if each is statement)


def _distinct(found: list[Binding]) -> list[Binding]:
    return list(dict.fromkeys(found))
