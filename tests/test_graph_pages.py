"""The pages of tracing, graphs and sessions, on recordings made by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from test_border_pages import only, recording, silent

from unslow.catalogue.graphs.eager_forced import EagerForced
from unslow.catalogue.graphs.eager_hot_loop import EagerHotLoop
from unslow.catalogue.graphs.function_recreated import FunctionRecreated
from unslow.catalogue.graphs.function_too_small import FunctionTooSmall
from unslow.catalogue.graphs.graph_per_call import GraphPerCall
from unslow.catalogue.graphs.growing_graph import GrowingGraph
from unslow.catalogue.graphs.python_argument_retracing import PythonArgumentRetracing
from unslow.catalogue.graphs.shape_retracing import ShapeRetracing
from unslow.catalogue.page import Page
from unslow.finding import Claim, Site
from unslow.recording.data import (
    FunctionCalls,
    FunctionsMade,
    GraphUse,
    Iteration,
    LineTime,
    Recording,
    Retrace,
    Setting,
    TapeSteps,
    Tracing,
)

CALL = Site("train.py", 20, "fit", 20, 12)
STEP = Site("train.py", 9, "step")


def calls(**changes: Any) -> FunctionCalls:
    row = FunctionCalls(CALL, "step", STEP, 50, 0.5, 0.1, 120)
    return dataclasses.replace(row, **changes)


@pytest.mark.parametrize(
    ("page", "reason"),
    [(PythonArgumentRetracing(), "python value"), (ShapeRetracing(), "shape")],
    ids=["TF201", "TF202"],
)
class TestRetracing:
    def tracing(self, *retraces: Retrace, **changes: Any) -> Tracing:
        row = Tracing(CALL, "step", STEP, 50, 1, 5.0, 120, retraces)
        return dataclasses.replace(row, **changes)

    def test_an_argument_that_changes(self, page: Page, reason: str) -> None:
        row = self.tracing(Retrace("lr", reason, 49, ("0.1", "0.2", "0.3", "0.4")))
        finding = only(page, recording(tracings=(row,), function_calls=(calls(),)))
        assert finding.site == CALL.at_line
        assert finding.cost.claims == (
            Claim("train.py", 20, "build", 4.9),
            Claim("train.py", 20, "graph", 0.098),
        )
        assert finding.evidence["argument"] == "lr"
        assert finding.evidence["traces"] == 50
        assert finding.message.startswith("step() was traced 50 times in 50 calls: ")
        assert "`lr`" in finding.message
        assert (
            "changed 49 times (0.1, 0.2, 0.3, …). 102 ms a trace with its first run."
            in finding.message
        )

    def test_the_first_trace_is_needed_and_takes_longest(self, page: Page, reason: str) -> None:
        row = self.tracing(Retrace("lr", reason, 49), start_seconds=1.08)
        called = calls(start_seconds=0.02)
        finding = only(page, recording(tracings=(row,), function_calls=(called,)))
        assert [claim.seconds for claim in finding.cost.claims] == pytest.approx([3.92, 0.08])

    def test_rows_of_one_line_are_one_finding(self, page: Page, reason: str) -> None:
        first = self.tracing(Retrace("lr", reason, 30), Retrace("t", reason, 10))
        second = self.tracing(Retrace("lr", reason, 25), site=dataclasses.replace(CALL, column=40))
        finding = only(page, recording(tracings=(first, second)))
        assert finding.evidence["traces"] == 100
        assert finding.evidence["arguments"] == ["lr", "t"]

    def test_look_alikes(self, page: Page, reason: str) -> None:
        other = {"python value": "shape", "shape": "python value"}[reason]
        many = Retrace("lr", reason, 49)
        for row in (
            self.tracing(),
            self.tracing(Retrace("training", reason, 1), traces=2),
            self.tracing(Retrace("lr", other, 49)),
            self.tracing(many, definition=None),
            self.tracing(many, main=False),
            self.tracing(many, seconds=0.02),
        ):
            assert silent(page, recording(tracings=(row,)))


class TestFunctionRecreated:
    page = FunctionRecreated()
    made = FunctionsMade(Site("train.py", 8, "score", 8, 6), "step", STEP, 40, 0.01)
    tracing = Tracing(CALL, "step", STEP, 40, 40, 2.0, 120)

    def found(self, made: FunctionsMade, tracing: Tracing, *rows: FunctionCalls) -> Recording:
        return recording(functions_made=(made,), tracings=(tracing,), function_calls=rows)

    def test_a_function_made_for_each_call(self) -> None:
        finding = only(self.page, self.found(self.made, self.tracing, calls(calls=40)))
        assert finding.site == self.made.site.at_line
        assert finding.cost.claims == (
            Claim("train.py", 20, "build", 1.95),
            Claim("train.py", 20, "graph", 0.0975),
        )
        assert finding.evidence["functions"] == 40
        assert finding.message == (
            "`tf.function` was made 40 times of the same step() and traced 40 times, "
            "52.5 ms a trace with its first run; once would do."
        )

    def test_look_alikes(self) -> None:
        made, tracing = self.made, self.tracing
        long_runs = calls(calls=40_000, seconds=9.0)
        for seen in (
            self.found(dataclasses.replace(made, definition=None), tracing),
            self.found(dataclasses.replace(made, count=3), tracing),
            self.found(made, dataclasses.replace(tracing, functions=3)),
            self.found(made, dataclasses.replace(tracing, definition=Site("train.py", 3, "step"))),
            self.found(made, dataclasses.replace(tracing, seconds=0.02)),
            self.found(made, tracing, long_runs),
        ):
            assert silent(self.page, seen)


class TestEagerHotLoop:
    page = EagerHotLoop()
    steps = TapeSteps(
        dataclasses.replace(CALL, function="train_step"),
        steps=200,
        seconds=2.2,
        ops=20_000,
        op_seconds=0.4,
        claims=(
            Claim("train.py", 18, "eager", 1.0),
            Claim("train.py", 20, "python", 1.0),
            Claim("train.py", 20, "recorder", 0.2),
        ),
    )

    def test_steps_of_many_small_ops(self) -> None:
        finding = only(self.page, recording(tape_steps=(self.steps,)))
        assert (finding.site.line, finding.site.function) == (20, "train_step")
        assert finding.cost.claims == self.steps.claims[:2]
        assert finding.evidence["ops_per_step"] == 100
        assert finding.message == (
            "200 training steps of train_step() ran op by op: 100 ops and 10 ms a step, most of "
            "it Python and dispatch that a compiled function does not pay."
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"steps": 5, "ops": 500},
            {"ops": 2000},
            {"op_seconds": 8.0},
            {"claims": (Claim("train.py", 18, "eager", 0.01),)},
            {"claims": (Claim("train.py", 18, "eager", 1.0), Claim("train.py", 9, "graph", 3.0))},
        ],
        ids=["few steps", "few ops", "large ops", "short", "its model is compiled"],
    )
    def test_look_alikes(self, changes: dict[str, Any]) -> None:
        row = dataclasses.replace(self.steps, **changes)
        assert silent(self.page, recording(tape_steps=(row,)))

    def test_steps_that_a_setting_made_eager_are_another_cause(self) -> None:
        setting = Setting(
            "run_functions_eagerly", Site("train.py", 2), 20_000, 200, self.steps.claims
        )
        assert silent(self.page, recording(tape_steps=(self.steps,), settings=(setting,)))


class TestGraphPerCall:
    page = GraphPerCall()
    graph = GraphUse(Site("label.py", 9, "load", 9, 3), "graph", 40, 0.01)
    imported = GraphUse(Site("label.py", 10, "load", 10, 3), "import", 40, 1.0)
    session = GraphUse(Site("label.py", 15, "main", 15, 3), "session", 40, 0.1)
    run = GraphUse(Site("label.py", 16, "main", 16, 3), "run", 80, 1.2, 40, 0.9, 300, 300)

    def test_an_import_for_each_image(self) -> None:
        seen = recording(graphs=(self.graph, self.imported, self.session, self.run))
        finding = only(self.page, seen)
        assert finding.site == self.imported.site.at_line
        assert set(finding.cost.claims) == {
            Claim("label.py", 9, "build", 0.01),
            Claim("label.py", 10, "build", 1.0),
            Claim("label.py", 15, "build", 0.1),
            Claim("label.py", 16, "graph", 0.9),
        }
        assert finding.evidence["sessions"] == 40
        assert finding.message == (
            "A graph was imported 40 times, 50.2 ms each with the first runs of 40 sessions; "
            "once would do."
        )

    def test_sessions_alone(self) -> None:
        finding = only(self.page, recording(graphs=(self.session, self.run)))
        assert finding.site == self.session.site.at_line
        assert finding.message.startswith("A session was opened 40 times, 25 ms each")

    def test_look_alikes(self) -> None:
        once = [dataclasses.replace(row, calls=1) for row in (self.imported, self.session)]
        kept = dataclasses.replace(self.run, calls=4000, first_runs=1, seconds=9.0)
        assert silent(self.page, recording(graphs=(*once, kept)))
        quick = dataclasses.replace(self.session, seconds=0.001)
        assert silent(self.page, recording(graphs=(quick,)))
        assert silent(self.page, recording(graphs=(self.run,)))


class TestGrowingGraph:
    page = GrowingGraph()
    growth = (Site("label.py", 10, "main"), Site("label.py", 11, "main"))
    run = GraphUse(
        Site("label.py", 11, "main", 11, 3), "run", 201, 4.1, 101, 3.1, 300, 1300, growth
    )

    def test_ops_added_between_runs(self) -> None:
        finding = only(self.page, recording(graphs=(self.run,)))
        assert finding.site == self.growth[0]
        assert finding.cost.claims[0].seconds == pytest.approx(3.1 - 101 * 0.01)
        assert finding.evidence["nodes_per_run"] == pytest.approx(10)
        assert finding.evidence["lines"] == ["label.py:10", "label.py:11"]
        assert finding.message.startswith(
            "The graph grew from 300 to 1\u202f300 nodes in 101 runs at label.py:11: "
        )

    def test_making_the_ops_counts_too(self) -> None:
        lines = tuple(
            LineTime(place, {"python": seconds, "graph": 1.0})
            for place, seconds in zip(self.growth, (0.5, 0.25), strict=True)
        )
        plain = only(self.page, recording(graphs=(self.run,)))
        finding = only(self.page, recording(graphs=(self.run,), lines=lines))
        assert finding.cost.seconds == pytest.approx(plain.cost.seconds + 0.75)
        assert finding.message == plain.message

    def test_all_of_the_time_where_every_run_follows_a_change(self) -> None:
        row = dataclasses.replace(self.run, calls=101, seconds=3.1)
        assert only(self.page, recording(graphs=(row,))).cost.seconds == pytest.approx(3.1)

    @pytest.mark.parametrize(
        "changes",
        [
            {"action": "session"},
            {"first_runs": 2, "nodes_last": 310},
            {"nodes_last": 300, "growth": ()},
            {"seconds": 1.1, "first_seconds": 0.51},
        ],
        ids=["no run", "built late, once", "fresh sessions", "no dearer than other runs"],
    )
    def test_look_alikes(self, changes: dict[str, Any]) -> None:
        row = dataclasses.replace(self.run, **changes)
        assert silent(self.page, recording(graphs=(row,)))


class TestEagerForced:
    page = EagerForced()
    claims = (Claim("train.py", 12, "eager", 1.0), Claim("train.py", 12, "recorder", 0.1))
    setting = Setting("run_functions_eagerly", Site("train.py", 3, column=1), 80_000, 500, claims)

    def test_functions_that_ran_op_by_op(self) -> None:
        finding = only(self.page, recording(settings=(self.setting,)))
        assert finding.site == self.setting.site.at_line
        assert finding.cost.claims == self.claims[:1]
        assert finding.message == (
            "`tf.config.run_functions_eagerly(True)` switches compiling off: 500 calls ran "
            "80\u202f000 ops one by one in 1 s."
        )

    def test_the_debug_mode_of_pipelines(self) -> None:
        setting = Setting("tf.data debug mode", Site("train.py", 3))
        rows = (Iteration(CALL, 1, 500, 2.0, 1.5, 0.0),)
        finding = only(self.page, recording(settings=(setting,), iterations=rows))
        assert {c.part: c.seconds for c in finding.cost.claims} == {"input": 0.5, "bridge": 1.5}
        assert "the program waited 2 s for elements" in finding.message

    @pytest.mark.parametrize(
        "changes",
        [{"claims": claims[1:]}, {"claims": ()}, {"ops": 300}],
        ids=["nothing but the recorder", "nothing ran", "large ops"],
    )
    def test_look_alikes(self, changes: dict[str, Any]) -> None:
        row = dataclasses.replace(self.setting, **changes)
        assert silent(self.page, recording(settings=(row,)))


class TestFunctionTooSmall:
    page = FunctionTooSmall()

    def tiny(self, **changes: Any) -> Recording:
        row = {"function": "smooth", "calls": 5000, "seconds": 0.8, "first_seconds": 0.05}
        return recording(function_calls=(calls(**{**row, "nodes": 6, **changes}),))

    def test_a_tiny_function_called_often(self) -> None:
        finding = only(self.page, self.tiny())
        assert finding.site == CALL.at_line
        assert finding.cost.claims[0].part == "graph"
        assert finding.cost.seconds == pytest.approx(0.75)
        assert finding.message == (
            "smooth() was called 5\u202f000 times, 150 µs each, for a graph of 6 nodes: that is "
            "the price of the call, not of the work."
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"nodes": 60},
            {"nodes": 0},
            {"calls": 100, "seconds": 0.1},
            {"seconds": 8.0},
            {"definition": None},
            {"main": False},
            {"eager": 5000},
        ],
        ids=["large", "unknown", "few calls", "heavy op", "library", "thread", "run eagerly"],
    )
    def test_look_alikes(self, changes: dict[str, Any]) -> None:
        assert silent(self.page, self.tiny(**changes))
