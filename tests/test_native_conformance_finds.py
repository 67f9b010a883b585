"""What NumPy's conformance suites found in ops, held: each was another value, dtype or an error."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from test_native_cases import difference
from test_native_conformance_properties import compared as in_open_sizes
from test_native_properties import compared, together

from unslow.native import Untranslatable

pytestmark = pytest.mark.tensorflow

Call = tuple[Any, tuple[Any, ...]]

NEW = int(np.__version__.split(".")[0]) >= 2
RNG = np.random.default_rng(3)
CUBE = RNG.normal(size=(2, 3, 4))
SQUARE = RNG.normal(size=(2, 3, 3))
BOOLS = np.array([True, False, True])
INT = np.array([5, -3, 0, 12], np.int32)
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.5, 1e-3])
COMPLEX = np.array([complex(x, y) for x in SPECIAL for y in SPECIAL])
LEAST = np.iinfo(np.int64).min


def equal(calls: list[Call]) -> None:
    problems, refused = compared(calls, [str(place) for place in range(len(calls))])
    assert not problems, "\n".join(problems)
    assert not refused


def exactly(calls: list[Call]) -> None:
    """With the signs of zeros, and each part of a complex number by itself."""
    for found, (function, arguments) in zip(together(calls), calls, strict=True):
        assert not isinstance(found, Exception), found
        with np.errstate(all="ignore"):
            wanted = np.asarray(function(*arguments))
        ours = np.asarray(found[0])
        assert ours.dtype == wanted.dtype
        for part in ("real", "imag"):
            one, other = getattr(ours, part), getattr(wanted, part)
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
            zero = (one == 0) & (other == 0)
            assert np.array_equal(np.signbit(one[zero]), np.signbit(other[zero])), function


def refused(calls: list[Call]) -> None:
    assert all(isinstance(each, Untranslatable) for each in together(calls))


@pytest.mark.skipif(not hasattr(np.linalg, "vector_norm"), reason="new in NumPy 2")
def test_the_matrices_of_the_array_api_lie_in_the_last_axes() -> None:
    calls: list[Call] = [
        (np.linalg.diagonal, (CUBE,)),
        (lambda a: np.linalg.diagonal(a, offset=1), (CUBE,)),
        (np.linalg.trace, (CUBE,)),
        (lambda a: np.linalg.trace(a, offset=-1, dtype=np.float32), (CUBE,)),
        (lambda a: np.linalg.cross(a, a[::-1] + 1), (SQUARE,)),
        (lambda a: np.linalg.cross(a, a + 1, axis=1), (CUBE,)),
        (lambda a: np.linalg.vecdot(a, a + 1, axis=1), (CUBE,)),
        (lambda a: np.vecdot(a, a), (BOOLS,)),
        (np.linalg.matmul, (SQUARE, SQUARE)),
    ]
    for order in (1, 2, 3, 0, np.inf, -np.inf):
        calls.append((lambda a, o=order: np.linalg.vector_norm(a, ord=o), (CUBE,)))
        calls.append((lambda a, o=order: np.linalg.vector_norm(a, ord=o, axis=(0, 2)), (CUBE,)))
        calls.append(
            (lambda a, o=order: np.linalg.vector_norm(a, ord=o, axis=1, keepdims=True), (CUBE,))
        )
    for order in (1, -1, 2, -2, "fro", "nuc", np.inf, -np.inf):
        calls.append((lambda a, o=order: np.linalg.matrix_norm(a, ord=o), (CUBE,)))
        calls.append((lambda a, o=order: np.linalg.matrix_norm(a, ord=o, keepdims=True), (CUBE,)))
    equal(calls)


def test_norms_by_singular_values() -> None:
    equal(
        [
            (lambda a: np.linalg.norm(a, 2, axis=(2, 0)), (CUBE,)),
            (lambda a: np.linalg.norm(a, -2, axis=(0, 1), keepdims=True), (CUBE,)),
            (lambda a: np.linalg.norm(a[0], "nuc"), (CUBE,)),
        ]
    )


def test_systems_of_equations_broadcast() -> None:
    calls: list[Call] = [
        (lambda a: np.linalg.solve(a, a[0]), (SQUARE,)),
        (lambda a: np.linalg.solve(a[0], a), (SQUARE,)),
    ]
    if NEW:
        calls.append((lambda a: np.linalg.solve(a, a[0, 0]), (SQUARE,)))
    equal(calls)


@pytest.mark.skipif(not NEW, reason="`upper` is new in NumPy 2")
def test_the_upper_cholesky_factor() -> None:
    square = SQUARE[0] @ SQUARE[0].T + np.eye(3)
    equal([(lambda a: np.linalg.cholesky(a, upper=True), (square + np.tril(square, -1),))])


def test_infinities_of_integers_and_into_an_array() -> None:
    def into(a: Any) -> Any:
        out = np.zeros(a.shape, bool)
        np.isneginf(a, out=out)
        return out

    equal([(np.isposinf, (INT,)), (np.isneginf, (INT,)), (into, (SPECIAL,))])
    refused([(np.isposinf, (COMPLEX,))])


def test_truth_values_are_not_conjugated() -> None:
    equal([(np.vdot, (BOOLS, BOOLS)), (np.vdot, (COMPLEX[-9:], COMPLEX[-9:]))])


def test_a_contiguous_array_has_an_axis() -> None:
    equal([(np.ascontiguousarray, (np.float32(2),)), (np.ascontiguousarray, (CUBE,))])


def test_the_order_of_one_number() -> None:
    equal([(np.argsort, (np.float64(2),)), (lambda a: np.argsort(a, axis=0), (np.int32(2),))])


def test_extremes_of_complex_numbers_are_refused() -> None:
    refused([(np.max, (COMPLEX,)), (lambda a: np.min(a, initial=0), (COMPLEX,))])


def test_products_over_many_axes() -> None:
    equal([(np.kron, (CUBE, CUBE[:1])), (np.kron, (CUBE, CUBE[0])), (np.kron, (BOOLS, INT))])


def test_means_in_integers() -> None:
    values = np.array([[1.7, -2.6, 5.2], [4.0, 4.0, -9.9]])
    equal(
        [
            (lambda a: np.mean(a, dtype=np.int64), (values,)),
            (lambda a: np.mean(a, axis=1, dtype=np.int32), (values,)),
            (lambda a: np.mean(a, axis=0, dtype=np.int16, keepdims=True), (INT[:, None],)),
        ]
    )
    refused([(lambda a: np.var(a, dtype=np.int64), (values,))])


def test_shifts_in_an_array() -> None:
    shifts = np.array([1, -2])
    equal(
        [
            (lambda a, s: np.roll(a, s, axis=(0, -1)), (CUBE, shifts)),
            (lambda a, s: np.roll(a, s[:1], axis=(1,)), (CUBE, shifts)),
            (lambda a: np.roll(a, shifts, axis=(0, 1)), (CUBE,)),
            (lambda a: np.roll(a, (2, 3)), (CUBE,)),
        ]
    )


def test_ranges_of_powers() -> None:
    ends = np.array([1.0, 2.0]), np.array([[3.0, 100.0], [1000.0, 5.0]])
    equal(
        [
            (lambda a, b: np.logspace(a, b, 5), (np.float64(0), np.float64(3))),
            (lambda a, b: np.logspace(a, b, 5, endpoint=False, base=2.0), ends),
            (lambda a, b: np.logspace(a, b, 4, dtype=np.float32, axis=1), ends[:1] * 2),
            (lambda a, b: np.geomspace(a, b, 5), ends),
            (lambda a, b: np.geomspace(a, b, 5, endpoint=False, axis=-1), ends),
            (
                lambda a, b: np.geomspace(a, b, 4, dtype=np.float32),
                (np.float64(-1), np.float64(-1000)),
            ),
            (lambda a, b: np.geomspace(a, b, 1), ends),
        ]
    )


def test_the_step_of_no_range() -> None:
    (found,) = together([(lambda a: np.linspace(a, a + 1j, 0, retstep=True), (COMPLEX[-2:],))])
    wanted = np.linspace(COMPLEX[-2:], COMPLEX[-2:] + 1j, 0, retstep=True)
    assert not difference(found, wanted)


def test_unique_floats() -> None:
    values = np.array([2.5, np.nan, -1, 2.5, np.inf, np.nan, 0.0, -np.inf, -1], np.float32)
    calls: list[Call] = [
        (np.unique, (values,)),
        (lambda a: np.unique(a, True, True, True), (values,)),
        (lambda a: np.unique(a, equal_nan=False), (values,)),
        (lambda a: np.unique(a, True, True, True), (values[:0],)),
        (np.unique, (values.astype(np.float16),)),
        (np.union1d, (values, values[::2])),
        (np.setdiff1d, (values, values[:3])),
        (np.intersect1d, (values, values[2:5])),
    ]
    for name in ("unique_all", "unique_counts", "unique_inverse"):
        if hasattr(np, name):
            calls.append((getattr(np, name), (values,)))
            calls.append((getattr(np, name), (INT.reshape(2, 2),)))
    equal(calls)


def test_divisors_and_powers_of_64_bits() -> None:
    numbers = np.array([LEAST, -1, 0, 12, 2**40, LEAST + 1, 6])
    one, other = np.repeat(numbers, 7), np.tile(numbers, 7)
    unsigned = np.array([0, 1, 2, 3, 2**63, 2**64 - 1, 10**15, 7], np.uint64)
    equal(
        [
            (np.gcd, (one, other)),
            (np.lcm, (one, other)),
            (np.gcd, (unsigned.astype(np.uint32), np.uint32(6))),
            (np.power, (np.repeat(unsigned, 8), np.tile(unsigned, 8))),
            (np.power, (unsigned.astype(np.uint32), unsigned.astype(np.uint32) % 40)),
        ]
    )


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_that_are_not_finite(dtype: str) -> None:
    values = COMPLEX.astype(dtype)
    functions = [np.sqrt, np.log1p, np.expm1, np.reciprocal, np.tanh, np.square]
    calls: list[Call] = [(function, (values,)) for function in functions]
    calls.append((np.true_divide, (np.repeat(values, 20)[::5], np.tile(values, 20)[::5])))
    if NEW:
        calls.append((np.sign, (values,)))
    if dtype == "complex128":
        calls.append((np.exp2, (values,)))
    exactly(calls)


def test_powers_of_and_to_zero() -> None:
    zero, some = np.zeros(3, complex), np.array([0, 2 + 1j, -1j])
    equal([(np.power, (zero, some)), (np.power, (COMPLEX, np.complex128(0)))])


def test_the_next_float_of_16_bits() -> None:
    values = SPECIAL.astype(np.float16)
    one, other = np.repeat(values, 9), np.tile(values, 9)
    exactly([(np.nextafter, (one, other))])


def test_operators_as_functions() -> None:
    def changed(a: Any) -> Any:
        b = a.copy()
        operator.iadd(b[1:], 2)
        return b

    calls: list[Call] = [(changed, (INT,)), (operator.invert, (INT,))]
    for name in ("and_", "xor", "lshift", "matmul", "ge", "pow", "ne"):
        calls.append((getattr(operator, name), (INT, np.abs(INT))))
    equal(calls)
    outside = np.ones(4, np.int32)
    refused([(lambda a: operator.iadd(outside, a), (INT,))])
    assert outside.sum() == 4


def with_open_sizes(calls: list[Call]) -> None:
    problems, refused = in_open_sizes(calls, [str(place) for place in range(len(calls))], True)
    assert not problems, "\n".join(problems)
    assert not refused


def test_sizes_that_are_not_known() -> None:
    matrix, line = CUBE[0], CUBE[0, 0]
    calls: list[Call] = []
    for k in (-2, -1, 0, 1, 5):
        calls.append((lambda a, k=k: np.diagonal(a, k), (matrix,)))
        calls.append((lambda a, k=k: np.trace(a, k), (matrix,)))
        calls.append((lambda a, k=k: np.diag(a, k), (line,)))
    for index in (0, -1, [0, 2], [], slice(None, None, 2), slice(3, 0, -1)):
        calls.append((lambda a, i=index: np.delete(a, i), (line,)))
        calls.append((lambda a, i=index: np.delete(a, i, axis=1), (matrix,)))
    for place in (0, 2, -1):
        calls.append((lambda a, i=place: np.insert(a, i, 7), (line,)))
        calls.append((lambda a, i=place: np.insert(a, i, a[0], axis=0), (matrix,)))
    for parts in (1, 3, 5):
        calls.append((lambda a, n=parts: tuple(np.array_split(a, n, axis=1)), (matrix,)))
    for n in (2, 4, 7):
        calls.append((lambda a, n=n: np.fft.fft(a, n=n, axis=0, norm="ortho"), (matrix,)))
        calls.append((lambda a, n=n: np.fft.rfft(a, n=n), (matrix,)))
        calls.append((lambda a, n=n: np.fft.irfft(a, n=n), (matrix,)))
    calls += [
        (np.fft.irfft, (matrix,)),
        (np.fft.hfft, (line,)),
        (np.linalg.matrix_rank, (np.outer(line, line),)),
        (np.array_equal, (matrix, matrix)),
        (np.array_equal, (matrix, matrix + np.arange(4))),
        (np.array_equal, (matrix, matrix[:, :2])),
        (np.array_equal, (matrix, line)),
        (lambda a: np.resize(a, (5, 3)), (line,)),
        (np.delete, (line, np.array([0, -1]))),
    ]
    with_open_sizes(calls)


def test_what_is_deleted_may_be_known_in_the_graph_alone() -> None:
    mask = np.array([True, False, False, True])
    equal([(np.delete, (CUBE[0, 0], np.array([2, -1]))), (np.delete, (CUBE[0, 0], mask))])
