"""What the graphs of native ops are made of: no more ops than a person would write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from unslow.native import native

pytestmark = pytest.mark.tensorflow

SOUND = np.arange(120, dtype=np.float32) ** 1.5
IMAGE = np.random.default_rng(0).normal(size=(12, 10, 3)).astype(np.float32)


def compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    return tf.function(native(function), autograph=False).get_concrete_function(*arguments)


def counted(function: Callable[..., Any], *arguments: Any) -> Counter[str]:
    """How often each kind of op is in the function's graph."""
    graph = compiled(function, *arguments).graph
    return Counter(operation.type for operation in graph.get_operations())


def agree(function: Callable[..., Any], *arguments: Any) -> None:
    """The ops and NumPy give the same."""
    wanted = function(*[each.copy() for each in arguments])
    found = compiled(function, *arguments)(*[tf.constant(each) for each in arguments]).numpy()
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    np.testing.assert_array_equal(found, wanted)


def framed(begin: int, hop: int, length: int, count: int, axis: int = 0) -> Callable[..., Any]:
    def function(sound: Any) -> Any:
        starts = range(begin, begin + hop * count, hop)
        return np.stack([sound[start : start + length] for start in starts], axis)

    return function


@pytest.mark.parametrize(
    ("begin", "hop", "length"),
    [(0, 8, 16), (3, 8, 8), (5, 8, 4), (1, 12, 8), (0, 8, 20), (2, 9, 12), (0, 16, 8), (7, 1, 9)],
)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_slices_at_regular_steps_become_frames(
    begin: int, hop: int, length: int, axis: int
) -> None:
    for count in (3, (len(SOUND) - begin - length) // hop + 1):
        function = framed(begin, hop, length, count, axis)
        agree(function, SOUND)
        if count > 8 and hop > 1:
            ops = counted(function, SOUND)
            assert ops["StridedSlice"] < 8 and not ops["Pack"], ops


def test_the_last_frame_may_end_with_the_array() -> None:
    agree(framed(0, 16, 8, 8), SOUND[:120])
    agree(framed(8, 28, 28, 4), SOUND)


def columns(image: Any) -> Any:
    return np.stack([image[:, column] for column in range(9, -1, -2)])


def windows(image: Any) -> Any:
    return np.array([image[2:-1, at : at + 4, 1] for at in range(0, 6, 2)])


def patches(image: Any) -> Any:
    corners = [(top, left) for top in range(1, 12, 5) for left in range(0, 9, 4)]
    return np.stack([image[top : top + 1, left : left + 2] for top, left in corners])


def overlapping_patches(image: Any) -> Any:
    parts = [image[top : top + 6, left : left + 4, 1] for left in (0, 2, 4) for top in range(3)]
    return np.stack(parts, axis=-1)


def pixels(image: Any) -> Any:
    return np.stack([image[row, at] for row in range(11, 2, -3) for at in range(2, 8, 2)], 1)


def runs_of_rows(image: Any) -> Any:
    return np.array([image[row, at : at + 3, ::-1] for row in (0, 3, 6) for at in (1, 4, 7)])


def diagonal(image: Any) -> Any:
    return np.stack([image[at, at : at + 3] for at in range(5)])


def rows_of_a_part(image: Any) -> Any:
    part = image[1:, ::-1]
    return np.stack([part[-3], part[-2], part[-1]], axis=2)


def channels_first(image: Any) -> Any:
    return np.stack([image[..., 0], image[..., 1], image[..., 2]], dtype=np.float64)


def after_a_change(image: Any) -> Any:
    parts = [image[row] for row in range(4)]
    image = image.copy()
    parts += [image[row] for row in range(4)]
    image[1] = 7
    return np.stack(parts)


@pytest.mark.parametrize(
    "function",
    [
        columns,
        windows,
        patches,
        overlapping_patches,
        pixels,
        runs_of_rows,
        rows_of_a_part,
        channels_first,
    ],
)
def test_views_at_regular_steps_become_one(function: Callable[..., Any]) -> None:
    agree(function, IMAGE)
    assert not counted(function, IMAGE)["Pack"]


def test_views_of_several_arrays_are_stacked_one_by_one() -> None:
    agree(after_a_change, IMAGE)
    agree(diagonal, IMAGE)


def unequal(sound: Any) -> Any:
    return np.stack([sound[0:4], sound[4:8], sound[9:13]]), np.stack([sound[::2], sound[1::2]])


def test_views_at_other_steps_are_stacked_one_by_one() -> None:
    for place in (0, 1):
        agree(lambda sound, place=place: unequal(sound)[place], SOUND)


def jitter(image: Any) -> Any:
    grey = image @ np.array([0.3, 0.6, 0.1], np.float32)
    return (image - grey.mean()) * grey.std() + grey.mean()


def test_what_is_computed_twice_is_computed_once() -> None:
    assert counted(jitter, IMAGE)["Sum"] == 2  # the mean and the variance


def signs(image: Any) -> Any:
    plus, minus = np.copysign(image, 0.0), np.copysign(image, -0.0)
    return plus * np.float32(1) + minus * np.float32(2) + (image > 0) * 1 + (image > 0) * True


def test_numbers_that_compare_equal_are_told_apart() -> None:
    agree(signs, IMAGE)


def drawn(image: Any) -> Any:
    return np.random.normal(size=5) - np.random.normal(size=5) + image[0, 0, 0]


def test_two_draws_are_two() -> None:
    found = native(drawn, random="distribution")(tf.zeros([1, 1, 1], tf.float64))
    assert np.all(np.asarray(found) != 0)


def chosen(image: Any, shades: Any) -> Any:
    return shades[(image * 50).astype(np.uint8)]


def test_indices_that_are_never_negative_are_not_tested() -> None:
    image, shades = np.abs(IMAGE), np.arange(256.0)
    agree(chosen, image, shades)
    assert not counted(chosen, image, shades)["SelectV2"]
    agree(lambda i, s: np.take(s, i.astype(np.int8)), IMAGE, shades)
    agree(lambda i, s: s[i.astype(np.int16)], IMAGE, shades)


@pytest.mark.parametrize("values", [[], [3, 0, 3, 7]])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint32"])
def test_counts_of_as_many_bins_as_the_dtype_has(values: list[int], dtype: str) -> None:
    for least in (0, 5, 256):
        agree(lambda x, least=least: np.bincount(x, minlength=least), np.array(values, dtype))
    made = compiled(lambda x: np.bincount(x, minlength=256), np.array(values, "uint8"))
    assert made.structured_outputs.shape == [256]


@pytest.mark.parametrize("shift", [3, -25, 2**40 + 5, -(2**33) - 1])
def test_rolls_by_any_number(shift: int) -> None:
    by = np.array(shift)
    agree(lambda x: np.roll(x, shift), SOUND)
    agree(lambda x: np.roll(x, (shift, 1), (0, 1)), IMAGE)
    agree(lambda x, n: np.roll(x, n, 0), IMAGE, by)
    agree(lambda x, n: np.roll(x, (n, 2, n), (0, 1, 0)), IMAGE, by)
    agree(np.roll, IMAGE[:0], by)


def cut(image: Any, at: Any) -> Any:
    image = image.copy()
    image[at : at + 4, at - 2 :] = 0
    image[::2, at, 1] = image[1, 1, 1]
    return image


def pasted(image: Any, at: Any) -> Any:
    image = image.copy()
    image[at:-1:2, 2:7] = image[5, ::2]
    image[1 : at + 2 : 2] = np.arange(30, dtype=np.float32).reshape(10, 3)
    image[at : at + 3, 1:4] = image[4:7, 5:8]
    return image


def fixed(image: Any, at: Any) -> Any:
    canvas = np.zeros((6, 7), np.float32)
    canvas[1:3, ::3] = image[0, 0, 0] + at
    canvas[at] = 5
    canvas[-2, at - 1] = 4
    return canvas.T


def backwards(image: Any, at: Any) -> Any:
    image = image.copy()
    image[5:1:-1] = image[at] * 2
    image[:] = image[0] + image[at]
    return image


@pytest.mark.parametrize("function", [cut, pasted, fixed, backwards])
def test_assignment_to_slices_is_vectorised_and_compiled(function: Callable[..., Any]) -> None:
    images = np.stack([IMAGE, IMAGE[::-1], -IMAGE])
    places = np.array([3, 4, 5])
    wanted = np.stack([function(i.copy(), p) for i, p in zip(images, places, strict=True)])
    made = native(function)

    def batch(images: Any, places: Any) -> Any:
        return tf.vectorized_map(lambda row: made(*row), (images, places))

    found = tf.function(batch, autograph=False)(images, places)
    np.testing.assert_array_equal(found, wanted)
    if function is not backwards:
        jit = tf.function(batch, autograph=False, jit_compile=True)
        np.testing.assert_array_equal(jit(images, places), wanted)
    single = native(function, jit_compile=True)
    np.testing.assert_array_equal(single(tf.constant(IMAGE), tf.constant(4)), function(IMAGE, 4))


def scattered(image: Any, places: Any) -> Any:
    image = image.copy()
    image[places] = image[places] * 2
    image[image < -1] = 0
    return image


def test_assignment_by_arrays_is_vectorised() -> None:
    images, places = np.stack([IMAGE, -IMAGE]), np.array([[1, 4, -1], [0, 2, 3]])
    wanted = np.stack([scattered(i, p) for i, p in zip(images, places, strict=True)])
    made = native(scattered)

    def batch(images: Any, places: Any) -> Any:
        return tf.vectorized_map(lambda row: made(*row), (images, places))

    np.testing.assert_array_equal(tf.function(batch, autograph=False)(images, places), wanted)


def branched(image: Any, at: Any) -> Any:
    if image[at, at, 0] > 0:
        total = (image * 2).sum() + (image * 2).max()
    else:
        total = (image * 2).sum() - (image * 3).max()
    rounds = 0
    while (image * 2).sum() + rounds < 40 and rounds < 5:
        total = total + (image * 2).sum() * (image * 3).max()
        rounds += 1
    return np.array([total, (image * 3).max(), (image * 2).sum()])


def turned(image: Any, at: Any) -> Any:
    image = image.copy()
    if at > 3:
        image = image[::-1]
        image[0] = 7 // (at - 3)
    elif at != 0:
        image[at] = 9 % at
    return image


def test_branches_are_vectorised_and_compiled() -> None:
    images, places = np.stack([IMAGE + number for number in range(4)]), np.array([0, 3, 4, 5])
    wanted = np.stack([turned(i, p) for i, p in zip(images, places, strict=True)])
    made = native(turned)

    def batch(images: Any, places: Any) -> Any:
        return tf.vectorized_map(lambda row: made(*row), (images, places))

    for jit in (True, False):
        found = tf.function(batch, autograph=False, jit_compile=jit)(images, places)
        np.testing.assert_array_equal(found, wanted)


def test_what_a_branch_or_a_loop_computes_stays_in_it() -> None:
    image = np.round(IMAGE * 4)  # whole numbers: sums in any order are the same
    for at in (0, 3, 7):
        agree(branched, image, np.array(at))
