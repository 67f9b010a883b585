"""What is captured of traces, steps, graphs and sessions, and the experiments made of it."""

from __future__ import annotations

import gc
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from programs import report, watched

from unslow import seams
from unslow.catalogue import diagnose, page
from unslow.catalogue.graphs import (
    _calls,
    _sessions,
    _switched,
    _tracing,
    eager_hot_loop,
    function_too_small,
)
from unslow.catalogue.page import Page
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.experiment.gain import gain_of
from unslow.experiment.state import State
from unslow.experiment.trials import Outcome, run_trial
from unslow.experiment.values.equality import judge
from unslow.experiment.values.snapshot import take
from unslow.finding import Alternative, Finding, Proof
from unslow.recording import graphs, tracing
from unslow.recording.recorder import Recorder
from unslow.recording.samples import (
    FEW,
    EagerCall,
    FirstCall,
    FunctionCall,
    GraphRun,
    GrownRun,
    ModelCall,
    Samples,
    TracedCall,
    UserCall,
)

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

LIMIT = 2**26


@pytest.fixture(autouse=True)
def on_any_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no finding depend on how fast this machine is just now."""
    monkeypatch.setattr(_tracing, "MOST_OP_SECONDS", 1.0)
    monkeypatch.setattr(function_too_small, "MOST_SECONDS_PER_CALL", 1.0)
    monkeypatch.setattr(sys.modules[Page.__module__], "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(sys.modules[Page.__module__], "LEAST_SHARE", 0.0)


@contextmanager
def recorder(folder: Path, limit: int = LIMIT) -> Iterator[Recorder]:
    """Record what happens inside, and keep samples of up to `limit` bytes."""
    watching = Recorder(folder / "recording.json", ("test",), samples_limit=limit)
    watching.start(windows=False)
    try:
        yield watching
    finally:
        if not watching.stopped:
            watching.abandon()
        tf.config.run_functions_eagerly(False)


def ran(folder: Path, source: str, limit: int = LIMIT) -> tuple[list[Finding], Samples]:
    """The findings and the samples of a program that has run under the recorder."""
    file = folder / "program.py"
    file.write_text(source, encoding="utf-8")
    with recorder(folder, limit) as watching:
        exec(compile(source, str(file), "exec"), {"__name__": "__main__"})
        found = watching.stop()
    assert found is not None
    assert not watching.clock.failures
    return diagnose(found), watching.samples


def of_page(folder: Path, code: str, *changes: tuple[str, str]) -> tuple[Finding, Samples]:
    """The finding in a page's slow program, made shorter, and the samples of its run."""
    source = page(code).slow
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    findings, samples = ran(folder, source)
    [finding] = [each for each in findings if each.code == code]
    return finding, samples


SHORT_RUNS: dict[str, tuple[Finding, Samples]] = {}


def short_run(folder: Path, code: str) -> tuple[Finding, Samples]:
    """The finding of a page's slow program made shorter, and its samples; run once for all."""
    if code not in SHORT_RUNS:
        SHORT_RUNS[code] = of_page(folder, code, *SHORTER[code])
    return SHORT_RUNS[code]


def trial_of(finding: Finding, samples: Samples) -> Trial:
    [trial] = page(finding.code).trials(finding, samples)
    assert isinstance(trial, Trial), trial
    return trial


def why_untried(finding: Finding, samples: Samples) -> str:
    [untried] = page(finding.code).trials(finding, samples)
    assert isinstance(untried, Untried)
    return untried.why


def done(trial: Trial, way: Way) -> list[Any]:
    """What a way gives, its second run's results with the variables that it changed."""
    state = State(2**26)
    results: list[Any] = []
    for _ in range(2):
        state.save()
        if way.before is not None:
            way.before()
        returned = way.run()
        results = [take(way.results(returned)), *(take(each) for each in state.changed())]
        state.restore()
    return results


def assert_equal_ways(trial: Trial, *names: str) -> None:
    assert [way.name for way in trial.ways] == list(names)
    one, again = (done(trial, trial.present) for _ in range(2))
    for way in trial.ways:
        same = judge(one, again, done(trial, way))
        assert same.equal, f"{way.name}: {same.where}"


SHORTER = {
    "TF201": (("range(50)", "range(12)"),),
    "TF202": (("range(5, 85)", "range(5, 20)"),),
    "TF203": (("random((40,", "random((8,"),),
    "TF204": (("range(700)", "range(40)"),),
    "TF207": (("random((40,", "random((12,"),),
    "TF208": (("random((120,", "random((40,"),),
    "TF209": (("range(500)", "range(30)"),),
    "TF213": (("range(5000)", "range(900)"),),
}

WAYS = {
    "TF201": ["a tensor for the Python number"],
    "TF202": ["leave open what changes", "an input signature with open sizes"],
    "TF203": ["make the function once"],
    "TF204": ["a compiled step"],
    "TF207": ["one session, kept", "one session, kept, and inputs in batches"],
    "TF208": ["all ops made before the first run"],
    "TF209": ["without the switch"],
    "TF213": ["without @tf.function", "the loop around it compiled"],
}


@pytest.mark.parametrize("code", list(SHORTER))
def test_every_way_gives_what_the_present_one_gives(tmp_path: Path, code: str) -> None:
    assert_equal_ways(trial_of(*short_run(tmp_path, code)), *WAYS[code])


@pytest.mark.parametrize("code", ["TF201", "TF202", "TF203", "TF204", "TF207"])
def test_what_the_source_offers_has_the_name_of_what_is_tried(code: str) -> None:
    from unslow.source.module import Module

    [finding] = page(code).in_source(Module.of(page(code).slow))
    assert {each.name for each in finding.alternatives} <= set(WAYS[code])
    assert finding.alternatives or code == "TF202"


@pytest.mark.parametrize("code", ["TF201", "TF202", "TF203", "TF204"])
def test_slow_calls_are_tried_on_two_of_them(
    tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_calls, "RUN_SECONDS", 0.0)
    trial = trial_of(*short_run(tmp_path, code))
    assert trial.inputs.startswith("2 of ")
    assert_equal_ways(trial, *WAYS[code])


class TestRetraced:
    source = """
import tensorflow as tf

total = tf.Variable(0.0)


@tf.function
def step(x, rate, name="mean"):
    total.assign_add(tf.reduce_sum(x) * rate)
    return x * rate + 1.0


for number in range(12):
    y = step(tf.ones(3), 0.1 * number)
"""

    def test_the_present_way_traces_each_call_and_the_other_none(self, tmp_path: Path) -> None:
        findings, samples = ran(tmp_path, self.source)
        calls = samples.every(TracedCall)
        assert len(calls) == tracing.MOST_TRACED
        assert len({each.arguments[1] for each in calls}) == len(calls)
        original = calls[0].function
        traces = original.experimental_get_tracing_count()
        [finding] = [each for each in findings if each.code == "TF201"]
        trial = trial_of(finding, samples)
        assert trial.functions == (original.python_function,)
        assert_equal_ways(trial, *WAYS["TF201"])
        assert original.experimental_get_tracing_count() == traces

    def test_a_number_that_must_stay_a_number_is_told(self, tmp_path: Path) -> None:
        source = self.source.replace("x * rate", "tf.concat([x] * int(10 * rate + 1.5), 0)")
        findings, samples = ran(tmp_path, source)
        [finding] = [each for each in findings if each.code == "TF201"]
        [way] = trial_of(finding, samples).ways
        assert way.before is not None
        with pytest.raises(Exception, match="int"):
            way.before()

    def test_a_whole_number_among_floats_becomes_a_float(self, tmp_path: Path) -> None:
        source = self.source.replace("0.1 * number", "number")
        findings, samples = ran(tmp_path, source)
        [finding] = [each for each in findings if each.code == "TF201"]
        assert_equal_ways(trial_of(finding, samples), *WAYS["TF201"])

    def test_a_global_that_changes_between_the_traces(self, tmp_path: Path) -> None:
        source = self.source.replace("x * rate + 1.0", "x * rate + shift")
        source = source.replace("    y = step", "    shift = float(number // 8)\n    y = step")
        findings, samples = ran(tmp_path, source)
        [finding] = [each for each in findings if each.code == "TF201"]
        assert "step() uses `shift`, which changed" in why_untried(finding, samples)

    def test_methods_and_keywords(self, tmp_path: Path) -> None:
        source = """
import tensorflow as tf


class Model:
    def __init__(self):
        self.weight = tf.Variable(2.0)

    @tf.function
    def step(self, x, *, rate):
        self.weight.assign_add(rate)
        return self.weight * x


def run():
    model = Model()
    for number in range(12):
        model.step(tf.ones(3), rate=0.5 + number)


run()
"""
        findings, samples = ran(tmp_path, source)
        gc.collect()
        [finding] = [each for each in findings if each.code == "TF201"]
        assert_equal_ways(trial_of(finding, samples), *WAYS["TF201"])

    def test_shapes_under_xla_are_not_tried(self, tmp_path: Path) -> None:
        code = ("@tf.function\n", "@tf.function(jit_compile=True)\n")
        finding, samples = of_page(tmp_path, "TF202", *SHORTER["TF202"], code)
        assert "XLA" in why_untried(finding, samples)

    def test_a_function_that_is_traced_again_all_the_same(self, tmp_path: Path) -> None:
        source = """
import tensorflow as tf


def score(number):
    @tf.function
    def forward(x, scale):
        return x * scale

    return forward(tf.ones(3), number)


for number in range(10):
    score(float(number))
"""
        findings, samples = ran(tmp_path, source)
        [finding] = [each for each in findings if each.code == "TF203"]
        assert len(samples.every(FirstCall)) == FEW
        [way] = trial_of(finding, samples).ways
        assert way.before is not None
        way.before()
        with pytest.raises(Exception, match="traced for other calls too"):
            way.run()


class TestMadeAnew:
    @pytest.mark.parametrize("in_function", [True, False])
    @pytest.mark.parametrize(
        "rate",
        ["number / 10", "1.0 if number < 9 else 0.5", "tf.constant(number / 10)", "[number]"],
    )
    def test_one_that_uses_what_changes_around_it(
        self, tmp_path: Path, in_function: bool, rate: str
    ) -> None:
        loop = f"""
for number in range(12):
    rate = {rate}
    @tf.function
    def step(x):
        def inner(y):
            return y * rate
        return inner(x) + 1.0
    step(tf.ones(3))
"""
        if in_function:
            loop = "\ndef run():\n" + loop.replace("\n", "\n    ") + "\nrun()\n"
        findings, samples = ran(tmp_path, "import tensorflow as tf\n" + loop)
        [finding] = [each for each in findings if each.code == "TF203"]
        assert "step() uses `rate`, which changed" in why_untried(finding, samples)

    @pytest.mark.parametrize("in_function", [True, False])
    def test_one_that_uses_what_stays(self, tmp_path: Path, in_function: bool) -> None:
        loop = """
settings = {"rate": 2.0, "names": ["a"]}
shift = tf.ones(3)
for number in range(12):
    @tf.function
    def step(x):
        return x * settings["rate"] + shift
    step(tf.fill(3, float(number)))
"""
        if in_function:
            loop = "\ndef run():\n" + loop.replace("\n", "\n    ") + "\nrun()\n"
        findings, samples = ran(tmp_path, "import tensorflow as tf\n" + loop)
        [finding] = [each for each in findings if each.code == "TF203"]
        assert_equal_ways(trial_of(finding, samples), *WAYS["TF203"])

    @pytest.mark.parametrize("parameters", ["x", "x, rate=rate"])
    def test_a_number_of_each_call_that_changes_late(self, tmp_path: Path, parameters: str) -> None:
        source = f"""
import tensorflow as tf


def score(x, rate):
    @tf.function
    def forward({parameters}):
        return x * rate

    return forward(x)


for number in range(20):
    score(tf.ones(3), 1.0 if number < 10 else 0.5)
"""
        findings, samples = ran(tmp_path, source)
        [finding] = [each for each in findings if each.code == "TF203"]
        assert "`rate`" in why_untried(finding, samples)


class TestSteps:
    source = """
import tensorflow as tf

weights = tf.Variable(tf.ones((4, 1)))
seen = []


def make(scale):
    def train_step(x, *rest, rate, **more):
        loss = 0.0
        with tf.GradientTape() as tape:
            for _ in range(8):
                x = tf.tanh(x) + scale
            loss = tf.reduce_mean((x @ weights) ** 2)
        gradient = tape.gradient(loss, weights)
        weights.assign_sub(rate * gradient)
        return loss

    return train_step


step = make(0.5)
for number in range(40):
    step(tf.ones((8, 4)), 1, rate=0.01, name="a")
"""

    def finding(self, findings: list[Finding]) -> Finding:
        [finding] = [each for each in findings if each.code == "TF204"]
        return finding

    def test_a_step_with_closures_and_all_kinds_of_arguments(self, tmp_path: Path) -> None:
        findings, samples = ran(tmp_path, self.source)
        calls = samples.every(UserCall)
        assert len(calls) == FEW
        assert calls[0].arguments[1:] == (1,)
        assert calls[0].keywords == {"rate": 0.01, "name": "a"}
        before = weights_of(calls[0]).numpy()
        assert_equal_ways(trial_of(self.finding(findings), samples), *WAYS["TF204"])
        assert np.array_equal(weights_of(calls[0]).numpy(), before)

    def test_the_update_outside_the_tape_counts(self, tmp_path: Path) -> None:
        findings, _ = ran(tmp_path, self.source)
        finding = self.finding(findings)
        update = 1 + self.source.splitlines().index("        weights.assign_sub(rate * gradient)")
        assert update in {claim.line for claim in finding.cost.claims}

    @pytest.mark.parametrize("in_function", [True, False])
    def test_a_loop_is_no_step(self, tmp_path: Path, in_function: bool) -> None:
        loop = """
for number in range(40):
    x = tf.ones((8, 4))
    with tf.GradientTape() as tape:
        for _ in range(8):
            x = tf.tanh(x) + 0.5
        loss = tf.reduce_mean((x @ weights) ** 2)
    weights.assign_sub(0.01 * tape.gradient(loss, weights))
"""
        if in_function:
            loop = "\ndef train():\n" + loop.replace("\n", "\n    ") + "\ntrain()\n"
        start = "import tensorflow as tf\nweights = tf.Variable(tf.ones((4, 1)))\n"
        findings, samples = ran(tmp_path, start + loop)
        assert not samples.every(UserCall)
        assert "in a loop" in why_untried(self.finding(findings), samples)

    def test_python_numbers_that_change_are_given_as_tensors(self, tmp_path: Path) -> None:
        source = self.source.replace("rate=0.01", "rate=0.01 * number")
        findings, samples = ran(tmp_path, source)
        trial = trial_of(self.finding(findings), samples)
        assert_equal_ways(trial, "a compiled step, given tensors for Python numbers")

    def why(self, folder: Path, *changes: tuple[str, str]) -> str:
        """Why the step, changed in its source, is not tried."""
        source = self.source
        for old, new in changes:
            assert old in source
            source = source.replace(old, new)
        findings, samples = ran(folder, source)
        return why_untried(self.finding(findings), samples)

    @pytest.mark.parametrize(
        ("before", "inside", "name"),
        [
            ("losses = []", "losses.append(loss)", "losses"),
            ("count = 0", "global count; count += 1", "count"),
            ("last = 0", "global last; last = loss", "last"),
            ("class State: best = 0", "State.best = loss", "State.best"),
            ("rng = np.random.default_rng(0)", "loss += rng.normal()", "rng"),
            ("", "loss += np.random.normal()", "np.random.normal"),
            ("import random", "loss += random.random()", "random.random"),
            ("import time", "loss += time.time()", "time.time"),
            ("ids = [0]", "note(loss)", "ids"),
        ],
    )
    def test_a_step_that_changes_what_python_holds_is_not_tried(
        self, tmp_path: Path, before: str, inside: str, name: str
    ) -> None:
        helper = "def note(loss):\n    ids[0] += 1\n" if name == "ids" else ""
        start = f"import numpy as np\n{before}\n{helper}\ndef make("
        end = f"        {inside}\n        return loss"
        why = self.why(tmp_path, ("def make(", start), ("        return loss", end))
        assert f"uses `{name}" in why
        assert "changed between its calls" in why

    def test_a_number_around_it_that_changes_late(self, tmp_path: Path) -> None:
        change = ("    step(", "    weight = 1.0 if number < 25 else 0.5\n    step(")
        use = ("            loss = tf", "            loss = weight * tf")
        assert "`weight`" in self.why(tmp_path, change, use)

    def test_a_free_name_that_changes_late(self, tmp_path: Path) -> None:
        changer = """
    def change():
        nonlocal scale
        scale = 2.0

    return train_step, change
"""
        changes = (
            ("    return train_step\n", changer),
            ("step = make", "step, change = make"),
            ("    step(", "    if number == 20: change()\n    step("),
        )
        assert "`scale`" in self.why(tmp_path, *changes)

    def test_an_attribute_of_its_object_that_changes(self, tmp_path: Path) -> None:
        source = self.source.replace("(x, *rest", "(self, x, *rest").replace(
            "    return train_step\n", "    Trainer.train_step = train_step\n    return Trainer()\n"
        )
        source = source.replace("def make(", "class Trainer:\n    rate = 1.0\n\n\ndef make(")
        source = source.replace("    step(", "    step.rate = number\n    step.train_step(")
        findings, samples = ran(tmp_path, source)
        assert_equal_ways(trial_of(self.finding(findings), samples), *WAYS["TF204"])
        source = source.replace("rate * gradient", "self.rate * gradient")
        findings, samples = ran(tmp_path, source)
        assert "`self.rate`" in why_untried(self.finding(findings), samples)

    def test_the_note_tells_when_python_runs(self) -> None:
        assert "runs only then" in eager_hot_loop.STEP_NOTE


def weights_of(call: UserCall) -> Any:
    return call.function.__globals__["weights"]  # type: ignore[attr-defined]


def run_of(ops: str) -> GraphRun:
    """A run of what these ops call `y`."""
    tf1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        names = {"tf": tf, "tf1": tf1, "same": lambda x: x, "y": tf.constant([1.0, 2.0, 3.0])}
        names["variable"] = tf1.get_variable("variable", (), use_resource=False)
        exec(ops, names)
    return GraphRun(graph, 1, names["y"], {})


class TestSessions:
    def test_what_starts_variables_is_done_once_in_a_kept_session(self, tmp_path: Path) -> None:
        source = """
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def score(number):
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, (2,), name="x")
        weight = tf1.get_variable("weight", initializer=tf.ones(2), use_resource=False)
        y = [weight * x, {"more": weight + x}]
        start = tf1.global_variables_initializer()
    with tf1.Session(graph=graph) as session:
        session.run(start)
        return session.run(y, feed_dict={x: np.full(2, number, np.float32)})


for number in range(12):
    score(number)
"""
        findings, samples = ran(tmp_path, source)
        [finding] = [each for each in findings if each.code == "TF207"]
        runs = samples.every(GraphRun)
        assert len(runs) == 2 * graphs.MOST_SESSIONS
        assert_equal_ways(trial_of(finding, samples), "one session, kept")

    def test_other_graphs_are_not_put_in_one_batch(self, tmp_path: Path) -> None:
        changes = (
            ("def classify(image):\n", "def classify(image):\n    network.node[3].name\n"),
            ('name="")  # <- slow', 'name="")\n        tf.constant(image, name="other")'),
            *SHORTER["TF207"],
        )
        finding, samples = of_page(tmp_path, "TF207", *changes)
        # They differ in what the batched run does not need.
        assert_equal_ways(trial_of(finding, samples), *WAYS["TF207"])
        changes = (("(None, 32)", "(1, 32)"), *SHORTER["TF207"])
        finding, samples = of_page(tmp_path, "TF207", *changes)
        assert_equal_ways(trial_of(finding, samples), "one session, kept")

    def test_a_growing_graph_with_variables_is_not_tried(self, tmp_path: Path) -> None:
        variable = "v = tf1.get_variable('v', ()); session.run(v.initializer)"
        changes = (
            ("as session:\n", f"as session:\n    {variable}\n"),
            ("session.run(tf", "session.run(v + tf"),
            *SHORTER["TF208"],
        )
        finding, samples = of_page(tmp_path, "TF208", *changes)
        assert "variables" in why_untried(finding, samples)

    @pytest.mark.parametrize(
        ("ops", "name"),
        [
            ("y = tf1.py_func(same, [y], tf.float32)", "PyFunc"),
            ("y = tf1.py_func(same, [y], tf.float32, stateful=False)", "PyFuncStateless"),
            ("y = tf.map_fn(lambda x: tf.py_function(same, [x], tf.float32), y)", "EagerPyFunc"),
            ("y = [y, tf.io.write_file('a', 'b')]", "WriteFile"),
            ("with tf.control_dependencies([tf.io.write_file('a', 'b')]): y += 1", "WriteFile"),
            ("y = {'saved': tf1.train.Saver([variable]).saver_def.save_tensor_name}", "SaveV2"),
            ("queue = tf1.FIFOQueue(1, tf.float32); y = queue.enqueue(y)", "Queue"),
        ],
    )
    def test_graphs_that_act_outside_are_not_run_again(self, ops: str, name: str) -> None:
        with pytest.raises(_sessions.Acts, match=name):
            _sessions.named(run_of(ops))

    @pytest.mark.parametrize(
        "ops",
        [
            "tf1.py_func(same, [y], tf.float32); tf.io.write_file('a', 'b')",
            "tf1.train.Saver([variable]); tf1.summary.scalar('loss', tf.reduce_sum(y))",
            "y = [variable.assign(3.0), variable + y + tf.random.normal([3])]",
            "y = tf.while_loop(lambda x: x[0] < 9, lambda x: (x + 1,), [tf.nn.dropout(y, 0.5)])",
            "y = tf1.data.make_one_shot_iterator(tf.data.Dataset.range(3)).get_next()",
        ],
    )
    def test_graphs_that_could_but_do_not_are(self, ops: str) -> None:
        assert _sessions.named(run_of(ops)).reads

    @pytest.mark.parametrize(
        ("code", "old", "tensor"),
        [
            ("TF207", '"label:0"', 'graph.get_tensor_by_name("label:0")'),
            ("TF208", "tf.reduce_mean(small)", "tf.reduce_mean(small)"),
        ],
    )
    def test_what_acts_outside_is_told(
        self, tmp_path: Path, code: str, old: str, tensor: str
    ) -> None:
        change = (f"run({old}", f"run(tf1.py_func(lambda x: x, [{tensor}], tf.float32)")
        finding, samples = of_page(tmp_path, code, change, *SHORTER[code])
        assert "files or calls Python: PyFunc" in why_untried(finding, samples)

    def test_samples_of_a_growing_graph_are_few(self, tmp_path: Path) -> None:
        _, samples = short_run(tmp_path, "TF208")
        runs = samples.every(GrownRun)
        assert 0 < len(runs) <= graphs.MOST_GROWN
        assert len({id(each.graph) for each in runs}) == 1


class TestSwitched:
    def test_functions_take_part_by_how_often_they_are_called(self, tmp_path: Path) -> None:
        source = """
import tensorflow as tf

tf.config.run_functions_eagerly(True)
often = tf.function(lambda x: tf.tanh(x) + 1.0)
seldom = tf.function(lambda x: tf.tanh(x) + 2.0)
for number in range(100):
    often(tf.ones(3))
    if number % 5 == 0:
        seldom(tf.ones(3))
"""
        _, samples = ran(tmp_path, source)
        calls = _switched.in_proportion(samples.every(EagerCall))
        assert len(calls) == 12
        assert not seams.functions_run_eagerly()
        one = _switched.op_by_op(calls)
        two = _switched.Compiled(calls).run()
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
        assert not seams.functions_run_eagerly()

    def test_functions_that_count_in_python_are_not_tried(self, tmp_path: Path) -> None:
        source = """
import tensorflow as tf

tf.config.run_functions_eagerly(True)
seen = []


@tf.function
def step(x):
    seen.append(1)
    return tf.tanh(x) + 1.0


for number in range(100):
    step(tf.ones(3))
"""
        findings, samples = ran(tmp_path, source)
        [finding] = [each for each in findings if each.code == "TF209"]
        assert "step() uses `seen`, which changed" in why_untried(finding, samples)

    def test_a_keras_model_is_as_it_was_afterwards(self, tmp_path: Path) -> None:
        source = """
import keras
import numpy as np

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
model.compile("adam", "mse", run_eagerly=True)
model.fit(np.ones((640, 4)), np.ones((640, 1)), batch_size=16, epochs=1, verbose=0)
"""
        findings, samples = ran(tmp_path, source)
        [finding] = [each for each in findings if each.code == "TF209"]
        trial = trial_of(finding, samples)
        assert_equal_ways(trial, "without the switch")
        [call] = samples.every(ModelCall)
        assert call.model.run_eagerly


class TestBounds:
    source = """
import numpy as np
import tensorflow as tf


@tf.function
def double(x, y):
    return x * y


for number in range(300):
    double(np.ones(1000, np.float32), float(number % 200))
"""

    def test_captures_do_not_grow_with_calls(self, tmp_path: Path) -> None:
        _, samples = ran(tmp_path, self.source)
        assert len(samples.every(FunctionCall)) == FEW
        assert len(samples.every(TracedCall)) == tracing.MOST_TRACED
        held = (FEW + tracing.MOST_TRACED) * 4000
        assert held <= samples.bytes < 1.2 * held

    def test_nothing_is_kept_beyond_the_limit(self, tmp_path: Path) -> None:
        _, samples = ran(tmp_path, self.source, limit=10_000)
        assert 0 < samples.bytes <= 10_000
        assert samples.cut

    def test_nothing_is_kept_without_experiments(self, tmp_path: Path) -> None:
        for code in ("TF204", "TF207", "TF209"):
            source = page(code).slow
            for old, new in SHORTER[code]:
                source = source.replace(old, new)
            _, samples = ran(tmp_path, source, limit=0)
            assert (samples.bytes, samples._kept, samples.cut) == (0, {}, False)

    def test_no_sample_no_trial(self, tmp_path: Path) -> None:
        for code in SHORTER:
            finding, _ = short_run(tmp_path, code)
            with recorder(tmp_path, 0) as watching:
                nothing = watching.samples
            assert why_untried(finding, nothing).endswith(".")
            assert why_untried(finding, nothing)[0].isupper()


def test_no_more_is_gained_than_was_spent_unwatched() -> None:
    outcome = Outcome(Alternative("a", "unsafe", proof=Proof(2.0, (1.9, 2.1), 9, True)))
    assert gain_of(8.0, outcome) == 4.0
    assert gain_of(8.0, replace(outcome, most=6.0)) == 3.0
    assert gain_of(8.0, replace(outcome, most=60.0)) == 4.0


@pytest.mark.parametrize(("code", "calls"), [("TF204", 40), ("TF209", 30)])
def test_how_often_the_program_did_what_is_tried(tmp_path: Path, code: str, calls: int) -> None:
    finding, samples = of_page(tmp_path, code, *SHORTER[code])
    trial = trial_of(finding, samples)
    kept = int(trial.inputs.split()[0])
    assert trial.runs * kept == pytest.approx(calls, abs=2)
    (outcome,) = run_trial(trial, 10.0, lambda way, limit: None)
    assert isinstance(outcome, Outcome)
    assert 0 < outcome.most < math.inf


def test_a_program_without_eager_execution(tmp_path: Path) -> None:
    source = "import tensorflow as tf\n\ntf.compat.v1.disable_eager_execution()\n"
    source += page("TF207").slow.replace("import tensorflow as tf\n", "")
    (tmp_path / "program.py").write_text(source, encoding="utf-8")
    ended = watched(tmp_path, "program.py", experiments=True)
    assert ended.status == 0, ended.err.decode()
    [finding] = [each for each in report(tmp_path)["findings"] if each["code"] == "TF207"]
    equal = {each["name"]: each.get("equal") for each in finding["alternatives"]}
    assert equal["one session, kept"] is True, json.dumps(finding)
