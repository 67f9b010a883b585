"""TF210: a function compiled with XLA, compiled again for every new shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _source
from unslow.catalogue.graphs.shape_retracing import changing_argument
from unslow.catalogue.page import Page
from unslow.finding import Finding

if TYPE_CHECKING:
    from unslow.source.module import Module


class XlaRecompiling(Page):
    """A function with `jit_compile=True` is given tensors of ever other shapes.

    ## What it is
    `@tf.function(jit_compile=True)` or `model.compile(jit_compile=True)`, fed batches
    that are padded to their own longest row, or images of their own size.

    ## Why it is slow
    XLA makes machine code for fixed shapes. Each new shape is traced and compiled, some
    tenths of a second for a small function and minutes for a large model, where without
    XLA it would be a trace or, with open dimensions, nothing at all. Neither
    `reduce_retracing=True` nor a signature with `None` helps: XLA sees the shape at each
    call.

    ## When it does not matter
    Few shapes, such as buckets and a smaller last batch. What has been compiled is kept.

    ## What to do
    Keep shapes fixed: `padded_batch` with `padded_shapes`, padding to a multiple of 32 or
    to a power of two, `drop_remainder=True`. Mask what was added. Where shapes must stay
    free, leave XLA out: `reduce_retracing=True` without `jit_compile`.

    ## Safety of the fix
    Advice. Padding is right only where the function masks what was added: means, norms and
    attention count it otherwise. Without XLA the last digits differ.
    """

    code = "TF210"
    name = "xla-recompiling"
    also = frozenset({"TF202"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
batches = [rng.random((length, 32), dtype=np.float32) for length in range(5, 45)]
weights = tf.random.stateless_normal((32, 32), seed=(3, 4)) * 0.2


@tf.function(jit_compile=True)
def score(rows):
    for _ in range(4):
        rows = rows + tf.nn.tanh(rows @ weights)
    return tf.reduce_sum(rows)


scores = []
for batch in batches:
    scores.append(score(batch))  # <- slow
print("total", round(float(tf.add_n(scores)) / 1e4, 1))
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
batches = [rng.random((length, 32), dtype=np.float32) for length in range(5, 45)]
weights = tf.random.stateless_normal((32, 32), seed=(3, 4)) * 0.2


@tf.function(jit_compile=True)
def score(rows):
    for _ in range(4):
        rows = rows + tf.nn.tanh(rows @ weights)
    return tf.reduce_sum(rows)


scores = []
for batch in batches:
    padded = np.zeros((48, 32), np.float32)
    padded[: len(batch)] = batch
    scores.append(score(padded))
print("total", round(float(tf.add_n(scores)) / 1e4, 1))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
weights = tf.random.stateless_normal((32, 32), seed=(3, 4)) * 0.2


@tf.function(jit_compile=True)
def score(rows):
    return tf.reduce_sum(tf.nn.tanh(rows @ weights))


images = rng.random((64, 32, 32), dtype=np.float32)
lengths = tf.data.Dataset.from_tensor_slices([3, 9, 4, 7, 12] * 10)
sentences = lengths.map(lambda length: tf.ones((length, 32)))
whole = tf.data.Dataset.from_tensor_slices(images).batch(16)
buckets = sentences.padded_batch(5, padded_shapes=(16, 32))

scores = [score(batch) for batch in whole]
scores += [score(batch) for batch in buckets]
for start in range(0, 64, 16):
    scores.append(score(images[start : start + 16]))
print("scores", len(scores))
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Calls of functions compiled with XLA in a loop, with shapes that change."""
        for call, compiled in _source.repeated_calls(module):
            if True not in (
                _source.option(compiled, "jit_compile"),
                _source.option(compiled, "experimental_compile"),
            ):
                continue
            found = changing_argument(module, call)
            if found is None:
                continue
            argument, why = found
            function = _source.function_name(compiled, call)
            message = (
                f"`{module.text(argument)}` has ever other shapes, as {why}: XLA compiles "
                f"{function}() again for each of them."
            )
            evidence = {"function": function, "argument": module.text(argument), "why": why}
            yield self.suspicion(module, call, message, evidence)
