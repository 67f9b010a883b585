"""Keeps what runs a program out of its tracebacks, and shows them with the right source."""

from __future__ import annotations

import sys
import threading
import traceback
from pathlib import Path
from types import FunctionType, TracebackType
from typing import Any

_IMPORTLIB = "<frozen importlib._bootstrap>"
"""Python leaves frames of this file out of the traceback of a failing import."""

_OWN = str(Path(__file__).resolve().parent)


def as_importlib(function: Any) -> Any:
    """The same function, counted in tracebacks as part of the import system."""
    return FunctionType(
        function.__code__.replace(co_filename=_IMPORTLIB),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )


def without_own_frames(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of those who run the program."""
    if trace is None:
        return None
    rest = without_own_frames(trace.tb_next)
    if trace.tb_frame.f_code.co_filename.startswith(_OWN):
        return rest
    trace.tb_next = rest
    return trace


def show_uncaught(error: BaseException) -> None:
    """Do what the interpreter does with an exception that nobody catches.

    Raises:
        SystemExit: the program's own hook for it ended the program.
    """
    trace = without_own_frames(error.__traceback__)
    error = error.with_traceback(trace)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    failure: BaseException | None = None
    try:
        sys.excepthook(type(error), error, trace)
    except SystemExit:
        raise
    except BaseException as other:
        failure = other.with_traceback(without_own_frames(other.__traceback__))
    if failure is not None:
        print("Error in sys.excepthook:", file=sys.stderr)
        traceback.print_exception(failure)
        print("\nOriginal exception was:", file=sys.stderr)
        traceback.print_exception(error)


def show_in_python() -> None:
    """Let Python code show exceptions: the interpreter's own takes source lines from disk alone.

    From 3.13 on, the interpreter does so only for those that nobody could have caught.
    """
    unraisable = sys.unraisablehook
    is_finalizing = sys.is_finalizing

    def show_unraisable(args: sys.UnraisableHookArgs) -> None:
        if is_finalizing():
            # What is needed here may be gone.
            unraisable(args)
            return
        what = "" if args.object is None else f" {args.object!r}"
        print(f"{args.err_msg or 'Exception ignored in'}:{what}", file=sys.stderr)
        kind, error, trace = args.exc_type, args.exc_value, args.exc_traceback
        traceback.print_exception(kind, error, trace, chain=False)

    module: Any = sys
    module.unraisablehook = module.__unraisablehook__ = show_unraisable
    if sys.version_info >= (3, 13):
        return

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        traceback.print_exception(kind, error, trace)

    def show_of_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is SystemExit or sys.stderr is None:
            return
        name = threading.get_ident() if args.thread is None else args.thread.name
        print(f"Exception in thread {name}:", file=sys.stderr)
        traceback.print_exception(args.exc_type, args.exc_value, args.exc_traceback)

    module.excepthook = module.__excepthook__ = show
    module = threading
    module.excepthook = module.__excepthook__ = show_of_thread
