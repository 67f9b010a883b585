"""Reading Keras code in source: what the pages of this family share."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unslow.finding import Edit
from unslow.source.flow import Repetition
from unslow.source.inference import argument_for
from unslow.source.module import UNKNOWN

if TYPE_CHECKING:
    from unslow.source.module import Function, Module

FEW_ROUNDS = 5
MOST_DEPTH = 8

TRAINING = frozenset({"fit", "fit_generator", "train_on_batch", "minimize", "apply_gradients"})
CHANGING = TRAINING | {
    "ModelCheckpoint",
    "assign",
    "compile",
    "load_weights",
    "save",
    "save_model",
    "save_weights",
    "set_weights",
}
"""Calls after which a model, or its file, may not be what it was."""

_WAITS = frozenset({"input", "raw_input", "time.sleep", "asyncio.sleep"})

_STEADY_CALLS = frozenset(
    {
        "os.fspath",
        "os.path.abspath",
        "os.path.dirname",
        "os.path.expanduser",
        "os.path.join",
        "pathlib.Path",
        "str",
    }
)


def repeated(module: Module, node: ast.AST) -> Repetition | None:
    """Why the code at a node runs many times, as fast as the machine allows."""
    if module.graph_mode or module.guarded(node):
        return None
    again = module.repetition(node)
    if again is None or (again.times is not None and again.times < FEW_ROUNDS):
        return None
    if again.loop is not None and _is_short(again.module, again.loop):
        return None
    for where, region in _regions(module, node, again):
        for call in calls_in(where, region):
            if where.qualified(call.func) in _WAITS and where.enclosing(call, ast.If) is None:
                return None
    return again


def _is_short(module: Module, loop: ast.AST) -> bool:
    """Whether a loop that stands in no other goes through a few elements: `x[:3]`, `take(1)`."""
    if not isinstance(loop, (ast.For, ast.ListComp, ast.GeneratorExp)) or module.loops(loop):
        return False
    iterable = loop.iter if isinstance(loop, ast.For) else loop.generators[0].iter
    if isinstance(iterable, ast.Call) and called_name(iterable) in ("enumerate", "zip", "list"):
        iterable = iterable.args[0] if iterable.args else iterable
    if isinstance(iterable, ast.Subscript) and isinstance(iterable.slice, ast.Slice):
        part = iterable.slice
        width = None if part.upper is None else _width(module, part)
        return width is not None and width < FEW_ROUNDS
    if isinstance(iterable, ast.Call) and called_name(iterable) == "take" and iterable.args:
        count = module.constant(iterable.args[0])
        return type(count) is int and 0 <= count < FEW_ROUNDS
    return False


def _regions(module: Module, node: ast.AST, again: Repetition) -> Iterator[tuple[Module, ast.AST]]:
    """The code that runs again: the loop, and the function around the node."""
    if again.loop is not None:
        yield again.module, again.loop
    function = module.function(node)
    if again.kind != "loop" and function is not None:
        yield module, function


def calls_in(module: Module, region: ast.AST) -> Iterator[ast.Call]:
    """The calls in a node."""
    for node in ast.walk(region):
        if isinstance(node, ast.Call):
            yield node


def called_name(call: ast.Call) -> str:
    """The last part of what a call calls, as it is written."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def touched(module: Module, node: ast.AST, again: Repetition, names: frozenset[str]) -> bool:
    """Whether the code that runs again calls something of one of these names."""
    for where, region in _regions(module, node, again):
        for call in calls_in(where, region):
            if called_name(call) in names:
                name = where.qualified(call.func) or ""
                if not name.startswith("numpy."):
                    return True
    return False


def kept_by_hand(module: Module, node: ast.AST) -> bool:
    """Whether a condition takes care that what a node makes is made once: `if x is None:`."""
    function = module.function(node)
    child = node
    for each in module.ancestors(node):
        if isinstance(each, ast.If) and child is not each.test and _asks_whether_there(each.test):
            return True
        if isinstance(each, ast.ExceptHandler):
            return True
        body = getattr(each, "body", None)
        if isinstance(body, list):
            for earlier in body:
                if earlier is child:
                    break
                if isinstance(earlier, ast.If) and _gives_back(earlier):
                    return True
        if each is function:
            return False
        child = each
    return False


def _asks_whether_there(test: ast.expr) -> bool:
    for node in ast.walk(test):
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return True
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.Is, ast.NotIn, ast.In)):
            return True
        if isinstance(node, ast.Compare) and isinstance(node.comparators[0], ast.Constant):
            # The first round: `if step == 0:`.
            return type(node.comparators[0].value) is int
    return False


def _gives_back(condition: ast.If) -> bool:
    """Whether it is `if x is not None: return x` or `if key in known: return known[key]`."""
    last = condition.body[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return False
    tested = {
        ast.dump(n) for n in ast.walk(condition.test) if isinstance(n, (ast.Name, ast.Attribute))
    }
    return any(ast.dump(node) in tested for node in ast.walk(last.value))


# What stays the same


def steady(module: Module, expression: ast.expr, again: Repetition, depth: int = 0) -> bool:
    """Whether an expression surely has the same value each time the code runs again."""
    if depth > MOST_DEPTH:
        return False
    if isinstance(expression, ast.Constant):
        return True
    if isinstance(expression, ast.JoinedStr):
        parts = [each.value for each in expression.values if isinstance(each, ast.FormattedValue)]
        return all(steady(module, part, again, depth + 1) for part in parts)
    if isinstance(expression, (ast.Tuple, ast.List)):
        return all(steady(module, each, again, depth + 1) for each in expression.elts)
    if isinstance(expression, ast.Dict):
        parts = [*expression.values, *(key for key in expression.keys if key is not None)]
        return all(steady(module, part, again, depth + 1) for part in parts)
    if isinstance(expression, ast.BinOp):
        return steady(module, expression.left, again, depth + 1) and steady(
            module, expression.right, again, depth + 1
        )
    if isinstance(expression, ast.Call):
        if module.qualified(expression.func) not in _STEADY_CALLS or module.has_star(expression):
            return False
        return all(steady(module, each, again, depth + 1) for each in arguments(expression))
    if isinstance(expression, ast.Attribute):
        return _steady_attribute(module, expression, again)
    if isinstance(expression, ast.Name):
        return _steady_name(module, expression, again, depth)
    return False


def arguments(call: ast.Call) -> list[ast.expr]:
    """All arguments of a call, by position and by keyword."""
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _steady_attribute(module: Module, attribute: ast.Attribute, again: Repetition) -> bool:
    if module.value(attribute).kind == "external":
        return True
    if again.kind == "loop" and again.loop is not None:
        return module.invariant(attribute, again.loop)
    owner = module.class_of(attribute)
    if owner is None or not isinstance(attribute.value, ast.Name) or attribute.value.id != "self":
        return False
    for other in module.attributes(attribute.attr):
        if not isinstance(other.ctx, ast.Load):
            function = module.function(other)
            if getattr(function, "name", "") != "__init__":
                return False
    return True


def _steady_name(module: Module, name: ast.Name, again: Repetition, depth: int) -> bool:
    if module.value(name).kind == "external":
        return True
    scope = module.home(name)
    if scope is None:
        return False
    every = module.scopes[scope][name.id]
    here = again.loop is not None and again.module is module
    if here and (scope is not module.function(name) or again.kind == "loop"):
        assert again.loop is not None
        if module.invariant(name, again.loop):
            return True
        if scope is module.tree and any(module.inside(b.node, again.loop) for b in every):
            return _from_binding(module, name, again, depth)
    if scope is module.tree:
        if len(every) == 1 and module.scope(every[0].node) is module.tree:
            return every[0].kind in ("assign", "import", "with")
        return False
    return _from_binding(module, name, again, depth)


def _from_binding(module: Module, name: ast.Name, again: Repetition, depth: int) -> bool:
    bindings = module.bindings(name)
    if bindings is None or len(bindings) != 1:
        return False
    binding = bindings[0]
    if binding.kind == "parameter" and isinstance(binding.node, ast.arg):
        return _steady_parameter(module, binding.node, again, depth)
    if binding.kind != "assign" or binding.path or binding.value is None:
        return False
    return steady(module, binding.value, again, depth + 1)


def _steady_parameter(module: Module, node: ast.arg, again: Repetition, depth: int) -> bool:
    function = _function_of(module, node)
    if function is None or again.loop is None:
        return False
    callers = module.project.flow.callers(function, module)
    if not callers:
        return False
    for caller in callers:
        given = argument_for(node, function, caller.call, bound=caller.bound)
        if given is None:
            if module.has_star(caller.call) or not _has_default(function, node):
                return False
        elif caller.module is again.module and caller.module.inside(caller.call, again.loop):
            inner = Repetition("loop", again.text, again.loop, again.module, again.times)
            if not steady(caller.module, given, inner, depth + 1):
                return False
        elif not steady(caller.module, given, again, depth + 1):
            return False
    return True


def _function_of(module: Module, node: ast.arg) -> Function | None:
    around = module.parent(node)
    function = module.parent(around) if isinstance(around, ast.arguments) else around
    if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return function
    return None


def _has_default(function: Function, node: ast.arg) -> bool:
    positional = [*function.args.posonlyargs, *function.args.args]
    if node in positional:
        return positional.index(node) >= len(positional) - len(function.args.defaults)
    if node in function.args.kwonlyargs:
        return function.args.kw_defaults[function.args.kwonlyargs.index(node)] is not None
    return False


# How many rows


@dataclass(frozen=True)
class Rows:
    """How many rows an input has at most; `array`: it surely is one array or tensor."""

    count: int
    array: bool


_SAME_ROWS = frozenset(
    {
        "numpy.asarray",
        "numpy.array",
        "numpy.float32",
        "tensorflow.cast",
        "tensorflow.constant",
        "tensorflow.convert_to_tensor",
        "tensorflow.identity",
        "tensorflow.image.convert_image_dtype",
    }
)
_FROM_LIST = _SAME_ROWS | {
    "keras.preprocessing.sequence.pad_sequences",
    "keras.utils.pad_sequences",
    "numpy.stack",
    "tensorflow.stack",
}
_SHAPED = frozenset(
    {"numpy.zeros", "numpy.ones", "numpy.empty", "tensorflow.zeros"}
    | {"numpy.full", "tensorflow.ones"}
)
_SIZED = frozenset({"normal", "uniform", "standard_normal", "random", "integers", "randint"})


def rows(module: Module, expression: ast.expr) -> Rows | None:
    """How many rows an expression surely has at most; `None` where that is not known."""
    return _Counting().rows(module, expression)


class _Counting:
    """Follows an input back to where its first dimension is written."""

    def __init__(self) -> None:
        self._seen: set[ast.AST] = set()
        self._steps = 0

    def rows(self, module: Module, expression: ast.expr) -> Rows | None:
        self._steps += 1
        if self._steps > 200:
            return None
        if isinstance(expression, ast.Name):
            return self._name(module, expression)
        if isinstance(expression, ast.Call):
            return self._call(module, expression)
        if isinstance(expression, ast.Subscript):
            return self._subscript(module, expression)
        if isinstance(expression, ast.BinOp):
            return self._arithmetic(module, expression)
        if isinstance(expression, ast.IfExp):
            return self._largest(module, [expression.body, expression.orelse])
        return None

    def _largest(self, module: Module, expressions: list[ast.expr]) -> Rows | None:
        found = [self.rows(module, each) for each in expressions]
        known = [each for each in found if each is not None]
        if not known or len(known) < len(found):
            return None
        return Rows(max(e.count for e in known), all(e.array for e in known))

    def _name(self, module: Module, name: ast.Name) -> Rows | None:
        bindings = module.bindings(name)
        if not bindings:
            return None
        found: list[Rows] = []
        for binding in bindings:
            if binding.node in self._seen:
                continue
            self._seen.add(binding.node)
            if binding.kind == "parameter" and isinstance(binding.node, ast.arg):
                counted = self._parameter(module, binding.node)
            elif binding.kind == "assign" and not binding.path and binding.value is not None:
                counted = self.rows(module, binding.value)
            elif binding.kind == "augmented" and binding.value is not None:
                if module.value(binding.value).kind not in ("scalar", "numpy-scalar"):
                    return None
                continue
            else:
                return None
            if counted is None:
                return None
            found.append(counted)
        if not found:
            return None
        return Rows(max(each.count for each in found), all(each.array for each in found))

    def _parameter(self, module: Module, node: ast.arg) -> Rows | None:
        function = _function_of(module, node)
        callers = None if function is None else module.project.flow.callers(function, module)
        if function is None or not callers:
            return None
        found: list[Rows] = []
        for caller in callers:
            given = argument_for(node, function, caller.call, bound=caller.bound)
            counted = None if given is None else self.rows(caller.module, given)
            if counted is None:
                return None
            found.append(counted)
        return Rows(max(each.count for each in found), all(each.array for each in found))

    def _call(self, module: Module, call: ast.Call) -> Rows | None:
        if module.has_star(call):
            return None
        callee = module.value(call.func)
        if callee.kind == "external":
            return self._external(module, call, callee.name)
        if callee.kind == "function" and callee.module is not None:
            return self._returned(callee.module, callee.definition)
        if isinstance(call.func, ast.Attribute):
            return self._method(module, call, call.func)
        return None

    def _external(self, module: Module, call: ast.Call, name: str) -> Rows | None:
        last = name.rpartition(".")[2]
        first = call.args[0] if call.args else None
        if name in ("numpy.expand_dims", "tensorflow.expand_dims"):
            axis = module.argument(call, 1, "axis")
            zero = axis is not None and module.constant(axis) == 0
            return Rows(1, True) if zero else None
        if name in ("numpy.reshape", "tensorflow.reshape"):
            shape = module.argument(call, 1, "shape") or module.argument(call, None, "newshape")
            return None if shape is None else _first_size(module, shape)
        if name in _SHAPED:
            return None if first is None else _first_size(module, first)
        if name.startswith("numpy.random.") and last in ("rand", "randn"):
            return None if first is None else _first_size(module, first)
        if name in _FROM_LIST and isinstance(first, (ast.List, ast.Tuple)):
            return Rows(len(first.elts), True) if _plain(first) else None
        if name in _SAME_ROWS or (last == "preprocess_input" and name.startswith("keras.")):
            counted = None if first is None else self.rows(module, first)
            return None if counted is None else Rows(counted.count, True)
        if name.startswith("numpy.random.") and last in _SIZED:
            return _sized(module, call)
        return None

    def _method(self, module: Module, call: ast.Call, func: ast.Attribute) -> Rows | None:
        if func.attr in ("astype", "copy", "clip", "round"):
            return self.rows(module, func.value)
        if func.attr == "reshape" and call.args:
            found = _first_size(module, call.args[0])
            if found is not None and not isinstance(call.args[0], (ast.Tuple, ast.List)):
                return found if len(call.args) > 1 else None
            return found
        if func.attr in _SIZED and self._is_generator(module, func.value):
            return _sized(module, call)
        return None

    def _is_generator(self, module: Module, expression: ast.expr) -> bool:
        if isinstance(expression, ast.Name):
            bindings = module.bindings(expression) or []
            if len(bindings) != 1 or bindings[0].value is None or bindings[0].path:
                return False
            expression = bindings[0].value
        return isinstance(expression, ast.Call) and module.qualified(expression.func) in (
            "numpy.random.default_rng",
            "numpy.random.RandomState",
        )

    def _returned(self, module: Module, definition: ast.AST | None) -> Rows | None:
        if not isinstance(definition, ast.FunctionDef) or definition in self._seen:
            return None
        self._seen.add(definition)
        found = [
            node.value
            for node in ast.walk(definition)
            if isinstance(node, ast.Return) and module.function(node) is definition
        ]
        given = [each for each in found if each is not None]
        if len(given) < len(found):
            return None
        return self._largest(module, given)

    def _subscript(self, module: Module, expression: ast.Subscript) -> Rows | None:
        index = expression.slice
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        if not parts:
            return None
        first = parts[0]
        if isinstance(first, ast.Constant) and first.value is None:
            return Rows(1, True)
        if module.qualified(first) in ("numpy.newaxis", "tensorflow.newaxis"):
            return Rows(1, True)
        if not isinstance(first, ast.Slice) or first.step is not None or first.upper is None:
            return None
        width = _width(module, first)
        if width is None:
            return None
        array = module.value(expression.value).kind in ("array", "tensor") or len(parts) > 1
        return Rows(width, array)

    def _arithmetic(self, module: Module, expression: ast.BinOp) -> Rows | None:
        for one, other in (
            (expression.left, expression.right),
            (expression.right, expression.left),
        ):
            if module.value(other).kind in ("scalar", "numpy-scalar"):
                return self.rows(module, one)
        return None


def _plain(display: ast.List | ast.Tuple) -> bool:
    return bool(display.elts) and not any(isinstance(e, ast.Starred) for e in display.elts)


def _sized(module: Module, call: ast.Call) -> Rows | None:
    size = module.argument(call, 2 if called_name(call) != "random" else 0, "size")
    return None if size is None else _first_size(module, size)


def _first_size(module: Module, shape: ast.expr) -> Rows | None:
    """The first dimension of a written shape."""
    if isinstance(shape, (ast.Tuple, ast.List)):
        if not _plain(shape):
            return None
        shape = shape.elts[0]
    size = module.constant(shape)
    if isinstance(size, (tuple, list)) and size:
        size = size[0]
    return Rows(size, True) if type(size) is int and size > 0 else None


def _width(module: Module, part: ast.Slice) -> int | None:
    assert part.upper is not None
    if isinstance(part.upper, ast.BinOp) and isinstance(part.upper.op, ast.Add):
        if part.lower is not None and ast.dump(part.upper.left) == ast.dump(part.lower):
            width = module.constant(part.upper.right)
            return width if type(width) is int and width > 0 else None
        return None
    low = 0 if part.lower is None else module.constant(part.lower)
    high = module.constant(part.upper)
    if type(low) is int and type(high) is int and 0 <= low < high:
        return high - low
    return None


_FLATTENING = frozenset({"numpy.argmax", "numpy.amax", "numpy.max", "float", "int"})


def first_row_alone_is_used(module: Module, call: ast.Call) -> bool:
    """Whether of what a `predict` call returns only the first row is looked at."""
    if _takes_first_row(module, call, call):
        return True
    statement = module.parent(call)
    if not isinstance(statement, ast.Assign) or statement.value is not call:
        return False
    target = statement.targets[0]
    if len(statement.targets) != 1 or not isinstance(target, ast.Name):
        return False
    scope = module.home(target)
    if scope is None or len(module.scopes[scope][target.id]) != 1:
        return False
    loads = [use for use in module.uses_of(target.id, scope) if isinstance(use.ctx, ast.Load)]
    return bool(loads) and all(_takes_first_row(module, use, call) for use in loads)


def _takes_first_row(module: Module, node: ast.expr, call: ast.Call) -> bool:
    parent = module.parent(node)
    if isinstance(parent, ast.Subscript) and parent.value is node:
        index = parent.slice
        if isinstance(index, ast.Tuple) and len(index.elts) > 1:
            return _is_zero(module, index.elts[0])
        if not _is_zero(module, index):
            return False
        assert isinstance(call.func, ast.Attribute)
        # A model with several outputs returns a list of them, whose first is not a row.
        one_output = module.value(call.func.value).name.endswith("Sequential")
        return one_output or _flattened(module, parent)
    return _flattened(module, node)


def _is_zero(module: Module, expression: ast.expr) -> bool:
    value = module.constant(expression)
    return type(value) is int and value == 0


def _flattened(module: Module, node: ast.expr) -> bool:
    """Whether `np.argmax(node)` or the like stands here, over all that `node` holds."""
    parent = module.parent(node)
    if isinstance(parent, ast.Attribute) and parent.value is node:
        outer = module.parent(parent)
        if not isinstance(outer, ast.Call) or outer.func is not parent:
            return False
        return parent.attr in ("argmax", "item") and not outer.args and not outer.keywords
    if isinstance(parent, ast.Call) and parent.args == [node] and not parent.keywords:
        return module.qualified(parent.func) in _FLATTENING
    return False


# How large a model is


def small_dense_model(module: Module, model: ast.expr) -> int | None:
    """The number of weights of a `Sequential` model of a few written-out dense layers."""
    value = module.value(model)
    made, where = value.call, value.call_module
    if made is None or where is None or not value.name.endswith("Sequential"):
        return None
    if where.has_star(made) or len(made.args) > 1:
        return None
    layers: list[ast.expr] = []
    listed = where.argument(made, 0, "layers")
    if listed is not None:
        if not isinstance(listed, (ast.List, ast.Tuple)):
            return None
        layers += listed.elts
    added = _added(where, made)
    return None if added is None else _weights(where, [*layers, *added])


def _added(module: Module, made: ast.Call) -> list[ast.expr] | None:
    """The layers that `model.add(…)` adds after a constructor; `None` where that is not sure."""
    statement = module.parent(made)
    if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
        return [] if isinstance(statement, ast.Return) else None
    name = statement.targets[0]
    scope = module.home(name)
    if scope is None or len(module.scopes[scope][name.id]) != 1:
        return None
    found: list[ast.expr] = []
    around = module.loops(made)
    for use in module.uses_of(name.id, scope):
        parent = module.parent(use)
        if isinstance(parent, ast.Attribute) and parent.attr in ("add", "pop", "layers"):
            call = module.parent(parent)
            if parent.attr != "add" or not isinstance(call, ast.Call) or len(call.args) != 1:
                return None
            block = module.parent(module.statement(call))
            if module.loops(call) != around or block is not module.parent(statement):
                return None
            found.append(call.args[0])
    return found


def _weights(module: Module, layers: list[ast.expr]) -> int | None:
    width: int | None = None
    total = 0
    for layer in layers:
        if not isinstance(layer, ast.Call) or module.has_star(layer):
            return None
        name = (module.qualified(layer.func) or "").rpartition(".")
        if not name[0].startswith("keras"):
            return None
        if width is None:
            width = _input_width(module, layer, name[2])
            if width is None:
                return None
            if name[2] in ("Input", "InputLayer"):
                continue
        if name[2] == "Dense":
            units = module.argument(layer, 0, "units")
            count = None if units is None else module.constant(units)
            if type(count) is not int:
                return None
            total += (width + 1) * count
            width = count
        elif name[2] not in ("Activation", "Dropout", "Flatten", "ReLU", "BatchNormalization"):
            return None
    return total or None


def _input_width(module: Module, layer: ast.Call, name: str) -> int | None:
    if name in ("Input", "InputLayer"):
        shape = module.argument(layer, 0, "shape")
        if shape is None:
            shape = module.argument(layer, None, "input_shape")
    else:
        shape = module.argument(layer, None, "input_shape")
        if shape is None:
            shape = module.argument(layer, None, "input_dim")
    sizes = None if shape is None else module.constant(shape)
    if type(sizes) is int:
        return sizes
    if isinstance(sizes, (tuple, list)) and sizes and all(type(size) is int for size in sizes):
        return math.prod(sizes)
    return None


def number(module: Module, call: ast.Call, position: int | None, keyword: str) -> int | None:
    """A written whole number given to a call."""
    given = module.argument(call, position, keyword)
    value = UNKNOWN if given is None else module.constant(given)
    return value if type(value) is int else None


# Edits


def home_loop(
    module: Module, statement: ast.stmt, expressions: list[ast.expr]
) -> ast.For | ast.While | None:
    """The outermost loop out of which a statement can be taken."""
    found: ast.For | ast.While | None = None
    node: ast.stmt = statement
    while True:
        parent = module.parent(node)
        if not isinstance(parent, (ast.For, ast.While)):
            return found
        if not any(node is each for each in parent.body):
            return found
        if not all(module.invariant(each, parent) for each in expressions):
            return found
        found = node = parent


def named_uses(
    module: Module, statement: ast.stmt, call: ast.Call, loop: ast.AST
) -> list[ast.Name] | None:
    """The uses in a loop of the one name that a statement there gives to what a call makes.

    `None` where the name has other values in the loop, or is used before the statement.
    """
    if not isinstance(statement, ast.Assign) or statement.value is not call:
        return None
    target = statement.targets[0]
    if len(statement.targets) != 1 or not isinstance(target, ast.Name):
        return None
    scope = module.home(target)
    if scope is None or module.scope(statement) is not scope:
        return None
    if sum(module.inside(b.node, loop) for b in module.scopes[scope][target.id]) != 1:
        return None
    uses = [
        use
        for use in module.uses_of(target.id, scope)
        if use is not target and module.inside(use, loop)
    ]
    return uses if all(use.lineno > statement.lineno for use in uses) else None


def moved(module: Module, statement: ast.stmt) -> str | None:
    """A statement's lines as they can stand elsewhere; `None` where they cannot."""
    for node in ast.walk(statement):
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.lineno != node.end_lineno:
            return None
    end = statement.end_lineno or statement.lineno
    width = len(module.source.lines[end - 1]) + 1
    indent = module.indent(statement)
    lines = module.text_between(module.start(statement), (end, width)).split("\n")
    if any(line.strip() and not line.startswith(indent) for line in lines[1:]):
        return None
    return "\n".join([lines[0], *(line[len(indent) :] for line in lines[1:])])


def kept(
    module: Module, call: ast.Call, name: str, keys: tuple[str, ...]
) -> tuple[Edit, ...] | None:
    """Edits after which a call is done once: by a cached helper before the code around it.

    `keys`: the names of the first argument, on which what is made depends.
    """
    function = module.function(call)
    statement = module.statement(call)
    if function is None or isinstance(function, ast.Lambda) or module.has_star(call):
        return None
    top: ast.AST = function
    while not isinstance(module.parent(top), ast.Module):
        above = module.parent(top)
        if above is None:
            return None
        top = above
    if not isinstance(top, ast.stmt) or not (module.editable(top) and module.editable(statement)):
        return None
    if not _everywhere(module, call.func):
        return None
    parameter = given = ""
    texts: list[str] = []
    for position, argument in enumerate(arguments(call)):
        keyword = call.keywords[position - len(call.args)].arg if position >= len(call.args) else ""
        text = module.text(argument)
        if not _everywhere(module, argument):
            if parameter or not (keyword in keys or (position == 0 and not keyword)):
                return None
            parameter, given = (keyword or keys[0]), text
            text = parameter
        texts.append(f"{keyword}={text}" if keyword else text)
    if any("\n" in text for text in texts):
        return None
    functools, imports = module.imported("functools")
    helper = module.free_name(name)
    line = min([top.lineno, *(each.lineno for each in getattr(top, "decorator_list", ()))])
    body = f"    return {module.text(call.func)}({', '.join(texts)})\n\n\n"
    definition = f"@{functools}.cache\ndef {helper}({parameter}):\n{body}"
    return (
        *imports,
        module.edit((line, 1), (line, 1), definition),
        module.replace(call, f"{helper}({given})"),
    )


def _everywhere(module: Module, expression: ast.expr) -> bool:
    """Whether an expression means the same in a function at the top of the module."""
    for node in ast.walk(expression):
        if isinstance(node, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp)):
            return False
        if isinstance(node, ast.Name):
            scope = module.home(node)
            if scope is None:
                continue
            if scope is not module.tree:
                return False
            every = module.scopes[scope][node.id]
            if len(every) != 1 or module.scope(every[0].node) is not module.tree:
                return False
    return True
