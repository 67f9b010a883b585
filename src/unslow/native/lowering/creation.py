"""Making arrays: of sizes, of numbers, of other arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import lowers, optional
from unslow.native.kit import (
    Array,
    array_of,
    as_tensor,
    broadcast_to,
    cast,
    dtype_of,
    expected_dtype,
    fresh,
    integer,
    is_known,
    is_number,
    is_traced,
    ndim,
    raw_shape,
    read,
    refuse,
    reshape,
    sizes,
    tensor,
    value_of,
)
from unslow.native.tracing import views
from unslow.native.tracing.array import view
from unslow.native.tracing.layout import contiguous, copied, in_c_order
from unslow.native.untranslatable import Untranslatable


def filled(shape: Any, value: Any, dtype: Any, *, c_order: bool = True) -> Array:
    """An array of one value."""
    wanted = raw_shape(shape)
    plain = cast(value_of(value), dtype)
    if is_known(plain) and all(isinstance(size, int) for size in wanted):
        return fresh(np.full(wanted, plain), c_order=c_order)
    return fresh(broadcast_to(as_tensor(plain), wanted), c_order=c_order)


@lowers(np.zeros, np.empty, always=True)
def _zeros(shape: Any, dtype: Any = float, order: str = "C", **kwargs: Any) -> Any:
    return filled(shape, 0, np.dtype(dtype), c_order=order == "C")


@lowers(np.ones)
def _ones(shape: Any, dtype: Any = None, order: str = "C", **kwargs: Any) -> Any:
    return filled(shape, 1, np.dtype(float if dtype is None else dtype), c_order=order == "C")


@lowers(np.full)
def _full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **kwargs: Any) -> Any:
    if dtype is None:
        dtype = expected_dtype(np.asarray, fill_value)
    return filled(shape, fill_value, np.dtype(dtype), c_order=order == "C")


def _like(value: Any) -> Any:
    def lowering(
        a: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        **kwargs: Any,
    ) -> Any:
        array = array_of(a)
        like = read(array)
        dtype = dtype_of(like) if dtype is None else np.dtype(dtype)
        if shape is None:
            shape = [_sized(size) for size in sizes(like)]
        return filled(shape, value, dtype, c_order=in_c_order(array, order))

    return lowering


def _sized(size: Any) -> Any:
    from unslow.native.kit import number

    return number(size)


lowers(np.zeros_like, np.empty_like)(_like(0))
lowers(np.ones_like)(_like(1))


@lowers(np.full_like)
def _full_like(a: Any, fill_value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    return _like(fill_value)(a, dtype, *args, **kwargs)


@lowers(np.array, always=True)
def _array(
    object: Any,
    dtype: Any = None,
    *,
    copy: Any = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    like: Any = None,
) -> Any:
    array = _converted(array_of(object), dtype, order)
    if array is object:
        array = copied(array, order) if copy else _ordered(array, order)
    missing = ndmin - ndim(array)
    if missing > 0:
        array = view(array, views.Index((None,) * missing + (slice(None),) * ndim(array)))
    return array


def _converted(array: Array, dtype: Any, order: Any = "K") -> Array:
    value = read(array)
    if dtype is None or dtype_of(value) == np.dtype(dtype):
        return array
    return fresh(cast(value, dtype), c_order=in_c_order(array, order))


def _ordered(array: Array, order: Any) -> Array:
    """The array itself where it lies in an order, else a copy that does."""
    if order == "C":
        return contiguous(array)
    if order == "F":
        turned = views.Transpose(range(ndim(array))[::-1])
        return view(contiguous(view(array, turned)), turned)
    refuse(order not in (None, "A", "K"), f"the order {order!r} of elements")
    return array


@lowers(np.asarray, np.asanyarray, always=True)
def _asarray(a: Any, dtype: Any = None, order: Any = None, **kwargs: Any) -> Any:
    copy = kwargs.get("copy")
    refuse(copy is False, "whether NumPy would have to copy")
    if copy:
        return _array(a, dtype, order=order or "K")
    array = array_of(a)
    return _ordered(_converted(array, dtype, order), order)


@lowers(np.ascontiguousarray, always=True)
def _ascontiguousarray(a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    array = _asarray(a, dtype, "C")
    return array if ndim(array) else view(array, views.Index((None,)))


@lowers(np.asfortranarray, always=True)
def _asfortranarray(a: Any, dtype: Any = None, **kwargs: Any) -> Any:
    array = _asarray(a, dtype, "F")
    return array if ndim(array) else view(array, views.Index((None,)))


@lowers(np.require, always=True)
def _require(a: Any, dtype: Any = None, requirements: Any = None, **kwargs: Any) -> Any:
    given = [requirements] if isinstance(requirements, str) else list(requirements or [])
    wanted = {_REQUIREMENTS.get(str(each).upper(), "") for each in given} - {"A"}
    refuse(len(wanted) > 1 or not wanted <= {"C", "F"}, "such requirements of np.require")
    return _asarray(a, dtype, wanted.pop() if wanted else None)


_REQUIREMENTS = {
    "C": "C",
    "C_CONTIGUOUS": "C",
    "CONTIGUOUS": "C",
    "F": "F",
    "F_CONTIGUOUS": "F",
    "FORTRAN": "F",
    "A": "A",
    "ALIGNED": "A",
}


@lowers(np.copy, always=True)
def _copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    return copied(array_of(a), order)


@lowers(np.arange)
def _arange(*args: Any, dtype: Any = None, **kwargs: Any) -> Any:
    refuse(kwargs, "such arguments of np.arange")
    refuse(len(args) == 4, "a dtype without its name")
    if dtype is None:
        dtype = expected_dtype(np.arange, *args)
    dtype = np.dtype(dtype)
    start, stop, step = [0, args[0], 1] if len(args) == 1 else [*args, 1][:3]
    refuse(dtype.kind not in "if", "a range that is neither of integers nor of floats")
    wide = "int64" if dtype.kind == "i" else "float64"
    first, last, by = tensor(start, wide), tensor(stop, wide), tensor(step, wide)
    if dtype.kind == "i":
        for each in (start, stop, step):
            refuse(dtype_of(value_of(each)).kind == "f", "an integer range with float bounds")
        # The op takes no bounds that lie the wrong way round.
        plain = value_of(step)
        if is_known(plain):
            last = ops.call("tf.maximum" if plain > 0 else "tf.minimum", first, last)
        else:
            furthest = [ops.call(name, first, last) for name in ("tf.maximum", "tf.minimum")]
            last = ops.call("tf.where", ops.call("tf.greater", by, np.int64(0)), *furthest)
        return fresh(cast(ops.call("tf.range", first, last, by), dtype))
    # NumPy counts the elements and multiplies.
    span = ops.call("tf.divide", ops.call("tf.subtract", last, first), by)
    count = ops.call("tf.maximum", cast(ops.call("tf.math.ceil", span), "int64"), np.int64(0))
    numbers = cast(ops.call("tf.range", count), wide)
    # Like NumPy, the step is the difference of the first two elements.
    delta = ops.call("tf.subtract", ops.call("tf.add", first, by), first)
    return fresh(cast(ops.call("tf.add", first, ops.call("tf.multiply", numbers, delta)), dtype))


@lowers(np.eye)
def _eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, *args: Any, **kwargs: Any) -> Any:
    columns = N if M is None else M
    rows = as_tensor(_counted(N))
    across = as_tensor(_counted(columns))
    shifted = ops.call("tf.add", ops.call("tf.expand_dims", rows, 1), tensor(k, "int64"))
    return fresh(cast(ops.call("tf.equal", shifted, ops.call("tf.expand_dims", across, 0)), dtype))


lowers(np.identity)(lambda n, dtype=float, **kwargs: _eye(n, dtype=dtype))


def _counted(size: Any) -> Any:
    wanted = raw_shape(size)[0]
    return np.arange(wanted) if isinstance(wanted, int) else ops.call("tf.range", wanted)


@lowers(np.tri)
def _tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, **kwargs: Any) -> Any:
    rows, across = as_tensor(_counted(N)), as_tensor(_counted(N if M is None else M))
    shifted = ops.call("tf.add", ops.call("tf.expand_dims", rows, 1), tensor(k, "int64"))
    found = ops.call("tf.greater_equal", shifted, ops.call("tf.expand_dims", across, 0))
    return fresh(cast(found, dtype))


@lowers(np.indices)
def _indices(dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
    shape = raw_shape(dimensions)
    grids = []
    for axis, size in enumerate(shape):
        line = as_tensor(_counted(size) if isinstance(size, int) else ops.call("tf.range", size))
        line = reshape(line, [1] * axis + [-1] + [1] * (len(shape) - axis - 1))
        grids.append(cast(line if sparse else broadcast_to(line, shape), dtype))
    return tuple(fresh(g) for g in grids) if sparse else fresh(ops.call("tf.stack", grids))


@lowers(np.meshgrid)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    refuse(not copy, "views of np.meshgrid")
    lines = [as_tensor(reshape(tensor(each), [-1])) for each in xi]
    order = list(range(len(lines)))
    if indexing == "xy" and len(lines) > 1:
        order[0], order[1] = 1, 0
    shape: list[Any] = [None] * len(lines)
    for line, axis in zip(lines, order, strict=True):
        shape[axis] = sizes(line)[0]
    grids = []
    for line, axis in zip(lines, order, strict=True):
        lying = reshape(line, [1] * axis + [-1] + [1] * (len(lines) - axis - 1))
        grids.append(fresh(lying if sparse else broadcast_to(lying, shape)))
    return tuple(grids) if int(np.__version__.split(".")[0]) >= 2 else list(grids)


def grid(owner: Any, key: Any) -> Any:
    """`np.mgrid[key]` and the like with traced bounds."""
    kinds = {id(np.mgrid): False, id(np.ogrid): True}
    if owner is np.r_ or owner is np.c_:
        return _row(owner, key)
    if id(owner) not in kinds:
        raise Untranslatable("it is looked into by what the graph knows")
    parts = key if isinstance(key, tuple) else (key,)
    lines = []
    for part in parts:
        start = 0 if part.start is None else part.start
        step = 1 if part.step is None else part.step
        refuse(isinstance(step, (complex, Array)), "such a step in a grid with traced bounds")
        lines.append(
            _arange(start, part.stop, step)
            if is_traced(start) or is_traced(part.stop)
            else fresh(np.arange(start, part.stop, step))
        )
    if not isinstance(key, tuple):
        return lines[0]
    dtype = np.result_type(*[dtype_of(read(line)) for line in lines])
    found = _meshgrid(*lines, indexing="ij", sparse=kinds[id(owner)])
    values = [cast(read(each), dtype) for each in found]
    if kinds[id(owner)]:
        return tuple(fresh(each) for each in values)
    return fresh(ops.call("tf.stack", [as_tensor(each) for each in values]))


def _row(owner: Any, key: Any) -> Any:
    from unslow.native.dispatch import call_numpy

    parts = key if isinstance(key, tuple) else (key,)
    refuse(any(isinstance(part, (slice, str)) for part in parts), "slices in np.r_ or np.c_")
    ranks = [0 if is_number(part) else ndim(array_of(part)) for part in parts]
    refuse(max(ranks) > 1 and owner is np.r_, "matrices in np.r_")
    if owner is np.c_:
        return call_numpy(np.column_stack, (list(parts),), {})
    dtype = expected_dtype(lambda *given: np.r_[given], *parts)
    arrays = [fresh(reshape(tensor(part, dtype), [-1])) for part in parts]
    return call_numpy(np.concatenate, (arrays,), {})


@lowers(np.fromfunction)
def _fromfunction(function: Any, shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    from unslow.native.interpreter.calls import call

    return call(function, tuple(_split(_indices(shape, dtype), len(shape))), kwargs)


def _split(array: Array, count: int) -> list[Any]:
    return [array[index] for index in range(count)]


@lowers(np.diag)
def _diag(v: Any, k: int = 0) -> Any:
    from unslow.native.dispatch import call_numpy

    array = array_of(v)
    if ndim(array) == 2:
        return call_numpy(np.diagonal, (array,), {"offset": k})
    refuse(ndim(array) != 1, "NumPy raises ValueError: Input must be 1- or 2-d.")
    value = tensor(array)
    size = sizes(value)[0]
    k = integer(k, "the diagonal")
    if not isinstance(size, int):
        return fresh(ops.call("tf.linalg.diag", value, k=k))
    total = size + abs(k)
    place = np.full((total, total), size)
    for index in range(size):
        place[index + max(-k, 0), index + max(k, 0)] = index
    longer = ops.call("tf.concat", [value, np.zeros(1, dtype_of(value))], axis=0)
    return fresh(ops.call("tf.gather", longer, place))


lowers(np.diagflat)(lambda v, k=0: _diag(fresh(reshape(tensor(v), [-1])), k))


@lowers(np.vander)
def _vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    value = array_of(x)
    size = sizes(read(value))[0] if N is None else integer(N, "the number of columns")
    refuse(not isinstance(size, int), "a matrix of unknown width")
    dtype = expected_dtype(np.vander, value, 2)
    from unslow.native.lowering.division import _integer_power

    column = tensor(value, dtype)
    columns = [_integer_power(column, power) for power in range(size)]
    if not increasing:
        columns.reverse()
    return fresh(ops.call("tf.stack", columns, axis=1))


@lowers(optional(np, "astype"))
def _astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    return x.astype(dtype, copy=copy)
