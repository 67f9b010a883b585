"""Applies the edits of findings, pass by pass, and writes what they made of the files."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from unslow.check.checking import Check
from unslow.check.overlay import Overlay
from unslow.check.reading import Reading, is_notebook, read_file
from unslow.check.settings import absolute, shown
from unslow.finding import Alternative, Finding
from unslow.report.checked import Checked, Failure, fixable
from unslow.report.output import replace_file
from unslow.source import edits as editing
from unslow.source.edits import EditError
from unslow.source.notebook import NotebookText
from unslow.source.project import text_of
from unslow.source.text import SourceError

MOST_PASSES = 20
"""Edits that overlap wait for the next pass. Causes that need more passes than this do not end."""


@dataclass(frozen=True)
class Fixed:
    """What the edits came to: the new contents of each changed file, and what is left to say.

    `count`: how many findings were mended, `rest` the check of the files as they are now.
    """

    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    count: int
    rest: Checked


@dataclass(frozen=True)
class _Fix:
    """One finding with the alternative that is to be applied."""

    finding: Finding
    alternative: Alternative

    @property
    def key(self) -> tuple[str, str, str, tuple[str, ...]]:
        """Stays the same when other edits move it to another line."""
        edits = tuple(edit.text for edit in self.alternative.edits)
        return self.finding.site.path, self.finding.code, self.alternative.name, edits

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(str(absolute(Path(edit.path))) for edit in self.alternative.edits)


@dataclass
class _State:
    """The files as the edits so far have left them, and what they come to."""

    contents: dict[str, bytes] = field(default_factory=dict)
    readings: dict[str, Reading] = field(default_factory=dict)


class Fixer:
    """Applies what the findings of a check offer, without writing anything yet."""

    def __init__(self, check: Check, unsafe: bool) -> None:
        self._check = check
        self._unsafe = unsafe
        self._facts = check.facts()
        self._files = tuple(Path(path) for path in check.entries)
        self._asked = check.files.asked
        self._before: dict[str, bytes] = dict(check.contents)
        self._refused: dict[tuple[str, str, str, tuple[str, ...]], Failure] = {}
        self._locked: dict[str, Failure] = {}
        self._count = 0

    def fix(self, checked: Checked) -> Fixed:
        """Apply all that can be applied, and check again what that changed."""
        state = _State(
            readings={
                path: entry.reading
                for path, entry in self._check.entries.items()
                if entry.reading is not None and path in self._asked
            }
        )
        for _ in range(MOST_PASSES):
            fixes = self._chosen(state)
            if not fixes:
                break
            state = self._pass(state, fixes)
        else:
            for fix in self._chosen(state):
                self._refuse(fix, f"is not applied: there was no end after {MOST_PASSES} passes")
        after = {path: data for path, data in state.contents.items() if data != self._before[path]}
        readings = [state.readings[path] for path in self._asked if path in state.readings]
        failures = (*checked.failures, *self._refused.values(), *self._locked.values())
        rest = Checked(
            findings=tuple(f for r in readings for f in r.findings),
            suppressed=tuple(s for r in readings for s in r.suppressed),
            failures=failures,
            files=checked.files,
            passed_over=checked.passed_over,
            fixed=self._count,
            fixed_files=tuple(sorted(shown(path) for path in after)),
            unsafe_fixes=self._unsafe,
        )
        return Fixed({path: self._before[path] for path in after}, after, self._count, rest)

    def _chosen(self, state: _State) -> list[_Fix]:
        """The fixes of this pass: all that fit together."""
        fixes = [
            _Fix(finding, alternative)
            for reading in state.readings.values()
            for finding in reading.findings
            if (alternative := self._applicable(finding)) is not None
        ]
        fixes = [fix for fix in fixes if fix.key not in self._refused and self._open(fix)]
        indexes = editing.compatible([fix.alternative.edits for fix in fixes])
        return [fixes[index] for index in indexes]

    def _applicable(self, finding: Finding) -> Alternative | None:
        for alternative in finding.alternatives:
            if alternative.edits and (self._unsafe or alternative.safety == "safe"):
                return alternative
        return None

    def _open(self, fix: _Fix) -> bool:
        """Whether all the files it touches were asked for and can be written."""
        for path in fix.paths:
            if path not in self._asked:
                return False
            why = "" if path in self._check.contents else why_not_writable(path)
            if why:
                self._locked[path] = Failure(shown(path), f"cannot be mended: {why}")
                return False
        return True

    def _pass(self, state: _State, fixes: Sequence[_Fix]) -> _State:
        """All fixes at once; where that goes wrong, those that are good by themselves."""
        new, why = self._attempt(state, fixes)
        if new is None and len(fixes) > 1:
            good = []
            for fix in fixes:
                alone, why = self._attempt(state, [fix])
                if alone is None:
                    self._refuse(fix, why)
                else:
                    good.append(fix)
            new, why = self._attempt(state, good)
            fixes = good
            if new is None and good:
                # They spoil one another; the next pass sees to the others.
                fixes = good[:1]
                new, why = self._attempt(state, fixes)
        if new is None:
            for fix in fixes:
                self._refuse(fix, why)
            return state
        self._count += len(fixes)
        return new

    def _attempt(self, state: _State, fixes: Sequence[_Fix]) -> tuple[_State | None, str]:
        """What the fixes make of the files, or why they cannot be applied."""
        contents = dict(state.contents)
        touched = {path for fix in fixes for path in fix.paths}
        for path in sorted(touched):
            edits = [
                edit
                for fix in fixes
                for edit in fix.alternative.edits
                if str(absolute(Path(edit.path))) == path
            ]
            try:
                data = editing.apply(self._content(contents, path), edits, is_notebook(path))
                if _broken(path, data) and not _broken(path, self._content(state.contents, path)):
                    return None, "is not applied: the result would not parse"
            except EditError as error:
                return None, f"is not applied: {error}"
            except OSError as error:
                return None, f"is not applied: the file cannot be read: {error.strerror}"
            contents[path] = data
        new = _State(contents, dict(state.readings))
        self._read_again(new, touched)
        if any(
            new.readings[path].failures and not state.readings[path].failures
            for path in touched & state.readings.keys()
        ):
            return None, "is not applied: the result could not be checked"
        before, after = self._open_fixes(state), self._open_fixes(new)
        for key in {(fix.finding.site.path, fix.finding.code) for fix in fixes}:
            if after[key] >= before[key]:
                return None, "is not applied: it would not end what was found"
        return new, ""

    def _content(self, contents: Mapping[str, bytes], path: str) -> bytes:
        if path in contents:
            return contents[path]
        if path not in self._before:
            self._before[path] = Path(path).read_bytes()
        return self._before[path]

    def _read_again(self, state: _State, touched: set[str]) -> None:
        """Check the changed files again, and those whose findings rest on them."""
        contents = {**self._check.contents, **state.contents}
        overlay = {Path(path): data for path, data in contents.items()}
        project = Overlay(self._files, self._facts, overlay)
        for path, reading in list(state.readings.items()):
            if path in touched or not touched.isdisjoint(reading.consulted):
                choice = self._check.choice
                state.readings[path] = read_file(
                    project,
                    path,
                    shown(path),
                    self._content(state.contents, path),
                    choice.codes_for(path),
                    choice.known,
                )

    def _open_fixes(self, state: _State) -> Counter[tuple[str, str]]:
        return Counter(
            (finding.site.path, finding.code)
            for reading in state.readings.values()
            for finding in reading.findings
            if fixable(finding, self._unsafe)
        )

    def _refuse(self, fix: _Fix, why: str) -> None:
        site = fix.finding.site
        message = f"the fix of {fix.finding.code} {why}"
        self._refused[fix.key] = Failure(site.path, message, site.line, site.cell)


def write(fixed: Fixed) -> Checked:
    """Write the changed files, each whole or not at all; return what there is to report."""
    written, failures = [], []
    for path, data in fixed.after.items():
        target = Path(path).resolve()
        try:
            if target.read_bytes() == fixed.before[path]:
                replace_file(target, data)
                written.append(shown(path))
            else:
                failures.append(Failure(shown(path), "is not mended: it has changed meanwhile"))
        except OSError as error:
            failures.append(Failure(shown(path), f"cannot be mended: {error.strerror}"))
    return replace(
        fixed.rest,
        failures=(*fixed.rest.failures, *failures),
        fixed_files=tuple(sorted(written)),
        # Which of the mended findings were in a file that could not be written is not known.
        fixed=fixed.count if written else 0,
    )


def diff(fixed: Fixed) -> Iterator[str]:
    """What would change, as unified diffs."""
    for path in sorted(fixed.after):
        before, after = fixed.before[path], fixed.after[path]
        yield editing.diff(shown(path), before, after, is_notebook(path))


def why_not_writable(path: str) -> str:
    """Why the file at `path` cannot be written, empty where it can be."""
    target = Path(path).resolve()
    try:
        mode = target.stat().st_mode
    except OSError as error:
        return error.strerror or "it cannot be read"
    # The superuser may write what is marked as not to be written; nobody meant that.
    if not mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(target, os.W_OK):
        return "it is read-only"
    if not os.access(target.parent, os.W_OK | os.X_OK):
        return "its folder is read-only"
    return ""


def _broken(path: str, data: bytes) -> bool:
    """Whether the file does not parse, or a cell of the notebook does not."""
    try:
        text = text_of(Path(path), data)
        if isinstance(text, NotebookText):
            return bool(text.broken)
        text.parse()
    except SourceError:
        return True
    return False
