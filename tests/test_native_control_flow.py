"""Loops, branches and iterators of native functions: each was another value, a crash or a hang."""

# ruff: noqa: B905, C417, PLW0108

from __future__ import annotations

import itertools
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from test_native_cases import difference
from test_native_properties import compared

import unslow
from unslow.native import Untranslatable, native, ops

pytestmark = pytest.mark.tensorflow

Call = tuple[Any, tuple[Any, ...]]

NEW = int(np.__version__.split(".")[0]) >= 2
V = np.arange(6, dtype=np.float32)
A = np.array([3.0, 1.0, 2.0], np.float32)
B = np.array([1.0, 9.0, 1.0], np.float32)
U = np.array([0, 5, 200, 255], np.uint8)
I32 = np.array([-7, 0, 9], np.int32)


def equal(*calls: Call) -> None:
    problems, refused = compared(list(calls), [call[0].__name__ for call in calls])
    assert not problems, "\n".join(problems)
    # In NumPy 1 the dtype of a result may hang on a number that only the graph knows.
    assert not refused or not NEW


def _turned_in_while(x: Any, y: Any) -> Any:
    k = 0
    while y[k] < 2:
        y = y[::-1]
        k = k + 1
    return y


def _turned_in_for(x: Any, y: Any) -> Any:
    for _ in range(int(x[0])):
        y = y[::-1]
    return y


def _view_in_branch(x: Any, y: Any) -> Any:
    z = y
    if x[0] > 2:
        y = np.where(y > 2, x, y)
        z = y[1:]
    return z[0]


def _list_of_views(x: Any, y: Any) -> Any:
    found = [x, y]
    if x[0] > 2:
        found = [x[::-1], y[::-1]]
    return found[0] + found[1]


def test_a_view_is_carried_through_loops_and_branches() -> None:
    equal(
        (_turned_in_while, (A, B)),
        (_turned_in_for, (A, B)),
        (_view_in_branch, (A, B)),
        (_list_of_views, (A, B)),
    )


def test_what_goes_wrong_in_translating_lets_numpy_function_call_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*given: Any) -> Any:
        raise OSError("lost")

    monkeypatch.setattr("unslow.native.function.call", broken)
    with pytest.raises(Untranslatable, match="OSError: lost"):
        native(_turned_in_for)(A, B)
    run = tf.function(
        lambda x, y: unslow.numpy_function(_turned_in_for, [x, y], tf.float32), autograph=False
    )
    assert np.array_equal(run(A, B), _turned_in_for(A, B))


def _returns_in_while(x: Any, y: Any) -> Any:
    n, k = 1, 0
    while k < 3 and y[k] < 4:
        if x[0] > 2:
            if y[-1] < x[1]:
                return x + y
            y = np.maximum(x, y)
        else:
            y = x[::-1]
        k = k + 1
    y = x
    return x + y * n


def _doubled(x: Any, make: Any) -> Any:
    found = x
    if x[0] > 1:
        found = make(x)
    return found


def test_a_sum_of_twice_the_same_in_a_branch_is_not_empty() -> None:
    rng = np.random.default_rng(1)
    pairs = [rng.integers(0, 6, (2, 3)).astype(np.float32) for _ in range(3)]
    equal(*[(_returns_in_while, (one, other)) for one, other in pairs])
    makers: list[Any] = [
        lambda x: x + x * 1,
        lambda x: x * 1 + x / 1,
        lambda x: x + x + x * 1,
        lambda x: x + x.reshape(3),
        lambda x: x + x[0:3],
        lambda x: np.stack([x, x * 1]).max(0),
        lambda x: np.mean([x, x - 0], axis=0),
    ]
    equal(*[(lambda x, make=make: _doubled(x, make), (A,)) for make in makers])


def _late_name(x: Any) -> Any:
    k = 2.0
    made = (v * k for v in [x[0], x[1], x[2]])
    k = 5.0
    return sum(made)


def _late_change(x: Any) -> Any:
    made = (x[i] for i in range(3))
    x[0] = 100
    return sum(made)


def _late_map(x: Any) -> Any:
    k = 2.0
    made = map(lambda v: v * k, [x[0], x[1]])
    k = 7.0
    return sum(made)


def _late_filter(x: Any) -> Any:
    k = 1
    made = filter(lambda i: i > k, [0, 1, 2, 3])
    k = 2
    return x[list(made)]


def _partly_used(x: Any) -> Any:
    made = (v for v in [0, 1, 0, 1])
    found = any(made)
    two = map(lambda v: v, [1, 2, 3])
    pairs = list(zip([1, 2], two))
    return x * sum(made) + found + len(pairs) + sum(two)


def _twice(x: Any) -> Any:
    made = (v for v in [1, 2, 3])
    return x * (sum(made) + sum(made))


def _changed_on_the_way(x: Any) -> Any:
    total = 0.0
    for value in (x[i] for i in range(3)):
        x[2] = 50
        total = total + value
    return total


def _nested(x: Any) -> Any:
    return sum(a * b for a in x[:3] if True for b in (a, 2) if b is not None)


def test_generators_make_their_values_when_asked() -> None:
    functions = [
        _late_name,
        _late_change,
        _late_map,
        _late_filter,
        _partly_used,
        _twice,
        _changed_on_the_way,
        _nested,
    ]
    equal(*[(function, (V,)) for function in functions])


def test_a_generator_does_not_go_on_in_a_branch() -> None:
    def in_branch(x: Any) -> Any:
        made = (v for v in [1, 2, 3])
        if x[0] > 0:
            x = x * next(iter(made)) if False else x * sum(made)
        return x + sum(made)

    with pytest.raises(Untranslatable, match="goes on"):
        native(in_branch)(V)


def _grows(x: Any) -> Any:
    queue, rounds = [0], 0
    for i in queue:
        rounds += 1
        if len(queue) < 5:
            queue.append(i + 1)
    return x * rounds


def _zip_grows(x: Any) -> Any:
    a, b, total = [1, 2], [3, 4, 5], 0
    pairs = zip(a, b)
    a.append(9)
    for p, q in pairs:
        total += p * q
    return x * total


def _enumerate_grows(x: Any) -> Any:
    a, total = [1, 2], 0
    numbered = enumerate(a)
    a.append(9)
    for i, v in numbered:
        total += i * v
    return x * total


def named_in_the_test(n: Any) -> Any:
    total = 0
    while (n := n - 1) > 0:
        if n % 3 == 0:
            continue
        if n == 1:
            break
        total += n
    else:
        total += 100
    return total, n


def changed_in_the_test(n: Any) -> Any:
    seen = np.zeros(2, np.int64)

    def more() -> Any:
        seen[0] += 1
        return seen[0]

    total = 0
    while more() < n and total < 50:
        total += 2
    return total, seen


def changed_from_the_second_test_on(n: Any) -> Any:
    rounds, k, c = 0, 0, 0
    while rounds < n and (k == 0 or (c := c + 1) < 4):
        k = k + 1
        rounds += 1
    rounds += 100
    return rounds, c


def drawn_from_the_second_test_on(n: Any) -> Any:
    rng = np.random.default_rng(n)
    rounds, some = 0, False
    while rounds < n and (not some or rng.random() < 0.6):
        some = True
        rounds += 1
        if rounds == 7:
            break
    return rounds, rng.random()


def changed_in_a_loop_within(n: Any) -> Any:
    total, seen = 0, np.zeros(1, np.int64)
    for _ in range(n):
        k = 0
        while k < 3 and (k == 0 or seen[0] < 5):
            seen += k
            k += 1
        total += seen[0]
    return total, seen


def test_what_the_test_of_a_loop_changes_stays_changed() -> None:
    # The graph's loop forgot it, so some never ended.
    functions = (
        *(named_in_the_test, changed_in_the_test, changed_from_the_second_test_on),
        *(drawn_from_the_second_test_on, changed_in_a_loop_within),
    )
    calls = [(each, (np.int64(n),)) for each in functions for n in (10, 3, 0)]
    equal(*calls)


def test_a_list_may_grow_while_it_is_run_over() -> None:
    equal(*[(function, (V,)) for function in (_grows, _zip_grows, _enumerate_grows)])


def _breaks(x: Any) -> Any:
    total, i = 0.0, 0
    for i in range(14):
        if x[i % 6] > 4.5:
            break
        total = total + float(x[i % 6])
    return total, i


def _continues(x: Any) -> Any:
    total = 0.0
    for i in range(14):
        if x[i % 6] < 2:
            continue
        total = total + float(x[i % 6])
    return total


def _breaks_or_else(x: Any) -> Any:
    v = 0
    for v in [1, 2, 3]:
        if x[v] > 2.5:
            break
    else:
        return x + 1
    return x * v


def _endless(x: Any) -> Any:
    total = 0
    for i in itertools.count():
        total = total + x[i]
        if i == 3:
            break
    for j in itertools.cycle([1, 2]):
        if j == 2:
            break
    return total * j


def test_rounds_that_may_end_the_loop_cost_the_same_each() -> None:
    functions = [_breaks, _continues, _breaks_or_else, _endless]
    equal(*[(function, (V,)) for function in functions])
    sizes = []
    for rounds in (4, 8):

        def summed(x: Any, rounds: int = rounds) -> Any:
            total = 0.0
            for i in range(rounds):
                if x[i % 6] > 4.5:
                    break
                total = total + float(x[i % 6])
            return total

        run = tf.function(lambda x: native(summed)(x), autograph=False)
        graph = run.get_concrete_function(V).graph.as_graph_def()
        sizes.append(len(graph.SerializeToString()))
    assert sizes[1] < 4 * sizes[0]


def test_ways_out_one_after_the_other_are_not_traced_twice_each(tmp_path: Path) -> None:
    counts = []
    for ways in (4, 9):
        path = tmp_path / f"left_{ways}_ways.py"
        outs = [f"    if x[{i % 3}] > {8 - i}:\n        return x * {i}\n" for i in range(ways)]
        path.write_text(f"def left(x):\n{''.join(outs)}    return x\n")
        names: dict[str, Any] = {}
        exec(compile(path.read_text(), str(path), "exec"), names)
        before = ops.count()
        equal((names["left"], (V,)))
        counts.append(ops.count() - before)
    assert counts[1] < 12 * counts[0]


def test_a_loop_that_may_be_left_at_any_of_endless_rounds_is_refused() -> None:
    def endless(x: Any) -> Any:
        for i in itertools.count():
            if x[i % 6] > 4.5:
                break
        return x * i

    with pytest.raises(Untranslatable, match="rounds"):
        native(endless)(V)


def test_numbers_of_python_are_compared_by_value() -> None:
    calls: list[Call] = []
    for number in (-1, 256, 300, 5):
        t = np.int64(number)
        calls += [
            (lambda x, t: x > int(t), (U, t)),
            (lambda x, t: int(t) >= x, (U, t)),
            (lambda x, t: x == int(t), (U, t)),
            (lambda x, t: x.astype(np.int8) != int(t), (U, t)),
            (lambda x, t: x < int(t) + 2**40, (I32, t)),
            (lambda x, t: int(t) in x, (U, t)),
        ]
    equal(*calls)


@pytest.mark.skipif(not NEW, reason="in NumPy 1 the dtype would hang on the number of rows")
def test_open_sizes_are_compared_by_value() -> None:
    rows = tf.function(
        lambda x: native(lambda a: a < a.shape[0])(x),
        input_signature=[tf.TensorSpec([None], tf.uint8)],
        autograph=False,
    )
    assert not difference([rows(np.full(300, 255, np.uint8))], np.full(300, True))


def _rounds(a: Any, b: Any) -> Any:
    total = 0
    for i in range(a, b):
        total = total + i * 10
    return total


def _down(a: Any) -> Any:
    total = 0
    for i in range(a, 0, -30):
        total = total + i * 3
    return total


def test_ranges_of_scalars_do_not_wrap_around() -> None:
    equal(
        (_rounds, (np.uint8(5), np.uint8(3))),
        (_rounds, (np.uint8(250), np.uint8(252))),
        (_down, (np.int8(100),)),
    )
    with pytest.raises(Untranslatable, match="no integer"):
        native(lambda a: sum(range(a)))(np.float32(3))


def test_attributes_and_types_are_those_of_the_number() -> None:
    def kinds(x: Any) -> Any:
        number, scalar = float(x[1]), x[1]
        told = [hasattr(number, "shape"), hasattr(number, "real"), hasattr(scalar, "__len__")]
        told += [hasattr(scalar, "shape"), hasattr(x, "__len__"), hasattr(int(x[1]), "item")]
        told += [isinstance(range(x.shape[0]), range), isinstance(zip(x, x), zip)]
        told += [isinstance((v for v in [1]), types.GeneratorType)]
        told += [isinstance(map(abs, [1]), map), isinstance(enumerate(x), enumerate)]
        return np.array(told), x * getattr(number, "ndim", 7)

    equal((kinds, (V,)))
    wanted = kinds(V)
    opened = tf.function(
        lambda x: native(kinds)(x),
        input_signature=[tf.TensorSpec([None], tf.float32)],
        autograph=False,
    )
    assert not difference(list(opened(V)), wanted)
    with pytest.raises(Untranslatable, match="AttributeError"):
        native(lambda x: float(x[0]).shape)(V)
