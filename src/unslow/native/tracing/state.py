"""What can change while a function is traced, so that a branch can be undone."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from unslow.native.untranslatable import Untranslatable


class Undefined:
    """The value of a name that has none, and why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


Key = tuple[Any, str]
"""An object that holds something that can change, and the name of that."""


class Storage:
    """The memory of an array: a tensor, or a NumPy array whose value is known.

    `fixed`: why it must not be written to; empty where it may be. `tainted`: why it cannot be
    read any more. `forks`: storages that may, or may not, be the same memory in NumPy.
    `c_order`: whether NumPy would certainly lay it out in C order.
    """

    def __init__(self, value: Any, *, fixed: str = "", c_order: bool = True) -> None:
        self._value = value
        self.version = 0
        self.fixed = fixed
        self.tainted = ""
        self.forks: list[Storage] = []
        self.c_order = c_order and (not isinstance(value, np.ndarray) or value.flags.c_contiguous)
        session = sessions.current
        self.depth = len(session.journals) if session is not None else 0

    def read(self) -> Any:
        if self.tainted:
            raise Untranslatable(self.tainted)
        return self._value

    def write(self, value: Any) -> None:
        if self.fixed:
            raise Untranslatable(self.fixed)
        for fork in self.forks:
            fork.tainted = "it may share memory with an array that was changed"
        self.put(value)

    def put(self, value: Any) -> None:
        """Set the value with no question asked; a branch can undo it."""
        note((self, "value"), self._value)
        self._value = value
        self.version += 1

    def fork(self, other: Storage) -> None:
        """Either may be the memory of the other: a change of one makes the other unreadable.

        So do those that each of them may share memory with already.
        """
        for one, another in itertools.product((self, *self.forks), (other, *other.forks)):
            if one is not another and not any(another is each for each in one.forks):
                one.forks.append(another)
                another.forks.append(one)


class Variables:
    """The names of one running function, with their values."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        session = sessions.current
        self.depth = len(session.journals) if session is not None else 0

    def assign(self, name: str, value: Any) -> None:
        note((self, name), self.values.get(name, _ABSENT))
        self.values[name] = value


_ABSENT = Undefined("it has no value yet")


class Session:
    """One trace of one function.

    `journals`: for each branch being traced, what was there before it. `made`: for each
    branch, the lists and dictionaries made inside. `stack`: the names of the functions that
    are running. `seeds`: the tensors that random numbers are drawn from. `trials`: how many
    graphs that are thrown away are being made now, one within the other. `wrong`: whether
    anything happened for which NumPy raises and XLA does not, `None` where nobody asks.
    """

    def __init__(self, random: str | None = None) -> None:
        self.random = random
        self.wrong: Storage | None = None
        self.seeds: list[Any] = []
        self.journals: list[dict[Key, Any]] = []
        self.made: list[list[Any]] = [[]]
        self.stack: list[Variables] = []
        self.calls = 0
        self.trials = 0


class _Sessions(threading.local):
    current: Session | None = None


sessions = _Sessions()


def session() -> Session:
    """The trace that is going on."""
    current = sessions.current
    if current is None:
        raise RuntimeError("nothing is being traced")
    return current


@contextmanager
def tracing(random: str | None, watched: bool = False) -> Iterator[Session]:
    """A new trace. `watched`: what XLA does not raise for is noted."""
    before, sessions.current = sessions.current, Session(random)
    if watched:
        sessions.current.wrong = Storage(np.asarray(False))
    try:
        yield sessions.current
    finally:
        sessions.current = before


def note(key: Key, before: Any) -> None:
    """Remember what was there, for the innermost branch."""
    current = sessions.current
    if current is not None and current.journals:
        current.journals[-1].setdefault(key, before)


def read(key: Key) -> Any:
    """What is there now."""
    owner, name = key
    if isinstance(owner, Storage):
        return owner._value
    return owner.values.get(name, _ABSENT)


def put(key: Key, value: Any) -> None:
    """Set it, so that the innermost branch can undo it."""
    owner, name = key
    if isinstance(owner, Storage):
        owner.put(value)
    else:
        owner.assign(name, value)


def _restore(key: Key, before: Any) -> None:
    owner, name = key
    if isinstance(owner, Storage):
        owner._value = before
        owner.version += 1
    elif before is _ABSENT:
        owner.values.pop(name, None)
    else:
        owner.values[name] = before


def isolated(function: Callable[[], Any]) -> tuple[Any, dict[Key, Any]]:
    """The result of a function and all that it changed; the changes are undone."""
    current = session()
    current.journals.append({})
    current.made.append([])
    depth = len(current.stack)
    try:
        result = function()
        # What was made inside is gone afterwards.
        changes = {
            key: read(key) for key in current.journals[-1] if key[0].depth < len(current.journals)
        }
    finally:
        current.made.pop()
        del current.stack[depth:]
        for key, before in current.journals.pop().items():
            _restore(key, before)
    return result, changes


def make(container: Any) -> Any:
    """Note that a list, set or dictionary was made here, and may be changed here."""
    session().made[-1].append(container)
    return container


def may_change(container: Any) -> bool:
    """Whether a change of it can be seen in this branch alone."""
    return any(each is container for each in session().made[-1])
