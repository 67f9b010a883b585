"""`unslow fix`: what is mended, what is left alone, and that nothing is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pretend import ask, notebook, pretend, program

from unslow.check import fixing

__all__ = ["pretend"]

Capture = pytest.CaptureFixture[str]


def write(path: str, text: str | bytes) -> Path:
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_safe_ones_are_mended_and_the_rest_is_left(pretend: Path, capsys: Capture) -> None:
    file = write("a.py", program("slow", "risky", "slow"))
    answer = ask(capsys, "fix")
    assert answer.status == 1
    assert file.read_text() == program("fast", "risky", "fast")
    lines = answer.out.splitlines()
    assert lines[0] == "a.py:3:1: TF902 unsafe-call It calls risky."
    assert "Fixed 2 suspicions in 1 file." in lines
    assert "Found 1 suspicion in 1 file (1 file read)." in lines
    answer = ask(capsys, "fix", "--unsafe-fixes")
    assert answer.status == 0
    assert file.read_text() == program("fast", "fast", "fast")
    assert answer.out.startswith("Fixed 1 suspicion in 1 file.\nNothing suspicious left")


def test_fixing_twice_changes_nothing(pretend: Path, capsys: Capture) -> None:
    file = write("a.py", program("slow"))
    assert ask(capsys, "check", "--fix").status == 0
    before = file.stat().st_mtime_ns
    assert ask(capsys, "check", "--fix").status == 0
    assert file.stat().st_mtime_ns == before


def test_settings_can_allow_unsafe_fixes(pretend: Path, capsys: Capture) -> None:
    write("pyproject.toml", "[tool.unslow]\nunsafe-fixes = true\n")
    file = write("a.py", program("risky"))
    assert ask(capsys, "fix").status == 0
    assert file.read_text() == program("fast")


def test_a_check_changes_nothing(pretend: Path, capsys: Capture) -> None:
    file = write("a.py", program("slow"))
    ask(capsys, "check", "--unsafe-fixes")
    assert file.read_text() == program("slow")


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfimport tensorflow as tf\r\n\ttf = tf\r\n".replace(b"\t", b"")
        + b"tf.slow( 'a' ) # \xc3\xa9\r\n",
        b"# coding: latin-1\nimport tensorflow as tf\nx = '\xe9'; tf.slow(1)",
        b"import tensorflow as tf\rtf.slow(1)\r",
    ],
)
def test_no_other_byte_changes(text: bytes, pretend: Path, capsys: Capture) -> None:
    text = text.replace(b"tf = tf\r\n", b"")
    file = write("a.py", text)
    assert ask(capsys, "fix").status == 0
    assert file.read_bytes() == text.replace(b"tf.slow", b"tf.fast")


def test_a_notebook_keeps_all_but_the_edited_text(pretend: Path, capsys: Capture) -> None:
    text = notebook("import tensorflow as tf", "%matplotlib inline\ntf.slow(1)", "x = 1")
    file = write("n.ipynb", text)
    assert ask(capsys, "fix").status == 0
    assert file.read_text() == text.replace("tf.slow", "tf.fast")


def test_diff_shows_and_changes_nothing(pretend: Path, capfdbinary: object) -> None:
    write("a.py", program("slow", "other"))
    write("n.ipynb", notebook("import tensorflow as tf", "tf.slow(1)"))
    before = {path: path.read_bytes() for path in Path().glob("*.*")}
    code = (
        "import sys\nsys.path.insert(0, sys.argv[1])\n"
        "import pretend\nfrom unslow import catalogue, cli\n"
        "catalogue.pages = lambda: pretend.PAGES\n"
        "sys.exit(cli.main(sys.argv[2:]))\n"
    )

    def diff(*words: str) -> subprocess.CompletedProcess[str]:
        here = str(Path(__file__).parent)
        return subprocess.run(
            [sys.executable, "-c", code, here, "check", "--diff", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    done = diff()
    assert done.returncode == 1
    assert done.stdout == (
        "--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n import tensorflow as tf\n"
        "-tf.slow(1)\n+tf.fast(1)\n tf.other(1)\n"
        "--- n.ipynb:cell 2\n+++ n.ipynb:cell 2\n@@ -1 +1 @@\n-tf.slow(1)\n+tf.fast(1)\n"
    )
    assert done.stderr == "Would fix 2 suspicions in 2 files.\n"
    assert {path: path.read_bytes() for path in before} == before
    assert diff("--exit-zero").returncode == 0
    done = diff("--select", "TF903")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Nothing to fix.\n")


def test_what_was_silenced_is_not_mended(pretend: Path, capsys: Capture) -> None:
    text = "import tensorflow as tf\ntf.slow(1)  # unslow: ignore[TF901] as a warm-up\n"
    file = write("a.py", text)
    assert ask(capsys, "fix").status == 0
    assert file.read_text() == text


def test_a_fix_that_would_break_the_file_is_refused(pretend: Path, capsys: Capture) -> None:
    file = write("a.py", program("slow", "breaking", "slow"))
    answer = ask(capsys, "fix")
    assert answer.status == 2
    assert answer.err == (
        "unslow: a.py:3: the fix of TF905 is not applied: the result would not parse\n"
    )
    assert file.read_text() == program("fast", "breaking", "fast")


def test_a_fix_that_ends_nothing_is_refused(pretend: Path, capsys: Capture) -> None:
    file = write("a.py", program("slow", "endless"))
    answer = ask(capsys, "fix")
    assert answer.status == 2
    assert "the fix of TF906 is not applied: it would not end what was found" in answer.err
    assert file.read_text() == program("fast", "endless")


def test_nested_ones_are_mended_in_passes(pretend: Path, capsys: Capture) -> None:
    file = write("a.py", "import tensorflow as tf\ntf.slow(tf.slow(tf.slow(1)))\n")
    assert ask(capsys, "fix").status == 0
    assert file.read_text() == "import tensorflow as tf\ntf.fast(tf.fast(tf.fast(1)))\n"


def test_an_edit_may_reach_another_file(pretend: Path, capsys: Capture) -> None:
    file = write("a.py", program("elsewhere"))
    other = write("other.py", "x = 1\n")
    assert ask(capsys, "fix", "a.py").status == 1
    assert (file.read_text(), other.read_text()) == (program("elsewhere"), "x = 1\n")
    answer = ask(capsys, "fix")
    assert (answer.status, answer.err) == (0, "")
    assert (file.read_text(), other.read_text()) == (program("fast"), "# mended\nx = 1\n")
    assert "in 2 files" in answer.out


def test_a_read_only_file_is_told_and_kept(pretend: Path, capsys: Capture) -> None:
    file = write("a.py", program("slow"))
    file.chmod(0o444)
    other = write("b.py", program("slow"))
    answer = ask(capsys, "fix")
    assert answer.status == 2
    assert answer.err == "unslow: a.py: cannot be mended: it is read-only\n"
    assert file.read_text() == program("slow")
    assert other.read_text() == program("fast")
    assert ask(capsys, "check").err == ""


def test_mode_and_links_stay(pretend: Path, capsys: Capture) -> None:
    file = write("real/a.py", program("slow"))
    file.chmod(0o751)
    Path("link.py").symlink_to("real/a.py")
    assert ask(capsys, "fix", "link.py").status == 0
    assert Path("link.py").is_symlink()
    assert file.read_text() == program("fast")
    assert file.stat().st_mode & 0o777 == 0o751
    assert sorted(os.listdir("real")) == ["a.py"]  # noqa: PTH208


def test_a_file_that_changed_meanwhile_is_kept(
    pretend: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("a.py", program("slow"))
    real = fixing.write

    def write_later(fixed: fixing.Fixed) -> object:
        file.write_text("# saved in an editor\n")
        return real(fixed)

    monkeypatch.setattr(fixing, "write", write_later)
    answer = ask(capsys, "fix")
    assert answer.status == 2
    assert answer.err == "unslow: a.py: is not mended: it has changed meanwhile\n"
    assert file.read_text() == "# saved in an editor\n"


def test_a_full_disk_loses_nothing(
    pretend: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("a.py", program("slow"))

    def full(target: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fixing, "replace_file", full)
    answer = ask(capsys, "fix")
    assert answer.status == 2
    assert answer.err == "unslow: a.py: cannot be mended: No space left on device\n"
    assert file.read_text() == program("slow")
    assert "Fixed" not in answer.out


def test_a_broken_file_is_left_and_the_rest_mended(pretend: Path, capsys: Capture) -> None:
    broken = write("a.py", "import tensorflow as tf\ntf.slow(1)\n(\n")
    file = write("b.py", program("slow"))
    assert ask(capsys, "fix").status == 2
    assert broken.read_text().endswith("(\n")
    assert file.read_text() == program("fast")


def test_a_broken_cell_does_not_keep_the_others(pretend: Path, capsys: Capture) -> None:
    text = notebook("import tensorflow as tf", "(", "tf.slow(1)")
    file = write("n.ipynb", text)
    assert ask(capsys, "fix").status == 2
    assert file.read_text() == text.replace("tf.slow", "tf.fast")


def test_stdin_is_mended_to_stdout(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unslow", "fix", "-", "--stdin-filename", "a.py"],
        input=b"import tensorflow as tf\r\nx = 1  # unslow: ignore[TF101] why\r\n",
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"import tensorflow as tf\r\nx = 1\r\n"
    assert re.match(rb"Fixed 1 suspicion", done.stderr)
    assert done.returncode == 0
    assert not list(tmp_path.iterdir())
