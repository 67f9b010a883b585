"""Calls: who is called, and whether that can be done in a graph."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sysconfig
import types
from pathlib import Path
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
from unslow.native.interpreter.builtin import BUILTINS
from unslow.native.interpreter.frames import Closure
from unslow.native.tracing.array import Array, is_traced, outside
from unslow.native.tracing.sequences import Sequence
from unslow.native.tracing.state import make, may_change
from unslow.native.untranslatable import Untranslatable

PURE = {
    "builtins",
    "math",
    "cmath",
    "operator",
    "functools",
    "itertools",
    "collections",
    "string",
    "fractions",
    "decimal",
    "statistics",
    "numbers",
    "bisect",
    "heapq",
    "copy",
    "types",
    "typing",
    "dataclasses",
    "enum",
    "numpy",
    "scipy",
    "skimage",
    "cv2",
    "PIL",
}
"""Packages whose functions, given what is known, may be called while the graph is made."""

IMPURE = {
    "print",
    "input",
    "open",
    "exec",
    "eval",
    "compile",
    "breakpoint",
    "setattr",
    "delattr",
    "globals",
    "locals",
    "vars",
    "id",
    "hash",
    "__import__",
    "exit",
    "quit",
    "next",
    "iter",
    "super",
}
"""Builtin functions with effects, or results that differ from run to run."""

_READS = ("imread", "imwrite", "open", "save", "load", "fromfile", "tofile", "memmap", "show")
_CHANGES = {
    "append",
    "extend",
    "insert",
    "pop",
    "remove",
    "clear",
    "sort",
    "reverse",
    "update",
    "setdefault",
    "popitem",
    "add",
    "discard",
}


def attribute_of(owner: Any, name: str) -> Any:
    """`owner.name`."""
    if isinstance(owner, np.ndarray) and not hasattr(np.ndarray, name):
        raise Untranslatable(f"the attribute `{name}` of an array")
    if isinstance(owner, np.ndarray) and name in ("T", "real", "imag", "flat", "mT"):
        return getattr(outside(owner), name)
    return getattr(owner, name)


def call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call anything with arguments that may be traced.

    Raises:
        Untranslatable: what it does is not known, or cannot be done in a graph.
    """
    if isinstance(function, Closure):
        return function(*args, **kwargs)
    if isinstance(function, functools.partial) and not isinstance(function.func, type(None)):
        if isinstance(getattr(function, "func", None), types.FunctionType) and _is_ours(function):
            return function(*args, **kwargs)
        return call(function.func, (*function.args, *args), {**function.keywords, **kwargs})
    inner = getattr(function, "native_function", None)
    if inner is not None:
        return call(inner, args, kwargs)
    if _is_hashable(function) and function in BUILTINS:
        return BUILTINS[function](*args, **kwargs)
    owner = getattr(function, "__self__", None)
    if isinstance(owner, (Array, Sequence)):
        return function(*args, **kwargs)
    if _is_numpy(function):
        return call_numpy(function, args, kwargs)
    if isinstance(owner, np.ndarray):
        return _method_of_known(owner, function, args, kwargs)
    if isinstance(owner, (list, dict, set)):
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

    function = _unwrapped(function)
    inner = function.__func__ if isinstance(function, types.MethodType) else None
    if isinstance(inner, types.FunctionType) and not _is_installed(inner):
        return run_function(inner, (function.__self__, *args), kwargs)
    if isinstance(function, types.FunctionType) and not _is_installed(function):
        return run_function(function, args, kwargs)
    name = name_of(function)
    if isinstance(function, type) and issubclass(function, tuple) and hasattr(function, "_fields"):
        return function(*args, **kwargs)
    plain_name = getattr(function, "__name__", "")
    if module == "builtins" and plain_name in IMPURE:
        raise Untranslatable(f"{name} may have effects, or another result at each call")
    if any_traced(args, kwargs) or is_traced(owner):
        raise Untranslatable(f"{name} has no translation")
    if module not in PURE:
        raise Untranslatable(f"{name} may have effects, or another result at each call")
    if plain_name.startswith(_READS):
        raise Untranslatable(f"{name} reads or writes files")
    if not isinstance(function, type) and not callable(function):
        raise Untranslatable(f"{name} cannot be called")
    plain = known(args), {key: known(value) for key, value in kwargs.items()}
    result = function(*plain[0], **plain[1])
    if type(result) is np.ndarray or has_array(args, kwargs):
        return ours(result)
    return make(result) if isinstance(result, (list, dict, set)) else result


def _unwrapped(function: Any) -> Any:
    """What a cache, or a compiler for NumPy, is wrapped around."""
    for name in ("py_func", "__wrapped__"):
        inner = getattr(function, name, None)
        if inner is not None and not isinstance(function, types.FunctionType):
            return inner
    call_method = inspect.getattr_static(type(function), "__call__", None)
    if isinstance(call_method, types.FunctionType) and not _is_installed(call_method):
        return types.MethodType(call_method, function)
    return function


@functools.cache
def _installed_places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({str(Path(paths[key])) for key in ("stdlib", "platstdlib", "purelib", "platlib")})


def _is_installed(function: types.FunctionType) -> bool:
    """Whether a function belongs to Python itself or to an installed package."""
    path = function.__code__.co_filename
    if path.startswith("<frozen"):
        return True
    return path.startswith(_installed_places())


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
    module = getattr(function, "__module__", None) or ""
    if getattr(function, "__self__", None) is not None and not isinstance(
        function.__self__, types.ModuleType
    ):
        return False
    if not module.startswith("numpy") or module.startswith("numpy.random"):
        return False
    return not getattr(function, "__name__", "").startswith(_READS)


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
    if function.__name__ in ("sort", "fill", "put", "itemset", "resize", "partition", "setflags"):
        raise Untranslatable("an array from outside is changed: a side effect")
    return ours(function(*known(args), **known(kwargs)), [owner])


def _method_of_container(owner: Any, function: Any, args: Any, kwargs: Any) -> Any:
    name = function.__name__
    if name in _CHANGES and not may_change(owner):
        raise Untranslatable(
            "a container from outside, or from outside a branch of the graph, is changed"
        )
    if name in ("sort", "index", "count", "remove") and any_traced(owner, args):
        raise Untranslatable(f"{name}() of a container with values of the graph")
    if isinstance(owner, (dict, set)) and any_traced(args[:1]):
        raise Untranslatable("what the graph knows is looked up in a container")
    result = function(*args, **kwargs)
    return make(result) if isinstance(result, (list, dict, set)) and name == "copy" else result


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
