"""Reads notebooks, and turns cells with magics into plain Python.

A cell goes by its number: code cells are counted from 1. Under Python it has a
name of its own, `notebook.ipynb:cell 3`, so that lines count within the cell.
"""

from __future__ import annotations

import ast
import functools
import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unslow.source.text import NEWLINES, SourceError, column, parse

CELL_FILENAME = "{path}:cell {number}"
"""The name under which a cell is compiled."""

_CELL_FILENAME = re.compile(r"(?P<path>.+):cell (?P<number>[1-9][0-9]*)", re.DOTALL)

_TIMING = frozenset({"time", "timeit", "prun"})
"""Magics that measure their body: the body runs, as part of the program."""

_CELL_MAGIC = re.compile(r"%%(?P<name>\w+)[ \t]*(?P<rest>.*)")
_LINE_MAGIC = re.compile(r"%(?P<name>\w+)[ \t]*(?P<rest>.*)", re.DOTALL)
_ASSIGNED = re.compile(r"(?P<left>[^=!%'\"#()]+?)[ \t]*=[ \t]*(?P<right>[%!].*)", re.DOTALL)
_HELP = re.compile(r"\?{1,2}\s*[%\w.*\[\]'\"]+|%{0,2}[A-Za-z_*][\w.*\[\]'\"]*\?{1,2}")
_INSTALL = re.compile(r"(pip|conda|mamba)[ \t]+(install|uninstall|list|show|freeze)\b.*")
_TIMEIT_OPTIONS = re.compile(r"(-[nrp][ \t]*[0-9]+[ \t]*|-[tcqo]+(?=[ \t]|$)[ \t]*)*")
_PRUN_OPTIONS = re.compile(r"(-[lsTD][ \t]*\S+[ \t]*|-[rq]+(?=[ \t]|$)[ \t]*)*")
_ON_LINE = re.compile(r"(?<=\bon line )[0-9]+")


class NotebookError(Exception):
    """A file that cannot be run as a notebook; the message says why in one sentence."""


@dataclass(frozen=True)
class Cell:
    """A code cell. `number` counts the code cells from 1."""

    number: int
    source: str


@dataclass(frozen=True)
class Skipped:
    """A magic that was left out. `line` counts within the cell."""

    line: int
    text: str


@dataclass(frozen=True)
class Translation:
    """A cell as plain Python, every line where it stood.

    `capture`: the words that follow `%%capture`, None where the cell has no such line.
    """

    source: str
    skipped: tuple[Skipped, ...] = ()
    capture: tuple[str, ...] | None = None


@dataclass(frozen=True)
class NotebookText:
    """The code cells of a notebook as one text, each line where it stood in its cell.

    A cell that does not parse, and one that is not Python, stands there as blank lines.
    `changed_lines`: those that are not the cell's own, since a magic was taken out.
    `broken`: the number of each cell that does not parse, with what is wrong there.
    """

    lines: tuple[str, ...]
    starts: tuple[int, ...]
    changed_lines: frozenset[int]
    broken: tuple[tuple[int, str], ...]
    _tree: ast.Module = field(repr=False, compare=False)

    @classmethod
    def of(cls, data: bytes) -> NotebookText:
        """The text of a notebook with these bytes.

        Raises:
            SourceError: it is no notebook. One in another language has only blank lines.
        """
        document = load(data)
        python = language(document) == "python"
        lines: list[str] = []
        starts: list[int] = []
        changed: set[int] = set()
        broken: list[tuple[int, str]] = []
        body: list[ast.stmt] = []
        for number, cell in enumerate(code_cells(document), start=1):
            before = len(lines)
            starts.append(before + 1)
            own = NEWLINES.split(raw_source(cell))
            shown = [""] * len(own)
            if python and str(cell.get("language", "python")).lower() == "python":
                try:
                    shown, statements = _parsed(own, before)
                    body += statements
                except SourceError as error:
                    broken.append((number, str(_counted_from(before, error))))
            pairs = zip(own, shown, strict=True)
            changed.update(i for i, (a, b) in enumerate(pairs, start=before + 1) if a != b)
            lines += shown
        return cls(
            tuple(lines),
            tuple(starts),
            frozenset(changed),
            tuple(broken),
            ast.Module(body=body, type_ignores=[]),
        )

    @functools.cached_property
    def text(self) -> str:
        """The cells joined; each ends in a newline."""
        return "".join(f"{line}\n" for line in self.lines)

    def parse(self) -> ast.Module:
        """The syntax tree of the cells that parse, with the line numbers of `lines`."""
        return self._tree

    def column(self, line: int, utf8_offset: int) -> int:
        """The column, in characters from 1, of an offset in UTF-8 bytes from 0."""
        return column(self.lines[line - 1], utf8_offset)

    def locate(self, line: int) -> tuple[int, int]:
        """The number of the cell, and the line in it, of a line of the whole."""
        cell = bisect_right(self.starts, line)
        return cell, line - self.starts[cell - 1] + 1


def _parsed(lines: list[str], before: int) -> tuple[list[str], list[ast.stmt]]:
    """The lines of a cell as plain Python, and its statements, `before` lines further down."""
    blank = "\n" * before
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        return lines, parse(blank + "\n".join(lines), flags).body
    except SourceError:
        # Valid Python holds no magics: only what does not parse is looked through for them.
        translation = translate("\n".join(lines))
        if not translation.skipped and translation.source.split("\n") == lines:
            raise
        plain = translation.source.split("\n")
        plain += [""] * (len(lines) - len(plain))
        return plain, parse(blank + "\n".join(plain), flags).body


def _counted_from(before: int, error: SourceError) -> SourceError:
    """The error with lines that count within a cell that has `before` lines above it."""
    reason = _ON_LINE.sub(lambda match: str(int(match[0]) - before), error.reason)
    return SourceError(reason, None if error.line is None else max(1, error.line - before))


def cell_filename(path: str, number: int) -> str:
    """The name under which a cell of the notebook at `path` is compiled."""
    return CELL_FILENAME.format(path=path, number=number)


def parse_cell_filename(filename: str) -> tuple[str, int] | None:
    """The notebook's path and the cell's number in a name that `cell_filename` made, else None."""
    match = _CELL_FILENAME.fullmatch(filename)
    return (match["path"], int(match["number"])) if match else None


def read_notebook(path: str, data: bytes | None = None) -> tuple[Cell, ...]:
    """The code cells of the notebook at `path`, of format 3 or 4; `data` stands for its bytes.

    Raises:
        NotebookError: it cannot be read, or is no Python notebook with code in it.
    """
    try:
        data = Path(path).read_bytes() if data is None else data
    except OSError as error:
        raise NotebookError(f"cannot read {path}: {error.strerror}") from error
    try:
        document = load(data)
        spoken = language(document)
        if spoken != "python":
            raise SourceError(f"it is a notebook in {spoken}, not in Python")
        sources = ["\n".join(NEWLINES.split(raw_source(c))) for c in code_cells(document)]
        if not any(source.strip() for source in sources):
            raise SourceError("it has no code in its cells")
    except SourceError as error:
        raise NotebookError(f"{path} {str(error).removeprefix('it ')}") from error
    return tuple(Cell(number, source) for number, source in enumerate(sources, start=1))


def load(data: bytes) -> dict[str, Any]:
    """The notebook with these bytes, as JSON has it.

    Raises:
        SourceError: it is no notebook.
    """
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SourceError("it is not a notebook: its text is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"it is not a notebook: it is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise SourceError("it is not a notebook: it has no cells")
    return document


def language(document: dict[str, Any]) -> str:
    """The language of a notebook's code, in lower case; Python where it does not say."""
    metadata = document.get("metadata")
    for key, name in (("kernelspec", "language"), ("language_info", "name")):
        section = metadata.get(key) if isinstance(metadata, dict) else None
        found = section.get(name) if isinstance(section, dict) else None
        if isinstance(found, str) and found:
            return found.lower()
    return "python"


def code_cells(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells of a notebook of format 3 or 4.

    Raises:
        SourceError: it is no notebook.
    """
    cells = document.get("cells")
    if cells is None and isinstance(document.get("worksheets"), list):
        cells = [
            cell
            for sheet in document["worksheets"]
            if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)
            for cell in sheet["cells"]
        ]
    if not isinstance(cells, list):
        raise SourceError("it is not a notebook: it has no cells")
    if not all(isinstance(cell, dict) for cell in cells):
        raise SourceError("it is not a notebook: one of its cells is malformed")
    return [cell for cell in cells if cell.get("cell_type") == "code"]


def raw_source(cell: dict[str, Any]) -> str:
    """The source of a code cell with the newlines it has in the file.

    Raises:
        SourceError: it has none that is text.
    """
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise SourceError("it is not a notebook: the source of a cell is not text")
    return source


def translate(source: str) -> Translation:
    """Turn a cell with magics into plain Python, every line where it stood."""
    lines = _dedented(source.split("\n"))
    skipped: list[Skipped] = []
    capture: tuple[str, ...] | None = None
    start = 0
    while True:
        start = next((i for i in range(start, len(lines)) if lines[i].strip()), len(lines))
        match = _CELL_MAGIC.fullmatch(lines[start].rstrip()) if start < len(lines) else None
        if match is None:
            break
        name, rest = match["name"], match["rest"]
        if name == "capture":
            capture = tuple(rest.split())
            lines[start] = ""
        elif name in _TIMING:
            lines[start] = _measured(name, rest)
        else:
            skipped.append(Skipped(start + 1, lines[start].strip()))
            return Translation("", tuple(skipped), capture)
        start += 1
    return Translation("\n".join(_without_line_magics(lines, skipped)), tuple(skipped), capture)


def _dedented(lines: list[str]) -> list[str]:
    """A cell that is indented as a whole, as IPython takes it."""
    first = next((line for line in lines if line.strip()), "")
    margin = first[: len(first) - len(first.lstrip())]
    return [line.removeprefix(margin) for line in lines]


def _measured(name: str, rest: str) -> str:
    """The statement that a timing magic measures."""
    options = {"timeit": _TIMEIT_OPTIONS, "prun": _PRUN_OPTIONS}.get(name)
    match = options.match(rest) if options else None
    return rest[match.end() :] if match else rest


def _without_line_magics(lines: list[str], skipped: list[Skipped]) -> Iterator[str]:
    scanner = _Scanner()
    index = 0
    while index < len(lines):
        line = lines[index]
        replaced = None if scanner.inside else _replaced(_joined(lines, index))
        if replaced is None:
            scanner.feed(line)
            yield line
            index += 1
            continue
        length, text, note = replaced
        if note:
            skipped.append(Skipped(index + 1, note))
        scanner.feed(text)
        yield text
        yield from [""] * (length - 1)
        index += length


def _joined(lines: list[str], index: int) -> list[str]:
    """The line at `index` with those that a backslash at its end goes on to."""
    end = index
    while lines[end].endswith("\\") and end + 1 < len(lines):
        end += 1
    return lines[index : end + 1]


def _replaced(lines: list[str]) -> tuple[int, str, str] | None:
    """What stands for a magic: how many lines it took, the new text, and the note if it is skipped.

    None where the line is not a magic.
    """
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    first = lines[0].strip()
    whole = " ".join(line.strip().removesuffix("\\").rstrip() for line in lines)
    if first.startswith(("%", "!")) and not first.startswith("%%"):
        match = _LINE_MAGIC.fullmatch(whole)
        if match and match["name"] in _TIMING and not whole.endswith("?"):
            body = _measured(match["name"], match["rest"]).strip()
            return len(lines), indent + (body or "pass"), ""
        return len(lines), f"{indent}pass", whole
    if first.startswith("%%") or _INSTALL.fullmatch(first):
        return len(lines), f"{indent}pass", whole
    if _HELP.fullmatch(first):
        return 1, f"{indent}pass", first
    match = _ASSIGNED.fullmatch(whole)
    if match:
        magic = _LINE_MAGIC.fullmatch(match["right"])
        if magic and magic["name"] == "time":
            return len(lines), f"{indent}{match['left']} = {magic['rest']}", ""
        return len(lines), f"{indent}{match['left']} = None", whole
    return None


class _Scanner:
    """Knows whether the next line begins inside a string, a bracket or a continued line."""

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""
        self._continued = False

    @property
    def inside(self) -> bool:
        return bool(self._depth or self._quote or self._continued)

    def feed(self, line: str) -> None:
        self._continued = False
        position = 0
        while position < len(line):
            position += self._step(line, position)
        if len(self._quote) == 1 and not self._continued:
            self._quote = ""

    def _step(self, line: str, position: int) -> int:
        """Take in what stands at `position`, and return how long it was."""
        char = line[position]
        if char == "\\":
            self._continued = position + 1 == len(line)
            return 2
        if self._quote:
            if line.startswith(self._quote, position):
                length, self._quote = len(self._quote), ""
                return length
        elif char == "#":
            return len(line) - position
        elif char in "'\"":
            self._quote = char * 3 if line.startswith(char * 3, position) else char
            return len(self._quote)
        elif char in "([{":
            self._depth += 1
        elif char in ")]}":
            self._depth = max(self._depth - 1, 0)
        return 1
