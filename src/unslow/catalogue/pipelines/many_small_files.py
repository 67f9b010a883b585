"""TF312: a file is opened for every element."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unslow.catalogue.page import Page
from unslow.catalogue.pipelines import _functions, _stages
from unslow.finding import Finding
from unslow.source.module import Module


class ManySmallFiles(Page):
    """Every element of the dataset is a small file of its own.

    ## What it is
    A dataset of file names and a `map` that calls `tf.io.read_file` on each.

    ## Why it is slow
    Opening a file costs the same whether it holds a kilobyte or a gigabyte: little on a
    local disk whose pages are in memory, some milliseconds on a spinning one, and tens of
    milliseconds on network or cloud storage. A TFRecord file of some 100 MB holds thousands
    of elements and is read from front to end.

    ## When it does not matter
    Files on a fast local disk that are decoded after reading: the decoding then takes most
    of the time. Files of many megabytes. A single pass over the data.

    ## What to do
    Write the elements once into a few TFRecord files and read those with
    `tf.data.TFRecordDataset(paths, num_parallel_reads=tf.data.AUTOTUNE)`. Where the data
    fits in memory, `cache()` after reading spares all epochs but the first.

    ## Safety of the fix
    No automatic fix: the files must be written first. Several files read side by side give
    their elements in turn, so the order of the elements can change; shuffle them.
    """

    code = "TF312"
    name = "many-small-files"
    also = frozenset({"TF301"})
    by_default = False

    slow = """\
import os
import tempfile

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(24)
readings = rng.integers(0, 256, size=(3_000, 64)).astype("uint8")
folder = tempfile.TemporaryDirectory()
for number, reading in enumerate(readings):
    with open(os.path.join(folder.name, f"{number:05}.bin"), "wb") as file:
        file.write(reading.tobytes())


def to_numbers(batch):
    return tf.io.decode_raw(batch, tf.uint8)


paths = tf.data.Dataset.list_files(os.path.join(folder.name, "*.bin"), shuffle=False)
contents = paths.map(tf.io.read_file)  # <- slow
total = tf.constant(0, tf.int64)
for batch in contents.batch(100).map(to_numbers):
    total += tf.reduce_sum(tf.cast(batch, tf.int64))
folder.cleanup()
print(f"sum {int(total)}")
"""

    fast = """\
import os
import tempfile

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(24)
readings = rng.integers(0, 256, size=(3_000, 64)).astype("uint8")
folder = tempfile.TemporaryDirectory()
path = os.path.join(folder.name, "readings.tfrecord")
with tf.io.TFRecordWriter(path) as writer:
    for reading in readings:
        writer.write(reading.tobytes())


def to_numbers(batch):
    return tf.io.decode_raw(batch, tf.uint8)


contents = tf.data.TFRecordDataset(path)
total = tf.constant(0, tf.int64)
for batch in contents.batch(100).map(to_numbers):
    total += tf.reduce_sum(tf.cast(batch, tf.int64))
folder.cleanup()
print(f"sum {int(total)}")
"""

    fine = (
        """\
import os
import tempfile

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(25)
folder = tempfile.TemporaryDirectory()
paths = [os.path.join(folder.name, name) for name in ("north.csv", "south.csv")]
for path in paths:
    with open(path, "w") as file:
        file.writelines(f"{value:.3f},{value > 0:d}\\n" for value in rng.normal(size=200))


def parse(lines):
    return tf.io.decode_csv(lines, [0.0, 0])


logo = tf.io.read_file(paths[0])
print(int(tf.strings.length(logo)) > 0)
lines = tf.data.TextLineDataset(paths).batch(100).map(parse)
print(sum(int(tf.reduce_sum(kinds)) for _, kinds in lines) > 0)
both = tf.data.Dataset.from_tensor_slices(["north.csv", "south.csv"])
texts = both.map(lambda name: tf.io.read_file(folder.name + "/" + name))
print(len(list(texts)))
folder.cleanup()
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Maps that read a whole file for each of many names."""
        for call in module.calls_of("map", "dataset"):
            if module.guarded(call) or _stages.opened_by_dataset(call, module):
                continue
            assert isinstance(call.func, ast.Attribute)
            work = _functions.reached(module.argument(call, 0, "map_func"), module)
            if work is None or not work.names & _functions.READERS:
                continue
            names = _stages.chain(call.func.value, module)
            if not _are_many(names):
                continue
            message = (
                "A file is opened for every element. Where files are small or far away, opening "
                "them is most of the work: a few TFRecord files are read from front to end."
            )
            finding = self.suspicion(module, call, message, {"source": names.source})
            yield _stages.at_method(finding, module, call)


def _are_many(names: _stages.Chain) -> bool:
    """Whether a dataset of names can be long, and is gone through as a whole."""
    if names.source == "list_files":
        return "take" not in names.names
    if names.source != "from_tensor_slices" or "take" in names.names:
        return False
    first = names.stages[0]
    return not _functions.is_small(first.argument(0, "tensors"), first.module)
