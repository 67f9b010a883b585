"""Watches eager ops, the hottest seam of all: every instruction here is paid per op."""

from __future__ import annotations

import functools
import math
import sys
from _thread import get_ident
from collections.abc import Callable
from typing import Any

from unslow import seams
from unslow.recording.arrays import Repeats, size_of
from unslow.recording.clock import KERAS, LONG_GAP, PART_OF_OP, Clock, OpRow, hide_caller, now
from unslow.recording.data import Conversion, OpCount
from unslow.recording.samples import DatasetMade, OpCall, RepeatedOp
from unslow.recording.sites import NOWHERE
from unslow.recording.tables import SECOND

INSPECT_EVERY = 16
"""Calls of an op at a place of which two neighbours have their arguments looked at; slow
ones always."""

ALIGNMENT = 64
"""Bytes. TensorFlow takes an array so aligned as it is, and copies any other."""

SLICES = ("StridedSlice", "GatherV2", "Unpack")
"""Ops that take an element out of a tensor."""

MOST_BYTES = 2**26
"""Bytes of the arguments of one op that are kept."""

REPEATED_BYTES = 2**25
REPEATED_OPS = 64
"""Bytes of the arguments of all ops that are kept as what loops over datasets do; op types that
are kept of one place."""

SLOW_OP = 100_000
"""Nanoseconds from which looking at an op's arguments costs nothing in comparison."""


class EagerOps:
    """Counts eager ops per line, and arrays among their arguments."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._array_type: Any = None
        self._sampled: set[OpRow] = set()
        self._repeated_bytes = 0

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        numpy = seams.loaded("numpy")
        self._array_type = None if numpy is None else numpy.ndarray
        patches.replace(seams.EAGER_OP, self._watch)

    def _watch(self, original: Callable[..., Any]) -> Callable[..., Any]:
        clock = self._clock
        threads = clock.threads
        foreign = clock.sites.foreign
        codes = clock.sites.codes
        getframe: Callable[[int], Any] = sys._getframe
        inspect = self._inspect
        long_gap = clock.long_gap
        nowhere = NOWHERE

        @functools.wraps(original)
        def execute(*args: Any) -> Any:
            thread = threads[get_ident()]
            if thread.muted:
                return original(*args)
            outer = thread.inner
            thread.inner = 0
            start = now()
            try:
                result = original(*args)
            except BaseException as error:
                thread.inner = outer
                hide_caller(error)
                raise
            end = now()
            own = end - start - thread.inner
            try:
                # Frames 1 and 2 are the generated op and its dispatcher.
                frame = getframe(3)
                while foreign[frame.f_code.co_filename]:
                    frame = frame.f_back
                code = frame.f_code
                key = (id(code), frame.f_lasti, args[1])
            except (AttributeError, ValueError):
                # There is no such frame: nobody's code runs above this op.
                code = None
                key = (*nowhere, args[1])
            try:
                row = thread.ops[key]
            except KeyError:
                row = thread.ops[key] = OpRow()
                codes[id(code)] = code
            calls = row.calls = row.calls + 1
            row.ns += own
            if calls % INSPECT_EVERY < 2 or own > SLOW_OP:
                inspect(row, args, key)
            if not thread.depth:
                gap = start - thread.last
                if gap < LONG_GAP:
                    row.python += gap
                else:
                    long_gap(thread, (key[0], key[1]), gap)
                done = thread.last = now()
            else:
                done = now()
            thread.recorder += done - end
            thread.inner = outer + done - start
            return result

        return clock.disguise(execute, timed=True)

    def _inspect(self, row: OpRow, args: tuple[Any, ...], key: tuple[int, int, str]) -> None:
        row.inspected += 1
        array_type = self._array_type
        for value in args[3:]:
            if type(value) is array_type and value.ndim:
                self._inspect_array(row, value, args, key)
                break
        if args[1] in SLICES and row.calls > INSPECT_EVERY:
            self._keep(row, args, key)
        if row.calls == INSPECT_EVERY:
            self._keep_repeated(args, key)

    def _inspect_array(
        self, row: OpRow, array: Any, args: tuple[Any, ...], key: tuple[int, int, str]
    ) -> None:
        row.arrays += 1
        row.array_bytes += array.nbytes
        repeats = row.repeats = row.repeats or Repeats()
        next_call = row.seen is not None and row.seen_call == row.calls - 1
        row.pairs += next_call
        if repeats.meet(array, next_call):
            self._keep(row, args, key, repeats.digest)
        address = array.__array_interface__["data"][0]
        row.seen = (str(array.dtype), array.shape, address % ALIGNMENT)
        row.seen_call = row.calls

    def _keep(
        self,
        row: OpRow,
        args: tuple[Any, ...],
        key: tuple[int, int, str],
        digest: int | None = None,
    ) -> None:
        """Keep one call of an op at a place."""
        if row not in self._sampled:
            self._sampled.add(row)
            samples, place, size = self._clock.samples, (key[0], key[1]), size_of(args[3:])
            if size <= MOST_BYTES and samples.wants(OpCall, place):
                samples.keep(place, OpCall(args[1], args, digest), size)

    def _keep_repeated(self, args: tuple[Any, ...], key: tuple[int, int, str]) -> None:
        """Keep a call of an op that a loop over a dataset may do with each element."""
        samples, place = self._clock.samples, (key[0], key[1])
        if not samples.has(DatasetMade) or not samples.wants(RepeatedOp, place, REPEATED_OPS):
            return
        call, size = RepeatedOp(args[1], args), size_of(args[3:])
        if not call.has_state and self._repeated_bytes + size <= REPEATED_BYTES:
            self._repeated_bytes += size
            samples.keep(place, call, size)

    def counts(self) -> list[OpCount]:
        """Calls and own seconds of each op type at each site."""
        totals: dict[tuple[Any, ...], list[int]] = {}
        for thread in list(self._clock.threads.values()):
            for context in thread.root.subtree():
                keras = context.within(KERAS)
                for (code, instruction, op), row in list(context.ops.items()):
                    key = (code, instruction, op, thread.main, keras)
                    total = totals.setdefault(key, [0, 0])
                    total[0] += row.calls
                    total[1] += row.ns
        found = []
        for (code, instruction, op, main, keras), (calls, spent) in totals.items():
            site = self._clock.sites.site((code, instruction))
            if site is not None and PART_OF_OP.get(op) != "build":
                found.append(OpCount(site, op, calls, spent / SECOND, main, keras))
        return found

    def conversions(self, final: bool) -> list[Conversion]:
        """Arrays that eager ops were given, and what making them tensors takes.

        The time is inside the op's C++ and cannot be seen apart: once the program
        has ended (`final`) the same conversion is repeated and timed.
        """
        found = []
        for thread in list(self._clock.threads.values()):
            for context in thread.root.subtree():
                for (code, instruction, op), row in list(context.ops.items()):
                    site = self._clock.sites.site((code, instruction))
                    if row.repeats is None or site is None:
                        continue
                    dtype, shape, offset = row.seen
                    calls = row.calls * row.arrays // row.inspected
                    each = conversion_seconds(dtype, shape, offset) if final else 0.0
                    found.append(
                        Conversion(
                            site=site,
                            kind="array",
                            road="op",
                            dtype=dtype,
                            calls=calls,
                            repeats=(calls - 1) * row.repeats.count // max(1, row.pairs),
                            seconds=min(calls * each, row.ns / SECOND),
                            bytes=row.array_bytes * calls // row.arrays,
                            main=thread.main,
                            op=op,
                        )
                    )
        return found


def conversion_seconds(dtype: str, shape: tuple[int, ...], offset: int) -> float:
    """Seconds of making a tensor of a NumPy array: the median of 5.

    The array has this dtype and shape and stands `offset` bytes behind a multiple
    of `ALIGNMENT`.
    """
    numpy = seams.loaded("numpy")
    try:
        kind = numpy.dtype(dtype)
        size = kind.itemsize * math.prod(shape)
        memory = numpy.ones(size + 2 * ALIGNMENT, numpy.uint8)
        start = (offset - memory.__array_interface__["data"][0]) % ALIGNMENT
        array = memory[start : start + size].view(kind).reshape(shape)
    except (MemoryError, TypeError, ValueError):
        return 0.0
    times = []
    for _ in range(5):
        began = now()
        seams.eager_tensor(array)
        times.append(now() - began)
    return sorted(times)[2] / SECOND
