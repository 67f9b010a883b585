"""The one door through which lowerings call TensorFlow.

Each call runs, and is written down when a translation is being recorded, so that it can be
printed as source that stands by itself.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native.folding import must_be_hidden
from unslow.native.reuse import key_of

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


def calls(block: Block, function: str) -> bool:
    """Whether a function is called in it, by the name that a step has for it."""
    return any(
        step.function == function or any(calls(inner, function) for inner in step.blocks)
        for step in block.steps
    )


def has_loops(block: Block) -> bool:
    """Whether there are loops in it that the graph runs step by step."""
    return calls(block, WHILE)


def count_samples(block: Block) -> int:
    """How many times the pixels of an image are taken, each from a place of its own."""
    inside = sum(count_samples(inner) for step in block.steps for inner in step.blocks)
    return inside + sum(
        step.function == "tf.raw_ops.GatherV2"
        and (step.kwargs["params"].shape.rank, step.kwargs["indices"].shape.rank) == (2, 2)
        for step in block.steps
    )


def sizes_are_known(block: Block) -> bool:
    """Whether no size of what is made in it hangs on values."""
    return all(
        all(each.shape.is_fully_defined() for each in _tensors_of(step.result))
        and all(map(sizes_are_known, step.blocks))
        for step in block.steps
    )


def _tensors_of(result: Any) -> list[Any]:
    return [each for each in tf.nest.flatten(result) if tf.is_tensor(each)]


@dataclass(frozen=True)
class Unprintable:
    """Stands in a step for what no source can be written of."""

    reason: str


class _Recording(threading.local):
    block: Block | None = None
    count: int = 0
    loops: int = 0
    moment: Any = None
    made: dict[Any, Any] | None = None


_recording = _Recording()


@contextmanager
def recorded(block: Block | None) -> Iterator[Block | None]:
    """Write the calls made inside into `block`; with `None`, nowhere.

    Inside, of equal calls only the first is made.
    """
    before = _recording.block, _recording.made
    _recording.block, _recording.made = block, {}
    try:
        yield block
    finally:
        _recording.block, _recording.made = before


@contextmanager
def loops_until(moment: tf.Tensor) -> Iterator[None]:
    """Let loops of the graph that are made inside end when `tf.timestamp()` is past `moment`."""
    before, _recording.moment = _recording.moment, moment
    try:
        yield
    finally:
        _recording.moment = before


def is_recording() -> bool:
    """Whether calls are written down now."""
    return _recording.block is not None


def count() -> int:
    """How many calls were made so far."""
    return _recording.count


def loops() -> int:
    """How many loops of the graph were made so far."""
    return _recording.loops


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
    if name == "tf.add" and must_be_hidden(*args[:2]):
        args = (args[0], hidden(args[1]), *args[2:])
    elif name == "tf.stack" and len(args[0]) > 1 and must_be_hidden(args[0][0], args[0][-1]):
        args = ([*args[0][:-1], hidden(args[0][-1])], *args[1:])
    return _made(name, _find(name), args, kwargs)


def hidden(tensor: Any) -> Any:
    """The same tensor; TensorFlow's optimiser does not see how it was made."""
    return call("tf.raw_ops.Snapshot", input=tensor)


def _made(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    known = _recording.made
    key = key_of(name, args, kwargs) if known is not None else None
    if known is not None and key in known:
        return known[key]
    operands = args if known is None or name not in _SHARING else [_constant(each) for each in args]
    result = function(*operands, **kwargs)
    note(name, args, kwargs, result)
    if known is not None and key is not None and tf.is_tensor(result):
        known[key] = result
    return result


_SHARING = {
    *(f"tf.{name}" for name in ("add", "subtract", "multiply", "divide", "minimum", "maximum")),
    *(f"tf.{name}" for name in ("less", "less_equal", "greater", "greater_equal", "equal")),
    *(f"tf.bitwise.bitwise_{name}" for name in ("and", "or", "xor")),
    *("tf.bitwise.left_shift", "tf.bitwise.right_shift", "tf.where", "tf.gather"),
}
"""Functions whose known operands are made tensors once for all of them.

TensorFlow would make each anew, and prepare each anew in every epoch of a pipeline.
"""


def _constant(value: Any) -> Any:
    known = _recording.made
    if known is None or not isinstance(value, (np.ndarray, np.generic)):
        return value
    key = key_of("an operand", (value,), {})
    if key is None:
        return value
    if key not in known:
        known[key] = tf.constant(value)
    return known[key]


def note_loop() -> None:
    """Count a loop of the graph."""
    _recording.loops += 1


def placeholder(dtype: Any, shape: Any) -> Any:
    """A tensor that nobody computes, in a graph that nobody runs."""
    _recording.count += 1
    return tf.raw_ops.Placeholder(dtype=tf.as_dtype(dtype), shape=tf.TensorShape(shape))


def index(tensor: Any, key: tuple[Any, ...]) -> Any:
    """`tensor[key]`: integers, slices, `None` and `...`, whose numbers may be tensors."""
    return _made(INDEX, operator.getitem, (tensor, key), {})


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
    note_loop()
    blocks = _inner(), _inner()

    def traced_test(*values: Any) -> Any:
        with recorded(blocks[0]):
            result = test(list(values))
        if blocks[0] is not None:
            blocks[0].parameters, blocks[0].results = list(values), [result]
        if _recording.moment is not None:
            result = tf.logical_and(result, tf.timestamp() < _recording.moment)
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
