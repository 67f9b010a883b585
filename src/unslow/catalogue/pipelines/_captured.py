"""Pipelines that the run has kept: read again as they are, or rebuilt in another way."""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from unslow import seams
from unslow.catalogue.pipelines._steps import Step
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Site, same_line
from unslow.recording import pipelines
from unslow.recording.data import Stage
from unslow.recording.samples import DatasetMade, Samples

SECONDS = 0.15
"""How long the present way is read for; the other ways then read as many elements."""

LONGER = 0.3
"""The same, where a buffer has to be filled first."""

ENOUGH = 8
PATIENCE = 4
"""Where that is fewer elements, it is read for so many times as long: stages side by side
need some to get going."""

MOST_BYTES = 64 * 2**20
"""Bytes of elements that a run keeps to be compared; it reads on without keeping them."""

FIXED_SEED = 1

HASHES = 200
"""Rounds of hashing that take some tenths of a millisecond."""

GONE = Untried(
    "The pipeline is gone: nothing of it was kept, as it holds much data, or it was not "
    "iterated from Python."
)


class CannotRebuild(Exception):
    """There is a stage in the way that cannot be made anew. The message names it."""


class NoElements(Exception):
    """A pipeline that the program had read gives nothing any more."""


@dataclass(frozen=True)
class Captured:
    """A pipeline that is still alive: its stages, the last first, and what the run told of them."""

    dataset: Any
    stages: tuple[seams.PipelineStage, ...]
    told: tuple[Stage, ...]

    def index(self, site: Site, kinds: Iterable[str]) -> int | None:
        """The stage of one of `kinds` that was made at a line; the last one there."""
        for index, (stage, told) in enumerate(zip(self.stages, self.told, strict=True)):
            if stage.kind in kinds and told.site is not None and same_line(told.site, site):
                return index
        return None

    def functions(self) -> tuple[Callable[..., Any], ...]:
        """The user's own functions in it, generators included."""
        found: list[Callable[..., Any]] = []
        waiting = [self.dataset]
        while waiting:
            stage = seams.pipeline_stage(waiting.pop())
            waiting += stage.inputs
            generator = seams.pipeline_generator(stage.function)
            function = generator[0] if generator is not None else stage.function
            if function is not None:
                found.append(function)
        return tuple(found)

    def shuffles(self) -> bool:
        """Whether its elements come in an order drawn by chance."""
        return any(stage.kind.startswith("Shuffle") for stage in self.stages)

    def rebuilt(self, change: int, make: Callable[[Any], Any], upto: int | None = None) -> Any:
        """The dataset with `make` of what stage `upto` reads in place of stages `change` to `upto`.

        What is below is used as it is, except that the order of a shuffle is fixed.

        Raises:
            CannotRebuild: a stage above cannot be made anew.
        """
        upto = change if upto is None else upto
        below = self._fixed_from(upto + 1)
        return self.above(change, make(below))

    def fixed(self) -> Any:
        """The dataset as it is, except that the order of a shuffle is fixed.

        Raises:
            CannotRebuild: a stage above a shuffle cannot be made anew.
        """
        return self._fixed_from(0)

    def _fixed_from(self, start: int) -> Any:
        shuffled = [
            index
            for index, stage in enumerate(self.stages)
            if index >= start and stage.kind.startswith("Shuffle")
        ]
        if not shuffled:
            return self.stages[start].dataset
        made = self.stages[shuffled[-1] + 1].dataset
        for index in range(shuffled[-1], start - 1, -1):
            made = again(self.stages[index], made)
        return _with_options(made, self.stages[start].dataset)

    def above(self, change: int, made: Any) -> Any:
        """The dataset with `made` in place of stage `change` and all below it.

        Raises:
            CannotRebuild: a stage above cannot be made anew.
        """
        for index in range(change - 1, -1, -1):
            made = again(self.stages[index], made)
        return _with_options(made, self.dataset)


def again(stage: seams.PipelineStage, below: Any) -> Any:
    """A stage made anew over another dataset.

    Raises:
        CannotRebuild: it is of a kind that cannot be.
    """
    get = stage.settings.get
    kind = stage.kind
    if kind in ("Options", "Model"):
        return below
    try:
        if kind == "Map":
            return below.map(stage.function)
        if kind == "ParallelMap":
            return below.map(
                stage.function, num_parallel_calls=get("num_parallel_calls"), **_order(stage)
            )
        if kind == "Batch":
            return below.batch(stage.settings["batch_size"], stage.settings["drop_remainder"])
        if kind == "ParallelBatch":
            return below.batch(
                stage.settings["batch_size"],
                stage.settings["drop_remainder"],
                num_parallel_calls=get("num_parallel_calls"),
                **_order(stage),
            )
        if kind == "Filter":
            return below.filter(stage.function)
        if kind == "Prefetch":
            return below.prefetch(stage.settings["buffer_size"])
        if kind == "Shuffle":
            return below.shuffle(
                stage.settings["buffer_size"], seed=FIXED_SEED, reshuffle_each_iteration=False
            )
        if kind in ("Repeat", "Take", "Skip"):
            return getattr(below, kind.lower())(stage.settings["count"])
        if kind == "Zip":
            return below.zip(_with_first(seams.zipped_datasets(stage.dataset), below))
        if kind == "Shard":
            return below.shard(stage.settings["num_shards"], stage.settings["index"])
    except KeyError as error:
        raise CannotRebuild(f"the {error.args[0]} of its stage {kind} is not known") from error
    raise CannotRebuild(f"its stage {kind} cannot be made anew")


def _with_first(datasets: Any, first: Any) -> Any:
    """A structure of datasets with another one in the first place."""
    import tensorflow as tf

    return tf.nest.pack_sequence_as(datasets, [first, *tf.nest.flatten(datasets)[1:]])


def can_be_made_again(stages: Iterable[seams.PipelineStage]) -> str:
    """Why one of these stages cannot be made anew, "" where all can. Runs nothing."""

    class Nothing:
        def __getattr__(self, name: str) -> Callable[..., Nothing]:
            return lambda *args, **kwargs: self

    try:
        for stage in stages:
            again(stage, Nothing())
    except CannotRebuild as error:
        return str(error)
    return ""


def _order(stage: seams.PipelineStage) -> dict[str, bool]:
    wanted = stage.settings.get("deterministic", "default")
    return {} if wanted == "default" else {"deterministic": wanted == "true"}


def _with_options(made: Any, like: Any) -> Any:
    return made.with_options(like.options())


def captured_at(site: Site, samples: Samples) -> Captured | None:
    """The pipeline that was iterated at a line."""
    return _first(samples.at(DatasetMade, site))


def captured_with(site: Site, kinds: Iterable[str], samples: Samples) -> Captured | None:
    """A pipeline that was iterated and has a stage of one of `kinds` made at a line."""
    wanted = frozenset(kinds)
    made = [
        each
        for each in samples.every(DatasetMade)
        if any(
            stage.kind in wanted and stage.site is not None and same_line(stage.site, site)
            for stage in each.stages
        )
    ]
    return _first(made)


def _first(made: Iterable[DatasetMade]) -> Captured | None:
    for each in made:
        dataset = each.dataset() if isinstance(each.dataset, weakref.ref) else each.dataset
        stages = () if dataset is None else pipelines.chain(dataset)
        if stages and len(stages) == len(each.stages):
            return Captured(dataset, stages, each.stages)
    return None


@dataclass
class Reading:
    """How many elements each way reads: as many as the first run did in `seconds`.

    `used` is called with each element, as the program would work on it. `making`: the time of
    a reading holds the making of its iterator.
    """

    seconds: float = SECONDS
    used: Callable[[Any], None] | None = None
    making: bool = False
    count: int | None = None


class _Reader:
    """Reads the dataset that `make` makes, once and when it is first needed.

    An iterator is made before each reading, and only where the finding speaks of that too within
    its time.
    """

    def __init__(self, reading: Reading, make: Callable[[], Any]) -> None:
        self._reading = reading
        self._make = make
        self._dataset: Any = None
        self._taken: Any = None
        self._elements: Iterator[Any] = iter(())

    def begin(self) -> None:
        if self._dataset is None:
            self._dataset = self._make()
        count = self._reading.count
        if count is not None and self._taken is None:
            self._taken = self._dataset.take(count)
        self._elements = iter(())
        if not self._reading.making:
            self._make_iterator()

    def _make_iterator(self) -> None:
        self._elements = iter(self._dataset if self._taken is None else self._taken)

    def read(self) -> list[Any]:
        reading = self._reading
        if reading.making:
            self._make_iterator()
        keep = _Keeper()
        count = 0
        started = 0.0
        for element in self._elements:
            keep(element)
            count += 1
            if count == 1:
                # The first may have waited for buffers to be filled, and says little.
                started = time.perf_counter()
            if reading.used is not None:
                reading.used(element)
            if reading.count is None and count > 1:
                spent = time.perf_counter() - started
                least = reading.seconds if count >= ENOUGH else PATIENCE * reading.seconds
                if spent >= least:
                    break
        if not count:
            raise NoElements("the pipeline gave no element; what it reads from may be used up")
        if reading.count is None:
            reading.count = count
        return keep.elements


class _Keeper:
    """Keeps the first elements, up to a bound of bytes."""

    def __init__(self) -> None:
        self.elements: list[Any] = []
        self._each = 0
        self._bytes = 0

    def __call__(self, element: Any) -> None:
        if self._bytes > MOST_BYTES:
            return
        if not self._each:
            self._each = max(1, element_bytes(element))
        self._bytes += self._each
        self.elements.append(element)


def element_bytes(element: Any) -> int:
    """Bytes of the tensors of an element; a string counts as one."""
    import tensorflow as tf

    tensors = tf.nest.flatten(element, expand_composites=True)
    return sum(tensor.shape.num_elements() * max(tensor.dtype.size, 1) for tensor in tensors)


def trial(
    captured: Captured,
    ways: Iterable[tuple[Way, Callable[[], Any]]],
    share: float = 1.0,
    used: Callable[[Any], None] | None = None,
    exhaustive: bool = True,
    step: Step | None = None,
    making: bool = False,
) -> Trial:
    """The captured pipeline against others, each a way without its `run` and what makes it.

    All read as many elements as the present one gives in a moment. `used` is called with
    each of them, or `step`, if that can be done again. `making`: the time of each is also that
    of making its iterator.
    """
    ways = list(ways)
    reading = Reading(
        SECONDS if used is None and not captured.shuffles() else LONGER,
        used if step is None else step,
        making,
    )
    tried = Trial(
        present=_reading_way(Way("as it is", unset), reading, captured.fixed),
        ways=tuple(_reading_way(way, reading, make) for way, make in ways),
        inputs="the pipeline's first elements",
        share=share,
        functions=captured.functions(),
        exhaustive=exhaustive,
        subject=None if used is not None else (captured.dataset, making),
    )
    if step is None:
        return tried
    return replace(
        tried,
        inputs=f"{tried.inputs}, {step.told}",
        functions=(*tried.functions, *step.functions),
        state=True,
        beside=step.beside(lambda: reading.count or 0),
        instead=trial(captured, ways, share, used, exhaustive, making=making),
    )


def _reading_way(way: Way, reading: Reading, make: Callable[[], Any]) -> Way:
    reader = _Reader(reading, make)
    return replace(way, run=reader.read, before=reader.begin, results=together)


def together(elements: list[Any]) -> list[Any]:
    """The same parts of all elements as one array for each of their shapes.

    Random elements can be judged by many numbers at once, not by one or two of them.
    """
    import numpy as np
    import tensorflow as tf

    parts: dict[Any, list[Any]] = {}
    others = []
    for element in elements:
        for place, part in enumerate(tf.nest.flatten(element)):
            if isinstance(part, tf.Tensor):
                parts.setdefault((place, part.dtype.name, tuple(part.shape)), []).append(part)
            else:
                others.append(part)
    arrays = [np.stack([part.numpy() for part in same]) for same in parts.values()]
    structure = [tf.nest.map_structure(lambda part: 0, element) for element in elements[:1]]
    return [len(elements), structure, arrays, others]


def unset() -> None:
    """Stands for a way's `run` until it is known what makes its dataset."""
    raise AssertionError("a way's run is set by what makes its dataset")


def work(busy: float, idle: float) -> None:
    """Use one core for some seconds, without the interpreter lock, and wait for some more."""
    end = time.perf_counter() + busy
    while time.perf_counter() < end:
        hashlib.pbkdf2_hmac("sha256", b"work", b"work", HASHES)
    time.sleep(max(idle, 0.0))


def one_way(
    captured: Captured | None,
    make: Callable[[Captured], tuple[Way, Callable[[], Any]] | None],
    exhaustive: bool = True,
    step: Step | None = None,
    making: bool = False,
) -> Iterator[Trial | Untried]:
    """The trial of one other way, or why there is none."""
    if captured is None:
        yield GONE
        return
    way = make(captured)
    if way is None:
        # Its source stays as it is, whatever is built on it.
        made = [stage for stage in captured.stages if stage.inputs and stage.kind != "FlatMap"]
        why = can_be_made_again(made) or "none is known that fits it"
        yield Untried(f"The pipeline cannot be built in another way: {why}.")
        return
    yield trial(captured, [way], exhaustive=exhaustive, step=step, making=making)
