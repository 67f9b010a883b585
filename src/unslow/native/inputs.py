"""What a function is tried with: inputs that are given, and edge values made like them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

OPEN_SIZES = (5, 3, 7, 4)
"""Sizes that stand for open ones, one after the other."""

DTYPES = frozenset(
    f"{kind}{bits}"
    for kind, sizes in (
        ("bool", [""]),
        ("int", [8, 16, 32, 64]),
        ("uint", [8, 16, 32, 64]),
        ("float", [16, 32, 64]),
        ("complex", [64, 128]),
    )
    for bits in sizes
)
"""NumPy's dtypes that TensorFlow has."""

_FORM = re.compile(r"(\w+)\[([\d?,\s]*)\]")


class InputError(ValueError):
    """An input that cannot be read; the message says why."""


@dataclass(frozen=True)
class Input:
    """One argument: an array, and its shape, with `None` for sizes that are open."""

    value: Any
    shape: tuple[int | None, ...]
    made: bool

    @property
    def spec(self) -> Any:
        """The `tf.TensorSpec` that a translation is made for."""
        import tensorflow as tf

        return tf.TensorSpec(self.shape, self.value.dtype)


def read(text: str, seed: int = 0) -> Input:
    """An input from its text.

    `float32[96,96,3]`: numbers of that dtype and shape, made from `seed`; whole numbers cover
    their type's range up to 255, others lie between 0 and 1. `?` is a size that is open.
    `photo.npy`: the array in that file. Else a Python literal: a number or nested lists.

    Raises:
        InputError: it is none of these.
    """
    form = _FORM.fullmatch(text.strip())
    if form is not None:
        return _made(text, form[1], form[2], seed)
    if text.endswith(".npy"):
        try:
            array = np.load(Path(text), allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{text}: {error}") from error
        return _given(text, array)
    try:
        array = np.asarray(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError(
            f"{text}: not DTYPE[SIZES] as in float32[96,96,3], not a .npy file, not a literal"
        ) from error
    if array.dtype.kind not in "biufc":
        raise InputError(f"{text}: not a number or numbers")
    return _given(text, array)


def _given(text: str, array: Any) -> Input:
    if array.dtype.name not in DTYPES:
        raise InputError(f"{text}: TensorFlow has no dtype {array.dtype.name}")
    return Input(array, array.shape, made=False)


def _made(text: str, dtype: str, sizes: str, seed: int) -> Input:
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise InputError(f"{text}: NumPy has no dtype {dtype}") from error
    if kind.kind not in "biufc":
        raise InputError(f"{text}: {dtype} is no dtype of numbers")
    if kind.name not in DTYPES:
        raise InputError(f"{text}: TensorFlow has no dtype {kind.name}")
    try:
        shape = tuple(
            None if size.strip() == "?" else int(size) for size in sizes.split(",") if size.strip()
        )
    except ValueError as error:
        raise InputError(f"{text}: a size is a whole number, or ? where it is open") from error
    open_sizes = iter(OPEN_SIZES * len(shape))
    full = tuple(next(open_sizes) if size is None else size for size in shape)
    try:
        return Input(drawn(kind, full, np.random.default_rng(seed)), shape, made=True)
    except (MemoryError, ValueError) as error:
        raise InputError(f"{text}: too large to make") from error


def drawn(dtype: np.dtype[Any], shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    """Numbers of a dtype: truth values, whole numbers up to 255, or from 0 to 1."""
    if dtype.kind == "b":
        return generator.random(shape) < 0.5
    if dtype.kind in "iu":
        return generator.integers(
            0, min(int(np.iinfo(dtype).max), 255), shape, endpoint=True
        ).astype(dtype)
    numbers = generator.random(shape)
    return (numbers + 1j * generator.random(shape) if dtype.kind == "c" else numbers).astype(dtype)


def cases(inputs: Sequence[Input], seed: int = 0) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Arguments to compare results for, with words for each: first what was given.

    Where inputs were made: others of the kind, negative ones, zeros, the ends of the dtypes'
    ranges, NaN and infinities, and empty arrays where a size is open.
    """
    yield "as given", tuple(each.value for each in inputs)
    generator = np.random.default_rng(seed + 1)
    changes: tuple[tuple[str, Callable[[Any], Any]], ...] = (
        ("other numbers", lambda array: drawn(array.dtype, array.shape, generator)),
        ("negative numbers", lambda array: _signed(array, generator)),
        ("zeros", np.zeros_like),
        ("the ends of the range", lambda array: _extremes(array, generator)),
        ("NaN and infinities", lambda array: _not_finite(array, generator)),
    )
    for name, change in changes:
        changed = tuple(change(each.value) if each.made else None for each in inputs)
        if any(new is not None for new in changed):
            pairs = zip(changed, inputs, strict=True)
            yield name, tuple(old.value if new is None else new for new, old in pairs)
    if any(each.made and None in each.shape for each in inputs):
        yield "empty arrays", tuple(_empty(each) for each in inputs)


def _signed(array: Any, generator: np.random.Generator) -> Any:
    if array.dtype.kind == "i":
        least = max(int(np.iinfo(array.dtype).min), -255)
        return generator.integers(least, 1, array.shape).astype(array.dtype)
    if array.dtype.kind == "f":
        return generator.normal(scale=2.0, size=array.shape).astype(array.dtype)
    return None


def _extremes(array: Any, generator: np.random.Generator) -> Any:
    if array.dtype.kind in "iu":
        ends = np.iinfo(array.dtype)
    elif array.dtype.kind == "f":
        ends = np.finfo(array.dtype)
    else:
        return None
    chosen = np.array([ends.min, ends.max, 0, 1], array.dtype)
    return generator.choice(chosen, array.shape)


def _not_finite(array: Any, generator: np.random.Generator) -> Any:
    if array.dtype.kind != "f":
        return None
    some = np.array([np.nan, np.inf, -np.inf, -0.0], array.dtype)
    plain = drawn(array.dtype, array.shape, generator)
    return np.where(generator.random(array.shape) < 0.2, generator.choice(some, array.shape), plain)


def _empty(each: Input) -> Any:
    if not each.made or None not in each.shape:
        return each.value
    return np.zeros(tuple(0 if size is None else size for size in each.shape), each.value.dtype)
