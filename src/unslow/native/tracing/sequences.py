"""What a loop runs over, where the elements or their number are known only in the graph."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from unslow.native.tracing.array import Array, fresh, ndim, read, to_python
from unslow.native.tracing.dtypes import dtype_of
from unslow.native.tracing.state import make, may_change, session
from unslow.native.untranslatable import Untranslatable


class Sequence:
    """Elements that are made when asked for, as many as `length`, which may be traced.

    `length` may be a function: how many there are now. `uniform`: all elements have the same
    kind, dtype and shape, so that a loop of the graph can run over them. `type`: what Python
    says it is.
    """

    type: type = object

    def __init__(
        self, length: Any, get: Callable[[Any], Any], uniform: bool = True, once: bool = False
    ) -> None:
        self._length = length
        self.get = get
        self.uniform = uniform
        self.once = once
        self._spent = False

    @property
    def length(self) -> Any:
        return self._length() if callable(self._length) else self._length

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
        return self._elements()

    def _elements(self) -> Iterator[Any]:
        index = 0
        while index < len(self):
            yield self.get(index)
            index += 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.get(each) for each in range(*index.indices(len(self)))]
        if not isinstance(index, Array) and index < 0:
            index = index + self.length
        if not isinstance(index, Array) and not isinstance(self.length, Array):
            range(self.length)[index]  # raises what Python raises
        return self.get(index)


class Iteration(Sequence):
    """Elements that can be run over once: what `zip` and the like return."""

    def __init__(self, kind: type, length: Any, get: Callable[[Any], Any], uniform: bool) -> None:
        self.type = kind
        super().__init__(length, get, uniform, once=True)


class Range(Sequence):
    """`range` with traced bounds."""

    type = range

    def __init__(self, *bounds: Any) -> None:
        bounds = tuple(_whole(each) for each in bounds)
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


def _whole(bound: Any) -> Any:
    """A bound of a range as an integer of Python's, which does not wrap around."""
    if not isinstance(bound, Array):
        return operator.index(bound)
    kind = dtype_of(read(bound)).kind
    if ndim(bound) or kind not in ("iub" if bound._kind == "python" else "iu"):
        raise Untranslatable("Python raises TypeError: a bound of a range is no integer")
    return to_python(bound, int)


class ArrayList(Sequence):
    """`array.tolist()`: a list that is made only as far as it is needed."""

    type = list

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

    type = np.flatiter

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
        found = self._ravelled()[index]
        return fresh(read(found)) if isinstance(found, Array) and found._kind == "array" else found

    def __setitem__(self, index: Any, value: Any) -> None:
        self._ravelled()[index] = value


_NUMBERED = (Sequence, Array, range, list, tuple, str)


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
    if isinstance(iterable, _NUMBERED):
        return Sequence(lambda: len(iterable), lambda index: iterable[index], uniform=False)
    return None


def zipped(*iterables: Any) -> Any:
    """`zip`."""
    if not all(isinstance(each, _NUMBERED) for each in iterables):
        return None
    sequences = [each for each in map(sequence_of, iterables) if each is not None]
    from unslow.native.tracing.operators import lesser_of

    def shortest() -> Any:
        return functools.reduce(lesser_of, [each.length for each in sequences])

    uniform = all(each.uniform for each in sequences)
    length = shortest() if uniform else shortest
    return Iteration(
        zip, length, lambda index: tuple(each.get(index) for each in sequences), uniform
    )


class Generator:
    """What a generator expression, `map` or `filter` gives: values that are made when asked for.

    `type`: what Python says it is. `frame`: the names that the values are made with. `sources`:
    what else they are made of.
    """

    def __init__(
        self, kind: type, values: Iterator[Any], frame: Any = None, sources: tuple[Any, ...] = ()
    ) -> None:
        self.type = kind
        self.frame = frame
        self.sources = sources
        self._values = values
        make(self)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not may_change(self):
            raise Untranslatable("an iterator from outside a branch of the graph goes on in it")
        if self.frame is None:
            return next(self._values)
        stack = session().stack
        stack.append(self.frame)
        try:
            return next(self._values)
        finally:
            stack.remove(self.frame)


class Fetched(Sequence):
    """The values of any iterator, each fetched when a loop comes to it.

    `length` is how many there are at least: one more than were looked at, until the end.
    """

    def __init__(self, values: Any) -> None:
        self.values = iter(values)
        self.found: list[Any] = []
        self.looked_at = 0
        super().__init__(self._at_least, self._value, uniform=False)

    def _at_least(self) -> int:
        self._fetch(self.looked_at + 1)
        return len(self.found)

    def _value(self, index: int) -> Any:
        self.looked_at = max(self.looked_at, index + 1)
        return self.found[index]

    def _fetch(self, count: int) -> None:
        while len(self.found) < count:
            try:
                self.found.append(next(self.values))
            except StopIteration:
                return

    def fetch_all(self, most: int) -> None:
        """Fetch what is left, before a branch of the graph looks at it.

        Raises:
            Untranslatable: it would not be the same now, or there are more than `most`.
        """
        if isinstance(self.values, Generator):
            raise Untranslatable("a loop over what is made on the way may be left at any round")
        self._fetch(most + 1)
        if len(self.found) > most:
            raise Untranslatable(f"a loop of more than {most} rounds that may be left at any")
        self._length = len(self.found)


def enumerated(iterable: Any, start: Any = 0) -> Any:
    """`enumerate`."""
    inner = sequence_of(iterable)
    if inner is None:
        return None
    length = inner.length if inner.uniform else lambda: inner.length
    return Iteration(
        enumerate, length, lambda index: (start + index, inner.get(index)), inner.uniform
    )


def turned(iterable: Any) -> Any:
    """`reversed`."""
    inner = sequence_of(iterable)
    if inner is None:
        return None
    length = inner.length
    kind = type(reversed(iterable)) if isinstance(iterable, (list, range)) else reversed
    return Iteration(kind, length, lambda index: inner.get(length - 1 - index), inner.uniform)
