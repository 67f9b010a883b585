"""Which arguments of a translated function only say which random numbers are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from unslow.native.function import Translation


def seed_arguments(translation: Translation) -> tuple[int, ...]:
    """The places of those whole-number arguments that reach the results as seeds alone.

    With other values of these the function draws other numbers and is otherwise the same. A
    generator that is made in a branch or a loop of the graph is not followed: its seed is no
    such argument.
    """
    if not translation.inputs:
        return ()
    graph = translation.inputs[0].graph
    seeds = [seed for seed in translation.seeds if seed.graph is graph]
    drawn = _behind(seeds)
    otherwise = _behind(translation.block.results, stop=seeds)
    return tuple(
        place
        for place, tensor in enumerate(translation.inputs)
        if tensor.dtype.is_integer and tensor.ref() in drawn and tensor.ref() not in otherwise
    )


def _behind(tensors: Iterable[Any], stop: Iterable[Any] = ()) -> set[Any]:
    """The references of all tensors of a graph that these depend on, not going past `stop`."""
    ends = {tensor.ref() for tensor in stop}
    found: set[Any] = set()
    waiting = list(tensors)
    while waiting:
        tensor = waiting.pop()
        if tensor.ref() in found or tensor.ref() in ends:
            continue
        found.add(tensor.ref())
        waiting += tensor.op.inputs
    return found
