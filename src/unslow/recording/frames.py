"""Looks at what other threads are doing: at frames that go on meanwhile."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected while the frames of other threads are read in here.

    Up to Python 3.11, asking a frame for the one that called it may collect garbage, and what
    that runs may let the other thread go on: the answer is then a frame that has ended, and
    reading it ends the process. `sys._current_frames` itself could wait for ever so, before
    3.11.5 (https://github.com/python/cpython/issues/106883). And a program's own finalizers
    do not run in a thread that it does not know.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def innermost(ident: int) -> FrameType | None:
    """The innermost frame of the thread with this identifier, `None` where it has none."""
    return sys._current_frames().get(ident)
