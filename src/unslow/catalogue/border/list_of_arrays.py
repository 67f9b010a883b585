"""TF105: a list of arrays made into one tensor number by number."""

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


class ListOfArrays(Page):
    """A list of NumPy arrays is given to TensorFlow, which reads it number by number.

    ## What it is
    `tf.convert_to_tensor`, `tf.constant`, `tf.stack` or any op is called with a list or
    tuple of arrays, such as images collected in a loop.

    ## Why it is slow
    For an array TensorFlow copies one block of memory. For a list it does not know what is
    inside, takes every array apart through Python's sequence protocol and makes a Python
    object of every single number: in the order of 100 ns a number, 15 ms for an image of
    224 x 224. Stacking in NumPy first is often 50x to 200x faster.

    ## When it does not matter
    A handful of small arrays; lists of plain numbers have no faster way of much use.

    ## What to do
    `tf.convert_to_tensor(np.stack(arrays))`, or write into one array that was made for the
    whole batch beforehand.

    ## Safety of the fix
    The same values, shape and dtype where all arrays have the same dtype. With mixed dtypes
    NumPy promotes where TensorFlow raises; arrays of unequal shapes raise in both.
    """

    code = "TF105"
    name = "list-of-arrays"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
photos = [rng.random((64, 64, 3), dtype=np.float32) for _ in range(300)]

total = 0.0
for start in range(0, 300, 50):
    batch = tf.convert_to_tensor(photos[start : start + 50])  # <- slow
    total += float(tf.reduce_mean(batch * batch))
print("energy", round(total, 3))
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
photos = [rng.random((64, 64, 3), dtype=np.float32) for _ in range(300)]

total = 0.0
for start in range(0, 300, 50):
    batch = tf.convert_to_tensor(np.stack(photos[start : start + 50]))
    total += float(tf.reduce_mean(batch * batch))
print("energy", round(total, 3))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

boxes = [np.array([0.1, 0.1, 0.5, 0.6], np.float32), np.array([0, 0, 1, 1], np.float32)]
photos = tf.random.stateless_uniform((20, 2, 128, 128, 3), seed=(1, 2))

total = 0.0
for pair in photos:
    crops = tf.image.crop_and_resize(pair, tf.stack(boxes), [0, 1], (64, 64))
    total += float(tf.reduce_mean(crops))
print("total", round(total, 2))
""",
        """\
import tensorflow as tf

weights = [tf.random.stateless_normal((300, 300), seed=(1, n)) for n in range(20)]

stacked = tf.stack(weights)
for number in range(10):
    stacked = tf.linalg.l2_normalize(stacked @ stacked, axis=(1, 2))
print("norm", round(float(tf.norm(stacked)), 2))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines whose conversions of lists of arrays took their time."""
        lists = [row for row in recording.conversions if row.main and row.kind == "arrays"]
        for site, rows in by_line(lists):
            calls = sum(row.calls for row in rows)
            arrays = sum(row.elements for row in rows)
            seconds = sum(row.seconds for row in rows)
            cost = cost_of(
                _lines.claim_at_most(recording, site, "convert", seconds),
                calls=calls,
                nbytes=sum(row.bytes for row in rows),
            )
            if not arrays or not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "arrays": arrays,
                "bytes": cost.bytes,
                "seconds_per_array": cost.seconds / arrays,
            }
            message = (
                f"{count_text(arrays)} arrays in {count_text(calls)} "
                f"list{'' if calls == 1 else 's'}, "
                f"{bytes_text(cost.bytes)} in all, were made into tensors number by number: "
                f"{seconds_text(cost.seconds / arrays)} an array."
            )
            yield self.problem(site.at_line, message, cost, evidence)
