"""The native ways of a function behind a bridge: which there are, and what they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from programs import printed_by
from recorded import Recorded

from unslow.catalogue import inspect
from unslow.catalogue.border import _bridges
from unslow.catalogue.border.rewrites import native_ops, rewrites
from unslow.catalogue.trial import Trial, Way
from unslow.experiment.values.equality import judge
from unslow.experiment.values.snapshot import take
from unslow.recording.samples import BridgeCall
from unslow.source.edits import apply
from unslow.source.module import Module

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


def test_the_edits_make_programs_that_give_the_same(tmp_path: Path) -> None:
    source = PROGRAM.replace("FUNCTION", "worn").replace("    pass", "    total += float(row[4])")
    source = source.replace("\nplaces", "\ntotal = 0.0\nplaces") + "print(round(total, 3))\n"
    (finding,) = inspect(Module.of(source), ["TF101"])
    expected = printed_by(tmp_path, "present.py", source)
    assert [each.name for each in finding.alternatives] == [native_ops.NAME, native_ops.COMPILED]
    for number, alternative in enumerate(finding.alternatives):
        mended = apply(source.encode(), alternative.edits).decode()
        assert "import unslow\n" in mended
        assert ("jit_compile=True" in mended) == (alternative.name == native_ops.COMPILED)
        assert printed_by(tmp_path, f"mended{number}.py", mended) == expected
