"""The page of a cause: its text, its example programs, how it is seen in a run and in source."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from unslow.finding import Alternative, Claim, Cost, Finding, Site, line_key
from unslow.recording.data import Recording

if TYPE_CHECKING:
    from unslow.catalogue.trial import Trial, Untried
    from unslow.recording.samples import Samples
    from unslow.source.module import Module

MARK = "# <- slow"
"""Stands at the end of the line of a `slow` program at which the cause is to be found."""

HEADINGS = (
    "What it is",
    "Why it is slow",
    "When it does not matter",
    "What to do",
    "Safety of the fix",
)

LEAST_SECONDS = 0.05
LEAST_SHARE = 0.01


class Page:
    """One cause. The docstring of a page is its text, under the five `HEADINGS`.

    `slow`, `fast` and `fine` are whole programs that run in a few seconds and
    need only TensorFlow and NumPy. `slow` has one line that ends in `MARK`;
    `fast` does the same without the cause and prints the same; `fine` are
    look-alikes that must stay silent. `also`: codes of causes that come with
    this one, so that the slow program has them too. A cause that cannot be seen
    in a run, or in the source, leaves that method out. `by_default`: whether
    `unslow check` looks for it unless told which causes to look for. `only_if_proven`: what
    a run shows is no more than a proposal, and a finding once an experiment has tried it.
    `general`: it tells of time that more special causes tell of as well, which are tried first.
    """

    code: ClassVar[str]
    name: ClassVar[str]
    slow: ClassVar[str]
    fast: ClassVar[str]
    fine: ClassVar[tuple[str, ...]] = ()
    also: ClassVar[frozenset[str]] = frozenset()
    by_default: ClassVar[bool] = True
    only_if_proven: ClassVar[bool] = False
    general: ClassVar[bool] = False

    def in_recording(self, recording: Recording) -> Iterable[Finding]:
        """Return this cause's findings of kind "problem" in what a run showed."""
        return ()

    def in_source(self, module: Module) -> Iterable[Finding]:
        """Return this cause's findings of kind "suspicion" in a module."""
        return ()

    def trials(self, finding: Finding, samples: Samples) -> Iterable[Trial | Untried]:
        """Return what to try at a finding of a run, on what was captured there.

        Called in the program's process after its end. Nothing is run yet; a page says by an
        `Untried` why there is nothing to run.
        """
        return ()

    @classmethod
    def tried(cls) -> bool:
        """Whether this cause has experiments."""
        return cls.trials is not Page.trials

    @classmethod
    def seen_in_recording(cls) -> bool:
        """Whether a run can show this cause."""
        return cls.in_recording is not Page.in_recording

    @classmethod
    def seen_in_source(cls) -> bool:
        """Whether the source can show this cause."""
        return cls.in_source is not Page.in_source

    @classmethod
    def text(cls) -> str:
        """The page's prose in Markdown."""
        return inspect.cleandoc(cls.__doc__ or "")

    @classmethod
    def sections(cls) -> dict[str, str]:
        """The page's prose by heading; "" holds the opening sentence."""
        pieces = re.split(r"^## (.+)$", cls.text(), flags=re.MULTILINE)
        return {
            "": pieces[0].strip(),
            **{h: t.strip() for h, t in zip(pieces[1::2], pieces[2::2], strict=True)},
        }

    @classmethod
    def marked_line(cls) -> int:
        """The line of `slow` that carries the mark, from 1."""
        for number, line in enumerate(cls.slow.splitlines(), start=1):
            if line.rstrip().endswith(MARK):
                return number
        raise ValueError(f"{cls.code}: no line of its slow program ends in {MARK!r}")

    def problem(self, site: Site, message: str, cost: Cost, evidence: Mapping[str, Any]) -> Finding:
        """A finding of this cause that a run has shown."""
        return Finding(
            code=self.code,
            name=self.name,
            kind="problem",
            site=site,
            message=message,
            cost=cost,
            evidence=evidence,
        )

    def suspicion(
        self,
        module: Module,
        node: ast.AST,
        message: str,
        evidence: Mapping[str, Any] | None = None,
        alternatives: tuple[Alternative, ...] = (),
    ) -> Finding:
        """A finding of this cause at a node of the source: it has not been measured."""
        return Finding(
            code=self.code,
            name=self.name,
            kind="suspicion",
            site=module.site(node),
            message=message,
            evidence=evidence or {},
            alternatives=alternatives,
        )


def matters(recording: Recording, seconds: float) -> bool:
    """Whether `seconds` are worth attention: 50 ms, and 1 % of the run after its imports."""
    after_imports = recording.wall - recording.parts.get("imports", 0.0)
    return seconds >= LEAST_SECONDS and seconds >= LEAST_SHARE * after_imports


def claim(site: Site, part: str, seconds: float) -> Claim:
    """`seconds` of the main thread at the line of `site` in `part`."""
    return Claim(site.path, site.line, part, seconds, site.cell)


def cost_of(claims: Iterable[Claim], calls: int = 0, nbytes: int = 0) -> Cost:
    """The cost that `claims` add up to."""
    claims = tuple(claims)
    return Cost(sum(c.seconds for c in claims), calls, nbytes, claims)


def by_line(rows: Iterable[Any]) -> Iterator[tuple[Site, list[Any]]]:
    """Group table rows that have a `site` by their line, in order of first appearance."""
    groups: dict[tuple[str, int | None, int], list[Any]] = {}
    for row in rows:
        groups.setdefault(line_key(row.site), []).append(row)
    for group in groups.values():
        yield group[0].site, group


def seconds_text(seconds: float) -> str:
    """A duration as people say it: `3.2 s`, `41 ms`, `7.5 µs`."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale or unit == "µs":
            value = seconds / scale
            return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"
    raise AssertionError("unreachable")


def count_text(count: int) -> str:
    """A count with thin groups: `6 400`."""
    return f"{count:,}".replace(",", "\u202f")


def bytes_text(count: float) -> str:
    """A size as people say it: `12 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} B"
