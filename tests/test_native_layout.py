"""What NumPy makes a view and what a copy: by the order of elements in memory."""

# ruff: noqa: PLW0108

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from native_cases import CASES
from test_native_properties import compared, together

from unslow.native import Untranslatable, native
from unslow.native.function import array_from
from unslow.native.interpreter.calls import call
from unslow.native.tracing.array import Array
from unslow.native.tracing.layout import is_contiguous
from unslow.native.tracing.state import tracing

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(5)
X = RNG.normal(size=(3, 4)).astype(np.float32)
CUBE = RNG.normal(size=(2, 3, 4)).astype(np.float32)


def problems_of(function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[str]:
    """Where what is thought of the results' memory is not so in NumPy."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        plain = [np.array(each)[()] for each in arguments]
        wanted = function(*plain)
    problems = []
    with tf.Graph().as_default(), tracing(None):
        given = [array_from(tf.constant(each)) for each in arguments]
        try:
            found = call(function, tuple(given), {})
        except Untranslatable:
            return []
        both = list(zip(tf.nest.flatten(found), tf.nest.flatten(wanted), strict=True))
        for ours, theirs in both:
            if not isinstance(ours, Array) or ours._kind != "array":
                continue
            if not isinstance(theirs, np.ndarray) or not theirs.size:
                continue
            one_run = is_contiguous(ours)
            if one_run is not None and one_run != theirs.flags.c_contiguous:
                problems.append(f"contiguous: {one_run}, in NumPy {theirs.flags.c_contiguous}")
            for source, array in zip(given, plain, strict=True):
                if not isinstance(array, np.ndarray):
                    continue
                shares = np.may_share_memory(theirs, array)
                same = ours._storage is source._storage
                unsure = any(fork is source._storage for fork in ours._storage.forks)
                if not unsure and same != shares:
                    problems.append(f"shares memory: {same}, in NumPy {shares}")
    return problems


def turned(function: Callable[..., Any]) -> Callable[..., Any]:
    def of_turned(*arguments: Any) -> Any:
        return function(*[each.T if getattr(each, "ndim", 0) > 1 else each for each in arguments])

    return of_turned


@pytest.mark.parametrize("family", CASES)
def test_results_lie_in_memory_as_those_of_numpy(family: str) -> None:
    problems = []
    for place, (function, arguments) in enumerate(CASES[family]):
        plain = tuple(np.asarray(each) for each in arguments)
        back = tuple(each.T.copy() for each in plain)
        for name, tried, given in (
            ("as is", function, plain),
            ("turned", turned(function), back),
        ):
            line = getattr(function, "__code__", None)
            for problem in problems_of(tried, given):
                at = line.co_firstlineno if line else function
                problems.append(f"{place} (line {at}), {name}: {problem}")
    assert not problems, "\n".join(problems)


STEPS: list[Callable[..., Any]] = [
    lambda a: a.T,
    lambda a: a[::-1],
    lambda a: a[..., ::2],
    lambda a: a[1:],
    lambda a: a[..., :2],
    lambda a: a[None],
    lambda a: a[..., None],
    lambda a: np.swapaxes(a, 0, -1),
    lambda a: a.reshape(-1, 2),
    lambda a: a.reshape(2, -1),
    lambda a: a.reshape(-1),
    lambda a: a.reshape(2, -1, order="F"),
    lambda a: a.ravel(),
    lambda a: a.ravel("F"),
    lambda a: np.ascontiguousarray(a),
    lambda a: np.asfortranarray(a),
    lambda a: np.asarray(a, order="F"),
    lambda a: np.array(a, order="C", ndmin=3, copy=False if np.__version__ < "2" else None),
    lambda a: a.copy(),
    lambda a: a.copy("K"),
    lambda a: a.astype(np.float64),
    lambda a: a.astype(np.float32, copy=False),
    lambda a: a.astype(np.float32, order="C", copy=False),
    lambda a: a * 2,
    lambda a: a + a.sum(0),
    lambda a: np.zeros_like(a) + 1,
    lambda a: np.sort(a),
    lambda a: np.concatenate([a, a]),
    lambda a: a[[0, 0]],
    lambda a: a[..., [0]],
    lambda a: np.roll(a, 1, 0),
    lambda a: np.where(a > 0, a, 0),
    lambda a: np.cumsum(a, axis=0),
    lambda a: np.clip(a, 0, 1),
    lambda a: np.pad(a, 1),
    lambda a: np.flip(a),
    lambda a: a.sum(0, keepdims=True),
    lambda a: np.require(a, requirements="C"),
]


def chains(count: int) -> list[list[Callable[..., Any]]]:
    """Chains of steps that NumPy can walk."""
    found = []
    rng = np.random.default_rng(11)
    while len(found) < count:
        steps = [STEPS[each] for each in rng.integers(0, len(STEPS), rng.integers(2, 6))]
        try:
            result = walked(steps)(CUBE if len(found) % 2 else X)
        except (ValueError, IndexError):
            continue
        if 0 < np.size(result) < 500 and np.ndim(result):
            found.append(steps)
    return found


def walked(steps: list[Callable[..., Any]]) -> Callable[..., Any]:
    def walk(a: Any) -> Any:
        for step in steps:
            a = step(a)
        return a

    return walk


def written(steps: list[Callable[..., Any]]) -> Callable[..., Any]:
    def write(a: Any) -> Any:
        seen = [a]
        for step in steps:
            seen.append(step(seen[-1]))
        seen[-1][...] = 9
        return [np.sum(each) for each in seen]

    return write


def test_chains_of_views_and_copies_lie_in_memory_as_in_numpy() -> None:
    problems = []
    for place, steps in enumerate(chains(150)):
        told = problems_of(walked(steps), (CUBE if place % 2 else X,))
        lines = [step.__code__.co_firstlineno for step in steps]
        problems += [f"lines {lines}: {each}" for each in told]
    assert not problems, "\n".join(problems)


def test_what_is_written_is_seen_where_numpy_shares_memory() -> None:
    walks = chains(24)
    calls = [(written(steps), (CUBE if at % 2 else X,)) for at, steps in enumerate(walks)]
    problems, refused = compared(calls, [str(place) for place in range(len(calls))])
    assert not problems, "\n".join(problems)
    assert refused <= 2


def _changed(a: Any, make: Callable[[Any], Any]) -> Any:
    made = make(a)
    flat = made.reshape(-1)
    flat[1] = 9
    return a, made, flat


MADE: list[Callable[[Any], Any]] = [
    lambda a: a.T.astype(np.float64),
    lambda a: np.copy(a.T),
    lambda a: np.array(a.T),
    lambda a: np.clip(a.T, 0, 1),
    lambda a: np.where(a.T > 0, a.T, 0),
    lambda a: np.round(a.T, 1),
    lambda a: np.sort(a.T),
    lambda a: a[:, [0, 2]],
    lambda a: a.T[[0, 2]],
    lambda a: np.concatenate([a.T, a.T]),
    lambda a: np.sum(a.reshape(3, 2, 2).T, axis=0),
    lambda a: np.cumsum(a.T, axis=0),
    lambda a: np.pad(a.T, 1),
    lambda a: np.roll(a.T, 1, 0),
    lambda a: np.nan_to_num(a.T),
    lambda a: np.zeros_like(a.T) + 1,
    lambda a: np.array(a, order="F"),
    lambda a: a.astype(np.float64, order="F"),
    lambda a: a.copy(order="F"),
    lambda a: np.add(a, 1, order="F"),
    lambda a: np.float64(a.T),
    lambda a: a.T.astype(np.int8) > 300,
    lambda a: np.zeros((3, 4), order="F") + a[0, 0],
]


def test_what_is_perhaps_a_copy_is_not_read_once_it_was_changed() -> None:
    calls = [(lambda a, make=make: _changed(a, make), (X,)) for make in MADE]
    for found, make in zip(together(calls), MADE, strict=True):
        assert isinstance(found, Untranslatable), make.__code__.co_firstlineno
        assert "share memory" in str(found)


def test_what_is_certainly_a_copy_stays_as_it_was() -> None:
    makes: list[Callable[[Any], Any]] = [
        lambda a: np.ascontiguousarray(a.T),
        lambda a: np.require(a.T, requirements=["C"]),
        lambda a: np.asfortranarray(a),
        lambda a: np.asarray(a, order="F"),
        lambda a: a.T.copy(),
        lambda a: a[:, ::2].reshape(-1),
        lambda a: a.T.reshape(2, 6),
        lambda a: a[:, 1].ravel(),
        lambda a: a.flat[2:7],
        lambda a: np.array(a.tolist()),
    ]
    views: list[Callable[[Any], Any]] = [
        lambda a: np.ascontiguousarray(a[1:]),
        lambda a: np.asfortranarray(a.T),
        lambda a: np.array(a, copy=False if np.__version__ < "2" else None, ndmin=3),
        lambda a: a[:, 1].reshape(3, 1),
        lambda a: a[::2, :2].reshape(2, 2, 1),
        lambda a: a.T.conj(),
        lambda a: np.float32(a[::-1]),
    ]

    def write(a: Any, make: Callable[[Any], Any]) -> Any:
        made = make(a)
        made[0] = 9
        return a, made

    calls = [(lambda a, make=make: write(a, make), (X,)) for make in makes + views]
    problems, refused = compared(calls, [str(place) for place in range(len(calls))])
    assert not problems, "\n".join(problems)
    assert not refused


def test_an_order_of_memory_that_is_not_known_is_refused() -> None:
    asked: list[Callable[[Any], Any]] = [
        lambda a: a.T.ravel("K"),
        lambda a: a.T.ravel("A"),
        lambda a: a.T.flatten("K"),
        lambda a: a.T.reshape(-1, order="A"),
        lambda a: np.asfortranarray(a).ravel("K"),
        lambda a: a.copy("F").ravel("K"),
    ]
    for found in together([(each, (X,)) for each in asked]):
        assert isinstance(found, Untranslatable)
        assert "order" in str(found)
    same: list[Callable[[Any], Any]] = [
        lambda a: a.ravel("K"),
        lambda a: a[:, ::-1].ravel("K"),
        lambda a: a[1:, ::2].flatten("A"),
        lambda a: a.T[0].ravel("K"),
        lambda a: np.ascontiguousarray(a.sum()),
    ]
    problems, refused = compared([(each, (X,)) for each in same], ["", "", "", "", ""])
    assert not problems, "\n".join(problems)
    assert not refused


@pytest.mark.parametrize("shape", [-1, (1, 1), ()])
def test_a_single_element_is_seen_in_another_shape(shape: Any) -> None:
    def changed(x: Any) -> Any:
        x = x.copy()
        seen = x[-4, ...].reshape(shape)
        seen[...] = 7
        return x

    value = np.arange(6.0)
    np.testing.assert_array_equal(native(changed)(tf.constant(value)), changed(value))
