"""How NumPy lays out an array in memory: whether another shape of it is a view or a copy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from unslow.native.tracing import views
from unslow.native.tracing.array import Array, fresh, ndim, read, view
from unslow.native.tracing.dtypes import dtype_of
from unslow.native.tracing.sequences import ArrayList
from unslow.native.untranslatable import Untranslatable

_LARGEST = 2**28
"""The most bytes that are set aside to find out how an array is laid out."""


def keeps_c_order(value: Any) -> bool:
    """Whether what NumPy makes in the order of this argument (`order="K"`) certainly is in C order.

    Steps and new axes do not matter for that, as the axes stay in their order.
    """
    if not isinstance(value, Array):
        return True
    turned = any(isinstance(lens, views.Transpose) for lens in value._lenses)
    # The number of axes comes last: to know it makes the ops of a view.
    return (value._storage.c_order and not turned) or ndim(value) < 2


def in_c_order(value: Any, order: Any = "K") -> bool:
    """Whether a copy of it in this order certainly is in C order."""
    if order == "C" or (isinstance(value, Array) and ndim(value) < 2):
        return True
    if order not in (None, "K", "A", "F"):
        raise Untranslatable(f"the order {order!r} of elements")
    return order != "F" and keeps_c_order(value)


def copied(array: Array, order: Any = "K") -> Array:
    """A copy with memory of its own, laid out in an order."""
    return fresh(read(array), c_order=in_c_order(array, order))


def reshaped(array: Array, shape: Sequence[Any]) -> Array:
    """The array with another shape: a view where NumPy makes one, else a copy.

    Where that is not certain neither can be read any more once the other is changed.
    """
    plain = _laid_out(array)
    shares = _is_one_run(array)
    if plain is not None and all(isinstance(size, int) for size in shape):
        other = np.reshape(plain, shape)
        shares = not plain.size or np.may_share_memory(plain, other)
    lens = views.Reshape(shape)
    if shares:
        return view(array, lens)
    return _other(array, lens.get(read(array)), certain=shares is False, c_order=shares is False)


def flat(array: Array) -> Array:
    """`ravel`: unlike a reshape, a copy wherever the elements do not lie side by side."""
    lens, one_run = views.Reshape([-1]), is_contiguous(array)
    if one_run:
        return view(array, lens)
    return _other(array, lens.get(read(array)), certain=one_run is False)


def contiguous(array: Array) -> Array:
    """The array itself where it lies in C order, else a copy that does."""
    one_run = is_contiguous(array)
    return array if one_run else _other(array, read(array), certain=one_run is False)


def is_contiguous(array: Array) -> bool | None:
    """Whether it is one run of memory in C order; `None` where that is not certain."""
    plain = _laid_out(array)
    return _is_one_run(array) if plain is None else plain.flags.c_contiguous


def _other(array: Array, value: Any, *, certain: bool, c_order: bool = True) -> Array:
    """What NumPy makes a copy, or may do so, where that is not certain."""
    other = fresh(value, c_order=c_order)
    if not certain:
        other._storage.fork(array._storage)
    return other


def _laid_out(array: Array) -> np.ndarray[Any, Any] | None:
    """An array without values whose memory lies as this one's; `None` where that is not known."""
    storage = array._storage
    whole = storage._value
    shape = list(whole.shape) if views.is_known(whole) else whole.shape.as_list()
    if not storage.c_order or any(size is None for size in shape):
        return None
    for lens in array._lenses:
        if isinstance(lens, views.Index) and not lens.static:
            return None
        if isinstance(lens, views.Reshape) and not all(isinstance(n, int) for n in lens.shape):
            return None
    dtype = np.dtype("complex64" if dtype_of(whole).kind == "c" else "uint8")
    if math.prod(shape) * dtype.itemsize > _LARGEST:
        return None
    plain: np.ndarray[Any, Any] = np.empty(shape, dtype)
    for lens in array._lenses:
        if isinstance(lens, views.Index):
            # Without the dots, NumPy would copy a single element.
            key = (*lens.key, ...)
            plain = plain[key]
        else:
            plain = lens.get(plain)
    return plain


def _is_one_run(array: Array) -> bool | None:
    """Like `is_contiguous`, by the lenses alone, for sizes that are not known."""
    lenses = array._lenses
    certain = all(isinstance(lens, views.Reshape) or _leading(lens) for lens in lenses)
    return True if array._storage.c_order and certain else None


def _leading(lens: Any) -> bool:
    """Whether a lens takes one run of memory: single rows, then a run of rows."""
    if not isinstance(lens, views.Index):
        return False
    open_slice = False
    for part in lens.key:
        if part is None:
            continue
        if isinstance(part, slice):
            if open_slice and not views.is_all(part):
                return False
            if part.step not in (None, 1):
                return False
            open_slice = True
        elif open_slice:
            return False
    return True


def _named(names: str) -> frozenset[Any]:
    return frozenset(getattr(np, name) for name in names.split() if hasattr(np, name))


LAID_OUT = _named(
    "zeros empty ones full zeros_like empty_like ones_like full_like array asarray asanyarray "
    "ascontiguousarray asfortranarray require copy astype reshape ravel arange eye identity tri "
    "indices take repeat tile resize bincount outer dot inner"
)
"""Functions that always give C order, or whose lowerings say what order they give."""

FOLLOWING = _named(
    "where clip round around fix nan_to_num sum prod mean std var max min amax amin ptp any all "
    "count_nonzero argmax argmin cumsum cumprod nansum nanprod nanmean nanstd nanvar nanmax nanmin "
    "sort argsort concatenate concat append stack vstack hstack dstack column_stack pad roll "
    "insert diff select choose isclose isin tril triu matmul flatnonzero extract compress "
    "searchsorted digitize interp histogram unique convolve correlate polyval isposinf isneginf "
    "sinc median average angle trapezoid trapz"
)
"""Functions that give C order where all their arguments are in C order."""


def settle(found: Any, arguments: Iterable[Any], *, follows: bool) -> None:
    """Note for new arrays among results that they may lie in another order than C.

    `follows`: NumPy makes them in the order of the arguments, so in C order where all those are.
    """
    sources = list(_arrays(arguments))
    if follows and all(map(keeps_c_order, sources)):
        return
    storages = {id(source._storage) for source in sources}
    for array in _arrays(found):
        if id(array._storage) not in storages and not (follows and ndim(array) < 2):
            array._storage.c_order = False


def _arrays(value: Any) -> Iterable[Array]:
    if isinstance(value, Array):
        yield value
    elif isinstance(value, ArrayList):
        yield value.array
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _arrays(each)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))
