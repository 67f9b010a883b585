"""Reading source for compiled functions and sessions: what the pages of this family share."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unslow.finding import Edit
from unslow.source.bindings import COMPREHENSIONS, Binding, Loop, Scope, parameters
from unslow.source.flow import rounds
from unslow.source.inference import argument_for, own_nodes
from unslow.source.module import UNKNOWN, Module
from unslow.source.values import Value

FEW_ROUNDS = 4
"""Two modes and a smaller last batch are traced once each, and that is how it should be."""

MOST_DEPTH = 8

_SCOPED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)

_SAME_SHAPES = frozenset({"cache", "prefetch", "repeat", "shuffle", "skip", "take", "with_options"})
"""What may follow `padded_batch` and leaves its batches as they are."""

_SHAPED = frozenset(
    {
        "numpy.empty",
        "numpy.full",
        "numpy.ones",
        "numpy.zeros",
        "tensorflow.fill",
        "tensorflow.ones",
        "tensorflow.random.normal",
        "tensorflow.random.stateless_normal",
        "tensorflow.random.stateless_uniform",
        "tensorflow.random.uniform",
        "tensorflow.zeros",
    }
)
"""Functions whose first argument is the shape of what they return."""

_GENERATOR_SHAPES = {"random": 0, "standard_normal": 0, "normal": 2, "uniform": 2, "integers": 2}
"""Methods of a NumPy generator, and which argument is their shape."""

_JOINS = frozenset({"tensorflow.concat", "numpy.append", "numpy.concatenate", "numpy.vstack"})

_SAME_SHAPE_CALLS = frozenset(
    {
        "numpy.array",
        "numpy.asarray",
        "tensorflow.cast",
        "tensorflow.constant",
        "tensorflow.convert_to_tensor",
        "tensorflow.expand_dims",
        "tensorflow.identity",
    }
)

_SCALAR_REDUCTIONS = frozenset(
    f"tensorflow.{name}" for name in ("reduce_max", "reduce_mean", "reduce_min", "reduce_sum")
)

_ELEMENTWISE_NAMES = """
    abs add cast cos divide exp floor identity math.log math.log1p math.sqrt math.tanh maximum
    minimum multiply negative pow round sigmoid sign sin sqrt square subtract tan tanh
"""
_ELEMENTWISE = frozenset(f"tensorflow.{name}" for name in _ELEMENTWISE_NAMES.split())


def option(compiled: Value, name: str) -> object:
    """A literal keyword argument of the `tf.function` that made `compiled`.

    `None` where it has none, `UNKNOWN` where it has one that the source does not tell.
    """
    call, module = compiled.call, compiled.call_module
    if call is None or module is None:
        return None
    for keyword in call.keywords:
        if keyword.arg == name:
            return module.constant(keyword.value)
        if keyword.arg is None:
            return UNKNOWN
    return None


def has_option(compiled: Value, *names: str) -> bool:
    """Whether `tf.function` was, or may have been, given one of these options."""
    return any(option(compiled, name) not in (None, False) for name in names)


def has_signature(compiled: Value) -> bool:
    """Whether `tf.function` was, or may have been, told what its arguments are."""
    names = {"input_signature", "experimental_follow_type_hints"}
    if compiled.call is None:
        return False
    return len(compiled.call.args) > 1 or any(
        keyword.arg is None or keyword.arg in names for keyword in compiled.call.keywords
    )


def repeated_calls(module: Module) -> Iterator[tuple[ast.Call, Value]]:
    """The calls of compiled functions that surely come from a loop of plain Python."""
    for call in module.calls():
        if not module.loops(call):
            continue
        compiled = module.value(call.func)
        if compiled.kind != "compiled" or module.mode(call) != "eager":
            continue
        if module.guarded(call):
            continue
        yield call, compiled


def function_name(compiled: Value, call: ast.Call) -> str:
    """The name by which a report calls the function that `call` calls."""
    if isinstance(call.func, (ast.Name, ast.Attribute)):
        return call.func.id if isinstance(call.func, ast.Name) else call.func.attr
    return getattr(compiled.definition, "name", "the function")


def arguments(call: ast.Call) -> Iterator[ast.expr]:
    """The expressions given to a call, those behind a star left out."""
    yield from (each for each in call.args if not isinstance(each, ast.Starred))
    yield from (keyword.value for keyword in call.keywords if keyword.arg is not None)


def parameter(compiled: Value, call: ast.Call, argument: ast.expr) -> ast.arg | None:
    """The parameter that an argument of a call fills; `None` where that is not known."""
    function = compiled.definition
    if function is None or isinstance(function, ast.ClassDef):
        return None
    for each in parameters(function):
        if argument_for(each, function, call, bound=compiled.receiver is not None) is argument:
            return each
    return None


def many_rounds(module: Module, loop: Loop) -> bool:
    """Whether a loop has, or may have, more than a few rounds."""
    count = rounds(module, loop)
    return count is None or count > FEW_ROUNDS


def each_round(module: Module, node: ast.AST, loop: ast.AST) -> bool:
    """Whether a node surely runs in every round of a loop, or every call of a function."""
    child = node
    for each in module.ancestors(node):
        if each is loop:
            return True
        if isinstance(each, (ast.If, ast.IfExp)) and child is not each.test:
            return False
        if isinstance(each, (ast.ExceptHandler, ast.BoolOp, *_SCOPED)):
            return False
        child = each
    return False


def reached(module: Module, node: ast.AST, place: ast.AST) -> bool:
    """Whether a node surely runs in every round of a loop or call, as nothing leaves it before."""
    if not each_round(module, node, place):
        return False
    if isinstance(place, COMPREHENSIONS):
        return True
    leaving = (ast.Return, ast.Continue, ast.Break, ast.Raise)
    start = module.start(node)
    return not any(
        isinstance(each, leaving) and module.start(each) < start for each in own_nodes(place)
    )


def only_binding(module: Module, name: ast.Name) -> Binding | None:
    """The binding of a name that surely holds where it stands."""
    bindings = module.bindings(name)
    return bindings[0] if bindings is not None and len(bindings) == 1 else None


def maker(module: Module, expression: ast.expr) -> ast.Call | None:
    """The call that made what a name bound once stands for, or the expression if it is one."""
    if isinstance(expression, ast.Call):
        return expression
    if isinstance(expression, ast.Name):
        binding = only_binding(module, expression)
        if binding is not None and binding.kind in ("assign", "with") and not binding.path:
            return binding.value if isinstance(binding.value, ast.Call) else None
    return None


# Shapes


def shape_changes(module: Module, expression: ast.expr, loop: Loop, depth: int = 0) -> str | None:
    """Why the shape of an expression surely changes from round to round, in words, or `None`."""
    if depth > MOST_DEPTH:
        return None
    if isinstance(expression, ast.Subscript):
        return _changing_slice(module, expression, loop)
    if isinstance(expression, ast.Call):
        return _changing_call(module, expression, loop, depth)
    if isinstance(expression, ast.Name):
        return _changing_name(module, expression, loop, depth)
    return None


def _changing_slice(module: Module, expression: ast.Subscript, loop: Loop) -> str | None:
    if module.value(expression.value).kind not in ("tensor", "array", "variable"):
        return None
    index = expression.slice
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    for part in parts:
        if not isinstance(part, ast.Slice) or part.step is not None:
            continue
        open_start = part.lower is None or module.constant(part.lower) == 0
        if part.upper is not None and open_start and module.varies(part.upper, loop):
            return "the slice is longer in each round"
        if part.lower is not None and part.upper is None and module.varies(part.lower, loop):
            return "the slice has another length in each round"
    return None


def _changing_call(module: Module, call: ast.Call, loop: Loop, depth: int) -> str | None:
    name = module.qualified(call.func)
    if name in _SAME_SHAPE_CALLS and call.args:
        return shape_changes(module, call.args[0], loop, depth + 1)
    shape: ast.expr | None = None
    if name in _SHAPED:
        shape = module.argument(call, 0, "shape")
    elif isinstance(call.func, ast.Attribute) and call.func.attr in _GENERATOR_SHAPES:
        source = maker(module, call.func.value)
        if source is not None and module.qualified(source.func) == "numpy.random.default_rng":
            shape = module.argument(call, _GENERATOR_SHAPES[call.func.attr], "size")
    if shape is None:
        return None
    sizes = shape.elts if isinstance(shape, (ast.Tuple, ast.List)) else [shape]
    if any(module.varies(size, loop) for size in sizes):
        return "it is made in another size in each round"
    return None


def _changing_name(module: Module, name: ast.Name, loop: Loop, depth: int) -> str | None:
    bindings = module.bindings(name) or []
    inside = [each for each in bindings if module.inside(each.node, loop)]
    if len(inside) != 1:
        return None
    binding = inside[0]
    if binding.kind == "for" and binding.node is loop and binding.value is not None:
        return _changing_element(module, binding, depth)
    if binding.kind != "assign" or binding.path or binding.value is None:
        return None
    value = binding.value
    if not each_round(module, binding.node, loop) or module.loops(binding.node)[0] is not loop:
        return None
    if isinstance(value, ast.Call) and module.qualified(value.func) in _JOINS and value.args:
        first = value.args[0]
        pieces = first.elts if isinstance(first, (ast.List, ast.Tuple)) else value.args[:2]
        grows = any(isinstance(each, ast.Name) and each.id == name.id for each in pieces)
        if grows and len(pieces) > 1 and len(module.scopes[_home(module, name)][name.id]) == 2:
            return "it grows in each round"
    if len(bindings) == 1:
        return shape_changes(module, value, loop, depth + 1)
    return None


def _home(module: Module, name: ast.Name) -> Scope:
    home = module.home(name)
    assert home is not None
    return home


def _changing_element(module: Module, binding: Binding, depth: int) -> str | None:
    """Why the elements that a `for` loop takes differ in shape."""
    iterable, path = binding.value, binding.path
    assert iterable is not None
    if isinstance(iterable, ast.Call) and module.qualified(iterable.func) == "enumerate":
        if path[:1] != (1,) or not iterable.args:
            return None
        iterable, path = iterable.args[0], path[1:]
    if any(path):
        # A later component of a padded element may be a label, which has one shape.
        return None
    if _padded_without_shapes(module, iterable):
        return "its batches are padded to their own longest row"
    source: ast.expr | None = iterable
    if isinstance(iterable, ast.Name):
        bound = only_binding(module, iterable)
        source = bound.value if bound is not None and not bound.path else None
    if path or not isinstance(source, ast.ListComp) or len(source.generators) != 1:
        return None
    return shape_changes(module, source.elt, source, depth + 1) and (
        "the list holds one of each size"
    )


def _padded_without_shapes(module: Module, expression: ast.expr) -> bool:
    """Whether a dataset's last change of shape is a `padded_batch` to no fixed length."""
    for _ in range(MOST_DEPTH):
        call = maker(module, expression)
        if call is None or not isinstance(call.func, ast.Attribute):
            return False
        if module.value(call).kind != "dataset":
            return False
        if call.func.attr == "padded_batch":
            shapes = module.argument(call, 1, "padded_shapes")
            return not module.has_star(call) and (shapes is None or _is_open(module, shapes))
        if call.func.attr not in _SAME_SHAPES:
            return False
        expression = call.func.value
    return False


def _is_open(module: Module, shapes: ast.expr) -> bool:
    """Whether the first component of `padded_shapes` has a dimension left open."""
    value = module.constant(shapes)
    if isinstance(value, tuple) and value and isinstance(value[0], (tuple, list)):
        value = value[0]
    if value is None:
        return True
    return isinstance(value, (tuple, list)) and any(size in (None, -1) for size in value)


# Single numbers


def is_single(module: Module, expression: ast.expr) -> bool:
    """Whether an expression surely is one number: a Python number or a tensor of no dimensions."""
    return _is_single(module, expression, set(), 0)


def _is_single(module: Module, expression: ast.expr, seen: set[ast.AST], depth: int) -> bool:
    if depth > 4 * MOST_DEPTH:
        return False
    if isinstance(expression, ast.Constant):
        return isinstance(expression.value, (int, float))
    if isinstance(expression, ast.UnaryOp):
        return _is_single(module, expression.operand, seen, depth + 1)
    if isinstance(expression, ast.BinOp):
        return all(
            _is_single(module, each, seen, depth + 1)
            for each in (expression.left, expression.right)
        )
    if isinstance(expression, ast.Compare):
        return all(
            _is_single(module, each, seen, depth + 1)
            for each in (expression.left, *expression.comparators)
        )
    if isinstance(expression, ast.Name):
        if module.value(expression).kind == "scalar":
            return True
        bindings = module.bindings(expression)
        return bool(bindings) and all(
            _is_single_binding(module, each, seen, depth + 1) for each in bindings or ()
        )
    if isinstance(expression, ast.Call):
        return _is_single_call(module, expression, seen, depth + 1)
    return False


def _is_single_binding(module: Module, binding: Binding, seen: set[ast.AST], depth: int) -> bool:
    if binding.node in seen:
        return True
    seen.add(binding.node)
    if binding.kind == "parameter":
        assert isinstance(binding.node, ast.arg)
        return _is_single_parameter(module, binding.node, seen, depth)
    value = binding.value
    if value is None or binding.path:
        return False
    if binding.kind == "assign":
        return _is_single(module, value, seen, depth)
    if binding.kind == "augmented":
        target = binding.node.target  # type: ignore[attr-defined]
        return (
            isinstance(target, ast.Name)
            and _is_single(module, value, seen, depth)
            and _is_single(module, target, seen, depth)
        )
    if binding.kind == "for":
        if isinstance(value, ast.Call):
            return module.qualified(value.func) in ("range", "tensorflow.range")
        source: ast.expr | None = value
        if isinstance(value, ast.Name):
            bound = only_binding(module, value)
            source = None if bound is None or bound.path else bound.value
        return isinstance(source, ast.ListComp) and _is_single(module, source.elt, seen, depth)
    return False


def _is_single_parameter(module: Module, node: ast.arg, seen: set[ast.AST], depth: int) -> bool:
    function = module.enclosing(node, ast.FunctionDef, ast.Lambda)
    if function is None or not isinstance(function, (ast.FunctionDef, ast.Lambda)):
        return False
    callers = module.project.flow.callers(function, module)
    if not callers:
        return False
    for caller in callers:
        argument = argument_for(node, function, caller.call, bound=caller.bound)
        if argument is None or not _is_single(caller.module, argument, seen, depth):
            return False
    return True


def _is_single_call(module: Module, call: ast.Call, seen: set[ast.AST], depth: int) -> bool:
    if module.has_star(call):
        return False
    callee = module.value(call.func)
    if callee.kind == "compiled" and isinstance(callee.definition, ast.FunctionDef):
        inner = callee.module
        returns = [n for n in ast.walk(callee.definition) if isinstance(n, ast.Return)]
        return (
            inner is not None
            and bool(returns)
            and all(
                each.value is not None and _is_single(inner, each.value, seen, depth)
                for each in returns
            )
        )
    name = callee.name if callee.kind == "external" else ""
    if name in ("int", "float", "len", "abs"):
        return True
    if name in ("tensorflow.constant", "tensorflow.convert_to_tensor"):
        shape = module.argument(call, 2, "shape") if name == "tensorflow.constant" else None
        return shape is None and bool(call.args) and _is_single(module, call.args[0], seen, depth)
    if name in ("tensorflow.zeros", "tensorflow.ones"):
        return bool(call.args) and module.constant(call.args[0]) in ((), [])
    if name in _SCALAR_REDUCTIONS:
        return len(call.args) == 1 and not call.keywords
    if name in _ELEMENTWISE and call.args:
        given = [each for each in call.args if not _is_dtype(module, each)]
        return all(_is_single(module, each, seen, depth) for each in given)
    return False


def _is_dtype(module: Module, expression: ast.expr) -> bool:
    value = module.value(expression)
    return value.kind in ("external", "string")


# Moving code


def outer_names(module: Module, node: ast.AST, within: ast.AST) -> Iterator[ast.Name]:
    """The names in `node` that are bound outside of it, but in `within`."""
    for name in ast.walk(node):
        if not isinstance(name, ast.Name) or not isinstance(name.ctx, ast.Load):
            continue
        home = module.home(name)
        if home is None or module.inside(home, node):
            continue
        for binding in module.scopes[home][name.id]:
            if module.inside(binding.node, within) and not module.inside(binding.node, node):
                yield name
                break


def has_long_string(node: ast.AST) -> bool:
    """Whether a string in a node goes over several lines, so that its indentation counts."""
    return any(
        isinstance(each, (ast.Constant, ast.JoinedStr))
        and each.end_lineno is not None
        and each.end_lineno > each.lineno
        and (isinstance(each, ast.JoinedStr) or isinstance(each.value, (str, bytes)))
        for each in ast.walk(node)
    )


def lines_of(module: Module, first: ast.stmt, last: ast.stmt) -> str | None:
    """The whole lines of some neighbouring statements, without their common indentation.

    `None` where they cannot be moved as they are.
    """
    statements = [first, last]
    if any(not module.editable(each) or has_long_string(each) for each in statements):
        return None
    indent = module.indent(first)
    start, end = first_line(first), last.end_lineno or last.lineno
    lines = module.source.lines[start - 1 : end]
    if any(line.strip() and not line.startswith(indent) for line in lines):
        return None
    return "\n".join(line[len(indent) :] if line.strip() else "" for line in lines)


def first_line(statement: ast.stmt) -> int:
    """The line on which a statement begins, its decorators counted."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(each.lineno for each in decorators)])


def removal(module: Module, statement: ast.stmt) -> Edit:
    """Take a statement out, with the blank lines below it where others follow."""
    parent = module.parent(statement)
    block: list[ast.stmt] = next(
        (
            field
            for name in ("body", "orelse", "finalbody")
            if isinstance(field := getattr(parent, name, None), list)
            and any(each is statement for each in field)
        ),
        [statement],
    )
    position = next(i for i, each in enumerate(block) if each is statement)
    if position + 1 == len(block):
        return module.delete(statement)
    end = statement.end_lineno or statement.lineno
    upto = first_line(block[position + 1])
    if any(line.strip() for line in module.source.lines[end : upto - 1]):
        return module.delete(statement)
    return module.edit((first_line(statement), 1), (upto, 1), "")


def top_statement(module: Module, node: ast.AST) -> ast.stmt | None:
    """The statement of the module's top level that holds a node."""
    for each in [node, *module.ancestors(node)]:
        if isinstance(module.parent(each), ast.Module):
            assert isinstance(each, ast.stmt)
            return each
    return None


def is_new_global(module: Module, name: str) -> bool:
    """Whether a name can be bound at the top level without meaning something else anywhere."""
    return name not in module.scopes.get(module.tree, {}) and not any(
        module.home(each) is None for each in module.uses(name)
    )


def body_of(place: ast.AST | None) -> list[ast.stmt]:
    """The statements of a loop or function, without the docstring."""
    body: object = getattr(place, "body", None)
    if not isinstance(body, list):
        return []
    first = body[0]
    documented = (
        isinstance(place, (ast.FunctionDef, ast.AsyncFunctionDef))
        and isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return body[1:] if documented else body
