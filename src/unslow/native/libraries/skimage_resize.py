"""`skimage.transform`: resize and rescale as TensorFlow ops, as one matrix for each axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.libraries._arguments import library, need, sizes, static
from unslow.native.libraries._filters import along_axis
from unslow.native.libraries._skimage import checked, clipped_to_range, nearest, to_float
from unslow.native.libraries.scipy_geometry import across_channels, cut_short
from unslow.native.libraries.tolerance import Tolerance

LIBRARY = "skimage.transform"
NDIMAGE_MODES = {
    "constant": "grid-constant",
    "edge": "nearest",
    "symmetric": "reflect",
    "reflect": "mirror",
    "wrap": "grid-wrap",
}

TOLERANCES = {
    "resize": Tolerance(0, 1e-6, 1e-10, "finite values"),
    "rescale": Tolerance(0, 1e-6, 1e-10, "finite values"),
}


def resize(
    image: Any,
    output_shape: Any,
    order: int | None = None,
    mode: str = "reflect",
    cval: Any = 0,
    clip: bool = True,
    preserve_range: bool = False,
    anti_aliasing: bool | None = None,
    anti_aliasing_sigma: Any = None,
) -> tf.Tensor:
    """`skimage.transform.resize`, filter included, as one matrix for each axis.

    Raises:
        Untranslatable: a size that is not known, a third axis that changes, orders above 3.
    """
    what = "skimage.transform.resize"
    image, order = checked(image, order, mode, cval, what, (0, 1, 2, 3))
    shape = sizes(image, what)
    target = tuple(int(size) for size in static(tuple(output_shape), "output_shape"))
    if len(target) == len(shape) - 1:
        target = (*target, shape[-1])
    need(len(target) == len(shape), f"{what} to another rank is not matched.")
    need(len(shape) == 2 or target[2] == shape[2], f"{what} of the third axis is not matched.")
    dtype = image.dtype
    if anti_aliasing is None:
        smaller = any(to < size for to, size in zip(target, shape, strict=True))
        anti_aliasing = dtype != tf.bool and not (dtype.is_integer and order == 0) and smaller
    factors = np.divide(shape, target)
    sigmas = np.zeros(len(shape))
    if anti_aliasing:
        need(order > 0 or dtype.is_floating, f"{what} filters integers with order 0.")
        given = static(anti_aliasing_sigma, "anti_aliasing_sigma")
        sigmas = np.maximum(0, (factors - 1) / 2) if given is None else given * np.ones(len(shape))
        need(len(shape) == 2 or sigmas[2] == 0, f"{what} filters across the channels.")
    if order == 0 and not anti_aliasing:
        image = tf.cast(image, tf.float32) if dtype == tf.float16 else image
        return nearest(image, "resize", (target[:2],), mode, cval, what)
    image = to_float(image, preserve_range)
    if target == shape and not np.any(sigmas) and (order < 2 or cut_short()):
        return tf.identity(image)
    matrices = [
        axis_matrix(shape[axis], target[axis], float(sigmas[axis]), order, NDIMAGE_MODES[mode])
        for axis in (0, 1)
    ]
    pixels = image
    if len(shape) == 3 and order > 1:
        pixels = across_channels(image, order, NDIMAGE_MODES[mode], cval)
        pixels = tf.cast(pixels, image.dtype)
    fill = tf.constant(cval if mode == "constant" else 0, image.dtype)
    result = pixels - fill if mode == "constant" else pixels
    # The axis that shrinks more goes first: less is left for the other.
    for axis in sorted((0, 1), key=lambda axis: target[axis] / shape[axis]):
        result = along_axis(result, matrices[axis], axis, image.dtype)
    result = result + fill if mode == "constant" else result
    return clipped_to_range(image, result, order, mode, cval, clip)


def rescale(
    image: Any,
    scale: Any,
    order: int | None = None,
    mode: str = "reflect",
    cval: Any = 0,
    clip: bool = True,
    preserve_range: bool = False,
    anti_aliasing: bool | None = None,
    anti_aliasing_sigma: Any = None,
    *,
    channel_axis: int | None = None,
) -> tf.Tensor:
    """`skimage.transform.rescale`: `resize` to a multiple of the size.

    Raises:
        Untranslatable: as for `resize`; channels that are not the last axis.
    """
    what = "skimage.transform.rescale"
    image = tf.convert_to_tensor(image)
    shape = sizes(image, what)
    need(channel_axis in (None, -1, len(shape) - 1), f"{what}: the channels are not last.")
    factors = np.atleast_1d(static(scale, "scale"))
    if len(factors) > 1:
        need(
            len(factors) == len(shape) - (channel_axis is not None),
            f"{what} needs one scale for each axis.",
        )
        factors = factors if channel_axis is None else np.append(factors, 1)
    target = np.maximum(np.round(factors * np.asarray(shape)), 1)
    if channel_axis is not None:
        target[-1] = shape[-1]
    options = (order, mode, cval, clip, preserve_range, anti_aliasing, anti_aliasing_sigma)
    return resize(image, tuple(target.tolist()), *options)


def axis_matrix(size: int, target: int, sigma: float, order: int, mode: str) -> Any:
    """The map that a filter and a zoom are along an axis: SciPy's answer to the unit vectors."""
    ndimage = library("scipy.ndimage")
    columns = []
    for unit in np.eye(size):
        line = ndimage.gaussian_filter1d(unit, sigma, mode=mode) if sigma > 0 else unit
        if target == size:
            # A zoom by 1 is cut short where it is the only one; a shift of nothing is not.
            columns.append(ndimage.shift(line, 0, order=order, mode=mode))
        else:
            factor = target / size
            columns.append(ndimage.zoom(line, factor, order=order, mode=mode, grid_mode=True))
    return np.stack(columns, axis=1)
