"""NumPy arrays in a normal form: native, contiguous, of types that NumPy alone can hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

CHUNK = 2**20
"""Elements that are handled at a time, so that no second copy of a large array is made."""

TEXT = {"U": "str", "T": "str", "S": "bytes"}
"""Names of NumPy's kinds of text. TensorFlow's strings are bytes."""


def dtype_name(array: Any) -> str:
    """The name of an array's dtype, whatever its byte order and the length of its texts."""
    return TEXT.get(array.dtype.kind, str(array.dtype.name))


def texts_name(array: Any) -> str | None:
    """Return "bytes" or "str" for an array of Python objects that all are, else `None`."""
    kinds = {type(item) for item in array.flat}
    if kinds == {bytes}:
        return "bytes"
    return "str" if kinds == {str} else None


def size(array: Any) -> int:
    """Bytes that an array holds, those of its texts included."""
    if array.dtype.kind in "OT":
        return int(array.nbytes) + sum(len(item) for item in array.flat)
    return int(array.nbytes)


def normal(array: Any) -> Any:
    """A copy of `array`, in C order and the machine's byte order.

    bfloat16 and float8 become float32 and int4 becomes int64, which hold the same values: an
    array of the types that TensorFlow adds to NumPy could not be unpickled without them.
    """
    import numpy

    dtype = array.dtype
    if dtype.kind == "T":
        return array.astype(object)
    if dtype.type.__module__.split(".")[0] != "numpy":
        return array.astype("int64" if "int" in dtype.name else "float32", order="C")
    return numpy.array(array, dtype=dtype.newbyteorder("="), copy=True, order="C")


def chunks(array: Any) -> Iterator[Any]:
    """The elements of `array` in C order, at most `CHUNK` at a time."""
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for start in range(0, array.size, CHUNK):
        yield flat[start : start + CHUNK]


def digest(array: Any) -> str:
    """A digest of the values: of the same length for -0.0 and 0.0, whatever the layout."""
    hashed = hashlib.blake2b(digest_size=16)
    for chunk in chunks(array):
        if chunk.dtype.kind in "OUST":
            hashed.update(repr(chunk.tolist()).encode("utf-8", "surrogatepass"))
        else:
            plain = normal(chunk)
            hashed.update((plain + 0 if plain.dtype.kind in "fc" else plain).tobytes())
    return hashed.hexdigest()


def summary(array: Any) -> tuple[float, float, float] | None:
    """Least, greatest and mean of the finite values; `None` where there are no numbers."""
    import numpy

    least, greatest, total, count = numpy.inf, -numpy.inf, 0.0, 0
    for chunk in chunks(array):
        numbers = finite(normal(chunk))
        if numbers.size:
            least = min(least, float(numbers.min()))
            greatest = max(greatest, float(numbers.max()))
            total += float(numbers.sum())
            count += numbers.size
    return (least, greatest, total / count) if count else None


def finite(array: Any) -> Any:
    """The finite numbers of `array`, flat, as float64; magnitudes of complex ones."""
    import numpy

    if array.dtype.kind not in "biufc":
        return numpy.empty(0)
    flat = array.reshape(-1)
    numbers = numpy.abs(flat) if flat.dtype.kind == "c" else flat
    numbers = numbers.astype("float64")
    return numbers[numpy.isfinite(numbers)]
