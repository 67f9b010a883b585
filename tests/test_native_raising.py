"""What NumPy raises for, such as an index out of bounds, raises compiled by XLA as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import unslow

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

LINE = np.arange(4, dtype=np.float32)
SQUARE = np.arange(16, dtype=np.float32).reshape(4, 4)


def taken(a: Any, i: Any) -> Any:
    return a[i]


def two_taken(a: Any, i: Any) -> Any:
    return a[i, i - 1]


def put(a: Any, i: Any) -> Any:
    a[i] = 5
    return a


def column_put(a: Any, i: Any) -> Any:
    a[:, i] = 5
    return a


def added(a: Any, i: Any) -> Any:
    np.add.at(a, i, 1)
    return a


def by_take(a: Any, i: Any) -> Any:
    return np.take(a, i)


def along(a: Any, i: Any) -> Any:
    return np.take_along_axis(a, i, 0)


def summed(a: Any, count: Any) -> Any:
    total = a[0]
    for place in range(count):
        total = total + a[place]
    return total


def branched(a: Any, i: Any) -> Any:
    if i < 4:
        return a[i]
    return a[0]


def divided(a: Any, by: Any) -> Any:
    return a * np.float32(12 // int(by))


def rest(a: Any, by: Any) -> Any:
    return a * np.float32(12 % int(by))


def raised(a: Any, power: Any) -> Any:
    return a.astype(np.int64) ** power


def part_put(a: Any, end: Any) -> Any:
    a[1:end] = np.array([7, 8])
    return a


def searched(a: Any, wanted: Any) -> Any:
    place = 0
    while a[place] < wanted:
        place += 1
    return place


def walked(a: Any, steps: Any) -> Any:
    place, left = 0, steps
    while left > 0:
        left = left - np.int64(a[place] > -1)
        place += 1
    return place


def number(value: int) -> Any:
    return np.int64(value)


@pytest.mark.parametrize(
    ("function", "array", "index"),
    [
        *((taken, LINE, number(i)) for i in (3, 4, -4, -5)),
        *((taken, SQUARE, number(i)) for i in (-1, 7)),
        *((taken, LINE, np.array(i)) for i in ([1, 3], [1, 4], [1, -5])),
        (taken, LINE, np.array([1, 200], np.uint8)),
        *((two_taken, SQUARE, number(i)) for i in (2, -4)),
        *((put, LINE, number(i)) for i in (3, 4)),
        *((put, LINE, np.array(i)) for i in ([1, 3], [1, 4])),
        *((column_put, SQUARE, number(i)) for i in (-1, 4)),
        *((added, LINE, np.array(i)) for i in ([1, 1], [1, 4])),
        *((by_take, LINE, np.array(i)) for i in ([3], [5])),
        *((along, LINE, np.array(i)) for i in ([3], [5])),
        *((summed, LINE, number(i)) for i in (4, 5)),
        *((branched, LINE, number(i)) for i in (3, 9, -9)),
        *((searched, LINE, number(i)) for i in (2, 3, 99)),
        *((walked, LINE, number(i)) for i in (0, 4, 5)),
        *((divided, LINE, number(i)) for i in (5, 0)),
        *((rest, LINE, number(i)) for i in (5, 0)),
        *((raised, LINE, number(i)) for i in (3, -1)),
        *((part_put, LINE, number(i)) for i in (3, 2, 4)),
    ],
)
def test_what_raises_in_numpy_raises_compiled_and_not(
    function: Any, array: Any, index: Any
) -> None:
    given = tf.constant(array), tf.constant(index)
    translated = [unslow.native(function, jit_compile=compiled) for compiled in (False, True)]
    try:
        expected = function(array.copy(), index)
    except (IndexError, ZeroDivisionError, ValueError):
        for each in translated:
            with pytest.raises(tf.errors.InvalidArgumentError):
                each(*given)
    else:
        for each in translated:
            np.testing.assert_array_equal(each(*given).numpy(), expected)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("size", "end", "fits"), [(1, 3, True), (2, 2, True), (2, 3, False)])
def test_a_part_takes_an_array_of_open_size(size: int, end: int, fits: bool) -> None:
    function = unslow.native(assigned, jit_compile=True)
    specs = [tf.TensorSpec([5]), tf.TensorSpec([None]), tf.TensorSpec([], tf.int64)]
    compiled = tf.function(function, specs, autograph=False)
    line, part = np.arange(5, dtype=np.float32), np.full(size, 7, np.float32)
    given = [tf.constant(each) for each in (line, part, np.int64(end))]
    if fits:
        np.testing.assert_array_equal(compiled(*given), assigned(line.copy(), part, end))
    else:
        with pytest.raises(tf.errors.InvalidArgumentError):
            compiled(*given)


def assigned(line: Any, part: Any, end: Any) -> Any:
    line = line.copy()
    line[:end] = part
    return line


def test_the_message_says_so() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="an index out of bounds"):
        unslow.native(taken, jit_compile=True)(tf.constant(LINE), tf.constant(4))


def test_a_pipeline_raises_at_the_element() -> None:
    def mapped(index: Any) -> Any:
        return unslow.numpy_function(taken, [LINE, index], tf.float32, jit_compile=True)

    elements = iter(tf.data.Dataset.range(2, 6).map(mapped, num_parallel_calls=2))
    assert [float(next(elements)) for _ in range(2)] == [2.0, 3.0]
    with pytest.raises(tf.errors.InvalidArgumentError):
        next(elements)


def test_a_batch_raises() -> None:
    function = unslow.native(taken, jit_compile=True)
    line = tf.constant(LINE)
    rows = tf.vectorized_map(lambda index: function(line, index), tf.range(4))
    np.testing.assert_array_equal(rows.numpy(), LINE)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.vectorized_map(lambda index: function(line, index), tf.range(6))


def test_a_saved_function_raises_without_unslow(tmp_path: Path) -> None:
    module = tf.Module()
    spec = tf.TensorSpec([], tf.int64)
    function = unslow.native(taken, jit_compile=True)
    module.taken = tf.function(lambda index: function(tf.constant(LINE), index), [spec])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    assert float(loaded.taken(tf.constant(2, tf.int64))) == 2.0
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.taken(tf.constant(4, tf.int64))


def test_the_gradient_goes_through() -> None:
    function = unslow.native(taken, jit_compile=True)
    line = tf.constant(LINE)
    with tf.GradientTape() as tape:
        tape.watch(line)
        value = function(line, tf.constant(2))
    np.testing.assert_array_equal(
        tf.convert_to_tensor(tape.gradient(value, line)).numpy(), [0, 0, 1, 0]
    )
