"""Short windows in which TensorFlow's profiler shows what Python cannot see.

A window opens while a line is inside compiled functions: first after it has been
for a fifth of a second, then after ever longer. What the profiler returns is put aside
and read once the program has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from unslow import seams
from unslow.finding import Site
from unslow.recording.clock import Clock, now
from unslow.recording.data import GraphOp, Window
from unslow.recording.profile import parse
from unslow.recording.sites import Place
from unslow.recording.tables import SECOND

LENGTH = 0.06
"""Seconds a window is open at least."""

EXECUTIONS = 2
"""Compiled calls that must have ended in it: one that outlasts the window leaves no trace."""

LONGEST = 4.0
"""Seconds a window is open at most."""

FIRST = 0.2
"""Seconds of a line inside compiled functions before its first window."""

FACTOR = 8
"""How much later each next window of the line opens."""

MOST = 12
"""Windows in one run."""

LOOP_GAP = 200_000_000
"""Picoseconds between two ops of a loop that still belong to one run of it."""

MOST_OPS = 12

Interval = tuple[int, int]


class Windows:
    """Opens windows, called by the sampler's thread, and reads them at the end."""

    def __init__(self, clock: Clock, directory: Path) -> None:
        self._clock = clock
        self._directory = directory
        self._next: dict[Place, float] = {}
        self._inside: dict[Place, float] = {}
        self._taken: list[tuple[Path, dict[Place, int], float]] = []
        self._session: Any = None
        self._quiet: Any = None
        self.off: str | None = "TensorFlow was not imported"

    def install(self, patches: seams.Patches) -> None:
        """Find out whether windows can be opened unnoticed here, and keep out of the way."""
        try:
            seams.profiler_session()
            self._quiet = seams.quiet_profiler()
        except seams.MissingSeam as error:
            self.off = str(error)
            return
        self.off = None
        patches.replace(seams.PROFILER_START, self._give_way)

    def _give_way(self, original: Any) -> Any:
        """The program profiles itself: only one session can be open, so there are no windows."""

        def start(*args: Any, **kwargs: Any) -> Any:
            self.off = "the program uses the profiler itself"
            deadline = now() + 2_000_000_000
            while self._session is not None and now() < deadline:
                time.sleep(0.001)
            try:
                return original(*args, **kwargs)
            except BaseException as error:
                if error.__traceback__ is not None:
                    error.__traceback__ = error.__traceback__.tb_next
                raise

        start.__wrapped__ = original  # type: ignore[attr-defined]
        return self._clock.disguise(start)

    def tick(self, place: Place | None, seconds: float, executed: float) -> bool:
        """Tell where the main thread is inside a compiled function; whether to open a window now.

        `seconds`: since the last call. `executed`: in calls from there that have ended, which
        a busy machine may have given the caller too few looks at.
        """
        if place is None:
            return False
        inside = self._inside[place] = max(self._inside.get(place, 0.0) + seconds, executed)
        if self.off is not None or len(self._taken) >= MOST:
            return False
        if inside < self._next.get(place, FIRST):
            return False
        self._next[place] = inside * FACTOR
        return True

    def open(self, seen: Iterable[Place | None], executions: Callable[[], int]) -> None:
        """Open a window; `seen` yields where in compiled functions the main thread is, as it runs.

        The place is `None` where it is not inside one. `executions` tells how many
        compiled calls have ended so far.
        """
        places: dict[Place, int] = {}
        start = now()
        enough = executions() + EXECUTIONS
        with self._quiet():
            self._session = seams.profiler_session()
            try:
                self._session.start(str(self._directory), {})
            except Exception as error:  # the profiler raises whatever its status says
                self._session = None
                self.off = f"the profiler could not be started: {error}"
                return
        for place in seen:
            if place is not None:
                places[place] = places.get(place, 0) + 1
            spent = (now() - start) / SECOND
            if self.off is not None or spent >= LONGEST:
                break
            if spent >= LENGTH and executions() >= enough:
                break
        with self._quiet():
            try:
                data = self._session.stop()
            except Exception as error:  # as above
                self.off = f"the profiler could not be stopped: {error}"
                return
            finally:
                self._session = None
        length = (now() - start) / SECOND
        path = self._directory / f"window-{len(self._taken)}.pb"
        path.write_bytes(data)
        self._taken.append((path, places, length))

    def read(self, loops: dict[str, Site]) -> list[Window]:
        """What the windows showed, one row for the main place of each."""
        found = []
        for path, places, length in self._taken:
            try:
                window = self._window(parse(path.read_bytes()), places, length, loops)
            except (OSError, ValueError) as error:
                self.off = f"a window could not be read: {error}"
                continue
            if window is not None:
                found.append(window)
        return found

    def _window(
        self, trace: Any, places: dict[Place, int], length: float, loops: dict[str, Site]
    ) -> Window | None:
        place = max(places, key=lambda each: places[each], default=None)
        site = None if place is None else self._clock.sites.site(place)
        if site is None:
            return None
        inside: list[Interval] = []
        waits: list[Interval] = []
        bridges: list[Interval] = []
        ops: dict[str, list[int]] = {}
        looped: dict[Site, list[Interval]] = {}
        names: dict[bytes, str] = {}
        for event in trace.events:
            interval = (event.start_ps, event.start_ps + event.duration_ps)
            raw = event.name
            name = names.get(raw)
            if name is None:
                name = names[raw] = raw.decode("utf-8", "replace")
            if name.startswith("EagerLocalExecute: __"):
                inside.append(interval)
            elif name.startswith("IteratorGetNext") and name.endswith("::DoCompute"):
                waits.append(interval)
            elif name in ("PyFunc", "EagerPyFunc", "PyFuncStateless"):
                bridges.append(interval)
            long_name = next((a.value for a in event.arguments if a.key == b"long_name"), None)
            if long_name is None or name.startswith("Iterator"):
                continue
            op = ops.setdefault(name, [0, 0])
            op[0] += 1
            op[1] += event.duration_ps
            if loops:
                node = "/" + long_name.decode("utf-8", "replace")
                for loop, loop_site in loops.items():
                    if f"/{loop}/" in node:
                        looped.setdefault(loop_site, []).append(interval)
                        break
        graph = merged(inside)
        if not graph:
            # One call of a compiled function outlasted the window.
            span = [event.start_ps for event in trace.events]
            graph = [(min(span), max(span))] if span else []
        waiting = overlap(merged(waits), graph)
        hot = sorted(ops.items(), key=lambda item: -item[1][1])[:MOST_OPS]
        return Window(
            site=site,
            seconds=length,
            graph_seconds=total(graph),
            wait_seconds=total(waiting),
            bridge_seconds=total(overlap(waiting, merged(bridges))),
            ops=(
                *(GraphOp(name, None, calls, spent / 1e12) for name, (calls, spent) in hot),
                *(
                    GraphOp("While", loop_site, len(each), total(merged(each, LOOP_GAP)))
                    for loop_site, each in looped.items()
                ),
            ),
        )


def merged(intervals: list[Interval], gap: int = 0) -> list[Interval]:
    """The union of intervals, those at most `gap` apart taken together."""
    union: list[Interval] = []
    for start, end in sorted(intervals):
        if union and start <= union[-1][1] + gap:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return union


def overlap(first: list[Interval], second: list[Interval]) -> list[Interval]:
    """What two unions of intervals have in common."""
    common = []
    position = 0
    for start, end in first:
        while position < len(second) and second[position][1] <= start:
            position += 1
        at = position
        while at < len(second) and second[at][0] < end:
            common.append((max(start, second[at][0]), min(end, second[at][1])))
            at += 1
    return common


def total(intervals: list[Interval]) -> float:
    """Seconds in a union of intervals of picoseconds."""
    return sum(end - start for start, end in intervals) / 1e12
