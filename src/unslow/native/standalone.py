"""A NumPy function as TensorFlow source that stands by itself, and that source run again."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from unslow.native.function import Native, Random, Translation, native
from unslow.native.printing import source_of


def translated(function: Callable[..., Any], specs: Sequence[Any], random: Random = None) -> str:
    """The source of a function of TensorFlow that does what a NumPy function does.

    `specs`: a `tf.TensorSpec` for each argument; sizes may be open.

    Raises:
        Untranslatable: it has no equal in TensorFlow's ops.
    """
    return source_of(traced(native(function, random=random), specs))


def traced(function: Native, specs: Sequence[Any]) -> Translation:
    """A translation for arguments like `specs`, in a graph of its own.

    Raises:
        Untranslatable: the function has no equal in TensorFlow's ops.
    """
    with tf.Graph().as_default():
        given = [tf.compat.v1.placeholder(each.dtype, each.shape) for each in specs]
        return function.translate(*given)


def loaded(source: str, specs: Sequence[Any]) -> Callable[..., Any]:
    """What such source defines, compiled for tensors like these."""
    names: dict[str, Any] = {}
    exec(compile(source, "<translation>", "exec"), names)
    # What it is made with comes before it.
    *_, found = (each for each in names.values() if isinstance(each, types.FunctionType))
    return tf.function(found, input_signature=list(specs), autograph=False)  # type: ignore[no-any-return]
