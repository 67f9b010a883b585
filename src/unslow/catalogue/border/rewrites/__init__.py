"""Other ways to do what a Python function does that a graph calls, on a batch of its inputs.

A module of this folder that has a function `rewrites(call)` is asked for such ways. It is
found by being there.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unslow.finding import Safety

if TYPE_CHECKING:
    from unslow.recording.samples import BridgeCall


@dataclass(frozen=True)
class Rewrite:
    """A function that does for a batch what another does for one element.

    It is given what the other is given, each argument stacked along a new first dimension,
    and returns the stacked results in the same order. `in_python`: it takes arrays and is
    called through a bridge once for the batch; else it takes tensors, is made of TensorFlow's
    ops and is compiled. `each`: it takes and returns what the other does, for one element.
    """

    name: str
    function: Callable[..., Any]
    in_python: bool
    note: str = ""
    safety: Safety = "unsafe"
    each: bool = False


def rewrites(call: BridgeCall) -> Iterator[Rewrite]:
    """The rewrites that this folder's modules offer for the function of a call."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        offered = getattr(importlib.import_module(f"{__name__}.{module.name}"), "rewrites", None)
        if offered is not None:
            yield from offered(call)
