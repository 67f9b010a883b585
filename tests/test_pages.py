"""What holds for the page of every cause. Needs no TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from handmade import a_run

from unslow.catalogue import page as find_page
from unslow.catalogue import pages
from unslow.catalogue.page import HEADINGS, MARK, Page

EVERY = pytest.mark.parametrize("page", pages(), ids=lambda page: page.code)

FIRST_CODES = (
    *("TF101", "TF102", "TF103", "TF104", "TF105", "TF107"),
    *("TF201", "TF202", "TF203", "TF204", "TF207", "TF208", "TF209", "TF213"),
    *("TF301", "TF304", "TF305", "TF311"),
    *("TF401", "TF402", "TF403", "TF404", "TF406", "TF407", "TF408"),
)


def test_the_catalogue_holds_the_first_causes_and_none_twice() -> None:
    codes = [page.code for page in pages()]
    assert set(FIRST_CODES) <= set(codes)
    assert len(set(codes)) == len(codes) == len({page.name for page in pages()})


def test_pages_are_found_by_code_and_by_name() -> None:
    assert find_page("tf201") is find_page("python-argument-retracing")
    with pytest.raises(KeyError):
        find_page("TF999")


@EVERY
def test_text_has_the_headings_in_order(page: Page) -> None:
    sections = page.sections()
    assert tuple(sections) == ("", *HEADINGS)
    assert all(sections.values())


@EVERY
def test_exactly_one_line_is_marked(page: Page) -> None:
    assert page.slow.count(MARK) == 1
    assert page.slow.splitlines()[page.marked_line() - 1].endswith(MARK)
    assert page.slow != page.fast
    assert page.fine
    assert not any(MARK in program for program in (page.fast, *page.fine))


@EVERY
def test_programs_compile(page: Page) -> None:
    for program in (page.slow, page.fast, *page.fine):
        compile(program, page.name, "exec")


@EVERY
def test_an_empty_recording_is_silent(page: Page) -> None:
    assert list(page.in_recording(a_run({"imports": 3.0, "python": 7.0}))) == []


def test_the_documentation_is_what_the_pages_say() -> None:
    script = Path(__file__).parents[1] / "docs" / "make.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
