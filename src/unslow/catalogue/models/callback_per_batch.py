"""TF408: a callback that works after every batch."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.models import _keras
from unslow.catalogue.page import (
    Page,
    by_line,
    claim,
    cost_of,
    count_text,
    matters,
    same_line,
    seconds_text,
)
from unslow.finding import Claim, Finding, Site
from unslow.recording.data import Recording

LEAST_CALLS = 20
LEAST_SHARE = 0.1


class CallbackPerBatch(Page):
    """A Keras callback does costly work at every batch.

    ## What it is
    `on_train_batch_end` or another per-batch method of a callback of the program's own that
    saves, predicts, plots or writes.

    ## Why it is slow
    Training stops while a callback runs: the step and the callback take turns. Work of
    milliseconds after steps of milliseconds easily doubles the time. Reading `logs` there
    also makes Keras wait for the step and fetch its metrics, where it could go on.

    ## When it does not matter
    Where the method only counts or appends a number, and where steps take much longer than
    it does.

    ## What to do
    Move the work to `on_epoch_end`, or do it every so many batches:
    `if batch % 500 == 0:`. For checkpoints use `ModelCheckpoint` with a `save_freq` of
    hundreds of batches. Collect numbers in a list and write them once.

    ## Safety of the fix
    Training itself gives the same results as long as the callback only looks. One that
    changes the learning rate or stops the training has to stay where it is: make it cheap.
    Doing the work less often gives fewer checkpoints or points in a plot.
    """

    code = "TF408"
    name = "callback-per-batch"

    slow = """\
import os
import tempfile

import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(14)
rng = np.random.default_rng(26)
rows = rng.normal(size=(6_400, 30)).astype("float32")
wanted = rows.sum(axis=1)

model = tf.keras.Sequential([tf.keras.Input((30,))])
model.add(tf.keras.layers.Dense(128, activation="relu"))
model.add(tf.keras.layers.Dense(1))
model.compile("sgd", "mse")


class KeepLatest(tf.keras.callbacks.Callback):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_batch_end(self, batch, logs=None):  # <- slow
        self.model.save_weights(self.path)


with tempfile.TemporaryDirectory() as folder:
    keep = KeepLatest(os.path.join(folder, "latest.weights.h5"))
    history = model.fit(rows, wanted, batch_size=64, callbacks=[keep], verbose=0)
    saved = os.path.exists(keep.path)
print(f"loss {history.history['loss'][-1]:.2f}, saved {saved}")
"""

    fast = slow.replace(
        "def on_train_batch_end(self, batch, logs=None):  # <- slow",
        "def on_epoch_end(self, epoch, logs=None):",
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(15)
rng = np.random.default_rng(27)
rows = rng.normal(size=(6_400, 30)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((30,))])
model.add(tf.keras.layers.Dense(512, activation="relu"))
model.add(tf.keras.layers.Dense(512, activation="relu"))
model.add(tf.keras.layers.Dense(1))
model.compile("sgd", "mse")


class LossOfEachBatch(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


losses = LossOfEachBatch()
model.fit(rows, rows.sum(axis=1), batch_size=64, epochs=2, callbacks=[losses], verbose=0)
print(len(losses.losses))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Per-batch methods of callbacks that took a good part of their `fit`."""
        fits = list(_keras.calls_by_line(recording, "fit", "evaluate", "predict"))
        for site, rows in by_line(recording.callbacks):
            calls = sum(row.calls for row in rows)
            spent = sum(row.seconds for row in rows)
            whole = sum(
                fit.seconds for fit in fits if any(same_line(fit.site, row.fit) for row in rows)
            )
            if calls < LEAST_CALLS or whole <= 0 or spent < LEAST_SHARE * whole:
                continue
            cost = cost_of(_claims(recording, site, spent), calls=calls)
            if not matters(recording, cost.seconds):
                continue
            share = min(spent / whole, 1.0)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "method": rows[0].method,
                "share": share,
                "fit": rows[0].fit.place,
            }
            message = (
                f"{rows[0].method}() ran {count_text(calls)} times, "
                f"{seconds_text(spent / calls)} each: {share:.0%} of the training at "
                f"{rows[0].fit.place}."
            )
            yield self.problem(site.at_line, message, cost, evidence)


def _claims(recording: Recording, site: Site, seconds: float) -> list[Claim]:
    """The method's `seconds`: at the lines of its body, and the rest at its `def` line.

    The rest is time in functions that the method calls, whose lines are not known here.
    """
    body = {
        row.site.at_line: row
        for row in recording.lines
        if (row.site.path, row.site.cell, row.site.function)
        == (site.path, site.cell, site.function)
    }
    known = {
        (line, part): time
        for line in body
        for part, time in recording.line(line).items()
        if part != "recorder" and time > 0
    }
    total = sum(known.values())
    scale = min(1.0, seconds / total) if total > 0 else 0.0
    claims = [claim(line, part, time * scale) for (line, part), time in known.items()]
    rest = seconds - total
    if rest > 0:
        claims.append(claim(site, "python", rest))
    return claims
