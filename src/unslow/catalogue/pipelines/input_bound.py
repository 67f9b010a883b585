"""TF301: the program waits for its input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from unslow.catalogue.border import _bridges
from unslow.catalogue.page import Page, cost_of, count_text, matters, seconds_text
from unslow.catalogue.pipelines import _steps, _waits
from unslow.catalogue.trial import Trial, Untried
from unslow.finding import Finding, Site, same_line
from unslow.recording.data import Bridge, Recording
from unslow.recording.samples import BridgeCall, Samples

SHARE = 0.3
LOOP_SHARE = 0.6
LEAST_WALL_SHARE = 0.05
LEAST_PYTHON = 0.1
"""Of the wait: what a Python function takes that is tried in another way."""


class InputBound(Page):
    """The model stands idle while the input pipeline prepares the next batch.

    ## What it is
    A loop over a dataset, or `fit`, that spends a large part of its time waiting for the
    next element. The finding stands at the loop and names the stage of the pipeline that
    is known to be slowest.

    ## Why it is slow
    Input and model work side by side only as long as the input is the faster of the two.
    Once it is the slower, every step lasts as long as its batch takes to prepare, and a
    faster model or a faster accelerator changes nothing. What costs most is usually work
    done once per row that could be done once per batch (often 10x), Python called from the
    pipeline, or decoding the same files again in every epoch.

    ## When it does not matter
    A wait for the first element alone, while a shuffle buffer fills. A program whose whole
    task is to read its data: there the wait is the work.

    ## What to do
    Make the named stage cheaper before making it parallel: put `batch` before a `map` whose
    function works on whole batches; replace `numpy_function` and `from_generator` by
    TensorFlow ops; `cache()` after costly stages that give the same result every time. Then
    give the costly `map` `num_parallel_calls=tf.data.AUTOTUNE`. `prefetch` alone rarely
    helps: it hides a wait, and TensorFlow adds it by itself.

    ## Safety of the fix
    No fix is offered here: this page gives the verdict, the page of the slow stage gives
    the fix. Moving `batch` before `map` is exact where the function treats rows alike.
    `cache` freezes every random choice made before it.
    """

    code = "TF301"
    name = "input-bound"
    general = True
    also = frozenset({"TF303"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(1)
features = rng.normal(size=(16_000, 24))
targets = features.sum(axis=1) > 0
table = tf.strings.as_string(np.column_stack([features, targets]), precision=2)
lines = tf.strings.reduce_join(table, axis=1, separator=",")

hidden = tf.Variable(rng.normal(size=(24, 32)).astype("float32") * 0.1)
output = tf.Variable(rng.normal(size=(32, 1)).astype("float32") * 0.1)


def parse(line):
    columns = tf.io.decode_csv(line, [0.0] * 25)
    return tf.stack(columns[:24], axis=-1), columns[24]


@tf.function
def train_step(rows, wanted):
    with tf.GradientTape() as tape:
        logits = tf.nn.relu(rows @ hidden) @ output
        loss = tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(wanted[:, tf.newaxis], logits)
        )
    gradients = tape.gradient(loss, [hidden, output])
    hidden.assign_sub(0.1 * gradients[0])
    output.assign_sub(0.1 * gradients[1])
    return loss


batches = tf.data.Dataset.from_tensor_slices(lines).map(parse).batch(120)
for _ in range(5):
    for rows, wanted in batches:  # <- slow
        loss = train_step(rows, wanted)
print(f"loss {float(loss):.3f}")
"""

    fast = slow.replace("map(parse).batch(120)", "batch(120).map(parse).cache()").replace(
        "  # <- slow", ""
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(2)
images = rng.normal(size=(600, 64, 64, 3)).astype("float32")
labels = rng.integers(0, 10, size=600)

model = tf.keras.Sequential(
    [
        tf.keras.Input((64, 64, 3)),
        tf.keras.layers.Conv2D(24, 3, activation="relu"),
        tf.keras.layers.Conv2D(24, 3, activation="relu"),
        tf.keras.layers.GlobalAveragePooling2D(),
        tf.keras.layers.Dense(10),
    ]
)
model.compile("sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))


def flip(image, label):
    return tf.image.random_flip_left_right(image), label


batches = tf.data.Dataset.from_tensor_slices((images, labels)).map(flip).batch(50)
model.fit(batches, epochs=1, verbose=0)
print(model.count_params())
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(3)
prices = rng.normal(size=(200, 30)).astype("float32")
batches = tf.data.Dataset.from_tensor_slices(prices).shuffle(200, seed=1).batch(20)


@tf.function
def simulate(start):
    paths = tf.tile(start[:, :, tf.newaxis], [1, 1, 400])
    for _ in range(30):
        paths = paths + 0.01 * tf.sin(paths) * tf.cos(paths)
    return tf.reduce_mean(paths)


means = [simulate(batch) for batch in batches]
print(len(means))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Loops and `fit` calls that waited for their input for a large part of their time."""
        seen: list[Site] = []
        for each in _waits.waits(recording):
            wait = _long(recording, each)
            if wait is None or any(same_line(wait.site, site) for site in seen):
                continue
            long = wait.seconds >= LEAST_WALL_SHARE * recording.wall
            if long and matters(recording, wait.seconds):
                seen.append(wait.site)
                yield self._finding(recording, wait)

    def _finding(self, recording: Recording, wait: _waits.Wait) -> Finding:
        share = wait.seconds / wait.whole
        stages = _waits.stage_texts(wait.rows)
        bridges = _waits.bridges_at(recording, wait.site)
        evidence = {
            "calls": wait.elements,
            "seconds": wait.seconds,
            "share": min(share, 1.0),
            "bridge_seconds": wait.in_bridge,
            "epochs": wait.epochs,
            "stages": stages,
            **_steps.evidence(recording, wait),
        }
        message = (
            f"Waited {seconds_text(wait.seconds)} for the next element, "
            f"{min(share, 1.0):.0%} of {wait.whole_name}."
        )
        if bridges:
            worst = bridges[0]
            evidence["slowest"] = worst.site.place
            if worst.kind != "generator":
                evidence |= _python(bridges, wait)
            message += (
                f" The slowest known stage is the Python function {worst.function}() of "
                f"{worst.site.place}: {count_text(worst.calls)} calls, "
                f"{seconds_text(worst.seconds / max(worst.calls, 1))} each."
            )
        elif stages:
            message += f" Its stages: {', '.join(stages)}."
        claims = _waits.wait_claims(wait.site, wait.seconds, wait.in_bridge)
        return self.problem(
            wait.site.at_line, message, cost_of(claims, calls=wait.elements), evidence
        )

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The pipeline with each of its stages in another way, and what its Python could be."""
        from unslow.catalogue.pipelines import _captured, _ways

        python = list(_python_trials(finding, samples))
        yield from python
        captured = _captured.captured_at(finding.site, samples)
        if captured is None:
            if not python:
                yield _captured.GONE
            return
        ways = list(_ways.every(captured))
        epochs = int(finding.evidence.get("epochs", 1))
        kept = _ways.cache(captured) if epochs > 1 else None
        if not (ways or kept or python):
            slowest = finding.evidence.get("slowest")
            if slowest is not None:
                yield Untried(f"What takes its time is the Python of {slowest}: see there.")
            else:
                yield Untried(
                    "There is no other way known to build the stages of this pipeline: their "
                    "own work has to become cheaper."
                )
        if ways:
            step = _steps.captured_step(finding, samples)
            yield _captured.trial(captured, ways, exhaustive=False, step=step)
        if kept is not None:
            share = (epochs - 1) / epochs
            step = _steps.captured_step(finding, samples, share)
            yield _captured.trial(captured, [kept], share, exhaustive=False, step=step)


def _python(bridges: Sequence[Bridge], wait: _waits.Wait) -> dict[str, Any]:
    """The numbers of the Python functions of a pipeline at the line of the slowest of them."""
    rows = [row for row in bridges if same_line(row.site, bridges[0].site)]
    waited = sum(each.seconds for row in rows for each in row.claims if same_line(each, wait.site))
    return {
        "slowest_share": min(waited / wait.seconds, 1.0),
        "slowest_threads": max(row.threads for row in rows),
        "slowest_wall_seconds_per_call": _bridges.seconds_each(rows),
    }


def _python_trials(finding: Finding, samples: Samples) -> Iterator[Trial]:
    """What can be done in place of the Python that most of the wait is for."""
    evidence = finding.evidence
    if evidence.get("slowest_share", 0.0) < LEAST_PYTHON:
        return
    sites = [each for each in samples.sites(BridgeCall) if each.place == evidence["slowest"]]
    for site in sites[:1]:
        for trial in _bridges.trials(
            samples.at(BridgeCall, site),
            evidence["slowest_wall_seconds_per_call"],
            True,
            evidence["slowest_threads"],
            site,
            evidence.get("epochs", 1),
        ):
            if isinstance(trial, Trial):
                ways = tuple(way for way in trial.ways if not way.yardstick)
                if ways:
                    yield replace(trial, ways=ways, share=evidence["slowest_share"])


def _long(recording: Recording, wait: _waits.Wait) -> _waits.Wait | None:
    """The wait, if it took a large part of its loop's time, or of the whole run."""
    run = _waits.seconds_after_start(recording)
    if wait.fit:
        # A loop over data in memory waits a little at every step, and that is no verdict.
        large = wait.graph_share >= SHARE and wait.seconds >= SHARE * wait.whole
        return wait if large else None
    if wait.elements <= 2 or run <= 0:
        return None
    if wait.seconds >= SHARE * run:
        return replace(wait, whole=run, whole_name="the run after its start")
    large = wait.seconds >= LOOP_SHARE * wait.whole
    return wait if wait.site.function != "<module>" and large else None
