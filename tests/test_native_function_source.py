"""Which source a native function is read from."""

from __future__ import annotations

import importlib.util
import linecache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

import unslow
from unslow.native import Untranslatable, native, refusals

pytestmark = pytest.mark.tensorflow

V = np.array([1.0, 2.0, 3.0], np.float32)

TEXT = '''from __future__ import annotations

import numpy as np


def scaled(x, by: float = 2.0):
    """Scaled."""
    return x * by


def outer(k):
    def inner(x):
        return x * k + np.float32(1e3)

    return inner


class Holder:
    def _hidden(self, x):
        return [x * each for each in (1, 2) if each in {1, 2}]

    def shown(self, x):
        return self._hidden(x)[1]


added = [lambda x: x + 1, lambda x: x + 2, (lambda y: (lambda x: x + y))(3)]
'''


def _module(path: Path) -> Any:
    path.write_text(TEXT)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_that_was_edited_since_is_not_translated(tmp_path: Path) -> None:
    path = tmp_path / "edited_later.py"
    module = _module(path)
    functions = [module.scaled, module.outer(2), module.Holder().shown, *module.added]
    for function in functions:
        assert np.array_equal(native(function)(V), function(V))
    path.write_text(TEXT.replace("x * by", "x / by"))
    linecache.clearcache()
    with pytest.raises(Untranslatable, match="no longer"):
        native(module.scaled)(V)
    assert np.array_equal(native(module.outer(2))(V), module.outer(2)(V))
    path.write_text("\n" + TEXT)
    linecache.clearcache()
    with pytest.raises(Untranslatable, match="no longer"):
        native(module.outer(2))(V)


def test_a_lambda_within_a_lambda_is_found(tmp_path: Path) -> None:
    before = len(refusals())
    # fmt: off
    made = tf.data.Dataset.from_tensors(V).map(lambda x: unslow.numpy_function(lambda a: a * 2, [x], tf.float32))  # noqa: E501
    # fmt: on
    assert np.array_equal(next(iter(made)), V * 2)
    assert len(refusals()) == before
