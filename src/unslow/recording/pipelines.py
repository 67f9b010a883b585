"""What the stages of a tf.data pipeline are, and what their functions do, told by their graphs."""

from __future__ import annotations

from typing import Any

from unslow import seams

MOST_STAGES = 64

MOST_OPS = 200
"""Ops of a mapped function; a larger one is not looked through."""

MOST_NUMBERS = 2**15
"""Numbers of a row up to which the call of a cheap function takes longer than its work."""

_PYTHON = frozenset({"PyFunc", "EagerPyFunc", "PyFuncStateless"})

_NO_WORK = frozenset({"Placeholder", "Const", "Identity", "IdentityN", "NoOp", "StopGradient"})

_ONE_BY_ONE = frozenset(
    {
        *("Cast", "Neg", "Abs", "Sign", "Square", "Sqrt", "Rsqrt", "Exp", "Log", "Log1p", "Tanh"),
        *("Sin", "Cos", "Sigmoid", "Relu", "Relu6", "Round", "Floor", "Ceil", "LogicalNot"),
        *("StringToNumber", "StringLower", "StringUpper", "StringStrip", "DecodeCSV"),
        *("IsNan", "Reciprocal", "Erf", "Softplus", "Inv", "ZerosLike", "OnesLike"),
    }
)
"""Ops that make each number of their result of one number, at the same place."""

_OF_SEVERAL = frozenset(
    {
        *("Add", "AddV2", "AddN", "Sub", "Mul", "Div", "RealDiv", "FloorDiv", "FloorMod", "Pow"),
        *("Maximum", "Minimum", "SquaredDifference", "TruncateMod", "DivNoNan", "MulNoNan"),
        *("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"),
        *("LogicalAnd", "LogicalOr", "SelectV2", "ClipByValue", "BitwiseAnd"),
    }
)
"""Ops that do so with the numbers at one place of several tensors of one rank."""


def chain(dataset: Any) -> tuple[seams.PipelineStage, ...]:
    """The stages of a pipeline, the last first; of several inputs the first is followed."""
    found: list[seams.PipelineStage] = []
    while dataset is not None and len(found) < MOST_STAGES:
        stage = seams.pipeline_stage(dataset)
        found.append(stage)
        dataset = stage.inputs[0] if stage.inputs else None
    return tuple(found)


def held(dataset: Any) -> tuple[seams.PipelineStage, ...]:
    """The stages of a pipeline, of all its inputs, that hold data in memory themselves."""
    found: list[seams.PipelineStage] = []
    waiting, seen = [dataset], 0
    while waiting and seen < 4 * MOST_STAGES:
        stage = seams.pipeline_stage(waiting.pop())
        if stage.nbytes:
            found.append(stage)
        waiting += stage.inputs
        seen += 1
    return tuple(found)


def work_of(stage: seams.PipelineStage) -> str:
    """What the function of a stage does, in the words of `data.Stage`."""
    if stage.function is None or stage.graph is None:
        return ""
    ops = stage.graph.get_operations()
    if any(op.type in _PYTHON for op in ops):
        return "python"
    if any(op.op_def is not None and op.op_def.is_stateful for op in ops):
        return "stateful"
    if len(ops) > MOST_OPS:
        return "plain"
    alike = all(_is_alike(op) for op in ops)
    parses = sum(_parses_one(op) for op in ops)
    large = any(
        (tensor.shape.num_elements() or 0) > MOST_NUMBERS for op in ops for tensor in op.outputs
    )
    if not alike or large or parses > 1:
        return "plain"
    return "parses" if parses else "alike"


def _is_alike(op: Any) -> bool:
    if op.type in _NO_WORK or op.type in _ONE_BY_ONE:
        return True
    if op.type in ("Pack", "ConcatV2", "Unpack", "OneHot"):
        return _counts_from_the_back(op) and _one_rank(op)
    return (op.type in _OF_SEVERAL and _one_rank(op)) or _parses_one(op)


def _counts_from_the_back(op: Any) -> bool:
    """Whether the axis that an op works along is there in a batch as well, at the same place."""
    if op.type == "ConcatV2":
        axis = op.inputs[-1].op
        return axis.type == "Const" and _constant(axis) < 0
    return int(op.get_attr("axis")) < 0


def _constant(op: Any) -> int:
    # The first bytes of a scalar are in one of two fields of its protocol buffer.
    value = op.get_attr("value")
    return int(value.int_val[0] if value.int_val else 0)


def _one_rank(op: Any) -> bool:
    """Whether the inputs of an op that belong to rows have one rank, and constants no larger."""
    of_rows: list[int] = []
    fixed = [0]
    for tensor in op.inputs:
        rank = tensor.shape.rank
        if rank is None:
            return False
        (fixed if tensor.op.type == "Const" else of_rows).append(rank)
    return len(set(of_rows)) <= 1 and (not of_rows or max(fixed) <= of_rows[0])


def _parses_one(op: Any) -> bool:
    return bool(op.type == "ParseExampleV2" and op.inputs[0].shape.rank == 0)
