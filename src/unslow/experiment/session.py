"""All experiments of one run: which come first, how long each may take, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from time import perf_counter

from unslow.catalogue import page
from unslow.catalogue.trial import Trial, Untried
from unslow.experiment.gain import ranked, with_outcomes
from unslow.experiment.trials import Outcome, not_tried, run_trial
from unslow.finding import Alternative, Finding
from unslow.recording.samples import Samples

EQUAL_SHARE = 0.3
"""The part of the budget that all findings share alike; the rest goes by their cost."""

HUNG = "did not end, and its process had to be ended"

PROPOSING, LONGEST_PROPOSAL = "what there is to try", 60.0
"""What is said of a page that is at work on its ways, and the seconds it is given."""

ALIKE = 0.05
"""How far two costs may be apart, relative to them, to be taken for one."""

SPENT = "The budget for experiments was spent before its turn."


@dataclass(frozen=True)
class Trying:
    """What is being tried: the `number`th finding `of` so many, and a way of it.

    It will have ended within `limit` seconds, or hangs where only ending its process helps.
    """

    finding: str
    way: str
    number: int
    of: int
    limit: float


@dataclass(frozen=True)
class Tried:
    """The findings with what the experiments have shown so far.

    `complete` once all have been made; `seconds` is how long they took. `notes` are for the
    report.
    """

    findings: tuple[Finding, ...]
    seconds: float = 0.0
    complete: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Known:
    """What is `shown` of a trial's ways by any of its subject; with each the cost it was of."""

    ways: tuple[str, ...]
    share: float
    exhaustive: bool
    cost: float
    shown: dict[str, tuple[Outcome, float]]

    def outcomes(self) -> Iterator[Outcome]:
        """What came of those of its ways that were tried, in the trial's own terms."""
        for outcome, cost in (self.shown[way] for way in self.ways if way in self.shown):
            # What is gained beside a cost was reckoned for that one.
            if outcome.beside is None or isclose(cost, self.cost, rel_tol=ALIKE):
                yield replace(outcome, share=self.share, exhaustive=self.exhaustive)

    def show(self, outcome: Outcome) -> None:
        """Keep what came of a way, unless more time would tell."""
        if not outcome.cut:
            self.shown[outcome.alternative.name] = outcome, self.cost


class Session:
    """The experiments with the findings of a run that took `wall` seconds, in `budget` seconds.

    `tell` hears of what comes next, and `keep` is given what is known before and after each
    alternative: what hangs, or ends the process, is then known as such. `include`: installed
    packages that count as the user's own code.
    """

    def __init__(
        self,
        findings: Sequence[Finding],
        samples: Samples,
        wall: float,
        budget: float,
        tell: Callable[[Trying], None],
        keep: Callable[[Tried], None],
        include: tuple[str, ...] = (),
    ) -> None:
        self._findings = sorted(findings, key=_turn)
        self._samples = samples
        self._wall = wall
        self._budget = budget
        self._tell = tell
        self._keep = keep
        self._include = include
        self._asked = tuple(self._findings)
        self._cut: list[int] = []
        self._outcomes_of: dict[int, dict[str, Outcome]] = {}
        self._shown: dict[Hashable, dict[str, tuple[Outcome, float]]] = {}
        self._shared: list[tuple[int, _Known]] = []
        self._notes: list[str] = []
        self._began = perf_counter()

    def run(self) -> None:
        """Make the experiments, the costliest finding's first. Ctrl-C ends them early."""
        if self._samples.cut:
            self._notes.append(
                "Inputs for experiments were kept up to "
                f"{self._samples.bytes / 2**20:.0f} MB; what came later was not captured."
            )
        try:
            for number in range(len(self._findings)):
                # What others have shown may be all that a general one needs.
                if self._left() > 0 or page(self._asked[number].code).general:
                    self._try(number, self._part(number))
                else:
                    self._findings[number] = replace(self._asked[number], untried=SPENT)
            # Some need less than they were given: the others get what is left.
            while self._cut and self._left() > 0:
                number = self._cut.pop(0)
                self._try(number, 1 / (1 + len(self._cut)), again=True)
        except KeyboardInterrupt:
            self._notes.append(
                "The experiments were stopped by Ctrl-C; what was not tried by then is left out."
            )
        for number, known in self._shared:
            self._take_over(number, known)
        self._keep(self._tried(complete=True))

    def _left(self) -> float:
        return max(0.0, self._budget - (perf_counter() - self._began))

    def _try(self, number: int, part: float, again: bool = False) -> None:
        """Try a finding in this part of the time that is left."""
        # What an earlier try has shown stays until it is shown anew.
        finding = replace(self._asked[number], untried=self._findings[number].untried)
        outcomes = self._outcomes_of.setdefault(number, {})

        def tell(way: str, limit: float) -> None:
            self._tell(Trying(_name(finding), way, number + 1, len(self._findings), limit))
            hung = Outcome(Alternative(way, "unsafe", failure=HUNG))
            self._keep(self._tried(number, self._with(finding, {**outcomes, way: hung})))

        # It can take a while, and does not belong to what was tried before.
        self._tell(
            Trying(_name(finding), PROPOSING, number + 1, len(self._findings), LONGEST_PROPOSAL)
        )
        try:
            for outcome in self._outcomes(number, self._left() * part, tell, not again):
                if isinstance(outcome, Untried):
                    # The second time it can only say that there is too little time.
                    finding = finding if again else replace(finding, untried=outcome.why)
                else:
                    outcomes[outcome.alternative.name] = outcome
                self._findings[number] = self._with(finding, outcomes)
                self._keep(self._tried())
            if not again and any(outcome.cut for outcome in outcomes.values()):
                self._cut.append(number)
        except Exception as error:
            # A fault of ours in one experiment must not cost what the others have shown.
            self._notes.append(
                f"The experiment with {_name(finding)} failed, please tell its makers: "
                f"{type(error).__name__}: {error}"
            )

    def _outcomes(
        self, number: int, seconds: float, tell: Callable[[str, float], None], until_won: bool
    ) -> Iterator[Outcome | Untried]:
        """What comes of a finding's trials; what is known of a way is not tried again.

        `until_won`: once a way is faster, with equal results, the others are left for later.
        """
        finding = self._asked[number]
        cost = finding.cost.seconds
        waiting: list[tuple[Trial, _Known]] = []
        won = False
        for place, each in enumerate(page(finding.code).trials(finding, self._samples)):
            if isinstance(each, Untried):
                yield each
                continue
            known = self._known(number, place, each)
            tried = list(known.outcomes())
            won = won or any(outcome.wins for outcome in tried)
            yield from tried
            rest = _without(each, {outcome.alternative.name for outcome in tried})
            if rest.ways and not tried and not self._left():
                yield Untried(SPENT)
            elif rest.ways:
                waiting.append((rest, known))
        count = sum(len(trial.ways) for trial, _ in waiting)
        for trial, known in waiting:
            left = self._left()
            ways = {way.name: way for way in trial.ways}
            share = seconds * len(ways) / count
            if left and not (won and until_won):
                for outcome in run_trial(trial, share, tell, cost, self._include, left):
                    yield outcome
                    if isinstance(outcome, Untried):
                        ways.clear()
                        continue
                    ways.pop(outcome.alternative.name, None)
                    known.show(outcome)
                    won = won or outcome.wins
                    if won and until_won:
                        break
            yield from map(not_tried, ways.values())

    def _known(self, number: int, place: int, trial: Trial) -> _Known:
        """What is known of a trial, the one at this place of a finding's."""
        shown = self._shown.setdefault(trial.subject or (number, place), {})
        names = tuple(way.name for way in trial.ways)
        cost = self._asked[number].cost.seconds
        known = _Known(names, trial.share, trial.exhaustive, cost, shown)
        if trial.subject is not None:
            self._shared.append((number, known))
        return known

    def _take_over(self, number: int, known: _Known) -> None:
        """Take what trials of other findings have shown since a finding was tried."""
        outcomes = self._outcomes_of[number]
        outcomes.update((each.alternative.name, each) for each in known.outcomes())
        untried = self._findings[number].untried
        if outcomes and untried == SPENT:
            untried = ""
        self._findings[number] = self._with(replace(self._asked[number], untried=untried), outcomes)

    def _with(self, finding: Finding, outcomes: Mapping[str, Outcome]) -> Finding:
        return with_outcomes(finding, tuple(outcomes.values()), self._wall)

    def _part(self, number: int) -> float:
        """The part of what is left of the budget that this finding has."""
        costs = [finding.cost.seconds for finding in self._findings[number:]]
        alike, total = 1 / len(costs), sum(costs)
        return EQUAL_SHARE * alike + (1 - EQUAL_SHARE) * (costs[0] / total if total else alike)

    def _tried(
        self, number: int = -1, finding: Finding | None = None, complete: bool = False
    ) -> Tried:
        """What is known; the finding of this number as given."""
        known = list(self._findings)
        if finding is not None:
            known[number] = finding
        shown = ranked(each for each in known if not _unproven_proposal(each))
        return Tried(tuple(shown), perf_counter() - self._began, complete, tuple(self._notes))


def _without(trial: Trial, known: Collection[str]) -> Trial:
    """A trial, and the one in its place, with those of its ways of which nothing is known."""
    ways = tuple(way for way in trial.ways if way.name not in known)
    instead = None if trial.instead is None else _without(trial.instead, known)
    return replace(trial, ways=ways, instead=instead)


def _turn(finding: Finding) -> tuple[bool, float]:
    """The costliest come first, but for those that only tell of the others' time."""
    return page(finding.code).general, -finding.cost.seconds


def _unproven_proposal(finding: Finding) -> bool:
    """Whether a finding is one only if an experiment shows a gain, and none has been made."""
    return page(finding.code).only_if_proven and finding.gain is None


def _name(finding: Finding) -> str:
    site = finding.site
    where = f"line {site.line}" if site.function.startswith("<") else f"{site.function}()"
    return f"{finding.code} {where}"
