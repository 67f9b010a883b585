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


def test_source_that_is_not_there() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(x): return x", space)
    assert bad(space["f"]) == "has no source that can be read"
    assert bad(made("def f(x): return g(x)", g=space["f"])) == "has no source that can be read"


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


def test_arrays_and_images() -> None:
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
    for text in (
        "def f(x): return np.log(np.delete(np.load('a.npy'), 1)).copy()",
        "def f(x): return np.memmap('a', 'uint8', 'r')",
        "import io\ndef f(x):\n    out = io.BytesIO()\n    np.save(out, x)\n    return out",
        "g = np.vectorize(lambda x: x + 1)\ndef f(x): return g(x).astype('f4').sum(0)",
    ):
        assert fine(made(text, **names)), text


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
