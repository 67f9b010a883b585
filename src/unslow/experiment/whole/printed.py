"""Compares text of programs: numbers within tolerance, measured times not, the rest exactly."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from unslow.experiment.whole.tokens import Token, tokens

RELATIVE = 1e-5
"""The part of its size by which a printed number may differ, whatever its digits."""

NOTHING = 1e-12
"""Numbers this small are what rounding leaves where zero is meant."""

COARSEST = 0.005
"""A last digit worth more than this part of the number is no matter of rounding."""

MOST_ALIGNED = 2000
"""Lines that are aligned; in longer stretches of different lengths all lines count as varying."""

LONGEST_QUOTE = 60


@dataclass(frozen=True)
class Mismatch:
    """Where the printed text is not the same, in words."""

    where: str


@dataclass
class _Line:
    """A line of the first run. `loose`: which of its numbers and times vary; `free`: all does."""

    text: str
    tokens: tuple[Token, ...]
    loose: set[int] = field(default_factory=set)
    free: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(token.key for token in self.tokens)

    @property
    def varying_numbers(self) -> bool:
        """Whether a number in it varies that nothing marks as a time."""
        return any(
            token.kind == "number" and (self.free or index in self.loose)
            for index, token in enumerate(self.tokens)
        )

    @property
    def stable_numbers(self) -> Iterator[Token]:
        """Its numbers that are the same in every run."""
        if not self.free:
            for index, token in enumerate(self.tokens):
                if token.kind == "number" and index not in self.loose:
                    yield token


class Expected:
    """A text that a program writes, run by run: what stays the same, and what varies by itself.

    `verb`: what the program or the file does with its lines, in the third person and after "not".
    """

    def __init__(self, lines: Sequence[str], verb: tuple[str, str] = ("prints", "print")) -> None:
        self._verb = verb
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
    def counted(self) -> bool:
        """Whether there are as many lines in every run."""
        return self._counted

    @property
    def varying(self) -> int:
        """How many lines vary from run to run, in whole or in a number."""
        return sum(line.free or line.varying_numbers for line in self._lines)

    @property
    def stable(self) -> int:
        """How many lines are the same in every run, measured times aside."""
        return len(self._lines) - self.varying

    @property
    def varying_numbers(self) -> bool:
        """Whether numbers vary that nothing marks as times."""
        return any(line.varying_numbers for line in self._lines)

    @property
    def stable_numbers(self) -> bool:
        """Whether a number is the same in every run."""
        return any(True for line in self._lines for _ in line.stable_numbers)

    @property
    def stable_fractions(self) -> bool:
        """Whether a number with decimals is the same in every run."""
        return any(token.unit for line in self._lines for token in line.stable_numbers)

    def compare(self, lines: Sequence[str]) -> tuple[Mismatch | None, float]:
        """Where `lines` are not as they should be, and by how much numbers differ at most.

        The difference is relative and counts only numbers that were taken as equal.
        """
        does, do = self._verb
        other = _read(lines)
        largest = 0.0
        partners = dict(_pairs(self._lines, other))
        for index, line in enumerate(self._lines):
            partner = partners.get(index)
            if line.free:
                continue
            if partner is None:
                return Mismatch(f"does not {do} `{_quote(line.text)}`"), largest
            found = other[partner]
            difference = _compare(line.tokens, found.tokens)
            if difference.text or set(difference.numbers) - line.loose:
                was = f"`{_quote(found.text)}`, it was `{_quote(line.text)}`"
                return Mismatch(f"{does} {was}"), largest
            largest = max(largest, difference.error)
        if self._counted and len(other) != len(self._lines):
            extra = [o for i, o in enumerate(other) if i not in set(partners.values())]
            text = f"{does} {len(other)} lines, it was {len(self._lines)}"
            return Mismatch(f"{text}: `{_quote(extra[0].text)}`" if extra else text), largest
        return None, largest

    def _known(self) -> tuple[object, ...]:
        return (self._counted, *((line.free, len(line.loose)) for line in self._lines))


@dataclass(frozen=True)
class _Difference:
    """How two lines differ: in their `text`, or in the numbers and times with these indexes."""

    text: bool = False
    numbers: tuple[int, ...] = ()
    error: float = 0.0


def close(first: Token, second: Token) -> tuple[bool, float]:
    """Whether two printed numbers are the same within what was printed, and how far apart.

    One unit of the last digit may be rounding, where it is small beside the number. Where it
    is not, rounding seldom makes one: what differs by `RELATIVE` rarely lies on both sides of
    the middle between two numbers with so few digits.
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
    if size <= NOTHING:
        return True, 0.0
    allowed = RELATIVE * size
    unit = min(each for each in (first.unit, second.unit) if each)
    if unit <= COARSEST * size:
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
        elif one.firm and one.text != other.text:
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
