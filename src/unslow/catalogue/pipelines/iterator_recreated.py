"""TF311: a new iterator for every element."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.page import (
    Page,
    claim,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.catalogue.pipelines import _waits
from unslow.finding import Finding
from unslow.recording.data import Recording


class IteratorRecreated(Page):
    """`next(iter(dataset))` in a loop starts the whole pipeline anew for every element.

    ## What it is
    A line that makes an iterator, takes an element or two from it, throws it away, and is
    reached many times.

    ## Why it is slow
    An iterator is a running pipeline. Making one builds its stages, starts its threads and
    fills its shuffle and prefetch buffers; all of that is thrown away with it. A call costs
    milliseconds before the first row is read, and a shuffle buffer of 1000 images decodes
    1000 images to give one batch. Keeping the iterator is often 50x faster.

    It is also often a mistake: without a shuffle the loop sees the same first batch for
    ever.

    ## When it does not matter
    To look at one batch, or once per epoch. For a dataset of a single batch that is read
    to its end a few times.

    ## What to do
    Write `for batch in dataset:`. Where the loop must ask for elements itself, make
    `batches = iter(dataset.repeat())` before it and call `next(batches)` inside. Where the
    same first batch is wanted every time, take it once before the loop.

    ## Safety of the fix
    A kept iterator moves on through the data, so a loop that saw the first batch again and
    again will now see all of them. That is nearly always what was meant, and it changes the
    results. With a shuffle, each element comes once per epoch instead of by chance.
    """

    code = "TF311"
    name = "iterator-recreated"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(7)
inputs = rng.normal(size=(4_000, 16)).astype("float32")
targets = inputs @ rng.normal(size=(16, 1)).astype("float32")
targets += rng.normal(size=(4_000, 1)).astype("float32")
training = tf.data.Dataset.from_tensor_slices((inputs[:3_000], targets[:3_000]))
training = training.batch(12)
validation = tf.data.Dataset.from_tensor_slices((inputs[3_000:], targets[3_000:]))
validation = validation.shuffle(1_000, seed=1, reshuffle_each_iteration=False).batch(500)

weights = tf.Variable(tf.zeros((16, 1)))


@tf.function
def train_step(rows, wanted):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((rows @ weights - wanted) ** 2)
    weights.assign_sub(0.05 * tape.gradient(loss, weights))


@tf.function
def error(rows, wanted):
    return tf.reduce_mean(tf.abs(rows @ weights - wanted))


best = tf.constant(np.inf)
for rows, wanted in training:
    train_step(rows, wanted)
    probe, answer = next(iter(validation))  # <- slow
    best = tf.minimum(best, error(probe, answer))
print(f"best {float(best):.3f}")
"""

    fast = slow.replace("    probe, answer = next(iter(validation))  # <- slow\n", "").replace(
        "best = tf.constant(np.inf)\n",
        "best = tf.constant(np.inf)\nprobe, answer = next(iter(validation))\n",
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(8)
inputs = rng.normal(size=(2_000, 16)).astype("float32")
dataset = tf.data.Dataset.from_tensor_slices(inputs).shuffle(2_000, seed=1).batch(20)

weights = tf.constant(rng.normal(size=(16, 4_096)), tf.float32)


@tf.function
def score(rows):
    hidden = tf.nn.relu(rows @ weights)
    return tf.reduce_mean(tf.matmul(hidden, hidden, transpose_b=True))


print(next(iter(dataset)).shape)
batches = iter(dataset.repeat())
scores = [score(next(batches)) for _ in range(200)]
print(len(scores))
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(9)
training = tf.data.Dataset.from_tensor_slices(rng.normal(size=(1_000, 8))).batch(50)
validation = tf.data.Dataset.from_tensor_slices(rng.normal(size=(60, 8))).batch(60)
total = 0.0
for epoch in range(5):
    seen = [tf.reduce_sum(rows) for rows in training]
    checked = [tf.reduce_sum(rows) for rows in validation]
    total += float(seen[-1]) + float(checked[0])
print(f"total {total:.3f}")
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that made many iterators for an element or two each."""
        for found in _waits.restarts(recording):
            made = found.made
            # One iterator is needed in any case.
            needless = (made - 1) / made
            spent = recording.line(found.site)
            part = "build" if spent.get("build", 0.0) > 0 else "input"
            # Python's share of making an iterator and taking it down has no row of its own.
            claims = [
                claim(found.site, part, found.make_seconds * needless),
                claim(found.site, "python", spent.get("python", 0.0) * needless),
            ]
            for row in found.takes:
                wait = row.wait_seconds * needless
                in_bridge = row.bridge_seconds * needless
                claims += _waits.wait_claims(row.site, wait, in_bridge)
            cost = cost_of(_waits.summed(claims), calls=made)
            if not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": made,
                "seconds": cost.seconds,
                "elements": found.elements,
                "make_seconds": found.make_seconds,
                "wait_seconds": sum(row.wait_seconds for row in found.takes),
            }
            message = (
                f"Made {count_text(made)} iterators to take {count_text(found.elements)} elements: "
                f"the pipeline started anew each time, {seconds_text(cost.seconds / made)} a start."
            )
            yield self.problem(found.site.at_line, message, cost, evidence)
