"""Other ways to build a captured pipeline, each with what makes it; nothing is built yet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from unslow import seams
from unslow.catalogue.pipelines._captured import (
    Captured,
    again,
    can_be_made_again,
    element_bytes,
    unset,
)
from unslow.catalogue.pipelines._rows import BATCHES, MAPS, maps_below
from unslow.catalogue.trial import Way
from unslow.recording.data import Stage

Option = tuple[Way, Callable[[], Any]]
"""A way without its `run`, and what makes its dataset."""

MOST_CACHED = 256 * 2**20
"""Bytes of elements that the experiment with a cache may hold."""

_SAME_EVERY_TIME = frozenset(
    {
        *("Batch", "ParallelBatch", "PaddedBatch", "Prefetch", "Options", "Take", "Skip", "Shard"),
        *("TensorSlice", "Tensor", "Range", "TFRecord", "ParallelInterleave", "TextLine"),
        *(
            "FixedLengthRecord",
            "TFRecordDataset",
            "TextLineDataset",
            "Concatenate",
            "Zip",
            "Map",
            "ParallelMap",
            "Filter",
            "Unbatch",
        ),
    }
)


def every(captured: Captured) -> Iterator[Option]:
    """All ways that fit the pipeline, but to keep its elements."""
    for make in (batch_then_map, parse_batches, yield_batches, parallel_calls):
        found = make(captured)
        if found is not None:
            yield found


def batch_then_map(captured: Captured, batch: int | None = None) -> Option | None:
    """Batches first, where a map of what treats all rows alike comes right before them."""
    return _batch_first(captured, batch, "alike", "batch, then map", again)


def parse_batches(captured: Captured, batch: int | None = None) -> Option | None:
    """Batches of serialised examples first, and then one parser for each batch."""
    return _batch_first(captured, batch, "parses", "parse batches", _parsing)


def _batch_first(
    captured: Captured,
    batch: int | None,
    work: str,
    name: str,
    mapped: Callable[[seams.PipelineStage, Any], Any],
) -> Option | None:
    if batch is None:
        kinds = [stage.kind for stage in captured.stages]
        batch = next((index for index, kind in enumerate(kinds) if kind in BATCHES), None)
    if batch is None:
        return None
    below = maps_below(captured.told, batch, work)
    if not below or can_be_made_again(captured.stages[: below[-1] + 1]):
        return None
    stages = [captured.stages[index] for index in below]

    def make(rows: Any) -> Any:
        between = [stage for stage in stages if stage.kind not in MAPS]
        maps = [stage for stage in stages if stage.kind in MAPS]
        for stage in (*reversed(between), captured.stages[batch]):
            rows = again(stage, rows)
        for stage in reversed(maps):
            rows = mapped(stage, rows)
        return rows

    way = Way(name, unset, note="the function must treat all rows alike")
    return way, lambda: captured.rebuilt(batch, make, below[-1])


def _parsing(stage: seams.PipelineStage, batches: Any) -> Any:
    """A map over batches of a function that calls `parse_single_example`."""
    import tensorflow as tf

    single, io = tf.io.parse_single_example, tf.io
    io.parse_single_example = tf.io.parse_example
    try:
        return again(stage, batches)
    finally:
        io.parse_single_example = single


def parallel_calls(captured: Captured, stage: int | None = None) -> Option | None:
    """`num_parallel_calls` for a map with state, which TensorFlow leaves on one core."""
    if stage is None:
        works = [told.work for told in captured.told]
        stage = next(
            (
                i
                for i, s in enumerate(captured.stages)
                if s.kind == "Map" and works[i] == "stateful"
            ),
            None,
        )
    if stage is None or can_be_made_again(captured.stages[: stage + 1]):
        return None
    function = captured.stages[stage].function

    def make(rows: Any) -> Any:
        import tensorflow as tf

        return rows.map(function, num_parallel_calls=tf.data.AUTOTUNE)

    note = "with a seed set, which element meets which random number depends on timing"
    way = Way("parallel calls", unset, note=note)
    return way, lambda: captured.rebuilt(stage, make)


def yield_batches(captured: Captured) -> Option | None:
    """A generator that gives rows, around which another puts them together."""
    import tensorflow as tf

    at = [seams.pipeline_generator(stage.function) for stage in captured.stages]
    source = next((index for index, found in enumerate(at) if found is not None), None)
    if source is None or captured.stages[source].kind != "FlatMap":
        return None
    batch = next((i for i in range(source) if captured.stages[i].kind in BATCHES), None)
    if batch is None or can_be_made_again(captured.stages[:source]):
        return None
    spec = captured.stages[source].dataset.element_spec
    leaves = tf.nest.flatten(spec)
    if not all(isinstance(leaf, tf.TensorSpec) for leaf in leaves):
        return None
    settings = captured.stages[batch].settings
    if "batch_size" not in settings or not settings["batch_size"] > 1:
        return None
    size = settings["batch_size"]
    found = at[source]
    assert found is not None
    generator, arguments = found

    def batches(*args: Any) -> Iterator[Any]:
        rows = iter(generator(*args))
        while chunk := list(itertools.islice(rows, size)):
            yield _stacked(spec, chunk)

    wider = tf.nest.map_structure(
        lambda leaf: (
            tf.TensorSpec((None, *leaf.shape), leaf.dtype)
            if leaf.shape.rank is not None
            else tf.TensorSpec(None, leaf.dtype)
        ),
        spec,
    )

    def whole() -> Any:
        return tf.data.Dataset.from_generator(
            batches, output_signature=wider, args=arguments or None
        )

    direct = all(
        captured.stages[index].kind in ("Options", "Prefetch") for index in range(batch + 1, source)
    )

    def make() -> Any:
        if not direct:
            return captured.rebuilt(source, lambda _: whole().unbatch(), source)
        if settings["drop_remainder"]:
            return captured.rebuilt(
                batch, lambda _: whole().unbatch().batch(size, drop_remainder=True), source
            )
        return captured.rebuilt(batch, lambda _: whole(), source)

    note = "the generator must give the rows of a batch together"
    return Way("yield batches", unset, note=note), make


def _stacked(spec: Any, rows: list[Any]) -> Any:
    """Rows of a generator as one batch, in the structure of `spec`."""
    import numpy as np

    if isinstance(spec, dict):
        return {key: _stacked(each, [row[key] for row in rows]) for key, each in spec.items()}
    if isinstance(spec, (tuple, list)):
        columns = [_stacked(each, [row[place] for row in rows]) for place, each in enumerate(spec)]
        return tuple(columns)
    return np.stack([np.asarray(row, dtype=spec.dtype.as_numpy_dtype) for row in rows])


def cache(captured: Captured) -> Option | None:
    """Elements kept after the first epoch, behind the last stage that gives the same each time.

    The cache is filled while the dataset is made: what is measured is the epochs after it.
    """
    stage = kept_after(captured.told)
    if stage is None or can_be_made_again(captured.stages[:stage]):
        return None
    note = "takes memory for all elements as long as the dataset lives"
    way = Way("cache", unset, note=note)
    return way, lambda: captured.above(stage, _filled(captured.stages[stage].dataset.cache()))


def kept_after(stages: Sequence[Stage]) -> int | None:
    """The stage after which a cache can stand that spares every epoch but the first its work.

    It surely gives the same elements in each epoch, and has a function that does more than
    treat all numbers alike below it. `None` where there is none, or there is a cache.
    """
    found = None
    works = False
    for index in range(len(stages) - 1, -1, -1):
        stage = stages[index]
        if stage.kind in ("Cache", "Snapshot"):
            return None
        if stage.kind not in _SAME_EVERY_TIME or stage.work in ("stateful", "python"):
            break
        if stage.kind in MAPS and stage.work:
            found = index
            works = works or stage.work == "plain"
    return found if works else None


def _filled(dataset: Any) -> Any:
    """The dataset, once gone through so that its cache is full.

    Raises:
        ValueError: it holds more than a trial may take.
    """
    nbytes = each = 0
    for element in dataset:
        each = each or element_bytes(element)
        nbytes += each
        if nbytes > MOST_CACHED:
            raise ValueError(f"its elements take more than {MOST_CACHED / 2**20:.0f} MB")
    return dataset
