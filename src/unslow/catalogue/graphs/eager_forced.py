"""TF209: a setting that makes compiled functions or pipelines run op by op."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _calls, _switched, _tracing
from unslow.catalogue.models import _trials
from unslow.catalogue.page import Page, claim, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Claim, Edit, Finding, Site
from unslow.recording.data import Recording, Setting
from unslow.recording.samples import EagerCall, ModelCall, Samples

if TYPE_CHECKING:
    from unslow.source.module import Module

DATA_DEBUG = "tf.data debug mode"

SPELLING = {
    "run_functions_eagerly": "`tf.config.run_functions_eagerly(True)`",
    "run_eagerly": "`run_eagerly=True`",
    DATA_DEBUG: "`tf.data.experimental.enable_debug_mode()`",
}

WITHOUT = "without the switch"

SWITCHES = (
    "tensorflow.config.run_functions_eagerly",
    "tensorflow.config.experimental_run_functions_eagerly",
)
DEBUG_MODE = "tensorflow.data.experimental.enable_debug_mode"

COMPILED = "compiled functions"
MAPPED = "functions given to `map`, `filter` and the like"


class EagerForced(Page):
    """A debugging switch is on: what should run compiled runs op by op in Python.

    ## What it is
    `tf.config.run_functions_eagerly(True)`, `model.compile(run_eagerly=True)` or
    `tf.data.experimental.enable_debug_mode()` was left in the program after debugging.

    ## Why it is slow
    Every `tf.function`, each step of `fit`, or every stage of each input pipeline becomes
    Python again: some tens of microseconds for each op, nothing fused, nothing in
    parallel. Often 10x to 25x slower for small models.

    ## When it does not matter
    While debugging. Functions of few, very large ops.

    ## What to do
    Remove the line, or put it under a flag: `if debug:`. To look into one function call its
    `python_function`; for values inside a compiled one use `tf.print`.

    ## Safety of the fix
    Not safe without looking. Python code in compiled functions, in the `call` and the loss of
    a compiled model, or in the functions of a pipeline, then runs once per trace, not in every
    call: prints, appending to lists, counters, logging. `float(tensor)`, `.numpy()` and NumPy
    on tensors fail there; Python's random numbers stay what they were while tracing. Random
    ops and dropout can draw other numbers, and the last digits can differ. Where the line
    stands under a condition, leave it.
    """

    code = "TF209"
    name = "eager-forced"

    slow = """\
import tensorflow as tf

tf.config.run_functions_eagerly(True)  # <- slow

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    for _ in range(40):
        state = tf.tanh(state @ weights) + 0.1 * state
    return tf.nn.l2_normalize(state, axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
for step in range(500):
    state = simulate(state)
print("energy", round(float(tf.reduce_sum(state * state)), 3))
"""

    fast = """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    for _ in range(40):
        state = tf.tanh(state @ weights) + 0.1 * state
    return tf.nn.l2_normalize(state, axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
for step in range(500):
    state = simulate(state)
print("energy", round(float(tf.reduce_sum(state * state)), 3))
"""

    fine = (
        """\
import os

import tensorflow as tf

debug = os.environ.get("SIMULATION_DEBUG") == "1"
tf.config.run_functions_eagerly(debug)
weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    for _ in range(40):
        state = tf.tanh(state @ weights) + 0.1 * state
    return tf.nn.l2_normalize(state, axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
for step in range(200):
    state = simulate(state)
print("energy", round(float(tf.reduce_sum(state * state)), 3))
""",
        """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    return tf.nn.l2_normalize(tf.tanh(state @ weights), axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
tf.config.run_functions_eagerly(True)
checked = simulate(state)
tf.config.run_functions_eagerly(False)
for step in range(50):
    state = simulate(state)
print("equal", bool(tf.reduce_all(tf.abs(checked) < 1)))
""",
        """\
import argparse

import tensorflow as tf

parser = argparse.ArgumentParser()
parser.add_argument("--debug", action="store_true")
arguments = parser.parse_args([])
DEBUG = False

if arguments.debug:
    tf.config.run_functions_eagerly(True)
    tf.data.experimental.enable_debug_mode()
if DEBUG:
    tf.config.run_functions_eagerly(True)
tf.config.run_functions_eagerly(False)


@tf.function
def total(x):
    return tf.reduce_sum(x * x)


def test_total():
    tf.config.run_functions_eagerly(True)
    assert int(total(tf.constant([3, 4]))) == 25
    tf.config.run_functions_eagerly(False)


model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse", run_eagerly=arguments.debug)
model.fit(tf.ones((64, 4)), tf.ones((64, 1)), batch_size=32, verbose=0)
print("total", int(total(tf.constant([3, 4]))))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that switched a slow mode on, where what ran in it took its time."""
        for setting in recording.settings:
            cost = cost_of(_claims(recording, setting), calls=setting.calls)
            if not matters(recording, cost.seconds) or _is_computing(setting, cost.seconds):
                continue
            evidence = {
                "calls": setting.calls,
                "seconds": cost.seconds,
                "setting": setting.name,
                "ops": setting.ops,
            }
            spelling = SPELLING.get(setting.name, setting.name)
            if setting.name == DATA_DEBUG:
                message = (
                    f"{spelling} makes input pipelines run in Python, one element at a time; the "
                    f"program waited {seconds_text(cost.seconds)} for elements."
                )
            else:
                message = (
                    f"{spelling} switches compiling off: {count_text(setting.calls)} calls ran "
                    f"{count_text(setting.ops)} ops one by one in {seconds_text(cost.seconds)}."
                )
            yield self.problem(setting.site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """What ran op by op, against the same with the switch off."""
        setting = finding.evidence["setting"]
        missing = _calls.no_eager()
        if missing is not None:
            yield missing
        elif setting == DATA_DEBUG:
            yield Untried("A pipeline that was made with this switch on keeps it.")
        elif setting == "run_eagerly":
            yield _model_trial(finding, samples)
        else:
            yield _function_trial(samples)

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Debugging switches that stand in the program without a condition."""
        switches = list(module.calls_to(*SWITCHES))
        if all(module.constant(_first(module, each)) is True for each in switches):
            for call in switches:
                message = (
                    "This switches compiling off: every `tf.function` runs op by op, in Python."
                )
                yield from self._switch(module, call, "run_functions_eagerly", message)
        for call in module.calls_to(DEBUG_MODE):
            message = "This makes every input pipeline run in Python, one element at a time."
            yield from self._switch(module, call, DATA_DEBUG, message)
        for call in module.calls_of("compile", "model"):
            given = module.argument(call, None, "run_eagerly")
            if given is None or module.constant(given) is not True or not _is_left_on(module, call):
                continue
            message = "With `run_eagerly=True` each step of the model runs op by op, in Python."
            edits: tuple[Edit, ...] = ()
            if isinstance(given, ast.Constant) and module.editable(call):
                edits = (module.replace(given, "False"),)
            evidence = {"setting": "run_eagerly"}
            yield self.suspicion(module, given, message, evidence, _without(edits, COMPILED))

    def _switch(
        self, module: Module, call: ast.Call, setting: str, message: str
    ) -> Iterator[Finding]:
        statement = module.parent(call)
        if not isinstance(statement, ast.Expr) or not _is_left_on(module, call):
            return
        edits = (module.delete(statement),) if module.editable(statement) else ()
        alternatives = _without(edits, MAPPED if setting == DATA_DEBUG else COMPILED)
        yield self.suspicion(module, call, message, {"setting": setting}, alternatives)


def _function_trial(samples: Samples) -> Trial | Untried:
    """Calls of compiled functions, each as often as its share of all calls."""
    calls = _switched.in_proportion(samples.every(EagerCall))
    if not calls:
        return Untried("No call of a function that ran so could be captured.")
    changing = _calls.changing(calls)
    if changing is not None:
        return changing
    compiled = _switched.Compiled(calls)
    functions = {id(each.function): each.function.python_function for each in calls}
    return Trial(
        Way("op by op", lambda: _switched.op_by_op(calls)),
        (Way(WITHOUT, compiled.run, note=_note(COMPILED), prepares=True),),
        f"{len(calls)} of the calls",
        functions=tuple(functions.values()),
        state=True,
        runs=_switched.times(calls),
    )


def _model_trial(finding: Finding, samples: Samples) -> Trial | Untried:
    """A part of the longest kept call of a model that was compiled with the switch on."""
    for part in sorted(finding.cost.claims, key=lambda each: -each.seconds):
        for call in samples.at(ModelCall, Site(part.path, part.line, cell=part.cell)):
            if call.model.run_eagerly:
                return _call_trial(finding, call)
    return _trials.NOT_KEPT


def _call_trial(finding: Finding, call: ModelCall) -> Trial:
    known = (_trials.steps_of(call) or _trials.LEAST_STEPS) * _trials.epochs_of(call)
    each = finding.cost.seconds / max(1, finding.cost.calls) / known
    steps = min(_trials.steps_within(_trials.SECONDS, call, each), known)
    ways = [_switched.Model(call, _trials.shortened(call, steps), eager) for eager in (True, False)]
    present, compiled = (each.run for each in ways)
    results, fixed, note = _trials.results, _trials.fixed_seed, _note(COMPILED)
    return Trial(
        Way("op by op", present, results=results, fixed=fixed),
        (Way(WITHOUT, compiled, results=results, note=note, prepares=True, fixed=fixed),),
        _trials.what(call, steps),
        functions=_trials.user_functions(call),
        state=True,
    )


def _first(module: Module, call: ast.Call) -> ast.expr:
    return module.argument(call, 0, "run_eagerly") or call


def _is_left_on(module: Module, node: ast.AST) -> bool:
    """Whether a debugging switch surely stands in the way of the program itself."""
    name = module.path.replace("\\", "/").rpartition("/")[2]
    if module.guarded(node) or name.startswith("test_") or name.endswith("_test.py"):
        return False
    if module.mode(node) != "eager":
        return False
    for each in module.ancestors(node):
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
            words = each.name.lower()
            if any(word in words for word in ("debug", "eager", "test")):
                return False
        if isinstance(each, (ast.ExceptHandler, ast.With, ast.Try)):
            return False
        if isinstance(each, ast.If) and not _is_main(each.test):
            return False
    return True


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and any(
        isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(test)
    )


def _without(edits: tuple[Edit, ...], code: str) -> tuple[Alternative, ...]:
    """Taking a switch out, which changes when Python code runs."""
    if not edits:
        return ()
    return (Alternative(WITHOUT, "unsafe", edits, note=_note(code)),)


def _note(code: str) -> str:
    return (
        f"Python code in {code} (prints, appending to lists, counters, logging) then runs once "
        "per trace, not in every call. `float(tensor)`, `.numpy()` and NumPy on tensors fail "
        "there. Random ops can draw other numbers, and the last digits can differ."
    )


def _is_computing(setting: Setting, seconds: float) -> bool:
    """Whether the ops are so large that running them one by one costs little."""
    return bool(setting.ops) and seconds > _tracing.MOST_OP_SECONDS * setting.ops


def _claims(recording: Recording, setting: Setting) -> tuple[Claim, ...]:
    if setting.name != DATA_DEBUG:
        return tuple(claim for claim in setting.claims if claim.part != "recorder")
    return setting.claims or tuple(
        claim(row.site, part, seconds)
        for row in recording.iterations
        for part, seconds in (
            ("input", row.wait_seconds - row.bridge_seconds),
            ("bridge", row.bridge_seconds),
        )
        if seconds > 0
    )
