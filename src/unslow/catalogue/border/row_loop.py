"""TF107: `tf.map_fn` runs row by row what an op could do for all rows."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from unslow import seams
from unslow.catalogue.border import _facts, _lines
from unslow.catalogue.graphs import _calls
from unslow.catalogue.page import Page, by_line, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Claim, Finding, Site, line_key
from unslow.recording import data
from unslow.recording.data import Recording
from unslow.recording.samples import FunctionCall, RowLoopCall
from unslow.source.module import UNKNOWN
from unslow.source.values import is_tensor_function

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.module import Module

LEAST_ROWS = 100

MOST_HEAVY = 0.5
"""The share of a loop's time in real work from which the loop is not to blame."""

MOST_NODES_AROUND = 20
"""`tf.map_fn` of one tensor alone makes 16: a function of so few nodes holds no other loop."""

CONTAINERS = ("While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall")
"""Ops whose time is that of other ops."""

HEAVY = (
    *("tensorflow.image.", "tensorflow.io.", "tensorflow.signal.", "tensorflow.audio."),
    *("tensorflow.nn.conv", "tensorflow.nn.depthwise_conv", "tensorflow.nn.avg_pool"),
    *("tensorflow.nn.max_pool", "tensorflow.nn.ctc", "tensorflow.strings.", "tensorflow.sort"),
    *("tensorflow.linalg.svd", "tensorflow.linalg.inv", "tensorflow.linalg.solve"),
    *("tensorflow.matmul", "tensorflow.linalg.matmul", "tensorflow.einsum"),
    *("tensorflow.tensordot", "tensorflow.slice"),
    *("tensorflow.linalg.cholesky", "tensorflow.linalg.eig", "tensorflow.linalg.expm"),
)
"""Functions that are work enough for a round of a loop."""

RAGGED = frozenset(
    f"tensorflow.{name}"
    for name in _facts.words("""
    boolean_mask image.non_max_suppression range repeat unique where foldl scan
    constant convert_to_tensor shape cond while_loop print
    """)
)
"""Functions that make rows of other lengths, or are none that vectorize."""

VECTORIZED = frozenset({"tensorflow.unstack", "tensorflow.split", "tensorflow.nn.moments"})
"""Other functions of TensorFlow that a body may call."""

LARGE_ROW = 100_000

STACKERS = frozenset({"tensorflow.stack", "tensorflow.convert_to_tensor"})

VECTORIZED_MAP = "tf.vectorized_map"

SECONDS = 0.25
"""What one run of a trial may take; fewer rows are taken of slow loops."""

NOTE = (
    "All rows are worked on at once: sums may differ in the last digits, random ops draw other "
    "numbers, more memory is used at a time, and a few ops cannot be vectorized."
)

PARAMETERS = ("dtype", "parallel_iterations", "back_prop", "swap_memory", "infer_shape", "name")
"""The positional parameters of `tf.map_fn` after its function and its rows."""

MACHINERY = "TensorList"
"""How the ops begin with which a loop takes rows out and puts results together."""


class RowLoop(Page):
    """`tf.map_fn` applies a function to one row after the other.

    ## What it is
    `tf.map_fn` over the first dimension of a tensor, with a body made of ops that could
    take all rows at once.

    ## Why it is slow
    Eagerly every op of the body runs once per row, tens of microseconds each. In a compiled
    function the rows become a While loop: an iteration costs in the order of 10 to 100 µs
    beside its ops, and ops on one row leave most of the machine idle. The axis argument of
    the same op is often 100x faster.

    ## When it does not matter
    Few rows. Heavy work per row, such as decoding a JPEG or a convolution on a large image:
    there the loop itself is small.

    ## What to do
    Give the ops all rows and an axis: `tf.reduce_sum(x, axis=-1)`, `tf.nn.softmax(x)`,
    `tf.linalg.matvec`, broadcasting. Where the body is hard to rewrite, `tf.vectorized_map`
    does it for most ops.

    ## Safety of the fix
    Sums may be taken in another order and differ in the last digits. A body with random
    ops draws other numbers; one with state or side effects must stay a loop. All rows at
    once need their intermediate results in memory at once.
    """

    code = "TF107"
    name = "row-loop"

    slow = """\
import tensorflow as tf

logits = tf.random.stateless_normal((3_000, 50), seed=(1, 2))


def entropy(row):
    chances = tf.nn.softmax(row)
    return -tf.reduce_sum(chances * tf.math.log(chances))


entropies = tf.map_fn(entropy, logits)  # <- slow
print("mean entropy", round(float(tf.reduce_mean(entropies)), 3))
"""

    fast = """\
import tensorflow as tf

logits = tf.random.stateless_normal((3_000, 50), seed=(1, 2))


def entropy(rows):
    chances = tf.nn.softmax(rows)
    return -tf.reduce_sum(chances * tf.math.log(chances), axis=-1)


entropies = entropy(logits)
print("mean entropy", round(float(tf.reduce_mean(entropies)), 3))
"""

    fine = (
        """\
import tensorflow as tf

noise = tf.random.stateless_uniform((60, 256, 256, 3), maxval=256, seed=(1, 2), dtype=tf.int32)
files = [tf.io.encode_jpeg(tf.cast(photo, tf.uint8)) for photo in noise]

photos = tf.map_fn(tf.io.decode_jpeg, tf.stack(files), fn_output_signature=tf.uint8)
print("photos", photos.shape)
""",
        """\
import tensorflow as tf

signals = tf.random.stateless_normal((4, 200_000), seed=(1, 2))

spectra = tf.map_fn(lambda row: tf.abs(tf.signal.stft(row, 1024, 256)), signals)
print("spectra", spectra.shape)
""",
        """\
import tensorflow as tf

logits = tf.random.stateless_normal((3_000, 50), seed=(1, 2))
kernels = [tf.random.stateless_normal((50, 4), seed=(n, 3)) for n in range(3)]


def entropy(row):
    chances = tf.nn.softmax(row)
    return -tf.reduce_sum(chances * tf.math.log(chances))


entropies = tf.vectorized_map(entropy, logits)
heads = tf.stack([tf.matmul(logits, kernel) for kernel in kernels])
halves = tf.map_fn(lambda scale: tf.reduce_mean(logits * scale), tf.constant([0.5, 1.0]))
print("shapes", entropies.shape, heads.shape, halves.shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Loops over rows whose time is not in the work on the rows."""
        for site, rows in by_line(recording.row_loops):
            claims = _eager_claims(recording, rows) + _graph_claims(recording, site, rows)
            count = sum(row.rows for row in rows)
            calls = sum(row.calls + row.graph_calls for row in rows)
            cost = cost_of(claims, calls=calls)
            if not matters(recording, cost.seconds):
                continue
            evidence = {"calls": calls, "seconds": cost.seconds, "rows": count}
            name = rows[0].name
            if count:
                evidence["seconds_per_row"] = cost.seconds / count
                message = (
                    f"{name} ran its function on {count_text(count)} rows one after the other, "
                    f"{seconds_text(cost.seconds / count)} a row."
                )
            else:
                message = (
                    f"{name} became a loop over rows in a compiled function and took about "
                    f"{seconds_text(cost.seconds)} there."
                )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The loop over some of the rows, against all of these at once."""
        calls = samples.at(RowLoopCall, finding.site)
        if not calls:
            yield _in_graph(finding.site, samples)
            return
        import tensorflow as tf

        call = calls[0]
        given = dict(zip(("fn", "elems"), call.arguments, strict=False)) | call.keywords
        function, rows = given["fn"], given["elems"]
        each = finding.evidence.get("seconds_per_row", 0.0)
        most = max(LEAST_ROWS, int(SECONDS / each)) if each else LEAST_ROWS
        rows = tf.nest.map_structure(lambda tensor: tensor[:most], rows)
        rest = {name: value for name, value in given.items() if name not in ("fn", "elems")}
        rest |= dict(zip(PARAMETERS, call.arguments[2:], strict=False))

        def vectorized(rows: Any) -> Any:
            return tf.vectorized_map(function, rows)

        once = finding.evidence["calls"] == 1
        if once:
            # It is traced in every eager call: of one call, more rows make no more of that.
            vectorized = tf.function(vectorized, autograph=False)
        yield Trial(
            Way("tf.map_fn", lambda: tf.map_fn(function, rows, **rest)),
            (Way(VECTORIZED_MAP, lambda: vectorized(rows), note=NOTE, prepares=once),),
            f"{len(tf.nest.flatten(rows)[0])} of your rows",
            functions=(function,),
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """`tf.map_fn` with a body of plain ops, and rows put together again after a loop."""
        for call in module.calls_to("tensorflow.map_fn"):
            function = module.argument(call, 0, "fn")
            rows = module.argument(call, 1, "elems")
            if function is None or rows is None or module.has_star(call) or module.guarded(call):
                continue
            if _runs_once(module, call, rows):
                continue
            body = _body_of(module, function)
            if body is None or not _is_many(module, rows) or not _is_plain(*body):
                continue
            name = module.text(call.func)
            message = (
                f"{name} runs its function on one row after the other; its ops could take all "
                "rows at once, with an axis or through tf.vectorized_map."
            )
            yield self.suspicion(
                module, call, message, {"name": "tf.map_fn"}, _vectorized(module, call)
            )
        for comprehension in module.nodes(ast.ListComp):
            parent = module.parent(comprehension)
            if not isinstance(parent, ast.Call) or module.qualified(parent.func) not in STACKERS:
                continue
            if _is_row_loop(module, comprehension):
                message = (
                    "This loop runs the same ops on one row after the other and stacks the "
                    "results; the ops could take all rows at once."
                )
                yield self.suspicion(module, parent, message, {"name": "list of rows"})


def _in_graph(site: Site, samples: Samples) -> Trial | Untried:
    """Calls of the compiled function that holds the loop, against it with all rows at once."""
    kept = samples.every(FunctionCall)
    first: dict[int, FunctionCall] = {}
    for each in kept:
        first.setdefault(id(each.function), each)

    def holds(call: FunctionCall) -> bool:
        """Whether its function has ops in its graph that were made at that line."""
        graph = call.function.get_concrete_function(*call.arguments, **call.keywords).graph
        return any(
            samples.passes(site, seams.creation_stack(operation))
            for operation in graph.get_operations()
            if operation.type in CONTAINERS
        )

    function = next((each.function for each in first.values() if holds(each)), None)
    if function is None:
        return Untried("The loop is inside a compiled function of which no call was kept.")
    calls = [each for each in kept if each.function is function][: _calls.LEAST_CALLS]
    vectorized = _Vectorized(calls, lambda: samples.passes(site, seams.mapped_stack()))
    return Trial(
        Way("tf.map_fn", lambda: _calls.done(function, calls)),
        (Way(VECTORIZED_MAP, vectorized.run, before=vectorized.trace, note=NOTE, prepares=True),),
        f"{count_text(len(calls))} of the calls of {function.python_function.__name__}()",
        functions=(function.python_function,),
        state=True,
    )


class _Vectorized:
    """Calls of a compiled function that is traced with all rows at once in one of its loops.

    `there`: whether what is being traced is that loop.
    """

    def __init__(self, calls: Sequence[FunctionCall], there: Callable[[], bool]) -> None:
        self._calls = calls
        self._there = there
        self._function: Any = None

    def trace(self) -> None:
        if self._function is not None:
            return
        function = seams.compiled_again(self._calls[0].function)
        patches = seams.Patches()
        patches.replace(seams.MAP_FN, self._instead)
        try:
            for each in self._calls:
                function.get_concrete_function(*each.arguments, **each.keywords)
        finally:
            patches.take_back()
        self._function = function

    def _instead(self, original: Callable[..., Any]) -> Callable[..., Any]:
        import tensorflow as tf

        def map_fn(fn: Any, elems: Any, *rest: Any, **options: Any) -> Any:
            if self._there():
                return tf.vectorized_map(fn, elems)
            return original(fn, elems, *rest, **options)

        # AutoGraph calls it as it is, and goes on with the function of the user.
        map_fn.autograph_info__ = None  # type: ignore[attr-defined]
        return map_fn

    def run(self) -> list[Any]:
        return _calls.done(self._function, self._calls)


def _runs_once(module: Module, call: ast.Call, rows: ast.expr) -> bool:
    """Whether it runs a single time, over nobody knows how many rows."""
    return (
        _facts.facts(module, rows).length is None
        and module.mode(call) == "eager"
        and module.repetition(call) is None
    )


def _body_of(module: Module, function: ast.expr) -> tuple[Module, ast.AST] | None:
    """Where the function that is mapped is defined."""
    value = module.value(function)
    if value.definition is None or value.module is None:
        return None
    return value.module, value.definition


def _is_many(module: Module, rows: ast.expr) -> bool:
    """Whether a tensor may have many rows, and they surely are not large."""
    own = _signed(module, rows) or _facts.facts(module, rows)
    if own.shape is None or (own.length is not None and own.length < LEAST_ROWS):
        return False
    row = _facts.Facts(shape=own.shape[1:]).size
    return row is not None and row < LARGE_ROW


def _signed(module: Module, rows: ast.expr) -> _facts.Facts | None:
    """What the `input_signature` of the compiled function around says of its parameter."""
    function = module.function(rows)
    made = module.compilation(rows)
    if not isinstance(rows, ast.Name) or made is None or made.call is None:
        return None
    if made.definition is not function or made.call_module is not module:
        return None
    signature = module.argument(made.call, 1, "input_signature")
    names = [] if isinstance(function, (ast.Lambda, type(None))) else function.args.args
    position = next((i for i, each in enumerate(names) if each.arg == rows.id), None)
    if not isinstance(signature, (ast.List, ast.Tuple)) or position is None:
        return None
    if position >= len(signature.elts) or len(signature.elts) != len(names):
        return None
    spec = signature.elts[position]
    if not isinstance(spec, ast.Call) or module.qualified(spec.func) != "tensorflow.TensorSpec":
        return None
    shape = module.argument(spec, 0, "shape")
    lengths = None if shape is None else module.constant(shape)
    if not isinstance(lengths, (tuple, list)):
        return None
    if not all(each is None or isinstance(each, int) for each in lengths):
        return None
    return _facts.Facts("tensor", shape=tuple(lengths))


def _is_plain(module: Module, definition: ast.AST) -> bool:
    """Whether a function does nothing but a few cheap ops on its row."""
    ops = 0
    for node in _inner(definition):
        if isinstance(node, (ast.For, ast.While, ast.If, ast.IfExp, ast.With, ast.Lambda)):
            return False
        if isinstance(node, (ast.Global, ast.Nonlocal, ast.Try, ast.Yield, ast.ListComp)):
            return False
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            return False
        if isinstance(node, ast.Slice) and not all(
            bound is None or module.constant(bound) is not UNKNOWN
            for bound in (node.lower, node.upper, node.step)
        ):
            # Rows may give pieces of different lengths.
            return False
        if isinstance(node, ast.BinOp):
            ops += 1
        if not isinstance(node, ast.Call):
            continue
        name = module.qualified(node.func) or ""
        if not is_tensor_function(name) and name not in VECTORIZED:
            return False
        if name.startswith(HEAVY) or name in RAGGED or "random" in name:
            return False
        ops += 1
    return ops > 0


def _inner(definition: ast.AST) -> Iterator[ast.AST]:
    body = getattr(definition, "body", definition)
    for statement in body if isinstance(body, list) else [body]:
        yield from ast.walk(statement)


def _vectorized(module: Module, call: ast.Call) -> tuple[Alternative, ...]:
    """`tf.vectorized_map` for `tf.map_fn`, where both arguments are all there is to say."""
    known = {"fn", "elems", "dtype", "fn_output_signature", "parallel_iterations", "name"}
    if len(call.args) > 2 or any(each.arg not in known for each in call.keywords):
        return ()
    function, rows = module.argument(call, 0, "fn"), module.argument(call, 1, "elems")
    if function is None or rows is None or not module.editable(call):
        return ()
    tensorflow, imports = module.imported("tensorflow")
    name = f"{tensorflow}.vectorized_map"
    if {each.arg for each in call.keywords} <= {"fn", "elems"}:
        edits = (module.replace(call.func, name), *imports)
    elif "#" in module.text(call):
        return ()
    else:
        text = f"{name}({module.text(function)}, {module.text(rows)})"
        edits = (module.replace(call, text), *imports)
    return (Alternative(VECTORIZED_MAP, "unsafe", edits, note=NOTE),)


def _is_row_loop(module: Module, comprehension: ast.ListComp) -> bool:
    """Whether a comprehension applies plain ops to the rows of one tensor of many."""
    if len(comprehension.generators) != 1 or module.guarded(comprehension):
        return False
    generator = comprehension.generators[0]
    own = _facts.facts(module, generator.iter)
    if generator.ifs or generator.is_async or own.side != "tensor" or own.length is None:
        return False
    if not _is_many(module, generator.iter) or not isinstance(generator.target, ast.Name):
        return False
    element = comprehension.elt
    if isinstance(element, ast.Call):
        body = _body_of(module, element.func)
        if body is not None and len(element.args) == 1:
            return _is_plain(*body)
    return _is_plain(module, element)


def _eager_claims(recording: Recording, rows: list[data.RowLoop]) -> tuple[Claim, ...]:
    """What eager loops took, unless the ops of their bodies were real work."""
    loops = [row for row in rows if row.rows >= LEAST_ROWS]
    claims = tuple(claim for row in loops for claim in row.claims if claim.part != "recorder")
    lines = {line_key(claim) for claim in claims}
    ops = [row for row in recording.ops if row.main and line_key(row.site) in lines]
    heavy = _lines.heavy_seconds(ops)
    return () if heavy > MOST_HEAVY * sum(claim.seconds for claim in claims) else claims


def _graph_claims(recording: Recording, site: Site, rows: list[data.RowLoop]) -> tuple[Claim, ...]:
    """What a compiled loop took, at the lines that called the function around it.

    Only where trace windows looked into those calls and saw little work in them.
    """
    callers = [
        row
        for row in recording.function_calls
        if row.main
        and row.definition is not None
        and (row.definition.path, row.definition.cell, row.function)
        == (site.path, site.cell, site.function)
    ]
    total = sum(row.seconds - row.first_seconds for row in callers)
    if not any(row.graph_calls for row in rows) or total <= 0:
        return ()
    lines = {line_key(row.site) for row in callers}
    windows = [w for w in recording.windows if line_key(w.site) in lines]
    inside = sum(window.graph_seconds for window in windows)
    work = sum(
        window.wait_seconds + sum(op.seconds for op in window.ops if _is_work(op.op))
        for window in windows
    )
    seconds = sum(row.graph_seconds for row in rows)
    if max(row.nodes for row in callers) <= MOST_NODES_AROUND:
        # The profiler leaves out tiny ops, and with them what the loop is made of, or much of it.
        seconds = total
    if work >= MOST_HEAVY * inside:
        return ()
    share = min(1.0, seconds / total)
    return tuple(
        claim
        for row in callers
        for claim in _lines.claim_at_most(
            recording, row.site, "graph", share * (row.seconds - row.first_seconds)
        )
    )


def _is_work(op: str) -> bool:
    """Whether an op does something for the rows, and does not just carry the loop."""
    return op not in CONTAINERS and not op.startswith(MACHINERY)
