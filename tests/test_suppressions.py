"""Comments that silence findings, and the faults they can have."""

from __future__ import annotations

from pathlib import Path

import pytest
from pretend import Answer, ask, notebook, pretend

from unslow.report.checked import SUPPRESSION_RULES

__all__ = ["pretend"]

Capture = pytest.CaptureFixture[str]
IMPORT = "import tensorflow as tf\n"


def checked(capsys: Capture, text: str, *words: str, path: str = "a.py") -> Answer:
    Path(path).write_text(text)
    return ask(capsys, "check", "--output-format", "json", *words)


def codes(answer: Answer) -> list[str]:
    return [code for _, _, code in answer.found]


def reasons(answer: Answer) -> list[str]:
    return [each["reason"] for each in answer.document["suppressed"]]


@pytest.mark.parametrize(
    "comment",
    [
        "# unslow: ignore[TF901] once, at start-up",
        "#unslow:ignore[ tf901 ]  once, at start-up",
        "# unslow: ignore[safe-call] once, at start-up",
        "# unslow: ignore[TF901, TF901] once, at start-up",
        "# noqa: E501  # unslow: ignore[TF901] once, at start-up  # type: ignore",
    ],
)
def test_a_comment_silences_its_line(comment: str, pretend: Path, capsys: Capture) -> None:
    answer = checked(capsys, f"{IMPORT}tf.slow(1)  {comment}\ntf.slow(2)\n")
    assert answer.found == [("a.py", 3, "TF901")]
    assert reasons(answer) == ["once, at start-up"]
    assert answer.status == 1


def test_the_last_line_of_the_finding_will_do(pretend: Path, capsys: Capture) -> None:
    text = f"{IMPORT}tf.slow(\n    1,\n)  # unslow: ignore[TF901] why\n"
    answer = checked(capsys, text)
    assert (answer.status, answer.found) == (0, [])
    text = f"{IMPORT}tf.slow(\n    1,  # unslow: ignore[TF901] why\n)\n"
    assert codes(checked(capsys, text)) == ["TF901", "UN001"]


def test_strings_are_no_comments(pretend: Path, capsys: Capture) -> None:
    assert codes(checked(capsys, f"{IMPORT}tf.slow('# unslow: ignore[TF901] x')\n")) == ["TF901"]
    text = f'{IMPORT}tf.slow("""\n# unslow: ignore[TF901] x\n""")\n'
    assert codes(checked(capsys, text)) == ["TF901"]


def test_several_codes(pretend: Path, capsys: Capture) -> None:
    line = "tf.slow(tf.risky(1))  # unslow: ignore[TF901, unsafe-call] both"
    answer = checked(capsys, f"{IMPORT}{line}\n")
    assert answer.found == []
    assert reasons(answer) == ["both", "both"]


@pytest.mark.parametrize(
    "head",
    [
        "# unslow: ignore-file[TF901] generated\n",
        "#!/usr/bin/env python\n# coding: utf-8\n\n# unslow: ignore-file[TF901] generated\n",
        '"""Says what it does."""\n# unslow: ignore-file[TF901] generated\n',
    ],
)
def test_a_whole_file(head: str, pretend: Path, capsys: Capture) -> None:
    answer = checked(capsys, f"{head}{IMPORT}tf.slow(1)\ntf.slow(2)\ntf.risky(1)\n")
    assert codes(answer) == ["TF902"]
    assert reasons(answer) == ["generated"] * 2


def test_ignore_file_counts_on_top_alone(pretend: Path, capsys: Capture) -> None:
    answer = checked(capsys, f"{IMPORT}# unslow: ignore-file[TF901] late\ntf.slow(1)\n")
    assert codes(answer) == ["UN003", "TF901"]
    assert "above the first statement" in answer.document["findings"][0]["message"]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# unslow: ignore[TF901]", ["UN002"]),
        ("# unslow: ignore", ["TF901", "UN003"]),
        ("# unslow: ignore[] why", ["TF901", "UN003"]),
        ("# unslow: ignore[TF999] why", ["TF901", "UN003"]),
        ("# unslow: ignore[TF901, TF999] why", ["UN003"]),
        ("# unslow: ingore[TF901] why", ["TF901", "UN003"]),
        ("# unslow: noqa", ["TF901", "UN003"]),
        ("# unslow: ignore[TF901, TF902] why", ["UN001"]),
        ("# unslow: ignore[TF902]", ["TF901", "UN001", "UN002"]),
        ("# unslow: reads files", ["TF901"]),
        ("# unslow: ignore[TF901, UN002]", []),
    ],
)
def test_faults(comment: str, expected: list[str], pretend: Path, capsys: Capture) -> None:
    answer = checked(capsys, f"{IMPORT}tf.slow(1)  {comment}\n")
    assert sorted(codes(answer)) == expected
    assert answer.status == bool(expected)


def test_only_what_was_looked_for_can_be_unused(pretend: Path, capsys: Capture) -> None:
    text = f"{IMPORT}tf.fine(1)  # unslow: ignore[TF904] not looked for\n"
    assert codes(checked(capsys, text)) == []
    assert codes(checked(capsys, text, "--extend-select", "TF904")) == ["UN001"]
    assert codes(checked(capsys, text, "--select", "TF904")) == []
    assert codes(checked(capsys, text, "--select", "TF904,UN")) == ["UN001"]
    assert codes(checked(capsys, text, "--select", "ALL", "--ignore", "UN001")) == []
    Path("pyproject.toml").write_text("[tool.unslow]\nper-file-ignores = {'a.py' = ['TF904']}\n")
    assert codes(checked(capsys, text, "--select", "ALL")) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("tf.fine(1)  # unslow: ignore[TF901] why\n", "tf.fine(1)\n"),
        ("tf.fine(1)  # unslow: ignore[TF901] why", "tf.fine(1)"),
        ("tf.fine(1)\n# unslow: ignore[TF901] why\nx = 1\n", "tf.fine(1)\nx = 1\n"),
        ("x = 1\n# unslow: ignore[TF901] why", "x = 1"),
        (
            "tf.slow(1)  # unslow: ignore[TF901, unsafe-call] why\n",
            "tf.slow(1)  # unslow: ignore[TF901] why\n",
        ),
        (
            "x = 1  # type: int  # unslow: ignore[TF901] why  # noqa\n",
            "x = 1  # type: int  # noqa\n",
        ),
        ("x = 1  # unslow: ignore[TF901] why  # noqa\r\n", "x = 1  # noqa\r\n"),
        ("é = 'é'  # unslow: ignore[TF901] why\t\n", "é = 'é'\n"),
    ],
)
def test_unused_ones_are_removed(before: str, after: str, pretend: Path, capsys: Capture) -> None:
    Path("a.py").write_bytes((IMPORT + before).encode())
    answer = ask(capsys, "fix")
    assert (answer.status, answer.err) == (0, "")
    assert Path("a.py").read_bytes().decode() == IMPORT + after


def test_notebooks(pretend: Path, capsys: Capture) -> None:
    text = notebook(
        "# unslow: ignore-file[TF902] all cells\nimport tensorflow as tf",
        "tf.slow(1)\ntf.risky(1)",
        "tf.slow(1)  # unslow: ignore[TF901] this cell",
        "%time x = 1\ntf.fine(1)  # unslow: ignore[TF901] not used",
        "# unslow: ignore-file[TF901] too late",
    )
    answer = checked(capsys, text, path="n.ipynb")
    assert [(f["cell"], f["line"], f["code"]) for f in answer.document["findings"]] == [
        (2, 1, "TF901"),
        (4, 2, "UN001"),
        (5, 1, "UN003"),
    ]
    assert sorted(reasons(answer)) == ["all cells", "this cell"]
    ask(capsys, "fix", "--select", "UN001,TF901")
    assert "not used" not in Path("n.ipynb").read_text()


def test_a_broken_file_has_no_faults(pretend: Path, capsys: Capture) -> None:
    answer = checked(capsys, f"{IMPORT}# unslow: ignore[TF901] x\n(\n")
    assert (answer.status, answer.found) == (2, [])


@pytest.mark.parametrize("rule", SUPPRESSION_RULES, ids=lambda rule: rule.code)
def test_the_faults_can_be_explained(rule: object, capsys: Capture) -> None:
    from unslow.report.checked import Rule

    assert isinstance(rule, Rule)
    answer = ask(capsys, "explain", rule.code)
    assert answer.status == 0
    assert answer.out.startswith(f"{rule.code} {rule.name}\n")
    assert ask(capsys, "explain", rule.name).out == answer.out
