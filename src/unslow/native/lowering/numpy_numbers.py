"""The very numbers that NumPy's `default_rng(seed)` draws, where the graph knows the seed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from unslow.native import ops
from unslow.native.kit import (
    Array,
    as_tensor,
    cast,
    dtype_of,
    is_known,
    product,
    read,
    refuse,
    reshape,
    result,
    value_of,
)
from unslow.native.lowering import pcg64, ziggurat
from unslow.native.lowering.drawing import Generator, consent
from unslow.native.lowering.pcg64 import Wide
from unslow.native.tracing import checks, surroundings
from unslow.native.tracing.state import Variables, session
from unslow.native.untranslatable import Untranslatable

UNKNOWN = "how many random numbers are drawn must be known when the graph is made"
HALF = 2**32
FEW = 4
"""So few whole numbers are drawn one after the other where XLA compiles it: that takes less ops."""


class Position(NamedTuple):
    """Where a generator is: its state, and the upper half of a word whose lower half was drawn.

    `waiting` is whether there is such a half, `half` is it, as uint64.
    """

    high: Any
    low: Any
    waiting: Any
    half: Any

    @property
    def state(self) -> Wide:
        return self.high, self.low


class NumpyGenerator(Generator):
    """Draws what `np.random.Generator` draws, bit by bit; normal numbers to the last digits."""

    legacy = False

    def __init__(self, seed: Any) -> None:
        refuse(
            isinstance(seed, (list, tuple)) or (isinstance(seed, Array) and seed._kind == "array"),
            "a seed of several numbers",
        )
        plain = as_tensor(value_of(seed))
        refuse(dtype_of(plain).kind not in "iu", "NumPy raises TypeError: a seed is no integer")
        refuse(not _is_as_known(), "this NumPy draws random numbers in a way that is not known")
        number = cast(plain, "uint64")
        if dtype_of(plain).kind == "i":
            wrong = ops.call("tf.less", plain, dtype_of(plain).type(0))
            number = ops.call("tf.add", number, cast(checks.zero_unless(wrong), "uint64"))
        low, high = pcg64.low_bits(number, 32), pcg64.shifted(number, 32)
        state, self.increment = pcg64.seeded(cast(low, "uint32"), cast(high, "uint32"))
        self.now = Variables()
        self._go(Position(*state, as_tensor(np.False_), as_tensor(np.uint64(0))))

    def _go(self, position: Position) -> None:
        for name, value in zip(Position._fields, position, strict=True):
            self.now.assign(name, result(value))

    def _position(self) -> Position:
        return Position(*(as_tensor(read(self.now.values[name])) for name in Position._fields))

    def _drawn(
        self, shape: list[Any], dtype: str, draw: Callable[[], Any], loops: bool = True
    ) -> Any:
        """What `draw` gives, in a shape; in a graph that nobody runs, numbers that nobody draws.

        `loops`: drawing takes a loop, which counts there, too.
        """
        if not session().trials:
            return reshape(draw(), shape)
        if loops:
            ops.note_loop()
        self._go(Position(*(ops.placeholder(each.dtype, []) for each in self._position())))
        return ops.placeholder(dtype, shape)

    def _stay(self, where: Any, before: Position) -> None:
        """Go back to where it was before, if a truth of the graph's is true."""
        pairs = zip(before, self._position(), strict=True)
        self._go(Position(*(ops.call("tf.where", where, *pair) for pair in pairs)))

    def shares(self, shape: list[Any], dtype: str) -> Any:
        refuse(dtype not in ("float32", "float64"), f"NumPy raises TypeError: floats of {dtype}")
        count = _count(shape)

        def draw() -> Any:
            if dtype == "float64":
                return pcg64.shares(self._words(count))
            steps = ops.call("tf.cast", pcg64.shifted(self._halves(count), 8), "int32")
            return ops.call("tf.multiply", ops.call("tf.cast", steps, "float32"), _STEP)

        return self._drawn(shape, dtype, draw, loops=False)

    def normals(self, shape: list[Any], dtype: str) -> Any:
        refuse(dtype != "float64", consent("normal numbers of float32"))
        count = _count(shape)

        def draw() -> Any:
            now = self._position()
            found, state = ziggurat.normals(now.state, self.increment, count)
            self._go(now._replace(high=state[0], low=state[1]))
            return found

        return self._drawn(shape, dtype, draw, loops=count > 0)

    def whole(self, shape: list[Any], first: Any, last: Any, dtype: Any) -> Any:
        refuse(dtype not in (np.int32, np.int64), consent(f"random numbers of {dtype}"))
        for end in (first, last):
            refuse(len(end.shape), consent("random numbers between ends for each"))
        count = _count(shape)
        if not (is_known(first) and is_known(last)):
            span = _span(first, last, dtype)
            return self._drawn(shape, "int64", lambda: _from(first, self._up_to(count, span)))
        known = int(last) - int(first)
        refuse(known < 1, "NumPy raises ValueError: low >= high")
        refuse(
            int(first) < np.iinfo(dtype).min or int(last) - 1 > np.iinfo(dtype).max,
            f"NumPy raises ValueError: out of bounds for {dtype}",
        )
        refuse(known >= HALF, consent("random numbers of more than 32 bits"))
        if known == 1:
            return ops.call("tf.constant", np.full([*shape], first))
        least = (HALF - known) % known
        ends = np.uint64(known), np.uint64(least)
        return self._drawn(
            shape, "int64", lambda: _from(first, self._below(count, *ends)), loops=bool(least)
        )

    def _up_to(self, count: int, span: Any) -> Any:
        """Whole numbers below a span that the graph knows, uint64."""
        rest = ops.call("tf.math.floormod", ops.call("tf.subtract", np.int64(HALF), span), span)
        before = self._position()
        found = self._below(count, cast(span, "uint64"), cast(rest, "uint64"))
        # A single number takes no draw.
        self._stay(ops.call("tf.equal", span, np.int64(1)), before)
        return found

    def order(self, count: Any) -> Any:
        refuse(not isinstance(count, int), UNKNOWN)
        line = ops.call("tf.range", np.int64(count))
        if count < 2:
            return line
        # Each place, from the last on, is swapped with one up to it, by a word's lowest bits.
        places = np.arange(count - 1, 0, -1, dtype=np.int32)
        masks = np.array([2 ** int(each).bit_length() - 1 for each in places], np.uint64)

        def swap(half: Any, done: Any, line: Any) -> tuple[Any, Any]:
            one = ops.call("tf.gather", places, done)
            other = ops.call("tf.bitwise.bitwise_and", half, ops.call("tf.gather", masks, done))
            other = ops.call("tf.cast", other, "int32")
            will_do = ops.call("tf.less_equal", other, one)
            other = ops.call("tf.where", will_do, other, one)
            pair = [ops.call("tf.gather", line, each) for each in (other, one)]
            return will_do, _with(line, [one, other], pair)

        none = ops.call("tf.constant", np.int32(0))
        return self._drawn([count], "int64", lambda: self._one_by_one(none, count - 1, line, swap))

    def some(self, count: Any, wanted: Any) -> Any:
        raise Untranslatable(consent("a choice without repetition"))

    def exponentials(self, shape: list[Any]) -> Any:
        raise Untranslatable(consent("exponential numbers"))

    def gammas(self, shape: list[Any], alpha: Any) -> Any:
        raise Untranslatable(consent("numbers of gamma and beta distributions"))

    def poissons(self, shape: list[Any], lam: Any) -> Any:
        raise Untranslatable(consent("Poisson numbers"))

    def binomials(self, shape: list[Any], n: Any, p: Any) -> Any:
        raise Untranslatable(consent("binomial numbers"))

    def _words(self, count: int) -> Any:
        """The next words of 64 bits."""
        now = self._position()
        if count == 0:
            return ops.call("tf.zeros", [0], "uint64")
        high, low = pcg64.following(now.state, self.increment, count)
        self._go(now._replace(high=ops.index(high, (-1,)), low=ops.index(low, (-1,))))
        return pcg64.words((high, low))

    def _halves(self, count: int) -> Any:
        """The next words of 32 bits, as uint64: each word of 64 gives two, the lower one first."""
        now = self._position()
        if count == 0:
            return ops.call("tf.zeros", [0], "uint64")
        states = pcg64.following(now.state, self.increment, (count + 1) // 2)
        words = pcg64.words(states)
        pairs = ops.call("tf.stack", [pcg64.low_bits(words, 32), pcg64.shifted(words, 32)], axis=1)
        line = [ops.call("tf.expand_dims", now.half, 0), reshape(pairs, [-1])]
        line = ops.call("tf.concat", line, axis=0)
        first = ops.call("tf.where", now.waiting, np.int32(0), np.int32(1))
        end = ops.call("tf.add", first, np.int32(count))
        taken = ops.call("tf.bitwise.right_shift", end, np.int32(1))
        again = (ops.call("tf.expand_dims", each, 0) for each in now.state)
        all_states = [
            ops.call("tf.concat", [one, more], axis=0)
            for one, more in zip(again, states, strict=True)
        ]
        last = ops.call("tf.minimum", end, np.int32(line.shape[0] - 1))
        odd = ops.call("tf.bitwise.bitwise_and", end, np.int32(1))
        high, low = (ops.call("tf.gather", each, taken) for each in all_states)
        waiting = ops.call("tf.equal", odd, np.int32(0))
        self._go(Position(high, low, waiting, ops.call("tf.gather", line, last)))
        # XLA would compile anew for each place that a slice begins at.
        whole, rest = (ops.index(line, (slice(at, at + count),)) for at in (0, 1))
        return ops.call("tf.where", now.waiting, whole, rest)

    def _below(self, count: int, span: Any, least: Any) -> Any:
        """Whole numbers below a span, uint64, as Lemire draws them from words of 32 bits.

        A word is no draw whose product with the span is, in its lower half, below `least`: the
        rest of 2^32 by the span.
        """

        def draw(half: Any, done: Any, found: Any) -> tuple[Any, Any]:
            scaled = ops.call("tf.multiply", half, span)
            will_do = ops.call("tf.greater_equal", pcg64.low_bits(scaled, 32), least)
            return will_do, _with(found, [done], [pcg64.shifted(scaled, 32)])

        never_refused = is_known(least) and not least
        if 0 < count <= FEW and not never_refused and surroundings.compiled():
            nothing = ops.call("tf.zeros", [count], "uint64")
            return self._one_by_one(ops.call("tf.constant", np.int32(0)), count, nothing, draw)
        before = self._position()
        scaled = ops.call("tf.multiply", self._halves(count), span)
        found = pcg64.shifted(scaled, 32)
        if count == 0 or never_refused:
            return found
        refused = ops.call("tf.less", pcg64.low_bits(scaled, 32), least)
        again = ops.call("tf.reduce_any", refused)
        self._stay(again, before)
        done = ops.call("tf.where", again, np.int32(0), np.int32(count))
        return self._one_by_one(done, count, found, draw)

    def _one_by_one(
        self, done: Any, count: int, line: Any, use: Callable[[Any, Any, Any], tuple[Any, Any]]
    ) -> Any:
        """A line after `count` draws, of which some are `done`, each from words of 32 bits.

        `use` is given a word, how many are done, and the line; it tells whether the word will do,
        and the line with it. Where it will not, another word is drawn, for the same place.
        """

        def test(values: list[Any]) -> Any:
            return ops.call("tf.less", values[0], np.int32(count))

        def draw(values: list[Any]) -> list[Any]:
            done, line = values[:2]
            now = Position(*values[2:])
            after = pcg64.step(now.state, self.increment)
            word = pcg64.words(after)
            half = ops.call("tf.where", now.waiting, now.half, pcg64.low_bits(word, 32))
            will_do, line = use(half, done, line)
            return [
                ops.call("tf.add", done, ops.call("tf.cast", will_do, "int32")),
                line,
                ops.call("tf.where", now.waiting, now.high, after[0]),
                ops.call("tf.where", now.waiting, now.low, after[1]),
                ops.call("tf.logical_not", now.waiting),
                pcg64.shifted(word, 32),
            ]

        state = [done, line, *self._position()]
        found = ops.while_loop(test, draw, state, [each.shape for each in state])
        self._go(Position(*found[2:]))
        return found[1]


_STEP = np.float32(2.0**-24)


def _from(first: Any, found: Any) -> Any:
    return ops.call("tf.add", first, cast(found, "int64"))


def _span(first: Any, last: Any, dtype: Any) -> Any:
    """How many whole numbers there are from `first` to before `last`, int64.

    The graph raises where there are none, too many to be drawn by 32 bits, or such as are no
    numbers of the dtype.
    """
    span = ops.call("tf.subtract", last, first)
    few = ops.call("tf.less", span, np.int64(1))
    wrong = ops.call("tf.logical_or", few, ops.call("tf.greater_equal", span, np.int64(HALF)))
    if dtype == np.int32:
        below = ops.call("tf.less", first, np.int64(np.iinfo(dtype).min))
        above = ops.call("tf.greater", last, np.int64(np.iinfo(dtype).max + 1))
        beyond = ops.call("tf.logical_or", below, above)
        wrong = ops.call("tf.logical_or", wrong, beyond)
    span = ops.call("tf.where", wrong, np.int64(1), span)
    return ops.call("tf.add", span, checks.zero_unless(wrong))


def _count(shape: list[Any]) -> int:
    count = product(shape)
    refuse(not isinstance(count, int), UNKNOWN)
    return int(count)


def _with(line: Any, places: list[Any], values: list[Any]) -> Any:
    """A line with values at places, scalars all of them."""
    at = ops.call("tf.expand_dims", ops.call("tf.stack", places), 1)
    return ops.call("tf.tensor_scatter_nd_update", line, at, ops.call("tf.stack", values))


@functools.cache
def _is_as_known() -> bool:
    """Whether the NumPy that is installed draws as is written here."""
    generator = np.random.default_rng(1)
    if not isinstance(generator.bit_generator, np.random.PCG64):
        return False
    generator.standard_normal(1000)
    drawn = [
        *generator.integers(0, 3 * 10**9, 9).tolist(),
        *generator.permutation(9).tolist(),
        float(generator.random(dtype=np.float32)),
    ]
    state: Any = generator.bit_generator.state
    return state["state"]["state"] % 2**64 == _STATE_KNOWN and drawn == _DRAWN_KNOWN


_STATE_KNOWN = 11920496626694915194
_DRAWN_KNOWN = [
    *(1203795527, 46152963, 908120907, 2093152220, 2412901806),
    *(1603325836, 2547190909, 2092795163, 1034023947),
    *(6, 7, 0, 8, 1, 5, 2, 4, 3),
    0.4878787398338318,
]
"""What `_is_as_known` draws by NumPy 1.26 to 2.4."""
