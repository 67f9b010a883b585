"""TF406: a training step so short that what stands around it costs more."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.models import _keras
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.finding import Finding
from unslow.recording.data import Recording

LEAST_STEPS = 500
SHORT_STEP = 2.5e-3
LEAST_OVERHEAD = 0.1
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
            claims = _keras.spread(recording, call.site, around, parts=_keras.AROUND_PARTS)
            cost = cost_of(claims, calls=call.calls)
            if not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "steps": steps,
                "seconds_per_step": running / steps,
                "seconds_around_step": around / steps,
            }
            message = (
                f"fit() took {count_text(steps)} steps of {seconds_text(running / steps)} and "
                f"spent {seconds_text(around / steps)} of each, {around / running:.0%}, "
                "outside the compiled step."
            )
            yield self.problem(call.site, message, cost, evidence)
