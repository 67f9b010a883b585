"""Views of one array at regular steps, put together: one strided op in the place of many."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.kit import Array, is_known, read, reshape, sizes
from unslow.native.tracing import views

ALL = slice(None)
FEWEST = 3
"""Fewer parts are put together one by one."""

PIECES = 8
"""Frames that overlap in more pieces than this are gathered."""

LONGEST = 1000
"""Frames that would be gathered from more pieces are put together one by one."""


def stacked(parts: Sequence[Any], axis: int) -> Any | None:
    """`np.stack(parts, axis)`, where the parts are views of one array at regular steps.

    `parts`: arrays, and numbers. The views differ along one axis, as frames of a sound, or along
    two, as patches of an image. Gives a tensor; `None` where they are no such views.
    """
    found = _varying(parts)
    if found is None:
        return None
    source, keys, places = found
    lines = _grid(keys, places)
    if lines is None:
        return None
    key = tuple(ALL if place in lines else part for place, part in enumerate(keys[0]))
    value = views.Index(key).get(source)
    axes: dict[int, int] = {}
    for place in sorted(lines, reverse=True):
        along = sum(1 for part in key[:place] if part is None or isinstance(part, slice))
        rank = len(value.shape)
        numbers = all(isinstance(part, int) for part in lines[place])
        value = (_rows if numbers else _frames)(value, lines[place], along)
        if value is None:
            return None
        axes = {each: at + len(value.shape) - rank for each, at in axes.items()}
        axes[place] = along
    order = [axes[place] for place in lines]
    if len(order) == 1:
        return _moved(value, order[0], axis)
    rest = [at for at in range(len(value.shape)) if at not in order]
    value = ops.call("tf.transpose", value, [*order, *rest])
    return _moved(reshape(value, [len(parts), *sizes(value)[len(order) :]]), 0, axis)


def _grid(keys: list[tuple[Any, ...]], places: list[int]) -> dict[int, list[Any]] | None:
    """What the keys have at each place, outer loop first, if they run through all pairs."""
    for outer_first in itertools.permutations(places):
        lines = {
            place: list({repr(key[place]): key[place] for key in keys}.values())
            for place in outer_first
        }
        pairs = list(itertools.product(*lines.values()))
        if pairs == [tuple(key[place] for place in outer_first) for key in keys]:
            return lines
    return None


def _varying(parts: Sequence[Any]) -> tuple[Any, list[tuple[Any, ...]], list[int]] | None:
    """What the parts are views of, their keys, and the one or two places where the keys differ."""
    if len(parts) < FEWEST or not all(_is_view(part) for part in parts):
        return None
    first = parts[0]
    for part in parts:
        if part._storage is not first._storage or len(part._lenses) != len(first._lenses):
            return None
        before = zip(part._lenses[:-1], first._lenses[:-1], strict=True)
        if any(one is not other for one, other in before):
            return None
    keys = [part._lenses[-1].key for part in parts]
    if len({len(key) for key in keys}) > 1:
        return None
    differ = [place for place, at in enumerate(zip(*keys, strict=True)) if _unlike(at)]
    if len(differ) not in (1, 2):
        return None
    source = read(Array(first._storage, first._lenses[:-1]))
    return None if is_known(source) else (source, keys, differ)


def _is_view(part: Any) -> bool:
    if not isinstance(part, Array) or part._kind != "array" or not part._lenses:
        return False
    last = part._lenses[-1]
    return isinstance(last, views.Index) and last.static


def _unlike(parts: tuple[Any, ...]) -> bool:
    return any(type(part) is not type(parts[0]) or part != parts[0] for part in parts)


def _step(starts: Sequence[int]) -> int | None:
    """The step of numbers at regular steps, `None` where they are not."""
    steps = {after - before for before, after in itertools.pairwise(starts)}
    return steps.pop() if len(steps) == 1 else None


def _rows(value: Any, numbers: list[Any], along: int) -> Any | None:
    """Single places along an axis, by their numbers."""
    size = sizes(value)[along]
    if isinstance(size, int):
        numbers = [number % size for number in numbers]
    step = _step(numbers)
    if any(number < 0 for number in numbers) or not step:
        return None
    stop = numbers[-1] + (1 if step > 0 else -1)
    run = slice(numbers[0], None if stop < 0 else stop, step)
    return ops.index(value, (ALL,) * along + (run,))


def _frames(value: Any, parts: list[Any], along: int) -> Any | None:
    """Runs of places along an axis, equally long, as two axes: the runs, and places in them."""
    size = sizes(value)[along]
    if not isinstance(size, int) or not all(isinstance(part, slice) for part in parts):
        return None
    ranges = [range(*part.indices(size)) for part in parts]
    starts, lengths = [each.start for each in ranges], {len(each) for each in ranges}
    hop = _step(starts)
    if {each.step for each in ranges} != {1} or len(lengths) > 1 or not hop or hop < 0:
        return None
    length, count = lengths.pop(), len(parts)
    if not length:
        return None
    before, begin = (ALL,) * along, starts[0]
    shape = sizes(value)
    block = math.gcd(hop, length)
    end = begin + (count - 1) * hop + max(length, hop)
    if block in (hop, length) and end <= size and length <= PIECES * hop:
        # Blocks of a hop each: a frame is the first of them, cut short, or some side by side.
        whole = -(-length // hop)
        used = ops.index(value, (*before, slice(begin, begin + (count - 1 + whole) * hop)))
        blocks = reshape(used, [*shape[:along], count - 1 + whole, hop, *shape[along + 1 :]])
        if length < hop:
            return ops.index(blocks, (*before, ALL, slice(None, length)))
        pieces = [ops.index(blocks, (*before, slice(k, k + count))) for k in range(whole)]
        return pieces[0] if whole == 1 else ops.call("tf.concat", pieces, axis=along + 1)
    if length // block > LONGEST:
        return None
    end = begin + (count - 1) * hop + length
    used = ops.index(value, (*before, slice(begin, end)))
    blocks = reshape(used, [*shape[:along], (end - begin) // block, block, *shape[along + 1 :]])
    first: Any = np.arange(count, dtype=np.int32)[:, None] * (hop // block)
    places = first + np.arange(length // block, dtype=np.int32)
    taken = ops.call("tf.gather", blocks, places, axis=along)
    return reshape(taken, [*shape[:along], count, length, *shape[along + 1 :]])


def _moved(value: Any, source: int, target: int) -> Any:
    """The value with one axis at another place."""
    order = [axis for axis in range(len(value.shape)) if axis != source]
    order.insert(target, source)
    return value if source == target else ops.call("tf.transpose", value, order)
