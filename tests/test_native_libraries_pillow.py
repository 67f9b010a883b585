"""`PIL.Image` and ours side by side, over sizes, modes, filters and boxes."""

from __future__ import annotations

from typing import Any

import pytest
from test_native_libraries import Untranslatable, agree, array, libraries

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
Image = pytest.importorskip("PIL.Image")
pillow = pytest.importorskip("unslow.native.libraries.pillow")

FILTERS = (0, 1, 2, 3, 4, 5)


def check(method: str, value: Any, *arguments: Any, **options: Any) -> None:
    wanted = np.asarray(getattr(Image.fromarray(value), method)(*arguments, **options))
    from_array = libraries.find(Image.fromarray)
    ours = libraries.find(getattr(Image.Image, method))
    assert from_array is not None
    assert ours is not None
    picture = from_array(tf.constant(value))
    got = pillow.asarray(ours(picture, *arguments, **options))
    agree(got, wanted, libraries.TOLERANCES[f"PIL.Image.{method}"])
    again = getattr(picture, method)(*arguments, **options)
    assert np.array_equal(pillow.asarray(again), got)


def pictures(seed: int = 0) -> list[Any]:
    """An array of each mode that is matched."""
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(9, 30)), int(rng.integers(9, 30)))
    bytes_ = [array(rng, (*size, c), "uint8") for c in (2, 3, 4)]
    bytes_[0][3:6, :, -1] = 0
    bytes_[2][:, 4:7, -1] = 255
    return [array(rng, size, "uint8"), *bytes_, array(rng, size, "float32")]


@pytest.mark.parametrize("method", FILTERS)
def test_resize(method: int) -> None:
    rng = np.random.default_rng(method)
    for turn in range(3):
        for value in pictures(method * 3 + turn):
            height, width = value.shape[:2]
            size = tuple(int(each) for each in rng.integers(1, 60, 2))
            check("resize", value, size, method)
            x, y = rng.uniform(0, width / 2), rng.uniform(0, height / 2)
            box = (x, y, rng.uniform(x + 1, width), rng.uniform(y + 1, height))
            check("resize", value, size, method, box=box)
            check("resize", value, (width, size[1]), method)
            check("resize", value, (width, height), method)


def test_bicubic_unless_said_otherwise() -> None:
    for value in pictures():
        check("resize", value, (20, 11))


def test_both_orders_of_the_two_passes() -> None:
    rng = np.random.default_rng(0)
    for size, target in (((6, 31), (57, 5)), ((31, 6), (5, 57)), ((55, 53), (16, 41))):
        for method in (1, 2, 3):
            check("resize", array(rng, size, "uint8"), target, method)


@pytest.mark.parametrize("method", [0, 2, 3])
def test_rotate(method: int) -> None:
    rng = np.random.default_rng(method)
    for turn, angle in enumerate((0, 90, 180, 270, 45.0, 30.0, -17.3, 200.1, 360.0)):
        for value in pictures(turn):
            square = value[:9, :9]
            fill = 7 if value.ndim == 2 else tuple(range(10, 10 + value.shape[2]))
            fill = None if method and value.shape[-1] in (2, 4) and value.ndim == 3 else fill
            check("rotate", value, angle, method)
            check("rotate", square, angle, method, expand=True)
            check("rotate", value, angle, method, center=(3, 4.5), translate=(2, -1))
            check("rotate", value, angle + float(rng.random()), method, True, fillcolor=fill)


def test_integers_by_nearest_pixels() -> None:
    value = array(np.random.default_rng(0), (12, 13), "int32")
    check("resize", value, (20, 5), 0)
    check("rotate", value, 33, 0, fillcolor=-5)
    check("transpose", value, 2)


def test_transpose_crop_convert_and_copy() -> None:
    for value in pictures():
        for method in range(7):
            check("transpose", value, method)
        for box in ((2, 3, 9, 8), (-4, -2, 5, 50), (2.4, 1.6, 7.5, 8.5), (30, 30, 40, 41), None):
            check("crop", value, box)
        check("copy", value)
    gray, _, color, alpha, _ = pictures()
    check("convert", gray, "RGB")
    check("convert", color, "L")
    check("convert", color, "RGBA")
    check("convert", alpha, "RGB")
    check("convert", alpha, "L")


def test_what_an_image_says_of_itself() -> None:
    picture = pillow.fromarray(tf.zeros([4, 7, 3], tf.uint8))
    assert (picture.size, picture.width, picture.height, picture.mode) == ((7, 4), 7, 4, "RGB")


def test_floats_of_64_bits_become_32() -> None:
    value = array(np.random.default_rng(0), (5, 6), "float64")
    agree(
        pillow.fromarray(value).pixels,
        np.asarray(Image.fromarray(value)),
        pillow.TOLERANCES["copy"],
    )


def test_a_method_bound_to_a_known_image() -> None:
    picture = Image.fromarray(array(np.random.default_rng(0), (9, 12, 3), "uint8"))
    ours = libraries.find(picture.rotate)
    assert ours is not None
    got = pillow.asarray(ours(17, resample=2))
    assert np.array_equal(got, np.asarray(picture.rotate(17, resample=2)))
    with pytest.raises(Untranslatable, match="mode P"):
        libraries.find(picture.convert("P").rotate)


def test_another_arithmetic_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unslow.native.libraries._pillow_filters.PRECISION", 8)
    with pytest.raises(Untranslatable, match="another arithmetic"):
        pillow.fromarray(array(np.random.default_rng(0), (30, 31), "uint8")).resize((20, 21))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: pillow.fromarray(tf.zeros([4, 4, 5], tf.uint8)), "shape"),
        (lambda: pillow.fromarray(tf.zeros([4, 4], tf.uint16)), "uint16"),
        (lambda: pillow.fromarray(tf.zeros([4, 4], tf.bool)), "bool"),
        (lambda: pillow.fromarray(tf.zeros([4], tf.uint8)), "dimensions"),
        (lambda: pillow.fromarray(tf.zeros([4, 4], tf.uint8), "P"), "mode P"),
        (lambda: pillow.fromarray(tf.zeros([4, 4], tf.int32)).resize((3, 3)), "mode I"),
        (lambda: pillow.fromarray(tf.zeros([4, 4], tf.int32)).rotate(3, 2), "mode I"),
        (lambda: pillow.fromarray(tf.zeros([4, 4], tf.uint8)).resize((3, 3), 9), "filter 9"),
        (
            lambda: pillow.fromarray(tf.zeros([4, 4], tf.uint8)).resize((3, 3), reducing_gap=2),
            "reducing_gap",
        ),
        (
            lambda: pillow.fromarray(tf.zeros([4, 4, 4], tf.uint8)).rotate(3, 2, fillcolor=(1,)),
            "fill color",
        ),
        (lambda: pillow.fromarray(tf.zeros([4, 4], tf.uint8)).convert("HSV"), "HSV"),
        (lambda: pillow.fromarray(tf.zeros([4, 4], tf.uint8)).crop((1, 1, 1, 3)), "empty"),
    ],
)
def test_what_is_not_matched_is_refused(call: Any, reason: str) -> None:
    with pytest.raises(Untranslatable, match=reason):
        call()


def test_a_traced_angle_is_refused() -> None:
    @tf.function(autograph=False)
    def rotated(angle: Any) -> Any:
        return pillow.fromarray(tf.zeros([4, 4], tf.uint8)).rotate(angle).pixels

    with pytest.raises(Untranslatable, match="angle"):
        rotated(tf.constant(3.0))
