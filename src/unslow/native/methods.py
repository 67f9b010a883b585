"""The methods of arrays, by the functions of NumPy's that do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native.dispatch import call_numpy
from unslow.native.tracing.array import Array, fresh, ndim, read, result, to_python, write
from unslow.native.tracing.dtypes import cast, dtype_of
from unslow.native.tracing.layout import copied, in_c_order, is_contiguous
from unslow.native.tracing.sequences import ArrayList
from unslow.native.tracing.views import is_known
from unslow.native.untranslatable import Untranslatable


def _same(function: Any) -> Callable[..., Any]:
    def method(array: Array, *args: Any, **kwargs: Any) -> Any:
        return call_numpy(function, (array, *args), kwargs)

    return method


def _astype(
    array: Array,
    dtype: Any,
    order: str = "K",
    casting: Any = "unsafe",
    subok: bool = True,
    copy: bool = True,
) -> Any:
    value = read(array)
    target = np.dtype(dtype)
    if not np.can_cast(dtype_of(value), target, casting):
        raise Untranslatable(f"NumPy raises TypeError: no {casting} cast to {target}")
    if array._kind != "array":
        return array if not copy and dtype_of(value) == target else result(cast(value, target))
    in_order = in_c_order(array, order)
    if not copy and dtype_of(value) == target and (order in ("K", "A") or is_contiguous(array)):
        return array
    found = fresh(cast(value, target), c_order=in_order)
    if not copy and dtype_of(value) == target:
        # Where it lies in this order already, NumPy gives the array itself.
        found._storage.fork(array._storage)
    return found


def _copy(array: Array, order: str = "C") -> Any:
    return copied(array, order) if array._kind == "array" else array


def _conjugate(array: Array) -> Any:
    # Unlike the function, the method makes no copy of what is real.
    return call_numpy(np.conjugate, (array,), {}) if array.dtype.kind == "c" else array


def _fill(array: Array, value: Any) -> None:
    array[...] = value


def _item(array: Array, *index: Any) -> Any:
    if index:
        key = index[0] if len(index) == 1 and isinstance(index[0], tuple) else index
        array = array.flat[key[0]] if len(key) == 1 else array[key]
        if not isinstance(array, Array):
            return array.item()
    kind = {"b": bool, "i": int, "u": int, "f": float, "c": complex}[dtype_of(read(array)).kind]
    return to_python(array, kind)


def _tolist(array: Array) -> Any:
    if not ndim(array):
        return _item(array)
    value = read(array)
    if is_known(value):
        from unslow.native.tracing.state import make

        return make(value.tolist())
    return ArrayList(fresh(value))


def _reshape(array: Array, *shape: Any, **kwargs: Any) -> Any:
    shape = shape[0] if len(shape) == 1 else shape
    return call_numpy(np.reshape, (array, shape), kwargs)


def _transpose(array: Array, *axes: Any) -> Any:
    order = axes[0] if len(axes) == 1 else axes or None
    return call_numpy(np.transpose, (array, order), {})


def _flatten(array: Array, order: str = "C") -> Any:
    return _copy(call_numpy(np.ravel, (array,), {"order": order}))


def _sort(array: Array, axis: int = -1, kind: Any = None) -> None:
    write(array, read(call_numpy(np.sort, (array,), {"axis": axis, "kind": kind})))


def _view(array: Array, dtype: Any = None) -> Any:
    if dtype is not None and np.dtype(dtype) != array.dtype:
        raise Untranslatable("the bits of an array seen as another dtype")
    return array[...]


def _put(array: Array, *args: Any, **kwargs: Any) -> Any:
    return call_numpy(np.put, (array, *args), kwargs)


def _is_integer(array: Array) -> Any:
    return call_numpy(np.equal, (array, call_numpy(np.floor, (array,), {})), {})


METHODS: dict[str, Callable[..., Any]] = {
    name: _same(getattr(np, name))
    for name in [
        "all",
        "any",
        "argmax",
        "argmin",
        "argsort",
        "choose",
        "clip",
        "compress",
        "cumprod",
        "cumsum",
        "diagonal",
        "dot",
        "max",
        "mean",
        "min",
        "nonzero",
        "prod",
        "ptp",
        "ravel",
        "repeat",
        "round",
        "searchsorted",
        "squeeze",
        "std",
        "sum",
        "swapaxes",
        "take",
        "trace",
        "var",
        "argpartition",
    ]
} | {
    "astype": _astype,
    "conj": _conjugate,
    "conjugate": _conjugate,
    "copy": _copy,
    "__copy__": _copy,
    "fill": _fill,
    "flatten": _flatten,
    "is_integer": _is_integer,
    "item": _item,
    "put": _put,
    "reshape": _reshape,
    "sort": _sort,
    "tolist": _tolist,
    "transpose": _transpose,
    "view": _view,
}
