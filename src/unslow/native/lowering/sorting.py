"""Sorting, searching, counting, and statistics of order."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import lowers
from unslow.native.kit import (
    array_of,
    axis_number,
    cast,
    dtype_of,
    elementwise,
    expected_dtype,
    fresh,
    is_known,
    read,
    refuse,
    reshape,
    result,
    size_tensor,
    sizes,
    tensor,
    value_of,
)
from unslow.native.tracing.surroundings import compiled

_SORTED_AS = {
    "bool": "int32",
    "int8": "int32",
    "uint8": "int32",
    "int16": "int32",
    "uint16": "int32",
    "uint32": "int64",
    "float16": "float32",
}


def _key(value: Any) -> Any:
    """Values in a dtype that can be sorted, in the same order."""
    dtype = dtype_of(value)
    refuse(dtype.kind == "c", "the order of complex numbers")
    refuse(dtype == np.uint64, "unsigned integers of 64 bits are sorted")
    return cast(value, _SORTED_AS.get(dtype.name, dtype.name))


def sorted_along(value: Any, axis: int) -> Any:
    """Sorted values; NaN come last."""
    dtype = dtype_of(value)
    key = _key(value)
    if dtype.kind != "f":
        return cast(ops.call("tf.sort", key, axis=axis), dtype)
    nan = elementwise("tf.math.is_nan", key)
    found = ops.call(
        "tf.sort", ops.call("tf.where", nan, np.asarray(np.inf, dtype_of(key)), key), axis=axis
    )
    # As many of the last ones are NaN as there were.
    last = ops.call("tf.cast", nan, "int32")
    last = ops.call("tf.sort", last, axis=axis)
    found = ops.call(
        "tf.where", ops.call("tf.equal", last, 1), np.asarray(np.nan, dtype_of(key)), found
    )
    return cast(found, dtype)


def order_along(value: Any, axis: int) -> Any:
    """The places of the sorted values, equal ones in their order; NaN come last."""
    dtype = dtype_of(value)
    key = _key(value)
    if dtype.kind != "f":
        return cast(ops.call("tf.argsort", key, axis=axis, stable=True), "int64")
    nan = elementwise("tf.math.is_nan", key)
    clean = ops.call("tf.where", nan, np.asarray(np.inf, dtype_of(key)), key)
    if compiled():
        # XLA sorts -0.0 before 0.0, which are equal.
        zero = np.zeros((), dtype_of(key))
        clean = ops.call("tf.where", ops.call("tf.equal", clean, zero), zero, clean)
    rank = len(value.shape)
    turned = axis != rank - 1
    axes = [place for place in range(rank) if place != axis] + [axis]
    if turned:
        clean, nan = ops.call("tf.transpose", clean, axes), ops.call("tf.transpose", nan, axes)
    order = ops.call("tf.argsort", clean, axis=-1, stable=True)
    last = ops.call(
        "tf.gather", ops.call("tf.cast", nan, "int32"), order, axis=rank - 1, batch_dims=rank - 1
    )
    again = ops.call("tf.argsort", last, axis=-1, stable=True)
    order = ops.call("tf.gather", order, again, axis=rank - 1, batch_dims=rank - 1)
    if turned:
        order = ops.call("tf.transpose", order, [axes.index(place) for place in range(rank)])
    return cast(order, "int64")


@lowers(np.sort)
def _sort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    value = tensor(a)
    if axis is None:
        value, axis = reshape(value, [-1]), 0
    return fresh(sorted_along(value, axis_number(axis, len(value.shape))))


@lowers(np.argsort)
def _argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    value = tensor(a)
    if axis is None or (not len(value.shape) and axis in (0, -1)):
        value, axis = reshape(value, [-1]), 0
    return fresh(order_along(value, axis_number(axis, len(value.shape))))


@lowers(np.lexsort)
def _lexsort(keys: Any, axis: int = -1) -> Any:
    parts = [tensor(key) for key in keys]
    refuse(len(parts[0].shape) != 1, "np.lexsort of more than one axis")
    order = order_along(parts[0], 0)
    for part in parts[1:]:
        by = ops.call("tf.gather", part, order)
        order = ops.call("tf.gather", order, order_along(by, 0))
    return fresh(order)


@lowers(np.partition, np.argpartition)
def _partition(*args: Any, **kwargs: Any) -> Any:
    refuse(True, "the order inside the parts is not defined by NumPy")


@lowers(np.searchsorted)
def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    array = array_of(a)
    if sorter is not None:
        array = array[sorter]
    wanted = v if isinstance(v, (int, float)) else array_of(v)
    dtype = expected_dtype(np.searchsorted, array, wanted) and np.result_type(
        dtype_of(read(array)), dtype_of(value_of(v))
    )
    refuse(dtype.kind == "c", "the order of complex numbers")
    refuse(dtype == np.uint64, "unsigned integers of 64 bits are searched")
    wide = {"f": "float64" if dtype == np.float64 else "float32"}.get(dtype.kind, "int64")
    edges, values = tensor(array, wide), tensor(v, wide)
    shape = sizes(values)
    flat = reshape(values, [-1])
    name = "tf.searchsorted"
    found = ops.call(name, edges, flat, side=side, out_type="int64")
    if dtype.kind == "f":
        # NaN comes after all others.
        nan = ops.call("tf.math.is_nan", flat)
        count = ops.call("tf.reduce_sum", cast(ops.call("tf.math.is_nan", edges), "int64"))
        total = size_tensor(sizes(edges)[0])
        there = ops.call("tf.subtract", total, count) if side == "left" else total
        clean = ops.call(
            "tf.where", ops.call("tf.math.is_nan", edges), np.asarray(np.inf, wide), edges
        )
        found = ops.call(name, clean, flat, side=side, out_type="int64")
        # An infinity is among those that stand for NaN.
        found = ops.call("tf.minimum", found, ops.call("tf.subtract", total, count))
        found = ops.call("tf.where", nan, there, found)
    return result(reshape(found, shape))


@lowers(np.digitize)
def _digitize(x: Any, bins: Any, right: bool = False) -> Any:
    edges = array_of(bins)
    plain = read(edges)
    refuse(not is_known(plain), "whether the edges rise or fall must be known")
    side = "left" if right else "right"
    if len(plain) > 1 and plain[0] > plain[-1]:
        refuse(np.any(np.diff(plain) > 0), "NumPy raises ValueError: bins must be monotonic")
        found = _searchsorted(fresh(plain[::-1]), x, "right" if right else "left")
        return len(plain) - found
    refuse(np.any(np.diff(plain) < 0), "NumPy raises ValueError: bins must be monotonic")
    return _searchsorted(edges, x, side)
