"""The example programs: every planted cause is named at its line, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from programs import plain, report, watched

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NAMES = ("resize_argmax", "augment", "label_image", "train", "serve")

pytestmark = pytest.mark.tensorflow


def planted(program: Path) -> set[tuple[str, int]]:
    """The codes and lines that a program's own comments tell."""
    found = set()
    for number, line in enumerate(program.read_text(encoding="utf-8").splitlines(), start=1):
        match = re.search(r"# planted: (.+)$", line)
        if match:
            found |= {(code.strip(), number) for code in match.group(1).split(",")}
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_planted_cause_is_found_and_nothing_else(tmp_path: Path, name: str) -> None:
    program = EXAMPLES / f"{name}.py"
    made = plain(ROOT, str(EXAMPLES / "make_data.py"))
    assert made.status == 0, made.err.decode()
    ended = watched(tmp_path, str(program))
    assert ended.status == 0, ended.err.decode()
    document = report(tmp_path)
    assert {(each["code"], each["line"]) for each in document["findings"]} == planted(program)
    assert {each["kind"] for each in document["findings"]} == {"problem"}
    parts = [part["seconds"] for part in document["time"]["parts"]]
    assert sum(parts) == pytest.approx(document["time"]["wall"], rel=0.01)
    assert min(parts) >= 0


def test_an_example_without_its_data_says_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "label_image.py").write_bytes((EXAMPLES / "label_image.py").read_bytes())
    ended = plain(tmp_path, "label_image.py")
    assert ended.status == 1
    assert b"make_data.py" in ended.out + ended.err
