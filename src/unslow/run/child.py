"""The child's side of a run: the recorder's life from the first line to the last.

Nothing here stands between the interpreter and the program: Python itself runs
the script, module or notebook. The recorder ends after the program's own exit
handlers, while its objects still live; then come the experiments.
"""

from __future__ import annotations

import atexit
import builtins
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
from types import FrameType, TracebackType
from typing import Any

from unslow import seams
from unslow.plain import from_plain, to_plain
from unslow.recording.data import Recording
from unslow.recording.recorder import Recorder
from unslow.recording.samples import LIMIT, Samples
from unslow.run.ending import Ending, still_at_work

_PACKAGE = str(Path(__file__).resolve().parents[1])

RECORDING = "recording.json"
TRIED = "tried.json"
"""File with the findings and what the experiments have shown so far."""

UNTRIED = "untried"
"""File that says why there were no experiments at all, for the report."""

TRYING = "trying.json"
"""File that says what is being tried, and since when."""

ENDED = "ended"
"""File that says the program has ended, and with which exit status; `null` if not known."""

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
    ending = Ending()
    if plan.wanted:
        _keep_libraries_open()
    # The first to be registered is the last to run: after the program's own handlers.
    end = functools.partial(_end, recorder, folder, ending, plan, include)
    atexit.register(end)
    os.register_at_fork(after_in_child=recorder.abandon)
    _watch_endings(recorder, ending, end)
    recorder.start(windows=wanted["windows"])
    # TensorFlow needs it: by then the program's first frame is there.
    recorder.when_imported("numpy", ending.see_program)
    recorder.write()


def _end(
    recorder: Recorder, folder: Path, ending: Ending, plan: Plan, include: tuple[str, ...]
) -> None:
    if recorder.stopped:
        return
    interrupts: list[int] = []

    def keep_interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)

    handler: Any = None
    in_main = threading.current_thread() is threading.main_thread()
    if in_main:
        try:
            handler = signal.signal(signal.SIGINT, keep_interrupt)
        except KeyboardInterrupt:
            # It came just before that.
            interrupts.append(signal.SIGINT)
            signal.signal(signal.SIGINT, keep_interrupt)
    recording = recorder.stop()
    _write(folder / ENDED, json.dumps(ending.status()))
    stopped_by_user = ending.interrupted() and not (folder / LIMITED).exists()
    if (
        recording is not None
        and recording.program.tensorflow is not None
        and plan.wanted
        and in_main
        and not stopped_by_user
    ):
        _experiment(recording, recorder.samples, folder, plan, include, interrupts)
    elif handler is not None:
        signal.signal(signal.SIGINT, handler)
    _write(folder / LEFT, "")


def _experiment(
    recording: Recording,
    samples: Samples,
    folder: Path,
    plan: Plan,
    include: tuple[str, ...],
    interrupts: list[int],
) -> None:
    """Try what is known against the causes found; keep what is known after every step.

    `interrupts`: those that have come since the program's end.
    """
    try:
        try:
            at_work = still_at_work(include)
            if at_work:
                _write(folder / UNTRIED, _AT_WORK.format(at_work))
                return
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if interrupts and not (folder / LIMITED).exists():
                raise KeyboardInterrupt
            _run_session(recording, samples, folder, plan, include)
        finally:
            # From here on there is nothing left that Ctrl-C could stop.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            samples.drop()
    except KeyboardInterrupt:
        # Before or after the experiments: what is known has been kept.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not (folder / TRIED).exists():
            _write(folder / UNTRIED, _STOPPED)


_AT_WORK = (
    "No experiments were made: a thread of the program was still in {} at its end, and would have "
    "gone on during them."
)
_STOPPED = "No experiments were made: Ctrl-C came first."


def _run_session(
    recording: Recording, samples: Samples, folder: Path, plan: Plan, include: tuple[str, ...]
) -> None:
    from unslow.catalogue import diagnose
    from unslow.experiment.quiet import flush_files, swallowed
    from unslow.experiment.session import Session, Tried, Trying

    def tell(trying: Trying) -> None:
        _write(folder / TRYING, json.dumps([time.monotonic(), to_plain(trying)]))

    def keep(tried: Tried) -> None:
        _write(folder / TRIED, json.dumps(to_plain(tried)))

    # What hangs is ended without the interpreter's own end, which would have done so.
    flush_files()
    findings = diagnose(recording, proposals=True)
    budget = min(LONGEST_BUDGET, recording.wall) if plan.budget is None else plan.budget
    with swallowed():
        Session(findings, samples, recording.wall, budget, tell, keep, include).run()


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


def _watch_endings(recorder: Recorder, ending: Ending, end: Callable[[], None]) -> None:
    """Learn the exit status on the ways to it that can be seen."""
    leave_now, leave, hook = os._exit, sys.exit, sys.excepthook

    @functools.wraps(leave_now)
    def exit_now(status: int) -> Any:
        if not recorder.stopped:
            ending.leave_now(status)
            end()
        leave_now(status)

    @functools.wraps(leave)
    def exit_program(status: Any = None, /) -> Any:
        ending.leave(status)
        try:
            leave(status)
        except SystemExit as error:
            if error.__traceback__ is not None:
                error.__traceback__ = error.__traceback__.tb_next
            raise

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        trace = without_own_frames(trace)
        hook(kind, error.with_traceback(trace), trace)

    quitter: Any = type(vars(builtins).get("exit"))
    # `exit` and `quit`, which are there unless the interpreter was started without `site`.
    if quitter is not type(None):
        quit_now = quitter.__call__

        @functools.wraps(quit_now)
        def quit_program(self: Any, code: Any = None) -> Any:
            ending.leave(code)
            return quit_now(self, code)

        quitter.__call__ = quit_program

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
