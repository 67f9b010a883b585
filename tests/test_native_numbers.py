"""Numbers that ops draw from `default_rng(seed)`: NumPy's own, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from unslow.native import Untranslatable, native
from unslow.native.lowering import numpy_numbers, ziggurat
from unslow.native.standalone import loaded as run_source
from unslow.native.standalone import translated as printed

pytestmark = pytest.mark.tensorflow


def some(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return (
        *(rng.random(), rng.uniform(-0.5, 0.5), rng.random(7), rng.random((2, 3), np.float32)),
        *(rng.uniform([0.0, 5.0], [1.0, 9.0]), rng.random(0), rng.random()),
    )


def normal(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return (
        *(rng.normal(), rng.standard_normal(3), rng.normal(2, 0.1, (20, 30))),
        *(rng.normal([1.0, 2.0], [0.1, 0.2]), rng.lognormal(0.5, 2.0, 5), rng.standard_normal()),
    )


def whole(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    return (
        *(rng.integers(0, 96, size=2), rng.integers(-1, 2, size=300), rng.integers(10)),
        *(rng.random(2), rng.integers(3, 4, size=3), rng.integers(-8, 8, size=(2, 3))),
        *(rng.integers(0, 7, size=3, dtype=np.int32), rng.integers(0, 9, 5, endpoint=True)),
    )


def often_refused(seed: Any) -> Any:
    # Of the words for such a range, nearly every second one is passed over.
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**31 + 5, size=9), rng.integers(0, 2**32 - 2, size=3), rng.random()


def orders(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    pairs = np.arange(12.0).reshape(6, 2)
    rng.shuffle(pairs)
    return (
        *(rng.permutation(20), rng.permutation(np.arange(6.0)), pairs, rng.permutation(1)),
        *(rng.choice(5), rng.choice(5, size=4), rng.choice([3.0, 4.0, 7.0], 6)),
        *(rng.choice(3, p=[0.2, 0.5, 0.3], size=9), rng.random()),
    )


def branched(seed: Any) -> Any:
    rng = np.random.default_rng(seed)
    total = 0.0
    for _ in range(3):
        if rng.random() < 0.5:
            total += rng.normal()
        elif rng.random() < 0.3:
            total -= rng.standard_normal(3).sum()
    count = 0
    while rng.integers(0, 6) != 5:
        count += 1
    return total, count, rng.random(), rng.integers(100)


def several(seed: Any) -> Any:
    one, other = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    return one.random(), other.integers(9), one.integers(9), other.random()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "function", [some, normal, whole, often_refused, orders, branched, several]
)
def test_numbers_are_numpys_own(function: Any, jit_compile: bool) -> None:
    translated = native(function, jit_compile=jit_compile)
    graph = tf.function(translated, autograph=False)
    for seed in (*range(25), 2**32 - 1, 2**32, 2**62 + 12345):
        wanted = function(np.int64(seed))
        found = graph(tf.constant(seed, tf.int64))
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.dtype == np.asarray(theirs).dtype
            assert ours.shape == np.shape(theirs)
            np.testing.assert_allclose(ours, theirs, rtol=1e-13, atol=0)


def test_many_normal_numbers_leave_the_generator_where_numpy_has_it() -> None:
    def many(seed: Any) -> Any:
        rng = np.random.default_rng(seed)
        return rng.normal(size=(60, 60, 3)), rng.random(4)

    graph = tf.function(native(many, jit_compile=True), autograph=False)
    for seed in range(40):
        wanted, found = many(seed), graph(tf.constant(seed, tf.int64))
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-13, atol=0)
        np.testing.assert_array_equal(found[1], wanted[1])


def test_one_by_one_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    # So they are drawn where those that are looked at together do not suffice.
    monkeypatch.setattr(ziggurat, "FEW_COMPILED", 10_000)
    graph = tf.function(
        native(lambda seed: np.random.default_rng(seed).normal(size=5000), jit_compile=True),
        autograph=False,
    )
    for seed in range(4):
        wanted = np.random.default_rng(seed).normal(size=5000)
        np.testing.assert_allclose(graph(tf.constant(seed)), wanted, rtol=1e-13, atol=0)


def test_what_is_not_looked_at_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Beyond the edge a pair of words will not do in 1 of 14 cases: 20000 numbers have some.
    monkeypatch.setattr(ziggurat, "PAIRS", 1)
    monkeypatch.setattr(ziggurat, "LONGEST", 3)
    seen = []
    one_by_one = ziggurat._one_by_one

    def watched(done: Any, *rest: Any) -> Any:
        seen.append(done)
        return one_by_one(done, *rest)

    monkeypatch.setattr(ziggurat, "_one_by_one", watched)

    def many(seed: Any) -> Any:
        numbers = native(lambda of: np.random.default_rng(of).normal(size=20_000))(seed)
        return numbers, seen[-1]

    graph = tf.function(many, autograph=False, jit_compile=True)
    again = 0
    for seed in range(8):
        found, done = graph(tf.constant(seed))
        again += int(done) == 0
        wanted = np.random.default_rng(seed).normal(size=20_000)
        np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=0)
    assert again


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32, np.uint64])
def test_seeds_of_any_whole_dtype(dtype: Any) -> None:
    def drawn(seed: Any) -> Any:
        return np.random.default_rng(seed).random(3)

    seed = np.iinfo(dtype).max
    np.testing.assert_array_equal(native(drawn)(tf.constant(seed, dtype)), drawn(dtype(seed)))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_ends_that_the_graph_knows(jit_compile: bool) -> None:
    def between(seed: Any, first: Any, last: Any) -> Any:
        rng = np.random.default_rng(seed)
        return rng.integers(first, last, size=5), rng.integers(last), rng.random()

    translated = native(between, jit_compile=jit_compile)
    for ends in ((0, 1), (2, 3), (5, 100), (-7, 2**31), (1, 2**31 + 3)):
        wanted = between(3, *map(np.int64, ends))
        for ours, theirs in zip(translated(np.int64(3), *map(np.int64, ends)), wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for wrong in ((3, 3), (4, 2), (0, 2**40)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            translated(np.int64(3), *map(np.int64, wrong))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_an_empty_range_in_a_loop_raises(jit_compile: bool) -> None:
    def narrowing(seed: Any, count: Any) -> Any:
        rng = np.random.default_rng(seed)
        total = 0
        for step in range(count):
            for _ in range(6):
                total += rng.integers(0, 5 - step)
        return total

    translated = native(narrowing, jit_compile=jit_compile)
    given = np.int64(3), np.int64(4)
    np.testing.assert_array_equal(translated(*given), narrowing(*given))
    with pytest.raises(tf.errors.InvalidArgumentError):
        translated(np.int64(3), np.int64(7))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_negative_seed_raises(jit_compile: bool) -> None:
    drawn = native(lambda seed: np.random.default_rng(seed).random(), jit_compile=jit_compile)
    with pytest.raises(tf.errors.InvalidArgumentError):
        drawn(tf.constant(-1))


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, n: rng.exponential(),
        lambda rng, n: rng.gamma(2.0),
        lambda rng, n: rng.poisson(),
        lambda rng, n: rng.binomial(3, 0.5),
        lambda rng, n: rng.choice(9, 3, replace=False),
        lambda rng, n: rng.standard_normal(3, dtype=np.float32),
        lambda rng, n: rng.integers(9, dtype=np.uint8),
        lambda rng, n: rng.integers(2**33),
        lambda rng, n: rng.integers([3, 4]),
    ],
)
def test_other_draws_need_consent(draw: Any) -> None:
    def drawn(seed: Any) -> Any:
        return draw(np.random.default_rng(seed), seed)

    with pytest.raises(Untranslatable, match='random="distribution"'):
        native(drawn)(tf.constant(3))
    native(drawn, random="distribution")(tf.constant(3))


def test_what_cannot_be_drawn_says_why() -> None:
    drawn = np.random.default_rng
    for function, reason in (
        (lambda seed: np.random.default_rng(seed).random(seed), "must be known"),
        (lambda seed: np.random.default_rng([seed, 1]).random(), "several numbers"),
        (lambda seed: np.random.default_rng(seed / 2).random(), "no integer"),
        (lambda seed: np.random.default_rng(seed).random(dtype="f2"), "floats of float16"),
        (lambda seed: np.random.RandomState(seed).rand(), 'random="distribution"'),
        (lambda seed: np.random.default_rng(np.asarray(seed)).random(), "several numbers"),
        (lambda seed: drawn(seed).integers(0, 2**31 + 5, dtype=np.int32), "out of bounds"),
        (lambda seed: drawn(seed).choice(3, p=[0.5, 0.5]), "same size"),
        (lambda seed: drawn(seed).choice(2, p=[0.5, 0.6]), "sum to 1"),
        (lambda seed: drawn(seed).normal(np.ones(3), 1.0, size=1), "not broadcast"),
        (lambda seed: drawn(seed).normal(np.ones((1, 3)), 1.0, size=3), "not compatible"),
        (lambda seed: drawn(seed).normal(0, -1.0), "scale < 0"),
        (lambda seed: drawn(seed).uniform(0, np.inf), "OverflowError"),
    ):
        with pytest.raises(Untranslatable, match=reason):
            native(function)(tf.constant(3))


def test_a_whole_number_of_pythons_plays_no_part_in_promotion() -> None:
    def scaled(seed: Any) -> Any:
        return np.random.default_rng(seed).integers(100, dtype=int) * np.int32(3)

    found, wanted = native(scaled)(tf.constant(3)), np.asarray(scaled(3))
    assert found.dtype == wanted.dtype and found.numpy() == wanted


def test_a_numpy_that_draws_otherwise_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert numpy_numbers._is_as_known()
    monkeypatch.setattr(numpy_numbers, "_DRAWN_KNOWN", [])
    numpy_numbers._is_as_known.cache_clear()
    with pytest.raises(Untranslatable, match="not known"):
        native(lambda seed: np.random.default_rng(seed).random())(tf.constant(3))
    numpy_numbers._is_as_known.cache_clear()


def test_on_rows_each_with_its_seed() -> None:
    def noisy(row: Any, seed: Any) -> Any:
        rng = np.random.default_rng(seed)
        return row[rng.integers(0, 4)] + rng.normal(size=6), rng.permutation(5)

    rows, seeds = np.arange(12.0).reshape(3, 4), np.array([5, 6, 7])
    translated = native(noisy)
    found = tf.vectorized_map(lambda each: translated(*each), (rows, seeds))
    for place in range(3):
        wanted = noisy(rows[place], seeds[place])
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours[place], theirs, rtol=1e-13)


def test_they_are_saved_and_printed(tmp_path: Path) -> None:
    translated = native(whole)
    module = tf.Module()
    spec = tf.TensorSpec([], tf.int64)
    module.drawn = tf.function(translated, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    source = run_source(printed(whole, [spec]), [spec])
    for seed in (0, 9):
        wanted = whole(np.int64(seed))
        for found in (loaded.drawn(tf.constant(seed, tf.int64)), source(np.int64(seed))):
            for ours, theirs in zip(found, wanted, strict=True):
                np.testing.assert_array_equal(ours, theirs)
