"""What a function's source shows of effects outside the process. Needs no TensorFlow."""

from __future__ import annotations

import functools
import io
import json
import linecache
import logging
import math
import multiprocessing
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import types
import zipfile
from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES
from os import remove as rm
from pathlib import Path
from typing import Any

import pytest

from unslow.experiment.effects.search import outside_effects

HERE = Path(__file__).name


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [number] = [n for n, line in enumerate(lines, start=1) if line.endswith(f"# {text}")]
    return number


def bad(*functions: Callable[..., Any]) -> str:
    effect = outside_effects(functions)
    assert effect is not None
    return effect.what


def fine(*functions: Callable[..., Any]) -> bool:
    effect = outside_effects(functions)
    assert effect is None, effect.sentence
    return True


def made(text: str, **names: Any) -> Any:
    """The function `f` of a module with this text, which linecache knows as it does a cell."""
    filename = f"/work/notes.ipynb:cell {len(linecache.cache)}"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    space: dict[str, Any] = {"__name__": "__main__", **names}
    exec(compile(text, filename, "exec"), space)
    return space["f"]


ACTING = {
    "open to write": "def f(p): open(p, 'w')",
    "open to append": "def f(p):\n    with open(p, mode='ab') as out: return out",
    "open to change": "def f(p): return open(p, 'r+')",
    "unknown mode": "def f(p, mode): return open(p, mode)",
    "starred": "def f(*a): return open(*a)",
    "passed on": "def f(paths): return list(map(open, paths))",
    "io.open": "import io\ndef f(p): io.open(p, 'x')",
    "gzip": "import gzip\ndef f(p): gzip.open(p, 'wb')",
    "zip": "import zipfile\ndef f(p): zipfile.ZipFile(p, 'a')",
    "renamed import": "from os import remove as rm\ndef f(p): rm(p)",
    "import inside": "def f(p):\n    import os\n    os.mkdir(p)",
    "from inside": "def f(p):\n    from shutil import rmtree\n    rmtree(p)",
    "alias": "def f(p):\n    import os\n    delete = os.unlink\n    delete(p)",
    "by name": "import os\ndef f(p): getattr(os, 'remove')(p)",
    "by an unknown name": "import os\ndef f(p, n): getattr(os, n)(p)",
    "path": "from pathlib import Path\ndef f(p): Path(p).write_text('x')",
    "path to write": "from pathlib import Path\ndef f(p): (Path(p) / 'a').open('w')",
    "path renamed": "from pathlib import Path\ndef f(p, q): Path(p).rename(q)",
    "unknown path": "def f(p): p.unlink()",
    "unknown callback": "def f(p): return list(map(p.write, [1]))",
    "directory": "import tempfile\ndef f(): return tempfile.mkdtemp()",
    "pickle": "import pickle\ndef f(x, out): pickle.dump(x, out)",
    "json": "import json\ndef f(x, out): json.dump(x, out)",
    "frame": "def f(frame): frame.to_csv('a.csv')",
    "figure": "def f(figure): figure.savefig('a.png')",
    "image": "def f(image): image.save('a.png')",
    "print to a file": "def f(out): print(1, file=out)",
    "subprocess": "import subprocess\ndef f(): subprocess.run(['ls'])",
    "system": "import os\ndef f(): os.system('ls')",
    "fork": "import os\ndef f(): return os.fork()",
    "kill": "import os\ndef f(n): os.kill(n, 9)",
    "pool": "import multiprocessing\ndef f(): return multiprocessing.Pool(2)",
    "signal": "import signal\ndef f(h): signal.signal(signal.SIGINT, h)",
    "socket": "import socket\ndef f(): return socket.create_connection(('a', 1))",
    "url": "import urllib.request\ndef f(u): return urllib.request.urlopen(u)",
    "http": "import http.client\ndef f(h): return http.client.HTTPConnection(h)",
    "database": "import sqlite3\ndef f(p): return sqlite3.connect(p)",
    "unknown cursor": "def f(cursor): cursor.execute('drop table a')",
    "input": "def f(): return input('?')",
    "exit": "import sys\ndef f(): sys.exit(1)",
    "builtin exit": "def f(): quit()",
    "_exit": "import os\ndef f(): os._exit(1)",
    "chdir": "import os\ndef f(p): os.chdir(p)",
    "environment": "import os\ndef f(): os.environ['A'] = '1'",
    "environment deleted": "import os\ndef f():\n    del os.environ['A']",
    "environment updated": "from os import environ\ndef f(): environ.update(A='1')",
    "exec": "def f(text): exec(text)",
    "nested": "def f(p):\n    def inner(): open(p, 'w')\n    return inner()",
    "lambda": "f = lambda p: open(p, 'w')",
    "comprehension": "import os\ndef f(ps): return [os.remove(p) for p in ps]",
    "default": "import os\ndef f(p, act=os.remove): act(p)",
    "condition": "def f(x, p):\n    if x: open(p, 'w')\n    return x",
    "helper": "def g(p): open(p, 'w')\ndef f(p): return g(p)",
    "helper in a table": "import os\nT = {'a': os.remove}\ndef f(n, p): T[n](p)",
    "own class": "class A:\n    def __init__(self, p): open(p, 'w')\ndef f(p): return A(p)",
    "own method": "class A:\n    def go(self, p): open(p, 'w')\ndef f(p): A().go(p)",
    "own method, unknown object": "class A:\n    def go(self, p): open(p, 'w')\ndef f(a): a.go(1)",
    "own operator": "class A:\n    def __add__(self, o): open(o, 'w')\na = A()\n"
    "def f(p): return a + p",
    "own property": "class A:\n    @property\n    def go(self): open('a', 'w')\na = A()\n"
    "def f(): return a.go",
    "own base": "class B:\n    def go(self): open('a', 'w')\nclass A(B): pass\na = A()\n"
    "def f(): a.go()",
    "super": "class B:\n    def go(self): open('a', 'w')\nclass A(B):\n"
    "    def go(self): super().go()\nf = A().go",
    "context manager": "import contextlib\n@contextlib.contextmanager\n"
    "def g(p):\n    yield open(p, 'w')\ndef f(p):\n    with g(p) as out: return out",
    "cached": "import functools\n@functools.lru_cache\ndef f(p): return open(p, 'w')",
    "partial": "import functools\ndef g(p, m): return open(p, 'w')\nf = functools.partial(g, m=1)",
    "partial of a builtin": "import functools\nf = functools.partial(open, 'a')",
    "unbuffered": "import io\ndef f(p): io.FileIO(p, 'w')",
    "member of a zip": "def f(archive): archive.writestr('a', b'x')",
    "frame as JSON": "def f(frame): frame.to_json('a.json', orient='records')",
    "frame as JSON, named": "def f(frame): frame.to_json(path_or_buf='a.json')",
    "frame as a page": "def f(frame): frame.to_html('a.html', index=False)",
    "frame as XML": "def f(frame): frame.to_xml('a.xml')",
    "frame as Markdown": "def f(frame): frame.to_markdown('a.md')",
    "array as zarr": "def f(data): data.to_zarr('a')",
    "array as NetCDF": "def f(data): data.to_netcdf('a')",
    "pipeline kept in a file": "def f(data): return data.cache(filename='a')",
    "renamed by name": "def f(path): path.rename(target='a')",
    "method by name": "import operator\ndef f(p): operator.methodcaller('write_text', 'x')(p)",
    "method of a name": "import operator\ndef f(p, n): operator.methodcaller(n)(p)",
    "method got": "import operator\ndef f(p): operator.attrgetter('write_text')(p)('x')",
    "kept operator": "import operator\nact = operator.methodcaller('write_text', 'x')\n"
    "def f(p): act(p)",
    "kept operator with keywords": "import operator\n"
    "act = operator.methodcaller('write_text', data='x')\ndef f(p): act(p)",
    "own method by name": "import operator\nclass A:\n    def go(self): open('a', 'w')\n"
    "def f(a): operator.methodcaller('go')(a)",
    "globals": "def g(p): open(p, 'w')\ndef f(p): globals()['g'](p)",
    "globals, unknown": "def f(n, p): globals()[n](p)",
    "names of a module": "import os\ndef f(p): vars(os)['remove'](p)",
    "dispatched": "import functools\n@functools.singledispatch\ndef g(x): return x\n"
    "@g.register\ndef _(x: int): open('a', 'w')\ndef f(x): return g(x)",
    "queue": "import queue\nq = queue.Queue()\ndef f(x): q.put(x)",
    "redirected": "import contextlib\ndef f(out):\n"
    "    with contextlib.redirect_stdout(out): print(1)",
    "partial print": "import functools\ndef f(out): functools.partial(print, file=out)(1)",
    "mutual": "def g(n, p): return f(n - 1, p) if n else open(p, 'w')\n"
    "def f(n, p): return g(n - 1, p)",
}


@pytest.mark.parametrize("text", ACTING.values(), ids=ACTING.keys())
def test_what_acts_outside(text: str) -> None:
    assert bad(made(text))


HARMLESS = {
    "open to read": "def f(p): return open(p).read()",
    "open to read bytes": "def f(p):\n    with open(p, 'rb') as file: return file.read()",
    "mode by keyword": "def f(p): return open(p, mode='rt', encoding='utf-8')",
    "mode of a constant": "MODE = 'rb'\ndef f(p): return open(p, MODE)",
    "gzip": "import gzip\ndef f(p): return gzip.open(p).read()",
    "tar": "import tarfile\ndef f(p): return tarfile.open(p, 'r:gz')",
    "path": "from pathlib import Path\ndef f(p): return Path(p).read_text()",
    "path opened": "from pathlib import Path\ndef f(p): return Path(p).open('rb').read()",
    "os": "import os\ndef f(p): return os.path.join(p, os.sep), os.listdir(p), os.getcwd()",
    "environment": "import os\n"
    "def f(): return os.environ['A'], os.environ.get('B'), os.getenv('C')",
    "cores": "import multiprocessing\ndef f(): return multiprocessing.cpu_count()",
    "print": "import sys\ndef f(x): print(x); print(x, file=sys.stderr); sys.stdout.write('x')",
    "own open": "def open(p, mode): return p\ndef f(p): return open(p, 'w')",
    "local open": "def f(p):\n    def open(p, mode): return p\n    return open(p, 'w')",
    "own save": "class A:\n    def save(self, x): return x\ndef f(x): return A().save(x)",
    "buffer": "import io\ndef f(x):\n    buffer = io.BytesIO()\n    buffer.write(x)\n"
    "    return buffer.getvalue()",
    "saved to a buffer": "import io\ndef f(image):\n    with io.BytesIO() as out:\n"
    "        image.save(out, format='PNG')\n        return out.getvalue()",
    "pickled to a buffer": "import io, pickle\ndef f(x):\n    out = io.BytesIO()\n"
    "    pickle.dump(x, out)\n    return out",
    "strings": "def f(x): return 'a'.replace('b', x) + f'{x}'.strip() + x.replace('e', 'f')",
    "errors": "def f(x):\n    if x: raise ValueError(x)\n    return x",
    "logging": "import logging\nlog = logging.getLogger('a')\ndef f(x): log.info('%s', x)",
    "regular expressions": "import re\ndef f(x): return re.compile('a').sub('b', x)",
    "mathematics": "import math\ndef f(x): return math.log(x)",
    "cycle": "def g(n): return f(n)\ndef f(n): return g(n)",
    "data class": "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int\n"
    "def f(x): return A(x)",
    "named tuple": "import collections as c\nA = c.namedtuple('A', 'x')\ndef f(x): return A(x)",
    "unused method": "class A:\n    def store(self, p): open(p, 'w')\n    def go(self): return 1\n"
    "a = A()\ndef f(): return a.go()",
    "annotation": "import subprocess as s\ndef f(x: s.Popen) -> s.Popen:\n    return x",
    "annotated": "import subprocess\ndef f(x):\n    y: subprocess.Popen = x\n    return y",
    "enumeration": "import enum\nclass A(enum.Enum):\n    B = 1\ndef f(): return A.B",
    "bytes printed": "import sys\ndef f(x): sys.stdout.buffer.write(x)",
    "method of the output": "import sys\nwrite = sys.stdout.write\ndef f(x): write(x)",
    "unbuffered, to read": "import io\ndef f(p): return io.FileIO(p).read()",
    "printed to a buffer": "import contextlib, io\ndef f(x):\n    out = io.StringIO()\n"
    "    with contextlib.redirect_stdout(out): print(x)\n    return out.getvalue()",
    "frame as text": "def f(frame): return frame.to_json(orient='records') + frame.to_html()",
    "frame as text in memory": "import io\ndef f(frame):\n    out = io.StringIO()\n"
    "    frame.to_html(buf=out)\n    return out.getvalue()",
    "columns renamed": "def f(frame): return frame.rename(columns={'a': 'b'})",
    "method by name": "import operator\nlow = operator.methodcaller('lower')\n"
    "def f(x): return low(x), operator.attrgetter('shape')(x)",
    "globals": "def g(x): return x\ndef f(x): return globals()['g'](x)",
    "global counted": "n = 0\ndef f(x):\n    globals()['n'] = x",
    "own queue": "import queue\ndef f(x):\n    q = queue.Queue()\n    q.put(x)\n    return q.get()",
    "methods of values": "add = [].append\njoin = ','.join\ndef f(x): add(x); return join(x)",
    "two lambdas": "f, g = lambda x: x + 1, lambda p: open(p, 'w')\nf = lambda y: y",
}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_does_not(text: str) -> None:
    assert fine(made(text))


def write(path: str) -> None:
    Path(path).write_text("")  # the write


def indirect(path: str) -> Any:
    return [write(path) for _ in range(2)]


def test_an_effect_says_what_and_where() -> None:
    effect = outside_effects([math.sqrt, indirect])
    assert effect is not None
    assert effect.what == "writes or deletes files: Path(path).write_text('')"
    assert effect.place.endswith(f"{HERE}:{line_of('the write')}")
    assert effect.sentence == f"write() {effect.what}, at {effect.place}"
    json.dumps([effect.what, effect.place, effect.sentence])


def test_a_cell_of_a_notebook_is_named() -> None:
    effect = outside_effects([made("import os\ndef f(p):\n    os.remove(p)")])
    assert effect is not None
    assert effect.place.startswith("/work/notes.ipynb:cell ") and effect.place.endswith(":3")


def test_several_functions_on_one_line() -> None:
    quiet, acting = (lambda x: x), (lambda x, p: p.open("w"))
    assert fine(quiet)
    assert "p.open('w')" in bad(acting)


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any) -> Any:
        return function(*args)

    return call


def test_decorators_are_looked_through() -> None:
    @decorated
    @decorated
    def acting(path: str) -> None:
        rm(path)  # noqa: PTH107

    @decorated
    def quiet(x: float) -> float:
        return math.sin(x)

    assert "rm(path)" in bad(acting)
    assert fine(quiet)


class Holder:
    def __init__(self, act: Any) -> None:
        self.act = act

    def __call__(self, x: Any) -> Any:
        return self.act(x)

    def method(self, x: Any) -> Any:
        return self.act(x)


def test_what_an_object_holds_is_known() -> None:
    assert fine(Holder(math.sqrt), Holder(math.sqrt).method)
    assert "self.act" in bad(Holder(os.remove))
    assert "self.act" in bad(Holder(os.remove).method)
    assert bad(Holder(Holder(os.remove)).method)
    assert bad(Holder(write))


def test_closures_are_the_real_ones() -> None:
    def make(act: Any) -> Callable[[Any], Any]:
        return lambda x: [act(x)]

    assert fine(make(math.sqrt))
    assert bad(make(os.remove))


@pytest.mark.parametrize(
    "function",
    [os.remove, shutil.copy, subprocess.run, socket.socket, open, sys.exit, signal.signal],
    ids=lambda each: each.__name__,
)
def test_functions_of_libraries_themselves(function: Callable[..., Any]) -> None:
    assert bad(function)


def test_libraries_are_not_followed() -> None:
    assert fine(math.sqrt, json.dumps, pickle.dumps, sorted, len, dict, multiprocessing.cpu_count)


def test_logging_to_a_file_is_no_printing(tmp_path: Path) -> None:
    log = made(HARMLESS["logging"])
    handler = logging.FileHandler(tmp_path / "a.log")
    logging.getLogger("a").addHandler(handler)
    try:
        assert bad(log)
    finally:
        logging.getLogger("a").removeHandler(handler)
        handler.close()
    assert fine(log)


def test_an_open_file_that_is_written_to(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as out:
        assert bad(made("def f(x): out.write(x)", out=out))
    assert fine(made("def f(x): out.write(x)", out=io.StringIO()))


def test_what_holds_an_open_file(tmp_path: Path) -> None:
    class Log:
        def __init__(self, write: Any) -> None:
            self.write_line = write
            self.lines = [write]

    with (tmp_path / "a").open("w") as out, zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        names = {"out": out, "write": out.write, "log": Log(out.write), "archive": archive}
        for text in (
            "def f(x): write(x)",
            "def f(x): log.write_line(x)",
            "def f(x): log.lines[0](x)",
            "def f(x, act=write): act(x)",
            "def f(x): out.truncate()",
            "def f(x): archive.write(x)",
            "def f(x): show(x, out)",
            "import functools\nf = functools.partial(print, file=out)",
            "import contextlib\ndef f(x):\n    with contextlib.redirect_stdout(out): print(x)",
        ):
            assert bad(made(text, show=json.dump, **names)), text
        assert bad(out.write)
    with (tmp_path / "a").open() as source:
        assert fine(made("def f(): return source.read(), read()", source=source, read=source.read))
    with Path(os.devnull).open("w") as nowhere:
        assert fine(made("def f(x): print(x, file=nowhere)", nowhere=nowhere))


def test_source_that_is_not_there() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(x): return x", space)
    assert bad(space["f"]) == "has no source that can be read"
    assert bad(made("def f(x): return g(x)", g=space["f"])) == "has no source that can be read"


def test_the_functions_of_numpy_that_cython_compiled_have_no_effect() -> None:
    numpy = pytest.importorskip("numpy")
    assert fine(made("def f(x): return x + np.random.normal(size=3)", np=numpy))
    assert fine(made("def f(x): return draw(size=3)", draw=numpy.random.uniform))


def test_source_that_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def f(x):\n    return x\n", encoding="utf-8")
    space: dict[str, Any] = {"__name__": "own", "__file__": str(file)}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), space)
    file.write_text("\n\ndef g(x):\n    return x\n", encoding="utf-8")
    assert bad(space["f"]) == "has no source that can be read"


def test_compiled_code_of_the_user_s(tmp_path: Path, monkeypatch: Any) -> None:
    module = types.ModuleType("own_extension")
    module.__file__ = str(tmp_path / f"own_extension{EXTENSION_SUFFIXES[-1]}")
    monkeypatch.setitem(sys.modules, "own_extension", module)

    class Compiled:
        __module__ = "own_extension"
        __name__ = "go"

        def __call__(self) -> None:
            raise AssertionError("it is not run")

    # What is compiled has a name and a module but no code object.
    assert bad(Compiled()) == "has no source that can be read"
    assert (
        bad(made("def f(x): return g(x)", g=Compiled())) == "has no source that can be read: g(x)"
    )


def test_modules_of_the_user_s_are_followed(tmp_path: Path, monkeypatch: Any) -> None:
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "store.py").write_text("def keep(p):\n    return open(p, 'w')\n")
    (package / "work.py").write_text(
        "from own_package import store\n"
        "def top(p):\n    return store.keep(p)\n"
        "def late(p):\n    from .store import keep as k\n    return k(p)\n"
        "def quiet(p):\n    return p\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    work = __import__("own_package.work", fromlist=["work"])
    assert bad(work.top)
    assert bad(work.late)
    assert fine(work.quiet)


def test_arrays_and_images(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    names = {"np": numpy}
    for text in (
        "def f(x): np.save('a.npy', x)",
        "def f(x): np.savez_compressed('a', x=x)",
        "def f(x): np.asarray(x).tofile('a')",
        "def f(x): return np.memmap('a')",
        "def f(x): return np.vectorize(g)(x)\ndef g(x): open('a', 'w')",
    ):
        assert bad(made(text, **names)), text
    shared = numpy.memmap(tmp_path / "a", "float32", "w+", shape=(4, 4))
    own = numpy.memmap(tmp_path / "a", "float32", "c", shape=(4, 4))
    names["helper"] = made("def f(x): open('a', 'w')")
    for text in (
        "def f(x): m[0] = x",
        "def f(x): m.T[0][1:] = x",
        "def f(x): m[0] += x",
        "def f(x):\n    global m\n    m += x",
        "def f(x): part = m[1]; np.asarray(m)[0] = x; view[0] = x",
        "def f(x): m.fill(x)",
        "def f(x): np.copyto(m, x)",
        "def f(x): np.add(x, 1, out=m[0])",
        "class A:\n    def __init__(self): self.m = m\n    def go(self, x): self.m[0] = x\n"
        "f = A().go",
        "g = np.frompyfunc(helper, 1, 1)\ndef f(x): return g(x)",
    ):
        assert bad(made(text, m=shared, view=shared[2], **names)), text
    for text in ("def f(x): return m[0] + m.sum()", "def f(x): x[0] = m[0]; return x.sort()"):
        assert fine(made(text, m=shared, **names)), text
    assert fine(made("def f(x): m[0] = x; m.sort()", m=own))
    assert fine(made("g = np.frompyfunc(len, 1, 1)\ndef f(x): return g(x), np.add(x, 1)", **names))
    for text in (
        "def f(x): return np.log(np.delete(np.load('a.npy'), 1)).copy()",
        "def f(x): return np.memmap('a', 'uint8', 'r')",
        "import io\ndef f(x):\n    out = io.BytesIO()\n    np.save(out, x)\n    return out",
        "g = np.vectorize(lambda x: x + 1)\ndef f(x): return g(x).astype('f4').sum(0)",
    ):
        assert fine(made(text, **names)), text


@pytest.mark.tensorflow
def test_pipelines_that_keep_their_elements_in_files(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.range(3)
    text = "def f(): return list(data)"
    kept = data.cache(str(tmp_path / "kept")).batch(2)
    assert bad(made(text, data=kept))
    assert len(list(kept)) == 2
    assert fine(made(text, data=kept))
    assert fine(made(text, data=data.cache().batch(2)))
    assert bad(made(text, data=data.snapshot(str(tmp_path / "snapshot")).batch(2)))


MODELS = {
    "layer": "class A(keras.layers.Layer):\n    def call(self, x): return act(x)\n"
    "f = keras.Sequential([A()])",
    "wrapped layer": "class A(keras.layers.Layer):\n    def call(self, x): return act(x)\n"
    "f = keras.Sequential([keras.layers.TimeDistributed(A())])",
    "activation": "f = keras.Sequential([keras.layers.Dense(1, activation=act)])",
    "regularizer": "class A(keras.regularizers.Regularizer):\n"
    "    def __call__(self, x): return act(x)\n"
    "f = keras.Sequential([keras.layers.Dense(1, kernel_regularizer=A())])",
    "loss": "f.compile('sgd', lambda a, b: act(a))",
    "losses": "f.compile('sgd', {'a': lambda a, b: act(a)})",
    "loss of a class": "class A(keras.losses.Loss):\n    def call(self, a, b): return act(a)\n"
    "f.compile('sgd', A())",
    "metric": "def metric(a, b): return act(a)\nf.compile('sgd', 'mse', metrics=[metric])",
    "metric of a class": "class A(keras.metrics.Metric):\n"
    "    def update_state(self, *a, **k): act(1)\n    def result(self): return 1.0\n"
    "f.compile('sgd', 'mse', metrics=[A()])",
    "optimizer": "class A(keras.optimizers.SGD):\n"
    "    def update_step(self, *a): return act(1)\nf.compile(A(), 'mse')",
    "learning rate": "class A(keras.optimizers.schedules.LearningRateSchedule):\n"
    "    def __call__(self, step): return act(step)\n"
    "f.compile(keras.optimizers.SGD(A()), 'mse')",
    "step": "class A(keras.Model):\n    def train_step(self, data): return act(data)\nf = A()",
    "part of a step": "class A(keras.Sequential):\n    def call(self, x): return x\n"
    "f = A()\nf.compile('sgd', lambda a, b: act(a))",
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS.keys())
def test_the_user_s_code_in_a_model(text: str) -> None:
    keras = pytest.importorskip("keras")
    start = "f = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name='a')])\n"
    assert bad(made("def act(x): open('a', 'w'); return x\n" + start + text, keras=keras))
    assert fine(made("def act(x): return x\n" + start + text, keras=keras))


@pytest.mark.tensorflow
def test_tensorflow_and_keras() -> None:
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    names = {"tf": tf, "keras": keras}
    for text in (
        "def f(x): tf.io.write_file('a', x)",
        "from tensorflow.io import write_file as w\ndef f(x): w('a', x)",
        "def f(x): tf.io.gfile.makedirs(x)",
        "def f(x): return tf.io.gfile.GFile(x, 'w')",
        "def f(x): tf.summary.scalar('a', x)",
        "def f(x): return tf.io.TFRecordWriter(x)",
        "def f(x): tf.print(x, output_stream='file://a')",
        "def f(m): m.save('a.keras')",
        "m = keras.Sequential()\ndef f(): m.save_weights('a')",
        "def f(x): return tf.py_function(g, [x], 'f4')\ndef g(x): open('a', 'w')",
        "def g(x): tf.io.write_file('a', x)\nf = tf.function(g)",
        "@tf.function\ndef g(x): tf.io.write_file('a', x)\ndef f(x): return g(x)",
        "class M(keras.Model):\n    def call(self, x): tf.io.write_file('a', x); return x\nf = M()",
        "class M(keras.Model):\n    def call(self, x): tf.io.write_file('a', x)\nm = M()\n"
        "def f(x): return m(x)",
        "class M(keras.Model):\n    def train_step(self, x): open('a', 'w')\nm = M()\n"
        "def f(x): m.fit(x)",
        "def g(x): open('a', 'w'); return x\nf = keras.Sequential([keras.layers.Lambda(g)])",
        "class M(tf.Module):\n    @tf.function\n    def go(self, x): open('a', 'w')\nf = M().go",
        "def f(m, x): m.fit(x, callbacks=[keras.callbacks.ModelCheckpoint('a.keras')])",
        "keep = keras.callbacks.ModelCheckpoint('a.keras')\n"
        "def f(m, x): m.fit(x, callbacks=[keep])",
        "keep = [keras.callbacks.CSVLogger('a.csv')]\ndef f(m, x): m.fit(x, callbacks=keep)",
        "class Keep(keras.callbacks.ModelCheckpoint): pass\nkeep = Keep('a.keras')\n"
        "def f(m, x): m.fit(x, callbacks=[keep])",
        "def g(x): open('a', 'w'); return x\n"
        "data = tf.data.Dataset.range(3).map(lambda x: tf.py_function(g, [x], 'int64'))\n"
        "def f(): return list(data.batch(2))",
        "def g():\n    yield open('a', 'w')\n"
        "data = tf.data.Dataset.from_generator(g, 'int64').batch(2)\ndef f(): return list(data)",
    ):
        assert bad(made(text, **names)), text
    for text in (
        "def f(x): return tf.io.read_file(x)",
        "def f(x): return tf.io.gfile.GFile(x, 'rb').read()",
        "def f(x):\n    out = tf.TensorArray('float32', 2)\n    for i in range(2):\n"
        "        out = out.write(i, x)\n    return out.stack()",
        "def f(x): tf.print(x); return tf.map_fn(lambda y: y + 1, x)",
        "w = tf.Variable(1.0)\ndef f(x): return w.assign_add(x)",
        "@tf.function\ndef f(x): return tf.nn.relu(x)",
        "m = keras.Sequential([keras.layers.Dense(2), keras.layers.Lambda(lambda x: x)])\n"
        "def f(x):\n    with tf.GradientTape() as tape: y = m(x, training=True)\n"
        "    return tape.gradient(y, m.trainable_variables)",
        "class M(keras.Model):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a = keras.layers.Dense(2)\n"
        "    def call(self, x): return self.a(x)\n    def store(self): self.save('a')\nf = M()",
        "class M(tf.Module):\n    @tf.function\n    def go(self, x): return self.w * x\n"
        "    def __init__(self): self.w = tf.Variable(1.0)\nf = M().go",
    ):
        assert fine(made(text, **names)), text
