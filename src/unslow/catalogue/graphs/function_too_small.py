"""TF213: a compiled function around next to nothing, called very often."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _calls, _source
from unslow.catalogue.page import Page, by_line, claim, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Finding
from unslow.recording.data import Recording
from unslow.recording.samples import FunctionCall, Samples

if TYPE_CHECKING:
    from unslow.source.module import Module

MOST_NODES = 8
"""Inputs, constants and results are nodes too: about four ops are left."""

LEAST_CALLS = 500
MOST_OPS = 3
MOST_SECONDS_PER_CALL = 5e-4

REPEATS = 200
"""Calls in one run of an experiment."""


class FunctionTooSmall(Page):
    """A compiled function of one or two small ops is called in a Python loop.

    ## What it is
    `@tf.function` stands on a helper such as a moving average or a distance, and Python
    calls it thousands of times.

    ## Why it is slow
    Calling a compiled function costs in the order of 100 to 200 µs, whatever is in it:
    arguments are checked against its traces, and an executor is started. A small op on its
    own costs a tenth of that. Compiling pays from some ten ops on.

    ## When it does not matter
    Few calls. One op that is large, such as a matrix product of thousands of rows: the call
    is then small beside it. A helper that is only called from other compiled functions
    costs nothing of its own.

    ## What to do
    Compile the loop around it, with `tf.range`, `tf.scan` or, best, as ops on all rows at
    once. If the loop must stay in Python, take the decorator off.

    ## Safety of the fix
    Taking the decorator off keeps the results but for the last digits, unless the function
    relies on being traced, as Python side effects that should happen once do. A loop that
    is compiled no longer runs Python in between.
    """

    code = "TF213"
    name = "function-too-small"

    slow = """\
import tensorflow as tf


@tf.function
def smooth(level, reading):
    return 0.9 * level + reading


readings = [tf.constant(float(number % 7)) for number in range(5000)]
level = tf.constant(0.0)
for reading in readings:
    level = smooth(level, reading)  # <- slow
print("level", round(float(level), 2))
"""

    fast = """\
import tensorflow as tf


@tf.function
def smooth(level, readings):
    return tf.scan(lambda level, reading: 0.9 * level + reading, readings, level)[-1]


readings = tf.constant([float(number % 7) for number in range(5000)])
level = smooth(tf.constant(0.0), readings)
print("level", round(float(level), 2))
"""

    fine = (
        """\
import tensorflow as tf


@tf.function
def project(batch, basis):
    return batch @ basis


basis = tf.random.stateless_normal((512, 512), seed=(1, 2)) * 0.04
batch = tf.random.stateless_normal((512, 512), seed=(3, 4))
for step in range(200):
    batch = project(batch, basis)
print("size", batch.shape)
""",
        """\
import tensorflow as tf


@tf.function
def clip(x):
    return tf.clip_by_value(x, -1.0, 1.0)


@tf.function
def simulate(state, weights):
    for _ in tf.range(300):
        state = clip(state @ weights)
    return state


weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.2
state = tf.random.stateless_normal((32, 64), seed=(3, 4))
for step in range(20):
    state = simulate(state, weights)
print("bounded", bool(tf.reduce_all(tf.abs(state) <= 1)))
""",
        """\
import tensorflow as tf

kernel = tf.random.stateless_normal((3, 3, 8, 8), seed=(1, 2)) * 0.1


@tf.function
def half(x):
    return 0.5 * x


@tf.function
def blur(image):
    return tf.nn.conv2d(image, kernel, 1, "SAME")


@tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)])
def normalize(x):
    low = tf.reduce_min(x)
    high = tf.reduce_max(x)
    scaled = (x - low) / (high - low + 1e-6)
    centred = scaled - tf.reduce_mean(scaled)
    return tf.clip_by_value(centred / (tf.math.reduce_std(centred) + 1e-6), -3.0, 3.0)


rows = tf.data.Dataset.from_tensor_slices(tf.ones((400, 8))).batch(100).map(half)
image = tf.random.stateless_normal((1, 96, 96, 8), seed=(3, 4))
for step in range(150):
    image = blur(image)
for epoch in range(3):
    image = half(image)
row = tf.ones((8,))
for step in range(200):
    row = normalize(row)
print("rows", len(list(rows)), image.shape, row.shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that called a tiny function of the user's very often, and quickly."""
        tiny = [
            row
            for row in recording.function_calls
            if row.main
            and row.definition is not None
            and not row.eager
            and 0 < row.nodes <= MOST_NODES
            and row.calls >= LEAST_CALLS
        ]
        for site, rows in by_line(tiny):
            calls = sum(row.calls for row in rows)
            seconds = sum(row.seconds - row.first_seconds for row in rows)
            each = seconds / calls
            if each > MOST_SECONDS_PER_CALL or not matters(recording, seconds):
                continue
            cost = cost_of((claim(site, "graph", seconds),), calls=calls)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "nodes": max(row.nodes for row in rows),
                "seconds_per_call": each,
                "function": rows[0].function,
            }
            message = (
                f"{rows[0].function}() was called {count_text(calls)} times, "
                f"{seconds_text(each)} each, for a graph of {evidence['nodes']} nodes: that is "
                "the price of the call, not of the work."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """A captured call many times over: as it is, without compiling, and in a compiled loop."""
        missing = _calls.no_eager()
        calls = _calls.of_function(samples.at(FunctionCall, finding.site), finding)
        if missing is None and not calls:
            missing = Untried("No call of it could be captured.")
        if missing is not None:
            yield missing
            return
        call = calls[-1]
        function = call.function
        ways = [
            Way(
                "without @tf.function",
                lambda: [
                    function.python_function(*call.arguments, **call.keywords)
                    for _ in range(REPEATS)
                ],
                note="Python code in it runs in every call; the last digits can differ.",
            )
        ]
        loop = _calls.Loop(call, REPEATS)
        if loop.possible:
            ways.append(
                Way(
                    "the loop around it compiled",
                    loop.run,
                    results=loop.apart,
                    note="No Python can run between the calls then.",
                    prepares=True,
                )
            )
        yield Trial(
            Way("called from Python", lambda: _many(call)),
            tuple(ways),
            f"one of its calls, {REPEATS} times",
            functions=(function.python_function,),
            state=True,
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Calls in a loop of compiled functions that reckon with two or three single numbers."""
        for call, compiled in _source.repeated_calls(module):
            inner, body = compiled.module, _body(compiled.definition)
            if inner is None or body is None or not module.loops(call):
                continue
            again = module.repetition(call)
            if again is None or (again.times is not None and again.times < LEAST_CALLS):
                continue
            ops = [n for n in ast.walk(body) if isinstance(n, (ast.BinOp, ast.Call, ast.Compare))]
            if not 1 <= len(ops) <= MOST_OPS or not _source.is_single(inner, body):
                continue
            given = [module.value(each).kind for each in _source.arguments(call)]
            if all(kind == "scalar" for kind in given) or not _takes_numbers(inner, body):
                continue
            function = _source.function_name(compiled, call)
            message = (
                f"{function}() is compiled for next to nothing, {len(ops)} "
                f"op{'s' if len(ops) > 1 else ''} on single numbers, and is called in "
                f"{again.text}: each call costs far more than its work."
            )
            yield self.suspicion(module, call, message, {"function": function, "ops": len(ops)})


def _many(call: FunctionCall) -> list[object]:
    return [call.function(*call.arguments, **call.keywords) for _ in range(REPEATS)]


def _takes_numbers(module: Module, body: ast.expr) -> bool:
    """Whether all that an expression reckons with are single numbers, not only its result."""
    functions = {id(node.func) for node in ast.walk(body) if isinstance(node, ast.Call)}
    for node in ast.walk(body):
        if isinstance(node, ast.Name):
            called = id(node) in functions or isinstance(module.parent(node), ast.Attribute)
            if not called and not _source.is_single(module, node):
                return False
        elif isinstance(node, (ast.Subscript, ast.IfExp, ast.Lambda)):
            return False
    return True


def _body(definition: ast.AST | None) -> ast.expr | None:
    """What a function returns that does nothing else."""
    if isinstance(definition, ast.Lambda):
        return definition.body
    if not isinstance(definition, ast.FunctionDef):
        return None
    body = [
        each
        for each in definition.body
        if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
    ]
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
