"""Keeps what an experiment does to itself: no output, no input, and an end."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

LONGEST_FLUSH = 1.0
"""Seconds that one file's writing out may take: a pipe may have nobody who reads it."""

_WRITERS = (io.BufferedWriter, io.BufferedRandom)


class TimeLimit(BaseException):
    """A run did not end in time. No `Exception`, so that what is run does not catch it."""


@contextlib.contextmanager
def swallowed() -> Iterator[None]:
    """Whatever is printed, logged or warned of in here goes nowhere; nothing can be read.

    What the program had printed before is written out first. The streams are closed to
    everything: to Python's own, to ones that the program put in their place, and to C++.
    """
    for stream in (sys.stdout, sys.stderr):
        _flush(stream)
    streams = sys.stdin, sys.stdout, sys.stderr
    saved = _duplicates()
    nothing = os.open(os.devnull, os.O_RDWR)
    threshold = logging.root.manager.disable
    try:
        for number in saved:
            os.dup2(nothing, number)
        with (
            Path(os.devnull).open(encoding="utf-8") as no_input,
            Path(os.devnull).open("w", encoding="utf-8") as no_output,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            sys.stdin, sys.stdout, sys.stderr = no_input, no_output, no_output
            logging.disable(logging.CRITICAL)
            yield
    finally:
        logging.disable(threshold)
        # C++ and replaced streams may hold text of the experiments still.
        for stream in streams[1:]:
            _flush(stream)
        sys.stdin, sys.stdout, sys.stderr = streams
        for number, copy in saved.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)


def flush_files() -> None:
    """Write out what the open files of this process hold back, as the end of it would."""
    for thing in gc.get_objects():
        # By its type: an object may do anything when asked for its `__class__`.
        kind = type(thing)
        if not issubclass(kind, (io.TextIOWrapper, *_WRITERS)):
            continue
        # Closed or detached; its reader has gone or does not read.
        with contextlib.suppress(OSError, ValueError, TimeLimit), limited(LONGEST_FLUSH):
            buffer = thing.buffer if issubclass(kind, io.TextIOWrapper) else thing
            # A compressed file would hold other bytes for having been flushed midway.
            if isinstance(buffer, _WRITERS) and isinstance(buffer.raw, io.FileIO):
                thing.flush()


def _duplicates() -> dict[int, int]:
    saved = {}
    for number in (0, 1, 2):
        # A program may have closed one of them.
        with contextlib.suppress(OSError):
            saved[number] = os.dup(number)
    return saved


def _flush(stream: object) -> None:
    flush = getattr(stream, "flush", None)
    if flush is not None:
        # Closed, or its reader has gone: then there is nobody to be told.
        with contextlib.suppress(OSError, ValueError):
            flush()


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TimeLimit` in what runs in here after `seconds`.

    It comes as soon as Python code runs again: what hangs in C++ must be ended from
    outside. Nothing is raised outside the main thread or where there is no such timer.

    Raises:
        TimeLimit: the time is over.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not (
        threading.main_thread()
    ):
        yield
        return
    over = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal over
        over = True
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again: TensorFlow turns what a callback raises into an error of its own.
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    except BaseException as error:
        if over and not isinstance(error, KeyboardInterrupt):
            raise TimeLimit from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before if before is not None else signal.SIG_DFL)
