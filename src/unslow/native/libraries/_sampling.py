"""Values of an image between its pixels: boundaries, taps and weights, as gathers."""

from __future__ import annotations

import functools
import operator
from typing import Any

import tensorflow as tf


def fold(index: tf.Tensor, size: Any, mode: str) -> tf.Tensor:
    """Integer positions outside 0 … size-1 as positions inside, by a mode of `numpy.pad`."""
    if mode == "wrap":
        return tf.math.floormod(index, size)
    if mode == "symmetric":
        index = tf.math.floormod(index, 2 * size)
        return tf.minimum(index, 2 * size - 1 - index)
    if mode == "reflect":
        period = tf.maximum(2 * size - 2, 1)
        index = tf.math.floormod(index, period)
        return tf.minimum(tf.minimum(index, period - index), size - 1)
    return tf.clip_by_value(index, 0, size - 1)


def number(value: Any, dtype: tf.DType) -> tf.Tensor:
    """A plain value or a tensor in a dtype; plain values do not pass through float32."""
    if not tf.is_tensor(value):
        value = tf.constant(value, tf.float64)
    return tf.cast(value, dtype)


def take_or(
    flat: tf.Tensor, positions: tf.Tensor, inside: tf.Tensor | None, cval: Any
) -> tf.Tensor:
    """The pixels at positions of a flattened image, `cval` where they lie outside."""
    values = tf.gather(flat, positions)
    if inside is None:
        return values
    return tf.where(inside[..., None], values, number(cval, values.dtype))


def _shape3(image: tf.Tensor) -> tuple[Any, Any, Any]:
    shape = tf.shape(image)
    known = image.shape.as_list()
    height, width, channels = (shape[k] if n is None else n for k, n in enumerate(known))
    return height, width, channels


def corners(
    image: tf.Tensor,
    top: tf.Tensor,
    left: tf.Tensor,
    mode: str,
    cval: Any,
    steps: tuple[Any, Any] = (1, 1),
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """The four pixels at integer positions and next to them: upper two, then lower two.

    `image`: [height, width, channels]. `top`, `left`: int32, [height', width']. `mode`: of
    `numpy.pad`; with "constant" pixels outside are `cval`, a number or one for each channel.
    `steps`: how far below and right the others lie, 0 or 1.
    """
    down, right = steps
    height, width, channels = _shape3(image)
    if mode != "constant":
        flat = tf.reshape(image, [height * width, channels])
        r0, r1 = fold(top, height, mode) * width, fold(top + down, height, mode) * width
        c0, c1 = fold(left, width, mode), fold(left + right, width, mode)
        return (
            tf.gather(flat, r0 + c0),
            tf.gather(flat, r0 + c1),
            tf.gather(flat, r1 + c0),
            tf.gather(flat, r1 + c1),
        )
    # The image gets a frame of two pixels, so that positions outside need no test.
    fill = tf.zeros([1, 1, channels], image.dtype) + number(cval, image.dtype)
    beside = tf.broadcast_to(fill, [height, 2, channels])
    above = tf.broadcast_to(fill, [2, width + 4, channels])
    framed = tf.concat([above, tf.concat([beside, image, beside], 1), above], 0)
    wide = width + 4
    flat = tf.reshape(framed, [(height + 4) * wide, channels])
    top, left = tf.clip_by_value(top, -2, height), tf.clip_by_value(left, -2, width)
    place = (top + 2) * wide + left + 2
    return (
        tf.gather(flat, place),
        tf.gather(flat, place + right),
        tf.gather(flat, place + down * wide),
        tf.gather(flat, place + down * wide + right),
    )


def whole(x: tf.Tensor) -> tf.Tensor:
    """Real numbers cut down to int32, those far off brought near."""
    return tf.cast(tf.clip_by_value(tf.floor(x), -(2.0**30), 2.0**30), tf.int32)


def spread(values: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """One value for each position, [height', width'], as one for each channel of `pixels` there.

    Done once, it is cheaper than in each op that takes both.
    """
    known = pixels.shape.is_fully_defined()
    return tf.broadcast_to(values[..., None], pixels.shape if known else tf.shape(pixels))


def bilinear(
    pixels: tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], down: tf.Tensor, right: tf.Tensor
) -> tf.Tensor:
    """Linear interpolation between four pixels, as scikit-image's warp does it.

    `pixels`: what `corners` gives. `down` and `right`: how far below and right of the first.
    """
    first, second, third, fourth = pixels
    down, right = spread(down, first), spread(right, first)
    left = 1 - right
    upper = left * first + right * second
    lower = left * third + right * fourth
    return (1 - down) * upper + down * lower


def bicubic(
    image: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, mode: str, cval: Any
) -> tf.Tensor:
    """Interpolation by cubic polynomials through four pixels, as scikit-image's warp does it."""
    height, width, channels = _shape3(image)
    flat = tf.reshape(image, [height * width, channels])
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    r, c = whole(rows), whole(columns)
    lines = []
    for y in (-1, 0, 1, 2):
        values = []
        for x in (-1, 0, 1, 2):
            inside = None
            if mode == "constant":
                inside = (r + y >= 0) & (r + y < height) & (c + x >= 0) & (c + x < width)
            position = fold(r + y, height, mode) * width + fold(c + x, width, mode)
            values.append(take_or(flat, position, inside, cval))
        lines.append(_cubic(right, *values))
    return _cubic(down, *lines)


def _cubic(x: tf.Tensor, a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor) -> tf.Tensor:
    return b + 0.5 * x * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)))


def spline_position(x: tf.Tensor, size: Any, mode: str) -> tf.Tensor:
    """Positions mapped into an axis of `size` pixels by a mode of `scipy.ndimage`.

    `x`: float64. With "constant", what lies outside becomes -1; with "grid-constant" and
    "nearest" positions stay outside, and the pixels that they take are mapped.
    """
    n = tf.cast(size, x.dtype)
    zero = tf.zeros([], x.dtype)
    if mode in ("grid-constant", "nearest"):
        return tf.clip_by_value(x, -(2.0**30), 2.0**30)  # fits in int32, fraction and all
    if mode == "constant":
        return tf.where((x < 0) | (x > n - 1), -tf.ones([], x.dtype), x)
    if isinstance(size, int) and size == 1:
        return tf.clip_by_value(x, zero, n - 1)
    if mode == "mirror":
        period = tf.maximum(2 * n - 2, 1)
        low = period * tf.floor(-x / period) + x
        low = tf.where(low <= 1 - n, low + period, -low)
        high = x - period * tf.floor(x / period)
        high = tf.where(high >= n, period - high, high)
    elif mode == "reflect":
        period = 2 * n
        low = tf.where(x < -period, period * tf.floor(-x / period) + x, x)
        epsilon = tf.constant(2.0**-52, x.dtype)
        low = tf.where(low < -n, low + period, tf.where(low > -epsilon, epsilon, -low) - 1)
        high = x - period * tf.floor(x / period)
        high = tf.where(high >= n, period - high - 1, high)
    elif mode == "wrap":
        period = tf.maximum(n - 1, 1)
        low = x + period * (tf.floor(-x / period) + 1)
        high = x - period * tf.floor(x / period)
    else:
        low = x + n * (tf.floor((-1 - x) / n) + 1)
        high = x - n * tf.floor(x / n)
    return tf.where(x < 0, low, tf.where(x > n - 1, high, x))


def spline_weights(x: tf.Tensor, order: int) -> list[tf.Tensor]:
    """The B-spline's weights of the `order` + 1 pixels about a position.

    `x`: the position's distance from the pixel below it (odd orders) or nearest it (even).
    """
    if order == 0:
        return [tf.ones_like(x)]
    if order == 1:
        return [1 - x, 1 - (1 - x)]  # SciPy's last weight is what the others leave
    if order == 2:
        first, second = 0.5 * (0.5 - x) * (0.5 - x), 0.75 - x * x
        return [first, second, 1 - first - second]
    z = 1 - x
    first, second = z * z * z / 6, (x * x * (x - 2) * 3 + 4) / 6
    third = (z * z * (z - 2) * 3 + 4) / 6
    return [first, second, third, 1 - first - second - third]


def spline_taps(
    x: tf.Tensor, size: Any, order: int, mode: str
) -> tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor]]:
    """The pixels along one axis that a position takes: indices, weights, and which are inside.

    The last is empty where no pixel can be outside.
    """
    x = spline_position(x, size, mode)
    below = tf.floor(x) if order % 2 else tf.floor(x + 0.5)
    first = tf.cast(below, tf.int32) - order // 2
    weights = spline_weights(x - below, order)
    taps = [first + tap for tap in range(order + 1)]
    names = {"reflect": "symmetric", "mirror": "reflect", "constant": "reflect", "wrap": "reflect"}
    pad = {**names, "grid-wrap": "wrap"}.get(mode, "edge")
    inside = []
    if mode == "grid-constant":
        inside = [(tap >= 0) & (tap < size) for tap in taps]
    elif mode == "constant":
        inside = [x > -1] * len(taps)
    return [fold(tap, size, pad) for tap in taps], weights, inside


def spline_sample(
    image: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, order: int, mode: str, cval: Any
) -> tf.Tensor:
    """A spline's values at real positions, as `scipy.ndimage` computes them.

    They are float64, but float32 where pixels of float32 are taken or mixed in pairs.

    `image`: [height, width, channels]; for orders above 1 the spline's coefficients. `rows` and
    `columns`: float64, [height', width'] or broadcast to it.
    """
    height, width, channels = _shape3(image)
    flat = tf.reshape(image, [height * width, channels])
    row_taps, row_weights, row_inside = spline_taps(rows, height, order, mode)
    column_taps, column_weights, column_inside = spline_taps(columns, width, order, mode)
    names = [(i, j) for i in range(order + 1) for j in range(order + 1)]
    # Pairs of pixels of float32 need no more digits, once their weights are known.
    dtype = tf.float32 if image.dtype == tf.float32 and order < 2 else tf.float64
    taken = []
    for i, j in names:
        value = tf.cast(tf.gather(flat, row_taps[i] * width + column_taps[j]), dtype)
        if mode == "grid-constant":
            inside = row_inside[i] & column_inside[j]
            value = tf.where(inside[..., None], value, number(cval, dtype))
        taken.append(value)
    if order == 1 and dtype == tf.float32:
        down, right = (tf.cast(each[1], dtype) for each in (row_weights, column_weights))
        total = bilinear((taken[0], taken[1], taken[2], taken[3]), down, right)
    elif order:
        weighted = [
            value * row_weights[i][..., None] * column_weights[j][..., None]
            for value, (i, j) in zip(taken, names, strict=True)
        ]
        total = functools.reduce(operator.add, weighted)
    else:
        total = taken[0]
    if mode == "constant":
        inside = row_inside[0] & column_inside[0]
        total = tf.where(inside[..., None], total, number(cval, dtype))
    return total


def affine_positions(
    matrix: Any, offset: Any, height: Any, width: Any, offset_first: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows and columns that a 2 by 2 matrix and an offset give to each pixel, in float64.

    `offset_first`: whether the sums begin with the offset or end with it.
    """
    y = tf.cast(tf.range(height), tf.float64)[:, None]
    x = tf.cast(tf.range(width), tf.float64)[None, :]
    matrix, offset = number(matrix, tf.float64), number(offset, tf.float64)
    # TensorFlow changes the order of additions, but not of subtractions.
    minus = -offset
    if offset_first:
        rows = y * matrix[0, 0] - minus[0] + x * matrix[0, 1]
        columns = y * matrix[1, 0] - minus[1] + x * matrix[1, 1]
    else:
        rows = y * matrix[0, 0] + x * matrix[0, 1] - minus[0]
        columns = y * matrix[1, 0] + x * matrix[1, 1] - minus[1]
    return rows, columns


def degrees_cosine_sine(angle: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosine and sine of an angle in degrees, in float64, exact at multiples of 90 and 60.

    The polynomials on ±45 degrees are the Cephes library's (`cosdg`, `sindg`), which SciPy uses.
    """
    cosine_terms = (
        1.13678171382044553091e-11,
        -2.08758833757683644217e-9,
        2.75573155429816611547e-7,
        -2.48015872936186303776e-5,
        1.38888888888806666760e-3,
        -4.16666666666666348141e-2,
        4.99999999999999999798e-1,
    )
    sine_terms = (
        1.58962301572218447952e-10,
        -2.50507477628503540135e-8,
        2.75573136213856773549e-6,
        -1.98412698295895384658e-4,
        8.33333333332211858862e-3,
        -1.66666666666666307295e-1,
    )
    angle = number(angle, tf.float64)
    size = tf.abs(angle)
    octant = tf.floor(size / 45.0)
    octant += tf.math.floormod(octant, 2.0)
    z = (size - octant * 45.0) * 1.74532925199432957692e-2
    octant = tf.math.floormod(octant, 8.0)
    square = z * z
    cosine, sine = (tf.zeros_like(square) for _ in range(2))
    for term in cosine_terms:
        cosine = cosine * square + term
    for term in sine_terms:
        sine = sine * square + term
    cosine, sine = 1.0 - square * cosine, z + z * (square * sine)
    one = tf.ones_like(z)
    odd = tf.equal(tf.math.floormod(octant, 4.0), 2.0)
    cosine_sign = tf.where(tf.equal(octant, 2.0) | tf.equal(octant, 4.0), -one, one)
    sine_sign = tf.where((octant > 3) ^ (angle < 0), -one, one)
    return tf.where(odd, sine, cosine) * cosine_sign, tf.where(odd, cosine, sine) * sine_sign
