"""TF201: a compiled function traced again for every new value of a Python argument."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.graphs import _tracing
from unslow.catalogue.page import Page, cost_of, count_text, seconds_text
from unslow.finding import Finding
from unslow.recording.data import Recording


class PythonArgumentRetracing(Page):
    """A compiled function is given a Python number or string that keeps changing.

    ## What it is
    A `tf.function` is called with a Python `int`, `float`, `bool` or `str` whose value
    differs from call to call: a step number, a decaying learning rate, a file name.

    ## Why it is slow
    A Python value is part of the compiled function, like a constant. For a new value
    TensorFlow runs your Python again and builds and optimises another graph: tens of
    milliseconds for a small function, seconds for a large model, and all those graphs stay
    in memory.

    ## When it does not matter
    Few values: `training=True` and `False` are two graphs, and should be. NumPy numbers
    and arrays do not retrace; they become tensors.

    ## What to do
    Pass a tensor: `step(x, tf.constant(rate))`, or a `tf.Variable` that is assigned. Or
    give the function an `input_signature`, which makes tensors of numbers. A loop counter
    can be a `tf.Variable` or come from `tf.range`.

    ## Safety of the fix
    Inside the function the argument is a tensor then: a Python `if` or `range` on it becomes
    part of the graph, f-strings and dict keys no longer show its value, and a float is
    float32 where Python had 64 bits.
    """

    code = "TF201"
    name = "python-argument-retracing"

    slow = """\
import tensorflow as tf

features = tf.random.stateless_normal((64, 32), seed=(1, 2))
labels = tf.reduce_sum(features[:, :4], axis=1, keepdims=True)
hidden = tf.Variable(tf.random.stateless_normal((32, 64), seed=(3, 4)) * 0.1)
output = tf.Variable(tf.random.stateless_normal((64, 1), seed=(5, 6)) * 0.1)


@tf.function
def step(x, y, rate):
    with tf.GradientTape() as tape:
        predicted = tf.nn.relu(x @ hidden) @ output
        loss = tf.reduce_mean((predicted - y) ** 2)
    gradients = tape.gradient(loss, [hidden, output])
    hidden.assign_sub(rate * gradients[0])
    output.assign_sub(rate * gradients[1])
    return loss


for epoch in range(50):
    rate = 0.05 * 0.97**epoch
    loss = step(features, labels, rate)  # <- slow
print("loss", round(float(loss), 2))
"""

    fast = """\
import tensorflow as tf

features = tf.random.stateless_normal((64, 32), seed=(1, 2))
labels = tf.reduce_sum(features[:, :4], axis=1, keepdims=True)
hidden = tf.Variable(tf.random.stateless_normal((32, 64), seed=(3, 4)) * 0.1)
output = tf.Variable(tf.random.stateless_normal((64, 1), seed=(5, 6)) * 0.1)


@tf.function
def step(x, y, rate):
    with tf.GradientTape() as tape:
        predicted = tf.nn.relu(x @ hidden) @ output
        loss = tf.reduce_mean((predicted - y) ** 2)
    gradients = tape.gradient(loss, [hidden, output])
    hidden.assign_sub(rate * gradients[0])
    output.assign_sub(rate * gradients[1])
    return loss


for epoch in range(50):
    rate = tf.constant(0.05 * 0.97**epoch)
    loss = step(features, labels, rate)
print("loss", round(float(loss), 2))
"""

    fine = (
        """\
import tensorflow as tf

weights = tf.random.stateless_normal((16, 128, 128), seed=(1, 2)) * 0.1
batch = tf.random.stateless_normal((64, 128), seed=(3, 4))


@tf.function
def forward(x, training):
    for layer in range(16):
        x = tf.nn.relu(x @ weights[layer])
        if training:
            x = tf.nn.experimental.stateless_dropout(x, 0.1, seed=(layer, 1))
    return tf.reduce_mean(x)


for epoch in range(100):
    loss = forward(batch, training=True)
    validation = forward(batch, training=False)
print("validation", round(float(validation), 3))
""",
        """\
import numpy as np
import tensorflow as tf

weights = tf.Variable(tf.zeros((64, 1)))
features = tf.random.stateless_normal((512, 64), seed=(1, 2))
labels = tf.reduce_sum(features[:, :5], axis=1, keepdims=True)


@tf.function
def step(rate):
    error = features @ weights - labels
    weights.assign_sub(rate * tf.matmul(features, error, transpose_a=True) / 512)
    return tf.reduce_mean(error**2)


for rate in np.linspace(0.5, 0.01, 100, dtype=np.float32):
    loss = step(rate)
print("loss", round(float(loss), 3))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that called a compiled function with many values of a Python argument."""
        for row in _tracing.retraced(recording, "python value"):
            values = row.count + 1
            examples = ", ".join(row.values[:3]) + (", …" if values > 3 else "")
            message = (
                f"{row.function}() was traced {count_text(row.traces)} times in "
                f"{count_text(row.calls)} calls: `{row.argument}` is a Python value and "
                f"changed {count_text(row.count)} times ({examples}). "
                f"{seconds_text(row.seconds_per_trace)} a trace with its first run."
            )
            cost = cost_of(row.claims, calls=row.calls)
            yield self.problem(row.site, message, cost, row.evidence("values"))
