"""Runs the code cells of a notebook as IPython would, without needing IPython.

Every cell is compiled under a name of its own, `notebook.ipynb:cell 3`, with
code cells counted from 1, so that lines count within the cell.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import contextlib
import functools
import inspect
import io
import json
import linecache
import operator
import re
import sys
import tokenize
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

CELL_FILENAME = "{path}:cell {number}"
"""The name under which a cell is compiled."""

_CELL_FILENAME = re.compile(r"(?P<path>.+):cell (?P<number>[1-9][0-9]*)", re.DOTALL)

_FUTURES = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)

_TIMING = frozenset({"time", "timeit", "prun"})
"""Magics that measure their body: the body runs, as part of the program."""

_BREAKS = re.compile(r"\r\n|\r|\n")
_CELL_MAGIC = re.compile(r"%%(?P<name>\w+)[ \t]*(?P<rest>.*)")
_LINE_MAGIC = re.compile(r"%(?P<name>\w+)[ \t]*(?P<rest>.*)", re.DOTALL)
_ASSIGNED = re.compile(r"(?P<left>[^=!%'\"#()]+?)[ \t]*=[ \t]*(?P<right>[%!].*)", re.DOTALL)
_HELP = re.compile(r"\?{1,2}\s*[%\w.*\[\]'\"]+|%{0,2}[A-Za-z_*][\w.*\[\]'\"]*\?{1,2}")
_INSTALL = re.compile(r"(pip|conda|mamba)[ \t]+(install|uninstall|list|show|freeze)\b.*")
_TIMEIT_OPTIONS = re.compile(r"(-[nrp][ \t]*[0-9]+[ \t]*|-[tcqo]+(?=[ \t]|$)[ \t]*)*")
_PRUN_OPTIONS = re.compile(r"(-[lsTD][ \t]*\S+[ \t]*|-[rq]+(?=[ \t]|$)[ \t]*)*")


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


def cell_filename(path: str, number: int) -> str:
    """The name under which a cell of the notebook at `path` is compiled."""
    return CELL_FILENAME.format(path=path, number=number)


def parse_cell_filename(filename: str) -> tuple[str, int] | None:
    """The notebook's path and the cell's number in a name that `cell_filename` made, else None."""
    match = _CELL_FILENAME.fullmatch(filename)
    return (match["path"], int(match["number"])) if match else None


def read_notebook(path: str) -> tuple[Cell, ...]:
    """The code cells of the notebook at `path`, of format 3 or 4.

    Raises:
        NotebookError: it cannot be read, or is no Python notebook with code in it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise NotebookError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NotebookError(f"{path} is not a notebook: its text is not UTF-8") from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotebookError(f"{path} is not a notebook: it is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise NotebookError(f"{path} is not a notebook: it has no cells")
    language = _language(data)
    if language != "python":
        raise NotebookError(f"{path} is a notebook in {language}, not in Python")
    sources = [
        _source(path, cell) for cell in _cells(path, data) if cell.get("cell_type") == "code"
    ]
    if not any(source.strip() for source in sources):
        raise NotebookError(f"{path} has no code in its cells")
    return tuple(Cell(number, source) for number, source in enumerate(sources, start=1))


def _language(data: dict[str, Any]) -> str:
    metadata = data.get("metadata")
    for key, field in (("kernelspec", "language"), ("language_info", "name")):
        section = metadata.get(key) if isinstance(metadata, dict) else None
        language = section.get(field) if isinstance(section, dict) else None
        if isinstance(language, str) and language:
            return language.lower()
    return "python"


def _cells(path: str, data: dict[str, Any]) -> list[dict[str, Any]]:
    cells = data.get("cells")
    if cells is None and isinstance(data.get("worksheets"), list):
        cells = [
            cell
            for sheet in data["worksheets"]
            if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)
            for cell in sheet["cells"]
        ]
    if not isinstance(cells, list):
        raise NotebookError(f"{path} is not a notebook: it has no cells")
    if not all(isinstance(cell, dict) for cell in cells):
        raise NotebookError(f"{path} is not a notebook: one of its cells is malformed")
    return cells


def _source(path: str, cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotebookError(f"{path} is not a notebook: the source of a cell is not text")
    return "\n".join(_BREAKS.split(source))


def run_notebook(path: str, argv: list[str]) -> None:
    """Run the notebook at `path` in a fresh `__main__`, with `argv` as its arguments.

    An exception of a cell is shown as Python would show it, without the frames
    of this module, and ends the notebook with `SystemExit(1)`.

    Raises:
        NotebookError: the file cannot be run as a notebook.
        SystemExit: a cell raised it, or failed.
        KeyboardInterrupt: a cell was interrupted; its traceback has been shown.
    """
    cells = read_notebook(path)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = [path, *argv]
    directory = str(Path(path).resolve().parent)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    session = _Session(path, main)
    hook = sys.excepthook
    try:
        for cell in cells:
            session.run(cell)
    except SystemExit:
        raise
    except BaseException as error:
        _show(error, _own_frames_removed(error, path), standard=sys.excepthook is hook)
        if isinstance(error, KeyboardInterrupt):
            # Left to the interpreter, which ends the process as a signal would.
            sys.excepthook = _silent
            raise
        sys.exit(1)
    finally:
        session.close()


def _own_frames_removed(error: BaseException, path: str) -> types.TracebackType | None:
    """The traceback from the first frame that is a cell's."""
    trace = error.__traceback__
    while trace is not None:
        place = parse_cell_filename(trace.tb_frame.f_code.co_filename)
        if place is not None and place[0] == path:
            break
        trace = trace.tb_next
    error.__traceback__ = trace
    return trace


def _show(error: BaseException, trace: types.TracebackType | None, standard: bool) -> None:
    """Show an exception as the interpreter would: `standard`, or by the program's own hook."""
    if standard and sys.version_info < (3, 13):
        # Until then the interpreter's own display looks for source in files alone.
        traceback.print_exception(type(error), error, trace)
    else:
        sys.excepthook(type(error), error, trace)


def _silent(*_: object) -> None:
    return None


class _Session:
    """The state that the cells of one notebook share."""

    def __init__(self, path: str, main: types.ModuleType) -> None:
        self._path = path
        self._namespace = vars(main)
        self._namespace.update(
            __builtins__=builtins,
            display=_display,
        )
        shell = _Shell(self)
        self._namespace["get_ipython"] = lambda: shell
        self._cell = 0
        self._flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._loop: AbstractEventLoop | None = None

    def run(self, cell: Cell) -> None:
        self._cell = cell.number
        filename = cell_filename(self._path, cell.number)
        _remember(filename, cell.source)
        source, capture, tree = cell.source, None, None
        with contextlib.suppress(SyntaxError):
            tree = self._parse(source, filename)
        if tree is None:
            # Valid Python holds no magics: only what does not parse is looked through for them.
            translation = translate(source)
            source, capture = translation.source, translation.capture
            _remember(filename, source)
            for skipped in translation.skipped:
                self.note(f"line {skipped.line}: skipped {skipped.text}")
            tree = self._parse(source, filename)
        codes = self._codes(tree, filename, _is_quiet(source))
        with self._captured(capture):
            for code in codes:
                self._execute(code)

    def note(self, text: str) -> None:
        print(f"unslow: {Path(self._path).name} cell {self._cell} {text}", file=sys.stderr)

    def close(self) -> None:
        """Leave nothing of the event loop behind."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        import asyncio

        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        asyncio.set_event_loop(None)
        loop.close()

    def _parse(self, source: str, filename: str) -> ast.Module:
        flags = self._flags | ast.PyCF_ONLY_AST
        tree: ast.Module = compile(source, filename, "exec", flags, dont_inherit=True)
        return tree

    def _codes(self, tree: ast.Module, filename: str, quiet: bool) -> list[types.CodeType]:
        """The statements, and the last one apart where it is an expression to be displayed."""
        shown: list[ast.stmt] = []
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not quiet:
            shown = [tree.body.pop()]
        whole: list[tuple[ast.Module | ast.Interactive, str]] = []
        if tree.body:
            whole.append((tree, "exec"))
        if shown:
            whole.append((ast.Interactive(shown), "single"))
        codes = []
        for part, mode in whole:
            code = compile(part, filename, mode, self._flags, dont_inherit=True)
            # A `from __future__ import` holds for what follows it, in later cells too.
            self._flags |= code.co_flags & _FUTURES
            codes.append(code)
        return codes

    def _execute(self, code: types.CodeType) -> None:
        result = eval(code, self._namespace)
        if code.co_flags & inspect.CO_COROUTINE:
            self._event_loop().run_until_complete(result)

    def _event_loop(self) -> AbstractEventLoop:
        if self._loop is None:
            import asyncio

            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop

    @contextlib.contextmanager
    def _captured(self, words: tuple[str, ...] | None) -> Iterator[None]:
        if words is None:
            yield
            return
        captured = _Captured()
        with contextlib.ExitStack() as stack:
            if "--no-stdout" not in words:
                stack.enter_context(contextlib.redirect_stdout(captured.out))
            if "--no-stderr" not in words:
                stack.enter_context(contextlib.redirect_stderr(captured.err))
            yield
        for name in words:
            if name.isidentifier():
                self._namespace[name] = captured


class _Captured:
    """What a cell under `%%capture` has printed."""

    def __init__(self) -> None:
        self.out = io.StringIO()
        self.err = io.StringIO()

    @property
    def stdout(self) -> str:
        return self.out.getvalue()

    @property
    def stderr(self) -> str:
        return self.err.getvalue()

    def show(self) -> None:
        sys.stdout.write(self.stdout)
        sys.stderr.write(self.stderr)

    __call__ = show

    def __str__(self) -> str:
        return self.stdout


class _Shell:
    """What `get_ipython()` gives: enough to leave out the magics that are called through it."""

    def __init__(self, session: _Session) -> None:
        self._session = session

    def run_line_magic(self, name: str, line: str = "", *_: object) -> None:
        self._session.note(f"skipped %{name} {line}".rstrip())

    def run_cell_magic(self, name: str, line: str = "", cell: str = "") -> None:
        self._session.note(f"skipped %%{name} {line}".rstrip())

    def magic(self, line: str) -> None:
        self._session.note(f"skipped %{line.lstrip('%')}")

    def system(self, command: str) -> None:
        self._session.note(f"skipped !{command}")

    def getoutput(self, command: str) -> list[str]:
        self._session.note(f"skipped !{command}")
        return []


def _display(*values: Any, **_: Any) -> None:
    """Print values as a text-only front end of IPython shows them."""
    for value in values:
        print(repr(value))


def _remember(filename: str, source: str) -> None:
    """Let tracebacks and `inspect.getsource` find the source of a cell."""
    lines = [f"{line}\n" for line in source.split("\n")]
    linecache.cache[filename] = (len(source), None, lines, filename)


def _is_quiet(source: str) -> bool:
    """Whether the last statement ends in a semicolon, which keeps its value from display."""
    if ";" not in source:
        return False
    last = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT and token.string.strip():
            last = token.string
    return last == ";"


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


def main(argv: list[str]) -> None:
    """Run the notebook named first in `argv`, with the rest as its arguments."""
    try:
        run_notebook(argv[0], argv[1:])
    except NotebookError as error:
        print(f"unslow: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main(sys.argv[1:])
