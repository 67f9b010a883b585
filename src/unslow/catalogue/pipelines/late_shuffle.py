"""TF308: large decoded elements wait in a shuffle buffer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unslow.catalogue.page import Page
from unslow.catalogue.pipelines import _functions, _stages
from unslow.finding import Alternative, Finding
from unslow.source.module import Module

LEAST_PLACES = 32
"""Smaller buffers cost little wherever they stand."""


class LateShuffle(Page):
    """Decoded images are shuffled, where the names or bytes they come from could be.

    ## What it is
    `shuffle` stands behind a `map` that reads or decodes, so its buffer holds large
    elements; or behind `batch`, so it draws whole batches.

    ## Why it is slow
    A shuffle buffer is filled before the first element leaves it. Filled with decoded
    images, that takes a decoding for each place: the program waits for a thousand images
    before its first step, at every start of the pipeline. They also take memory: a thousand
    images of 224x224 in float32 are 600 MB, the names of their files a few kB. The buffer
    is often made too small for that reason, and then hardly shuffles. What is gained is the
    wait at each start, often 5x of it, and the memory; not the time of a whole pass.

    ## When it does not matter
    Behind a `cache`: the elements are in memory anyway. Small elements. A buffer of a few
    elements. Batches that must stay together, such as parts of one series, may well be
    shuffled as batches; otherwise, rows that share a batch once share it for ever.

    ## What to do
    Shuffle first: names of files before they are read, serialised examples before they are
    parsed, rows before they become batches. The buffer can then be as long as the data.

    ## Safety of the fix
    Moving `shuffle` before a `map` that gives the same result every time draws the same
    order. Where the function draws random numbers itself, it draws them for other elements.
    Moving it before `batch` changes which rows meet in a batch.
    """

    code = "TF308"
    name = "late-shuffle"
    also = frozenset({"TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(20)
coarse = rng.integers(0, 256, size=(100, 16, 16, 3))
photos = [np.kron(photo, np.ones((16, 16, 1))).astype("uint8") for photo in coarse]
encoded = [tf.io.encode_jpeg(photo).numpy() for photo in photos]


def decode(data):
    image = tf.io.decode_jpeg(data, channels=3)
    return tf.image.resize(tf.ensure_shape(image, (256, 256, 3)), (128, 128))


images = tf.data.Dataset.from_tensor_slices(encoded)
images = images.map(decode).shuffle(100, seed=1)  # <- slow
first = images.batch(4).take(1)
total = tf.constant(0.0)
for look in range(9):
    for rows in first:
        total += tf.reduce_mean(rows)
print(f"light {float(total) / 9:.3f}")
"""

    fast = slow.replace(
        "map(decode).shuffle(100, seed=1)  # <- slow", "shuffle(100, seed=1).map(decode)"
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(21)
photos = rng.integers(0, 256, size=(20, 24, 24, 3)).astype("uint8")
encoded = [tf.io.encode_png(photo).numpy() for photo in photos]
marks = rng.normal(size=(40, 6)).astype("float32")


def decode(data):
    return tf.ensure_shape(tf.io.decode_png(data, channels=3), (24, 24, 3))


def double(row):
    return 2 * tf.reduce_max(row)


raw = tf.data.Dataset.from_tensor_slices(encoded)
kept = raw.map(decode).cache().shuffle(20, seed=1).batch(5)
early = raw.shuffle(20, seed=1).map(decode).batch(5)
small = tf.data.Dataset.from_tensor_slices(marks).map(double).shuffle(40, seed=1).batch(8)
print([sum(len(rows) for rows in batches) for batches in (kept, early, small)])
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Shuffle buffers behind a `map` that decodes."""
        for shuffle in module.calls_of("shuffle", "dataset"):
            if module.guarded(shuffle) or module.mode(shuffle) == "compiled":
                continue
            assert isinstance(shuffle.func, ast.Attribute)
            size = module.argument(shuffle, 0, "buffer_size")
            places = None if size is None else module.constant(size)
            if isinstance(places, (int, float)) and places < LEAST_PLACES:
                continue
            stage = _decoding(shuffle.func.value, module)
            if stage is None:
                continue
            work = _functions.reached(stage.argument(0, "map_func"), stage.module)
            edits = _stages.swapped(stage.call, shuffle, module)
            ways: tuple[Alternative, ...] = ()
            if edits and work is not None and work.repeatable:
                ways = (Alternative("shuffle first", "safe", edits),)
            elif edits:
                note = "random numbers or effects of the mapped function meet other elements"
                ways = (Alternative("shuffle first", "unsafe", edits, note=note),)
            message = (
                "The shuffle buffer holds decoded elements: it must decode enough to fill it "
                "before the first element comes, and keeps them all in memory. Shuffle what "
                "they are decoded from."
            )
            evidence = {"places": places} if isinstance(places, int) else {}
            finding = self.suspicion(module, shuffle, message, evidence, ways)
            yield _stages.at_method(finding, module, shuffle)


def _decoding(rows: ast.expr, module: Module) -> _stages.Stage | None:
    """The `map` that decodes what is shuffled, where nothing keeps or filters its results."""
    for stage in reversed(_stages.chain(rows, module).stages):
        if stage.name == "map":
            work = _functions.reached(stage.argument(0, "map_func"), stage.module)
            if work is None:
                return None
            if work.names & _functions.DECODERS:
                return stage
        elif stage.name not in ("batch", "prefetch", "repeat"):
            return None
    return None
