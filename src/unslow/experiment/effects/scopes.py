"""What a name in a function stands for: the real object, the kind of one, or nobody knows."""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

from unslow.experiment.effects.source_text import Definition


@dataclass(frozen=True)
class Known:
    """The object itself."""

    value: Any


@dataclass(frozen=True)
class Instance:
    """Some object of this class, made when the function runs."""

    kind: type


Meaning = Known | Instance | None
Binding = ast.expr | Known | None
Scope = dict[str, list[Binding]]

_LITERALS: dict[type[ast.expr], type] = {
    ast.JoinedStr: str,
    ast.List: list,
    ast.ListComp: list,
    ast.Tuple: tuple,
    ast.Dict: dict,
    ast.DictComp: dict,
    ast.Set: set,
    ast.SetComp: set,
}


class Names:
    """The names that one definition sees: its scopes, its closure, its globals.

    `owner` is what its first parameter is bound to, where that is known.
    """

    def __init__(self, function: FunctionType, definition: Definition, owner: Known | None) -> None:
        self._globals = function.__globals__
        cells = function.__closure__ or ()
        self._closure = dict(zip(function.__code__.co_freevars, cells, strict=True))
        outermost = bound_in(definition, self._globals)
        arguments = (*definition.args.posonlyargs, *definition.args.args)
        if owner is not None and arguments and outermost.get(arguments[0].arg) == [None]:
            outermost[arguments[0].arg] = [owner]
        self._owner = owner
        self._scopes = [outermost]
        self._looking: set[int] = set()

    def enter(self, node: ast.AST) -> None:
        """Go into a nested function, lambda, class or comprehension."""
        self._scopes.append(bound_in(node, self._globals))

    def leave(self) -> None:
        """Come out of it again."""
        self._scopes.pop()

    def meaning(self, node: ast.expr) -> Meaning:
        """What an expression stands for."""
        if id(node) in self._looking:
            return None
        self._looking.add(id(node))
        try:
            return self._meaning(node)
        finally:
            self._looking.discard(id(node))

    def is_namespace(self, node: ast.expr) -> bool:
        """Whether an expression is a module's names: `globals()`, `vars(module)`."""
        found = self.meaning(node)
        return isinstance(found, Known) and type(found.value) is dict and "__name__" in found.value

    def _meaning(self, node: ast.expr) -> Meaning:
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            return member(self.meaning(node.value), node.attr)
        if isinstance(node, ast.Call):
            return self._called(node)
        if isinstance(node, ast.Constant):
            return Known(node.value)
        if isinstance(node, ast.NamedExpr):
            return self.meaning(node.value)
        if isinstance(node, ast.Subscript):
            base, index = self.meaning(node.value), self.meaning(node.slice)
            return _element(base, index)
        kind = _LITERALS.get(type(node))
        return None if kind is None else Instance(kind)

    def _called(self, call: ast.Call) -> Meaning:
        function = self.meaning(call.func)
        if not isinstance(function, Known):
            return None
        if function.value is globals:
            return Known(self._globals)
        if function.value is vars and call.args:
            owner = self.meaning(call.args[0])
            module = owner.value if isinstance(owner, Known) else None
            return Known(vars(module)) if isinstance(module, ModuleType) else None
        if function.value is super and not call.args:
            return self._parent()
        return Instance(function.value) if isinstance(function.value, type) else None

    def _parent(self) -> Meaning:
        cell = self._closure.get("__class__")
        if cell is None:
            return None
        try:
            bases = cell.cell_contents.__mro__[1:]
        except ValueError:
            return None
        return Instance(bases[0]) if bases else None

    def _name(self, name: str) -> Meaning:
        for scope in reversed(self._scopes):
            if name in scope:
                return self._bound(name, scope[name])
        if name in self._closure:
            try:
                return Known(self._closure[name].cell_contents)
            except ValueError:
                return None
        if name in self._globals:
            return Known(self._globals[name])
        value = getattr(builtins, name, self)
        return None if value is self else Known(value)

    def _bound(self, name: str, bindings: list[Binding]) -> Meaning:
        found: Meaning = None
        for binding in bindings:
            if _goes_on(binding, name) and _is_tensor_array(found):
                continue
            meaning = self.meaning(binding) if isinstance(binding, ast.expr) else binding
            if isinstance(meaning, Known) and not _is_code(meaning.value) and len(bindings) > 1:
                meaning = Instance(type(meaning.value))
            if meaning is None or (found is not None and not _same(found, meaning)):
                return None
            found = meaning
        return found


def _goes_on(binding: Binding, name: str) -> bool:
    """Whether a tensor array is bound to its own name again: `rows = rows.write(i, row)`."""
    return (
        isinstance(binding, ast.Call)
        and isinstance(binding.func, ast.Attribute)
        and isinstance(binding.func.value, ast.Name)
        and binding.func.value.id == name
        and binding.func.attr in ("write", "unstack", "scatter", "split")
    )


def _is_tensor_array(meaning: Meaning) -> bool:
    return isinstance(meaning, Instance) and meaning.kind.__name__ == "TensorArray"


def member(base: Meaning, name: str) -> Meaning:
    """What an attribute of something is, found without running its code."""
    if base is None:
        return None
    if isinstance(base, Instance):
        value = inspect.getattr_static(base.kind, name, None)
        return None if value is None else Known(_unbound(value))
    owner = base.value
    if isinstance(owner, ModuleType):
        try:
            return Known(getattr(owner, name))
        except Exception:
            # A module may make its names on the way, and fail in any way.
            return None
    try:
        value = inspect.getattr_static(owner, name)
    except AttributeError:
        return None
    if isinstance(value, property):
        return None
    if isinstance(value, (staticmethod, classmethod)):
        return Known(_unbound(value))
    if not isinstance(owner, type):
        of_class = inspect.getattr_static(type(owner), name, None) is value
        if of_class and isinstance(value, FunctionType):
            return Known(MethodType(value, owner))
        inner = attribute(value, "python_function")
        if isinstance(inner, FunctionType):
            return Known(MethodType(inner, owner))
    if type(value).__name__ in ("member_descriptor", "getset_descriptor"):
        return None
    return Known(value)


def property_getter(base: Meaning, name: str) -> FunctionType | None:
    """The function behind a property of something, if it is one."""
    kind = base.kind if isinstance(base, Instance) else None
    if isinstance(base, Known) and not isinstance(base.value, ModuleType):
        kind = type(base.value)
    value = None if kind is None else inspect.getattr_static(kind, name, None)
    getter = getattr(value, "fget", None) or getattr(value, "func", None)
    return getter if isinstance(getter, FunctionType) else None


def attribute(thing: Any, name: str) -> Any:
    """An attribute that a library's object has, `None` where it would be made up on the way."""
    if inspect.getattr_static(thing, name, None) is None:
        return None
    return getattr(thing, name, None)


def _element(base: Meaning, index: Meaning) -> Meaning:
    if isinstance(base, Known) and type(base.value) in (dict, list, tuple):
        if not isinstance(index, Known):
            return None
        try:
            return Known(base.value[index.value])
        except (KeyError, IndexError, TypeError):
            return None
    return None


def _unbound(value: Any) -> Any:
    return value.__func__ if isinstance(value, (staticmethod, classmethod)) else value


def _is_code(value: Any) -> bool:
    return callable(value) or isinstance(value, ModuleType)


def _same(one: Meaning, other: Meaning) -> bool:
    if isinstance(one, Known) and isinstance(other, Known):
        return one.value is other.value
    return isinstance(one, Instance) and isinstance(other, Instance) and one.kind is other.kind


def bound_in(node: ast.AST, names: dict[str, Any]) -> Scope:
    """The names that a function, lambda, class or comprehension binds, with what is known of each.

    `names` are the module's globals, for relative imports.
    """
    scope: Scope = {}
    outer: set[str] = set()
    settled: set[int] = set()
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        given = node.args
        for each in (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg):
            if each is not None:
                scope[each.arg] = [None]
        body: list[ast.AST] = list(node.body) if isinstance(node.body, list) else [node.body]
    elif isinstance(node, ast.ClassDef):
        body = list(node.body)
    else:
        body = [each.target for each in getattr(node, "generators", ())]
    for part in _own_nodes(body):
        if isinstance(part, (ast.Global, ast.Nonlocal)):
            outer.update(part.names)
        for name, value in _bindings(part, names, settled):
            scope.setdefault(name, []).append(value)
    return {name: values for name, values in scope.items() if name not in outer}


def _bindings(
    node: ast.AST, names: dict[str, Any], settled: set[int]
) -> Iterator[tuple[str, Binding]]:
    """What one node binds. `settled`: the names in it that the node above has bound already."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name, None
    elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.withitem)):
        for target, value in _pairs(node):
            if isinstance(target, ast.Name) and value is not None:
                settled.add(id(target))
                yield target.id, value
    elif isinstance(node, ast.Import):
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.asname or name, _module(name)
    elif isinstance(node, ast.ImportFrom):
        module = _module(_absolute("." * node.level + (node.module or ""), names))
        for alias in node.names:
            yield alias.asname or alias.name, _from(module, alias.name)
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        if node.name:
            yield node.name, None
    elif isinstance(node, ast.MatchMapping):
        if node.rest:
            yield node.rest, None
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and id(node) not in settled:
        yield node.id, None


def _pairs(
    node: ast.Assign | ast.AnnAssign | ast.NamedExpr | ast.withitem,
) -> Iterator[tuple[ast.expr | None, ast.expr | None]]:
    if isinstance(node, ast.withitem):
        yield node.optional_vars, node.context_expr
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, node.value
    else:
        yield node.target, node.value


def _own_nodes(body: list[ast.AST]) -> Iterator[ast.AST]:
    """The nodes below, each before its parts, but for those in scopes of their own."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            waiting.append(node.generators[0].iter)
            continue
        waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _module(name: str) -> Known | None:
    module = sys.modules.get(name)
    return None if module is None else Known(module)


def _absolute(name: str, names: dict[str, Any]) -> str:
    level = len(name) - len(name.lstrip("."))
    if not level:
        return name
    parts = (names.get("__package__") or "").split(".")
    return ".".join([*parts[: len(parts) - level + 1], *filter(None, [name[level:]])])


def _from(module: Known | None, name: str) -> Known | None:
    if module is None:
        return None
    value = getattr(module.value, name, None)
    return _module(f"{module.value.__name__}.{name}") if value is None else Known(value)
