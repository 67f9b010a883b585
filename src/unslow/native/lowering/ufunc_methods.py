"""`reduce`, `accumulate`, `outer` and `at` of ufuncs."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy
from unslow.native.kit import (
    Array,
    array_of,
    axis_number,
    cast,
    dtype_of,
    expected_dtype,
    fresh,
    ndim,
    read,
    refuse,
    sizes,
    tensor,
)
from unslow.native.lowering.elementwise import apply
from unslow.native.lowering.reductions import finish
from unslow.native.tracing.array import write

_REDUCTIONS: dict[Any, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}
LONGEST = 64
"""The most elements along an axis that are combined one after the other."""


def call_method(ufunc: np.ufunc, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a method of a ufunc."""
    methods: dict[str, Any] = {
        "reduce": _reduce,
        "accumulate": _accumulate,
        "outer": _outer,
        "at": _at,
    }
    refuse(name not in methods, f"np.{ufunc.__name__}.{name} has no translation")
    return methods[name](ufunc, *args, **kwargs)


def _reduce(
    ufunc: np.ufunc,
    array: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    if isinstance(out, tuple):
        out = out[0]
    function = _REDUCTIONS.get(ufunc)
    if function is not None:
        if dtype is not None and ufunc in (np.maximum, np.minimum):
            array, dtype = array_of(array).astype(dtype), None
        logical = ufunc in (np.logical_and, np.logical_or)
        refuse(logical and dtype is not None and np.dtype(dtype) != bool, "such a dtype of reduce")
        refuse(logical and initial is not None and out is not None, "`out` with `initial`")
        more: dict[str, Any] = {"keepdims": keepdims, "out": out}
        if dtype is not None and ufunc in (np.add, np.multiply):
            more["dtype"] = dtype
        elif ufunc in (np.add, np.multiply):
            more["dtype"] = expected_dtype(ufunc.reduce, array_of(array))
        if initial is not None and not logical:
            more["initial"] = initial
        if where is not True:
            more["where"] = where
        found = call_numpy(function, (array,), {"axis": axis, **more})
        return found if initial is None or not logical else call_numpy(ufunc, (found, initial), {})
    refuse(
        initial is not None or where is not True or dtype is not None, "such arguments of reduce"
    )
    source = array_of(array)
    refuse(axis is None or isinstance(axis, tuple), "such axes of reduce")
    axis = axis_number(axis, ndim(source))
    parts = _slices(tensor(source, expected_dtype(ufunc.reduce, source)), axis)
    refuse(not parts, "an empty axis is reduced")
    found = parts[0]
    for part in parts[1:]:
        found = apply(ufunc, found, part)
    return finish(ops.call("tf.expand_dims", found, axis) if keepdims else found, out)


def _slices(value: Any, axis: int) -> list[Any]:
    size = sizes(value)[axis]
    refuse(not isinstance(size, int) or size > LONGEST, "an axis that is long, or of unknown size")
    before = (slice(None),) * axis
    return [ops.index(value, (*before, place)) for place in range(size)]


def _accumulate(
    ufunc: np.ufunc, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None
) -> Any:
    source = array_of(array)
    final = expected_dtype(ufunc.accumulate, source, dtype=dtype)
    function = {np.add: np.cumsum, np.multiply: np.cumprod}.get(ufunc)
    if function is not None and final.kind != "b":
        return call_numpy(function, (source,), {"axis": axis, "dtype": final, "out": out})
    axis = axis_number(axis, ndim(source))
    parts = _slices(tensor(source, final), axis)
    if not parts:
        return finish(tensor(source, final), out)
    found = parts[:1]
    for part in parts[1:]:
        found.append(cast(apply(ufunc, found[-1], part), final))
    return finish(ops.call("tf.stack", found, axis=axis), out)


def _outer(ufunc: np.ufunc, A: Any, B: Any, **kwargs: Any) -> Any:
    one, other = array_of(A), array_of(B)
    key = (..., *[None] * ndim(other))
    wide = one[key] if ndim(other) else one
    return call_numpy(ufunc, (wide, other), kwargs)


_SCATTERS = {
    np.add: "tf.tensor_scatter_nd_add",
    np.subtract: "tf.tensor_scatter_nd_sub",
    np.maximum: "tf.tensor_scatter_nd_max",
    np.minimum: "tf.tensor_scatter_nd_min",
}


def _at(ufunc: np.ufunc, a: Any, indices: Any, b: Any = None) -> None:
    from unslow.native.tracing import assigning, indexing, views

    refuse(not isinstance(a, Array), "an array from outside is changed: a side effect")
    refuse(ufunc not in _SCATTERS, f"np.{ufunc.__name__}.at has no translation")
    old = read(a)
    dtype = dtype_of(old)
    parts = indexing._spread(indexing.parts_of(a, indices))
    if dtype.kind == "f" and ufunc in (np.maximum, np.minimum):
        refuse(True, "extremes of floats at indices: NaN")
    new = tensor(b, dtype)
    refuse(
        not np.can_cast(dtype_of(tensor(b)), dtype, "same_kind"),
        "NumPy raises UFuncTypeError: the dtypes do not fit",
    )
    whole = tensor(fresh(old))
    refuse(
        any(part is None or (isinstance(part, slice) and not views.is_all(part)) for part in parts),
        "slices in the indices of `at`",
    )
    axes, picks = indexing._picks(whole, parts)
    refuse(axes != list(range(len(axes))), "slices before the indices of `at`")
    picks = indexing._broadcast(picks)
    rest = sizes(whole)[len(axes) :]
    new = assigning.fitted(new, [*sizes(picks[0]), *rest])
    narrow = (dtype.kind in "iu" and dtype.itemsize < 4) or dtype in (np.float16, np.uint32)
    wide = {"f": "float32", "i": "int32", "u": "int64"}.get(dtype.kind) if narrow else dtype.name
    index = ops.call("tf.stack", picks, axis=-1)
    found = ops.call(_SCATTERS[ufunc], cast(whole, wide), index, cast(views.as_tensor(new), wide))
    write(a, cast(found, dtype))
