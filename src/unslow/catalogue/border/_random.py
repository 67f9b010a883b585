"""Whether a function that a bridge calls draws random numbers, as far as the source tells."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unslow.catalogue.pipelines import _functions

if TYPE_CHECKING:
    from unslow.source.module import Function, Module

GENERATORS = frozenset({"numpy.random.default_rng", "numpy.random.RandomState"})

MOST_DEPTH = 6


def draws(module: Module, call: ast.Call) -> bool:
    """Whether the function that `call` hands to a bridge draws numbers by NumPy's generators.

    A generator that it makes from a seed that stands in the source counts for nothing: its
    numbers are always the same.
    """
    target = module.argument(call, 0, "func")
    found = _functions.function_of(target, module)
    return found is not None and _draws(*found, set(), 0)


def _draws(function: Function, module: Module, seen: set[ast.AST], depth: int) -> bool:
    if function in seen or depth > MOST_DEPTH:
        return False
    seen.add(function)
    for call in _functions.own_calls(function):
        name = module.qualified(call.func) or ""
        if name in GENERATORS:
            if not _is_fixed(call, module):
                return True
        elif name.startswith("numpy.random.") or _is_outside(call.func, module):
            return True
        found = _functions.function_of(call.func, module)
        if found is not None and _draws(*found, seen, depth + 1):
            return True
    return False


def _is_fixed(call: ast.Call, module: Module) -> bool:
    """Whether a generator is made from a seed that stands in the source."""
    seed = module.argument(call, 0, "seed")
    return seed is not None and isinstance(module.constant(seed), int)


def _is_outside(function: ast.expr, module: Module) -> bool:
    """Whether a function is a method of a generator of the whole module."""
    expression = getattr(function, "value", None)
    if not isinstance(expression, ast.Name) or not isinstance(module.home(expression), ast.Module):
        return False
    held = module.bindings(expression) or ()
    made = [each.value for each in held if isinstance(each.value, ast.Call)]
    return any(module.qualified(each.func) in GENERATORS for each in made)
