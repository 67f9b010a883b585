"""Arrays and tensors that pass: the same as before? how large? a copy of it."""

from __future__ import annotations

from typing import Any

SAMPLED = 64
"""Elements looked at in a large array. A change that misses all of them goes unseen."""

SMALL = 4096
"""Bytes up to which an array is looked at whole."""


POINTER = 8
"""Bytes of an element that is an object."""


def fingerprint(array: Any) -> int:
    """A hash of a NumPy array's shape, dtype and contents, or of a sample of large contents."""
    if array.dtype.hasobject:
        return id(array)
    if array.nbytes > SMALL:
        flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
        array = flat[:: max(1, array.size // SAMPLED)]
    return hash((array.shape, array.dtype.str, array.tobytes()))


def size_of(value: Any) -> int:
    """Bytes that arrays and tensors, or lists and dictionaries of them, hold.

    Variables do not count: the program keeps them itself.
    """
    if isinstance(value, (list, tuple)):
        return sum(size_of(each) for each in value)
    if isinstance(value, dict):
        return sum(size_of(each) for each in value.values())
    if isinstance(value, (bytes, str)):
        return len(value)
    if hasattr(value, "assign"):
        return 0
    held = getattr(value, "nbytes", None)
    if isinstance(held, int):
        return held
    # A tensor tells its bytes through its shape alone.
    count = getattr(getattr(value, "shape", None), "num_elements", int)()
    return (count or 0) * (getattr(getattr(value, "dtype", None), "size", 0) or POINTER)


def copy_of(value: Any) -> Any:
    """A copy of an array; what else passes into a function cannot be written into."""
    return value.copy() if hasattr(value, "__array_interface__") else value
