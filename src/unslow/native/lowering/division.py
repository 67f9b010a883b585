"""Division, remainders and powers, at zero and at the least integer as NumPy has them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.kit import cast, dtype_of, elementwise, is_known, refuse
from unslow.native.lowering.basics import (
    _copysign,
    _kind,
    _negative,
    _wrapping,
    number,
    truth,
    where,
)
from unslow.native.lowering.complexes import power
from unslow.native.tracing.checks import note


def _safe(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Divisors without 0 and -1, where the others are, and where -1 is."""
    zero = elementwise("tf.equal", b, number(0, b))
    minus = (
        elementwise("tf.equal", b, number(-1, b))
        if _kind(b) == "i"
        else ops.call("tf.zeros_like", zero)
    )
    safe = where(ops.call("tf.logical_or", zero, minus), number(1, b), b)
    return safe, zero, minus


def _floor_divide(a: Any, b: Any) -> Any:
    if _kind(a) == "f":
        return _float_divmod(a, b)[0]
    safe, zero, minus = _safe(a, b)
    found = elementwise("tf.math.floordiv", a, safe)
    if _kind(b) == "i":
        found = where(minus, _negative(a), found)
    return where(zero, number(0, a), found)


def _remainder(a: Any, b: Any) -> Any:
    if _kind(a) == "f":
        return _float_divmod(a, b)[1]
    safe, zero, minus = _safe(a, b)
    found = elementwise("tf.math.floormod", a, safe)
    return where(ops.call("tf.logical_or", zero, minus), number(0, a), found)


def _fmod(a: Any, b: Any) -> Any:
    if _kind(a) == "f":
        return elementwise("tf.truncatemod", a, b)
    safe, zero, minus = _safe(a, b)
    found = elementwise("tf.truncatemod", a, safe)
    return where(ops.call("tf.logical_or", zero, minus), number(0, a), found)


def _float_divmod(a: Any, b: Any) -> tuple[Any, Any]:
    """Floor and remainder of floats, that fit one another exactly, as NumPy has them."""
    if dtype_of(a) == np.float16:
        whole, rest = _float_divmod(cast(a, "float32"), cast(b, "float32"))
        return cast(whole, "float16"), cast(rest, "float16")
    zero, one = number(0, a), number(1, a)
    rest = elementwise("tf.truncatemod", a, b)
    whole = ops.call("tf.divide", ops.call("tf.subtract", a, rest), b)
    odd = ops.call(
        "tf.logical_and",
        ops.call("tf.not_equal", rest, zero),
        ops.call("tf.not_equal", ops.call("tf.less", b, zero), ops.call("tf.less", rest, zero)),
    )
    fitting = where(odd, ops.call("tf.add", rest, b), rest)
    whole = where(odd, ops.call("tf.subtract", whole, one), whole)
    fitting = where(
        ops.call("tf.equal", rest, zero), _copysign(ops.call("tf.zeros_like", a), b), fitting
    )
    down = ops.call("tf.floor", whole)
    up = ops.call("tf.greater", ops.call("tf.subtract", whole, down), number(0.5, a))
    down = where(up, ops.call("tf.add", down, one), down)
    quotient = ops.call("tf.divide", a, b)
    none = _copysign(ops.call("tf.zeros_like", a), quotient)
    down = where(ops.call("tf.equal", whole, zero), none, down)
    by_zero = ops.call("tf.equal", b, zero)
    return where(by_zero, quotient, down), where(by_zero, rest, fitting)


def _divmod(a: Any, b: Any) -> tuple[Any, Any]:
    if _kind(a) == "f":
        return _float_divmod(a, b)
    return _floor_divide(a, b), _remainder(a, b)


def _power(a: Any, b: Any) -> Any:
    if _kind(a) in "iu":
        known = as_known(b)
        if known is not None and np.all(known >= 0) and known.size == 1:
            return _integer_power(a, int(known.reshape(-1)[0]))
        if dtype_of(a) == np.uint64:
            return _unsigned_power(a, b)
        # A negative exponent is an error here, as it is in NumPy.
        if _kind(b) == "i":
            note("tf.less", b, number(0, b))
        return elementwise("tf.pow", a, b)
    if _kind(a) == "c":
        return power(a, b)
    known = as_known(b)
    if known is not None and known.size == 1 and _kind(a) == "f" and not known.shape:
        exponent = float(known)
        if exponent == 2:
            return elementwise("tf.square", a)
        if exponent == 1:
            return a
        if exponent == 0.5:
            root = elementwise("tf.sqrt", a)
            if _is_root(dtype_of(a)):
                return root
            infinite = elementwise("tf.equal", a, number(-np.inf, a))
            return where(infinite, number(np.inf, a), elementwise("tf.abs", root))
        if exponent == -0.5:
            # The op's rewriting to a root has other values at -0 and -inf.
            plain = where(elementwise("tf.equal", a, number(0, a)), number(0, a), a)
            root = elementwise("tf.divide", number(1, a), elementwise("tf.sqrt", plain))
            return where(elementwise("tf.equal", a, number(-np.inf, a)), number(0, a), root)
    return elementwise("tf.pow", a, b)


@functools.cache
def _is_root(dtype: np.dtype[Any]) -> bool:
    """Whether this NumPy takes the root for `np.power(a, 0.5)`: that differs at -0 and -inf."""
    with np.errstate(all="ignore"):
        found = np.power(np.array([-np.inf], dtype), np.array(0.5, dtype))
    return bool(np.isnan(found[0]))


def as_known(tensor: Any) -> Any:
    """The value of a tensor that was made of a known one."""
    import tensorflow as tf

    return tensor if is_known(tensor) else tf.get_static_value(tensor)


def _integer_power(a: Any, exponent: int) -> Any:
    """By repeated squaring, so that what overflows wraps."""
    found: Any = None
    square = a
    while exponent:
        if exponent & 1:
            found = square if found is None else _wrapping("tf.multiply", found, square)
        exponent >>= 1
        if exponent:
            square = _wrapping("tf.multiply", square, square)
    return ops.call("tf.ones_like", a) if found is None else found


def _unsigned_power(a: Any, b: Any) -> Any:
    """Powers of unsigned integers of 64 bits: the same bits as those of signed ones.

    An exponent of 2**63 or more gives what one does that is less by a multiple of 2**62: an odd
    base comes back to 1 after 2**62 steps, and of an even one nothing is left after 64.
    """
    exponent = cast(b, "int64")
    low = ops.call("tf.bitwise.bitwise_and", exponent, np.int64(2**62 - 1))
    folded = ops.call("tf.bitwise.bitwise_or", low, np.int64(2**62))
    exponent = where(ops.call("tf.less", exponent, np.int64(0)), folded, exponent)
    return cast(ops.call("tf.pow", cast(a, "int64"), exponent), "uint64")


def _float_power(a: Any, b: Any) -> Any:
    return _power(a, b)


def _gcd(a: Any, b: Any) -> Any:
    refuse(dtype_of(a) == np.uint64, "greatest divisors of unsigned integers of 64 bits")
    a, b = cast(a, "int64"), cast(b, "int64")
    a, b = elementwise("tf.abs", a), elementwise("tf.abs", b)
    # The least integer has no absolute value; as the dividend it is as good without.
    least = ops.call("tf.less", b, np.int64(0))
    a, b = where(least, b, a), where(least, a, b)
    a, b = (
        elementwise("tf.add", a, ops.call("tf.zeros_like", b)),
        elementwise("tf.add", b, ops.call("tf.zeros_like", a)),
    )

    def body(state: list[Any]) -> list[Any]:
        return _gcd_step(*state)

    def test(state: list[Any]) -> Any:
        return ops.call("tf.reduce_any", truth(state[1]))

    return ops.while_loop(test, body, [a, b], [a.shape, b.shape])[0]


def _gcd_step(a: Any, b: Any) -> list[Any]:
    done = elementwise("tf.equal", b, number(0, b))
    rest = elementwise("tf.math.floormod", a, where(done, number(1, b), b))
    return [where(done, a, b), where(done, b, rest)]


def _lcm(a: Any, b: Any) -> Any:
    divisor = _gcd(a, b)
    a, b = elementwise("tf.abs", cast(a, "int64")), elementwise("tf.abs", cast(b, "int64"))
    none = elementwise("tf.equal", divisor, number(0, divisor))
    whole = elementwise("tf.math.floordiv", a, where(none, number(1, a), divisor))
    whole = elementwise("tf.abs", whole)
    return elementwise("tf.multiply", whole, b)
