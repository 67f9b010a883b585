"""TF307: a cache that freezes random choices, or that is never filled."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unslow.catalogue.page import Page
from unslow.catalogue.pipelines import _functions, _stages
from unslow.finding import Alternative, Finding
from unslow.source.module import Module


class MisplacedCache(Page):
    """A `cache` that keeps what should differ between epochs, or that is never complete.

    ## What it is
    `cache()` after a stage with random ops, or after `shuffle`; or `cache().take(n)`.

    ## Why it is slow
    A cache is read only once it is complete, and it is complete only when a pass has come
    to the end of what stands before it. `take` after it ends each pass early: the cache is
    filled again and again, thrown away each time, and never read.

    A cache behind a random stage is fast, and wrong: every epoch repeats the augmentations
    and the order of the first. The network then sees less variety than the program says,
    and needs more data or more epochs for the same result.

    ## When it does not matter
    One epoch. A random choice that is meant to be made once: a split into training and test
    data, a subset, noise of a fixed test set. A `shuffle` behind the cache as well.

    ## What to do
    Put `cache()` after the work that is the same every time and before everything random:
    `map(decode).cache().shuffle(…).map(augment).batch(…)`. Write `take(n).cache()`.

    ## Safety of the fix
    `take(n).cache()` gives the same elements. Moving a cache before a random stage changes
    the results: epochs then differ, as they were meant to, and that stage runs in each.
    """

    code = "TF307"
    name = "misplaced-cache"
    also = frozenset({"TF301"})

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(18)
scans = rng.integers(0, 256, size=(40, 256, 256, 3)).astype("uint8")
encoded = [tf.io.encode_jpeg(scan).numpy() for scan in scans]


def decode(data):
    image = tf.io.decode_jpeg(data, channels=3)
    return tf.image.resize(tf.ensure_shape(image, (256, 256, 3)), (32, 32))


images = tf.data.Dataset.from_tensor_slices(encoded).map(decode)
few = images.cache().take(30)  # <- slow
batches = few.batch(10)
total = tf.constant(0.0)
for epoch in range(12):
    for rows in batches:
        total += tf.reduce_mean(rows)
print(f"light {float(total) / 36:.3f}")
"""

    fast = slow.replace("cache().take(30)  # <- slow", "take(30).cache()")

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(19)
photos = rng.integers(0, 256, size=(20, 24, 24, 3)).astype("uint8")
rows = tf.data.Dataset.from_tensor_slices(photos)


def flip(image):
    return tf.image.random_flip_left_right(image)


# A split is drawn once, and kept.
drawn = rows.shuffle(20, seed=1, reshuffle_each_iteration=False)
test = drawn.take(5).cache().batch(5)
training = drawn.skip(5).cache().shuffle(15, seed=1).map(flip).batch(5)
for image in training.take(1):
    print(image.shape)
seen = 0
for epoch in range(3):
    for images in training:
        seen += len(images)
    for images in test:
        seen += len(images)
print(seen)
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Caches behind random maps, and caches that `take` never lets become complete."""
        for cache in module.calls_of("cache", "dataset"):
            if module.guarded(cache) or module.mode(cache) == "compiled":
                continue
            assert isinstance(cache.func, ast.Attribute)
            drawn = _random_map(cache.func.value, module)
            if drawn is None or _is_for_tests(cache, module):
                continue
            message = (
                "The cache keeps what a random stage gave in the first epoch: every later epoch "
                "repeats the same augmentation."
            )
            note = "changes the results: the random stage then runs in every epoch, as it should"
            edits = _stages.swapped(drawn, cache, module)
            ways = (Alternative("cache first", "unsafe", edits, note=note),) if edits else ()
            finding = self.suspicion(module, cache, message, {"why": "random"}, ways)
            yield _stages.at_method(finding, module, cache)
        yield from self._never_complete(module)

    def _never_complete(self, module: Module) -> Iterator[Finding]:
        seen: set[ast.Call] = set()
        for use in _stages.epochs(module):
            made = _stages.chain(use.dataset, module)
            for cached, taken in zip(made.stages, made.stages[1:], strict=False):
                if (cached.name, taken.name) != ("cache", "take") or cached.call in seen:
                    continue
                # A dataset that has a name may also be gone through whole.
                if cached.module is not module or taken.receiver is not cached.call:
                    continue
                seen.add(cached.call)
                message = (
                    "take() ends every pass before the cache is complete, so it is filled in each "
                    "epoch and never read."
                )
                edits = _stages.swapped(cached.call, taken.call, module)
                ways = (Alternative("take first", "safe", edits),) if edits else ()
                finding = self.suspicion(module, cached.call, message, {"why": "take"}, ways)
                yield _stages.at_method(finding, module, cached.call)


def _random_map(rows: ast.expr, module: Module) -> ast.Call | None:
    """The last `map` before a cache, if it draws random numbers."""
    for stage in reversed(_stages.chain(rows, module).stages):
        if stage.name == "map":
            work = _functions.reached(stage.argument(0, "map_func"), stage.module)
            return stage.call if work is not None and work.random else None
        if stage.name not in ("prefetch", "batch", "with_options"):
            return None
    return None


def _is_for_tests(node: ast.AST, module: Module) -> bool:
    """Whether a dataset seems to be a test set: random choices of those are made once."""
    statement = module.statement(node)
    names = {each.id for each in ast.walk(statement) if isinstance(each, ast.Name)}
    names |= {each.attr for each in ast.walk(statement) if isinstance(each, ast.Attribute)}
    function = module.function(node)
    if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        names.add(function.name)
    parts = {part for name in names for part in name.lower().split("_")}
    return not parts.isdisjoint({"test", "val", "valid", "validation", "eval", "dev"})
