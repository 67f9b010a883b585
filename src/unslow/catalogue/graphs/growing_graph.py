"""TF208: one graph that gets new ops between the runs of its session."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.page import Page, by_line, claim, cost_of, count_text, matters, seconds_text
from unslow.finding import Finding
from unslow.recording.data import GraphUse, Recording

LEAST_GROWTHS = 10


class GrowingGraph(Page):
    """Ops are added to a graph between the runs of its session, so every run is slower.

    ## What it is
    A loop around `session.run` also makes ops: `tf.image.resize(image)`, `tf.constant(x)`,
    `variable.assign(x)`, or only `session.run(tensor[0])`. In graph mode each of these adds
    nodes to the graph, and nothing ever takes them away.

    ## Why it is slow
    A session whose graph has changed must extend, place and optimise it again before it
    runs, and the work grows with all that was added before: the time of the loop rises with
    the square of its length. Memory rises too, and constants of images stay in it.

    ## When it does not matter
    Ops built before the first run. A few late additions, such as a saver or a summary.

    ## What to do
    Build everything before the loop and feed what changes through `tf.compat.v1.placeholder`.
    Then call `graph.finalize()`: any op added later raises at its line.

    ## Safety of the fix
    Advice only. The results are the same where the new ops are the same in each iteration;
    a fed value must have the dtype that the constant had. Random ops keep one state instead
    of a new one in every iteration.
    """

    code = "TF208"
    name = "growing-graph"

    slow = """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
images = np.random.default_rng(0).random((120, 48, 48, 3), dtype=np.float32)

with tf.Graph().as_default(), tf1.Session() as session:
    means = []
    for image in images:
        small = tf.image.resize(image, (24, 24))  # <- slow
        means.append(float(session.run(tf.reduce_mean(small))))
print("mean", round(sum(means), 2))
"""

    fast = """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
images = np.random.default_rng(0).random((120, 48, 48, 3), dtype=np.float32)

with tf.Graph().as_default(), tf1.Session() as session:
    image_in = tf1.placeholder(tf.float32, (48, 48, 3))
    mean = tf.reduce_mean(tf.image.resize(image_in, (24, 24)))
    means = []
    for image in images:
        means.append(float(session.run(mean, {image_in: image})))
print("mean", round(sum(means), 2))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
rng = np.random.default_rng(0)
images = rng.random((60, 32, 256), dtype=np.float32)

with tf.Graph().as_default(), tf1.Session() as session:
    x = image_in = tf1.placeholder(tf.float32, (32, 256))
    for layer in range(20):
        x = tf.nn.relu(x @ rng.normal(0, 0.1, (256, 256)).astype(np.float32))
    means = [session.run(tf.reduce_mean(x), {image_in: images[0]})]
    peak = tf.reduce_max(x)
    peaks = [session.run(peak, {image_in: image}) for image in images]
print("peak", round(float(max(peaks)), 2))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that ran a session whose graph had grown since, again and again."""
        for site, rows in by_line(row for row in recording.graphs if _has_grown(row)):
            cost = cost_of(
                (claim(row.site, "graph", _needless_seconds(row)) for row in rows),
                calls=sum(row.calls for row in rows),
            )
            if not matters(recording, cost.seconds):
                continue
            row = max(rows, key=lambda row: row.first_runs)
            growth = row.growth[0]
            each = (row.nodes_last - row.nodes_first) / max(1, row.first_runs - 1)
            evidence = {
                "calls": cost.calls,
                "seconds": cost.seconds,
                "nodes_first": row.nodes_first,
                "nodes_last": row.nodes_last,
                "nodes_per_run": each,
                "seconds_per_call": cost.seconds / cost.calls,
                "lines": [place.place for place in row.growth],
            }
            message = (
                f"The graph grew from {count_text(row.nodes_first)} to "
                f"{count_text(row.nodes_last)} nodes in {count_text(row.first_runs)} runs at "
                f"{site.place}: this line adds to it, and the session prepares all of it again, "
                f"{seconds_text(cost.seconds / cost.calls)} a run and rising."
            )
            yield self.problem(growth.at_line, message, cost, evidence)


def _has_grown(row: GraphUse) -> bool:
    return (
        row.action == "run"
        and row.first_runs >= LEAST_GROWTHS
        and row.nodes_last >= row.nodes_first + row.first_runs - 1
        and bool(row.growth)
    )


def _needless_seconds(row: GraphUse) -> float:
    """What runs after a change took longer than others; all of it where there were no others."""
    others = row.calls - row.first_runs
    usual = (row.seconds - row.first_seconds) / others if others else 0.0
    return max(row.first_seconds - row.first_runs * usual, 0.0)
