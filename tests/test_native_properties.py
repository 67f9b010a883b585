"""Random keys, values, dtypes and shapes: what ops give is what NumPy gives, or is refused."""

# ruff: noqa: B008

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from test_native_cases import difference

from unslow.native import Untranslatable, native

pytestmark = pytest.mark.tensorflow

DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]
DTYPES += ["complex64", "complex128"]


def edges(dtype: str, seed: int = 0) -> Any:
    """The values of a dtype at which things go wrong, in an order of chance."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        values: Any = [True, False] * 6
    elif kind in "iu":
        info = np.iinfo(dtype)
        values = [info.min, info.max, info.max - 1, 0, 1, 2, 3, 5, 7, info.min + 1, 0, 1]
        values = [*values, -1, -2, -3] if kind == "i" else [*values, 4, 6, 8]
    else:
        values = [
            np.nan,
            np.inf,
            -np.inf,
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            -1.5,
            2.5,
            3.0,
            -7.25,
            0.1,
            100.0,
            2.0,
        ]
    array = np.array(values, dtype)
    if kind == "c":
        array = np.array(
            [1 + 2j, -0.5j, 3, 0, -1 - 1j, 2.5 - 3j, 1j, -2, 0.25, 4 - 4j, 0.1j, 7], dtype
        )
    return rng.permutation(array)


def together(
    calls: list[tuple[Any, tuple[Any, ...]]],
    open_sizes: bool = False,
    caught: type[Exception] = Untranslatable,
) -> list[Any]:
    """The results of many calls in one graph; what is `caught` stands for itself."""
    notes: list[Any] = []

    def run(arguments: Any) -> Any:
        notes.clear()
        results = []
        for (function, _), given in zip(calls, arguments, strict=True):
            try:
                results.append(tf.nest.flatten(native(function)(*given)))
                notes.append(None)
            except caught as error:
                results.append([])
                notes.append(error)
        return results

    given = [[tf.constant(each) for each in arguments] for _, arguments in calls]
    signature = [
        [tf.TensorSpec([None] * t.shape.rank if open_sizes else t.shape, t.dtype) for t in row]
        for row in given
    ]
    found = tf.function(run, autograph=False, input_signature=[signature])(given)
    return [note or result for note, result in zip(notes, found, strict=True)]


def compared(calls: list[tuple[Any, tuple[Any, ...]]], names: list[str]) -> tuple[list[str], int]:
    """The differences from NumPy, and how many calls were refused that NumPy answers."""
    problems, refused = [], 0
    for result, (function, arguments), name in zip(together(calls), calls, names, strict=True):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                wanted = function(*[each.copy() for each in arguments])
            except (TypeError, ValueError, IndexError, OverflowError) as error:
                if not isinstance(result, Untranslatable):
                    problems.append(f"{name}: NumPy raises {error}")
                continue
        if isinstance(result, Untranslatable):
            refused += 1
        elif told := difference(result, wanted):
            problems.append(f"{name} {arguments}: {told}")
    return problems, refused


UNARY = [
    "negative",
    "positive",
    "absolute",
    "sign",
    "rint",
    "floor",
    "ceil",
    "trunc",
    "sqrt",
    "square",
    "cbrt",
    "exp",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "arcsinh",
    "arctanh",
    "tanh",
    "isnan",
    "isinf",
    "isfinite",
    "signbit",
    "logical_not",
    "invert",
    "conjugate",
    "deg2rad",
    "modf",
]
BINARY = [
    "add",
    "subtract",
    "multiply",
    "true_divide",
    "floor_divide",
    "remainder",
    "fmod",
    "divmod",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "arctan2",
    "hypot",
    "copysign",
    "heaviside",
    "left_shift",
    "right_shift",
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_ufuncs_of_one(dtype: str) -> None:
    calls = [(getattr(np, name), (edges(dtype),)) for name in UNARY]
    problems, refused = compared(calls, UNARY)
    assert not problems, "\n".join(problems)
    assert refused <= 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_ufuncs_of_two(dtype: str) -> None:
    one, other = edges(dtype, 1), edges(dtype, 2)
    calls = [(getattr(np, name), (one, other)) for name in BINARY]
    problems, refused = compared(calls, BINARY)
    assert not problems, "\n".join(problems)
    # The order of complex numbers is refused.
    assert refused <= (8 if np.dtype(dtype).kind == "c" else 1)


@pytest.mark.parametrize("name", ["add", "multiply", "true_divide", "less", "maximum", "power"])
def test_promotion(name: str) -> None:
    function = getattr(np, name)
    calls, names = [], []
    for first in DTYPES:
        for second in DTYPES:
            one, other = np.array([1, 2, 3], first), np.array([3, 0, 1], second)
            calls.append((function, (one, other)))
            names.append(f"{first} {second}")
    problems, refused = compared(calls, names)
    assert not problems, "\n".join(problems)
    order = name in ("less", "maximum")
    assert refused <= (2 * len(DTYPES) * 2 + 4 if order else 20)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_python(dtype: str) -> None:
    calls: list[Any] = [
        (lambda a: a + 1, (edges(dtype),)),
        (lambda a: a * 2.0, (edges(dtype),)),
        (lambda a: a - True, (edges(dtype),)),
        (lambda a: 3 - a, (edges(dtype),)),
        (lambda a: a * 1j, (edges(dtype),)),
        (lambda a: a < 300, (edges(dtype),)),
        (lambda a: a == -1, (edges(dtype),)),
        (lambda a: a >= 0.5, (edges(dtype),)),
        (lambda a: a + np.float32(1), (edges(dtype),)),
        (lambda a: a + np.int64(1), (edges(dtype),)),
        (lambda a: a[0] + 1, (edges(dtype),)),
        (lambda a: a[0] * 0.5, (edges(dtype),)),
        (lambda a: a[0] * a, (edges(dtype),)),
    ]
    problems, _ = compared(calls, [str(place) for place in range(len(calls))])
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions(dtype: str) -> None:
    array = edges(dtype)[:12].reshape(3, 4)
    empty = np.zeros((0, 3), dtype)
    names = [
        "sum",
        "prod",
        "mean",
        "max",
        "min",
        "any",
        "all",
        "argmax",
        "argmin",
        "cumsum",
        "sort",
        "argsort",
        "std",
        "ptp",
        "median",
    ]
    calls, told = [], []
    for name in names:
        for axis in (None, 0, 1):
            calls.append((lambda a, f=getattr(np, name), x=axis: f(a, axis=x), (array,)))
            told.append(f"{name} {axis}")
    for name in ("sum", "prod", "any", "all", "cumsum", "sort", "mean"):
        calls.append((lambda a, f=getattr(np, name): f(a, axis=0), (empty,)))
        told.append(f"{name} of nothing")
    stable = [place for place, each in enumerate(told) if not each.startswith("argsort")]
    calls, told = [calls[i] for i in stable], [told[i] for i in stable]
    if np.dtype(dtype).kind in "fc":
        calls.append((lambda a: np.argsort(a, axis=1, kind="stable"), (array,)))
        told.append("stable argsort")
    problems, refused = compared(calls, told)
    assert not problems, "\n".join(problems)
    assert refused <= {"uint64": 12, "complex64": 24, "complex128": 24}.get(dtype, 3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_casts(dtype: str) -> None:
    array = edges(dtype)
    if array.dtype.kind in "fc":
        # What a float beyond the integers becomes is not defined.
        array = np.array([0, 1, -1, 2.5, -3.75, 100, 1.999], dtype)
    calls: list[Any] = []
    for other in DTYPES:
        values = array
        if array.dtype.kind in "fc" and other == "uint64":
            values = array[array.real >= 0]
        calls.append((lambda a, d=other: a.astype(d), (values,)))
    problems, refused = compared(calls, DTYPES)
    assert not problems, "\n".join(problems)
    assert not refused


def a_slice(rng: Any, size: int) -> slice:
    def end() -> Any:
        return None if rng.random() < 0.4 else int(rng.integers(-size - 2, size + 3))

    return slice(end(), end(), [None, 1, 2, -1, -2, 3][rng.integers(6)])


def a_key(rng: Any, shape: tuple[int, ...]) -> Any:
    """A key for an array of such a shape."""
    while True:
        key = _any_key(rng, shape)
        try:
            np.empty(shape)[key]
        except IndexError:
            continue
        return key


def _any_key(rng: Any, shape: tuple[int, ...]) -> Any:
    parts: list[Any] = []
    axis = 0
    lines = int(rng.integers(1, 4))
    while axis < len(shape):
        kind = rng.integers(10)
        size = shape[axis]
        if kind < 4:
            parts.append(a_slice(rng, size))
        elif kind < 6:
            parts.append(int(rng.integers(-size, size)))
        elif kind == 6:
            parts.append(None)
            continue
        elif kind == 7 and Ellipsis not in [p for p in parts if not isinstance(p, np.ndarray)]:
            parts.append(Ellipsis)
            axis += int(rng.integers(0, len(shape) - axis + 1))
            continue
        elif kind == 8:
            parts.append(rng.integers(-size, size, lines))
        elif not any(isinstance(part, np.ndarray) for part in parts):
            mask = np.zeros(size, bool)
            mask[rng.choice(size, min(lines, size), replace=False)] = True
            parts.append(mask)
        axis += 1
        if rng.random() < 0.2:
            break
    return tuple(parts)


def test_random_keys() -> None:
    rng = np.random.default_rng(11)
    calls, names = [], []
    for _ in range(150):
        shape = tuple(int(size) for size in rng.integers(1, 5, rng.integers(1, 4)))
        array = np.arange(np.prod(shape)).reshape(shape).astype(rng.choice(DTYPES[1:12]))
        key = a_key(rng, shape)
        calls.append((lambda a, k=key: a[k], (array,)))
        names.append(f"{shape} {key}")
    problems, refused = compared(calls, names)
    assert not problems, "\n".join(problems)
    assert refused <= 5


def test_random_keys_that_the_graph_knows() -> None:
    rng = np.random.default_rng(12)
    calls, names = [], []
    for _ in range(80):
        shape = tuple(int(size) for size in rng.integers(1, 5, rng.integers(1, 4)))
        array = np.arange(np.prod(shape)).reshape(shape).astype(np.float32)
        key = a_key(rng, shape)
        known = [part for part in key if isinstance(part, (int, np.ndarray))]

        def look(a: Any, *given: Any, key: Any = key) -> Any:
            rest = list(given)
            parts = [rest.pop(0) if isinstance(p, (int, np.ndarray)) else p for p in key]
            return a[tuple(parts)]

        calls.append((look, (array, *[np.asarray(part) for part in known])))
        names.append(f"{shape} {key}")
    problems, refused = compared(calls, names)
    assert not problems, "\n".join(problems)
    assert refused <= 5


def put(a: Any, value: Any, key: Any) -> Any:
    b = a.copy()
    b[key] = value
    return b


def test_random_assignments() -> None:
    rng = np.random.default_rng(13)
    calls, names = [], []
    while len(calls) < 150:
        shape = tuple(int(size) for size in rng.integers(1, 5, rng.integers(1, 4)))
        dtype = rng.choice(DTYPES[1:12])
        array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        key = a_key(rng, shape)
        seen = array[key].shape
        if rng.random() < 0.5:
            seen = tuple(1 if rng.random() < 0.3 else size for size in seen)[rng.integers(0, 2) :]
        value = rng.integers(0, 100, seen).astype(rng.choice(DTYPES[1:12]))
        calls.append((lambda a, v, k=key: put(a, v, k), (array, value)))
        names.append(f"{shape} {dtype} {key} {value.dtype}")
    problems, refused = compared(calls, names)
    assert not problems, "\n".join(problems)
    assert refused <= 12


def test_random_views_that_are_changed() -> None:
    rng = np.random.default_rng(14)
    calls, names = [], []
    for _ in range(40):
        array = np.arange(24.0).reshape(2, 3, 4)
        steps = [int(step) for step in rng.integers(0, 6, 3)]
        seed = int(rng.integers(1000))

        def change(a: Any, steps: Any = tuple(steps), seed: int = seed) -> Any:
            whole = a.copy()
            view = whole
            numbers = np.random.default_rng(seed)
            for step in steps:
                if step == 0:
                    view = view.T
                elif step == 1:
                    view = view[::-1]
                elif step == 2:
                    view = view[..., 1:]
                elif step == 3:
                    view = np.swapaxes(view, 0, -1)
                elif step == 4:
                    view = view[None]
                else:
                    view = np.flip(view, axis=-1)
            view += numbers.normal()
            view[0] *= 2
            view[..., 0] = numbers.normal()
            return whole, view

        calls.append((change, (array,)))
        names.append(f"{steps}")
    problems, refused = compared(calls, names)
    assert not problems, "\n".join(problems)
    assert not refused


def test_random_shapes_that_broadcast() -> None:
    rng = np.random.default_rng(15)
    calls, names = [], []
    for _ in range(60):
        shape = tuple(int(size) for size in rng.integers(0, 4, rng.integers(0, 4)))
        other = tuple(1 if rng.random() < 0.4 else size for size in shape)[rng.integers(0, 3) :]
        one, two = rng.normal(size=shape), rng.normal(size=other).astype(np.float32)
        calls.append((lambda a, b: (a + b, np.where(a > b, a, 0), np.maximum(b, a)), (one, two)))
        names.append(f"{shape} {other}")
    problems, refused = compared(calls, names)
    assert not problems, "\n".join(problems)
    assert not refused


def test_places_of_extremes_among_ties() -> None:
    rng = np.random.default_rng(16)
    calls, names = [], []
    for size in (7, 64, 1000, 20001):
        for dtype in ("float32", "int64", "uint8", "bool"):
            array = rng.integers(0, 3, (size, 3)).astype(dtype)
            calls.append(
                (lambda a: (a.argmax(), a.argmax(axis=0), a.argmin(axis=1), a.argmin()), (array,))
            )
            names.append(f"{size} {dtype}")
    problems, _ = compared(calls, names)
    assert not problems, "\n".join(problems)


def test_of_equal_places_the_last_assignment_counts() -> None:
    rng = np.random.default_rng(17)
    calls = []
    for _ in range(5):
        places = rng.integers(0, 50, 3000)
        calls.append((lambda a, i, v: put(a, v, i), (np.zeros(50), places, np.arange(3000.0))))
    problems, _ = compared(calls, ["last"] * len(calls))
    assert not problems, "\n".join(problems)
