"""How far apart two arrays are, and how far they may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unslow.experiment.values import arrays

TOLERANCES = {
    "float64": 1e-9,
    "float32": 1e-5,
    "float16": 1e-2,
    "bfloat16": 4e-2,
    "complex128": 1e-9,
    "complex64": 1e-5,
    "longdouble": 1e-9,
    "float128": 1e-9,
    "float96": 1e-9,
}
"""Largest difference of two numbers that may come of another order of the same sums.

Such a difference is a few steps of the dtype, times the root of the number of terms: about 100
steps for float32, where sums are long, and 5 to 10 for the short ones, whose products are
summed in float32. Numbers of Python get the tolerance of float32: in a TensorFlow program they
are read from tensors or averaged from such.
"""

NARROW = 0.25
"""The tolerance of float8 in all its forms: two steps."""

SHARE = 0.5
"""Part of the mean size of an array's numbers that counts into the size of each of them.

What sums to nearly zero keeps the rounding errors of its terms, which are of the array's size.
"""


@dataclass(frozen=True)
class Difference:
    """`error` is the largest one, relative to the numbers' size, at `index`; `count` differ."""

    error: float
    index: tuple[int, ...]
    count: int


def tolerance(dtype: str, loose: bool, first: Any, second: Any) -> float:
    """What two numbers of these arrays may differ by, relative to their size.

    `loose`: they are numbers of Python. float64 arrays in which every number is one of float32
    too were read from such.
    """
    if dtype == "float64" and (loose or (_is_single(first) and _is_single(second))):
        return TOLERANCES["float32"]
    return TOLERANCES.get(dtype, NARROW if dtype.startswith("float") else 0.0)


def difference(first: Any, second: Any, allowed: float) -> Difference | None:
    """Compare two arrays of one shape and dtype; `None` if they are the same.

    NaN equals NaN, infinity itself, and -0.0 equals 0.0. `allowed` is what is not counted.
    Whatever is not a floating-point number differs by infinity or not at all.
    """
    import numpy

    worst, index, count = 0.0, 0, 0
    scale = SHARE * max(_mean_size(first), _mean_size(second)) if allowed else 0.0
    start = 0
    for one, two in zip(arrays.chunks(first), arrays.chunks(second), strict=True):
        errors = _errors(one, two, scale)
        if errors is not None:
            found = int(errors.argmax())
            if errors[found] > worst:
                worst, index = float(errors[found]), start + found
            count += int((errors > allowed).sum())
        start += len(one)
    if worst == 0.0:
        return None
    return Difference(worst, tuple(int(i) for i in numpy.unravel_index(index, first.shape)), count)


def _errors(first: Any, second: Any, scale: float) -> Any:
    """The relative error of each number; `None` where there is none in all."""
    import numpy

    same = first == second
    if first.dtype.kind in "fcmM":
        same |= (first != first) & (second != second)
    if same.all():
        return None
    errors = numpy.where(same, 0.0, numpy.inf)
    if first.dtype.kind not in "fc":
        return errors
    wide = "complex128" if first.dtype.kind == "c" else "float64"
    one, two = first.astype(wide), second.astype(wide)
    both = ~same & numpy.isfinite(one) & numpy.isfinite(two)
    one, two = one[both], two[both]
    sizes = numpy.maximum(numpy.abs(one), numpy.abs(two))
    with numpy.errstate(all="ignore"):
        # Halved, so that the difference of the largest numbers is one.
        errors[both] = numpy.abs(one / 2 - two / 2) / (sizes / 2 + scale / 2)
    return errors


def _mean_size(array: Any) -> float:
    """The mean of the magnitudes, what is not finite taken as zero."""
    # Divided first: the sum of the largest numbers is none.
    return sum(float(abs(arrays.finite(c) / array.size).sum()) for c in arrays.chunks(array))


def _is_single(array: Any) -> bool:
    """Whether all numbers are of float32, and not all of them whole."""
    import numpy

    whole = True
    for chunk in arrays.chunks(array):
        numbers = chunk[numpy.isfinite(chunk)]
        with numpy.errstate(all="ignore"):
            if not (numbers.astype("float32").astype("float64") == numbers).all():
                return False
        whole = whole and bool((numbers == numpy.floor(numbers)).all())
    return not whole
