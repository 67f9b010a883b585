"""What the pages of the border try: on what was captured, with which results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from recorded import Recorded

from unslow.catalogue import page as find_page
from unslow.catalogue.border import _bridges, _calls
from unslow.catalogue.border.rewrites import Rewrite, rewrites
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.experiment.values.equality import judge
from unslow.experiment.values.snapshot import take
from unslow.finding import Cost, Finding, Site
from unslow.recording.arrays import copy_of, size_of
from unslow.recording.bridge_samples import MOST_BYTES, MOST_CALLS
from unslow.recording.samples import (
    BridgeCall,
    Converted,
    OpCall,
    RowLoopCall,
    TensorRead,
)

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

PAGES = ("TF101", "TF102", "TF103", "TF104", "TF105", "TF107")


def results(way: Way) -> Any:
    if way.before is not None:
        way.before()
    return take(way.results(way.run()))


def outcomes(trial: Trial) -> dict[str, Any]:
    """Of each way: whether its results are equal, and in its second run as well, or what not."""
    once, again = results(trial.present), results(trial.present)
    found: dict[str, Any] = {}
    for way in trial.ways:
        try:
            given = results(way), results(way)
        except Exception as error:
            found[way.name] = repr(error)
            continue
        judged = [judge(once, again, each) for each in given]
        found[way.name] = all(each.equal for each in judged) or judged[0].where
    return found


def only(trials: Iterator[Trial | Untried]) -> Trial:
    (trial,) = (each for each in trials if isinstance(each, Trial))
    return trial


def why(trials: Iterator[Trial | Untried]) -> str:
    (untried,) = trials
    assert isinstance(untried, Untried)
    return untried.why


def finding(code: str, path: Path, line: int, **evidence: Any) -> Finding:
    page = find_page(code)
    site = Site(str(path), line)
    evidence = {"calls": 100, "seconds": 1.0, **evidence}
    return Finding(code, page.name, "problem", site, "", Cost(1.0, 100), evidence)


WAYS = {
    "TF101": {_calls.ALONE, _calls.BATCHED, "the function once for each batch"},
    "TF102": {"convert once before the loop"},
    "TF103": {"np.asarray, without a copy"},
    "TF104": {"take all values out at once", "tf.unstack once"},
    "TF105": {"np.stack first"},
    "TF107": {"tf.vectorized_map"},
}

FEWER = {
    "TF101": ("(6000,", "(300,"),
    "TF102": ("((80, 128))", "((12, 128))"),
    "TF103": ("range(400)", "range(40)"),
    "TF104": ("12_000", "600"),
    "TF105": ("64, 64, 3", "16, 16, 3"),
    "TF107": ("3_000", "400"),
}
"""What makes the slow programs quick."""

EVIDENCE: dict[str, dict[str, Any]] = {
    "TF101": {"wall_seconds_per_call": 1e-4, "pipeline": True, "threads": 1},
    "TF102": {"seconds_per_call": 1e-2, "op_seconds": 0.0},
    "TF103": {"method": "numpy"},
    "TF104": {},
    "TF105": {},
    "TF107": {"calls": 1, "seconds_per_row": 1e-3},
}


@pytest.mark.parametrize("code", PAGES)
def test_the_slow_program_is_tried_in_every_way_with_equal_results(
    code: str, tmp_path: Path
) -> None:
    page = find_page(code)
    ran = Recorded(tmp_path, page.slow.replace(*FEWER[code]))
    at = finding(code, ran.path, page.marked_line(), **EVIDENCE[code])
    trial = only(iter(page.trials(at, ran.samples)))
    found = outcomes(trial)
    # What other rooms offer instead of a function comes on top.
    assert {name for name in found if not name.startswith("native ops")} == WAYS[code]
    assert found == dict.fromkeys(found, True)
    assert trial.inputs and trial.share > 0


@pytest.mark.parametrize("code", PAGES)
def test_nothing_is_kept_where_no_experiments_are_wanted(code: str, tmp_path: Path) -> None:
    page = find_page(code)
    ran = Recorded(tmp_path, page.slow.replace(*FEWER[code]), limit=0)
    assert ran.samples.bytes == 0
    at = finding(code, ran.path, page.marked_line(), **EVIDENCE[code])
    assert why(iter(page.trials(at, ran.samples)))


def test_names_of_ways_are_those_of_the_edits() -> None:
    from unslow.source.module import Module

    joined = {"TF102", "TF104", "TF105", "TF107"}
    for code in joined:
        page = find_page(code)
        (suspicion,) = page.in_source(Module.of(page.slow))
        assert {each.name for each in suspicion.alternatives} <= WAYS[code]


BRIDGES = """\
import numpy as np
import tensorflow as tf


def draw(image, seed):
    rng = np.random.default_rng(seed)
    image[:] = image + rng.random(image.shape, np.float32)
    return image, np.int64(seed)


def roughness(image):
    return tf.reduce_sum(tf.abs(image[1:] - image[:-1]))


def name(number):
    return f"photo {number}".encode()


def rows(number):
    return np.zeros((number % 3, 2), np.float32)


def step(image, seed):
    drawn, again = tf.numpy_function(draw, [image, seed], [tf.float32, tf.int64])
    rough = tf.py_function(roughness, [image], tf.float32)
    text = tf.numpy_function(name, [seed], tf.string)
    ragged = tf.numpy_function(rows, [seed], tf.float32)
    return drawn, again, rough, text, tf.shape(ragged)


images = np.random.default_rng(0).random((64, 8, 8, 3), dtype=np.float32)
dataset = tf.data.Dataset.from_tensor_slices(images).enumerate()
for each in dataset.map(lambda seed, image: step(image, seed)):
    pass
"""

LINES = {"draw": 24, "roughness": 25, "name": 26, "rows": 27}


@pytest.fixture(scope="module")
def bridges(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("bridges"), BRIDGES)


def tried(ran: Recorded, function: str, pipeline: bool = True) -> Trial:
    return only(_bridges.trials(ran.kept(BridgeCall, LINES[function]), 1e-4, pipeline, threads=1))


class TestBridges:
    def test_arguments_are_copied_before_the_function_writes_into_them(
        self, bridges: Recorded
    ) -> None:
        calls = bridges.kept(BridgeCall, LINES["draw"])
        images = np.random.default_rng(0).random((64, 8, 8, 3), dtype=np.float32)
        for call, image in zip(calls, images[1:], strict=False):
            np.testing.assert_array_equal(call.arguments[0], image)

    def test_a_bounded_number_of_calls_is_kept_the_first_left_out(self, bridges: Recorded) -> None:
        calls = bridges.kept(BridgeCall, LINES["draw"])
        assert len(calls) == MOST_CALLS
        assert [int(call.arguments[1]) for call in calls] == list(range(1, MOST_CALLS + 1))

    def test_a_function_that_writes_into_its_argument_gets_a_fresh_one_in_every_run(
        self, bridges: Recorded
    ) -> None:
        found = outcomes(tried(bridges, "draw"))
        assert found[_calls.ALONE] is True
        assert found[_calls.BATCHED] is True

    def test_a_function_that_does_not_take_a_batch_is_not_taken_for_equal(
        self, bridges: Recorded
    ) -> None:
        found = outcomes(tried(bridges, "draw"))
        assert found["the function once for each batch"] is not True

    def test_functions_of_tensors(self, bridges: Recorded) -> None:
        found = outcomes(tried(bridges, "roughness"))
        assert found == {_calls.ALONE: True, _calls.BATCHED: True}

    def test_functions_that_return_text(self, bridges: Recorded) -> None:
        found = outcomes(tried(bridges, "name"))
        assert found[_calls.ALONE] is True
        assert found[_calls.BATCHED] is True

    def test_only_calls_with_alike_results_make_a_batch(self, bridges: Recorded) -> None:
        calls = bridges.kept(BridgeCall, LINES["rows"])
        chosen = _bridges.alike(calls, 1e-4)
        assert len({call.outputs for call in chosen}) == 1 < len(chosen) < len(calls)
        assert outcomes(tried(bridges, "rows"))[_calls.BATCHED] is True

    def test_slow_functions_are_called_less_often(self, bridges: Recorded) -> None:
        calls = bridges.kept(BridgeCall, LINES["draw"])
        assert len(_bridges.alike(calls, 0.0)) == MOST_CALLS
        assert len(_bridges.alike(calls, 0.01)) < MOST_CALLS
        assert len(_bridges.alike(calls, 5.0)) == _bridges.LEAST_CALLS

    def test_quick_functions_are_called_more_often(self, bridges: Recorded) -> None:
        calls = _bridges.alike(bridges.kept(BridgeCall, LINES["draw"]), 1e-5)
        assert _bridges.times(calls, 1e-5) == _bridges.BATCH // MOST_CALLS > 1
        assert _bridges.times(calls, 1e-2) == 1
        trial = tried(bridges, "draw")
        assert trial.inputs == "32 of your images"

    def test_a_compiled_function_makes_no_batches(self, bridges: Recorded) -> None:
        trial = tried(bridges, "draw", pipeline=False)
        # TensorFlow's ops can take its place; they are in tests of their own.
        named = [way for way in trial.ways if not way.name.startswith("native ops")]
        assert [(way.name, way.yardstick) for way in named] == [(_calls.ALONE, True)]

    def test_the_users_own_functions_are_named_for_the_guard(self, bridges: Recorded) -> None:
        (function,) = tried(bridges, "draw").functions
        assert function.__name__ == "draw"

    def test_processes_give_equal_results(self, bridges: Recorded) -> None:
        at = finding("TF305", bridges.path, LINES["draw"], threads=2, wall_seconds_per_call=1e-4)
        each = next(iter(find_page("TF305").trials(at, bridges.samples)))
        if isinstance(each, Untried):
            pytest.skip(each.why)
        (way,) = (way for way in each.ways if way.name.startswith("in "))
        assert outcomes(replace(each, ways=(way,))) == {way.name: True}
        assert not each.exhaustive

    def test_tensors_do_not_go_to_another_process(self, bridges: Recorded) -> None:
        at = finding("TF305", bridges.path, LINES["roughness"], threads=2)
        assert "tensors" in why(iter(find_page("TF305").trials(at, bridges.samples)))


def test_what_other_rooms_offer_is_tried_as_ops_too(bridges: Recorded) -> None:
    calls = _bridges.alike(bridges.kept(BridgeCall, LINES["name"]), 0.0)
    bridged = _calls.Bridged(calls)

    def with_ops(numbers: Any) -> Any:
        return tf.strings.join(["photo ", tf.strings.as_string(numbers)])

    way = bridged.rewritten(Rewrite("native", with_ops, in_python=False))
    assert outcomes(Trial(bridged.mapped(), (way,), ""))["native"] is True
    assert "the function once for each batch" in [each.name for each in rewrites(calls[0])]


def test_large_arguments_are_kept_up_to_a_bound(tmp_path: Path) -> None:
    source = """\
import numpy as np
import tensorflow as tf

large = tf.zeros((1024, 1024, 2))


@tf.function
def step(number):
    return tf.numpy_function(lambda array, _: array[0, 0, 0], [large, number], tf.float32)


for number in tf.range(12):
    step(number)
"""
    ran = Recorded(tmp_path, source)
    calls = ran.kept(BridgeCall, 9)
    assert 0 < sum(size_of(call.arguments) for call in calls) <= MOST_BYTES
    assert len(calls) < 11


OPS = """\
import numpy as np
import tensorflow as tf

scores = np.random.default_rng(0).random((4000, 50))
weights = tf.ones((50, 3))
state = tf.Variable(tf.zeros((4000, 50), tf.float64))
table = np.random.default_rng(0).random((4000, 50)).astype(np.float32)
for index in range(200):
    best = tf.argmax(scores, axis=1)
    product = tf.matmul(table, weights)
    tf.raw_ops.AssignAddVariableOp(resource=state.handle, value=scores)
    fresh = tf.reduce_sum(np.full((40, 50), index))
    part = weights[:, 1]
"""


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("ops"), OPS)


class TestArrays:
    evidence: ClassVar[dict[str, float]] = {"seconds_per_call": 1e-4, "op_seconds": 2.0}

    @pytest.mark.parametrize("line", [9, 10])
    def test_an_op_is_done_again_with_a_tensor(self, ops: Recorded, line: int) -> None:
        at = finding("TF102", ops.path, line, **self.evidence)
        trial = only(iter(find_page("TF102").trials(at, ops.samples)))
        (equal,) = outcomes(trial).values()
        assert equal is True

    def test_the_ratio_of_an_op_stands_for_all_that_the_op_took(self, ops: Recorded) -> None:
        at = finding("TF102", ops.path, 9, **self.evidence)
        assert not ops.kept(Converted, 9)
        assert only(iter(find_page("TF102").trials(at, ops.samples))).share == 2.0

    def test_an_op_that_changes_a_variable_is_left_alone(self, ops: Recorded) -> None:
        at = finding("TF102", ops.path, 11, **self.evidence)
        assert [call.op for call in ops.kept(OpCall, 11)] == ["AssignAddVariableOp"]
        assert "variable" in why(iter(find_page("TF102").trials(at, ops.samples)))

    def test_an_array_that_is_new_in_every_round_is_not_kept(self, ops: Recorded) -> None:
        assert not ops.kept(Converted, 12)
        assert not [call for call in ops.kept(OpCall, 12) if _has_array(call)]

    @pytest.mark.parametrize("call", ["convert_to_tensor", "argmax"])
    def test_an_array_that_the_program_writes_into_is_left_alone(
        self, tmp_path: Path, call: str
    ) -> None:
        source = f"""\
import numpy as np
import tensorflow as tf

table = np.zeros((500, 1000), np.float32)
for index in range(80):
    table[3, 7] += index == 70
    tf.{call}(table)
"""
        ran = Recorded(tmp_path, source)
        (row,) = [each for each in ran.recording.conversions if each.site.line == 7]
        assert row.repeats > 40
        at = finding("TF102", ran.path, 7, **self.evidence)
        assert "writes into" in why(iter(find_page("TF102").trials(at, ran.samples)))

    def test_slices_that_are_no_elements_are_not_walked(self, ops: Recorded) -> None:
        at = finding("TF104", ops.path, 13)
        assert ops.kept(OpCall, 13)
        assert "no single elements" in why(iter(find_page("TF104").trials(at, ops.samples)))

    def test_each_place_keeps_few(self, ops: Recorded) -> None:
        for line in range(8, 14):
            assert len(ops.kept(OpCall, line)) <= 4
            assert len(ops.kept(Converted, line)) <= 2


def _has_array(call: OpCall) -> bool:
    return any(isinstance(value, np.ndarray) for value in call.arguments)


def test_reads_of_numbers_have_no_other_way(tmp_path: Path) -> None:
    at = finding("TF103", tmp_path / "program.py", 1, method="__float__")
    ran = Recorded(tmp_path, "")
    assert why(iter(find_page("TF103").trials(at, ran.samples)))


def test_a_loop_over_a_nest_of_rows(tmp_path: Path) -> None:
    source = """\
import tensorflow as tf

rows = {"a": tf.random.normal((600, 3)), "b": tf.range(600)}
for _ in range(2):
    tf.map_fn(lambda row: row["a"] * tf.cast(row["b"], tf.float32), rows,
              fn_output_signature=tf.float32)
"""
    ran = Recorded(tmp_path, source)
    assert len(ran.kept(RowLoopCall, 5)) in (1, 2)
    at = finding("TF107", ran.path, 5, calls=2, seconds_per_row=1e-3)
    (equal,) = outcomes(only(iter(find_page("TF107").trials(at, ran.samples)))).values()
    assert equal is True


IN_GRAPH = """\
import tensorflow as tf


def even(row):
    return row - tf.reduce_mean(row)


@tf.function
def evened(rows):
    doubled = tf.map_fn(lambda row: row * 2.0, rows)
    return tf.map_fn(even, doubled)


rows = tf.random.stateless_normal((4000, 3), (1, 2))
for _ in range(6):
    evened(rows)
"""


def test_a_loop_in_a_compiled_function_is_traced_again_with_all_rows_at_once(
    tmp_path: Path,
) -> None:
    ran = Recorded(tmp_path, IN_GRAPH)
    for line in (10, 11):
        at = finding("TF107", ran.path, line)
        trial = only(iter(find_page("TF107").trials(at, ran.samples)))
        assert trial.inputs.endswith("of the calls of evened()")
        (equal,) = outcomes(trial).values()
        assert equal is True
    assert tf.map_fn.__module__.startswith("tensorflow.")


def test_a_loop_is_found_in_a_program_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # AutoGraph keeps what it made of equal code, with the file that it first saw it in.
    ran = Recorded(tmp_path, IN_GRAPH.replace("2.0", "3.0"))
    at = finding("TF107", Path(ran.path.name), 10)
    assert outcomes(only(iter(find_page("TF107").trials(at, ran.samples)))) == {
        "tf.vectorized_map": True
    }


def test_a_line_in_no_compiled_function_has_no_trial(tmp_path: Path) -> None:
    ran = Recorded(tmp_path, IN_GRAPH)
    assert why(iter(find_page("TF107").trials(finding("TF107", ran.path, 6), ran.samples)))


def test_lists_are_kept_as_they_were(tmp_path: Path) -> None:
    source = """\
import numpy as np
import tensorflow as tf

batch = []
for number in range(40):
    batch.append(np.full((20, 20), number, np.float64))
    if len(batch) == 10:
        tf.convert_to_tensor(batch, tf.float32)
        batch.clear()
"""
    ran = Recorded(tmp_path, source)
    samples = ran.kept(Converted, 8)
    assert [len(sample.value) for sample in samples] == [10, 10]
    at = finding("TF105", ran.path, 8)
    (equal,) = outcomes(only(iter(find_page("TF105").trials(at, ran.samples)))).values()
    assert equal is True


def test_tensors_that_are_copied_out_are_kept(tmp_path: Path) -> None:
    source = """\
import tensorflow as tf

photo = tf.zeros((1000, 1000))
for _ in range(30):
    photo.numpy()
    tf.constant(1.0).numpy()
"""
    ran = Recorded(tmp_path, source)
    reads = ran.kept(TensorRead, 5)
    assert 0 < len(reads) <= 2
    assert all(tuple(read.tensor.shape) == (1000, 1000) for read in reads)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (np.zeros((3, 4), np.float32), 48),
        (np.float64(1), 8),
        (tf.zeros((3, 4), tf.float16), 24),
        ([tf.zeros(2), {"a": np.zeros(2, np.int8)}], 10),
        (b"abc", 3),
        (None, 0),
        ("MatMul", 6),
        (7, 0),
    ],
)
def test_sizes(value: Any, size: int) -> None:
    assert size_of(value) == size


def test_copies() -> None:
    array = np.zeros(3)
    copy = copy_of(array)
    array[0] = 1
    assert copy[0] == 0
    tensor = tf.zeros(3)
    assert copy_of(tensor) is tensor
    assert copy_of(b"text") == b"text"


def test_no_bridge_is_measured_without_calls(tmp_path: Path) -> None:
    ran = Recorded(tmp_path, "import tensorflow as tf\ntf.zeros(3)\n")
    assert ran.recording.bridges == ()
    calls: Sequence[BridgeCall] = ()
    assert why(_bridges.trials(calls, 1e-3, True, 1))


def test_the_way_to_python_and_back_is_measured_where_calls_come_in_turn(
    bridges: Recorded,
) -> None:
    rows = {row.function: row for row in bridges.recording.bridges}
    assert all((row.crossing_seconds > 0) == (row.threads < 2) for row in rows.values())
    assert rows.keys() == LINES.keys()
