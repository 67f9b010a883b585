"""What each ufunc computes, on tensors that have the dtype of its inner loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import optional
from unslow.native.kit import cast, dtype_of, elementwise, refuse
from unslow.native.lowering import complexes
from unslow.native.lowering.basics import (
    Formula,
    _copysign,
    _kind,
    _negative,
    _wrapping,
    hypot,
    number,
    signbit,
    truth,
    where,
)
from unslow.native.lowering.division import (
    _divmod,
    _float_power,
    _floor_divide,
    _fmod,
    _gcd,
    _lcm,
    _power,
    _remainder,
)
from unslow.native.tracing.dtypes import NEW_PROMOTION

COMPARISONS = {np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal}


def _op(name: str) -> Formula:
    def formula(*tensors: Any) -> Any:
        return elementwise(name, *tensors)

    return formula


def _of(name: str, on_complex: Formula) -> Formula:
    def formula(*tensors: Any) -> Any:
        if _kind(tensors[0]) == "c":
            return on_complex(*tensors)
        return elementwise(name, *tensors)

    return formula


def _logical(name: str) -> Formula:
    def formula(*tensors: Any) -> Any:
        return ops.call(name, *[truth(tensor) for tensor in tensors])

    return formula


def _add(a: Any, b: Any) -> Any:
    return _logical("tf.logical_or")(a, b) if _kind(a) == "b" else _wrapping("tf.add", a, b)


def _multiply(a: Any, b: Any) -> Any:
    return _logical("tf.logical_and")(a, b) if _kind(a) == "b" else _wrapping("tf.multiply", a, b)


def _absolute(a: Any) -> Any:
    if _kind(a) in "ub":
        return a
    return elementwise("tf.abs", a)


def _sign(a: Any) -> Any:
    kind = _kind(a)
    if kind == "u":
        return cast(truth(a), dtype_of(a))
    if kind == "c":
        refuse(not NEW_PROMOTION, "NumPy 1 has no direction of complex numbers")
        return complexes.direction(a)
    found = elementwise("tf.sign", a)
    return where(elementwise("tf.math.is_nan", a), a, found) if kind == "f" else found


def _whole(name: str) -> Formula:
    """Rounding: integers stay."""

    def formula(a: Any) -> Any:
        return a if _kind(a) in "iub" else elementwise(name, a)

    return formula


def _trunc(a: Any) -> Any:
    if _kind(a) in "iub":
        return a
    down = elementwise("tf.floor", elementwise("tf.abs", a))
    return _copysign(down, a)


def _reciprocal(a: Any) -> Any:
    if _kind(a) in "iu":
        refuse(True, "the reciprocal of integers differs between machines at zero")
    if _kind(a) == "c":
        return complexes.reciprocal(a)
    return elementwise("tf.divide", number(1, a), a)


def _spread_nan(name: str) -> Formula:
    """Maximum and minimum: a NaN stays, the first one."""

    def formula(a: Any, b: Any) -> Any:
        if _kind(a) == "b":
            return ops.call("tf.logical_or" if name == "tf.maximum" else "tf.logical_and", a, b)
        refuse(_kind(a) == "c", "the order of complex numbers")
        return elementwise(name, a, b)

    return formula


def _skip_nan(name: str) -> Formula:
    """`fmax` and `fmin`: a NaN gives way."""

    def formula(a: Any, b: Any) -> Any:
        if _kind(a) != "f":
            return _spread_nan(name)(a, b)
        nan_a, nan_b = elementwise("tf.math.is_nan", a), elementwise("tf.math.is_nan", b)
        return where(nan_a, b, where(nan_b, a, elementwise(name, a, b)))

    return formula


def _never(a: Any) -> Any:
    return ops.call("tf.zeros_like", a, dtype="bool")


def _is(name: str) -> Formula:
    def formula(a: Any) -> Any:
        kind = _kind(a)
        if kind in "iub":
            nothing = _never(a)
            return ops.call("tf.logical_not", nothing) if name == "tf.math.is_finite" else nothing
        if kind == "c":
            real = elementwise(name, ops.call("tf.math.real", a))
            imaginary = elementwise(name, ops.call("tf.math.imag", a))
            join = "tf.logical_and" if name == "tf.math.is_finite" else "tf.logical_or"
            return ops.call(join, real, imaginary)
        return elementwise(name, a)

    return formula


def _bitwise(name: str) -> Formula:
    def formula(*tensors: Any) -> Any:
        if _kind(tensors[0]) == "b":
            return ops.call(f"tf.math.logical_{name}", *tensors)
        return elementwise(f"tf.bitwise.bitwise_{name}", *tensors)

    return formula


def _invert(a: Any) -> Any:
    if _kind(a) == "b":
        return ops.call("tf.logical_not", a)
    return elementwise("tf.bitwise.invert", a)


def _shift(name: str) -> Formula:
    """Shifts by as many bits as there are, or more, are defined in NumPy alone."""

    def formula(a: Any, b: Any) -> Any:
        bits = dtype_of(a).itemsize * 8
        inside = elementwise("tf.less", b, number(bits, b))
        if _kind(b) == "i":
            positive = elementwise("tf.greater_equal", b, number(0, b))
            inside = ops.call("tf.logical_and", inside, positive)
        found = elementwise(name, a, where(inside, b, number(0, b)))
        beyond: Any = number(0, a)
        if name.endswith("right_shift") and _kind(a) == "i":
            beyond = where(elementwise("tf.less", a, number(0, a)), number(-1, a), number(0, a))
        return where(inside, found, beyond)

    return formula


def _scaled(factor: float) -> Formula:
    def formula(a: Any) -> Any:
        return elementwise("tf.multiply", a, number(factor, a))

    return formula


def _exp2(a: Any) -> Any:
    if _kind(a) == "c":
        return complexes.exp2(a)
    return elementwise("tf.pow", number(2, a), a)


def _log_to(base: float) -> Formula:
    def formula(a: Any) -> Any:
        if _kind(a) == "c":
            found = elementwise("tf.math.log", a)
            parts = [ops.call(f"tf.math.{part}", found) for part in ("real", "imag")]
            return ops.call("tf.complex", *[_scaled(1 / math.log(base))(part) for part in parts])
        if dtype_of(a) != np.float64:
            return cast(formula(cast(a, "float64")), dtype_of(a))
        return elementwise("tf.divide", elementwise("tf.math.log", a), number(math.log(base), a))

    return formula


def _cbrt(a: Any) -> Any:
    wide = cast(a, "float64")
    root = elementwise("tf.pow", elementwise("tf.abs", wide), number(1 / 3, wide))
    return cast(
        where(elementwise("tf.equal", wide, number(0, wide)), wide, _copysign(root, wide)),
        dtype_of(a),
    )


def _logaddexp(base_two: bool) -> Formula:
    def formula(a: Any, b: Any) -> Any:
        big, small = elementwise("tf.maximum", a, b), elementwise("tf.minimum", a, b)
        below = elementwise("tf.subtract", small, big)
        if base_two:
            below = _scaled(math.log(2))(below)
        more = elementwise("tf.math.log1p", elementwise("tf.exp", below))
        if base_two:
            more = _scaled(1 / math.log(2))(more)
        same = elementwise("tf.equal", a, b)
        alike = elementwise("tf.add", a, number(1.0 if base_two else math.log(2), a))
        return where(same, alike, elementwise("tf.add", big, more))

    return formula


def _nextafter(a: Any, b: Any) -> Any:
    if dtype_of(a) != np.float16:
        return elementwise("tf.math.nextafter", a, b)
    # The bits of a float are one more or one less.
    bits = ops.call("tf.bitcast", a, "int16")
    up = elementwise("tf.less", a, b)
    away = ops.call("tf.equal", up, elementwise("tf.greater", a, number(0, a)))
    step = where(away, np.int16(1), np.int16(-1))
    # Put together as bits: as numbers, the least ones may be taken for zeros.
    from_zero = where(up, np.int16(1), np.int16(1 - 2**15))
    zero = elementwise("tf.equal", a, number(0, a))
    moved = where(zero, from_zero, elementwise("tf.add", bits, step))
    found = ops.call("tf.bitcast", moved, "float16")
    found = where(elementwise("tf.equal", a, b), a, found)
    found = where(elementwise("tf.math.is_nan", b), b, found)
    return where(elementwise("tf.math.is_nan", a), a, found)


def _heaviside(a: Any, b: Any) -> Any:
    found = where(elementwise("tf.greater", a, number(0, a)), number(1, a), number(0, a))
    found = where(elementwise("tf.equal", a, number(0, a)), b, found)
    return where(elementwise("tf.math.is_nan", a), a, found)


def _modf(a: Any) -> tuple[Any, Any]:
    whole = _trunc(a)
    rest = elementwise("tf.subtract", a, whole)
    rest = where(elementwise("tf.math.is_inf", a), ops.call("tf.zeros_like", a), rest)
    return _copysign(rest, a), whole


def _conjugate(a: Any) -> Any:
    return ops.call("tf.math.conj", a) if _kind(a) == "c" else a


def _compare(name: str) -> Formula:
    def formula(a: Any, b: Any) -> Any:
        if dtype_of(a) != dtype_of(b):
            refuse(True, "signed and unsigned integers of 64 bits are compared")
        if _kind(a) == "c" and name not in ("tf.equal", "tf.not_equal"):
            refuse(True, "the order of complex numbers")
        return elementwise(name, a, b)

    return formula


def _ldexp(a: Any, b: Any) -> Any:
    wide = cast(a, "float64")
    return cast(elementwise("tf.multiply", wide, _exp2(cast(b, "float64"))), dtype_of(a))


def _bit_count(a: Any) -> Any:
    return ops.call("tf.raw_ops.PopulationCount", x=_absolute(a))


FORMULAS: dict[Any, Formula] = {
    np.add: _add,
    np.subtract: lambda a, b: _wrapping("tf.subtract", a, b),
    np.multiply: _multiply,
    np.true_divide: _of("tf.divide", complexes.divide),
    np.floor_divide: _floor_divide,
    np.remainder: _remainder,
    np.fmod: _fmod,
    np.divmod: _divmod,
    np.power: _power,
    np.float_power: _float_power,
    np.negative: _negative,
    np.positive: lambda a: a,
    np.absolute: _absolute,
    np.fabs: _absolute,
    np.sign: _sign,
    np.rint: _whole("tf.round"),
    np.floor: _whole("tf.floor"),
    np.ceil: _whole("tf.math.ceil"),
    np.trunc: _trunc,
    np.sqrt: _of("tf.sqrt", complexes.sqrt),
    np.square: lambda a: _multiply(a, a) if _kind(a) == "b" else _wrapping("tf.multiply", a, a),
    np.cbrt: _cbrt,
    np.reciprocal: _reciprocal,
    np.exp: _op("tf.exp"),
    np.exp2: _exp2,
    np.expm1: _of("tf.math.expm1", complexes.expm1),
    np.log: _op("tf.math.log"),
    np.log2: _log_to(2),
    np.log10: _log_to(10),
    np.log1p: _of("tf.math.log1p", complexes.log1p),
    np.sin: _op("tf.sin"),
    np.cos: _op("tf.cos"),
    np.tan: _op("tf.tan"),
    np.arcsin: _op("tf.asin"),
    np.arccos: _op("tf.acos"),
    np.arctan: _op("tf.atan"),
    np.arctan2: _op("tf.atan2"),
    np.sinh: _op("tf.sinh"),
    np.cosh: _op("tf.cosh"),
    np.tanh: _op("tf.tanh"),
    np.arcsinh: _op("tf.asinh"),
    np.arccosh: _op("tf.acosh"),
    np.arctanh: _op("tf.atanh"),
    np.hypot: hypot,
    np.deg2rad: _scaled(math.pi / 180),
    np.radians: _scaled(math.pi / 180),
    np.rad2deg: _scaled(180 / math.pi),
    np.degrees: _scaled(180 / math.pi),
    np.maximum: _spread_nan("tf.maximum"),
    np.minimum: _spread_nan("tf.minimum"),
    np.fmax: _skip_nan("tf.maximum"),
    np.fmin: _skip_nan("tf.minimum"),
    np.equal: _compare("tf.equal"),
    np.not_equal: _compare("tf.not_equal"),
    np.less: _compare("tf.less"),
    np.less_equal: _compare("tf.less_equal"),
    np.greater: _compare("tf.greater"),
    np.greater_equal: _compare("tf.greater_equal"),
    np.logical_and: _logical("tf.logical_and"),
    np.logical_or: _logical("tf.logical_or"),
    np.logical_xor: _logical("tf.math.logical_xor"),
    np.logical_not: _logical("tf.logical_not"),
    np.bitwise_and: _bitwise("and"),
    np.bitwise_or: _bitwise("or"),
    np.bitwise_xor: _bitwise("xor"),
    np.invert: _invert,
    np.left_shift: _shift("tf.bitwise.left_shift"),
    np.right_shift: _shift("tf.bitwise.right_shift"),
    np.isnan: _is("tf.math.is_nan"),
    np.isinf: _is("tf.math.is_inf"),
    np.isfinite: _is("tf.math.is_finite"),
    np.signbit: signbit,
    np.copysign: _copysign,
    np.heaviside: _heaviside,
    np.logaddexp: _logaddexp(False),
    np.logaddexp2: _logaddexp(True),
    np.gcd: _gcd,
    np.lcm: _lcm,
    np.nextafter: _nextafter,
    np.modf: _modf,
    np.ldexp: _ldexp,
    np.conjugate: _conjugate,
    optional(np, "bitwise_count"): _bit_count,
}
