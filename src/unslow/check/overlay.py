"""A project in which some files have other contents than on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from unslow.check.reading import is_notebook
from unslow.check.settings import absolute, shown
from unslow.source.module import Module
from unslow.source.notebook import NotebookText
from unslow.source.project import Facts, Project, scan
from unslow.source.text import SourceError, SourceText, Text


class Overlay(Project):
    """A project in which some files have other contents than on disk."""

    def __init__(
        self, files: Iterable[Path], facts: Mapping[Path, Facts], contents: Mapping[Path, bytes]
    ) -> None:
        super().__init__(files, {**facts, **{path: scan(data) for path, data in contents.items()}})
        self._contents = contents

    def module(self, path: Path) -> Module:
        """The module in a file, as its contents are here."""
        file = absolute(path)
        if file in self._contents and file not in self._modules:
            self._modules[file] = None
            try:
                text = text_of(str(file), self._contents[file])
                self._modules[file] = Module(shown(file), text, self, file, self._name(file))
            except SourceError as error:
                self._errors[file] = error
        return super().module(path)


def text_of(path: str, data: bytes) -> Text:
    """The text of the file or notebook with this name and these bytes.

    Raises:
        SourceError: it is none.
    """
    return NotebookText.of(data) if is_notebook(path) else SourceText.of(data)
