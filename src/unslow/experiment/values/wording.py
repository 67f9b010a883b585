"""Values and their differences in a few words."""

from __future__ import annotations

from typing import Any

from unslow.experiment.values.snapshot import (
    Array,
    Back,
    Digest,
    Opaque,
    Packed,
    Record,
    Scalar,
    Snapshot,
    Written,
)

WIDTH = 60
"""Characters of a value that are shown."""


def show(snapshot: Snapshot) -> str:
    """A value in a few words."""
    if isinstance(snapshot, Scalar):
        return shorten(repr(snapshot.value))
    if isinstance(snapshot, Written):
        return shorten(f"{snapshot.kind} {snapshot.text}")
    if isinstance(snapshot, Array):
        if snapshot.values.ndim == 0:
            return written(snapshot.values[()])
        return f"{snapshot.dtype} array of shape {snapshot.values.shape}"
    if isinstance(snapshot, Digest):
        return f"{snapshot.dtype} of shape {snapshot.shape}"
    if isinstance(snapshot, Back):
        return "a cycle"
    if isinstance(snapshot, Opaque):
        return snapshot.kind
    if isinstance(snapshot, Record):
        return snapshot.kind
    count = len(snapshot.values if isinstance(snapshot, Packed) else snapshot.items)
    return f"{snapshot.kind} of {count}"


def kind_of(snapshot: Snapshot) -> str:
    """The name of a value's type."""
    return "cycle" if isinstance(snapshot, Back) else snapshot.kind


def differ(path: str, first: str, second: str) -> str:
    """The sentence on two values that are not equal, at a place or as a whole."""
    return f"{path}: {first} against {second}" if path else f"{first} against {second}"


def shorten(text: str) -> str:
    """`text`, cut to `WIDTH` characters."""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def written(value: Any) -> str:
    """An element of an array as Python writes it, without the name of its type."""
    if isinstance(value, bytes):
        return shorten(repr(bytes(value)))
    return shorten(repr(str(value)) if isinstance(value, str) else str(value))


def shown_apart(first: Scalar, second: Scalar) -> tuple[str, str]:
    """Two values as text, long ones from shortly before the place where they differ."""
    one, two = show(first), show(second)
    texts = first.value, second.value
    if one == two and type(texts[0]) is type(texts[1]) and isinstance(texts[0], (str, bytes)):
        pairs = enumerate(zip(*texts, strict=False))
        start = next((at for at, (a, b) in pairs if a != b), min(map(len, texts)))
        start = max(0, start - WIDTH // 3)
        one, two = (f"...{shorten(repr(text[start:]))}" for text in texts)
    return (one, two) if one != two else (f"{first.kind} {one}", f"{second.kind} {two}")
