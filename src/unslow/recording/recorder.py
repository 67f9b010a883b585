"""Puts the watchers together, samples, and writes the recording as the program runs."""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import time
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Iterator
from pathlib import Path

from unslow import seams
from unslow.finding import PARTS, Site
from unslow.plain import to_plain
from unslow.recording.bridges import Bridges
from unslow.recording.clock import Clock, now
from unslow.recording.conversions import Conversions
from unslow.recording.data import (
    LineTime,
    Machine,
    Program,
    Recording,
    ThreadTime,
    Unwatched,
    Window,
)
from unslow.recording.eager import EagerOps
from unslow.recording.executions import Executions
from unslow.recording.frames import after_fork, innermost, uncollected
from unslow.recording.graphs import Graphs
from unslow.recording.imports import Imports
from unslow.recording.interpreters import Interpreters
from unslow.recording.iterators import Iterators
from unslow.recording.keras_calls import KerasCalls
from unslow.recording.row_loops import RowLoops
from unslow.recording.samples import Samples
from unslow.recording.settings import Settings
from unslow.recording.sites import NOWHERE, Place, Sites
from unslow.recording.steps import Steps
from unslow.recording.syncs import Syncs
from unslow.recording.tables import SECOND
from unslow.recording.tracing import Functions
from unslow.recording.windows import Windows

SAMPLE_EVERY = 0.02
"""Seconds between two looks at where the main thread is."""

WRITE_EVERY = 3.0
"""Seconds between two writings of the recording, at least."""

LONGEST_STOP = 30.0
"""Seconds to wait for the recorder's thread at the end; the profiler may be collecting."""

MOST_NOTES = 10
"""Functions that are told not to have become TensorFlow ops."""

WRITE_SHARE = 0.005
"""The part of the run that writing the recording may take."""


class Recorder:
    """Watches the process it is in and writes what it saw to `path`.

    `samples_limit`: bytes of live inputs to keep for experiments after the end.
    """

    def __init__(
        self,
        path: Path,
        argv: tuple[str, ...],
        include: tuple[str, ...] = (),
        samples_limit: int = 0,
    ) -> None:
        self._path = path
        self._argv = argv
        self._base = Path.cwd()
        self._process = os.getpid()
        self._parent = os.getppid()
        self._patches = seams.Patches()
        self.stopped = False
        self._sampling = allocate_lock()
        sites = Sites(include, self._base)
        self.samples = Samples(sites, samples_limit)
        self.clock = clock = Clock(sites, self.samples)
        self._imports = Imports(clock)
        self._bridges = Bridges(clock)
        self._eager = EagerOps(clock)
        self._conversions = Conversions(clock)
        self._syncs = Syncs(clock)
        self._functions = Functions(clock, self._bridges)
        self._executions = Executions(clock, self._bridges)
        self._graphs = Graphs(clock)
        self._iterators = Iterators(clock, self._bridges)
        self._keras_calls = KerasCalls(clock)
        self._steps = Steps(clock)
        self._row_loops = RowLoops(clock)
        self._settings = Settings(clock, self._keras_calls)
        self._interpreters = Interpreters(clock)
        self._windows = Windows(clock, path.parent)
        self._use_windows = True
        self._seen_windows: list[Window] = []
        self._unwatched: list[Unwatched] = []

    def start(self, windows: bool = True) -> None:
        """Watch imports from now on, and TensorFlow and Keras as soon as they are there."""
        self._use_windows = windows
        self._imports.when_imported("tensorflow", self._tensorflow_is_there)
        self._imports.when_imported("keras", self._keras_is_there)
        for module in seams.INTERPRETER_MODULES:
            self._imports.when_imported(
                module,
                functools.partial(self._interpreters.install, self._patches, module),
            )
        self._imports.install()

    def when_imported(self, module: str, act: Callable[[], None]) -> None:
        """Call `act` once, as soon as `module` has been imported; at once if it has been.

        There is one act for each module; TensorFlow, Keras and interpreters have theirs.
        """
        self._imports.when_imported(module, act)

    def _tensorflow_is_there(self) -> None:
        thread = self.clock.threads[self._main_ident()]
        muted, thread.muted = thread.muted, True
        try:
            own = frozenset(str(path) for path in Path(__file__).parent.glob("*.py"))
            try:
                seams.hide_frames(own)
            except seams.MissingSeam as error:
                self._unwatched.append(Unwatched("stacks of graph ops", str(error)))
            for watcher in (
                self._eager,
                self._conversions,
                self._syncs,
                self._functions,
                self._executions,
                self._graphs,
                self._bridges,
                self._iterators,
                self._steps,
                self._row_loops,
                self._settings,
            ):
                watcher.install(self._patches)
            if self._use_windows:
                self._windows.install(self._patches)
        finally:
            thread.muted = muted
        self._sampling.acquire()
        start_new_thread(self._sample, ())

    def _keras_is_there(self) -> None:
        keras = seams.loaded("keras")
        if keras is not None and keras.config.backend() == "tensorflow":
            self._keras_calls.install(self._patches)

    def _main_ident(self) -> int:
        return next(ident for ident, each in self.clock.threads.items() if each.main)

    def _sample(self) -> None:
        """The recorder's own thread: look where the program is, open windows, write."""
        try:
            self._sample_until_stopped()
        finally:
            self._sampling.release()

    def _sample_until_stopped(self) -> None:
        ident = self._main_ident()
        next_write = time.monotonic() + WRITE_EVERY
        before = time.monotonic()
        while not self.stopped:
            time.sleep(SAMPLE_EVERY)
            if self.stopped:
                return
            moment = time.monotonic()
            inside = self._look(ident)
            executed = 0.0 if inside is None else self._executions.seconds(inside)
            if self._windows.tick(inside, min(moment - before, 5 * SAMPLE_EVERY), executed):
                self._windows.open(self._places(ident), lambda: self._executions.ended)
            before = moment
            if moment >= next_write:
                self.write()
                spent = time.monotonic() - moment
                next_write = time.monotonic() + max(WRITE_EVERY, spent / WRITE_SHARE)
                if os.getppid() != self._parent:
                    # Nobody is left to report to; end as a program whose terminal has gone.
                    os.kill(self._process, 15)

    def _look(self, ident: int) -> Place | None:
        with uncollected():
            return self.clock.sample(innermost(ident))

    def _places(self, ident: int) -> Iterator[Place | None]:
        while not self.stopped:
            time.sleep(SAMPLE_EVERY)
            yield self._look(ident)

    def stop(self) -> Recording | None:
        """Stop watching, write the recording whole and return it. Called at the program's end.

        `None` where that has been done, or in a forked child.
        """
        if self.stopped or os.getpid() != self._process:
            return None
        self.stopped = True
        end = now()
        # A thread that the end of the process catches inside the profiler aborts it.
        if self._sampling.acquire(timeout=LONGEST_STOP):
            self._sampling.release()
        self._take_back()
        windows = self._windows.read(self._functions.loops)
        lines = {window.site.at_line for window in windows}
        self._seen_windows = [*windows, *self._executions.estimates(lines)]
        recording = self.recording(end, final=True)
        self._write(recording)
        return recording

    def abandon(self) -> None:
        """Stop watching without a word: this is a forked child of the program."""
        self.stopped = True
        after_fork()
        self.samples.drop()
        self._take_back()

    def _take_back(self) -> None:
        self._patches.take_back()
        self._imports.take_back()
        self._keras_calls.take_back()

    def write(self) -> None:
        """Write what was seen so far, whole or not at all."""
        if os.getpid() == self._process:
            self._write(self.recording(now(), final=False))

    def _write(self, recording: Recording) -> None:
        temporary = self._path.with_suffix(".writing")
        temporary.write_text(json.dumps(to_plain(recording)), encoding="utf-8")
        temporary.replace(self._path)

    def recording(self, end: int, final: bool) -> Recording:
        """What was seen up to `end`; `final` when the program has ended."""
        times = self._main_times(end)
        in_ops = self._eager.conversions(final)
        for row in in_ops:
            if row.main:
                at, spent = row.site.at_line, int(row.seconds * SECOND)
                times[at, "eager"] = times.get((at, "eager"), 0) - spent
                times[at, "convert"] = times.get((at, "convert"), 0) + spent
        bridged_at = self._move_waits(times)
        parts = dict.fromkeys(PARTS, 0)
        for (_, part), spent in times.items():
            parts[part] += spent
        parts["recorder"] += self.clock.main.recorder
        wall = end - self.clock.start
        parts["python"] += wall - sum(parts.values())
        lines: dict[Site, dict[str, float]] = {}
        for (site, part), spent in times.items():
            if site is not None and spent > 0:
                line = lines.setdefault(site, {})
                line[part] = line.get(part, 0.0) + spent / SECOND
        iterations = self._iterators.rows()
        loop_seconds = self._loop_seconds(lines)
        return Recording(
            program=self._program(),
            machine=self._machine(final),
            partial=not final,
            wall=wall / SECOND,
            parts={part: spent / SECOND for part, spent in parts.items()},
            lines=tuple(
                LineTime(site, line)
                for site, line in sorted(lines.items(), key=lambda item: -sum(item[1].values()))
            ),
            threads=tuple(self._thread_times()),
            ops=tuple(self._eager.counts()),
            conversions=(*self._conversions.rows(), *in_ops),
            syncs=tuple(self._syncs.rows()),
            tracings=tuple(self._functions.tracings()),
            functions_made=tuple(self._functions.made()),
            function_calls=tuple(self._functions.calls()),
            graphs=tuple(self._graphs.rows()),
            bridges=tuple(self._bridges.rows(bridged_at, final)),
            iterations=tuple(iterations),
            keras_calls=tuple(self._keras_calls.rows()),
            callbacks=tuple(self._keras_calls.callback_rows()),
            interpreters=tuple(self._interpreters.rows()),
            tape_steps=tuple(self._steps.rows()),
            row_loops=tuple(self._row_loops.rows(loop_seconds)),
            windows=tuple(self._seen_windows),
            settings=tuple(self._settings.rows()),
            thread_pools=tuple(self._settings.thread_pools()),
            unwatched=tuple(self._all_unwatched()),
            notes=tuple(dict.fromkeys(_left_in_python()))[:MOST_NOTES],
        )

    def _main_times(self, end: int) -> dict[tuple[Site | None, str], int]:
        """The main thread's own nanoseconds by line and part."""
        site_of = self.clock.sites.site
        times: dict[tuple[Site | None, str], int] = {}

        def add(place: Place, part: str, spent: int) -> None:
            site = site_of(place)
            key = (None if site is None else site.at_line, part)
            times[key] = times.get(key, 0) + spent

        for context in self.clock.main.root.subtree():
            for place, part, spent in self.clock.times(context):
                add(place, part, spent)
        for place, spent in self.clock.pending(end).items():
            if place != NOWHERE:
                add(place, "python", spent)
        for (place, part), waited in self._bridges.moved().items():
            site = site_of(place)
            line = None if site is None else site.at_line
            spent = min(waited, times.get((line, part), 0))
            add(place, part, -spent)
            add(place, "bridge", spent)
        return times

    def _move_waits(self, times: dict[tuple[Site | None, str], int]) -> dict[Site, int]:
        """Move the waits that windows saw inside compiled functions out of the graph part.

        Returns the nanoseconds moved to the bridge part, by line.
        """
        bridged_at: dict[Site, int] = {}
        seen: dict[Site, list[float]] = {}
        for window in self._seen_windows:
            sums = seen.setdefault(window.site.at_line, [0.0, 0.0, 0.0])
            sums[0] += window.graph_seconds
            sums[1] += window.wait_seconds - window.bridge_seconds
            sums[2] += window.bridge_seconds
        for site, (graph, waited, bridged) in seen.items():
            if graph <= 0:
                continue
            available = times.get((site, "graph"), 0)
            for part, share in (("input", waited / graph), ("bridge", bridged / graph)):
                moved = int(available * share)
                times[site, "graph"] = times.get((site, "graph"), 0) - moved
                times[site, part] = times.get((site, part), 0) + moved
                if part == "bridge":
                    bridged_at[site] = moved
        return bridged_at

    def _loop_seconds(self, lines: dict[Site, dict[str, float]]) -> dict[Site, float]:
        """Seconds of While loops in graphs by the line that made them, scaled from the windows."""
        found: dict[Site, float] = {}
        graph: dict[Site, float] = {}
        looped: dict[tuple[Site, Site], float] = {}
        for window in self._seen_windows:
            at = window.site.at_line
            graph[at] = graph.get(at, 0.0) + window.graph_seconds
            for op in window.ops:
                if op.op == "While" and op.site is not None:
                    key = (at, op.site)
                    looped[key] = looped.get(key, 0.0) + op.seconds
        for (at, site), seconds in looped.items():
            if graph[at] > 0:
                share = min(1.0, seconds / graph[at])
                found[site] = found.get(site, 0.0) + share * lines.get(at, {}).get("graph", 0.0)
        return found

    def _thread_times(self) -> Iterator[ThreadTime]:
        groups: dict[str, tuple[int, dict[str, float]]] = {}
        for thread in list(self.clock.threads.values()):
            if thread.main:
                continue
            name = re.sub(r"\d+", "N", thread.name)
            count, parts = groups.get(name, (0, {}))
            for context in thread.root.subtree():
                for _, part, spent in self.clock.times(context):
                    if part != "python":
                        parts[part] = parts.get(part, 0.0) + spent / SECOND
            groups[name] = (count + 1, parts)
        for name, (count, parts) in groups.items():
            yield ThreadTime(name, count, parts)

    def _program(self) -> Program:
        def version(module: str) -> str | None:
            return getattr(seams.loaded(module), "__version__", None)

        return Program(
            argv=self._argv,
            python=platform.python_version(),
            tensorflow=version("tensorflow"),
            keras=version("keras"),
            numpy=version("numpy"),
        )

    def _machine(self, final: bool) -> Machine:
        accelerators: tuple[str, ...] = ()
        tensorflow = seams.loaded("tensorflow")
        if final and hasattr(tensorflow, "config"):
            accelerators = tuple(
                device.name
                for device in tensorflow.config.list_physical_devices()
                if device.device_type != "CPU"
            )
        return Machine(_cores(), _memory(), accelerators)

    def _all_unwatched(self) -> Iterator[Unwatched]:
        yield from self._unwatched
        for seam, why in self._patches.missing:
            yield Unwatched(seam.name, why)
        for watcher, error in self.clock.failures.items():
            yield Unwatched(watcher, f"the watcher failed: {error}")
        if seams.loaded("tensorflow") is not None and self._windows.off is not None:
            why = self._windows.off if self._use_windows else "switched off by --no-windows"
            yield Unwatched("what happens inside compiled functions", why)


def _left_in_python() -> Iterator[str]:
    """The NumPy functions that were to become TensorFlow ops and could not, with the reasons."""
    refusals = getattr(seams.loaded("unslow.native.function"), "refusals", tuple)
    for function, why in refusals():
        name = getattr(function, "__name__", type(function).__name__)
        yield f"{name}() could not become TensorFlow ops: {why}"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 0
