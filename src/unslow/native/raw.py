"""Ops that were added to a graph by other means than `ops.call`, as steps to print."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from unslow.native import ops


def written_down(make: Callable[[], Any]) -> Any:
    """Call `make`, and write down the ops that it adds to the present graph, one by one.

    Each becomes a call in `tf.raw_ops`. Nothing is written where nothing is being recorded.
    """
    if not ops.is_recording() or tf.executing_eagerly():
        return make()
    graph = tf.compat.v1.get_default_graph()
    before = len(graph.get_operations())
    result = make()
    outer = {id(inner): tensor for tensor, inner in getattr(graph, "captures", ())}
    for operation in graph.get_operations()[before:]:
        if operation.type != "Placeholder":
            ops.note(*_step(operation, outer))
    return result


def _step(
    operation: Any, outer: dict[int, Any]
) -> tuple[str, tuple[Any, ...], dict[str, Any], Any]:
    """The name, arguments and results of an op, as a call of `tf.raw_ops` has them."""
    definition = operation.op_def
    if operation.type == "Const":
        value = tf.make_ndarray(operation.get_attr("value"))
        return "tf.constant", (value,), {"dtype": operation.outputs[0].dtype}, operation.outputs[0]
    inferred = set()
    given: dict[str, Any] = {}
    # What comes from a graph around this one goes by its name there.
    inputs = iter([outer.get(id(each), each) for each in operation.inputs])
    for each in definition.input_arg:
        inferred |= {each.type_attr, each.number_attr, each.type_list_attr}
        count = _count(operation, each)
        given[each.name] = next(inputs) if count is None else [next(inputs) for _ in range(count)]
    for attribute in definition.attr:
        if attribute.name not in inferred:
            given[attribute.name] = _attribute(operation, attribute)
    outputs = list(operation.outputs)
    several = len(definition.output_arg) > 1 or any(
        _count(operation, each) is not None for each in definition.output_arg
    )
    name = operation.type
    return f"tf.raw_ops.{name}", (), _renamed(name, given), outputs if several else outputs[0]


def _renamed(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The arguments by the names that Python has for them, which differ from the op's for some."""
    function = getattr(tf.raw_ops, name, None)
    if function is None:
        return {"name": ops.Unprintable(f"{name} has no function in tf.raw_ops")}
    wanted = [each for each in inspect.signature(function).parameters if each != "name"]
    others = iter([each for each in wanted if each not in given])
    renamed = {each if each in wanted else next(others, each): given[each] for each in given}
    if not set(renamed) <= set(wanted):
        return {"name": ops.Unprintable(f"{name} has other arguments in Python")}
    return renamed


def _count(operation: Any, argument: Any) -> int | None:
    """How many tensors an argument of an op is; `None` where it is one and no list."""
    if argument.number_attr:
        return int(operation.get_attr(argument.number_attr))
    if argument.type_list_attr:
        return len(operation.get_attr(argument.type_list_attr))
    return None


def _attribute(operation: Any, attribute: Any) -> Any:
    if attribute.type == "func":
        return ops.Unprintable(f"{operation.type} has a function inside")
    value = operation.get_attr(attribute.name)
    if attribute.type == "shape":
        return tf.TensorShape(value)
    if attribute.type == "tensor":
        return tf.make_ndarray(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(each) for each in value] if isinstance(value, list) else value
