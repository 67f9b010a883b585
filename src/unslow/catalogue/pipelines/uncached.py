"""TF306: the same costly work on the same data in every epoch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.page import Page, claim, cost_of, matters
from unslow.catalogue.pipelines import _functions, _stages, _steps, _waits
from unslow.catalogue.trial import Trial, Untried
from unslow.finding import Alternative, Finding
from unslow.recording.data import Recording
from unslow.source.module import Module

if TYPE_CHECKING:
    from unslow.recording.samples import Samples


class Uncached(Page):
    """Every epoch decodes the same data again, with the same result.

    ## What it is
    A dataset with a costly stage that gives the same result every time, such as reading and
    decoding images, is gone through in several epochs, and nothing keeps the results.

    ## Why it is slow
    The second epoch repeats the first one's work. `cache()` after the costly stage keeps
    what came out of it; later epochs read it from memory, which costs next to nothing.
    What is gained is the whole of that stage in every epoch but the first: often 2x over
    three epochs where the input is what is waited for.

    ## When it does not matter
    One epoch. Data whose decoded form does not fit in memory: an image of 224x224 in
    float32 takes 600 kB, so a thousand take 600 MB. A stage that draws random numbers: what
    it gives must differ between epochs. A model that is slower than the decoding.

    ## What to do
    Write `.cache()` after the last costly stage that is the same every time, and before
    `shuffle`, random augmentation, `repeat` and `batch`. Cache the small form: integers
    before they become floats, images after they have been made smaller. Where memory is
    short, `cache(path)` keeps the results in a file.

    ## Safety of the fix
    Elements stay the same as long as everything before the cache is. It takes memory for
    all elements, for as long as the dataset lives. A pass that stops early leaves the cache
    unfinished, and the next one starts it anew.
    """

    code = "TF306"
    name = "uncached"
    also = frozenset({"TF301"})
    by_default = False
    only_if_proven = True

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(16)
scans = rng.integers(0, 256, size=(30, 256, 256, 3)).astype("uint8")
encoded = [tf.io.encode_jpeg(scan).numpy() for scan in scans]


def decode(data):
    image = tf.io.decode_jpeg(data, channels=3)
    return tf.image.resize(tf.ensure_shape(image, (256, 256, 3)), (32, 32))


images = tf.data.Dataset.from_tensor_slices(encoded).map(decode)  # <- slow
batches = images.batch(10)
total = tf.constant(0.0)
for epoch in range(12):
    for rows in batches:
        total += tf.reduce_mean(rows)
print(f"light {float(total) / 36:.3f}")
"""

    fast = slow.replace("map(decode)  # <- slow", "map(decode).cache()")

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(17)
photos = rng.integers(0, 256, size=(12, 32, 32, 3)).astype("uint8")
encoded = [tf.io.encode_png(photo).numpy() for photo in photos]


def decode(data):
    return tf.ensure_shape(tf.io.decode_png(data, channels=3), (32, 32, 3))


def crop(image):
    return tf.image.random_crop(image, (24, 24, 3))


def scale(image):
    return tf.cast(image, tf.float32) / 255.0


raw = tf.data.Dataset.from_tensor_slices(encoded)
training = raw.map(decode).cache().shuffle(12, seed=1).map(crop).batch(4)
test = raw.map(decode).batch(4)
in_memory = tf.data.Dataset.from_tensor_slices(photos).batch(4).map(scale)
seen = 0
for epoch in range(3):
    for rows in training:
        seen += len(rows)
    for rows in in_memory:
        seen += len(rows)
for rows in test:
    seen += len(rows)
print(seen)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Waits for the same work in every epoch, which a cache may spare all but the first."""
        from unslow.catalogue.pipelines import _ways

        for wait in _waits.waits(recording):
            stage = _ways.kept_after(wait.stages)
            site = None if stage is None else wait.stages[stage].site
            if site is None or wait.epochs < 2:
                continue
            again = (wait.epochs - 1) / wait.epochs
            # An iterator makes its functions ready, but for those that a full cache spares.
            making = claim(wait.site, "build", wait.making * again)
            cost = cost_of((*wait.claims(again), making), calls=wait.epochs)
            if not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": wait.epochs,
                "seconds": cost.seconds,
                "elements": wait.elements,
                **_steps.evidence(recording, wait, again),
            }
            message = (
                f"The same work was done for the same elements in {wait.epochs} epochs, and "
                f"waited for at {wait.site.place}. cache() behind this stage keeps what comes out "
                "of it, if memory can hold it."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """An epoch as it is, and one that reads a cache."""
        from unslow.catalogue.pipelines import _captured, _rows, _ways

        yield from _captured.one_way(
            _captured.captured_with(finding.site, _rows.MAPS, samples),
            _ways.cache,
            step=_steps.captured_step(finding, samples),
            making=True,
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Decoding that is the same in every epoch, and that no cache follows."""
        seen: set[ast.Call] = set()
        for use in _stages.epochs(module):
            made = _stages.chain(use.dataset, module)
            stage = _repeated(made) if use.whole else None
            if stage is None or stage.module is not module or stage.call in seen:
                continue
            seen.add(stage.call)
            place = (
                _stages.method_site(module, use.node)
                if isinstance(use.node, ast.Call)
                else (module.site(use.node))
            )
            message = (
                f"Every epoch of line {place.line} decodes the same data again, with the same "
                "result. cache() behind this stage keeps it, if memory can hold all of it."
            )
            ways: tuple[Alternative, ...] = ()
            if "shuffle" not in made.names[: made.stages.index(stage)]:
                note = "takes memory for all decoded elements as long as the dataset lives"
                edits = _stages.inserted_after(stage.call, ".cache()", module)
                ways = (Alternative("cache", "unsafe", edits, note=note),)
            finding = self.suspicion(module, stage.call, message, {"epochs": place.place}, ways)
            yield _stages.at_method(finding, module, stage.call)


def _repeated(made: _stages.Chain) -> _stages.Stage | None:
    """The last costly stage that is the same in every pass, where nothing keeps its results."""
    if made.source not in ("from_tensor_slices", "list_files", "TFRecordDataset"):
        return None
    if not {"cache", "snapshot", "take", "repeat", "window", "save"}.isdisjoint(made.names):
        return None
    found = None
    for stage in made.stages[1:]:
        if stage.name != "map":
            continue
        work = _functions.reached(stage.argument(0, "map_func"), stage.module)
        if work is None or not work.repeatable:
            break
        if work.names & (_functions.COSTLY | _functions.DECODERS):
            found = stage
    return found
