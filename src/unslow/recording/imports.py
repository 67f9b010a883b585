"""Watches modules being imported: their time, and the moment to start watching what they hold."""

from __future__ import annotations

import importlib
import sys
from _thread import get_ident
from collections.abc import Callable
from typing import Any

from unslow.recording.clock import Call, Clock, ThreadClock, hide_caller

_bootstrap: Any = importlib.import_module("importlib._bootstrap")
"""Holds the function that every import of a module not yet loaded goes through."""


class Imports:
    """Times outermost imports, and tells when a module of interest has been imported."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._importing: set[int] = set()
        self._when_imported: dict[str, Callable[[], None]] = {}
        self._original: Any = None

    def when_imported(self, module: str, act: Callable[[], None]) -> None:
        """Call `act` once, as soon as `module` has been imported; at once if it has been."""
        if module in sys.modules:
            act()
        else:
            self._when_imported[module] = act

    def install(self) -> None:
        """Start to watch."""
        self._original = original = _bootstrap._find_and_load
        timed = self._clock.watch(original, "imports", self._note, self._outermost)
        waiting = self._when_imported

        def find_and_load(name: str, import_: Any) -> Any:
            try:
                module = timed(name, import_)
            except BaseException as error:
                hide_caller(error)
                raise
            if name in waiting:
                waiting.pop(name)()
            return module

        _bootstrap._find_and_load = self._clock.disguise(find_and_load)

    def take_back(self) -> None:
        """Stop watching."""
        if self._original is not None:
            _bootstrap._find_and_load = self._original

    def _outermost(self, thread: ThreadClock, args: tuple[Any, ...]) -> bool:
        ident = get_ident()
        if ident in self._importing:
            return False
        self._importing.add(ident)
        return True

    def _note(self, call: Call) -> None:
        self._importing.discard(get_ident())
