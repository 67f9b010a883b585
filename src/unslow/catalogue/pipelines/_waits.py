"""Reading a Recording's tables of iterators and waits: what the pages of this family share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from unslow.catalogue.page import by_line, claim
from unslow.finding import Claim, Site, same_line
from unslow.recording.data import Bridge, FunctionCalls, Iteration, OpCount, Recording, Stage

RESTARTS = 10
"""Fewer iterators at one line than this are nobody's trouble."""


@dataclass(frozen=True)
class Restarts:
    """Iterators made again and again at one line, each for an element or two."""

    site: Site
    made: int
    elements: int
    make_seconds: float
    takes: tuple[Iteration, ...]
    """Where the elements were taken: at the line itself, or at other lines of its function."""


@dataclass(frozen=True)
class Wait:
    """The main thread's waiting for elements at one line: in a loop, or in a `fit`.

    `seconds`, of which `in_bridge` for Python of the pipeline. `whole`: the time of the
    loop, told by `whole_name`. `rows`: the iterations of the line. `graph_share`: of a fit,
    the part of its compiled steps that the wait takes.
    """

    site: Site
    seconds: float
    in_bridge: float
    elements: int
    whole: float
    whole_name: str
    rows: tuple[Iteration, ...]
    fit: bool = False
    graph_share: float = 1.0

    @property
    def work(self) -> float:
        """Seconds from each element to the wait for the next one; 0 for a fit."""
        return sum(row.work_seconds for row in self.rows)

    @property
    def busy(self) -> float:
        """The part of that in which the process kept a core busy, at most 1."""
        cpu = sum(row.work_cpu_seconds for row in self.rows)
        return min(cpu / self.work, 1.0) if self.work > 0 else 1.0

    def claims(self, share: float = 1.0) -> tuple[Claim, ...]:
        """A part of all that the pipeline kept the loop from.

        That is the waiting, and the ends of its iterators: the longer a pipeline ran, the longer
        may its threads sleep before they notice its end.
        """
        ending = 0.0 if self.fit else sum(row.end_seconds for row in self.rows)
        return wait_claims(self.site, (self.seconds + ending) * share, self.in_bridge * share)

    @property
    def making(self) -> float:
        """Seconds that making its iterators took."""
        return sum(row.make_seconds for row in self.rows)

    @property
    def epochs(self) -> int:
        """How many times its pipeline was gone through."""
        return max((row.epochs for row in self.rows), default=0)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages of its pipeline, the last first, where they are known."""
        return next((row.stages for row in self.rows if row.stages), ())


def waits(recording: Recording) -> Iterator[Wait]:
    """All waits of the run, those inside `fit` and compiled functions first."""
    yield from _fit_waits(recording)
    yield from _loop_waits(recording)


def _loop_waits(recording: Recording) -> Iterator[Wait]:
    restarted = [row for found in restarts(recording) for row in found.takes]
    rows = [row for row in recording.iterations if not row.keras and row not in restarted]
    for site, group in by_line(rows):
        if not any(row.elements or row.iterators for row in group):
            continue
        seconds = sum(row.wait_seconds for row in group)
        # How long threads sleep at an iterator's end says nothing of how it was read.
        ending = sum(row.end_seconds for row in group)
        yield Wait(
            site,
            seconds,
            sum(row.bridge_seconds for row in group),
            sum(row.elements for row in group),
            max(function_seconds(recording, site) - ending, seconds),
            f"the time at the lines of {site.function}()",
            tuple(group),
        )


def _fit_waits(recording: Recording) -> Iterator[Wait]:
    """Waits inside compiled functions, which only the trace windows see, scaled to the run."""
    for site, windows in by_line(recording.windows):
        seen = sum(window.graph_seconds for window in windows)
        if seen <= 0:
            continue
        share = sum(window.wait_seconds for window in windows) / seen
        calls = [
            row
            for row in recording.keras_calls
            if row.method in ("fit", "evaluate", "predict") and same_line(row.site, site)
        ]
        if calls:
            graph = sum(row.graph_seconds for row in calls)
            whole = sum(row.seconds - row.build_seconds for row in calls)
            steps = sum(row.steps for row in calls)
            name = f"the time in {calls[0].method}() without building"
        else:
            functions = [
                row for row in recording.function_calls if row.main and same_line(row.site, site)
            ]
            graph = sum(row.seconds for row in functions)
            whole = graph
            steps = sum(row.calls for row in functions)
            name = "the time in the compiled function"
        if whole <= 0 or share <= 0:
            continue
        in_bridge = sum(window.bridge_seconds for window in windows) / seen * graph
        rows = tuple(r for r in recording.iterations if same_line(r.site, site))
        wait = share * graph
        yield Wait(site, wait, in_bridge, steps, whole, name, rows, True, share)


def restarts(recording: Recording) -> Iterator[Restarts]:
    """Lines that made many iterators for very few elements each."""
    rows = [row for row in recording.iterations if not row.keras]
    lines = [(site, tuple(group)) for site, group in by_line(rows)]
    for site, group in lines:
        made = sum(row.iterators for row in group)
        if made < RESTARTS:
            continue
        takes = group
        if not any(row.elements for row in group):
            # `batches = iter(dataset)` on one line, `next(batches)` on another.
            takes = tuple(
                row
                for other, others in lines
                if _function(other) == _function(site) and not any(o.iterators for o in others)
                for row in others
            )
        elements = sum(row.elements for row in takes)
        if 0 < elements <= 2 * made:
            making = sum(row.make_seconds for row in group)
            yield Restarts(site, made, elements, making, takes)


def _function(site: Site) -> tuple[str, int | None, str]:
    return site.path, site.cell, site.function


def seconds_after_start(recording: Recording) -> float:
    """The run without imports, building and the recorder's own cost."""
    idle = sum(recording.parts.get(part, 0.0) for part in ("imports", "build", "recorder"))
    return max(recording.wall - idle, 0.0)


def step_of(recording: Recording, wait: Wait) -> FunctionCalls | None:
    """The compiled function that the loop of a wait calls once with each element, if it does."""
    rows = [
        row
        for row in recording.function_calls
        if row.main
        and not (row.eager or wait.fit)
        and _function(row.site) == _function(wait.site)
        and abs(row.calls - wait.elements) <= max(1, wait.epochs)
    ]
    return max(rows, key=lambda row: row.seconds, default=None)


def ops_of(recording: Recording, wait: Wait) -> list[tuple[OpCount, int]]:
    """The eager ops that the loop of a wait runs with each element, and how many times each."""
    if wait.fit or not wait.elements:
        return []
    others = [
        row.site.line for row in recording.iterations if _function(row.site) == _function(wait.site)
    ]
    end = min((line for line in others if line > wait.site.line), default=math.inf)
    found = []
    for op in recording.ops:
        inside = _function(op.site) == _function(wait.site) and wait.site.line <= op.site.line < end
        if not inside or not op.main or op.keras or op.op.startswith("IteratorGetNext"):
            continue
        times = round(op.calls / wait.elements)
        if times and abs(op.calls - times * wait.elements) <= times * max(1, wait.epochs):
            found.append((op, times))
    return found


def function_seconds(recording: Recording, site: Site) -> float:
    """The main thread's time at all lines of the function of `site`, start-up left out.

    Python at the line of `site` itself is left out too: asking for an element is
    no work of the loop's, and while the pipeline's own Python holds the
    interpreter lock, it is waiting under another name.
    """
    idle = ("imports", "build", "recorder")
    return sum(
        seconds
        for row in recording.lines
        if _function(row.site) == _function(site)
        for part, seconds in row.parts.items()
        if part not in idle and not (part == "python" and same_line(row.site, site))
    )


def bridges_at(recording: Recording, site: Site) -> list[Bridge]:
    """Python functions of pipelines for which the main thread waited at `site`, the worst first."""
    waits = [
        (sum(c.seconds for c in bridge.claims if same_line(c, site)), bridge)
        for bridge in recording.bridges
        if bridge.pipeline
    ]
    waits = [pair for pair in waits if pair[0] > 0]
    return [bridge for _, bridge in sorted(waits, key=lambda pair: -pair[0])]


def stage_texts(rows: Iterable[Iteration]) -> list[str]:
    """The stages of the first of `rows` that knows them, the first stage first."""
    for row in rows:
        if row.stages:
            return [
                stage.kind
                + (f"({stage.batch_size})" if stage.batch_size is not None else "")
                + (f" {stage.site.place}" if stage.site is not None else "")
                for stage in reversed(row.stages)
            ]
    return []


def wait_claims(site: Site, wait: float, in_bridge: float) -> tuple[Claim, ...]:
    """A wait for elements, split in Python of the pipeline and everything else."""
    in_bridge = min(in_bridge, wait)
    pieces = (("input", wait - in_bridge), ("bridge", in_bridge))
    return tuple(claim(site, part, seconds) for part, seconds in pieces if seconds > 0)


def summed(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """The claims with those of one line and part added up."""
    totals: dict[tuple[str, int | None, int, str], float] = {}
    for one in claims:
        key = (one.path, one.cell, one.line, one.part)
        totals[key] = totals.get(key, 0.0) + one.seconds
    return tuple(
        Claim(path, line, part, seconds, cell)
        for (path, cell, line, part), seconds in totals.items()
        if seconds > 0
    )
