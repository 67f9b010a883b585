"""Functions with branches, loops, views and helpers, and the arguments they are called with."""

# ruff: noqa: SIM108, C416

from __future__ import annotations

import functools
import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import sqrt as root

V = np.array([3.0, -1.0, 2.5, 0.5, -4.0], np.float32)
M = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
U = (np.arange(48) * 5 % 256).astype(np.uint8).reshape(4, 4, 3)
MEAN = np.array([0.5, 0.25, 0.125], np.float32)
TABLE = [1, 2, 3]
Pair = namedtuple("Pair", "low high")

PROGRAMS: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []


def program(*arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS.append((function, arguments))
        return function

    return note


@program(V)
@program(-V)
def if_else(a):
    if a.sum() > 0:
        b = a * 2
    else:
        b = a - 1
    return b


@program(V)
@program(-V)
def if_alone(a):
    if a[0] > 0:
        a = a * 2
    return a


@program(V)
@program(-V)
@program(V * 0)
def elifs(a):
    if a.sum() > 0:
        return a + 1
    elif a.sum() < 0:
        return a - 1
    return a


@program(V, np.int64(1))
@program(V, np.int64(4))
def early_return(a, n):
    if n > 2:
        a = a + 1
        if a[0] > 3:
            return a * 10
    a = a - 1
    return a


@program(V, np.float32(0.2))
@program(V, np.float32(0.8))
def in_place_in_branch(a, p):
    b = a.copy()
    view = b[1:3]
    if p < 0.5:
        view[:] = 0
    else:
        b[-1] = 9
    return b, view


@program(V, np.float32(0.2))
@program(V, np.float32(0.8))
def view_in_branch(a, p):
    if p < 0.5:
        a = a[::-1]
    return a + 1


@program(V)
def conditional_expression(a):
    return (a * 2 if a.max() > 2 else a) + (1 if a.min() < 0 else 2)


@program(np.int64(5), np.int64(3))
@program(np.int64(2), np.int64(3))
def boolean_operators(n, m):
    x = 1 if n > 3 and m > 2 else 0
    y = 1 if n > 9 or m == 3 else 0
    z = 1 if not n > 3 else 0
    return x, y, z, n > 1 and m > 2


@program(np.int64(5))
def chained(n):
    return 1 if 3 < n <= 5 < 10 else 0


@program(np.int64(7))
@program(np.int64(0))
def while_loop(n):
    total = 0
    while n > 0:
        total += n
        n -= 1
    return total


@program(np.int64(27))
def collatz(n):
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


@program(V)
def while_with_break(a):
    i = 0
    while True:
        if a[i] < 0:
            break
        i += 1
    return i


@program(np.int64(10))
def while_with_continue(n):
    i = 0
    total = 0
    while i < n:
        i += 1
        if i % 3 == 0:
            continue
        total += i
    return total


@program(V)
@program(np.abs(V))
def search(a):
    for i in range(len(a)):
        if a[i] < 0:
            return i
    return -1


@program(V)
@program(np.abs(V))
def for_else(a):
    found = 0
    for x in a:
        if x < 0:
            found = 1
            break
    else:
        found = 2
    return found


@program(M, np.int64(2))
def dynamic_range(a, n):
    out = np.zeros_like(a)
    for i in range(n):
        out[i] = a[i] * i
    return out


@program(np.int64(4), np.int64(2))
def nested_dynamic(n, m):
    total = 0
    for i in range(n):
        for j in range(m):
            if i != j:
                total += i * j
    return total


@program(np.int64(9))
def range_with_step(n):
    total = 0
    for i in range(n, 0, -2):
        total += i * i
    return total


@program(V)
def long_loop(a):
    b = a.copy()
    for i in range(100):
        b[i % 5] += i
    return b


@program(V)
def long_loop_over_known_table(a):
    table = np.zeros(50)
    for i in range(50):
        table[i] = i * i
    return a * table[:5]


@program(np.linspace(-1, 1, 40).astype(np.float32))
def recurrence(x):
    out = np.empty_like(x)
    previous = 0.0
    for i in range(len(x)):
        previous = 0.9 * previous + x[i]
        out[i] = previous
    return out


@program(np.linspace(-1, 1, 40))
def loop_over_rows(x):
    total = 0.0
    best = x[0]
    for value in x:
        total = total + value * value
        if value > best:
            best = value
    return total, best


@program(M)
def enumerate_and_zip(a):
    total = 0
    for i, (row, other) in enumerate(zip(a, a[::-1], strict=True)):
        total = total + i * (row * other).sum()
    return total


@program(np.arange(60) % 7)
def counting(a):
    counts = np.zeros(7, np.int64)
    for x in a:
        counts[x] += 1
    return counts


@program(np.arange(60)[::-1].copy())
def bubble_some(a):
    a = a.copy()
    for i in range(len(a) - 1):
        if a[i] > a[i + 1]:
            a[i], a[i + 1] = a[i + 1], a[i]
    return a


@program(np.arange(40.0), np.float64(30.0))
def loop_with_break(a, limit):
    total = 0.0
    count = 0
    for x in a:
        if total > limit:
            break
        total += x
        count += 1
    return total, count


@program(np.arange(40.0), np.float64(30.0))
@program(np.arange(40.0), np.float64(1e9))
def loop_with_return(a, limit):
    total = 0.0
    for i in range(40):
        total += a[i]
        if total > limit:
            return i
    return -1


@program(M)
def ping_pong(a):
    b = np.zeros_like(a)
    for _ in range(3):
        b[1:-1] = (a[:-2] + a[2:]) / 2
        a, b = b, a
    return a


@program(M, np.int64(3))
def ping_pong_in_graph(a, n):
    a = a.copy()
    b = a.copy()
    for _ in range(n):
        b[:, 1:-1] = (a[:, :-2] + a[:, 2:]) / 2
        a, b = b, a
    return a


def scaled(a, by=2.0, *, shift=0.0):
    return a * by + shift


@program(M)
def helpers(a):
    return scaled(a) + scaled(a, 3.0, shift=1.0) + root(np.abs(a))


def factorial(n):
    return 1 if n <= 1 else n * factorial(n - 1)


@program(V)
def known_recursion(a):
    return a * factorial(5)


@program(M)
def inner_functions(a):
    offset = 1

    def shift(x, by=3):
        return x + by + offset

    offset = 10
    double = lambda x: 2 * x  # noqa: E731
    return double(shift(a)) + functools.reduce(lambda x, y: x + y, [a, a])


@program(V)
def nonlocals(a):
    total = 0

    def add(x):
        nonlocal total
        total = total + x

    for i in range(3):
        add(a[i])
    return total


@program(V, np.float32(1))
def partials(a, p):
    f = functools.partial(scaled, by=3.0)
    g = functools.partial(np.sum, axis=0)
    return f(a) + g(a) if p > 0 else a


@program(V)
def comprehensions(a):
    rows = [a * k for k in range(3)]
    table = {k: a + k for k in (1, 2)}
    return np.stack(rows + [table[1]] + [x for x in table.values()])


@program(U)
def constants_from_outside(image):
    return (image / 255.0 - MEAN) * TABLE[1]


@program(M)
def unpacking(a):
    first, *rest = a
    (x, y, _), z = a[:, 0], a.shape
    return first + rest[-1] + x - y + z[0]


@program(V)
def tuples(a):
    pair = Pair(a.min(), a.max())
    return (a - pair.low) / (pair.high - pair.low), pair


@program(V, np.int64(2))
def lists(a, n):
    out = []
    for i in range(3):
        out.append(a[i] * n)
    out += [n * 1.5]
    out[0] = out[0] + 1
    return np.array(out)


@program(V)
def math_functions(a):
    x = float(a[0])
    return (
        math.sqrt(x) + math.cos(x) * math.pi,
        math.floor(x),
        math.atan2(x, 2),
        abs(x),
        max(x, 1.0),
    )


@program(U)
def uint8_arithmetic(image):
    out = image + 10
    out[..., 0] -= 200
    out //= 3
    return out, image.mean(), (image * 1.2).clip(0, 255).astype(np.uint8)


@program(M)
def views_of_views(a):
    b = a.copy()
    c = b.T[1:]
    d = c[:, ::-1]
    d[0, 0] = 100
    c *= 2
    e = b.reshape(-1)
    e[::5] = -7
    f = b.ravel()
    f[1] = 55
    return b, c, d


@program(M)
def aliases(a):
    b = a
    b[0] = 1
    c = np.asarray(a)
    c[1] = 2
    d = a[2]
    d += 5
    return a, b


@program(M)
def scalars_are_not_views(a):
    x = a[0, 0]
    x += 10
    y = a[0]
    y += 1
    return x, a


@program(V)
def swap_parts(a):
    a[:2], a[2:4] = a[2:4].copy(), a[:2].copy()
    return a


@program(V)
def overlapping(a):
    a[1:] = a[:-1]
    return a


@program(V, np.int64(0))
@program(V, np.int64(5))
def truth_of_lengths(a, n):
    b = a[:n]
    if len(b) == 0:
        return np.float32(-1)
    return b.sum()


@program(V)
def errstate(a):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(a)


@program(V, np.float32(1))
def keyword_only(a, p):
    def f(x, /, y=1, *args, z, **more):
        return x * y + z + sum(args) + more["w"]

    return f(a, 2, p, 3, z=p, w=1)


@program(M)
def asserted(a):
    assert a.ndim == 2, "two axes"
    assert a.shape[1] == 4
    return a


@program(V)
def types_of(a):
    if isinstance(a, np.ndarray) and not isinstance(a[0], np.ndarray) and a.dtype == np.float32:
        return a * 2
    return a


@program(V)
def formatted(a):
    name = f"{a.shape[0]}x"
    return a + len(name)


@program(M)
def seeded(a):
    rng = np.random.default_rng(3)
    return a + rng.normal(size=a.shape) + rng.integers(10)


@program(V)
def local_import(a):
    import numpy

    return numpy.tanh(a)


@program(np.array([1.0, 0.2, 0.03]))
def newton(a):
    x = a.copy()
    error = 1.0
    while error > 1e-8:
        new = x - (x * x - 2) / (2 * x)
        error = np.abs(new - x).max()
        x = new
    return x


@program(np.array([4, 8, 15, 16, 23, 42]), np.int64(16))
@program(np.array([4, 8, 15, 16, 23, 42]), np.int64(17))
def binary_search(a, x):
    low, high = 0, len(a) - 1
    while low <= high:
        middle = (low + high) // 2
        if a[middle] == x:
            return middle
        if a[middle] < x:
            low = middle + 1
        else:
            high = middle - 1
    return -1


@program(np.arange(36.0).reshape(6, 6), np.int64(2), np.int64(3))
def cutout(image, y, x):
    size = 3
    y0, y1 = max(0, y - size // 2), min(image.shape[0], y + size // 2)
    x0, x1 = max(0, x - size // 2), min(image.shape[1], x + size // 2)
    image[y0:y1, x0:x1] = 0
    return image


@program(np.arange(36.0).reshape(6, 6), np.int64(5))
def flip_roll_normalise(image, n):
    if n % 2:
        image = image[:, ::-1]
    image = np.roll(image, n, axis=0)
    return ((image - image.mean()) / (image.std() + 1e-6)).astype(np.float32)


@program(np.arange(18, dtype=np.uint8).reshape(2, 3, 3))
def equalise(image):
    counts = np.bincount(image.ravel(), minlength=256)
    share = counts.cumsum() / image.size
    return (share[image] * 255).astype(np.uint8)


@program(np.sin(np.arange(64.0)))
def spectrogram(signal):
    frames = np.stack([signal[i : i + 16] for i in range(0, 48, 8)])
    return np.log(np.abs(np.fft.rfft(frames * np.hanning(16), axis=-1)) ** 2 + 1e-6)
