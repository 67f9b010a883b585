"""What functions take from around them, and whether that is the same in all of their calls.

That is the globals and free names that their code loads or stores, and attributes of these
and of the object whose method they are, as far as they can be told without running any of
the user's code. Functions of the user's that they name are looked into as well.
"""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import random
import time
from collections import deque
from collections.abc import Iterator, Mapping
from types import BuiltinMethodType, CodeType, FunctionType, MethodType
from typing import Any

from unslow import seams
from unslow.recording.arrays import digest, fingerprint
from unslow.recording.clock import Clock
from unslow.recording.sites import code_of

MOST_FUNCTIONS = 50
"""Functions that are looked into."""

MOST_ELEMENTS = 64
DEEPEST = 3
"""Elements of a container that are looked at, and how deep one may lie in others."""

MOST_CONTAINERS = 64
"""Containers that are looked into."""

MOST_BYTES = 32 * 2**20
"""Bytes of arrays and tensors that are read in one look; of others a few elements, or which
they are."""

PLAIN = (float, complex, range, type(None))
CONTAINERS = (list, tuple, dict, set, frozenset, deque)

CLOCKS = frozenset({"time", "perf_counter", "monotonic", "time_ns", "perf_counter_ns"})

_NEUTRAL = frozenset({"CACHE", "COPY", "DUP_TOP", "EXTENDED_ARG", "NOP", "PUSH_NULL"})
"""Instructions that may stand between the loading of a name and of its attribute."""

_MISSING = object()

Path = tuple[str, ...]
Values = dict[tuple[Any, ...], Any]


class Around:
    """Whether what one piece of code takes from around it stays the same.

    It is looked at in the 1st, 2nd, 4th, 8th … call, and once more when an experiment asks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls = 0
        self._values: Values = {}
        self._paths: dict[CodeType, tuple[Path, ...]] = {}
        self.changed = ""

    def due(self) -> bool:
        """Count a call, and say whether it is one to look at."""
        self._calls += 1
        return not self.changed and self._calls & (self._calls - 1) == 0

    def look(self, function: Any, owner: Any = None) -> str:
        """The first name that has not had the same value in all looks; "" where there is none.

        `function` may be another one each time, made of the same code. `owner`: the object
        whose method it is.
        """
        look = _Look(self._clock.sites.foreign, self._paths)
        thread = self._clock.main
        muted, thread.muted = thread.muted, True
        try:
            look.into(function, owner)
        except Exception as error:
            # A watcher that fails must not fail the program: it is reported.
            self._clock.failures[f"{__name__}.Around"] = repr(error)
        finally:
            thread.muted = muted
        for key, value in look.values.items():
            if not self.changed and self._values.setdefault(key, value) != value:
                self.changed = ".".join(key[1])
        return self.changed


class _Look:
    """One look at all that a function takes from around it.

    `values` has the code that names it, the names, and of attributes of the object whose
    method it is which object that is.
    """

    def __init__(
        self, foreign: Mapping[str, bool], paths: dict[CodeType, tuple[Path, ...]]
    ) -> None:
        self._foreign = foreign
        self._paths = paths
        self._seen: set[tuple[int, int]] = set()
        self._left = MOST_BYTES
        self._containers = MOST_CONTAINERS
        self.values: Values = {}

    def into(self, function: Any, owner: Any = None) -> None:
        """Look at what a function takes from around it."""
        function = _plain_function(function)
        if function is None or self._foreign[function.__code__.co_filename]:
            return
        code = function.__code__
        key = (id(code), id(owner))
        if key in self._seen or len(self._seen) >= MOST_FUNCTIONS:
            return
        self._seen.add(key)
        if code not in self._paths:
            self._paths[code] = tuple(dict.fromkeys(_paths(code)))
        first = code.co_varnames[:1] if owner is not None else ()
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=False))
        for name, default in _defaults(function):
            self._follow((id(code), (name,)), default, [])
        for path in self._paths[code]:
            root, *attributes = path
            if (root,) == first:
                self._follow((id(code), path, id(owner)), owner, attributes)
            elif root in cells:
                self._follow((id(code), path), _content(cells[root]), attributes)
            elif root not in code.co_varnames and root not in code.co_cellvars:
                value = function.__globals__.get(root, _MISSING)
                self._follow((id(code), path), value, attributes)

    def _follow(self, key: tuple[Any, ...], value: Any, attributes: list[str]) -> None:
        owner = None
        for name in attributes:
            owner, value = value, inspect.getattr_static(value, name, _MISSING)
        if value is _MISSING or (len(key) > 2 and not attributes):
            return
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        if isinstance(value, property):
            self.into(value.fget, owner)
        elif isinstance(value, FunctionType) and owner is not None:
            self.into(value, owner if name not in _own_names(owner) else None)
        else:
            self.values[key] = self._of(value, 0)

    def _of(self, value: Any, depth: int) -> Any:
        """What tells a value from others; it stays the same where the value does."""
        kind = type(value)
        if isinstance(value, PLAIN):
            return kind, repr(value)
        if isinstance(value, int):
            return kind, value
        if isinstance(value, (str, bytes)):
            return kind, hash(value)
        if isinstance(value, functools.partial):
            given = (value.func, value.args, value.keywords)
            return kind, *(self._of(each, depth) for each in given)
        function = _plain_function(value)
        if function is not None:
            owner = getattr(value, "__self__", None)
            self.into(function, owner)
            return kind, id(function.__code__), id(owner)
        if isinstance(value, CONTAINERS) and depth < DEEPEST:
            return self._of_container(value, depth)
        if isinstance(value, (BuiltinMethodType, MethodType)):
            if value.__module__ == "time" and value.__name__ in CLOCKS:
                return time.perf_counter_ns()
            return value.__name__, self._of_source(value.__self__)
        if hasattr(kind, "python_function"):
            return kind, id(code_of(value))
        for name in ("__call__", "call"):
            inner = inspect.getattr_static(kind, name, None)
            if isinstance(inner, FunctionType):
                self.into(inner, value)
        return self._of_array(value) or self._of_source(value)

    def _of_container(self, value: Any, depth: int) -> Any:
        told = type(value), len(value)
        self._containers -= 1
        if self._containers < 0 or isinstance(value, (set, frozenset)):
            return told
        held = itertools.islice(value.items() if isinstance(value, dict) else value, MOST_ELEMENTS)
        return *told, *(self._of(each, depth + 1) for each in list(held))

    def _of_array(self, value: Any) -> Any:
        numpy, tensorflow = seams.loaded("numpy"), seams.loaded("tensorflow")
        if numpy is not None and isinstance(value, numpy.generic):
            return type(value), repr(value)
        if hasattr(kind := type(value), "assign"):
            return kind, id(value)
        if tensorflow is not None and isinstance(value, tensorflow.Tensor):
            numbers = value.dtype.is_numpy_compatible and value.dtype != tensorflow.string
            size = (value.shape.num_elements() or 0) * value.dtype.size
            if not numbers or size > self._left or not hasattr(value, "numpy"):
                return type(value), id(value)
            value = value.numpy()
        if numpy is None or not isinstance(value, (numpy.ndarray, numpy.generic)):
            return None
        value = numpy.asarray(value)
        told = value.shape, str(value.dtype)
        if value.nbytes > self._left:
            return *told, fingerprint(value)
        self._left -= value.nbytes
        return *told, digest(value)

    def _of_source(self, value: Any) -> Any:
        """Which object it is, and of one that draws random numbers how far it has come."""
        numpy = seams.loaded("numpy")
        if isinstance(value, random.Random):
            return id(value), hash(value.getstate())
        if numpy is not None and isinstance(value, numpy.random.Generator):
            return id(value), repr(value.bit_generator.state)
        if numpy is not None and isinstance(value, numpy.random.RandomState):
            return id(value), repr(value.get_state(legacy=False))
        return type(value), id(value)


def _plain_function(function: Any) -> Any:
    """The user's function behind methods, partial applications and wrappers."""
    for _ in range(32):
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, MethodType):
            function = function.__func__
        elif "__wrapped__" in _own_names(function):
            function = function.__wrapped__
        else:
            break
    return function if isinstance(function, FunctionType) else None


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """The parameters that have a default, with it."""
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=False)
    yield from (function.__kwdefaults__ or {}).items()


def _own_names(value: Any) -> Mapping[str, Any]:
    try:
        names: Mapping[str, Any] = vars(value)
    except TypeError:
        return {}
    return names


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _paths(code: CodeType) -> Iterator[Path]:
    """The names that code loads or stores, those in functions inside it too, with attributes."""
    path: Path = ()
    for instruction in dis.get_instructions(code):
        name, argument = instruction.opname, instruction.argval
        if name in _NEUTRAL:
            continue
        if name in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
            path = (*path, argument) if path else ()
        elif name.endswith(("_GLOBAL", "_NAME", "_DEREF")) or "LOAD_FAST" in name:
            path = (argument[-1] if isinstance(argument, tuple) else argument,)
        else:
            path = ()
        if path:
            yield path
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            own = {*inner.co_varnames, *inner.co_cellvars}
            yield from (path for path in _paths(inner) if path[0] not in own)
