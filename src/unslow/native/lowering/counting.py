"""Unique values, sets, counts and histograms."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    array_of,
    cast,
    dtype_of,
    elementwise,
    expected_dtype,
    fresh,
    integer,
    is_known,
    read,
    refuse,
    reshape,
    size_tensor,
    sizes,
    tensor,
)
from unslow.native.lowering.sorting import _key, order_along


@lowers(np.unique)
def _unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    **kwargs: Any,
) -> Any:
    refuse(axis is not None, "unique rows")
    refuse(not kwargs.get("sorted", True), "the order of the result is not defined by NumPy")
    value = reshape(tensor(ar), [-1])
    dtype = dtype_of(value)
    refuse(dtype.kind == "c", "the order of complex numbers")
    order = order_along(value, 0)
    ranked = ops.call("tf.gather", _key(value), order)
    pair = ops.index(ranked, (slice(1, None),)), ops.index(ranked, (slice(None, -1),))
    first = ops.call("tf.not_equal", *pair)
    if dtype.kind == "f" and equal_nan:
        number = [ops.call("tf.logical_not", ops.call("tf.math.is_nan", each)) for each in pair]
        first = ops.call("tf.logical_and", first, ops.call("tf.logical_or", *number))
    start = ops.call("tf.ones_like", ops.index(ranked, (slice(None, 1),)), dtype="bool")
    first = ops.call("tf.concat", [start, first], axis=0)
    places = ops.call("tf.boolean_mask", ops.call("tf.range", size_tensor(sizes(value)[0])), first)
    found = [fresh(cast(ops.call("tf.gather", ranked, places), dtype))]
    if return_index:
        found.append(fresh(ops.call("tf.gather", order, places)))
    if return_inverse:
        group = ops.call("tf.subtract", ops.call("tf.cumsum", cast(first, "int64")), np.int64(1))
        back = ops.call(
            "tf.scatter_nd",
            ops.call("tf.expand_dims", order, 1),
            group,
            ops.call("tf.shape", group, out_type="int64"),
        )
        shaped = int(np.__version__.split(".")[0]) >= 2
        found.append(fresh(reshape(back, sizes(tensor(ar)))) if shaped else fresh(back))
    if return_counts:
        end = ops.call("tf.reshape", ops.call("tf.shape", value, out_type="int64"), [1])
        edges = ops.call("tf.concat", [places, end], axis=0)
        counts = ops.call(
            "tf.subtract", ops.index(edges, (slice(1, None),)), ops.index(edges, (slice(None, -1),))
        )
        found.append(fresh(counts))
    return found[0] if len(found) == 1 else tuple(found)


def _unique_many(name: str, **wanted: bool) -> None:
    function = optional(np, name)
    if function is None:
        return

    def lowering(x: Any) -> Any:
        kind = type(function(np.ones(1)))
        return kind(*_unique(x, equal_nan=False, **wanted))

    lowers(function)(lowering)


_unique_many("unique_all", return_index=True, return_inverse=True, return_counts=True)
_unique_many("unique_counts", return_counts=True)
_unique_many("unique_inverse", return_inverse=True)


@lowers(optional(np, "unique_values"))
def _unique_values(x: Any) -> Any:
    refuse(True, "the order of the result is not defined by NumPy")


@lowers(np.union1d)
def _union(ar1: Any, ar2: Any) -> Any:
    return _unique(call_numpy(np.concatenate, ((array_of(ar1), array_of(ar2)),), {"axis": None}))


@lowers(np.intersect1d)
def _intersect(ar1: Any, ar2: Any, assume_unique: bool = False, **kwargs: Any) -> Any:
    refuse(kwargs.get("return_indices"), "indices of np.intersect1d")
    one = _unique(ar1)
    dtype = expected_dtype(np.add, array_of(ar1), array_of(ar2))
    kept = one[call_numpy(np.isin, (one, array_of(ar2)), {})]
    return fresh(tensor(kept, dtype if dtype.kind != "b" else "bool"))


@lowers(np.setdiff1d)
def _setdiff(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    one = fresh(reshape(tensor(ar1), [-1])) if assume_unique else _unique(ar1)
    return one[call_numpy(np.isin, (one, array_of(ar2)), {"invert": True})]


@lowers(np.bincount)
def _bincount(x: Any, weights: Any = None, minlength: Any = 0) -> Any:
    value = tensor(x)
    refuse(dtype_of(value).kind not in "iu", "NumPy raises TypeError: bincount of floats")
    length: Any = integer(minlength, "the least length")
    if np.iinfo(dtype_of(value)).max >= length:
        # The greatest of no values is the least that there is.
        wide = cast(value, "int64")
        highest = ops.call("tf.add", ops.call("tf.reduce_max", wide), np.int64(1))
        length = ops.call("tf.maximum", highest, size_tensor(length))
    value = cast(value, "int32" if np.can_cast(dtype_of(value), np.int32) else "int64")
    if weights is None:
        return fresh(
            ops.call(
                "tf.math.unsorted_segment_sum",
                ops.call("tf.ones_like", value, dtype="int64"),
                value,
                length,
            )
        )
    return fresh(
        ops.call("tf.math.unsorted_segment_sum", tensor(weights, "float64"), value, length)
    )


@lowers(np.histogram)
def _histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    refuse(density, "`density` of np.histogram")
    array = array_of(a)
    value = reshape(tensor(array), [-1])
    dtype = dtype_of(value)
    refuse(dtype.kind not in "iuf", "a histogram of such values")
    if isinstance(bins, (int, np.integer)):
        refuse(range is None, "a histogram whose range hangs on the values")
        from unslow.native.dispatch import known

        low, high = known(range)
        edges = np.histogram_bin_edges(np.zeros(0, dtype), int(bins), (low, high))
    else:
        edges = read(array_of(bins))
        refuse(not is_known(edges), "the edges of a histogram must be known")
    refuse(np.any(np.diff(edges) < 0), "NumPy raises ValueError: bins must increase monotonically")
    wide = np.result_type(dtype, edges.dtype)
    values = cast(value, wide if wide.kind == "f" else "int64")
    limits = edges.astype(dtype_of(values))
    place = ops.call("tf.searchsorted", limits, values, side="right", out_type="int64")
    last = len(edges) - 1
    place = ops.call("tf.where", ops.call("tf.equal", values, limits[-1]), np.int64(last), place)
    inside = ops.call(
        "tf.logical_and",
        elementwise("tf.greater_equal", values, limits[0]),
        elementwise("tf.less_equal", values, limits[-1]),
    )
    place = ops.call("tf.where", inside, ops.call("tf.subtract", place, np.int64(1)), np.int64(-1))
    if weights is None:
        counts = ops.call(
            "tf.math.unsorted_segment_sum", ops.call("tf.ones_like", place), place, last
        )
    else:
        by = reshape(tensor(weights), [-1])
        refuse(dtype_of(by) not in (np.float64, np.float32), "weights that are not floats")
        counts = ops.call("tf.math.unsorted_segment_sum", by, place, last)
    return fresh(counts), fresh(edges)
