"""`cv2`: resize, flip, rotate, warpAffine and getRotationMatrix2D as TensorFlow ops.

OpenCV 4 reads an image at 32nds of a pixel. OpenCV 5 does so only for the dtypes and numbers of
channels for which it has nothing faster; for the others it computes positions in float32, with
multiplications and additions fused. Both are done here; the library is asked which it does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.libraries._arguments import (
    image_of,
    library,
    need,
    sizes,
    static,
    traced,
)
from unslow.native.libraries._filters import along_axis
from unslow.native.libraries._sampling import corners, number, spread, whole
from unslow.native.libraries.tolerance import Tolerance

LIBRARY = "cv2"
DTYPES = "uint8 uint16 int16 float32 float64"
MOVED = "uint8 int8 uint16 int16 int32 float32 float64"
NEAREST, LINEAR, CUBIC, AREA, LANCZOS, NEAREST_EXACT = 0, 1, 2, 3, 4, 6
INVERSE_MAP = 16
BORDERS = {0: "constant", 1: "edge", 2: "symmetric", 3: "wrap", 4: "reflect"}

TOLERANCES = {
    "flip": Tolerance(),
    "rotate": Tolerance(),
    "getRotationMatrix2D": Tolerance(0, 0.0, 1e-12, "known values exact"),
    "resize": Tolerance(1, 2e-6, 2e-6, "nearest pixels and uint8 exact; finite values"),
    "warpAffine": Tolerance(
        1, 1e-4, 1e-4, "nearest pixels exact, and uint8 at 32nds of a pixel; up to 512 pixels"
    ),
}


def flip(src: Any, flipCode: int, dst: Any = None) -> tf.Tensor:
    """`cv2.flip`: upside down (0), left to right (above 0) or both (below 0).

    Raises:
        Untranslatable: other ranks or dtypes, a `dst`.
    """
    image = _image(src, dst, MOVED, "cv2.flip")
    code = static(flipCode, "flipCode")
    return _one_less(tf.reverse(image, [0] if code == 0 else [1] if code > 0 else [0, 1]))


def rotate(src: Any, rotateCode: int, dst: Any = None) -> tf.Tensor:
    """`cv2.rotate` by 90 degrees clockwise (0), by 180 (1) or by 90 the other way (2).

    Raises:
        Untranslatable: other ranks or dtypes, a `dst`.
    """
    image = _image(src, dst, MOVED, "cv2.rotate")
    code = static(rotateCode, "rotateCode")
    need(code in (0, 1, 2), f"cv2.rotate by code {code}.")
    if code == 1:
        return _one_less(tf.reverse(image, [0, 1]))
    turned = tf.transpose(image, [1, 0, *range(2, image.shape.rank)])
    return _one_less(tf.reverse(turned, [1] if code == 0 else [0]))


def getRotationMatrix2D(center: Any, angle: Any, scale: Any) -> tf.Tensor:
    """`cv2.getRotationMatrix2D`: [2, 3] in float64; all arguments may be tensors."""
    if not traced(center) and not traced(angle) and not traced(scale):
        center = tuple(float(each) for each in static(tuple(center), "center"))
        known = (center, float(static(angle, "angle")), float(static(scale, "scale")))
        return tf.constant(library("cv2").getRotationMatrix2D(*known))
    if not tf.is_tensor(center):
        center = tf.stack([number(each, tf.float32) for each in center])
    x, y = tf.unstack(tf.cast(tf.cast(center, tf.float32), tf.float64))
    angle = tf.reshape(number(angle, tf.float64), []) * (np.pi / 180)
    scale = tf.reshape(number(scale, tf.float64), [])
    cosine, sine = tf.cos(angle) * scale, tf.sin(angle) * scale
    entries = [cosine, sine, (1 - cosine) * x - sine * y]
    entries += [-sine, cosine, sine * x + (1 - cosine) * y]
    return tf.reshape(tf.stack(entries), [2, 3])


def resize(
    src: Any,
    dsize: Any,
    dst: Any = None,
    fx: float = 0,
    fy: float = 0,
    interpolation: int = LINEAR,
) -> tf.Tensor:
    """`cv2.resize` of one to four channels.

    Linear on uint8 is OpenCV's fixed-point arithmetic; the other methods are one matrix for each
    axis, on float32 only.

    Raises:
        Untranslatable: a size that is not known, other dtypes or interpolations.
    """
    what = "cv2.resize"
    image = _image(src, dst, DTYPES, what)
    height, width = sizes(image, what)[:2]
    dsize = static(dsize, "dsize")
    scales: tuple[float, float]
    if dsize is None or not any(dsize):
        fx, fy = float(static(fx, "fx")), float(static(fy, "fy"))
        need(fx > 0 and fy > 0, f"{what} needs a size or factors.")
        target, scales = (round(height * fy), round(width * fx)), (1 / fy, 1 / fx)
    else:
        target = (int(dsize[1]), int(dsize[0]))
        scales = (height / target[0], width / target[1])
        fx = fy = 0
    need(min(target) > 0, f"{what} to an empty image.")
    if target == (height, width):
        return _one_less(image)
    if interpolation in (NEAREST, NEAREST_EXACT):

        def resized(numbers: Any) -> Any:
            return library("cv2").resize(numbers, dsize, fx=fx, fy=fy, interpolation=interpolation)

        return _nearest(image, resized)
    if interpolation != LINEAR:
        need(interpolation in (CUBIC, AREA, LANCZOS), f"{what} with {interpolation}.")
        need(image.dtype == tf.float32, f"{what} with {interpolation} is for float32 only.")
        if interpolation == AREA:
            smaller = [scale >= 1 for scale in scales]
            need(smaller[0] == smaller[1] or 1 in scales, f"{what} by areas along one axis only.")
        matrices = _axis_matrices((height, width), target, (fy, fx), interpolation)
        lines = along_axis(_three(image), matrices[1], 1, tf.float32)
        return _one_less(along_axis(lines, matrices[0], 0, tf.float32))
    if image.dtype == tf.uint8:
        return _one_less(_resize_bytes(_three(image), target, scales))
    # Intel's library, where OpenCV uses it, computes positions in float64.
    kind = np.float64 if library("cv2").ipp.useIPP() else np.float32
    rows, columns = (
        _linear_taps(size, to, scale, kind)
        for size, to, scale in zip((height, width), target, scales, strict=True)
    )
    dtype = tf.float64 if image.dtype == tf.float64 else tf.float32
    values = tf.cast(_three(image), dtype)
    values = _mixed(values, 1, *columns)
    return _one_less(_to_dtype(_mixed(values, 0, *rows), image.dtype))


def _linear_taps(size: int, to: int, scale: float, kind: Any) -> tuple[Any, Any, Any]:
    """For each place along an axis the two pixels, and the weight of the second, in a dtype."""
    place = ((np.arange(to) + 0.5) * scale - 0.5).astype(kind)
    below = np.floor(place).astype(np.int32)
    return np.clip(below, 0, size - 1), np.clip(below + 1, 0, size - 1), place - below.astype(kind)


def _mixed(values: tf.Tensor, axis: int, first: Any, second: Any, weights: Any) -> tf.Tensor:
    """Pairs of values along an axis, the second by its weight and the first by what is left."""
    shape = [1] * values.shape.rank
    shape[axis] = len(weights)
    one, two = (tf.constant(w.reshape(shape), values.dtype) for w in (1 - weights, weights))
    return tf.gather(values, first, axis=axis) * one + tf.gather(values, second, axis=axis) * two


def _resize_bytes(
    image: tf.Tensor, target: tuple[int, int], scales: tuple[float, float]
) -> tf.Tensor:
    """Linear interpolation with weights of 11 bits; [height, width, channels] of uint8."""
    left, right, across = _linear_taps(int(image.shape[1]), target[1], scales[1], np.float32)
    above, below, down = _linear_taps(int(image.shape[0]), target[0], scales[0], np.float32)
    across = np.where(left == right, 0, across).astype(np.float32)
    a0, a1 = (np.rint(w * 2048).astype(np.int32) for w in (1 - across, across))
    b0, b1 = (np.rint(w * 2048).astype(np.int32) for w in (1 - down, down))
    lines = tf.cast(tf.gather(image, left, axis=1), tf.int32) * a0[None, :, None]
    lines += tf.cast(tf.gather(image, right, axis=1), tf.int32) * a1[None, :, None]
    lines = tf.bitwise.right_shift(lines, 4)
    upper = tf.gather(lines, above, axis=0) * b0[:, None, None]
    lower = tf.gather(lines, below, axis=0) * b1[:, None, None]
    total = tf.bitwise.right_shift(upper, 16) + tf.bitwise.right_shift(lower, 16)
    return tf.cast(tf.bitwise.right_shift(total + 2, 2), tf.uint8)


def _axis_matrices(
    shape: tuple[int, int], target: tuple[int, int], factors: tuple[float, float], method: int
) -> tuple[Any, Any]:
    """The maps that a resize is along each axis: OpenCV's answer to the unit vectors."""
    cv2 = library("cv2")
    matrices = []
    for size, to, factor in zip(shape, target, factors, strict=True):
        units: Any = np.eye(size, dtype=np.float32)
        if factor:
            matrices.append(cv2.resize(units, None, fx=1, fy=factor, interpolation=method))
        else:
            matrices.append(cv2.resize(units, (size, to), interpolation=method))
    return matrices[0], matrices[1]


def warpAffine(
    src: Any,
    M: Any,
    dsize: Any,
    dst: Any = None,
    flags: int = LINEAR,
    borderMode: int = 0,
    borderValue: Any = 0,
) -> tf.Tensor:
    """`cv2.warpAffine` of one to four channels, nearest or linear.

    `M` may be a tensor with linear interpolation.

    Raises:
        Untranslatable: other interpolations, borders or dtypes, a `dst`.
    """
    what = "cv2.warpAffine"
    image = _image(src, dst, DTYPES, what)
    flags, border = static(flags, "flags"), static(borderMode, "borderMode")
    need(border in BORDERS, f"{what} with border mode {border}.")
    width, height = (int(size) for size in static(tuple(dsize), "dsize"))
    channels = 1 if image.shape.rank == 2 else int(image.shape[2])
    fill = _fill(static(borderValue, "borderValue"), image.dtype, channels)
    if flags & 7 == NEAREST:
        matrix = np.asarray(static(M, "the matrix of a nearest warp"), np.float64)

        def warped(numbers: Any) -> Any:
            return library("cv2").warpAffine(
                numbers, matrix, (width, height), flags=flags, borderMode=border
            )

        return _nearest(image, warped, fill if border == 0 else None)
    need(flags & 7 == LINEAR, f"{what} with interpolation {flags & 7}.")
    need(flags & ~(7 | INVERSE_MAP) == 0, f"{what} with flags {flags}.")
    matrix = number(M, tf.float64)
    matrix = tf.ensure_shape(matrix, [2, 3])
    matrix = matrix if flags & INVERSE_MAP else _inverse(matrix)
    three = _three(image)
    if reads_between(image.dtype, channels):
        result = _warp_fused(three, matrix, height, width, BORDERS[border], fill)
    else:
        result = _warp_by_tables(three, matrix, height, width, BORDERS[border], fill)
    return _one_less(result)


def reads_between(dtype: tf.DType, channels: int) -> bool:
    """Whether the library reads an image elsewhere than at 32nds of a pixel, as it answers."""
    columns: Any = np.arange(32) % 2 * 200
    stripes = np.broadcast_to(columns[None, :, None], (32, 32, channels))
    by_little = np.array([[1, 0, 0.01], [0, 1, 0]])
    stripes = np.ascontiguousarray(stripes.astype(dtype.as_numpy_dtype))
    flags = LINEAR | INVERSE_MAP
    moved = library("cv2").warpAffine(stripes, by_little, (32, 32), flags=flags)
    return bool(moved.reshape(32, 32, channels)[16, 16, 0] > 1)


def _inverse(matrix: tf.Tensor) -> tf.Tensor:
    """The inverse of an affine map [2, 3], by OpenCV's arithmetic; zero where there is none."""
    a, b, x = tf.unstack(matrix[0])
    c, d, y = tf.unstack(matrix[1])
    size = a * d - b * c
    scale = tf.where(tf.equal(size, 0), tf.zeros_like(size), 1 / size)
    a, b, c, d = d * scale, -b * scale, -c * scale, a * scale
    entries = [a, b, -a * x - b * y, c, d, -c * x - d * y]
    return tf.reshape(tf.stack(entries), [2, 3])


def _warp_by_tables(
    image: tf.Tensor, matrix: tf.Tensor, height: int, width: int, mode: str, fill: Any
) -> tf.Tensor:
    """A warp that reads at 32nds of a pixel."""
    x = tf.range(width, dtype=tf.float64)
    y = tf.range(height, dtype=tf.float64)
    places = []
    for axis in (0, 1):
        along = tf.cast(tf.round(matrix[axis, 0] * x * 1024), tf.int32)
        start = tf.round((matrix[axis, 1] * y + matrix[axis, 2]) * 1024)
        place = tf.cast(start, tf.int32)[:, None] + 16 + along[None, :]
        places.append(tf.bitwise.right_shift(place, 5))
    left, top = (tf.bitwise.right_shift(place, 5) for place in places)
    pixels = corners(image, top, left, mode, fill)
    right, down = (spread(tf.bitwise.bitwise_and(place, 31), pixels[0]) for place in places)
    weights = [(32 - right) * (32 - down), right * (32 - down), (32 - right) * down, right * down]
    if image.dtype == tf.uint8:
        terms = [tf.cast(p, tf.int32) * w for p, w in zip(pixels, weights, strict=True)]
        total = terms[0] + terms[1] + terms[2] + terms[3]
        return tf.cast(tf.bitwise.right_shift(total + 512, 10), tf.uint8)
    kind = tf.float64 if image.dtype == tf.float64 else tf.float32
    shares = [tf.cast(weight, kind) / 1024 for weight in weights]
    terms = [tf.cast(p, kind) * w for p, w in zip(pixels, shares, strict=True)]
    return _to_dtype(terms[0] + terms[1] + terms[2] + terms[3], image.dtype)


def _warp_fused(
    image: tf.Tensor, matrix: tf.Tensor, height: int, width: int, mode: str, fill: Any
) -> tf.Tensor:
    """A warp at positions in float32, multiplications and additions fused.

    Floats are near enough without that.
    """
    matrix = tf.cast(matrix, tf.float32)
    x = tf.range(width, dtype=tf.float32)[None, :]
    y = tf.range(height, dtype=tf.float32)[:, None]
    added = _added if image.dtype.is_floating else _fused
    # TensorFlow changes the order of additions, but not of subtractions.
    minus = -matrix
    columns = added(x, matrix[0, 0], y * matrix[0, 1] - minus[0, 2])
    rows = added(x, matrix[1, 0], y * matrix[1, 1] - minus[1, 2])
    pixels = corners(image, whole(rows), whole(columns), mode, fill)
    first, second, third, fourth = (tf.cast(each, tf.float32) for each in pixels)
    right, down = (spread(each - tf.floor(each), first) for each in (columns, rows))
    upper = added(right, second - first, first)
    lower = added(right, fourth - third, third)
    return _to_dtype(added(down, lower - upper, upper), image.dtype)


def _added(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    return a * b + c


def _fused(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) -> tf.Tensor:
    """a·b + c of float32 values, rounded once."""
    a, b, c = (tf.cast(each, tf.float64) for each in (a, b, c))
    return tf.cast(a * b + c, tf.float32)


def _to_dtype(value: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Values in a dtype: integers rounded half to even, saturated."""
    if dtype.is_floating:
        return tf.cast(value, dtype)
    return tf.cast(tf.clip_by_value(tf.round(value), dtype.min, dtype.max), dtype)


def _nearest(image: tf.Tensor, function: Callable[[Any], Any], fill: Any = None) -> tf.Tensor:
    """A function of the library that only takes pixels; which ones, it says itself.

    It is given images of the pixels' numbers, a byte of them at a time, with the dtype and the
    channels of the image, on which its algorithm hangs.
    """
    three = _three(image)
    height, width, channels = sizes(three, "cv2 with nearest pixels")
    numbers = np.arange(height * width).reshape(height, width, 1)
    like = np.ones((1, 1, channels), image.dtype.as_numpy_dtype)
    inside = function(np.repeat(np.ones_like(numbers), channels, 2).astype(like.dtype))
    taken = np.zeros(inside.shape[:2], np.int64)
    for byte in range(0, int(height * width).bit_length(), 8):
        part = function(((numbers >> byte) & 255).astype(like.dtype) * like)
        part = part.reshape(*taken.shape, channels)[..., 0]
        taken += part.astype(np.int64) << byte
    outside = inside.reshape(*taken.shape, channels)[..., 0] == 0
    flat = tf.reshape(three, [height * width, channels])
    if outside.any():
        flat = tf.concat([flat, number([fill], image.dtype)], 0)
        taken[outside] = height * width
    return _one_less(tf.gather(flat, tf.constant(taken, tf.int32)))


def _fill(value: Any, dtype: tf.DType, channels: int) -> list[float]:
    """The fill value of each channel: a number alone is for the first only."""
    given = list(np.atleast_1d(value).astype(float))
    need(len(given) <= 4, "A fill value has four parts at most.")
    parts = (given + [0.0] * 4)[:channels]
    if dtype.is_floating:
        return parts
    return [float(np.clip(np.rint(part), dtype.min, dtype.max)) for part in parts]


def _image(src: Any, dst: Any, dtypes: str, what: str) -> tf.Tensor:
    image = image_of(src, (2, 3), dtypes, what)
    need(dst is None, f"{what} with a dst is not matched.")
    if image.shape.rank == 3:
        need(image.shape[2] in (1, 2, 3, 4), f"{what} is matched for one to four channels.")
    need(0 not in image.shape.as_list(), f"{what} of an empty image is not matched.")
    return image


def _three(image: tf.Tensor) -> tf.Tensor:
    return image[..., None] if image.shape.rank == 2 else image


def _one_less(image: tf.Tensor) -> tf.Tensor:
    """An image without its axis of channels where there is but one, as OpenCV returns it."""
    one = image.shape.rank == 3 and image.shape[2] == 1
    return image[..., 0] if one else tf.identity(image)
