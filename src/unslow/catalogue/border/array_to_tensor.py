"""TF102: the same array made into a tensor again and again."""

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
from unslow.recording.data import Conversion, Recording

LEAST_REPEATS = 5

LEAST_BYTES = 4096
"""Smaller arrays cost no more than a Python number, and ops make such for themselves."""


class ArrayToTensor(Page):
    """One NumPy array that does not change is copied into a tensor in every iteration.

    ## What it is
    A loop passes the same array to TensorFlow ops. Each op needs a tensor, so each time the
    whole array is copied into one.

    ## Why it is slow
    The copy costs as much as reading and writing all bytes: about 10 ms for 50 MB on a
    usual machine, plus fresh memory. With a GPU the copy crosses the bus as well. Cheap ops
    on large arrays then spend most of their time on the copy; a float64 array doubles it
    and often brings a cast along.

    ## When it does not matter
    Small arrays: a copy of some kilobytes takes microseconds. Arrays that are new in every
    iteration, as batches are: they must be copied once.

    ## What to do
    Convert once before the loop with `tf.constant(array, tf.float32)` and pass the tensor.

    ## Safety of the fix
    Equal results as long as nothing writes into the array between iterations: a tensor
    keeps the values it was made of. Making it float32 changes the precision; keep the
    dtype to keep the result bit for bit.
    """

    code = "TF102"
    name = "array-to-tensor"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
gallery = rng.standard_normal((40_000, 128))
queries = tf.constant(rng.standard_normal((80, 128)))

best = []
for query in queries:
    scores = tf.linalg.matvec(gallery, query)  # <- slow
    best.append(int(tf.argmax(scores)))
print("matches", best[:5], sum(best))
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
gallery = tf.constant(rng.standard_normal((40_000, 128)))
queries = tf.constant(rng.standard_normal((80, 128)))

best = []
for query in queries:
    scores = tf.linalg.matvec(gallery, query)
    best.append(int(tf.argmax(scores)))
print("matches", best[:5], sum(best))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
weights = tf.constant(rng.standard_normal((512, 512)).astype(np.float32))

total = 0.0
for number in range(30):
    batch = rng.standard_normal((4000, 512)).astype(np.float32)
    total += float(tf.reduce_mean(tf.matmul(batch, weights)))
print("total", round(total, 2))
""",
        """\
import numpy as np
import tensorflow as tf

mean = np.array([0.485, 0.456, 0.406], np.float32)
photos = tf.random.stateless_uniform((40, 256, 256, 3), seed=(1, 2))

total = 0.0
for number in range(40):
    centered = photos[number] - mean
    total += float(tf.reduce_mean(centered * centered))
print("total", round(total, 2))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines whose conversions mostly met an array that had been converted just before."""
        arrays = [
            row
            for row in recording.conversions
            if row.main
            and row.kind == "array"
            and row.repeats >= LEAST_REPEATS
            and row.bytes >= LEAST_BYTES * row.calls
        ]
        for site, rows in by_line(arrays):
            claims = _lines.claim_at_most(
                recording, site, "convert", sum(_repeated_seconds(row) for row in rows)
            )
            calls = sum(row.calls for row in rows)
            repeats = sum(row.repeats for row in rows)
            nbytes = round(sum(row.bytes * row.repeats / row.calls for row in rows))
            cost = cost_of(claims, calls=calls, nbytes=nbytes)
            if not matters(recording, cost.seconds):
                continue
            largest = max(rows, key=_repeated_seconds)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "repeats": repeats,
                "bytes": nbytes,
                "dtype": largest.dtype,
                "seconds_per_call": cost.seconds / repeats,
            }
            message = (
                f"The same {largest.dtype} array of {bytes_text(largest.bytes / largest.calls)} "
                f"was made into a tensor {count_text(repeats)} times more than needed, "
                f"{seconds_text(cost.seconds / repeats)} each."
            )
            yield self.problem(site.at_line, message, cost, evidence)


def _repeated_seconds(row: Conversion) -> float:
    return row.seconds * row.repeats / row.calls
