"""Functions over dtypes and shapes of chance, sizes known and not: NumPy's result, or refused."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from test_native_cases import difference
from test_native_properties import DTYPES, together

from unslow.native import Untranslatable
from unslow.native.tracing.dtypes import quietly

pytestmark = pytest.mark.tensorflow

Call = tuple[Callable[..., Any], tuple[Any, ...]]

CRASH = re.compile(r"\w+(Error|Exception): ")
"""The reason of a refusal that was no refusal, but an error while ops were made."""

SHAPES = [(), (1,), (3,), (0,), (2, 3), (1, 4), (3, 0), (4, 1), (2, 1, 3), (1, 0, 2), (2, 3, 2)]
MATRICES = [(1, 1), (2, 2), (3, 3), (2, 3, 3), (0, 2, 2)]


def drawn(rng: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """Small numbers: sums and products of them are exact in every dtype, or nearly so."""
    kind = np.dtype(dtype).kind
    low = 0 if kind in "bu" else -5
    values = rng.integers(low, 2 if kind == "b" else 6, shape)
    if kind in "fc":
        values = values / 2
    if kind == "c":
        values = values + 0.5j * rng.integers(-4, 5, shape)
    return np.asarray(values, dtype)


def compared(calls: list[Call], names: list[str], open_sizes: bool) -> tuple[list[str], int]:
    """What is neither NumPy's result nor refused, and how many calls were refused."""
    problems, refused = [], 0
    kept: list[tuple[Call, str, Any]] = []
    for call, name in zip(calls, names, strict=True):
        try:
            kept.append((call, name, quietly(call[0], *[each.copy() for each in call[1]])))
        except Untranslatable:
            continue
    found = together([call for call, _, _ in kept], open_sizes, Exception)
    for result, ((_, arguments), name, wanted) in zip(found, kept, strict=True):
        if isinstance(result, Untranslatable) and not CRASH.match(result.reason):
            refused += 1
        elif isinstance(result, Exception):
            problems.append(f"{name} {arguments}: {type(result).__name__} {result}")
        elif told := difference(result, wanted):
            problems.append(f"{name} {arguments}: {told}")
    assert len(kept) > len(calls) / 2
    return problems, refused


ONE: list[Any] = [
    np.abs,
    np.sign,
    np.sqrt,
    np.exp,
    np.isfinite,
    np.isposinf,
    np.isneginf,
    np.conjugate,
    np.ravel,
    np.squeeze,
    np.transpose,
    np.flip,
    np.sum,
    np.prod,
    np.mean,
    np.var,
    np.any,
    np.all,
    np.max,
    np.argmin,
    np.count_nonzero,
    np.cumsum,
    np.sort,
    np.nonzero,
    np.unique,
    np.diff,
    np.tril,
    np.atleast_3d,
    np.zeros_like,
    np.nan_to_num,
    np.ptp,
    np.median,
    np.linalg.norm,
    np.real,
    np.argwhere,
    lambda a: a[..., None] + a,
    lambda a: np.stack([a, a], axis=-1),
    lambda a: np.concatenate([a, a], axis=0),
    lambda a: np.pad(a, 1),
    lambda a: np.repeat(a, 2, axis=-1),
    lambda a: np.roll(a, 1, axis=0),
    lambda a: np.tile(a, 2),
    lambda a: np.where(a > 1, a, 0),
    lambda a: np.clip(a, 1, 3),
    lambda a: np.take(a, [0, -1], axis=-1),
    lambda a: np.sum(a, axis=-1, keepdims=True),
    lambda a: np.max(a, axis=0, initial=2),
    lambda a: np.std(a, axis=0),
    lambda a: np.expand_dims(a, (0, -1)),
    lambda a: np.moveaxis(a, 0, -1),
    lambda a: np.broadcast_to(a, (2, *a.shape)),
    lambda a: np.reshape(a, (-1, 1)),
    lambda a: np.unique(a, return_counts=True, return_inverse=True, return_index=True),
    lambda a: a[::-2],
    lambda a: a[a == a[..., :1]],
]
TWO: list[Any] = [
    np.add,
    np.multiply,
    np.true_divide,
    np.maximum,
    np.equal,
    np.less,
    np.logical_xor,
    np.bitwise_and,
    np.power,
    np.floor_divide,
    np.remainder,
    np.gcd,
    np.lcm,
    np.arctan2,
    np.hypot,
    np.matmul,
    np.dot,
    np.inner,
    np.outer,
    np.kron,
    np.vdot,
    np.isin,
    np.isclose,
    np.array_equal,
    np.append,
    np.union1d,
    np.broadcast_arrays,
    lambda a, b: np.where(a > b, a, b),
    lambda a, b: np.searchsorted(np.sort(a.ravel()), b),
    lambda a, b: np.concatenate([a.ravel(), b.ravel()]),
]
MATRIX: list[Any] = [
    np.linalg.norm,
    np.trace,
    np.diagonal,
    np.tril,
    lambda a: np.linalg.matrix_power(a, 3),
    lambda a: a @ a.swapaxes(-1, -2),
    lambda a: np.linalg.norm(a, axis=(-2, -1), ord=1),
    lambda a: np.einsum("...ii->...i", a),
]
MATRIX += [
    getattr(np.linalg, name)
    for name in ("diagonal", "trace", "matrix_norm", "vector_norm", "svdvals", "matrix_transpose")
    if hasattr(np.linalg, name)
]


def name_of(function: Any) -> str:
    if function.__name__ == "<lambda>":
        return f"line {function.__code__.co_firstlineno}"
    return str(function.__name__)


@functools.cache
def calls_of(seed: int) -> tuple[list[Call], list[str]]:
    rng = np.random.default_rng(seed)
    calls: list[Call] = []
    names = []
    for functions, shapes, count in ((ONE, SHAPES, 1), (TWO, SHAPES, 2), (MATRIX, MATRICES, 1)):
        for function in functions:
            for dtype in rng.choice(DTYPES, 4, replace=False):
                shape = shapes[rng.integers(len(shapes))]
                given = [drawn(rng, shape, dtype)]
                if count == 2:
                    other = tuple(1 if rng.random() < 0.3 else size for size in shape)
                    second = dtype if rng.random() < 0.5 else rng.choice(DTYPES)
                    given.append(drawn(rng, other, second))
                calls.append((function, tuple(given)))
                names.append(f"{name_of(function)} {[(g.shape, g.dtype.name) for g in given]}")
    return calls, names


@pytest.mark.parametrize("seed", [1])
def test_dtypes_and_shapes(seed: int) -> None:
    problems, refused = compared(*calls_of(seed), open_sizes=False)
    assert not problems, "\n".join(problems)
    assert refused <= 0.1 * len(calls_of(seed)[0])


@pytest.mark.parametrize("seed", [2])
def test_dtypes_and_shapes_that_are_not_known(seed: int) -> None:
    problems, refused = compared(*calls_of(seed), open_sizes=True)
    assert not problems, "\n".join(problems)
    assert refused <= 0.2 * len(calls_of(seed)[0])
