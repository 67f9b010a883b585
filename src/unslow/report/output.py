"""Reports as files. The ending of a file's name picks the format."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unslow.finding import Finding
    from unslow.recording.data import Recording


class OutputError(Exception):
    """A report cannot be written there; the message says why."""


def check(path: str) -> None:
    """Check before the program runs that a report can be written to `path`.

    Raises:
        OutputError: the ending names no format, or the place cannot be written.
    """
    _format_of(path)
    check_place(path)


def check_place(path: str) -> None:
    """Check that a report can be written to `path`, in whatever format.

    Raises:
        OutputError: the place cannot be written.
    """
    target = _target(path)
    if target.is_dir():
        raise OutputError(f"cannot write the report to {path}: it is a directory")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write the report to {path}: its directory does not exist")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write the report to {path}: its directory is not writable")


def write(path: str, recording: Recording, findings: Sequence[Finding]) -> None:
    """Write the report to `path`, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(path, _format_of(path)(recording, findings))


def write_text(path: str, text: str) -> None:
    """Write a rendered report to `path`, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        # A lone surrogate (an argument that is not UTF-8) becomes a JSON escape.
        replace_file(_target(path), text.encode("utf-8", errors="backslashreplace"))
    except OSError as error:
        raise OutputError(f"cannot write the report to {path}: {error.strerror}") from error


def _json(recording: Recording, findings: Iterable[Finding]) -> str:
    from unslow.report.document import document

    return to_json(document(recording, findings))


def _sarif(recording: Recording, findings: Iterable[Finding]) -> str:
    from unslow.report.sarif import run_log

    return to_json(run_log(recording, findings))


def to_json(data: Mapping[str, Any]) -> str:
    """A document as the text of a file."""
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Recording, Sequence[Finding]], str]] = {
    ".json": _json,
    ".sarif": _sarif,
}
"""What writes each format, by the ending of the file's name."""


def _format_of(path: str) -> Callable[[Recording, Sequence[Finding]], str]:
    ending = Path(path).suffix.lower()
    if ending not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        raise OutputError(
            f"cannot write the report to {path}: the ending of its name picks the format, "
            f"known are {known}"
        )
    return FORMATS[ending]


def _target(path: str) -> Path:
    """The file itself, so that a link to it stays a link."""
    return Path(os.path.realpath(path))


def replace_file(target: Path, data: bytes) -> None:
    """Put `data` in the place of the file `target`, which keeps its permissions."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        scratch.chmod(_mode(target))
        scratch.replace(target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """The permissions that opening `target` for writing would leave it with."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
