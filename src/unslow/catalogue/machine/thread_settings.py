"""TF502: thread pools of a size that somebody once wrote down."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from unslow.catalogue.machine import _settings
from unslow.catalogue.machine._children import Children, Threads
from unslow.catalogue.page import (
    Page,
    claim,
    cost_of,
    count_text,
    matters,
    seconds_text,
)
from unslow.catalogue.trial import Trial, Untried, Way
from unslow.finding import Alternative, Finding, Site
from unslow.recording.data import FunctionCalls, Recording, ThreadPool
from unslow.recording.samples import FunctionCall

if TYPE_CHECKING:
    from unslow.recording.samples import Samples
    from unslow.source.module import Module

SETTERS = tuple(
    f"tensorflow.config.threading.set_{pool}_op_parallelism_threads" for pool in ("intra", "inter")
)
VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
OPTIONS = ("intra_op_parallelism_threads", "inter_op_parallelism_threads")

UNSET = "leave it to TensorFlow"
UNSET_NOTE = "sums are taken in another order: the last digits may differ"

LEAST_SHARE = 0.2
"""The part of the time after the imports that a function takes at least to be worth trying."""

LEAST_SECONDS = 1.0
"""Seconds of a function from which on it is worth starting processes for it."""

RUN_SECONDS = 0.05
"""About how long one run in a process should take at least: asking for it takes time as well."""

MOST_TIMES = 1000

START_LIMIT = 120.0
"""Seconds in which all processes have loaded TensorFlow and the function."""

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
    Take the line out and measure; try 1, 2, and the number of cores for the pool within ops:
    `unslow run` does so with the hottest compiled function, in fresh processes.
    Let the number come from the environment or a setting, not from the source.

    ## Safety of the fix
    Other numbers of threads sum in another order: results differ in the last digits, and
    may differ from run to run.
    """

    code = "TF502"
    name = "thread-settings"
    by_default = False
    only_if_proven = True

    slow = """\
import tensorflow as tf

tf.config.threading.set_intra_op_parallelism_threads(1)  # <- slow

state = tf.random.stateless_normal((1200, 1200), seed=(1, 2)) * 0.01


@tf.function
def simulate(state):
    for _ in range(4):
        state = tf.tanh(state @ state) + 0.9 * state
    return state


for _ in range(15):
    state = simulate(state)
print(f"energy {float(tf.reduce_mean(state * state)):.5f}")
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

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        """Sizes that were set, with the compiled function of the user's that takes longest."""
        after_imports = recording.wall - recording.parts.get("imports", 0.0)
        hottest = _hottest(recording)
        if not recording.thread_pools or hottest is None or recording.machine.accelerators:
            return
        seconds = _seconds(recording, hottest)
        if not matters(recording, seconds) or seconds < LEAST_SHARE * after_imports:
            return
        pools = {each.pool: each for each in recording.thread_pools}
        pool = pools.get("intra") or pools["inter"]
        where = "within ops" if pool.pool == "intra" else "between ops"
        message = (
            f"{_setting_text(pool)} fixes the threads {where} at {pool.threads}. With it "
            f"{hottest.function}() took {seconds_text(seconds)} in "
            f"{count_text(hottest.calls)} calls; other numbers were tried in fresh processes."
        )
        cost = cost_of([claim(hottest.site, "graph", seconds)], calls=hottest.calls)
        evidence = {
            "calls": hottest.calls,
            "seconds": cost.seconds,
            "function": hottest.function,
            "seconds_per_call": cost.seconds / hottest.calls,
            "cores": recording.machine.cores,
            "setting": pool.setting,
            **{each.pool: each.threads for each in recording.thread_pools},
        }
        site = pool.site or hottest.site
        yield self.problem(site.at_line, message, cost, evidence)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        """One captured call of the hottest function, in a fresh process for each setting."""
        if finding.cost.seconds < LEAST_SECONDS:
            yield Untried("it takes too little time for runs in processes of their own")
            return
        claimed = finding.cost.claims[0]
        place = Site(claimed.path, claimed.line, cell=claimed.cell)
        function = finding.evidence["function"]
        calls = [
            each
            for each in samples.at(FunctionCall, place)
            if each.function.python_function.__name__ == function
        ]
        if not calls:
            yield Untried("none of its calls could be captured")
            return
        present = Threads(finding.evidence.get("intra", 0), finding.evidence.get("inter", 0))
        settings = settings_to_try(present, finding.evidence["cores"])
        if not settings:
            yield Untried("on this machine no other size of the pools makes a difference")
            return
        per_call = max(finding.evidence["seconds_per_call"], RUN_SECONDS / MOST_TIMES)
        times = math.ceil(RUN_SECONDS / per_call)
        children = Children(calls[-1], (present, *settings.values()), times)
        yield Trial(
            present=_way("as it is set", children, present),
            ways=tuple(_way(name, children, threads) for name, threads in settings.items()),
            inputs="one of its calls, in fresh processes",
            functions=(calls[-1].function.python_function,),
            start_limit=START_LIMIT,
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
                edits = (module.delete(statement),)
                alternatives = (Alternative(UNSET, "unsafe", edits, note=UNSET_NOTE),)
            yield self.suspicion(module, statement, message, {"threads": threads}, alternatives)


def settings_to_try(present: Threads, cores: int) -> dict[str, Threads]:
    """Other sizes that are worth a try on so many cores, by name, the default first."""
    candidates = {UNSET: Threads()}
    numbers = sorted({1, max(1, cores // 2), cores})
    for threads in numbers:
        name = f"{_threads_text(threads)} within ops"
        candidates[name] = replace(present, intra=threads)
    for threads in numbers:
        name = f"{_threads_text(threads)} between ops"
        candidates[name] = replace(present, inter=threads)
    known = {present.resolved(cores)}
    found = {}
    for name, candidate in candidates.items():
        if candidate.resolved(cores) not in known:
            known.add(candidate.resolved(cores))
            found[name] = candidate
    return found


def _threads_text(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"


def _way(name: str, children: Children, threads: Threads) -> Way:
    return Way(
        name,
        run=lambda: children.run(threads),
        before=lambda: children.restore(threads),
        results=children.results,
        note=UNSET_NOTE,
    )


def _hottest(recording: Recording) -> FunctionCalls | None:
    rows = [
        row
        for row in recording.function_calls
        if row.main and row.definition is not None and not row.eager
    ]
    return max(rows, key=lambda row: _seconds(recording, row), default=None)


def _seconds(recording: Recording, row: FunctionCalls) -> float:
    """Seconds in a function after its first runs, but for waits in it."""
    return min(row.seconds - row.first_seconds, recording.line(row.site).get("graph", 0.0))


def _setting_text(pool: ThreadPool) -> str:
    return f"`{pool.setting}`" + ("" if pool.site is not None else " in the environment")


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
