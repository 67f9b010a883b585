"""The NumPy function as TensorFlow ops: one by one, on a whole batch, and with XLA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from unslow.catalogue.border.rewrites import Rewrite

if TYPE_CHECKING:
    from unslow.native import Native
    from unslow.recording.samples import BridgeCall

NAME = "native ops"
COMPILED = "native ops, with XLA"
BATCHED = "native ops, in batches"
BATCHED_COMPILED = "native ops, in batches, with XLA"

NOTE = (
    "unslow.numpy_function makes TensorFlow ops of the function. It is read once: what it finds "
    "outside its arguments is kept as it was then."
)


def rewrites(call: BridgeCall) -> Iterator[Rewrite]:
    """The function made of TensorFlow's ops, where it can be; else why it cannot."""
    if call.kind != "numpy_function":
        return
    from unslow.native import Untranslatable, native

    function = native(_own(call.function))
    try:
        _translate(function, call)
    except Untranslatable as error:
        yield Rewrite(NAME, _raises(error), in_python=False, each=True)
        return
    yield Rewrite(NAME, function, in_python=False, note=NOTE, each=True)
    compiled = native(_own(call.function), jit_compile=True)
    yield Rewrite(COMPILED, compiled, in_python=False, note=NOTE, each=True)
    yield Rewrite(BATCHED, _batched(function), in_python=False, note=NOTE)
    yield Rewrite(BATCHED_COMPILED, _compiled(_batched(function)), in_python=False, note=NOTE)


def _own(function: Callable[..., Any]) -> Callable[..., Any]:
    """The user's function, out of what TensorFlow wraps around it for its bridge."""
    import tensorflow as tf

    home = str(Path(tf.__file__).parent)
    while isinstance(function, FunctionType) and function.__code__.co_filename.startswith(home):
        inner = getattr(function, "__wrapped__", None)
        if inner is None:
            break
        function = inner
    return function


def _translate(function: Native, call: BridgeCall) -> None:
    """Translate once for arguments like the call's.

    Raises:
        Untranslatable: it cannot be.
    """
    import numpy as np
    import tensorflow as tf

    given = [np.asarray(each) for each in call.arguments]
    with tf.Graph().as_default():
        function.translate(*[tf.compat.v1.placeholder(each.dtype, each.shape) for each in given])


def _raises(error: Exception) -> Callable[..., Any]:
    def refused(*given: Any) -> Any:
        raise error

    return refused


def _batched(function: Native) -> Callable[..., Any]:
    def batch(*columns: Any) -> Any:
        import tensorflow as tf

        return tf.vectorized_map(lambda row: function(*row), columns)

    return batch


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)  # type: ignore[no-any-return]
