"""One changed form of a program in its runs: is it the same, and how much faster is it?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from unslow.experiment.measure import bootstrap
from unslow.experiment.whole.fixes import Fix, Named
from unslow.experiment.whole.observation import Observation
from unslow.experiment.whole.stable import Judgement, Known
from unslow.finding import Proof

Verdict = Literal["faster", "slower", "no difference", "unclear"]

LEAST_PAIRS = 3
"""Nothing is said of fewer pairs of runs."""

MOST_PAIRS = 30

RESAMPLED = 6
"""From so many pairs on the interval comes from resampling them; fewer say too little for that."""

NARROW = 1.05
"""An interval within this factor of 1 on both sides shows that there is no difference."""

CLEAR = 1.02
"""An interval this far on one side of 1 needs no more runs."""

SHORTEST = 1e-3
"""Seconds of the part after start-up below which a clock says nothing."""


@dataclass(frozen=True)
class Times:
    """Seconds that one run took: all of it, and after start-up."""

    wall: float
    after_startup: float

    @classmethod
    def of(cls, observation: Observation) -> Times:
        return cls(observation.wall, max(observation.after_startup, SHORTEST))


@dataclass(eq=False)
class Candidate:
    """The program with `fixes`, and what its runs have shown.

    `seconds`: what its last run took us, all that is done around it included.
    """

    fixes: tuple[Fix, ...]
    contents: dict[str, bytes] = field(default_factory=dict, repr=False)
    left_out: frozenset[Named] = frozenset()
    failure: str = ""
    pairs: list[tuple[Times, Times]] = field(default_factory=list)
    screened: Times | None = None
    seconds: float = 0.0
    _kept: list[Observation] = field(default_factory=list, repr=False)
    _final: list[Judgement] = field(default_factory=list, repr=False)
    _judgement: Judgement | None = None

    def take(self, observation: Observation, known: Known, limit: float | None) -> None:
        """Take in a run and judge it by what is known of the program as it is."""
        if observation.timed_out:
            self.failure = f"it did not end within {limit or 0:.3g} s"
            return
        if self.screened is None:
            self.screened = Times.of(observation)
        self._kept.append(observation)
        self.judge_again(known)

    def judge_again(self, known: Known) -> None:
        """Judge its runs once more, as more is known of the program as it is."""
        kept = [(each, known.judge(each, self.left_out)) for each in self._kept]
        # What is equal stays so as more is found to vary; its values can go.
        final = [judged for _, judged in kept if judged.equal and not judged.waiting]
        open_ = [(each, judged) for each, judged in kept if not judged.equal or judged.waiting]
        self._final += final
        self._kept = [each for each, _ in open_]
        judgements = [*(judged for _, judged in open_), *self._final]
        if not judgements:
            return
        worst = _worst(judgements)
        if worst.equal and known.random:
            worst = replace(worst, equal="distribution")
        self._judgement = worst

    @property
    def judgement(self) -> Judgement | None:
        """Whether it gives the same; `None` where it never ran to its end."""
        return self._judgement

    @property
    def out(self) -> bool:
        """Whether it is not worth another run: it failed, or gives something else."""
        return bool(self.failure) or (self._judgement is not None and not self._judgement.equal)

    @property
    def differs(self) -> bool:
        """Whether it gives something else."""
        judged = self._judgement
        return not self.failure and judged is not None and not (judged.equal or judged.unseen)

    @property
    def apparent(self) -> float:
        """Seconds after start-up that it seems to take: a first impression, to order by."""
        if self.pairs:
            return statistics.median(fixed.after_startup for _, fixed in self.pairs)
        return self.screened.after_startup if self.screened else float("inf")

    @property
    def proof(self) -> Proof | None:
        """What its runs prove; `None` where it is out, or ran too few times."""
        judged = self._judgement
        if self.out or judged is None or judged.waiting or len(self.pairs) < LEAST_PAIRS:
            return None
        ratios = [own.after_startup / fixed.after_startup for own, fixed in self.pairs]
        return Proof(
            ratio=statistics.median(ratios),
            interval=_interval(self.pairs, ratios),
            pairs=len(self.pairs),
            equal=judged.equal,
            max_error=judged.max_error,
            tolerance=judged.tolerance,
        )

    @property
    def whole(self) -> float | None:
        """How many times faster the whole program is, start-up included."""
        if self.proof is None:
            return None
        return statistics.median(own.wall / fixed.wall for own, fixed in self.pairs)

    @property
    def verdict(self) -> Verdict | None:
        proof = self.proof
        return None if proof is None else verdict(proof)

    @property
    def clear(self) -> bool:
        """Whether more runs would tell nothing that matters."""
        proof = self.proof
        if proof is None:
            return False
        low, high = proof.interval
        return (
            low > CLEAR
            or high < 1 / CLEAR
            or verdict(proof) == "no difference"
            or proof.pairs >= MOST_PAIRS
        )


def verdict(proof: Proof) -> Verdict:
    """What a proof says: an interval around 1 shows no difference only where it is narrow."""
    if proof.verdict != "no difference":
        return proof.verdict
    low, high = proof.interval
    return "no difference" if low > 1 / NARROW and high < NARROW else "unclear"


def _interval(pairs: Sequence[tuple[Times, Times]], ratios: Sequence[float]) -> tuple[float, float]:
    """The interval of the ratio; of few pairs that of every run to every other.

    Only where the slowest of one kind is faster than the fastest of the other do three or
    four pairs say that one is faster: by chance that happens once in twenty times.
    """
    if len(pairs) >= RESAMPLED:
        return bootstrap(ratios, seed=0)
    own = [each.after_startup for each, _ in pairs]
    fixed = [each.after_startup for _, each in pairs]
    return min(own) / max(fixed), max(own) / min(fixed)


def _worst(judgements: Sequence[Judgement]) -> Judgement:
    for judgement in judgements:
        if not judgement.equal:
            return judgement
    errors = [each.max_error for each in judgements if each.max_error is not None]
    tolerances = [each.tolerance for each in judgements if each.tolerance is not None]
    return Judgement(
        "distribution" if any(each.equal == "distribution" for each in judgements) else True,
        max_error=max(errors, default=None),
        tolerance=max(tolerances, default=None),
        waiting=any(each.waiting for each in judgements),
    )
