"""Functions of image libraries that do not dispatch, as TensorFlow ops.

`find` gives ours for one of theirs: the same arguments, tensors in place of arrays, and the same
result within a tolerance that `TOLERANCES` states. The libraries are not imported here: they are
looked up among the modules that the program has imported.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from unslow.native.libraries.tolerance import Tolerance

ROOMS = {
    "skimage.transform": ("skimage_transform", "skimage_resize", "skimage_maps"),
    "scipy.ndimage": ("scipy_geometry", "scipy_filters"),
    "cv2": ("opencv_geometry", "opencv_pixels"),
    "PIL.Image": ("pillow",),
}
"""The modules of this folder that stand for each library."""

METHODS = {"PIL.Image": ("Image", "Picture")}
"""The class of a library whose methods are matched too, and ours."""


def find(function: Any) -> Callable[..., Any] | None:
    """Our function for a function of a library, or None.

    `function`: the library's object, a method of its class, a method bound to an object, or the
    full name of one of them. What is returned takes tensors in place of arrays and raises
    `Untranslatable` for arguments that are not matched. It is made of ops that have XLA kernels
    and that `tf.vectorized_map` turns into ops on batches.
    """
    for library, rooms in ROOMS.items():
        if library not in sys.modules:
            continue
        for room in rooms:
            module = importlib.import_module(f"{__name__}.{room}")
            for name in module.TOLERANCES:
                ours = _match(function, library, module, name)
                if ours is not None:
                    return ours if isinstance(ours, functools.partial) else _unconverted(ours)
    return None


@functools.cache
def _unconverted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that AutoGraph leaves alone: it has nothing to convert, and takes long to."""
    import tensorflow as tf

    return cast("Callable[..., Any]", tf.autograph.experimental.do_not_convert(function))


def _match(function: Any, library: str, module: Any, name: str) -> Callable[..., Any] | None:
    theirs = sys.modules[library]
    ours: Callable[..., Any] | None = getattr(module, name, None)
    if ours is not None and _is(function, getattr(theirs, name, None), f"{library}.{name}"):
        return ours
    if library not in METHODS:
        return None
    class_name, our_class = METHODS[library]
    method = getattr(getattr(theirs, class_name), name, None)
    our_method: Callable[..., Any] | None = getattr(getattr(module, our_class), name, None)
    if method is None or our_method is None:
        return None
    if _is(function, method, f"{library}.{class_name}.{name}"):
        return our_method
    if getattr(function, "__func__", None) is method:
        return functools.partial(_unconverted(our_method), module.taken_from(function.__self__))
    return None


def _is(function: Any, theirs: Any, name: str) -> bool:
    """Whether something is a library's object or its name."""
    return function == name if isinstance(function, str) else theirs is function is not None


def tolerances() -> dict[str, Tolerance]:
    """For each function that is matched, by its full name, how near its results come."""
    stated = {}
    for library, rooms in ROOMS.items():
        for room in rooms:
            module = importlib.import_module(f"{__name__}.{room}")
            for name, tolerance in module.TOLERANCES.items():
                stated[f"{library}.{name}"] = tolerance
    return stated


def __getattr__(name: str) -> Any:
    if name == "TOLERANCES":
        return tolerances()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
