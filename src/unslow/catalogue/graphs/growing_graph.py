"""TF208: one graph that gets new ops between the runs of its session."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _hoisted, _sessions, _source
from unslow.catalogue.page import Page, by_line, claim, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Claim, Finding, Site
from unslow.recording.data import GraphUse, Recording
from unslow.recording.samples import GrownRun, Samples
from unslow.source.flow import Repetition, rounds
from unslow.source.inference import own_nodes
from unslow.source.values import is_tensor_function

if TYPE_CHECKING:
    from unslow.source.module import Module

LEAST_GROWTHS = 10
ASSIGNMENTS = ("assign", "assign_add", "assign_sub")

BEFORE = "all ops made before the first run"
NOTE = (
    "An op that draws random numbers with a seed of its own starts once instead of in each "
    "round, and a shape that is open in the graph must be fed as such."
)


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
    Unsafe. The edit is offered where strings, rows of an array, or what an earlier run
    fetched are all that changes; the rest is advice. The results are the same where the new
    ops are the same in each iteration; a fed value must have the dtype that the constant had.
    Random ops keep one state instead of a new one in every iteration.
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
        """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
images = np.random.default_rng(0).random((40, 16, 16, 3), dtype=np.float32)

with tf.Graph().as_default() as graph:
    image_in = tf1.placeholder(tf.float32, (16, 16, 3))
    value_in = tf1.placeholder(tf.float32, ())
    best = tf1.get_variable("best", initializer=0.0)
    keep = best.assign(tf.maximum(best, value_in))
    small = tf.image.resize(image_in, (8, 8))
    first = small[0]
    start = tf1.global_variables_initializer()
    graph.finalize()

with tf1.Session(graph=graph) as session:
    session.run(start)
    for image in images:
        row = session.run(first, feed_dict={image_in: image})
        session.run(keep, feed_dict={value_in: row[0].mean()})
    print("best", round(float(session.run(best)), 3))

for image in images[:3]:
    with tf.Graph().as_default(), tf1.Session() as session:
        session.run(tf.reduce_mean(tf.constant(image)))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that ran a session whose graph had grown since, again and again."""
        for site, rows in by_line(row for row in recording.graphs if _has_grown(row)):
            runs = [claim(row.site, "graph", _needless_seconds(row)) for row in rows]
            cost = cost_of(
                (*runs, *_building(recording, rows)), calls=sum(row.calls for row in rows)
            )
            if not matters(recording, cost.seconds):
                continue
            row = max(rows, key=lambda row: row.first_runs)
            growth = row.growth[0]
            each = (row.nodes_last - row.nodes_first) / max(1, row.first_runs - 1)
            each_run = sum(run.seconds for run in runs) / cost.calls
            evidence = {
                "calls": cost.calls,
                "seconds": cost.seconds,
                "nodes_first": row.nodes_first,
                "nodes_last": row.nodes_last,
                "nodes_per_run": each,
                "seconds_per_call": each_run,
                "lines": [place.place for place in row.growth],
            }
            message = (
                f"The graph grew from {count_text(row.nodes_first)} to "
                f"{count_text(row.nodes_last)} nodes in {count_text(row.first_runs)} runs at "
                f"{site.place}: this line adds to it, and the session prepares all of it again, "
                f"{seconds_text(each_run)} a run and rising."
            )
            yield self.problem(growth.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """A run at half the graph's growth: after the ops of a round were added, and without."""
        [run] = finding.cost.claims[:1]
        found = samples.at(GrownRun, Site(run.path, run.line, cell=run.cell))
        middle = (finding.evidence["nodes_first"] + finding.evidence["nodes_last"]) / 2
        chosen = min(found, key=lambda each: abs(each.nodes - middle), default=None)
        if chosen is None:
            yield Untried("No run of its session could be captured.")
            return
        try:
            grown = _sessions.Grown(chosen)
        except _sessions.Acts as error:
            yield Untried(f"Its graph writes files or calls Python: {error}.")
            return
        except (_sessions.Unnamed, ValueError) as error:
            yield Untried(f"The graph cannot be made again: {error}.")
            return
        if grown.has_variables:
            yield Untried("The graph has variables, whose values went with the session.")
            return
        yield Trial(
            Way("after new ops", grown.run_after_growth, before=grown.grow),
            (Way(BEFORE, grown.run_again, before=grown.settle),),
            f"a run in the graph as it was at {chosen.nodes} nodes",
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Ops made in each round of a loop, or each call of a function, that runs a session."""
        if not module.graph_mode:
            return
        seen: set[ast.AST] = set()
        for run in module.calls_of("run", "session"):
            place: ast.AST | None = next(iter(module.loops(run)), None)
            if place is None:
                place = module.function(run)
                again = module.repetition(run)
                if place is None or again is None or _resets(module, again):
                    continue
                if any(module.loops(each) for each in _runs(module, place)):
                    continue
            elif isinstance(place, ast.For) and (rounds(module, place) or LEAST_GROWTHS) < (
                LEAST_GROWTHS
            ):
                continue
            if place in seen or module.guarded(run) or not _source.each_round(module, run, place):
                continue
            seen.add(place)
            if _makes_graph(module, place):
                continue
            ops = [node for node in _nodes(place) if _is_op(module, node, place)]
            if not ops:
                continue
            first = min(ops, key=module.start)
            again = module.repetition(run)
            where = "the loop" if again is None else again.text
            message = (
                f"`{_short(module.text(first))}` adds to the graph each time, and the session is "
                f"run in {where}: it must prepare the grown graph again before every run."
            )
            evidence = {"ops": len(ops), "where": where}
            yield self.suspicion(module, first, message, evidence, _before(module, place, ops))


def _before(module: Module, place: ast.AST, ops: list[ast.AST]) -> tuple[Alternative, ...]:
    """The ops of a loop made before it, where that surely gives the same."""
    try:
        edits = _hoisted.Hoist(module, place).edits(_runs(module, place), ops)
    except _hoisted.Unsure:
        return ()
    return (Alternative(BEFORE, "unsafe", edits, note=NOTE),)


def _runs(module: Module, place: ast.AST) -> list[ast.Call]:
    """The runs of sessions in a function."""
    return [run for run in module.calls_of("run", "session") if module.inside(run, place)]


def _nodes(place: ast.AST) -> Iterator[ast.AST]:
    """What runs in each round of a loop or each call of a function."""
    if isinstance(place, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
        yield from ast.walk(place.elt)
    elif not isinstance(place, ast.DictComp):
        yield from own_nodes(place)


def _makes_graph(module: Module, place: ast.AST) -> bool:
    """Whether a loop or function has a graph or session of its own, made anew each time."""
    return any(
        isinstance(node, ast.Call)
        and (
            module.value(node).kind in ("graph", "session")
            or (module.qualified(node.func) or "").rpartition(".")[2]
            in ("reset_default_graph", "import_graph_def", "clear_session")
        )
        for node in ast.walk(place)
    )


def _resets(module: Module, again: Repetition) -> bool:
    """Whether a graph is made anew in what calls a function again and again."""
    if again.loop is not None and _makes_graph(again.module, again.loop):
        return True
    makers = ("tensorflow.Graph", "tensorflow.reset_default_graph", "keras.backend.clear_session")
    return any(module.repetition(call) is not None for call in module.calls_to(*makers))


def _is_op(module: Module, node: ast.AST, place: ast.AST) -> bool:
    """Whether a node surely makes an op in each round."""
    if isinstance(node, ast.Call):
        name = module.qualified(node.func) or ""
        made = is_tensor_function(name) or (
            name.startswith("tensorflow.") and name.removeprefix("tensorflow.") in ASSIGNMENTS
        )
        if not made and isinstance(node.func, ast.Attribute):
            made = node.func.attr in ASSIGNMENTS and (
                module.value(node.func.value).kind == "variable"
            )
        if name.rpartition(".")[2] in ASSIGNMENTS or getattr(node.func, "attr", "") in ASSIGNMENTS:
            made = made and not _loads(module, place)
    elif isinstance(node, (ast.Subscript, ast.BinOp)):
        inner = node.value if isinstance(node, ast.Subscript) else node
        made = module.value(inner).kind == "tensor" and isinstance(
            getattr(node, "ctx", ast.Load()), ast.Load
        )
    else:
        return False
    return made and _source.each_round(module, node, place)


def _loads(module: Module, place: ast.AST) -> bool:
    """Whether a loop goes over things there are a few of, as one that loads weights does."""
    return isinstance(place, ast.For) and not (
        isinstance(place.iter, ast.Call) and module.qualified(place.iter.func) == "range"
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"


def _has_grown(row: GraphUse) -> bool:
    return (
        row.action == "run"
        and row.first_runs >= LEAST_GROWTHS
        and row.nodes_last >= row.nodes_first + row.first_runs - 1
        and bool(row.growth)
    )


def _building(recording: Recording, rows: Iterable[GraphUse]) -> Iterator[Claim]:
    """The Python of the lines that add to the graph: it makes ops, again and again."""
    for place in dict.fromkeys(place.at_line for row in rows for place in row.growth):
        seconds = recording.line(place).get("python", 0.0)
        if seconds:
            yield claim(place, "python", seconds)


def _needless_seconds(row: GraphUse) -> float:
    """What runs after a change took longer than others; all of it where there were no others."""
    others = row.calls - row.first_runs
    usual = (row.seconds - row.first_seconds) / others if others else 0.0
    return max(row.first_seconds - row.first_runs * usual, 0.0)
