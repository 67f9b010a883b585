"""One file of Python, read once: its nodes, its names, places in it and edits of it."""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from unslow.finding import Edit, Site
from unslow.source import flow
from unslow.source.bindings import (
    COMPREHENSIONS,
    FUNCTIONS,
    Binding,
    Flow,
    Loop,
    Scope,
    bindings_in,
    block_of,
    parameters,
)
from unslow.source.flow import Mode, Repetition
from unslow.source.notebook import NotebookText
from unslow.source.text import SourceText, Text
from unslow.source.values import Kind, Value

if TYPE_CHECKING:
    from unslow.source.project import Project

N = TypeVar("N", bound=ast.AST)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_BINDERS = (
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.For,
    ast.AsyncFor,
    ast.With,
    ast.AsyncWith,
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.NamedExpr,
    ast.ExceptHandler,
    ast.Delete,
    ast.MatchAs,
    ast.MatchStar,
    ast.MatchMapping,
    *COMPREHENSIONS,
)


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""What `Module.constant` returns for what is no known literal."""


class Module:
    """A parsed file, or the cells of a notebook.

    `path` is the file's name as reports show it, `name` its dotted name in its package.
    """

    def __init__(self, path: str, source: Text, project: Project, file: Path, name: str) -> None:
        self.path = path
        self.source = source
        self.project = project
        self.file = file
        self.name = name
        self.tree = source.parse()
        self.consulted: set[Path] = set()
        self._parents: dict[ast.AST, ast.AST] = {}
        self._by_type: dict[type[ast.AST], list[ast.AST]] = {}
        self._order: dict[ast.AST, int] = {}
        self._scope_of: dict[ast.AST, Scope] = {}
        self._index()
        self._flows: dict[tuple[Scope, str], Flow] = {}

    @classmethod
    def of(cls, text: str, path: str = "program.py") -> Module:
        """A module of a text, in a project of its own.

        Raises:
            SourceError: it is not Python.
        """
        from unslow.source.project import Project

        project = Project([])
        return cls(path, SourceText.of(text.encode()), project, Path(path), Path(path).stem)

    def _index(self) -> None:
        parents, by_type, order = self._parents, self._by_type, self._order
        stack: list[ast.AST] = [self.tree]
        while stack:
            node = stack.pop()
            order[node] = len(order)
            by_type.setdefault(type(node), []).append(node)
            children: list[ast.AST] = []
            for field in node._fields:
                value = getattr(node, field, None)
                if isinstance(value, list):
                    children += [each for each in value if isinstance(each, ast.AST)]
                elif isinstance(value, ast.AST) and not isinstance(
                    value, (ast.expr_context, ast.operator, ast.unaryop, ast.boolop)
                ):
                    children.append(value)
            for child in children:
                parents[child] = node
            children.reverse()
            stack += children

    # Nodes

    def nodes(self, *types: type[N]) -> Iterator[N]:
        """All nodes of these types, in the order of the source."""
        if len(types) == 1:
            yield from self._by_type.get(types[0], ())  # type: ignore[misc]
            return
        found = [node for kind in types for node in self._by_type.get(kind, ())]
        yield from sorted(found, key=self._order.__getitem__)  # type: ignore[misc]

    def calls(self) -> Iterator[ast.Call]:
        """All calls."""
        return self.nodes(ast.Call)

    @functools.cached_property
    def _calls_by_name(self) -> dict[str, list[ast.Call]]:
        """Calls by the last part of what is called, imports and aliases seen through."""
        others: dict[str, set[str]] = {}
        for alias in self.nodes(ast.alias):
            if alias.asname:
                others.setdefault(alias.asname, set()).add(alias.name.rpartition(".")[2])
        for assign in self.nodes(ast.Assign):
            value, target = assign.value, assign.targets[0]
            if isinstance(target, ast.Name) and isinstance(value, (ast.Attribute, ast.Name)):
                last = value.attr if isinstance(value, ast.Attribute) else value.id
                others.setdefault(target.id, set()).add(last)
        found: dict[str, list[ast.Call]] = {}
        for call in self.calls():
            if isinstance(call.func, ast.Attribute):
                found.setdefault(call.func.attr, []).append(call)
            elif isinstance(call.func, ast.Name):
                for name in {call.func.id, *others.get(call.func.id, ())}:
                    found.setdefault(name, []).append(call)
        return found

    def calls_to(self, *names: str) -> Iterator[ast.Call]:
        """The calls of the things with these qualified names."""
        wanted = set(names)
        lasts = {name.rpartition(".")[2] for name in names}
        found = {call for last in lasts for call in self._calls_by_name.get(last, ())}
        for call in sorted(found, key=self._order.__getitem__):
            if self.qualified(call.func) in wanted:
                yield call

    def calls_of(self, method: str, *kinds: Kind) -> Iterator[ast.Call]:
        """The calls `x.method(…)` where `x` is of one of these kinds."""
        for call in self._calls_by_name.get(method, ()):
            if isinstance(call.func, ast.Attribute) and self.value(call.func.value).kind in kinds:
                yield call

    def attributes(self, name: str) -> list[ast.Attribute]:
        """All `x.name`."""
        return self._attributes.get(name, [])

    @functools.cached_property
    def _attributes(self) -> dict[str, list[ast.Attribute]]:
        found: dict[str, list[ast.Attribute]] = {}
        for node in self.nodes(ast.Attribute):
            found.setdefault(node.attr, []).append(node)
        return found

    @functools.cached_property
    def _names(self) -> dict[str, list[ast.Name]]:
        found: dict[str, list[ast.Name]] = {}
        for node in self.nodes(ast.Name):
            found.setdefault(node.id, []).append(node)
        return found

    # Structure

    def parent(self, node: ast.AST) -> ast.AST | None:
        """The node around a node."""
        return self._parents.get(node)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, innermost first."""
        parent = self._parents.get(node)
        while parent is not None:
            yield parent
            parent = self._parents.get(parent)

    def enclosing(self, node: ast.AST, *types: type[N]) -> N | None:
        """The innermost node of one of these types around a node."""
        for each in self.ancestors(node):
            if isinstance(each, types):
                return each
        return None

    def inside(self, node: ast.AST, other: ast.AST) -> bool:
        """Whether `node` is `other` or stands in it."""
        return node is other or any(each is other for each in self.ancestors(node))

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that holds a node, or is it."""
        here: ast.AST | None = node
        while here is not None and not isinstance(here, ast.stmt):
            here = self._parents.get(here)
        if here is None:
            raise ValueError("the node is not part of a statement of this module")
        return here

    def function(self, node: ast.AST) -> Function | None:
        """The innermost function around a node; a decorator or default is outside its own."""
        child = node
        for each in self.ancestors(node):
            if isinstance(each, FUNCTIONS) and self._in_body(child, each):
                return each
            child = each
        return None

    def _in_body(self, child: ast.AST, function: Function) -> bool:
        if isinstance(function, ast.Lambda):
            return child is function.body
        return any(child is each for each in function.body)

    def class_of(self, node: ast.AST) -> ast.ClassDef | None:
        """The class whose method holds a node, or whose body does."""
        for each in self.ancestors(node):
            if isinstance(each, ast.ClassDef):
                return each
        return None

    def loops(self, node: ast.AST) -> tuple[Loop, ...]:
        """The loops whose body holds a node, within its function, innermost first."""
        return tuple(flow.loops(self, node))

    def method_class(self, function: ast.AST) -> ast.ClassDef | None:
        """The class of which a function is a method."""
        parent = self._parents.get(function)
        return parent if isinstance(parent, ast.ClassDef) else None

    # Names

    def exits(self, function: ast.AST) -> list[ast.Return | ast.Yield | ast.YieldFrom]:
        """The statements and expressions by which a function gives something back."""
        return self._exits.get(function, [])

    @functools.cached_property
    def _exits(self) -> dict[ast.AST, list[ast.Return | ast.Yield | ast.YieldFrom]]:
        found: dict[ast.AST, list[ast.Return | ast.Yield | ast.YieldFrom]] = {}
        leaving: Iterator[ast.Return | ast.Yield | ast.YieldFrom]
        leaving = self.nodes(ast.Return, ast.Yield, ast.YieldFrom)
        for node in leaving:
            function = self.function(node)
            if function is not None:
                found.setdefault(function, []).append(node)
        return found

    def scope(self, node: ast.AST) -> Scope:
        """The scope in which a name at `node` is looked up first."""
        known = self._scope_of.get(node)
        if known is None:
            known = self._scope_of[node] = self._find_scope(node)
        return known

    def _find_scope(self, node: ast.AST) -> Scope:
        child = node
        for each in self.ancestors(node):
            if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                if self._in_body(child, each):
                    return each
            elif isinstance(each, ast.ClassDef):
                if any(child is statement for statement in each.body):
                    return each
            elif isinstance(each, COMPREHENSIONS):
                if child is not each.generators[0] or not self._first_iterable(node, each):
                    return each
            elif isinstance(each, ast.Module):
                return each
            child = each
        return self.tree

    def _first_iterable(self, node: ast.AST, comprehension: ast.AST) -> bool:
        first = comprehension.generators[0].iter  # type: ignore[attr-defined]
        return self.inside(node, first)

    @functools.cached_property
    def scopes(self) -> dict[Scope, dict[str, list[Binding]]]:
        """What each scope binds."""
        found: dict[Scope, dict[str, list[Binding]]] = {}
        outer: dict[Scope, dict[str, Scope]] = {}
        for declaration in self.nodes(ast.Global, ast.Nonlocal):
            scope = self.scope(declaration)
            for name in declaration.names:  # type: ignore[attr-defined]
                outer.setdefault(scope, {})[name] = self._declared(declaration, scope)
        for node in self.nodes(*_BINDERS):
            comprehension = isinstance(node, COMPREHENSIONS)
            scope = node if comprehension else self.scope(node)  # type: ignore[assignment]
            while isinstance(node, ast.NamedExpr) and isinstance(scope, COMPREHENSIONS):
                scope = self.scope(scope)
            for binding in bindings_in(node):
                home = outer.get(scope, {}).get(binding.name, scope)
                found.setdefault(home, {}).setdefault(binding.name, []).append(binding)
        functions: Iterator[Function] = self.nodes(*FUNCTIONS)
        for function in functions:
            own = found.setdefault(function, {})
            for parameter in parameters(function):
                own.setdefault(parameter.arg, []).insert(
                    0, Binding(parameter.arg, "parameter", parameter)
                )
        return found

    def _declared(self, declaration: ast.AST, scope: Scope) -> Scope:
        if isinstance(declaration, ast.Global):
            return self.tree
        return next((s for s in self.ancestors(scope) if isinstance(s, FUNCTIONS)), self.tree)

    def home(self, name: ast.Name) -> Scope | None:
        """The scope that binds a name where it stands; `None` for builtins and unknown names."""
        scope: Scope | None = self.scope(name)
        first = True
        while scope is not None:
            if name.id in self.scopes.get(scope, ()) and (
                first or not isinstance(scope, ast.ClassDef)
            ):
                return scope
            first = first and isinstance(scope, COMPREHENSIONS)
            scope = None if isinstance(scope, ast.Module) else self.scope(scope)
        return None

    def bindings(self, name: ast.Name) -> list[Binding] | None:
        """The bindings that may hold where a name stands; `None` where that is not sure."""
        scope = self.home(name)
        if scope is None:
            return None
        every = self.scopes[scope][name.id]
        if isinstance(scope, COMPREHENSIONS) or len(every) == 1:
            return every
        own = self.scope(name)
        while isinstance(own, COMPREHENSIONS):
            own = self.scope(own)
        if own is not scope:
            return every
        if any(self._outside(binding, scope) for binding in every):
            return every
        key = (scope, name.id)
        if key not in self._flows:
            self._flows[key] = Flow(every, self._parents, scope)
        return self._flows[key].reaching(self.statement(name)) or every

    def _outside(self, binding: Binding, scope: Scope) -> bool:
        """Whether another scope binds it, through `global` or `nonlocal`."""
        if binding.kind == "parameter":
            return False
        here = self.scope(binding.node)
        while isinstance(here, COMPREHENSIONS):
            here = self.scope(here)
        return here is not scope

    def uses(self, name: str, within: ast.AST | None = None) -> list[ast.Name]:
        """All nodes of a name, in the whole module or within a node."""
        found = self._names.get(name, [])
        return found if within is None else [n for n in found if self.inside(n, within)]

    def uses_of(self, name: str, scope: Scope) -> list[ast.Name]:
        """The nodes of a name that mean the one that `scope` binds."""
        return [node for node in self._names.get(name, ()) if self.home(node) is scope]

    def free_name(self, text: str) -> str:
        """A name like `text` that nothing in the module has."""
        taken = {*self._names, *dir(builtins)}
        taken |= {alias.asname or alias.name for alias in self.nodes(ast.alias)}
        taken |= {each.arg for each in self.nodes(ast.arg)}
        taken |= {name for held in self.scopes.values() for name in held}
        free, number = text, 2
        while free in taken:
            free, number = f"{text}_{number}", number + 1
        return free

    # Meaning

    def value(self, expression: ast.expr) -> Value:
        """What an expression is."""
        return self.project.inference.value(expression, self)

    def qualified(self, expression: ast.expr) -> str | None:
        """The qualified name of the library's thing that an expression refers to."""
        value = self.value(expression)
        return value.name if value.kind == "external" and value.name else None

    def argument(self, call: ast.Call, position: int | None, keyword: str) -> ast.expr | None:
        """The argument of a call at a position (`None`: by keyword alone) or of a keyword."""
        for each in call.keywords:
            if each.arg == keyword:
                return each.value
        if position is None or position >= len(call.args):
            return None
        if any(isinstance(each, ast.Starred) for each in call.args[: position + 1]):
            return None
        return call.args[position]

    def has_star(self, call: ast.Call) -> bool:
        """Whether a call has arguments that the source does not name: `*x`, `**x`."""
        return any(isinstance(each, ast.Starred) for each in call.args) or any(
            each.arg is None for each in call.keywords
        )

    def constant(self, expression: ast.expr) -> Any:
        """The literal value of an expression, through names bound once; else `UNKNOWN`."""
        return self._constant(expression, 0)

    def _constant(self, expression: ast.expr, depth: int) -> Any:
        if depth > 8:
            return UNKNOWN
        if isinstance(expression, ast.Name):
            scope = self.home(expression)
            every = [] if scope is None else self.scopes[scope][expression.id]
            if len(every) == 1 and every[0].kind == "assign" and not every[0].path:
                value = every[0].value
                return UNKNOWN if value is None else self._constant(value, depth + 1)
            return UNKNOWN
        if isinstance(expression, (ast.Tuple, ast.List)):
            items = [self._constant(each, depth + 1) for each in expression.elts]
            if any(item is UNKNOWN for item in items):
                return UNKNOWN
            return tuple(items) if isinstance(expression, ast.Tuple) else items
        if isinstance(expression, ast.BinOp):
            return self._arithmetic(expression, depth)
        try:
            return ast.literal_eval(expression)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return UNKNOWN

    def _arithmetic(self, expression: ast.BinOp, depth: int) -> Any:
        left = self._constant(expression.left, depth + 1)
        right = self._constant(expression.right, depth + 1)
        if not (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            return UNKNOWN
        if max(abs(left), abs(right)) > 1e12:
            return UNKNOWN
        try:
            if isinstance(expression.op, ast.Add):
                return left + right
            if isinstance(expression.op, ast.Sub):
                return left - right
            if isinstance(expression.op, ast.Mult):
                return left * right
            if isinstance(expression.op, ast.FloorDiv):
                return left // right
            if isinstance(expression.op, ast.Div):
                return left / right
        except ZeroDivisionError:
            return UNKNOWN
        return UNKNOWN

    @functools.cached_property
    def graph_mode(self) -> bool:
        """Whether it is written for sessions: TensorFlow 1, where no op runs by itself."""
        return flow.graph_mode(self)

    def repetition(self, node: ast.AST) -> Repetition | None:
        """Why the code at a node runs again and again; `None` where it is not known to."""
        return self.project.flow.repetition(node, self)

    def mode(self, node: ast.AST) -> Mode | None:
        """Whether the code at a node runs as plain Python or is compiled; `None`: not known."""
        return self.project.flow.mode(node, self)

    def compilation(self, node: ast.AST) -> Value | None:
        """The compiled function around a node, where one was made of a function around it."""
        return self.project.flow.compilation(node, self)

    def guarded(self, node: ast.AST) -> bool:
        """Whether the code at a node only runs for debugging or in a unit test."""
        return flow.guarded(self, node)

    def invariant(self, expression: ast.expr, loop: Loop) -> bool:
        """Whether an expression surely is the same, with the same contents, in every round."""
        return flow.invariant(self, expression, loop)

    def varies(self, expression: ast.expr, loop: Loop) -> bool:
        """Whether an expression surely has another value in nearly every round."""
        return flow.varies(self, expression, loop)

    def pure(self, expression: ast.expr) -> bool:
        """Whether working out an expression has no effects."""
        return flow.pure(self, expression)

    # Places

    def site(self, node: ast.AST) -> Site:
        """Where a node stands; a definition stands at its name's line, not its decorators'."""
        line, column = self.start(node)
        end = getattr(node, "end_lineno", None) or node.lineno  # type: ignore[attr-defined]
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            end = node.lineno
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.While, ast.With, ast.If)):
            end = max(node.lineno, node.body[0].lineno - 1)
        cell, own = self._located(line)
        return Site(self.path, own, self.function_name(node), own + (end - line), column, cell)

    def function_name(self, node: ast.AST) -> str:
        """The name of the function around a node, as the interpreter has it."""
        function = self.function(node)
        if function is None:
            return "<module>"
        return "<lambda>" if isinstance(function, ast.Lambda) else function.name

    def start(self, node: ast.AST) -> tuple[int, int]:
        """The line and column at which a node begins, in the module's one text."""
        line = node.lineno  # type: ignore[attr-defined]
        return line, self.source.column(line, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> tuple[int, int]:
        """The line and column just after a node."""
        line = node.end_lineno  # type: ignore[attr-defined]
        return line, self.source.column(line, node.end_col_offset)  # type: ignore[attr-defined]

    def text(self, node: ast.AST) -> str:
        """A node as it is written."""
        return self.text_between(self.start(node), self.end(node))

    def text_between(self, start: tuple[int, int], end: tuple[int, int]) -> str:
        """What is written between two places, lines ended by a line feed."""
        lines = self.source.lines
        if start[0] == end[0]:
            return lines[start[0] - 1][start[1] - 1 : end[1] - 1]
        middle = lines[start[0] : end[0] - 1]
        return "\n".join(
            [lines[start[0] - 1][start[1] - 1 :], *middle, lines[end[0] - 1][: end[1] - 1]]
        )

    def indent(self, statement: ast.stmt) -> str:
        """The white space before a statement."""
        line = self.source.lines[statement.lineno - 1]
        return line[: len(line) - len(line.lstrip())]

    def _located(self, line: int) -> tuple[int | None, int]:
        if isinstance(self.source, NotebookText):
            return self.source.locate(line)
        return None, line

    # Edits

    def editable(self, node: ast.AST) -> bool:
        """Whether a statement stands alone on lines that are the file's own.

        Lines of a notebook that a magic changed are not, nor are statements that share a
        line by `;` or stand on the line of their `if x:`.
        """
        statement = self.statement(node)
        first, last = self._first_line(statement), statement.end_lineno or statement.lineno
        if isinstance(self.source, NotebookText):
            changed = self.source.changed_lines
            if any(line in changed for line in range(first, last + 1)):
                return False
        if self.source.lines[first - 1][: self._first_column(statement) - 1].strip():
            return False
        after = self.source.lines[last - 1][self.end(statement)[1] - 1 :].strip()
        return not after or after.startswith("#")

    def replace(self, node: ast.AST, text: str) -> Edit:
        """Write `text` in place of a node."""
        return self.edit(self.start(node), self.end(node), text)

    def insert(self, statement: ast.stmt, text: str) -> Edit:
        """Write lines before a statement and its decorators, indented like it."""
        line = self._first_line(statement)
        return self.edit((line, 1), (line, 1), self._indented(text, self.indent(statement)))

    def insert_after(self, statement: ast.stmt, text: str) -> Edit:
        """Write lines after a statement, indented like it."""
        line = statement.end_lineno or statement.lineno
        return self.insert_below(line, self._indented(text, self.indent(statement)))

    def insert_below(self, line: int, text: str) -> Edit:
        """Write whole lines, each ended by a newline, below a line of the module's text."""
        last = len(self.source.lines)
        same_cell = self._located(line)[0] == self._located(min(line + 1, last))[0]
        if line < last and same_cell:
            return self.edit((line + 1, 1), (line + 1, 1), text)
        end = len(self.source.lines[line - 1]) + 1
        return self.edit((line, end), (line, end), "\n" + text.removesuffix("\n"))

    def delete(self, statement: ast.stmt) -> Edit:
        """Take out a statement with its lines; `pass` takes its place where it stands alone."""
        first, last = self._first_line(statement), statement.end_lineno or statement.lineno
        block = block_of(self._parents[statement], statement) or [statement]
        if len(block) == 1 and not isinstance(self._parents.get(statement), ast.Module):
            return self.edit((first, len(self.indent(statement)) + 1), self.end(statement), "pass")
        lines = len(self.source.lines)
        if last < lines and self._located(last)[0] == self._located(last + 1)[0]:
            return self.edit((first, 1), (last + 1, 1), "")
        return self.edit((first, 1), (last, len(self.source.lines[last - 1]) + 1), "")

    def edit(self, start: tuple[int, int], end: tuple[int, int], text: str) -> Edit:
        """Write `text` in place of what stands between two places of the module's text."""
        cell, line = self._located(start[0])
        end_line = line + end[0] - start[0]
        return Edit(self.path, (line, start[1]), (end_line, end[1]), text, cell)

    def imported(self, dotted: str) -> tuple[str, tuple[Edit, ...]]:
        """What to write for a library's module at the top level, with the import it lacks."""
        from unslow.source.imports import imported

        return imported(self, dotted)

    def _first_line(self, statement: ast.stmt) -> int:
        decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
        return min([statement.lineno, *(each.lineno for each in decorators)])

    def _first_column(self, statement: ast.stmt) -> int:
        decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
        if not decorators:
            return self.start(statement)[1]
        first = min(decorators, key=lambda each: each.lineno)
        return self.start(first)[1] - 1

    def _indented(self, text: str, indent: str) -> str:
        lines = text.rstrip("\n").split("\n")
        return "".join(f"{indent}{line}\n" if line else "\n" for line in lines)
