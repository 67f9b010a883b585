"""Captured calls of compiled functions, done again in one way or another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from unslow import seams
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Finding
from unslow.recording.samples import FunctionCall, Samples, TracedCall, UserCall

C = TypeVar("C", FunctionCall, UserCall)
T = TypeVar("T")

RUN_SECONDS = 0.2
"""About how long one run of the present way should take, where calls can be left out for it."""

LEAST_CALLS = 2

SCALARS = (bool, int, float, str, bytes)

DTYPES: tuple[dict[type, str], ...] = (
    {},
    {float: "float64", int: "int64"},
    {int: "float32"},
)
"""The data types that numbers are made tensors of, tried in this order until one can be traced."""


class TracedAgain(Exception):
    """A function that should have been traced once was traced for nearly every call."""


class Fresh:
    """A compiled function that is made anew before each run, so that each run traces it."""

    def __init__(self, make: Callable[[], Any], calls: Sequence[FunctionCall]) -> None:
        self._make = make
        self._calls = calls
        self._function: Any = None

    def before(self) -> None:
        self._function = self._make()

    def run(self) -> list[Any]:
        return done(self._function, self._calls)


class Kept:
    """A compiled function that is made, and traced for the first call, before the first run.

    `makes` are tried in turn until one can be traced: a function, and the calls to give it.
    """

    def __init__(
        self,
        makes: Iterable[Callable[[], tuple[Any, Sequence[FunctionCall]]]],
        most_traces: int = 1,
    ) -> None:
        self._makes = tuple(makes)
        self._most = most_traces
        self._function: Any = None
        self._calls: Sequence[Any] = ()

    def before(self) -> None:
        if self._function is not None:
            return
        for number, make in enumerate(self._makes, start=1):
            function, calls = make()
            try:
                function.get_concrete_function(*calls[0].arguments, **calls[0].keywords)
            except Exception:
                if number == len(self._makes):
                    raise
            else:
                self._function, self._calls = function, calls
                return

    def run(self) -> list[Any]:
        results = done(self._function, self._calls)
        check_traces(self._function, self._most)
        return results


class Compiled:
    """Calls of a function compiled in the first run, which traces it."""

    def __init__(
        self, make: Callable[[], Any], calls: Sequence[FunctionCall] | Sequence[UserCall]
    ) -> None:
        self._make = make
        self._calls = calls
        self._function: Any = None

    def run(self) -> list[Any]:
        if self._function is None:
            self._function = self._make()
        results = [self._function(*each.arguments, **each.keywords) for each in self._calls]
        if len(self._calls) > LEAST_CALLS:
            check_traces(self._function, len(self._calls) - 1)
        return results


class Loop:
    """A captured call, done many times in a loop that is compiled."""

    def __init__(self, call: FunctionCall, rounds: int) -> None:
        import tensorflow as tf

        self._call = call
        self._rounds = rounds
        function = call.function
        outputs = tf.nest.flatten(function.get_concrete_function(*call.arguments).outputs)
        self.possible = not call.keywords and len(outputs) == 1 and not function.input_signature

        def loop(*arguments: Any) -> Any:
            def again(number: Any, results: Any) -> tuple[Any, Any]:
                return number + 1, results.write(number, function(*arguments))

            begin = 0, tf.TensorArray(outputs[0].dtype, rounds)
            _, results = tf.while_loop(lambda number, _: number < rounds, again, begin)
            return results.stack()

        self._loop = tf.function(loop, autograph=False)

    def run(self) -> Any:
        """The results, one below the other."""
        return self._loop(*self._call.arguments)

    def apart(self, results: Any) -> list[Any]:
        """The results as separate ones."""
        return list(results)


def done(function: Any, calls: Sequence[FunctionCall]) -> list[Any]:
    """What a compiled function returns for each of the calls."""
    return [function(*each.arguments, **each.keywords) for each in calls]


def check_traces(function: Any, most: int) -> None:
    """Raise `TracedAgain` if a function was traced more than `most` times."""
    count = function.experimental_get_tracing_count()
    if count > most:
        raise TracedAgain(f"it is traced for other calls too, {count} times here")


def eagerly(calls: Sequence[FunctionCall] | Sequence[UserCall]) -> list[Any]:
    """What these calls return, run op by op."""
    return [each.function(*each.arguments, **each.keywords) for each in calls]


def no_eager() -> Untried | None:
    """Why compiled functions cannot be called again, where that is so."""
    import tensorflow as tf

    if tf.executing_eagerly():
        return None
    return Untried("The program has switched eager execution off.")


def changing(calls: Sequence[FunctionCall] | Sequence[UserCall]) -> Untried | None:
    """Why calls cannot be done again as they were: something around the function has changed."""
    for each in calls:
        function = getattr(each.function, "python_function", each.function)
        name = "" if each.around is None else each.around.look(function, each.owner)
        if name:
            return Untried(
                f"{function.__name__}() uses `{name}`, which changed between its calls; once it is "
                "traced, its Python does not run again."
            )
    return None


def retraced(finding: Finding, samples: Samples) -> list[FunctionCall] | Untried:
    """Calls at the finding that each set off a trace, or why they cannot be done again."""
    calls = of_function(samples.at(TracedCall, finding.site), finding)
    if len(calls) < LEAST_CALLS:
        return Untried("Too few of the calls that were traced could be captured.")
    return no_eager() or changing(calls) or list(few(calls, finding.evidence["seconds_per_trace"]))


def of_function(calls: Sequence[FunctionCall], finding: Finding) -> list[FunctionCall]:
    """Those of `calls` that are calls of the finding's function, and of the same object."""
    wanted = finding.evidence["function"]
    found = [each for each in calls if each.function.python_function.__name__ == wanted]
    return [each for each in found if each.function is found[-1].function]


def few(calls: Sequence[T], seconds: float, least: int = LEAST_CALLS) -> Sequence[T]:
    """As many of the calls as take about `RUN_SECONDS`, where each takes `seconds`."""
    return calls[: max(least, int(RUN_SECONDS / max(seconds, 1e-6)))]


def with_tensors(calls: Sequence[C], dtypes: dict[type, str]) -> list[C] | None:
    """The calls with tensors for the Python values that differ; `None` where none does.

    A number is made a tensor of the data type that `dtypes` has for its type, or of the usual
    one.
    """
    import tensorflow as tf

    flat = [_leaves(each) for each in calls]
    if len({len(leaves) for leaves in flat}) != 1:
        return None
    changing = [
        index
        for index, leaves in enumerate(zip(*flat, strict=True))
        if all(isinstance(leaf, SCALARS) for leaf in leaves) and len(set(leaves)) > 1
    ]
    if not changing:
        return None
    made = []
    for call, leaves in zip(calls, flat, strict=True):
        for index in changing:
            leaves[index] = tf.constant(leaves[index], dtypes.get(type(leaves[index])))
        arguments, keywords = tf.nest.pack_sequence_as((call.arguments, call.keywords), leaves)
        made.append(replace(call, arguments=arguments, keywords=keywords))
    return made


def _leaves(call: FunctionCall | UserCall) -> list[Any]:
    import tensorflow as tf

    return list(tf.nest.flatten((call.arguments, call.keywords)))


def open_signature(calls: Sequence[FunctionCall]) -> Any:
    """An input signature for all of these calls, with sizes that differ left open.

    `None` where an argument is no tensor or array, or the calls differ in more than sizes.
    """
    import tensorflow as tf

    if any(each.keywords for each in calls):
        return None
    flat = [_leaves(each) for each in calls]
    if len({len(leaves) for leaves in flat}) != 1:
        return None
    specs = []
    for leaves in zip(*flat, strict=True):
        kinds = {getattr(leaf, "dtype", None) for leaf in leaves}
        shapes: list[Any] = [getattr(leaf, "shape", None) for leaf in leaves]
        if len(kinds) != 1 or None in kinds or any(shape is None for shape in shapes):
            return None
        if any(hasattr(leaf, "assign") for leaf in leaves) or len({len(s) for s in shapes}) != 1:
            return None
        sizes = [one[0] if len(set(one)) == 1 else None for one in zip(*shapes, strict=True)]
        specs.append(tf.TensorSpec(sizes, tf.as_dtype(kinds.pop())))
    return tf.nest.pack_sequence_as(calls[0].arguments, specs)


def without_traces(call: FunctionCall, **changes: Any) -> Any:
    """The call's compiled function made again, with these options changed."""
    return seams.compiled_again(call.function, **changes)


@dataclass(frozen=True)
class Present:
    """The present way of doing calls that are each traced."""

    calls: Sequence[FunctionCall]
    inputs: str

    def against(self, *ways: Way) -> Trial:
        """The trial of `ways` against it."""
        once = Fresh(lambda: without_traces(self.calls[0]), self.calls)
        present = Way("traced for each call", once.run, before=once.before)
        functions = (self.calls[0].function.python_function,)
        return Trial(present, ways, self.inputs, functions=functions, state=True)
