"""Experiments after the program's end: what the parent makes of how they go, and whole runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from handmade import a_run
from programs import environment, plain, report, run, watched

from unslow.experiment.session import Trying
from unslow.recording.data import Program
from unslow.run import child as childs_side
from unslow.run import parent
from unslow.run.child import ENDED, LEFT, TRIED, TRYING, UNTRIED, Plan
from unslow.run.ending import Ending, still_at_work

TOLD = """
import json, os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
def tell(limit):
    trying = dict(finding="TF101 f()", way="batched", number=1, of=2, limit=limit)
    (folder / "now").write_text(json.dumps([time.monotonic(), trying]))
    (folder / "now").replace(folder / "trying.json")
(folder / "ended").write_text("3")
"""


def child(tmp_path: Path, code: str, told: list[Trying] | None = None) -> parent._Child:
    command = [sys.executable, "-c", TOLD + code, str(tmp_path)]
    progress = None if told is None else told.append
    return parent._Child(command, dict(os.environ), tmp_path, None, progress)


def test_the_names_of_the_files_are_those_of_this_test() -> None:
    assert (ENDED, TRYING, LEFT) == ("ended", "trying.json", "left")


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[Trying] = []
    ended = child(tmp_path, 'tell(60)\ntime.sleep(1)\n(folder / "left").touch()\nsys.exit(3)', told)
    assert ended.wait() == 3
    assert ended.notes == []
    assert told[0] == Trying("TF101 f()", "batched", 1, 2, 60)


def test_an_experiment_that_hangs_is_ended_with_the_programs_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "GRACE", 0.3)
    ended = child(tmp_path, "tell(0.2)\ntime.sleep(100)")
    assert ended.wait() == 3
    assert "An experiment did not end" in ended.notes[0]


def test_a_process_that_hangs_after_the_experiments_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "GRACE", 0.3)
    ended = child(tmp_path, '(folder / "left").touch()\ntime.sleep(100)')
    assert ended.wait() == 3
    assert "still hung" in ended.notes[0]


@pytest.mark.parametrize("end", ["os.abort()", "os._exit(7)"])
def test_an_experiment_that_ends_the_process_does_not_change_the_status(
    tmp_path: Path, end: str
) -> None:
    ended = child(tmp_path, f"tell(60)\n{end}")
    assert ended.wait() == 3
    assert "An experiment ended the process" in ended.notes[0]


def test_an_exit_status_that_went_with_the_process_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parent, "GRACE", 0.3)
    ended = child(tmp_path, '(folder / "ended").write_text("null")\ntell(0.2)\ntime.sleep(100)')
    assert ended.wait() == parent.UNKNOWN_STATUS != 0
    assert not ended.status_known
    assert "1 stands for it" in ended.notes[1]


def test_a_signal_that_comes_while_the_process_starts_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = subprocess.Popen

    def interrupted(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), signal.SIGTERM)
        return start(*args, **more)

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    assert child(tmp_path, "time.sleep(100)").wait() == -signal.SIGTERM


ENDINGS = {
    "the end of the code": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "sys.exit with words": ("sys.exit('words')", 1),
    "exit": ("exit(3)", 3),
    "quit": ("quit()", 0),
    "SystemExit": ("raise SystemExit(3)", None),
    "sys.exit, caught": ("try: sys.exit(3)\nexcept SystemExit: pass", 0),
    "sys.exit in a thread": (
        "import threading\nt = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()",
        0,
    ),
    "an error": ("1 / 0", 1),
    "an error after sys.exit": ("try: sys.exit(3)\nexcept SystemExit: pass\n1 / 0", 1),
    "an error and the program's hook": ("sys.excepthook = lambda *_: None\n1 / 0", 1),
    "a hook that exits": ("sys.excepthook = lambda *_: sys.exit(4)\n1 / 0", 4),
    "an error that is kept": ("try: 1 / 0\nexcept OSError as e: x = e", 1),
    "os._exit": ("import os\nos._exit(5)", 5),
}


def known_ending(folder: Path, *command: str) -> tuple[Any, int]:
    """What the child's side makes of a program's end, and its exit status."""
    told = folder / "told"
    told.mkdir()
    variables = parent._environment(str(told), parent.RunOptions(command), ())
    path = f"{variables['PYTHONPATH']}{os.pathsep}{environment()['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=variables | {"PYTHONPATH": path},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return json.loads((told / ENDED).read_text()), done.returncode


@pytest.mark.parametrize("name", ENDINGS)
def test_the_exit_status_is_known_before_the_process_ends_or_said_not_to_be(
    tmp_path: Path, name: str
) -> None:
    source, expected = ENDINGS[name]
    (tmp_path / "program.py").write_text(f"import sys, numpy\n{source}\n")
    known, status = known_ending(tmp_path, "program.py")
    assert known == expected
    assert known in (status, None)


@pytest.mark.parametrize("last", ["print()", "raise SystemExit(3)"])
def test_the_exit_status_of_a_notebook_and_of_a_module_is_known(tmp_path: Path, last: str) -> None:
    cells = ["import numpy", last]
    content = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {"cell_type": "code", "metadata": {}, "source": each, "outputs": []} for each in cells
        ],
    }
    (tmp_path / "book.ipynb").write_text(json.dumps(content))
    known, status = known_ending(tmp_path, "-m", "unslow.run.notebook", "book.ipynb")
    assert known == status == (0 if last == "print()" else 3)
    (tmp_path / "told").rename(tmp_path / "book")
    (tmp_path / "module.py").write_text("\n".join(cells))
    known, status = known_ending(tmp_path, "-m", "module")
    assert known == (0 if last == "print()" else None)


@pytest.fixture
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def end(folder: Path, stop: Any = lambda: None) -> None:
    """What the child's side does at the end of a program that has used TensorFlow."""
    ended = a_run({}, program=Program(("train.py",), "3.11.7", tensorflow="2.21.0"))

    def stopped() -> Any:
        stop()
        return ended

    recorder: Any = SimpleNamespace(stopped=False, stop=stopped, samples=SimpleNamespace())
    recorder.samples.drop = lambda: None
    childs_side._end(recorder, folder, Ending(), Plan(), ())


def test_ctrl_c_between_the_program_and_the_experiments_leaves_them_out(
    tmp_path: Path, interruptible: None
) -> None:
    end(tmp_path, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert "Ctrl-C" in (tmp_path / UNTRIED).read_text()
    assert (tmp_path / ENDED).read_text() == "0"
    assert (tmp_path / LEFT).exists()
    assert not (tmp_path / TRIED).exists()


def test_while_a_thread_of_the_program_runs_there_are_no_experiments(
    tmp_path: Path, interruptible: None
) -> None:
    over = threading.Event()

    def beats() -> None:
        over.wait(60)

    thread = threading.Thread(target=beats, daemon=True)
    thread.start()
    try:
        end(tmp_path)
    finally:
        over.set()
        thread.join()
    assert "a thread of the program was still in beats()" in (tmp_path / UNTRIED).read_text()
    assert (tmp_path / LEFT).exists()
    assert not (tmp_path / TRIED).exists()
    assert still_at_work(()) != "beats()"


def test_a_timer_counts_and_a_librarys_thread_does_not() -> None:
    over = threading.Event()
    timer = threading.Timer(60, lambda: None)
    waits = threading.Thread(target=over.wait, args=(60,))
    waits.start()
    without = still_at_work(())
    timer.start()
    found = still_at_work(())
    timer.cancel()
    over.set()
    timer.join()
    waits.join()
    assert (without, found) == ("", "<lambda>()")


def test_ctrl_c_while_the_report_is_made_does_not_lose_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import sys\nsys.exit(3)\n")
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from unslow import cli, plain\n"
        "from unslow.run import parent\n"
        "read = parent._read\n"
        "def interrupted(path):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return read(path)\n"
        "parent._read = interrupted\n"
        "render = __import__('unslow.report.terminal', fromlist=['x'])\n"
        "text = render.render\n"
        "def interrupted_too(*args, **more):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    return text(*args, **more)\n"
        "render.render = interrupted_too\n"
        "status = cli.main(['run', '--output', 'report.json', 'program.py'])\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "sys.exit(status)\n"
    )
    ended = run([sys.executable, "-c", code], tmp_path)
    assert ended.status == 3, ended.err.decode()
    assert b"program.py took" in ended.err
    assert report(tmp_path)["program"]["exit_status"] == 3


ROTATE = """
import os
import numpy as np
import tensorflow as tf

def double(row):
    print("never to be seen twice")
    for _ in range(20):
        row = np.roll(row, 1)
    return row

x = np.random.default_rng(0).standard_normal((3000, 256)).astype(np.float32)
step = tf.Variable(0)
total = 0.0
ds = tf.data.Dataset.from_tensor_slices(x).map(
    lambda row: tf.ensure_shape(tf.numpy_function(double, [row], tf.float32), (256,))
).batch(50)
for batch in ds:
    total += float(tf.reduce_sum(batch))
with open("result.txt", "a") as file:
    file.write(f"{total:.3f}\\n")
print("total", round(total, 3))
import atexit
atexit.register(print, "the last word")
raise SystemExit(5)
"""


@pytest.mark.tensorflow
def test_a_whole_run_with_experiments_leaves_the_program_as_it_is(tmp_path: Path) -> None:
    program = tmp_path / "rotate.py"
    program.write_text(ROTATE)
    alone = plain(tmp_path, "rotate.py")
    result = (tmp_path / "result.txt").read_bytes()
    (tmp_path / "result.txt").unlink()
    seen = watched(tmp_path, "rotate.py", experiments=True)
    assert seen.status == alone.status == 5
    assert seen.out == alone.out
    assert (tmp_path / "result.txt").read_bytes() == result
    finding = next(each for each in report(tmp_path)["findings"] if each["code"] == "TF101")
    tried = [each for each in finding["alternatives"] if each["ratio"] is not None]
    assert tried, finding
    assert all(each["pairs"] >= 5 for each in tried)
    assert any(each["equal"] is True for each in tried)
    assert report(tmp_path)["program"]["exit_status"] == 5


@pytest.mark.tensorflow
def test_without_experiments_nothing_is_tried(tmp_path: Path) -> None:
    (tmp_path / "rotate.py").write_text(ROTATE)
    watched(tmp_path, "rotate.py")
    findings = report(tmp_path)["findings"]
    assert all(each["gain"] is None for each in findings)
    assert all(way["ratio"] is None for each in findings for way in each["alternatives"])


WRITES = ROTATE.replace(
    'print("never to be seen twice")', 'open("log.txt", "a").write("called\\n")'
)


@pytest.mark.tensorflow
def test_functions_that_write_files_are_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "rotate.py").write_text(WRITES)
    watched(tmp_path, "rotate.py", experiments=True)
    assert (tmp_path / "log.txt").read_text().count("called") == 3000
    finding = next(each for each in report(tmp_path)["findings"] if each["code"] == "TF101")
    assert "writes" in finding["untried"], finding
    assert finding["gain"] is None


@pytest.mark.tensorflow
def test_what_the_program_wrote_is_in_its_files_before_the_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.chdir(tmp_path)
    never_closed = 'kept = open("kept.txt", "w")\nkept.write(str(total))\nimport atexit\n'
    (tmp_path / "rotate.py").write_text(ROTATE.replace("import atexit\n", never_closed))
    seen: list[str] = []
    result = parent.run_program(
        parent.RunOptions(("rotate.py",)),
        lambda trying: seen.append((tmp_path / "kept.txt").read_text()),
    )
    assert seen, result
    assert all(seen)
    assert result.exit_status == 5


@pytest.mark.tensorflow
def test_ctrl_c_during_experiments_keeps_the_report_and_the_status(tmp_path: Path) -> None:
    (tmp_path / "rotate.py").write_text(ROTATE)
    command = [sys.executable, "-m", "unslow", "run", "--output", "report.json", "rotate.py"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    lines: list[bytes] = []
    while not (lines and lines[-1].startswith(b"the last word")):
        lines.append(process.stdout.readline())
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert b"rotate.py took" in err
    assert json.loads((tmp_path / "report.json").read_text())["findings"]
