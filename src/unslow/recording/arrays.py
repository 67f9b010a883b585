"""Is this the array that was here before, unchanged?"""

from __future__ import annotations

from typing import Any

SAMPLED = 64
"""Elements looked at in a large array. A change that misses all of them goes unseen."""

SMALL = 4096
"""Bytes up to which an array is looked at whole."""


def fingerprint(array: Any) -> int:
    """A hash of a NumPy array's shape, dtype and contents, or of a sample of large contents."""
    if array.dtype.hasobject:
        return id(array)
    if array.nbytes > SMALL:
        flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
        array = flat[:: max(1, array.size // SAMPLED)]
    return hash((array.shape, array.dtype.str, array.tobytes()))
