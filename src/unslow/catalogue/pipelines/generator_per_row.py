"""TF304: a Python generator yields one row at a time to a pipeline that batches them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.page import Page, by_line, claim, cost_of, count_text, matters, seconds_text
from unslow.catalogue.pipelines import _functions, _stages
from unslow.catalogue.trial import Trial, Untried
from unslow.finding import Claim, Finding, Site, same_line
from unslow.recording.data import Bridge, Iteration, Recording
from unslow.source.module import Function, Module

if TYPE_CHECKING:
    from unslow.recording.samples import Samples

LEAST_CALLS = 200
CHEAP_SECONDS = 2e-3


LARGE_ROW = 2**16
"""Numbers of a row; a larger one takes as long to copy as to hand over."""

_PER_ROW = frozenset({"unbatch", "window", "flat_map", "interleave", "filter", "batch"})

CHEAP_FUNCTIONS = frozenset(
    {
        *("range", "len", "zip", "enumerate", "iter", "next", "reversed", "min", "max", "abs"),
        *("int", "float", "str", "bool", "list", "tuple", "dict", "print", "isinstance"),
        *(f"numpy.{name}" for name in ("array", "asarray", "float32", "int32", "int64")),
        *("numpy.expand_dims", "numpy.random.permutation", "numpy.random.shuffle"),
        *("numpy.arange", "random.shuffle", "itertools.cycle", "itertools.islice"),
    }
)

CHEAP_METHODS = frozenset(
    {
        *("mean", "sum", "min", "max", "std", "astype", "reshape", "copy", "flatten", "ravel"),
        *("squeeze", "tolist", "item", "append", "items", "keys", "values", "get"),
        *("split", "strip", "rstrip", "lower", "upper", "encode", "permutation", "shuffle"),
    }
)


class GeneratorPerRow(Page):
    """`Dataset.from_generator` yields single rows that the pipeline then puts into batches.

    ## What it is
    A Python generator gives one row per `yield`, and `batch` follows. Each row crosses from
    Python into TensorFlow on its own.

    ## Why it is slow
    A crossing costs in the order of 100 µs whatever it carries: the interpreter lock is
    taken, the row is checked against its signature and converted, and a stage of the
    pipeline wakes up. A batch of 100 rows pays that 100 times. Rows from memory without a
    generator are often 30x faster.

    ## When it does not matter
    Where making a row takes milliseconds of its own, as in decoding a file: the crossing is
    then small. Where the generator already yields batches.

    ## What to do
    Use `Dataset.from_tensor_slices` for arrays that fit in memory. Otherwise yield whole
    batches, with `None` as the first dimension of the signature, and drop the `batch`; use
    `unbatch` only if later stages need rows. For large data write TFRecord files once.

    ## Safety of the fix
    The elements stay the same as long as the generator is a plain walk over data. A
    generator with state, randomness or an endless source keeps those only when it still
    runs: there, yield batches. With a `shuffle` behind it, shuffle rows, not batches.
    """

    code = "TF304"
    name = "generator-per-row"
    also = frozenset({"TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(4)
readings = rng.normal(size=(12_000, 24)).astype("float32")
faults = (readings[:, :3].sum(axis=1) > 1).astype("float32")

hidden = tf.Variable(rng.normal(size=(24, 512)).astype("float32") * 0.1)
output = tf.Variable(rng.normal(size=(512, 1)).astype("float32") * 0.1)


def sensor_rows():
    for reading, fault in zip(readings, faults):
        yield reading, fault


@tf.function
def train_step(rows, wanted):
    with tf.GradientTape() as tape:
        logits = tf.nn.relu(rows @ hidden) @ output
        loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(wanted[:, tf.newaxis], logits)
        )
    gradients = tape.gradient(loss, [hidden, output])
    hidden.assign_sub(0.1 * gradients[0])
    output.assign_sub(0.1 * gradients[1])
    return loss


signature = (tf.TensorSpec((24,), tf.float32), tf.TensorSpec((), tf.float32))
rows = tf.data.Dataset.from_generator(sensor_rows, output_signature=signature)  # <- slow
for batch, wanted in rows.batch(100):
    loss = train_step(batch, wanted)
print(f"loss {float(loss):.3f}")
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(4)
readings = rng.normal(size=(12_000, 24)).astype("float32")
faults = (readings[:, :3].sum(axis=1) > 1).astype("float32")

hidden = tf.Variable(rng.normal(size=(24, 512)).astype("float32") * 0.1)
output = tf.Variable(rng.normal(size=(512, 1)).astype("float32") * 0.1)


@tf.function
def train_step(rows, wanted):
    with tf.GradientTape() as tape:
        logits = tf.nn.relu(rows @ hidden) @ output
        loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(wanted[:, tf.newaxis], logits)
        )
    gradients = tape.gradient(loss, [hidden, output])
    hidden.assign_sub(0.1 * gradients[0])
    output.assign_sub(0.1 * gradients[1])
    return loss


rows = tf.data.Dataset.from_tensor_slices((readings, faults))
for batch, wanted in rows.batch(100):
    loss = train_step(batch, wanted)
print(f"loss {float(loss):.3f}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(4)
readings = rng.normal(size=(12_000, 24)).astype("float32")
hidden = tf.constant(rng.normal(size=(24, 2_048)), tf.float32)
output = tf.constant(rng.normal(size=(2_048, 512)), tf.float32)


def sensor_batches():
    for start in range(0, len(readings), 500):
        yield readings[start : start + 500]


@tf.function
def score(rows):
    return tf.reduce_mean(tf.nn.relu(rows @ hidden) @ output)


signature = tf.TensorSpec((None, 24), tf.float32)
batches = tf.data.Dataset.from_generator(sensor_batches, output_signature=signature)
scores = [score(rows) for rows in batches]
print(len(scores))
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(5)
weights = tf.constant(rng.normal(size=(1_024, 1_024)), tf.float32)


def simulated_scans():
    for seed in range(40):
        scan = np.random.default_rng(seed).normal(size=(64, 1_024))
        yield np.abs(np.fft.fft(scan)).astype("float32")


@tf.function
def score(scans):
    rows = tf.reshape(scans, [-1, 1_024])
    return tf.reduce_mean(tf.tanh(rows @ weights) @ weights)


signature = tf.TensorSpec((64, 1_024), tf.float32)
scans = tf.data.Dataset.from_generator(simulated_scans, output_signature=signature)
scores = [score(batch) for batch in scans.batch(8)]
print(len(scores))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Cheap generators called once per row under a batching stage."""
        generators = [row for row in recording.bridges if row.kind == "generator"]
        for site, bridges in by_line(generators):
            calls = sum(row.calls for row in bridges)
            if calls < LEAST_CALLS:
                continue
            each = sum(row.seconds for row in bridges) / calls
            claims = [each for row in bridges for each in row.claims]
            claims += _crossing(recording, site, bridges)
            cost = cost_of(claims, calls=calls, nbytes=sum(row.bytes for row in bridges))
            sizes = _batch_sizes(recording, site, bridges)
            if each > CHEAP_SECONDS or not sizes or not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "seconds_per_row": each,
                "batch_size": sizes[0],
            }
            message = (
                f"The generator {bridges[0].function}() was called {count_text(calls)} times, "
                f"{seconds_text(each)} each, a row at a time, for batches of {sizes[0]}: "
                "every row crosses from Python on its own."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The same generator with another around it that yields whole batches."""
        from unslow.catalogue.pipelines import _captured, _ways

        yield from _captured.one_way(
            _captured.captured_with(finding.site, ("FlatMap",), samples),
            _ways.yield_batches,
            # Rows that need no generator at all gain more.
            exhaustive=False,
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Generators that give cheap rows one by one to a `batch`."""
        seen: set[ast.Call] = set()
        for batch in module.calls_of("batch", "dataset"):
            assert isinstance(batch.func, ast.Attribute)
            size = module.argument(batch, 0, "batch_size")
            if size is None or module.constant(size) == 1 or module.guarded(batch):
                continue
            rows = _stages.chain(batch.func.value, module)
            if rows.source != "from_generator" or not _PER_ROW.isdisjoint(rows.names):
                continue
            made = rows.stages[0]
            if made.module is not module or made.call in seen:
                continue
            if _rows_are_large(made) or _counts_to_few(made):
                continue
            function = _functions.function_of(made.argument(0, "generator"), module)
            if function is None or not _is_cheap(*function, 0):
                continue
            seen.add(made.call)
            name = getattr(function[0], "name", "the generator")
            message = (
                f"{name} yields one row at a time and batch() puts them together afterwards: "
                "every row crosses from Python into TensorFlow on its own. Yield batches, or "
                "read arrays with from_tensor_slices."
            )
            yield self.suspicion(module, made.call, message, {"generator": name})


def _crossing(recording: Recording, site: Site, bridges: list[Bridge]) -> Iterator[Claim]:
    """Waits for the rows' way out of Python, where the pipeline does nothing else that counts."""
    for row in recording.iterations:
        works = any("Map" in stage.kind and stage.kind != "FlatMap" for stage in row.stages)
        waited = row.wait_seconds - row.bridge_seconds
        if waited > 0 and not works and _reads(row, site, bridges):
            yield claim(row.site, "input", waited)


def _batch_sizes(recording: Recording, site: Site, bridges: list[Bridge]) -> list[int]:
    """Sizes of the batches that pipelines over this generator make of its rows."""
    rows = [row for row in recording.iterations if _reads(row, site, bridges)]
    return [s.batch_size for row in rows for s in row.stages if s.batch_size is not None]


def _reads(row: Iteration, site: Site, bridges: list[Bridge]) -> bool:
    named = [stage.site for stage in row.stages if stage.site is not None]
    if any(same_line(stage, site) for stage in named):
        return True
    waits = [claim for bridge in bridges for claim in bridge.claims]
    return any(same_line(claim, row.site) for claim in waits)


def _rows_are_large(made: _stages.Stage) -> bool:
    """Whether a row is known to hold so much that its crossing hardly counts."""
    given = made.argument(2, "output_shapes")
    given = made.module.argument(made.call, None, "output_signature") or given
    if given is None:
        return False
    given = _stages.written(given, made.module)
    for node in ast.walk(given):
        if isinstance(node, (ast.Tuple, ast.List)):
            size = 1
            for each in node.elts:
                length = made.module.constant(each)
                size *= length if isinstance(length, int) else 1
            if size > LARGE_ROW:
                return True
    return False


def _counts_to_few(made: _stages.Stage) -> bool:
    """Whether a generator is given nothing but small numbers, as examples do."""
    given = made.constant(3, "args")
    return isinstance(given, (list, tuple)) and all(
        isinstance(each, int) and each < _functions.FEW_ROWS for each in given
    )


def _is_cheap(function: Function, module: Module, depth: int) -> bool:
    """Whether a generator only walks over data, so that a row is made in microseconds."""
    if depth > 3:
        return False
    for call in _functions.own_calls(function):
        callee = module.value(call.func)
        if callee.kind == "external":
            if callee.name not in CHEAP_FUNCTIONS:
                return False
        elif callee.kind == "function" and callee.module is not None:
            inner = callee.definition
            if not isinstance(inner, (ast.FunctionDef, ast.Lambda)):
                return False
            if not _is_cheap(inner, callee.module, depth + 1):
                return False
        elif not isinstance(call.func, ast.Attribute) or call.func.attr not in CHEAP_METHODS:
            return False
    return depth > 0 or _walks(function, module)


def _walks(function: Function, module: Module) -> bool:
    """Whether a generator yields in a loop, or hands on one that does."""
    if isinstance(function, ast.Lambda):
        return True
    yields = [n for n in ast.walk(function) if isinstance(n, ast.Yield)]
    return any(isinstance(loop, (ast.For, ast.While)) for n in yields for loop in module.loops(n))
