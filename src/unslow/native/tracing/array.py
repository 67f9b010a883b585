"""A NumPy array, or a number, whose values are known only when the graph runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from unslow.native.tracing import views
from unslow.native.tracing.dtypes import cast, dtype_of
from unslow.native.tracing.state import Storage
from unslow.native.tracing.views import Lens, is_known
from unslow.native.untranslatable import Untranslatable

Kind = Literal["array", "scalar", "python"]
"""An array, a scalar of NumPy's, or a number of Python's own."""


class Array:
    """What the traced function sees in the place of a NumPy array, or of a number.

    `storage` holds the memory, `lenses` lead from it to what this array shows of it. Numbers
    never change. `readonly`: why it must not be written to, as NumPy has such views.
    """

    __array_priority__ = 1000.0
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        storage: Storage,
        lenses: tuple[Lens, ...] = (),
        kind: Kind = "array",
        readonly: str = "",
    ) -> None:
        self._storage = storage
        self._lenses = lenses
        self._kind: Kind = kind
        self._readonly = readonly
        self._seen: tuple[int, Any, Any] | None = None
        self._form: tuple[np.dtype[Any], list[int | None]] | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        from unslow.native.methods import METHODS

        if name in METHODS:
            return functools.partial(METHODS[name], self)
        what = {"array": "an array", "scalar": "a scalar", "python": "a number"}[self._kind]
        raise Untranslatable(f"the attribute `{name}` of {what} has no translation")

    @property
    def dtype(self) -> np.dtype[Any]:
        if self._kind == "python":
            raise Untranslatable("a number of Python's has no dtype")
        return dtype_of(read(self))

    @property
    def ndim(self) -> int:
        return ndim(self)

    @property
    def shape(self) -> tuple[Any, ...]:
        return tuple(number(size) for size in views.sizes(read(self)))

    @property
    def size(self) -> Any:
        total: Any = 1
        for size in self.shape:
            total = total * size
        return total

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> Any:
        return self.size * self.itemsize

    @property
    def T(self) -> Array:
        return view(self, views.Transpose(range(ndim(self))[::-1]))

    @property
    def mT(self) -> Any:
        return _numpy(np.swapaxes, self, -1, -2)

    @property
    def real(self) -> Any:
        return _numpy(np.real, self)

    @property
    def imag(self) -> Any:
        return _numpy(np.imag, self)

    @property
    def flat(self) -> Any:
        from unslow.native.tracing.sequences import Flat

        return Flat(self)

    def __getitem__(self, key: Any) -> Any:
        from unslow.native.tracing.indexing import take

        return take(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        from unslow.native.tracing.assigning import assign

        assign(self, key, value)

    def __len__(self) -> int:
        if not ndim(self):
            raise Untranslatable("NumPy raises TypeError: len() of unsized object")
        size = self.shape[0]
        if isinstance(size, Array):
            raise Untranslatable("its length is known only when the graph runs")
        return int(size)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __contains__(self, value: Any) -> Any:
        return bool(_numpy(np.any, self == value))

    def __bool__(self) -> bool:
        return bool(_known(self, "the graph's course would have to depend on it here"))

    def __int__(self) -> int:
        return int(_known(self))

    def __index__(self) -> int:
        return int(_known(self).__index__())

    def __float__(self) -> float:
        return float(_known(self))

    def __complex__(self) -> complex:
        return complex(_known(self))

    def __str__(self) -> str:
        raise Untranslatable("it cannot become text: its values are known when the graph runs")

    __format__ = __str__  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self._kind} {read(self)!r}>"

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.asarray(_known(self), *args)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _numpy(getattr(ufunc, method) if method != "__call__" else ufunc, *inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _numpy(function, *args, **kwargs)

    def __neg__(self) -> Any:
        return _operate("neg", self)

    def __pos__(self) -> Any:
        return _operate("pos", self)

    def __abs__(self) -> Any:
        return _operate("abs", self)

    def __invert__(self) -> Any:
        return _operate("invert", self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __round__(self, digits: Any = None) -> Any:
        if digits is None:
            return to_python(_numpy(np.rint, self), int)
        return _numpy(np.round, self, digits)


def _operate(name: str, *operands: Any) -> Any:
    from unslow.native.tracing.operators import operate

    return operate(name, *operands)


def _numpy(function: Any, *args: Any, **kwargs: Any) -> Any:
    from unslow.native.dispatch import call_numpy

    return call_numpy(function, args, kwargs)


def _binary(name: str, swapped: bool = False) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        if isinstance(other, (str, bytes, dict, set, type(None))) and name not in ("eq", "ne"):
            return NotImplemented
        return _operate(name, other, self) if swapped else _operate(name, self, other)

    return method


def _in_place(name: str) -> Callable[[Any, Any], Any]:
    def method(self: Any, other: Any) -> Any:
        from unslow.native.tracing.operators import operate_in_place

        return operate_in_place(name, self, other)

    return method


BINARY = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
]
for _name in BINARY:
    setattr(Array, f"__{_name}__", _binary(_name))
    setattr(Array, f"__r{_name}__", _binary(_name, swapped=True))
    setattr(Array, f"__i{_name}__", _in_place(_name))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Array, f"__{_name}__", _binary(_name))


def _known(array: Array, why: str = "its value is known only when the graph runs") -> Any:
    value = read(array)
    if not is_known(value):
        raise Untranslatable(why)
    return value


def read(array: Array) -> Any:
    """The array's present values: NumPy's, or a tensor."""
    value = array._storage.read()
    if not array._lenses:
        return value
    graph = None if is_known(value) else _graph()
    seen = array._seen
    if seen is not None and seen[0] == array._storage.version and seen[1] is graph:
        return seen[2]
    for lens in array._lenses:
        value = lens.get(value)
    array._seen = (array._storage.version, graph, value)
    return value


def _graph() -> Any:
    import tensorflow as tf

    return tf.compat.v1.get_default_graph()


def write(array: Array, value: Any) -> None:
    """Change the array in place; `value` has its shape, and gets its dtype."""
    if array._kind != "array":
        raise Untranslatable("a scalar cannot be changed in place")
    if array._readonly:
        raise Untranslatable(array._readonly)
    whole = array._storage.read()
    array._storage.write(_put(whole, array._lenses, cast(value, dtype_of(read(array)))))


def _put(whole: Any, lenses: tuple[Lens, ...], value: Any) -> Any:
    from unslow.native.tracing.masks import put

    if not lenses:
        return value
    if len(lenses) > 1:
        value = _put(lenses[0].get(whole), lenses[1:], value)
    return put(lenses[0], whole, value)


def view(array: Array, lens: Lens, *, readonly: str = "") -> Array:
    """The array seen through a lens: a view."""
    if array._kind != "array":
        return fresh(lens.get(read(array)))
    lenses = (*array._lenses, lens)
    return Array(array._storage, lenses, "array", readonly or array._readonly)


def fresh(value: Any, *, c_order: bool = True, fixed: str = "") -> Array:
    """An array with memory of its own."""
    value = np.asarray(value) if is_known(value) else value
    return Array(Storage(value, c_order=c_order, fixed=fixed))


def outside(value: np.ndarray[Any, Any]) -> Array:
    """An array that was there before the function ran, and must not be changed."""
    return fresh(value, fixed="an array from outside is changed: a side effect")


def result(value: Any, kind: Kind = "array", *, c_order: bool = True) -> Any:
    """What NumPy returns: an array, or where it has no axes, a scalar. Known scalars are NumPy's.

    `kind` other than `array` says what it is where it has no axes.
    """
    if _rank(value):
        return fresh(value, c_order=c_order)
    if is_known(value):
        return python_number(value) if kind == "python" else np.asarray(value)[()]
    return Array(Storage(value), (), "scalar" if kind == "array" else kind)


def number(value: Any) -> Any:
    """One of Python's own numbers, of an integer or a tensor without axes."""
    if isinstance(value, (bool, int, float, complex)):
        return value
    if is_known(value):
        return python_number(value)
    return Array(Storage(value), (), "python")


def python_number(value: Any) -> Any:
    """The number of Python's that a known scalar of NumPy's is."""
    return np.asarray(value).item()


def _rank(value: Any) -> int:
    if is_known(value):
        return int(value.ndim)
    rank = value.shape.rank
    if rank is None:
        raise Untranslatable("its number of axes is not known")
    return int(rank)


def ndim(array: Array) -> int:
    """How many axes it has.

    Raises:
        Untranslatable: that is not known.
    """
    return _rank(read(array))


def is_traced(value: Any) -> bool:
    """Whether it is an array or number whose value the graph knows."""
    return isinstance(value, Array) and not is_known(value._storage._value)


def is_number(value: Any) -> bool:
    """Whether it is a number of Python's, known or traced."""
    if isinstance(value, Array):
        return value._kind == "python"
    return isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic)


def to_python(value: Any, kind: type) -> Any:
    """`int(value)`, `float(value)`, `bool(value)` or `complex(value)`."""
    if not is_traced(value):
        return kind(_known(value)) if isinstance(value, Array) else kind(value)
    tensor = read(value)
    source = dtype_of(tensor)
    if _rank(tensor):
        if tensor.shape.num_elements() != 1:
            raise Untranslatable("only an array of one element becomes a number")
        tensor = views.reshape(tensor, [])
    if source.kind == "c" and kind in (int, float):
        raise Untranslatable("a complex number does not become a real one")
    target = {int: "int64", float: "float64", bool: "bool", complex: "complex128"}[kind]
    if source == np.uint64 and kind is int:
        raise Untranslatable("numbers above 2**63 are not followed")
    return number(cast(tensor, target))
