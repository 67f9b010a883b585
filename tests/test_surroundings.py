"""What functions take from around them: which names, and when these have changed."""

from __future__ import annotations

import functools
import random
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unslow.recording.clock import Clock
from unslow.recording.sites import Sites
from unslow.recording.surroundings import Around

np = pytest.importorskip("numpy")

number, numbers, settings = 1, [1, [2]], SimpleNamespace(rate=1.0, names={"a": deque([1])})
generator, tool = np.random.default_rng(0), functools.partial(max, 1)
array = np.zeros((300, 300))


class Model:
    shared = 1.0

    def __init__(self) -> None:
        self.rate, self.seen, self.scale = 1.0, 0, 2.0

    @property
    def half(self) -> float:
        return self.rate / 2

    def __call__(self) -> float:
        return self.scale

    def step(self) -> Any:
        return self.half, self.shared

    def count(self) -> None:
        self.seen += 1

    def inside(self) -> Any:
        return [self.rate for _ in range(3)]


model = Model()


def uses_number() -> Any:
    return number


def calls_another() -> Any:
    return uses_number() + 1


def has_one_inside() -> Any:
    return lambda rate: (rate, number)


def own_name() -> Any:
    number = 3
    return [number + 1 for number in range(number)]


def uses_many() -> Any:
    return numbers, settings.rate, settings.names, generator.random, array, tool, model()


def stores() -> None:
    global number
    number = 5


def draws() -> Any:
    return random.random()


def asks_the_time() -> Any:
    return time.perf_counter()


def around() -> Around:
    return Around(Clock(Sites((), Path.cwd())))


def change(name: str, value: Any) -> Callable[[], None]:
    return lambda: globals().__setitem__(name, value)


@pytest.mark.parametrize(
    ("function", "changing", "name"),
    [
        (uses_number, change("number", 2), "number"),
        (uses_number, change("number", -2), "number"),
        (uses_number, change("number", True), "number"),
        (calls_another, change("number", 2), "number"),
        (has_one_inside, change("number", 2), "number"),
        (stores, change("number", 2), "number"),
        (own_name, change("number", 2), ""),
        (uses_many, change("number", 2), ""),
        (uses_many, lambda: numbers[1].append(3), "numbers"),
        (uses_many, lambda: setattr(settings, "rate", 0.5), "settings.rate"),
        (uses_many, lambda: setattr(settings, "other", 0.5), ""),
        (uses_many, lambda: settings.names["a"].append(1), "settings.names"),
        (uses_many, lambda: generator.normal(2.0), "generator"),
        (uses_many, lambda: array.__setitem__((1, 7), 1.0), "array"),
        (uses_many, change("tool", functools.partial(max, 2)), "tool"),
        (uses_many, lambda: setattr(model, "rate", 0.5), ""),
        (uses_many, lambda: setattr(model, "scale", 0.5), "self.scale"),
        (model.step, lambda: setattr(model, "rate", 0.5), "self.rate"),
        (model.step, lambda: setattr(Model, "shared", 0.5), "self.shared"),
        (model.step, model.count, ""),
        (model.count, model.count, "self.seen"),
        (model.inside, lambda: setattr(model, "rate", 0.5), "self.rate"),
        (draws, random.random, "random.random"),
        (asks_the_time, lambda: None, "time.perf_counter"),
        (len, lambda: None, ""),
    ],
)
def test_a_change_is_told_by_its_name(
    function: Any, changing: Callable[[], Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = {
        **{"number": 1, "numbers": [1, [2]], "model": model, "tool": functools.partial(max, 1)},
        **{"array": np.zeros((300, 300)), "generator": np.random.default_rng(0)},
        "settings": SimpleNamespace(rate=1.0, names={"a": deque([1])}),
    }
    for each, value in fresh.items():
        monkeypatch.setitem(globals(), each, value)
    monkeypatch.setattr(Model, "shared", 1.0)
    model.__init__()  # type: ignore[misc]
    watching = around()
    owner = getattr(function, "__self__", None)
    owner = owner if isinstance(owner, Model) else None
    assert watching.look(function, owner) == ""
    if name != "time.perf_counter":
        assert watching.look(function, owner) == ""
    changing()
    assert watching.look(function, owner).startswith(name)
    assert bool(watching.changed) == bool(name)


def test_closures_and_defaults() -> None:
    def make(rate: float) -> Any:
        return lambda x: x * rate

    def make_with_default(rate: float) -> Any:
        return lambda x, *, rate=rate: x * rate

    for making in (make, make_with_default):
        watching = around()
        assert watching.look(making(1.0)) == ""
        assert watching.look(making(1.0)) == ""
        assert watching.look(making(0.5)) == "rate"


def test_objects_of_one_class_do_not_count_as_a_change() -> None:
    one, other = Model(), Model()
    other.rate = 0.5
    watching = around()
    assert [watching.look(each.step, each) for each in (one, other, one, other)] == [""] * 4
    one.rate = 2.0
    assert watching.look(one.step, one) == "self.rate"


def test_calls_are_looked_at_less_and_less() -> None:
    watching = around()
    due = [call for call in range(1, 1001) if watching.due()]
    assert due == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_a_look_that_fails_is_reported_and_harms_nobody() -> None:
    class Odd(list[int]):
        def __len__(self) -> int:
            raise RuntimeError("no length")

    odd = Odd()
    clock = Clock(Sites((), Path.cwd()))
    assert Around(clock).look(lambda: odd) == ""
    assert "no length" in str(clock.failures)


class TestTensors:
    pytestmark = pytest.mark.tensorflow

    def test_by_their_values(self) -> None:
        tf = pytest.importorskip("tensorflow")
        held: dict[str, Any] = {}

        def function() -> Any:
            return held

        for first, same, other in (
            (tf.ones(3), tf.ones(3), tf.zeros(3)),
            (tf.constant(1), tf.constant(1), tf.constant(2)),
            (tf.ones(3, tf.bfloat16), tf.ones(3, tf.bfloat16), tf.ones(3, tf.float16)),
        ):
            watching = around()
            for value, told in ((first, ""), (same, ""), (other, "held")):
                held["value"] = value
                assert watching.look(function) == told

    def test_variables_are_told_by_which_they_are(self) -> None:
        tf = pytest.importorskip("tensorflow")
        variable = tf.Variable(1.0)

        def function() -> Any:
            return variable

        watching = around()
        assert watching.look(function) == ""
        variable.assign(3.0)
        assert watching.look(function) == ""
        variable = tf.Variable(3.0)
        assert watching.look(function) == "variable"
