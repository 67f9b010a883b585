"""What the pages of pipelines try: on which datasets that were kept, with which results."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import Recorded

from unslow.catalogue import page as find_page
from unslow.catalogue.pipelines import _captured, _steps, _waits, _ways
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.experiment.trials import Outcome, run_trial
from unslow.experiment.values.equality import judge
from unslow.experiment.values.snapshot import take
from unslow.finding import Claim, Cost, Finding, Site
from unslow.recording import iterators, pipelines
from unslow.recording.data import Iteration
from unslow.recording.samples import DatasetMade, RepeatedOp

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

EVIDENCE: dict[str, dict[str, Any]] = {
    "TF301": {"epochs": 4},
    "TF302": {},
    "TF303": {},
    "TF304": {},
    "TF306": {"calls": 12},
    "TF309": {"work_seconds": 1.0, "wait_seconds": 1.0, "busy": 0.0},
    "TF310": {},
    "TF311": {"calls": 250, "elements": 250},
}

WAYS = {
    "TF301": {"batch, then map"},
    "TF302": {"parallel calls"},
    "TF303": {"batch, then map"},
    "TF304": {"yield batches"},
    "TF306": {"cache"},
    "TF309": {"prefetch"},
    "TF310": {"parse batches"},
    "TF311": {"taken once", "one iterator"},
}

SHORT = 0.02


@pytest.fixture(autouse=True)
def short_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_captured, "SECONDS", SHORT)
    monkeypatch.setattr(_captured, "LONGER", SHORT)


class Captured(Recorded):
    """A program whose pipelines were kept."""

    def finding(self, code: str, line: int, **evidence: Any) -> Finding:
        page = find_page(code)
        claims = (Claim(str(self.path), line, "input", 1.0),)
        evidence = {"calls": 100, "seconds": 1.0, **evidence}
        site = Site(str(self.path), line)
        return Finding(code, page.name, "problem", site, "", Cost(1.0, 100, 0, claims), evidence)

    def trials(self, code: str, line: int, **evidence: Any) -> list[Trial | Untried]:
        return list(find_page(code).trials(self.finding(code, line, **evidence), self.samples))

    def trial(self, code: str, line: int, **evidence: Any) -> Trial:
        (trial,) = self.trials(code, line, **evidence)
        assert isinstance(trial, Trial)
        return trial

    def why(self, code: str, line: int, **evidence: Any) -> str:
        (untried,) = self.trials(code, line, **evidence)
        assert isinstance(untried, Untried)
        return untried.why

    @property
    def only(self) -> Iteration:
        (row,) = self.recording.iterations
        return row

    @property
    def works(self) -> list[str]:
        """What the functions of the only pipeline do, the last first."""
        return [stage.work for stage in self.only.stages if stage.work]


def results(way: Way) -> Any:
    if way.before is not None:
        way.before()
    return take(way.results(way.run()))


def outcomes(trial: Trial) -> dict[str, Any]:
    """Of each way: whether its results are equal, and in its second run as well, or what not."""
    once, again = results(trial.present), results(trial.present)
    found: dict[str, Any] = {}
    for way in trial.ways:
        judged = [judge(once, again, results(way)) for _ in range(2)]
        found[way.name] = judged[0].equal if all(j.equal for j in judged) else judged[0].where
    return found


@pytest.mark.parametrize("code", EVIDENCE)
def test_the_slow_program_is_tried_in_every_way_with_equal_results(
    code: str, tmp_path: Path
) -> None:
    page = find_page(code)
    ran = Captured(tmp_path, page.slow)
    trial = ran.trial(code, page.marked_line(), **EVIDENCE[code])
    found = outcomes(trial)
    assert set(found) == WAYS[code]
    other = found.pop("one iterator", "")
    # "" stands for what the time was too short for, on a slow machine.
    assert set(found.values()) <= {True, "distribution", *([""] if code == "TF302" else [])}, found
    # What follows the first element is another one: that is told, and never recommended.
    assert isinstance(other, str)
    # All of the user's functions that it runs are told, so that they can be looked at first.
    own = {"scale", "sensor_rows", "parse", "decode", "load", "waves"} & set(ran.names)
    assert {function.__name__ for function in trial.functions} == own


@pytest.mark.parametrize("code", ["TF303", "TF304", "TF310", "TF311"])
def test_ways_that_are_edits_have_the_names_of_the_source(code: str) -> None:
    from unslow.catalogue import inspect
    from unslow.source.module import Module

    offered = {
        way.name
        for finding in inspect(Module.of(find_page(code).slow), [code])
        for way in finding.alternatives
    }
    assert offered <= WAYS[code]


PROGRAM = """\
import numpy as np
import tensorflow as tf
rows = tf.data.Dataset.from_tensor_slices(np.arange(6_000, dtype="float32").reshape(-1, 3))
{maps}
for element in made:
    pass
"""
MAPS, LOOP = 4, 5


def of(folder: Path, maps: str, **more: Any) -> Captured:
    return Captured(folder, PROGRAM.format(maps=maps), **more)


@pytest.mark.parametrize(
    "maps",
    [
        "made = rows.map(lambda x: x / 2).map(tf.sqrt).batch(8)",
        "made = rows.map(lambda x: x / 2).shuffle(100).batch(8)",
        "made = rows.shuffle(100).map(lambda x: x / 2).prefetch(2).batch(8, True).prefetch(1)",
        "made = rows.map(lambda x: x / 2, 2, deterministic=True).batch(8, num_parallel_calls=2)",
        "made = rows.repeat().map(lambda x: (x, x + 1)).batch(8).take(40)",
        "made = rows.cache().map(lambda x: {'a': x, 'b': -x}).batch(8).map(lambda row: row['a'])",
        "made = rows.map(lambda x: x / 2).batch(8).filter(lambda x: True).repeat(2).skip(3)",
        "made = rows.map(lambda x: x / 2).batch(8).shard(2, 1)",
        "made = tf.data.Dataset.zip((rows.shuffle(9), rows)).map(lambda x, y: x / 2 - y).batch(8)",
        "made = tf.data.Dataset.zip({'b': rows, 'a': (rows, rows)}).map("
        "lambda row: row['a'][1] + row['b']).batch(8)",
    ],
)
def test_batches_first_give_the_same_elements(maps: str, tmp_path: Path) -> None:
    ran = of(tmp_path, maps)
    assert outcomes(ran.trial("TF303", MAPS)) == {"batch, then map": True}


@pytest.mark.parametrize(
    ("maps", "work"),
    [
        ("made = rows.map(lambda x: tf.cast(x, tf.int32) * 2)", "alike"),
        ("made = rows.map(lambda x: tf.concat([x, x], axis=-1))", "alike"),
        ("made = rows.map(lambda x: tf.stack([x, x], axis=-1))", "alike"),
        ("made = rows.map(lambda x: tf.one_hot(tf.cast(x, tf.int32), 4))", "alike"),
        ("made = rows.map(lambda x: x * np.float32([1, 2, 3]))", "alike"),
        ("made = rows.map(lambda x: tf.stack([x, x]))", "plain"),
        ("made = rows.map(lambda x: tf.concat([x, x], axis=0))", "plain"),
        ("made = rows.map(lambda x: tf.reshape(x, [3, 1]) + tf.constant([[[1.0]]]))", "plain"),
        ("made = rows.map(lambda x: x - tf.reduce_mean(x))", "plain"),
        ("made = rows.map(lambda x: x[0] * x)", "plain"),
        ("made = rows.map(lambda x: tf.broadcast_to(x, [20_000, 3]) * 2)", "plain"),
        ("made = rows.take(9).map(lambda x: x + tf.zeros([20_000, 3]))", "plain"),
        ("made = rows.map(lambda x: x + tf.random.normal([3]))", "stateful"),
        ("made = rows.map(lambda x: tf.numpy_function(np.sin, [x], tf.float32))", "python"),
        ("made = rows.filter(lambda x: x[0] > 1)", "plain"),
    ],
)
def test_what_mapped_functions_do(maps: str, work: str, tmp_path: Path) -> None:
    assert of(tmp_path, maps).works == [work]


def test_rows_that_are_not_alike_have_no_batches_first(tmp_path: Path) -> None:
    ran = of(tmp_path, "made = rows.map(lambda x: x - tf.reduce_mean(x)).batch(8)")
    assert ran.why("TF303", MAPS).endswith(": none is known that fits it.")


def test_a_stage_that_cannot_be_made_anew_is_named(tmp_path: Path) -> None:
    ran = of(tmp_path, "made = rows.map(lambda x: x / 2).batch(8).window(2)")
    assert "Window" in ran.why("TF303", MAPS)


GENERATOR = """\
import numpy as np
import tensorflow as tf
def numbers(first=0):
    for number in range(int(first), 90):
        yield {rows}
made = tf.data.Dataset.from_generator(numbers, output_signature={signature}{more})
for element in made{stages}:
    pass
"""
GENERATED, SCALAR = 6, "tf.TensorSpec((), tf.int64)"
PAIR = "(tf.TensorSpec((2,)), tf.TensorSpec((), tf.string))"
NAMED = f"{{'a': {SCALAR}, 'b': tf.TensorSpec((None,))}}"


@pytest.mark.parametrize(
    ("rows", "signature", "more", "stages"),
    [
        ("number", SCALAR, "", ".batch(8)"),
        ("number", SCALAR, ", args=(40,)", ".batch(8)"),
        ("number", SCALAR, "", ".batch(8, drop_remainder=True)"),
        ("number", SCALAR, "", ".shuffle(20).batch(8)"),
        ("number", SCALAR, "", ".repeat().batch(8).take(30)"),
        ("number", SCALAR, "", ".map(lambda x: x + 1).batch(8).prefetch(1)"),
        ("str(number)", "tf.TensorSpec((), tf.string)", "", ".batch(8)"),
        ("[number, 1], str(number)", PAIR, "", ".batch(8)"),
        ("{'a': number, 'b': [1.5]}", NAMED, "", ".batch(8)"),
        ("number", "tf.TensorSpec(None, tf.int64)", "", ".batch(8)"),
    ],
)
def test_yielded_batches_give_the_same_elements(
    rows: str, signature: str, more: str, stages: str, tmp_path: Path
) -> None:
    source = GENERATOR.format(rows=rows, signature=signature, more=more, stages=stages)
    trial = Captured(tmp_path, source).trial("TF304", GENERATED)
    assert [function.__name__ for function in trial.functions if "<" not in function.__name__] == [
        "numbers"
    ]
    assert outcomes(trial) == {"yield batches": True}


def test_a_generator_that_is_used_up_is_not_tried(tmp_path: Path) -> None:
    source = GENERATOR.format(rows="number", signature=SCALAR, more="", stages=".batch(8)")
    source = source.replace("range(int(first), 90)", "source")
    source = source.replace("import numpy as np", "source = iter(range(90))")
    trial = Captured(tmp_path, source).trial("TF304", GENERATED)
    for way in (trial.present, *trial.ways):
        assert way.before is not None
        way.before()
        with pytest.raises(_captured.NoElements, match="used up"):
            way.run()


def test_a_generator_of_batches_is_not_tried(tmp_path: Path) -> None:
    source = GENERATOR.format(rows="number", signature=SCALAR, more="", stages=".take(3)")
    assert Captured(tmp_path, source).why("TF304", GENERATED)


def test_the_cache_stands_before_what_differs_in_each_epoch(tmp_path: Path) -> None:
    maps = "made = rows.map(tf.reduce_sum).shuffle(50).map(lambda x: x + tf.random.normal([]))"
    ran = of(tmp_path, maps)
    stages = ran.only.stages
    kept = _ways.kept_after(stages)
    assert kept is not None
    assert [stage.kind for stage in stages[kept:]] == ["Map", "TensorSlice"]
    # Whether two short readings of random rows differ by chance is not what is tested here.
    assert outcomes(ran.trial("TF306", MAPS, calls=3))["cache"] in (True, "distribution")


@pytest.mark.parametrize(
    "maps",
    [
        "made = rows.map(tf.reduce_sum).cache()",
        "made = rows.map(lambda x: x / 2)",
        "made = rows.shuffle(9).map(tf.reduce_sum)",
        "made = rows.map(lambda x: tf.reduce_sum(x) + tf.random.normal([]))",
    ],
    ids=["cached", "cheap", "shuffled", "random"],
)
def test_where_no_cache_is_tried(maps: str, tmp_path: Path) -> None:
    assert _ways.kept_after(of(tmp_path, maps).only.stages) is None


def test_a_cache_that_grows_too_large_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ways, "MOST_CACHED", 1_000)
    trial = of(tmp_path, "made = rows.map(tf.reduce_sum)").trial("TF306", MAPS, calls=3)
    results(trial.present)
    (way,) = trial.ways
    assert way.before is not None
    with pytest.raises(ValueError, match="its elements take more than"):
        way.before()


BRIDGED = """\
import numpy as np
import tensorflow as tf
rows = tf.data.Dataset.from_tensor_slices(np.arange(6_000, dtype="float32").reshape(-1, 3))
{function}
def load(x):
    return tf.numpy_function(work, [x], tf.float32)
for element in rows.map(load).batch(8):
    pass
"""


def of_bridged(folder: Path, function: str) -> tuple[Captured, int]:
    source = BRIDGED.format(function=function)
    return Captured(folder, source), source[: source.index("for element")].count("\n") + 1


PYTHON = {
    "slowest_share": 0.8,
    "slowest_threads": 2,
    "slowest_wall_seconds_per_call": 1e-4,
}


def test_the_python_that_a_pipeline_waits_for_is_tried_as_at_its_own_line(tmp_path: Path) -> None:
    ran, line = of_bridged(tmp_path, "def work(x): return np.sort(x)[::-1] * 2")
    call = next(
        n for n, each in enumerate(ran.path.read_text().splitlines(), 1) if "numpy_function" in each
    )
    trial = ran.trial("TF301", line, epochs=1, slowest=f"{ran.path}:{call}", **PYTHON)
    assert outcomes(trial)["native ops"] is True
    assert trial.share == 0.8
    evidence = {"wall_seconds_per_call": 1e-4, "threads": 2, "pipeline": True}
    for code in ("TF101", "TF305"):
        same = ran.trials(code, call, **evidence)[-1]
        assert isinstance(same, Trial)
        assert same.subject == trial.subject is not None
        assert {way.name for way in trial.ways} - {way.name for way in same.ways} <= {
            "batched in the bridge"
        }
        assert judge(*(results(each.present) for each in (trial, same, same))).equal is True
    other = ran.trials("TF101", call, **{**evidence, "threads": 1})[0]
    assert isinstance(other, Trial) and other.subject != trial.subject


def test_python_of_which_nothing_was_kept_is_told_by_its_line(tmp_path: Path) -> None:
    ran, line = of_bridged(tmp_path, "def work(x): return x * 2")
    why = ran.why("TF301", line, epochs=1, slowest="load.py:5", **PYTHON)
    assert "the Python of load.py:5" in why


def test_an_endless_dataset_is_read_for_a_moment(tmp_path: Path) -> None:
    ran = of(tmp_path, "made = rows.repeat().batch(8)\nmade = made.take(3)")
    (sample,) = ran.samples.every(DatasetMade)
    first, second, *_ = pipelines.chain(sample.dataset)
    endless = _captured.Captured(second.dataset, pipelines.chain(second.dataset), ())
    present = _captured.trial(endless, []).present
    assert first.kind == "Take"
    assert present.before is not None
    present.before()
    count = len(present.run())
    present.before()
    assert count > 0
    assert len(present.run()) == count


def test_elements_are_compared_together() -> None:
    rows = [
        (tf.constant([1.0, 2.0]), tf.constant("a")),
        (tf.constant([3.0, 4.0]), tf.constant("b")),
    ]
    last = (tf.constant([5.0]), tf.ragged.constant([[1], []]))
    count, structure, arrays, others = _captured.together([*rows, last])
    assert (count, structure) == (3, [(0, 0)])
    assert [array.tolist() for array in arrays] == [
        [[1.0, 2.0], [3.0, 4.0]],
        [b"a", b"b"],
        [[5.0]],
    ]
    assert others == [last[1]]


def test_elements_are_kept_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_captured, "MOST_BYTES", 100)
    trial = of(tmp_path, "made = rows.map(lambda x: x / 2).batch(8)").trial("TF303", MAPS)
    for way in (trial.present, *trial.ways):
        assert way.before is not None
        way.before()
        assert len(way.run()) == 2


def test_nothing_is_kept_without_experiments(tmp_path: Path) -> None:
    ran = of(tmp_path, "made = rows.batch(8)", limit=0)
    assert ran.samples.every(DatasetMade) == ()
    assert ran.why("TF303", MAPS).startswith("The pipeline is gone")


def test_one_dataset_is_kept_of_a_place_and_its_bytes_are_counted_once(tmp_path: Path) -> None:
    maps = (
        "made = rows.batch(8)\nfor element in (*made, *made):\n    pass\nfor _ in made, made: [*_]"
    )
    ran = of(tmp_path, maps)
    assert len(ran.samples.every(DatasetMade)) == 4
    assert ran.samples.bytes == 4 * 6_000


def test_a_dataset_with_much_data_is_not_kept_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iterators, "LARGE", 1_000)
    ran = of(tmp_path, "made = rows.map(lambda x: x / 2).batch(8)")
    assert isinstance(ran.trials("TF303", MAPS)[0], Trial)
    assert ran.samples.bytes == 0
    alive = weakref.ref(ran.names["made"])
    ran.names.clear()
    gc.collect()
    assert alive() is None
    assert ran.why("TF303", MAPS).startswith("The pipeline is gone")


def test_epochs_count_the_first_dataset_of_a_line_alone(tmp_path: Path) -> None:
    source = PROGRAM.format(maps="made = rows.batch(2_000)").replace(
        "for element in made:", "for element in [*made, *made]:"
    )
    ran = Captured(tmp_path, source)
    assert (ran.only.epochs, ran.only.iterators) == (2, 2)
    loop = (
        "for made in [made, rows, made]:\n  for element in made.take(1) if made is rows else made:"
    )
    source = PROGRAM.format(maps="made = rows.batch(2_000)").replace("for element in made:", loop)
    source = source.replace("    pass", "      pass")
    ran = Captured(tmp_path, source)
    assert (ran.only.epochs, ran.only.iterators) == (2, 3)


def test_what_is_done_with_elements_is_timed(tmp_path: Path) -> None:
    source = PROGRAM.format(maps="import time; made = rows.batch(500)")
    ran = Captured(tmp_path, source.replace("    pass", "    time.sleep(0.01)"))
    row = ran.only
    assert 3 * 0.01 <= row.work_seconds <= ran.recording.wall
    assert row.work_cpu_seconds >= 0


STEPS = """\
import numpy as np
import tensorflow as tf
total = tf.Variable(0.0)
@tf.function
def step(batch):
    return total.assign_add(tf.reduce_sum(batch))
rows = tf.data.Dataset.from_tensor_slices(np.ones((6_000, 3), "float32"))
for element in rows.map(lambda x: x / 2).batch(8):
    step(element)
"""


def test_the_step_that_a_loop_does_with_each_element_is_done_beside(tmp_path: Path) -> None:
    ran = Captured(tmp_path, STEPS)
    (wait,) = _waits.waits(ran.recording)
    told = _steps.evidence(ran.recording, wait)
    assert told["step"]["line"] == 9
    assert told["step"]["calls"] == 750
    assert 0 < told["step"]["seconds"] <= told["step"]["work_seconds"]
    trial = ran.trial("TF303", 8, **told)
    assert trial.beside is not None
    assert trial.beside.claim == Claim(str(ran.path), 9, "graph", told["step"]["seconds"])
    assert trial.instead is not None and trial.instead.beside is None
    assert "step() called with each" in trial.inputs
    assert ran.names["step"].python_function in trial.functions

    before = ran.names["total"].numpy()
    results(trial.present)
    assert ran.names["total"].numpy() > before
    (outcome,) = run_trial(trial, 10.0, lambda way, limit: None)
    assert isinstance(outcome, Outcome) and outcome.beside is not None
    assert told["step"]["seconds"] <= outcome.beside.seconds <= told["step"]["work_seconds"]
    assert outcome.alternative.proof is not None and outcome.alternative.proof.equal is True


OPS = STEPS.replace(
    "    step(element)",
    """\
    low = tf.reduce_sum(element)
    total.assign_add(low + low + 1.0)
for left in range(30):
    tf.exp(low)""",
)


def test_the_ops_that_a_loop_runs_with_each_element_are_run_beside(tmp_path: Path) -> None:
    ran = Captured(tmp_path, OPS)
    (wait,) = _waits.waits(ran.recording)
    told = _steps.evidence(ran.recording, wait)
    ops = {(each["line"], each["op"], each["times"]) for each in told["step"]["ops"]}
    assert {(9, "Sum", 1), (10, "AddV2", 2)} <= ops
    assert not any(op == "Exp" for _, op, _ in ops)
    assert told["step"]["calls"] == 750
    trial = ran.trial("TF303", 8, **told)
    # What changes a variable is left out.
    assert trial.beside is not None and "the loop's 3 ops run with each" in trial.inputs
    assert trial.beside.claim.part == "eager"
    tried = [each for each in told["step"]["ops"] if each["op"] in ("Sum", "AddV2")]
    seconds = sum(each["seconds"] for each in tried)
    assert trial.beside.claim.seconds == pytest.approx(min(seconds, told["step"]["work_seconds"]))

    before = ran.names["total"].numpy()
    results(trial.present)
    assert ran.names["total"].numpy() == before
    (outcome,) = run_trial(trial, 10.0, lambda way, limit: None)
    assert isinstance(outcome, Outcome) and outcome.beside is not None
    assert trial.beside.claim.seconds <= outcome.beside.seconds <= told["step"]["work_seconds"]
    assert outcome.alternative.proof is not None and outcome.alternative.proof.equal is True


LARGE_OPS = """\
import tensorflow as tf
large = tf.zeros([2**22])
for element in tf.data.Dataset.range(40):
    tf.reduce_sum(large)
    tf.reduce_max(large)
    tf.reduce_min(large)
    tf.exp(1.0)
"""


def test_ops_with_large_arguments_are_kept_up_to_a_bound(tmp_path: Path) -> None:
    ran = Captured(tmp_path, LARGE_OPS)
    kept = [call.op for call in ran.samples.every(RepeatedOp)]
    assert kept.count("Sum") == 1 and "Exp" in kept and "Min" not in kept


@pytest.mark.parametrize(
    "loop", ["    for _ in range(2): step(element)", "    pass\nstep(element)"]
)
def test_what_is_not_done_once_with_each_element_is_no_step(loop: str, tmp_path: Path) -> None:
    ran = Captured(tmp_path, STEPS.replace("    step(element)", loop))
    (wait,) = _waits.waits(ran.recording)
    assert _steps.evidence(ran.recording, wait) == {}


def test_stages_that_are_looked_at_are_no_reads_of_the_programs(tmp_path: Path) -> None:
    ran = of(tmp_path, "made = rows.shuffle(9).batch(8).take(3).repeat(2)")
    assert ran.recording.syncs == ()
    assert ran.only.stages[2].batch_size == 8


def test_trials_come_in_iterators(tmp_path: Path) -> None:
    ran = of(tmp_path, "made = rows.batch(8)")
    found = find_page("TF301").trials(ran.finding("TF301", LOOP, epochs=1), ran.samples)
    assert isinstance(found, Iterator)
    assert isinstance(next(found), Untried)
