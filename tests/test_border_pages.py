"""The pages of the border between Python and TensorFlow, on recordings made by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from handmade import a_run, assert_well_made

from unslow.catalogue.border.array_to_tensor import ArrayToTensor
from unslow.catalogue.border.list_of_arrays import ListOfArrays
from unslow.catalogue.border.numpy_function import NumpyFunction
from unslow.catalogue.border.row_loop import RowLoop as RowLoopPage
from unslow.catalogue.border.tensor_iteration import TensorIteration
from unslow.catalogue.border.tensor_to_array import TensorToArray
from unslow.catalogue.page import Page
from unslow.finding import Claim, Finding, Site
from unslow.recording.data import (
    Bridge,
    Conversion,
    FunctionCalls,
    GraphOp,
    LineTime,
    OpCount,
    Recording,
    RowLoop,
    Setting,
    Sync,
    Window,
)

LINE = Site("train.py", 7, "train", 7, 5)
OTHER = Site("train.py", 8, "train", 8, 5)
LOADER = Site("load.py", 5, "load")


def recording(**tables: Any) -> Recording:
    return a_run({"imports": 3.0, "eager": 3.0, "convert": 2.0, "python": 2.0}, **tables)


def line(site: Site = LINE, **parts: float) -> tuple[LineTime, ...]:
    return (LineTime(site, parts),)


def only(page: Page, seen: Recording) -> Finding:
    (finding,) = page.in_recording(seen)
    assert_well_made(finding, page)
    assert finding.site.column is None
    return finding


def silent(page: Page, seen: Recording) -> bool:
    return not list(page.in_recording(seen))


class TestNumpyFunction:
    page = NumpyFunction()

    def bridge(self, **changes: Any) -> Bridge:
        row = Bridge(
            site=LOADER,
            kind="numpy_function",
            function="rotate",
            definition=Site("load.py", 1, "rotate"),
            calls=6400,
            seconds=3.2,
            cpu_seconds=3.0,
            busy_seconds=3.2,
            waited_seconds=2.5,
            threads=1,
            bytes=6_400_000,
            rank=3,
            pipeline=True,
            claims=(Claim("train.py", 7, "bridge", 2.5),),
        )
        return dataclasses.replace(row, **changes)

    def test_a_pipeline_that_runs_python_per_element(self) -> None:
        finding = only(self.page, recording(bridges=(self.bridge(),)))
        assert finding.site == LOADER
        assert finding.cost.claims == (Claim("train.py", 7, "bridge", 2.5),)
        assert finding.evidence["seconds_per_call"] == pytest.approx(0.0005)
        assert finding.message == (
            "Python ran rotate() 6\u202f400 times inside the input pipeline, 500 µs each, "
            "one at a time; the program waited 2.5 s for it."
        )

    def test_threads_that_take_turns(self) -> None:
        row = self.bridge(threads=4, seconds=12.8, pipeline=False, kind="py_function")
        finding = only(self.page, recording(bridges=(row,)))
        assert "from a compiled function" in finding.message
        assert "up to 4 under way, one lock for all" in finding.message

    @pytest.mark.parametrize(
        "changes",
        [
            {"kind": "generator"},
            {"calls": 20},
            {"claims": (Claim("train.py", 7, "bridge", 0.01),)},
            {"claims": ()},
            {"cpu_seconds": 0.1},
            {"cpu_seconds": 9.0, "threads": 4, "seconds": 12.0},
        ],
        ids=["generator", "few calls", "short", "hidden by prefetching", "sleeps", "parallel"],
    )
    def test_look_alikes(self, changes: dict[str, Any]) -> None:
        assert silent(self.page, recording(bridges=(self.bridge(**changes),)))

    def test_the_debug_mode_of_pipelines_is_another_cause(self) -> None:
        row = self.bridge(definition=None, kind="py_function")
        setting = Setting("tf.data debug mode", LINE)
        assert silent(self.page, recording(bridges=(row,), settings=(setting,)))


class TestArrayToTensor:
    page = ArrayToTensor()

    def conversion(self, **changes: Any) -> Conversion:
        row = Conversion(LINE, "array", "convert", "float64", 100, 99, 1.0, 800_000_000)
        return dataclasses.replace(row, **changes)

    def test_the_same_array_again_and_again(self) -> None:
        seen = recording(conversions=(self.conversion(),), lines=line(convert=1.0, eager=1.0))
        finding = only(self.page, seen)
        assert finding.site == LINE.at_line
        assert finding.cost.claims == (Claim("train.py", 7, "convert", 0.99),)
        assert finding.evidence["repeats"] == 99
        assert finding.evidence["bytes"] == 792_000_000
        assert finding.message == (
            "The same float64 array of 8 MB was made into a tensor 99 times more than needed, "
            "10 ms each."
        )

    def test_inside_an_op_it_claims_the_op_s_time_and_no_more(self) -> None:
        seen = recording(conversions=(self.conversion(road="op"),), lines=line(convert=0.5))
        assert only(self.page, seen).cost.claims == (Claim("train.py", 7, "convert", 0.5),)

    @pytest.mark.parametrize(
        "changes",
        [
            {"repeats": 2},
            {"seconds": 0.01},
            {"kind": "arrays"},
            {"main": False},
            {"bytes": 400},
        ],
        ids=["new arrays", "short", "list", "another thread", "tiny"],
    )
    def test_look_alikes(self, changes: dict[str, Any]) -> None:
        row = self.conversion(**changes)
        assert silent(self.page, recording(conversions=(row,), lines=line(convert=1.0)))


class TestTensorToArray:
    page = TensorToArray()

    def test_many_syncs_at_one_line(self) -> None:
        rows = (
            Sync(LINE, "numpy", 200, 0.4, 400_000_000),
            Sync(dataclasses.replace(LINE, column=30), "__float__", 200, 0.1, 1600),
        )
        finding = only(self.page, recording(syncs=rows, lines=line(convert=0.5, python=1.0)))
        assert finding.cost.claims == (Claim("train.py", 7, "convert", 0.5),)
        assert finding.cost.calls == 400
        assert finding.evidence["method"] == "numpy"
        assert finding.message == (
            "400 tensors, 400 MB in all, left TensorFlow through .numpy(): 1.25 ms each, "
            "the wait for their ops included."
        )

    @pytest.mark.parametrize(
        "row",
        [
            Sync(LINE, "numpy", 3, 0.5, 400_000_000),
            Sync(LINE, "__float__", 100_000, 0.3, 800_000),
            Sync(LINE, "numpy", 200, 0.01, 1_000_000),
            Sync(LINE, "numpy", 200, 0.5, 400_000_000, main=False),
        ],
        ids=["once", "ready numbers", "short", "another thread"],
    )
    def test_look_alikes(self, row: Sync) -> None:
        assert silent(self.page, recording(syncs=(row,), lines=line(convert=0.5)))


class TestTensorIteration:
    page = TensorIteration()
    ops = (OpCount(LINE, "StridedSlice", 12_000, 0.2),)

    def test_a_walk_over_a_tensor(self) -> None:
        finding = only(self.page, recording(ops=self.ops, lines=line(eager=0.2, python=0.4)))
        assert finding.site == LINE.at_line
        assert {c.part: c.seconds for c in finding.cost.claims} == {"eager": 0.2, "python": 0.4}
        assert finding.message == (
            "12\u202f000 elements were taken out of a tensor one by one, 50 µs each; what was done "
            "with each of them comes on top."
        )

    def test_shares_the_python_of_its_line_with_other_ops(self) -> None:
        ops = (*self.ops, OpCount(LINE, "Mul", 12_000, 0.1))
        finding = only(self.page, recording(ops=ops, lines=line(eager=0.3, python=0.4)))
        assert {c.part: c.seconds for c in finding.cost.claims} == {"eager": 0.2, "python": 0.2}

    def test_does_not_claim_other_python_of_the_line(self) -> None:
        finding = only(self.page, recording(ops=self.ops, lines=line(eager=0.2, python=9.0)))
        assert finding.cost.seconds == pytest.approx(1.0)

    @pytest.mark.parametrize(
        "row",
        [
            OpCount(LINE, "StridedSlice", 100, 0.2),
            OpCount(LINE, "StridedSlice", 600, 0.3),
            OpCount(LINE, "MatMul", 12_000, 0.3),
            OpCount(LINE, "StridedSlice", 12_000, 0.2, main=False),
            OpCount(LINE, "StridedSlice", 12_000, 0.2, keras=True),
        ],
        ids=["few", "large slices", "another op", "another thread", "by Keras"],
    )
    def test_look_alikes(self, row: OpCount) -> None:
        assert silent(self.page, recording(ops=(row,), lines=line(eager=0.3, python=0.4)))


class TestListOfArrays:
    page = ListOfArrays()
    row = Conversion(LINE, "arrays", "convert", "float32", 6, 0, 1.2, 14_700_000, elements=300)

    def test_lists_of_arrays(self) -> None:
        finding = only(self.page, recording(conversions=(self.row,), lines=line(convert=1.2)))
        assert finding.cost.claims == (Claim("train.py", 7, "convert", 1.2),)
        assert finding.evidence["arrays"] == 300
        assert finding.message == (
            "300 arrays in 6 lists, 14.7 MB in all, were made into tensors number by number: "
            "4 ms an array."
        )

    @pytest.mark.parametrize(
        "changes", [{"kind": "list"}, {"kind": "array"}, {"seconds": 0.001}, {"main": False}]
    )
    def test_look_alikes(self, changes: dict[str, Any]) -> None:
        row = dataclasses.replace(self.row, **changes)
        assert silent(self.page, recording(conversions=(row,), lines=line(convert=1.2)))


class TestRowLoop:
    page = RowLoopPage()
    eager = RowLoop(
        LINE,
        "tf.map_fn",
        calls=2,
        rows=3000,
        seconds=1.2,
        graph_calls=0,
        graph_seconds=0.0,
        claims=(
            Claim("train.py", 7, "python", 0.3),
            Claim("train.py", 3, "eager", 0.6),
            Claim("train.py", 3, "recorder", 0.1),
        ),
    )
    graph = RowLoop(Site("train.py", 12, "entropies"), "tf.map_fn", 0, 0, 0.0, 1, 1.5)
    calls = FunctionCalls(LINE, "entropies", Site("train.py", 10, "entropies"), 40, 2.1, 0.1, 60)

    def test_an_eager_loop(self) -> None:
        ops = (OpCount(Site("train.py", 3, "entropy"), "Softmax", 3000, 0.1),)
        finding = only(self.page, recording(row_loops=(self.eager,), ops=ops))
        assert finding.site == LINE.at_line
        assert {c.part for c in finding.cost.claims} == {"python", "eager"}
        assert finding.evidence["rows"] == 3000
        assert finding.message == (
            "tf.map_fn ran its function on 3\u202f000 rows one after the other, 300 µs a row."
        )

    def test_heavy_work_on_each_row_is_not_the_loop(self) -> None:
        ops = (OpCount(Site("train.py", 3, "load"), "DecodeJpeg", 3000, 0.6),)
        assert silent(self.page, recording(row_loops=(self.eager,), ops=ops))

    def test_few_rows(self) -> None:
        row = dataclasses.replace(self.eager, rows=8)
        assert silent(self.page, recording(row_loops=(row,)))

    def graph_recording(self, *ops: GraphOp, **changes: Any) -> Recording:
        return recording(
            row_loops=(self.graph,),
            function_calls=(dataclasses.replace(self.calls, **changes),),
            windows=(Window(LINE, 0.3, 0.2, 0.0, 0.0, ops),),
            lines=line(graph=2.1),
        )

    def test_a_loop_in_a_compiled_function_is_claimed_where_it_is_called(self) -> None:
        loop = GraphOp("While", self.graph.site, 5000, 0.15)
        finding = only(self.page, self.graph_recording(loop, GraphOp("Softmax", None, 900, 0.02)))
        assert finding.site == self.graph.site
        assert finding.cost.claims == (Claim("train.py", 7, "graph", 1.5),)
        assert finding.message == (
            "tf.map_fn became a loop over rows in a compiled function and took about 1.5 s there."
        )

    def test_putting_the_results_together_is_not_work_on_the_rows(self) -> None:
        loop = GraphOp("While", self.graph.site, 5000, 0.15)
        seen = self.graph_recording(loop, GraphOp("TensorListStack", None, 2, 0.12))
        assert only(self.page, seen).cost.claims == (Claim("train.py", 7, "graph", 1.5),)

    @pytest.mark.parametrize("part", [0.0, 0.1])
    def test_a_loop_of_ops_too_small_to_be_seen_or_most_of_them(self, part: float) -> None:
        seen = self.graph_recording(nodes=16)
        little = dataclasses.replace(self.graph, graph_seconds=part)
        finding = only(self.page, dataclasses.replace(seen, row_loops=(little,)))
        assert finding.cost.seconds == pytest.approx(2.0)
        unseen = dataclasses.replace(self.graph, graph_seconds=0.0)
        seen = self.graph_recording(nodes=200)
        assert silent(self.page, dataclasses.replace(seen, row_loops=(unseen,)))

    def test_heavy_work_in_a_compiled_loop(self) -> None:
        loop = GraphOp("While", self.graph.site, 500, 0.19)
        decode = GraphOp("DecodeJpeg", None, 500, 0.21)
        assert silent(self.page, self.graph_recording(loop, decode))

    def test_without_windows_nobody_knows(self) -> None:
        seen = dataclasses.replace(self.graph_recording(nodes=16), windows=())
        assert silent(self.page, seen)
