"""Whether random numbers could be of the same distribution as others."""

from __future__ import annotations

from typing import Any

from unslow.experiment.values import arrays

ENOUGH = 20
"""Independent numbers from which on distributions are compared."""

CRITICAL = 2.23
"""Of the Kolmogorov-Smirnov statistic: by chance one of 10 000 exceeds it."""

FACTOR = 100.0
"""How much larger few random numbers may be than those that were seen."""

MOST = 200_000
"""Numbers of one array that are sorted; of more, as many are drawn."""


def unlike(once: Any, again: Any, other: Any) -> str:
    """Why `other` is not of the distribution that `once` and `again` are of; "" if it may be.

    Compared are the share of numbers that are not finite, the range, with an allowance of its
    width on either side, and the two-sample Kolmogorov-Smirnov statistic. Numbers within one
    row (the first axis) may depend on each other, as the pixels of an image do that is made
    darker by chance: then there are as many independent ones as the scatter of the rows' means
    says, and the statistic may be twice the one between `once` and `again`. With fewer than
    `ENOUGH` independent numbers only their size is compared, which finds nothing but gross
    errors. Arrays of anything but numbers are not compared.
    """
    import numpy

    seen = [arrays.finite(once), arrays.finite(again)]
    pooled, numbers = numpy.concatenate(seen), arrays.finite(other)
    independent = min(_independent(once, again), float(other.size))
    missing = 1 - pooled.size / max(once.size + again.size, 1)
    missing_now = 1 - numbers.size / max(other.size, 1)
    limit = CRITICAL * _deviation(2 * independent, independent)
    if missing_now > 0 and (missing == 0 or missing_now - missing > limit):
        return f"{missing_now:.1%} is not finite against {missing:.1%}"
    if not pooled.size or not numbers.size:
        return ""
    least, greatest = float(pooled.min()), float(pooled.max())
    low, high = float(numbers.min()), float(numbers.max())
    ranges = f"random numbers from {least:.6g} to {greatest:.6g} against {low:.6g} to {high:.6g}"
    if independent < ENOUGH:
        size = FACTOR * max(abs(least), abs(greatest))
        return ranges if max(abs(low), abs(high)) > size else ""
    allowance = greatest - least
    if low < least - allowance or high > greatest + allowance:
        return ranges
    first, second = (_some(each) for each in seen)
    between = statistic(first, second) if first.size and second.size else 1.0
    drawn, numbers = _some(pooled), _some(numbers)
    found = statistic(drawn, numbers)
    limit = CRITICAL * _deviation(min(2 * independent, drawn.size), min(independent, numbers.size))
    if found > max(limit, 2 * between):
        return f"random numbers of another distribution: they differ by {found:.2g} of 1"
    return ""


def statistic(first: Any, second: Any) -> float:
    """The largest difference of the two empirical distribution functions, from 0 to 1."""
    import numpy

    first, second = numpy.sort(first), numpy.sort(second)
    both = numpy.concatenate([first, second])
    below_first = numpy.searchsorted(first, both, side="right") / first.size
    below_second = numpy.searchsorted(second, both, side="right") / second.size
    return float(numpy.abs(below_first - below_second).max())


def _deviation(first: float, second: float) -> float:
    """What the statistic of so many independent numbers is a multiple of."""
    return float((1 / max(first, 1.0) + 1 / max(second, 1.0)) ** 0.5)


def _some(numbers: Any) -> Any:
    import numpy

    if numbers.size <= MOST:
        return numbers
    # A generator of its own: the program's stays where it is.
    return numpy.random.default_rng(0).choice(numbers, MOST, replace=False)


def _independent(once: Any, again: Any) -> float:
    """How many independent numbers one of two arrays holds, from the scatter of its rows."""
    import numpy

    if once.dtype.kind not in "biufc":
        return 0.0
    size = float(once.size + again.size) / 2
    if once.ndim < 2 or len(once) < 2 or once.shape[1:] != again.shape[1:] or not size:
        return size
    rows = [each.reshape(len(each), -1) for each in (once, again) if each.size]
    means, spread, total = [], 0.0, 0
    for each in rows:
        numbers = numpy.abs(each) if each.dtype.kind == "c" else each
        with numpy.errstate(all="ignore"):
            means.append(numbers.mean(axis=1, dtype="float64"))
            spread += float(numbers.var(dtype="float64")) * numbers.size
        total += numbers.size
    scatter = float(numpy.concatenate(means).var())
    if not numpy.isfinite(scatter) or not numpy.isfinite(spread) or spread == 0:
        return size
    width = rows[0].shape[1]
    # Rows of independent numbers have means that scatter by the variance over the width.
    return float(size / max(1.0, scatter * width / (spread / total)))
