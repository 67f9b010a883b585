"""The child's side of a run: the recorder's life from the first line to the last.

Nothing here stands between the interpreter and the program: Python itself runs
the script, module or notebook. The recorder ends after the program's own exit
handlers, while its objects still live; then come the experiments.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from unslow import seams
from unslow.plain import from_plain, to_plain
from unslow.recording.data import Recording
from unslow.recording.recorder import Recorder
from unslow.recording.samples import LIMIT, Samples

_PACKAGE = str(Path(__file__).resolve().parents[1])

RECORDING = "recording.json"
TRIED = "tried.json"
"""File with the findings and what the experiments have shown so far."""

TRYING = "trying.json"
"""File that says what is being tried, and since when."""

ENDED = "ended"
"""File that says the program has ended and with which exit status, as far as that is known."""

LEFT = "left"
"""File that says that nothing more is to be done in the process."""

LIMITED = "limited"
"""File by which the parent says that it interrupted the program, and the user did not."""


LONGEST_BUDGET = 60.0
"""Seconds that experiments take at most, unless the user gives them more."""


@dataclass(frozen=True)
class Plan:
    """What is to be done after the program's end.

    `wanted`: whether to make experiments. `budget`: seconds for them, by default as long as
    the program took and at most `LONGEST_BUDGET`.
    """

    wanted: bool = True
    budget: float | None = None


class _Ending:
    """What is known of the end of the program before the process has ended."""

    def __init__(self) -> None:
        self.status = 0
        self.interrupted = False


def begin(task: str) -> None:
    """Start recording, as the parent asks for in `task` (JSON)."""
    wanted = json.loads(task)
    folder = Path(wanted["folder"])
    plan = from_plain(Plan, wanted["experiments"])
    include = tuple(wanted["include"])
    recorder = Recorder(
        folder / RECORDING,
        tuple(wanted["argv"]),
        include,
        samples_limit=LIMIT if plan.wanted else 0,
    )
    ending = _Ending()
    if plan.wanted:
        _keep_libraries_open()
    # The first to be registered is the last to run: after the program's own handlers.
    end = functools.partial(_end, recorder, folder, ending, plan, include)
    atexit.register(end)
    os.register_at_fork(after_in_child=recorder.abandon)
    _watch_endings(recorder, ending, end)
    recorder.start(windows=wanted["windows"])
    recorder.write()


def _end(
    recorder: Recorder, folder: Path, ending: _Ending, plan: Plan, include: tuple[str, ...]
) -> None:
    if recorder.stopped:
        return
    recording = recorder.stop()
    _write(folder / ENDED, str(ending.status))
    stopped_by_user = ending.interrupted and not (folder / LIMITED).exists()
    if recording is not None and plan.wanted and not stopped_by_user:
        _experiment(recording, recorder.samples, folder, plan, include)
    _write(folder / LEFT, "")


def _experiment(
    recording: Recording, samples: Samples, folder: Path, plan: Plan, include: tuple[str, ...]
) -> None:
    """Try what is known against the causes found; keep what is known after every step."""
    if recording.program.tensorflow is None or threading.current_thread() is not (
        threading.main_thread()
    ):
        return
    from unslow.catalogue import diagnose
    from unslow.experiment.quiet import swallowed
    from unslow.experiment.session import Session, Tried, Trying

    def tell(trying: Trying) -> None:
        _write(folder / TRYING, json.dumps([time.monotonic(), to_plain(trying)]))

    def keep(tried: Tried) -> None:
        _write(folder / TRIED, json.dumps(to_plain(tried)))

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        findings = diagnose(recording, proposals=True)
        budget = min(LONGEST_BUDGET, recording.wall) if plan.budget is None else plan.budget
        with swallowed():
            Session(findings, samples, recording.wall, budget, tell, keep, include).run()
    except KeyboardInterrupt:
        # Before or after the experiments: what is known has been kept.
        return
    finally:
        # From here on there is nothing left that Ctrl-C could stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        samples.drop()


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all: the parent may be reading it."""
    temporary = path.with_suffix(".writing")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _keep_libraries_open() -> None:
    """Put off what some libraries do at exit until all else is done.

    They take down what Keras needs, and an experiment comes after all other exit handlers.
    """
    register: Any = atexit.register
    closings: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def close() -> None:
        while closings:
            function, args, kwargs = closings.pop()
            function(*args, **kwargs)

    @functools.wraps(register)
    def register_exit(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not seams.is_closed_at_exit(sys._getframe(1)):
            return register(function, *args, **kwargs)
        closings.append((function, args, kwargs))
        return function

    register(close)
    atexit.register = register_exit


def _watch_endings(recorder: Recorder, ending: _Ending, end: Callable[[], None]) -> None:
    """Learn the exit status on the ways to it that can be seen."""
    leave_now, leave, hook = os._exit, sys.exit, sys.excepthook

    @functools.wraps(leave_now)
    def exit_now(status: int) -> Any:
        if not recorder.stopped:
            ending.status = status
            end()
        leave_now(status)

    @functools.wraps(leave)
    def exit_program(status: Any = None, /) -> Any:
        ending.status = status if isinstance(status, int) else int(status is not None)
        try:
            leave(status)
        except SystemExit as error:
            if error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next
            raise

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        ending.status = 1
        ending.interrupted = issubclass(kind, KeyboardInterrupt)
        trace = without_own_frames(trace)
        hook(kind, error.with_traceback(trace), trace)

    os._exit = exit_now
    sys.exit = exit_program
    if sys.version_info < (3, 11):
        # Only there do our frames stay in a traceback that passes through them.
        sys.excepthook = show
        _hide_from_tracebacks()
    else:
        sys.excepthook = functools.wraps(hook)(show)


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this package."""
    if trace is None:
        return None
    rest = without_own_frames(trace.tb_next)
    if trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        return rest
    trace.tb_next = rest
    return trace


def _hide_from_tracebacks() -> None:
    module: Any = traceback
    walk = module.walk_tb

    @functools.wraps(walk)
    def walk_tb(trace: TracebackType | None) -> Any:
        for frame, line in walk(trace):
            if not frame.f_code.co_filename.startswith(_PACKAGE):
                yield frame, line

    module.walk_tb = walk_tb
