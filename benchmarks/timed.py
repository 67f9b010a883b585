"""Runs a program with TensorFlow already imported and says how long the program itself took.

    python benchmarks/timed.py [--tensorflow-profiler] SECONDS_FILE PROGRAM [ARGUMENT ...]

The seconds go into SECONDS_FILE. Start-up is left out because it is the same
under every tool, and long enough to hide what the tools cost.
"""

from __future__ import annotations

import runpy
import sys
import tempfile
import time
from pathlib import Path

import keras  # noqa: F401
import tensorflow as tf


def main() -> None:
    arguments = sys.argv[1:]
    profile = arguments[0] == "--tensorflow-profiler"
    if profile:
        arguments = arguments[1:]
    seconds_file, program, *rest = arguments
    sys.argv = [program, *rest]
    sys.path[0] = str(Path(program).resolve().parent)
    with tempfile.TemporaryDirectory() as folder:
        if profile:
            tf.profiler.experimental.start(folder)
        start = time.perf_counter()
        runpy.run_path(program, run_name="__main__")
        seconds = time.perf_counter() - start
        if profile:
            tf.profiler.experimental.stop()
    Path(seconds_file).write_text(str(seconds), encoding="utf-8")


main()
