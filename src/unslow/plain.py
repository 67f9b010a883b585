"""Frozen dataclasses to JSON and back.

Every arrow of the house carries plain data. This module turns any frozen
dataclass built from numbers, strings, tuples, mappings and other such
dataclasses into what `json` can write, and builds it again from what `json`
has read.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Return `value` with every dataclass as a dict and every tuple as a list."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: type[T], data: Any) -> T:
    """Build a `kind` from what `to_plain` made of one.

    Raises:
        ValueError: `data` does not have the form of `kind`.
    """
    try:
        return typing.cast(T, _build(kind, data))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a {kind.__name__}: {error}") from error


def _build(kind: Any, data: Any) -> Any:
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _build_union(arguments, data)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_build(arguments[0], item) for item in data)
        return tuple(_build(a, item) for a, item in zip(arguments, data, strict=True))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _build(arguments[1], item) for key, item in data.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        return kind(**{name: _build(hints[name], data[name]) for name in fields if name in data})
    if kind is float and isinstance(data, int):
        return float(data)
    return data


def _build_union(arguments: tuple[Any, ...], data: Any) -> Any:
    if data is None:
        return None
    for argument in arguments:
        if argument is not type(None) and dataclasses.is_dataclass(argument):
            return _build(argument, data)
    for argument in arguments:
        if typing.get_origin(argument) is tuple and isinstance(data, list):
            return _build(argument, data)
    return data


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
