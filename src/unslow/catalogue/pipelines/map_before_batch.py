"""TF303: a cheap function is called for every row, though it could take whole batches."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.border import _facts
from unslow.catalogue.page import Page, count_text, seconds_text
from unslow.catalogue.pipelines import _functions, _rows, _stages, _steps
from unslow.catalogue.trial import Trial, Untried
from unslow.finding import Alternative, Finding, Safety
from unslow.recording.data import Recording
from unslow.source.module import UNKNOWN, Module
from unslow.source.values import dtype_of

if TYPE_CHECKING:
    from unslow.recording.samples import Samples

_CASTS = ("tensorflow.cast", "tensorflow.saturate_cast", "tensorflow.image.convert_image_dtype")

_TRUTHS = frozenset(
    f"tensorflow.{room}{name}"
    for room in ("", "math.")
    for name in (
        *("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"),
        *("logical_not", "logical_and", "logical_or"),
    )
)

_DIGITS = tuple(f"keras.datasets.{name}.load_data" for name in ("mnist", "fashion_mnist"))
"""Data sets whose images and labels are bytes."""

_PHOTOS = (*_DIGITS, *(f"keras.datasets.{name}.load_data" for name in ("cifar10", "cifar100")))
"""Data sets whose images are bytes."""

_BYTES = {
    **dict.fromkeys(("bool", "int8", "uint8"), 1),
    **dict.fromkeys(("int16", "uint16", "float16", "bfloat16"), 2),
    **dict.fromkeys(("int32", "uint32", "float32"), 4),
    **dict.fromkeys(("int64", "uint64", "float64", "complex64"), 8),
}
"""How many bytes a number of each data type takes."""


class MapBeforeBatch(Page):
    """A cheap function is mapped over single rows, and only then are they put into batches.

    ## What it is
    `map` and then `batch`, where the function treats all numbers alike: a cast, a scaling,
    a sum with a constant.

    ## Why it is slow
    A call of the mapped function costs some 10 µs however little it does: a frame is set
    up, its ops are scheduled, a tensor is allocated. For a row of a few hundred numbers
    that is nearly all of the cost. Called once per batch, it is paid once per batch: often
    10x faster for small rows, 2x for small images.

    ## When it does not matter
    Where the function is costly by itself: decoding an image takes as long in a batch of
    one as in a batch of a hundred. Where rows differ in shape until the function has made
    them alike. Where it mixes the numbers of one row, as a normalisation by the row's own
    mean does: that needs the axis spelled out first.

    ## What to do
    Write `batch` first and `map` after it. Many functions need no other change. Where an
    axis is counted from the front, count it from the back: `axis=-1` means the same with
    and without a batch.

    ## Safety of the fix
    Exact where the function treats all numbers alike and the rows have one shape. A
    function that looks at the shape, the rank or a single row of what it is given does
    something else with a batch. `drop_remainder=True` stays as it is.
    """

    code = "TF303"
    name = "map-before-batch"
    also = frozenset({"TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(14)
digits = rng.integers(0, 256, size=(15_000, 14, 14)).astype("uint8")
kinds = rng.integers(0, 10, size=15_000)


def scale(image, kind):
    return tf.cast(image, tf.float32) / 255.0, kind


rows = tf.data.Dataset.from_tensor_slices((digits, kinds))
batches = rows.map(scale).batch(100)  # <- slow
total = tf.constant(0.0)
for images, _ in batches:
    total += tf.reduce_mean(images)
print(f"mean {float(total) / 150:.4f}")
"""

    fast = slow.replace("map(scale).batch(100)  # <- slow", "batch(100).map(scale)")

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(15)
photos = rng.integers(0, 256, size=(40, 24, 20, 3)).astype("uint8")
labels = rng.integers(0, 3, size=40)


def scale(image, label):
    return tf.cast(image, tf.float32) / 255.0, label


def standardise(image, label):
    image = tf.cast(image, tf.float32)
    return (image - tf.reduce_mean(image)) / tf.math.reduce_std(image), label


def one_hot(image, label):
    return tf.transpose(image, [1, 0, 2]), tf.one_hot(label, 3)


rows = tf.data.Dataset.from_tensor_slices((photos, labels))
for images, wanted in rows.batch(10).map(scale):
    print(images.shape, wanted.shape)
for images, wanted in rows.map(standardise).map(one_hot).batch(20):
    print(images.shape, wanted.shape)

# Rows of several lengths: a batch can hold them only after padding.
words = tf.ragged.constant([[1, 2], [3], [4, 5, 6]])
lengths = tf.data.Dataset.from_tensor_slices(words).map(lambda row: row * 2)
for row in lengths.padded_batch(3):
    print(row.shape)
""",
        """\
import numpy as np
import tensorflow as tf

series = tf.data.Dataset.range(40)


def scale(values):
    return tf.cast(values, tf.float32) / 40.0


def of_window(window):
    return window.batch(8)


# Scaled rows are shuffled, repeated or cut into windows before they are put into batches.
windows = series.map(scale).window(8, drop_remainder=True).flat_map(of_window)
for rows in windows.batch(5):
    print(rows.shape)
scaled = series.map(scale)
print(max(float(value) for value in scaled.take(3)))
print(sum(len(rows) for rows in scaled.batch(10)))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Maps of such functions over rows from memory that the main thread waited for."""
        for found in _rows.row_maps(recording, "alike"):
            message = (
                f"The mapped function was called for {count_text(found.rows)} rows, "
                f"{seconds_text(found.seconds_per_row)} each, which were then put into batches "
                f"of {found.batch_size}. It treats all rows alike: for such cheap work the call "
                "itself is most of the cost. Batch first, and map whole batches."
            )
            yield self.problem(found.site, message, found.cost, found.evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The batches first, and the same function mapped over them."""
        from unslow.catalogue.pipelines import _captured, _ways

        yield from _captured.one_way(
            _captured.captured_with(finding.site, _rows.MAPS, samples),
            _ways.batch_then_map,
            step=_steps.captured_step(finding, samples),
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Maps of functions that treat all numbers alike, over rows in memory, before `batch`."""
        seen: set[ast.Call] = set()
        for batch in module.calls_of("batch", "dataset"):
            if module.guarded(batch):
                continue
            rows = _stages.mapped_rows(batch, module)
            if rows is None:
                continue
            stage, before = rows
            function = stage.argument(0, "map_func")
            work = _functions.row_work(function, stage.module)
            if work is None or work.parsers or not _is_cheap(before):
                continue
            if stage.module is not module or stage.call in seen or _is_kept(batch, module):
                continue
            if _is_compared(stage, before, module):
                continue
            seen.add(stage.call)
            edits = _stages.moved(stage.call, batch, module)
            notes = []
            if not work.exact:
                notes.append("the last digits can differ, as batches are worked on in wider pieces")
            if _is_shuffled(stage, batch, module) and _may_narrow(stage, before):
                notes.append(
                    "the buffer of shuffle then holds the rows as they were before the map, "
                    "which may take more memory"
                )
            ways: tuple[Alternative, ...] = ()
            if edits:
                safety: Safety = "unsafe" if notes else "safe"
                note = "; ".join(notes)
                ways = (Alternative("batch, then map", safety, edits, note=note),)
            message = (
                "The mapped function treats all numbers alike, yet it is called for every row and "
                "the rows are put into batches afterwards: for such cheap work the call itself is "
                "most of the cost. Batch first, and map whole batches."
            )
            finding = self.suspicion(module, stage.call, message, {"exact": work.exact}, ways)
            yield _stages.at_method(finding, module, stage.call)


def _is_cheap(before: _stages.Chain) -> bool:
    """Whether the rows come from memory, and not from a few numbers of an example."""
    if before.source not in ("from_tensor_slices", "range"):
        return False
    first = before.stages[0]
    if before.source == "range":
        counts = [first.module.constant(each) for each in first.call.args]
        if all(isinstance(count, int) and count < 1_000 for count in counts):
            return False
    else:
        rows = first.argument(0, "tensors")
        if _functions.is_small(rows, first.module) or _is_ragged(rows, first.module):
            return False
    for stage in before.stages[1:]:
        if stage.name == "map":
            work = _functions.row_work(stage.argument(0, "map_func"), stage.module)
            if work is None or work.parsers:
                return False
        elif stage.name not in (
            *("shuffle", "repeat", "take", "skip", "shard", "prefetch", "cache", "enumerate"),
        ):
            return False
    return True


def _is_ragged(rows: ast.expr | None, module: Module) -> bool:
    """Whether rows are written as ragged or sparse: those know fewer operations."""
    if rows is None:
        return True
    rows = _stages.written(rows, module)
    names = [
        module.qualified(call.func) or "" for call in ast.walk(rows) if isinstance(call, ast.Call)
    ]
    return any(
        name.startswith(("tensorflow.ragged.", "tensorflow.sparse.", "tensorflow.Ragged"))
        or name == "tensorflow.SparseTensor"
        for name in names
    )


def _is_kept(batch: ast.Call, module: Module) -> bool:
    """Whether a cache keeps the batches: rows are then mapped in the first epoch only."""
    return any(
        stage.call is batch
        for keeper in ("cache", "snapshot")
        for call in module.calls_of(keeper, "dataset")
        if isinstance(call.func, ast.Attribute)
        for stage in _stages.chain(call.func.value, module).stages
    )


def _is_compared(stage: _stages.Stage, before: _stages.Chain, module: Module) -> bool:
    """Whether the file maps the same function after a `batch` as well, to show the difference."""
    own = stage.argument(0, "map_func")
    for other in module.calls_of("map", "dataset"):
        function = module.argument(other, 0, "map_func")
        if other is stage.call or own is None or function is None:
            continue
        assert isinstance(other.func, ast.Attribute)
        rows = _stages.chain(other.func.value, module)
        if rows.source != before.source or "batch" not in rows.names:
            continue
        one, two = _functions.function_of(own, module), _functions.function_of(function, module)
        if one is not None and two is not None and one[0] is two[0]:
            return True
        if module.text(own) == module.text(function):
            return True
    return False


def _is_shuffled(stage: _stages.Stage, batch: ast.Call, module: Module) -> bool:
    """Whether rows are shuffled after a `map` and before a `batch`."""
    assert isinstance(batch.func, ast.Attribute)
    stages = _stages.chain(batch.func.value, module).stages
    calls = [each.call for each in stages]
    return any(each.name == "shuffle" for each in stages[calls.index(stage.call) :])


def _may_narrow(stage: _stages.Stage, before: _stages.Chain) -> bool:
    """Whether rows may take less memory after a `map` than before it."""
    found = _functions.function_of(stage.argument(0, "map_func"), stage.module)
    if found is None:
        return True
    function, home = found
    names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
    body = function.body if isinstance(function.body, list) else [function.body]
    nodes = [node for statement in body for node in ast.walk(statement)]
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    if not read.issuperset(names) or any(isinstance(n, ast.Compare) for n in nodes):
        return True
    if any(isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Constant) for n in nodes):
        return True
    widths = _widths(names, before)
    work = _functions.reached(stage.argument(0, "map_func"), stage.module)
    for call, where, name in work.calls if work is not None else ():
        if name in _TRUTHS:
            return True
        if name not in _CASTS:
            continue
        asked = where.argument(call, 1, "dtype")
        width = None if asked is None else _width_of(asked, where)
        given = {n.id for n in ast.walk(call.args[0]) if isinstance(n, ast.Name)}
        own = given & set(names) if where is home and given.issubset(names) else set(names)
        known = [widths[each] for each in own or names]
        if width is None or any(each is None or each > width for each in known):
            return True
    return False


def _width_of(expression: ast.expr, module: Module) -> int | None:
    """How many bytes a number of the data type takes that an expression names."""
    value = module.constant(expression)
    named = value if value is not UNKNOWN else dtype_of(module.qualified(expression))
    return _BYTES.get(named) if isinstance(named, str) else None


def _widths(names: list[str], before: _stages.Chain) -> dict[str, int | None]:
    """How many bytes a number takes in each field of the rows, by the mapped function's names."""
    unknown: dict[str, int | None] = dict.fromkeys(names)
    first = before.stages[0]
    if "map" in before.names or "enumerate" in before.names:
        return unknown
    if before.source == "range":
        return dict.fromkeys(names, _BYTES["int64"])
    rows = first.argument(0, "tensors")
    if rows is None:
        return unknown
    rows = _stages.written(rows, first.module)
    fields = rows.elts if isinstance(rows, ast.Tuple) else [rows]
    if len(fields) != len(names):
        return unknown
    dtypes = [_dtype(each, first.module) for each in fields]
    return {
        name: None if dtype is None else _BYTES.get(dtype)
        for name, dtype in zip(names, dtypes, strict=True)
    }


def _dtype(field: ast.expr, module: Module) -> str | None:
    """The data type of an array, or of a data set that Keras loads."""
    known = _facts.facts(module, field).dtype
    held = module.bindings(field) if isinstance(field, ast.Name) else None
    if known is not None or not held:
        return known
    for each in held:
        name = module.qualified(each.value.func) if isinstance(each.value, ast.Call) else None
        labels = each.path[1:] == (1,)
        if name is None or len(each.path) != 2 or name not in (_PHOTOS if not labels else _DIGITS):
            return None
    return "uint8"
