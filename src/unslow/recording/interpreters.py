"""Watches TFLite and LiteRT interpreters."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from unslow import seams
from unslow.finding import Claim
from unslow.recording.arrays import size_of
from unslow.recording.clock import Call, Clock, Note
from unslow.recording.data import InterpreterUse
from unslow.recording.samples import InterpreterUsed
from unslow.recording.sites import Place
from unslow.recording.tables import SECOND, Table

Given = tuple[tuple[Any, ...], dict[str, Any]]
"""The arguments of a call."""


class InterpreterRow:
    """Calls and nanoseconds of interpreters made or invoked at one place.

    `make_at`: of those made here, where their making and allocating took place.
    """

    __slots__ = ("invocations", "invoke_ns", "made", "make_at")

    def __init__(self) -> None:
        self.made = self.invocations = self.invoke_ns = 0
        self.make_at: dict[Place, int] = {}


class Interpreters:
    """Interpreters made and invoked per line."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: Table[InterpreterRow] = Table(InterpreterRow)
        self._made_at: weakref.WeakKeyDictionary[Any, Place] = weakref.WeakKeyDictionary()
        self._made_with: weakref.WeakKeyDictionary[Any, Given] = weakref.WeakKeyDictionary()

    def install(self, patches: seams.Patches, module: str) -> None:
        """Start to watch the interpreter of one module."""
        making, allocation, invocation = seams.interpreter_seams(module)
        for seam, part, note in (
            (making, "build", self._note_made),
            (allocation, "build", self._note_allocated),
            (invocation, "graph", self._note_invoked),
        ):
            patches.replace(seam, functools.partial(self._watch, part, note))

    def _watch(self, part: str, note: Note, original: Any) -> Any:
        return self._clock.watch(original, part, note)

    def _note_made(self, call: Call) -> None:
        self._made_at[call.args[0]] = call.place
        row = self._rows.row(*call.place)
        if row.made and self._clock.samples.wants(InterpreterUsed, call.place, 1):
            self._made_with[call.args[0]] = call.args[1:], dict(call.kwargs)
        row.made += 1
        row.make_at[call.place] = row.make_at.get(call.place, 0) + call.own

    def _note_allocated(self, call: Call) -> None:
        made_at = self._made_at.get(call.args[0])
        if made_at is not None:
            row = self._rows.row(*made_at)
            row.make_at[call.place] = row.make_at.get(call.place, 0) + call.own

    def _note_invoked(self, call: Call) -> None:
        row = self._rows.row(*call.place)
        row.invocations += 1
        row.invoke_ns += call.own
        given = self._made_with.pop(call.args[0], None)
        if given is not None:
            self._keep(call.args[0], *given)

    def _keep(self, interpreter: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Keep how an interpreter was made and what it was given, for an experiment."""
        inputs = {
            details["index"]: interpreter.get_tensor(details["index"])
            for details in interpreter.get_input_details()
        }
        given = [each for each in (*arguments, *keywords.values()) if isinstance(each, bytes)]
        sample = InterpreterUsed(type(interpreter), arguments, keywords, inputs)
        made_at = self._made_at[interpreter]
        if self._clock.samples.wants(InterpreterUsed, made_at, 1):
            self._clock.samples.keep(made_at, sample, size_of([given, inputs]))

    def rows(self) -> list[InterpreterUse]:
        """The interpreters so far."""
        found = []
        site_of = self._clock.sites.site
        for (code, instruction), row in self._rows.items():
            site = site_of((code, instruction))  # type: ignore[arg-type]
            if site is None:
                continue
            places = [(site_of(place), spent) for place, spent in list(row.make_at.items())]
            found.append(
                InterpreterUse(
                    site=site,
                    made=row.made,
                    make_seconds=sum(row.make_at.values()) / SECOND,
                    invocations=row.invocations,
                    invoke_seconds=row.invoke_ns / SECOND,
                    claims=tuple(
                        Claim(at.path, at.line, "build", spent / SECOND, at.cell)
                        for at, spent in places
                        if at is not None
                    ),
                )
            )
        return found
