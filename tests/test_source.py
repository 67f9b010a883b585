"""The reader of source: names, kinds, loops, modes and edits, without TensorFlow."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from unslow.source.edits import apply
from unslow.source.module import UNKNOWN, Module
from unslow.source.notebook import NotebookText
from unslow.source.project import Project, scan

HEAD = """\
import functools
import numpy as np
import tensorflow as tf
from tensorflow import keras
"""


def module(text: str) -> Module:
    return Module.of(HEAD + text)


def last(read: Module, text: str) -> ast.expr:
    """The last expression that is written like `text`."""
    found = [
        node
        for node in ast.walk(read.tree)
        if isinstance(node, ast.expr) and read.text(node) == text
    ]
    assert found, f"{text} is not in the program"
    return max(found, key=lambda node: (node.lineno, node.col_offset))


def project(folder: Path, **files: str) -> Project:
    for name, text in files.items():
        target = folder / (name.replace("_", "/") + ".py")
        if target.name == "init.py":
            target = target.with_name("__init__.py")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return Project(sorted(folder.rglob("*.py")))


@pytest.mark.parametrize(
    ("imports", "expression", "name"),
    [
        ("import tensorflow as tf", "tf.function", "tensorflow.function"),
        ("import tensorflow", "tensorflow.math.add", "tensorflow.math.add"),
        ("import tensorflow.compat.v1 as tf", "tf.Session", "tensorflow.Session"),
        ("from tensorflow.compat import v1 as tf", "tf.Session", "tensorflow.Session"),
        ("from tensorflow import keras", "keras.Model", "keras.Model"),
        ("import tensorflow as tf", "tf.keras.Model", "keras.Model"),
        ("from keras import Model", "Model", "keras.Model"),
        ("from keras import Model as M", "M", "keras.Model"),
        ("from tensorflow.keras import layers as L", "L.Dense", "keras.layers.Dense"),
        ("from tensorflow.python.keras import Model", "Model", "keras.Model"),
        ("import tensorflow as tf\nk = tf.keras", "k.Model", "keras.Model"),
        ("import tensorflow as tf\nwrap = tf.function", "wrap", "tensorflow.function"),
        ("import tensorflow.keras.layers", "tensorflow.keras.layers.Dense", "keras.layers.Dense"),
        ("import cv2", "cv2.resize", "cv2.resize"),
        ("", "len", "len"),
        ("import tensorflow as tf\ntf = object()", "tf.function", None),
        ("def tf(): pass", "tf.function", None),
        ("", "nowhere.function", None),
        (
            "try:\n    import tensorflow as tf\nexcept ImportError:\n    tf = None",
            "tf.add",
            "tensorflow.add",
        ),
    ],
)
def test_qualified_names(imports: str, expression: str, name: str | None) -> None:
    read = Module.of(f"{imports}\nprint({expression})\n")
    assert read.qualified(last(read, expression)) == name


@pytest.mark.parametrize(
    ("text", "expression", "kind"),
    [
        ("x = tf.constant(1)", "x", "tensor"),
        ("x = tf.constant(1) + 2", "x", "tensor"),
        ("x = 2 * np.ones(3)", "x", "array"),
        ("x = np.ones(3) * tf.ones(3)", "x", "tensor"),
        ("x = np.float32(3)", "x", "numpy-scalar"),
        ("x = np.mean(np.ones(3))", "x", "numpy-scalar"),
        ("x = np.mean(np.ones((3, 3)), axis=0)", "x", "array"),
        ("x = np.random.normal()", "x", "unknown"),
        ("x = 3 / 2", "x", "scalar"),
        ("x = tf.ones(3)[0]", "x", "tensor"),
        ("x = tf.ones(3) > 2", "x", "tensor"),
        ("x = tf.ones(3).numpy()", "x", "unknown"),
        ("x = [tf.ones(3), tf.ones(3)][0]", "x", "tensor"),
        ("a, x = 1, tf.ones(3)", "x", "tensor"),
        ("a, x = anything()", "x", "unknown"),
        ("x = tf.ones(3) if c else np.ones(3)", "x", "unknown"),
        ("x = tf.Variable(3)", "x", "variable"),
        ("x = tf.data.Dataset.range(3).map(f).batch(2)", "x", "dataset"),
        ("x = tf.GradientTape()", "x", "tape"),
        ("with tf.GradientTape() as x: pass", "x", "tape"),
        ("with tf.compat.v1.Session() as x: pass", "x", "session"),
        ("x = keras.Sequential()", "x", "model"),
        ("x = keras.models.load_model('m')", "x", "model"),
        ("x = keras.layers.Dense(3)(tf.ones((1, 3)))", "x", "tensor"),
        ("x = keras.layers.Dense(3)(keras.Input(3))", "x", "unknown"),
        ("x = keras.optimizers.Adam()", "x", "optimizer"),
        ("x = tf.lite.Interpreter('m')", "x", "interpreter"),
        ("x = tf.function(lambda a: a)", "x", "compiled"),
        ("x = None\nx = tf.ones(3)", "x", "tensor"),
        ("x = np.ones(3)\nx = tf.constant(x)", "x", "tensor"),
        ("x = np.ones(3)\nif c:\n    x = tf.constant(x)", "x", "unknown"),
        ("if c:\n    x = tf.ones(3)\nelse:\n    x = tf.zeros(3)", "x", "tensor"),
        ("x = tf.ones(3)\nfor i in range(9):\n    x = x + i", "x", "tensor"),
        ("x = tf.ones(3)\nfor i in range(9):\n    x = anything(x)", "x", "unknown"),
        ("x = np.ones(3)\ntry:\n    x = tf.ones(3)\nexcept ValueError:\n    pass", "x", "unknown"),
        ("def f():\n    return tf.ones(3)\nx = f()", "x", "tensor"),
        ("def f(a):\n    return a\nx = f(tf.ones(3))", "x", "tensor"),
        ("def f(a):\n    return a\nf(1)\nx = f(tf.ones(3))", "x", "unknown"),
        ("def f(a):\n    x = a\n    print(x)\ng(f)\nf(tf.ones(3))", "x", "unknown"),
        ("def f(x: tf.Tensor):\n    print(x)", "x", "tensor"),
        ("def f(n):\n    return f(n - 1)\nx = f(3)", "x", "unknown"),
        ("def f(n) -> np.ndarray:\n    return g(n)\nx = f(3)", "x", "array"),
        ("x: np.ndarray = g()", "x", "array"),
        ("x: tf.Tensor | None = g()", "x", "unknown"),
        ("def f(xs: list[np.ndarray]):\n    for x in xs: print(x)", "x", "array"),
        ("def f() -> tuple[tf.Tensor, int]:\n    return g()\nx, y = f()", "x", "tensor"),
        ("def f():\n    yield tf.ones(3)\nfor x in f(): print(x)", "x", "tensor"),
        ("xs = []\nfor i in range(9):\n    xs.append(np.ones(3))\nx = xs[0]", "x", "array"),
        ("xs = []\nxs.append(np.ones(3))\nxs.append(tf.ones(3))\nx = xs[0]", "x", "unknown"),
        ("for i, x in enumerate(tf.ones(3)): print(x)", "x", "tensor"),
        ("for a, x in zip(np.ones(3), tf.ones(3)): print(x)", "x", "tensor"),
        ("x = [tf.ones(3) for i in range(3)][1]", "x", "tensor"),
        (
            "ds = tf.data.Dataset.from_tensor_slices(np.ones(3)).batch(2)\nfor x in ds: print(x)",
            "x",
            "tensor",
        ),
        ("global_x = tf.ones(3)\ndef f():\n    print(global_x)", "global_x", "tensor"),
        ("y = 1\ndef f():\n    global y\n    y = tf.ones(3)\nprint(y)", "y", "unknown"),
        (
            "class A:\n    def __init__(self):\n        self.m = keras.Sequential()\n"
            "    def f(self):\n        print(self.m)",
            "self.m",
            "model",
        ),
        ("class A(keras.Model):\n    pass\nx = A()", "x", "model"),
        ("class B(keras.Model):\n    pass\nclass A(B):\n    pass\nx = A()", "x", "model"),
        ("class A:\n    def f(self):\n        return tf.ones(3)\nx = A().f()", "x", "tensor"),
        (
            "class A:\n    @property\n    def f(self):\n        return tf.ones(3)\nx = A().f",
            "x",
            "tensor",
        ),
        (
            "class A:\n    @classmethod\n    def f(cls):\n        return cls()\nx = A.f()",
            "x",
            "instance",
        ),
        ("@tf.function\ndef f(a):\n    return a\nx = f(np.ones(3))", "x", "tensor"),
        ("@anything\ndef f():\n    return tf.ones(3)\nx = f()", "x", "unknown"),
    ],
)
def test_kinds(text: str, expression: str, kind: str) -> None:
    read = module(text + f"\nprint({expression})\n" if "print(" not in text else text + "\n")
    assert read.value(last(read, expression)).kind == kind


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("np.zeros(3)", "float64"),
        ("np.zeros(3, np.float32)", "float32"),
        ("np.zeros(3, dtype='uint8')", "uint8"),
        ("np.zeros(3).astype(np.float32)", "float32"),
        ("np.random.rand(3)", "float64"),
        ("np.random.rand(3)[1:]", "float64"),
        ("np.array(data)", None),
        ("tf.constant(1.0, tf.float64)", "float64"),
        ("tf.zeros(3, dtype=tf.float16)", "float16"),
        ("tf.zeros(3, dtype=unknown)", None),
        ("3", "int"),
        ("3.0", "float"),
    ],
)
def test_dtypes(text: str, dtype: str | None) -> None:
    read = module(f"x = {text}\nprint(x)\n")
    assert read.value(last(read, "x")).dtype == dtype


def test_a_compiled_function_knows_its_call_and_its_definition() -> None:
    read = module("@tf.function(jit_compile=True)\ndef f(a): return a\nprint(f)\n")
    value = read.value(last(read, "f"))
    assert value.kind == "compiled"
    assert isinstance(value.definition, ast.FunctionDef)
    assert value.call is not None
    assert read.text(value.call) == "tf.function(jit_compile=True)"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("mark()", None),
        ("for i in range(9):\n    mark()", "loop"),
        ("for i in range(3):\n    mark()", None),
        ("for i in mark():\n    pass", None),
        ("for i in range(9):\n    pass\nelse:\n    mark()", None),
        ("while c:\n    mark()", "loop"),
        ("while mark():\n    pass", "loop"),
        ("while True:\n    mark()\n    break", None),
        (
            "while True:\n    try:\n        mark()\n        break\n"
            "    except OSError:\n        pass",
            None,
        ),
        ("for batch in data:\n    mark()\n    break", None),
        ("xs = [mark() for i in data]", "loop"),
        ("xs = [i for i in mark()]", None),
        ("for a in (1, 2):\n    for b in (1, 2):\n        mark()", None),
        ("for a in (1, 2):\n    for b in data:\n        mark()", "loop"),
        ("def f():\n    mark()\nf()", None),
        ("def f():\n    mark()\nfor i in data:\n    f()", "called"),
        ("def f():\n    mark()\ndef g():\n    f()\nfor i in data:\n    g()", "called"),
        ("for i in data:\n    def f():\n        mark()", None),
        ("def f():\n    f()\n    mark()", None),
        (
            "class A:\n    def f(self):\n        mark()\n    def g(self):\n"
            "        for i in data:\n            self.f()",
            "called",
        ),
        (
            "from flask import Flask\napp = Flask('a')\n@app.route('/')\ndef f():\n    mark()",
            "handler",
        ),
        (
            "from fastapi import FastAPI\napp = FastAPI()\n"
            "@app.post('/')\nasync def f():\n    mark()",
            "handler",
        ),
        ("@app.route('/')\ndef f():\n    mark()", None),
        ("@functools.lru_cache\ndef f():\n    mark()\nfor i in data:\n    f()", None),
    ],
)
def test_repetition(text: str, kind: str | None) -> None:
    read = module(text + "\n")
    again = read.repetition(last(read, "mark()"))
    assert (again and again.kind) == kind


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("mark()", "eager"),
        ("def main():\n    mark()\nmain()", "eager"),
        ("def f():\n    mark()", None),
        ("def f(x):\n    mark()\n    return x.numpy()", "eager"),
        ("@tf.function\ndef f():\n    mark()", "compiled"),
        ("@tf.function(jit_compile=True)\ndef f():\n    mark()", "compiled"),
        (
            "jit = functools.partial(tf.function, jit_compile=True)\n@jit\ndef f():\n    mark()",
            "compiled",
        ),
        ("def f():\n    mark()\ng = tf.function(f)", "compiled"),
        ("def f():\n    mark()\ng = tf.function(f)\nf()", None),
        ("def f():\n    mark()\n@tf.function\ndef g():\n    f()", "compiled"),
        ("def f():\n    mark()\n@tf.function\ndef g():\n    f()\nf()", None),
        ("def f(x):\n    mark()\ntf.data.Dataset.range(3).map(f)", "compiled"),
        ("tf.data.Dataset.range(3).map(lambda x: mark())", "compiled"),
        ("pool.map(lambda x: mark())", None),
        ("@tf.function\ndef g():\n    def f():\n        mark()\n    f()", "compiled"),
        ("class N(keras.Model):\n    def call(self, x):\n        mark()", "compiled"),
        ("class N(keras.Model):\n    def train_step(self, x):\n        mark()", "compiled"),
        ("class N:\n    def call(self, x):\n        mark()", None),
        ("with tf.Graph().as_default():\n    mark()", None),
        ("tf.compat.v1.disable_eager_execution()\nmark()", None),
        ("@anything\ndef f():\n    mark()\nf()", None),
        ("def f():\n    mark()\n    yield 1", "eager"),
    ],
)
def test_modes(text: str, mode: str | None) -> None:
    read = module(text + "\n")
    assert read.mode(last(read, "mark()")) == mode


@pytest.mark.parametrize(
    ("body", "same"),
    [
        ("use(x)", False),
        ("tf.add(x, 1)", True),
        ("tf.add(x, 1); x = 3", False),
        ("tf.add(x, 1); x[0] = 3", False),
        ("tf.add(x, 1); x += 3", False),
        ("tf.add(x, 1); x.sort()", False),
        ("tf.add(x, 1); x.mean()", True),
        ("tf.add(x, 1); np.random.shuffle(x)", False),
        ("tf.add(x, 1); np.add(x, 1, out=x)", False),
        ("tf.add(x, 1); y[0] = 3", False),
        ("tf.add(x, 1); z[0] = 3", True),
        ("tf.add(x, 1); xs.append(x)", True),
        ("tf.add(x, 1); x.flat[0] = 3", False),
    ],
)
def test_invariance(body: str, same: bool) -> None:
    read = module(
        f"x = np.ones(3)\ny = x[1:]\nz = np.ones(3)\nxs = []\nfor i in range(9):\n    {body}\n"
    )
    loop = next(read.nodes(ast.For))
    argument = next(node for node in read.uses("x") if read.inside(node, loop))
    assert read.invariant(argument, loop) is same


@pytest.mark.parametrize(
    ("text", "differs"),
    [
        ("for x in range(9):\n    mark(x)", True),
        ("for x in data:\n    mark(x)", False),
        ("for x, y in enumerate(data):\n    mark(x)", True),
        ("for y, x in enumerate(data):\n    mark(x)", False),
        ("for i in range(9):\n    mark(0.1 * i)", True),
        ("for i in range(9):\n    mark(i % 2)", False),
        ("for i in range(9):\n    x = 0.1 / (i + 1)\n    mark(x)", True),
        ("x = 1.0\nwhile c:\n    mark(x)\n    x *= 0.9", True),
        ("x = 1.0\nwhile c:\n    mark(x)\n    if d:\n        x *= 0.9", False),
        ("x = 1.0\nwhile c:\n    mark(x)", False),
        ("for x in [0.1, 0.2, 0.3, 0.4]:\n    mark(x)", True),
        ("for x in [0.1, 0.1, 0.1, 0.1]:\n    mark(x)", False),
    ],
)
def test_what_varies(text: str, differs: bool) -> None:
    read = module(text + "\n")
    call = next(node for node in read.calls() if read.text(node.func) == "mark")
    assert read.varies(call.args[0], read.loops(call)[0]) is differs


def test_a_function_that_is_defined_twice_is_called_where_it_is_meant() -> None:
    read = module(
        "def f(a):\n    print(a)\nfor i in data:\n    f(1)\n"
        "def f(b):\n    print(b)\nf(np.ones(3))\n"
    )
    assert read.value(last(read, "b")).kind == "array"
    assert read.value(last(read, "a")).kind == "scalar"
    assert read.repetition(last(read, "a")) is not None
    assert read.repetition(last(read, "b")) is None


@pytest.mark.parametrize(
    "before",
    [
        "xs = [x]\nfor y in xs:\n    y *= 2",
        "held = {'x': x}",
        "def change(t=x):\n    t += 1",
    ],
)
def test_what_escapes_may_change(before: str) -> None:
    read = module(f"x = np.ones(3)\n{before}\nfor i in range(9):\n    tf.add(x, 1)\n")
    call = next(read.calls_to("tensorflow.add"))
    assert not read.invariant(call.args[0], read.loops(call)[0])


def test_a_list_that_a_library_reads_is_no_escape() -> None:
    read = module("x = np.ones(3)\ny = np.stack([x, x])\nfor i in range(9):\n    tf.add(x, 1)\n")
    call = next(read.calls_to("tensorflow.add"))
    assert read.invariant(call.args[0], read.loops(call)[0])


def test_a_loop_in_another_cell_is_named_with_its_cell() -> None:
    cells = ["def f():\n    g()\n", "for i in data:\n    f()\n"]
    notebook = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {"cell_type": "code", "metadata": {}, "outputs": [], "source": text} for text in cells
        ],
    }
    source = NotebookText.of(json.dumps(notebook).encode())
    read = Module("a.ipynb", source, Project([]), Path("a.ipynb"), "a")
    again = read.repetition(last(read, "g()"))
    assert again is not None
    assert again.text == "f(), called in the loop at line 1 of cell 2"


def test_constants() -> None:
    read = module("A = 3\nB = A * 2\nC = f()\nD = 1\nD = 2\nprint(A, B, C, D, (A, 'x'))\n")
    call = next(node for node in read.calls() if read.text(node.func) == "print")
    assert [read.constant(each) for each in call.args] == [3, 6, UNKNOWN, UNKNOWN, (3, "x")]


def test_kinds_flow_between_files(tmp_path: Path) -> None:
    read = project(
        tmp_path,
        package_init="",
        package_models="import tensorflow as tf\ndef build(): return tf.keras.Sequential()\n",
        package_steps=(
            "import tensorflow as tf\nfrom . import models\nfrom .models import build as make\n"
            "@tf.function\ndef step(x, lr): return x\n"
            "def show(value):\n    print(value)\n"
            "one = models.build()\ntwo = make()\n"
        ),
        main=(
            "from package import steps\nfrom package.steps import step, show\nimport numpy as np\n"
            "for i in range(9):\n    step(np.ones(3), 0.1 * i)\n    show(np.ones(3))\n"
        ),
    )
    steps = read.module(tmp_path / "package" / "steps.py")
    for name in ("one", "two"):
        assert steps.value(steps.uses(name)[0]).kind == "model"
    value = steps.uses("value")[0]
    assert steps.value(value).kind == "array"
    again = steps.repetition(value)
    assert again is not None and again.kind == "called" and "main.py" in again.text
    assert tmp_path / "main.py" in steps.consulted
    main = read.module(tmp_path / "main.py")
    assert main.value(main.uses("step")[0]).kind == "compiled"
    assert read.neighbourhood(tmp_path / "main.py") == (
        tmp_path / "package" / "__init__.py",
        tmp_path / "package" / "steps.py",
    )


def test_files_that_import_each_other_and_one_that_is_broken(tmp_path: Path) -> None:
    read = project(
        tmp_path,
        a="import tensorflow\nfrom b import g\nfrom c import h\ndef f(): return g()\nx = f()\n",
        b="import tensorflow\nfrom a import f\ndef g(): return f()\n",
        c="def h(:\n",
    )
    module = read.module(tmp_path / "a.py")
    assert module.value(module.uses("x")[0]).kind == "unknown"
    assert module.value(module.uses("g")[0]).kind == "function"


def test_the_quick_look_at_a_file() -> None:
    facts = scan(b"import os, sys as s\nfrom .a import (b,\n  c as d)\nfrom x.y import z\n")
    assert not facts.mentions
    assert {"os", "sys", ".a", ".a.b", ".a.c", "x.y", "x.y.z"} <= facts.imports
    assert scan(b"# keras").mentions


def edited(read: Module, *edits: object) -> str:
    return apply(read.source.text.encode(), edits).decode()  # type: ignore[arg-type]


def test_edits_of_statements() -> None:
    text = "if c:\n    a = 1  # one\n    b = 2\nd = 3\n"
    read = Module.of(text)
    condition, after = read.tree.body
    assert isinstance(condition, ast.If)
    first, second = condition.body
    assert edited(read, read.insert(first, "x = 0\ny = 0")) == text.replace(
        "    a", "    x = 0\n    y = 0\n    a"
    )
    assert edited(read, read.insert_after(second, "x = 0")) == text.replace("2\n", "2\n    x = 0\n")
    assert edited(read, read.insert_after(after, "x = 0")) == text + "x = 0\n"
    assert edited(read, read.delete(second)) == text.replace("    b = 2\n", "")
    assert isinstance(first, ast.Assign)
    assert edited(read, read.replace(first.value, "11")) == text.replace("a = 1 ", "a = 11 ")


def test_deleting_the_only_statement_leaves_pass() -> None:
    read = Module.of("def f():\n    g()  # why\n")
    function = read.tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    assert edited(read, read.delete(function.body[0])) == "def f():\n    pass  # why\n"


@pytest.mark.parametrize(
    ("text", "name", "result"),
    [
        ("import numpy as np\n", "np", None),
        ("import numpy\n", "numpy", None),
        ("import os\nx = 1\n", "np", "import os\nimport numpy as np\nx = 1\n"),
        ('"""Doc."""\nx = 1\n', "np", '"""Doc."""\nimport numpy as np\nx = 1\n'),
        ("# c\nx = 1\n", "np", "# c\nimport numpy as np\nx = 1\n"),
        (
            "from __future__ import annotations\nx = 1\n",
            "np",
            "from __future__ import annotations\nimport numpy as np\nx = 1\n",
        ),
        ("import numpy as np\nimport numpy as np\n", "np", None),
        ("np = 3\n", "np_2", "import numpy as np_2\nnp = 3\n"),
        ("import os", "np", "import os\nimport numpy as np"),
        (
            "def f():\n    import numpy as np\n",
            "np_2",
            "import numpy as np_2\ndef f():\n    import numpy as np\n",
        ),
    ],
)
def test_imports_that_an_edit_needs(text: str, name: str, result: str | None) -> None:
    read = Module.of(text)
    found, edits = read.imported("numpy")
    assert found == name
    assert (edited(read, *edits) if edits else None) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("import argparse\nimport sys\n", "import argparse\nimport functools\nimport sys\n"),
        ("import sys\n\nimport numpy\n", "import functools\nimport sys\n\nimport numpy\n"),
        ("import numpy\nx = 1\n", "import numpy\nimport functools\nx = 1\n"),
        (
            "from __future__ import annotations\nimport os\n",
            "from __future__ import annotations\nimport functools\nimport os\n",
        ),
    ],
)
def test_imports_of_the_standard_library_stand_with_their_like(text: str, result: str) -> None:
    read = Module.of(text)
    assert edited(read, *read.imported("functools")[1]) == result


@pytest.mark.parametrize(
    ("text", "can"),
    [
        ("a = 1\n", True),
        ("a = 1; b = 2\n", False),
        ("if c: a = 1\n", False),
        ("a = 1  # why\n", True),
        ("@d\ndef a(): pass\n", True),
    ],
)
def test_what_can_be_edited(text: str, can: bool) -> None:
    read = Module.of(text)
    statement = read.tree.body[0]
    if isinstance(statement, ast.If):
        statement = statement.body[0]
    assert read.editable(statement) is can


def test_deep_nesting_and_long_chains_are_survived() -> None:
    read = Module.of(HEAD + "x = " + "+".join(["tf.ones(3)"] * 500) + "\nprint(x)\n")
    assert read.value(last(read, "x")).kind in ("tensor", "unknown")
    read = Module.of("x = 1\n" + "x = x + 1\n" * 2000 + "print(x)\n")
    assert read.value(read.uses("x")[-1]).kind in ("scalar", "unknown")
