"""Watches TFLite and LiteRT interpreters."""

from __future__ import annotations

from unslow import seams
from unslow.recording.clock import Call, Clock
from unslow.recording.data import InterpreterUse
from unslow.recording.tables import SECOND, Table


class InterpreterRow:
    """Calls and nanoseconds at one place."""

    __slots__ = ("invocations", "invoke_ns", "made", "make_ns")

    def __init__(self) -> None:
        self.made = self.make_ns = self.invocations = self.invoke_ns = 0


class Interpreters:
    """Interpreters made and invoked per line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: Table[InterpreterRow] = Table(InterpreterRow)

    def install(self, patches: seams.Patches, module: str) -> None:
        """Start to watch the interpreter of one module."""
        making, invocation = seams.interpreter_seams(module)
        patches.replace(making, lambda original: self._clock.watch(original, "build", self._made))
        patches.replace(
            invocation, lambda original: self._clock.watch(original, "graph", self._invoked)
        )

    def _made(self, call: Call) -> None:
        row = self._rows.row(*call.place)
        row.made += 1
        row.make_ns += call.own

    def _invoked(self, call: Call) -> None:
        row = self._rows.row(*call.place)
        row.invocations += 1
        row.invoke_ns += call.own

    def rows(self) -> list[InterpreterUse]:
        """The interpreters so far."""
        found = []
        for (code, instruction), row in self._rows.items():
            site = self._clock.sites.site((code, instruction))  # type: ignore[arg-type]
            if site is not None:
                found.append(
                    InterpreterUse(
                        site,
                        row.made,
                        row.make_ns / SECOND,
                        row.invocations,
                        row.invoke_ns / SECOND,
                    )
                )
        return found
