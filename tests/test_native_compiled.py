"""What XLA compiles gives what NumPy gives, where XLA itself would give something else, too."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from native_cases import CASES
from test_native_cases import by_numpy, difference

from unslow.native import Untranslatable, native

pytestmark = pytest.mark.tensorflow

WITHOUT = (
    # An op without a kernel, and sizes that hang on values.
    "Detected unsupported operations",
    "must be a compile-time constant",
    "SetDimensionSize's value has to be S32",
)
"""What XLA says that it cannot compile."""

SINGULAR = 1e-6
"""How near its singular vectors come."""


def compiled(function: Any, *arguments: Any) -> Any:
    return native(function, jit_compile=True)(*map(tf.constant, arguments))


@pytest.mark.parametrize("family", CASES)
def test_what_numpy_does(family: str) -> None:
    problems, without = [], 0
    for place, (function, arguments) in enumerate(CASES[family]):
        where = f"{place} (line {function.__code__.co_firstlineno})"
        try:
            found = tf.nest.flatten(compiled(function, *arguments))
        except Untranslatable:
            continue
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            without += 1
            if not any(each in str(error) for each in WITHOUT):
                problems.append(f"{where}: {error}")
            continue
        wanted = by_numpy((function, arguments))
        told = difference(found, wanted)
        if told and "pinv" in function.__code__.co_names:
            told = "" if np.allclose(found[0], wanted, rtol=SINGULAR, atol=0) else told
        if told:
            problems.append(f"{where}: {told}")
    assert not problems, "\n".join(problems)
    # TensorFlow 2.16 has no Fourier transforms for XLA.
    assert without <= 0.4 * len(CASES[family])


STEPS = {
    "two axes": lambda x: x.__setitem__(np.s_[::2, 1::3], x[::2, 1::3] * 2),
    "backwards": lambda x: x.__setitem__(np.s_[1, ::-2], 3),
    "both ways": lambda x: x.__setitem__(np.s_[::-3, ::-1], x[:2] + 1),
    "new axis": lambda x: x.__setitem__(np.s_[None, ::2, 2], 4),
    "nothing and one": lambda x: (
        x.__setitem__(np.s_[5:1:2], 4),
        x.__setitem__(np.s_[::7], 1),
    ),
    "a view": lambda x: x[::2].__setitem__(np.s_[:, ::3], x[1:4, 1:3]),
    "turned": lambda x: x.T[::2].__setitem__(np.s_[1::2], 5),
    "beyond": lambda x: x.__setitem__(np.s_[-9:9:2, 9:-9:-2], 6),
    "in place": lambda x: operator.iadd(x[4:0:-3, 1::2], x[0, ::2]),
}
"""Changes of what a slice with a step sees."""


@pytest.mark.parametrize("change", STEPS)
@pytest.mark.parametrize("dtype", ["float32", "uint16", "complex64"])
def test_places_between_others_are_changed(change: str, dtype: str) -> None:
    def changed(x: Any) -> Any:
        x = x.copy()
        STEPS[change](x)
        return x

    value = np.arange(30).reshape(5, 6).astype(dtype)
    for shape in ((5, 6), (None, 6), (None, None)):
        spec = tf.TensorSpec(shape, dtype)
        made = tf.function(native(changed), [spec], autograph=False, jit_compile=True)
        np.testing.assert_array_equal(made(value), changed(value))
    batch = np.stack([value, value[::-1]])
    many = tf.function(lambda each: tf.vectorized_map(native(changed), each), autograph=False)
    np.testing.assert_array_equal(many(batch), [changed(each) for each in batch])


NOTHING = {
    "a view": lambda x: operator.imul(x[:, 1::2], 2),
    "a value": lambda x: x[::2, 1:].__setitem__(..., 3),
    "in place": lambda x: operator.iadd(x[::2, 3:3], 1),
    "an empty one": lambda x: x.__setitem__(np.s_[::2, 3:0:-5], np.zeros((2, 0), x.dtype)),
    "of a view": lambda x: x[::-2].__setitem__(np.s_[:, 1::2], x[:2, 1::2]),
}
"""Changes of what a slice sees where a table has one column, which is nothing."""


@pytest.mark.parametrize("change", NOTHING)
def test_nothing_is_changed_where_nothing_is_seen(change: str) -> None:
    def changed(x: Any) -> Any:
        x = x.copy()
        NOTHING[change](x)
        return x

    value = np.arange(4, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(changed(value), value)
    for shape in ((4, 1), (None, None)):
        spec = tf.TensorSpec(shape, "float32")
        made = tf.function(native(changed), [spec], autograph=False, jit_compile=True)
        np.testing.assert_array_equal(made(value), value)


@pytest.mark.parametrize(
    ("key", "count"),
    [
        (np.s_[::2], 2),
        (np.s_[::-2], 2),
        (np.s_[::-2], 4),
        (np.s_[1:4], 2),
        (np.s_[3:3:2], 2),
        (np.s_[:0:-2], 3),
    ],
)
def test_what_does_not_fit_its_places_is_refused(key: slice, count: int) -> None:
    def changed(x: Any) -> Any:
        x = x.copy()
        x[key] = x[:count]
        return x

    value = np.arange(5, dtype=np.float32)
    with pytest.raises(ValueError, match="broadcast"):
        changed(value)
    batch = tf.function(lambda each: tf.vectorized_map(native(changed), each), autograph=False)
    for run, given in ((tf.function(native(changed), jit_compile=True), value), (batch, [value])):
        with pytest.raises(Untranslatable, match="does not broadcast"):
            run(tf.constant(given))
    spec = tf.TensorSpec([None], "float32")
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        tf.function(native(changed, jit_compile=True), [spec], autograph=False)(value)


def test_an_array_does_not_grow_with_what_it_is_given() -> None:
    def changed(x: Any, v: Any) -> Any:
        x = x.copy()
        x[::2] = v
        return x

    specs = [tf.TensorSpec([None, None], "float32"), tf.TensorSpec([None], "float32")]
    made = tf.function(native(changed), specs, autograph=False, jit_compile=True)
    column, row = np.zeros((4, 1), np.float32), np.arange(3, dtype=np.float32)
    with pytest.raises(tf.errors.InvalidArgumentError):
        made(column, row)
    np.testing.assert_array_equal(made(column, row[1:2]), changed(column, row[1:2]))


def test_two_values_are_not_repeated_for_four_places() -> None:
    def changed(x: Any, v: Any) -> Any:
        x = x.copy()
        x[...] = v
        return x

    def broadcast(x: Any, v: Any) -> Any:
        return np.broadcast_to(v, x.shape)

    def under(x: Any, v: Any) -> Any:
        x = x.copy()
        x[::2] = v
        return x

    specs = [tf.TensorSpec([None, None], "float32"), tf.TensorSpec([None], "float32")]
    table, pair = np.zeros((3, 4), np.float32), np.float32([1, 2])
    for function in (changed, broadcast, under):
        made = tf.function(native(function), specs, autograph=False, jit_compile=True)
        with pytest.raises(tf.errors.InvalidArgumentError):
            made(table, pair)
        np.testing.assert_array_equal(made(table, pair[:1]), function(table, pair[:1]))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_places_from_a_number_that_the_graph_knows(jit_compile: bool) -> None:
    def changed(x: Any, n: Any) -> Any:
        x = x.copy()
        x[n::2] += 1
        x[:n:-2] = 3
        x[n, ::-2] = 2
        for i in range(abs(n)):
            x[i, i::2] = i
        return x

    value = np.arange(30, dtype=np.float32).reshape(5, 6)
    for shape in ((5, 6), (None, None)):
        specs = [tf.TensorSpec(shape, "float32"), tf.TensorSpec((), "int64")]
        made = tf.function(native(changed), specs, autograph=False, jit_compile=jit_compile)
        for number in (0, 1, 3, -2):
            np.testing.assert_array_equal(made(value, number), changed(value, number))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_nan_stays_on_either_side(dtype: str) -> None:
    one = np.array([np.nan, 1, np.nan, 2, -0.5, np.inf], dtype)
    other = np.array([1, np.nan, np.nan, 1, 3, np.nan], dtype)
    for function in (np.maximum, np.minimum, np.fmax, np.fmin, np.hypot):
        wanted = function(one, other)
        found = compiled(lambda a, b, of=function: of(a, b), one, other)
        np.testing.assert_allclose(found, wanted, rtol=2e-3 if dtype == "float16" else 1e-6)
    np.testing.assert_array_equal(compiled(lambda a: np.clip(a, 0, 1), one), np.clip(one, 0, 1))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64"])
@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_floats_that_no_whole_number_equals(source: str, dtype: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.array(
            [np.nan, np.inf, -np.inf, 1.5, -1.5, 300, -300, 7e4, 3e9, -3e9, 1e19, -1e19], source
        )
        # Where NumPy leaves it open, it is what TensorFlow's ops give without XLA.
        wanted = native(lambda a: a.astype(dtype))(tf.constant(values))
    found = compiled(lambda a: a.astype(dtype), values)
    np.testing.assert_array_equal(found, wanted)


def test_zeros_of_either_sign_are_sorted_as_equals() -> None:
    values = np.array([0.0, -0.0, 0.0, 1.0, -1.0, np.nan, -0.0])
    wanted = np.argsort(values, kind="stable")
    np.testing.assert_array_equal(compiled(np.argsort, values), wanted)
