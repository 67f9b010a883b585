"""TF402: a model made, loaded or compiled again and again."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.models import _keras
from unslow.catalogue.page import (
    Page,
    cost_of,
    count_text,
    matters,
    same_line,
    seconds_text,
)
from unslow.finding import Finding, Site
from unslow.recording.data import Recording

LEAST_LOADS = 3
LEAST_MODELS = 5
TRACED_AGAIN = (0.8, 1.2)

VERBS = {"model": "made", "load_model": "loaded", "compile": "compiled"}


class ModelInLoop(Page):
    """A model is constructed, loaded or compiled in a loop, where once would do.

    ## What it is
    A constructor such as `Sequential`, `load_model` or `compile` that is reached for every
    request, file or step: in a loop, or in a function that a loop calls.

    ## Why it is slow
    Making a model creates every variable and initialises it; loading also reads and checks
    the file. That takes tens of milliseconds for a small model and seconds for a large
    one. Then the new model, or the newly compiled one, has no compiled functions: its first
    `fit` or `predict` traces again. Keras keeps some state of every model made, so memory
    grows too.

    ## When it does not matter
    At start-up, for a handful of different models, and in a search over architectures where
    each model trains for long.

    ## What to do
    Make or load the model once, before the loop or at the start of the server, and pass it
    on. To begin each fold of a cross-validation afresh, keep the model and restore its
    first weights with `set_weights`. To change the learning rate, assign
    `model.optimizer.learning_rate` in place of compiling again. Where new models are
    needed, call `tf.keras.backend.clear_session()` between them.

    ## Safety of the fix
    A kept model keeps its weights, its optimizer's state and its metrics from one round to
    the next. Where each round must start afresh, reset all three, or the results change.
    """

    code = "TF402"
    name = "model-in-loop"

    slow = """\
import os
import tempfile

import numpy as np
import tensorflow as tf


def train(path):
    tf.keras.utils.set_random_seed(4)
    model = tf.keras.Sequential([tf.keras.Input((30,))])
    for _ in range(6):
        model.add(tf.keras.layers.Dense(64, activation="relu"))
    model.add(tf.keras.layers.Dense(1))
    model.save(path)


def answer(path, request):
    model = tf.keras.models.load_model(path)  # <- slow
    return model(request)


requests = np.random.default_rng(13).normal(size=(40, 5, 30)).astype("float32")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "price.keras")
    train(path)
    answers = [answer(path, request) for request in requests]
print(f"mean {float(tf.reduce_mean(answers)):.4f}")
"""

    fast = """\
import os
import tempfile

import numpy as np
import tensorflow as tf


def train(path):
    tf.keras.utils.set_random_seed(4)
    model = tf.keras.Sequential([tf.keras.Input((30,))])
    for _ in range(6):
        model.add(tf.keras.layers.Dense(64, activation="relu"))
    model.add(tf.keras.layers.Dense(1))
    model.save(path)


def answer(model, request):
    return model(request)


requests = np.random.default_rng(13).normal(size=(40, 5, 30)).astype("float32")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "price.keras")
    train(path)
    model = tf.keras.models.load_model(path)
answers = [answer(model, request) for request in requests]
print(f"mean {float(tf.reduce_mean(answers)):.4f}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(14)
rows = rng.normal(size=(6_400, 12)).astype("float32")
wanted = np.sin(rows).sum(axis=1)


def regressor(units):
    model = tf.keras.Sequential(
        [
            tf.keras.Input((12,)),
            tf.keras.layers.Dense(units, activation="relu"),
            tf.keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    return model


losses = {}
for units in (16, 64, 256):
    model = regressor(units)
    history = model.fit(rows, wanted, batch_size=64, epochs=2, verbose=0)
    losses[units] = history.history["loss"][-1]
print(sorted(losses))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines at which models were made, loaded or compiled many times."""
        remade = 0
        for call in _keras.calls_by_line(recording, "load_model", "model", "compile"):
            least = LEAST_LOADS if call.method == "load_model" else LEAST_MODELS
            if call.calls < least:
                continue
            traced = _traced_again(recording, call.calls)
            needless = (call.calls - 1) / call.calls
            own = _keras.spread(recording, call.site, call.seconds * needless)
            if call.method == "compile":
                # A new model has to be compiled: its making is the cause, not this.
                if call.calls <= 2 * remade:
                    continue
                both = sum(c.seconds for c in own) + sum(seconds for _, seconds in traced)
                if not matters(recording, both):
                    continue
            elif not matters(recording, sum(c.seconds for c in own)):
                continue
            remade = max(remade, call.calls)
            again = [
                claim
                for site, seconds in traced
                for claim in _keras.spread(recording, site, seconds * needless, parts=("build",))
            ]
            cost = cost_of((*own, *again), calls=call.calls)
            tracing = sum(claim.seconds for claim in again)
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "method": call.method,
                "seconds_per_call": call.seconds / call.calls,
                "tracing_again_seconds": tracing,
            }
            message = (
                f"A model was {VERBS[call.method]} {count_text(call.calls)} times here, "
                f"{seconds_text(call.seconds / call.calls)} each."
            )
            if again:
                places = ", ".join(sorted({site.place for site, _ in traced}))
                message += f" Each time {places} had to trace again: {seconds_text(tracing)} more."
            yield self.problem(call.site, message, cost, evidence)


def _traced_again(recording: Recording, made: int) -> list[tuple[Site, float]]:
    """Lines at which nearly each of `made` models was traced anew, and the seconds of it."""
    least, most = (factor * made for factor in TRACED_AGAIN)
    found = []
    for call in _keras.calls_by_line(recording, "fit", "evaluate", "predict", "train_on_batch"):
        rows = [
            row
            for row in recording.tracings
            if row.main and same_line(row.site, call.site) and least <= row.functions <= most
        ]
        # Pipelines trace functions too, at every call, but nothing calls those from Python.
        called = {
            row.function
            for row in recording.function_calls
            if row.main and same_line(row.site, call.site)
        }
        if any(row.function in called for row in rows):
            found.append((call.site, sum(row.seconds for row in rows)))
    return found
