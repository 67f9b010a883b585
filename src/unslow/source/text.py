"""The text of a Python file: its encoding, its lines, and places in it."""

from __future__ import annotations

import ast
import functools
import re
import sys
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

NEWLINES = re.compile(r"\r\n|\r|\n")
"""What ends a line, for Python as for us; a form feed or U+2028 does not."""

_NEWLINE_BYTES = re.compile(rb"\r\n|\r|\n")
_BYTE_LINES = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|\Z)")
_UTF8_BOM = b"\xef\xbb\xbf"
_DEEPEST = 3000
_ASCII = bytes(range(32, 127)) + b"\t\r\n"


class SourceError(Exception):
    """Source that cannot be read; the message says why in one sentence, without the path.

    `line`: where that is, from 1, or None; `reason`: the message without it.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason, line)
        self.reason = reason
        self.line = line

    def __str__(self) -> str:
        return self.reason if self.line is None else f"line {self.line}: {self.reason}"


class Text(Protocol):
    """What `SourceText` and `NotebookText` have in common."""

    @property
    def text(self) -> str:
        """The whole text."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines without their newlines."""

    def parse(self) -> ast.Module:
        """The syntax tree, with the line numbers of `lines`."""

    def column(self, line: int, utf8_offset: int) -> int:
        """The column, in characters from 1, of an offset in UTF-8 bytes from 0."""


@dataclass(frozen=True)
class Lines:
    """A text and its lines.

    `text` has the newlines of the file; `lines` have none, and `newlines` holds
    each line's own: "" for the last, which is empty where the text ends in a newline.
    """

    text: str

    @functools.cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines without their newlines."""
        return tuple(NEWLINES.split(self.text))

    @functools.cached_property
    def newlines(self) -> tuple[str, ...]:
        """The newline of each line."""
        return (*NEWLINES.findall(self.text), "")

    @functools.cached_property
    def newline(self) -> str:
        """The newline that most lines have, the first where that is undecided."""
        counts = Counter(newline for newline in self.newlines if newline)
        return counts.most_common(1)[0][0] if counts else "\n"

    def offset(self, line: int, column: int) -> int:
        """The index into `text` of a place; a line goes up to its newline.

        Raises:
            ValueError: there is no such place.
        """
        if not 1 <= line <= len(self.lines) or not 1 <= column <= len(self.lines[line - 1]) + 1:
            raise ValueError(f"there is no column {column} in line {line}")
        return self._starts[line - 1] + column - 1

    @functools.cached_property
    def _starts(self) -> tuple[int, ...]:
        return (0, *(match.end() for match in NEWLINES.finditer(self.text)))


@dataclass(frozen=True)
class SourceText(Lines):
    """A Python file as text."""

    data: bytes = field(repr=False)
    encoding: str
    bom: bytes

    @classmethod
    def of(cls, data: bytes) -> SourceText:
        """The text of a file with these bytes.

        Raises:
            SourceError: the bytes are no text that Python would read.
        """
        if b"\0" in data:
            raise SourceError("it has a null byte", _line_of(data, data.index(b"\0")))
        encoding = _encoding(data)
        bom = _UTF8_BOM if data.startswith(_UTF8_BOM) else b""
        try:
            text = data[len(bom) :].decode(encoding)
        except UnicodeDecodeError as error:
            line = _line_of(data, len(bom) + error.start)
            raise SourceError(f"its text is not {encoding}", line) from error
        return cls(text, data, encoding, bom)

    def encode(self, text: str) -> bytes:
        """`text` as the bytes of a file like this one.

        Raises:
            SourceError: the encoding lacks one of the characters.
        """
        if text == self.text:
            return self.data
        try:
            return self.bom + text.encode(self.encoding)
        except UnicodeEncodeError as error:
            missing = text[error.start]
            raise SourceError(
                f"its encoding {self.encoding} has no character {missing!a}"
            ) from error

    def column(self, line: int, utf8_offset: int) -> int:
        """The column, in characters from 1, of an offset in UTF-8 bytes from 0."""
        return column(self.lines[line - 1], utf8_offset)

    def parse(self) -> ast.Module:
        """The syntax tree, with the line numbers of `lines`.

        Raises:
            SourceError: it is not Python.
        """
        return parse("\n".join(self.lines))


def column(line: str, utf8_offset: int) -> int:
    """The column, in characters from 1, of an offset into `line` in UTF-8 bytes from 0."""
    if line.isascii():
        return utf8_offset + 1
    return len(line.encode(errors="surrogatepass")[:utf8_offset].decode(errors="ignore")) + 1


def parse(text: str, flags: int = 0) -> ast.Module:
    """The syntax tree of Python text with the compiler's `flags`, without its warnings.

    Raises:
        SourceError: it is not Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: ast.Module = compile(
                text, "<source>", "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True
            )
    except SyntaxError as error:
        message = " ".join((error.msg or "invalid syntax").split())
        raise SourceError(message, error.lineno or None) from error
    except (RecursionError, MemoryError) as error:
        raise SourceError("it is nested too deeply") from error
    except ValueError as error:
        raise SourceError(f"it is not Python: {error}") from error
    if sys.version_info < (3, 11) and _is_deep(tree):
        raise SourceError("it is nested too deeply")
    return tree


def _is_deep(tree: ast.AST) -> bool:
    """Whether a tree is deeper than what Python 3.11 and later would build."""
    level = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return False
    return True


def _encoding(data: bytes) -> str:
    """What PEP 263 says of the encoding; the byte order mark is not part of it."""
    try:
        name, _ = tokenize.detect_encoding(_reader(data))
    except SyntaxError as error:
        raise SourceError(f"its encoding is not known: {error.msg}") from error
    if name in ("utf-8", "utf-8-sig", "utf8"):
        return "utf-8"
    try:
        readable = _ASCII.decode(name) == _ASCII.decode("ascii")
    except (LookupError, ValueError):
        readable = False
    if not readable:
        raise SourceError(f"its encoding {name} cannot hold Python source")
    return name


def _reader(data: bytes) -> Callable[[], bytes]:
    """The lines of `data` one by one, as Python splits them, not as bytes do."""
    position = 0

    def readline() -> bytes:
        nonlocal position
        match = _BYTE_LINES.match(data, position)
        line = match[0] if match else b""
        position += len(line)
        return line

    return readline


def _line_of(data: bytes, offset: int) -> int:
    return len(_NEWLINE_BYTES.findall(data, 0, offset)) + 1
