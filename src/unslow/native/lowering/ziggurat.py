"""NumPy's normal numbers as ops, from the words of its generator.

NumPy uses Marsaglia and Tsang's ziggurat ("The Ziggurat Method for Generating Random Variables",
2000; numpy/random/src/distributions/distributions.c): a word says which of 256 strips, a sign and
a place in the strip. In 99 of 100 draws that is the number. Else one more word decides whether
it is, or, in the outermost strip, pairs of words until one will do. So where the words of a draw
begin hangs on all before: all words are looked at as if a draw began there, and the few that are
no number at once tell which words begin none.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.lowering import pcg64
from unslow.native.lowering.pcg64 import Wide
from unslow.native.tracing import surroundings

STRIPS = 256
EDGE = 3.6541528853610087963519472518
"""Where the outermost strip begins."""

PLACE_BITS = 52
NEAR = 8
"""How near the tables come to what they are by their definition, in places."""

PAIRS = 3
"""Pairs of words that are looked at beyond `EDGE`; one will not do in 1 of 14 cases."""

LONGEST = 1 + 2 * PAIRS
"""Words that one number takes, as far as is looked at."""

FEW, FEW_COMPILED = 4, 32
"""So few numbers are drawn one after the other; where XLA compiles it."""


@dataclass(frozen=True)
class Tables:
    """For each strip: its width for each place, the places within the next, the density there."""

    widths: Any
    places: Any
    heights: Any


@functools.cache
def tables() -> Tables:
    """The tables of the NumPy that is installed, read from what it draws."""
    widths = np.array([_drawn(strip, 1)[0] for strip in range(STRIPS)])
    edges = widths * 2.0**PLACE_BITS
    inner = np.concatenate([[EDGE, 0.0], edges[1:-1]])
    guesses = [int(each) for each in 2.0**PLACE_BITS * (inner / edges)]
    places = np.array([_first_outside(*each) for each in enumerate(guesses)], np.uint64)
    return Tables(widths, places, np.append(1.0, np.exp(-0.5 * edges[1:] ** 2)))


def _first_outside(strip: int, guess: int) -> int:
    """The first place in a strip that is no number at once."""
    first, last = 0, 2**PLACE_BITS
    for place in (guess - NEAR, guess + NEAR):
        if first <= place < last:
            first, last = (place + 1, last) if _drawn(strip, place)[1] else (first, place)
    while first < last:
        place = (first + last) // 2
        first, last = (place + 1, last) if _drawn(strip, place)[1] else (first, place)
    return first


def _drawn(strip: int, place: int) -> tuple[float, bool]:
    """What NumPy draws where the first word says this, and whether that word is all it takes."""
    generator = np.random.PCG64(0)
    state: Any = generator.state
    # The word is the lower half of the state where the upper is zero.
    wanted = place << 9 | strip
    inverse = pow(pcg64.MULTIPLIER, -1, 2**128)
    state["state"]["state"] = (wanted - state["state"]["inc"]) * inverse & pcg64.ALL
    generator.state = state
    number = np.random.Generator(generator).standard_normal()
    after: Any = generator.state
    return number, after["state"]["state"] == wanted


def normals(state: Wide, increment: Wide, count: int) -> tuple[Any, Wide]:
    """`count` standard normal numbers, float64, and the state after them."""
    nothing = ops.call("tf.zeros", [count], "float64")
    if count == 0:
        return nothing, state
    if count <= (FEW_COMPILED if surroundings.compiled() else FEW):
        done, found, after = np.int32(0), nothing, state
    else:
        known, found, reached = _at_once(state, increment, count)
        done = ops.call("tf.where", known, np.int32(count), np.int32(0))
        after = (
            ops.call("tf.where", known, reached[0], state[0]),
            ops.call("tf.where", known, reached[1], state[1]),
        )
    return _one_by_one(done, found, after, increment, count)


@dataclass(frozen=True)
class _Words:
    """What words say as the first of a draw."""

    strip: Any
    place: Any
    number: Any
    at_once: Any

    @staticmethod
    def of(words: Any) -> _Words:
        table = tables()
        strip = ops.call("tf.cast", pcg64.low_bits(words, 8), "int32")
        place = pcg64.low_bits(pcg64.shifted(words, 9), PLACE_BITS)
        at_once = ops.call("tf.less", place, ops.call("tf.gather", table.places, strip))
        size = ops.call("tf.cast", ops.call("tf.cast", place, "int64"), "float64")
        size = ops.call("tf.multiply", size, ops.call("tf.gather", table.widths, strip))
        sign = ops.call("tf.equal", pcg64.low_bits(pcg64.shifted(words, 8), 1), np.uint64(1))
        number = ops.call("tf.where", sign, ops.call("tf.negative", size), size)
        return _Words(strip, place, number, at_once)

    def fits(self, share: Any) -> Any:
        """Whether the number is one, inside the edge; `share` is what the next word says."""
        heights = tables().heights
        below: Any = np.append(heights[0], heights[:-1])
        height = ops.call("tf.gather", heights, self.strip)
        drop = ops.call("tf.gather", below - heights, self.strip)
        height = ops.call("tf.add", ops.call("tf.multiply", drop, share), height)
        square = ops.call("tf.multiply", self.number, self.number)
        density = ops.call("tf.exp", ops.call("tf.multiply", np.float64(-0.5), square))
        return ops.call("tf.less", height, density)

    def beyond(self, distance: Any) -> Any:
        """The number at a distance beyond the edge; the place says on which side."""
        side = ops.call("tf.equal", pcg64.low_bits(pcg64.shifted(self.place, 8), 1), np.uint64(1))
        number = ops.call("tf.add", np.float64(EDGE), distance)
        return ops.call("tf.where", side, ops.call("tf.negative", number), number)


def _tail(one: Any, other: Any) -> tuple[Any, Any]:
    """The distance beyond the edge that two shares say, and whether it will do."""
    distance, height = (
        ops.call("tf.math.log1p", ops.call("tf.negative", each)) for each in (one, other)
    )
    distance = ops.call("tf.multiply", np.float64(-1 / EDGE), distance)
    height = ops.call("tf.multiply", np.float64(-2), height)
    return distance, ops.call("tf.greater", height, ops.call("tf.multiply", distance, distance))


def _one_by_one(
    done: Any, found: Any, state: Wide, increment: Wide, count: int
) -> tuple[Any, Wide]:
    """The numbers from the one numbered `done` on; `found` holds those before."""

    def test(values: list[Any]) -> Any:
        return ops.call("tf.less", values[0], np.int32(count))

    def draw(values: list[Any]) -> list[Any]:
        place, found, *now, is_beyond, first = values
        state = now[0], now[1]
        once = pcg64.step(state, increment)
        twice = pcg64.step(once, increment)
        # Beyond the edge both words are shares, and the first of the draw is kept.
        word, second = pcg64.words(once), pcg64.words(twice)
        said = _Words.of(ops.call("tf.where", is_beyond, first, word))
        distance, will_do = _tail(pcg64.shares(word), pcg64.shares(second))
        outermost = ops.call("tf.equal", said.strip, np.int32(0))
        fits = ops.call("tf.logical_and", said.fits(pcg64.shares(second)), _not(outermost))
        inside = ops.call("tf.logical_or", said.at_once, fits)
        is_number = ops.call("tf.where", is_beyond, will_do, inside)
        number = ops.call("tf.where", is_beyond, said.beyond(distance), said.number)
        number = ops.call("tf.where", is_number, number, ops.call("tf.gather", found, place))
        row = ops.call("tf.reshape", place, [1, 1])
        number = ops.call("tf.reshape", number, [1])
        goes_beyond = ops.call(
            "tf.logical_and",
            ops.call("tf.logical_or", is_beyond, outermost),
            _not(is_number),
        )
        # A draw that goes beyond the edge has used one word, as has one that is over at once.
        begins = ops.call("tf.logical_and", goes_beyond, _not(is_beyond))
        over = ops.call("tf.logical_and", said.at_once, _not(is_beyond))
        used_one = ops.call("tf.logical_or", begins, over)
        return [
            ops.call("tf.add", place, ops.call("tf.cast", is_number, "int32")),
            ops.call("tf.tensor_scatter_nd_update", found, row, number),
            ops.call("tf.where", used_one, once[0], twice[0]),
            ops.call("tf.where", used_one, once[1], twice[1]),
            goes_beyond,
            ops.call("tf.where", is_beyond, first, word),
        ]

    start = [done, found, *state, np.False_, np.uint64(0)]
    start = [ops.call("tf.convert_to_tensor", each) for each in start]
    _, found, high, low, _, _ = ops.while_loop(test, draw, start, [each.shape for each in start])
    return found, (high, low)


def _not(value: Any) -> Any:
    return ops.call("tf.logical_not", value)


def _at_once(state: Wide, increment: Wide, count: int) -> tuple[Any, Any, Wide]:
    """The numbers, from all words at once: whether they are known, they, and the state after."""
    looked_at = count + count // 32 + 16
    room = count // 32 + 16
    states = pcg64.following(state, increment, looked_at + LONGEST)
    words = pcg64.words(states)
    line = ops.call("tf.range", looked_at)
    said = _Words.of(ops.index(words, (slice(None, looked_at),)))

    # The few that are no number at once, in a list. What is after them stands for none.
    unsure = ops.call("tf.cast", _not(said.at_once), "int32")
    seen = ops.call("tf.cumsum", unsure)
    before = ops.call("tf.subtract", seen, unsure)
    slot = ops.call("tf.where", said.at_once, np.int32(room), before)
    places = _scattered(ops.call("tf.fill", [room], np.int32(looked_at)), slot, line)
    runs, ends, numbers, known = _unsure(words, places, looked_at)

    # Each draw of the list takes some words; all but one of them, if it gives a number, are lost.
    gives = ops.call("tf.logical_and", runs, known[0])
    length = ops.call("tf.subtract", ends, places)
    lost = ops.call("tf.subtract", length, ops.call("tf.cast", gives, "int32"))
    lost = ops.call("tf.where", runs, lost, np.int32(0))
    lost_before = ops.call("tf.concat", [np.zeros(1, np.int32), ops.call("tf.cumsum", lost)], 0)
    at = ops.call("tf.subtract", places, ops.index(lost_before, (slice(None, room),)))
    inside = ops.call("tf.less", at, np.int32(count))
    total = ops.call(
        "tf.reduce_sum",
        ops.call("tf.where", ops.call("tf.logical_and", runs, inside), lost, np.int32(0)),
    )
    used = ops.call("tf.add", total, np.int32(count))

    # A word that such a draw takes besides its first begins none.
    taken = _taken(runs, places, ends, looked_at)
    begins = ops.call("tf.logical_and", said.at_once, _not(taken))
    where = ops.call("tf.minimum", before, np.int32(room))
    goes = ops.call("tf.subtract", line, ops.call("tf.gather", lost_before, where))
    found = ops.call("tf.zeros", [count], "float64")
    found = _scattered(found, _up_to(goes, begins, count), said.number)
    found = _scattered(found, _up_to(at, gives, count), numbers)

    unknown = ops.call("tf.logical_and", runs, ops.call("tf.logical_and", inside, _not(known[1])))
    is_known = ops.call(
        "tf.logical_and",
        ops.call("tf.less_equal", ops.index(seen, (-1,)), np.int32(room)),
        ops.call("tf.less_equal", used, np.int32(looked_at)),
    )
    is_known = ops.call("tf.logical_and", is_known, _not(ops.call("tf.reduce_any", unknown)))
    last = ops.call("tf.minimum", ops.call("tf.subtract", used, np.int32(1)), np.int32(looked_at))
    after = ops.call("tf.gather", states[0], last), ops.call("tf.gather", states[1], last)
    return is_known, found, after


def _up_to(places: Any, condition: Any, count: int) -> Any:
    """The places where the condition holds, below `count`; `count` elsewhere."""
    below = ops.call("tf.less", places, np.int32(count))
    return ops.call(
        "tf.where", ops.call("tf.logical_and", condition, below), places, np.int32(count)
    )


def _scattered(line: Any, places: Any, values: Any) -> Any:
    """A line with values at places of its own; the place after its end takes what has none."""
    size = int(line.shape[0])
    longer = ops.call("tf.pad", line, [[0, 1]])
    places = ops.call("tf.expand_dims", places, 1)
    longer = ops.call("tf.tensor_scatter_nd_update", longer, places, values)
    return ops.index(longer, (slice(None, size),))


def _unsure(words: Any, places: Any, looked_at: int) -> tuple[Any, Any, Any, tuple[Any, Any]]:
    """The draws that would begin at these places and are no number at once.

    Gives for each whether one does begin there, the place after its last word, its number, and
    whether it has one and whether that is known.
    """
    offsets: Any = np.arange(LONGEST, dtype=np.int32)
    rows = ops.call("tf.add", ops.call("tf.expand_dims", places, 1), offsets)
    rows = ops.call("tf.gather", words, rows)
    said = _Words.of(ops.index(rows, (slice(None), 0)))
    shares = pcg64.shares(rows)
    outermost = ops.call("tf.equal", said.strip, np.int32(0))
    fits = said.fits(ops.index(shares, (slice(None), 1)))
    one, other = (ops.index(shares, (slice(None), slice(first, None, 2))) for first in (1, 2))
    distances, will_do = _tail(one, other)
    pair = ops.call("tf.argmax", ops.call("tf.cast", will_do, "int32"), 1, output_type="int32")
    distance = ops.call("tf.gather", distances, pair, batch_dims=1)
    known = ops.call("tf.logical_or", _not(outermost), ops.call("tf.reduce_any", will_do, 1))
    long = ops.call("tf.add", ops.call("tf.multiply", pair, np.int32(2)), np.int32(3))
    length = ops.call("tf.where", outermost, long, np.int32(2))
    ends = ops.call("tf.add", places, length)
    number = ops.call("tf.where", outermost, said.beyond(distance), said.number)
    is_there = ops.call("tf.less", places, np.int32(looked_at))
    runs = ops.call("tf.logical_and", is_there, _not(_overlapped(is_there, places, ends)))
    return runs, ends, number, (ops.call("tf.logical_or", outermost, fits), known)


def _overlapped(is_there: Any, places: Any, ends: Any) -> Any:
    """Which draws of a list do not begin, as one before them that begins takes their word."""
    size = int(places.shape[0])
    earlier = np.arange(size)[:, None] - np.arange(1, LONGEST)
    is_one, earlier = earlier >= 0, earlier.clip(0).astype(np.int32)
    column = ops.call("tf.expand_dims", places, 1)

    def of(begins: Any) -> Any:
        reach = ops.call("tf.gather", ops.call("tf.where", begins, ends, np.int32(0)), earlier)
        over = ops.call("tf.logical_and", ops.call("tf.greater", reach, column), is_one)
        return ops.call("tf.reduce_any", over, 1)

    def test(values: list[Any]) -> Any:
        return values[1]

    def again(values: list[Any]) -> list[Any]:
        found = of(ops.call("tf.logical_and", is_there, _not(values[0])))
        return [found, ops.call("tf.reduce_any", ops.call("tf.not_equal", found, values[0]))]

    start = [ops.call("tf.zeros", [size], "bool"), ops.call("tf.constant", np.True_)]
    return ops.while_loop(test, again, start, [each.shape for each in start])[0]


def _taken(runs: Any, places: Any, ends: Any, size: int) -> Any:
    """Which of the words are taken by a draw that began before them."""
    offsets: Any = np.arange(1, LONGEST, dtype=np.int32)
    at = ops.call("tf.add", ops.call("tf.expand_dims", places, 1), offsets)
    below = ops.call("tf.less", at, ops.call("tf.expand_dims", ends, 1))
    valid = ops.call("tf.logical_and", below, ops.call("tf.expand_dims", runs, 1))
    at = ops.call("tf.reshape", _up_to(at, valid, size), [-1])
    taken = ops.call("tf.fill", [int(at.shape[0])], np.True_)
    return _scattered(ops.call("tf.zeros", [size], "bool"), at, taken)
