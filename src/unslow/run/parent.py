"""The parent's side of a run: it starts the program, guards it, and reads the recording."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from unslow.plain import from_plain
from unslow.recording.data import Recording
from unslow.run.child import ENDED, RECORDING
from unslow.source.notebook import NotebookError, read_notebook

GRACE = 10.0
"""Seconds that a program may take to leave after its last exit handler, or after `--limit`."""

STARTUP = Path(__file__).resolve().parent / "startup"


class RunError(Exception):
    """The program could not be started; the message says why in one sentence."""


@dataclass(frozen=True)
class RunOptions:
    """What to run and how. `target`: the script, `-m` and module, or notebook, then arguments.

    `limit`: seconds after which the program is ended. `include`: packages that
    count as the user's own code. `windows`: whether TensorFlow's profiler may be
    used for short stretches.
    """

    target: tuple[str, ...]
    limit: float | None = None
    include: tuple[str, ...] = ()
    windows: bool = True


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `recording` is `None`, and `why` says so, where none could be read.

    `exit_status` is the program's own; `killed_by` is the signal that ended it.
    """

    recording: Recording | None
    why: str | None
    exit_status: int
    killed_by: int | None


def run_program(options: RunOptions) -> RunResult:
    """Run the program in a process of its own, watched, and wait for its end.

    Raises:
        RunError: it could not be started.
    """
    command, include = _command(options)
    with tempfile.TemporaryDirectory(prefix="unslow-") as folder:
        environment = _environment(folder, options, include)
        started = time.monotonic()
        child = _Child(command, environment, Path(folder), options.limit)
        status = child.wait()
        wall = time.monotonic() - started
        killed_by = -status if status < 0 else None
        exit_status = status if status >= 0 else 128 - status
        recording, why = _read(Path(folder) / RECORDING)
    if recording is not None:
        notes = (*recording.notes, *child.notes)
        if recording.partial:
            notes = (
                *notes,
                f"The program's process ended after {wall:.1f} s without its exit handlers; "
                "the report shows what had been written by then.",
            )
        recording = replace(
            recording,
            program=replace(recording.program, exit_status=exit_status),
            notes=notes,
        )
    return RunResult(recording, why, exit_status, killed_by)


def _command(options: RunOptions) -> tuple[list[str], tuple[str, ...]]:
    """The interpreter's command line, and the packages that are the user's code."""
    if importlib.util.find_spec("tensorflow") is None:
        raise RunError(
            f"TensorFlow is not installed for {sys.executable}; "
            "install unslow into the environment in which your program runs."
        )
    flags: Any = vars(subprocess)["_args_from_interpreter_flags"]
    python = [sys.executable, *flags()]
    name, *arguments = options.target
    if name == "-m":
        if not arguments:
            raise RunError("-m needs the name of a module.")
        module = arguments[0]
        _check_module(module)
        return [*python, *options.target], (*options.include, module.partition(".")[0])
    path = Path(name)
    _check_file(path)
    if path.suffix == ".ipynb":
        try:
            read_notebook(name)
        except NotebookError as error:
            raise RunError(str(error)) from error
        return [*python, "-m", "unslow.run.notebook", *options.target], options.include
    _check_source(path)
    return [*python, *options.target], options.include


def _check_module(module: str) -> None:
    search = [str(Path.cwd()), *sys.path]
    before = sys.path[:]
    sys.path[:] = search
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise RunError(f"No module named {module}: {error}.") from error
    finally:
        sys.path[:] = before
    if spec is None:
        raise RunError(f"No module named {module}.")


def _check_file(path: Path) -> None:
    if not path.exists():
        raise RunError(f"{path}: no such file.")
    if path.is_dir():
        raise RunError(f"{path} is a directory, not a program.")
    if not os.access(path, os.R_OK):
        raise RunError(f"{path} cannot be read: permission denied.")


def _check_source(path: Path) -> None:
    content = path.read_bytes()
    if b"\0" in content:
        raise RunError(f"{path} is a binary file, not a Python program.")
    try:
        compile(content, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        place = f"{path}:{error.lineno}" if error.lineno else str(path)
        raise RunError(f"{place}: not a Python program: {error.msg}.") from error
    except ValueError as error:
        raise RunError(f"{path} is not a Python program: {error}.") from error


def _environment(folder: str, options: RunOptions, include: tuple[str, ...]) -> dict[str, str]:
    environment = dict(os.environ)
    path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = str(STARTUP) + (os.pathsep + path if path else "")
    environment["UNSLOW_CHILD"] = json.dumps(
        {
            "folder": folder,
            "argv": list(options.target),
            "include": list(include),
            "windows": options.windows,
        }
    )
    return environment


def _read(path: Path) -> tuple[Recording | None, str | None]:
    try:
        return from_plain(Recording, json.loads(path.read_text(encoding="utf-8"))), None
    except FileNotFoundError:
        return None, "the program ended before anything could be recorded."
    except (OSError, ValueError) as error:
        return None, f"the recording cannot be read: {error}."


class _Child:
    """The program's process: signals are passed on, the limit is kept, a hanging exit is ended."""

    def __init__(
        self, command: list[str], environment: dict[str, str], folder: Path, limit: float | None
    ) -> None:
        self.notes: list[str] = []
        self._ended = folder / ENDED
        # At a terminal, Ctrl-C reaches the program by itself. Elsewhere it gets a
        # group of its own, and what reaches us is passed on exactly once.
        self._shares_terminal = _in_foreground()
        self._deadline = None if limit is None else time.monotonic() + limit
        self._limit = limit
        with self._signals():
            self._process = subprocess.Popen(
                command,
                env=environment,
                close_fds=False,
                # Nothing else runs in this process that a fork could catch in the middle.
                preexec_fn=None if self._shares_terminal else _own_group,  # noqa: PLW1509
            )
            self._status = self._watch()

    def wait(self) -> int:
        """The program's exit status, negative for the signal that ended it."""
        return self._status

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def pass_on(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGINT and self._shares_terminal:
                return
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {
            number: signal.signal(number, pass_on)
            for number in numbers
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self) -> int:
        ended_at: float | None = None
        told = False
        while True:
            try:
                return self._process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                pass
            moment = time.monotonic()
            if self._deadline is not None and moment >= self._deadline and not told:
                told = True
                self.notes.append(f"Ended after {self._limit:g} s, as --limit asked.")
                self._process.send_signal(signal.SIGINT)
            if told and self._deadline is not None and moment >= self._deadline + GRACE:
                self._process.kill()
                return self._process.wait()
            if ended_at is None and self._ended.exists():
                ended_at = moment
            if ended_at is not None and moment >= ended_at + GRACE:
                self.notes.append(
                    f"The program had ended but its process still hung after {GRACE:g} s: killed."
                )
                self._process.kill()
                self._process.wait()
                return int(self._ended.read_text(encoding="utf-8"))


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _own_group() -> None:
    os.setpgid(0, 0)
