"""What a check came to, as plain data: what the reports on it are made of."""

from __future__ import annotations

from dataclasses import dataclass

from unslow.finding import Finding

UNUSED = "UN001"
UNREASONED = "UN002"
UNKNOWN = "UN003"


@dataclass(frozen=True)
class Rule:
    """What can be found: a cause of the catalogue, or a fault in a suppression comment."""

    code: str
    name: str
    summary: str
    text: str
    family: str


SUPPRESSION_RULES = (
    Rule(
        UNUSED,
        "unused-suppression",
        "A suppression comment silences nothing.",
        "The comment names a cause that was looked for and not found at its line. "
        "The code has changed, or the comment stands at the wrong line. Removing it is safe.",
        "suppressions",
    ),
    Rule(
        UNREASONED,
        "suppression-without-reason",
        "A suppression comment does not say why.",
        "The reason stands behind the bracket: `# unslow: ignore[TF101] runs once, at start-up`. "
        "The comment counts without it, but the next reader needs it.",
        "suppressions",
    ),
    Rule(
        UNKNOWN,
        "unknown-suppression",
        "A suppression comment cannot be understood.",
        "It names a cause that does not exist or none at all, or `ignore-file` stands below the "
        "first statement. Such a comment silences nothing.",
        "suppressions",
    ),
)
"""The faults of suppression comments. They are certain, not suspected."""

SUPPRESSION_CODES = frozenset(rule.code for rule in SUPPRESSION_RULES)


@dataclass(frozen=True, order=True)
class Failure:
    """A file, or a cell of a notebook, that could not be checked or mended."""

    path: str
    message: str
    line: int | None = None
    cell: int | None = None

    @property
    def place(self) -> str:
        """The file, with the cell and the line where they are known."""
        cell = "" if self.cell is None else f":cell {self.cell}"
        line = "" if self.line is None else f":{self.line}"
        return f"{self.path}{cell}{line}"


@dataclass(frozen=True)
class Suppressed:
    """A finding that a comment in the source silences, and the reason it gives."""

    finding: Finding
    reason: str


@dataclass(frozen=True)
class Joined:
    """The run that the findings were compared with: the file, and the run's wall-clock time."""

    path: str
    wall: float


@dataclass(frozen=True)
class Checked:
    """What a check came to.

    `findings` are of kind "suspicion", or "problem" where a recording has shown them;
    `cleared` are those that a recording has refuted. `files` counts those that were
    read, `passed_over` those that have nothing to do with TensorFlow. `fixed` counts
    the findings that were mended, `fixed_files` the files that this changed.
    """

    findings: tuple[Finding, ...] = ()
    suppressed: tuple[Suppressed, ...] = ()
    cleared: tuple[Finding, ...] = ()
    failures: tuple[Failure, ...] = ()
    files: int = 0
    passed_over: int = 0
    fixed: int = 0
    fixed_files: tuple[str, ...] = ()
    unsafe_fixes: bool = False
    recording: Joined | None = None
    notes: tuple[str, ...] = ()


def fixable(finding: Finding, unsafe: bool) -> bool:
    """Whether one of the finding's alternatives can be applied to the source."""
    return any(
        alternative.edits and (unsafe or alternative.safety == "safe")
        for alternative in finding.alternatives
    )
