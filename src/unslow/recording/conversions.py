"""Watches arrays and lists being made into tensors by a conversion of their own."""

from __future__ import annotations

import functools
from typing import Any

from unslow import seams
from unslow.recording.arrays import Repeats, size_of
from unslow.recording.clock import Call, Clock, hide_caller
from unslow.recording.data import Conversion
from unslow.recording.samples import Converted
from unslow.recording.tables import SECOND, Table

LARGE_ARRAY = 1024
"""Bytes from which an array is worth a row; TensorFlow makes many small ones for itself."""

LONG_LIST = 32
"""Elements from which a list of Python numbers is worth a row."""


SLOW = 20_000_000
"""Nanoseconds from which a conversion of a list is hot at its first call."""


class ConversionRow:
    """Nanoseconds, bytes and repeats of one kind of conversion at one place."""

    __slots__ = ("bytes", "calls", "elements", "ns", "repeats")

    def __init__(self) -> None:
        self.calls = self.ns = self.bytes = self.elements = 0
        self.repeats = Repeats()


class Conversions:
    """Counts conversions per line: kind, bytes, time, and the same array again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: Table[ConversionRow] = Table(ConversionRow)
        self._array_type: Any = type(None)

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        numpy = seams.loaded("numpy")
        if numpy is None:
            return
        self._array_type = numpy.ndarray
        patches.replace(seams.CONVERSION, self._watch)

    def _watch(self, original: Any) -> Any:
        watched = self._clock.watch(original, "convert", self._note)
        array_type = self._array_type

        @functools.wraps(original)
        def convert(value: Any, *args: Any, **kwargs: Any) -> Any:
            # Numbers, short lists and small arrays are part of calling any op, several times over.
            kind = type(value)
            if kind is list or kind is tuple:
                matters = len(value) >= LONG_LIST or (value and type(value[0]) is array_type)
            else:
                matters = kind is array_type and value.nbytes >= LARGE_ARRAY
            try:
                return (watched if matters else original)(value, *args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise

        return self._clock.disguise(convert)

    def _note(self, call: Call) -> None:
        value = call.args[0]
        first = value if type(value) is self._array_type else value[0]
        dtype = str(getattr(first, "dtype", type(first).__name__))
        if first is value:
            row = self._rows.row(call.thread.main, *call.place, "array", dtype)
            row.bytes += value.nbytes
            if row.repeats.meet(value):
                self._keep(call, 1, row.repeats.digest)
        elif type(first) is self._array_type:
            row = self._rows.row(call.thread.main, *call.place, "arrays", dtype)
            row.elements += len(value)
            row.bytes += first.nbytes * len(value)
            if row.calls or call.own > SLOW:
                self._keep(call, 2)
        else:
            row = self._rows.row(call.thread.main, *call.place, "list", dtype)
            row.elements += len(value)
        row.calls += 1
        row.ns += call.own

    def _keep(self, call: Call, most: int, digest: int | None = None) -> None:
        if not self._clock.samples.wants(Converted, call.place, most):
            return
        value = call.args[0]
        dtype = call.args[2] if len(call.args) > 2 else call.kwargs.get("dtype")
        kept = value if type(value) is self._array_type else list(value)
        self._clock.samples.keep(call.place, Converted(kept, dtype, digest), size_of(value))

    def rows(self) -> list[Conversion]:
        """The conversions so far."""
        found = []
        for (main, code, instruction, kind, dtype), row in self._rows.items():
            site = self._clock.sites.site((code, instruction))  # type: ignore[arg-type]
            if site is not None:
                found.append(
                    Conversion(
                        site=site,
                        kind=str(kind),
                        road="convert",
                        dtype=str(dtype),
                        calls=row.calls,
                        repeats=row.repeats.count,
                        seconds=row.ns / SECOND,
                        bytes=row.bytes,
                        elements=row.elements,
                        main=bool(main),
                    )
                )
        return found
