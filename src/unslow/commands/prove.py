"""`unslow prove`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unslow.commands.check import choice_of, words
from unslow.commands.console import ERROR, StatusLine, UsageError, bar, colored, say, width
from unslow.commands.run import seconds

if TYPE_CHECKING:
    from unslow.experiment.whole.candidate import Candidate
    from unslow.experiment.whole.fixes import Fix, Named, Sources
    from unslow.experiment.whole.observation import Observation
    from unslow.experiment.whole.outcome import Outcome, Running
    from unslow.report.proofs import FixTried, Proved

VALUES = (
    *("--output", "--limit", "--include", "--budget"),
    *("--select", "--extend-select", "--ignore", "--config"),
)
"""Options that take a value."""

_USAGE = "unslow prove [options] (SCRIPT | -m MODULE | NOTEBOOK) [args ...]"


def add_parser(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "prove",
        help="run a program with and without fixes and say which are faster and equal",
        usage=_USAGE,
        description=(
            "Runs a program as it is and with each fix laid over its source in memory, in turn, "
            "and says which fixes make it faster and leave its results as they are. No file is "
            "touched without --write. All that follows the program's name belongs to the "
            "program. Exit status: 0 where it could be judged, 2 where not."
        ),
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--write", action="store_true", help="apply what is proven faster and equal")
    add(
        "--budget",
        metavar="SECONDS",
        type=seconds,
        help="time for the runs with fixes; by default enough for five of each, 60 to 600",
    )
    add("--limit", metavar="SECONDS", type=seconds, help="end a run after this time")
    add(
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        help="also write the report to FILE, whose name ends in .json; repeatable",
    )
    add(
        "--include",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="treat this installed package as part of the program; repeatable",
    )
    codes: dict[str, Any] = {"metavar": "CODES", "action": "append", "type": words}
    add("--select", **codes, help="try the fixes of these causes: codes, prefixes, names, ALL")
    add("--extend-select", **codes, default=[], help="try those of these causes too")
    add("--ignore", **codes, default=[], help="do not try those of these causes")
    add("--config", metavar="FILE", help="take the settings from this file")


def prove(args: argparse.Namespace, target: list[str]) -> int:
    """Prove the fixes of a program and report; 0 where they could be judged."""
    if not target:
        raise UsageError(f"no program given; use: {_USAGE}")
    if target[0] == "-m" and len(target) < 2:
        raise UsageError("no module given after -m")
    if target[0] == "-":
        raise UsageError("a program on standard input cannot be run; give it as a file")
    from unslow.check.settings import CheckError
    from unslow.experiment.whole.outcome import ProveError
    from unslow.report.output import OutputError
    from unslow.run.parent import RunError

    try:
        _check_outputs(args.output)
        return _prove(args, tuple(target))
    except (RunError, OutputError, CheckError, ProveError) as error:
        raise UsageError(str(error)) from error


def _prove(args: argparse.Namespace, target: tuple[str, ...]) -> int:
    from unslow.experiment.whole.program import run_program_once
    from unslow.experiment.whole.prove import prove as prove_fixes
    from unslow.report import proofs
    from unslow.report.output import to_json, write_text
    from unslow.report.text import fit_encoding
    from unslow.run.parent import check_program

    check_program(target)
    finder = _Finder(args, Path.cwd() if target[0] == "-m" else Path(target[0]))

    paths: Sequence[str] | None = None

    def run(
        contents: Mapping[str, bytes], functions: Collection[Named], limit: float | None
    ) -> Observation:
        nonlocal paths
        observation = run_program_once(
            target,
            contents,
            functions,
            limit=limit,
            include=tuple(args.include),
            looked_at=paths,
        )
        # To see what it writes slows it down: that is done in the first run, which is not timed.
        paths = observation.paths if paths is None else paths
        return observation

    status = StatusLine(sys.stderr)

    def tell(running: Running) -> None:
        count = bar(running.number - 1, running.of) if running.of else f"run {running.number}:"
        status.show(f"{count} {running.what}")

    try:
        outcome = prove_fixes(run, finder.find, tell, budget=args.budget, limit=args.limit)
    finally:
        status.clear()
    written: tuple[str, ...] = ()
    failures: list[str] = []
    if args.write and outcome.chosen is not None:
        assert finder.sources is not None
        written, failures = write(finder.sources, outcome.chosen)
    proved = _proved(target, outcome, (*finder.notes, *outcome.notes), args.write, written)
    text = proofs.render(proved, width=width(sys.stdout), color=colored(sys.stdout))
    sys.stdout.write(fit_encoding(text, sys.stdout.encoding))
    sys.stdout.flush()
    for path in args.output:
        write_text(path, to_json(proofs.document(proved)))
    for failure in failures:
        say(f"unslow: {failure}\n")
    if failures:
        return ERROR
    return 128 + signal.SIGINT if outcome.interrupted else 0


def _check_outputs(paths: Sequence[str]) -> None:
    from unslow.report.output import OutputError, check_place

    for path in paths:
        if Path(path).suffix.lower() != ".json":
            raise OutputError(
                f"cannot write the report to {path}: the ending of its name picks the format, "
                "known is .json"
            )
        check_place(path)


class _Finder:
    """Finds the fixes in a program's own files, as `unslow check` would."""

    def __init__(self, args: argparse.Namespace, start: Path) -> None:
        from dataclasses import replace

        from unslow.check.settings import find_settings

        config = None if args.config is None else Path(args.config)
        settings = find_settings(start, config)
        if settings.select is None:
            # What a check leaves alone for want of certainty is just what can be tried here.
            settings = replace(settings, select=("ALL",))
        self._settings = settings
        self._choice = choice_of(args, settings, None)
        self._write = bool(args.write)
        self.sources: Sources | None = None
        self.notes: list[str] = []

    def find(self, files: Sequence[str]) -> tuple[Sources, list[Fix]]:
        """The program's files as they are now, and the fixes in them.

        Raises:
            ProveError: fixes are to be written, and one of these files cannot be.
        """
        from unslow.check.checking import Check
        from unslow.check.files import find_files
        from unslow.check.fixing import why_not_writable
        from unslow.check.settings import shown
        from unslow.experiment.whole.fixes import Fix, Sources, absolute, constants
        from unslow.experiment.whole.outcome import ProveError
        from unslow.report.checked import SUPPRESSION_CODES

        paths = list(dict.fromkeys(absolute(file) for file in files))
        checking = Check(find_files(map(Path, paths), self._settings), self._choice)
        checked = checking.run()
        self.notes = [f"{each.place}: {each.message}" for each in checked.failures]
        fixes = [
            Fix(finding, alternative)
            for finding in checked.findings
            if finding.code not in SUPPRESSION_CODES
            for alternative in finding.alternatives
            if alternative.edits
        ]
        contents = {path: data for path in paths if (data := _content(path)) is not None}
        fixes = [fix for fix in fixes if fix.paths.issubset(contents)]
        touched = sorted({path for fix in fixes for path in fix.paths})
        for path in touched if self._write else ():
            # Said now, and not after minutes of runs.
            if why := why_not_writable(path):
                raise ProveError(f"{shown(path)} cannot be mended: {why}; nothing was proven")
        touching = {path: contents[path] for path in touched}
        self.sources = Sources(touching, constants(contents))
        return self.sources, fixes


def write(sources: Sources, chosen: Candidate) -> tuple[tuple[str, ...], list[str]]:
    """Write what was proven, all of it or nothing: the files written, or why they were not."""
    from unslow.check.fixing import why_not_writable
    from unslow.check.settings import shown
    from unslow.report.output import replace_file

    before = sources.contents
    after = {path: data for path, data in chosen.contents.items() if data != before[path]}
    failures = []
    for path in after:
        why = why_not_writable(path)
        try:
            if not why and Path(path).read_bytes() != before[path]:
                why = "it has changed meanwhile"
        except OSError as error:
            why = error.strerror or "it cannot be read"
        if why:
            failures.append(f"{shown(path)} is not mended: {why}")
    if failures:
        return (), failures
    written: list[str] = []
    for path, data in after.items():
        try:
            replace_file(Path(path).resolve(), data)
            written.append(path)
        except OSError as error:
            failures.append(f"{shown(path)} cannot be mended: {error.strerror}")
            # What was proven is all of it together.
            failures += [why for done in written if (why := _put_back(done, before[done]))]
            return (), failures
    return tuple(shown(path) for path in written), failures


def _put_back(path: str, data: bytes) -> str:
    """Give a file the content it had; why that cannot be done, and where the content is then."""
    from unslow.check.settings import shown
    from unslow.report.output import replace_file

    try:
        replace_file(Path(path).resolve(), data)
        return ""
    except OSError as error:
        why = f"{shown(path)} stays mended and cannot be put back: {error.strerror}"
    try:
        handle, kept = tempfile.mkstemp(prefix="unslow-", suffix=f"-{Path(path).name}")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except OSError as error:
        return f"{why}; what it held could not be kept elsewhere either: {error.strerror}"
    return f"{why}; what it held is in {kept}"


def _content(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def _proved(
    target: tuple[str, ...],
    outcome: Outcome,
    notes: Sequence[str],
    asked: bool,
    written: tuple[str, ...],
) -> Proved:
    from unslow.report.proofs import Proved

    fixes = [candidate.fixes[0] for candidate in outcome.singles]
    numbers = {fix: number for number, fix in enumerate(fixes, start=1)}
    return Proved(
        argv=target,
        exit_status=outcome.exit_status,
        error=outcome.error,
        wall=outcome.wall,
        startup=outcome.startup,
        runs=outcome.runs,
        budget=outcome.budget,
        fixes=tuple((fix.finding, fix.alternative) for fix in fixes),
        singles=tuple(_tried(each, numbers, outcome) for each in outcome.singles),
        together=tuple(_tried(each, numbers, outcome) for each in outcome.together),
        varying=tuple(outcome.varying),
        random=tuple(outcome.random),
        notes=tuple(dict.fromkeys(notes)),
        interrupted=outcome.interrupted,
        asked=asked,
        written=written,
    )


def _tried(candidate: Candidate, numbers: Mapping[Fix, int], outcome: Outcome) -> FixTried:
    from unslow.report.proofs import FixTried

    judgement = candidate.judgement
    failure = candidate.failure
    equal, where = (None, "") if judgement is None else (judgement.equal, judgement.where)
    if judgement is not None and judgement.unseen:
        equal, where, failure = None, "", where
    elif not candidate.out and candidate.proof is None:
        reason = "the runs were stopped" if outcome.interrupted else "the budget was spent"
        failure = f"not measured: {reason}"
    return FixTried(
        fixes=tuple(numbers[fix] for fix in candidate.fixes),
        equal=equal,
        proof=candidate.proof,
        whole=candidate.whole,
        verdict=candidate.verdict,
        where=where,
        failure=failure,
        chosen=candidate is outcome.chosen,
    )
