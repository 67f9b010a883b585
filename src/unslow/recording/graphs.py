"""Watches TensorFlow 1 graphs and sessions: made where, run how often, growing by which lines."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from unslow import seams
from unslow.finding import Site
from unslow.recording.clock import Call, Clock, ThreadClock
from unslow.recording.data import GraphUse
from unslow.recording.sites import calling_frame
from unslow.recording.tables import SECOND, Table

MOST_GROWTH_SITES = 8

GROWTHS_LOOKED_AT = 64
"""Runs at one place after which new nodes are no longer traced back to their lines."""


class GraphRow:
    """Calls and nanoseconds of one action at one place."""

    __slots__ = ("calls", "feed", "first", "first_ns", "growth", "last", "ns", "start")

    def __init__(self) -> None:
        self.calls = self.ns = self.first = self.first_ns = self.start = self.last = self.feed = 0
        self.growth: dict[Site, int] = {}


class Graphs:
    """Graphs, sessions and imports per line, and the growth of node counts between runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: Table[GraphRow] = Table(GraphRow)
        self._nodes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        clock = self._clock
        for seam, action in (
            (seams.GRAPH_MADE, "graph"),
            (seams.GRAPH_IMPORT, "import"),
            (seams.SESSION_MADE, "session"),
        ):
            patches.replace(seam, functools.partial(self._watch, action))
        patches.replace(
            seams.SESSION_RUN, lambda original: clock.watch(original, "graph", self._note_run)
        )

    def _watch(self, action: str, original: Any) -> Any:
        return self._clock.watch(original, "build", self._counter(action), self._outside_functions)

    def _outside_functions(self, thread: ThreadClock, args: tuple[Any, ...]) -> bool:
        if thread.tracing or (args and seams.is_graph_function(args[0])):
            return False
        # TensorFlow makes graphs on its own account too, to convert or load a model.
        return seams.is_called_by_user(calling_frame(), self._clock.sites.foreign.__getitem__)

    def _counter(self, action: str) -> Any:
        def note(call: Call) -> None:
            row = self._rows.row(*call.place, action)
            row.calls += 1
            row.ns += call.own

        return note

    def _note_run(self, call: Call) -> None:
        session = call.args[0]
        row = self._rows.row(*call.place, "run")
        row.calls += 1
        row.ns += call.own
        feeds = call.args[2] if len(call.args) > 2 else call.kwargs.get("feed_dict")
        for value in (feeds or {}).values():
            row.feed += getattr(value, "nbytes", 0)
        nodes = seams.node_count(session.graph)
        before = self._nodes.get(session)
        self._nodes[session] = nodes
        if before is None or nodes > before:
            row.first += 1
            row.first_ns += call.own
        if row.calls == 1:
            row.start = row.last = nodes if before is None else before
        if before is not None and nodes > before:
            row.last = nodes
            if row.first <= GROWTHS_LOOKED_AT:
                self._find_growth(row, session.graph, before)

    def _find_growth(self, row: GraphRow, graph: Any, before: int) -> None:
        for operation in graph.get_operations()[before:]:
            site = self._clock.sites.innermost(seams.creation_stack(operation))
            if site is not None and (site in row.growth or len(row.growth) < MOST_GROWTH_SITES):
                row.growth[site] = row.growth.get(site, 0) + 1

    def rows(self) -> list[GraphUse]:
        """What was done so far."""
        found = []
        for (code, instruction, action), row in self._rows.items():
            site = self._clock.sites.site((code, instruction))  # type: ignore[arg-type]
            if site is not None:
                growth = sorted(row.growth, key=lambda place: -row.growth[place])
                found.append(
                    GraphUse(
                        site=site,
                        action=str(action),
                        calls=row.calls,
                        seconds=row.ns / SECOND,
                        first_runs=row.first,
                        first_seconds=row.first_ns / SECOND,
                        nodes_first=row.start,
                        nodes_last=row.last,
                        growth=tuple(growth),
                        feed_bytes=row.feed,
                    )
                )
        return found
