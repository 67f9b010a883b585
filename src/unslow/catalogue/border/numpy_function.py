"""TF101: Python code that a graph or an input pipeline calls element by element."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.border import _bridges, _facts, _lines, _loops, rewrites
from unslow.catalogue.page import Page, by_line, cost_of, count_text, matters, seconds_text
from unslow.catalogue.pipelines import _consumers
from unslow.finding import Claim, Finding, Site
from unslow.recording.data import Bridge, Recording
from unslow.recording.samples import BridgeCall

if TYPE_CHECKING:
    from unslow.catalogue.trial import Trial, Untried
    from unslow.recording.samples import Samples
    from unslow.source.module import Function, Module

KINDS = ("numpy_function", "py_function")
LEAST_CALLS = 50
LEAST_BUSY = 0.3
PARALLEL_CORES = 1.5

CALLS = ("tensorflow.numpy_function", "tensorflow.py_function", "tensorflow.py_func")

FEW_ELEMENTS = 49
"""A pipeline of so few elements makes few calls."""

WAITS = frozenset(
    _facts.words("""
    open read read_bytes read_text imread load loadtxt fromfile genfromtxt read_csv read_parquet
    read_file load_img decode_audio dcmread File get post urlopen request sleep ZipFile recv
    """)
)
"""Calls that read a file or wait; no op takes their place."""

BATCHES = frozenset({"batch", "padded_batch", "ragged_batch", "bucket_by_sequence_length"})

KEEPERS = frozenset({"cache", "snapshot", "save"})
"""Stages that keep what came out of the stages before them."""

MOST_STAGES = 8

MOST_CALLERS = 3
"""How far from the mapped function the call may stand."""

PASSING = frozenset(
    _facts.words("""
    cache filter ignore_errors map prefetch repeat shard shuffle skip with_options
    assert_cardinality enumerate
    """)
)
"""Stages after which elements are what they were: one row, or one batch."""


class NumpyFunction(Page):
    """A graph or an input pipeline leaves TensorFlow to call Python, many times over.

    ## What it is
    `tf.numpy_function` or `tf.py_function` inside a `Dataset.map` or a compiled function,
    called once per image, row or step, while the program waits for it.

    ## Why it is slow
    Every call takes the interpreter lock, copies its arguments into arrays and its result
    back: about 80 µs before your code begins. The lock lets no two calls run Python at the
    same time, so `num_parallel_calls` does not help pure Python, and the training loop
    needs the same lock. TensorFlow can neither fuse nor optimise what it cannot see.

    ## When it does not matter
    Where the call handles a whole batch and few calls are made. Where the work lies in a
    library that releases the lock and several calls really run at once. Where it waits for
    a disk or a network. Where the model is slower and prefetching hides the pipeline.

    ## What to do
    In this order: batch first and let the function work on the batch (often 10x); let
    `unslow.numpy_function`, which takes what `tf.numpy_function` takes, make TensorFlow ops of
    it, with `jit_compile=True` where it has much arithmetic; use a library that releases the
    lock; cache the result if it is the same in every epoch. `unslow native
    FILE.py:FUNCTION` prints the ops as source, compares and measures them. Ops that still run
    per element can gain little: what costs is often the arithmetic, not the bridge.

    ## Safety of the fix
    Only with equal results shown. Interpolation, rounding and data types differ between
    NumPy, image libraries and TensorFlow's ops. Random numbers of `default_rng(seed)` stay
    the same as ops; others have another sequence than TensorFlow's: `random="distribution"`
    says that this will do.
    """

    code = "TF101"
    name = "numpy-function"
    also = frozenset({"TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

scans = np.random.default_rng(0).integers(0, 256, (6000, 32, 32, 3), dtype=np.uint8)
angle, center = 0.3, 15.5


def rotate(scan):
    y, x = np.mgrid[:32, :32] - center
    columns = np.rint(np.cos(angle) * x - np.sin(angle) * y + center).astype(int)
    rows = np.rint(np.sin(angle) * x + np.cos(angle) * y + center).astype(int)
    inside = (columns >= 0) & (columns < 32) & (rows >= 0) & (rows < 32)
    rotated = scan[..., rows.clip(0, 31), columns.clip(0, 31), :]
    return np.where(inside[..., None], rotated, 0).astype(np.uint8)


def augment(scan):
    scan = tf.numpy_function(rotate, [scan], tf.uint8)  # <- slow
    return tf.ensure_shape(scan, (32, 32, 3))


dataset = tf.data.Dataset.from_tensor_slices(scans).map(augment).batch(200)
brightness = 0.0
for batch in dataset:
    brightness += float(tf.reduce_mean(tf.cast(batch, tf.float32)))
print("brightness", round(brightness))
"""

    fast = """\
import numpy as np
import tensorflow as tf

scans = np.random.default_rng(0).integers(0, 256, (6000, 32, 32, 3), dtype=np.uint8)
angle, center = 0.3, 15.5


def rotate(scan):
    y, x = np.mgrid[:32, :32] - center
    columns = np.rint(np.cos(angle) * x - np.sin(angle) * y + center).astype(int)
    rows = np.rint(np.sin(angle) * x + np.cos(angle) * y + center).astype(int)
    inside = (columns >= 0) & (columns < 32) & (rows >= 0) & (rows < 32)
    rotated = scan[..., rows.clip(0, 31), columns.clip(0, 31), :]
    return np.where(inside[..., None], rotated, 0).astype(np.uint8)


def augment(scan):
    scan = tf.numpy_function(rotate, [scan], tf.uint8)
    return tf.ensure_shape(scan, (None, 32, 32, 3))


dataset = tf.data.Dataset.from_tensor_slices(scans).batch(200).map(augment)
brightness = 0.0
for batch in dataset:
    brightness += float(tf.reduce_mean(tf.cast(batch, tf.float32)))
print("brightness", round(brightness))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
signals = rng.standard_normal((4000, 256)).astype(np.float32)


def spectra(batch):
    return np.abs(np.fft.rfft(batch, axis=1)).astype(np.float32)


def transform(batch):
    return tf.numpy_function(spectra, [batch], tf.float32)


dataset = tf.data.Dataset.from_tensor_slices(signals).batch(500).map(transform)
print("spectra", sum(len(batch) for batch in dataset))
""",
        """\
import numpy as np
import tensorflow as tf

losses = []
weights = tf.Variable(tf.zeros((400, 1)))


@tf.function
def step(x, y, number):
    error = x @ weights - y
    weights.assign_sub(0.1 * tf.matmul(x, error, transpose_a=True) / 2000)
    loss = tf.reduce_mean(error**2)
    if number % 10 == 0:
        tf.py_function(lambda value: losses.append(float(value)), [loss], [])
    return loss


rng = np.random.default_rng(0)
x = tf.constant(rng.standard_normal((2000, 400)), tf.float32)
y = tf.reduce_sum(x[:, :5], axis=1, keepdims=True)
for number in tf.range(200):
    step(x, y, number)
print("losses", len(losses))
""",
        """\
import numpy as np
import tensorflow as tf


def cosines(size):
    x = np.arange(size)
    return np.cos(np.pi / size * (x + 0.5) * x[:, None]).astype(np.float32)


@tf.function
def transform(signals):
    basis = tf.numpy_function(cosines, [signals.shape[1]], tf.float32)
    return tf.matmul(signals, basis, transpose_b=True)


signals = tf.random.stateless_normal((2000, 256), seed=(1, 2))
print("transformed", transform(signals).shape)

folds = tf.data.Dataset.range(5).map(
    lambda fold: tf.numpy_function(lambda n: np.arange(n, 2000, 5), [fold], tf.int64)
)
for fold in folds:
    print("fold", len(fold))
print("sizes", tf.py_function(len, [signals], tf.int32).numpy())
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Python functions called from graphs many times while the main thread waited."""
        rows = [
            row
            for row in recording.bridges
            if row.kind in KINDS and not _is_of_debug_mode(recording, row)
        ]
        for site, bridges in by_line(rows):
            calls = sum(row.calls for row in bridges)
            cost = cost_of(
                (claim for row in bridges for claim in _claims(recording, row)),
                calls=calls,
                nbytes=sum(row.bytes for row in bridges),
            )
            if calls < LEAST_CALLS or not matters(recording, cost.seconds):
                continue
            if _waits_elsewhere(bridges) or _runs_in_parallel(bridges):
                continue
            threads = max(row.threads for row in bridges)
            pipeline = any(row.pipeline for row in bridges)
            lasted = sum(row.seconds for row in bridges) / calls
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "seconds_per_call": lasted,
                "wall_seconds_per_call": _bridges.seconds_each(bridges),
                "bytes": cost.bytes,
                "threads": threads,
                "pipeline": pipeline,
                "epochs": _bridges.epochs_of(recording),
                "function": bridges[0].function,
            }
            where = "inside the input pipeline" if pipeline else "from a compiled function"
            together = (
                "one at a time" if threads < 2 else f"up to {threads} under way, one lock for all"
            )
            message = (
                f"Python ran {bridges[0].function}() {count_text(calls)} times {where}, "
                f"{seconds_text(lasted)} each, {together}; the program waited "
                f"{seconds_text(cost.seconds)} for it."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The function without its bridge, in batches, and what else does the same."""
        evidence = finding.evidence
        yield from _bridges.trials(
            samples.at(BridgeCall, finding.site),
            evidence["wall_seconds_per_call"],
            evidence["pipeline"],
            evidence["threads"],
            finding.site,
            evidence.get("epochs", 1),
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Bridges in a function that a pipeline or a loop calls for every element."""
        for call in module.calls_to(*CALLS):
            function = module.function(call)
            if function is None or module.guarded(call) or _is_seldom(module, call):
                continue
            if _only_waits(module, call):
                continue
            name = module.text(call.func)
            if _mapped_per_element(module, function):
                message = (
                    f"{name} calls Python for every element of the pipeline: Python runs one call "
                    "at a time, however many are asked for. Do it in batches where rows are "
                    "alike, or with TensorFlow ops."
                )
                ways = tuple(rewrites.alternatives(module, call))
                yield self.suspicion(module, call, message, {"where": "pipeline"}, ways)
                continue
            again = module.repetition(call)
            if again is None or module.mode(call) != "compiled" or _is_mapped(module, function):
                continue
            if module.loops(call):
                continue
            message = (
                f"{name} leaves the compiled function for Python in every call of it "
                f"({again.text}). Python in a graph runs under one lock and is not optimised."
            )
            ways = tuple(rewrites.alternatives(module, call))
            yield self.suspicion(module, call, message, {"where": "compiled function"}, ways)


def _claims(recording: Recording, row: Bridge) -> tuple[Claim, ...]:
    """The waiting for a function, and for the way to it and back where calls came in turn."""
    if not row.seconds:
        return row.claims
    crossing = row.calls * row.crossing_seconds / row.seconds
    part = "input" if row.pipeline else "graph"
    return row.claims + tuple(
        extra
        for each in row.claims
        for extra in _lines.claim_at_most(
            recording, Site(each.path, each.line, cell=each.cell), part, each.seconds * crossing
        )
    )


def _is_seldom(module: Module, call: ast.Call) -> bool:
    """Whether the graph leaves for Python in few of its runs."""
    return any(
        isinstance(each, (ast.If, ast.IfExp)) and _loops.is_seldom(each.test)
        for each in module.ancestors(call)
    )


def _only_waits(module: Module, call: ast.Call) -> bool:
    """Whether the Python function reads files or waits, as far as one can see; or is not known."""
    target = module.argument(call, 0, "func")
    if target is None:
        return True
    value = module.value(target)
    if value.kind == "external":
        return _waits(value.name.rpartition(".")[2])
    if value.definition is None or value.module is None:
        return True
    return any(
        isinstance(node, ast.Call) and _waits(_last_name(node.func))
        for node in ast.walk(value.definition)
    )


def _waits(name: str) -> bool:
    return name in WAITS or name.startswith(("load_", "read_", "open_", "download", "fetch"))


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _map_calls(module: Module, function: Function) -> Iterator[ast.Call]:
    """The calls `dataset.map(function)` of this module."""
    for attribute in module.attributes("map"):
        call = module.parent(attribute)
        if not isinstance(call, ast.Call) or call.func is not attribute:
            continue
        argument = module.argument(call, 0, "map_func")
        kind = module.value(attribute.value).kind
        if argument is None or kind not in ("dataset", "unknown"):
            continue
        wrapped = argument.body if isinstance(argument, ast.Lambda) else None
        if (
            module.inside(function, argument)
            or module.value(argument).definition is function
            or (isinstance(wrapped, ast.Call) and module.value(wrapped.func).definition is function)
        ):
            yield call


def _is_mapped(module: Module, function: Function) -> bool:
    return next(_map_calls(module, function), None) is not None


def _mapped_per_element(module: Module, function: Function, depth: int = 0) -> bool:
    """Whether a pipeline surely calls a function once per row, for more than a few rows."""
    calls = list(_map_calls(module, function))
    if calls:
        return all(_is_per_row(module, call) for call in calls)
    if depth > MOST_CALLERS:
        return False
    callers = module.project.flow.callers(function, module) or []
    around = [(each.module, each.module.function(each.call)) for each in callers]
    return bool(around) and all(
        outer is not None and _mapped_per_element(where, outer, depth + 1)
        for where, outer in around
    )


def _is_per_row(module: Module, call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or _is_paid_once(module, call):
        return False
    dataset = call.func.value
    return _holds_rows(module, dataset, 0) or (
        _is_batched_later(module, call) and not _has_batches(module, dataset, 0)
    )


def _is_paid_once(module: Module, call: ast.Call) -> bool:
    """Whether each row passes a stage once: a cache keeps it, or it is written to a file."""
    if not KEEPERS.isdisjoint(_consumers.later_stages(call, module)):
        return True
    every = _consumers.consumers(call, module)
    takers = [each for each in every if not _consumers.takes_few(each)]
    return bool(takers) and all(_consumers.is_written(each) for each in takers)


def _is_batched_later(module: Module, call: ast.Call, depth: int = 0) -> bool:
    """Whether the elements of a stage are put into batches after it: then they are rows."""
    stage: ast.AST = call
    while True:
        attribute = module.parent(stage)
        after = None if attribute is None else module.parent(attribute)
        if not isinstance(attribute, ast.Attribute) or not isinstance(after, ast.Call):
            break
        if attribute.attr in BATCHES:
            return True
        if attribute.attr not in PASSING:
            return False
        stage = after
    statement = module.parent(stage)
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return False
    name = statement.targets[0]
    scope = module.home(name)
    for use in [] if scope is None else module.uses_of(name.id, scope):
        bindings = module.bindings(use) if isinstance(use.ctx, ast.Load) else None
        if bindings and any(each.node is statement for each in bindings):
            chain = module.parent(use)
            if isinstance(chain, ast.Attribute) and (
                chain.attr in BATCHES or _chain_is_batched(module, chain, depth)
            ):
                return True
    return False


def _chain_is_batched(module: Module, attribute: ast.Attribute, depth: int) -> bool:
    call = module.parent(attribute)
    return (
        attribute.attr in PASSING
        and depth < MOST_STAGES
        and isinstance(call, ast.Call)
        and call.func is attribute
        and _is_batched_later(module, call, depth + 1)
    )


def _has_batches(module: Module, dataset: ast.expr, depth: int) -> bool:
    """Whether a dataset is seen to be batched already."""
    if depth > MOST_STAGES:
        return True
    if isinstance(dataset, ast.Name):
        return any(
            each.value is not None and _has_batches(module, each.value, depth + 1)
            for each in module.bindings(dataset) or ()
            if each.value is not None and not module.inside(dataset, each.value)
        )
    if isinstance(dataset, ast.Call) and isinstance(dataset.func, ast.Attribute):
        if dataset.func.attr in BATCHES or dataset.func.attr == "window":
            return True
        if (module.qualified(dataset.func) or "").startswith("tensorflow.data."):
            last = dataset.func.attr
            if last == "zip":
                return any(_has_batches(module, each, depth + 1) for each in _zipped(dataset))
            if last == "random":
                return False
            return last != "from_generator" and not _holds_rows(module, dataset, 0)
        return _has_batches(module, dataset.func.value, depth + 1)
    return False


def _zipped(call: ast.Call) -> list[ast.expr]:
    """The datasets that `Dataset.zip` goes through side by side."""
    first = call.args[0] if call.args else None
    return first.elts if isinstance(first, (ast.Tuple, ast.List)) else list(call.args)


def _holds_rows(module: Module, dataset: ast.expr, depth: int) -> bool:
    """Whether a dataset surely has rows and not batches as its elements, and many of them."""
    if depth > MOST_STAGES:
        return False
    if isinstance(dataset, ast.Name):
        bindings = module.bindings(dataset)
        return bool(bindings) and all(
            each.kind == "assign"
            and not each.path
            and each.value is not None
            and (module.inside(dataset, each.value) or _holds_rows(module, each.value, depth + 1))
            for each in bindings or ()
        )
    if not isinstance(dataset, ast.Call) or not isinstance(dataset.func, ast.Attribute):
        return False
    name = module.qualified(dataset.func) or ""
    if name.startswith("tensorflow.data."):
        return _is_long(module, dataset, name)
    if dataset.func.attr not in PASSING:
        return False
    return _holds_rows(module, dataset.func.value, depth + 1)


def _is_long(module: Module, call: ast.Call, name: str) -> bool:
    """Whether a source of data may have more than a few elements, and they are rows."""
    last = name.rpartition(".")[2]
    if last in ("from_tensors", "zip", "from_generator", "sample_from_datasets"):
        return False
    if last == "range":
        bounds = [module.constant(each) for each in call.args]
        numbers = [each for each in bounds if isinstance(each, int)]
        return len(numbers) < len(bounds) or (bool(numbers) and max(numbers) > FEW_ELEMENTS)
    source = call.args[0] if call.args else None
    written = None if source is None else module.constant(source)
    return not isinstance(written, (list, tuple)) or len(written) > FEW_ELEMENTS


def _is_of_debug_mode(recording: Recording, row: Bridge) -> bool:
    """Whether TensorFlow itself registered the function, to run a pipeline in Python."""
    debug = any(setting.name == "tf.data debug mode" for setting in recording.settings)
    return debug and row.pipeline and row.definition is None


def _waits_elsewhere(bridges: list[Bridge]) -> bool:
    """Whether the calls mostly slept: reading files, a network, a device."""
    busy = sum(row.busy_seconds for row in bridges)
    return sum(row.cpu_seconds for row in bridges) < LEAST_BUSY * busy


def _runs_in_parallel(bridges: list[Bridge]) -> bool:
    """Whether several calls really computed at once, so that they release the lock."""
    busy = sum(row.busy_seconds for row in bridges)
    return sum(row.cpu_seconds for row in bridges) > PARALLEL_CORES * busy
