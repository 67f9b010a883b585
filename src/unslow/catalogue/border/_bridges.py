"""Experiments with Python functions that a graph calls: what the bridge to them costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from unslow.catalogue.border import _draws
from unslow.catalogue.border._calls import Bridged
from unslow.catalogue.border.rewrites import Rewrite, rewrites
from unslow.catalogue.trial import Draws, Trial, Untried, Way
from unslow.finding import Site, line_key
from unslow.recording.arrays import size_of
from unslow.recording.bridge_samples import MOST_BYTES
from unslow.recording.samples import BridgeCall

if TYPE_CHECKING:
    from unslow.recording.data import Bridge, Recording

SECONDS = 0.1
"""What one run of a trial may take; fewer calls are made of slow functions."""

LEAST_CALLS = 4

BATCH = 128
"""Elements of a batch that is put together of calls, at most."""


def seconds_each(bridges: Iterable[Bridge]) -> float:
    """What a call took of the program's time: less than it lasted, where others went on beside."""
    rows = list(bridges)
    return sum(row.busy_seconds for row in rows) / max(1, sum(row.calls for row in rows))


def trials(
    calls: Sequence[BridgeCall],
    each: float,
    pipeline: bool,
    threads: int,
    site: Site | None = None,
    epochs: int = 1,
) -> Iterator[Trial | Untried]:
    """What to try with the function of captured calls, each of which took so many seconds.

    `pipeline`: the elements could be in batches. `threads`: how many calls were under way. `site`:
    where they were made. `epochs`: how often the program ran through its pipeline.
    """
    if not calls:
        yield Untried(
            "None of its calls was kept: they were too large, or Python did not see them."
        )
        return
    if not calls[0].arguments:
        yield Untried("The function is given nothing that could be put into a batch.")
        return
    bridged = repeated(calls, each, epochs)
    if pipeline:
        batched = [bridged.batched()] if len(bridged.calls) > 1 else []
        yield mapped(bridged, [*batched, bridged.alone()], each, threads, site)
    else:
        ways = [way for _, way in _rewritten(bridged, each, 1, pipeline)]
        yield _trial(bridged, bridged.in_graph(), [*ways, bridged.alone()])


def mapped(
    bridged: Bridged, ways: Iterable[Way], each: float, threads: int, site: Site | None = None
) -> Trial:
    """A call for each element of a pipeline against these ways and those of other modules."""
    single, batches, compiled = list[Way](), list[Way](), list[Way]()
    for rewrite, way in _rewritten(bridged, each, threads):
        (single if rewrite.each else batches if rewrite.in_python else compiled).append(way)
    # The budget may not reach for all: first those that win, last those that take long to make.
    ways = [*single, *ways, *batches, *compiled]
    # These make the present way's runs what they are.
    subject = None if site is None else (line_key(site), each, threads)
    return replace(_trial(bridged, bridged.mapped(threads=threads), ways), subject=subject)


def _trial(bridged: Bridged, present: Way, ways: Iterable[Way]) -> Trial:
    functions = (bridged.function,)
    return Trial(present, tuple(ways), bridged.inputs, functions=functions, exhaustive=False)


def _rewritten(
    bridged: Bridged, each: float, threads: int, pipeline: bool = True
) -> Iterator[tuple[Rewrite, Way]]:
    drawn: Drawn | None = None
    batches = pipeline and len(bridged.calls) > 1
    for rewrite in rewrites(bridged.calls[0], each * threads):
        if not (rewrite.each or batches):
            continue
        if pipeline:
            way = bridged.rewritten(rewrite, threads)
        else:
            way = bridged.rewritten_in_graph(rewrite)
        if rewrite.random:
            drawn = drawn or Drawn(bridged, rewrite.seeds, each)
            way = drawn.compared(way, rewrite, threads)
        yield rewrite, way


class Drawn:
    """What the function of some calls draws, and what its rewrites do, for other seeds."""

    def __init__(self, bridged: Bridged, seeds: Sequence[int], each: float) -> None:
        inputs = _draws.inputs_of(bridged.calls, each)
        self._inputs = len(inputs)
        self._count = _draws.count_of(inputs, each, bridged.batch)
        self._batch = bridged.batch
        self._present = Bridged(_draws.redrawn(inputs, seeds, 2 * self._count, 0))
        self._other = Bridged(_draws.redrawn(inputs, seeds, self._count, 1), batch=self._batch)
        self._results: list[Any] | None = None

    def compared(self, way: Way, rewrite: Rewrite, threads: int) -> Way:
        """The way with what tells whether its random numbers are of the same distribution."""
        other = self._other.rewritten(replace(rewrite, check=None, compiled=False), threads)
        draws = Draws(self._drawn, lambda: _results(other), self._inputs)
        calls = "one call" if self._inputs == 1 else f"each of {self._inputs} calls"
        note = f"{way.note} Compared were {self._count} draws for {calls} with those of NumPy."
        return replace(way, draws=lambda: draws, note=note)

    def _drawn(self) -> list[Any]:
        """The same for all rewrites, as it may take long."""
        if self._results is None:
            self._results = _results(self._present.alone())
        return self._results


def _results(way: Way) -> Any:
    if way.before is not None:
        way.before()
    return way.results(way.run())


def repeated(calls: Sequence[BridgeCall], each: float, epochs: int = 1) -> Bridged:
    """As many of the calls as take a short time, if each takes so many seconds."""
    chosen = alike(calls, each)
    return Bridged(chosen, times(chosen, each), epochs=epochs)


def epochs_of(recording: Recording) -> int:
    """How often a program began to run through a pipeline that it ran through most often."""
    return max((row.epochs for row in recording.iterations), default=1)


def alike(calls: Sequence[BridgeCall], each: float) -> list[BridgeCall]:
    """The most of the calls that could be a batch, as many as can be made in a short time."""
    groups: dict[Any, list[BridgeCall]] = {}
    for call in calls:
        shapes = tuple(
            (str(getattr(value, "dtype", type(value))), tuple(getattr(value, "shape", ())))
            for value in call.arguments
        )
        key = (call.kind, call.single, str(call.outputs), shapes)
        groups.setdefault(key, []).append(call)
    largest = max(groups.values(), key=len)
    most = int(SECONDS / each) if each else len(largest)
    return largest[: max(LEAST_CALLS, most)]


def times(calls: Sequence[BridgeCall], each: float) -> int:
    """How often to make each of these calls, to fill a batch in a short time."""
    size = sum(size_of(call.arguments) for call in calls)
    most = min(BATCH // len(calls), MOST_BYTES // max(1, size))
    return max(1, min(most, int(SECONDS / (len(calls) * each)) if each else most))
