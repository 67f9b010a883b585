"""The command line: parse, call the command, end with its status."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from unslow import __version__
from unslow.commands import check, explain, native, prove, run
from unslow.commands.console import ERROR, UsageError, end_by, say


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return the exit status."""
    try:
        status = _command(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except UsageError as error:
        say(f"unslow: {error}\n")
        return ERROR
    except BrokenPipeError:
        # The reader of our output has gone; let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        end_by(signal.SIGINT)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; {self.prog} --help tells more")


def _command(argv: list[str]) -> int:
    target: list[str] = []
    if argv[:1] == ["run"]:
        options, target = run.split_target(argv[1:])
        argv = ["run", *options]
    elif argv[:1] == ["prove"]:
        options, target = run.split_target(argv[1:], prove.VALUES)
        argv = ["prove", *options]
    args = _parser().parse_args(argv)
    if args.command == "run":
        return run.run(args, target)
    if args.command == "prove":
        return prove.prove(args, target)
    if args.command in ("check", "fix"):
        return check.check(args)
    if args.command == "native":
        return native.native(args)
    if args.command == "explain":
        return explain.explain(args.cause)
    return explain.causes(args.output_format)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="unslow", description="Says why a TensorFlow program is slow.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"unslow {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run.add_parser(commands)
    prove.add_parser(commands)
    check.add_parsers(commands)
    native.add_parser(commands)
    explain.add_parsers(commands)
    return parser
