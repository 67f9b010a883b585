"""Watches iterators over datasets: made where, over what, and waited for how long in Python."""

from __future__ import annotations

import functools
import weakref
from _thread import get_ident
from time import process_time_ns
from typing import Any

from unslow import seams
from unslow.finding import Site
from unslow.recording import pipelines
from unslow.recording.bridges import Bridges
from unslow.recording.clock import KERAS, Call, Clock, hide_caller, now
from unslow.recording.data import Iteration, Stage
from unslow.recording.samples import DatasetMade
from unslow.recording.sites import Place
from unslow.recording.tables import SECOND, Table

LARGE = 64 * 2**20
"""Bytes of data in a dataset from which it is not kept alive for experiments."""


class IterationRow:
    """Iterators made, elements taken and nanoseconds waited at one place.

    `end_ns`: in ending iterators there.
    `work_ns`: from each element to the next wait for the same iterator, `of`, whose last
    wait ended at `ended`; the recorder had then taken `recorder` in all, and the process
    `cpu` of CPU time, of which `work_cpu_ns` in such stretches. `epochs`: iterators made
    over `first`, the pipeline whose `stages` are known.
    """

    __slots__ = (
        "bridge_ns",
        "cpu",
        "elements",
        "end_ns",
        "ended",
        "epochs",
        "first",
        "iterators",
        "keras",
        "make_ns",
        "of",
        "recorder",
        "stages",
        "wait_ns",
        "work_cpu_ns",
        "work_ns",
    )

    def __init__(self) -> None:
        self.iterators = self.elements = self.wait_ns = self.bridge_ns = self.make_ns = 0
        self.end_ns = 0
        self.work_ns = self.work_cpu_ns = self.of = self.ended = self.recorder = self.cpu = 0
        self.epochs = 0
        self.keras = False
        self.stages: tuple[Stage, ...] = ()
        self.first: weakref.ref[Any] | None = None


class Iterators:
    """Counts iterators and Python's waits for elements per line; knows a pipeline's stages."""

    def __init__(self, clock: Clock, bridges: Bridges) -> None:
        self._clock = clock
        self._bridges = bridges
        self._rows: Table[IterationRow] = Table(IterationRow)
        self._held: set[int] = set()
        """Identities of the datasets with data of their own that are kept for experiments."""
        self._made_at: weakref.WeakKeyDictionary[Any, Place] = weakref.WeakKeyDictionary()

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        clock = self._clock
        patches.replace(seams.DATASET_MADE, self._watch_dataset)
        patches.replace(
            seams.ITERATOR_MADE, lambda original: clock.watch(original, "build", self._note_made)
        )
        patches.replace(seams.ITERATOR_NEXT, self._watch_next)
        patches.add(seams.ITERATOR_END, clock.watch(seams.end_iterator, "input", self._note_ended))

    def _watch_dataset(self, original: Any) -> Any:
        @functools.wraps(original)
        def init(dataset: Any, *args: Any, **kwargs: Any) -> None:
            try:
                original(dataset, *args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise
            place = self._clock.sites.place()
            keras = self._clock.threads[get_ident()].context.nearest(KERAS)
            # What a method of Keras puts around its arrays is none of the user's stages.
            if keras is None or keras.place != place:
                self._made_at[dataset] = place

        return self._clock.disguise(init)

    def _note_made(self, call: Call) -> None:
        dataset = call.args[1] if len(call.args) > 1 else call.kwargs.get("dataset")
        if dataset is None:
            return
        row = self._rows.row(*call.place)
        row.iterators += 1
        row.make_ns += call.inclusive
        row.keras = row.keras or call.thread.context.within(KERAS)
        if row.first is not None:
            row.epochs += row.first() is dataset
            return
        row.first = weakref.ref(dataset)
        row.epochs = 1
        # Looking at a stage's settings makes arrays of tensors.
        call.thread.muted = True
        try:
            row.stages = self.stages(dataset)
            if not call.thread.tracing:
                self._keep(call.place, DatasetMade(dataset, row.stages))
        finally:
            call.thread.muted = False

    def _note_ended(self, call: Call) -> None:
        if call.thread.main:
            self._rows.row(*call.place).end_ns += call.inclusive

    def _keep(self, place: Place, made: DatasetMade) -> None:
        """Keep a line's first dataset for the experiments; one with much data as long as others do.

        One is enough: a line that iterates over several is spoken of by its first.
        """
        samples = self._clock.samples
        if not samples.wants(DatasetMade, place, 1):
            return
        held = pipelines.held(made.dataset)
        size = sum(stage.nbytes for stage in held if id(stage.dataset) not in self._held)
        if size > LARGE:
            samples.keep(place, DatasetMade(weakref.ref(made.dataset), made.stages), 0)
            return
        samples.keep(place, made, size)
        self._held.update(id(stage.dataset) for stage in held)

    def stages(self, dataset: Any) -> tuple[Stage, ...]:
        """The stages of a pipeline, the last first; of several inputs the first is followed."""
        found: list[Stage] = []
        for stage in pipelines.chain(dataset):
            place = self._made_at.get(stage.dataset)
            site = None if place is None else self._clock.sites.site(place)
            size = stage.settings.get("batch_size")
            found.append(Stage(stage.kind, site, size, pipelines.work_of(stage)))
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
            cpu = process_time_ns() if thread.main else 0
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
                    if row.of == id(iterator):
                        recorded = thread.recorder - row.recorder
                        row.work_ns += max(start - row.ended - recorded, 0)
                        row.work_cpu_ns += max(cpu - row.cpu - recorded, 0)
                    row.of = id(iterator) if taken else 0
                    row.cpu = process_time_ns()
                ended = now()
                clock.own_cost(thread, ended - start - spent)
                row.ended, row.recorder = ended, thread.recorder

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
            line.end_ns += row.end_ns
            line.work_ns += row.work_ns
            line.work_cpu_ns += row.work_cpu_ns
            if line.first is None:
                line.stages, line.first = row.stages, row.first
            if line.first is not None and line.first == row.first:
                line.epochs += row.epochs
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
                epochs=line.epochs,
                end_seconds=line.end_ns / SECOND,
                work_seconds=line.work_ns / SECOND,
                work_cpu_seconds=line.work_cpu_ns / SECOND,
            )
            for site, line in lines.items()
        ]
