"""What one run of a whole program came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unslow.experiment.values.snapshot import Snapshot
    from unslow.experiment.whole.written import Part


@dataclass(frozen=True)
class Observation:
    """How a program ended, how long it took, what it printed and what it computed.

    `exit_status`: 128 plus the number of the signal where one ended it. `wall`: seconds from
    the start of the process to the end of the program's last exit handler, less those that
    observing took. `startup`: seconds of them before the program's first line, in outermost
    imports of code that is not its own, and in its exit handlers. `out` and `err`: what it
    wrote to its standard streams. `files`: absolute paths of the script and of those of the
    program's own modules that were loaded.

    `values`: by path of the file and name, what the script and its own modules held at the
    end: no modules, functions and classes, no names that begin and end with two
    underscores. `returned`: by path and qualified name, what the first 3 calls of each
    function that was asked for returned by `return` with a value. `histories`: what the
    first 16 outermost Keras `fit` calls logged. `weights`: the weights of the model after
    each of the first 4. `written`: by absolute path and name of the part, what stands in the
    files that it wrote. `paths`: all of these files. `notes`: what could not be observed and
    why, a sentence each.
    """

    exit_status: int
    wall: float
    startup: float
    out: str
    err: str
    files: tuple[str, ...] = ()
    values: Mapping[tuple[str, str], Snapshot] = field(default_factory=dict)
    returned: Mapping[tuple[str, str], tuple[Snapshot, ...]] = field(default_factory=dict)
    histories: tuple[Snapshot, ...] = ()
    weights: tuple[Snapshot, ...] = ()
    written: Mapping[tuple[str, str], Part] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    timed_out: bool = False
    notes: tuple[str, ...] = ()

    @property
    def after_startup(self) -> float:
        """Seconds that the program itself took: `wall` without `startup`."""
        return self.wall - self.startup
