"""Datasets in the source: the stages a dataset has passed through, and who goes through it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from unslow.finding import Edit, Finding, Site
from unslow.source.bindings import Loop
from unslow.source.module import UNKNOWN, Module

MOST_STAGES = 64

_KEPT_ROWS = frozenset({"shuffle", "repeat", "take", "skip", "shard", "prefetch", "with_options"})
"""Stages that hand on elements as they are."""


@dataclass(frozen=True)
class Stage:
    """One stage: `name` is that of the method, or the last part of the source's name."""

    name: str
    call: ast.Call
    module: Module

    @property
    def receiver(self) -> ast.expr | None:
        """The dataset a method was called on."""
        return self.call.func.value if isinstance(self.call.func, ast.Attribute) else None

    def argument(self, position: int, keyword: str) -> ast.expr | None:
        """An argument of the stage."""
        return self.module.argument(self.call, position, keyword)

    def constant(self, position: int, keyword: str) -> object:
        """The literal value of an argument; `UNKNOWN` where it is none, or not given."""
        argument = self.argument(position, keyword)
        return UNKNOWN if argument is None else self.module.constant(argument)


@dataclass(frozen=True)
class Chain:
    """The stages of a dataset, the first one first.

    `complete`: whether the first one is its source; else more stages may come before it.
    """

    stages: tuple[Stage, ...] = ()
    complete: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stages."""
        return tuple(stage.name for stage in self.stages)

    @property
    def source(self) -> str:
        """The name of the source, "" where it is not known."""
        return self.stages[0].name if self.complete else ""


def chain(expression: ast.expr, module: Module) -> Chain:
    """The stages of the dataset that an expression is, as far back as they are sure."""
    stages: list[Stage] = []
    for _ in range(MOST_STAGES):
        value = module.value(expression)
        if value.kind != "dataset" or value.call is None or value.call_module is None:
            break
        call, module = value.call, value.call_module
        if any(stage.call is call for stage in stages):
            return Chain()
        source = module.qualified(call.func)
        if source is not None:
            stages.append(Stage(source.rpartition(".")[2], call, module))
            return Chain(tuple(reversed(stages)), complete=True)
        if not isinstance(call.func, ast.Attribute):
            break
        stages.append(Stage(call.func.attr, call, module))
        expression = call.func.value
    return Chain(tuple(reversed(stages)))


def mapped_rows(batch: ast.Call, module: Module) -> tuple[Stage, Chain] | None:
    """The `map` whose rows a `batch` puts together, and the stages before that map.

    Stages between the two hand rows on as they are.
    """
    assert isinstance(batch.func, ast.Attribute)
    if module.has_star(batch) or _argument(batch, module, 0, "batch_size") == 1:
        return None
    rows = chain(batch.func.value, module)
    stages = list(rows.stages)
    while stages and stages[-1].name in _KEPT_ROWS:
        stages.pop()
    if not stages or stages[-1].name != "map" or stages[-1].module.has_star(stages[-1].call):
        return None
    return stages[-1], Chain(tuple(stages[:-1]), rows.complete)


def _argument(call: ast.Call, module: Module, position: int, keyword: str) -> object:
    argument = module.argument(call, position, keyword)
    return UNKNOWN if argument is None else module.constant(argument)


def written(expression: ast.expr, module: Module) -> ast.expr:
    """The expression that a name stands for, where it is bound once; else itself."""
    for _ in range(4):
        held = module.bindings(expression) if isinstance(expression, ast.Name) else None
        if held is None or len(held) != 1 or held[0].kind != "assign" or held[0].path:
            break
        if held[0].value is None:
            break
        expression = held[0].value
    return expression


def parallel(stage: Stage) -> bool:
    """Whether a `map` or `interleave` asks for parallel calls."""
    position = {"map": 1, "interleave": 3}.get(stage.name, -1)
    argument = stage.module.argument(stage.call, position, "num_parallel_calls")
    return argument is not None and stage.module.constant(argument) not in (None, 1)


def opened_by_dataset(node: ast.AST, module: Module) -> bool:
    """Whether code stands in a function that another dataset calls for each of its elements."""
    openers = ("interleave", "flat_map", "map", "apply", "parallel_interleave")
    functions = {
        each
        for each in module.ancestors(node)
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    }
    if not functions:
        return False
    for call in module.calls():
        name = call.func.attr if isinstance(call.func, ast.Attribute) else None
        name = call.func.id if isinstance(call.func, ast.Name) else name
        if name not in openers or module.inside(node, call.func):
            continue
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            value = module.value(argument)
            if value.kind in ("function", "compiled") and value.definition in functions:
                return True
    return False


@dataclass(frozen=True)
class Epochs:
    """A place that goes through a dataset several times: a loop in a loop, or `fit`.

    `whole`: whether each pass goes to the end.
    """

    dataset: ast.expr
    node: ast.For | ast.Call
    module: Module
    whole: bool


def epochs(module: Module) -> Iterator[Epochs]:
    """Where a module goes through one dataset again and again."""
    for loop in module.nodes(ast.For):
        if module.guarded(loop) or module.value(loop.iter).kind != "dataset":
            continue
        if not _again(loop, module):
            continue
        whole = not any(isinstance(each, (ast.Break, ast.Return)) for each in ast.walk(loop))
        yield Epochs(loop.iter, loop, module, whole)
    for call in module.calls_of("fit", "model"):
        dataset = module.argument(call, 0, "x")
        if dataset is None or module.guarded(call) or module.value(dataset).kind != "dataset":
            continue
        count = module.argument(call, None, "epochs")
        if count is None or module.constant(count) in (0, 1):
            continue
        whole = module.argument(call, None, "steps_per_epoch") is None
        yield Epochs(dataset, call, module, whole)


def _again(loop: ast.For, module: Module) -> bool:
    """Whether a loop runs several times over a dataset that was made before."""
    again = module.repetition(loop)
    if again is None or again.loop is None:
        return False
    if again.kind == "loop":
        return is_same(loop.iter, again.loop, module)
    if again.kind != "called" or not isinstance(loop.iter, ast.Name):
        return False
    bindings = module.bindings(loop.iter) or []
    own = module.function(loop)
    return bool(bindings) and all(
        each.kind == "parameter" or module.function(each.node) is not own for each in bindings
    )


def is_same(dataset: ast.expr, loop: Loop, module: Module) -> bool:
    """Whether a dataset is the same in every round of a loop; datasets themselves never change."""
    if isinstance(dataset, ast.Name):
        scope = module.home(dataset)
        if scope is None:
            return False
        return all(
            not module.inside(each.node, loop)
            and (each.kind == "parameter" or module.scope(each.node) is scope)
            for each in module.scopes[scope][dataset.id]
        )
    if isinstance(dataset, ast.Call) and isinstance(dataset.func, ast.Attribute):
        given = [*dataset.args, *(keyword.value for keyword in dataset.keywords)]
        return (
            module.value(dataset.func.value).kind == "dataset"
            and is_same(dataset.func.value, loop, module)
            and all(
                module.constant(each) is not UNKNOWN or module.invariant(each, loop)
                for each in given
            )
        )
    return module.invariant(dataset, loop)


def at_method(finding: Finding, module: Module, call: ast.Call) -> Finding:
    """The finding at the line of a method's name, where a chain goes over several lines."""
    return replace(finding, site=method_site(module, call))


def method_site(module: Module, call: ast.Call) -> Site:
    """Where the name of a called method stands."""
    site = module.site(call)
    if not isinstance(call.func, ast.Attribute):
        return site
    line, column = module.end(call.func)
    return replace(
        site,
        line=site.line + line - call.lineno,
        column=column - len(call.func.attr),
    )


def swapped(first: ast.Call, second: ast.Call, module: Module) -> tuple[Edit, ...]:
    """Edits that let two stages change places; none unless one comes right after the other."""
    assert isinstance(second.func, ast.Attribute)
    before = chain(second.func.value, module).stages
    if not before or before[-1].call is not first or before[-1].module is not module:
        return ()
    return moved(first, second, module)


def moved(method: ast.Call, behind: ast.Call, module: Module) -> tuple[Edit, ...]:
    """Edits that move a stage behind a later one; none where the text does not allow it.

    Both stand in one expression, or each in a statement `x = x.method(…)` of one block.
    """
    between = _links(method, behind)
    if between is None:
        return _moved_statement(method, behind, module)
    assert isinstance(method.func, ast.Attribute)
    ends = [module.end(each) for each in (method, *between)]
    if not module.editable(method) or not all(_bare(each, module) for each in (method, *between)):
        return ()
    start = module.end(method.func.value)
    own = module.text_between(start, ends[0])
    rest = module.text_between(ends[0], ends[-1])
    return (module.edit(start, ends[-1], rest + own),)


def _moved_statement(method: ast.Call, behind: ast.Call, module: Module) -> tuple[Edit, ...]:
    first, last = module.statement(method), module.statement(behind)
    name = _reassigned(first)
    if name is None or first.value is not method or last.value is not behind:  # type: ignore[attr-defined]
        return ()
    assert isinstance(method.func, ast.Attribute)
    if not isinstance(method.func.value, ast.Name):
        return ()
    parent = module.parent(first)
    blocks = [getattr(parent, field, None) for field in ("body", "orelse", "finalbody")]
    block = next((b for b in blocks if isinstance(b, list) and first in b and last in b), None)
    if block is None:
        return ()
    run = block[block.index(first) : block.index(last) + 1]
    if not run or any(_reassigned(each) != name or not module.editable(each) for each in run):
        return ()
    if module.site(first).cell != module.site(last).cell:
        return ()
    multiline = first.end_lineno != first.lineno
    above = module.source.lines[first.lineno - 2].strip() if first.lineno > 1 else ""
    if (multiline and module.indent(first)) or above.startswith("#"):
        return ()
    return (module.delete(first), module.insert_after(last, module.text(first)))


def _reassigned(statement: ast.stmt) -> str | None:
    """The name `x` of a statement `x = x.method(…)`, one or more methods one after the other."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target, here = statement.targets[0], statement.value
    if not isinstance(target, ast.Name) or not isinstance(here, ast.Call):
        return None
    while isinstance(here, ast.Call) and isinstance(here.func, ast.Attribute):
        here = here.func.value
    return target.id if isinstance(here, ast.Name) and here.id == target.id else None


def _links(method: ast.Call, behind: ast.Call) -> list[ast.Call] | None:
    """The calls between the two, `behind` last; `None` where they are not of one expression."""
    found: list[ast.Call] = []
    here: ast.expr = behind
    while here is not method:
        if not isinstance(here, ast.Call) or not isinstance(here.func, ast.Attribute):
            return None
        found.insert(0, here)
        here = here.func.value
    return found


def _bare(call: ast.Call, module: Module) -> bool:
    """Whether nothing but white space, comments and a dot stands before a method's name.

    Else parentheses around a part of the chain would be torn apart.
    """
    assert isinstance(call.func, ast.Attribute)
    text = module.text_between(module.end(call.func.value), module.end(call.func))
    text = re.sub(r"#[^\n]*", "", text)
    return re.fullmatch(r"[\s\\]*\.[\s\\]*\w+", text) is not None


def with_keyword(call: ast.Call, text: str, module: Module) -> tuple[Edit, ...]:
    """Edits that give a call one more keyword argument."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not given or module.has_star(call):
        return ()
    last = max(given, key=lambda each: (each.end_lineno or 0, each.end_col_offset or 0))
    start, end = module.end(last), module.end(call)
    tail = module.text_between(start, (end[0], end[1] - 1))
    if re.fullmatch(r"[\s)]*,?\s*", tail) is None:
        return ()
    body = tail.rstrip()
    lines = body.split("\n")
    place = (start[0], start[1] + len(body))
    if len(lines) > 1:
        place = (start[0] + len(lines) - 1, len(lines[-1]) + 1)
    return (module.edit(place, place, f" {text}," if body.endswith(",") else f", {text}"),)


def inserted_after(call: ast.Call, text: str, module: Module) -> tuple[Edit, ...]:
    """An edit that writes `text` right behind a call."""
    place = module.end(call)
    return (module.edit(place, place, text),)
