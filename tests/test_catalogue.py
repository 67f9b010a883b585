"""Every page against its own programs, run under the real recorder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from programs import can_share, printed_by, report, watched
from recorded import Recorded

from unslow.catalogue import diagnose, pages
from unslow.catalogue.page import Page
from unslow.recording.data import Recording

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
        expected = printed_by(tmp_path, slow, page.slow)

    for name, source in {"fast": page.fast, **named(page.fine)}.items():
        printed, found = observed(tmp_path, name, source)
        assert found == [], source
        if name == "fast":
            assert printed == expected


def named(programs: tuple[str, ...]) -> dict[str, str]:
    """The programs by names of their own."""
    return {f"fine{number}": source for number, source in enumerate(programs)}


def observed(folder: Path, name: str, source: str) -> tuple[bytes, list[object]]:
    """What a program prints, and what a run of it finds: in this process, where that may be."""
    if can_share(source):
        ran = Recorded(folder, source, limit=0, name=f"{name}.py")
        return ran.out.encode(), list(diagnose(with_import(ran.recording)))
    (alone,) = written(folder, **{name: source})
    out, found = findings(folder, alone)
    return out, list(found)


IMPORT = 3.0
"""Seconds that a program of its own takes to import TensorFlow."""


def with_import(recording: Recording) -> Recording:
    """The recording as if TensorFlow had not been imported before."""
    parts = {**recording.parts, "imports": recording.parts.get("imports", 0.0) + IMPORT}
    return replace(recording, wall=recording.wall + IMPORT, parts=parts)
