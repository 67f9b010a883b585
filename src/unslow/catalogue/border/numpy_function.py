"""TF101: Python code that a graph or an input pipeline calls element by element."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.page import Page, by_line, cost_of, count_text, matters, seconds_text
from unslow.finding import Finding
from unslow.recording.data import Bridge, Recording

KINDS = ("numpy_function", "py_function")
LEAST_CALLS = 50
LEAST_BUSY = 0.3
PARALLEL_CORES = 1.5


class NumpyFunction(Page):
    """A graph or an input pipeline leaves TensorFlow to call Python, many times over.

    ## What it is
    `tf.numpy_function` or `tf.py_function` inside a `Dataset.map` or a compiled function,
    called once per image, row or step, while the program waits for it.

    ## Why it is slow
    Every call takes the interpreter lock, copies its arguments into arrays and its result
    back: about 80 µs before your code begins. The lock lets no two calls run Python at the
    same time, so `num_parallel_calls` does not help pure Python, and the training loop
    needs the same lock. TensorFlow can neither fuse nor optimise what it cannot see.

    ## When it does not matter
    Where the call handles a whole batch and few calls are made. Where the work lies in a
    library that releases the lock and several calls really run at once. Where it waits for
    a disk or a network. Where the model is slower and prefetching hides the pipeline.

    ## What to do
    In this order: batch first and let the function work on the batch (often 10x); write it
    with TensorFlow ops on batches; use a library that releases the lock; cache the result
    if it is the same in every epoch. A native rewrite that still runs per element can gain
    little: what costs is often the arithmetic, not the bridge.

    ## Safety of the fix
    Only with equal results shown. Interpolation, rounding and data types differ between
    NumPy, image libraries and TensorFlow's ops. Random numbers drawn in Python have another
    sequence than TensorFlow's.
    """

    code = "TF101"
    name = "numpy-function"
    also = frozenset({"TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

scans = np.random.default_rng(0).integers(0, 256, (4000, 48, 48, 3), dtype=np.uint8)
angle, center = 0.3, 23.5


def rotate(scan):
    y, x = np.mgrid[:48, :48] - center
    columns = np.rint(np.cos(angle) * x - np.sin(angle) * y + center).astype(int)
    rows = np.rint(np.sin(angle) * x + np.cos(angle) * y + center).astype(int)
    inside = (columns >= 0) & (columns < 48) & (rows >= 0) & (rows < 48)
    rotated = scan[rows.clip(0, 47), columns.clip(0, 47)]
    return np.where(inside[..., None], rotated, 0).astype(np.uint8)


def augment(scan):
    scan = tf.numpy_function(rotate, [scan], tf.uint8)  # <- slow
    return tf.ensure_shape(scan, (48, 48, 3))


dataset = tf.data.Dataset.from_tensor_slices(scans).map(augment).batch(50)
brightness = 0.0
for batch in dataset:
    brightness += float(tf.reduce_mean(tf.cast(batch, tf.float32)))
print("brightness", round(brightness))
"""

    fast = """\
import numpy as np
import tensorflow as tf

scans = np.random.default_rng(0).integers(0, 256, (4000, 48, 48, 3), dtype=np.uint8)
angle, center = 0.3, 23.5


def rotate(batch):
    cos, sin = np.cos(angle), np.sin(angle)
    right, down = center * (1 - cos + sin), center * (1 - sin - cos)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=batch,
        transforms=tf.constant([[cos, -sin, right, sin, cos, down, 0, 0]], tf.float32),
        output_shape=(48, 48),
        fill_value=0,
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )


dataset = tf.data.Dataset.from_tensor_slices(scans).batch(50).map(rotate)
brightness = 0.0
for batch in dataset:
    brightness += float(tf.reduce_mean(tf.cast(batch, tf.float32)))
print("brightness", round(brightness))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
signals = rng.standard_normal((4000, 256)).astype(np.float32)


def spectra(batch):
    return np.abs(np.fft.rfft(batch, axis=1)).astype(np.float32)


def transform(batch):
    return tf.numpy_function(spectra, [batch], tf.float32)


dataset = tf.data.Dataset.from_tensor_slices(signals).batch(500).map(transform)
print("spectra", sum(len(batch) for batch in dataset))
""",
        """\
import numpy as np
import tensorflow as tf

losses = []
weights = tf.Variable(tf.zeros((400, 1)))


@tf.function
def step(x, y, number):
    error = x @ weights - y
    weights.assign_sub(0.1 * tf.matmul(x, error, transpose_a=True) / 2000)
    loss = tf.reduce_mean(error**2)
    if number % 10 == 0:
        tf.py_function(lambda value: losses.append(float(value)), [loss], [])
    return loss


rng = np.random.default_rng(0)
x = tf.constant(rng.standard_normal((2000, 400)), tf.float32)
y = tf.reduce_sum(x[:, :5], axis=1, keepdims=True)
for number in tf.range(200):
    step(x, y, number)
print("losses", len(losses))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Python functions called from graphs many times while the main thread waited."""
        rows = [
            row
            for row in recording.bridges
            if row.kind in KINDS and not _is_of_debug_mode(recording, row)
        ]
        for site, bridges in by_line(rows):
            calls = sum(row.calls for row in bridges)
            cost = cost_of(
                (claim for row in bridges for claim in row.claims),
                calls=calls,
                nbytes=sum(row.bytes for row in bridges),
            )
            if calls < LEAST_CALLS or not matters(recording, cost.seconds):
                continue
            if _waits_elsewhere(bridges) or _runs_in_parallel(bridges):
                continue
            threads = max(row.threads for row in bridges)
            pipeline = any(row.pipeline for row in bridges)
            each = sum(row.seconds for row in bridges) / calls
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "seconds_per_call": each,
                "bytes": cost.bytes,
                "threads": threads,
                "pipeline": pipeline,
                "function": bridges[0].function,
            }
            where = "inside the input pipeline" if pipeline else "from a compiled function"
            together = (
                "one at a time" if threads < 2 else f"up to {threads} under way, one lock for all"
            )
            message = (
                f"Python ran {bridges[0].function}() {count_text(calls)} times {where}, "
                f"{seconds_text(each)} each, {together}; the program waited "
                f"{seconds_text(cost.seconds)} for it."
            )
            yield self.problem(site.at_line, message, cost, evidence)


def _is_of_debug_mode(recording: Recording, row: Bridge) -> bool:
    """Whether TensorFlow itself registered the function, to run a pipeline in Python."""
    debug = any(setting.name == "tf.data debug mode" for setting in recording.settings)
    return debug and row.pipeline and row.definition is None


def _waits_elsewhere(bridges: list[Bridge]) -> bool:
    """Whether the calls mostly slept: reading files, a network, a device."""
    busy = sum(row.busy_seconds for row in bridges)
    return sum(row.cpu_seconds for row in bridges) < LEAST_BUSY * busy


def _runs_in_parallel(bridges: list[Bridge]) -> bool:
    """Whether several calls really computed at once, so that they release the lock."""
    busy = sum(row.busy_seconds for row in bridges)
    return sum(row.cpu_seconds for row in bridges) > PARALLEL_CORES * busy
