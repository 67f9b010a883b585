"""Runs a program in this process as `python PROGRAM` would, with an observer beside it.

The process was started for this alone; see `program`, which names what is imported here.
"""

from __future__ import annotations

import builtins
import os
import pickle
import runpy
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from unslow.experiment.whole.observer import Observer
from unslow.experiment.whole.overlay_loader import Overlay
from unslow.experiment.whole.returned import Instrument
from unslow.experiment.whole.tracebacks import show_in_python, show_uncaught

RunNotebook = Callable[..., None]
"""`run_notebook([path, *arguments], data, instrument)`."""


@dataclass(frozen=True)
class Task:
    """What the parent asks for; see `run_program_once`. `folder`: where the outcome goes."""

    folder: str
    command: tuple[str, ...]
    target: tuple[str, ...]
    contents: dict[str, bytes]
    functions: tuple[tuple[str, str], ...]
    include: tuple[str, ...]
    watch_files: bool


def main(began: float, run_notebook: RunNotebook | None = None) -> None:
    """Run the program that the task named by the only argument asks for, to its end.

    `began`: when this process came to the first line of ours. `run_notebook`: given where
    the program is a notebook.
    """
    task: Task = pickle.loads(Path(sys.argv[1]).read_bytes())
    # The frame below this one is that of the command line, which has no file.
    runners = frozenset({__file__, "<string>"})
    observer = Observer(Path(task.folder), task.include, began, runners)
    overlay = _overlay(task, observer)
    name, *arguments = task.target
    sys.orig_argv[:] = [*task.command, *task.target]
    overlay.install()
    show_in_python()
    observer.install()
    if task.watch_files:
        observer.opened.install()
    observer.ready()
    _fresh_main()
    uncaught: BaseException | None = None
    try:
        if name == "-m":
            _run_module(arguments, observer)
        elif run_notebook is not None:
            _run_notebook(run_notebook, name, arguments, overlay, observer)
        else:
            _run_script(name, arguments, overlay, observer)
    except SystemExit as leaving:
        observer.status = _status(leaving.code)
        raise
    except BaseException as error:
        observer.status = 1
        observer.interrupted = isinstance(error, KeyboardInterrupt)
        if run_notebook is not None:
            raise
        uncaught = error
    finally:
        observer.at_last_line()
    if uncaught is not None:
        _fail(uncaught)


def _fail(error: BaseException) -> None:
    """End as the interpreter does after an exception that nobody has caught."""
    show_uncaught(error)
    if isinstance(error, KeyboardInterrupt):
        # Left to the interpreter, which ends the process as a signal would.
        sys.excepthook = _silent
        raise error
    raise SystemExit(1)


def _overlay(task: Task, observer: Observer) -> Overlay:
    keepers: dict[str, dict[str, Any]] = {}
    for path, function in task.functions:
        keepers.setdefault(path, {})[function] = observer.keeper(path, function)
    instruments = {path: Instrument(each) for path, each in keepers.items()}
    return Overlay(task.contents, instruments, observer.imports.add)


def _run_script(name: str, arguments: list[str], overlay: Overlay, observer: Observer) -> None:
    path = _absolute(name)
    observer.main_file = os.path.normpath(path)
    _search_first(str(Path(path).resolve().parent))
    sys.argv = [name, *arguments]
    try:
        data = overlay.of_main(path)
        data = Path(path).read_bytes() if data is None else data
    except OSError as error:
        why = f"[Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: can't open file {path!r}: {why}", file=sys.stderr)
        raise SystemExit(2) from None
    namespace = vars(sys.modules["__main__"])
    namespace.update(
        __file__=path,
        __cached__=None,
        __loader__=SourceFileLoader("__main__", path),
    )
    code = overlay.compile(data, path)
    observer.at_first_line()
    exec(code, namespace)


def _run_module(arguments: list[str], observer: Observer) -> None:
    _search_first(str(Path.cwd()))
    sys.argv = ["-m", *arguments[1:]]
    run: Any = vars(runpy)["_run_module_as_main"]
    observer.at_first_line()
    run(arguments[0])


def _run_notebook(
    run_notebook: RunNotebook,
    name: str,
    arguments: list[str],
    overlay: Overlay,
    observer: Observer,
) -> None:
    observer.main_file = os.path.normpath(_absolute(name))
    # As the command line of the notebook's runner has it, which is a module.
    _search_first(str(Path.cwd()))
    observer.at_first_line()
    run_notebook([name, *arguments], overlay.of_main(name), overlay.instrument(name))


def _absolute(name: str) -> str:
    """The path as the interpreter makes it absolute: all its parts stay."""
    return name if Path(name).is_absolute() else f"{Path.cwd()}{os.sep}{name}"


def _fresh_main() -> None:
    """Give the program a `__main__` in which nothing has happened."""
    main = types.ModuleType("__main__")
    vars(main).update(__builtins__=builtins)
    if sys.version_info < (3, 14):
        vars(main).update(__annotations__={})
    sys.modules["__main__"] = main


def _search_first(folder: str) -> None:
    """Put `folder` where the interpreter has put what it searches first, if it has."""
    safe = getattr(sys.flags, "safe_path", sys.flags.isolated)
    if not safe:
        sys.path[0] = folder


def _status(code: Any) -> int:
    """The exit status that `sys.exit(code)` leads to."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1


def _silent(*_: object) -> None:
    return None
