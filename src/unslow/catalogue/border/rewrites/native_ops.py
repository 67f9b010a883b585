"""The NumPy function as TensorFlow ops: one by one, on a whole batch, and with XLA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    import numpy as np
    import tensorflow as tf

    from unslow.native import Untranslatable, native
    from unslow.native.standalone import traced

    function = native(call.function)
    given = [np.asarray(each) for each in call.arguments]
    try:
        traced(function, [tf.TensorSpec(each.shape, each.dtype) for each in given])
    except Untranslatable as error:
        yield Rewrite(NAME, _raises(error), in_python=False, each=True)
        return
    yield Rewrite(NAME, function, in_python=False, note=NOTE, each=True)
    compiled = native(call.function, jit_compile=True)
    yield Rewrite(COMPILED, compiled, in_python=False, note=NOTE, each=True)
    yield Rewrite(BATCHED, _batched(function), in_python=False, note=NOTE)
    yield Rewrite(BATCHED_COMPILED, _compiled(_batched(function)), in_python=False, note=NOTE)


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
