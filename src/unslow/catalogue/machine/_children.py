"""Work of a compiled function, done in fresh processes with other settings of TensorFlow."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unslow.recording.samples import FunctionCall
from unslow.recording.settings import THREAD_VARIABLES

NAME = "exported"

_START = (
    "import sys; sys.path[:] = {path!r}; "
    "from unslow.catalogue.machine._child import main; main({given})"
)


class ChildFailed(Exception):
    """The work could not be done in a process of its own; the message says why."""


@dataclass(frozen=True)
class Threads:
    """Sizes of TensorFlow's thread pools, within ops and between them; 0 leaves it to TensorFlow.

    `resolved` gives them as what they come to on a machine with so many cores.
    """

    intra: int = 0
    inter: int = 0

    def resolved(self, cores: int) -> tuple[int, int]:
        return self.intra or cores, self.inter or cores


class Child:
    """A process that does the work when asked. It ends by itself when nobody can ask any more."""

    def __init__(self, folder: Path, threads: Threads, owner: bool) -> None:
        given = f"{str(folder)!r}, {NAME!r}, {threads.intra}, {threads.inter}, {owner}"
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in THREAD_VARIABLES.values()
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path, given=given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=folder,
        )

    def send(self, command: str) -> None:
        """Tell the process what to do; `answer` waits for it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{command}\n".encode())
            self._process.stdin.flush()
        except OSError as error:
            raise ChildFailed(f"its process has ended: {error}") from error

    def answer(self) -> Any:
        """What the process answers.

        Raises:
            ChildFailed: it could not do it, or has ended.
        """
        assert self._process.stdout is not None
        try:
            kind, value = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError) as error:
            raise ChildFailed("its process has ended") from error
        if kind == "failed":
            raise ChildFailed(value)
        return value

    def ask(self, command: str) -> Any:
        """Tell the process what to do and wait for its answer."""
        self.send(command)
        return self.answer()

    def close(self) -> None:
        """End the process, whatever it is doing: it has nothing to lose."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None and not stream.closed:
                stream.close()
        self._process.kill()
        self._process.wait()


class Children:
    """One process for each of several settings, all with the work of one captured call.

    They are started together, when the first is asked for anything. They end with this
    object, or with this process, however that ends: the first of them then takes the
    exported work away.
    """

    def __init__(self, call: FunctionCall, settings: Sequence[Threads], times: int) -> None:
        self._call = call
        self._settings = tuple(settings)
        self._times = times
        self._running: dict[Threads, Child] = {}
        self._folder: Path | None = None
        self._failed: dict[Threads, str] = {}

    def restore(self, threads: Threads) -> None:
        """Have the process for a setting ready for a run."""
        if not self._running:
            self._start()
        self._running_child(threads).ask("restore")

    def run(self, threads: Threads) -> Threads:
        """Do the work `times` times in the process for a setting."""
        self._running_child(threads).ask(f"run {self._times}")
        return threads

    def results(self, threads: Threads) -> list[Any]:
        """What the last run in that process returned, and its variables."""
        found: list[Any] = self._running_child(threads).ask("results")
        return found

    def close(self) -> None:
        """End all processes, and take the exported work away."""
        while self._running:
            self._running.popitem()[1].close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def __del__(self) -> None:
        self.close()

    def _running_child(self, threads: Threads) -> Child:
        if threads in self._failed:
            raise ChildFailed(self._failed[threads])
        return self._running[threads]

    def _start(self) -> None:
        self._folder = folder = Path(tempfile.mkdtemp(prefix="unslow-threads-"))
        for number, threads in enumerate(self._settings):
            self._running[threads] = Child(folder, threads, owner=not number)
        export(self._call, folder / NAME)
        for child in self._running.values():
            child.send("warm_up")
        for threads, child in self._running.items():
            try:
                child.answer()
            except ChildFailed as error:
                self._failed[threads] = str(error)


def export(call: FunctionCall, path: Path) -> None:
    """Write a compiled function and the tensors of one call of it, to be loaded elsewhere.

    The function's variables are written with it, with the values they have now.
    """
    import tensorflow as tf

    given = (call.arguments, call.keywords)
    leaves = tf.nest.flatten(given, expand_composites=True)
    places = [index for index, leaf in enumerate(leaves) if _is_input(leaf)]
    inputs = [tf.convert_to_tensor(leaves[index]) for index in places]

    def work(*tensors: Any) -> list[Any]:
        filled = list(leaves)
        for index, tensor in zip(places, tensors, strict=True):
            filled[index] = tensor
        arguments, keywords = tf.nest.pack_sequence_as(given, filled, expand_composites=True)
        returned = call.function(*arguments, **keywords)
        flat = tf.nest.flatten(returned, expand_composites=True)
        return [tf.identity(each) for each in flat if tf.is_tensor(each)]

    signature = [tf.TensorSpec(each.shape, each.dtype) for each in inputs]
    module = tf.Module()
    module.work = tf.function(work, input_signature=signature, autograph=False)
    module.kept = list(module.work.get_concrete_function().graph.variables)
    tf.saved_model.save(module, str(path))
    (path / "inputs").write_bytes(pickle.dumps([each.numpy() for each in inputs]))


def _is_input(leaf: Any) -> bool:
    import numpy as np
    import tensorflow as tf

    is_array = isinstance(leaf, (np.ndarray, np.generic))
    return is_array or (tf.is_tensor(leaf) and not isinstance(leaf, tf.Variable))
