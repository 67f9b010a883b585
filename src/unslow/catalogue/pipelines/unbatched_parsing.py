"""TF310: serialised examples are parsed one by one, and then put into batches."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from unslow.catalogue.page import Page, count_text, seconds_text
from unslow.catalogue.pipelines import _consumers, _functions, _rows, _stages, _steps
from unslow.catalogue.trial import Trial, Untried
from unslow.finding import Alternative, Edit, Finding
from unslow.recording.data import Recording
from unslow.source.module import Function, Module

if TYPE_CHECKING:
    from unslow.recording.samples import Samples

FEW_ROWS = 8
"""What a batch of fewer rows saves is not worth a word."""


class UnbatchedParsing(Page):
    """`parse_single_example` is called for every record, though `parse_example` takes batches.

    ## What it is
    A `map` that does nothing but call `tf.io.parse_single_example`, and `batch` after it.

    ## Why it is slow
    Each call sets up a parser, an output tensor per feature and a frame of the mapped
    function, for a few numbers. `tf.io.parse_example` parses a whole batch in one call and
    writes into one tensor per feature: often 10x faster for small records.

    ## When it does not matter
    Records whose work is elsewhere, such as images that are decoded after parsing. Records
    that are filtered or shuffled between parsing and `batch`.

    ## What to do
    Write `batch` first, and map `tf.io.parse_example` over the batches. Later stages that
    need single records can follow an `unbatch`, but decoding in the batched function with
    `tf.map_fn` gains nothing.

    ## Safety of the fix
    Exact for `FixedLenFeature`. A `VarLenFeature` becomes one sparse tensor for the batch,
    as wide as its longest record; `RaggedFeature` a ragged one. The order of the records
    stays.
    """

    code = "TF310"
    name = "unbatched-parsing"
    also = frozenset({"TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(22)


def serialised(values, kind):
    feature = {
        "values": tf.train.Feature(float_list=tf.train.FloatList(value=values)),
        "kind": tf.train.Feature(int64_list=tf.train.Int64List(value=[kind])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


records = [serialised(row, number % 3) for number, row in enumerate(rng.normal(size=(9_000, 8)))]
features = {
    "values": tf.io.FixedLenFeature([8], tf.float32),
    "kind": tf.io.FixedLenFeature([], tf.int64),
}


def parse(record):
    return tf.io.parse_single_example(record, features)


rows = tf.data.Dataset.from_tensor_slices(records)
batches = rows.map(parse).batch(90)  # <- slow
total = tf.constant(0, tf.int64)
for batch in batches:
    total += tf.reduce_sum(batch["kind"])
print(f"kinds {int(total)}")
"""

    fast = slow.replace("parse_single_example", "parse_example").replace(
        "map(parse).batch(90)  # <- slow", "batch(90).map(parse)"
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(23)


def serialised(photo):
    data = tf.train.BytesList(value=[tf.io.encode_png(photo).numpy()])
    feature = {"photo": tf.train.Feature(bytes_list=data)}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


photos = rng.integers(0, 256, size=(12, 16, 16, 3)).astype("uint8")
records = [serialised(photo) for photo in photos]
features = {"photo": tf.io.FixedLenFeature([], tf.string)}


def load(record):
    row = tf.io.parse_single_example(record, features)
    return tf.ensure_shape(tf.io.decode_png(row["photo"], channels=3), (16, 16, 3))


def parse(record):
    return tf.io.parse_single_example(record, features)


def parse_batch(batch):
    return tf.io.parse_example(batch, features)["photo"]


rows = tf.data.Dataset.from_tensor_slices(records)
print(sum(len(images) for images in rows.map(load).batch(6)))
print(sum(len(data) for data in rows.batch(6).map(parse_batch)))
for row in rows.map(parse).take(1):
    print(sorted(row))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Maps that parse single examples, and do no more than that, that were waited for."""
        for found in _rows.row_maps(recording, "parses"):
            message = (
                f"{count_text(found.rows)} examples were parsed one by one, "
                f"{seconds_text(found.seconds_per_row)} each, and then put into batches of "
                f"{found.batch_size}. Batch the serialised examples, and parse whole batches "
                "with tf.io.parse_example."
            )
            yield self.problem(found.site, message, found.cost, found.evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The serialised examples in batches, and one parser for each."""
        from unslow.catalogue.pipelines import _captured, _ways

        yield from _captured.one_way(
            _captured.captured_with(finding.site, _rows.MAPS, samples),
            _ways.parse_batches,
            step=_steps.captured_step(finding, samples),
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Maps that parse single examples, and do no more than that, before `batch`."""
        seen: set[ast.Call] = set()
        for batch in module.calls_of("batch", "dataset"):
            if module.guarded(batch) or _is_narrow(batch, module):
                continue
            rows = _stages.mapped_rows(batch, module)
            if rows is None:
                continue
            stage = rows[0]
            function = stage.argument(0, "map_func")
            work = _functions.row_work(function, stage.module)
            if work is None or len(work.parsers) != 1 or stage.call in seen:
                continue
            if stage.module is not module or _takes_few(stage.call, module):
                continue
            seen.add(stage.call)
            (parser, home), *_ = work.parsers
            message = (
                "Examples are parsed one by one and then put into batches. Batch the serialised "
                "examples, and parse whole batches with tf.io.parse_example."
            )
            kinds = _feature_kinds(parser, home)
            edits = _batched(parser, home, module, _stages.moved(stage.call, batch, module))
            own = _functions.function_of(function, module)
            ways: tuple[Alternative, ...] = ()
            if edits and own is not None and _used_once(own[0], module):
                ways = (_alternative(edits, kinds, work.exact),)
            finding = self.suspicion(module, stage.call, message, {"features": kinds}, ways)
            yield _stages.at_method(finding, module, stage.call)


def _is_narrow(batch: ast.Call, module: Module) -> bool:
    """Whether batches are written to have a few rows only."""
    size = module.argument(batch, 0, "batch_size")
    count = None if size is None else module.constant(size)
    return isinstance(count, int) and count < FEW_ROWS


def _takes_few(stage: ast.Call, module: Module) -> bool:
    """Whether all who take elements of a dataset take few."""
    every = _consumers.consumers(stage, module)
    return bool(every) and all(_consumers.takes_few(each) for each in every)


def _alternative(edits: tuple[Edit, ...], kinds: str, exact: bool) -> Alternative:
    name = "parse batches"
    if kinds != "fixed":
        note = "features that are not FixedLenFeature get another shape in a batch"
        return Alternative(name, "unsafe", edits, note=note)
    if not exact:
        note = "the last digits can differ, as batches are worked on in wider pieces"
        return Alternative(name, "unsafe", edits, note=note)
    return Alternative(name, "safe", edits)


def _batched(
    parser: ast.Call, home: Module, module: Module, moved: tuple[Edit, ...]
) -> tuple[Edit, ...]:
    """The edits `moved`, and one that makes the parser one of batches; none if it cannot be."""
    plain = {"serialized", "features", "name"}
    if not moved or home is not module or len(parser.args) > 2:
        return ()
    if not isinstance(parser.func, ast.Attribute):
        return ()
    if any(keyword.arg not in plain for keyword in parser.keywords):
        return ()
    name = parser.func.attr
    written = [edit for edit in moved if name in edit.text]
    if not written:
        line, column = module.end(parser.func)
        renamed = module.edit((line, column - len(name)), (line, column), "parse_example")
        return (*moved, renamed)
    # A lambda is moved together with its parser.
    if len(written) > 1 or written[0].text.count(name) > 1:
        return ()
    return tuple(replace(edit, text=edit.text.replace(name, "parse_example")) for edit in moved)


def _used_once(function: Function, module: Module) -> bool:
    """Whether nothing but the one `map` uses a function."""
    if isinstance(function, ast.Lambda):
        return module.enclosing(function, ast.Call) is not None
    if module.method_class(function) is not None or function.decorator_list:
        return False
    return len([use for use in module.uses(function.name) if isinstance(use.ctx, ast.Load)]) == 1


def _feature_kinds(parser: ast.Call, home: Module) -> str:
    """Whether all features are known to have one length ("fixed"), or not ("other")."""
    features = home.argument(parser, 1, "features")
    if isinstance(features, ast.Name):
        if any(_may_grow(use, home) for use in home.uses(features.id)):
            return "other"
        features = _stages.written(features, home)
    if not isinstance(features, ast.Dict):
        return "other"
    fixed = ("tensorflow.io.FixedLenFeature", "tensorflow.FixedLenFeature")
    for value in features.values:
        if not isinstance(value, ast.Call) or home.qualified(value.func) not in fixed:
            return "other"
    return "fixed"


def _may_grow(use: ast.Name, home: Module) -> bool:
    """Whether a dict gets items where it is used: `use[key] = …`, `use.update(…)`."""
    parent = home.parent(use)
    if isinstance(parent, ast.Subscript):
        return not isinstance(parent.ctx, ast.Load)
    return isinstance(parent, ast.Attribute) and parent.attr in ("update", "setdefault")
