"""TF203: a compiled function made anew, and traced anew, where one would do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _calls, _source, _tracing
from unslow.catalogue.page import Page, claim, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Finding
from unslow.recording.data import FunctionCalls, FunctionsMade, Recording, Tracing
from unslow.recording.samples import FirstCall, FunctionCall, Samples

if TYPE_CHECKING:
    from unslow.source.module import Module

LEAST_FUNCTIONS = 5


ONCE = "make the function once"
ONCE_NOTE = (
    "Python code in it, such as printing or drawing a random number, then runs in the first "
    "call alone; variables that it makes must be made outside."
)


class FunctionRecreated(Page):
    """`tf.function` is applied in a loop, or in a function that is called often.

    ## What it is
    `@tf.function` on a function inside another function, or `tf.function(f)` or
    `tf.function(lambda …)` in a loop. Each time a new compiled function is made of the same
    code.

    ## Why it is slow
    A compiled function remembers its graphs for itself alone. A new one knows nothing of
    the last and is traced at its first call, tens of milliseconds for a small function and
    seconds for a large model. Called once and dropped, it costs far more than the same ops
    run one by one.

    ## When it does not matter
    One function for each of a few models or settings, each called many times.

    ## What to do
    Make the function once, at the top of the module, in the constructor of a class, or
    before the loop, and hand in as arguments what differs from call to call: tensors as
    tensors.

    ## Safety of the fix
    What the inner function took from around it when it was made, such as the loop's
    variables, must become arguments. Variables that it creates must then be created once,
    outside.
    """

    code = "TF203"
    name = "function-recreated"

    slow = """\
import numpy as np
import tensorflow as tf

weights = tf.random.stateless_normal((16, 64, 64), seed=(1, 2)) * 0.1
frames = np.random.default_rng(0).random((40, 8, 64), dtype=np.float32)


def score(frame):
    @tf.function  # <- slow
    def forward(x):
        for layer in range(16):
            x = x + tf.nn.relu(x @ weights[layer])
        return tf.reduce_max(x)

    return forward(frame)


scores = [score(frame) for frame in frames]
print("best", round(float(tf.reduce_max(scores)), 1))
"""

    fast = """\
import numpy as np
import tensorflow as tf

weights = tf.random.stateless_normal((16, 64, 64), seed=(1, 2)) * 0.1
frames = np.random.default_rng(0).random((40, 8, 64), dtype=np.float32)


@tf.function
def forward(x):
    for layer in range(16):
        x = x + tf.nn.relu(x @ weights[layer])
    return tf.reduce_max(x)


scores = [forward(frame) for frame in frames]
print("best", round(float(tf.reduce_max(scores)), 1))
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf


def make_scorer(seed):
    weights = tf.random.stateless_normal((20, 64, 64), seed=(seed, 2)) * 0.1

    @tf.function
    def score(x):
        for layer in range(20):
            x = x + tf.nn.relu(x @ weights[layer])
        return tf.reduce_max(x)

    return score


ensemble = [make_scorer(seed) for seed in range(3)]
frames = np.random.default_rng(0).random((60, 8, 64), dtype=np.float32)
best = [tf.reduce_max([score(frame) for frame in frames]) for score in ensemble]
print("best", len(best))
""",
        """\
import numpy as np
import tensorflow as tf


class Refiner:
    def __init__(self):
        self.weights = tf.Variable(tf.random.stateless_normal((200, 200), seed=(1, 2)) * 0.1)

    @tf.function
    def refine(self, x):
        return tf.linalg.l2_normalize(x @ self.weights, axis=-1)


refiners = [Refiner() for _ in range(4)]
frames = np.random.default_rng(0).random((60, 200, 200), dtype=np.float32)
total = tf.add_n([refiner.refine(frame) for refiner in refiners for frame in frames])
print("total", round(float(tf.reduce_mean(total)), 2))
""",
        """\
import functools

import tensorflow as tf

features = tf.random.stateless_normal((64, 16), seed=(1, 2))
labels = tf.reduce_sum(features, axis=1, keepdims=True)


def train(rate, steps):
    weights = tf.Variable(tf.zeros((16, 1)))

    @tf.function
    def step():
        error = features @ weights - labels
        weights.assign_sub(rate / 64 * tf.matmul(features, error, transpose_a=True))

    for _ in range(steps):
        step()
    return weights


@functools.lru_cache(maxsize=None)
def scorer(name):
    return tf.function(lambda x: tf.reduce_mean(x @ features))


class Predictor:
    def __init__(self):
        self._predict = None

    def predict(self, x):
        if self._predict is None:
            self._predict = tf.function(lambda rows: tf.reduce_sum(rows, axis=1))
        return self._predict(x)


sweep = [train(rate, 150) for rate in (0.01, 0.03, 0.1, 0.2)]
predictor = Predictor()
for step in range(30):
    scores = predictor.predict(features)
    mean = scorer("mean")(tf.ones((4, 64)))
print("trained", [weights.shape for weights in sweep], scores.shape)
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that made many functions of one piece of code, most of them traced."""
        for made in recording.functions_made:
            if made.definition is None or made.count < LEAST_FUNCTIONS:
                continue
            tracings = [r for r in recording.tracings if r.main and _is_of(made, r)]
            functions = sum(row.functions for row in tracings)
            traces = sum(row.traces for row in tracings)
            if functions < LEAST_FUNCTIONS:
                continue
            calls = [row for row in recording.function_calls if _is_of(made, row)]
            running = sum(row.seconds - row.first_seconds for row in calls)
            build = sum(row.seconds for row in tracings)
            first = sum(row.first_seconds for row in calls)
            build_part = _tracing.needless(tracings, build, functions - 1, traces)
            graph_part = _tracing.needless(calls, first, functions - 1, traces)
            if build * build_part < running or not matters(recording, build * build_part):
                continue
            claims = [claim(row.site, "build", row.seconds * build_part) for row in tracings]
            claims += [claim(row.site, "graph", row.first_seconds * graph_part) for row in calls]
            cost = cost_of(claims, calls=sum(row.calls for row in calls))
            each = cost.seconds / (functions - 1)
            evidence = {
                "calls": cost.calls,
                "seconds": cost.seconds,
                "functions": made.count,
                "traces": traces,
                "seconds_per_trace": each,
                "function": made.function,
            }
            message = (
                f"`tf.function` was made {count_text(made.count)} times of the same "
                f"{made.function}() and traced {count_text(traces)} times, "
                f"{seconds_text(each)} a trace with its first run; once would do."
            )
            yield self.problem(made.site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """First calls of functions made anew, against calls of one that was made before."""
        wanted = finding.evidence["function"]
        calls = [
            each
            for each in samples.at(FirstCall, finding.site)
            if each.function.python_function.__name__ == wanted
        ]
        missing = _calls.no_eager()
        if missing is None and len(calls) < _calls.LEAST_CALLS:
            missing = Untried("Too few of its first calls could be captured.")
        missing = missing or _calls.changing(calls)
        if missing is not None:
            yield missing
            return
        calls = list(_calls.few(calls, finding.evidence["seconds_per_trace"]))

        def anew() -> list[object]:
            return [_calls.without_traces(each)(*each.arguments, **each.keywords) for each in calls]

        def once() -> tuple[object, list[FunctionCall]]:
            return _calls.without_traces(calls[0]), [*calls]

        kept = _calls.Kept([once])
        yield Trial(
            Way("made anew for each call", anew),
            (Way(ONCE, kept.run, before=kept.before, note=ONCE_NOTE),),
            f"{len(calls)} of its first calls",
            functions=(calls[0].function.python_function,),
            state=True,
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Functions compiled anew in each round of a loop or each call, and called right there."""
        for node, name in _made(module):
            again = module.repetition(node)
            if again is None or module.mode(node) != "eager" or module.guarded(node):
                continue
            place = _place(module, node)
            if place is None or not _source.reached(module, node, place):
                continue
            if not _is_called_once(module, node, name, place):
                continue
            if not _could_be_shared(module, node, place):
                continue
            message = (
                f"This makes a new compiled function in {again.text}, and each one is traced for "
                "itself when it is called; one would do."
            )
            evidence = {"where": again.text, "function": name or "a lambda"}
            found = _hoisted(module, node, name, place)
            at = node.decorator_list[0] if isinstance(node, ast.FunctionDef) else node
            yield self.suspicion(module, at, message, evidence, found)


Made = ast.FunctionDef | ast.Call


def _made(module: Module) -> Iterator[tuple[Made, str]]:
    """Where compiled functions are made that only one name stands for, or none."""
    for definition in module.nodes(ast.FunctionDef):
        if len(definition.decorator_list) == 1 and module.method_class(definition) is None:
            decorator = definition.decorator_list[0]
            target = decorator.func if isinstance(decorator, ast.Call) else decorator
            if module.qualified(target) == "tensorflow.function":
                yield definition, definition.name
    for call in module.calls_to("tensorflow.function"):
        parent = module.parent(call)
        if not call.args or call in getattr(parent, "decorator_list", ()):
            continue
        if isinstance(parent, ast.Call) and parent.func is call:
            yield call, ""
        elif isinstance(parent, ast.Assign) and len(parent.targets) == 1:
            target = parent.targets[0]
            if isinstance(target, ast.Name):
                yield call, target.id


def _place(module: Module, node: Made) -> ast.AST | None:
    """The loop or the function in each round or call of which a function is made."""
    loops = module.loops(node)
    place = loops[0] if loops else module.function(node)
    return None if isinstance(place, ast.Lambda) else place


def _is_called_once(module: Module, node: Made, name: str, place: ast.AST) -> bool:
    """Whether what is made is only called, and mostly in no loop of its own."""
    if not name:
        return isinstance(place, (ast.For, ast.While, ast.FunctionDef))
    statement = module.statement(node)
    scope = module.scope(statement)
    if len(module.scopes.get(scope, {}).get(name, ())) != 1:
        return False
    uses = [use for use in module.uses_of(name, scope) if isinstance(use.ctx, ast.Load)]
    function = module.function(statement)
    loops = module.loops(statement)
    return bool(uses) and all(
        isinstance(parent := module.parent(use), ast.Call)
        and parent.func is use
        and module.function(use) is function
        and module.inside(use, place)
        and (module.loops(use) == loops or _is_always_the_same(module, node, parent))
        for use in uses
    )


def _is_always_the_same(module: Module, node: Made, call: ast.Call) -> bool:
    """Whether what is made is called with nothing but tensors, and is the same code each time.

    Then one function would do also where each one is called often.
    """
    if not isinstance(node, ast.Call) or not isinstance(node.args[0], ast.Name):
        return False
    if module.home(node.args[0]) is not module.tree or module.loops(node.args[0]) == ():
        return False
    given = [module.value(each).kind for each in _source.arguments(call)]
    known = ("tensor", "array", "variable", "list", "scalar", "numpy-scalar")
    return bool(given) and not module.has_star(call) and all(kind in known for kind in given)


def _code(module: Module, node: Made) -> ast.AST:
    """The code that is compiled, where it stands here; else what names it."""
    return node.args[0] if isinstance(node, ast.Call) else node


def _could_be_shared(module: Module, node: Made, place: ast.AST) -> bool:
    """Whether what the function takes from around it could as well be an argument."""
    if isinstance(node, ast.Call):
        if module.value(node).definition is None:
            return False
        if not isinstance(node.args[0], (ast.Name, ast.Lambda)):
            return False
        if isinstance(node.args[0], ast.Name):
            return not list(_source.outer_names(module, node, place)) or _is_inner(
                module, node.args[0], place
            )
    for name in _source.outer_names(module, _code(module, node), place):
        value = module.value(name)
        inner = value.kind == "function" and value.definition is not None
        if inner and not list(_source.outer_names(module, _defined(value.definition), place)):
            continue
        if value.kind not in ("tensor", "array", "scalar", "numpy-scalar"):
            return False
    return True


def _defined(definition: ast.AST | None) -> ast.AST:
    assert definition is not None
    return definition


def _is_inner(module: Module, name: ast.Name, place: ast.AST) -> bool:
    """Whether a name stands for a function defined in `place` that takes nothing from it."""
    definition = module.value(name).definition
    return (
        definition is not None
        and module.inside(definition, place)
        and not list(_source.outer_names(module, definition, place))
    )


def _hoisted(module: Module, node: Made, name: str, place: ast.AST) -> tuple[Alternative, ...]:
    """The function made before the loop, or at the top level, where nothing ties it down."""
    statement = module.statement(node)
    text = _source.lines_of(module, statement, statement)
    if not name or text is None or module.parent(statement) is not place:
        return ()
    if list(_source.outer_names(module, node, place)):
        return ()
    before: ast.stmt | None
    if isinstance(place, (ast.For, ast.While)):
        before = place
    else:
        before = _source.top_statement(module, place)
        if (
            before is None
            or list(_source.outer_names(module, node, before))
            or not _source.is_new_global(module, name)
            or not _is_defined(module, node, before)
        ):
            return ()
    if not module.editable(before):
        return ()
    at_top = isinstance(module.parent(before), ast.Module)
    blank = "\n" * (1 + at_top) if isinstance(node, ast.FunctionDef) or before is not place else ""
    line, indent = _source.first_line(before), module.indent(before)
    lines = [f"{indent}{each}\n" if each else "\n" for each in text.split("\n")]
    edits = (
        module.edit((line, 1), (line, 1), "".join(lines) + blank),
        _source.removal(module, statement),
    )
    return (Alternative(ONCE, "unsafe", edits, note=ONCE_NOTE),)


def _is_defined(module: Module, node: Made, top: ast.stmt) -> bool:
    """Whether what is needed for making a function is there above a statement."""
    needed: list[ast.AST | None] = [node]
    if isinstance(node, ast.FunctionDef):
        needed = [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults, node.returns]
        needed += [each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)]
    elif isinstance(node.args[0], ast.Lambda):
        needed = [node.func, *node.keywords]
    for part in needed:
        if part is None:
            continue
        for name in (each for each in ast.walk(part) if isinstance(each, ast.Name)):
            home = module.home(name)
            bindings = [] if home is None else module.scopes[home][name.id]
            if any(getattr(each.node, "lineno", 0) >= top.lineno for each in bindings):
                return False
    return True


def _is_of(made: FunctionsMade, row: Tracing | FunctionCalls) -> bool:
    return row.function == made.function and row.definition == made.definition
