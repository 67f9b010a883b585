"""TF401: `predict` called for one item after the other."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.models import _keras
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.finding import Finding
from unslow.recording.data import Recording

LEAST_CALLS = 5
MOST_ROWS = 32
LEAST_OVERHEAD = 0.5


class PredictPerItem(Page):
    """`model.predict` is called many times with a row or a few.

    ## What it is
    `predict` in a loop over items, or in a function that serves one request at a time.

    ## Why it is slow
    `predict` is made for large inputs: each call builds a dataset and an iterator, calls
    its callbacks and gathers the outputs. That costs tens of milliseconds, while a small
    model computes a row in less than one. One call for all rows is often 100x faster, and a
    compiled call of the model is as much faster where rows arrive singly.

    ## When it does not matter
    Where a call carries enough rows to keep the model busy, as in scoring a large file in
    chunks, and where it happens a few times in a run.

    ## What to do
    Collect the rows and call `predict` once; it makes batches of 32 by itself, and
    `batch_size` makes them larger. Where items must be answered one by one, make
    `call = tf.function(model, reduce_retracing=True)` once and use `call(tf.constant(row))`.

    ## Safety of the fix
    One call gives the same numbers up to rounding, because sums may be taken in another
    order. A direct call of the model returns a tensor, not an array; it runs with
    `training=False` unless told otherwise, as `predict` does. A loop whose next row depends
    on the last answer cannot be batched.
    """

    code = "TF401"
    name = "predict-per-item"

    slow = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(1)
model = tf.keras.Sequential(
    [
        tf.keras.Input((20,)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
applicants = np.random.default_rng(10).normal(size=(30, 20)).astype("float32")

accepted = 0
for applicant in applicants:
    score = model.predict(applicant[np.newaxis], verbose=0)  # <- slow
    accepted += score[0, 0] > 0.5
print(f"accepted {accepted} of {len(applicants)}")
"""

    fast = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(1)
model = tf.keras.Sequential(
    [
        tf.keras.Input((20,)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
applicants = np.random.default_rng(10).normal(size=(30, 20)).astype("float32")

scores = model.predict(applicants, verbose=0)
accepted = np.count_nonzero(scores > 0.5)
print(f"accepted {accepted} of {len(applicants)}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(2)
model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
rng = np.random.default_rng(11)

highest = -np.inf
for chunk in range(6):
    rows = rng.normal(size=(4_000, 20)).astype("float32")
    highest = max(highest, model.predict(rows, batch_size=500, verbose=0).max())
print(f"highest {highest:.2f}")
""",
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(3)
model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
rng = np.random.default_rng(12)
rows = rng.normal(size=(3_200, 20)).astype("float32")
wanted = rows.sum(axis=1)

model.fit(rows, wanted, epochs=2, batch_size=128, verbose=0)
for sample in rows[:3]:
    model.predict(sample[np.newaxis], verbose=0)
print(model.predict(rows, verbose=0).shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines with many `predict` calls of few rows that do little in the model."""
        for call in _keras.calls_by_line(recording, "predict"):
            if call.calls < LEAST_CALLS or not 0 < call.rows <= MOST_ROWS * call.calls:
                continue
            # The first call traces; what it needs beyond the others is not this cause.
            each = (call.seconds - call.first_seconds) / (call.calls - 1)
            in_model = min(call.graph_seconds / call.calls, each)
            if call.run_eagerly or each <= 0 or in_model > (1 - LEAST_OVERHEAD) * each:
                continue
            claims = _keras.spread(recording, call.site, each * call.calls)
            cost = cost_of(claims, calls=call.calls)
            if not matters(recording, cost.seconds):
                continue
            rows = call.rows / call.calls
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "rows_per_call": rows,
                "seconds_per_call": each,
                "model_seconds_per_call": in_model,
            }
            message = (
                f"predict() was called {count_text(call.calls)} times with "
                f"{_rows_text(rows)} each: {seconds_text(each)} a call, "
                f"{seconds_text(in_model)} of it in the compiled model."
            )
            yield self.problem(call.site, message, cost, evidence)


def _rows_text(rows: float) -> str:
    return "1 row" if rows == 1 else f"{rows:.3g} rows"
