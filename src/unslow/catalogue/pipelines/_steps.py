"""What a loop does with each element of a pipeline, done again beside it.

While a pipeline prepares the next elements, it takes cores from what works on the last one: what
a faster pipeline gives back is then more than the wait for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unslow import seams
from unslow.catalogue.pipelines._waits import Wait, ops_of, step_of
from unslow.catalogue.trial import Beside
from unslow.finding import Claim, Finding, Site, line_key
from unslow.recording.data import OpCount, Recording
from unslow.recording.samples import FunctionCall, OpCall, RepeatedOp, Samples


@dataclass(frozen=True)
class Step(ABC):
    """What a loop did with each element.

    `claim`: where it stands, and how long it took in the run. `work`: seconds that the loop had
    the elements in hand, `count` of them.
    """

    claim: Claim
    work: float
    count: int

    def beside(self, elements: Callable[[], int]) -> Beside:
        """What it takes in a trial whose runs read so many `elements`."""
        return Beside(self.claim, self.work, lambda: self.count / max(1, elements()))

    @property
    @abstractmethod
    def told(self) -> str:
        """What is done with each element, in words."""

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The user's own functions that it calls."""
        return ()

    @abstractmethod
    def __call__(self, element: Any) -> None:
        """Do it again, on what it was given when it was captured."""


@dataclass(frozen=True)
class Compiled(Step):
    """A compiled function that the loop calls, by a captured call of it."""

    call: FunctionCall

    @property
    def told(self) -> str:
        return f"{self.call.function.python_function.__name__}() called with each"

    @property
    def functions(self) -> tuple[Callable[..., Any], ...]:
        return (self.call.function.python_function,)

    def __call__(self, element: Any) -> None:
        self.call.function(*self.call.arguments, **self.call.keywords)


@dataclass(frozen=True)
class OpByOp(Step):
    """Eager ops that the loop runs, each as it was captured."""

    ops: tuple[OpCall, ...]

    @property
    def told(self) -> str:
        what = "op" if len(self.ops) == 1 else f"{len(self.ops)} ops"
        return f"the loop's {what} run with each"

    def __call__(self, element: Any) -> None:
        for op in self.ops:
            seams.run_eager_op(*op.arguments)


def evidence(recording: Recording, wait: Wait, share: float = 1.0) -> dict[str, Any]:
    """What a finding tells of the step of the loop that waits; nothing where there is none.

    `share`: the part of the wait that the finding speaks of.
    """
    row = step_of(recording, wait)
    if row is not None:
        told = {
            **_line(row.site),
            "calls": round(row.calls * share),
            "seconds": min(row.seconds, wait.work) * share,
        }
    else:
        ops = ops_of(recording, wait)
        if not ops:
            return {}
        longest, _ = max(ops, key=lambda pair: pair[0].seconds)
        told = {
            **_line(longest.site),
            "calls": round(wait.elements * share),
            "ops": _by_line(ops, share),
        }
    return {"step": {**told, "work_seconds": wait.work * share}}


def _by_line(ops: list[tuple[OpCount, int]], share: float) -> list[dict[str, Any]]:
    """How often a line runs an op type with each element, and how long that took in all."""
    found: dict[Any, dict[str, Any]] = {}
    for op, times in ops:
        line = {**_line(op.site), "op": op.op, "times": 0, "seconds": 0.0}
        told = found.setdefault((line_key(op.site), op.op), line)
        told["times"] += times
        told["seconds"] += op.seconds * share
    return list(found.values())


def _line(site: Site) -> dict[str, Any]:
    return {"path": site.path, "cell": site.cell, "line": site.line}


def captured_step(finding: Finding, samples: Samples, share: float = 1.0) -> Step | None:
    """The step that a finding tells of, where it was kept, in a part of the epochs."""
    told = finding.evidence.get("step")
    if told is None:
        return None
    work, count = told["work_seconds"] * share, round(told["calls"] * share)
    if "ops" in told:
        kept = [(each, _kept(each, samples)) for each in told["ops"]]
        ops = tuple(call for _, calls in kept for call in calls)
        seconds = min(sum(each["seconds"] for each, calls in kept if calls) * share, work)
        return OpByOp(_claim(told, "eager", seconds), work, count, ops) if ops else None
    calls = samples.at(FunctionCall, _site(told))
    claim = _claim(told, "graph", told["seconds"] * share)
    return Compiled(claim, work, count, calls[-1]) if calls else None


def _claim(told: dict[str, Any], part: str, seconds: float) -> Claim:
    return Claim(told["path"], told["line"], part, seconds, told["cell"])


def _site(told: dict[str, Any]) -> Site:
    return Site(told["path"], told["line"], cell=told["cell"])


def _kept(told: dict[str, Any], samples: Samples) -> list[OpCall]:
    """The captured calls of one op type at one line, as many as the loop ran with an element."""
    found = [call for call in samples.at(RepeatedOp, _site(told)) if call.op == told["op"]]
    found = [call for call in found if not seams.is_stateful(call.op)]
    return [found[number % len(found)] for number in range(told["times"])] if found else []
