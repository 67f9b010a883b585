"""Watches tensors being made into arrays and Python numbers."""

from __future__ import annotations

import functools
from typing import Any

from unslow import seams
from unslow.recording.arrays import size_of
from unslow.recording.clock import Call, Clock, ThreadClock
from unslow.recording.data import Sync
from unslow.recording.samples import TensorRead
from unslow.recording.sites import calling_frame
from unslow.recording.tables import SECOND, Table

MOST_SAMPLES = 2
"""Tensors that are kept of one place."""

SLOW = 10_000
"""Nanoseconds from which a copy is worth an experiment."""


class SyncRow:
    """Nanoseconds and bytes of one method at one place."""

    __slots__ = ("bytes", "calls", "ns")

    def __init__(self) -> None:
        self.calls = self.ns = self.bytes = 0


class Syncs:
    """Counts tensor-to-array conversions per line. Inner ones belong to the outermost.

    What TensorFlow or Keras asks for on its own account is not counted.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: Table[SyncRow] = Table(SyncRow)

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        for seam in seams.SYNCS:
            patches.replace(seam, functools.partial(self._watch, seam.attribute))

    def _watch(self, name: str, original: Any) -> Any:
        rows, samples = self._rows, self._clock.samples

        def keep(call: Call) -> None:
            if samples.wants(TensorRead, call.place, MOST_SAMPLES):
                samples.keep(call.place, TensorRead(call.args[0], name), size_of(call.args[0]))

        def note(call: Call) -> None:
            call.thread.syncing = False
            asking = calling_frame()
            if asking is not None and seams.in_library(asking.f_code.co_filename):
                return
            row = rows.row(call.thread.main, *call.place, name)
            if name == "numpy" and row.calls and call.own > SLOW:
                keep(call)
            row.calls += 1
            row.ns += call.own
            row.bytes += getattr(call.result, "nbytes", 8)

        def outermost(thread: ThreadClock, args: tuple[Any, ...]) -> bool:
            if thread.syncing:
                return False
            thread.syncing = True
            return True

        return self._clock.watch(original, "convert", note, outermost)

    def rows(self) -> list[Sync]:
        """The syncs so far."""
        found = []
        for (main, code, instruction, method), row in self._rows.items():
            site = self._clock.sites.site((code, instruction))  # type: ignore[arg-type]
            if site is not None:
                found.append(
                    Sync(site, str(method), row.calls, row.ns / SECOND, row.bytes, bool(main))
                )
        return found
