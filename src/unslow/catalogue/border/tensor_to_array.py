"""TF103: tensors made into arrays in a loop."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.border import _facts, _lines, _loops
from unslow.catalogue.page import (
    Page,
    by_line,
    bytes_text,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Finding
from unslow.recording.data import Recording
from unslow.recording.samples import TensorRead
from unslow.source.values import is_tensor_function

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.bindings import Loop
    from unslow.source.module import Module

LEAST_CALLS = 20
LEAST_SECONDS_PER_CALL = 1e-5
"""Reading a number that is ready, on a CPU, is quicker than that."""

LEAST_NUMBERS = 1000
"""Tensors that the source shows to be smaller are copied in no time."""

READ = "np.asarray, without a copy"

ROUNDS = 4

READ_NOTE = (
    "On a CPU the array is a view of the tensor: it can be read but not written into, and keeps "
    "the tensor's memory for as long as it lives."
)

WAYS = {
    "numpy": ".numpy()",
    "_numpy": ".numpy()",
    "__array__": "a NumPy function",
    "__float__": "float()",
    "__int__": "int()",
    "__bool__": "a truth test",
    "__index__": "an index",
}


class TensorToArray(Page):
    """A loop takes tensors out of TensorFlow: `.numpy()`, `float()`, NumPy functions.

    ## What it is
    In every iteration a tensor is made into an array or a number, by `.numpy()`, `float()`,
    `int()`, an `if`, or by handing it to a NumPy function, which does the same silently.

    ## Why it is slow
    `.numpy()` copies the whole tensor, however little of it is then used: about 10 ms for an
    image of 25 MB in fresh memory. A NumPy function reads a tensor on the CPU in place, but
    one on a GPU is copied by all of these. There the program also waits until everything
    queued before has finished, and the device idles until Python sends more. Going back
    into a tensor copies once again.

    ## When it does not matter
    Once at the end, or once per epoch. A single number per step on a CPU costs some
    microseconds. Results that must leave TensorFlow have to be copied once.

    ## What to do
    Stay on one side for the whole loop: slice and reduce as tensors and take out the small
    result, or make one array before the loop and use NumPy throughout. Keep numbers such as
    the loss as tensors and read them every hundredth step, or all together at the end.

    ## Safety of the fix
    Advice only. Sums in another order differ in the last digits, and a NumPy function can
    have another result type than its twin in TensorFlow. What the program prints or stores
    in each step changes if it is read less often.
    """

    code = "TF103"
    name = "tensor-to-array"

    slow = """\
import numpy as np
import tensorflow as tf

photos = tf.random.stateless_uniform((4, 1080, 1920, 3), seed=(1, 2))
rng = np.random.default_rng(0)

brightness = 0.0
for number in range(400):
    y, x = rng.integers(0, 1000, 2)
    photo = photos[number % 4].numpy()  # <- slow
    brightness += photo[y : y + 64, x : x + 64].mean()
print("brightness", round(float(brightness), 2))
"""

    fast = """\
import numpy as np
import tensorflow as tf

photos = tf.random.stateless_uniform((4, 1080, 1920, 3), seed=(1, 2))
rng = np.random.default_rng(0)

brightness = 0.0
for number in range(400):
    y, x = rng.integers(0, 1000, 2)
    patch = photos[number % 4, y : y + 64, x : x + 64]
    brightness += tf.reduce_mean(patch)
print("brightness", round(float(brightness), 2))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

frames = tf.random.stateless_uniform((8, 360, 640, 3), seed=(1, 2))

blurred = frames
for level in range(20):
    blurred = tf.nn.avg_pool2d(blurred, 3, strides=1, padding="SAME")
result = blurred.numpy()
print("mean", round(float(np.mean(result)), 2))
""",
        """\
import tensorflow as tf

features = tf.random.stateless_normal((4000, 300), seed=(1, 2))
labels = tf.reduce_sum(features[:, :5], axis=1, keepdims=True)
weights = tf.Variable(tf.zeros((300, 1)))


@tf.function
def step():
    error = features @ weights - labels
    weights.assign_sub(tf.matmul(features, error, transpose_a=True) / 10_000)
    return tf.reduce_mean(error**2)


losses = [float(step()) for number in range(150)]
print("loss", round(losses[-1], 3))
""",
        """\
import numpy as np
import tensorflow as tf

weights = tf.random.stateless_normal((300, 300), seed=(1, 2)) / 17
state = tf.random.stateless_normal((300, 300), seed=(3, 4))
history, sizes = [], [3, 5, 8]

for step in range(300):
    state = tf.tanh(tf.matmul(state, weights))
    if step % 100 == 0:
        history.append(state.numpy()[:, 0].mean())
    sizes.append(int(np.sqrt(sizes[-1] + step)))
final = state.numpy()
rows = [final[number, :10].sum() for number in range(300)]
print("history", len(history), "rows", len(rows), "last size", sizes[-1])

outputs = []
for batch in tf.data.Dataset.range(2000).batch(100):
    outputs.append(tf.cast(batch, tf.float32).numpy())
print("outputs", np.concatenate(outputs).shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines at which many tensors left TensorFlow, and that took its time."""
        for site, rows in by_line(row for row in recording.syncs if row.main):
            calls = sum(row.calls for row in rows)
            seconds = sum(row.seconds for row in rows)
            if calls < LEAST_CALLS or seconds < LEAST_SECONDS_PER_CALL * calls:
                continue
            cost = cost_of(
                _lines.claim_at_most(recording, site, "convert", seconds),
                calls=calls,
                nbytes=sum(row.bytes for row in rows),
            )
            if not matters(recording, cost.seconds):
                continue
            main = max(rows, key=lambda row: row.seconds)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "bytes": cost.bytes,
                "method": main.method,
                "seconds_per_call": seconds / calls,
            }
            message = (
                f"{count_text(calls)} tensors, {bytes_text(cost.bytes)} in all, left TensorFlow "
                f"through {WAYS.get(main.method, main.method)}: {seconds_text(seconds / calls)} "
                "each, the wait for their ops included."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """A copy of each tensor, against a view of it."""
        reads = samples.at(TensorRead, finding.site)
        if finding.evidence["method"] != "numpy" or not reads:
            yield Untried(
                "What to do instead depends on what the loop does with the values; no other "
                "way to read a tensor is any faster."
            )
            return
        if any("CPU" not in read.tensor.device for read in reads):
            yield Untried(
                "The tensors are on a device of their own: its queued ops are part of the time, "
                "and are over by now."
            )
            return
        import numpy as np

        tensors = [read.tensor for read in reads] * ROUNDS
        yield Trial(
            Way(".numpy()", lambda: [tensor.numpy() for tensor in tensors]),
            (Way(READ, lambda: [np.asarray(tensor) for tensor in tensors], note=READ_NOTE),),
            f"{len(reads)} of your tensors",
            exhaustive=False,
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Copies of whole tensors in a loop that need not be made.

        The same tensor in every round, one of which only a patch is read, or one that goes
        through NumPy and back into a tensor. A number that is read in every round is none.
        """
        if module.graph_mode:
            return
        for attribute in module.attributes("numpy"):
            call = module.parent(attribute)
            if not isinstance(call, ast.Call) or call.func is not attribute or call.args:
                continue
            loop = _loops.each_round(module, call, LEAST_CALLS)
            if loop is None or module.mode(call) != "eager":
                continue
            tensor = attribute.value
            own = _facts.facts(module, tensor)
            if own.side != "tensor" or (own.size is not None and own.size < LEAST_NUMBERS):
                continue
            why = _why(module, call, tensor, loop, own)
            if why is not None:
                yield self.suspicion(
                    module, call, f"{module.text(call)} {why}", {"method": "numpy"}
                )


def _why(
    module: Module, call: ast.Call, tensor: ast.expr, loop: Loop, own: _facts.Facts
) -> str | None:
    """Why a copy in a loop need not be made, as far as one can see."""
    line = module.site(loop).line
    named = isinstance(tensor, (ast.Name, ast.Attribute)) and own.shape != ()
    if named and module.invariant(tensor, loop):
        return (
            f"copies the same tensor in every round of the loop at line {line}; once before "
            "it is enough."
        )
    if _only_a_patch_is_read(module, call):
        return (
            f"copies a whole tensor in every round of the loop at line {line}, of which a part "
            "is then read: take that part as a tensor."
        )
    if _goes_back(module, call, loop):
        return (
            f"takes a tensor to NumPy and back in every round of the loop at line {line}: stay "
            "with TensorFlow ops, or with NumPy for the whole loop."
        )
    return None


def _name_given(module: Module, node: ast.expr) -> ast.Name | None:
    """The name that a statement gives to a value, where it is the only one of that name."""
    statement = module.parent(node)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target = statement.targets[0]
    if not isinstance(target, ast.Name):
        return None
    scope = module.home(target)
    if scope is None or len(module.scopes[scope][target.id]) != 1:
        return None
    return target


def _readings(module: Module, node: ast.expr) -> list[ast.expr]:
    """The places where a value is used: its own, or those of the name it is given."""
    name = _name_given(module, node)
    if name is None:
        return [node]
    scope = module.home(name)
    return [
        use
        for use in ([] if scope is None else module.uses_of(name.id, scope))
        if isinstance(use.ctx, ast.Load)
    ]


def _only_a_patch_is_read(module: Module, call: ast.Call) -> bool:
    """Whether all that is done with an array is to cut patches of changing places out of it."""
    uses = _readings(module, call)
    return bool(uses) and all(_is_patch(module, use) for use in uses)


def _is_patch(module: Module, use: ast.expr) -> bool:
    parent = module.parent(use)
    if not isinstance(parent, ast.Subscript) or parent.value is not use:
        return False
    index = parent.slice
    slices = [
        each
        for each in (index.elts if isinstance(index, ast.Tuple) else ())
        if isinstance(each, ast.Slice)
        and (each.step is not None or (each.lower is not None and each.upper is not None))
    ]
    return len(slices) >= 2 and isinstance(parent.ctx, ast.Load)


def _goes_back(module: Module, call: ast.Call, loop: Loop) -> bool:
    """Whether what NumPy makes of an array is made into a tensor again in the loop."""
    return any(
        module.inside(use, loop) and _reaches_tensor(module, use, 0)
        for use in _readings(module, call)
    )


def _reaches_tensor(module: Module, node: ast.expr, depth: int) -> bool:
    """Whether an array, through NumPy alone, becomes an argument of a TensorFlow function."""
    parent = module.parent(node)
    if depth > 6 or parent is None:
        return False
    if isinstance(parent, ast.Call) and node in parent.args:
        name = module.qualified(parent.func) or ""
        if name.startswith("numpy."):
            return any(_reaches_tensor(module, u, depth + 1) for u in _readings(module, parent))
        return is_tensor_function(name) and parent.args[0] is node
    if isinstance(parent, ast.Attribute) and parent.attr in ("astype", "reshape", "transpose"):
        call = module.parent(parent)
        return isinstance(call, ast.Call) and any(
            _reaches_tensor(module, use, depth + 1) for use in _readings(module, call)
        )
    if isinstance(parent, ast.BinOp):
        other = parent.right if parent.left is node else parent.left
        if _facts.facts(module, other).side in ("number", "array"):
            return any(_reaches_tensor(module, u, depth + 1) for u in _readings(module, parent))
    return False
