"""Cheap functions that a run mapped over single rows before it put them into batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unslow.catalogue.page import cost_of, matters
from unslow.catalogue.pipelines import _steps, _waits
from unslow.finding import Claim, Cost, Site, line_key
from unslow.recording.data import Recording, Stage

BATCHES = ("Batch", "ParallelBatch")

MAPS = ("Map", "ParallelMap")

BETWEEN = ("Shuffle", "Prefetch", "Options", "Repeat")
"""Stages that do the same to rows before and after a map."""

CHEAP = frozenset(
    {
        *("TensorSlice", "Range", "Shuffle", "Repeat", "Take", "Skip", "Shard", "Prefetch"),
        *("Options", "Cache"),
    }
)
"""Stages that take about a microsecond a row."""

READERS = frozenset({"TFRecord", "TFRecordDataset"})

LEAST_ROWS = 1_000

MOST_SECONDS = 200e-6
"""Waited for a row. Where it is more, the call of the function is not what takes the time."""


@dataclass(frozen=True)
class RowMap:
    """A map over single rows, and what the main thread waited for its pipeline.

    `step`: what is told of the step that a loop does with each batch.
    """

    site: Site
    rows: int
    batch_size: int
    claims: tuple[Claim, ...]
    step: Mapping[str, Any]

    @property
    def seconds_per_row(self) -> float:
        return self.cost.seconds / self.rows

    @property
    def cost(self) -> Cost:
        return cost_of(self.claims, calls=self.rows)

    @property
    def evidence(self) -> dict[str, Any]:
        return {
            "calls": self.rows,
            "seconds": self.cost.seconds,
            "seconds_per_row": self.seconds_per_row,
            "batch_size": self.batch_size,
            **self.step,
        }


def row_maps(recording: Recording, work: str) -> Iterator[RowMap]:
    """Costly maps over rows from memory, or files where they parse, whose function does `work`."""
    found: dict[tuple[str, int | None, int], RowMap] = {}
    for wait in _waits.waits(recording):
        stages = wait.stages
        batch = next((i for i, stage in enumerate(stages) if stage.kind in BATCHES), None)
        size = None if batch is None else stages[batch].batch_size
        if batch is None or size is None or size < 2 or wait.elements <= 2:
            continue
        below = maps_below(stages, batch, work)
        sources = CHEAP | READERS if work == "parses" else CHEAP
        if not below or any(s.kind not in sources for s in stages[below[-1] + 1 :]):
            continue
        if any(stage.kind not in (*BETWEEN, "Take") for stage in stages[:batch]):
            continue
        site = next(stages[i].site for i in below if stages[i].kind in MAPS)
        rows = wait.elements * size
        if site is None or rows < LEAST_ROWS or wait.seconds > MOST_SECONDS * rows:
            continue
        claims = wait.claims()
        step = _steps.evidence(recording, wait)
        before = found.get(line_key(site))
        if before is not None:
            rows, claims = rows + before.rows, (*before.claims, *claims)
            step = dict(before.step) or step
        found[line_key(site)] = RowMap(site.at_line, rows, size, claims, step)
    yield from (each for each in found.values() if matters(recording, each.cost.seconds))


def maps_below(stages: Sequence[Stage], batch: int, work: str) -> list[int]:
    """The stages right before a batch, up to the first map, whose functions take batches too.

    The stages between are among them. Empty where the maps do anything else, or where none
    is of the kind `work`.
    """
    found: list[int] = []
    known = []
    for index in range(batch + 1, len(stages)):
        stage = stages[index]
        if stage.kind in MAPS and stage.work in ("alike", "parses"):
            known.append(stage.work)
            found = list(range(batch + 1, index + 1))
            if stage.work == "parses":
                break
        elif stage.kind not in BETWEEN:
            break
    wanted = "parses" if "parses" in known else "alike"
    return found if known and wanted == work else []
