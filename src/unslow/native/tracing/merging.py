"""Values of two courses of a program as one: what a branch or a loop leaves behind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.tracing.array import Array, is_traced, number, read
from unslow.native.tracing.dtypes import cast, dtype_of
from unslow.native.tracing.sequences import ArrayList, Flat
from unslow.native.tracing.state import Storage, Undefined, Variables, session
from unslow.native.tracing.views import as_tensor, is_known
from unslow.native.untranslatable import Untranslatable

Form = tuple[np.dtype[Any], list[int | None]]

MISSING = Undefined("there is no value on this course")
"""A value that is never looked at on a course; zeros stand for it."""


@dataclass(frozen=True)
class Raw:
    """The values of a storage."""

    value: Any


class Template:
    """How one value is made of what the two courses have in common, and of tensors."""

    def tensors(self, value: Any) -> list[Any]:
        """The tensors in the value that one course has."""
        return []

    def slots(self) -> list[Slot]:
        return []

    def build(self, tensors: list[Any]) -> Any:
        """The value, of tensors that are taken from the front of the list."""
        raise NotImplementedError


class Same(Template):
    """The value is the same on both courses."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def build(self, tensors: list[Any]) -> Any:
        return self.value


class Slot(Template):
    """An array or a number that differs."""

    def __init__(self, dtype: np.dtype[Any], kind: str, shape: list[int | None]) -> None:
        self.dtype, self.kind, self.shape = dtype, kind, shape
        self.sources: list[tuple[Any, Storage]] = []

    def tensors(self, value: Any) -> list[Any]:
        if value is MISSING:
            return [ops.call("tf.zeros", [size or 0 for size in self.shape], self.dtype.name)]
        return [as_tensor(cast(_plain(value), self.dtype))]

    def slots(self) -> list[Slot]:
        return [self]

    def build(self, tensors: list[Any]) -> Any:
        tensor = tensors.pop(0)
        if self.kind == "raw":
            return Raw(tensor)
        if self.kind == "python":
            return number(tensor)
        array = Array(Storage(tensor, c_order=False), (), self.kind)  # type: ignore[arg-type]
        self.built = array._storage
        return array


class Node(Template):
    """A container of values that are merged one by one."""

    def __init__(
        self,
        parts: list[Template],
        split: Callable[[Any], list[Any]],
        join: Callable[[list[Any]], Any],
    ) -> None:
        self.parts, self.split, self.join = parts, split, join

    def tensors(self, value: Any) -> list[Any]:
        values = [MISSING] * len(self.parts) if value is MISSING else self.split(value)
        pairs = zip(self.parts, values, strict=True)
        return [tensor for part, each in pairs for tensor in part.tensors(each)]

    def slots(self) -> list[Slot]:
        return [slot for part in self.parts for slot in part.slots()]

    def build(self, tensors: list[Any]) -> Any:
        return self.join([part.build(tensors) for part in self.parts])


def _plain(value: Any) -> Any:
    if isinstance(value, Raw):
        return value.value
    if isinstance(value, Array):
        return read(value)
    return np.asarray(value)


def _form(value: Any) -> Form:
    """The dtype and the sizes of a leaf."""
    if isinstance(value, Array) and value._form is not None:
        return value._form
    plain = _plain(value)
    return dtype_of(plain), list(plain.shape) if is_known(plain) else plain.shape.as_list()


def note_forms(value: Any) -> None:
    """Keep what merging asks about arrays, before the graph that they are in is thrown away.

    Only there can a view be followed to what it shows.
    """
    if isinstance(value, Array):
        if value._lenses and not value._storage.tainted:
            value._form = _form(value)
    elif (split := _splitter(value)) is not None:
        for part in split[0](value):
            note_forms(part)


def _is_leaf(value: Any) -> bool:
    return isinstance(value, (Array, Raw, np.generic, np.ndarray, bool, int, float, complex))


def _kind(value: Any) -> str:
    if isinstance(value, Raw):
        return "raw"
    if isinstance(value, Array):
        return value._kind
    if isinstance(value, np.generic):
        return "scalar"
    return "array" if isinstance(value, np.ndarray) else "python"


def slot_of(value: Any) -> Slot:
    """A slot that holds the value."""
    dtype, shape = _form(value)
    slot = Slot(dtype, _kind(value), list(shape))
    if isinstance(value, Array) and value._kind == "array":
        slot.sources.append((None, value._storage))
    return slot


def merged(one: Any, other: Any, name: str = "a value") -> Template:
    """The template of two values.

    Raises:
        Untranslatable: a graph cannot hold either of them.
    """
    if one is other:
        return Same(one)
    if one is MISSING or other is MISSING:
        return _optional(other if one is MISSING else one, name)
    if isinstance(one, Undefined) or isinstance(other, Undefined):
        return Same(Undefined(f"{name} has a value on one course of the program alone"))
    if _is_leaf(one) and _is_leaf(other):
        return _leaf(one, other, name)
    split = _splitter(one)
    if type(one) is type(other) and split is not None:
        parts, others = split[0](one), split[0](other)
        if len(parts) == len(others) and split[2](one) == split[2](other):
            pairs = zip(parts, others, strict=True)
            return Node([merged(a, b, name) for a, b in pairs], split[0], split[1])
    elif type(one) is type(other) and _equal(one, other):
        return Same(one)
    raise Untranslatable(
        f"{name} is {_words(one)} on one course of the program and {_words(other)} on another"
    )


def _equal(one: Any, other: Any) -> bool:
    return isinstance(one, (str, bytes, type(None), range, slice, np.dtype)) and bool(one == other)


def _words(value: Any) -> str:
    if isinstance(value, Array):
        return f"{value._kind} of {_form(value)[0]}"
    return (
        f"{value!r:.40}" if value is None or isinstance(value, (str, int)) else type(value).__name__
    )


def _optional(value: Any, name: str) -> Template:
    if isinstance(value, Undefined) or value is None:
        return Same(value)
    if _is_leaf(value):
        return slot_of(value)
    split = _splitter(value)
    if split is None:
        raise Untranslatable(f"{name} is {_words(value)} on one course of the program alone")
    return Node([_optional(each, name) for each in split[0](value)], split[0], split[1])


def _leaf(one: Any, other: Any, name: str) -> Template:
    if not isinstance(one, (Array, Raw)) and type(one) is type(other) and _same_known(one, other):
        return Same(one)
    first, second = slot_of(one), slot_of(other)
    if first.kind == "python" and second.kind in ("scalar", "array"):
        first = _promoted(one, first, second, name)
    elif second.kind == "python" and first.kind in ("scalar", "array"):
        second = _promoted(other, second, first, name)
    if {first.kind, second.kind} == {"scalar", "array"} and not first.shape and not second.shape:
        first.kind = second.kind = "scalar"
    if (first.kind, first.dtype) != (second.kind, second.dtype) or len(first.shape) != len(
        second.shape
    ):
        raise Untranslatable(
            f"{name} is {first.kind} of {first.dtype} with {len(first.shape)} axes on one course "
            f"of the program, {second.kind} of {second.dtype} with {len(second.shape)} on another"
        )
    shape = [a if a == b else None for a, b in zip(first.shape, second.shape, strict=True)]
    slot = Slot(first.dtype, first.kind, shape)
    # Only what is shared on one and the same course is shared.
    slot.sources = [(FIRST, each) for _, each in first.sources]
    slot.sources += [(SECOND, each) for _, each in second.sources]
    return slot


def _same_known(one: Any, other: Any) -> bool:
    return np.asarray(one).tobytes() == np.asarray(other).tobytes() and np.ndim(one) == 0


def _promoted(value: Any, slot: Slot, target: Slot, name: str) -> Slot:
    """A number of Python's as a scalar of NumPy's, where that loses nothing.

    NumPy's dtype would depend on the course of the program, which a graph's cannot.
    """
    order = "biufc"
    fits = order.index(slot.dtype.kind) <= order.index(target.dtype.kind) and not target.shape
    if fits and not is_traced(value):
        plain = np.asarray(_plain(value))
        fits = bool(np.all(cast(plain, target.dtype) == plain) or np.all(plain != plain))
    if not fits or (is_traced(value) and slot.dtype != target.dtype):
        raise Untranslatable(
            f"{name} is a number of Python's on one course, {target.dtype} on another"
        )
    return Slot(target.dtype, target.kind, [])


FIRST, SECOND = "first", "second"
_Split = tuple[Callable[[Any], list[Any]], Callable[[list[Any]], Any], Callable[[Any], Any]]


def _nothing(value: Any) -> Any:
    return None


def _splitter(value: Any) -> _Split | None:
    """How a container comes apart, how it is put together, and what must be equal."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        kind = type(value)
        return list, lambda parts: kind(*parts), _nothing
    if type(value) in (list, tuple):
        return list, type(value), _nothing
    if type(value) is dict:
        keys = list(value)
        return (
            lambda given: [given[key] for key in keys],
            lambda parts: dict(zip(keys, parts, strict=True)),
            list,
        )
    if isinstance(value, ArrayList):
        return lambda given: [given.array], lambda parts: ArrayList(parts[0]), _nothing
    if hasattr(type(value), "merge_parts"):
        kind = type(value)
        return (
            lambda given: list(given.merge_parts()),
            lambda parts: kind(*parts),
            lambda given: given.merge_same(),
        )
    return None


def reachable(excluded: set[tuple[int, str]]) -> set[int]:
    """The identities of the storages that running functions can still come to."""
    found: set[int] = set()
    seen: set[int] = set()
    waiting: list[Any] = list(session().stack)
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Variables):
            waiting += [v for k, v in value.values.items() if (id(value), k) not in excluded]
            waiting.append(getattr(value, "parent", None))
        elif isinstance(value, Array):
            if value._kind == "array":
                found.add(id(value._storage))
        elif isinstance(value, (list, tuple, set)):
            waiting += list(value)
        elif isinstance(value, dict):
            waiting += list(value.values())
        elif isinstance(value, (ArrayList, Flat)):
            waiting.append(value.array)
        elif isinstance(value, functools.partial):
            waiting += [value.func, value.args, value.keywords]
        elif hasattr(value, "__dict__"):
            waiting.append(vars(value).get("frame"))
            waiting.append(vars(value).get("sources"))
    return found


def note_sharing(slots: list[Slot], excluded: set[tuple[int, str]]) -> None:
    """Note for arrays just built which others may be the same memory in NumPy."""
    slots = [slot for slot in slots if slot.kind == "array"]
    if not any(slot.sources for slot in slots):
        return
    others = reachable(excluded)
    by_source: dict[tuple[Any, int], list[Slot]] = {}
    for slot in slots:
        for source in {id(each): each for _, each in slot.sources}.values():
            if id(source) in others:
                slot.built.fork(source)
        for side, source in set(slot.sources):
            by_source.setdefault((side, id(source)), []).append(slot)
    for group in by_source.values():
        for slot in group[1:]:
            group[0].built.fork(slot.built)
            for another in group[1:]:
                if another is not slot:
                    slot.built.fork(another.built)
