"""TF203: a compiled function made anew, and traced anew, where one would do."""

from __future__ import annotations

from collections.abc import Iterator

from unslow.catalogue.page import Page, claim, cost_of, count_text, matters, seconds_text
from unslow.finding import Finding
from unslow.recording.data import FunctionCalls, FunctionsMade, Recording, Tracing

LEAST_FUNCTIONS = 5


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
import tensorflow as tf

weights = tf.random.stateless_normal((16, 64, 64), seed=(1, 2)) * 0.1
frames = tf.random.stateless_normal((40, 8, 64), seed=(3, 4))


def score(frame):
    @tf.function  # <- slow
    def forward(x):
        for layer in range(16):
            x = x + tf.nn.relu(x @ weights[layer])
        return tf.reduce_max(x)

    return float(forward(frame))


scores = [score(frame) for frame in frames]
print("best", round(max(scores), 1))
"""

    fast = """\
import tensorflow as tf

weights = tf.random.stateless_normal((16, 64, 64), seed=(1, 2)) * 0.1
frames = tf.random.stateless_normal((40, 8, 64), seed=(3, 4))


@tf.function
def forward(x):
    for layer in range(16):
        x = x + tf.nn.relu(x @ weights[layer])
    return tf.reduce_max(x)


scores = [float(forward(frame)) for frame in frames]
print("best", round(max(scores), 1))
"""

    fine = (
        """\
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
frames = tf.random.stateless_normal((60, 8, 64), seed=(3, 4))
best = [max(float(score(frame)) for frame in frames) for score in ensemble]
print("best", [round(value) for value in best])
""",
        """\
import tensorflow as tf


class Refiner:
    def __init__(self):
        self.weights = tf.Variable(tf.random.stateless_normal((200, 200), seed=(1, 2)) * 0.1)

    @tf.function
    def refine(self, x):
        return tf.linalg.l2_normalize(x @ self.weights, axis=-1)


refiners = [Refiner() for _ in range(4)]
frames = tf.random.stateless_normal((60, 200, 200), seed=(3, 4))
total = tf.add_n([refiner.refine(frame) for refiner in refiners for frame in frames])
print("total", round(float(tf.reduce_mean(total)), 2))
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
            needless = (functions - 1) / traces
            seconds = sum(row.seconds for row in tracings) * needless
            if seconds < running or not matters(recording, seconds):
                continue
            claims = [claim(row.site, "build", row.seconds * needless) for row in tracings]
            claims += [claim(row.site, "graph", row.first_seconds * needless) for row in calls]
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


def _is_of(made: FunctionsMade, row: Tracing | FunctionCalls) -> bool:
    return row.function == made.function and row.definition == made.definition
