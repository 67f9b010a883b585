"""`numpy_function` returns what TensorFlow's does, and what is asked of `native` holds."""

from __future__ import annotations

import collections
import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import report, watched

pytest.importorskip("tensorflow")

import tensorflow as tf

import unslow
from unslow.cli import main
from unslow.native import Untranslatable, native, refusals, source_of
from unslow.native.inputs import InputError, read
from unslow.native.standalone import loaded, traced

pytestmark = pytest.mark.tensorflow

X = np.array([1.0, 2.0, 3.0], np.float32)


def _outcome(module: Any, function: Callable[..., Any], Tout: Any) -> Any:
    run = tf.function(lambda x: module.numpy_function(function, [x], Tout), autograph=False)
    try:
        return tf.nest.map_structure(lambda each: (each.dtype, each.numpy().tolist()), run(X))
    except tf.errors.InvalidArgumentError as error:
        return type(error)


@pytest.mark.parametrize(
    ("function", "Tout"),
    [
        (lambda x: (x,), tf.float32),
        (lambda x: [x], tf.float32),
        (lambda x: [1.0], tf.float64),
        (lambda x: ((x, x),), tf.float32),
        (lambda x: (x, x), tf.float32),
        (lambda x: [x, x], tf.float32),
        (lambda x: [1.0, 2.0], tf.float64),
        (lambda x: x, [tf.float32]),
        (lambda x: (x, x), [tf.float32]),
        (lambda x: ([x, x], x), [tf.float32, tf.float32]),
    ],
)
def test_lists_are_returned_as_by_tensorflow(function: Callable[..., Any], Tout: Any) -> None:
    assert _outcome(unslow, function, Tout) == _outcome(tf, function, Tout)


LEFT = """\
import numpy as np
import tensorflow as tf
import unslow


def loud(row):
    print("row")
    return row * 2


rows = tf.data.Dataset.from_tensor_slices(np.ones((3, 2), "float32"))
for row in rows.map(lambda row: unslow.numpy_function(loud, [row], tf.float32)):
    pass
"""


def test_the_report_says_what_python_is_still_called_for(tmp_path: Path) -> None:
    (tmp_path / "left.py").write_text(LEFT, encoding="utf-8")
    assert watched(tmp_path, "left.py").status == 0
    (note,) = report(tmp_path)["notes"]
    assert note.startswith("loud() could not become TensorFlow ops: ")
    assert "left.py:7: `print('row')`: " in note


@dataclasses.dataclass
class Scaled:
    factor: float

    @native
    def __call__(self, x: Any) -> Any:
        return x * self.factor

    @native
    def times(self, x: Any) -> Any:
        return x * self.factor


def test_a_method_of_an_object_without_a_hash() -> None:
    for factor in (2.0, 3.0):
        np.testing.assert_array_equal(Scaled(factor).times(tf.constant(X)), X * np.float32(factor))


def test_options_of_a_function_that_is_native_already() -> None:
    def noisy(x: Any) -> Any:
        return x + np.random.normal(size=x.shape)

    plain = native(noisy)
    with pytest.raises(Untranslatable):
        plain(X)
    drawn = native(plain, random="distribution")
    assert drawn(X).shape == (3,)
    assert native(drawn) is drawn and native(drawn, random="distribution") is drawn
    with pytest.raises(ValueError, match="distribution"):
        native(plain, random="same")  # type: ignore[call-overload]


def test_refusals_keep_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    def prints(x: Any) -> Any:
        print(x)

    with pytest.raises(Untranslatable) as caught:
        native(prints)(X)
    function, error = refusals()[-1]
    assert function is prints and str(error) == str(caught.value)
    assert error.__traceback__ is None and error.__cause__ is None
    few: Any = collections.deque(refusals(), maxlen=3)
    monkeypatch.setattr("unslow.native.function._refusals", few)
    for _ in range(5):
        with pytest.raises(Untranslatable):
            native(prints)(X)
    assert len(refusals()) == 3


Pair = collections.namedtuple("Pair", "low high")


def _tf(x: Any) -> Any:
    return x + 1


def _pair(x: Any) -> Any:
    return Pair(x, (x + 1, Pair(x, x)))


def test_printed_source_runs_whatever_the_function_is_called() -> None:
    specs = [tf.TensorSpec([3], tf.float32)]
    _tf.__name__ = "tf"
    source = source_of(traced(native(_tf), specs))
    np.testing.assert_array_equal(loaded(source, specs)(X), X + 1)


def test_printed_source_returns_named_tuples() -> None:
    specs = [tf.TensorSpec([3], tf.float32)]
    found = loaded(source_of(traced(native(_pair), specs)), specs)(X)
    assert type(found).__name__ == "Pair" and found._fields == ("low", "high")
    np.testing.assert_array_equal(found.high[0], X + 1)
    np.testing.assert_array_equal(found.high[1].low, X)


def test_a_dtype_that_tensorflow_lacks_is_no_input(tmp_path: Path) -> None:
    if np.dtype(np.longdouble).name == "float64":
        pytest.skip("a long double has 64 bits here")
    file = tmp_path / "long.npy"
    np.save(file, np.ones(3, np.longdouble))
    for text in ("longdouble[3]", str(file)):
        with pytest.raises(InputError, match="TensorFlow has no dtype"):
            read(text)


def test_a_file_with_the_name_of_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("random.py").write_text("def double(x):\n    return x * 2\n", encoding="utf-8")
    assert main(["native", "--no-experiments", "random.py:double", "--input", "float32[3]"]) == 0
    import sys

    assert sys.modules["random"] is random and "def double(x)" in capsys.readouterr().out


def walk(image: Any, seed: Any) -> Any:
    """A loop that a graph would run step by step."""
    row, column = 0, seed % 5
    for _ in range(100):
        row, column = (row + 1) % 6, (column + row) % 5
        image[row, column] = 0.5 * image[row, column] + 1
    return image


IMAGE = np.random.default_rng(0).random((6, 5)).astype(np.float32)


def _for_xla(graph: Any) -> bool:
    """Whether there is a function in a graph that XLA compiles."""
    functions = graph.as_graph_def().library.function
    return any(each.attr["_XlaMustCompile"].b for each in functions)


def _walked(image: Any, seed: Any, **options: Any) -> Any:
    return unslow.numpy_function(walk, [image, seed], tf.float32, fallback=False, **options)


def test_loops_are_compiled_by_xla_unless_told_otherwise() -> None:
    expected = walk(IMAGE.copy(), 3)
    specs = tf.TensorSpec([6, 5], tf.float32), tf.TensorSpec([], tf.int64)
    for options, compiled in (({}, True), ({"jit_compile": False}, False)):
        made = tf.function(lambda *given, told=options: _walked(*given, **told), autograph=False)
        concrete = made.get_concrete_function(*specs)
        assert _for_xla(concrete.graph) is compiled
        found = concrete(tf.constant(IMAGE), tf.constant(3, tf.int64))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    # Outside of graphs, too.
    np.testing.assert_allclose(_walked(IMAGE, np.int64(3)).numpy(), expected, rtol=1e-6)


def test_without_loops_or_with_open_shapes_xla_is_not_used() -> None:
    def doubled(image: Any, seed: Any) -> Any:
        return image * 2 + seed.astype(np.float32)

    fixed, number = tf.TensorSpec([6, 5], tf.float32), tf.TensorSpec([], tf.int64)
    for function, spec in ((doubled, fixed), (walk, tf.TensorSpec([None, 5], tf.float32))):

        def bridged(*given: Any, function: Any = function) -> Any:
            return unslow.numpy_function(function, given, tf.float32, fallback=False)

        concrete = tf.function(bridged, autograph=False).get_concrete_function(spec, number)
        assert not _for_xla(concrete.graph)
        found = concrete(tf.constant(IMAGE), tf.constant(3, tf.int64))
        expected = function(IMAGE.copy(), np.int64(3))
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_loops_with_ops_that_xla_does_not_know_run_in_the_graph() -> None:
    def grown(values: Any) -> Any:
        total = values[0] * 0
        while total < 19:
            total = total + np.abs(np.linalg.det(values.reshape(2, 2))) + 1
        return total

    given = np.array([1.0, 2.0, 3.0, 5.0], np.float32)

    def bridged(values: Any) -> Any:
        return unslow.numpy_function(grown, [values], tf.float32, fallback=False)

    made = tf.function(bridged, autograph=False)
    concrete = made.get_concrete_function(tf.TensorSpec([4], tf.float32))
    assert not _for_xla(concrete.graph)
    assert not [why for function, why in refusals() if function is grown]
    np.testing.assert_allclose(concrete(tf.constant(given)).numpy(), grown(given), rtol=1e-5)


def test_what_xla_compiles_by_itself_is_vectorised_mapped_and_saved(tmp_path: Path) -> None:
    seeds = np.arange(4)
    rows = np.stack([IMAGE + number for number in range(4)]).astype(np.float32)
    expected = np.stack([walk(row.copy(), seed) for row, seed in zip(rows, seeds, strict=True)])
    mapped = tf.function(lambda *given: tf.vectorized_map(lambda row: _walked(*row), given))
    np.testing.assert_allclose(mapped(rows, seeds).numpy(), expected, rtol=1e-6)
    pipeline = tf.data.Dataset.from_tensor_slices((rows, seeds)).map(_walked).batch(4)
    np.testing.assert_allclose(next(iter(pipeline)).numpy(), expected, rtol=1e-6)

    module = tf.Module()
    specs = [tf.TensorSpec([6, 5], tf.float32), tf.TensorSpec([], tf.int64)]
    module.run = tf.function(_walked, input_signature=specs, autograph=False)
    tf.saved_model.save(module, str(tmp_path / "saved"))
    again = tf.saved_model.load(str(tmp_path / "saved")).run(rows[1], seeds[1])
    np.testing.assert_allclose(again.numpy(), expected[1], rtol=1e-6)


def test_loops_that_set_single_places_have_gradients() -> None:
    with tf.GradientTape() as tape:
        image = tf.constant(IMAGE)
        tape.watch(image)
        total = tf.reduce_sum(native(walk)(image, tf.constant(3, tf.int64)))
    slope = walk(np.ones_like(IMAGE) + IMAGE, 3) - walk(IMAGE.copy(), 3)
    np.testing.assert_allclose(tape.gradient(total, image).numpy(), slope, rtol=1e-4, atol=1e-6)
