"""TF204: training steps that run op by op."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _calls, _hybrid, _tape, _tracing
from unslow.catalogue.page import Page, by_line, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Claim, Finding, Site, same_line
from unslow.recording.data import Recording, TapeSteps
from unslow.recording.samples import Samples, UserCall

if TYPE_CHECKING:
    from unslow.source.module import Module

LEAST_STEPS = 20
LEAST_OPS = 20
LEAST_ROUNDS = 100
"""In source nothing tells how large the ops are; a trace costs as much as dozens of steps."""

PARTS = ("eager", "convert", "python")

UPDATES = ("apply_gradients", "assign", "assign_add", "assign_sub")


COMPILED_STEP = "a compiled step"
STEP_NOTE = (
    "The step is traced once for each shape of its arguments, and Python code in it, such as "
    "printing, counting or appending to a list, runs only then. Random ops and dropout draw "
    "other numbers, and the last digits can differ. Variables, the optimizer's too, must not "
    "be made after the first call."
)


class EagerHotLoop(Page):
    """A training step with a gradient tape runs outside a compiled function.

    ## What it is
    A loop opens a `GradientTape`, computes a loss, takes gradients and applies them, and no
    `@tf.function` stands above it. Every op of it is called from Python.

    ## Why it is slow
    Each op costs 10 to 50 µs of Python and dispatch before it computes, the tape notes it,
    and its gradient is one or two ops more. A small network has hundreds of ops in a step. The
    optimizer runs several for each variable. Compiled, the step is one call: often 5x to
    30x faster.

    ## When it does not matter
    Few steps, as a trace costs more than dozens of them. Steps whose ops are large, such as
    convolutions of big images: there dispatch is a small share. Around a single small op
    a compiled function is slower than none. Where the forward pass is a compiled function
    already, such as one loaded from a SavedModel, only the update is left to compile.

    ## What to do
    Put `@tf.function` on the function that holds the tape and the update, and call it with
    tensors.

    ## Safety of the fix
    Python code in the step runs only while tracing: printing, appending to lists, counters,
    `.numpy()`, NumPy's random numbers and `time` calls must move outside or become ops.
    Variables, the optimizer's too, must exist before the second trace. Look for recursion
    and generators, which cannot be compiled.
    """

    code = "TF204"
    name = "eager-hot-loop"

    slow = """\
import tensorflow as tf

features = tf.random.stateless_normal((64, 16), seed=(1, 2))
labels = tf.cast(tf.reduce_sum(features[:, :3], axis=1) > 0, tf.float32)
sizes = (16, 32, 32, 16, 1)
weights = [
    tf.Variable(tf.random.stateless_normal(shape, seed=shape) / shape[0] ** 0.5)
    for shape in zip(sizes, sizes[1:])
]
momenta = [tf.Variable(tf.zeros_like(weight)) for weight in weights]


def train_step(x, y):
    with tf.GradientTape() as tape:
        for weight in weights[:-1]:
            x = tf.nn.relu(x @ weight)
        logits = tf.squeeze(x @ weights[-1], axis=1)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, weights)  # <- slow
    for weight, momentum, gradient in zip(weights, momenta, gradients):
        momentum.assign(0.9 * momentum + gradient)
        weight.assign_sub(0.002 * momentum)
    return loss


for step in range(700):
    loss = train_step(features, labels)
print("loss", round(float(loss), 2))
"""

    fast = """\
import tensorflow as tf

features = tf.random.stateless_normal((64, 16), seed=(1, 2))
labels = tf.cast(tf.reduce_sum(features[:, :3], axis=1) > 0, tf.float32)
sizes = (16, 32, 32, 16, 1)
weights = [
    tf.Variable(tf.random.stateless_normal(shape, seed=shape) / shape[0] ** 0.5)
    for shape in zip(sizes, sizes[1:])
]
momenta = [tf.Variable(tf.zeros_like(weight)) for weight in weights]


@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        for weight in weights[:-1]:
            x = tf.nn.relu(x @ weight)
        logits = tf.squeeze(x @ weights[-1], axis=1)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, weights)
    for weight, momentum, gradient in zip(weights, momenta, gradients):
        momentum.assign(0.9 * momentum + gradient)
        weight.assign_sub(0.002 * momentum)
    return loss


for step in range(700):
    loss = train_step(features, labels)
print("loss", round(float(loss), 2))
"""

    fine = (
        """\
import tensorflow as tf

photo = tf.Variable(tf.random.stateless_uniform((1, 160, 160, 3), seed=(1, 2)))
filters = tf.random.stateless_normal((5, 5, 3, 64), seed=(3, 4)) * 0.1
style = tf.random.stateless_normal((5, 5, 64, 32), seed=(5, 6)) * 0.05

for step in range(24):
    with tf.GradientTape() as tape:
        maps = tf.nn.conv2d(photo, filters, strides=1, padding="SAME")
        loss = tf.reduce_mean(tf.nn.conv2d(tf.nn.relu(maps), style, 1, "SAME") ** 2)
    gradient = tape.gradient(loss, photo)
    photo.assign_sub(0.1 * gradient)
print("loss", round(float(loss), 3))
""",
        """\
import tensorflow as tf

weights = [tf.Variable(tf.random.stateless_normal((64, 64), seed=(n, 1))) for n in range(12)]
batch = tf.random.stateless_normal((64, 64), seed=(3, 4))

norms = []
for check in range(5):
    x = batch
    with tf.GradientTape() as tape:
        for weight in weights:
            x = tf.tanh(x @ weight)
        loss = tf.reduce_mean(x**2)
    gradients = tape.gradient(loss, weights)
    norms.append(tf.linalg.global_norm(gradients))
print("norms", len(norms))
""",
        """\
import tensorflow as tf

features = tf.random.stateless_normal((64, 16), seed=(1, 2))
labels = tf.reduce_sum(features[:, :3], axis=1, keepdims=True)
layers = [tf.Variable(tf.random.stateless_normal((16, 16), seed=(n, 1)) / 4) for n in range(4)]
head = tf.Variable(tf.zeros((16, 1)))
dataset = tf.data.Dataset.from_tensor_slices((features, labels)).batch(16)


def train_step(x, y):
    with tf.GradientTape() as tape:
        for layer in layers:
            x = tf.nn.relu(x @ layer)
        loss = tf.reduce_mean((x @ head - y) ** 2)
    variables = [*layers, head]
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        variable.assign_sub(0.01 * gradient)
    return loss


@tf.function
def train_epoch(batches):
    loss = tf.constant(0.0)
    for x, y in batches:
        loss = train_step(x, y)
    return loss


@tf.function
def distributed_step(x, y):
    return tf.distribute.get_strategy().run(train_step, args=(x, y))


wrapped = tf.function(train_step)
for epoch in range(30):
    loss = train_epoch(dataset)
    for x, y in dataset:
        loss = distributed_step(x, y)
        loss = wrapped(x, y)
if __debug__:
    first = train_step(features, labels)
print("finite", bool(tf.math.is_finite(loss)))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Steps of many cheap eager ops, unless a setting forced them to run so."""
        for site, rows in by_line(recording.tape_steps):
            steps = sum(row.steps for row in rows)
            ops = sum(row.ops for row in rows)
            claims = [c for row in rows for c in row.claims if c.part in PARTS]
            cost = cost_of(claims, calls=steps)
            seconds = sum(c.seconds for row in rows for c in row.claims if c.part != "recorder")
            if (
                steps < LEAST_STEPS
                or ops < LEAST_OPS * steps
                or not matters(recording, cost.seconds)
                or sum(row.op_seconds for row in rows) > _tracing.MOST_OP_SECONDS * ops
                or cost.seconds < seconds / 2
                or _is_forced(recording, site, rows)
            ):
                continue
            evidence = {
                "calls": steps,
                "seconds": cost.seconds,
                "ops": ops,
                "ops_per_step": ops / steps,
                "seconds_per_step": cost.seconds / steps,
                "function": site.function,
            }
            where = "" if site.function == "<module>" else f" of {site.function}()"
            message = (
                f"{count_text(steps)} training steps{where} ran op by op: "
                f"{count_text(round(ops / steps))} ops and {seconds_text(cost.seconds / steps)} "
                "a step, most of it Python and dispatch that a compiled function does not pay."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """Steps as they are, op by op, against the same function compiled."""
        calls = list(samples.at(UserCall, finding.site))
        missing = _calls.no_eager()
        if missing is None and not calls:
            missing = Untried(
                "The step stands in a loop or at the top level; in a function of its own it can "
                "be tried compiled."
            )
        missing = missing or _calls.changing(calls)
        if missing is not None:
            yield missing
            return
        calls = list(_calls.few(calls, finding.evidence["seconds_per_step"]))
        calls = [each for each in calls if each.function.__code__ is calls[0].function.__code__]
        name, given = COMPILED_STEP, _calls.with_tensors(calls, {})
        if given is not None:
            name = "a compiled step, given tensors for Python numbers"
        compiled = _calls.Compiled(lambda: _compile(calls[0]), given or calls)
        yield Trial(
            Way("op by op", lambda: _calls.eagerly(calls)),
            (Way(name, compiled.run, note=STEP_NOTE, prepares=True),),
            f"{len(calls)} of its steps",
            functions=(calls[0].function,),
            state=True,
            runs=finding.cost.calls / len(calls),
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Gradients taken and applied in a loop of plain Python."""
        if module.graph_mode:
            return
        seen: set[ast.AST] = set()
        for call in module.calls_of("gradient", "tape"):
            function = module.function(call)
            loops = module.loops(call)
            place: ast.AST = loops[0] if loops else function or module.tree
            again = module.repetition(call)
            if (
                place in seen
                or again is None
                or (again.times is not None and again.times < LEAST_ROUNDS)
                or module.mode(call) != "eager"
                or module.guarded(call)
                or not _updates(module, place)
            ):
                continue
            noted = _tape.bodies(module, call)
            if _tape.calls_compiled(module, noted) or _tape.has_few_rows(module, noted):
                continue
            seen.add(place)
            message = (
                f"This training step runs op by op in {again.text}: each op, its gradient and the "
                "update are called from Python."
            )
            evidence = {"where": again.text, "function": module.function_name(call)}
            found = () if loops else _compiled(module, function)
            yield self.suspicion(module, call, message, evidence, found)


def _compile(call: UserCall) -> object:
    import tensorflow as tf

    return tf.function(call.function)


def _updates(module: Module, place: ast.AST) -> bool:
    """Whether variables are updated where gradients are taken."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in UPDATES
        for node in ast.walk(place)
    )


def _compiled(module: Module, function: ast.AST | None) -> tuple[Alternative, ...]:
    """`@tf.function` on a step, where it surely does the same compiled."""
    if not isinstance(function, ast.FunctionDef) or not module.editable(function):
        return ()
    if not _hybrid.can_be_compiled(module, function):
        return ()
    tf, edits = module.imported("tensorflow")
    edits += (module.insert(function, f"@{tf}.function"),)
    return (Alternative(COMPILED_STEP, "unsafe", edits, note=STEP_NOTE),)


def _is_forced(recording: Recording, site: Site, rows: list[TapeSteps]) -> bool:
    """Whether the steps stand in a compiled function that a setting made run eagerly."""
    forced = [claim for setting in recording.settings for claim in setting.claims]
    lines: list[Site | Claim] = [site, *(claim for row in rows for claim in row.claims)]
    return any(same_line(one, other) for one in forced for other in lines)
