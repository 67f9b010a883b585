"""The report as text for people, in a terminal."""

from __future__ import annotations

import linecache
import signal
from collections.abc import Callable, Iterable, Iterator

from unslow.catalogue.page import count_text, seconds_text
from unslow.finding import Alternative, Finding, Proof, Site, saved_seconds, total_seconds
from unslow.recording.data import Program, Recording
from unslow.report.text import Paint, counted, cut, plain_ratio, printable, wrapped

SourceLine = Callable[[Site], str]
"""The text of the source line at a site, empty where it cannot be read."""

MEANING = {
    "imports": "importing modules",
    "build": "building models, tracing and compiling",
    "input": "waiting for the next element of data",
    "bridge": "waiting for Python called from graphs",
    "convert": "turning arrays into tensors and back",
    "eager": "TensorFlow operations run one by one",
    "graph": "TensorFlow's work in compiled graphs",
    "python": "everything else the program does",
    "recorder": "the cost of watching",
}
"""What each part of the time budget is, in words that need no other."""

LEAST_WIDTH = 50
MOST_WIDTH = 110
BAR = 24
HOTTEST = 10
LEAST_IN_THREAD = 1e-3
"""Seconds of another thread that are worth a word."""


def source_line(site: Site) -> str:
    """The text of the line at `site`, read from its file; empty where there is none."""
    return "" if site.cell is not None else linecache.getline(site.path, site.line)


def render(
    recording: Recording,
    findings: Iterable[Finding],
    width: int = 100,
    color: bool = False,
    source: SourceLine = source_line,
) -> str:
    """The whole report, ending in a newline."""
    paint = Paint(color)
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    findings = list(findings)
    found = [finding for finding in findings if finding.kind != "cleared"]
    cleared = [finding for finding in findings if finding.kind == "cleared"]
    sections = [
        _headline(recording, [f for f in found if f.kind == "problem"], paint, width),
        _budget(recording, paint, width),
        *(
            _finding(number, finding, recording.wall, paint, width)
            for number, finding in enumerate(found, start=1)
        ),
        [line for f in cleared for line in wrapped(_not_worth(f), width, 1)],
        _lines(recording, source, paint, width),
        _threads(recording, paint),
        _unwatched(recording, paint, width),
        [line for note in recording.notes for line in wrapped(f"note: {note}", width, 1)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _headline(recording: Recording, problems: list[Finding], paint: Paint, width: int) -> list[str]:
    program = recording.program
    wall = recording.wall
    sentences = [f"{_program_name(program)} took {seconds_text(wall)}."]
    if program.tensorflow is None:
        sentences.append("It never imported TensorFlow, so there was little to watch.")
    if problems:
        seconds = total_seconds(problems)
        causes = len({finding.code for finding in problems})
        has = counted(causes, "known cause")
        if len(problems) > causes:
            has += f" at {len(problems)} places"
        if seconds > 0:
            has = f"{seconds_text(seconds)} of it ({_share(seconds, wall)}) has {has}"
            sentences.append(has + _without(problems, wall))
        else:
            sentences.append(f"It has {has}.")
    elif program.tensorflow is not None:
        sentences.append("No known cause of slowness was found in it.")
        largest = max(recording.parts.items(), key=lambda item: item[1], default=None)
        if largest is not None and largest[1] > 0:
            name, seconds = largest
            sentences.append(
                f"Most of the time, {seconds_text(seconds)} ({_share(seconds, wall)}), "
                f"went to {name}: {MEANING.get(name, name)}."
            )
    ending = _ending(program.exit_status)
    if ending:
        sentences.append(ending)
    lines = [paint.strong(line) for line in wrapped(" ".join(sentences), width)]
    if recording.partial:
        text = (
            "This report is partial: the program ended before its recording was complete, "
            "so the last seconds may be missing."
        )
        lines += [paint.cost(line) for line in wrapped(text, width)]
    return lines


def _without(problems: list[Finding], wall: float) -> str:
    """The end of the sentence: how long the program would take."""
    saved = saved_seconds(problems)
    if saved <= 0:
        return "."
    rest = f"it would take about {seconds_text(max(0.0, wall - saved))}."
    if all(finding.gain is not None for finding in problems):
        return f"; without {'them' if len(problems) > 1 else 'it'} {rest}"
    return f"; with what experiments have shown {rest}"


def _program_name(program: Program) -> str:
    words = program.argv
    if words[:1] == ("-m",):
        return f"python {' '.join(words[:2])}"
    return printable(words[0]) if words else "The program"


def _ending(status: int | None) -> str:
    if not status:
        return ""
    # A process that a signal ended has no status of its own; shells say 128 and the signal.
    number = -status if status < 0 else status - 128
    try:
        name = f" ({signal.Signals(number).name})"
    except ValueError:
        name = ""
    return f"It ended with exit status {status}{name}."


def _budget(recording: Recording, paint: Paint, width: int) -> list[str]:
    rows = sorted(
        ((name, seconds) for name, seconds in recording.parts.items() if seconds > 0),
        key=lambda row: -row[1],
    )
    if not rows:
        return []
    lines = [paint.strong("Where the time went")]
    longest = rows[0][1]
    bar = BAR if width >= 100 else 0
    for name, seconds in rows:
        head = (
            f"  {name:<8}  {_right(seconds_text(seconds), 8)}  "
            f"{_right(_share(seconds, recording.wall), 6)}  "
        )
        shown = _bar(seconds / longest, bar)
        room = width - len(head) - len(shown)
        lines.append(head + paint.cost(shown) + paint.faint(cut(MEANING.get(name, ""), room)))
    return [line.rstrip() for line in lines]


def _bar(share: float, width: int) -> str:
    halves = round(share * width * 2)
    text = "█" * (halves // 2) + "▌" * (halves % 2)
    return f"{text:<{width}}  " if width else ""


def _finding(number: int, finding: Finding, wall: float, paint: Paint, width: int) -> list[str]:
    title = f"{number:>2}  {finding.code} {finding.name}"
    place = printable(finding.site.place) + _function(finding.site)
    cost = _cost(finding, wall)
    title_width = 36
    if max(len(title), title_width) + 2 + len(place) + 2 + len(cost) <= width:
        gap = " " * (width - max(len(title), title_width) - 2 - len(place) - len(cost))
        title = title.ljust(title_width)
        lines = [f"{paint.name(title)}  {paint.strong(place)}{gap}{paint.cost(cost)}"]
    else:
        gap = " " * max(width - len(title) - len(cost), 2)
        lines = [f"{paint.name(title)}{gap}{paint.cost(cost)}", f"    {paint.strong(place)}"]
    lines += wrapped(finding.message, width, 4)
    gains = finding.gain is not None and finding.gain.seconds > 0
    best = next(iter(finding.alternatives), None) if gains else None
    lines += measured(finding.alternatives, best, width)
    if finding.untried:
        lines += wrapped(f"not tried: {finding.untried}", width, 4)
    lines.append(paint.faint(f"    more: unslow explain {finding.code}"))
    return [line.rstrip() for line in lines]


def _function(site: Site) -> str:
    return "" if site.function.startswith("<") else f"  {printable(site.function)}()"


def _cost(finding: Finding, wall: float) -> str:
    if finding.gain is not None:
        gain = finding.gain
        return f"gain {seconds_text(gain.seconds)}  {_percent(gain.share)}"
    if finding.kind == "suspicion":
        return "suspected"
    if finding.cost.seconds > 0:
        return f"{seconds_text(finding.cost.seconds)}  {_share(finding.cost.seconds, wall)}"
    return f"{count_text(finding.cost.calls)} calls" if finding.cost.calls else ""


def measured(
    alternatives: Iterable[Alternative], best: Alternative | None, width: int
) -> Iterator[str]:
    """What was tried: a line each, `best` marked, by what it was measured on.

    Ways that were not measured for the same reason stand together.
    """
    tried = [each for each in alternatives if each.proof is not None or each.failure]
    names = min(max((len(each.name) for each in tried), default=0), 44)
    inputs = None
    failed: dict[str, list[str]] = {}
    for each in tried:
        proof = each.proof
        if proof is None:
            failed.setdefault(each.failure, []).append(each.name)
            continue
        if proof.inputs != inputs:
            inputs = proof.inputs
            yield from wrapped(f"measured on {inputs}:" if inputs else "measured:", width, 4)
        name = f"{each.name:<{names}}  "
        low, high = proof.interval
        mark = "  ← best" if each is best else ""
        text = f"{_ratio(proof.ratio):>6}  ({_ratio(low)} to {_ratio(high)})  {_same(proof)}{mark}"
        yield from wrapped(name + text, width, 6)
        if mark and each.note:
            yield from wrapped(f"mind: {each.note}", width, 8)
    for failure, ways in failed.items():
        several = f"{'; '.join(ways)}: " if len(ways) > 1 else f"{ways[0]:<{names}}  "
        yield from wrapped(several + failure, width, 6)


def _ratio(ratio: float) -> str:
    return f"{plain_ratio(ratio)}×"


def _same(proof: Proof) -> str:
    if proof.equal is True:
        return f"equal within {proof.max_error:.0e}" if proof.max_error else "equal"
    if proof.equal:
        return "equal in distribution"
    return f"not equal: {printable(proof.where)}" if proof.where else "not equal"


def _not_worth(finding: Finding) -> str:
    place = printable(finding.site.place)
    text = f"not worth fixing: {place} {finding.code} {finding.name}: {finding.message}"
    best = next((each for each in finding.alternatives if each.proof and each.proof.equal), None)
    if best is not None and best.proof is not None:
        text += f" {best.name}: {_ratio(best.proof.ratio)} measured."
    return text


def _lines(recording: Recording, source: SourceLine, paint: Paint, width: int) -> list[str]:
    rows = sorted(recording.lines, key=lambda row: -row.seconds)
    rows = [row for row in rows[:HOTTEST] if row.seconds > 0]
    if not rows:
        return []
    lines = [paint.strong("The lines that took longest")]
    places = [printable(row.site.place) for row in rows]
    place_width = min(max(map(len, places)), 32)
    for row, place in zip(rows, places, strict=True):
        part = max(row.parts, key=lambda name: row.parts[name])
        head = (
            f"  {_right(seconds_text(row.seconds), 8)}  "
            f"{_right(_share(row.seconds, recording.wall), 6)}  {part:<8}  "
        )
        text = printable(source(row.site).strip())
        room = width - len(head) - max(len(place), place_width) - 2
        shown = cut(text, room) if room >= 12 else ""
        lines.append(f"{head}{place:<{place_width}}  {paint.faint(shown)}".rstrip())
    return lines


def _threads(recording: Recording, paint: Paint) -> list[str]:
    rows = [row for row in recording.threads if sum(row.parts.values()) >= LEAST_IN_THREAD]
    if not rows:
        return []
    lines = [paint.strong("In other threads, beside the main one")]
    for row in sorted(rows, key=lambda row: -sum(row.parts.values())):
        parts = sorted(row.parts.items(), key=lambda item: -item[1])
        shown = ", ".join(
            f"{name} {seconds_text(value)}" for name, value in parts if value >= LEAST_IN_THREAD
        )
        lines.append(f"  {printable(row.name)} ({counted(row.threads, 'thread')}): {shown}")
    return lines


def _unwatched(recording: Recording, paint: Paint, width: int) -> list[str]:
    if not recording.unwatched:
        return []
    lines = [paint.strong("Not watched in this run")]
    for row in recording.unwatched:
        lines += wrapped(f"{row.seam}: {row.why}", width, 2)
    return lines


def _share(seconds: float, wall: float) -> str:
    return _percent(seconds / wall if wall else 0.0)


def _percent(share: float) -> str:
    if 0 < share < 0.01:
        return "< 1 %"
    return f"{share * 100:.0f} %"


def _right(text: str, width: int) -> str:
    return text.rjust(width)
