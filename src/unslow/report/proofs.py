"""What proving came to, as plain data, as text for people and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unslow import __version__
from unslow.catalogue.page import seconds_text
from unslow.finding import Alternative, Finding, Proof
from unslow.plain import to_plain
from unslow.report.document import SCHEMA
from unslow.report.text import Paint, counted, cut, plain_ratio, printable, wrapped

LEAST_WIDTH = 78
MOST_WIDTH = 110

MEASURED = 76
"""Characters of a line of the table beside the name of the fix."""

SEVERAL = "some"
"""Stands in a narrow first column for fixes that are listed below."""

Verdict = Literal["faster", "slower", "no difference", "unclear"]


@dataclass(frozen=True)
class FixTried:
    """A fix, or several together, and what its runs have shown.

    `fixes`: the numbers of the fixes, from 1; `whole`: the ratio of the whole program, where
    that of `proof` is of the part after start-up. `equal` is `None` where no run came to its
    end; `where` says what is not equal. `failure` says why there is no proof. `chosen`: it is
    what `--write` applies.
    """

    fixes: tuple[int, ...]
    equal: bool | Literal["distribution"] | None
    proof: Proof | None = None
    whole: float | None = None
    verdict: Verdict | None = None
    where: str = ""
    failure: str = ""
    chosen: bool = False


@dataclass(frozen=True)
class Proved:
    """What proving came to. `fixes` and `singles` belong together, one by one.

    `error`: what the program's traceback says, where it fails. `wall` and `startup`: median
    seconds of the program as it is, in `runs` runs. `varying` was not compared, as it varies
    by itself; `random`: those results among it for which no equality can be seen. `asked`:
    whether fixes were to be written; `written`: the files that were.
    """

    argv: tuple[str, ...]
    exit_status: int
    error: str
    wall: float
    startup: float
    runs: int
    budget: float
    fixes: tuple[tuple[Finding, Alternative], ...] = ()
    singles: tuple[FixTried, ...] = ()
    together: tuple[FixTried, ...] = ()
    varying: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    interrupted: bool = False
    asked: bool = False
    written: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[int, ...]:
        """The numbers of the fixes that `--write` applies."""
        for each in (*self.together, *self.singles):
            if each.chosen:
                return each.fixes
        return ()


def document(proved: Proved) -> dict[str, Any]:
    """The report on proving, made of what `json` can write."""
    report = {
        "unslow": __version__,
        "schema": SCHEMA,
        "program": {"argv": proved.argv, "exit_status": proved.exit_status, "error": proved.error},
        "time": {"wall": proved.wall, "startup": proved.startup, "runs": proved.runs},
        "budget": proved.budget,
        "interrupted": proved.interrupted,
        "varying": proved.varying,
        "random": proved.random,
        "fixes": [
            {
                "code": finding.code,
                "name": finding.name,
                "path": finding.site.path,
                "cell": finding.site.cell,
                "line": finding.site.line,
                "column": finding.site.column,
                "function": finding.site.function,
                "alternative": alternative.name,
                "safety": alternative.safety,
                "note": alternative.note,
                "edits": alternative.edits,
                **_outcome(tried),
            }
            for (finding, alternative), tried in zip(proved.fixes, proved.singles, strict=True)
        ],
        "together": [{"fixes": each.fixes, **_outcome(each)} for each in proved.together],
        "chosen": proved.chosen,
        "written": proved.written,
        "notes": proved.notes,
    }
    plain: dict[str, Any] = to_plain(report)
    return plain


def _outcome(tried: FixTried) -> dict[str, Any]:
    proof = tried.proof
    return {
        "whole": tried.whole,
        "ratio": proof and proof.ratio,
        "interval": proof and proof.interval,
        "pairs": proof and proof.pairs,
        "verdict": tried.verdict,
        "equal": tried.equal,
        "max_error": proof and proof.max_error,
        "tolerance": proof and proof.tolerance,
        "where": tried.where,
        "failure": tried.failure,
    }


def render(proved: Proved, width: int = 100, color: bool = False) -> str:
    """The table with what it rests on and what to do, ending in a newline."""
    paint = Paint(color)
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    sections = [
        list(_headline(proved, paint, width)),
        list(_table(proved, paint, width)),
        [line for note in proved.notes for line in wrapped(f"note: {note}", width)],
        [paint.strong(line) for line in wrapped(_advice(proved), width)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _headline(proved: Proved, paint: Paint, width: int) -> Iterator[str]:
    name = " ".join(proved.argv[:2]) if proved.argv[:1] == ("-m",) else proved.argv[0]
    text = f"{name} takes {seconds_text(proved.wall)}, "
    text += f"{seconds_text(proved.startup)} of it to start up"
    text += f" (median of {proved.runs - 1} runs)." if proved.runs > 2 else "."
    if proved.exit_status:
        error = f" ({proved.error})" if proved.error else ""
        text += (
            f" It ends with exit status {proved.exit_status}{error}; a fix must make it end in "
            "the same way."
        )
    yield from (paint.strong(line) for line in wrapped(text, width))
    if proved.varying:
        text = f"Not compared, since it varies by itself: {', '.join(proved.varying)}."
        yield from wrapped(text, width)


def _table(proved: Proved, paint: Paint, width: int) -> Iterator[str]:
    if not proved.singles:
        return
    names = [f"{finding.code} {printable(finding.site.place)}" for finding, _ in proved.fixes]
    sets = [_together_name(each, len(names)) for each in proved.together]
    longest = max(map(len, [*names, *sets]))
    heading = f"{'whole':>6}  {'after start-up':<20}  {'pairs':>5}  {'verdict':<13}  result"
    # Where the line is too short for both, the name stands below what was measured.
    beside = longest + MEASURED <= width
    yield paint.faint(f"    {'fix':<{longest}}  {heading}" if beside else f" fix  {heading}")
    for number, (tried, name) in enumerate(zip(proved.singles, names, strict=True), start=1):
        measured = _measured(tried, paint)
        what = _alternative(proved.fixes[number - 1][1])
        if beside:
            yield f"{number:>2}  {paint.name(name.ljust(longest))}  {measured}".rstrip()
            yield from map(paint.faint, wrapped(what, width, 4))
        else:
            yield f"{number:>4}  {measured}".rstrip()
            yield from _below(name, what, paint, width)
        yield from _why(tried, width, 4 if beside else 6)
    for tried, name in zip(proved.together, sets, strict=True):
        first = f"    {paint.name(name.ljust(longest))}" if beside else _short_name(name)
        yield f"{first}  {_measured(tried, paint)}".rstrip()
        if first == SEVERAL:
            yield f"      {paint.name(name)}"
        yield from _why(tried, width, 4 if beside else 6)


def _alternative(alternative: Alternative) -> str:
    return alternative.name + (" (unsafe)" if alternative.safety == "unsafe" else "")


def _below(name: str, what: str, paint: Paint, width: int) -> Iterator[str]:
    """The name of a fix and what it does: in a line of their own, or in one each."""
    if len(name) + len(what) + 8 <= width:
        yield f"      {paint.name(name)}: {paint.faint(printable(what))}"
    else:
        yield f"      {paint.name(cut(name, width - 6))}"
        yield from map(paint.faint, wrapped(what, width, 6))


def _short_name(name: str) -> str:
    """What stands for a set of fixes in a narrow first column."""
    short = name.removesuffix(" together").replace(" and ", ", ")
    if short.startswith("all "):
        return " all"
    return f"{short:>4}" if len(short) <= len(SEVERAL) else SEVERAL


def _measured(tried: FixTried, paint: Paint) -> str:
    """The cells of a row behind its first one."""
    proof = tried.proof
    whole = "" if tried.whole is None else _ratio(tried.whole)
    after = pairs = ""
    if proof is not None:
        low, high = proof.interval
        after = f"{_ratio(proof.ratio):>6}  {plain_ratio(low)} to {plain_ratio(high)}"
        pairs = str(proof.pairs)
    verdict = paint.cost(f"{_verdict(tried):<13}")
    return f"{whole:>6}  {after:<20}  {pairs:>5}  {verdict}  {_result(tried)}"


def _verdict(tried: FixTried) -> str:
    if tried.verdict is not None:
        return tried.verdict
    return "not measured" if tried.failure else "out"


def _result(tried: FixTried) -> str:
    if tried.equal is None:
        return ""
    if tried.equal == "distribution":
        return "in distribution"
    if not tried.equal:
        return "not equal"
    error = None if tried.proof is None else tried.proof.max_error
    return f"equal within {error:.0e}" if error else "equal"


def _why(tried: FixTried, width: int, indent: int) -> Iterator[str]:
    if tried.failure:
        yield from wrapped(tried.failure, width, indent)
    elif tried.where:
        yield from wrapped(f"not equal: {tried.where}", width, indent)


def _together_name(tried: FixTried, of: int) -> str:
    if len(tried.fixes) == of:
        return "both together" if of == 2 else f"all {of} together"
    return f"{_listed(tried.fixes)} together"


def _listed(numbers: Sequence[int]) -> str:
    words = [str(number) for number in numbers]
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _ratio(value: float) -> str:
    return f"{plain_ratio(value)}×"


def _advice(proved: Proved) -> str:
    of = counted(len(proved.fixes), "fix").replace("fixs", "fixes")
    how = "together " if len(proved.chosen) > 1 else ""
    stopped = "Stopped by Ctrl-C. " if proved.interrupted else ""
    if not proved.fixes:
        return f"{stopped}Nothing in its source is known to be slow and can be mended."
    if proved.written:
        return (
            f"{stopped}Applied {len(proved.chosen)} of {of}, proven {how}faster and equal, "
            f"in {', '.join(proved.written)}."
        )
    if proved.chosen:
        which = f"{_listed(proved.chosen)}, " if len(proved.fixes) > 1 else ""
        if proved.asked:
            return f"{stopped}Nothing was written."
        return (
            f"{stopped}--write would apply {len(proved.chosen)} of {of}: {which}"
            f"proven {how}faster and equal."
        )
    if proved.random and any(each.verdict == "faster" for each in proved.singles):
        return (
            f"{stopped}Nothing to apply: results vary from run to run "
            f"({', '.join(proved.random[:3])}), so that they are of the same form is all that can "
            "be seen. Seed the program, as with keras.utils.set_random_seed(0), to have its fixes "
            "proven."
        )
    none = "The fix is not" if len(proved.fixes) == 1 else f"None of the {of} is"
    return f"{stopped}{none} proven faster and equal: nothing to apply."
