"""TF211: neighbouring runs of a session, where one run would fetch both."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unslow.catalogue.page import Page
from unslow.finding import Alternative, Finding

if TYPE_CHECKING:
    from unslow.source.module import Module


class SessionRuns(Page):
    """A loop runs a session twice with the same feed, to fetch one thing each time.

    ## What it is
    `loss = session.run(loss_op, feed)` and in the next line
    `hits = session.run(hits_op, feed)`, in a loop.

    ## Why it is slow
    Each run feeds the arrays again and computes all that the fetches need from the start:
    the network runs twice for one batch. One run with both fetches computes what they share
    once: often 2x faster.

    ## When it does not matter
    Runs that must follow one another, as the steps of two players do, or a run that reads
    what the last one wrote. A second run once every hundred steps.

    ## What to do
    Give one run both fetches: `loss, hits = session.run([loss_op, hits_op], feed)`. Batches
    that are fed in bulk are better read by `tf.data` inside the graph.

    ## Safety of the fix
    The same results where the fetches only read. Random ops, dropout too, are drawn once
    for both instead of once for each, and an op that moves a counter or an iterator moves it
    once.
    """

    code = "TF211"
    name = "session-runs"

    slow = """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
rng = np.random.default_rng(0)
batches = rng.random((60, 64, 128), dtype=np.float32)

with tf.Graph().as_default(), tf1.Session() as session:
    x = batch_in = tf1.placeholder(tf.float32, (64, 128))
    for layer in range(12):
        x = tf.nn.relu(x @ rng.normal(0, 0.12, (128, 128)).astype(np.float32))
    mean = tf.reduce_mean(x)
    peak = tf.reduce_max(x)
    means, peaks = [], []
    for batch in batches:
        batch_mean = session.run(mean, feed_dict={batch_in: batch})
        batch_peak = session.run(peak, feed_dict={batch_in: batch})  # <- slow
        means.append(batch_mean)
        peaks.append(batch_peak)
print("mean", round(float(np.mean(means)), 3), "peak", round(float(np.max(peaks)), 2))
"""

    fast = """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
rng = np.random.default_rng(0)
batches = rng.random((60, 64, 128), dtype=np.float32)

with tf.Graph().as_default(), tf1.Session() as session:
    x = batch_in = tf1.placeholder(tf.float32, (64, 128))
    for layer in range(12):
        x = tf.nn.relu(x @ rng.normal(0, 0.12, (128, 128)).astype(np.float32))
    mean = tf.reduce_mean(x)
    peak = tf.reduce_max(x)
    means, peaks = [], []
    for batch in batches:
        batch_mean, batch_peak = session.run([mean, peak], feed_dict={batch_in: batch})
        means.append(batch_mean)
        peaks.append(batch_peak)
print("mean", round(float(np.mean(means)), 3), "peak", round(float(np.max(peaks)), 2))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
rng = np.random.default_rng(0)
real = rng.random((80, 16, 8), dtype=np.float32)

with tf.Graph().as_default(), tf1.Session() as session:
    batch_in = tf1.placeholder(tf.float32, (16, 8))
    noise_in = tf1.placeholder(tf.float32, (16, 8))
    maker = tf1.get_variable("maker", initializer=tf.eye(8))
    judge = tf1.get_variable("judge", initializer=tf.ones((8, 1)))
    made = noise_in @ maker
    judged = tf.reduce_mean(batch_in @ judge) - tf.reduce_mean(made @ judge)
    optimizer = tf1.train.GradientDescentOptimizer(0.001)
    train_judge = optimizer.minimize(-judged, var_list=[judge])
    train_maker = optimizer.minimize(judged, var_list=[maker])
    session.run(tf1.global_variables_initializer())
    for step, batch in enumerate(real):
        noise = rng.random((16, 8), dtype=np.float32)
        session.run(train_judge, {batch_in: batch, noise_in: noise})
        session.run(train_maker, {batch_in: batch, noise_in: noise})
        if step % 20 == 0:
            gap = session.run(judged, {batch_in: batch, noise_in: noise})
        images = session.run(made, {noise_in: noise})
        opinion = session.run(judged, {batch_in: images, noise_in: noise})
print("finite", bool(np.isfinite(gap)), bool(np.isfinite(opinion)))
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Neighbouring runs of one session in a loop that read tensors for the same feed."""
        if not module.graph_mode:
            return
        runs = {run.statement: run for call in module.calls() if (run := _run(module, call))}
        taken: set[ast.stmt] = set()
        for statement, run in runs.items():
            if statement in taken or module.repetition(run.call) is None:
                continue
            if module.guarded(run.call):
                continue
            group = [run, *_followers(module, run, runs)]
            taken |= {each.statement for each in group}
            if len(group) < 2:
                continue
            message = (
                f"{len(group)} neighbouring runs with the same feed: each computes all that its "
                "fetch needs from the start, where one run could fetch them together."
            )
            evidence = {"runs": len(group), "feed": module.text(run.feed)}
            found = _merged(module, group)
            yield self.suspicion(module, group[1].call, message, evidence, found)


@dataclass(frozen=True, eq=False)
class _Run:
    """A statement that gives a name what a run of a session fetches."""

    statement: ast.Assign
    call: ast.Call
    fetch: ast.expr
    feed: ast.expr
    key: tuple[str, str]


def _run(module: Module, call: ast.Call) -> _Run | None:
    """The run that `call` is; `None` where it is another call, or may do more than read."""
    statement = module.parent(call)
    if (
        not isinstance(call.func, ast.Attribute)
        or call.func.attr != "run"
        or not isinstance(statement, ast.Assign)
        or len(statement.targets) != 1
        or statement.value is not call
        or module.has_star(call)
        or len(call.args) + len(call.keywords) != 2
        or module.value(call.func.value).kind != "session"
    ):
        return None
    fetch, feed = module.argument(call, 0, "fetches"), module.argument(call, 1, "feed_dict")
    if fetch is None or feed is None or not _reads(module, fetch) or not _is_plain(feed):
        return None
    return _Run(statement, call, fetch, feed, (ast.dump(call.func), ast.dump(feed)))


def _reads(module: Module, fetch: ast.expr) -> bool:
    """Whether fetching this surely only reads tensors."""
    if isinstance(fetch, (ast.List, ast.Tuple)):
        return bool(fetch.elts) and all(_reads(module, each) for each in fetch.elts)
    if isinstance(fetch, ast.Constant):
        return isinstance(fetch.value, str) and ":" in fetch.value
    return isinstance(fetch, (ast.Name, ast.Attribute)) and module.value(fetch).kind == "tensor"


def _is_plain(feed: ast.expr) -> bool:
    """Whether a feed is the same each time it is worked out."""
    return all(
        isinstance(
            node,
            (
                *(ast.Dict, ast.Name, ast.Attribute, ast.Constant, ast.Subscript, ast.Slice),
                *(ast.Tuple, ast.expr_context),
            ),
        )
        for node in ast.walk(feed)
    )


def _followers(module: Module, run: _Run, runs: dict[ast.Assign, _Run]) -> Iterator[_Run]:
    """The runs in the statements right below that could be one with this one."""
    block = getattr(module.parent(run.statement), "body", [])
    if not isinstance(block, list) or not any(each is run.statement for each in block):
        return
    position = next(i for i, each in enumerate(block) if each is run.statement)
    bound = _names(run.statement.targets[0])
    for statement in block[position + 1 :]:
        other = runs.get(statement)
        if other is None or other.key != run.key:
            return
        if bound & (_names(other.call) | _names(other.statement.targets[0])):
            return
        bound |= _names(other.statement.targets[0])
        yield other


def _names(node: ast.AST) -> set[str]:
    return {
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(node)
        if isinstance(each, (ast.Name, ast.Attribute))
    }


def _merged(module: Module, group: list[_Run]) -> tuple[Alternative, ...]:
    """One run with all fetches in place of the first, the others taken out."""
    if not all(module.editable(each.statement) for each in group):
        return ()
    targets = []
    for run in group:
        target = run.statement.targets[0]
        text = module.text(target)
        bare = isinstance(target, ast.Tuple) and not text.startswith("(")
        targets.append(f"({text})" if bare else text)
    first = group[0]
    fetches = ", ".join(_fetch_text(module, run.fetch) for run in group)
    edits = (
        module.replace(first.statement.targets[0], ", ".join(targets)),
        module.replace(first.fetch, f"[{fetches}]"),
        *(module.delete(run.statement) for run in group[1:]),
    )
    note = (
        "Ops with a state run once instead of once for each fetch: random ops and dropout, "
        "counters, iterators."
    )
    return (Alternative("one run for all fetches", "unsafe", edits, note=note),)


def _fetch_text(module: Module, fetch: ast.expr) -> str:
    text = module.text(fetch)
    bare = isinstance(fetch, ast.Tuple) and not text.startswith("(")
    return f"({text})" if bare else text
