"""The one door through which lowerings call TensorFlow.

Each call runs, and is written down when a translation is being recorded, so that it can be
printed as source that stands by itself.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

COND = "tf.cond"
WHILE = "tf.while_loop"
INDEX = "[]"


@dataclass(eq=False)
class Block:
    """Steps in order: a function's body, a branch or a loop's body."""

    parameters: list[Any] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Step:
    """One call: `function` is a dotted name from `tf`, or `[]` for an indexing."""

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Unprintable:
    """Stands in a step for what no source can be written of."""

    reason: str


class _Recording(threading.local):
    block: Block | None = None
    count: int = 0


_recording = _Recording()


@contextmanager
def recorded(block: Block | None) -> Iterator[Block | None]:
    """Write the calls made inside into `block`; with `None`, nowhere."""
    before, _recording.block = _recording.block, block
    try:
        yield block
    finally:
        _recording.block = before


def is_recording() -> bool:
    """Whether calls are written down now."""
    return _recording.block is not None


def count() -> int:
    """How many calls were made so far."""
    return _recording.count


@functools.cache
def _find(name: str) -> Callable[..., Any]:
    found: Any = tf
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    function: Callable[..., Any] = found
    return function


def note(
    function: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    result: Any,
    blocks: tuple[Block, ...] = (),
) -> None:
    """Count a call, and write it down where calls are."""
    _recording.count += 1
    if _recording.block is not None:
        _recording.block.steps.append(Step(function, args, kwargs, result, blocks))


def call(name: str, /, *args: Any, **kwargs: Any) -> Any:
    """Call the function of TensorFlow that is known by a dotted name, such as `tf.reverse`."""
    result = _find(name)(*args, **kwargs)
    note(name, args, kwargs, result)
    return result


def index(tensor: Any, key: tuple[Any, ...]) -> Any:
    """`tensor[key]`: integers, slices, `None` and `...`, whose numbers may be tensors."""
    result = tensor[key]
    note(INDEX, (tensor, key), {}, result)
    return result


def _inner() -> Block | None:
    return Block() if is_recording() else None


def cond(
    predicate: Any, then: Callable[[], list[Any]], otherwise: Callable[[], list[Any]]
) -> list[Any]:
    """`tf.cond` on two functions that return tensors, equally many and of equal dtypes."""
    blocks = _inner(), _inner()

    def traced(function: Callable[[], list[Any]], block: Block | None) -> Callable[[], list[Any]]:
        def branch() -> list[Any]:
            with recorded(block):
                results = function()
            if block is not None:
                block.results = list(results)
            # tf.cond takes no empty branches.
            return results or [tf.constant(0)]

        return branch

    result = tf.cond(predicate, traced(then, blocks[0]), traced(otherwise, blocks[1]))
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    if blocks[0] is not None and blocks[1] is not None:
        note(COND, (predicate,), {}, results, (blocks[0], blocks[1]))
    return list(results)


def while_loop(
    test: Callable[[list[Any]], Any],
    body: Callable[[list[Any]], list[Any]],
    state: Sequence[Any],
    shapes: Sequence[tf.TensorShape],
) -> list[Any]:
    """`tf.while_loop` over tensors; `shapes` are what stays the same in each round."""
    blocks = _inner(), _inner()

    def traced_test(*values: Any) -> Any:
        with recorded(blocks[0]):
            result = test(list(values))
        if blocks[0] is not None:
            blocks[0].parameters, blocks[0].results = list(values), [result]
        return result

    def traced_body(*values: Any) -> list[Any]:
        with recorded(blocks[1]):
            results = body(list(values))
        if blocks[1] is not None:
            blocks[1].parameters, blocks[1].results = list(values), results
        return results

    result = tf.while_loop(traced_test, traced_body, list(state), shape_invariants=list(shapes))
    results = list(result)
    if blocks[0] is not None and blocks[1] is not None:
        note(WHILE, (list(state), list(shapes)), {}, results, (blocks[0], blocks[1]))
    return list(results)
