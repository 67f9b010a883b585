"""The native ways of a function behind a bridge: which there are, and what they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded import Recorded

from unslow.catalogue.border import _bridges
from unslow.catalogue.border.rewrites import native_ops, rewrites
from unslow.catalogue.trial import Trial, Way
from unslow.experiment.values.equality import judge
from unslow.experiment.values.snapshot import take
from unslow.recording.samples import BridgeCall

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

PROGRAM = """
import numpy as np
import tensorflow as tf

rows = np.random.default_rng(0).normal(size=(200, 12)).astype("float32")


def worn(row, place):
    row = row[::-1].copy()
    row[2:5] = place
    return np.clip(row * 2, -1, 1)


def noisy(row, place):
    return (row + np.random.normal(size=row.shape)).astype(np.float32)


def mapped(row, place):
    return tf.numpy_function(FUNCTION, [row, place], tf.float32)


places = np.arange(200) % 12
for row in tf.data.Dataset.from_tensor_slices((rows, places)).map(mapped):
    pass
"""

NATIVE = {
    native_ops.NAME,
    native_ops.COMPILED,
    native_ops.BATCHED,
    native_ops.BATCHED_COMPILED,
}


def calls_of(folder: Path, function: str) -> list[BridgeCall]:
    ran = Recorded(folder, PROGRAM.replace("FUNCTION", function))
    return list(ran.kept(BridgeCall, f"tf.numpy_function({function}"))


def results(way: Way) -> Any:
    if way.before is not None:
        way.before()
    return take(way.results(way.run()))


def test_every_native_way_gives_what_the_bridge_gives(tmp_path: Path) -> None:
    calls = calls_of(tmp_path, "worn")
    (trial,) = _bridges.trials(calls, 1e-4, pipeline=True, threads=2)
    assert isinstance(trial, Trial)
    ways = {way.name: way for way in trial.ways}
    assert set(ways) >= NATIVE
    expected = results(trial.present)
    for name in NATIVE:
        assert judge(expected, expected, results(ways[name])).equal is True, name
        assert ways[name].note


def test_what_cannot_be_translated_is_one_way_that_says_why(tmp_path: Path) -> None:
    from unslow.native import Untranslatable

    (call, *_) = calls_of(tmp_path, "noisy")
    offered = {each.name: each for each in rewrites(call)}
    assert NATIVE & set(offered) == {native_ops.NAME}
    with pytest.raises(Untranslatable, match="random"):
        offered[native_ops.NAME].function(*call.arguments)
