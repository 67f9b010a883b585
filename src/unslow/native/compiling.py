"""Whether XLA should compile what a function becomes, where nobody says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf

from unslow.native import ops
from unslow.native.untranslatable import Untranslatable

IMPRECISE = "tf.linalg.svd"
"""XLA gives singular vectors of float64 no nearer than 1e-7."""

SAMPLES = 4
"""From so many gathers of pixels on XLA gains: it joins them, as where an image is turned."""


class _Traces(Protocol):
    def traced(self, *specs: Any) -> tuple[Any, Any]: ...


def gains_by_xla(function: _Traces, specs: Sequence[Any]) -> bool:
    """Whether XLA can compile a function, and it has what TensorFlow is slow at.

    That are loops, which a graph runs step by step, and pixels taken from many places. All sizes
    must be known, also of what is made on the way: XLA compiles anew for each other size.
    `function` is made with `jit_compile=True`; `specs`: tensors, or `tf.TensorSpec`, of its
    arguments.
    """
    specs = [tf.TensorSpec(each.shape, each.dtype) for each in specs]
    if not all(spec.shape.is_fully_defined() for spec in specs):
        return False
    try:
        compiled, translation = function.traced(*specs)
    except Untranslatable:
        return False
    block = translation.block
    if not ops.has_loops(block) and ops.count_samples(block) < SAMPLES:
        return False
    if not ops.sizes_are_known(block) or ops.calls(block, IMPRECISE):
        return False
    with tf.init_scope():
        return _lowers(compiled, specs)


def _lowers(compiled: Any, specs: Sequence[tf.TensorSpec]) -> bool:
    """Whether XLA has kernels for all ops, for any values of the arguments."""
    if not tf.executing_eagerly():
        return False
    try:
        compiled.experimental_get_compiler_ir(*specs)(stage="hlo")
    except (tf.errors.OpError, ValueError, TypeError, NotImplementedError, AttributeError):
        # Without a kernel, or in a TensorFlow that cannot tell.
        return False
    return True
