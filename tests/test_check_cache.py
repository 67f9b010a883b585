"""The cache: never a word that a fresh check would not say."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from pretend import Answer, ask, notebook, pretend, program

from unslow import catalogue
from unslow.check import cache, checking

__all__ = ["pretend"]

Capture = pytest.CaptureFixture[str]


def write(path: str, text: str) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def checked(capsys: Capture, *words: str) -> Answer:
    return ask(capsys, "check", "--output-format", "json", *words)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were really read."""
    real = checking.read_one
    names: list[str] = []

    def read_one(project, choice, contents, path):  # type: ignore[no-untyped-def]
        names.append(Path(path).name)
        return real(project, choice, contents, path)

    monkeypatch.setattr(checking, "read_one", read_one)
    return names


def test_unchanged_files_are_not_read_again(
    pretend: Path, capsys: Capture, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.py", program("slow") + "tf.slow(2)  # unslow: ignore[TF901] why\n")
    write("n.ipynb", notebook("import tensorflow as tf\ntf.risky(1)"))
    write("other.py", "x = 1\n")
    first = checked(capsys)
    assert sorted(reads) == ["a.py", "n.ipynb"]
    monkeypatch.setattr(catalogue, "pages", lambda: pytest.fail("the catalogue was loaded"))
    second = checked(capsys)
    assert len(reads) == 2
    assert (first.out, first.status) == (second.out, second.status)
    assert (pretend / ".unslow_cache" / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f")
    assert (pretend / ".unslow_cache" / ".gitignore").read_text() == "*\n"


def test_a_changed_file_is(pretend: Path, capsys: Capture, reads: list[str]) -> None:
    file = write("a.py", program("slow"))
    write("b.py", program("slow"))
    checked(capsys)
    # As long and as old as before: only what is in it tells.
    status = file.stat()
    file.write_text(program("fine"))
    import os

    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    del reads[:]
    assert checked(capsys).found == [("b.py", 2, "TF901")]
    assert reads == ["a.py"]


def test_other_settings_have_other_findings(
    pretend: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("sub/a.py", program("slow", "other"))
    assert len(checked(capsys).found) == 2
    assert len(checked(capsys, "--select", "TF901").found) == 1
    write("pyproject.toml", "[tool.unslow]\nper-file-ignores = {'sub/*' = ['TF903']}\n")
    assert len(checked(capsys).found) == 1
    write("pyproject.toml", "[tool.unslow]\n")
    assert len(checked(capsys).found) == 2
    monkeypatch.chdir("sub")
    assert checked(capsys).found[0][0] == "a.py"


def test_another_unslow_starts_anew(
    pretend: Path, capsys: Capture, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.py", program("slow"))
    checked(capsys)
    monkeypatch.setattr(cache, "__version__", "99")
    checked(capsys)
    assert reads == ["a.py", "a.py"]


def test_importers_count(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("afar"))
    assert checked(capsys).found == []
    user = write("use.py", "import tensorflow\nimport a\n")
    assert checked(capsys).document["findings"][0]["message"] == "Called from use.py."
    user.write_text("import tensorflow\nimport b\n")
    assert checked(capsys).found == []
    user.write_text("import tensorflow\nfrom a import x\n")
    assert checked(capsys).found == [("a.py", 2, "TF908")]
    user.unlink()
    assert checked(capsys).found == []


def test_a_file_becomes_worth_reading(pretend: Path, capsys: Capture) -> None:
    model = write("model.py", "x = 1\n")
    write("use.py", "import model\n")
    assert checked(capsys).document["files"] == {
        "checked": 0,
        "passed_over": 2,
        "failed": [],
        "fixed": [],
    }
    model.write_text(program("fine"))
    assert checked(capsys).document["files"]["checked"] == 2


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "folder", "list"])
def test_a_broken_cache_is_no_cache(damage: str, pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow"))
    first = checked(capsys)
    for path in (pretend / ".unslow_cache").glob("*.json"):
        data = path.read_bytes()
        path.unlink()
        if damage == "cut":
            path.write_bytes(data[:-7])
        elif damage == "garbage":
            path.write_bytes(b"\xff" * 50)
        elif damage == "empty":
            path.write_bytes(b"")
        elif damage == "folder":
            path.mkdir()
        else:
            body = b"[1, 2]"
            path.write_bytes(cache.digest(body).encode() + b"\n" + body)
    second = checked(capsys)
    assert (second.out, second.err) == (first.out, "")


def test_where_it_cannot_be_written_there_is_none(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow"))
    write(".unslow_cache", "a file in its place")
    answer = checked(capsys)
    assert (answer.status, answer.err) == (1, "")


def test_no_cache_and_another_folder(pretend: Path, capsys: Capture, tmp_path: Path) -> None:
    write("a.py", program("slow"))
    checked(capsys, "--no-cache")
    assert not (pretend / ".unslow_cache").exists()
    checked(capsys, "--cache-dir", str(tmp_path / "kept" / "here"))
    assert not (pretend / ".unslow_cache").exists()
    assert list((tmp_path / "kept" / "here").glob("*.json"))


def test_a_lone_file_leaves_nothing_beside_it(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow"))
    checked(capsys, "a.py")
    assert [path.name for path in pretend.iterdir()] == ["a.py"]


def test_failures_are_told_again(pretend: Path, capsys: Capture) -> None:
    write("a.py", "import tensorflow\n(\n")
    assert checked(capsys).err == checked(capsys).err != ""


def test_old_files_are_removed(pretend: Path, capsys: Capture) -> None:
    write("a.py", program("slow"))
    for number in range(20):
        checked(capsys, "--ignore", "TF901", *["--ignore", "TF902"] * number)
        write("pyproject.toml", f"[tool.unslow]\nper-file-ignores = {{'x{number}' = ['TF901']}}\n")
    assert len(list((pretend / ".unslow_cache").glob("*.json"))) <= cache.MOST_KEPT


@pytest.mark.parametrize("seed", range(4))
def test_it_says_what_a_fresh_check_says(
    seed: int, pretend: Path, capsys: Capture, reads: list[str]
) -> None:
    chance = random.Random(seed)
    names = [f"{folder}m{number}" for folder in ("", "p/", "p/q/") for number in range(4)]
    Path("p/q").mkdir(parents=True)

    def change() -> None:
        name = chance.choice(names)
        if chance.random() < 0.2:
            Path(f"{name}.py").unlink(missing_ok=True)
            return
        lines = ["import tensorflow as tf"] if chance.random() < 0.7 else []
        for _ in range(chance.randrange(3)):
            other = chance.choice(names).replace("/", ".")
            leaf = other.rpartition(".")[2]
            lines.append(
                chance.choice(
                    (f"import {other}", f"from .{leaf} import x", f"from . import {leaf}")
                )
            )
        if lines:
            lines.append(f"tf.{chance.choice(('slow', 'afar', 'fine'))}(1)")
        Path(f"{name}.py").write_text("\n".join(lines) + "\n")

    for _ in range(25):
        for _ in range(chance.choice((1, 1, 3))):
            change()
        warm = checked(capsys)
        fresh = checked(capsys, "--no-cache")
        assert (warm.out, warm.err, warm.status) == (fresh.out, fresh.err, fresh.status)
