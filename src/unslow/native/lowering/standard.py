"""What NumPy has of the array API standard under `np.linalg`: matrices lie in the last axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    array_of,
    axis_number,
    dtype_of,
    expected_dtype,
    fresh,
    is_size,
    ndim,
    product,
    read,
    refuse,
    reshape,
    sizes,
)
from unslow.native.lowering.reductions import axes_of


@lowers(optional(np, "linalg", "diagonal"))
def _diagonal(x: Any, /, *, offset: int = 0) -> Any:
    return call_numpy(np.diagonal, (array_of(x), offset, -2, -1), {})


@lowers(optional(np, "linalg", "trace"))
def _trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    return call_numpy(np.trace, (array_of(x), offset, -2, -1, dtype), {})


@lowers(optional(np, "linalg", "outer"))
def _outer(x1: Any, x2: Any, /) -> Any:
    one, other = array_of(x1), array_of(x2)
    refuse(ndim(one) != 1 or ndim(other) != 1, "NumPy raises ValueError: no vectors")
    return call_numpy(np.outer, (one, other), {})


@lowers(optional(np, "linalg", "matmul"))
def _matmul(x1: Any, x2: Any, /) -> Any:
    return call_numpy(np.matmul, (array_of(x1), array_of(x2)), {})


@lowers(optional(np, "linalg", "cross"))
def _cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    one, other = array_of(x1), array_of(x2)
    for each in (one, other):
        size = sizes(read(each))[axis_number(axis, ndim(each))]
        refuse(not is_size(size, 3), "vectors that have not three elements, or not for sure")
    return call_numpy(np.cross, (one, other), {"axis": axis})


@lowers(optional(np, "vecdot"), optional(np, "linalg", "vecdot"))
def _vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    one, other = array_of(x1), array_of(x2)
    for each in (one, other):
        refuse(not ndim(each), "NumPy raises ValueError: vecdot of a scalar")
    lines = [sizes(read(each))[axis_number(axis, ndim(each))] for each in (one, other)]
    refuse(
        all(isinstance(size, int) for size in lines) and lines[0] != lines[1],
        "NumPy raises ValueError: the shapes do not fit one another",
    )
    if axis != -1:
        one, other = [call_numpy(np.moveaxis, (each, axis, -1), {}) for each in (one, other)]
    dtype = expected_dtype(np.add, one, other)
    if dtype_of(read(one)).kind == "c":
        one = call_numpy(np.conjugate, (one,), {})
    pair = call_numpy(np.multiply, (one, other), {})
    return call_numpy(np.sum, (pair,), {"axis": -1, "dtype": dtype})


@lowers(optional(np, "linalg", "vector_norm"))
def _vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    array = array_of(x)
    rank = ndim(array)
    axes = axes_of(axis, rank)
    rest = [place for place in range(rank) if place not in axes]
    shape = sizes(read(array))
    moved = call_numpy(np.transpose, (array, [*rest, *axes]), {})
    size = product([shape[place] for place in axes])
    line = fresh(reshape(read(moved), [*[shape[place] for place in rest], size]))
    found = call_numpy(np.linalg.norm, (line, ord, -1), {})
    if not keepdims:
        return found
    kept = [1 if place in axes else each for place, each in enumerate(shape)]
    return fresh(reshape(read(array_of(found)), kept))


@lowers(optional(np, "linalg", "matrix_norm"))
def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return call_numpy(np.linalg.norm, (array_of(x), ord, (-2, -1), keepdims), {})
