"""Dtypes as NumPy has them: stand-ins, casts, and which ops have kernels for what."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native import ops
from unslow.native.tracing.surroundings import compiled
from unslow.native.tracing.views import is_known
from unslow.native.untranslatable import Untranslatable

NEW_PROMOTION = int(np.__version__.split(".")[0]) >= 2
"""Since NumPy 2 the values of Python's numbers play no part in promotion."""

NARROW = {np.dtype(name) for name in ("int8", "int16", "uint8", "uint16")}


def dtype_of(value: Any) -> np.dtype[Any]:
    """The dtype of a NumPy value or a tensor.

    Raises:
        Untranslatable: NumPy has no such dtype, or it is no dtype of numbers.
    """
    return checked(np.dtype(value.dtype if is_known(value) else value.dtype.as_numpy_dtype))


def checked(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype, if both sides have it.

    Raises:
        Untranslatable: they do not.
    """
    if dtype.kind not in "biufc" or (dtype.itemsize > 8 and dtype.name != "complex128"):
        raise Untranslatable(f"the dtype {dtype} has no equal in TensorFlow")
    native: np.dtype[Any] = dtype.newbyteorder("=")
    return native


def cast(value: Any, dtype: Any) -> Any:
    """`value.astype(dtype)` of a NumPy value or a tensor, as NumPy does it.

    A float too large for an integer has no defined value in NumPy; where it fits 32 bits, it
    wraps here as it does there.
    """
    dtype = checked(np.dtype(dtype))
    if is_known(value):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return np.asarray(value).astype(dtype)
    source = dtype_of(value)
    if source == dtype:
        return value
    if source.kind == "c" and dtype.kind != "c":
        value = (
            ops.call("tf.not_equal", value, np.zeros((), source))
            if dtype.kind == "b"
            else ops.call("tf.math.real", value)
        )
        return cast(value, dtype)
    if source.kind == "f" and dtype.kind in "iu":
        if dtype == np.uint64:
            return _to_uint64(value)
        wide = tf.int32 if dtype in NARROW or dtype == np.int32 else tf.int64
        value = _to_integer(value, wide)
    if source == np.float64 and dtype == np.float16:
        value = _towards_odd(value)
    return ops.call("tf.cast", value, tf.as_dtype(dtype))


def _to_integer(value: Any, dtype: tf.DType) -> Any:
    """Floats as whole numbers of 32 or 64 bits, what fits none as the least of them.

    So the processor has it, and NumPy and TensorFlow; XLA takes the nearest, and 0 for NaN.
    """
    found = ops.call("tf.cast", value, dtype)
    if not compiled():
        return found
    with np.errstate(over="ignore"):
        least = value.dtype.as_numpy_dtype(float(dtype.min))
    above = ops.call("tf.greater_equal", value, least)
    fits = ops.call("tf.logical_and", above, ops.call("tf.less", value, -least))
    return ops.call("tf.where", fits, found, np.asarray(dtype.min, dtype.as_numpy_dtype))


def _to_uint64(value: Any) -> Any:
    found = ops.call("tf.cast", value, tf.uint64)
    if not compiled():
        return found
    signed = ops.call("tf.cast", _to_integer(value, tf.int64), tf.uint64)
    large = ops.call("tf.greater_equal", value, value.dtype.as_numpy_dtype(2.0**63))
    return ops.call("tf.where", large, found, signed)


def _towards_odd(value: Any) -> Any:
    """Floats of 32 bits that round to the same of 16 as those of 64 do.

    What is lost goes into the last bit: rounding twice would take a little more than a half for
    a half.
    """
    near = ops.call("tf.cast", value, tf.float32)
    back = ops.call("tf.cast", near, tf.float64)
    bits = ops.call("tf.bitcast", near, tf.int32)
    above = ops.call("tf.greater", ops.call("tf.abs", back), ops.call("tf.abs", value))
    bits = ops.call("tf.subtract", bits, ops.call("tf.cast", above, tf.int32))
    lost = ops.call("tf.cast", ops.call("tf.not_equal", back, value), tf.int32)
    return ops.call("tf.bitcast", ops.call("tf.bitwise.bitwise_or", bits, lost), tf.float32)


@functools.cache
def has_kernel(name: str, *dtypes: str) -> bool:
    """Whether the op runs on vectors of these dtypes, here, on the CPU."""
    arguments: list[Any] = [np.ones(2, dtype) for dtype in dtypes]
    with ops.recorded(None), tf.init_scope(), tf.device("CPU:0"):
        try:
            ops.call(name, *[tf.constant(argument) for argument in arguments])
        except (TypeError, ValueError, tf.errors.OpError):
            return False
    return True


_WIDER = {
    "bool": ("uint8", "int32"),
    "int8": ("int16", "int32", "int64"),
    "int16": ("int32", "int64"),
    "int32": ("int64",),
    "uint8": ("int16", "int32", "int64"),
    "uint16": ("int32", "int64"),
    "uint32": ("int64",),
    "float16": ("float32",),
    "float32": ("float64",),
}


def elementwise(name: str, *values: Any) -> Any:
    """Call an op on tensors of one dtype, in a wider one where it has no kernel for theirs.

    What the op gives in the same dtype comes back in the same dtype: what overflows wraps.

    Raises:
        Untranslatable: no kernel will do.
    """
    dtype = dtype_of(values[0])
    if has_kernel(name, *[dtype.name] * len(values)):
        return _with_nan(ops.call(name, *values), name, values)
    for wider in _WIDER.get(dtype.name, ()):
        if has_kernel(name, *[wider] * len(values)):
            result = ops.call(name, *[cast(value, wider) for value in values])
            return cast(result, dtype) if dtype_of(result).name == wider else result
    raise Untranslatable(f"{name} has no kernel for {dtype}")


def _with_nan(result: Any, name: str, values: Sequence[Any]) -> Any:
    """The result, in which a NaN stays: XLA leaves out that of one operand, not always the same."""
    if name not in ("tf.maximum", "tf.minimum") or dtype_of(result).kind != "f" or not compiled():
        return result
    for value in values:
        if not is_known(value) or np.any(np.isnan(value)):
            result = ops.call("tf.where", ops.call("tf.math.is_nan", value), value, result)
    return result


def quietly(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run NumPy on stand-ins, whose values mean nothing, without its warnings.

    Raises:
        Untranslatable: NumPy refuses such arguments.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(*args, **kwargs)
        except Untranslatable:
            raise
        except Exception as error:
            raise Untranslatable(f"NumPy raises {type(error).__name__}: {error}") from error
