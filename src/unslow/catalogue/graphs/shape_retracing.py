"""TF202: a compiled function traced again for every new shape."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.graphs import _tracing
from unslow.catalogue.page import Page, cost_of, count_text, seconds_text
from unslow.finding import Finding
from unslow.recording.data import Recording


class ShapeRetracing(Page):
    """A compiled function is given tensors of ever other shapes.

    ## What it is
    A `tf.function` without a signature is called with batches padded to their own longest
    row, images of their own size, or a growing history.

    ## Why it is slow
    The shape of a tensor argument is part of the compiled function. For a new shape
    TensorFlow runs your Python again and builds and optimises another graph, tens of
    milliseconds for a small function and seconds for a large model. With the usual options
    it does so for each of the shapes that comes up.

    ## When it does not matter
    Two or three shapes: a smaller last batch costs one trace. Few shapes that come back
    often, as sentences put in buckets have: specialised graphs can run faster.

    ## What to do
    `@tf.function(reduce_retracing=True)` leaves open what was seen to change, after two
    traces. `input_signature=[tf.TensorSpec((None, None), tf.int64)]` says it beforehand,
    with one. `drop_remainder=True` or padding to a few lengths keeps shapes fixed, which
    XLA needs.

    ## Safety of the fix
    The same results as long as the function asks `tf.shape(x)` where it needs a size:
    `x.shape` is `None` in an open dimension, and a Python `range` over it raises.
    """

    code = "TF202"
    name = "shape-retracing"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
batches = [rng.integers(0, 1000, (8, length)) for length in rng.integers(5, 80, 80)]
embedding = tf.random.stateless_normal((1000, 32), seed=(1, 2))
weights = tf.random.stateless_normal((32, 32), seed=(3, 4)) * 0.2


@tf.function
def encode(tokens):
    words = tf.gather(embedding, tokens)
    for _ in range(6):
        words = words + tf.nn.tanh(tf.einsum("bwd,de->bwe", words, weights))
    return tf.reduce_mean(tf.nn.l2_normalize(words, axis=-1))


total = 0.0
for batch in batches:
    total += float(encode(batch))  # <- slow
print("total", round(1000 * total, 1))
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
batches = [rng.integers(0, 1000, (8, length)) for length in rng.integers(5, 80, 80)]
embedding = tf.random.stateless_normal((1000, 32), seed=(1, 2))
weights = tf.random.stateless_normal((32, 32), seed=(3, 4)) * 0.2


@tf.function(input_signature=[tf.TensorSpec((None, None), tf.int64)])
def encode(tokens):
    words = tf.gather(embedding, tokens)
    for _ in range(6):
        words = words + tf.nn.tanh(tf.einsum("bwd,de->bwe", words, weights))
    return tf.reduce_mean(tf.nn.l2_normalize(words, axis=-1))


total = 0.0
for batch in batches:
    total += float(encode(batch))
print("total", round(1000 * total, 1))
"""

    fine = (
        """\
import tensorflow as tf

features = tf.random.stateless_normal((1000, 64), seed=(1, 2))
weights = tf.random.stateless_normal((24, 64, 64), seed=(3, 4)) * 0.1


@tf.function
def score(x):
    for layer in range(24):
        x = x + tf.nn.relu(x @ weights[layer])
    return tf.reduce_max(x)


for epoch in range(20):
    scores = [score(features[start : start + 150]) for start in range(0, 1000, 150)]
print("best", round(float(tf.reduce_max(scores)), 1))
""",
        """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(3, 4)) * 0.1


@tf.function(reduce_retracing=True)
def score(x):
    return tf.reduce_max(tf.nn.relu(x @ weights) @ weights)


best = tf.constant(0.0)
for rows in range(10, 200):
    best = tf.maximum(best, score(tf.random.stateless_normal((rows, 64), seed=(rows, 2))))
print("best", round(float(best), 1))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that called a compiled function with many shapes of an argument."""
        for row in _tracing.retraced(recording, "shape"):
            examples = ", ".join(row.values[:3]) + (", …" if row.count > 2 else "")
            message = (
                f"{row.function}() was traced {count_text(row.traces)} times in "
                f"{count_text(row.calls)} calls: the shape of `{row.argument}` changed "
                f"{count_text(row.count)} times ({examples}). "
                f"{seconds_text(row.seconds_per_trace)} a trace with its first run."
            )
            cost = cost_of(row.claims, calls=row.calls)
            yield self.problem(row.site, message, cost, row.evidence("shapes"))
