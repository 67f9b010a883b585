"""`unslow native`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unslow.commands.console import StatusLine, UsageError, say, width
from unslow.commands.run import seconds

if TYPE_CHECKING:
    from unslow.experiment.translation import Checked
    from unslow.native.inputs import Input

DIFFERENT = 1
"""The exit status where the function cannot be translated, or gives something else."""


def add_parser(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "native",
        help="print a NumPy function as TensorFlow source, check it, and measure it",
        usage="unslow native [options] FILE.py:FUNCTION --input INPUT ...",
        description=(
            "Prints TensorFlow source that does what a NumPy function does and stands without "
            "unslow. Then compares both on the inputs and on edge values, and measures them. "
            "The file is imported, so it should do nothing else when it is. Exit status: 0 where "
            "all results are equal, 1 where some are not or the function cannot be translated, "
            "2 where something could not be done."
        ),
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("function", metavar="FILE.py:FUNCTION")
    add(
        "--input",
        dest="inputs",
        metavar="INPUT",
        action="append",
        default=[],
        help=(
            "an argument: float32[96,96,3] for numbers to be made (? for a size that is open), "
            "photo.npy for an array, or a literal such as 0.5; once for each argument"
        ),
    )
    add(
        "--random",
        choices=["distribution"],
        help="let random numbers be others of the same distribution",
    )
    add("--output", metavar="FILE.py", help="write the source to FILE.py and not to the output")
    add("--no-experiments", action="store_true", help="do not measure")
    add("--budget", metavar="SECONDS", type=seconds, default=20.0, help="for measuring (20)")


def native(args: argparse.Namespace) -> int:
    """Translate, print, check and measure."""
    from unslow.native.inputs import InputError, read

    function = _function(args.function)
    try:
        inputs = [read(text, number) for number, text in enumerate(args.inputs)]
    except InputError as error:
        raise UsageError(f"--input {error}") from error
    try:
        inspect.signature(function).bind(*inputs)
    except TypeError as error:
        raise UsageError(f"{args.function} with {len(inputs)} inputs: {error}") from error
    from unslow.native import Untranslatable, source_of
    from unslow.native import native as as_ops
    from unslow.native.seeds import seed_arguments
    from unslow.native.standalone import loaded, traced

    specs = [each.spec for each in inputs]
    try:
        translation = traced(as_ops(function, random=args.random), specs)
        source = source_of(translation)
    except Untranslatable as error:
        say(f"{args.function} cannot be translated.\n{error}\n")
        return DIFFERENT
    _write(source, args.output)
    seeds = seed_arguments(translation) if translation.seeds else None
    ended = _check(function, loaded(source, specs), inputs, seeds)
    if ended == 0 and not args.no_experiments:
        _measure(function, args.inputs, inputs, args.budget)
    return ended


def _function(text: str) -> Callable[..., Any]:
    """The function that `FILE.py:FUNCTION` names.

    Raises:
        UsageError: there is no such file or function, or its import fails.
    """
    name, colon, wanted = text.rpartition(":")
    path = Path(name)
    if not colon or not wanted:
        raise UsageError(f"{text}: give it as FILE.py:FUNCTION")
    if not path.is_file():
        raise UsageError(f"{name}: there is no such file")
    # A name of its own: a file may be called random.py, which others import.
    spec = importlib.util.spec_from_file_location(f"_translated_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{name}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(path.resolve().parent))
    try:
        # What it prints is no part of the translation.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
        found: Any = module
        for part in wanted.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise UsageError(f"{text}: {error}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"importing {name} failed: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise UsageError(f"{text} is no function")
    return found  # type: ignore[no-any-return]


def _write(source: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(source)
        sys.stdout.flush()
        return
    try:
        Path(output).write_text(source, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output}: {error.strerror}") from error


def _check(
    function: Callable[..., Any],
    other: Callable[..., Any],
    inputs: Sequence[Input],
    seeds: Sequence[int] | None,
) -> int:
    from unslow.experiment.translation import check
    from unslow.native.inputs import cases

    ended = 0
    say("\nChecked against the function itself:\n")
    for checked in check(function, other, cases(inputs), seeds):
        say(f"  {checked.name:<24}{_outcome(checked)}\n")
        if not checked.is_equal:
            ended = DIFFERENT
    return ended


def _outcome(checked: Checked) -> str:
    if checked.refused:
        return f"not compared: the function itself raises {checked.refused}"
    if checked.comparison is None:
        return f"the translation raises {checked.failure}"
    found = checked.comparison
    if not found.equal:
        return f"NOT EQUAL: {found.where}"
    if found.equal == "distribution":
        return "equal in distribution"
    return f"equal within {found.max_error:.0e}" if found.max_error else "equal"


def _measure(
    function: Callable[..., Any], texts: Sequence[str], inputs: Sequence[Input], budget: float
) -> None:
    from unslow.experiment.translation import CALLS, best, measure
    from unslow.native.inputs import read
    from unslow.report.terminal import measured

    if not inputs:
        say("\nNot measured: there is no input of which a pipeline could have many.\n")
        return
    status = StatusLine(sys.stderr)
    calls = [
        tuple(read(text, 100 * call + place).value for place, text in enumerate(texts))
        for call in range(CALLS)
    ]
    try:
        outcomes = list(measure(function, calls, budget, lambda what, _: status.show(what)))
    finally:
        status.clear()
    alternatives = [outcome.alternative for outcome in outcomes]
    alternatives.sort(key=lambda each: -(each.proof.ratio if each.proof else 0.0))
    say("\nAgainst tf.numpy_function in a parallel map:\n")
    for line in measured(alternatives, best(outcomes), width(sys.stderr)):
        say(f"{line}\n")
