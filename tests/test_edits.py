"""Edits: only their ranges change, in files and in notebooks, and what goes together."""

from __future__ import annotations

import ast
import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from unslow.finding import Edit
from unslow.source.edits import EditError, apply, compatible, diff
from unslow.source.notebook import NotebookText
from unslow.source.text import NEWLINES, SourceText

ALPHABET = "ab =()#'\t\f\v\x1c\x85\u2028é😀"


def edit(
    start: tuple[int, int], end: tuple[int, int], text: str = "", cell: int | None = None
) -> Edit:
    return Edit("program.py", start, end, text, cell)


def insert(line: int, text: str, cell: int | None = None) -> Edit:
    return edit((line, 1), (line, 1), text, cell)


def random_text(chance: random.Random, alphabet: str = ALPHABET) -> str:
    pieces = []
    for _ in range(chance.randrange(8)):
        pieces.append("".join(chance.choices(alphabet, k=chance.randrange(6))))
        pieces.append(chance.choice(["\n", "\r\n", "\r"]))
    pieces.append("".join(chance.choices(alphabet, k=chance.randrange(4))))
    # A carriage return at the end of a piece makes one newline with the next.
    return "".join(pieces)


def random_edits(chance: random.Random, text: str, cell: int | None = None) -> list[Edit]:
    """Edits of `text` that do not overlap; touching ones and insertions among them."""
    places = []
    line, column, position = 1, 1, 0
    while position < len(text):
        places.append((line, column))
        newline = NEWLINES.match(text, position)
        column += 1
        if newline:
            line, column = line + 1, 1
        position = newline.end() if newline else position + 1
    places.append((line, column))
    count = 2 * chance.randrange(4)
    ends = sorted(chance.choices(range(len(places)), k=count))
    found = [
        edit(
            places[start],
            places[end],
            "".join(chance.choices(["x", "é", "\n", "  y = 1\n", ""], k=3)),
            cell,
        )
        for start, end in zip(ends[::2], ends[1::2], strict=True)
    ]
    # Of ranges that start at one place only insertions may come first.
    found.sort(key=lambda e: (e.start, e.end))
    return list(dict.fromkeys(found))


def expected(text: str, edits: list[Edit]) -> str:
    """The same done line by line and from the end, on a list of characters and newlines."""
    breaks = NEWLINES.findall(text)
    most = max(dict.fromkeys(breaks), key=breaks.count) if breaks else "\n"
    newlines = [*breaks, ""]
    lines = [list(line) for line in NEWLINES.split(text)]
    last = bool(lines[-1])
    if last:
        newlines[-1] = most
    cells = [[*line, newline] for line, newline in zip(lines, newlines, strict=True)]
    for each in reversed(edits):
        (line, column), (end_line, end_column) = each.start, each.end
        newline = newlines[line - 1] or most
        rest = cells[end_line - 1][end_column - 1 :]
        kept = cells[line - 1][: column - 1]
        cells[line - 1 : end_line] = [[*kept, *each.text.replace("\n", newline), *rest]]
        # Positions before this edit are still those of the original.
    joined = "".join(piece for line in cells for piece in line)
    if last:
        for newline in ("\r\n", "\n", "\r"):
            if joined.endswith(newline):
                return joined[: -len(newline)]
    return joined


@pytest.mark.parametrize("seed", range(500))
def test_random_edits_change_their_ranges_alone(seed: int) -> None:
    chance = random.Random(seed)
    text = random_text(chance)
    edits = random_edits(chance, text)
    bom = b"\xef\xbb\xbf" if seed % 4 == 0 else b""
    shuffled = sorted(edits, key=lambda e: (e.start == e.end, chance.random()))
    inserts = [e for e in edits if e.start == e.end]
    shuffled = [e for e in shuffled if e.start != e.end] + inserts
    assert apply(bom + text.encode(), shuffled) == bom + expected(text, edits).encode()


@pytest.mark.parametrize(
    ("before", "edits", "after"),
    [
        (b"a\tb # c", [edit((1, 1), (1, 2), "xyz")], b"xyz\tb # c"),
        (b"a\r\nb\nc\r", [insert(1, "1\n"), insert(2, "2\n")], b"1\r\na\r\n2\nb\nc\r"),
        (b"a\r\nb\r", [insert(3, "c\n")], b"a\r\nb\rc\r\n"),
        (b"a\r\nb", [edit((2, 2), (2, 2), "\nc")], b"a\r\nb\r\nc"),
        (b"a", [insert(1, "b\n")], b"b\na"),
        (b"", [insert(1, "import a\n")], b"import a\n"),
        (b"\xef\xbb\xbfa\n", [insert(1, "b\n")], b"\xef\xbb\xbfb\na\n"),
        (b"a\nb", [insert(3, "c\n")], b"a\nb\nc"),
        (b"a\nb", [edit((2, 1), (3, 1))], b"a"),
        (b"a\nb", [edit((2, 1), (3, 1), "c\n")], b"a\nc"),
        (b"a\nb\nc\n", [edit((2, 1), (3, 1))], b"a\nc\n"),
        (b"abc", [edit((1, 1), (1, 2), "x"), edit((1, 2), (1, 3), "y")], b"xyc"),
        (b"abc", [edit((1, 2), (1, 3), "y"), edit((1, 2), (1, 2), "x")], b"axyc"),
        (b"abc", [edit((1, 1), (1, 2), "x"), edit((1, 2), (1, 2), "y")], b"xybc"),
        (b"a", [insert(1, "1"), insert(1, "2"), insert(1, "1")], b"12a"),
        (b"a", [edit((1, 1), (1, 2), "b")] * 2, b"b"),
        (b"a\rb", [insert(2, "1\r\n2\n")], b"a\r1\r2\rb"),
        (b"a\fb\n", [edit((1, 3), (1, 4), "c")], b"a\fc\n"),
        ("a\u2028b\n".encode(), [edit((1, 3), (1, 4), "c")], "a\u2028c\n".encode()),
        (b"a\n", [], b"a\n"),
        (b"\xff", [], b"\xff"),
    ],
)
def test_what_edits_do(before: bytes, edits: list[Edit], after: bytes) -> None:
    assert apply(before, edits) == after


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "koi8-r", "shift_jis", "gbk", "utf-8"])
def test_encodings_are_kept(encoding: str) -> None:
    word = {"koi8-r": "д", "shift_jis": "日", "gbk": "中"}.get(encoding, "é")
    before = f"# coding: {encoding}\r\nx = '{word}'  # {word}\r\n"
    after = before.replace(f"'{word}'", f"f('{word}')")
    done = apply(before.encode(encoding), [edit((2, 5), (2, 8), f"f('{word}')")])
    assert done == after.encode(encoding)


@pytest.mark.parametrize(
    ("data", "edits", "part"),
    [
        (b"ab\nc\n", [insert(4, "x")], "no column 1 in line 4"),
        (b"ab\nc\n", [insert(0, "x")], "no column 1 in line 0"),
        (b"ab\nc\n", [edit((1, 4), (1, 4))], "no column 4 in line 1"),
        (b"ab\r\nc\n", [edit((1, 1), (1, 4))], "no column 4 in line 1"),
        (b"ab\nc", [edit((3, 2), (3, 2))], "no column 2 in line 3"),
        (b"ab\n", [edit((1, 2), (1, 1))], "line 1: an edit ends before it starts"),
        (b"abc", [edit((1, 1), (1, 3)), edit((1, 2), (1, 3))], "line 1: two edits overlap"),
        (b"abc", [edit((1, 1), (1, 3)), edit((1, 2), (1, 2), "x")], "two edits overlap"),
        (b"abc", [edit((1, 1), (1, 3)), edit((1, 1), (1, 3), "x")], "two edits overlap"),
        (b"a", [insert(1, "x", cell=1)], "it has no cells"),
        (b"a\0", [insert(1, "x")], "null byte"),
        (b"# coding: latin-1\n", [insert(2, "'€'\n")], "iso-8859-1 has no character"),
        ("a".encode("utf-16"), [insert(1, "x")], "null byte"),
        (b"# coding: cp932\n'\xfa\x5b'\n", [insert(2, "x\n")], "cannot be written as it was"),
    ],
)
def test_edits_that_cannot_be_applied(data: bytes, edits: list[Edit], part: str) -> None:
    with pytest.raises(EditError) as caught:
        apply(data, edits)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def code(source: Any, **extra: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": 3,
        "metadata": {"source": ["not this\n"], "é": 1.50},
        "source": source,
        "outputs": [{"output_type": "stream", "text": ["é 😀\n", "x = 1"], "source": "nor this"}],
        **extra,
    }


def book(*cells: Any, **style: Any) -> bytes:
    data = {
        "cells": [{"cell_type": "markdown", "source": ["x = 1\n"]}, *cells],
        "metadata": {"kernelspec": {"language": "python"}},
        "nbformat": 4,
    }
    return json.dumps(data, **style).encode()


STYLES: dict[str, dict[str, Any]] = {
    "jupyter": {"indent": 1, "ensure_ascii": False},
    "escaped": {"indent": 1},
    "compact": {"separators": (",", ":"), "ensure_ascii": False},
    "tabs": {"indent": "\t", "ensure_ascii": False},
    "sorted": {"indent": 2, "sort_keys": True},
    "default": {},
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n\n"])
@pytest.mark.parametrize("kind", ["list", "string"])
def test_only_the_source_of_the_edited_cell_changes(style: str, ending: bytes, kind: str) -> None:
    def source(text: str) -> str | list[str]:
        return text.splitlines(keepends=True) if kind == "list" else text

    first = "import a\nx = 'é'  # \"quoted\" \\ 😀\n\ty\n"
    second = "a\nb"
    before = book(code(source(first)), code(source("x = 1\n")), code(source(second)))
    edits = [
        edit((2, 5), (2, 8), 'f("é")\n', cell=1),
        insert(1, "import b\n", cell=1),
        insert(3, "ü\n", cell=3),
    ]
    changed = [
        'import b\nimport a\nx = f("é")\n  # "quoted" \\ 😀\n\ty\n',
        "x = 1\n",
        "a\nb\nü",
    ]

    def dumped(*texts: str) -> bytes:
        return book(*(code(source(text)) for text in texts))

    styled = [
        json.dumps(json.loads(data), **STYLES[style]).encode() + ending
        for data in (before, dumped(*changed))
    ]
    assert apply(styled[0], edits, notebook=True) == styled[1]
    with_bom = apply(b"\xef\xbb\xbf" + styled[0], edits, notebook=True)
    assert with_bom == b"\xef\xbb\xbf" + styled[1]


@pytest.mark.parametrize("seed", range(300))
def test_random_edits_of_notebooks(seed: int) -> None:
    chance = random.Random(seed)
    style = STYLES[chance.choice(list(STYLES))]
    texts = [random_text(chance, "ab\t\f\u2028é😀\"\\'") for _ in range(4)]

    def pieces(text: str) -> list[str]:
        if chance.random() < 0.7:
            return text.splitlines(keepends=True)
        cuts = sorted(chance.choices(range(len(text) + 1), k=2))
        return [text[: cuts[0]], text[cuts[0] : cuts[1]], text[cuts[1] :]]

    sources = [text if chance.random() < 0.3 else pieces(text) for text in texts]
    before = book(*map(code, sources), **style)
    edits: list[Edit] = []
    results = []
    for number, text in enumerate(texts, start=1):
        own = random_edits(chance, text, number) if chance.random() < 0.7 else []
        edits += own
        results.append(expected(text, own))
    after = apply(before, edits, notebook=True)
    old, new = json.loads(before), json.loads(after)
    found = []
    for old_cell, new_cell in zip(old["cells"][1:], new["cells"][1:], strict=True):
        assert type(old_cell["source"]) is type(new_cell["source"])
        found.append("".join(new_cell["source"]))
        if isinstance(new_cell["source"], list) and old_cell["source"] != new_cell["source"]:
            assert all(new_cell["source"][:-1]) or not all(old_cell["source"])
        new_cell["source"] = old_cell["source"]
    assert found == results
    # With the old sources put back, the rest is what it was, to the byte.
    assert json.dumps(new, **style).encode() == before
    if texts == results:
        assert after == before


def test_the_spelling_of_unchanged_lines_is_kept() -> None:
    before = (
        b'{"cells" : [ {"source":["\\u0061\\/b\\n" ,\n "x\\n","y\\n" ,"\\u0061\\/b\\n",'
        b' "\\u00e9"],\n'
        b'"cell_type":"code","x":1e3,"x":1E4}]}'
    )
    edits = [edit((2, 1), (2, 2), "z", cell=1), insert(5, "ü\n", cell=1)]
    assert apply(before, edits, notebook=True) == (
        b'{"cells" : [ {"source":["\\u0061\\/b\\n" ,\n "z\\n" ,\n "y\\n" ,\n "\\u0061\\/b\\n" ,\n'
        b' "\\u00fc\\n" ,\n "\\u00e9"],\n"cell_type":"code","x":1e3,"x":1E4}]}'
    )


def test_the_last_of_keys_that_are_there_twice_counts() -> None:
    before = b'{"cells": 3, "cells": [{"cell_type": "code", "source": "a", "source": "b"}]}'
    after = apply(before, [edit((1, 1), (1, 2), "c", cell=1)], notebook=True)
    assert after == before.replace(b'"b"', b'"c"')


@pytest.mark.parametrize(
    ("source", "edits", "after"),
    [
        ([], [insert(1, "a\nb\n", 1)], ["a\n", "b\n"]),
        (["a"], [edit((1, 1), (1, 2), "", 1)], []),
        (["a"], [insert(2, "b\n", 1)], ["a\n", "b"]),
        (["a\r\n", "b"], [insert(2, "c\n", 1)], ["a\r\n", "c\r\n", "b"]),
        (["a\nb", "c"], [insert(1, "d\n", 1)], ["d\n", "a\nb", "c"]),
        (["a\n", "b"], [edit((1, 2), (2, 1), "", 1)], ["ab"]),
        (["a\n", "b\n", "c"], [edit((2, 1), (3, 1), "", 1)], ["a\n", "c"]),
        (["a\n", "b"], [edit((2, 1), (3, 1), "", 1)], ["a"]),
        ("a\nb", [insert(2, "c\n", 1)], "a\nc\nb"),
        ("\ud800", [insert(1, "é", 1)], "é\ud800"),
    ],
)
def test_the_lines_of_a_cell(source: Any, edits: list[Edit], after: Any) -> None:
    for style in STYLES.values():
        if "\ud800" in source and not style.get("ensure_ascii", True):
            continue
        done = json.loads(apply(book(code(source), **style), edits, notebook=True))
        assert done["cells"][1]["source"] == after


def test_format_three_is_edited() -> None:
    cells = [{"cell_type": "code", "input": ["x = 1\n", "y"], "language": "python"}]
    data = {"nbformat": 3, "worksheets": [{}, {"cells": cells}, {"cells": cells}]}
    after = apply(json.dumps(data).encode(), [edit((2, 1), (2, 2), "z", 2)], notebook=True)
    data["worksheets"] = [
        {},
        {"cells": cells},
        {"cells": [{**cells[0], "input": ["x = 1\n", "z"]}]},
    ]
    assert after == json.dumps(data).encode()


@pytest.mark.parametrize(
    ("edits", "part"),
    [
        ([insert(1, "x")], "it has no code cell None"),
        ([insert(1, "x", 0)], "it has no code cell 0"),
        ([insert(1, "x", 4)], "it has no code cell 4"),
        ([insert(9, "x", 1)], "cell 1: there is no column 1 in line 9"),
        ([edit((1, 1), (1, 2), "", 1), edit((1, 1), (1, 2), "x", 1)], "cell 1: line 1: two edits"),
        ([insert(1, "import a\n", 2)], "cell 2: its magic must stay the first line"),
        ([insert(1, "import a\n", 3)], "cell 3: it has no source"),
    ],
)
def test_edits_of_a_notebook_that_cannot_be_applied(edits: list[Edit], part: str) -> None:
    data = book(code("x"), code("\n%%time\nx"), {"cell_type": "code"})
    with pytest.raises(EditError) as caught:
        apply(data, edits, notebook=True)
    assert part in str(caught.value)
    with pytest.raises(EditError, match="it is not a notebook"):
        apply(b"x = 1\n", [insert(1, "x", 1)], notebook=True)


def test_what_overlaps_waits_for_the_next_pass() -> None:
    def at(start: int, end: int, text: str = "x", path: str = "a.py") -> Edit:
        return Edit(path, (1, start), (1, end), text)

    groups = [
        [at(1, 5), at(9, 12)],
        [at(5, 9)],  # touches
        [at(11, 15)],  # overlaps
        [at(20, 22), at(3, 3)],  # inserts inside: whole group waits
        [at(20, 22)],
        [at(1, 1, "y"), at(5, 5, "z")],  # inserts at the ends
        [at(2, 4, path="b.py")],
        [at(2, 4, path="b.py")],  # the same is meant twice
        [at(30, 35), at(33, 36)],  # overlaps itself
        [],
        [at(40, 41), at(3, 3, path="b.py")],
        [at(40, 41)],
    ]
    assert compatible(groups) == [0, 1, 4, 5, 6, 9, 11]


def test_groups_share_an_import_and_nothing_else() -> None:
    groups = [
        [insert(1, "import numpy as np\n"), edit((5, 1), (5, 2), "x")],
        [insert(1, "import numpy as np\n"), edit((6, 1), (6, 2), "x")],
        [insert(1, "import numpy\n"), edit((7, 1), (7, 2), "x")],
        [insert(4, "rows = []\n"), edit((8, 1), (8, 2), "x")],
        [insert(4, "rows = []\n"), edit((9, 1), (9, 2), "x")],
        [insert(10, "    batch, rows = f()\n")],
        [insert(11, "def step(x):\n    return x\n")],
        [insert(12, "@f\nasync def step(x):\n    y: int = 1\n")],
        [edit((13, 1), (13, 1), "parallel=True")],
        [edit((14, 1), (14, 1), "parallel=True")],
        [insert(15, "if x == y:\n    pass\n")],
        [insert(16, "if x == y:\n    pass\n")],
    ]
    assert compatible(groups) == [0, 1, 2, 3, 6, 8, 9, 10, 11]
    chosen = [each for index in compatible(groups) for each in groups[index]]
    done = apply(b"\n" * 4 + b"abc\n" * 20, chosen).decode()
    assert done.startswith("import numpy as np\nimport numpy\n\n")


def test_cells_do_not_overlap() -> None:
    groups = [[insert(1, "x", cell)] for cell in (1, 2, None)]
    groups += [[edit((1, 1), (1, 2), "y", cell)] for cell in (1, 2, 2)]
    assert compatible(groups) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(100))
def test_what_is_compatible_can_be_applied(seed: int) -> None:
    chance = random.Random(seed)
    groups = []
    for _ in range(20):
        group = []
        for _ in range(chance.randrange(1, 3)):
            start, end = sorted((chance.randrange(1, 6), chance.randrange(1, 12)) for _ in range(2))
            group.append(edit(start, end, chance.choice(["x", "import a\n", ""])))
        groups.append(group)
    data = b"0123456789\n" * 5
    taken = compatible(groups)
    apply(data, [each for index in taken for each in groups[index]])
    # Greedy: none that was left out would go with those taken before it.
    for index in set(range(20)) - set(taken):
        before = [each for i in taken if i < index for each in groups[i]]
        alone = compatible([before, groups[index]]) == [0, 1]
        assert not alone


def test_a_diff_names_the_file() -> None:
    assert diff("a b.py", b"x\ny\nz\n", b"x\n1\nz\n") == (
        "--- a b.py\n+++ a b.py\n@@ -1,3 +1,3 @@\n x\n-y\n+1\n z\n"
    )
    assert diff("a.py", b"x\n", b"x\n") == ""


def test_a_diff_says_where_the_last_newline_is_missing() -> None:
    note = "\\ No newline at end of file\n"
    head = "--- a.py\n+++ a.py\n@@ -1 +1 @@\n"
    assert diff("a.py", b"x", b"y") == f"{head}-x\n{note}+y\n{note}"
    assert diff("a.py", b"x\n", b"x") == f"{head}-x\n+x\n{note}"
    assert diff("a.py", b"x\n", b"") == "--- a.py\n+++ a.py\n@@ -1 +0,0 @@\n-x\n"


def test_the_diff_of_a_notebook_goes_by_cells() -> None:
    before = book(code(["x\n", "y"]), code("same"), code("a\n"))
    after = apply(before, [insert(1, "1\n", 1), edit((1, 1), (1, 2), "b", 3)], notebook=True)
    assert diff("n.ipynb", before, after, notebook=True) == (
        "--- n.ipynb:cell 1\n+++ n.ipynb:cell 1\n@@ -1,2 +1,3 @@\n+1\n x\n y\n"
        "--- n.ipynb:cell 3\n+++ n.ipynb:cell 3\n@@ -1 +1 @@\n-a\n+b\n"
    )


@pytest.mark.skipif(shutil.which("patch") is None, reason="patch is not installed")
@pytest.mark.parametrize("seed", range(25))
def test_patch_makes_the_same_of_a_diff(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    text = "".join(f"{i}\n" for i in range(20)) + random_text(chance, "ab\t\fé😀")
    before = text.encode()
    after = apply(before, random_edits(chance, text))
    target = tmp_path / "a.py"
    target.write_bytes(before)
    made = diff("a.py", before, after)
    subprocess.run(
        ["patch", "--binary", "-s", "a.py"], cwd=tmp_path, input=made.encode(), check=True
    )
    assert target.read_bytes() == after or (after == b"" and not target.exists())


def test_places_of_the_tree_are_places_of_edits() -> None:
    data = "x = 'é😀'; f(a)\r\n\tif_\f\n".replace("\t", "").encode()
    source = SourceText.of(data)
    calls = [node for node in ast.walk(source.parse()) if isinstance(node, ast.Call)]
    (call,) = calls
    start = (call.lineno, source.column(call.lineno, call.col_offset))
    end = (call.lineno, source.column(call.lineno, (call.end_col_offset or 0)))
    assert apply(data, [edit(start, end, "g(\n)")]) == data.replace(b"f(a)", b"g(\r\n)")


def test_places_of_a_notebooks_tree_are_places_of_edits() -> None:
    data = book(code("%cd a\r\nx = 1"), code(["é = '😀'; f(a)\n", "y"]), indent=1)
    source = NotebookText.of(data)
    (call,) = [node for node in ast.walk(source.parse()) if isinstance(node, ast.Call)]
    cell, line = source.locate(call.lineno)
    start = (line, source.column(call.lineno, call.col_offset))
    end = (line, source.column(call.lineno, call.end_col_offset or 0))
    after = apply(data, [edit(start, end, "g()", cell)], notebook=True)
    assert after == data.replace(b"f(a)", b"g()")
