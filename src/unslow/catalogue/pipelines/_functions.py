"""The functions that pipelines call: what they reach, and whether they treat all rows alike."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from unslow.source.module import UNKNOWN, Function, Module
from unslow.source.values import dtype_of

MOST_DEPTH = 6

_TF = "tensorflow."

DECODERS = frozenset(
    f"{_TF}{room}.{name}"
    for room in ("io", "image")
    for name in (
        *("decode_jpeg", "decode_png", "decode_image", "decode_bmp", "decode_gif"),
        "decode_and_crop_jpeg",
    )
) | {"tensorflow.audio.decode_wav"}

READERS = frozenset({"tensorflow.io.read_file", "tensorflow.read_file"})

COSTLY = DECODERS | {
    "tensorflow.image.resize",
    "tensorflow.image.resize_with_pad",
    "tensorflow.signal.stft",
}

BRIDGES = frozenset({"tensorflow.numpy_function", "tensorflow.py_function", "tensorflow.py_func"})

PARSERS = frozenset({"tensorflow.io.parse_single_example", "tensorflow.parse_single_example"})

_RANDOM_NAMES = frozenset(
    {
        *(f"{_TF}random_{kind}" for kind in ("uniform", "normal", "crop", "shuffle")),
        "tensorflow.truncated_normal",
        "tensorflow.image.sample_distorted_bounding_box",
        *(
            f"{_TF}random.{kind}"
            for kind in (
                *("uniform", "normal", "truncated_normal", "shuffle", "gamma", "poisson"),
                *("categorical", "multinomial", "log_normal"),
            )
        ),
    }
)

_STATEFUL = tuple(
    f"{_TF}{name}"
    for name in (
        *("Variable", "lookup.experimental", "timestamp", "print", "summary.", "io.write_file"),
        *("Print", "py_", "numpy_function", "raw_ops.", "get_variable", "queue."),
    )
)

_HARMLESS_METHODS = frozenset(
    {"set_shape", "get_shape", "as_list", "append", "items", "keys", "values", "get", "copy"}
)


def is_random(name: str) -> bool:
    """Whether the thing of this qualified name draws other numbers at each call."""
    if name.startswith("keras.layers.Random"):
        return True
    return name in _RANDOM_NAMES or name.startswith("tensorflow.image.random_")


@dataclass(frozen=True)
class Reached:
    """What a function calls, itself and through functions of the program.

    `names`: qualified names of the libraries' things; `calls`: each call with its module;
    `opaque`: whether it calls something that is not known.
    """

    names: frozenset[str] = frozenset()
    calls: tuple[tuple[ast.Call, Module, str], ...] = ()
    opaque: bool = False

    @property
    def random(self) -> bool:
        """Whether it surely draws random numbers."""
        return any(is_random(name) for name in self.names)

    @property
    def repeatable(self) -> bool:
        """Whether it surely gives the same for the same."""
        return (
            not self.opaque
            and not self.random
            and not self.names & BRIDGES
            and all(_stateless(name) for name in self.names)
        )


def _stateless(name: str) -> bool:
    if "." not in name:
        return name in ("len", "range", "zip", "int", "float", "tuple", "list", "dict", "enumerate")
    if name.startswith("tensorflow.random."):
        return name.startswith("tensorflow.random.stateless_")
    return name.startswith("tensorflow.") and not name.startswith(_STATEFUL)


def function_of(expression: ast.expr | None, module: Module) -> tuple[Function, Module] | None:
    """The definition of the function that an expression is, also behind `functools.partial`."""
    if expression is None:
        return None
    if (
        isinstance(expression, ast.Call)
        and expression.args
        and module.qualified(expression.func) == "functools.partial"
    ):
        return function_of(expression.args[0], module)
    value = module.value(expression)
    if value.kind not in ("function", "compiled") or value.module is None:
        return None
    if isinstance(value.definition, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return value.definition, value.module
    return None


def reached(expression: ast.expr | None, module: Module) -> Reached | None:
    """What the function that an expression is calls; `None` where it is not known."""
    if expression is None:
        return None
    name = module.qualified(expression)
    if name is not None:
        return Reached(frozenset({name}))
    found = function_of(expression, module)
    if found is None:
        return None
    calls: list[tuple[ast.Call, Module, str]] = []
    opaque = _collect(*found, calls, set(), 0)
    return Reached(frozenset(each[2] for each in calls), tuple(calls), opaque)


def _collect(
    function: Function,
    module: Module,
    calls: list[tuple[ast.Call, Module, str]],
    seen: set[ast.AST],
    depth: int,
) -> bool:
    if function in seen:
        return False
    seen.add(function)
    opaque = False
    for call in own_calls(function):
        callee = module.value(call.func)
        if callee.kind == "external":
            calls.append((call, module, callee.name))
            if callee.name in BRIDGES:
                continue
        elif callee.kind == "layer" and callee.name:
            calls.append((call, module, callee.name))
        elif (
            callee.kind in ("function", "compiled")
            and isinstance(callee.definition, (ast.FunctionDef, ast.Lambda))
            and callee.module is not None
            and depth < MOST_DEPTH
        ):
            opaque |= _collect(callee.definition, callee.module, calls, seen, depth + 1)
        elif not (isinstance(call.func, ast.Attribute) and call.func.attr in _HARMLESS_METHODS):
            opaque = True
    return opaque


def own_calls(function: Function) -> Iterator[ast.Call]:
    """The calls in a function's body, those of functions inside it among them."""
    body = function.body if isinstance(function.body, list) else [function.body]
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                yield node


# Functions that treat all rows alike

_EXACT = frozenset(
    f"{_TF}{room}{name}"
    for room in ("", "math.")
    for name in (
        *("abs", "negative", "square", "round", "floor", "ceil", "sign", "sqrt"),
        *("logical_not", "add", "subtract", "multiply", "divide", "truediv", "floordiv"),
        *("maximum", "minimum", "equal", "not_equal", "greater", "greater_equal", "less"),
        *("less_equal", "logical_and", "logical_or"),
    )
) | {
    f"{_TF}{name}"
    for name in (
        *("cast", "saturate_cast", "identity", "clip_by_value", "zeros_like", "ones_like"),
        *("image.convert_image_dtype", "nn.relu", "stop_gradient"),
    )
}
"""Element by element, with the same bits wherever in a tensor a number stands."""

_CLOSE = frozenset(
    f"{_TF}{room}{name}"
    for room in ("", "math.", "nn.")
    for name in (*("exp", "log", "log1p", "sin", "cos", "tanh", "sigmoid", "pow", "rsqrt"),)
)
"""Element by element, with last digits that can depend on where a number stands."""

_NUMBERS = frozenset({"math.pi", "math.e", "numpy.pi", "numpy.e"})

SCALAR = ""
"""Stands for a number that is no part of a row."""


FEW_ROWS = 1_000
"""Too few to be worth a word, as long as the work on each is cheap."""


@dataclass
class RowWork:
    """How a function treats a row whose numbers it all treats alike.

    `exact`: whether a whole batch gives the same bits; `parsers`: its calls of
    `parse_single_example`, each with its module.
    """

    exact: bool = True
    parsers: list[tuple[ast.Call, Module]] = field(default_factory=list)


class _NotAlike(Exception):
    """The function does something else with a batch than with rows."""


def row_work(expression: ast.expr | None, module: Module) -> RowWork | None:
    """How a mapped function treats its rows; `None` unless surely all numbers alike.

    A function that gives its rows other shapes only at the end, such as `one_hot`,
    counts as well. What is known to hold for a row then holds for each row of a batch.
    """
    found = function_of(expression, module)
    if found is None or (isinstance(expression, ast.Call)):
        return None
    work = RowWork()
    function, home = found
    names = _parameters(function)
    if names is None:
        return None
    try:
        _Rows(home, work, 0).run(function, {name: name for name in names})
    except _NotAlike:
        return None
    return work


def _parameters(function: Function) -> list[str] | None:
    given = function.args
    if given.defaults or given.kwonlyargs or given.vararg or given.kwarg:
        return None
    names = [each.arg for each in (*given.posonlyargs, *given.args)]
    return [name for name in names if name not in ("self", "cls")]


class _Rows:
    """Follows a function's statements, keeping for each name the shape of its rows.

    A shape is a text of its own: two expressions of one text have rows of one shape.
    """

    def __init__(self, module: Module, work: RowWork, depth: int) -> None:
        self.module = module
        self.work = work
        self.depth = depth
        self.names: dict[str, str] = {}

    def run(self, function: Function, names: dict[str, str]) -> str:
        """The shape of what the function returns."""
        self.names = names
        if isinstance(function, ast.Lambda):
            return self.result(function.body)
        for statement in function.body:
            if isinstance(statement, ast.Return):
                if statement.value is None or statement is not function.body[-1]:
                    raise _NotAlike
                return self.result(statement.value)
            self.statement(statement)
        raise _NotAlike

    def statement(self, statement: ast.stmt) -> None:
        """Follow one statement of a body."""
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            own = self.names.get(statement.target.id)
            if own is None:
                raise _NotAlike
            self.names[statement.target.id] = self.together(own, self.shape(statement.value))
            return
        else:
            raise _NotAlike
        if isinstance(target, ast.Name):
            self.names[target.id] = self.shape(value)
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            if len(target.elts) != len(value.elts):
                raise _NotAlike
            shapes = [self.shape(each) for each in value.elts]
            for each, shape in zip(target.elts, shapes, strict=True):
                if not isinstance(each, ast.Name):
                    raise _NotAlike
                self.names[each.id] = shape
        else:
            raise _NotAlike

    def result(self, expression: ast.expr) -> str:
        """A returned value: rows, or a tuple or dict of them."""
        if isinstance(expression, ast.Tuple):
            for each in expression.elts:
                self.row(each)
            return "several"
        if isinstance(expression, ast.Dict):
            for key, value in zip(expression.keys, expression.values, strict=True):
                if not isinstance(key, ast.Constant):
                    raise _NotAlike
                self.row(value)
            return "several"
        return self.row(expression)

    def row(self, expression: ast.expr) -> str:
        """The shape of an expression that must depend on the row."""
        if isinstance(expression, (ast.Tuple, ast.Dict)):
            return self.result(expression)
        shape = self.shape(expression)
        if shape == SCALAR:
            # A constant has no batch dimension: there would be one for a batch, not one a row.
            raise _NotAlike
        return shape

    def shape(self, expression: ast.expr) -> str:
        """The shape of an expression's rows, `SCALAR` for numbers that are none."""
        if isinstance(expression, ast.Name) and expression.id in self.names:
            return self.names[expression.id]
        if isinstance(expression, ast.BinOp):
            if isinstance(expression.op, (ast.MatMult, ast.LShift, ast.RShift)):
                raise _NotAlike
            if isinstance(expression.op, ast.Pow):
                self.work.exact = False
            return self.together(self.shape(expression.left), self.shape(expression.right))
        if isinstance(expression, ast.UnaryOp) and not isinstance(expression.op, ast.Not):
            return self.shape(expression.operand)
        if isinstance(expression, ast.Compare):
            shapes = [self.shape(each) for each in (expression.left, *expression.comparators)]
            if len(shapes) != 2 or isinstance(
                expression.ops[0], (ast.In, ast.NotIn, ast.Is, ast.IsNot)
            ):
                raise _NotAlike
            return self.together(*shapes)
        if isinstance(expression, ast.Subscript):
            return self.item(expression)
        if isinstance(expression, ast.Call):
            return self.call(expression)
        return self.number(expression)

    def number(self, expression: ast.expr) -> str:
        """A number, dtype or text from outside the row."""
        value = self.module.value(expression)
        if value.kind in ("scalar", "numpy-scalar", "string"):
            return SCALAR
        if value.kind == "external" and (dtype_of(value.name) or value.name in _NUMBERS):
            return SCALAR
        if isinstance(self.module.constant(expression), (int, float, str)):
            return SCALAR
        raise _NotAlike

    def together(self, one: str, other: str) -> str:
        """The shape of two operands, which must have one shape or be a number."""
        if one == other or other == SCALAR:
            return one
        if one == SCALAR:
            return other
        raise _NotAlike

    def item(self, expression: ast.Subscript) -> str:
        """`row["name"]`, or `row[..., tf.newaxis]`."""
        base = self.shape(expression.value)
        index = expression.slice
        if base == SCALAR:
            raise _NotAlike
        if isinstance(index, ast.Constant) and isinstance(index.value, str):
            return f"{base}[{index.value!r}]"
        if isinstance(index, ast.Tuple) and len(index.elts) == 2:
            first, second = index.elts
            if isinstance(first, ast.Constant) and first.value is ... and self.new_axis(second):
                return f"{base}[..., new]"
        raise _NotAlike

    def new_axis(self, expression: ast.expr) -> bool:
        """Whether an index adds an axis."""
        if isinstance(expression, ast.Constant):
            return expression.value is None
        return self.module.qualified(expression) in ("tensorflow.newaxis", "numpy.newaxis")

    def call(self, call: ast.Call) -> str:
        """The shape that a call returns."""
        if self.module.has_star(call) or not call.args:
            raise _NotAlike
        name = self.module.qualified(call.func)
        if name is None:
            return self.inner(call)
        if name in PARSERS:
            return self.parsed(call)
        shapes = [self.shape(each) for each in call.args]
        keywords = {k.arg: self.shape(k.value) for k in call.keywords if k.arg}
        if any(shape != SCALAR for shape in keywords.values()):
            raise _NotAlike
        if name in _CLOSE:
            self.work.exact = False
        if name in _EXACT or name in _CLOSE:
            shape = shapes[0]
            for other in shapes[1:]:
                shape = self.together(shape, other)
            return shape
        others_plain = all(shape == SCALAR for shape in shapes[1:])
        if name == "tensorflow.one_hot" and others_plain and "axis" not in keywords:
            if len(shapes) > 4 or shapes[0] == SCALAR:
                raise _NotAlike
            return f"one_hot({shapes[0]}, {self.module.text(call)})"
        if name == "tensorflow.expand_dims" and others_plain and shapes[0] != SCALAR:
            axis = self.module.argument(call, 1, "axis")
            if axis is not None and self.module.constant(axis) == -1:
                return f"{shapes[0]}[..., new]"
        raise _NotAlike

    def parsed(self, call: ast.Call) -> str:
        """The shape of a parsed example, whose features are picked by name."""
        others = [*call.args[1:], *(keyword.value for keyword in call.keywords)]
        names = {n.id for each in others for n in ast.walk(each) if isinstance(n, ast.Name)}
        serialised = self.shape(call.args[0])
        if names & set(self.names) or serialised == SCALAR or self.work.parsers:
            raise _NotAlike
        self.work.parsers.append((call, self.module))
        return f"parsed({serialised})"

    def inner(self, call: ast.Call) -> str:
        """A call of another function of the program."""
        found = function_of(call.func, self.module)
        if found is None or call.keywords or self.depth >= 3:
            raise _NotAlike
        function, home = found
        names = _parameters(function)
        if names is None or len(names) != len(call.args):
            raise _NotAlike
        shapes = [self.shape(each) for each in call.args]
        if any(shape == SCALAR for shape in shapes):
            raise _NotAlike
        inner = _Rows(home, self.work, self.depth + 1)
        return inner.run(function, dict(zip(names, shapes, strict=True)))


def is_small(expression: ast.expr | None, module: Module) -> bool:
    """Whether data is written out in the source, or counted to a small number."""
    if expression is None:
        return True
    if module.constant(expression) is not UNKNOWN:
        return True
    value = module.value(expression)
    if value.items is not None and value.kind == "list":
        return True
    if isinstance(expression, ast.Name):
        held = module.bindings(expression)
        if held is not None and len(held) == 1 and held[0].value is not None and not held[0].path:
            return is_small(held[0].value, module)
        return False
    if isinstance(expression, (ast.List, ast.Dict)):
        return True
    if isinstance(expression, ast.Tuple):
        return any(is_small(each, module) for each in expression.elts)
    if isinstance(expression, ast.Call):
        name = module.qualified(expression.func) or ""
        last = name.rpartition(".")[2]
        if isinstance(expression.func, ast.Attribute):
            last = expression.func.attr
        if last in ("astype", "reshape") and isinstance(expression.func, ast.Attribute):
            return is_small(expression.func.value, module)
        if last in ("array", "asarray", "constant", "list", "convert_to_tensor"):
            return bool(expression.args) and is_small(expression.args[0], module)
        if last in ("arange", "range", "zeros", "ones"):
            return bool(expression.args) and all(_is_few(e, module) for e in expression.args)
        size = module.argument(expression, None, "size") or module.argument(
            expression, None, "shape"
        )
        return size is not None and _is_few(size, module)
    return False


def _is_few(expression: ast.expr, module: Module) -> bool:
    """Whether a count, or the first of the lengths of a shape, is known and small."""
    count = module.constant(expression)
    if isinstance(count, (tuple, list)) and count:
        count = count[0]
    return isinstance(count, int) and count < FEW_ROWS
