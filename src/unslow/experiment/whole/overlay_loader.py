"""Lays other contents over source files, for everything in this process that reads source.

The import system, `runpy`, tracebacks, `inspect` and with it AutoGraph see the other text.
Byte code of such a file is neither read nor written. A program that opens its own source
as a file sees what is on disk.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import io
import linecache
import os
import time
from collections.abc import Callable, Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from unslow.experiment.whole.returned import Instrument
from unslow.experiment.whole.tracebacks import as_importlib


class Overlay:
    """Contents, and changes of the code, by absolute path of a source file.

    `compiling` is told the seconds that each compilation of such a file took.
    """

    def __init__(
        self,
        contents: Mapping[str, bytes],
        instruments: Mapping[str, Instrument],
        compiling: Callable[[float], None],
    ) -> None:
        self._contents = {os.path.realpath(path): data for path, data in contents.items()}
        self._instruments = {os.path.realpath(path): each for path, each in instruments.items()}
        self._names = {Path(path).name for path in (*contents, *self._contents)}
        self._compiling = compiling
        self._lines: dict[str, list[str]] = {}

    def find(self, path: str) -> bytes | None:
        """What stands for the file at `path`, `None` where the file itself does."""
        # All modules come by here: only few are worth a look at the links in their paths.
        if os.path.basename(path) not in self._names:  # noqa: PTH119
            return None
        return self._contents.get(os.path.realpath(path))

    def of_main(self, path: str) -> bytes | None:
        """What stands for the program's main file, which may be a link of any name."""
        data = self._contents.get(os.path.realpath(path))
        if data is not None:
            self._names.add(Path(path).name)
        return data

    def instrument(self, path: str) -> Instrument | None:
        """What is to be changed in the code of the file at `path`."""
        return self._instruments.get(os.path.realpath(path))

    def compile(self, data: bytes, path: str) -> CodeType:
        """The code of the script at `path`.

        Raises:
            SyntaxError: it is not Python.
            ValueError: it has null bytes.
        """
        with _Compilation(self, path):
            code: CodeType = compile(self._marked(data, path), path, "exec", dont_inherit=True)
        return self._equipped(code, path)

    def lines(self, path: str) -> list[str] | None:
        """The lines that stand for those of the file at `path`, `None` where its own do."""
        data = self.find(path)
        if data is None:
            return None
        key = os.path.realpath(path)
        if key not in self._lines:
            self._lines[key] = _lines(data)
        return self._lines[key]

    def install(self) -> None:
        """Let this process see the contents, until its end."""
        self._install_loader()
        self._install_readers()

    def compiled(self, seconds: float, path: str, error: BaseException | None) -> None:
        """Take in that a file was compiled or, with `error`, could not be."""
        self._compiling(seconds)
        if isinstance(error, SyntaxError) and error.filename == path and error.lineno:
            # Python takes the line that is wrong from the file on disk.
            lines = self.lines(path)
            if lines is not None:
                error.text = lines[error.lineno - 1] if error.lineno <= len(lines) else None

    def _marked(self, data: bytes, path: str) -> Any:
        """The tree with marks; the source itself where nothing is asked or it does not parse."""
        instrument = self.instrument(path)
        if instrument is None:
            return data
        try:
            tree = ast.parse(data, path)
        except (SyntaxError, ValueError):
            return data
        instrument.mark(tree)
        return tree

    def _equipped(self, code: CodeType, path: str) -> CodeType:
        instrument = self.instrument(path)
        return code if instrument is None else instrument.equip(code)

    def _install_loader(self) -> None:
        loader: Any = SourceFileLoader
        get_data, path_stats = loader.get_data, loader.path_stats
        source_to_code = loader.source_to_code
        find, marked, equipped = self.find, self._marked, self._equipped
        compilation = functools.partial(_Compilation, self)

        def laid_over(self: Any, path: str) -> bytes | None:
            # What is compiled only for a file of byte code stays as it is on disk.
            return None if self.name == "<py_compile>" else find(path)

        def get_data_(self: Any, path: str) -> Any:
            data = laid_over(self, path)
            return get_data(self, path) if data is None else data

        def path_stats_(self: Any, path: str) -> Any:
            if laid_over(self, path) is not None:
                # So the loader neither looks for byte code nor writes any.
                raise OSError("other contents stand for this file")
            return path_stats(self, path)

        def source_to_code_(self: Any, data: Any, path: str, *more: Any, **named: Any) -> Any:
            if not isinstance(data, bytes) or laid_over(self, path) is None:
                return source_to_code(self, data, path, *more, **named)
            with compilation(path):
                code = source_to_code(self, marked(data, path), path, *more, **named)
            return equipped(code, path)

        loader.get_data = as_importlib(get_data_)
        loader.path_stats = as_importlib(path_stats_)
        loader.source_to_code = as_importlib(source_to_code_)

    def _install_readers(self) -> None:
        open_code, updatecache = io.open_code, linecache.updatecache

        def open_laid_over(path: str) -> Any:
            data = self.find(path)
            return open_code(path) if data is None else io.BytesIO(data)

        def update(filename: str, module_globals: Any = None) -> Any:
            lines = self.lines(filename)
            if lines is None:
                return updatecache(filename, module_globals)
            # Without a time of change, the cache never asks the disk.
            linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)
            return lines

        module: Any = io
        module.open_code = open_laid_over
        module = linecache
        module.updatecache = update


class _Compilation:
    """Times the compilation of one file, and corrects its error. Adds no frame to a traceback."""

    def __init__(self, overlay: Overlay, path: str) -> None:
        self._overlay = overlay
        self._path = path
        self._started = 0.0

    def __enter__(self) -> None:
        self._started = time.monotonic()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._overlay.compiled(time.monotonic() - self._started, self._path, error)


def _lines(data: bytes) -> list[str]:
    """The lines of a source as `linecache` has them; none where it cannot be decoded."""
    try:
        lines = io.StringIO(importlib.util.decode_source(data)).readlines()
    except (SyntaxError, UnicodeDecodeError):
        return []
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines
