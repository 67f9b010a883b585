"""Compares what a check suspects with what a run has measured."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unslow.check.settings import CheckError, absolute
from unslow.finding import Cost, Finding
from unslow.report.checked import Checked, Joined

SCHEMA = 1

Place = tuple[str, int | None]
"""A file by absolute path, and the cell of a notebook."""


class RecordingError(CheckError):
    """A file that is no report of a run."""


@dataclass(frozen=True)
class Measured:
    """What a run's report says: its problems, and which lines and functions ran, by place.

    `written`: when the report was, in nanoseconds.
    """

    path: str
    written: int
    wall: float
    complete: bool
    problems: Mapping[tuple[Place, str], Sequence[tuple[int, Finding]]]
    lines: Mapping[Place, frozenset[int]]
    functions: Mapping[Place, frozenset[str]]


def read_recording(path: str) -> Measured:
    """The report that `unslow run --output FILE.json` wrote.

    Raises:
        RecordingError: it cannot be read, or is something else.
    """
    try:
        written = Path(path).stat().st_mtime_ns
        data = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"{path} is not a report of unslow run: it is not JSON") from error
    try:
        return _measured(path, written, data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordingError(
            f"{path} is not a report of unslow run that this version can read"
        ) from error


def join(checked: Checked, measured: Measured) -> Checked:
    """The check with what a run showed: suspicions become problems, are cleared, or stay.

    The costliest come first. A suspicion in code that did not run stays one, and so
    does one in a file that is younger than the report: its lines may have moved.
    """
    findings, cleared = [], []
    taken: set[int] = set()
    known = {place for place, _ in (*measured.lines, *(place for place, _ in measured.problems))}
    paths = {finding.site.path for finding in checked.findings}
    younger = {
        path
        for path in paths
        if str(absolute(Path(path))) in known and _changed(path) > measured.written
    }
    for finding in checked.findings:
        if finding.site.path in younger:
            findings.append(finding)
            continue
        problem = _problem(finding, measured)
        if problem is not None:
            cost = Cost() if id(problem) in taken else problem.cost
            taken.add(id(problem))
            findings.append(
                replace(
                    finding,
                    kind="problem",
                    message=problem.message,
                    cost=cost,
                    evidence={**finding.evidence, **problem.evidence},
                )
            )
        elif _refuted(finding, measured):
            cleared.append(replace(finding, kind="cleared"))
        else:
            findings.append(finding)
    findings.sort(key=lambda finding: -finding.cost.seconds)
    return replace(
        checked,
        findings=tuple(findings),
        cleared=tuple(cleared),
        recording=Joined(measured.path, measured.wall),
        notes=tuple(
            f"{path} has changed since {measured.path} was written: they are not compared"
            for path in sorted(younger)
        ),
    )


def _changed(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _problem(finding: Finding, measured: Measured) -> Finding | None:
    first, last = _lines(finding)
    rows = measured.problems.get((_place(finding), finding.code), ())
    found = [problem for line, problem in rows if first <= line <= last]
    return max(found, key=lambda problem: problem.cost.seconds, default=None)


def _refuted(finding: Finding, measured: Measured) -> bool:
    """Whether its code ran under the recording, which could have shown it and did not."""
    from unslow.catalogue import page

    if not measured.complete:
        return False
    try:
        if not page(finding.code).seen_in_recording():
            return False
    except KeyError:
        return False
    place = _place(finding)
    first, last = _lines(finding)
    ran = measured.lines.get(place, frozenset())
    function = finding.site.function
    return any(line in ran for line in range(first, last + 1)) or (
        not function.startswith("<") and function in measured.functions.get(place, ())
    )


def _lines(finding: Finding) -> tuple[int, int]:
    site = finding.site
    return site.line, max(site.line, site.end_line or site.line)


def _place(finding: Finding) -> Place:
    return str(absolute(Path(finding.site.path))), finding.site.cell


def _measured(path: str, written: int, data: Mapping[str, Any]) -> Measured:
    if data["schema"] != SCHEMA or data["time"] is None:
        raise ValueError("another schema, or a report of a check")
    wall = _number(data["time"]["wall"])
    home = _home(path, [row["path"] for row in (*data["lines"], *data["findings"])])
    problems: dict[tuple[Place, str], list[tuple[int, Finding]]] = {}
    for row in data["findings"]:
        if row["kind"] != "problem":
            continue
        place = str(absolute(home / row["path"])), row["cell"]
        problems.setdefault((place, row["code"]), []).append((int(row["line"]), _finding(row)))
    lines: dict[Place, set[int]] = {}
    functions: dict[Place, set[str]] = {}
    for row in data["lines"]:
        place = str(absolute(home / row["path"])), row["cell"]
        lines.setdefault(place, set()).add(int(row["line"]))
        functions.setdefault(place, set()).add(str(row["function"]))
    return Measured(
        path,
        written,
        wall,
        not data["partial"] and not data["unwatched"],
        problems,
        {place: frozenset(found) for place, found in lines.items()},
        {place: frozenset(found) for place, found in functions.items()},
    )


def _home(path: str, paths: Sequence[str]) -> Path:
    """The folder that the report's paths are relative to: where they exist, it is that one."""
    here, there = Path.cwd(), absolute(Path(path)).parent
    for home in (here, there, *there.parents):
        if any((home / each).exists() for each in paths if each):
            return home
    return here


def _finding(row: Mapping[str, Any]) -> Finding:
    from unslow.finding import Site

    cost = row["cost"]
    return Finding(
        code=str(row["code"]),
        name=str(row["name"]),
        kind="problem",
        site=Site(str(row["path"]), int(row["line"]), cell=row["cell"]),
        message=str(row["message"]),
        cost=Cost(_number(cost["seconds"]), int(cost["calls"]), int(cost["bytes"])),
        evidence=dict(row["evidence"]),
    )


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a number of seconds")
    return number
