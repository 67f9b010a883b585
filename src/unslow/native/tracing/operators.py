"""Python's operators on arrays, scalars and numbers."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.tracing.array import Array, is_number, is_traced, number, read, write
from unslow.native.tracing.checks import note
from unslow.native.tracing.dtypes import cast, quietly
from unslow.native.tracing.views import as_tensor
from unslow.native.untranslatable import Untranslatable

UFUNCS: dict[str, np.ufunc] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "neg": np.negative,
    "pos": np.positive,
    "abs": np.absolute,
    "invert": np.invert,
}

_PYTHON = {
    name: getattr(operator, f"{name}_" if name in ("and", "or") else name) for name in UFUNCS
}
_DTYPES = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}


def operate(name: str, *operands: Any) -> Any:
    """The operator of that name, as Python or NumPy would apply it."""
    if all(is_number(operand) for operand in operands):
        return _on_numbers(name, operands)
    if name in ("eq", "ne") and any(
        operand is None or isinstance(operand, (str, bytes)) for operand in operands
    ):
        raise Untranslatable("an array is compared with something that is no number")
    from unslow.native.dispatch import call_numpy

    if name == "pow" and _takes_root(*operands):
        return call_numpy(np.sqrt, operands[:1], {})
    return call_numpy(UFUNCS[name], operands, {})


def _takes_root(base: Any, exponent: Any) -> bool:
    """Whether this NumPy makes a root of `array ** 0.5`, also where `np.power` gives a power."""
    if not isinstance(exponent, float) or exponent != 0.5 or not isinstance(base, Array):
        return False
    if base._kind != "array" or base.dtype.kind != "f":
        return False
    with np.errstate(all="ignore"):
        return bool(np.isnan(np.array([-np.inf], base.dtype) ** 0.5)[0])


def _stand_in(value: Any) -> Any:
    if not is_traced(value):
        return number(read(value)) if isinstance(value, Array) else value
    return {"b": True, "i": 1, "f": 1.0, "c": 1j}[np.dtype(_tensor_dtype(value)).kind]


def _tensor_dtype(value: Array) -> Any:
    return read(value).dtype.as_numpy_dtype


def _on_numbers(name: str, operands: tuple[Any, ...]) -> Any:
    """Python's own arithmetic; integers are those of 64 bits."""
    if not any(is_traced(operand) for operand in operands):
        return _PYTHON[name](*[_stand_in(operand) for operand in operands])
    if name == "pow" and all(isinstance(_stand_in(each), int) for each in operands):
        exponent = operands[1]
        if is_traced(exponent):
            raise Untranslatable("whether a power of integers is an integer hangs on the exponent")
    kind = type(quietly(_PYTHON[name], *[_stand_in(operand) for operand in operands]))
    if kind not in _DTYPES:
        raise Untranslatable(f"{name} of such numbers has no translation")
    common = max((type(_stand_in(operand)) for operand in operands), key=list(_DTYPES).index)
    if name == "truediv" or (name == "pow" and kind is float):
        common = kind
    if common is bool and kind is not bool:
        common = int
    from unslow.native.lowering.elementwise import apply

    tensors = []
    for operand in operands:
        if isinstance(operand, int) and not -(2**63) <= operand < 2**63:
            raise Untranslatable("an integer of more than 64 bits")
        value = read(operand) if isinstance(operand, Array) else np.asarray(operand)
        tensors.append(as_tensor(cast(value, _DTYPES[common])))
    if common is int and name in ("floordiv", "mod"):
        # As in Python, a division by zero is an error.
        note("tf.equal", tensors[1], np.int64(0))
        op = {"floordiv": "tf.math.floordiv", "mod": "tf.math.floormod"}[name]
        return number(ops.call(op, *tensors))
    if common is bool and name in ("and", "or", "xor"):
        return number(ops.call(f"tf.math.logical_{name}", *tensors))
    return number(cast(apply(UFUNCS[name], *tensors), _DTYPES[kind]))


def operate_in_place(name: str, target: Array, other: Any) -> Any:
    """`target op= other`: arrays change in place, scalars do not."""
    if target._kind != "array":
        return operate(name, target, other)
    from unslow.native.dispatch import call_numpy

    if name == "matmul":
        write(target, read(call_numpy(np.matmul, (target, other), {})))
        return target
    if name == "pow" and _takes_root(target, other):
        call_numpy(np.sqrt, (target,), {"out": target})
        return target
    call_numpy(UFUNCS[name], (target, other), {"out": target})
    return target


def lesser_of(one: Any, other: Any) -> Any:
    """The lesser of two numbers of Python's own."""
    return _pick("tf.minimum", min, one, other)


def greater_of(one: Any, other: Any) -> Any:
    """The greater of two numbers of Python's own."""
    return _pick("tf.maximum", max, one, other)


def _pick(op: str, known: Any, one: Any, other: Any) -> Any:
    if not is_traced(one) and not is_traced(other):
        return known(one, other)
    kinds = {type(_stand_in(one)), type(_stand_in(other))}
    if len(kinds) > 1:
        raise Untranslatable("whether the result is an integer hangs on the values")
    dtype = _DTYPES[kinds.pop()]
    values = [read(each) if isinstance(each, Array) else each for each in (one, other)]
    return number(
        ops.call(
            op,
            *[
                as_tensor(cast(np.asarray(v) if not hasattr(v, "dtype") else v, dtype))
                for v in values
            ],
        )
    )
