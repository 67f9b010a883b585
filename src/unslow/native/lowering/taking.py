"""Elements taken out of arrays, and put into them, by their places."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import lowers
from unslow.native.kit import (
    Array,
    array_of,
    as_tensor,
    axis_number,
    broadcast_shape,
    broadcast_to,
    cast,
    dtype_of,
    expected_dtype,
    fresh,
    is_known,
    is_size,
    ndim,
    read,
    refuse,
    reshape,
    result,
    sizes,
    tensor,
    value_of,
)
from unslow.native.lowering.basics import truth
from unslow.native.tracing import indexing


@lowers(np.nonzero)
def _nonzero(a: Any) -> Any:
    value = truth(tensor(a))
    refuse(not len(value.shape), "NumPy raises ValueError: nonzero on 0d arrays")
    places = ops.call("tf.where", value)
    return tuple(
        fresh(ops.index(places, (slice(None), column))) for column in range(len(value.shape))
    )


@lowers(np.flatnonzero)
def _flatnonzero(a: Any) -> Any:
    return _nonzero(fresh(reshape(tensor(a), [-1])))[0]


@lowers(np.argwhere)
def _argwhere(a: Any) -> Any:
    return fresh(ops.call("tf.where", truth(tensor(a))))


@lowers(np.extract)
def _extract(condition: Any, arr: Any) -> Any:
    return fresh(reshape(tensor(arr), [-1]))[fresh(reshape(truth(tensor(condition)), [-1]))]


@lowers(np.compress)
def _compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    refuse(out is not None, "`out` of np.compress")
    array = array_of(a)
    if axis is None:
        array, axis = fresh(reshape(read(array), [-1])), 0
    places = _nonzero(condition)[0]
    return array[(slice(None),) * axis_number(axis, ndim(array)) + (places,)]


def _wrapped(index: Any, size: Any, mode: str) -> Any:
    """Indices that lie inside, by the mode of np.take."""
    if mode == "raise":
        return indexing.from_zero(index, size, narrow=True)
    limit = np.int64(size) if isinstance(size, int) else size
    index = as_tensor(cast(index, "int64"))
    if mode == "wrap":
        return ops.call("tf.math.floormod", index, limit)
    refuse(mode != "clip", "NumPy raises ValueError: no such mode")
    index = ops.call("tf.maximum", index, np.int64(0))
    return ops.call("tf.minimum", index, ops.call("tf.subtract", limit, np.int64(1)))


@lowers(np.take)
def _take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    refuse(out is not None, "`out` of np.take")
    value = tensor(a)
    if axis is None:
        value, axis = reshape(value, [-1]), 0
    axis = axis_number(axis, len(value.shape))
    index = value_of(indices)
    refuse(dtype_of(index).kind not in "iub", "NumPy raises TypeError: indices are no integers")
    size = sizes(value)[axis]
    if mode == "raise" and is_known(index) and isinstance(size, int):
        refuse(np.any((index >= size) | (index < -size)), "NumPy raises IndexError: out of bounds")
    return result(ops.call("tf.gather", value, _wrapped(index, size, mode), axis=axis))


@lowers(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    value, index = tensor(arr), value_of(indices)
    if axis is None:
        value, axis = reshape(value, [-1]), 0
    rank = len(value.shape)
    axis = axis_number(axis, rank)
    index = as_tensor(indexing.from_zero(index, sizes(value)[axis], narrow=True))
    shape = broadcast_shape(
        [1 if place == axis else size for place, size in enumerate(sizes(value))],
        [1 if place == axis else size for place, size in enumerate(sizes(index))],
    )
    value = broadcast_to(value, [*shape[:axis], sizes(value)[axis], *shape[axis + 1 :]])
    index = broadcast_to(index, [*shape[:axis], sizes(index)[axis], *shape[axis + 1 :]])
    order = [place for place in range(rank) if place != axis] + [axis]
    moved = axis != rank - 1
    if moved:
        value, index = (
            ops.call("tf.transpose", value, order),
            ops.call("tf.transpose", index, order),
        )
    found = ops.call("tf.gather", value, index, axis=rank - 1, batch_dims=rank - 1)
    if moved:
        found = ops.call("tf.transpose", found, [order.index(place) for place in range(rank)])
    return fresh(found)


def _mesh_key(array: Array, indices: Any, axis: int) -> tuple[Any, ...]:
    shape = sizes(read(array))
    key: list[Any] = []
    for place, size in enumerate(shape):
        if place == axis:
            key.append(indices)
            continue
        line = as_tensor(np.arange(size)) if isinstance(size, int) else ops.call("tf.range", size)
        key.append(fresh(reshape(line, [1] * place + [-1] + [1] * (len(shape) - place - 1))))
    return tuple(key)


@lowers(np.put_along_axis, always=True)
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    refuse(not isinstance(arr, Array), "an array from outside is changed: a side effect")
    refuse(axis is None, "np.put_along_axis without an axis")
    axis = axis_number(axis, ndim(arr))
    arr[_mesh_key(arr, array_of(indices), axis)] = values


@lowers(np.put, always=True)
def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    refuse(not isinstance(a, Array), "an array from outside is changed: a side effect")
    refuse(mode != "raise", "this mode of np.put")
    index = fresh(reshape(value_of(ind), [-1]))
    values = reshape(tensor(v), [-1])
    count, size = sizes(read(index))[0], sizes(values)[0]
    refuse(not isinstance(count, int) or not isinstance(size, int), "sizes that are not known")
    if size > 1 and size != count:
        values = ops.call("tf.gather", values, np.arange(count) % size)
    a.flat[index] = fresh(values) if size > 1 else fresh(values)[0]


@lowers(np.place, np.putmask, always=True)
def _putmask(a: Any, mask: Any, values: Any) -> None:
    refuse(not isinstance(a, Array), "an array from outside is changed: a side effect")
    new = array_of(values)
    refuse(ndim(new) != 0 and not is_size(new.size, 1), "several values that are repeated")
    a[fresh(truth(tensor(mask)))] = new if not ndim(new) else new[0]


@lowers(np.copyto, always=True)
def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    refuse(not isinstance(dst, Array), "an array from outside is changed: a side effect")
    from unslow.native.lowering.elementwise import _store

    _store(dst, src if isinstance(src, Array) else array_of(src), where, casting)


@lowers(np.fill_diagonal, always=True)
def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    refuse(not isinstance(a, Array), "an array from outside is changed: a side effect")
    shape = sizes(read(a))
    refuse(not all(isinstance(size, int) for size in shape) or wrap, "sizes that are not known")
    line = np.arange(min(shape))
    a[tuple(line for _ in shape)] = val


@lowers(np.choose)
def _choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    refuse(out is not None, "`out` of np.choose")
    parts = [array_of(each) for each in choices]
    dtype = expected_dtype(lambda *each: np.result_type(*each).type(0), *parts)
    index = value_of(a)
    shape = broadcast_shape(sizes(index), *[sizes(read(part)) for part in parts])
    stacked = ops.call("tf.stack", [broadcast_to(tensor(part, dtype), shape) for part in parts])
    index = broadcast_to(as_tensor(_wrapped(index, len(parts), mode)), shape)
    index = ops.call("tf.expand_dims", index, 0)
    return fresh(reshape(read(_take_along_axis(fresh(stacked), fresh(index), 0)), shape))


@lowers(np.unravel_index)
def _unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    refuse(order != "C", "this order of elements")
    index = tensor(indices, "int64")
    from unslow.native.kit import raw_shape, size_tensor

    found = []
    for size in reversed(raw_shape(shape)):
        by = size_tensor(size)
        found.append(result(ops.call("tf.math.floormod", index, by)))
        index = ops.call("tf.math.floordiv", index, by)
    return tuple(reversed(found))


@lowers(np.ravel_multi_index)
def _ravel_multi_index(multi_index: Any, dims: Any, mode: str = "raise", order: str = "C") -> Any:
    refuse(order != "C", "this order of elements")
    from unslow.native.kit import raw_shape, size_tensor

    place: Any = None
    for index, size in zip(multi_index, raw_shape(dims), strict=True):
        if mode == "raise":
            inside = as_tensor(cast(value_of(index), "int64"))
        else:
            inside = _wrapped(value_of(index), size, mode)
        if place is None:
            place = inside
        else:
            place = ops.call("tf.add", ops.call("tf.multiply", place, size_tensor(size)), inside)
    return result(place)


@lowers(np.ix_)
def _ix(*args: Any) -> Any:
    found = []
    for axis, each in enumerate(args):
        value = read(array_of(each))
        if dtype_of(value).kind == "b":
            value = read(_flatnonzero(each))
        shape = [1] * axis + [-1] + [1] * (len(args) - axis - 1)
        found.append(fresh(reshape(value, shape)))
    return tuple(found)
