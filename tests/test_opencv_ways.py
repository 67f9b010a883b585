"""OpenCV in place of a library that keeps the interpreter lock: where it means the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from programs import printed_by

from unslow.catalogue import inspect
from unslow.catalogue.border import _bridges, _calls, _opencv
from unslow.catalogue.border.rewrites import opencv, rewrites
from unslow.catalogue.trial import Trial, Unfit, Way
from unslow.experiment.values.equality import judge
from unslow.experiment.values.snapshot import take
from unslow.recording.samples import BridgeCall
from unslow.source.edits import apply
from unslow.source.module import Module

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
cv2 = pytest.importorskip("cv2")
ndimage = pytest.importorskip("scipy.ndimage")
transform = pytest.importorskip("skimage.transform")

SHAPES = ((9, 12), (13, 8, 3), (20, 21, 4))


def image(shape: tuple[int, ...], dtype: str) -> Any:
    return np.random.default_rng(len(shape)).random(shape).astype(dtype)


def check(theirs: Any, ours: Any, *args: Any, **kwargs: Any) -> None:
    """Both on images of several shapes and dtypes; coarser than a change of the arithmetic."""
    for shape in SHAPES:
        for dtype in ("float32", "float64"):
            given = image(shape, dtype)
            expected = theirs(given, *args, **kwargs)
            found = ours(given, *args, **kwargs)
            assert found.dtype == expected.dtype and found.shape == expected.shape
            # Some versions of OpenCV interpolate at 32nds of a pixel.
            assert np.abs(found - expected).max() < 0.05
            assert np.median(np.abs(found - expected)) < 0.01


@pytest.mark.parametrize("mode", _opencv.SKIMAGE_BORDERS)
def test_functions_of_scikit_image(mode: str) -> None:
    check(transform.rotate, _opencv.skimage_rotate, 23.5, mode=mode)
    check(transform.rotate, _opencv.skimage_rotate, -70, center=(2, 5.5), mode=mode, cval=0.5)
    matrix = np.array([[0.9, 0.2, 1.3], [-0.1, 1.1, 0.4], [0, 0, 1]])
    check(transform.warp, _opencv.skimage_warp, matrix, mode=mode)
    affine = transform.AffineTransform(rotation=0.3, translation=(1, 2))
    check(transform.warp, _opencv.skimage_warp, affine, output_shape=(7, 6), mode=mode)


def test_resizing_of_scikit_image() -> None:
    for mode in ("edge", "symmetric"):
        check(transform.resize, _opencv.skimage_resize, (25, 30), mode=mode)
    check(transform.resize, _opencv.skimage_resize, (5, 6), anti_aliasing=False)


def test_functions_of_scipy() -> None:
    for mode in _opencv.SCIPY_BORDERS:
        plain = {"reshape": False, "order": 1, "mode": mode}
        check(ndimage.rotate, _opencv.scipy_rotate, 33.0, **plain)
    for mode in ("reflect", "nearest", "mirror"):
        for shape in SHAPES:
            given = image(shape, "float32")
            sigma = (1.2, 0.7, 0)[: len(shape)]
            expected = ndimage.gaussian_filter(given, sigma, mode=mode)
            found = _opencv.scipy_gaussian_filter(given, sigma, mode=mode)
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_opencv_does_otherwise_is_refused() -> None:
    photo = image((9, 12), "float32")
    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
        (_opencv.skimage_rotate, ((photo * 255).astype("uint8"), 3), {}),
        (_opencv.skimage_rotate, (photo, 3), {"order": 3}),
        (_opencv.skimage_rotate, (photo, 3), {"resize": True}),
        (_opencv.skimage_rotate, (image((9, 12, 5), "float32"), 3), {}),
        (_opencv.skimage_resize, (photo, (4, 4)), {}),
        (_opencv.skimage_resize, (photo, (40, 40)), {}),
        (_opencv.skimage_warp, (photo, lambda places: places), {}),
        (_opencv.scipy_rotate, (photo, 3), {}),
        (_opencv.scipy_rotate, (photo, 3), {"order": 1, "reshape": False}),
        (_opencv.scipy_gaussian_filter, (image((9, 12, 3), "float32"), 1.0), {}),
    ]
    for function, args, kwargs in calls:
        with pytest.raises(Unfit, match="nothing that is the same"):
            function(*args, **kwargs)


def turned(photo: Any, angle: Any) -> Any:
    return brightened(transform.rotate(photo, angle, mode="edge"))


def brightened(photo: Any) -> Any:
    return np.clip(ndimage.gaussian_filter(photo, (1, 1, 0)) * 2, 0, 1)


def cubic(photo: Any, angle: Any) -> Any:
    return transform.rotate(photo, angle, order=3)


def other(photo: Any, angle: Any) -> Any:
    return photo * angle


def calls_of(function: Any) -> list[BridgeCall]:
    photos = [image((24, 24, 3), "float32") for _ in range(4)]
    outputs = ((np.dtype("float32"), (24, 24, 3)),)
    return [
        BridgeCall(function, (photo, np.float32(10 * number)), outputs=outputs)
        for number, photo in enumerate(photos)
    ]


def results(way: Way) -> Any:
    if way.before is not None:
        way.before()
    return take(way.results(way.run()))


def test_the_functions_that_a_bridge_calls_are_exchanged() -> None:
    calls = calls_of(turned)
    (trial,) = _bridges.trials(calls, 1e-3, pipeline=True, threads=2)
    assert isinstance(trial, Trial)
    (way,) = (way for way in trial.ways if way.name.startswith("OpenCV"))
    assert way.name == "OpenCV in place of SciPy and scikit-image"
    assert way.note == opencv.NOTE
    expected, found = results(trial.present), results(way)
    # Only the newer versions of OpenCV are near enough to be recommended.
    newer = int(cv2.__version__.split(".")[0]) >= 5
    assert judge(expected, expected, found, looser=1000).equal is newer
    # The user's function stays what it was.
    assert turned.__globals__["transform"] is transform
    assert not [each for each in rewrites(calls_of(other)[0]) if each.name.startswith("OpenCV")]


def test_a_call_that_means_something_else_is_not_run() -> None:
    calls = calls_of(cubic)
    (rewrite,) = (each for each in rewrites(calls[0]) if each.name.startswith("OpenCV"))
    with pytest.raises(Unfit, match="another order than 1"):
        results(_calls.Bridged(calls).rewritten(rewrite))


PROGRAM = """
import numpy as np
import tensorflow as tf
from skimage import transform

photos = np.random.default_rng(0).random((80, 16, 12, 3), dtype="float32")


def turned(photo):
    photo = photo[::-1]
    return transform.rotate(photo, 10 + photo[0, 0, 0], CALL)


def mapped(photo):
    return tf.numpy_function(turned, [photo], tf.float32)


total = 0.0
for photo in tf.data.Dataset.from_tensor_slices(photos).map(mapped):
    total += float(tf.reduce_sum(photo[4:12, 4:8]))
print(round(total / 1000, 2))
"""


def test_the_edit_makes_a_program_that_gives_the_same(tmp_path: Path) -> None:
    source = PROGRAM.replace("CALL", 'mode="edge"')
    expected = printed_by(tmp_path, "present.py", source)
    (finding,) = inspect(Module.of(source), ["TF101"])
    (found,) = (each for each in finding.alternatives if "OpenCV" in each.name)
    assert found.name == "OpenCV in place of scikit-image" and found.safety == "unsafe"
    mended = apply(source.encode(), found.edits).decode()
    assert "import cv2" in mended and "transform.rotate(" not in mended
    assert "borderMode=cv2.BORDER_REPLICATE" in mended
    assert printed_by(tmp_path, "mended.py", mended) == expected


@pytest.mark.parametrize("call", ["order=3", "resize=True", "**{}", "center=(1, 2)", "mode=photo"])
def test_other_calls_have_no_edit(call: str) -> None:
    (finding,) = inspect(Module.of(PROGRAM.replace("CALL", call)), ["TF101"])
    assert not [each for each in finding.alternatives if "OpenCV" in each.name]
