"""Captured runs of TensorFlow 1 sessions, done again on a graph made from its definition."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from unslow.recording.samples import GraphRun, GrownRun

VARIABLES = frozenset({"VarHandleOp", "Variable", "VariableV2"})


_OWN_STATE = re.compile(
    r"Assert|Print|Case|If|While|CheckNumerics.*|DeepCopy|Empty|GuaranteeConst|Placeholder.*"
    r"|.*Variable.*|_?VarHandles?Op|VarIsInitializedOp|Assign.*|CountUpTo|TensorArray.*|Stack.*"
    r"|Resource(Apply|CountUpTo|Gather|Scatter|SparseApply|StridedSliceAssign).*"
    r"|.*HashTable.*|LookupTable.*|InitializeTable.*|Restore.*|CudnnRNN.*|StatefulPartitionedCall"
    r"|Random(?!ShuffleQueue).*|.*TruncatedNormal|Multinomial|NonDeterministicInts|Rng.*"
    r"|Stateful(Random|Standard|Uniform).*|Anonymous(Random)?SeedGenerator|DummySeedGenerator"
    r"|.*CandidateSampler|SampleDistortedBoundingBox.*|Skipgram|Timestamp"
    r"|.*Iterator.*|(Range|Shuffle|ShuffleAndRepeat|Tensor|TensorSlice|SparseTensorSlice"
    r"|FixedLengthRecord|TextLine|TFRecord)Dataset(V\d)?"
)
"""Stateful ops that change nothing outside their session, read files, or print."""

_ACTING = re.compile(
    r".*PyFunc.*|WriteFile|Save.*|MergeV2Checkpoints|Write.*Summary|.*SummaryWriter|ImportEvent"
    r"|.*Queue.*|.*Reader(V2)?|Barrier.*|(Cache|DataService|Generator|Snapshot).*Dataset.*"
    r"|.*DatasetToTFRecord|Dump.*|PrintV2|R(emoteCall|pc.*)"
)
"""Ops that act outside a session, stateful or not."""


class Unnamed(Exception):
    """A run fetched or fed something that has no name in its graph."""


class Acts(Exception):
    """A run needs an op that writes files or calls Python. The message is its name."""


@dataclass(frozen=True)
class Run:
    """What a run fetched and was fed, by names. `tensors`: the fetches that are tensors."""

    fetches: Any
    feed: Mapping[str, Any]
    tensors: tuple[str, ...]

    def renamed(self, nodes: Collection[str], prefix: str) -> Run:
        """The same run with `prefix` before the names of these nodes."""
        feed = {_renamed(name, nodes, prefix): value for name, value in self.feed.items()}
        return replace(self, fetches=_renamed(self.fetches, nodes, prefix), feed=feed)

    @property
    def reads(self) -> bool:
        """Whether it fetched something: one that does not starts variables, or the like."""
        return bool(self.tensors)


@dataclass(frozen=True)
class Use:
    """One graph, imported for a few runs of one session."""

    definition: Any
    runs: tuple[Run, ...]

    def session(self) -> Any:
        """A session of a new graph with this definition."""
        import tensorflow as tf

        with tf.Graph().as_default() as graph:
            tf.import_graph_def(self.definition, name="")
        return tf.compat.v1.Session(graph=graph)

    def made_anew(self) -> list[Any]:
        """What the runs return, with a graph and a session for these alone."""
        with self.session() as session:
            returned = [run(session, each) for each in self.runs]
        return [one for each, one in zip(self.runs, returned, strict=True) if each.reads]

    @property
    def fed(self) -> Run | None:
        """The only run that was fed something, `None` if it is not the only one."""
        found = [each for each in self.runs if each.feed]
        return found[0] if len(found) == 1 else None


def run(session: Any, each: Run) -> Any:
    """What a run returns."""
    return session.run(each.fetches, each.feed)


def uses_of(samples: Sequence[GraphRun]) -> list[Use]:
    """The captured runs by the session they were made in; those that cannot be done again left out.

    Raises:
        Unnamed: something that was fetched or fed has no name.
        Acts: a run would write files or call Python.
    """
    groups: dict[int, list[GraphRun]] = {}
    for sample in samples:
        groups.setdefault(sample.session, []).append(sample)
    found = []
    for group in groups.values():
        runs = tuple(named(each) for each in group)
        found.append(Use(group[0].graph.as_graph_def(), runs))
    return found


def named(sample: GraphRun | GrownRun) -> Run:
    """A run by the names of what it fetched and was fed.

    Raises:
        Unnamed: something has none.
        Acts: it would write files or call Python.
    """
    tensors: list[str] = []
    fetches = _names(sample.graph, sample.fetches, tensors)
    acting = next(_acting(sample.graph, fetches), None)
    if acting is not None:
        raise Acts(acting)
    feed = {_name(sample.graph, key): value for key, value in sample.feed.items()}
    return Run(fetches, feed, tuple(tensors))


def _names(graph: Any, fetches: Any, tensors: list[str]) -> Any:
    if isinstance(fetches, dict):
        return {key: _names(graph, each, tensors) for key, each in fetches.items()}
    if isinstance(fetches, (list, tuple)):
        return [_names(graph, each, tensors) for each in fetches]
    name = _name(graph, fetches)
    if ":" in name:
        tensors.append(name)
    return name


def _name(graph: Any, element: Any) -> str:
    try:
        return str(graph.as_graph_element(element).name)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Unnamed(type(element).__name__) from error


def _acting(graph: Any, fetches: Any) -> Iterator[str]:
    """The ops that act outside the session, of those that a run needs."""
    waiting = [graph.get_operation_by_name(_node(name)) for name in _flat(fetches)]
    seen = set(waiting)
    while waiting:
        op = waiting.pop()
        stateful = op.op_def is not None and op.op_def.is_stateful
        if _ACTING.fullmatch(op.type) or (stateful and not _OWN_STATE.fullmatch(op.type)):
            yield op.name if op.name == op.type else f"{op.name} ({op.type})"
        for each in (*(tensor.op for tensor in op.inputs), *op.control_inputs):
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    for function in graph.as_graph_def().library.function:
        for node in function.node_def:
            if _ACTING.fullmatch(node.op):
                yield f"{node.op} in {function.signature.name}"


def _flat(fetches: Any) -> Iterator[str]:
    if isinstance(fetches, dict):
        fetches = list(fetches.values())
    if isinstance(fetches, list):
        for each in fetches:
            yield from _flat(each)
    else:
        yield fetches


class KeptSession:
    """Runs in a session that is made in the first run, or before it where graphs differ."""

    def __init__(self, uses: Sequence[Use]) -> None:
        self._uses = uses
        self._sessions: dict[int, Any] = {}

    def before(self) -> None:
        """Make the sessions of all graphs that are not like the first one's, once."""
        for number, use in enumerate(self._uses):
            if number not in self._sessions and use.definition != self._uses[0].definition:
                self._sessions[number] = _started(use)

    def session(self, number: int) -> Any:
        """The session for the use of this number."""
        if 0 not in self._sessions:
            self._sessions[0] = _started(self._uses[0])
        return self._sessions.get(number, self._sessions[0])

    def run(self) -> list[list[Any]]:
        """What the runs of each use return; what only starts variables is done once."""
        return [
            [run(self.session(number), each) for each in use.runs if each.reads]
            for number, use in enumerate(self._uses)
        ]


def _started(use: Use) -> Any:
    session = use.session()
    for each in use.runs:
        run(session, each)
    return session


class Batched:
    """Runs in kept sessions; those that are fed something as one run, fed all of it."""

    def __init__(self, uses: Sequence[Use]) -> None:
        self._kept = KeptSession(uses)
        self._uses = uses
        self._fed = [use.fed for use in uses if use.fed is not None]
        self.before = self._kept.before

    @staticmethod
    def possible(uses: Sequence[Use]) -> bool:
        """Whether each use has one fed run, the same, with a row of results for each row."""
        runs = [use.fed for use in uses if use.fed is not None]
        first = runs[0] if len(runs) == len(uses) else None
        if first is None or not first.tensors or not isinstance(first.fetches, (str, list)):
            return False
        arrays = [value for each in runs for value in each.feed.values()]
        if any(not getattr(value, "ndim", 0) for value in arrays):
            return False
        if any(each.fetches != first.fetches or set(each.feed) != set(first.feed) for each in runs):
            return False
        parts = [_part(use.definition, first.tensors) for use in uses]
        return all(part == parts[0] for part in parts) and _has_rows(parts[0], first)

    def run(self) -> list[list[Any]]:
        """What the runs of each use return, the rows of the one run apart again."""
        import numpy as np

        first = self._fed[0]
        feed = {
            name: np.concatenate([each.feed[name] for each in self._fed]) for name in first.feed
        }
        returned = self._kept.session(0).run(first.fetches, feed)
        single = not isinstance(returned, list)
        ends = np.cumsum([len(next(iter(each.feed.values()))) for each in self._fed])[:-1]
        parts = [np.split(each, ends) for each in ([returned] if single else returned)]
        rows = [part[0] if single else list(part) for part in zip(*parts, strict=True)]
        return [
            [
                rows[number] if each.feed else run(self._kept.session(number), each)
                for each in use.runs
                if each.reads
            ]
            for number, use in enumerate(self._uses)
        ]


def _part(definition: Any, tensors: Sequence[str]) -> Any:
    """The part of a graph that these tensors need."""
    nodes = {node.name: node for node in definition.node}
    needed: set[str] = set()
    waiting = [_node(name) for name in tensors]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [_node(each) for each in nodes[name].input]
    part = type(definition)(versions=definition.versions, library=definition.library)
    part.node.extend(node for node in definition.node if node.name in needed)
    return part


def _has_rows(definition: Any, wanted: Run) -> bool:
    """Whether the first dimension of all that is fed and fetched is open."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    shapes = [graph.get_tensor_by_name(name).shape for name in (*wanted.feed, *wanted.tensors)]
    return all(shape.rank and shape[0] is None for shape in shapes)


class Grown:
    """A session whose graph is as it was at a captured run, before which it had grown.

    Raises:
        Unnamed: something that was fetched or fed has no name.
        Acts: the run would write files or call Python.
        ValueError: the graph is too large to be taken apart.
    """

    def __init__(self, sample: GrownRun) -> None:
        self._run = named(sample)
        whole = sample.graph.as_graph_def()
        nodes = list(whole.node)
        self._definition = type(whole)(versions=whole.versions, library=whole.library)
        self._definition.node.extend(nodes[: sample.nodes])
        self._added = type(whole)(versions=whole.versions, library=whole.library)
        self._added.node.extend(nodes[sample.before : sample.nodes])
        self._session: Any = None
        self._next = self._run

    @property
    def has_variables(self) -> bool:
        """Whether runs depend on values that the graph itself does not hold."""
        return any(node.op in VARIABLES for node in self._definition.node)

    def settle(self) -> None:
        """Make the session anew, and have the run done once in it."""
        import tensorflow as tf

        with tf.Graph().as_default() as graph:
            tf.import_graph_def(self._definition, name="")
        self._session = tf.compat.v1.Session(graph=graph)
        run(self._session, self._run)

    def grow(self) -> None:
        """As `settle`; then add the ops again that were added before the captured run."""
        import tensorflow as tf

        self.settle()
        own = {node.name for node in self._added.node}
        needed = {_node(name) for node in self._added.node for name in node.input} - own
        graph = self._session.graph
        with graph.as_default():
            inputs = {
                name: graph.as_graph_element(name.lstrip("^"))
                for node in self._added.node
                for name in node.input
                if _node(name) in needed
            }
            tf.import_graph_def(self._added, input_map=inputs, name="again")
        self._next = self._run.renamed(own, "again/")

    def run_after_growth(self) -> Any:
        """The run of the added ops, which the session has not prepared yet."""
        return run(self._session, self._next)

    def run_again(self) -> Any:
        """The run that the session has prepared before."""
        return run(self._session, self._run)


def _node(name: str) -> str:
    return name.lstrip("^").partition(":")[0]


def _renamed(fetches: Any, nodes: Collection[str], prefix: str) -> Any:
    if isinstance(fetches, dict):
        return {key: _renamed(each, nodes, prefix) for key, each in fetches.items()}
    if isinstance(fetches, list):
        return [_renamed(each, nodes, prefix) for each in fetches]
    return prefix + fetches if _node(fetches) in nodes else fetches
