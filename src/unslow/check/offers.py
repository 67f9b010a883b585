"""Gives what a run has found the edits that the source offers for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from unslow.check.settings import absolute
from unslow.finding import Alternative, Finding


def with_edits(findings: Iterable[Finding], started: float) -> list[Finding]:
    """The findings with the edits of those alternatives that the source shows how to make.

    An alternative that was tried has its edits from the one of the same name; others are
    added, without proof. `started`: when the run began, in seconds since the epoch; a file
    that has changed since then, or cannot be read, offers nothing.
    """
    findings = list(findings)
    paths = {absolute(Path(finding.site.path)) for finding in findings}
    files = sorted(path for path in paths if _unchanged(path, started))
    offered = _offered(files, {finding.code for finding in findings}) if files else {}
    return [_joined(finding, _of(finding, offered)) for finding in findings]


def _unchanged(path: Path, started: float) -> bool:
    try:
        return path.stat().st_mtime <= started
    except OSError:
        return False


def _offered(files: Sequence[Path], codes: set[str]) -> dict[Path, list[Finding]]:
    from unslow.catalogue import inspect
    from unslow.source.project import Project
    from unslow.source.text import SourceError

    project = Project(files)
    offered = {}
    for file in files:
        try:
            offered[file] = inspect(project.module(file), codes)
        except (SourceError, OSError, RecursionError):
            # What ran can be more than the reader takes; then there are no edits for it.
            continue
    return offered


def _of(finding: Finding, offered: dict[Path, list[Finding]]) -> list[Alternative]:
    site = finding.site
    return [
        alternative
        for suspicion in offered.get(absolute(Path(site.path)), ())
        if suspicion.code == finding.code
        and suspicion.site.cell == site.cell
        and suspicion.site.line <= site.line <= (suspicion.site.end_line or suspicion.site.line)
        for alternative in suspicion.alternatives
    ]


def _joined(finding: Finding, offered: Sequence[Alternative]) -> Finding:
    by_name = {alternative.name: alternative for alternative in offered}
    tried = tuple(
        replace(
            each,
            edits=by_name[each.name].edits,
            safety=by_name[each.name].safety,
            note=each.note or by_name[each.name].note,
        )
        if each.name in by_name and not each.edits
        else each
        for each in finding.alternatives
    )
    names = {each.name for each in tried}
    return replace(
        finding, alternatives=(*tried, *(each for each in offered if each.name not in names))
    )
