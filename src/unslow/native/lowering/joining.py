"""Arrays put together, taken apart, repeated and shifted."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    Array,
    array_of,
    as_tensor,
    axis_number,
    cast,
    dtype_of,
    expected_dtype,
    fresh,
    integer,
    is_known,
    is_size,
    is_traced,
    ndim,
    number,
    product,
    raw_shape,
    raw_size,
    read,
    refuse,
    reshape,
    size_tensor,
    sizes,
    tensor,
    value_of,
)
from unslow.native.lowering.runs import stacked
from unslow.native.tracing import indexing, views
from unslow.native.tracing.array import view
from unslow.native.tracing.operators import lesser_of

ALL = slice(None)


def _arrays(arrays: Any) -> list[Array]:
    if isinstance(arrays, Array):
        return [array_of(each) for each in arrays]
    return [array_of(each) for each in arrays]


@lowers(np.concatenate, optional(np, "concat"))
def concatenate(
    arrays: Any, /, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Any:
    """`np.concatenate`."""
    refuse(out is not None, "`out` of np.concatenate")
    parts = _arrays(arrays)
    if axis is None:
        parts, axis = [fresh(reshape(read(part), [-1])) for part in parts], 0
    rank = ndim(parts[0])
    refuse(not rank, "NumPy raises ValueError: zero-dimensional arrays cannot be concatenated")
    refuse(any(ndim(part) != rank for part in parts), "arrays of unlike ranks are concatenated")
    common = expected_dtype(np.concatenate, parts, dtype=dtype, casting=casting)
    axis = axis_number(axis, rank)
    return fresh(ops.call("tf.concat", [tensor(part, common) for part in parts], axis=axis))


@lowers(np.stack)
def _stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, **kwargs: Any) -> Any:
    refuse(out is not None, "`out` of np.stack")
    parts = _arrays(arrays)
    if parts:
        axis = axis_number(axis, ndim(parts[0]) + 1)
        together = stacked(parts, axis)
        if together is not None:
            like = np.ones(1, dtype_of(together))
            common = expected_dtype(np.stack, [like], dtype=dtype, **kwargs)
            return fresh(cast(together, common))
    common = expected_dtype(np.stack, parts, dtype=dtype, **kwargs)
    return fresh(ops.call("tf.stack", [tensor(part, common) for part in parts], axis=axis))


@lowers(np.vstack, optional(np, "row_stack") if not hasattr(np, "concat") else None)
def _vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [call_numpy(np.atleast_2d, (part,), {}) for part in _arrays(tup)]
    return concatenate(parts, 0, dtype=dtype, casting=casting)


@lowers(np.hstack)
def _hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    parts = [call_numpy(np.atleast_1d, (part,), {}) for part in _arrays(tup)]
    return concatenate(parts, 0 if ndim(parts[0]) == 1 else 1, dtype=dtype, casting=casting)


@lowers(np.dstack)
def _dstack(tup: Any) -> Any:
    return concatenate([call_numpy(np.atleast_3d, (part,), {}) for part in _arrays(tup)], 2)


@lowers(np.column_stack)
def _column_stack(tup: Any) -> Any:
    parts = [part[:, None] if ndim(part) == 1 else part for part in _arrays(tup)]
    return concatenate(parts, 1)


@lowers(np.block)
def _block(arrays: Any) -> Any:
    def depth(value: Any) -> int:
        return 1 + depth(value[0]) if isinstance(value, list) else 0

    deep = depth(arrays)

    def rank(value: Any) -> int:
        return max(map(rank, value)) if isinstance(value, list) else ndim(array_of(value))

    axes = max(deep, rank(arrays))

    def join(value: Any, level: int) -> Any:
        if not isinstance(value, list):
            array = array_of(value)
            missing = axes - ndim(array)
            return array[(None,) * missing] if missing > 0 else array
        return concatenate([join(each, level + 1) for each in value], axes - deep + level)

    found = join(arrays, 0)
    return found if isinstance(arrays, list) else fresh(read(found))


@lowers(np.append)
def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    return concatenate([array_of(arr), array_of(values)], axis)


@lowers(np.array_split, np.split, always=True)
def _array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    array = array_of(ary)
    axis = axis_number(axis, ndim(array))
    size = sizes(read(array))[axis]
    given = indices_or_sections
    if isinstance(given, (int, np.integer)):
        each, more = divmod(number(size), int(given))
        edges = [raw_size(each * part + lesser_of(part, more)) for part in range(1, int(given))]
    else:
        edges = [raw_size(each) for each in given]
    edges = [0, *edges, None]
    found = []
    for start, stop in itertools.pairwise(edges):
        part = slice(start, stop)
        found.append(
            view(array, views.Index((ALL,) * axis + (part,) + (ALL,) * (ndim(array) - axis - 1)))
        )
    from unslow.native.tracing.state import make

    return make(found)


@lowers(np.split, always=True)
def _split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> Any:
    array = array_of(ary)
    size = sizes(read(array))[axis_number(axis, ndim(array))]
    if isinstance(indices_or_sections, (int, np.integer)):
        refuse(not isinstance(size, int), "an axis of unknown size is split into equal parts")
        refuse(size % int(indices_or_sections), "NumPy raises ValueError: no equal division")
    return _array_split(array, indices_or_sections, axis)


lowers(np.vsplit, always=True)(lambda ary, parts: _split(ary, parts, 0))
lowers(np.dsplit, always=True)(lambda ary, parts: _split(ary, parts, 2))
lowers(np.hsplit, always=True)(
    lambda ary, parts: _split(ary, parts, 0 if ndim(array_of(ary)) == 1 else 1)
)


@lowers(optional(np, "unstack"), always=True)
def _unstack(x: Any, /, *, axis: int = 0) -> Any:
    moved = call_numpy(np.moveaxis, (array_of(x), axis, 0), {})
    return tuple(moved[place] for place in range(len(moved)))


@lowers(np.tile)
def _tile(A: Any, reps: Any) -> Any:
    value = tensor(A)
    times = raw_shape(reps)
    rank = len(value.shape)
    times = [1] * (rank - len(times)) + times
    value = reshape(value, [1] * (len(times) - rank) + sizes(value))
    return fresh(ops.call("tf.tile", value, views.static_shape(times)))


@lowers(np.repeat)
def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    value = tensor(a)
    if axis is None:
        value, axis = reshape(value, [-1]), 0
    axis = axis_number(axis, len(value.shape))
    times = cast(value_of(repeats), "int64")
    if is_known(times) and times.size == 1:
        count = int(times.reshape(-1)[0])
        return fresh(ops.call("tf.repeat", value, count, axis=axis))
    return fresh(ops.call("tf.repeat", value, times, axis=axis))


@lowers(np.roll)
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    value = tensor(a)
    shape = sizes(value)
    shifts = _several(shift)
    if axis is None:
        flat = reshape(value, [-1])
        by = [raw_size(each) for each in shifts]
        return fresh(reshape(_rolled(flat, by, [0] * len(by)), shape))
    axes = _several(axis)
    count = max(len(axes), len(shifts))
    axes = axes * count if len(axes) == 1 else axes
    shifts = shifts * count if len(shifts) == 1 else shifts
    places = [axis_number(each, len(shape)) for each in axes]
    return fresh(_rolled(value, [raw_size(each) for each in shifts], places))


def _several(value: Any) -> list[Any]:
    """One or several numbers, as a list."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Array) and ndim(value):
        refuse(ndim(value) > 1, "NumPy raises ValueError: several axes of shifts")
        return list(value)
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _rolled(value: Any, shifts: list[Any], axes: list[int]) -> Any:
    shape = sizes(value)
    by, along = [], []
    for given, axis in zip(shifts, axes, strict=True):
        size = shape[axis]
        if isinstance(given, int) and isinstance(size, int):
            shift: Any = given % size if size else 0
        else:
            # The op counts in 32 bits.
            one = np.int64(1)
            whole = max(size, one) if isinstance(size, int) else ops.call("tf.maximum", size, one)
            shift = ops.call("tf.math.floormod", size_tensor(given), whole)
        if not is_size(shift, 0):
            by.append(shift)
            along.append(axis)
    return ops.call("tf.roll", value, views.static_shape(by), along) if by else value


@lowers(np.delete)
def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    value = tensor(arr)
    if axis is None:
        value, axis = reshape(value, [-1]), 0
    axis = axis_number(axis, len(value.shape))
    size = sizes(value)[axis]
    if not isinstance(size, int) or (is_traced(obj) and ndim(obj)):
        keep = _all_but(obj, size)
        return fresh(ops.call("tf.boolean_mask", value, keep, axis=axis))
    if is_traced(obj):
        place = raw_size(obj)
        place = ops.call("tf.where", ops.call("tf.less", place, np.int64(0)), place + size, place)
        line = np.arange(size - 1)
        index = ops.call("tf.where", ops.call("tf.less", line, place), line, line + 1)
    else:
        from unslow.native.dispatch import known

        index = np.delete(np.arange(size), known(obj))
    return fresh(ops.call("tf.gather", value, index, axis=axis))


def _all_but(obj: Any, size: Any) -> Any:
    """Which of so many elements are left when those that are picked are deleted."""
    total = size_tensor(size)
    if isinstance(obj, slice):
        line = fresh(ops.call("tf.range", total))
        picked = tensor(line[obj])
    else:
        index = value_of(obj)
        if dtype_of(index).kind == "b":
            return ops.call("tf.logical_not", as_tensor(index))
        picked = reshape(as_tensor(indexing.from_zero(index, size)), [-1])
    keep = ops.call("tf.fill", views.static_shape([size]), True)
    gone = ops.call("tf.zeros_like", picked, dtype="bool")
    return ops.call(
        "tf.tensor_scatter_nd_update", keep, ops.call("tf.expand_dims", picked, 1), gone
    )


@lowers(np.insert)
def _insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    value = tensor(arr)
    if axis is None:
        value, axis = reshape(value, [-1]), 0
    axis = axis_number(axis, len(value.shape))
    size = sizes(value)[axis]
    place = (
        integer(obj, "where elements are inserted")
        if np.ndim(obj) == 0 or (isinstance(obj, Array) and not ndim(obj))
        else None
    )
    refuse(place is None, "elements are inserted at several places")
    assert place is not None
    place = place + size if place < 0 and isinstance(size, int) else place
    new = tensor(values, dtype_of(value))
    rank = len(value.shape)
    if len(new.shape) == rank and rank == 1:
        pass
    elif len(new.shape) < rank:
        new = reshape(new, [1] * (rank - len(new.shape)) + sizes(new))
        if rank > 1:
            order = list(range(1, rank))
            order.insert(axis, 0)
            new = ops.call("tf.transpose", new, order) if axis else new
    shape = sizes(value)
    shape[axis] = sizes(new)[axis]
    new = ops.call("tf.broadcast_to", new, views.static_shape(shape))
    before = (ALL,) * axis
    head = ops.index(value, (*before, slice(None, place)))
    tail = ops.index(value, (*before, slice(place, None)))
    return fresh(ops.call("tf.concat", [head, new, tail], axis=axis))


@lowers(np.resize)
def _resize(a: Any, new_shape: Any) -> Any:
    value = reshape(tensor(a), [-1])
    shape = raw_shape(new_shape)
    size, total = sizes(value)[0], product(shape)
    refuse(is_size(size, 0), "an empty array is resized")
    if not isinstance(size, int) or not isinstance(total, int):
        line = ops.call("tf.range", size_tensor(total))
        place = ops.call("tf.math.floormod", line, size_tensor(size))
        return fresh(reshape(ops.call("tf.gather", value, place), shape))
    times = -(-total // size)
    longer = ops.call("tf.tile", value, [times]) if times > 1 else value
    return fresh(reshape(ops.index(longer, (slice(None, total),)), shape))


def _triangle(upper: bool) -> Any:
    def lowering(m: Any, k: Any = 0) -> Any:
        value = tensor(m)
        if len(value.shape) == 1:
            value = ops.call(
                "tf.tile", reshape(value, [1, -1]), views.static_shape([sizes(value)[0], 1])
            )
        rows, columns = sizes(value)[-2:]
        down = ops.call("tf.expand_dims", ops.call("tf.range", size_tensor(rows)), 1)
        across = ops.call("tf.expand_dims", ops.call("tf.range", size_tensor(columns)), 0)
        reach = ops.call("tf.add", down, tensor(k, "int64"))
        name = "tf.greater_equal" if not upper else "tf.less_equal"
        keep = ops.call(name, reach, across)
        return fresh(ops.call("tf.where", keep, value, np.zeros((), dtype_of(value))))

    return lowering


lowers(np.tril)(_triangle(False))
lowers(np.triu)(_triangle(True))


@lowers(np.trim_zeros)
def _trim_zeros(filt: Any, *args: Any, **kwargs: Any) -> Any:
    refuse(True, "how long the result is hangs on the values")
