"""What the reports say about a run, and what they leave out."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from unslow.finding import (
    PARTS,
    Alternative,
    Claim,
    Cost,
    Edit,
    Finding,
    Gain,
    Proof,
    Site,
)
from unslow.recording.data import (
    LineTime,
    Machine,
    Program,
    Recording,
    ThreadTime,
    Unwatched,
)
from unslow.report import output
from unslow.report.document import document
from unslow.report.terminal import MEANING, render
from unslow.report.text import fit_encoding

ROTATE = Site("train.py", 58, "rotate", end_line=60, column=9)
STEP = Site("train.py", 91, "<module>")
FINDINGS = [
    Finding(
        "TF101",
        "numpy-function",
        "problem",
        ROTATE,
        "Python ran 6\u202f400 times inside the input pipeline, 2.9 ms each, one at a time: "
        "the interpreter lock lets no two run together.",
        Cost(20.0, 6400, 1000, (Claim("train.py", 58, "bridge", 20.0),)),
        {"threads": 2},
    ),
    Finding(
        "TF201",
        "python-argument-retracing",
        "problem",
        STEP,
        "Traced 50 times in 50 calls: `lr` is a Python float and had 50 values.",
        Cost(10.0, 50, 0, (Claim("train.py", 91, "build", 10.0),)),
        {"calls": 51, "argument": "lr"},
    ),
]
RECORDING = Recording(
    program=Program(("train.py",), "3.11.7", "2.21.0", "3.15.1", "2.4.6", 0),
    machine=Machine(2, 8_000_000_000),
    partial=False,
    wall=40.0,
    parts={**dict.fromkeys(PARTS, 0.0), "bridge": 20.0, "build": 11.9, "python": 8.0, "eager": 0.1},
    lines=(
        LineTime(STEP, {"build": 10.0, "eager": 0.1}),
        LineTime(ROTATE, {"bridge": 20.0}),
    ),
)


def flat(text: str) -> str:
    return " ".join(text.replace("\u202f", " ").split())


def report(recording: Recording = RECORDING, findings: list[Finding] | None = None) -> str:
    return flat(render(recording, FINDINGS if findings is None else findings))


def test_the_headline_says_how_much_is_explained() -> None:
    first = render(RECORDING, FINDINGS).splitlines()[0]
    assert first == "train.py took 40 s. 30 s of it (75 %) has 2 known causes."


def test_one_cause_is_singular_and_places_are_counted() -> None:
    assert "has 1 known cause." in report(findings=FINDINGS[:1])
    twice = [FINDINGS[0], replace(FINDINGS[0], site=STEP)]
    assert "has 1 known cause at 2 places." in report(findings=twice)


def test_overlapping_findings_are_not_counted_twice() -> None:
    same = replace(FINDINGS[0], code="TF305", name="gil-bound-map")
    assert "20 s of it (50 %) has 2 known causes." in report(findings=[FINDINGS[0], same])


def test_no_finding_is_said_with_where_the_time_went() -> None:
    text = report(findings=[])
    assert "No known cause of slowness was found" in text
    assert f"20 s (50 %), went to bridge: {MEANING['bridge']}." in text


def test_every_part_has_a_meaning() -> None:
    assert set(MEANING) == set(PARTS)


def test_the_budget_is_sorted_and_leaves_zeros_out() -> None:
    text = render(RECORDING, FINDINGS)
    budget = text[text.index("Where the time went") :].split("\n\n")[0]
    names = [line.split()[0] for line in budget.splitlines()[1:]]
    assert names == ["bridge", "build", "python", "eager"]
    assert re.search(r"bridge +20 s +50 % ", budget)
    assert re.search(r"eager +100 ms +< 1 % ", budget)


def test_a_finding_shows_place_cost_message_and_where_to_read_more() -> None:
    text = report()
    assert "1 TF101 numpy-function train.py:58 rotate() 20 s 50 % Python ran 6 400 times" in text
    assert "2 TF201 python-argument-retracing train.py:91 10 s 25 % Traced 50" in text
    assert "unslow explain TF101" in text
    assert "unslow explain TF201" in text
    assert "<module>" not in text


def test_a_measured_gain_and_its_alternatives_are_shown() -> None:
    proven = replace(
        FINDINGS[0],
        gain=Gain(17.9, 0.43),
        alternatives=(
            Alternative(
                "native ops", "unsafe", (), Proof(11.3, (11, 12), 12, True, 2e-7, inputs="8 images")
            ),
            Alternative("batched", "unsafe", (), Proof(6.1, (6, 6.2), 12, True, inputs="8 images")),
            Alternative(
                "wrong",
                "unsafe",
                (),
                Proof(40, (39, 41), 12, False, where="[0]: 1 against 2", inputs="8 images"),
            ),
            Alternative("broken", "unsafe", failure="raised ValueError: no"),
            Alternative("untried", "unsafe"),
        ),
    )
    text = report(findings=[proven])
    assert "gain 17.9 s 43 %" in text
    assert "measured on 8 images: native ops 11.3× (11× to 12×) equal within 2e-07 ← best" in text
    assert "batched 6.1× (6× to 6.2×) equal" in text
    assert "wrong 40× (39× to 41×) not equal: [0]: 1 against 2" in text
    assert "broken raised ValueError: no" in text
    assert text.count("best") == 1
    assert "untried" not in text


def test_what_failed_for_one_reason_stands_together() -> None:
    failed = [Alternative(name, "safe", failure="not tried: no time") for name in ("one", "two")]
    other = Alternative("three", "safe", failure="raised ValueError: no")
    finding = replace(FINDINGS[0], alternatives=(failed[0], other, failed[1]))
    text = report(findings=[finding])
    assert "one; two: not tried: no time" in text
    assert "three raised ValueError: no" in text


def test_the_headline_says_how_long_the_program_would_take() -> None:
    rotate = replace(FINDINGS[0], gain=Gain(16.0, 0.4))
    step = replace(FINDINGS[1], gain=Gain(9.0, 0.225))
    first = render(RECORDING, [rotate, step]).splitlines()
    assert flat(" ".join(first[:2])).endswith("without them it would take about 15 s.")
    assert "with what experiments have shown it would take about 24 s." in report(
        findings=[rotate, FINDINGS[1]]
    )


def test_gains_at_the_same_line_and_part_are_counted_once() -> None:
    rotate = replace(FINDINGS[0], gain=Gain(16.0, 0.4))
    same = replace(rotate, code="TF305", name="gil-bound-map", gain=Gain(10.0, 0.25))
    assert "without them it would take about 24 s." in report(findings=[rotate, same])


def test_why_nothing_was_tried_is_said() -> None:
    assert "not tried: its function writes files." in report(
        findings=[replace(FINDINGS[0], untried="its function writes files.")]
    )


def test_what_is_not_worth_fixing_is_said_and_not_counted() -> None:
    proof = Proof(1.0, (0.9, 1.1), 9, True)
    cleared = replace(
        FINDINGS[1],
        kind="cleared",
        message="TensorFlow adds it by itself.",
        gain=Gain(0.0, 0.0),
        alternatives=(Alternative("prefetch", "safe", (), proof),),
    )
    text = report(findings=[FINDINGS[0], cleared])
    assert "has 1 known cause." in text
    assert "not worth fixing: train.py:91 TF201" in text
    assert "TensorFlow adds it by itself. prefetch: 1× measured." in text
    assert "2 TF201" not in text


def test_the_hottest_lines_show_their_source(tmp_path: Path) -> None:
    path = tmp_path / "slow.py"
    path.write_text("import os\nslow = call(1)  # \x1b[31mred\n")
    lines = (
        LineTime(Site(str(path), 2), {"eager": 3.0}),
        LineTime(Site(str(tmp_path / "gone.py"), 1), {"python": 2.0}),
    )
    text = render(replace(RECORDING, lines=lines), [], width=110 + len(str(path)))
    table = text[text.index("The lines that took longest") :]
    assert table.index("slow.py:2") < table.index("gone.py:1")
    assert "\x1b" not in text


def test_the_source_of_a_line_comes_from_whoever_can_read_it() -> None:
    lines = (LineTime(Site("nb.ipynb", 2, cell=3), {"eager": 3.0}),)
    text = render(
        replace(RECORDING, lines=lines), [], source=lambda s: f"    cell_{s.cell}_line_{s.line}()"
    )
    assert "nb.ipynb:cell 3:2  cell_3_line_2()" in text


def test_only_ten_lines_are_listed() -> None:
    lines = tuple(LineTime(Site("many.py", n), {"eager": 1.0 / n}) for n in range(1, 31))
    text = report(replace(RECORDING, lines=lines), [])
    assert "many.py:10" in text
    assert "many.py:11" not in text


def test_threads_unwatched_seams_and_notes_are_listed() -> None:
    recording = replace(
        RECORDING,
        threads=(ThreadTime("loader-*", 3, {"eager": 1.5, "convert": 0.0}),),
        unwatched=(Unwatched("tensorflow.some_seam", "it is not in this version"),),
        notes=("something to know",),
    )
    text = report(recording)
    assert "loader-* (3 threads): eager 1.5 s" in text
    assert "tensorflow.some_seam: it is not in this version" in text
    assert "note: something to know" in text
    assert "other threads" not in report()
    assert "Not watched" not in report()


def test_partial_recordings_and_failed_programs_are_marked() -> None:
    assert "partial" not in report()
    assert "partial" in report(replace(RECORDING, partial=True))
    ended = replace(RECORDING, program=replace(RECORDING.program, exit_status=3))
    assert "exit status 3" in report(ended)
    killed = replace(RECORDING, program=replace(RECORDING.program, exit_status=137))
    assert "exit status 137 (SIGKILL)" in report(killed)


def test_a_program_without_tensorflow_is_told_so() -> None:
    program = replace(RECORDING.program, tensorflow=None)
    text = report(replace(RECORDING, program=program), [])
    assert "never imported TensorFlow" in text


def test_a_module_is_named_as_it_was_run() -> None:
    program = replace(RECORDING.program, argv=("-m", "package.train", "--fast"))
    assert report(replace(RECORDING, program=program)).startswith("python -m package.train took")


def test_an_empty_recording_can_be_reported() -> None:
    empty = replace(RECORDING, wall=0.0, parts={}, lines=())
    assert "train.py took" in render(empty, [])


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = render(RECORDING, FINDINGS, width=width).splitlines()
    assert max(map(len, lines)) <= max(width, 50)


def test_colour_changes_nothing_but_colour() -> None:
    plain = render(RECORDING, FINDINGS)
    colored = render(RECORDING, FINDINGS, color=True)
    assert "\x1b[" not in plain
    assert "\x1b[" in colored
    assert re.sub(r"\x1b\[\d*m", "", colored) == plain


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "no-such-encoding", None])
def test_every_encoding_can_carry_the_report(encoding: str | None) -> None:
    text = fit_encoding(render(RECORDING, FINDINGS), encoding)
    text.encode("ascii" if encoding in (None, "no-such-encoding") else encoding)
    assert "Python ran 6 400 times" in text.replace("\n", " ")


def test_a_capable_stream_gets_the_text_as_it_is() -> None:
    text = render(RECORDING, FINDINGS)
    assert "█" in text
    assert fit_encoding(text, "utf-8") == text


def test_the_document_has_the_keys_of_the_contract() -> None:
    data = document(RECORDING, FINDINGS)
    assert data["schema"] == 1
    assert data["program"]["argv"] == ["train.py"]
    assert data["program"]["tensorflow"] == "2.21.0"
    assert data["machine"] == {"cores": 2, "memory_bytes": 8_000_000_000, "accelerators": []}
    assert [part["name"] for part in data["time"]["parts"]] == list(PARTS)
    assert sum(part["seconds"] for part in data["time"]["parts"]) == data["time"]["wall"] == 40.0
    assert data["partial"] is False
    assert data["unwatched"] == []
    assert [row["line"] for row in data["lines"]] == [58, 91]

    first, second = data["findings"]
    place = {key: first[key] for key in ("path", "cell", "line", "end_line", "column", "function")}
    assert place == {
        "path": "train.py",
        "cell": None,
        "line": 58,
        "end_line": 60,
        "column": 9,
        "function": "rotate",
    }
    assert first["kind"] == "problem"
    assert first["cost"] == {"seconds": 20.0, "share": 0.5, "calls": 6400, "bytes": 1000}
    assert first["evidence"] == {"calls": 6400, "seconds": 20.0, "threads": 2}
    assert first["gain"] is None
    assert first["alternatives"] == []
    assert second["end_line"] == 91
    assert second["evidence"] == {"calls": 51, "seconds": 10.0, "argument": "lr"}


def test_the_document_carries_gain_alternatives_and_edits() -> None:
    finding = replace(
        FINDINGS[0],
        gain=Gain(17.9, 0.43),
        alternatives=(
            Alternative(
                "native ops",
                "unsafe",
                (Edit("train.py", (58, 9), (58, 20), "x"),),
                Proof(11.3, (10.8, 11.9), 12, True, 2e-7, 1e-5, "", "32 images"),
            ),
            Alternative("untried", "safe"),
        ),
    )
    whole = json.loads(json.dumps(document(RECORDING, [finding])))
    data = whole["findings"][0]
    assert data["gain"] == {"seconds": 17.9, "share": 0.43}
    assert whole["gain"]["seconds"] == pytest.approx(17.9)
    assert data["untried"] == ""
    assert data["alternatives"][0] == {
        "name": "native ops",
        "ratio": 11.3,
        "interval": [10.8, 11.9],
        "pairs": 12,
        "equal": True,
        "max_error": 2e-7,
        "tolerance": 1e-5,
        "where": "",
        "inputs": "32 images",
        "verdict": "faster",
        "failure": "",
        "safety": "unsafe",
        "note": "",
        "edits": [
            {"path": "train.py", "start": [58, 9], "end": [58, 20], "text": "x", "cell": None}
        ],
    }
    assert data["alternatives"][1]["ratio"] is None
    assert data["alternatives"][1]["edits"] == []


def test_a_report_file_is_the_document(tmp_path: Path) -> None:
    path = tmp_path / "r.JSON"
    output.check(str(path))
    output.write(str(path), RECORDING, FINDINGS)
    assert json.loads(path.read_text(encoding="utf-8")) == document(RECORDING, FINDINGS)
    assert list(tmp_path.iterdir()) == [path]


def test_arguments_that_are_not_text_do_not_stop_the_file(tmp_path: Path) -> None:
    program = replace(RECORDING.program, argv=("a\udce9.py",))
    path = tmp_path / "r.json"
    output.write(str(path), replace(RECORDING, program=program), [])
    assert json.loads(path.read_bytes())["program"]["argv"] == ["a\udce9.py"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    path = tmp_path / "r.json"
    output.write(str(path), RECORDING, [])
    assert path.stat().st_mode == plain.stat().st_mode
    path.chmod(0o640)
    output.write(str(path), RECORDING, [])
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").touch()
    link = tmp_path / "link.json"
    link.symlink_to("real.json")
    output.write(str(link), RECORDING, [])
    assert link.is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["schema"] == 1


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(output.OutputError, match=r"r\.json: No space left"):
        output.write(str(path), RECORDING, [])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_endings_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(output.OutputError, match=r"known are \.json"):
        output.check("report.pdf")
    with pytest.raises(output.OutputError, match="does not exist"):
        output.check(str(tmp_path / "no" / "r.json"))
    (tmp_path / "d.json").mkdir()
    with pytest.raises(output.OutputError, match="is a directory"):
        output.check(str(tmp_path / "d.json"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(output.OutputError, match="not writable"):
        output.check(str(tmp_path / "r.json"))
