"""Every page against its own programs, read and not run; its edits are run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from programs import printed_by

from unslow.catalogue import inspect, pages
from unslow.catalogue.page import Page
from unslow.finding import Finding
from unslow.source.edits import apply
from unslow.source.module import Module

CODES = [page.code for page in pages()]
SEEN = [pytest.param(page, id=page.code) for page in pages() if page.seen_in_source()]
ALL = [pytest.param(page, id=page.code) for page in pages()]


def findings(source: str) -> list[Finding]:
    return inspect(Module.of(source), CODES)


def own(page: Page, source: str) -> list[Finding]:
    return [finding for finding in findings(source) if finding.code == page.code]


def fixed(page: Page, source: str) -> str:
    """The program with the first alternative of each of the page's findings in it."""
    for _ in range(10):
        offered = [
            next((a for a in finding.alternatives if a.edits), None)
            for finding in own(page, source)
        ]
        groups = [alternative for alternative in offered if alternative is not None]
        if not groups:
            return source
        source = apply(source.encode(), groups[0].edits).decode()
        ast.parse(source)
    pytest.fail(f"{page.code}: its fixes do not come to an end:\n{source}")


@pytest.mark.parametrize("page", SEEN)
def test_slow_program_is_found_at_its_line(page: Page) -> None:
    found = findings(page.slow)
    mine = [finding for finding in found if finding.code == page.code]
    assert [finding.site.line for finding in mine] == [page.marked_line()]
    assert mine[0].kind == "suspicion"
    assert mine[0].message.endswith(".")
    assert {finding.code for finding in found} <= {page.code, *page.also}


@pytest.mark.parametrize("page", ALL)
def test_fast_and_look_alikes_are_silent(page: Page) -> None:
    for program in (page.fast, *page.fine):
        assert [(f.code, f.site.line) for f in findings(program)] == [], program


@pytest.mark.parametrize("page", SEEN)
def test_every_unsafe_fix_says_what_could_change(page: Page) -> None:
    for finding in own(page, page.slow):
        for alternative in finding.alternatives:
            assert alternative.name
            assert (alternative.safety == "unsafe") == bool(alternative.note)


@pytest.mark.tensorflow
@pytest.mark.parametrize("page", SEEN)
def test_fixed_program_prints_the_same(tmp_path: Path, page: Page) -> None:
    after = fixed(page, page.slow)
    if after == page.slow:
        pytest.skip("this cause has no fix that is an edit")
    assert fixed(page, after) == after
    before = printed_by(tmp_path, "slow.py", page.slow)
    assert before
    assert printed_by(tmp_path, "fixed.py", after) == before, after
