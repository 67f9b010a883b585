"""Reads many files in several processes; one that dies takes no other file with it."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess

T = TypeVar("T")

File = tuple[str, int]
"""A path, and the size of what is there."""

Make = Callable[[], Callable[[str, int], T]]
"""Called once in each process; what it returns is called for each file."""

Died = Callable[[str, int | None], T]
"""What stands for a file whose process has died, with that process's exit code."""


def cores() -> int:
    """How many processes can run at once."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_all(
    chunks: Sequence[Sequence[File]], make: Make[T], died: Died[T], processes: int
) -> Iterator[T]:
    """The results for all files, in any order. Files of a chunk are read by one process."""
    pool = _Pool(chunks, make, died)
    try:
        pool.start(min(processes, len(chunks)))
        yield from pool.results()
    finally:
        pool.end()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """No search for cyclic garbage: syntax trees are many objects, and all are kept to the end."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def chunked(files: Sequence[File], processes: int) -> list[list[File]]:
    """Neighbours together, in pieces small enough that all processes end at about one time."""
    least = max(sum(size for _, size in files) // (processes * 8), 1)
    chunks: list[list[File]] = []
    held = least
    for path, size in files:
        if held >= least:
            chunks.append([])
            held = 0
        chunks[-1].append((path, size))
        held += size
    return chunks


class _Worker:
    """A process, our end of its pipe, and the files it still owes us."""

    def __init__(self, context: BaseContext, make: Make[Any]) -> None:
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(  # type: ignore[attr-defined]
            target=_work, args=(theirs, make), daemon=True
        )
        self.process.start()
        theirs.close()
        self.owes: deque[File] = deque()

    def give(self, chunk: Sequence[File]) -> None:
        self.owes.extend(chunk)
        self.pipe.send(list(chunk))


class _Pool(Generic[T]):
    def __init__(self, chunks: Sequence[Sequence[File]], make: Make[T], died: Died[T]) -> None:
        self._chunks = deque(chunks)
        self._make = make
        self._died = died
        methods = multiprocessing.get_all_start_methods()
        forks = "fork" in methods and sys.platform != "darwin"
        self._context = multiprocessing.get_context("fork" if forks else "spawn")
        self._workers: dict[Connection, _Worker] = {}

    def start(self, processes: int) -> None:
        for _ in range(processes):
            self._hire()

    def _hire(self) -> None:
        with _uninterrupted():
            worker = _Worker(self._context, self._make)
            self._workers[worker.pipe] = worker
        self._next(worker)

    def _next(self, worker: _Worker) -> None:
        try:
            worker.give(self._chunks.popleft() if self._chunks else [])
        except (BrokenPipeError, ConnectionResetError):
            # It has just died: its pipe says so when it is read.
            return

    def results(self) -> Iterator[T]:
        while self._workers:
            for pipe in wait(list(self._workers)):
                worker = self._workers[pipe]  # type: ignore[index]
                try:
                    result = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    yield from self._buried(worker)
                    continue
                worker.owes.popleft()
                yield result
                if not worker.owes:
                    self._next(worker)

    def _buried(self, worker: _Worker) -> Iterator[T]:
        """A process that has ended: as it should, or at the first file that it owes."""
        del self._workers[worker.pipe]
        worker.pipe.close()
        worker.process.join()
        if worker.owes:
            yield self._died(worker.owes.popleft()[0], worker.process.exitcode)
            if worker.owes:
                self._chunks.appendleft(list(worker.owes))
            if self._chunks:
                self._hire()

    def end(self) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join()
            worker.pipe.close()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits, so that no process is started that nobody knows of and would end."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, make: Make[Any]) -> None:
    # Ctrl-C reaches every process at a terminal; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.disable()
    read = make()
    while True:
        try:
            chunk = pipe.recv()
        except EOFError:
            return
        if not chunk:
            return
        for path, size in chunk:
            pipe.send(read(path, size))
