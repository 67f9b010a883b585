"""TF407: `fit` or `train_on_batch` called again and again for a little training each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from unslow.catalogue.models import _keras, _source, _trials
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Finding
from unslow.recording.data import KerasCall, Recording

if TYPE_CHECKING:
    from unslow.recording.samples import ModelCall, Samples
    from unslow.source.flow import Repetition
    from unslow.source.module import Module

LEAST_FITS = 10
MOST_STEPS_PER_FIT = 50
SECONDS = 0.2
"""How long one run of the calls as they are should take."""
LEAST_FITS_TRIED = 6
MOST_FITS_TRIED = 16
LEAST_BATCH_CALLS = 100
LEAST_OVERHEAD = 0.2
FEW_ROWS = 8
SMALL_WORK = 300_000
"""Weights times rows, up to which a step is short on any machine."""


class FitInLoop(Page):
    """A loop trains by many short calls of `fit` or `train_on_batch`.

    ## What it is
    `fit(epochs=1)` in a loop of the program's own epochs, or `train_on_batch` for every
    batch.

    ## Why it is slow
    Each `fit` makes a dataset and an iterator and sets up callbacks and logs, tens of
    milliseconds before the first step. An epoch inside a longer `fit` pays a part of that.
    Each `train_on_batch` converts its arrays, calls the compiled function for a single step
    and reads every metric back, which takes some tenths of a millisecond. One `fit`, or a
    loop over a dataset with a compiled step, is often 1.2x to 5x faster.

    ## When it does not matter
    Where a call trains for seconds, and where each call gets new data that does not exist
    yet before, as in learning online.

    ## What to do
    Call `fit(epochs=N)` once and put what happens between epochs into a callback's
    `on_epoch_end`. In place of `train_on_batch`, loop over a `tf.data.Dataset` with a
    training step of one's own in a `tf.function`; with two models trained against each
    other, one function for both. A short `fit` per batch would cost more than
    `train_on_batch` does.

    ## Safety of the fix
    The losses stay the same if the order of the rows does: `fit` shuffles arrays unless
    `shuffle=False`. Callbacks start once per `fit`, so early stopping and learning-rate
    schedules begin to work across epochs. `fit` resets its metrics at each epoch; what
    `train_on_batch` returns is of its batch alone, or in older Keras of all since a reset.
    """

    code = "TF407"
    name = "fit-in-loop"

    slow = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(11)
rng = np.random.default_rng(23)
rows = rng.normal(size=(512, 20)).astype("float32")
wanted = rows @ rng.normal(size=(20, 1)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
losses = []
for epoch in range(60):
    history = model.fit(rows, wanted, batch_size=256, shuffle=False, verbose=0)  # <- slow
    losses += history.history["loss"]
print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}")
"""

    fast = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(11)
rng = np.random.default_rng(23)
rows = rng.normal(size=(512, 20)).astype("float32")
wanted = rows @ rng.normal(size=(20, 1)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
history = model.fit(rows, wanted, batch_size=256, epochs=60, shuffle=False, verbose=0)
losses = history.history["loss"]
print(f"loss {losses[0]:.3f} to {losses[-1]:.3f}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(12)
rng = np.random.default_rng(24)
model = tf.keras.Sequential([tf.keras.Input((256,))])
model.add(tf.keras.layers.Dense(1024, activation="relu"))
model.add(tf.keras.layers.Dense(1))
model.compile("sgd", "mse")

for day in range(3):
    rows = rng.normal(size=(12_000, 256)).astype("float32")
    model.fit(rows, rows.mean(axis=1), batch_size=128, verbose=0)
print(model.count_params())
""",
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(13)
rng = np.random.default_rng(25)
model = tf.keras.Sequential([tf.keras.Input((256,))])
model.add(tf.keras.layers.Dense(2048, activation="relu"))
model.add(tf.keras.layers.Dense(1024, activation="relu"))
model.add(tf.keras.layers.Dense(1))
model.compile("sgd", "mse")

for _ in range(40):
    rows = rng.normal(size=(256, 256)).astype("float32")
    loss = model.train_on_batch(rows, rows.mean(axis=1))
print(model.count_params())
""",
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(14)
rng = np.random.default_rng(35)


def regressor(units):
    model = tf.keras.Sequential([tf.keras.Input((16,)), tf.keras.layers.Dense(units)])
    model.add(tf.keras.layers.Dense(1))
    model.compile("sgd", "mse")
    return model


losses = []
for units in (4, 8, 16, 32):
    model = regressor(units)
    rows = rng.normal(size=(640, 16)).astype("float32")
    losses += model.fit(rows, rows.sum(axis=1), verbose=0).history["loss"]
lessons = [rng.normal(size=(size, 16)).astype("float32") for size in (200, 400, 800, 1600)]
for lesson in lessons:
    model.fit(lesson, lesson.sum(axis=1), epochs=2, verbose=0)
print(len(losses))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines with many short `fit` or `train_on_batch` calls."""
        for call in _keras.calls_by_line(recording, "fit", "train_on_batch"):
            if call.run_eagerly or not _is_short(call):
                continue
            # The first call traces the model; pipelines are traced by every call anew.
            each = (call.seconds - call.first_seconds) / (call.calls - 1)
            around = (each * call.calls) - call.graph_seconds
            around -= _keras.callback_seconds(recording, call)
            if around < LEAST_OVERHEAD * each * call.calls:
                continue
            parts = (*_keras.AROUND_PARTS, "build")
            claims = _keras.spread(recording, call.site, around, parts=parts)
            cost = cost_of(claims, calls=call.calls)
            if not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "method": call.method,
                "steps": call.steps,
                "seconds_around_call": around / call.calls,
                "model_seconds_per_call": call.graph_seconds / call.calls,
            }
            message = (
                f"{call.method}() was called {count_text(call.calls)} times: "
                f"{seconds_text(around / call.calls)} around the training of each call, "
                f"{seconds_text(call.graph_seconds / call.calls)} in it."
            )
            yield self.problem(call.site, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """A few of the calls again, against one `fit` or one compiled step for all of them."""
        calls = _trials.kept_calls(samples, finding.site, finding.evidence["method"])
        if not calls:
            yield _trials.NOT_KEPT
            return
        evidence = finding.evidence
        each = evidence["seconds_around_call"] + evidence["model_seconds_per_call"]
        # The finding's cost is what is spent around the training; a call is more than that.
        share = each * evidence["calls"] / finding.cost.seconds
        if evidence["method"] == "fit":
            wanted = int(SECONDS / each)
            times = min(max(wanted, LEAST_FITS_TRIED), MOST_FITS_TRIED)
            yield _one_fit(calls[0], times, share * _trials.spared(evidence["calls"], times))
        elif any(call.keywords.get("class_weight") for call in calls):
            yield Untried("`train_on_batch` with class weights was not tried in another way.")
        else:
            yield _compiled_steps(calls, share)

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Short trainings in a loop: of the same few rows, of a row each, of a tiny model."""
        for method in ("fit", "train_on_batch"):
            least = LEAST_FITS if method == "fit" else LEAST_BATCH_CALLS
            for call in module.calls_of(method, "model"):
                given = module.argument(call, 0, "x")
                if given is None or module.has_star(call):
                    continue
                again = _source.repeated(module, call)
                if again is None or (again.times is not None and again.times < least):
                    continue
                why = (
                    _short_fit(module, call, given, again)
                    if method == "fit"
                    else _short_step(module, call, given)
                )
                if why:
                    message = f"`{method}` runs in {again.text} and trains {why}."
                    yield self.suspicion(
                        module, call, message, {"method": method, "repetition": again.kind}
                    )


def _one_fit(call: ModelCall, times: int, share: float) -> Trial:
    def fit(epochs: int) -> dict[str, list[Any]]:
        # Another order of the rows would be another training.
        fitted = _trials.call_again(call, shuffle=False, epochs=epochs, initial_epoch=None)
        return dict(fitted.history)

    def one_by_one() -> dict[str, list[Any]]:
        told = [fit(1) for _ in range(times)]
        return {name: [value for each in told for value in each[name]] for name in told[0]}

    return Trial(
        present=Way(f"{times} calls of fit", one_by_one, fixed=_trials.fixed_seed),
        ways=(
            Way(
                "one fit with epochs",
                lambda: fit(times),
                note="what happens between the epochs goes into a callback's `on_epoch_end`",
                fixed=_trials.fixed_seed,
            ),
        ),
        inputs=f"{times} epochs of your data, in one order",
        share=share,
        functions=_trials.user_functions(call),
        state=True,
    )


def _compiled_steps(calls: list[ModelCall], share: float) -> Trial:
    import tensorflow as tf

    model = calls[0].model
    rows = [[call.keywords.get(name) for name in ("x", "y", "sample_weight")] for call in calls]
    batches = [tuple(each for each in batch if each is not None) for batch in rows]
    step = tf.function(
        lambda *batch: model.train_step(batch),
        reduce_retracing=True,
        jit_compile=bool(model.jit_compile),
    )

    def one_by_one() -> None:
        for call in calls:
            _trials.call_again(call, return_dict=True)

    def compiled() -> dict[str, float]:
        told = [step(*batch) for batch in batches][-1]
        return {name: float(value) for name, value in told.items()}

    def results(_: Any) -> None:
        # The weights are compared. Whether metrics run on from step to step is another matter.
        model.reset_metrics()

    return Trial(
        present=Way("train_on_batch", one_by_one, results=results, fixed=_trials.fixed_seed),
        ways=(
            Way(
                "a compiled training step",
                compiled,
                results=results,
                note="`model.train_step` in a tf.function; metrics are read when they are needed",
                fixed=_trials.fixed_seed,
            ),
        ),
        inputs=f"{len(calls)} of your batches",
        share=share,
        functions=_trials.user_functions(calls[0]),
        state=True,
    )


def _is_short(call: KerasCall) -> bool:
    if call.method == "train_on_batch":
        return call.calls >= LEAST_BATCH_CALLS
    few_epochs = call.epochs <= call.calls
    few_steps = 0 < call.steps <= MOST_STEPS_PER_FIT * call.calls
    return call.calls >= LEAST_FITS and few_epochs and few_steps


def _short_fit(module: Module, call: ast.Call, given: ast.expr, again: Repetition) -> str | None:
    """Why a `fit` in a loop does little each time; `None` where that is not sure."""
    epochs = module.argument(call, 3, "epochs")
    if epochs is not None and module.constant(epochs) != 1:
        return None
    rows = _source.rows(module, given) or _one_corrected_row(module, call, given)
    if rows is None:
        return None
    if rows.count <= FEW_ROWS:
        what = "on one row" if rows.count == 1 else "on a few rows"
        return f"{what} each time; making its pipeline and its logs takes longer than the step"
    loop = again.loop
    if again.kind != "loop" or loop is None or not module.invariant(given, loop):
        return None
    batch = _source.number(module, call, 2, "batch_size")
    if batch is None:
        batch = 32 if module.argument(call, 2, "batch_size") is None else 1
    if -(-rows.count // batch) > MOST_STEPS_PER_FIT:
        return None
    assert isinstance(call.func, ast.Attribute)
    model = call.func.value
    while isinstance(model, ast.Attribute):
        model = model.value
    if not isinstance(model, ast.Name):
        return None
    if any(module.inside(b.node, loop) for b in module.bindings(model) or ()):
        return None
    # States and weights that are set back between epochs need the loop.
    if _source.touched(module, call, again, frozenset({"reset_states", "set_weights", "compile"})):
        return None
    return "one short epoch on the same data each time; one `fit` with `epochs` does it once"


def _one_corrected_row(module: Module, call: ast.Call, given: ast.expr) -> _source.Rows | None:
    """One row, where the target is the model's own answer with its first row changed.

    `y = model.predict(x)`, `y[0][action] = …`, `model.fit(x, y)`: were there more rows, the
    model would be taught what it said already.
    """
    target = module.argument(call, 1, "y")
    if not isinstance(target, ast.Name) or not isinstance(given, ast.Name):
        return None
    bindings = module.bindings(target) or []
    made = bindings[0].value if len(bindings) == 1 and not bindings[0].path else None
    if not isinstance(made, ast.Call) or _source.called_name(made) != "predict":
        return None
    asked = module.argument(made, 0, "x")
    scope = module.home(target)
    if not isinstance(asked, ast.Name) or asked.id != given.id or scope is None:
        return None
    for use in module.uses_of(target.id, scope):
        row = module.parent(use)
        if isinstance(row, ast.Subscript) and row.value is use:
            first = row.slice.elts[0] if isinstance(row.slice, ast.Tuple) else row.slice
            entry = module.parent(row) if first is row.slice else row
            stored = isinstance(entry, ast.Subscript) and isinstance(entry.ctx, ast.Store)
            if stored and module.constant(first) == 0:
                return _source.Rows(1, True)
    return None


def _short_step(module: Module, call: ast.Call, given: ast.expr) -> str | None:
    rows = _source.rows(module, given)
    assert isinstance(call.func, ast.Attribute)
    weights = _source.small_dense_model(module, call.func.value)
    if rows is None or weights is None or rows.count * weights > SMALL_WORK:
        return None
    return (
        f"a model of {weights} weights by one step each time; converting the batch and reading "
        "the metrics back takes longer than the step"
    )
