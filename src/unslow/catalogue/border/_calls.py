"""Calls of a Python function that a graph made, made again: one by one, in batches, otherwise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from unslow.catalogue.border import _draws
from unslow.catalogue.border.rewrites import Rewrite
from unslow.catalogue.trial import Unfit, Way
from unslow.recording.arrays import copy_of
from unslow.recording.samples import BridgeCall

COLOURS = (1, 3, 4)
"""Lengths of an image's last dimension."""

COMPILED_FACTOR, COMPILED_SECONDS = 1.5, 0.003
"""A run so many times as long as one like it, and so many seconds more, has compiled something."""

COMPARED_RUNS, MOST_COMPARED = 3, 9
"""Runs that are compared, and where they say that something was compiled, to be sure."""

PRESENT = "a call for each element"
ALONE = "the function alone, without the bridge"
BATCHED = "batched in the bridge"

BATCHED_NOTE = "Elements are put into batches before the call; all of a batch must be alike."

Columns = tuple[Any, ...]
"""The arguments of a function, each for one element or stacked for all."""


class Bridged:
    """Calls of one Python function with alike arguments, made again with fresh copies of these.

    `times`: how often each call is made, so that a batch is as large as batches are. `batch`:
    the elements of a batch, of which there are several then. `epochs`: how often the program
    began to run through its pipeline.
    """

    def __init__(
        self,
        calls: Sequence[BridgeCall],
        times: int = 1,
        batch: int | None = None,
        epochs: int = 1,
    ) -> None:
        self.calls = tuple(calls)
        self._calls = self.calls * times
        self.batch = batch or len(self._calls)
        self._epochs = epochs
        self._kind = calls[0].kind
        self._outputs = calls[0].outputs
        self._single = calls[0].single
        self.function = calls[0].function

    @property
    def inputs(self) -> str:
        """What the function was given, in words."""
        shape = tuple(getattr(self._calls[0].arguments[0], "shape", ()))
        images = len(shape) == 3 and shape[-1] in COLOURS
        return f"{len(self.calls)} of your {'images' if images else 'calls'}"

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
        self,
        name: str,
        make: Callable[[], Callable[..., Columns]],
        threads: int,
        note: str,
        kept: bool = False,
    ) -> Way:
        """What `make` gives, called for each element in a stage with `threads` calls at once."""

        def stage(rows: Any) -> Any:
            return _each_in_batches(rows, make(), self.batch, threads)

        return self._pipeline(name, stage, note, kept)

    def batched(self) -> Way:
        """The function called for each element, inside one call for the batch."""
        inner = self._each_tensor if self._kind == "py_function" else self._each_array
        return self._of_batch(BATCHED, self._bridge(inner), BATCHED_NOTE)

    def rewritten(self, rewrite: Rewrite, threads: int = 1) -> Way:
        """A function that takes the whole batch, or one that takes each element."""
        name, note = rewrite.name, rewrite.note
        call = self._called(rewrite)
        if rewrite.each:
            way = self._for_each(name, lambda: call, threads, note, not rewrite.in_python)
        else:
            way = self._of_batch(name, call, note, not rewrite.in_python)
        once = way.once
        if once is not None:
            way = replace(way, once=lambda: once() + rewrite.seconds)
        return self._checked(way, rewrite, threads)

    def _checked(self, way: Way, rewrite: Rewrite, threads: int) -> Way:
        """The way, which raises what speaks against it before its first and its second run."""
        runs = 0

        def before() -> None:
            nonlocal runs
            runs += 1
            if runs == 1:
                self._check(rewrite)
            if runs == 2 and rewrite.compiled:
                self._check_compiled(rewrite, threads)
            if way.before is not None:
                way.before()

        return replace(way, before=before, prepares=not rewrite.in_python)

    def _check(self, rewrite: Rewrite) -> None:
        if rewrite.check is not None:
            rewrite.check(self._rows()[0], len(self._calls))
        if rewrite.in_python:
            # What it raises now is the user's own error and not a graph's.
            rewrite.function(*(self._rows()[0] if rewrite.each else self._stacked()))

    def _check_compiled(self, rewrite: Rewrite, threads: int) -> None:
        """Raise that XLA compiles anew for other values, where it has compiled for these."""
        usual, new = math.inf, math.inf
        others = list[BridgeCall]()
        for _ in range(MOST_COMPARED // COMPARED_RUNS):
            batches = self._compared(others, rewrite, threads)
            for _ in range(COMPARED_RUNS):
                # The shortest of each: whatever else the machine does only makes them longer.
                usual, new = min(usual, _seconds_of(batches)), min(new, _seconds_of(batches))
            if new <= COMPILED_FACTOR * usual + COMPILED_SECONDS:
                return
        raise Unfit("XLA would compile it anew for each value of its arguments")

    def _compared(self, others: list[BridgeCall], rewrite: Rewrite, threads: int) -> Iterator[Any]:
        """Batches of one call, by turns with such of calls with values that were not there yet.

        `others` are those that were, and grow.
        """
        import tensorflow as tf

        count, usual = self.batch, self.calls[0]
        calls = list[BridgeCall]()
        for _ in range(COMPARED_RUNS):
            seen = zip(*(call.arguments for call in (*others, *self.calls)), strict=True)
            changed = tuple(_draws.changed(values[-1], values) for values in seen)
            others.append(replace(usual, arguments=changed))
            calls += [usual] * count + [others[-1]] * count
        rows = tf.data.Dataset.from_tensor_slices(Bridged(calls)._stacked())
        call = self._called(rewrite)
        if not rewrite.each:
            return iter(rows.batch(count).map(call))
        return iter(_each_in_batches(rows, call, count, threads))

    def rewritten_in_graph(self, rewrite: Rewrite) -> Way:
        """A function that takes each element, called as `in_graph` calls the present one."""
        way = self.in_graph(rewrite.name, self._called(rewrite), rewrite.note)
        return self._checked(way, rewrite, 1)

    def _called(self, rewrite: Rewrite) -> Callable[..., Columns]:
        if rewrite.in_python:
            return self._bridge(rewrite.function)
        return _plain(lambda *columns: _listed(rewrite.function(*columns)))

    def in_graph(
        self, name: str = PRESENT, call: Callable[..., Columns] | None = None, note: str = ""
    ) -> Way:
        """A call for each element, one after the other in a compiled function."""
        import tensorflow as tf

        given: list[list[Any]] = []
        called = call or self._bridge(self.function)
        compiled = tf.function(lambda rows: [called(*row) for row in rows], autograph=False)

        def before() -> None:
            given[:] = [[tf.convert_to_tensor(each) for each in row] for row in self._rows()]
            # The program has traced it as well.
            compiled.get_concrete_function(given)

        return Way(name, lambda: compiled(given), before, self._columns, note=note)

    def alone(self) -> Way:
        """The function called from Python: what would be left without a bridge."""
        given: list[Columns] = []

        def before() -> None:
            given[:] = self._rows()

        def run() -> list[Any]:
            return [self.function(*row) for row in given]

        return Way(ALONE, run, before, self._columns, yardstick=True)

    def _of_batch(
        self, name: str, call: Callable[..., Columns], note: str, kept: bool = False
    ) -> Way:
        return self._pipeline(name, lambda rows: rows.batch(self.batch).map(call), note, kept)

    def _pipeline(
        self, name: str, stage: Callable[[Any], Any], note: str, kept: bool = False
    ) -> Way:
        """The batches of a pipeline over the arguments, one as a rule.

        `kept`: the pipeline is made once, as nothing in it changes the arguments. It is of
        TensorFlow's ops then, which are prepared anew each time it is begun.
        """
        import numpy as np
        import tensorflow as tf

        made: list[Any] = []
        iterators: list[Any] = []
        beginning = math.inf

        def before() -> None:
            nonlocal beginning
            # Python may write into the elements, which need not be copies of the arrays.
            if not (made and kept):
                rows = tf.data.Dataset.from_tensor_slices(self._stacked())
                made[:] = [stage(rows)]
            began = time.perf_counter()
            iterators[:] = [iter(made[0])]
            beginning = min(beginning, time.perf_counter() - began)

        def once() -> float:
            return beginning * self._epochs

        def run() -> list[Columns]:
            return [next(iterators[0]) for _ in range(0, len(self._calls), self.batch)]

        def results(returned: list[Columns]) -> list[Any]:
            columns = zip(*returned, strict=True)
            return [np.concatenate([each.numpy() for each in column]) for column in columns]

        return Way(name, run, before, results, note=note, once=once if kept else None)

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


def _each_in_batches(rows: Any, call: Callable[..., Columns], batch: int, threads: int) -> Any:
    """A pipeline of a call for each row, `threads` at once, and batches of the results."""
    parallel = threads if threads > 1 else None
    return rows.map(call, num_parallel_calls=parallel).batch(batch)


def _seconds_of(batches: Iterator[Any]) -> float:
    """Seconds that the next batch takes."""
    began = time.perf_counter()
    next(batches)
    return time.perf_counter() - began


def _plain(function: Callable[..., Columns]) -> Callable[..., Columns]:
    """The function as it is for graphs as well: no Python of it becomes ops."""
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)  # type: ignore[no-any-return]


def _listed(results: Any) -> Columns:
    return tuple(results) if isinstance(results, (list, tuple)) else (results,)
