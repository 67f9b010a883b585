"""Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers
from unslow.native.kit import (
    array_of,
    axis_number,
    cast,
    dtype_of,
    expected_dtype,
    fresh,
    integer,
    is_size,
    ndim,
    read,
    refuse,
    sizes,
    tensor,
)

ALL = slice(None)


def _sized(value: Any, n: Any, axis: int) -> Any:
    """An axis cut, or filled with zeros, to a length."""
    if n is None:
        return value
    n = integer(n, "the length of a transform")
    size = sizes(value)[axis]
    if not isinstance(size, int):
        value = ops.index(value, (ALL,) * axis + (slice(None, n),))
        missing = ops.call("tf.subtract", np.int64(n), sizes(value)[axis])
        paddings = [[0, missing if place == axis else 0] for place in range(len(value.shape))]
        return ops.call("tf.pad", value, paddings)
    value = ops.index(value, (ALL,) * axis + (slice(None, n),)) if size > n else value
    if size < n:
        paddings = [[0, n - size if place == axis else 0] for place in range(len(value.shape))]
        value = ops.call("tf.pad", value, paddings)
    return value


def _scaled(value: Any, size: Any, norm: Any, inverse: bool) -> Any:
    """TensorFlow divides by the size in the inverse alone."""
    power = {
        None: 0.0,
        "backward": 0.0,
        "ortho": 0.5 if inverse else -0.5,
        "forward": 1.0 if inverse else -1.0,
    }
    refuse(norm not in power, "NumPy raises ValueError: no such norm")
    if not power[norm]:
        return value
    dtype = dtype_of(value)
    if isinstance(size, int):
        return ops.call("tf.multiply", value, np.asarray(float(size) ** power[norm], dtype))
    factor = ops.call("tf.pow", cast(size, "float64"), np.float64(power[norm]))
    return ops.call("tf.multiply", value, cast(factor, dtype))


def _last(value: Any, axis: int) -> tuple[Any, list[int]]:
    rank = len(value.shape)
    order = [place for place in range(rank) if place != axis] + [axis]
    if axis == rank - 1:
        return value, []
    return ops.call("tf.transpose", value, order), [order.index(place) for place in range(rank)]


def _transform(function: Any, name: str, inverse: bool) -> Callable[..., Any]:
    def lowering(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
        refuse(out is not None, "`out` of a transform")
        array = array_of(a)
        final = (
            expected_dtype(function, array)
            if name != "tf.signal.irfft"
            else expected_dtype(function, array, 2)
        )
        axis = axis_number(axis, ndim(array))
        value = tensor(array)
        single = final in (np.complex64, np.float32)
        if name == "tf.signal.rfft":
            value = cast(value, "float32" if single else "float64")
        else:
            value = cast(value, "complex64" if single else "complex128")
        if name == "tf.signal.irfft":
            size = sizes(value)[axis]
            if n is None and not isinstance(size, int):
                twice = ops.call("tf.multiply", size, np.int64(2))
                length = ops.call("tf.subtract", twice, np.int64(2))
            else:
                length = 2 * (size - 1) if n is None else integer(n, "the length of a transform")
                refuse(length < 1, "NumPy raises ValueError: no data points")
                value = _sized(value, length // 2 + 1, axis)
            value, back = _last(value, axis)
            known = [length] if isinstance(length, int) else [ops.call("tf.cast", length, "int32")]
            found = ops.call(name, value, fft_length=known)
        else:
            value = _sized(value, n, axis)
            length = sizes(value)[axis] if n is None else integer(n, "the length of a transform")
            refuse(is_size(length, 0), "NumPy raises ValueError: no data points")
            value, back = _last(value, axis)
            found = ops.call(name, value)
        found = _scaled(found, length, norm, inverse)
        if back:
            found = ops.call("tf.transpose", found, back)
        return fresh(cast(found, final))

    return lowering


_fft = _transform(np.fft.fft, "tf.signal.fft", False)
_ifft = _transform(np.fft.ifft, "tf.signal.ifft", True)
_rfft = _transform(np.fft.rfft, "tf.signal.rfft", False)
_irfft = _transform(np.fft.irfft, "tf.signal.irfft", True)
lowers(np.fft.fft)(_fft)
lowers(np.fft.ifft)(_ifft)
lowers(np.fft.rfft)(_rfft)
lowers(np.fft.irfft)(_irfft)


def _many(one: Callable[..., Any], default: Any) -> Callable[..., Any]:
    def lowering(
        a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None
    ) -> Any:
        array = array_of(a)
        chosen = range(ndim(array)) if axes is None and s is None else axes
        chosen = range(ndim(array) - len(s), ndim(array)) if chosen is None else chosen
        lengths = [None] * len(chosen) if s is None else list(s)
        for axis, length in reversed(list(zip(chosen, lengths, strict=True))):
            array = one(array, length, axis, norm)
        return array

    return lowering


lowers(np.fft.fft2)(_many(_fft, (-2, -1)))
lowers(np.fft.ifft2)(_many(_ifft, (-2, -1)))
lowers(np.fft.fftn)(_many(_fft, None))
lowers(np.fft.ifftn)(_many(_ifft, None))


def _many_real(default: Any) -> Callable[..., Any]:
    def lowering(
        a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None
    ) -> Any:
        array = array_of(a)
        chosen = list(range(ndim(array)) if axes is None else axes)
        lengths = [None] * len(chosen) if s is None else list(s)
        array = _rfft(array, lengths[-1], chosen[-1], norm)
        for axis, length in reversed(list(zip(chosen[:-1], lengths[:-1], strict=True))):
            array = _fft(array, length, axis, norm)
        return array

    return lowering


lowers(np.fft.rfft2)(_many_real((-2, -1)))
lowers(np.fft.rfftn)(_many_real(None))


def _many_back(default: Any) -> Callable[..., Any]:
    def lowering(
        a: Any, s: Any = None, axes: Any = default, norm: Any = None, out: Any = None
    ) -> Any:
        array = array_of(a)
        chosen = list(range(ndim(array)) if axes is None else axes)
        lengths = [None] * len(chosen) if s is None else list(s)
        for axis, length in zip(chosen[:-1], lengths[:-1], strict=True):
            array = _ifft(array, length, axis, norm)
        return _irfft(array, lengths[-1], chosen[-1], norm)

    return lowering


lowers(np.fft.irfft2)(_many_back((-2, -1)))
lowers(np.fft.irfftn)(_many_back(None))


@lowers(np.fft.hfft)
def _hfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    swapped = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}
    return _irfft(call_numpy(np.conjugate, (array_of(a),), {}), n, axis, swapped[norm])


@lowers(np.fft.ihfft)
def _ihfft(a: Any, n: Any = None, axis: Any = -1, norm: Any = None, out: Any = None) -> Any:
    swapped = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}
    return call_numpy(np.conjugate, (_rfft(a, n, axis, swapped[norm]),), {})


def _shift(sign: int) -> Callable[..., Any]:
    def lowering(x: Any, axes: Any = None) -> Any:
        array = array_of(x)
        shape = sizes(read(array))
        given = (
            range(len(shape))
            if axes is None
            else axes
            if isinstance(axes, (list, tuple))
            else [axes]
        )
        places = [axis_number(axis, len(shape)) for axis in given]
        shifts = []
        for place in places:
            size = array.shape[place]
            shifts.append(size // 2 if sign > 0 else -(size // 2))
        return call_numpy(np.roll, (array, tuple(shifts), tuple(places)), {})

    return lowering


lowers(np.fft.fftshift)(_shift(1))
lowers(np.fft.ifftshift)(_shift(-1))
