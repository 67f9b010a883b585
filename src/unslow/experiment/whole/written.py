"""The files that a program writes: which ones, and what stands in them."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import stat
import zipfile
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from unslow.experiment.values.snapshot import Digest, Snapshot, take

MOST_LOOKED_AT = 10_000
"""Files below the working directory that are looked at, those next to it first."""

MOST_READ = 64
"""Files whose content is compared."""

LARGEST = 64 * 2**20
"""Bytes of a file, and of what is packed in it, up to which its content is compared."""

TOTAL = 256 * 2**20
"""Bytes of all of them."""

LONGEST_TEXT = 2**20
"""Bytes of a text whose numbers are compared one by one."""

VALUE_LIMIT = 16 * 2**20
"""Bytes that are kept of one array."""

_ZIP = b"PK\x03\x04"
_NPY = b"\x93NUMPY"
_HDF5 = b"\x89HDF\r\n\x1a\n"

_OF_GRAPHS = (".pb", ".meta", ".pbtxt", ".pyc")
"""Files that hold a program's code or graphs, which fixes change."""

_OF_KERAS = {"config.json", "metadata.json"}
"""What a Keras archive says of a model's layers, how it was compiled and when it was saved."""


@dataclass(frozen=True)
class TextPart:
    """The lines of a text."""

    lines: tuple[str, ...]


Part: TypeAlias = TextPart | Snapshot
"""What stands in a file, or in one of the things that are packed in it."""

_State: TypeAlias = tuple[int, int, int]


class Before:
    """The files as they are before a run: those below the working directory, and `paths`."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._paths = tuple(paths)
        self._states = self._look()

    def written(self, opened: Collection[str] = ()) -> list[str]:
        """The files that are new or changed since then; of `opened` it is known that they are."""
        after = self._look()
        changed = {path for path, state in after.items() if self._states.get(path) != state}
        changed |= {path for path in opened if _state(path) is not None}
        changed = {path for path in changed if not path.endswith(_OF_GRAPHS)}
        return sorted(changed, key=lambda path: (path.count(os.sep), path))

    def _look(self) -> dict[str, _State]:
        states: dict[str, _State] = {}
        for path in (*self._paths, *_files_below(Path.cwd())):
            state = _state(path)
            if state is not None:
                states[path] = state
        return states


def _state(path: str) -> _State | None:
    """What changes when a file is written; `None` where there is no regular file."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _files_below(top: Path) -> Iterator[str]:
    """Files below a folder, hidden ones, caches, environments and other file systems aside."""
    waiting, left = deque([str(top)]), MOST_LOOKED_AT
    device = top.stat().st_dev
    while waiting and left:
        files, folders = _entries(waiting.popleft(), device)
        waiting += folders
        yield from files[:left]
        left -= min(len(files) + len(folders), left)


def _entries(folder: str, device: int) -> tuple[list[str], list[str]]:
    """The files in a folder, and the folders of `device`, in order."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name == "pyvenv.cfg":
                    return [], []
                if entry.name.startswith(".") or entry.name in ("__pycache__", "node_modules"):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    files.append(entry.path)
                elif entry.stat(follow_symlinks=False).st_dev == device:
                    folders.append(entry.path)
    except OSError:
        # It cannot be read, or has gone meanwhile: what was found so far counts.
        return sorted(files), sorted(folders)
    return sorted(files), sorted(folders)


def read_all(paths: Iterable[str], notes: list[str]) -> Mapping[tuple[str, str], Part]:
    """What stands in the files, by path and name of the part; `notes`: what is left out."""
    parts: dict[tuple[str, str], Part] = {}
    read, total, left_out = 0, 0, 0
    for path in paths:
        try:
            size = Path(path).stat().st_size
            if size > LARGEST or read == MOST_READ or total + size > TOTAL:
                left_out += 1
                continue
            data = Path(path).read_bytes()
        except OSError:
            left_out += 1
            continue
        read, total = read + 1, total + size
        for name, part in _parts("", data):
            parts[path, name] = part
    if left_out:
        files = "1 file" if left_out == 1 else f"{left_out} files"
        notes.append(f"Of {files} that it wrote the content was not compared: too many or large.")
    return parts


def _parts(name: str, data: bytes) -> Iterator[tuple[str, Part]]:
    """The content of a file or of a part of one, taken apart where its form is known."""
    try:
        if data.startswith(_ZIP) and not name:
            yield from _unzipped(name, data)
        elif data.startswith(_NPY):
            yield name, take(_loaded(data), VALUE_LIMIT)
        elif data.startswith(_HDF5):
            yield from _datasets(name, data)
        else:
            yield name, _text(data) or _digest(data)
    # A file that is not what it seems: libraries raise what they like.
    except Exception:
        yield name, _digest(data)


def _unzipped(name: str, data: bytes) -> Iterator[tuple[str, Part]]:
    found: list[tuple[str, Part]] = []
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        members = [each for each in packed.infolist() if not each.is_dir()]
        if sum(each.file_size for each in members) > LARGEST or len(members) > MOST_READ:
            raise ValueError("too much is packed in it")
        names = {each.filename for each in members}
        left_out = _OF_KERAS if names > _OF_KERAS else set()
        for member in members:
            if member.filename in left_out:
                continue
            found += _parts(_inside(name, member.filename), packed.read(member))
    yield from found


def _datasets(name: str, data: bytes) -> Iterator[tuple[str, Part]]:
    h5py: Any = importlib.import_module("h5py")
    found: list[tuple[str, Part]] = []

    def visit(path: str, thing: Any) -> None:
        if isinstance(thing, h5py.Dataset):
            found.append((_inside(name, path), take(thing[()], VALUE_LIMIT)))

    with h5py.File(io.BytesIO(data), "r") as file:
        file.visititems(visit)
    yield from found


def _loaded(data: bytes) -> Any:
    import numpy as np

    return np.load(io.BytesIO(data), allow_pickle=False)


def _inside(name: str, part: str) -> str:
    return f"{name}/{part}" if name else part


def _text(data: bytes) -> TextPart | None:
    if b"\0" in data or len(data) > LONGEST_TEXT:
        return None
    try:
        return TextPart(tuple(data.decode("utf-8-sig").splitlines()))
    except UnicodeDecodeError:
        return None


def _digest(data: bytes) -> Digest:
    return Digest("file", "bytes", (len(data),), hashlib.sha256(data).hexdigest())
