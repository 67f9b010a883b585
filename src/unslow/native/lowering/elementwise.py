"""Universal functions: what NumPy does element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.kit import (
    Array,
    array_of,
    as_tensor,
    broadcast_shape,
    broadcast_to,
    cast,
    dtype_of,
    expected,
    is_known,
    is_number,
    is_traced,
    ndim,
    quietly,
    read,
    refuse,
    result,
    shape_of,
    sizes,
    stand_in,
    value_of,
)
from unslow.native.lowering.formulas import COMPARISONS, FORMULAS
from unslow.native.tracing.array import write
from unslow.native.tracing.dtypes import NEW_PROMOTION
from unslow.native.tracing.layout import keeps_c_order, settle
from unslow.native.untranslatable import Untranslatable


def apply(ufunc: np.ufunc, *tensors: Any) -> Any:
    """What a ufunc does with tensors that already have the dtypes of its inner loop."""
    formula = FORMULAS.get(ufunc)
    if formula is None:
        raise Untranslatable(f"np.{ufunc.__name__} has no translation")
    return formula(*tensors)


def loop_dtypes(ufunc: np.ufunc, args: tuple[Any, ...]) -> list[np.dtype[Any]]:
    """The dtypes to which NumPy casts the arguments."""
    plain = [stand_in(arg) for arg in args]
    dtypes: list[Any] = []
    if NEW_PROMOTION:
        for arg in plain:
            weak = is_number(arg) and not isinstance(arg, bool)
            dtypes.append(type(arg) if weak else np.asarray(arg).dtype)
        if all(isinstance(each, type) for each in dtypes):
            dtypes = [np.asarray(arg).dtype for arg in plain]
    else:
        dtypes = _by_value(ufunc, args, plain)
    found = quietly(ufunc.resolve_dtypes, (*dtypes, *[None] * ufunc.nout))
    return [np.dtype(each) for each in found[: ufunc.nin]]


def _by_value(ufunc: np.ufunc, args: tuple[Any, ...], plain: list[Any]) -> list[Any]:
    """NumPy 1: the values of numbers play a part in promotion."""
    if len(plain) == 1 or ufunc in (np.ldexp,):
        return [np.asarray(each).dtype for each in plain]
    common = np.result_type(*plain)
    for place, arg in enumerate(args):
        number = isinstance(arg, Array) and is_traced(arg) and not ndim(arg)
        if number and isinstance(plain[place], (int, np.integer)):
            for value in (-1, 127, 128, 2**15, 2**31, 2**40):
                kind = type(plain[place])
                info = np.iinfo(kind if issubclass(kind, np.integer) else np.int64)
                if not info.min <= value <= info.max:
                    continue
                other = list(plain)
                other[place] = kind(value)
                refuse(
                    np.result_type(*other) != common,
                    "in NumPy 1 the dtype of the result hangs on the value of a number",
                )
    return [common] * len(plain)


def call_ufunc(ufunc: np.ufunc, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a ufunc with traced arguments, or with `out`."""
    args, outs = args[: ufunc.nin], list(args[ufunc.nin :])
    refuse(len(args) < ufunc.nin, f"NumPy raises TypeError: {ufunc.__name__} has too few arguments")
    where = kwargs.pop("where", True) if "where" in (kwargs := dict(kwargs)) else True
    out = kwargs.pop("out", None)
    if out is not None:
        outs = list(out) if isinstance(out, tuple) else [out]
    dtype = kwargs.pop("dtype", None)
    casting = kwargs.pop("casting", "same_kind")
    order = kwargs.pop("order", "K")
    kwargs.pop("subok", None)
    refuse(kwargs, f"arguments {', '.join(kwargs)} of a ufunc")
    refuse(where is not True and not outs, "`where` without `out` leaves values that are not set")
    if ufunc.signature is not None:
        refuse(dtype is not None, "`dtype` of a ufunc on matrices")
        from unslow.native.dispatch import LOWERINGS

        refuse(ufunc not in LOWERINGS, f"np.{ufunc.__name__} has no translation")
        found = LOWERINGS[ufunc](*args)
        results: list[Any] = [found]
        settle(results, args, follows=True)
    else:
        args = tuple(
            arg if is_number(arg) or isinstance(arg, (Array, np.generic)) else array_of(arg)
            for arg in args
        )
        results = _results(ufunc, args, dtype, order)
    if outs:
        refuse(len(outs) != ufunc.nout, "as many `out` as results are needed")
        for place, target in enumerate(outs):
            if target is not None:
                refuse(not isinstance(target, Array), "an array from outside is changed")
                _store(target, results[place], where, casting)
                results[place] = target
    return results[0] if ufunc.nout == 1 else tuple(results)


def _results(ufunc: np.ufunc, args: tuple[Any, ...], dtype: Any, order: Any) -> list[Any]:
    keywords = {} if dtype is None else {"dtype": np.dtype(dtype)}
    like = expected(ufunc, *args, **keywords)
    likes = list(like) if isinstance(like, tuple) else [like]
    if dtype is None:
        loops = loop_dtypes(ufunc, args)
    else:
        signature: tuple[Any, ...] = (None,) * ufunc.nin + (np.dtype(dtype),) * ufunc.nout
        given = tuple(np.asarray(stand_in(arg)).dtype for arg in args)
        found = quietly(ufunc.resolve_dtypes, (*given, *[None] * ufunc.nout), signature=signature)
        loops = list(found[: ufunc.nin])
    if ufunc in COMPARISONS:
        if (known := _beyond(ufunc, args, loops)) is not None:
            return [known]
        loops = _wide_enough(args, loops)
    values = [cast(value_of(arg), loop) for arg, loop in zip(args, loops, strict=True)]
    refuse_unlike(values)
    found = apply(ufunc, *[as_tensor(value) for value in values])
    tensors = list(found) if isinstance(found, tuple) else [found]
    in_c = order != "F" and all(keeps_c_order(arg) for arg in args)
    return [
        result(cast(tensor, np.asarray(each).dtype), c_order=in_c)
        for tensor, each in zip(tensors, likes, strict=True)
    ]


def refuse_unlike(values: list[Any]) -> None:
    """Refuse values whose shapes certainly do not broadcast."""
    shapes = [list(v.shape) if is_known(v) else v.shape.as_list() for v in values]
    for axis in range(1, max(map(len, shapes)) + 1):
        at = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1, None}
        refuse(len(at) > 1, "NumPy raises ValueError: the shapes do not broadcast")


def _beyond(ufunc: np.ufunc, args: tuple[Any, ...], loops: list[Any]) -> Any:
    """Comparisons with a number of Python's that the other's dtype cannot hold."""
    for arg, loop in zip(args, loops, strict=True):
        if isinstance(arg, int) and loop.kind in "iu":
            info = np.iinfo(loop)
            if not info.min <= arg <= info.max:
                same = bool(np.all(expected(ufunc, *args)))
                shape = broadcast_shape(*[shape_of(each) for each in args])
                in_c = all(map(keeps_c_order, args))
                return result(as_tensor(broadcast_to(np.asarray(same), shape)), c_order=in_c)
    return None


def _wide_enough(args: tuple[Any, ...], loops: list[Any]) -> list[Any]:
    """The dtypes to compare in: NumPy compares the value of a number of Python's, not its bits."""
    open_numbers = any(
        isinstance(arg, Array) and is_number(arg) and is_traced(arg) and loop.kind in "iu"
        for arg, loop in zip(args, loops, strict=True)
    )
    if not open_numbers:
        return loops
    refuse(
        any(loop == np.uint64 for loop in loops),
        "numbers above 2**63 are compared with one that only the graph knows",
    )
    return [np.dtype(np.int64)] * len(loops)


def _store(target: Array, value: Any, where: Any, casting: Any) -> None:
    """Put a ufunc's result into `out`."""
    old = read(target)
    dtype = dtype_of(old)
    new = value_of(value)
    refuse(
        not np.can_cast(dtype_of(new), dtype, casting),
        f"NumPy raises UFuncTypeError: cannot cast from {dtype_of(new)} to {dtype}",
    )
    shape = sizes(old)
    from unslow.native.tracing.assigning import fitted

    new = fitted(cast(new, dtype), shape)
    if where is not True:
        mask = fitted(cast(value_of(where), "bool"), shape)
        if all(is_known(each) for each in (mask, new, old)):
            new = np.where(mask, new, old)
        else:
            new = ops.call("tf.where", as_tensor(mask), as_tensor(new), as_tensor(old))
    write(target, new)
