"""Watches iterators over datasets: made where, over what, and waited for how long in Python."""

from __future__ import annotations

import functools
import weakref
from _thread import get_ident
from typing import Any

from unslow import seams
from unslow.finding import Site
from unslow.recording.bridges import Bridges
from unslow.recording.clock import KERAS, Call, Clock, hide_caller, now
from unslow.recording.data import Iteration, Stage
from unslow.recording.sites import Place
from unslow.recording.tables import SECOND, Table

MOST_STAGES = 64


class IterationRow:
    """Iterators made, elements taken and nanoseconds waited at one place."""

    __slots__ = ("bridge_ns", "elements", "iterators", "keras", "make_ns", "stages", "wait_ns")

    def __init__(self) -> None:
        self.iterators = self.elements = self.wait_ns = self.bridge_ns = self.make_ns = 0
        self.keras = False
        self.stages: tuple[Stage, ...] = ()


class Iterators:
    """Counts iterators and Python's waits for elements per line; knows a pipeline's stages."""

    def __init__(self, clock: Clock, bridges: Bridges) -> None:
        self._clock = clock
        self._bridges = bridges
        self._rows: Table[IterationRow] = Table(IterationRow)
        self._made_at: weakref.WeakKeyDictionary[Any, Place] = weakref.WeakKeyDictionary()

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        clock = self._clock
        patches.replace(seams.DATASET_MADE, self._watch_dataset)
        patches.replace(
            seams.ITERATOR_MADE, lambda original: clock.watch(original, "build", self._note_made)
        )
        patches.replace(seams.ITERATOR_NEXT, self._watch_next)

    def _watch_dataset(self, original: Any) -> Any:
        @functools.wraps(original)
        def init(dataset: Any, *args: Any, **kwargs: Any) -> None:
            try:
                original(dataset, *args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise
            self._made_at[dataset] = self._clock.sites.place()

        return self._clock.disguise(init)

    def _note_made(self, call: Call) -> None:
        dataset = call.args[1] if len(call.args) > 1 else call.kwargs.get("dataset")
        if dataset is None:
            return
        row = self._rows.row(*call.place)
        row.iterators += 1
        row.make_ns += call.inclusive
        row.keras = row.keras or call.thread.context.within(KERAS)
        if not row.stages:
            row.stages = self.stages(dataset)

    def stages(self, dataset: Any) -> tuple[Stage, ...]:
        """The stages of a pipeline, the last first; of several inputs the first is followed."""
        found: list[Stage] = []
        while dataset is not None and len(found) < MOST_STAGES:
            kind = type(dataset).__name__.strip("_").removesuffix("Dataset").removesuffix("V2")
            size = getattr(dataset, "_batch_size", None)
            try:
                batch_size = None if size is None else int(size)
            except (TypeError, ValueError):
                batch_size = None
            place = self._made_at.get(dataset)
            site = None if place is None else self._clock.sites.site(place)
            found.append(Stage(kind, site, batch_size))
            inputs = dataset._inputs() if hasattr(dataset, "_inputs") else ()
            dataset = inputs[0] if inputs else None
        return tuple(found)

    def _watch_next(self, original: Any) -> Any:
        clock = self._clock
        threads = clock.threads
        rows = self._rows
        bridges = self._bridges

        @functools.wraps(original)
        def next_element(iterator: Any) -> Any:
            thread = threads[get_ident()]
            if thread.muted or thread.tracing:
                try:
                    return original(iterator)
                except BaseException as error:
                    hide_caller(error)
                    raise
            before = bridges.busy(pipeline=True) if thread.main else []
            start = now()
            taken = 0
            try:
                element = original(iterator)
                taken = 1
                return element
            except BaseException as error:
                hide_caller(error)
                raise
            finally:
                spent = now() - start
                place = clock.sites.place()
                row = rows.row(*place)
                row.elements += taken
                if thread.main:
                    row.wait_ns += spent
                    row.bridge_ns += bridges.waited(before, place, "input", spent)
                clock.own_cost(thread, now() - start - spent)

        return clock.disguise(next_element)

    def rows(self) -> list[Iteration]:
        """The iterations so far."""
        lines: dict[Site, IterationRow] = {}
        for (code, instruction), row in self._rows.items():
            site = self._clock.sites.site((code, instruction))  # type: ignore[arg-type]
            if site is None:
                continue
            line = lines.setdefault(site.at_line, IterationRow())
            line.iterators += row.iterators
            line.elements += row.elements
            line.wait_ns += row.wait_ns
            line.bridge_ns += row.bridge_ns
            line.make_ns += row.make_ns
            line.stages = line.stages or row.stages
            line.keras = line.keras or row.keras
        return [
            Iteration(
                site=site,
                iterators=line.iterators,
                elements=line.elements,
                wait_seconds=line.wait_ns / SECOND,
                bridge_seconds=line.bridge_ns / SECOND,
                make_seconds=line.make_ns / SECOND,
                stages=line.stages,
                keras=line.keras,
            )
            for site, line in lines.items()
        ]
