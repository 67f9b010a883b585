"""TF402: a model made, loaded or compiled again and again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from unslow.catalogue.models import _keras, _source, _trials
from unslow.catalogue.models._remaking import Remaking
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Finding, Site, same_line
from unslow.recording.data import Recording
from unslow.recording.samples import ModelLoad

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.flow import Repetition
    from unslow.source.module import Module

LONG_CALL = 2.0
"""Seconds of a call, besides its tracing, up to which it is part of an experiment."""
LEAST_LOADS = 3
LEAST_MODELS = 5
TRACED_AGAIN = (0.8, 1.2)

BEFORE_LOOP = "load it before the loop"
IN_HELPER = "load it once, in a cached helper"
IN_HELPER_NOTE = (
    "the model stays loaded for as long as the program runs: a file that changes is not read "
    "again, and all callers share the model and its state"
)

KEEP_NOTE = "its first weights and its optimizer's are put back where a new model was made"
COMPILE_NOTE = "its optimizer's variables are put back where it was compiled again"

CALLED = ("fit", "evaluate", "predict", "train_on_batch")
"""Methods that trace a model."""

LOADERS = ("keras.models.load_model", "keras.saving.load_model", "tensorflow.saved_model.load")
MODELS = ("keras.Model", "keras.models.Model")
PATHS = ("filepath", "export_dir", "path")

INFERENCE = frozenset(
    {
        "evaluate",
        "get_layer",
        "input_shape",
        "inputs",
        "output_shape",
        "outputs",
        "predict",
        "predict_on_batch",
        "signatures",
        "summary",
    }
)
"""What a program that only uses a model takes of it."""

VERBS = {"model": "made", "load_model": "loaded", "compile": "compiled"}


class ModelInLoop(Page):
    """A model is constructed, loaded or compiled in a loop, where once would do.

    ## What it is
    A constructor such as `Sequential`, `load_model` or `compile` that is reached for every
    request, file or step: in a loop, or in a function that a loop calls.

    ## Why it is slow
    Making a model creates every variable and initialises it; loading also reads and checks
    the file. That takes tens of milliseconds for a small model and seconds for a large
    one. Then the new model, or the newly compiled one, has no compiled functions: its first
    `fit` or `predict` traces again. Keras keeps some state of every model made, so memory
    grows too.

    ## When it does not matter
    At start-up, for a handful of different models, and in a search over architectures where
    each model trains for long.

    ## What to do
    Make or load the model once, before the loop or at the start of the server, and pass it
    on. To begin each fold of a cross-validation afresh, keep the model and restore its
    first weights with `set_weights`. To change the learning rate, assign
    `model.optimizer.learning_rate` in place of compiling again. Where new models are
    needed, call `tf.keras.backend.clear_session()` between them.

    ## Safety of the fix
    A kept model keeps its weights, its optimizer's state and its metrics from one round to
    the next. Where each round must start afresh, reset all three, or the results change.
    A model that is only asked for predictions gives the same ones. One that is kept in a
    cached helper is not loaded again when its file changes.
    """

    code = "TF402"
    name = "model-in-loop"

    slow = """\
import os
import tempfile

import numpy as np
import tensorflow as tf


def train(path):
    tf.keras.utils.set_random_seed(4)
    model = tf.keras.Sequential([tf.keras.Input((30,))])
    for _ in range(6):
        model.add(tf.keras.layers.Dense(64, activation="relu"))
    model.add(tf.keras.layers.Dense(1))
    model.save(path)


def answer(path, request):
    model = tf.keras.models.load_model(path)  # <- slow
    return model(request)


requests = np.random.default_rng(13).normal(size=(40, 5, 30)).astype("float32")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "price.keras")
    train(path)
    answers = [answer(path, request) for request in requests]
print(f"mean {float(tf.reduce_mean(answers)):.4f}")
"""

    fast = """\
import os
import tempfile

import numpy as np
import tensorflow as tf


def train(path):
    tf.keras.utils.set_random_seed(4)
    model = tf.keras.Sequential([tf.keras.Input((30,))])
    for _ in range(6):
        model.add(tf.keras.layers.Dense(64, activation="relu"))
    model.add(tf.keras.layers.Dense(1))
    model.save(path)


def answer(model, request):
    return model(request)


requests = np.random.default_rng(13).normal(size=(40, 5, 30)).astype("float32")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "price.keras")
    train(path)
    model = tf.keras.models.load_model(path)
answers = [answer(model, request) for request in requests]
print(f"mean {float(tf.reduce_mean(answers)):.4f}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(14)
rows = rng.normal(size=(6_400, 12)).astype("float32")
wanted = np.sin(rows).sum(axis=1)


def regressor(units):
    model = tf.keras.Sequential(
        [
            tf.keras.Input((12,)),
            tf.keras.layers.Dense(units, activation="relu"),
            tf.keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    return model


losses = {}
for units in (16, 64, 256):
    model = regressor(units)
    history = model.fit(rows, wanted, batch_size=64, epochs=2, verbose=0)
    losses[units] = history.history["loss"][-1]
print(sorted(losses))
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(34)
rows = rng.normal(size=(1_600, 12)).astype("float32")
wanted = np.sin(rows).sum(axis=1)
folds = np.array_split(rng.permutation(len(rows)), 4)


class Fold:
    def __init__(self, rate):
        self.model = tf.keras.Sequential([tf.keras.Input((12,)), tf.keras.layers.Dense(1)])
        self.model.compile(tf.keras.optimizers.SGD(rate), "mse")

    def train(self, rows, wanted):
        return self.model.fit(rows, wanted, batch_size=64, verbose=0)


scores = []
for held_out in folds:
    tf.keras.backend.clear_session()
    fold = Fold(0.01)
    rest = np.setdiff1d(np.arange(len(rows)), held_out)
    fold.train(rows[rest], wanted[rest])
    scores.append(fold.model.evaluate(rows[held_out], wanted[held_out], verbose=0))
print(len(scores))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines at which models were made, loaded or compiled many times."""
        made = sum(
            row.calls for row in recording.keras_calls if row.method in ("load_model", "model")
        )
        for call in _keras.calls_by_line(recording, "load_model", "model", "compile"):
            least = LEAST_LOADS if call.method == "load_model" else LEAST_MODELS
            if call.calls < least:
                continue
            traced = _traced_again(recording, call.calls)
            needless = (call.calls - 1) / call.calls
            own = _keras.spread(recording, call.site, call.seconds * needless)
            if call.method == "compile":
                # A new model has to be compiled: its making is the cause, not this.
                if call.calls <= 2 * made:
                    continue
                both = sum(c.seconds for c in own) + sum(seconds for _, seconds in traced)
                if not matters(recording, both):
                    continue
            elif not matters(recording, sum(c.seconds for c in own)):
                continue
            again = [
                claim
                for site, seconds in traced
                for claim in _keras.spread(recording, site, seconds * needless, parts=("build",))
            ]
            cost = cost_of((*own, *again), calls=call.calls)
            tracing = sum(claim.seconds for claim in again)
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "method": call.method,
                "seconds_per_call": call.seconds / call.calls,
                "tracing_again_seconds": tracing,
                "seconds_of_traced_calls": sum(
                    row.seconds * needless
                    for row in recording.keras_calls
                    if any(same_line(row.site, site) for site, _ in traced)
                ),
            }
            message = (
                f"A model was {VERBS[call.method]} {count_text(call.calls)} times here, "
                f"{seconds_text(call.seconds / call.calls)} each."
            )
            if again:
                places = ", ".join(sorted({site.place for site, _ in traced}))
                message += f" Each time {places} had to trace again: {seconds_text(tracing)} more."
            yield self.problem(call.site, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """Making the model again, and what traces it, against a model that is kept."""
        method = finding.evidence["method"]
        loads = samples.at(ModelLoad, finding.site)
        calls = _trials.kept_calls(samples, finding.site, *CALLED)
        call = calls[0] if calls and finding.evidence["tracing_again_seconds"] else None
        if method == "load_model":
            if not loads or not (loads[0].content or loads[0].path.exists()):
                yield Untried("The file that the model was loaded from could not be kept.")
                return
            at_top = finding.site.function == "<module>"
            name = BEFORE_LOOP if at_top else IN_HELPER
            remaking = Remaking.of_load(loads[0], call)
            note = "" if at_top else IN_HELPER_NOTE
        elif not calls:
            yield Untried("No call of a model from here was kept.")
            return
        elif method == "compile":
            remaking, name, note = Remaking.of_compile(calls[0]), "compile it once", COMPILE_NOTE
        else:
            remaking, name, note = Remaking.of_model(calls[0]), "keep one model", KEEP_NOTE
        cost, evidence = finding.cost.seconds, finding.evidence
        rest = evidence["seconds_of_traced_calls"] - evidence["tracing_again_seconds"]
        if rest > LONG_CALL * evidence["calls"]:
            yield Untried("The calls of each model take too long to be made again.")
            return
        yield Trial(
            present=Way(
                f"a model {VERBS[method]} each time",
                remaking.again,
                results=remaking.results,
                fixed=_trials.fixed_seed,
            ),
            ways=(
                Way(
                    name,
                    remaking.with_kept,
                    results=remaking.results,
                    note=note,
                    fixed=_trials.fixed_seed,
                ),
            ),
            inputs="a call of yours" if remaking.call else "your model",
            # The finding's cost holds the tracing in those calls, not what they do besides.
            share=1 + max(rest, 0.0) / cost if remaking.call else 1.0,
            functions=(
                *_classes(loads[0].model if remaking.call is None else remaking.call.model),
                *(_trials.user_functions(remaking.call) if remaking.call else ()),
            ),
            state=remaking.learns,
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Loads of one model, and models around layers of another, again and again."""
        for call in (*module.calls_to(*LOADERS), *_pretrained(module)):
            again = _source.repeated(module, call)
            if again is None or _source.touched(module, call, again, _source.CHANGING):
                continue
            given = _source.arguments(call)
            if not given or module.has_star(call) or _source.kept_by_hand(module, call):
                continue
            if all(_source.steady(module, each, again) for each in given):
                message = (
                    f"The same model is loaded again each time in {again.text}; loading reads "
                    "the file and builds the model, and the new one has to be traced again."
                )
                evidence = {"method": "load_model", "repetition": again.kind}
                yield self.suspicion(
                    module, call, message, evidence, tuple(_alternatives(module, call))
                )
        for call in module.calls_to(*MODELS):
            again = _source.repeated(module, call)
            if again is None or _source.touched(module, call, again, _source.CHANGING):
                continue
            given = _source.arguments(call)
            if _source.kept_by_hand(module, call):
                continue
            if given and all(_is_part_of_a_model(module, each, again) for each in given):
                message = (
                    f"The same part of a model is made into a model again each time in "
                    f"{again.text}; each one has to be traced before it computes anything."
                )
                yield self.suspicion(
                    module, call, message, {"method": "model", "repetition": again.kind}
                )


def _classes(model: Any) -> Iterator[type]:
    """The classes of a model and its layers, which make them anew."""
    yield type(model)
    for layer in getattr(model, "layers", ()):
        yield from _classes(layer)


def _traced_again(recording: Recording, made: int) -> list[tuple[Site, float]]:
    """Lines at which nearly each of `made` models was traced anew, and the seconds of it."""
    least, most = (factor * made for factor in TRACED_AGAIN)
    found = []
    for call in _keras.calls_by_line(recording, *CALLED):
        rows = [
            row
            for row in recording.tracings
            if row.main and same_line(row.site, call.site) and least <= row.functions <= most
        ]
        # Pipelines trace functions too, at every call, but nothing calls those from Python.
        called = {
            row.function
            for row in recording.function_calls
            if row.main and same_line(row.site, call.site)
        }
        if any(row.function in called for row in rows):
            found.append((call.site, sum(row.seconds for row in rows)))
    return found


def _pretrained(module: Module) -> Iterator[ast.Call]:
    """The constructors of published models that come with their weights."""
    for call in module.calls():
        if not _source.called_name(call)[:1].isupper():
            continue
        if (module.qualified(call.func) or "").startswith("keras.applications."):
            weights = module.argument(call, None, "weights")
            if weights is not None and isinstance(module.constant(weights), str):
                yield call


def _is_part_of_a_model(module: Module, expression: ast.expr, again: Repetition) -> bool:
    """Whether it is `model.input`, `model.get_layer("a").output` or the like of a kept model."""
    if isinstance(expression, (ast.List, ast.Tuple)):
        return all(_is_part_of_a_model(module, each, again) for each in expression.elts)
    parts = 0
    while True:
        if isinstance(expression, ast.Attribute) and expression.attr in (
            *("input", "inputs", "output", "outputs", "layers"),
        ):
            expression = expression.value
        elif isinstance(expression, ast.Subscript):
            if not isinstance(module.constant(expression.slice), (int, str)):
                return False
            expression = expression.value
        elif isinstance(expression, ast.Call) and _source.called_name(expression) == "get_layer":
            given = _source.arguments(expression)
            if len(given) != 1 or not isinstance(module.constant(given[0]), (int, str)):
                return False
            assert isinstance(expression.func, ast.Attribute)
            expression = expression.func.value
        else:
            break
        parts += 1
    if not parts or module.value(expression).kind != "model":
        return False
    return _source.steady(module, expression, again)


def _alternatives(module: Module, call: ast.Call) -> Iterator[Alternative]:
    statement = module.statement(call)
    if not module.editable(statement):
        return
    loop = _source.home_loop(module, statement, _source.arguments(call))
    if loop is not None:
        text = _source.moved(module, statement)
        if (
            text is not None
            and module.editable(loop)
            and _only_asked(module, statement, call, loop)
        ):
            edits = (module.insert(loop, text), module.delete(statement))
            yield Alternative(BEFORE_LOOP, "safe", edits)
        return
    edits_of_helper = _source.kept(module, call, "kept_model", PATHS)
    if edits_of_helper is not None:
        yield Alternative(IN_HELPER, "unsafe", edits_of_helper, note=IN_HELPER_NOTE)


def _only_asked(
    module: Module, statement: ast.stmt, call: ast.Call, loop: ast.For | ast.While
) -> bool:
    """Whether a loop only asks the model that a statement loads, so that one can be kept."""
    uses = _source.named_uses(module, statement, call, loop)
    if uses is None:
        return False
    for use in uses:
        if not isinstance(use.ctx, ast.Load):
            return False
        parent = module.parent(use)
        if isinstance(parent, ast.Call) and parent.func is use:
            if any(keyword.arg == "training" for keyword in parent.keywords):
                return False
        elif not isinstance(parent, ast.Attribute) or parent.attr not in INFERENCE:
            return False
    return True
