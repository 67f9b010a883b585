"""NumPy's arrays and functions, with each call going through `conformance.calls`."""

from __future__ import annotations

import functools
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
from conformance.calls import both, mapped

PLAIN = {
    "asarray",
    "broadcast_shapes",
    "can_cast",
    "finfo",
    "from_dlpack",
    "iinfo",
    "isdtype",
    "issubdtype",
    "result_type",
}
"""Functions that say something of dtypes and shapes, or bring data in: NumPy's own."""


class Array(np.ndarray):
    """An array whose operators, and whose items, are those of translated functions."""

    def __getitem__(self, key: Any) -> Any:
        if _by_a_helper() or _one_element(key, self.ndim):
            return wrapped(np.asarray(self)[plain(key)])
        return through(operator.getitem, self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        if _by_a_helper():
            np.asarray(self)[plain(key)] = plain(value)
        else:
            np.copyto(np.asarray(self), plain(through(_setitem, self, key, value)))

    @property
    def T(self) -> Any:
        return through(_attribute_T, self)

    @property
    def mT(self) -> Any:
        return through(_attribute_mT, self)


def _setitem(array: Any, key: Any, value: Any) -> Any:
    array[key] = value
    return array


def _attribute_T(array: Any) -> Any:
    return array.T


def _attribute_mT(array: Any) -> Any:
    return array.mT


BINARY = ["add", "and", "eq", "floordiv", "ge", "gt", "le", "lshift", "lt", "matmul"]
BINARY += ["mod", "mul", "ne", "or", "pow", "rshift", "sub", "truediv", "xor"]


def _forward(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, f"__{name}__")

    def method(self: Any, other: Any) -> Any:
        return through(function, self, other)

    return method


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, f"__{name}__")

    def method(self: Any, other: Any) -> Any:
        return through(function, other, self)

    return method


def _in_place(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(operator, f"__i{name}__")

    def method(self: Any, other: Any) -> Any:
        result = through(function, self, other)
        np.copyto(np.asarray(self), plain(result))
        return self

    return method


def _unary(name: str) -> Callable[[Any], Any]:
    function = getattr(operator, f"__{name}__")

    def method(self: Any) -> Any:
        return through(function, self)

    return method


for _name in BINARY:
    setattr(Array, f"__{_name}__", _forward(_name))
    if _name not in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Array, f"__r{_name}__", _reflected(_name))
        setattr(Array, f"__i{_name}__", _in_place(_name))
for _name in ("abs", "neg", "pos", "invert"):
    setattr(Array, f"__{_name}__", _unary(_name))


def _by_a_helper() -> bool:
    """Whether a suite's tools, and not a test, read or write an item."""
    module = sys._getframe(2).f_globals.get("__name__", "")
    return "test_" not in module.rpartition(".")[2]


def _one_element(key: Any, rank: int) -> bool:
    """Whether tests look at one element of a result, as they do at all of them in turn."""
    keys = key if isinstance(key, tuple) else (key,)
    return len(keys) == rank and all(type(each) is int for each in keys) and _in_a_loop()


def _in_a_loop() -> bool:
    return "test_array_object" not in sys._getframe(3).f_globals.get("__name__", "")


def plain(value: Any) -> Any:
    """The same with NumPy's own arrays."""
    return mapped(lambda each: np.asarray(each) if isinstance(each, Array) else each, value)


def wrapped(value: Any) -> Any:
    """The same with arrays of ours, also in the place of NumPy's scalars."""

    def one(each: Any) -> Any:
        if isinstance(each, (np.ndarray, np.generic)):
            return np.asarray(each).view(Array)
        return each

    return mapped(one, value)


def through(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """What the function gives, as arrays of ours."""
    return wrapped(both(function, plain(args), plain(kwargs), _name_of(function)))


def _name_of(function: Any) -> str:
    module = getattr(function, "__module__", None) or ""
    parts = [part for part in module.split(".") if part in ("linalg", "fft")]
    return ".".join([*parts[:1], function.__name__.strip("_").removeprefix("attribute_")])


class Namespace(types.ModuleType):
    """NumPy, or a module of it, with functions that go through ops."""

    def __init__(self, name: str, inner: types.ModuleType) -> None:
        super().__init__(name)
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if isinstance(value, types.ModuleType):
            made: Any = Namespace(f"{self.__name__}.{name}", value)
        elif isinstance(value, type) or not callable(value):
            made = value
        elif name in PLAIN or name.startswith("__"):
            made = _kept(value)
        else:
            made = _led(value)
        setattr(self, name, made)
        return made


def _led(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return through(function, *args, **kwargs)

    return call


def _kept(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return wrapped(function(*args, **kwargs))

    return call
