"""TF207: a graph and a session made for every call."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.page import Page, by_line, claim, cost_of, count_text, matters, seconds_text
from unslow.finding import Claim, Finding, Site
from unslow.recording.data import GraphUse, Recording

LEAST_CALLS = 5


class GraphPerCall(Page):
    """A graph is imported, or a session opened, once per image instead of once.

    ## What it is
    `tf.Graph()`, `tf.import_graph_def` or `tf.compat.v1.Session` stand in a loop, or in a
    function that is called for each image or request.

    ## Why it is slow
    The import makes all nodes of the network again, in Python and C++. The session then
    places and optimises the graph in its first run, and its constants are copied. For a
    MobileNet of 14 MB that is more than a second an image where the network itself takes
    20 ms. It stays that slow at every image, and memory comes and goes with it.

    ## When it does not matter
    One graph and session per model. A process that handles one image and ends; there, keep
    a process running.

    ## What to do
    Import once, keep the session, call `session.run` for each image; feed several images at
    once where the input has an open first dimension. In new code wrap the graph once with
    `tf.compat.v1.wrap_function` and `prune`.

    ## Safety of the fix
    The same results for frozen graphs. A graph with variables or random ops keeps their
    state between calls once the session lives on. Sessions may be shared by threads, their
    building may not.
    """

    code = "TF207"
    name = "graph-per-call"

    slow = """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def make_network():
    rng = np.random.default_rng(0)
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, (None, 32), name="image")
        for layer in range(60):
            x = tf.nn.relu(x @ rng.normal(0, 0.25, (32, 32)).astype(np.float32))
        tf.identity(x, name="label")
    return graph.as_graph_def()


network = make_network()
images = np.random.default_rng(1).random((40, 1, 32), dtype=np.float32)


def classify(image):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(network, name="")  # <- slow
    with tf1.Session(graph=graph) as session:
        return session.run("label:0", {"image:0": image}).argmax()


print("labels", [int(classify(image)) for image in images])
"""

    fast = """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def make_network():
    rng = np.random.default_rng(0)
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, (None, 32), name="image")
        for layer in range(60):
            x = tf.nn.relu(x @ rng.normal(0, 0.25, (32, 32)).astype(np.float32))
        tf.identity(x, name="label")
    return graph.as_graph_def()


network = make_network()
images = np.random.default_rng(1).random((40, 1, 32), dtype=np.float32)

with tf.Graph().as_default() as graph:
    tf.import_graph_def(network, name="")
session = tf1.Session(graph=graph)


def classify(image):
    return session.run("label:0", {"image:0": image}).argmax()


print("labels", [int(classify(image)) for image in images])
session.close()
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def make_network(seed):
    rng = np.random.default_rng(seed)
    graph = tf.Graph()
    with graph.as_default():
        x = tf1.placeholder(tf.float32, (None, 256), name="image")
        for layer in range(20):
            x = tf.nn.relu(x @ rng.normal(0, 0.1, (256, 256)).astype(np.float32))
        tf.identity(x, name="label")
    return tf1.Session(graph=graph)


sessions = [make_network(seed) for seed in range(2)]
images = np.random.default_rng(1).random((100, 32, 256), dtype=np.float32)
total = 0.0
for image in images:
    total += sum(float(s.run("label:0", {"image:0": image}).mean()) for s in sessions)
print("total", round(total, 1))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that imported a graph often; where none did, lines that opened sessions."""
        for action in ("import", "session"):
            found = list(self._found(recording, action))
            if found:
                yield from found
                return

    def _found(self, recording: Recording, action: str) -> Iterator[Finding]:
        made = [row for row in recording.graphs if row.action == action]
        for site, rows in by_line(made):
            calls = sum(row.calls for row in rows)
            if calls < LEAST_CALLS:
                continue
            used = [
                *rows,
                *(r for r in recording.graphs if r.action != action and _goes_with(r, site, calls)),
            ]
            cost = cost_of((each for row in used for each in _claims(row)), calls=calls)
            if not matters(recording, cost.seconds):
                continue
            sessions = sum(row.calls for row in used if row.action == "session")
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "graphs": sum(row.calls for row in used if row.action == "graph"),
                "sessions": sessions,
                "first_run_seconds": sum(row.first_seconds for row in used),
                "seconds_per_call": cost.seconds / calls,
            }
            what = "A graph was imported" if action == "import" else "A session was opened"
            message = (
                f"{what} {count_text(calls)} times, {seconds_text(cost.seconds / calls)} each "
                f"with the first runs of {count_text(sessions)} sessions; once would do."
            )
            yield self.problem(site.at_line, message, cost, evidence)


def _goes_with(row: GraphUse, site: Site, calls: int) -> bool:
    """Whether what `row` counts happened each time something was made at `site`."""
    count = row.first_runs if row.action == "run" else row.calls
    together = (row.site.path, row.site.cell, row.site.function) == (
        site.path,
        site.cell,
        site.function,
    )
    return count >= LEAST_CALLS and (together or abs(count - calls) <= 1)


def _claims(row: GraphUse) -> tuple[Claim, ...]:
    """The time of making graphs and sessions; of runs that of the first ones."""
    if row.action == "run":
        return (claim(row.site, "graph", row.first_seconds),)
    return (claim(row.site, "build", row.seconds),)
