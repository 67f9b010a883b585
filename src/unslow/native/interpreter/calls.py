"""Calls: who is called, and whether that can be done in a graph."""

from __future__ import annotations

import collections
import functools
import importlib
import importlib.util
import inspect
import types
from typing import Any

import numpy as np

from unslow.native.dispatch import (
    LOWERINGS,
    any_traced,
    call_numpy,
    has_array,
    known,
    load,
    name_of,
    ours,
)
from unslow.native.interpreter.allowed import CHANGES, is_allowed, is_of_numpy, only_reads
from unslow.native.interpreter.builtin import BUILTINS
from unslow.native.interpreter.frames import Closure
from unslow.native.interpreter.objects import is_installed, is_users, iterated, operands, special
from unslow.native.tracing.array import Array, is_traced, outside
from unslow.native.tracing.sequences import Generator, Sequence
from unslow.native.tracing.state import make, may_change
from unslow.native.untranslatable import Untranslatable

LOOKING = (isinstance, type, hasattr, getattr, callable)
"""Builtin functions that do nothing with what the special methods of an object say."""

RUNNING = (len, list, tuple, enumerate, zip, reversed, any, all, map, filter, functools.reduce)
"""Builtin functions that run over a container, and leave its elements alone."""


def call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call anything with arguments that may be traced.

    Raises:
        Untranslatable: what it does is not known, or cannot be done in a graph.
    """
    if isinstance(function, (Closure, Followed)):
        return function(*args, **kwargs)
    method: Any = inspect.getattr_static(type(function), "__call__", None)
    if is_users(method):
        return call(types.MethodType(method, function), args, kwargs)
    if isinstance(function, functools.partial) and not isinstance(function.func, type(None)):
        if isinstance(function.func, types.FunctionType) and _is_ours(function):
            return function(*args, **kwargs)
        return call(function.func, (*function.args, *args), {**function.keywords, **kwargs})
    inner = inspect.getattr_static(function, "native_function", None)
    if inner is not None:
        return call(inner, args, kwargs)
    if _is_hashable(function) and function in BUILTINS:
        if function in (len, bool) and len(args) == 1:
            follows = special(args[0], f"__{function.__name__}__")
            if follows is not None:
                return call(follows, (), {})
        if function in RUNNING:
            for each in args:
                iterated(each)
        elif function not in LOOKING:
            operands(args, {name: each for name, each in kwargs.items() if name != "key"})
        if "key" in kwargs and function in (min, max):
            kwargs = followed(kwargs)
        return BUILTINS[function](*args, **kwargs)
    owner = getattr(function, "__self__", None)
    if isinstance(owner, (Array, Sequence)):
        return function(*args, **kwargs)
    if _is_numpy(function):
        args = _made_now(args, function)
        operands(args, kwargs)
        if function is np.datetime64 and args and args[0] in ("now", "today"):
            raise Untranslatable("the time, which is another at each call")
        if not any_traced(args, kwargs):
            args, kwargs = followed(args), followed(kwargs)
        return call_numpy(function, args, kwargs)
    if isinstance(owner, np.ndarray):
        return _method_of_known(owner, function, args, kwargs)
    if isinstance(owner, (list, dict, set, collections.deque)) and not is_users(function):
        return _method_of_container(owner, function, args, kwargs)
    module = _package(function)
    if ".autograph." in (getattr(function, "__module__", None) or ""):
        return _autograph(function, args)
    if _is_random(owner, function, module):
        from unslow.native.lowering.random import draw

        return draw(owner, function, args, kwargs)
    if hasattr(type(owner), "is_traced_generator") and owner is not None:
        return function(*args, **kwargs)
    found = _in_libraries(function) if any_traced(args, kwargs) else None
    if found is not None:
        return _library(found, args, kwargs)
    return _other(function, owner, module, args, kwargs)


def _autograph(function: Any, args: tuple[Any, ...]) -> Any:
    """What AutoGraph wrote into a lambda that stands in a function that it rewrote.

    Raises:
        Untranslatable: it rewrote more than that.
    """
    from unslow.native.tracing.control import branch, truth

    name = function.__name__
    if name == "ld":
        return args[0]
    if name == "converted_call":
        return call(args[0], args[1], args[2] or {})
    if name == "if_exp":
        return branch(truth(args[0]), args[1], args[2])
    if name in ("and_", "or_"):
        first = args[0]()
        arms = args[1], lambda: first
        return branch(truth(first), *(arms if name == "and_" else arms[::-1]))
    if name == "autograph_artifact":
        return args[0]
    raise Untranslatable("AutoGraph has rewritten the function: define it outside the tf.function")


def _is_ours(function: functools.partial[Any]) -> bool:
    """Whether a partial function is one of ours: the method of an array."""
    return function.func.__module__.startswith("unslow.native")


def _other(
    function: Any, owner: Any, module: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    from unslow.native.interpreter.statements import run_function

    if isinstance(function, functools._lru_cache_wrapper):
        return _cached(function, args, kwargs)
    function = _unwrapped(function)
    inner = function.__func__ if isinstance(function, types.MethodType) else None
    if isinstance(inner, types.FunctionType) and not is_installed(inner):
        return run_function(inner, (function.__self__, *args), kwargs)
    if isinstance(function, types.FunctionType) and not is_installed(function):
        return run_function(function, args, kwargs)
    name = name_of(function)
    if isinstance(function, type) and issubclass(function, tuple) and hasattr(function, "_fields"):
        return function(*args, **kwargs)
    args = _made_now(args, function)
    allowed = is_allowed(function)
    if (any_traced(args, kwargs) or is_traced(owner)) and (allowed or module != "builtins"):
        raise Untranslatable(f"{name} has no translation")
    if not allowed:
        raise Untranslatable(f"{name} may have effects, or another result at each call")
    operands(args, kwargs)
    plain = known(followed(args)), known(followed(kwargs))
    result = function(*plain[0], **plain[1])
    if hasattr(result, "__next__"):
        return make(result)
    if type(result) is np.ndarray or has_array(args, kwargs):
        return ours(result)
    return make(result) if isinstance(result, (list, dict, set, collections.deque)) else result


def _made_now(args: tuple[Any, ...], function: Any) -> tuple[Any, ...]:
    """Arguments for a library: lists in the place of what makes its values one by one.

    Raises:
        Untranslatable: the library would not take all of them at once.
    """
    if not any(isinstance(each, Generator) for each in args):
        return args
    if function is not np.fromiter and (_is_numpy(function) or _package(function) == "itertools"):
        raise Untranslatable(f"{name_of(function)} of values that are made one by one")
    return tuple(list(each) if isinstance(each, Generator) else each for each in args)


_RUN = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.MethodWrapperType,
    functools.partial,
)


class Followed:
    """A function that a library calls."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.__name__ = getattr(function, "__name__", "function")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return call(self.function, args, kwargs)


def followed(given: Any) -> Any:
    """Arguments for a library, with the functions among them made to be followed."""
    if isinstance(given, tuple):
        return tuple(Followed(each) if isinstance(each, _RUN) else each for each in given)
    return {
        name: Followed(each) if isinstance(each, _RUN) else each for name, each in given.items()
    }


def _unwrapped(function: Any) -> Any:
    """What a compiler for NumPy is wrapped around."""
    if type(function).__module__.startswith("numba."):
        return getattr(function, "py_func", function)
    return function


def _cached(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of what `functools.cache` made: what it returns is kept, and others see it too."""
    if has_array(args, kwargs) and any_traced(args, kwargs):
        raise Untranslatable("a cache is asked for what the graph knows")
    return _kept(call(function.__wrapped__, args, kwargs))


def _kept(value: Any) -> Any:
    """The value as something from outside, which must not be changed."""
    if isinstance(value, Array) and value._kind == "array":
        return outside(known(value))
    if type(value) in (list, tuple):
        return type(value)(_kept(each) for each in value)
    if type(value) is dict:
        return {name: _kept(each) for name, each in value.items()}
    if isinstance(value, (list, dict, set)):
        return value.copy()
    return value


def _package(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    module = getattr(function, "__module__", None)
    if module is None and owner is not None:
        module = owner.__name__ if isinstance(owner, types.ModuleType) else type(owner).__module__
    return (module or "").partition(".")[0]


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _is_numpy(function: Any) -> bool:
    if isinstance(function, np.ufunc) or isinstance(getattr(function, "__self__", None), np.ufunc):
        return True
    load()
    if _is_hashable(function) and function in LOWERINGS:
        return True
    if isinstance(function, type):
        return issubclass(function, np.generic)
    if getattr(function, "__self__", None) is not None and not isinstance(
        function.__self__, types.ModuleType
    ):
        return False
    return is_of_numpy(function)


def _is_random(owner: Any, function: Any, module: str) -> bool:
    if isinstance(owner, (np.random.Generator, np.random.RandomState)):
        return True
    name = getattr(function, "__module__", None) or ""
    return module == "numpy" and (
        name.startswith("numpy.random") or function is np.random.default_rng
    )


def _method_of_known(owner: Any, function: Any, args: Any, kwargs: Any) -> Any:
    if any_traced(args, kwargs):
        return getattr(outside(owner), function.__name__)(*args, **kwargs)
    if not only_reads(owner, function.__name__):
        raise Untranslatable("an array from outside is changed or written: a side effect")
    if function.__name__ in ("cumsum", "cumprod") and (len(args) > 2 or "out" in kwargs):
        # NumPy 1 writes to it even where it is read-only.
        raise Untranslatable(f"{function.__name__}() with `out` has no translation")
    method = getattr(known(owner), function.__name__)
    return ours(method(*known(args), **known(kwargs)), [owner])


def _method_of_container(owner: Any, function: Any, args: Any, kwargs: Any) -> Any:
    name = function.__name__
    if name in CHANGES:
        if not may_change(owner):
            raise Untranslatable(
                "a container from outside, or from outside a branch of the graph, is changed"
            )
    elif not only_reads(owner, name):
        raise Untranslatable(f"{name}() of a container may have effects")
    if isinstance(owner, collections.deque) and has_array(args):
        raise Untranslatable("an array in a deque is not followed")
    if name in ("extend", "update") and not isinstance(owner, set):
        for each in args:
            iterated(each)
    elif name not in ("append", "insert"):
        operands(args, {key: each for key, each in kwargs.items() if key != "key"})
    kwargs = followed(kwargs)
    if name in ("sort", "index", "count", "remove") and any_traced(owner, args):
        raise Untranslatable(f"{name}() of a container with values of the graph")
    if isinstance(owner, (dict, set)) and any_traced(args[:1]):
        raise Untranslatable("what the graph knows is looked up in a container")
    result = function(*args, **kwargs)
    new = result is not None and name not in ("get", "pop", "setdefault", "popitem")
    return make(result) if isinstance(result, (list, dict, set, type(owner))) and new else result


def _in_libraries(function: Any) -> Any:
    """What another library's function is in TensorFlow, if that is known."""
    if importlib.util.find_spec("unslow.native.libraries") is None:
        return None
    find = getattr(importlib.import_module("unslow.native.libraries"), "find", None)
    return None if find is None else find(function)


def _library(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    from unslow.native.function import array_from
    from unslow.native.kit import tensor
    from unslow.native.raw import written_down

    def plain(value: Any) -> Any:
        if isinstance(value, Array):
            return tensor(value) if is_traced(value) else known(value)
        if isinstance(value, Sequence):
            return [plain(each) for each in value]
        if type(value) in (list, tuple):
            return type(value)(plain(each) for each in value)
        return value

    given = plain(args), {name: plain(value) for name, value in kwargs.items()}
    result = written_down(lambda: function(*given[0], **given[1]))

    if isinstance(result, (list, tuple)):
        return type(result)(array_from(each) for each in result)
    return array_from(result)
