"""`cv2`: GaussianBlur, cvtColor and normalize as TensorFlow ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.libraries._arguments import image_of, library, need, refuse, static
from unslow.native.libraries._filters import pad_axis, shifted
from unslow.native.libraries.tolerance import Tolerance

LIBRARY = "cv2"
BORDERS = {0: "constant", 1: "edge", 2: "symmetric", 4: "reflect"}
ISOLATED = 16

TOLERANCES = {
    "GaussianBlur": Tolerance(0, 1e-6, 1e-12),
    "cvtColor": Tolerance(0, 1e-6),
    "normalize": Tolerance(1, 1e-6, 1e-12, "finite values"),
}


def GaussianBlur(
    src: Any,
    ksize: Any,
    sigmaX: float,
    dst: Any = None,
    sigmaY: float = 0,
    borderType: int = 4,
    hint: int = 0,
) -> tf.Tensor:
    """`cv2.GaussianBlur` of uint8 (in OpenCV's fixed-point arithmetic), float32 and float64.

    Raises:
        Untranslatable: other dtypes or borders, a hint, a `dst`.
    """
    what = "cv2.GaussianBlur"
    image = image_of(src, (2, 3), "uint8 float32 float64", what)
    need(dst is None and hint == 0, f"{what} with a dst or a hint is not matched.")
    border = static(borderType, "borderType") & ~ISOLATED
    need(border in BORDERS, f"{what} with border {border}.")
    sigma_x, sigma_y = float(static(sigmaX, "sigmaX")), float(static(sigmaY, "sigmaY"))
    width, height = (int(size) for size in static(tuple(ksize), "ksize"))
    sigma_y = sigma_y if sigma_y > 0 else sigma_x
    reach = 3 if image.dtype == tf.uint8 else 4
    if width <= 0 and sigma_x > 0:
        width = round(sigma_x * reach * 2 + 1) | 1
    if height <= 0 and sigma_y > 0:
        height = round(sigma_y * reach * 2 + 1) | 1
    need(width > 0 and width % 2 == 1, f"{what} needs an odd width.")
    need(height > 0 and height % 2 == 1, f"{what} needs an odd height.")
    mode = BORDERS[border]
    # Along an axis of one pixel OpenCV does not filter, whatever lies outside.
    width = 1 if image.shape[1] == 1 and border else width
    height = 1 if image.shape[0] == 1 and border else height
    across = library("cv2").getGaussianKernel(width, max(sigma_x, 0), 6)[:, 0]
    down = library("cv2").getGaussianKernel(height, max(sigma_y, 0), 6)[:, 0]
    if width == 1 and height == 1:
        result = tf.identity(image)
    elif image.dtype == tf.uint8:
        values = tf.cast(image, tf.int32)
        values = _weighted(values, fixed_weights(across), 1, mode)
        values = _weighted(values, fixed_weights(down), 0, mode)
        result = tf.cast(tf.bitwise.right_shift(values + (1 << 15), 16), tf.uint8)
    else:
        result = _weighted(_weighted(image, across, 1, mode), down, 0, mode)
    return _one_less(result)


def fixed_weights(weights: Any) -> Any:
    """Weights as integers that sum to 256, each one's error carried to the next."""
    scaled, error, half = weights * 256, 0.0, len(weights) // 2
    rounded: Any = np.zeros(len(weights), np.int32)
    for tap in range(half):
        value = scaled[tap] + error
        rounded[tap] = rounded[-1 - tap] = np.rint(value)
        error = value - rounded[tap]
    rounded[half] = 256 - rounded.sum()
    return rounded


def _weighted(image: tf.Tensor, weights: Any, axis: int, mode: str) -> tf.Tensor:
    """A sum of slices of the padded image by symmetric weights."""
    taps = len(weights)
    if taps == 1:
        return image * tf.constant(weights[0], image.dtype)
    padded = pad_axis(image, axis, taps // 2, taps // 2, mode)
    center = taps // 2
    total = shifted(padded, axis, center, taps) * tf.constant(weights[center], image.dtype)
    for tap in range(center):
        pair = shifted(padded, axis, tap, taps) + shifted(padded, axis, taps - 1 - tap, taps)
        total += pair * tf.constant(weights[tap], image.dtype)
    return total


def cvtColor(
    src: Any,
    code: int,
    dst: Any = None,
    dstCn: int = 0,
    hint: int = 0,
) -> tf.Tensor:
    """`cv2.cvtColor` between BGR, RGB, BGRA, RGBA, gray, HSV (from uint8) and YCrCb (uint8).

    Raises:
        Untranslatable: other codes or dtypes, a hint, a `dst`.
    """
    what = "cv2.cvtColor"
    code = static(code, "code")
    image = image_of(src, (2, 3), "uint8 float32", what)
    need(dst is None and dstCn == 0 and hint == 0, f"{what} with a dst, dstCn or hint.")
    cv2 = library("cv2")
    for name, (channels, function) in conversions().items():
        if getattr(cv2, f"COLOR_{name}") == code:
            given = 1 if image.shape.rank == 2 else image.shape[2]
            need(given in channels, f"{what} by {name} of {given} channels.")
            return function(image if image.shape.rank == 3 else image[..., None])
    refuse(f"{what} by code {code} is not matched.")


def conversions() -> dict[str, tuple[tuple[int, ...], Callable[[tf.Tensor], tf.Tensor]]]:
    """What is done for each name of a code, and the numbers of channels that it takes."""
    three, four, one = (3,), (4,), (1,)
    return {
        "BGR2RGB": (three, lambda image: tf.reverse(image, [2])),
        "BGRA2RGBA": (four, lambda image: tf.gather(image, [2, 1, 0, 3], axis=2)),
        "BGRA2BGR": (four, lambda image: image[..., :3]),
        "BGRA2RGB": (four, lambda image: tf.reverse(image[..., :3], [2])),
        "BGR2BGRA": (three, with_alpha),
        "BGR2RGBA": (three, lambda image: with_alpha(tf.reverse(image, [2]))),
        "GRAY2BGR": (one, lambda image: tf.repeat(image, 3, axis=2)),
        "GRAY2BGRA": (one, lambda image: with_alpha(tf.repeat(image, 3, axis=2))),
        "BGR2GRAY": ((3, 4), lambda image: gray(image, (0.114, 0.587, 0.299))),
        "RGB2GRAY": ((3, 4), lambda image: gray(image, (0.299, 0.587, 0.114))),
        "BGRA2GRAY": ((3, 4), lambda image: gray(image, (0.114, 0.587, 0.299))),
        "RGBA2GRAY": ((3, 4), lambda image: gray(image, (0.299, 0.587, 0.114))),
        "BGR2HSV": ((3, 4), lambda image: to_hsv(tf.reverse(image[..., :3], [2]), 180)),
        "RGB2HSV": ((3, 4), lambda image: to_hsv(image[..., :3], 180)),
        "BGR2HSV_FULL": ((3, 4), lambda image: to_hsv(tf.reverse(image[..., :3], [2]), 256)),
        "RGB2HSV_FULL": ((3, 4), lambda image: to_hsv(image[..., :3], 256)),
        "BGR2YCrCb": ((3, 4), lambda image: to_ycrcb(tf.reverse(image[..., :3], [2]))),
        "RGB2YCrCb": ((3, 4), lambda image: to_ycrcb(image[..., :3])),
        "YCrCb2BGR": (three, lambda image: tf.reverse(from_ycrcb(image), [2])),
        "YCrCb2RGB": (three, from_ycrcb),
    }


def with_alpha(image: tf.Tensor) -> tf.Tensor:
    """An image with a last channel that is all there."""
    most = image.dtype.max if image.dtype.is_integer else 1
    return tf.concat([image, tf.fill(tf.shape(image[..., :1]), tf.cast(most, image.dtype))], 2)


def gray(image: tf.Tensor, shares: tuple[float, float, float]) -> tf.Tensor:
    """The brightness of the first three channels by their shares; uint8 in 15 bits."""
    first, second, third = (image[..., channel] for channel in range(3))
    if image.dtype == tf.float32:
        return first * shares[0] + second * shares[1] + third * shares[2]
    weights = {0.299: 9798, 0.587: 19235, 0.114: 3735}
    a, b, c = (weights[share] for share in shares)
    first, second, third = (tf.cast(each, tf.int32) for each in (first, second, third))
    total = first * a + second * b + third * c + (1 << 14)
    return tf.cast(tf.bitwise.right_shift(total, 15), tf.uint8)


def to_hsv(image: tf.Tensor, turn: int) -> tf.Tensor:
    """RGB of uint8 as hue (`turn` is a full circle), saturation and value, in 12 bits."""
    need(image.dtype == tf.uint8, "cv2.cvtColor to HSV is matched for uint8 only.")
    steps = np.arange(1, 256)
    by_value = np.concatenate([[0], np.rint((255 << 12) / steps)]).astype(np.int32)
    by_range = np.concatenate([[0], np.rint((turn << 12) / (6.0 * steps))]).astype(np.int32)
    red, green, blue = tf.unstack(tf.cast(image, tf.int32), axis=2)
    value = tf.maximum(tf.maximum(red, green), blue)
    spread = value - tf.minimum(tf.minimum(red, green), blue)
    saturation = spread * tf.gather(by_value, value) + (1 << 11)
    hue = tf.where(
        tf.equal(value, red),
        green - blue,
        tf.where(tf.equal(value, green), blue - red + 2 * spread, red - green + 4 * spread),
    )
    hue = tf.bitwise.right_shift(hue * tf.gather(by_range, spread) + (1 << 11), 12)
    hue = tf.where(hue < 0, hue + turn, hue)
    saturation = tf.bitwise.right_shift(saturation, 12)
    parts = [tf.clip_by_value(part, 0, 255) for part in (hue, saturation, value)]
    return tf.cast(tf.stack(parts, axis=2), tf.uint8)


def to_ycrcb(image: tf.Tensor) -> tf.Tensor:
    """RGB of uint8 as brightness and two differences, in 14 bits."""
    need(image.dtype == tf.uint8, "cv2.cvtColor to YCrCb is matched for uint8 only.")
    red, green, blue = tf.unstack(tf.cast(image, tf.int32), axis=2)
    half, middle = 1 << 13, 128 << 14
    y = tf.bitwise.right_shift(red * 4899 + green * 9617 + blue * 1868 + half, 14)
    cr = tf.bitwise.right_shift((red - y) * 11682 + middle + half, 14)
    cb = tf.bitwise.right_shift((blue - y) * 9241 + middle + half, 14)
    parts = [tf.clip_by_value(part, 0, 255) for part in (y, cr, cb)]
    return tf.cast(tf.stack(parts, axis=2), tf.uint8)


def from_ycrcb(image: tf.Tensor) -> tf.Tensor:
    """Brightness and two differences of uint8 as RGB, in 14 bits."""
    need(image.dtype == tf.uint8, "cv2.cvtColor from YCrCb is matched for uint8 only.")
    y, cr, cb = tf.unstack(tf.cast(image, tf.int32), axis=2)
    cr, cb, half = cr - 128, cb - 128, 1 << 13
    red = y + tf.bitwise.right_shift(cr * 22987 + half, 14)
    green = y + tf.bitwise.right_shift(cb * -5636 + cr * -11698 + half, 14)
    blue = y + tf.bitwise.right_shift(cb * 29049 + half, 14)
    parts = [tf.clip_by_value(part, 0, 255) for part in (red, green, blue)]
    return tf.cast(tf.stack(parts, axis=2), tf.uint8)


def normalize(
    src: Any,
    dst: Any,
    alpha: float = 1,
    beta: float = 0,
    norm_type: int = 4,
    dtype: int = -1,
    mask: Any = None,
) -> tf.Tensor:
    """`cv2.normalize` to a range, or to a greatest, absolute or Euclidean norm.

    uint8, float32 and float64, to the same dtype or to floats.

    Raises:
        Untranslatable: a mask, a `dst`, other dtypes or norms.
    """
    what = "cv2.normalize"
    image = image_of(src, (2, 3), "uint8 float32 float64", what)
    need(dst is None and mask is None, f"{what} with a dst or a mask is not matched.")
    alpha, beta = float(static(alpha, "alpha")), float(static(beta, "beta"))
    target = {-1: image.dtype, 0: tf.uint8, 5: tf.float32, 6: tf.float64}.get(dtype)
    need(target is not None, f"{what} to dtype {dtype} is not matched.")
    need(target != tf.uint8 or image.dtype == tf.uint8, f"{what} of floats to uint8.")
    values = tf.cast(image, tf.float64)
    zero = tf.zeros([], tf.float64)
    shift = zero
    if norm_type == 32:
        low, high = tf.reduce_min(values), tf.reduce_max(values)
        least, most = min(alpha, beta), max(alpha, beta)
        spread = high - low
        scale = (most - least) * tf.where(spread > np.finfo(np.float64).eps, 1 / spread, zero)
        shift = least - low * scale
    else:
        need(norm_type in (1, 2, 4), f"{what} by norm {norm_type} is not matched.")
        if norm_type == 1:
            norm = tf.reduce_max(tf.abs(values))
        elif norm_type == 2:
            norm = tf.reduce_sum(tf.abs(values))
        else:
            norm = tf.sqrt(tf.reduce_sum(values * values))
        scale = alpha * tf.where(norm > np.finfo(np.float64).eps, 1 / norm, zero)
    if target == tf.uint8:
        # OpenCV has the factor and the shift in float32 here, and fuses what they are used in.
        scale, shift = (tf.cast(tf.cast(each, tf.float32), tf.float64) for each in (scale, shift))
        result = tf.cast(tf.cast(values * scale + shift, tf.float32), tf.float64)
        return _one_less(tf.cast(tf.clip_by_value(tf.round(result), 0, 255), target))
    return _one_less(tf.cast(values * scale + shift, target))


def _one_less(image: tf.Tensor) -> tf.Tensor:
    one = image.shape.rank == 3 and image.shape[2] == 1
    return image[..., 0] if one else image
