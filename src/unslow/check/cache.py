"""Keeps what was found, so that a file is read again only when something about it changed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unslow import __file__ as _INIT
from unslow import __version__
from unslow.check.codes import Code
from unslow.check.files import Stamp, imported_names, names_of
from unslow.check.reading import Reading
from unslow.finding import Finding
from unslow.plain import from_plain, to_plain
from unslow.report.checked import Failure, Suppressed

FOLDER = ".unslow_cache"
MOST_KEPT = 12
"""Files in the folder, each for other settings; older ones are removed."""

UNSETTLED = 2_000_000_000
"""Nanoseconds after a change in which another one may not show in a file's time."""

_TAG = """\
Signature: 8a477f597d28d172789f06886806bc55
# This folder holds what unslow found, so that unchanged files need not be read again.
# It may be removed at any time.
"""
_OWN_ROOMS = ("catalogue", "check", "source")


@dataclass
class Entry:
    """What is known of a file. `stamp` is None where only its digest tells whether it changed.

    `reading` is what it came to, None where it has not been checked; `consulted`
    holds the digests of the other files that this rests on.
    """

    stamp: Stamp | None
    digest: str
    mentions: bool
    imports: tuple[str, ...]
    reading: Reading | None = None
    consulted: Mapping[str, str] = field(default_factory=dict)


class Cache:
    """The entries of one project under one choice of settings, in a file that may be missing."""

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}.json"
        self.entries: dict[str, Entry] = {}

    def load(self) -> None:
        """Read the entries; a file that is broken in any way holds none."""
        for path, row in _read(self._path).items():
            stamp, digest, mentions, imports, reading, consulted = row
            self.entries[path] = Entry(
                stamp and (stamp[0], stamp[1]),
                digest,
                bool(mentions),
                tuple(imports),
                reading and _reading(path, reading, tuple(consulted)),
                consulted,
            )

    def save(self, entries: Mapping[str, Entry]) -> None:
        """Write the entries, whole or not at all; where that is not possible, there is no cache."""
        newest = time.time_ns() - UNSETTLED
        rows = {
            path: [
                entry.stamp if entry.stamp and entry.stamp[0] < newest else None,
                entry.digest,
                int(entry.mentions),
                entry.imports,
                entry.reading and _plain(entry.reading),
                entry.consulted,
            ]
            for path, entry in entries.items()
        }
        with contextlib.suppress(OSError):
            make_folder(self._folder)
            _write(self._path, rows)
            _tidy(self._folder)


def make_folder(folder: Path) -> None:
    """Make the folder, marked so that backups and git leave it out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("CACHEDIR.TAG", _TAG), (".gitignore", "*\n")):
        if not (folder / name).exists():
            (folder / name).write_text(text, encoding="utf-8")


def known_from(folder: Path) -> tuple[Code, ...] | None:
    """The codes that can be looked for, as an earlier run has noted them."""
    rows = _read(folder / f"codes-{own_digest()[:20]}.json").get("codes")
    return None if rows is None else tuple(Code(*row) for row in rows)


def note_known(folder: Path, known: Sequence[Code]) -> None:
    """Note the codes for the next run, which then need not load the catalogue."""
    with contextlib.suppress(OSError):
        make_folder(folder)
        _write(folder / f"codes-{own_digest()[:20]}.json", {"codes": list(known)})


def own_digest() -> str:
    """Changes with the version of unslow and of Python, and with each file that finds things."""
    marks = [__version__, sys.version]
    home = Path(_INIT).parent
    for room in _OWN_ROOMS:
        marks += sorted(_marks(str(home / room)))
    marks += [_mark(str(home / name)) for name in ("finding.py", "seams.py")]
    return hashlib.sha256("\n".join(marks).encode(errors="surrogateescape")).hexdigest()


def digest(data: bytes) -> str:
    """What tells contents apart."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def stale(old: Mapping[str, Entry], new: Mapping[str, Entry]) -> set[str]:
    """The files whose reading in `old` may not hold for the project as it is in `new`.

    A reading rests on its own file, on those that were consulted, and on which
    files import which: where one appears, changes or goes, all that it imports
    or that import it may have to be read otherwise.
    """
    changed = {
        path
        for path in {*old, *new}
        if path not in old or path not in new or old[path].digest != new[path].digest
    }
    found = {path for path in new if path in changed}
    if not changed:
        return found
    called: set[str] = set()
    named: set[str] = set()
    for path in changed:
        named |= names_of(path)
        for entry in (old.get(path), new.get(path)):
            if entry is not None:
                called.update(imported_names(path, entry.imports))
    for path, entry in new.items():
        if not called.isdisjoint(names_of(path)) or not named.isdisjoint(
            imported_names(path, entry.imports)
        ):
            found.add(path)
    grown = True
    while grown:
        more = {
            path
            for path, entry in new.items()
            if path not in found
            and entry.reading is not None
            and any(each in found or each in changed for each in entry.consulted)
        }
        grown = bool(more)
        found |= more
    return found


def _plain(reading: Reading) -> list[Any]:
    return [to_plain(reading.findings), to_plain(reading.suppressed), to_plain(reading.failures)]


def _reading(path: str, row: Sequence[Any], consulted: tuple[str, ...]) -> Reading:
    findings, suppressed, failures = row
    return Reading(
        path,
        tuple(from_plain(Finding, each) for each in findings),
        tuple(from_plain(Suppressed, each) for each in suppressed),
        tuple(from_plain(Failure, each) for each in failures),
        consulted,
    )


def _read(path: Path) -> dict[str, Any]:
    """What `_write` wrote; nothing where the file is missing, cut short or changed."""
    try:
        check, _, body = path.read_bytes().partition(b"\n")
        if check.decode("ascii", "replace") != digest(body):
            return {}
        data = json.loads(body)
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _write(path: Path, data: Mapping[str, Any]) -> None:
    body = json.dumps(data, separators=(",", ":")).encode()
    handle, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(digest(body).encode() + b"\n" + body)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _tidy(folder: Path) -> None:
    kept = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in kept[MOST_KEPT:]:
        path.unlink(missing_ok=True)


def _marks(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                if entry.name != "__pycache__":
                    yield from _marks(entry.path)
            elif entry.name.endswith(".py"):
                status = entry.stat()
                yield f"{entry.path} {status.st_mtime_ns} {status.st_size}"


def _mark(path: str) -> str:
    status = os.stat(path)  # noqa: PTH116 - called on each start
    return f"{path} {status.st_mtime_ns} {status.st_size}"


def consulted_digests(reading: Reading, entries: Mapping[str, Entry]) -> dict[str, str]:
    """The digests of the files that a reading rests on."""
    return {path: entries[path].digest for path in reading.consulted if path in entries}
