"""Whether random values have become always the same."""

from __future__ import annotations

from collections.abc import Sequence

from unslow.experiment.values.equality import compare
from unslow.experiment.values.parts import as_array, packed_numbers, parts, unpacked
from unslow.experiment.values.snapshot import Packed, Snapshot

ENOUGH = 8
"""Whole numbers from which on it is no chance that two draws are the same."""


def frozen_part(
    once: Snapshot, again: Snapshot, first: Snapshot, second: Snapshot, path: str = ""
) -> str | None:
    """Where two runs of one way vary and two of another, `first` and `second`, do not.

    `None` if there is no such part. Few whole numbers, truth values and texts tell nothing:
    two draws of them are often the same.
    """
    if compare(once, again).equal:
        return None
    four = [unpacked(each) if _is_text(each) else each for each in (once, again, first, second)]
    held = [dict(parts(each)) for each in four]
    if held[0] and all(each.keys() == held[0].keys() for each in held):
        for key in held[0]:
            one, two, three, other = (each[key] for each in held)
            found = frozen_part(one, two, three, other, path + key[0])
            if found is not None:
                return found
        return None
    return path if _tells(four[2:]) and compare(first, second).equal else None


def _is_text(snapshot: Snapshot) -> bool:
    return isinstance(snapshot, Packed) and packed_numbers(snapshot) is None


def _tells(snapshots: Sequence[Snapshot]) -> bool:
    """Whether these would hardly be the same by chance."""
    for each in snapshots:
        array = packed_numbers(each) if isinstance(each, Packed) else as_array(each)
        if array is None or not array.values.size:
            return False
        if array.values.dtype.kind not in "fc" and array.values.size < ENOUGH:
            return False
    return True
