"""TF503: half precision where the machine computes it slower."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.machine import _settings
from unslow.catalogue.page import Page
from unslow.finding import Alternative, Finding

if TYPE_CHECKING:
    from unslow.source.module import Module

SETTERS = (
    "keras.config.set_dtype_policy",
    "keras.mixed_precision.experimental.set_policy",
    "keras.mixed_precision.set_dtype_policy",
    "keras.mixed_precision.set_global_policy",
)
POLICIES = (
    "keras.DTypePolicy",
    "keras.dtype_policies.DTypePolicy",
    "keras.mixed_precision.DTypePolicy",
    "keras.mixed_precision.Policy",
    "keras.mixed_precision.experimental.Policy",
)
VISIBLE = (
    "tensorflow.config.experimental.set_visible_devices",
    "tensorflow.config.set_visible_devices",
)


class PrecisionPolicy(Page):
    """Mixed float16 precision is switched on in a program that runs on the processor.

    ## What it is
    The policy `mixed_float16` in a program that hides the GPUs from TensorFlow.

    ## Why it is slow
    Half precision pays on a GPU with units for it. Most processors have none: they turn
    float16 into float32 before each op and back after it, and some ops have no fast
    float16 form at all. Training convolutions and recurrent layers is often 2x to 4x slower
    than in float32, on older processors far more.

    ## When it does not matter
    On processors that compute in float16 or bfloat16 by themselves, for models that spend
    their time in dense layers, and where halving the memory is what is wanted.

    ## What to do
    Choose the policy by the machine:
    `if tf.config.list_physical_devices("GPU"): …`. On a processor stay with float32, or
    measure `mixed_bfloat16`, which needs no loss scaling.

    ## Safety of the fix
    Without the policy the model computes in float32: results change in the third digit
    or so, and become more accurate. The optimizer no longer scales the loss.
    """

    code = "TF503"
    name = "precision-policy"

    slow = """\
import numpy as np
import tensorflow as tf

tf.config.set_visible_devices([], "GPU")
tf.keras.mixed_precision.set_global_policy("mixed_float16")  # <- slow
tf.keras.utils.set_random_seed(20)
signals = np.random.default_rng(32).normal(size=(128, 256, 16)).astype("float32")

model = tf.keras.Sequential([tf.keras.Input((256, 16))])
model.add(tf.keras.layers.Conv1D(64, 5, activation="relu"))
model.add(tf.keras.layers.Conv1D(64, 5, activation="relu"))
model.add(tf.keras.layers.GlobalMaxPooling1D())
model.add(tf.keras.layers.Dense(1, dtype="float32"))
model.compile("sgd", "mse")
history = model.fit(signals, np.full((128, 1), 2.0), epochs=4, verbose=0)
print("learned", history.history["loss"][-1] < history.history["loss"][0])
"""

    fast = slow.replace(
        'tf.keras.mixed_precision.set_global_policy("mixed_float16")  # <- slow\n', ""
    )

    fine = (
        """\
import tensorflow as tf

if tf.config.list_physical_devices("GPU"):
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
else:
    tf.keras.mixed_precision.set_global_policy("float32")
model = tf.keras.Sequential([tf.keras.Input((16,)), tf.keras.layers.Dense(1)])
print(model.count_params())
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Half precision in a program that hides every GPU from TensorFlow."""
        for call in module.calls_to(*SETTERS):
            given = call.args[0] if call.args else None
            if given is None or not _is_half(module, given) or not _settings.always(module, call):
                continue
            if not _on_the_processor(module, call):
                continue
            message = (
                "The policy asks for float16 while no GPU is visible to TensorFlow; most "
                "processors compute float16 slower than float32."
            )
            alternatives: tuple[Alternative, ...] = ()
            statement = module.statement(call)
            if (
                isinstance(statement, ast.Expr)
                and statement.value is call
                and module.editable(statement)
            ):
                note = "the model computes in float32: results change in the third digit or so"
                edits = (module.delete(statement),)
                alternatives = (Alternative("stay with float32", "unsafe", edits, note=note),)
            yield self.suspicion(module, call, message, alternatives=alternatives)


def _is_half(module: Module, expression: ast.expr) -> bool:
    if module.constant(expression) == "mixed_float16":
        return True
    if isinstance(expression, ast.Name):
        bindings = module.bindings(expression) or []
        if len(bindings) != 1 or bindings[0].path or bindings[0].value is None:
            return False
        expression = bindings[0].value
    return (
        isinstance(expression, ast.Call)
        and module.qualified(expression.func) in POLICIES
        and bool(expression.args)
        and module.constant(expression.args[0]) == "mixed_float16"
    )


def _on_the_processor(module: Module, call: ast.Call) -> bool:
    """Whether the code around a call surely hides all GPUs."""
    hiding: list[ast.AST] = [other for other in module.calls_to(*VISIBLE) if _hides(module, other)]
    hiding += [
        statement
        for statement, value in _settings.environment(module, "CUDA_VISIBLE_DEVICES")
        if value.strip() in ("", "-1")
    ]
    return any(
        _settings.always(module, node) and module.function(node) in (None, module.function(call))
        for node in hiding
    )


def _hides(module: Module, call: ast.Call) -> bool:
    devices = module.argument(call, 0, "devices")
    kind = module.argument(call, 1, "device_type")
    if devices is None or kind is None:
        return False
    return module.constant(devices) in ([], ()) and module.constant(kind) == "GPU"
