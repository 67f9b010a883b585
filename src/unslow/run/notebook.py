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
import linecache
import operator
import sys
import tokenize
import traceback
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unslow.source.notebook import (
    Cell,
    NotebookError,
    cell_filename,
    parse_cell_filename,
    read_notebook,
    translate,
)

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from unslow.experiment.whole.returned import Instrument

_FUTURES = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


def run_notebook(
    path: str, argv: list[str], data: bytes | None = None, instrument: Instrument | None = None
) -> None:
    """Run the notebook at `path` in a fresh `__main__`, with `argv` as its arguments.

    `data`: bytes that stand for those of the file. `instrument` changes the code of the cells.

    An exception of a cell is shown as Python would show it, without the frames
    of this module, and ends the notebook with `SystemExit(1)`.

    Raises:
        NotebookError: the file cannot be run as a notebook.
        SystemExit: a cell raised it, or failed.
        KeyboardInterrupt: a cell was interrupted; its traceback has been shown.
    """
    cells = read_notebook(path, data)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = [path, *argv]
    directory = str(Path(path).resolve().parent)
    if directory not in sys.path:
        sys.path.insert(0, directory)
    session = _Session(path, main, instrument)
    hook = sys.excepthook
    try:
        for cell in cells:
            session.run(cell)
    except SystemExit as error:
        # Not `raise`: that is not seen by who wants to know the exit status before the end.
        sys.exit(error.code)
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

    def __init__(
        self, path: str, main: types.ModuleType, instrument: Instrument | None = None
    ) -> None:
        self._path = path
        self._instrument = instrument
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
        if self._instrument is not None:
            self._instrument.mark(tree)
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
            codes.append(code if self._instrument is None else self._instrument.equip(code))
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


def main(argv: list[str], data: bytes | None = None, instrument: Instrument | None = None) -> None:
    """Run the notebook named first in `argv`, with the rest as its arguments."""
    try:
        run_notebook(argv[0], argv[1:], data, instrument)
    except NotebookError as error:
        print(f"unslow: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main(sys.argv[1:])
