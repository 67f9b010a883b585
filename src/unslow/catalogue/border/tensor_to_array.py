"""TF103: tensors made into arrays in a loop."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.border import _lines
from unslow.catalogue.page import (
    Page,
    by_line,
    bytes_text,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.finding import Finding
from unslow.recording.data import Recording

LEAST_CALLS = 20
LEAST_SECONDS_PER_CALL = 1e-5
"""Reading a number that is ready, on a CPU, is quicker than that."""

WAYS = {
    "numpy": ".numpy()",
    "_numpy": ".numpy()",
    "__array__": "a NumPy function",
    "__float__": "float()",
    "__int__": "int()",
    "__bool__": "a truth test",
    "__index__": "an index",
}


class TensorToArray(Page):
    """A loop takes tensors out of TensorFlow: `.numpy()`, `float()`, NumPy functions.

    ## What it is
    In every iteration a tensor is made into an array or a number, by `.numpy()`, `float()`,
    `int()`, an `if`, or by handing it to a NumPy function, which does the same silently.

    ## Why it is slow
    `.numpy()` copies the whole tensor, however little of it is then used: about 10 ms for an
    image of 25 MB in fresh memory. A NumPy function reads a tensor on the CPU in place, but
    one on a GPU is copied by all of these. There the program also waits until everything
    queued before has finished, and the device idles until Python sends more. Going back
    into a tensor copies once again.

    ## When it does not matter
    Once at the end, or once per epoch. A single number per step on a CPU costs some
    microseconds. Results that must leave TensorFlow have to be copied once.

    ## What to do
    Stay on one side for the whole loop: slice and reduce as tensors and take out the small
    result, or make one array before the loop and use NumPy throughout. Keep numbers such as
    the loss as tensors and read them every hundredth step, or all together at the end.

    ## Safety of the fix
    Advice only. Sums in another order differ in the last digits, and a NumPy function can
    have another result type than its twin in TensorFlow. What the program prints or stores
    in each step changes if it is read less often.
    """

    code = "TF103"
    name = "tensor-to-array"

    slow = """\
import numpy as np
import tensorflow as tf

photos = tf.random.stateless_uniform((4, 1080, 1920, 3), seed=(1, 2))
rng = np.random.default_rng(0)

brightness = 0.0
for number in range(400):
    y, x = rng.integers(0, 1000, 2)
    photo = photos[number % 4].numpy()  # <- slow
    brightness += photo[y : y + 64, x : x + 64].mean()
print("brightness", round(float(brightness), 2))
"""

    fast = """\
import numpy as np
import tensorflow as tf

photos = tf.random.stateless_uniform((4, 1080, 1920, 3), seed=(1, 2))
rng = np.random.default_rng(0)

brightness = 0.0
for number in range(400):
    y, x = rng.integers(0, 1000, 2)
    patch = photos[number % 4, y : y + 64, x : x + 64]
    brightness += tf.reduce_mean(patch)
print("brightness", round(float(brightness), 2))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

frames = tf.random.stateless_uniform((8, 360, 640, 3), seed=(1, 2))

blurred = frames
for level in range(20):
    blurred = tf.nn.avg_pool2d(blurred, 3, strides=1, padding="SAME")
result = blurred.numpy()
print("mean", round(float(np.mean(result)), 2))
""",
        """\
import tensorflow as tf

features = tf.random.stateless_normal((4000, 300), seed=(1, 2))
labels = tf.reduce_sum(features[:, :5], axis=1, keepdims=True)
weights = tf.Variable(tf.zeros((300, 1)))


@tf.function
def step():
    error = features @ weights - labels
    weights.assign_sub(tf.matmul(features, error, transpose_a=True) / 10_000)
    return tf.reduce_mean(error**2)


losses = [float(step()) for number in range(150)]
print("loss", round(losses[-1], 3))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines at which many tensors left TensorFlow, and that took its time."""
        for site, rows in by_line(row for row in recording.syncs if row.main):
            calls = sum(row.calls for row in rows)
            seconds = sum(row.seconds for row in rows)
            if calls < LEAST_CALLS or seconds < LEAST_SECONDS_PER_CALL * calls:
                continue
            cost = cost_of(
                _lines.claim_at_most(recording, site, "convert", seconds),
                calls=calls,
                nbytes=sum(row.bytes for row in rows),
            )
            if not matters(recording, cost.seconds):
                continue
            main = max(rows, key=lambda row: row.seconds)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "bytes": cost.bytes,
                "method": main.method,
                "seconds_per_call": seconds / calls,
            }
            message = (
                f"{count_text(calls)} tensors, {bytes_text(cost.bytes)} in all, left TensorFlow "
                f"through {WAYS.get(main.method, main.method)}: {seconds_text(seconds / calls)} "
                "each, the wait for their ops included."
            )
            yield self.problem(site.at_line, message, cost, evidence)
