"""TF403: batches of one row or a few."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from unslow.catalogue.models import _keras, _source, _trials
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Finding
from unslow.recording.data import KerasCall, Recording

if TYPE_CHECKING:
    from unslow.recording.samples import ModelCall, Samples
    from unslow.source.module import Module

SMALL_BATCH = 8
USUAL_BATCH = 32
LARGE_BATCH = 256
"""What is tried where nothing is learned, so that memory alone sets a limit."""

LEAST_STEPS = 200
LEAST_STEPS_PER_CALL = 50
LONG_STEP = 20e-3
LEAST_OVERHEAD = 0.2

SMALL_MODEL = 200_000
"""Weights of a dense model up to which a step of a few rows is short on any machine."""

POSITIONS = {"fit": 2, "evaluate": 2, "predict": 1}


class BatchOfOne(Page):
    """`fit`, `evaluate` or `predict` works through the data in batches of one to eight rows.

    ## What it is
    A literal `batch_size=1`, or another very small one, with many steps.

    ## Why it is slow
    A step costs in the order of a millisecond before the model computes anything: fetching
    the batch, calling the compiled function, updating metrics, calling callbacks. Inside,
    every op starts for a handful of numbers and leaves most of the processor idle. A row in
    a batch of 32 is often 5x cheaper than a row alone.

    ## When it does not matter
    Where one row is much work, as in large images or long sequences, and where memory
    leaves no room for more.

    ## What to do
    Raise `batch_size`: 32 is Keras's own choice; for `predict` and `evaluate` take what
    memory allows. When training, look at the learning rate again: larger batches take fewer
    steps per epoch, so they usually need a higher one. Where small batches are wanted for
    training itself, `compile(steps_per_execution=…)` makes the steps cheaper and leaves
    the results alone.

    ## Safety of the fix
    For `predict` and `evaluate` results stay equal up to rounding. For `fit` they do not:
    the batch size is part of how the model learns. The user has to decide.
    """

    code = "TF403"
    name = "batch-of-one"

    slow = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(5)
model = tf.keras.Sequential(
    [
        tf.keras.Input((40,)),
        tf.keras.layers.Dense(128, activation="relu"),
        tf.keras.layers.Dense(3, activation="softmax"),
    ]
)
transactions = np.random.default_rng(15).normal(size=(2_000, 40)).astype("float32")

scores = model.predict(transactions, batch_size=1, verbose=0)  # <- slow
print(f"mean score {scores[:, 0].mean():.4f}")
"""

    fast = slow.replace(", batch_size=1, verbose=0)  # <- slow", ", batch_size=250, verbose=0)")

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(6)
model = tf.keras.Sequential(
    [
        tf.keras.Input((128, 128, 3)),
        tf.keras.layers.Conv2D(48, 3, activation="relu"),
        tf.keras.layers.Conv2D(48, 3, activation="relu"),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(4),
    ]
)
scans = np.random.default_rng(16).normal(size=(24, 128, 128, 3)).astype("float32")

scores = model.predict(scans, batch_size=1, verbose=0)
print(scores.shape)
""",
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(7)
model = tf.keras.Sequential([tf.keras.Input((40,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
rng = np.random.default_rng(17)
rows = rng.normal(size=(64, 40)).astype("float32")

model.fit(rows, rows.sum(axis=1), batch_size=4, epochs=2, verbose=0)
print(model.count_params())
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Keras calls with many short steps of a few rows."""
        for call in _keras.calls_by_line(recording, "fit", "evaluate", "predict"):
            size = call.batch_size
            if size is None or not 1 <= size <= SMALL_BATCH or call.run_eagerly:
                continue
            steps = _steps(call, size)
            if steps < max(LEAST_STEPS, LEAST_STEPS_PER_CALL * call.calls):
                continue
            running = _keras.running(call)
            around = _keras.around(recording, call)
            if running / steps > LONG_STEP or around < LEAST_OVERHEAD * running:
                continue
            # What is spent around the steps has to matter; larger batches save some of the time
            # inside them as well.
            needless = 1 - size / USUAL_BATCH
            whole = running - _keras.callback_seconds(recording, call)
            claims = _keras.spread(
                recording, call.site, whole * needless, parts=_keras.RUNNING_PARTS
            )
            cost = cost_of(claims, calls=call.calls)
            if not matters(recording, min(around * needless, cost.seconds)):
                continue
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "batch_size": size,
                "steps": steps,
                "seconds_per_step": running / steps,
                "model_seconds_per_step": call.graph_seconds / steps,
                "seconds_but_callbacks": whole,
            }
            message = (
                f"{call.method}() took {count_text(steps)} steps in batches of {size}: "
                f"{seconds_text(running / steps)} a step, "
                f"{seconds_text(call.graph_seconds / steps)} of it in the compiled model."
            )
            yield self.problem(call.site, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """A part of the kept call with larger batches, and a `fit` with several steps at once."""
        calls = _trials.kept_calls(samples, finding.site, *POSITIONS)
        if not calls:
            yield _trials.NOT_KEPT
            return
        call, evidence = calls[0], finding.evidence
        steps = _trials.steps_within(_trials.SECONDS, call, evidence["seconds_per_step"])
        changes = _trials.shortened(call, steps)
        learns = call.method == "fit"
        present = Way(
            f"batches of {evidence['batch_size']}",
            lambda: _trials.timed_again(call, **changes),
            results=_trials.results,
            fixed=_trials.fixed_seed,
        )
        larger = USUAL_BATCH if learns else LARGE_BATCH
        ways = [] if _trials.has_dataset(call) else [_with_batches(call, changes, larger)]
        at_once = _trials.steps_at_once(call, steps)
        if learns and call.model.steps_per_execution == 1 and at_once:
            ways.append(_trials.several_steps(call, changes, at_once))
        if not ways:
            yield Untried("The batches come from a pipeline, where a larger batch was not tried.")
            return
        yield Trial(
            present=present,
            ways=tuple(ways),
            inputs=_trials.what(call, steps),
            # The finding's cost leaves out what a usual batch would take; the call does not.
            share=evidence["seconds_but_callbacks"] / finding.cost.seconds,
            functions=_trials.user_functions(call),
            state=learns,
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Small batches that are written down, for small dense models and many rows."""
        for method, position in POSITIONS.items():
            for call in module.calls_of(method, "model"):
                if module.graph_mode or module.guarded(call) or module.has_star(call):
                    continue
                size = _source.number(module, call, position, "batch_size")
                if size is None or not 1 <= size <= SMALL_BATCH:
                    continue
                if not _has_many_rows(module, call, size):
                    continue
                assert isinstance(call.func, ast.Attribute)
                weights = _source.small_dense_model(module, call.func.value)
                if weights is None or weights > SMALL_MODEL:
                    continue
                rows = "one row" if size == 1 else f"{size} rows"
                message = (
                    f"`{method}` goes through the data in batches of {rows}; for a model of "
                    "this size a step costs far more than computing the rows in it."
                )
                evidence = {"method": method, "batch_size": size, "weights": weights}
                yield self.suspicion(
                    module, call, message, evidence, tuple(_alternatives(module, call, position))
                )


def _with_batches(call: ModelCall, changes: dict[str, Any], size: int) -> Way:
    note = "sums are taken in another order: the last digits may differ"
    if call.method == "fit":
        note = "another batch size trains the model in another way; the results are not the same"
    return Way(
        f"batches of {size}",
        lambda: _trials.timed_again(call, **{**changes, "batch_size": size}),
        results=_trials.results,
        note=note,
        fixed=_trials.fixed_seed,
    )


def _steps(call: KerasCall, size: int) -> int:
    if call.steps:
        return call.steps
    return call.rows // size


def _has_many_rows(module: Module, call: ast.Call, size: int) -> bool:
    """Whether a Keras call takes many steps, as far as the source tells."""
    given = module.argument(call, 0, "x")
    if given is None or module.repetition(call) is not None:
        return False
    rows = _source.rows(module, given)
    if rows is None:
        return module.value(given).kind in ("array", "tensor", "unknown")
    epochs = _source.number(module, call, 3, "epochs") if _source.called_name(call) == "fit" else 1
    return rows.count // size * (epochs or 1) >= LEAST_STEPS


def _alternatives(module: Module, call: ast.Call, position: int) -> Iterator[Alternative]:
    given = module.argument(call, position, "batch_size")
    if _source.called_name(call) == "fit" or not isinstance(given, ast.Constant):
        return
    if module.editable(call):
        note = "sums are taken in another order: the last digits may differ"
        edits = (module.replace(given, str(LARGE_BATCH)),)
        yield Alternative(f"batches of {LARGE_BATCH}", "unsafe", edits, note=note)
