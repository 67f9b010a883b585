"""Whether two ways draw random numbers of one distribution: many draws of each, side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from unslow.experiment.values.closeness import tolerance
from unslow.experiment.values.equality import Comparison

CHANCE = 1e-4
"""How often draws of one distribution are taken for draws of two, over all that is compared."""

PLACES = 16
"""Places of a result whose numbers are compared one by one."""

ROUNDING = 1e-9
"""What sums of the same numbers may differ by, relative to the largest number."""

Columns = Sequence[Any]
"""For each result of a function an array of it, whose first axis goes through all calls."""


def compare_draws(present: Columns, other: Columns, inputs: int) -> Comparison:
    """Compare what two ways gave in many independent draws, for each of a few `inputs`.

    The first axis of each array holds the draws for the first input, then those for the second,
    and so on; equally many for each, of `present` more than of `other` or as many. Dtype and
    shape must be the same. Of each input are compared, by the two-sample Kolmogorov-Smirnov
    statistic over the draws: the mean, spread, least and greatest number of the result, the
    mean step along each of its axes, and its numbers at `PLACES` places. Numbers within the
    tolerance of their dtype count as the same.
    """
    for number, (one, two) in enumerate(zip(present, other, strict=True)):
        path = f"[{number}]: " if len(present) > 1 else ""
        where = _unlike(one, two, inputs, len(present))
        if where:
            return Comparison(False, where=path + where)
    return Comparison("distribution")


def _unlike(present: Any, other: Any, inputs: int, results: int) -> str:
    import numpy

    if present.dtype != other.dtype:
        return f"dtype {present.dtype} against {other.dtype}"
    if present.shape[1:] != other.shape[1:]:
        return f"shape {present.shape[1:]} against {other.shape[1:]}"
    if present.dtype.kind in "OSUTMm":
        return f"{present.dtype} has no numbers to compare"
    if not present.size:
        return ""
    for one, two in zip(numpy.split(present, inputs), numpy.split(other, inputs), strict=True):
        if (one == one[:1]).all() and not (two == two[:1]).all():
            return "the present way draws the same numbers in each call, the other one does not"
        allowed = max(tolerance(one.dtype.name, False, one, two), ROUNDING)
        first, second = _numbers(one), _numbers(two)
        near = allowed * float(numpy.abs(first[numpy.isfinite(first)]).max(initial=0.0))
        features = [*zip(_features(first), _features(second), strict=True)]
        limit = _limit(len(one), len(two), inputs * results * len(features))
        for (what, numbers), (_, others) in features:
            apart = _apart(numbers, others, near)
            if apart > limit:
                return f"random numbers of another distribution: {what} differs by {apart:.2g} of 1"
    return ""


def _numbers(array: Any) -> Any:
    """The numbers in float64, those of a complex array side by side; NaN as infinity."""
    import numpy

    if array.dtype.kind == "c":
        array = numpy.stack([array.real, array.imag], axis=-1)
    numbers = array.astype("float64")
    return numpy.where(numpy.isnan(numbers), numpy.inf, numbers)


def _features(draws: Any) -> Iterator[tuple[str, Any]]:
    """What is compared of draws, in words, and one number of each draw."""
    import numpy

    flat = draws.reshape(len(draws), -1)
    if flat.shape[1] > 1:
        with numpy.errstate(all="ignore"):
            yield "the mean", flat.mean(axis=1)
            yield "the spread", flat.std(axis=1)
            yield "the least number", flat.min(axis=1)
            yield "the greatest number", flat.max(axis=1)
            for axis in range(1, draws.ndim):
                if draws.shape[axis] > 1:
                    steps = numpy.abs(numpy.diff(draws, axis=axis)).reshape(len(draws), -1)
                    yield f"the mean step along axis {axis - 1}", steps.mean(axis=1)
    # A generator of its own: the program's stays where it is.
    choice = numpy.random.default_rng(0).choice
    for place in choice(flat.shape[1], min(PLACES, flat.shape[1]), replace=False):
        yield f"the number at place {place}", flat[:, place]


def _limit(first: int, second: int, comparisons: int) -> float:
    """What the statistic of so many draws exceeds by chance, once in 1 / `CHANCE` such sets."""
    factor = math.sqrt(-math.log(CHANCE / comparisons / 2) / 2)
    return factor * math.sqrt(1 / first + 1 / second)


def _apart(first: Any, second: Any, near: float) -> float:
    """The largest difference of two distribution functions where `near` numbers are the same."""
    import numpy

    first, second = (numpy.sort(numpy.where(numpy.isnan(e), numpy.inf, e)) for e in (first, second))
    return max(_ahead(first, second, near), _ahead(second, first, near))


def _ahead(first: Any, second: Any, near: float) -> float:
    """By how much more of `first` lies below some number than of `second` below a near one."""
    import numpy

    part = numpy.searchsorted(first, first, side="right") / len(first)
    others = numpy.searchsorted(second, first + near, side="right") / len(second)
    return float((part - others).max())
