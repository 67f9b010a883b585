"""`for` and `while`: run here where the course is known, else in the graph."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable
from typing import Any

from unslow.native import ops
from unslow.native.interpreter.expressions import evaluate
from unslow.native.interpreter.flow import BREAK, CONTINUE, NORMAL, RETURN, Flow
from unslow.native.interpreter.frames import Frame
from unslow.native.interpreter.objects import iterated
from unslow.native.interpreter.source import leaves
from unslow.native.tracing.array import Array, is_traced
from unslow.native.tracing.control import ChangingTest, branch, loop, truth
from unslow.native.tracing.merging import MISSING
from unslow.native.tracing.sequences import Fetched, Sequence, sequence_of
from unslow.native.tracing.state import Variables, session
from unslow.native.untranslatable import Untranslatable

UNROLLED = 16
"""Up to so many rounds are written one after the other."""

NESTED = 4
"""Of rounds that have loops of the graph in them: these make large graphs, slow to compile."""

MOST = 1024
"""More rounds than these are not written one after the other if they make ops."""

Execute = Callable[[list[Any], Frame], Flow]
ESCAPES = (ast.Return, ast.Break, ast.Continue)


def run_for(node: ast.For, frame: Frame, execute: Execute, assign_to: Callable[..., None]) -> Flow:
    """A `for` statement."""
    iterable = iterated(evaluate(node.iter, frame))
    sequence = sequence_of(iterable)
    if sequence is None:
        sequence = Fetched(iterable)
    escapes = leaves(node.body, (ast.Return, ast.Break))

    def one(index: Any) -> Flow:
        assign_to(node.target, sequence.get(index), frame)
        flow = execute(node.body, frame)
        # A `continue` leads to the next round, on whatever course.
        return flow if escapes else NORMAL

    if isinstance(sequence.length, Array):
        flow = _in_graph(0, sequence.length, one, escapes)
    else:
        flow = _counted(sequence, one, escapes)
    return _after(flow, node, frame, execute)


def _counted(sequence: Sequence, one: Callable[[Any], Flow], escapes: bool) -> Flow:
    """A loop whose rounds can be counted; a list may grow on the way."""
    tried = False
    index = -1
    while (index := index + 1) < (length := int(sequence.length)):
        left = length - index
        made, loops = ops.count(), ops.loops()
        if (
            escapes
            and sequence.uniform
            and left > UNROLLED
            and not tried
            and _may_leave(one, index)
        ):
            return _in_graph(index, length, one, escapes)
        flow = one(index)
        if is_traced(flow.kind):
            if isinstance(sequence, Fetched):
                sequence.fetch_all(MOST)
            return _unrolled(flow, index + 1, int(sequence.length), one)
        if flow.kind in (BREAK, RETURN):
            return flow
        few = left - 1 <= (UNROLLED if ops.loops() == loops else NESTED)
        if ops.count() == made or few or tried or not sequence.uniform:
            if ops.count() != made and max(left, index) > MOST:
                raise Untranslatable(f"a loop of {length} rounds that the graph cannot run")
            continue
        tried = True
        # This round has fixed what kinds of values the variables have.
        try:
            return _in_graph(index + 1, length, one, escapes)
        except Untranslatable:
            if left > MOST:
                raise
    return NORMAL


def _may_leave(one: Callable[[Any], Flow], index: int) -> bool:
    """Whether a round would end the loop, or not, on the course of the graph."""
    from unslow.native.tracing.control import tried
    from unslow.native.tracing.state import isolated

    flow: Flow = tried(lambda: isolated(lambda: one(index))[0])
    return is_traced(flow.kind)


def _unrolled(flow: Flow, index: int, length: int, one: Callable[[Any], Flow]) -> Flow:
    """The rest of a loop of which a round may have been the last."""
    while index < length:
        if is_traced(flow.kind):
            goes_on = (flow.kind == NORMAL.kind) | (flow.kind == CONTINUE)
            rounds = functools.partial(one, index), functools.partial(_itself, flow)
            flow = branch(truth(goes_on), *rounds)
        elif flow.kind in (BREAK, RETURN):
            break
        else:
            flow = one(index)
        index += 1
    return flow


def _itself(flow: Flow) -> Flow:
    return flow


def _in_graph(start: Any, length: Any, one: Callable[[Any], Flow], escapes: bool) -> Flow:
    """Rounds from `start` on, in a loop of the graph."""
    counter = _counter(index=start)

    def test() -> Any:
        below = counter.values["index"] < length
        return _and_goes_on(below, counter, escapes)

    def body() -> None:
        index = counter.values["index"]
        counter.assign("index", index + 1)
        _note_flow(counter, one(index))

    return _loop(counter, test, body)


def run_while(node: ast.While, frame: Frame, execute: Execute) -> Flow:
    """A `while` statement."""
    escapes = leaves(node.body, (ast.Return, ast.Break))
    rounds = 0
    while True:
        test = truth(evaluate(node.test, frame))
        if is_traced(test) or (test and escapes and _leaves_now(node, frame, execute)):
            flow = _while_in_graph(node, frame, execute, test)
            return _after(flow, node, frame, execute)
        if not test:
            return _after(NORMAL, node, frame, execute)
        made = ops.count()
        flow = execute(node.body, frame)
        if is_traced(flow.kind) and not escapes:
            flow = NORMAL
        if is_traced(flow.kind):
            raise Untranslatable("the course of a loop is known only when the graph runs")
        if flow.kind in (BREAK, RETURN):
            return _after(flow, node, frame, execute)
        rounds += ops.count() != made
        if rounds > MOST:
            raise Untranslatable(f"a loop of more than {MOST} rounds")


def _leaves_now(node: ast.While, frame: Frame, execute: Execute) -> bool:
    return _may_leave(lambda index: execute(node.body, frame), 0)


def _while_in_graph(node: ast.While, frame: Frame, execute: Execute, first: Any) -> Flow:
    """The rounds of a `while`, whose test has come out as `first`."""
    counter = _counter()
    escapes = leaves(node.body, (ast.Return, ast.Break))

    def asked() -> Any:
        if not escapes:
            return truth(evaluate(node.test, frame))
        goes_on = truth(counter.values["kind"] == NORMAL.kind)
        return branch(goes_on, lambda: truth(evaluate(node.test, frame)), lambda: False)

    def body() -> None:
        _note_flow(counter, execute(node.body, frame))

    try:
        return _loop(counter, asked, body)
    except ChangingTest:
        # What it changes is there once in each round: it is asked at the end of the one before.
        counter.assign("goes_on", first)

    def body_and_test() -> None:
        body()
        counter.assign("goes_on", asked())

    return _loop(counter, lambda: counter.values["goes_on"], body_and_test)


def _counter(**values: Any) -> Variables:
    counter = Variables()
    for name, value in {"kind": 0, "value": MISSING, **values}.items():
        counter.assign(name, value)
    return counter


def _and_goes_on(test: Any, counter: Variables, escapes: bool) -> Any:
    if not escapes:
        return test
    goes_on = truth(counter.values["kind"] == NORMAL.kind)
    return branch(truth(test), lambda: goes_on, lambda: False)


def _note_flow(counter: Variables, flow: Flow) -> None:
    if not is_traced(flow.kind):
        if flow.kind in (BREAK, RETURN):
            counter.assign("kind", flow.kind)
            counter.assign("value", flow.value)
        return
    is_on = truth(flow.kind == CONTINUE)
    counter.assign("kind", branch(is_on, lambda: 0, lambda: flow.kind))
    counter.assign("value", flow.value)


def _loop(counter: Variables, test: Callable[[], Any], body: Callable[[], None]) -> Flow:
    stack = session().stack
    stack.append(counter)
    try:
        loop(test, body)
    finally:
        stack.remove(counter)
    return Flow(counter.values["kind"], counter.values["value"])


def _after(flow: Flow, node: Any, frame: Frame, execute: Execute) -> Flow:
    """The flow behind a loop: a `break` ends there."""
    if not is_traced(flow.kind):
        if flow.kind == RETURN:
            return flow
        if flow.kind == BREAK:
            return NORMAL
        return execute(node.orelse, frame) if node.orelse else NORMAL
    if node.orelse:
        kept = flow
        flow = branch(
            truth((flow.kind == BREAK) | (flow.kind == RETURN)),
            lambda: kept,
            lambda: execute(node.orelse, frame),
        )
    if not leaves(node.body, (ast.Return,)) and not leaves(node.orelse, ESCAPES):
        return NORMAL
    returned = truth(flow.kind == RETURN) if is_traced(flow.kind) else flow.kind == RETURN
    kind = branch(returned, lambda: RETURN, lambda: 0)
    return Flow(kind, flow.value)
