"""TF302: a costly stage that runs one call at a time, and that TensorFlow leaves so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.page import Page, cost_of, matters, seconds_text
from unslow.catalogue.pipelines import _consumers, _functions, _stages, _steps, _waits
from unslow.catalogue.trial import Trial, Untried
from unslow.finding import Alternative, Finding, Safety
from unslow.recording.data import Recording
from unslow.source.module import Module

if TYPE_CHECKING:
    from unslow.recording.samples import Samples


LEAST_SECONDS = 2e-4
"""Waited for a row. Where it is less, parallel calls cost as much as they gain."""


class SequentialMap(Page):
    """A `map` with random ops, or an `interleave`, works on one element at a time.

    ## What it is
    A `map` without `num_parallel_calls` whose function decodes or resizes, and draws random
    numbers as well. Or an `interleave` of compressed files without `num_parallel_calls`.

    ## Why it is slow
    TensorFlow makes a `map` parallel by itself, but only where its function has no state.
    One random op is enough to keep the whole function, its decoding included, on a single
    core. An `interleave` is never made parallel: it takes turns between files and reads
    from one of them at a time. Parallel calls gain at most the number of cores.

    ## When it does not matter
    A `map` whose function is stateless: TensorFlow has already made it parallel. A cheap
    function, such as one random flip of a small image. A `map` inside a dataset that an
    outer parallel `interleave` opens. `numpy_function` around pure Python: the interpreter
    lock allows one call at a time in any case. A model that is slower than the pipeline.

    ## What to do
    Give the stage `num_parallel_calls=tf.data.AUTOTUNE`. Where it is the random part alone
    that has state, two maps do as well: decode in the first, which TensorFlow makes
    parallel, and draw in the second. Ops such as `tf.image.stateless_random_crop` have no
    state at all, and give the same results every time.

    ## Safety of the fix
    Elements come in the same order, unless `deterministic=False` is asked for. An
    `interleave` gives exactly the same elements. With a seed set, which element meets which
    random number then depends on timing, so two runs no longer give equal numbers; without
    a seed they did not before either.
    """

    code = "TF302"
    name = "sequential-map"
    also = frozenset({"TF301"})
    only_if_proven = True

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(11)
scans = rng.integers(0, 256, size=(8, 256, 256, 3)).astype("uint8")
encoded = [tf.io.encode_png(scan).numpy() for scan in scans] * 8


def load(data):
    image = tf.io.decode_png(data, channels=3)
    image = tf.image.resize(image, (128, 128), method="lanczos5", antialias=True)
    return tf.image.random_flip_left_right(image)


images = tf.data.Dataset.from_tensor_slices(encoded)
images = images.map(load)  # <- slow
total = tf.constant(0.0)
for rows in images.batch(16):
    total += tf.reduce_mean(rows)
print(f"light {float(total) / 4:.2f}")
"""

    fast = slow.replace(
        "images.map(load)  # <- slow", "images.map(load, num_parallel_calls=tf.data.AUTOTUNE)"
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(12)
scans = rng.integers(0, 256, size=(8, 48, 48, 3)).astype("uint8")
encoded = [tf.io.encode_png(scan).numpy() for scan in scans]


def decode(data):
    image = tf.io.decode_png(data, channels=3)
    return tf.image.resize(tf.ensure_shape(image, (48, 48, 3)), (32, 32))


def flip(image):
    return tf.image.random_flip_left_right(image)


def decode_and_flip(data):
    return flip(decode(data))


def part(first):
    rows = tf.data.Dataset.from_tensor_slices(encoded).skip(first).take(4)
    return rows.map(decode_and_flip)


# A map without state: TensorFlow makes it parallel, and adds a prefetch, by itself.
for batch in tf.data.Dataset.from_tensor_slices(encoded).map(decode).map(flip).batch(4):
    print(batch.shape)

# A map inside what a parallel interleave opens.
parts = tf.data.Dataset.from_tensor_slices(np.array([0, 4], "int64"))
both = parts.interleave(part, num_parallel_calls=tf.data.AUTOTUNE)
print(sum(1 for _ in both))
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(13)
readings = rng.normal(size=(400, 64)).astype("float32")


def add_noise(rows):
    return rows + tf.random.normal(tf.shape(rows), stddev=0.01)


def window(start):
    return tf.data.Dataset.from_tensor_slices(readings[:4]).take(start)


noisy = tf.data.Dataset.from_tensor_slices(readings).batch(50).map(add_noise)
print(sum(len(rows) for rows in noisy))
windows = tf.data.Dataset.range(1, 4).interleave(window, cycle_length=2)
print(sum(1 for _ in windows))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Maps with state on one core, over rows that were waited for long enough to be costly."""
        for wait in _waits.waits(recording):
            batch = max((stage.batch_size or 1 for stage in wait.stages), default=1)
            rows = wait.elements * batch
            if recording.machine.cores < 2 or not rows or wait.seconds < LEAST_SECONDS * rows:
                continue
            sites = [s.site for s in wait.stages if s.kind == "Map" and s.work == "stateful"]
            site = next((site for site in sites if site is not None), None)
            cost = cost_of(wait.claims(), calls=rows)
            if site is None or not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": rows,
                "seconds": cost.seconds,
                **_steps.evidence(recording, wait),
            }
            message = (
                f"The mapped function has state, as random numbers do, so TensorFlow calls it "
                f"for one element at a time: {seconds_text(cost.seconds / rows)} were waited for "
                "each. num_parallel_calls spreads it over the cores."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The same map with parallel calls."""
        from unslow.catalogue.pipelines import _captured, _ways

        yield from _captured.one_way(
            _captured.captured_with(finding.site, ("Map",), samples),
            _ways.parallel_calls,
            step=_steps.captured_step(finding, samples),
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Maps that draw random numbers beside costly work, and compressed files in turn."""
        if module.graph_mode or _is_deterministic(module):
            return
        for call in module.calls_of("map", "dataset"):
            if self._passed_over(call, module):
                continue
            work = _functions.reached(module.argument(call, 0, "map_func"), module)
            if work is None or not work.random or not work.names & _functions.COSTLY:
                continue
            if work.names & _functions.BRIDGES:
                continue
            draws = sorted(name for name in work.names if _functions.is_random(name))
            costly = sorted(work.names & _functions.COSTLY)
            message = (
                f"The mapped function draws random numbers ({_short(draws[0])}) beside costly "
                f"work ({_short(costly[0])}). TensorFlow makes only maps without state parallel "
                "by itself, so this one works on one element at a time."
            )
            note = (
                "elements keep their order; with a seed set, which element meets which random "
                "number depends on timing"
            )
            evidence = {"stage": "map", "random": draws[0], "costly": costly[0]}
            yield self._finding(module, call, message, evidence, note)
        for call in module.calls_of("interleave", "dataset"):
            if self._passed_over(call, module):
                continue
            if not _opens_compressed(module.argument(call, 0, "map_func"), module):
                continue
            message = (
                "The files are compressed, and interleave without num_parallel_calls unpacks "
                "one of them at a time."
            )
            cycle = module.argument(call, 1, "cycle_length")
            fixed = cycle is not None and isinstance(module.constant(cycle), int)
            work = _functions.reached(module.argument(call, 0, "map_func"), module)
            note = "" if fixed else "how many files are read in turn, and so the order, can change"
            if work is None or not work.repeatable:
                note = "stages inside the opened datasets then run side by side"
            yield self._finding(module, call, message, {"stage": "interleave"}, note)

    def _passed_over(self, call: ast.Call, module: Module) -> bool:
        position = 1 if isinstance(call.func, ast.Attribute) and call.func.attr == "map" else 3
        return (
            module.has_star(call)
            or module.argument(call, position, "num_parallel_calls") is not None
            or module.guarded(call)
            or module.mode(call) == "compiled"
            or _stages.opened_by_dataset(call, module)
            or any(_consumers.sleeps(each) for each in _consumers.consumers(call, module))
        )

    def _finding(
        self, module: Module, call: ast.Call, message: str, evidence: dict[str, str], note: str
    ) -> Finding:
        name, imports = module.imported("tensorflow")
        edits = _stages.with_keyword(call, f"num_parallel_calls={name}.data.AUTOTUNE", module)
        ways: tuple[Alternative, ...] = ()
        if edits:
            safety: Safety = "unsafe" if note else "safe"
            ways = (Alternative("parallel calls", safety, (*edits, *imports), note=note),)
        finding = self.suspicion(module, call, message, evidence, ways)
        return _stages.at_method(finding, module, call)


def _short(name: str) -> str:
    return f"tf.{name.removeprefix('tensorflow.')}" if name.startswith("tensorflow.") else name


def _is_deterministic(module: Module) -> bool:
    """Whether the program asks for the same results at the price of time."""
    asked = "tensorflow.config.experimental.enable_op_determinism"
    return any(True for _ in module.calls_to(asked))


def _opens_compressed(expression: ast.expr | None, module: Module) -> bool:
    """Whether a function opens TFRecord or text files and names their compression."""
    work = _functions.reached(expression, module)
    if work is None:
        return False
    readers = ("tensorflow.data.TFRecordDataset", "tensorflow.data.TextLineDataset")
    for call, home, name in work.calls:
        if name in readers:
            kind = home.argument(call, 1, "compression_type")
            if kind is not None and home.constant(kind) in ("GZIP", "ZLIB"):
                return True
    return False
