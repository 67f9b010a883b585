"""What a translation must not do while the graph is made, and what it may look at."""

# ruff: noqa: RUF034, RUF015, UP031, UP032, PLW0108, SIM905

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import heapq
import itertools
import operator
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from unslow.native import Untranslatable, native

pytestmark = pytest.mark.tensorflow

X = np.array([1.0, 2.0, 3.0], np.float32)


class Watched:
    """An object whose special methods and properties count how often they run."""

    def __init__(self) -> None:
        self.count = 0

    def _counted(self) -> int:
        self.count += 1
        return self.count

    @property
    def turn(self) -> int:
        return self._counted()

    @functools.cached_property
    def kept(self) -> int:
        return self._counted()

    def __getattr__(self, name: str) -> int:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._counted()

    def __getitem__(self, key: int) -> int:
        return self._counted()

    def __len__(self) -> int:
        return self._counted()

    def __iter__(self) -> Any:
        return iter([self._counted()])

    def __bool__(self) -> bool:
        return self._counted() % 2 == 0

    def __contains__(self, value: object) -> bool:
        return self._counted() > 3

    def __eq__(self, other: object) -> bool:
        return self._counted() > 3

    def __hash__(self) -> int:
        return self._counted()

    def __mul__(self, other: object) -> int:
        return self._counted()

    def __rmul__(self, other: object) -> int:
        return self._counted()

    def __neg__(self) -> int:
        return self._counted()

    def __float__(self) -> float:
        return float(self._counted())

    def __index__(self) -> int:
        return self._counted()

    def __str__(self) -> str:
        return "a" * self._counted()

    def __call__(self, value: Any) -> Any:
        return value * self._counted()


class Kind(type):
    @property
    def turn(cls) -> int:
        return WATCHED.turn


class Made(metaclass=Kind):
    pass


WATCHED = Watched()
QUEUE: collections.deque[int] = collections.deque()
BYTES = bytearray()
COUNTER: collections.Counter[str] = collections.Counter()
SET = {1, 2, 3}
LIST: list[int] = []
DEFAULTS: collections.defaultdict[int, int] = collections.defaultdict(int)
NAMESPACE = types.SimpleNamespace(n=0)
STEPS = itertools.count()
GLOBAL = np.zeros(3)


def _state() -> str:
    settings = np.geterr(), np.get_printoptions()["precision"]
    held = WATCHED.count, QUEUE, BYTES, COUNTER, SET, LIST, dict(DEFAULTS), NAMESPACE.n, STEPS
    return repr((held, GLOBAL, settings))


def _iterates(x: Any) -> Any:
    total = 0
    for each in WATCHED:
        total += each
    return x * total


def _uses_up(x: Any) -> Any:
    for each in STEPS:
        if each >= 0:
            break
    return x


def _notes(value: Any) -> Any:
    LIST.append(1)
    return value


def _adds_to_deque(x: Any) -> Any:
    queue = QUEUE
    queue += [1]
    return x


EFFECTS: dict[str, Callable[[Any], Any]] = {
    "deque.append": lambda x: x if QUEUE.append(1) else x,
    "deque +=": _adds_to_deque,
    "bytearray.append": lambda x: x if BYTES.append(1) else x,
    "Counter.subtract": lambda x: x if COUNTER.subtract(["a"]) else x,
    "set.difference_update": lambda x: x if SET.difference_update({1}) else x,
    "iterator.__next__": lambda x: x * STEPS.__next__(),
    "an iterator": _uses_up,
    "list of an iterator": lambda x: x * len(list(itertools.islice(STEPS, 2))),
    "list.__iadd__": lambda x: x * len(LIST.__iadd__([1])),
    "defaultdict[k]": lambda x: x * DEFAULTS[len(DEFAULTS)],
    "dict.__setitem__": lambda x: x if NAMESPACE.__dict__.__setitem__("n", 1) else x,
    "__setattr__": lambda x: x if NAMESPACE.__setattr__("n", 1) else x,
    "heappush": lambda x: x if heapq.heappush(LIST, 1) else x,
    "setitem": lambda x: x if operator.setitem(DEFAULTS, 1, 1) else x,
    "a key": lambda x: x * max([1, 2], key=_notes),
    "a method as a key": lambda x: x * max([1, 2], key=LIST.count) * min([1], key=QUEUE.append),
    "a callback": lambda x: x * np.fromfunction(_notes, (3,)),
    "a method as a callback": lambda x: x * len(list(itertools.starmap(LIST.append, [[1]]))),
    "property": lambda x: x * WATCHED.turn,
    "property of a class": lambda x: x * Made.turn,
    "hasattr": lambda x: x * hasattr(WATCHED, "turn"),
    "getattr": lambda x: x * getattr(WATCHED, "turn", 1),
    "cached property": lambda x: x * WATCHED.kept,
    "__getattr__": lambda x: x * WATCHED.other,
    "__getitem__": lambda x: x * WATCHED[0],
    "__len__": lambda x: x * len(WATCHED),
    "__iter__": _iterates,
    "*": lambda x: [*WATCHED][0] * x,
    "sum": lambda x: x * sum(WATCHED),
    "__bool__": lambda x: x * 2 if WATCHED else x,
    "not": lambda x: x * 2 if not WATCHED else x,
    "bool()": lambda x: x * bool(WATCHED),
    "__contains__": lambda x: x * 2 if 1 in WATCHED else x,
    "in a list": lambda x: x * 2 if 1 in [WATCHED] else x,
    "__eq__": lambda x: x * 2 if WATCHED == 1 else x,
    "== on the right": lambda x: x * 2 if WATCHED == 1 else x,
    "__hash__": lambda x: x * {1: 2}.get(WATCHED, 3),
    "a key of a dictionary": lambda x: x * len({WATCHED: 2}),
    "__mul__": lambda x: x * (WATCHED * 2),
    "__rmul__": lambda x: x * (2 * WATCHED),
    "array *": lambda x: x * WATCHED,
    "__neg__": lambda x: x * (-WATCHED),
    "float()": lambda x: x * float(WATCHED),
    "an index": lambda x: x * [1, 2, 3][WATCHED],
    "range()": lambda x: x * len(range(WATCHED)),
    "str()": lambda x: x * len(str(WATCHED)),
    "f-string": lambda x: x * len(f"{WATCHED}"),
    "%": lambda x: x * len("%s" % WATCHED),
    "format": lambda x: x * len("{}".format(WATCHED)),
    "np.asarray": lambda x: x * np.asarray([WATCHED], float),
    "called": lambda x: WATCHED(x),
    "clip to the global array": lambda x: np.clip(GLOBAL + 5, 0, 9, GLOBAL)[:3] * x,
    "cumsum to it": lambda x: x * np.cumsum(GLOBAL + 1, 0, None, GLOBAL),
    "its cumsum": lambda x: x * (GLOBAL + 1).cumsum(0, None, GLOBAL),
    "a cumsum of its own": lambda x: x * GLOBAL.cumsum(0, None, GLOBAL),
    "its clip": lambda x: x * (GLOBAL + 1).clip(1, 9, out=GLOBAL),
    "np.put": lambda x: x if np.put(GLOBAL, 0, 1) else x,
    "np.place": lambda x: x if np.place(GLOBAL, [True], 1) else x,
    "np.nan_to_num": lambda x: x * np.nan_to_num(GLOBAL, copy=False),
    "its partition": lambda x: x if GLOBAL.partition(1) else x,
    "its byteswap": lambda x: x * GLOBAL.byteswap(True),
    "seterr": lambda x: x * len(np.seterr(over="raise")),
    "set_printoptions": lambda x: x if np.set_printoptions(precision=3) else x,
    "the clock": lambda x: x * (np.datetime64("now") > np.datetime64("2020-01-01")),
}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_is_refused_and_does_not_happen(name: str) -> None:
    before = _state()
    with pytest.raises(Untranslatable):
        native(EFFECTS[name])(tf.constant(X))
    assert _state() == before


def test_files_are_left_alone(tmp_path: Path) -> None:
    table, there = str(tmp_path / "table.txt"), str(tmp_path / "there")
    Path(table).write_text("2.0\n", encoding="utf-8")
    for function in (
        lambda x: x * np.genfromtxt(table),
        lambda x: x * np.fromfile(table, np.uint8).size,
        lambda x: x if GLOBAL.tofile(there) else x,
        lambda x: x if GLOBAL.dump(there) else x,
        lambda x: x if np.savez(there, GLOBAL) else x,
        lambda x: x * np.memmap(there, mode="w+", shape=(3,)),
    ):
        with pytest.raises(Untranslatable):
            native(function)(tf.constant(X))
    assert [each.name for each in tmp_path.iterdir()] == ["table.txt"]


def test_libraries_draw_and_write_nothing(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    pytest.importorskip("skimage")
    import scipy.io.wavfile
    import scipy.ndimage
    import scipy.stats
    import skimage.io
    import skimage.util

    image, to = np.zeros((4, 4), np.uint8), str(tmp_path / "x.png")
    for function in (
        lambda x: x * scipy.stats.norm.rvs(),
        lambda x: x * scipy.stats.norm(0, 1).rvs(),
        lambda x: x + skimage.util.random_noise(np.full(3, 0.5)),
        lambda x: x if skimage.io.imsave(to, image, check_contrast=False) else x,
        lambda x: x if scipy.io.wavfile.write(to, 8000, image) else x,
        lambda x: x if scipy.ndimage.gaussian_filter(GLOBAL + 1, 1, output=GLOBAL) is x else x,
    ):
        with pytest.raises(Untranslatable):
            native(function)(tf.constant(X))
    assert not list(tmp_path.iterdir()) and not GLOBAL.any()


def _appends(x: Any) -> Any:
    queue: collections.deque[int] = collections.deque()
    if x.sum() > 100:
        queue.append(1)
    return x * (1 + len(queue))


def _shrinks(x: Any) -> Any:
    numbers = {1, 2, 3}
    if x.sum() > 100:
        numbers.difference_update({1})
    return x * len(numbers)


def _sets(x: Any) -> Any:
    numbers = [1, 2]
    if x.sum() > 100:
        numbers.__setitem__(0, 7)
    return x * numbers[0]


def _moves(x: Any) -> Any:
    found = collections.OrderedDict(a=1, b=2)
    if x.sum() > 100:
        found.move_to_end("a")
    return x * list(found.values())[0]


def _looks_up(x: Any) -> Any:
    found: collections.defaultdict[str, int] = collections.defaultdict(int)
    if x.sum() > 100:
        found["a"]
    return x * (1 + len(found))


def _goes_on(x: Any) -> Any:
    numbers = itertools.chain([1, 2], [3])
    if x.sum() > 100:
        x = x + sum(numbers)
    return x


@pytest.mark.parametrize("function", [_appends, _shrinks, _sets, _moves, _looks_up, _goes_on])
def test_a_change_on_one_course_alone_is_refused(function: Callable[[Any], Any]) -> None:
    with pytest.raises(Untranslatable):
        native(function)(tf.constant(X))


class Settings:
    """An object that only looks at itself."""

    def __init__(self) -> None:
        self.factors = [1.0, 2.0]

    @property
    def scale(self) -> float:
        return self.factors[1] * 2

    def __getitem__(self, place: int) -> float:
        return self.factors[place]

    def __len__(self) -> int:
        return len(self.factors)

    def __contains__(self, value: float) -> bool:
        return value in self.factors

    def __add__(self, other: float) -> float:
        return self.factors[0] + other

    def __eq__(self, other: object) -> bool:
        return other == 2

    def __bool__(self) -> bool:
        return len(self.factors) > 1

    def __getattr__(self, name: str) -> int:
        return len(name)

    __hash__ = None  # type: ignore[assignment]


@dataclasses.dataclass
class Step:
    factor: float
    name: str = "step"


class Mode(enum.Enum):
    low = 1
    high = 2


class Size(NamedTuple):
    width: int

    @property
    def twice(self) -> int:
        return self.width * 2


SETTINGS = Settings()
PLAIN = Step(2.0)


def _counts(x: Any) -> Any:
    found = collections.defaultdict(list)
    for name in ["a", "b", "a"]:
        found[name].append(1)
    counted = collections.Counter("abca")
    counted.update("a")
    numbers = {1, 2, 3}
    numbers.difference_update({1})
    return x * len(found["a"]) * counted["a"] * len(numbers) * counted.most_common(1)[0][1]


def _chains(x: Any) -> Any:
    total = 0
    for one, other in itertools.product([1, 2], itertools.chain.from_iterable([[3], [4]])):
        total += one * other
    return x * total * list(itertools.accumulate([1, 2], operator.mul))[-1]


def _searches(x: Any) -> Any:
    queue, seen = collections.deque([1]), [1]
    while queue:
        place = queue.popleft()
        for other in (2 * place, place + 3):
            if other < 9 and other not in seen:
                seen.append(other)
                queue.append(other)
    return x * len(seen)


def _over_steps(x: Any) -> Any:
    for place, step in enumerate([PLAIN, PLAIN]):
        x = x * step.factor + place
    return x


LOOKS: dict[str, Callable[[Any], Any]] = {
    "property": lambda x: x * SETTINGS.scale,
    "__getitem__": lambda x: x * SETTINGS[1],
    "__len__": lambda x: x * len(SETTINGS),
    "__contains__": lambda x: x * 2 if 2.0 in SETTINGS else x,
    "__add__": lambda x: x * (SETTINGS + 3.0),
    "__eq__": lambda x: x * 3 if SETTINGS == 2 else x,
    "__bool__": lambda x: x * 3 if SETTINGS else x,
    "not": lambda x: x * 3 if not SETTINGS else x,
    "__getattr__": lambda x: x * SETTINGS.four,
    "getattr": lambda x: x * getattr(PLAIN, "missing", 4) * getattr(PLAIN, "factor", 5),
    "dataclass": lambda x: x * PLAIN.factor,
    "a list of them": _over_steps,
    "containers": _counts,
    "iterators": _chains,
    "deque": _searches,
    "places": lambda x: x * sum(v for _, v in np.ndenumerate(np.arange(3))),
    "an enumeration": lambda x: x * len(Mode["low"].name) if Mode["low"] is Mode.low else x,
    "a named tuple": lambda x: x * Size(2).twice + x * Size(1)._replace(width=3).width,
    "text": lambda x: x * len("a-b".split("-")) * len(f"{PLAIN.name}"),
    "a view of a known array": lambda x: x * GLOBAL.reshape(-1).sum() + GLOBAL.T,
    "known functions": lambda x: x * np.hanning(3).astype(np.float32) * np.linalg.norm([3, 4]),
    "callback": lambda x: x * np.array(sorted([3, 1, 2])).max() * max([1, 2], key=operator.neg),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_only_looks_is_followed(name: str) -> None:
    found = native(LOOKS[name])(tf.constant(X))
    wanted = LOOKS[name](X.copy())
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype


def test_libraries_give_what_does_not_change() -> None:
    pytest.importorskip("scipy")
    pytest.importorskip("skimage")
    pytest.importorskip("PIL")
    import scipy.signal
    import skimage.morphology
    from PIL import Image
    from scipy.spatial.transform import Rotation
    from skimage.transform import AffineTransform

    window = native(lambda x: x * scipy.signal.get_window("hann", 3))
    np.testing.assert_array_equal(window(tf.constant(X)), X * scipy.signal.get_window("hann", 3))
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for function in (
        lambda x: x + AffineTransform(translation=(1, 2))([[1, 1]])[0, 0],
        lambda x: x + (AffineTransform(rotation=1) + AffineTransform(scale=2)).inverse.params[0],
        lambda x: x @ Rotation.from_euler("z", 30, degrees=True).as_matrix(),
        lambda x: x + np.asarray(Image.fromarray(image).resize((2, 3)), np.float32)[:, 0],
    ):
        np.testing.assert_allclose(native(function)(tf.constant(X)), function(X), rtol=1e-6)
    disk = native(lambda x: x * skimage.morphology.disk(1)[0])
    np.testing.assert_array_equal(disk(tf.constant(X)), X * skimage.morphology.disk(1)[0])


class Doubled:
    """A decorator that is a class."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        functools.update_wrapper(self, function)
        self.py_func = self.function = function

    def __call__(self, value: Any) -> Any:
        return 2 * self.function(value)


@Doubled
def _doubled(value: Any) -> Any:
    return value + 1


@functools.lru_cache
def _window(size: int) -> Any:
    return np.arange(size, dtype=np.float32)


@functools.lru_cache
def _sizes(size: int) -> list[Any]:
    return [size, np.arange(3, dtype=np.float32)]


def _changes_the_list(x: Any) -> Any:
    sizes = _sizes(2)
    sizes[0] = 4
    return x * sizes[0]


def _changes_what_is_in_it(x: Any) -> Any:
    window = _sizes(2)[1]
    window[0] = 4
    return x * window


def _changes_the_cached(x: Any) -> Any:
    window = _window(3)
    window *= 2
    return x * window


@pytest.mark.parametrize("function", [_doubled, lambda x: _doubled(x) - 1])
def test_a_decorator_that_is_a_class_is_followed(function: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(native(function)(tf.constant(X)), function(X))


def test_what_a_cache_keeps_is_not_changed() -> None:
    np.testing.assert_array_equal(native(lambda x: x * _window(3))(tf.constant(X)), X * _window(3))
    np.testing.assert_array_equal(native(lambda x: x * _sizes(2)[0])(tf.constant(X)), X * 2)
    for function in (_changes_the_cached, _changes_the_list, _changes_what_is_in_it):
        with pytest.raises(Untranslatable):
            native(function)(tf.constant(X))
    np.testing.assert_array_equal(_window(3), [0, 1, 2])
