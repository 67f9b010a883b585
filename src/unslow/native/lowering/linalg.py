"""Products of matrices, and linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    array_of,
    broadcast_shape,
    broadcast_to,
    cast,
    dtype_of,
    elementwise,
    expected_dtype,
    fresh,
    integer,
    ndim,
    read,
    refuse,
    result,
    size_tensor,
    sizes,
    tensor,
)
from unslow.native.lowering.products import _matmul
from unslow.native.lowering.reductions import along, axes_of, extreme


@lowers(np.linalg.norm)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    array = array_of(x)
    final = expected_dtype(np.linalg.norm, array_of(x), axis=None)
    value = tensor(array)
    if dtype_of(value).kind in "iub":
        value = cast(value, "float64")
    if dtype_of(value) == np.float16:
        final = np.dtype(expected_dtype(np.linalg.norm, array, ord, axis))
        value = cast(value, "float32")
    rank = len(value.shape)
    axes = axes_of(axis, rank)
    if axis is None and ord is not None:
        refuse(rank > 2, "NumPy raises ValueError: Improper number of dimensions to norm.")
    size = elementwise("tf.abs", value)
    if ord is None or ord == "fro" or (ord == 2 and len(axes) == 1):
        if dtype_of(value).kind == "c":
            size = cast(size, dtype_of(size))
        square = ops.call("tf.square", size)
        found = ops.call("tf.sqrt", along("tf.reduce_sum", square, axes, keepdims))
    elif len(axes) == 1:
        if ord == 1:
            found = along("tf.reduce_sum", size, axes, keepdims)
        elif ord in (np.inf, -np.inf):
            found = extreme(size, axes, keepdims, ord > 0)
        elif ord == 0:
            found = ops.call(
                "tf.reduce_sum",
                cast(
                    elementwise("tf.not_equal", size, np.asarray(0, dtype_of(size))), dtype_of(size)
                ),
                axis=axes,
                keepdims=keepdims,
            )
        else:
            refuse(not isinstance(ord, (int, float)), "such a norm")
            power = np.asarray(ord, dtype_of(size))
            total = along("tf.reduce_sum", ops.call("tf.pow", size, power), axes, keepdims)
            found = ops.call("tf.pow", total, np.asarray(1 / ord, dtype_of(size)))
    elif ord in (2, -2, "nuc"):
        found = _of_singular_values(value, axes, ord, keepdims)
    else:
        refuse(ord not in (1, -1, np.inf, -np.inf), "such a norm of matrices")
        inner = axes[0] if abs(ord) == 1 else axes[1]
        total = along("tf.reduce_sum", size, [inner], True)
        found = extreme(total, axes, keepdims, ord > 0)
    return result(cast(found, final))


def _of_singular_values(value: Any, axes: list[int], ord: Any, keepdims: bool) -> Any:
    """Norms of matrices that are the greatest, the least or the sum of their singular values."""
    rest = [axis for axis in range(len(value.shape)) if axis not in axes]
    values = _singular(ops.call("tf.transpose", value, [*rest, *axes]))
    last = len(rest)
    if ord == "nuc":
        found = along("tf.reduce_sum", values, [last], False)
    else:
        found = extreme(values, [last], False, ord > 0)
    for axis in sorted(axes) if keepdims else []:
        found = ops.call("tf.expand_dims", found, axis)
    return found


def _wide(value: Any) -> tuple[Any, np.dtype[Any]]:
    """Matrices in a dtype that linear algebra has."""
    dtype = dtype_of(value)
    refuse(
        dtype == np.float16, "NumPy raises TypeError: array type float16 is unsupported in linalg"
    )
    return (cast(value, "float64") if dtype.kind in "iub" else value), dtype


def _simple(function: Any, name: str) -> None:
    def lowering(a: Any) -> Any:
        array = array_of(a)
        final = expected_dtype(function, array)
        value, _ = _wide(tensor(array))
        return result(cast(ops.call(name, value), final))

    lowers(function)(lowering)


_simple(np.linalg.inv, "tf.linalg.inv")


_simple(np.linalg.det, "tf.linalg.det")


@lowers(np.linalg.cholesky)
def _cholesky(a: Any, /, *, upper: bool = False) -> Any:
    value = _wide(tensor(a))[0]
    if not upper:
        return fresh(ops.call("tf.linalg.cholesky", value))
    lower = ops.call("tf.linalg.cholesky", ops.call("tf.linalg.adjoint", value))
    return fresh(ops.call("tf.linalg.adjoint", lower))


@lowers(np.linalg.slogdet)
def _slogdet(a: Any) -> Any:
    found = ops.call("tf.linalg.slogdet", _wide(tensor(a))[0])
    kinds = type(np.linalg.slogdet(np.eye(2)))
    parts = [result(found[0]), result(found[1])]
    return kinds(*parts) if hasattr(kinds, "_fields") else tuple(parts)


SOLVES_VECTORS_ALONE = int(np.__version__.split(".")[0]) >= 2
"""Whether the right side of one axis less is a vector only where it has one axis."""


@lowers(np.linalg.solve)
def _solve(a: Any, b: Any) -> Any:
    one, other = array_of(a), array_of(b)
    dtype = expected_dtype(
        np.linalg.solve, np.eye(2, dtype=one.dtype), np.ones((2, 2), other.dtype)
    )
    left, right = tensor(one, dtype), tensor(other, dtype)
    vector = ndim(other) == 1 if SOLVES_VECTORS_ALONE else ndim(other) == ndim(one) - 1
    if vector:
        right = ops.call("tf.expand_dims", right, -1)
    stack = broadcast_shape(sizes(left)[:-2], sizes(right)[:-2])
    left = broadcast_to(left, [*stack, *sizes(left)[-2:]])
    right = broadcast_to(right, [*stack, *sizes(right)[-2:]])
    found = ops.call("tf.linalg.solve", left, right)
    return fresh(ops.call("tf.squeeze", found, axis=[-1]) if vector else found)


@lowers(np.linalg.eigvalsh)
def _eigvalsh(a: Any, UPLO: str = "L") -> Any:
    value = _wide(tensor(a))[0]
    if UPLO == "U":
        value = ops.call("tf.linalg.adjoint", value)
    found = ops.call("tf.linalg.eigvalsh", value)
    return fresh(ops.call("tf.math.real", found) if dtype_of(found).kind == "c" else found)


@lowers(np.linalg.svd)
def _svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    refuse(compute_uv, "the signs of singular vectors are not defined by NumPy")
    return fresh(_singular(_wide(tensor(a))[0]))


def _singular(value: Any) -> Any:
    return ops.call("tf.linalg.svd", value, compute_uv=False)


lowers(optional(np, "linalg", "svdvals"))(lambda x: fresh(_singular(_wide(tensor(x))[0])))


@lowers(np.linalg.eigh, np.linalg.eig, np.linalg.eigvals, np.linalg.qr, np.linalg.lstsq)
def _undefined(*args: Any, **kwargs: Any) -> Any:
    refuse(True, "the order or the signs of the result are not defined by NumPy")


@lowers(np.linalg.matrix_power)
def _matrix_power(a: Any, n: Any) -> Any:
    array = array_of(a)
    power = integer(n, "the exponent of a matrix")
    if power < 0:
        array, power = call_numpy(np.linalg.inv, (array,), {}), -power
    if power == 0:
        refuse(not isinstance(sizes(read(array))[-1], int), "a matrix of unknown size")
        unit = np.eye(sizes(read(array))[-1], dtype=dtype_of(read(array)))
        return call_numpy(np.broadcast_to, (fresh(unit), array.shape), {}).copy()
    found: Any = None
    square = array
    while power:
        if power & 1:
            found = square if found is None else _matmul(found, square)
        power >>= 1
        if power:
            square = _matmul(square, square)
    return found


@lowers(np.linalg.matrix_rank)
def _matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, **kwargs: Any) -> Any:
    refuse(
        tol is not None or kwargs.get("rtol") is not None or hermitian,
        "such arguments of matrix_rank",
    )
    value = _wide(tensor(A))[0]
    shape = sizes(value)[-2:]
    found = _singular(value)
    dtype = dtype_of(found)
    longer = cast(ops.call("tf.maximum", *[size_tensor(size) for size in shape]), dtype)
    limit = ops.call("tf.multiply", longer, np.asarray(np.finfo(dtype).eps, dtype))
    top = ops.call("tf.reduce_max", found, axis=-1, keepdims=True)
    above = ops.call("tf.greater", found, ops.call("tf.multiply", top, limit))
    return result(ops.call("tf.reduce_sum", cast(above, "int64"), axis=-1))


@lowers(np.linalg.pinv)
def _pinv(a: Any, rcond: Any = None, hermitian: bool = False, **kwargs: Any) -> Any:
    refuse(hermitian or kwargs.get("rtol") is not None, "such arguments of pinv")
    value = _wide(tensor(a))[0]
    refuse(dtype_of(value).kind == "c", "a pseudo-inverse of complex numbers")
    return fresh(
        ops.call(
            "tf.linalg.pinv",
            value,
            rcond=np.asarray(1e-15 if rcond is None else rcond, dtype_of(value)),
        )
    )
