"""`np.pad`, in all its modes."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import lowers
from unslow.native.kit import (
    Array,
    array_of,
    broadcast_to,
    cast,
    dtype_of,
    fresh,
    integer,
    is_size,
    ndim,
    raw_size,
    read,
    refuse,
    sizes,
    tensor,
    value_of,
)

ALL = slice(None)


def _pairs(value: Any, rank: int) -> list[tuple[Any, Any]]:
    """A pair for each axis, as NumPy broadcasts them."""
    if isinstance(value, (list, tuple)):
        if len(value) == 1:
            return _pairs(value[0], rank)
        if not any(isinstance(each, (list, tuple)) for each in value):
            if len(value) == 2:
                return [(value[0], value[1])] * rank
            refuse(True, "NumPy raises ValueError: such widths do not broadcast")
        pairs = [tuple(each) * (2 if len(each) == 1 else 1) for each in value]
        if len(pairs) == 1:
            pairs = pairs * rank
        refuse(len(pairs) != rank, "NumPy raises ValueError: such widths do not broadcast")
        return [(pair[0], pair[1]) for pair in pairs]
    if isinstance(value, np.ndarray):
        return _pairs(value.tolist(), rank)
    if isinstance(value, Array) and ndim(value):
        return _pairs([[row[0], row[1]] if ndim(value) > 1 else row for row in value], rank)
    return [(value, value)] * rank


@lowers(np.pad)
def _pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    source = array_of(array)
    value = tensor(source)
    rank = ndim(source)
    if isinstance(pad_width, dict):
        given = dict(pad_width)
        pad_width = [given.get(axis, given.get(axis - rank, 0)) for axis in range(rank)]
        pad_width = [each if isinstance(each, tuple) else (each, each) for each in pad_width]
    widths = [(raw_size(a), raw_size(b)) for a, b in _pairs(pad_width, rank)]
    for pair in widths:
        refuse(any(isinstance(w, int) and w < 0 for w in pair), "NumPy raises ValueError: negative")
    if mode == "constant":
        fills = _pairs(kwargs.pop("constant_values", 0), rank)
        refuse(kwargs, "such arguments of np.pad")
        return fresh(_constant(value, widths, fills))
    if mode == "empty":
        return fresh(_constant(value, widths, [(0, 0)] * rank))
    refuse(callable(mode), "a function that pads")
    for axis, pair in enumerate(widths):
        if not all(isinstance(w, int) and w == 0 for w in pair):
            value = _along(value, axis, pair, mode, kwargs, rank)
    return fresh(value)


def _constant(value: Any, widths: list[tuple[Any, Any]], fills: list[tuple[Any, Any]]) -> Any:
    dtype = dtype_of(value)
    flat = [each for pair in fills for each in pair]
    first = flat[0]
    if all(each is first or (not isinstance(each, Array) and each == first) for each in flat):
        paddings = (
            np.array(widths)
            if all(isinstance(w, int) for p in widths for w in p)
            else [list(p) for p in widths]
        )
        return ops.call("tf.pad", value, paddings, constant_values=cast(value_of(first), dtype))
    for axis, (pair, fill) in enumerate(zip(widths, fills, strict=True)):
        parts = [value]
        for place, width in enumerate(pair):
            if isinstance(width, int) and not width:
                continue
            shape = sizes(value)
            shape[axis] = width
            block = broadcast_to(tensor(fill[place], dtype), shape)
            parts = [block, *parts] if place == 0 else [*parts, block]
        value = ops.call("tf.concat", parts, axis=axis) if len(parts) > 1 else value
    return value


def _along(value: Any, axis: int, pair: tuple[Any, Any], mode: str, kwargs: Any, rank: int) -> Any:
    """One axis padded with what stands in the array itself."""
    before = (ALL,) * axis
    size = sizes(value)[axis]
    if mode == "edge":
        refuse(is_size(size, 0), "NumPy raises ValueError: can't extend empty axis")
        ends = [
            ops.index(value, (*before, slice(0, 1))),
            ops.index(value, (*before, slice(-1, None))),
        ]
        return _joined(
            value, [_repeated(e, w, axis) for e, w in zip(ends, pair, strict=True)], axis
        )
    if mode in ("maximum", "minimum", "mean", "median", "linear_ramp"):
        return _statistic(value, axis, pair, mode, kwargs, rank)
    refuse(mode not in ("reflect", "symmetric", "wrap"), f"NumPy raises ValueError: no mode {mode}")
    kind = kwargs.get("reflect_type", "even")
    refuse(kind != "even", "odd reflections")
    if all(isinstance(each, int) for each in (size, *pair)):
        refuse(not size, "NumPy raises ValueError: can't extend empty axis")
        small = size > 1 and max(pair) < size if mode == "reflect" else max(pair) <= size
        if mode in ("reflect", "symmetric") and small:
            paddings = [[0, 0]] * axis + [list(pair)] + [[0, 0]] * (rank - axis - 1)
            return ops.call("tf.pad", value, paddings, mode=mode.upper())
        if mode == "wrap" and max(pair) <= size:
            head = ops.index(value, (*before, slice(size - pair[0], None)))
            tail = ops.index(value, (*before, slice(None, pair[1])))
            return _joined(value, [head, tail], axis)
        known: Any = mode
        index = np.pad(np.arange(size), pair, mode=known)
        return ops.call("tf.gather", value, index, axis=axis)
    return ops.call("tf.gather", value, _places(size, pair, mode), axis=axis)


def _places(size: Any, pair: tuple[Any, Any], mode: str) -> Any:
    """Where each element of a padded axis comes from, for sizes that are not known."""

    def number(each: Any) -> Any:
        return np.int64(each) if isinstance(each, int) else each

    total = ops.call("tf.add", ops.call("tf.add", number(size), number(pair[0])), number(pair[1]))
    line = ops.call("tf.subtract", ops.call("tf.range", total), number(pair[0]))
    if mode == "wrap":
        return ops.call("tf.math.floormod", line, number(size))
    one, two = np.int64(1), np.int64(2)
    if mode == "symmetric":
        period = ops.call("tf.multiply", number(size), two)
        place = ops.call("tf.math.floormod", line, period)
        back = ops.call("tf.subtract", ops.call("tf.subtract", period, place), one)
    else:
        period = ops.call(
            "tf.maximum",
            ops.call("tf.multiply", ops.call("tf.subtract", number(size), one), two),
            one,
        )
        place = ops.call("tf.math.floormod", line, period)
        back = ops.call("tf.subtract", period, place)
    return ops.call("tf.minimum", place, back)


def _repeated(end: Any, width: Any, axis: int) -> Any:
    shape = sizes(end)
    shape[axis] = width
    return broadcast_to(end, shape)


def _joined(value: Any, ends: list[Any], axis: int) -> Any:
    return ops.call("tf.concat", [ends[0], value, ends[1]], axis=axis)


def _statistic(
    value: Any, axis: int, pair: tuple[Any, Any], mode: str, kwargs: Any, rank: int
) -> Any:
    before = (ALL,) * axis
    dtype = dtype_of(value)
    widths = [integer(fresh(np.asarray(w)), "a width") if isinstance(w, int) else w for w in pair]
    refuse(not all(isinstance(w, int) for w in widths), "widths that are not known")
    if mode == "linear_ramp":
        targets = _pairs(kwargs.get("end_values", 0), rank)[axis]
        ends = []
        for place, width in enumerate(widths):
            part = slice(0, 1) if place == 0 else slice(-1, None)
            edge = ops.index(value, (*before, part))
            wide = "float64" if dtype.kind in "iu" else dtype.name
            refuse(dtype.kind not in "iuf", "a ramp of such values")
            edge_wide, target = cast(edge, wide), tensor(targets[place], wide)
            steps = np.arange(width, dtype=wide).reshape(
                [-1 if p == axis else 1 for p in range(rank)]
            )
            step = ops.call(
                "tf.divide",
                ops.call("tf.subtract", edge_wide, target),
                np.asarray(max(width, 1), wide),
            )
            ramp = ops.call("tf.add", ops.call("tf.multiply", steps, step), target)
            if dtype.kind in "iu":
                ramp = ops.call("tf.floor", ramp)
            ramp = cast(ramp, dtype)
            ends.append(ramp if place == 0 else ops.call("tf.reverse", ramp, axis=[axis]))
        return _joined(value, ends, axis)
    lengths = _pairs(kwargs.get("stat_length"), rank)[axis]
    from unslow.native.dispatch import call_numpy

    function = {"maximum": np.max, "minimum": np.min, "mean": np.mean, "median": np.median}[mode]
    ends = []
    for place, (width, length) in enumerate(zip(widths, lengths, strict=True)):
        part = ALL
        if length is not None:
            part = slice(None, length) if place == 0 else slice(-length, None)
        chunk = fresh(ops.index(value, (*before, part)))
        found = read(call_numpy(function, (chunk,), {"axis": axis, "keepdims": True}))
        if mode in ("mean", "median") and dtype.kind in "iu":
            found = ops.call("tf.round", found)
        ends.append(_repeated(cast(found, dtype), width, axis))
    return _joined(value, ends, axis)
