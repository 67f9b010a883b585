"""The command line: what it answers, and what it hands on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unslow import __version__, cli
from unslow.catalogue import pages
from unslow.commands import console
from unslow.recording.data import Machine, Program, Recording
from unslow.run import parent

HEAVY = ("tensorflow", "keras", "numpy")

RECORDING = Recording(
    program=Program(("train.py",), "3.11.7", "2.21.0", exit_status=3),
    machine=Machine(2, 8_000_000_000),
    partial=False,
    wall=4.0,
    parts={"python": 4.0},
)


def unslow(*words: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "unslow", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **settings,
    )


def test_version() -> None:
    done = unslow("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"unslow {__version__}\n", "")


def test_help_names_the_commands() -> None:
    done = unslow("--help")
    assert done.returncode == 0
    for command in ("run", "check", "fix", "explain", "causes"):
        assert command in done.stdout
    assert "SCRIPT" in unslow("run", "--help").stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["check", "--help"],
        ["check", __file__],
        ["explain", "TF101"],
        ["causes"],
    ],
)
def test_light_commands_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from unslow.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.code)
def test_every_page_can_be_explained(page: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", page.code]) == 0
    by_code = capsys.readouterr().out
    assert by_code.startswith(f"{page.code} {page.name}\n")
    assert page.text().splitlines()[0] in by_code
    for program in (page.slow, page.fast):
        for line in program.strip("\n").splitlines():
            assert f"    {line}".rstrip() in by_code.splitlines()
    assert cli.main(["explain", page.name]) == 0
    assert capsys.readouterr().out == by_code
    assert cli.main(["explain", page.code.lower()]) == 0


def test_an_unknown_cause_is_refused_with_a_hint() -> None:
    done = unslow("explain", "numpy-funktion")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "unslow: there is no cause 'numpy-funktion'; did you mean numpy-function?\n"
    )
    assert "unslow causes lists them" in unslow("explain", "qqqqq").stderr


def test_causes_lists_every_page() -> None:
    lines = unslow("causes").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[p.code, p.name] for p in pages()]


def test_causes_as_json() -> None:
    rows = json.loads(unslow("causes", "--output-format", "json").stdout)
    assert [row["code"] for row in rows] == [page.code for page in pages()]
    assert {row["family"] for row in rows} <= {"border", "graphs", "pipelines", "models", "machine"}
    assert all(row["summary"] and row["name"] for row in rows)


def test_a_page_prints_where_the_stream_is_ascii() -> None:
    done = unslow("explain", "TF101", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -u -m unslow causes | head -c 1"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "COMMAND"),
        (["walk"], "walk"),
        (["run"], "no program given"),
        (["run", "-m"], "no module given"),
        (["run", "-"], "standard input"),
        (["run", "--limit", "soon", "a.py"], "'soon' is not a number of seconds"),
        (["run", "--limit", "0", "a.py"], "'0' is not a number of seconds"),
        (["run", "--limit", "nan", "a.py"], "'nan' is not a number of seconds"),
        (["run", "--lim", "3", "a.py"], "--lim"),
        (["run", "--output"], "--output"),
        (["explain"], "CAUSE"),
        (["causes", "--output-format", "yaml"], "yaml"),
    ],
)
def test_wrong_usage_is_one_sentence(
    words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("unslow: ")
    assert part in shown.err
    assert shown.err.count("\n") == 1


Runner = Callable[..., list[parent.RunOptions]]


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Put a run in place of the real one; what it was asked for is collected."""

    def install(
        recording: Recording | None = RECORDING,
        why: str | None = None,
        exit_status: int = 3,
        killed_by: int | None = None,
        error: str | None = None,
    ) -> list[parent.RunOptions]:
        asked: list[parent.RunOptions] = []

        def run_program(options: parent.RunOptions, **_: object) -> parent.RunResult:
            asked.append(options)
            if error is not None:
                raise parent.RunError(error)
            return parent.RunResult(recording, why, exit_status, killed_by)

        monkeypatch.setattr(parent, "run_program", run_program)
        return asked

    return install


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["a.py"], ("a.py",)),
        (
            ["a.py", "--help", "-m", "x", "--limit", "3"],
            ("a.py", "--help", "-m", "x", "--limit", "3"),
        ),
        (["-m", "package.train", "--version"], ("-m", "package.train", "--version")),
        (["-mpackage"], ("-m", "package")),
        (["--", "--odd.py", "--", "x"], ("--odd.py", "--", "x")),
        (["a.ipynb", ""], ("a.ipynb", "")),
    ],
)
def test_what_follows_the_program_belongs_to_it(
    words: list[str], target: tuple[str, ...], runner: Runner
) -> None:
    asked = runner()
    assert cli.main(["run", *words]) == 3
    assert asked == [parent.RunOptions(target=target, limit=None, include=(), windows=True)]


def test_options_stand_before_the_program(runner: Runner) -> None:
    asked = runner()
    options = ["--limit", "2.5", "--include", "one", "--include=two", "--no-windows"]
    assert cli.main(["run", *options, "a.py", "--no-windows"]) == 3
    assert asked == [
        parent.RunOptions(
            target=("a.py", "--no-windows"), limit=2.5, include=("one", "two"), windows=False
        )
    ]


def test_the_report_goes_to_standard_error_alone(
    runner: Runner, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    runner()
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    assert cli.main(["run", "--output", str(first), f"--output={second}", "a.py"]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "train.py took 4 s." in shown.err
    assert "\x1b" not in shown.err
    assert json.loads(first.read_text())["time"]["wall"] == 4.0
    assert first.read_bytes() == second.read_bytes()


def test_a_bad_output_stops_before_the_program(
    runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = runner()
    assert cli.main(["run", "--output", "report.pdf", "a.py"]) == 2
    assert asked == []
    assert "report.pdf" in capsys.readouterr().err


def test_an_output_lost_after_the_program_keeps_its_status(
    runner: Runner, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner()
    monkeypatch.setattr("unslow.report.output.check", lambda path: None)
    assert cli.main(["run", "--output", "/no/such/place/r.json", "a.py"]) == 3
    assert "unslow: cannot write the report to /no/such/place/r.json" in capsys.readouterr().err


def test_a_fault_in_the_report_keeps_the_status_and_is_shown(
    runner: Runner, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner()

    def fail(recording: Recording) -> None:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr("unslow.catalogue.diagnose", fail)
    assert cli.main(["run", "a.py"]) == 3
    assert "ZeroDivisionError: a fault of ours" in capsys.readouterr().err


def test_a_run_that_cannot_start_is_one_sentence(
    runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    runner(error="a.py does not exist")
    assert cli.main(["run", "a.py"]) == 2
    assert capsys.readouterr().err == "unslow: a.py does not exist\n"


def test_a_run_without_recording_says_why(
    runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    runner(recording=None, why="the program replaced itself by another", exit_status=0)
    assert cli.main(["run", "a.py"]) == 0
    assert capsys.readouterr().err == "unslow: the program replaced itself by another\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_the_signal_that_ended_the_program_ends_us(number: signal.Signals) -> None:
    code = (
        "import sys, unslow.run.parent as parent\n"
        "from unslow.cli import main\n"
        f"parent.run_program = lambda o, **_: parent.RunResult(None, 'killed', 1, {int(number)})\n"
        "sys.exit(main(['run', 'a.py']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -number
    assert done.stderr == "unslow: killed\n"


def test_colour_needs_a_terminal_and_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self, terminal: bool) -> None:
            self.terminal = terminal

        def isatty(self) -> bool:
            return self.terminal

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert console.colored(Stream(True))  # type: ignore[arg-type]
    assert not console.colored(Stream(False))  # type: ignore[arg-type]
    monkeypatch.setenv("NO_COLOR", "1")
    assert not console.colored(Stream(True))  # type: ignore[arg-type]


def test_the_source_of_a_notebooks_line_is_read_from_its_cell(tmp_path: Path) -> None:
    from unslow.finding import Site

    path = tmp_path / "a.ipynb"
    cells = [
        {"cell_type": "markdown", "source": "text"},
        {"cell_type": "code", "source": ["one\n", "two"]},
    ]
    path.write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))
    line = console.source_line()
    assert line(Site(str(path), 2, cell=1)) == "two"
    assert line(Site(str(path), 3, cell=1)) == ""
    assert line(Site(str(path), 1, cell=7)) == ""
    assert line(Site(str(tmp_path / "gone.ipynb"), 1, cell=1)) == ""
