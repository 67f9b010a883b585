"""What one run showed: the Recording, plain data that turns into JSON and back.

Every table has one row per place in the program, never one per event, so its
size follows from the length of the program and not from how long it ran.
Times are seconds; `seconds` of a row are *exclusive* (what was watched inside
it is in its own row) unless the field says inclusive. Rows with a `main` field
are kept apart for the main thread and for all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from unslow.finding import Claim, Site


@dataclass(frozen=True)
class Program:
    """What was run. Versions are `None` for what the program never imported."""

    argv: tuple[str, ...]
    python: str
    tensorflow: str | None = None
    keras: str | None = None
    numpy: str | None = None
    exit_status: int | None = None


@dataclass(frozen=True)
class Machine:
    """Where it ran. `accelerators` are the names TensorFlow gives to physical devices but CPUs."""

    cores: int
    memory_bytes: int
    accelerators: tuple[str, ...] = ()


@dataclass(frozen=True)
class LineTime:
    """Seconds of the main thread at one line of the user's code, by part."""

    site: Site
    parts: Mapping[str, float]

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())


@dataclass(frozen=True)
class ThreadTime:
    """Seconds that a thread other than the main one spent in what was watched, by part.

    Threads of one name pattern are one row; `threads` says how many they were.
    """

    name: str
    threads: int
    parts: Mapping[str, float]


@dataclass(frozen=True)
class OpCount:
    """One eager op type at one site. Includes `IteratorGetNext`: a Python wait for an element.

    `keras`: run by Keras inside one of its methods, not by the line itself.
    """

    site: Site
    op: str
    calls: int
    seconds: float
    main: bool = True
    keras: bool = False


@dataclass(frozen=True)
class Conversion:
    """Arrays and lists made into tensors at one site; small ones are not counted.

    `kind`: "array" (a NumPy array), "arrays" (a list or tuple of NumPy arrays),
    "list" (other sequences). `road`: "convert" (a conversion of its
    own, timed) or "op" (inside an eager op's C++, whose `seconds` are what the
    same conversion took when it was repeated after the program's end). Both are
    in the part "convert".
    `repeats`: how many of the calls were given the array that the call before
    was given at this site, unchanged. `elements`: for "arrays", how many arrays
    in all. `op`: the eager op that was given the array, on the road "op".
    """

    site: Site
    kind: str
    road: str
    dtype: str
    calls: int
    repeats: int
    seconds: float
    bytes: int
    elements: int = 0
    main: bool = True
    op: str = ""


@dataclass(frozen=True)
class Sync:
    """Tensors made into arrays or numbers at one site. `method`: "numpy", "__float__", …"""

    site: Site
    method: str
    calls: int
    seconds: float
    bytes: int
    main: bool = True


@dataclass(frozen=True)
class Retrace:
    """Why a function was traced again: one of its arguments and what changed about it.

    `reason`: "python value" (a Python number, string or bool took a new value),
    "shape", "dtype", "object" (another Python object) or "structure".
    `values`: the first few, as text.
    """

    argument: str
    reason: str
    count: int
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tracing:
    """The traces of one Python function that one line of the program set off.

    `definition`: where the Python function stands (its `def` line), `None` for
    library code. `site`: the line that called it. `functions`: how many
    `tf.function` objects were traced here. `seconds` exclusive of inner traces.
    `start_seconds`: of the first trace, which takes longest, as TensorFlow gets ready for
    the others. `nodes`: the largest graph.
    """

    site: Site
    function: str
    definition: Site | None
    traces: int
    functions: int
    seconds: float
    nodes: int
    retraces: tuple[Retrace, ...] = ()
    main: bool = True
    start_seconds: float = 0.0


@dataclass(frozen=True)
class FunctionsMade:
    """`tf.function` objects made at one site around one Python function of the user's."""

    site: Site
    function: str
    definition: Site | None
    count: int
    seconds: float


@dataclass(frozen=True)
class FunctionCalls:
    """Calls of a compiled function at one site.

    `seconds`: inside the call but outside tracing, conversions and bridges.
    `first_seconds`: the part of them spent in calls that traced, `start_seconds`
    of it in the very first. `nodes`: of its largest graph. `eager`: how many of
    the calls ran op by op because compiled functions were switched off.
    """

    site: Site
    function: str
    definition: Site | None
    calls: int
    seconds: float
    first_seconds: float
    nodes: int
    eager: int = 0
    main: bool = True
    start_seconds: float = 0.0


@dataclass(frozen=True)
class GraphUse:
    """TensorFlow 1 graphs and sessions at one line.

    `action`: "graph" (a `Graph` made), "import" (`import_graph_def`), "session"
    (a `Session` made), "run" (`Session.run`). `first_seconds`: for "run", the
    part spent in a session's first run with these fetches and feeds, or the first after its
    graph grew: it has to be prepared. `first_runs` counts those. `nodes_first` and
    `nodes_last`: size of the graph at the first and last run of the longest-used session
    here. `growth`: the lines that added nodes between runs, as sites.
    """

    site: Site
    action: str
    calls: int
    seconds: float
    first_runs: int = 0
    first_seconds: float = 0.0
    nodes_first: int = 0
    nodes_last: int = 0
    growth: tuple[Site, ...] = ()
    feed_bytes: int = 0


@dataclass(frozen=True)
class Bridge:
    """A Python function that graphs call.

    `kind`: "numpy_function", "py_function" or "generator" (`from_generator`).
    `site`: the line that registered it. `definition`: its `def` line. `seconds`:
    inside its calls, summed over threads. `cpu_seconds`: CPU time of the same.
    `busy_seconds`: wall-clock time while at least one of its calls was under
    way. `waited_seconds`: the part of that in which the main thread waited for
    it, and `claims` says at which lines. `threads`: the most calls under way at
    once. `bytes`: of the arrays given to it. `rows`: leading dimension of its
    first argument, summed (0 where it is a scalar). `pipeline`: registered
    inside a tf.data pipeline. `crossing_seconds`: what a call takes besides, to Python and
    back, as measured after the program's end; 0 where several calls were under way.
    """

    site: Site
    kind: str
    function: str
    definition: Site | None
    calls: int
    seconds: float
    cpu_seconds: float
    busy_seconds: float
    waited_seconds: float
    threads: int
    bytes: int
    rank: int
    pipeline: bool
    claims: tuple[Claim, ...] = ()
    crossing_seconds: float = 0.0


@dataclass(frozen=True)
class Stage:
    """One stage of a tf.data pipeline, the last first. `kind`: "Batch", "ParallelMap", …

    `batch_size` for batching stages, else `None`. `site`: the line that made it.
    `work`: what the function of a mapping or filtering stage does: "alike" (it treats all
    numbers alike, takes batches as well, and rows are small), "parses" (the same, but it parses
    single examples first), "plain" (anything else without state), "stateful" (it draws
    random numbers, or has another state), "python" (it calls Python); "" where it has none.
    """

    kind: str
    site: Site | None
    batch_size: int | None = None
    work: str = ""


@dataclass(frozen=True)
class Iteration:
    """Iterators over datasets made at one line, and the elements taken from them there.

    `wait_seconds`: the main thread's time in waiting for elements here,
    `bridge_seconds` of which some Python function of the pipeline was running.
    `make_seconds`: in making the iterators. `stages`: of the first pipeline.
    `keras`: made by Keras for its `fit`, `evaluate` or `predict`. `work_seconds`: from each
    element to the wait for the next one, which is what is done with it; `work_cpu_seconds`
    of CPU time the whole process took meanwhile. `epochs`: how many of the iterators were
    over the first pipeline. `end_seconds`: the main thread's time in ending iterators here, whose
    threads have to come to their end.
    """

    site: Site
    iterators: int
    elements: int
    wait_seconds: float
    bridge_seconds: float
    make_seconds: float
    stages: tuple[Stage, ...] = ()
    keras: bool = False
    work_seconds: float = 0.0
    work_cpu_seconds: float = 0.0
    epochs: int = 0
    end_seconds: float = 0.0


@dataclass(frozen=True)
class KerasCall:
    """Calls of one Keras method at one site (outermost ones; `fit`'s own `evaluate` is not one).

    `method`: "fit", "evaluate", "predict", "train_on_batch", "test_on_batch",
    "predict_on_batch", "compile", "load_model", "model" (construction),
    "apply_gradients". `seconds` and `graph_seconds` (inside compiled functions)
    and `build_seconds` (tracing, building) are *inclusive*. `first_seconds`: the
    longest call, which holds the tracing. `parts`: the inclusive time by part of
    the time budget. `rows`: over all calls, 0 where
    unknown. `batch_size`: the smallest seen. `steps`: optimizer steps.
    """

    site: Site
    method: str
    calls: int
    seconds: float
    graph_seconds: float
    build_seconds: float
    first_seconds: float
    rows: int = 0
    batch_size: int | None = None
    epochs: int = 0
    steps: int = 0
    steps_per_execution: int = 1
    run_eagerly: bool = False
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CallbackTime:
    """A user's Keras callback: inclusive time of one of its per-batch methods during `fit`.

    `site`: the `def` line of the method; `fit`: the line of the `fit` call.
    """

    site: Site
    method: str
    fit: Site
    calls: int
    seconds: float


@dataclass(frozen=True)
class InterpreterUse:
    """TFLite / LiteRT interpreters made and invoked at one line.

    `make_seconds`: in making those made here and in allocating their tensors,
    wherever that was done; `claims` says where.
    """

    site: Site
    made: int
    make_seconds: float
    invocations: int
    invoke_seconds: float
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class TapeSteps:
    """Training steps run op by op: what is recorded on a tape, its gradient, and its use.

    `site`: the line of `tape.gradient`; `function` of the site is the step's
    function. `seconds`: inclusive wall-clock time of all `steps`. `ops`: eager
    ops inside them. `claims`: the main thread's time in those steps by line and
    part.
    """

    site: Site
    steps: int
    seconds: float
    ops: int
    op_seconds: float
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class RowLoop:
    """Calls of `tf.map_fn` and its like, made at one line. `rows` over all calls.

    `seconds`: inclusive time of eager calls. In a compiled function only the
    trace windows know the time: `graph_calls` counts the traces and
    `graph_seconds` is what the windows saw of its While loop, scaled to the run.
    `claims`: where the main thread spent it.
    """

    site: Site
    name: str
    calls: int
    rows: int
    seconds: float
    graph_calls: int
    graph_seconds: float
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class GraphOp:
    """An op inside compiled functions, as the trace windows saw it. `site`: where it was made."""

    op: str
    site: Site | None
    calls: int
    seconds: float


@dataclass(frozen=True)
class Window:
    """A short stretch of the run seen by the TensorFlow profiler.

    `estimated`: not seen, as no window was open there, but concluded for the whole
    run from how much longer calls took than the fastest while the pipeline's Python
    ran: a lower bound.

    `graph_seconds`: the main thread's time inside compiled functions during it;
    of that, `wait_seconds` in waiting for the next element inside the function,
    `bridge_seconds` of which while the pipeline's Python ran.
    """

    site: Site
    seconds: float
    graph_seconds: float
    wait_seconds: float
    bridge_seconds: float
    ops: tuple[GraphOp, ...] = ()
    estimated: bool = False


@dataclass(frozen=True)
class Setting:
    """A slow mode that the program switched on at `site`.

    `name`: "run_functions_eagerly", "run_eagerly" (Keras `compile`),
    "tf.data debug mode". `calls` of functions or Keras methods ran so, in `ops`
    eager ops; `claims` says where the main thread spent them. None of these are
    known of the debug mode.
    """

    name: str
    site: Site
    ops: int = 0
    calls: int = 0
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class ThreadPool:
    """The size of one of TensorFlow's thread pools, where something other than it has set it.

    `pool`: "intra" (within ops) or "inter" (between ops). `setting`: the function or the
    environment variable that did it. `site`: the line, `None` for the environment.
    """

    pool: str
    threads: int
    setting: str
    site: Site | None = None


@dataclass(frozen=True)
class Unwatched:
    """A seam that is missing here, and why the observation is off."""

    seam: str
    why: str


@dataclass(frozen=True)
class Recording:
    """What one run showed. `partial` while the program runs, and after a crash."""

    program: Program
    machine: Machine
    partial: bool
    wall: float
    parts: Mapping[str, float]
    lines: tuple[LineTime, ...] = ()
    threads: tuple[ThreadTime, ...] = ()
    ops: tuple[OpCount, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    syncs: tuple[Sync, ...] = ()
    tracings: tuple[Tracing, ...] = ()
    functions_made: tuple[FunctionsMade, ...] = ()
    function_calls: tuple[FunctionCalls, ...] = ()
    graphs: tuple[GraphUse, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    iterations: tuple[Iteration, ...] = ()
    keras_calls: tuple[KerasCall, ...] = ()
    callbacks: tuple[CallbackTime, ...] = ()
    interpreters: tuple[InterpreterUse, ...] = ()
    tape_steps: tuple[TapeSteps, ...] = ()
    row_loops: tuple[RowLoop, ...] = ()
    windows: tuple[Window, ...] = ()
    settings: tuple[Setting, ...] = ()
    thread_pools: tuple[ThreadPool, ...] = ()
    unwatched: tuple[Unwatched, ...] = ()
    notes: tuple[str, ...] = ()

    def line(self, site: Site) -> Mapping[str, float]:
        """Seconds by part of the main thread at the line of `site`."""
        parts: dict[str, float] = {}
        for row in self.lines:
            if (row.site.path, row.site.cell, row.site.line) == (site.path, site.cell, site.line):
                for part, seconds in row.parts.items():
                    parts[part] = parts.get(part, 0.0) + seconds
        return parts
