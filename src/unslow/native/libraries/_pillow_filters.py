"""Pillow's filters and affine maps, on the pixels of one image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.libraries._arguments import library, refuse
from unslow.native.libraries._filters import along_axis
from unslow.native.libraries._sampling import corners, fold, whole

NEAREST, LANCZOS, BILINEAR, BICUBIC, BOX, HAMMING = range(6)
SUPPORTS = {LANCZOS: 3.0, BILINEAR: 1.0, BICUBIC: 2.0, BOX: 0.5, HAMMING: 1.0}
PRECISION = 22
"""The bits behind the point of the weights by which bytes are resized."""
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "F": 1, "I": 1}
"""The modes that are matched, and their channels."""


def filter_weight(x: Any, method: int) -> Any:
    """The height of a filter's curve at distances from its middle."""
    x = np.abs(np.asarray(x, np.float64))
    if method == BOX:
        return np.where(x <= 0.5, 1.0, 0.0)
    if method == BILINEAR:
        return np.maximum(1.0 - x, 0.0)
    if method == HAMMING:
        angle = x * math.pi
        bell = np.sinc(x) * (0.54 + 0.46 * np.cos(angle))
        return np.where(x >= 1.0, 0.0, np.where(x == 0, 1.0, bell))
    if method == BICUBIC:
        a = -0.5
        near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
        far = (((x - 5) * x + 8) * x - 4) * a
        return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))
    return np.where(x < 3.0, np.sinc(x) * np.sinc(x / 3), 0.0)


def resample_weights(size: int, target: int, low: float, high: float, method: int) -> Any:
    """The weight of each of `size` pixels for each of `target`, [target, size] in float64."""
    scale = float(np.float32(high) - np.float32(low)) / target  # the box is kept in float32
    stretch = max(scale, 1.0)
    reach = SUPPORTS[method] * stretch
    weights = np.zeros((target, size))
    for place in range(target):
        center = low + (place + 0.5) * scale
        first, last = max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), size)
        taps = np.arange(first, last)
        heights = filter_weight((taps - center + 0.5) * (1.0 / stretch), method)
        if method == BOX:
            # The box has its left edge only.
            distance = (taps - center + 0.5) * (1.0 / stretch)
            heights = np.where((distance > -0.5) & (distance <= 0.5), 1.0, 0.0)
        total = np.cumsum(heights)[-1] if len(heights) else 0.0
        weights[place, first:last] = heights * (1.0 / total) if total else heights
    return weights


def in_order(
    passes: list[tuple[int, Any]], mode: str, size: tuple[int, int], arguments: tuple[Any, ...]
) -> list[tuple[int, Any]]:
    """The passes of a resize in the library's order, which the library is asked for.

    Bytes are cut after the first pass, and versions of Pillow differ in which that is.

    Raises:
        Untranslatable: the library's answer is another.
    """
    channels = MODES[mode]
    bytes_ = np.random.default_rng(0).integers(0, 256, (size[1], size[0], channels), np.uint8)
    bytes_ = np.where(bytes_ < 64, 0, np.where(bytes_ > 191, 255, bytes_)).astype(np.uint8)
    if mode[-1] == "A":
        bytes_[..., -1] = 255
    probe = bytes_[..., 0] if channels == 1 else bytes_
    wanted = np.asarray(library("PIL.Image").fromarray(probe).resize(*arguments))
    for each in (passes, passes[::-1]):
        values = bytes_.astype(np.float64)
        for axis, weights in each:
            values = np.moveaxis(values, axis, 0)
            values = np.tensordot(fixed_weights(weights), values, axes=1)
            values = np.floor((values + (1 << (PRECISION - 1))) / (1 << PRECISION))
            values = np.moveaxis(np.clip(values, 0, 255), 0, axis)
        if np.array_equal(values.reshape(wanted.shape), wanted):
            return each
    refuse("This version of Pillow resizes by another arithmetic.")


def fixed_weights(weights: Any) -> Any:
    """Weights as integers with `PRECISION` bits behind the point, in float64."""
    return np.trunc(weights * (1 << PRECISION) + np.where(weights < 0, -0.5, 0.5))


def weighted(pixels: tf.Tensor, weights: Any, axis: int) -> tf.Tensor:
    """A filter along an axis, as one matrix; bytes by fixed weights, rounded and cut."""
    dtype = pixels.dtype
    if dtype == tf.uint8:
        weights = fixed_weights(weights)
        # Integers of 32 bits hold the sums, as they do in Pillow.
        values = along_axis(pixels, weights, axis, tf.int32)
        values = tf.bitwise.right_shift(values + (1 << (PRECISION - 1)), PRECISION)
        return tf.cast(tf.clip_by_value(values, 0, 255), tf.uint8)
    return tf.cast(along_axis(pixels, weights, axis, tf.float64), dtype)


def rotation_back(
    angle: float, size: tuple[int, int], center: Any, translate: Any, expand: bool
) -> tuple[list[float], tuple[int, int]]:
    """The six numbers of the map from a rotated image back, and the rotated image's size."""
    width, height = size
    moved = (0, 0) if translate is None else translate
    x, y = (width / 2, height / 2) if center is None else center
    angle = -math.radians(angle)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    across, down = [cosine, sine], [round(-math.sin(angle), 15), cosine]

    def mapped(u: float, v: float, c: float, f: float) -> tuple[float, float]:
        return across[0] * u + across[1] * v + c, down[0] * u + down[1] * v + f

    c, f = mapped(-x - moved[0], -y - moved[1], 0.0, 0.0)
    c, f = c + x, f + y
    if expand:
        ends = [mapped(u, v, c, f) for u, v in ((0, 0), (width, 0), (width, height), (0, height))]
        spans = [[end[axis] for end in ends] for axis in (0, 1)]
        wide, high = (math.ceil(max(span)) - math.floor(min(span)) for span in spans)
        c, f = mapped(-(wide - width) / 2.0, -(high - height) / 2.0, c, f)
        width, height = wide, high
    return [*across, c, *down, f], (width, height)


def transformed(
    pixels: tf.Tensor, matrix: list[float], target: tuple[int, int], resample: int, ink: Any
) -> tf.Tensor:
    """An affine map with linear or cubic interpolation; what comes from outside is `ink`."""
    flat = pixels.shape.rank == 2
    pixels = pixels[..., None] if flat else pixels
    height, width = int(pixels.shape[0]), int(pixels.shape[1])
    x = (tf.range(target[0], dtype=tf.float64) + 0.5)[None, :]
    y = (tf.range(target[1], dtype=tf.float64) + 0.5)[:, None]
    a, b, c, d, e, f = (tf.constant(each, tf.float64) for each in matrix)
    columns, rows = a * x + b * y + c, d * x + e * y + f
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    columns, rows = columns - 0.5, rows - 0.5
    right, below = (columns - tf.floor(columns))[..., None], (rows - tf.floor(rows))[..., None]
    if resample == BILINEAR:
        taken = corners(pixels, whole(rows), whole(columns), "edge", 0)
        first, second, third, fourth = (tf.cast(each, tf.float64) for each in taken)
        upper = first + (second - first) * right
        values = upper + (third + (fourth - third) * right - upper) * below
    else:
        values = _bicubic(pixels, rows, columns, right, below)
    if pixels.dtype == tf.uint8:
        values = tf.floor(tf.clip_by_value(values, 0, 255))
    values = tf.where(inside[..., None], tf.cast(values, pixels.dtype), tf.constant(ink))
    return values[..., 0] if flat else values


def _bicubic(
    pixels: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, right: tf.Tensor, below: tf.Tensor
) -> tf.Tensor:
    height, width, channels = pixels.shape
    flat = tf.reshape(pixels, [height * width, channels])
    top, left = whole(rows), whole(columns)
    lines: list[tf.Tensor] = []
    for v in (-1, 0, 1, 2):
        row = fold(top + v, height, "edge") * width
        taps = [tf.gather(flat, row + fold(left + u, width, "edge")) for u in (-1, 0, 1, 2)]
        line = _cubic([tf.cast(tap, tf.float64) for tap in taps], right)
        # A line below the image is the line above it again, values and all.
        missing = (top + v < 0) | (top + v >= height)
        lines.append(tf.where(missing[..., None], lines[-1], line) if lines else line)
    return _cubic(lines, below)


def _cubic(taps: list[tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    a, b, c, d = taps
    return b + x * ((c - a) + x * ((2 * (a - b) + c - d) + x * (b - a - c + d)))
