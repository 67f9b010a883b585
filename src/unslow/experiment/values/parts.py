"""What snapshots hold, looked at in one way whatever they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any

from unslow.experiment.values import arrays
from unslow.experiment.values.snapshot import (
    Array,
    Digest,
    Mapping,
    Members,
    Packed,
    Record,
    Scalar,
    Sequence,
    Snapshot,
    Written,
)
from unslow.experiment.values.wording import shorten, show

TEXTS = ("str", "bytes")
_NUMBERS = {bool: "bool", int: "int64", float: "float64", complex: "complex128", bytes: "bytes"}


def as_array(snapshot: Snapshot) -> Array | None:
    """A number as an array without axes; an array as it is."""
    import numpy

    if isinstance(snapshot, Array):
        return snapshot
    dtype = _NUMBERS.get(type(snapshot.value)) if isinstance(snapshot, Scalar) else None
    if not isinstance(snapshot, Scalar) or dtype is None:
        return None
    if dtype == "bytes" or (dtype == "int64" and not -(2**63) <= snapshot.value < 2**63):
        values: Any = numpy.empty((), dtype=object)
        values[()] = snapshot.value
        return Array(snapshot.kind, "bytes" if dtype == "bytes" else "int", values)
    return Array(snapshot.kind, dtype, numpy.array(snapshot.value, dtype=dtype))


def packed_numbers(packed: Snapshot) -> Array | None:
    """The numbers of a packed list as an array without a length of its own to compare."""
    if not isinstance(packed, Packed) or packed.element in TEXTS:
        return None
    return Array(packed.element, packed.values.dtype.name, packed.values)


def is_plainly(first: Scalar, second: Scalar) -> bool:
    """Whether two scalars are the same as Python sees it. NaN is not."""
    return type(first.value) is type(second.value) and bool(first.value == second.value)


def unpacked(snapshot: Snapshot) -> Snapshot:
    """A packed list as a plain one."""
    if not isinstance(snapshot, Packed):
        return snapshot
    texts = snapshot.element in TEXTS
    items = snapshot.values if texts else snapshot.values.tolist()
    return Sequence(snapshot.kind, tuple(Scalar(snapshot.element, item) for item in items))


def parts(snapshot: Snapshot) -> Iterator[tuple[tuple[str, Hashable], Snapshot]]:
    """What a container holds, each by its place as text and what else tells it from others."""
    if isinstance(snapshot, Sequence):
        for number, item in enumerate(snapshot.items):
            yield (f"[{number}]", None), item
    elif isinstance(snapshot, Record):
        for name, item in snapshot.fields:
            yield (f".{name}", None), item
    elif isinstance(snapshot, Mapping):
        seen: Counter[Hashable] = Counter()
        for key, item in snapshot.items:
            known = identity(key)
            # Keys that are objects without a value of their own are taken in their order.
            yield (f"[{shorten(known[1])}]", (known, seen[known])), item
            seen[known] += 1


def identity(snapshot: Snapshot) -> tuple[str, str]:
    """What makes a key or a member of a set the same as another, and how it is shown."""
    if isinstance(snapshot, Scalar) and type(snapshot.value) in (str, type(None)):
        return snapshot.kind, repr(snapshot.value)
    array = as_array(snapshot)
    if array is not None and array.values.ndim == 0:
        value = array.values.item()
        return array.dtype, repr(0.0 if value == 0 and array.dtype.startswith("float") else value)
    if isinstance(snapshot, Array):
        return f"{snapshot.dtype}{snapshot.values.shape}", arrays.digest(snapshot.values)
    if isinstance(snapshot, Members):
        return "members", str(sorted(map(identity, snapshot.items)))
    snapshot = unpacked(snapshot)
    if isinstance(snapshot, Sequence):
        return "sequence", f"({', '.join(identity(item)[1] for item in snapshot.items)})"
    if isinstance(snapshot, (Record, Mapping)):
        held = (f"{place}={identity(item)[1]}" for (place, _), item in parts(snapshot))
        return "record", f"({', '.join(held)})"
    if isinstance(snapshot, Scalar):
        return snapshot.kind, repr(snapshot.value)
    if isinstance(snapshot, Written):
        return snapshot.kind, snapshot.text
    if isinstance(snapshot, Digest):
        return "digest", snapshot.digest
    return "opaque", show(snapshot)
