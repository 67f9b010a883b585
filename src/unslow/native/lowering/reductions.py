"""Sums, means, extremes and the like, along axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    Array,
    array_of,
    as_tensor,
    axis_number,
    broadcast_shape,
    broadcast_to,
    cast,
    dtype_of,
    elementwise,
    expected_dtype,
    has_kernel,
    ndim,
    refuse,
    reshape,
    result,
    sizes,
    tensor,
)
from unslow.native.lowering.basics import truth
from unslow.native.tracing.array import write
from unslow.native.tracing.dtypes import _WIDER
from unslow.native.untranslatable import Untranslatable

NOTHING = getattr(np, "_NoValue", None)


def axes_of(axis: Any, rank: int) -> list[int]:
    """The axes that are reduced."""
    if axis is None:
        return list(range(rank))
    given = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    axes = [axis_number(each, rank) for each in given]
    refuse(len(set(axes)) < len(axes), "NumPy raises ValueError: duplicate value in 'axis'")
    return axes


def along(name: str, value: Any, axes: list[int], keepdims: bool) -> Any:
    """Call a reduction, in a wider dtype where it has no kernel for the tensor's."""
    if not axes:
        return value
    dtype = dtype_of(value)
    for wider in (dtype.name, *_WIDER.get(dtype.name, ())):
        if has_kernel(name, wider):
            found = ops.call(name, cast(value, wider), axis=axes, keepdims=keepdims)
            return cast(found, dtype) if dtype_of(found).name == wider else found
    if dtype == np.uint64 and name in ("tf.reduce_sum", "tf.reduce_prod"):
        return cast(along(name, cast(value, "int64"), axes, keepdims), dtype)
    raise Untranslatable(f"{name} has no kernel for {dtype}")


def _given(value: Any) -> Any:
    return None if value is NOTHING else value


def _masked(value: Any, where: Any, neutral: Any) -> Any:
    """The values with a neutral one where `where` does not hold."""
    if where is None or where is True:
        return value
    mask = tensor(where, "bool")
    shape = broadcast_shape(sizes(value), sizes(mask))
    mask = broadcast_to(mask, shape)
    return ops.call("tf.where", mask, value, np.asarray(neutral, dtype_of(value)))


def _refuse_empty(value: Any, axes: list[int]) -> None:
    shape = sizes(value)
    refuse(
        any(shape[axis] == 0 for axis in axes if isinstance(shape[axis], int)),
        "NumPy raises ValueError: zero-size array to reduction operation which has no identity",
    )


def finish(value: Any, out: Any) -> Any:
    """The result, in `out` where that is given."""
    if out is None:
        return result(value)
    refuse(not isinstance(out, Array), "an array from outside is changed")
    write(out, value)
    return out


def _sum_like(function: Any, name: str, neutral: int, combine: np.ufunc) -> Callable[..., Any]:
    def lowering(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        array = array_of(a)
        if dtype is None and isinstance(out, Array):
            # NumPy adds in the dtype of `out`.
            fits = np.can_cast(array.dtype, out.dtype, "same_kind")
            refuse(not fits, "NumPy raises UFuncTypeError: the result does not fit `out`")
            dtype = out.dtype
        dtype = None if dtype is None else np.dtype(dtype)
        found_dtype = expected_dtype(function, array, dtype=dtype)
        initial, where = _given(initial), _given(where)
        value = _masked(tensor(array, found_dtype), where, neutral)
        axes = axes_of(axis, ndim(array))
        wide = np.float32 if found_dtype == np.float16 else found_dtype
        if found_dtype.kind == "b":
            logical = "tf.reduce_any" if neutral == 0 else "tf.reduce_all"
            found = ops.call(logical, value, axis=axes, keepdims=bool(_given(keepdims)))
        else:
            found = along(name, cast(value, wide), axes, bool(_given(keepdims)))
        if initial is not None:
            from unslow.native.lowering.elementwise import apply

            found = apply(combine, found, tensor(initial, wide))
        return finish(cast(found, found_dtype), out)

    return lowering


lowers(np.sum)(_sum_like(np.sum, "tf.reduce_sum", 0, np.add))


lowers(np.prod, optional(np, "product"))(_sum_like(np.prod, "tf.reduce_prod", 1, np.multiply))


def least(dtype: np.dtype[Any]) -> Any:
    """The least value of a dtype."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def greatest(dtype: np.dtype[Any]) -> Any:
    """The greatest value of a dtype."""
    if dtype.kind == "f":
        return np.inf
    return True if dtype.kind == "b" else np.iinfo(dtype).max


def extreme(value: Any, axes: list[int], keepdims: bool, is_max: bool) -> Any:
    """The greatest or least values; a NaN stays."""
    dtype = dtype_of(value)
    refuse(dtype.kind == "c", "the order of complex numbers")
    if dtype.kind == "b":
        name = "tf.reduce_any" if is_max else "tf.reduce_all"
        return ops.call(name, value, axis=axes, keepdims=keepdims)
    found = along("tf.reduce_max" if is_max else "tf.reduce_min", value, axes, keepdims)
    if dtype.kind == "f":
        nan = ops.call(
            "tf.reduce_any", elementwise("tf.math.is_nan", value), axis=axes, keepdims=keepdims
        )
        found = ops.call("tf.where", nan, np.asarray(np.nan, dtype), found)
    return found


def _extreme(is_max: bool) -> Callable[..., Any]:
    def lowering(
        a: Any,
        axis: Any = None,
        out: Any = None,
        keepdims: Any = False,
        initial: Any = None,
        where: Any = True,
    ) -> Any:
        array = array_of(a)
        value = tensor(array)
        axes = axes_of(axis, ndim(array))
        dtype = dtype_of(value)
        refuse(dtype.kind == "c", "the order of complex numbers")
        initial, where = _given(initial), _given(where)
        if initial is None:
            _refuse_empty(value, axes)
            refuse(where not in (None, True), "NumPy raises ValueError: `where` needs `initial`")
        value = _masked(value, where, least(dtype) if is_max else greatest(dtype))
        found = extreme(value, axes, bool(_given(keepdims)), is_max)
        if initial is not None:
            from unslow.native.lowering.elementwise import apply

            found = apply(np.maximum if is_max else np.minimum, found, tensor(initial, dtype))
        return finish(found, out)

    return lowering


lowers(np.max, np.amax)(_extreme(True))


lowers(np.min, np.amin)(_extreme(False))


@lowers(np.ptp)
def _ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    top = _extreme(True)(a, axis, None, keepdims)
    return call_numpy(np.subtract, (top, _extreme(False)(a, axis, None, keepdims)), {"out": out})


def _logical(is_any: bool) -> Callable[..., Any]:
    def lowering(
        a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
    ) -> Any:
        value = _masked(truth(tensor(a)), _given(where), not is_any)
        axes = axes_of(axis, len(value.shape))
        name = "tf.reduce_any" if is_any else "tf.reduce_all"
        if axes:
            value = ops.call(name, value, axis=axes, keepdims=bool(_given(keepdims)))
        return finish(value, out)

    return lowering


lowers(np.any, optional(np, "sometrue"))(_logical(True))


lowers(np.all, optional(np, "alltrue"))(_logical(False))


@lowers(np.count_nonzero)
def _count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    value = truth(tensor(a))
    axes = axes_of(axis, len(value.shape))
    found = ops.call("tf.reduce_sum", cast(value, "int64"), axis=axes, keepdims=keepdims)
    from unslow.native.kit import number

    return (
        number(found) if axis is None and not keepdims and NEW_SCALARS is False else result(found)
    )


NEW_SCALARS = int(np.__version__.split(".")[0]) >= 2


def arg_extreme(value: Any, axis: int, is_max: bool) -> Any:
    """The place of the first greatest or least value; of the first NaN, where there is one."""
    dtype = dtype_of(value)
    refuse(dtype.kind == "c", "the order of complex numbers")
    name = "tf.argmax" if is_max else "tf.argmin"
    if dtype.kind == "b":
        value = cast(value, "uint8")
    elif dtype.name in ("uint16", "uint32", "float16"):
        value = cast(
            value, {"uint16": "int32", "uint32": "int64", "float16": "float32"}[dtype.name]
        )
    refuse(dtype == np.uint64, "places of extremes among unsigned integers of 64 bits")
    found = ops.call(name, value, axis=axis, output_type="int64")
    if dtype.kind == "f":
        nan = elementwise("tf.math.is_nan", value)
        first = ops.call("tf.argmax", cast(nan, "uint8"), axis=axis, output_type="int64")
        found = ops.call("tf.where", ops.call("tf.reduce_any", nan, axis=axis), first, found)
    return found


def _arg(is_max: bool) -> Callable[..., Any]:
    def lowering(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        value = tensor(a)
        rank = len(value.shape)
        keep = _given(keepdims)
        if axis is None:
            flat = reshape(value, [-1])
            _refuse_empty(flat, [0])
            found = arg_extreme(flat, 0, is_max)
            return finish(reshape(found, [1] * rank) if keep else found, out)
        axis = axis_number(axis, rank)
        _refuse_empty(value, [axis])
        found = arg_extreme(value, axis, is_max)
        return finish(ops.call("tf.expand_dims", found, axis) if keep else found, out)

    return lowering


lowers(np.argmax)(_arg(True))


lowers(np.argmin)(_arg(False))


def _cumulative(function: Any, name: str) -> Callable[..., Any]:
    def lowering(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        array = array_of(a)
        final = expected_dtype(function, array, dtype=dtype)
        value = tensor(array, final)
        if axis is None:
            value, axis = reshape(value, [-1]), 0
        axis = axis_number(axis, len(value.shape))
        return finish(cumulated(name, value, axis), out)

    return lowering


def cumulated(name: str, value: Any, axis: int) -> Any:
    """Running sums or products."""
    dtype = dtype_of(value)
    if dtype.kind in "iu" and dtype not in (np.int32, np.int64):
        return cast(ops.call(name, cast(value, "int64"), axis=axis), dtype)
    refuse(dtype.kind == "b", "running sums of truth values")
    return ops.call(name, value, axis=axis)


lowers(np.cumsum)(_cumulative(np.cumsum, "tf.cumsum"))


lowers(np.cumprod, optional(np, "cumproduct"))(_cumulative(np.cumprod, "tf.math.cumprod"))


def _cumulative_new(function: Any, name: str, neutral: int) -> None:
    def lowering(
        x: Any,
        /,
        *,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        include_initial: bool = False,
    ) -> Any:
        array = array_of(x)
        axis = 0 if axis is None else axis_number(axis, ndim(array))
        value = cumulated(
            name, tensor(array, expected_dtype(function, array, axis=axis, dtype=dtype)), axis
        )
        if include_initial:
            shape = sizes(value)
            shape[axis] = 1
            first = broadcast_to(as_tensor(np.asarray(neutral, dtype_of(value))), shape)
            value = ops.call("tf.concat", [first, value], axis=axis)
        return finish(value, out)

    lowers(function)(lowering)


if hasattr(np, "cumulative_sum"):
    _cumulative_new(np.cumulative_sum, "tf.cumsum", 0)
    _cumulative_new(np.cumulative_prod, "tf.math.cumprod", 1)
