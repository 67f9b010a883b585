"""Which code is the user's, and where in it a moment belongs.

A moment is attributed to the innermost frame of the user's own code: not the
standard library, not site-packages, not this package. While the program runs, a
place is only a pair of numbers (code object, instruction); it becomes a `Site`
when the recording is written.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from unslow.finding import Site

Place = tuple[int, int]
"""The identity of a code object and the offset of an instruction in it."""

NOWHERE: Place = (0, -1)
"""The place of what no line of the user's code has called."""

_INSTALLED = frozenset({"site-packages", "dist-packages"})


_OWN = str(Path(__file__).resolve().parents[1])


def calling_frame() -> FrameType | None:
    """The innermost frame that is not this package's: who made the watched call."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_OWN):
        frame = frame.f_back
    return frame


class ForeignFiles(dict[str, bool]):
    """Maps the file name of a code object to whether the code is not the user's.

    `include`: names of installed packages that count as the user's own code.
    `notebook`: the path under which a notebook's cells are compiled.
    """

    def __init__(self, include: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._include = frozenset(include)
        paths = sysconfig.get_paths()
        self._standard = tuple({paths["stdlib"], paths["platstdlib"]})

    def __missing__(self, filename: str) -> bool:
        foreign = self._is_foreign(filename)
        self[filename] = foreign
        return foreign

    def _is_foreign(self, filename: str) -> bool:
        if filename.startswith("<"):
            return True
        path = Path(filename)
        parts = path.parts
        for position, part in enumerate(parts):
            if part in _INSTALLED:
                package = parts[position + 1] if position + 1 < len(parts) else ""
                return package.removesuffix(".py") not in self._include
        if path.name.startswith("__autograph_generated_file"):
            return True
        if str(path).startswith(_OWN):
            return True
        if any(str(path).startswith(standard) for standard in self._standard):
            return not self._include.intersection(parts)
        return False


class Sites:
    """Finds the user's frame of a moment, and turns places into sites."""

    def __init__(self, include: tuple[str, ...], base: Path) -> None:
        self.foreign = ForeignFiles(include)
        self.codes: dict[int, CodeType] = {}
        self._base = base
        self._resolved: dict[Place, Site | None] = {NOWHERE: None}
        self._stand_ins = itertools.count(-1, -1)

    def place(self, depth: int = 1) -> Place:
        """The innermost place of the user's code, seen from `depth` frames above the caller."""
        try:
            frame: FrameType | None = sys._getframe(depth + 1)
        except ValueError:
            return NOWHERE
        foreign = self.foreign
        while frame is not None:
            code = frame.f_code
            if not foreign[code.co_filename]:
                return self.keep(code, frame.f_lasti)
            frame = frame.f_back
        return NOWHERE

    def stand_in(self, site: Site) -> Place:
        """A place of its own that means `site`, where no instruction there is known."""
        place = (next(self._stand_ins), -1)
        self._resolved[place] = site
        return place

    def keep(self, code: CodeType, instruction: int) -> Place:
        """The place of an instruction, its code object kept alive for as long as it is needed."""
        identity = id(code)
        self.codes[identity] = code
        return identity, instruction

    def site(self, place: Place) -> Site | None:
        """The site of a place, `None` where it is not in the user's code."""
        try:
            return self._resolved[place]
        except KeyError:
            site = self._resolved[place] = self._resolve(place)
            return site

    def _resolve(self, place: Place) -> Site | None:
        identity, instruction = place
        code = self.codes[identity]
        line, end_line, column = _position(code, instruction)
        return self.in_file(code.co_filename, line, code.co_name, end_line, column)

    def in_file(
        self,
        filename: str,
        line: int,
        function: str,
        end_line: int | None = None,
        column: int | None = None,
    ) -> Site:
        """The site of a line of `filename`, a path or a notebook's cell."""
        name, mark, cell = filename.rpartition(":cell ")
        if not mark or not cell.isdigit():
            name, cell = filename, ""
        return Site(
            self._relative(name), line, function, end_line, column, int(cell) if cell else None
        )

    def innermost(self, stack: list[tuple[str, int, str]]) -> Site | None:
        """The user's innermost line in a stack of (file name, line, function), innermost last."""
        for filename, line, function in reversed(stack):
            if not self.foreign[filename]:
                return self.in_file(filename, line, function)
        return None

    def definition(self, function: Any) -> Site | None:
        """The `def` line of a Python function, `None` where the user did not write it."""
        code = code_of(function)
        if code is None or self.foreign[code.co_filename]:
            return None
        return self.in_file(code.co_filename, code.co_firstlineno, code.co_name)

    def _relative(self, filename: str) -> str:
        path = Path(filename)
        absolute = path if path.is_absolute() else self._base / path
        try:
            return str(absolute.relative_to(self._base))
        except ValueError:
            pass
        try:
            return str(absolute.resolve().relative_to(self._base))
        except (ValueError, OSError):
            return str(path)


def code_of(function: Any) -> CodeType | None:
    """The code object behind wrappers, methods and partial applications, if there is one."""
    for _ in range(32):
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif hasattr(function, "python_function"):
            function = function.python_function
        else:
            break
    code = getattr(function, "__code__", None)
    if code is None:
        code = getattr(vars(type(function)).get("__call__"), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _position(code: CodeType, instruction: int) -> tuple[int, int | None, int | None]:
    """Line, last line and column (from 1) of an instruction."""
    if instruction < 0:
        return code.co_firstlineno, None, None
    positions: Callable[[], Any] | None = getattr(code, "co_positions", None)
    if positions is not None:
        for index, (line, end_line, column, _) in enumerate(positions()):
            if index == instruction // 2 and line is not None:
                return line, end_line, None if column is None else column + 1
    line = code.co_firstlineno
    for start, end, at in code.co_lines():
        if start <= instruction < end and at is not None:
            line = at
    return line, None, None
