"""How long it takes from a graph to Python and back, as measured after the program's end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unslow import seams
from unslow.recording.clock import now
from unslow.recording.tables import SECOND

LEAST_CROSSINGS = 32
"""Calls from which the way is worth measuring."""

CALLS = 64
RUNS = 5


def crossing_seconds(pipeline: bool) -> float:
    """Seconds of a call of nothing: from a stage of a pipeline, or from a compiled function.

    0 where TensorFlow runs no ops at once.
    """
    tensorflow = seams.loaded("tensorflow")
    if tensorflow is None or not tensorflow.executing_eagerly():
        return 0.0
    run = _stage(tensorflow) if pipeline else _compiled(tensorflow)
    run()
    times = []
    for _ in range(RUNS):
        began = now()
        run()
        times.append(now() - began)
    return sorted(times)[RUNS // 2] / CALLS / SECOND


def _call(tensorflow: Any) -> Callable[[Any], Any]:
    def nothing(number: Any) -> Any:
        return number

    def call(number: Any) -> Any:
        return tensorflow.numpy_function(nothing, [number], tensorflow.int64)

    return tensorflow.autograph.experimental.do_not_convert(call)  # type: ignore[no-any-return]


def _stage(tensorflow: Any) -> Callable[[], Any]:
    rows = tensorflow.data.Dataset.range(CALLS * (RUNS + 1))
    batches = iter(rows.map(_call(tensorflow)).batch(CALLS))
    return lambda: next(batches)


def _compiled(tensorflow: Any) -> Callable[[], Any]:
    call = _call(tensorflow)

    def calls(number: Any) -> Any:
        for _ in range(CALLS):
            number = call(number)
        return number

    compiled = tensorflow.function(calls, autograph=False)
    zero = tensorflow.zeros((), tensorflow.int64)
    return lambda: compiled(zero)
