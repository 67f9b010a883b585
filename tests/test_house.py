"""The order of the house: who may import whom, and what stays out of whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
PACKAGE = SOURCE / "unslow"

FLOORS = {
    "__main__": 8,
    "cli": 7,
    "commands": 6,
    "check": 5,
    "run": 5,
    "report": 4,
    "experiment": 4,
    "catalogue": 3,
    "model": 2,
    "pipeline": 2,
    "native": 2,
    "recording": 2,
    "source": 2,
    "seams": 1,
    "finding": 0,
    "plain": 0,
}
"""A room may import rooms of lower floors, and itself."""

PRIVATE = ("tensorflow.python", "keras.src", "tf_keras")
TENSORFLOW = {"tensorflow", "keras", "tf_keras", "ai_edge_litert"}


def name_of(path: Path) -> str:
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}
INSIDE = [name for name in MODULES if name != "unslow"]


def room_of(module: str) -> str:
    return module.split(".")[1]


def imported(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names, submodules taken by `from` included."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        assert node.level == 0, "imports are absolute"
        yield node.module
        for alias in node.names:
            if f"{node.module}.{alias.name}" in MODULES:
                yield f"{node.module}.{alias.name}"


def at_import(tree: ast.AST) -> Iterator[str]:
    """The modules that are imported when a module is: those not in functions or for types alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from at_import(other)
            continue
        yield from imported(node)
        yield from at_import(node)


@pytest.mark.parametrize("module", INSIDE)
def test_imports_run_one_way(module: str) -> None:
    room = room_of(module)
    assert room in FLOORS, f"{module} stands in no room of the house"
    for node in ast.walk(TREES[module]):
        for name in imported(node):
            if not name.startswith("unslow."):
                continue
            other = room_of(name)
            assert other == room or FLOORS.get(other, 99) < FLOORS[room], (
                f"{module} line {getattr(node, 'lineno', 0)}: {room} may not import {other}"
            )


@pytest.mark.parametrize("module", [m for m in INSIDE if FLOORS.get(room_of(m)) == 0])
def test_the_ground_floor_imports_nothing_of_ours(module: str) -> None:
    names = {name for node in ast.walk(TREES[module]) for name in imported(node)}
    assert not {name for name in names if name.startswith("unslow")}


def docstrings(tree: ast.Module) -> set[int]:
    """The identities of the nodes that are docstrings."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


@pytest.mark.parametrize("module", [m for m in MODULES if m != "unslow.seams"])
def test_only_the_seams_name_private_symbols(module: str) -> None:
    tree = TREES[module]
    silent = docstrings(tree)
    for node in ast.walk(tree):
        texts = list(imported(node))
        if isinstance(node, ast.ImportFrom):
            texts += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            texts.append(ast.unparse(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts += [] if id(node) in silent else [node.value]
        for text in texts:
            named = [name for name in PRIVATE if re.search(rf"{re.escape(name)}\b", text)]
            assert not named, f"{module} line {getattr(node, 'lineno', 0)} names {named[0]}"


def test_only_what_runs_in_the_child_imports_tensorflow_at_once() -> None:
    # All that the commands and the parent load at import, from module to module.
    waiting = [
        name
        for name in MODULES
        if room_of(name + ".")
        in ("cli", "commands", "check", "report", "catalogue", "source", "finding", "plain")
        or name in ("unslow", "unslow.run", "unslow.run.parent", "unslow.run.notebook")
    ]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module in seen or module not in TREES:
            continue
        seen.add(module)
        parts = module.split(".")
        waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
        for name in at_import(TREES[module]):
            assert name.split(".")[0] not in TENSORFLOW, f"{module} imports {name}"
            waiting.append(name)
    assert {"unslow.cli", "unslow.catalogue.page", "unslow.recording.data"} <= seen


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def test_importing_the_package_loads_none_of_its_rooms() -> None:
    out = run("import sys, unslow; print(*(m for m in sys.modules if m.startswith('unslow')))")
    assert out.split() == ["unslow"]


def test_public_names_are_there_when_asked_for() -> None:
    out = run(
        "import unslow\n"
        "for name in unslow.__all__: assert getattr(unslow, name) is not None, name\n"
        "assert set(unslow.__all__) <= set(dir(unslow))\n"
        "from unslow import Recording, Finding, Site\n"
        "print(Recording.__module__, Finding.__module__)\n"
        "try: unslow.no_such_name\n"
        "except AttributeError as error: print(error)\n"
    )
    assert out.splitlines() == [
        "unslow.recording.data unslow.finding",
        "module 'unslow' has no attribute 'no_such_name'",
    ]
