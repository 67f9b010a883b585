"""Compares what programs printed: numbers within tolerance, times not at all, the rest exactly."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from unslow.experiment.whole.tokens import Token, tokens

RELATIVE = 1e-5
"""The part of its size by which a printed number may differ, whatever its digits."""

ABSOLUTE = 1e-7
"""By this much it may differ even where it is next to nothing."""

COARSEST = 0.005
"""A last digit worth more than this part of the number is no matter of rounding …"""

FINEST = 0.001
"""… unless it is worth no more than this."""

MOST_ALIGNED = 2000
"""Lines that are aligned; in longer stretches of different lengths all lines count as varying."""

LONGEST_QUOTE = 60


@dataclass(frozen=True)
class Mismatch:
    """Where the printed text is not the same, in words."""

    where: str


@dataclass
class _Line:
    """A line of the first run. `loose`: which of its numbers vary; `free`: all of it does."""

    text: str
    tokens: tuple[Token, ...]
    loose: set[int] = field(default_factory=set)
    free: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(token.key for token in self.tokens)


class Expected:
    """What a program prints, run by run: what stays the same, and what varies by itself."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = _read(lines)
        self._counted = True

    def learn(self, lines: Sequence[str]) -> bool:
        """Take in another run of the program; return whether more was found to vary."""
        before = self._known()
        other = _read(lines)
        self._counted = self._counted and len(other) == len(self._lines)
        partners = dict(_pairs(self._lines, other))
        for index, line in enumerate(self._lines):
            partner = partners.get(index)
            difference = None if partner is None else _compare(line.tokens, other[partner].tokens)
            if difference is None or difference.text:
                line.free = True
            else:
                line.loose |= set(difference.numbers)
        # In lines of one form, what varies in one of them does so in all: two runs that print
        # the same accuracy in one epoch do so by chance.
        columns: dict[tuple[str, ...], set[int]] = {}
        for line in self._lines:
            columns.setdefault(line.key, set()).update(line.loose)
        for line in self._lines:
            line.loose |= columns[line.key]
        return self._known() != before

    @property
    def varying(self) -> int:
        """How many lines vary from run to run, in whole or in a number."""
        return sum(line.free or bool(line.loose) for line in self._lines)

    @property
    def stable(self) -> int:
        """How many lines are the same in every run."""
        return len(self._lines) - self.varying

    @property
    def varying_numbers(self) -> bool:
        """Whether numbers vary that nothing marks as times."""
        return any(
            line.loose or (line.free and any(token.kind == "number" for token in line.tokens))
            for line in self._lines
        )

    @property
    def stable_fractions(self) -> bool:
        """Whether a number with decimals is the same in every run."""
        return any(
            token.kind == "number" and token.unit and index not in line.loose
            for line in self._lines
            if not line.free
            for index, token in enumerate(line.tokens)
        )

    def compare(self, lines: Sequence[str]) -> tuple[Mismatch | None, float]:
        """Where `lines` are not as they should be, and by how much numbers differ at most.

        The difference is relative and counts only numbers that were taken as equal.
        """
        other = _read(lines)
        largest = 0.0
        partners = dict(_pairs(self._lines, other))
        for index, line in enumerate(self._lines):
            partner = partners.get(index)
            if line.free:
                continue
            if partner is None:
                return Mismatch(f"does not print `{_quote(line.text)}`"), largest
            found = other[partner]
            difference = _compare(line.tokens, found.tokens)
            if difference.text or set(difference.numbers) - line.loose:
                was = f"`{_quote(found.text)}`, it was `{_quote(line.text)}`"
                return Mismatch(f"prints {was}"), largest
            largest = max(largest, difference.error)
        if self._counted and len(other) != len(self._lines):
            extra = [o for i, o in enumerate(other) if i not in set(partners.values())]
            text = f"prints {len(other)} lines, it was {len(self._lines)}"
            return Mismatch(f"{text}: `{_quote(extra[0].text)}`" if extra else text), largest
        return None, largest

    def _known(self) -> tuple[object, ...]:
        return (self._counted, *((line.free, len(line.loose)) for line in self._lines))


@dataclass(frozen=True)
class _Difference:
    """How two lines differ: in their `text`, or in the numbers with these indexes alone."""

    text: bool = False
    numbers: tuple[int, ...] = ()
    error: float = 0.0


def close(first: Token, second: Token) -> tuple[bool, float]:
    """Whether two printed numbers are the same within what was printed, and how far apart.

    One unit of the last digit may be rounding, where it is small beside the number.
    """
    if first.text == second.text:
        return True, 0.0
    a, b = first.value, second.value
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b), 0.0
    if math.isinf(a) or math.isinf(b):
        return a == b, 0.0
    if not (first.unit or second.unit):
        return int(first.digits) == int(second.digits), 0.0
    size = max(abs(a), abs(b))
    allowed = max(RELATIVE * size, ABSOLUTE)
    unit = min(each for each in (first.unit, second.unit) if each)
    if unit <= max(COARSEST * size, FINEST):
        # The difference of two decimal fractions is not exact in binary.
        allowed = max(allowed, unit * 1.001)
    apart = abs(a - b)
    return apart <= allowed, apart / size if size else 0.0


def _compare(first: Sequence[Token], second: Sequence[Token]) -> _Difference:
    if len(first) != len(second):
        return _Difference(text=True)
    numbers, error = [], 0.0
    for index, (one, other) in enumerate(zip(first, second, strict=True)):
        if one.key != other.key:
            return _Difference(text=True)
        if one.kind == "number":
            same, apart = close(one, other)
            if same:
                error = max(error, apart)
            else:
                numbers.append(index)
    return _Difference(numbers=tuple(numbers), error=error)


def _read(lines: Iterable[str]) -> list[_Line]:
    """The lines in which something stands."""
    return [_Line(line.strip(), tokens(line)) for line in lines if line.strip()]


def _pairs(first: Sequence[_Line], second: Sequence[_Line]) -> list[tuple[int, int]]:
    """Which line of `second` stands for which of `first`."""
    if len(first) == len(second):
        return [(index, index) for index in range(len(first))]
    keys = [line.key for line in first], [line.key for line in second]
    head = 0
    shorter = min(len(first), len(second))
    while head < shorter and keys[0][head] == keys[1][head]:
        head += 1
    tail = 0
    while tail < shorter - head and keys[0][-tail - 1] == keys[1][-tail - 1]:
        tail += 1
    pairs = [(index, index) for index in range(head)]
    middle = keys[0][head : len(first) - tail], keys[1][head : len(second) - tail]
    if max(map(len, middle)) <= MOST_ALIGNED:
        matcher = difflib.SequenceMatcher(None, *middle, autojunk=False)
        for block in matcher.get_matching_blocks():
            pairs += [(head + block.a + i, head + block.b + i) for i in range(block.size)]
    pairs += [(len(first) - i, len(second) - i) for i in range(tail, 0, -1)]
    return pairs


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"
