"""Rotations by traced angles, of images large enough for positions to lose digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_native_libraries import agree, libraries

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

from unslow.native import native  # noqa: E402

SIZE = 190
ANGLES = (17.3, 90.0, -180.0, 360.0, 89.999, 1e-3)
IMAGE = np.random.default_rng(0).random((SIZE, SIZE - 7, 3), np.float32)


def check(name: str, function: Any, dtype: str, image: Any = IMAGE) -> None:
    for jit in (False, True):
        tolerance = libraries.TOLERANCES[name]
        if jit and tf.__version__.startswith("2.16."):
            # The docs tell of it.
            tolerance = replace(tolerance, float32=5e-5)
        made = tf.function(native(function), autograph=False, jit_compile=jit)
        for angle in np.array(ANGLES, dtype):
            agree(made(image, tf.constant(angle)), function(image, angle), tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scikit_image(dtype: str) -> None:
    pytest.importorskip("skimage.transform")
    import skimage.transform

    def rotated(image: Any, angle: Any) -> Any:
        return skimage.transform.rotate(image, angle, mode="edge")

    check("skimage.transform.rotate", rotated, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scipy(dtype: str) -> None:
    pytest.importorskip("scipy.ndimage")
    import scipy.ndimage

    def rotated(image: Any, angle: Any) -> Any:
        return scipy.ndimage.rotate(image, angle, reshape=False, order=1, mode="nearest")

    check("scipy.ndimage.rotate", rotated, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_opencv(dtype: str) -> None:
    cv2 = pytest.importorskip("cv2")

    def rotated(image: Any, angle: Any) -> Any:
        matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), angle, 1.0)
        return cv2.warpAffine(image, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)

    check("cv2.warpAffine", rotated, dtype)


def test_a_half_precision_angle_is_turned_into_radians_as_numpy_does() -> None:
    pytest.importorskip("skimage.transform")
    import skimage.transform

    def rotated(image: Any, angle: Any) -> Any:
        return skimage.transform.rotate(image, angle)

    for dtype in ("float16", "int8", "uint8", "int16", "int64"):
        angle = np.array(77, dtype)[()]
        made = tf.function(native(rotated), autograph=False)
        tolerance = libraries.TOLERANCES["skimage.transform.rotate"]
        agree(made(IMAGE, tf.constant(angle)), rotated(IMAGE, angle), tolerance)
