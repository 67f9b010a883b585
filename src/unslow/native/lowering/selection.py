"""Choosing among values: where, clip, take, put, and tests of values."""

from __future__ import annotations

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
    **kwargs: Any,
) -> Any:
    low = a_min if min is None else min
    high = a_max if max is None else max
    found = a if is_number(a) or isinstance(a, Array) else array_of(a)
    if low is None and high is None:
        refuse(not NEW_PROMOTION, "NumPy raises ValueError: One of max or min must be given")
        found = call_numpy(np.positive, (found,), {})
    elif low is not None and high is not None:
        # All three play a part in the dtype, as in NumPy's own loop of three.
        dtype = expected_dtype(np.clip, found, low, high)
        found = _limited(found, low, high, dtype)
    else:
        pair = (np.maximum, low) if high is None else (np.minimum, high)
        found = call_numpy(pair[0], (found, pair[1]), {})
    if out is not None:
        return call_numpy(
            np.positive, (found,), {"out": out, "casting": kwargs.get("casting", "same_kind")}
        )
    return found


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

    one, other = array_of(a1), array_of(a2)
    shapes = [sizes(read(each)) for each in (one, other)]
    refuse(equal_nan, "`equal_nan` of np.array_equal")
    refuse(not all(isinstance(s, int) for shape in shapes for s in shape), "sizes not known")
    if shapes[0] != shapes[1]:
        return False
    return to_python(call_numpy(np.all, (call_numpy(np.equal, (one, other), {}),), {}), bool)


lowers(np.array_equiv)(lambda a1, a2: _array_equal(*call_numpy(np.broadcast_arrays, (a1, a2), {})))


@lowers(np.isposinf, np.isneginf)
def _isposinf(x: Any, out: Any = None) -> Any:
    return result(elementwise("tf.equal", tensor(x), np.asarray(np.inf, dtype_of(tensor(x)))))


lowers(np.isneginf)(
    lambda x, out=None: result(
        elementwise("tf.equal", tensor(x), np.asarray(-np.inf, dtype_of(tensor(x))))
    )
)


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


@lowers(np.piecewise)
def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    from unslow.native.interpreter.calls import call

    array = array_of(x)
    value = tensor(array)
    tests = [
        truth(tensor(each)) for each in (condlist if isinstance(condlist, list) else [condlist])
    ]
    functions = list(funclist)
    found = ops.call("tf.zeros_like", value)
    if len(functions) == len(tests) + 1:
        none = tests[0]
        for test in tests[1:]:
            none = ops.call("tf.logical_or", none, test)
        tests.append(ops.call("tf.logical_not", none))
    refuse(len(functions) != len(tests), "NumPy raises ValueError: conditions and functions")
    for test, function in zip(tests, functions, strict=True):
        chosen = call(function, (array, *args), kw) if callable(function) else function
        found = ops.call("tf.where", test, tensor(chosen, dtype_of(value)), found)
    return fresh(found)
