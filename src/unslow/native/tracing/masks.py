"""Assignment to slices as a choice by a mask.

Unlike the op that puts a slice into a tensor, this can be vectorised, and compiled by XLA where
the slice's ends hang on the values or places between are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import kit, ops
from unslow.native.tracing import views
from unslow.native.tracing.checks import asked, note
from unslow.native.tracing.surroundings import compiled, vectorised
from unslow.native.tracing.views import as_tensor, is_known, sizes

LONGEST_STEP = 2**62
"""No axis is as long."""


def needed(index: views.Index) -> bool:
    """Whether the op that puts a slice into a tensor does not do here."""
    return vectorised() or (compiled() and not _is_a_block(index))


def _is_a_block(index: views.Index) -> bool:
    """Whether it takes a known block without gaps, which XLA can put back."""
    steps = [part.step for part in index.key if isinstance(part, slice)]
    return index.static and all(step in (None, 1, -1) for step in steps)


def put(lens: views.Lens, whole: Any, seen: Any) -> Any:
    """A new whole with what is seen through a lens, as its own `put` makes it."""
    if isinstance(lens, views.Index) and compiled() and needed(lens):
        parts = [part for part in lens.key if part is not None]
        known = lens.static and is_known(whole) and is_known(seen)
        changed = None if known else assigned(whole, parts, lens.without_new_axes(seen))
        if changed is not None:
            return changed
    return lens.put(whole, seen)


def assigned(whole: Any, parts: list[Any], new: Any) -> Any | None:
    """`whole[parts] = new` as a new tensor.

    `None` for new axes, all of it, and steps backwards that XLA does not compile. `parts`: slices
    and numbers, one for each axis; `new` has the dtype of `whole`.
    """
    seen = [axis for axis, part in enumerate(parts) if isinstance(part, slice)]
    given = sizes(new)
    if any(part is None for part in parts) or len(given) > len(seen):
        return None
    if not compiled() and any((parts[axis].step or 1) < 0 for axis in seen):
        return None
    shape: list[Any] = [1] * len(parts)
    for axis, size in zip(reversed(seen), reversed(given), strict=False):
        shape[axis] = size
    all_sizes = sizes(whole)
    picked = [axis for axis, part in enumerate(parts) if not views.is_all(part)]
    if not picked:
        return None
    leading = len(seen) + len(picked) == len(parts) and picked == list(range(len(picked)))
    if leading and all(isinstance(size, int) and size < 2**31 for size in all_sizes):
        return _at_one_place(whole, parts[: len(picked)], new)
    new, fitting = _fitted(views.reshape(new, shape), shape, parts, all_sizes)
    mask: Any = None
    for axis in picked:
        inside, places = _inside(parts[axis], all_sizes[axis])
        if not kit.is_size(shape[axis], 1):
            _note_other_count(inside, shape[axis])
            values, count = as_tensor(new), fitting[axis]
            if not isinstance(count, int) or not count:
                # Nothing could be taken from nothing.
                padding = [[0, int(each == axis)] for each in range(len(parts))]
                values = ops.call("tf.pad", values, padding)
            new = ops.call("tf.gather", values, _within(places, count), axis=axis)
        along = [-1 if place == axis else 1 for place in range(len(parts))]
        inside = as_tensor(views.reshape(inside, along))
        mask = inside if mask is None else ops.call("tf.logical_and", mask, inside)
    return ops.call("tf.where", mask, as_tensor(new), as_tensor(whole))


def _fitted(
    new: Any, shape: list[Any], parts: list[Any], all_sizes: list[Any]
) -> tuple[Any, list[Any]]:
    """What is assigned, and its shape: refused where it does not fit what the parts pick.

    Where that is known only as the graph runs, it is an error then. What slices pick whose ends
    hang on values is left open here.
    """
    fitting = list(shape)
    for axis, (part, size) in enumerate(zip(parts, all_sizes, strict=True)):
        if isinstance(part, slice) and not kit.is_size(shape[axis], 1):
            count = _count(part, size)
            fitting[axis] = shape[axis] if count is None else count
    kit.broadcast_shape_into(shape, fitting)
    if any(one is not other for one, other in zip(shape, fitting, strict=True)):
        new = kit.broadcast_to(new, fitting)
    return new, fitting


def _count(part: slice, size: Any) -> Any:
    """How many elements a slice picks of an axis; `None` where it hangs on values."""
    if any(map(views.is_open, views.numbers_of(part))):
        return None
    if isinstance(size, int):
        return len(range(size)[part])
    if views.is_all(part):
        return size
    return sizes(ops.index(ops.call("tf.range", size), (part,)))[0]


def _at_one_place(whole: Any, numbers: list[Any], new: Any) -> Any:
    """`whole[i, j, ...] = new`, which costs no more than what it writes inside a loop of XLA."""
    all_sizes = sizes(whole)
    pairs = zip(numbers, all_sizes, strict=False)
    index = [kit.size_tensor(views.from_start(number, size)) for number, size in pairs]
    # `tf.vectorized_map` has a converter for these alone.
    places = ops.call("tf.cast", ops.call("tf.stack", index), "int32")
    value = kit.broadcast_to(as_tensor(new), all_sizes[len(numbers) :])
    return ops.call(
        "tf.tensor_scatter_nd_update",
        as_tensor(whole),
        ops.call("tf.expand_dims", places, 0),
        ops.call("tf.expand_dims", value, 0),
    )


def _inside(part: Any, size: Any) -> tuple[Any, Any]:
    """Which places of an axis a slice or a number picks, and as which of those picked."""
    line: Any = np.arange(size) if isinstance(size, int) else ops.call("tf.range", size)
    if not isinstance(part, slice):
        return _apply("tf.equal", np.equal, line, views.from_start(part, size)), line
    step = 1 if part.step is None else part.step
    first = 0 if step > 0 else _apply("tf.subtract", np.subtract, size, 1)
    begin = first if part.start is None else views.from_start(part.start, size)
    # What lies before the first place begins there.
    if step > 0:
        begin = _apply("tf.maximum", np.maximum, begin, first)
        places = _apply("tf.subtract", np.subtract, line, begin)
    else:
        begin = _apply("tf.minimum", np.minimum, begin, first)
        places = _apply("tf.subtract", np.subtract, begin, line)
    found = _apply("tf.greater_equal", np.greater_equal, places, 0)
    if part.stop is not None:
        stop = views.from_start(part.stop, size)
        inside = ("tf.less", np.less) if step > 0 else ("tf.greater", np.greater)
        found = _apply("tf.logical_and", np.logical_and, found, _apply(*inside, line, stop))
    stride = min(abs(step), LONGEST_STEP)
    if stride != 1:
        rest = _apply("tf.math.floormod", np.mod, places, stride)
        none = _apply("tf.equal", np.equal, rest, 0)
        found = _apply("tf.logical_and", np.logical_and, found, none)
        places = _apply("tf.math.floordiv", np.floor_divide, places, stride)
    return found, places


def _note_other_count(inside: Any, size: Any) -> None:
    """Note that other than `size` places are picked, which may be one that stands for all."""
    if not asked():
        return
    count = ops.call("tf.math.count_nonzero", as_tensor(inside))
    if isinstance(size, int):
        note("tf.not_equal", count, np.int64(size))
        return
    one = ops.call("tf.equal", size, np.int64(1))
    note("tf.not_equal", ops.call("tf.where", one, size, count), size)


def _within(places: Any, size: Any) -> Any:
    """Places that are certainly inside an axis of a size, which has one in any case."""
    last = _apply("tf.maximum", np.maximum, _apply("tf.subtract", np.subtract, size, 1), 0)
    return _apply("tf.minimum", np.minimum, _apply("tf.maximum", np.maximum, places, 0), last)


def _apply(name: str, plain: Any, one: Any, other: Any) -> Any:
    """An op on whole numbers or truth values; NumPy's function where both are known."""
    pair = [np.int64(each) if isinstance(each, int) else each for each in (one, other)]
    return plain(*pair) if all(is_known(each) for each in pair) else ops.call(name, *pair)
