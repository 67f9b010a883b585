"""TF205: a Python loop in a compiled function, copied into its graph round by round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _source
from unslow.catalogue.page import Page, count_text
from unslow.finding import Alternative, Finding
from unslow.source.flow import rounds
from unslow.source.inference import own_nodes
from unslow.source.values import is_tensor_function

if TYPE_CHECKING:
    from unslow.source.module import Module

LEAST_ROUNDS = 100
"""Networks have dozens of layers, and unrolling those is right."""

_SHAPING_NAMES = """
    boolean_mask concat expand_dims gather pad repeat reshape slice squeeze stack strided_slice tile
    transpose
"""
_SHAPING = frozenset(f"tensorflow.{name}" for name in _SHAPING_NAMES.split())


class UnrolledLoop(Page):
    """A compiled function holds a Python `range` loop of many rounds.

    ## What it is
    `for _ in range(500):` in a `tf.function`, with TensorFlow ops in its body. The Python
    loop runs while the function is traced, so the graph holds the body 500 times.

    ## Why it is slow
    Every op of every round is a node that is made in Python, then optimised, placed and
    kept in memory. Tracing grows with the number of rounds, gradients double it, and XLA
    takes longer still. The first call then takes seconds or minutes, and so does the first
    after each retrace. With `tf.range` the graph holds the body once: tracing is often 10x
    faster.

    ## When it does not matter
    A few rounds, such as the layers of a network: there unrolling is right, as an unrolled
    graph runs up to 4x faster than a loop of small ops. A function that is traced once and
    then runs for hours.

    ## What to do
    Do the work of all rounds in ops on whole tensors where the rounds do not need each
    other. Where they do, write `for _ in tf.range(500):`, and measure both: the loop traces
    faster and runs slower.

    ## Safety of the fix
    The counter becomes a tensor: it cannot index a Python list or stand in an f-string. Names
    that the body binds must exist before the loop, and keep their shape and dtype from round
    to round. Python lists cannot be appended to; use a `TensorArray`. Random ops with a fixed
    seed draw other numbers.
    """

    code = "TF205"
    name = "unrolled-loop"

    slow = """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.1


@tf.function
def simulate(state):
    for _ in range(500):  # <- slow
        state = state + 0.01 * tf.tanh(state @ weights)
    return tf.reduce_mean(state * state)


state = tf.random.stateless_normal((8, 64), seed=(3, 4))
print("energy", round(float(simulate(state)), 3))
"""

    fast = """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.1


@tf.function
def simulate(state):
    for _ in tf.range(500):
        state = state + 0.01 * tf.tanh(state @ weights)
    return tf.reduce_mean(state * state)


state = tf.random.stateless_normal((8, 64), seed=(3, 4))
print("energy", round(float(simulate(state)), 3))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

LAYERS = 6
weights = [tf.random.stateless_normal((32, 32), seed=(n, 2)) * 0.2 for n in range(LAYERS)]


def table(rows):
    squares = []
    for row in range(rows):
        squares.append(row * row)
    return np.asarray(squares, np.float32)


@tf.function
def forward(x, rounds):
    bias = 0.0
    for number in range(1000):
        bias += 1.0 / (1 + number)
    for layer in range(LAYERS):
        x = tf.nn.relu(x @ weights[layer])
    for weight in weights:
        x = tf.nn.relu(x @ weight)
    for _ in tf.range(rounds):
        x = tf.nn.relu(x @ weights[0])
    return tf.reduce_sum(x) + bias


def checked(x):
    for _ in range(200):
        x = tf.clip_by_value(x, -1.0, 1.0)
    return x


state = checked(tf.random.stateless_normal((8, 32), seed=(3, 4)))
print("table", int(table(200).sum()))
print("finite", bool(tf.math.is_finite(forward(state, tf.constant(50)))))
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Loops over a large `range` in compiled code, with ops in their bodies."""
        for loop in module.nodes(ast.For):
            if not isinstance(loop.iter, ast.Call) or module.graph_mode:
                continue
            count = rounds(module, loop) if module.qualified(loop.iter.func) == "range" else None
            if count is None or count < LEAST_ROUNDS or module.mode(loop.body[0]) != "compiled":
                continue
            ops = _ops(module, loop)
            if not ops or module.guarded(loop) or any(_leaves(node) for node in own_nodes(loop)):
                continue
            message = (
                f"This Python loop runs while the function is traced: its graph holds the "
                f"{len(ops)} op{'s' if len(ops) > 1 else ''} of the body "
                f"{count_text(count)} times."
            )
            evidence = {"rounds": count, "ops": len(ops)}
            yield self.suspicion(module, loop, message, evidence, _in_graph(module, loop))


def _leaves(node: ast.AST) -> bool:
    """Whether a statement may end a loop before its last round."""
    return isinstance(node, (ast.Break, ast.Return, ast.Raise))


def _ops(module: Module, loop: ast.For) -> list[ast.AST]:
    """What surely becomes a node of the graph in each round."""
    found: list[ast.AST] = []
    for node in own_nodes(loop):
        if isinstance(node, ast.Call):
            callee = module.value(node.func)
            if callee.kind == "external" and is_tensor_function(callee.name):
                found.append(node)
        elif isinstance(node, ast.BinOp) and module.value(node).kind == "tensor":
            found.append(node)
    return [node for node in found if _source.each_round(module, node, loop)]


def _in_graph(module: Module, loop: ast.For) -> tuple[Alternative, ...]:
    """`tf.range`, where the loop surely means the same as one in the graph."""
    assert isinstance(loop.iter, ast.Call)
    function = module.function(loop)
    compiled = module.compilation(loop)
    if (
        function is None
        or compiled is None
        or _source.option(compiled, "autograph") is not None
        or module.function(function) is not None
        or not module.editable(loop.body[-1])
        or not isinstance(loop.target, ast.Name)
        or module.uses_of(loop.target.id, function)[1:]
        or loop.orelse
        or any(not _plain(module, node) for node in own_nodes(loop))
        or not _carried(module, loop, function)
    ):
        return ()
    tf, edits = module.imported("tensorflow")
    edits += (module.replace(loop.iter.func, f"{tf}.range"),)
    note = (
        "The loop traces faster and runs slower than its unrolled form: measure both. What the "
        "body binds must keep its shape and dtype from round to round, and random ops draw other "
        "numbers."
    )
    return (Alternative("a loop in the graph", "unsafe", edits, note=note),)


def _plain(module: Module, node: ast.AST) -> bool:
    """Whether a node of a loop's body does in a graph what it does in Python."""
    if isinstance(node, ast.stmt):
        if isinstance(node, ast.Assign):
            return all(isinstance(each, ast.Name) for each in node.targets)
        return isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    if isinstance(node, ast.Call):
        callee = module.value(node.func)
        return (
            callee.kind == "external"
            and is_tensor_function(callee.name)
            and callee.name not in _SHAPING
        )
    return isinstance(
        node,
        (
            *(ast.BinOp, ast.UnaryOp, ast.Name, ast.Attribute, ast.Constant, ast.keyword),
            *(ast.expr_context, ast.operator, ast.unaryop, ast.Tuple),
        ),
    )


def _carried(module: Module, loop: ast.For, function: ast.AST) -> bool:
    """Whether the names a body binds are tensors before it, or are not used outside of it."""
    for name in {n.id: n for n in own_nodes(loop) if isinstance(n, ast.Name)}.values():
        home = module.home(name)
        bindings = [] if home is None else module.scopes[home][name.id]
        if not any(module.inside(each.node, loop) for each in bindings):
            continue
        if home is not function:
            return False
        outside = [each for each in bindings if not module.inside(each.node, loop)]
        if not outside and any(
            not module.inside(use, loop) for use in module.uses_of(name.id, home)
        ):
            return False
        if outside and not all(
            module.project.inference.bound(each, module, None).kind == "tensor" for each in outside
        ):
            return False
    return True
