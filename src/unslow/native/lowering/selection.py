"""Choosing among values: where, clip, take, put, and tests of values."""

from __future__ import annotations

import builtins
import functools
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    Array,
    array_of,
    broadcast_shape,
    broadcast_to,
    cast,
    dtype_of,
    elementwise,
    expected_dtype,
    fresh,
    integer,
    is_number,
    ndim,
    number,
    read,
    refuse,
    reshape,
    result,
    sizes,
    tensor,
    value_of,
)
from unslow.native.lowering.basics import truth
from unslow.native.lowering.taking import _nonzero
from unslow.native.tracing.array import write
from unslow.native.tracing.dtypes import NEW_PROMOTION


@lowers(np.where)
def _where(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    test = truth(tensor(condition))
    if x is None and y is None:
        return _nonzero(condition)
    dtype = expected_dtype(np.where, True, x, y)
    yes, no = tensor(x, dtype), tensor(y, dtype)
    broadcast_shape(sizes(test), sizes(yes), sizes(no))
    return fresh(ops.call("tf.where", test, yes, no))


@lowers(np.clip)
def _clip(
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    out: Any = None,
    *,
    min: Any = None,
    max: Any = None,
    casting: Any = "same_kind",
    **kwargs: Any,
) -> Any:
    refuse(kwargs, f"arguments {', '.join(kwargs)} of np.clip")
    low = a_min if min is None else min
    high = a_max if max is None else max
    found = a if is_number(a) or isinstance(a, Array) else array_of(a)
    if low is None and high is None:
        refuse(not NEW_PROMOTION, "NumPy raises ValueError: One of max or min must be given")
    dtype = expected_dtype(np.clip, found, low, high)
    if not is_number(found):
        low, high = _bound(low, found.dtype, lower=True), _bound(high, found.dtype, lower=False)
    if low is None and high is None:
        found = call_numpy(np.positive, (found,), {})
    elif low is not None and high is not None:
        # All three play a part in the dtype, as in NumPy's own loop of three.
        found = _limited(found, low, high, dtype)
    else:
        pair = (np.maximum, low) if high is None else (np.minimum, high)
        found = call_numpy(pair[0], (found, pair[1]), {})
    if out is not None:
        return call_numpy(np.positive, (found,), {"out": out, "casting": casting})
    return found


def _bound(bound: Any, dtype: np.dtype[Any], *, lower: bool) -> Any:
    """A bound for integers: one of Python's beyond what their dtype holds does not limit them."""
    if not NEW_PROMOTION or dtype.kind not in "iu" or not is_number(bound):
        return bound
    info = np.iinfo(dtype)
    if not isinstance(bound, Array):
        beyond = bound <= info.min if lower else bound >= info.max
        return None if type(bound) is int and beyond else bound
    plain = read(bound)
    if dtype_of(plain).kind != "i":
        return bound
    plain = ops.call("tf.maximum", plain, np.int64(info.min))
    return number(ops.call("tf.minimum", plain, np.int64(builtins.min(info.max, 2**63 - 1))))


def _limited(value: Any, low: Any, high: Any, dtype: Any) -> Any:
    from unslow.native.lowering.elementwise import apply

    found = apply(np.maximum, tensor(value, dtype), tensor(low, dtype))
    return result(apply(np.minimum, found, tensor(high, dtype)))


@lowers(np.round, np.around, optional(np, "round_"))
def _round(a: Any, decimals: Any = 0, out: Any = None) -> Any:
    decimals = integer(decimals, "the number of digits")
    array = a if isinstance(a, Array) else array_of(a)
    value = tensor(array)
    dtype = dtype_of(value)
    if dtype.kind in "iu":
        refuse(decimals < 0, "integers rounded to tens")
        found = value
    elif dtype.kind == "b":
        found = cast(value, "float16")
    elif dtype.kind == "c":
        parts = [
            read(_round(fresh(ops.call(f"tf.math.{p}", value)), decimals)) for p in ("real", "imag")
        ]
        found = ops.call("tf.complex", *parts)
    elif decimals == 0:
        found = elementwise("tf.round", value)
    else:
        scale = np.asarray(10.0 ** abs(decimals), dtype)
        first, last = ("tf.multiply", "tf.divide") if decimals > 0 else ("tf.divide", "tf.multiply")
        found = elementwise(last, elementwise("tf.round", elementwise(first, value, scale)), scale)
    from unslow.native.lowering.reductions import finish

    return finish(found, out)


@lowers(np.fix)
def _fix(x: Any, out: Any = None) -> Any:
    return call_numpy(np.trunc, (x,), {"out": out})


@lowers(np.nan_to_num)
def _nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    array = array_of(x)
    value = tensor(array)
    dtype = dtype_of(value)
    if dtype.kind == "c":
        parts = [
            read(_nan_to_num(fresh(ops.call(f"tf.math.{p}", value)), True, nan, posinf, neginf))
            for p in ("real", "imag")
        ]
        value = ops.call("tf.complex", *parts)
    elif dtype.kind == "f":
        info = np.finfo(dtype)
        top = info.max if posinf is None else posinf
        bottom = info.min if neginf is None else neginf
        infinite = elementwise("tf.math.is_inf", value)
        positive = elementwise("tf.greater", value, np.asarray(0, dtype))
        value = ops.call(
            "tf.where", elementwise("tf.math.is_nan", value), tensor(nan, dtype), value
        )
        limits = ops.call("tf.where", positive, tensor(top, dtype), tensor(bottom, dtype))
        value = ops.call("tf.where", infinite, limits, value)
    if not copy and isinstance(x, Array) and x._kind == "array":
        write(x, value)
        return x
    return result(value)


@lowers(np.isclose)
def _isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Any:
    dtype = np.result_type(expected_dtype(np.add, a, b), np.float64)
    refuse(dtype.kind == "c", "complex numbers that are close")
    one, other = tensor(a, dtype), tensor(b, dtype)
    rtol, atol = tensor(rtol, dtype), tensor(atol, dtype)
    away = ops.call("tf.abs", ops.call("tf.subtract", one, other))
    limit = ops.call("tf.add", atol, ops.call("tf.multiply", rtol, ops.call("tf.abs", other)))
    near = ops.call("tf.less_equal", away, limit)
    near = ops.call("tf.logical_and", near, ops.call("tf.math.is_finite", other))
    found = ops.call("tf.logical_or", near, ops.call("tf.equal", one, other))
    if equal_nan:
        both = [ops.call("tf.math.is_nan", each) for each in (one, other)]
        found = ops.call("tf.logical_or", found, ops.call("tf.logical_and", *both))
    return result(found)


@lowers(np.allclose)
def _allclose(*args: Any, **kwargs: Any) -> Any:
    from unslow.native.tracing.array import to_python

    return to_python(call_numpy(np.all, (_isclose(*args, **kwargs),), {}), bool)


@lowers(np.array_equal, np.array_equiv)
def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    from unslow.native.tracing.array import to_python
    from unslow.native.tracing.control import branch
    from unslow.native.tracing.operators import operate

    one, other = array_of(a1), array_of(a2)
    shapes = [sizes(read(each)) for each in (one, other)]
    refuse(equal_nan, "`equal_nan` of np.array_equal")
    if len(shapes[0]) != len(shapes[1]):
        return False
    pairs = list(zip(*shapes, strict=True))
    if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs):
        return False

    def all_equal() -> Any:
        return to_python(call_numpy(np.all, (call_numpy(np.equal, (one, other), {}),), {}), bool)

    same: Any = True
    for a, b in pairs:
        if not (isinstance(a, int) and isinstance(b, int)):
            same = operate("and", same, operate("eq", number(a), number(b)))
    return all_equal() if same is True else branch(same, all_equal, lambda: False)


lowers(np.array_equiv)(lambda a1, a2: _array_equal(*call_numpy(np.broadcast_arrays, (a1, a2), {})))


def _infinite(function: Any, sign: float) -> None:
    def lowering(x: Any, out: Any = None) -> Any:
        from unslow.native.lowering.reductions import finish

        value = tensor(x)
        kind = dtype_of(value).kind
        refuse(kind == "c", "NumPy raises TypeError: the sign of complex infinities")
        if kind == "f":
            found = elementwise("tf.equal", value, np.asarray(sign, dtype_of(value)))
        else:
            found = ops.call("tf.zeros_like", value, dtype="bool")
        return finish(found, out)

    lowers(function)(lowering)


_infinite(np.isposinf, np.inf)
_infinite(np.isneginf, -np.inf)


@lowers(np.iscomplex)
def _iscomplex(x: Any) -> Any:
    return call_numpy(np.not_equal, (array_of(x).imag, 0), {})


@lowers(np.isreal)
def _isreal(x: Any) -> Any:
    return call_numpy(np.equal, (array_of(x).imag, 0), {})


@lowers(np.isin, optional(np, "in1d"))
def _isin(
    element: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False, **kw: Any
) -> Any:
    dtype = expected_dtype(np.add, array_of(element), array_of(test_elements))
    one = tensor(element, dtype)
    others = reshape(tensor(test_elements, dtype), [-1])
    equal = elementwise("tf.equal", ops.call("tf.expand_dims", one, -1), others)
    found = ops.call("tf.reduce_any", equal, axis=-1)
    return fresh(ops.call("tf.logical_not", found) if invert else found)


@lowers(np.select)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    tests = [tensor(each) for each in condlist]
    refuse(any(dtype_of(test).kind != "b" for test in tests), "NumPy raises TypeError: no truth")
    choices = [c if is_number(c) else array_of(c) for c in choicelist]
    dtype = expected_dtype(
        lambda *each: np.asarray(
            np.select([np.array([True])] * (len(each) - 1), list(each[:-1]), each[-1])
        ),
        *choices,
        default,
    )
    shape = broadcast_shape(
        *[sizes(t) for t in tests], *[sizes(value_of(c)) for c in [*choices, default]]
    )
    found = broadcast_to(tensor(default, dtype), shape)
    for test, choice in reversed(list(zip(tests, choices, strict=True))):
        found = ops.call("tf.where", test, tensor(choice, dtype), found)
    return fresh(found)


def _either(one: Any, other: Any) -> Any:
    return call_numpy(np.logical_or, (one, other), {})


@lowers(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    from unslow.native.interpreter.calls import call

    array = array_of(x)
    refuse(not ndim(array), "np.piecewise of a single number")
    given = list(condlist) if isinstance(condlist, (list, tuple)) else array_of(condlist)
    if isinstance(given, Array):
        given = [given[place] for place in range(len(given))] if ndim(given) > 1 else [given]
    elif given and not isinstance(given[0], (list, Array, np.ndarray)):
        given = [given]
    tests = [fresh(truth(tensor(each))) for each in given]
    functions = list(funclist)
    if len(functions) == len(tests) + 1:
        tests.append(~functools.reduce(_either, tests))
    refuse(len(functions) != len(tests), "NumPy raises ValueError: conditions and functions")
    found = call_numpy(np.zeros_like, (array,), {})
    for test, function in zip(tests, functions, strict=True):
        # A function sees the elements that it is for, and no others.
        found[test] = call(function, (array[test], *args), kw) if callable(function) else function
    return found
