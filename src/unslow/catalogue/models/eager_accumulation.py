"""TF410: gradients of several batches summed outside a compiled function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.models import _source
from unslow.catalogue.page import Page
from unslow.finding import Finding

if TYPE_CHECKING:
    from unslow.source.module import Module

APPLYING = frozenset({"apply", "apply_gradients"})


class EagerAccumulation(Page):
    """Gradients of several batches are added up in Python, op by op.

    ## What it is
    A training loop that takes `tape.gradient`, adds it to a list of sums, one variable at
    a time, and calls `apply_gradients` after every few batches, none of it compiled.

    ## Why it is slow
    For every batch each op of the model, of its gradient and of the sums is started from
    Python by itself, and each addition makes new tensors as large as the weights. A small
    model is often 5x faster with all of it in a compiled function.

    ## When it does not matter
    Where the ops are so large that starting them is nothing. Accumulation saves memory, not
    time: where the larger batch fits into memory, it is the faster way.

    ## What to do
    In Keras 3 let the optimizer do it: `SGD(0.01, gradient_accumulation_steps=4)` works in
    `fit` and in loops of one's own. Else keep the sums in variables, put tape and
    `assign_add` into one `tf.function`, and `apply_gradients` and the reset into another.

    ## Safety of the fix
    The same sums come out up to rounding. What a compiled function may not do holds for the
    step: no `.numpy()`, no Python lists that grow, prints only while tracing. The
    optimizer's own accumulation takes the mean of the gradients, not their sum.
    """

    code = "TF410"
    name = "eager-accumulation"
    also = frozenset({"TF204"})

    slow = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(18)
rng = np.random.default_rng(30)
rows = rng.normal(size=(4_800, 20)).astype("float32")
wanted = rows @ rng.normal(size=(20, 1)).astype("float32")
batches = tf.data.Dataset.from_tensor_slices((rows, wanted)).batch(16)

model = tf.keras.Sequential([tf.keras.Input((20,))])
model.add(tf.keras.layers.Dense(32, activation="relu"))
model.add(tf.keras.layers.Dense(1))
optimizer = tf.keras.optimizers.SGD(0.01)
weights = model.trainable_variables

sums = [tf.zeros_like(weight) for weight in weights]
for number, (batch, target) in enumerate(batches, start=1):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(batch) - target) ** 2) / 4.0
    gradients = tape.gradient(loss, weights)
    sums = [total + gradient for total, gradient in zip(sums, gradients)]  # <- slow
    if number % 4 == 0:
        optimizer.apply_gradients(zip(sums, weights))
        sums = [tf.zeros_like(weight) for weight in weights]
print(f"loss {float(loss):.3f}")
"""

    fast = slow.replace(
        slow[slow.index("sums = [") : slow.index("print(")],
        """\
optimizer.build(weights)
sums = [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in weights]


@tf.function
def accumulate(batch, target):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(batch) - target) ** 2) / 4.0
    for total, gradient in zip(sums, tape.gradient(loss, weights)):
        total.assign_add(gradient)
    return loss


@tf.function
def learn():
    optimizer.apply_gradients(zip(sums, weights))
    for total in sums:
        total.assign(tf.zeros_like(total))


for number, (batch, target) in enumerate(batches, start=1):
    loss = accumulate(batch, target)
    if number % 4 == 0:
        learn()
""",
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(19)
rng = np.random.default_rng(31)
rows = rng.normal(size=(3_200, 20)).astype("float32")
model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile(tf.keras.optimizers.SGD(0.01, gradient_accumulation_steps=4), "mse")
model.fit(rows, rows.sum(axis=1), batch_size=32, verbose=0)

# The gradients of three parts of the data are summed once, to look at them.
weights = model.trainable_variables
sums = [tf.zeros_like(weight) for weight in weights]
for part in (rows[:100], rows[100:200], rows[200:300]):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(part) ** 2)
    sums = [total + gradient for total, gradient in zip(sums, tape.gradient(loss, weights))]
print(len(sums))
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Statements that add a tape's gradients to sums, in a loop of plain Python."""
        if module.graph_mode:
            return
        for statement in module.nodes(ast.Assign, ast.For):
            if isinstance(statement, ast.For):
                sums = _added_in_place(module, statement)
            else:
                sums = isinstance(statement, ast.Assign) and _summed(module, statement)
            if not sums or module.mode(statement) != "eager":
                continue
            again = _source.repeated(module, statement)
            if again is None or again.loop is None:
                continue
            if not _applied_now_and_then(again.module, again.loop):
                continue
            message = (
                f"Gradients are added up op by op in {again.text}; in a compiled function, or by "
                "the optimizer's `gradient_accumulation_steps`, that is often 5x faster."
            )
            yield self.suspicion(module, statement, message, {"repetition": again.kind})


def _zipped(module: Module, iterable: ast.expr) -> list[ast.expr]:
    if isinstance(iterable, ast.Call) and module.qualified(iterable.func) == "enumerate":
        iterable = iterable.args[0] if iterable.args else iterable
    if isinstance(iterable, ast.Call) and module.qualified(iterable.func) == "zip":
        return list(iterable.args)
    return [iterable]


def _is_gradient(module: Module, expression: ast.expr) -> bool:
    """Whether an expression is what `tape.gradient` returned."""
    if isinstance(expression, ast.Name):
        bindings = module.bindings(expression)
        if not bindings or len(bindings) != 1 or bindings[0].path or bindings[0].value is None:
            return False
        expression = bindings[0].value
    return (
        isinstance(expression, ast.Call)
        and isinstance(expression.func, ast.Attribute)
        and expression.func.attr == "gradient"
        and module.value(expression.func.value).kind == "tape"
    )


def _summed(module: Module, statement: ast.Assign) -> bool:
    """Whether it is `sums = [a + b for a, b in zip(sums, gradients)]`."""
    made, target = statement.value, statement.targets[0]
    if not isinstance(made, ast.ListComp) or not isinstance(target, ast.Name):
        return False
    adds = isinstance(made.elt, ast.BinOp) and isinstance(made.elt.op, ast.Add)
    if isinstance(made.elt, ast.Call):
        adds = module.qualified(made.elt.func) in ("tensorflow.add", "tensorflow.math.add")
    if not adds or len(made.generators) != 1:
        return False
    parts = _zipped(module, made.generators[0].iter)
    return any(isinstance(part, ast.Name) and part.id == target.id for part in parts) and any(
        _is_gradient(module, part) for part in parts
    )


def _added_in_place(module: Module, loop: ast.For) -> bool:
    """Whether it is a loop over gradients that adds each to a sum."""
    if len(loop.body) != 1 or not any(_is_gradient(module, p) for p in _zipped(module, loop.iter)):
        return False
    statement = loop.body[0]
    if isinstance(statement, ast.AugAssign):
        return isinstance(statement.op, ast.Add) and isinstance(statement.target, ast.Subscript)
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and _source.called_name(statement.value) == "assign_add"
    )


def _applied_now_and_then(module: Module, loop: ast.AST) -> bool:
    """Whether a loop applies gradients under a condition: not in each round."""
    for call in _source.calls_in(module, loop):
        if _source.called_name(call) not in APPLYING or not isinstance(call.func, ast.Attribute):
            continue
        condition = module.enclosing(call, ast.If)
        if (
            condition is not None
            and module.inside(condition, loop)
            and module.value(call.func.value).kind in ("optimizer", "unknown")
        ):
            return True
    return False
