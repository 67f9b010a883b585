"""The compiled function that a loop calls with each element, called again beside its pipeline.

While a pipeline prepares the next elements, it takes cores from the step that works on the last
one: what a faster pipeline gives back is then more than the wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unslow.catalogue.pipelines._waits import Wait, step_of
from unslow.catalogue.trial import Beside
from unslow.finding import Claim, Finding, Site
from unslow.recording.data import Recording
from unslow.recording.samples import FunctionCall, Samples


@dataclass(frozen=True)
class Step:
    """A captured call of such a function.

    `claim`: where its calls took how long in the run. `work`: seconds that the loop had the
    elements in hand, `count` of them.
    """

    call: FunctionCall
    claim: Claim
    work: float
    count: int

    @property
    def name(self) -> str:
        return str(self.call.function.python_function.__name__)

    def beside(self, elements: Callable[[], int]) -> Beside:
        """What it takes in a trial whose runs read so many `elements`."""
        return Beside(self.claim, self.work, lambda: self.count / max(1, elements()))

    def __call__(self, element: Any) -> None:
        """Do what the loop did with an element, on what it was given when it was captured."""
        self.call.function(*self.call.arguments, **self.call.keywords)


def evidence(recording: Recording, wait: Wait, share: float = 1.0) -> dict[str, Any]:
    """What a finding tells of the step of the loop that waits; nothing where there is none.

    `share`: the part of the wait that the finding speaks of.
    """
    row = step_of(recording, wait)
    if row is None:
        return {}
    told = {
        "path": row.site.path,
        "cell": row.site.cell,
        "line": row.site.line,
        "calls": round(row.calls * share),
        "seconds": min(row.seconds, wait.work) * share,
        "work_seconds": wait.work * share,
    }
    return {"step": told}


def captured_step(finding: Finding, samples: Samples, share: float = 1.0) -> Step | None:
    """The step that a finding tells of, where a call of it was kept, in a part of the epochs."""
    told = finding.evidence.get("step")
    if told is None:
        return None
    calls = samples.at(FunctionCall, Site(told["path"], told["line"], cell=told["cell"]))
    if not calls:
        return None
    claim = Claim(told["path"], told["line"], "graph", told["seconds"] * share, told["cell"])
    return Step(calls[-1], claim, told["work_seconds"] * share, round(told["calls"] * share))
