"""What a terminal would show of a program's output in the end."""

from __future__ import annotations

import re

_TAB = 8

_STEERING = re.compile(
    r"\x1b\[(?P<numbers>[0-9;?]*)[ -/]*(?P<final>[@-~])"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.|[\n\r\b\t\f\v\a\0]",
    re.DOTALL,
)


def shown(text: str) -> list[str]:
    """The lines that stand on a terminal after `text`, however wide and high it may be.

    Carriage returns, backspaces and escape sequences that move the cursor or erase are
    followed, as progress bars use them; colours are left out.
    """
    if not _STEERING.search(text.replace("\n", "")):
        return [line.rstrip() for line in text.split("\n")]
    screen = _Screen()
    position = 0
    for match in _STEERING.finditer(text):
        screen.write(text[position : match.start()])
        screen.steer(match)
        position = match.end()
    screen.write(text[position:])
    return [line.rstrip() for line in screen.lines]


class _Screen:
    def __init__(self) -> None:
        self.lines = [""]
        self._row = 0
        self._column = 0

    def write(self, text: str) -> None:
        if not text:
            return
        line = self.lines[self._row].ljust(self._column)
        end = self._column + len(text)
        self.lines[self._row] = line[: self._column] + text + line[end:]
        self._column = end

    def steer(self, match: re.Match[str]) -> None:
        if match["final"] is not None:
            self._sequence(match["final"], match["numbers"])
            return
        char = match.group()
        if char == "\n":
            self._move_to_row(self._row + 1)
            self._column = 0
        elif char == "\r":
            self._column = 0
        elif char == "\b":
            self._column = max(self._column - 1, 0)
        elif char == "\t":
            self.write(" " * (_TAB - self._column % _TAB))

    def _sequence(self, final: str, numbers: str) -> None:
        first = numbers.split(";", maxsplit=1)[0]
        count = int(first) if first.isdecimal() else 0
        steps = max(count, 1)
        if final == "K":
            self._erase(count)
        elif final == "J":
            self._erase(count)
            if count == 0:
                del self.lines[self._row + 1 :]
        elif final == "A":
            self._row = max(self._row - steps, 0)
        elif final == "B":
            self._move_to_row(self._row + steps)
        elif final == "C":
            self._column += steps
        elif final == "D":
            self._column = max(self._column - steps, 0)
        elif final == "G":
            self._column = steps - 1

    def _erase(self, which: int) -> None:
        line = self.lines[self._row]
        if which == 0:
            self.lines[self._row] = line[: self._column]
        elif which == 1:
            self.lines[self._row] = " " * (self._column + 1) + line[self._column + 1 :]
        else:
            self.lines[self._row] = ""

    def _move_to_row(self, row: int) -> None:
        self._row = row
        while len(self.lines) <= row:
            self.lines.append("")
