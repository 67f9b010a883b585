"""The child's side of a run: the recorder's life from the first line to the last.

Nothing here stands between the interpreter and the program: Python itself runs
the script, module or notebook. The recorder ends after the program's own exit
handlers, while its objects still live.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any

from unslow.recording.recorder import Recorder

_PACKAGE = str(Path(__file__).resolve().parents[1])

RECORDING = "recording.json"
ENDED = "ended"
"""File that says the program has ended and with which exit status, as far as that is known."""


class _Ending:
    """What is known of the program's exit status before the process has ended."""

    def __init__(self) -> None:
        self.status = 0


def begin(task: str) -> None:
    """Start recording, as the parent asks for in `task` (JSON)."""
    wanted = json.loads(task)
    folder = Path(wanted["folder"])
    recorder = Recorder(folder / RECORDING, tuple(wanted["argv"]), tuple(wanted["include"]))
    ending = _Ending()
    # The first to be registered is the last to run: after the program's own handlers.
    atexit.register(_end, recorder, folder, ending)
    os.register_at_fork(after_in_child=recorder.abandon)
    _watch_endings(recorder, folder, ending)
    recorder.start(windows=wanted["windows"])
    recorder.write()


def _end(recorder: Recorder, folder: Path, ending: _Ending) -> None:
    if recorder.stopped:
        return
    recorder.stop()
    (folder / ENDED).write_text(str(ending.status), encoding="utf-8")


def _watch_endings(recorder: Recorder, folder: Path, ending: _Ending) -> None:
    """Learn the exit status on the ways to it that can be seen."""
    leave_now, leave, hook = os._exit, sys.exit, sys.excepthook

    @functools.wraps(leave_now)
    def exit_now(status: int) -> Any:
        if not recorder.stopped:
            ending.status = status
            _end(recorder, folder, ending)
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
