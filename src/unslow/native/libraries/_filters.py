"""Filters along one axis: padding in NumPy's modes and sums of shifted slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

MOST_TAPS = 32
"""The widest band of a matrix that is applied as a sum of gathers."""


def pad_axis(
    image: tf.Tensor, axis: int, before: int, after: int, mode: str, cval: Any = 0
) -> tf.Tensor:
    """An array with more values before and after along an axis, as `numpy.pad` adds them.

    `mode`: "constant", "edge", "symmetric", "reflect" or "wrap".
    """
    if before == 0 and after == 0:
        return image
    if mode == "constant":
        frame = [[0, 0]] * image.shape.rank
        frame[axis] = [before, after]
        return tf.pad(
            image, frame, constant_values=tf.cast(tf.constant(cval, tf.float64), image.dtype)
        )
    known = image.shape[axis]
    size = tf.shape(image)[axis] if known is None else int(known)
    index = tf.range(-before, size + after)
    if mode == "wrap":
        index = tf.math.floormod(index, size)
    elif mode == "symmetric":
        index = tf.math.floormod(index, 2 * size)
        index = tf.minimum(index, 2 * size - 1 - index)
    elif mode == "reflect":
        period = tf.maximum(2 * size - 2, 1)
        index = tf.math.floormod(index, period)
        index = tf.minimum(tf.minimum(index, period - index), size - 1)
    else:
        index = tf.clip_by_value(index, 0, size - 1)
    return tf.gather(image, index, axis=axis)


def shifted(image: tf.Tensor, axis: int, start: int, taps: int) -> tf.Tensor:
    """All but `taps` - 1 values along an axis, from the value at `start` on."""
    rank = image.shape.rank
    known = image.shape[axis]
    size = (tf.shape(image)[axis] if known is None else int(known)) - taps + 1
    begin, extent = [0] * rank, [-1] * rank
    begin[axis], extent[axis] = start, size
    return tf.slice(image, begin, extent)


def correlate_axis(image: tf.Tensor, weights: Any, axis: int) -> tf.Tensor:
    """The correlation of a padded array with weights along an axis, in the array's dtype.

    `weights`: plain numbers. The sums run in the order in which `scipy.ndimage.correlate1d`
    runs them, so that they are rounded alike: odd filters from the center out, by pairs where
    the weights are symmetric or antisymmetric.
    """
    weights = np.asarray(weights, dtype=np.float64)
    taps = len(weights)
    parts = [shifted(image, axis, tap, taps) for tap in range(taps)]
    factors = [tf.constant(weight, image.dtype) for weight in weights]
    center, epsilon = taps // 2, np.finfo(np.float64).eps
    turned = weights[::-1]
    if taps % 2 and np.all(np.abs(weights - turned) <= epsilon):
        total = parts[center] * factors[center]
        for tap in range(center):
            total += (parts[tap] + parts[taps - 1 - tap]) * factors[tap]
        return total
    if taps % 2 and np.all(np.abs(weights + turned) <= epsilon):
        total = parts[center] * factors[center]
        for tap in range(center):
            total += (parts[tap] - parts[taps - 1 - tap]) * factors[tap]
        return total
    total = parts[-1] * factors[-1]
    for tap in range(taps - 1):
        total += parts[tap] * factors[tap]
    return total


def along_axis(image: tf.Tensor, matrix: Any, axis: int, dtype: tf.DType) -> tf.Tensor:
    """A constant matrix [to, size] applied along the first or second axis of an image.

    `image`: [height, width] or [height, width, channels] of known size. The result has `dtype`,
    in which is computed. A narrow band is a sum of gathers, other matrices are multiplied.
    """
    matrix = np.asarray(matrix)
    to, size = matrix.shape
    filled = matrix != 0
    first = np.where(filled.any(1), filled.argmax(1), 0)
    last = np.where(filled.any(1), size - filled[:, ::-1].argmax(1), 1)
    taps = int((last - first).max())
    order = [1, 0, *range(2, image.shape.rank)]
    lines = tf.transpose(image, order) if axis == 1 else image
    rest = [int(n) for n in lines.shape[1:]]
    if taps <= MOST_TAPS and (taps < size or dtype.is_integer):
        first = np.minimum(first, size - taps)
        total = None
        for tap in range(taps):
            weights = matrix[np.arange(to), first + tap].reshape([to] + [1] * len(rest))
            part = tf.cast(tf.gather(lines, first + tap), dtype) * tf.constant(weights, dtype)
            total = part if total is None else total + part
    else:
        kind = tf.float64 if dtype.is_integer else dtype
        flat = tf.reshape(tf.cast(lines, kind), [size, -1])
        product = tf.matmul(tf.constant(matrix, kind), flat)
        total = tf.cast(tf.reshape(product, [to, *rest]), dtype)
    return tf.transpose(total, order) if axis == 1 else total
