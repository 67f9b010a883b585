"""Products of vectors, matrices and stacks of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers, optional
from unslow.native.kit import (
    Array,
    array_of,
    axis_number,
    cast,
    dtype_of,
    expected_dtype,
    fresh,
    is_size,
    ndim,
    product,
    read,
    refuse,
    reshape,
    result,
    sizes,
    tensor,
    value_of,
)
from unslow.native.untranslatable import Untranslatable

_PRODUCTS = {"float32", "float64", "complex64", "complex128", "int32", "int64"}


def in_product_dtype(dtype: np.dtype[Any]) -> str:
    """The dtype in which products of matrices are summed up, so that the result is the same."""
    if dtype.name in _PRODUCTS:
        return str(dtype.name)
    if dtype.kind == "f":
        return "float32"
    return "int64" if dtype.itemsize > 2 else "int32"


def matmul(one: Any, other: Any, dtype: np.dtype[Any]) -> Any:
    """The product of stacks of matrices."""
    wide = in_product_dtype(dtype)
    found = ops.call("tf.matmul", cast(one, wide), cast(other, wide))
    if dtype.kind == "b":
        return ops.call("tf.not_equal", found, np.asarray(0, dtype_of(found)))
    return cast(found, dtype)


@lowers(np.matmul)
def _matmul(x1: Any, x2: Any, /, out: Any = None) -> Any:
    one, other = array_of(x1), array_of(x2)
    refuse(not ndim(one) or not ndim(other), "NumPy raises ValueError: matmul of a scalar")
    dtype = expected_dtype(np.matmul, one, other)
    a, b = tensor(one, dtype), tensor(other, dtype)
    _fit(sizes(a)[-1], sizes(b)[-2 if ndim(other) > 1 else -1])
    if ndim(one) == 1:
        a = ops.call("tf.expand_dims", a, 0)
    if ndim(other) == 1:
        b = ops.call("tf.expand_dims", b, 1)
    found = matmul(a, b, dtype)
    if ndim(other) == 1:
        found = ops.call("tf.squeeze", found, axis=[-1])
    if ndim(one) == 1:
        found = ops.call("tf.squeeze", found, axis=[-1 if ndim(other) == 1 else -2])
    return result(found)


def _fit(one: Any, other: Any) -> None:
    refuse(
        isinstance(one, int) and isinstance(other, int) and one != other,
        "NumPy raises ValueError: the shapes do not fit one another",
    )


@lowers(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    refuse(out is not None, "`out` of np.dot")
    one, other = array_of(a), array_of(b)
    if not ndim(one) or not ndim(other):
        return _scaled(np.dot, one, other)
    if ndim(other) <= 2 and ndim(one) <= 2:
        return _matmul(one, other)
    return _tensordot(one, other, ([ndim(one) - 1], [max(ndim(other) - 2, 0)]))


def _scaled(function: Any, one: Array, other: Array) -> Any:
    """A product with a scalar, which counts as an array of its dtype."""
    dtype = expected_dtype(function, one, other)
    pair = fresh(tensor(one, dtype)), fresh(tensor(other, dtype))
    return call_numpy(np.multiply, pair, {})


@lowers(np.vdot)
def _vdot(a: Any, b: Any, /) -> Any:
    one = fresh(reshape(tensor(a), [-1]))
    if dtype_of(read(one)).kind == "c":
        one = call_numpy(np.conjugate, (one,), {})
    return _matmul(one, fresh(reshape(tensor(b), [-1])))


@lowers(np.inner)
def _inner(a: Any, b: Any, /) -> Any:
    one, other = array_of(a), array_of(b)
    if not ndim(one) or not ndim(other):
        return _scaled(np.inner, one, other)
    if ndim(one) == ndim(other) == 1:
        return _matmul(one, other)
    return _tensordot(one, other, ([ndim(one) - 1], [ndim(other) - 1]))


@lowers(np.outer)
def _outer(a: Any, b: Any, out: Any = None) -> Any:
    one = fresh(reshape(value_of(a), [-1, 1]))
    return call_numpy(np.multiply, (one, fresh(reshape(value_of(b), [1, -1]))), {"out": out})


@lowers(np.tensordot, optional(np, "linalg", "tensordot"))
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    one, other = array_of(a), array_of(b)
    if isinstance(axes, int):
        pairs = list(range(ndim(one) - axes, ndim(one))), list(range(axes))
    else:
        given = [list(each) if isinstance(each, (list, tuple)) else [each] for each in axes]
        pairs = (
            [axis_number(axis, ndim(one)) for axis in given[0]],
            [axis_number(axis, ndim(other)) for axis in given[1]],
        )
    dtype = expected_dtype(np.matmul, np.ones((1, 1), one.dtype), np.ones((1, 1), other.dtype))
    for first, second in zip(*pairs, strict=True):
        _fit(sizes(read(one))[first], sizes(read(other))[second])
    wide = in_product_dtype(dtype)
    found = ops.call(
        "tf.tensordot", cast(tensor(one), wide), cast(tensor(other), wide), [list(p) for p in pairs]
    )
    return fresh(cast(found, dtype))


@lowers(np.einsum)
def _einsum(*operands: Any, out: Any = None, optimize: Any = False, **kwargs: Any) -> Any:
    refuse(out is not None or kwargs, "such arguments of np.einsum")
    text, *rest = operands
    refuse(not isinstance(text, str), "np.einsum with lists of axes")
    arrays = [array_of(each) for each in rest]
    dtype = expected_dtype(np.einsum, text, *arrays)
    inputs, arrow, output = text.replace(" ", "").partition("->")
    if not arrow:
        letters = inputs.replace(",", "").replace(".", "")
        output = "".join(sorted(each for each in set(letters) if letters.count(each) == 1))
        output = ("..." if "..." in inputs else "") + output
    values = [tensor(each, dtype) for each in arrays]
    terms = inputs.split(",")
    for place, term in enumerate(terms):
        terms[place], values[place] = _without_repeats(term, values[place], output)
    refuse(
        len(set(output.replace(".", ""))) < len(output.replace(".", "")), "a repeated output axis"
    )
    if dtype.name in ("int32", "int64", "float32", "float64", "complex64", "complex128"):
        wide = dtype.name
    else:
        wide = in_product_dtype(dtype)
    refuse(dtype.kind == "b", "np.einsum of truth values")
    found = ops.call("tf.einsum", ",".join(terms) + "->" + output, *[cast(v, wide) for v in values])
    found = result(cast(found, dtype))
    if len(arrays) == 1 and isinstance(found, Array):
        # Of one array NumPy makes a view where it can.
        found._storage.fork(arrays[0]._storage)
    return found


def _without_repeats(term: str, value: Any, output: str) -> tuple[str, Any]:
    """A term in which no letter comes twice: of those axes the diagonal is taken."""
    for letter in dict.fromkeys(term):
        while letter != "." and term.count(letter) > 1:
            refuse("." in term, "a repeated axis beside an ellipsis")
            first = term.index(letter)
            second = term.index(letter, first + 1)
            found = call_numpy(np.diagonal, (fresh(value), 0, first, second), {})
            value = read(found)
            term = (
                term.replace(letter, "", 2) + letter
                if term.count(letter) == 2
                else _drop(term, letter)
            )
    return term, value


def _drop(term: str, letter: str) -> str:
    raise Untranslatable("an axis that comes three times")


@lowers(np.kron)
def _kron(a: Any, b: Any) -> Any:
    one, other = array_of(a), array_of(b)
    rank = max(ndim(one), ndim(other))
    shapes = []
    for each in (one, other):
        shape = sizes(read(each))
        shapes.append([1] * (rank - len(shape)) + shape)
    # All pairs first: TensorFlow does not broadcast over many axes in turn.
    pairs = _outer(one, other)
    apart = fresh(reshape(read(pairs), [*shapes[0], *shapes[1]]))
    order = [axis for place in range(rank) for axis in (place, rank + place)]
    found = call_numpy(np.transpose, (apart, order), {})
    return fresh(reshape(read(found), [product(pair) for pair in zip(*shapes, strict=True)]))


@lowers(np.trace)
def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    line = call_numpy(np.diagonal, (array_of(a), offset, axis1, axis2), {})
    return call_numpy(np.sum, (line,), {"axis": -1, "dtype": dtype, "out": out})


@lowers(np.cross)
def _cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: Any = None
) -> Any:
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    one = call_numpy(np.moveaxis, (array_of(a), axisa, -1), {})
    other = call_numpy(np.moveaxis, (array_of(b), axisb, -1), {})
    refuse(
        not all(is_size(sizes(read(e))[-1], 3) for e in (one, other)),
        "np.cross of other than three numbers, or of an unknown number",
    )
    dtype = expected_dtype(np.multiply, one, other)
    parts = [[fresh(tensor(e, dtype))[..., place] for place in range(3)] for e in (one, other)]
    (a0, a1, a2), (b0, b1, b2) = parts
    found = [a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0]
    stacked = call_numpy(np.stack, (found,), {"axis": -1})
    return call_numpy(np.moveaxis, (stacked, -1, axisc), {}) if axisc != -1 else stacked


@lowers(np.linalg.multi_dot)
def _multi_dot(arrays: Any, *, out: Any = None) -> Any:
    parts = [array_of(each) for each in arrays]
    found: Any = parts[0]
    for part in parts[1:]:
        found = _dot(found, part)
    return found
