"""Keeps what some of the calls of Python functions from graphs were given."""

from __future__ import annotations

from typing import Any

from unslow import seams
from unslow.recording.arrays import copy_of, size_of
from unslow.recording.clock import Call
from unslow.recording.samples import BridgeCall, Samples
from unslow.recording.sites import Place

MOST_CALLS = 32
"""Calls of one function whose arguments are kept."""

MOST_BYTES = 2**25
"""Bytes of arguments that are kept of one function."""


class Taken:
    """Which calls of one function have been looked at, and the bytes that were copied."""

    __slots__ = ("bytes", "calls", "place")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.calls = self.bytes = 0


class BridgeSamples:
    """Copies arguments before a call, as the function may write into them; keeps them after it."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._copies: dict[int, tuple[Any, ...]] = {}

    def copy(self, taken: Taken, arguments: Any) -> None:
        """Copy the arguments of a call that is about to begin, if they are wanted."""
        taken.calls += 1
        size = size_of(arguments)
        fits = taken.bytes + size <= MOST_BYTES
        if fits and self._samples.wants(BridgeCall, taken.place, MOST_CALLS):
            self._copies[id(arguments)] = tuple(copy_of(each) for each in arguments)
            taken.bytes += size

    def keep(self, taken: Taken, kind: str, call: Call) -> None:
        """Keep what was copied for a call that has ended, and what its results were like."""
        registry, token, _, arguments = call.args
        copies = self._copies.pop(id(arguments), None)
        if copies is None or call.result is None:
            return
        function = registry.get(token)
        single = not isinstance(call.result, (list, tuple))
        outputs = (call.result,) if single else call.result
        sample = BridgeCall(
            function=seams.unconverted(seams.eager_python_function(function) or function),
            arguments=copies,
            kind=kind,
            outputs=tuple((each.dtype, tuple(each.shape)) for each in outputs),
            single=single,
        )
        self._samples.keep(taken.place, sample, size_of(copies))
