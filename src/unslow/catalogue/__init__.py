"""The causes of slow TensorFlow programs, one page each.

A page is a module in a family's folder with one subclass of `Page` in it. It is
found by being there: adding a cause touches no other file.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable
from typing import TYPE_CHECKING

from unslow.catalogue.page import Page
from unslow.finding import Finding
from unslow.recording.data import Recording

if TYPE_CHECKING:
    from unslow.source.module import Module


@functools.cache
def pages() -> tuple[Page, ...]:
    """One instance of every page, by code."""
    found: list[Page] = []
    for module in pkgutil.walk_packages(__path__, prefix=f"{__name__}."):
        contents = vars(importlib.import_module(module.name))
        found += [
            value()
            for value in contents.values()
            if isinstance(value, type)
            and issubclass(value, Page)
            and value is not Page
            and value.__module__ == module.name
        ]
    return tuple(sorted(found, key=lambda page: page.code))


def page(code_or_name: str) -> Page:
    """The page with this code or name.

    Raises:
        KeyError: there is none.
    """
    for candidate in pages():
        if code_or_name.lower() in (candidate.code.lower(), candidate.name):
            return candidate
    raise KeyError(code_or_name)


def diagnose(recording: Recording, proposals: bool = False) -> list[Finding]:
    """All problems in what a run showed, the costliest first.

    With `proposals`, also what is worth an experiment and is a problem only if that shows it.
    """
    findings: Iterable[Finding] = (
        finding
        for each in pages()
        if proposals or not each.only_if_proven
        for finding in each.in_recording(recording)
    )
    return sorted(findings, key=lambda f: (-f.cost.seconds, f.code, f.site.path, f.site.line))


def inspect(module: Module, codes: Iterable[str]) -> list[Finding]:
    """The suspicions of the causes with these codes in a module, in order of their lines."""
    wanted = set(codes)
    findings = [f for each in pages() if each.code in wanted for f in each.in_source(module)]
    return sorted(findings, key=lambda f: (f.site.cell or 0, f.site.line, f.site.column, f.code))
