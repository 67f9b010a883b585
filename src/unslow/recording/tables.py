"""Rows that grow with the program's places and not with its events."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

R = TypeVar("R")

SECOND = 1e9
"""Nanoseconds."""


class Table(Generic[R]):
    """Rows made on first use. Safe to read from another thread while it grows."""

    def __init__(self, make: Callable[[], R]) -> None:
        self._make = make
        self._rows: dict[tuple[Hashable, ...], R] = {}

    def row(self, *key: Hashable) -> R:
        """The row of this key."""
        try:
            return self._rows[key]
        except KeyError:
            return self._rows.setdefault(key, self._make())

    def get(self, *key: Hashable) -> R | None:
        """The row of this key if there is one."""
        return self._rows.get(key)

    def items(self) -> Iterator[tuple[tuple[Hashable, ...], R]]:
        """A snapshot of keys and rows."""
        yield from list(self._rows.items())
