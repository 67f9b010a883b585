"""Two ways to do the same, measured in turn: how many times faster one is than the other.

The runs come in pairs, in an order shuffled within each, so that whatever slows the machine
down for a while slows both. The ratio of a pair is the present way's time over the other's.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from unslow.catalogue.trial import Timed

FEWEST = 5
MOST = 50
"""Pairs that are measured, whatever the budget and the noise."""

SHORTEST = 0.002
"""Seconds of the slower way's runs from which on one is measured by itself."""

MOST_REPEATS = 2**20

GENEROUS = 4.0
"""Times the budget that the fewest pairs may take."""

NARROW = 0.05
CLEAR = 0.15
"""How far an end of the interval may be from the median; the second where it is clear of 1."""

GAINED = 0.01
"""How far apart the ends of what is gained may be, as parts of the time: of a hundredfold ratio
hardly anything more is to be known."""

RESAMPLES = 2000
CONFIDENCE = 0.95

_TICK = 1e-9
"""Seconds that a run takes at least, where the clock says it took none."""

Action = Callable[[], Any]


class TooSlow(Exception):
    """The fewest pairs of runs would need `seconds`, far more than there are."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{FEWEST} pairs of runs would need about {seconds:.3g} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Timing:
    """What was measured.

    `ratio` is the median of the pairs' ratios, present over alternative, and `interval` what
    `bootstrap` makes of them. `present` and `alternative` are the median seconds of one run.
    """

    ratio: float
    interval: tuple[float, float]
    pairs: int
    present: float
    alternative: float


def compare(
    present: Action,
    alternative: Action,
    *,
    seconds: float,
    before_present: Action | None = None,
    before_alternative: Action | None = None,
    after: Action | None = None,
    warm: bool = False,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Run both ways in turn until their ratio is known or `seconds` are spent.

    Each is run once to warm up, the present one only if it is not `warm` already. Then there are
    at least 5 pairs and at most 50. It ends when both ends of the interval are within 5 % of the
    median ratio, or within 15 % and clear of 1 by at least half the interval's width, or when they
    would give back the same part of the present way's time, within 1 % of that.
    `before_present`, `before_alternative` and `after` are called around each run and are not timed,
    but their time counts to `seconds`. Without them, runs of less than 2 ms are measured several at
    a time. The garbage collector does not run while a run is timed. Of a run that returns `Timed`,
    that time counts.

    Raises:
        TooSlow: judged by the first pair, five would take more than four times `seconds`.
        BaseException: what a way or an action raises passes through; `after` is then not called.
    """
    begin = clock()
    random = Random(seed)
    ways = (
        _Way(present, before_present, after, clock),
        _Way(alternative, before_alternative, after, clock),
    )
    for way in ways[warm:]:
        way.seconds()
    alone = before_present is None and before_alternative is None and after is None
    repeats = 1
    ratios: list[float] = []
    times: tuple[list[float], list[float]] = ([], [])
    start = clock()
    while len(ratios) < MOST:
        taken = [0.0, 0.0]
        for number in (0, 1) if random.random() < 0.5 else (1, 0):
            taken[number] = ways[number].seconds(repeats)
        now = clock()
        if alone and not ratios and max(taken) * repeats < SHORTEST and now - begin < seconds:
            more = _more(repeats, max(taken))
            if more > repeats:
                repeats = more
                continue
        for number in (0, 1):
            times[number].append(taken[number])
        ratios.append(taken[0] / taken[1])
        needed = FEWEST * (now - start)
        if len(ratios) == 1 and needed > GENEROUS * seconds:
            raise TooSlow(needed)
        if len(ratios) >= FEWEST:
            interval = bootstrap(ratios, seed)
            if now - begin >= seconds or is_known(statistics.median(ratios), interval):
                break
    return Timing(
        ratio=statistics.median(ratios),
        interval=bootstrap(ratios, seed),
        pairs=len(ratios),
        present=statistics.median(times[0]),
        alternative=statistics.median(times[1]),
    )


def is_known(ratio: float, interval: tuple[float, float]) -> bool:
    """Whether more pairs would tell little more: the interval is narrow enough."""
    low, high = interval
    width = max(ratio - low, high - ratio) / ratio
    # Looked at after each pair, an interval lies beside 1 by chance sooner or later. One that
    # does so by half its width hardly ever does.
    is_clear = max(low - 1, 1 - high) >= (high - low) / 2
    if low > 1 and 1 / low - 1 / high <= GAINED:
        return True
    return width <= NARROW or (width <= CLEAR and is_clear)


def bootstrap(ratios: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the median of `ratios`.

    Up to five ratios it reaches from the least to the greatest. The true median is in there
    with a probability of 94 % for five, 88 % for four and 75 % for three.

    Raises:
        ValueError: there are no ratios.
    """
    if not ratios:
        raise ValueError("the interval of no ratios")
    import numpy

    drawn = numpy.random.default_rng(seed).choice(ratios, (RESAMPLES, len(ratios)))
    outside = (1 - CONFIDENCE) / 2
    # The ends are medians that occurred: between two of them lies nothing.
    low = numpy.quantile(numpy.median(drawn, axis=1), outside, method="lower")
    high = numpy.quantile(numpy.median(drawn, axis=1), 1 - outside, method="higher")
    return float(low), float(high)


@dataclass(frozen=True)
class _Way:
    run: Action
    before: Action | None
    after: Action | None
    clock: Callable[[], float]

    def seconds(self, repeats: int = 1) -> float:
        """Run once or several times on end; the seconds of one run."""
        if self.before is not None:
            self.before()
        run, clock = self.run, self.clock
        collects = gc.isenabled()
        gc.disable()
        try:
            start = clock()
            for _ in range(repeats - 1):
                run()
            # Held beyond the clock's reading: freeing the last result is not timed.
            result = run()
            taken = clock() - start
            if isinstance(result, Timed):
                taken = result.seconds * repeats
        finally:
            if collects:
                gc.enable()
        del result
        if self.after is not None:
            self.after()
        return max(taken, _TICK) / repeats


def _more(repeats: int, seconds: float) -> int:
    """How many runs of `seconds` each take long enough, where `repeats` did not."""
    # A fifth more than what should do, as no two measurements are the same.
    enough = math.ceil(1.2 * SHORTEST / seconds)
    return min(max(2 * repeats, enough), MOST_REPEATS)
