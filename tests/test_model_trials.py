"""What the pages of models try: on which calls that were kept, with which results."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from programs import report, run, watched
from recorded import Recorded

from unslow.catalogue import page as find_page
from unslow.catalogue.models import _trials
from unslow.catalogue.models._feedback import feeds_itself
from unslow.catalogue.page import claim
from unslow.catalogue.trial import Trial, Untried
from unslow.experiment import measure
from unslow.experiment.effects.search import outside_effects
from unslow.experiment.measure import Timing
from unslow.experiment.trials import Outcome, run_trial
from unslow.finding import Cost, Finding, Site
from unslow.recording import keras_samples
from unslow.recording.samples import HookCall, InterpreterUsed, ModelCall, ModelLoad

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

EVIDENCE: dict[str, dict[str, Any]] = {
    "TF209": {},
    "TF401": {"seconds_per_call": 0.03},
    "TF402": {
        "method": "load_model",
        "tracing_again_seconds": 0.0,
        "seconds_of_traced_calls": 0.0,
    },
    "TF403": {"batch_size": 1, "seconds_per_step": 0.005, "seconds_but_callbacks": 1.5},
    "TF404": {"seconds_per_interpreter": 1e-3, "seconds_per_invocation": 1e-4},
    "TF406": {"seconds_per_step": 0.005, "seconds_but_callbacks": 1.5},
    "TF407": {"method": "fit", "seconds_around_call": 0.09, "model_seconds_per_call": 0.01},
    "TF408": {},
}

PLENTY = 1000.0
"""Seconds that no experiment here needs."""

WAYS = {
    "TF401": {
        "predict_on_batch",
        "a compiled call of the model",
        "one predict before the loop",
    },
    "TF402": {"load it once, in a cached helper"},
    "TF403": {"batches of 256"},
    "TF404": {"make it once, in a cached helper"},
    "TF406": {"steps_per_execution=100"},
    "TF407": {"one fit with epochs"},
}

SMALLER = {
    "TF404": ("size=(800", "size=(20"),
    "TF406": ("48_000", "16_000"),
    "TF407": ("range(60)", "range(5)"),
}
"""So much of the slow programs is enough to see what is tried."""


@pytest.fixture(autouse=True)
def no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The results count here, and a busy machine would find the experiments too long."""
    timing = Timing(2.0, (2.0, 2.0), 5, 0.2, 0.1)
    monkeypatch.setattr(measure, "compare", lambda *ways, **options: timing)


def outcomes(trials: Iterator[Trial | Untried]) -> dict[str, Any]:
    """Whether each way gave the same results; where there were none, why."""
    found: dict[str, Any] = {}
    for trial in list(trials):
        assert isinstance(trial, Trial), trial
        assert trial.inputs and trial.share > 0
        for each in run_trial(trial, PLENTY, lambda way, limit: None):
            assert isinstance(each, Outcome), each
            assert each.share > 0
            proof = each.alternative.proof
            found[each.alternative.name] = (
                each.alternative.failure if proof is None else proof.equal or proof.where
            )
    return found


def why(trials: Iterator[Trial | Untried]) -> str:
    (untried,) = trials
    assert isinstance(untried, Untried)
    return untried.why


def finding(code: str, path: Path, line: int, function: str = "f", **evidence: Any) -> Finding:
    site = Site(str(path), line, function)
    evidence = {"calls": 100, "seconds": 1.0, **EVIDENCE[code], **evidence}
    return Finding(code, find_page(code).name, "problem", site, "", Cost(1.0, 100), evidence)


def slow(code: str) -> str:
    return find_page(code).slow.replace(*SMALLER.get(code, ("", "")))


@pytest.mark.parametrize("code", WAYS)
def test_the_slow_program_is_tried_in_every_way_with_equal_results(
    code: str, tmp_path: Path
) -> None:
    page = find_page(code)
    ran = Recorded(tmp_path, slow(code))
    at = finding(code, ran.path, page.marked_line())
    assert outcomes(iter(page.trials(at, ran.samples))) == dict.fromkeys(WAYS[code], True)


@pytest.mark.parametrize("code", ["TF401", "TF404"])
def test_nothing_is_kept_where_no_experiments_are_wanted(code: str, tmp_path: Path) -> None:
    page = find_page(code)
    ran = Recorded(tmp_path, slow(code), limit=0)
    assert ran.samples.bytes == 0
    assert why(iter(page.trials(finding(code, ran.path, page.marked_line()), ran.samples)))


def test_names_of_ways_are_those_of_the_edits() -> None:
    from unslow.source.module import Module

    for code in ("TF401", "TF402", "TF403", "TF404", "TF406"):
        page = find_page(code)
        (suspicion,) = page.in_source(Module.of(page.slow))
        assert {each.name for each in suspicion.alternatives} <= WAYS[code]
        assert suspicion.alternatives


MODEL = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(1)
rows = np.random.default_rng(2).normal(size=(640, 4)).astype("float32")
wanted = rows.sum(axis=1)


def make(rate=0.0):
    layers = [tf.keras.Input((4,)), tf.keras.layers.Dropout(rate), tf.keras.layers.Dense(1)]
    model = tf.keras.Sequential(layers)
    model.compile("adam", "mse")
    return model


model = make()
"""


def line_of(source: str, text: str) -> int:
    return next(n for n, each in enumerate(source.splitlines(), start=1) if text in each)


def test_another_batch_size_learns_differently_and_several_steps_do_not(tmp_path: Path) -> None:
    source = MODEL + "model.fit(rows, wanted, batch_size=4, epochs=2, verbose=0)\n"
    ran = Recorded(tmp_path, source)
    at = finding("TF403", ran.path, line_of(source, "model.fit("), batch_size=4)
    found = outcomes(iter(find_page("TF403").trials(at, ran.samples)))
    assert set(found) == {"batches of 32", "steps_per_execution=80"}
    assert found["steps_per_execution=80"] is True
    assert found["batches of 32"] is not True


def test_dropout_and_shuffling_are_the_same_with_several_steps_at_once(tmp_path: Path) -> None:
    source = MODEL.replace("model = make()", "model = make(0.5)")
    source += "model.fit(rows, wanted, batch_size=4, validation_split=0.25, verbose=0)\n"
    source += "weights = model.get_weights()\n"
    ran = Recorded(tmp_path, source)
    (call,) = ran.kept(ModelCall, "model.fit(")
    before = [each.copy() for each in call.model.get_weights()]
    at = finding("TF406", ran.path, line_of(source, "model.fit("))
    found = outcomes(iter(find_page("TF406").trials(at, ran.samples)))
    assert found == {"steps_per_execution=60": True}
    for one, other in zip(before, call.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert call.model.steps_per_execution == 1


def test_a_dataset_is_read_again(tmp_path: Path) -> None:
    source = MODEL + (
        "data = tf.data.Dataset.from_tensor_slices((rows, wanted)).batch(8).repeat()\n"
        "model.fit(data, steps_per_epoch=40, validation_data=data, validation_steps=20,\n"
        "    verbose=0)\n"
    )
    ran = Recorded(tmp_path, source)
    (call,) = ran.kept(ModelCall, "model.fit(")
    assert _trials.steps_of(call) == 40
    assert ran.samples.bytes >= rows_bytes(640)
    changes = _trials.shortened(call, 20)
    assert (changes["steps_per_epoch"], changes["validation_steps"]) == (20, 20)
    at = finding("TF406", ran.path, line_of(source, "model.fit("))
    found = outcomes(iter(find_page("TF406").trials(at, ran.samples)))
    assert found == {"steps_per_execution=20": True}
    at = finding("TF403", ran.path, line_of(source, "model.fit("))
    assert set(outcomes(iter(find_page("TF403").trials(at, ran.samples)))) == {
        "steps_per_execution=20"
    }


def rows_bytes(rows: int) -> int:
    return rows * 4 * 4


def test_train_on_batch_is_tried_as_a_compiled_step(tmp_path: Path) -> None:
    source = MODEL + (
        "for start in range(0, 640, 32):\n"
        "    model.train_on_batch(rows[start : start + 32], wanted[start : start + 32])\n"
    )
    ran = Recorded(tmp_path, source)
    kept = ran.kept(ModelCall, "train_on_batch")
    assert len(kept) == keras_samples.MOST_CALLS
    # Of what is hot only: the first call is not kept.
    np.testing.assert_array_equal(
        kept[0].keywords["x"],
        np.random.default_rng(2).normal(size=(640, 4)).astype("float32")[32:64],
    )
    at = finding("TF407", ran.path, line_of(source, "train_on_batch"), method="train_on_batch")
    found = outcomes(iter(find_page("TF407").trials(at, ran.samples)))
    assert found == {"a compiled training step": True}


def test_a_compiled_call_is_no_way_where_each_round_makes_its_model(tmp_path: Path) -> None:
    source = MODEL + "for _ in range(8):\n    make().predict(rows[:4], verbose=0)\n"
    ran = Recorded(tmp_path, source)
    assert len(ran.kept(ModelCall, ".predict(")) == 1
    at = finding("TF401", ran.path, line_of(source, ".predict("))
    found = outcomes(iter(find_page("TF401").trials(at, ran.samples)))
    assert found == {"predict_on_batch": True}


def test_several_inputs_and_outputs_are_predicted_together(tmp_path: Path) -> None:
    source = MODEL + (
        "a, b = tf.keras.Input((4,)), tf.keras.Input((4,))\n"
        "both = tf.keras.Model([a, b], {'sum': a + b, 'product': a * b})\n"
        "for row in rows[:10]:\n"
        "    both.predict([row[None], row[None]], verbose=0)\n"
    )
    ran = Recorded(tmp_path, source)
    at = finding("TF401", ran.path, line_of(source, "both.predict"))
    found = outcomes(iter(find_page("TF401").trials(at, ran.samples)))
    assert found == dict.fromkeys(WAYS["TF401"], True)


def test_inputs_are_kept_as_they_were(tmp_path: Path) -> None:
    source = MODEL + (
        "row = np.zeros((1, 4), 'float32')\n"
        "for number in range(20):\n"
        "    row[:] = number\n"
        "    model.predict(row, verbose=0)\n"
    )
    kept = Recorded(tmp_path, source).kept(ModelCall, "model.predict")
    values = [float(each.keywords["x"][0, 0]) for each in kept]
    assert values == [float(number) for number in range(1, 1 + keras_samples.MOST_CALLS)]


def test_a_loop_over_models_keeps_one_alive(tmp_path: Path) -> None:
    source = MODEL + (
        "import weakref\n"
        "made = []\n"
        "for _ in range(6):\n"
        "    model = make()\n"
        "    made.append(weakref.ref(model))\n"
        "    for row in rows[:3]:\n"
        "        model.predict(row[None], verbose=0)\n"
        "    model.fit(rows, wanted, verbose=0)\n"
        "    tf.keras.backend.clear_session()\n"
        "KEPT.extend(made)\n"
    )
    ran = KeptRecorded(tmp_path, source)
    gc.collect()
    alive = [each() for each in ran.references if each() is not None]
    # One of `predict`, one of `fit`, and one that stands for those that are made at a line.
    assert len(alive) <= 3
    for text in ("model.predict", "model.fit"):
        kept = ran.kept(ModelCall, text)
        assert len({id(each.model) for each in kept}) == 1


class KeptRecorded(Recorded):
    """A program that puts weak references into `KEPT`."""

    references: list[weakref.ref[Any]]

    def __init__(self, folder: Path, source: str) -> None:
        import builtins

        self.references = []
        builtins.KEPT = self.references  # type: ignore[attr-defined]
        try:
            super().__init__(folder, source)
        finally:
            del builtins.KEPT  # type: ignore[attr-defined]


def test_of_much_data_the_first_batches_are_kept(tmp_path: Path) -> None:
    source = MODEL + (
        "many = np.zeros((2_000_000, 4), 'float32')\n"
        "model.predict(many, batch_size=100_000, verbose=0)\n"
    )
    ran = Recorded(tmp_path, source)
    (call,) = ran.kept(ModelCall, "model.predict")
    kept = call.keywords["x"]
    assert call.rows == 2_000_000
    assert kept.nbytes <= keras_samples.MOST_BYTES
    assert kept.base is None
    assert len(_trials.shortened(call, 5)["x"]) == 500_000


def test_what_does_not_fit_is_not_kept_and_not_copied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = []
    copy = keras_samples.first_rows
    monkeypatch.setattr(
        keras_samples, "first_rows", lambda data, rows: copies.append(rows) or copy(data, rows)
    )
    source = MODEL + "for _ in range(5):\n    model.predict(rows, verbose=0)\n"
    ran = Recorded(tmp_path, source, limit=100)
    assert ran.kept(ModelCall, "model.predict") == ()
    assert ran.samples.cut
    assert len(copies) == 1


def test_generators_are_not_kept(tmp_path: Path) -> None:
    source = MODEL + (
        "def batches():\n"
        "    while True:\n"
        "        yield rows[:8], wanted[:8]\n"
        "model.fit(batches(), steps_per_epoch=10, verbose=0)\n"
    )
    ran = Recorded(tmp_path, source)
    at = finding("TF406", ran.path, line_of(source, "model.fit("))
    assert "generator" in why(iter(find_page("TF406").trials(at, ran.samples)))


def test_a_loaded_model_that_is_changed_is_not_the_same_as_a_fresh_one(tmp_path: Path) -> None:
    source = MODEL + (
        f"path = {str(tmp_path / 'model.keras')!r}\n"
        "model.save(path)\n"
        "for _ in range(4):\n"
        "    loaded = tf.keras.models.load_model(path)\n"
        "    loaded.layers[-1].kernel.assign_add(tf.ones((4, 1)))\n"
    )
    ran = Recorded(tmp_path, source)
    (load,) = ran.kept(ModelLoad, "load_model")
    assert load.content == (tmp_path / "model.keras").read_bytes()
    at = finding("TF402", ran.path, line_of(source, "load_model"), "<module>")
    found = outcomes(iter(find_page("TF402").trials(at, ran.samples)))
    assert set(found) == {"load it before the loop"}
    assert found["load it before the loop"] is not True


@pytest.mark.parametrize(
    ("text", "method", "way"),
    [
        ("model = tf.keras.Sequential(layers)", "model", "keep one model"),
        ('    model.compile("sgd", "mse")', "compile", "compile it once"),
    ],
)
def test_models_made_for_a_fit_each(tmp_path: Path, text: str, method: str, way: str) -> None:
    source = (
        MODEL
        + {
            "model": "for _ in range(4):\n    make(0.5).fit(rows, wanted, verbose=0)\n",
            "compile": "for _ in range(4):\n"
            '    model.compile("sgd", "mse")\n'
            "    model.fit(rows, wanted, verbose=0)\n",
        }[method]
    )
    ran = Recorded(tmp_path, source)
    at = finding(
        "TF402",
        ran.path,
        line_of(source, text),
        method=method,
        tracing_again_seconds=0.5,
        seconds_of_traced_calls=0.7,
    )
    (trial,) = find_page("TF402").trials(at, ran.samples)
    assert isinstance(trial, Trial)
    assert trial.share == pytest.approx(1.2)
    assert outcomes(iter([trial])) == {way: True}


LOGGED = (
    MODEL.replace("tf.keras.layers.Dense(1)]", "Log(), tf.keras.layers.Dense(1)]").replace(
        "def make(",
        """\
def log(x):
    with open(LOG, "a") as file:
        file.write("called\\n")
    return x


class Log(tf.keras.layers.Layer):
    def call(self, x):
        return tf.ensure_shape(tf.numpy_function(log, [x], tf.float32), x.shape)


def make(""",
    )
    + """\
model.fit(rows, wanted, batch_size=16, verbose=0)
for _ in range(3):
    model.fit(rows[:16], wanted[:16], verbose=0)  # in a loop
for row in rows[:4]:
    model.predict(row[None], verbose=0)
for start in range(4):
    model.train_on_batch(rows[start : start + 4], wanted[start : start + 4])
for _ in range(3):
    model.compile("sgd", "mse")
    model.evaluate(rows[:8], wanted[:8], verbose=0)
for _ in range(3):
    make().evaluate(rows[:8], wanted[:8], verbose=0)
model.compile("sgd", "mse", run_eagerly=True)
model.fit(rows[:64], wanted[:64], verbose=0)  # op by op
"""
)


def test_a_model_that_writes_files_is_not_called_again(tmp_path: Path) -> None:
    log = tmp_path / "calls.log"
    ran = Recorded(tmp_path, LOGGED.replace("LOG,", f"{str(log)!r},"))
    before = log.read_text(encoding="utf-8")
    assert before
    traced = {"tracing_again_seconds": 0.5, "seconds_of_traced_calls": 0.7}
    cases: list[tuple[str, str, dict[str, Any]]] = [
        ("TF401", "model.predict(", {}),
        ("TF402", 'model.compile("sgd", "mse")', {"method": "compile", **traced}),
        ("TF402", "model = tf.keras.Sequential(", {"method": "model", **traced}),
        ("TF403", "model.fit(rows, wanted", {"batch_size": 16}),
        ("TF406", "model.fit(rows, wanted", {}),
        ("TF407", "# in a loop", {}),
        ("TF407", "model.train_on_batch(", {"method": "train_on_batch"}),
        ("TF209", "# op by op", {"setting": "run_eagerly"}),
    ]
    for code, text, evidence in cases:
        at = finding(code, ran.path, line_of(ran.path.read_text(), text), **evidence)
        at = replace(at, cost=replace(at.cost, claims=(claim(at.site, "eager", 1.0),)))
        trials = list(find_page(code).trials(at, ran.samples))
        assert trials, code
        for trial in trials:
            assert isinstance(trial, Trial), (code, trial)
            (outcome,) = run_trial(trial, PLENTY, lambda way, limit: None)
            assert isinstance(outcome, Untried), (code, text)
            assert "log() writes or deletes files" in outcome.why
    assert log.read_text(encoding="utf-8") == before


def test_a_model_that_writes_files_is_not_loaded_again(tmp_path: Path) -> None:
    made = LOGGED.partition("model.fit(")[0].replace("LOG,", f"{str(tmp_path / 'log')!r},")
    load = ModelLoad(tmp_path / "m.keras", b"", Recorded(tmp_path, made).names["model"], (), {})

    class Kept:
        def at(self, kind: type, site: Site) -> tuple[Any, ...]:
            return (load,) if kind is ModelLoad and site.line == 1 else ()

    load.path.write_bytes(b"")
    at = finding("TF402", tmp_path / "program.py", 1)
    (trial,) = find_page("TF402").trials(at, Kept())  # type: ignore[arg-type]
    assert isinstance(trial, Trial)
    (outcome,) = run_trial(trial, PLENTY, lambda way, limit: None)
    assert isinstance(outcome, Untried)
    assert "log() writes or deletes files" in outcome.why


def test_all_pipelines_of_a_call_are_looked_through(tmp_path: Path) -> None:
    source = MODEL + (
        "def log(x):\n"
        f"    open({str(tmp_path / 'log')!r}, 'w')\n"
        "    return x\n"
        "quiet = tf.data.Dataset.from_tensor_slices(rows)\n"
        "logging = quiet.map(lambda x: tf.numpy_function(log, [x], tf.float32)).prefetch(1)\n"
        "both = tf.data.Dataset.zip((quiet, logging)).batch(2)\n"
    )
    names = Recorded(tmp_path, source).names
    for name, acts in (("quiet", False), ("logging", True), ("both", True)):
        for keyword in ("x", "validation_data"):
            call = ModelCall(names["model"], "fit", (), {keyword: names[name]})
            effect = outside_effects(_trials.user_functions(call))
            assert (effect is not None) == acts, (name, keyword)


AGAIN = {
    "trained in between": (
        "    answer = model.predict(row[None], verbose=0)\n"
        "    model.train_on_batch(row[None], answer + 1)\n"
    ),
    "weights taken over": (
        "    model.predict(row[None], verbose=0)\n"
        "    model.set_weights([each + 0.1 for each in model.get_weights()])\n"
    ),
    "its own answers": ("    row = row + float(model.predict(row[None], verbose=0)[0, 0])\n"),
}


@pytest.mark.parametrize("rounds", AGAIN.values(), ids=AGAIN.keys())
def test_rows_that_are_not_there_before_the_loop(tmp_path: Path, rounds: str) -> None:
    loop = "row = rows[0]\nfor _ in range(10):\n"
    ran = Recorded(tmp_path, MODEL + loop + rounds)
    at = finding("TF401", ran.path, line_of(MODEL + loop + rounds, "model.predict"))
    by_itself, together = find_page("TF401").trials(at, ran.samples)
    assert isinstance(by_itself, Trial) and isinstance(together, Trial)
    assert not any(way.yardstick for way in by_itself.ways)
    (way,) = together.ways
    assert way.yardstick
    assert way.name != "one predict before the loop"


FEEDBACK = {
    "for row in rows:\n    found.append(model.predict(row))": False,
    "found = [model.predict(row) for row in rows]": False,
    "for n in range(9):\n    if model.predict(rows[n]) > 2: bad.append(n)": False,
    "def ask(row):\n    row = row[None]\n    row = model.predict(row)\n    return row\n"
    "for row in rows:\n    found.append(ask(row))": False,
    "for n in range(9):\n    y = model.predict(x)\n    x = x + y": True,
    "for n in range(9):\n    rows[n] = model.predict(rows[n - 1])": True,
    "while True:\n    word.append(model.predict(np.array(word)).argmax())": True,
    "while True:\n    if model.predict(rows[n]) > 2:\n        n += 1": True,
    "def act(state):\n    return model.predict(state).argmax()\n"
    "while True:\n    action = act(state)\n    state, reward = world.step(action)": True,
    "class Player:\n    def step(self):\n        self.at = model.predict(self.at)": True,
}


@pytest.mark.parametrize(("text", "expected"), FEEDBACK.items())
def test_answers_that_become_questions(tmp_path: Path, text: str, expected: bool) -> None:
    path = tmp_path / "program.py"
    path.write_text(text, encoding="utf-8")
    assert feeds_itself(Site(str(path), line_of(text, "model.predict")), "predict") == expected


HOOKS = (
    MODEL
    + """\

class Watch(tf.keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        BODY


model.fit(rows, wanted, callbacks=[Watch()], verbose=0)
"""
)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("self.model.predict(rows[:8], verbose=0)", True),
        ("self.model.optimizer.learning_rate.assign_add(0.1)", None),
        ("open('log.txt', 'a').write(str(batch))", "writes or deletes files"),
    ],
)
def test_callbacks(tmp_path: Path, body: str, told: Any) -> None:
    source = HOOKS.replace("BODY", body.replace("log.txt", str(tmp_path / "log.txt")))
    ran = Recorded(tmp_path, source)
    assert len(ran.kept(HookCall, "def on_train_batch_end")) == 1
    at = finding("TF408", ran.path, line_of(source, "def on_train_batch_end"))
    (trial,) = find_page("TF408").trials(at, ran.samples)
    assert isinstance(trial, Trial)
    (outcome,) = run_trial(trial, PLENTY, lambda way, limit: None)
    if isinstance(told, str):
        assert isinstance(outcome, Untried)
        assert told in outcome.why
    else:
        assert isinstance(outcome, Outcome)
        assert outcome.alternative.proof is not None
        assert (outcome.alternative.proof.equal is True) == bool(told)


def test_an_interpreter_is_kept_with_what_it_was_made_and_fed_with(tmp_path: Path) -> None:
    page = find_page("TF404")
    ran = Recorded(tmp_path, slow("TF404"))
    (used,) = ran.samples.at(InterpreterUsed, Site(str(ran.path), page.marked_line()))
    assert isinstance(used.keywords["model_content"], bytes)
    assert [each.shape for each in used.inputs.values()] == [(80, 12)]
    assert ran.samples.bytes >= len(used.keywords["model_content"])


def test_an_interpreter_of_a_file_that_is_gone(tmp_path: Path) -> None:
    page = find_page("TF404")
    at = finding("TF404", tmp_path / "program.py", 1)
    used = InterpreterUsed(object, (), {"model_path": str(tmp_path / "gone.tflite")}, {})

    class Kept:
        def at(self, kind: type, site: Site) -> tuple[Any, ...]:
            return (used,)

    assert "no longer there" in why(iter(page.trials(at, Kept())))  # type: ignore[arg-type]


def test_keras_works_after_all_exit_handlers(tmp_path: Path) -> None:
    """Libraries under Keras take down at exit what an experiment needs."""
    (tmp_path / "slow.py").write_text(find_page("TF401").slow, encoding="utf-8")
    ended = watched(tmp_path, "slow.py")
    assert ended.status == 0, ended.err
    (found,) = (each for each in report(tmp_path)["findings"] if each["code"] == "TF401")
    assert found["untried"] == ""
    # A busy machine may find them too long, but none of them raises.
    failures = {each["failure"] for each in found["alternatives"]}
    assert not [each for each in failures if "raised" in each]


def test_what_libraries_do_at_exit_is_done_last(tmp_path: Path) -> None:
    program = """\
import atexit
from unslow.run import child
child._keep_libraries_open()
atexit.register(print, "the program's own")
library = {"__name__": "optree.registry", "atexit": atexit}
exec("atexit.register(print, 'first of a library')", library)
exec("atexit.register(print, 'second of a library')", library)
exec("atexit.register(print, 'of another')", {**library, "__name__": "optreelike"})
"""
    ended = run([sys.executable, "-c", program], tmp_path)
    assert ended.out.decode().splitlines() == [
        "of another",
        "the program's own",
        "second of a library",
        "first of a library",
    ]
