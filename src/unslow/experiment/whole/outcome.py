"""What proving tells: while it goes on, and in the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from unslow.experiment.whole.candidate import Candidate


class ProveError(Exception):
    """The program cannot be compared with itself; the message says why in one sentence."""


@dataclass(frozen=True)
class Running:
    """What is run now: the `number`th run; `of` so many where that is known."""

    what: str
    number: int
    of: int | None = None


@dataclass
class Outcome:
    """What proving has shown so far.

    `error`: what the program's traceback says, where it fails. `wall`, `startup`: median
    seconds of the program as it is. `singles` are the fixes one by one, `together` the sets
    of several. `chosen` is proven faster and equal, with none in it that gives nothing.
    `varying` and `random`: what varies by itself, and which results do.
    """

    exit_status: int = 0
    error: str = ""
    wall: float = 0.0
    startup: float = 0.0
    runs: int = 0
    singles: list[Candidate] = field(default_factory=list)
    together: list[Candidate] = field(default_factory=list)
    chosen: Candidate | None = None
    varying: list[str] = field(default_factory=list)
    random: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    budget: float = 0.0
    interrupted: bool = False
