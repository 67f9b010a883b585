"""TF407: `fit` or `train_on_batch` called again and again for a little training each."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.models import _keras
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.finding import Finding
from unslow.recording.data import KerasCall, Recording

LEAST_FITS = 10
MOST_STEPS_PER_FIT = 50
LEAST_BATCH_CALLS = 100
LEAST_OVERHEAD = 0.2


class FitInLoop(Page):
    """A loop trains by many short calls of `fit` or `train_on_batch`.

    ## What it is
    `fit(epochs=1)` in a loop of the program's own epochs, or `train_on_batch` for every
    batch.

    ## Why it is slow
    Each `fit` makes a dataset and an iterator and sets up callbacks and logs, tens of
    milliseconds before the first step. An epoch inside a longer `fit` pays a part of that.
    Each `train_on_batch` converts its arrays, calls the compiled function for a single step
    and reads every metric back, which takes some tenths of a millisecond. One `fit`, or a
    loop over a dataset with a compiled step, is often 1.2x to 5x faster.

    ## When it does not matter
    Where a call trains for seconds, and where each call gets new data that does not exist
    yet before, as in learning online.

    ## What to do
    Call `fit(epochs=N)` once and put what happens between epochs into a callback's
    `on_epoch_end`. In place of `train_on_batch`, loop over a `tf.data.Dataset` with a
    training step of one's own in a `tf.function`; with two models trained against each
    other, one function for both. A short `fit` per batch would cost more than
    `train_on_batch` does.

    ## Safety of the fix
    The losses stay the same if the order of the rows does: `fit` shuffles arrays unless
    `shuffle=False`. Callbacks start once per `fit`, so early stopping and learning-rate
    schedules begin to work across epochs. `train_on_batch` keeps its metrics running from
    call to call, `fit` resets them at each epoch.
    """

    code = "TF407"
    name = "fit-in-loop"

    slow = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(11)
rng = np.random.default_rng(23)
rows = rng.normal(size=(512, 20)).astype("float32")
wanted = rows @ rng.normal(size=(20, 1)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
losses = []
for epoch in range(60):
    history = model.fit(rows, wanted, batch_size=256, shuffle=False, verbose=0)  # <- slow
    losses += history.history["loss"]
print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}")
"""

    fast = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(11)
rng = np.random.default_rng(23)
rows = rng.normal(size=(512, 20)).astype("float32")
wanted = rows @ rng.normal(size=(20, 1)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
history = model.fit(rows, wanted, batch_size=256, epochs=60, shuffle=False, verbose=0)
losses = history.history["loss"]
print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(12)
rng = np.random.default_rng(24)
model = tf.keras.Sequential([tf.keras.Input((256,))])
model.add(tf.keras.layers.Dense(1024, activation="relu"))
model.add(tf.keras.layers.Dense(1))
model.compile("sgd", "mse")

for day in range(3):
    rows = rng.normal(size=(12_000, 256)).astype("float32")
    model.fit(rows, rows.mean(axis=1), batch_size=128, verbose=0)
print(model.count_params())
""",
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(13)
rng = np.random.default_rng(25)
model = tf.keras.Sequential([tf.keras.Input((256,))])
model.add(tf.keras.layers.Dense(2048, activation="relu"))
model.add(tf.keras.layers.Dense(1024, activation="relu"))
model.add(tf.keras.layers.Dense(1))
model.compile("sgd", "mse")

for _ in range(40):
    rows = rng.normal(size=(256, 256)).astype("float32")
    loss = model.train_on_batch(rows, rows.mean(axis=1))
print(model.count_params())
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines with many short `fit` or `train_on_batch` calls."""
        for call in _keras.calls_by_line(recording, "fit", "train_on_batch"):
            if call.run_eagerly or not _is_short(call):
                continue
            # The first call traces the model; pipelines are traced by every call anew.
            each = (call.seconds - call.first_seconds) / (call.calls - 1)
            around = (each * call.calls) - call.graph_seconds
            around -= _keras.callback_seconds(recording, call)
            if around < LEAST_OVERHEAD * each * call.calls:
                continue
            parts = (*_keras.AROUND_PARTS, "build")
            claims = _keras.spread(recording, call.site, around, parts=parts)
            cost = cost_of(claims, calls=call.calls)
            if not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "method": call.method,
                "steps": call.steps,
                "seconds_around_call": around / call.calls,
                "model_seconds_per_call": call.graph_seconds / call.calls,
            }
            message = (
                f"{call.method}() was called {count_text(call.calls)} times: "
                f"{seconds_text(around / call.calls)} around the training of each call, "
                f"{seconds_text(call.graph_seconds / call.calls)} in it."
            )
            yield self.problem(call.site, message, cost, evidence)


def _is_short(call: KerasCall) -> bool:
    if call.method == "train_on_batch":
        return call.calls >= LEAST_BATCH_CALLS
    few_epochs = call.epochs <= call.calls
    few_steps = 0 < call.steps <= MOST_STEPS_PER_FIT * call.calls
    return call.calls >= LEAST_FITS and few_epochs and few_steps
