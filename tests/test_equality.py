"""Snapshots of live values, and what is equal to what."""

from __future__ import annotations

import collections
import datetime
import enum
import math
import pickle
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from unslow.experiment.values import reading
from unslow.experiment.values.equality import Comparison, compare, judge
from unslow.experiment.values.snapshot import (
    Back,
    Digest,
    Opaque,
    Record,
    Snapshot,
    is_opaque,
    take,
)

np = pytest.importorskip("numpy")


def compared(first: Any, second: Any, **options: Any) -> Comparison:
    """Compare two live values, after each has been pickled."""
    one, two = (pickle.loads(pickle.dumps(take(value))) for value in (first, second))
    comparison = compare(one, two, **options)
    back = compare(two, one, **options)
    assert back.equal == comparison.equal
    assert bool(comparison.where) == (not comparison.equal)
    return comparison


def judged(once: Any, again: Any, other: Any) -> Comparison:
    return judge(take(once), take(again), take(other))


class Point(NamedTuple):
    x: float
    y: float


@dataclass
class Settings:
    rate: float
    layers: list[int]


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Hostile:
    """An object that raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    __hash__ = None  # type: ignore[assignment]


class HostileList(list):  # type: ignore[type-arg]
    def __len__(self) -> int:
        raise RuntimeError("no")

    def __iter__(self) -> Any:
        raise RuntimeError("no")


class HostileMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("no")


class WithHostileMeta(metaclass=HostileMeta):
    pass


@dataclass
class Half:
    good: int
    bad: int

    def __getattribute__(self, name: str) -> Any:
        if name == "bad":
            raise ValueError("no")
        return object.__getattribute__(self, name)


SAME: list[tuple[Any, Any]] = [
    (None, None),
    (..., ...),
    (1, 1),
    (True, True),
    (2**80, 2**80),
    ("text", "text"),
    (b"bytes", b"bytes"),
    (1 + 2j, 1 + 2j),
    (math.nan, math.nan),
    (math.inf, math.inf),
    (0.0, -0.0),
    ([1, 2.0, "x"], [1, 2.0, "x"]),
    ([1, 2], (1, 2)),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({(1, "x"): 1}, {(1, "x"): 1}),
    ({1, 2, 3}, {3, 2, 1}),
    ({(1, 2), "a"}, {"a", (1, 2)}),
    (frozenset({0.0}), {-0.0}),
    ({math.nan}, {math.nan}),
    (Point(1.0, 2.0), Point(1.0, 2.0)),
    (Settings(0.1, [1]), Settings(0.1, [1])),
    (Colour.RED, Colour.RED),
    (Decimal("1.5"), Decimal("1.5")),
    (Path("a/b"), Path("a/b")),
    (range(3), range(3)),
    (collections.deque([1, 2]), collections.deque([1, 2])),
    (collections.Counter("aab"), collections.Counter("aab")),
    (ValueError("x", 1), ValueError("x", 1)),
    (np.float32(1.5), np.float32(1.5)),
    (np.array([1, math.nan, math.inf]), np.array([1, math.nan, math.inf])),
    (np.array([0.0, -0.0]), np.array([-0.0, 0.0])),
    (np.arange(6.0).reshape(2, 3).T, np.arange(6.0).reshape(2, 3).T.copy()),
    (np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4")),
    (np.array(["a", "bcd"]), np.array(["a", "bcd"], dtype="U9")),
    (np.array(["a", "b"]), np.array(["a", "b"], dtype=object)),
    (np.array([b"a", b"b"]), np.array([b"a", b"b"], dtype=object)),
    (np.array([1, "a", None], dtype=object), np.array([1, "a", None], dtype=object)),
    (np.array(["2020-01-01", "NaT"], "M8[D]"), np.array(["2020-01-01", "NaT"], "M8[D]")),
    (np.array([(1, 2.5)], "i4,f4"), np.array([(1, 2.5)], "i4,f4")),
    (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[0, 1])),
    (np.zeros((0, 3)), np.zeros((0, 3))),
    (1, np.int64(1)),
    (1.0, np.array(1.0)),
    (["a"] * 20, ["a"] * 20),
    (list(range(20)), tuple(range(20))),
    ([2**70] * 20, [2**70] * 20),
    ([math.nan] * 20, [math.nan] * 20),
]


@pytest.mark.parametrize(("first", "second"), SAME, ids=range(len(SAME)))
def test_the_same(first: Any, second: Any) -> None:
    assert compared(first, second) == Comparison(True)


OTHER: list[tuple[Any, Any, str]] = [
    (None, 0, "None against 0"),
    (1, 2, "1 against 2"),
    (1, True, "dtype int64 against bool"),
    (1, 1.0, "dtype int64 against float64"),
    (2**80, 2**80 + 1, "1208925819614629174706176 against 1208925819614629174706177"),
    ("a", b"a", "'a' against b'a'"),
    ("a", "b", "'a' against 'b'"),
    ("x" * 100 + "left", "x" * 100 + "right", "'xxxxxxxxxxxxxxxxxxxxleft'"),
    (0.31, 0.35, "0.31 against 0.35"),
    (math.nan, 1.0, "nan against 1.0"),
    (math.inf, -math.inf, "inf against -inf"),
    (math.inf, 1.7e308, "inf against 1.7e+308"),
    ([1, 2], [2, 1], "[0]: 1 against 2"),
    ([1], [1, 2], "length 1 against 2"),
    ([0, 1, {"loss": 0.31}], [0, 1, {"loss": 0.35}], "[2]['loss']: 0.31 against 0.35"),
    ({"a": 1}, {"a": 1, "b": 2}, "['b']: only in the second"),
    ({1: 0}, {1.0: 0}, "[1]: only in the first"),
    ({1, 2}, {1, 3}, "{2}: only in the first"),
    (Point(1.0, 2.0), Point(1.0, 3.0), ".y: 2.0 against 3.0"),
    (Settings(0.1, [1, 2]), Settings(0.1, [1, 3]), ".layers[1]: 2 against 3"),
    (Decimal("1.5"), "1.5", "Decimal 1.5 against '1.5'"),
    (Colour.RED, "RED", "Colour RED against 'RED'"),
    ({Colour.RED: 1}, {"RED": 1}, "[RED]: only in the first"),
    (Colour.RED, Colour.BLUE, "Colour RED against Colour BLUE"),
    ({"a": [1]}, {"a": {1}}, "['a']: list of 1 against set of 1"),
    (np.zeros(3), np.zeros((3, 1)), "shape (3,) against (3, 1)"),
    (np.zeros(3), np.zeros(3, "f4"), "dtype float64 against float32"),
    (np.float32(1), 1.0, "dtype float32 against float64"),
    (np.array([1, 2]), np.array([1, 3]), "[1]: 2 against 3 (1 of 2 differ)"),
    (np.array([math.nan, 1]), np.array([1, math.nan]), "(2 of 2 differ)"),
    (np.array([["a", "b"]]), np.array([["a", "c"]]), "[0, 1]: 'b' against 'c'"),
    (np.array([1, "a"], object), np.array([1, "b"], object), ".values[1]: 'a' against 'b'"),
    (np.arange(3), [0, 1, 2], "int64 array of shape (3,) against list of 3"),
    (np.array([1j]), np.array([2j]), "[0]: 1j against 2j"),
    (["a"] * 20, ["a"] * 19 + ["b"], "[19]: 'a' against 'b'"),
    ([1] * 20, [1] * 19 + [2], "[19]: 1 against 2 (1 of 20 differ)"),
    ([1] * 20, [1.0] * 20, "[0]: int against float"),
    ([1] * 20, [1] * 19 + [1.0], "[19]: dtype int64 against float64"),
]


@pytest.mark.parametrize(("first", "second", "where"), OTHER, ids=range(len(OTHER)))
def test_not_the_same(first: Any, second: Any, where: str) -> None:
    comparison = compared(first, second)
    assert comparison.equal is False
    assert where in comparison.where
    assert comparison.max_error is comparison.tolerance is None


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_another_order_of_the_same_sums_is_within_tolerance(dtype: str) -> None:
    terms = 30 if dtype == "float16" else 300
    draw = np.random.default_rng(0)
    a = draw.normal(size=(200, terms)).astype(dtype)
    b = draw.normal(size=(terms, 200)).astype(dtype)
    wide = a.astype("complex128") @ b.astype("complex128")
    exact = (wide if dtype == "complex64" else wide.real).astype(dtype)
    comparison = compared(exact, np.cumsum(a[:, :, None] * b[None], axis=1, dtype=dtype)[:, -1])
    assert comparison.equal is True
    assert comparison.max_error is not None and comparison.tolerance is not None
    assert 0 < comparison.max_error < comparison.tolerance


@pytest.mark.parametrize(
    ("dtype", "step", "equal"),
    [
        ("float64", 1e-10, True),
        ("float64", 1e-8, False),
        ("float32", 4e-6, True),
        ("float32", 4e-5, False),
        ("float16", 4e-3, True),
        ("float16", 4e-2, False),
    ],
)
def test_the_tolerance_fits_the_dtype(dtype: str, step: float, equal: bool) -> None:
    first = np.random.default_rng(0).uniform(1, 2, 100)
    second = first * (1 + step)
    assert compared(first.astype(dtype), second.astype(dtype)).equal is equal


def test_the_dtype_of_texts_is_not_shown() -> None:
    assert (
        compared(np.array(["a"]), np.array(["b"])).where == "[0]: 'a' against 'b' (1 of 1 differ)"
    )


def test_a_small_number_beside_large_ones_is_still_seen() -> None:
    first = np.array([1e6, 1.0], "f4")
    assert not compared(first, np.array([1e6, 5.0], "f4")).equal


def test_rounding_errors_of_sums_that_cancel_are_not() -> None:
    first = np.array([100.0, 1e-6, -50.0], "f4")
    assert compared(first, np.array([100.0, 3e-6, -50.0], "f4")).equal is True


def test_numbers_of_python_were_float32_mostly() -> None:
    loss = float(np.float32(0.31))
    assert compared(loss, loss * (1 + 3e-6)).equal is True
    assert compared([loss] * 30, [loss * (1 + 3e-6)] * 30).equal is True
    assert not compared(loss, loss * 1.0001).equal
    single = np.array([0.1, 0.2], "f4")
    other = single * np.float32(1 + 3e-6)
    assert compared(single.astype("f8"), other.astype("f8")).equal is True
    assert not compared(np.array([1e6, 2]), np.array([1e6 + 1, 2])).equal


def test_a_looser_tolerance_can_be_asked_for() -> None:
    assert not compared(np.array([1.0, 0.1], "f4"), np.array([1.0, 0.1001], "f4")).equal
    assert compared(np.array([1.0, 0.1], "f4"), np.array([1.0, 0.1001], "f4"), looser=100).equal


def test_the_largest_numbers_do_not_overflow() -> None:
    first = np.array([1.7e308, -1.7e308])
    assert not compared(first, -first).equal
    assert compared(first, first * (1 - 1e-12)).equal is True
    halves = np.array([60000.0, 1], "f2")
    assert not compared(halves, -halves).equal


def test_kinds_count_when_asked() -> None:
    assert compared(np.float64(1), 1.0, same_kind=True).where == "float64 against float"
    assert compared([1], (1,), same_kind=True).where == "list against tuple"
    assert compared({"a": [1]}, {"a": [1]}, same_kind=True).equal is True


def test_sets_of_numbers_have_tolerances_too() -> None:
    assert compared({0.1, 0.3}, {0.1 * (1 + 1e-7), 0.3}).equal is True
    assert not compared({0.1, 0.3}, {0.2, 0.3}).equal


def test_cycles() -> None:
    first: list[Any] = [1]
    first.append(first)
    second: list[Any] = [1]
    second.append(second)
    assert compared(first, second).equal is True
    assert take(first).items[1] == Back(1)  # type: ignore[union-attr]
    second[1] = [second]
    assert not compared(first, second).equal


def test_values_that_share_parts_without_end_are_read_once() -> None:
    def tree(leaf: int) -> list[Any]:
        grown: list[Any] = [leaf]
        for _ in range(50):
            grown = [grown, grown]
        return grown

    assert compared(tree(1), tree(1)).equal is True
    assert not compared(tree(1), tree(2)).equal


def test_depth_and_number_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert compared(deep, deep).opaque == 1
    monkeypatch.setattr(reading, "MOST", 1000)
    wide = [[number] for number in range(1001)]
    assert take(wide).items[-1] == Opaque("list", "there are too many values")  # type: ignore[union-attr]


OPAQUE: dict[str, Any] = {
    "builtin": lambda: len,
    "function": lambda: SAME.append,
    "module": lambda: sys,
    "class": lambda: int,
    "object": object,
    "generator": lambda: (n for n in range(3)),
    "iterator": lambda: iter([1]),
    "date": lambda: datetime.datetime(2020, 1, 1),
    "hostile": Hostile,
    "hostile class": lambda: HostileList,
    "hostile metaclass": WithHostileMeta,
}


@pytest.mark.parametrize("name", OPAQUE)
def test_opaque_values_are_compared_by_type(name: str) -> None:
    value = OPAQUE[name]()
    snapshot = take(value)
    assert is_opaque(snapshot)
    assert compared(value, value) == Comparison(True, opaque=1)
    assert not compared(value, "text").equal
    pickle.dumps(snapshot)


def test_nothing_is_consumed() -> None:
    numbers = (n for n in range(3))
    take([numbers, {"x": numbers}])
    assert list(numbers) == [0, 1, 2]


def test_hostile_objects() -> None:
    assert compared(HostileList([1, 2]), [1, 2]).equal is True
    half = take(Half(1, 2))
    assert isinstance(half, Record)
    fields = dict(half.fields)
    assert fields["bad"] == Opaque("", "reading it raised ValueError")
    assert take([Hostile()]).items[0].kind == "Hostile"  # type: ignore[union-attr]


def test_snapshots_do_not_change_with_the_value() -> None:
    array, inner = np.zeros(3), [1]
    snapshot = take([array, inner])
    array[0] = 1
    inner.append(2)
    assert compare(snapshot, take([np.zeros(3), [1]])).equal is True


def test_what_is_larger_than_the_limit_is_a_digest() -> None:
    array = np.arange(4000.0)
    small = take(array, limit=1000)
    assert isinstance(small, Digest)
    assert small.summary == pytest.approx((0, 3999, 1999.5))
    assert compare(small, take(array[::-1][::-1], limit=1000)).equal is True
    assert compare(small, take(array)).equal is True
    assert compare(take(array + 0.5), small).where.startswith("larger than the limit")
    assert compare(small, take(array.astype("f4"), limit=1000)).equal is False
    assert compare(small, take([1])).equal is False
    zeros = take(np.full(4000, -0.0), limit=10)
    assert compare(zeros, take(np.zeros(4000))).equal is True
    text = take("x" * 100, limit=10)
    assert compare(text, take("x" * 100)).equal is True
    assert compare(take("x" * 99 + "y", limit=10), text).equal is False
    strings = np.array(["a", "b"] * 50)
    assert compare(take(strings, limit=10), take(strings.astype(object), limit=10)).equal is True


def test_the_limit_is_for_the_whole_value() -> None:
    snapshot: Any = take([np.zeros(100), np.zeros(100)], limit=1000)
    assert [type(item).__name__ for item in snapshot.items] == ["Array", "Digest"]


# ---------------------------------------------------------------- random results


def normal(seed: int, shape: Any = 2000, scale: float = 1.0) -> Any:
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype("f4")


def test_random_arrays_may_be_another_draw() -> None:
    for seed in range(20):
        found = judged(normal(seed), normal(seed + 100), normal(seed + 200))
        assert found == Comparison("distribution")


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (normal(3, scale=2.0), "random numbers"),
        (normal(3) + 0.3, "another distribution"),
        (np.zeros(2000, "f4"), "another distribution"),
        (normal(3) * 100, "random numbers from"),
        (normal(3).astype("f8"), "dtype float32 against float64"),
        (normal(3, (2000, 1)), "shape (2000,) against (2000, 1)"),
        (normal(3, 1999), "shape (2000,) against (1999,)"),
        (np.full(2000, np.nan, "f4"), "100.0% is not finite against 0.0%"),
        ([1.0], "float32 array of shape (2000,) against list of 1"),
    ],
)
def test_other_distributions_are_told(other: Any, why: str) -> None:
    comparison = judged({"x": normal(1)}, {"x": normal(2)}, {"x": other})
    assert comparison.equal is False
    assert comparison.where.startswith("['x']: ")
    assert why in comparison.where


def test_only_what_is_random_is_compared_so() -> None:
    once, again = {"noise": normal(1), "mean": 0.5}, {"noise": normal(2), "mean": 0.5}
    assert judged(once, again, {"noise": normal(3), "mean": 0.5}).equal == "distribution"
    wrong = judged(once, again, {"noise": normal(3), "mean": 0.6})
    assert wrong.where == "['mean']: 0.5 against 0.6"
    assert judged(once, once, once) == Comparison(True)
    assert judged(once, once, again).equal is False
    close = judged(once, once, {"noise": normal(1), "mean": 0.5 + 1e-6})
    assert close.equal is True
    assert close.max_error is not None


def test_images_that_vary_as_wholes_have_few_independent_numbers() -> None:
    def batch(seed: int) -> Any:
        draw = np.random.default_rng(seed)
        images = draw.uniform(0, 1, (32, 16, 16, 1))
        return (images + draw.uniform(-0.5, 0.5, (32, 1, 1, 1))).astype("f4")

    for seed in range(20):
        assert judged(batch(seed), batch(seed + 50), batch(seed + 90)).equal == "distribution"
    assert judged(batch(1), batch(2), batch(3) + 1.5).equal is False


def test_of_very_many_numbers_some_stand_for_all() -> None:
    for seed in (0, 1):
        rows = np.random.default_rng(seed).normal(size=(16, 50_000)).astype("f4")
        numbers = np.arange(16)[:, None]
        draws = [np.where(numbers == n, rows[:, ::-1], rows) for n in range(3)]
        assert judged(*draws).equal == "distribution"
    assert judged(rows, rows[::-1], rows * 1.05).equal is False


def test_rows_in_another_order_are_the_same_distribution() -> None:
    rows = normal(0, (64, 10)) + np.arange(64)[:, None]
    once, again, other = (np.random.default_rng(n).permutation(rows) for n in range(3))
    assert judged(once, again, other).equal == "distribution"


def test_few_random_numbers_show_gross_errors_only() -> None:
    assert judged(0.7, 0.69, 0.1).equal == "distribution"
    assert judged(0.7, 0.69, 1e4).equal is False
    assert judged(0.7, 0.69, math.nan).equal is False
    assert judged(0.7, 0.69, "text").equal is False
    assert judged("10:01", "10:02", "10:03").equal == "distribution"
    assert judged("10:01", "10:02", 7).equal is False
    assert judged(3, 5, 0).equal == "distribution"
    assert judged(3, 5, 0.5).equal is False


def test_lists_of_random_numbers_are_compared_as_one() -> None:
    once, again, other = (normal(n, 500).tolist() for n in range(3))
    assert judged(once, again, other).equal == "distribution"
    assert judged(once, again, [number + 1 for number in other]).equal is False


def test_random_shapes_and_lengths() -> None:
    assert judged(normal(1, 500), normal(2, 600), normal(3, 550)).equal == "distribution"
    assert judged(normal(1, (9, 50)), normal(2, (8, 50)), normal(3, (9, 50))).equal
    assert not judged(normal(1, (9, 50)), normal(2, (8, 50)), normal(3, (9, 40))).equal
    assert judged([[1]], [[1], [2]], [[1], [2], [3]]).equal == "distribution"
    assert judged({"a": 1}, {"b": 1}, {"c": 1}).equal == "distribution"
    assert not judged({"a": 1}, {"b": 1}, [1]).equal


def test_keys_that_both_runs_have_are_asked_of_the_other() -> None:
    once, again = {"a": 0.1, "b": 0.2}, {"a": 0.3, "b": 0.2}
    assert judged(once, again, {"a": 0.2}).where == "['b']: only in the first"


# ---------------------------------------------------------------- TensorFlow


@pytest.mark.tensorflow
class TestTensorFlow:
    @pytest.fixture(autouse=True)
    def loaded(self) -> None:
        self.tf = pytest.importorskip("tensorflow")
        self.keras = pytest.importorskip("keras")

    def test_tensors_are_equal_to_arrays(self) -> None:
        tf = self.tf
        for array in (
            np.arange(6, dtype="f4").reshape(2, 3),
            np.array([True, False]),
            np.array([1 + 2j], "c8"),
            np.array(3, "i4"),
            np.zeros((0, 2)),
        ):
            assert compared(tf.constant(array), array) == Comparison(True)
            assert compared(tf.Variable(array), array) == Comparison(True)
            assert not compared(tf.constant(array), array, same_kind=True).equal
        assert compared(tf.constant(["a", "bc"]), np.array([b"a", b"bc"])).equal is True
        assert compared(tf.constant("a"), b"a").equal is True
        assert compared(tf.constant([], tf.string), tf.zeros([0], tf.string)).equal is True
        assert compared(tf.constant(["a"]), tf.constant(["b"])).where == (
            "[0]: b'a' against b'b' (1 of 1 differ)"
        )
        assert not compared(tf.constant(1), tf.constant(1, tf.int64)).equal

    def test_bfloat16_needs_no_other_package(self) -> None:
        tf = self.tf
        values = tf.constant([1.0, 3.0], tf.bfloat16)
        snapshot = take(values)
        assert compare(snapshot, take(values.numpy())).equal is True
        assert compare(snapshot, take(values * (1 + 2**-7))).equal is True
        assert compare(snapshot, take(values * 1.1)).equal is False
        assert compare(snapshot, take(tf.constant([1.0, 3.0]))).where == (
            "dtype bfloat16 against float32"
        )
        code = (
            "import pickle, sys; s = pickle.loads(sys.stdin.buffer.read());"
            "assert s.dtype == 'bfloat16' and s.values.tolist() == [1, 3];"
            "print(*(m for m in sys.modules if m in ('ml_dtypes', 'tensorflow', 'keras')))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(snapshot),
            capture_output=True,
            check=True,
        )
        assert done.stdout.strip() == b""

    def test_composite_tensors(self) -> None:
        tf = self.tf

        def all_of(last: int) -> list[Any]:
            return [
                tf.ragged.constant([[1, 2], [last]]),
                tf.sparse.from_dense([[0, last], [0, 5]]),
                tf.IndexedSlices(tf.constant([last]), tf.constant([0])),
            ]

        assert compared(all_of(3), all_of(3)).equal is True
        for first, second in zip(all_of(3), all_of(4), strict=True):
            assert not compared(first, second).equal
        ragged = tf.ragged.constant([[1, 2], [3]])
        assert "row_splits" in compared(ragged, tf.ragged.constant([[1], [2, 3]])).where
        assert not compared(ragged, tf.constant([[1, 2], [3, 0]])).equal

    def test_what_has_no_value_now_is_opaque(self) -> None:
        tf, keras = self.tf, self.keras
        seen: list[Snapshot] = []

        @tf.function(autograph=False)
        def function(x: Any) -> Any:
            seen.append(take(x))
            return x

        function(tf.constant(1))
        values = [
            function,
            keras.Input((2,)),
            tf.data.Dataset.range(3),
            tf.Variable(1.0).handle,
            tf.TensorArray(tf.float32, 1),
        ]
        with tf.Graph().as_default():
            values += [tf.constant(1), tf.compat.v1.get_variable("v", [2])]
        assert all(is_opaque(take(value)) for value in values)
        assert is_opaque(seen[0])

    def test_models_optimizers_and_histories(self) -> None:
        keras = self.keras

        def trained(rate: float) -> list[Any]:
            keras.utils.set_random_seed(1)
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
            model.compile("adam", "mse", metrics=["mae"])
            model.optimizer.learning_rate = rate
            history = model.fit(np.ones((4, 2)), np.ones((4, 3)), epochs=2, verbose=0)
            return [model, model.optimizer, history, keras.metrics.Mean()]

        first, second = trained(0.1), trained(0.1)
        assert compared(first, second).equal is True
        assert compared(first, second).opaque == 0
        for one, two in zip(first[:3], trained(0.2)[:3], strict=True):
            comparison = compared(one, two)
            assert not comparison.equal
        assert comparison.where.startswith(".history['")

    def test_random_ops(self) -> None:
        tf = self.tf
        draws = [tf.random.normal([1000]) for _ in range(3)]
        assert judged(*draws).equal == "distribution"
        assert judged(*draws[:2], tf.random.uniform([1000])).equal is False

    def test_wrapped_containers_of_modules(self) -> None:
        tf = self.tf

        class Net(tf.Module):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.rows = [tf.Variable(1.0)]
                self.named = {"a": tf.Variable(2.0)}

        net = Net()
        assert compared(net.rows, [np.float32(1)]).equal is True
        assert compared(net.named, {"a": np.float32(2)}).equal is True
        assert compared(net, Net()).equal is True


def test_pandas_tables() -> None:
    pandas = pytest.importorskip("pandas")
    first = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert compared(first, first.copy()).equal is True
    second = first.copy()
    second.loc[1, "b"] = "z"
    assert compared(first, second).where == ".columns[1][1]: 'y' against 'z' (1 of 2 differ)"
    assert compared(first["a"], second["a"]).equal is True


def test_neither_numpy_nor_tensorflow_is_loaded_to_take_plain_values() -> None:
    code = (
        "import sys; from unslow.experiment.values.snapshot import take\n"
        "print(take([1, 'x', {2.0: None}]), *(m for m in ('numpy', 'tensorflow') "
        "if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(")")
