"""The words of the project as plain data: sites, findings and what proves them.

Lines and columns count from 1, as editors show them. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Kind = Literal["suspicion", "problem", "cleared"]
Safety = Literal["safe", "unsafe"]

PARTS = (
    "imports",
    "build",
    "input",
    "bridge",
    "convert",
    "eager",
    "graph",
    "python",
    "recorder",
)
"""The parts of the time budget; each second of the main thread is in exactly one."""


@dataclass(frozen=True, order=True)
class Site:
    """A place in the user's code.

    `path` is relative to the working directory where it lies below it, else
    absolute. `cell` is the number of a notebook's code cell, counted from 1;
    `line` then counts within the cell. Columns are `None` where the
    interpreter does not tell them (Python 3.10).
    """

    path: str
    line: int
    function: str = "<module>"
    end_line: int | None = None
    column: int | None = None
    cell: int | None = None

    @property
    def place(self) -> str:
        """`path:line`, as editors and terminals link it."""
        cell = "" if self.cell is None else f":cell {self.cell}"
        return f"{self.path}{cell}:{self.line}"

    @property
    def at_line(self) -> Site:
        """The same line without its columns: the key under which lines are summed."""
        return Site(self.path, self.line, self.function, cell=self.cell)


@dataclass(frozen=True)
class Claim:
    """Seconds of the main thread that a finding says it took: at a line, in one part.

    Two findings that claim the same line and part speak of the same seconds;
    `total_seconds` counts them once.
    """

    path: str
    line: int
    part: str
    seconds: float
    cell: int | None = None


def line_key(place: Site | Claim) -> tuple[str, int | None, int]:
    """The line of a site or a claim, as something to compare and to group by."""
    return place.path, place.cell, place.line


def same_line(one: Site | Claim, other: Site | Claim) -> bool:
    """Whether both stand at one line of one file or cell."""
    return line_key(one) == line_key(other)


@dataclass(frozen=True)
class Cost:
    """What a cause took. `seconds` of the main thread's wall-clock time, split in `claims`."""

    seconds: float = 0.0
    calls: int = 0
    bytes: int = 0
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Edit:
    """Replace the text from `start` up to `end`, each a (line, column) from 1, by `text`.

    Columns count characters. In a notebook, lines count within the code cell `cell`,
    numbered from 1. Lines of `text` end in a line feed; they get the file's own newlines.
    """

    path: str
    start: tuple[int, int]
    end: tuple[int, int]
    text: str
    cell: int | None = None


@dataclass(frozen=True)
class Proof:
    """The outcome of an experiment: how many times faster, in which interval, and equal or not.

    `interval` holds the true median ratio with 95 % confidence. `equal` is
    "distribution" where the results are random and come from the same distribution as far
    as can be seen. `max_error` is the largest difference of two numbers that were still
    taken as equal within `tolerance`, both relative to the size of the numbers; `None`
    where every number was exactly the same. `where` says what was not equal. `inputs` says
    what was measured on.
    """

    ratio: float
    interval: tuple[float, float]
    pairs: int
    equal: bool | Literal["distribution"]
    max_error: float | None = None
    tolerance: float | None = None
    where: str = ""
    inputs: str = ""

    @property
    def verdict(self) -> Literal["faster", "slower", "no difference"]:
        """What the interval says: all of it on one side of 1, or not."""
        if self.interval[0] > 1:
            return "faster"
        return "slower" if self.interval[1] < 1 else "no difference"


@dataclass(frozen=True)
class Alternative:
    """Another way to do what the site does, with its edits and, once tried, its proof.

    `note` says of an unsafe one what could change. `failure` says why an experiment with
    it came to no proof: it raised, did not end, or could not be tried.
    """

    name: str
    safety: Safety
    edits: tuple[Edit, ...] = ()
    proof: Proof | None = None
    note: str = ""
    failure: str = ""


@dataclass(frozen=True)
class Gain:
    """Seconds of the whole program given back, and their share of its wall-clock time."""

    seconds: float
    share: float


@dataclass(frozen=True)
class Finding:
    """A cause at a site with its evidence.

    `evidence` holds numbers and short strings that JSON can carry; what the
    numbers are is said on the cause's page. `gain` is `None` until an
    experiment has measured it; it comes from the first of the `alternatives`.
    `untried` says why there was no experiment.
    """

    code: str
    name: str
    kind: Kind
    site: Site
    message: str
    cost: Cost = Cost()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    gain: Gain | None = None
    alternatives: tuple[Alternative, ...] = ()
    untried: str = ""


def total_seconds(findings: Iterable[Finding]) -> float:
    """Seconds of the main thread that all `findings` together took, overlaps counted once."""
    largest: dict[tuple[str, int | None, int, str], float] = {}
    for finding in findings:
        for claim in finding.cost.claims:
            key = (claim.path, claim.cell, claim.line, claim.part)
            largest[key] = max(largest.get(key, 0.0), claim.seconds)
    return sum(largest.values())


def saved_seconds(findings: Iterable[Finding]) -> float:
    """Seconds that all `findings` together would give back, overlaps counted once."""
    scaled = []
    for finding in findings:
        if finding.gain is None or finding.cost.seconds <= 0:
            continue
        part = min(1.0, finding.gain.seconds / finding.cost.seconds)
        claims = tuple(
            replace(claim, seconds=claim.seconds * part) for claim in finding.cost.claims
        )
        scaled.append(replace(finding, cost=replace(finding.cost, claims=claims)))
    return total_seconds(scaled)
