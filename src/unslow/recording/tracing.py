"""Watches compiled functions: made where, traced why, called how often."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, cast

from unslow import seams
from unslow.finding import Site
from unslow.recording.arrays import size_of
from unslow.recording.bridges import Bridges
from unslow.recording.clock import Call, Clock, ThreadClock, hide_caller
from unslow.recording.data import FunctionCalls, FunctionsMade, Retrace, Tracing
from unslow.recording.samples import FEW, EagerCall, FirstCall, FunctionCall, TracedCall
from unslow.recording.sites import NOWHERE, Place, code_of
from unslow.recording.surroundings import Around
from unslow.recording.tables import SECOND, Table

EAGER_CALL = "compiled function run op by op"
"""The context of a compiled function's call while compiled functions are switched off."""

MOST_VALUES = 5
"""Values of an argument that are kept as examples."""

LONGEST_VALUE = 60
"""Characters of such a value."""

MOST_TRACED = 8
"""Calls of one place that set off a trace, kept with their arguments."""


class TraceRow:
    """The traces of one Python function set off at one place."""

    __slots__ = ("functions", "nodes", "ns", "reasons", "start_ns", "traces")

    def __init__(self) -> None:
        self.traces = self.functions = self.ns = self.start_ns = self.nodes = 0
        self.reasons: dict[tuple[str, str], tuple[int, tuple[str, ...]]] = {}

    def blame(self, argument: str, reason: str, value: str) -> None:
        """Count one retrace caused by `argument`, keeping a few of its values."""
        count, values = self.reasons.get((argument, reason), (0, ()))
        if len(values) < MOST_VALUES and value not in values:
            values = (*values, value)
        self.reasons[argument, reason] = (count + 1, values)


class CountRow:
    """Calls and nanoseconds at one place."""

    __slots__ = ("calls", "eager", "first_ns", "ns", "start_ns")

    def __init__(self) -> None:
        self.calls = self.ns = self.first_ns = self.start_ns = self.eager = 0

    def eager_calls(self) -> int:
        return self.eager


class Functions:
    """Traces with their reasons, `tf.function` objects made, and their calls, per line."""

    def __init__(self, clock: Clock, bridges: Bridges) -> None:
        self._clock = clock
        self._bridges = bridges
        self._traces: Table[TraceRow] = Table(TraceRow)
        self._made: Table[CountRow] = Table(CountRow)
        self._calls: Table[CountRow] = Table(CountRow)
        self._names: dict[int, str] = {}
        self._nodes: dict[int, int] = {}
        self._made_at: dict[int, Place] = {}
        self._around: dict[int, Around] = {}
        self.loops: dict[str, Site] = {}

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        clock = self._clock
        patches.replace(seams.TRACE, self._watch_trace)
        patches.replace(
            seams.FUNCTION_MADE, lambda original: clock.watch(original, "build", self._note_made)
        )
        patches.replace(seams.FUNCTION_CALL, self._watch_call)

    def _function_key(self, function: Any) -> int:
        code = code_of(function)
        if code is None:
            return 0
        identity, _ = self._clock.sites.keep(code, -1)
        self._names[identity] = code.co_name
        return identity

    def _watch_trace(self, original: Any) -> Any:
        return self._clock.watch(original, "build", self._note_trace, self._trace_begins)

    def _trace_begins(self, thread: ThreadClock, args: tuple[Any, ...]) -> bool:
        thread.tracing += 1
        return True

    def _note_trace(self, call: Call) -> None:
        call.thread.tracing -= 1
        call.thread.traces += 1
        function_type, options = call.args[0], call.args[3]
        function = self._function_key(options.python_function)
        row = self._traces.row(call.thread.main, *call.place, function)
        row.traces += 1
        row.ns += call.own
        row.start_ns = row.start_ns or call.own
        if call.result is not None:
            nodes = seams.node_count(call.result.graph)
            row.nodes = max(row.nodes, nodes)
            self._nodes[function] = max(self._nodes.get(function, 0), nodes)
            self._find_loops(call.result.graph)
        before = seams.latest_signature(options.function_cache)
        if before is not None:
            for name, parameter in function_type.parameters.items():
                kind = parameter.type_constraint
                if name in before and before[name] != kind:
                    row.blame(*difference(name, before[name], kind), text_of(kind))
        elif options.scope_type.name != "NO_VARIABLE_CREATION":
            # That scope is for the later traces of a function which has made its variables.
            row.functions += 1

    def _find_loops(self, graph: Any) -> None:
        for operation in graph.get_operations():
            if operation.type in ("While", "StatelessWhile"):
                site = self._clock.sites.innermost(seams.creation_stack(operation))
                if site is not None:
                    self.loops[operation.name] = site

    def _note_made(self, call: Call) -> None:
        function = call.args[1] if len(call.args) > 1 else call.kwargs.get("python_function")
        key = self._function_key(function)
        row = self._made.row(*call.place, key)
        row.calls += 1
        row.ns += call.own
        if row.calls > 1:
            self._made_at[key] = call.place

    def _watch_call(self, original: Any) -> Any:
        clock = self._clock
        compiled = clock.watch(original, "graph", self._note_call, self._call_begins)
        eager = clock.within(original, EAGER_CALL, self._note_eager_call)
        run_eagerly = seams.functions_run_eagerly

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return (eager if run_eagerly() else compiled)(*args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise

        return clock.disguise(call)

    def _call_begins(self, thread: ThreadClock, args: tuple[Any, ...]) -> bool:
        if thread.tracing:
            return False
        thread.traces_before.append(thread.traces)
        thread.busy_before.append(self._bridges.busy(pipeline=False) if thread.main else [])
        return True

    def _note_call(self, call: Call) -> None:
        key = self._function_key(call.args[0].python_function)
        row = self._calls.row(call.thread.main, *call.place, key)
        row.calls += 1
        # Its execution is a watched call of its call.own, in the same part.
        spent = call.own + call.thread.executed
        call.thread.executed = 0
        row.ns += spent
        traced = call.thread.traces != call.thread.traces_before.pop()
        if traced:
            row.first_ns += spent
            row.start_ns = row.start_ns or spent
        before = call.thread.busy_before.pop()
        if before and not call.thread.busy_before:
            self._bridges.waited(before, call.place, "graph", spent)
        if traced or row.calls > 1:
            self._keep(call, key, row, traced)

    def _keep(self, call: Call, key: int, row: CountRow, traced: bool) -> None:
        """Keep a call of the user's functions, where such a one is wanted."""
        samples = self._clock.samples
        wants, place = samples.wants, call.place
        around = self._look_around(call, key) if traced else None
        made_at = self._made_at.get(key, NOWHERE) if traced else NOWHERE
        plain = row.calls > 1 and wants(FunctionCall, place, FEW)
        retraced = traced and row.calls > 1 and wants(TracedCall, place, MOST_TRACED)
        first = made_at != NOWHERE and wants(FirstCall, made_at, FEW)
        if not (plain or retraced or first) or not call.thread.main or self._is_foreign(key):
            return
        function, arguments = call.args[0], call.args[1:]
        owner = seams.bound_owner(function)
        size = size_of((arguments, call.kwargs))
        if plain:
            samples.keep(place, FunctionCall(function, arguments, call.kwargs, owner), size)
        if retraced:
            samples.keep(place, TracedCall(function, arguments, call.kwargs, owner, around), size)
        if first and function.experimental_get_tracing_count() == 1:
            samples.keep(made_at, FirstCall(function, arguments, call.kwargs, owner, around), size)

    def _look_around(self, call: Call, key: int) -> Around | None:
        """Tell what watches over the names around a function that it has been called again."""
        if not self._clock.samples.wanted or not call.thread.main or self._is_foreign(key):
            return None
        around = self._around.get(key)
        if around is None:
            around = self._around[key] = Around(self._clock)
        if around.due():
            around.look(call.args[0].python_function, seams.bound_owner(call.args[0]))
        return around

    def _is_foreign(self, function: int) -> bool:
        code = self._clock.sites.codes.get(function)
        return code is None or self._clock.sites.foreign[code.co_filename]

    def _note_eager_call(self, call: Call) -> None:
        key = self._function_key(call.args[0].python_function)
        row = self._calls.row(call.thread.main, *call.place, key)
        row.calls += 1
        row.eager += 1
        samples = self._clock.samples
        around = self._look_around(call, key)
        if row.eager > 1 and samples.wants(EagerCall, call.place) and call.thread.main:
            function, arguments = call.args[0], call.args[1:]
            owner = seams.bound_owner(function)
            sample = EagerCall(function, arguments, call.kwargs, owner, around, row.eager_calls)
            samples.keep(call.place, sample, size_of((arguments, call.kwargs)))

    def tracings(self) -> list[Tracing]:
        """Traces so far, by the line that set them off and the function traced."""
        found = []
        for (main, code, instruction, function), row in self._traces.items():
            site = self._site(code, instruction)
            if site is None:
                continue
            name, definition = self._describe(function)
            found.append(
                Tracing(
                    site=site,
                    function=name,
                    definition=definition,
                    traces=row.traces,
                    functions=row.functions,
                    seconds=row.ns / SECOND,
                    nodes=row.nodes,
                    retraces=tuple(
                        Retrace(argument, reason, count, values)
                        for (argument, reason), (count, values) in list(row.reasons.items())
                    ),
                    main=bool(main),
                    start_seconds=row.start_ns / SECOND,
                )
            )
        return found

    def made(self) -> list[FunctionsMade]:
        """`tf.function` objects made so far."""
        found = []
        for (code, instruction, function), row in self._made.items():
            site = self._site(code, instruction)
            if site is not None:
                name, definition = self._describe(function)
                found.append(FunctionsMade(site, name, definition, row.calls, row.ns / SECOND))
        return found

    def calls(self) -> list[FunctionCalls]:
        """Calls of compiled functions so far."""
        found = []
        for (main, code, instruction, function), row in self._calls.items():
            site = self._site(code, instruction)
            if site is not None:
                name, definition = self._describe(function)
                found.append(
                    FunctionCalls(
                        site=site,
                        function=name,
                        definition=definition,
                        calls=row.calls,
                        seconds=row.ns / SECOND,
                        first_seconds=row.first_ns / SECOND,
                        nodes=self._nodes.get(cast(int, function), 0),
                        eager=row.eager,
                        main=bool(main),
                        start_seconds=row.start_ns / SECOND,
                    )
                )
        return found

    def _site(self, code: Any, instruction: Any) -> Site | None:
        return self._clock.sites.site((code, instruction))

    def _describe(self, function: Any) -> tuple[str, Site | None]:
        if not function:
            return "<unknown>", None
        code = self._clock.sites.codes[function]
        if self._clock.sites.foreign[code.co_filename]:
            return code.co_name, None
        return code.co_name, self._clock.sites.site((function, -1))


def difference(name: str, before: Any, after: Any) -> tuple[str, str]:
    """Which part of an argument changed between two traces, and what about it.

    `before` and `after` are TensorFlow's trace types of the argument.
    """
    for attribute in ("components", "components_tuple.components", "mapping"):
        try:
            olds, news = attrgetter(attribute)(before), attrgetter(attribute)(after)
        except AttributeError:
            continue
        if len(olds) != len(news):
            continue
        if isinstance(olds, Mapping):
            pairs = [(key, olds[key], news[key]) for key in olds if key in news]
        else:
            pairs = [(index, *pair) for index, pair in enumerate(zip(olds, news, strict=True))]
        for key, old, new in pairs:
            if old != new:
                return difference(f"{name}[{key!r}]", old, new)
    kind = type(after).__name__
    if type(before) is not type(after):
        return name, "structure"
    if kind == "Literal":
        return name, "python value"
    if kind in ("Reference", "Weakref"):
        return name, "object"
    if getattr(before, "dtype", None) != getattr(after, "dtype", None):
        return name, "dtype"
    if getattr(before, "shape", None) != getattr(after, "shape", None):
        return name, "shape"
    return name, "structure"


def text_of(kind: Any) -> str:
    """A trace type as a user would write it: a value, a shape, a type."""
    if hasattr(kind, "value") and type(kind).__name__ == "Literal":
        text = repr(kind.value)
    elif getattr(kind, "shape", None) is not None:
        text = str(kind.shape)
    else:
        text = str(kind)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
