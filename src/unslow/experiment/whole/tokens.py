"""Takes a printed line apart: into numbers, times and text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_CLOCK = "|".join(
    (
        r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?",
        r"\d{1,2}/\d{1,2}/\d{4}(?:,? \d\d?:\d\d(?::\d\d)?)?",
        r"(?<![\d:.])\d{1,3}:\d\d(?::\d\d)?(?:\.\d+)?(?![\d:])",
        r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +(?:\d{1,2} )?"
        r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\b(?: +\d{1,2}(?!\d|:))?"
        r"(?:,? +\d{4})?(?: +\d\d:\d\d(?::\d\d)?)?(?: +[A-Z]{3,4}\b)?(?: +\d{4}\b)?",
    )
)

_NUMBER = r"(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?:nan|inf)\b"

_PIECE = re.compile(
    rf"(?P<clock>{_CLOCK})"
    r"|(?P<address>\b0x[0-9a-fA-F]{6,}\b)"
    rf"|(?P<number>(?:(?<![\w.)\]])[+-])?(?<![A-Za-z_])(?:{_NUMBER}))"
    r"|(?P<word>[^\W\d]\w*)"
    r"|(?P<space>\s+)"
    r"|(?P<sign>.)",
    re.DOTALL,
)

_UNIT = re.compile(
    r"[nuµμm]?s|h|mins?|secs?|[mu]sec|(?:nano|micro|milli)?seconds?|minutes?|hrs?|hours?|days?"
    r"|(?:h\d+)?m\d+s|h\d+m"
)

_LONG = re.compile(r"h|hrs?|hours?|days?")
"""Units that no time of a short run has."""

_PER = re.compile(r"s|secs?|seconds?|min|minute|h|hour")
"""What stands behind the bar of a rate."""

_MEASURED = re.compile(
    r"times?|took|taken|takes|elapsed|latency|runtime|wall|seconds|secs|throughput|fps|ETA|Eta"
)
"""Words that say that the next number is a time or a rate."""

_PERHAPS = re.compile(r"duration|speed")
"""Words that may say so, or name what a model predicts."""

_CLOCK_AFTER = re.compile(r"in|after|eta")
"""Words that, before hours and minutes or minutes and seconds, say that a time was measured."""

MOST_DIGITS = 3
"""A time that is measured anew and has more digits than this is not the same in all runs."""

MOST_DIGITS_PERHAPS = 2

_BETWEEN = re.compile(r"is|was|of|in|for|per|a|the|total|about|approx|step")
"""What may stand between such a word and its number, units aside."""

_FAR = 12


@dataclass(frozen=True)
class Token:
    """A number, a piece of text, or a time, a date or an address.

    `firm`: a time that, where it is the same in all runs, was not measured in them. `unit` is
    what one unit of a number's last digit is worth, 0 for a whole number.
    """

    kind: Literal["number", "text", "time"]
    text: str
    firm: bool = False

    @property
    def key(self) -> str:
        """The same for tokens that stand for each other."""
        return self.text if self.kind == "text" else f"<{self.kind}>"

    @property
    def digits(self) -> str:
        return self.text.replace("_", "")

    @property
    def value(self) -> float:
        return float(self.digits)

    @property
    def unit(self) -> float:
        mantissa, _, exponent = self.digits.lower().partition("e")
        if "." not in mantissa and not exponent:
            return 0.0
        decimals = len(mantissa.partition(".")[2])
        return float(10.0 ** (int(exponent or 0) - decimals))


@dataclass(frozen=True)
class _Piece:
    kind: str
    text: str


def tokens(line: str) -> tuple[Token, ...]:
    """The tokens of a printed line. Spaces only part them."""
    pieces = [_Piece(m.lastgroup or "", m.group()) for m in _PIECE.finditer(line)]
    found: list[Token] = []
    index = 0
    while index < len(pieces):
        piece = pieces[index]
        if piece.kind == "number":
            end, most = _end_of_time(pieces, index), MOST_DIGITS
            if end == index and _follows(pieces, index, _MEASURED):
                end = index + 1
            elif end == index and _follows(pieces, index, _PERHAPS):
                end, most = index + 1, MOST_DIGITS_PERHAPS
            if end > index:
                time = _time(pieces[index:end], most)
                if found and found[-1].kind == "time":
                    before = found.pop()
                    time = Token("time", f"{before.text} {time.text}", before.firm and time.firm)
                found.append(time)
                index = end
                continue
            found.append(Token("number", piece.text))
        elif piece.kind in ("clock", "address"):
            found.append(Token("time", piece.text, _is_said(pieces, index)))
        elif piece.kind != "space":
            found.append(Token("text", piece.text))
        index += 1
    return tuple(found)


def _time(pieces: Sequence[_Piece], most: int) -> Token:
    """A duration or a rate. One of hours or days, or of many digits, is firm."""
    number, *unit = (piece.text for piece in pieces if piece.kind != "space")
    long = len(unit) == 1 and _LONG.fullmatch(unit[0]) and float(number.replace("_", "")) >= 1
    firm = bool(long) or _digits(number) > most
    return Token("time", " ".join([number, *unit]), firm)


def _digits(number: str) -> int:
    """How many digits of a number say something."""
    mantissa = number.lower().partition("e")[0]
    return len(re.sub(r"\D", "", mantissa).lstrip("0"))


def _is_said(pieces: Sequence[_Piece], index: int) -> bool:
    """Whether a date, a time of day or an address may be what the program has to say."""
    before = [piece.text for piece in pieces[:index] if piece.kind != "space"][-1:]
    if pieces[index].kind == "address":
        return before != ["at"]
    behind = [piece.text for piece in pieces[index + 1 : index + 2]]
    if "<" in (*before, *behind):
        # A progress bar: the time so far and the time that is left.
        return False
    if before and _CLOCK_AFTER.fullmatch(before[0].lower()):
        return False
    return not _follows(pieces, index, _MEASURED)


def _end_of_time(pieces: Sequence[_Piece], start: int) -> int:
    """Where a duration or a rate ends whose number stands at `start`; `start` if it is none."""

    def word(index: int) -> str:
        if index < len(pieces) and pieces[index].kind in ("word", "sign"):
            return pieces[index].text.lower()
        return ""

    def spaced(index: int) -> int:
        return index + 1 if index < len(pieces) and pieces[index].kind == "space" else index

    glued = start + 1
    unit = spaced(glued)
    name = word(unit)
    bar = spaced(unit + 1)
    behind = word(spaced(bar + 1))
    if name == "/" and _PER.fullmatch(word(spaced(unit + 1))):
        return spaced(unit + 1) + 1
    if name and name != "/" and word(bar) in ("/", "per") and _PER.fullmatch(behind):
        return spaced(bar + 1) + 1
    if name == "m" and unit == glued and _has_unit(pieces, spaced(glued + 1), "s"):
        return glued + 1
    if not _UNIT.fullmatch(name):
        return start
    if word(bar) in ("/", "per") and behind:
        return spaced(bar + 1) + 1
    if unit > glued and _names_the_next(pieces, bar):
        return start
    return unit + 1


def _has_unit(pieces: Sequence[_Piece], index: int, unit: str) -> bool:
    kinds = [piece.kind for piece in pieces[index : index + 2]]
    return kinds == ["number", "word"] and pieces[index + 1].text == unit


def _names_the_next(pieces: Sequence[_Piece], index: int) -> bool:
    """Whether what ends before `index` is the name of a value there, as in `max 3 min 1`."""
    if index >= len(pieces):
        return False
    piece = pieces[index]
    if piece.kind == "number":
        return _end_of_time(pieces, index) == index
    return piece.kind == "sign" and piece.text in ":="


def _follows(pieces: Sequence[_Piece], index: int, words: re.Pattern[str]) -> bool:
    """Whether one of `words` stands before `index`, with little between."""
    for piece in reversed(pieces[max(index - _FAR, 0) : index]):
        if piece.kind == "word":
            text = piece.text.lower()
            if words.fullmatch(text) or words.fullmatch(piece.text):
                return True
            if not (_BETWEEN.fullmatch(text) or _UNIT.fullmatch(text)):
                return False
        elif piece.kind != "space" and piece.text not in ":=~>()-[]":
            return False
    return False
