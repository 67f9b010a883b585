"""`skimage.transform`: rotate and warp as TensorFlow ops.

Integers become float64 as in scikit-image; positions and values are computed in the dtype of the
result, float64 or float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.libraries._arguments import (
    library,
    need,
    refuse,
    size_of,
    static,
    traced,
)
from unslow.native.libraries._sampling import bicubic, bilinear, corners, number, whole
from unslow.native.libraries._skimage import checked, clipped_to_range, nearest, to_float
from unslow.native.libraries.skimage_maps import Map
from unslow.native.libraries.tolerance import Tolerance

LIBRARY = "skimage.transform"
TOLERANCES = {
    "rotate": Tolerance(0, 1e-5, 1e-12, "order 0 exact"),
    "warp": Tolerance(0, 1e-5, 1e-12, "order 0 exact"),
}


def rotate(
    image: Any,
    angle: Any,
    resize: bool = False,
    center: Any = None,
    order: int | None = None,
    mode: str = "constant",
    cval: Any = 0,
    clip: bool = True,
    preserve_range: bool = False,
) -> tf.Tensor:
    """`skimage.transform.rotate` of [height, width] or [height, width, channels].

    `angle` may be a tensor where `resize` is false and the order is 1 or 3.

    Raises:
        Untranslatable: other ranks or dtypes, orders other than 0, 1 and 3.
    """
    what = "skimage.transform.rotate"
    image, order = checked(image, order, mode, cval, what)
    if image.dtype == tf.float16:
        image = tf.cast(image, tf.float32)
    if order == 0:
        arguments = (static(angle, "angle"), resize, static(center, "center"))
        return nearest(image, "rotate", arguments, mode, cval, what)
    height, width = size_of(image, 0), size_of(image, 1)
    shape = (height, width)
    if traced(angle) or traced(center) or tf.is_tensor(height) or tf.is_tensor(width):
        need(not resize, "A rotation that sets the shape needs an angle and a size that are known.")
        matrix = _rotation(angle, center, height, width)
    else:
        angle, center = static(angle, "angle"), static(center, "center")
        matrix, shape = _known_rotation(angle, center, height, width, resize)
    return _warped(image, matrix, shape, order, mode, cval, clip, preserve_range)


def warp(
    image: Any,
    inverse_map: Any,
    map_args: Any = None,
    output_shape: Any = None,
    order: int | None = None,
    mode: str = "constant",
    cval: Any = 0.0,
    clip: bool = True,
    preserve_range: bool = False,
) -> tf.Tensor:
    """`skimage.transform.warp` by a 3 by 3 matrix or a transform that is one.

    The matrix may be a tensor where the order is 1 or 3.

    Raises:
        Untranslatable: maps that are functions or coordinates, other ranks or dtypes, orders
            other than 0, 1 and 3.
    """
    what = "skimage.transform.warp"
    image, order = checked(image, order, mode, cval, what)
    need(not map_args, f"{what} with map_args is not matched.")
    matrix = _matrix_of(inverse_map, what)
    shape = static(output_shape, "output_shape")
    if shape is not None:
        shape = tuple(int(size) for size in shape)
        need(len(shape) in (2, image.shape.rank), f"{what}: the output has another rank.")
    if order == 0:
        need(image.dtype != tf.float16, f"{what} of float16 with order 0.")
        matrix = static(matrix, "the matrix of a warp of order 0")
        arguments = (matrix, None, None if shape is None else shape[:2])
        return nearest(image, "warp", arguments, mode, cval, what)
    shape = shape or (size_of(image, 0), size_of(image, 1))
    return _warped(image, matrix, shape[:2], order, mode, cval, clip, preserve_range)


def _matrix_of(inverse_map: Any, what: str) -> Any:
    transform = library("skimage.transform")
    if isinstance(inverse_map, (Map, transform.AffineTransform, transform.ProjectiveTransform)):
        inverse_map = inverse_map.params
    shape = getattr(inverse_map, "shape", None)
    if shape is None or tuple(shape) != (3, 3):
        refuse(f"{what} by anything but a 3 by 3 matrix is not matched.")
    return inverse_map


def _known_rotation(
    angle: float, center: Any, height: int, width: int, resize: bool
) -> tuple[Any, tuple[int, int]]:
    """The matrix of a rotation, by the library's own arithmetic, and the result's size."""
    transform = library("skimage.transform").SimilarityTransform
    if center is None:
        center = np.array((width, height)) / 2.0 - 0.5
    center = np.asarray(center)
    rotation = transform(translation=-center) + transform(rotation=np.deg2rad(angle))
    rotation = rotation + transform(translation=center)
    shape = (height, width)
    if resize:
        corners = np.array([[0, 0], [0, height - 1], [width - 1, height - 1], [width - 1, 0]])
        corners = rotation.inverse(corners)
        low, high = corners.min(axis=0), corners.max(axis=0)
        columns, rows = np.around(high - low + 1)
        shape = (int(rows), int(columns))
        rotation = transform(translation=tuple(low)) + rotation
    matrix = np.array(rotation.params)
    matrix[2] = (0, 0, 1)
    return matrix, shape


def _rotation(angle: Any, center: Any, height: Any, width: Any) -> tf.Tensor:
    """The matrix of a rotation about the center, from tensors, in float64."""
    angle = _radians(tf.reshape(angle, [])) if tf.is_tensor(angle) else np.deg2rad(angle)
    angle = number(angle, tf.float64)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    if center is None:
        x, y = (tf.cast(size, tf.float64) / 2.0 - 0.5 for size in (width, height))
    else:
        x, y = tf.unstack(number(center, tf.float64))
    zero, one = tf.zeros_like(angle), tf.ones_like(angle)
    entries = [cosine, -sine, x - cosine * x + sine * y]
    entries += [sine, cosine, y - sine * x - cosine * y, zero, zero, one]
    return tf.reshape(tf.stack(entries), [3, 3])


def _radians(degrees: tf.Tensor) -> tf.Tensor:
    """`np.deg2rad`, in the dtype that NumPy gives it."""
    dtype = np.deg2rad(np.ones((), degrees.dtype.as_numpy_dtype)).dtype
    wide = np.float64 if dtype == np.float64 else np.float32
    factor = wide(np.pi) / wide(180)
    return tf.cast(tf.cast(degrees, wide) * tf.constant(factor, wide), dtype)


def _warped(
    image: tf.Tensor,
    matrix: Any,
    shape: tuple[Any, ...],
    order: int,
    mode: str,
    cval: Any,
    clip: bool,
    preserve_range: bool,
) -> tf.Tensor:
    dtype = tf.float32 if image.dtype in (tf.float16, tf.float32) else tf.float64
    # Integers are small to gather; the fill value 0 is the same before and after.
    late = image.dtype.is_integer and order == 1 and (mode != "constant" or cval == 0)
    pixels = image if late else to_float(image, preserve_range)
    matrix = number(matrix, dtype)
    y = tf.cast(tf.range(shape[0]), dtype)[:, None]
    x = tf.cast(tf.range(shape[1]), dtype)[None, :]
    # TensorFlow changes the order of additions, but not of subtractions.
    minus = -matrix
    columns = matrix[0, 0] * x + matrix[0, 1] * y - minus[0, 2]
    rows = matrix[1, 0] * x + matrix[1, 1] * y - minus[1, 2]
    known = tf.get_static_value(matrix)
    if known is None or tuple(known[2]) != (0, 0, 1):
        divisor = matrix[2, 0] * x + matrix[2, 1] * y - minus[2, 2]
        columns, rows = columns / divisor, rows / divisor
    flat = image.shape.rank == 2
    pixels = pixels[..., None] if flat else pixels
    if order == 1:
        steps: tuple[Any, Any] = (1, 1)
        if not image.dtype.is_integer:
            # At a pixel's own place the neighbour is that pixel again, be it infinite.
            steps = (
                tf.cast(rows > tf.floor(rows), tf.int32),
                tf.cast(columns > tf.floor(columns), tf.int32),
            )
        taken = corners(pixels, whole(rows), whole(columns), mode, cval, steps)
        taken = tuple(to_float(each, preserve_range) for each in taken) if late else taken
        result = bilinear(taken, rows - tf.floor(rows), columns - tf.floor(columns))
    else:
        result = bicubic(pixels, rows, columns, mode, cval)
    result = result[..., 0] if flat else result
    return clipped_to_range(image, result, order, mode, cval, clip, preserve_range)
