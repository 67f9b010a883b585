"""TF202: a compiled function traced again for every new shape."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow import seams
from unslow.catalogue.graphs import _calls, _source, _tracing
from unslow.catalogue.page import Page, cost_of, count_text, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Finding
from unslow.recording.data import Recording
from unslow.recording.samples import FunctionCall, Samples
from unslow.source.values import Value

if TYPE_CHECKING:
    from unslow.source.module import Module


REDUCED = "leave open what changes"
REDUCED_NOTE = (
    "In the function, `x.shape` is None where the size changes; code that needs a number "
    "there must ask `tf.shape(x)`."
)


class ShapeRetracing(Page):
    """A compiled function is given tensors of ever other shapes.

    ## What it is
    A `tf.function` without a signature is called with batches padded to their own longest
    row, images of their own size, or a growing history.

    ## Why it is slow
    The shape of a tensor argument is part of the compiled function. For a new shape
    TensorFlow runs your Python again and builds and optimises another graph, tens of
    milliseconds for a small function and seconds for a large model. With the usual options
    it does so for each of the shapes that comes up.

    ## When it does not matter
    Two or three shapes: a smaller last batch costs one trace. Few shapes that come back
    often, as sentences put in buckets have: specialised graphs can run faster.

    ## What to do
    `@tf.function(reduce_retracing=True)` leaves open what was seen to change, after two
    traces. `input_signature=[tf.TensorSpec((None, None), tf.int64)]` says it beforehand,
    with one. `drop_remainder=True` or padding to a few lengths keeps shapes fixed, which
    XLA needs.

    ## Safety of the fix
    The same results as long as the function asks `tf.shape(x)` where it needs a size:
    `x.shape` is `None` in an open dimension, and a Python `range` over it raises.
    """

    code = "TF202"
    name = "shape-retracing"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
batches = [rng.integers(0, 1000, (8, length)) for length in range(5, 85)]
embedding = tf.random.stateless_normal((1000, 32), seed=(1, 2))
weights = tf.random.stateless_normal((32, 32), seed=(3, 4)) * 0.2


@tf.function
def encode(tokens):
    words = tf.gather(embedding, tokens)
    for _ in range(6):
        words = words + tf.nn.tanh(tf.einsum("bwd,de->bwe", words, weights))
    return tf.reduce_mean(tf.nn.l2_normalize(words, axis=-1))


total = tf.constant(0.0)
for batch in batches:
    total += encode(batch)  # <- slow
print("total", round(1000 * float(total), 1))
"""

    fast = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
batches = [rng.integers(0, 1000, (8, length)) for length in range(5, 85)]
embedding = tf.random.stateless_normal((1000, 32), seed=(1, 2))
weights = tf.random.stateless_normal((32, 32), seed=(3, 4)) * 0.2


@tf.function(input_signature=[tf.TensorSpec((None, None), tf.int64)])
def encode(tokens):
    words = tf.gather(embedding, tokens)
    for _ in range(6):
        words = words + tf.nn.tanh(tf.einsum("bwd,de->bwe", words, weights))
    return tf.reduce_mean(tf.nn.l2_normalize(words, axis=-1))


total = tf.constant(0.0)
for batch in batches:
    total += encode(batch)
print("total", round(1000 * float(total), 1))
"""

    fine = (
        """\
import tensorflow as tf

features = tf.random.stateless_normal((1000, 64), seed=(1, 2))
weights = tf.random.stateless_normal((24, 64, 64), seed=(3, 4)) * 0.1


@tf.function
def score(x):
    for layer in range(24):
        x = x + tf.nn.relu(x @ weights[layer])
    return tf.reduce_max(x)


for epoch in range(20):
    scores = [score(features[start : start + 150]) for start in range(0, 1000, 150)]
print("best", round(float(tf.reduce_max(scores)), 1))
""",
        """\
import tensorflow as tf

weights = tf.random.stateless_normal((64, 64), seed=(3, 4)) * 0.1


@tf.function(reduce_retracing=True)
def score(x):
    return tf.reduce_max(tf.nn.relu(x @ weights) @ weights)


best = tf.constant(0.0)
for rows in range(10, 200):
    best = tf.maximum(best, score(tf.random.stateless_normal((rows, 64), seed=(rows, 2))))
print("best", round(float(best), 1))
""",
        """\
import tensorflow as tf

lengths = tf.data.Dataset.from_tensor_slices([3, 9, 4, 7, 12, 5, 8, 6] * 10)
ragged = lengths.map(lambda length: tf.ones((length,), tf.int64))
fixed = ragged.padded_batch(8, padded_shapes=16)
free = ragged.padded_batch(8)


@tf.function
def words(tokens):
    return tf.reduce_sum(tokens)


@tf.function(input_signature=[tf.TensorSpec((None, None), tf.int64)])
def declared(tokens):
    return tf.reduce_sum(tokens)


@tf.function
def whole(dataset):
    total = tf.constant(0, tf.int64)
    for tokens in dataset:
        total += words(tokens)
    return total


total = tf.constant(0, tf.int64)
for epoch in range(2):
    for tokens in fixed:
        total += words(tokens)
    for tokens in free:
        total += declared(tokens)
print("words", int(total + whole(free)))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that called a compiled function with many shapes of an argument."""
        for row in _tracing.retraced(recording, "shape"):
            examples = ", ".join(row.values[:3]) + (", …" if row.count > 2 else "")
            message = (
                f"{row.function}() was traced {count_text(row.traces)} times in "
                f"{count_text(row.calls)} calls: the shape of `{row.argument}` changed "
                f"{count_text(row.count)} times ({examples}). "
                f"{seconds_text(row.seconds_per_trace)} a trace with its first run."
            )
            cost = cost_of(row.claims, calls=row.calls)
            yield self.problem(row.site, message, cost, row.evidence("shapes"))

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """Calls with other shapes, traced for each, against functions that leave sizes open."""
        calls = _calls.retraced(finding, samples)
        if isinstance(calls, Untried):
            yield calls
            return
        function = calls[0].function
        if seams.uses_xla(function):
            yield Untried("XLA compiles for each shape, even where the function leaves it open.")
            return

        def relaxed() -> tuple[object, list[FunctionCall]]:
            return seams.compiled_again(function, reduce_retracing=True), calls

        reduced = _calls.Kept([relaxed], most_traces=max(2, len(calls) - 1))
        ways = [Way(REDUCED, reduced.run, before=reduced.before, note=REDUCED_NOTE, prepares=True)]
        signature = _calls.open_signature(calls)
        if signature is not None:

            def declared() -> tuple[object, list[FunctionCall]]:
                return seams.compiled_again(function, input_signature=signature), calls

            given = _calls.Kept([declared])
            name = "an input signature with open sizes"
            ways.append(Way(name, given.run, before=given.before, note=REDUCED_NOTE))
        inputs = f"{len(calls)} of its calls with other shapes"
        yield _calls.Present(calls, inputs).against(*ways)

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Calls of compiled functions in a loop with batches or slices of changing length."""
        for call, compiled in _source.repeated_calls(module):
            if (
                _source.has_signature(compiled)
                or _source.has_option(compiled, "reduce_retracing", "experimental_relax_shapes")
                or _source.has_option(compiled, "jit_compile", "experimental_compile")
            ):
                continue
            found = changing_argument(module, call)
            if found is None:
                continue
            argument, why = found
            function = _source.function_name(compiled, call)
            message = (
                f"`{module.text(argument)}` has ever other shapes, as {why}: {function}() is "
                "traced again for each of them."
            )
            evidence = {"function": function, "argument": module.text(argument), "why": why}
            yield self.suspicion(module, call, message, evidence, _reduced(compiled, module))


def changing_argument(module: Module, call: ast.Call) -> tuple[ast.expr, str] | None:
    """An argument of a call whose shape surely changes often in a loop around it, and why."""
    for loop in module.loops(call):
        if not _source.many_rounds(module, loop) or not _source.each_round(module, call, loop):
            continue
        for argument in _source.arguments(call):
            why = _source.shape_changes(module, argument, loop)
            if why is not None:
                return argument, why
    return None


def _reduced(compiled: Value, module: Module) -> tuple[Alternative, ...]:
    """`reduce_retracing=True` where the function is compiled, if that is in the same file."""
    keyword = "reduce_retracing=True"
    call = compiled.call
    if call is not None:
        if compiled.call_module is not module or not module.editable(call):
            return ()
        end = module.end(call)
        close = (end[0], end[1] - 1)
        if module.text_between(close, end) != ")":
            return ()
        given = [*call.args, *(each.value for each in call.keywords)]
        if given:
            last = max(module.end(each) for each in given)
            edit = module.edit(last, last, f", {keyword}")
        else:
            edit = module.edit(close, close, keyword)
    else:
        function = compiled.definition
        if compiled.module is not module or not isinstance(function, ast.FunctionDef):
            return ()
        bare = [
            each
            for each in function.decorator_list
            if module.qualified(each) == "tensorflow.function"
        ]
        if len(bare) != 1 or not module.editable(function):
            return ()
        edit = module.replace(bare[0], f"{module.text(bare[0])}({keyword})")
    return (Alternative(REDUCED, "unsafe", (edit,), note=REDUCED_NOTE),)
