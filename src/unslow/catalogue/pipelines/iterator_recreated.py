"""TF311: a new iterator for every element."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from unslow.catalogue.page import (
    Page,
    claim,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.catalogue.pipelines import _elements, _functions, _stages, _waits
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Finding, Safety
from unslow.recording.data import Recording
from unslow.source.bindings import Loop
from unslow.source.module import Module

if TYPE_CHECKING:
    from unslow.recording.samples import Samples

ROUNDS_SECONDS = 0.3
LEAST_ROUNDS = 10
MOST_ROUNDS = 100
"""How many iterators an experiment makes, and for how long."""

_IN_MEMORY = ("from_tensor_slices", "from_tensors", "range")

_SAME = frozenset({"batch", "padded_batch", "take", "skip", "repeat", "prefetch", "shard", "cache"})


class IteratorRecreated(Page):
    """`next(iter(dataset))` in a loop starts the whole pipeline anew for every element.

    ## What it is
    A line that makes an iterator, takes an element or two from it, throws it away, and is
    reached many times.

    ## Why it is slow
    An iterator is a running pipeline. Making one builds its stages, starts its threads and
    fills its shuffle and prefetch buffers; all of that is thrown away with it. A call costs
    milliseconds before the first row is read, and a shuffle buffer of 1000 images decodes
    1000 images to give one batch. Keeping the iterator is often 50x faster.

    It is also often a mistake: without a shuffle the loop sees the same first batch for
    ever.

    ## When it does not matter
    To look at one batch, or once per epoch. For a dataset of a single batch that is read
    to its end a few times.

    ## What to do
    Write `for batch in dataset:`. Where the loop must ask for elements itself, make
    `batches = iter(dataset.repeat())` before it and call `next(batches)` inside. Where the
    same first batch is wanted every time, take it once before the loop.

    ## Safety of the fix
    A kept iterator moves on through the data, so a loop that saw the first batch again and
    again will now see all of them. That is nearly always what was meant, and it changes the
    results. With a shuffle, each element comes once per epoch instead of by chance.
    """

    code = "TF311"
    name = "iterator-recreated"

    slow = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(7)
inputs = rng.normal(size=(4_000, 16)).astype("float32")
targets = inputs @ rng.normal(size=(16, 1)).astype("float32")
targets += rng.normal(size=(4_000, 1)).astype("float32")
validation = tf.data.Dataset.from_tensor_slices((inputs[3_000:], targets[3_000:]))
validation = validation.shuffle(1_000, seed=1, reshuffle_each_iteration=False).batch(500)

weights = tf.Variable(tf.zeros((16, 1)))


@tf.function
def train_step(rows, wanted):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((rows @ weights - wanted) ** 2)
    weights.assign_sub(0.05 * tape.gradient(loss, weights))


@tf.function
def error(rows, wanted):
    return tf.reduce_mean(tf.abs(rows @ weights - wanted))


best = tf.constant(np.inf)
for start in range(0, 3_000, 12):
    train_step(inputs[start : start + 12], targets[start : start + 12])
    probe, answer = next(iter(validation))  # <- slow
    best = tf.minimum(best, error(probe, answer))
print(f"best {float(best):.3f}")
"""

    fast = slow.replace("    probe, answer = next(iter(validation))  # <- slow\n", "").replace(
        "best = tf.constant(np.inf)\n",
        "best = tf.constant(np.inf)\nprobe, answer = next(iter(validation))\n",
    )

    fine = (
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(8)
inputs = rng.normal(size=(2_000, 16)).astype("float32")
dataset = tf.data.Dataset.from_tensor_slices(inputs).shuffle(2_000, seed=1).batch(20)

weights = tf.constant(rng.normal(size=(16, 4_096)), tf.float32)


@tf.function
def score(rows):
    hidden = tf.nn.relu(rows @ weights)
    return tf.reduce_mean(tf.matmul(hidden, hidden, transpose_b=True))


print(next(iter(dataset)).shape)
batches = iter(dataset.repeat())
scores = [score(next(batches)) for _ in range(200)]
print(len(scores))
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(9)
training = tf.data.Dataset.from_tensor_slices(rng.normal(size=(1_000, 8))).batch(50)
validation = tf.data.Dataset.from_tensor_slices(rng.normal(size=(60, 8))).batch(60)
total = 0.0
for epoch in range(5):
    seen = [tf.reduce_sum(rows) for rows in training]
    checked = [tf.reduce_sum(rows) for rows in validation]
    total += float(seen[-1]) + float(checked[0])
print(f"total {total:.3f}")
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(10)
inputs = rng.normal(size=(200, 8)).astype("float32")
pieces = [tf.data.Dataset.from_tensor_slices(part).batch(10) for part in np.split(inputs, 8)]
shown = tf.data.Dataset.from_tensor_slices(inputs).shuffle(200, seed=1).batch(4)
weights = tf.Variable(tf.zeros((8, 1)))


@tf.function
def step(rows):
    weights.assign_add(0.01 * tf.reduce_mean(rows, axis=0)[:, tf.newaxis])
    return tf.reduce_sum(rows @ weights)


# A look at each of several datasets, and one at a few rows after each epoch.
firsts = [next(iter(piece)) for piece in pieces]
for epoch in range(len(pieces)):
    for rows in pieces[epoch]:
        step(rows)
    step(next(iter(shown)))
print(len(firsts), weights.shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that made many iterators for an element or two each."""
        for found in _waits.restarts(recording):
            made = found.made
            # One iterator is needed in any case.
            needless = (made - 1) / made
            spent = recording.line(found.site)
            part = "build" if spent.get("build", 0.0) > 0 else "input"
            # Python's share of making an iterator has no row of its own.
            claims = [
                claim(found.site, part, found.make_seconds * needless),
                claim(found.site, "python", spent.get("python", 0.0) * needless),
            ]
            for row in found.takes:
                wait = (row.wait_seconds + row.end_seconds) * needless
                in_bridge = row.bridge_seconds * needless
                claims += _waits.wait_claims(row.site, wait, in_bridge)
            cost = cost_of(_waits.summed(claims), calls=made)
            if not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": made,
                "seconds": cost.seconds,
                "elements": found.elements,
                "make_seconds": found.make_seconds,
                "wait_seconds": sum(row.wait_seconds for row in found.takes),
            }
            message = (
                f"Made {count_text(made)} iterators to take {count_text(found.elements)} elements: "
                f"the pipeline started anew each time, {seconds_text(cost.seconds / made)} a start."
            )
            yield self.problem(found.site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """Some new iterators, against one that is kept and against its first element."""
        from unslow.catalogue.pipelines import _captured

        captured = _captured.captured_at(finding.site, samples)
        if captured is None:
            yield _captured.GONE
            return
        made = max(int(finding.evidence["calls"]), 1)
        each = finding.cost.seconds / made
        rounds = min(made, MOST_ROUNDS, max(LEAST_ROUNDS, int(ROUNDS_SECONDS / max(each, 1e-9))))
        taken = max(1, round(int(finding.evidence["elements"]) / made))
        dataset = captured.dataset

        def anew() -> list[Any]:
            found = []
            for _ in range(rounds):
                elements = iter(dataset)
                found += [next(elements) for _ in range(taken)]
            return found

        def once() -> list[Any]:
            elements = iter(dataset)
            return [next(elements) for _ in range(taken)] * rounds

        def kept() -> list[Any]:
            elements = iter(dataset.repeat())
            return [next(elements) for _ in range(taken * rounds)]

        note = "gives the elements one after the other instead of the first each time"
        yield Trial(
            present=Way("as it is", anew),
            ways=(
                Way("taken once", once, note="what is read is then read once"),
                Way("one iterator", kept, note=note),
            ),
            inputs=f"{rounds} of your iterators",
            functions=captured.functions(),
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """`next(iter(dataset))` in a loop, the dataset being the same in every round."""
        for call in module.calls_to("next"):
            made = call.args[0] if len(call.args) == 1 and not call.keywords else None
            if not isinstance(made, ast.Call) or module.qualified(made.func) != "iter":
                continue
            if len(made.args) != 1 or module.value(made.args[0]).kind != "dataset":
                continue
            again = module.repetition(call)
            if again is None or module.guarded(call) or module.mode(call) == "compiled":
                continue
            if again.times is not None and again.times < _waits.RESTARTS:
                continue
            loop = _outermost(call, made.args[0], module)
            if again.kind == "loop" and (
                loop is None or _is_now_and_then(call, module) or _works_in_loops(call, module)
            ):
                continue
            if again.kind != "loop" and not _is_kept(made.args[0], module):
                continue
            message = (
                f"Makes a new iterator for one element in {again.text}: the whole pipeline "
                "starts anew each time, and without a shuffle gives the same first element."
            )
            way = _one_iterator(call, made.args[0], loop, module)
            yield self.suspicion(module, call, message, {"repetition": again.kind}, way)


def _outermost(call: ast.Call, dataset: ast.expr, module: Module) -> Loop | None:
    """The outermost loop around a call in which its dataset stays the same."""
    found = None
    for loop in module.loops(call):
        if not _stages.is_same(dataset, loop, module):
            break
        found = loop
    return found


def _is_now_and_then(call: ast.Call, module: Module) -> bool:
    """Whether a condition inside the loop decides if a call is reached."""
    loop = module.loops(call)[0]
    for each in module.ancestors(call):
        if each is loop:
            return False
        if isinstance(each, (ast.If, ast.IfExp, ast.BoolOp, ast.ExceptHandler)):
            return True
    return False


def _works_in_loops(call: ast.Call, module: Module) -> bool:
    """Whether the loop around a call is one of epochs: it holds other loops, or `fit`."""
    loop = module.loops(call)[0]
    if not isinstance(loop, (ast.For, ast.AsyncFor, ast.While)):
        return False
    for statement in loop.body:
        for node in ast.walk(statement):
            if isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
                return True
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("fit", "evaluate", "fit_generator")
            ):
                return True
            if isinstance(node, ast.Call) and _has_loop(node, module):
                return True
    return False


def _has_loop(call: ast.Call, module: Module) -> bool:
    """Whether a call reaches a function of the program that loops over a dataset."""
    callee = module.value(call.func)
    if callee.definition is None or callee.module is None:
        return False
    return any(
        isinstance(node, (ast.For, ast.AsyncFor))
        and callee.module.value(node.iter).kind in ("dataset", "unknown")
        for node in ast.walk(callee.definition)
    )


def _is_kept(dataset: ast.expr, module: Module) -> bool:
    """Whether a function finds the same dataset at each of its calls."""
    return isinstance(dataset, ast.Name) and module.home(dataset) is module.tree


def _one_iterator(
    call: ast.Call, dataset: ast.expr, loop: Loop | None, module: Module
) -> tuple[Alternative, ...]:
    """One iterator before the loop; where each gives the same first element, that element."""
    if loop is None:
        return ()
    statement = module.statement(loop)
    if not (module.editable(statement) and module.editable(call)):
        return ()
    if module.function(statement) is not module.function(call):
        return ()
    # What stands in the test of a `while` runs again and again itself; an `elif` is no place.
    if isinstance(statement, ast.While) and module.inside(call, statement.test):
        return ()
    if isinstance(statement, ast.If) or not _is_bound_before(dataset, statement, module):
        return ()
    if _is_fixed(dataset, module):
        name = module.free_name("first")
        edits = (
            module.insert(statement, f"{name} = {module.text(call)}"),
            module.replace(call, name),
        )
        notes = _changes(call, dataset, loop, module)
        safety: Safety = "unsafe" if notes else "safe"
        return (Alternative("taken once", safety, edits, note="; ".join(notes)),)
    name = module.free_name("elements")
    note = (
        "gives the elements one after the other instead of the first each time, and stops "
        "at their end unless the dataset repeats"
    )
    edits = (
        module.insert(statement, f"{name} = iter({module.text(dataset)})"),
        module.replace(call, f"next({name})"),
    )
    return (Alternative("one iterator", "unsafe", edits, note=note),)


def _changes(call: ast.Call, dataset: ast.expr, loop: Loop, module: Module) -> list[str]:
    """What may make a first element taken once differ from one taken in every round."""
    made = _stages.chain(dataset, module)
    notes = []
    if module.value(call).kind != "tensor" and not _elements.is_only_read(call, module):
        notes.append("what one round changes in the element in place, the next one then sees")
    mapped = [
        (stage.argument(0, "map_func" if stage.name == "map" else "predicate"), stage.module)
        for stage in made.stages[1:]
        if stage.name in ("map", "filter")
    ]
    if not all(_elements.reads_nothing_else(each, home, loop) for each, home in mapped):
        notes.append("what the mapped functions read from outside is then read once")
    works = [_functions.reached(each, home) for each, home in mapped]
    read = any(work is None or work.names & _functions.READERS for work in works)
    if read or made.source not in _IN_MEMORY:
        notes.append("the files are then read once, whatever the loop writes to them")
    return notes


def _is_bound_before(dataset: ast.expr, statement: ast.stmt, module: Module) -> bool:
    """Whether a dataset surely exists before a statement."""
    root = dataset
    while isinstance(root, ast.Call) and isinstance(root.func, ast.Attribute):
        root = root.func.value
    if not isinstance(root, ast.Name):
        return isinstance(root, ast.Attribute)
    home = module.home(root)
    if home is not None and home is not module.scope(statement):
        return True
    blocks = [statement, *module.ancestors(statement)]
    for binding in module.scopes[home][root.id] if home is not None else ():
        if binding.kind == "parameter":
            return True
        if isinstance(binding.node, (ast.Assign, ast.AnnAssign)):
            parent = module.parent(binding.node)
            if parent is None or parent not in blocks:
                continue
            inner = blocks[blocks.index(parent) - 1]
            for field in ("body", "orelse", "finalbody"):
                block = getattr(parent, field, None)
                if isinstance(block, list) and inner in block and binding.node in block:
                    return block.index(binding.node) < block.index(inner)
    return False


def _is_fixed(dataset: ast.expr, module: Module) -> bool:
    """Whether each iterator of a dataset surely begins with the same element."""
    made = _stages.chain(dataset, module)
    if made.source not in (*_IN_MEMORY, "TFRecordDataset"):
        return False
    for stage in made.stages[1:]:
        if stage.name == "shuffle":
            if stage.constant(2, "reshuffle_each_iteration") is not False:
                return False
        elif stage.name in ("map", "filter"):
            keyword = "map_func" if stage.name == "map" else "predicate"
            work = _functions.reached(stage.argument(0, keyword), stage.module)
            if work is None or not work.repeatable:
                return False
        elif stage.name not in _SAME:
            return False
    return True
