"""Arrays and tensors that pass: the same as before? how large? a copy of it."""

from __future__ import annotations

import zlib
from typing import Any

from unslow import seams

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


def digest(array: Any) -> int:
    """A hash of all contents of a NumPy array, for which it is read from end to end."""
    if array.dtype.hasobject:
        return id(array)
    numpy = seams.loaded("numpy")
    flat = numpy.ascontiguousarray(array).reshape(-1)
    return zlib.crc32(flat.view(numpy.uint8)) if flat.size else 0


class Repeats:
    """Counts how often an array comes by that is the one before it, unchanged.

    A few elements are looked at each time, and all of them at the 1st, 2nd, 4th, 8th … repeat.
    Where these show a change, what was counted since the last whole look is taken back, and
    the array counts no more. `digest`: of the last whole look at the present array.
    """

    __slots__ = ("_changing", "_key", "_run", "_unsure", "count", "digest")

    def __init__(self) -> None:
        self.count = 0
        self.digest: int | None = None
        self._key = (0, 0)
        self._run = self._unsure = 0
        self._changing = False

    def meet(self, array: Any, next_call: bool = True) -> bool:
        """Whether this repeats the array before; it counts where it came by at the `next_call`."""
        key = (id(array), fingerprint(array))
        if key != self._key:
            if key[0] == self._key[0]:
                self.count -= self._unsure
            else:
                self._changing = False
            self._key = key
            self._run = self._unsure = 0
            self.digest = None
            return False
        if self._changing:
            return False
        self._run += 1
        self._unsure += next_call
        self.count += next_call
        if self._run & (self._run - 1) == 0:
            self._look_at_all(array)
        return not self._changing and next_call

    def _look_at_all(self, array: Any) -> None:
        before, self.digest = self.digest, digest(array)
        if before is None:
            return
        self._changing = before != self.digest
        if self._changing:
            self.count -= self._unsure
        self._unsure = 0


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
