"""The native ways of a function behind a bridge: which there are, and what they give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from programs import printed_by
from recorded import Recorded

from unslow.catalogue import inspect
from unslow.catalogue import page as find_page
from unslow.catalogue.border import _bridges, _calls
from unslow.catalogue.border.rewrites import Rewrite, native_ops, rewrites
from unslow.catalogue.trial import Trial, Unfit, Way
from unslow.experiment.trials import Outcome, run_trial
from unslow.experiment.values.draws import compare_draws
from unslow.experiment.values.equality import judge
from unslow.experiment.values.snapshot import take
from unslow.finding import Alternative, Cost, Finding, Site
from unslow.native import compiling, refusals
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


def seeded(row, seed):
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:
        row = row[::-1]
    return (row + rng.normal(size=row.shape)).astype(np.float32)


def legacy(row, seed):
    rng = np.random.RandomState(seed)
    if rng.random_sample() < 0.5:
        row = row[::-1]
    return (row + rng.normal(size=row.shape)).astype(np.float32)


def fixed(row, place):
    return (row + np.random.default_rng(3).normal(size=row.shape)).astype(np.float32)


def opened(row, place):
    return row[:place].sum()


def printed(row, place):
    print(row[0])
    return row


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


RECORDED: dict[str, Recorded] = {}


def recorded(folder: Path, function: str) -> Recorded:
    """The program with this function, run once: equal code of two files has one place."""
    if function not in RECORDED:
        RECORDED[function] = Recorded(folder, PROGRAM.replace("FUNCTION", function))
    return RECORDED[function]


def calls_of(folder: Path, function: str) -> list[BridgeCall]:
    ran = recorded(folder, function)
    return list(ran.kept(BridgeCall, f"tf.numpy_function({function}"))


def results(way: Way) -> Any:
    if way.before is not None:
        way.before()
    return take(way.results(way.run()))


def tried(trial: Trial, way: Way) -> Alternative:
    """What comes of one way in a short time."""
    (outcome,) = run_trial(replace(trial, ways=(way,)), 5.0, lambda way, limit: None)
    assert isinstance(outcome, Outcome), outcome
    return outcome.alternative


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

    (call, *_) = calls_of(tmp_path, "printed")
    offered = {each.name: each for each in rewrites(call)}
    assert NATIVE & set(offered) == {native_ops.NAME}
    with pytest.raises(Untranslatable, match="print"):
        offered[native_ops.NAME].function(*call.arguments)


@pytest.mark.parametrize("function", ["noisy", "legacy"])
def test_random_numbers_are_compared_by_their_distribution(tmp_path: Path, function: str) -> None:
    calls = calls_of(tmp_path, function)[:8]
    (trial,) = _bridges.trials(calls, 1e-4, pipeline=True, threads=2)
    assert isinstance(trial, Trial)
    ways = {way.name: way for way in trial.ways}
    # For a seed of each row, TensorFlow makes a loop that XLA cannot compile.
    for name in NATIVE - ({native_ops.BATCHED_COMPILED} if function == "legacy" else set()):
        way = ways[name + native_ops.RANDOM]
        assert way.draws is not None
        draws = way.draws()
        assert draws is not None
        found = compare_draws(draws.present(), draws.other(), draws.inputs)
        assert found.equal == "distribution", (name, found.where)
        assert way.safety == "unsafe"
        assert "of the same distribution. Compared were 128 draws" in way.note


def test_numbers_of_a_seed_are_numpys_own(tmp_path: Path) -> None:
    calls = calls_of(tmp_path, "seeded")[:8]
    (trial,) = _bridges.trials(calls, 1e-4, pipeline=True, threads=2)
    assert isinstance(trial, Trial)
    ways = {way.name: way for way in trial.ways}
    expected = results(trial.present)
    # They have loops: unslow.numpy_function has XLA compile them, and in batches it cannot.
    assert native_ops.NAME not in ways
    for name in (native_ops.COMPILED, native_ops.BATCHED):
        assert judge(expected, expected, results(ways[name])).equal is True, name


def test_other_random_numbers_are_not_recommended(tmp_path: Path) -> None:
    calls = calls_of(tmp_path, "seeded")[:8]
    bridged = _calls.Bridged(calls)

    def louder(row: Any, seed: Any) -> Any:
        noise = tf.random.stateless_normal(row.shape, tf.stack([seed, seed]))
        return row + 2 * noise

    rewrite = Rewrite("louder", louder, in_python=False, each=True, random=True, seeds=(1,))
    drawn = _bridges.Drawn(bridged, rewrite.seeds, 1e-4)
    way = drawn.compared(bridged.rewritten(rewrite), rewrite, 1)
    proof = tried(Trial(bridged.mapped(), (), "rows"), way).proof
    assert proof is not None and proof.equal is False
    assert "another distribution" in proof.where


def test_what_the_program_pays_besides_the_calls_is_told(tmp_path: Path) -> None:
    bridged = _calls.Bridged(calls_of(tmp_path, "worn")[:8], epochs=3)
    ops = Rewrite("ops", lambda row, place: row, in_python=False, each=True, seconds=100.0)
    way = bridged.rewritten(ops)
    results(way)
    assert way.once is not None and 100.0 < way.once() < 200.0
    (outcome,) = run_trial(Trial(bridged.mapped(), (way,), "rows"), 5.0, lambda name, limit: None)
    assert isinstance(outcome, Outcome) and outcome.once > 100.0
    in_python = Rewrite("batched", lambda row, place: row, in_python=True)
    assert bridged.rewritten(in_python).once is None


def test_what_xla_would_compile_again_and_again_is_not_run_on(tmp_path: Path) -> None:
    calls = calls_of(tmp_path, "opened")
    (trial,) = _bridges.trials(calls, 1e-4, pipeline=True, threads=2)
    assert isinstance(trial, Trial)
    ways = {way.name: way for way in trial.ways}
    assert "compile it anew" in tried(trial, ways[native_ops.COMPILED]).failure
    proof = tried(trial, ways[native_ops.NAME]).proof
    assert proof is not None and proof.equal is True


def test_loops_that_would_take_too_long_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_ops, "LONGEST", 0.2)
    # Else they would be compiled without being asked for.
    monkeypatch.setattr(compiling, "gains_by_xla", lambda *given: False)

    def crossings(signal: Any) -> Any:
        count = 0
        for value in signal.tolist():
            if value > 0:
                count += 1
        return np.int64(count)

    signal = np.random.default_rng(0).normal(size=300_000)
    call = BridgeCall(crossings, (signal,), outputs=((np.dtype("int64"), ()),))
    offered = {each.name: each for each in rewrites(call, 1e-4)}
    for name in (native_ops.NAME, native_ops.BATCHED):
        check = offered[name].check
        assert check is not None
        with pytest.raises(Unfit, match="step by step"):
            check((signal,), 100)
    assert offered[native_ops.COMPILED].check is None
    assert int(offered[native_ops.COMPILED].function(signal)) == crossings(signal)


def test_ops_are_tried_in_compiled_functions_too(tmp_path: Path) -> None:
    calls = calls_of(tmp_path, "worn")
    (trial,) = _bridges.trials(calls, 1e-4, pipeline=False, threads=1)
    assert isinstance(trial, Trial)
    ways = {way.name: way for way in trial.ways}
    assert set(ways) == {_calls.ALONE, native_ops.NAME, native_ops.COMPILED}
    expected = results(trial.present)
    for way in trial.ways:
        assert judge(expected, expected, results(way)).equal is True, way.name


def test_both_pages_of_a_bridge_offer_ops_with_their_edits() -> None:
    page = find_page("TF305")
    (finding,) = inspect(Module.of(page.slow), ["TF305"])
    (other,) = inspect(Module.of(page.slow), ["TF101"])
    assert finding.alternatives == other.alternatives
    # It has a loop, which only XLA makes fast.
    assert [each.name for each in finding.alternatives] == [native_ops.COMPILED]
    (without,) = inspect(Module.of(find_page("TF101").slow), ["TF101"])
    assert [each.name for each in without.alternatives] == [native_ops.NAME, native_ops.COMPILED]


def test_what_the_lock_binds_is_tried_as_ops_too(tmp_path: Path) -> None:
    ran = recorded(tmp_path, "worn")
    lines = ran.path.read_text(encoding="utf-8").splitlines()
    (line,) = (n for n, each in enumerate(lines, 1) if "tf.numpy_function(" in each)
    evidence = {"calls": 200, "wall_seconds_per_call": 1e-4, "threads": 2}
    site = Site(str(ran.path), line)
    finding = Finding("TF305", "gil-bound-map", "problem", site, "", Cost(0.02, 200), evidence)
    trials = find_page("TF305").trials(finding, ran.samples)
    (trial,) = (each for each in trials if isinstance(each, Trial))
    assert {way.name for way in trial.ways} >= NATIVE


@pytest.mark.parametrize(
    ("function", "random"),
    [("worn", False), ("noisy", True), ("seeded", False), ("legacy", True), ("fixed", False)],
)
def test_the_edits_make_programs_that_give_the_same(
    tmp_path: Path, function: str, random: bool
) -> None:
    total = "    total += float(row[4])" if not random else "    total += row.shape[0]"
    source = PROGRAM.replace("FUNCTION", function).replace("    pass", total)
    source = source.replace("\nplaces", "\ntotal = 0.0\nplaces") + "print(round(total, 3))\n"
    (finding,) = inspect(Module.of(source), ["TF101"])
    expected = printed_by(tmp_path, "present.py", source)
    ending = native_ops.RANDOM if random else ""
    names = [native_ops.NAME + ending, native_ops.COMPILED + ending]
    assert [each.name for each in finding.alternatives] == names
    refused = len(refusals())
    for number, alternative in enumerate(finding.alternatives):
        mended = apply(source.encode(), alternative.edits).decode()
        assert "import unslow\n" in mended
        assert ('random="distribution"' in mended) == random
        assert ("jit_compile=True" in mended) == (native_ops.COMPILED in alternative.name)
        assert printed_by(tmp_path, f"mended{number}.py", mended) == expected
    # What is refused falls back to Python in silence.
    assert len(refusals()) == refused


def test_a_generator_of_the_module_is_seen_in_the_source() -> None:
    source = """
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)


def helper(row):
    return row + rng.normal(size=row.shape)


def one(row):
    return helper(row)


def mapped(row):
    return tf.numpy_function(one, [row], tf.float64)


for row in tf.data.Dataset.range(1000).map(mapped):
    pass
"""
    (finding,) = inspect(Module.of(source), ["TF101"])
    assert all(each.name.endswith(native_ops.RANDOM) for each in finding.alternatives)
