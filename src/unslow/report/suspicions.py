"""What a check found, as text for people."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from unslow.finding import Alternative, Finding, Site
from unslow.report.checked import SUPPRESSION_CODES, Checked, fixable
from unslow.report.text import Paint, counted, cut, printable, wrapped

SourceLine = Callable[[Site], str]

_BLOCK = re.compile(r"(?:async[ \t]+)?(?:for|while|with|def|class|if|return|yield|await|del)\b|@")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def render(
    checked: Checked,
    source: SourceLine,
    width: int | None = None,
    color: bool = False,
    summary: bool = True,
) -> str:
    """The findings, then how many there are. `width`: of a terminal; else lines stay whole."""
    paint = Paint(color)
    blocks = ["\n".join(_finding(f, checked, source, paint, width)) for f in checked.findings]
    if summary:
        blocks.append("\n".join(_summary(checked, paint)))
    return "\n\n".join(blocks) + "\n" if blocks else ""


def statistics(checked: Checked, color: bool = False) -> str:
    """How many findings of each cause there are, the most first."""
    paint = Paint(color)
    counts = Counter((finding.code, finding.name) for finding in checked.findings)
    able = Counter(f.code for f in checked.findings if fixable(f, checked.unsafe_fixes))
    lines = []
    for (code, name), count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        mark = "[*]" if able[code] == count else "[-]" if able[code] else "[ ]"
        lines.append(f"{count:>5}  {paint.name(code)}  {mark} {name}")
    return "".join(f"{line}\n" for line in lines)


def diff_summary(checked: Checked) -> str:
    """What the edits that a diff shows would do."""
    if not checked.fixed:
        return "Nothing to fix."
    files = counted(len(checked.fixed_files), "file")
    return f"Would fix {counted(checked.fixed, 'suspicion')} in {files}."


def _finding(
    finding: Finding, checked: Checked, source: SourceLine, paint: Paint, width: int | None
) -> Iterator[str]:
    site = finding.site
    column = "" if site.column is None else f":{site.column}"
    place = printable(f"{site.place}{column}")
    mark = "[*] " if fixable(finding, checked.unsafe_fixes) else ""
    head = f"{paint.strong(place)}: {paint.name(f'{finding.code} {finding.name}')} {mark}"
    message = printable(finding.message)
    cost = _cost(finding, checked)
    if width is None:
        yield f"{head}{cost}{message}"
        margin = "  "
    else:
        margin = "    "
        yield f"{head}{paint.cost(cost)}".rstrip()
        yield from wrapped(finding.message, width, 4)
    yield from _quoted(site, source(site), paint, margin, width)
    for alternative in finding.alternatives:
        yield from _alternative(alternative, paint, margin, width)


def _cost(finding: Finding, checked: Checked) -> str:
    if finding.kind != "problem" or checked.recording is None:
        return ""
    if finding.cost.seconds <= 0:
        return "(measured) "
    from unslow.catalogue.page import seconds_text

    share = finding.cost.seconds / checked.recording.wall if checked.recording.wall else 0.0
    return f"({seconds_text(finding.cost.seconds)}, {share * 100:.0f} % of the run) "


def _quoted(site: Site, line: str, paint: Paint, margin: str, width: int | None) -> Iterator[str]:
    """The source line with its place marked; nothing where it cannot be read."""
    line = line.rstrip("\r\n")
    if not line.strip():
        return
    start = (site.column or 1) - 1
    end = max(start + 1, extent(line, start))
    indent = len(line) - len(line.lstrip())
    left = min(indent, start)
    shown = printable(line[left:]).rstrip()
    # Tabs and the like have another width than in the source.
    before = len(printable(line[left:start]))
    marked = len(printable(line[left:end])) - before
    number = str(site.line)
    if width is not None:
        room = width - len(margin) - len(number) - 3
        shown = cut(shown, room)
        marked = min(marked, room - before)
    yield paint.faint(f"{margin}{number} | ") + shown
    if site.column is not None and marked > 0:
        gap = " " * (len(number) + 3 + before)
        yield f"{margin}{gap}" + paint.cost("^" * marked)


def extent(line: str, start: int) -> int:
    """Where in `line` ends what begins at `start`: a name with its calls, or a statement's head."""
    text = line[start:]
    code = start + len(_without_comment(text).rstrip())
    if _BLOCK.match(text):
        return code
    position = start
    while position < code:
        char = line[position]
        if char in _CLOSING:
            position = _closed(line, position, code)
            following = line[position : position + 1]
            if following not in ("(", "[", "."):
                return position
        elif char.isalnum() or char in "_.":
            position += 1
        else:
            return max(position, start + 1)
    return code


def _closed(line: str, position: int, end: int) -> int:
    """The place after the bracket that closes the one at `position`, at most `end`."""
    waiting: list[str] = []
    quote = ""
    while position < end:
        char = line[position]
        if quote:
            if char == "\\":
                position += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in _CLOSING:
            waiting.append(_CLOSING[char])
        elif waiting and char == waiting[-1]:
            waiting.pop()
            if not waiting:
                return position + 1
        position += 1
    return end


def _without_comment(text: str) -> str:
    quote = ""
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "#":
            return text[:position]
    return text


def _alternative(
    alternative: Alternative, paint: Paint, margin: str, width: int | None
) -> Iterator[str]:
    if not alternative.edits:
        head = "instead"
    elif alternative.safety == "safe":
        head = "fix"
    else:
        head = "unsafe fix"
    note = f" ({alternative.note.rstrip('.')})" if alternative.note else ""
    text = f"{head}: {alternative.name}{note}"
    if width is None:
        yield paint.faint(f"{margin}{printable(text)}")
    else:
        yield from (paint.faint(line) for line in wrapped(text, width, len(margin)))


def _summary(checked: Checked, paint: Paint) -> Iterator[str]:
    files = f"{counted(checked.files, 'file')} read"
    if checked.passed_over:
        files += f", {checked.passed_over} without TensorFlow passed over"
    if checked.fixed:
        where = counted(len(checked.fixed_files), "file")
        yield paint.strong(f"Fixed {counted(checked.fixed, 'suspicion')} in {where}.")
    if not checked.findings:
        left = "left" if checked.fixed else "found"
        yield paint.strong(f"Nothing suspicious {left}") + f" ({files})."
    else:
        yield paint.strong(f"Found {_amount(checked)}") + f" ({files})."
        if checked.recording is None and any(
            finding.code not in SUPPRESSION_CODES for finding in checked.findings
        ):
            yield paint.faint("Seen in the source, not measured: unslow run says what they cost.")
    if checked.cleared:
        yield f"{len(checked.cleared)} cleared by the recording."
    able = sum(fixable(finding, False) for finding in checked.findings)
    more = sum(fixable(finding, True) for finding in checked.findings) - able
    if checked.unsafe_fixes:
        able, more = able + more, 0
    if able or more:
        yield _offer(able, more, checked.unsafe_fixes)


def _offer(able: int, more: int, unsafe: bool) -> str:
    if not able:
        return f"{more} fixable with unslow fix --unsafe-fixes."
    command = "unslow fix --unsafe-fixes" if unsafe else "unslow fix"
    tail = f", {more} more with --unsafe-fixes" if more else ""
    return f"[*] {able} fixable with {command}{tail}."


def _amount(checked: Checked) -> str:
    faults = sum(finding.code in SUPPRESSION_CODES for finding in checked.findings)
    problems = sum(finding.kind == "problem" for finding in checked.findings)
    suspicions = len(checked.findings) - faults - problems
    parts = [
        counted(count, noun)
        for count, noun in (
            (problems, "problem"),
            (suspicions, "suspicion"),
            (faults, "faulty suppression"),
        )
        if count
    ]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    where = len({finding.site.path for finding in checked.findings})
    return f"{listed} in {counted(where, 'file')}"
