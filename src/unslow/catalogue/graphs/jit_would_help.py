"""TF212: a hot compiled function that XLA would make faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from unslow import seams
from unslow.catalogue.graphs import _calls
from unslow.catalogue.page import (
    Page,
    by_line,
    claim,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Finding
from unslow.recording.data import FunctionCalls, Recording
from unslow.recording.samples import FunctionCall

if TYPE_CHECKING:
    from unslow.recording.samples import Samples

LEAST_SHARE = 0.2
"""The part of the time after the imports that a function takes at least to be worth trying."""

JIT = "jit_compile=True"
JIT_NOTE = (
    "XLA compiles it for each shape of its arguments, which takes tenths of a second for a "
    "small function and minutes for a large model; the last digits can differ."
)


class JitWouldHelp(Page):
    """A compiled function that takes much of the time runs faster with XLA.

    ## What it is
    A `tf.function` without `jit_compile=True`, in which XLA was measured to be faster, on
    arguments that the program gave it.

    ## Why it is slow
    TensorFlow runs a graph op by op: each op reads its operands from memory and writes its
    result back. Where many elementwise ops follow each other on large tensors, memory is what
    the time goes to. XLA makes one loop of them, which reads the inputs and writes the
    outputs once: 2x to 7x faster for sums and products on the processor.

    ## When it does not matter
    Whether XLA helps cannot be told from the source. Matrix products and convolutions are
    fast already, and XLA on the processor is often slower with them, as it is with
    `sin`. It cannot compile strings, reading of files, or Python called from the graph, and
    compiles again for each new shape. The gain must be more than compiling takes.

    ## What to do
    `@tf.function(jit_compile=True)`, for the function where the time goes and with shapes
    that stay the same. For Keras models, `model.compile(jit_compile=True)`.

    ## Safety of the fix
    Sums are taken in another order and some functions computed by other formulas: the last
    digits differ. Random ops draw other numbers, and assertions are left out.
    """

    code = "TF212"
    name = "jit-would-help"
    only_if_proven = True

    slow = """\
import tensorflow as tf

prey = tf.random.stateless_uniform((1_000_000,), seed=(1, 2)) + 0.5
hunters = tf.random.stateless_uniform((1_000_000,), seed=(3, 4)) + 0.5


@tf.function
def year(prey, hunters):
    for _ in range(12):
        born = prey * (1.0 - 0.1 * prey - 0.4 * hunters)
        fed = hunters * (0.3 * prey - 0.2)
        prey, hunters = prey + 0.04 * born, hunters + 0.04 * fed
    return prey, hunters


for _ in range(100):
    prey, hunters = year(prey, hunters)  # <- slow
print(f"prey {float(tf.reduce_mean(prey)):.3f}, hunters {float(tf.reduce_mean(hunters)):.3f}")
"""

    fast = slow.replace("@tf.function\n", "@tf.function(jit_compile=True)\n").replace(
        "  # <- slow", ""
    )

    fine = (
        """\
import tensorflow as tf

weights = tf.random.stateless_normal((400, 400), seed=(1, 2)) * 0.05
state = tf.random.stateless_normal((400, 400), seed=(3, 4))


@tf.function(jit_compile=True)
def settle(state):
    for _ in range(4):
        state = 0.5 * state * (3.0 - state * state * 0.1)
    return state * 0.1


@tf.function
def multiply(state):
    return settle(state) @ weights


for _ in range(60):
    state = multiply(state)
print(f"norm below one {bool(tf.norm(state) < 1.0)}")
""",
    )

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Compiled functions of the user's that take much of the time after their first runs."""
        after_imports = recording.wall - recording.parts.get("imports", 0.0)
        rows = [
            row
            for row in recording.function_calls
            if row.main and row.definition is not None and not row.eager
        ]
        for site, here in by_line(rows):
            row = max(here, key=_later_seconds)
            claims = [claim(site, "graph", min(_later_seconds(row), _in_graphs(recording, row)))]
            cost = cost_of(claims, calls=row.calls)
            if not matters(recording, cost.seconds) or cost.seconds < LEAST_SHARE * after_imports:
                continue
            message = (
                f"{row.function}() took {seconds_text(cost.seconds)} in {count_text(row.calls)} "
                "calls without XLA, which was tried on arguments that it had."
            )
            evidence = {
                "calls": row.calls,
                "seconds": cost.seconds,
                "function": row.function,
                "seconds_per_call": cost.seconds / row.calls,
                "nodes": row.nodes,
            }
            yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """Captured calls as they are against the same function compiled with XLA."""
        captured = _calls.of_function(samples.at(FunctionCall, finding.site), finding)
        if not captured:
            yield Untried("None of its calls could be captured.")
            return
        calls = _calls.few(captured, finding.evidence["seconds_per_call"])
        function = calls[0].function
        why = not_for_xla(function)
        if why is not None:
            yield Untried(why)
            return

        with_xla = _WithXla(calls)
        yield Trial(
            present=Way("without XLA", lambda: _calls.done(function, calls)),
            ways=(Way(JIT, with_xla.run, before=with_xla.trace, note=JIT_NOTE, prepares=True),),
            inputs=f"{len(calls)} of its calls" if len(calls) > 1 else "one of its calls",
            functions=(function.python_function,),
            state=True,
        )


class _WithXla:
    """The calls of a function compiled with XLA.

    It is traced before it first runs: the program traces what it has now as well.
    """

    def __init__(self, calls: Sequence[FunctionCall]) -> None:
        self._calls = calls
        self._function: Any = None

    def trace(self) -> None:
        if self._function is None:
            function = seams.compiled_again(self._calls[0].function, jit_compile=True)
            for each in self._calls:
                function.get_concrete_function(*each.arguments, **each.keywords)
            self._function = function

    def run(self) -> list[Any]:
        return _calls.done(self._function, self._calls)


def not_for_xla(function: Any) -> str | None:
    """Why XLA is not to be tried with a compiled function, `None` where it is."""
    if seams.uses_xla(function):
        return "it is compiled with XLA already"
    kinds = seams.op_types(function)
    if kinds & {"PyFunc", "PyFuncStateless", "EagerPyFunc"}:
        return "it calls Python, which XLA cannot compile"
    if kinds & {"IteratorGetNext", "ReduceDataset", "AnonymousIteratorV3"}:
        return "it takes elements from a dataset, which XLA cannot compile"
    return None


def _later_seconds(row: FunctionCalls) -> float:
    return row.seconds - row.first_seconds


def _in_graphs(recording: Recording, row: FunctionCalls) -> float:
    """Seconds at the row's line in graphs, but for waits in them."""
    return recording.line(row.site).get("graph", 0.0)
