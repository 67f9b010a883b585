"""Comments that silence findings: `# unslow: ignore[TF101] reason`, and `ignore-file`."""

from __future__ import annotations

import io
import itertools
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from unslow.check.codes import Code, resolve
from unslow.finding import Alternative, Edit, Finding, Site
from unslow.report.checked import (
    SUPPRESSION_CODES,
    SUPPRESSION_RULES,
    UNKNOWN,
    UNREASONED,
    UNUSED,
    Suppressed,
)
from unslow.source.notebook import NotebookText
from unslow.source.text import SourceText

MARK = b"unslow:"
"""Stands in every file that has a suppression comment."""

_COMMENT = re.compile(
    r"""\#[ \t]*unslow:[ \t]*
        (?P<verb>[\w-]*)[ \t]*
        (?P<list>\[(?P<codes>[^\]\#]*)\])?[ \t]*
        (?P<reason>.*?)[ \t]*
        (?=\#[ \t]|\Z)""",
    re.VERBOSE,
)
_VERBS = frozenset({"ignore", "ignore-file", "ignore-next", "noqa", "disable", "off", "skip"})
"""What is meant to silence something, understood or not; other comments are prose."""

_NAMES = {rule.code: rule.name for rule in SUPPRESSION_RULES}
_BEFORE_CODE = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING})


@dataclass(frozen=True)
class Suppression:
    """One comment. Lines and columns count in the cell `cell`, or in the file.

    `words` are the codes and names as written, each with its code, or None. `end` is
    the column after the comment, `alone` whether nothing else stands on its line.
    """

    line: int
    column: int
    end: int
    verb: str
    words: tuple[tuple[str, str | None], ...]
    reason: str
    on_top: bool
    alone: bool
    text: str
    cell: int | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that it names, each once."""
        return tuple(dict.fromkeys(code for _, code in self.words if code))

    @property
    def whole_file(self) -> bool:
        """Whether it is meant for the whole file."""
        return self.verb == "ignore-file"

    @property
    def in_force(self) -> bool:
        """Whether it silences anything at all."""
        return bool(self.codes) and (self.verb == "ignore" or (self.whole_file and self.on_top))

    def covers(self, finding: Finding) -> bool:
        """Whether it silences a finding."""
        site = finding.site
        if not self.in_force or finding.code not in self.codes:
            return False
        if self.whole_file:
            return True
        return self.cell == site.cell and self.line in (site.line, site.end_line)


def suppressions(data: bytes, notebook: bool, known: Sequence[Code]) -> list[Suppression]:
    """The suppression comments of a file, in order.

    Raises:
        SourceError: the bytes are no text, or no notebook.
    """
    if MARK not in data:
        return []
    if not notebook:
        return list(_in_lines(SourceText.of(data).lines, None, known))
    text = NotebookText.of(data)
    found: list[Suppression] = []
    bounds = [start - 1 for start in text.starts] + [len(text.lines)]
    for cell, (start, end) in enumerate(itertools.pairwise(bounds), start=1):
        found += _in_lines(text.lines[start:end], cell, known)
    return found


def apply_suppressions(
    path: str,
    findings: Iterable[Finding],
    comments: Sequence[Suppression],
    judged: frozenset[str],
) -> tuple[list[Finding], list[Suppressed]]:
    """What is left of the findings, faults of the comments with them, and what is silenced.

    `judged`: the codes that were looked for in this file; no other can be unused.
    """
    left: list[Finding] = []
    silenced: list[Suppressed] = []
    used: set[tuple[int, str]] = set()
    for finding in findings:
        covering = [(i, c) for i, c in enumerate(comments) if c.covers(finding)]
        used.update((i, finding.code) for i, _ in covering)
        if covering:
            silenced.append(Suppressed(finding, covering[0][1].reason))
        else:
            left.append(finding)
    for index, comment in enumerate(comments):
        unused = tuple(
            code
            for code in comment.codes
            if comment.in_force
            and code in judged
            and code not in SUPPRESSION_CODES
            and (index, code) not in used
        )
        for fault in _faults(path, comment, unused):
            silencing = next((each for each in comments if each.covers(fault)), None)
            if silencing is not None:
                silenced.append(Suppressed(fault, silencing.reason))
            elif fault.code in judged:
                left.append(fault)
    return left, silenced


def _in_lines(
    lines: Sequence[str], cell: int | None, known: Sequence[Code]
) -> Iterator[Suppression]:
    top = cell in (None, 1)
    reader = io.StringIO("\n".join(lines) + "\n").readline
    before_docstring = True
    try:
        for token in tokenize.generate_tokens(reader):
            if token.type == tokenize.COMMENT:
                for match in _COMMENT.finditer(token.string):
                    if match["list"] is not None or match["verb"] in _VERBS:
                        yield _suppression(token, match, cell, top, known)
            elif token.type == tokenize.STRING and before_docstring:
                before_docstring = False
            elif token.type not in _BEFORE_CODE:
                top = False
    except (tokenize.TokenError, SyntaxError):
        # What does not parse is told of elsewhere; the comments up to there count.
        return


def _suppression(
    token: tokenize.TokenInfo,
    match: re.Match[str],
    cell: int | None,
    top: bool,
    known: Sequence[Code],
) -> Suppression:
    line, offset = token.start
    words = [word.strip() for word in (match["codes"] or "").split(",") if word.strip()]
    return Suppression(
        line=line,
        column=offset + match.start() + 1,
        end=offset + match.end() + 1,
        verb=match["verb"],
        words=tuple((word, resolve(word, known)) for word in words),
        reason=match["reason"],
        on_top=top,
        alone=not token.line[:offset].strip() and match.span() == (0, len(token.string)),
        text=token.line.rstrip("\r\n"),
        cell=cell,
    )


def _faults(path: str, comment: Suppression, unused: tuple[str, ...]) -> Iterator[Finding]:
    wrong = _misunderstood(comment)
    if wrong:
        yield _fault(UNKNOWN, path, comment, wrong)
    if not comment.in_force:
        return
    unknown = [word for word, code in comment.words if code is None]
    if unknown:
        yield _fault(UNKNOWN, path, comment, f"There is no cause {', '.join(unknown)}.")
    if not comment.reason:
        yield _fault(
            UNREASONED, path, comment, "The comment does not say why: write it behind the bracket."
        )
    if unused:
        what = "anywhere in this file" if comment.whole_file else "at this line"
        edit = _without(path, comment, unused)
        yield _fault(
            UNUSED,
            path,
            comment,
            f"{', '.join(unused)} {'was' if len(unused) == 1 else 'were'} not found {what}.",
            (Alternative("remove it", "safe", (edit,)),),
        )


def _misunderstood(comment: Suppression) -> str:
    if comment.verb not in ("ignore", "ignore-file"):
        return "The comment is not understood: write # unslow: ignore[CODE] reason."
    if not comment.words:
        return "The comment names no cause: write # unslow: ignore[CODE] reason."
    if not comment.codes:
        return f"There is no cause {', '.join(word for word, _ in comment.words)}."
    if comment.whole_file and not comment.on_top:
        return "ignore-file stands above the first statement of a file, or counts for nothing."
    return ""


def _fault(
    code: str,
    path: str,
    comment: Suppression,
    message: str,
    alternatives: tuple[Alternative, ...] = (),
) -> Finding:
    site = Site(path, comment.line, "<module>", comment.line, comment.column, comment.cell)
    return Finding(code, _NAMES[code], "suspicion", site, message, alternatives=alternatives)


def _without(path: str, comment: Suppression, unused: tuple[str, ...]) -> Edit:
    """Take codes out of a comment, or the whole comment where none would be left."""
    line, column, end, text = comment.line, comment.column, comment.end, ""
    kept = [word for word, code in comment.words if code not in unused]
    if kept:
        reason = f" {comment.reason}" if comment.reason else ""
        text = f"# unslow: {comment.verb}[{', '.join(kept)}]{reason}"
        if end <= len(comment.text):
            text += "  "
    elif comment.alone:
        return Edit(path, (line, 1), (line + 1, 1), "", comment.cell)
    elif end > len(comment.text):
        # The white space before the comment goes with it.
        column = len(comment.text[: column - 1].rstrip()) + 1
    return Edit(path, (line, column), (line, end), text, comment.cell)
