"""Which arguments of a translated function are seeds, and how its loops are kept in time."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

from unslow.native import native  # noqa: E402
from unslow.native.looping import seconds_up_to  # noqa: E402
from unslow.native.ops import has_loops  # noqa: E402
from unslow.native.seeds import seed_arguments  # noqa: E402
from unslow.native.standalone import traced  # noqa: E402

IMAGE = tf.TensorSpec([6, 5], tf.float32)
NUMBER = tf.TensorSpec([], tf.int64)


def translated(function: Any, *specs: Any) -> Any:
    return traced(native(function, random="distribution"), specs)


def test_seeds_are_told_from_other_arguments() -> None:
    def noisy(image: Any, seed: Any, place: Any) -> Any:
        rng = np.random.default_rng(seed)
        image = image + rng.normal(size=image.shape).astype(np.float32)
        image[place] = 0
        return image

    def mixed(epoch: Any, index: Any) -> Any:
        return np.random.default_rng(epoch * 1000 + index).random(3)

    def both(seed: Any) -> Any:
        return np.random.default_rng(seed).random(3) + seed

    def unseeded(image: Any, place: Any) -> Any:
        return image[place] + np.random.random(5)

    def fixed(place: Any) -> Any:
        return np.random.default_rng(3).random(8)[place]

    assert seed_arguments(translated(noisy, IMAGE, NUMBER, NUMBER)) == (1,)
    assert seed_arguments(translated(mixed, NUMBER, NUMBER)) == (0, 1)
    assert seed_arguments(translated(both, NUMBER)) == ()
    assert seed_arguments(translated(both, tf.TensorSpec([], tf.int32))) == ()
    found = translated(unseeded, IMAGE, NUMBER)
    assert found.seeds and seed_arguments(found) == ()
    assert translated(fixed, NUMBER).seeds == []


def test_loops_end_when_their_time_is_over() -> None:
    def steps(count: Any) -> Any:
        total = 0.0
        while total < count:
            total = total + 1.0
        return total

    assert has_loops(translated(steps, NUMBER).block)
    assert not has_loops(translated(lambda number: number + 1, NUMBER).block)
    function = native(steps)
    began = time.perf_counter()
    taken = seconds_up_to(0.5, function, [np.int64(10**9)])
    assert 0.5 <= taken <= time.perf_counter() - began < 60
    assert seconds_up_to(0.5, function, [np.int64(3)]) < 0.5
    # What is made outside has no end.
    assert float(function(tf.constant(5, tf.int64))) == 5.0


def test_a_pixel_is_set_in_a_loop_of_xla_without_a_copy_of_the_image() -> None:
    def walk(image: Any, row: Any, column: Any) -> Any:
        for step in range(40):
            image[(row + step) % 6, column - 5] = 0.5 * image[(row + step) % 6, column - 5] + step
        return image

    numbers = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    expected = walk(numbers.copy(), 2, 3)
    compiled = native(walk, jit_compile=True)
    given = tf.constant(numbers), tf.constant(2, tf.int64), tf.constant(3, tf.int64)
    np.testing.assert_allclose(compiled(*given).numpy(), expected, rtol=1e-6)
    graph = tf.function(compiled, autograph=False).get_concrete_function(*given).graph
    kinds = {node.op for each in graph.as_graph_def().library.function for node in each.node_def}
    assert "TensorScatterUpdate" in kinds and "GatherNd" in kinds
    # For these, XLA would compile anew for each value of a number they are given.
    assert "TensorStridedSliceUpdate" not in kinds and "SelectV2" in kinds


def test_numbers_of_an_index_are_taken_in_every_place() -> None:
    def taken(image: Any, i: Any, j: Any) -> Any:
        return image[i, j], image[-i], image[:, j], image[1:4, -j], image[2, j], image[i, None, ::2]

    def put(image: Any, i: Any, j: Any) -> Any:
        image[i] = image[-i]
        image[-i, -j] = 7
        image[:, j] = image[:, 0] * 2
        return image

    numbers = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    given = tf.constant(numbers), tf.constant(2, tf.int64), tf.constant(3, tf.int64)
    rows = [tf.stack([each, each]) for each in given]
    for function in (taken, put):
        expected = tf.nest.flatten(function(numbers.copy(), 2, 3))
        found = tf.nest.flatten(native(function, jit_compile=True)(*given))
        plain = native(function)
        mapped = tf.nest.flatten(tf.vectorized_map(lambda row: plain(*row), rows))  # noqa: B023
        for one, two, three in zip(expected, found, mapped, strict=True):
            np.testing.assert_array_equal(one, two.numpy())
            np.testing.assert_array_equal(one, three.numpy()[1])
