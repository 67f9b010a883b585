"""A project in which some files have other contents than on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from unslow.source.project import Facts, Project, scan


class Overlay(Project):
    """A project in which some files have other contents than on disk."""

    def __init__(
        self, files: Iterable[Path], facts: Mapping[Path, Facts], contents: Mapping[Path, bytes]
    ) -> None:
        super().__init__(files, {**facts, **{path: scan(data) for path, data in contents.items()}})
        self._laid_over = contents

    def _contents(self, file: Path) -> bytes:
        data = self._laid_over.get(file)
        return super()._contents(file) if data is None else data
