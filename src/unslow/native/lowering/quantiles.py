"""Medians and quantiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import lowers
from unslow.native.kit import (
    array_of,
    cast,
    dtype_of,
    elementwise,
    expected_dtype,
    is_known,
    is_size,
    read,
    refuse,
    reshape,
    result,
    sizes,
    tensor,
)
from unslow.native.lowering.reductions import axes_of, finish
from unslow.native.lowering.sorting import sorted_along


def _at(value: Any, place: Any, axis: int) -> Any:
    return ops.call("tf.gather", value, place, axis=axis)


def quantiles(value: Any, q: Any, axis: int, method: str) -> Any:
    """Quantiles along an axis, `q` between 0 and 1 in front; NaN where there is one."""
    dtype = dtype_of(value)
    ranked = sorted_along(value, axis)
    last = ops.call(
        "tf.subtract", cast(size_or_tensor(sizes(value)[axis]), "float64"), np.float64(1)
    )
    place = ops.call("tf.multiply", q, last)
    below = ops.call("tf.floor", place)
    above = ops.call("tf.math.ceil", place)
    if method == "lower":
        found = _at(ranked, cast(below, "int64"), axis)
    elif method == "higher":
        found = _at(ranked, cast(above, "int64"), axis)
    elif method == "nearest":
        found = _at(ranked, cast(ops.call("tf.round", place), "int64"), axis)
    else:
        refuse(method not in ("linear", "midpoint"), f"the method {method} of quantiles")
        share = ops.call("tf.subtract", place, below)
        if method == "midpoint":
            whole = ops.call("tf.equal", share, np.float64(0))
            share = ops.call("tf.where", whole, np.float64(0), np.float64(0.5))
        low, high = _at(ranked, cast(below, "int64"), axis), _at(ranked, cast(above, "int64"), axis)
        rank = len(value.shape)
        if len(q.shape):
            share = reshape(share, [1] * axis + [-1] + [1] * (rank - axis - 1))
        share = cast(share, dtype)
        away = ops.call("tf.subtract", high, low)
        first = ops.call("tf.add", low, ops.call("tf.multiply", away, share))
        rest = ops.call("tf.subtract", np.asarray(1, dtype), share)
        second = ops.call("tf.subtract", high, ops.call("tf.multiply", away, rest))
        found = ops.call(
            "tf.where", ops.call("tf.greater_equal", share, np.asarray(0.5, dtype)), second, first
        )
        # Between equal infinities there is no difference.
        found = ops.call("tf.where", ops.call("tf.equal", low, high), low, found)
    nan = ops.call(
        "tf.reduce_any",
        elementwise("tf.math.is_nan", value),
        axis=axis,
        keepdims=bool(len(q.shape)),
    )
    found = ops.call("tf.where", nan, np.asarray(np.nan, dtype), found)
    if len(q.shape) and axis:
        rank = len(found.shape)
        found = ops.call("tf.transpose", found, [axis, *[p for p in range(rank) if p != axis]])
    return found


def size_or_tensor(size: Any) -> Any:
    """A size as a known array or a tensor."""
    return np.asarray(size) if isinstance(size, int) else size


def _flattened(value: Any, axis: Any) -> tuple[Any, int, list[int]]:
    """The values with all reduced axes as one, which that is, and which they were."""
    rank = len(value.shape)
    axes = axes_of(axis, rank)
    if len(axes) == 1:
        return value, axes[0], axes
    kept = [place for place in range(rank) if place not in axes]
    order = kept + axes
    if order != list(range(rank)):
        value = ops.call("tf.transpose", value, order)
    shape = sizes(value)
    return reshape(value, [*shape[: len(kept)], -1]), len(kept), axes


def _quantile(function: Any, scale: float) -> Callable[..., Any]:
    def lowering(
        a: Any,
        q: Any,
        axis: Any = None,
        out: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: bool = False,
        **kwargs: Any,
    ) -> Any:
        refuse(kwargs or out is not None, "such arguments of quantiles")
        array = array_of(a)
        final = expected_dtype(function, array, q, method=method)
        value = tensor(array)
        refuse(dtype_of(value).kind not in "iuf", "quantiles of such values")
        if dtype_of(value).kind != "f" or method not in ("lower", "higher", "nearest"):
            value = cast(value, "float64")
        part = ops.call("tf.divide", tensor(q, "float64"), np.float64(scale))
        refuse(len(part.shape) > 1, "quantiles in more than one axis")
        flat, axis_at, axes = _flattened(value, axis)
        refuse(is_size(sizes(flat)[axis_at], 0), "quantiles of no values")
        found = cast(quantiles(flat, part, axis_at, method), final)
        if keepdims:
            shift = len(part.shape)
            for place in sorted(axes):
                found = ops.call("tf.expand_dims", found, place + shift)
        return result(found)

    return lowering


lowers(np.quantile)(_quantile(np.quantile, 1.0))


lowers(np.percentile)(_quantile(np.percentile, 100.0))


@lowers(np.median)
def _median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    array = array_of(a)
    final = expected_dtype(np.median, array)
    source = dtype_of(read(array))
    wide = "float64" if source.kind in "iub" else "float32" if source == np.float16 else source
    flat, axis_at, axes = _flattened(tensor(array, wide), axis)
    ranked = sorted_along(flat, axis_at)
    size = size_or_tensor(sizes(flat)[axis_at])
    refuse(is_known(size) and size == 0, "the median of no values")
    one, two = np.int64(1), np.int64(2)
    low = ops.call("tf.math.floordiv", ops.call("tf.subtract", size, one), two)
    if not is_known(size):
        # Of no values, NaN: it is put behind all others.
        paddings = [[0, int(place == axis_at)] for place in range(len(ranked.shape))]
        nothing = np.asarray(np.nan, dtype_of(ranked))
        ranked = ops.call("tf.pad", ranked, paddings, constant_values=nothing)
        low = ops.call("tf.maximum", low, np.int64(0))
    high = ops.call("tf.math.floordiv", size, two)
    pair = [_at(ranked, place, axis_at) for place in (low, high)]
    mean = ops.call("tf.divide", ops.call("tf.add", *pair), np.asarray(2, dtype_of(flat)))
    found = ops.call("tf.where", ops.call("tf.equal", *pair), pair[0], mean)
    nan = ops.call("tf.reduce_any", elementwise("tf.math.is_nan", flat), axis=axis_at)
    found = cast(ops.call("tf.where", nan, np.asarray(np.nan, dtype_of(flat)), found), final)
    if keepdims:
        for place in sorted(axes):
            found = ops.call("tf.expand_dims", found, place)
    return finish(found, out)


@lowers(np.nanmedian, np.nanquantile, np.nanpercentile)
def _nan_quantile(*args: Any, **kwargs: Any) -> Any:
    refuse(True, "quantiles that pass over NaN")
