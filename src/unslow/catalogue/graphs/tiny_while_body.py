"""TF206: a loop in a graph whose body is next to nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _source
from unslow.catalogue.page import Page, count_text
from unslow.finding import Finding

if TYPE_CHECKING:
    from unslow.source.module import Module

LEAST_ROUNDS = 100


class TinyWhileBody(Page):
    """A `tf.range` loop in a compiled function does arithmetic on single numbers.

    ## What it is
    `for i in tf.range(n):` or `tf.while_loop` in a `tf.function`, with a body that only
    adds and multiplies numbers, one at a time.

    ## Why it is slow
    Each op of each round is scheduled by TensorFlow's executor, and the round itself costs
    tens of microseconds for its counter, its condition and its hand-over of values. The
    arithmetic takes nanoseconds. The same on whole tensors is often 10x faster.

    ## When it does not matter
    Few rounds. Bodies with work in them, such as a matrix product. Rounds that need each
    other's results and end on a condition, where no closed form is known.

    ## What to do
    Write the loop as ops on whole tensors: `tf.range` as a vector, `tf.cumsum`,
    `tf.math.cumprod`, `tf.reduce_sum`. Where rounds need each other, `jit_compile=True`
    compiles the body to machine code. Or use NumPy or Python for it, outside the graph.

    ## Safety of the fix
    Advice only. Sums on whole tensors add in another order: the last digits of floats
    differ.
    """

    code = "TF206"
    name = "tiny-while-body"

    slow = """\
import tensorflow as tf


@tf.function
def discounted(rate):
    total = tf.constant(0.0)
    factor = tf.constant(1.0)
    for day in tf.range(10000):  # <- slow
        total += factor * tf.cast(day % 7, tf.float32)
        factor *= rate
    return total


print("total", round(float(discounted(tf.constant(0.999)))))
"""

    fast = """\
import tensorflow as tf


@tf.function
def discounted(rate):
    days = tf.range(10000)
    factors = rate ** tf.cast(days, tf.float32)
    return tf.reduce_sum(factors * tf.cast(days % 7, tf.float32))


print("total", round(float(discounted(tf.constant(0.999)))))
"""

    fine = (
        """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.1
steps = tf.Variable(0)


@tf.function
def train(state, rounds):
    total = tf.constant(0.0)
    for _ in tf.range(rounds):
        state = tf.tanh(state @ weights) + 0.1 * state
        total += tf.reduce_mean(state)
    return total


@tf.function
def root(value):
    guess = value
    for _ in tf.range(6):
        guess = 0.5 * (guess + value / guess)
    return guess


@tf.function
def search(limits):
    low = limits
    for step in tf.range(40):
        steps.assign_add(1)
        low = tf.where(low * low < 2.0, low + 0.01, low)
    return low


def compound(rate):
    value = 1.0
    for _ in range(5000):
        value *= rate
    return value


state = tf.random.stateless_normal((8, 64), seed=(3, 4))
print("finite", bool(tf.math.is_finite(train(state, tf.constant(100)))))
print("root", round(float(root(tf.constant(2.0))), 3), round(compound(1.0001), 3))
print("searched", search(tf.zeros(64)).shape, int(steps))
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Loops over a large `tf.range` in compiled code that only reckon with single numbers."""
        for loop in module.nodes(ast.For):
            if not isinstance(loop.iter, ast.Call) or module.graph_mode:
                continue
            if module.qualified(loop.iter.func) != "tensorflow.range":
                continue
            count = _rounds(module, loop.iter)
            if count is None or count < LEAST_ROUNDS or module.mode(loop.body[0]) != "compiled":
                continue
            compiled = module.compilation(loop)
            if compiled is None or _source.has_option(
                compiled, "jit_compile", "experimental_compile"
            ):
                continue
            if module.guarded(loop) or not all(_reckons(module, each) for each in loop.body):
                continue
            message = (
                f"Each of the {count_text(count)} rounds of this loop in the graph only reckons "
                "with single numbers, and a round costs far more than that; ops on whole tensors "
                "do it at once."
            )
            yield self.suspicion(module, loop, message, {"rounds": count})


def _rounds(module: Module, call: ast.Call) -> int | None:
    """How many rounds a loop over this `tf.range` has, where the source says it."""
    bounds = [module.constant(each) for each in call.args]
    if not 1 <= len(bounds) <= 3 or any(type(bound) is not int for bound in bounds):
        return None
    try:
        return len(range(*bounds))
    except (ValueError, OverflowError):
        return None


def _reckons(module: Module, statement: ast.stmt) -> bool:
    """Whether a statement only gives a name another single number."""
    if isinstance(statement, ast.AugAssign):
        return (
            isinstance(statement.target, ast.Name)
            and _source.is_single(module, statement.target)
            and _source.is_single(module, statement.value)
        )
    return (
        isinstance(statement, ast.Assign)
        and all(isinstance(each, ast.Name) for each in statement.targets)
        and _source.is_single(module, statement.value)
    )
