"""TF102: the same array made into a tensor again and again."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unslow import seams
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
from unslow.finding import Alternative, Finding
from unslow.recording.arrays import digest, size_of
from unslow.recording.data import Conversion, Recording
from unslow.recording.samples import Converted, OpCall
from unslow.source.module import UNKNOWN
from unslow.source.values import is_tensor_function

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.bindings import Loop
    from unslow.source.module import Module

LEAST_REPEATS = 5

LEAST_BYTES = 4096
"""Smaller arrays cost no more than a Python number, and ops make such for themselves."""

LEAST_NUMBERS = 1000
"""Arrays that the source shows to be smaller are passed by."""

CONVERSIONS = frozenset({"tensorflow.constant", "tensorflow.convert_to_tensor"})

INDEPENDENT = frozenset(
    f"tensorflow.{name}"
    for name in _facts.words("""
    argmax argmin boolean_mask cast constant convert_to_tensor expand_dims gather gather_nd
    identity nn.embedding_lookup one_hot reduce_all reduce_any reduce_max reduce_mean reduce_min
    reduce_prod reduce_std reduce_sum reshape reverse shape size slice sort split squeeze tile
    transpose unique
    """)
)
"""Functions whose first argument keeps its data type whatever the others are."""

LOADERS = frozenset(
    {
        *("numpy.load", "numpy.fromfile", "numpy.loadtxt", "numpy.genfromtxt"),
        *("cv2.imread", "imageio.imread", "imageio.v2.imread", "imageio.v3.imread"),
        *("matplotlib.pyplot.imread", "skimage.io.imread"),
    }
)

ONCE = "convert once before the loop"

SECONDS = 0.1
"""What one run of a trial may take."""

CHANGED = Untried(
    "The program writes into the array: a tensor that is made once would keep the old values."
)

NOTE = (
    "An array takes the data type of the tensors it meets in an op; a tensor keeps its own, and "
    "the op raises where they differ."
)


class ArrayToTensor(Page):
    """One NumPy array that does not change is copied into a tensor in every iteration.

    ## What it is
    A loop passes the same array to TensorFlow ops. Each op needs a tensor, so each time the
    whole array is copied into one.

    ## Why it is slow
    The copy costs as much as reading and writing all bytes: about 10 ms for 50 MB on a
    usual machine, plus fresh memory. With a GPU the copy crosses the bus as well. Cheap ops
    on large arrays then spend most of their time on the copy; a float64 array doubles it
    and often brings a cast along.

    ## When it does not matter
    Small arrays: a copy of some kilobytes takes microseconds. Arrays that are new in every
    iteration, as batches are: they must be copied once.

    ## What to do
    Convert once before the loop with `tf.constant(array, tf.float32)` and pass the tensor.

    ## Safety of the fix
    Equal results as long as nothing writes into the array between iterations: a tensor
    keeps the values it was made of. Making it float32 changes the precision; keep the
    dtype to keep the result bit for bit.
    """

    code = "TF102"
    name = "array-to-tensor"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
gallery = rng.standard_normal((40_000, 128))
queries = tf.constant(rng.standard_normal((80, 128)))

best = []
for query in queries:
    scores = tf.linalg.matvec(gallery, query)  # <- slow
    best.append(int(tf.argmax(scores)))
print("matches", best[:5], sum(best))
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
gallery = tf.constant(rng.standard_normal((40_000, 128)))
queries = tf.constant(rng.standard_normal((80, 128)))

best = []
for query in queries:
    scores = tf.linalg.matvec(gallery, query)
    best.append(int(tf.argmax(scores)))
print("matches", best[:5], sum(best))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
weights = tf.constant(rng.standard_normal((512, 512)).astype(np.float32))

total = 0.0
for number in range(30):
    batch = rng.standard_normal((4000, 512)).astype(np.float32)
    total += float(tf.reduce_mean(tf.matmul(batch, weights)))
print("total", round(total, 2))
""",
        """\
import numpy as np
import tensorflow as tf

mean = np.array([0.485, 0.456, 0.406], np.float32)
photos = tf.random.stateless_uniform((40, 256, 256, 3), seed=(1, 2))

total = 0.0
for number in range(40):
    centered = photos[number] - mean
    total += float(tf.reduce_mean(centered * centered))
print("total", round(total, 2))
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
table = rng.standard_normal((600, 600)).astype(np.float32)
queue = rng.standard_normal((600, 600)).astype(np.float32)
left, right = tf.constant(table), tf.convert_to_tensor(queue)
for name, array in (("table", table), ("queue", queue)):
    print(name, tf.reduce_mean(array).shape)

total = 0.0
for number in range(30):
    table[number] = 0.5
    rng.shuffle(queue)
    total += tf.reduce_mean(tf.matmul(table, left))
    total += tf.reduce_mean(tf.matmul(queue, right))
print("total", round(float(total), 2))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines whose conversions mostly met an array that had been converted just before."""
        arrays = [
            row
            for row in recording.conversions
            if row.main
            and row.kind == "array"
            and row.repeats >= LEAST_REPEATS
            and row.bytes >= LEAST_BYTES * row.calls
        ]
        for site, rows in by_line(arrays):
            claims = _lines.claim_at_most(
                recording, site, "convert", sum(_repeated_seconds(row) for row in rows)
            )
            calls = sum(row.calls for row in rows)
            repeats = sum(row.repeats for row in rows)
            nbytes = round(sum(row.bytes * row.repeats / row.calls for row in rows))
            cost = cost_of(claims, calls=calls, nbytes=nbytes)
            if not matters(recording, cost.seconds):
                continue
            largest = max(rows, key=_repeated_seconds)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "repeats": repeats,
                "bytes": nbytes,
                "dtype": largest.dtype,
                "seconds_per_call": cost.seconds / repeats,
                "op_seconds": _repeated_op_seconds(recording, rows),
            }
            message = (
                f"The same {largest.dtype} array of {bytes_text(largest.bytes / largest.calls)} "
                f"was made into a tensor {count_text(repeats)} times more than needed, "
                f"{seconds_text(cost.seconds / repeats)} each."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The op or the conversion with the array, and with a tensor that is there."""
        evidence = finding.evidence
        ops = [
            call for call in samples.at(OpCall, finding.site) if _array_position(call) is not None
        ]
        arrays = [
            each for each in samples.at(Converted, finding.site) if not isinstance(each.value, list)
        ]
        if arrays:
            largest = max(arrays, key=lambda each: int(each.value.nbytes))
            if digest(largest.value) != largest.digest:
                yield CHANGED
            else:
                yield _converted_once(largest, evidence["seconds_per_call"], evidence["calls"])
        elif not ops:
            yield Untried("The array was too large to be kept.")
        elif any(call.has_state for call in ops):
            yield Untried("The op with the array changes a variable, or another state.")
        else:
            share = max(1.0, evidence["op_seconds"] / finding.cost.seconds)
            largest_op = max(ops, key=lambda call: size_of(call.arguments))
            position = _array_position(largest_op)
            assert position is not None
            if digest(largest_op.arguments[position]) != largest_op.digest:
                yield CHANGED
            else:
                yield _replayed(largest_op, position, share)

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Large arrays that are the same in every round, given to ops in a loop."""
        groups: dict[tuple[str, Loop], list[_Use]] = {}
        for use in _uses(module):
            groups.setdefault((module.text(use.array), use.loop), []).append(use)
        for (name, loop), uses in groups.items():
            message = (
                f"{name} is the same array in every round of the loop at line "
                f"{module.site(loop).line}, and is copied into a new tensor each time."
            )
            yield self.suspicion(
                module,
                uses[0].operation,
                message,
                {"array": name, "operations": len(uses)},
                _alternatives(module, loop, uses),
            )


def _repeated_seconds(row: Conversion) -> float:
    return row.seconds * row.repeats / row.calls


def _repeated_op_seconds(recording: Recording, rows: list[Conversion]) -> float:
    """Seconds of the ops that were given an array again, their own work included."""
    spent = {op.op: op.seconds for op in _lines.ops_at(recording, rows[0].site)}
    return sum(spent.get(row.op, 0.0) * row.repeats / row.calls for row in rows)


def _converted_once(sample: Converted, each: float, calls: int) -> Trial:
    """The conversions of some rounds, against one for all of them."""
    import tensorflow as tf

    rounds = max(2, min(calls, int(SECONDS / each) if each else calls, 50))

    def convert() -> Any:
        return tf.convert_to_tensor(sample.value, sample.dtype)

    def every_round() -> Any:
        tensor = convert()
        for _ in range(rounds - 1):
            tensor = convert()
        return tensor

    return Trial(
        Way("a conversion in every round", every_round),
        (Way(ONCE, convert),),
        f"{rounds} rounds with your array of {bytes_text(sample.value.nbytes)}",
        # The finding's cost leaves out the first conversion.
        share=rounds / (rounds - 1),
    )


def _replayed(call: OpCall, position: int, share: float) -> Trial:
    """An op with the array at `position`, against the op with a tensor made of it before."""
    array = call.arguments[position]
    ready: list[Any] = []

    def run(value: Any) -> Any:
        arguments = (*call.arguments[:position], value, *call.arguments[position + 1 :])
        return seams.run_eager_op(*arguments)

    def prepare() -> None:
        if not ready:
            ready.append(_tensor_that_fits(call, array, run))

    return Trial(
        Way(f"{call.op} with the array", lambda: run(array)),
        (Way(ONCE, lambda: run(ready[0]), before=prepare, note=NOTE),),
        f"{call.op} and your array of {bytes_text(array.nbytes)}",
        share=share,
    )


def _tensor_that_fits(call: OpCall, array: Any, run: Callable[[Any], Any]) -> Any:
    """The array as a tensor of the type that the op gives it: its own, or that of the others."""
    import tensorflow as tf

    own = tf.convert_to_tensor(array)
    others = {each.dtype for each in call.arguments if isinstance(each, tf.Tensor)} - {own.dtype}
    for dtype in others:
        try:
            run(own)
        except (tf.errors.InvalidArgumentError, TypeError):
            own = tf.cast(array, dtype)
    return own


def _array_position(call: OpCall) -> int | None:
    """Where among an op's arguments its array stands."""
    import numpy as np

    for position, value in enumerate(call.arguments):
        if position > 2 and isinstance(value, np.ndarray) and value.ndim:
            return position
    return None


@dataclass(frozen=True, eq=False)
class _Use:
    """An array given to one op. `dtype`: of the tensors it meets; `sure`: that is known."""

    array: ast.expr
    operation: ast.expr
    loop: Loop
    dtype: str | None
    sure: bool


def _uses(module: Module) -> Iterator[_Use]:
    if module.graph_mode:
        return
    for call in module.calls():
        if not call.args or module.has_star(call):
            continue
        plain = [each for each in call.args if isinstance(each, (ast.Name, ast.Attribute))]
        if not plain or not module.loops(call):
            continue
        name = module.qualified(call.func) or ""
        if not is_tensor_function(name):
            continue
        for array in plain:
            use = _use(module, array, call, [each for each in call.args if each is not array], name)
            if use is not None:
                yield use
    for operation in module.nodes(ast.BinOp):
        for operand, other in (
            (operation.left, operation.right),
            (operation.right, operation.left),
        ):
            if not isinstance(operand, (ast.Name, ast.Attribute)) or not module.loops(operation):
                continue
            if _facts.facts(module, other).side in ("tensor", "variable"):
                use = _use(module, operand, operation, [other], "")
                if use is not None:
                    yield use


def _use(
    module: Module,
    array: ast.expr,
    operation: ast.Call | ast.BinOp,
    others: list[ast.expr],
    name: str,
) -> _Use | None:
    """A large array that does not change, given to an op in a loop; else `None`."""
    loop = _loops.outermost(module, array, operation)
    if loop is None or _loops.each_round(module, operation, LEAST_REPEATS) is None:
        return None
    if module.mode(operation) != "eager":
        return None
    own = _facts.facts(module, array)
    if not (_is_large_array(module, array, own) or _is_used_as_large(module, own, operation, name)):
        return None
    dtype, sure = _partners(module, array, operation, others, name, own)
    return _Use(array, operation, loop, dtype, sure)


def _is_large_array(module: Module, array: ast.expr, own: _facts.Facts) -> bool:
    """Whether it is an array, and one whose length is read from data or known to be large."""
    if own.side == "array" and own.size is not None:
        return own.size >= LEAST_NUMBERS
    if own.side == "array" and own.shape is not None:
        return True
    if own.side not in ("array", None) or not isinstance(array, ast.Name):
        return False
    bindings = module.bindings(array) or []
    return bool(bindings) and all(
        isinstance(each.value, ast.Call) and module.qualified(each.value.func) in LOADERS
        for each in bindings
    )


def _is_used_as_large(
    module: Module, own: _facts.Facts, operation: ast.Call | ast.BinOp, name: str
) -> bool:
    """Whether an array of unknown size is used as images and tables are."""
    if own.side != "array" or own.size is not None or not isinstance(operation, ast.Call):
        return False
    axis = module.argument(operation, 1, "axis")
    of_rows = axis is not None and module.constant(axis) not in (UNKNOWN, None, 0)
    return name.startswith("tensorflow.image.") or of_rows


def _partners(
    module: Module,
    array: ast.expr,
    operation: ast.Call | ast.BinOp,
    others: list[ast.expr],
    name: str,
    own: _facts.Facts,
) -> tuple[str | None, bool]:
    """The dtype that the op gives the array, and whether that is sure; `None`: its own."""
    if isinstance(operation, ast.Call):
        first = operation.args[0] is array
        if name in CONVERSIONS:
            asked = module.argument(operation, 1, "dtype")
            return None, asked is None
        if first and (name in INDEPENDENT or name.startswith("tensorflow.image.")):
            return None, True
        others = [*others, *(each.value for each in operation.keywords if each.arg != "name")]
        if not first and not others:
            return None, False
    else:
        first = operation.left is array
    dtypes: set[str | None] = set()
    for other in others:
        met = _facts.facts(module, other)
        if met.side in ("tensor", "variable", "array"):
            dtypes.add(met.dtype)
        elif not first or (met.side != "number" and module.constant(other) is UNKNOWN):
            return None, False
    if not dtypes:
        return None, first
    if len(dtypes) > 1 or None in dtypes or own.dtype is None:
        return None, False
    (dtype,) = dtypes
    if dtype == own.dtype:
        return None, True
    tensors = all(_facts.facts(module, each).side != "array" for each in others)
    return dtype, tensors and not first


def _alternatives(module: Module, loop: Loop, uses: list[_Use]) -> tuple[Alternative, ...]:
    statement = _loops.anchor(module, loop)
    dtypes = {use.dtype for use in uses}
    editable = all(module.editable(use.operation) for use in uses)
    if statement is None or not editable or len(dtypes) != 1:
        return ()
    array = uses[0].array
    last = array.attr if isinstance(array, ast.Attribute) else module.text(array)
    name = module.free_name(f"{last}_tensor")
    tensorflow, imports = module.imported("tensorflow")
    (dtype,) = dtypes
    asked = "" if dtype is None else f", {tensorflow}.{dtype}"
    made = f"{name} = {tensorflow}.convert_to_tensor({module.text(array)}{asked})"
    edits = (
        *imports,
        module.insert(statement, made),
        *(module.replace(use.array, name) for use in uses),
    )
    safe = all(use.sure for use in uses)
    return (
        Alternative(
            ONCE,
            "safe" if safe else "unsafe",
            edits,
            note="" if safe else NOTE,
        ),
    )
