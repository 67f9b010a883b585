"""Runs one trial: the present way against each alternative, results compared, times in turn."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from unslow.catalogue.trial import Draws, Timed, Trial, Unfit, Untried, Way
from unslow.experiment import measure
from unslow.experiment.effects.search import outside_effects
from unslow.experiment.quiet import TimeLimit, limited
from unslow.experiment.state import State, TooLarge
from unslow.experiment.values.draws import compare_draws
from unslow.experiment.values.equality import Comparison, judge
from unslow.experiment.values.frozen import frozen_part
from unslow.experiment.values.snapshot import Record, Snapshot, take
from unslow.finding import Alternative, Claim, Proof

T = TypeVar("T")

LEAST_LIMIT = 10.0
"""Seconds that every run is given to end."""

LEAST_START = 2.0
"""Seconds that the present way's first run is given, however little there is left."""

LARGEST_PART = 0.5
"""Of what is left for all trials, what the fewest runs of one way may take. The costliest findings
come first: where these go unmeasured, the gain of the program is not known."""

SLACK = 2.5
"""Times that the fewest pairs may take longer than the present way's first runs let expect for
its own: the other way's come to them, and what is done around each run."""

LIMIT_FACTOR = 20.0
"""How many times as long as the present way an alternative may take."""

STATE_LIMIT = 256 * 2**20
"""Bytes of variables up to which they are saved and put back."""

FROZEN = "the same random numbers in every call"
"""What is wrong with results that do not vary although the present way's do."""

_NODE = re.compile(r"\{\{(?:function_node|node) [^}]*\}\}")
"""Where in a graph an op stands that raised, by names that the user has not given."""

LONGEST_MESSAGE = 160
"""Characters of an error's message that a report can use."""


@dataclass(frozen=True)
class Outcome:
    """What came of one alternative.

    `once`: seconds that it takes a single time in the program, to build something.
    `share`: the part of the finding's cost for which its ratio holds. `offered`: whether the
    program could do so. `exhaustive`: if it gains nothing, there is nothing to gain.
    `cut`: more time would have given a proof. `most`: seconds that the present way takes
    unwatched in all its calls. `beside`: what the ratio holds for besides the finding's cost.
    """

    alternative: Alternative
    once: float = 0.0
    share: float = 1.0
    offered: bool = True
    exhaustive: bool = True
    cut: bool = False
    most: float = math.inf
    beside: Claim | None = None

    @property
    def wins(self) -> bool:
        """Whether the program could do so, with equal results, and be faster."""
        proof = self.alternative.proof
        return (
            self.offered and proof is not None and bool(proof.equal) and proof.verdict == "faster"
        )


@dataclass(frozen=True)
class _Run:
    """One run: how long it took, what it returned, and the variables that it changed."""

    seconds: float
    returned: Snapshot
    changed: tuple[tuple[str, Snapshot], ...] = ()


class CannotRun(Exception):
    """A way did not come to its end; the message says why, as a clause without a subject."""


class OutOfTime(CannotRun):
    """It did not come to its end in time."""


Tell = Callable[[str, float], None]
"""Is told what is being tried, and within how many seconds it will have ended."""


def run_trial(
    trial: Trial,
    seconds: float,
    tell: Tell,
    cost: float = 0.0,
    include: tuple[str, ...] = (),
    left: float = math.inf,
) -> Iterator[Outcome | Untried]:
    """Try every way of a trial, as far as `seconds` reach, and yield what came of each.

    Where the present way cannot be run again, yields why.

    `tell` hears of each way before it runs, as that may not end. `cost`: seconds that the
    present way took in the whole program, so that once more cannot take much longer.
    `include`: installed packages that count as the user's own code. `left`: seconds that are
    left for all trials together; what would need far more is given up early.
    """
    outcomes = _run_trial(trial, seconds, tell, cost, include, left)
    first = next(outcomes, None)
    if isinstance(first, Untried) and trial.instead is not None:
        yield from run_trial(trial.instead, seconds, tell, cost, include, left)
    elif first is not None:
        yield first
        yield from outcomes


def _run_trial(
    trial: Trial,
    seconds: float,
    tell: Tell,
    cost: float,
    include: tuple[str, ...],
    left: float,
) -> Iterator[Outcome | Untried]:
    effect = outside_effects(trial.functions, include)
    if effect is not None:
        yield Untried(f"{effect.sentence}.")
        return
    try:
        state = State(STATE_LIMIT) if trial.state else None
    except TooLarge as error:
        megabytes = error.bytes / 2**20, STATE_LIMIT / 2**20
        yield Untried(
            "The variables hold {:.0f} MB, optimizers' included; at most {:.0f} MB are saved and "
            "put back.".format(*megabytes)
        )
        return
    began = time.perf_counter()
    affordable = max(LEAST_START, measure.GENEROUS * left)
    longest = min(LEAST_LIMIT + 2 * cost, affordable) + trial.start_limit
    tell(trial.present.name, 2 * longest)
    try:
        once = _run(trial.present, state, longest)
        if trial.start_limit:
            began = time.perf_counter()
        elif 2 * once.seconds > affordable:
            yield Untried(_too_long(f"{once.seconds:.2g} s"))
            return
        again = _run(trial.present, state, longest)
    except OutOfTime as error:
        cut = longest < LEAST_LIMIT + 2 * cost + trial.start_limit
        yield Untried(
            _too_long(f"more than {longest:.2g} s")
            if cut
            else f"What the line does could not be done again: it {error}."
        )
        return
    except CannotRun as error:
        yield Untried(f"What the line does could not be done again: it {error}.")
        return
    limit = max(LEAST_LIMIT, LIMIT_FACTOR * again.seconds)
    for number, way in enumerate(trial.ways):
        rest = seconds - (time.perf_counter() - began)
        if rest <= 0 and number:
            yield not_tried(way)
            continue
        # The first way is the one that is thought to win: it counts for two.
        parts = len(trial.ways) - number + (number == 0)
        share = max(rest, 0.0) * (1 + (number == 0)) / parts
        needed = measure.FEWEST * min(once.seconds, again.seconds)
        if needed <= LARGEST_PART * (left - (time.perf_counter() - began)):
            share = max(share, SLACK * needed / measure.GENEROUS)
        if needed > measure.GENEROUS * share:
            # Measuring would say so, after two more runs of each way.
            yield Outcome(
                _alternative(way, failure=f"not measured: {measure.TooSlow(needed)}"), cut=True
            )
            continue
        tell(way.name, 2 * limit + 4 * share)
        yield _try(trial, way, once, again, state, limit, share, cost)


def _try(
    trial: Trial,
    way: Way,
    once: _Run,
    again: _Run,
    state: State | None,
    limit: float,
    seconds: float,
    cost: float,
) -> Outcome:
    compared = None if trial.beside is not None else state
    try:
        first = _run(way, state, limit)
        needed = measure.FEWEST * (first.seconds + min(once.seconds, again.seconds))
        # The first run is the slowest: half of what it lets expect may be right.
        if not way.prepares and needed > 2 * measure.GENEROUS * seconds:
            raise measure.TooSlow(needed)
        same = judge(*_results((once, again, first), compared))
        timing = _measure(trial.present, way, state, seconds, limit)
        # Last, as it takes more runs: of a way that is too slow, they are not made.
        draws = None if way.draws is None else way.draws()
        if draws is not None:
            same = _drawn(draws, limit)
        elif same.equal == "distribution":
            same = _frozen(way, once, again, first, state, compared, limit) or same
    except CannotRun as error:
        return Outcome(_alternative(way, failure=str(error)))
    except measure.TooSlow as error:
        return Outcome(_alternative(way, failure=f"not measured: {error}"), cut=True)
    prepared = max(0.0, first.seconds - timing.alternative) if way.prepares else 0.0
    prepared += way.once() if way.once is not None else 0.0
    proof = _proof(timing, same, trial.inputs)
    return Outcome(
        _alternative(way, proof=proof),
        once=prepared,
        share=trial.share,
        offered=not way.yardstick,
        exhaustive=trial.exhaustive,
        most=trial.runs * timing.present,
        beside=_beside(trial, timing.present, cost),
    )


def _beside(trial: Trial, present: float, cost: float) -> Claim | None:
    if trial.beside is None:
        return None
    seconds = trial.beside.seconds(present, cost * trial.share)
    return replace(trial.beside.claim, seconds=seconds)


def _drawn(draws: Draws, limit: float) -> Comparison:
    """Whether a way draws numbers of the distribution that the present way's have."""
    present = _guarded(draws.present, limit)
    other = _guarded(draws.other, limit)
    return compare_draws(present, other, draws.inputs)


def _frozen(
    way: Way,
    once: _Run,
    again: _Run,
    first: _Run,
    state: State | None,
    compared: State | None,
    limit: float,
) -> Comparison | None:
    """That a way does not vary where the present way does; `None` if it does too.

    A trace keeps what Python and NumPy drew, or counted, while it was made.
    """
    # Two small numbers may be the same by chance: a third one tells.
    for _ in range(2):
        second = _run(way, state, limit)
        one, two, three, other = _results((once, again, first, second), compared)
        part = frozen_part(one, two, three, other)
        if part is None:
            return None
    return Comparison(False, where=f"{part}: {FROZEN}".removeprefix(": "))


def _proof(timing: measure.Timing, same: Comparison, inputs: str) -> Proof:
    return Proof(
        ratio=timing.ratio,
        interval=timing.interval,
        pairs=timing.pairs,
        equal=same.equal,
        max_error=same.max_error,
        tolerance=same.tolerance,
        where=same.where,
        inputs=inputs,
    )


def _measure(
    present: Way, way: Way, state: State | None, seconds: float, limit: float
) -> measure.Timing:
    def compare() -> measure.Timing:
        return measure.compare(
            present.run,
            way.run,
            seconds=seconds,
            before_present=present.before,
            before_alternative=way.before,
            after=None if state is None else state.restore,
            warm=True,
        )

    if state is not None:
        state.save()
    return _guarded(compare, 2 * limit + 3 * seconds)


def _run(way: Way, state: State | None, limit: float) -> _Run:
    """Run a way once, put the variables back, and keep its results and what it made of them."""
    if state is not None:
        state.save()

    def once() -> tuple[Any, float]:
        for prepare in (way.before, way.fixed):
            if prepare is not None:
                prepare()
        began = time.perf_counter()
        returned = way.run()
        spent = time.perf_counter() - began
        return returned.value if isinstance(returned, Timed) else returned, spent

    try:
        returned, spent = _guarded(once, limit)
        results = take(_guarded(lambda: way.results(returned), limit))
        return _Run(spent, results, () if state is None else state.changed())
    finally:
        if state is not None:
            state.restore()


def _results(runs: Sequence[_Run], state: State | None) -> Iterator[Snapshot]:
    """What each run came to, in a form that can be compared."""
    if state is None:
        yield from (run.returned for run in runs)
        return
    variables = state.aligned(*(run.changed for run in runs))
    for run, values in zip(runs, variables, strict=True):
        yield Record("results", (("the returned value", run.returned), ("the variables", values)))


def _guarded(act: Callable[[], T], limit: float) -> T:
    try:
        with limited(limit):
            return act()
    except TimeLimit as error:
        raise OutOfTime(f"did not end within {limit:.0f} s") from error
    except (KeyboardInterrupt, measure.TooSlow):
        raise
    except Unfit as error:
        raise CannotRun(str(error)) from error
    except BaseException as error:
        # Whatever the user's code raises, SystemExit too, is the outcome of this one way.
        message = " ".join(_NODE.sub("", str(error)).split())
        if len(message) > LONGEST_MESSAGE:
            message = message[: LONGEST_MESSAGE - 1] + "…"
        raise CannotRun(f"raised {type(error).__name__}: {message}".rstrip(": ")) from error


def not_tried(way: Way) -> Outcome:
    """What came of a way for which no time was left."""
    return Outcome(_alternative(way, failure="not tried: the budget was spent"), cut=True)


def _too_long(once: str) -> str:
    return (
        f"What the line does takes {once} on the inputs that were kept, too long for the budget: "
        "--budget gives more."
    )


def _alternative(way: Way, proof: Proof | None = None, failure: str = "") -> Alternative:
    return Alternative(way.name, way.safety, proof=proof, note=way.note, failure=failure)
