"""TF502: thread pools of a size that somebody once wrote down."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unslow.catalogue.machine import _settings
from unslow.catalogue.page import Page
from unslow.finding import Alternative, Finding

if TYPE_CHECKING:
    from unslow.source.module import Module

SETTERS = tuple(
    f"tensorflow.config.threading.set_{pool}_op_parallelism_threads" for pool in ("intra", "inter")
)
VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
OPTIONS = ("intra_op_parallelism_threads", "inter_op_parallelism_threads")

SHARING = frozenset(
    {"concurrent", "horovod", "joblib", "mpi4py", "multiprocessing", "ray", "subprocess"}
)
"""Packages of programs that share the machine among processes of their own."""


class ThreadSettings(Page):
    """The sizes of TensorFlow's thread pools are fixed in the program.

    ## What it is
    `tf.config.threading.set_intra_op_parallelism_threads(1)`, its sister for `inter_op`,
    or `TF_NUM_INTRAOP_THREADS` and `TF_NUM_INTEROP_THREADS` in the environment.

    ## Why it is slow
    One pool splits a large op over the cores, the other runs independent ops side by side;
    each has as many threads as the machine has cores. With one thread a matrix product
    leaves all other cores idle. Small ops are the other way round: handing them to a
    pool costs more than they do, so that a tiny model can be 2x faster with one. A number
    that was right on one machine is wrong on the next.

    ## When it does not matter
    Where several processes share the machine and each was given its cores, and where one
    thread is wanted so that sums are taken in a fixed order. `OMP_NUM_THREADS` sets
    NumPy's threads; TensorFlow's own wheels do not read it.

    ## What to do
    Take the line out and measure; try 1, 2, and the number of cores for the pool within ops.
    Let the number come from the environment or a setting, not from the source.

    ## Safety of the fix
    Other numbers of threads sum in another order: results differ in the last digits, and
    may differ from run to run.
    """

    code = "TF502"
    name = "thread-settings"
    by_default = False

    slow = """\
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)  # <- slow

state = tf.random.stateless_normal((1200, 1200), seed=(1, 2)) * 0.01


@tf.function
def simulate(state):
    for _ in range(10):
        state = tf.tanh(state @ state) + state
    return tf.reduce_mean(state * state)


print(f"energy {float(simulate(state)):.5f}")
"""

    fast = slow.replace(
        "tf.config.threading.set_intra_op_parallelism_threads(1)  # <- slow\n\n", ""
    )

    fine = (
        """\
import os

import tensorflow as tf

threads = int(os.environ.get("SIMULATION_THREADS", "0"))
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(0)
state = tf.random.stateless_normal((200, 200), seed=(1, 2)) * 0.01
print(f"energy {float(tf.reduce_mean(tf.tanh(state @ state) ** 2)):.5f}")
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Numbers of threads that are written down, unless for a fixed order or for sharing."""
        found = list(_fixed(module))
        if not found or _settings.seeds(module) or _shares_the_machine(module):
            return
        for node, threads in found:
            message = (
                f"The size of a thread pool is fixed at {threads}, whatever the machine; measure "
                "the program without it."
            )
            alternatives: tuple[Alternative, ...] = ()
            statement = module.statement(node)
            whole = node is statement or (
                isinstance(statement, ast.Expr) and statement.value is node
            )
            if whole and module.editable(statement):
                note = "sums are taken in another order: the last digits may differ"
                edits = (module.delete(statement),)
                alternatives = (Alternative("leave it to TensorFlow", "unsafe", edits, note=note),)
            yield self.suspicion(module, statement, message, {"threads": threads}, alternatives)


def _fixed(module: Module) -> Iterator[tuple[ast.AST, int]]:
    """What sets a number of threads, with the number."""
    for call in module.calls_to(*SETTERS):
        given = module.argument(call, 0, "num_threads")
        threads = None if given is None else module.constant(given)
        if type(threads) is int and threads > 0 and _settings.always(module, call):
            yield call, threads
    for statement, value in _settings.environment(module, *VARIABLES):
        if value.isdigit() and int(value) > 0 and _settings.always(module, statement):
            yield statement, int(value)
    for call in module.calls_to("tensorflow.ConfigProto"):
        for keyword in call.keywords:
            threads = module.constant(keyword.value) if keyword.arg in OPTIONS else None
            if type(threads) is int and threads > 0 and _settings.always(module, call):
                yield keyword, threads
                break


def _shares_the_machine(module: Module) -> bool:
    names = [alias.name for each in module.nodes(ast.Import) for alias in each.names]
    names += [each.module or "" for each in module.nodes(ast.ImportFrom)]
    return any(name.split(".")[0] in SHARING for name in names)
