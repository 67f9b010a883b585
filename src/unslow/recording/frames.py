"""Looks at what other threads are doing: at frames that go on meanwhile."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CRASHES = sys.version_info[:2] == (3, 11)
"""Whether a collection of garbage may not come between two looks at another thread's frames."""

_switched_off = False


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected while the frames of other threads are read in here.

    Under Python 3.11, asking a frame for the one that called it may collect garbage, and what
    that runs may let the other thread go on: the answer is then a frame that has ended, and
    reading it ends the process. `sys._current_frames` itself could wait for ever so, before
    3.11.5 (https://github.com/python/cpython/issues/106883). Other versions are left alone.
    """
    global _switched_off
    if not CRASHES or not gc.isenabled():
        yield
        return
    _switched_off = True
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        _switched_off = False


def after_fork() -> None:
    """Collect garbage again, in a child that was forked while another thread looked."""
    global _switched_off
    if _switched_off:
        gc.enable()
        _switched_off = False


def innermost(ident: int) -> FrameType | None:
    """The innermost frame of the thread with this identifier, `None` where it has none."""
    return sys._current_frames().get(ident)
