"""`scipy.ndimage`: gaussian_filter, uniform_filter, median_filter and convolve as ops.

Values are computed in float64 and given the input's dtype after each axis, as SciPy does it;
integers are cut, not rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.libraries._arguments import image_of, need, refuse, static, traced
from unslow.native.libraries._filters import correlate_axis, pad_axis, shifted
from unslow.native.libraries.tolerance import Tolerance

LIBRARY = "scipy.ndimage"
DTYPES = "uint8 uint16 uint32 int8 int16 int32 int64 float32 float64"
MODES = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "constant": "constant",
    "grid-constant": "constant",
    "nearest": "edge",
    "mirror": "reflect",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}
WIDEST = 512
"""The widest window along an axis that is summed slice by slice."""
MOST_RANKED = 81
"""The most values of a window that are put in order."""

_NOTE = "with XLA integers 1; finite values"
TOLERANCES = {
    "gaussian_filter": Tolerance(0, 1e-6, 1e-13, _NOTE),
    "uniform_filter": Tolerance(0, 1e-6, 1e-12, _NOTE),
    "median_filter": Tolerance(note="no NaN"),
    "convolve": Tolerance(0, 1e-6, 1e-13, _NOTE),
}


def gaussian_filter(
    input: Any,
    sigma: Any,
    order: Any = 0,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
) -> tf.Tensor:
    """`scipy.ndimage.gaussian_filter` of one to four dimensions.

    Raises:
        Untranslatable: derivatives, another dtype, an `output`, very wide filters.
    """
    what = "scipy.ndimage.gaussian_filter"
    image, modes, axes = _checked(input, output, mode, cval, axes, what)
    need(not np.any(static(order, "order")), f"{what} of a derivative.")
    sigmas, radii = _each(static(sigma, "sigma"), axes), _each(static(radius, "radius"), axes)
    for axis, sigma, radius, mode in zip(axes, sigmas, radii, modes, strict=True):
        if sigma <= 1e-15:
            continue
        reach = int(truncate * float(sigma) + 0.5) if radius is None else int(radius)
        need(0 <= 2 * reach + 1 <= WIDEST, f"{what} over {2 * reach + 1} pixels.")
        weights = gaussian_weights(sigma, reach)
        image = _correlated(image, weights, axis, mode, cval, reach)
    return tf.identity(image)


def gaussian_weights(sigma: float, radius: int) -> Any:
    """The weights of a Gaussian filter, by SciPy's arithmetic."""
    x = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 / (sigma * sigma) * x**2)
    return weights / weights.sum()


def uniform_filter(
    input: Any,
    size: Any = 3,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> tf.Tensor:
    """`scipy.ndimage.uniform_filter` of one to four dimensions.

    Raises:
        Untranslatable: another dtype, an `output`, very wide filters.
    """
    what = "scipy.ndimage.uniform_filter"
    image, modes, axes = _checked(input, output, mode, cval, axes, what)
    windows, origins = _each(static(size, "size"), axes), _each(static(origin, "origin"), axes)
    for axis, window, origin, mode in zip(axes, windows, origins, modes, strict=True):
        taps = int(window)
        if window <= 1:
            continue
        need(taps <= WIDEST, f"{what} over {taps} pixels.")
        if not 0 <= taps // 2 + origin < taps:
            raise ValueError(f"{what}: invalid origin.")
        dtype = image.dtype
        before = taps // 2 + origin
        values = tf.cast(image, tf.float64)
        padded = pad_axis(values, axis, before, taps - 1 - before, mode, cval)
        total = shifted(padded, axis, 0, taps)
        for tap in range(1, taps):
            total += shifted(padded, axis, tap, taps)
        image = tf.cast(total / taps, dtype)
    return tf.identity(image)


def median_filter(
    input: Any,
    size: Any = None,
    footprint: Any = None,
    output: Any = None,
    mode: Any = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> tf.Tensor:
    """`scipy.ndimage.median_filter` of one to four dimensions over a box.

    Raises:
        Untranslatable: a footprint, another dtype, an `output`, a window of more than
            `MOST_RANKED` pixels or, in one dimension, wider than the array.
    """
    what = "scipy.ndimage.median_filter"
    image, modes, axes = _checked(input, output, mode, cval, axes, what)
    need(footprint is None, f"{what} with a footprint is not matched.")
    need(size is not None, f"{what} needs a size.")
    windows, origins = _each(static(size, "size"), axes), _each(static(origin, "origin"), axes)
    count = int(np.prod(windows))
    need(count <= MOST_RANKED, f"{what} over {count} pixels.")
    if image.dtype.is_integer and "constant" in modes:
        need(float(cval).is_integer(), f"{what}: the fill value is not an integer.")
    if image.shape.rank == 1:
        # SciPy has another algorithm for one dimension, which extends short arrays otherwise.
        known = image.shape[0] is not None and image.shape[0] >= count
        need(known, f"{what} of one dimension that may be shorter than the window.")
    for axis, taps, origin, mode in zip(axes, windows, origins, modes, strict=True):
        before = int(taps) // 2 + origin
        if not 0 <= before < taps:
            raise ValueError(f"{what}: invalid origin.")
        image = pad_axis(image, axis, before, int(taps) - 1 - before, mode, cval)
    parts = [image]
    for axis, taps in zip(axes, windows, strict=True):
        parts = [shifted(part, axis, tap, int(taps)) for part in parts for tap in range(int(taps))]
    if count == 1:
        return tf.identity(parts[0])
    return ranked(parts, count // 2)


def ranked(values: list[tf.Tensor], rank: int) -> tf.Tensor:
    """The value of a rank, from 0 on, among tensors place by place, by exchanges of pairs.

    The exchanges are those of merge exchange sorting (Knuth, Algorithm 5.2.2M) on which the
    rank hangs. Minima and maxima are computed on whole tensors, with no sort for each place.
    """
    dtype = values[0].dtype
    wide = {tf.uint16: tf.int32, tf.int8: tf.int32, tf.uint32: tf.int64}.get(dtype, dtype)
    values = [tf.cast(value, wide) for value in values]
    needed, exchanges = {rank}, []
    for low, high in reversed(merge_exchanges(len(values))):
        if low in needed or high in needed:
            exchanges.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    for low, high, least, most in reversed(exchanges):
        first, second = values[low], values[high]
        if least:
            values[low] = tf.minimum(first, second)
        if most:
            values[high] = tf.maximum(first, second)
    return tf.cast(values[rank], dtype)


def merge_exchanges(count: int) -> list[tuple[int, int]]:
    """The pairs that are put in order, one after another, to sort so many values."""
    pairs = []
    top = 1 << max((count - 1).bit_length() - 1, 0)
    step = top
    while step > 0:
        other, remainder, apart = top, 0, step
        while True:
            pairs += [(i, i + apart) for i in range(count - apart) if i & step == remainder]
            if other == step:
                break
            apart, other, remainder = other - step, other >> 1, step
        step >>= 1
    return pairs


def convolve(
    input: Any,
    weights: Any,
    output: Any = None,
    mode: str = "reflect",
    cval: Any = 0.0,
    origin: Any = 0,
    *,
    axes: Any = None,
) -> tf.Tensor:
    """`scipy.ndimage.convolve` of one to four dimensions, by known weights.

    Raises:
        Untranslatable: integers whose sums may leave their range, another dtype, an `output`,
            large kernels.
    """
    what = "scipy.ndimage.convolve"
    image, modes, axes = _checked(input, output, mode, cval, axes, what)
    weights = np.asarray(static(weights, "weights"))
    need(weights.dtype.kind in "buif", f"{what} with {weights.dtype.name} weights.")
    weights = weights.astype(np.float64)
    if weights.ndim != len(axes):
        raise RuntimeError(f"{what} needs weights of {len(axes)} dimensions.")
    need(weights.size <= WIDEST, f"{what} with {weights.size} weights.")
    dtype = image.dtype
    _fits(dtype, weights, cval if "constant" in modes else 0, what)
    flipped = weights[(slice(None, None, -1),) * weights.ndim]
    origins = [
        -int(each) - (1 - taps % 2)
        for each, taps in zip(_each(static(origin, "origin"), axes), weights.shape, strict=True)
    ]
    values = tf.cast(image, tf.float64)
    for axis, taps, each, mode in zip(axes, weights.shape, origins, modes, strict=True):
        before = taps // 2 + each
        if not 0 <= before < taps:
            raise ValueError(f"{what}: invalid origin.")
        values = pad_axis(values, axis, before, taps - 1 - before, mode, cval)
    total = None
    for place in np.ndindex(flipped.shape):
        if abs(flipped[place]) <= np.finfo(np.float64).eps:
            continue  # SciPy leaves out such weights
        part = values
        for axis, tap, taps in zip(axes, place, flipped.shape, strict=True):
            part = shifted(part, axis, tap, taps)
        part = part * tf.constant(flipped[place], tf.float64)
        total = part if total is None else total + part
    return tf.zeros_like(image) if total is None else tf.cast(total, dtype)


def _fits(dtype: tf.DType, weights: Any, cval: Any, what: str) -> None:
    """Refuse integers whose sums can leave the dtype: C leaves undefined what comes then."""
    if dtype.is_floating:
        return
    low, high = min(dtype.min, cval), max(dtype.max, cval)
    positive, negative = weights[weights > 0].sum(), weights[weights < 0].sum()
    least, most = positive * low + negative * high, positive * high + negative * low
    if least <= dtype.min - 1 or most >= dtype.max + 1:
        refuse(f"{what}: the sums may leave the range of {dtype.name}.")


def _checked(
    image: Any, output: Any, mode: Any, cval: Any, axes: Any, what: str
) -> tuple[tf.Tensor, list[str], tuple[int, ...]]:
    image = image_of(image, (1, 2, 3, 4), DTYPES, what)
    need(output is None, f"{what} with an output is not matched.")
    need(not traced(cval), f"{what} needs a fill value that is known.")
    rank = image.shape.rank
    axes = static(axes, "axes")
    axes = tuple(range(rank)) if axes is None else tuple(np.atleast_1d(axes) % rank)
    axes = tuple(int(axis) for axis in axes)
    modes = []
    for each in _each(mode, axes):
        need(each in MODES, f"{what} in mode {each!r} is not matched.")
        modes.append(MODES[each])
    if not image.dtype.is_floating and "constant" in modes:
        fits = image.dtype.min <= cval <= image.dtype.max
        need(fits, f"{what}: the fill value leaves the range of {image.dtype.name}.")
    return image, modes, axes


def _each(value: Any, axes: tuple[int, ...]) -> list[Any]:
    """One value for each axis."""
    if isinstance(value, (tuple, list, np.ndarray)):
        need(len(value) == len(axes), "There must be one value for each axis.")
        return list(value)
    return [value] * len(axes)


def _correlated(
    image: tf.Tensor, weights: Any, axis: int, mode: str, cval: Any, reach: int
) -> tf.Tensor:
    values = pad_axis(tf.cast(image, tf.float64), axis, reach, reach, mode, cval)
    return tf.cast(correlate_axis(values, weights, axis), image.dtype)
