"""How long a function takes whose loops the graph runs step by step."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from unslow.native import ops
from unslow.native.function import Native


def seconds_up_to(most: float, function: Native, arguments: Sequence[Any]) -> float:
    """Seconds that one call of a function takes as ops, without XLA; its loops end after `most`.

    What runs in the graph cannot be stopped from outside, so the loops look at the clock.
    """

    def timed(*given: Any) -> Any:
        with ops.loops_until(tf.timestamp() + most):
            return function.translate(*given).structure

    specs = [tf.TensorSpec(each.shape, each.dtype) for each in map(tf.constant, arguments)]
    called = tf.function(timed, autograph=False).get_concrete_function(*specs)
    given = [tf.constant(each) for each in arguments]
    # In its first run TensorFlow also prepares the graph.
    _seconds(called, given)
    return _seconds(called, given)


def _seconds(called: Any, given: Sequence[Any]) -> float:
    began = time.perf_counter()
    tf.nest.map_structure(lambda each: each.numpy(), called(*given))
    return time.perf_counter() - began
