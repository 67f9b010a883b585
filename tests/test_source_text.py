"""The text of files and notebooks: encodings, lines, columns, and what is refused."""

from __future__ import annotations

import ast
import json
import pickle
import random
import warnings
from typing import Any

import pytest

from unslow.source.notebook import NotebookText
from unslow.source.text import SourceError, SourceText

NEWLINES = ("\n", "\r\n", "\r")
ALPHABET = "ab =()#'\t\f\v\x1c\x85\u2028\u2029é😀𠀀\ufeff"


def random_text(chance: random.Random, alphabet: str = ALPHABET) -> str:
    pieces = []
    for _ in range(chance.randrange(8)):
        pieces.append("".join(chance.choices(alphabet, k=chance.randrange(6))))
        pieces.append(chance.choice(NEWLINES))
    if chance.random() < 0.5:
        pieces.append("".join(chance.choices(alphabet, k=chance.randrange(6))))
    return "".join(pieces)


@pytest.mark.parametrize("seed", range(200))
def test_text_goes_to_bytes_and_back(seed: int) -> None:
    chance = random.Random(seed)
    text = random_text(chance)
    bom = b"\xef\xbb\xbf" if seed % 3 == 0 else b""
    if not bom:
        text = text.lstrip("\ufeff")
    data = bom + text.encode()
    source = SourceText.of(data)
    assert source.text == text
    assert (source.encoding, source.bom) == ("utf-8", bom)
    assert source.encode(source.text) == data
    assert source.encode(text + "é") == data + "é".encode()


@pytest.mark.parametrize("seed", range(200))
def test_lines_and_their_newlines_make_up_the_text(seed: int) -> None:
    source = SourceText.of(random_text(random.Random(seed), "ab\t\f\v\x1c\x85\u2028é😀").encode())
    joined = zip(source.lines, source.newlines, strict=True)
    assert "".join(line + newline for line, newline in joined) == source.text
    assert set(source.newlines[:-1]) <= set(NEWLINES)
    assert source.newlines[-1] == ""
    position = 0
    for number, line in enumerate(source.lines, start=1):
        assert "\n" not in line
        assert "\r" not in line
        for column in range(1, len(line) + 2):
            assert source.offset(number, column) == position + column - 1
        position += len(line) + len(source.newlines[number - 1])


@pytest.mark.parametrize(
    ("line", "column"), [(0, 1), (1, 0), (1, 4), (2, 3), (4, 1), (3, 2), (-1, 1)]
)
def test_places_that_are_not_there(line: int, column: int) -> None:
    with pytest.raises(ValueError, match=rf"no column {column} in line {line}"):
        SourceText.of(b"ab\r\nc\n").offset(line, column)


@pytest.mark.parametrize(
    ("data", "newline"),
    [
        (b"", "\n"),
        (b"x", "\n"),
        (b"a\r\nb\nc\r\n", "\r\n"),
        (b"a\rb\r", "\r"),
        (b"a\nb\n\r\n", "\n"),
        (b"a\r\nb\n", "\r\n"),
    ],
)
def test_the_newline_that_most_lines_have(data: bytes, newline: str) -> None:
    assert SourceText.of(data).newline == newline


@pytest.mark.parametrize(
    ("encoding", "cookie", "text"),
    [
        ("iso-8859-1", "latin-1", "é = 'ß'"),
        ("cp1252", "cp1252", "x = '€'"),
        ("iso-8859-15", "iso-8859-15", "x = '€'"),
        ("koi8-r", "koi8-r", "x = 'да'"),
        ("shift_jis", "shift_jis", "x = '日本'"),
        ("utf-8", "utf8", "x = '😀'"),
    ],
)
@pytest.mark.parametrize("lead", ["", "#!/usr/bin/python\n", "#!/usr/bin/python\r"])
def test_the_encoding_that_a_file_names(encoding: str, cookie: str, text: str, lead: str) -> None:
    data = f"{lead}# -*- coding: {cookie} -*-\r{text}\n".encode(encoding)
    source = SourceText.of(data)
    assert source.encoding == encoding
    assert source.lines[-2] == text
    assert source.encode(source.text) == data
    (assignment,) = source.parse().body
    assert assignment.lineno == len(source.lines) - 1


def test_a_comment_further_down_names_no_encoding() -> None:
    source = SourceText.of(b"# one\r# two\r# coding: latin-1\r")
    assert source.encoding == "utf-8"


@pytest.mark.parametrize(
    ("data", "line", "part"),
    [
        (b"x = 1\n\0\n", 2, "null byte"),
        ("x = 1".encode("utf-16"), 1, "null byte"),
        ("é = 1".encode("utf-16-le"), 1, "null byte"),
        (b"\xff\xfeab", None, "encoding"),
        (b"a\r\nb\rc\nx = '\xff'\n", 4, "its text is not utf-8"),
        (b"# coding: no-such-thing\n", None, "no-such-thing"),
        (b"# coding: utf-16\n", None, "utf-16 cannot hold"),
        (b"# coding: utf-7\n", None, "utf-7 cannot hold"),
        (b"# coding: rot13\n", None, "rot13 cannot hold"),
        (b"# coding: base64\n", None, "base64 cannot hold"),
        (b"# coding: cp037\n", None, "cp037 cannot hold"),
        (b"# coding: undefined\n", None, "undefined cannot hold"),
        (b"\xef\xbb\xbf# coding: latin-1\n", None, "encoding"),
        (b"# coding: cp1252\n\nx = '\x81'\n", 3, "its text is not cp1252"),
    ],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, line: int | None, part: str) -> None:
    with pytest.raises(SourceError) as caught:
        SourceText.of(data)
    assert caught.value.line == line
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"line {line}: ") or line is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\rx = = 1\n", 2),
        ("x = (\n", 1),
        ("if x:\ny\n", 2),
        ("if x:\n\ty\n        z\n", 3),
        ("print 'x'", 1),
        ("'\\N{no such name}'", 1),
        ("(" * 1000, 1),
        ("x = '\u2028\n'", 1),
        ("\f\fx =", 1),
    ],
)
def test_what_is_not_python_is_refused_at_its_line(text: str, line: int) -> None:
    with pytest.raises(SourceError) as caught:
        SourceText.of(text.encode()).parse()
    assert caught.value.line == line
    assert str(caught.value) == f"line {line}: {caught.value.reason}"
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.line) == (str(caught.value), line)


@pytest.mark.parametrize(
    "text", ["-" * 100_000 + "1", "x" + ".x" * 100_000, "+".join("1" * 100_000)]
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        SourceText.of(text.encode()).parse()


def test_pythons_warnings_are_not_shown() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tree = SourceText.of(b"x = '\\d' is 1\nassert (1, 2)\n1if x else 2").parse()
    assert len(tree.body) == 3


def names(source: SourceText | NotebookText, tree: ast.Module) -> list[tuple[int, int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            line = node.lineno
            found.append((line, source.column(line, node.col_offset), node.id))
    return sorted(found)


def test_columns_count_characters() -> None:
    text = "if_ = é\f + 'é😀𠀀' + last; ü\rb\f=\t'\u2028' + c\r\n\fd\n"
    source = SourceText.of(text.encode())
    assert names(source, source.parse()) == [
        (1, 1, "if_"),
        (1, 7, "é"),
        (1, 20, "last"),
        (1, 26, "ü"),
        (2, 1, "b"),
        (2, 11, "c"),
        (3, 2, "d"),
    ]


@pytest.mark.parametrize("seed", range(100))
def test_names_are_found_where_columns_say(seed: int) -> None:
    chance = random.Random(seed)
    lines = []
    for _ in range(6):
        strings = [repr("".join(chance.choices("ab é😀𠀀\u2028\t", k=3))) for _ in range(2)]
        blanks = [chance.choice(["", " ", "\t", "\f"]) for _ in range(2)]
        lines.append(f"{strings[0]},{blanks[0]}name,{blanks[1]}{strings[1]}, é_é")
    newline = chance.choice(NEWLINES)
    source = SourceText.of(newline.join(lines).encode())
    found = names(source, source.parse())
    assert len(found) == 12
    for line, column, name in found:
        start = source.offset(line, column)
        assert source.text[start : start + len(name)] == name


def test_a_character_that_the_encoding_lacks() -> None:
    source = SourceText.of(b"# coding: latin-1\n\xe9\n")
    with pytest.raises(SourceError, match=r"iso-8859-1 has no character '\\u20ac'"):
        source.encode(source.text + "€")


def notebook(*cells: Any, **extra: Any) -> bytes:
    rows = [c if isinstance(c, dict) else {"cell_type": "code", "source": c} for c in cells]
    return json.dumps({"cells": rows, **extra}).encode()


def test_the_cells_of_a_notebook_are_one_text() -> None:
    source = NotebookText.of(
        notebook(
            ["%matplotlib inline\n", "x = 1\n"],
            {"cell_type": "markdown", "source": "# words"},
            "%%bash\nls\nls",
            "y = (1,",
            "%%time\r\n\r\nawait f(x)\r\n!ls",
            [],
            "é = '😀'; z",
        )
    )
    assert source.text == "pass\nx = 1\n\n\n\n\n\n\n\nawait f(x)\npass\n\né = '😀'; z\n"
    assert source.changed_lines == {1, 4, 5, 6, 7, 8, 11}
    assert [cell for cell, _ in source.broken] == [3]
    assert source.broken[0][1].startswith("line 1: ")
    places = [(s.lineno, *source.locate(s.lineno)) for s in source.parse().body]
    assert places == [(1, 1, 1), (2, 1, 2), (10, 4, 3), (11, 4, 4), (13, 6, 1), (13, 6, 1)]
    assert names(source, source.parse())[-1] == (13, 10, "z")


def test_what_a_broken_cell_leaves_open_does_not_reach_the_next() -> None:
    source = NotebookText.of(notebook("x = (1,", "2)", "x = \\", "y", "@f", "def g(): pass"))
    assert [cell for cell, _ in source.broken] == [1, 2, 3, 5]
    assert [type(s).__name__ for s in source.parse().body] == ["Expr", "FunctionDef"]
    assert source.text == "\n\n\ny\n\ndef g(): pass\n"


def test_the_line_of_a_fault_counts_in_the_cell() -> None:
    source = NotebookText.of(notebook("x\ny", "%cd a\nx = 1\nx = = 1\n", "y\nif x:\nz"))
    assert source.broken == (
        (2, "line 3: invalid syntax"),
        (3, "line 3: expected an indented block after 'if' statement on line 2"),
    )


def test_cells_in_another_language_are_blank() -> None:
    spoken = {"metadata": {"kernelspec": {"language": "R"}}}
    source = NotebookText.of(notebook("x <- 1\ny", **spoken))
    assert (source.text, source.broken, source.parse().body) == ("\n\n", (), [])
    assert source.changed_lines == {1, 2}
    old = {
        "nbformat": 3,
        "worksheets": [
            {"cells": [{"cell_type": "code", "language": "perl", "input": "x"}]},
            {"cells": [{"cell_type": "code", "language": "python", "input": ["y\n", "z"]}]},
        ],
    }
    source = NotebookText.of(json.dumps(old).encode())
    assert source.text == "\ny\nz\n"
    assert source.locate(3) == (2, 2)


def test_a_notebook_without_code_is_empty() -> None:
    source = NotebookText.of(b'{"cells": []}')
    assert (source.text, source.lines, source.parse().body) == ("", (), [])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b'{"cells": [3]}', b"[" * 100_000])
def test_what_is_no_notebook_is_refused(data: bytes) -> None:
    with pytest.raises(SourceError, match="it is not a notebook: ") as caught:
        NotebookText.of(data)
    assert caught.value.line is None


@pytest.mark.parametrize("seed", range(60))
def test_every_line_of_a_notebook_is_found_in_its_cell(seed: int) -> None:
    chance = random.Random(seed)
    lines = ["x = 1", "", "%cd a", "if x:", "    y", "!ls", "'''", "(", ")", "%%time", "é = \u2028"]
    cells = ["\n".join(chance.choices(lines, k=chance.randrange(6))) for _ in range(5)]
    source = NotebookText.of(notebook(*cells))
    broken = {cell for cell, _ in source.broken}
    assert len(source.lines) == sum(len(cell.split("\n")) for cell in cells)
    assert source.text == "".join(f"{line}\n" for line in source.lines)
    for number, line in enumerate(source.lines, start=1):
        cell, inner = source.locate(number)
        own = cells[cell - 1].split("\n")[inner - 1]
        assert (number in source.changed_lines) == (line != own)
        assert cell not in broken or line == ""
    assert ast.dump(source.parse()) == ast.dump(ast.parse(source.text))
