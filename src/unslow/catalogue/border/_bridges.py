"""Experiments with Python functions that a graph calls: what the bridge to them costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from unslow.catalogue.border.rewrites import Rewrite, rewrites
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.recording.arrays import copy_of, size_of
from unslow.recording.bridge_samples import MOST_BYTES
from unslow.recording.samples import BridgeCall

SECONDS = 0.1
"""What one run of a trial may take; fewer calls are made of slow functions."""

LEAST_CALLS = 4

BATCH = 128
"""Elements of a batch that is put together of calls, at most."""

COLOURS = (1, 3, 4)
"""Lengths of an image's last dimension."""

PRESENT = "a call for each element"
ALONE = "the function alone, without the bridge"
BATCHED = "batched in the bridge"

BATCHED_NOTE = "Elements are put into batches before the call; all of a batch must be alike."

Columns = tuple[Any, ...]
"""The arguments of a function, each for one element or stacked for all."""


class Bridged:
    """Calls of one Python function with alike arguments, made again with fresh copies of these.

    `times`: how often each call is made, so that a batch is as large as batches are.
    """

    def __init__(self, calls: Sequence[BridgeCall], times: int = 1) -> None:
        self._calls = tuple(calls) * times
        self._different = len(calls)
        self._kind = calls[0].kind
        self._outputs = calls[0].outputs
        self._single = calls[0].single
        self.function = calls[0].function

    @property
    def inputs(self) -> str:
        """What the function was given, in words."""
        shape = tuple(getattr(self._calls[0].arguments[0], "shape", ()))
        images = len(shape) == 3 and shape[-1] in COLOURS
        return f"{self._different} of your {'images' if images else 'calls'}"

    def mapped(
        self,
        name: str = PRESENT,
        function: Callable[..., Any] | None = None,
        threads: int = 1,
        note: str = "",
        start: Callable[[], None] = lambda: None,
    ) -> Way:
        """A call for each element, in a pipeline's stage with `threads` calls at once.

        `function` is called in place of the user's own; `start` before the stage is made.
        """

        def make() -> Callable[..., Columns]:
            start()
            return self._bridge(function or self.function)

        return self._for_each(name, make, threads, note)

    def _for_each(
        self, name: str, make: Callable[[], Callable[..., Columns]], threads: int, note: str
    ) -> Way:
        """What `make` gives, called for each element in a stage with `threads` calls at once."""

        def stage(rows: Any) -> Any:
            parallel = threads if threads > 1 else None
            return rows.map(make(), num_parallel_calls=parallel).batch(len(self._calls))

        return self._pipeline(name, stage, note)

    def batched(self) -> Way:
        """The function called for each element, inside one call for the batch."""
        inner = self._each_tensor if self._kind == "py_function" else self._each_array
        return self._of_batch(BATCHED, self._bridge(inner), BATCHED_NOTE)

    def rewritten(self, rewrite: Rewrite, threads: int = 1) -> Way:
        """A function that takes the whole batch, or one that takes each element."""
        if not rewrite.in_python:
            call = _plain(lambda *columns: _listed(rewrite.function(*columns)))
            if rewrite.each:
                return self._for_each(rewrite.name, lambda: call, threads, rewrite.note)
            return self._of_batch(rewrite.name, call, rewrite.note)
        way = self._of_batch(rewrite.name, self._bridge(rewrite.function), rewrite.note)
        tried = False

        def before() -> None:
            nonlocal tried
            if not tried:
                # What it raises then is the user's own error and not a graph's.
                rewrite.function(*self._stacked())
                tried = True
            if way.before is not None:
                way.before()

        return replace(way, before=before)

    def in_graph(self) -> Way:
        """A call for each element, one after the other in a compiled function."""
        import tensorflow as tf

        given: list[list[Any]] = []
        call = self._bridge(self.function)
        compiled = tf.function(lambda rows: [call(*row) for row in rows], autograph=False)

        def before() -> None:
            given[:] = [[tf.convert_to_tensor(each) for each in row] for row in self._rows()]
            # The program has traced it as well.
            compiled.get_concrete_function(given)

        return Way(PRESENT, lambda: compiled(given), before, self._columns)

    def alone(self) -> Way:
        """The function called from Python: what would be left without a bridge."""
        given: list[Columns] = []

        def before() -> None:
            given[:] = self._rows()

        def run() -> list[Any]:
            return [self.function(*row) for row in given]

        return Way(ALONE, run, before, self._columns, yardstick=True)

    def _of_batch(self, name: str, call: Callable[..., Columns], note: str) -> Way:
        return self._pipeline(name, lambda rows: rows.batch(len(self._calls)).map(call), note)

    def _pipeline(self, name: str, stage: Callable[[Any], Any], note: str) -> Way:
        """The one element, a batch, of a pipeline over the arguments."""
        import tensorflow as tf

        iterators: list[Any] = []

        def before() -> None:
            rows = tf.data.Dataset.from_tensor_slices(self._stacked())
            iterators[:] = [iter(stage(rows))]

        def results(returned: Columns) -> list[Any]:
            return [each.numpy() for each in returned]

        return Way(name, lambda: next(iterators[0]), before, results, note=note)

    def _bridge(self, function: Callable[..., Any]) -> Callable[..., Columns]:
        """What calls a Python function from a graph, and returns all its results."""
        import tensorflow as tf

        bridge = tf.py_function if self._kind == "py_function" else tf.numpy_function
        types = [tf.as_dtype(dtype) for dtype, _ in self._outputs]

        def call(*given: Any) -> Columns:
            return _listed(bridge(function, given, types[0] if self._single else types))

        return _plain(call)

    def _rows(self) -> list[Columns]:
        """The arguments of each call: copies, as the function may write into them."""
        return [tuple(copy_of(each) for each in call.arguments) for call in self._calls]

    def _stacked(self) -> Columns:
        """The arguments of all calls, each in one copy."""
        import numpy as np
        import tensorflow as tf

        stack = tf.stack if self._kind == "py_function" else np.stack
        columns = zip(*(call.arguments for call in self._calls), strict=True)
        return tuple(stack(column) for column in columns)

    def _each_array(self, *columns: Any) -> Any:
        import numpy as np

        results = [_listed(self.function(*row)) for row in zip(*columns, strict=True)]
        stacked = [np.stack(column) for column in zip(*results, strict=True)]
        return stacked[0] if self._single else stacked

    def _each_tensor(self, *columns: Any) -> Any:
        import tensorflow as tf

        rows = zip(*(tf.unstack(column) for column in columns), strict=True)
        results = zip(*(_listed(self.function(*row)) for row in rows), strict=True)
        stacked = [
            tf.stack([tf.convert_to_tensor(each, tf.as_dtype(dtype)) for each in column])
            for column, (dtype, _) in zip(results, self._outputs, strict=True)
        ]
        return stacked[0] if self._single else stacked

    def _columns(self, returned: Any) -> list[Any]:
        """The results of single calls, stacked, as arrays of the type that graphs get."""
        import numpy as np
        import tensorflow as tf

        columns = zip(*(_listed(each) for each in returned), strict=True)
        types = [tf.as_dtype(dtype).as_numpy_dtype for dtype, _ in self._outputs]
        return [
            np.stack([np.asarray(each, dtype) for each in column])
            for column, dtype in zip(columns, types, strict=True)
        ]


def trials(
    calls: Sequence[BridgeCall], each: float, pipeline: bool, threads: int
) -> Iterator[Trial | Untried]:
    """What to try with the function of captured calls, which took `each` seconds.

    `pipeline`: the elements could be in batches. `threads`: how many calls were under way.
    """
    if not calls:
        yield Untried(
            "None of its calls was kept: they were too large, or Python did not see them."
        )
        return
    chosen = alike(calls, each)
    bridged = Bridged(chosen, times(chosen, each))
    if not chosen[0].arguments:
        yield Untried("The function is given nothing that could be put into a batch.")
        return
    ways = [bridged.alone()]
    if pipeline and len(chosen) > 1:
        ways.append(bridged.batched())
        ways += [bridged.rewritten(rewrite, threads) for rewrite in rewrites(chosen[0])]
    else:
        yield Untried("These calls make no batch; only TensorFlow's ops can take their place.")
    yield Trial(
        bridged.mapped(threads=threads) if pipeline else bridged.in_graph(),
        tuple(ways),
        bridged.inputs,
        functions=(bridged.function,),
        exhaustive=False,
    )


def alike(calls: Sequence[BridgeCall], each: float) -> list[BridgeCall]:
    """The most of the calls that could be a batch, as many as can be made in a short time."""
    groups: dict[Any, list[BridgeCall]] = {}
    for call in calls:
        shapes = tuple(
            (str(getattr(value, "dtype", type(value))), tuple(getattr(value, "shape", ())))
            for value in call.arguments
        )
        key = (call.kind, call.single, str(call.outputs), shapes)
        groups.setdefault(key, []).append(call)
    largest = max(groups.values(), key=len)
    most = int(SECONDS / each) if each else len(largest)
    return largest[: max(LEAST_CALLS, most)]


def times(calls: Sequence[BridgeCall], each: float) -> int:
    """How often to make each of these calls, to fill a batch in a short time."""
    size = sum(size_of(call.arguments) for call in calls)
    most = min(BATCH // len(calls), MOST_BYTES // max(1, size))
    return max(1, min(most, int(SECONDS / (len(calls) * each)) if each else most))


def _plain(function: Callable[..., Columns]) -> Callable[..., Columns]:
    """The function as it is for graphs as well: no Python of it becomes ops."""
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)  # type: ignore[no-any-return]


def _listed(results: Any) -> Columns:
    return tuple(results) if isinstance(results, (list, tuple)) else (results,)
