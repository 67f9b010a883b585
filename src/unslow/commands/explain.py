"""`unslow explain` and `unslow causes`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from unslow.commands.console import UsageError

if TYPE_CHECKING:
    from unslow.catalogue.page import Page


def add_parsers(commands: Any) -> None:
    """Add the commands to the parser's."""
    parser = commands.add_parser(
        "explain", help="print the page of a cause", description="Prints the page of a cause."
    )
    parser.add_argument("cause", metavar="CAUSE", help="its code or name, such as TF201")

    parser = commands.add_parser(
        "causes", help="list the known causes", description="Lists the known causes."
    )
    parser.add_argument("--output-format", choices=("text", "json"), default="text")


def explain(cause: str) -> int:
    """Print the page of a cause."""
    from unslow.catalogue import page, pages
    from unslow.report.checked import SUPPRESSION_RULES
    from unslow.report.text import fit_encoding

    for rule in SUPPRESSION_RULES:
        if cause.lower() in (rule.code.lower(), rule.name):
            print(f"{rule.code} {rule.name}\n\n{rule.summary}\n\n{rule.text}")
            return 0
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


def causes(output_format: str) -> int:
    """List the known causes."""
    from unslow.catalogue import pages
    from unslow.report.text import fit_encoding

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
