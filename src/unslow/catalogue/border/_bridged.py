"""What the source tells of a function that a bridge calls, and of those that it calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.pipelines import _functions

if TYPE_CHECKING:
    from unslow.source.module import Function, Module

GENERATORS = frozenset({"numpy.random.default_rng", "numpy.random.RandomState"})
RARE = frozenset(
    {
        *("exponential", "standard_exponential", "gamma", "standard_gamma", "beta"),
        *("poisson", "binomial"),
    }
)
"""Methods of generators whose numbers ops draw otherwise than NumPy."""


MOST_DEPTH = 6


def draws(module: Module, call: ast.Call) -> bool:
    """Whether the function that `call` hands to a bridge draws numbers that ops draw otherwise.

    A generator that it makes from a seed that stands in the source counts for nothing: its
    numbers are always the same. Of `default_rng(seed)` most draws are NumPy's own as ops, too.
    """
    reached = list(_reached(module, call))
    if any(_draws(*each) for each in reached):
        return True
    return any(_seeds(*each) for each in reached) and any(
        _draws_rarely(each) for each, _ in reached
    )


def loops(module: Module, call: ast.Call) -> bool:
    """Whether the function that `call` hands to a bridge has loops of Python."""
    return any(
        isinstance(node, (ast.For, ast.While))
        for function, _ in _reached(module, call)
        for node in ast.walk(function)
    )


def _reached(module: Module, call: ast.Call) -> Iterator[tuple[Function, Module]]:
    """The function that `call` hands to a bridge, and those that are called from there."""
    waiting = [(_functions.function_of(module.argument(call, 0, "func"), module), 0)]
    seen: set[ast.AST] = set()
    while waiting:
        found, depth = waiting.pop()
        if found is None or found[0] in seen or depth > MOST_DEPTH:
            continue
        function, home = found
        seen.add(function)
        yield function, home
        waiting += [
            (_functions.function_of(each.func, home), depth + 1)
            for each in _functions.own_calls(function)
        ]


def _draws(function: Function, module: Module) -> bool:
    """Whether a function draws random numbers that hang on no seed that it is given."""
    for call in _functions.own_calls(function):
        name = module.qualified(call.func) or ""
        if name in GENERATORS:
            if not _is_fixed(call, module) and not _is_seeded(call, module):
                return True
        elif name.startswith("numpy.random.") or _is_outside(call.func, module):
            return True
    return False


def _seeds(function: Function, module: Module) -> bool:
    """Whether a function makes a generator from a seed that it is given."""
    return any(
        _is_seeded(call, module) and not _is_fixed(call, module)
        for call in _functions.own_calls(function)
    )


def _draws_rarely(function: Function) -> bool:
    """Whether a function calls a method whose numbers ops do not draw as NumPy does."""
    return any(
        isinstance(call.func, ast.Attribute) and call.func.attr in RARE
        for call in _functions.own_calls(function)
    )


def _is_seeded(call: ast.Call, module: Module) -> bool:
    """Whether it makes a `default_rng` from one seed."""
    if module.qualified(call.func) != "numpy.random.default_rng":
        return False
    seed = module.argument(call, 0, "seed")
    is_none = isinstance(seed, ast.Constant) and seed.value is None
    return seed is not None and not is_none and not isinstance(seed, (ast.List, ast.Tuple))


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
