"""Watches TensorFlow 1 graphs and sessions: made where, run how often, growing by which lines."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping
from typing import Any

from unslow import seams
from unslow.finding import Site
from unslow.recording.arrays import size_of
from unslow.recording.clock import Call, Clock, ThreadClock
from unslow.recording.data import GraphUse
from unslow.recording.samples import GraphRun, GrownRun
from unslow.recording.sites import Place, calling_frame
from unslow.recording.tables import SECOND, Table

MOST_GROWTH_SITES = 8

GROWTHS_LOOKED_AT = 64
"""Runs at one place after which new nodes are no longer traced back to their lines."""

MOST_SESSIONS = 8
"""Sessions of one place whose runs are kept, the first one's left out."""

MOST_RUNS = 16
"""Runs that are kept of one session."""

MOST_GROWN = 20
"""Runs in a graph that had grown that are kept of one place: the 4th, 8th, 16th and so on."""

MOST_ASKED = 256
"""Different fetches of one session that are remembered."""

NODE = 500
"""Bytes of a node, about, its constants left out."""


class GraphRow:
    """Calls and nanoseconds of one action at one place."""

    __slots__ = ("calls", "feed", "first", "first_ns", "growth", "last", "ns", "start")

    def __init__(self) -> None:
        self.calls = self.ns = self.first = self.first_ns = self.start = self.last = self.feed = 0
        self.growth: dict[Site, int] = {}


class Seen:
    """A session: the nodes of its graph at its last run, and what it has been asked for."""

    __slots__ = ("asked", "nodes")

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.asked: set[Any] = set()

    def is_new(self, fetches: Any, feeds: Mapping[Any, Any]) -> bool:
        """Whether a session has to prepare these fetches with these feeds, as it has not yet."""
        key = (_names(fetches), frozenset(map(_names, feeds)))
        if key in self.asked:
            return False
        if len(self.asked) < MOST_ASKED:
            self.asked.add(key)
        return True


class Captured:
    """A session whose runs are kept: for which place, the how many-th there, and how many runs."""

    __slots__ = ("number", "place", "runs")

    def __init__(self, place: Place, number: int) -> None:
        self.place = place
        self.number = number
        self.runs = 0


class Graphs:
    """Graphs, sessions and imports per line, and the growth of node counts between runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: Table[GraphRow] = Table(GraphRow)
        self._seen: weakref.WeakKeyDictionary[Any, Seen] = weakref.WeakKeyDictionary()
        self._imported: weakref.WeakKeyDictionary[Any, Place] = weakref.WeakKeyDictionary()
        self._captured: weakref.WeakKeyDictionary[Any, Captured] = weakref.WeakKeyDictionary()
        self._sessions: dict[Place, int] = {}
        self._sizes: dict[Place, int] = {}

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
            if action == "import":
                self._imported[seams.default_graph()] = call.place
            elif action == "session":
                self._capture(call)

        return note

    def _capture(self, call: Call) -> None:
        """Have the runs of a session kept, if it is one of the first few of its place."""
        session = call.args[0]
        place = self._imported.get(session.graph, call.place)
        number = self._sessions[place] = self._sessions.get(place, 0) + 1
        if 1 < number <= MOST_SESSIONS + 1:
            self._captured[session] = Captured(place, number)

    def _note_run(self, call: Call) -> None:
        session = call.args[0]
        row = self._rows.row(*call.place, "run")
        row.calls += 1
        row.ns += call.own
        fetches = call.args[1] if len(call.args) > 1 else call.kwargs["fetches"]
        feeds = (call.args[2] if len(call.args) > 2 else call.kwargs.get("feed_dict")) or {}
        for value in feeds.values():
            row.feed += getattr(value, "nbytes", 0)
        captured = self._captured.get(session)
        if captured is not None and captured.runs < MOST_RUNS:
            self._keep(call, captured, fetches, feeds)
        nodes = seams.node_count(session.graph)
        seen = self._seen.get(session)
        before = None if seen is None else seen.nodes
        if seen is None:
            seen = self._seen[session] = Seen(nodes)
        seen.nodes = nodes
        if seen.is_new(fetches, feeds) or (before is not None and nodes > before):
            row.first += 1
            row.first_ns += call.own
        if row.calls == 1:
            row.start = row.last = nodes if before is None else before
        if before is not None and nodes > before:
            row.last = nodes
            if row.first <= GROWTHS_LOOKED_AT:
                self._find_growth(row, session.graph, before)
            if row.first >= 4 and row.first & (row.first - 1) == 0:
                self._keep_grown(call, before, nodes, fetches, feeds)

    def _keep(self, call: Call, captured: Captured, fetches: Any, feeds: Mapping[Any, Any]) -> None:
        """Keep a run and its graph, which counts as large as that of the place's first."""
        samples, place, graph = self._clock.samples, captured.place, call.args[0].graph
        if not call.thread.main or not samples.wants(GraphRun, place, MOST_SESSIONS * MOST_RUNS):
            return
        size = size_of(list(feeds.values()))
        if not captured.runs:
            if place not in self._sizes:
                self._sizes[place] = graph.as_graph_def().ByteSize()
            size += self._sizes[place] + NODE * seams.node_count(graph)
        captured.runs += 1
        samples.keep(place, GraphRun(graph, captured.number, fetches, dict(feeds)), size)

    def _keep_grown(
        self, call: Call, before: int, nodes: int, fetches: Any, feeds: Mapping[Any, Any]
    ) -> None:
        samples, graph = self._clock.samples, call.args[0].graph
        if call.thread.main and samples.wants(GrownRun, call.place, MOST_GROWN):
            size = size_of(list(feeds.values())) + NODE * nodes
            samples.keep(call.place, GrownRun(graph, before, nodes, fetches, dict(feeds)), size)

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


def _names(value: Any) -> Any:
    """The names of what is fetched, in its structure: something to compare."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(map(_names, value))
    if isinstance(value, Mapping):
        return tuple((key, _names(each)) for key, each in value.items())
    name = getattr(value, "name", None)
    return name if isinstance(name, str) else id(value)
