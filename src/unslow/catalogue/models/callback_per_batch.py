"""TF408: a callback that works after every batch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.models import _keras, _source
from unslow.catalogue.page import Page, by_line, claim, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Claim, Finding, Site, same_line
from unslow.recording.data import Recording
from unslow.recording.samples import HookCall

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.module import Module

LEAST_CALLS = 20
LEAST_SHARE = 0.1
FEW_BATCHES = 10
RARER = 10
"""In place of every batch an experiment does the work at every tenth."""

METHODS = frozenset(
    f"on_{kind}batch_{when}"
    for kind in ("", "train_", "test_", "predict_")
    for when in ("begin", "end")
)
MODEL_WORK = frozenset({"evaluate", "fit", "predict", "save", "save_weights"})
COSTLY = frozenset(
    {
        "json.dump",
        "keras.models.save_model",
        "keras.saving.save_model",
        "matplotlib.pyplot.draw",
        "matplotlib.pyplot.pause",
        "matplotlib.pyplot.plot",
        "matplotlib.pyplot.savefig",
        "matplotlib.pyplot.show",
        "numpy.save",
        "numpy.savetxt",
        "numpy.savez",
        "open",
        "pickle.dump",
        "requests.get",
        "requests.post",
    }
)


class CallbackPerBatch(Page):
    """A Keras callback does costly work at every batch.

    ## What it is
    `on_train_batch_end` or another per-batch method of a callback of the program's own that
    saves, predicts, plots or writes.

    ## Why it is slow
    Training stops while a callback runs: the step and the callback take turns. Work of
    milliseconds after steps of milliseconds easily doubles the time. Reading `logs` there
    also makes Keras wait for the step and fetch its metrics, where it could go on.

    ## When it does not matter
    Where the method only counts or appends a number, and where steps take much longer than
    it does.

    ## What to do
    Move the work to `on_epoch_end`, or do it every so many batches:
    `if batch % 500 == 0:`. For checkpoints use `ModelCheckpoint` with a `save_freq` of
    hundreds of batches. Collect numbers in a list and write them once.

    ## Safety of the fix
    Training itself gives the same results as long as the callback only looks. One that
    changes the learning rate or stops the training has to stay where it is: make it cheap.
    Doing the work less often gives fewer checkpoints or points in a plot.
    """

    code = "TF408"
    name = "callback-per-batch"

    slow = """\
import os
import tempfile

import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(14)
rng = np.random.default_rng(26)
rows = rng.normal(size=(6_400, 30)).astype("float32")
wanted = rows.sum(axis=1)

model = tf.keras.Sequential([tf.keras.Input((30,))])
model.add(tf.keras.layers.Dense(128, activation="relu"))
model.add(tf.keras.layers.Dense(1))
model.compile("sgd", "mse")


class KeepLatest(tf.keras.callbacks.Callback):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_batch_end(self, batch, logs=None):  # <- slow
        self.model.save_weights(self.path)


with tempfile.TemporaryDirectory() as folder:
    keep = KeepLatest(os.path.join(folder, "latest.weights.h5"))
    history = model.fit(rows, wanted, batch_size=64, callbacks=[keep], verbose=0)
    saved = os.path.exists(keep.path)
print(f"loss {history.history['loss'][-1]:.2f}, saved {saved}")
"""

    fast = slow.replace(
        "def on_train_batch_end(self, batch, logs=None):  # <- slow",
        "def on_epoch_end(self, epoch, logs=None):",
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(15)
rng = np.random.default_rng(27)
rows = rng.normal(size=(6_400, 30)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((30,))])
model.add(tf.keras.layers.Dense(512, activation="relu"))
model.add(tf.keras.layers.Dense(512, activation="relu"))
model.add(tf.keras.layers.Dense(1))
model.compile("sgd", "mse")


class LossOfEachBatch(tf.keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


losses = LossOfEachBatch()
model.fit(rows, rows.sum(axis=1), batch_size=64, epochs=2, callbacks=[losses], verbose=0)
print(len(losses.losses))
""",
        """\
import os
import tempfile

import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(16)
rng = np.random.default_rng(36)
rows = rng.normal(size=(6_400, 30)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((30,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")


class Watch(tf.keras.callbacks.Callback):
    def __init__(self, path):
        super().__init__()
        self.path = path
        self.seen = 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if batch % 100 == 99:
            self.model.save_weights(self.path)

    def on_epoch_end(self, epoch, logs=None):
        self.model.save_weights(self.path)
        self.model.predict(rows[:200], verbose=0)


with tempfile.TemporaryDirectory() as folder:
    watch = Watch(os.path.join(folder, "latest.weights.h5"))
    model.fit(rows, rows.sum(axis=1), batch_size=32, callbacks=[watch], verbose=0)
print(watch.seen)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Per-batch methods of callbacks that took a good part of their `fit`."""
        fits = list(_keras.calls_by_line(recording, "fit", "evaluate", "predict"))
        for site, rows in by_line(recording.callbacks):
            calls = sum(row.calls for row in rows)
            spent = sum(row.seconds for row in rows)
            whole = sum(
                fit.seconds for fit in fits if any(same_line(fit.site, row.fit) for row in rows)
            )
            if calls < LEAST_CALLS or whole <= 0 or spent < LEAST_SHARE * whole:
                continue
            cost = cost_of(_claims(recording, site, spent), calls=calls)
            if not matters(recording, cost.seconds):
                continue
            share = min(spent / whole, 1.0)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "method": rows[0].method,
                "share": share,
                "fit": rows[0].fit.place,
            }
            message = (
                f"{rows[0].method}() ran {count_text(calls)} times, "
                f"{seconds_text(spent / calls)} each: {share:.0%} of the training at "
                f"{rows[0].fit.place}."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The kept call of the method for each of ten batches, and for one of them."""
        for call in samples.at(HookCall, finding.site):
            hook = getattr(call.callback, call.method)

            def work(times: int, call: HookCall = call) -> None:
                for _ in range(times):
                    getattr(call.callback, call.method)(*call.arguments, **call.keywords)

            yield Trial(
                present=Way("after every batch", lambda: work(RARER)),
                ways=(
                    Way(
                        f"at every {RARER}th batch",
                        lambda: work(1),
                        note="what it writes, counts or collects is there for fewer batches",
                    ),
                ),
                inputs=f"one of its calls, {RARER} times",
                functions=(hook, call.callback.model),
                state=True,
            )
            return
        yield Untried("No call of the method was kept: its model needs too much memory.")

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Per-batch methods that always do costly work, and checkpoints of every few batches."""
        for definition in module.nodes(ast.ClassDef):
            if not _is_callback(module, definition) or module.guarded(definition):
                continue
            for function in definition.body:
                if isinstance(function, ast.FunctionDef) and function.name in METHODS:
                    work = _costly_call(module, function)
                    if work is not None:
                        message = (
                            f"`{function.name}` calls `{work}` after every batch; the training "
                            "stands still meanwhile."
                        )
                        yield self.suspicion(
                            module, function, message, {"method": function.name, "call": work}
                        )
        for call in module.calls_to("keras.callbacks.ModelCheckpoint"):
            every = _source.number(module, call, None, "save_freq")
            if every is not None and 1 <= every <= FEW_BATCHES and not module.guarded(call):
                batches = "every batch" if every == 1 else f"every {every} batches"
                message = f"`ModelCheckpoint` writes the model to its file after {batches}."
                yield self.suspicion(module, call, message, {"save_freq": every})


def _claims(recording: Recording, site: Site, seconds: float) -> list[Claim]:
    """The method's `seconds`: at the lines of its body, and the rest at its `def` line.

    The rest is time in functions that the method calls, whose lines are not known here.
    """
    body = {
        row.site.at_line: row
        for row in recording.lines
        if (row.site.path, row.site.cell, row.site.function)
        == (site.path, site.cell, site.function)
    }
    known = {
        (line, part): time
        for line in body
        for part, time in recording.line(line).items()
        if part != "recorder" and time > 0
    }
    total = sum(known.values())
    scale = min(1.0, seconds / total) if total > 0 else 0.0
    claims = [claim(line, part, time * scale) for (line, part), time in known.items()]
    rest = seconds - total
    if rest > 0:
        claims.append(claim(site, "python", rest))
    return claims


def _is_callback(module: Module, definition: ast.ClassDef) -> bool:
    bases = module.project.inference.bases(definition, module)
    return any(
        base.kind == "external" and base.name == "keras.callbacks.Callback" for base in bases
    )


def _costly_call(module: Module, function: ast.FunctionDef) -> str | None:
    """What a method surely calls each time that takes milliseconds, as it is written."""
    for statement in function.body:
        if any(isinstance(n, (ast.Return, ast.Raise)) for n in ast.walk(statement)):
            return None
        for call in _sure_calls(statement):
            name = module.qualified(call.func)
            if name in COSTLY:
                return module.text(call.func)
            if isinstance(call.func, ast.Attribute) and call.func.attr in MODEL_WORK:
                receiver = call.func.value
                if module.value(receiver).kind == "model" or _is_own_model(receiver):
                    return module.text(call.func)
    return None


def _is_own_model(expression: ast.expr) -> bool:
    """Whether it is `self.model`, which Keras sets."""
    return (
        isinstance(expression, ast.Attribute)
        and expression.attr == "model"
        and isinstance(expression.value, ast.Name)
        and expression.value.id == "self"
    )


def _sure_calls(node: ast.AST) -> Iterator[ast.Call]:
    """The calls in a statement that no condition decides about."""
    if isinstance(
        node,
        (ast.If, ast.IfExp, ast.While, ast.Try, ast.BoolOp, ast.Lambda, ast.FunctionDef, ast.For),
    ):
        return
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _sure_calls(child)
