"""Keeps TensorFlow's graph optimiser away from what it gets wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.tracing.surroundings import any_op_will_do

_NEUTRAL = {"Mul": 1, "RealDiv": 1, "Div": 1, "Pow": 1, "AddV2": 0, "Add": 0, "Sub": 0}
"""Ops that give one operand back where the other is this number."""

_MOVES = {
    "Identity",
    "Reshape",
    "Transpose",
    "StridedSlice",
    "Slice",
    "SelectV2",
    "Select",
    "Squeeze",
    "ExpandDims",
    "BroadcastTo",
    "Tile",
    "Pad",
    "ReverseV2",
    "ConcatV2",
}
"""Ops that may turn out to move nothing."""

_SUMS = ("AddV2", "Add")
_STEPS = 64


def must_be_hidden(one: Any, other: Any) -> bool:
    """Whether the optimiser must not see how `other` is made, that is added to or joined to `one`.

    In a branch or a loop's body, TensorFlow (seen in 2.21) makes an empty tensor of the sum, or
    of the stack, of tensors that it has just found to be the same, as in `x + x * 1`.
    """
    if one is other or not all(isinstance(each, tf.Tensor) for each in (one, other)):
        return False
    if tf.executing_eagerly():
        return False
    first, second = _origins(one), _origins(other)
    if not any(first[each] or second[each] for each in first.keys() & second.keys()):
        return False
    # XLA has no such op, nor need of it; what is vectorised would become a slow loop.
    return any_op_will_do()


def _origins(tensor: Any) -> dict[int, bool]:
    """The identities of the tensors that a tensor, or a term of the sum that it is, may be.

    With each, whether an op would have to be left out for that.
    """
    found: dict[int, bool] = {}
    waiting = [(tensor, False)]
    for _ in range(_STEPS):
        if not waiting:
            break
        tensor, left_out = waiting.pop()
        tensor = _outermost(tensor)
        if id(tensor) in found and (found[id(tensor)] or not left_out):
            continue
        found[id(tensor)] = left_out
        inputs = list(tensor.op.inputs)
        kind = tensor.op.type
        if kind in _MOVES:
            waiting += [(each, True) for each in inputs if _may_be_equal(each, tensor)]
        elif kind in _NEUTRAL:
            for each, another in (inputs, inputs[::-1]):
                if _may_be(another, _NEUTRAL[kind]):
                    waiting.append((each, True))
                elif kind in _SUMS:
                    waiting.append((each, left_out))
    return found


def _may_be_equal(one: Any, other: Any) -> bool:
    sizes = [each.shape.num_elements() for each in (one, other)]
    return bool(one.dtype == other.dtype) and (None in sizes or sizes[0] == sizes[1])


def _outermost(tensor: Any) -> Any:
    """The tensor of an outer graph that a placeholder stands for."""
    while tensor.op.type == "Placeholder":
        pairs = getattr(tensor.graph, "captures", [])
        outer = next((one for one, inner in pairs if inner is tensor), None)
        if outer is None or not hasattr(outer, "graph"):
            break
        tensor = outer
    return tensor


def _may_be(tensor: Any, number: int) -> bool:
    """Whether all elements may be that number, as far as the optimiser can tell."""
    tensor = _outermost(tensor)
    value = tf.get_static_value(tensor)
    return value is not None and bool(np.all(np.asarray(value) == number))
