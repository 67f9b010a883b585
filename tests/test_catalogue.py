"""Every page against its own programs, run under the real recorder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from programs import here_or_apart, printed_by, report, watched
from recorded import Recorded

from unslow.catalogue import diagnose, pages
from unslow.catalogue import page as find_page
from unslow.catalogue.page import Page
from unslow.recording.data import Recording

PAGES = [pytest.param(page, id=page.code) for page in pages()]


NEEDS_WINDOWS = {"TF107"}
"""Causes inside compiled functions, which only the profiler of a whole run sees."""

Found = tuple[str, int, str]
"""Code, line and kind of a finding."""


@pytest.mark.tensorflow
@pytest.mark.parametrize("page", PAGES)
def test_slow_is_found_and_fast_and_look_alikes_are_silent(tmp_path: Path, page: Page) -> None:
    if page.seen_in_recording() and not page.only_if_proven:
        alone = page.code in NEEDS_WINDOWS
        expected, found = observed(tmp_path, "slow", page.slow, alone)
        own = [(line, kind) for code, line, kind in found if code == page.code]
        assert own == [(page.marked_line(), "problem")]
        assert {code for code, _, _ in found} <= {page.code, *page.also}
    else:
        expected = printed_by(tmp_path, "slow.py", page.slow)

    for name, source in {"fast": page.fast, **named(page.fine)}.items():
        printed, found = observed(tmp_path, name, source)
        assert found == [], source
        if name == "fast":
            assert printed == expected


@pytest.mark.tensorflow
@pytest.mark.parametrize("code", ["TF203", "TF401"])
def test_a_run_of_its_own_finds_the_same(tmp_path: Path, code: str) -> None:
    page = find_page(code)
    _, found = observed(tmp_path, "slow", page.slow, alone=True)
    assert (code, page.marked_line(), "problem") in found


def named(programs: tuple[str, ...]) -> dict[str, str]:
    """The programs by names of their own."""
    return {f"fine{number}": source for number, source in enumerate(programs)}


def observed(
    folder: Path, name: str, source: str, alone: bool = False
) -> tuple[bytes, list[Found]]:
    """What a program prints, and what a run of it finds: in this process, where that may be.

    `alone`: by the command, as a user runs it.
    """
    if not alone:
        return here_or_apart(source, recorded, folder, name, source)
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    ended = watched(folder, f"{name}.py")
    assert ended.status == 0, ended.err.decode()
    document = report(folder)
    parts = sum(part["seconds"] for part in document["time"]["parts"])
    assert parts == pytest.approx(document["time"]["wall"], rel=0.01)
    found = [(each["code"], each["line"], each["kind"]) for each in document["findings"]]
    return ended.out, found


def recorded(folder: Path, name: str, source: str) -> tuple[bytes, list[Found]]:
    ran = Recorded(folder, source, limit=0, name=f"{name}.py")
    findings = diagnose(with_import(ran.recording))
    return ran.out.encode(), [(each.code, each.site.line, each.kind) for each in findings]


IMPORT = 3.0
"""Seconds that a program of its own takes to import TensorFlow."""


def with_import(recording: Recording) -> Recording:
    """The recording as if TensorFlow had not been imported before."""
    parts = {**recording.parts, "imports": recording.parts.get("imports", 0.0) + IMPORT}
    return replace(recording, wall=recording.wall + IMPORT, parts=parts)
