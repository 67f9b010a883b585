"""How a view looks at the array it is a view of, and how a change of it goes back there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.tracing.surroundings import any_op_will_do

Part = Any
"""An integer, a slice, `None` or `...`; the numbers may be tensors."""


class Lens:
    """`get` takes what is seen out of a whole; `put` makes a new whole of an old one."""

    def get(self, whole: Any) -> Any:
        raise NotImplementedError

    def put(self, whole: Any, seen: Any) -> Any:
        raise NotImplementedError


def is_known(value: Any) -> bool:
    """Whether a value is NumPy's own."""
    return isinstance(value, (np.ndarray, np.generic))


def as_tensor(value: Any) -> Any:
    """A tensor of a NumPy array; tensors stay."""
    return ops.call("tf.constant", value) if is_known(value) else value


def sizes(tensor: Any) -> list[Any]:
    """The size of each axis: an integer, or a tensor where it is not known."""
    if is_known(tensor):
        return list(tensor.shape)
    static = tensor.shape.as_list()
    if all(size is not None for size in static):
        return list(static)
    shape = ops.call("tf.shape", tensor, out_type=_int64())
    return [ops.index(shape, (axis,)) if size is None else size for axis, size in enumerate(static)]


def _int64() -> Any:
    import tensorflow as tf

    return tf.int64


def numbers_of(part: Part) -> list[Any]:
    """The numbers in one part of an index."""
    if isinstance(part, slice):
        return [each for each in (part.start, part.stop, part.step) if each is not None]
    return [] if part is None or part is Ellipsis else [part]


class Index(Lens):
    """Basic indexing: `whole[key]`, with `...` written out."""

    def __init__(self, key: tuple[Part, ...]) -> None:
        self.key = key
        self.static = all(isinstance(n, int) for part in key for n in numbers_of(part))

    def get(self, whole: Any) -> Any:
        if is_known(whole) and self.static:
            return np.asarray(whole)[self.key]
        if any(map(is_open, self.key)) and not any_op_will_do():
            whole, key = _numbers_taken(as_tensor(whole), self.key)
            return whole if all(is_all(part) for part in key) else Index(key).get(whole)
        whole = as_tensor(whole)
        flipped = [axis for axis, part in enumerate(self.key) if _is_turned(part)]
        rest = tuple(slice(None) if _is_turned(part) else part for part in self.key)
        if flipped and all(part is not None for part in self.key):
            whole = ops.call("tf.reverse", whole, axis=flipped)
            return whole if all(is_all(part) for part in rest) else ops.index(whole, rest)
        return whole if all(is_all(part) for part in rest) else ops.index(whole, self.key)

    def put(self, whole: Any, seen: Any) -> Any:
        if is_known(whole) and is_known(seen) and self.static:
            changed = np.array(whole)
            changed[self.key] = seen
            return changed
        whole, seen = as_tensor(whole), as_tensor(seen)
        if all(is_all(part) for part in self.key):
            return seen
        seen = self.without_new_axes(seen)
        begin: list[Any] = []
        end: list[Any] = []
        strides: list[Any] = []
        masks = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0}
        for axis, part in enumerate(part for part in self.key if part is not None):
            if isinstance(part, slice):
                step = 1 if part.step is None else part.step
                masks["begin_mask"] |= (part.start is None) << axis
                masks["end_mask"] |= (part.stop is None) << axis
                begin.append(0 if part.start is None else part.start)
                end.append(0 if part.stop is None else part.stop)
                strides.append(step)
            else:
                masks["shrink_axis_mask"] |= 1 << axis
                begin.append(part)
                end.append(_after(part))
                strides.append(1)
        return ops.call(
            "tf.raw_ops.TensorStridedSliceUpdate",
            input=whole,
            begin=_vector(begin),
            end=_vector(end),
            strides=_vector(strides),
            value=seen,
            **masks,
        )

    def without_new_axes(self, seen: Any) -> Any:
        """What is seen, but for the axes that the key makes."""
        places = [part for part in self.key if part is None or isinstance(part, slice)]
        new = [axis for axis, part in enumerate(places) if part is None]
        return ops.call("tf.squeeze", seen, axis=new) if new else seen


def is_open(part: Part) -> bool:
    """Whether a part is a number that is known only when the graph runs."""
    return hasattr(part, "dtype")


def _numbers_taken(whole: Any, key: tuple[Part, ...]) -> tuple[Any, tuple[Part, ...]]:
    """What those numbers of a key take that are tensors, and what is left of the key.

    The op that takes slices would have XLA compile anew for each value of such a number.
    """
    taken: list[tuple[int, Any]] = []
    left: list[Part] = []
    axis = 0
    for part in key:
        if is_open(part):
            taken.append((axis, part))
        else:
            left.append(part)
        axis += part is not None
    all_sizes = sizes(whole) if taken else []
    index = [(axis, from_start(number, all_sizes[axis])) for axis, number in taken]
    if [axis for axis, _ in index] == list(range(len(index))) and len(index) > 1:
        numbers = ops.call("tf.stack", [_as_int64(number) for _, number in index])
        # The gradient of an index without a first axis cannot be taken.
        found = ops.call("tf.gather_nd", whole, ops.call("tf.expand_dims", numbers, 0))
        return ops.call("tf.squeeze", found, axis=[0]), tuple(left)
    for axis, number in reversed(index):
        whole = ops.call("tf.gather", whole, number, axis=axis)
    return whole, tuple(left)


def from_start(number: Any, size: Any) -> Any:
    """A number that counts from the end where it is negative, counted from the start."""
    if isinstance(number, int):
        if number >= 0:
            return number
        return size + number if isinstance(size, int) else ops.call("tf.add", size, number)
    below = ops.call("tf.less", number, np.int64(0))
    return ops.call("tf.where", below, ops.call("tf.add", number, _as_int64(size)), number)


def is_all(part: Part) -> bool:
    """Whether a part is a slice that takes all of its axis."""
    return isinstance(part, slice) and all(e is None for e in (part.start, part.stop, part.step))


def _is_turned(part: Part) -> bool:
    if not isinstance(part, slice) or part.start is not None or part.stop is not None:
        return False
    return isinstance(part.step, int) and part.step == -1


def _after(number: Any) -> Any:
    if isinstance(number, int):
        return number + 1
    return ops.call("tf.add", number, 1)


def _vector(numbers: Sequence[Any]) -> Any:
    if all(isinstance(number, int) for number in numbers):
        return np.array(numbers, np.int64)
    return ops.call("tf.stack", [_as_int64(number) for number in numbers])


def _as_int64(number: Any) -> Any:
    return np.int64(number) if isinstance(number, int) else number


class Transpose(Lens):
    """Axes in another order."""

    def __init__(self, order: Sequence[int]) -> None:
        self.order = list(order)

    def get(self, whole: Any) -> Any:
        if is_known(whole):
            return np.transpose(whole, self.order)
        return ops.call("tf.transpose", whole, self.order)

    def put(self, whole: Any, seen: Any) -> Any:
        return Transpose([self.order.index(axis) for axis in range(len(self.order))]).get(seen)


def reshape(value: Any, shape: Sequence[Any]) -> Any:
    """The same elements in C order, with another shape; sizes may be tensors."""
    if is_known(value) and all(isinstance(size, int) for size in shape):
        return np.reshape(value, shape)
    value = as_tensor(value)
    return ops.call("tf.reshape", value, static_shape(shape))


def static_shape(shape: Sequence[Any]) -> Any:
    """A shape as TensorFlow takes it."""
    if all(isinstance(size, int) for size in shape):
        return [int(size) for size in shape]
    return ops.call("tf.stack", [_as_int64(size) for size in shape])


class Reshape(Lens):
    """The same elements with another shape."""

    def __init__(self, shape: Sequence[Any]) -> None:
        self.shape = list(shape)

    def get(self, whole: Any) -> Any:
        return reshape(whole, self.shape)

    def put(self, whole: Any, seen: Any) -> Any:
        return reshape(seen, sizes(whole))


class Real(Lens):
    """The real parts of complex numbers."""

    def get(self, whole: Any) -> Any:
        return np.real(whole) if is_known(whole) else ops.call("tf.math.real", whole)

    def put(self, whole: Any, seen: Any) -> Any:
        return ops.call("tf.complex", as_tensor(seen), as_tensor(Imaginary().get(whole)))


class Imaginary(Lens):
    """The imaginary parts of complex numbers."""

    def get(self, whole: Any) -> Any:
        return np.imag(whole) if is_known(whole) else ops.call("tf.math.imag", whole)

    def put(self, whole: Any, seen: Any) -> Any:
        return ops.call("tf.complex", as_tensor(Real().get(whole)), as_tensor(seen))
