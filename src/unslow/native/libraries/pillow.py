"""`PIL.Image`: fromarray, resize, rotate, transpose, crop and convert as TensorFlow ops.

`Picture` stands for Pillow's image: a tensor with a mode. Bytes are computed in integers, as
Pillow does it, so that all results are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from unslow.native.libraries._pillow_filters import (
    BICUBIC,
    BILINEAR,
    MODES,
    NEAREST,
    SUPPORTS,
    in_order,
    resample_weights,
    rotation_back,
    transformed,
    weighted,
)
from unslow.native.libraries.tolerance import Tolerance

LIBRARY = "PIL.Image"
TOLERANCES = {
    "fromarray": Tolerance(),
    "resize": Tolerance(0, 1e-6, note="finite values"),
    "rotate": Tolerance(0, 1e-6),
    "transpose": Tolerance(),
    "crop": Tolerance(),
    "convert": Tolerance(),
    "copy": Tolerance(),
}


@dataclass(frozen=True)
class Picture:
    """An image of Pillow's: pixels [height, width] or [height, width, channels], and a mode."""

    pixels: tf.Tensor
    mode: str

    @property
    def width(self) -> Any:
        return size_of(self.pixels, 1)

    @property
    def height(self) -> Any:
        return size_of(self.pixels, 0)

    @property
    def size(self) -> tuple[Any, Any]:
        return self.width, self.height

    def resize(
        self,
        size: Any,
        resample: int | None = None,
        box: Any = None,
        reducing_gap: float | None = None,
    ) -> Picture:
        """`PIL.Image.Image.resize`; bicubic unless said otherwise.

        Raises:
            Untranslatable: mode I but nearest, a reducing_gap, a size that is not known.
        """
        what = "PIL.Image.Image.resize"
        need(reducing_gap is None, f"{what} with a reducing_gap is not matched.")
        resample = BICUBIC if resample is None else int(resample)
        target = tuple(int(each) for each in static(tuple(size), "size"))
        need(min(target) > 0, f"{what} to an empty image.")
        size = _known_size(self, what)
        whole_box = (0, 0, *size)
        box = whole_box if box is None else tuple(static(tuple(box), "box"))
        if target == size and box == whole_box:
            return self
        if resample == NEAREST:
            return _nearest(self, "resize", (target, NEAREST, box))
        box = tuple(float(np.float32(edge)) for edge in box)
        need(resample in SUPPORTS, f"{what} by filter {resample} is not matched.")
        need(self.mode != "I", f"{what} of mode I is matched for nearest pixels only.")
        passes = []
        if target[0] != size[0] or box[0] or box[2] != target[0]:
            passes.append((1, resample_weights(size[0], target[0], box[0], box[2], resample)))
        if target[1] != size[1] or box[1] or box[3] != target[1]:
            passes.append((0, resample_weights(size[1], target[1], box[1], box[3], resample)))
        if self.mode != "F":
            passes = in_order(passes, self.mode, size, (target, resample, box))
        source = premultiplied(self)
        pixels = source.pixels
        for axis, weights in passes:
            pixels = weighted(pixels, weights, axis)
        return straight(Picture(pixels, source.mode))

    def rotate(
        self,
        angle: float,
        resample: int = NEAREST,
        expand: int | bool = False,
        center: Any = None,
        translate: Any = None,
        fillcolor: Any = None,
    ) -> Picture:
        """`PIL.Image.Image.rotate` by an angle that is known.

        Raises:
            Untranslatable: a traced angle, a size that is not known, a fill color with alpha.
        """
        what = "PIL.Image.Image.rotate"
        angle, resample = float(static(angle, "the angle of a picture")) % 360.0, int(resample)
        center, translate = static(center, "center"), static(translate, "translate")
        need(resample in (NEAREST, BILINEAR, BICUBIC), f"{what} by filter {resample}.")
        size = _known_size(self, what)
        if not (center or translate):
            if angle == 0:
                return self
            if angle == 180:
                return self.transpose(3)
            if angle in (90, 270) and (expand or size[0] == size[1]):
                return self.transpose(2 if angle == 90 else 4)
        fill = static(fillcolor, "fillcolor")
        if resample == NEAREST:
            return _nearest(self, "rotate", (angle, NEAREST, expand, center, translate), fill)
        need(self.mode != "I", f"{what} of mode I is matched for nearest pixels only.")
        need(fill is None or self.mode[-1] != "A", f"{what} with a fill color and alpha.")
        matrix, target = rotation_back(angle, size, center, translate, bool(expand))
        source = premultiplied(self)
        pixels = transformed(source.pixels, matrix, target, resample, _ink(self.mode, fill))
        return straight(Picture(pixels, source.mode))

    def transpose(self, method: int) -> Picture:
        """`PIL.Image.Image.transpose`."""
        pixels, method = self.pixels, int(static(method, "method"))
        need(0 <= method <= 6, f"PIL.Image.Image.transpose by method {method}.")
        if method in (2, 4, 5, 6):
            pixels = tf.transpose(pixels, [1, 0, *range(2, pixels.shape.rank)])
        turned = {0: [1], 1: [0], 2: [0], 3: [0, 1], 4: [1], 5: [], 6: [0, 1]}[method]
        return Picture(tf.reverse(pixels, turned) if turned else pixels, self.mode)

    def crop(self, box: Any = None) -> Picture:
        """`PIL.Image.Image.crop`; what lies outside is zero.

        Raises:
            Untranslatable: a size that is not known.
        """
        what = "PIL.Image.Image.crop"
        width, height = _known_size(self, what)
        if box is None:
            return self
        left, top, right, bottom = (round(each) for each in static(tuple(box), "box"))
        if right < left or bottom < top:
            raise ValueError(f"{what}: the box is turned inside out.")
        need(right > left and bottom > top, f"{what} to an empty image.")
        inside = self.pixels[
            min(max(top, 0), height) : min(max(bottom, 0), height),
            min(max(left, 0), width) : min(max(right, 0), width),
        ]
        above, before = min(max(-top, 0), bottom - top), min(max(-left, 0), right - left)
        below = bottom - top - above - inside.shape[0]
        after = right - left - before - inside.shape[1]
        frame = [[above, below], [before, after], [0, 0]][: inside.shape.rank]
        return Picture(tf.pad(inside, frame), self.mode)

    def convert(self, mode: str | None = None) -> Picture:
        """`PIL.Image.Image.convert` between L, RGB and RGBA.

        Raises:
            Untranslatable: other modes.
        """
        pixels = self.pixels
        if mode == self.mode:
            return self
        if self.mode in ("RGB", "RGBA") and mode == "L":
            red, green, blue = (tf.cast(pixels[..., k], tf.int32) for k in range(3))
            total = red * 19595 + green * 38470 + blue * 7471 + 0x8000
            return Picture(tf.cast(tf.bitwise.right_shift(total, 16), tf.uint8), "L")
        if self.mode == "L" and mode == "RGB":
            return Picture(tf.repeat(pixels[..., None], 3, axis=2), "RGB")
        if self.mode == "RGBA" and mode == "RGB":
            return Picture(pixels[..., :3], "RGB")
        if self.mode == "RGB" and mode == "RGBA":
            alpha = tf.fill(tf.shape(pixels[..., :1]), tf.constant(255, tf.uint8))
            return Picture(tf.concat([pixels, alpha], 2), "RGBA")
        refuse(f"PIL.Image.Image.convert from {self.mode} to {mode} is not matched.")

    def copy(self) -> Picture:
        """`PIL.Image.Image.copy`."""
        return self


def fromarray(obj: Any, mode: str | None = None) -> Picture:
    """`PIL.Image.fromarray` of uint8 with one to four channels, float32, float64 or int32.

    Raises:
        Untranslatable: other arrays, a mode that is not the array's own.
    """
    what = "PIL.Image.fromarray"
    pixels = tf.convert_to_tensor(obj)
    rank = pixels.shape.rank
    need(rank in (2, 3), f"{what} of {rank} dimensions is not matched.")
    own = ""
    if pixels.dtype == tf.uint8:
        channels = 1 if rank == 2 else pixels.shape[2]
        own = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(channels, "")
        own = own if (channels == 1) == (rank == 2) else ""
    elif rank == 2 and pixels.dtype in (tf.float32, tf.float64):
        own, pixels = "F", tf.cast(pixels, tf.float32)
    elif rank == 2 and pixels.dtype == tf.int32:
        own = "I"
    need(own != "", f"{what} of {pixels.dtype.name} with shape {pixels.shape}.")
    need(mode in (None, own), f"{what} with mode {mode} is not matched.")
    return Picture(pixels, own)


def taken_from(image: Any) -> Picture:
    """An image of the library's as a picture of known pixels.

    Raises:
        Untranslatable: a mode that is not matched.
    """
    need(image.mode in MODES, f"A PIL image of mode {image.mode} is not matched.")
    return Picture(tf.constant(np.asarray(image)), image.mode)


def asarray(picture: Picture) -> tf.Tensor:
    """What `numpy.asarray` gives for an image: its pixels."""
    return picture.pixels


def premultiplied(picture: Picture) -> Picture:
    """Colors times their alpha, as Pillow keeps them while it filters."""
    if picture.mode not in ("LA", "RGBA"):
        return picture
    values = tf.cast(picture.pixels, tf.int32)
    colors, alpha = values[..., :-1], values[..., -1:]
    product = colors * alpha + 128
    colors = tf.bitwise.right_shift(product + tf.bitwise.right_shift(product, 8), 8)
    return Picture(tf.cast(tf.concat([colors, alpha], 2), tf.uint8), picture.mode.lower())


def straight(picture: Picture) -> Picture:
    """Colors divided by their alpha again."""
    if picture.mode not in ("la", "rgba"):
        return picture
    values = tf.cast(picture.pixels, tf.int32)
    colors, alpha = values[..., :-1], values[..., -1:]
    divided = tf.minimum(255 * colors // tf.maximum(alpha, 1), 255)
    colors = tf.where(tf.equal(alpha, 0) | tf.equal(alpha, 255), colors, divided)
    return Picture(tf.cast(tf.concat([colors, alpha], 2), tf.uint8), picture.mode.upper())


def _nearest(picture: Picture, name: str, arguments: tuple[Any, ...], fill: Any = None) -> Picture:
    """A method of the library that only takes pixels; which ones, it says itself.

    It is given an image of the pixels' numbers, from 1 on: what it does not take it leaves 0.
    """
    width, height = _known_size(picture, f"PIL.Image.Image.{name}")
    numbers: Any = np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width)
    taken = np.array(getattr(library("PIL.Image").fromarray(numbers), name)(*arguments))
    ink = _ink(picture.mode, fill)
    channels = picture.pixels.shape[2:]
    flat = tf.reshape(picture.pixels, [height * width, *channels])
    flat = tf.concat([tf.reshape(tf.constant(ink), [1, *channels]), flat], 0)
    return Picture(tf.gather(flat, tf.constant(taken)), picture.mode)


def _ink(mode: str, fill: Any) -> Any:
    """The values of a fill color, by the library itself; zero where there is none."""
    if fill is None:
        kind = {"F": np.float32, "I": np.int32}.get(mode, np.uint8)
        return np.zeros(MODES[mode], kind)
    return np.array(library("PIL.Image").new(mode, (1, 1), fill)).reshape(MODES[mode])


def _known_size(picture: Picture, what: str) -> tuple[int, int]:
    width, height = picture.size
    need(not traced(picture.size), f"{what} needs a size that is known.")
    need(not tf.is_tensor(width) and not tf.is_tensor(height), f"{what} needs a known size.")
    need(width > 0 and height > 0, f"{what} of an empty image.")
    return width, height
