"""Other ways to do what a Python function does that a graph calls, on a batch of its inputs.

A module of this folder that has a function `rewrites(call)` is asked for such ways, and one that
has a function `alternatives(module, call)` for the edits that make them. It is found by being
there.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from unslow.finding import Alternative, Safety

if TYPE_CHECKING:
    from unslow.recording.samples import BridgeCall
    from unslow.source.module import Module


@dataclass(frozen=True)
class Rewrite:
    """A function that does for a batch what another does for one element.

    It is given what the other is given, each argument stacked along a new first dimension,
    and returns the stacked results in the same order. `in_python`: it takes arrays and is
    called through a bridge once for the batch; else it takes tensors, is made of TensorFlow's
    ops and is compiled. `each`: it takes and returns what the other does, for one element.
    `check` is called before its first run with the arguments of one call and with how many
    there are; it raises `Unfit` where the function is not to be run. `compiled`: by XLA.
    `random`: it draws random numbers of its own, others for other values of the arguments at
    the places `seeds`. `seconds`: what making it took, and would take in the program.
    """

    name: str
    function: Callable[..., Any]
    in_python: bool
    note: str = ""
    safety: Safety = "unsafe"
    each: bool = False
    check: Callable[[tuple[Any, ...], int], None] | None = None
    compiled: bool = False
    random: bool = False
    seeds: tuple[int, ...] = ()
    seconds: float = 0.0


def rewrites(call: BridgeCall, each: float = 0.0) -> Iterator[Rewrite]:
    """The rewrites that this folder's modules offer for the function of a call.

    `each`: seconds that the function takes, where that is known.
    """
    for module in _modules():
        offered = getattr(module, "rewrites", None)
        if offered is not None:
            yield from offered(call, each)


def alternatives(module: Module, call: ast.Call) -> Iterator[Alternative]:
    """The rewrites that the source shows how to make at a call of a bridge, with their edits."""
    for each in _modules():
        offered = getattr(each, "alternatives", None)
        if offered is not None:
            yield from offered(module, call)


def _modules() -> Iterator[ModuleType]:
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        yield importlib.import_module(f"{__name__}.{module.name}")
