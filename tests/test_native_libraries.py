"""Functions of image libraries as TensorFlow ops: how they are found, and where they run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
libraries = pytest.importorskip("unslow.native.libraries")
Tolerance = pytest.importorskip("unslow.native.libraries.tolerance").Tolerance
Untranslatable = pytest.importorskip("unslow.native.untranslatable").Untranslatable

EXACT = Tolerance()


def array(rng: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Random values: all bytes, integers of both signs, or floats about zero."""
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith("f"):
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(max(limits.min, -1000), min(limits.max, 1000) + 1, shape).astype(dtype)


def agree(got: Any, wanted: Any, tolerance: Tolerance, scale: float = 1.0) -> float:
    """Assert that a tensor is a library's array within a tolerance; their difference."""
    got = np.asarray(got)
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    nothing = np.isnan(wanted.astype(np.float64))
    assert np.array_equal(np.isnan(got.astype(np.float64)), nothing)
    with np.errstate(invalid="ignore"):
        apart = np.where(nothing | (got == wanted), 0, got.astype(np.float64) - wanted)
    allowed = tolerance.of(wanted.dtype.name)
    if wanted.dtype.kind == "f":
        largest = np.abs(np.where(np.isfinite(wanted), wanted, 0)).max(initial=0)
        allowed *= max(1.0, scale, float(largest))
    worst = float(np.abs(apart).max(initial=0))
    assert worst <= allowed, f"{worst} apart, {allowed} allowed"
    return worst


def image(dtype: str = "uint8", shape: tuple[int, ...] = (12, 17, 3)) -> Any:
    return array(np.random.default_rng(3), shape, dtype)


def found(library: str, name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A library's function and ours."""
    theirs = getattr(pytest.importorskip(library), name)
    ours = libraries.find(theirs)
    assert ours is not None
    return theirs, ours


CALLS: dict[str, tuple[str, str, tuple[Any, ...], dict[str, Any]]] = {
    "skimage rotate": ("skimage.transform", "rotate", (17.0,), {}),
    "skimage rotate edge": ("skimage.transform", "rotate", (17.0,), {"mode": "edge"}),
    "skimage rotate wrap": ("skimage.transform", "rotate", (17.0,), {"mode": "wrap"}),
    "skimage rotate cubic": ("skimage.transform", "rotate", (17.0,), {"order": 3}),
    "skimage resize": ("skimage.transform", "resize", ((9, 30),), {}),
    "scipy rotate": ("scipy.ndimage", "rotate", (17.0,), {"order": 1}),
    "scipy rotate spline": ("scipy.ndimage", "rotate", (17.0,), {"reshape": False}),
    "scipy shift": ("scipy.ndimage", "shift", ((1.5, -2, 0),), {"order": 1}),
    "scipy zoom": ("scipy.ndimage", "zoom", ((2, 1.5, 1),), {"order": 1}),
    "scipy gaussian": ("scipy.ndimage", "gaussian_filter", ((1, 2, 0),), {}),
    "scipy uniform": ("scipy.ndimage", "uniform_filter", ((3, 4, 1),), {}),
    "scipy median": ("scipy.ndimage", "median_filter", ((3, 3, 1),), {}),
    "cv2 resize": ("cv2", "resize", ((30, 9),), {}),
    "cv2 flip": ("cv2", "flip", (1,), {}),
    "cv2 rotate": ("cv2", "rotate", (0,), {}),
    "cv2 warp": ("cv2", "warpAffine", (np.array([[0.9, 0.2, 1], [-0.3, 1.1, 2]]), (15, 11)), {}),
    "cv2 blur": ("cv2", "GaussianBlur", ((5, 3), 0), {}),
    "cv2 gray": ("cv2", "cvtColor", (7,), {}),
    "cv2 normalize": ("cv2", "normalize", (None, 0, 255, 32), {}),
}


def as_graph(function: Callable[[Any], Any], value: Any) -> Any:
    return tf.function(function, autograph=False)(tf.constant(value))


def with_xla(function: Callable[[Any], Any], value: Any) -> Any:
    return tf.function(function, autograph=False, jit_compile=True)(tf.constant(value))


def in_pipeline(function: Callable[[Any], Any], value: Any) -> Any:
    return next(iter(tf.data.Dataset.from_tensors(value).map(function)))


def in_batch(function: Callable[[Any], Any], value: Any) -> Any:
    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec([None, *value.shape], value.dtype)]
    )
    def batched(batch: Any) -> Any:
        return tf.vectorized_map(function, batch, fallback_to_while_loop=False)

    return batched(tf.constant(np.stack([value[::-1], value])))[1]


@pytest.mark.parametrize(
    ("way", "dtype"),
    [(as_graph, "float32"), (with_xla, "uint8"), (in_pipeline, "float32"), (in_batch, "uint8")],
)
@pytest.mark.parametrize("call", CALLS)
def test_runs_in_graphs(call: str, dtype: str, way: Callable[..., Any]) -> None:
    library, name, arguments, options = CALLS[call]
    theirs, ours = found(library, name)
    value = image(dtype)
    tolerance = libraries.TOLERANCES[f"{library}.{name}"]
    if way is with_xla and library == "scipy.ndimage":
        tolerance = Tolerance(1, tolerance.float32, tolerance.float64)

    def function(x: Any) -> Any:
        return ours(x, *arguments, **options)

    agree(way(function, value), theirs(value, *arguments, **options), tolerance)


@pytest.mark.parametrize(
    "call",
    [
        "skimage rotate",
        "skimage rotate wrap",
        "skimage rotate cubic",
        "scipy shift",
        "scipy gaussian",
        "scipy uniform",
        "scipy median",
        "cv2 flip",
        "cv2 rotate",
        "cv2 warp",
        "cv2 blur",
        "cv2 gray",
        "cv2 normalize",
    ],
)
def test_runs_with_an_unknown_size(call: str) -> None:
    library, name, arguments, options = CALLS[call]
    theirs, ours = found(library, name)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def function(x: Any) -> Any:
        return ours(x, *arguments, **options)

    for shape in ((12, 17, 3), (1, 5, 3), (7, 1, 3)):
        value = image(shape=shape)
        wanted = theirs(value, *arguments, **options)
        agree(function(value), wanted, libraries.TOLERANCES[f"{library}.{name}"])


@pytest.mark.parametrize(
    "call", ["skimage resize", "scipy rotate", "scipy rotate spline", "scipy zoom", "cv2 resize"]
)
def test_an_unknown_size_is_refused_where_it_is_needed(call: str) -> None:
    library, name, arguments, options = CALLS[call]
    _, ours = found(library, name)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    def function(x: Any) -> Any:
        return ours(x, *arguments, **options)

    with pytest.raises(Untranslatable, match="known"):
        function(image())


def test_is_saved_as_plain_ops(tmp_path: Path) -> None:
    calls = [(*found(library, name), a, o) for library, name, a, o in CALLS.values()]
    value = image()

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(value.shape, tf.uint8)])
    def all_of_them(x: Any) -> Any:
        return [ours(x, *arguments, **options) for _, ours, arguments, options in calls]

    graph = all_of_them.get_concrete_function().graph
    assert not [op.type for op in graph.get_operations() if "Py" in op.type]
    module = tf.Module()
    module.all_of_them = all_of_them
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for result, again in zip(all_of_them(value), loaded.all_of_them(value), strict=True):
        assert np.array_equal(result, again)


def test_finds_functions_by_object_and_by_name() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    ours = libraries.find(ndimage.zoom)
    assert ours is not None
    assert libraries.find("scipy.ndimage.zoom") is ours
    assert libraries.find(ndimage.label) is None
    assert libraries.find("scipy.ndimage.label") is None
    for other in (np.sin, None, [], 3, "zoom", "", lambda: None):
        assert libraries.find(other) is None


def test_each_tolerance_is_of_a_function_that_is_found() -> None:
    for name in ("skimage.transform", "scipy.ndimage", "cv2", "PIL.Image"):
        pytest.importorskip(name)
    stated = libraries.TOLERANCES
    assert len(stated) > 25
    for name, tolerance in stated.items():
        library, _, function = name.rpartition(".")
        method = f"PIL.Image.Image.{function}"
        assert libraries.find(name) or libraries.find(method), name
        assert str(tolerance)
        assert getattr(sys.modules[library], function, None) or library == "PIL.Image"


def test_a_library_that_is_not_imported_stays_so() -> None:
    code = (
        "import sys, tensorflow\n"
        "before = set(sys.modules)\n"  # Keras may have imported some by itself
        "from unslow.native import libraries\n"
        "assert libraries.find(len) is None\n"
        "assert len(libraries.TOLERANCES) > 25\n"
        "print(*({'scipy', 'skimage', 'cv2', 'PIL'} & (set(sys.modules) - before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == []
