"""TF108: float64 where float32 was meant."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.border import _facts, _loops
from unslow.catalogue.page import Page
from unslow.finding import Finding

if TYPE_CHECKING:
    from unslow.source.module import Module

LEAST_ROUNDS = 10

LEAST_NUMBERS = 2_000
"""Smaller arrays are worked on in no time, whatever their precision."""

PRODUCTS = frozenset(
    f"tensorflow.{name}"
    for name in _facts.words("""
    einsum linalg.matmul linalg.matvec matmul nn.atrous_conv2d nn.conv1d nn.conv2d nn.conv3d
    nn.conv2d_transpose nn.convolution nn.depthwise_conv2d nn.separable_conv2d tensordot
    """)
)
"""Functions whose time is arithmetic."""


class DoublePrecision(Page):
    """NumPy's float64 reaches TensorFlow's ops, which then work in double precision.

    ## What it is
    NumPy makes float64 unless told otherwise: `np.random.rand`, `np.linspace`, `np.zeros`.
    A TensorFlow op takes the array as it is and computes in float64, and so does all that
    is computed from its result.

    ## Why it is slow
    Twice the bytes through every cache and bus, and half as many numbers per instruction; a
    GPU that is not made for it does float64 at a small fraction of its float32 speed. Dense
    products and convolutions often take 2x as long on a CPU, up to 5x and more elsewhere.

    ## When it does not matter
    Keras layers and models cast their inputs themselves. Cheap ops, or a few of them.
    Where the digits are needed: linear systems, long sums, physics. A float64 that is
    written out in the program is taken as meant so, and nothing is said about it.

    ## What to do
    `.astype(np.float32)` where the array is made, `dtype=np.float32` where NumPy takes one,
    or `tf.constant(array, tf.float32)`. Change all that meet in one op: TensorFlow raises
    where a float32 tensor meets a float64 one.

    ## Safety of the fix
    Advice only. float32 has about 7 digits in place of 16; losses and images rarely notice,
    ill-conditioned systems and differences of large numbers do.
    """

    code = "TF108"
    name = "double-precision"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
weights = tf.constant(rng.standard_normal((900, 900)) / 30)
state = tf.constant(rng.standard_normal((900, 900)))

for number in range(25):
    state = tf.tanh(tf.matmul(state, weights))  # <- slow
print("state", round(float(tf.reduce_mean(tf.abs(state))), 2))
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
weights = tf.constant(rng.standard_normal((900, 900)) / 30, tf.float32)
state = tf.constant(rng.standard_normal((900, 900)), tf.float32)

for number in range(25):
    state = tf.tanh(tf.matmul(state, weights))
print("state", round(float(tf.reduce_mean(tf.abs(state))), 2))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
model = tf.keras.Sequential([tf.keras.Input((40,)), tf.keras.layers.Dense(8)])
photos = [rng.random((64, 40)) for _ in range(12)]
scores = [model(photo) for photo in photos]
print("dtypes", {score.dtype.name for score in scores})

system = tf.constant(rng.standard_normal((120, 120)) + 120 * np.eye(120), dtype=tf.float64)
answer = tf.zeros((120, 1), tf.float64)
for number in range(20):
    answer = tf.ones((120, 1), tf.float64) - tf.matmul(system, answer) / 120 + answer
print("answer", answer.shape)
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
weights = tf.constant(np.linspace(-1, 1, 300 * 300).reshape(300, 300), dtype=tf.float32)
mixing = np.random.default_rng(1).standard_normal((300, 300))

total = 0.0
for number in range(20):
    signals = rng.standard_normal((300, 300)) @ mixing
    answer = tf.matmul(tf.cast(signals, tf.float32), weights)
    total += tf.reduce_mean(answer**2)
print("total", round(float(total), 1))

once = tf.matmul(mixing, mixing)
print("once", once.dtype.name)
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Dense products in a loop whose operands surely are float64 that nobody asked for."""
        if module.graph_mode or _is_meant(module):
            return
        seen: set[ast.AST] = set()
        for call in module.calls_to(*PRODUCTS):
            name = module.qualified(call.func)
            operands = call.args[1:3] if name == "tensorflow.einsum" else call.args[:2]
            if _loops.each_round(module, call, LEAST_ROUNDS) is None or len(operands) < 2:
                continue
            loop = module.loops(call)[-1]
            if loop in seen or not _are_double(module, operands):
                continue
            seen.add(loop)
            message = (
                f"{module.text(call.func)} works in double precision here, in every round of the "
                f"loop at line {module.site(loop).line}: NumPy makes float64 unless it is told "
                "otherwise. float32 is what TensorFlow's own functions make."
            )
            yield self.suspicion(module, call, message, {"dtype": "float64"})


def _are_double(module: Module, operands: list[ast.expr]) -> bool:
    """Whether all operands are float64, and none of them is known to be small."""
    every = [_facts.facts(module, each) for each in operands]
    return all(
        each.side in ("array", "tensor", "variable")
        and each.dtype == "float64"
        and (each.size is None or each.size >= LEAST_NUMBERS)
        for each in every
    )


def _is_meant(module: Module) -> bool:
    """Whether the program speaks of float64 itself: then it is meant."""
    names = ("float64", "double", "set_floatx")
    return any(module.attributes(name) for name in names) or any(
        node.value in ("float64", "double") for node in module.nodes(ast.Constant)
    )
