"""TF105: a list of arrays made into one tensor number by number."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.border import _facts, _lines
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
from unslow.recording.data import Recording
from unslow.recording.samples import Converted

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.module import Module

CALLS = ("tensorflow.convert_to_tensor", "tensorflow.constant", "tensorflow.stack")

LEAST_NUMBERS = 1000

KEPT = frozenset({"float16", "float32", "float64", "int32", "bool"})
"""Data types that TensorFlow keeps when it reads arrays number by number."""

STACKED = "np.stack first"

MOST_NUMBERS = 1_000_000
"""Numbers that an experiment converts one by one."""

NOTE = (
    "Where the list is empty np.stack raises. TensorFlow reads arrays in a list of other integer "
    "types as int32, and np.stack keeps their type."
)


class ListOfArrays(Page):
    """A list of NumPy arrays is given to TensorFlow, which reads it number by number.

    ## What it is
    `tf.convert_to_tensor`, `tf.constant`, `tf.stack` or any op is called with a list or
    tuple of arrays, such as images collected in a loop.

    ## Why it is slow
    For an array TensorFlow copies one block of memory. For a list it does not know what is
    inside, takes every array apart through Python's sequence protocol and makes a Python
    object of every single number: in the order of 100 ns a number, 15 ms for an image of
    224 x 224. Stacking in NumPy first is often 50x to 200x faster.

    ## When it does not matter
    A handful of small arrays; lists of plain numbers have no faster way of much use.

    ## What to do
    `tf.convert_to_tensor(np.stack(arrays))`, or write into one array that was made for the
    whole batch beforehand.

    ## Safety of the fix
    The same values, shape and dtype for a list with arrays of one floating type, of int32 or
    of bool. Out of a list TensorFlow reads other integers as int32, which NumPy keeps as they
    are. An empty list raises in NumPy; arrays of unequal shapes raise in both.
    """

    code = "TF105"
    name = "list-of-arrays"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
photos = [rng.random((64, 64, 3), dtype=np.float32) for _ in range(300)]

total = 0.0
for start in range(0, 300, 50):
    batch = tf.convert_to_tensor(photos[start : start + 50])  # <- slow
    total += float(tf.reduce_mean(batch * batch))
print("energy", round(total, 3))
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
photos = [rng.random((64, 64, 3), dtype=np.float32) for _ in range(300)]

total = 0.0
for start in range(0, 300, 50):
    batch = tf.convert_to_tensor(np.stack(photos[start : start + 50]))
    total += float(tf.reduce_mean(batch * batch))
print("energy", round(total, 3))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

boxes = [np.array([0.1, 0.1, 0.5, 0.6], np.float32), np.array([0, 0, 1, 1], np.float32)]
photos = tf.random.stateless_uniform((20, 2, 128, 128, 3), seed=(1, 2))

total = 0.0
for pair in photos:
    crops = tf.image.crop_and_resize(pair, tf.stack(boxes), [0, 1], (64, 64))
    total += float(tf.reduce_mean(crops))
print("total", round(total, 2))
""",
        """\
import tensorflow as tf

weights = [tf.random.stateless_normal((300, 300), seed=(1, n)) for n in range(20)]

stacked = tf.stack(weights)
for number in range(10):
    stacked = tf.linalg.l2_normalize(stacked @ stacked, axis=(1, 2))
print("norm", round(float(tf.norm(stacked)), 2))
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
photos = rng.random((400, 32, 32, 3), dtype=np.float32)

means = tf.constant([photo.mean() for photo in photos])
sizes = tf.convert_to_tensor([len(photo) for photo in photos])
corners = tf.constant([photos[0, :2, :2, 0], photos[1, :2, :2, 0]])
stacked = tf.convert_to_tensor(np.stack([photo[::2] for photo in photos]))
rows = tf.stack([tf.reduce_mean(photo) for photo in stacked[:20]])
print("shapes", means.shape, sizes.shape, corners.shape, stacked.shape, rows.shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines whose conversions of lists of arrays took their time."""
        lists = [row for row in recording.conversions if row.main and row.kind == "arrays"]
        for site, rows in by_line(lists):
            calls = sum(row.calls for row in rows)
            arrays = sum(row.elements for row in rows)
            seconds = sum(row.seconds for row in rows)
            cost = cost_of(
                _lines.claim_at_most(recording, site, "convert", seconds),
                calls=calls,
                nbytes=sum(row.bytes for row in rows),
            )
            if not arrays or not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "arrays": arrays,
                "bytes": cost.bytes,
                "seconds_per_array": cost.seconds / arrays,
            }
            message = (
                f"{count_text(arrays)} arrays in {count_text(calls)} "
                f"list{'' if calls == 1 else 's'}, "
                f"{bytes_text(cost.bytes)} in all, were made into tensors number by number: "
                f"{seconds_text(cost.seconds / arrays)} an array."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """A list as it is, against one array stacked of it."""
        lists = [each for each in samples.at(Converted, finding.site) if type(each.value) is list]
        if not lists:
            yield Untried("The lists were too large to be kept.")
            return
        import numpy as np
        import tensorflow as tf

        sample = max(lists, key=lambda each: len(each.value))
        most = max(1, MOST_NUMBERS // max(1, sample.value[0].size))
        arrays = sample.value[:most]
        yield Trial(
            Way("the list", lambda: tf.convert_to_tensor(arrays, sample.dtype)),
            (
                Way(
                    STACKED,
                    lambda: tf.convert_to_tensor(np.stack(arrays), sample.dtype),
                    note=NOTE,
                ),
            ),
            f"a list of {len(arrays)} of your arrays",
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Lists of arrays that are given to a conversion."""
        for call in module.calls_to(*CALLS):
            name = module.qualified(call.func)
            source = module.argument(call, 0, "values" if name == "tensorflow.stack" else "value")
            if source is None or module.has_star(call) or module.mode(call) == "compiled":
                continue
            if module.graph_mode or module.guarded(call):
                continue
            axis = module.argument(call, 1, "axis") if name == "tensorflow.stack" else None
            if axis is not None and module.constant(axis) != 0:
                continue
            element = _element(module, source, 0)
            if element is None or element.side != "array":
                continue
            if element.size is not None and element.size < LEAST_NUMBERS / 10:
                continue
            count = len(source.elts) if isinstance(source, (ast.List, ast.Tuple)) else None
            if count is not None and count * (element.size or 0) < LEAST_NUMBERS:
                continue
            yield self.suspicion(
                module,
                call,
                f"{module.text(call.func)} gets a list of arrays and reads it number by number; "
                "np.stack copies each of them as one block.",
                {"dtype": element.dtype} if element.dtype else {},
                _alternatives(module, call, source, element, count),
            )


def _element(module: Module, source: ast.expr, depth: int) -> _facts.Facts | None:
    """What is sure of the elements of a list; `None` where they are not all alike."""
    if depth > 4:
        return None
    if isinstance(source, (ast.List, ast.Tuple)):
        every = [_facts.facts(module, each) for each in source.elts]
        alike = bool(every) and all(each.side == "array" for each in every)
        if not alike:
            return None
        return _facts.joined(every)
    if isinstance(source, ast.ListComp):
        return _facts.facts(module, source.elt)
    if isinstance(source, ast.Subscript) and isinstance(source.slice, ast.Slice):
        return _element(module, source.value, depth + 1)
    if isinstance(source, ast.Name):
        bindings = module.bindings(source)
        if bindings is None or len(bindings) != 1:
            return None
        (binding,) = bindings
        if binding.kind != "assign" or binding.path or binding.value is None:
            return None
        if isinstance(binding.value, ast.List) and not binding.value.elts:
            return _appended(module, source)
        if isinstance(binding.value, (ast.ListComp, ast.Subscript)):
            return _element(module, binding.value, depth + 1)
    return None


def _appended(module: Module, name: ast.Name) -> _facts.Facts | None:
    """What is appended to a list, where nothing else is done to it."""
    scope = module.home(name)
    found: list[_facts.Facts] = []
    for use in [] if scope is None else module.uses_of(name.id, scope):
        attribute = module.parent(use)
        if isinstance(use.ctx, ast.Store) or not isinstance(attribute, ast.Attribute):
            continue
        call = module.parent(attribute)
        if isinstance(call, ast.Call) and attribute.attr == "append" and call.args:
            found.append(_facts.facts(module, call.args[0]))
        elif attribute.attr not in ("clear", "sort", "reverse", "copy", "index", "count"):
            return None
    if not found or any(each.side != "array" for each in found):
        return None
    return _facts.joined(found)


def _alternatives(
    module: Module, call: ast.Call, source: ast.expr, element: _facts.Facts, count: int | None
) -> tuple[Alternative, ...]:
    if not module.editable(call):
        return ()
    numpy, imports = module.imported("numpy")
    edits = (module.replace(source, f"{numpy}.stack({module.text(source)})"), *imports)
    same = element.dtype in KEPT and module.argument(call, 1, "dtype") is None
    filled = bool(count) or _is_filled(module, source)
    safe = same and filled and element.shape is not None
    return (Alternative(STACKED, "safe" if safe else "unsafe", edits, note="" if safe else NOTE),)


def _is_filled(module: Module, source: ast.expr) -> bool:
    """Whether a list surely is not empty."""
    if isinstance(source, ast.Name):
        bindings = module.bindings(source) or []
        if len(bindings) != 1 or bindings[0].value is None:
            return False
        return _is_filled(module, bindings[0].value)
    if not isinstance(source, ast.ListComp) or len(source.generators) != 1:
        return False
    generator = source.generators[0]
    if generator.ifs or not isinstance(generator.iter, ast.Call):
        return False
    if module.qualified(generator.iter.func) != "range" or len(generator.iter.args) != 1:
        return False
    rounds = module.constant(generator.iter.args[0])
    return isinstance(rounds, int) and rounds > 0
