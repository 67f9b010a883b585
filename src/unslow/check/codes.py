"""The codes that can be looked for, and how selectors choose among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from unslow.check.settings import CheckError
from unslow.report.checked import SUPPRESSION_RULES

ALL = "ALL"


class Code(NamedTuple):
    """A code that can be looked for, with its name, and whether it is unless told otherwise."""

    code: str
    name: str
    by_default: bool


class SelectorError(CheckError):
    """A selector that chooses nothing."""


def known_codes() -> tuple[Code, ...]:
    """All codes of the catalogue, and those for faults in suppression comments."""
    from unslow.catalogue import pages

    return (
        *(Code(page.code, page.name, page.by_default) for page in pages()),
        *(Code(rule.code, rule.name, True) for rule in SUPPRESSION_RULES),
    )


def check_selectors(selectors: Iterable[str], known: Sequence[Code], where: str) -> None:
    """Check that each selector chooses something; `where` is named if not.

    Raises:
        SelectorError: one does not.
    """
    for selector in selectors:
        if not any(_strength(selector, code) is not None for code in known):
            words = {w.lower(): w for code in known for w in (code.code, code.name)}
            near = difflib.get_close_matches(selector.lower(), words, n=1)
            hint = f"did you mean {words[near[0]]}?" if near else "unslow causes lists them"
            raise SelectorError(f"{where}: there is no cause {selector!r}; {hint}")


def select(
    known: Sequence[Code],
    chosen: Sequence[str] | None,
    also: Sequence[str] = (),
    ignored: Sequence[str] = (),
) -> frozenset[str]:
    """The codes that selectors choose. The more exact selector wins, `ignored` where they tie.

    `chosen` is None where nothing was said: then a cause's page decides.
    """
    found = set()
    for code in known:
        wanted = [_strength(s, code) for s in (*(chosen or ()), *also)]
        unwanted = [_strength(s, code) for s in ignored]
        yes = max((s for s in wanted if s is not None), default=-1)
        if chosen is None and code.by_default:
            yes = max(yes, 0)
        no = max((s for s in unwanted if s is not None), default=-1)
        if yes > no:
            found.add(code.code)
    return frozenset(found)


def chosen_by(selectors: Iterable[str], known: Sequence[Code]) -> frozenset[str]:
    """All codes that one of the selectors matches."""
    selectors = tuple(selectors)
    return frozenset(
        code.code for code in known if any(_strength(s, code) is not None for s in selectors)
    )


def resolve(word: str, known: Sequence[Code]) -> str | None:
    """The code that `word`, a code or a name, stands for."""
    for code in known:
        if word.upper() == code.code or word.lower() == code.name:
            return code.code
    return None


def _strength(selector: str, code: Code) -> int | None:
    """How exactly a selector names a code: the length of the prefix, more for the whole."""
    if selector.upper() == ALL:
        return 0
    if selector.lower() == code.name or selector.upper() == code.code:
        return len(code.code) + 1
    if selector and code.code.startswith(selector.upper()):
        return len(selector)
    return None
