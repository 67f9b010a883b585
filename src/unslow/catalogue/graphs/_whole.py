"""The whole graph of a function kept: what it imports and the ops that it builds beside."""

from __future__ import annotations

import ast
import builtins
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _kept, _source
from unslow.finding import Edit

if TYPE_CHECKING:
    from unslow.source.module import Module


@dataclass(frozen=True)
class _Blocks:
    """The two `with` statements: `outer` makes the graph and imports, `inner` the session.

    `ops`: the statements between the import and the session; `opened`: the session's call;
    `graph` and `session`: the names they have.
    """

    outer: ast.With
    inner: ast.With
    ops: list[ast.stmt]
    opened: ast.Call
    graph: str
    session: ast.Name


@dataclass(frozen=True)
class _Runs:
    """What the session is asked: `used` are the tensors, `fed` the edits that feed each run."""

    used: list[str]
    fed: list[Edit]


def kept(
    module: Module,
    setup: tuple[ast.stmt, ast.stmt, ast.stmt],
    function: ast.FunctionDef,
    given: list[str],
) -> tuple[Edit, ...] | None:
    """The edits that move a function's graph and session into a cached helper.

    `setup`: the statements that make, parse and import a graph; `given`: the parameters that
    they read. `None` where the function is not as simple as that.
    """
    blocks = _blocks(module, setup, function)
    if blocks is None or not all(module.editable(each) for each in (*setup, function)):
        return None
    taken = {each.id for each in ast.walk(function) if isinstance(each, ast.Name)}
    taken |= {each.arg for each in ast.walk(function) if isinstance(each, ast.arg)}
    taken |= {*module.scopes[module.tree], *dir(builtins)}
    built = _kept.built(module, blocks.ops, function, taken)
    if built is None:
        return None
    runs = _runs(module, function, blocks, built)
    if runs is None or not _is_quiet(module, blocks):
        return None
    moved = _moved(module, blocks)
    if moved is None:
        return None
    made, parsing, _ = setup
    texts = [module.text(each) for each in setup]
    if any("\n" in text for text in texts) or not made.lineno < parsing.lineno:
        return None

    name = module.free_name("kept_session")
    graph = "graph" if "graph" not in (*given, *built.tensors) else module.free_name("graph")
    functools, imports = module.imported("functools")
    tensorflow, more = module.imported("tensorflow")
    placeholder = f"{tensorflow}.compat.v1.placeholder({tensorflow}.string, ())"
    results = [f"{module.text(blocks.opened.func)}(graph={graph})", *built.placeholders, *runs.used]
    lines = [
        f"@{functools}.cache",
        f"def {name}({', '.join(given)}):",
        *(f"    {text}" for text in texts[:2]),
        f"    {graph} = {tensorflow}.Graph()",
        f"    with {graph}.as_default():",
        f"        {texts[2]}",
        *(f"        {each} = {placeholder}" for each in built.placeholders),
        *(f"        {line}" if line else "" for line in built.lines),
        f"    return {', '.join(results)}",
    ]
    names = ", ".join([blocks.session.id, *built.placeholders, *runs.used])
    indent = module.indent(blocks.outer)
    header = f"{indent}{names} = {name}({', '.join(given)})\n"
    top = (_source.first_line(function), 1)
    first = blocks.inner.body[0]
    start = _source.first_line(first) - len(_kept.comments_above(module, first))
    return (
        *imports,
        *more,
        module.edit(top, top, "\n".join([*lines, "", "", ""])),
        module.delete(made),
        module.delete(parsing),
        module.edit((blocks.outer.lineno, 1), (start, 1), header),
        *moved,
        *runs.fed,
    )


def _blocks(
    module: Module, setup: tuple[ast.stmt, ast.stmt, ast.stmt], function: ast.FunctionDef
) -> _Blocks | None:
    outer = module.parent(setup[2])
    if not isinstance(outer, ast.With) or outer not in function.body:
        return None
    if outer.body[0] is not setup[2] or setup[1].lineno > outer.lineno:
        return None
    graph = _named(outer)
    made = outer.items[0].context_expr
    if graph is None or not isinstance(made, ast.Call) or _source_of(module, made) is None:
        return None
    ops = outer.body[1:]
    if ops and isinstance(ops[-1], ast.With):
        inner = ops.pop()
    else:
        after = function.body.index(outer) + 1
        follows = function.body[after] if after < len(function.body) else None
        if not isinstance(follows, ast.With):
            return None
        inner = follows
    assert isinstance(inner, ast.With)
    session, opened = _named(inner), inner.items[0].context_expr
    if session is None or not isinstance(opened, ast.Call) or opened.args:
        return None
    if module.qualified(opened.func) != "tensorflow.Session" or len(opened.keywords) != 1:
        return None
    given = module.argument(opened, None, "graph")
    if not isinstance(given, ast.Name) or module.uses_of(graph.id, function) != [graph, given]:
        return None
    return _Blocks(outer, inner, ops, opened, graph.id, session)


def _named(block: ast.With) -> ast.Name | None:
    name = block.items[0].optional_vars
    return name if len(block.items) == 1 and isinstance(name, ast.Name) else None


def _source_of(module: Module, made: ast.Call) -> ast.Call | None:
    """The `tf.Graph()` of a `tf.Graph().as_default()`."""
    if not isinstance(made.func, ast.Attribute) or made.func.attr != "as_default" or made.args:
        return None
    graph = made.func.value
    if not isinstance(graph, ast.Call) or graph.args or graph.keywords:
        return None
    return graph if module.qualified(graph.func) == "tensorflow.Graph" else None


def _runs(
    module: Module, function: ast.FunctionDef, blocks: _Blocks, built: _kept.Built
) -> _Runs | None:
    """The runs of the session, if neither it nor the tensors are used in any other way."""
    allowed: set[ast.Name] = set()
    used: set[str] = set()
    fed: list[Edit] = []
    for use in module.uses_of(blocks.session.id, function):
        if use is blocks.session:
            continue
        run = _run_of(module, use)
        if run is None or not module.inside(run, blocks.inner):
            return None
        if module.scope(run) is not function or module.has_star(run) or len(run.args) > 2:
            return None
        if any(each.arg not in ("fetches", "feed_dict") for each in run.keywords):
            return None
        fetches = module.argument(run, 0, "fetches")
        feed = module.argument(run, 1, "feed_dict")
        parts = fetches.elts if isinstance(fetches, (ast.List, ast.Tuple)) else [fetches]
        keys = feed.keys if isinstance(feed, ast.Dict) else []
        needed: set[str] = set()
        for part in (*parts, *keys):
            if isinstance(part, ast.Name) and _is_built(module, part, blocks):
                allowed.add(part)
                used.add(part.id)
                needed |= built.tensors[part.id]
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                if built.may_name(part.value):
                    needed |= built.placeholders.keys()
            else:
                return None
        if needed:
            edit = _feeding(module, run, feed, built, needed)
            if edit is None:
                return None
            fed.append(edit)
    for name in built.tensors:
        for use in module.uses_of(name, function):
            if use in allowed or any(module.inside(use, each) for each in blocks.ops):
                continue
            if not isinstance(use.ctx, ast.Load):
                if isinstance(module.parent(use), ast.Assign):
                    continue
                return None
            if _is_built(module, use, blocks) is not False:
                return None
    return _Runs([name for name in built.tensors if name in used], fed) if fed or used else None


def _run_of(module: Module, use: ast.Name) -> ast.Call | None:
    attribute = module.parent(use)
    if not isinstance(attribute, ast.Attribute) or attribute.attr != "run":
        return None
    run = module.parent(attribute)
    return run if isinstance(run, ast.Call) and run.func is attribute else None


def _is_built(module: Module, use: ast.Name, blocks: _Blocks) -> bool | None:
    """Whether a name stands for one of the tensors; `None` where that is not sure."""
    bindings = module.bindings(use)
    if not bindings:
        return None
    found = {any(each.node is op for op in blocks.ops) for each in bindings}
    return found.pop() if len(found) == 1 else None


def _feeding(
    module: Module,
    run: ast.Call,
    feed: ast.expr | None,
    built: _kept.Built,
    needed: set[str],
) -> Edit | None:
    """Feed to a run what its placeholders need."""
    entries = ", ".join(
        f"{name}: {module.text(value)}"
        for name, value in built.placeholders.items()
        if name in needed
    )
    if feed is None:
        last = max([*run.args, *(each.value for each in run.keywords)], key=module.end)
        return module.edit(module.end(last), module.end(last), f", feed_dict={{{entries}}}")
    if not isinstance(feed, ast.Dict):
        return None
    line, column = module.start(feed)
    text = f"{entries}, " if feed.values else entries
    return module.edit((line, column + 1), (line, column + 1), text)


def _is_quiet(module: Module, blocks: _Blocks) -> bool:
    """Whether nothing beside the runs can use the session or the graph by being within them."""
    for node in itertools.chain.from_iterable(ast.walk(each) for each in blocks.inner.body):
        if isinstance(node, ast.AugAssign):
            return False
        if not isinstance(node, ast.Call):
            continue
        name = module.qualified(node.func) or ""
        if name.split(".")[0] in ("tensorflow", "keras"):
            return False
        if isinstance(node.func, ast.Attribute) and node.func.attr == "eval":
            return False
        if module.value(node.func).definition is not None:
            return False
    return True


def _moved(module: Module, blocks: _Blocks) -> list[Edit] | None:
    """The statements under the session, moved to where the graph's `with` stands."""
    first, last = blocks.inner.body[0], blocks.inner.body[-1]
    start, end = _source.first_line(first), last.end_lineno or last.lineno
    opening = blocks.inner.items[0]
    assert opening.optional_vars is not None
    if start <= (opening.optional_vars.end_lineno or start):
        return None
    start -= len(_kept.comments_above(module, first))
    if any(
        not module.editable(each) or _source.has_long_string(each) for each in blocks.inner.body
    ):
        return None
    indent, less = module.indent(first), module.indent(blocks.outer)
    lines = module.source.lines[start - 1 : end]
    if any(line.strip() and not line.startswith(indent) for line in lines):
        return None
    if not indent.startswith(less):
        return None
    width = len(indent) - len(less)
    return [
        module.edit((number, 1), (number, 1 + width), "")
        for number, line in enumerate(lines, start)
        if line.strip()
    ]
