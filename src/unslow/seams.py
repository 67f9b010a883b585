"""Every private symbol of TensorFlow and Keras that is touched, in one place.

A seam is looked up when the module that holds it has been imported. One that is
missing turns off one observation and is named in the report. `seen` says with
which versions the seam was checked.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TENSORFLOW = "TensorFlow 2.16–2.21"
KERAS = "Keras 3.4–3.15"

ABSEIL_LOGS_SINCE = (2, 21)
"""The first TensorFlow whose log lines obey Abseil's threshold."""

ALIASES = (
    ("tensorflow.compat.v1", "tensorflow"),
    ("tensorflow.compat.v2", "tensorflow"),
    ("tensorflow.python.keras", "keras"),
    ("tensorflow.keras", "keras"),
    ("tensorflow.contrib.keras", "keras"),
    ("tensorflow.losses", "keras.losses"),
    ("tensorflow.metrics", "keras.metrics"),
    ("tensorflow.optimizers", "keras.optimizers"),
    ("tensorflow.initializers", "keras.initializers"),
    ("tf_keras", "keras"),
    ("keras.src", "keras"),
    ("keras.api", "keras"),
    ("keras.engine", "keras.models"),
)
"""Names by which programs reach what has another name, with that name."""


_DOORS = tuple(
    str(Path("python") / name)
    for name in (
        "framework/importer.py",
        "framework/ops.py",
        "client/session.py",
        "util/deprecation.py",
        "util/dispatch.py",
        "util/traceback_utils.py",
    )
)
"""TensorFlow's files between a user's line and a graph, an import or a session."""

_EAGER_RUN = "tensorflow.python.eager.polymorphic_function.eager_function_run"

_LIBRARIES = tuple(
    os.sep + "site-packages" + os.sep + name + os.sep for name in ("tensorflow", "keras")
)


@dataclass(frozen=True)
class Seam:
    """An attribute that can be replaced: `owner` is a dotted path inside `module`, or empty."""

    name: str
    module: str
    owner: str
    attribute: str
    seen: str = TENSORFLOW


class MissingSeam(Exception):
    """This version does not have the symbol."""


EAGER_OP = Seam("eager ops", "tensorflow.python.pywrap_tfe", "", "TFE_Py_FastPathExecute")
FUNCTION_EXECUTION = Seam(
    "execution of compiled functions", "tensorflow.python.pywrap_tfe", "", "TFE_Py_Execute"
)
CANCELABLE_EXECUTION = Seam(
    "cancelable execution of compiled functions",
    "tensorflow.python.pywrap_tfe",
    "",
    "TFE_Py_ExecuteCancelable",
)
CONVERSION = Seam(
    "array to tensor conversions",
    "tensorflow.python.framework.constant_op",
    "",
    "convert_to_eager_tensor",
)
SYNCS = tuple(
    Seam(
        f"tensor to array by {method}",
        "tensorflow.python.framework.ops",
        "_EagerTensorBase",
        method,
    )
    for method in ("numpy", "__array__", "__float__", "__int__", "__bool__", "__index__", "_numpy")
)
TRACE = Seam(
    "traces",
    "tensorflow.python.eager.polymorphic_function.tracing_compilation",
    "",
    "_create_concrete_function",
)
FUNCTION_MADE = Seam(
    "functions made",
    "tensorflow.python.eager.polymorphic_function.polymorphic_function",
    "Function",
    "__init__",
)
FUNCTION_CALL = Seam(
    "calls of compiled functions",
    "tensorflow.python.eager.polymorphic_function.polymorphic_function",
    "Function",
    "__call__",
)
BRIDGE_CALL = Seam(
    "Python called from graphs",
    "tensorflow.python.ops.script_ops",
    "FuncRegistry",
    "__call__",
)
BRIDGE_INSERT = Seam(
    "Python functions registered for graphs",
    "tensorflow.python.ops.script_ops",
    "FuncRegistry",
    "insert",
)
ITERATOR_MADE = Seam(
    "iterators made", "tensorflow.python.data.ops.iterator_ops", "OwnedIterator", "__init__"
)
ITERATOR_NEXT = Seam(
    "waits for the next element",
    "tensorflow.python.data.ops.iterator_ops",
    "OwnedIterator",
    "_next_internal",
)
ITERATOR_END = Seam(
    "ends of iterators", "tensorflow.python.data.ops.iterator_ops", "OwnedIterator", "__del__"
)
DATASET_MADE = Seam(
    "stages of input pipelines", "tensorflow.python.data.ops.dataset_ops", "DatasetV2", "__init__"
)
GRAPH_MADE = Seam("graphs made", "tensorflow.python.framework.ops", "Graph", "__init__")
GRAPH_IMPORT = Seam(
    "graph definitions imported",
    "tensorflow.python.framework.importer",
    "",
    "_import_graph_def_internal",
)
SESSION_MADE = Seam("sessions made", "tensorflow.python.client.session", "BaseSession", "__init__")
SESSION_RUN = Seam("session runs", "tensorflow.python.client.session", "BaseSession", "run")
MAP_FN = Seam("tf.map_fn", "tensorflow", "", "map_fn")
TAPE_ENTER = Seam(
    "gradient tapes entered", "tensorflow.python.eager.backprop", "GradientTape", "__enter__"
)
TAPE_EXIT = Seam(
    "gradient tapes left", "tensorflow.python.eager.backprop", "GradientTape", "__exit__"
)
TAPE_GRADIENT = Seam(
    "gradients taken", "tensorflow.python.eager.backprop", "GradientTape", "gradient"
)
RUN_EAGERLY = Seam(
    "tf.config.run_functions_eagerly", "tensorflow", "config", "run_functions_eagerly"
)
DATA_DEBUG = Seam("tf.data debug mode", "tensorflow", "data.experimental", "enable_debug_mode")
THREAD_POOLS = {
    pool: Seam(
        f"the number of {pool}-op threads",
        "tensorflow",
        "config.threading",
        f"set_{pool}_op_parallelism_threads",
    )
    for pool in ("intra", "inter")
}
PROFILER_START = Seam("the program's own profiler", "tensorflow", "profiler.experimental", "start")

KERAS_METHODS = tuple(
    Seam(
        f"Keras {method}",
        "keras.src.backend.tensorflow.trainer",
        "TensorFlowTrainer",
        method,
        KERAS,
    )
    for method in (
        "fit",
        "evaluate",
        "predict",
        "train_on_batch",
        "test_on_batch",
        "predict_on_batch",
    )
)
KERAS_COMPILE = Seam("Keras compile", "keras.src.trainers.trainer", "Trainer", "compile", KERAS)
KERAS_MODEL = Seam("Keras models made", "keras.src.models.model", "Model", "__init__", KERAS)
KERAS_LOADS = (
    Seam("keras.models.load_model", "keras.models", "", "load_model", KERAS),
    Seam("keras.saving.load_model", "keras.saving", "", "load_model", KERAS),
    Seam("load_model", "keras.src.saving.saving_api", "", "load_model", KERAS),
)
KERAS_APPLY = Seam(
    "optimizer.apply_gradients",
    "keras.src.optimizers.base_optimizer",
    "BaseOptimizer",
    "apply_gradients",
    KERAS,
)
KERAS_CALLBACKS = Seam(
    "Keras callbacks",
    "keras.src.callbacks.callback_list",
    "CallbackList",
    "on_train_begin",
    KERAS,
)

INTERPRETER_MODULES = (
    "tensorflow.lite.python.interpreter",
    "ai_edge_litert.interpreter",
    "tflite_runtime.interpreter",
)


def interpreter_seams(module: str) -> tuple[Seam, Seam, Seam]:
    """The seams of a TFLite interpreter: its making, its allocation and its invocation."""
    return (
        Seam("TFLite interpreters made", module, "Interpreter", "__init__"),
        Seam("TFLite tensors allocated", module, "Interpreter", "allocate_tensors"),
        Seam("TFLite invocations", module, "Interpreter", "invoke"),
    )


class Patches:
    """Replacements that can be taken back."""

    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any, bool]] = []
        self.missing: list[tuple[Seam, str]] = []

    def replace(self, seam: Seam, make: Callable[[Any], Any]) -> bool:
        """Put `make(original)` in the seam's place; `False`, and noted, where there is none."""
        try:
            owner = find_owner(seam)
            original = getattr(owner, seam.attribute)
        except (MissingSeam, AttributeError) as error:
            self.missing.append((seam, str(error)))
            return False
        inherited = isinstance(owner, type) and seam.attribute not in vars(owner)
        setattr(owner, seam.attribute, make(original))
        self._originals.append((owner, seam.attribute, original, inherited))
        return True

    def add(self, seam: Seam, function: Callable[..., Any]) -> bool:
        """Give the seam's owner an attribute that it lacks; `False`, and noted, where it cannot."""
        try:
            owner = find_owner(seam)
            if hasattr(owner, seam.attribute):
                raise MissingSeam(f"{seam.owner} has its own {seam.attribute}")
        except MissingSeam as error:
            self.missing.append((seam, str(error)))
            return False
        setattr(owner, seam.attribute, function)
        self._originals.append((owner, seam.attribute, None, True))
        return True

    def take_back(self) -> None:
        """Restore every original, the last replaced first."""
        while self._originals:
            owner, attribute, original, inherited = self._originals.pop()
            if inherited:
                delattr(owner, attribute)
            else:
                setattr(owner, attribute, original)


def find_owner(seam: Seam) -> Any:
    """The object that holds the seam's attribute.

    Raises:
        MissingSeam: the module, or the path inside it, is not there.
    """
    try:
        owner: Any = importlib.import_module(seam.module)
    except ImportError as error:
        raise MissingSeam(f"{seam.module} cannot be imported: {error}") from error
    for name in filter(None, seam.owner.split(".")):
        if not hasattr(owner, name):
            raise MissingSeam(f"{seam.module} has no {seam.owner}")
        owner = getattr(owner, name)
    return owner


def end_iterator(iterator: Any) -> None:
    """Let go of what an iterator over a dataset runs on; its threads are waited for."""
    for name in ("_iterator_resource", "_components"):
        vars(iterator).pop(name, None)


def hide_frames(filenames: frozenset[str]) -> None:
    """Keep frames of these files out of the stacks that TensorFlow stores with graph ops.

    TensorFlow prints those stacks in its error messages.

    Raises:
        MissingSeam: this version filters its stacks in another way.
    """
    try:
        tf_stack = importlib.import_module("tensorflow.python.util.tf_stack")
        stacks = tf_stack._source_filter_stacks
        sentinel = tf_stack.SentinelFilter
    except (ImportError, AttributeError) as error:
        raise MissingSeam(f"stack filter of TensorFlow: {error}") from error

    class OwnFilter(sentinel):  # type: ignore[misc, valid-type]
        def get_filtered_filenames(self) -> frozenset[str]:
            return filenames

    def bottom() -> list[Any]:
        lowest = OwnFilter()
        lowest.update()
        return [lowest]

    stacks.default_factory = bottom
    for key in list(stacks):
        stacks[key][0] = bottom()[0]


def mapped_stack() -> list[tuple[str, int, str]]:
    """The calling stack, innermost last, AutoGraph's lines mapped back to the user's.

    Each entry is (file name, line, function name).
    """
    tf_stack = importlib.import_module("tensorflow.python.util.tf_stack")
    return _entries(tf_stack.extract_stack())


def creation_stack(operation: Any) -> list[tuple[str, int, str]]:
    """The stack in which a graph's op was made, in the form of `mapped_stack`."""
    return _entries(operation.traceback or ())


def _entries(frames: Iterable[Any]) -> list[tuple[str, int, str]]:
    return [(frame.filename, frame.lineno, frame.name or "<module>") for frame in frames]


def is_graph_function(graph: Any) -> bool:
    """Whether a graph is the inside of a compiled function and no graph of the user's."""
    func_graph = importlib.import_module("tensorflow.python.framework.func_graph")
    return isinstance(graph, func_graph.FuncGraph)


def node_count(graph: Any) -> int:
    """How many nodes a graph has, without listing them where that can be helped."""
    count = getattr(graph, "num_operations", None)
    if count is None:
        return len(graph.get_operations())
    return int(count() if callable(count) else count)


def latest_signature(cache: Any) -> dict[str, Any] | None:
    """The arguments' types of the latest trace in a function's cache, `None` if it has none."""
    traced = getattr(cache, "_primary", None)
    if not traced:
        return None
    _, function_type = next(reversed(traced))
    return {name: parameter.type_constraint for name, parameter in function_type.parameters.items()}


def functions_run_eagerly() -> bool:
    """Whether `tf.config.run_functions_eagerly(True)` is in force."""
    return bool(importlib.import_module(_EAGER_RUN).functions_run_eagerly())


def eager_tensor(array: Any) -> Any:
    """Make a tensor of an array as an eager op's C++ does with an array among its arguments."""
    ops = importlib.import_module("tensorflow.python.framework.ops")
    context = importlib.import_module("tensorflow.python.eager.context").context()
    context.ensure_initialized()
    return ops.EagerTensor(array, context.device_name, None)


def eager_python_function(function: Any) -> Any:
    """The user's function behind one registered by `tf.py_function`, `None` if it is no such."""
    script_ops = importlib.import_module("tensorflow.python.ops.script_ops")
    if isinstance(function, script_ops.EagerFunc):
        return function._func
    return None


def unconverted(function: Any) -> Any:
    """What stands behind wrappers that `do_not_convert` has put around it; else `function`.

    TensorFlow does so with what graphs call. A function is named by its wrapper, an object that
    is called only by what the wrapper closes over.
    """
    code = getattr(function, "__code__", None)
    if code is None or Path(code.co_filename).parts[-3:] != ("autograph", "impl", "api.py"):
        return function
    if hasattr(function, "__wrapped__"):
        return unconverted(function.__wrapped__)
    return _closed_over(function).get("func", function)


def profiler_session() -> Any:
    """A session of TensorFlow's profiler: `start(directory, options)`, `stop() -> bytes`.

    Raises:
        MissingSeam: this version has none.
    """
    try:
        module = importlib.import_module("tensorflow.python.profiler.internal._pywrap_profiler")
        return module.ProfilerSession()
    except (ImportError, AttributeError) as error:
        raise MissingSeam(f"profiler session: {error}") from error


def quiet_profiler() -> Callable[[], AbstractContextManager[None]]:
    """A context in which the profiler does not print its four lines on standard error.

    TensorFlow's C++ prints them at level INFO. Where it logs by Abseil and
    exports that library's threshold, the threshold is raised for the moment;
    where the user has switched INFO off, there is nothing to do.

    Raises:
        MissingSeam: the lines could not be kept off the program's standard error.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0").strip() not in ("", "0"):
        return nullcontext
    tensorflow = loaded("tensorflow")
    if tuple(int(part) for part in tensorflow.__version__.split(".")[:2]) < ABSEIL_LOGS_SINCE:
        raise MissingSeam(
            "this TensorFlow's profiler prints lines on standard error that cannot be switched off "
            "from inside; with TF_CPP_MIN_LOG_LEVEL=1 in the environment it can be used"
        )
    minimum, set_minimum = _abseil_threshold(Path(tensorflow.__file__).parent)

    @contextmanager
    def quiet() -> Iterator[None]:
        before = minimum()
        set_minimum(max(before, 1))
        try:
            yield
        finally:
            set_minimum(before)

    return quiet


def _abseil_threshold(folder: Path) -> tuple[Any, Any]:
    """Abseil's `MinLogLevel()` and `SetMinLogLevel(level)` in TensorFlow's shared library.

    Their symbols carry Abseil's release, which TensorFlow's headers tell.
    """
    try:
        options = (folder / "include/absl/base/options.h").read_text(encoding="utf-8")
        match = re.search(r"ABSL_OPTION_INLINE_NAMESPACE_NAME\s+(lts_\d+)", options)
        if match is None:
            raise MissingSeam("the release of Abseil in TensorFlow is not known")
        release = match.group(1)
        prefix = f"_ZN4absl{len(release)}{release}"
        library = ctypes.CDLL(str(next(iter(sorted(folder.glob("libtensorflow_framework.*"))))))
        return (
            getattr(library, f"{prefix}11MinLogLevelEv"),
            getattr(library, f"{prefix}14SetMinLogLevelENS0_18LogSeverityAtLeastE"),
        )
    except (OSError, AttributeError, StopIteration) as error:
        raise MissingSeam(f"TensorFlow's log threshold: {error}") from error


def is_called_by_user(frame: Any, foreign: Callable[[str], bool]) -> bool:
    """Whether a frame of TensorFlow's was entered from the user's code and not by TensorFlow.

    Its public doors (decorators, dispatch, the module the symbol is in) lie between.
    """
    while frame is not None and in_library(frame.f_code.co_filename):
        if not frame.f_code.co_filename.endswith(_DOORS):
            return False
        frame = frame.f_back
    return frame is not None and not foreign(frame.f_code.co_filename)


def sequential_model() -> Any:
    """Keras' class of sequential models."""
    return importlib.import_module("keras").Sequential


def in_library(filename: str) -> bool:
    """Whether a file belongs to TensorFlow or Keras themselves."""
    return any(mark in filename for mark in _LIBRARIES)


def loaded(module: str) -> Any:
    """The module if the program has imported it, else `None`. Imports nothing."""
    return sys.modules.get(module)


@dataclass(frozen=True)
class PipelineStage:
    """One stage of a tf.data pipeline that is still alive.

    `kind`: "Batch", "ParallelMap", … `inputs`: the datasets it reads. `function`: the
    Python function it maps or filters by, `graph` what that was traced to. `settings`: its
    other arguments as numbers, by the names that `Dataset`'s methods have for them; a
    setting that cannot be told is left out. `nbytes`: of the tensors it holds itself.
    """

    dataset: Any
    kind: str
    inputs: tuple[Any, ...]
    function: Callable[..., Any] | None
    graph: Any
    settings: dict[str, Any]
    nbytes: int


_SETTINGS = {
    "_batch_size": "batch_size",
    "_drop_remainder": "drop_remainder",
    "_num_parallel_calls": "num_parallel_calls",
    "_deterministic": "deterministic",
    "_buffer_size": "buffer_size",
    "_count": "count",
    "_num_shards": "num_shards",
    "_index": "index",
}


def pipeline_stage(dataset: Any) -> PipelineStage:
    """What the last stage of a dataset is."""
    wrapped = getattr(dataset, "_map_func", None) or getattr(dataset, "_predicate", None)
    settings = {}
    for attribute, name in _SETTINGS.items():
        value: Any = getattr(dataset, attribute, None)
        if hasattr(value, "numpy"):
            value = value.numpy()
        if hasattr(value, "item") and not getattr(value, "ndim", 0):
            value = value.item()
        if isinstance(value, (int, str)):
            settings[name] = value
    held = getattr(dataset, "_tensors", None)
    return PipelineStage(
        dataset,
        pipeline_kind(dataset),
        tuple(dataset._inputs()) if hasattr(dataset, "_inputs") else (),
        getattr(wrapped, "_func", None),
        getattr(getattr(wrapped, "function", None), "graph", None),
        settings,
        sum(_held_bytes(tensor) for tensor in held) if isinstance(held, list) else 0,
    )


def zipped_datasets(dataset: Any) -> Any:
    """The datasets that `Dataset.zip` was given, in the structure of its elements."""
    return dataset._datasets


def pipeline_kind(dataset: Any) -> str:
    """The name of a dataset's last stage: "Batch", "ParallelMap", …"""
    return type(dataset).__name__.strip("_").removesuffix("Dataset").removesuffix("V2")


def cache_file(dataset: Any) -> str:
    """The file in which a stage keeps its elements; empty where it keeps none, or in memory."""
    name: Any = getattr(dataset, "_filename", None)
    content = name.numpy() if hasattr(name, "numpy") else b""
    return os.fsdecode(content) if isinstance(content, bytes) else ""


def _held_bytes(tensor: Any) -> int:
    # Strings are counted as the pointers they are held by.
    count = tensor.shape.num_elements() if hasattr(tensor, "shape") else None
    return 0 if count is None else int(count) * max(int(tensor.dtype.size), 1)


def pipeline_generator(flat_map: Callable[..., Any] | None) -> tuple[Any, tuple[Any, ...]] | None:
    """The generator that `Dataset.from_generator` was given, and its `args`.

    `flat_map` is the `function` of the stage that `from_generator` makes last. `None` where
    it is another function.
    """
    begin = _closed_over(flat_map).get("get_iterator_id_fn")
    given = _closed_over(begin)
    generator = getattr(given.get("generator_state"), "_generator", None)
    return None if generator is None else (generator, tuple(given.get("args", ())))


def _closed_over(function: Any) -> dict[str, Any]:
    """The variables that a Python function has from around it."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells:
        return {}
    found = {}
    for name, cell in zip(code.co_freevars, cells, strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # a cell that is still empty
            continue
    return found


def bound_owner(function: Any) -> Any:
    """The object whose method a compiled function is, `None` where it is no method."""
    # AutoGraph puts its own code in the place of the method that is wrapped.
    method = getattr(function.python_function, "__original_wrapped__", None)
    return getattr(getattr(method, "__self__", None), "target", None)


def compiled_again(function: Any, **changes: Any) -> Any:
    """A new compiled function of the same Python function with the same options, but `changes`.

    `changes` are arguments of `tf.function`. The new one has no traces.
    """
    options = {
        "python_function": function.python_function,
        "name": function._name,
        "input_signature": function.input_signature,
        "autograph": function._autograph,
        "jit_compile": function._jit_compile,
        "reduce_retracing": function._reduce_retracing,
        "experimental_attributes": dict(function._attributes),
        "experimental_autograph_options": function._experimental_autograph_options,
    }
    return type(function)(**{**options, **changes})


def uses_xla(function: Any) -> bool:
    """Whether a compiled function asks for XLA."""
    return bool(function._jit_compile)


def is_compiled_by_xla(graph: Any) -> bool:
    """Whether ops that are added to a graph are for XLA; true where that cannot be told."""
    try:
        control_flow = importlib.import_module("tensorflow.python.ops.control_flow_util")
        return bool(control_flow.GraphOrParentsInXlaContext(graph))
    except (ImportError, AttributeError):
        return True


def default_graph() -> Any:
    """TensorFlow 1's graph that ops are added to now."""
    return importlib.import_module("tensorflow").compat.v1.get_default_graph()


def run_eager_op(*arguments: Any) -> Any:
    """Run an eager op with the arguments that the seam `EAGER_OP` was called with."""
    return importlib.import_module(EAGER_OP.module).TFE_Py_FastPathExecute(*arguments)


def is_stateful(op: str) -> bool:
    """Whether an op of this type does more than to compute from its inputs."""
    registry = importlib.import_module("tensorflow.python.framework.op_def_registry")
    definition = registry.get(op)
    return definition is None or bool(definition.is_stateful)


def op_types(function: Any) -> frozenset[str]:
    """The types of all ops in the traces of a compiled function, and in what those call."""
    found: set[str] = set()
    for concrete in function._list_all_concrete_functions():
        found.update(operation.type for operation in concrete.graph.get_operations())
        for inner in concrete.graph.as_graph_def().library.function:
            found.update(node.op for node in inner.node_def)
    return frozenset(found)


CLOSED_AT_EXIT = ("optree", "h5py")
"""Libraries under Keras that cannot be used any more once their exit handlers have run."""


def is_closed_at_exit(frame: Any) -> bool:
    """Whether a frame, or what imports the module it initialises, belongs to one of those."""
    own = __name__.partition(".")[0]
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        # Importing goes through importlib, and through what watches imports.
        if package not in ("importlib", "_frozen_importlib", "_frozen_importlib_external", own):
            return package in CLOSED_AT_EXIT
        frame = frame.f_back
    return False


def loaded_keras() -> list[Any]:
    """The packages of Keras that the program has imported: the present one, the one before."""
    return [module for name in ("keras", "tf_keras") if (module := loaded(name)) is not None]
