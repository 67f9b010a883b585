"""Reading and fixing what nobody wrote for it: the standard library, packages, broken files."""

from __future__ import annotations

import ast
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import hypothesmith
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unslow.catalogue import inspect, pages
from unslow.finding import Finding
from unslow.source.edits import apply, compatible
from unslow.source.module import Module
from unslow.source.project import Project
from unslow.source.text import SourceError, SourceText

CODES = [page.code for page in pages()]
LIBRARY = Path(sysconfig.get_paths()["stdlib"])
PACKAGES = Path(sysconfig.get_paths()["purelib"])
SHARE = 6
"""Files are dealt out to this many tests."""


def files(folder: Path, part: int, most: int) -> list[Path]:
    found = sorted(path for path in folder.rglob("*.py") if path.is_file())
    chosen = random.Random(part).sample(found, min(most, len(found)))
    return sorted(chosen)


def check(module: Module) -> list[Finding]:
    """The findings, each at a place that exists and with edits that leave a program."""
    findings = inspect(module, CODES)
    lines = module.source.lines
    for finding in findings:
        assert 1 <= finding.site.line <= len(lines)
        for alternative in finding.alternatives:
            edits = [edit for edit in alternative.edits if edit.path == module.path]
            if edits:
                after = apply(module.source.text.encode(), edits).decode()
                ast.parse(after)
                assert after != module.source.text
    return findings


@pytest.mark.parametrize("part", range(SHARE))
@pytest.mark.parametrize("folder", [LIBRARY, PACKAGES], ids=["library", "packages"])
def test_installed_files_are_read(folder: Path, part: int) -> None:
    chosen = files(folder, part, 40)
    project = Project(chosen)
    for file in chosen:
        try:
            module = project.module(file)
        except SourceError:
            continue
        check(module)


def programs() -> Iterator[str]:
    for page in pages():
        yield page.slow
        yield page.fast
        yield from page.fine


PROGRAMS = list(programs())


def damaged(text: str, chance: random.Random) -> str:
    """A program with pieces taken out, doubled, swapped or put in from others."""
    lines = text.splitlines(keepends=True)
    for _ in range(chance.randint(1, 4)):
        position = chance.randrange(len(lines)) if lines else 0
        kind = chance.randrange(6)
        if kind == 0:
            del lines[position : position + chance.randint(1, 3)]
        elif kind == 1:
            lines[position:position] = lines[position : position + chance.randint(1, 5)]
        elif kind == 2 and lines:
            other = chance.randrange(len(lines))
            lines[position], lines[other] = lines[other], lines[position]
        elif kind == 3:
            more = chance.choice(PROGRAMS).splitlines(keepends=True)
            start = chance.randrange(len(more))
            lines[position:position] = more[start : start + chance.randint(1, 8)]
        elif kind == 4 and lines:
            lines[position] = "    " + lines[position]
        elif lines:
            line = lines[position]
            cut = chance.randrange(len(line) + 1)
            lines[position] = line[:cut]
    return "".join(lines)


@pytest.mark.parametrize("part", range(SHARE))
def test_programs_made_of_pieces(part: int) -> None:
    chance = random.Random(part)
    read = 0
    for _ in range(400):
        text = damaged(chance.choice(PROGRAMS), chance)
        try:
            module = Module.of(text)
        except SourceError:
            continue
        read += 1
        check(module)
    assert read > 50


@pytest.mark.parametrize("part", range(SHARE))
def test_fixing_all_comes_to_an_end_and_leaves_a_program(part: int) -> None:
    for text in PROGRAMS[part::SHARE]:
        source = text
        for _ in range(20):
            offered = [
                next(a.edits for a in finding.alternatives if a.edits)
                for finding in check(Module.of(source))
                if any(a.edits for a in finding.alternatives)
            ]
            if not offered:
                break
            taken = [edit for index in compatible(offered) for edit in offered[index]]
            source = apply(source.encode(), taken).decode()
        else:
            pytest.fail(f"the fixes of this program do not come to an end:\n{text}\n{source}")


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.one_of(hypothesmith.from_grammar(), hypothesmith.from_node()))
def test_generated_python_is_read(text: str) -> None:
    try:
        module = Module.of(f"import numpy as np\nimport tensorflow as tf\n{text}")
    except SourceError:
        return
    check(module)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.expr):
            module.value(node)
        if isinstance(node, ast.Call):
            module.repetition(node)
            module.mode(node)


def test_cut_and_corrupted_bytes_are_refused_or_read() -> None:
    chance = random.Random(7)
    for _ in range(600):
        data = bytearray(chance.choice(PROGRAMS).encode())
        for _ in range(chance.randint(1, 5)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        data = data[: chance.randrange(len(data))]
        try:
            source = SourceText.of(bytes(data))
            module = Module("program.py", source, Project([]), Path("program.py"), "program")
        except SourceError as error:
            assert str(error)
            continue
        check(module)
