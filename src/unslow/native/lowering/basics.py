"""What the formulas of ufuncs are written with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.kit import dtype_of, elementwise

Formula = Callable[..., Any]


def _kind(tensor: Any) -> str:
    return dtype_of(tensor).kind


def number(value: Any, like: Any) -> Any:
    """A known number of the dtype of a tensor."""
    return np.asarray(value, dtype_of(like))


def where(condition: Any, yes: Any, no: Any) -> Any:
    """One or the other, element by element."""
    return ops.call("tf.where", condition, yes, no)


def truth(tensor: Any) -> Any:
    """Which elements are not zero."""
    return (
        tensor if _kind(tensor) == "b" else elementwise("tf.not_equal", tensor, number(0, tensor))
    )


def _wrapping(name: str, *tensors: Any) -> Any:
    """Sums and products of integers are the same bits, signed or not."""
    return elementwise(name, *tensors)


def _negative(a: Any) -> Any:
    if _kind(a) == "u":
        # `0 - a` would be rewritten to an op that has no kernel for unsigned integers.
        return _wrapping("tf.add", elementwise("tf.bitwise.invert", a), number(1, a))
    return elementwise("tf.negative", a)


def signbit(a: Any) -> Any:
    """Whether the sign bit of floats is set, that of zeros and NaN included."""
    integer = {2: "int16", 4: "int32", 8: "int64"}[dtype_of(a).itemsize]
    bits = ops.call("tf.bitcast", a, integer)
    return elementwise("tf.less", bits, number(0, bits))


def _copysign(a: Any, b: Any) -> Any:
    magnitude = elementwise("tf.abs", a)
    return where(signbit(b), elementwise("tf.negative", magnitude), magnitude)


def hypot(a: Any, b: Any) -> Any:
    """The length of a vector of two floats, where its square would overflow, too."""
    big = elementwise("tf.maximum", elementwise("tf.abs", a), elementwise("tf.abs", b))
    small = elementwise("tf.minimum", elementwise("tf.abs", a), elementwise("tf.abs", b))
    ratio = elementwise("tf.math.divide_no_nan", small, big)
    root = elementwise(
        "tf.sqrt", elementwise("tf.add", number(1, a), elementwise("tf.square", ratio))
    )
    found = elementwise("tf.multiply", big, root)
    infinite = ops.call(
        "tf.logical_or", elementwise("tf.math.is_inf", a), elementwise("tf.math.is_inf", b)
    )
    return where(infinite, number(np.inf, a), found)
