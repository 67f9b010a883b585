"""Times the imports of code that is not the program's own, and tells when a module is there."""

from __future__ import annotations

import importlib
import sys
import time
from _thread import get_ident
from collections.abc import Callable
from typing import Any

from unslow.experiment.whole.own_modules import file_of
from unslow.experiment.whole.tracebacks import as_importlib

_bootstrap: Any = importlib.import_module("importlib._bootstrap")


class ImportTimes:
    """Seconds of the main thread in outermost imports of foreign code.

    What a module of the program's own does when it is imported is the program's work, but
    for the foreign modules that it imports in its turn. `paused`: what is imported now is not
    the program's doing.
    """

    def __init__(self, foreign: Callable[[str], bool]) -> None:
        self.seconds = 0.0
        self.paused = False
        self._foreign = foreign
        self._own: dict[str, bool] = {}
        self._open: list[float] = []
        self._when_imported: dict[str, Callable[[], None]] = {}

    def when_imported(self, module: str, act: Callable[[], None]) -> None:
        """Call `act` as soon as `module`, not imported so far, has been."""
        self._when_imported[module] = act

    def add(self, seconds: float) -> None:
        """Count more seconds of the main thread as spent in imports."""
        if self._open:
            self._open[-1] += seconds
        else:
            self.seconds += seconds

    def install(self) -> None:
        """Start to watch."""
        original = _bootstrap._find_and_load
        main, opened, waiting = get_ident(), self._open, self._when_imported
        close, now = self._close, time.monotonic

        def find_and_load(name: str, import_: Any) -> Any:
            if get_ident() == main and not self.paused:
                opened.append(0.0)
                started = now()
                try:
                    module = original(name, import_)
                finally:
                    close(name, now() - started)
            else:
                module = original(name, import_)
            if name in waiting:
                waiting.pop(name)()
            return module

        _bootstrap._find_and_load = as_importlib(find_and_load)

    def _close(self, name: str, seconds: float) -> None:
        inner = self._open.pop()
        self.add(inner if self._is_own(name.partition(".")[0]) else seconds)

    def _is_own(self, package: str) -> bool:
        own = self._own.get(package)
        if own is None:
            if package not in sys.modules:
                return False
            module = sys.modules[package]
            file = file_of(module) or _first_folder(module)
            own = self._own[package] = file is not None and not self._foreign(file)
        return own


def _first_folder(module: Any) -> str | None:
    """Where a package without a file of its own has its modules."""
    return next(iter(getattr(module, "__path__", ())), None)
