"""What a loop runs over, where the elements or their number are known only in the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from unslow.native.tracing.array import Array, is_traced, ndim, number, read, to_python
from unslow.native.untranslatable import Untranslatable


class Sequence:
    """Elements that are made when asked for, as many as `length`, which may be traced.

    `uniform`: all elements have the same kind, dtype and shape, so that a loop of the graph can
    run over them.
    """

    def __init__(
        self, length: Any, get: Callable[[Any], Any], uniform: bool = True, once: bool = False
    ) -> None:
        self.length = length
        self.get = get
        self.uniform = uniform
        self.once = once
        self._spent = False

    def begin(self) -> None:
        """Start to run over the elements.

        Raises:
            Untranslatable: that can be done once, and was.
        """
        if self.once and self._spent:
            raise Untranslatable("an iterator is run over a second time")
        self._spent = True

    def __len__(self) -> int:
        if isinstance(self.length, Array):
            raise Untranslatable("its length is known only when the graph runs")
        return int(self.length)

    def __iter__(self) -> Iterator[Any]:
        self.begin()
        return (self.get(index) for index in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.get(each) for each in range(*index.indices(len(self)))]
        if not isinstance(index, Array) and index < 0:
            index = index + self.length
        if not isinstance(index, Array) and not isinstance(self.length, Array):
            range(self.length)[index]  # raises what Python raises
        return self.get(index)


class Range(Sequence):
    """`range` with traced bounds."""

    def __init__(self, *bounds: Any) -> None:
        start, stop, step = 0, bounds[0], 1
        if len(bounds) > 1:
            start, stop = bounds[:2]
        if len(bounds) > 2:
            step = bounds[2]
        if isinstance(step, Array):
            raise Untranslatable("the step of a range must be known")
        if step == 0:
            raise Untranslatable("Python raises ValueError: range() arg 3 must not be zero")
        from unslow.native.tracing.operators import greater_of

        span = (stop - start + step - 1) // step if step > 0 else (start - stop - step - 1) // -step
        self.start, self.step = start, step
        length = greater_of(to_python(span, int), 0)
        super().__init__(length, lambda index: start + index * step)


class ArrayList(Sequence):
    """`array.tolist()`: a list that is made only as far as it is needed."""

    def __init__(self, array: Array) -> None:
        self.array = array
        super().__init__(array.shape[0], self._element)

    def _element(self, index: Any) -> Any:
        element = self.array[index]
        if isinstance(element, Array) and ndim(element):
            return ArrayList(element)
        return element.item()


class Flat(Sequence):
    """`array.flat`."""

    def __init__(self, array: Array) -> None:
        self.array = array
        super().__init__(array.size, lambda index: self._ravelled()[index])

    def _ravelled(self) -> Any:
        from unslow.native.tracing.views import Reshape

        return Array(
            self.array._storage,
            (*self.array._lenses, Reshape([-1])),
            "array",
            self.array._readonly,
        )

    def __getitem__(self, index: Any) -> Any:
        return self._ravelled()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._ravelled()[index] = value


def sequence_of(iterable: Any) -> Sequence | None:
    """The elements of an iterable one by one by number, `None` where it has no such order."""
    if isinstance(iterable, Sequence):
        iterable.begin()
        return iterable
    if isinstance(iterable, Array):
        if iterable._kind != "array" or not ndim(iterable):
            raise Untranslatable("NumPy raises TypeError: iteration over a 0-d array")
        return Sequence(iterable.shape[0], lambda index: iterable[index])
    if isinstance(iterable, range):
        start, step = iterable.start, iterable.step
        return Sequence(len(iterable), lambda index: start + index * step)
    if isinstance(iterable, (list, tuple, str)):
        return Sequence(len(iterable), lambda index: iterable[index], uniform=False)
    return None


def zipped(*iterables: Any) -> Any:
    """`zip`."""
    found = [sequence_of(each) for each in iterables]
    sequences = [each for each in found if each is not None]
    if len(sequences) < len(iterables):
        return None
    lengths = [each.length for each in sequences]
    shortest: Any = lengths[0]
    from unslow.native.tracing.operators import lesser_of

    for length in lengths[1:]:
        shortest = lesser_of(shortest, length)
    uniform = all(each.uniform for each in sequences)
    return Sequence(
        shortest, lambda index: tuple(each.get(index) for each in sequences), uniform, once=True
    )


def once(values: list[Any]) -> Sequence:
    """An iterator over values."""
    return Sequence(len(values), lambda index: values[index], uniform=False, once=True)


def enumerated(iterable: Any, start: Any = 0) -> Any:
    """`enumerate`."""
    inner = sequence_of(iterable)
    if inner is None:
        return None
    return Sequence(
        inner.length, lambda index: (start + index, inner.get(index)), inner.uniform, once=True
    )


def turned(iterable: Any) -> Any:
    """`reversed`."""
    inner = sequence_of(iterable)
    if inner is None:
        return None
    return Sequence(
        inner.length, lambda index: inner.get(inner.length - 1 - index), inner.uniform, once=True
    )


def index_number(index: Any) -> Any:
    """An integer index as a number: known, or a tensor."""
    return read(index) if is_traced(index) else number(index)
