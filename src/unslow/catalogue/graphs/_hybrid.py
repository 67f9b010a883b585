"""Whether a Python function does the same when it is compiled by `tf.function`."""

from __future__ import annotations

import ast

from unslow.catalogue.graphs import _source
from unslow.source.bindings import parameters
from unslow.source.flow import Caller
from unslow.source.inference import argument_for
from unslow.source.module import UNKNOWN, Module
from unslow.source.values import Value, is_tensor_function

MOST_DEPTH = 4

_STATEMENTS = (
    *(ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return),
    *(ast.For, ast.With, ast.If, ast.Pass, ast.Assert),
)
"""What AutoGraph turns into a graph, or runs once while tracing, with the same outcome."""

_NOT_IN_GRAPHS = (
    *(ast.Await, ast.Yield, ast.YieldFrom, ast.Lambda, ast.JoinedStr, ast.NamedExpr),
    *(ast.SetComp, ast.DictComp, ast.GeneratorExp),
)

_TAPE_METHODS = frozenset({"gradient", "watch"})
_OPTIMIZER_METHODS = frozenset(
    {"apply_gradients", "get_scaled_loss", "get_unscaled_gradients", "scale_loss"}
)
_VARIABLE_METHODS = frozenset({"assign", "assign_add", "assign_sub", "read_value", "value"})
_METRIC_METHODS = frozenset({"update_state"})
_PYTHON_CALLS = frozenset({"enumerate", "isinstance", "len", "list", "range", "tuple", "zip"})
_OTHER_OPS = frozenset({"tensorflow.GradientTape", "tensorflow.clip_by_global_norm"})
_OBJECTS = frozenset({"model", "layer", "optimizer", "variable", "tensor", "external"})
_CHANGING_METHODS = frozenset(
    {"add", "append", "clear", "extend", "fill", "insert", "pop", "remove", "setdefault", "update"}
)


def can_be_compiled(module: Module, function: ast.FunctionDef) -> bool:
    """Whether a function, and all that it calls, surely works as a compiled one.

    No effect of it may be one of Python alone, no value of its arguments may matter to
    Python, and all calls of it must be known.
    """
    if function.decorator_list or function.args.vararg or function.args.kwarg:
        return False
    callers = module.project.flow.callers(function, module)
    if not callers or any(caller.module.mode(caller.call) != "eager" for caller in callers):
        return False
    for parameter in parameters(function):
        if module.method_class(function) is not None and parameter is parameters(function)[0]:
            continue
        if not all(_is_steady(each, function, parameter) for each in callers):
            return False
    return _does_the_same(module, function, [])


def _is_steady(caller: Caller, function: ast.FunctionDef, parameter: ast.arg) -> bool:
    """Whether a call gives a parameter a tensor, or the same object each time."""
    argument = argument_for(parameter, function, caller.call, bound=caller.bound)
    if argument is None:
        return parameter in function.args.args and bool(function.args.defaults)
    module = caller.module
    if module.constant(argument) is not UNKNOWN:
        return True
    value = module.value(argument)
    if value.kind in ("tensor", "variable", "model", "layer", "optimizer"):
        return True
    if value.kind == "array":
        return value.dtype in ("float32", "int32", "int64", "uint8", "bool")
    if parameter.annotation is not None and (
        caller.module.qualified(parameter.annotation) == "tensorflow.Tensor"
    ):
        return True
    return isinstance(argument, ast.Name) and (
        _is_from_dataset(module, argument) or _is_one_object(module, argument, caller.call)
    )


def _is_one_object(module: Module, name: ast.Name, call: ast.Call) -> bool:
    """Whether a name stands for a container that is made once for all rounds of a call."""
    binding = _source.only_binding(module, name)
    return (
        binding is not None
        and binding.kind == "assign"
        and module.value(name).kind in ("list", "tuple")
        and not any(module.inside(binding.node, loop) for loop in module.loops(call))
    )


def _is_from_dataset(module: Module, name: ast.Name) -> bool:
    """Whether a name is an element of a dataset, or a component of one."""
    binding = _source.only_binding(module, name)
    if binding is None or binding.kind != "for" or binding.value is None:
        return False
    iterable, path = binding.value, binding.path
    if isinstance(iterable, ast.Call) and module.qualified(iterable.func) == "enumerate":
        if path[:1] != (1,) or not iterable.args:
            return False
        iterable = iterable.args[0]
    return module.value(iterable).kind == "dataset"


def _does_the_same(module: Module, function: ast.FunctionDef, above: list[ast.AST]) -> bool:
    if function in above or len(above) > MOST_DEPTH:
        return False
    body = _source.body_of(function)
    return all(
        _node_does_the_same(module, node, function, [*above, function])
        for statement in body
        for node in ast.walk(statement)
    )


def _node_does_the_same(
    module: Module, node: ast.AST, function: ast.FunctionDef, above: list[ast.AST]
) -> bool:
    if isinstance(node, ast.stmt):
        return isinstance(node, _STATEMENTS) and _statement_does(module, node, function)
    if isinstance(node, _NOT_IN_GRAPHS):
        return False
    if isinstance(node, ast.Call):
        return _call_does(module, node, above)
    if isinstance(node, ast.Attribute):
        if not isinstance(node.ctx, ast.Load) or node.attr in ("numpy", "item", "append"):
            return False
        if _is_set_later(module, node.attr):
            return False
        return not (module.qualified(node) or "").startswith("numpy.random")
    if isinstance(node, ast.Name):
        return _is_settled(module, node, function)
    if isinstance(node, ast.Subscript):
        return isinstance(node.ctx, ast.Load)
    if isinstance(node, (ast.IfExp, ast.comprehension)):
        tests = [node.test] if isinstance(node, ast.IfExp) else node.ifs
        return all(_is_python(module, each) for each in tests)
    return True


def _is_settled(module: Module, name: ast.Name, function: ast.FunctionDef) -> bool:
    """Whether a name is the function's own, or surely means the same in every call."""
    home = module.home(name)
    if home is None or module.inside(home, function):
        return True
    bindings = module.scopes[home][name.id]
    if len(bindings) != 1 or module.loops(bindings[0].node):
        return False
    if module.value(name).kind in _OBJECTS:
        return True
    return not any(_is_changed(module, use) for use in module.uses_of(name.id, home))


def _is_changed(module: Module, use: ast.Name) -> bool:
    """Whether the contents of what a name stands for are changed in place here."""
    parent = module.parent(use)
    if isinstance(parent, ast.Subscript):
        return not isinstance(parent.ctx, ast.Load)
    return isinstance(parent, ast.Attribute) and (
        not isinstance(parent.ctx, ast.Load) or parent.attr in _CHANGING_METHODS
    )


def _is_set_later(module: Module, attribute: str) -> bool:
    """Whether an attribute of this name is assigned anywhere but where objects are made."""
    for each in module.attributes(attribute):
        if not isinstance(each.ctx, ast.Load):
            function = module.function(each)
            if not isinstance(function, ast.FunctionDef) or function.name != "__init__":
                return True
    return False


def _statement_does(module: Module, node: ast.stmt, function: ast.FunctionDef) -> bool:
    if isinstance(node, (ast.If, ast.Assert)):
        return _is_python(module, node.test)
    if isinstance(node, ast.For):
        kind = module.value(node.iter).kind
        return not node.orelse and kind in ("list", "tuple", "iterator", "unknown", "method")
    if isinstance(node, ast.With):
        return all(module.value(each.context_expr).kind == "tape" for each in node.items)
    if isinstance(node, ast.Return) and node.value is not None:
        parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        return all(module.value(each).kind not in ("scalar", "string") for each in parts)
    if isinstance(node, ast.AugAssign):
        return isinstance(node.target, ast.Name) and module.home(node.target) is function
    return True


def _is_python(module: Module, test: ast.expr) -> bool:
    """Whether a condition is surely decided while tracing, and always alike."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _is_python(module, test.operand)
    if isinstance(test, ast.BoolOp):
        return all(_is_python(module, each) for each in test.values)
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.IsNot)):
        return True
    return module.constant(test) is not UNKNOWN


def _call_does(module: Module, call: ast.Call, above: list[ast.AST]) -> bool:
    callee = module.value(call.func)
    if callee.kind == "external":
        name = callee.name
        return (
            is_tensor_function(name)
            or name in _OTHER_OPS
            or name in _PYTHON_CALLS
            or (name.startswith("keras.losses.") and name.rpartition(".")[2].islower())
        )
    if callee.kind in ("model", "layer"):
        return _is_library_or_call(callee, above)
    if callee.kind == "compiled":
        return True
    if callee.kind == "function":
        return (
            isinstance(callee.definition, ast.FunctionDef)
            and callee.module is not None
            and not callee.definition.decorator_list
            and _does_the_same(callee.module, callee.definition, above)
        )
    if callee.kind == "method" and callee.receiver is not None:
        return callee.name in {
            "tape": _TAPE_METHODS,
            "optimizer": _OPTIMIZER_METHODS,
            "variable": _VARIABLE_METHODS,
        }.get(callee.receiver.kind, frozenset())
    return _is_made_by_keras(module, call) or _is_variable_method(module, call)


def _is_library_or_call(callee: Value, above: list[ast.AST]) -> bool:
    """Whether a model's or layer's `call`, where the program has written it, does the same."""
    definition, module = callee.definition, callee.module
    if definition is None:
        return True
    if module is None or not isinstance(definition, ast.ClassDef):
        return False
    for each in definition.body:
        if isinstance(each, ast.FunctionDef) and each.name == "call":
            return _layers_do(module, each, above)
    return False


def _layers_do(module: Module, method: ast.FunctionDef, above: list[ast.AST]) -> bool:
    """Whether the `call` of a model has nothing in it that is Python's alone.

    Keras compiles it in `fit` as well, so that what it calls is of the kind that can be.
    """
    if method in above:
        return False
    for node in ast.walk(method):
        if isinstance(node, (ast.Global, ast.Nonlocal, ast.Yield, ast.Await, ast.Try)):
            return False
        if isinstance(node, ast.Attribute):
            if not isinstance(node.ctx, ast.Load) or node.attr in ("numpy", "item", "append"):
                return False
        elif isinstance(node, ast.Call):
            name = module.qualified(node.func) or ""
            if name.startswith(("numpy.", "random.", "time.")) or name in (
                *("print", "float", "int", "bool", "open"),
                *("tensorflow.Variable", "tensorflow.py_function", "tensorflow.numpy_function"),
            ):
                return False
    return True


def _is_made_by_keras(module: Module, call: ast.Call) -> bool:
    """Whether what is called is a loss or metric of Keras, made once and outside."""
    target = call.func
    method = ""
    if isinstance(target, ast.Attribute):
        method, target = target.attr, target.value
    made = _source.maker(module, target)
    if made is None or module.inside(made, module.statement(call)):
        return False
    name = module.qualified(made.func) or ""
    if method:
        return name.startswith("keras.metrics.") and method in _METRIC_METHODS
    return name.startswith(("keras.losses.", "keras.metrics."))


def _is_variable_method(module: Module, call: ast.Call) -> bool:
    """Whether this assigns to something as variables are assigned."""
    if not isinstance(call.func, ast.Attribute) or len(call.args) != 1 or call.keywords:
        return False
    return call.func.attr in ("assign", "assign_add", "assign_sub")
