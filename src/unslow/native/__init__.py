"""NumPy code as TensorFlow ops.

The names load TensorFlow when they are first used. The package itself can be called: once it is
imported, `unslow.native` is this package, and `unslow.native(func)` still is what it says.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unslow.native.function import Native, Translation, native, numpy_function, refusals
    from unslow.native.printing import source_of
    from unslow.native.untranslatable import Untranslatable

__all__ = [
    "Native",
    "Translation",
    "Untranslatable",
    "native",
    "numpy_function",
    "refusals",
    "source_of",
]

_HOMES = {"Untranslatable": "untranslatable", "source_of": "printing"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = f"{__name__}.{_HOMES.get(name, 'function')}"
    return getattr(importlib.import_module(home), name)


class _Callable(types.ModuleType):
    """A module that is called as its function `native`."""

    autograph_info__ = None
    """By this name AutoGraph knows what to call as it is."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        function = importlib.import_module(f"{__name__}.function").native
        return function(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
