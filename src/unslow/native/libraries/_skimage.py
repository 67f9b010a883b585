"""What scikit-image does to an image before and after it is resized or warped."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.libraries._arguments import image_of, library, need, sizes, static, traced
from unslow.native.libraries._sampling import number

INTEGERS = "uint8 uint16 uint32 int8 int16 int32"
DTYPES = f"{INTEGERS} bool float16 float32 float64"
MODES = ("constant", "edge", "symmetric", "reflect", "wrap")


def checked(
    image: Any,
    order: int | None,
    mode: str,
    cval: Any,
    what: str,
    orders: tuple[int, ...] = (0, 1, 3),
) -> tuple[tf.Tensor, int]:
    image = image_of(image, (2, 3), DTYPES, what)
    if order is None:
        order = 0 if image.dtype == tf.bool else 1
    need(order in orders, f"{what} of order {order} is not matched.")
    need(image.dtype != tf.bool or order == 0, f"{what} of bool needs order 0.")
    need(mode in MODES, f"{what} in mode {mode!r} is not matched.")
    need(not traced(cval), f"{what} needs a fill value that is known.")
    need(bool(np.isfinite(static(cval, "cval"))), f"{what} with a fill value that is not finite.")
    return image, order


def to_float(image: tf.Tensor, preserve_range: bool) -> tf.Tensor:
    """An image as scikit-image computes with it: integers as float64, by their range."""
    if image.dtype == tf.float16:
        return tf.cast(image, tf.float32)
    if image.dtype.is_floating:
        return image
    value = tf.cast(image, tf.float64)
    if preserve_range or image.dtype == tf.bool:
        return value
    value = value * tf.constant(1.0 / image.dtype.max, tf.float64)
    return value if image.dtype.is_unsigned else tf.maximum(value, tf.constant(-1.0, tf.float64))


def nearest(
    image: tf.Tensor, name: str, arguments: tuple[Any, ...], mode: str, cval: Any, what: str
) -> tf.Tensor:
    """A function of the library with order 0, which only takes pixels.

    Which ones, it says itself: it is given an image of the pixels' numbers.
    """
    height, width = sizes(image, what)[:2]
    if image.dtype == tf.bool:
        need(mode != "constant" or cval in (0, 1), f"{what} of bool with a fill value {cval}.")
        image = tf.cast(image, tf.uint8)
        result = nearest(image, name, arguments, mode, cval, what)
        return tf.cast(result, tf.bool)
    if image.dtype.is_integer and mode == "constant":
        fits = cval == int(cval) and image.dtype.min <= cval <= image.dtype.max
        need(fits, f"{what}: the fill value is not a {image.dtype.name}.")
    numbers: Any = np.arange(height * width, dtype=np.float64).reshape(height, width)
    options = {"order": 0, "mode": mode, "cval": -1, "clip": False, "preserve_range": True}
    if name == "resize":
        options["anti_aliasing"] = False
    taken = getattr(library("skimage.transform"), name)(numbers, *arguments, **options)
    taken = taken.astype(np.int32)
    flat = tf.reshape(image, [height * width, *image.shape[2:]])
    if (taken < 0).any():
        flat = tf.concat([flat, tf.fill([1, *image.shape[2:]], number(cval, image.dtype))], 0)
        taken[taken < 0] = height * width
    return tf.gather(flat, tf.constant(taken))


def clipped_to_range(
    image: tf.Tensor,
    result: tf.Tensor,
    order: int,
    mode: str,
    cval: Any,
    clip: bool,
    preserve_range: bool = True,
) -> tf.Tensor:
    """A result within the range of the image, which the fill value widens where it is taken."""
    if not clip or (order < 2 and mode != "constant"):
        return result
    fill = tf.constant(cval, result.dtype)
    if image.dtype.is_integer:
        extremes = tf.stack([tf.reduce_min(image), tf.reduce_max(image)])
        low, high = tf.unstack(to_float(extremes, preserve_range))
        if order == 1 and image.dtype.is_unsigned and cval == 0:
            # No value lies above the image's; zero is in the range if it is taken.
            return tf.maximum(result, tf.where(tf.reduce_any(result <= fill), fill, low))
    else:
        image = to_float(image, preserve_range)
        infinity = tf.constant(np.inf, result.dtype)
        nothing = tf.math.is_nan(image)
        low = tf.reduce_min(tf.where(nothing, infinity, image))
        high = tf.reduce_max(tf.where(nothing, -infinity, image))
    if mode == "constant":
        reached = tf.reduce_any(result <= fill) & tf.reduce_any(result >= fill)
        if not image.dtype.is_integer:
            # NaN that the image has not comes of infinities, and then nothing is widened.
            reached &= tf.reduce_any(nothing) | ~tf.math.is_nan(tf.reduce_sum(result))
        low = tf.where(reached, tf.minimum(low, fill), low)
        high = tf.where(reached, tf.maximum(high, fill), high)
    clipped = tf.minimum(tf.maximum(result, low), high)
    if image.dtype.is_integer:
        return clipped
    # Where all of an image is NaN, so is the range.
    clipped = tf.where(low > high, tf.constant(np.nan, result.dtype), clipped)
    return tf.where(tf.math.is_nan(result), result, clipped)
