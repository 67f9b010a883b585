"""A whole program, run once with other text laid over its files, and what is observed of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from programs import environment

from unslow.experiment.values.snapshot import Digest, take
from unslow.experiment.whole import program, written
from unslow.experiment.whole.observation import Observation
from unslow.experiment.whole.program import run_program_once
from unslow.experiment.whole.written import Before, TextPart, read_all

SAME = b"print('not this one')\nraise SystemExit(99)\n"
"""What is on disk where only the text laid over it may be seen."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def text(source: str) -> bytes:
    return textwrap.dedent(source).lstrip("\n").encode()


def write(folder: Path, **files: str | bytes) -> dict[str, bytes]:
    """Files on disk, by name without its ending (`__` for `/`); their contents by path."""
    contents = {}
    for name, source in files.items():
        path = folder / (name.replace("_in_", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        contents[str(path)] = source if isinstance(source, bytes) else text(source)
        path.write_bytes(contents[str(path)])
    return contents


def python(*target: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *target], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )


def script(folder: Path, source: str, **options: Any) -> Observation:
    """Run a script of which another text is on disk."""
    write(folder, program=SAME)
    return run_program_once(["program.py"], {str(folder / "program.py"): text(source)}, **options)


def value(observation: Observation, name: str, path: Path | None = None) -> Any:
    for (file, key), taken in observation.values.items():
        if key == name and (path is None or file == str(path)):
            return taken
    raise AssertionError(f"{name} is not among {[key for _, key in observation.values]}")


# As Python itself would run it: each of these prints the same, to the last byte.

AS_PYTHON = {
    "what a script sees of itself": """
        '''Its docstring.'''
        import sys
        print(sys.argv, sys.path[0], sys.orig_argv[-3:])
        print(__name__, __file__, __spec__, type(__builtins__), __doc__, __package__)
        print(type(__loader__), sorted(globals()), sys.modules['__main__'].__dict__ is globals())
        print(__builtins__.len, __loader__.get_filename('__main__'))
        print(repr(sys.stdin.read()), sys.flags.optimize)
    """,
    "an exception": """
        def f(x):
            return 1 / x
        try:
            {}['a']
        except KeyError as error:
            raise ValueError('two') from error
        finally:
            print('leaves')
    """,
    "an exception with a note of where": """
        import json
        def f(x):
            return json.loads(x)
        f('{')
    """,
    "nothing": "",
    "exit without an argument": "import sys; sys.exit()",
    "exit with None": "raise SystemExit(None)",
    "exit with 7": "import sys; sys.exit(7)",
    "exit with 256": "import sys; sys.exit(256)",
    "exit with -1": "import sys; sys.exit(-1)",
    "exit with True": "import sys; sys.exit(True)",
    "exit with a text": "import sys; sys.exit('so long')",
    "exit with a tuple": "import sys; sys.exit((1, 2))",
    "exit with a float": "import sys; sys.exit(2.0)",
    "leaving at once": "import os; print('x', flush=True); print('lost'); os._exit(5)",
    "interrupted": "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('no')",
    "an interrupt raised": "raise KeyboardInterrupt('now')",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "exit handlers": """
        import atexit, sys
        atexit.register(print, 'second')
        atexit.register(print, 'first')
        def failing(): raise OSError('at exit')
        atexit.register(failing)
        sys.exit(3)
    """,
    "a thread that outlives the main one": """
        import threading, time
        def late():
            time.sleep(0.2)
            print('late')
        threading.Thread(target=late).start()
        print('early')
    """,
    "an exception in a thread": """
        import threading
        def fails():
            raise ValueError('in a thread')
        thread = threading.Thread(target=fails, name='mine')
        thread.start(); thread.join()
    """,
    "its own hook for exceptions": """
        import sys
        def hook(kind, error, trace):
            print(kind, error, trace.tb_lineno, trace.tb_next, file=sys.stderr)
        sys.excepthook = hook
        raise ValueError('seen')
    """,
    "a failing hook for exceptions": """
        import sys
        def hook(kind, error, trace):
            raise TypeError('the hook')
        sys.excepthook = hook
        raise ValueError('first')
    """,
    "a hook that ends the program": """
        import sys
        sys.excepthook = lambda *_: sys.exit(4)
        raise ValueError('first')
    """,
    "a missing module": "import there_is_no_such_module",
    "a module that is not Python": "import broken",
    "a module that fails": "import failing",
    "a failing finalizer": """
        class C:
            def __del__(self): raise ValueError('lost')
        c = C()
        del c
        late = C()
    """,
    "a group of exceptions": """
        import sys
        if sys.version_info >= (3, 11):
            raise ExceptionGroup('several', [ValueError(1), TypeError(2)])
    """,
    "a deep recursion": """
        def f(n): return n and 1 + f(n - 1)
        print(f(900))
    """,
    "a future": """
        from __future__ import annotations
        def f(x: nothing_of_this_name) -> int: ...
        print(f.__annotations__, __annotations__)
    """,
    "no future of ours": """
        def f(x: int) -> int: ...
        print(f.__annotations__)
    """,
    "another encoding": "# coding: latin-1\nprint(ascii('\u00e9'), len('\u00e9'))\n",
    "a byte order mark": "\ufeffprint(__doc__)\n",
    "a syntax error": "print(1)\nx = = 2\n",
    "a syntax error of the compiler": "print(1)\ndef f():\n    return\nbreak\n",
    "an indentation error": "if True:\nprint(1)\n",
    "pickles and processes": """
        import multiprocessing, pickle, sys
        class C: pass
        def double(x): return 2 * x
        if __name__ == '__main__':
            print(type(pickle.loads(pickle.dumps(C()))) is C)
            with multiprocessing.get_context('fork').Pool(2) as pool:
                print(pool.map(double, [1, 2]))
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                print(pool.map(double, [3]))
            process = multiprocessing.get_context('fork').Process(target=sys.exit, args=(3,))
            process.start(); process.join(); print(process.exitcode)
    """,
}
BESIDE: dict[str, str] = {
    "broken": "def f():\n    return (\n",
    "failing": "def f():\n    raise ValueError('inside')\nf()\n",
}


@pytest.mark.parametrize("name", AS_PYTHON)
def test_a_script_runs_as_python_runs_it(tmp_path: Path, name: str) -> None:
    source = AS_PYTHON[name]
    data = text(source)
    if "latin-1" in source:
        data = source.encode("latin-1")
    contents = write(tmp_path, program=data, **BESIDE)
    plain = python("program.py", "--x", "1")
    for laid in ({}, contents):
        # The same text, once from the disk and once from memory.
        if laid and "spawn" not in source:
            write(tmp_path, program=SAME, **dict.fromkeys(BESIDE, "unreadable ="))
        seen = run_program_once(["program.py", "--x", "1"], laid)
        assert seen.out == plain.stdout.decode()
        assert comparable(seen.err) == comparable(plain.stderr.decode())
        status = plain.returncode
        assert seen.exit_status == (status if status >= 0 else 128 - status)
        assert not seen.timed_out


def comparable(err: str) -> list[str]:
    """Without addresses and the marks below a line, which differ for text that is no file."""
    lines = re.sub("0x[0-9a-f]+", "0x", err).splitlines()
    return [line for line in lines if line.strip(" ^~")]


MODULES = {
    "package_in___init__": "import sys\nprint('package', __name__, sys.argv)\nstate = [1]\n",
    "package_in_main": """
        '''Doc.'''
        import sys
        from . import helper
        from .helper import double
        print(__name__, __package__, __spec__.name, __file__, sys.argv, sys.path[0], __doc__)
        print(double(4))
        result = double(1)
        sys.exit(helper.fails())
    """,
    "package_in_helper": """
        def double(x):
            return 2 * x
        def fails():
            raise ValueError('from the helper')
    """,
}


def test_a_module_of_a_package_runs_as_python_runs_it(tmp_path: Path) -> None:
    contents = write(tmp_path, **MODULES)
    plain = python("-m", "package.main", "a", "b")
    assert b"from the helper" in plain.stderr
    write(tmp_path, **dict.fromkeys(MODULES, SAME))
    seen = run_program_once(["-m", "package.main", "a", "b"], contents)
    assert (seen.out, seen.err) == (plain.stdout.decode(), plain.stderr.decode())
    assert seen.exit_status == plain.returncode == 1
    assert set(seen.files) == set(contents)
    assert value(seen, "result") == take(2)
    assert value(seen, "state", tmp_path / "package/__init__.py") == take([1])


@pytest.mark.parametrize("target", [["-m", "not_there"], ["-m", "os.path.nothing"], ["gone.py"]])
def test_what_is_not_there(target: list[str]) -> None:
    plain = python(*target)
    seen = run_program_once(target, {})
    assert (seen.out, seen.err) == ("", plain.stderr.decode())
    assert seen.exit_status == plain.returncode != 0
    assert seen.values == {}


@pytest.mark.parametrize("name", ["./program.py", "folder/../program.py", "link.py"])
def test_the_name_of_a_script_is_as_python_has_it(tmp_path: Path, name: str) -> None:
    source = "import sys, traceback\nprint(__file__, sys.argv, sys.path[0])\n1 / 0\n"
    contents = write(tmp_path, program=source)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.py").symlink_to("program.py")
    plain = python(name)
    write(tmp_path, program=SAME)
    seen = run_program_once([name], contents)
    assert (seen.out, seen.err) == (plain.stdout.decode(), plain.stderr.decode())


def test_other_text_is_seen_and_no_file_is_touched(tmp_path: Path) -> None:
    write(tmp_path, program=SAME, module="def f(): return 'disk'\n")
    subprocess.run([sys.executable, "-c", "import module"], check=True)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    laid = {
        "program": """
            import inspect, linecache, module, sys, traceback
            print(module.f(), end='')
            print(inspect.getsource(module.f), end='')
            print(inspect.getsource(sys.modules['__main__']).count('getsource'))
            linecache.checkcache(); linecache.clearcache()
            print(linecache.getline(__file__, 1), end='')
            print(module.__loader__.get_source('module'), end='')
            try:
                module.g()
            except ZeroDivisionError:
                print(traceback.format_exc().count('return 1 / 0'))
            import runpy
            print(runpy.run_path('module.py')['f']())
            import importlib
            print(importlib.reload(module).f())
        """,
        "module": "def f(): return 'laid over'\n\ndef g():\n    return 1 / 0\n",
    }
    contents = {str(tmp_path / f"{name}.py"): text(source) for name, source in laid.items()}
    seen = run_program_once(["program.py"], contents)
    assert seen.err == ""
    assert seen.out.splitlines() == [
        "laid overdef f(): return 'laid over'",
        "3",
        "import inspect, linecache, module, sys, traceback",
        *laid["module"].splitlines(),
        "1",
        "laid over",
        "laid over",
    ]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_wrong_text_shows_the_line_that_is_wrong(tmp_path: Path) -> None:
    seen = script(tmp_path, "good = 1\nbad = = 2\n")
    assert seen.exit_status == 1
    assert f'File "{tmp_path}/program.py", line 2\n    bad = = 2' in seen.err
    assert "SyntaxError" in seen.err and "unslow" not in seen.err
    path = str(tmp_path / "module.py")
    write(tmp_path, program="import module\n", module="good = 1\nfine = 2\n")
    seen = run_program_once(["program.py"], {path: b"good = 1\nbad = = 2\n"}, [(path, "f")])
    assert "    bad = = 2" in seen.err and "unslow" not in seen.err


# What is observed.


def test_values_at_the_end(tmp_path: Path) -> None:
    seen = script(
        tmp_path,
        """
        import atexit, functools, json, sys
        number = 1; _under = 'kept'; __version__ = '1'
        names = {'a'}
        def function(): pass
        class Kind: pass
        made = functools.partial(function)
        method = [].append
        def change():
            global number
            number = 2
            print('changed')
        atexit.register(change)
        """,
    )
    assert {name for _, name in seen.values} == {"number", "_under", "names"}
    # The program's own exit handlers have run.
    assert value(seen, "number") == take(2)
    assert value(seen, "names") == take({"a"})
    assert seen.files == (str(tmp_path / "program.py"),)
    assert seen.notes == ()


def test_values_are_there_after_a_failure_and_after_leaving_at_once(tmp_path: Path) -> None:
    for end in ("1 / 0", "import os; os._exit(3)", "raise KeyboardInterrupt"):
        assert value(script(tmp_path, f"x = [1, 2]\n{end}\n"), "x") == take([1, 2])


def test_a_value_that_fails_or_prints_when_read_does_no_harm(tmp_path: Path) -> None:
    seen = script(
        tmp_path,
        """
        import collections.abc, os
        class Odd(collections.abc.Mapping):
            def __getitem__(self, key): raise RuntimeError('no')
            def __iter__(self): print('read'); os.write(2, b'read'); raise RuntimeError('no')
            def __len__(self): print('read'); raise RuntimeError('no')
            def __reduce__(self): raise RuntimeError('no')
        odd = Odd()
        fine = 1
        print('end')
        """,
    )
    assert (seen.out, seen.err, seen.exit_status) == ("end\n", "", 0)
    assert value(seen, "fine") == take(1)


def test_values_of_own_modules_alone(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "library.py").write_text("held = 1\n")
    contents = write(
        tmp_path,
        program="""
            import sys
            sys.path.append('site-packages')
            import json, library, mine
        """,
        mine="here = 1\n",
    )
    seen = run_program_once(["program.py"], {})
    assert {name for _, name in seen.values} == {"here"}
    assert set(seen.files) == set(contents)
    seen = run_program_once(["program.py"], {}, include=["library"])
    assert {name for _, name in seen.values} == {"here", "held"}


def test_returned_values(tmp_path: Path) -> None:
    source = """
        import functools
        def plain(x):
            if x > 100:
                return
            try:
                return [x, x]
            finally:
                x = 0
        class Kind:
            def method(self, x): return x + 1
            @property
            def size(self): return 5
            @staticmethod
            def fixed(): return 'fixed'
        def outer():
            def inner(): return 'in'
            return inner() + inner()
        def generator():
            yield 1
            return 2
        async def coroutine(): return 3
        @functools.lru_cache
        def decorated(): return 4
        def changes(held=[]):
            held.append(1)
            return held
        def other(): return 'not asked for'
        for i in range(10): plain(i)
        plain(101)
        kind = Kind()
        kind.method(1); kind.size; kind.fixed(); outer(); list(generator()); decorated(); other()
        for i in range(3): changes()
        try: coroutine().send(None)
        except StopIteration as error: assert error.value == 3
        assert 'keep' not in globals() and not [n for n in globals() if 'unslow' in n.lower()]
        plain('x')
    """
    names = "plain Kind.method Kind.size Kind.fixed outer outer.<locals>.inner generator "
    names += "coroutine decorated changes missing"
    path = str(tmp_path / "program.py")
    functions = [(path, name) for name in names.split()]
    seen = script(tmp_path, source, functions=functions)
    assert seen.exit_status == 1
    assert "    if x > 100:" in seen.err and "line 3, in plain" in seen.err
    expected = {
        "plain": [[0, 0], [1, 1], [2, 2]],
        "Kind.method": [2],
        "Kind.size": [5],
        "Kind.fixed": ["fixed"],
        "outer": ["inin"],
        "outer.<locals>.inner": ["in", "in"],
        "decorated": [4],
        "changes": [[1], [1, 1], [1, 1, 1]],
    }
    assert seen.returned == {
        (path, name): tuple(take(each) for each in taken) for name, taken in expected.items()
    }


def test_returned_values_of_a_module_that_is_not_laid_over(tmp_path: Path) -> None:
    contents = write(
        tmp_path,
        program="import module\nprint(module.f(2))\n",
        module="def f(x):\n    return (x,\n            x)\n",
    )
    path = str(tmp_path / "module.py")
    seen = run_program_once(["program.py"], {}, [(path, "f")])
    assert seen.returned == {(path, "f"): (take((2, 2)),)}
    assert seen.out == "(2, 2)\n"
    # No byte code of what was changed is left behind.
    done = python("-c", "import module, dis; dis.dis(module)")
    assert b"keep" not in done.stdout
    assert set(seen.files) == set(contents)


def test_a_raise_inside_a_watched_return_shows_the_line(tmp_path: Path) -> None:
    source = "def f(x):\n    return (1 +\n            1 / x)\nf(0)\n"
    contents = write(tmp_path, program=source)
    plain = python("program.py")
    write(tmp_path, program=SAME)
    seen = run_program_once(["program.py"], contents, [(next(iter(contents)), "f")])
    assert seen.err == plain.stderr.decode()


def test_the_paths_are_those_that_were_given(tmp_path: Path) -> None:
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.symlink_to(real)
    write(real, program="def f(): return 1\nx = f()\n")
    path = str(linked / "program.py")
    for target in ("real/program.py", "linked/program.py"):
        seen = run_program_once([target], {path: b"def f(): return 2\nx = f()\n"}, [(path, "f")])
        assert seen.values == {(path, "x"): take(2)}
        assert seen.returned == {(path, "f"): (take(2),)}
        assert seen.files == (path,)


# Files that it writes.


def test_files_are_seen_wherever_they_are_written(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    here = tmp_path / "here"
    for folder in (elsewhere, here / "sub"):
        folder.mkdir(parents=True)
    (here / "old.txt").write_text("as it was")
    (here / "read.txt").write_text("read")
    (here / "again.txt").write_text("same 1")
    write(
        here,
        program=f"""
            import json, os, pathlib, sys
            open('read.txt').read(); os.open('read.txt', os.O_RDONLY)
            pathlib.Path('again.txt').write_text('same 1')
            with open('sub/raw.bin', 'wb') as file: file.write(bytes(9))
            with open('half', 'w') as file: file.write('loss 0.5')
            os.replace('half', b'sub/whole.log')
            os.chdir({str(elsewhere)!r})
            json.dump([1, 2.5], open('far.json', 'w'))
            sys.audit('open'); sys.audit('open', 'x', 'w', None)
            open(os.devnull, 'w').write('x')
        """,
    )
    os.chdir(here)
    first = run_program_once(["program.py"], {}, looked_at=None)
    assert first.exit_status == 0, first.err
    names = ["again.txt", "sub/raw.bin", "sub/whole.log"]
    assert set(first.paths) == {*(str(here / name) for name in names), str(elsewhere / "far.json")}
    assert first.written[str(here / "again.txt"), ""] == TextPart(("same 1",))
    assert first.written[str(here / "sub/whole.log"), ""] == TextPart(("loss 0.5",))
    assert first.written[str(elsewhere / "far.json"), ""] == TextPart(("[1, 2.5]",))
    # What the first run has found is looked at in the next, without a hook.
    second = run_program_once(["program.py"], {}, looked_at=first.paths)
    assert second.written == first.written
    write(here, program="open('sub/new.txt', 'w').write('x')")
    third = run_program_once(["program.py"], {}, looked_at=first.paths)
    assert third.paths == (str(here / "sub/new.txt"),)


def test_what_stands_in_a_file_is_read_by_its_form(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    h5py = pytest.importorskip("h5py")
    numbers = np.array([1.0, 2.5], "float32")
    np.save(tmp_path / "one.npy", numbers)
    np.savez(tmp_path / "two.npz", a=numbers, b=np.array([3]))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    with h5py.File(tmp_path / "three.h5", "w") as file:
        file["layer/kernel"] = numbers
    with zipfile.ZipFile(tmp_path / "four.keras", "w") as packed:
        packed.write(tmp_path / "three.h5", "model.weights.h5")
        packed.writestr("config.json", '{"jit_compile": true}')
        packed.writestr("metadata.json", '{"date_saved": "2024-05-06@12:30:11"}')
    (tmp_path / "text.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1,2.5\r\n")
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    notes: list[str] = []
    paths = sorted(map(str, tmp_path.iterdir()))
    read = {(Path(path).name, name): part for (path, name), part in read_all(paths, notes).items()}
    arrays = [("one.npy", ""), ("two.npz", "a.npy"), ("three.h5", "layer/kernel")]
    arrays.append(("four.keras", "model.weights.h5/layer/kernel"))
    assert [name for file, name in read if file == "four.keras"] == [arrays[-1][1]]
    for key in arrays:
        assert read[key].values.tolist() == [1.0, 2.5]
    assert read["two.npz", "b.npy"].values.tolist() == [3]
    assert read["text.csv", ""] == TextPart(("a,b", "1,2.5"))
    assert {key[0] for key, part in read.items() if isinstance(part, Digest)} == {
        "objects.npy",
        "broken.zip",
    }
    assert notes == []


def test_of_many_or_large_files_not_all_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "large"):
        (tmp_path / name).write_text(name * 3)
    paths = sorted(map(str, tmp_path.iterdir()))
    monkeypatch.setattr(written, "LARGEST", 10)
    monkeypatch.setattr(written, "MOST_READ", 1)
    notes: list[str] = []
    assert list(read_all(paths, notes)) == [(str(tmp_path / "a"), "")]
    assert "Of 2 files" in notes[0]
    monkeypatch.setattr(written, "MOST_LOOKED_AT", 2)
    before = Before()
    for path in paths:
        Path(path).write_text("changed")
    assert before.written() == paths[:2]


# Times.


def test_times_add_up(tmp_path: Path) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "library.py").write_text("import time\ntime.sleep(0.4)\n")
    write(
        tmp_path,
        mine="import time\nimport library\ntime.sleep(0.5)\ndef f(): return Slow()\n"
        "class Slow:\n    pass\n",
    )
    seen = script(
        tmp_path,
        """
        import sys, time
        sys.path.append('site-packages')
        import mine
        import atexit
        atexit.register(time.sleep, 0.3)
        time.sleep(0.6)
        """,
    )
    # Loaded: library 0.4, leaving 0.3; the program's own: 0.5 in a module, 0.6 in the script.
    assert seen.startup >= 0.7 and seen.after_startup >= 1.1
    assert seen.startup + seen.after_startup == pytest.approx(seen.wall)


def test_taking_snapshots_is_not_the_programs_time(tmp_path: Path) -> None:
    source = """
        import time
        began = time.monotonic()
        import sys
        def f(): return [{i: [i]} for i in range(30_000)]
        started = time.monotonic(); f(); first = time.monotonic() - started
        started = time.monotonic(); f(); second = time.monotonic() - started
        started = time.monotonic(); f(); third = time.monotonic() - started
        started = time.monotonic(); f(); plain = time.monotonic() - started
        loaded = 'numpy' in sys.modules
        whole = time.monotonic() - began
    """
    path = str(tmp_path / "program.py")
    outside = time.monotonic()
    seen = script(tmp_path, source, functions=[(path, "f")])
    outside = time.monotonic() - outside
    assert len(seen.returned[path, "f"]) == 3
    observed = sum(value(seen, name).value for name in ("first", "second", "third"))
    plain = value(seen, "plain").value
    assert observed > 4 * plain
    assert seen.after_startup < value(seen, "whole").value - (observed - 3 * plain) / 2
    assert 0 < seen.startup < seen.wall < outside
    assert value(seen, "loaded") == take(False)


def test_a_hanging_exit_is_ended_with_the_programs_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "GRACE", 0.5)
    hangs = """
        import sys, time
        class Hangs:
            def __del__(self, sleep=time.sleep): sleep(60)
        keep = Hangs()
        x = 1
        sys.exit(3)
    """
    started = time.monotonic()
    seen = script(tmp_path, hangs)
    assert time.monotonic() - started < 50
    assert seen.exit_status == 3 and value(seen, "x") == take(1)
    assert any("hung" in note for note in seen.notes)
    assert seen.wall < 30


def test_the_limit_ends_the_program_and_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = script(tmp_path, "import time\nx = 1\ntime.sleep(60)\n", limit=1.0)
    assert seen.timed_out and seen.exit_status == 128 + signal.SIGINT
    assert any("longer" in note for note in seen.notes)
    monkeypatch.setattr(program, "GRACE", 0.5)
    stubborn = """
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
        print(child.pid, flush=True)
        time.sleep(60)
    """
    seen = script(tmp_path, stubborn, limit=1.0)
    assert seen.timed_out and seen.exit_status == 128 + signal.SIGKILL
    assert gone(int(seen.out))


def gone(process: int) -> bool:
    """Whether a process ends soon; one that waits to be reaped has."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{process}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_crash_is_told(tmp_path: Path) -> None:
    seen = script(tmp_path, "import os, signal\nprint('x', flush=True)\nos.abort()\n")
    assert seen.exit_status == 128 + signal.SIGABRT
    assert seen.out == "x\n" and seen.values == {}
    assert any("without its exit handlers" in note for note in seen.notes)
    assert seen.wall > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_ends_with_the_one_who_waits_for_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    write(
        tmp_path,
        program="import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)\n",
        waits="from unslow.experiment.whole.program import run_program_once\n"
        "run_program_once(['program.py'], {})\n",
    )
    process = subprocess.Popen([sys.executable, "waits.py"], stderr=subprocess.DEVNULL)
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=30) == -number
    assert gone(int(pid.read_text()))


def test_much_output_does_not_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "OUTPUT_LIMIT", 2**20)
    seen = script(
        tmp_path,
        r"""
        import sys
        for _ in range(40): print('x' * 100_000)
        sys.stderr.buffer.write(b'\xff\n')
        """,
    )
    assert len(seen.out) == 2**20 and seen.err == "\ufffd\n"
    assert any("first 1 MB" in note for note in seen.notes)


def test_a_process_of_its_own_is_not_observed(tmp_path: Path) -> None:
    seen = script(
        tmp_path,
        """
        import os, sys
        x = 'parent'
        child = os.fork()
        if child == 0:
            x = 'child'
            sys.exit(4)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )
    assert seen.out == "4\n" and value(seen, "x") == take("parent")


def test_the_environment_is_the_users_but_for_the_hash_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONHASHSEED")
    source = "import os\nprint(sorted(os.environ.items()))\nprint(hash('a'))\n"
    first, second = script(tmp_path, source), script(tmp_path, source)
    assert first.out == second.out
    expected = sorted({**os.environ, "PYTHONHASHSEED": "0"}.items())
    assert first.out.splitlines()[0] == repr(expected)
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert script(tmp_path, source).out.splitlines()[1] != first.out.splitlines()[1]


def test_flags_of_the_interpreter_are_passed_on(tmp_path: Path) -> None:
    write(
        tmp_path,
        program="import sys\nprint(sys.flags.optimize, __debug__, sys.flags.no_site)\n",
        runs="from unslow.experiment.whole.program import run_program_once\n"
        "print(run_program_once(['program.py'], {}).out)\n",
    )
    done = subprocess.run(
        [sys.executable, "-O", "-X", "utf8", "runs.py"], capture_output=True, check=True
    )
    assert done.stdout.split() == [b"1", b"False", b"0"]


# Notebooks.


def notebook(*cells: str) -> bytes:
    return json.dumps(
        {
            "cells": [{"cell_type": "code", "source": textwrap.dedent(cell)} for cell in cells],
            "metadata": {},
            "nbformat": 4,
        }
    ).encode()


def test_a_notebook(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook("print('disk')"))
    laid = notebook(
        "%matplotlib inline\nimport sys\ndef f(x):\n    return x + 1\n",
        "y = f(1)\nprint(sys.argv)\n_ = f(2)\nf(3)",
        "def g():\n    1 / 0\ng()",
    )
    seen = run_program_once(["n.ipynb", "a"], {str(path): laid}, [(str(path), "f")])
    assert seen.out == "['n.ipynb', 'a']\n4\n"
    assert seen.exit_status == 1
    assert "cell 3" in seen.err and "    1 / 0" in seen.err and "experiment" not in seen.err
    assert seen.returned == {(str(path), "f"): (take(2), take(3), take(4))}
    assert value(seen, "y", path) == take(2)
    assert seen.files == (str(path),)
    assert path.read_bytes() == notebook("print('disk')")


def test_a_notebook_that_is_interrupted_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(notebook("x = 1", "raise KeyboardInterrupt"))
    seen = run_program_once(["n.ipynb"], {})
    assert seen.exit_status == 128 + signal.SIGINT
    assert seen.err.count("KeyboardInterrupt") == 2 and value(seen, "x") == take(1)
    seen = run_program_once(["n.ipynb"], {str(path): b"not json"})
    assert seen.exit_status == 2 and "not a notebook" in seen.err
    assert "Traceback" not in seen.err


def test_reading_in_another_thread(tmp_path: Path) -> None:
    """Signals can be handled in the main thread alone: elsewhere there is no waiting for them."""
    seen: list[Observation] = []
    write(tmp_path, program="x = 1\n")
    thread = threading.Thread(target=lambda: seen.append(run_program_once(["program.py"], {})))
    thread.start()
    thread.join()
    assert value(seen[0], "x") == take(1)


# TensorFlow.


@pytest.mark.tensorflow
def test_autograph_sees_the_text_and_a_fit_is_observed(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    source = """
        import numpy as np
        import tensorflow as tf
        import keras

        @tf.function
        def steps(n):
            total = tf.constant(0)
            for i in tf.range(n):
                if i > 1:
                    total += i
            return total

        def traced(x):
            return x + 1

        def eager(x):
            return x * 2.0

        compiled = tf.function(traced, autograph=False)
        compiled(tf.constant(1)), traced(tf.constant(5))
        doubled = eager(tf.constant([1.0, 2.0]))
        sum_ = steps(tf.constant(5))
        bridged = tf.numpy_function(eager, [np.ones(2)], tf.float64)

        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile('sgd', 'mse')
        for _ in range(2):
            history = model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=2, verbose=0)
        last = model.get_weights()
        print(int(sum_))
    """
    path = str(tmp_path / "program.py")
    functions = [(path, name) for name in ("steps", "traced", "eager")]
    seen = script(tmp_path, source, functions=functions)
    assert (seen.exit_status, seen.out) == (0, "9\n"), seen.err
    assert seen.notes == ()
    assert len(seen.histories) == 2 and len(seen.weights) == 2
    losses = {key.value: each for key, each in seen.histories[1].items}["loss"]
    assert len(losses.items if hasattr(losses, "items") else losses.values) == 2
    last = value(seen, "last")
    for one, other in zip(seen.weights[1].items, last.items, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
    assert any(
        (one.values != other.values).any()
        for one, other in zip(seen.weights[0].items, last.items, strict=True)
    )
    assert value(seen, "doubled").values.tolist() == [2.0, 4.0]
    # What is traced has no values; what runs op by op, and in a bridge, has.
    assert (path, "steps") not in seen.returned
    (once,) = seen.returned[path, "traced"]
    assert once.values.tolist() == 6
    assert [each.values.tolist() for each in seen.returned[path, "eager"]] == [[2, 4], [2, 2]]
    assert {name for _, name in seen.values} >= {"model", "sum_", "bridged"}
    # TensorFlow's import is the start-up; the rest is the program's.
    assert seen.startup > seen.wall / 10
