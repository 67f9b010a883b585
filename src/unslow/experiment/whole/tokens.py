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

_PER = re.compile(r"s|secs?|seconds?|min|minute|h|hour")
"""What stands behind the bar of a rate."""

_MEASURED = re.compile(
    r"times?|took|taken|takes|elapsed|duration|latency|runtime|wall|seconds|secs|throughput"
    r"|speed|fps|eta"
)
"""Words that say that the next number is a time or a rate."""

_BETWEEN = re.compile(r"is|was|of|in|for|per|a|the|total|about|approx|step")
"""What may stand between such a word and its number, units aside."""

_FAR = 12


@dataclass(frozen=True)
class Token:
    """A number, a piece of text, or a time or address that no two runs share.

    `unit` is what one unit of a number's last digit is worth, 0 for a whole number.
    """

    kind: Literal["number", "text", "time"]
    text: str

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
            end = _end_of_time(pieces, index)
            if end == index and _is_measured(pieces, index):
                end = index + 1
            if end > index:
                if not (found and found[-1].kind == "time"):
                    found.append(Token("time", ""))
                index = end
                continue
            found.append(Token("number", piece.text))
        elif piece.kind in ("clock", "address"):
            found.append(Token("time", ""))
        elif piece.kind != "space":
            found.append(Token("text", piece.text))
        index += 1
    return tuple(found)


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


def _is_measured(pieces: Sequence[_Piece], index: int) -> bool:
    """Whether the words before the number at `index` say that it is a time."""
    for piece in reversed(pieces[max(index - _FAR, 0) : index]):
        if piece.kind == "word":
            text = piece.text.lower()
            if _MEASURED.fullmatch(text):
                return True
            if not (_BETWEEN.fullmatch(text) or _UNIT.fullmatch(text)):
                return False
        elif piece.kind != "space" and piece.text not in ":=~>()-[]":
            return False
    return False
