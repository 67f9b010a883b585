"""What expressions are, followed through assignments, calls, classes and files."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from unslow.source import values
from unslow.source.bindings import Binding, parameters
from unslow.source.values import (
    NONE,
    NOTHING,
    STRING,
    TENSOR,
    UNKNOWN_VALUE,
    Value,
    join,
    join_all,
    scalar,
)

if TYPE_CHECKING:
    from unslow.source.module import Module
    from unslow.source.project import Project

N = TypeVar("N", bound=ast.AST)

MOST_STEPS = 2_000
"""Expressions looked at for one question; past that the answer is "unknown"."""

MOST_DEPTH = 60

_TRANSPARENT = frozenset(
    {
        "staticmethod",
        "functools.lru_cache",
        "functools.cache",
        "functools.wraps",
        "tensorflow.autograph.experimental.do_not_convert",
        "tensorflow.Module.with_name_scope",
        "abc.abstractmethod",
        "typing.no_type_check",
        "override",
        "typing.override",
        "keras.saving.register_keras_serializable",
        "keras.utils.register_keras_serializable",
        "absl.flags.validator",
    }
)
"""Decorators that give back a function that does the same."""

_PASSED_THROUGH = frozenset(
    {"tqdm.tqdm", "tqdm.auto.tqdm", "tqdm.notebook.tqdm", "tqdm.trange", "rich.progress.track"}
)

_ANNOTATIONS = {
    "tensorflow.Tensor": TENSOR,
    "tensorflow.Variable": Value("variable"),
    "tensorflow.data.Dataset": Value("dataset"),
    "tensorflow.Graph": Value("graph"),
    "tensorflow.Session": Value("session"),
    "tensorflow.GradientTape": Value("tape"),
    "keras.Model": Value("model"),
    "keras.Sequential": Value("model"),
    "keras.models.Model": Value("model"),
    "keras.models.Sequential": Value("model"),
    "keras.layers.Layer": Value("layer"),
    "keras.Layer": Value("layer"),
    "keras.optimizers.Optimizer": Value("optimizer"),
    "numpy.ndarray": Value("array"),
    "int": scalar("int"),
    "float": scalar("float"),
    "bool": scalar("bool"),
    "str": STRING,
}

_CONTAINERS: dict[str, values.Kind] = {
    "list": "list",
    "typing.List": "list",
    "collections.abc.Iterator": "iterator",
    "collections.abc.Iterable": "iterator",
    "typing.Iterator": "iterator",
    "typing.Iterable": "iterator",
}

_SAME_ELEMENTS = frozenset(
    {
        "cache",
        "filter",
        "prefetch",
        "repeat",
        "shard",
        "shuffle",
        "skip",
        "take",
        "with_options",
        "batch",
        "padded_batch",
        "unbatch",
        "concatenate",
        "assert_cardinality",
        "ignore_errors",
    }
)


class Inference:
    """Answers what an expression is, for all modules of a project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[ast.AST, Value] = {}
        self._returned: dict[ast.AST, Value] = {}
        self._working: set[ast.AST] = set()
        self._incomplete = False
        self._steps = 0

    def value(self, expression: ast.expr, module: Module) -> Value:
        """What an expression of a module is."""
        known = self._known.get(expression)
        if known is not None:
            return known
        if expression in self._working:
            self._incomplete = True
            return NOTHING
        outermost = not self._working
        if outermost:
            self._steps = 0
            self._incomplete = False
        self._steps += 1
        if self._steps > MOST_STEPS or len(self._working) > MOST_DEPTH:
            self._incomplete = True
            return UNKNOWN_VALUE
        self._working.add(expression)
        try:
            found = self._evaluate(expression, module)
        finally:
            self._working.discard(expression)
        if outermost:
            found = UNKNOWN_VALUE if found.kind == "nothing" else found
            self._known[expression] = found
        elif not self._incomplete:
            self._known[expression] = found
        return found

    def _evaluate(self, expression: ast.expr, module: Module) -> Value:
        if isinstance(expression, ast.Name):
            return self._name(expression, module)
        if isinstance(expression, ast.Attribute):
            return self._attribute(expression, module)
        if isinstance(expression, ast.Call):
            return self._call(expression, module)
        if isinstance(expression, ast.Constant):
            return _constant(expression.value)
        if isinstance(expression, ast.BinOp):
            left = self.value(expression.left, module)
            return arithmetic(left, self.value(expression.right, module), expression.op)
        if isinstance(expression, ast.UnaryOp):
            operand = self.value(expression.operand, module)
            return scalar("bool") if isinstance(expression.op, ast.Not) else operand
        if isinstance(expression, ast.Compare):
            return self._comparison(expression, module)
        if isinstance(expression, ast.BoolOp):
            return join_all(self.value(each, module) for each in expression.values)
        if isinstance(expression, ast.IfExp):
            return join(self.value(expression.body, module), self.value(expression.orelse, module))
        if isinstance(expression, ast.Subscript):
            return self._subscript(expression, module)
        if isinstance(expression, (ast.Tuple, ast.List, ast.Set)):
            return self._display(expression, module)
        if isinstance(expression, (ast.ListComp, ast.GeneratorExp)):
            kind: values.Kind = "list" if isinstance(expression, ast.ListComp) else "iterator"
            return Value(kind, element=self.value(expression.elt, module))
        if isinstance(expression, (ast.Dict, ast.DictComp)):
            return Value("dict")
        if isinstance(expression, ast.Lambda):
            return Value("function", definition=expression, module=module)
        if isinstance(expression, ast.JoinedStr):
            return STRING
        if isinstance(expression, ast.NamedExpr):
            return self.value(expression.value, module)
        return UNKNOWN_VALUE

    # Names

    def _name(self, name: ast.Name, module: Module) -> Value:
        bindings = module.bindings(name)
        if bindings is None:
            return self._unbound(name.id, module)
        found = join_all(self.bound(each, module, name) for each in bindings)
        if found.kind == "list" and isinstance(name.ctx, ast.Load):
            return self._grown(found, name, module)
        return found

    def _unbound(self, name: str, module: Module) -> Value:
        for statement in module.nodes(ast.ImportFrom):
            if any(alias.name == "*" for alias in statement.names):
                other = self._project.imported(module, _dotted(statement, module))
                if other is None:
                    return UNKNOWN_VALUE
                if name in other.scopes.get(other.tree, ()):
                    return self.global_value(name, other)
        if hasattr(builtins, name):
            return Value("external", name=name)
        return UNKNOWN_VALUE

    def global_value(self, name: str, module: Module) -> Value:
        """What a name of a module's top level is."""
        bindings = module.scopes.get(module.tree, {}).get(name)
        if bindings is None:
            return self._unbound(name, module)
        return join_all(self.bound(each, module, None) for each in bindings)

    def bound(self, binding: Binding, module: Module, use: ast.Name | None) -> Value:
        """What a binding gives its name."""
        if binding.kind == "import":
            return self._guarded(binding.node, module, self._imported)
        if binding.kind == "definition":
            return self.defined(binding.node, module)
        if binding.kind == "parameter":
            assert isinstance(binding.node, ast.arg)
            return self._guarded(binding.node, module, self._parameter)
        if binding.value is None:
            return UNKNOWN_VALUE
        value = self.value(binding.value, module)
        if isinstance(binding.node, ast.AnnAssign):
            value = self._declared(binding.node.annotation, value, module)
        if binding.kind == "for":
            value = element_of(value)
        elif binding.kind == "with":
            value = entered(value)
        elif binding.kind == "augmented":
            return self._augmented(binding, module, value)
        for position in binding.path:
            value = _item(value, position)
        return value

    def _augmented(self, binding: Binding, module: Module, value: Value) -> Value:
        statement = binding.node
        assert isinstance(statement, ast.AugAssign)
        if not isinstance(statement.target, ast.Name):
            return UNKNOWN_VALUE
        return arithmetic(self.value(statement.target, module), value, statement.op)

    def _grown(self, value: Value, name: ast.Name, module: Module) -> Value:
        """A list by what is appended to it."""
        scope = module.home(name)
        if scope is None:
            return value
        element = value.element
        if value.items == ():
            element = NOTHING
        grown = False
        for attribute in module.attributes("append"):
            call = module.parent(attribute)
            base = attribute.value
            if (
                isinstance(base, ast.Name)
                and base.id == name.id
                and isinstance(call, ast.Call)
                and call.func is attribute
                and call.args
                and module.home(base) is scope
            ):
                grown = True
                if element is not None:
                    element = join(element, self.value(call.args[0], module))
        if not grown:
            return value
        if element is not None and element.kind == "nothing":
            element = None
        return replace(value, items=None, element=element)

    def _imported(self, alias: ast.AST, module: Module) -> Value:
        assert isinstance(alias, ast.alias)
        statement = module.parent(alias)
        if isinstance(statement, ast.Import):
            dotted = alias.name if alias.asname else alias.name.split(".")[0]
            other = self._project.imported(module, dotted)
            if other is not None:
                return Value("module", module=other)
            return Value("external", name=self._project.canonical(dotted))
        assert isinstance(statement, ast.ImportFrom)
        source = _dotted(statement, module)
        if source is None:
            return UNKNOWN_VALUE
        package = self._project.imported(module, source)
        if package is not None:
            if alias.name in package.scopes.get(package.tree, ()):
                return self.global_value(alias.name, package)
            other = self._project.imported(module, f"{source}.{alias.name}")
            if other is not None:
                return Value("module", module=other)
            return self._unbound(alias.name, package)
        other = self._project.imported(module, f"{source}.{alias.name}")
        if other is not None:
            return Value("module", module=other)
        if statement.level:
            return UNKNOWN_VALUE
        return Value("external", name=self._project.canonical(f"{source}.{alias.name}"))

    def defined(self, node: ast.AST, module: Module) -> Value:
        """What a `def` or `class` statement binds its name to."""
        if isinstance(node, ast.ClassDef):
            return Value("class", definition=node, module=module)
        assert isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        value = Value("function", definition=node, module=module)
        for decorator in reversed(node.decorator_list):
            value = self._decorated(value, decorator, module)
        return value

    def _decorated(self, value: Value, decorator: ast.expr, module: Module) -> Value:
        if isinstance(decorator, ast.Call):
            callee = self.value(decorator.func, module)
            if callee.kind == "external" and callee.name == "tensorflow.function":
                return replace(value, kind="compiled", call=decorator, call_module=module)
            if callee.kind == "external" and callee.name == "functools.partial":
                made = self._call(decorator, module)
                if made.name == "tensorflow.function":
                    return replace(value, kind="compiled", call=decorator, call_module=module)
                return UNKNOWN_VALUE
            if is_route(self, decorator, module):
                return value
        else:
            callee = self.value(decorator, module)
            if callee.kind == "external" and callee.name == "tensorflow.function":
                return replace(value, kind="compiled", call=callee.call, call_module=module)
        if callee.kind == "external" and callee.name in _TRANSPARENT:
            return value
        if callee.kind == "external" and callee.name in ("property", "classmethod"):
            return replace(value, name=callee.name)
        if callee.kind == "external" and callee.name.endswith("cached_property"):
            return replace(value, name="property")
        return UNKNOWN_VALUE

    def _guarded(self, node: N, module: Module, work: Callable[[N, Module], Value]) -> Value:
        known = self._returned.get(node)
        if known is not None:
            return known
        if node in self._working:
            self._incomplete = True
            return NOTHING
        self._working.add(node)
        try:
            found = work(node, module)
        finally:
            self._working.discard(node)
        if not self._incomplete:
            self._returned[node] = found
        return found

    def _parameter(self, node: ast.arg, module: Module) -> Value:
        function = module.parent(module.parent(node) or node)
        if isinstance(function, ast.arguments):
            function = module.parent(function)
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            return UNKNOWN_VALUE
        owner = module.method_class(function)
        names = parameters(function)
        if owner is not None and names and names[0] is node:
            return self._first_parameter(function, owner, module)
        if node is function.args.vararg or node is function.args.kwarg:
            return UNKNOWN_VALUE
        passed = self._passed(node, function, module)
        return self._declared(node.annotation, passed, module)

    def _declared(self, annotation: ast.expr | None, found: Value, module: Module) -> Value:
        """What is found, or where that is nothing the annotation speaks of, what it says."""
        if annotation is None:
            return found
        declared = self._annotated(annotation, module)
        if declared is None:
            return found
        if found.kind == declared.kind:
            return replace(found, element=found.element or declared.element)
        return declared

    def _first_parameter(
        self,
        function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        owner: ast.ClassDef,
        module: Module,
    ) -> Value:
        decorators = getattr(function, "decorator_list", [])
        names = {self.value(each, module).name for each in decorators}
        if "staticmethod" in names:
            return UNKNOWN_VALUE
        if "classmethod" in names:
            return Value("class", definition=owner, module=module)
        return self.instance(owner, module)

    def _annotated(self, annotation: ast.expr, module: Module) -> Value | None:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            return None
        if isinstance(annotation, ast.Subscript):
            base = self.value(annotation.value, module).name
            if base == "typing.Optional":
                return self._annotated(annotation.slice, module)
            if base in _CONTAINERS and not isinstance(annotation.slice, ast.Tuple):
                return Value(_CONTAINERS[base], element=self._annotated(annotation.slice, module))
            if base in ("tuple", "typing.Tuple") and isinstance(annotation.slice, ast.Tuple):
                items = [self._annotated(each, module) for each in annotation.slice.elts]
                return Value("tuple", items=tuple(each or UNKNOWN_VALUE for each in items))
            return None
        value = self.value(annotation, module)
        if value.kind == "external":
            return _ANNOTATIONS.get(value.name)
        if value.kind == "class" and value.definition is not None and value.module is not None:
            assert isinstance(value.definition, ast.ClassDef)
            return self.instance(value.definition, value.module)
        return None

    def _passed(
        self,
        node: ast.arg,
        function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        module: Module,
    ) -> Value:
        callers = self._project.flow.callers(function, module)
        if not callers:
            return UNKNOWN_VALUE
        found = []
        for caller in callers:
            argument = argument_for(node, function, caller.call, bound=caller.bound)
            if argument is None:
                default = _default(node, function)
                if default is None:
                    return UNKNOWN_VALUE
                found.append(self.value(default, module))
            else:
                found.append(self.value(argument, caller.module))
        passed = join_all(found)
        if passed.kind in ("array", "numpy-scalar") and not isinstance(function, ast.Lambda):
            compiled = self.defined(function, module).kind == "compiled"
            # A compiled function turns arrays into tensors, and Python numbers into nothing else.
            return replace(TENSOR, dtype=passed.dtype) if compiled else passed
        return passed

    # Classes

    def instance(self, definition: ast.ClassDef, module: Module) -> Value:
        """An object of a class of the program, by what the class is derived from."""
        for base in self.bases(definition, module):
            if base.kind != "external":
                continue
            if base.name in values.KERAS_MODELS:
                return Value("model", base.name, definition=definition, module=module)
            if base.name in values.KERAS_LAYERS or base.name.startswith("keras.layers."):
                return Value("layer", base.name, definition=definition, module=module)
            if base.name.startswith("keras.optimizers."):
                return Value("optimizer", base.name, definition=definition, module=module)
        return Value("instance", definition=definition, module=module)

    def bases(self, definition: ast.ClassDef, module: Module, depth: int = 0) -> Iterator[Value]:
        """What a class is derived from, directly and through other classes of the program."""
        for expression in definition.bases:
            base = self.value(expression, module)
            yield base
            if base.kind == "class" and base.module is not None and depth < 8:
                assert isinstance(base.definition, ast.ClassDef)
                yield from self.bases(base.definition, base.module, depth + 1)

    def _member(self, receiver: Value, name: str) -> Value:
        """What `receiver.name` is, for an instance or class of the program."""
        definition, module = receiver.definition, receiver.module
        assert isinstance(definition, ast.ClassDef) and module is not None
        found = self._own_member(definition, module, name, receiver)
        if found is not None:
            return found
        for base in self.bases(definition, module):
            if base.kind == "class" and base.module is not None:
                assert isinstance(base.definition, ast.ClassDef)
                found = self._own_member(base.definition, base.module, name, receiver)
                if found is not None:
                    return found
            elif base.kind == "external":
                return Value("method", name=name, receiver=receiver)
            else:
                return UNKNOWN_VALUE
        return UNKNOWN_VALUE

    def _own_member(
        self, definition: ast.ClassDef, module: Module, name: str, receiver: Value
    ) -> Value | None:
        found = []
        for binding in module.scopes.get(definition, {}).get(name, ()):
            value = self.bound(binding, module, None)
            if binding.kind == "definition" and value.kind in ("function", "compiled"):
                if value.name == "property":
                    assert value.definition is not None
                    return self.returned(value)
                value = replace(value, receiver=receiver)
            found.append(value)
        for store, assigned in attribute_stores(definition, module, name):
            if assigned is None:
                return UNKNOWN_VALUE
            value = self.value(assigned.value, module) if assigned.value else UNKNOWN_VALUE
            if assigned.node is not module.statement(store):
                return UNKNOWN_VALUE
            for position in assigned.path:
                value = _item(value, position)
            found.append(value)
        return join_all(found) if found else None

    # Attributes, calls and operators

    def _attribute(self, expression: ast.Attribute, module: Module) -> Value:
        base = self.value(expression.value, module)
        name = expression.attr
        if base.kind == "external":
            return Value("external", name=self._project.canonical(f"{base.name}.{name}"))
        if base.kind == "module":
            assert base.module is not None
            if name in base.module.scopes.get(base.module.tree, ()):
                return self.global_value(name, base.module)
            other = self._project.submodule(base.module, name)
            return UNKNOWN_VALUE if other is None else Value("module", module=other)
        if base.kind in ("instance", "model", "layer", "optimizer", "class") and isinstance(
            base.definition, ast.ClassDef
        ):
            return self._member(base, name)
        if base.kind in ("unknown", "nothing", "none"):
            return base if base.kind == "nothing" else UNKNOWN_VALUE
        if base.kind == "array" and name == "T":
            return base
        if base.kind in ("array", "tensor") and name in ("size", "ndim"):
            return scalar("int")
        return Value("method", name=name, receiver=base)

    def _call(self, call: ast.Call, module: Module) -> Value:
        callee = self.value(call.func, module)
        if callee.kind == "external":
            return self._external(call, callee, module)
        if callee.kind in ("function", "compiled") and callee.definition is not None:
            return self.returned(callee)
        if callee.kind == "class":
            assert isinstance(callee.definition, ast.ClassDef) and callee.module is not None
            made = self.instance(callee.definition, callee.module)
            return values.with_call(made, call, module)
        if callee.kind == "method":
            return self._method(call, callee, module)
        if callee.kind == "layer" and call.args:
            given = self.value(call.args[0], module)
            return TENSOR if given.kind in ("tensor", "array", "variable") else UNKNOWN_VALUE
        return callee if callee.kind == "nothing" else UNKNOWN_VALUE

    def _external(self, call: ast.Call, callee: Value, module: Module) -> Value:
        name = callee.name
        first = call.args[0] if call.args and not module.has_star(call) else None
        if name == "tensorflow.function":
            target = first if first is not None else module.argument(call, None, "func")
            if target is None:
                return Value("external", name=name, call=call, call_module=module)
            inner = self.value(target, module)
            if inner.kind in ("function", "compiled"):
                return replace(inner, kind="compiled", call=call, call_module=module)
            return Value("compiled", call=call, call_module=module)
        if name == "functools.partial":
            if first is not None and self.value(first, module).name == "tensorflow.function":
                return Value("external", name="tensorflow.function", call=call, call_module=module)
            return UNKNOWN_VALUE
        if "." not in name:
            found = self._builtin(call, name, module)
            if found is not None:
                return found
        if name in _PASSED_THROUGH:
            return UNKNOWN_VALUE if first is None else self.value(first, module)
        dtype = self._dtype(call, name, module)
        if name.startswith("numpy."):
            arguments = [self.value(each, module) for each in call.args]
            given = frozenset(each.arg for each in call.keywords if each.arg)
            return values.numpy_result(name, arguments, given, dtype) or UNKNOWN_VALUE
        made = values.external_call(name)
        if made is None:
            return UNKNOWN_VALUE
        if made.kind == "tensor":
            return replace(made, dtype=dtype or None)
        if made.kind == "dataset":
            made = replace(made, element=self._dataset_element(call, name, module))
        if made.kind in ("scalar", "string", "array"):
            return made
        return values.with_call(made, call, module)

    def _builtin(self, call: ast.Call, name: str, module: Module) -> Value | None:
        if module.has_star(call) or not call.args:
            if name in ("list", "dict", "tuple") and not call.args:
                return Value(name, items=() if name == "list" else None)  # type: ignore[arg-type]
            return None
        given = [self.value(each, module) for each in call.args]
        if name == "range":
            return Value("iterator", name="range", element=scalar("int"))
        if name == "enumerate":
            pair = (scalar("int"), element_of(given[0]))
            return Value("iterator", element=Value("tuple", items=pair))
        if name == "zip":
            items = tuple(element_of(each) for each in given)
            return Value("iterator", element=Value("tuple", items=items))
        if name in ("iter", "reversed"):
            return Value("iterator", element=element_of(given[0]), call=call, call_module=module)
        if name == "next":
            return element_of(given[0])
        if name in ("list", "sorted", "tuple"):
            kind: values.Kind = "tuple" if name == "tuple" else "list"
            return Value(kind, element=element_of(given[0]))
        if name in ("abs", "min", "max", "sum", "round", "pow"):
            joined = join_all(given)
            return joined if joined.kind in ("scalar", "numpy-scalar") else UNKNOWN_VALUE
        return None

    def _method(self, call: ast.Call, callee: Value, module: Module) -> Value:
        receiver, name = callee.receiver, callee.name
        assert receiver is not None
        if receiver.kind == "dataset":
            if name in values.DATASET_METHODS:
                element = receiver.element if name in _SAME_ELEMENTS else None
                return Value("dataset", element=element, call=call, call_module=module)
            if name in ("as_numpy_iterator", "make_one_shot_iterator"):
                return Value("iterator", call=call, call_module=module)
        if receiver.kind == "array":
            given = frozenset(each.arg for each in call.keywords if each.arg)
            found = values.array_method(receiver, name, given, bool(call.args))
            if found is not None and name == "astype" and call.args:
                dtype = self.dtype(call.args[0], module)
                return replace(found, dtype=dtype)
            return found or UNKNOWN_VALUE
        if receiver.kind == "variable" and name in ("read_value", "value"):
            return replace(TENSOR, dtype=receiver.dtype)
        if receiver.kind == "session" and name == "run" and call.args:
            return Value("list") if isinstance(call.args[0], ast.List) else UNKNOWN_VALUE
        if receiver.kind == "graph" and name == "as_default":
            return receiver
        if receiver.kind == "graph" and name == "get_tensor_by_name":
            return TENSOR
        if receiver.kind == "iterator" and name in ("get_next", "next", "__next__"):
            return element_of(receiver)
        if receiver.kind == "string":
            return STRING if name in ("format", "join", "strip", "lower") else UNKNOWN_VALUE
        if receiver.kind == "model" and name == "get_layer":
            return Value("layer")
        if receiver.kind == "nothing":
            return NOTHING
        return UNKNOWN_VALUE

    def _dtype(self, call: ast.Call, name: str, module: Module) -> str | None:
        """The dtype a call asks for; "" where it asks for one that is not known."""
        position = {
            "tensorflow.constant": 1,
            "tensorflow.convert_to_tensor": 1,
            "tensorflow.cast": 1,
            "tensorflow.zeros": 1,
            "tensorflow.ones": 1,
            "numpy.array": 1,
            "numpy.asarray": 1,
            "numpy.zeros": 1,
            "numpy.ones": 1,
            "numpy.empty": 1,
            "numpy.full": 2,
        }.get(name)
        argument = module.argument(call, position, "dtype")
        if argument is None:
            return None
        return self.dtype(argument, module) or ""

    def dtype(self, expression: ast.expr, module: Module) -> str | None:
        """The dtype an expression stands for: `tf.float32`, `np.float64`, "float32", `float`."""
        if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
            return expression.value if expression.value in values.DTYPES else None
        value = self.value(expression, module)
        return values.dtype_of(value.name) if value.kind == "external" else None

    def _dataset_element(self, call: ast.Call, name: str, module: Module) -> Value | None:
        if name == "tensorflow.data.Dataset.range":
            return replace(TENSOR, dtype="int64")
        if name in ("tensorflow.data.TFRecordDataset", "tensorflow.data.TextLineDataset"):
            return TENSOR
        if name == "tensorflow.data.Dataset.list_files":
            return TENSOR
        if name.rpartition(".")[2] not in ("from_tensor_slices", "from_tensors") or not call.args:
            return None
        given = self.value(call.args[0], module)
        if given.kind in ("array", "tensor"):
            return replace(TENSOR, dtype=given.dtype)
        if given.kind == "tuple" and given.items:
            items = [
                replace(TENSOR, dtype=each.dtype)
                if each.kind in ("array", "tensor")
                else (TENSOR if each.kind == "list" else UNKNOWN_VALUE)
                for each in given.items
            ]
            return Value("tuple", items=tuple(items))
        if given.kind == "list":
            return TENSOR
        return None

    def _comparison(self, expression: ast.Compare, module: Module) -> Value:
        if any(isinstance(op, (ast.In, ast.NotIn, ast.Is, ast.IsNot)) for op in expression.ops):
            return scalar("bool")
        operands = [expression.left, *expression.comparators]
        kinds = {self.value(each, module).kind for each in operands}
        if "nothing" in kinds:
            return NOTHING
        if kinds & {"tensor", "variable"}:
            return replace(TENSOR, dtype="bool")
        if "array" in kinds and kinds <= {"array", "scalar", "numpy-scalar"}:
            return Value("array", dtype="bool")
        if kinds <= {"scalar", "string", "none"}:
            return scalar("bool")
        return UNKNOWN_VALUE

    def _subscript(self, expression: ast.Subscript, module: Module) -> Value:
        base = self.value(expression.value, module)
        index = expression.slice
        if base.kind in ("tensor", "variable"):
            return replace(TENSOR, dtype=base.dtype)
        if base.kind == "array":
            parts = index.elts if isinstance(index, ast.Tuple) else [index]
            sliced = any(isinstance(part, ast.Slice) for part in parts)
            return Value("array", dtype=base.dtype) if sliced else UNKNOWN_VALUE
        if base.kind in ("list", "tuple"):
            if isinstance(index, ast.Slice):
                return replace(base, items=None, element=element_of(base))
            if base.items is not None:
                position = module.constant(index)
                if isinstance(position, int) and -len(base.items) <= position < len(base.items):
                    return base.items[position]
            return element_of(base)
        return NOTHING if base.kind == "nothing" else UNKNOWN_VALUE

    def _display(self, expression: ast.Tuple | ast.List | ast.Set, module: Module) -> Value:
        if any(isinstance(each, ast.Starred) for each in expression.elts):
            return Value("tuple" if isinstance(expression, ast.Tuple) else "list")
        if len(expression.elts) > 64:
            first = self.value(expression.elts[0], module)
            alike = all(
                isinstance(each, ast.Constant) and _constant(each.value) == first
                for each in expression.elts
            )
            kind: values.Kind = "tuple" if isinstance(expression, ast.Tuple) else "list"
            return Value(kind, element=first if alike else None)
        items = tuple(self.value(each, module) for each in expression.elts)
        if isinstance(expression, ast.Tuple):
            return Value("tuple", items=items)
        return Value("list", items=items)

    # Functions

    def returned(self, function: Value) -> Value:
        """What calling a function of the program gives."""
        definition, module = function.definition, function.module
        if definition is None or module is None or isinstance(definition, ast.ClassDef):
            return UNKNOWN_VALUE
        return self._guarded(definition, module, self._returns)

    def _returns(
        self, definition: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, module: Module
    ) -> Value:
        if isinstance(definition, ast.Lambda):
            return self.value(definition.body, module)
        if isinstance(definition, ast.AsyncFunctionDef):
            return UNKNOWN_VALUE
        found, yielded = [], []
        for node in module.exits(definition):
            if isinstance(node, ast.Return):
                found.append(NONE if node.value is None else self.value(node.value, module))
            elif isinstance(node, ast.YieldFrom):
                return UNKNOWN_VALUE
            elif node.value is not None:
                yielded.append(self.value(node.value, module))
        if yielded:
            return Value("iterator", element=join_all(yielded))
        return self._declared(definition.returns, join_all(found) if found else NONE, module)


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions and classes in it."""
    body = function.body  # type: ignore[attr-defined]
    stack: list[ast.AST] = list(reversed(body)) if isinstance(body, list) else [body]
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        stack.extend(reversed(list(ast.iter_child_nodes(node))))


def attribute_stores(
    definition: ast.ClassDef, module: Module, name: str
) -> Iterator[tuple[ast.Attribute, Binding | None]]:
    """Where a class's methods assign `self.name`, with what; `None` where that is not known."""
    for attribute in module.attributes(name):
        if isinstance(attribute.ctx, ast.Load) or not isinstance(attribute.value, ast.Name):
            continue
        function = module.function(attribute)
        if function is None or module.method_class(function) is not definition:
            continue
        names = parameters(function)
        if not names or names[0].arg != attribute.value.id:
            continue
        statement = module.statement(attribute)
        yield attribute, _attribute_binding(statement, attribute)


def _attribute_binding(statement: ast.stmt, attribute: ast.Attribute) -> Binding | None:
    if isinstance(statement, ast.AnnAssign) and statement.target is attribute:
        return Binding(attribute.attr, "assign", statement, statement.value)
    if not isinstance(statement, ast.Assign):
        return None
    for target in statement.targets:
        if target is attribute:
            return Binding(attribute.attr, "assign", statement, statement.value)
        if isinstance(target, (ast.Tuple, ast.List)):
            for position, element in enumerate(target.elts):
                if element is attribute:
                    return Binding(
                        attribute.attr, "assign", statement, statement.value, (position,)
                    )
    return None


def argument_for(
    node: ast.arg,
    function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
    call: ast.Call,
    *,
    bound: bool,
) -> ast.expr | None:
    """The expression that a call gives to a parameter; `None`: its default, or not known."""
    for keyword in call.keywords:
        if keyword.arg == node.arg:
            return keyword.value
    positional = [*function.args.posonlyargs, *function.args.args]
    if bound:
        positional = positional[1:]
    if node not in positional:
        return None
    position = positional.index(node)
    if position < len(call.args) and not any(
        isinstance(each, ast.Starred) for each in call.args[: position + 1]
    ):
        return call.args[position]
    return None


def is_route(inference: Inference, decorator: ast.Call, module: Module) -> bool:
    """Whether a decorator makes a function answer web requests."""
    if not isinstance(decorator.func, ast.Attribute):
        return False
    if decorator.func.attr not in ("route", "get", "post", "put", "patch", "delete", "websocket"):
        return False
    app = inference.value(decorator.func.value, module)
    return app.kind == "instance" and app.name.startswith(
        ("flask.", "fastapi.", "starlette.", "quart.", "sanic.", "bottle.", "falcon.")
    )


def element_of(value: Value) -> Value:
    """What iterating over a value gives."""
    if value.kind in ("tensor", "variable"):
        return replace(TENSOR, dtype=value.dtype)
    if value.kind in ("list", "tuple", "iterator", "dataset"):
        if value.items is not None:
            return join_all(value.items) if value.items else UNKNOWN_VALUE
        return value.element or UNKNOWN_VALUE
    if value.kind == "string":
        return STRING
    return NOTHING if value.kind == "nothing" else UNKNOWN_VALUE


def entered(value: Value) -> Value:
    """What `with value as name` gives the name."""
    if value.kind in ("session", "tape", "graph", "nothing"):
        return value
    return UNKNOWN_VALUE


def _item(value: Value, position: int) -> Value:
    if value.items is not None and 0 <= position < len(value.items):
        return value.items[position]
    if position < 0:
        return UNKNOWN_VALUE
    return element_of(value)


def arithmetic(left: Value, right: Value, operator: ast.operator) -> Value:
    """What `left operator right` is."""
    kinds = {left.kind, right.kind}
    if kinds & {"tensor", "variable"}:
        dtype = left.dtype if left.kind in ("tensor", "variable") else right.dtype
        return replace(TENSOR, dtype=dtype)
    if "nothing" in kinds:
        return NOTHING
    if "array" in kinds:
        if kinds <= {"array", "scalar", "numpy-scalar"}:
            same = left.dtype if left.dtype == right.dtype or right.kind == "scalar" else None
            return Value("array", dtype=same if left.kind == "array" else None)
        return UNKNOWN_VALUE
    if kinds <= {"scalar"}:
        if isinstance(operator, ast.Div):
            return scalar("float")
        return scalar(left.dtype if left.dtype == right.dtype else "float")
    if kinds <= {"scalar", "numpy-scalar"}:
        return Value("numpy-scalar")
    if left.kind == "string":
        return STRING
    if kinds == {"list"} and isinstance(operator, ast.Add):
        return join(replace(left, items=None), replace(right, items=None))
    if kinds == {"list", "scalar"} and isinstance(operator, ast.Mult):
        found = left if left.kind == "list" else right
        return replace(found, items=None, element=element_of(found))
    return UNKNOWN_VALUE


def _constant(value: object) -> Value:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return scalar("bool")
    if isinstance(value, int):
        return scalar("int")
    if isinstance(value, float):
        return scalar("float")
    if isinstance(value, (str, bytes)):
        return STRING
    return UNKNOWN_VALUE


def _default(
    node: ast.arg, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
) -> ast.expr | None:
    positional = [*function.args.posonlyargs, *function.args.args]
    if node in positional:
        position = positional.index(node) - len(positional) + len(function.args.defaults)
        return function.args.defaults[position] if position >= 0 else None
    if node in function.args.kwonlyargs:
        return function.args.kw_defaults[function.args.kwonlyargs.index(node)]
    return None


def _dotted(statement: ast.ImportFrom, module: Module) -> str | None:
    """The module that `from … import` names, relative ones made absolute."""
    if not statement.level:
        return statement.module
    parts = module.name.split(".") if module.name else []
    if module.file.name != "__init__.py":
        parts = parts[:-1]
    up = statement.level - 1
    if up > len(parts):
        return None
    parts = parts[: len(parts) - up]
    return ".".join([*parts, *(statement.module or "").split(".")]).strip(".") or None
