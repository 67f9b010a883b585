"""Whether XLA should compile what a function becomes, where nobody says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf

from unslow.native import ops
from unslow.native.tracing.surroundings import any_op_will_do
from unslow.native.untranslatable import Untranslatable


class _Translates(Protocol):
    def translate(self, *args: Any) -> Any: ...


def gains_by_xla(function: _Translates, tensors: Sequence[Any]) -> bool:
    """Whether a function has loops, which TensorFlow runs step by step, and XLA can compile it.

    Only in a graph, where that is done once, and where all sizes are known: XLA compiles anew for
    each other size, also of what is made on the way.
    """
    if tf.executing_eagerly() or not any_op_will_do():
        return False
    specs = [tf.TensorSpec(each.shape, each.dtype) for each in tensors]
    if not all(spec.shape.is_fully_defined() for spec in specs):
        return False
    blocks: list[ops.Block] = []

    def made(*given: Any) -> Any:
        blocks.append(function.translate(*given).block)
        return blocks[0].results

    compiled = tf.function(made, input_signature=specs, autograph=False, jit_compile=True)
    try:
        compiled.get_concrete_function()
    except Untranslatable:
        return False
    if not ops.has_loops(blocks[0]) or not ops.sizes_are_known(blocks[0]):
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
