"""What runs under a gradient tape: code that is compiled already, and how much data."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from unslow.source.bindings import Binding
from unslow.source.inference import argument_for
from unslow.source.module import UNKNOWN, Module
from unslow.source.values import Value

MOST_DEPTH = 6
FEW_ROWS = 10

_FUNCTION = "tensorflow.function"

_LOADERS = frozenset(
    {
        "keras.layers.TFSMLayer",
        "tensorflow.saved_model.load",
        "tensorflow_hub.KerasLayer",
        "tensorflow_hub.load",
    }
)
"""What returns functions that were saved as graphs."""

_SAME_ROWS = frozenset(
    {
        *("enumerate", "list", "tuple", "zip"),
        *("numpy.array", "numpy.asarray", "numpy.expand_dims", "numpy.float32"),
        *("tensorflow.cast", "tensorflow.constant", "tensorflow.convert_to_tensor"),
        *("tensorflow.expand_dims", "tensorflow.reshape"),
        "tensorflow.data.Dataset.from_tensor_slices",
        "tensorflow.data.Dataset.from_tensors",
    }
)
_SAME_ROWS_METHODS = frozenset(
    {
        *("astype", "batch", "cache", "prefetch", "repeat", "reshape", "shuffle", "take"),
        "as_numpy_iterator",
    }
)

_NOT_DATA = frozenset(
    {
        *("class", "compiled", "dict", "external", "function", "instance", "layer", "list"),
        *("method", "model", "module", "none", "optimizer", "scalar", "string", "tape"),
        *("tuple", "variable"),
    }
)


def bodies(module: Module, gradient: ast.Call) -> list[ast.stmt]:
    """The statements that the tape of a `gradient` call notes; empty where that is not known."""
    target = gradient.func
    if not isinstance(target, ast.Attribute) or not isinstance(target.value, ast.Name):
        return []
    return [
        statement
        for binding in module.bindings(target.value) or ()
        if binding.kind == "with" and isinstance(binding.node, (ast.With, ast.AsyncWith))
        for statement in binding.node.body
    ]


# Compiled code


def calls_compiled(module: Module, statements: Iterable[ast.AST], depth: int = 0) -> bool:
    """Whether a call in these statements is, or may be, one of a compiled function."""
    return any(
        isinstance(node, ast.Call) and _is_compiled_call(module, node, depth)
        for statement in statements
        for node in ast.walk(statement)
    )


def _is_compiled_call(module: Module, call: ast.Call, depth: int) -> bool:
    callee = module.value(call.func)
    if callee.kind == "compiled":
        return True
    if callee.kind == "unknown":
        return _may_be_compiled(module, call.func, 0)
    definition, where = callee.definition, callee.module
    if depth > MOST_DEPTH or definition is None or where is None:
        return False
    if callee.kind == "function":
        return not isinstance(definition, ast.ClassDef) and calls_compiled(
            where, _body(definition), depth + 1
        )
    if callee.kind in ("instance", "layer", "model") and isinstance(definition, ast.ClassDef):
        if _is_wrapped_later(module):
            return True
        return any(
            _has_decorator(home, method) or calls_compiled(home, method.body, depth + 1)
            for home, method in _call_methods(where, definition)
        )
    return False


def _body(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.AST]:
    return [function.body] if isinstance(function, ast.Lambda) else [*function.body]


def _call_methods(
    module: Module, definition: ast.ClassDef
) -> Iterator[tuple[Module, ast.FunctionDef]]:
    """What runs when an instance of a class is called, that of its bases too."""
    places: list[tuple[Module | None, Value | ast.ClassDef]] = [(module, definition)]
    places += [(b.module, b) for b in module.project.inference.bases(definition, module)]
    for home, place in places:
        node = place.definition if isinstance(place, Value) else place
        if home is None or not isinstance(node, ast.ClassDef):
            continue
        for each in node.body:
            if isinstance(each, ast.FunctionDef) and each.name in ("__call__", "call"):
                yield home, each


def _has_decorator(module: Module, function: ast.FunctionDef) -> bool:
    return any(
        isinstance(node, (ast.Name, ast.Attribute)) and module.qualified(node) == _FUNCTION
        for decorator in function.decorator_list
        for node in ast.walk(decorator)
    )


def _is_wrapped_later(module: Module) -> bool:
    """Whether `model.call = tf.function(model.call)`, or the like, stands in the program."""
    return any(
        _makes_compiled(module, value)
        for name in ("call", "__call__")
        for value in _assigned(module, name)
    )


def _makes_compiled(module: Module, expression: ast.expr) -> bool:
    return isinstance(expression, ast.Call) and module.value(expression).kind == "compiled"


def _assigned(module: Module, attribute: str) -> Iterator[ast.expr]:
    """What is assigned to an attribute of this name, on any object."""
    for each in module.attributes(attribute):
        statement = module.parent(each)
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is each:
            continue
        if statement.value is not None:
            yield statement.value


def _may_be_compiled(module: Module, expression: ast.expr, depth: int) -> bool:
    """Whether some way to an expression leads from `tf.function` or a saved graph."""
    if depth > MOST_DEPTH:
        return False
    if isinstance(expression, ast.Call):
        if module.qualified(expression.func) in _LOADERS:
            return True
        return _makes_compiled(module, expression)
    if isinstance(expression, ast.IfExp):
        ways = [expression.body, expression.orelse]
        return any(_may_be_compiled(module, each, depth + 1) for each in ways)
    if isinstance(expression, ast.Subscript):
        return _may_be_compiled(module, expression.value, depth + 1)
    if isinstance(expression, ast.Attribute):
        return _may_be_compiled(module, expression.value, depth + 1) or any(
            _may_be_compiled(module, value, depth + 1)
            for value in _assigned(module, expression.attr)
        )
    if isinstance(expression, ast.Name):
        return any(
            _may_be_compiled(home, value, depth + 1)
            for binding in module.bindings(expression) or ()
            for home, value in _sources(module, binding)
        )
    return False


def _sources(module: Module, binding: Binding) -> Iterator[tuple[Module, ast.expr]]:
    """The expressions that a name gets its value from, those of known callers too."""
    if binding.kind != "parameter":
        if binding.value is not None:
            yield module, binding.value
        return
    node = binding.node
    function = module.enclosing(node, ast.FunctionDef, ast.Lambda)
    if not isinstance(node, ast.arg) or not isinstance(function, (ast.FunctionDef, ast.Lambda)):
        return
    for caller in module.project.flow.callers(function, module) or ():
        given = argument_for(node, function, caller.call, bound=caller.bound)
        if given is not None:
            yield caller.module, given


# Data


def has_few_rows(module: Module, statements: list[ast.stmt]) -> bool:
    """Whether all data these statements compute with is written out: a handful of rows."""
    seen = False
    for name in (n for each in statements for n in ast.walk(each) if isinstance(n, ast.Name)):
        bindings = module.bindings(name) if isinstance(name.ctx, ast.Load) else None
        parent = module.parent(name)
        if isinstance(parent, ast.Call) and name is parent.func:
            continue
        if not bindings or any(
            module.inside(binding.node, each) for binding in bindings for each in statements
        ):
            continue
        if _is_few(module, name, 0):
            seen = True
        elif module.value(name).kind not in _NOT_DATA:
            return False
    return seen


def _is_few(module: Module, expression: ast.expr, depth: int) -> bool:
    if depth > MOST_DEPTH:
        return False
    if isinstance(expression, (ast.List, ast.Tuple)):
        if module.constant(expression) is not UNKNOWN:
            return 0 < len(expression.elts) <= FEW_ROWS
        parts = expression.elts if isinstance(expression, ast.Tuple) else []
        return bool(parts) and all(_is_few(module, each, depth + 1) for each in parts)
    if isinstance(expression, ast.Name):
        found = [
            source
            for binding in module.bindings(expression) or ()
            for source in _sources(module, binding)
        ]
        return bool(found) and all(_is_few(home, value, depth + 1) for home, value in found)
    if isinstance(expression, ast.Call):
        function = expression.func
        if module.qualified(function) in _SAME_ROWS and expression.args:
            return _is_few(module, expression.args[0], depth + 1)
        if isinstance(function, ast.Attribute) and function.attr in _SAME_ROWS_METHODS:
            return _is_few(module, function.value, depth + 1)
    return False
