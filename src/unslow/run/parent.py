"""The parent's side of a run: it starts the program, guards it, and reads the recording."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

from unslow.experiment.session import Tried, Trying
from unslow.plain import from_plain, to_plain
from unslow.recording.data import Recording
from unslow.run.child import ENDED, LEFT, LIMITED, RECORDING, TRIED, TRYING, UNTRIED, Plan
from unslow.source.notebook import NotebookError, read_notebook

GRACE = 10.0
"""Seconds that a program may take to leave after its last exit handler, or after `--limit`."""

LONGEST_DIAGNOSIS = 60.0
"""Seconds between the program's end and the first experiment, at most."""

UNKNOWN_STATUS = 1
"""The exit status that stands for one that is not known: a caller must not take it for success."""

STARTUP = Path(__file__).resolve().parent / "startup"


class RunError(Exception):
    """The program could not be started; the message says why in one sentence."""


@dataclass(frozen=True)
class RunOptions:
    """What to run and how. `target`: the script, `-m` and module, or notebook, then arguments.

    `limit`: seconds after which the program is ended. `include`: packages that
    count as the user's own code. `windows`: whether TensorFlow's profiler may be
    used for short stretches. `experiments`: what to do after the program's end.
    """

    target: tuple[str, ...]
    limit: float | None = None
    include: tuple[str, ...] = ()
    windows: bool = True
    experiments: Plan = field(default_factory=Plan)


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `recording` is `None`, and `why` says so, where none could be read.

    `exit_status` is the program's own, or `UNKNOWN_STATUS`; `killed_by` is the signal that
    ended it. `tried` is what experiments have shown, `None` where there were none.
    """

    recording: Recording | None
    why: str | None
    exit_status: int
    killed_by: int | None
    tried: Tried | None = None


Progress = Callable[[Trying], None]
"""Is told several times a second what is being tried."""


def run_program(options: RunOptions, progress: Progress | None = None) -> RunResult:
    """Run the program in a process of its own, watched, and wait for its end.

    Raises:
        RunError: it could not be started.
    """
    command, include = _command(options)
    with tempfile.TemporaryDirectory(prefix="unslow-") as folder:
        environment = _environment(folder, options, include)
        started = time.monotonic()
        child = _Child(command, environment, Path(folder), options.limit, progress)
        status = child.wait()
        wall = time.monotonic() - started
        killed_by = -status if status < 0 else None
        exit_status = status if status >= 0 else 128 - status
        recording, why = _read(Path(folder) / RECORDING)
        tried = _tried(Path(folder) / TRIED)
        untried = Path(folder) / UNTRIED
        if untried.exists():
            child.notes.append(untried.read_text(encoding="utf-8"))
    if recording is not None:
        notes = (*recording.notes, *child.notes, *(() if tried is None else tried.notes))
        if recording.partial:
            notes = (
                *notes,
                f"The program's process ended after {wall:.1f} s without its exit handlers; "
                "the report shows what had been written by then.",
            )
        recording = replace(
            recording,
            program=replace(
                recording.program, exit_status=exit_status if child.status_known else None
            ),
            notes=notes,
        )
    return RunResult(recording, why, exit_status, killed_by, tried)


def check_program(target: tuple[str, ...]) -> None:
    """Check that there is such a program, before anything is done with it.

    Raises:
        RunError: it could not be started.
    """
    _command(RunOptions(target))


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
            "experiments": to_plain(options.experiments),
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


def _tried(path: Path) -> Tried | None:
    return from_plain(Tried, json.loads(path.read_text("utf-8"))) if path.exists() else None


class _Child:
    """The program's process: signals are passed on, the limit is kept, a hanging end is ended."""

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        folder: Path,
        limit: float | None,
        progress: Progress | None,
    ) -> None:
        self.notes: list[str] = []
        self.status_known = True
        self._folder = folder
        self._progress = progress
        self._terminated = False
        # At a terminal, Ctrl-C reaches the program by itself. Elsewhere it gets a
        # group of its own, and what reaches us is passed on exactly once.
        self._shares_terminal = _in_foreground()
        self._deadline = None if limit is None else time.monotonic() + limit
        self._limit = limit
        self._early: list[int] = []
        with self._signals():
            self._process = subprocess.Popen(
                command,
                env=environment,
                close_fds=False,
                # Nothing else runs in this process that a fork could catch in the middle.
                preexec_fn=None if self._shares_terminal else _own_group,  # noqa: PLW1509
            )
            for number in self._early:
                self._process.send_signal(number)
            self._status = self._watch()

    def wait(self) -> int:
        """The program's exit status, negative for the signal that ended it."""
        return self._status

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def pass_on(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGINT and self._shares_terminal:
                return
            self._terminated = self._terminated or number != signal.SIGINT
            if not hasattr(self, "_process"):
                self._early.append(number)
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
        """Wait for the process; returns its exit status, negative for the signal that ended it."""
        ended_at = left_at = math.inf
        interrupted = False
        while True:
            try:
                return self._status_of_program(self._process.wait(timeout=0.2))
            except subprocess.TimeoutExpired:
                pass
            moment = time.monotonic()
            if self._has(LEFT):
                left_at = min(left_at, moment)
                if moment >= left_at + GRACE:
                    self._end(
                        f"The program had ended but its process still hung after {GRACE:g} s: "
                        "killed."
                    )
                    return self._ended_with()
            elif self._has(ENDED):
                ended_at = min(ended_at, moment)
                if self._experiment_hangs(moment, ended_at):
                    self._end(
                        "An experiment did not end and its process had to be ended; what had "
                        "not been tried by then is left out."
                    )
                    return self._ended_with()
            elif self._deadline is not None and moment >= self._deadline:
                if not interrupted:
                    interrupted = True
                    self.notes.append(f"Ended after {self._limit:g} s, as --limit asked.")
                    (self._folder / LIMITED).touch()
                    self._process.send_signal(signal.SIGINT)
                elif moment >= self._deadline + GRACE:
                    self._process.kill()
                    return self._process.wait()

    def _status_of_program(self, status: int) -> int:
        if not self._has(ENDED) or self._has(LEFT) or self._terminated:
            return status
        self.notes.append(
            "An experiment ended the process; what had not been tried by then is left out."
        )
        return self._ended_with()

    def _experiment_hangs(self, moment: float, ended_at: float) -> bool:
        """Whether what is being tried should have ended; whoever wants to know hears of it."""
        try:
            since, trying = json.loads((self._folder / TRYING).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return moment >= ended_at + LONGEST_DIAGNOSIS
        trying = from_plain(Trying, trying)
        if self._progress is not None:
            self._progress(trying)
        return bool(moment >= since + trying.limit + GRACE)

    def _has(self, name: str) -> bool:
        return (self._folder / name).exists()

    def _ended_with(self) -> int:
        """The program's exit status as it was when experiments began."""
        status: int | None = json.loads((self._folder / ENDED).read_text(encoding="utf-8"))
        if status is None:
            self.status_known = False
            self.notes.append(
                "The program's own exit status is not known: it raised SystemExit, and an "
                f"experiment ended its process. {UNKNOWN_STATUS} stands for it."
            )
            return UNKNOWN_STATUS
        return status

    def _end(self, why: str) -> None:
        self.notes.append(why)
        self._process.kill()
        self._process.wait()


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
