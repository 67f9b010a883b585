"""What becomes of a dataset in the source: the stages after it, and who takes its elements."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from unslow.catalogue.pipelines import _functions
from unslow.source.module import UNKNOWN, Function, Module

FEW_ELEMENTS = 20
"""Who takes so few elements has no trouble with what each costs."""

MOST_NODES = 100

_PASSED = frozenset({"iter", "enumerate", "zip", "tqdm.tqdm", "tqdm.auto.tqdm"})

_ITERATORS = ("make_one_shot_iterator", "make_initializable_iterator")

_LOOKS = frozenset({"print", "len", "type", "repr", "str", "isinstance"})

WRITERS = frozenset(
    {
        *("tensorflow.io.TFRecordWriter", "tensorflow.python_io.TFRecordWriter"),
        "tensorflow.data.experimental.TFRecordWriter",
    }
)


@dataclass(frozen=True, eq=False)
class Consumer:
    """A place that takes a dataset's elements.

    `stages`: the calls of methods between the dataset and this place; `known`: whether it is
    seen how the elements are taken: by a loop, by `next` or by the run of a session.
    """

    node: ast.AST
    module: Module
    stages: tuple[ast.Call, ...]
    known: bool


def consumers(stage: ast.Call, module: Module) -> list[Consumer]:
    """The places that take elements of the dataset that a stage makes, as far as one can see."""
    return list(_follow(stage, module, (), set()))


def later_stages(stage: ast.Call, module: Module) -> frozenset[str]:
    """The names of all stages seen to come after a stage, also where nobody takes elements."""
    seen: set[ast.AST] = set()
    for _ in _follow(stage, module, (), seen):
        continue
    return frozenset(
        node.func.attr
        for node in seen
        if node is not stage and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    )


def _follow(
    node: ast.expr, module: Module, stages: tuple[ast.Call, ...], seen: set[ast.AST]
) -> Iterator[Consumer]:
    """The places that an expression's elements go to."""
    if node in seen:
        return
    if len(seen) > MOST_NODES:
        yield Consumer(node, module, stages, known=False)
        return
    seen.add(node)
    parent = module.parent(node)
    if isinstance(parent, ast.Expr):
        return
    if isinstance(parent, ast.Attribute):
        call = module.parent(parent)
        if isinstance(call, ast.Call) and call.func is parent:
            if parent.attr == "get_next" and not module.graph_mode:
                yield Consumer(call, module, stages, known=True)
            elif parent.attr in ("get_next", *_ITERATORS):
                yield from _follow(call, module, stages, seen)
            else:
                yield from _follow(call, module, (*stages, call), seen)
        elif parent.attr not in ("initializer", "element_spec"):
            yield Consumer(node, module, stages, known=False)
    elif isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is node:
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        for target in targets:
            yield from _of_target(target, parent, module, stages, seen)
    elif isinstance(parent, (ast.For, ast.AsyncFor, ast.comprehension)) and parent.iter is node:
        loop = parent if not isinstance(parent, ast.comprehension) else module.parent(parent)
        yield Consumer(loop or parent, module, stages, known=True)
    elif isinstance(parent, ast.Return):
        yield from _of_callers(node, module, stages, seen)
    elif isinstance(parent, ast.Call):
        yield from _of_argument(node, parent, module, stages, seen)
    elif isinstance(parent, (ast.Tuple, ast.List)):
        call = module.parent(parent)
        if isinstance(call, ast.Call) and _is_session_run(call, module):
            yield Consumer(call, module, stages, known=True)
        elif isinstance(call, ast.Call) and _is_dataset_function(call, module):
            yield from _follow(call, module, stages, seen)
        else:
            yield Consumer(node, module, stages, known=False)
    else:
        yield Consumer(node, module, stages, known=False)


def _of_target(
    target: ast.expr,
    statement: ast.stmt,
    module: Module,
    stages: tuple[ast.Call, ...],
    seen: set[ast.AST],
) -> Iterator[Consumer]:
    """The places that a name's elements go to, where the name stands for what was assigned."""
    if isinstance(target, (ast.Tuple, ast.List)):
        for each in target.elts:
            yield from _of_target(each, statement, module, stages, seen)
        return
    scope = module.home(target) if isinstance(target, ast.Name) else None
    if not isinstance(target, ast.Name) or scope is None:
        yield Consumer(target, module, stages, known=False)
        return
    for use in module.uses_of(target.id, scope):
        if not isinstance(use.ctx, ast.Load):
            continue
        bindings = module.bindings(use)
        if bindings is None:
            yield Consumer(use, module, stages, known=False)
        elif any(each.node is statement for each in bindings):
            yield from _follow(use, module, stages, seen)


def _of_callers(
    node: ast.expr, module: Module, stages: tuple[ast.Call, ...], seen: set[ast.AST]
) -> Iterator[Consumer]:
    function = module.function(node)
    callers = None if function is None else module.project.flow.callers(function, module)
    if callers is None:
        yield Consumer(node, module, stages, known=False)
    for each in callers or ():
        yield from _follow(each.call, each.module, stages, seen)


def _of_argument(
    node: ast.expr,
    call: ast.Call,
    module: Module,
    stages: tuple[ast.Call, ...],
    seen: set[ast.AST],
) -> Iterator[Consumer]:
    """Where the elements of a dataset go that is given to a call."""
    name = module.qualified(call.func) or ""
    if name in _PASSED or _is_dataset_function(call, module):
        yield from _follow(call, module, stages, seen)
    elif name == "next" or _is_session_run(call, module):
        yield Consumer(call, module, stages, known=True)
    elif name not in _LOOKS:
        callee = module.value(call.func)
        function = callee.definition
        if callee.module is None or not isinstance(function, (ast.FunctionDef, ast.Lambda)):
            yield Consumer(call, module, stages, known=False)
            return
        parameter = parameter_of(call, node, function)
        if parameter is None:
            yield Consumer(call, module, stages, known=False)
            return
        for use in callee.module.uses(parameter, function):
            if isinstance(use.ctx, ast.Load):
                yield from _follow(use, callee.module, stages, seen)


def parameter_of(call: ast.Call, node: ast.expr, function: Function) -> str | None:
    """The parameter that an argument is given to, for functions that are no methods."""
    given = [*function.args.posonlyargs, *function.args.args]
    names = [each.arg for each in given]
    if names[:1] in (["self"], ["cls"]):
        return None
    if node in call.args:
        before = call.args[: call.args.index(node) + 1]
        plain = not any(isinstance(each, ast.Starred) for each in before)
        return names[len(before) - 1] if plain and len(before) <= len(names) else None
    every = {*names, *(each.arg for each in function.args.kwonlyargs)}
    return next((k.arg for k in call.keywords if k.value is node and k.arg in every), None)


def _is_dataset_function(call: ast.Call, module: Module) -> bool:
    """Whether a call puts datasets together: `tf.data.Dataset.zip`."""
    name = module.qualified(call.func) or ""
    return name.startswith("tensorflow.data.") and name not in WRITERS


def _is_session_run(call: ast.Call, module: Module) -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and call.func.attr == "run"
        and module.value(call.func.value).kind == "session"
    )


def takes_few(consumer: Consumer) -> bool:
    """Whether a place surely takes few elements."""
    module = consumer.module
    for call in consumer.stages:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "take":
            count = module.argument(call, 0, "count")
            number = UNKNOWN if count is None else module.constant(count)
            if isinstance(number, int) and 0 <= number <= FEW_ELEMENTS:
                return True
    if not consumer.known:
        return False
    node = consumer.node
    if isinstance(node, ast.Call):
        return _is_seldom(node, module)
    return isinstance(node, (ast.For, ast.AsyncFor)) and isinstance(
        node.body[-1], (ast.Break, ast.Return)
    )


def _is_seldom(call: ast.Call, module: Module) -> bool:
    """Whether a call runs a few times only: in no loop, or in loops over a short range."""
    times = 1
    for loop in module.loops(call):
        if not isinstance(loop, ast.For) or not isinstance(loop.iter, ast.Call):
            return False
        count = loop.iter.args[0] if len(loop.iter.args) == 1 else None
        number = UNKNOWN if count is None else module.constant(count)
        if module.qualified(loop.iter.func) != "range" or not isinstance(number, int):
            return False
        times *= number
    again = module.repetition(call)
    known = again is None or again.kind == "loop" or again.times is not None
    return known and times <= FEW_ELEMENTS


def sleeps(consumer: Consumer) -> bool:
    """Whether the program sleeps between the elements it takes."""
    node, module = consumer.node, consumer.module
    loops: tuple[ast.AST, ...] = ()
    if isinstance(node, (ast.For, ast.AsyncFor)):
        loops = (node,)
    elif isinstance(node, ast.Call):
        loops = tuple(module.loops(node))[:1]
    return any(
        _sleeps(statement, module)
        for loop in loops
        if isinstance(loop, (ast.For, ast.AsyncFor, ast.While))
        for statement in loop.body
    )


def _sleeps(statement: ast.stmt, module: Module) -> bool:
    """Whether a statement of a loop's body sleeps each time it is reached."""
    if isinstance(statement, (ast.If, ast.Try, ast.FunctionDef, ast.ClassDef)):
        return False
    for call in ast.walk(statement):
        if isinstance(call, ast.Call):
            work = _functions.reached(call.func, module)
            if work is not None and "time.sleep" in work.names:
                return True
    return False


def is_written(consumer: Consumer) -> bool:
    """Whether elements are only written to a TFRecord file."""
    node, module = consumer.node, consumer.module
    last = consumer.stages[-1] if consumer.stages else None
    if isinstance(node, (ast.For, ast.AsyncFor)):
        return any(
            isinstance(call, ast.Call) and _is_write(call, module)
            for statement in node.body
            for call in ast.walk(statement)
        )
    return (isinstance(node, ast.Call) and _is_write(node, module)) or (
        last is not None and _is_write(last, module)
    )


def _is_write(call: ast.Call, module: Module) -> bool:
    """Whether a call is `writer.write(…)`, the writer being one of TFRecord files."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "write":
        return False
    made: list[ast.expr | None] = [call.func.value]
    if isinstance(call.func.value, ast.Name):
        made = [each.value for each in module.bindings(call.func.value) or ()]
    return bool(made) and all(
        isinstance(each, ast.Call) and module.qualified(each.func) in WRITERS for each in made
    )
