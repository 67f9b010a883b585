"""TF504: checks and logs for debugging that were left on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.machine import _settings
from unslow.catalogue.page import Page
from unslow.finding import Alternative, Finding, Safety

if TYPE_CHECKING:
    from unslow.source.module import Module

CHECK = "tensorflow.debugging.enable_check_numerics"
UNCHECK = "tensorflow.debugging.disable_check_numerics"
LOG = "tensorflow.debugging.set_log_device_placement"
DETERMINISM = (
    "tensorflow.config.enable_op_determinism",
    "tensorflow.config.experimental.enable_op_determinism",
)


class DebugChecks(Page):
    """A check or log that helps in debugging is on in the finished program.

    ## What it is
    `tf.debugging.enable_check_numerics()`, `tf.debugging.set_log_device_placement(True)`,
    or `enable_op_determinism()` in a program that sets no seed.

    ## Why it is slow
    The check of numbers adds an op to each op and reads all it computed for `inf` and
    `nan`. Small eager ops are often 100x slower with it, small compiled ones 8x, training with
    `fit` 1.5x. The log prints a line for every op that is placed: calls of `predict`
    and new pipelines take often 1.5x as long. Determinism replaces fast kernels by ordered ones and
    runs some parts of the pipeline one after the other; without a seed the results
    differ from run to run all the same.

    ## When it does not matter
    While debugging. Determinism with a seed is a wish of its own, whatever it costs.

    ## What to do
    Remove the line, or put it under a flag: `if debug:`. Where only some tensors can go
    wrong, `tf.debugging.check_numerics` looks at those alone.

    ## Safety of the fix
    A program that ran to its end gives the same results without the check and without the
    log; one with `nan` in it no longer stops there. Without determinism some ops
    sum in another order from run to run.
    """

    code = "TF504"
    name = "debug-checks"

    slow = """\
import tensorflow as tf

tf.debugging.enable_check_numerics()  # <- slow

weights = tf.random.stateless_normal((64, 64), seed=(1, 2)) * 0.15


@tf.function
def simulate(state):
    for _ in range(40):
        state = tf.tanh(state @ weights) + 0.1 * state
    return tf.nn.l2_normalize(state, axis=-1)


state = tf.random.stateless_normal((1, 64), seed=(3, 4))
for step in range(300):
    state = simulate(state)
print("energy", round(float(tf.reduce_sum(state * state)), 3))
"""

    fast = slow.replace("tf.debugging.enable_check_numerics()  # <- slow\n\n", "")

    fine = (
        """\
import os

import tensorflow as tf

debug = os.environ.get("SIMULATION_DEBUG") == "1"
if debug:
    tf.debugging.enable_check_numerics()
tf.debugging.set_log_device_placement(False)
tf.keras.utils.set_random_seed(21)
tf.config.experimental.enable_op_determinism()

state = tf.random.normal((1, 64))
checked = tf.debugging.check_numerics(state, "the state")
print(f"mean {float(tf.reduce_mean(checked)):.4f}")
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Calls that switch a check or a log on, and that no condition or counterpart limits."""
        if next(module.calls_to(UNCHECK), None) is None:
            for call in module.calls_to(CHECK):
                message = (
                    "Every op is followed by a check of all its numbers; that is for debugging "
                    "and costs several times what small ops do."
                )
                caught = _catches_numbers(module)
                note = "an error of the check that the program catches no longer comes"
                yield from self._found(module, call, message, note if caught else "")
        logs = list(module.calls_to(LOG))
        if all(_is_on(module, call) for call in logs) and _works(module):
            for call in logs[:1]:
                message = (
                    "A line is printed for every op that is placed: each time a function is "
                    "traced, a pipeline made or `predict` called."
                )
                yield from self._found(module, call, message, "")
        if not _settings_seed(module):
            for call in module.calls_to(*DETERMINISM):
                message = (
                    "Ops are made deterministic, at the cost of their speed, but no seed is set: "
                    "the results differ from run to run all the same."
                )
                note = "ops may sum in another order from run to run"
                yield from self._found(module, call, message, note)

    def _found(self, module: Module, call: ast.Call, message: str, note: str) -> Iterator[Finding]:
        statement = module.statement(call)
        if not _settings.always(module, call):
            return
        alternatives: tuple[Alternative, ...] = ()
        alone = isinstance(statement, ast.Expr) and statement.value is call
        if alone and module.editable(statement):
            edits = (module.delete(statement),)
            safety: Safety = "unsafe" if note else "safe"
            alternatives = (Alternative("remove the line", safety, edits, note=note),)
        yield self.suspicion(module, call, message, alternatives=alternatives)


def _is_on(module: Module, call: ast.Call) -> bool:
    given = module.argument(call, 0, "enabled")
    return given is not None and module.constant(given) is True


def _works(module: Module) -> bool:
    """Whether a module trains or predicts, and does not only look where its ops are placed."""
    return any(
        next(module.calls_of(method, "model"), None) is not None
        for method in ("fit", "fit_generator", "evaluate", "predict", "train_on_batch")
    ) or any(module.repetition(call) for call in module.calls_to("tensorflow.GradientTape"))


def _catches_numbers(module: Module) -> bool:
    """Whether the program catches errors, so that the check may be part of what it does."""
    return next(iter(module.nodes(ast.ExceptHandler)), None) is not None


def _settings_seed(module: Module) -> bool:
    """Whether a seed is set, here or by something that is not known here."""
    names = {node.id for node in module.nodes(ast.Name)}
    names |= {node.attr for node in module.nodes(ast.Attribute)}
    names |= {alias.name for alias in module.nodes(ast.alias)}
    return any("seed" in name.lower() or "reproducib" in name.lower() for name in names)
