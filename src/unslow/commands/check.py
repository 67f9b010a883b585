"""`unslow check` and `unslow fix`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from unslow.check.settings import OUTPUT_FORMATS, absolute, shown
from unslow.commands.console import ERROR, UsageError, colored, say, source_line, width
from unslow.report.text import printable

if TYPE_CHECKING:
    from unslow.check.checking import Check, Choice
    from unslow.check.codes import Code
    from unslow.check.fixing import Fixed
    from unslow.check.settings import Settings
    from unslow.report.checked import Checked

FOUND = 1
"""The exit status where something was found."""

BAR = 30
LEAST_COLUMNS = 50
MOST_COLUMNS = 110

WORTH_A_BAR = 1.0
"""Seconds after which the user is shown how far the check is."""

STDIN = "-"


def add_parsers(commands: Any) -> None:
    """Add the commands to the parser's."""
    check = commands.add_parser(
        "check",
        help="read source and report what looks slow",
        description=(
            "Reads Python files and notebooks without running them, and reports what looks slow. "
            "Exit status: 0 nothing found, 1 something found, 2 something could not be done."
        ),
        allow_abbrev=False,
    )
    fix = commands.add_parser(
        "fix",
        help="the same, and mend what can be mended safely",
        description="The same as unslow check --fix.",
        allow_abbrev=False,
    )
    for parser in (check, fix):
        _add_arguments(parser)
    check.add_argument("--fix", action="store_true", help="mend what can be mended safely")
    fix.set_defaults(fix=True)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("paths", metavar="PATH", nargs="*", default=["."], help="files and folders; - is stdin")
    codes: dict[str, Any] = {"metavar": "CODES", "action": "append", "type": words}
    add("--select", **codes, help="look for these causes: codes, prefixes of them, names, ALL")
    add("--extend-select", **codes, default=[], help="look for these causes too")
    add("--ignore", **codes, default=[], help="do not look for these causes")
    add("--unsafe-fixes", action="store_true", default=None, help="also what may change results")
    add("--diff", action="store_true", help="show what --fix would change, and change nothing")
    add("--output-format", choices=OUTPUT_FORMATS, help="the form of the report (default: text)")
    add("--output-file", metavar="FILE", help="write the report to FILE")
    add("--recording", metavar="FILE", help="compare with the report of unslow run --output FILE")
    add("--statistics", action="store_true", help="count the findings of each cause")
    add("--show-files", action="store_true", help="list the files that would be read, and stop")
    add("--exit-zero", action="store_true", help="end with status 0 when something is found")
    add("-q", "--quiet", action="store_true", help="findings only: no summary, no progress")
    add("--config", metavar="FILE", help="take the settings from this file")
    add("--no-cache", action="store_true", help="read every file again, and keep nothing")
    add("--cache-dir", metavar="DIR", help="where to keep what was found")
    add("--stdin-filename", metavar="FILE", help="the name of what comes from stdin")


def words(text: str) -> list[str]:
    """An option's words, with commas between them."""
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise argparse.ArgumentTypeError("names no cause")
    return found


def check(args: argparse.Namespace) -> int:
    """Check what was asked for, mend it if that was asked for, and report."""
    from unslow.check.settings import CheckError

    _check_options(args)
    try:
        return _check(args)
    except CheckError as error:
        raise UsageError(str(error)) from error


def _check_options(args: argparse.Namespace) -> None:
    if args.recording is not None and (args.fix or args.diff):
        raise UsageError("--recording goes with a check alone: edits move the lines it speaks of")
    if STDIN in args.paths and len(args.paths) > 1:
        raise UsageError("- stands for standard input and goes with no other path")
    if args.stdin_filename is not None and args.paths != [STDIN]:
        raise UsageError("--stdin-filename goes with - alone")
    if args.output_file is not None:
        from unslow.report.output import OutputError, check_place

        try:
            check_place(args.output_file)
        except OutputError as error:
            raise UsageError(str(error)) from error


def _check(args: argparse.Namespace) -> int:
    from unslow.check.checking import Check
    from unslow.check.files import find_files
    from unslow.check.settings import find_settings

    stdin = args.paths == [STDIN]
    paths = [Path(args.stdin_filename or STDIN)] if stdin else [Path(p) for p in args.paths]
    config = None if args.config is None else Path(args.config)
    settings = find_settings(paths[0], config)
    folder = None if stdin else _cache_folder(args, settings, paths)
    choice = choice_of(args, settings, folder)
    measured = None
    if args.recording is not None:
        from unslow.check.joining import read_recording

        measured = read_recording(args.recording)
    contents = {str(absolute(paths[0])): sys.stdin.buffer.read()} if stdin else {}
    files = find_files(paths, settings, contents)
    if args.show_files:
        return _show_files(files.asked)
    checking = Check(files, choice, folder, contents)
    with _Progress(args.quiet) as progress:
        checked = checking.run(progress)
    if not files.asked and not files.failures:
        say("unslow: no Python files or notebooks there\n")
    unsafe = settings.unsafe_fixes if args.unsafe_fixes is None else args.unsafe_fixes
    if args.fix or args.diff:
        return _fix(args, settings, checking, checked, unsafe)
    if measured is not None:
        from unslow.check.joining import join

        checked = join(checked, measured)
    return _report(args, settings, replace(checked, unsafe_fixes=unsafe), checking.contents)


def _fix(
    args: argparse.Namespace, settings: Settings, checking: Check, checked: Checked, unsafe: bool
) -> int:
    from unslow.check.fixing import Fixer, write

    fixed = Fixer(checking, unsafe).fix(checked)
    if args.diff:
        return _diff(args, fixed)
    if not checking.contents:
        return _report(args, settings, write(fixed))
    contents = {path: fixed.after.get(path, data) for path, data in checking.contents.items()}
    for data in contents.values():
        sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return _report(args, settings, fixed.rest, contents, sys.stderr)


def _diff(args: argparse.Namespace, fixed: Fixed) -> int:
    from unslow.check.fixing import diff
    from unslow.report.suspicions import diff_summary

    for text in diff(fixed):
        sys.stdout.buffer.write(text.encode(errors="surrogateescape"))
    sys.stdout.buffer.flush()
    _say_failures(fixed.rest)
    if not args.quiet:
        say(f"{diff_summary(fixed.rest)}\n")
    if fixed.rest.failures:
        return ERROR
    return FOUND if fixed.after and not args.exit_zero else 0


def _report(
    args: argparse.Namespace,
    settings: Settings,
    checked: Checked,
    contents: Mapping[str, bytes] | None = None,
    stream: TextIO | None = None,
) -> int:
    """Write the report where it was asked for, or to `stream`, and return the exit status."""
    form = args.output_format or settings.output_format
    stream = stream or sys.stdout
    text = _rendered(args, form, checked, contents or {}, stream)
    if args.output_file is not None:
        from unslow.report.output import OutputError, write_text

        try:
            write_text(args.output_file, text)
        except OutputError as error:
            raise UsageError(str(error)) from error
    else:
        from unslow.report.text import fit_encoding

        stream.write(fit_encoding(text, stream.encoding))
        stream.flush()
    _say_failures(checked)
    for note in checked.notes:
        say(f"unslow: {printable(note)}\n")
    if checked.failures:
        return ERROR
    return FOUND if checked.findings and not args.exit_zero else 0


def _rendered(
    args: argparse.Namespace,
    form: str,
    checked: Checked,
    contents: Mapping[str, bytes],
    stream: TextIO,
) -> str:
    if form == "json":
        from unslow.report.document import check_document
        from unslow.report.output import to_json

        return to_json(check_document(checked))
    if form == "sarif":
        from unslow.report.output import to_json
        from unslow.report.sarif import check_log

        return to_json(check_log(checked))
    if form == "github":
        from unslow.report import github

        return github.render(checked)
    from unslow.report import suspicions

    terminal = args.output_file is None and stream.isatty()
    color = terminal and colored(stream)
    if args.statistics and checked.findings:
        return suspicions.statistics(checked, color)
    columns = max(LEAST_COLUMNS, min(width(stream), MOST_COLUMNS)) if terminal else None
    return suspicions.render(checked, source_line(contents), columns, color, not args.quiet)


def _say_failures(checked: Checked) -> None:
    for failure in dict.fromkeys(checked.failures):
        say(f"unslow: {printable(failure.place)}: {printable(failure.message)}\n")


def choice_of(args: argparse.Namespace, settings: Settings, folder: Path | None) -> Choice:
    """What to look for: the settings', unless the command line chooses anew."""
    from unslow.check.checking import Choice
    from unslow.check.codes import check_selectors, select

    known = _known(folder)
    if settings.source is not None:
        said = (settings.select or (), settings.extend_select, settings.ignore)
        ignores = (codes for _, codes in settings.per_file_ignores)
        for selectors in (*said, *ignores):
            check_selectors(selectors, known, shown(settings.source))
    chosen = None if args.select is None else _flat(args.select)
    also, ignored = _flat(args.extend_select), _flat(args.ignore)
    check_selectors(chosen or (), known, "--select")
    check_selectors(also, known, "--extend-select")
    check_selectors(ignored, known, "--ignore")
    if chosen is None:
        chosen = settings.select
        also = (*settings.extend_select, *also)
        ignored = (*settings.ignore, *ignored)
    return Choice(known, select(known, chosen, also, ignored), settings)


def _known(folder: Path | None) -> tuple[Code, ...]:
    from unslow.check.codes import known_codes

    if folder is None:
        return known_codes()
    from unslow.check.cache import known_from, note_known

    known = known_from(folder)
    if known is None:
        known = known_codes()
        note_known(folder, known)
    return known


def _cache_folder(
    args: argparse.Namespace, settings: Settings, paths: Sequence[Path]
) -> Path | None:
    if args.no_cache:
        return None
    if args.cache_dir is not None:
        return absolute(Path(args.cache_dir))
    if not settings.marked and not paths[0].is_dir():
        # A file that belongs to no project: its folder is not ours to write to.
        return None
    from unslow.check.cache import FOLDER

    return settings.root / FOLDER


def _flat(words: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(each for group in words for each in group)


def _show_files(paths: Iterable[str]) -> int:
    from unslow.report.text import fit_encoding

    for path in paths:
        print(fit_encoding(printable(shown(path)), sys.stdout.encoding))
    return 0


class _Progress:
    """A bar on standard error, once the work has taken a while; none where nobody looks."""

    def __init__(self, quiet: bool) -> None:
        self._on = not quiet and sys.stderr is not None and sys.stderr.isatty()
        self._next = time.monotonic() + WORTH_A_BAR
        self._shown = False

    def __enter__(self) -> _Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        if not self._on or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 0.1
        self._shown = True
        filled = BAR * done // max(total, 1)
        say(f"\r{'#' * filled}{'.' * (BAR - filled)} {done}/{total} files")

    def __exit__(self, *error: object) -> None:
        if self._shown:
            say("\r\x1b[2K")
