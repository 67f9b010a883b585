"""What graphs call that is no plain function is known by its own name and place."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import Recorded

from unslow.recording.samples import BridgeCall

pytestmark = pytest.mark.tensorflow

pytest.importorskip("tensorflow")

PROGRAM = """\
import functools

import tensorflow as tf


class Scale:
    def __init__(self, by):
        self.by = by

    def __call__(self, x):
        return x * self.by

    def method(self, x):
        return x * self.by


def scale(x, by=2.0):
    return x * by


scaled = Scale(2.0)
act = ACT
data = tf.data.Dataset.range(4).map(lambda x: tf.cast(x, tf.float32)).batch(1)
rows = list(data.map(lambda x: tf.BRIDGE(act, [x], tf.float32)))
"""


@pytest.mark.parametrize("bridge", ["numpy_function", "py_function"])
@pytest.mark.parametrize(
    ("act", "name", "defined"),
    [
        ("scaled", "Scale", "def __call__"),
        ("scaled.__call__", "Scale", "def __call__"),
        ("scaled.method", "method", "def method"),
        ("functools.partial(scale, by=3.0)", "scale", "def scale"),
        ("functools.partial(scaled)", "Scale", "def __call__"),
        ("scale", "scale", "def scale"),
    ],
)
def test_the_name_is_its_own(
    tmp_path: Path, bridge: str, act: str, name: str, defined: str
) -> None:
    source = PROGRAM.replace("ACT", act).replace("BRIDGE", bridge)
    ran = Recorded(tmp_path, source)
    (row,) = ran.recording.bridges
    line = next(n for n, text in enumerate(source.splitlines(), start=1) if defined in text)
    assert row.function == name
    assert row.definition is not None
    assert row.definition.line == line


def test_the_object_itself_is_kept(tmp_path: Path) -> None:
    ran = Recorded(tmp_path, PROGRAM.replace("ACT", "scaled").replace("BRIDGE", "numpy_function"))
    kept = ran.samples.every(BridgeCall)
    assert kept
    assert all(each.function is ran.names["scaled"] for each in kept)
