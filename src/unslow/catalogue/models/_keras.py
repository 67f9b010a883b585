"""Reading a Recording's table of Keras calls: what the pages of this family share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from unslow.catalogue.page import by_line, claim
from unslow.finding import Claim, Site, same_line
from unslow.recording.data import KerasCall, Recording

AROUND_PARTS = ("python", "eager", "convert")
"""The parts of the time budget in which a Keras call does anything but compute and wait."""

RUNNING_PARTS = (*AROUND_PARTS, "graph", "input", "bridge")
"""The parts in which it does its work, once it is built."""


def calls_by_line(recording: Recording, *methods: str) -> Iterator[KerasCall]:
    """The calls of `methods`, one row for each line and method."""
    for method in methods:
        rows = [row for row in recording.keras_calls if row.method == method]
        for _, group in by_line(rows):
            yield _merged(group)


def _merged(rows: list[KerasCall]) -> KerasCall:
    sizes = [row.batch_size for row in rows if row.batch_size is not None]
    return replace(
        rows[0],
        site=rows[0].site.at_line,
        calls=sum(row.calls for row in rows),
        seconds=sum(row.seconds for row in rows),
        graph_seconds=sum(row.graph_seconds for row in rows),
        build_seconds=sum(row.build_seconds for row in rows),
        first_seconds=max(row.first_seconds for row in rows),
        rows=sum(row.rows for row in rows),
        batch_size=min(sizes, default=None),
        epochs=sum(row.epochs for row in rows),
        steps=sum(row.steps for row in rows),
        steps_per_execution=min(row.steps_per_execution for row in rows),
        run_eagerly=any(row.run_eagerly for row in rows),
    )


def running(call: KerasCall) -> float:
    """Seconds of a row without tracing and building."""
    return max(call.seconds - call.build_seconds, 0.0)


def around(recording: Recording, call: KerasCall) -> float:
    """Seconds of a row outside compiled functions, building and the user's callbacks."""
    outside = running(call) - call.graph_seconds - callback_seconds(recording, call)
    return max(outside, 0.0)


def callback_seconds(recording: Recording, call: KerasCall) -> float:
    """Seconds of a row in the user's per-batch callbacks."""
    return sum(row.seconds for row in recording.callbacks if same_line(row.fit, call.site))


def spread(
    recording: Recording, site: Site, seconds: float, parts: tuple[str, ...] = ()
) -> tuple[Claim, ...]:
    """`seconds` of the main thread at the line of `site`, by part as the line spent its own.

    With `parts` only those are claimed. No claim is larger than what the line spent.
    """
    spent = {
        part: time
        for part, time in recording.line(site).items()
        if part != "recorder" and time > 0 and (not parts or part in parts)
    }
    total = sum(spent.values())
    if total <= 0:
        return ()
    share = min(seconds / total, 1.0)
    return tuple(claim(site, part, time * share) for part, time in spent.items())
