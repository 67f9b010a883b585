"""`unslow check`: which files, which causes, which form, which status."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pretend import Answer, ask, notebook, pretend, program

from unslow.check import checking, workers
from unslow.check.files import find_files, imported_names, names_of
from unslow.check.settings import find_settings, matches
from unslow.report.suspicions import extent

__all__ = ["pretend"]

Capture = pytest.CaptureFixture[str]


def checked(capsys: Capture, *words: str) -> Answer:
    return ask(capsys, "check", "--output-format", "json", *words)


def write(path: str, text: str | bytes) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_nothing_found_is_status_0(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("fine"))
    answer = ask(capsys, "check")
    assert answer.status == 0
    assert answer.out == "Nothing suspicious found (1 file read).\n"
    assert answer.err == ""


def test_a_finding_is_status_1_and_shown_at_its_place(pretend: Path, capsys: Capture) -> None:
    write("a.py", "import tensorflow as tf\nif True:\n\tx = tf.slow( 1)  # why\n")
    answer = ask(capsys, "check")
    assert answer.status == 1
    assert answer.out == (
        "a.py:3:6: TF901 safe-call [*] It calls slow.\n"
        "  3 | x = tf.slow( 1)  # why\n"
        "          ^^^^^^^^^^^\n"
        "  fix: call fast()\n"
        "\n"
        "Found 1 suspicion in 1 file (1 file read).\n"
        "Seen in the source, not measured: unslow run says what they cost.\n"
        "[*] 1 fixable with unslow fix.\n"
    )
    assert answer.err == ""


def test_the_summary_counts_what_can_be_mended(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow", "risky", "risky", "other"))
    lines = ask(capsys, "check").out.splitlines()
    assert lines[-1] == "[*] 1 fixable with unslow fix, 2 more with --unsafe-fixes."
    assert "  unsafe fix: call fast() (Digits may differ)" in lines
    lines = ask(capsys, "check", "--unsafe-fixes").out.splitlines()
    assert lines[-1] == "[*] 3 fixable with unslow fix --unsafe-fixes."
    lines = ask(capsys, "check", "--select", "TF902").out.splitlines()
    assert lines[-1] == "2 fixable with unslow fix --unsafe-fixes."


def test_quiet_and_statistics(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow", "other", "other"))
    assert "Found" not in ask(capsys, "check", "-q").out
    assert ask(capsys, "check", "--statistics").out == (
        "    2  TF903  [ ] plain-call\n    1  TF901  [*] safe-call\n"
    )


def test_exit_zero(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow"))
    assert ask(capsys, "check", "--exit-zero").status == 0
    write("b.py", "import tensorflow as tf\n(\n")
    assert ask(capsys, "check", "--exit-zero").status == 2


def test_the_document(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("risky"))
    write("b.py", "print(1)\n")
    answer = checked(capsys)
    document = answer.document
    assert document["schema"] == 1
    assert document["time"] is None
    assert document["files"] == {"checked": 1, "passed_over": 1, "failed": [], "fixed": []}
    (finding,) = document["findings"]
    assert (finding["kind"], finding["cost"], finding["gain"]) == ("suspicion", None, None)
    assert (finding["line"], finding["end_line"], finding["column"]) == (2, 2, 1)
    (way,) = finding["alternatives"]
    assert (way["safety"], way["note"]) == ("unsafe", "Digits may differ.")
    assert way["edits"] == [
        {"path": "a.py", "start": [2, 1], "end": [2, 9], "text": "tf.fast", "cell": None}
    ]


def test_github_annotations_are_escaped(pretend: Path, capsys: Capture) -> None:
    write("100%,a:b.py", program("slow"))
    write("n.ipynb", notebook("import tensorflow as tf", "x = 1\ntf.slow(1)"))
    write("broken.py", "import tensorflow\n(\n")
    answer = ask(capsys, "check", "--output-format", "github")
    assert answer.out.splitlines() == [
        "::warning file=100%25%2Ca%3Ab.py,line=2,col=1,title=TF901 safe-call::It calls slow.",
        "::warning file=n.ipynb,title=TF901 safe-call::cell 2, line 2: It calls slow.",
        "::error file=broken.py,line=2,title=unslow::cannot be checked: '(' was never closed",
    ]


def test_an_annotation_keeps_its_lines(pretend: Path, capsys: Capture) -> None:
    from unslow.finding import Finding, Site
    from unslow.report import github
    from unslow.report.checked import Checked

    site = Site("a.py", 3, "f", 5, 7)
    finding = Finding("TF901", "safe-call", "suspicion", site, "100 %\r\nof: it, all")
    assert github.render(Checked((finding,))) == (
        "::warning file=a.py,line=3,endLine=5,title=TF901 safe-call::100 %25%0D%0Aof: it, all\n"
    )


def test_the_report_goes_to_a_file(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow"))
    answer = checked(capsys, "--output-file", "r.json")
    assert (answer.status, answer.out) == (1, "")
    assert json.loads(Path("r.json").read_text())["findings"][0]["code"] == "TF901"
    answer = checked(capsys, "--output-file", "no/r.json")
    assert (answer.status, answer.out) == (2, "")
    assert "its directory does not exist" in answer.err


# Which files


def test_folders_are_searched_and_some_left_out(pretend: Path, capsys: Capture) -> None:
    wanted = ["a.py", "sub/b.py", "sub/deep/c.py", "n.ipynb"]
    unwanted = [
        ".hidden/x.py",
        ".venv/x.py",
        "venv/x.py",
        "node_modules/x.py",
        "build/x.py",
        "dist/x.py",
        "lib/site-packages/x.py",
        "sub/__pycache__/x.py",
        "text.txt",
    ]
    for path in (*wanted, *unwanted):
        write(path, notebook("import tensorflow") if path.endswith("nb") else program("slow"))
    Path("dir.py").mkdir()
    write("dir.py/d.py", program("slow"))
    os.mkfifo("pipe.py")
    Path("loop").symlink_to(".")
    Path("gone.py").symlink_to("nowhere.py")
    shown = ask(capsys, "check", "--show-files").out.splitlines()
    assert sorted(shown) == sorted([*wanted, "dir.py/d.py"])
    assert len(checked(capsys).found) == 4
    # By name, anything is read, as Python.
    assert checked(capsys, "build/x.py", "text.txt").found == [
        ("build/x.py", 2, "TF901"),
        ("text.txt", 2, "TF901"),
    ]


def test_a_file_named_twice_is_read_once(pretend: Path, capsys: Capture) -> None:
    write("sub/a.py", program("slow"))
    assert checked(capsys, "sub/a.py", "sub", "./sub/../sub/a.py").found == [
        ("sub/a.py", 2, "TF901")
    ]


def test_paths_outside_the_working_directory_are_absolute(
    pretend: Path, capsys: Capture, tmp_path: Path
) -> None:
    path = write(str(tmp_path / "elsewhere" / "a.py"), program("slow"))
    assert checked(capsys, "../elsewhere").found == [(str(path), 2, "TF901")]


def test_what_is_missing_or_no_file_is_told_and_the_rest_checked(
    pretend: Path, capsys: Capture
) -> None:
    write("a.py", program("slow"))
    os.mkfifo("pipe.py")
    answer = checked(capsys, "gone.py", "pipe.py", "a.py")
    assert answer.status == 2
    assert answer.err.splitlines() == [
        "unslow: gone.py: cannot be read: No such file or directory",
        "unslow: pipe.py: cannot be read: it is not a regular file",
    ]
    assert answer.found == [("a.py", 2, "TF901")]
    assert [each["path"] for each in answer.document["files"]["failed"]] == ["gone.py", "pipe.py"]


def test_an_empty_folder_is_said_to_be_empty(pretend: Path, capsys: Capture) -> None:
    answer = ask(capsys, "check")
    assert (answer.status, answer.err) == (0, "unslow: no Python files or notebooks there\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"import tensorflow\nx = (\n", ":2: cannot be checked: '(' was never closed"),
        (b"import tensorflow\n\0\n", ":2: cannot be checked: it has a null byte"),
        (b"import tensorflow\n'\xff'\n", ":2: cannot be checked: its text is not utf-8"),
        (b"# coding: nonsense\nimport tensorflow\n", "cannot be checked: its encoding"),
        (b"import tensorflow\nx = " + b"-" * 100_000 + b"1\n", "nested too deeply"),
        (b"import tensorflow\nx = " + b"(" * 5000 + b")" * 5000 + b"\n", "cannot be checked"),
    ],
)
def test_a_broken_file_is_one_sentence_and_the_rest_is_checked(
    content: bytes, message: str, pretend: Path, capsys: Capture
) -> None:
    write("a.py", content)
    write("b.py", program("slow"))
    answer = checked(capsys)
    assert answer.status == 2
    assert message in answer.err
    assert answer.err.startswith("unslow: a.py")
    assert answer.err.count("\n") == 1
    assert answer.found == [("b.py", 2, "TF901")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xef\xbb\xbfimport tensorflow as tf\r\ntf.slow(1)\r\n",
        b"import tensorflow as tf\rtf.slow(1)\r",
        b"# coding: latin-1\nimport tensorflow as tf\n'\xe9'; tf.slow(1)",
        b"#!/usr/bin/env python\n\f\nimport tensorflow as tf\n\x0c\ntf.slow(1)\n",
    ],
)
def test_odd_files_are_read(content: bytes, pretend: Path, capsys: Capture) -> None:
    write("a.py", content)
    answer = checked(capsys)
    assert answer.err == ""
    assert len(answer.found) == bool(content)
    assert ask(capsys, "check").err == ""


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"cells": 3}', '{"cells": [1]}', "tensorflow"]
)
def test_a_broken_notebook_is_one_sentence(content: str, pretend: Path, capsys: Capture) -> None:
    write("n.ipynb", content + (" " if "tensorflow" in content else ""))
    write("m.ipynb", '{"tensorflow": 1, "cells": 3}')
    answer = checked(capsys)
    assert answer.status == 2
    assert "unslow: m.ipynb: cannot be checked: it is not a notebook" in answer.err


def test_one_broken_cell_leaves_the_others(pretend: Path, capsys: Capture) -> None:
    write("n.ipynb", notebook("import tensorflow as tf", "x = 1\n(", "%time tf.slow(1)"))
    answer = checked(capsys)
    assert answer.status == 2
    assert answer.err == "unslow: n.ipynb:cell 2:2: cannot be checked: '(' was never closed\n"
    assert [(f["cell"], f["line"]) for f in answer.document["findings"]] == [(3, 1)]


def test_a_fault_of_ours_is_one_sentence(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("faulty"))
    write("b.py", program("slow"))
    answer = checked(capsys)
    assert answer.status == 2
    assert answer.err.startswith("unslow: a.py: cannot be checked: a fault of unslow")
    assert "ZeroDivisionError: at 2 (pretend.py, line" in answer.err
    assert answer.found == [("b.py", 2, "TF901")]


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read anything")
def test_a_file_without_permission(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow")).chmod(0)
    answer = checked(capsys)
    assert (answer.status, answer.err) == (2, "unslow: a.py: cannot be read: Permission denied\n")


def test_names_that_are_not_ascii_or_not_text(pretend: Path, capsys: Capture) -> None:
    write("né è.py", program("slow"))
    odd = os.fsdecode(b"\xff\xfe.py")
    try:
        write(odd, program("slow"))
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    write("two\nlines.py", program("slow"))
    for form in ("text", "json", "github", "sarif"):
        answer = ask(capsys, "check", "--output-format", form, "--output-file", "out")
        assert (answer.status, answer.err) == (1, "")
    assert len(json.loads(Path("out").read_text())["runs"][0]["results"]) == 3


def test_stdin(pretend: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(program("slow").encode())

    monkeypatch.setattr(sys, "stdin", Stdin)
    assert checked(capsys, "-", "--stdin-filename", "sub/a.py").found == [("sub/a.py", 2, "TF901")]
    Stdin.buffer.seek(0)
    assert "  2 | tf.slow(1)\n" in ask(capsys, "check", "-").out
    assert not list(pretend.iterdir())


# What is passed over


def test_files_without_tensorflow_are_not_parsed(pretend: Path, capsys: Capture) -> None:
    write("broken.py", "this is not Python (\n")
    write("a.py", program("slow"))
    answer = checked(capsys)
    assert (answer.status, answer.err) == (1, "")
    assert answer.document["files"]["passed_over"] == 1


def test_files_that_are_data_are_passed_over(
    pretend: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "MOST_BYTES", 100)
    write("a.py", program("slow") + "#" * 100)
    write("n.ipynb", notebook("import tensorflow as tf\ntf.slow(1)"))
    answer = checked(capsys)
    assert answer.found == [("n.ipynb", 2, "TF901")]
    assert answer.document["files"]["passed_over"] == 1


@pytest.mark.parametrize(
    "statement",
    [
        "import model",
        "import os, model as m",
        "from model import build",
        "from . import model",
        "from .model import build",
        "from pkg import (\n    other,\n    model)",
        "import pkg.model",
        "from pkg.model import *",
    ],
)
def test_files_that_import_one_with_tensorflow_are_read(
    statement: str, pretend: Path, capsys: Capture
) -> None:
    write("pkg/__init__.py", "")
    write("pkg/model.py", program("fine"))
    write("pkg/use.py", f"{statement}\n")
    write("pkg/not.py", "import models\nfrom os import path\n")
    assert checked(capsys).document["files"]["checked"] == 2


def test_the_names_of_modules() -> None:
    assert names_of("/a/b/c.py") == {"c", "b.c", "a.b.c"}
    assert names_of("/a/b/__init__.py") == {"b", "a.b"}
    assert set(imported_names("/a/b/c.py", ["x.y", ".z", "..", "."])) == {"x.y", "x", "z", "a", "b"}


# Which causes


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ([], {"TF901", "TF902", "TF903"}),
        (["--select", "TF901"], {"TF901"}),
        (["--select", "safe-call,TF903"], {"TF901", "TF903"}),
        (["--select", "tf90"], {"TF901", "TF902", "TF903", "TF904"}),
        (["--select", "ALL", "--ignore", "TF"], set()),
        (["--select", "TF901", "--ignore", "TF90"], {"TF901"}),
        (["--ignore", "TF901", "--ignore", "unsafe-call"], {"TF903"}),
        (["--extend-select", "TF904"], {"TF901", "TF902", "TF903", "TF904"}),
        (["--select", "TF901", "--select", "TF904"], {"TF901", "TF904"}),
    ],
)
def test_selectors(words: list[str], codes: set[str], pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow", "risky", "other", "optional"))
    assert {code for _, _, code in checked(capsys, *words).found} == codes


@pytest.mark.parametrize("option", ["--select", "--ignore", "--extend-select"])
def test_an_unknown_selector_is_refused(option: str, pretend: Path, capsys: Capture) -> None:
    answer = checked(capsys, option, "save-call")
    assert answer.status == 2
    assert answer.err == (
        f"unslow: {option}: there is no cause 'save-call'; did you mean safe-call?\n"
    )
    assert ask(capsys, "check", option, ",").status == 2


SETTINGS = """
[tool.unslow]
select = ["TF90"]
ignore = ["TF902"]
exclude = ["third_party", "gen/*.py", "**/old"]
output-format = "json"

[tool.unslow.per-file-ignores]
"tests/*" = ["TF901"]
"one.py" = ["ALL"]
"""


def test_settings(pretend: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    write("pyproject.toml", SETTINGS)
    for path in ("a.py", "tests/b.py", "one.py"):
        write(path, program("slow", "risky", "optional"))
    for path in ("third_party/x.py", "gen/y.py", "sub/old/z.py", "gen/sub/k.py"):
        write(path, program("other"))
    answer = ask(capsys, "check")
    assert answer.found == [
        ("a.py", 2, "TF901"),
        ("a.py", 4, "TF904"),
        ("tests/b.py", 4, "TF904"),
    ]
    monkeypatch.chdir("tests")
    assert ask(capsys, "check").found == [("b.py", 4, "TF904")]
    # The command line chooses anew, or adds.
    assert {c for *_, c in ask(capsys, "check", "--select", "TF902").found} == {"TF902"}
    assert ask(capsys, "check", "--ignore", "TF904").found == []
    monkeypatch.chdir("..")
    assert len(ask(capsys, "check", "one.py", "third_party/x.py").found) == 1


def test_settings_from_another_file(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow", "other"))
    write("pyproject.toml", "[tool.unslow]\nselect = ['TF901']\n")
    write("own.toml", "select = ['TF903']\n")
    assert {c for *_, c in checked(capsys).found} == {"TF901"}
    assert {c for *_, c in checked(capsys, "--config", "own.toml").found} == {"TF903"}
    answer = checked(capsys, "--config", "gone.toml")
    assert (answer.status, answer.err) == (
        2,
        "unslow: cannot read gone.toml: No such file or directory\n",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.unslow]\nselct = []", "there is no setting 'selct'; did you mean select?"),
        ("[tool.unslow]\nzzz = []", "there is no setting 'zzz'; known are select"),
        ("[tool.unslow]\nselect = 'TF1'", "select must be a list of strings"),
        ("[tool.unslow]\nignore = [1]", "ignore must be a list of strings"),
        ("[tool.unslow]\nselect = ['TF777']", "there is no cause 'TF777'"),
        ("[tool.unslow.per-file-ignores]\na = ['X']", "there is no cause 'X'"),
        ("[tool.unslow]\nper-file-ignores = ['X']", "per-file-ignores must be a table"),
        ("[tool.unslow]\noutput-format = 'xml'", "output-format must be one of text, json"),
        ("[tool.unslow]\nunsafe-fixes = 1", "unsafe-fixes must be true or false"),
        ("[tool]\nunslow = 1", "tool.unslow is not a table"),
        ("[tool.unslow", "is not TOML"),
    ],
)
def test_bad_settings_are_one_sentence(
    text: str, message: str, pretend: Path, capsys: Capture
) -> None:
    write("pyproject.toml", text)
    answer = ask(capsys, "check")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("unslow: pyproject.toml")
    assert message in answer.err
    assert answer.err.count("\n") == 1


def test_files_of_others_are_not_our_settings(pretend: Path, capsys: Capture) -> None:
    write("pyproject.toml", "this is no TOML at all")
    write("a.py", program("slow"))
    assert ask(capsys, "check").status == 1


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a.py", "x/a.py", True),
        ("x", "x/a.py", True),
        ("x/", "x/a.py", True),
        ("./x", "x/a.py", True),
        ("x/*", "x/y/a.py", True),
        ("y/*", "x/y/a.py", False),
        ("**/y", "x/y/a.py", True),
        ("x/**", "x/y/a.py", True),
        ("*.py", "x/a.pyc", False),
        ("x/y", "x/yy/a.py", False),
    ],
)
def test_patterns(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_the_project_is_read_around_the_files_asked_for(pretend: Path, capsys: Capture) -> None:
    write("pyproject.toml", "")
    write("pkg/__init__.py", "")
    write("pkg/a.py", program("afar"))
    write("use.py", "import tensorflow\nfrom pkg.a import x\n")
    write("broken.py", "import tensorflow as tf\n(\n")
    answer = checked(capsys, "pkg/a.py")
    assert answer.status == 1
    assert answer.document["findings"][0]["message"] == "Called from use.py."
    assert answer.document["files"]["checked"] == 1


def test_wrong_usage(pretend: Path, capsys: Capture) -> None:
    for words in (
        ["check", "-", "a.py"],
        ["check", "--stdin-filename", "x.py", "a.py"],
        ["check", "--fix", "--recording", "r.json"],
        ["check", "--output-format", "xml"],
        ["fix", "--diff", "--recording", "r.json"],
    ):
        answer = ask(capsys, *words)
        assert (answer.status, answer.out) == (2, "")
        assert answer.err.count("\n") == 1


# Several processes


@pytest.fixture
def parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(workers, "cores", lambda: 3)


def test_processes_find_the_same(pretend: Path, capsys: Capture, parallel: None) -> None:
    for number in range(40):
        write(f"p{number % 4}/m{number}.py", program("slow", *["fine"] * number))
    write("p0/broken.py", "import tensorflow\n(\n")
    answer = checked(capsys, "--no-cache")
    assert answer.status == 2
    assert len(answer.found) == 40
    assert answer.found == sorted(answer.found, key=lambda row: row[0])
    assert answer.err.count("\n") == 1


def test_a_process_that_dies_takes_one_file_with_it(
    pretend: Path, capsys: Capture, parallel: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        write(f"m{number}.py", program("slow"))
    write("deadly.py", program("fine"))
    write("final.py", program("fine"))
    real = checking.read_one

    def read_one(project, choice, contents, path):  # type: ignore[no-untyped-def]
        if path.endswith("deadly.py"):
            os.kill(os.getpid(), signal.SIGKILL)
        if path.endswith("final.py"):
            os._exit(7)
        return real(project, choice, contents, path)

    monkeypatch.setattr(checking, "read_one", read_one)
    answer = checked(capsys, "--no-cache")
    assert answer.status == 2
    assert sorted(answer.err.splitlines()) == [
        "unslow: deadly.py: cannot be checked: the process that read it ended with signal 9",
        "unslow: final.py: cannot be checked: the process that read it ended with status 7",
    ]
    assert len(answer.found) == 20


def test_chunks_are_neighbours() -> None:
    files = [(f"{number}", 10) for number in range(100)]
    chunks = workers.chunked(files, 2)
    assert [file for chunk in chunks for file in chunk] == files
    assert 8 <= len(chunks) <= 20
    assert workers.chunked([], 2) == []
    assert workers.chunked([("a", 0), ("b", 0)], 2) == [[("a", 0), ("b", 0)]]


def test_a_large_project_is_read_in_parts(
    pretend: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        write(f"m{number}.py", program("afar"))
        write(f"use{number}.py", f"import m{number}\n")
    whole = checked(capsys, "--no-cache")
    monkeypatch.setattr(checking, "MOST_HELD", 100)
    assert checked(capsys, "--no-cache").out == whole.out
    assert len(whole.found) == 9


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from unslow.check import checking, workers\n"
        "checking.WORTH_A_PROCESS = 1\n"
        "workers.cores = lambda: 2\n"
        "def read_one(*_):\n"
        "    print('reading', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "checking.read_one = read_one\n"
        "from unslow.cli import main\n"
        "sys.exit(main(['check', '--no-cache', '.']))\n"
    )
    for name in ("a.py", "b.py", "c.py"):
        (tmp_path / name).write_text(program("fine") * 10)
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.read(7) == "reading"
        started = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=30)
        rest = process.stderr.read()
    assert process.returncode == -signal.SIGINT
    assert time.monotonic() - started < 30
    assert "Traceback" not in rest


def test_progress_is_shown_at_a_terminal_alone(tmp_path: Path) -> None:
    import pty

    code = (
        "import sys\n"
        "from unslow.commands import check\n"
        "check.WORTH_A_BAR = 0\n"
        "from unslow.cli import main\n"
        "sys.exit(main(['check', '--no-cache', '.', *sys.argv[1:]]))\n"
    )
    (tmp_path / "a.py").write_text(program("fine"))

    def at_terminal(*words: str) -> bytes:
        ours, theirs = pty.openpty()
        subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            stderr=theirs,
            stdout=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        os.write(theirs, b"end")
        os.close(theirs)
        seen = os.read(ours, 10_000)
        os.close(ours)
        return seen

    assert b"1/1 files" in at_terminal()
    assert at_terminal("--quiet") == b"end"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert done.stderr == b""


@pytest.mark.parametrize("columns", [0, 1, 60, 300])
def test_a_terminal_gets_colours_and_lines_that_fit(tmp_path: Path, columns: int) -> None:
    import fcntl
    import pty
    import struct
    import termios

    (tmp_path / "a.py").write_text("x = 1  # unslow: ignore[TF999] " + "a long reason " * 9 + "\n")
    (tmp_path / "a.py").write_text((tmp_path / "a.py").read_text() + "import tensorflow\n")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    for name in ("NO_COLOR", "COLUMNS"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "unslow", "check", "a.py"],
        cwd=tmp_path,
        env=environment,
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    os.close(theirs)
    seen = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "\x1b[36mUN003 unknown-suppression\x1b[0m\r\n    There is no cause TF999.\r\n" in seen


@pytest.mark.parametrize(
    ("line", "start", "marked"),
    [
        ("x = tf.f(a, (b)) + 1", 4, "tf.f(a, (b))"),
        ("for x in range(3):  # so", 0, "for x in range(3):"),
        ("y = ds.map(f).batch(')')", 4, "ds.map(f).batch(')')"),
        ("call(a, # open", 0, "call(a,"),
        ("a[0][1] = 2", 0, "a[0][1]"),
        ("-x", 0, "-"),
        ("@tf.function", 0, "@tf.function"),
        ("f('#') # c", 0, "f('#')"),
    ],
)
def test_what_is_underlined(line: str, start: int, marked: str) -> None:
    assert line[start : extent(line, start)] == marked


def test_a_project_that_is_too_large_is_not_read_around(
    pretend: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("pyproject.toml", "")
    for number in range(5):
        write(f"m{number}.py", "")
    settings = find_settings(Path("m0.py"))
    assert len(find_files([Path("m0.py")], settings).around) == 4
    monkeypatch.setattr("unslow.check.files.MOST_AROUND", 3)
    assert find_files([Path("m0.py")], settings).around == {}
