"""The pages of models, on recordings made by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from handmade import a_run, assert_well_made

from unslow.catalogue.models.batch_of_one import BatchOfOne
from unslow.catalogue.models.callback_per_batch import CallbackPerBatch
from unslow.catalogue.models.fit_in_loop import FitInLoop
from unslow.catalogue.models.interpreter_per_call import InterpreterPerCall
from unslow.catalogue.models.model_in_loop import ModelInLoop
from unslow.catalogue.models.predict_per_item import PredictPerItem
from unslow.catalogue.models.steps_per_execution import StepsPerExecution
from unslow.catalogue.page import Page
from unslow.finding import Claim, Finding, Site
from unslow.recording.data import (
    CallbackTime,
    FunctionCalls,
    InterpreterUse,
    KerasCall,
    LineTime,
    Recording,
    Tracing,
)

CALL = Site("serve.py", 20, "serve", 20, 9)
OTHER = Site("serve.py", 30, "serve")


def recording(**tables: Any) -> Recording:
    """A run of 10 s, 4 s of it at the line of `CALL`."""
    lines = (
        LineTime(CALL, {"python": 2.0, "graph": 1.0, "build": 0.5, "eager": 0.5, "recorder": 0.1}),
        LineTime(OTHER, {"build": 1.0, "graph": 1.0}),
    )
    return a_run({"python": 10.0}, **{"lines": lines, **tables})


def call(method: str, **changes: Any) -> KerasCall:
    row = KerasCall(
        site=CALL,
        method=method,
        calls=1,
        seconds=4.0,
        graph_seconds=1.0,
        build_seconds=0.5,
        first_seconds=4.0,
    )
    return dataclasses.replace(row, **changes)


def found(page: Page, *rows: KerasCall, **tables: Any) -> list[Finding]:
    return list(page.in_recording(recording(keras_calls=rows, **tables)))


class TestPredictPerItem:
    row = call("predict", calls=40, rows=40, graph_seconds=0.4, first_seconds=0.49, seconds=4.0)

    def test_one_row_a_call(self) -> None:
        (finding,) = found(PredictPerItem(), self.row)
        assert_well_made(finding, PredictPerItem())
        assert finding.site == CALL.at_line
        each = (4.0 - 0.49) / 39
        assert finding.evidence["seconds_per_call"] == pytest.approx(each)
        assert finding.cost.seconds == pytest.approx(40 * each)
        assert finding.message == (
            "predict() was called 40 times with 1 row each: 90 ms a call, "
            "10 ms of it in the compiled model."
        )

    def test_rows_of_one_line_are_summed(self) -> None:
        other = dataclasses.replace(CALL, column=40)
        half = dataclasses.replace(self.row, calls=20, rows=60, seconds=2.0, graph_seconds=0.2)
        (finding,) = found(PredictPerItem(), half, dataclasses.replace(half, site=other))
        assert finding.evidence["calls"] == 40
        assert finding.evidence["rows_per_call"] == 3.0

    @pytest.mark.parametrize(
        "changes",
        [
            {"calls": 3, "rows": 3},
            {"rows": 40_000},
            {"rows": 0},
            {"graph_seconds": 3.0},
            {"run_eagerly": True},
            {"seconds": 0.5},
        ],
        ids=["few calls", "chunks", "rows unknown", "large model", "eager", "short"],
    )
    def test_silent(self, changes: dict[str, Any]) -> None:
        assert found(PredictPerItem(), dataclasses.replace(self.row, **changes)) == []

    def test_silent_on_other_methods(self) -> None:
        row = dataclasses.replace(self.row, method="evaluate")
        assert found(PredictPerItem(), row) == []


class TestModelInLoop:
    @pytest.mark.parametrize(
        ("method", "verb"), [("load_model", "loaded"), ("model", "made"), ("compile", "compiled")]
    )
    def test_again_and_again(self, method: str, verb: str) -> None:
        (finding,) = found(ModelInLoop(), call(method, calls=20, seconds=2.0))
        assert_well_made(finding, ModelInLoop())
        assert finding.site == CALL.at_line
        assert finding.cost.seconds == pytest.approx(1.9)
        assert finding.message == f"A model was {verb} 20 times here, 100 ms each."

    compiled = call("compile", calls=20, seconds=0.04)
    fit = call("fit", site=OTHER, calls=20, seconds=2.0, build_seconds=0.8)
    step = FunctionCalls(OTHER, "step", None, 400, 0.5, 0.1, 100)

    def test_counts_the_tracing_that_follows(self) -> None:
        traced = (
            Tracing(OTHER, "step", None, 20, 20, 0.5, 100),
            Tracing(OTHER, "inner_step", None, 40, 20, 0.2, 100),
            Tracing(OTHER, "map_of_the_pipeline", None, 60, 60, 0.3, 9),
        )
        (finding,) = found(
            ModelInLoop(), self.compiled, self.fit, tracings=traced, function_calls=(self.step,)
        )
        assert_well_made(finding, ModelInLoop())
        assert finding.evidence["tracing_again_seconds"] == pytest.approx(0.7 * 0.95)
        assert {c.line: c.part for c in finding.cost.claims if c.line == 30} == {30: "build"}
        assert "serve.py:30 had to trace again: 665 ms more" in finding.message

    @pytest.mark.parametrize(
        "traced",
        [
            Tracing(OTHER, "step", None, 2, 1, 0.8, 100),
            Tracing(OTHER, "map_of_the_pipeline", None, 20, 20, 0.8, 9),
        ],
        ids=["once", "of the pipeline"],
    )
    def test_other_tracing_is_not_counted(self, traced: Tracing) -> None:
        tables = {"tracings": (traced,), "function_calls": (self.step,)}
        assert found(ModelInLoop(), self.compiled, self.fit, **tables) == []

    def test_new_models_have_to_be_compiled(self) -> None:
        made = call("model", calls=20, seconds=2.0)
        compiled = call("compile", site=OTHER, calls=20, seconds=1.0)
        findings = found(ModelInLoop(), made, compiled)
        assert [finding.site for finding in findings] == [CALL.at_line]

    def test_models_that_are_cheap_to_make_have_to_be_compiled_too(self) -> None:
        compiled = call("compile", calls=20, seconds=1.0)
        cheap = call("model", site=OTHER, calls=20, seconds=1e-4)
        assert found(ModelInLoop(), cheap, compiled) == []
        lines = (dataclasses.replace(OTHER, line=line) for line in range(30, 35))
        few = [call("model", site=line, calls=4, seconds=1e-4) for line in lines]
        assert found(ModelInLoop(), *few, compiled) == []
        one = call("model", site=OTHER, calls=1, seconds=1e-4)
        (finding,) = found(ModelInLoop(), one, compiled)
        assert finding.evidence["method"] == "compile"

    @pytest.mark.parametrize(
        "row",
        [
            call("model", calls=4, seconds=2.0),
            call("compile", calls=3, seconds=2.0),
            call("load_model", calls=2, seconds=2.0),
            call("model", calls=20, seconds=0.05),
            call("fit", calls=20),
        ],
        ids=["start-up", "few compiles", "two files", "cheap", "fit"],
    )
    def test_silent(self, row: KerasCall) -> None:
        assert found(ModelInLoop(), row) == []


class TestBatchOfOne:
    row = call("predict", calls=1, rows=2_000, batch_size=1)

    def test_predict(self) -> None:
        (finding,) = found(BatchOfOne(), self.row)
        assert_well_made(finding, BatchOfOne())
        assert finding.site == CALL.at_line
        assert finding.evidence["steps"] == 2_000
        # 4 s without 0.5 s of building; a 32nd of it would remain.
        assert finding.cost.seconds == pytest.approx(3.5 * 31 / 32)
        assert {c.part for c in finding.cost.claims} == {"python", "eager", "graph"}
        assert finding.message == (
            "predict() took 2\u202f000 steps in batches of 1: 1.75 ms a step, "
            "500 µs of it in the compiled model."
        )

    def test_fit_knows_its_steps(self) -> None:
        row = dataclasses.replace(self.row, method="fit", steps=3_000, batch_size=4)
        (finding,) = found(BatchOfOne(), row)
        assert finding.evidence["steps"] == 3_000
        assert finding.evidence["batch_size"] == 4

    @pytest.mark.parametrize(
        "changes",
        [
            {"batch_size": 32},
            {"batch_size": None},
            {"rows": 50},
            {"calls": 100},
            {"rows": 150, "seconds": 4.0},
            {"graph_seconds": 3.4},
            {"run_eagerly": True},
        ],
        ids=["usual", "unknown", "few rows", "row by row", "long steps", "large model", "eager"],
    )
    def test_silent(self, changes: dict[str, Any]) -> None:
        assert found(BatchOfOne(), dataclasses.replace(self.row, **changes)) == []


class TestInterpreterPerCall:
    def test_made_for_every_input(self) -> None:
        making = (Claim(CALL.path, CALL.line, "build", 2.0),)
        uses = (
            InterpreterUse(CALL, 500, 2.0, 0, 0.0, making),
            InterpreterUse(OTHER, 0, 0.0, 500, 0.1),
        )
        (finding,) = found(InterpreterPerCall(), interpreters=uses)
        assert_well_made(finding, InterpreterPerCall())
        assert finding.site == CALL.at_line
        assert finding.cost.seconds == pytest.approx(2.0 * 499 / 500)
        assert finding.message == ("Made 500 TFLite interpreters here, 4 ms each; one can be kept.")

    @pytest.mark.parametrize(
        "row",
        [
            InterpreterUse(CALL, 2, 1.0, 5_000, 1.0),
            InterpreterUse(CALL, 0, 0.0, 5_000, 1.0),
            InterpreterUse(CALL, 50, 0.01, 50, 1.0),
        ],
        ids=["two models", "kept", "cheap"],
    )
    def test_silent(self, row: InterpreterUse) -> None:
        assert found(InterpreterPerCall(), interpreters=(row,)) == []


class TestStepsPerExecution:
    row = call("fit", epochs=2, steps=2_000, batch_size=32)

    def test_a_tiny_model(self) -> None:
        (finding,) = found(StepsPerExecution(), self.row)
        assert_well_made(finding, StepsPerExecution())
        assert finding.site == CALL.at_line
        # Twice the time around the steps, as their calls cost as much, but 0.5 s of building.
        assert finding.cost.seconds == pytest.approx(3.5)
        assert finding.message == (
            "fit() took 2\u202f000 steps of 1.75 ms and spent 1.25 ms of each, 71%, "
            "outside the compiled step."
        )

    def test_a_callback_is_not_counted(self) -> None:
        spent = CallbackTime(OTHER, "on_train_batch_end", CALL, 2_000, 2.4)
        assert found(StepsPerExecution(), self.row, callbacks=(spent,)) == []

    @pytest.mark.parametrize(
        "changes",
        [
            {"steps_per_execution": 50},
            {"steps": 100},
            {"steps": 600},
            {"calls": 40, "steps": 2_000},
            {"graph_seconds": 3.3},
            {"run_eagerly": True},
            {"method": "evaluate"},
        ],
        ids=["set", "few steps", "long steps", "fit in loop", "large model", "eager", "no fit"],
    )
    def test_silent(self, changes: dict[str, Any]) -> None:
        assert found(StepsPerExecution(), dataclasses.replace(self.row, **changes)) == []


class TestFitInLoop:
    fits = call("fit", calls=50, epochs=50, steps=100, batch_size=32, first_seconds=0.57)
    batches = call("train_on_batch", calls=1_001, batch_size=32, first_seconds=0.5)

    def test_fit(self) -> None:
        (finding,) = found(FitInLoop(), self.fits)
        assert_well_made(finding, FitInLoop())
        assert finding.site == CALL.at_line
        # 70 ms a call but for the first, which traced; 20 ms of them in the model.
        assert finding.cost.seconds == pytest.approx(2.5)
        assert {c.part for c in finding.cost.claims} == {"python", "eager", "build"}
        assert finding.message == (
            "fit() was called 50 times: 50 ms around the training of each call, 20 ms in it."
        )

    def test_train_on_batch(self) -> None:
        (finding,) = found(FitInLoop(), self.batches)
        assert_well_made(finding, FitInLoop())
        assert finding.evidence["method"] == "train_on_batch"

    @pytest.mark.parametrize(
        "changes",
        [
            {"calls": 3},
            {"epochs": 500},
            {"steps": 50_000},
            {"steps": 0},
            {"graph_seconds": 3.2},
            {"run_eagerly": True},
        ],
        ids=["few calls", "epochs", "much training", "steps unknown", "large model", "eager"],
    )
    def test_silent(self, changes: dict[str, Any]) -> None:
        assert found(FitInLoop(), dataclasses.replace(self.fits, **changes)) == []

    def test_silent_on_a_large_model_by_batches(self) -> None:
        row = dataclasses.replace(self.batches, graph_seconds=3.2)
        assert found(FitInLoop(), row) == []


class TestCallbackPerBatch:
    method = Site("serve.py", 5, "on_train_batch_end")
    body = LineTime(Site("serve.py", 6, "on_train_batch_end"), {"python": 1.0, "convert": 0.2})
    fit = call("fit", steps=500)
    row = CallbackTime(method, "on_train_batch_end", CALL, 500, 2.0)

    def test_costly_work(self) -> None:
        lines = (*recording().lines, self.body)
        (finding,) = found(CallbackPerBatch(), self.fit, callbacks=(self.row,), lines=lines)
        assert_well_made(finding, CallbackPerBatch())
        assert finding.site == self.method
        assert finding.cost.seconds == pytest.approx(2.0)
        assert set(finding.cost.claims) == {
            Claim("serve.py", 6, "python", 1.0),
            Claim("serve.py", 6, "convert", 0.2),
            Claim("serve.py", 5, "python", 0.8),
        }
        assert finding.message == (
            "on_train_batch_end() ran 500 times, 4 ms each: 50% of the training at serve.py:20."
        )

    def test_claims_no_more_than_it_took(self) -> None:
        body = dataclasses.replace(self.body, parts={"python": 8.0})
        (finding,) = found(CallbackPerBatch(), self.fit, callbacks=(self.row,), lines=(body,))
        assert finding.cost.claims == (Claim("serve.py", 6, "python", 2.0),)

    @pytest.mark.parametrize(
        "changes",
        [{"seconds": 0.2}, {"calls": 5}, {"fit": OTHER}],
        ids=["cheap", "few batches", "of another fit"],
    )
    def test_silent(self, changes: dict[str, Any]) -> None:
        row = dataclasses.replace(self.row, **changes)
        assert found(CallbackPerBatch(), self.fit, callbacks=(row,)) == []
