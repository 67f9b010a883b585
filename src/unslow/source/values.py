"""What an expression can be, and what the libraries' functions return."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from unslow.source.module import Module

Kind = Literal[
    "unknown",
    "nothing",
    "none",
    "scalar",
    "string",
    "numpy-scalar",
    "array",
    "tensor",
    "variable",
    "dataset",
    "iterator",
    "model",
    "layer",
    "optimizer",
    "compiled",
    "session",
    "graph",
    "tape",
    "interpreter",
    "list",
    "tuple",
    "dict",
    "function",
    "method",
    "class",
    "instance",
    "module",
    "external",
]

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


@dataclass(frozen=True)
class Value:
    """What an expression is, as far as the source tells.

    `name`: the qualified name of an external thing, or of the class of an instance.
    `dtype`: of tensors, arrays and NumPy scalars; "int", "float" or "bool" of a `scalar`.
    `element`: what a list, tuple, dataset or iterator holds; `items`: each element of a
    tuple or list that is written out. `definition`: where a function, class, instance's
    class or compiled function is defined, in `module`. `call`: the call that made it, in
    `call_module`. `receiver`: what a method is bound to.

    The kind `nothing` is that of a value still being worked out; it never leaves the room.
    """

    kind: Kind = "unknown"
    name: str = ""
    dtype: str | None = None
    element: Value | None = None
    items: tuple[Value, ...] | None = None
    definition: Definition | None = None
    module: Module | None = None
    call: ast.Call | None = None
    call_module: Module | None = None
    receiver: Value | None = None


UNKNOWN_VALUE = Value()
NOTHING = Value("nothing")
NONE = Value("none")
TENSOR = Value("tensor")
STRING = Value("string")


def scalar(dtype: str | None = None) -> Value:
    """A Python number."""
    return Value("scalar", dtype=dtype)


def join(one: Value, other: Value) -> Value:
    """What a value is that may be either. `None` beside another value is that value."""
    if one == other or other.kind in ("nothing", "none"):
        return one
    if one.kind in ("nothing", "none"):
        return other
    if one.kind != other.kind:
        return UNKNOWN_VALUE
    if one.kind in ("function", "class", "module", "external", "method"):
        return UNKNOWN_VALUE
    element = None
    if one.element is not None and other.element is not None:
        element = join(one.element, other.element)
    same_definition = one.definition is other.definition
    if one.kind in ("instance", "compiled") and not same_definition:
        return Value(one.kind) if one.kind == "compiled" else UNKNOWN_VALUE
    return Value(
        one.kind,
        name=one.name if one.name == other.name else "",
        dtype=one.dtype if one.dtype == other.dtype else None,
        element=element,
        definition=one.definition if same_definition else None,
        module=one.module if one.module is other.module else None,
        call=one.call if one.call is other.call else None,
        call_module=one.call_module if one.call is other.call else None,
    )


def join_all(values: Iterable[Value]) -> Value:
    """What a value is that may be any of these."""
    result = NOTHING
    for each in values:
        result = join(result, each)
        if result.kind == "unknown":
            return result
    return result


def _words(prefix: str, text: str) -> frozenset[str]:
    """The names in a text, each behind a prefix."""
    return frozenset(prefix + word for word in text.split())


DTYPES = frozenset(
    {"float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool", "string"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)

KERAS_MODELS = frozenset(
    {
        "keras.Model",
        "keras.Sequential",
        "keras.models.Model",
        "keras.models.Sequential",
        "keras.models.Functional",
        "keras.models.functional.Functional",
        "keras.models.training.Model",
        "keras.models.sequential.Sequential",
    }
)

MODEL_LOADERS = frozenset(
    {
        "keras.models.load_model",
        "keras.models.model_from_json",
        "keras.models.model_from_yaml",
        "keras.models.model_from_config",
        "keras.models.clone_model",
        "keras.saving.load_model",
    }
)

KERAS_LAYERS = frozenset({"keras.Layer", "keras.layers.Layer", "keras.layers.Wrapper"})

INTERPRETERS = frozenset(
    {
        "tensorflow.lite.Interpreter",
        "tensorflow.lite.python.interpreter.Interpreter",
        "tflite_runtime.interpreter.Interpreter",
        "ai_edge_litert.interpreter.Interpreter",
        "ai_edge_litert.Interpreter",
    }
)

DATASETS = frozenset(
    {
        "tensorflow.data.TFRecordDataset",
        "tensorflow.data.TextLineDataset",
        "tensorflow.data.FixedLengthRecordDataset",
        "tensorflow.data.experimental.CsvDataset",
        "tensorflow.data.experimental.make_csv_dataset",
        "tensorflow.data.experimental.make_batched_features_dataset",
        "keras.utils.image_dataset_from_directory",
        "keras.utils.text_dataset_from_directory",
        "keras.utils.timeseries_dataset_from_array",
        "keras.preprocessing.image_dataset_from_directory",
        "keras.preprocessing.text_dataset_from_directory",
        "keras.preprocessing.timeseries_dataset_from_array",
    }
    | {
        f"tensorflow.data.Dataset.{maker}"
        for maker in (
            "from_tensor_slices",
            "from_tensors",
            "from_generator",
            "from_sparse_tensor_slices",
            "range",
            "zip",
            "list_files",
            "random",
            "sample_from_datasets",
            "choose_from_datasets",
            "load",
        )
    }
)

DATASET_METHODS = frozenset(
    {
        "apply",
        "assert_cardinality",
        "batch",
        "bucket_by_sequence_length",
        "cache",
        "concatenate",
        "enumerate",
        "filter",
        "flat_map",
        "group_by_window",
        "ignore_errors",
        "interleave",
        "map",
        "padded_batch",
        "prefetch",
        "ragged_batch",
        "rebatch",
        "rejection_resample",
        "repeat",
        "scan",
        "shard",
        "shuffle",
        "skip",
        "snapshot",
        "sparse_batch",
        "take",
        "take_while",
        "unbatch",
        "unique",
        "window",
        "with_options",
    }
)

_TENSOR_ROOMS = (
    "tensorflow.bitwise.",
    "tensorflow.image.",
    "tensorflow.io.decode_",
    "tensorflow.linalg.",
    "tensorflow.math.",
    "tensorflow.nn.",
    "tensorflow.random.",
    "tensorflow.signal.",
    "tensorflow.strings.",
)

_NO_TENSOR = frozenset(
    {
        "tensorflow.image.combined_non_max_suppression",
        "tensorflow.image.draw_bounding_boxes_v2",
        "tensorflow.image.non_max_suppression_padded",
        "tensorflow.image.non_max_suppression_with_scores",
        "tensorflow.image.sample_distorted_bounding_box",
        "tensorflow.image.stateless_sample_distorted_bounding_box",
        "tensorflow.image.image_gradients",
        "tensorflow.linalg.eigh",
        "tensorflow.linalg.eig",
        "tensorflow.linalg.lu",
        "tensorflow.linalg.qr",
        "tensorflow.linalg.slogdet",
        "tensorflow.linalg.svd",
        "tensorflow.math.top_k",
        "tensorflow.math.in_top_k",
        "tensorflow.math.approx_max_k",
        "tensorflow.math.approx_min_k",
        "tensorflow.math.frexp",
        "tensorflow.nn.batch_normalization_with_global_normalization",
        "tensorflow.nn.bidirectional_dynamic_rnn",
        "tensorflow.nn.ctc_beam_search_decoder",
        "tensorflow.nn.ctc_greedy_decoder",
        "tensorflow.nn.ctc_unique_labels",
        "tensorflow.nn.dynamic_rnn",
        "tensorflow.nn.static_rnn",
        "tensorflow.nn.raw_rnn",
        "tensorflow.nn.fixed_unigram_candidate_sampler",
        "tensorflow.nn.fractional_avg_pool",
        "tensorflow.nn.fractional_max_pool",
        "tensorflow.nn.fused_batch_norm",
        "tensorflow.nn.learned_unigram_candidate_sampler",
        "tensorflow.nn.log_uniform_candidate_sampler",
        "tensorflow.nn.max_pool_with_argmax",
        "tensorflow.nn.moments",
        "tensorflow.nn.normalize_moments",
        "tensorflow.nn.sufficient_statistics",
        "tensorflow.nn.top_k",
        "tensorflow.nn.uniform_candidate_sampler",
        "tensorflow.nn.weighted_moments",
        "tensorflow.nn.all_candidate_sampler",
        "tensorflow.nn.approx_max_k",
        "tensorflow.nn.approx_min_k",
        "tensorflow.random.all_candidate_sampler",
        "tensorflow.random.create_rng_state",
        "tensorflow.random.fixed_unigram_candidate_sampler",
        "tensorflow.random.get_global_generator",
        "tensorflow.random.get_seed",
        "tensorflow.random.learned_unigram_candidate_sampler",
        "tensorflow.random.log_uniform_candidate_sampler",
        "tensorflow.random.set_global_generator",
        "tensorflow.random.set_random_seed",
        "tensorflow.random.set_seed",
        "tensorflow.random.uniform_candidate_sampler",
        "tensorflow.random.split",
        "tensorflow.random.experimental",
        "tensorflow.strings.ngrams",
        "tensorflow.strings.split",
        "tensorflow.strings.unicode_decode",
        "tensorflow.strings.unicode_decode_with_offsets",
        "tensorflow.strings.unicode_encode",
        "tensorflow.strings.unicode_split",
        "tensorflow.strings.unicode_split_with_offsets",
        "tensorflow.strings.bytes_split",
    }
)
"""Functions in those rooms that return something else, several tensors or ragged ones."""

_TENSOR_FUNCTIONS = _words(
    "tensorflow.",
    """
    abs acos acosh add add_n argmax argmin argsort as_string asin asinh atan atan2 atanh
    batch_to_space boolean_mask broadcast_to cast ceil clip_by_average_norm clip_by_norm
    clip_by_value complex concat constant convert_to_tensor cos cosh cumsum div divide
    dynamic_stitch edit_distance einsum ensure_shape equal exp expand_dims eye fill fingerprint
    floor floordiv floormod gather gather_nd greater greater_equal histogram_fixed_width
    identity less less_equal linspace log log1p logical_and logical_not logical_or matmul
    maximum minimum mod multiply negative norm not_equal one_hot ones ones_like pad pow
    random_normal random_uniform range rank read_file realdiv reciprocal reduce_all reduce_any
    reduce_logsumexp reduce_max reduce_mean reduce_min reduce_prod reduce_std reduce_sum repeat
    reshape reverse reverse_sequence roll round rsqrt saturate_cast scatter_nd searchsorted
    sequence_mask shape sigmoid sign sin sinh size slice sort space_to_batch sqrt square squeeze
    squared_difference stack stop_gradient strided_slice string_to_number subtract tan tanh
    tensor_scatter_nd_add tensor_scatter_nd_update tensordot tile transpose truediv
    truncated_normal where zeros zeros_like io.read_file io.serialize_tensor io.parse_tensor
    io.matching_files
    """,
)


def is_tensor_function(name: str) -> bool:
    """Whether the function of this qualified name returns one tensor."""
    if name in _TENSOR_FUNCTIONS:
        return True
    if name in _NO_TENSOR or not name.startswith(_TENSOR_ROOMS):
        return False
    last = name.rpartition(".")[2]
    return last[:1].islower() and name.count(".") == 2


_ARRAY_MAKERS = _words(
    "numpy.",
    """
    arange argsort array asarray ascontiguousarray atleast_1d atleast_2d atleast_3d broadcast_to
    concatenate column_stack cumprod cumsum diag diff dstack empty empty_like expand_dims eye
    flip fliplr flipud frombuffer fromfile fromiter full full_like geomspace hstack identity
    indices linspace loadtxt logspace moveaxis ones ones_like pad random.choice random.normal
    random.permutation random.rand random.randint random.randn random.random
    random.random_sample random.standard_normal random.uniform ravel repeat reshape roll rot90
    sort split squeeze stack swapaxes tile transpose tri tril triu unique vstack zeros
    zeros_like
    """,
)

_FLOAT64_MAKERS = _words(
    "numpy.",
    """
    empty eye geomspace identity linspace logspace ones zeros random.rand random.randn
    random.random random.random_sample random.normal random.standard_normal random.uniform
    loadtxt
    """,
)

_SIZED_RANDOM = frozenset(
    {
        "numpy.random.normal",
        "numpy.random.uniform",
        "numpy.random.randint",
        "numpy.random.random",
        "numpy.random.random_sample",
        "numpy.random.standard_normal",
        "numpy.random.choice",
    }
)
_DIMENSIONED_RANDOM = frozenset({"numpy.random.rand", "numpy.random.randn"})
_NOT_ONE_ARRAY = frozenset({"numpy.split", "numpy.unique", "numpy.random.permutation"})

_REDUCTIONS = frozenset(
    [
        "all",
        "any",
        "argmax",
        "argmin",
        "max",
        "mean",
        "median",
        "min",
        "nanmax",
        "nanmean",
        "nanmin",
        "nansum",
        "prod",
        "ptp",
        "std",
        "sum",
        "var",
        "amax",
        "amin",
        "average",
        "percentile",
        "quantile",
        "count_nonzero",
    ]
)

_UFUNCS = _words(
    "numpy.",
    """
    abs absolute add arccos arcsin arctan ceil clip cos cosh divide exp expm1 floor log log10
    log1p log2 maximum minimum mod multiply negative power reciprocal rint round sign sin sinh
    sqrt square subtract tan tanh
    """,
)

_ARRAY_METHODS = frozenset(
    [
        "astype",
        "copy",
        "flatten",
        "ravel",
        "reshape",
        "transpose",
        "swapaxes",
        "repeat",
        "clip",
        "round",
        "cumsum",
        "squeeze",
        "byteswap",
        "view",
        "conj",
    ]
)

_IMAGE_SIZE = {"cv2.imread", "cv2.resize", "cv2.cvtColor", "cv2.flip", "cv2.GaussianBlur"}

_PYTHON_SCALARS = {"int": "int", "float": "float", "bool": "bool", "len": "int", "ord": "int"}


def dtype_of(name: str | None) -> str | None:
    """The dtype that a qualified name stands for: `tensorflow.float32`, `numpy.float64`."""
    if name is None:
        return None
    room, _, last = name.rpartition(".")
    if room in ("tensorflow", "numpy", "tensorflow.dtypes", "keras") and last in DTYPES:
        return last
    return {"float": "float64", "int": "int64", "bool": "bool"}.get(name)


def numpy_result(
    name: str, arguments: list[Value], given: frozenset[str], dtype: str | None
) -> Value | None:
    """What a NumPy function returns.

    `given`: the names of the keywords of the call; `dtype`: what its dtype argument says,
    "" where it has one that is not known. Returns `None` where that is not known.
    """
    if name in _NOT_ONE_ARRAY:
        return None
    if name in _DIMENSIONED_RANDOM:
        return Value("array", dtype="float64") if arguments else scalar("float")
    if name in _SIZED_RANDOM:
        sized = "size" in given or len(arguments) >= _size_position(name)
        found = "float64" if name in _FLOAT64_MAKERS else None
        return Value("array", dtype=found) if sized else None
    if name in _ARRAY_MAKERS:
        if dtype is None and name in _FLOAT64_MAKERS:
            dtype = "float64"
        if dtype is None and arguments and arguments[0].kind == "array":
            dtype = arguments[0].dtype
        return Value("array", dtype=dtype or None)
    if name in _UFUNCS:
        kinds = {each.kind for each in arguments}
        if "array" in kinds and kinds <= {"array", "scalar", "numpy-scalar"}:
            return Value("array", dtype=arguments[0].dtype if len(arguments) == 1 else None)
        if kinds and kinds <= {"scalar", "numpy-scalar"}:
            return Value("numpy-scalar")
        return None
    last = name.rpartition(".")[2]
    if name == f"numpy.{last}" and last in _REDUCTIONS and arguments:
        return _reduced(arguments[0], given, len(arguments) > 1)
    if dtype_of(name):
        return Value("numpy-scalar", dtype=dtype_of(name))
    return None


def _size_position(name: str) -> int:
    if name in ("numpy.random.random", "numpy.random.random_sample"):
        return 1
    return {"numpy.random.choice": 2, "numpy.random.standard_normal": 1}.get(name, 3)


def _reduced(operand: Value, given: frozenset[str], more: bool) -> Value | None:
    if operand.kind not in ("array", "list", "tuple"):
        return None
    if more or "axis" in given or "keepdims" in given:
        return Value("array")
    return Value("numpy-scalar")


def array_method(receiver: Value, method: str, given: frozenset[str], more: bool) -> Value | None:
    """What a method of an array returns; `None` where that is not known."""
    if method in _ARRAY_METHODS:
        return Value("array", dtype=None if method in ("astype", "view") else receiver.dtype)
    if method in _REDUCTIONS or method == "dot":
        return None if method == "dot" else _reduced(receiver, given, more)
    if method == "item":
        return scalar()
    if method == "tolist":
        return Value("list")
    return None


def with_call(value: Value, call: ast.Call, module: Module) -> Value:
    """`value` as made by `call`."""
    return replace(value, call=call, call_module=module)


def external_call(name: str) -> Value | None:
    """What calling the thing of this qualified name returns, whatever its arguments.

    `None` where that is not known.
    """
    if is_tensor_function(name):
        return TENSOR
    if name in DATASETS:
        return Value("dataset", name=name)
    if name in KERAS_MODELS or name in MODEL_LOADERS:
        return Value("model", name=name)
    room, _, last = name.rpartition(".")
    capital = last[:1].isupper()
    if room.startswith("keras.applications") and capital:
        return Value("model", name=name)
    if room.startswith("keras.layers") and capital and last not in ("Input", "InputLayer"):
        return Value("layer", name=name)
    if (room.startswith("keras.optimizers") and capital and room.count(".") <= 3) or (
        room in ("tensorflow.train", "tensorflow.compat.train") and last.endswith("Optimizer")
    ):
        return Value("optimizer", name=name)
    simple: dict[str, Kind] = {
        "tensorflow.Variable": "variable",
        "tensorflow.get_variable": "variable",
        "tensorflow.Session": "session",
        "tensorflow.InteractiveSession": "session",
        "tensorflow.train.MonitoredTrainingSession": "session",
        "tensorflow.Graph": "graph",
        "tensorflow.get_default_graph": "graph",
        "tensorflow.GradientTape": "tape",
        "open": "instance",
    }
    if name in simple:
        return Value(simple[name], name=name)
    if name in INTERPRETERS:
        return Value("interpreter", name=name)
    if name in _IMAGE_SIZE:
        return Value("array", dtype="uint8" if name == "cv2.imread" else None)
    if name in _PYTHON_SCALARS:
        return scalar(_PYTHON_SCALARS[name])
    if name in ("str", "repr", "input", "bytes", "format"):
        return STRING
    if name in ("time.time", "time.perf_counter", "time.monotonic", "random.random"):
        return scalar("float")
    if capital and room and not room.startswith(("tensorflow", "keras", "numpy")):
        return Value("instance", name=name)
    return None
