"""What XLA compiles gives what NumPy gives, where XLA itself would give something else, too."""

from __future__ import annotations

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
    # An op without a kernel, sizes that hang on values, and steps of a slice that is assigned.
    "Detected unsupported operations",
    "must be a compile-time constant",
    "SetDimensionSize's value has to be S32",
    "Strides != 1 or -1 are not yet implemented",
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
