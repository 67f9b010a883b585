"""Reading a Recording's tables of traces and calls: what the pages of this family share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from unslow.catalogue.page import by_line, claim, matters
from unslow.finding import Claim, Site, same_line
from unslow.recording.data import FunctionCalls, Recording, Tracing

LEAST_RETRACES = 3
"""Two modes and a smaller last batch are traced once each, and that is how it should be."""

MOST_OP_SECONDS = 3e-4
"""An eager op that takes longer than this on average computes: compiling it gives little."""


@dataclass(frozen=True)
class Retraced:
    """The traces of one function, set off at one line, that one kind of change made necessary.

    `count` of the `traces` were made because `argument` changed, for which
    `values` are examples. `seconds`: in those and in the first run of what they
    made. `arguments`: all that changed so.
    """

    site: Site
    function: str
    calls: int
    traces: int
    count: int
    seconds: float
    argument: str
    arguments: tuple[str, ...]
    values: tuple[str, ...]
    claims: tuple[Claim, ...]

    @property
    def seconds_per_trace(self) -> float:
        return self.seconds / self.count

    def evidence(self, values: str) -> dict[str, Any]:
        """The numbers behind a finding; the examples are called `values` in it."""
        return {
            "calls": self.calls,
            "seconds": self.seconds,
            "traces": self.traces,
            "argument": self.argument,
            "arguments": list(self.arguments),
            "changes": self.count,
            values: list(self.values),
            "seconds_per_trace": self.seconds_per_trace,
            "function": self.function,
        }


def retraced(recording: Recording, reason: str) -> Iterator[Retraced]:
    """The user's functions that were traced again and again for `reason`, and it mattered."""
    users = [row for row in recording.tracings if row.main and row.definition is not None]
    for site, rows in by_line(users):
        for function in dict.fromkeys(row.function for row in rows):
            found = _retraced(
                recording, site.at_line, [row for row in rows if row.function == function], reason
            )
            if (
                found is not None
                and found.count >= LEAST_RETRACES
                and matters(recording, found.seconds)
            ):
                yield found


def _retraced(
    recording: Recording, site: Site, rows: list[Tracing], reason: str
) -> Retraced | None:
    changes = sorted(
        (change for row in rows for change in row.retraces if change.reason == reason),
        key=lambda change: -change.count,
    )
    if not changes:
        return None
    traces = sum(row.traces for row in rows)
    count = min(changes[0].count, traces)
    called = calls_at(recording, site, rows[0].function)
    calls = sum(row.calls for row in called)
    build, graph = sum(row.seconds for row in rows), sum(row.first_seconds for row in called)
    claims = (
        claim(site, "build", build * needless(rows, build, count, traces)),
        claim(site, "graph", graph * needless(called, graph, count, traces)),
    )
    return Retraced(
        site=site,
        function=rows[0].function,
        calls=max(calls, traces),
        traces=traces,
        count=count,
        seconds=sum(each.seconds for each in claims),
        argument=changes[0].argument,
        arguments=tuple(dict.fromkeys(change.argument for change in changes)),
        values=changes[0].values,
        claims=claims,
    )


def needless(
    rows: Sequence[Tracing | FunctionCalls], seconds: float, count: int, traces: int
) -> float:
    """The part of the `seconds` of all `traces` that `count` of them took, without the first.

    The first trace takes longer than the others; `rows` tell how long.
    """
    first = max((row.start_seconds for row in rows), default=0.0)
    if not 0 < count < traces or not 0 < first < seconds:
        return count / traces
    return (1 - first / seconds) * count / (traces - 1)


def calls_at(recording: Recording, site: Site, function: str) -> list[FunctionCalls]:
    """The calls of the compiled `function` at the line of `site`."""
    return [
        row
        for row in recording.function_calls
        if row.function == function and same_line(row.site, site)
    ]
