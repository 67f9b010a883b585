"""Where `unslow.numpy_function` has XLA compile the ops without being told to."""

from __future__ import annotations

from typing import Any

import pytest

import unslow
from unslow.native import compiling

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

LINE = tf.TensorSpec([4], tf.float32)
NUMBER = tf.TensorSpec([], tf.int64)


def summed(line: Any, count: Any) -> Any:
    total = line[0]
    for place in range(count):
        total = total + line[place]
    return total


def doubled(line: Any, count: Any) -> Any:
    return (line * 2)[0]


def parts_summed(line: Any, count: Any) -> Any:
    total = np.float32(0)
    for place in range(count):
        total = total + line[: place + 1].sum()
    return total


def counted(line: Any, count: Any) -> Any:
    total = np.float32(0)
    for place in range(count):
        total = total + np.float32(len(line[line > place]))
    return total


def printed(line: Any, count: Any) -> Any:
    for place in range(count):
        print(place)
    return line[0]


def drawn(line: Any, seed: Any) -> Any:
    return line[np.random.default_rng(seed).integers(0, 3)]


def turned(line: Any, angle: Any) -> Any:
    from scipy import ndimage

    return ndimage.rotate(line.reshape(2, 2), angle, reshape=False, order=1)[0, 0]


def singular(line: Any, count: Any) -> Any:
    total = line.sum()
    for _ in range(count):
        total = total + np.linalg.svd(line.reshape(2, 2))[1][0]
    return total


def bridged(function: Any, *specs: Any, **options: Any) -> Any:
    """A graph that calls the function through `unslow.numpy_function`."""

    def call(*given: Any) -> Any:
        return unslow.numpy_function(function, list(given), tf.float32, **options)

    return tf.function(call, autograph=False).get_concrete_function(*specs)


def is_compiled(graph: Any) -> bool:
    """Whether XLA compiles a part of it."""
    return any(
        each.attr["_XlaMustCompile"].b for each in graph.graph.as_graph_def().library.function
    )


@pytest.mark.parametrize(
    ("function", "compiled"),
    [
        (summed, True),
        (doubled, False),
        # XLA would compile anew for each size that a slice or a choice turns out to have.
        (parts_summed, False),
        (counted, False),
        (printed, False),
        (drawn, True),
        (turned, True),
        (singular, False),
    ],
)
def test_loops_are_compiled_where_all_sizes_are_known(function: Any, compiled: bool) -> None:
    graph = bridged(function, LINE, NUMBER)
    assert is_compiled(graph) == compiled
    given = np.array([3, 1, 4, 1], np.float32), np.int64(3)
    np.testing.assert_allclose(graph(*map(tf.constant, given)), function(*given), rtol=1e-5)


def test_open_sizes_and_what_is_run_at_once_are_not_compiled() -> None:
    assert not is_compiled(bridged(summed, tf.TensorSpec([None], tf.float32), NUMBER))
    # The same call, made at once: an element has no gradient in what XLA compiles of a loop.
    line = tf.Variable([1.0, 2.0, 3.0, 4.0])
    with tf.GradientTape() as tape:
        found = unslow.numpy_function(summed, [line, tf.constant(2)], tf.float32)
    assert tape.gradient(found, line) is not None


def test_it_is_as_one_says() -> None:
    assert not is_compiled(bridged(summed, LINE, NUMBER, jit_compile=False))
    assert is_compiled(bridged(doubled, LINE, NUMBER, jit_compile=True))


def test_what_is_compiled_or_vectorised_already_is_left_alone() -> None:
    def row(line: Any) -> Any:
        return unslow.numpy_function(summed, [line, tf.constant(2)], tf.float32)

    def rows(lines: Any) -> Any:
        return tf.vectorized_map(row, lines)

    lines = tf.constant(np.arange(12, dtype=np.float32).reshape(3, 4))
    graph = tf.function(rows, autograph=False).get_concrete_function(lines)
    assert not is_compiled(graph)
    expected = [summed(line, 2) for line in lines.numpy()]
    np.testing.assert_allclose(graph(lines).numpy(), expected)
    inside = tf.function(row, autograph=False, jit_compile=True)
    assert float(inside(lines[1])) == expected[1]


def test_ops_without_a_kernel_are_not_for_xla() -> None:
    spec = tf.TensorSpec([2, 2], tf.float32)
    for op, lowers in (
        (lambda x: tf.linalg.eigvals(x)[0], False),
        (lambda x: tf.linalg.matrix_transpose(x)[0], True),
    ):
        compiled = tf.function(op, [spec], autograph=False, jit_compile=True)
        assert compiling._lowers(compiled, [spec]) is lowers


def test_there_is_no_gradient_as_of_tensorflows_own() -> None:
    line = tf.Variable([1.0, 2.0, 3.0, 4.0])

    @tf.function(autograph=False)
    def gradient(module: Any) -> Any:
        with tf.GradientTape() as tape:
            value = module.numpy_function(summed, [line, tf.constant(2)], tf.float32)
        return tape.gradient(value, line)

    assert gradient(unslow) is None
    assert gradient(tf) is None


def test_a_pipeline_gives_the_same() -> None:
    lines = np.random.default_rng(0).random((5, 4), np.float32)

    def mapped(line: Any) -> Any:
        return unslow.numpy_function(summed, [line, 3], tf.float32)

    found = list(tf.data.Dataset.from_tensor_slices(lines).map(mapped, num_parallel_calls=2))
    np.testing.assert_allclose(found, [summed(line, 3) for line in lines], rtol=1e-6)
