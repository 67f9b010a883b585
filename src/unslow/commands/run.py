"""`unslow run`."""

from __future__ import annotations

import argparse
import contextlib
import math
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from unslow.commands.console import (
    StatusLine,
    UsageError,
    bar,
    colored,
    end_by,
    say,
    source_line,
    width,
)

if TYPE_CHECKING:
    from unslow.run.parent import RunResult

_RUN_VALUES = ("--output", "--limit", "--include", "--budget")
"""Options that take a value."""

_RUN_USAGE = "unslow run [options] (SCRIPT | -m MODULE | NOTEBOOK) [args ...]"


def add_parser(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
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
    parser.add_argument(
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        help="also write the report to FILE, whose ending says how (.json, .sarif); repeatable",
    )
    parser.add_argument(
        "--limit",
        metavar="SECONDS",
        type=seconds,
        help="end the program after this time and report",
    )
    parser.add_argument(
        "--include",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="treat this installed package as part of the program; repeatable",
    )
    parser.add_argument(
        "--no-windows",
        dest="windows",
        action="store_false",
        help="leave out the short stretches under the TensorFlow profiler",
    )
    parser.add_argument(
        "--no-experiments",
        dest="experiments",
        action="store_false",
        help="do not try, after the program's end, what the causes found would give back",
    )
    parser.add_argument(
        "--budget",
        metavar="SECONDS",
        type=seconds,
        help="time for those experiments; by default as long as the program took, at most 60",
    )


def seconds(text: str) -> float:
    """An option's number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above zero")
    return value


def split_target(
    words: list[str], values: Sequence[str] = _RUN_VALUES
) -> tuple[list[str], list[str]]:
    """Split what follows `run` into our options and the program with its arguments.

    `values`: the options that take a value.
    """
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
        index += 2 if word in values else 1
    return words, []


def run(args: argparse.Namespace, target: list[str]) -> int:
    """Run a program and report; the exit status is its own."""
    if not target:
        raise UsageError(f"no program given; use: {_RUN_USAGE}")
    if target[0] == "-m" and len(target) < 2:
        raise UsageError("no module given after -m")
    if target[0] == "-":
        raise UsageError("a program on standard input cannot be run; give it as a file")

    from unslow.report import output
    from unslow.run.child import Plan
    from unslow.run.parent import RunError, RunOptions, run_program

    status = StatusLine(sys.stderr)
    started = time.time()
    with _without_interrupts():
        try:
            for path in args.output:
                output.check(path)
            result = run_program(
                RunOptions(
                    target=tuple(target),
                    limit=args.limit,
                    include=tuple(args.include),
                    windows=args.windows,
                    experiments=Plan(args.experiments, args.budget),
                ),
                progress=lambda trying: status.show(
                    f"{bar(trying.number - 1, trying.of)} trying {trying.finding}: {trying.way}"
                ),
            )
        except (RunError, output.OutputError) as error:
            raise UsageError(str(error)) from error
        finally:
            status.clear()

        if result.recording is None:
            say(f"unslow: {result.why}\n")
        else:
            try:
                _report(result, started, args.output)
            except Exception:
                # A fault of ours must not change what the program's caller sees.
                text = traceback.format_exc()
                say(f"unslow: the report failed, please tell its makers:\n{text}")
    if result.killed_by:
        end_by(result.killed_by)
    return result.exit_status


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from this process: it is meant for the program, and a report follows that."""
    before = signal.getsignal(signal.SIGINT)
    # A function of ours, as the program would inherit that a signal is ignored.
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


def _report(result: RunResult, started: float, paths: Sequence[str]) -> None:
    from unslow.catalogue import diagnose
    from unslow.check.offers import with_edits
    from unslow.report import output, terminal

    recording = result.recording
    assert recording is not None
    found = diagnose(recording) if result.tried is None else result.tried.findings
    findings = with_edits(found, started)
    text = terminal.render(
        recording,
        findings,
        width=width(sys.stderr),
        color=colored(sys.stderr),
        source=source_line(),
    )
    say("\n" + text)
    for path in paths:
        try:
            output.write(path, recording, findings)
        except output.OutputError as error:
            # The program has run: its exit status stands.
            say(f"unslow: {error}\n")
