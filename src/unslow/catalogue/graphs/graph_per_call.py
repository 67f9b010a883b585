"""TF207: a graph and a session made for every call."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _calls, _network, _sessions, _source
from unslow.catalogue.page import Page, by_line, claim, cost_of, count_text, matters, seconds_text
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Claim, Edit, Finding, Site
from unslow.recording.data import GraphUse, Recording
from unslow.recording.samples import GraphRun, Samples
from unslow.source.bindings import COMPREHENSIONS, parameters
from unslow.source.inference import argument_for, own_nodes

if TYPE_CHECKING:
    from unslow.source.module import Module

LEAST_CALLS = 5
IMPORT = "tensorflow.import_graph_def"
TRAINING = ("minimize", "apply_gradients", "restore", "load")


KEPT = "one session, kept"
KEPT_NOTE = (
    "The session lives until the program ends. A graph with variables or random ops keeps "
    "their state from one run to the next."
)


class GraphPerCall(Page):
    """A graph is imported, or a session opened, once per image instead of once.

    ## What it is
    `tf.Graph()`, `tf.import_graph_def` or `tf.compat.v1.Session` stand in a loop, or in a
    function that is called for each image or request.

    ## Why it is slow
    The import makes all nodes of the network again, in Python and C++. The session then
    places and optimises the graph in its first run, and its constants are copied. For a
    MobileNet of 14 MB that is more than a second an image where the network itself takes
    20 ms. It stays that slow at every image, and memory comes and goes with it.

    ## When it does not matter
    One graph and session per model. A process that handles one image and ends; there, keep
    a process running.

    ## What to do
    Import once, keep the session, call `session.run` for each image; feed several images at
    once where the input has an open first dimension. In new code wrap the graph once with
    `tf.compat.v1.wrap_function` and `prune`.

    ## Safety of the fix
    The same results for frozen graphs. A graph with variables or random ops keeps their
    state between calls once the session lives on. Sessions may be shared by threads, their
    building may not.
    """

    code = "TF207"
    name = "graph-per-call"

    slow = """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def make_network():
    rng = np.random.default_rng(0)
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, (None, 32), name="image")
        for layer in range(60):
            x = tf.nn.relu(x @ rng.normal(0, 0.25, (32, 32)).astype(np.float32))
        tf.identity(x, name="label")
    return graph.as_graph_def()


network = make_network()
images = np.random.default_rng(1).random((40, 1, 32), dtype=np.float32)


def classify(image):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(network, name="")  # <- slow
    with tf1.Session(graph=graph) as session:
        return session.run("label:0", {"image:0": image}).argmax()


print("labels", [int(classify(image)) for image in images])
"""

    fast = """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def make_network():
    rng = np.random.default_rng(0)
    with tf.Graph().as_default() as graph:
        x = tf1.placeholder(tf.float32, (None, 32), name="image")
        for layer in range(60):
            x = tf.nn.relu(x @ rng.normal(0, 0.25, (32, 32)).astype(np.float32))
        tf.identity(x, name="label")
    return graph.as_graph_def()


network = make_network()
images = np.random.default_rng(1).random((40, 1, 32), dtype=np.float32)

with tf.Graph().as_default() as graph:
    tf.import_graph_def(network, name="")
session = tf1.Session(graph=graph)


def classify(image):
    return session.run("label:0", {"image:0": image}).argmax()


print("labels", [int(classify(image)) for image in images])
session.close()
"""

    fine = (
        """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1


def make_network(seed):
    rng = np.random.default_rng(seed)
    graph = tf.Graph()
    with graph.as_default():
        x = tf1.placeholder(tf.float32, (None, 256), name="image")
        for layer in range(20):
            x = tf.nn.relu(x @ rng.normal(0, 0.1, (256, 256)).astype(np.float32))
        tf.identity(x, name="label")
    return tf1.Session(graph=graph)


sessions = [make_network(seed) for seed in range(2)]
images = np.random.default_rng(1).random((100, 32, 256), dtype=np.float32)
total = 0.0
for image in images:
    total += sum(float(s.run("label:0", {"image:0": image}).mean()) for s in sessions)
print("total", round(total, 1))
""",
        """\
import numpy as np
import tensorflow as tf

tf1 = tf.compat.v1
rng = np.random.default_rng(0)
features = rng.random((32, 8), dtype=np.float32)
labels = features.sum(axis=1, keepdims=True)


def train(rate, steps):
    with tf.Graph().as_default(), tf1.Session() as session:
        weights = tf1.get_variable("weights", initializer=tf.zeros((8, 1)))
        loss = tf.reduce_mean((features @ weights - labels) ** 2)
        update = tf1.train.GradientDescentOptimizer(rate).minimize(loss)
        session.run(tf1.global_variables_initializer())
        for _ in range(steps):
            session.run(update)
        return session.run(loss)


class Server:
    _session = None

    def classify(self, image):
        if self._session is None:
            with tf.Graph().as_default() as graph:
                x = tf1.placeholder(tf.float32, (None, 8), name="image")
                tf.argmax(x, axis=1, name="label")
            self._session = tf1.Session(graph=graph)
        return self._session.run("label:0", {"image:0": image})


losses = [train(rate, 200) for rate in (0.01, 0.05, 0.1, 0.2)]
server = Server()
found = [server.classify(features[n : n + 1]) for n in range(32)]
print("losses", len(losses), "labels", len(found))
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Lines that imported a graph often; where none did, lines that opened sessions."""
        for action in ("import", "session"):
            found = list(self._found(recording, action))
            if found:
                yield from found
                return

    def _found(self, recording: Recording, action: str) -> Iterator[Finding]:
        made = [row for row in recording.graphs if row.action == action]
        for site, rows in by_line(made):
            calls = sum(row.calls for row in rows)
            if calls < LEAST_CALLS:
                continue
            used = [
                *rows,
                *(r for r in recording.graphs if r.action != action and _goes_with(r, site, calls)),
            ]
            cost = cost_of((each for row in used for each in _claims(row)), calls=calls)
            if not matters(recording, cost.seconds):
                continue
            sessions = sum(row.calls for row in used if row.action == "session")
            evidence = {
                "calls": calls,
                "seconds": cost.seconds,
                "graphs": sum(row.calls for row in used if row.action == "graph"),
                "sessions": sessions,
                "first_run_seconds": sum(row.first_seconds for row in used),
                "seconds_per_call": cost.seconds / calls,
            }
            what = "A graph was imported" if action == "import" else "A session was opened"
            message = (
                f"{what} {count_text(calls)} times, {seconds_text(cost.seconds / calls)} each "
                f"with the first runs of {count_text(sessions)} sessions; once would do."
            )
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """The captured runs with a graph and a session of their own, against kept ones."""
        try:
            uses = _sessions.uses_of(samples.at(GraphRun, finding.site))
        except _sessions.Unnamed as error:
            yield Untried(f"A session was asked for a {error}, which has no name in its graph.")
            return
        except _sessions.Acts as error:
            yield Untried(f"Its graph writes files or calls Python: {error}.")
            return
        uses = [use for use in uses if any(each.reads for each in use.runs)]
        if not uses:
            yield Untried("No run of its sessions could be captured.")
            return
        each = finding.evidence["seconds_per_call"]
        # One is enough for a session that is kept; a batch needs two.
        uses = list(_calls.few(uses, each, least=1 if each > _calls.RUN_SECONDS else 2))
        kept = _sessions.KeptSession(uses)
        ways = [Way(KEPT, kept.run, before=kept.before, note=KEPT_NOTE, prepares=True)]
        if len(uses) > 1 and _sessions.Batched.possible(uses):
            batched = _sessions.Batched(uses)
            note = f"{KEPT_NOTE} The last digits of floats can differ."
            ways.append(
                Way(
                    "one session, kept, and inputs in batches",
                    batched.run,
                    before=batched.before,
                    note=note,
                    prepares=True,
                )
            )
        yield Trial(
            Way("a graph and a session for each", lambda: [use.made_anew() for use in uses]),
            tuple(ways),
            f"{len(uses)} of its graphs, with what was fed to them",
        )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Graphs imported, or sessions opened, for each round or call and used for one run."""
        imports = [
            call for call in module.calls_to(IMPORT) if _is_made_again(module, call, _is_transient)
        ]
        sessions = [
            call
            for call in module.calls()
            if not imports
            and module.graph_mode
            and module.qualified(call.func)
            in ("tensorflow.Session", "tensorflow.InteractiveSession")
            and _is_made_again(module, call, _is_own_session)
        ]
        for call in [*imports, *sessions]:
            again = module.repetition(call)
            assert again is not None
            what = "imports a graph" if imports else "opens a session"
            message = (
                f"This {what} in {again.text}, for one run; the graph is built, placed and "
                "optimised anew each time, where once would do."
            )
            found = _shared(module, call) or (_network.kept(module, call) if imports else ())
            yield self.suspicion(module, call, message, {"where": again.text}, found)


def _place(module: Module, node: ast.AST) -> ast.AST | None:
    """The loop in each round of which a node runs, or the function in each call of which."""
    return next(iter(module.loops(node)), None) or module.function(node)


def _is_made_again(
    module: Module, call: ast.Call, is_transient: Callable[[Module, ast.Call, ast.AST], bool]
) -> bool:
    again, place = module.repetition(call), _place(module, call)
    if again is None or (again.times is not None and again.times < LEAST_CALLS):
        return False
    if place is None or isinstance(place, (ast.Lambda, *COMPREHENSIONS)) or module.guarded(call):
        return False
    return (
        _source.reached(module, call, place)
        and not any(
            isinstance(node, ast.Attribute) and node.attr in TRAINING for node in ast.walk(place)
        )
        and not _differs(module, call, place)
        and is_transient(module, call, place)
    )


def _is_transient(module: Module, call: ast.Call, place: ast.AST) -> bool:
    """Whether an imported graph is run once by a session that is opened beside it.

    A function may also return the graph to such a place.
    """
    if _has_session(module, place):
        return True
    if not isinstance(place, ast.FunctionDef):
        return False
    if not any(isinstance(node, ast.Return) and node.value for node in own_nodes(place)):
        return False
    callers = module.project.flow.callers(place, module)
    return bool(callers) and all(
        (outer := _place(caller.module, caller.call)) is not None
        and _source.reached(caller.module, caller.call, outer)
        and _has_session(caller.module, outer)
        for caller in callers or ()
    )


def _has_session(module: Module, place: ast.AST) -> bool:
    """Whether a loop or function opens a session of its own, runs it once and drops it."""
    sessions = [
        node
        for node in ast.walk(place)
        if isinstance(node, ast.Call) and module.qualified(node.func) == "tensorflow.Session"
    ]
    return len(sessions) == 1 and _is_dropped(module, sessions[0], place)


def _is_own_session(module: Module, call: ast.Call, place: ast.AST) -> bool:
    """Whether a session is opened for one run, with no graph imported beside it."""
    return not any(
        isinstance(node, ast.Call) and module.qualified(node.func) == IMPORT
        for node in ast.walk(place)
    ) and _is_dropped(module, call, place)


def _is_dropped(module: Module, call: ast.Call, place: ast.AST) -> bool:
    """Whether a session is only run and closed where it is opened, and in no loop of its own."""
    name = _session_name(module, call)
    loops = module.loops(call)
    if name is None or (loops and loops[0] is not place) or _place(module, call) is not place:
        return False
    home = module.home(name)
    function = module.function(call)
    if home is None or home is not (function or module.tree):
        return False
    runs = 0
    for use in module.uses_of(name.id, home):
        if use is name:
            continue
        parent = module.parent(use)
        if not module.inside(use, place) or not isinstance(parent, ast.Attribute):
            return False
        if parent.attr not in ("run", "close", "graph", "as_default"):
            return False
        if parent.attr == "run":
            if module.loops(use) != loops or module.function(use) is not function:
                return False
            runs += 1
    return runs > 0 and not _runs_elsewhere(module, place)


def _session_name(module: Module, call: ast.Call) -> ast.Name | None:
    """The name that stands for a session."""
    parent = module.parent(call)
    if isinstance(parent, ast.withitem):
        return parent.optional_vars if isinstance(parent.optional_vars, ast.Name) else None
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
        target = parent.targets[0]
        return target if isinstance(target, ast.Name) else None
    return None


def _runs_elsewhere(module: Module, place: ast.AST) -> bool:
    """Whether functions that are called here may use the session as the default one."""
    for node in ast.walk(place):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr == "eval":
                return True
            definition = module.value(node.func).definition
            if definition is not None and any(
                isinstance(each, ast.Attribute) and each.attr in ("run", "eval", "fit")
                for each in ast.walk(definition)
            ):
                return True
    return False


def _differs(module: Module, call: ast.Call, place: ast.AST) -> bool:
    """Whether what is imported, or the graph of a session, may be another one each time."""
    changing: set[str] = set()
    if isinstance(place, ast.FunctionDef):
        callers = module.project.flow.callers(place, module)
        if callers is None:
            return bool(parameters(place)) and bool(_needed(module, call, place) & _all(place))
        for each in parameters(place):
            for caller in callers:
                given = argument_for(each, place, caller.call, bound=caller.bound)
                again = caller.module.repetition(caller.call)
                if given is None or again is None:
                    continue
                local = caller.module.loops(caller.call)
                same = all(_is_bound_before(caller.module, given, loop) for loop in local)
                if not same or (not local and not isinstance(given, ast.Constant)):
                    changing.add(each.arg)
    else:
        for node in ast.walk(place):
            if isinstance(node, (ast.For, ast.AsyncFor)):
                changing |= {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
        if isinstance(place, ast.While):
            changing |= {
                node.target.id
                for node in ast.walk(place)
                if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
            }
    return bool(_needed(module, call, place) & changing)


def _is_bound_before(module: Module, expression: ast.expr, loop: ast.AST) -> bool:
    """Whether an expression only reads names that a loop does not bind."""
    parts = (ast.Name, ast.Attribute, ast.Constant, ast.expr_context)
    if not all(isinstance(node, parts) for node in ast.walk(expression)):
        return False
    return not any(
        module.inside(binding.node, loop)
        for name in _names(expression)
        if (home := module.home(name)) is not None
        for binding in module.scopes[home][name.id]
    )


def _all(function: ast.FunctionDef) -> set[str]:
    return {each.arg for each in parameters(function)}


def _needed(module: Module, call: ast.Call, place: ast.AST) -> set[str]:
    """The names in a loop or function from which the arguments of a call come."""
    needed = {n.id for each in _source.arguments(call) for n in _names(each)}
    nodes = list(own_nodes(place))
    while True:
        more: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Assign):
                bound = {n.id for target in node.targets for n in _names(target)}
                if bound & needed:
                    more |= {n.id for n in _names(node.value)}
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                if {n.id for n in _names(node.optional_vars)} & needed:
                    more |= {n.id for n in _names(node.context_expr)}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                # What a method is given may be kept in its object: `graph_def.ParseFromString(x)`.
                receiver = node.func.value
                kept = isinstance(receiver, ast.Name) and receiver.id in needed
                if kept and module.value(receiver).kind not in ("session", "external"):
                    more |= {n.id for each in node.args for n in _names(each)}
        if more <= needed:
            return needed
        needed |= more


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Name))


def _shared(module: Module, call: ast.Call) -> tuple[Alternative, ...]:
    """One session kept for all rounds or calls, where a place builds it first and then runs it."""
    place = _place(module, call)
    body = _source.body_of(place)
    session = next((each for each in body if _opens(module, each)), None)
    if place is None or not isinstance(session, ast.With) or len(session.items) != 1:
        return ()
    opened = session.items[0].context_expr
    position = next(i for i, each in enumerate(body) if each is session)
    before = body[:position]
    whole = [*before, session]
    if any(not module.editable(each) for each in whole) or not _stands_alone(
        module, before, opened, session, place
    ):
        return ()
    text = _source.lines_of(module, before[0], before[-1]) if before else ""
    if text is None:
        return ()
    made = module.text(opened)
    edits: tuple[Edit, ...] = ()
    start: ast.stmt = session
    if isinstance(place, ast.FunctionDef):
        if not isinstance(module.parent(place), ast.Module) or position + 1 != len(body):
            return ()
        name = module.free_name(f"{place.name}_session")
        functools, edits = module.imported("functools")
        lines = [*(text.split("\n") if text else []), f"return {made}"]
        made = "".join(f"    {line}\n" if line else "\n" for line in lines)
        made = f"@{functools}.lru_cache(maxsize=None)\ndef {name}():\n{made}\n\n"
        kept, start = f"{name}()", place
    else:
        assert isinstance(place, (ast.For, ast.While))
        name = module.free_name("shared_session")
        indent = module.indent(place)
        lines = [*(text.split("\n") if text else []), f"{name} = {made}"]
        made = "".join(f"{indent}{line}\n" if line else "\n" for line in lines)
        kept, start = name, place
    line = _source.first_line(start)
    edits += (
        module.edit((line, 1), (line, 1), made),
        module.replace(opened, f"{kept}.as_default()"),
    )
    if before:
        edits += (
            module.edit((_source.first_line(before[0]), 1), (_source.first_line(session), 1), ""),
        )
    return (Alternative(KEPT, "unsafe", edits, note=KEPT_NOTE),)


def _opens(module: Module, statement: ast.stmt) -> bool:
    return isinstance(statement, ast.With) and (
        isinstance(call := statement.items[0].context_expr, ast.Call)
        and module.qualified(call.func) == "tensorflow.Session"
    )


def _stands_alone(
    module: Module,
    before: list[ast.stmt],
    opened: ast.expr,
    session: ast.With,
    place: ast.AST,
) -> bool:
    """Whether building depends on nothing of the round or call, nor the rest on the building."""
    bound: set[str] = set()
    for name in [n for each in [*before, opened] for n in _names(each)]:
        home = module.home(name)
        if home is None:
            continue
        for binding in module.scopes[home][name.id]:
            if not module.inside(binding.node, place):
                continue
            if not any(module.inside(binding.node, each) for each in before):
                return False
            bound.add(name.id)
        if home is module.tree and len(module.scopes[home][name.id]) != 1:
            return False
    leaves = (ast.Return, ast.Continue, ast.Break, ast.Yield, ast.Await)
    if any(isinstance(node, leaves) for each in before for node in ast.walk(each)):
        return False
    rest = [node for node in _names(place) if not any(module.inside(node, b) for b in before)]
    if any(node.id in bound and not module.inside(node, opened) for node in rest):
        return False
    return not any(
        isinstance(node, ast.Call) and (module.qualified(node.func) or "").startswith("tensorflow.")
        for each in session.body
        for node in ast.walk(each)
    )


def _goes_with(row: GraphUse, site: Site, calls: int) -> bool:
    """Whether what `row` counts happened each time something was made at `site`."""
    count = row.first_runs if row.action == "run" else row.calls
    together = (row.site.path, row.site.cell, row.site.function) == (
        site.path,
        site.cell,
        site.function,
    )
    return count >= LEAST_CALLS and (together or abs(count - calls) <= 1)


def _claims(row: GraphUse) -> tuple[Claim, ...]:
    """The time of making graphs and sessions; of runs that of the first ones."""
    if row.action == "run":
        return (claim(row.site, "graph", row.first_seconds),)
    return (claim(row.site, "build", row.seconds),)
