"""Calls of Keras models that the run has kept, made again for experiments."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from unslow import seams
from unslow.catalogue.trial import Timed, Untried, Way
from unslow.finding import Site
from unslow.recording.samples import ModelCall, OtherModel, Samples

SECONDS = 0.3
"""How long one run of the present way should take, as far as that can be foreseen.

What an epoch needs once, to fill its pipeline, would count too much in a shorter one.
"""

LEAST_STEPS = 50

MOST_AT_ONCE = 100
LEAST_AT_ONCE = 10
USUAL_AT_ONCE = 50

SEVERAL_STEPS = "steps_per_execution={}"
SEVERAL_STEPS_NOTE = (
    "callbacks that work per batch are called once per execution; the weights are the same but "
    "for the last digits"
)

NOT_KEPT = Untried(
    "No call of the model was kept: its data came from a generator or a pipeline that is not "
    "one of tf.data, or did not fit in the memory for experiments."
)


def kept_calls(samples: Samples, site: Site, *methods: str) -> list[ModelCall]:
    """The calls of one model that were kept of a line, all of the same method."""
    found = [call for call in samples.at(ModelCall, site) if call.method in methods]
    return [
        call for call in found if call.model is found[0].model and call.method == found[0].method
    ]


def is_kept(samples: Samples, site: Site, method: str) -> bool:
    """Whether a model was seen twice at a line, or no other was: it is not made for each call."""
    return len(kept_calls(samples, site, method)) > 1 or not samples.at(OtherModel, site)


def spared(calls: int, tried: int) -> float:
    """How much more is spared per call where one takes the place of `calls` and not of `tried`."""
    return (1 - 1 / calls) / (1 - 1 / tried)


def fixed_seed() -> None:
    """Make what comes next as random as ever, and the same each time."""
    import keras

    keras.utils.set_random_seed(0)


def call_again(call: ModelCall, **changes: Any) -> Any:
    """Make a kept call again, silently; keywords that are `None` in `changes` are left out."""
    keywords = {**call.keywords, **changes}
    given = {name: value for name, value in keywords.items() if value is not None}
    quiet = {} if call.method.endswith("_on_batch") else {"verbose": 0}
    return getattr(call.model, call.method)(**given, **quiet)


def timed_again(call: ModelCall, **changes: Any) -> Any:
    """Make a kept call again; what it does before its first epoch or step does not count."""
    given = changes.get("callbacks", call.keywords.get("callbacks"))
    if hasattr(given, "callbacks"):
        # A list of Keras' own, which is ready for the call.
        return call_again(call, **changes)
    watch = _stopwatch(call.model)
    others = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
    returned = call_again(call, **{**changes, "callbacks": [*others, watch]})
    # A model with a `fit` of its own may not ask its callbacks.
    return Timed(returned, watch.seconds) if watch.seconds else returned


def _stopwatch(model: Any) -> Any:
    """A callback that takes the time from the start of training, or of what it is, to its end."""
    kerases = seams.loaded_keras()
    keras = next(each for each in kerases if isinstance(model, each.Model))

    class Stopwatch(keras.callbacks.Callback):  # type: ignore[misc, name-defined]
        """`seconds`: that this took in all."""

        def __init__(self) -> None:
            super().__init__()
            self.seconds = 0.0
            self._depth = 0
            self._began = 0.0

        def _begin(self, logs: Any = None) -> None:
            # A `fit` validates in between.
            if not self._depth:
                self._began = time.perf_counter()
            self._depth += 1

        def _end(self, logs: Any = None) -> None:
            self._depth -= 1
            if not self._depth:
                self.seconds += time.perf_counter() - self._began

        on_train_begin = on_test_begin = on_predict_begin = _begin
        on_train_end = on_test_end = on_predict_end = _end

    return Stopwatch()


def has_dataset(call: ModelCall) -> bool:
    """Whether the rows came from a `tf.data.Dataset`."""
    return not call.rows


def batch_size(call: ModelCall) -> int:
    """Rows of a batch, for a call that was given arrays."""
    return int(call.keywords.get("batch_size") or 32)


def steps_of(call: ModelCall) -> int | None:
    """Steps of an epoch as the program ran it, `None` where a pipeline does not tell them."""
    given = call.keywords.get("steps_per_epoch") or call.keywords.get("steps")
    if given:
        return int(given)
    if not has_dataset(call):
        rows = call.rows * (1 - (call.keywords.get("validation_split") or 0))
        return -(-int(rows) // batch_size(call))
    steps = int(call.keywords["x"].cardinality())
    return steps if steps > 0 else None


def steps_within(seconds: float, call: ModelCall, seconds_per_step: float) -> int:
    """So many steps as take `seconds`, at most those of the epochs that were kept."""
    wanted = max(LEAST_STEPS, int(seconds / max(seconds_per_step, 1e-6)))
    known = _kept_steps(call)
    return wanted if known is None else min(wanted, known * epochs_of(call))


def epochs_of(call: ModelCall) -> int:
    """Epochs that a `fit` was asked for."""
    return max(1, int(call.keywords.get("epochs") or 1))


def _kept_rows(call: ModelCall) -> int:
    return len(next(_leaves(call.keywords["x"])))


def _kept_steps(call: ModelCall) -> int | None:
    """Steps of an epoch on what was kept."""
    steps = steps_of(call)
    if has_dataset(call) or steps is None:
        return steps
    return max(1, min(steps, steps * _kept_rows(call) // call.rows))


def shortened(call: ModelCall, steps: int) -> dict[str, Any]:
    """Changes to a call's keywords, so that it takes about `steps` steps in all.

    Validation is shortened as much as the training.
    """
    changes: dict[str, Any] = {}
    whole = _kept_steps(call)
    in_epoch = steps if whole is None else min(steps, whole)
    if call.method == "fit":
        changes = {"epochs": min(epochs_of(call), -(-steps // in_epoch)), "initial_epoch": None}
    given = next((n for n in ("steps_per_epoch", "steps") if call.keywords.get(n)), None)
    if given is not None:
        changes[given] = in_epoch
    elif has_dataset(call):
        changes["x"] = call.keywords["x"].take(in_epoch)
    else:
        rows = in_epoch * batch_size(call) / (1 - (call.keywords.get("validation_split") or 0))
        for name in ("x", "y", "sample_weight"):
            changes[name] = first_rows(call.keywords.get(name), rows)
    return {**changes, **_validation(call, in_epoch / (whole or in_epoch))}


def _validation(call: ModelCall, part: float) -> dict[str, Any]:
    data = call.keywords.get("validation_data")
    if data is None or part == 1:
        return {}
    steps = call.keywords.get("validation_steps")
    if steps:
        unit = steps_at_once(call, LEAST_STEPS) or 1
        return {"validation_steps": max(1, round(steps * part / unit)) * unit}
    if hasattr(data, "cardinality"):
        known = int(data.cardinality())
        return {"validation_data": data.take(max(1, round(known * part)) if known > 0 else 1)}
    rows = max(len(each) for each in _leaves(data))
    return {"validation_data": tuple(first_rows(each, part * rows) for each in data)}


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, dict):
        data = list(data.values())
    if not isinstance(data, (list, tuple)):
        yield from () if data is None else (data,)
    else:
        for each in data:
            yield from _leaves(each)


def first_rows(data: Any, rows: float) -> Any:
    """Views of about the first `rows` rows of each array in a structure, at least one."""
    if isinstance(data, dict):
        return {name: first_rows(each, rows) for name, each in data.items()}
    if isinstance(data, (list, tuple)):
        return [first_rows(each, rows) for each in data]
    return None if data is None else data[: max(1, math.ceil(rows))]


def user_functions(call: ModelCall) -> tuple[Any, ...]:
    """What may run code of the user's in a call: the model and the pipelines that it reads.

    With the model come its layers, loss, metrics and optimizer.
    """
    data = (call.keywords.get(name) for name in ("x", "validation_data"))
    return (call.model, *(each for each in data if hasattr(each, "cardinality")))


def what(call: ModelCall, steps: int) -> str:
    """What a shortened call runs on, in words."""
    data = "pipeline" if has_dataset(call) else "data"
    return f"the first {steps} steps of your {data}"


def forward(model: Any) -> Callable[[Any], Any]:
    """A compiled call of a model in inference."""
    import tensorflow as tf

    if "training" in inspect.signature(model.call).parameters:
        return tf.function(lambda rows: model(rows, training=False), reduce_retracing=True)  # type: ignore[no-any-return]
    return tf.function(model, reduce_retracing=True)  # type: ignore[no-any-return]


def several_steps(call: ModelCall, changes: dict[str, Any], at_once: int) -> Way:
    """The shortened `fit` of a kept call with `at_once` steps per execution."""
    return Way(
        SEVERAL_STEPS.format(at_once),
        Fit(call, changes, at_once),
        results=results,
        note=SEVERAL_STEPS_NOTE,
        fixed=fixed_seed,
    )


def results(returned: Any) -> Any:
    """What a call returned as something to compare: of a `fit`, what it tells of each epoch."""
    return getattr(returned, "history", returned)


def steps_at_once(call: ModelCall, steps: int) -> int:
    """Steps per execution to try: the most that divide an epoch, 0 where a few remain too many.

    Where the steps of an epoch are not known, `USUAL_AT_ONCE`. Of a validation that is told its
    steps Keras would take more where they are no multiple.
    """
    in_epoch = steps_of(call)
    validation = call.keywords.get("validation_steps")
    if validation:
        return largest_divisor(math.gcd(in_epoch or int(validation), int(validation)))
    if in_epoch is None:
        return USUAL_AT_ONCE
    return largest_divisor(in_epoch) or (USUAL_AT_ONCE if steps >= 2 * USUAL_AT_ONCE else 0)


def largest_divisor(steps: int) -> int:
    """The largest number of steps from 10 to 100 that divides `steps`, 0 where none does."""
    found = max(n for n in range(1, MOST_AT_ONCE + 1) if steps % n == 0)
    return found if found >= LEAST_AT_ONCE else 0


class Fit:
    """A `fit` with so many steps per execution, whatever the model is compiled with.

    The model's own setting and compiled steps are put back after each run.
    """

    def __init__(self, call: ModelCall, changes: dict[str, Any], at_once: int) -> None:
        self._call = call
        self._changes = changes
        self._settings = (at_once, None, None)

    def __call__(self) -> Any:
        before = self._exchange(self._settings)
        try:
            return timed_again(self._call, **self._changes)
        finally:
            self._settings = self._exchange(before)

    def _exchange(self, settings: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        model = self._call.model
        before = model.steps_per_execution, model.train_function, model.test_function
        model.steps_per_execution, model.train_function, model.test_function = settings
        return before
