"""Tells which files a program opens for writing."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import PurePath
from typing import Any

MOST = 10_000
"""Paths that are kept."""

_WRITING = os.O_WRONLY | os.O_RDWR


class OpenedFiles:
    """The absolute paths of files that this process opens for writing, or renames to.

    What C++ code opens is not seen. The hook is asked at every `id()` and `sys._getframe()`
    too, so the time of a program that is watched in this way says little.
    """

    def __init__(self) -> None:
        self.paths: dict[str, None] = {}

    def install(self) -> None:
        """Watch until the process ends: such a hook cannot be taken out again."""
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        # Programs may raise events of any name, and what is raised here they would see.
        if event == "open" and len(args) == 3:
            path, _, flags = args
            if isinstance(flags, int) and flags & _WRITING:
                self._add(path)
        elif event == "os.rename" and len(args) > 1:
            self._add(args[1])

    def _add(self, path: Any) -> None:
        if isinstance(path, (str, bytes, PurePath)) and len(self.paths) < MOST:
            # There may be no working directory any more.
            with contextlib.suppress(OSError):
                self.paths[os.path.abspath(os.fsdecode(path))] = None  # noqa: PTH100
