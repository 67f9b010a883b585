"""`numpy_function` returns what TensorFlow's does, and what is asked of `native` holds."""

from __future__ import annotations

import collections
import dataclasses
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apart import apart
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


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_single_element_has_a_gradient(jit_compile: bool) -> None:
    made = native(lambda image, at: image[at, at - 1] * 2, jit_compile=jit_compile)
    image = tf.constant(np.ones((3, 3), np.float32))
    with tf.GradientTape() as tape:
        tape.watch(image)
        found = made(image, tf.constant(2, tf.int64))
    wanted = np.zeros((3, 3))
    wanted[2, 1] = 2
    np.testing.assert_array_equal(tape.gradient(found, image).numpy(), wanted)


def test_autograph_does_not_read_us() -> None:
    assert apart(_told_by_autograph) == []


def _told_by_autograph() -> list[str]:
    """What TensorFlow logs where `native` is first called while AutoGraph is at work."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    tf.get_logger().addHandler(handler)
    tf.function(lambda x: unslow.native(np.flip)(x) + unslow.numpy_function(np.flip, [x], x.dtype))(
        X
    )
    return told
