"""Whether functions act outside the process, as far as their source shows.

The functions of the user's own code are followed into what they call; libraries are not,
but for what they are known to do.
"""

from __future__ import annotations

import functools
import gc
import operator
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from unslow import seams
from unslow.experiment.effects import outside, scopes
from unslow.experiment.effects.definition_reader import Reader, name_of, place_of
from unslow.experiment.effects.scopes import Known
from unslow.experiment.effects.source_text import NoSource, Trees, is_generated
from unslow.recording.sites import ForeignFiles

_FUNCTIONS = (FunctionType, MethodType, functools.partial)
_EXTENSIONS = tuple(EXTENSION_SUFFIXES)

MOST_FUNCTIONS = 1000
"""Functions that are looked through; one that leads to more is not known to be harmless."""

MOST_ELEMENTS = 1000
"""Elements of a list or dictionary that are looked at for functions."""


@dataclass(frozen=True)
class Effect:
    """Something that a function does outside the process.

    `what`: as in "writes or deletes files: open(path, 'w')". `place`: `path:line`.
    """

    function: str
    what: str
    place: str

    @property
    def sentence(self) -> str:
        """All of it, as a clause without a full stop."""
        return f"{self.function} {self.what}, at {self.place}"


def outside_effects(
    functions: Sequence[Callable[..., Any]], include: tuple[str, ...] = ()
) -> Effect | None:
    """The first effect outside the process that the source of `functions` shows, if any.

    Among them may be Keras models and datasets, for the user's code that these run.
    Reading files and printing are no such effects. A function of the user's whose source
    cannot be read counts as one that has them. `include`: installed packages that count as
    the user's own code.
    """
    return _Search(include).first(functions)


@dataclass(frozen=True)
class _Task:
    function: FunctionType
    owner: Known | None


class _Search:
    """Goes from function to function, each looked at once."""

    def __init__(self, include: tuple[str, ...]) -> None:
        self.foreign = ForeignFiles(include)
        self.names = outside.Names()
        self.trees = Trees()
        self._waiting: deque[_Task] = deque()
        self._seen: set[tuple[int, int]] = set()
        self._kept: list[Any] = []
        self.classes: dict[str, list[FunctionType]] = {}
        self._modules: set[int] = set()

    def first(self, functions: Sequence[Callable[..., Any]]) -> Effect | None:
        for function in functions:
            kind = self.follow(function)
            if kind is not None:
                name = getattr(function, "__name__", type(function).__name__)
                return Effect(f"{name}()", kind, "its definition")
        while self._waiting:
            if len(self._seen) > MOST_FUNCTIONS:
                return Effect(
                    "it", "calls more functions than can be looked through", "many places"
                )
            effect = self._look(self._waiting.popleft())
            if effect is not None:
                return effect
        return None

    def _is_compiled(self, thing: Any) -> bool:
        """Whether a function is compiled code of the user's own."""
        name = getattr(thing, "__name__", None)
        module = sys.modules.get(str(getattr(thing, "__module__", None)))
        file = getattr(module, "__file__", None)
        own = file is not None and file.endswith(_EXTENSIONS) and not self.foreign[file]
        return own and callable(thing) and isinstance(name, str)

    def follow(self, thing: Any) -> str | None:
        """Look later at the user's code that `thing` may run; what it does itself, if that is bad.

        `thing` is any object that a function refers to.
        """
        if isinstance(thing, (ModuleType, str, bytes, int, float, complex, type(None))):
            return None
        if not self._is_new(thing):
            return None if self.is_users(thing) else self.names.act(thing)
        if isinstance(thing, functools.partial):
            parts = (thing.func, *thing.args, *thing.keywords.values())
            return self._first_of(parts)
        if isinstance(thing, (operator.methodcaller, operator.attrgetter)):
            return self._by_name(thing)
        if isinstance(thing, MethodType):
            if self.is_users(thing.__func__):
                self._later(thing.__func__, Known(thing.__self__))
                return None
            if self.names.is_harmless(thing):
                return None
            return self.names.act(thing) or self.follow(thing.__self__)
        if isinstance(thing, FunctionType):
            return self._function(thing)
        if isinstance(thing, type):
            return self._class(thing)
        if isinstance(thing, (list, tuple, set, frozenset, deque)):
            return self._first_of(list(thing)[:MOST_ELEMENTS])
        if isinstance(thing, Mapping) and type(thing).__name__ in ("dict", "OrderedDict"):
            return self._first_of(list(thing.values())[:MOST_ELEMENTS])
        return self._object(thing)

    def _by_name(self, thing: Any) -> str | None:
        """An operator that calls, or gets, what has a name in whatever it is given."""
        made, given = thing.__reduce__()[:2]
        name = str((*getattr(made, "args", ()), *given)[0])
        self.methods_named(name)
        return outside.METHODS.get(name)

    def _is_new(self, thing: Any) -> bool:
        key = (id(thing), -1)
        if key in self._seen:
            return False
        self._kept.append(thing)
        self._seen.add(key)
        return True

    def _first_of(self, things: Sequence[Any]) -> str | None:
        return next((kind for each in things if (kind := self.follow(each)) is not None), None)

    def _function(self, function: FunctionType) -> str | None:
        if self.is_users(function):
            self._later(function, None)
            return None
        kind = self.names.act(function)
        if kind is not None:
            return kind
        # A library's wrapper runs the user's function that it was given.
        inner = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        inner.append(getattr(function, "__wrapped__", None))
        return self._first_of([each for each in inner if self._has_users_code(each)])

    def _class(self, kind: type) -> str | None:
        if not self.is_users(kind):
            return self.names.act(kind)
        for each in kind.__mro__:
            if not self.is_users(each):
                bad = self.names.act(each)
                if bad is not None:
                    return bad
                continue
            for name, value in vars(each).items():
                if _is_special(name) or self._overrides(kind, name):
                    self._method(value, None)
        return None

    def _method(self, value: Any, owner: Known | None) -> None:
        inner = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
        inner = getattr(inner, "python_function", inner)
        if isinstance(inner, FunctionType) and self.is_users(inner):
            made = is_generated(inner.__code__) and _is_special(inner.__name__)
            if not made:
                self._later(inner, owner)

    def _object(self, thing: Any) -> str | None:
        """An object that is called, or given to somebody who may call what he likes of it."""
        kind = type(thing)
        if self._is_compiled(thing):
            return outside.UNREAD
        if self.is_users(kind):
            for each in kind.__mro__:
                if not self.is_users(each):
                    bad = self.names.act(each)
                    if bad is not None:
                        return bad
                    continue
                for name, value in vars(each).items():
                    run = _is_special(name) and name not in ("__init__", "__new__")
                    if run or self._overrides(kind, name):
                        self._method(value, Known(thing))
            return self._first_of(self._parts(thing)) if _is_layer(thing) else None
        act = self.names.act(thing)
        if act is not None or self.names.is_harmless(thing):
            return act
        if any(_stores(stage) for stage in _stages(thing)):
            return outside.FILE
        return self._first_of(self._parts(thing))

    def _parts(self, thing: Any) -> list[Any]:
        """What in an object may run code of the user's."""
        return [each for each in _inside(thing) if _is_layer(each) or self._has_users_code(each)]

    def _overrides(self, kind: type, name: str) -> bool:
        """Whether a method replaces one of a library's class, whose code will call it."""
        if name.startswith("__") or name in ("get_config", "from_config"):
            return False
        return any(name in vars(base) for base in kind.__mro__ if not self.is_users(base))

    def _has_users_code(self, thing: Any) -> bool:
        if type(thing) is dict:
            thing = list(thing.values())
        if isinstance(thing, (list, tuple)):
            return any(self._has_users_code(each) for each in thing[:MOST_ELEMENTS])
        if isinstance(thing, _FUNCTIONS):
            return True
        if isinstance(thing, type) or not callable(thing):
            return False
        return self.is_users(type(thing)) or any(
            isinstance(each, _FUNCTIONS) for each in _inside(thing)
        )

    def is_users(self, thing: Any) -> bool:
        """Whether a function or a class is the user's own."""
        if isinstance(thing, type):
            module = sys.modules.get(thing.__module__)
            if thing.__module__ == "__main__":
                return True
            if module is None:
                methods = [each for each in vars(thing).values() if isinstance(each, FunctionType)]
                return any(self.is_users(each) for each in methods)
            file = getattr(module, "__file__", None)
            return file is not None and not self.foreign[file]
        function = thing.__func__ if isinstance(thing, MethodType) else thing
        code = getattr(function, "__code__", None)
        if code is None:
            return False
        if code.co_filename.endswith(".pyx"):
            # Compiled by Cython: its path is that of the machine where it was built.
            module = sys.modules.get(str(function.__module__))
            file = getattr(module, "__file__", None)
            return file is None or not self.foreign[file]
        if not code.co_filename.startswith("<"):
            return not self.foreign[code.co_filename]
        names = function.__globals__
        file = names.get("__file__")
        if names.get("__name__", "").partition(".")[0] in sys.stdlib_module_names:
            return names.get("__name__") == "__main__"
        return file is None or not self.foreign[file]

    def _later(self, function: Any, owner: Known | None) -> None:
        key = (id(function), 0 if owner is None else id(owner.value))
        if key not in self._seen:
            self._seen.add(key)
            self._kept.append((function, owner))
            self._waiting.append(_Task(function, owner))

    def _look(self, task: _Task) -> Effect | None:
        function = task.function
        self._collect_methods(function.__globals__)
        for cell in function.__closure__ or ():
            if _is_filled(cell) and isinstance(cell.cell_contents, type):
                self._collect_class(cell.cell_contents)
        defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        kind = self._first_of(defaults)
        if kind is not None:
            line = place_of(function, function.__code__.co_firstlineno)
            return Effect(name_of(function), f"{kind}: a default of its parameters", line)
        try:
            definitions = self.trees.definitions(function)
        except NoSource:
            line = place_of(function, function.__code__.co_firstlineno)
            return Effect(name_of(function), outside.UNREAD, line)
        for definition in definitions:
            found = Reader(self, function, task.owner, definition).first()
            if found is not None:
                return Effect(name_of(function), *found)
        return None

    def _collect_methods(self, names: dict[str, Any]) -> None:
        """Learn the methods of the user's classes that a module knows, by their names."""
        if id(names) in self._modules:
            return
        self._modules.add(id(names))
        for value in list(names.values()):
            if isinstance(value, type):
                self._collect_class(value)
            elif isinstance(value, ModuleType) and self._is_own_module(value):
                self._collect_methods(vars(value))
            elif self.is_users(type(value)):
                self._collect_class(type(value))

    def _collect_class(self, kind: type) -> None:
        for each in kind.__mro__:
            if self.is_users(each) and id(each) not in self._modules:
                self._modules.add(id(each))
                for name, value in vars(each).items():
                    inner = getattr(value, "__func__", value)
                    inner = getattr(inner, "fget", None) or inner
                    if isinstance(inner, FunctionType):
                        self.classes.setdefault(name, []).append(inner)

    def _is_own_module(self, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        return file is not None and not self.foreign[file]

    def methods_named(self, name: str) -> None:
        """Follow the methods of this name, as nobody knows whose is called."""
        for function in self.classes.get(name, ()):
            self._later(function, None)


def _is_special(name: str) -> bool:
    quiet = ("__repr__", "__str__", "__del__", "__reduce__", "__getstate__", "__setstate__")
    return name.startswith("__") and name.endswith("__") and name not in quiet


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _inside(thing: Any) -> Iterator[Any]:
    """What a library's object may run: what it was given, or made of."""
    for name in ("python_function", "__wrapped__"):
        inner = scopes.attribute(thing, name)
        if callable(inner):
            yield inner
    for value in list(getattr(thing, "__dict__", {}).values()):
        if isinstance(value, dict):
            yield from list(value.values())[:MOST_ELEMENTS]
        elif isinstance(value, (list, tuple)):
            yield from value[:MOST_ELEMENTS]
        else:
            yield value
    if type(thing).__name__ == "ufunc":
        # What `np.frompyfunc` was given shows nowhere else.
        yield from gc.get_referents(thing)
    for stage in _stages(thing):
        generator = seams.pipeline_generator(stage.function)
        yield stage.function if generator is None else generator[0]


def _stages(thing: Any) -> Iterator[seams.PipelineStage]:
    """The stages of a `tf.data` pipeline."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not isinstance(thing, tensorflow.data.Dataset):
        return
    waiting, seen = [thing], 0
    while waiting and seen < MOST_ELEMENTS:
        stage = seams.pipeline_stage(waiting.pop())
        yield stage
        waiting += stage.inputs
        seen += 1


def _stores(stage: seams.PipelineStage) -> bool:
    """Whether a stage writes its elements to files; a cache that is complete is only read."""
    kept = seams.cache_file(stage.dataset)
    return stage.kind in ("Save", "Snapshot") or (kept != "" and not Path(f"{kept}.index").exists())


def _is_layer(thing: Any) -> bool:
    """Whether it is a Keras layer, a model, a metric or an optimizer."""
    return not isinstance(thing, type) and any(
        "add_weight" in vars(kind) or "add_variable" in vars(kind) for kind in type(thing).__mro__
    )
