"""TF209: a setting that makes compiled functions or pipelines run op by op."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.graphs import _tracing
from unslow.catalogue.page import Page, claim, cost_of, count_text, matters, seconds_text
from unslow.finding import Claim, Finding
from unslow.recording.data import Recording, Setting

DATA_DEBUG = "tf.data debug mode"

SPELLING = {
    "run_functions_eagerly": "`tf.config.run_functions_eagerly(True)`",
    "run_eagerly": "`run_eagerly=True`",
    DATA_DEBUG: "`tf.data.experimental.enable_debug_mode()`",
}


class EagerForced(Page):
    """A debugging switch is on: what should run compiled runs op by op in Python.

    ## What it is
    `tf.config.run_functions_eagerly(True)`, `model.compile(run_eagerly=True)` or
    `tf.data.experimental.enable_debug_mode()` was left in the program after debugging.

    ## Why it is slow
    Every `tf.function`, each step of `fit`, or every stage of each input pipeline becomes
    Python again: some tens of microseconds for each op, nothing fused, nothing in
    parallel. Often 10x to 25x slower for small models.

    ## When it does not matter
    While debugging. Functions of few, very large ops.

    ## What to do
    Remove the line, or put it under a flag: `if debug:`. To look into one function call its
    `python_function`; for values inside a compiled one use `tf.print`.

    ## Safety of the fix
    The results are the same but for the last digits, provided that the functions can be
    traced: Python side effects in them, `.numpy()` calls and Python's random numbers worked
    op by op and do not when compiled. Where the line stands under a condition, leave it.
    """

    code = "TF209"
    name = "eager-forced"

    slow = """\
import tensorflow as tf

tf.config.run_functions_eagerly(True)  # <- slow

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    for _ in range(40):
        state = tf.tanh(state @ weights) + 0.1 * state
    return tf.nn.l2_normalize(state, axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
for step in range(500):
    state = simulate(state)
print("energy", round(float(tf.reduce_sum(state * state)), 3))
"""

    fast = """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    for _ in range(40):
        state = tf.tanh(state @ weights) + 0.1 * state
    return tf.nn.l2_normalize(state, axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
for step in range(500):
    state = simulate(state)
print("energy", round(float(tf.reduce_sum(state * state)), 3))
"""

    fine = (
        """\
import os

import tensorflow as tf

debug = os.environ.get("SIMULATION_DEBUG") == "1"
tf.config.run_functions_eagerly(debug)
weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    for _ in range(40):
        state = tf.tanh(state @ weights) + 0.1 * state
    return tf.nn.l2_normalize(state, axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
for step in range(200):
    state = simulate(state)
print("energy", round(float(tf.reduce_sum(state * state)), 3))
""",
        """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    return tf.nn.l2_normalize(tf.tanh(state @ weights), axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
tf.config.run_functions_eagerly(True)
checked = simulate(state)
tf.config.run_functions_eagerly(False)
for step in range(50):
    state = simulate(state)
print("equal", bool(tf.reduce_all(tf.abs(checked) < 1)))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that switched a slow mode on, where what ran in it took its time."""
        for setting in recording.settings:
            cost = cost_of(_claims(recording, setting), calls=setting.calls)
            if not matters(recording, cost.seconds) or _is_computing(setting, cost.seconds):
                continue
            evidence = {
                "calls": setting.calls,
                "seconds": cost.seconds,
                "setting": setting.name,
                "ops": setting.ops,
            }
            spelling = SPELLING.get(setting.name, setting.name)
            if setting.name == DATA_DEBUG:
                message = (
                    f"{spelling} makes input pipelines run in Python, one element at a time; the "
                    f"program waited {seconds_text(cost.seconds)} for elements."
                )
            else:
                message = (
                    f"{spelling} switches compiling off: {count_text(setting.calls)} calls ran "
                    f"{count_text(setting.ops)} ops one by one in {seconds_text(cost.seconds)}."
                )
            yield self.problem(setting.site.at_line, message, cost, evidence)


def _is_computing(setting: Setting, seconds: float) -> bool:
    """Whether the ops are so large that running them one by one costs little."""
    return bool(setting.ops) and seconds > _tracing.MOST_OP_SECONDS * setting.ops


def _claims(recording: Recording, setting: Setting) -> tuple[Claim, ...]:
    if setting.name != DATA_DEBUG:
        return tuple(claim for claim in setting.claims if claim.part != "recorder")
    return setting.claims or tuple(
        claim(row.site, part, seconds)
        for row in recording.iterations
        for part, seconds in (
            ("input", row.wait_seconds - row.bridge_seconds),
            ("bridge", row.bridge_seconds),
        )
        if seconds > 0
    )
