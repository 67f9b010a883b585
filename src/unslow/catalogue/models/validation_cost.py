"""TF409: validation that takes longer than the training it watches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.models import _source
from unslow.catalogue.page import Page
from unslow.finding import Finding

if TYPE_CHECKING:
    import ast

    from unslow.source.module import Module

TIMES_LONGER = 3
LEAST_EPOCHS = 3
LARGE_SPLIT = 0.8


class ValidationCost(Page):
    """After every short epoch `fit` works through validation data that are larger than it.

    ## What it is
    `fit` with `validation_data`, where an epoch trains for a few steps and the validation
    after it takes many more.

    ## Why it is slow
    `fit` runs the whole validation after each epoch. A validation step has no gradient but
    the same trip through Keras, so it costs a good part of a training step. With epochs
    of ten steps and a validation of hundreds most of the time goes into numbers that
    hardly change from one epoch to the next: often 10x of what training alone needs.

    ## When it does not matter
    Where an epoch trains for much longer than the validation takes, which is the usual
    case. Metrics are rarely the cost: `AUC` adds little to a step on a processor.

    ## What to do
    Validate less often, `fit(validation_freq=10)`, or on a part, `validation_steps=50`;
    make epochs longer with `steps_per_epoch`. Without gradients there is room for more rows
    at a time: `validation_batch_size=1024` for arrays, a larger `batch` for a dataset.

    ## Safety of the fix
    Training gives the same weights. The history has fewer validation entries, and callbacks
    that look at `val_loss`, such as `EarlyStopping`, see it only in the epochs that
    have it. Batches of another size give the same metrics up to rounding; fewer
    validation steps do not.
    """

    code = "TF409"
    name = "validation-cost"

    slow = """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(16)
rng = np.random.default_rng(28)
rows = rng.normal(size=(10_000, 20)).astype("float32")
wanted = rows @ rng.normal(size=(20, 1)).astype("float32")
held_out = tf.data.Dataset.from_tensor_slices((rows[:9_600], wanted[:9_600])).batch(32)
training = tf.data.Dataset.from_tensor_slices((rows[9_600:], wanted[9_600:])).batch(40)

model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
history = model.fit(  # <- slow
    training.repeat(),
    epochs=8,
    steps_per_epoch=10,
    validation_data=held_out,
    validation_steps=300,
    verbose=0,
)
print(f"validation loss {history.history['val_loss'][-1]:.4f}")
"""

    fast = slow.replace(
        "    validation_steps=300,\n", "    validation_steps=300,\n    validation_freq=8,\n"
    ).replace("  # <- slow", "")

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(17)
rng = np.random.default_rng(29)
rows = rng.normal(size=(12_000, 20)).astype("float32")
wanted = rows.sum(axis=1)
training = tf.data.Dataset.from_tensor_slices((rows, wanted)).batch(64).repeat()

model = tf.keras.Sequential([tf.keras.Input((20,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(
    training,
    epochs=3,
    steps_per_epoch=100,
    validation_data=(rows[:2_000], wanted[:2_000]),
    validation_steps=30,
    verbose=0,
)
print(model.count_params())
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """`fit` calls that say themselves that a validation takes more steps than an epoch."""
        for call in module.calls_of("fit", "model"):
            if module.guarded(call) or module.has_star(call):
                continue
            if module.argument(call, None, "validation_freq") is not None:
                continue
            epochs = _source.number(module, call, 3, "epochs")
            if epochs is not None and epochs < LEAST_EPOCHS:
                continue
            if epochs is None and module.argument(call, 3, "epochs") is None:
                continue
            message = _message(module, call)
            if message:
                yield self.suspicion(module, call, message)


def _message(module: Module, call: ast.Call) -> str | None:
    steps = _source.number(module, call, None, "steps_per_epoch")
    validation = _source.number(module, call, None, "validation_steps")
    if steps and validation and validation >= TIMES_LONGER * steps:
        return (
            f"An epoch of {steps} steps is followed by a validation of {validation}, which takes "
            "longer than the training; `validation_freq` makes it rarer."
        )
    given = module.argument(call, None, "validation_split")
    share = None if given is None else module.constant(given)
    if isinstance(share, float) and LARGE_SPLIT <= share < 1:
        return (
            f"After every epoch {share:.0%} of the rows are validated and the others trained on; "
            "`validation_freq` makes the validation rarer."
        )
    return None
