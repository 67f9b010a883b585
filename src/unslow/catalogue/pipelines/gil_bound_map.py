"""TF305: parallel calls of Python code that the interpreter lock runs one at a time."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.page import (
    Page,
    by_line,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.finding import Finding
from unslow.recording.data import Recording

MOST_CORES = 1.15
LEAST_CORES = 0.5
LEAST_OVERLAP = 1.4
LEAST_WAIT = 0.5
"""Of the busy time: else the model competes for the cores, and no verdict can be had."""


class GilBoundMap(Page):
    """A parallel `map` calls pure Python, which one lock runs one call at a time.

    ## What it is
    `map(…, num_parallel_calls=…)` or a parallel `interleave` whose function reaches Python
    through `numpy_function` or `py_function`, and that Python holds the interpreter lock
    for its whole work. Several calls are under way, one core is busy.

    ## Why it is slow
    Threads of one interpreter take turns at Python code. Pure Python therefore gains
    nothing from parallel calls; the turns themselves cost a little, and they take the lock
    from the training loop. On a machine with many cores all but one wait.

    ## When it does not matter
    Where the function releases the lock for most of its time: NumPy on large arrays, image
    decoders, reading files, sleeping on a network. Where the model is slower than this one
    core anyway.

    ## What to do
    Write the work as TensorFlow ops, which run in parallel without the lock. If it must be
    Python, do it on whole batches with NumPy calls that release the lock, do it once and
    cache the result, or spread it over processes that write TFRecord files.

    ## Safety of the fix
    No automatic fix. Native ops can differ from their Python twin in rounding, in Unicode
    and in edge cases: compare the elements of both pipelines before switching.
    """

    code = "TF305"
    name = "gil-bound-map"
    also = frozenset({"TF101", "TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(6)
recordings = rng.standard_normal((40, 150_000), dtype="float32")
levels = (-1.0, 0.0, 1.0)


def count_crossings(signal):
    crossings = 0
    for level in levels:
        above = signal[0] > level
        for value in signal.tolist():
            if (value > level) != above:
                crossings += 1
                above = not above
    return np.int64(crossings)


def crossings_of(signal):
    return tf.numpy_function(count_crossings, [signal], tf.int64)  # <- slow


signals = tf.data.Dataset.from_tensor_slices(recordings)
counts = signals.map(crossings_of, num_parallel_calls=4)
total = tf.constant(0, tf.int64)
for batch in counts.batch(10):
    total += tf.reduce_sum(batch)
print(f"crossings {int(total)}")
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(6)
recordings = rng.standard_normal((40, 150_000), dtype="float32")
levels = (-1.0, 0.0, 1.0)


def crossings_of(signal):
    above = signal > tf.constant(levels)[:, tf.newaxis]
    crosses = above[:, 1:] != above[:, :-1]
    return tf.math.count_nonzero(crosses)


signals = tf.data.Dataset.from_tensor_slices(recordings)
counts = signals.map(crossings_of, num_parallel_calls=4)
total = tf.constant(0, tf.int64)
for batch in counts.batch(10):
    total += tf.reduce_sum(batch)
print(f"crossings {int(total)}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

weights = tf.constant(np.random.default_rng(7).normal(size=(1_024, 1_024)), tf.float32)


def spectrum(seed):
    signal = np.random.default_rng(seed).normal(size=2**17)
    return np.abs(np.fft.rfft(signal)[:1_024]).astype("float32")


def load(seed):
    return tf.ensure_shape(tf.numpy_function(spectrum, [seed], tf.float32), [1_024])


@tf.function
def score(rows):
    tiled = tf.tile(rows, [700, 1])
    return tf.reduce_max(tf.tanh(tiled @ weights) @ weights)


spectra = tf.data.Dataset.range(24).map(load, num_parallel_calls=2)
scores = [score(rows) for rows in spectra.batch(4)]
print(len(scores))
""",
        """\
import time

import numpy as np
import tensorflow as tf

weights = tf.constant(np.random.default_rng(8).normal(size=(1_024, 1_024)), tf.float32)


def download(number):
    time.sleep(0.01)
    return np.full(1_024, number, "float32")


def fetch(number):
    return tf.ensure_shape(tf.numpy_function(download, [number], tf.float32), [1_024])


@tf.function
def score(rows):
    tiled = tf.tile(rows, [700, 1])
    return tf.reduce_max(tf.tanh(tiled @ weights) @ weights)


pages = tf.data.Dataset.range(24).map(fetch, num_parallel_calls=4)
scores = [score(rows) for rows in pages.batch(4)]
print(len(scores))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Python functions of pipelines whose parallel calls together kept one core busy."""
        rows = [
            row
            for row in recording.bridges
            if row.pipeline and row.kind != "generator" and row.threads >= 2
        ]
        for site, bridges in by_line(rows):
            busy = sum(row.busy_seconds for row in bridges)
            if busy <= 0:
                continue
            calls = sum(row.calls for row in bridges)
            cores = sum(row.cpu_seconds for row in bridges) / busy
            overlap = sum(row.seconds for row in bridges) / busy
            cost = cost_of((claim for row in bridges for claim in row.claims), calls=calls)
            gil_bound = LEAST_CORES <= cores <= MOST_CORES and overlap >= LEAST_OVERLAP
            waited = cost.seconds >= LEAST_WAIT * busy
            if not (gil_bound and waited and matters(recording, cost.seconds)):
                continue
            threads = max(row.threads for row in bridges)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "threads": threads,
                "cores_busy": cores,
                "calls_under_way": overlap,
            }
            message = (
                f"Up to {threads} calls of {bridges[0].function}() were under way at once, yet "
                f"together they kept {cores:.1f} cores busy: the interpreter lock ran "
                f"{count_text(calls)} calls one after the other, and the program waited "
                f"{seconds_text(cost.seconds)} for them."
            )
            yield self.problem(site.at_line, message, cost, evidence)
