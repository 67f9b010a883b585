"""Means, variances, averages, and what passes over NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers
from unslow.native.kit import (
    array_of,
    axis_number,
    broadcast_to,
    cast,
    dtype_of,
    elementwise,
    expected_dtype,
    fresh,
    ndim,
    product,
    read,
    refuse,
    reshape,
    result,
    size_tensor,
    sizes,
    tensor,
)
from unslow.native.lowering.reductions import _given, _masked, along, axes_of, finish


def count_along(value: Any, axes: list[int], where: Any = None) -> Any:
    """How many elements each result is made of: a known number or a tensor, of 64 bits."""
    if where is None or where is True:
        shape = sizes(value)
        return size_tensor(product([shape[axis] for axis in axes]))
    mask = broadcast_to(tensor(where, "bool"), sizes(value))
    return ops.call("tf.reduce_sum", cast(mask, "int64"), axis=axes, keepdims=True)


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which NumPy sums up for a mean."""
    if dtype.kind in "iub":
        return np.dtype(np.float64)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def mean_along(value: Any, axes: list[int], where: Any = None) -> Any:
    """Means with the reduced axes kept."""
    total = along("tf.reduce_sum", _masked(value, where, 0), axes, True)
    return ops.call("tf.divide", total, cast(count_along(value, axes, where), dtype_of(value)))


def _squeezed(value: Any, axes: list[int], keepdims: Any) -> Any:
    return value if _given(keepdims) or not axes else ops.call("tf.squeeze", value, axis=axes)


@lowers(np.mean)
def _mean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    array = array_of(a)
    final = expected_dtype(np.mean, array, dtype=dtype)
    wide = _wide(dtype_of(read(array))) if dtype is None else np.dtype(dtype)
    refuse(wide.kind == "b", "a mean in truth values")
    axes = axes_of(axis, ndim(array))
    if wide.kind in "iu":
        # NumPy sums up in integers, divides in floats, and cuts off.
        refuse(_given(where) not in (None, True), "a mean in integers of some elements")
        value = tensor(array, wide)
        total = cast(along("tf.reduce_sum", value, axes, True), "float64")
        found = ops.call("tf.divide", total, cast(count_along(value, axes), "float64"))
        return finish(cast(_squeezed(found, axes, keepdims), final), out)
    found = mean_along(tensor(array, wide), axes, _given(where))
    return finish(cast(_squeezed(found, axes, keepdims), final), out)


def variance(value: Any, axes: list[int], ddof: Any, where: Any = None) -> Any:
    """Variances with the reduced axes kept; `value` is wide enough."""
    away = ops.call("tf.subtract", value, mean_along(value, axes, where))
    if dtype_of(value).kind == "c":
        parts = [ops.call(f"tf.math.{part}", away) for part in ("real", "imag")]
        square = ops.call("tf.add", *[ops.call("tf.square", part) for part in parts])
    else:
        square = ops.call("tf.square", away)
    total = along("tf.reduce_sum", _masked(square, where, 0), axes, True)
    dtype = dtype_of(total)
    count = cast(count_along(value, axes, where), dtype)
    left = ops.call(
        "tf.maximum", ops.call("tf.subtract", count, tensor(ddof, dtype)), np.asarray(0, dtype)
    )
    return ops.call("tf.divide", total, left)


def _spread(is_std: bool) -> Callable[..., Any]:
    function = np.std if is_std else np.var

    def lowering(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: Any = 0,
        keepdims: Any = False,
        *,
        where: Any = True,
        mean: Any = None,
        correction: Any = None,
    ) -> Any:
        refuse(_given(mean) is not None, "`mean` of np.var")
        array = array_of(a)
        final = expected_dtype(function, array, dtype=dtype)
        wide = _wide(dtype_of(read(array))) if dtype is None else np.dtype(dtype)
        refuse(wide.kind in "iub", "a variance in integers")
        axes = axes_of(axis, ndim(array))
        correction = _given(correction)
        found = variance(
            tensor(array, wide), axes, ddof if correction is None else correction, _given(where)
        )
        if is_std:
            found = ops.call("tf.sqrt", found)
        return finish(cast(_squeezed(found, axes, keepdims), final), out)

    return lowering


lowers(np.var)(_spread(False))


lowers(np.std)(_spread(True))


def _without_nan(value: Any, fill: Any) -> tuple[Any, Any]:
    nan = elementwise("tf.math.is_nan", value)
    return ops.call("tf.where", nan, np.asarray(fill, dtype_of(value)), value), nan


def _skipping(plain: Any, nan_function: Any, fill: Callable[[np.dtype[Any]], Any]) -> None:
    """A function that passes over NaN, as the plain one on other values in their place."""

    def lowering(a: Any, *args: Any, **kwargs: Any) -> Any:
        array = array_of(a)
        value = tensor(array)
        dtype = dtype_of(value)
        if dtype.kind != "f":
            return call_numpy(plain, (array, *args), kwargs)
        changed, nan = _without_nan(value, fill(dtype))
        found = call_numpy(plain, (fresh(changed), *args), kwargs)
        if plain in (np.max, np.min):
            names = dict(zip(("axis", "out", "keepdims", "initial", "where"), args, strict=False))
            names.update(kwargs)
            axes = axes_of(names.get("axis"), len(value.shape))
            none = ops.call(
                "tf.reduce_all", nan, axis=axes, keepdims=bool(_given(names.get("keepdims")))
            )
            found = result(ops.call("tf.where", none, np.asarray(np.nan, dtype), tensor(found)))
        return found

    lowers(nan_function)(lowering)


_skipping(np.sum, np.nansum, lambda dtype: 0)


_skipping(np.prod, np.nanprod, lambda dtype: 1)


_skipping(np.max, np.nanmax, lambda dtype: -np.inf)


_skipping(np.min, np.nanmin, lambda dtype: np.inf)


_skipping(np.cumsum, np.nancumsum, lambda dtype: 0)


_skipping(np.cumprod, np.nancumprod, lambda dtype: 1)


@lowers(np.nanargmax, np.nanargmin)
def _nanarg(*args: Any, **kwargs: Any) -> Any:
    refuse(True, "NumPy raises an error where all values are NaN")


def _nan_statistic(function: Any, plain: Any) -> None:
    def lowering(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        out: Any = None,
        ddof: Any = 0,
        keepdims: Any = False,
    ) -> Any:
        array = array_of(a)
        value = tensor(array)
        if dtype_of(value).kind != "f":
            extra = {} if plain is np.mean else {"ddof": ddof}
            return call_numpy(plain, (array,), {"axis": axis, "keepdims": keepdims, **extra})
        refuse(dtype is not None, "`dtype` of a function that passes over NaN")
        final = dtype_of(value)
        wide = _wide(final)
        value = cast(value, wide)
        axes = axes_of(axis, len(value.shape))
        there = fresh(ops.call("tf.logical_not", elementwise("tf.math.is_nan", value)))
        clean, _ = _without_nan(value, 0)
        if plain is np.mean:
            found = mean_along(clean, axes, there)
        else:
            left = ops.call(
                "tf.subtract", cast(count_along(clean, axes, there), wide), tensor(ddof, wide)
            )
            found = variance(clean, axes, ddof, there)
            none = ops.call("tf.less_equal", left, np.asarray(0, wide))
            found = ops.call("tf.where", none, np.asarray(np.nan, wide), found)
            if plain is np.std:
                found = ops.call("tf.sqrt", found)
        return finish(cast(_squeezed(found, axes, keepdims), final), out)

    if plain is np.mean:
        lowers(function)(
            lambda a, axis=None, dtype=None, out=None, keepdims=False: lowering(
                a, axis, dtype, out, 0, keepdims
            )
        )
    else:
        lowers(function)(lowering)


_nan_statistic(np.nanmean, np.mean)


_nan_statistic(np.nanstd, np.std)


_nan_statistic(np.nanvar, np.var)


@lowers(np.average)
def _average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False
) -> Any:
    refuse(returned, "`returned` of np.average")
    if weights is None:
        return _mean(a, axis, keepdims=_given(keepdims) or False)
    array, weight = array_of(a), array_of(weights)
    refuse(isinstance(axis, (tuple, list)), "several axes of np.average")
    final = expected_dtype(
        np.average,
        np.ones((1,), dtype_of(read(array))),
        weights=np.ones((1,), dtype_of(read(weight))),
    )
    value, by = tensor(array, final), tensor(weight, final)
    if ndim(array) != ndim(weight):
        refuse(axis is None or ndim(weight) != 1, "NumPy raises TypeError: weights need an axis")
        place = axis_number(axis, ndim(array))
        by = reshape(by, [1] * place + [-1] + [1] * (ndim(array) - place - 1))
    by = broadcast_to(by, sizes(value))
    axes = axes_of(axis, ndim(array))
    keep = bool(_given(keepdims))
    total = along("tf.reduce_sum", ops.call("tf.multiply", value, by), axes, keep)
    return result(cast(ops.call("tf.divide", total, along("tf.reduce_sum", by, axes, keep)), final))
