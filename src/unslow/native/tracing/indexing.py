"""`array[key]`, with keys of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unslow.native import kit, ops
from unslow.native.tracing import views
from unslow.native.tracing.array import Array, fresh, ndim, read, result, view
from unslow.native.tracing.checks import asked, note_outside
from unslow.native.tracing.dtypes import cast, dtype_of
from unslow.native.tracing.layout import keeps_c_order
from unslow.native.tracing.sequences import Sequence
from unslow.native.tracing.views import as_tensor, is_known, sizes
from unslow.native.untranslatable import Untranslatable

SLICE = slice(None)


@dataclass(eq=False)
class Picked:
    """An index that is an array: of integers, or a mask over `len(mask.shape)` axes."""

    values: Any

    @property
    def is_mask(self) -> bool:
        return dtype_of(self.values).kind == "b"

    @property
    def axes(self) -> int:
        return len(self.values.shape) if self.is_mask else 1


def _number(value: Any) -> Any:
    """A number in an index: an integer or a tensor."""
    if isinstance(value, Array):
        plain = read(value)
        if dtype_of(plain).kind not in "iu":
            raise Untranslatable("NumPy raises IndexError: an index is no integer")
        return int(plain) if is_known(plain) else cast(plain, "int64")
    return value.__index__()


def _slice(part: slice) -> slice:
    return slice(
        *[None if each is None else _number(each) for each in (part.start, part.stop, part.step)]
    )


def _part(part: Any) -> Any:
    if part is None or part is Ellipsis:
        return part
    if isinstance(part, slice):
        return _slice(part)
    if isinstance(part, (list, tuple, Sequence)):
        if isinstance(part, (list, tuple)) and not len(part):
            return Picked(np.zeros(0, np.int64))
        part = kit.array_of(part)
    if isinstance(part, np.ndarray):
        part = fresh(part)
    if isinstance(part, (bool, np.bool_)):
        raise Untranslatable("a single truth value as an index")
    if isinstance(part, Array):
        plain = read(part)
        kind = dtype_of(plain).kind
        if kind not in "iub":
            raise Untranslatable("NumPy raises IndexError: arrays used as indices must be integers")
        if ndim(part) or kind == "b":
            if not ndim(part):
                raise Untranslatable("a single truth value as an index")
            return Picked(plain)
        return _number(part)
    if not hasattr(part, "__index__"):
        raise Untranslatable(f"NumPy raises IndexError: {type(part).__name__} is no index")
    return part.__index__()


def parts_of(array: Array, key: Any) -> list[Any]:
    """The parts of a key, with `...` written out as slices, one for each axis or new axis."""
    given = list(key) if isinstance(key, tuple) else [key]
    parts = [_part(part) for part in given]
    used = sum(
        part.axes if isinstance(part, Picked) else 1
        for part in parts
        if part is not None and part is not Ellipsis
    )
    rank = ndim(array)
    if used > rank:
        raise Untranslatable("NumPy raises IndexError: too many indices")
    dots = [place for place, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise Untranslatable("NumPy raises IndexError: an index has one ellipsis at most")
    place = dots[0] if dots else len(parts)
    written = parts[:place] + [SLICE] * (rank - used) + parts[place + 1 :]
    _check(read(array), written)
    return written


def _check(value: Any, parts: list[Any]) -> None:
    """Refuse what is out of range for sure, and note what else is."""
    axis = 0
    static = list(value.shape) if is_known(value) else value.shape.as_list()
    all_sizes = sizes(value) if asked() else static
    for part in parts:
        if part is None:
            continue
        if isinstance(part, slice) and part.step is not None and not isinstance(part.step, int):
            raise Untranslatable("the step of a slice must be known")
        if isinstance(part, slice) and part.step == 0:
            raise Untranslatable("NumPy raises ValueError: slice step cannot be zero")
        size = static[axis]
        if size is not None:
            numbers = part if isinstance(part, int) else None
            if isinstance(part, Picked) and not part.is_mask and is_known(part.values):
                numbers = part.values
            if numbers is not None and np.any((numbers >= np.int64(size)) | (numbers < -size)):
                raise Untranslatable("NumPy raises IndexError: an index is out of bounds")
        if asked() and (views.is_open(part) or (isinstance(part, int) and size is None)):
            number = part if views.is_open(part) else np.int64(part)
            note_outside(views.from_start(number, all_sizes[axis]), all_sizes[axis])
        axis += part.axes if isinstance(part, Picked) else 1


def take(array: Array, key: Any) -> Any:
    """`array[key]`."""
    parts = parts_of(array, key)
    if not any(isinstance(part, Picked) for part in parts):
        given = key if isinstance(key, tuple) else (key,)
        lens = views.Index(tuple(parts))
        if all(part is not Ellipsis and part is not None for part in given) and not any(
            part is None or isinstance(part, slice) for part in parts
        ):
            return result(lens.get(read(array)), "scalar")
        if any(isinstance(part, Array) and part._kind == "array" for part in given):
            # Where an array without axes is the index, NumPy makes a copy.
            return fresh(lens.get(read(array)), c_order=False)
        return view(array, lens)
    return fresh(_gathered(read(array), parts), c_order=_picked_in_c_order(array, key, parts))


def _picked_in_c_order(array: Array, key: Any, parts: list[Any]) -> bool:
    """Whether NumPy certainly puts what arrays pick into C order: first they, then the rest."""
    given = key if isinstance(key, tuple) else (key,)
    if not all(keeps_c_order(each) for each in (array, *given)):
        return False
    if any(isinstance(each, np.ndarray) and not each.flags.c_contiguous for each in given):
        return False
    picks = [
        place
        for place, part in enumerate(parts)
        if part is not None and not isinstance(part, slice)
    ]
    return picks == list(range(len(picks))) and None not in parts


def _simple(parts: list[Any]) -> tuple[Any, ...]:
    """The basic part of a key: what picks by arrays, or by one number, takes all."""
    return tuple(part if part is None or isinstance(part, slice) else SLICE for part in parts)


def _spread(parts: list[Any]) -> list[Any]:
    """Masks as one array of integers for each of their axes."""
    spread = []
    for part in parts:
        if isinstance(part, Picked) and part.is_mask:
            if is_known(part.values):
                spread += [Picked(each) for each in np.nonzero(part.values)]
                continue
            where = ops.call("tf.where", part.values)
            columns = len(part.values.shape)
            spread += [Picked(ops.index(where, (SLICE, column))) for column in range(columns)]
        else:
            spread.append(part)
    return spread


def _picks(value: Any, parts: list[Any], narrow: bool = False) -> tuple[list[int], list[Any]]:
    """The axes that arrays or numbers pick from, and what they pick, counted from 0.

    `narrow`: a single pick may have 32 bits.
    """
    axes, picks = [], []
    all_sizes = sizes(value)
    for axis, part in enumerate(parts):
        if part is None or isinstance(part, slice):
            continue
        axes.append(axis)
        picks.append(part.values if isinstance(part, Picked) else part)
    narrow = narrow and len(axes) == 1
    return axes, [
        from_zero(pick, all_sizes[axis], narrow) for axis, pick in zip(axes, picks, strict=True)
    ]


def from_zero(picked: Any, size: Any, narrow: bool = False) -> Any:
    """Indices, with those from the end counted from the start, in 64 bits.

    `narrow`: in 32 bits, where the indices and the size have no more.
    """
    if isinstance(picked, int):
        picked = np.asarray(picked, np.int64)
    source = dtype_of(picked)
    narrow = narrow and not is_known(picked) and np.can_cast(source, np.int32)
    narrow = narrow and isinstance(size, int) and size < 2**31
    picked = cast(picked, "int32" if narrow else "int64")
    if is_known(picked):
        if isinstance(size, int):
            return np.where(picked < 0, picked + size, picked)
        if not np.any(picked < 0):
            note_outside(picked, size)
            return picked
    picked = as_tensor(picked)
    if source.kind == "u" and source.itemsize < 8:
        note_outside(picked, size)
        return picked
    total = np.int32(size) if narrow else kit.size_tensor(size)
    below = ops.call("tf.less", picked, np.zeros((), dtype_of(picked)))
    picked = ops.call("tf.where", below, ops.call("tf.add", picked, total), picked)
    note_outside(picked, size)
    return picked


def _rank(value: Any) -> int:
    return len(value.shape)


def _together(parts: list[Any], axes: list[int]) -> bool:
    return axes == list(range(axes[0], axes[0] + len(axes)))


def _others(parts: list[Any], masks: list[Any]) -> list[Any]:
    """What picks by numbers, or by arrays other than the masks."""
    return [
        part
        for part in parts
        if not (part is None or isinstance(part, slice) or any(part is mask for mask in masks))
    ]


def _place(parts: list[Any], wanted: Any) -> int:
    return next(place for place, part in enumerate(parts) if part is wanted)


def _gathered(value: Any, parts: list[Any]) -> Any:
    """The elements that a key with arrays picks."""
    masks = [part for part in parts if isinstance(part, Picked) and part.is_mask]
    others = _others(parts, masks)
    if len(masks) == 1 and not others and all(part is not None for part in parts):
        place = _place(parts, masks[0])
        expanded = parts[:place] + [SLICE] * masks[0].axes + parts[place + 1 :]
        value = as_tensor(views.Index(tuple(expanded)).get(value))
        return ops.call("tf.boolean_mask", value, as_tensor(masks[0].values), axis=place)
    parts = _spread(parts)
    value = as_tensor(views.Index(_simple(parts)).get(value))
    axes, picks = _picks(value, parts, narrow=True)
    if len(axes) == 1:
        return _gather(value, picks[0], axes[0])
    if _together(parts, axes) and _is_mesh(picks):
        for axis, pick in zip(axes, picks, strict=True):
            value = _gather(value, views.reshape(pick, [-1]), axis)
        return value
    rest = [axis for axis in range(_rank(value)) if axis not in axes]
    value = (
        ops.call("tf.transpose", value, axes + rest) if axes != list(range(len(axes))) else value
    )
    picks = _broadcast(picks)
    others = [size for axis, size in enumerate(sizes(value)) if axis >= len(axes)]
    if any(isinstance(size, int) and size == 0 for size in others):
        # The op takes nothing out of nothing only where nothing is asked for.
        shape = views.static_shape([*sizes(picks[0]), *others])
        gathered = ops.call("tf.zeros", shape, dtype_of(value).name)
    else:
        gathered = ops.call("tf.gather_nd", value, ops.call("tf.stack", picks, axis=-1))
    front = _rank(picks[0])
    if _together(parts, axes) and axes[0]:
        return ops.call("tf.transpose", gathered, _moved(front, axes[0], _rank(gathered)))
    return gathered


def _moved(front: int, place: int, rank: int) -> list[int]:
    """The order of axes that puts the first `front` ones behind `place` others."""
    return [
        *range(front, front + place),
        *range(front),
        *range(front + place, rank),
    ]


def _broadcast(picks: list[Any]) -> list[Any]:
    shape = kit.broadcast_shape(*[sizes(pick) for pick in picks])
    return [as_tensor(kit.broadcast_to(pick, shape)) for pick in picks]


def _is_mesh(picks: list[Any]) -> bool:
    """Whether each array varies along an axis of its own, in their order."""
    for place, pick in enumerate(picks):
        shape = list(pick.shape)
        if len(shape) != len(picks):
            return False
        if any(size != 1 for axis, size in enumerate(shape) if axis != place):
            return False
    return True


def _gather(value: Any, pick: Any, axis: int) -> Any:
    """Elements along one axis; a known run of indices is a slice."""
    if is_known(pick) and pick.ndim == 1 and len(pick) > 1:
        steps = np.unique(np.diff(pick))
        if len(steps) == 1 and steps[0] != 0:
            step = int(steps[0])
            stop: int | None = int(pick[-1]) + (1 if step > 0 else -1)
            part = slice(int(pick[0]), None if stop is not None and stop < 0 else stop, step)
            if isinstance(sizes(value)[axis], int):
                return ops.index(value, (SLICE,) * axis + (part,))
    return ops.call("tf.gather", value, pick, axis=axis)
