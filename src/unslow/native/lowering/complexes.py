"""Formulas on complex numbers, with zeros, infinities and NaN where NumPy has them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.kit import elementwise
from unslow.native.lowering.basics import _copysign, hypot, number, where


def _parts(a: Any) -> tuple[Any, Any]:
    return ops.call("tf.math.real", a), ops.call("tf.math.imag", a)


def _scaled(factor: float, a: Any) -> Any:
    return ops.call("tf.multiply", a, number(factor, a))


def direction(a: Any) -> Any:
    """The sign: the number of size 1 in the same direction."""
    parts = _parts(a)
    size = hypot(*parts)
    none = elementwise("tf.equal", size, number(0, size))
    endless = [elementwise("tf.math.is_inf", part) for part in parts]
    both = ops.call("tf.logical_and", *endless)
    either = ops.call("tf.logical_or", *endless)
    found = []
    for part, inf in zip(parts, endless, strict=True):
        usual = where(none, number(0, size), elementwise("tf.divide", part, size))
        usual = where(elementwise("tf.math.is_nan", size), number(np.nan, size), usual)
        far = where(inf, elementwise("tf.sign", part), number(0, size))
        found.append(where(either, where(both, number(np.nan, size), far), usual))
    return ops.call("tf.complex", *found)


def log1p(a: Any) -> Any:
    """`log(1 + a)`."""
    real, imaginary = _parts(a)
    more = ops.call("tf.add", real, number(1, real))
    size = ops.call("tf.math.log", hypot(more, imaginary))
    return ops.call("tf.complex", size, ops.call("tf.atan2", imaginary, more))


def expm1(a: Any) -> Any:
    """`exp(a) - 1`."""
    real, imaginary = _parts(a)
    half = ops.call("tf.sin", _scaled(0.5, imaginary))
    less = _scaled(2, ops.call("tf.square", half))
    grown = ops.call("tf.multiply", ops.call("tf.math.expm1", real), ops.call("tf.cos", imaginary))
    turned = ops.call("tf.multiply", ops.call("tf.exp", real), ops.call("tf.sin", imaginary))
    return ops.call("tf.complex", ops.call("tf.subtract", grown, less), turned)


def exp2(a: Any) -> Any:
    """`2 ** a`."""
    real, imaginary = [_scaled(math.log(2), part) for part in _parts(a)]
    return ops.call("tf.exp", ops.call("tf.complex", real, imaginary))


def sqrt(a: Any) -> Any:
    """The root: its imaginary part has the sign of the number's, that of zero included."""
    x, y = _parts(a)
    real, imaginary = _parts(ops.call("tf.sqrt", a))
    infinite = elementwise("tf.math.is_inf", y)
    real = where(infinite, number(np.inf, x), real)
    imaginary = where(infinite, number(np.inf, x), elementwise("tf.abs", imaginary))
    return ops.call("tf.complex", real, _copysign(imaginary, y))


def _by_larger(x: Any, y: Any) -> tuple[Any, Any, Any]:
    """Whether the real part is the larger, the ratio of the parts, and what divides by both."""
    wide = elementwise("tf.greater_equal", elementwise("tf.abs", x), elementwise("tf.abs", y))
    large, small = where(wide, x, y), where(wide, y, x)
    ratio = ops.call("tf.divide", small, large)
    return wide, ratio, ops.call("tf.add", large, ops.call("tf.multiply", small, ratio))


def divide(a: Any, b: Any) -> Any:
    """A quotient, by the larger part of the divisor, as NumPy has it."""
    x, y = _parts(a)
    u, v = _parts(b)
    wide, ratio, total = _by_larger(u, v)
    scale = ops.call("tf.divide", number(1, total), total)
    x_ratio, y_ratio = ops.call("tf.multiply", x, ratio), ops.call("tf.multiply", y, ratio)
    real = where(wide, ops.call("tf.add", x, y_ratio), ops.call("tf.add", x_ratio, y))
    imaginary = where(
        wide, ops.call("tf.subtract", y, x_ratio), ops.call("tf.subtract", y_ratio, x)
    )
    zero = ops.call(
        "tf.logical_and",
        elementwise("tf.equal", u, number(0, u)),
        elementwise("tf.equal", v, number(0, v)),
    )
    by_zero = [ops.call("tf.divide", part, elementwise("tf.abs", u)) for part in (x, y)]
    return ops.call(
        "tf.complex",
        where(zero, by_zero[0], ops.call("tf.multiply", real, scale)),
        where(zero, by_zero[1], ops.call("tf.multiply", imaginary, scale)),
    )


def reciprocal(a: Any) -> Any:
    """`1 / a`, by the larger part, as NumPy has it."""
    x, y = _parts(a)
    wide, ratio, total = _by_larger(x, y)
    one = ops.call("tf.divide", number(1, total), total)
    turned = ops.call("tf.divide", ratio, total)
    minus = [elementwise("tf.negative", each) for each in (one, turned)]
    return ops.call("tf.complex", where(wide, one, turned), where(wide, minus[1], minus[0]))


def power(a: Any, b: Any) -> Any:
    """A power; of zero, and with the exponent zero, as NumPy has it."""
    none = ops.call("tf.equal", b, number(0, b))
    zero = ops.call("tf.equal", a, number(0, a))
    real = ops.call("tf.math.real", b)
    positive = elementwise("tf.greater", real, number(0, real))
    of_zero = where(positive, number(0, a), number(complex(np.nan, np.nan), a))
    found = where(zero, of_zero, ops.call("tf.pow", a, b))
    return where(none, number(1, a), found)
