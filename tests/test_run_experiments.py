"""Experiments after the program's end: what the parent makes of how they go, and whole runs."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from programs import plain, report, watched

from unslow.experiment.session import Trying
from unslow.run import parent
from unslow.run.child import ENDED, LEFT, TRYING

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
def test_ctrl_c_during_experiments_keeps_the_report_and_the_status(tmp_path: Path) -> None:
    import subprocess

    from programs import environment

    (tmp_path / "rotate.py").write_text(ROTATE)
    command = [sys.executable, "-m", "unslow", "run", "--output", "report.json", "rotate.py"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    lines = []
    while not (lines and lines[-1].startswith(b"the last word")):
        lines.append(process.stdout.readline())
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 5
    assert b"rotate.py took" in err
    assert json.loads((tmp_path / "report.json").read_text())["findings"]
