"""`skimage.transform` and ours side by side, over sizes, dtypes, orders and modes."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from test_native_libraries import Tolerance, Untranslatable, agree, array, libraries

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
transform = pytest.importorskip("skimage.transform")
skimage_core = pytest.importorskip("unslow.native.libraries._skimage")
skimage_maps = pytest.importorskip("unslow.native.libraries.skimage_maps")
skimage_resize = pytest.importorskip("unslow.native.libraries.skimage_resize")
skimage_transform = pytest.importorskip("unslow.native.libraries.skimage_transform")

DTYPES = skimage_core.DTYPES.split()
EXACT = Tolerance()


def check(name: str, value: Any, *arguments: Any, **options: Any) -> None:
    ours = libraries.find(getattr(transform, name))
    assert ours is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = getattr(transform, name)(value, *arguments, **options)
    got = ours(tf.constant(value), *arguments, **options)
    tolerance = libraries.TOLERANCES[f"skimage.transform.{name}"]
    if options.get("order") == 0 and name in ("rotate", "warp"):
        tolerance = EXACT
    scale = float(np.abs(value.astype(np.float64)).max()) if value.dtype.kind == "f" else 1
    agree(got, wanted, tolerance, max(scale, abs(options.get("cval", 0))))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", skimage_core.MODES)
def test_rotations_and_warps(dtype: str, mode: str) -> None:
    rng = np.random.default_rng([ord(letter) for letter in dtype + mode])
    orders = {"bool": [None], "float16": [1, 3]}.get(dtype, [0, 1, 3])
    for order in orders:
        for turn in range(3):
            height, width, channels = (int(size) for size in rng.integers(1, 16, 3))
            shape = (height, width, channels % 4 + 1) if turn == 1 else (height, width)
            value = array(rng, shape, dtype)
            if dtype.startswith("float") and turn == 2:
                value = value + value.dtype.type(5)
            options = {
                "order": order,
                "mode": mode,
                "cval": float(rng.choice([0, 1, 3])) if dtype != "bool" else 1,
                "clip": bool(rng.random() < 0.7),
                "preserve_range": bool(rng.random() < 0.5),
            }
            angle = float(rng.choice([rng.uniform(-400, 400), 90, 45, 30, -180]))
            check("rotate", value, angle, resize=turn == 0, **options)
            check("rotate", value, angle, center=(2.0, 3.5), **options)
            matrix = np.eye(3)
            matrix[:2] = rng.uniform(-2, 2, (2, 3)) * [1, 1, 5]
            check("warp", value, matrix, **options)
            matrix[2, :2] = rng.uniform(-0.1, 0.1, 2)
            map_ = transform.ProjectiveTransform(matrix)
            check("warp", value, map_, output_shape=(7, 9), **options)
            turned = transform.AffineTransform(rotation=1.0, translation=(2, 1), scale=(1, 0.7))
            check("warp", value, turned.inverse, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", skimage_core.MODES)
def test_resize_and_rescale(dtype: str, mode: str) -> None:
    rng = np.random.default_rng([ord(letter) for letter in dtype + mode])
    for order in [None] if dtype == "bool" else [None, 0, 1, 2, 3]:
        for turn in range(2):
            height, width, channels = (int(size) for size in rng.integers(1, 16, 3))
            shape = (height, width, channels % 4 + 1) if turn else (height, width)
            value = array(rng, shape, dtype)
            options = {
                "order": order,
                "mode": mode,
                "cval": float(rng.choice([0, 1, 3])) if dtype != "bool" else 1,
                "clip": bool(rng.random() < 0.7),
                "preserve_range": bool(rng.random() < 0.5),
            }
            target = tuple(int(size) for size in rng.integers(1, 25, 2))
            check("resize", value, target, **options)
            if dtype != "bool" and order != 0:
                check("resize", value, target, anti_aliasing=turn == 0, **options)
            channel_axis = -1 if turn else None
            check("rescale", value, 1.4, channel_axis=channel_axis, **options)
            check("rescale", value, (0.5, 0.7), channel_axis=channel_axis, **options)


def test_a_given_sigma_of_the_filter_before_a_resize() -> None:
    value = array(np.random.default_rng(0), (20, 22), "uint8")
    check("resize", value, (9, 30), anti_aliasing=True, anti_aliasing_sigma=(1.5, 0.0))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_values_that_are_not_finite(mode: str) -> None:
    rng = np.random.default_rng(0)
    for odd in (np.nan, np.inf, -np.inf):
        value = array(rng, (9, 10, 2), "float64") + 3
        value[3, 4, 0], value[0, 0, 1] = odd, np.nan
        for angle in (0.0, 33.0, 90.0):
            check("rotate", value, angle, mode=mode, cval=-1.0)
    check("rotate", np.full((4, 5), np.nan), 20.0, mode=mode)


def test_a_range_is_widened_by_a_fill_value_that_is_reached_only() -> None:
    value = array(np.random.default_rng(0), (12, 12), "float64") * 0.1 + 5
    for angle in (0.5, 3.0, 45.0):
        for cval in (0.0, 9.0, 5.0):
            check("rotate", value, angle, cval=cval)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("mode", ["constant", "edge", "wrap"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_traced_angles_and_centers(order: int, mode: str, dtype: str) -> None:
    value = array(np.random.default_rng(2), (11, 14, 3), dtype)

    @tf.function(autograph=False)
    def rotated(x: Any, angle: Any) -> Any:
        return skimage_transform.rotate(x, angle, order=order, mode=mode)

    @tf.function(autograph=False)
    def about(x: Any, center: Any) -> Any:
        return skimage_transform.rotate(x, 20.0, center=center, order=order, mode=mode)

    tolerance = Tolerance(float32=1e-5, float64=1e-11)
    for angle in (17.25, -90.0, 45.0, 361.0, 0.0):
        wanted = transform.rotate(value, angle, order=order, mode=mode)
        agree(rotated(value, tf.constant(angle, tf.float64)), wanted, tolerance)
    center = np.array([2.5, 4.0])
    wanted = transform.rotate(value, 20.0, center=center, order=order, mode=mode)
    agree(about(value, tf.constant(center)), wanted, tolerance)


@pytest.mark.parametrize(
    "name", ["AffineTransform", "EuclideanTransform", "SimilarityTransform", "ProjectiveTransform"]
)
def test_maps_of_traced_parameters(name: str) -> None:
    theirs = getattr(transform, name)
    ours = libraries.find(theirs)
    assert ours is not None
    value = array(np.random.default_rng(2), (11, 14), "float64")
    given: dict[str, Any] = {"rotation": 0.4, "translation": np.array([1.0, 2.0]), "scale": 1.3}
    if name == "EuclideanTransform":
        del given["scale"]
    if name == "AffineTransform":
        given["scale"] = np.array([1.3, 0.7])
    if name == "ProjectiveTransform":
        given = {"matrix": np.array([[1, 0.2, 1], [0, 0.8, 2], [0.01, 0, 1]])}
    wanted = theirs(**given)
    known = ours(**given)
    assert np.array_equal(known.params, wanted.params)

    @tf.function(autograph=False)
    def warped(x: Any, parameters: Any) -> Any:
        map_ = ours(**parameters)
        both = map_ + map_.inverse + map_
        return map_.params, both.params, skimage_transform.warp(x, map_)

    params, both, result = warped(
        value, {key: tf.constant(each, tf.float64) for key, each in given.items()}
    )
    np.testing.assert_allclose(params, wanted.params, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        both / both[2, 2], wanted.params / wanted.params[2, 2], rtol=0, atol=1e-12
    )
    agree(result, transform.warp(value, wanted), Tolerance(float64=1e-11))


def test_a_known_map_with_a_shear() -> None:
    wanted = transform.AffineTransform(shear=0.3, rotation=0.1)
    got = skimage_maps.AffineTransform(shear=0.3, rotation=0.1)
    assert np.array_equal(got.params, wanted.params)
    with pytest.raises(Untranslatable, match="shear"):
        tf.function(
            lambda a: skimage_maps.AffineTransform(shear=0.3, rotation=a).params, autograph=False
        )(tf.constant(0.1))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda x: skimage_transform.rotate(x, 3, order=2), "order 2"),
        (lambda x: skimage_transform.rotate(x, 3, order=5), "order 5"),
        (lambda x: skimage_transform.rotate(x, 3, mode="other"), "mode 'other'"),
        (lambda x: skimage_transform.rotate(x, 3, order=0, cval=0.5), "fill value"),
        (lambda x: skimage_transform.rotate(x[None], 3), "4 dimensions"),
        (lambda x: skimage_transform.rotate(tf.cast(x, tf.int64), 3), "int64"),
        (lambda x: skimage_transform.rotate(x, 3, cval=float("nan")), "finite"),
        (lambda x: skimage_transform.warp(x, lambda xy: xy), "3 by 3"),
        (lambda x: skimage_transform.warp(x, np.zeros((2, 4, 4))), "3 by 3"),
        (lambda x: skimage_transform.warp(x, np.eye(3), map_args={"a": 1}), "map_args"),
        (lambda x: skimage_resize.resize(x, (4, 4, 2)), "third axis"),
        (lambda x: skimage_resize.resize(x, (4, 4), order=0, anti_aliasing=True), "filters"),
        (lambda x: skimage_resize.resize(x, (4, 4), order=4), "order 4"),
        (lambda x: skimage_resize.rescale(x, 2, channel_axis=0), "not last"),
    ],
)
def test_what_is_not_matched_is_refused(call: Any, reason: str) -> None:
    value = tf.constant(array(np.random.default_rng(0), (5, 6, 3), "uint8"))
    with pytest.raises(Untranslatable, match=reason):
        call(value)


def test_a_traced_angle_is_refused_where_pixels_are_only_taken() -> None:
    value = tf.constant(array(np.random.default_rng(0), (5, 6), "uint8"))

    @tf.function(autograph=False)
    def rotated(angle: Any, **options: Any) -> Any:
        return skimage_transform.rotate(value, angle, **options)

    with pytest.raises(Untranslatable, match="angle"):
        rotated(tf.constant(3.0), order=0)
    with pytest.raises(Untranslatable, match="angle"):
        rotated(tf.constant(3.0), resize=True)
