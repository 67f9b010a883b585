"""`unslow check --recording`: what a run has shown decides."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pretend import Answer, ask, pretend

__all__ = ["pretend"]

Capture = pytest.CaptureFixture[str]

SOURCE = """\
import tensorflow as tf
tf.risky(1)
def step():
    tf.slow(
        1,
    )
    tf.slow(2)
def never():
    tf.slow(3)
step()
"""


def report(**changes: Any) -> dict[str, Any]:
    """The report of a run of `a.py` in which line 5 was slow and line 7 was not."""
    problem = {
        "code": "TF901",
        "name": "safe-call",
        "kind": "problem",
        "path": "a.py",
        "cell": None,
        "line": 5,
        "end_line": 5,
        "column": None,
        "function": "step",
        "message": "It took long.",
        "cost": {"seconds": 1.5, "share": 0.5, "calls": 7, "bytes": 0},
        "evidence": {"calls": 7, "seconds": 1.5},
        "gain": None,
        "alternatives": [],
    }
    line = {"path": "a.py", "cell": None, "seconds": 1.0, "parts": {"python": 1.0}}
    return {
        "unslow": "0.1.0",
        "schema": 1,
        "partial": False,
        "time": {"wall": 3.0, "parts": []},
        "lines": [
            {**line, "line": 2, "function": "<module>"},
            {**line, "line": 5, "function": "step"},
        ],
        "unwatched": [],
        "findings": [problem],
        **changes,
    }


def joined(capsys: Capture, document: Any, *words: str) -> Answer:
    Path("a.py").write_text(SOURCE)
    Path("r.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return ask(capsys, "check", "--recording", "r.json", *words)


def test_suspicions_become_problems_stay_or_are_cleared(pretend: Path, capsys: Capture) -> None:
    answer = joined(capsys, report(), "--output-format", "json")
    assert answer.status == 1
    document = answer.document
    assert [(f["line"], f["kind"]) for f in document["findings"]] == [
        (4, "problem"),
        # The run cannot show this cause.
        (2, "suspicion"),
        # This did not run.
        (9, "suspicion"),
    ]
    assert document["findings"][0]["cost"] == {
        "seconds": 1.5,
        "share": 0.5,
        "calls": 7,
        "bytes": 0,
    }
    assert document["findings"][0]["message"] == "It took long."
    assert [(f["line"], f["kind"]) for f in document["cleared"]] == [(7, "cleared")]


def test_the_text_says_what_was_measured(pretend: Path, capsys: Capture) -> None:
    out = joined(capsys, report()).out
    assert out.startswith("a.py:4:5: TF901 safe-call [*] (1.5 s, 50 % of the run) It took long.\n")
    assert "Found 1 problem and 2 suspicions in 1 file (1 file read)." in out
    assert "1 cleared by the recording." in out


@pytest.mark.parametrize("changes", [{"partial": True}, {"unwatched": [{"seam": "x", "why": "y"}]}])
def test_an_incomplete_run_clears_nothing(
    changes: dict[str, Any], pretend: Path, capsys: Capture
) -> None:
    document = joined(capsys, report(**changes), "--output-format", "json").document
    assert document["cleared"] == []
    assert len(document["findings"]) == 4


def test_problems_that_the_source_does_not_show_are_not_added(
    pretend: Path, capsys: Capture
) -> None:
    other = report()
    other["findings"][0]["code"] = "TF903"
    document = joined(capsys, other, "--output-format", "json").document
    assert {f["kind"] for f in document["findings"]} == {"suspicion"}


def test_a_file_that_is_younger_than_the_report_is_not_compared(
    pretend: Path, capsys: Capture
) -> None:
    Path("r.json").write_text(json.dumps(report()))
    Path("a.py").write_text(SOURCE)
    written = Path("r.json").stat().st_mtime_ns
    os.utime("a.py", ns=(written, written + 1))
    answer = ask(capsys, "check", "--recording", "r.json", "--output-format", "json")
    assert {f["kind"] for f in answer.document["findings"]} == {"suspicion"}
    assert answer.document["cleared"] == []
    assert answer.status == 1
    assert answer.err == (
        "unslow: a.py has changed since r.json was written: they are not compared\n"
    )


def test_paths_are_those_of_where_the_run_was(
    pretend: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined(capsys, report())
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    answer = ask(capsys, "check", "../a.py", "--recording", "../r.json")
    assert "1 problem" in answer.out


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        "3",
        "null",
        "{}",
        '{"schema": 2}',
        json.dumps(report(time=None)),
        json.dumps(report(time={"wall": "long"})),
        json.dumps(report(findings=[{"kind": "problem"}])),
        json.dumps(report(lines=[{}])),
        json.dumps(report(lines=3)),
        json.dumps(report(time={"wall": float("nan")})),
    ],
)
def test_what_is_no_report_is_refused(text: str, pretend: Path, capsys: Capture) -> None:
    answer = joined(capsys, text)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("unslow: r.json is not a report of unslow run")
    assert answer.err.count("\n") == 1


def test_a_missing_report(pretend: Path, capsys: Capture) -> None:
    answer = ask(capsys, "check", "--recording", "gone.json")
    assert answer.err == "unslow: cannot read gone.json: No such file or directory\n"
    assert answer.status == 2


def test_the_report_of_a_check_is_no_recording(pretend: Path, capsys: Capture) -> None:
    Path("a.py").write_text(SOURCE)
    ask(capsys, "check", "--output-format", "json", "--output-file", "r.json")
    assert "is not a report of unslow run" in ask(capsys, "check", "--recording", "r.json").err
