"""TF309: the pipeline does not work ahead, and nothing makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from unslow.catalogue.page import Page, claim, cost_of, matters, seconds_text
from unslow.catalogue.pipelines import _waits
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Finding
from unslow.recording.data import Recording

if TYPE_CHECKING:
    from unslow.recording.samples import Samples

ABOVE = ("Options", "Model")
"""Stages that may stand above a prefetch."""

AHEAD = 2
"""Elements."""

LEAST_WORK = 0.1
"""Of the wait: a loop that does less between two elements leaves nothing to hide it behind."""


class NoPrefetch(Page):
    """A pipeline without `prefetch` at its end, in a loop that waits for it.

    ## What it is
    A loop over a dataset that works on each element for a while, then waits for the next
    one, and the dataset does not end in `prefetch`.

    ## Why it is slow
    Without `prefetch` the next element is begun when it is asked for: input and model take
    turns. With it they work side by side, and a step lasts as long as the slower of the two
    instead of both together: at most 2x.

    ## When it does not matter
    Nearly always: TensorFlow adds a `prefetch` at the end of a pipeline by itself, unless
    its autotuning or its optimizations are switched off in the options. A `prefetch` cannot
    help either where both already keep all cores busy, or where the input alone takes
    longer than the model: then its slowest stage is the cause.

    ## What to do
    Leave autotuning on. Where it must be off, write `.prefetch(2)` as the last stage.

    ## Safety of the fix
    The elements stay the same, in the same order. Two more of them are held in memory.
    """

    code = "TF309"
    name = "no-prefetch"
    also = frozenset({"TF301"})
    only_if_proven = True

    slow = """\
import time

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(30)
signals = rng.normal(size=(160, 60_000)).astype("float32")


def waves(rows):
    for _ in range(70):
        rows = tf.sin(rows)
    return rows


options = tf.data.Options()
options.autotune.enabled = False
options.experimental_optimization.apply_default_optimizations = False
options.threading.private_threadpool_size = 1
batches = tf.data.Dataset.from_tensor_slices(signals).batch(2).map(waves)
batches = batches.with_options(options)
total = tf.constant(0.0)
for rows in batches:  # <- slow
    total += tf.reduce_sum(rows)
    time.sleep(0.012)  # as long as some device takes for its work
print(f"sum {float(total):.1f}")
"""

    fast = slow.replace(
        "batches = batches.with_options(options)",
        "batches = batches.prefetch(2).with_options(options)",
    ).replace("  # <- slow", "")

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(31)
signals = rng.normal(size=(400, 3_000)).astype("float32")
weights = tf.constant(rng.normal(size=(3_000, 600)), tf.float32)


@tf.function
def score(rows):
    return tf.reduce_sum(tf.tanh(rows @ weights))


# TensorFlow adds a prefetch to the first by itself; the second has one.
batches = tf.data.Dataset.from_tensor_slices(signals).batch(20).map(tf.tanh)
print(f"{sum(float(score(rows)) for rows in batches):.1f}")
print(f"{sum(float(score(rows)) for rows in batches.prefetch(2)):.1f}")
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Loops that work and wait in turn, over pipelines that do not end in a prefetch."""
        for wait in _waits.waits(recording):
            ends = [stage.kind for stage in wait.stages if stage.kind not in ABOVE]
            if wait.fit or not ends or ends[0] == "Prefetch" or wait.elements <= 2:
                continue
            work = wait.work
            # More than the shorter of the two cannot be hidden behind the other.
            hidden = min(work, wait.seconds)
            if hidden < LEAST_WORK * wait.seconds or not matters(recording, hidden):
                continue
            in_input = hidden * (1 - min(wait.in_bridge / wait.seconds, 1.0))
            cost = cost_of(
                (
                    claim(wait.site, "input", in_input),
                    claim(wait.site, "bridge", hidden - in_input),
                ),
                calls=wait.elements,
            )
            evidence = {
                "calls": wait.elements,
                "seconds": cost.seconds,
                "work_seconds": work,
                "wait_seconds": wait.seconds,
                "busy": wait.busy,
            }
            message = (
                f"This loop waits {seconds_text(wait.seconds)} for elements and works "
                f"{seconds_text(work)} on them, and its pipeline does not end in prefetch, which "
                "TensorFlow adds by itself unless that is switched off."
            )
            yield self.problem(wait.site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The pipeline with a prefetch, in a loop that works as long as the program's."""
        from unslow.catalogue.pipelines import _captured

        captured = _captured.captured_at(finding.site, samples)
        if captured is None:
            yield _captured.GONE
            return
        evidence = finding.evidence
        work, wait = float(evidence["work_seconds"]), float(evidence["wait_seconds"])
        each = work / int(evidence["calls"])
        busy = each * float(evidence["busy"])

        def prefetched() -> object:
            made = captured.fixed()
            return made.prefetch(AHEAD).with_options(made.options())

        way = Way("prefetch", _captured.unset, safety="safe")
        tried = _captured.trial(
            captured,
            [(way, prefetched)],
            share=(work + wait) / finding.cost.seconds,
            used=lambda element: _captured.work(busy, each - busy),
        )
        yield replace(tried, inputs=f"{tried.inputs}, with {seconds_text(each)} of work on each")
