"""The clock's arithmetic, under a time that only the test moves. Needs no TensorFlow."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unslow.recording import clock as clock_module
from unslow.recording.clock import Call, Clock
from unslow.recording.sites import NOWHERE, ForeignFiles, Sites, code_of
from unslow.recording.windows import merged, overlap, total

MS = 1_000_000


class Time:
    def __init__(self) -> None:
        self.moment = 0

    def __call__(self) -> int:
        return self.moment

    def passes(self, milliseconds: float) -> None:
        self.moment += int(milliseconds * MS)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr(clock_module, "now", fake)
    return fake


@pytest.fixture
def clock(time: Time) -> Clock:
    return Clock(Sites((), Path.cwd()))


def spent(clock: Clock, *contexts: Any) -> dict[str, float]:
    """Milliseconds by part, in all contexts of the main thread or in those given."""
    found: dict[str, float] = {}
    for context in contexts or clock.main.root.subtree():
        for _, part, nanoseconds in clock.times(context):
            found[part] = found.get(part, 0) + nanoseconds / MS
    return {part: value for part, value in found.items() if value}


def test_inner_time_is_taken_from_the_outer(clock: Clock, time: Time) -> None:
    inner = clock.watch(lambda: time.passes(5), "convert")

    def body() -> None:
        time.passes(1)
        inner()
        time.passes(2)
        inner()

    clock.watch(body, "graph")()
    assert spent(clock) == {"graph": 3, "convert": 10}


def test_short_python_belongs_to_what_follows(clock: Clock, time: Time) -> None:
    op = clock.watch(lambda: time.passes(4), "eager")
    time.passes(1)
    op()
    time.passes(1.5)
    op()
    assert spent(clock) == {"python": 2.5, "eager": 8}
    assert clock.pending(time.moment) == {}
    time.passes(3)
    assert clock.pending(time.moment) == {NOWHERE: 3 * MS}


def test_long_python_is_divided_as_the_sampler_saw_it(clock: Clock, time: Time) -> None:
    op = clock.watch(lambda: time.passes(1), "eager")

    def frame_at(line: int) -> Any:
        scope: dict[str, Any] = {}
        source = "\n" * (line - 1) + "frame = __import__('sys')._getframe()"
        exec(compile(source, str(Path.cwd() / "user.py"), "exec"), scope)
        return scope["frame"]

    for line in (3, 3, 3, 8):
        time.passes(25)
        clock.sample(frame_at(line))
    op()
    lines = {}
    for place, part, nanoseconds in clock.times(clock.main.root):
        site = clock.sites.site(place)
        if part == "python" and site is not None and site.path == "user.py":
            lines[site.line] = lines.get(site.line, 0) + nanoseconds / MS
    assert lines == {3: 75, 8: 25}


def test_an_error_passes_and_is_counted(clock: Clock, time: Time) -> None:
    def fails() -> None:
        time.passes(2)
        raise KeyError("x")

    told: list[Call] = []
    with pytest.raises(KeyError):
        clock.watch(fails, "build", told.append)()
    assert spent(clock) == {"build": 2}
    assert [call.result for call in told] == [None]
    assert clock.main.depth == 0


def test_contexts_keep_inclusive_time(clock: Clock, time: Time) -> None:
    op = clock.watch(lambda: time.passes(2), "eager")

    def fit() -> None:
        time.passes(1)
        op()
        op()

    clock.within(fit, "keras", label="fit")()
    op()
    [context] = clock.main.root.children.values()
    assert (context.kind, context.label, context.calls, context.ns) == ("keras", "fit", 1, 5 * MS)
    assert spent(clock, *context.subtree()) == {"python": 1, "eager": 4}
    assert spent(clock) == {"python": 1, "eager": 6}


def test_a_context_inside_one_of_its_kind_is_the_same(clock: Clock, time: Time) -> None:
    inner = clock.within(lambda: time.passes(3), "keras", label="predict")
    clock.within(inner, "keras", label="fit")()
    assert [context.label for context in clock.main.root.subtree()] == ["", "fit"]


def test_a_watcher_that_fails_is_told_of(clock: Clock, time: Time) -> None:
    def fails(call: Call) -> None:
        raise ZeroDivisionError

    def asks(thread: Any, args: tuple[Any, ...]) -> bool:
        raise IndexError

    assert clock.watch(lambda: 7, "graph", fails)() == 7
    assert clock.watch(lambda: 8, "graph", None, asks)() == 8
    assert sorted(clock.failures.values()) == ["IndexError()", "ZeroDivisionError()"]


@pytest.mark.parametrize(
    ("filename", "include", "foreign"),
    [
        ("/home/u/train.py", (), False),
        ("book.ipynb:cell 3", (), False),
        ("<string>", (), True),
        ("<frozen importlib._bootstrap>", (), True),
        (json.__file__, (), True),
        ("/venv/lib/python3.11/site-packages/keras/src/x.py", (), True),
        ("/venv/lib/python3.11/site-packages/mine/x.py", (), True),
        ("/venv/lib/python3.11/site-packages/mine/x.py", ("mine",), False),
        ("/venv/lib/python3.11/site-packages/mine.py", ("mine",), False),
        ("/venv/lib/python3.11/site-packages/mine_too/x.py", ("mine",), True),
        ("/usr/lib/python3/dist-packages/numpy/x.py", (), True),
        ("/tmp/__autograph_generated_fileab12.py", (), True),
        (clock_module.__file__, (), True),
    ],
)
def test_whose_code_a_file_is(filename: str, include: tuple[str, ...], foreign: bool) -> None:
    assert ForeignFiles(include)[filename] is foreign


def test_sites_are_told_as_editors_count(tmp_path: Path) -> None:
    sites = Sites((), tmp_path)
    site = sites.in_file(str(tmp_path / "a" / "train.py"), 7, "fit")
    assert (site.path, site.line, site.place) == ("a/train.py", 7, "a/train.py:7")
    assert sites.in_file("/elsewhere/x.py", 1, "f").path == "/elsewhere/x.py"
    cell = sites.in_file("book.ipynb:cell 3", 2, "<module>")
    assert (cell.path, cell.cell, cell.place) == ("book.ipynb", 3, "book.ipynb:cell 3:2")


def test_the_code_behind_wrappers_is_found() -> None:
    def plain() -> None: ...

    class Called:
        def __call__(self) -> None: ...

    @functools.wraps(plain)
    def wrapper() -> None: ...

    made: list[Callable[..., Any]] = [plain, wrapper, functools.partial(wrapper, 1)]
    assert [code_of(each) for each in made] == [plain.__code__] * 3
    assert code_of(Called()) is Called.__call__.__code__
    assert code_of(len) is None


def test_unions_and_overlaps_of_intervals() -> None:
    union = merged([(5, 7), (0, 2), (1, 3), (9, 9)])
    assert union == [(0, 3), (5, 7), (9, 9)]
    assert merged([(0, 2), (4, 6), (20, 21)], gap=3) == [(0, 6), (20, 21)]
    assert overlap(union, [(2, 6), (8, 12)]) == [(2, 3), (5, 6), (9, 9)]
    assert overlap([(0, 10)], [(1, 2), (3, 4)]) == [(1, 2), (3, 4)]
    assert total([(0, 10**12), (2 * 10**12, 3 * 10**12)]) == 2.0
