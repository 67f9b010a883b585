"""TF401: `predict` called for one item after the other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from unslow.catalogue.models import _keras, _source, _trials
from unslow.catalogue.models._feedback import feeds_itself
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Edit, Finding
from unslow.recording.data import Recording
from unslow.recording.keras_samples import digest_of

if TYPE_CHECKING:
    from unslow.recording.samples import ModelCall, Samples
    from unslow.source.flow import Repetition
    from unslow.source.module import Module

LEAST_CALLS = 5
MOST_ROWS = 32
FEW_ROWS = 8
LEAST_OVERHEAD = 0.5

SECONDS = 0.1
"""How long the present way of calls one by one is tried for."""

BEFORE_LOOP = "one predict before the loop"
IN_ONE = "all rows in one predict"
IN_ONE_NOTE = (
    "to compare only: the rows come of earlier answers, or the model was trained between the calls"
)
ON_BATCH = "predict_on_batch"
BEFORE_LOOP_NOTE = (
    "all rows are computed before the first round, in batches: the last digits may differ, and "
    "an array without rows is an error"
)


class PredictPerItem(Page):
    """`model.predict` is called many times with a row or a few.

    ## What it is
    `predict` in a loop over items, or in a function that serves one request at a time.

    ## Why it is slow
    `predict` is made for large inputs: each call builds a dataset and an iterator, calls
    its callbacks and gathers the outputs. That costs tens of milliseconds, while a small
    model computes a row in less than one. One call for all rows is often 100x faster, and
    `predict_on_batch` is as much faster where rows arrive singly.

    ## When it does not matter
    Where a call carries enough rows to keep the model busy, as in scoring a large file in
    chunks, and where it happens a few times in a run.

    ## What to do
    Collect the rows and call `predict` once; it makes batches of 32 by itself, and
    `batch_size` makes them larger. Where items must be answered one by one, call
    `predict_on_batch`: it skips the pipeline and runs the same compiled function. Or make
    `call = tf.function(model, reduce_retracing=True)` once and use `call(tf.constant(row))`.

    ## Safety of the fix
    `predict_on_batch` of the same few rows gives the very same array; only the progress bar
    of `predict` is gone. One call for all rows gives the same numbers up to rounding, because
    sums may be taken in another order. A direct call of the model returns a tensor, not an
    array. A loop whose next row depends on the last answer cannot be batched.
    """

    code = "TF401"
    name = "predict-per-item"

    slow = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(1)
model = tf.keras.Sequential(
    [
        tf.keras.Input((20,)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
applicants = np.random.default_rng(10).normal(size=(30, 20)).astype("float32")

accepted = 0
for applicant in applicants:
    score = model.predict(applicant[np.newaxis], verbose=0)  # <- slow
    accepted += score[0, 0] > 0.5
print(f"accepted {accepted} of {len(applicants)}")
"""

    fast = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(1)
model = tf.keras.Sequential(
    [
        tf.keras.Input((20,)),
        tf.keras.layers.Dense(64, activation="relu"),
        tf.keras.layers.Dense(1, activation="sigmoid"),
    ]
)
applicants = np.random.default_rng(10).normal(size=(30, 20)).astype("float32")

scores = model.predict(applicants, verbose=0)
accepted = np.count_nonzero(scores > 0.5)
print(f"accepted {accepted} of {len(applicants)}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(2)
model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
rng = np.random.default_rng(11)

highest = -np.inf
for chunk in range(6):
    rows = rng.normal(size=(4_000, 20)).astype("float32")
    highest = max(highest, model.predict(rows, batch_size=500, verbose=0).max())
print(f"highest {highest:.2f}")
""",
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(3)
model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
rng = np.random.default_rng(12)
rows = rng.normal(size=(3_200, 20)).astype("float32")
wanted = rows.sum(axis=1)

model.fit(rows, wanted, epochs=2, batch_size=128, verbose=0)
for sample in rows[:3]:
    model.predict(sample[np.newaxis], verbose=0)
print(model.predict(rows, verbose=0).shape)
""",
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(4)
rng = np.random.default_rng(33)
rows = rng.normal(size=(1_200, 20)).astype("float32")
wanted = rows.sum(axis=1)


def regressor():
    model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


models, errors = [], []
for fold in np.array_split(np.arange(len(rows)), 4):
    rest = np.setdiff1d(np.arange(len(rows)), fold)
    model = regressor()
    model.fit(rows[rest], wanted[rest], batch_size=64, verbose=0)
    errors.append(np.abs(model.predict(rows[fold], verbose=0)[:, 0] - wanted[fold]).mean())
    models.append(model)
models[0].predict(np.zeros((1, 20), "float32"), verbose=0)
votes = np.mean([model.predict(rows, batch_size=400, verbose=0) for model in models], axis=0)
print(len(errors), votes.shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines with many `predict` calls of few rows that do little in the model."""
        for call in _keras.calls_by_line(recording, "predict"):
            if call.calls < LEAST_CALLS or not 0 < call.rows <= MOST_ROWS * call.calls:
                continue
            # The first call traces; what it needs beyond the others is not this cause.
            each = (call.seconds - call.first_seconds) / (call.calls - 1)
            in_model = min(call.graph_seconds / call.calls, each)
            if call.run_eagerly or each <= 0 or in_model > (1 - LEAST_OVERHEAD) * each:
                continue
            claims = _keras.spread(recording, call.site, each * call.calls)
            cost = cost_of(claims, calls=call.calls)
            if not matters(recording, cost.seconds):
                continue
            rows = call.rows / call.calls
            evidence = {
                "calls": call.calls,
                "seconds": cost.seconds,
                "rows_per_call": rows,
                "seconds_per_call": each,
                "model_seconds_per_call": in_model,
            }
            message = (
                f"predict() was called {count_text(call.calls)} times with "
                f"{_rows_text(rows)} each: {seconds_text(each)} a call, "
                f"{seconds_text(in_model)} of it in the compiled model."
            )
            yield self.problem(call.site, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The kept calls again: each by itself without a pipeline, and all in one."""
        calls = _trials.kept_calls(samples, finding.site, "predict")
        if not calls:
            yield _trials.NOT_KEPT
            return
        each = finding.evidence["seconds_per_call"]
        few = calls[: max(1, int(SECONDS / each))]
        yield _one_by_one(few, _trials.is_kept(samples, finding.site, "predict"))
        many = [call for call in calls if not call.keywords.get("steps")]
        if len(many) > 1:
            possible = not _was_trained(many) and not feeds_itself(finding.site, "predict")
            yield _all_in_one(many, _trials.spared(finding.cost.calls, len(many)), possible)

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Calls of `predict` with a row or a few, in code that runs again and again."""
        for call in module.calls_of("predict", "model"):
            assert isinstance(call.func, ast.Attribute)
            given = module.argument(call, 0, "x")
            if given is None or module.value(call.func).kind != "method":
                continue
            again = _source.repeated(module, call)
            if again is None or _beside_training(module, again):
                continue
            if again.loop is not None and again.kind == "loop" and not _kept(module, call, again):
                continue
            found = _rows(module, given)
            if found is None and _source.first_row_alone_is_used(module, call):
                array = module.value(given).kind in ("array", "tensor")
                found = _source.Rows(1, array)
            if found is None or found.count > FEW_ROWS:
                continue
            rows = "one row" if found.count == 1 else "a few rows"
            message = (
                f"`predict` runs in {again.text} with {rows} at a time; each call sets up a "
                "pipeline and an iterator, which take longer than a small model does."
            )
            evidence = {"rows": found.count, "repetition": again.kind}
            yield self.suspicion(
                module,
                call,
                message,
                evidence,
                tuple(_alternatives(module, call, given, found, again)),
            )


def _one_by_one(calls: list[ModelCall], kept: bool) -> Trial:
    """Each call by itself; with a compiled one only where the program keeps its model."""
    model = calls[0].model
    inputs = [call.keywords["x"] for call in calls]
    compiled = _trials.forward(model)
    on_batch = Way(
        ON_BATCH, lambda: [model.predict_on_batch(rows) for rows in inputs], safety="safe"
    )
    call = Way(
        "a compiled call of the model",
        lambda: [_as_arrays(compiled(rows)) for rows in inputs],
        note="the model as a tf.function, made once; its results are tensors",
    )
    return Trial(
        present=Way("predict", lambda: [_trials.call_again(call) for call in calls]),
        ways=(on_batch, call) if kept else (on_batch,),
        inputs=_inputs_text(calls),
        functions=_trials.user_functions(calls[0]),
    )


def _was_trained(calls: list[ModelCall]) -> bool:
    """Whether the model has changed since the first of its calls, maybe between two of them."""
    return {call.digest for call in calls} != {digest_of(calls[0].model)}


def _all_in_one(calls: list[ModelCall], share: float, possible: bool) -> Trial:
    """`possible`: all rows may be there before the first call."""
    import tensorflow as tf

    keywords = {**calls[0].keywords, "batch_size": None}
    together = tf.nest.map_structure(_joined, *(call.keywords["x"] for call in calls))

    def joined(results: list[Any]) -> Any:
        return tf.nest.map_structure(_joined, *results)

    return Trial(
        present=Way("predict", lambda: [_trials.call_again(call) for call in calls], None, joined),
        ways=(
            Way(
                BEFORE_LOOP if possible else IN_ONE,
                lambda: _trials.call_again(calls[0], **{**keywords, "x": together}),
                note=BEFORE_LOOP_NOTE if possible else IN_ONE_NOTE,
                yardstick=not possible,
            ),
        ),
        inputs=_inputs_text(calls),
        share=share,
        functions=_trials.user_functions(calls[0]),
    )


def _joined(*parts: Any) -> Any:
    import numpy as np

    return np.concatenate([np.asarray(part) for part in parts])


def _as_arrays(results: Any) -> Any:
    import tensorflow as tf

    return tf.nest.map_structure(
        lambda each: each.numpy() if isinstance(each, tf.Tensor) else each, results
    )


def _inputs_text(calls: list[ModelCall]) -> str:
    return "1 of your calls" if len(calls) == 1 else f"{len(calls)} of your calls"


def _rows_text(rows: float) -> str:
    return "1 row" if rows == 1 else f"{rows:.3g} rows"


def _rows(module: Module, given: ast.expr) -> _source.Rows | None:
    if isinstance(given, (ast.List, ast.Tuple)):
        # Several inputs of the model, not rows.
        found = [_source.rows(module, each) for each in given.elts]
        known = [each for each in found if each is not None]
        if not known or len(known) < len(found):
            return None
        return _source.Rows(max(each.count for each in known), all(e.array for e in known))
    return _source.rows(module, given)


def _beside_training(module: Module, again: Repetition) -> bool:
    """Whether the loop also trains, on more than a row, so that a `predict` hardly counts."""
    if again.loop is None:
        return False
    for call in _source.calls_in(again.module, again.loop):
        if _source.called_name(call) in ("fit", "fit_generator"):
            given = again.module.argument(call, 0, "x")
            if given is not None and _is_item(again.module, given, again.loop):
                continue
            found = None if given is None else _source.rows(again.module, given)
            if found is None or found.count > FEW_ROWS:
                return True
    return False


def _is_item(module: Module, given: ast.expr, loop: ast.AST) -> bool:
    """Whether it is what a loop goes through, so that training takes turns with predicting."""
    if not isinstance(given, ast.Name):
        return False
    return [binding.node for binding in module.bindings(given) or ()] == [loop]


def _kept(module: Module, call: ast.Call, again: Repetition) -> bool:
    """Whether the model is the same in all rounds, not the thing that is gone through."""
    assert isinstance(call.func, ast.Attribute) and again.loop is not None
    model = call.func.value
    while isinstance(model, ast.Attribute):
        model = model.value
    if not isinstance(model, ast.Name):
        return False
    bindings = module.bindings(model) or []
    return not any(binding.kind == "for" for binding in bindings)


def _alternatives(
    module: Module,
    call: ast.Call,
    given: ast.expr,
    rows: _source.Rows,
    again: Repetition,
) -> Iterator[Alternative]:
    if not rows.array or not module.editable(call):
        return
    assert isinstance(call.func, ast.Attribute)
    options = {
        keyword.arg: keyword.value for keyword in call.keywords if keyword.value is not given
    }
    if not set(options) <= {"verbose", "batch_size"} or len(call.args) > 1:
        return
    if any(not isinstance(value, ast.Constant) for value in options.values()):
        return
    if "batch_size" in options and rows.count > 1:
        return
    if _source.arguments(call)[0] is not given:
        return
    batched = _batched(module, call, given, again)
    if batched is not None:
        yield Alternative(BEFORE_LOOP, "unsafe", batched, note=BEFORE_LOOP_NOTE)
    end = module.end(call)
    closing = (end[0], end[1] - 1)
    rest = module.text_between(module.end(given), closing)
    if "#" in rest or "(" in rest or ")" in rest:
        return
    after = module.end(call.func)
    name = module.edit((after[0], after[1] - len("predict")), after, "predict_on_batch")
    edits = (name, module.edit(module.end(given), closing, "")) if rest else (name,)
    verbose = options.get("verbose")
    if isinstance(verbose, ast.Constant) and verbose.value == 0:
        yield Alternative(ON_BATCH, "safe", edits)
    else:
        note = "`predict_on_batch` prints no progress bar"
        yield Alternative(ON_BATCH, "unsafe", edits, note=note)


def _batched(
    module: Module, call: ast.Call, given: ast.expr, again: Repetition
) -> tuple[Edit, ...] | None:
    """Edits that ask for all rows of an array before the loop over them, for one output."""
    loop = again.loop
    if again.kind != "loop" or not isinstance(loop, ast.For) or module.loops(call)[0] is not loop:
        return None
    assert isinstance(call.func, ast.Attribute)
    model, target = call.func.value, loop.target
    if not isinstance(target, ast.Name) or not isinstance(loop.iter, (ast.Name, ast.Attribute)):
        return None
    if not module.value(model).name.endswith("Sequential") or not isinstance(model, ast.Name):
        return None
    if any(module.inside(binding.node, loop) for binding in module.bindings(model) or ()):
        return None
    if module.value(loop.iter).kind != "array" or not module.invariant(loop.iter, loop):
        return None
    row = _row_of(module, given)
    if row is None or [b.node for b in module.bindings(row) or ()] != [loop]:
        return None
    if _source.touched(module, call, again, _source.CHANGING) or not module.editable(loop):
        return None
    if any(isinstance(node, (ast.Break, ast.Return)) for node in ast.walk(loop)):
        return None
    # A function of the program may train the model between two rows.
    own = ("function", "instance", "unknown")
    for other in _source.calls_in(module, loop):
        callee = module.value(other.func)
        if callee.kind in own and (callee.kind != "unknown" or isinstance(other.func, ast.Name)):
            return None
    array, receiver = module.text(loop.iter), module.text(model)
    options = [f"{k.arg}={module.text(k.value)}" for k in call.keywords if k.arg == "verbose"]
    many, one = module.free_name("predictions"), module.free_name("prediction")
    return (
        module.insert(loop, f"{many} = {receiver}.predict({', '.join([array, *options])})"),
        module.replace(target, f"{target.id}, {one}"),
        module.replace(loop.iter, f"zip({array}, {many})"),
        module.replace(call, f"{one}[None]"),
    )


def _row_of(module: Module, given: ast.expr) -> ast.Name | None:
    """The row that `given` puts a first dimension before: `row[None]`, `np.expand_dims(row, 0)`."""
    counted = _source.rows(module, given)
    if counted is None or counted.count != 1:
        return None
    if isinstance(given, ast.Subscript) and not isinstance(given.slice, ast.Slice):
        parts = given.slice.elts[1:] if isinstance(given.slice, ast.Tuple) else []
        whole = all(
            (isinstance(part, ast.Slice) and not (part.lower or part.upper or part.step))
            or (isinstance(part, ast.Constant) and part.value is ...)
            for part in parts
        )
        return given.value if whole and isinstance(given.value, ast.Name) else None
    if isinstance(given, ast.Call) and _source.called_name(given) == "expand_dims":
        return given.args[0] if given.args and isinstance(given.args[0], ast.Name) else None
    return None
