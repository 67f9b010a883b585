"""Findings in the Static Analysis Results Interchange Format, version 2.1.0."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from unslow import __version__
from unslow.finding import Alternative, Finding, Site
from unslow.recording.data import Recording
from unslow.report.checked import SUPPRESSION_CODES, SUPPRESSION_RULES, Checked, Failure, Rule

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
ROOT = "%SRCROOT%"

_LEVELS = {"problem": "warning", "suspicion": "note", "cleared": "none"}


def check_log(checked: Checked) -> dict[str, Any]:
    """The log of one check."""
    results = [(finding, None) for finding in checked.findings]
    results += [(finding, None) for finding in checked.cleared]
    silenced = [(each.finding, each.reason) for each in checked.suppressed]
    return _log([*results, *silenced], checked.failures)


def run_log(recording: Recording, findings: Iterable[Finding]) -> dict[str, Any]:
    """The log of one watched run."""
    log = _log([(finding, None) for finding in findings], ())
    log["runs"][0]["properties"] = {"seconds": recording.wall, "partial": recording.partial}
    return log


def _log(
    results: Sequence[tuple[Finding, str | None]], failures: Sequence[Failure]
) -> dict[str, Any]:
    rules = _rules()
    indexes = {rule.code: index for index, rule in enumerate(rules)}
    seen: Counter[str] = Counter()
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "unslow",
                "semanticVersion": __version__,
                "version": __version__,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {
            ROOT: {"description": {"text": "The folder in which unslow was called."}}
        },
        "invocations": [
            {
                "executionSuccessful": not failures,
                "toolExecutionNotifications": [_notification(each) for each in failures],
            }
        ],
        "results": [
            _result(finding, reason, indexes[finding.code], seen) for finding, reason in results
        ],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules() -> list[Rule]:
    from unslow.catalogue import pages

    causes = [
        Rule(
            page.code,
            page.name,
            " ".join(page.sections()[""].split()),
            page.text(),
            type(page).__module__.rpartition(".")[0].rpartition(".")[2],
        )
        for page in pages()
    ]
    return [*causes, *SUPPRESSION_RULES]


def _rule(rule: Rule) -> dict[str, Any]:
    level = "warning" if rule.code in SUPPRESSION_CODES else "note"
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.summary},
        "help": {"text": rule.text, "markdown": rule.text},
        "defaultConfiguration": {"level": level},
        "properties": {
            "tags": [tag for tag in ("performance", rule.family) if tag],
            "problem.severity": "recommendation",
        },
    }


def _result(finding: Finding, reason: str | None, rule: int, seen: Counter[str]) -> dict[str, Any]:
    level = "warning" if finding.code in SUPPRESSION_CODES else _LEVELS[finding.kind]
    site = finding.site
    cell = "" if site.cell is None else f"cell {site.cell}, line {site.line}: "
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "kind": "pass" if finding.kind == "cleared" else "fail",
        "level": level,
        "message": {"text": f"{cell}{finding.message}"},
        "locations": [_location(site)],
        "partialFingerprints": {"unslow/v1": _fingerprint(finding, seen)},
        "properties": {"kind": finding.kind},
    }
    fixes = [
        fix
        for alternative in finding.alternatives
        if site.cell is None and alternative.edits
        for fix in [_fix(alternative)]
    ]
    if fixes:
        result["fixes"] = fixes
    if reason is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": reason}]
    if finding.cost.seconds > 0:
        result["properties"]["seconds"] = finding.cost.seconds
    return result


def _location(site: Site) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(site.path)}
    if site.cell is None:
        region = {"startLine": site.line}
        if site.column is not None:
            region["startColumn"] = site.column
        if site.end_line is not None and site.end_line > site.line:
            region["endLine"] = site.end_line
        physical["region"] = region
    logical = [] if site.function.startswith("<") else [{"name": site.function, "kind": "function"}]
    if site.cell is not None:
        logical.append({"name": f"cell {site.cell}", "kind": "module"})
    location: dict[str, Any] = {"physicalLocation": physical}
    if logical:
        location["logicalLocations"] = logical
    return location


def _artifact(path: str) -> dict[str, str]:
    if Path(path).is_absolute():
        return {"uri": f"file://{_quoted(path)}"}
    return {"uri": _quoted(path), "uriBaseId": ROOT}


def _quoted(path: str) -> str:
    return quote(os.fsencode(path.replace(os.sep, "/")))


def _fix(alternative: Alternative) -> dict[str, Any]:
    note = f" ({alternative.safety})"
    if alternative.note:
        note = f" ({alternative.safety}: {alternative.note.rstrip('.')})"
    by_path: dict[str, list[dict[str, Any]]] = {}
    for edit in alternative.edits:
        by_path.setdefault(edit.path, []).append(
            {
                "deletedRegion": {
                    "startLine": edit.start[0],
                    "startColumn": edit.start[1],
                    "endLine": edit.end[0],
                    "endColumn": edit.end[1],
                },
                "insertedContent": {"text": edit.text},
            }
        )
    return {
        "description": {"text": f"{alternative.name}{note}"},
        "artifactChanges": [
            {"artifactLocation": _artifact(path), "replacements": replacements}
            for path, replacements in by_path.items()
        ],
    }


def _fingerprint(finding: Finding, seen: Counter[str]) -> str:
    """Stays the same when lines are added elsewhere: cause, file, function, and which of them."""
    site = finding.site
    text = "\n".join((finding.code, site.path, str(site.cell), site.function))
    seen[text] += 1
    data = f"{text}\n{seen[text]}".encode(errors="surrogateescape")
    return hashlib.sha256(data).hexdigest()[:32]


def _notification(failure: Failure) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(failure.path)}
    if failure.line is not None and failure.cell is None:
        physical["region"] = {"startLine": failure.line}
    return {
        "level": "error",
        "message": {"text": f"{failure.place}: {failure.message}"},
        "locations": [{"physicalLocation": physical}],
    }
