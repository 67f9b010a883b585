"""`scipy.ndimage` and ours side by side, over sizes, dtypes, orders and modes."""

from __future__ import annotations

from typing import Any

import pytest
from test_native_libraries import Tolerance, Untranslatable, agree, array, libraries

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
ndimage = pytest.importorskip("scipy.ndimage")
scipy_filters = pytest.importorskip("unslow.native.libraries.scipy_filters")
scipy_geometry = pytest.importorskip("unslow.native.libraries.scipy_geometry")

DTYPES = scipy_geometry.DTYPES.split()
FILTERED = scipy_filters.DTYPES.split()


def both(name: str, value: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
    ours = libraries.find(getattr(ndimage, name))
    assert ours is not None
    wanted = getattr(ndimage, name)(value, *arguments, **options)
    return ours(tf.constant(value), *arguments, **options), wanted


def tolerance_of(name: str, order: int) -> Tolerance:
    stated = libraries.TOLERANCES[f"scipy.ndimage.{name}"]
    return stated if order > 1 else Tolerance(0, stated.float32, stated.float64)


def orders(dtype: str) -> list[int]:
    return [0, 1] if dtype.startswith("int") else [0, 1, 2, 3]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", [*scipy_geometry.MODES, "grid-mirror"])
def test_rotations_shifts_zooms_and_affine_maps(dtype: str, mode: str) -> None:
    rng = np.random.default_rng([ord(letter) for letter in dtype + mode])
    for order in orders(dtype):
        height, width, channels = (int(size) for size in rng.integers(1, 14, 3))
        shape = (height, width, channels % 4 + 1) if rng.random() < 0.5 else (height, width)
        rest = [0] * (len(shape) - 2)
        value = array(rng, shape, dtype)
        options = {"order": order, "mode": mode, "cval": float(rng.choice([0, 1, 7.5, 100]))}
        angle = float(rng.choice([rng.uniform(-400, 400), 90, 45, 30, -180]))
        move = [float(rng.choice([rng.uniform(-20, 20), 2, 0.5])) for _ in range(2)]
        factors = [float(rng.choice([rng.uniform(0.4, 3), 2, 0.5, 1])) for _ in range(2)]
        matrix, offset = rng.uniform(-2, 2, (2, 2)), rng.uniform(-5, 5, 2)
        flat = value.reshape(height, -1)
        grid, reshape = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
        for name, results in {
            "rotate": lambda o, v=value, a=angle, r=reshape: both("rotate", v, a, reshape=r, **o),
            "shift": lambda o, v=value, m=(*move, *rest): both("shift", v, m, **o),
            "affine_transform": lambda o, v=flat, m=matrix, f=offset: both(
                "affine_transform", v, m, f, **o
            ),
        }.items():
            got, wanted = results(options)
            agree(got, wanted, tolerance_of(name, order), options["cval"])
        if all(round(size * factor) for size, factor in zip(shape, factors, strict=False)):
            zooms = (*factors, *(1 for _ in rest))
            got, wanted = both("zoom", value, zooms, grid_mode=grid, **options)
            agree(got, wanted, tolerance_of("zoom", order), options["cval"])


def test_halves_are_rounded_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        value = rng.integers(-1000, 1000, rng.integers(2, 30, 2)).astype("int16")
        target = rng.integers(2, 40, 2) / np.array(value.shape)
        agree(*both("zoom", value, target.tolist(), order=1, mode="mirror"), Tolerance())


def test_spline_of_few_channels_is_as_inexact_as_scipys() -> None:
    value = array(np.random.default_rng(0), (4, 4, 3), "float64")
    got, wanted = both("shift", value, (0.5, 2, 0), order=2, mode="reflect")
    agree(got, wanted, Tolerance(float64=1e-12))


def test_nearest_far_outside() -> None:
    value = np.outer(np.arange(6.0) ** 2, np.ones(6))
    for move in (15.3, -12.3, 12, -40, 11.7):
        got, wanted = both("shift", value, (move, 0), order=3, mode="nearest")
        agree(got, wanted, Tolerance(float64=1e-14))


def test_fill_values_far_outside_are_summed_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    value = array(rng, (3, 4), "uint8")
    for _ in range(20):
        move = rng.uniform(-500, 500, 2).tolist()
        for mode in ("grid-constant", "nearest"):
            options = {"order": 1, "mode": mode, "cval": 7.5}
            agree(*both("shift", value, move, **options), Tolerance())


def test_affine_maps_in_other_forms() -> None:
    value = array(np.random.default_rng(1), (9, 12), "float64")
    tolerance = tolerance_of("affine_transform", 1)
    full = np.array([[1.1, 0.2, 3], [-0.1, 0.9, 1], [0, 0, 1]])
    for matrix in (full, full[:2], np.array([0.7, 1.3]), [[1, 0], [0, 1]]):
        for shape in (None, (5, 20)):
            got, wanted = both("affine_transform", value, matrix, output_shape=shape, order=1)
            agree(got, wanted, tolerance)
    got, wanted = both("affine_transform", value, np.array([0.7, 1.3]), offset=2.0, order=3)
    agree(got, wanted, tolerance)
    with pytest.raises(ValueError, match="last row"):
        scipy_geometry.affine_transform(value, np.ones((3, 3)))


@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("mode", ["constant", "reflect", "grid-constant"])
def test_traced_angles_shifts_and_matrices(order: int, mode: str) -> None:
    value = array(np.random.default_rng(2), (11, 14, 3), "float64")
    options = {"order": order, "mode": mode}
    tolerance = Tolerance(float64=1e-11)

    @tf.function(autograph=False)
    def rotated(x: Any, angle: Any) -> Any:
        return scipy_geometry.rotate(x, angle, reshape=False, **options)

    for angle in (17.25, -90.0, 90.0, 180.0, 45.0, 361.0, 0.0):
        wanted = ndimage.rotate(value, angle, reshape=False, **options)
        agree(rotated(value, tf.constant(angle, tf.float64)), wanted, tolerance)

    @tf.function(autograph=False)
    def shifted(x: Any, move: Any) -> Any:
        return scipy_geometry.shift(x, (move[0], move[1], 0), **options)

    move = np.array([1.5, -3.25])
    wanted = ndimage.shift(value, (*move, 0), **options)
    agree(shifted(value, tf.constant(move)), wanted, tolerance)

    @tf.function(autograph=False)
    def mapped(x: Any, matrix: Any, offset: Any) -> Any:
        return scipy_geometry.affine_transform(x, matrix, offset, **options)

    matrix, offset = np.array([[0.9, 0.2], [-0.3, 1.2]]), np.array([1.0, 2.5])
    wanted = ndimage.affine_transform(value[..., 0], matrix, offset, **options)
    agree(mapped(value[..., 0], tf.constant(matrix), tf.constant(offset)), wanted, tolerance)


def test_cosines_in_degrees_are_scipys() -> None:
    special = pytest.importorskip("scipy.special")
    from unslow.native.libraries._sampling import degrees_cosine_sine

    angles = np.concatenate(
        [np.random.default_rng(0).uniform(-720, 720, 5000), np.arange(-720, 721, 15.0)]
    )
    cosine, sine = degrees_cosine_sine(tf.constant(angles))
    assert np.array_equal(cosine, special.cosdg(angles))
    assert np.array_equal(sine, special.sindg(angles))


@pytest.mark.parametrize("dtype", FILTERED)
@pytest.mark.parametrize("mode", scipy_filters.MODES)
def test_filters(dtype: str, mode: str) -> None:
    rng = np.random.default_rng([ord(letter) for letter in dtype + mode])
    for rank in rng.permutation([1, 2, 3])[:1]:
        shape = tuple(int(size) for size in rng.integers(5, 12, rank))
        value = array(rng, shape, dtype)
        options = {"mode": mode, "cval": float(rng.choice([0, 1, 7, 100]))}
        kernel = rng.integers(0, 3, rng.integers(1, 5, rank))
        kernel = kernel / max(kernel.sum(), 1)
        for name, arguments, more in (
            ("gaussian_filter", (float(rng.uniform(0.2, 3)),), {}),
            ("gaussian_filter", ([1.0, 0, 2][:rank],), {"truncate": 2.5}),
            ("uniform_filter", (int(rng.integers(1, 8)),), {}),
            ("uniform_filter", (4,), {"origin": -1, "axes": (0,)}),
            ("median_filter", (int(rng.integers(1, 5)),), {}),
            ("median_filter", (4,), {"origin": 1, "axes": (0,)}),
            ("convolve", (kernel,), {}),
        ):
            if name == "convolve" and dtype == "int64":
                continue
            got, wanted = both(name, value, *arguments, **options, **more)
            agree(got, wanted, libraries.TOLERANCES[f"scipy.ndimage.{name}"], options["cval"])


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_filters_of_flat_integers_are_cut_as_scipy_cuts_them(dtype: str) -> None:
    for height in (1, 100, 127):
        value = np.full((20, 20), height, dtype)
        for sigma in (0.5, 1, 1.7, 2.2):
            agree(*both("gaussian_filter", value, sigma), Tolerance())


def test_convolve_with_weights_of_both_signs_on_floats() -> None:
    rng = np.random.default_rng(4)
    for shape in ((3, 3), (2, 4), (5, 1)):
        value, kernel = rng.normal(size=(9, 11)), rng.normal(size=shape)
        got, wanted = both("convolve", value, kernel, mode="mirror")
        agree(got, wanted, libraries.TOLERANCES["scipy.ndimage.convolve"])


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda x: scipy_geometry.rotate(x, 3, order=4), "order 4"),
        (lambda x: scipy_geometry.rotate(x, 3, axes=(0, 2)), "first two axes"),
        (lambda x: scipy_geometry.rotate(x, 3, output="uint8"), "output"),
        (lambda x: scipy_geometry.rotate(x, 3, prefilter=False), "prefilter"),
        (lambda x: scipy_geometry.rotate(x, 3, mode="other"), "mode 'other'"),
        (lambda x: scipy_geometry.rotate(x, 3, cval=-1), "fill value"),
        (lambda x: scipy_geometry.shift(x, 2), "third axis"),
        (lambda x: scipy_geometry.zoom(x, 2), "third axis"),
        (lambda x: scipy_geometry.zoom(x, 0.01), "third axis|empty"),
        (lambda x: scipy_geometry.affine_transform(x, np.eye(3)), "two dimensions"),
        (lambda x: scipy_geometry.rotate(tf.cast(x, tf.int16), 3), "leave its range"),
        (lambda x: scipy_geometry.rotate(tf.cast(x, tf.complex64), 3), "complex64"),
        (lambda x: scipy_filters.gaussian_filter(x, 1, order=1), "derivative"),
        (lambda x: scipy_filters.gaussian_filter(x, 1, output=float), "output"),
        (lambda x: scipy_filters.gaussian_filter(x, 100), "pixels"),
        (lambda x: scipy_filters.gaussian_filter(x, 1, mode="constant", cval=300), "fill value"),
        (lambda x: scipy_filters.median_filter(x, footprint=np.ones((3, 3, 1))), "footprint"),
        (lambda x: scipy_filters.median_filter(x, 9), "pixels"),
        (lambda x: scipy_filters.median_filter(x[:, 0, 0], 9, mode="mirror"), "shorter"),
        (lambda x: scipy_filters.convolve(x, -np.ones((3, 3, 1))), "leave the range"),
        (lambda x: scipy_filters.convolve(tf.cast(x, tf.int64), np.ones((1, 1, 1))), "int64"),
        (lambda x: scipy_filters.convolve(x, 1j * np.ones((3, 3, 1))), "complex"),
    ],
)
def test_what_is_not_matched_is_refused(call: Any, reason: str) -> None:
    value = tf.constant(array(np.random.default_rng(0), (5, 6, 3), "uint8"))
    with pytest.raises(Untranslatable, match=reason):
        call(value)
