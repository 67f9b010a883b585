"""Text for terminals: colours, widths, and what an encoding can carry."""

from __future__ import annotations

import textwrap

_PLAIN = str.maketrans(
    {
        "\u202f": " ",
        "\u00a0": " ",
        "µ": "u",
        "×": "x",
        "→": ">",
        "←": "<",
        "…": "~",
        "–": "-",
        "—": "-",
        "≥": ">",
        "≤": "<",
        "²": "2",
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "█": "#",
        "▌": " ",
        "─": "-",
    }
)


def fit_encoding(text: str, encoding: str | None) -> str:
    """`text` with nothing in it that `encoding` cannot carry."""
    encoding = encoding or "ascii"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        text = text.translate(_PLAIN).encode("ascii", errors="backslashreplace").decode("ascii")
    return text


class Paint:
    """Colours, or none."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def strong(self, text: str) -> str:
        return self._in(text, "1")

    def name(self, text: str) -> str:
        return self._in(text, "36")

    def cost(self, text: str) -> str:
        return self._in(text, "33")

    def faint(self, text: str) -> str:
        return self._in(text, "2")

    def _in(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._color and text else text


def counted(count: int, noun: str) -> str:
    """`3 files`, `1 file`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def plain_ratio(ratio: float) -> str:
    """A ratio in three digits, or as many as it has before the point: `2.13`, `1271`."""
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.3g}"


def printable(text: str) -> str:
    """`text` with nothing in it that would steer a terminal."""
    text = text.replace("\n", " ").expandtabs(4)
    return "".join(char if char.isprintable() or char == "\u202f" else "?" for char in text)


def cut(text: str, width: int) -> str:
    """`text` in at most `width` characters."""
    return text if len(text) <= width else text[: max(width - 1, 0)].rstrip() + "…"


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """`text` in lines of at most `width` characters, a long word whole."""
    margin = " " * indent
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
