"""Which calls of TensorFlow's functions give the same as an earlier one, and need not be made."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

LARGEST = 1024
"""Known arrays of more bytes are not compared."""


class _Unlike(Exception):
    """A value that cannot be compared."""


def key_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What two calls have in common that give the same in one graph; `None` where none may.

    It holds the tensors among the arguments, so that no other takes their place.
    """
    if tf.executing_eagerly() or name.startswith("tf.random."):
        return None
    try:
        parts = _part(args), _part(tuple(sorted(kwargs.items())))
    except _Unlike:
        return None
    return name, _Same(tf.compat.v1.get_default_graph()), parts


class _Same:
    """An object by its identity."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _part(value: Any) -> Any:
    if tf.is_tensor(value):
        return _Same(value)
    if isinstance(value, (np.ndarray, np.generic)):
        if value.nbytes > LARGEST or value.dtype.hasobject:
            raise _Unlike
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (list, tuple, range)):
        return type(value), tuple(_part(each) for each in value)
    if isinstance(value, slice):
        return slice, _part((value.start, value.stop, value.step))
    if isinstance(value, (bool, int, float, complex)):
        # A negative zero equals zero, and True equals 1.
        return type(value), repr(value)
    if value is None or value is Ellipsis or isinstance(value, (str, tf.DType)):
        return value
    raise _Unlike
