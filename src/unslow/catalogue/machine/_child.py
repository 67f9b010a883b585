"""The child's side of runs in fresh processes: loads exported work, and does it when asked.

It is told what to do by lines on its standard input and answers on its standard output with
pickled pairs of "done" or "failed" and what belongs to it. It ends when the input does.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

WARM_UPS = 2
"""Runs before the first that counts."""


def main(folder: str, name: str, intra: int, inter: int, owner: bool) -> None:
    """Serve the work exported to `folder` under `name`, with pools of so many threads; 0 is unset.

    `owner`: take the folder away at the end.
    """
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    if hasattr(signal, "SIGINT"):
        # Ctrl-C is for the parent; when that ends, the input does.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work: Work | None = None
        for line in sys.stdin:
            command, _, given = line.strip().partition(" ")
            try:
                if work is None:
                    work = Work(Path(folder) / name, intra, inter)
                answer = ("done", getattr(work, command)(*map(int, given.split())))
            except Exception as error:
                # Whatever goes wrong in here is told to the parent, whose outcome it is.
                answer = ("failed", f"{type(error).__name__}: {error}")
            pickle.dump(answer, answers)
            answers.flush()
    finally:
        if owner:
            shutil.rmtree(folder, ignore_errors=True)


class Work:
    """One exported compiled function with its inputs and its variables."""

    def __init__(self, path: Path, intra: int, inter: int) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(intra)
        tf.config.threading.set_inter_op_parallelism_threads(inter)
        self._module = tf.saved_model.load(str(path))
        self._inputs = [tf.constant(each) for each in pickle.loads((path / "inputs").read_bytes())]
        self._variables = list(self._module.kept)
        self._before = [variable.numpy() for variable in self._variables]
        self._outputs: list[Any] = []

    def warm_up(self) -> None:
        """Do the work a few times, and put the variables back."""
        self.run(WARM_UPS)
        self.restore()

    def restore(self) -> None:
        """Put the variables back."""
        for variable, value in zip(self._variables, self._before, strict=True):
            variable.assign(value)

    def run(self, times: int) -> None:
        """Do the work so many times."""
        for _ in range(times):
            self._outputs = self._module.work(*self._inputs)

    def results(self) -> list[Any]:
        """What the last run returned, and the variables after it."""
        return [each.numpy() for each in (*self._outputs, *self._variables)]
