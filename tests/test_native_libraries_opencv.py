"""`cv2` and ours side by side, over sizes, dtypes, methods and borders."""

from __future__ import annotations

from typing import Any

import pytest
from test_native_libraries import Tolerance, Untranslatable, agree, array, libraries

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
cv2 = pytest.importorskip("cv2")
opencv_geometry = pytest.importorskip("unslow.native.libraries.opencv_geometry")
opencv_pixels = pytest.importorskip("unslow.native.libraries.opencv_pixels")

DTYPES = opencv_geometry.DTYPES.split()
EXACT = Tolerance()


def check(
    name: str, value: Any, *arguments: Any, tolerance: Tolerance | None = None, **options: Any
) -> None:
    ours = libraries.find(getattr(cv2, name))
    assert ours is not None
    wanted = getattr(cv2, name)(value, *arguments, **options)
    got = ours(tf.constant(value), *arguments, **options)
    stated = tolerance or libraries.TOLERANCES[f"cv2.{name}"]
    agree(got, wanted, stated, float(np.abs(value.astype(np.float64)).max()))


def images(dtype: str, seed: int = 0) -> list[Any]:
    """Images of each number of channels that have a library's loops and their rests run."""
    rng = np.random.default_rng(seed)
    values = [array(rng, (21, 34), dtype), array(rng, (1, 7, 3), dtype)]
    return values + [array(rng, (18 + c, 40 - 7 * c, c), dtype) for c in (1, 2, 3, 4)]


@pytest.mark.parametrize("dtype", opencv_geometry.MOVED.split())
def test_flips_and_quarter_turns(dtype: str) -> None:
    for value in images(dtype):
        for code in (-1, 0, 1):
            check("flip", value, code)
        for code in (cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180, cv2.ROTATE_90_COUNTERCLOCKWISE):
            check("rotate", value, code)


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_resize(dtype: str) -> None:
    exact = EXACT if dtype == "uint8" else None
    for value in images(dtype):
        for size in ((17, 11), (50, 60), (17, 40), (1, 1), (value.shape[1] * 2, 9)):
            check("resize", value, size, tolerance=exact)
        check("resize", value, None, fx=1.7, fy=2.3, tolerance=exact)
        check("resize", value, None, fx=0.6, fy=1.0, tolerance=exact)
    value = images(dtype)[0]
    check("resize", value, (value.shape[1] // 2, value.shape[0]), tolerance=exact)
    check("resize", value[:20], (value.shape[1] // 2, 10), tolerance=exact)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["INTER_NEAREST", "INTER_NEAREST_EXACT"])
def test_nearest_resize(dtype: str, method: str) -> None:
    for value in images(dtype):
        for size in ((17, 11), (50, 60), (17, 40)):
            check("resize", value, size, interpolation=getattr(cv2, method), tolerance=EXACT)
        options = {"fx": 1.7, "fy": 0.3, "interpolation": getattr(cv2, method)}
        if value.shape[0] > 3:
            check("resize", value, None, tolerance=EXACT, **options)


@pytest.mark.parametrize("method", ["INTER_CUBIC", "INTER_AREA", "INTER_LANCZOS4"])
def test_resize_of_floats_by_other_methods(method: str) -> None:
    for value in images("float32"):
        for size in ((9, 1), (50, 60), (7, 1)):
            mixed = (size[0] < value.shape[1]) != (size[1] < value.shape[0])
            if method != "INTER_AREA" or not mixed:
                check("resize", value, size, interpolation=getattr(cv2, method))


def test_linear_resize_without_intels_library() -> None:
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    try:
        for dtype in DTYPES:
            for value in images(dtype):
                check("resize", value, (50, 11))
    finally:
        cv2.ipp.setUseIPP(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("border", opencv_geometry.BORDERS)
def test_warps(dtype: str, border: int) -> None:
    rng = np.random.default_rng(border)
    for value in images(dtype, border):
        channels = value.shape[2] if value.ndim == 3 else 1
        tables = not opencv_geometry.reads_between(tf.as_dtype(dtype), channels)
        exact = EXACT if dtype == "uint8" and tables else None
        height, width = value.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-180, 180)), 1.1)
        other = turn + rng.uniform(-0.3, 0.3, (2, 3))
        for matrix in (turn, other, turn.astype(np.float32)):
            options = {"borderMode": border, "borderValue": (5, 300, -20, 9)}
            check("warpAffine", value, matrix, (31, 27), tolerance=exact, **options)
            inverse = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            check("warpAffine", value, matrix, (8, 40), flags=inverse, borderMode=border)
            check("warpAffine", value, matrix, (9, 30), flags=0, tolerance=EXACT, **options)
    check("warpAffine", images(dtype)[0], np.zeros((2, 3)), (5, 6), borderMode=border)


def test_a_fill_value_of_one_number_is_for_the_first_channel() -> None:
    value = np.full((4, 4, 3), 9, np.uint8)
    away = np.array([[1.0, 0, 100], [0, 1, 0]])
    assert cv2.warpAffine(value, away, (4, 4), borderValue=7)[0, 0].tolist() == [7, 0, 0]
    check("warpAffine", value, away, (4, 4), borderValue=7)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_traced_angles(dtype: str) -> None:
    value = array(np.random.default_rng(0), (30, 40, 3), dtype)

    @tf.function(autograph=False)
    def warped(x: Any, angle: Any, center: Any) -> Any:
        matrix = opencv_geometry.getRotationMatrix2D(center, angle, 1.2)
        return matrix, opencv_geometry.warpAffine(x, matrix, (40, 30))

    for angle in (0.0, 17.3, 90.0, -200.0):
        matrix, result = warped(value, tf.constant(angle), tf.constant([19.5, 14.2]))
        known = cv2.getRotationMatrix2D((19.5, 14.2), float(np.float32(angle)), 1.2)
        np.testing.assert_allclose(matrix, known, rtol=0, atol=1e-12)
        agree(
            result, cv2.warpAffine(value, known, (40, 30)), libraries.TOLERANCES["cv2.warpAffine"]
        )


def test_a_known_rotation_is_the_librarys() -> None:
    got = libraries.find(cv2.getRotationMatrix2D)
    assert got is not None
    wanted = cv2.getRotationMatrix2D((3.3, 4), 12, 0.7)
    assert np.array_equal(got((3.3, 4), 12, 0.7), wanted)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("border", opencv_pixels.BORDERS)
def test_gaussian_blur(dtype: str, border: int) -> None:
    for value in images(dtype):
        for size in (1, 3, 5, 7, 9, 11, 23):
            check("GaussianBlur", value, (size, size), 0, borderType=border)
        check("GaussianBlur", value, (5, 9), 1.3, sigmaY=0.4, borderType=border)
        check("GaussianBlur", value, (0, 0), 1.7, borderType=border)
    check("GaussianBlur", images(dtype)[0], (3, 3), 0, borderType=4 | cv2.BORDER_ISOLATED)


@pytest.mark.parametrize("name", opencv_pixels.conversions())
def test_colors(name: str) -> None:
    channels, _ = opencv_pixels.conversions()[name]
    code = getattr(cv2, f"COLOR_{name}")
    for dtype in ("uint8", "float32"):
        if dtype == "float32" and ("HSV" in name or "Cr" in name):
            continue
        for count in channels:
            shape = (37, 41, count) if count > 1 else (37, 41)
            check("cvtColor", array(np.random.default_rng(0), shape, dtype), code)


def test_all_colors_of_some_planes() -> None:
    ramp = np.stack(np.meshgrid(np.arange(256), np.arange(256), [0, 3, 128, 255]), -1)
    cube = ramp.reshape(256, -1, 3).astype(np.uint8)
    for name in ("RGB2GRAY", "RGB2HSV", "RGB2HSV_FULL", "RGB2YCrCb", "YCrCb2RGB"):
        check("cvtColor", cube, getattr(cv2, f"COLOR_{name}"), tolerance=EXACT)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("norm", ["NORM_MINMAX", "NORM_INF", "NORM_L1", "NORM_L2"])
def test_normalize(dtype: str, norm: str) -> None:
    kind = getattr(cv2, norm)
    for value in [*images(dtype), np.full((4, 5), 7, dtype)]:
        for alpha, beta in ((0, 255), (255, 0), (10, 128), (1, 0)):
            check("normalize", value, None, alpha, beta, kind)
            check("normalize", value, None, alpha, beta, kind, cv2.CV_32F)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda x: opencv_geometry.resize(x, (4, 4), interpolation=2), "float32 only"),
        (lambda x: opencv_geometry.resize(x, (4, 4), interpolation=5), "with 5"),
        (lambda x: opencv_geometry.resize(x, (4, 4), tf.zeros_like(x)), "dst"),
        (lambda x: opencv_geometry.resize(tf.cast(x, tf.int32), (4, 4)), "int32"),
        (
            lambda x: opencv_geometry.resize(tf.cast(x, tf.float32), (4, 9), interpolation=3),
            "one axis",
        ),
        (lambda x: opencv_geometry.warpAffine(x, np.eye(3)[:2], (4, 4), flags=2), "interpolation"),
        (lambda x: opencv_geometry.warpAffine(x, np.eye(3)[:2], (4, 4), borderMode=5), "border"),
        (lambda x: opencv_geometry.flip(tf.repeat(x, 2, axis=2), 1), "channels"),
        (lambda x: opencv_pixels.GaussianBlur(tf.cast(x, tf.uint16), (3, 3), 0), "uint16"),
        (lambda x: opencv_pixels.GaussianBlur(x, (4, 3), 0), "odd"),
        (lambda x: opencv_pixels.GaussianBlur(x, (3, 3), 0, borderType=3), "border"),
        (lambda x: opencv_pixels.cvtColor(x, 44), "code 44"),
        (lambda x: opencv_pixels.cvtColor(tf.cast(x, tf.float32), 41), "uint8 only"),
        (lambda x: opencv_pixels.normalize(x, None, mask=x), "mask"),
        (lambda x: opencv_pixels.normalize(tf.cast(x, tf.float32), None, dtype=0), "to uint8"),
    ],
)
def test_what_is_not_matched_is_refused(call: Any, reason: str) -> None:
    value = tf.constant(array(np.random.default_rng(0), (5, 6, 3), "uint8"))
    with pytest.raises(Untranslatable, match=reason):
        call(value)
