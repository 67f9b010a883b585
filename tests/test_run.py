"""The parent: signals, limits, crashes, hangs and bad input."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from programs import environment, report, run, watched

SLEEPS = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"


def write(folder: Path, source: str) -> str:
    (folder / "program.py").write_text(textwrap.dedent(source), encoding="utf-8")
    return "program.py"


def start(folder: Path, *options: str, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "unslow", "run", "--output", "report.json"),
            *(*options, write(folder, SLEEPS)),
        ],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("whole_group", [False, True])
def test_an_interrupt_reaches_the_program_once_and_the_report_comes(
    tmp_path: Path, whole_group: bool
) -> None:
    process = start(tmp_path, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert err.count(b"KeyboardInterrupt") == 1
    assert not report(tmp_path)["partial"]


def test_ctrl_c_at_a_terminal(tmp_path: Path) -> None:
    write(tmp_path, SLEEPS)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        command = [sys.executable, "-m", "unslow", "run", "--output", "report.json", "program.py"]
        os.execve(sys.executable, command, environment())
    seen = b""
    while b"ready" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            seen += os.read(terminal, 1000)
        except OSError:
            break
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGINT
    assert seen.count(b"KeyboardInterrupt") == 1
    assert not report(tmp_path)["partial"]


def test_a_terminated_run_ends_the_program(tmp_path: Path) -> None:
    process = start(tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert report(tmp_path)["partial"]


def test_the_limit_ends_the_program_and_reports(tmp_path: Path) -> None:
    ended = watched(tmp_path, write(tmp_path, SLEEPS), options=("--limit", "1"))
    assert ended.status == -signal.SIGINT
    document = report(tmp_path)
    assert any("--limit" in note for note in document["notes"])
    assert not document["partial"]


def test_a_program_that_ignores_the_limit_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unslow.run import parent

    monkeypatch.setattr(parent, "GRACE", 1.0)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.chdir(tmp_path)
    stubborn = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)\n"
    result = parent.run_program(parent.RunOptions((write(tmp_path, stubborn),), limit=3))
    assert result.killed_by == signal.SIGKILL
    assert result.recording is not None and result.recording.partial


def test_a_process_that_hangs_after_its_end_is_killed_with_its_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unslow.run import parent

    monkeypatch.setattr(parent, "GRACE", 1.0)
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.chdir(tmp_path)
    hangs = """
        import sys, time
        class Hangs:
            def __del__(self, sleep=time.sleep): sleep(60)
        keep = Hangs()
        sys.exit(3)
    """
    result = parent.run_program(parent.RunOptions((write(tmp_path, hangs),)))
    assert (result.exit_status, result.killed_by) == (3, None)
    assert result.recording is not None and not result.recording.partial
    assert any("hung" in note for note in result.recording.notes)


@pytest.mark.tensorflow
def test_a_crash_of_the_interpreter_leaves_a_partial_report(tmp_path: Path) -> None:
    crashes = """
        import ctypes, time
        import tensorflow as tf
        x = tf.ones(3)
        end = time.monotonic() + 5
        while time.monotonic() < end: x = tf.sqrt(x)
        ctypes.string_at(0)
    """
    ended = watched(tmp_path, write(tmp_path, crashes))
    assert ended.status == -signal.SIGSEGV
    document = report(tmp_path)
    assert document["partial"]
    eager = {part["name"]: part["seconds"] for part in document["time"]["parts"]}["eager"]
    assert eager > 0


BAD_INPUT = {
    "missing": (None, "no such file"),
    "directory": ("directory", "directory"),
    "binary": (b"\x7fELF\0\0\0", "binary"),
    "syntax": (b"x = (\n", "program.py:1"),
    "encoding": (b"x = '\xff\xfe'\n", "program.py"),
    "empty_notebook": (b"{}", "program.ipynb"),
    "not_json": (b"not json", "program.ipynb"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_gets_one_sentence(tmp_path: Path, name: str) -> None:
    content, words = BAD_INPUT[name]
    target = "program.ipynb" if "program.ipynb" in words else "program.py"
    if content == "directory":
        (tmp_path / target).mkdir()
    elif isinstance(content, bytes):
        (tmp_path / target).write_bytes(content)
    ended = watched(tmp_path, target)
    assert ended.status == 2
    assert ended.out == b""
    lines = ended.err.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("unslow: ") and words in lines[0]
    assert not (tmp_path / "report.json").exists()


def test_an_unknown_module_gets_one_sentence(tmp_path: Path) -> None:
    ended = watched(tmp_path, "-m", "there.is.none")
    assert ended.status == 2
    assert len(ended.err.splitlines()) == 1 and b"there" in ended.err


def test_without_tensorflow_nothing_is_started(tmp_path: Path) -> None:
    script = write(tmp_path, "print('started')")
    hide = (
        "import sys; sys.modules['tensorflow'] = None; "
        "from unslow.cli import main; sys.exit(main(['run', 'program.py']))"
    )
    ended = run([sys.executable, "-c", hide], tmp_path)
    assert script and ended.status == 2
    assert ended.out == b""
    assert b"TensorFlow is not installed" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.tensorflow
def test_a_notebook_names_cell_and_line(tmp_path: Path) -> None:
    import json

    cells = [
        "import numpy as np, tensorflow as tf",
        "%matplotlib inline\nimage = np.random.default_rng(1).random((600, 600, 3))",
        "for _ in range(300):\n    small = tf.image.resize(image, (64, 64))\nsmall.shape",
    ]
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {"cell_type": "markdown", "metadata": {}, "source": "# title"},
            *(
                {
                    "cell_type": "code",
                    "metadata": {},
                    "source": cell,
                    "outputs": [],
                    "execution_count": None,
                }
                for cell in cells
            ),
        ],
    }
    (tmp_path / "book.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    ended = watched(tmp_path, "book.ipynb")
    assert ended.status == 0, ended.err.decode()
    assert b"TensorShape([64, 64, 3])" in ended.out
    assert b"skipped %matplotlib inline" in ended.err
    [finding] = [each for each in report(tmp_path)["findings"] if each["code"] == "TF102"]
    assert (finding["path"], finding["cell"], finding["line"]) == ("book.ipynb", 3, 2)
