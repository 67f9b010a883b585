"""How the program ended, as far as that can be known before its process has ended."""

from __future__ import annotations

import dis
import sys
import threading
from types import FrameType
from typing import Any

from unslow.recording.frames import innermost, uncollected
from unslow.recording.sites import ForeignFiles


class Ending:
    """What has been seen of the program's end.

    The interpreter tells nobody with which status it ends. Seen are a call of `sys.exit`, `exit`
    or `os._exit`, an error that nobody caught, and whether the program's first frame returned.
    """

    def __init__(self) -> None:
        self._program: FrameType | None = None
        self._left: tuple[int, BaseException | None] | None = None
        self._left_now: int | None = None

    def see_program(self) -> None:
        """Keep the main thread's outermost frame, if it is the program's or what runs a module."""
        with uncollected():
            frame = innermost(threading.main_thread().ident or 0)
            while frame is not None and frame.f_back is not None:
                frame = frame.f_back
        if frame is not None and frame.f_globals.get("__name__") in ("__main__", "runpy"):
            self._program = frame

    def leave(self, status: Any) -> None:
        """`sys.exit` or `exit` was called; what it raises may still be caught."""
        if threading.current_thread() is threading.main_thread():
            code = status if isinstance(status, int) else int(status is not None)
            self._left = code, _uncaught()

    def leave_now(self, status: int) -> None:
        """`os._exit` was called."""
        self._left_now = status

    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the program."""
        return not self._returned() and isinstance(_uncaught(), KeyboardInterrupt)

    def status(self) -> int | None:
        """The exit status, at the program's end; `None` where it cannot be known.

        That is so after `raise SystemExit(status)`. Of a program whose first frame was not
        seen, it is taken to have returned.
        """
        if self._left_now is not None:
            return self._left_now
        if self._returned():
            return 0
        error = _uncaught()
        # A hook for errors may call `sys.exit`, after the error.
        if self._left is not None and self._left[1] is error:
            return self._left[0]
        if error is not None:
            return 1
        return 0 if self._program is None else None

    def _returned(self) -> bool:
        if self._program is None:
            return False
        code = self._program.f_code.co_code
        return dis.opname[code[self._program.f_lasti]].startswith("RETURN_")


def _uncaught() -> BaseException | None:
    """The error that nobody caught, which the interpreter keeps before it is shown."""
    error: BaseException | None = vars(sys).get("last_value")
    return error


def still_at_work(include: tuple[str, ...]) -> str:
    """The function of the user's own that a thread is in, or a timer will call; "" if none.

    Threads in which TensorFlow calls Python are none of the program's. `include`: installed
    packages that count as the user's own code.
    """
    foreign = ForeignFiles(include)
    with uncollected():
        for ident, frame in sys._current_frames().items():
            if ident == threading.get_ident():
                continue
            frames: list[FrameType] = []
            inner: FrameType | None = frame
            while inner is not None:
                frames.append(inner)
                inner = inner.f_back
            own = [each.f_code for each in frames if not foreign[each.f_code.co_filename]]
            begun_in = frames[-1].f_code.co_filename
            if own and (begun_in == threading.__file__ or not foreign[begun_in]):
                return f"{own[-1].co_name}()"
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            code = getattr(thread.function, "__code__", None)
            if code is not None and not foreign[code.co_filename]:
                return f"{code.co_name}()"
    return ""
