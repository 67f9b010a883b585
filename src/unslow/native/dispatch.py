"""Calls of NumPy's functions: run at once where all is known, else translated."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native.tracing.array import Array, fresh, is_traced, outside, read
from unslow.native.tracing.dtypes import quietly
from unslow.native.tracing.layout import FOLLOWING, LAID_OUT, keeps_c_order, settle
from unslow.native.tracing.sequences import ArrayList, Sequence
from unslow.native.tracing.state import make
from unslow.native.tracing.views import is_known
from unslow.native.untranslatable import Untranslatable

Lowering = Callable[..., Any]

LOWERINGS: dict[Any, Lowering] = {}
ALWAYS: set[Any] = set()
"""Functions whose lowering is used for known arrays, too: they make views, or change arrays."""


def lowers(*functions: Any, always: bool = False) -> Callable[[Lowering], Lowering]:
    """Say that a function does with traced arrays what these functions of NumPy's do.

    It is given the same arguments and returns the same kinds of results. A function that this
    NumPy does not have may be given as `None`.
    """

    def register(lowering: Lowering) -> Lowering:
        for function in functions:
            if function is not None:
                LOWERINGS[function] = lowering
                if always:
                    ALWAYS.add(function)
        return lowering

    return register


def optional(owner: Any, *path: str) -> Any:
    """What a dotted path leads to, `None` where this version does not have it."""
    for name in path:
        owner = getattr(owner, name, None)
    return owner


@functools.cache
def load() -> None:
    """Import all lowerings."""
    from unslow.native import lowering

    for module in pkgutil.iter_modules(lowering.__path__):
        importlib.import_module(f"{lowering.__name__}.{module.name}")


def contains(value: Any, test: Callable[[Any], bool]) -> bool:
    """Whether the test holds for a value, or for one in it."""
    if isinstance(value, (list, tuple, set)):
        return any(contains(each, test) for each in value)
    if isinstance(value, dict):
        return any(contains(each, test) for each in value.values())
    if isinstance(value, slice):
        return any(contains(each, test) for each in (value.start, value.stop, value.step))
    if isinstance(value, ArrayList):
        return test(value.array)
    if isinstance(value, Sequence):
        if isinstance(value.length, Array):
            return True
        return contains([value.get(index) for index in range(int(value.length))], test)
    return test(value)


def any_traced(*values: Any) -> bool:
    """Whether any of the values is known only in the graph, at whatever depth."""
    return any(contains(value, is_traced) for value in values)


def has_array(*values: Any) -> bool:
    """Whether there is an array of ours in the values."""
    return any(contains(value, lambda each: isinstance(each, Array)) for value in values)


def call_numpy(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy's with arrays of ours among its arguments.

    Raises:
        Untranslatable: it has no translation, or NumPy itself refuses these arguments.
    """
    load()
    traced = any_traced(args, kwargs)
    always = has_array(args, kwargs)
    if isinstance(function, np.ufunc):
        if traced or kwargs.get("out") is not None or (len(args) > function.nin):
            from unslow.native.lowering.elementwise import call_ufunc

            return call_ufunc(function, args, kwargs)
        return run(function, args, kwargs)
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(owner, np.ufunc):
        if traced or kwargs.get("out") is not None or name == "at":
            from unslow.native.lowering.ufunc_methods import call_method

            found = call_method(owner, name, args, kwargs)
            settle(found, (args, kwargs), follows=True)
            return found
        return run(function, args, kwargs)
    if isinstance(function, type) and issubclass(function, np.generic) and traced:
        return _scalar(function, *args, **kwargs)
    lowering = LOWERINGS.get(function) if _is_hashable(function) else None
    if lowering is not None and (
        traced or (function in ALWAYS and (always or function is np.empty))
    ):
        found = lowering(*args, **kwargs)
        order = kwargs.get("order", "K")
        if function not in LAID_OUT:
            settle(found, (args, kwargs), follows=function in FOLLOWING and order != "F")
        return found
    if traced:
        raise Untranslatable(f"{name_of(function)} has no translation")
    if _writes(function, args, kwargs):
        raise Untranslatable(f"{name_of(function)} with `out` has no translation")
    return run(function, args, kwargs)


def _writes(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether an argument is `out`. NumPy 1 writes even to some arrays that are read-only."""
    if kwargs.get("out") is not None:
        return True
    if len(args) < 3:
        return False
    try:
        given = inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return False
    return given.get("out") is not None


def _scalar(kind: Any, value: Any) -> Any:
    """`np.float32(value)` and the like."""
    from unslow.native.tracing.array import result
    from unslow.native.tracing.dtypes import cast

    if isinstance(value, Array) and value._kind == "python":
        return result(cast(read(value), kind), "scalar")
    from unslow.native.kit import ndim, value_of

    if isinstance(value, Array) and ndim(value) and value.dtype == kind:
        return value
    return result(cast(value_of(value), kind), c_order=keeps_c_order(value))


def _is_hashable(function: Any) -> bool:
    try:
        hash(function)
    except TypeError:
        return False
    return True


def name_of(function: Any) -> str:
    """The dotted name of a function."""
    module = getattr(function, "__module__", None) or ""
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", str(function))
    if isinstance(function, np.ufunc):
        module = "numpy"
    return f"{module}.{name}".replace("builtins.", "").lstrip(".")


def run(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run NumPy itself on what is known; its arrays become ours."""
    sources: list[Any] = []
    plain_args = tuple(known(each, sources) for each in args)
    plain_kwargs = {name: known(each, sources) for name, each in kwargs.items()}
    found = ours(quietly(function, *plain_args, **plain_kwargs), sources)
    # What is known of values need not be laid out as it would be in NumPy.
    settle(found, sources, follows=True)
    return found


def known(value: Any, sources: list[Any] | None = None) -> Any:
    """The value with NumPy's own arrays, that cannot be written to, in the place of ours."""
    if isinstance(value, Array):
        if sources is not None:
            sources.append(value)
        plain = read(value)
        if not is_known(plain):
            raise Untranslatable("its value is known only when the graph runs")
        if value._kind != "array":
            return plain[()]
        return _unwritable(plain)
    if isinstance(value, np.ndarray):
        if sources is not None:
            sources.append(value)
        return _unwritable(value)
    if isinstance(value, (ArrayList, Sequence)):
        return [known(each, sources) for each in value]
    if type(value) in (list, tuple):
        return type(value)(known(each, sources) for each in value)
    if type(value) is dict:
        return {name: known(each, sources) for name, each in value.items()}
    if isinstance(value, slice):
        return slice(*[known(each, sources) for each in (value.start, value.stop, value.step)])
    return value


def _unwritable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    seen: np.ndarray[Any, Any] = array.view()
    seen.flags.writeable = False
    return seen


def ours(value: Any, sources: list[Any] | None = None) -> Any:
    """The value with arrays of ours in the place of NumPy's."""
    if type(value) is np.ndarray:
        if value.dtype.kind not in "biufc":
            return value
        for source in sources or []:
            if isinstance(source, np.ndarray):
                if np.may_share_memory(value, source):
                    return outside(value)
                continue
            if np.may_share_memory(value, read(source)):
                array = fresh(
                    value, fixed="it shares memory with an array in a way that is not followed"
                )
                array._storage.fork(source._storage)
                return array
        return fresh(value)
    if type(value) in (list, tuple):
        inner = type(value)(ours(each, sources) for each in value)
        return make(inner) if isinstance(inner, list) else inner
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[ours(each, sources) for each in value])
    if type(value) is dict:
        return make({name: ours(each, sources) for name, each in value.items()})
    return value
