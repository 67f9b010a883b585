"""Checks one file: its findings, less what its comments silence."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unslow.check.codes import Code
from unslow.finding import Finding
from unslow.report.checked import Failure, Suppressed

if TYPE_CHECKING:
    from unslow.source.module import Module
    from unslow.source.notebook import NotebookText
    from unslow.source.project import Project

_LINE = re.compile(r"line (\d+): ")


@dataclass(frozen=True)
class Reading:
    """What one file came to. `path` is absolute, and so are those it was read with."""

    path: str
    findings: tuple[Finding, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    failures: tuple[Failure, ...] = ()
    consulted: tuple[str, ...] = ()


def read_file(
    project: Project,
    path: str,
    shown: str,
    data: bytes,
    codes: frozenset[str],
    known: Sequence[Code],
) -> Reading:
    """The findings of these codes in a file of a project.

    A fault in the file or of ours is a failure of this file alone.
    """
    from unslow.source.text import SourceError

    try:
        return _read(project, path, shown, data, codes, known)
    except SourceError as error:
        failure = Failure(shown, f"cannot be checked: {error.reason}", error.line)
    except OSError as error:
        failure = Failure(shown, f"cannot be read: {error.strerror}")
    except (RecursionError, MemoryError):
        failure = Failure(shown, "cannot be checked: it is nested too deeply")
    except Exception as error:
        # One file that we cannot digest must not hide what was found in the others.
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}, line {last.lineno}"
        text = " ".join(f"{type(error).__name__}: {error}".split())
        failure = Failure(
            shown, f"cannot be checked: a fault of unslow, please tell its makers: {text} ({where})"
        )
    return Reading(path, failures=(failure,))


def _read(
    project: Project,
    path: str,
    shown: str,
    data: bytes,
    codes: frozenset[str],
    known: Sequence[Code],
) -> Reading:
    from unslow.catalogue import inspect
    from unslow.check.suppressions import MARK, apply_suppressions, suppressions
    from unslow.source.notebook import NotebookText

    notebook = is_notebook(path)
    module = project.module(Path(path))
    findings: Sequence[Finding] = inspect(module, codes)
    silenced: Sequence[Suppressed] = ()
    if MARK in data:
        comments = suppressions(data, notebook, known)
        findings, silenced = apply_suppressions(shown, findings, comments, codes)
        findings.sort(key=lambda f: (f.site.cell or 0, f.site.line, f.site.column or 0, f.code))
    failures = [
        Failure(shown, f"cannot be checked: {message}", line, cell)
        for cell, line, message in (
            _broken(module.source) if isinstance(module.source, NotebookText) else ()
        )
    ]
    consulted = _consulted(project, module)
    return Reading(path, tuple(findings), tuple(silenced), tuple(failures), consulted)


def _consulted(project: Project, module: Module) -> tuple[str, ...]:
    """All files that were asked about, by this module or on behalf of one that it asked."""
    from unslow.source.text import SourceError

    seen = {module.file}
    waiting = [module]
    while waiting:
        for file in waiting.pop().consulted - seen:
            seen.add(file)
            try:
                waiting.append(project.module(file))
            except SourceError:
                continue
    return tuple(sorted(str(file) for file in seen - {module.file}))


def _broken(notebook: NotebookText) -> Iterator[tuple[int, int | None, str]]:
    """The cells that do not parse: their number, the line in them, and what is wrong there."""
    for cell, message in notebook.broken:
        match = _LINE.match(message)
        if match:
            yield cell, int(match[1]), message[match.end() :]
        else:
            yield cell, None, message


def is_notebook(path: str) -> bool:
    """Whether the file with this name is read as a notebook."""
    return path.endswith(".ipynb")
