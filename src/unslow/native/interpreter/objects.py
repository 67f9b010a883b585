"""Objects from outside: their special methods and properties.

What the user wrote is followed, so that an effect in it is seen. What Python, NumPy and a few
others wrote is run as it is. All else is refused: it may have effects, or change from call to call.
"""

from __future__ import annotations

import functools
import sysconfig
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.tracing.array import Array, outside, read
from unslow.native.tracing.dtypes import dtype_of
from unslow.native.tracing.sequences import Generator, Sequence
from unslow.native.tracing.state import may_change
from unslow.native.untranslatable import Untranslatable


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TRUSTED = _names(
    "builtins numpy collections fractions decimal types functools itertools operator enum datetime "
    "pathlib string re abc typing _thread unslow PIL"
)
"""Packages whose special methods and properties only look at the object."""

_MAPS = "skimage.transform."
"""The module whose maps of the plane are added and called."""

_MORE_ATTRIBUTES = TRUSTED | _names("tensorflow keras scipy skimage PIL cv2 dataclasses")
"""Packages whose properties do."""

_BINARY = _names("add sub mul truediv floordiv mod pow matmul and or xor lshift rshift divmod")
_OTHER = _names(
    "eq ne lt le gt ge hash bool len iter next reversed getitem missing contains neg pos abs "
    "invert round trunc floor ceil int float complex index length_hint str repr format bytes copy "
    "deepcopy array array_ufunc array_function array_interface array_struct array_priority"
)
_OPERATIONS = frozenset(
    f"__{prefix}{name}__"
    for prefix, names in (("", _BINARY | _OTHER), ("r", _BINARY), ("i", _BINARY))
    for name in names
)


def _package(owner: Any) -> str:
    module = getattr(owner, "__module__", None)
    return module.partition(".")[0] if isinstance(module, str) else ""


@functools.cache
def _installed_places() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({str(Path(paths[key])) for key in ("stdlib", "platstdlib", "purelib", "platlib")})


def is_installed(function: types.FunctionType) -> bool:
    """Whether a function belongs to Python itself or to an installed package."""
    path = function.__code__.co_filename
    if path.startswith("<frozen"):
        return True
    return path.startswith(_installed_places())


def is_users(function: Any) -> bool:
    """Whether it is a Python function, or a method, that the user wrote."""
    if isinstance(function, types.MethodType):
        function = function.__func__
    return (
        isinstance(function, types.FunctionType)
        and not is_installed(function)
        and _package(function) != "unslow"
    )


def _in_class(kind: type, name: str) -> tuple[type, Any] | None:
    """The class that has an attribute, and the attribute as it stands there."""
    for base in kind.__mro__:
        if name in vars(base):
            return base, vars(base)[name]
    return None


def _is_trusted(base: type, method: Any) -> bool:
    if method is None or _package(base) in TRUSTED or base.__module__.startswith(_MAPS):
        return True
    if isinstance(method, types.FunctionType):
        return _package(method) in TRUSTED
    maker = getattr(method, "__objclass__", None)
    return maker is not None and maker is not base and _package(maker) in TRUSTED


@functools.lru_cache(maxsize=1024)
def _is_foreign(kind: Any) -> bool:
    """Whether an operation on such an object may run code that is not known."""
    if issubclass(kind, tf.Tensor):
        return False
    return any(
        not _is_trusted(base, vars(base)[name])
        for base in kind.__mro__
        for name in _OPERATIONS.intersection(vars(base))
    )


def special(value: Any, name: str) -> Callable[..., Any] | None:
    """A special method of an object that the user wrote; `None` where Python's own will do.

    Raises:
        Untranslatable: it is somebody else's.
    """
    found = _in_class(type(value), name)
    if found is None or _is_trusted(*found) or isinstance(value, tf.Tensor):
        return None
    if is_users(found[1]):
        return types.MethodType(found[1], value)
    raise Untranslatable(f"{name} of {_words(value)} may have effects")


def _words(value: Any) -> str:
    return f"an object of {type(value).__module__}.{type(value).__qualname__}"


def operands(*values: Any) -> None:
    """Refuse values that Python cannot work on without running code that is not known.

    Raises:
        Untranslatable: there is such an object among them, or an iterator that others go on with.
    """
    for value in values:
        kind: Any = type(value)
        if isinstance(value, (Array, Sequence, np.ndarray)):
            continue
        if kind in (list, tuple, set, frozenset):
            operands(*value)
        elif kind is dict:
            operands(*value.keys(), *value.values())
        elif kind is slice:
            operands(value.start, value.stop, value.step)
        elif _is_foreign(kind):
            raise Untranslatable(f"{_words(value)} says itself what is done with it")
        elif hasattr(kind, "__next__") and _package(kind) != "unslow" and not may_change(value):
            raise Untranslatable("an iterator from outside, or from outside a branch, is used up")


def iterated(value: Any) -> Any:
    """What a loop runs over: an array as one of ours.

    Raises:
        Untranslatable: it says itself what its elements are, or others go on with it.
    """
    if isinstance(value, np.ndarray):
        return outside(value)
    if type(value) not in (list, tuple, range, dict, set, str):
        operands(value)
    return value


def truth_of(value: Any) -> Any:
    """`bool(value)` of an object.

    Raises:
        Untranslatable: somebody else's code says what it is.
    """
    from unslow.native.tracing.control import truth

    for name in ("__bool__", "__len__"):
        follows = special(value, name)
        if follows is not None:
            return truth(_followed(follows))
        if _in_class(type(value), name) is not None:
            break
    return bool(value)


def attribute_of(owner: Any, name: str) -> Any:
    """`owner.name`.

    Raises:
        Untranslatable: a property of somebody else's, or one that keeps what it finds.
    """
    if isinstance(owner, np.ndarray):
        if not hasattr(np.ndarray, name) and type(owner) is np.ndarray:
            raise Untranslatable(f"the attribute `{name}` of an array")
        if name in ("T", "real", "imag", "flat", "mT"):
            return getattr(outside(owner), name)
    if isinstance(owner, (Array, Sequence, Generator)):
        if not hasattr(type_of(owner), name):
            kind = type_of(owner).__name__
            raise Untranslatable(f"Python raises AttributeError: {kind} has no `{name}`")
        return getattr(owner, name)
    if isinstance(owner, types.ModuleType):
        last = vars(owner).get("__getattr__")
        if name not in vars(owner) and is_users(last):
            return _followed(last, name)
        return getattr(owner, name)
    kind = type(owner)
    for hook in ("__getattribute__", "__getattr__"):
        found = _in_class(kind, hook)
        if found is None or _package(found[0]) in _MORE_ATTRIBUTES:
            continue
        if hook == "__getattribute__" or not is_users(found[1]):
            raise Untranslatable(f"{_words(owner)} says itself what its attributes are")
        if _in_class(kind, name) is None and name not in getattr(owner, "__dict__", ()):
            return _followed(found[1], owner, name)
    found = _in_class(kind, name)
    if found is not None and (not isinstance(owner, type) or isinstance(found[1], property)):
        return _described(owner, name, *found)
    return getattr(owner, name)


def _followed(function: Any, *args: Any) -> Any:
    from unslow.native.interpreter.calls import call

    return call(function, args, {})


def _described(owner: Any, name: str, base: type, attribute: Any) -> Any:
    """An attribute that is found in the class of its owner."""
    if isinstance(attribute, functools.cached_property):
        if name in vars(owner):
            return vars(owner)[name]
        raise Untranslatable(f"`{name}` is computed, and kept, when it is first asked for")
    is_property = isinstance(attribute, property)
    if is_property and is_users(attribute.fget):
        return _followed(attribute.fget, owner)
    getter = _in_class(type(attribute), "__get__")
    is_plain = not is_property and (getter is None or not isinstance(getter[1], types.FunctionType))
    if is_plain or _package(base) in _MORE_ATTRIBUTES:
        return getattr(owner, name)
    raise Untranslatable(f"the property `{name}` of {_words(owner)} may have effects")


def type_of(value: Any) -> Any:
    """`type(value)`, as the function sees it."""
    if isinstance(value, (Sequence, Generator)):
        return value.type
    if not isinstance(value, Array):
        return type(value)
    if value._kind == "array":
        return np.ndarray
    dtype = dtype_of(read(value))
    return type(dtype.type().item()) if value._kind == "python" else dtype.type


def has_attribute(owner: Any, name: str) -> bool:
    """`hasattr(owner, name)`."""
    if isinstance(owner, (Array, Sequence, Generator)):
        return hasattr(type_of(owner), name)
    try:
        attribute_of(owner, name)
    except AttributeError:
        return False
    return True
