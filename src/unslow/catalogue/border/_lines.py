"""What the pages of this family share: reading a line's time and its eager ops."""

from __future__ import annotations

from collections.abc import Iterable

from unslow.catalogue.page import claim
from unslow.finding import Claim, Site, same_line
from unslow.recording.data import OpCount, Recording

HEAVY_OP_SECONDS = 1e-4
"""An op that takes this long a call computes; it does not merely cost its overhead."""


def claim_at_most(recording: Recording, site: Site, part: str, seconds: float) -> tuple[Claim, ...]:
    """A claim of `seconds`, or of what the line spent in `part` where that is less."""
    spent = min(seconds, recording.line(site).get(part, 0.0))
    return (claim(site, part, spent),) if spent > 0 else ()


def ops_at(recording: Recording, site: Site) -> list[OpCount]:
    """The main thread's eager ops at the line of `site`."""
    return [row for row in recording.ops if row.main and same_line(row.site, site)]


def heavy_seconds(rows: Iterable[OpCount]) -> float:
    """Seconds in those ops whose time is computation and not overhead."""
    return sum(row.seconds for row in rows if row.seconds >= HEAVY_OP_SECONDS * row.calls > 0)
