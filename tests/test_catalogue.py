"""Every page against its own programs, run under the real recorder."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import SEVERAL, can_share, plain, printed_by_each, report, watched

from unslow.catalogue import pages
from unslow.catalogue.page import Page

PAGES = [pytest.param(page, id=page.code) for page in pages()]


def findings(folder: Path, *target: str) -> tuple[bytes, list[dict[str, object]]]:
    """What a program prints and what a run of it finds."""
    ended = watched(folder, *target)
    assert ended.status == 0, ended.err.decode()
    document = report(folder)
    parts = sum(part["seconds"] for part in document["time"]["parts"])
    assert parts == pytest.approx(document["time"]["wall"], rel=0.01)
    return ended.out, document["findings"]


def written(folder: Path, **programs: str) -> list[str]:
    """The programs as files, and their names."""
    for name, source in programs.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    return [f"{name}.py" for name in programs]


@pytest.mark.tensorflow
@pytest.mark.parametrize("page", PAGES)
def test_slow_is_found_and_fast_and_look_alikes_are_silent(tmp_path: Path, page: Page) -> None:
    (slow,) = written(tmp_path, slow=page.slow)
    if page.seen_in_recording() and not page.only_if_proven:
        expected, found = findings(tmp_path, slow)
        own = [finding for finding in found if finding["code"] == page.code]
        assert [finding["line"] for finding in own] == [page.marked_line()]
        assert {finding["kind"] for finding in own} == {"problem"}
        assert {finding["code"] for finding in found} <= {page.code, *page.also}
    else:
        expected = plain(tmp_path, slow).out

    others = {"fast": page.fast} | {f"fine{n}": text for n, text in enumerate(page.fine)}
    shared = {name: text for name, text in others.items() if can_share(text)}
    printed = {}
    if shared:
        out, found = findings(tmp_path, SEVERAL, *written(tmp_path, **shared))
        assert found == []
        printed = printed_by_each(out)
        assert len(printed) == len(shared)
    for name in others.keys() - shared.keys():
        (alone,) = written(tmp_path, **{name: others[name]})
        printed[alone], found = findings(tmp_path, alone)
        assert found == []
    assert printed["fast.py"] == expected
