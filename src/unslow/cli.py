"""The commands: parse, call, render. A room loads only for the command that needs it."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

from unslow import __version__

if TYPE_CHECKING:
    from unslow.catalogue.page import Page
    from unslow.finding import Finding, Site
    from unslow.recording.data import Recording
    from unslow.report.terminal import SourceLine

ERROR = 2
"""The exit status where unslow itself failed."""

_RUN_VALUES = ("--output", "--limit", "--include")
"""Options of `unslow run` that take a value."""

_RUN_USAGE = "unslow run [options] (SCRIPT | -m MODULE | NOTEBOOK) [args ...]"


class UsageError(Exception):
    """What was asked for cannot be done; the message is one sentence for the user."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return the exit status."""
    try:
        status = _command(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except UsageError as error:
        _say(f"unslow: {error}\n")
        return ERROR
    except BrokenPipeError:
        # The reader of our output has gone; let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        _end_by(signal.SIGINT)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help tells more")


def _command(argv: list[str]) -> int:
    target: list[str] = []
    if argv[:1] == ["run"]:
        options, target = _split_target(argv[1:])
        argv = ["run", *options]
    args = _parser().parse_args(argv)
    if args.command == "run":
        return _run(args, target)
    if args.command == "explain":
        return _explain(args.cause)
    return _causes(args.output_format)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="unslow", description="Says why a TensorFlow program is slow.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"unslow {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser(
        "run",
        help="run a program and report where its time goes",
        usage=_RUN_USAGE,
        description=(
            "Runs a script, a module or a notebook as Python would, watches it, and reports on "
            "standard error where its time went and which known causes took it. All that "
            "follows the program's name belongs to the program. The exit status is its own."
        ),
        allow_abbrev=False,
    )
    run.add_argument(
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        help="also write the report to FILE, in the format of its ending (.json); repeatable",
    )
    run.add_argument(
        "--limit",
        metavar="SECONDS",
        type=_seconds,
        help="end the program after this time and report",
    )
    run.add_argument(
        "--include",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="treat this installed package as part of the program; repeatable",
    )
    run.add_argument(
        "--no-windows",
        dest="windows",
        action="store_false",
        help="leave out the short stretches under the TensorFlow profiler",
    )

    explain = commands.add_parser(
        "explain", help="print the page of a cause", description="Prints the page of a cause."
    )
    explain.add_argument("cause", metavar="CAUSE", help="its code or name, such as TF201")

    causes = commands.add_parser(
        "causes", help="list the known causes", description="Lists the known causes."
    )
    causes.add_argument("--output-format", choices=("text", "json"), default="text")
    return parser


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above zero")
    return value


def _split_target(words: list[str]) -> tuple[list[str], list[str]]:
    """Split what follows `run` into our options and the program with its arguments."""
    index = 0
    while index < len(words):
        word = words[index]
        if word == "--":
            return words[:index], words[index + 1 :]
        if word.startswith("-m") and not word.startswith("--"):
            # Python takes `-mmodule` too.
            module = [word[2:]] if word[2:] else []
            return words[:index], ["-m", *module, *words[index + 1 :]]
        if not word.startswith("-") or word == "-":
            return words[:index], words[index:]
        index += 2 if word in _RUN_VALUES else 1
    return words, []


def _run(args: argparse.Namespace, target: list[str]) -> int:
    if not target:
        raise UsageError(f"no program given; use: {_RUN_USAGE}")
    if target[0] == "-m" and len(target) < 2:
        raise UsageError("no module given after -m")
    if target[0] == "-":
        raise UsageError("a program on standard input cannot be run; give it as a file")

    from unslow.report import output
    from unslow.run.parent import RunError, RunOptions, run_program

    try:
        for path in args.output:
            output.check(path)
        result = run_program(
            RunOptions(
                target=tuple(target),
                limit=args.limit,
                include=tuple(args.include),
                windows=args.windows,
            )
        )
    except (RunError, output.OutputError) as error:
        raise UsageError(str(error)) from error

    if result.recording is None:
        _say(f"unslow: {result.why}\n")
    else:
        try:
            _report(result.recording, args.output)
        except Exception:
            # A fault of ours must not change what the program's caller sees.
            _say(f"unslow: the report failed, please tell its makers:\n{traceback.format_exc()}")
    if result.killed_by:
        _end_by(result.killed_by)
    return result.exit_status


def _report(recording: Recording, paths: Sequence[str]) -> None:
    from unslow.catalogue import diagnose
    from unslow.report import output, terminal

    findings: list[Finding] = diagnose(recording)
    text = terminal.render(
        recording, findings, width=_width(), color=_colored(sys.stderr), source=_source_line()
    )
    _say("\n" + text)
    for path in paths:
        try:
            output.write(path, recording, findings)
        except output.OutputError as error:
            # The program has run: its exit status stands.
            _say(f"unslow: {error}\n")


def _source_line() -> SourceLine:
    from unslow.report.terminal import source_line
    from unslow.run.notebook import NotebookError, read_notebook

    notebooks: dict[str, dict[int, list[str]]] = {}

    def cells(path: str) -> dict[int, list[str]]:
        if path not in notebooks:
            try:
                found = {c.number: c.source.splitlines() for c in read_notebook(path)}
            except NotebookError:
                found = {}
            notebooks[path] = found
        return notebooks[path]

    def line(site: Site) -> str:
        if site.cell is None:
            return source_line(site)
        return dict(enumerate(cells(site.path).get(site.cell, ()), start=1)).get(site.line, "")

    return line


def _explain(cause: str) -> int:
    from unslow.catalogue import page, pages
    from unslow.report.terminal import fit_encoding

    try:
        found = page(cause)
    except KeyError as error:
        raise UsageError(f"there is no cause {cause!r}{_near(cause, pages())}") from error
    pieces = [
        f"{found.code} {found.name}",
        found.text(),
        "## Slow",
        _indented(found.slow),
        "## Fast",
        _indented(found.fast),
    ]
    sys.stdout.write(fit_encoding("\n\n".join(pieces) + "\n", sys.stdout.encoding))
    return 0


def _near(cause: str, known: Sequence[Page]) -> str:
    import difflib

    names = {page.name: page.name for page in known} | {
        page.code.lower(): page.code for page in known
    }
    near = difflib.get_close_matches(cause.lower(), names, n=1)
    return f"; did you mean {names[near[0]]}?" if near else "; unslow causes lists them"


def _indented(program: str) -> str:
    lines = program.strip("\n").splitlines()
    return "\n".join(f"    {line}".rstrip() for line in lines)


def _causes(output_format: str) -> int:
    from unslow.catalogue import pages
    from unslow.report.terminal import fit_encoding

    known = pages()
    if output_format == "json":
        rows = [
            {"code": p.code, "name": p.name, "family": _family(p), "summary": _summary(p)}
            for p in known
        ]
        print(json.dumps(rows, indent=2))
        return 0
    codes = max((len(page.code) for page in known), default=0)
    names = max((len(page.name) for page in known), default=0)
    for page in known:
        line = f"{page.code:<{codes}}  {page.name:<{names}}  {_summary(page)}"
        print(fit_encoding(line.rstrip(), sys.stdout.encoding))
    return 0


def _family(page: Page) -> str:
    return type(page).__module__.split(".")[-2]


def _summary(page: Page) -> str:
    return " ".join(page.sections()[""].split())


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return shutil.get_terminal_size((100, 24)).columns


def _colored(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _say(text: str) -> None:
    from unslow.report.terminal import fit_encoding

    if sys.stderr is None:
        return
    try:
        sys.stderr.write(fit_encoding(text, sys.stderr.encoding))
        sys.stderr.flush()
    except BrokenPipeError:
        # Nobody reads the report any more; the exit status still counts.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _end_by(number: int) -> NoReturn:
    """End this process by the signal that ended the program, so that the shell sees the same."""
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
        os.kill(os.getpid(), number)
    # Reached where the signal does not end a process, or there are none.
    raise SystemExit(128 + number)
