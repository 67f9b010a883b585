"""TF406: a training step so short that what stands around it costs more."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.models import _keras, _source, _trials
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Finding
from unslow.recording.data import Recording

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.module import Module

LEAST_STEPS = 500
MANY_STEPS = 1_000
SMALL_WORK = 300_000
"""Weights times rows of a batch, up to which a step is short on any machine."""
SHORT_STEP = 2.5e-3
LEAST_OVERHEAD = 0.1
CALL_OVERHEAD = 1.0
"""The call of the compiled step costs about as much again, and counts as time inside it."""


class StepsPerExecution(Page):
    """`fit` returns to Python after every step, and the steps of a small model are short.

    ## What it is
    A model compiled without `steps_per_execution`, trained for many steps that each take a
    millisecond or so.

    ## Why it is slow
    After every step Keras comes back from the compiled function, looks at the logs and
    calls the callbacks. That costs some tenths of a millisecond to a millisecond. For a
    large model it is nothing; for a tiny one it is most of the step. Several steps in one
    call are often 2x to 3x faster.

    ## When it does not matter
    Where a step takes more than a few milliseconds, and where the pipeline is slower than
    the step.

    ## What to do
    `model.compile(…, steps_per_execution=50)`: Keras then runs 50 steps in one call of the
    compiled function. Take a number that divides the steps of an epoch. For a small model a
    larger batch helps too, but that changes the training.

    ## Safety of the fix
    The weights come out the same up to rounding. Callbacks per batch are called once per
    execution only, and their logs hold the last of its steps: check callbacks that count
    batches or change the learning rate per batch. A `run_eagerly` model ignores the setting.
    """

    code = "TF406"
    name = "steps-per-execution"

    slow = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(8)
rng = np.random.default_rng(20)
rows = rng.normal(size=(48_000, 10)).astype("float32")
wanted = rows @ rng.normal(size=(10, 1)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((10,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
history = model.fit(rows, wanted, batch_size=32, shuffle=False, verbose=0)  # <- slow
print(f"loss {history.history['loss'][-1]:.3f}")
"""

    fast = slow.replace('compile("sgd", "mse")', 'compile("sgd", "mse", steps_per_execution=100)')
    fast = fast.replace("  # <- slow", "")

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(9)
rng = np.random.default_rng(21)
rows = rng.normal(size=(26_000, 256)).astype("float32")
wanted = rng.integers(0, 10, size=26_000)

model = tf.keras.Sequential([tf.keras.Input((256,))])
model.add(tf.keras.layers.Dense(1024, activation="relu"))
model.add(tf.keras.layers.Dense(512, activation="relu"))
model.add(tf.keras.layers.Dense(10))
model.compile("sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(rows, wanted, batch_size=128, verbose=0)
print(model.count_params())
""",
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(10)
rows = np.random.default_rng(22).normal(size=(3_200, 10)).astype("float32")
model = tf.keras.Sequential([tf.keras.Input((10,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(rows, rows.sum(axis=1), batch_size=32, verbose=0)
print(model.count_params())
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """`fit` calls with many short steps, most of whose time is outside the model."""
        for call in _keras.calls_by_line(recording, "fit"):
            steps = call.steps
            if call.run_eagerly or call.steps_per_execution != 1:
                continue
            # What `fit` needs once per call would pass for a cost of few steps.
            if steps < LEAST_STEPS * call.calls:
                continue
            running = _keras.running(call)
            around = _keras.around(recording, call)
            if running / steps > SHORT_STEP or around < LEAST_OVERHEAD * running:
                continue
            whole = running - _keras.callback_seconds(recording, call)
            seconds = min((1 + CALL_OVERHEAD) * around, whole)
            claims = _keras.spread(recording, call.site, seconds, parts=_keras.RUNNING_PARTS)
            cost = cost_of(claims, calls=call.calls)
            if not matters(recording, min(around, cost.seconds)):
                continue
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "steps": steps,
                "seconds_per_step": running / steps,
                "seconds_around_step": around / steps,
                "seconds_but_callbacks": whole,
            }
            message = (
                f"fit() took {count_text(steps)} steps of {seconds_text(running / steps)} and "
                f"spent {seconds_text(around / steps)} of each, {around / running:.0%}, "
                "outside the compiled step."
            )
            yield self.problem(call.site, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """A part of the kept `fit` with several steps in one call of the compiled function."""
        calls = _trials.kept_calls(samples, finding.site, "fit")
        if not calls:
            yield _trials.NOT_KEPT
            return
        call, evidence = calls[0], finding.evidence
        steps = _trials.steps_within(_trials.SECONDS, call, evidence["seconds_per_step"])
        at_once = _trials.steps_at_once(call, steps)
        if not at_once:
            yield Untried("An epoch has too few steps that could be taken at once.")
            return
        steps = max(1, steps // at_once) * at_once
        changes = _trials.shortened(call, steps)
        yield Trial(
            present=Way(
                "one step at a time",
                _trials.Fit(call, changes, 1),
                results=_trials.results,
                fixed=_trials.fixed_seed,
            ),
            ways=(_trials.several_steps(call, changes, at_once),),
            inputs=_trials.what(call, steps),
            # The finding's cost leaves out the training itself; the call does not.
            share=evidence["seconds_but_callbacks"] / finding.cost.seconds,
            functions=_trials.user_functions(call),
            state=True,
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """`fit` of a small dense model with many steps, all as far as the source says it."""
        for call in module.calls_of("fit", "model"):
            if module.graph_mode or module.guarded(call) or module.has_star(call):
                continue
            assert isinstance(call.func, ast.Attribute)
            batch = _source.number(module, call, 2, "batch_size")
            if batch is None:
                if module.argument(call, 2, "batch_size") is not None:
                    continue
                batch = 32
            steps = _steps_of_an_epoch(module, call, batch)
            epochs = _source.number(module, call, 3, "epochs")
            if epochs is None:
                epochs = 1 if module.argument(call, 3, "epochs") is None else 0
            if steps is None or steps * epochs < MANY_STEPS:
                continue
            weights = _source.small_dense_model(module, call.func.value)
            if weights is None or weights * batch > SMALL_WORK:
                continue
            compiled = _compile_call(module, call.func.value)
            if compiled is None:
                continue
            message = (
                f"`fit` takes {steps * epochs} steps of a model with {weights} weights and comes "
                "back to Python after each; several steps in one call cost less."
            )
            evidence = {"steps": steps * epochs, "weights": weights}
            yield self.suspicion(
                module,
                call,
                message,
                evidence,
                tuple(_alternatives(module, call, compiled, steps)),
            )


def _steps_of_an_epoch(module: Module, call: ast.Call, batch: int) -> int | None:
    if module.argument(call, None, "steps_per_epoch") is not None:
        return _source.number(module, call, None, "steps_per_epoch")
    if module.argument(call, None, "validation_split") is not None:
        return None
    given = module.argument(call, 0, "x")
    rows = None if given is None else _source.rows(module, given)
    return None if rows is None else -(-rows.count // batch)


def _compile_call(module: Module, model: ast.expr) -> ast.Call | None:
    """The one `compile` of a model, where it says nothing of how steps are run."""
    made = module.value(model).call
    found = [
        call
        for call in module.calls_of("compile", "model")
        if isinstance(call.func, ast.Attribute) and module.value(call.func.value).call is made
    ]
    if len(found) != 1 or not found[0].args + found[0].keywords or module.has_star(found[0]):
        return None
    named = {keyword.arg for keyword in found[0].keywords}
    return None if named & {"steps_per_execution", "run_eagerly"} else found[0]


def _alternatives(
    module: Module, call: ast.Call, compiled: ast.Call, steps: int
) -> Iterator[Alternative]:
    if module.argument(call, None, "validation_steps") is not None:
        # Keras would validate with more steps where these are no multiple.
        steps = math.gcd(steps, _source.number(module, call, None, "validation_steps") or 1)
    at_once = _trials.largest_divisor(steps)
    if not at_once or not module.editable(compiled):
        return
    if module.argument(call, None, "callbacks") is not None:
        return
    last = module.end(_source.arguments(compiled)[-1])
    edits = (module.edit(last, last, f", steps_per_execution={at_once}"),)
    name = _trials.SEVERAL_STEPS.format(at_once)
    yield Alternative(name, "unsafe", edits, note=_trials.SEVERAL_STEPS_NOTE)
