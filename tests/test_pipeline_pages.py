"""The pages of input pipelines, on recordings made by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from handmade import a_run, assert_well_made

from unslow.catalogue.page import Page
from unslow.catalogue.pipelines.generator_per_row import GeneratorPerRow
from unslow.catalogue.pipelines.gil_bound_map import GilBoundMap
from unslow.catalogue.pipelines.input_bound import InputBound
from unslow.catalogue.pipelines.iterator_recreated import IteratorRecreated
from unslow.catalogue.pipelines.map_before_batch import MapBeforeBatch
from unslow.catalogue.pipelines.no_prefetch import NoPrefetch
from unslow.catalogue.pipelines.sequential_map import SequentialMap
from unslow.catalogue.pipelines.unbatched_parsing import UnbatchedParsing
from unslow.catalogue.pipelines.uncached import Uncached
from unslow.finding import Claim, Finding, Site
from unslow.plain import to_plain
from unslow.recording.data import (
    Bridge,
    FunctionCalls,
    Iteration,
    KerasCall,
    LineTime,
    Recording,
    Stage,
    Window,
)

MAP = Site("load.py", 5)
LOOP = Site("train.py", 10, "train", 10, 5)
STEP = Site("train.py", 11, "train")


def recording(**tables: Any) -> Recording:
    parts = {"imports": 3.0, "build": 1.0, "input": 3.0, "graph": 2.0, "python": 1.0}
    return a_run(parts, **tables)


def found(page: Page, seen: Recording) -> list[Finding]:
    return list(page.in_recording(seen))


def bridge(**changes: Any) -> Bridge:
    row = Bridge(
        site=MAP,
        kind="numpy_function",
        function="rotate",
        definition=Site("load.py", 1),
        calls=100,
        seconds=6.0,
        cpu_seconds=3.0,
        busy_seconds=3.0,
        waited_seconds=2.5,
        threads=2,
        bytes=0,
        rank=3,
        pipeline=True,
        claims=(Claim("train.py", 10, "bridge", 2.5),),
    )
    return dataclasses.replace(row, **changes)


def iteration(**changes: Any) -> Iteration:
    row = Iteration(
        site=LOOP,
        iterators=1,
        elements=500,
        wait_seconds=3.0,
        bridge_seconds=0.0,
        make_seconds=0.01,
        stages=(Stage("Batch", LOOP, 32), Stage("Map", MAP), Stage("TensorSlice", None)),
    )
    return dataclasses.replace(row, **changes)


class TestInputBound:
    def test_a_loop_that_waits(self) -> None:
        (finding,) = found(InputBound(), recording(iterations=(iteration(),)))
        assert finding.site == LOOP.at_line
        assert finding.cost.seconds == pytest.approx(3.0)
        assert finding.cost.claims == (Claim("train.py", 10, "input", 3.0),)
        assert list(finding.evidence)[:2] == ["calls", "seconds"]
        assert finding.evidence["share"] == pytest.approx(0.5)
        assert finding.message == (
            "Waited 3 s for the next element, 50% of the run after its start. "
            "Its stages: TensorSlice, Map load.py:5, Batch(32) train.py:10."
        )

    def test_names_the_python_function_it_waited_for(self) -> None:
        rows = (iteration(bridge_seconds=2.5),)
        seen = recording(iterations=rows, bridges=(bridge(calls=10, seconds=0.6), bridge()))
        (finding,) = found(InputBound(), seen)
        assert "rotate() of load.py:5" in finding.message
        assert finding.evidence["slowest"] == "load.py:5"
        assert {c.part: c.seconds for c in finding.cost.claims} == {"input": 0.5, "bridge": 2.5}

    def test_a_function_that_mostly_waits(self) -> None:
        lines = (LineTime(LOOP, {"input": 0.9}), LineTime(STEP, {"graph": 0.3, "build": 2.0}))
        seen = recording(iterations=(iteration(wait_seconds=0.9),), lines=lines)
        (finding,) = found(InputBound(), seen)
        assert "75% of the time at the lines of train()" in finding.message

    def test_python_at_the_waiting_line_is_no_work_of_the_loop(self) -> None:
        lines = (LineTime(LOOP, {"input": 0.9, "python": 0.9}), LineTime(STEP, {"graph": 0.3}))
        seen = recording(iterations=(iteration(wait_seconds=0.9),), lines=lines)
        (finding,) = found(InputBound(), seen)
        assert "75% of the time at the lines of train()" in finding.message

    def test_a_fit_that_waits_inside_its_compiled_function(self) -> None:
        fit = KerasCall(LOOP, "fit", 1, 5.0, 4.0, 0.5, 5.0, steps=400)
        windows = (
            Window(LOOP, 1.0, 0.8, 0.5, 0.1),
            Window(LOOP, 1.0, 0.8, 0.7, 0.1),
        )
        (finding,) = found(InputBound(), recording(keras_calls=(fit,), windows=windows))
        assert finding.site == LOOP.at_line
        assert finding.cost.seconds == pytest.approx(0.75 * 4.0)
        assert finding.evidence["calls"] == 400
        assert finding.evidence["bridge_seconds"] == pytest.approx(0.5)
        assert "fit() without building" in finding.message

    def test_a_compiled_loop_that_waits(self) -> None:
        call = FunctionCalls(LOOP, "train", None, 1, 4.0, 0.1, 50)
        windows = (Window(LOOP, 1.0, 1.0, 0.6, 0.0),)
        (finding,) = found(InputBound(), recording(function_calls=(call,), windows=windows))
        assert finding.cost.seconds == pytest.approx(2.4)

    @pytest.mark.parametrize(
        "row",
        [
            iteration(wait_seconds=0.5),
            iteration(elements=1),
            iteration(keras=True),
            iteration(iterators=500),
        ],
        ids=["short wait", "one element", "of Keras", "recreated"],
    )
    def test_silent(self, row: Iteration) -> None:
        lines = (LineTime(LOOP, {"input": 0.5}), LineTime(STEP, {"graph": 2.0}))
        assert found(InputBound(), recording(iterations=(row,), lines=lines)) == []

    def test_silent_where_the_iterator_is_made_and_used_by_one_line(self) -> None:
        rows = (
            iteration(iterators=500, elements=0, wait_seconds=0.0),
            iteration(iterators=0, elements=500),
        )
        assert found(InputBound(), recording(iterations=rows)) == []

    def test_silent_on_a_tiny_model_that_reads_memory(self) -> None:
        fit = KerasCall(LOOP, "fit", 1, 5.0, 1.0, 0.0, 5.0, steps=4000)
        windows = (Window(LOOP, 1.0, 0.2, 0.1, 0.0),)
        assert found(InputBound(), recording(keras_calls=(fit,), windows=windows)) == []

    def test_silent_on_a_fit_that_computes(self) -> None:
        fit = KerasCall(LOOP, "fit", 1, 5.0, 4.5, 0.0, 5.0, steps=400)
        windows = (Window(LOOP, 1.0, 0.9, 0.1, 0.0),)
        assert found(InputBound(), recording(keras_calls=(fit,), windows=windows)) == []


class TestGeneratorPerRow:
    rows = bridge(
        kind="generator", function="read", calls=20_000, seconds=2.0, busy_seconds=2.0, threads=1
    )
    stages = (Stage("Batch", LOOP, 64), Stage("FlatMap", MAP), Stage("Tensor", MAP))

    def test_rows_for_batches(self) -> None:
        waits = iteration(stages=self.stages, bridge_seconds=2.5)
        (finding,) = found(GeneratorPerRow(), recording(bridges=(self.rows,), iterations=(waits,)))
        assert finding.site == MAP
        crossing = Claim("train.py", 10, "input", 0.5)
        assert finding.cost.claims == (*self.rows.claims, crossing)
        assert finding.cost.calls == 20_000
        assert list(finding.evidence)[:2] == ["calls", "seconds"]
        assert finding.evidence["batch_size"] == 64
        assert "read() was called 20\u202f000 times, 100 µs each" in finding.message

    def test_pipeline_known_by_the_waiting_line_alone(self) -> None:
        stages = (Stage("Batch", None, 16),)
        seen = recording(bridges=(self.rows,), iterations=(iteration(stages=stages),))
        (finding,) = found(GeneratorPerRow(), seen)
        assert finding.evidence["batch_size"] == 16

    @pytest.mark.parametrize(
        ("changes", "batched"),
        [
            ({}, False),
            ({"calls": 100, "seconds": 0.01}, True),
            ({"calls": 400, "seconds": 2.0}, True),
            ({"claims": (Claim("train.py", 10, "bridge", 0.05),)}, True),
            ({"kind": "numpy_function"}, True),
        ],
        ids=["yields batches", "few rows", "costly rows", "hidden", "no generator"],
    )
    def test_silent(self, changes: dict[str, Any], batched: bool) -> None:
        row = dataclasses.replace(self.rows, **changes)
        stages = self.stages if batched else self.stages[1:]
        waits = iteration(stages=stages, wait_seconds=0.06, bridge_seconds=0.05)
        assert found(GeneratorPerRow(), recording(bridges=(row,), iterations=(waits,))) == []

    def test_other_work_of_the_pipeline_is_not_its_cost(self) -> None:
        stages = (Stage("Batch", LOOP, 64), Stage("ParallelMap", MAP), Stage("FlatMap", MAP))
        waits = iteration(stages=stages, bridge_seconds=2.5)
        (finding,) = found(GeneratorPerRow(), recording(bridges=(self.rows,), iterations=(waits,)))
        assert finding.cost.claims == self.rows.claims


class TestGilBoundMap:
    def test_parallel_calls_that_keep_one_core_busy(self) -> None:
        (finding,) = found(GilBoundMap(), recording(bridges=(bridge(),)))
        assert finding.site == MAP
        assert finding.cost.seconds == pytest.approx(2.5)
        assert list(finding.evidence)[:2] == ["calls", "seconds"]
        assert finding.evidence["cores_busy"] == pytest.approx(1.0)
        assert finding.evidence["calls_under_way"] == pytest.approx(2.0)
        assert "Up to 2 calls of rotate() were under way at once" in finding.message
        assert "1.0 cores busy" in finding.message

    @pytest.mark.parametrize(
        "changes",
        [
            {"cpu_seconds": 5.8},
            {"cpu_seconds": 0.2},
            {"threads": 1, "seconds": 3.0},
            {"seconds": 3.2},
            {"pipeline": False},
            {"kind": "generator"},
            {"claims": ()},
            {"claims": (Claim("train.py", 10, "bridge", 1.0),)},
        ],
        ids=[
            "no lock",
            "sleeps",
            "one thread",
            "no overlap",
            "no pipeline",
            "generator",
            "hidden",
            "slow model",
        ],
    )
    def test_silent(self, changes: dict[str, Any]) -> None:
        assert found(GilBoundMap(), recording(bridges=(bridge(**changes),))) == []


class TestIteratorRecreated:
    def test_next_of_iter(self) -> None:
        rows = (
            iteration(iterators=100, elements=0, wait_seconds=0.0, make_seconds=0.5),
            iteration(
                iterators=0, elements=100, wait_seconds=1.5, bridge_seconds=0.5, make_seconds=0.0
            ),
        )
        (finding,) = found(IteratorRecreated(), recording(iterations=rows))
        assert finding.site == LOOP.at_line
        assert finding.cost.seconds == pytest.approx(2.0 * 0.99)
        assert {c.part for c in finding.cost.claims} == {"input", "bridge"}
        assert len(finding.cost.claims) == 2
        assert list(finding.evidence)[:2] == ["calls", "seconds"]
        assert finding.evidence["elements"] == 100
        assert "Made 100 iterators to take 100 elements" in finding.message

    def test_making_is_claimed_where_the_line_has_it(self) -> None:
        rows = (iteration(iterators=100, elements=100, make_seconds=0.5),)
        lines = (LineTime(LOOP, {"build": 0.5, "input": 3.0}),)
        (finding,) = found(IteratorRecreated(), recording(iterations=rows, lines=lines))
        assert {c.part: c.seconds for c in finding.cost.claims} == pytest.approx(
            {"build": 0.495, "input": 2.97}
        )

    def test_iter_and_next_on_two_lines(self) -> None:
        rows = (
            iteration(iterators=100, elements=0, wait_seconds=0.0, make_seconds=0.5),
            iteration(site=STEP, iterators=0, elements=100, wait_seconds=1.5),
        )
        (finding,) = found(IteratorRecreated(), recording(iterations=rows))
        assert finding.site == LOOP.at_line
        assert {c.line for c in finding.cost.claims} == {10, 11}

    @pytest.mark.parametrize(
        "row",
        [
            iteration(iterators=2, elements=2),
            iteration(iterators=50, elements=5_000),
            iteration(iterators=1, elements=500),
            iteration(iterators=500, elements=500, keras=True),
            iteration(iterators=20, elements=20, wait_seconds=0.01),
            iteration(iterators=50, elements=0),
        ],
        ids=["a look", "epochs", "kept", "of Keras", "cheap", "elements taken elsewhere"],
    )
    def test_silent(self, row: Iteration) -> None:
        assert found(IteratorRecreated(), recording(iterations=(row,))) == []


def mapped(work: str, *above: Stage, source: str = "TensorSlice", **changes: Any) -> Iteration:
    stages = (*above, Stage("Batch", LOOP, 32), Stage("Map", MAP, None, work), Stage(source, None))
    return iteration(**{"stages": stages, "elements": 2_000, "epochs": 1, **changes})


class TestMapBeforeBatch:
    @pytest.mark.parametrize(
        ("page", "work"), [(MapBeforeBatch(), "alike"), (UnbatchedParsing(), "parses")]
    )
    def test_rows_that_are_all_treated_alike(self, page: Page, work: str) -> None:
        rows = (mapped(work), mapped(work, site=STEP, wait_seconds=1.0))
        (finding,) = found(page, recording(iterations=rows))
        assert finding.site == MAP
        assert [claim.line for claim in finding.cost.claims] == [10, 11]
        assert finding.cost.seconds == pytest.approx(4.0)
        assert finding.cost.calls == 2 * 2_000 * 32
        assert finding.evidence["seconds_per_row"] == pytest.approx(4.0 / 128_000)
        assert_well_made(finding, page)

    def test_inside_a_fit(self) -> None:
        fit = KerasCall(LOOP, "fit", 1, 5.0, 4.0, 0.5, 5.0, steps=4_000)
        windows = (Window(LOOP, 1.0, 0.8, 0.6, 0.1),)
        row = mapped("alike", Stage("Prefetch", None), keras=True, elements=0, wait_seconds=0.0)
        seen = recording(keras_calls=(fit,), windows=windows, iterations=(row,))
        (finding,) = found(MapBeforeBatch(), seen)
        assert finding.cost.seconds == pytest.approx(0.75 * 4.0)

    @pytest.mark.parametrize(
        "row",
        [
            mapped("plain"),
            mapped("stateful"),
            mapped("parses"),
            mapped("alike", elements=20),
            mapped("alike", elements=200),
            mapped("alike", wait_seconds=0.04),
            mapped("alike", Stage("Map", LOOP, None, "plain")),
            mapped("alike", Stage("Cache", LOOP)),
            mapped("alike", source="FlatMap"),
            mapped("alike", source="Zip"),
        ],
        ids=[
            "rows mixed",
            "random",
            "parser",
            "few rows",
            "costly rows",
            "cheap",
            "other work",
            "cached",
            "generator",
            "unknown source",
        ],
    )
    def test_silent(self, row: Iteration) -> None:
        assert found(MapBeforeBatch(), recording(iterations=(row,))) == []


class TestProposals:
    """What a run shows of causes that are findings only once an experiment shows a gain."""

    def test_turns_of_work_and_waiting(self) -> None:
        row = iteration(work_seconds=2.0, work_cpu_seconds=1.0, bridge_seconds=1.5)
        (finding,) = found(NoPrefetch(), recording(iterations=(row,)))
        assert finding.site == LOOP.at_line
        assert finding.cost.seconds == pytest.approx(2.0)
        assert {c.part: c.seconds for c in finding.cost.claims} == {"input": 1.0, "bridge": 1.0}
        assert finding.evidence["busy"] == pytest.approx(0.5)
        assert_well_made(finding, NoPrefetch())

    @pytest.mark.parametrize(
        "row",
        [
            iteration(work_seconds=0.2),
            iteration(work_seconds=2.0, wait_seconds=0.02),
            iteration(work_seconds=2.0, stages=()),
            iteration(work_seconds=2.0, stages=(Stage("Prefetch", LOOP),)),
            iteration(work_seconds=2.0, stages=(Stage("Options", LOOP), Stage("Prefetch", LOOP))),
        ],
        ids=["no work", "no wait", "unknown", "prefetched", "prefetched, with options"],
    )
    def test_silent_without_turns(self, row: Iteration) -> None:
        assert found(NoPrefetch(), recording(iterations=(row,))) == []

    def test_the_same_work_in_each_epoch(self) -> None:
        row = mapped("plain", epochs=4, iterators=4, make_seconds=0.4, end_seconds=0.2)
        (finding,) = found(Uncached(), recording(iterations=(row,)))
        assert finding.site == MAP
        parts = {claim.part: claim.seconds for claim in finding.cost.claims}
        assert parts == pytest.approx({"input": 0.75 * 3.2, "build": 0.75 * 0.4})
        assert_well_made(finding, Uncached())

    def test_the_end_of_an_iterator_is_lost_but_no_wait_for_an_element(self) -> None:
        row = mapped("alike", end_seconds=1.0)
        (finding,) = found(MapBeforeBatch(), recording(iterations=(row,)))
        assert finding.cost.seconds == pytest.approx(row.wait_seconds + 1.0)
        ended = iteration(wait_seconds=0.01, end_seconds=5.0)
        assert found(InputBound(), recording(iterations=(ended,))) == []

    @pytest.mark.parametrize(
        "row",
        [
            mapped("plain", epochs=1, iterators=4),
            mapped("plain", Stage("Cache", LOOP), epochs=4),
            mapped("stateful", epochs=4),
            mapped("python", epochs=4),
            mapped("alike", epochs=4),
        ],
        ids=["one epoch", "cached", "random", "python", "cheap"],
    )
    def test_silent_where_no_cache_helps(self, row: Iteration) -> None:
        assert found(Uncached(), recording(iterations=(row,))) == []

    def test_costly_rows_with_state(self) -> None:
        row = mapped("stateful", elements=20)
        (finding,) = found(SequentialMap(), recording(iterations=(row,)))
        assert finding.site == MAP
        assert finding.cost.calls == 20 * 32
        assert_well_made(finding, SequentialMap())

    @pytest.mark.parametrize(
        "row",
        [mapped("stateful"), mapped("plain", elements=20), mapped("python", elements=20)],
        ids=["cheap rows", "parallel already", "python"],
    )
    def test_silent_where_parallel_calls_gain_nothing(self, row: Iteration) -> None:
        assert found(SequentialMap(), recording(iterations=(row,))) == []


def test_findings_are_plain_data() -> None:
    rows = (iteration(iterators=100, elements=100), iteration(site=STEP))
    seen = recording(iterations=rows, bridges=(bridge(),))
    findings = [
        finding
        for page in (GilBoundMap(), IteratorRecreated())
        for finding in page.in_recording(seen)
    ]
    assert {finding.code for finding in findings} >= {"TF305", "TF311"}
    for finding in findings:
        assert finding.kind == "problem"
        for value in to_plain(finding.evidence).values():
            assert isinstance(value, (int, float, str, bool, list))
