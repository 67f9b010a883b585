"""Evaluates expressions."""

from __future__ import annotations

import ast
import operator
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from unslow.native.dispatch import any_traced
from unslow.native.interpreter.calls import call
from unslow.native.interpreter.frames import Closure, Frame, signature_of
from unslow.native.interpreter.objects import attribute_of, iterated, operands
from unslow.native.interpreter.source import code_from
from unslow.native.interpreter.values import binary, compare, negation, subscript
from unslow.native.tracing.array import is_traced, outside
from unslow.native.tracing.control import branch, truth
from unslow.native.tracing.sequences import Generator
from unslow.native.tracing.state import make, session
from unslow.native.untranslatable import Untranslatable


def evaluate(node: Any, frame: Frame) -> Any:
    """The value of an expression.

    Raises:
        Untranslatable: with the path, line and expression it is about.
    """
    handler = _HANDLERS.get(type(node))
    try:
        if handler is None:
            raise Untranslatable(f"Python's {type(node).__name__} has no translation")
        return handler(node, frame)
    except Untranslatable as error:
        if error.line is None:
            error.path, error.line = frame.code.path, node.lineno
            error.expression = ast.unparse(node)
        raise
    except RecursionError:
        raise
    except Exception as error:
        # The user's program would fail here too, or TensorFlow does not take the shapes.
        raise Untranslatable(
            f"{type(error).__name__}: {error}", frame.code.path, node.lineno, ast.unparse(node)
        ) from error


def _constant(node: ast.Constant, frame: Frame) -> Any:
    return node.value


def _name(node: ast.Name, frame: Frame) -> Any:
    return frame.look_up(node.id)


def _attribute(node: ast.Attribute, frame: Frame) -> Any:
    return attribute_of(evaluate(node.value, frame), node.attr)


def _binary(node: ast.BinOp, frame: Frame) -> Any:
    return binary(type(node.op), evaluate(node.left, frame), evaluate(node.right, frame))


def _unary(node: ast.UnaryOp, frame: Frame) -> Any:
    value = evaluate(node.operand, frame)
    if isinstance(value, np.ndarray):
        value = outside(value)
    if isinstance(node.op, ast.Not):
        return negation(truth(value))
    operands(value)
    function: dict[type, Any] = {
        ast.USub: operator.neg,
        ast.UAdd: operator.pos,
        ast.Invert: operator.invert,
    }
    return function[type(node.op)](value)


def _boolean(node: ast.BoolOp, frame: Frame) -> Any:
    is_and = isinstance(node.op, ast.And)

    def rest(place: int) -> Any:
        value = evaluate(node.values[place], frame)
        if place == len(node.values) - 1:
            return value
        test = truth(value)
        if is_and:
            return branch(test, lambda: rest(place + 1), lambda: _falsy(value, test))
        return branch(test, lambda: _falsy(value, test), lambda: rest(place + 1))

    return rest(0)


def _falsy(value: Any, test: Any) -> Any:
    return value


def _compare(node: ast.Compare, frame: Frame) -> Any:
    left = evaluate(node.left, frame)

    def rest(left: Any, place: int) -> Any:
        right = evaluate(node.comparators[place], frame)
        value = compare(type(node.ops[place]), left, right)
        if place == len(node.ops) - 1:
            return value
        return branch(truth(value), lambda: rest(right, place + 1), lambda: value)

    return rest(left, 0)


def _conditional(node: ast.IfExp, frame: Frame) -> Any:
    test = truth(evaluate(node.test, frame))
    return branch(test, lambda: evaluate(node.body, frame), lambda: evaluate(node.orelse, frame))


def _call(node: ast.Call, frame: Frame) -> Any:
    function = evaluate(node.func, frame)
    args: list[Any] = []
    for each in node.args:
        if isinstance(each, ast.Starred):
            args += list(iterated(evaluate(each.value, frame)))
        else:
            args.append(evaluate(each, frame))
    kwargs: dict[str, Any] = {}
    for keyword in node.keywords:
        value = evaluate(keyword.value, frame)
        kwargs.update(value if keyword.arg is None else {keyword.arg: value})
    if getattr(function, "__name__", "") in ("locals", "globals", "vars", "super", "eval", "exec"):
        raise Untranslatable(f"{function.__name__}() of the running function")
    return call(function, tuple(args), kwargs)


def _subscript(node: ast.Subscript, frame: Frame) -> Any:
    value = evaluate(node.value, frame)
    return subscript(value, evaluate(node.slice, frame))


def _slice(node: ast.Slice, frame: Frame) -> Any:
    return slice(
        *[None if e is None else evaluate(e, frame) for e in (node.lower, node.upper, node.step)]
    )


def _elements(nodes: list[Any], frame: Frame) -> Iterator[Any]:
    for each in nodes:
        if isinstance(each, ast.Starred):
            yield from iterated(evaluate(each.value, frame))
        else:
            yield evaluate(each, frame)


def _tuple(node: ast.Tuple, frame: Frame) -> Any:
    return tuple(_elements(node.elts, frame))


def _list(node: ast.List, frame: Frame) -> Any:
    return make(list(_elements(node.elts, frame)))


def _set(node: ast.Set, frame: Frame) -> Any:
    values = list(_elements(node.elts, frame))
    if any_traced(values):
        raise Untranslatable("a set of what the graph knows")
    operands(values)
    return make(set(values))


def _dict(node: ast.Dict, frame: Frame) -> Any:
    found: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if key is None:
            found.update(evaluate(value, frame))
        else:
            name = evaluate(key, frame)
            operands(name)
            found[name] = evaluate(value, frame)
    return make(found)


def _lambda(node: Any, frame: Frame) -> Any:
    defaults = [evaluate(each, frame) for each in node.args.defaults]
    named = [None if e is None else (evaluate(e, frame),) for e in node.args.kw_defaults]
    return Closure(
        code_from(node, frame.code.path), frame, signature_of(node.args, defaults, named)
    )


def _comprehension(node: Any, frame: Frame) -> Any:
    inner = Frame(frame.code, frame)
    inner.is_comprehension = True
    first = iterated(evaluate(node.generators[0].iter, frame))
    inner.assign(".0", first)
    values = _produced(node, inner, 0, iter(first))
    if isinstance(node, ast.GeneratorExp):
        return Generator(types.GeneratorType, values, inner)
    session().stack.append(inner)
    found = list(values)
    session().stack.remove(inner)
    if isinstance(node, ast.DictComp):
        return make(dict(found))
    if isinstance(node, ast.SetComp):
        if any_traced(found):
            raise Untranslatable("a set of what the graph knows")
        return make(set(found))
    return make(found)


def _produced(node: Any, inner: Frame, place: int, values: Iterator[Any]) -> Iterator[Any]:
    """What a comprehension makes, from one of its `for`s on."""
    from unslow.native.interpreter.statements import assign_to

    generator = node.generators[place]
    for value in values:
        assign_to(generator.target, value, inner)
        if not all(_is_kept(each, inner) for each in generator.ifs):
            continue
        if place + 1 < len(node.generators):
            following = iterated(evaluate(node.generators[place + 1].iter, inner))
            yield from _produced(node, inner, place + 1, iter(following))
        elif isinstance(node, ast.DictComp):
            yield evaluate(node.key, inner), evaluate(node.value, inner)
        else:
            yield evaluate(node.elt, inner)


def _is_kept(condition: Any, inner: Frame) -> Any:
    test = truth(evaluate(condition, inner))
    if is_traced(test):
        raise Untranslatable("how long the list is hangs on values of the graph")
    return test


def _walrus(node: ast.NamedExpr, frame: Frame) -> Any:
    value = evaluate(node.value, frame)
    frame.function_frame().bind(node.target.id, value)
    return value


def _text(node: ast.JoinedStr, frame: Frame) -> Any:
    parts = []
    for part in node.values:
        parts.append(evaluate(part, frame) if isinstance(part, ast.FormattedValue) else part.value)  # type: ignore[attr-defined]
    return "".join(parts)


def _formatted(node: ast.FormattedValue, frame: Frame) -> Any:
    value = evaluate(node.value, frame)
    if any_traced(value):
        raise Untranslatable("values of the graph cannot become text")
    operands(value)
    from unslow.native.dispatch import known

    spec = _text(node.format_spec, frame) if isinstance(node.format_spec, ast.JoinedStr) else ""
    convert: Any = {ord("r"): repr, ord("s"): str, ord("a"): ascii}.get(node.conversion)
    plain = known(value)
    return format(convert(plain) if convert else plain, spec)


_HANDLERS: dict[type, Callable[[Any, Frame], Any]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.IfExp: _conditional,
    ast.Call: _call,
    ast.Subscript: _subscript,
    ast.Slice: _slice,
    ast.Tuple: _tuple,
    ast.List: _list,
    ast.Set: _set,
    ast.Dict: _dict,
    ast.Lambda: _lambda,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.NamedExpr: _walrus,
    ast.JoinedStr: _text,
    ast.FormattedValue: _formatted,
}
