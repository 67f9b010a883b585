"""Values at the edges: bounds beyond a dtype, least numbers, zeros with a sign, empty ranges."""

# ruff: noqa: PLW0108

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from test_native_properties import compared, together

from unslow.native import Untranslatable

pytestmark = pytest.mark.tensorflow

NEW = int(np.__version__.split(".")[0]) >= 2
BYTES = np.array([1, 255, 7], np.uint8)
FLOATS = np.random.default_rng(2).normal(size=(3, 4))
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 2.5, 0.5, 1e-3])
Calls = list[tuple[Callable[..., Any], tuple[Any, ...]]]


def equal(calls: Calls, *, signs: bool = False) -> None:
    problems, refused = compared(calls, [str(place) for place in range(len(calls))])
    assert not problems, "\n".join(problems)
    assert not refused
    if signs:
        for found, (function, arguments) in zip(together(calls), calls, strict=True):
            with np.errstate(all="ignore"):
                wanted = np.asarray(function(*arguments))
            ours = np.asarray(found[0])
            assert np.array_equal(np.signbit(ours[ours == 0]), np.signbit(wanted[wanted == 0]))


def refused(calls: Calls) -> None:
    assert all(isinstance(each, Untranslatable) for each in together(calls))


@pytest.mark.skipif(not NEW, reason="NumPy 1 finds another dtype")
def test_bounds_beyond_a_dtype_do_not_limit() -> None:
    equal(
        [
            (lambda a: np.clip(a, -5, 300), (BYTES,)),
            (lambda a: np.clip(a, -5, 100), (BYTES,)),
            (lambda a: a.clip(3, 300), (BYTES,)),
            (lambda a: np.clip(a, -5, None), (BYTES,)),
            (lambda a: np.clip(a, -5, 2.5), (BYTES,)),
            (lambda a, n: np.clip(a, int(n), 200), (BYTES, np.int64(-5))),
            (lambda a, n: np.clip(a, 2, int(n)), (BYTES, np.int64(1000))),
            (lambda a, n: np.clip(a, int(n), None), (BYTES.astype(np.uint64), np.int64(-3))),
        ]
    )


def test_what_clip_does_not_take_is_refused() -> None:
    refused([(lambda a: np.clip(a, 0, 1, dtype=np.float32), (FLOATS,))])
    if NEW:
        refused([(lambda a: np.clip(a, 300, 400), (BYTES,))])


def test_the_pieces_of_a_function_see_their_own_elements() -> None:
    equal(
        [
            (
                lambda a: np.piecewise(a, [a < 0, a >= 0], [lambda v: v.sum(), lambda v: -v]),
                (FLOATS,),
            ),
            (
                lambda a: np.piecewise(a, [a < 0], [lambda v: v - v.mean(), lambda v: v.max()]),
                (FLOATS,),
            ),
            (lambda a: np.piecewise(a, [a > 9], [lambda v: v.max(), 1]), (FLOATS,)),
            (lambda a: np.piecewise(a, [a > 0, a > 1], [1, 2]), (FLOATS,)),
            (lambda a: np.piecewise(a, a > 1, [lambda v: v + 1]), (FLOATS[0],)),
            (
                lambda a: np.piecewise(a, np.stack([a > 0, a > 1]), [lambda v: v * 2, 5]),
                (FLOATS[0],),
            ),
        ]
    )


def test_reductions_of_ufuncs_take_their_arguments() -> None:
    ints = np.array([[3, -1], [2, 7]])
    truth, lies = np.array([True, True]), np.array([False, False])
    equal(
        [
            (lambda a: np.maximum.reduce(a, dtype=np.float64), (ints,)),
            (lambda a: np.minimum.reduce(a, axis=1, dtype=np.int8), (ints,)),
            (lambda a: np.logical_and.reduce(a, initial=False), (truth,)),
            (lambda a: np.logical_or.reduce(a, initial=True), (lies,)),
            (lambda a: np.logical_or.reduce(a, initial=False), (lies,)),
        ]
    )


def test_sums_are_made_in_the_dtype_of_out() -> None:
    def into(a: Any, dtype: Any) -> Any:
        out = np.zeros(a.shape[1], dtype)
        np.sum(a, axis=0, out=out)
        return out

    near = np.array([[1e8, 1.0], [1.0, 2.0], [-1e8, 3.0]], np.float32)
    equal(
        [
            (lambda a: into(a, np.float64), (near,)),
            (lambda a: into(a, np.int8), (np.full((5, 2), 100),)),
            (lambda a: into(a, np.float64), (np.full((5, 2), 100),)),
        ]
    )


def test_floats_round_to_sixteen_bits_once() -> None:
    bits = 2.0**-11
    wide = np.array([1 + bits + 2.0**-40, 1 + 3 * bits - 2.0**-40, 1 + bits, 65519.9999, 65520.0])
    wide = np.concatenate([wide, -wide, SPECIAL, [1e-8, 3e-8, 1e300, 2.0**-25 + 2.0**-60]])
    wide = np.concatenate([wide, np.random.default_rng(1).normal(size=500)])
    equal([(lambda a: a.astype(np.float16), (wide,)), (lambda a: np.float16(a[1]), (wide,))])


def test_powers_and_neighbours_at_zeros_and_infinities() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        special = SPECIAL.astype(dtype)
        one, other = np.repeat(special, len(special)), np.tile(special, len(special))
        equal(
            [
                (lambda a: a**-0.5, (special,)),
                (lambda a: np.power(a, -0.5), (special,)),
                (lambda a: a**0.5, (special,)),
                (lambda a: np.power(a, 0.5), (special,)),
                (lambda a: operator.ipow(a, 0.5), (special,)),
            ],
            signs=True,
        )
        problems, _ = compared([(np.nextafter, (one, other))], [np.dtype(dtype).name])
        assert not problems
        found = np.asarray(together([(np.nextafter, (one, other))])[0][0])
        wanted = np.nextafter(one, other)
        numbers = ~np.isnan(wanted)
        assert np.array_equal(found.view("u1"), wanted.view("u1")) or np.array_equal(
            found[numbers].view(f"u{found.itemsize}"), wanted[numbers].view(f"u{found.itemsize}")
        )


def test_whole_numbers_are_their_own_floor() -> None:
    large = np.int64(2**53 + 1)
    equal(
        [
            (lambda n: math.floor(int(n)), (large,)),
            (lambda n: math.ceil(int(n)), (large,)),
            (lambda n: math.trunc(int(n)), (large,)),
            (lambda n: math.floor(float(n)), (np.float64(-2.5),)),
        ]
    )


def test_a_range_may_be_empty() -> None:
    equal(
        [
            (lambda n: np.arange(5, n), (np.int32(3),)),
            (lambda n: np.arange(n, 3, 2), (np.int64(8),)),
            (lambda n: np.arange(3, n, -2), (np.int64(8),)),
            (lambda n: np.arange(9, n, -2), (np.int64(2),)),
            (lambda n: np.arange(n), (np.int64(-2),)),
            (lambda n: np.arange(2, n, 3), (np.int64(9),)),
            (lambda n: np.arange(9, 2, n), (np.int64(-3),)),
            (lambda n: np.arange(9, 2, n), (np.int64(3),)),
        ]
    )
