"""Plain data goes to JSON and comes back as it was."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from unslow.finding import (
    Alternative,
    Claim,
    Cost,
    Edit,
    Finding,
    Gain,
    Proof,
    Site,
    total_seconds,
)
from unslow.plain import from_plain, to_plain
from unslow.recording.data import (
    Bridge,
    Iteration,
    LineTime,
    Machine,
    Program,
    Recording,
    Retrace,
    Setting,
    Stage,
    Tracing,
    Unwatched,
)

SITE = Site("train.py", 12, "step", end_line=13, column=5)
FINDING = Finding(
    code="TF201",
    name="python-argument-retracing",
    kind="problem",
    site=SITE,
    message="Traced 50 times.",
    cost=Cost(8.8, 50, 0, (Claim("train.py", 12, "build", 8.8),)),
    evidence={"traces": 50, "argument": "lr"},
    gain=Gain(8.0, 0.2),
    alternatives=(
        Alternative(
            "pass a tensor",
            "unsafe",
            (Edit("train.py", (12, 5), (12, 9), "tf.constant(lr)"),),
            Proof(11.3, (10.8, 11.9), 12, True, 2e-7),
        ),
        Alternative("shuffle later", "unsafe", (), Proof(2, (1.5, 2.5), 8, "distribution")),
        Alternative("untried", "safe"),
    ),
)
RECORDING = Recording(
    program=Program(("train.py", "--fast"), "3.11.7", tensorflow="2.21.0", exit_status=3),
    machine=Machine(2, 8_000_000_000, ("GPU:0",)),
    partial=True,
    wall=4.5,
    parts={"build": 3.0, "python": 1.5},
    lines=(LineTime(SITE, {"build": 3.0}),),
    tracings=(
        Tracing(
            SITE, "step", None, 50, 1, 8.8, 40, (Retrace("lr", "python value", 49, ("0.1", "0.2")),)
        ),
    ),
    bridges=(
        Bridge(
            SITE,
            "numpy_function",
            "rotate",
            Site("train.py", 3, "rotate"),
            10,
            1.0,
            0.5,
            1.0,
            0.25,
            2,
            100,
            3,
            True,
            (Claim("train.py", 12, "bridge", 0.25),),
        ),
    ),
    iterations=(Iteration(SITE, 1, 10, 1.0, 0.5, 0.1, (Stage("Batch", None, 32),)),),
    settings=(Setting("run_functions_eagerly", Site("a.ipynb", 1, cell=2)),),
    unwatched=(Unwatched("tf.x", "gone"),),
    notes=("one",),
)


@pytest.mark.parametrize("value", [SITE, FINDING, RECORDING], ids=lambda v: type(v).__name__)
def test_round_trip_through_json(value: Any) -> None:
    again = from_plain(type(value), json.loads(json.dumps(to_plain(value))))
    assert again == value


def test_whole_numbers_become_floats_where_floats_are_meant() -> None:
    cost = from_plain(Cost, {"seconds": 2, "calls": 3})
    assert cost == Cost(2.0, 3)
    assert isinstance(cost.seconds, float)


def test_missing_fields_take_their_defaults() -> None:
    assert from_plain(Site, {"path": "a.py", "line": 1}) == Site("a.py", 1)


@pytest.mark.parametrize("data", [None, 7, {"path": "a.py"}, []])
def test_what_is_no_site_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="not a Site"):
        from_plain(Site, data)


def test_tuples_of_a_wrong_length_are_refused() -> None:
    data = to_plain(FINDING)
    data["alternatives"][0]["edits"][0]["start"] = [1, 2, 3]
    with pytest.raises(ValueError):
        from_plain(Finding, data)


def test_a_place_names_the_cell() -> None:
    assert SITE.place == "train.py:12"
    assert Site("a.ipynb", 3, cell=2).place == "a.ipynb:cell 2:3"
    assert SITE.at_line == Site("train.py", 12, "step")


def test_seconds_that_two_findings_claim_count_once() -> None:
    larger = replace(FINDING, cost=Cost(10, claims=(Claim("train.py", 12, "build", 10.0),)))
    other = replace(FINDING, cost=Cost(1, claims=(Claim("train.py", 12, "eager", 1.0),)))
    assert total_seconds([FINDING, larger, other]) == 11.0
    assert total_seconds([]) == 0


def test_seconds_of_a_line_add_up_over_its_rows() -> None:
    recording = replace(
        RECORDING,
        lines=(
            LineTime(SITE, {"build": 1.0}),
            LineTime(Site("train.py", 12, "other"), {"build": 2.0, "eager": 0.5}),
            LineTime(Site("train.py", 13, "step"), {"build": 4.0}),
        ),
    )
    assert recording.line(SITE) == {"build": 3.0, "eager": 0.5}
