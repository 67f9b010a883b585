"""Calls done again with the switches that turn compiling off, and without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from unslow import seams
from unslow.catalogue.graphs import _calls
from unslow.catalogue.models import _trials
from unslow.recording.samples import EagerCall, ModelCall

MOST_REPEATS = 10
"""How often a captured call is done again in one run, of the function called most."""

STEPS = ("train_function", "test_function", "predict_function")
"""Where a Keras model keeps its compiled steps."""


def in_proportion(calls: Sequence[EagerCall]) -> list[EagerCall]:
    """One captured call of each place, as many times as fits how often it was made there."""
    first = list({each.count: each for each in reversed(calls)}.values())
    most = max((each.count() for each in first), default=0)
    repeats = (round(MOST_REPEATS * each.count() / most) for each in first)
    return [each for each, times in zip(first, repeats, strict=True) for _ in range(times)]


def times(calls: Sequence[EagerCall]) -> float:
    """How many times the program made what `in_proportion` has chosen."""
    return sum({each.count: each.count() for each in calls}.values()) / len(calls)


def op_by_op(calls: Sequence[EagerCall]) -> list[Any]:
    """What the calls return with compiling switched off."""
    with switched(True):
        return [each.function(*each.arguments, **each.keywords) for each in calls]


class Compiled:
    """The same calls with compiling switched on; the first run traces."""

    def __init__(self, calls: Sequence[EagerCall]) -> None:
        self._calls = calls
        self._functions: dict[int, Any] = {}

    def run(self) -> list[Any]:
        """What the calls return."""
        with switched(False):
            return [self._of(each)(*each.arguments, **each.keywords) for each in self._calls]

    def _of(self, call: EagerCall) -> Any:
        key = id(call.function)
        if key not in self._functions:
            self._functions[key] = _calls.without_traces(call)
        return self._functions[key]


@contextmanager
def switched(eager: bool) -> Iterator[None]:
    """Compiled functions run op by op in here, or compiled, whatever the program has chosen."""
    import tensorflow as tf

    before = seams.functions_run_eagerly()
    tf.config.run_functions_eagerly(eager)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


class Model:
    """A shortened call of a Keras model, op by op or compiled; the model's own way is put back."""

    def __init__(self, call: ModelCall, changes: dict[str, Any], eager: bool) -> None:
        self._call = call
        self._changes = changes
        self._eager = eager
        self._steps: dict[str, Any] = dict.fromkeys(STEPS)

    def run(self) -> Any:
        """What the call returns."""
        model = self._call.model
        before = {name: getattr(model, name) for name in STEPS}
        chosen = model.run_eagerly
        model.run_eagerly = self._eager
        _set(model, self._steps)
        try:
            return _trials.call_again(self._call, **self._changes)
        finally:
            self._steps = {name: getattr(model, name) for name in STEPS}
            model.run_eagerly = chosen
            _set(model, before)


def _set(model: Any, steps: dict[str, Any]) -> None:
    for name, step in steps.items():
        setattr(model, name, step)
