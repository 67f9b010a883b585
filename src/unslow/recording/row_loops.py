"""Watches `tf.map_fn`: a loop over rows, run op by op or as a While loop in a graph."""

from __future__ import annotations

from typing import Any

from unslow import seams
from unslow.finding import Site
from unslow.recording.arrays import size_of
from unslow.recording.clock import Call, Clock, ThreadClock
from unslow.recording.data import RowLoop
from unslow.recording.keras_calls import rows_of
from unslow.recording.samples import RowLoopCall
from unslow.recording.steps import claims_of
from unslow.recording.tables import SECOND, Table

MAP = "map_fn"
"""The context of an eager `tf.map_fn`."""


SLOW = 50_000_000
"""Nanoseconds from which a call is hot at its first time."""


class LoopRow:
    """Rows of eager calls, and calls that only built a graph."""

    __slots__ = ("graph_calls", "rows")

    def __init__(self) -> None:
        self.rows = self.graph_calls = 0


class RowLoops:
    """Calls of `tf.map_fn` per line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: Table[LoopRow] = Table(LoopRow)

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        patches.replace(seams.MAP_FN, self._watch)

    def _watch(self, original: Any) -> Any:
        clock = self._clock
        eager = clock.within(original, MAP, self._note)

        def traced(thread: ThreadClock, args: tuple[Any, ...]) -> bool:
            return bool(thread.tracing)

        return clock.watch(eager, "build", self._note_traced, traced)

    def _note(self, call: Call) -> None:
        elements = call.args[1] if len(call.args) > 1 else call.kwargs.get("elems")
        row = self._rows.row(*call.place)
        hot = row.rows or call.inclusive > SLOW
        if hot and call.result is not None and self._clock.samples.wants(RowLoopCall, call.place):
            sample = RowLoopCall(call.args, call.kwargs)
            self._clock.samples.keep(call.place, sample, size_of(elements))
        row.rows += rows_of(elements)

    def _note_traced(self, call: Call) -> None:
        site = self._clock.sites.innermost(seams.mapped_stack())
        if site is not None:
            self._rows.row(site).graph_calls += 1

    def rows(self, loop_seconds: dict[Site, float]) -> list[RowLoop]:
        """The loops so far; `loop_seconds` is what While loops of graphs took, by line."""
        found = []
        for thread in list(self._clock.threads.values()):
            for context in thread.root.subtree():
                site = self._clock.sites.site(context.place)
                if context.kind != MAP or site is None or not context.calls:
                    continue
                row = self._rows.get(*context.place)
                found.append(
                    RowLoop(
                        site=site,
                        name="tf.map_fn",
                        calls=context.calls,
                        rows=0 if row is None else row.rows,
                        seconds=context.ns / SECOND,
                        graph_calls=0,
                        graph_seconds=0.0,
                        claims=(
                            claims_of(self._clock, list(context.subtree())) if thread.main else ()
                        ),
                    )
                )
        for key, row in self._rows.items():
            if row.graph_calls and isinstance(key[0], Site):
                site = key[0]
                found.append(
                    RowLoop(
                        site=site,
                        name="tf.map_fn",
                        calls=0,
                        rows=0,
                        seconds=0.0,
                        graph_calls=row.graph_calls,
                        graph_seconds=loop_seconds.get(site, 0.0),
                    )
                )
        return found
