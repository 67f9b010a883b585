"""TF404: a TFLite interpreter made for every call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unslow.catalogue.models import _source
from unslow.catalogue.page import (
    Page,
    by_line,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Edit, Finding
from unslow.recording.data import Recording
from unslow.recording.samples import InterpreterUsed
from unslow.source.values import INTERPRETERS

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.module import Module

LEAST_MADE = 5
MODELS = ("model_path", "model_content")

BEFORE_LOOP = "make it before the loop"
IN_HELPER = "make it once, in a cached helper"
IN_HELPER_NOTE = (
    "two threads must not use one interpreter at once, and a model with variables carries their "
    "values on to the next call"
)

ASKING = frozenset(
    {
        "get_input_details",
        "get_output_details",
        "get_signature_list",
        "get_tensor",
        "get_tensor_details",
        "invoke",
        "set_tensor",
    }
)
"""Methods that leave an interpreter ready for the next input."""


class InterpreterPerCall(Page):
    """A TFLite or LiteRT `Interpreter` is made again for every input.

    ## What it is
    `Interpreter(…)` in a loop, or in a function that answers one request.

    ## Why it is slow
    Making an interpreter reads the model, plans its memory and prepares every op for this
    processor, which includes copying weights into the order that the fast kernels want. For
    a small model the inference itself takes microseconds: keeping the interpreter is often
    50x faster.

    ## When it does not matter
    Once per process, once per thread, or once for each of several models.

    ## What to do
    Make the interpreter and call `allocate_tensors()` once, keep it, and in the loop call
    only `set_tensor`, `invoke` and `get_tensor`. Set `num_threads` for larger models; for
    tiny ones a single thread is faster. Recent TensorFlow points to the package
    `ai_edge_litert` for the same class.

    ## Safety of the fix
    Results stay equal for models without state. An interpreter is not safe to use from two
    threads at once: keep one per thread. A model with variables carries their values on to
    the next call: `reset_all_variables()` puts them back, and stands where the interpreter
    was made after the fix of a loop.
    """

    code = "TF404"
    name = "interpreter-per-call"

    slow = """\
import warnings

import numpy as np
import tensorflow as tf

warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated.*")
rng = np.random.default_rng(18)
from_input = rng.normal(size=(12, 32)).astype("float32") * 0.2
from_state = rng.normal(size=(32, 32)).astype("float32") * 0.2


@tf.function(input_signature=[tf.TensorSpec((80, 12), tf.float32)])
def recurrent(signal):
    state = tf.zeros((1, 32))
    for step in range(80):
        state = tf.tanh(signal[step : step + 1] @ from_input + state @ from_state)
    return state


converter = tf.lite.TFLiteConverter.from_concrete_functions(
    [recurrent.get_concrete_function()], tf.Module()
)
model = converter.convert()


def detect(signal):
    interpreter = tf.lite.Interpreter(model_content=model)  # <- slow
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], signal)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


signals = rng.normal(size=(800, 80, 12)).astype("float32")
energy = sum(float(np.abs(detect(signal)).sum()) for signal in signals)
print(f"energy {energy:.1f}")
"""

    fast = slow.replace(
        """\
def detect(signal):
    interpreter = tf.lite.Interpreter(model_content=model)  # <- slow
    interpreter.allocate_tensors()
    interpreter""",
        """\
interpreter = tf.lite.Interpreter(model_content=model)
interpreter.allocate_tensors()


def detect(signal):
    interpreter""",
    )

    fine = (
        """\
import warnings

import numpy as np
import tensorflow as tf

warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated.*")
rng = np.random.default_rng(19)


def converted(size):
    @tf.function(input_signature=[tf.TensorSpec((1, size), tf.float32)])
    def mean(signal):
        return tf.reduce_mean(signal, axis=1)

    return tf.lite.TFLiteConverter.from_concrete_functions(
        [mean.get_concrete_function()], tf.Module()
    ).convert()


interpreters = {}
for size in (100, 200):
    interpreters[size] = tf.lite.Interpreter(model_content=converted(size))
    interpreters[size].allocate_tensors()

total = 0.0
for size, interpreter in interpreters.items():
    for signal in rng.normal(size=(2_000, 1, size)).astype("float32"):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], signal)
        interpreter.invoke()
        result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        total += float(result[0])
print(f"total {total:.2f}")
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that made many interpreters."""
        for site, rows in by_line(recording.interpreters):
            made = sum(row.made for row in rows)
            if made < LEAST_MADE:
                continue
            needless = (made - 1) / made
            seconds = sum(row.make_seconds for row in rows) * needless
            claims = [
                replace(each, seconds=each.seconds * needless)
                for row in rows
                for each in row.claims
            ]
            cost = cost_of(claims, calls=made)
            if not matters(recording, cost.seconds):
                continue
            uses = sum(row.invocations for row in rows)
            evidence = {
                "calls": made,
                "seconds": cost.seconds,
                "seconds_per_interpreter": seconds / (made - 1),
                "invocations": uses,
                "seconds_per_invocation": _invocation(recording),
            }
            message = (
                f"Made {count_text(made)} TFLite interpreters here, "
                f"{seconds_text(seconds / (made - 1))} each; one can be kept."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """Making and invoking an interpreter against invoking one that is kept."""
        for used in samples.at(InterpreterUsed, finding.site):
            model = used.keywords.get("model_path", used.arguments[0] if used.arguments else None)
            if isinstance(model, (str, Path)) and not Path(model).exists():
                yield Untried("The model's file is no longer there.")
                return
            # The finding's cost is the making alone; what is measured invokes as well.
            making = finding.evidence["seconds_per_interpreter"]
            share = 1 + finding.evidence["seconds_per_invocation"] / making
            yield _trial(used, finding.site.function == "<module>", share)
            return
        yield Untried("No call of `invoke` was seen, so it is not known what the model is given.")

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Interpreters of one model, made again and again."""
        for call in module.calls_to(*INTERPRETERS):
            again = _source.repeated(module, call)
            given = _source.arguments(call)
            if again is None or not given or module.has_star(call):
                continue
            if not all(_source.steady(module, each, again) for each in given):
                continue
            if _source.kept_by_hand(module, call):
                continue
            message = (
                f"An interpreter of the same model is made again each time in {again.text}; "
                "making one takes far longer than running a small model in it."
            )
            yield self.suspicion(
                module,
                call,
                message,
                {"repetition": again.kind},
                tuple(_alternatives(module, call)),
            )


def _invocation(recording: Recording) -> float:
    """Seconds of an invocation, by the mean of all: they have lines of their own."""
    calls = sum(row.invocations for row in recording.interpreters)
    return sum(row.invoke_seconds for row in recording.interpreters) / max(calls, 1)


def _trial(used: InterpreterUsed, at_top: bool, share: float) -> Trial:
    kept: list[Any] = []

    def make() -> Any:
        interpreter = used.kind(*used.arguments, **used.keywords)
        for details in interpreter.get_input_details():
            shape = used.inputs[details["index"]].shape
            if tuple(details["shape"]) != shape:
                interpreter.resize_tensor_input(details["index"], shape)
        interpreter.allocate_tensors()
        return interpreter

    def with_kept() -> list[Any]:
        if not kept:
            kept.append(make())
        kept[0].reset_all_variables()
        return _answers(kept[0], used.inputs)

    return Trial(
        present=Way("an interpreter for each call", lambda: _answers(make(), used.inputs)),
        ways=(
            Way(
                BEFORE_LOOP if at_top else IN_HELPER,
                with_kept,
                safety="safe" if at_top else "unsafe",
                note="" if at_top else IN_HELPER_NOTE,
            ),
        ),
        inputs="1 of your inputs",
        share=share,
    )


def _answers(interpreter: Any, inputs: dict[int, Any]) -> list[Any]:
    for index, value in inputs.items():
        interpreter.set_tensor(index, value)
    interpreter.invoke()
    return [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]


def _alternatives(module: Module, call: ast.Call) -> Iterator[Alternative]:
    statement = module.statement(call)
    if not module.editable(statement):
        return
    loop = _source.home_loop(module, statement, _source.arguments(call))
    if loop is not None:
        edits = _hoisted(module, statement, call, loop)
        if edits is not None:
            yield Alternative(BEFORE_LOOP, "safe", edits)
        return
    kept = _source.kept(module, call, "kept_interpreter", MODELS)
    if kept is not None:
        yield Alternative(IN_HELPER, "unsafe", kept, note=IN_HELPER_NOTE)


def _hoisted(
    module: Module, statement: ast.stmt, call: ast.Call, loop: ast.For | ast.While
) -> tuple[Edit, ...] | None:
    """Edits that take the interpreter and its `allocate_tensors` out of a loop.

    What stays in their place sets the model's variables back, as a new interpreter would.
    """
    uses = _source.named_uses(module, statement, call, loop)
    if uses is None:
        return None
    allocations: list[ast.stmt] = []
    for use in uses:
        parent = module.parent(use)
        if not isinstance(parent, ast.Attribute):
            return None
        around = module.parent(parent)
        if not isinstance(around, ast.Call) or around.func is not parent:
            return None
        if parent.attr == "allocate_tensors" and not _source.arguments(around):
            own = module.statement(around)
            block = module.parent(own)
            if not isinstance(own, ast.Expr) or block is not module.parent(statement):
                return None
            allocations.append(own)
        elif parent.attr not in ASKING:
            return None
    made = _source.moved(module, statement)
    if len(allocations) != 1 or made is None:
        return None
    allocation = allocations[0]
    name = uses[0].id
    if not (module.editable(allocation) and module.editable(loop)):
        return None
    return (
        module.insert(loop, f"{made}\n{name}.allocate_tensors()"),
        module.replace(statement, f"{name}.reset_all_variables()"),
        module.delete(allocation),
    )
