"""A pipeline whose Python functions have become TensorFlow's ops, where they can."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from unslow import seams
from unslow.catalogue.border.rewrites import native_ops
from unslow.catalogue.pipelines._captured import (
    CannotRebuild,
    Captured,
    again,
    can_be_made_again,
    unset,
)
from unslow.catalogue.pipelines._rows import BATCHES, MAPS
from unslow.catalogue.pipelines._ways import Option
from unslow.catalogue.trial import Draws, Unfit, Way
from unslow.recording import pipelines

NOTE = f"{native_ops.NOTE} Random numbers that it draws are others, of the same distribution."

ROWS = 64
"""Rows that are compared where the ops draw random numbers."""


def ways(captured: Captured) -> Iterator[Option]:
    """The pipeline with its maps made anew that call `tf.numpy_function`, with XLA and without."""
    works = [told.work for told in captured.told]
    places = [
        place
        for place, stage in enumerate(captured.stages)
        if stage.kind in MAPS and works[place] == "python"
    ]
    if not places or can_be_made_again(captured.stages[: places[-1] + 1]):
        return
    for name, compiled in ((native_ops.COMPILED, True), (native_ops.NAME, False)):
        pipeline = _Translated(captured, tuple(places), compiled)
        yield Way(name, unset, note=NOTE, draws=pipeline.draws), pipeline.made


@dataclass
class _Translated:
    """A pipeline with the maps at `places`, the last first, made of ops.

    `random`: once it is made, whether they draw random numbers.
    """

    captured: Captured
    places: tuple[int, ...]
    compiled: bool
    random: bool = False
    _dataset: Any = None

    def made(self) -> Any:
        """The pipeline, made when it is first asked for.

        Raises:
            CannotRebuild: a map calls Python in another way than by `tf.numpy_function`.
            Unfit, Untranslatable: a function is not to be made of ops, or cannot be.
        """
        if self._dataset is None:
            self._dataset = self.captured.rebuilt(self.places[0], self._maps, self.places[-1])
        return self._dataset

    def _maps(self, below: Any) -> Any:
        for place in range(self.places[-1], self.places[0] - 1, -1):
            stage = self.captured.stages[place]
            if place not in self.places:
                below = again(stage, below)
                continue
            with _numpy_function(self._call):
                below = again(stage, below)
            if pipelines.work_of(seams.pipeline_stage(below)) == "python":
                raise CannotRebuild("Python is called in another way than by tf.numpy_function")
        return below

    def _call(
        self,
        func: Callable[..., Any],
        inp: Any,
        Tout: Any,
        stateful: bool = True,
        name: str | None = None,
    ) -> Any:
        """What is done in place of `tf.numpy_function`."""
        import tensorflow as tf

        from unslow.native import numpy_function
        from unslow.native.ops import has_loops

        tensors = [tf.convert_to_tensor(each) for each in inp]
        specs = [tf.TensorSpec(each.shape, each.dtype) for each in tensors]
        made, translation = native_ops.translated(func, specs)
        if not self.compiled and has_loops(translation.block):
            raise Unfit("not run: its loops would go step by step in the graph")
        self.random = self.random or bool(translation.seeds)
        return numpy_function(made, tensors, Tout, jit_compile=self.compiled, fallback=False)

    def draws(self) -> Draws | None:
        """The first rows of both pipelines, where the ops draw random numbers."""
        if not self.random:
            return None
        batched = any(stage.kind in BATCHES for stage in self.captured.stages[: self.places[0]])
        return Draws(
            lambda: _rows(self.captured.fixed(), batched), lambda: _rows(self.made(), batched), 1
        )


def _rows(dataset: Any, batched: bool) -> list[Any]:
    """For each part of the elements the first rows in one array."""
    import numpy as np
    import tensorflow as tf

    found: list[Any] = []
    count = 0
    for element in dataset:
        parts = [part.numpy() for part in tf.nest.flatten(element, expand_composites=True)]
        found.append(parts if batched else [part[np.newaxis] for part in parts])
        count += len(parts[0]) if batched else 1
        if count >= ROWS:
            break
    return [np.concatenate(column) for column in zip(*found, strict=True)]


@contextlib.contextmanager
def _numpy_function(instead: Callable[..., Any]) -> Iterator[None]:
    """While it lasts, `tf.numpy_function` is another function.

    Raises:
        Exception: what that function raised, and not what AutoGraph made of it.
    """
    import tensorflow as tf

    present = tf.numpy_function
    raised: list[Exception] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return instead(*args, **kwargs)
        except Exception as error:
            raised.append(error)
            raise

    tf.numpy_function = call
    try:
        yield
    except Exception:
        if raised:
            raise raised[0] from None
        raise
    finally:
        tf.numpy_function = present
