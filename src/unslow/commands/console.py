"""What all commands share: errors of use, the terminal, and the user's source lines."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

if TYPE_CHECKING:
    from unslow.finding import Site
    from unslow.report.terminal import SourceLine

ERROR = 2
"""The exit status where unslow itself failed."""


class UsageError(Exception):
    """What was asked for cannot be done; the message is one sentence for the user."""


def source_line(contents: Mapping[str, bytes] | None = None) -> SourceLine:
    """What reads the line at a site, from a file or from a notebook's cell.

    `contents` stand for the files at these absolute paths.
    """
    lines: dict[tuple[str, int | None], Sequence[str]] = {}

    def line(site: Site) -> str:
        if (site.path, site.cell) not in lines:
            if site.cell is not None:
                lines.update(_cells(site.path))
            lines.setdefault((site.path, site.cell), _lines(site, contents or {}))
        found = lines[site.path, site.cell]
        return found[site.line - 1] if 0 < site.line <= len(found) else ""

    return line


def _lines(site: Site, contents: Mapping[str, bytes]) -> Sequence[str]:
    if site.cell is not None:
        return ()
    data = contents.get(str(Path.cwd() / site.path))
    if data is None:
        import linecache

        return linecache.getlines(site.path)
    from unslow.source.text import SourceError, SourceText

    try:
        return SourceText.of(data).lines
    except SourceError:
        return ()


def _cells(path: str) -> dict[tuple[str, int | None], Sequence[str]]:
    from unslow.source.notebook import NotebookError, read_notebook

    try:
        return {(path, cell.number): cell.source.splitlines() for cell in read_notebook(path)}
    except NotebookError:
        return {}


def width(stream: TextIO) -> int:
    """How many characters a line of the terminal at `stream` has."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        columns = 0
    # Some terminals do not know their width.
    return columns or shutil.get_terminal_size((100, 24)).columns or 100


def colored(stream: TextIO) -> bool:
    """Whether `stream` is a terminal that is meant to show colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


BAR = 20
"""Characters of a progress bar."""


def bar(done: int, of: int) -> str:
    """A progress bar with its count."""
    full = BAR * done // max(of, 1)
    return f"[{'#' * full}{'.' * (BAR - full)}] {done}/{of}"


class StatusLine:
    """One line at the bottom of a terminal that is written over; nothing where there is none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = ""

    def show(self, text: str) -> None:
        """Show `text` in place of what is shown."""
        text = text[: width(self._stream) - 1]
        if self._terminal and text != self._shown:
            self._write(f"\r{text}\x1b[K")
            self._shown = text

    def clear(self) -> None:
        """Leave the line empty."""
        if self._shown:
            self._write("\r\x1b[K")
            self._shown = ""

    def _write(self, text: str) -> None:
        from unslow.report.text import fit_encoding

        # Nobody reads it any more: the command goes on.
        with contextlib.suppress(OSError):
            self._stream.write(fit_encoding(text, self._stream.encoding))
            self._stream.flush()


def say(text: str) -> None:
    """Write `text` to standard error, whatever its encoding and whether anybody reads it."""
    from unslow.report.text import fit_encoding

    if sys.stderr is None:
        return
    try:
        sys.stderr.write(fit_encoding(text, sys.stderr.encoding))
        sys.stderr.flush()
    except BrokenPipeError:
        # Nobody reads the report any more; the exit status still counts.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def end_by(number: int) -> NoReturn:
    """End this process by the signal that ended the program, so that the shell sees the same."""
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    # Reached where the signal does not end a process, or there are none.
    raise SystemExit(128 + number)
