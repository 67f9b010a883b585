"""Runs functions in processes of their own that have TensorFlow: forks of one that imported it."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

T = TypeVar("T")

PRELOADED = ["tensorflow", "keras", "recorded", "unslow.catalogue"]
"""Imported once for all: TensorFlow starts no threads before its first op."""


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """What a function of a module returns in a process of its own, which ends with it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(there, function, arguments))
    process.start()
    there.close()
    try:
        returned, error = here.recv()
    except EOFError:
        returned, error = None, "it ended without an answer"
    process.join()
    assert not error, error
    return returned  # type: ignore[no-any-return]


def _answer(there: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        there.send((function(*arguments), ""))
    except BaseException:
        there.send((None, traceback.format_exc()))
