"""The example programs: every planted cause is named at its line, and nothing else."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from apart import apart
from programs import plain, report, run_here, watched

from unslow.catalogue import inspect, pages
from unslow.source.project import Project

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NAMES = ("resize_argmax", "augment", "label_image", "train", "serve")

DATA = ("photos", "panorama.jpg", "mobilenet.pb", "digits.keras", "phone.tflite", "digits.npz")

ARGUMENTS = {
    "label_image": ("--images", "12"),
    "augment": ("--epochs", "4"),
    "resize_argmax": ("--sizes", "300", "--exposures", "500"),
    "serve": ("--requests", "60", "--drawings", "1000"),
    "train": ("--steps", "60", "--epochs", "15"),
}
BUDGET = {"resize_argmax": "10", "serve": "25"}
"""Enough of each example, and of experiments, to see what is tried."""

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True, scope="module")
def data() -> None:
    """What the examples read, made where it is missing."""
    if not all((EXAMPLES / "data" / name).exists() for name in DATA):
        made = plain(ROOT, str(EXAMPLES / "make_data.py"))
        assert made.status == 0, made.err.decode()


def planted(program: Path) -> set[tuple[str, int]]:
    """The codes and lines that a program's own comments tell."""
    found = set()
    for number, line in enumerate(program.read_text(encoding="utf-8").splitlines(), start=1):
        match = re.search(r"# planted: (.+)$", line)
        if match:
            found |= {(code.strip(), number) for code in match.group(1).split(",")}
    return found


PROPOSALS = {page.code for page in pages() if page.only_if_proven}
"""Causes that only an experiment shows; whether it does, hangs on the machine."""

WHOLLY_MEASURED = {"resize_argmax", "serve"}
"""Examples with an experiment for each of their causes that gains far more than noise."""


@pytest.mark.parametrize("name", NAMES)
def test_every_planted_cause_is_found_and_nothing_else(tmp_path: Path, name: str) -> None:
    program = EXAMPLES / f"{name}.py"
    ended = watched(
        tmp_path,
        str(program),
        *ARGUMENTS.get(name, ()),
        options=("--budget", BUDGET.get(name, "3")),
        experiments=True,
    )
    assert ended.status == 0, ended.err.decode()
    document = report(tmp_path)
    assert not [note for note in document["notes"] if "failed" in note or "ended" in note]
    found = [each for each in document["findings"] if each["code"] not in PROPOSALS]
    assert {(each["code"], each["line"]) for each in found} == planted(program)
    for finding in found:
        tried = [each for each in finding["alternatives"] if each["ratio"] or each["failure"]]
        assert tried or finding["untried"], finding
        best = finding["alternatives"][0] if finding["gain"] else None
        # What the hand-fixed program does instead is faster, and so is what was tried.
        assert best is None or best["verdict"] != "slower", finding
    if name in WHOLLY_MEASURED:
        assert all(each["gain"] and each["gain"]["seconds"] > 0 for each in found), found
    parts = [part["seconds"] for part in document["time"]["parts"]]
    assert sum(parts) == pytest.approx(document["time"]["wall"], rel=0.01)
    assert min(parts) >= 0


NOT_IN_THE_SOURCE = {"TF202", "TF301", "TF406", "TF407"}
"""Planted causes that hang on sizes, shapes and times, which only a run has."""


@pytest.mark.parametrize("name", NAMES)
def test_check_finds_what_the_source_shows_and_nothing_else(name: str) -> None:
    program = EXAMPLES / f"{name}.py"
    module = Project(sorted(EXAMPLES.rglob("*.py"))).module(program)
    found = inspect(module, [page.code for page in pages() if page.by_default])
    seen = {(code, line) for code, line in planted(program) if code not in NOT_IN_THE_SOURCE}
    assert {(finding.code, finding.site.line) for finding in found} == seen


@pytest.mark.parametrize("name", NAMES)
def test_the_fixed_examples_are_clean(name: str) -> None:
    program = EXAMPLES / "fixed" / f"{name}.py"
    module = Project([program]).module(program)
    assert inspect(module, [page.code for page in pages() if page.by_default]) == []


SHORT = {
    "label_image": ("--images", "6"),
    "resize_argmax": ("--images", "40", "--sizes", "40", "--exposures", "40"),
    "serve": ("--requests", "20", "--drawings", "200"),
    "train": ("--images", "40", "--steps", "20", "--epochs", "3"),
}
"""The examples that fixes change, with arguments that make them quick."""


def few_photos(data: Path) -> None:
    """The data of the examples, with three photos of each kind."""
    data.mkdir()
    for each in (EXAMPLES / "data").iterdir():
        if each.name != "photos":
            (data / each.name).symlink_to(each)
            continue
        for folder in filter(Path.is_dir, each.iterdir()):
            (data / "photos" / folder.name).mkdir(parents=True)
            for photo in sorted(folder.glob("*.jpg"))[:3]:
                (data / "photos" / folder.name / photo.name).symlink_to(photo)


@pytest.mark.parametrize("name", SHORT)
def test_a_fixed_copy_of_an_example_prints_the_same(tmp_path: Path, name: str) -> None:
    few_photos(tmp_path / "data")
    copy = tmp_path / f"{name}.py"
    copy.write_bytes((EXAMPLES / f"{name}.py").read_bytes())
    before = apart(printed, copy, SHORT[name])
    assert before
    fixed = plain(tmp_path, "-m", "unslow", "fix", "--unsafe-fixes", "--no-cache", copy.name)
    assert fixed.status in (0, 1), fixed.err.decode()
    assert copy.read_bytes() != (EXAMPLES / f"{name}.py").read_bytes()
    assert apart(printed, copy, SHORT[name]) == before


def printed(program: Path, arguments: tuple[str, ...]) -> str:
    sys.argv = [program.name, *arguments]
    os.chdir(program.parent)
    return run_here(program)[0]


def test_an_example_without_its_data_says_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "label_image.py").write_bytes((EXAMPLES / "label_image.py").read_bytes())
    ended = plain(tmp_path, "label_image.py")
    assert ended.status == 1
    assert b"make_data.py" in ended.out + ended.err
