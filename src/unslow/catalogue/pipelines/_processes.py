"""Worker processes that call a Python function, each under an interpreter lock of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

LONGEST_CALL = 30.0
"""Seconds after which a call is given up."""

LONGEST_IDLE = 60.0
"""Seconds without a call after which a worker ends; it also ends with the process it serves."""


class WorkerFailed(Exception):
    """A worker raised, ended or did not answer."""


def can_fork() -> bool:
    """Whether worker processes can be made of this one as it is."""
    return sys.platform == "linux" and hasattr(os, "fork")


class Workers:
    """`count` copies of this process that wait for calls of `function`.

    They end with this object, and all of them as soon as one has failed.
    """

    def __init__(self, function: Callable[..., Any], count: int) -> None:
        self._function = function
        self._made_in = os.getpid()
        self._running: list[int] = []
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for _ in range(count):
            self._idle.put(self._started())

    def __del__(self) -> None:
        self.end()

    def call(self, *arguments: Any) -> Any:
        """Have an idle worker call the function, and wait for what it returns.

        Raises:
            WorkerFailed: the function raised there, or there was no answer.
        """
        if not self._running:
            raise WorkerFailed("a worker process has failed before")
        try:
            worker = self._idle.get(timeout=LONGEST_CALL)
        except queue.Empty:
            raise WorkerFailed("no worker process became idle") from None
        try:
            worker.send(arguments)
            if not worker.poll(LONGEST_CALL):
                # What it may answer later would be taken for the answer to another call.
                self.end()
                raise WorkerFailed(f"a worker process gave no answer within {LONGEST_CALL:.0f} s")
            failure, result = worker.recv()
        except (OSError, EOFError) as error:
            self.end()
            raise WorkerFailed("a worker process has ended") from error
        finally:
            self._idle.put(worker)
        if failure:
            raise WorkerFailed(failure)
        return result

    def end(self) -> None:
        """Kill the processes and wait for their end."""
        if os.getpid() != self._made_in:
            return
        while self._running:
            process = self._running.pop()
            # The program may have waited for whatever child ended.
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)

    def _started(self) -> Connection:
        here, there = Pipe()
        with warnings.catch_warnings():
            # Python warns of threads; the worker uses none of theirs.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            try:
                _leave_alone(there.fileno())
                _serve(there, self._function)
            finally:
                os._exit(0)
        there.close()
        self._running.append(process)
        return here


def _leave_alone(pipe: int) -> None:
    """Let go, in a worker, of what it has of the process that it copies, but for the pipe.

    Its files, its terminal, the ends of other workers' pipes, and what it does at signals.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    os.closerange(3, pipe)
    os.closerange(pipe + 1, os.sysconf("SC_OPEN_MAX"))
    # The present ones may write to what has just been closed.
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _serve(connection: Connection, function: Callable[..., Any]) -> None:
    while connection.poll(LONGEST_IDLE):
        arguments = connection.recv()
        # Nobody waits for it any longer: by default this signal ends a process.
        signal.setitimer(signal.ITIMER_REAL, 2 * LONGEST_CALL)
        try:
            answer = ("", function(*arguments))
        except Exception as error:
            answer = (f"{type(error).__name__}: {error}", None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        connection.send(answer)
