"""Notebooks: what is read, what is left out, and how the cells run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from unslow.source.notebook import (
    Cell,
    NotebookError,
    Skipped,
    cell_filename,
    parse_cell_filename,
    read_notebook,
    translate,
)


def notebook(path: Path, *cells: str, **extra: Any) -> str:
    data = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"language": "python", "name": "python3"}},
        "cells": [
            {"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": []}
            for cell in cells
        ],
        **extra,
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    return str(path)


def run(
    folder: Path, *cells: str, words: Sequence[str] = (), stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    notebook(folder / "a.ipynb", *cells)
    return subprocess.run(
        [sys.executable, "-m", "unslow.run.notebook", "a.ipynb", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        input=stdin,
        check=False,
    )


def test_cell_names_go_both_ways() -> None:
    name = cell_filename("dir/a b.ipynb", 12)
    assert name == "dir/a b.ipynb:cell 12"
    assert parse_cell_filename(name) == ("dir/a b.ipynb", 12)
    for other in ("a.py", "a.ipynb:cell ", "a.ipynb:cell 0", "a.ipynb:cell x", ":cell 1"):
        assert parse_cell_filename(other) is None


def test_reading_keeps_code_cells_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    cells = [
        {"cell_type": "markdown", "source": "# title"},
        {"cell_type": "code", "source": "a = 1\nb = 2"},
        {"cell_type": "raw", "source": "raw"},
        {"cell_type": "code", "source": []},
        {"cell_type": "code", "source": ["c = 3\r\n", "d = 4"]},
    ]
    data = json.dumps({"nbformat": 4, "metadata": {}, "cells": cells})
    path.write_bytes(b"\xef\xbb\xbf" + data.encode())
    assert read_notebook(str(path)) == (
        Cell(1, "a = 1\nb = 2"),
        Cell(2, ""),
        Cell(3, "c = 3\nd = 4"),
    )


def test_format_three_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    cells = [{"cell_type": "code", "input": ["x = 1"], "language": "python"}]
    path.write_text(json.dumps({"nbformat": 3, "worksheets": [{"cells": cells}]}))
    assert read_notebook(str(path)) == (Cell(1, "x = 1"),)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"not json", "it is not JSON"),
        (b"", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"[]", "it has no cells"),
        (b"{}", "it has no cells"),
        (b'{"cells": 3}', "it has no cells"),
        (b'{"cells": ["x"]}', "malformed"),
        (b'{"cells": []}', "no code"),
        (b'{"cells": [{"cell_type": "code", "source": [" "]}]}', "no code"),
        (b'{"cells": [{"cell_type": "markdown", "source": "x"}]}', "no code"),
        (b'{"cells": [{"cell_type": "code", "source": 3}]}', "is not text"),
        (b'{"cells": [{"cell_type": "code", "source": [3]}]}', "is not text"),
        (b'{"metadata": {"kernelspec": {"language": "R"}}, "cells": []}', "in r, not in Python"),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes, part: str
) -> None:
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotebookError) as caught:
        read_notebook(str(path))
    assert str(path) in str(caught.value)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="No such file"):
        read_notebook(str(tmp_path / "gone.ipynb"))
    with pytest.raises(NotebookError, match="cannot read"):
        read_notebook(str(tmp_path))


@pytest.mark.parametrize(
    ("source", "plain", "skipped"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1", [(1, "%matplotlib inline")]),
        ("!pip install this", "pass", [(1, "!pip install this")]),
        ("pip install this", "pass", [(1, "pip install this")]),
        ("!!ls", "pass", [(1, "!!ls")]),
        ("!pip install \\\n  this\nx = 1", "pass\n\nx = 1", [(1, "!pip install this")]),
        ("for i in x:\n    %cd there", "for i in x:\n    pass", [(2, "%cd there")]),
        ("x = !ls", "x = None", [(1, "x = !ls")]),
        ("    x = 1\n    %cd a", "x = 1\npass", [(2, "%cd a")]),
        ("a.b = %env HOME", "a.b = None", [(1, "a.b = %env HOME")]),
        ("np.sum?", "pass", [(1, "np.sum?")]),
        ("?np.sum", "pass", [(1, "?np.sum")]),
        ("%timeit?", "pass", [(1, "%timeit?")]),
        ("%time x = f(1)", "x = f(1)", []),
        ("x = %time f(1)", "x = f(1)", []),
        ("%timeit -n 10 -r3 f(1)", "f(1)", []),
        ("%timeit -n10 -o f(-n)", "f(-n)", []),
        ("%prun -l 5 -s time f(1)", "f(1)", []),
        ("%time", "pass", []),
        ("%%time\nx = 1", "\nx = 1", []),
        ("\n%%timeit -n 3 y = 2\nx = 1", "\ny = 2\nx = 1", []),
        ("%%bash\nls", "", [(1, "%%bash")]),
        ("%%time\n%%bash\nls", "", [(2, "%%bash")]),
        ("%%time\n%cd a\nx = 1", "\npass\nx = 1", [(2, "%cd a")]),
        ("%cd a\ns = '''\n%keep\n!me?\n'''\n", "pass\ns = '''\n%keep\n!me?\n'''\n", [(1, "%cd a")]),
        ("%cd a\ns = (10\n%2)", "pass\ns = (10\n%2)", [(1, "%cd a")]),
        ("%cd a\ns = 10 \\\n%2", "pass\ns = 10 \\\n%2", [(1, "%cd a")]),
        ("# it's (a comment\n%cd a", "# it's (a comment\npass", [(2, "%cd a")]),
        ("s = 'a\\'(' # x\n%cd a", "s = 'a\\'(' # x\npass", [(2, "%cd a")]),
        ("s = '#' + \"'''\"\n%cd a", "s = '#' + \"'''\"\npass", [(2, "%cd a")]),
        ("# is this so?\n%cd a", "# is this so?\npass", [(2, "%cd a")]),
    ],
)
def test_magics_become_plain_python(
    source: str, plain: str, skipped: list[tuple[int, str]]
) -> None:
    translation = translate(source)
    assert translation.source == plain
    assert translation.skipped == tuple(Skipped(*each) for each in skipped)
    compile(translation.source, "cell", "exec")


def test_cells_share_a_fresh_main(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import sys\nx = 20",
        "def f():\n    return x + 1",
        "print(f(), __name__, sys.modules['__main__'].x, sys.argv)",
        "print(sorted(k for k in globals() if not k.startswith('__')))",
        words=["--flag", "word"],
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "21 __main__ 20 ['a.ipynb', '--flag', 'word']",
        "['display', 'f', 'get_ipython', 'sys', 'x']",
    ]


def test_the_last_expression_is_displayed(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "1 + 1\n'shown'",
        "'not shown';  # a comment",
        "None",
        "x = 'assigned'",
        "# only a comment",
        "_ + ' again'",
        "display('a', 2)",
        "if True:\n    'inside'",
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["'shown'", "'shown again'", "'a'", "2"]


def test_modules_beside_the_notebook_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "helper.py").write_text("value = 7")
    path = notebook(tmp_path / "inner" / "b.ipynb", "import helper\nhelper.value")
    done = subprocess.run(
        [sys.executable, "-m", "unslow.run.notebook", path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "7\n"


def test_magics_are_skipped_with_a_note_each(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "x = 1",
        "%matplotlib inline\nfiles = !ls\nprint(files)",
        "%%html\n<b>no</b>",
        "get_ipython().run_line_magic('matplotlib', 'inline')\nprint('on')",
    )
    assert done.returncode == 0
    assert done.stdout == "None\non\n"
    assert done.stderr.splitlines() == [
        "unslow: a.ipynb cell 2 line 1: skipped %matplotlib inline",
        "unslow: a.ipynb cell 2 line 2: skipped files = !ls",
        "unslow: a.ipynb cell 3 line 1: skipped %%html",
        "unslow: a.ipynb cell 4 skipped %matplotlib inline",
    ]


def test_what_timing_magics_measure_runs(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "%%time\nx = 1\nprint('cell', x)",
        "%time y = 2\n%timeit -n 3 print('line', y)",
    )
    assert done.stderr == ""
    assert done.stdout == "cell 1\nline 2\n"


def test_captured_output_is_swallowed_and_kept(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "%%capture\nprint('gone')",
        "%%capture out\nimport sys\nprint('kept')\nprint('err', file=sys.stderr)\n'value'",
        "print(repr(out.stdout), repr(out.stderr))\nout.show()",
    )
    assert done.stdout == "\"kept\\n'value'\\n\" 'err\\n'\nkept\n'value'\n"
    assert done.stderr == "err\n"


def test_await_at_the_top_level(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x",
        "y = await f(1)\ntask = asyncio.get_running_loop().create_task(f(2))",
        "print(y)\nprint(await task)\nawait f(3)",
        "forever = asyncio.get_event_loop_policy() and await f(4)\n"
        "left = asyncio.ensure_future(asyncio.sleep(1000))",
    )
    assert done.stderr == ""
    assert done.stdout == "1\n2\n3\n"


def test_a_future_import_holds_in_later_cells(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "def f(x: int): pass\nf.__annotations__",
        "from __future__ import annotations",
        "def g(x: int): pass\ng.__annotations__",
    )
    assert done.stdout == "{'x': <class 'int'>}\n{'x': 'int'}\n"


def test_an_exception_stops_the_notebook_and_shows_only_its_frames(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "def f(x):\n    return 1 / x",
        "print('before')\nf(0)",
        "print('after')",
    )
    assert done.returncode == 1
    assert done.stdout == "before\n"
    lines = [line for line in done.stderr.splitlines() if set(line.strip()) - set("~^")]
    assert lines == [
        "Traceback (most recent call last):",
        '  File "a.ipynb:cell 2", line 2, in <module>',
        "    f(0)",
        '  File "a.ipynb:cell 1", line 2, in f',
        "    return 1 / x",
        "ZeroDivisionError: division by zero",
    ]


@pytest.mark.parametrize("before", ["", "%cd a\n"])
def test_an_exception_in_a_coroutine_shows_only_its_frames(tmp_path: Path, before: str) -> None:
    done = run(tmp_path, f"{before}import asyncio\nawait asyncio.sleep(0)\n1 / 0")
    assert done.returncode == 1
    assert "notebook.py" not in done.stderr
    assert "asyncio" not in done.stderr
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_a_syntax_error_stops_at_its_cell(tmp_path: Path) -> None:
    done = run(tmp_path, "print('before')", "%cd a\nx = = 1", "print('after')")
    assert done.returncode == 1
    assert done.stdout == "before\n"
    assert 'File "a.ipynb:cell 2", line 2' in done.stderr
    assert "SyntaxError" in done.stderr
    assert "Traceback" not in done.stderr
    assert "another exception" not in done.stderr


def test_the_programs_own_excepthook_is_asked(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import sys\nsys.excepthook = lambda kind, error, trace: print('hook', kind.__name__)",
        "1 / 0",
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "hook ZeroDivisionError\n", "")


@pytest.mark.parametrize(
    ("last", "status", "err"),
    [("sys.exit(3)", 3, ""), ("sys.exit()", 0, ""), ("sys.exit('words')", 1, "words\n")],
)
def test_leaving_ends_as_a_script_does(tmp_path: Path, last: str, status: int, err: str) -> None:
    done = run(tmp_path, "import sys", last, "print('after')")
    assert (done.returncode, done.stdout, done.stderr) == (status, "", err)


def test_an_interrupt_ends_the_process_as_a_signal_does(tmp_path: Path) -> None:
    done = run(tmp_path, "import atexit\natexit.register(print, 'bye')", "raise KeyboardInterrupt")
    plain = subprocess.run(
        [sys.executable, "-c", "raise KeyboardInterrupt"], capture_output=True, check=False
    )
    assert done.returncode == plain.returncode
    assert done.stdout.endswith("bye\n")
    assert done.stderr.count("Traceback") == 1
    assert "notebook.py" not in done.stderr


def test_standard_input_and_threads_belong_to_the_program(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "name = input()",
        "import threading\nthreading.Thread(target=lambda: print('hello', name)).start()",
        stdin="you\n",
    )
    assert done.stdout == "hello you\n"


def test_the_source_of_what_a_cell_defines_can_be_had(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "%cd a\ndef f():\n    return 1",
        "import inspect, linecache\nlinecache.checkcache()\nprint(inspect.getsource(f))",
    )
    assert done.stdout == "def f():\n    return 1\n\n"


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import sys\nprint([m for m in ('tensorflow', 'numpy', 'asyncio') if m in sys.modules])",
    )
    assert done.stdout == "[]\n"


def test_a_bad_notebook_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("[]")
    done = subprocess.run(
        [sys.executable, "-m", "unslow.run.notebook", "a.ipynb"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "unslow: a.ipynb is not a notebook: it has no cells\n"


@pytest.mark.tensorflow
@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_compiled_functions_of_a_cell_are_converted(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "import tensorflow as tf",
        "@tf.function\ndef f(n):\n    total = 0\n    while n > 0:\n        total += n\n"
        "        n -= 1\n    return total",
        "print(f(tf.constant(4)).numpy())",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "10\n"
    assert "AutoGraph" not in done.stderr
