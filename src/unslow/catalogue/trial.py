"""What a page proposes to try at the program's end: the present way and others."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from unslow.finding import Claim, Safety


def as_it_is(results: Any) -> Any:
    """What a way returned needs nothing done to be compared."""
    return results


@dataclass(frozen=True)
class Timed:
    """What a run came to, where only `seconds` of its time count."""

    value: Any
    seconds: float


@dataclass(frozen=True)
class Draws:
    """Two ways that draw random numbers, called many times over for each of a few inputs.

    `present` and `other` return, for each result of the function, an array whose first axis goes
    through the draws for the first of so many `inputs`, then those for the second, and so on.
    """

    present: Callable[[], Any]
    other: Callable[[], Any]
    inputs: int


@dataclass(frozen=True)
class Way:
    """One way to do what a site does.

    `run` does the work on the captured inputs and returns its results, as `Timed` where a part of
    its time is not to count; it is called many times. `before` is called before each run and is not
    timed: it undoes what a run leaves behind, such as traces. `fixed` is called then too, in runs
    whose results are compared: it makes what is drawn at random the same each time, and may cost
    what comes next more than the program paid. `results` is not timed either: it turns what `run`
    returned into what the present way's `results` gives. `prepares`: the first run builds something
    (a trace, an XLA program, a session) that the program would have to build once as well, and
    whose time is taken off the gain. `yardstick`: it shows what part of the time is what, and is
    nothing that the program could do instead. A way that is also one of the source's alternatives
    has that one's `name`, and so gets its edits. `draws`: asked after the first run; its random
    numbers are others than the present way's by its nature, also where those are always the same,
    if this gives any. Then these are compared, and not the results of `run`. `once`: asked
    last; what it takes in the program besides its runs, in seconds, which are taken off the gain.
    """

    name: str
    run: Callable[[], Any]
    before: Callable[[], None] | None = None
    results: Callable[[Any], Any] = as_it_is
    safety: Safety = "unsafe"
    note: str = ""
    prepares: bool = False
    yardstick: bool = False
    draws: Callable[[], Draws | None] | None = None
    fixed: Callable[[], None] | None = None
    once: Callable[[], float] | None = None


@dataclass(frozen=True)
class Beside:
    """What ways do besides what a finding's cost is, and how long that took in the program.

    It is slower for what runs beside it, and its part of the ratio is gained too. `claim`: where
    it stands, with the seconds that it took at least; at `most`, what other work was done there
    is among them. `runs()`: how many runs of the present way do as much as the program, known
    after the first one.
    """

    claim: Claim
    most: float
    runs: Callable[[], float]

    def seconds(self, present: float, cost: float) -> float:
        """Of the program, where a run of the present way takes `present` seconds, `cost` apart."""
        return max(self.claim.seconds, min(present * self.runs() - cost, self.most))


@dataclass(frozen=True)
class Trial:
    """An experiment at one finding: the `present` way against each of `ways`.

    `inputs` says in a few words what it runs on, as in "32 of your images". `share` is the
    part of the finding's cost that the present way stands for; the ratio holds for that part.
    `functions` are the user's own that will be called: where their source shows effects
    outside the process, they are not. `state`: a run may change variables; they are put back
    after each run and compared as results. `exhaustive`: little else can be done, so that no
    gain clears the finding. `start_limit`: seconds more that the first run of the present way
    may take, where processes have to start for it; these do not count to the budget. `runs`:
    how many runs of the present way the program's cost is; what is watched is slowed down, and
    cannot have cost more than these take unwatched. `beside`: what else each way does, unlike
    the finding's cost. Variables are then put back, but not compared, as all ways do the same to
    them. `instead`: the trial to make where this one cannot be run. `subject`: trials that have the
    same one run one present way on the same inputs, and ways of the same name alike; what came of
    a way in one of them holds for the others.
    """

    present: Way
    ways: tuple[Way, ...]
    inputs: str
    share: float = 1.0
    functions: tuple[Callable[..., Any], ...] = ()
    state: bool = False
    exhaustive: bool = True
    start_limit: float = 0.0
    runs: float = math.inf
    beside: Beside | None = None
    instead: Trial | None = None
    subject: Hashable = None


class Unfit(Exception):
    """Raised by a way that is not to be run on these inputs; says why, as a clause."""


@dataclass(frozen=True)
class Untried:
    """Why there can be no experiment at a finding, in one sentence for the user."""

    why: str
