"""Calls of a function that draws random numbers, again and again for the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from unslow.recording.arrays import size_of
from unslow.recording.samples import BridgeCall

INPUTS = 2
"""Calls that are made again with other seeds."""

MOST, FEWEST = 64, 24
"""Draws for each of these; as many as take a short time."""

SECONDS = 2.0
"""What all draws of the present way may take, of which there are twice as many."""

BYTES = 2**26
"""Bytes of arguments and results up to which there are more than the fewest draws."""

LARGEST_SEED = 2**31 - 1


def inputs_of(calls: Sequence[BridgeCall], each: float) -> Sequence[BridgeCall]:
    """The calls to make again: fewer of a function that takes long, `each` seconds."""
    return calls[: 1 if 2 * FEWEST * INPUTS * each > SECONDS else INPUTS]


def count_of(inputs: Sequence[BridgeCall], each: float, batch: int) -> int:
    """How many draws there are for each input: whole batches."""
    size = sum(size_of(call.arguments) + _result_size(call) for call in inputs)
    most = min(MOST, BYTES // max(size, 1))
    if each > 0:
        most = min(most, int(SECONDS / (2 * len(inputs) * each)))
    return -(-max(most, FEWEST) // batch) * batch


def redrawn(
    inputs: Sequence[BridgeCall], seeds: Sequence[int], count: int, stream: int
) -> list[BridgeCall]:
    """`count` calls like each of `inputs`, with other values of the arguments at `seeds`.

    Another `stream` gives other values.
    """
    import numpy as np

    generator = np.random.default_rng(stream)
    calls = []
    for call in inputs:
        for _ in range(count):
            arguments: list[Any] = list(call.arguments)
            for place in seeds:
                dtype = np.asarray(arguments[place]).dtype
                largest = min(int(np.iinfo(dtype).max), LARGEST_SEED)
                seed = generator.integers(largest, endpoint=True, size=np.shape(arguments[place]))
                arguments[place] = np.asarray(seed, dtype)[()]
            calls.append(replace(call, arguments=tuple(arguments)))
    return calls


def _result_size(call: BridgeCall) -> int:
    import numpy as np

    return sum(8 * int(np.prod(shape)) for _, shape in call.outputs)


def changed(argument: Any, seen: Sequence[Any]) -> Any:
    """An argument of the same dtype and shape with other values than any in `seen`."""
    import numpy as np

    values = np.asarray(argument)
    if values.ndim:
        return np.roll(np.flip(values), len(seen))
    if values.dtype.kind in "iu":
        last = max(seen)
        new = last + 1 if last < np.iinfo(values.dtype).max else min(seen) - 1
        return np.asarray(new, values.dtype)[()]
    return (values * 1.0625).astype(values.dtype)[()] if values.dtype.kind in "fc" else argument
