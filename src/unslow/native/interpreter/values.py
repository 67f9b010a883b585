"""Operators, comparisons and subscripts of values that may be traced."""

from __future__ import annotations

import ast
import collections
import functools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native.dispatch import any_traced
from unslow.native.interpreter.objects import operands, special
from unslow.native.tracing.array import Array, is_traced, outside, read
from unslow.native.tracing.control import branch, truth
from unslow.native.tracing.operators import operate
from unslow.native.tracing.sequences import Sequence
from unslow.native.tracing.state import make, may_change
from unslow.native.untranslatable import Untranslatable

_BINARY: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("add", operator.add),
    ast.Sub: ("sub", operator.sub),
    ast.Mult: ("mul", operator.mul),
    ast.Div: ("truediv", operator.truediv),
    ast.FloorDiv: ("floordiv", operator.floordiv),
    ast.Mod: ("mod", operator.mod),
    ast.Pow: ("pow", operator.pow),
    ast.MatMult: ("matmul", operator.matmul),
    ast.BitAnd: ("and", operator.and_),
    ast.BitOr: ("or", operator.or_),
    ast.BitXor: ("xor", operator.xor),
    ast.LShift: ("lshift", operator.lshift),
    ast.RShift: ("rshift", operator.rshift),
}


_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def _is_ours(value: Any) -> bool:
    return isinstance(value, Array)


def binary(kind: type, left: Any, right: Any) -> Any:
    """`left op right`."""
    name, function = _BINARY[kind]
    follows = special(left, f"__{name}__")
    if follows is not None and not isinstance(right, Array):
        return _answered(follows, right)
    operands(left, right)
    if isinstance(left, Sequence) or isinstance(right, Sequence):
        left, right = _as_list(left), _as_list(right)
    if isinstance(left, np.ndarray) and not _is_ours(right):
        left = outside(left)
    if isinstance(right, np.ndarray) and not _is_ours(left):
        right = outside(right)
    if kind is ast.Mod and isinstance(left, (str, bytes)) and any_traced(right):
        raise Untranslatable("values of the graph cannot become text")
    if _is_ours(left) or _is_ours(right):
        other = right if _is_ours(left) else left
        if isinstance(other, (str, bytes, dict, set, type(None))):
            raise Untranslatable("an array with something that is no number")
        if isinstance(other, (list, tuple)) and kind in (ast.Add, ast.Mult):
            array = left if _is_ours(left) else right
            if array._kind == "python":
                raise Untranslatable("a list is repeated, or added, by what the graph knows")
        return operate(name, left, right)
    found = function(left, right)
    return make(found) if isinstance(found, (list, dict, set)) else found


def _answered(follows: Any, right: Any) -> Any:
    """What an operator of the user's gives."""
    from unslow.native.interpreter.calls import call

    found = call(follows, (right,), {})
    if found is NotImplemented:
        raise Untranslatable(f"{follows.__name__} leaves it to the other operand")
    return found


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) else value


def negation(test: Any) -> Any:
    """`not test` of a truth value."""
    if not is_traced(test):
        return not test
    from unslow.native import ops
    from unslow.native.tracing.array import number

    return number(ops.call("tf.logical_not", read(test)))


def compare(kind: type, left: Any, right: Any) -> Any:
    """`left op right` of a comparison."""
    if kind in (ast.In, ast.NotIn):
        found = _contained(left, right)
        return negation(found) if kind is ast.NotIn else found
    if kind in (ast.Is, ast.IsNot):
        return _COMPARE[kind](left, right)
    follows = special(left, f"__{_COMPARE[kind].__name__}__")
    if follows is not None:
        return _answered(follows, right)
    operands(left, right)
    if isinstance(left, np.ndarray) and not _is_ours(right):
        left = outside(left)
    if isinstance(right, np.ndarray) and not _is_ours(left):
        right = outside(right)
    if (left is None or right is None) and kind in (ast.Eq, ast.NotEq):
        if any(isinstance(e, Array) and e._kind == "array" for e in (left, right)):
            raise Untranslatable("an array is compared with None element by element")
        return kind is ast.NotEq if left is not right else kind is ast.Eq
    if any(isinstance(e, (list, tuple)) and any_traced(e) for e in (left, right)):
        return _compare_lists(kind, left, right)
    return _COMPARE[kind](left, right)


def _compare_lists(kind: type, left: Any, right: Any) -> Any:
    if any(isinstance(each, Array) for each in (left, right)):
        return _COMPARE[kind](left, right)
    if kind not in (ast.Eq, ast.NotEq) or type(left) is not type(right):
        raise Untranslatable("an order of lists that the graph knows")
    same: Any = len(left) == len(right)
    if same:
        for one, other in zip(left, right, strict=True):
            equal = compare(ast.Eq, one, other)
            same = branch(truth(same), functools.partial(truth, equal), lambda: False)
    return negation(same) if kind is ast.NotEq else same


def _contained(value: Any, container: Any) -> Any:
    follows = special(container, "__contains__")
    if follows is not None:
        return truth(_answered(follows, value))
    operands(container, value)
    if isinstance(container, np.ndarray):
        container = outside(container)
    if isinstance(container, Array):
        from unslow.native.dispatch import call_numpy

        return truth(call_numpy(np.any, (compare(ast.Eq, container, value),), {}))
    if isinstance(container, (list, tuple, range)) and any_traced(value, container):
        found: Any = False
        for each in container:
            found = branch(truth(found), lambda: True, functools.partial(_is_equal, value, each))
        return found
    if any_traced(value):
        raise Untranslatable("what the graph knows is looked up in a container")
    return value in container


def _is_equal(one: Any, other: Any) -> Any:
    return truth(one == other)


def subscript(value: Any, key: Any) -> Any:
    """`value[key]`."""
    if isinstance(value, np.ndarray):
        if not any_traced(key):
            from unslow.native.dispatch import known, ours

            return ours(value[known(key)], [value])
        value = outside(value)
    if isinstance(value, (Array, Sequence)):
        return value[key]
    follows = special(value, "__getitem__")
    if follows is not None:
        return _answered(follows, key)
    operands(key)
    if type(value).__module__.startswith("numpy") and hasattr(value, "__getitem__"):
        from unslow.native.dispatch import known, ours
        from unslow.native.lowering.creation import grid

        if any_traced(key):
            return grid(value, key)
        return ours(value[known(key)])
    if any_traced(key):
        if isinstance(value, (list, tuple)) and isinstance(key, Array):
            return _picked(value, key)
        raise Untranslatable("a container is looked into by what the graph knows")
    if isinstance(key, Array):
        key = read(key)[()]
    if special(value, "__missing__") is not None and key not in value:
        raise Untranslatable("a dictionary of the user's lacks a key")
    if isinstance(value, collections.defaultdict) and key not in value:
        return _missing(value, key)
    found = value[key]
    return make(found) if isinstance(key, slice) and isinstance(found, list) else found


def _missing(values: collections.defaultdict[Any, Any], key: Any) -> Any:
    """What a dictionary gets where it lacks a key."""
    from unslow.native.interpreter.calls import call

    if not may_change(values):
        raise Untranslatable("a container from outside, or from outside a branch, gets a new key")
    values[key] = call(values.default_factory, (), {})
    return values[key]


def _picked(values: Any, index: Array) -> Any:
    """An element of a list by a traced number."""
    from unslow.native.kit import array_of, is_number

    if all(is_number(each) for each in values):
        found = array_of(values)[index]
        return found.item() if isinstance(found, Array) else found
    if len({type(each) for each in values}) > 1:
        raise Untranslatable("the elements of a list are of different kinds")
    return array_of(list(values))[index]
