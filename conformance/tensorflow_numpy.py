"""NumPy's functions as ops in the place of TensorFlow's own, for TensorFlow's tests of those.

A plugin of pytest's: the modules `np_array_ops`, `np_math_ops` and `np_random` that the tests
import have functions that run NumPy's of the same name through `unslow.native`. They take and
give tensors. UNSLOW_CONFORMANCE_TESTS names the folder with TensorFlow's files.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import types
from typing import Any

import numpy as np
import tensorflow as tf
from conformance.arrays import _name_of
from conformance.calls import both, leaves, mapped

from unslow.native import native

HOME = "tensorflow.python.ops.numpy_ops"


def pytest_configure(config: Any) -> None:
    """Put the modules in place before the tests are read."""
    package = importlib.import_module(HOME)
    package.__path__.append(os.environ["UNSLOW_CONFORMANCE_TESTS"])
    _behave_like_numpy()
    for name in ("np_array_ops", "np_math_ops"):
        inner = importlib.import_module(f"{HOME}.{name}")
        made = Functions(inner.__name__, inner)
        sys.modules[inner.__name__] = made
        setattr(package, name, made)
    # The tests made for JAX run their functions again under XLA, with unknown numbers of axes,
    # and for gradients: that is about TensorFlow's functions.
    tools = importlib.import_module(f"{HOME}.tests.test_util")
    tools.TestCase._CompileAndCheck = _leave_out


def _leave_out(*args: Any, **kwargs: Any) -> None:
    pass


def _behave_like_numpy() -> None:
    """What the tests' own main functions do first."""
    ops = importlib.import_module("tensorflow.python.framework.ops")
    ops.set_dtype_conversion_mode("legacy")
    tensor = importlib.import_module("tensorflow.python.framework.tensor")
    tensor.enable_tensor_equality()
    importlib.import_module(f"{HOME}.np_math_ops").enable_numpy_methods_on_tensor()


class Functions(types.ModuleType):
    """A module of TensorFlow's in which what NumPy has, too, is NumPy's as ops."""

    def __init__(self, name: str, inner: types.ModuleType) -> None:
        super().__init__(name)
        self._inner = inner
        self.__all__ = [each for each in vars(inner) if not each.startswith("_")]

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        same = getattr(np, name, None)
        if isinstance(value, types.FunctionType) and callable(same):
            value = _through(same)
        setattr(self, name, value)
        return value


def _through(function: Any) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any(map(tf.is_symbolic_tensor, leaves([args, kwargs]))):
            return native(function)(*args, **kwargs)
        given = mapped(_as_numpy, args), mapped(_as_numpy, kwargs)
        return mapped(_as_tensor, both(function, *given, _name_of(function)))

    return call


def _as_numpy(value: Any) -> Any:
    if isinstance(value, (tf.Tensor, tf.Variable)):
        return value.numpy()
    if isinstance(value, tf.DType):
        return value.as_numpy_dtype
    if isinstance(value, tf.TensorShape):
        return tuple(value.as_list())
    return value


def _as_tensor(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
        return tf.constant(value)
    return value
