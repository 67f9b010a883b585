"""What lowerings are written with: tensors of arrays, shapes, expected dtypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.tracing import sequences, views
from unslow.native.tracing.array import (
    Array,
    Kind,
    fresh,
    is_number,
    is_traced,
    ndim,
    number,
    outside,
    read,
    result,
)
from unslow.native.tracing.dtypes import cast, dtype_of, elementwise, has_kernel, quietly
from unslow.native.tracing.surroundings import compiled
from unslow.native.tracing.views import as_tensor, is_known, reshape, sizes
from unslow.native.untranslatable import Untranslatable

__all__ = [
    "Array",
    "Kind",
    "array_of",
    "as_tensor",
    "axis_number",
    "broadcast_shape",
    "broadcast_to",
    "cast",
    "dtype_of",
    "elementwise",
    "expected",
    "expected_dtype",
    "fresh",
    "has_kernel",
    "integer",
    "is_known",
    "is_number",
    "is_size",
    "is_traced",
    "ndim",
    "number",
    "places",
    "product",
    "quietly",
    "raw_size",
    "read",
    "refuse",
    "reshape",
    "result",
    "shape_of",
    "sizes",
    "stand_in",
    "tensor",
    "value_of",
]


def refuse(condition: Any, reason: str) -> None:
    """Raise `Untranslatable` where the condition holds."""
    if condition:
        raise Untranslatable(reason)


def array_of(value: Any) -> Array:
    """`np.asarray(value)`: arrays stay what they are, lists of traced values are stacked."""
    if isinstance(value, Array):
        if value._kind == "array":
            return value
        return fresh(read(value))
    if isinstance(value, sequences.ArrayList):
        return fresh(_of_numbers(read(value.array)))
    if isinstance(value, sequences.Sequence):
        value = list(value)
    if isinstance(value, (list, tuple)):
        from unslow.native.dispatch import any_traced, known

        if any_traced(value):
            return _stacked(value)
        value = known(value)
    if isinstance(value, np.ndarray):
        return outside(value)
    plain = quietly(np.asarray, value)
    refuse(plain.dtype.kind not in "biufc", f"{plain.dtype} has no equal in TensorFlow")
    return fresh(plain)


def _of_numbers(plain: Any) -> Any:
    """What NumPy makes of a list of Python's numbers: it has the widest dtype of their kind."""
    dtype = dtype_of(plain)
    refuse(dtype == np.uint64, "the dtype of a list hangs on its numbers")
    return cast(plain, np.array(np.ones(1, dtype).tolist()).dtype)


def _stacked(values: Sequence[Any]) -> Array:
    from unslow.native.lowering.runs import stacked

    together = stacked(values, 0)
    if together is not None:
        return fresh(together)
    parts = [value if is_number(value) else array_of(value) for value in values]
    dtype: np.dtype[Any] = quietly(lambda: np.array([stand_in(part) for part in parts]).dtype)
    ranks = {0 if is_number(part) else ndim(part) for part in parts}
    refuse(len(ranks) > 1, "the elements of a list have different numbers of axes")
    tensors = [tensor(part, dtype) for part in parts]
    return fresh(ops.call("tf.stack", tensors))


def value_of(value: Any) -> Any:
    """The values of anything array-like: NumPy's, or a tensor."""
    return read(value) if isinstance(value, Array) else read(array_of(value))


def tensor(value: Any, dtype: Any = None) -> Any:
    """A tensor of anything array-like, cast as NumPy casts where a dtype is given."""
    found = value_of(value)
    return as_tensor(found if dtype is None else cast(found, dtype))


def stand_in(value: Any, size: int = 1) -> Any:
    """A small known value of the same kind, dtype and number of axes, all ones.

    What is known and is a number stays itself, as its value may play a part in promotion.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(stand_in(each, size) for each in value)
    if isinstance(value, sequences.ArrayList):
        return stand_in(value.array, size).tolist()
    if not isinstance(value, Array):
        return value
    plain = read(value)
    dtype = dtype_of(plain)
    if value._kind == "python":
        return np.ones((), dtype).item() if not is_known(plain) else plain.item()
    if value._kind == "scalar":
        return dtype.type(1)
    return np.ones((size,) * ndim(value), dtype)


def expected(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What NumPy itself returns on stand-ins: its dtype and number of axes are the result's.

    Raises:
        Untranslatable: NumPy refuses them.
    """
    plain = [stand_in(each) for each in args]
    return quietly(function, *plain, **{name: stand_in(each) for name, each in kwargs.items()})


def expected_dtype(function: Any, *args: Any, **kwargs: Any) -> np.dtype[Any]:
    """The dtype of what NumPy returns on stand-ins."""
    found: np.dtype[Any] = np.asarray(expected(function, *args, **kwargs)).dtype
    return found


def shape_of(value: Any) -> list[Any]:
    """Sizes as integers or tensors, of anything array-like."""
    return sizes(value_of(value))


def raw_size(size: Any) -> Any:
    """A size that the user gives: an integer or a tensor of 64 bits."""
    if isinstance(size, Array):
        plain = read(size)
        refuse(dtype_of(plain).kind not in "iu", "NumPy raises TypeError: a size is no integer")
        return int(plain) if is_known(plain) else cast(plain, "int64")
    if isinstance(size, (bool, int, np.integer)):
        return int(size)
    raise Untranslatable(f"NumPy raises TypeError: {type(size).__name__} is no size")


def is_size(size: Any, value: int) -> bool:
    """Whether a size is known, and that."""
    return isinstance(size, int) and size == value


def raw_shape(shape: Any) -> list[Any]:
    """A shape that the user gives, as sizes."""
    if isinstance(shape, (list, tuple)):
        return [raw_size(size) for size in shape]
    if isinstance(shape, Array) and ndim(shape):
        return [raw_size(size) for size in shape]
    return [raw_size(shape)]


def integer(value: Any, what: str) -> int:
    """An integer that must be known when the graph is made."""
    if isinstance(value, Array):
        plain = read(value)
        refuse(not is_known(plain), f"{what} must be known when the graph is made")
        return int(plain)
    return int(value)


def axis_number(axis: Any, rank: int) -> int:
    """An axis counted from the first.

    Raises:
        Untranslatable: there is no such axis.
    """
    place = integer(axis, "the axis")
    refuse(not -rank <= place < rank, f"NumPy raises AxisError: axis {place} of {rank}")
    return place % rank


def product(numbers: Sequence[Any]) -> Any:
    """The product of sizes: an integer, or a tensor."""
    total = 1
    unknown = []
    for each in numbers:
        if isinstance(each, int):
            total *= each
        else:
            unknown.append(each)
    found: Any = total
    for each in unknown:
        found = ops.call("tf.multiply", each, np.int64(found) if isinstance(found, int) else found)
    return found


def places(index: Any, shape: Sequence[Any]) -> Any:
    """Indices for an op that changes a tensor; `tf.vectorized_map` takes those of 32 bits alone."""
    small = all(isinstance(size, int) and size < 2**31 for size in shape)
    return cast(index, "int32") if small else index


def size_tensor(size: Any) -> Any:
    """A size as a tensor or a known number of 64 bits."""
    return np.int64(size) if isinstance(size, int) else size


def broadcast_shape(*shapes: Sequence[Any]) -> list[Any]:
    """The shape that shapes broadcast to.

    Raises:
        Untranslatable: they do not.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    found = []
    for axis in range(rank):
        at = [shape[axis - rank + len(shape)] for shape in shapes if axis - rank + len(shape) >= 0]
        static = {size for size in at if isinstance(size, int) and size != 1}
        refuse(len(static) > 1, "NumPy raises ValueError: the shapes do not broadcast")
        unknown = [size for size in at if not isinstance(size, int)]
        if static:
            found.append(static.pop())
        elif len(unknown) > 1:
            size = unknown[0]
            for other in unknown[1:]:
                if other is not size:
                    is_one = ops.call("tf.equal", size, np.int64(1))
                    size = ops.call("tf.where", is_one, other, size)
            found.append(size)
        else:
            found.append(unknown[0] if unknown else 1)
    return found


def broadcast_to(value: Any, shape: Sequence[Any]) -> Any:
    """A NumPy value or tensor broadcast to sizes."""
    if is_known(value) and all(isinstance(size, int) for size in shape):
        return quietly(np.broadcast_to, value, shape)
    value = as_tensor(value)
    static = value.shape.as_list()
    if all(isinstance(size, int) for size in shape) and static == list(shape):
        return value
    if compiled() and not all(isinstance(size, int) for size in (*static, *shape)):
        # XLA would repeat two values for four.
        there = ops.call("tf.ones", views.static_shape(shape), "bool")
        value = ops.call("tf.where", there, value, value)
    return ops.call("tf.broadcast_to", value, views.static_shape(shape))


def broadcast_shape_into(shape: Sequence[Any], target: Sequence[Any]) -> None:
    """Refuse a shape that certainly does not broadcast to a target."""
    for size, wanted in zip(reversed(list(shape)), reversed(list(target)), strict=False):
        refuse(
            isinstance(size, int) and isinstance(wanted, int) and size not in (1, wanted),
            "NumPy raises ValueError: it does not broadcast to the target",
        )
