"""The compiled function that a loop calls with each element, called again beside its pipeline.

While a pipeline prepares the next elements, it takes cores from the step that works on the last
one: what a faster pipeline gives back is then more than the wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from unslow.catalogue.pipelines._waits import Wait, step_of
from unslow.finding import Claim, Finding, Site
from unslow.recording.data import Recording
from unslow.recording.samples import FunctionCall, Samples


@dataclass(frozen=True)
class Step:
    """A captured call of such a function, and how long the run worked on elements beside it."""

    call: FunctionCall
    claim: Claim

    @property
    def name(self) -> str:
        return str(self.call.function.python_function.__name__)

    def for_part(self, share: float) -> Step:
        """The step in a part of the epochs."""
        return replace(self, claim=replace(self.claim, seconds=self.claim.seconds * share))

    def __call__(self, element: Any) -> None:
        """Do what the loop did with an element, on what it was given when it was captured."""
        self.call.function(*self.call.arguments, **self.call.keywords)


def evidence(recording: Recording, wait: Wait, share: float = 1.0) -> dict[str, Any]:
    """What a finding tells of the step of the loop that waits; nothing where there is none.

    `share`: the part of the wait that the finding speaks of. `seconds`: all that the loop did
    with the elements.
    """
    row = step_of(recording, wait)
    if row is None:
        return {}
    site = row.site
    place = {"path": site.path, "cell": site.cell, "line": site.line}
    return {"step": {**place, "calls": row.calls, "seconds": wait.work * share}}


def captured_step(finding: Finding, samples: Samples) -> Step | None:
    """The step that a finding tells of, where a call of it was kept."""
    told = finding.evidence.get("step")
    if told is None:
        return None
    calls = samples.at(FunctionCall, Site(told["path"], told["line"], cell=told["cell"]))
    if not calls:
        return None
    claim = Claim(told["path"], told["line"], "graph", told["seconds"], told["cell"])
    return Step(calls[-1], claim)
