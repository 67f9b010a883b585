"""Values in a normal form that can be compared, pickled and kept without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

LIMIT = 64 * 2**20
"""Bytes that are kept of one value unless told otherwise."""


@dataclass(frozen=True)
class Scalar:
    """A number, a truth value, `None` or a text; `kind` is its type's name.

    `value` is one of Python's own types, whatever subclass it was read from.
    """

    kind: str
    value: Any


@dataclass(frozen=True)
class Written:
    """A value that its text and its type tell all about, such as a path or a member of an enum."""

    kind: str
    text: str


@dataclass(frozen=True, eq=False)
class Array:
    """An array, a NumPy scalar, a tensor or a variable.

    `dtype` is the name that TensorFlow and NumPy share, with "bytes" for TensorFlow's
    strings and "str" for text. `values` is a NumPy array of the same shape, which holds
    bfloat16 as float32.
    """

    kind: str
    dtype: str
    values: Any


@dataclass(frozen=True)
class Digest:
    """What is left of an array or a text that is larger than the limit.

    Two digests are compared as such: equal means the same bit for bit. `summary` holds the
    least, greatest and mean finite number.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    digest: str
    summary: tuple[float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Packed:
    """A list or tuple of many numbers of one type, or of many texts.

    `values` is a flat NumPy array of numbers, or a tuple of texts; `element` the type's name.
    """

    kind: str
    element: str
    values: Any


@dataclass(frozen=True)
class Sequence:
    """Values in order."""

    kind: str
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Mapping:
    """Values by key, both snapshots."""

    kind: str
    items: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True)
class Record:
    """Values by name: a dataclass, a ragged tensor, a model's weights by position."""

    kind: str
    fields: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Members:
    """The values of a set, in no order."""

    kind: str
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Back:
    """The value that holds this one, `levels` above it."""

    levels: int


@dataclass(frozen=True)
class Opaque:
    """A value of which only the type's name is known; `why`, where it was to be read."""

    kind: str
    why: str = ""


Snapshot: TypeAlias = (
    Scalar
    | Written
    | Array
    | Digest
    | Packed
    | Sequence
    | Mapping
    | Record
    | Members
    | Back
    | Opaque
)


def take(value: Any, limit: int = LIMIT) -> Snapshot:
    """The normal form of any value, of which about `limit` bytes are kept.

    Numbers, texts, arrays, tensors, variables, containers, dataclasses, Keras models,
    optimizers and histories, and pandas' tables are read; nothing is consumed or changed.
    What is larger than what is left of the limit is kept as a digest. Functions, modules,
    files, dates and times, symbolic tensors, datasets, iterators and objects of unknown
    classes are opaque, and so is what raises while it is read. Never raises an `Exception`.
    """
    from unslow.experiment.values.reading import Reader

    return Reader(limit).read(value)


def is_opaque(snapshot: Snapshot) -> bool:
    """Whether only the name of the value's type is known."""
    return isinstance(snapshot, Opaque)
