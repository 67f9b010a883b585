"""Observes a program from inside its process, and writes down what it came to at its end."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pickle
import sys
import time
from _thread import get_ident
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unslow import seams
from unslow.experiment.whole.import_times import ImportTimes
from unslow.experiment.whole.opened import OpenedFiles
from unslow.experiment.whole.own_modules import own_modules
from unslow.experiment.whole.returned import Keeper
from unslow.recording.sites import ForeignFiles

ENDED = "ended"
"""File with the times and the exit status of a program that has ended (pickle)."""

OBSERVED = "observed"
"""File with what it computed (pickle): each value is a pickle of its own."""

FIRST_FITS = 16
FIRST_WEIGHTS = 4

VALUE_LIMIT = 16 * 2**20
"""Bytes that are kept of one value."""

TOTAL_LIMIT = 512 * 2**20
"""Bytes that are kept in all; of what comes later only a little is."""

LITTLE = 4096

_FIT = next(seam for seam in seams.KERAS_METHODS if seam.attribute == "fit")


class Observer:
    """What is seen of one program. `began`: when this process came to the first line of ours.

    `runners`: files with the code that runs the program. `main_file`: the absolute path of its
    script or notebook. `status`: its exit status, as far as it is known. `interrupted`: nobody
    has caught a `KeyboardInterrupt`.

    Moments are those of `time.monotonic`, which counts from the start of the machine on
    Linux, macOS and Windows alike and so is the same clock in the parent.
    """

    def __init__(
        self,
        folder: Path,
        include: tuple[str, ...],
        began: float,
        runners: frozenset[str] = frozenset(),
    ) -> None:
        self.status = 0
        self.interrupted = False
        self.foreign = ForeignFiles(include)
        self.imports = ImportTimes(lambda file: self.foreign[file])
        self.opened = OpenedFiles()
        self.main_file: str | None = None
        self._folder = folder
        self._process = os.getpid()
        self._main = get_ident()
        self._began = began
        self._runners = runners
        self._ready = self._first_line = self._leaving = began
        self._spent = 0.0
        self._taking: set[int] = set()
        self._fitting: set[int] = set()
        self._bytes = 0
        self._ended = False
        self._returned: dict[tuple[str, str], list[bytes]] = {}
        self._histories: list[bytes] = []
        self._weights: list[bytes] = []
        self._notes: dict[str, None] = {}

    def install(self) -> None:
        """Be there at the program's end, at its Keras trainings and at its imports."""
        # The first to be registered is the last to run: after the program's own handlers.
        atexit.register(self._end)
        leave_now: Any = os._exit

        @functools.wraps(leave_now)
        def exit_now(status: int) -> Any:
            self.status = status
            self._leaving = time.monotonic()
            self._end(at_once=True)
            leave_now(status)

        os._exit = exit_now
        self.imports.when_imported("tensorflow", self._hide)
        self.imports.when_imported(_FIT.module, self._watch_fit)
        self.imports.install()

    def keeper(self, path: str, function: str) -> Keeper:
        """What keeps the returned values of a function."""
        return Keeper(functools.partial(self._note_returned, (path, function)))

    def ready(self) -> None:
        """From here on it is the program's time: reading its text, then running it."""
        self._ready = self._first_line = time.monotonic()

    def at_first_line(self) -> None:
        """The text has been compiled; the program begins."""
        self._first_line = time.monotonic()
        self.imports.seconds = 0.0

    def at_last_line(self) -> None:
        """The program's main module has come to its end, by whatever way."""
        # The last to be registered is the first to run: after the threads were waited for.
        atexit.register(self._begin_leaving)

    def _begin_leaving(self) -> None:
        self._leaving = time.monotonic()

    @contextlib.contextmanager
    def _observing(self) -> Iterator[bool]:
        """Whether to observe here; what that takes of the main thread is not the program's time."""
        ident = get_ident()
        if ident in self._taking or self._ended or os.getpid() != self._process:
            yield False
            return
        self._taking.add(ident)
        started = time.monotonic()
        if ident == self._main:
            self.imports.paused = True
        try:
            yield True
        finally:
            if ident == self._main:
                self._spent += time.monotonic() - started
                self.imports.paused = False
            self._taking.discard(ident)

    def _take(self, value: Any, what: str) -> bytes | None:
        """The pickled snapshot of a value, `None` and a note where it cannot be read."""
        from unslow.experiment.values.snapshot import take

        limit = VALUE_LIMIT if self._bytes < TOTAL_LIMIT else LITTLE
        try:
            taken = pickle.dumps(take(value, limit), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            self._notes[f"{what} could not be read: {type(error).__name__}: {error}."] = None
            return None
        self._bytes += len(taken)
        return taken

    def _note_returned(self, key: tuple[str, str], value: Any) -> bool:
        with self._observing() as observing:
            if not observing or _tracing():
                return False
            taken = self._take(value, f"A value that {key[1]}() returned")
            if taken is not None:
                self._returned.setdefault(key, []).append(taken)
            return True

    def _hide(self) -> None:
        """Keep those who run the program out of the stacks in TensorFlow's error messages."""
        try:
            seams.hide_frames(self._runners)
        except seams.MissingSeam as error:
            self._notes[f"Error messages may hold frames that are not the program's: {error}."] = (
                None
            )

    def _watch_fit(self) -> None:
        patches = seams.Patches()
        patches.replace(_FIT, self._watched_fit)
        for seam, why in patches.missing:
            self._notes[f"{seam.name} could not be watched: {why}."] = None

    def _watched_fit(self, original: Any) -> Any:
        fitting = self._fitting

        @functools.wraps(original)
        def fit(*args: Any, **kwargs: Any) -> Any:
            ident = get_ident()
            if ident in fitting:
                return original(*args, **kwargs)
            fitting.add(ident)
            try:
                history = original(*args, **kwargs)
            except BaseException as error:
                if error.__traceback__ is not None:
                    error.__traceback__ = error.__traceback__.tb_next
                raise
            finally:
                fitting.discard(ident)
            self._note_fit(args[0] if args else None, history)
            return history

        return fit

    def _note_fit(self, model: Any, history: Any) -> None:
        with self._observing() as observing:
            if not observing:
                return
            if len(self._histories) < FIRST_FITS:
                self._add(self._histories, getattr(history, "history", None), "A Keras history")
            if len(self._weights) < FIRST_WEIGHTS and model is not None:
                self._add(self._weights, model.get_weights(), "A model's weights")

    def _add(self, kept: list[bytes], value: Any, what: str) -> None:
        taken = self._take(value, what)
        if taken is not None:
            kept.append(taken)

    def _end(self, at_once: bool = False) -> None:
        """Write down what there is; `at_once`: what the streams still hold will be lost."""
        end = time.monotonic()
        if self._ended or os.getpid() != self._process:
            return
        self._ended = True
        self._write(
            ENDED,
            {
                "status": self.status,
                "end": end,
                "ours": self._ready - self._began + self._spent,
                "startup": {
                    "interpreter": self._began,
                    "compilation": self._first_line - self._ready,
                    "imports": self.imports.seconds,
                    "leaving": end - max(self._leaving, self._first_line),
                },
            },
        )
        files: dict[str, None] = {}
        values: dict[tuple[str, str], bytes] = {}
        try:
            with _unheard(at_once):
                self._read_values(files, values)
        except Exception as error:
            self._notes[f"Not all values could be read: {type(error).__name__}: {error}."] = None
        self._write(
            OBSERVED,
            {
                "files": list(files),
                "values": values,
                "returned": self._returned,
                "histories": self._histories,
                "weights": self._weights,
                "opened": list(self.opened.paths),
                "notes": list(self._notes),
            },
        )

        if self.interrupted:
            _stay_interrupted()

    def _read_values(self, files: dict[str, None], values: dict[tuple[str, str], bytes]) -> None:
        for path, names in own_modules(self.main_file, lambda file: self.foreign[file]):
            files[path] = None
            for name, value in names.items():
                taken = self._take(value, f"{name} of {Path(path).name}")
                if taken is not None:
                    values[path, name] = taken
        if any(
            f"multiprocessing.popen_{way}" in sys.modules for way in ("spawn_posix", "forkserver")
        ):
            self._notes[
                "Processes that the program started afresh read its files as they are on disk."
            ] = None

    def _write(self, name: str, content: Any) -> None:
        unfinished = self._folder / f"{name}.unfinished"
        unfinished.write_bytes(pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
        unfinished.replace(self._folder / name)


def _tracing() -> bool:
    """Whether TensorFlow is tracing a function here, so that values stand for others."""
    inside = getattr(seams.loaded("tensorflow"), "inside_function", None)
    return inside is not None and bool(inside())


def _stay_interrupted() -> None:
    """Let the interpreter know still that an interrupt ended the program.

    It forgets when it runs Python code from text, as imports of data classes do.
    """
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")


@contextlib.contextmanager
def _unheard(at_once: bool) -> Iterator[None]:
    """What is written here goes nowhere, and what the streams hold is as it was.

    `at_once`: it is not written out either, since the process ends without doing so.
    """
    from unslow.experiment.quiet import swallowed

    streams = sys.stdout, sys.stderr
    if at_once:
        module: Any = sys
        module.stdout = module.stderr = None
    try:
        with swallowed():
            yield
    finally:
        sys.stdout, sys.stderr = streams
