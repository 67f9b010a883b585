"""Executes statements."""

from __future__ import annotations

import ast
import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native.interpreter.expressions import evaluate
from unslow.native.interpreter.flow import BREAK, CONTINUE, NORMAL, RETURN, Flow, settled
from unslow.native.interpreter.frames import Closure, Frame, around, bound, signature_of
from unslow.native.interpreter.loops import run_for, run_while
from unslow.native.interpreter.objects import iterated, operands
from unslow.native.interpreter.source import code_from, code_of, leaves
from unslow.native.interpreter.values import binary, subscript
from unslow.native.tracing.array import Array, is_traced, outside
from unslow.native.tracing.control import branch, truth
from unslow.native.tracing.merging import MISSING
from unslow.native.tracing.sequences import Flat, Sequence
from unslow.native.tracing.state import Undefined, make, may_change, session
from unslow.native.untranslatable import Untranslatable

DEPTH = 60
"""How deep functions may call one another."""

_OPERATORS: dict[type, str] = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
}


def run_function(function: types.FunctionType, args: Any, kwargs: dict[str, Any]) -> Any:
    """Call a function of the user's."""
    frame = Frame(code_of(function), None, around(function), function.__globals__)
    signature = inspect.signature(function, follow_wrapped=False)
    return _run(frame, bound(signature, args, kwargs))


def run_closure(closure: Closure, args: Any, kwargs: dict[str, Any]) -> Any:
    """Call a function that was made while another ran."""
    return _run(Frame(closure.code, closure.frame), bound(closure.signature, args, kwargs))


def _run(frame: Frame, arguments: dict[str, Any]) -> Any:
    stack = session().stack
    if len(stack) > DEPTH:
        raise Untranslatable(f"functions call one another more than {DEPTH} times deep")
    for name, value in arguments.items():
        frame.assign(name, value)
    stack.append(frame)
    depth = len(stack)
    node = frame.code.node
    if isinstance(node, ast.Lambda):
        result = evaluate(node.body, frame)
    else:
        result = settled(execute(node.body, frame))
    del stack[depth - 1 :]
    return result


def execute(statements: list[Any], frame: Frame) -> Flow:
    """Run statements until one leaves the block, on the course of the graph if need be."""
    for place, statement in enumerate(statements):
        rest = statements[place + 1 :]
        if isinstance(statement, ast.If):
            test = truth(evaluate(statement.test, frame))
            if is_traced(test) and leaves([statement], (ast.Return, ast.Break, ast.Continue)):
                ended: Flow = _located(statement, frame, _both(test, statement, rest, frame))
                return ended
            flow: Flow = _located(statement, frame, _both(test, statement, [], frame))
        else:
            flow = _statement(statement, frame)
        if isinstance(flow.kind, Array):
            left = functools.partial(_itself, _only_way(statement, flow))
            goes_on = truth(flow.kind == NORMAL.kind)
            rested: Flow = branch(goes_on, functools.partial(execute, rest, frame), left)
            return rested
        if flow.kind != NORMAL.kind:
            return flow
    return NORMAL


def _itself(flow: Flow) -> Flow:
    return flow


def _only_way(statement: Any, flow: Flow) -> Flow:
    """The flow of a block that was left, if there is but one way that it can be left."""
    ways = {ast.Return: RETURN, ast.Break: BREAK, ast.Continue: CONTINUE}
    found = [kind for node, kind in ways.items() if leaves([statement], (node,))]
    return Flow(found[0], flow.value) if len(found) == 1 else flow


def _both(test: Any, statement: ast.If, rest: list[Any], frame: Frame) -> Callable[[], Flow]:
    def run() -> Flow:
        return branch(  # type: ignore[no-any-return]
            test,
            lambda: execute([*statement.body, *rest], frame),
            lambda: execute([*statement.orelse, *rest], frame),
        )

    return run


def _located(statement: Any, frame: Frame, run: Callable[[], Any]) -> Any:
    """Run, and let what is raised name the statement."""
    try:
        return run()
    except Untranslatable as error:
        if error.line is None:
            error.path, error.line = frame.code.path, statement.lineno
            error.expression = ast.unparse(statement).split("\n")[0]
        raise
    except RecursionError:
        raise
    except Exception as error:
        # The user's program would fail here too, or TensorFlow does not take the shapes.
        line, text = statement.lineno, ast.unparse(statement).split("\n")[0]
        reason = f"{type(error).__name__}: {error}"
        raise Untranslatable(reason, frame.code.path, line, text) from error


def _statement(statement: Any, frame: Frame) -> Flow:
    handler = _HANDLERS.get(type(statement))

    def run() -> Flow:
        if handler is None:
            kind = type(statement).__name__.lower()
            raise Untranslatable(f"Python's `{kind}` statement has no translation")
        return handler(statement, frame) or NORMAL

    found: Flow = _located(statement, frame, run)
    return found


def assign_to(target: Any, value: Any, frame: Frame) -> None:
    """`target = value`."""
    if isinstance(target, ast.Name):
        frame.bind(target.id, value)
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack(target.elts, value, frame)
    elif isinstance(target, ast.Subscript):
        set_item(evaluate(target.value, frame), evaluate(target.slice, frame), value)
    elif isinstance(target, ast.Attribute):
        owner = evaluate(target.value, frame)
        if isinstance(owner, Array) and target.attr in ("real", "imag", "flat"):
            getattr(owner, target.attr)[...] = value
            return
        raise Untranslatable(f"the attribute `{target.attr}` is set: a side effect")
    else:
        raise Untranslatable(f"assignment to {type(target).__name__}")


def _unpack(targets: list[Any], value: Any, frame: Frame) -> None:
    values = list(iterated(value))
    starred = [place for place, each in enumerate(targets) if isinstance(each, ast.Starred)]
    if starred:
        place, after = starred[0], len(targets) - starred[0] - 1
        if len(values) < len(targets) - 1:
            raise Untranslatable("Python raises ValueError: not enough values to unpack")
        middle = make(values[place : len(values) - after])
        tail = values[len(values) - after :]
        values = [*values[:place], middle, *tail]
        targets = [e.value if isinstance(e, ast.Starred) else e for e in targets]
    if len(values) != len(targets):
        raise Untranslatable("Python raises ValueError: another number of values to unpack")
    for target, each in zip(targets, values, strict=True):
        assign_to(target, each, frame)


def set_item(owner: Any, key: Any, value: Any) -> None:
    """`owner[key] = value`."""
    if isinstance(owner, (Array, Flat)):
        owner[key] = value
    elif isinstance(owner, (np.ndarray, Sequence)):
        raise Untranslatable("an array or list from outside is changed: a side effect")
    elif isinstance(owner, (list, dict)) and may_change(owner):
        if isinstance(key, Array):
            key = key.__index__()
        operands(key)
        owner[key] = value
    else:
        raise Untranslatable("a container from outside is changed: a side effect")


def _assign(node: ast.Assign, frame: Frame) -> None:
    value = evaluate(node.value, frame)
    for target in node.targets:
        assign_to(target, value, frame)


def _annotated(node: ast.AnnAssign, frame: Frame) -> None:
    if node.value is not None:
        assign_to(node.target, evaluate(node.value, frame), frame)


def _augmented(node: ast.AugAssign, frame: Frame) -> None:
    target, kind = node.target, type(node.op)
    if isinstance(target, ast.Subscript):
        owner, key = evaluate(target.value, frame), evaluate(target.slice, frame)
        old = subscript(owner, key)
        set_item(owner, key, _changed(kind, old, evaluate(node.value, frame)))
    elif isinstance(target, ast.Name):
        old = frame.look_up(target.id)
        frame.bind(target.id, _changed(kind, old, evaluate(node.value, frame)))
    else:
        raise Untranslatable("an attribute is changed: a side effect")


def _changed(kind: type, old: Any, value: Any) -> Any:
    """The result of `old op= value`."""
    if isinstance(value, np.ndarray):
        value = outside(value)
    if isinstance(old, Array) and old._kind == "array":
        from unslow.native.tracing.operators import operate_in_place

        return operate_in_place(_OPERATORS[kind], old, value)
    if isinstance(old, np.ndarray):
        raise Untranslatable("an array from outside is changed: a side effect")
    if isinstance(old, list):
        if not may_change(old):
            raise Untranslatable("a list from outside is changed: a side effect")
        if kind is ast.Add:
            old += list(iterated(value))
            return old
    if hasattr(type(old), f"__i{_OPERATORS[kind]}__") and not isinstance(old, Array):
        raise Untranslatable(f"an object of {type(old).__name__} is changed in place")
    return binary(kind, old, value)


def _expression(node: ast.Expr, frame: Frame) -> None:
    if not isinstance(node.value, ast.Constant):
        evaluate(node.value, frame)


def _return(node: ast.Return, frame: Frame) -> Flow:
    return Flow(RETURN, None if node.value is None else evaluate(node.value, frame))


def _define(node: ast.FunctionDef, frame: Frame) -> None:
    function: Any = Closure(
        code_from(node, frame.code.path),
        frame,
        signature_of(
            node.args,
            [evaluate(each, frame) for each in node.args.defaults],
            [None if e is None else (evaluate(e, frame),) for e in node.args.kw_defaults],
        ),
    )
    if node.decorator_list:
        raise Untranslatable("a decorator on a function inside the function")
    frame.bind(node.name, function)


def _nonlocal(node: ast.Nonlocal, frame: Frame) -> None:
    frame.outer |= set(node.names)


def _global(node: ast.Global, frame: Frame) -> None:
    raise Untranslatable("global names are set: a side effect")


def _delete(node: ast.Delete, frame: Frame) -> None:
    for target in node.targets:
        if isinstance(target, ast.Name):
            frame.look_up(target.id)
            frame.bind(target.id, Undefined("it was deleted"))
        elif isinstance(target, ast.Subscript):
            owner, key = evaluate(target.value, frame), evaluate(target.slice, frame)
            if not may_change(owner):
                raise Untranslatable("a container from outside is changed: a side effect")
            del owner[key]
        else:
            raise Untranslatable("an attribute is deleted: a side effect")


def _assert(node: ast.Assert, frame: Frame) -> None:
    test = truth(evaluate(node.test, frame))
    if is_traced(test):
        raise Untranslatable("an assertion about values of the graph")
    if not test:
        raise Untranslatable("Python raises AssertionError")


def _raise(node: ast.Raise, frame: Frame) -> None:
    raise Untranslatable("an exception is raised")


def _with(node: ast.With, frame: Frame) -> Flow:
    for item in node.items:
        manager = evaluate(item.context_expr, frame)
        if not isinstance(manager, np.errstate):
            raise Untranslatable("a context other than np.errstate")
        if item.optional_vars is not None:
            assign_to(item.optional_vars, manager, frame)
    return execute(node.body, frame)


def _import(node: Any, frame: Frame) -> None:
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            if node.level:
                raise Untranslatable("an import relative to the module")
            module = __import__(node.module or "", fromlist=[alias.name])
            frame.bind(alias.asname or alias.name, getattr(module, alias.name))
        else:
            module = __import__(alias.name)
            name = alias.asname or alias.name.split(".")[0]
            if alias.asname:
                for part in alias.name.split(".")[1:]:
                    module = getattr(module, part)
            frame.bind(name, module)


def _try(node: ast.Try, frame: Frame) -> Flow:
    # Whether it raises is not known; if it does not, this is what happens.
    if leaves([*node.body, *node.orelse], (ast.Return, ast.Break, ast.Continue)) and node.finalbody:
        raise Untranslatable("a block with `finally` is left")
    flow = execute([*node.body, *node.orelse, *node.finalbody], frame)
    if node.handlers:
        raise Untranslatable("an exception is caught: whether it is raised is not known")
    return flow


def _break(node: ast.Break, frame: Frame) -> Flow:
    return Flow(BREAK, MISSING)


def _continue(node: ast.Continue, frame: Frame) -> Flow:
    return Flow(CONTINUE, MISSING)


def _pass(node: ast.Pass, frame: Frame) -> None:
    return None


def _for(node: ast.For, frame: Frame) -> Flow:
    return run_for(node, frame, execute, assign_to)


def _while(node: ast.While, frame: Frame) -> Flow:
    return run_while(node, frame, execute)


_HANDLERS: dict[type, Callable[[Any, Frame], Flow | None]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Expr: _expression,
    ast.Return: _return,
    ast.FunctionDef: _define,
    ast.Nonlocal: _nonlocal,
    ast.Global: _global,
    ast.Delete: _delete,
    ast.Assert: _assert,
    ast.Raise: _raise,
    ast.With: _with,
    ast.Import: _import,
    ast.ImportFrom: _import,
    ast.Try: _try,
    ast.Break: _break,
    ast.Continue: _continue,
    ast.Pass: _pass,
    ast.For: _for,
    ast.While: _while,
}
