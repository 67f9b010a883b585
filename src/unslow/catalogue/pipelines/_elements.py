"""What the source does with an element of a dataset, and what the functions that made it read."""

from __future__ import annotations

import ast
import builtins

from unslow.catalogue.pipelines import _consumers, _functions
from unslow.source.bindings import Loop
from unslow.source.module import UNKNOWN, Function, Module

MOST_NODES = 200

_READING = frozenset({"numpy", "shape", "dtype", "ndim", "get_shape", "keys"})
"""Attributes and methods of elements that give nothing by which an element can be changed."""

_READERS = frozenset(
    {"print", "len", "float", "int", "bool", "str", "repr", "type", "isinstance", "sum", "abs"}
    | {"min", "max", "range", "round"}
)

_VIEWS = frozenset(
    f"numpy.{name}" for name in ("asarray", "asanyarray", "ascontiguousarray", "frombuffer")
)

_LIBRARIES = ("tensorflow.", "keras.", "numpy.", "math.")

_CONSTANTS = (int, float, str, bytes, bool, tuple, type(None))


def is_only_read(node: ast.expr, module: Module) -> bool:
    """Whether the program surely changes nothing in an element that may be a dict."""
    return _is_only_read(node, module, set())


def _is_only_read(node: ast.expr, module: Module, seen: set[ast.AST]) -> bool:
    if node in seen:
        return True
    if len(seen) > MOST_NODES:
        return False
    seen.add(node)
    parent = module.parent(node)
    if isinstance(parent, ast.Subscript):
        if parent.value is not node:
            return True
        return isinstance(parent.ctx, ast.Load) and _is_only_read(parent, module, seen)
    if isinstance(parent, ast.Attribute):
        return parent.attr in _READING
    if isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is node:
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        return all(_is_target_read(target, node, module, seen) for target in targets)
    if isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is node:
        return _is_target_read(parent.target, node, module, seen)
    if isinstance(parent, ast.BinOp):
        # Two dicts make a new one with `|`, in which inner ones are the same.
        return not isinstance(parent.op, ast.BitOr)
    if isinstance(parent, ast.AugAssign):
        return parent.value is node and not isinstance(parent.op, ast.BitOr)
    if isinstance(parent, ast.keyword):
        call = module.parent(parent)
        return isinstance(call, ast.Call) and _is_argument_read(node, call, module, seen)
    if isinstance(parent, ast.Call):
        return parent.func is not node and _is_argument_read(node, parent, module, seen)
    if isinstance(parent, (ast.Tuple, ast.List)):
        call = module.parent(parent)
        return isinstance(call, ast.Call) and _is_of_library(call, module)
    return isinstance(
        parent,
        (ast.Expr, ast.FormattedValue, ast.UnaryOp, ast.Compare, ast.If, ast.While, ast.Assert),
    )


def _is_target_read(target: ast.expr, value: ast.expr, module: Module, seen: set[ast.AST]) -> bool:
    """Whether all that is done with what a target gets from `value` is to read it."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return all(_is_target_read(each, value, module, seen) for each in target.elts)
    if not isinstance(target, ast.Name):
        return False
    scope = module.home(target)
    if scope is None:
        return False
    for use in module.uses_of(target.id, scope):
        parent = module.parent(use)
        if isinstance(use.ctx, ast.Load):
            bindings = module.bindings(use)
            if bindings is not None and all(each.value is not value for each in bindings):
                continue
            if not _is_only_read(use, module, seen):
                return False
        elif isinstance(parent, ast.AugAssign) and isinstance(parent.op, ast.BitOr):
            return False
    return True


def _is_argument_read(node: ast.expr, call: ast.Call, module: Module, seen: set[ast.AST]) -> bool:
    """Whether a call surely changes nothing in its argument."""
    if module.qualified(call.func) in _READERS or _is_of_library(call, module):
        return True
    callee = module.value(call.func)
    if callee.kind in ("compiled", "layer"):
        # The elements are taken out of their dicts before the function is called.
        return True
    if callee.kind == "model":
        return callee.definition is None
    if callee.kind != "function" or callee.module is None:
        return False
    function = callee.definition
    if not isinstance(function, (ast.FunctionDef, ast.Lambda)):
        return False
    parameter = _consumers.parameter_of(call, node, function)
    if parameter is None:
        return False
    uses = callee.module.uses(parameter, function)
    return all(
        _is_only_read(use, callee.module, seen)
        if isinstance(use.ctx, ast.Load)
        else not isinstance(callee.module.parent(use), ast.AugAssign)
        for use in uses
    )


def _is_of_library(call: ast.Call, module: Module) -> bool:
    """Whether a function of a library is called that changes nothing in what it is given."""
    name = module.qualified(call.func) or ""
    return name.startswith(_LIBRARIES) and name not in _VIEWS


def reads_nothing_else(expression: ast.expr | None, module: Module, loop: Loop) -> bool:
    """Whether a mapped function surely reads nothing that could change, but its arguments."""
    if expression is None:
        return False
    name = module.qualified(expression)
    if name is not None:
        return name.startswith(_LIBRARIES)
    found = _functions.function_of(expression, module)
    if found is None or isinstance(expression, ast.Call):
        return False
    return _reads_nothing_else(*found, loop, set())


def _reads_nothing_else(function: Function, module: Module, loop: Loop, seen: set[ast.AST]) -> bool:
    if function in seen:
        return True
    seen.add(function)
    for node in ast.walk(function):
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
            continue
        scope = module.home(node)
        if scope is None:
            if not hasattr(builtins, node.id) and module.value(node).kind != "external":
                return False
            continue
        if module.inside(scope, function):
            continue
        if not _is_lasting(node, module, loop, seen):
            return False
    return True


def _is_lasting(name: ast.Name, module: Module, loop: Loop, seen: set[ast.AST]) -> bool:
    """Whether a name from outside a function stands for something that never changes."""
    whole: ast.expr = name
    while isinstance(outer := module.parent(whole), ast.Attribute):
        whole = outer
    if (module.qualified(whole) or "").startswith(_LIBRARIES):
        return True
    if whole is not name:
        return False
    scope = module.home(name)
    if scope is None or len(module.scopes[scope][name.id]) != 1:
        return False
    (binding,) = module.scopes[scope][name.id]
    if module.inside(binding.node, loop):
        return False
    constant = module.constant(name)
    if constant is not UNKNOWN and isinstance(constant, _CONSTANTS):
        return True
    value = module.value(name)
    if value.kind in ("tensor", "scalar", "numpy-scalar", "string"):
        return True
    if value.kind not in ("function", "compiled") or value.module is None:
        return False
    inner = value.definition
    if not isinstance(inner, (ast.FunctionDef, ast.Lambda)):
        return False
    return _reads_nothing_else(inner, value.module, loop, seen)
