"""TF502 in a run: what is seen of thread pools, and runs in fresh processes with others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from handmade import a_run, assert_well_made

from unslow.catalogue import diagnose
from unslow.catalogue.machine._children import Child, ChildFailed, Children, Threads, export
from unslow.catalogue.machine.thread_settings import UNSET, ThreadSettings, settings_to_try
from unslow.catalogue.trial import Untried
from unslow.finding import Claim, Site
from unslow.recording.data import FunctionCalls, LineTime, Machine, Recording, ThreadPool
from unslow.recording.recorder import Recorder
from unslow.recording.samples import FunctionCall, Samples
from unslow.recording.sites import Sites

PAGE = ThreadSettings()
CALL = Site("train.py", 20, "fit", 20, 12)
ROW = FunctionCalls(CALL, "step", Site("train.py", 9, "step"), 50, 5.0, 0.5, 120)
SETTER = "tf.config.threading.set_intra_op_parallelism_threads"
POOL = ThreadPool("intra", 1, SETTER, Site("train.py", 3, column=1))


def recording(*pools: ThreadPool, **changes: Any) -> Recording:
    """A run of 10 s, 4 s of them for imports."""
    rows = (dataclasses.replace(ROW, **changes),)
    lines = (LineTime(CALL.at_line, {"graph": 9.0}),)
    parts = {"imports": 4.0, "graph": 5.0}
    return a_run(parts, function_calls=rows, lines=lines, thread_pools=pools)


def test_a_size_that_the_program_sets() -> None:
    (finding,) = PAGE.in_recording(recording(POOL))
    assert_well_made(finding, PAGE)
    assert finding.site == Site("train.py", 3)
    assert finding.cost.claims == (Claim("train.py", 20, "graph", 4.5),)
    assert finding.evidence["intra"] == 1
    assert finding.message == (
        f"`{SETTER}` fixes the threads within ops at 1. With it step() took 4.5 s in 50 calls; "
        "other numbers were tried in fresh processes."
    )


def test_a_size_that_the_environment_sets() -> None:
    pool = ThreadPool("inter", 4, "TF_NUM_INTEROP_THREADS")
    (finding,) = PAGE.in_recording(recording(pool))
    assert finding.site == CALL.at_line
    assert finding.evidence["inter"] == 4
    assert "`TF_NUM_INTEROP_THREADS` in the environment" in finding.message


def test_it_is_a_problem_only_if_proven() -> None:
    assert diagnose(recording(POOL)) == []
    codes = [finding.code for finding in diagnose(recording(POOL), proposals=True)]
    assert codes.count(PAGE.code) == 1


def test_look_alikes() -> None:
    gpu = dataclasses.replace(recording(POOL), machine=Machine(2, 0, ("/device:GPU:0",)))
    nothing = dataclasses.replace(recording(POOL), function_calls=())
    for seen in (recording(), recording(POOL, seconds=1.6), gpu, nothing):
        assert list(PAGE.in_recording(seen)) == []


def test_what_is_too_short_is_not_tried() -> None:
    (finding,) = PAGE.in_recording(recording(POOL))
    short = dataclasses.replace(finding, cost=dataclasses.replace(finding.cost, seconds=0.3))
    samples = Samples(Sites((), Path.cwd()), 0)
    for each, why in ((short, "too little time"), (finding, "captured")):
        (untried,) = PAGE.trials(each, samples)
        assert isinstance(untried, Untried)
        assert why in untried.why


def test_settings_that_come_to_the_same_are_tried_once() -> None:
    assert settings_to_try(Threads(1, 0), 2) == {
        UNSET: Threads(0, 0),
        "1 thread between ops": Threads(1, 1),
    }
    assert settings_to_try(Threads(1, 0), 8) == {
        UNSET: Threads(0, 0),
        "4 threads within ops": Threads(4, 0),
        "1 thread between ops": Threads(1, 1),
        "4 threads between ops": Threads(1, 4),
    }
    assert settings_to_try(Threads(2, 2), 2).keys() == {
        "1 thread within ops",
        "1 thread between ops",
    }
    assert settings_to_try(Threads(1, 1), 1) == {}


def test_the_environment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "no number")
    recorder = Recorder(tmp_path / "recording.json", ("program.py",))
    seen = recorder.recording(recorder.clock.start, final=False)
    assert seen.thread_pools == (ThreadPool("intra", 3, "TF_NUM_INTRAOP_THREADS"),)


@pytest.mark.tensorflow
def test_the_program_s_own_setting_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tf = pytest.importorskip("tensorflow")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS", raising=False)
    given: list[int] = []

    def keep(num_threads: int) -> None:
        given.append(num_threads)

    # TensorFlow itself refuses once it has computed something, as it has in this process.
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", keep)
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", keep)
    path = tmp_path / "program.py"
    source = (
        "import tensorflow as tf\n"
        "tf.config.threading.set_intra_op_parallelism_threads(2)\n"
        "tf.config.threading.set_inter_op_parallelism_threads(num_threads=0)\n"
    )
    path.write_text(source, encoding="utf-8")
    recorder = Recorder(tmp_path / "recording.json", ("program.py",))
    recorder.start(windows=False)
    try:
        exec(compile(source, str(path), "exec"), {"__name__": "__main__"})
    finally:
        seen = recorder.stop()
    assert seen is not None
    (pool,) = seen.thread_pools
    assert (pool.pool, pool.threads, pool.setting) == ("intra", 2, SETTER)
    assert pool.site is not None and (pool.site.path, pool.site.line) == (str(path), 2)
    assert given == [2, 0]
    assert tf.config.threading.set_intra_op_parallelism_threads is keep


@pytest.fixture(scope="module")
def training() -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A compiled training step and its arguments, of all kinds."""
    tf = pytest.importorskip("tensorflow")
    weights = tf.Variable(tf.ones((3, 2)))
    steps = tf.Variable(0)

    @tf.function
    def step(rows: Any, scale: float, names: Any, ragged: Any, more: dict[str, Any]) -> Any:
        with tf.GradientTape() as tape:
            loss = scale * tf.reduce_mean((rows @ weights) ** 2)
        weights.assign_sub(0.1 * tape.gradient(loss, weights))
        steps.assign_add(1)
        return {"loss": loss, "names": names, "ragged": ragged * more["by"], "none": None}

    ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
    rows = tf.ones((4, 3)).numpy()
    arguments = (rows, 2.0, tf.constant(["a", "b"]), ragged, {"by": tf.constant(2.0)})
    step(*arguments)
    return step, arguments


@pytest.fixture(scope="module")
def children(training: Any) -> Iterator[Children]:
    function, arguments = training
    made = Children(FunctionCall(function, arguments, {}), (Threads(1), Threads()), times=3)
    yield made
    made.close()


@pytest.mark.tensorflow
def test_every_process_does_the_same_from_the_same_state(children: Children) -> None:
    tf = pytest.importorskip("tensorflow")

    def once(threads: Threads) -> list[Any]:
        children.restore(threads)
        assert children.run(threads) == threads
        return children.results(threads)

    first, again, other = once(Threads(1)), once(Threads(1)), once(Threads())
    for one, two, three in zip(first, again, other, strict=True):
        assert (one == two).all() and (one == three).all()
    flat = [each.tolist() for each in first]
    assert [b"a", b"b"] in flat and [2.0, 4.0, 6.0] in flat
    # One step before the export, and three in the process.
    assert 4 in flat
    assert tf.executing_eagerly()


@pytest.mark.tensorflow
def test_processes_and_what_was_written_end_with_the_object(training: Any) -> None:
    function, arguments = training
    made = Children(FunctionCall(function, arguments, {}), (Threads(1),), times=1)
    made.restore(Threads(1))
    folder, process = made._folder, made._running[Threads(1)]._process
    assert folder is not None and folder.exists()
    del made
    assert process.poll() is not None
    assert not folder.exists()


@pytest.mark.tensorflow
def test_a_process_alone_takes_the_folder_away(tmp_path: Path, training: Any) -> None:
    function, arguments = training
    folder = tmp_path / "kept"
    folder.mkdir()
    export(FunctionCall(function, arguments, {}), folder / "exported")
    child = Child(folder, Threads(), owner=True)
    child.ask("warm_up")
    assert child._process.stdin is not None
    child._process.stdin.close()
    assert child._process.wait(timeout=60) == 0
    assert not folder.exists()
    with pytest.raises(ChildFailed, match="ended"):
        child.answer()


@pytest.mark.tensorflow
def test_what_cannot_be_done_elsewhere_is_a_failure(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")

    @tf.function
    def bridged(rows: Any) -> Any:
        return tf.numpy_function(abs, [rows], tf.float32)

    made = Children(FunctionCall(bridged, (tf.ones(2),), {}), (Threads(1),), times=1)
    with pytest.raises(ChildFailed):
        made.restore(Threads(1))
    made.close()
