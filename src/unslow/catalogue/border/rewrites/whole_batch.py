"""The same NumPy function, given a whole batch: NumPy often does not mind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.border.rewrites import Rewrite

if TYPE_CHECKING:
    from unslow.recording.samples import BridgeCall

NAME = "the function once for each batch"


def rewrites(call: BridgeCall, each: float) -> Iterator[Rewrite]:
    """The function itself, where it takes arrays."""
    if call.kind == "numpy_function":
        yield Rewrite(
            NAME,
            call.function,
            in_python=True,
            note="It is given a batch where it was given one element: equal for these inputs, "
            "but not by its nature.",
        )
