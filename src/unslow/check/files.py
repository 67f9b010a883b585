"""Finds the files to read."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from unslow.check.settings import Settings, absolute, matches, shown
from unslow.report.checked import Failure

SKIPPED = frozenset({"__pycache__", "build", "dist", "node_modules", "site-packages", "venv"})
"""Folders that hold no source of the project; hidden ones do not either."""

MOST_AROUND = 10_000
"""A project with more files is not read around the files that were asked for."""

Stamp = tuple[int, int]
"""When a file was changed, in nanoseconds, and its size: if both stay, so does the file."""


class Files(NamedTuple):
    """The files to check, and those around them in the project; both by absolute path."""

    asked: dict[str, Stamp]
    around: dict[str, Stamp]
    failures: tuple[Failure, ...]


def find_files(paths: Iterable[Path], settings: Settings, contents: Collection[str] = ()) -> Files:
    """All files that `paths` mean, and the other files of their project.

    `contents`: the absolute paths of those whose contents are not read from the disk.
    """
    asked: dict[str, Stamp] = {}
    failures = []
    for path in paths:
        if str(absolute(path)) in contents:
            asked[str(absolute(path))] = 0, 0
            continue
        try:
            status = path.stat()
        except OSError as error:
            failures.append(Failure(shown(path), f"cannot be read: {error.strerror}"))
            continue
        if stat.S_ISDIR(status.st_mode):
            asked.update(_walk(str(absolute(path)), settings))
        elif stat.S_ISREG(status.st_mode):
            asked[str(absolute(path))] = status.st_mtime_ns, status.st_size
        else:
            failures.append(Failure(shown(path), "cannot be read: it is not a regular file"))
    around: dict[str, Stamp] = {}
    if settings.marked:
        for file, stamp in _walk(str(settings.root), settings):
            if file not in asked:
                around[file] = stamp
            if len(around) > MOST_AROUND:
                around = {}
                break
    return Files(asked, around, tuple(failures))


def _walk(folder: str, settings: Settings) -> Iterator[tuple[str, Stamp]]:
    """The files below a folder, in order, that the settings do not leave out."""
    start = f"{settings.root}".rstrip("/") + "/"
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            continue
        folders = []
        for entry in found:
            name = entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not (name[0] == "." or name in SKIPPED or _left_out(entry, start, settings)):
                        folders.append(entry.path)
                elif (
                    any(matches(pattern, name) for pattern in settings.include)
                    if settings.include != Settings.include
                    else name.endswith((".py", ".ipynb"))
                ) and (entry.is_file() and not _left_out(entry, start, settings)):
                    status = entry.stat()
                    yield entry.path, (status.st_mtime_ns, status.st_size)
            except OSError:
                # It went away between two looks.
                continue
        waiting += reversed(folders)


def _left_out(entry: os.DirEntry[str], start: str, settings: Settings) -> bool:
    if not settings.exclude:
        return False
    path = entry.path.removeprefix(start).replace(os.sep, "/").lstrip("/")
    return any(matches(pattern, path) for pattern in settings.exclude)


def names_of(path: str) -> frozenset[str]:
    """All that an import may call the file at `path`: `c`, `b.c`, `a.b.c`, …"""
    parts = [part for part in path.rsplit(".", 1)[0].split("/") if part]
    if parts and parts[-1] == "__init__":
        parts.pop()
    return frozenset(".".join(parts[start:]) for start in range(len(parts)))


def imported_names(path: str, imports: Iterable[str]) -> Iterator[str]:
    """What the imports of the file at `path` say, as `names_of` has it: without leading dots."""
    for name in imports:
        bare = name.lstrip(".")
        if bare:
            yield bare
            # `import a.b` runs `a` too, and `from a import b` may be all that `a` is asked for.
            while "." in bare:
                bare = bare.rpartition(".")[0]
                yield bare
        else:
            folder = path.split("/")[: -len(name)]
            if folder:
                yield folder[-1]
