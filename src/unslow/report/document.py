"""The report as one JSON document, `schema: 1`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unslow import __version__
from unslow.finding import PARTS, Alternative, Cost, Finding, Gain, saved_seconds
from unslow.plain import to_plain
from unslow.report.checked import Checked

if TYPE_CHECKING:
    from unslow.recording.data import Recording

SCHEMA = 1


def document(recording: Recording, findings: Iterable[Finding]) -> dict[str, Any]:
    """The report on one run, made of what `json` can write."""
    findings = list(findings)
    report = {
        "unslow": __version__,
        "schema": SCHEMA,
        "partial": recording.partial,
        "program": recording.program,
        "machine": recording.machine,
        "time": {"wall": recording.wall, "parts": _parts(recording.parts)},
        "gain": _gain(findings, recording.wall),
        "lines": [
            {
                "path": row.site.path,
                "cell": row.site.cell,
                "line": row.site.line,
                "function": row.site.function,
                "seconds": row.seconds,
                "parts": row.parts,
            }
            for row in sorted(recording.lines, key=lambda row: -row.seconds)
        ],
        "threads": recording.threads,
        "unwatched": recording.unwatched,
        "notes": recording.notes,
        "findings": [_finding(finding, recording.wall) for finding in findings],
    }
    plain: dict[str, Any] = to_plain(report)
    return plain


def check_document(checked: Checked) -> dict[str, Any]:
    """The report on one check, made of what `json` can write."""
    wall = 0.0 if checked.recording is None else checked.recording.wall
    report = {
        "unslow": __version__,
        "schema": SCHEMA,
        "time": None,
        "recording": checked.recording,
        "files": {
            "checked": checked.files,
            "passed_over": checked.passed_over,
            "failed": checked.failures,
            "fixed": checked.fixed_files,
        },
        "findings": [_finding(finding, wall) for finding in checked.findings],
        "cleared": [_finding(finding, wall) for finding in checked.cleared],
        "suppressed": [
            {**_finding(each.finding, wall), "reason": each.reason} for each in checked.suppressed
        ],
        "fixed": checked.fixed,
        "notes": checked.notes,
    }
    plain: dict[str, Any] = to_plain(report)
    return plain


def _gain(findings: Sequence[Finding], wall: float) -> Gain | None:
    """What all findings together would give back; `None` where nothing was measured."""
    if all(finding.gain is None for finding in findings):
        return None
    seconds = saved_seconds(findings)
    return Gain(seconds, seconds / wall if wall else 0.0)


def _parts(parts: Mapping[str, float]) -> list[dict[str, Any]]:
    names = [*PARTS, *(name for name in parts if name not in PARTS)]
    return [{"name": name, "seconds": parts.get(name, 0.0)} for name in names]


def _finding(finding: Finding, wall: float) -> dict[str, Any]:
    site, cost = finding.site, finding.cost
    measured = finding.kind == "problem" or cost != Cost()
    return {
        "code": finding.code,
        "name": finding.name,
        "kind": finding.kind,
        "path": site.path,
        "cell": site.cell,
        "line": site.line,
        "end_line": site.line if site.end_line is None else site.end_line,
        "column": site.column,
        "function": site.function,
        "message": finding.message,
        # What is only suspected has no cost that anybody knows.
        "cost": {
            "seconds": cost.seconds,
            "share": cost.seconds / wall if wall else 0.0,
            "calls": cost.calls,
            "bytes": cost.bytes,
        }
        if measured
        else None,
        "evidence": {"calls": cost.calls, "seconds": cost.seconds, **finding.evidence}
        if measured
        else finding.evidence,
        "gain": finding.gain,
        "untried": finding.untried,
        "alternatives": [_alternative(each) for each in finding.alternatives],
    }


def _alternative(alternative: Alternative) -> dict[str, Any]:
    proof = alternative.proof
    return {
        "name": alternative.name,
        "ratio": proof and proof.ratio,
        "interval": proof and proof.interval,
        "pairs": proof and proof.pairs,
        "equal": proof and proof.equal,
        "max_error": proof and proof.max_error,
        "tolerance": proof and proof.tolerance,
        "where": proof and proof.where,
        "inputs": proof and proof.inputs,
        "verdict": proof and proof.verdict,
        "failure": alternative.failure,
        "safety": alternative.safety,
        "note": alternative.note,
        "edits": alternative.edits,
    }
