"""`scipy.ndimage`: rotate, shift, zoom and affine_transform as TensorFlow ops.

All values are computed in float64, as SciPy computes them. Orders 0 to 3 are matched. With order
0 or 1 the order of every sum is SciPy's too, so integers come out the same. With order 2 or 3
the spline's coefficients come from one matrix per axis, where SciPy runs a recursion: an integer
whose value lies halfway between two may be rounded to the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.libraries._arguments import (
    image_of,
    library,
    need,
    size_of,
    sizes,
    static,
    traced,
)
from unslow.native.libraries._sampling import (
    affine_positions,
    degrees_cosine_sine,
    number,
    spline_sample,
)
from unslow.native.libraries.tolerance import Tolerance

LIBRARY = "scipy.ndimage"
DTYPES = "uint8 uint16 uint32 int8 int16 int32 int64 float32 float64"
MODES = ("constant", "grid-constant", "nearest", "mirror", "reflect", "wrap", "grid-wrap")
ALIASES = {"grid-mirror": "reflect"}
FRAME = 12
"""The pixels that SciPy adds to each side before it fits a spline, for two of the modes."""

_NOTE = "integers of order 0 and 1 exact; finite values with order 2 and 3"
TOLERANCES = {
    "rotate": Tolerance(1, 1e-6, 1e-12, _NOTE),
    "affine_transform": Tolerance(1, 1e-6, 1e-12, _NOTE),
    "shift": Tolerance(1, 1e-6, 1e-12, _NOTE),
    "zoom": Tolerance(1, 1e-6, 1e-12, _NOTE),
}


def rotate(
    input: Any,
    angle: Any,
    axes: Any = (1, 0),
    reshape: bool = True,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> tf.Tensor:
    """`scipy.ndimage.rotate` of [height, width] or [height, width, channels].

    `angle` may be a tensor where `reshape` is false.

    Raises:
        Untranslatable: other ranks, axes or dtypes, an `output`, an order above 3.
    """
    image, mode = _checked(input, output, order, mode, cval, prefilter, "scipy.ndimage.rotate")
    axes = tuple(static(axes, "axes"))
    rank = image.shape.rank
    need(
        sorted(axis % rank for axis in axes) == [0, 1],
        "scipy.ndimage.rotate is matched in the plane of the first two axes only.",
    )
    height, width = size_of(image, 0), size_of(image, 1)
    if traced(angle):
        need(not reshape, "A rotation that sets the shape needs an angle that is known.")
        angle = tf.reshape(angle, [])
        cosine, sine = degrees_cosine_sine(angle)
        if np.can_cast(angle.dtype.as_numpy_dtype, np.float32):
            # SciPy's functions of degrees then give float32.
            cosine, sine = (
                tf.cast(tf.cast(each, tf.float32), tf.float64) for each in (cosine, sine)
            )
        matrix = tf.stack([tf.stack([cosine, sine]), tf.stack([-sine, cosine])])
        center = (tf.stack([tf.cast(height, tf.float64), tf.cast(width, tf.float64)]) - 1) / 2
        offset = center - tf.linalg.matvec(matrix, center)
        return _affine(image, matrix, offset, (height, width), order, mode, cval)
    special = library("scipy.special")
    angle = static(angle, "angle")
    cosine, sine = special.cosdg(angle), special.sindg(angle)
    matrix = np.array([[cosine, sine], [-sine, cosine]])
    plane = np.array(sizes(image, "scipy.ndimage.rotate")[:2])
    shape = plane
    if reshape:
        bounds = matrix @ [[0, 0, plane[0], plane[0]], [0, plane[1], 0, plane[1]]]
        shape = (np.ptp(bounds, axis=1) + 0.5).astype(int)
    offset = (plane - 1) / 2 - matrix @ ((shape - 1) / 2)
    return _affine(image, matrix, offset, tuple(map(int, shape)), order, mode, cval)


def affine_transform(
    input: Any,
    matrix: Any,
    offset: Any = 0.0,
    output_shape: Any = None,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> tf.Tensor:
    """`scipy.ndimage.affine_transform` of [height, width]; matrix and offset may be tensors.

    Raises:
        Untranslatable: another rank or dtype, an `output`, an order above 3.
    """
    what = "scipy.ndimage.affine_transform"
    image, mode = _checked(input, output, order, mode, cval, prefilter, what)
    need(image.shape.rank == 2, f"{what} is matched for images of two dimensions only.")
    matrix = number(matrix, tf.float64) if traced(matrix) else np.asarray(static(matrix, ""))
    if not tf.is_tensor(matrix):
        matrix = matrix.astype(np.float64)
    rank, width = len(matrix.shape), matrix.shape[-1]
    need(rank in (1, 2) and matrix.shape[0] in (2, 3), f"{what} needs a matrix of known shape.")
    if rank == 2 and width == 3:
        if matrix.shape[0] == 3:
            need(not tf.is_tensor(matrix), f"{what} of a traced 3 by 3 matrix is not matched.")
            if not np.all(matrix[2] == [0, 0, 1]):
                raise ValueError(f"{what}: the matrix' last row must be 0, 0, 1.")
        offset, matrix = matrix[:2, 2], matrix[:2, :2]
    if traced(offset):
        offset = tf.broadcast_to(tf.cast(offset, tf.float64), [2])
    elif not tf.is_tensor(offset) or not tf.is_tensor(matrix):
        offset = np.broadcast_to(np.asarray(static(offset, "offset"), np.float64), (2,))
    if output_shape is None:
        shape = (size_of(image, 0), size_of(image, 1))
    else:
        shape = tuple(static(tuple(output_shape), "output_shape"))
        need(len(shape) == 2, f"{what} needs an output of two dimensions.")
    if rank == 1:
        return _scaled(image, matrix, offset / matrix, shape, order, mode, cval, False)
    return _affine(image, matrix, offset, shape, order, mode, cval)


def shift(
    input: Any,
    shift: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
) -> tf.Tensor:
    """`scipy.ndimage.shift` of one to three dimensions, the third not moved; may be a tensor.

    Raises:
        Untranslatable: a third dimension that moves, other dtypes, an order above 3.
    """
    what = "scipy.ndimage.shift"
    image, mode = _checked(input, output, order, mode, cval, prefilter, what)
    rank = image.shape.rank
    moves = list(shift) if isinstance(shift, (tuple, list)) else shift
    if not isinstance(moves, list):
        if traced(moves):
            moves = tf.convert_to_tensor(moves)
            moves = tf.unstack(moves) if moves.shape.rank else [moves] * rank
        else:
            moves = np.broadcast_to(np.asarray(static(moves, "")), (rank,)).tolist()
    need(len(moves) == rank, f"{what} needs one shift for each dimension.")
    if rank == 3:
        need(static(moves[2], "the shift of the third axis") == 0, f"{what} moves the third axis.")
    zero = [-tf.cast(move, tf.float64) if traced(move) else -float(move) for move in moves[:2]]
    shape = (size_of(image, 0), size_of(image, 1))
    return _scaled(image, None, zero, shape, order, mode, cval, False)


def zoom(
    input: Any,
    zoom: Any,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: Any = 0.0,
    prefilter: bool = True,
    *,
    grid_mode: bool = False,
) -> tf.Tensor:
    """`scipy.ndimage.zoom` of [height, width] or, with a last factor of 1, of channels too.

    Raises:
        Untranslatable: a size or factor that is not known, a third dimension that is zoomed.
    """
    what = "scipy.ndimage.zoom"
    image, mode = _checked(input, output, order, mode, cval, prefilter, what)
    shape = sizes(image, what)
    factors = np.broadcast_to(np.asarray(static(zoom, "zoom")), (len(shape),)).tolist()
    target = [round(size * factor) for size, factor in zip(shape, factors, strict=True)]
    if all(factor == 1 for factor in factors) and (order < 2 or cut_short()):
        return tf.identity(image)
    need(len(shape) == 2 or target[2] == shape[2], f"{what} zooms the third axis.")
    need(0 not in target, f"{what} to an empty array is not matched.")
    less = 0 if grid_mode else 1
    scales = [
        (size - less) / (to - less) if to != less else 1.0
        for size, to in zip(shape[:2], target[:2], strict=True)
    ]
    return _scaled(image, scales, None, tuple(target[:2]), order, mode, cval, grid_mode)


def _checked(
    image: Any, output: Any, order: int, mode: str, cval: Any, prefilter: bool, what: str
) -> tuple[tf.Tensor, str]:
    image = image_of(image, (2, 3), DTYPES, what)
    need(output is None, f"{what} with an output is not matched.")
    need(order in (0, 1, 2, 3), f"{what} of order {order} is not matched.")
    need(order < 2 or prefilter, f"{what} without a prefilter is not matched.")
    mode = ALIASES.get(mode, mode)
    need(mode in MODES, f"{what} in mode {mode!r} is not matched.")
    need(not traced(cval), f"{what} needs a fill value that is known.")
    if image.dtype.is_integer:
        name = image.dtype.name
        need(image.dtype.min <= cval <= image.dtype.max, f"{what}: the fill value is no {name}.")
        if not image.dtype.is_unsigned:
            need(order < 2, f"{what} of {name} may leave its range with order {order}.")
    return image, mode


def offset_first() -> bool:
    """Whether the library's sums for a position begin with the offset; versions differ."""
    # 1e16 + 1 is 1e16: only a sum that begins with the offset has the 1 left.
    matrix, offset = [[1e16, 1.0], [0.0, 0.0]], [-1e16, 0.0]
    rows = np.array([[0.0, 0.0], [1.0, 1.0]])
    taken = library("scipy.ndimage").affine_transform(rows, matrix, offset, order=0, cval=-1)
    return bool(taken[1, 1] == 1)


def cut_short() -> bool:
    """Whether the library's zoom by 1 gives the array back as it is; versions differ."""
    # The spline through so few values comes back only about.
    few = np.array([0.0, 0.0, 1.0])
    again = library("scipy.ndimage").zoom(few, 1, order=2, mode="reflect")
    return bool(np.array_equal(again, few))


def spline_coefficients(image: tf.Tensor, order: int, mode: str) -> tf.Tensor:
    """The coefficients of the spline through an image [height, width, channels], in float64.

    They are linear in the image: along each axis a matrix, which is SciPy's answer to the unit
    vectors.
    """
    ndimage = library("scipy.ndimage")
    height, width, _ = image.shape
    columns = ndimage.spline_filter1d(np.eye(height), order, axis=0, mode=mode)
    rows = ndimage.spline_filter1d(np.eye(width), order, axis=0, mode=mode)
    image = tf.cast(image, tf.float64)
    flat = tf.reshape(image, [height, -1])
    image = tf.reshape(tf.matmul(tf.constant(columns), flat), image.shape)
    return tf.einsum("vw,hwc->hvc", tf.constant(rows), image)


def across_channels(image: tf.Tensor, order: int, mode: str, cval: Any) -> tf.Tensor:
    """The spline along the channels, taken at the channels themselves.

    It gives the channels back only about: SciPy's fit of few values is not exact.
    """
    ndimage = library("scipy.ndimage")
    units = np.eye(image.shape[2])
    # A shift of nothing is not cut short, as a zoom of 1 is.
    taps = np.stack([ndimage.shift(unit, 0, order=order, mode=mode) for unit in units], axis=1)
    fill = tf.constant(cval if mode == "grid-constant" else 0, tf.float64)
    return tf.einsum("dc,hwc->hwd", tf.constant(taps), tf.cast(image, tf.float64) - fill) + fill


def _sample(
    image: tf.Tensor,
    rows: tf.Tensor,
    columns: tf.Tensor,
    order: int,
    mode: str,
    cval: Any,
    across: bool = False,
) -> tf.Tensor:
    """The spline through an image of two or three dimensions at float64 positions.

    `across`: it runs through the channels too.
    """
    flat = image.shape.rank == 2
    across = across and not flat
    dtype = image.dtype
    image = image[..., None] if flat else image
    if order > 1:
        sizes(image, "A spline of order 2 or 3")
        if mode in ("nearest", "grid-constant"):
            frame = [[FRAME, FRAME], [FRAME, FRAME], [0, 0]]
            if mode == "nearest":
                index = [
                    np.clip(np.arange(-FRAME, size + FRAME), 0, size - 1)
                    for size in image.shape[:2]
                ]
                image = tf.gather(tf.gather(image, index[0], axis=0), index[1], axis=1)
            else:
                image = tf.pad(image, frame, constant_values=number(cval, dtype))
            rows, columns = rows + FRAME, columns + FRAME
        if across:
            image = across_channels(image, order, mode, cval)
        image = spline_coefficients(image, order, mode)
    total = spline_sample(image, rows, columns, order, mode, cval)
    result = to_dtype(total, dtype)
    return result[..., 0] if flat else result


def to_dtype(value: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Float64 values in the result's dtype: integers rounded half away from zero, saturated."""
    if dtype.is_floating:
        return tf.cast(value, dtype)
    half = tf.constant(0.5, tf.float64)
    value = tf.where(value > 0, value + half, value - half)
    if dtype == tf.int64:
        return tf.cast(value, dtype)  # float64 has not the number that would bound it
    return tf.cast(tf.clip_by_value(value, float(dtype.min), float(dtype.max)), dtype)


def _affine(
    image: tf.Tensor, matrix: Any, offset: Any, shape: Any, order: int, mode: str, cval: Any
) -> tf.Tensor:
    rows, columns = affine_positions(matrix, offset, shape[0], shape[1], offset_first())
    return _sample(image, rows, columns, order, mode, cval)


def _scaled(
    image: tf.Tensor,
    scales: Any,
    shifts: Any,
    shape: Any,
    order: int,
    mode: str,
    cval: Any,
    grid: bool,
) -> tf.Tensor:
    """A zoom after a shift, along each axis by itself."""
    positions = []
    for axis in (0, 1):
        x = tf.cast(tf.range(shape[axis]), tf.float64)
        if shifts is not None:
            x = x + shifts[axis]
        if scales is not None:
            x = (x + 0.5) * scales[axis] - 0.5 if grid else x * scales[axis]
        positions.append(x)
    rows, columns = positions[0][:, None], positions[1][None, :]
    return _sample(image, rows, columns, order, mode, cval, across=True)
