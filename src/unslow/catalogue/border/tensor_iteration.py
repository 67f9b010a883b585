"""TF104: a tensor taken apart element by element in Python."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from unslow.catalogue.border import _facts, _lines, _loops
from unslow.catalogue.page import Page, by_line, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Claim, Edit, Finding, Site
from unslow.recording.data import OpCount, Recording
from unslow.recording.samples import OpCall
from unslow.source.bindings import LOOPS, Loop

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.module import Module

SLICES = ("StridedSlice", "GatherV2", "Unpack")
LEAST_CALLS = 500
LEAST_LENGTH = 100
LARGE_ROW = 1000

NUMBERS = frozenset({"int", "float", "bool", "str", "round", "abs", "print", "hash"})
"""What Python makes of an element that it takes as a number."""

WRITING = frozenset(
    _facts.words("""
    open write writelines writerow write_text write_bytes write_file dump save savez
    savez_compressed savetxt savefig tofile to_csv imwrite imsave imshow save_img array_to_img
    """)
)
"""The last names of functions that write a file, or draw."""

DRAWING = ("matplotlib.", "seaborn.", "PIL.")

PLAIN = frozenset({"array", "list", "tuple", "dict", "string"})

MOST_CALLS = 2

STACKERS = frozenset(
    {"tensorflow.stack", "tensorflow.concat", "tensorflow.convert_to_tensor"}
    | {"tensorflow.constant"}
)

AT_ONCE = "take all values out at once"
UNSTACKED = "tf.unstack once"

MOST_TRIED = 500
"""Elements that an experiment goes over."""

NOTE = (
    "The elements become NumPy numbers: their division of integers, overflow and printing differ "
    "from those of tensors, and gradients do not flow through them."
)

PYTHON_PER_OP = 4.0
"""Indexing runs some Python before its op: at most this many times what the op takes."""


class TensorIteration(Page):
    """Python walks over a tensor: `for x in tensor`, `tensor[i]` in a loop.

    ## What it is
    A loop outside a compiled function takes one element or row after the other out of a
    tensor. Each is a `StridedSlice` op and a new tensor.

    ## Why it is slow
    An op on one number costs as much as on a thousand: some 20 to 50 µs of Python and
    dispatch for a few nanoseconds of work. What is then done with the element are ops of
    the same price, comparisons included. Reading a list element takes 0.05 µs.

    ## When it does not matter
    A few dozen elements, or large ones with much work each: images of a batch, layers of a
    stack. Inside a `tf.function` the loop becomes part of the graph; that is another cause.

    ## What to do
    Say it with ops on the whole tensor: comparisons and `tf.boolean_mask`, `tf.where`,
    `tf.gather`, reductions with an axis. If the work needs Python, take all values out at
    once with `.numpy()` or `.numpy().tolist()` and walk over those: often 100x and more.

    ## Safety of the fix
    `.numpy()` before the loop keeps order and values; the elements are NumPy numbers then,
    whose integer division, overflow and printing differ from tensors'. Gradients do not
    flow through arrays: do not take it out under a tape.
    """

    code = "TF104"
    name = "tensor-iteration"

    slow = """\
import tensorflow as tf

scores = tf.random.stateless_uniform((12_000,), seed=(1, 2))

accepted = 0
for score in scores:  # <- slow
    if score > 0.75:
        accepted += 1
print("accepted", accepted)
"""

    fast = """\
import tensorflow as tf

scores = tf.random.stateless_uniform((12_000,), seed=(1, 2))

accepted = int(tf.math.count_nonzero(scores > 0.75))
print("accepted", accepted)
"""

    fine = (
        """\
import tensorflow as tf

photos = tf.random.stateless_uniform((24, 320, 320, 3), seed=(1, 2))

contrasts = []
for photo in photos:
    smooth = tf.nn.avg_pool2d(photo[tf.newaxis], 5, strides=1, padding="SAME")
    contrasts.append(tf.math.reduce_std(smooth))
print("contrast", round(float(tf.add_n(contrasts)), 2))
""",
        """\
import tensorflow as tf

scores = tf.random.stateless_uniform((200_000,), seed=(1, 2))

longest = current = 0
for score in scores.numpy().tolist():
    current = current + 1 if score > 0.5 else 0
    longest = max(longest, current)
print("longest run", longest)
""",
        """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
photos = tf.random.stateless_uniform((6, 96, 96, 3), seed=(1, 2))


@tf.function
def contrasts(photos):
    results = tf.TensorArray(tf.float32, 6)
    for number in tf.range(6):
        smooth = tf.nn.avg_pool2d(photos[number][tf.newaxis], 5, strides=1, padding="SAME")
        results = results.write(number, tf.math.reduce_std(smooth))
    return results.stack()


print("contrasts", contrasts(photos).shape)
red, green, blue = tf.unstack(photos, axis=-1)
for mean in tf.reduce_mean(photos, axis=(0, 1, 2)):
    print("mean", round(float(mean), 2))

weights = [float(value) for value in rng.random(5000)]
thresholds = rng.random(5000)
kept = sum(weight > thresholds[number] for number, weight in enumerate(weights))
print("kept", kept, "shapes", [size for size in photos.shape], red.shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines with a great many cheap slices."""
        slices = [row for row in recording.ops if row.main and not row.keras and row.op in SLICES]
        for site, rows in by_line(slices):
            calls = sum(row.calls for row in rows)
            if calls < LEAST_CALLS or _lines.heavy_seconds(rows):
                continue
            cost = cost_of(_claims(recording, site, rows), calls=calls)
            if not matters(recording, cost.seconds):
                continue
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "seconds_per_call": cost.seconds / calls,
                "op": max(rows, key=lambda row: row.calls).op,
            }
            message = (
                f"{count_text(calls)} elements were taken out of a tensor one by one, "
                f"{seconds_text(cost.seconds / calls)} each; what was done with each of them "
                "comes on top."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The elements of a tensor one by one, against all in one go."""
        tensors = [_walked(call) for call in samples.at(OpCall, finding.site)]
        tensor = next((each for each in tensors if each is not None), None)
        if tensor is None:
            yield Untried(
                "These slices are no single elements: which op would take them all at once "
                "depends on what the loop does."
            )
            return
        import tensorflow as tf

        tensor = tensor[:MOST_TRIED]

        def arrays(elements: list[Any]) -> list[Any]:
            return [element.numpy() for element in elements]

        yield Trial(
            Way("one element after the other", lambda: list(tensor), results=arrays),
            (
                Way(AT_ONCE, lambda: list(tensor.numpy()), note=NOTE),
                Way(UNSTACKED, lambda: tf.unstack(tensor), results=arrays, safety="safe"),
            ),
            f"{len(tensor)} of your elements",
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Loops of plain Python over the elements of a tensor that is not short."""
        if module.graph_mode:
            return
        for node in module.nodes(*LOOPS):
            loop = cast("Loop", node)
            for target, iterable in _loops.iterables(loop):
                members = list(_loops.walked(module, target, iterable))
                if any(_stays_tensor(module, loop, *each) for each in members[1:] and members):
                    continue
                for name, tensor in members:
                    yield from self._over_elements(module, loop, name, tensor)
                if isinstance(target, ast.Name) and isinstance(loop, ast.For):
                    yield from self._over_indices(module, loop, target)

    def _over_elements(
        self, module: Module, loop: Loop, name: ast.Name, tensor: ast.expr
    ) -> Iterator[Finding]:
        """`for x in tensor`."""
        own = _facts.facts(module, tensor)
        if own.side != "tensor" or not _is_plain_python(module, loop):
            return
        if isinstance(tensor, ast.Call) and module.qualified(tensor.func) == "tensorflow.range":
            # Made to be walked over, so that a compiled function gets tensors and no numbers.
            return
        elements = _elements(module, loop, name)
        if not _is_worth_it(module, loop, own, own.length, elements) or _is_stacked(module, loop):
            return
        message = (
            f"This loop takes {module.text(tensor)} apart in Python: every element is an op and a "
            "new tensor. Use ops on the whole tensor, or walk over its .numpy()."
        )
        text = module.text(tensor)
        simple = isinstance(tensor, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
        whole = module.replace(tensor, f"{text}.numpy()" if simple else f"({text}).numpy()")
        alternatives = _alternatives(module, loop, elements, (whole,), None)
        yield self.suspicion(module, loop, message, _evidence(own.length), alternatives)

    def _over_indices(self, module: Module, loop: ast.For, index: ast.Name) -> Iterator[Finding]:
        """`for i in range(len(tensor)): tensor[i]`."""
        call = loop.iter
        if not isinstance(call, ast.Call) or module.qualified(call.func) != "range":
            return
        groups: dict[str, list[ast.Subscript]] = {}
        for use in module.uses(index.id, loop):
            taken = module.parent(use)
            if not isinstance(taken, ast.Subscript) or taken.slice is not use:
                continue
            if isinstance(taken.value, (ast.Name, ast.Attribute)):
                groups.setdefault(module.text(taken.value), []).append(taken)
        for text, taken_here in groups.items():
            first = taken_here[0]
            own = _facts.facts(module, first.value)
            if own.side != "tensor" or not module.invariant(first.value, loop):
                continue
            if any(module.loops(each)[:1] != (loop,) for each in taken_here):
                continue
            if any(not isinstance(each.ctx, ast.Load) for each in taken_here):
                continue
            if not _is_plain_python(module, first) or _loops.each_round(module, first) is None:
                continue
            rounds = _rounds(module, call, text, own)
            if rounds == 0 or not _is_worth_it(module, loop, own, rounds, list(taken_here)):
                continue
            message = (
                f"{text}[{index.id}] takes one element in every round of the loop at line "
                f"{module.site(loop).line}: an op and a new tensor each. Use ops on the whole "
                "tensor, or its .numpy()."
            )
            last = first.value.attr if isinstance(first.value, ast.Attribute) else text
            name = module.free_name(f"{last}_array")
            edits = (
                module.insert(loop, f"{name} = {text}.numpy()"),
                *(module.replace(each.value, name) for each in taken_here),
            )
            alternatives = _alternatives(module, loop, list(taken_here), edits, loop)
            yield self.suspicion(module, first, message, _evidence(rounds), alternatives)


def _walked(call: OpCall) -> Any:
    """The tensor that an op takes one whole element out of; `None` where it does another thing."""
    if call.op != "StridedSlice":
        return None
    tensor, begin, *_ = call.arguments[3:]
    attributes = dict(zip(call.arguments[7::2], call.arguments[8::2], strict=False))
    if len(begin) != 1 or attributes.get("shrink_axis_mask") != 1:
        return None
    return tensor


def _is_plain_python(module: Module, node: ast.AST) -> bool:
    return (
        module.mode(node) == "eager"
        and not module.guarded(node)
        and not _loops.on_tape(module, node)
        and not any(_writes_files(module, loop) for loop in _loops_of(module, node))
    )


def _loops_of(module: Module, node: ast.AST) -> tuple[ast.AST, ...]:
    """A loop itself, or the innermost one around what stands in it."""
    return (node,) if isinstance(node, LOOPS) else module.loops(node)[:1]


def _writes_files(module: Module, node: ast.AST, depth: int = 0) -> bool:
    """Whether code writes files or draws: next to that, an op is nothing."""
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        name = module.qualified(call.func) or ""
        last = call.func.attr if isinstance(call.func, ast.Attribute) else name.rpartition(".")[2]
        if last in WRITING or name.startswith(DRAWING):
            return True
        callee = module.value(call.func)
        if callee.kind != "function" or callee.module is None or callee.definition is None:
            continue
        if depth < MOST_CALLS and _writes_files(callee.module, callee.definition, depth + 1):
            return True
    return False


def _elements(module: Module, loop: Loop, name: ast.Name) -> list[ast.expr]:
    """Where a loop reads the name it gives each element."""
    scope = module.home(name)
    uses = [] if scope is None else module.uses_of(name.id, scope)
    return [use for use in uses if isinstance(use.ctx, ast.Load) and module.inside(use, loop)]


def _stays_tensor(module: Module, loop: Loop, name: ast.Name, iterable: ast.expr) -> bool:
    """Whether a member of `zip` may give tensors that are used as such."""
    kind = module.value(iterable).kind
    if _facts.facts(module, iterable).side == "array" or kind in PLAIN:
        return False
    if isinstance(iterable, ast.Call) and module.qualified(iterable.func) == "range":
        return False
    return not all(_is_number(module, each) for each in _elements(module, loop, name))


def _is_worth_it(
    module: Module,
    loop: Loop,
    own: _facts.Facts,
    length: int | None,
    elements: list[ast.expr],
) -> bool:
    """Whether there surely are many elements, each with little work."""
    if length is not None and length < LEAST_LENGTH:
        return False
    row = None if own.shape is None else _facts.Facts(shape=own.shape[1:]).size
    if length is not None and row is not None:
        return row < LARGE_ROW
    numbers = bool(elements) and all(_is_number(module, each) for each in elements)
    if not numbers:
        return False
    return length is not None or _loops.each_round(module, loop, LEAST_LENGTH) is not None


def _is_number(module: Module, element: ast.expr) -> bool:
    """Whether an element is used as a Python number is, or only to make one of it."""
    parent = module.parent(element)
    if _is_reduced(module, element):
        return True
    if isinstance(parent, ast.Attribute):
        return parent.attr == "numpy"
    if isinstance(parent, ast.Call) and element in parent.args:
        return module.qualified(parent.func) in NUMBERS
    if isinstance(parent, ast.Compare):
        others = [parent.left, *parent.comparators]
        return all(e is element or module.value(e).kind == "scalar" for e in others)
    return isinstance(parent, ast.FormattedValue)


def _is_reduced(module: Module, element: ast.expr) -> bool:
    """Whether a tensor is only made into one number, as by `tf.reduce_max(x)`."""
    parent = module.parent(element)
    if not isinstance(parent, ast.Call) or parent.args != [element] or parent.keywords:
        return False
    name = module.qualified(parent.func) or ""
    return name.startswith(("tensorflow.reduce_", "tensorflow.math.reduce_"))


def _rounds(module: Module, call: ast.Call, text: str, own: _facts.Facts) -> int | None:
    """How many elements a `range` goes over; 0 where it is not known to be the tensor's."""
    if len(call.args) != 1:
        return 0
    bound = call.args[0]
    if module.text(bound) in (f"len({text})", f"{text}.shape[0]", f"int({text}.shape[0])"):
        return own.length
    count = module.constant(bound)
    return count if isinstance(count, int) else 0


def _is_stacked(module: Module, loop: Loop) -> bool:
    """Whether a comprehension's results are put together again: that is another cause."""
    parent = module.parent(loop)
    return (
        isinstance(loop, (ast.ListComp, ast.GeneratorExp))
        and isinstance(parent, ast.Call)
        and module.qualified(parent.func) in STACKERS
    )


def _evidence(length: int | None) -> dict[str, int]:
    return {} if length is None else {"elements": length}


def _alternatives(
    module: Module,
    loop: Loop,
    elements: list[ast.expr],
    edits: tuple[Edit, ...],
    inserted: ast.stmt | None,
) -> tuple[Alternative, ...]:
    """The values taken out once, where arrays can stand for all the elements."""
    if not module.editable(loop) or (inserted is not None and not module.editable(inserted)):
        return ()
    if any(_is_reduced(module, element) for element in elements):
        # Its rows would only become tensors again.
        return ()
    more: list[Edit] = []
    for element in elements:
        attribute = module.parent(element)
        if not isinstance(attribute, ast.Attribute):
            continue
        call = module.parent(attribute)
        if attribute.attr != "numpy" or not isinstance(call, ast.Call) or call.args:
            return ()
        more.append(module.edit(module.end(element), module.end(call), ""))
    return (Alternative(AT_ONCE, "unsafe", (*edits, *more), note=NOTE),)


def _claims(recording: Recording, site: Site, rows: list[OpCount]) -> tuple[Claim, ...]:
    """The slices' own time, and their share of the Python that led to the line's ops."""
    seconds = sum(row.seconds for row in rows)
    share = sum(row.calls for row in rows) / sum(
        row.calls for row in _lines.ops_at(recording, site)
    )
    python = share * recording.line(site).get("python", 0.0)
    return _lines.claim_at_most(recording, site, "eager", seconds) + _lines.claim_at_most(
        recording, site, "python", min(python, PYTHON_PER_OP * seconds)
    )
