"""TF305: parallel calls of Python code that the interpreter lock runs one at a time."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

from unslow.catalogue.border import _bridges, _calls, rewrites
from unslow.catalogue.page import (
    Page,
    by_line,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.catalogue.pipelines import _functions, _processes, _stages
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Finding
from unslow.recording.data import Recording
from unslow.recording.samples import BridgeCall, Samples
from unslow.source.module import Function, Module

MOST_CORES = 1.15
LEAST_CORES = 0.5
LEAST_OVERLAP = 1.4
LEAST_WAIT = 0.5
"""Of the busy time: else the model competes for the cores, and no verdict can be had."""


LEAST_ITEMS = 100

RELEASING = frozenset(
    {
        *("dot", "matmul", "einsum", "tensordot", "load", "loadtxt", "fromfile", "open", "input"),
        *("convolve", "correlate", "sort", "argsort", "interp", "genfromtxt"),
    }
)

METHODS = frozenset(
    {
        *("tolist", "copy", "astype", "reshape", "clip", "mean", "sum", "min", "max", "std"),
        *("integers", "random", "normal", "uniform", "choice", "permutation", "shuffle"),
        *("numpy", "append", "extend", "pop", "get", "items", "keys", "values", "add", "index"),
        *("decode", "encode", "split", "join", "strip", "lower", "upper", "isalpha", "isdigit"),
        *("flatten", "ravel", "item", "count", "replace", "startswith", "endswith", "format"),
    }
)


PROCESSES_NOTE = (
    "Each process has its own copy of all that the function uses: what it changes outside its "
    "result is lost."
)


class GilBoundMap(Page):
    """A parallel `map` calls pure Python, which one lock runs one call at a time.

    ## What it is
    `map(…, num_parallel_calls=…)` or a parallel `interleave` whose function reaches Python
    through `numpy_function` or `py_function`, and that Python holds the interpreter lock
    for its whole work. Several calls are under way, one core is busy.

    ## Why it is slow
    Threads of one interpreter take turns at Python code. Pure Python therefore gains
    nothing from parallel calls; the turns themselves cost a little, and they take the lock
    from the training loop. On a machine with many cores all but one wait.

    ## When it does not matter
    Where the function releases the lock for most of its time: NumPy on large arrays, image
    decoders, reading files, sleeping on a network. Where the model is slower than this one
    core anyway.

    ## What to do
    Let `unslow.numpy_function` make TensorFlow ops of it, which run in parallel without the
    lock; its loops are compiled by XLA then. `unslow native FILE.py:FUNCTION` prints these
    ops as source, compares and measures them. If it must be Python, do it on whole batches
    with NumPy calls that release the lock, do it once and cache the result, or spread it
    over processes that write TFRecord files.

    ## Safety of the fix
    Unsafe. Native ops can differ from their Python twin in rounding, in Unicode and in edge
    cases, and draw other random numbers: compare the elements of both pipelines before
    switching.
    """

    code = "TF305"
    name = "gil-bound-map"
    also = frozenset({"TF101", "TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(6)
recordings = rng.standard_normal((40, 150_000), dtype="float32")
levels = (-1.0, 0.0, 1.0)


def count_crossings(signal):
    crossings = 0
    for level in levels:
        above = signal[0] > level
        for value in signal.tolist():
            if (value > level) != above:
                crossings += 1
                above = not above
    return np.int64(crossings)


def crossings_of(signal):
    return tf.numpy_function(count_crossings, [signal], tf.int64)  # <- slow


signals = tf.data.Dataset.from_tensor_slices(recordings)
counts = signals.map(crossings_of, num_parallel_calls=4)
total = tf.constant(0, tf.int64)
for batch in counts.batch(10):
    total += tf.reduce_sum(batch)
print(f"crossings {int(total)}")
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(6)
recordings = rng.standard_normal((40, 150_000), dtype="float32")
levels = (-1.0, 0.0, 1.0)


def crossings_of(signal):
    above = signal > tf.constant(levels)[:, tf.newaxis]
    crosses = above[:, 1:] != above[:, :-1]
    return tf.math.count_nonzero(crosses)


signals = tf.data.Dataset.from_tensor_slices(recordings)
counts = signals.map(crossings_of, num_parallel_calls=4)
total = tf.constant(0, tf.int64)
for batch in counts.batch(10):
    total += tf.reduce_sum(batch)
print(f"crossings {int(total)}")
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

weights = tf.constant(np.random.default_rng(7).normal(size=(1_024, 1_024)), tf.float32)


def spectrum(seed):
    signal = np.random.default_rng(seed).normal(size=2**17)
    return np.abs(np.fft.rfft(signal)[:1_024]).astype("float32")


def load(seed):
    return tf.ensure_shape(tf.numpy_function(spectrum, [seed], tf.float32), [1_024])


@tf.function
def score(rows):
    tiled = tf.tile(rows, [700, 1])
    return tf.reduce_max(tf.tanh(tiled @ weights) @ weights)


spectra = tf.data.Dataset.range(24).map(load, num_parallel_calls=2)
scores = [score(rows) for rows in spectra.batch(4)]
print(len(scores))
""",
        """\
import time

import numpy as np
import tensorflow as tf

weights = tf.constant(np.random.default_rng(8).normal(size=(1_024, 1_024)), tf.float32)


def download(number):
    time.sleep(0.01)
    return np.full(1_024, number, "float32")


def fetch(number):
    return tf.ensure_shape(tf.numpy_function(download, [number], tf.float32), [1_024])


@tf.function
def score(rows):
    tiled = tf.tile(rows, [700, 1])
    return tf.reduce_max(tf.tanh(tiled @ weights) @ weights)


pages = tf.data.Dataset.range(24).map(fetch, num_parallel_calls=4)
scores = [score(rows) for rows in pages.batch(4)]
print(len(scores))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Python functions of pipelines whose parallel calls together kept one core busy."""
        rows = [
            row
            for row in recording.bridges
            if row.pipeline and row.kind != "generator" and row.threads >= 2
        ]
        for site, bridges in by_line(rows):
            busy = sum(row.busy_seconds for row in bridges)
            if busy <= 0:
                continue
            calls = sum(row.calls for row in bridges)
            cores = sum(row.cpu_seconds for row in bridges) / busy
            overlap = sum(row.seconds for row in bridges) / busy
            cost = cost_of((claim for row in bridges for claim in row.claims), calls=calls)
            gil_bound = LEAST_CORES <= cores <= MOST_CORES and overlap >= LEAST_OVERLAP
            waited = cost.seconds >= LEAST_WAIT * busy
            if not (gil_bound and waited and matters(recording, cost.seconds)):
                continue
            threads = max(row.threads for row in bridges)
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "wall_seconds_per_call": _bridges.seconds_each(bridges),
                "threads": threads,
                "epochs": _bridges.epochs_of(recording),
                "cores_busy": cores,
                "calls_under_way": overlap,
            }
            message = (
                f"Up to {threads} calls of {bridges[0].function}() were under way at once, yet "
                f"together they kept {cores:.1f} cores busy: the interpreter lock ran "
                f"{count_text(calls)} calls one after the other, and the program waited "
                f"{seconds_text(cost.seconds)} for them."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The same function in processes of their own, and what does the same without the lock."""
        calls = samples.at(BridgeCall, finding.site)
        evidence = finding.evidence
        if not calls or not calls[0].arguments:
            yield Untried("No call of the function was kept.")
            return
        if calls[0].kind != "numpy_function":
            yield Untried("The function takes tensors, which do not go to another process.")
            return
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        threads = evidence["threads"]
        count = min(cores, threads)
        each = evidence["wall_seconds_per_call"]
        bridged = _bridges.repeated(calls, each, evidence.get("epochs", 1))
        forks = cores > 1 and _processes.can_fork()
        ways = [_in_processes(bridged, count, threads)] if forks else []
        if not forks:
            yield Untried("Processes could not be tried: one core, or no way to copy the process.")
        yield _bridges.mapped(bridged, ways, each, threads, finding.site)

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Python functions in parallel stages that go through their data item by item."""
        seen: set[ast.Call] = set()
        for method in ("map", "interleave"):
            for call in module.calls_of(method, "dataset"):
                stage = _stages.Stage(method, call, module)
                if not _stages.parallel(stage) or module.guarded(call):
                    continue
                work = _functions.reached(stage.argument(0, "map_func"), module)
                for bridge, home, name in work.calls if work is not None else ():
                    if name not in _functions.BRIDGES or home is not module or bridge in seen:
                        continue
                    target = home.argument(bridge, 0, "func")
                    function = _functions.function_of(target, home)
                    if function is None or not _is_pure_python(*function):
                        continue
                    seen.add(bridge)
                    called = getattr(function[0], "name", "the function")
                    message = (
                        f"{called} goes through its data item by item in Python, and the stage "
                        "asks for parallel calls: the interpreter lock lets one run at a time."
                    )
                    ways = tuple(rewrites.alternatives(module, bridge))
                    yield self.suspicion(module, bridge, message, {"function": called}, ways)


def _in_processes(bridged: _calls.Bridged, count: int, threads: int) -> Way:
    """The function called in `count` processes, which start before the first run."""
    workers: list[_processes.Workers] = []

    def start() -> None:
        if not workers:
            workers.append(_processes.Workers(bridged.function, count))

    def in_worker(*arguments: object) -> object:
        return workers[0].call(*arguments)

    name = f"in {count} processes"
    return bridged.mapped(name, in_worker, threads, PROCESSES_NOTE, start)


def _is_pure_python(function: Function, module: Module) -> bool:
    """Whether a function holds the interpreter lock while it loops over single items."""
    loops: list[ast.AST] = []
    return _holds_lock(function, module, loops, 0) and bool(loops)


def _holds_lock(function: Function, module: Module, loops: list[ast.AST], depth: int) -> bool:
    """Whether a function calls nothing known or likely to release the lock for long.

    Its loops over single items are added to `loops`.
    """
    if depth > 4:
        return False
    for call in _functions.own_calls(function):
        callee = module.value(call.func)
        if callee.kind == "external":
            room, _, last = callee.name.rpartition(".")
            simple = room in ("", "math", "random", "numpy", "numpy.random")
            if not simple or last in RELEASING:
                return False
        elif callee.kind == "function" and callee.module is not None:
            inner = callee.definition
            if not isinstance(inner, (ast.FunctionDef, ast.Lambda)):
                return False
            if not _holds_lock(inner, callee.module, loops, depth + 1):
                return False
        elif not isinstance(call.func, ast.Attribute) or call.func.attr not in METHODS:
            return False
    body = function.body if isinstance(function.body, list) else [function.body]
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, (ast.For, ast.While)) and _by_item(node, module):
                loops.append(node)
    return True


def _by_item(loop: ast.For | ast.While, module: Module) -> bool:
    """Whether a loop goes over many single items with nothing but Python's own operations."""
    for statement in loop.body:
        for call in ast.walk(statement):
            if isinstance(call, ast.Call) and "." in (module.qualified(call.func) or ""):
                return False
    works = any(
        isinstance(each, (ast.BinOp, ast.AugAssign, ast.Compare))
        for statement in loop.body
        for each in ast.walk(statement)
    )
    return works and (isinstance(loop, ast.While) or _is_long(loop.iter, module))


def _is_long(iterable: ast.expr, module: Module) -> bool:
    """Whether an iterable has many items: single numbers, or a counter up to some size."""
    if not isinstance(iterable, ast.Call):
        return False
    if isinstance(iterable.func, ast.Attribute):
        return iterable.func.attr == "tolist"
    name = module.qualified(iterable.func)
    if name == "range":
        count = module.constant(iterable.args[-1] if len(iterable.args) < 3 else iterable.args[1])
        return not isinstance(count, int) or count >= LEAST_ITEMS
    if name in ("enumerate", "zip", "reversed"):
        return any(_is_long(each, module) for each in iterable.args)
    return False
