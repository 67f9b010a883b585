"""TF107: `tf.map_fn` runs row by row what an op could do for all rows."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.border import _lines
from unslow.catalogue.page import (
    Page,
    by_line,
    cost_of,
    count_text,
    line_key,
    matters,
    seconds_text,
)
from unslow.finding import Claim, Finding, Site
from unslow.recording import data
from unslow.recording.data import Recording

LEAST_ROWS = 100

MOST_HEAVY = 0.5
"""The share of a loop's time in real work from which the loop is not to blame."""

MOST_NODES_AROUND = 20
"""`tf.map_fn` of one tensor alone makes 16: a function of so few nodes holds no other loop."""

CONTAINERS = ("While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall")
"""Ops whose time is that of other ops."""

MACHINERY = "TensorList"
"""How the ops begin with which a loop takes rows out and puts results together."""


class RowLoop(Page):
    """`tf.map_fn` applies a function to one row after the other.

    ## What it is
    `tf.map_fn` over the first dimension of a tensor, with a body made of ops that could
    take all rows at once.

    ## Why it is slow
    Eagerly every op of the body runs once per row, tens of microseconds each. In a compiled
    function the rows become a While loop: an iteration costs in the order of 10 to 100 µs
    beside its ops, and ops on one row leave most of the machine idle. The axis argument of
    the same op is often 100x faster.

    ## When it does not matter
    Few rows. Heavy work per row, such as decoding a JPEG or a convolution on a large image:
    there the loop itself is small.

    ## What to do
    Give the ops all rows and an axis: `tf.reduce_sum(x, axis=-1)`, `tf.nn.softmax(x)`,
    `tf.linalg.matvec`, broadcasting. Where the body is hard to rewrite, `tf.vectorized_map`
    does it for most ops.

    ## Safety of the fix
    Sums may be taken in another order and differ in the last digits. A body with random
    ops draws other numbers; one with state or side effects must stay a loop. All rows at
    once need their intermediate results in memory at once.
    """

    code = "TF107"
    name = "row-loop"

    slow = """\
import tensorflow as tf

logits = tf.random.stateless_normal((3_000, 50), seed=(1, 2))


def entropy(row):
    chances = tf.nn.softmax(row)
    return -tf.reduce_sum(chances * tf.math.log(chances))


entropies = tf.map_fn(entropy, logits)  # <- slow
print("mean entropy", round(float(tf.reduce_mean(entropies)), 3))
"""

    fast = """\
import tensorflow as tf

logits = tf.random.stateless_normal((3_000, 50), seed=(1, 2))


def entropy(rows):
    chances = tf.nn.softmax(rows)
    return -tf.reduce_sum(chances * tf.math.log(chances), axis=-1)


entropies = entropy(logits)
print("mean entropy", round(float(tf.reduce_mean(entropies)), 3))
"""

    fine = (
        """\
import tensorflow as tf

noise = tf.random.stateless_uniform((60, 256, 256, 3), maxval=256, seed=(1, 2), dtype=tf.int32)
files = [tf.io.encode_jpeg(tf.cast(photo, tf.uint8)) for photo in noise]

photos = tf.map_fn(tf.io.decode_jpeg, tf.stack(files), fn_output_signature=tf.uint8)
print("photos", photos.shape)
""",
        """\
import tensorflow as tf

signals = tf.random.stateless_normal((4, 200_000), seed=(1, 2))

spectra = tf.map_fn(lambda row: tf.abs(tf.signal.stft(row, 1024, 256)), signals)
print("spectra", spectra.shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Loops over rows whose time is not in the work on the rows."""
        for site, rows in by_line(recording.row_loops):
            claims = _eager_claims(recording, rows) + _graph_claims(recording, site, rows)
            count = sum(row.rows for row in rows)
            calls = sum(row.calls + row.graph_calls for row in rows)
            cost = cost_of(claims, calls=calls)
            if not matters(recording, cost.seconds):
                continue
            evidence = {"calls": calls, "seconds": cost.seconds, "rows": count}
            name = rows[0].name
            if count:
                evidence["seconds_per_row"] = cost.seconds / count
                message = (
                    f"{name} ran its function on {count_text(count)} rows one after the other, "
                    f"{seconds_text(cost.seconds / count)} a row."
                )
            else:
                message = (
                    f"{name} became a loop over rows in a compiled function and took about "
                    f"{seconds_text(cost.seconds)} there."
                )
            yield self.problem(site.at_line, message, cost, evidence)


def _eager_claims(recording: Recording, rows: list[data.RowLoop]) -> tuple[Claim, ...]:
    """What eager loops took, unless the ops of their bodies were real work."""
    loops = [row for row in rows if row.rows >= LEAST_ROWS]
    claims = tuple(claim for row in loops for claim in row.claims if claim.part != "recorder")
    lines = {line_key(claim) for claim in claims}
    ops = [row for row in recording.ops if row.main and line_key(row.site) in lines]
    heavy = _lines.heavy_seconds(ops)
    return () if heavy > MOST_HEAVY * sum(claim.seconds for claim in claims) else claims


def _graph_claims(recording: Recording, site: Site, rows: list[data.RowLoop]) -> tuple[Claim, ...]:
    """What a compiled loop took, at the lines that called the function around it.

    Only where trace windows looked into those calls and saw little work in them.
    """
    callers = [
        row
        for row in recording.function_calls
        if row.main
        and row.definition is not None
        and (row.definition.path, row.definition.cell, row.function)
        == (site.path, site.cell, site.function)
    ]
    total = sum(row.seconds - row.first_seconds for row in callers)
    if not any(row.graph_calls for row in rows) or total <= 0:
        return ()
    lines = {line_key(row.site) for row in callers}
    windows = [w for w in recording.windows if line_key(w.site) in lines]
    inside = sum(window.graph_seconds for window in windows)
    work = sum(
        window.wait_seconds + sum(op.seconds for op in window.ops if _is_work(op.op))
        for window in windows
    )
    seconds = sum(row.graph_seconds for row in rows)
    if not seconds and max(row.nodes for row in callers) <= MOST_NODES_AROUND:
        # The profiler leaves out tiny ops, and with them the loop that is made of them.
        seconds = total
    if work >= MOST_HEAVY * inside:
        return ()
    share = min(1.0, seconds / total)
    return tuple(
        claim
        for row in callers
        for claim in _lines.claim_at_most(
            recording, row.site, "graph", share * (row.seconds - row.first_seconds)
        )
    )


def _is_work(op: str) -> bool:
    """Whether an op does something for the rows, and does not just carry the loop."""
    return op not in CONTAINERS and not op.startswith(MACHINERY)
