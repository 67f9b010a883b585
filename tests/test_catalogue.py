"""Every page against its own programs, run under the real recorder."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import report, watched

from unslow.catalogue import pages
from unslow.catalogue.page import Page

PAGES = [pytest.param(page, id=page.code) for page in pages()]
FINE = [
    pytest.param(page, number, id=f"{page.code}-{number}")
    for page in pages()
    for number in range(len(page.fine))
]


def findings(folder: Path, source: str) -> tuple[bytes, list[dict[str, object]]]:
    """What a program prints and what a run of it finds."""
    (folder / "program.py").write_text(source, encoding="utf-8")
    ended = watched(folder, "program.py")
    assert ended.status == 0, ended.err.decode()
    document = report(folder)
    parts = sum(part["seconds"] for part in document["time"]["parts"])
    assert parts == pytest.approx(document["time"]["wall"], rel=0.01)
    return ended.out, document["findings"]


@pytest.mark.tensorflow
@pytest.mark.parametrize("page", PAGES)
def test_slow_program_is_found_at_its_line(tmp_path: Path, page: Page) -> None:
    _, found = findings(tmp_path, page.slow)
    own = [finding for finding in found if finding["code"] == page.code]
    assert [finding["line"] for finding in own] == [page.marked_line()]
    assert {finding["kind"] for finding in own} == {"problem"}
    assert {finding["code"] for finding in found} <= {page.code, *page.also}


@pytest.mark.tensorflow
@pytest.mark.parametrize("page", PAGES)
def test_fast_program_is_silent_and_does_the_same(tmp_path: Path, page: Page) -> None:
    printed, found = findings(tmp_path, page.fast)
    assert found == []
    (tmp_path / "slow").mkdir()
    expected, _ = findings(tmp_path / "slow", page.slow)
    assert printed == expected


@pytest.mark.tensorflow
@pytest.mark.parametrize(("page", "number"), FINE)
def test_look_alike_is_silent(tmp_path: Path, page: Page, number: int) -> None:
    _, found = findings(tmp_path, page.fine[number])
    assert found == []
