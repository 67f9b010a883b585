"""How code runs: again and again or once, compiled or as plain Python, changed or not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from unslow.source.bindings import COMPREHENSIONS, FUNCTIONS, Binding, Loop
from unslow.source.inference import is_route, own_nodes
from unslow.source.values import KERAS_LAYERS, KERAS_MODELS, Value

if TYPE_CHECKING:
    from unslow.source.module import Function, Module
    from unslow.source.project import Project

Mode = Literal["eager", "compiled"]

FEW = 3
"""Rounds up to which a loop is none."""

MOST_DEPTH = 12

_COMPILED_METHODS = frozenset({"call", "train_step", "test_step", "predict_step"})

_DATASET_TAKERS = frozenset(
    {"map", "filter", "flat_map", "interleave", "scan", "take_while", "group_by_window"}
)

_RUNNERS = frozenset({"absl.app.run", "tensorflow.app.run", "fire.Fire"})

_EAGER_METHODS = frozenset({"fit", "evaluate", "compile", "save", "save_weights", "predict"})

_GRAPH_ONLY = (
    "tensorflow.Session",
    "tensorflow.InteractiveSession",
    "tensorflow.placeholder",
    "tensorflow.disable_eager_execution",
    "tensorflow.disable_v2_behavior",
    "tensorflow.get_variable",
    "tensorflow.variable_scope",
    "tensorflow.global_variables_initializer",
    "tensorflow.initialize_all_variables",
    "tensorflow.train.Saver",
    "tensorflow.train.MonitoredTrainingSession",
    "tensorflow.train.Supervisor",
    "tensorflow.import_graph_def",
    "tensorflow.get_default_graph",
    "tensorflow.train.get_or_create_global_step",
    "tensorflow.layers.dense",
    "tensorflow.layers.conv2d",
    "tensorflow.app.run",
    "tensorflow.logging.info",
    "tensorflow.logging.set_verbosity",
)

_PURE_ROOMS = (
    "tensorflow.math.",
    "tensorflow.nn.",
    "tensorflow.image.",
    "tensorflow.linalg.",
    "numpy.linalg.",
)
_IMPURE = ("random", "assign", "print", "save", "write", "dropout", "shuffle", "set_")

_PURE_METHODS = frozenset(
    {
        "all",
        "any",
        "argmax",
        "argmin",
        "argsort",
        "astype",
        "copy",
        "count",
        "cumsum",
        "dot",
        "endswith",
        "flatten",
        "format",
        "get",
        "index",
        "item",
        "items",
        "join",
        "keys",
        "lower",
        "max",
        "mean",
        "min",
        "nonzero",
        "numpy",
        "prod",
        "ravel",
        "repeat",
        "reshape",
        "round",
        "split",
        "squeeze",
        "startswith",
        "std",
        "strip",
        "sum",
        "swapaxes",
        "tobytes",
        "tolist",
        "transpose",
        "upper",
        "values",
        "var",
    }
)
"""Methods of arrays, strings and containers that leave them as they are."""

_CHANGING_FUNCTIONS = frozenset(
    {
        "numpy.copyto",
        "numpy.fill_diagonal",
        "numpy.place",
        "numpy.put",
        "numpy.put_along_axis",
        "numpy.putmask",
        "numpy.random.shuffle",
        "random.shuffle",
    }
)

_READING_BUILTINS = frozenset(
    {"len", "print", "str", "repr", "isinstance", "type", "id", "float", "int", "bool", "list"}
    | {"tuple", "range", "enumerate", "zip", "min", "max", "sum", "abs", "sorted", "any", "all"}
)

_DEBUG_WORDS = ("debug", "verbose_debug", "profile")


@dataclass(frozen=True, eq=False)
class Caller:
    """A call of a function of the program; `bound`: it fills the first parameter by itself."""

    call: ast.Call
    module: Module
    bound: bool = False


@dataclass(frozen=True)
class Repetition:
    """Why code runs again and again.

    `loop` stands in `module`; `times` is how often where the source says it, all loops
    around taken together; `text` says it in words.
    """

    kind: Literal["loop", "called", "handler"]
    text: str
    loop: Loop | None
    module: Module
    times: int | None = None


class FlowAnalysis:
    """Answers how code runs, for all modules of a project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._callers: dict[ast.AST, list[Caller] | None] = {}
        self._modes: dict[ast.AST, Mode | None] = {}
        self._repetitions: dict[ast.AST, Repetition | None] = {}
        self._working: set[ast.AST] = set()

    # Callers

    def callers(self, function: Function, module: Module) -> list[Caller] | None:
        """All calls of a function in the project; `None` where it is also used otherwise."""
        if function not in self._callers:
            self._callers[function] = None
            self._callers[function] = self._find_callers(function, module)
        return self._callers[function]

    def _find_callers(self, function: Function, module: Module) -> list[Caller] | None:
        if isinstance(function, ast.Lambda):
            return self._callers_of_lambda(function, module)
        if module.method_class(function) is not None:
            return self._callers_of_method(function, module)
        found: list[Caller] = []
        scope = module.scope(function)
        for use in module.uses_of(function.name, scope):
            if not isinstance(use.ctx, ast.Load):
                continue
            meant = _means(module, use, function)
            if meant is None or (meant and not self._add(use, module, found)):
                return None
        if scope is not module.tree:
            return found
        for other in self._project.importers(module):
            nodes: list[ast.Name | ast.Attribute] = [
                *other.uses(function.name),
                *other.attributes(function.name),
                *self._renamed(other, function.name),
            ]
            for node in nodes:
                if not isinstance(node.ctx, ast.Load):
                    continue
                value = other.value(node)
                if value.definition is function and not self._add(node, other, found):
                    return None
        return found

    def _renamed(self, module: Module, name: str) -> Iterator[ast.Name]:
        for alias in module.nodes(ast.alias):
            if alias.name == name and alias.asname:
                yield from module.uses(alias.asname)

    def _callers_of_lambda(self, function: ast.Lambda, module: Module) -> list[Caller] | None:
        parent = module.parent(function)
        if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
            return None
        target = parent.targets[0]
        scope = module.home(target)
        if scope is None or len(module.scopes[scope][target.id]) != 1:
            return None
        found: list[Caller] = []
        for use in module.uses_of(target.id, scope):
            if isinstance(use.ctx, ast.Load) and not self._add(use, module, found):
                return None
        return found

    def _callers_of_method(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, module: Module
    ) -> list[Caller] | None:
        found: list[Caller] = []
        if function.name.startswith("__") and function.name != "__init__":
            return None
        for other in [module, *self._project.importers(module)]:
            for attribute in other.attributes(function.name):
                value = other.value(attribute)
                if value.definition is function:
                    if not self._add(attribute, other, found, bound=value.receiver is not None):
                        return None
                elif value.kind == "unknown":
                    # It may be this method of an object that is not known.
                    return None
        return found

    def _add(
        self,
        node: ast.Name | ast.Attribute,
        module: Module,
        found: list[Caller],
        bound: bool = False,
    ) -> bool:
        """Note a use of a function that is a call of it; whether it is one."""
        parent = module.parent(node)
        if isinstance(parent, ast.Call) and parent.func is node:
            found.append(Caller(parent, module, bound))
            return True
        return False

    # Repetition

    def repetition(self, node: ast.AST, module: Module) -> Repetition | None:
        """Why the code at a node runs again and again; `None` where it is not known to."""
        around = list(loops(module, node))
        counts = [rounds(module, loop) for loop in around]
        if around:
            times = 1
            for count in counts:
                times = 0 if count is None else times * count
            loop = around[0]
            if any(count is None or count > FEW for count in counts):
                known = times if all(count is not None for count in counts) else None
                if known is None or known > FEW:
                    return Repetition("loop", _place(module, loop), loop, module, known)
        function = module.function(node)
        if function is None:
            return None
        if function not in self._repetitions:
            self._repetitions[function] = None
            self._repetitions[function] = self._function_repetition(function, module)
        return self._repetitions[function]

    def _function_repetition(self, function: Function, module: Module) -> Repetition | None:
        name = "a lambda" if isinstance(function, ast.Lambda) else f"{function.name}()"
        if not isinstance(function, ast.Lambda):
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and is_route(
                    self._project.inference, decorator, module
                ):
                    return Repetition("handler", f"the request handler {name}", None, module)
            if any(_is_cache(module, each) for each in function.decorator_list):
                return None
        every = self._direct_callers(function, module)
        for caller in every:
            again = caller.module.repetition(caller.call)
            if again is None:
                continue
            if again.kind == "loop":
                where = again.text
                if caller.module is not module:
                    where += f" of {caller.module.path}"
                return Repetition(
                    "called", f"{name}, called in {where}", again.loop, again.module, again.times
                )
            return Repetition(
                again.kind if again.kind == "handler" else "called",
                f"{name}, called by {again.text}",
                again.loop,
                again.module,
                again.times,
            )
        return None

    def _direct_callers(self, function: Function, module: Module) -> list[Caller]:
        """The calls that surely are of this function, whatever other uses there are."""
        every = self.callers(function, module)
        if every is not None:
            return every
        if isinstance(function, ast.Lambda):
            return []
        found: list[Caller] = []
        if module.method_class(function) is not None:
            for attribute in module.attributes(function.name):
                if module.value(attribute).definition is function:
                    self._add(attribute, module, found, bound=True)
        else:
            for use in module.uses_of(function.name, module.scope(function)):
                if _means(module, use, function):
                    self._add(use, module, found)
        return found

    # Compiled or not

    def compilation(self, node: ast.AST, module: Module) -> Value | None:
        """The compiled function around a node, where one was made of a function around it."""
        function = module.function(node)
        while function is not None:
            made = self._compiled_from(function, module)
            if made is not None:
                return made
            function = module.function(function)
        return None

    def _compiled_from(self, function: Function, module: Module) -> Value | None:
        if not isinstance(function, ast.Lambda):
            value = self._project.inference.defined(function, module)
            if value.kind == "compiled":
                return value
        for call in module.calls_to("tensorflow.function"):
            made = module.value(call)
            if made.definition is function:
                return made
        return None

    def mode(self, node: ast.AST, module: Module) -> Mode | None:
        """Whether the code at a node is compiled; `None` where that is not known."""
        if module.graph_mode or _in_graph(module, node):
            return "compiled" if self.compilation(node, module) is not None else None
        function = module.function(node)
        if function is None:
            return "eager"
        return self._function_mode(function, module)

    def _function_mode(self, function: Function, module: Module) -> Mode | None:
        if function in self._modes:
            return self._modes[function]
        if function in self._working or len(self._working) > MOST_DEPTH:
            return None
        self._working.add(function)
        try:
            mode = self._work_out_mode(function, module)
        finally:
            self._working.discard(function)
        if not self._working:
            self._modes[function] = mode
        return mode

    def _work_out_mode(self, function: Function, module: Module) -> Mode | None:
        if self._compiled_from(function, module) is not None:
            wrapped = isinstance(function, ast.Lambda) or (
                self._project.inference.defined(function, module).kind != "compiled"
            )
            if wrapped and self._direct_callers(function, module):
                return None
            return "compiled"
        if not isinstance(function, ast.Lambda):
            owner = module.method_class(function)
            if owner is not None and function.name in _COMPILED_METHODS:
                if _is_keras(self._project.inference.instance(owner, module)):
                    return "compiled"
                return None
            if self._runs_eagerly(function, module):
                return "eager"
        outer = module.function(function)
        around = None if outer is None else self._function_mode(outer, module)
        taken = self._taken_by(function, module)
        if taken is not None:
            return taken
        if around == "compiled":
            return "compiled"
        if not isinstance(function, ast.Lambda) and function.decorator_list:
            decorated = self._project.inference.defined(function, module)
            if decorated.kind == "unknown":
                return None
        callers = self.callers(function, module)
        if not callers:
            return None
        modes = {caller.module.mode(caller.call) for caller in callers}
        return modes.pop() if len(modes) == 1 else None

    def _taken_by(self, function: Function, module: Module) -> Mode | None:
        """How a function runs that is only handed to something which calls it."""
        if isinstance(function, ast.Lambda):
            uses: list[ast.AST] = [function]
            parent = module.parent(function)
            if isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
                scope = module.home(parent.targets[0])
                if scope is not None:
                    uses = [
                        use
                        for use in module.uses_of(parent.targets[0].id, scope)
                        if isinstance(use.ctx, ast.Load)
                    ]
        elif module.method_class(function) is not None:
            uses = [
                each
                for each in module.attributes(function.name)
                if module.value(each).definition is function
            ]
        else:
            scope = module.scope(function)
            uses = [
                use for use in module.uses_of(function.name, scope) if isinstance(use.ctx, ast.Load)
            ]
        modes = {self._use_mode(use, module) for use in uses}
        return modes.pop() if len(modes) == 1 else None

    def _use_mode(self, use: ast.AST, module: Module) -> Mode | None:
        parent = module.parent(use)
        if isinstance(parent, ast.keyword):
            parent = module.parent(parent)
        if not isinstance(parent, ast.Call) or parent.func is use:
            return None
        callee = module.value(parent.func)
        if callee.kind == "method" and callee.receiver is not None:
            taker = callee.receiver.kind == "dataset" and callee.name in _DATASET_TAKERS
            return "compiled" if taker else None
        if callee.kind == "external" and callee.name in _RUNNERS:
            return "eager"
        return None

    def _runs_eagerly(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, module: Module
    ) -> bool:
        """Whether a function does what only plain Python can."""
        if isinstance(function, ast.AsyncFunctionDef):
            return True
        for decorator in function.decorator_list:
            if isinstance(decorator, ast.Call) and is_route(
                self._project.inference, decorator, module
            ):
                return True
        for node in own_nodes(function):
            if isinstance(node, (ast.Yield, ast.YieldFrom)):
                return True
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == "numpy" and not node.args and not node.keywords:
                return True
            if node.func.attr in _EAGER_METHODS:
                if module.value(node.func.value).kind == "model":
                    return True
            elif node.func.attr == "parse_args" or (
                node.func.attr == "load_model"
                and module.qualified(node.func) == "keras.models.load_model"
            ):
                return True
        return False


def _place(module: Module, loop: Loop) -> str:
    site = module.site(loop)
    cell = "" if site.cell is None else f" of cell {site.cell}"
    return f"the loop at line {site.line}{cell}"


def _means(module: Module, use: ast.Name, function: ast.AST) -> bool | None:
    """Whether a name stands for a function where it is used; `None`: for this or another."""
    bindings = module.bindings(use) or []
    mine = [binding for binding in bindings if binding.node is function]
    if not mine:
        return False
    return True if len(mine) == len(bindings) else None


def loops(module: Module, node: ast.AST) -> Iterator[Loop]:
    """The loops whose body holds a node, within its function, innermost first."""
    child = node
    for each in module.ancestors(node):
        if isinstance(each, FUNCTIONS) and _holds(each, child):
            return
        if isinstance(each, ast.ClassDef):
            return
        if isinstance(each, (ast.For, ast.AsyncFor)):
            if any(child is statement for statement in each.body) and not _once(each):
                yield each
        elif isinstance(each, ast.While):
            if (child is each.test or any(child is s for s in each.body)) and not _once(each):
                yield each
        elif isinstance(each, COMPREHENSIONS):
            first = each.generators[0]
            if child is not first or not module.inside(node, first.iter):
                yield each
        child = each


def _holds(function: ast.AST, child: ast.AST) -> bool:
    body = function.body  # type: ignore[attr-defined]
    if isinstance(body, list):
        return any(child is statement for statement in body)
    return child is body


def _once(loop: ast.For | ast.AsyncFor | ast.While) -> bool:
    """Whether a loop is left in its first round, unless something fails: a retry, a first look."""
    for statement in loop.body:
        if isinstance(statement, (ast.Break, ast.Return, ast.Raise)):
            return True
        if isinstance(statement, ast.Try):
            last = (statement.orelse or statement.body)[-1]
            if isinstance(last, (ast.Break, ast.Return)):
                return True
    return False


def rounds(module: Module, loop: Loop) -> int | None:
    """How many rounds a loop has, where the source says it."""
    if isinstance(loop, ast.While):
        return None
    if isinstance(loop, COMPREHENSIONS):
        total = 1
        for generator in loop.generators:
            count = _length(module, generator.iter)
            if count is None:
                return None
            total *= count
        return total
    return _length(module, loop.iter)


def _length(module: Module, iterable: ast.expr, depth: int = 0) -> int | None:
    if depth > 4:
        return None
    if isinstance(iterable, (ast.List, ast.Tuple, ast.Set)):
        starred = any(isinstance(each, ast.Starred) for each in iterable.elts)
        return None if starred else len(iterable.elts)
    if isinstance(iterable, ast.Dict):
        return len(iterable.keys)
    if isinstance(iterable, ast.Name):
        bindings = module.bindings(iterable)
        if bindings is None or len(bindings) != 1:
            return None
        binding = bindings[0]
        if binding.kind != "assign" or binding.path or binding.value is None:
            return None
        if _grows(module, iterable):
            return None
        return _length(module, binding.value, depth + 1)
    if not isinstance(iterable, ast.Call) or iterable.keywords:
        return None
    name = module.qualified(iterable.func)
    if name == "range":
        bounds = [module.constant(each) for each in iterable.args]
        if not all(isinstance(bound, int) for bound in bounds) or not 1 <= len(bounds) <= 3:
            return None
        try:
            return len(range(*bounds))
        except (ValueError, OverflowError):
            return None
    if name in ("enumerate", "list", "tuple", "sorted", "reversed", "tqdm.tqdm") and iterable.args:
        return _length(module, iterable.args[0], depth + 1)
    if name == "zip" and iterable.args:
        counts = [_length(module, each, depth + 1) for each in iterable.args]
        known = [count for count in counts if count is not None]
        return min(known) if known else None
    return None


def _grows(module: Module, name: ast.Name) -> bool:
    """Whether anything is added to the list a name stands for."""
    scope = module.home(name)
    return any(
        isinstance(attribute.value, ast.Name)
        and attribute.value.id == name.id
        and module.home(attribute.value) is scope
        for method in ("append", "extend", "insert", "add", "update")
        for attribute in module.attributes(method)
    )


def graph_mode(module: Module) -> bool:
    """Whether a module is written for sessions: TensorFlow 1, where no op runs by itself."""
    return next(module.calls_to(*_GRAPH_ONLY), None) is not None or any(
        module.qualified(attribute) == "tensorflow.contrib"
        for attribute in module.attributes("contrib")
    )


def _in_graph(module: Module, node: ast.AST) -> bool:
    """Whether a node stands in `with graph.as_default():` or the like."""
    for each in module.ancestors(node):
        if isinstance(each, ast.With):
            for item in each.items:
                if module.value(item.context_expr).kind in ("graph", "session"):
                    return True
    return False


def guarded(module: Module, node: ast.AST) -> bool:
    """Whether the code at a node only runs for debugging or in a unit test."""
    child = node
    for each in module.ancestors(node):
        if isinstance(each, (ast.If, ast.IfExp)) and child is not each.test:
            body = each.body if isinstance(each.body, list) else [each.body]
            if any(child is statement for statement in body) and _is_debug(each.test):
                return True
        if isinstance(each, ast.ClassDef) and _is_test_case(each):
            return True
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) and each.name.startswith(
            "test_"
        ):
            return True
        child = each
    return False


def _is_debug(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return not test.value
    for node in ast.walk(test):
        word = None
        if isinstance(node, ast.Name):
            word = node.id
        elif isinstance(node, ast.Attribute):
            word = node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            word = node.value
        if word is not None and (
            word == "__debug__"
            or any(each in word.lower() for each in _DEBUG_WORDS)
            or "eager" in word.lower()
        ):
            return True
    return False


def _is_test_case(definition: ast.ClassDef) -> bool:
    return any(
        (base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")).endswith(
            "TestCase"
        )
        for base in definition.bases
    )


def _is_keras(value: Value) -> bool:
    return value.kind in ("model", "layer") and (
        value.name in KERAS_MODELS | KERAS_LAYERS or value.name.startswith("keras.")
    )


def _is_cache(module: Module, decorator: ast.expr) -> bool:
    callee = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = module.qualified(callee) or ""
    return name in ("functools.lru_cache", "functools.cache") or "cache" in name.rpartition(".")[2]


def invariant(module: Module, expression: ast.expr, loop: Loop) -> bool:
    """Whether an expression surely is the same, with the same contents, in every round."""
    if isinstance(expression, ast.Constant):
        return True
    if isinstance(expression, ast.Name):
        return _name_is_invariant(module, expression, loop)
    if isinstance(expression, ast.Attribute):
        return _attribute_is_invariant(module, expression, loop)
    if isinstance(expression, ast.Subscript):
        return invariant(module, expression.value, loop) and invariant(
            module, expression.slice, loop
        )
    if isinstance(expression, (ast.Tuple, ast.List)):
        return all(invariant(module, each, loop) for each in expression.elts)
    if isinstance(expression, ast.BinOp):
        return invariant(module, expression.left, loop) and invariant(
            module, expression.right, loop
        )
    if isinstance(expression, ast.UnaryOp):
        return invariant(module, expression.operand, loop)
    if isinstance(expression, ast.Slice):
        parts = (expression.lower, expression.upper, expression.step)
        return all(part is None or invariant(module, part, loop) for part in parts)
    return False


def _name_is_invariant(module: Module, name: ast.Name, loop: Loop) -> bool:
    scope = module.home(name)
    if scope is None:
        return module.value(name).kind == "external"
    every = module.scopes[scope][name.id]
    if any(module.inside(binding.node, loop) for binding in every):
        return False
    if any(
        binding.kind != "parameter" and module.scope(binding.node) is not scope for binding in every
    ):
        return False
    if module.value(name).kind in ("scalar", "string", "tensor", "numpy-scalar", "external"):
        return True
    same = {name.id, *_aliases(module, name)}
    if any(_escapes(module, use) for use in module.uses_of(name.id, scope)):
        return False
    return not any(
        _changes(module, use)
        for each in same
        for use in module.uses_of(each, scope)
        if module.inside(use, loop) or module.function(use) is not module.function(loop)
    )


def _aliases(module: Module, name: ast.Name) -> set[str]:
    """Other names of the same scope for the same object or a view of it."""
    scope = module.home(name)
    found: set[str] = set()
    for assign in module.nodes(ast.Assign):
        root = _root(assign.value)
        if isinstance(root, ast.Name) and root.id == name.id and module.home(root) is scope:
            for target in assign.targets:
                if isinstance(target, ast.Name):
                    found.add(target.id)
    for node in module.nodes(ast.For):
        root = _root(node.iter)
        if isinstance(root, ast.Name) and root.id == name.id and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


def _escapes(module: Module, use: ast.Name) -> bool:
    """Whether an object is put where it may be changed under no name of its own."""
    parent = module.parent(use)
    if isinstance(parent, ast.arguments):
        return True
    if not isinstance(parent, (ast.List, ast.Tuple, ast.Dict, ast.Set)):
        return False
    if not isinstance(getattr(parent, "ctx", ast.Load()), ast.Load):
        return False
    outer = module.parent(parent)
    while isinstance(outer, (ast.List, ast.Tuple, ast.Dict, ast.keyword)):
        outer = module.parent(outer)
    if isinstance(outer, ast.Call):
        return not _only_reads(module, outer)
    return not isinstance(outer, (ast.Subscript, ast.Compare, ast.For, ast.comprehension))


def _root(expression: ast.expr) -> ast.expr:
    """The name an expression takes a part or a view of."""
    while True:
        if isinstance(expression, (ast.Subscript, ast.Attribute, ast.Starred)):
            expression = expression.value
        elif isinstance(expression, ast.Call) and isinstance(expression.func, ast.Attribute):
            if expression.func.attr not in ("reshape", "ravel", "view", "transpose", "squeeze"):
                return expression
            expression = expression.func.value
        else:
            return expression


def _changes(module: Module, use: ast.AST) -> bool:
    """Whether what stands at a use may change the object's contents."""
    node: ast.AST = use
    parent = module.parent(node)
    while isinstance(parent, (ast.Subscript, ast.Attribute)) and parent.value is node:
        if isinstance(parent.ctx, (ast.Store, ast.Del)):
            return True
        grand = module.parent(parent)
        if isinstance(grand, ast.AugAssign) and grand.target is parent:
            return True
        if isinstance(grand, ast.Call) and grand.func is parent:
            if isinstance(parent, ast.Attribute) and parent.attr not in _PURE_METHODS:
                return True
            return any(keyword.arg == "out" for keyword in grand.keywords)
        node, parent = parent, grand
    if isinstance(parent, ast.AugAssign) and parent.target is node:
        return True
    if isinstance(parent, ast.keyword):
        if parent.arg == "out":
            return True
        parent = module.parent(parent)
    if isinstance(parent, ast.Starred):
        parent = module.parent(parent)
    if isinstance(parent, ast.Call) and parent.func is not node:
        return not _only_reads(module, parent)
    return isinstance(
        parent, (ast.Return, ast.Yield, ast.List, ast.Tuple, ast.Dict, ast.Assign, ast.Lambda)
    ) and not isinstance(module.parent(parent), (ast.Subscript, ast.Call, ast.For))


def _only_reads(module: Module, call: ast.Call) -> bool:
    """Whether a call surely leaves its arguments as they are."""
    callee = module.value(call.func)
    if callee.kind == "external":
        name = callee.name
        if name in _CHANGING_FUNCTIONS:
            return False
        if any(keyword.arg in ("out", "copy") for keyword in call.keywords):
            return False
        return name.startswith(("tensorflow.", "numpy.", "keras.")) or name in _READING_BUILTINS
    if callee.kind == "method" and callee.receiver is not None:
        return callee.receiver.kind in ("model", "layer", "string") or callee.name == "append"
    return callee.kind in ("compiled", "layer", "model")


def _attribute_is_invariant(module: Module, attribute: ast.Attribute, loop: Loop) -> bool:
    value = module.value(attribute)
    if value.kind == "external":
        return True
    if not isinstance(attribute.value, ast.Name):
        return False
    if not _name_binding_is_invariant(module, attribute.value, loop):
        return False
    for other in module.attributes(attribute.attr):
        if isinstance(other.ctx, (ast.Store, ast.Del)):
            function = module.function(other)
            name = getattr(function, "name", "")
            if module.inside(other, loop) or name != "__init__":
                return False
        elif module.inside(other, loop) and _changes(module, other):
            return False
    return True


def _name_binding_is_invariant(module: Module, name: ast.Name, loop: Loop) -> bool:
    scope = module.home(name)
    if scope is None:
        return False
    return not any(module.inside(b.node, loop) for b in module.scopes[scope][name.id])


def varies(module: Module, expression: ast.expr, loop: Loop, depth: int = 0) -> bool:
    """Whether an expression surely has another value in nearly every round."""
    if depth > 6:
        return False
    if isinstance(expression, ast.Name):
        bindings = module.bindings(expression)
        if not bindings:
            return False
        if any(_counts(module, each, loop) for each in bindings):
            return True
        if len(bindings) == 1 and module.inside(bindings[0].node, loop):
            only = bindings[0]
            if only.kind == "assign" and not only.path and only.value is not None:
                return varies(module, only.value, loop, depth + 1)
        return False
    if isinstance(expression, ast.BinOp):
        if isinstance(expression.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)):
            left = varies(module, expression.left, loop, depth + 1)
            right = varies(module, expression.right, loop, depth + 1)
            if left != right:
                other = expression.right if left else expression.left
                return module.value(other).kind == "scalar" and invariant(module, other, loop)
        return False
    if isinstance(expression, ast.UnaryOp) and isinstance(expression.op, (ast.USub, ast.UAdd)):
        return varies(module, expression.operand, loop, depth + 1)
    if isinstance(expression, ast.Call) and len(expression.args) == 1 and not expression.keywords:
        return module.qualified(expression.func) == "float" and varies(
            module, expression.args[0], loop, depth + 1
        )
    return False


def _counts(module: Module, binding: Binding, loop: Loop) -> bool:
    """Whether a binding gives its name another number in each round of a loop."""
    if binding.kind == "augmented":
        statement = binding.node
        assert isinstance(statement, ast.AugAssign)
        inner = next(iter(loops(module, statement)), None)
        if inner is not loop or module.parent(statement) is not loop:
            return False
        step = module.constant(statement.value)
        if isinstance(statement.op, (ast.Add, ast.Sub)):
            return isinstance(step, (int, float)) and step != 0
        if isinstance(statement.op, (ast.Mult, ast.Div)):
            return isinstance(step, (int, float)) and step not in (0, 1)
        return False
    if binding.kind != "for" or binding.node is not loop or binding.value is None:
        return False
    iterable = binding.value
    if isinstance(iterable, ast.Call):
        name = module.qualified(iterable.func)
        if name == "range":
            return not binding.path
        if name in ("tqdm.trange", "tqdm.auto.trange"):
            return not binding.path
        if name == "enumerate":
            return binding.path == (0,)
        if name in ("tqdm.tqdm", "tqdm.auto.tqdm", "tqdm.notebook.tqdm") and iterable.args:
            shown = Binding(binding.name, "for", binding.node, iterable.args[0], binding.path)
            return _counts(module, shown, loop)
    if isinstance(iterable, (ast.List, ast.Tuple)) and not binding.path:
        literals = [module.constant(each) for each in iterable.elts]
        numbers = [each for each in literals if isinstance(each, (int, float))]
        return len(numbers) == len(literals) > FEW and len(set(numbers)) == len(numbers)
    return False


def pure(module: Module, expression: ast.expr) -> bool:
    """Whether working out an expression has no effects."""
    for node in ast.walk(expression):
        if isinstance(node, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
            return False
        if isinstance(node, ast.Call) and not _pure_call(module, node):
            return False
    return True


def _pure_call(module: Module, call: ast.Call) -> bool:
    callee = module.value(call.func)
    if callee.kind == "external":
        name = callee.name
        last = name.rpartition(".")[2]
        if any(word in last for word in _IMPURE) or ".random." in name:
            return False
        if name in _READING_BUILTINS and name != "print":
            return True
        return name.startswith(_PURE_ROOMS) or (
            name.startswith(("tensorflow.", "numpy."))
            and name.count(".") == 1
            and last[0].islower()
        )
    if callee.kind == "method" and callee.receiver is not None:
        return callee.receiver.kind in ("tensor", "array", "string") and (
            callee.name in _PURE_METHODS
        )
    return False
