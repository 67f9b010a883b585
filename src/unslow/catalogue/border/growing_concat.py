"""TF106: a tensor that grows by one concatenation per iteration."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.border import _facts, _loops
from unslow.catalogue.page import Page
from unslow.finding import Alternative, Finding

if TYPE_CHECKING:
    from unslow.source.bindings import Loop
    from unslow.source.module import Module

LEAST_ROUNDS = 20

NOTE = (
    "The pieces are put together after the loop: what an exception, or a step out of the loop "
    "that does not end it, sees of the tensor changes."
)


class GrowingConcat(Page):
    """A loop makes a tensor longer piece by piece, and copies all of it each time.

    ## What it is
    `x = tf.concat([x, piece], axis=0)` in a loop that does nothing else with `x`.

    ## Why it is slow
    A tensor cannot grow. Every concatenation makes a new one and copies all pieces so far
    into it, so that twice as many pieces take four times as long. A list keeps references
    to the pieces and copies each of them once, at the end: often 100x and more.

    ## When it does not matter
    A handful of pieces. A window of fixed size that drops old rows as it takes new ones
    does not grow. Where each iteration needs the whole tensor, as dense blocks of a network
    and the decoding of text do, no list helps.

    ## What to do
    Append the pieces to a list and call `tf.concat`, or `tf.stack`, once after the loop. In
    a compiled function whose loop runs over tensors, write them into a `tf.TensorArray`.

    ## Safety of the fix
    The same values in the same order, also when the loop runs zero times: the list begins
    with what the tensor was before. Wrong shapes and data types are noticed after the loop
    and no longer in the iteration that brings them; what an exception leaves behind is the
    tensor as it was before the loop.
    """

    code = "TF106"
    name = "growing-concat"

    slow = """\
import tensorflow as tf

readings = tf.zeros((0, 64))
for number in range(1_500):
    reading = tf.random.stateless_normal((32, 64), seed=(number, 2))
    readings = tf.concat([readings, reading], axis=0)  # <- slow
print("readings", readings.shape, round(float(tf.reduce_sum(readings)), 2))
"""

    fast = """\
import tensorflow as tf

readings = []
for number in range(1_500):
    readings.append(tf.random.stateless_normal((32, 64), seed=(number, 2)))
readings = tf.concat(readings, axis=0)
print("readings", readings.shape, round(float(tf.reduce_sum(readings)), 2))
"""

    fine = (
        """\
import tensorflow as tf

kernels = [tf.random.stateless_normal((8 + 4 * n, 4), seed=(n, 2)) for n in range(6)]
features = tf.random.stateless_normal((512, 8), seed=(1, 2))
for kernel in kernels:
    features = tf.concat([features, tf.nn.relu(features @ kernel)], axis=1)
print("dense block", features.shape)

window = tf.zeros((5, 64))
energy = 0.0
for number in range(200):
    frame = tf.random.stateless_normal((64,), seed=(number, 3))
    window = tf.concat([window[1:], frame[tf.newaxis]], axis=0)
    energy += tf.reduce_mean(window**2)
print("energy", round(float(energy), 2))
""",
        """\
import tensorflow as tf

table = tf.random.stateless_normal((50, 50), seed=(1, 2))


def continued(prompt, length):
    tokens = prompt
    for _ in range(length):
        context = tf.reduce_mean(tf.gather(table, tokens), axis=1)
        following = tf.argmax(context, axis=-1, output_type=tf.int32)
        tokens = tf.concat([tokens, following[:, tf.newaxis]], axis=1)
    return tokens


tokens = continued(tf.constant([[3, 1], [4, 1]]), 60)
rows = tf.zeros((0, 62), tf.int32)
for part in (tokens, tokens[:1], tokens[1:]):
    rows = tf.concat([rows, part], axis=0)
print("tokens", rows.shape)
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """`x = tf.concat([x, ...])` in a loop that does not need `x` for anything else."""
        for call in module.calls_to("tensorflow.concat"):
            statement = module.parent(call)
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                continue
            target = statement.targets[0]
            pieces = module.argument(call, 0, "values")
            if not isinstance(target, ast.Name) or module.has_star(call):
                continue
            if not isinstance(pieces, (ast.List, ast.Tuple)) or len(pieces.elts) < 2:
                continue
            place = _place(target, pieces)
            if place is None or _loops.each_round(module, statement, LEAST_ROUNDS) is None:
                continue
            loop = _carrying(module, target, statement)
            if loop is None or not _runs_long(module, loop, statement):
                continue
            message = (
                f"{target.id} grows by a concatenation in every round of {_text(module, loop)}, "
                "and each one copies all of it. A list of the pieces and one tf.concat after "
                "the loop copy every piece once."
            )
            alternatives = _alternatives(module, loop, statement, call, target, pieces, place)
            yield self.suspicion(module, call, message, {}, alternatives)


def _place(target: ast.Name, pieces: ast.List | ast.Tuple) -> int | None:
    """At which end the tensor itself stands among its pieces: 0 or the last."""
    own = [
        position
        for position, piece in enumerate(pieces.elts)
        if any(isinstance(node, ast.Name) and node.id == target.id for node in ast.walk(piece))
    ]
    last = len(pieces.elts) - 1
    if len(own) != 1 or own[0] not in (0, last) or not isinstance(pieces.elts[own[0]], ast.Name):
        return None
    return own[0]


def _carrying(module: Module, target: ast.Name, statement: ast.Assign) -> Loop | None:
    """The outermost loop that does nothing with the tensor but let it grow."""
    found = None
    scope = module.home(target)
    if scope is None:
        return None
    uses = module.uses_of(target.id, scope)
    if any(module.scope(use) is not scope for use in uses):
        # A function or comprehension that reads it may run in the loop.
        return None
    for loop in module.loops(statement):
        if not isinstance(loop, (ast.For, ast.AsyncFor, ast.While)):
            return None
        if any(module.inside(u, loop) and not module.inside(u, statement) for u in uses):
            break
        found = loop
    return found


def _runs_long(module: Module, loop: Loop, statement: ast.stmt) -> bool:
    """Whether a loop may have many rounds, as plain Python or over tensors."""
    if module.graph_mode:
        return False
    mode = module.mode(statement)
    iterable = loop.iter if isinstance(loop, (ast.For, ast.AsyncFor)) else None
    if iterable is None:
        return mode == "eager"
    kind = module.value(iterable).kind
    over_data = kind in ("dataset", "tensor") or (
        isinstance(iterable, ast.Call) and module.qualified(iterable.func) == "tensorflow.range"
    )
    if mode != "eager":
        return over_data
    return over_data or _is_counted(module, iterable)


def _is_counted(module: Module, iterable: ast.expr) -> bool:
    """Whether what a loop runs over is a range, data or rows, and no list of a few objects."""
    if isinstance(iterable, ast.Call):
        name = module.qualified(iterable.func) or ""
        if name in ("enumerate", "zip", "tqdm.tqdm", "tqdm.auto.tqdm", "tqdm.notebook.tqdm"):
            return any(
                _is_counted(module, each)
                or module.value(each).kind in ("dataset", "tensor", "array", "iterator")
                for each in iterable.args
            )
        return name in ("range", "tqdm.trange", "tqdm.auto.trange")
    return _facts.facts(module, iterable).side in ("array", "tensor")


def _text(module: Module, loop: Loop) -> str:
    return f"the loop at line {module.site(loop).line}"


def _alternatives(
    module: Module,
    loop: Loop,
    statement: ast.Assign,
    call: ast.Call,
    target: ast.Name,
    pieces: ast.List | ast.Tuple,
    place: int,
) -> tuple[Alternative, ...]:
    """A list that begins with the tensor, filled in the loop and put together after it."""
    axis = module.argument(call, 1, "axis")
    assert isinstance(loop, (ast.For, ast.AsyncFor, ast.While))
    if axis is None or place != 0 or module.mode(statement) != "eager":
        return ()
    if "#" in module.text(statement):
        # A comment in it would be lost.
        return ()
    if not isinstance(module.constant(axis), int) or _loops.on_tape(module, statement):
        return ()
    if not (module.editable(loop) and module.editable(statement)) or not _starts_as_tensor(
        module, target, loop
    ):
        return ()
    names = module.free_name(f"{target.id}_pieces")
    others = [module.text(each) for each in pieces.elts if each is not pieces.elts[place]]
    grown = f"{names}.append({others[0]})" if len(others) == 1 else None
    grown = grown or f"{names}.extend([{', '.join(others)}])"
    concat = module.text(call.func)
    edits = (
        module.insert(loop, f"{names} = [{target.id}]"),
        module.replace(statement, grown),
        module.insert_after(loop, f"{target.id} = {concat}({names}, axis={module.text(axis)})"),
    )
    safe = not _may_be_left(module, loop)
    return (
        Alternative(
            "a list and one concatenation",
            "safe" if safe else "unsafe",
            edits,
            note="" if safe else NOTE,
        ),
    )


def _starts_as_tensor(module: Module, target: ast.Name, loop: Loop) -> bool:
    """Whether the name surely is a tensor when the loop begins."""
    scope = module.home(target)
    if scope is None:
        return False
    before = [
        each for each in module.scopes[scope][target.id] if not module.inside(each.node, loop)
    ]
    return bool(before) and all(
        each.kind == "assign"
        and not each.path
        and each.value is not None
        and (
            module.value(each.value).kind == "tensor"
            or _facts.facts(module, each.value).side == "tensor"
        )
        for each in before
    )


def _may_be_left(module: Module, loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    """Whether code may look at the tensor before the line after the loop has run."""
    caught = any(
        isinstance(each, ast.Try) or (isinstance(each, ast.With) and _suppresses(module, each))
        for each in module.ancestors(loop)
    )
    leaves = any(isinstance(n, (ast.Return, ast.Yield, ast.YieldFrom)) for n in ast.walk(loop))
    return caught or leaves or bool(loop.orelse)


def _suppresses(module: Module, statement: ast.With) -> bool:
    return any(
        isinstance(item.context_expr, ast.Call)
        and module.qualified(item.context_expr.func) == "contextlib.suppress"
        for item in statement.items
    )
