"""Differences, interpolation, convolution, polynomials and the like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    Array,
    array_of,
    axis_number,
    cast,
    dtype_of,
    expected_dtype,
    fresh,
    integer,
    is_number,
    ndim,
    read,
    refuse,
    reshape,
    result,
    sizes,
    tensor,
    value_of,
)

ALL = slice(None)


def _neighbours(array: Any, before: tuple[Any, ...]) -> tuple[Any, Any]:
    """All but the first elements along an axis, and all but the last."""
    later, sooner = (*before, slice(1, None)), (*before, slice(None, -1))
    return array[later], array[sooner]


@lowers(np.diff)
def _diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Any:
    array = array_of(a)
    absent = getattr(np, "_NoValue", None)
    axis = axis_number(axis, ndim(array))
    for value, first in ((prepend, True), (append, False)):
        if value is None or value is absent:
            continue
        other = array_of(value)
        if not ndim(other):
            shape = [1 if place == axis else size for place, size in enumerate(array.shape)]
            other = call_numpy(np.broadcast_to, (other, tuple(shape)), {})
        pair = (other, array) if first else (array, other)
        array = call_numpy(np.concatenate, (pair,), {"axis": axis})
    before = (ALL,) * axis
    for _ in range(integer(n, "how often differences are taken")):
        later, sooner = _neighbours(array, before)
        function = np.not_equal if array.dtype.kind == "b" else np.subtract
        array = call_numpy(function, (later, sooner), {})
    return array


@lowers(np.ediff1d)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    found = _diff(fresh(reshape(tensor(ary), [-1])))
    parts = [each for each in (to_begin, found, to_end) if each is not None]
    if len(parts) == 1:
        return found
    ravelled = [fresh(reshape(tensor(each, found.dtype), [-1])) for each in parts]
    return call_numpy(np.concatenate, (ravelled,), {})


@lowers(np.gradient)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    array = array_of(f)
    refuse(edge_order != 1, "`edge_order` of np.gradient")
    refuse(
        array.dtype.kind in "iub" and array.dtype.kind == "u", "the gradient of unsigned integers"
    )
    dtype = expected_dtype(np.gradient, np.ones((2,) * ndim(array), array.dtype))
    if isinstance(dtype, np.dtype) and dtype.kind not in "fc":
        dtype = np.dtype(np.float64)
    axes = (
        list(range(ndim(array)))
        if axis is None
        else list(axis)
        if isinstance(axis, (list, tuple))
        else [axis]
    )
    steps = list(varargs) * len(axes) if len(varargs) == 1 else list(varargs) or [1.0] * len(axes)
    refuse(any(not is_number(step) for step in steps), "steps of np.gradient that are arrays")
    value = tensor(array, dtype)
    found = []
    for given, step in zip(axes, steps, strict=True):
        place = axis_number(given, ndim(array))
        before = (ALL,) * place
        by = tensor(step, dtype)

        def part(key: slice, value: Any = value, before: Any = before) -> Any:
            return ops.index(value, (*before, key))

        middle = ops.call("tf.subtract", part(slice(2, None)), part(slice(None, -2)))
        middle = ops.call("tf.divide", middle, ops.call("tf.multiply", by, np.asarray(2, dtype)))
        first = ops.call(
            "tf.divide", ops.call("tf.subtract", part(slice(1, 2)), part(slice(0, 1))), by
        )
        last = ops.call(
            "tf.divide", ops.call("tf.subtract", part(slice(-1, None)), part(slice(-2, -1))), by
        )
        found.append(fresh(ops.call("tf.concat", [first, middle, last], axis=place)))
    if len(found) == 1:
        return found[0]
    return tuple(found) if int(np.__version__.split(".")[0]) >= 2 else found


@lowers(np.interp)
def _interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    refuse(period is not None, "`period` of np.interp")
    refuse(dtype_of(value_of(fp)).kind == "c", "np.interp of complex numbers")
    points, values = tensor(xp, "float64"), tensor(fp, "float64")
    at = tensor(x, "float64")
    shape = sizes(at)
    flat = reshape(at, [-1])
    size = sizes(points)[0]
    refuse(not isinstance(size, int) or size < 2, "np.interp between an unknown number of points")
    place = ops.call("tf.searchsorted", points, flat, side="right", out_type="int64")
    place = ops.call(
        "tf.clip_by_value",
        ops.call("tf.subtract", place, np.int64(1)),
        np.int64(0),
        np.int64(size - 2),
    )
    after = ops.call("tf.add", place, np.int64(1))
    x0, x1 = ops.call("tf.gather", points, place), ops.call("tf.gather", points, after)
    y0, y1 = ops.call("tf.gather", values, place), ops.call("tf.gather", values, after)
    slope = ops.call("tf.divide", ops.call("tf.subtract", y1, y0), ops.call("tf.subtract", x1, x0))
    found = ops.call(
        "tf.add", ops.call("tf.multiply", slope, ops.call("tf.subtract", flat, x0)), y0
    )
    found = ops.call("tf.where", ops.call("tf.equal", flat, x0), y0, found)
    low = ops.index(values, (0,)) if left is None else tensor(left, "float64")
    high = ops.index(values, (-1,)) if right is None else tensor(right, "float64")
    found = ops.call("tf.where", ops.call("tf.less", flat, ops.index(points, (0,))), low, found)
    last = ops.index(points, (-1,))
    found = ops.call("tf.where", ops.call("tf.equal", flat, last), ops.index(values, (-1,)), found)
    found = ops.call("tf.where", ops.call("tf.greater", flat, last), high, found)
    found = ops.call("tf.where", ops.call("tf.math.is_nan", flat), flat, found)
    return result(reshape(found, shape))


@lowers(optional(np, "trapezoid"), optional(np, "trapz") if not hasattr(np, "trapezoid") else None)
def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    array = array_of(y)
    axis = axis_number(axis, ndim(array))
    before = (ALL,) * axis
    if x is None:
        width: Any = dx
    else:
        width = _diff(x)
        if ndim(width) == 1:
            width = width[(None,) * axis + (ALL,) + (None,) * (ndim(array) - axis - 1)]
    later, sooner = _neighbours(array, before)
    pair = later + sooner
    return call_numpy(np.sum, (width * pair / 2.0,), {"axis": axis})


LONGEST = 64


def _is_longer(one: Any, other: Any) -> bool:
    size, count = sizes(one)[0], sizes(other)[0]
    if isinstance(size, int) and isinstance(count, int):
        return size >= count
    return not isinstance(size, int)


def _full(one: Any, other: Any, dtype: np.dtype[Any]) -> Any:
    """The whole convolution of two lines of known length."""
    long, short = (one, other) if _is_longer(one, other) else (other, one)
    size, count = sizes(long)[0], sizes(short)[0]
    if not isinstance(size, int) or count <= LONGEST:
        total: Any = None
        padded = ops.call("tf.pad", long, [[count - 1, count - 1]])
        for place in range(count):
            start = count - 1 - place
            stop = None if not place else -place
            part = ops.call(
                "tf.multiply", ops.index(padded, (slice(start, stop),)), ops.index(short, (place,))
            )
            total = part if total is None else ops.call("tf.add", total, part)
        return total
    padded = ops.call("tf.pad", long, [[count - 1, count - 1]])
    windows = np.arange(size + count - 1)[:, None] + np.arange(count)[None, ::-1]
    rows = ops.call("tf.gather", padded, windows)
    return ops.call("tf.linalg.matvec", rows, short)


def _convolved(a: Any, v: Any, mode: str, flipped: bool) -> Any:
    one, other = array_of(a), array_of(v)
    refuse(ndim(one) != 1 or ndim(other) != 1, "NumPy raises ValueError: object too deep")
    final = expected_dtype(np.convolve, one, other)
    refuse(final.kind == "b", "a convolution of truth values")
    from unslow.native.lowering.products import in_product_dtype

    wide = in_product_dtype(final)
    first, second = tensor(one, wide), tensor(other, wide)
    sizes_of = sizes(first)[0], sizes(second)[0]
    known = [size for size in sizes_of if isinstance(size, int)]
    refuse(
        not known or (len(known) < 2 and mode not in ("full", 2)),
        "a convolution of unknown lengths",
    )
    refuse(len(known) < 2 and known[0] > LONGEST, "a long convolution with an unknown length")
    refuse(0 in known, "NumPy raises ValueError: a or v cannot be empty")
    if flipped:
        second = ops.call(
            "tf.reverse",
            ops.call("tf.math.conj", second) if final.kind == "c" else second,
            axis=[0],
        )
    whole = _full(first, second, final)
    if len(known) < 2:
        return fresh(cast(whole, final))
    long, short = max(sizes_of), min(sizes_of)
    total = long + short - 1
    mode = {0: "valid", 1: "same", 2: "full"}.get(mode, mode)  # type: ignore[call-overload]
    if mode == "same":
        # NumPy's correlation of a shorter line with a longer one is centred on the other side.
        start = (short - 1) // 2
        if flipped and sizes_of[0] < sizes_of[1]:
            start = short // 2
        whole = ops.index(whole, (slice(start, start + long),))
    elif mode == "valid":
        whole = ops.index(whole, (slice(short - 1, total - short + 1),))
    else:
        refuse(mode != "full", "NumPy raises ValueError: mode must be valid, same or full")
    return fresh(cast(whole, final))


lowers(np.convolve)(lambda a, v, mode="full": _convolved(a, v, mode, False))
lowers(np.correlate)(lambda a, v, mode="valid": _convolved(a, v, mode, True))


@lowers(np.polyval)
def _polyval(p: Any, x: Any) -> Any:
    factors = array_of(p)
    at = x if is_number(x) else array_of(x)
    found = call_numpy(np.zeros_like, (array_of(at),), {})
    for place in range(len(factors)):
        found = found * at + factors[place]
    return found


@lowers(np.angle)
def _angle(z: Any, deg: bool = False) -> Any:
    array = z if isinstance(z, Array) and z._kind == "array" else array_of(z)
    found = call_numpy(np.arctan2, (array.imag, array.real), {})
    return call_numpy(np.multiply, (found, 180 / math.pi), {}) if deg else found


@lowers(np.unwrap)
def _unwrap(*args: Any, **kwargs: Any) -> Any:
    refuse(True, "np.unwrap")


@lowers(np.sinc)
def _sinc(x: Any) -> Any:
    array = x if isinstance(x, Array) else array_of(x)
    scaled = call_numpy(np.multiply, (array, math.pi), {})
    value = tensor(scaled)
    zero = ops.call("tf.equal", tensor(array, dtype_of(value)), np.asarray(0, dtype_of(value)))
    safe = ops.call("tf.where", zero, np.asarray(1, dtype_of(value)), value)
    found = ops.call("tf.divide", ops.call("tf.sin", safe), safe)
    return result(ops.call("tf.where", zero, np.asarray(1, dtype_of(value)), found))


def _centred(m: Any, rowvar: bool) -> Any:
    array = array_of(m)
    dtype = np.result_type(array.dtype, np.float64)
    value = tensor(array, dtype)
    if len(value.shape) == 1:
        value = reshape(value, [1, -1])
    elif not rowvar:
        value = ops.call("tf.transpose", value)
    return ops.call(
        "tf.subtract", value, ops.call("tf.reduce_mean", value, axis=1, keepdims=True)
    ), ndim(array)


@lowers(np.cov)
def _cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None, **kw: Any
) -> Any:
    refuse(y is not None or kw, "such arguments of np.cov")
    away, rank = _centred(m, rowvar)
    refuse(dtype_of(away).kind == "c", "covariances of complex numbers")
    less = (0 if bias else 1) if ddof is None else ddof
    count = cast(
        value_of(fresh(np.asarray(sizes(away)[1])))
        if isinstance(sizes(away)[1], int)
        else sizes(away)[1],
        "float64",
    )
    found = ops.call(
        "tf.divide",
        ops.call("tf.matmul", away, away, transpose_b=True),
        ops.call("tf.subtract", count, np.float64(less)),
    )
    return fresh(reshape(found, []) if rank == 1 else found)


@lowers(np.corrcoef)
def _corrcoef(x: Any, y: Any = None, rowvar: bool = True, **kwargs: Any) -> Any:
    refuse(kwargs, "such arguments of np.corrcoef")
    if y is not None:
        x = call_numpy(np.vstack, ((x, y),), {})
    away, rank = _centred(x, rowvar)
    product = ops.call("tf.matmul", away, away, transpose_b=True)
    spread = ops.call("tf.sqrt", ops.call("tf.linalg.diag_part", product))
    found = ops.call("tf.divide", product, ops.call("tf.expand_dims", spread, 1))
    found = ops.call("tf.divide", found, ops.call("tf.expand_dims", spread, 0))
    found = ops.call("tf.clip_by_value", found, np.float64(-1), np.float64(1))
    return result(reshape(found, []) if rank == 1 else found)


@lowers(np.apply_along_axis)
def _apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    from unslow.native.interpreter.calls import call

    array = array_of(arr)
    moved = call_numpy(np.moveaxis, (array, axis, -1), {})
    shape = sizes(read(moved))[:-1]
    refuse(not all(isinstance(size, int) for size in shape), "sizes that are not known")
    refuse(math.prod(shape) > LONGEST, f"a function applied to more than {LONGEST} lines")
    rows = [call(func1d, (moved[index].copy(), *args), kwargs) for index in np.ndindex(*shape)]
    stacked = call_numpy(np.stack, ([array_of(row) for row in rows],), {})
    inner = sizes(read(stacked))[1:]
    found = fresh(reshape(read(stacked), [*shape, *inner]))
    if not inner:
        return found
    rank = len(shape)
    place = axis_number(axis, ndim(array))
    order = [*range(place), *range(rank, rank + len(inner)), *range(place, rank)]
    return call_numpy(np.transpose, (found, order), {})


@lowers(np.histogram2d, np.histogramdd, np.polyfit, np.roots, np.poly)
def _others(*args: Any, **kwargs: Any) -> Any:
    refuse(True, "it has no translation")
