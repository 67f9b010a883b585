"""Puts edits into files; what lies outside their ranges keeps every byte."""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from unslow.finding import Edit
from unslow.source.notebook import code_cells, load, raw_source
from unslow.source.text import NEWLINES, Lines, SourceError, SourceText

_SPACE = re.compile(r"[ \t\n\r]*")
_JSON = json.JSONDecoder()
_KEPT_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_ESCAPED = re.compile(r"(?<!\\)(?:\\\\)*\\u(?!00[0-7])[0-9a-fA-F]{4}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UTF8_BOM = b"\xef\xbb\xbf"

_IMPORT = re.compile(r"\s*(?:import|from)\s")
_BOUND = re.compile(
    r"^[ \t]*(?:(?:async[ \t]+)?(?:def|class)[ \t]+(?P<defined>\w+)"
    r"|(?P<assigned>\w+(?:, ?\w+)*)(?::[^=\n]*)? = )",
    re.MULTILINE,
)
"""A statement that binds a name; a keyword argument has no spaces around its sign."""


class EditError(Exception):
    """Edits that cannot be applied; the message says why in one sentence, without the path."""


def apply(data: bytes, edits: Iterable[Edit], notebook: bool = False) -> bytes:
    """The bytes of a file after `edits`, which are all taken to be of this file.

    Two insertions at one place keep their order; edits that are the same count
    once. Where the file's last line has no newline, edits may treat it as if it
    had one, and it still has none afterwards.

    Raises:
        EditError: a place is not in the file, edits overlap, or the encoding lacks a character.
    """
    unique = tuple(dict.fromkeys(replace(edit, path="") for edit in edits))
    if not unique:
        return data
    try:
        return _notebook_applied(data, unique) if notebook else _file_applied(data, unique)
    except SourceError as error:
        raise EditError(str(error)) from error


def compatible(groups: Sequence[Sequence[Edit]]) -> list[int]:
    """The indexes of the groups that can be applied together, taken greedily in order.

    A group is applied whole or not at all. The ones left out wait for the next
    pass: they overlap with one that is taken, or bind the same new name.
    """
    taken: dict[tuple[str, int | None], list[Edit]] = defaultdict(list)
    names: set[tuple[str, str]] = set()
    indexes = []
    for index, group in enumerate(groups):
        unique = tuple(dict.fromkeys(group))
        own = {pair for edit in unique for pair in _bound(edit)}
        if own & names or any(
            _overlap(one, other) for i, one in enumerate(unique) for other in unique[:i]
        ):
            continue
        if any(_clash(edit, other) for edit in unique for other in taken[edit.path, edit.cell]):
            continue
        for edit in unique:
            taken[edit.path, edit.cell].append(edit)
        names |= own
        indexes.append(index)
    return indexes


def diff(path: str, before: bytes, after: bytes, notebook: bool = False) -> str:
    """What changed, as a unified diff; of a notebook one for each cell.

    Raises:
        SourceError: one of them is no text, or no notebook.
    """
    if not notebook:
        return _unified(path, SourceText.of(before).text, SourceText.of(after).text)
    pairs = zip(code_cells(load(before)), code_cells(load(after)), strict=True)
    return "".join(
        _unified(f"{path}:cell {number}", _ended(raw_source(old)), _ended(raw_source(new)))
        for number, (old, new) in enumerate(pairs, start=1)
    )


def _file_applied(data: bytes, edits: Sequence[Edit]) -> bytes:
    if any(edit.cell is not None for edit in edits):
        raise EditError("it has no cells")
    source = SourceText.of(data)
    # Some encodings spell a character in two ways; what is read and written is then not the same.
    if source.bom + source.text.encode(source.encoding, "replace") != data:
        raise EditError(f"its encoding {source.encoding} cannot be written as it was read")
    return source.encode(_text_applied(source, edits))


def _text_applied(source: Lines, edits: Iterable[Edit]) -> str:
    """The text of `source` after `edits`."""
    open_ended = source.lines[-1] != ""
    if open_ended:
        source = Lines(source.text + source.newline)
    try:
        ranges = [(source.offset(*edit.start), source.offset(*edit.end), edit) for edit in edits]
    except ValueError as error:
        raise EditError(str(error)) from error
    # An insertion comes before the range that starts there; the order of insertions is kept.
    ranges.sort(key=lambda each: each[:2])
    pieces = []
    position = 0
    for start, end, edit in ranges:
        if end < start:
            raise EditError(f"line {edit.start[0]}: an edit ends before it starts")
        if start < position:
            raise EditError(f"line {edit.start[0]}: two edits overlap")
        newline = source.newlines[edit.start[0] - 1] or source.newline
        pieces += [source.text[position:start], newline.join(NEWLINES.split(edit.text))]
        position = end
    result = "".join(pieces) + source.text[position:]
    return _without_last_newline(result) if open_ended else result


def _without_last_newline(text: str) -> str:
    if text.endswith("\r\n"):
        return text[:-2]
    return text[:-1] if text.endswith(("\n", "\r")) else text


def _notebook_applied(data: bytes, edits: Sequence[Edit]) -> bytes:
    sources = [raw_source(cell) for cell in code_cells(load(data))]
    by_cell: dict[int, list[Edit]] = defaultdict(list)
    for edit in edits:
        if edit.cell is None or not 1 <= edit.cell <= len(sources):
            raise EditError(f"it has no code cell {edit.cell}")
        by_cell[edit.cell].append(edit)
    bom = _UTF8_BOM if data.startswith(_UTF8_BOM) else b""
    text = data[len(bom) :].decode()
    escaped = text.isascii() and _ESCAPED.search(text) is not None
    places = list(_source_places(text))
    pieces = []
    position = 0
    for number, group in sorted(by_cell.items()):
        old, place = sources[number - 1], places[number - 1]
        try:
            new = _text_applied(Lines(old), group)
        except EditError as error:
            raise EditError(f"cell {number}: {error}") from error
        if _cell_magic(old) != _cell_magic(new):
            raise EditError(f"cell {number}: its magic must stay the first line")
        if new == old:
            continue
        if place is None:
            raise EditError(f"cell {number}: it has no source")
        start, end = place
        pieces += [text[position:start], _rendered(text[start:end], new, escaped)]
        position = end
        sources[number - 1] = new
    result = bom + ("".join(pieces) + text[position:]).encode()
    if [raw_source(cell) for cell in code_cells(load(result))] != sources:
        raise EditError("its JSON cannot be edited")
    return result


def _cell_magic(source: str) -> str:
    first = source.lstrip()
    return NEWLINES.split(first)[0] if first.startswith("%%") else ""


def _source_places(text: str) -> Iterator[tuple[int, int] | None]:
    """Where the sources of the code cells stand in a notebook's JSON."""
    for start in _cell_places(text):
        fields = _fields(text, start)
        kind = fields.get("cell_type")
        if kind is not None and json.loads(text[slice(*kind)]) == "code":
            yield fields.get("source", fields.get("input"))


def _cell_places(text: str) -> Iterator[int]:
    document = _fields(text, _after_space(text, 0))
    cells = document.get("cells")
    if cells is not None and text[cells[0]] == "[":
        yield from (start for start, _ in _items(text, cells[0]))
        return
    for sheet, _ in _items(text, document["worksheets"][0]):
        cells = _fields(text, sheet).get("cells") if text[sheet] == "{" else None
        if cells is not None and text[cells[0]] == "[":
            yield from (start for start, _ in _items(text, cells[0]))


def _fields(text: str, start: int) -> dict[str, tuple[int, int]]:
    """Where the values of the JSON object at `start` stand; the last one counts, as for Python."""
    fields = {}
    position = _after_space(text, start + 1)
    while text[position] != "}":
        key, position = _JSON.raw_decode(text, position)
        value = _after_space(text, _after_space(text, position) + 1)
        _, end = _JSON.raw_decode(text, value)
        fields[key] = (value, end)
        position = _after_comma(text, end)
    return fields


def _items(text: str, start: int) -> list[tuple[int, int]]:
    """Where the items of the JSON list at `start` stand."""
    items = []
    position = _after_space(text, start + 1)
    while text[position] != "]":
        _, end = _JSON.raw_decode(text, position)
        items.append((position, end))
        position = _after_comma(text, end)
    return items


def _after_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _after_comma(text: str, position: int) -> int:
    position = _after_space(text, position)
    return _after_space(text, position + 1) if text[position] == "," else position


def _rendered(old: str, new: str, escaped: bool) -> str:
    """The JSON of a cell's source `new`, in the form of `old`: a string, or a list of lines."""
    if not old.startswith("["):
        return _string(new, escaped)
    places = _items(old, 0)
    values = [json.loads(old[start:end]) for start, end in places]
    head, middle, tail = _split(values, new)
    known = dict(zip(values, (old[start:end] for start, end in places), strict=True))
    texts = [known.get(line) or _string(line, escaped) for line in _KEPT_LINES.findall(middle)]
    if not places:
        return f"[{', '.join(texts)}]"
    opening = old[: places[0][0]]
    comma = old[places[0][1] : places[1][0]] if len(places) > 1 else f",{opening[1:] or ' '}"
    if head:
        texts.insert(0, old[places[0][0] : places[head - 1][1]])
    if tail:
        texts.append(old[places[-tail][0] : places[-1][1]])
    return opening + comma.join(texts) + old[places[-1][1] :] if texts else "[]"


def _split(values: Sequence[str], new: str) -> tuple[int, str, int]:
    """How many of `values` stay at the head and at the tail of `new`, and what comes between.

    The pieces between them are whole lines.
    """
    head, start = 0, 0
    while head < len(values) and new.startswith(values[head], start):
        start += len(values[head])
        head += 1
    tail, end = 0, len(new)
    while tail < len(values) - head and new.endswith(values[-tail - 1], start, end):
        end -= len(values[-tail - 1])
        tail += 1
    while head and not values[head - 1].endswith("\n"):
        head -= 1
        start -= len(values[head])
    while tail and start < end and new[end - 1] != "\n":
        end += len(values[-tail])
        tail -= 1
    return head, new[start:end], tail


def _string(value: str, escaped: bool) -> str:
    return json.dumps(value, ensure_ascii=escaped or _SURROGATE.search(value) is not None)


def _overlap(one: Edit, other: Edit) -> bool:
    if (one.path, one.cell) != (other.path, other.cell):
        return False
    return one.start < other.end and other.start < one.end


def _clash(one: Edit, other: Edit) -> bool:
    """Whether edits of two groups cannot both be applied.

    Only an import serves both groups where it is the same; anything else that two
    groups write alike at one place is meant twice.
    """
    if one == other:
        return not _is_import(one)
    return _overlap(one, other)


def _is_import(edit: Edit) -> bool:
    lines = [line for line in edit.text.split("\n") if line.strip()]
    return edit.start == edit.end and bool(lines) and all(map(_IMPORT.match, lines))


def _bound(edit: Edit) -> Iterator[tuple[str, str]]:
    """The names that the text of an edit binds, each with the path."""
    for match in _BOUND.finditer(edit.text):
        for name in (match["defined"] or match["assigned"]).split(","):
            yield edit.path, name.strip()


def _ended(source: str) -> str:
    """A cell's source with a newline at its end, where cells mostly have none."""
    return source if source.endswith("\n") else f"{source}\n"


def _unified(name: str, before: str, after: str) -> str:
    old, new = _KEPT_LINES.findall(before), _KEPT_LINES.findall(after)
    lines = difflib.unified_diff(old, new, name, name)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
