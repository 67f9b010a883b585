"""TF104: a tensor taken apart element by element in Python."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.border import _lines
from unslow.catalogue.page import Page, by_line, cost_of, count_text, matters, seconds_text
from unslow.finding import Claim, Finding, Site
from unslow.recording.data import OpCount, Recording

SLICES = ("StridedSlice", "GatherV2", "Unpack")
LEAST_CALLS = 500
PYTHON_PER_OP = 4.0
"""Indexing runs some Python before its op: at most this many times what the op takes."""


class TensorIteration(Page):
    """Python walks over a tensor: `for x in tensor`, `tensor[i]` in a loop.

    ## What it is
    A loop outside a compiled function takes one element or row after the other out of a
    tensor. Each is a `StridedSlice` op and a new tensor.

    ## Why it is slow
    An op on one number costs as much as on a thousand: some 20 to 50 µs of Python and
    dispatch for a few nanoseconds of work. What is then done with the element are ops of
    the same price, comparisons included. Reading a list element takes 0.05 µs.

    ## When it does not matter
    A few dozen elements, or large ones with much work each: images of a batch, layers of a
    stack. Inside a `tf.function` the loop becomes part of the graph; that is another cause.

    ## What to do
    Say it with ops on the whole tensor: comparisons and `tf.boolean_mask`, `tf.where`,
    `tf.gather`, reductions with an axis. If the work needs Python, take all values out at
    once with `.numpy()` or `.numpy().tolist()` and walk over those: often 100x and more.

    ## Safety of the fix
    `.numpy()` before the loop keeps order and values; the elements are NumPy numbers then,
    whose integer division, overflow and printing differ from tensors'. Gradients do not
    flow through arrays: do not take it out under a tape.
    """

    code = "TF104"
    name = "tensor-iteration"

    slow = """\
import tensorflow as tf

scores = tf.random.stateless_uniform((12_000,), seed=(1, 2))

accepted = 0
for score in scores:  # <- slow
    if score > 0.75:
        accepted += 1
print("accepted", accepted)
"""

    fast = """\
import tensorflow as tf

scores = tf.random.stateless_uniform((12_000,), seed=(1, 2))

accepted = int(tf.math.count_nonzero(scores > 0.75))
print("accepted", accepted)
"""

    fine = (
        """\
import tensorflow as tf

photos = tf.random.stateless_uniform((24, 320, 320, 3), seed=(1, 2))

contrasts = []
for photo in photos:
    smooth = tf.nn.avg_pool2d(photo[tf.newaxis], 5, strides=1, padding="SAME")
    contrasts.append(tf.math.reduce_std(smooth))
print("contrast", round(float(tf.add_n(contrasts)), 2))
""",
        """\
import tensorflow as tf

scores = tf.random.stateless_uniform((200_000,), seed=(1, 2))

longest = current = 0
for score in scores.numpy().tolist():
    current = current + 1 if score > 0.5 else 0
    longest = max(longest, current)
print("longest run", longest)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines with a great many cheap slices."""
        slices = [row for row in recording.ops if row.main and not row.keras and row.op in SLICES]
        for site, rows in by_line(slices):
            calls = sum(row.calls for row in rows)
            if calls < LEAST_CALLS or _lines.heavy_seconds(rows):
                continue
            cost = cost_of(_claims(recording, site, rows), calls=calls)
            if not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "seconds_per_call": cost.seconds / calls,
                "op": max(rows, key=lambda row: row.calls).op,
            }
            message = (
                f"{count_text(calls)} elements were taken out of a tensor one by one, "
                f"{seconds_text(cost.seconds / calls)} each; what was done with each of them "
                "comes on top."
            )
            yield self.problem(site.at_line, message, cost, evidence)


def _claims(recording: Recording, site: Site, rows: list[OpCount]) -> tuple[Claim, ...]:
    """The slices' own time, and their share of the Python that led to the line's ops."""
    seconds = sum(row.seconds for row in rows)
    share = sum(row.calls for row in rows) / sum(
        row.calls for row in _lines.ops_at(recording, site)
    )
    python = share * recording.line(site).get("python", 0.0)
    return _lines.claim_at_most(recording, site, "eager", seconds) + _lines.claim_at_most(
        recording, site, "python", min(python, PYTHON_PER_OP * seconds)
    )
