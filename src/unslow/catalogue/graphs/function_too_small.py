"""TF213: a compiled function around next to nothing, called very often."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.page import Page, by_line, claim, cost_of, count_text, matters, seconds_text
from unslow.finding import Finding
from unslow.recording.data import Recording

MOST_NODES = 8
"""Inputs, constants and results are nodes too: about four ops are left."""

LEAST_CALLS = 500
MOST_SECONDS_PER_CALL = 5e-4


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
