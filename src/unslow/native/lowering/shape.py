"""The order of axes, and shapes."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    Array,
    array_of,
    axis_number,
    broadcast_shape,
    broadcast_to,
    dtype_of,
    fresh,
    integer,
    is_size,
    ndim,
    number,
    product,
    raw_shape,
    read,
    refuse,
    reshape,
    result,
    sizes,
)
from unslow.native.tracing import views
from unslow.native.tracing.array import view
from unslow.native.tracing.layout import copied, flat, in_c_order, reshaped

UNSURE = "the order of its elements in memory is not known"


@lowers(np.reshape, always=True)
def _reshape(a: Any, /, shape: Any = None, order: str = "C", **kwargs: Any) -> Any:
    shape = kwargs.pop("newshape", shape)
    copy = kwargs.pop("copy", None)
    refuse(kwargs, "such arguments of np.reshape")
    array = array_of(a)
    wanted = raw_shape(shape)
    if order == "F":
        turned = view(array, views.Transpose(range(ndim(array))[::-1]))
        back = _reshape(turned, tuple(number(size) for size in wanted[::-1]))
        return view(back, views.Transpose(range(ndim(back))[::-1]))
    refuse(not in_c_order(array, order), UNSURE)
    total = product(sizes(read(array)))
    if all(isinstance(size, int) for size in wanted) and isinstance(total, int):
        rest = int(np.prod([size for size in wanted if size != -1]))
        if -1 in wanted:
            refuse(
                wanted.count(-1) > 1 or rest == 0 or total % rest,
                "NumPy raises ValueError: cannot reshape",
            )
            wanted[wanted.index(-1)] = total // rest
        else:
            refuse(rest != total, f"NumPy raises ValueError: cannot reshape {total} elements")
    found = reshaped(array, wanted)
    if copy is False:
        refuse(found._storage is not array._storage, "whether NumPy would have to copy")
    return fresh(read(found)) if copy else found


@lowers(np.ravel, always=True)
def _ravel(a: Any, order: str = "C") -> Any:
    array = array_of(a)
    if order == "F":
        return flat(view(array, views.Transpose(range(ndim(array))[::-1])))
    refuse(not in_c_order(array, order), UNSURE)
    return flat(array)


@lowers(np.transpose, optional(np, "permute_dims"), always=True)
def _transpose(a: Any, axes: Any = None) -> Any:
    array = array_of(a)
    rank = ndim(array)
    order = range(rank)[::-1] if axes is None else [axis_number(axis, rank) for axis in axes]
    refuse(sorted(order) != list(range(rank)), "NumPy raises ValueError: axes don't match array")
    return view(array, views.Transpose(order))


@lowers(np.swapaxes, always=True)
def _swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    array = array_of(a)
    order = list(range(ndim(array)))
    one, other = axis_number(axis1, len(order)), axis_number(axis2, len(order))
    order[one], order[other] = order[other], order[one]
    return view(array, views.Transpose(order))


@lowers(optional(np, "matrix_transpose"), optional(np, "linalg", "matrix_transpose"), always=True)
def _matrix_transpose(x: Any, /) -> Any:
    return _swapaxes(x, -1, -2)


@lowers(np.moveaxis, always=True)
def _moveaxis(a: Any, source: Any, destination: Any) -> Any:
    array = array_of(a)
    rank = ndim(array)
    sources = source if isinstance(source, (list, tuple)) else [source]
    targets = destination if isinstance(destination, (list, tuple)) else [destination]
    from_axes = [axis_number(axis, rank) for axis in sources]
    to_axes = [axis_number(axis, rank) for axis in targets]
    order = [axis for axis in range(rank) if axis not in from_axes]
    for to, axis in sorted(zip(to_axes, from_axes, strict=True)):
        order.insert(to, axis)
    return view(array, views.Transpose(order))


@lowers(np.rollaxis, always=True)
def _rollaxis(a: Any, axis: Any, start: int = 0) -> Any:
    array = array_of(a)
    rank = ndim(array)
    axis = axis_number(axis, rank)
    start = start + rank if start < 0 else start
    order = list(range(rank))
    order.remove(axis)
    order.insert(start - 1 if axis < start else start, axis)
    return view(array, views.Transpose(order))


@lowers(np.expand_dims, always=True)
def _expand_dims(a: Any, axis: Any) -> Any:
    array = array_of(a)
    axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    rank = ndim(array) + len(axes)
    places = {axis_number(each, rank) for each in axes}
    return view(
        array, views.Index(tuple(None if p in places else slice(None) for p in range(rank)))
    )


@lowers(np.squeeze, always=True)
def _squeeze(a: Any, axis: Any = None) -> Any:
    array = array_of(a)
    value = read(array)
    static = sizes(value)
    if axis is None:
        refuse(not all(isinstance(s, int) for s in static), "which sizes are 1 is not known")
        axes = [place for place, size in enumerate(static) if size == 1]
    else:
        given = axis if isinstance(axis, (list, tuple)) else [axis]
        axes = [axis_number(each, len(static)) for each in given]
    for each in axes:
        refuse(
            isinstance(static[each], int) and static[each] != 1,
            "NumPy raises ValueError: cannot squeeze an axis of more than one element",
        )
        refuse(not isinstance(static[each], int), "whether a size is 1 is not known")
    key = tuple(0 if place in axes else slice(None) for place in range(len(static)))
    return view(array, views.Index(key))


@lowers(np.broadcast_to, always=True)
def _broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    source = array_of(array)
    return _spread(source, raw_shape(shape))


def _spread(source: Array, shape: list[Any]) -> Array:
    found = fresh(
        broadcast_to(read(source), shape),
        c_order=False,
        fixed="a broadcast array cannot be changed",
    )
    found._storage.fork(source._storage)
    return found


@lowers(np.broadcast_arrays, always=True)
def _broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    arrays = [array_of(each) for each in args]
    shape = broadcast_shape(*[sizes(read(each)) for each in arrays])
    found = [_spread(each, shape) for each in arrays]
    return tuple(found) if int(np.__version__.split(".")[0]) >= 2 else found


def _at_least(rank: int, function: Any) -> None:
    def lowering(*arys: Any) -> Any:
        found = []
        for each in arys:
            array = array_of(each)
            shape = sizes(read(array))
            missing = rank - len(shape)
            if missing > 0:
                if rank == 3 and len(shape) == 2:
                    key: tuple[Any, ...] = (slice(None), slice(None), None)
                elif rank == 3 and len(shape) == 1:
                    key = (None, slice(None), None)
                else:
                    key = (None,) * missing + (slice(None),) * len(shape)
                array = view(array, views.Index(key))
            found.append(array)
        return found[0] if len(found) == 1 else tuple(found)

    lowers(function, always=True)(lowering)


_at_least(1, np.atleast_1d)
_at_least(2, np.atleast_2d)
_at_least(3, np.atleast_3d)


@lowers(np.flip, always=True)
def _flip(m: Any, axis: Any = None) -> Any:
    array = array_of(m)
    rank = ndim(array)
    given = range(rank) if axis is None else axis if isinstance(axis, (list, tuple)) else [axis]
    axes = {axis_number(each, rank) for each in given}
    turned = slice(None, None, -1)
    key = tuple(turned if place in axes else slice(None) for place in range(rank))
    return view(array, views.Index(key))


lowers(np.fliplr, always=True)(lambda m: _flip(m, 1))
lowers(np.flipud, always=True)(lambda m: _flip(m, 0))


@lowers(np.rot90, always=True)
def _rot90(m: Any, k: Any = 1, axes: Any = (0, 1)) -> Any:
    array = array_of(m)
    rank = ndim(array)
    first, second = [axis_number(axis, rank) for axis in axes]
    from unslow.native.kit import is_traced

    if is_traced(k):
        from unslow.native.tracing.control import branch, truth

        pair = sizes(read(array))[first], sizes(read(array))[second]
        refuse(
            not isinstance(pair[0], int) or not is_size(pair[1], pair[0]),
            "the shape hangs on how often it is turned",
        )
        turns = k % 4
        whole = [copied(_rot90(array, times, axes)) for times in range(4)]
        found = whole[0]
        for times in (1, 2, 3):
            arms = [functools.partial(_itself, each) for each in (whole[times], found)]
            found = branch(truth(turns == times), *arms)
        found._storage.fork(array._storage)
        return found
    k = integer(k, "the number of turns") % 4
    if k == 0:
        return array[...]
    if k == 2:
        return _flip(_flip(array, first), second)
    order = list(range(rank))
    order[first], order[second] = order[second], order[first]
    if k == 1:
        return _transpose(_flip(array, second), order)
    return _flip(_transpose(array, order), second)


def _itself(value: Any) -> Any:
    return value


@lowers(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    array = array_of(a)
    rank = ndim(array)
    offset = integer(offset, "the offset of a diagonal")
    moved = _moveaxis(array, [axis1, axis2], [rank - 2, rank - 1])
    value = views.as_tensor(read(moved))
    rows, columns = sizes(value)[-2:]
    if isinstance(rows, int) and isinstance(columns, int):
        count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
        line = np.arange(count)
        pairs = np.stack([line - min(offset, 0), line + max(offset, 0)], axis=-1)
        flat = reshape(value, [*sizes(value)[:-2], rows * columns])
        found = ops.call("tf.gather", flat, pairs[:, 0] * columns + pairs[:, 1], axis=-1)
    else:
        part = slice(abs(offset), None)
        if offset:
            value = ops.index(value, (..., part) if offset > 0 else (..., part, slice(None)))
        found = ops.call("tf.linalg.diag_part", value)
    kept = fresh(found, fixed="a diagonal cannot be changed", c_order=False)
    kept._storage.fork(array._storage)
    return kept


@lowers(np.real, always=True)
def _real(val: Any) -> Any:
    return _part(val, views.Real())


@lowers(np.imag, always=True)
def _imag(val: Any) -> Any:
    array = array_of(val)
    if dtype_of(read(array)).kind != "c":
        zeros = call_numpy(np.zeros_like, (array,), {})
        return zeros if _is_array(val) else result(read(zeros))
    return _part(val, views.Imaginary())


def _is_array(value: Any) -> bool:
    return isinstance(value, Array) and value._kind == "array"


def _part(value: Any, lens: Any) -> Any:
    array = array_of(value)
    if dtype_of(read(array)).kind != "c":
        return value if not _is_array(value) else array
    if not _is_array(value):
        return result(lens.get(read(array)))
    return view(array, lens)


@lowers(np.shape)
def _shape(a: Any) -> Any:
    return array_of(a).shape


@lowers(np.ndim)
def _ndim(a: Any) -> Any:
    return ndim(array_of(a))


@lowers(np.size)
def _size(a: Any, axis: Any = None) -> Any:
    array = array_of(a)
    return array.size if axis is None else array.shape[axis]


@lowers(np.iscomplexobj, np.isrealobj)
def _iscomplex(x: Any) -> Any:
    return dtype_of(read(array_of(x))).kind == "c"


lowers(np.isrealobj)(lambda x: not _iscomplex(x))


@lowers(np.result_type)
def _result_type(*args: Any) -> Any:
    from unslow.native.kit import stand_in

    return np.result_type(*[stand_in(each) for each in args])


@lowers(np.can_cast)
def _can_cast(from_: Any, to: Any, casting: Any = "safe") -> Any:
    return np.can_cast(from_.dtype, to, casting)


@lowers(np.shares_memory, np.may_share_memory)
def _shares(*args: Any, **kwargs: Any) -> Any:
    refuse(True, "whether memory is shared")


@lowers(np.isscalar)
def _isscalar(element: Any) -> Any:
    return isinstance(element, Array) and element._kind != "array"
