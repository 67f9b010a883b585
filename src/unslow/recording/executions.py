"""Watches the execution of compiled functions, and how long it may have waited for Python.

Where no window shows what happened inside, the calls themselves tell something:
of calls of one function the fastest waited least, so what the others took beyond
it was, as far as the pipeline's Python was running meanwhile, waiting for it. The
fastest has waited too, so the estimate is low.
"""

from __future__ import annotations

from typing import Any

from unslow import seams
from unslow.recording.bridges import Bridges
from unslow.recording.clock import Call, Clock, ThreadClock
from unslow.recording.data import Window
from unslow.recording.sites import Place
from unslow.recording.tables import SECOND, Table

LEAST_CALLS = 8
"""Calls of a function from which its fastest one says something."""


class ExecutionRow:
    """The main thread's calls of one compiled function at one place, but for the first.

    Times in nanoseconds. `least`: of the fastest. `bridged`: in which some Python
    of a pipeline ran in another thread.
    """

    __slots__ = ("bridged", "calls", "least", "ns")

    def __init__(self) -> None:
        self.calls = -1
        self.ns = self.bridged = self.least = 0

    def add(self, spent: int, bridged: int) -> None:
        """Count a call; the first prepared the graph and is no measure."""
        self.calls += 1
        if self.calls:
            self.ns += spent
            self.bridged += bridged
            self.least = min(self.least, spent) if self.calls > 1 else spent

    @property
    def waited(self) -> int:
        if self.calls < LEAST_CALLS:
            return 0
        return min(self.bridged, self.ns - self.calls * self.least)


class Executions:
    """Executions of compiled functions: how many have ended, and a lower bound of their waits."""

    def __init__(self, clock: Clock, bridges: Bridges) -> None:
        self._clock = clock
        self._bridges = bridges
        self._rows: Table[ExecutionRow] = Table(ExecutionRow)
        self._spent: dict[Place, int] = {}
        self.ended = 0

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        for seam in (seams.FUNCTION_EXECUTION, seams.CANCELABLE_EXECUTION):
            patches.replace(seam, self._watch)

    def _watch(self, original: Any) -> Any:
        return self._clock.watch(original, "graph", self._note, self._begins)

    def _begins(self, thread: ThreadClock, args: tuple[Any, ...]) -> bool:
        thread.busy_executing = self._bridges.busy(pipeline=True) if thread.main else []
        return True

    def _note(self, call: Call) -> None:
        thread = call.thread
        thread.executed += call.own
        self.ended += 1
        if thread.main:
            self._spent[call.place] = self._spent.get(call.place, 0) + call.own
        name = call.args[2]
        if thread.main and isinstance(name, str) and name.startswith("__"):
            bridged = self._bridges.ran(thread.busy_executing, call.own)
            # The number at the end counts traces.
            self._rows.row(call.place, name.rpartition("_")[0]).add(call.own, bridged)

    def seconds(self, place: Place) -> float:
        """What the main thread's calls from this place that have ended took."""
        return self._spent.get(place, 0) / SECOND

    def estimates(self, seen: set[Any]) -> list[Window]:
        """A window's worth of estimate for every line that waited and is not in `seen`."""
        sums: dict[Place, list[int]] = {}
        for (place, _), row in self._rows.items():
            total = sums.setdefault(place, [0, 0])  # type: ignore[arg-type]
            total[0] += row.ns
            total[1] += row.waited
        found = []
        for place, (spent, waited) in sums.items():
            site = self._clock.sites.site(place)
            if site is not None and waited and site.at_line not in seen:
                found.append(
                    Window(
                        site=site,
                        seconds=spent / SECOND,
                        graph_seconds=spent / SECOND,
                        wait_seconds=waited / SECOND,
                        bridge_seconds=waited / SECOND,
                        estimated=True,
                    )
                )
        return found
