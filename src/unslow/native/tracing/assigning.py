"""`array[key] = value`, with keys of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import kit, ops
from unslow.native.tracing import masks, views
from unslow.native.tracing.array import Array, read, view, write
from unslow.native.tracing.dtypes import cast, dtype_of
from unslow.native.tracing.indexing import (
    SLICE,
    Picked,
    _others,
    _picks,
    _place,
    _rank,
    _simple,
    _spread,
    _together,
    parts_of,
)
from unslow.native.tracing.views import as_tensor, is_known, sizes
from unslow.native.untranslatable import Untranslatable


def assign(array: Array, key: Any, value: Any) -> None:
    """`array[key] = value`."""
    if array._kind != "array":
        raise Untranslatable("NumPy raises TypeError: a scalar does not support item assignment")
    parts = parts_of(array, key)
    dtype = dtype_of(read(array))
    if not isinstance(value, Array) and isinstance(value, (int, np.integer)):
        kit.quietly(lambda: np.zeros(1, dtype).__setitem__(0, value))
    new = cast(kit.value_of(value), dtype)
    if not any(isinstance(part, Picked) for part in parts):
        lens = views.Index(tuple(parts))
        known = lens.static and is_known(new) and is_known(read(array))
        by_mask = masks.needed(lens) and not known
        changed = masks.assigned(read(array), parts, new) if by_mask else None
        if changed is not None:
            write(array, changed)
            return
        target = view(array, lens)
        write(target, fitted(new, sizes(read(target))))
        return
    chosen = [part for part in parts if isinstance(part, Picked) and part.is_mask]
    others = _others(parts, chosen)
    if len(chosen) == 1 and not others and all(part is not None for part in parts):
        place = _place(parts, chosen[0])
        expanded = parts[:place] + [SLICE] * chosen[0].axes + parts[place + 1 :]
        target = view(array, views.Index(tuple(expanded)))
        if _rank(new) <= _rank(read(target)) - chosen[0].axes - place:
            _assign_where(target, chosen[0], place, new)
            return
        parts = [chosen[0] if i == place else p for i, p in enumerate(parts)]
    unique = len(chosen) == 1 and not others
    parts = _spread(parts)
    target = view(array, views.Index(_simple(parts)))
    write(target, _scattered(read(target), parts, new, unique))


def fitted(value: Any, shape: list[Any]) -> Any:
    """The value broadcast to what it is assigned to, without leading axes of one element."""
    extra = _rank(value) - len(shape)
    if extra > 0:
        if any(size != 1 for size in list(value.shape)[:extra]):
            raise Untranslatable("NumPy raises ValueError: it does not broadcast to the target")
        value = views.reshape(value, sizes(value)[extra:])
    kit.broadcast_shape_into(sizes(value), shape)
    return kit.broadcast_to(value, shape)


def _assign_where(target: Array, mask: Picked, place: int, new: Any) -> None:
    """One value, or one for each place behind the mask, wherever the mask holds."""
    old = as_tensor(read(target))
    behind = _rank(old) - place - mask.axes
    shape = sizes(mask.values)
    where = views.reshape(mask.values, [1] * place + shape + [1] * behind)
    write(target, ops.call("tf.where", as_tensor(where), as_tensor(new), old))


def _scattered(old: Any, parts: list[Any], new: Any, unique: bool) -> Any:
    """The old values with new ones where arrays pick; of equal places the last one counts."""
    old = as_tensor(old)
    if any(isinstance(size, int) and size == 0 for size in sizes(old)):
        return old
    axes, picks = _picks(old, parts)
    rank = _rank(old)
    rest = [axis for axis in range(rank) if axis not in axes]
    order = axes + rest
    moved = ops.call("tf.transpose", old, order) if order != list(range(rank)) else old
    known = all(is_known(pick) for pick in picks)
    shape = kit.broadcast_shape(*[sizes(pick) for pick in picks])
    picks = [kit.broadcast_to(pick, shape) for pick in picks]
    all_sizes = sizes(old)
    rest_sizes = [all_sizes[axis] for axis in rest]
    place = axes[0] if _together(parts, axes) else 0
    seen = rest_sizes[:place] + shape + rest_sizes[place:]
    single = unique or _rank(new) == 0
    new = as_tensor(fitted(new, seen))
    if place:
        back = [
            *range(place, place + len(shape)),
            *range(place),
            *range(place + len(shape), len(seen)),
        ]
        new = ops.call("tf.transpose", new, back)
    if known:
        together = np.stack([np.asarray(pick).reshape(-1) for pick in picks], axis=-1)
        single = single or len(np.unique(together, axis=0)) == len(together)
    if single or not shape:
        index = ops.call("tf.stack", [as_tensor(pick) for pick in picks], axis=-1)
        index = kit.places(index, [all_sizes[axis] for axis in axes])
        moved = ops.call("tf.tensor_scatter_nd_update", moved, index, new)
    else:
        moved = _last_wins(moved, [as_tensor(pick) for pick in picks], new, len(axes))
    if order != list(range(rank)):
        moved = views.Transpose(order).put(old, moved)
    return moved


def _last_wins(old: Any, picks: list[Any], new: Any, picked: int) -> Any:
    """A scatter in which, of updates of one place, the last is the one that stays."""
    all_sizes = sizes(old)
    rest = all_sizes[picked:]
    place: Any = ops.call("tf.zeros_like", picks[0])
    for pick, size in zip(picks, all_sizes[:picked], strict=True):
        place = ops.call("tf.add", ops.call("tf.multiply", place, kit.size_tensor(size)), pick)
    place = views.reshape(place, [-1])
    count = sizes(place)[0]
    order = ops.call("tf.range", kit.size_tensor(count))
    total = kit.product(all_sizes[:picked])
    none = ops.call("tf.fill", views.static_shape([total]), np.int64(-1))
    index = ops.call("tf.expand_dims", place, -1)
    winner = ops.call("tf.tensor_scatter_nd_max", none, index, order)
    flat = views.reshape(old, [total, *rest])
    new = views.reshape(new, [count, *rest])
    chosen = ops.call("tf.gather", new, ops.call("tf.maximum", winner, np.int64(0)))
    won = views.reshape(ops.call("tf.greater_equal", winner, np.int64(0)), [-1] + [1] * len(rest))
    return views.reshape(ops.call("tf.where", won, chosen, flat), all_sizes)
