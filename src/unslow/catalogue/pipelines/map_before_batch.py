"""TF303: a cheap function is called for every row, though it could take whole batches."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unslow.catalogue.page import Page
from unslow.catalogue.pipelines import _functions, _stages
from unslow.finding import Alternative, Finding
from unslow.source.module import Module


class MapBeforeBatch(Page):
    """A cheap function is mapped over single rows, and only then are they put into batches.

    ## What it is
    `map` and then `batch`, where the function treats all numbers alike: a cast, a scaling,
    a sum with a constant.

    ## Why it is slow
    A call of the mapped function costs some 10 µs however little it does: a frame is set
    up, its ops are scheduled, a tensor is allocated. For a row of a few hundred numbers
    that is nearly all of the cost. Called once per batch, it is paid once per batch: often
    10x faster for small rows, 2x for small images.

    ## When it does not matter
    Where the function is costly by itself: decoding an image takes as long in a batch of
    one as in a batch of a hundred. Where rows differ in shape until the function has made
    them alike. Where it mixes the numbers of one row, as a normalisation by the row's own
    mean does: that needs the axis spelled out first.

    ## What to do
    Write `batch` first and `map` after it. Many functions need no other change. Where an
    axis is counted from the front, count it from the back: `axis=-1` means the same with
    and without a batch.

    ## Safety of the fix
    Exact where the function treats all numbers alike and the rows have one shape. A
    function that looks at the shape, the rank or a single row of what it is given does
    something else with a batch. `drop_remainder=True` stays as it is.
    """

    code = "TF303"
    name = "map-before-batch"
    also = frozenset({"TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(14)
digits = rng.integers(0, 256, size=(15_000, 14, 14)).astype("uint8")
kinds = rng.integers(0, 10, size=15_000)


def scale(image, kind):
    return tf.cast(image, tf.float32) / 255.0, kind


rows = tf.data.Dataset.from_tensor_slices((digits, kinds))
batches = rows.map(scale).batch(100)  # <- slow
total = tf.constant(0.0)
for images, _ in batches:
    total += tf.reduce_mean(images)
print(f"mean {float(total) / 150:.4f}")
"""

    fast = slow.replace("map(scale).batch(100)  # <- slow", "batch(100).map(scale)")

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(15)
photos = rng.integers(0, 256, size=(40, 24, 20, 3)).astype("uint8")
labels = rng.integers(0, 3, size=40)


def scale(image, label):
    return tf.cast(image, tf.float32) / 255.0, label


def standardise(image, label):
    image = tf.cast(image, tf.float32)
    return (image - tf.reduce_mean(image)) / tf.math.reduce_std(image), label


def one_hot(image, label):
    return tf.transpose(image, [1, 0, 2]), tf.one_hot(label, 3)


rows = tf.data.Dataset.from_tensor_slices((photos, labels))
for images, wanted in rows.batch(10).map(scale):
    print(images.shape, wanted.shape)
for images, wanted in rows.map(standardise).map(one_hot).batch(20):
    print(images.shape, wanted.shape)

# Rows of several lengths: a batch can hold them only after padding.
words = tf.ragged.constant([[1, 2], [3], [4, 5, 6]])
lengths = tf.data.Dataset.from_tensor_slices(words).map(lambda row: row * 2)
for row in lengths.padded_batch(3):
    print(row.shape)
""",
        """\
import numpy as np
import tensorflow as tf

series = tf.data.Dataset.range(40)


def scale(values):
    return tf.cast(values, tf.float32) / 40.0


def of_window(window):
    return window.batch(8)


# Scaled rows are shuffled, repeated or cut into windows before they are put into batches.
windows = series.map(scale).window(8, drop_remainder=True).flat_map(of_window)
for rows in windows.batch(5):
    print(rows.shape)
scaled = series.map(scale)
print(max(float(value) for value in scaled.take(3)))
print(sum(len(rows) for rows in scaled.batch(10)))
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Maps of functions that treat all numbers alike, over rows in memory, before `batch`."""
        seen: set[ast.Call] = set()
        for batch in module.calls_of("batch", "dataset"):
            if module.guarded(batch):
                continue
            rows = _stages.mapped_rows(batch, module)
            if rows is None:
                continue
            stage, before = rows
            function = stage.argument(0, "map_func")
            work = _functions.row_work(function, stage.module)
            if work is None or work.parsers or not _is_cheap(before):
                continue
            if stage.module is not module or stage.call in seen or _is_kept(batch, module):
                continue
            seen.add(stage.call)
            edits = _stages.moved(stage.call, batch, module)
            ways: tuple[Alternative, ...] = ()
            if edits and work.exact:
                ways = (Alternative("batch, then map", "safe", edits),)
            elif edits:
                note = "the last digits can differ, as batches are worked on in wider pieces"
                ways = (Alternative("batch, then map", "unsafe", edits, note=note),)
            message = (
                "The mapped function treats all numbers alike, yet it is called for every row and "
                "the rows are put into batches afterwards: for such cheap work the call itself is "
                "most of the cost. Batch first, and map whole batches."
            )
            finding = self.suspicion(module, stage.call, message, {"exact": work.exact}, ways)
            yield _stages.at_method(finding, module, stage.call)


def _is_cheap(before: _stages.Chain) -> bool:
    """Whether the rows come from memory, and not from a few numbers of an example."""
    if before.source not in ("from_tensor_slices", "range"):
        return False
    first = before.stages[0]
    if before.source == "range":
        counts = [first.module.constant(each) for each in first.call.args]
        if all(isinstance(count, int) and count < 1_000 for count in counts):
            return False
    else:
        rows = first.argument(0, "tensors")
        if _functions.is_small(rows, first.module) or _is_ragged(rows, first.module):
            return False
    for stage in before.stages[1:]:
        if stage.name == "map":
            work = _functions.row_work(stage.argument(0, "map_func"), stage.module)
            if work is None or work.parsers:
                return False
        elif stage.name not in (
            *("shuffle", "repeat", "take", "skip", "shard", "prefetch", "cache", "enumerate"),
        ):
            return False
    return True


def _is_ragged(rows: ast.expr | None, module: Module) -> bool:
    """Whether rows are written as ragged or sparse: those know fewer operations."""
    if rows is None:
        return True
    rows = _stages.written(rows, module)
    names = [
        module.qualified(call.func) or "" for call in ast.walk(rows) if isinstance(call, ast.Call)
    ]
    return any(
        name.startswith(("tensorflow.ragged.", "tensorflow.sparse.", "tensorflow.Ragged"))
        or name == "tensorflow.SparseTensor"
        for name in names
    )


def _is_kept(batch: ast.Call, module: Module) -> bool:
    """Whether a cache keeps the batches: rows are then mapped in the first epoch only."""
    return any(
        stage.call is batch
        for keeper in ("cache", "snapshot")
        for call in module.calls_of(keeper, "dataset")
        if isinstance(call.func, ast.Attribute)
        for stage in _stages.chain(call.func.value, module).stages
    )
