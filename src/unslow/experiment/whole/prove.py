"""Runs a program as it is and with fixes, in turn, and says which fixes are faster and equal."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from unslow.experiment.whole.candidate import LEAST_PAIRS, Candidate, Times
from unslow.experiment.whole.fixes import Fix, Named, Sources
from unslow.experiment.whole.observation import Observation
from unslow.experiment.whole.outcome import Outcome, ProveError, Running
from unslow.experiment.whole.stable import Known, last_error
from unslow.source.edits import EditError, compatible

Run = Callable[[Mapping[str, bytes], Collection[Named], float | None], Observation]
"""Runs the program once with these contents of its files; the last argument is a time limit."""

Find = Callable[[tuple[str, ...]], tuple[Sources, Sequence[Fix]]]
"""Finds the fixes in the program's own files."""

RUNS_EACH = 5
LEAST_BUDGET = 60.0
MOST_BUDGET = 600.0
"""The budget, unless told: so many runs of the program, of each fix and of two sets of them,
within these seconds."""

LIMIT_FACTOR = 5.0
LEAST_LIMIT = 30.0
"""A fixed program may take so many times as long as the program itself, and this many seconds."""

SCREENING = 0.5
"""The part of the budget in which every fix is run once."""

RESERVED = 0.35
"""The part of the budget that is kept for the fixes that prove faster, together."""

WORTHWHILE = 0.95
"""Fixes together are chosen unless the best of them alone is faster still, by this much."""


def default_budget(wall: float, fixes: int) -> float:
    """Seconds for the runs of fixes, where a run of the program takes `wall` seconds."""
    return min(max(RUNS_EACH * wall * (fixes + 3), LEAST_BUDGET), MOST_BUDGET)


def prove(
    run: Run,
    find: Find,
    tell: Callable[[Running], None],
    *,
    budget: float | None = None,
    limit: float | None = None,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Try all fixes that `find` gives, alone and together.

    `budget`: seconds for all runs after the first two of the program as it is. `limit`:
    seconds that any run may take. Ctrl-C ends the runs and keeps what is known, once the
    program as it is has run twice.

    Raises:
        ProveError: the program does not end within `limit`, or ends now this way, now another.
    """
    prover = _Prover(run, tell, limit, random.Random(seed), clock)
    first = prover.original()
    sources, fixes = find(first.files)
    prover.prepare(sources, fixes)
    if fixes:
        prover.original()
        began = clock()
        prover.budget = budget or default_budget(prover.elapsed, len(fixes))
        try:
            prover.screen(began + SCREENING * prover.budget)
            prover.measure(began + prover.budget)
        except KeyboardInterrupt:
            prover.interrupted = True
    return prover.outcome()


class _Prover:
    def __init__(
        self,
        run: Run,
        tell: Callable[[Running], None],
        limit: float | None,
        shuffler: random.Random,
        clock: Callable[[], float],
    ) -> None:
        self._run = run
        self._tell = tell
        self._limit = limit
        self._shuffler = shuffler
        self._clock = clock
        self._known = Known()
        self._times: list[Times] = []
        self._error = ""
        self._elapsed = 0.0
        self._count = 0
        self._of: int | None = None
        self._contents: Mapping[str, bytes] = {}
        self._functions: set[Named] = set()
        self._sources = Sources({})
        self._singles: list[Candidate] = []
        self._together: list[Candidate] = []
        self._notes: dict[str, None] = {}
        self.budget = 0.0
        self.interrupted = False

    @property
    def elapsed(self) -> float:
        """Seconds that a run of the program as it is takes us, with all we do around it."""
        return self._elapsed

    @property
    def wall(self) -> float:
        return statistics.median(times.wall for times in self._own_times)

    @property
    def _own_times(self) -> Sequence[Times]:
        """Those of the program as it is; the first run finds cold caches."""
        return self._times[1:] or self._times

    def prepare(self, sources: Sources, fixes: Sequence[Fix]) -> None:
        self._sources = sources
        self._known.constants = sources.constants
        self._functions = sources.functions(fixes)
        # The same files are laid over each time, so that each run compiles the same.
        self._contents = sources.contents
        self._singles = [self._candidate([fix]) for fix in fixes]

    def original(self) -> Observation:
        """Run the program as it is, and learn from it."""
        self._announce("the program as it is")
        began = self._clock()
        observation = self._run(self._contents, self._functions, self._limit)
        self._elapsed = max(self._clock() - began, observation.wall)
        if observation.timed_out:
            raise ProveError(
                f"the program did not end within {self._limit or 0:g} s; "
                "give it arguments with which it ends, or a longer --limit"
            )
        changed = self._known.learn(observation)
        if len(self._known.exit_statuses) > 1:
            statuses = ", ".join(map(str, sorted(self._known.exit_statuses)))
            raise ProveError(
                f"the program ends with another exit status each time ({statuses}), "
                "so nothing can be compared with it"
            )
        self._error = last_error(observation.err) if observation.exit_status else ""
        self._times.append(Times.of(observation))
        self._notes.update(dict.fromkeys(observation.notes))
        if changed:
            for candidate in self._all:
                candidate.judge_again(self._known)
        return observation

    def screen(self, deadline: float) -> None:
        """Run each fix once."""
        self._of = self._count + len(self._singles)
        for candidate in self._singles:
            if candidate.failure:
                continue
            if self._clock() + self.elapsed > deadline:
                candidate.failure = "not tried: the budget was spent"
            else:
                self._fixed(candidate)
        self._of = None
        if any(each.differs for each in self._singles):
            self._settle(deadline)

    def _settle(self, deadline: float) -> None:
        """Run the program as it is once more: what differs may vary by itself, if not each time."""
        if self._clock() + self.elapsed <= deadline:
            self.original()

    def measure(self, deadline: float) -> None:
        """Run what is left of the fixes, alone and together, in turn with the program as it is."""
        # What differs now may still turn out to vary by itself.
        singles = [each for each in self._singles if not each.failure]
        every = self._set_of(each for each in singles if not each.out)
        reserve = 0.0
        if every is not None:
            reserve = min(RESERVED * self.budget, 2 * LEAST_PAIRS * self.elapsed)
        # What was kept for the best together and not needed goes to what is not clear yet.
        for until in (deadline - reserve, deadline):
            self._rounds([*singles, *([every] if every else [])], until)
            useful = self._set_of(each for each in singles if not each.out and not _useless(each))
            if useful is not None:
                self._rounds([useful], deadline)

    def _set_of(self, candidates: Iterable[Candidate]) -> Candidate | None:
        """As many of these fixes as fit together, the fastest first; `None` if it is not two."""
        ranked = sorted(candidates, key=lambda each: each.apparent)
        one_each: dict[int, Fix] = {}
        for each in ranked:
            one_each.setdefault(id(each.fixes[0].finding), each.fixes[0])
        fixes = list(one_each.values())
        fixes = [fixes[index] for index in compatible([fix.edits for fix in fixes])]
        if len(fixes) < 2:
            return None
        order = [each.fixes[0] for each in self._singles]
        fixes.sort(key=order.index)
        for each in self._together:
            if each.fixes == tuple(fixes):
                return each
        together = self._candidate(fixes)
        self._together.append(together)
        return together

    def _candidate(self, fixes: Sequence[Fix]) -> Candidate:
        try:
            contents = self._sources.changed(fixes)
        except EditError as error:
            return Candidate(tuple(fixes), failure=f"cannot be applied: {error}")
        left_out = frozenset(self._sources.left_out(contents))
        return Candidate(tuple(fixes), contents, left_out)

    def _rounds(self, candidates: Sequence[Candidate], deadline: float) -> None:
        while True:
            waiting = [each for each in candidates if not each.out and not each.clear]
            chosen = self._affordable(waiting, deadline - self._clock())
            if not chosen:
                return
            forms: list[Candidate | None] = [None, *chosen]
            self._shuffler.shuffle(forms)
            times: dict[Candidate | None, Times] = {}
            for form in forms:
                if form is None:
                    self.original()
                    times[None] = self._times[-1]
                else:
                    observation = self._fixed(form)
                    if not form.out:
                        times[form] = Times.of(observation)
            own = times.pop(None)
            for form, taken in times.items():
                if form is not None:
                    form.pairs.append((own, taken))
            if any(each.differs for each in chosen):
                self._settle(deadline)

    def _affordable(self, candidates: Sequence[Candidate], seconds: float) -> list[Candidate]:
        """Those for which there is time: the fastest first, each until something can be said."""
        ranked = sorted(candidates, key=lambda each: (len(each.fixes) == 1, each.apparent))
        chosen: list[Candidate] = []
        for each in ranked:
            group = [*chosen, each]
            rounds = max(1, *(LEAST_PAIRS - len(member.pairs) for member in group))
            round_seconds = self.elapsed + sum(self._estimate(member) for member in group)
            if rounds * round_seconds <= seconds:
                chosen = group
        return chosen

    def _estimate(self, candidate: Candidate) -> float:
        if candidate.seconds:
            return candidate.seconds
        alone = [each.seconds for each in self._singles if each.fixes[0] in candidate.fixes]
        return min(alone, default=0.0) or self.elapsed

    def _fixed(self, candidate: Candidate) -> Observation:
        self._announce(_title(candidate))
        limit = max(LEAST_LIMIT, LIMIT_FACTOR * max(times.wall for times in self._times))
        if self._limit is not None:
            limit = min(limit, self._limit)
        began = self._clock()
        observation = self._run(candidate.contents, self._functions, limit)
        candidate.seconds = max(self._clock() - began, observation.wall)
        candidate.take(observation, self._known, limit)
        return observation

    def _announce(self, what: str) -> None:
        self._count += 1
        self._tell(Running(what, self._count, self._of))

    @property
    def _all(self) -> list[Candidate]:
        return [*self._singles, *self._together]

    def outcome(self) -> Outcome:
        startups = [times.wall - times.after_startup for times in self._own_times]
        return Outcome(
            exit_status=min(self._known.exit_statuses),
            error=self._error,
            wall=self.wall,
            startup=statistics.median(startups),
            runs=len(self._times),
            singles=self._singles,
            together=[each for each in self._together if each.failure or each.judgement],
            chosen=self._chosen(),
            varying=self._known.varying if self._known.runs > 1 else [],
            random=self._known.random if self._known.runs > 1 else [],
            notes=list(self._notes),
            budget=self.budget,
            interrupted=self.interrupted,
        )

    def _chosen(self) -> Candidate | None:
        """What may be applied: proven, and with nothing in it that is proven useless."""
        proven = {
            each: proof.ratio
            for each in self._all
            if (proof := each.proof) and proof.verdict == "faster" and proof.equal is True
        }
        useless = {each.fixes[0] for each in self._singles if _useless(each)}
        alone = [ratio for each, ratio in proven.items() if len(each.fixes) == 1]
        least = WORTHWHILE * max(alone, default=0.0)
        good = [
            each
            for each, ratio in proven.items()
            if useless.isdisjoint(each.fixes) and (len(each.fixes) == 1 or ratio >= least)
        ]
        return max(good, key=lambda each: (len(each.fixes), proven[each]), default=None)


def _useless(candidate: Candidate) -> bool:
    """Whether a fix has been shown to give nothing; the little that one gives may be unclear."""
    return candidate.verdict in ("no difference", "slower")


def _title(candidate: Candidate) -> str:
    if len(candidate.fixes) > 1:
        return f"{len(candidate.fixes)} fixes together"
    finding = candidate.fixes[0].finding
    return f"{finding.code} at {finding.site.place}: {candidate.fixes[0].alternative.name}"
