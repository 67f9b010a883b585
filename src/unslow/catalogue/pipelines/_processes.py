"""Worker processes that call a Python function, each under an interpreter lock of its own."""

from __future__ import annotations

import os
import queue
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
    """`count` copies of this process that wait for calls of `function`."""

    def __init__(self, function: Callable[..., Any], count: int) -> None:
        self._function = function
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        for _ in range(count):
            self._idle.put(self._started())

    def call(self, *arguments: Any) -> Any:
        """Have an idle worker call the function, and wait for what it returns.

        Raises:
            WorkerFailed: the function raised there, or there was no answer.
        """
        worker = self._idle.get(timeout=LONGEST_CALL)
        try:
            worker.send(arguments)
            if not worker.poll(LONGEST_CALL):
                raise WorkerFailed(f"a worker process gave no answer within {LONGEST_CALL:.0f} s")
            failure, result = worker.recv()
        except (OSError, EOFError) as error:
            raise WorkerFailed("a worker process has ended") from error
        finally:
            self._idle.put(worker)
        if failure:
            raise WorkerFailed(failure)
        return result

    def _started(self) -> Connection:
        here, there = Pipe()
        with warnings.catch_warnings():
            # Python warns of threads; the worker uses none of theirs.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = os.fork()
        if process == 0:
            try:
                here.close()
                _serve(there, self._function)
            finally:
                os._exit(0)
        there.close()
        return here


def _serve(connection: Connection, function: Callable[..., Any]) -> None:
    while connection.poll(LONGEST_IDLE):
        arguments = connection.recv()
        try:
            answer = ("", function(*arguments))
        except Exception as error:
            answer = (f"{type(error).__name__}: {error}", None)
        connection.send(answer)
