"""A session kept for an imported graph whose tensors are fed and fetched by their names."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _source, _whole
from unslow.finding import Alternative

if TYPE_CHECKING:
    from unslow.source.module import Module

NOTE = (
    "the graph and its session stay for as long as the program runs, a file that changes is not "
    "read again, and what the graph is read from must be hashable"
)

WHOLE_NOTE = (
    "the ops that each call built are built once, in the graph that is kept, and what varies is "
    "fed to them; " + NOTE
)


def kept(module: Module, call: ast.Call) -> tuple[Alternative, ...]:
    """The import moved into a cached helper, for a function that imports a graph beside other ops.

    Offered where the graph is parsed in the function, imported with `name=""`, and some runs
    of its session speak of tensors by their names alone: those go to the kept session. Where
    the function's own ops are plain they move to the kept graph, and all runs with them.
    """
    function = module.function(call)
    if not isinstance(function, ast.FunctionDef) or function.decorator_list:
        return ()
    if not isinstance(module.parent(function), ast.Module):
        return ()
    setup = _setup(module, call, function)
    if setup is None:
        return ()
    given = _given(module, setup, function)
    if given is None:
        return ()
    whole = _whole.kept(module, setup, function, given)
    if whole is not None:
        return (Alternative("one session, kept", "unsafe", whole, note=WHOLE_NOTE),)
    runs, opened = _runs_by_name(module, function)
    if opened is None or not runs:
        return ()
    if not all(module.editable(each) for each in (*setup, *runs, function)):
        return ()

    name = module.free_name("kept_session")
    graph = "graph" if "graph" not in given else module.free_name("graph")
    functools, imports = module.imported("functools")
    tensorflow, more = module.imported("tensorflow")
    arguments = ", ".join(given)
    *before, importing = (module.text(each) for each in setup)
    lines = [
        f"@{functools}.cache",
        f"def {name}({arguments}):",
        *(f"    {line}" for line in before),
        f"    {graph} = {tensorflow}.Graph()",
        f"    with {graph}.as_default():",
        f"        {importing}",
        f"    return {module.text(opened.func)}(graph={graph})",
    ]
    if any("\n" in text for text in (*before, importing)):
        return ()
    top = (_source.first_line(function), 1)
    edits = (
        *imports,
        *more,
        module.edit(top, top, "\n".join([*lines, "", "", ""])),
        *(module.delete(each) for each in setup),
        *(module.replace(run.func.value, f"{name}({arguments})") for run in runs),  # type: ignore[attr-defined]
    )
    return (Alternative("one session, kept", "unsafe", edits, note=NOTE),)


def _setup(
    module: Module, call: ast.Call, function: ast.FunctionDef
) -> tuple[ast.stmt, ast.stmt, ast.stmt] | None:
    """The statements that make, parse and import the graph, if that is all done with it."""
    name = module.argument(call, None, "name")
    source = call.args[0] if len(call.args) == 1 else None
    if not isinstance(source, ast.Name) or name is None or module.constant(name) != "":
        return None
    if len(call.keywords) != 1 or not isinstance(module.parent(call), ast.Expr):
        return None
    home = module.home(source)
    bindings = module.scopes[home][source.id] if home is function else []
    if len(bindings) != 1 or not isinstance(bindings[0].node, ast.Assign):
        return None
    made = bindings[0].node
    if not isinstance(made.value, ast.Call) or made not in function.body:
        return None
    if module.qualified(made.value.func) != "tensorflow.GraphDef" or made.value.args:
        return None
    uses = [use for use in module.uses_of(source.id, function) if isinstance(use.ctx, ast.Load)]
    others = [use for use in uses if use is not source]
    if len(others) != 1:
        return None
    attribute = module.parent(others[0])
    parse = None if attribute is None else module.parent(attribute)
    if not isinstance(attribute, ast.Attribute) or attribute.attr != "ParseFromString":
        return None
    if not isinstance(parse, ast.Call) or not isinstance(module.parent(parse), ast.Expr):
        return None
    parsing = module.statement(parse)
    if parsing not in function.body:
        return None
    return made, parsing, module.statement(call)


def _runs_by_name(
    module: Module, function: ast.FunctionDef
) -> tuple[list[ast.Call], ast.Call | None]:
    """The runs of the function's one session that only name tensors, and the session's call."""
    sessions = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and module.qualified(node.func) == "tensorflow.Session"
    ]
    if len(sessions) != 1:
        return [], None
    (opened,) = sessions
    graph = module.argument(opened, None, "graph")
    if opened.args or len(opened.keywords) != 1 or not isinstance(graph, ast.Name):
        return [], None
    # What else is asked of the graph could be about what is imported.
    loads = [use for use in module.uses_of(graph.id, function) if isinstance(use.ctx, ast.Load)]
    if loads != [graph]:
        return [], None
    runs = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "run"
        and module.value(node.func.value).kind == "session"
    ]
    named = [run for run in runs if _names_tensors(module, run)]
    strange = [run for run in runs if run not in named and _mentions_names(run)]
    return ([], None) if strange else (named, opened)


def _names_tensors(module: Module, run: ast.Call) -> bool:
    fetches, feed = module.argument(run, 0, "fetches"), module.argument(run, 1, "feed_dict")
    parts = fetches.elts if isinstance(fetches, (ast.List, ast.Tuple)) else [fetches]
    return (
        all(_is_name(part) for part in parts)
        and (feed is None or (isinstance(feed, ast.Dict) and all(map(_is_name, feed.keys))))
        and not module.has_star(run)
    )


def _is_name(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _mentions_names(run: ast.Call) -> bool:
    return any(isinstance(node, ast.expr) and _is_name(node) for node in ast.walk(run))


def _given(
    module: Module, setup: tuple[ast.stmt, ...], function: ast.FunctionDef
) -> list[str] | None:
    """The parameters that the statements read; `None` where they read other local names."""
    made = {target.id for target in ast.walk(setup[0]) if _is_stored(target)}  # type: ignore[attr-defined]
    found: list[str] = []
    for statement in setup:
        for name in ast.walk(statement):
            if not isinstance(name, ast.Name) or name.id in made or name.id in found:
                continue
            if module.home(name) is not function:
                continue
            bindings = module.scopes[function][name.id]
            if len(bindings) != 1 or bindings[0].kind != "parameter":
                return None
            found.append(name.id)
    return found


def _is_stored(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
