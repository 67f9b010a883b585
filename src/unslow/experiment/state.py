"""The variables of the process: found, saved, and put back."""

from __future__ import annotations

import gc
from typing import Any

from unslow.experiment.values.snapshot import Mapping, Scalar, Snapshot, take
from unslow.seams import loaded

Change = tuple[str, Snapshot]
"""The name of a variable, made unique, and a value of it."""


class TooLarge(Exception):
    """The variables hold `bytes`, more than the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the variables hold {size} bytes; at most {limit} are saved")
        self.bytes = size


class State:
    """The variables of TensorFlow and Keras that live in this process when it is made.

    Those are the weights of models, what optimizers and metrics hold, and the state of random
    generators and of Keras' seeds: all that is a `tf.Variable`. Variables that are made later
    are left alone. Not known: lookup tables, iterators, queues, variables of TensorFlow 1's
    graphs, and what Python's own objects hold.

    `randomness`: the global generators of `random` and `numpy.random` are kept too. Otherwise
    two runs may differ in what they draw, which is how random results are told from others.

    Raises:
        TooLarge: the variables hold more than `limit` bytes.
    """

    def __init__(self, limit: int, randomness: bool = False) -> None:
        self._limit = limit
        self._randomness = randomness
        self._variables = _named(_variables())
        if self._size() > limit:
            # Those of models that are garbage do not count.
            self._variables.clear()
            gc.collect()
            self._variables = _named(_variables())
        if self._size() > limit:
            raise TooLarge(self._size(), limit)
        self._saved: dict[str, Any] = {}
        self._generators: tuple[Any, Any] | None = None
        self.lost: tuple[str, ...] = ()
        """Names of variables that could not be read or put back since."""

    def _size(self) -> int:
        return sum(_size(variable) for variable in self._variables.values())

    def save(self) -> None:
        """Keep the values that the variables have now."""
        self._saved = {}
        for name, variable in list(self._variables.items()):
            value = _copy(variable)
            if value is None:
                self._lose(name)
            else:
                self._saved[name] = value
        self._generators = _draws() if self._randomness else None

    def restore(self) -> None:
        """Put the values back that were saved last. May be called many times."""
        for name, value in list(self._saved.items()):
            if not _put_back(self._variables[name], value):
                self._lose(name)
        if self._generators is not None:
            _put_back_draws(self._generators)

    def changed(self) -> tuple[Change, ...]:
        """Name and present value of each variable that is not what was saved, bit for bit."""
        changes: list[Change] = []
        for name, value in list(self._saved.items()):
            present = _copy(self._variables[name])
            if present is None:
                self._lose(name)
            elif not _is_same(value, present):
                changes.append((name, take(present, self._limit)))
        return tuple(changes)

    def aligned(self, *changes: tuple[Change, ...]) -> tuple[Snapshot, ...]:
        """What `changed` gave after several runs, as mappings that hold the same variables.

        A variable that only other runs have changed has its saved value there.
        """
        maps = [dict(each) for each in changes]
        names = sorted({name for each in maps for name in each})
        before = {
            name: take(self._saved[name], self._limit)
            for name in names
            if name in self._saved and not all(name in each for each in maps)
        }
        return tuple(
            Mapping(
                "variables",
                tuple(
                    (Scalar("str", name), each.get(name, before.get(name, Scalar("str", "lost"))))
                    for name in names
                ),
            )
            for each in maps
        )

    def _lose(self, name: str) -> None:
        del self._variables[name]
        self._saved.pop(name, None)
        self.lost = (*self.lost, name)


def _variables() -> list[Any]:
    """The live variables that can be read now, in the order in which they were made, mostly.

    Of a variable with copies on several devices these are the copies; a wrapper that casts is
    left out for what it wraps.
    """
    tf = loaded("tensorflow")
    if tf is None or not hasattr(tf, "Variable") or not tf.executing_eagerly():
        return []
    is_variable: dict[type, bool] = {}
    found: dict[int, Any] = {}
    for thing in gc.get_objects():
        kind = type(thing)
        known = is_variable.get(kind)
        if known is None:
            known = is_variable[kind] = issubclass(kind, tf.Variable) and not issubclass(
                kind, tf.distribute.DistributedValues
            )
        if known:
            handle = _handle(thing)
            if handle is not None:
                found.setdefault(id(handle), thing)
    return list(found.values())


def _handle(variable: Any) -> Any:
    """A variable's resource, if it is one of eager execution that has a value."""
    tf = loaded("tensorflow")
    try:
        handle = variable.handle
        if not hasattr(handle, "numpy") or not bool(variable.is_initialized()):
            return None
    except _unreadable(tf):
        return None  # of a graph, without a resource, or deleted
    return handle


def _unreadable(tf: Any) -> tuple[type[Exception], ...]:
    """What reading or assigning a variable raises that is deleted, unset or of a graph."""
    return (tf.errors.OpError, AttributeError, ValueError, RuntimeError, TypeError)


def _size(variable: Any) -> int:
    count = 1
    for length in variable.shape.as_list() if variable.shape.rank is not None else ():
        count *= length or 0
    return count * int(variable.dtype.size or 8)


def _named(variables: list[Any]) -> dict[str, Any]:
    """Variables by a name that only they have."""
    counts: dict[str, int] = {}
    named: dict[str, Any] = {}
    for variable in variables:
        name = str(getattr(variable, "name", "variable")).removesuffix(":0")
        unique = name
        while unique in named:
            counts[name] = counts.get(name, 1) + 1
            unique = f"{name} ({counts[name]})"
        named[unique] = variable
    return named


def _copy(variable: Any) -> Any:
    """A tensor of the variable's present value that shares no memory with it."""
    tf = loaded("tensorflow")
    try:
        value = variable.read_value()
        with tf.device(value.device):
            return tf.raw_ops.DeepCopy(x=value)
    except _unreadable(tf):
        return None


def _put_back(variable: Any, value: Any) -> bool:
    """Give a variable a copy of `value`; whether that could be done.

    Not the kept tensor itself: a run's first update of the variable would have to copy it, and
    its time would be measured.
    """
    tf = loaded("tensorflow")
    try:
        with tf.device(value.device):
            fresh = tf.raw_ops.DeepCopy(x=value)
        variable.assign(fresh, read_value=False)
    except _unreadable(tf):
        return False  # it was deleted meanwhile
    return True


def _is_same(first: Any, second: Any) -> bool:
    """Whether two tensors hold the same bits."""
    import numpy

    one, two = numpy.asarray(first.numpy()), numpy.asarray(second.numpy())
    if one.shape != two.shape:
        return False
    if one.dtype.kind == "O":
        return bool((one == two).all())
    return bool(one.tobytes() == two.tobytes())


def _draws() -> tuple[Any, Any]:
    """The state of the global generators of `random` and, where loaded, of NumPy."""
    import random

    numpy = loaded("numpy")
    return random.getstate(), None if numpy is None else numpy.random.get_state()


def _put_back_draws(states: tuple[Any, Any]) -> None:
    import random

    random.setstate(states[0])
    if states[1] is not None:
        loaded("numpy").random.set_state(states[1])
