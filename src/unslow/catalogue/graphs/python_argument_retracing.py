"""TF201: a compiled function traced again for every new value of a Python argument."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _calls, _source, _tracing
from unslow.catalogue.page import Page, cost_of, count_text, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Finding
from unslow.recording.data import Recording
from unslow.recording.samples import FunctionCall, Samples
from unslow.source.bindings import Loop
from unslow.source.flow import rounds
from unslow.source.values import Value

if TYPE_CHECKING:
    from unslow.source.module import Module

AS_TENSOR = "a tensor for the Python number"
TENSOR_NOTE = (
    "Inside the function the number is a tensor of 32 bits, unless told otherwise: the last "
    "digits can differ."
)

MANY_VALUES = 50
"""Fewer values that come again and again are graphs used again and again."""


class PythonArgumentRetracing(Page):
    """A compiled function is given a Python number or string that keeps changing.

    ## What it is
    A `tf.function` is called with a Python `int`, `float`, `bool` or `str` whose value
    differs from call to call: a step number, a decaying learning rate, a file name.

    ## Why it is slow
    A Python value is part of the compiled function, like a constant. For a new value
    TensorFlow runs your Python again and builds and optimises another graph: tens of
    milliseconds for a small function, seconds for a large model, and all those graphs stay
    in memory.

    ## When it does not matter
    Few values: `training=True` and `False` are two graphs, and should be. NumPy numbers
    and arrays do not retrace; they become tensors.

    ## What to do
    Pass a tensor: `step(x, tf.constant(rate))`, or a `tf.Variable` that is assigned. Or
    give the function an `input_signature`, which makes tensors of numbers. A loop counter
    can be a `tf.Variable` or come from `tf.range`.

    ## Safety of the fix
    Inside the function the argument is a tensor then: a Python `if` or `range` on it becomes
    part of the graph, f-strings and dict keys no longer show its value, and a float is
    float32 where Python had 64 bits.
    """

    code = "TF201"
    name = "python-argument-retracing"

    slow = """\
import tensorflow as tf

features = tf.random.stateless_normal((64, 32), seed=(1, 2))
labels = tf.reduce_sum(features[:, :4], axis=1, keepdims=True)
hidden = tf.Variable(tf.random.stateless_normal((32, 64), seed=(3, 4)) * 0.1)
output = tf.Variable(tf.random.stateless_normal((64, 1), seed=(5, 6)) * 0.1)


@tf.function
def step(x, y, rate):
    with tf.GradientTape() as tape:
        predicted = tf.nn.relu(x @ hidden) @ output
        loss = tf.reduce_mean((predicted - y) ** 2)
    gradients = tape.gradient(loss, [hidden, output])
    hidden.assign_sub(rate * gradients[0])
    output.assign_sub(rate * gradients[1])
    return loss


for epoch in range(50):
    rate = 0.05 * 0.97**epoch
    loss = step(features, labels, rate)  # <- slow
print("loss", round(float(loss), 2))
"""

    fast = """\
import tensorflow as tf

features = tf.random.stateless_normal((64, 32), seed=(1, 2))
labels = tf.reduce_sum(features[:, :4], axis=1, keepdims=True)
hidden = tf.Variable(tf.random.stateless_normal((32, 64), seed=(3, 4)) * 0.1)
output = tf.Variable(tf.random.stateless_normal((64, 1), seed=(5, 6)) * 0.1)


@tf.function
def step(x, y, rate):
    with tf.GradientTape() as tape:
        predicted = tf.nn.relu(x @ hidden) @ output
        loss = tf.reduce_mean((predicted - y) ** 2)
    gradients = tape.gradient(loss, [hidden, output])
    hidden.assign_sub(rate * gradients[0])
    output.assign_sub(rate * gradients[1])
    return loss


for epoch in range(50):
    rate = tf.constant(0.05 * 0.97**epoch)
    loss = step(features, labels, rate)
print("loss", round(float(loss), 2))
"""

    fine = (
        """\
import tensorflow as tf

weights = tf.random.stateless_normal((16, 128, 128), seed=(1, 2)) * 0.1
batch = tf.random.stateless_normal((64, 128), seed=(3, 4))


@tf.function
def forward(x, training):
    for layer in range(16):
        x = tf.nn.relu(x @ weights[layer])
        if training:
            x = tf.nn.experimental.stateless_dropout(x, 0.1, seed=(layer, 1))
    return tf.reduce_mean(x)


for epoch in range(100):
    loss = forward(batch, training=True)
    validation = forward(batch, training=False)
print("validation", round(float(validation), 3))
""",
        """\
import numpy as np
import tensorflow as tf

weights = tf.Variable(tf.zeros((64, 1)))
features = tf.random.stateless_normal((512, 64), seed=(1, 2))
labels = tf.reduce_sum(features[:, :5], axis=1, keepdims=True)


@tf.function
def step(rate):
    error = features @ weights - labels
    weights.assign_sub(rate * tf.matmul(features, error, transpose_a=True) / 512)
    return tf.reduce_mean(error**2)


for rate in np.linspace(0.5, 0.01, 100, dtype=np.float32):
    loss = step(rate)
print("loss", round(float(loss), 3))
""",
        """\
import numpy as np
import tensorflow as tf

weights = tf.Variable(tf.random.stateless_normal((32, 32), seed=(1, 2)) * 0.2)
rate = tf.Variable(0.1)


@tf.function
def layer(x, number, activation="relu"):
    x = x @ weights + 0.01 * number
    return tf.nn.relu(x) if activation == "relu" else tf.tanh(x)


@tf.function
def forward(x):
    for number in range(3):
        x = layer(x, number)
    return tf.reduce_mean(x)


@tf.function(input_signature=[tf.TensorSpec((8, 32)), tf.TensorSpec((), tf.float32)])
def decayed(x, factor):
    return tf.reduce_mean(x @ weights) * factor


@tf.function
def step(x, number):
    rate.assign(0.1 / (1.0 + tf.cast(number, tf.float32)))
    return tf.reduce_sum(x) * rate


@tf.function
def save(message):
    return tf.strings.length(message)


x = tf.random.stateless_normal((8, 32), seed=(3, 4))
for epoch in range(40):
    mean = forward(x)
    part = decayed(x, 0.9**epoch)
    for activation in ("relu", "tanh"):
        x = layer(x, 1, activation)
    total = step(x, tf.constant(epoch))
    total = step(x, np.int64(epoch))
    if epoch % 20 == 0:
        length = save(f"epoch {epoch}")
print("finite", bool(tf.math.is_finite(mean + part + total)), int(length))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that called a compiled function with many values of a Python argument."""
        for row in _tracing.retraced(recording, "python value"):
            values = row.count + 1
            examples = ", ".join(row.values[:3]) + (", …" if values > 3 else "")
            message = (
                f"{row.function}() was traced {count_text(row.traces)} times in "
                f"{count_text(row.calls)} calls: `{row.argument}` is a Python value and "
                f"changed {count_text(row.count)} times ({examples}). "
                f"{seconds_text(row.seconds_per_trace)} a trace with its first run."
            )
            cost = cost_of(row.claims, calls=row.calls)
            yield self.problem(row.site, message, cost, row.evidence("values"))

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """Calls with other values, traced for each, against the same with tensors for those."""
        calls = _calls.retraced(finding, samples)
        if isinstance(calls, Untried):
            yield calls
            return
        if _calls.with_tensors(calls, {}) is None:
            yield Untried("The captured calls differ in more than Python numbers.")
            return
        tensors = _calls.Kept(functools.partial(_given_tensors, calls, d) for d in _calls.DTYPES)
        inputs = f"{len(calls)} of its calls with other values"
        yield _calls.Present(calls, inputs).against(
            Way(AS_TENSOR, tensors.run, before=tensors.before, note=TENSOR_NOTE)
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Calls of compiled functions in a loop with a Python number that counts or decays."""
        for call, compiled in _source.repeated_calls(module):
            if _source.has_signature(compiled):
                continue
            changing = [each for each in _source.arguments(call) if _changes(module, call, each)]
            if not changing:
                continue
            function = _source.function_name(compiled, call)
            text = module.text(changing[0])
            message = (
                f"`{text}` is a Python number with another value in each round: {function}() is "
                "traced again for every one of them."
            )
            evidence = {
                "function": function,
                "arguments": [module.text(each) for each in changing],
            }
            found = _as_tensors(module, call, compiled, changing)
            yield self.suspicion(module, call, message, evidence, found)


def _given_tensors(
    calls: list[FunctionCall], dtypes: dict[type, str]
) -> tuple[object, list[FunctionCall]]:
    """A function without traces, and the calls with tensors for the values that differ."""
    return _calls.without_traces(calls[0]), _calls.with_tensors(calls, dtypes) or calls


def _changes(module: Module, call: ast.Call, argument: ast.expr) -> bool:
    """Whether an argument is a Python number that surely has many values."""
    if not isinstance(argument, (ast.Name, ast.BinOp, ast.UnaryOp, ast.Call)):
        return False
    value = module.value(argument)
    if value.kind != "scalar" or value.dtype == "bool":
        return False
    loops = module.loops(call)
    return any(
        module.varies(argument, loop)
        and _source.many_rounds(module, loop)
        and _source.each_round(module, call, loop)
        and (loop is loops[-1] or not _come_back(module, loop))
        for loop in loops
    )


def _come_back(module: Module, loop: Loop) -> bool:
    """Whether a loop inside another has so few values that they pay for their traces."""
    count = rounds(module, loop)
    return count is not None and count < MANY_VALUES


def _as_tensors(
    module: Module, call: ast.Call, compiled: Value, changing: list[ast.expr]
) -> tuple[Alternative, ...]:
    """The arguments made tensors, where the function surely can do with tensors."""
    if not module.editable(call):
        return ()
    tf, edits = module.imported("tensorflow")
    for argument in changing:
        parameter = _source.parameter(compiled, call, argument)
        inner, function = compiled.module, compiled.definition
        if parameter is None or inner is None or function is None:
            return ()
        kind = module.value(argument).dtype
        wanted = _wanted_dtype(inner, function, parameter.arg, kind)
        if wanted is None:
            return ()
        dtype = f", {tf}.{wanted}" if wanted else ""
        edits += (module.replace(argument, f"{tf}.constant({module.text(argument)}{dtype})"),)
    return (Alternative(AS_TENSOR, "unsafe", edits, note=TENSOR_NOTE),)


def _wanted_dtype(module: Module, function: ast.AST, name: str, kind: str | None) -> str | None:
    """The dtype that a tensor in place of a parameter needs: "" for the usual one.

    `None` where the function uses it as only a Python number can be used.
    """
    usual = {"float": "float32", "int": "int32"}.get(kind or "")
    found: set[str] = set()
    for use in module.uses(name, function):
        if module.home(use) is not function or not isinstance(use.ctx, ast.Load):
            return None
        if module.function(use) is not function or usual is None:
            return None
        dtype = _dtype_at(module, use, kind == "float")
        if dtype is None:
            return None
        found.add(dtype or usual)
    if len(found) > 1:
        return None
    return "" if found <= {usual} else found.pop()


def _dtype_at(module: Module, use: ast.AST, any_number: bool) -> str | None:
    """The dtype that a tensor at a use of a number needs, "" for any; `None`: no tensor will do."""
    here = use
    while True:
        parent = module.parent(here)
        if isinstance(parent, ast.BinOp) and not isinstance(parent.op, ast.MatMult):
            other = parent.right if parent.left is here else parent.left
            value = module.value(other)
            if value.kind in ("tensor", "variable"):
                if value.dtype is None or value.dtype in ("bool", "string"):
                    return "" if any_number and value.dtype is None else None
                return value.dtype
            if not any_number:
                return None
            here = parent
        elif isinstance(parent, ast.UnaryOp) and not isinstance(parent.op, ast.Not):
            here = parent
        elif isinstance(parent, ast.Call) and parent.func is not here:
            if module.qualified(parent.func) == "tensorflow.cast" and parent.args[0] is here:
                return ""
            method = parent.func.attr if isinstance(parent.func, ast.Attribute) else ""
            assigns = method in ("assign", "assign_add", "assign_sub")
            return "" if any_number and assigns else None
        else:
            return None
