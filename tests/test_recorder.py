"""What the recorder counts, in this process, against what is known to have happened."""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unslow import seams
from unslow.finding import PARTS
from unslow.plain import from_plain, to_plain
from unslow.recording import arrays, frames
from unslow.recording import recorder as recorder_module
from unslow.recording.clock import Clock, now
from unslow.recording.data import Recording
from unslow.recording.recorder import Recorder

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

needs_windows = pytest.mark.skipif(
    tuple(int(n) for n in tf.__version__.split(".")[:2]) < seams.ABSEIL_LOGS_SINCE,
    reason="windows need a TensorFlow whose profiler can be kept quiet",
)


@contextmanager
def recording(folder: Path, windows: bool = False) -> Iterator[Callable[[], Recording]]:
    """Record what happens inside; calling what is yielded gives the recording so far."""
    recorder = Recorder(folder / "recording.json", ("test",))
    recorder.start(windows=windows)
    try:
        yield lambda: recorder.recording(now(), final=True)
    finally:
        recorder.abandon()


def line_of(text: str) -> int:
    """The line of this file that ends in a comment of this text."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [number] = [n for n, line in enumerate(lines, start=1) if line.endswith(f"# {text}")]
    return number


def at(rows: Any, text: str) -> list[Any]:
    """The rows whose site is the line with this comment."""
    return [row for row in rows if row.site.line == line_of(text)]


def test_everything_is_put_back(tmp_path: Path) -> None:
    every = [value for value in vars(seams).values() if isinstance(value, seams.Seam)]
    every += [*seams.SYNCS, *seams.KERAS_METHODS, *seams.KERAS_LOADS]

    def present() -> list[Any]:
        return [vars(seams.find_owner(seam)).get(seam.attribute) for seam in every]

    before = present()
    with recording(tmp_path, windows=True):
        assert sum(a is not b for a, b in zip(before, present(), strict=True)) > 30
    assert all(a is b for a, b in zip(before, present(), strict=True))


def test_eager_ops_are_counted_exactly(tmp_path: Path) -> None:
    x = tf.ones((4, 4))
    with recording(tmp_path) as so_far:
        for _ in range(123):
            x = tf.sqrt(x)  # eager op
        rows = at(so_far().ops, "eager op")
    assert [(row.op, row.calls, row.main) for row in rows] == [("Sqrt", 123, True)]


def test_ops_of_other_threads_are_kept_apart(tmp_path: Path) -> None:
    # The very first op of a process, which sets TensorFlow up, is not counted.
    tf.sqrt(1.0)
    together = threading.Barrier(4)

    def work() -> None:
        together.wait()
        for _ in range(50):
            tf.sqrt(1.0)  # in threads

    with recording(tmp_path) as so_far:
        threads = [threading.Thread(target=work, name=f"worker-{n}") for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = so_far()
    assert sum(row.calls for row in at(found.ops, "in threads") if not row.main) == 200
    assert not [row for row in at(found.ops, "in threads") if row.main]
    assert [row.threads for row in found.threads if row.name == "worker-N"] == [4]


def test_parts_add_up_and_lines_are_within(tmp_path: Path) -> None:
    with recording(tmp_path) as so_far:
        x = np.ones((300, 300))
        for _ in range(50):
            tf.matmul(x, x).numpy()
        found = so_far()
    assert set(found.parts) == set(PARTS)
    assert sum(found.parts.values()) == pytest.approx(found.wall, rel=0.01)
    assert min(found.parts.values()) >= 0
    for part in PARTS:
        seen = sum(line.parts.get(part, 0.0) for line in found.lines)
        assert seen <= found.parts[part] * 1.001 + 1e-6


def test_the_same_array_again_is_told_from_a_changed_one(tmp_path: Path) -> None:
    with recording(tmp_path) as so_far:
        array = np.ones((100, 100))
        for _ in range(10):
            tf.constant(array)  # same array
        for number in range(10):
            array[:] = number
            tf.constant(array)  # changed array
        for copy in [array.copy() for _ in range(10)]:
            tf.constant(copy)  # other array
        found = so_far().conversions
    told = {text: at(found, text) for text in ("same array", "changed array", "other array")}
    assert {text: [(r.calls, r.repeats) for r in rows] for text, rows in told.items()} == {
        "same array": [(10, 9)],
        "changed array": [(10, 0)],
        "other array": [(10, 0)],
    }
    [row] = told["same array"]
    assert (row.kind, row.dtype, row.bytes) == ("array", "float64", 10 * array.nbytes)


def test_a_change_that_a_few_elements_do_not_show_is_seen(tmp_path: Path) -> None:
    array = np.zeros((500, 1000), np.float32)
    tf.argmax(array)  # the first op of a process goes another way
    with recording(tmp_path) as so_far:
        for number in range(40):
            array[number, 7 * number + 1] += 1
            tf.constant(array)  # one element changed
            tf.argmax(array)  # changed and given to an op
        for number in range(40):
            array[number, 7 * number + 1] += number == 20
            tf.constant(array)  # changed once
        found = so_far().conversions
    assert [row.repeats for row in at(found, "one element changed")] == [0]
    assert [row.repeats for row in at(found, "changed and given to an op")] == [0]
    assert [row.repeats for row in at(found, "changed once")] == [16]


def test_whole_looks_at_an_array_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    digest = arrays.digest

    def counted(array: Any) -> int:
        looks.append(digest(array))
        return looks[-1]

    monkeypatch.setattr(arrays, "digest", counted)
    steady, other = np.ones(2000), np.ones(2000)
    repeats = arrays.Repeats()
    for _ in range(1000):
        repeats.meet(steady)
    assert (repeats.count, len(looks)) == (999, 10)
    for number in range(1000):
        repeats.meet((steady, other)[number % 2])
    assert (repeats.count, len(looks)) == (1000, 10)


def test_arrays_given_to_an_op_are_seen(tmp_path: Path) -> None:
    array = np.ones((200, 200))
    tf.argmax(array)  # the first op of a process goes another way
    with recording(tmp_path) as so_far:
        for _ in range(40):
            tf.argmax(array)  # array to op
        [row] = at(so_far().conversions, "array to op")
    assert (row.road, row.calls, row.repeats) == ("op", 40, 39)


def test_lists_of_arrays_count_their_elements(tmp_path: Path) -> None:
    with recording(tmp_path) as so_far:
        for _ in range(3):
            tf.convert_to_tensor([np.ones(5)] * 7)  # list of arrays
        [row] = at(so_far().conversions, "list of arrays")
    assert (row.kind, row.calls, row.elements, row.bytes) == ("arrays", 3, 21, 21 * 40)


def test_syncs_count_what_the_program_asks_for(tmp_path: Path) -> None:
    x = tf.ones(8)
    with recording(tmp_path) as so_far:
        for _ in range(5):
            x.numpy()  # numpy
            float(x[0])  # float
            tf.image.resize(tf.ones((4, 4, 1)), (2, 2))  # inside
        found = so_far().syncs
    assert [(r.method, r.calls, r.bytes) for r in at(found, "numpy")] == [("numpy", 5, 160)]
    assert [(r.method, r.calls) for r in at(found, "float")] == [("__float__", 5)]
    assert not at(found, "inside")


def test_a_retrace_names_its_argument_and_values(tmp_path: Path) -> None:
    @tf.function
    def scaled(x: Any, options: Any, rate: Any) -> Any:
        return x * rate

    with recording(tmp_path) as so_far:
        for rate in (0.1, 0.2, 0.3, 0.2):
            scaled(tf.ones(3), {"a": 1}, rate)  # python value
        for size in (4, 5):
            scaled(tf.ones(size), {"a": 1}, 0.3)  # shape
        scaled(tf.ones(5, tf.float64), {"a": 1}, 0.3)  # dtype
        scaled(tf.ones(5, tf.float64), {"a": 2}, 0.3)  # nested
        found = so_far()
    [row] = at(found.tracings, "python value")
    assert (row.traces, row.functions, row.function) == (3, 1, "scaled")
    assert [(r.argument, r.reason, r.count) for r in row.retraces] == [("rate", "python value", 2)]
    assert row.retraces[0].values == ("0.2", "0.3")
    assert [(r.argument, r.reason) for r in at(found.tracings, "shape")[0].retraces] == [
        ("x", "shape")
    ]
    assert [(r.argument, r.reason) for r in at(found.tracings, "dtype")[0].retraces] == [
        ("x", "dtype")
    ]
    [nested] = at(found.tracings, "nested")[0].retraces
    assert (nested.argument, nested.reason) == ("options['a']", "python value")
    assert [row.calls for row in at(found.function_calls, "python value")] == [4]


def test_numpy_scalars_do_not_count_as_retraces(tmp_path: Path) -> None:
    function = tf.function(lambda x, rate: x * rate)
    with recording(tmp_path) as so_far:
        for rate in np.linspace(0.0, 1.0, 5, dtype="float32"):
            function(tf.ones(3), rate)  # numpy scalar
        [row] = at(so_far().tracings, "numpy scalar")
    assert (row.traces, row.retraces) == (1, ())


def test_a_function_that_makes_variables_is_one_function(tmp_path: Path) -> None:
    class Module(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.v = None

        @tf.function  # type: ignore[untyped-decorator]
        def __call__(self, x: Any) -> Any:
            if self.v is None:
                self.v = tf.Variable(2.0)
            return self.v * x

    module = Module()
    with recording(tmp_path) as so_far:
        module(tf.ones(3))  # makes variables
        rows = at(so_far().tracings, "makes variables")
    [row] = [row for row in rows if row.function == "__call__"]
    assert (row.functions, row.retraces) == (1, ())


def test_functions_made_in_a_loop(tmp_path: Path) -> None:
    def step(x: Any) -> Any:
        return x + 1

    with recording(tmp_path) as so_far:
        for _ in range(4):
            tf.function(step)(tf.ones(2))  # made here
        [row] = at(so_far().functions_made, "made here")
    assert (row.count, row.function) == (4, "step")


def test_python_in_a_pipeline_is_counted_in_every_thread(tmp_path: Path) -> None:
    def slow(x: Any) -> Any:
        return x + sum(range(20_000)) * 0

    with recording(tmp_path) as so_far:
        ds = tf.data.Dataset.range(60)
        ds = ds.map(
            lambda x: tf.numpy_function(slow, [x], tf.int64),  # registered
            num_parallel_calls=2,
        ).batch(10)
        for _ in ds:  # waits
            pass
        found = so_far()
    [row] = at(found.bridges, "registered")
    assert (row.kind, row.function, row.calls, row.pipeline) == ("numpy_function", "slow", 60, True)
    assert 0 < row.cpu_seconds <= row.seconds * 1.2
    assert row.busy_seconds <= row.seconds * 1.2
    assert 0 < row.waited_seconds <= found.parts["bridge"] + 1e-6
    assert {claim.line for claim in row.claims} == {line_of("waits")}
    [waits] = at(found.iterations, "waits")
    assert (waits.iterators, waits.elements) == (1, 6)
    assert [stage.kind for stage in waits.stages] == ["Batch", "ParallelMap", "Range"]
    assert waits.stages[0].batch_size == 10


def test_the_end_of_an_iterator_is_waited_for(tmp_path: Path) -> None:
    def slow(x: Any) -> Any:
        time.sleep(0.1)
        return x

    with recording(tmp_path) as so_far:
        ds = tf.data.Dataset.range(9)
        ds = ds.map(lambda x: tf.numpy_function(slow, [x], tf.int64)).prefetch(1)
        for _ in ds:
            break  # left
        found = so_far()
    [row] = at(found.iterations, "left")
    assert row.end_seconds > 0
    assert (row.elements, row.iterators) == (0, 0)
    assert found.line(row.site)["input"] == pytest.approx(row.end_seconds)


def test_an_iterator_that_is_made_again_ends_where_it_is_replaced(tmp_path: Path) -> None:
    with recording(tmp_path) as so_far:
        ds = tf.data.Dataset.range(9)
        seen = [int(next(iter(ds))) for _ in range(3)]  # again
        [row] = at(so_far().iterations, "again")
    assert seen == [0, 0, 0]
    assert (row.elements, row.iterators) == (3, 3)
    assert row.end_seconds > 0


def test_a_generator_is_counted_by_element(tmp_path: Path) -> None:
    def rows() -> Iterator[int]:
        yield from range(33)

    with recording(tmp_path) as so_far:
        spec = tf.TensorSpec((), tf.int64)
        ds = tf.data.Dataset.from_generator(rows, output_signature=spec)  # generator
        assert sum(1 for _ in ds) == 33
        [row] = at(so_far().bridges, "generator")
    assert (row.kind, row.function) == ("generator", "rows")
    assert row.calls in (33, 34)  # the last call may find the end
    assert row.definition is not None and row.definition.function == "rows"


def test_graphs_sessions_and_growth(tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with recording(tmp_path) as so_far:
        graph = tf.Graph()  # graph
        with graph.as_default():
            x = v1.placeholder(tf.float32, ())
            with v1.Session() as session:  # session
                for _ in range(4):
                    y = x * 2.0  # grows
                    session.run(y, {x: 1.0})  # run
        definition = graph.as_graph_def()
        for _ in range(3):
            with tf.Graph().as_default():
                tf.import_graph_def(definition, name="")  # import
        found = so_far().graphs
    assert [(r.action, r.calls) for r in at(found, "graph")] == [("graph", 1)]
    assert [(r.action, r.calls) for r in at(found, "session")] == [("session", 1)]
    assert [(r.action, r.calls) for r in at(found, "import")] == [("import", 3)]
    [run] = at(found, "run")
    assert (run.calls, run.first_runs) == (4, 4)
    assert run.nodes_last > run.nodes_first > 0
    assert [site.line for site in run.growth] == [line_of("grows")]


def test_a_session_prepares_each_kind_of_run_once(tmp_path: Path) -> None:
    v1 = tf.compat.v1
    with recording(tmp_path) as so_far:
        for _ in range(3):
            with tf.Graph().as_default(), v1.Session() as session:
                x = v1.placeholder(tf.float32, (), name="x")
                y, z = x * 2.0, x + 1.0
                for _ in range(2):
                    session.run({"y": y}, {x: 1.0})  # one kind
                    session.run([z, "x:0"], feed_dict={"x:0": 2.0})  # another
        found = so_far().graphs
    for text in ("one kind", "another"):
        [run] = at(found, text)
        assert (run.calls, run.first_runs) == (6, 3)
        assert 0 < run.first_seconds < run.seconds


def test_keras_calls(tmp_path: Path) -> None:
    x = np.ones((64, 4), "float32")
    with recording(tmp_path) as so_far:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])  # model
        model.compile("sgd", "mse")
        model.fit(x, x[:, :1], batch_size=16, epochs=2, verbose=0)  # fit
        for row in range(3):
            model.predict(x[row : row + 1], verbose=0)  # predict
        found = so_far().keras_calls
    assert [(r.method, r.calls) for r in at(found, "model")] == [("model", 1)]
    [fit] = at(found, "fit")
    assert (fit.method, fit.calls, fit.epochs, fit.steps, fit.batch_size) == ("fit", 1, 2, 8, 16)
    assert 0 < fit.graph_seconds + fit.build_seconds < fit.seconds
    assert sum(fit.parts.values()) <= fit.seconds * 1.01
    [predict] = at(found, "predict")
    assert (predict.calls, predict.rows, predict.batch_size) == (3, 3, 1)


def test_stages_that_keras_makes_are_not_the_users(tmp_path: Path) -> None:
    x = np.ones((64, 4), "float32")
    with recording(tmp_path) as so_far:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(x, x[:, :1], batch_size=16, verbose=0)  # arrays
        rows = tf.data.Dataset.from_tensor_slices((x, x[:, :1]))
        model.fit(rows.map(lambda *row: row).batch(16), verbose=0)  # own pipeline
        found = so_far().iterations
    [arrays], [own] = at(found, "arrays"), at(found, "own pipeline")
    assert "Map" in {stage.kind for stage in arrays.stages}
    assert not any(stage.site for stage in arrays.stages)
    assert {"Map", "Batch"} <= {stage.kind for stage in own.stages if stage.site}


def test_callbacks_of_the_user(tmp_path: Path) -> None:
    class Counts(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # callback
            self.seen = batch

    own = vars(Counts)["on_train_batch_end"]
    x = np.ones((32, 2), "float32")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with recording(tmp_path) as so_far:
        model.fit(x, x[:, :1], batch_size=8, verbose=0, callbacks=[Counts()])
        [row] = at(so_far().callbacks, "callback")
    assert (row.calls, row.method) == (4, "on_train_batch_end")
    assert vars(Counts)["on_train_batch_end"] is own


def test_eager_steps(tmp_path: Path) -> None:
    w = tf.Variable(tf.ones((4, 1)))
    optimizer = keras.optimizers.SGD(0.1)
    x = tf.ones((8, 4))
    with recording(tmp_path) as so_far:
        for _ in range(6):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.matmul(x, w) ** 2)
            gradient = tape.gradient(loss, [w])  # gradient
            optimizer.apply_gradients(zip(gradient, [w], strict=True))  # apply
        [row] = at(so_far().tape_steps, "gradient")
    assert row.steps == 6
    assert row.ops >= 6 * 5
    assert line_of("apply") in {claim.line for claim in row.claims}
    assert sum(claim.seconds for claim in row.claims) <= row.seconds * 1.05


def test_tapes_used_in_other_ways(tmp_path: Path) -> None:
    x = tf.Variable(2.0)
    with recording(tmp_path) as so_far:
        for _ in range(3):
            with tf.GradientTape():
                x * x
        for _ in range(4):
            with tf.GradientTape(persistent=True) as tape:
                y = x * x
                tape.gradient(y, x)
            tape.gradient(y, x)
        with pytest.raises(ZeroDivisionError), tf.GradientTape() as tape:
            raise ZeroDivisionError
        for _ in range(5):
            tf.sqrt(3.0)  # after tapes
        found = so_far()
    assert sum(row.steps for row in found.tape_steps) == 8
    tape_lines = {claim.line for row in found.tape_steps for claim in row.claims}
    assert line_of("after tapes") not in tape_lines
    assert sum(row.calls for row in at(found.ops, "after tapes")) == 5


def test_functions_switched_to_eager(tmp_path: Path) -> None:
    function = tf.function(lambda x: tf.sqrt(x) + 1.0)
    with recording(tmp_path) as so_far:
        tf.config.run_functions_eagerly(True)  # switched
        try:
            for _ in range(7):
                function(tf.ones(3))
        finally:
            tf.config.run_functions_eagerly(False)
        [row] = so_far().settings
    assert (row.name, row.site.line, row.calls) == ("run_functions_eagerly", line_of("switched"), 7)
    assert row.ops == 14


def test_the_tables_do_not_grow_with_events(tmp_path: Path) -> None:
    def events(count: int) -> None:
        array = np.ones(1000)
        scale = tf.function(lambda x: x * 2.0)
        for number in range(count):
            x = tf.constant(array) * float(number)
            scale(x).numpy()
            next(iter(tf.data.Dataset.range(1)))

    def size(found: Recording) -> int:
        def count(value: Any) -> int:
            if isinstance(value, dict):
                return sum(map(count, value.values()))
            return sum(map(count, value)) if isinstance(value, list) else 1

        return count(to_plain(found))

    def held() -> int:
        gc.collect()
        kinds = ("OpRow", "Context", "ConversionRow", "SyncRow", "TraceRow", "CountRow")
        return sum(type(each).__name__ in kinds for each in gc.get_objects())

    with recording(tmp_path) as so_far:
        events(50)
        few, rows_few = size(so_far()), held()
        events(200)
        many, rows_many = size(so_far()), held()
    # A line more may have been seen by then, but not one for each of 200 events.
    assert many <= few + 100
    assert rows_many <= rows_few + 5


def test_memory_does_not_grow_with_events(tmp_path: Path) -> None:
    x = tf.ones((8, 8))

    def events(count: int) -> None:
        nonlocal x
        for _ in range(count):
            x = tf.sqrt(x)
            x.numpy()

    own = [tracemalloc.Filter(True, str(Path(seams.__file__).parent / "*"))]
    with recording(tmp_path):
        events(200)
        tracemalloc.start()
        try:
            events(2_000)
            few = sum(s.size for s in tracemalloc.take_snapshot().filter_traces(own).traces)
            events(20_000)
            many = sum(s.size for s in tracemalloc.take_snapshot().filter_traces(own).traces)
        finally:
            tracemalloc.stop()
    assert many - few < 20_000


def test_a_missing_seam_turns_off_one_observation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = seams.Seam("conversions that are gone", "tensorflow.python.gone", "", "convert")
    monkeypatch.setattr(seams, "CONVERSION", gone)
    with recording(tmp_path) as so_far:
        tf.constant(np.ones(100))
        tf.sqrt(tf.ones(3))  # still watched
        found = so_far()
    assert "conversions that are gone" in {row.seam for row in found.unwatched}
    assert found.conversions == ()
    assert at(found.ops, "still watched")


def test_a_watcher_that_fails_is_reported_and_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(array: Any) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(arrays, "fingerprint", broken)
    with recording(tmp_path) as so_far:
        assert tf.constant(np.ones(300)).shape == (300,)
        found = so_far()
    assert any("ZeroDivisionError" in row.why for row in found.unwatched)


@needs_windows
def test_windows_see_the_wait_inside_fit(tmp_path: Path) -> None:
    def slow(x: Any) -> Any:
        time.sleep(0.004)
        return x

    def element(x: Any) -> Any:
        x = tf.ensure_shape(tf.numpy_function(slow, [x], tf.float32), (4,))
        return x, x[:1]

    ds = tf.data.Dataset.from_tensor_slices(np.ones((600, 4), "float32")).map(element).batch(8)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    recorder = Recorder(tmp_path / "recording.json", ("test",))
    recorder.start()
    model.fit(ds, verbose=0)  # fit waits
    recorder.stop()
    found = from_plain(Recording, json.loads((tmp_path / "recording.json").read_text()))
    assert not found.partial
    [window, *_] = at(found.windows, "fit waits")
    assert window.wait_seconds > 0.5 * window.graph_seconds
    line = found.line(window.site)
    assert line["bridge"] > line["graph"]
    assert sum(found.parts.values()) == pytest.approx(found.wall, rel=0.01)


@pytest.mark.skipif(not frames.CRASHES, reason="only Python 3.11 crashes by that")
def test_no_garbage_is_collected_while_the_sampler_reads_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[str] = []

    def seen(phase: str, info: dict[str, int]) -> None:
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code is Clock.sample.__code__:
                collected.append(phase)
            frame = frame.f_back

    def deep(calls: int) -> None:
        if calls:
            deep(calls - 1)
        else:
            time.sleep(0.002)

    monkeypatch.setattr(recorder_module, "SAMPLE_EVERY", 0.0005)
    thresholds = gc.get_threshold()
    gc.callbacks.append(seen)
    gc.set_threshold(10, 2, 2)
    try:
        with recording(tmp_path):
            for _ in range(100):
                deep(40)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(seen)
    assert not collected
    assert gc.isenabled()


def test_a_child_forked_during_a_look_collects_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "CRASHES", True)
    with frames.uncollected():
        assert not gc.isenabled()
        frames.after_fork()
        assert gc.isenabled()
    gc.disable()
    try:
        with frames.uncollected():
            pass
        frames.after_fork()
        assert not gc.isenabled()
    finally:
        gc.enable()


@needs_windows
def test_windows_open_where_a_busy_machine_gives_few_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @tf.function(input_signature=[tf.TensorSpec((), tf.float32)])
    def slow(x: Any) -> Any:
        return tf.numpy_function(lambda y: (time.sleep(0.005), y)[1], [x], tf.float32)

    clock = SimpleNamespace(sleep=lambda seconds: time.sleep(0.4), monotonic=time.monotonic)
    monkeypatch.setattr(recorder_module, "time", clock)
    recorder = Recorder(tmp_path / "recording.json", ("test",))
    recorder.start()
    for _ in range(200):
        slow(1.0)  # few looks
    recorder.stop()
    found = from_plain(Recording, json.loads((tmp_path / "recording.json").read_text()))
    [window] = at(found.windows, "few looks")
    assert not window.estimated


def test_without_windows_the_wait_inside_fit_is_estimated(tmp_path: Path) -> None:
    calls = 0

    def slow(x: Any) -> Any:
        nonlocal calls
        calls += 1
        time.sleep(0.001 if calls < 150 else 0.006)
        return x

    def element(x: Any) -> Any:
        x = tf.ensure_shape(tf.numpy_function(slow, [x], tf.float32), (4,))
        return x, x[:1]

    recorder = Recorder(tmp_path / "recording.json", ("test",))
    recorder.start(windows=False)
    ds = tf.data.Dataset.from_tensor_slices(np.ones((400, 4), "float32")).map(element).batch(8)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(ds, verbose=0)  # fit without windows
    recorder.stop()
    found = from_plain(Recording, json.loads((tmp_path / "recording.json").read_text()))
    [window] = at(found.windows, "fit without windows")
    assert window.estimated
    assert 0.3 * window.graph_seconds < window.bridge_seconds <= window.graph_seconds
    [bridge] = found.bridges
    assert 0 < bridge.waited_seconds <= bridge.busy_seconds


def test_errors_keep_their_tracebacks(tmp_path: Path) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("under 3.10 frames are left out where tracebacks are printed")

    def raised() -> list[str]:
        try:
            tf.reshape(tf.ones(3), (2, 2))
        except tf.errors.InvalidArgumentError as error:
            trace, files = error.__traceback__, []
            while trace is not None:
                files.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
                trace = trace.tb_next
            return files
        raise AssertionError

    tf.debugging.disable_traceback_filtering()
    try:
        without = raised()
        with recording(tmp_path):
            under = raised()
    finally:
        tf.debugging.enable_traceback_filtering()
    assert under == without
