"""Live objects read into their normal form. TensorFlow is used where it is loaded, never loaded."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import fractions
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

from unslow.experiment.values import arrays
from unslow.experiment.values.snapshot import (
    Array,
    Back,
    Digest,
    Mapping,
    Members,
    Opaque,
    Packed,
    Record,
    Scalar,
    Sequence,
    Snapshot,
    Written,
)
from unslow.seams import loaded, loaded_keras

DEPTH = 60
"""Levels of containers that are read."""

MOST = 1_000_000
"""Values that are read of one; long lists of numbers or texts count as one."""

MANY = 16
"""From this length on, a list of numbers of one type is packed."""

_NUMBERS = {float: "float64", int: "int64", bool: "bool"}
_WRITTEN = (decimal.Decimal, fractions.Fraction, pathlib.PurePath)
_PLAIN = (list, tuple, dict, set, frozenset)
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))


def type_name(value: Any) -> str:
    """The name of an object's type, whatever its metaclass does."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name


class Reader:
    """Reads one value, of which about `limit` bytes are kept."""

    def __init__(self, limit: int) -> None:
        self._bytes = limit
        self._values = MOST
        self._above: dict[int, int] = {}
        self._known: dict[int, Snapshot] = {}
        self._alive: list[Any] = []
        self._cuts = 0
        self._keras_readers = _keras_readers()

    def read(self, value: Any) -> Snapshot:
        kind = type_name(value)
        if self._values <= 0:
            return Opaque(kind, "there are too many values")
        self._values -= 1
        if value is None or value is ... or type(value) in (bool, int, float, complex):
            return Scalar(kind, value)
        key = id(value)
        if key in self._known:
            return self._known[key]
        if key in self._above:
            self._cuts += 1
            return Back(len(self._above) - self._above[key])
        if len(self._above) >= DEPTH:
            self._cuts += 1
            return Opaque(kind, "it lies too deep")
        self._above[key] = len(self._above)
        cuts = self._cuts
        try:
            snapshot = self._read(value, kind)
        except Exception as error:
            # Properties, comparisons and lengths are the user's code and may do anything.
            snapshot = Opaque(kind, f"reading it raised {type_name(error)}")
        finally:
            del self._above[key]
        if cuts == self._cuts:
            # Held, so that no other object gets its identity. What leads back up is not known
            # elsewhere: from there it would lead to another place.
            self._known[key] = snapshot
            self._alive.append(value)
        return snapshot

    def _read(self, value: Any, kind: str) -> Snapshot:
        if type(value) in (str, bytes):
            return self._builtin(value, kind)
        if type(value) in _PLAIN:
            return self._container(value, kind) or Opaque(kind)
        if isinstance(value, enum.Enum):
            return Written(kind, str(value.name))
        for read in (self._array, self._tensor, self._keras, self._table, self._container):
            snapshot = read(value, kind)
            if snapshot is not None:
                return snapshot
        return self._builtin(value, kind)

    def _builtin(self, value: Any, kind: str) -> Snapshot:
        if isinstance(value, str):
            return self._text(kind, "str", str.__str__(value))
        if isinstance(value, (bytes, bytearray)):
            return self._text(kind, "bytes", bytes(memoryview(value)))
        if isinstance(value, bool):
            return Scalar(kind, value)
        if isinstance(value, int):
            return Scalar(kind, int.__add__(value, 0))
        if isinstance(value, float):
            return Scalar(kind, float.__float__(value))
        if isinstance(value, complex):
            return Scalar(kind, complex.__add__(value, 0))
        if isinstance(value, (*_WRITTEN, range, slice)):
            return Written(kind, str(value))
        return Opaque(kind)

    def _text(self, kind: str, dtype: str, text: Any) -> Snapshot:
        if len(text) <= self._bytes:
            self._bytes -= len(text)
            return Scalar(kind, text)
        numpy = loaded("numpy")
        if numpy is None:
            return Opaque(kind, "it is larger than the limit")
        whole = numpy.empty((), dtype=object)
        whole[()] = text
        return Digest(kind, dtype, (), arrays.digest(whole))

    def _container(self, value: Any, kind: str) -> Snapshot | None:
        if isinstance(value, dict):
            # TensorFlow wraps dicts in objects that only look like one.
            pairs = dict.items(value) if issubclass(type(value), dict) else value.items()
            return Mapping(kind, tuple((self.read(key), self.read(item)) for key, item in pairs))
        if isinstance(value, (list, tuple)):
            names = getattr(type(value), "_fields", None) if isinstance(value, tuple) else None
            own: Any = list if isinstance(value, list) else tuple
            if issubclass(type(value), own) and not type(value).__module__.startswith("tensorflow"):
                # Not through a subclass's own iteration, which may do anything.
                items = tuple(own.__iter__(value))
            else:
                # TensorFlow's lists look like one and hold another.
                items = tuple(value)
            if names is not None and len(names) == len(items):
                return self._record(kind, zip(map(str, names), items, strict=True))
            return self._sequence(kind, items)
        if isinstance(value, (set, frozenset)):
            return Members(kind, tuple(self.read(item) for item in value))
        if isinstance(value, collections.deque) or type(value) in _VIEWS:
            return self._sequence(kind, tuple(value))
        if isinstance(value, BaseException):
            return self._record(kind, [("args", value.args)])
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._attributes(value, kind, [f.name for f in dataclasses.fields(value)])
        return None

    def _sequence(self, kind: str, items: tuple[Any, ...]) -> Snapshot:
        types = set(map(type, items)) if len(items) >= MANY else set()
        if len(types) == 1:
            (element,) = types
            numpy = loaded("numpy")
            if element in _NUMBERS and numpy is not None and 8 * len(items) <= self._bytes:
                try:
                    values = numpy.array(items, dtype=_NUMBERS[element])
                except OverflowError:
                    return Sequence(kind, tuple(Scalar("int", item) for item in items))
                self._bytes -= values.nbytes
                return Packed(kind, element.__name__, values)
            if element in (str, bytes) and sum(map(len, items)) <= self._bytes:
                self._bytes -= sum(map(len, items))
                return Packed(kind, element.__name__, items)
        return Sequence(kind, tuple(self.read(item) for item in items))

    def _record(self, kind: str, fields: Iterable[tuple[str, Any]]) -> Record:
        return Record(kind, tuple((name, self.read(value)) for name, value in fields))

    def _attributes(self, value: Any, kind: str, names: Iterable[str]) -> Record:
        """A record of attributes; one that raises is opaque by itself."""
        fields: list[tuple[str, Snapshot]] = []
        for name in names:
            try:
                attribute = getattr(value, name)
            except Exception as error:
                # An attribute may be a property of the user's, or have been deleted.
                fields.append((name, Opaque("", f"reading it raised {type_name(error)}")))
            else:
                fields.append((name, self.read(attribute)))
        return Record(kind, tuple(fields))

    def _array(self, value: Any, kind: str) -> Snapshot | None:
        numpy = loaded("numpy")
        if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
            return None
        if isinstance(value, numpy.str_):
            return self._text(kind, "str", str.__str__(value))
        if isinstance(value, numpy.bytes_):
            return self._text(kind, "bytes", bytes(memoryview(value)))
        if isinstance(value, numpy.ma.MaskedArray):
            mask = numpy.ma.getmaskarray(value)
            return self._record(kind, [("data", value.filled()), ("mask", mask)])
        return self._values_of(kind, numpy.asarray(value))

    def _values_of(self, kind: str, array: Any, dtype: str | None = None) -> Snapshot:
        if array.dtype.names:
            return self._record(kind, [(name, array[name]) for name in array.dtype.names])
        dtype = dtype or arrays.dtype_name(array)
        if array.dtype.kind == "O":
            dtype = arrays.texts_name(array) or dtype
            if dtype == "object":
                items = self._sequence("list", tuple(array.flat))
                return Record(kind, (("shape", self.read(array.shape)), ("values", items)))
        size = arrays.size(array)
        if size > self._bytes:
            return Digest(kind, dtype, array.shape, arrays.digest(array), arrays.summary(array))
        self._bytes -= size
        return Array(kind, dtype, arrays.normal(array))

    def _tensor(self, value: Any, kind: str) -> Snapshot | None:
        tf = loaded("tensorflow")
        if not all(hasattr(tf, name) for name in ("Tensor", "Variable", "Module")):
            return None  # not loaded, or still being loaded
        if isinstance(value, (tf.Tensor, tf.Variable)):
            return self._numbers(value, kind) if hasattr(value, "numpy") else Opaque(kind)
        if isinstance(value, tf.RaggedTensor):
            splits = ("row_splits", tuple(value.nested_row_splits))
            return self._record(kind, [("flat_values", value.flat_values), splits])
        if isinstance(value, tf.SparseTensor):
            return self._attributes(value, kind, ("indices", "values", "dense_shape"))
        if isinstance(value, tf.IndexedSlices):
            return self._attributes(value, kind, ("indices", "values", "dense_shape"))
        if isinstance(value, tf.experimental.ExtensionType):
            flat = tf.nest.flatten(value, expand_composites=True)
            return self._record(kind, [("components", flat)])
        if isinstance(value, tf.TensorShape):
            return Written(kind, str(value))
        if isinstance(value, tf.DType):
            return Written(kind, value.name)
        return None

    def _numbers(self, value: Any, kind: str) -> Snapshot:
        """A tensor or variable whose values can be had, now."""
        numpy = loaded("numpy")
        name = str(getattr(value.dtype, "name", value.dtype))
        read = value.numpy()
        array = numpy.asarray(read, dtype=object) if name == "string" else numpy.asarray(read)
        return self._values_of(kind, array, "bytes" if name == "string" else None)

    def _keras(self, value: Any, kind: str) -> Snapshot | None:
        for owner, read in self._keras_readers:
            if isinstance(value, owner):
                return read(self, value, kind)
        module = getattr(loaded("tensorflow"), "Module", None)
        if module is not None and isinstance(value, module):
            return self._record(kind, [("variables", tuple(value.variables))])
        return None

    def _weights(self, value: Any, kind: str) -> Snapshot:
        return self._record(kind, [("weights", tuple(value.weights))])

    def _variables(self, value: Any, kind: str) -> Snapshot:
        return self._record(kind, [("variables", tuple(value.variables))])

    def _history(self, value: Any, kind: str) -> Snapshot:
        return self._record(kind, [("history", value.history)])

    def _table(self, value: Any, kind: str) -> Snapshot | None:
        pandas = loaded("pandas")
        if not all(hasattr(pandas, name) for name in ("DataFrame", "Series", "Index")):
            return None
        if isinstance(value, pandas.Index):
            return self._record(kind, [("values", value.to_numpy())])
        if isinstance(value, pandas.Series):
            fields = [("index", value.index.to_numpy()), ("values", value.to_numpy())]
            return self._record(kind, fields)
        if isinstance(value, pandas.DataFrame):
            names = list(value.columns)
            columns = [value.iloc[:, number].to_numpy() for number in range(len(names))]
            fields = [("index", value.index.to_numpy()), ("names", names), ("columns", columns)]
            return self._record(kind, fields)
        return None


_KERAS: dict[str, Callable[[Reader, Any, str], Snapshot]] = {
    "Variable": Reader._numbers,
    "KerasVariable": Reader._numbers,
    "Layer": Reader._weights,
    "layers.Layer": Reader._weights,
    "metrics.Metric": Reader._variables,
    "optimizers.Optimizer": Reader._variables,
    "callbacks.History": Reader._history,
}


def _keras_readers() -> list[tuple[type, Callable[[Reader, Any, str], Snapshot]]]:
    """Keras' classes, of those of its packages that are loaded, and how each is read."""
    readers = []
    for library in loaded_keras():
        for path, read in _KERAS.items():
            owner = library
            for name in path.split("."):
                owner = getattr(owner, name, None)
            if isinstance(owner, type):
                readers.append((owner, read))
    return readers
