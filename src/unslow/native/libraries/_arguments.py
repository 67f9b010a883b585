"""What is known of arguments when a graph is made, and the refusal of what has no equal."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

from unslow.native.untranslatable import Untranslatable


def refuse(reason: str) -> NoReturn:
    """Raise `Untranslatable` with a sentence."""
    raise Untranslatable(reason)


def need(condition: bool, reason: str) -> None:
    """Raise `Untranslatable` unless a condition holds."""
    if not condition:
        refuse(reason)


def library(name: str) -> ModuleType:
    """A library that the user's program has imported; it is never imported here."""
    module = sys.modules.get(name)
    if module is None:
        refuse(f"{name} is not imported by the program.")
    return module


def traced(value: Any) -> bool:
    """Whether a value, or a part of it, is a tensor whose value is not yet known."""
    if isinstance(value, (tuple, list)):
        return any(traced(each) for each in value)
    return tf.is_tensor(value) and tf.get_static_value(value) is None


def static(value: Any, what: str) -> Any:
    """The plain value of an argument; `what` names it where it is not known."""
    if isinstance(value, tuple):
        return tuple(static(each, what) for each in value)
    if isinstance(value, list):
        return [static(each, what) for each in value]
    if not tf.is_tensor(value):
        return value
    known = tf.get_static_value(value)
    if known is None:
        refuse(f"{what} must be known when the graph is made.")
    return known if np.ndim(known) else known.item()


def image_of(image: Any, ranks: tuple[int, ...], dtypes: str, what: str) -> tf.Tensor:
    """An image as a tensor, with one of the ranks and of the dtypes, else `Untranslatable`.

    `dtypes`: NumPy's names, separated by spaces.
    """
    image = tf.convert_to_tensor(image)
    need(image.shape.rank is not None, f"{what} needs an image of known rank.")
    need(image.shape.rank in ranks, f"{what} is not matched for {image.shape.rank} dimensions.")
    need(image.dtype.name in dtypes.split(), f"{what} is not matched for {image.dtype.name}.")
    return image


def sizes(image: tf.Tensor, what: str) -> tuple[int, ...]:
    """The shape of an image where all of it is known and nothing is empty."""
    shape = image.shape.as_list()
    if any(size is None for size in shape):
        refuse(f"{what} needs a size that is known when the graph is made.")
    need(0 not in shape, f"{what} of an empty array is not matched.")
    return tuple(shape)


def size_of(image: tf.Tensor, axis: int) -> Any:
    """The size along an axis: an integer where it is known, else a tensor."""
    known = image.shape[axis]
    return int(known) if known is not None else tf.shape(image)[axis]
