"""Tracing, graphs and sessions as they are seen in source: what is found, what is not, and fixed.

Each program begins with the imports of `HEAD`. `# !` marks the line of its one finding; a
program without a mark must have none.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest
from programs import printed_by

from unslow.catalogue import page as find_page
from unslow.finding import Finding
from unslow.source.edits import apply
from unslow.source.module import Module

HEAD = """\
import numpy as np
import tensorflow as tf
tf1 = tf.compat.v1
"""

STEP = """\
weights = tf.Variable(tf.ones((4, 4)))

@tf.function
def step(x, rate=0.1):
    weights.assign_sub(rate * tf.matmul(x, weights))
    return tf.reduce_sum(weights)

x = tf.ones((4, 4))
"""

PAD = """\
lengths = tf.data.Dataset.range(1, 90)
rows = lengths.map(lambda n: tf.ones((n, 4)))

@tf.function
def score(x):
    return tf.reduce_sum(x * x)

"""

TRAIN = """\
model = tf.keras.Sequential([tf.keras.layers.Dense(4)])
optimizer = tf.keras.optimizers.SGD(0.01)
loss_of = tf.keras.losses.MeanSquaredError()
ds = tf.data.Dataset.from_tensor_slices((np.ones((64, 3)), np.ones((64, 4)))).batch(8)

"""

GRAPH = """\
x = tf1.placeholder(tf.float32, (None, 4))
mean = tf.reduce_mean(x)
peak = tf.reduce_max(x)
session = tf1.Session()
rows = np.ones((50, 3, 4))
"""

EAGERLY = "tf.config.run_functions_eagerly(True)\n"
DATA_DEBUG = "tf.data.experimental.enable_debug_mode()\n"


def taped(loss: str, before: str = "", data: str = "ds.repeat()", mark: str = "") -> str:
    """A training loop that is not compiled, with `loss` under its tape."""
    return (
        f"{TRAIN}{before}\nfor x, y in {data}:\n    with tf.GradientTape() as tape:\n"
        f"        loss = {loss}\n    grads = tape.gradient(loss, model.weights){mark}\n"
        "    optimizer.apply_gradients(zip(grads, model.weights))\n"
    )


LINEAR = """\
class Linear(tf.Module):
    def __init__(self):
        self.w = tf.Variable(1.0)

    @tf.function
    def __call__(self, x):
        return x * self.w

"""
HUB = "import tensorflow_hub as hub\n"

FIND = {"mark": "  # !"}

FOUND = {
    "TF201": [
        STEP + "for i in range(50):\n    step(x, 0.1 / (1 + i))  # !\n",
        STEP + "for i in range(50):\n    step(x, rate=i)  # !\n",
        STEP + "rate = 0.1\nfor _ in range(50):\n    rate *= 0.9\n    step(x, rate)  # !\n",
        STEP + "for i, y in enumerate(np.ones((9, 4, 4))):\n    step(y, float(i))  # !\n",
        STEP + "n = 0\nwhile n < 50:\n    n += 1\n    step(x, n)  # !\n",
        STEP
        + "for epoch in range(50):\n    for _ in range(9):\n        step(x, 0.5**epoch)  # !\n",
        "def plain(x, n):\n    return x * n\n\ncompiled = tf.function(plain)\n"
        "for i in range(9):\n    compiled(tf.ones(3), i)  # !\n",
        "class Trainer:\n    @tf.function\n    def step(self, x, n):\n        return x * n\n\n"
        "trainer = Trainer()\nfor i in range(9):\n    trainer.step(tf.ones(3), i)  # !\n",
        "from tensorflow import function as jit\n\n@jit\ndef f(n):\n    return tf.range(n)\n\n"
        "def main():\n    for n in range(99):\n        f(n)  # !\n\n"
        "if __name__ == '__main__':\n    main()\n",
    ],
    "TF202": [
        PAD + "for batch in rows.padded_batch(4):\n    score(batch)  # !\n",
        PAD + "batches = rows.padded_batch(4, ([None, 4])).prefetch(1)\n"
        "for i, batch in enumerate(batches):\n    score(batch)  # !\n",
        PAD + "data = tf.ones((99, 4))\nfor n in range(1, 99):\n    score(data[:n])  # !\n",
        PAD + "for n in range(1, 99):\n    data = np.zeros((n, 4))\n    score(data)  # !\n",
        PAD + "seen = tf.zeros((1, 4))\nfor _ in range(99):\n"
        "    seen = tf.concat([seen, tf.ones((1, 4))], 0)\n    score(seen)  # !\n",
        PAD + "every = [tf.random.normal((n, 4)) for n in range(99)]\n"
        "for data in every:\n    score(tf.cast(data, tf.float32))  # !\n",
    ],
    "TF203": [
        "for i in range(9):\n    @tf.function  # !\n    def f(x):\n        return x + 1\n"
        "    f(tf.ones(3))\n",
        "def plain(x):\n    return x + 1\n\nfor i in range(9):\n"
        "    f = tf.function(plain)  # !\n    f(tf.ones(3))\n",
        "def plain(x):\n    return x + 1\n\nfor i in range(9):\n"
        "    tf.function(plain)(tf.ones(3))  # !\n",
        "for i in range(9):\n    f = tf.function(lambda x: x + 1)  # !\n    f(tf.ones(3))\n",
        "def score(row):\n    @tf.function(reduce_retracing=True)  # !\n    def f():\n"
        "        return row * 2.0\n    return f()\n\n"
        "for row in np.ones((9, 3)):\n    score(row)\n".replace(
            "for row in np.ones((9, 3)):\n    score(row)",
            "for i in range(9):\n    score(tf.ones(3))",
        ),
        "def plain(x):\n    return x + 1\n\nfor fold in range(9):\n"
        "    f = tf.function(plain)  # !\n    for _ in range(99):\n        f(tf.ones(3))\n",
    ],
    "TF204": [
        TRAIN
        + "for epoch in range(9):\n    for x, y in ds:\n        with tf.GradientTape() as t:\n"
        "            loss = loss_of(y, model(x))\n"
        "        grads = t.gradient(loss, model.trainable_variables)  # !\n"
        "        optimizer.apply_gradients(zip(grads, model.trainable_variables))\n",
        TRAIN + "def train_step(x, y):\n    with tf.GradientTape() as tape:\n"
        "        loss = loss_of(y, model(x, training=True))\n"
        "    grads = tape.gradient(loss, model.trainable_variables)  # !\n"
        "    optimizer.apply_gradients(zip(grads, model.trainable_variables))\n"
        "    print(loss.numpy())\n\nfor x, y in ds.repeat():\n    train_step(x, y)\n",
        "class Trainer:\n    def __init__(self):\n        self.w = tf.Variable(1.0)\n\n"
        "    def step(self):\n        with tf.GradientTape() as tape:\n"
        "            loss = self.w * self.w\n        grad = tape.gradient(loss, self.w)  # !\n"
        "        self.w.assign_sub(0.1 * grad)\n\n"
        "trainer = Trainer()\nfor _ in range(500):\n    trainer.step()\n",
        taped(
            "loss_of(y, net(x))", LINEAR.replace("@tf.function", "#") + "net = Linear()\n", **FIND
        ),
        taped("loss_of(y, net(x))", "from nets import net\n", **FIND),
        taped("loss_of(y, net(x))", "net = tf.keras.models.load_model('net.keras')\n", **FIND),
        taped("loss_of(y, model(x)) * sum(c)", "c = tf.constant([1.0, 2.0])\n", **FIND),
        taped(
            "loss_of(y, model(x))",
            "ds = tf.data.Dataset.from_tensor_slices((rows, marks))\n",
            **FIND,
        ),
        taped("loss_of(y, model(x))", data="zip([1.0] * 64, ds)", **FIND),
    ],
    "TF205": [
        "@tf.function\ndef f(x):\n    for _ in range(300):  # !\n        x = x + tf.tanh(x)\n"
        "    return x\n\nf(tf.ones(3))\n",
        "N = 25 * 10\n\n@tf.function\ndef f(x):\n    ys = []\n    for i in range(N):  # !\n"
        "        ys.append(tf.tanh(x * i))\n    return tf.stack(ys)\n\nf(tf.ones(3))\n",
        "class Net(tf.keras.Model):\n    def call(self, x):\n        for i in range(128):  # !\n"
        "            x = tf.nn.relu(x)\n        return x\n",
        "def grow(x):\n    for _ in range(200):  # !\n        x = tf.sin(x)\n    return x\n\n"
        "ds = tf.data.Dataset.range(9).map(grow)\n",
    ],
    "TF206": [
        "@tf.function\ndef f():\n    total = 0.0\n    for i in tf.range(5000):  # !\n"
        "        total += tf.cast(i, tf.float32) * 0.5\n    return total\n\nf()\n",
        "@tf.function\ndef f(start):\n    for i in tf.range(5000):  # !\n"
        "        start = start * 0.99\n    return start\n\nf(tf.constant(3.0))\n",
    ],
    "TF207": [
        "def classify(graph_def, row):\n    with tf.Graph().as_default():\n"
        "        tf.import_graph_def(graph_def, name='')  # !\n"
        "        with tf1.Session() as s:\n            return s.run('y:0', {'x:0': row})\n\n"
        "graph_def = tf1.GraphDef()\nfor row in np.ones((9, 3)):\n    classify(graph_def, row)\n",
        "def load(path):\n    graph_def = tf1.GraphDef()\n    with open(path, 'rb') as f:\n"
        "        graph_def.ParseFromString(f.read())\n    with tf.Graph().as_default() as graph:\n"
        "        tf.import_graph_def(graph_def, name='')  # !\n    return graph\n\n"
        "def label(row):\n    graph = load('net.pb')\n    with tf1.Session(graph=graph) as s:\n"
        "        return s.run('y:0', {'x:0': row})\n\n"
        "labels = [label(row) for row in np.ones((9, 3))]\n",
        "for row in np.ones((9, 3)):\n    with tf1.Session() as s:  # !\n"
        "        print(s.run(tf.reduce_sum(row)))\n",
        "from flask import Flask\napp = Flask('x')\ngraph = tf.Graph()\n\n@app.route('/')\n"
        "def label():\n    s = tf1.Session(graph=graph)  # !\n    y = s.run('y:0')\n    s.close()\n"
        "    return y\n",
    ],
    "TF208": [
        GRAPH + "for row in rows:\n    small = tf.image.resize(row, (2, 2))  # !\n"
        "    session.run(small)\n",
        GRAPH + "for row in rows:\n    session.run(mean[0], {x: row})  # !\n",
        GRAPH + "best = tf.Variable(0.0)\nfor step in range(99):\n"
        "    session.run(best.assign(step))  # !\n",
        GRAPH + "def shrink(row):\n    return session.run(tf.image.resize(row, (2, 2)))  # !\n\n"
        "smaller = [shrink(row) for row in rows]\n",
    ],
    "TF209": [
        "tf.config.run_functions_eagerly(True)  # !\n",
        "tf.config.experimental_run_functions_eagerly(True)  # !\n",
        "tf.data.experimental.enable_debug_mode()  # !\n",
        TRAIN + "model.compile('sgd', 'mse', run_eagerly=True)  # !\n",
        "def main():\n    tf.config.run_functions_eagerly(True)  # !\n\n"
        "if __name__ == '__main__':\n    main()\n",
    ],
    "TF210": [
        PAD.replace("@tf.function", "@tf.function(jit_compile=True)")
        + "for batch in rows.padded_batch(4):\n    score(batch)  # !\n",
        "f = tf.function(lambda x: x * 2, jit_compile=True)\n"
        "for n in range(50):\n    f(tf.ones((n, 2)))  # !\n",
    ],
    "TF211": [
        GRAPH + "for row in rows:\n    a = session.run(mean, {x: row})\n"
        "    b = session.run(peak, {x: row})  # !\n",
        GRAPH + "def both(row):\n    feed = {x: row}\n    a, c = session.run([mean, peak], feed)\n"
        "    b = session.run(peak, feed)  # !\n    return a, b, c\n\n"
        "every = [both(row) for row in rows]\n",
    ],
    "TF213": [
        "@tf.function\ndef f(a):\n    return a * 0.5\n\na = tf.constant(1.0)\n"
        "while True:\n    a = f(a)  # !\n",
        "@tf.function\ndef f(a, b):\n    return tf.maximum(a, b)\n\na = tf.constant(1.0)\n"
        "for i in range(5000):\n    a = f(a, tf.constant(2.0))  # !\n",
    ],
}

SILENT = {
    "TF201": [
        STEP + "for rate in np.linspace(0.1, 0.9, 50):\n    step(x, rate)\n",
        STEP + "for i in range(50):\n    step(x, tf.constant(0.1 * i))\n",
        STEP + "for i in range(50):\n    step(x, np.float32(i))\n",
        STEP + "for i in range(3):\n    step(x, i)\n",
        STEP + "for epoch in range(99):\n    for layer in range(12):\n        step(x, layer)\n",
        STEP + "for i in range(50):\n    step(x, 0.1)\n    step(x, rate=0.2)\n",
        STEP + "for flag in (True, False):\n    for _ in range(99):\n        step(x, flag)\n",
        STEP + "for i in range(50):\n    if i % 10 == 0:\n        step(x, i)\n",
        STEP
        + "@tf.function\ndef outer():\n    for i in range(50):\n        step(x, i)\n\nouter()\n",
        STEP + "for rate in load_rates():\n    step(x, rate)\n",
        STEP + "def test_rates():\n    for i in range(50):\n        step(x, i)\n",
        STEP.replace("@tf.function", "@tf.function(input_signature=SIGNATURE)")
        + "for i in range(50):\n    step(x, i)\n",
        STEP.replace("@tf.function", "") + "for i in range(50):\n    step(x, i)\n",
        "@other.function\ndef f(n):\n    return n\n\nfor i in range(50):\n    f(i)\n",
    ],
    "TF202": [
        PAD + "for batch in rows.batch(4):\n    score(batch)\n",
        PAD + "for batch in rows.padded_batch(4, (90, 4)):\n    score(batch)\n",
        PAD + "for batch in rows.padded_batch(4).map(cut):\n    score(batch)\n",
        PAD + "pairs = rows.padded_batch(4)\nfor x, y in pairs:\n    score(y)\n",
        PAD + "data = tf.ones((99, 4))\nfor n in range(90):\n    score(data[n : n + 8])\n",
        PAD + "for n in (1, 2, 3):\n    score(tf.ones((n, 4)))\n",
        PAD + "last = tf.zeros((1, 4))\nfor _ in range(99):\n"
        "    last = tf.concat([last[1:], tf.ones((1, 4))], 0)\n    score(last)\n",
        PAD + "for _ in range(9):\n    for epoch in range(99):\n        score(tf.ones((8, 4)))\n",
        PAD.replace("@tf.function", "@tf.function(reduce_retracing=True)")
        + "for batch in rows.padded_batch(4):\n    score(batch)\n",
        PAD.replace("@tf.function", "@tf.function(**options)")
        + "for batch in rows.padded_batch(4):\n    score(batch)\n",
    ],
    "TF203": [
        "fs = []\nfor i in range(9):\n    fs.append(tf.function(lambda x: x + i))\n",
        "def make(n):\n    @tf.function\n    def f(x):\n        return x + n\n    return f\n\n"
        "for n in range(9):\n    f = make(n)\n    f(tf.ones(3))\n",
        "for n in range(9):\n    w = tf.Variable(1.0)\n    @tf.function\n    def step():\n"
        "        w.assign_add(1.0)\n    for _ in range(99):\n        step()\n",
        "for path in paths:\n    model = tf.keras.models.load_model(path)\n"
        "    f = tf.function(lambda x: model(x))\n    f(tf.ones(3))\n",
        "for path in paths:\n    model = tf.keras.models.load_model(path)\n"
        "    f = tf.function(model.call).get_concrete_function(tf.ones(3))\n",
        "cache = {}\n\ndef run(name, x):\n    if name not in cache:\n"
        "        cache[name] = tf.function(lambda y: y + 1)\n    return cache[name](x)\n\n"
        "for i in range(99):\n    run('a', tf.ones(3))\n",
        "class Net:\n    _f = None\n\n    def run(self, x):\n        if self._f is not None:\n"
        "            return self._f(x)\n        g = tf.function(lambda y: y + 1)\n"
        "        self._f = g\n        return g(x)\n\nnet = Net()\n"
        "for i in range(99):\n    net.run(tf.ones(3))\n",
        "@tf.function\ndef outer(x):\n    @tf.function\n    def inner(y):\n        return y + 1\n"
        "    return inner(x)\n\nfor i in range(99):\n    outer(tf.ones(3))\n",
        "def once():\n    f = tf.function(lambda y: y + 1)\n    return f(tf.ones(3))\n\nonce()\n",
        "def test_f():\n    for n in range(9):\n        f = tf.function(lambda y: y + 1)\n"
        "        f(tf.ones(3))\n",
    ],
    "TF204": [
        TRAIN + "@tf.function\ndef train_step(x, y):\n    with tf.GradientTape() as tape:\n"
        "        loss = loss_of(y, model(x))\n"
        "    grads = tape.gradient(loss, model.trainable_variables)\n"
        "    optimizer.apply_gradients(zip(grads, model.trainable_variables))\n\n"
        "for x, y in ds:\n    train_step(x, y)\n",
        TRAIN + "def step(x, y):\n    with tf.GradientTape() as tape:\n"
        "        loss = loss_of(y, model(x))\n    grads = tape.gradient(loss, model.weights)\n"
        "    optimizer.apply_gradients(zip(grads, model.weights))\n\n"
        "train_step = step if debug else tf.function(step)\n"
        "for x, y in ds:\n    train_step(x, y)\n",
        TRAIN + "class Net(tf.keras.Model):\n    def train_step(self, data):\n"
        "        with tf.GradientTape() as tape:\n            loss = self(data)\n"
        "        grads = tape.gradient(loss, self.weights)\n"
        "        self.optimizer.apply_gradients(zip(grads, self.weights))\n",
        "def saliency(x):\n    with tf.GradientTape() as tape:\n        tape.watch(x)\n"
        "        y = x * x\n    return tape.gradient(y, x)\n\n"
        "maps = [saliency(tf.ones(3)) for _ in range(500)]\n",
        "w = tf.Variable(1.0)\nfor _ in range(20):\n    with tf.GradientTape() as tape:\n"
        "        loss = w * w\n    w.assign_sub(tape.gradient(loss, w))\n",
        "w = tf.Variable(1.0)\nif __debug__:\n    for _ in range(500):\n"
        "        with tf.GradientTape() as tape:\n            loss = w * w\n"
        "        w.assign_sub(tape.gradient(loss, w))\n",
        "def library_step(w):\n    for _ in range(500):\n        with tf.GradientTape() as tape:\n"
        "            loss = w * w\n        w.assign_sub(tape.gradient(loss, w))\n",
        taped("loss_of(y, net(x))", LINEAR + "net = Linear()\n"),
        taped("loss_of(y, net(x))", LINEAR + "class Sub(Linear):\n    pass\n\nnet = Sub()\n"),
        taped(
            "loss_of(y, net(x))",
            LINEAR.replace("tf.Module", "tf.keras.Model").replace("__call__", "call")
            + "net = Linear()\n",
        ),
        taped("loss_of(y, net(x))", "@tf.function\ndef net(x):\n    return model(x)\n"),
        taped(
            "loss_of(y, net(x))",
            "@tf.function(autograph=False)\ndef inner(x):\n"
            "    return model(x)\n\ndef net(x):\n    return inner(x)\n",
        ),
        taped("loss_of(y, net(x))", "net = tf.function(model) if fast else model\n"),
        taped(
            "loss_of(y, model(x))",
            "class Net(tf.keras.Model):\n    def call(self, x):\n"
            "        return x\n\nmodel = Net()\nmodel.call = tf.function(model.call)\n",
        ),
        taped("net(x)['y'][0]", HUB + "net = hub.load('net').signatures['default']\n"),
        taped("loss_of(y, net(x))", HUB + "net = hub.KerasLayer('net')\n"),
        taped("net.loss(x, y)", "net = tf.saved_model.load('net')\n"),
        taped("net.signatures['loss'](x, y)", "net = tf.saved_model.load('net')\n"),
        taped(
            "holder.net(x)",
            "class Holder:\n    def __init__(self):\n"
            "        self.net = tf.saved_model.load('net')\n\nholder = Holder()\n",
        ),
        "w = tf.Variable(1.0)\n\ndef step(net):\n    with tf.GradientTape() as tape:\n"
        "        loss = net(w)\n    w.assign_sub(tape.gradient(loss, w))\n\n"
        "net = tf.saved_model.load('net')\nfor _ in range(500):\n    step(net)\n",
        taped("loss_of(y, model(x))", data="zip(range(9), ds)"),
        taped(
            "loss_of(y, model(x))",
            "ds = tf.data.Dataset.from_tensor_slices(([[1.0], [2.0]], [1.0, 2.0])).batch(2)\n",
        ),
        taped(
            "loss_of(b, model(a))",
            "a = tf.constant([[0.0, 1.0], [1.0, 0.0]])\nb = np.array([1.0, 0.0], np.float32)\n",
        ),
        "w = tf.Variable(1.0)\n\ndef step(x):\n    with tf.GradientTape() as tape:\n"
        "        loss = w * x\n    w.assign_sub(tape.gradient(loss, w))\n\n"
        "rows = tf.constant([1.0, 2.0, 3.0])\nfor _ in range(5000):\n    step(rows)\n",
    ],
    "TF205": [
        "@tf.function\ndef f(x):\n    for _ in range(12):\n        x = x + tf.tanh(x)\n"
        "    return x\n\nf(tf.ones(3))\n",
        "@tf.function\ndef f(x):\n    for _ in tf.range(300):\n        x = x + tf.tanh(x)\n"
        "    return x\n\nf(tf.ones(3))\n",
        "def f(x):\n    for _ in range(300):\n        x = x + tf.tanh(x)\n    return x\n\n"
        "f(tf.ones(3))\n",
        "@tf.function\ndef f(x, layers):\n    for n in range(len(layers)):\n"
        "        x = tf.tanh(x)\n    return x\n",
        "@tf.function\ndef f(x):\n    total = 0\n    for n in range(300):\n        total += n * n\n"
        "    return x * total\n\nf(tf.ones(3))\n",
        "@tf.function\ndef f(x):\n    for n in range(300):\n        if n % 100 == 0:\n"
        "            x = tf.tanh(x)\n    return x\n\nf(tf.ones(3))\n",
    ],
    "TF206": [
        "@tf.function\ndef f(x):\n    for _ in tf.range(5000):\n        x = tf.matmul(x, x)\n"
        "    return x\n\nf(tf.ones((3, 3)))\n",
        "@tf.function\ndef f(x):\n    for _ in tf.range(5000):\n        x = x * 0.5\n"
        "    return x\n\nf(tf.ones((3, 3)))\n",
        "@tf.function\ndef f(x):\n    for _ in tf.range(9):\n        x = x * 0.5\n    return x\n\n"
        "f(tf.constant(1.0))\n",
        "@tf.function(jit_compile=True)\ndef f(x):\n    for _ in tf.range(5000):\n"
        "        x = x * 0.5\n    return x\n\nf(tf.constant(1.0))\n",
        "@tf.function\ndef f(x):\n    for _ in tf.range(5000):\n"
        "        x = x * 0.5\n    return x\n",
        "x = tf.constant(1.0)\nfor _ in tf.range(5000):\n    x = x * 0.5\n",
    ],
    "TF207": [
        "sessions = []\nfor path in paths:\n    sessions.append(tf1.Session())\n",
        "for path in paths:\n    with tf.Graph().as_default(), tf1.Session() as s:\n"
        "        loss = tf.constant(1.0)\n        for _ in range(99):\n            s.run(loss)\n",
        "def train(s):\n    for _ in range(99):\n        s.run('loss:0')\n\n"
        "for seed in range(9):\n    with tf1.Session() as s:\n        train(s)\n",
        "for path in paths:\n    with tf1.Session() as s:\n        saver.restore(s, path)\n"
        "        s.run('loss:0')\n",
        "for graph_def in graph_defs:\n    with tf.Graph().as_default():\n"
        "        tf.import_graph_def(graph_def)\n        with tf1.Session() as s:\n"
        "            s.run('y:0')\n",
        "def load(path):\n    with tf.Graph().as_default() as graph:\n"
        "        tf.import_graph_def(read(path))\n    return graph\n\n"
        "graphs = [load(path) for path in paths]\n",
        "class Net:\n    def __init__(self):\n        self.s = tf1.Session()\n\n"
        "nets = [Net() for _ in range(9)]\n",
        "session = None\n\ndef get():\n    global session\n    if session is None:\n"
        "        session = tf1.Session()\n    return session\n\n"
        "for _ in range(9):\n    get().run('y:0')\n",
        "with tf1.Session() as s:\n    for row in np.ones((9, 3)):\n        s.run('y:0')\n",
        "class NetTest(tf.test.TestCase):\n    def test_all(self):\n        for n in range(9):\n"
        "            with tf1.Session() as s:\n                s.run(tf.constant(n))\n",
    ],
    "TF208": [
        GRAPH + "for row in rows:\n    session.run(mean, {x: row})\n",
        GRAPH + "for size in (1, 2, 3):\n    session.run(tf.zeros((size,)))\n",
        GRAPH
        + "for row in rows:\n    if first:\n        y = tf.square(mean)\n    session.run(y)\n",
        GRAPH + "for n in range(99):\n    with tf.Graph().as_default(), tf1.Session() as s:\n"
        "        s.run(tf.zeros((n,)))\n",
        GRAPH + "for variable, value in zip(variables, values):\n"
        "    session.run(tf.assign(variable, value))\n",
        GRAPH + "for n in range(99):\n    y = tf.square(mean)\n    for row in rows:\n"
        "        session.run(y, {x: row})\n",
        GRAPH + "def experiment(n):\n    y = tf.square(mean)\n    return session.run(y)\n\n"
        "for n in range(99):\n    tf1.reset_default_graph()\n    experiment(n)\n",
        "for row in np.ones((9, 3)):\n    tf.reduce_sum(row)\n",
    ],
    "TF209": [
        "tf.config.run_functions_eagerly(False)\n",
        "tf.config.run_functions_eagerly(debug)\n",
        "if args.debug:\n    tf.config.run_functions_eagerly(True)\n",
        "if platform == 'darwin':\n    tf.config.run_functions_eagerly(True)\n",
        "tf.config.run_functions_eagerly(True)\nf()\ntf.config.run_functions_eagerly(False)\n",
        "def enable_debugging():\n    tf.config.run_functions_eagerly(True)\n\n"
        "enable_debugging()\n",
        "class NetTest(unittest.TestCase):\n    def setUp(self):\n"
        "        tf.config.run_functions_eagerly(True)\n",
        TRAIN + "model.compile('sgd', 'mse', run_eagerly=args.debug)\n",
        "thing.compile(run_eagerly=True)\n",
    ],
    "TF210": [
        PAD + "for batch in rows.padded_batch(4):\n    score(batch)\n",
        PAD.replace("@tf.function", "@tf.function(jit_compile=False)")
        + "for batch in rows.padded_batch(4):\n    score(batch)\n",
        PAD.replace("@tf.function", "@tf.function(jit_compile=True)")
        + "for batch in rows.padded_batch(4, (90, 4)):\n    score(batch)\n",
    ],
    "TF211": [
        GRAPH + "a = session.run(mean, {x: rows[0]})\nb = session.run(peak, {x: rows[0]})\n",
        GRAPH + "for row in rows:\n    a = session.run(mean, {x: row})\n"
        "    b = session.run(peak, {x: a})\n",
        GRAPH + "for row in rows:\n    a = session.run(mean, {x: row})\n    row = row + a\n"
        "    b = session.run(peak, {x: row})\n",
        GRAPH + "for row in rows:\n    a = session.run(mean, {x: row})\n    if a > 1:\n"
        "        b = session.run(peak, {x: row})\n",
        GRAPH + "for row in rows:\n    _, a = session.run([train_op, mean], {x: row})\n"
        "    b = session.run(peak, {x: row})\n",
        GRAPH + "for row in rows:\n    a = session.run(mean, {x: next(feed)})\n"
        "    b = session.run(peak, {x: next(feed)})\n",
        GRAPH + "for row in rows:\n    session.run(first_op, {x: row})\n"
        "    session.run(second_op, {x: row})\n",
    ],
    "TF213": [
        "@tf.function\ndef f(a):\n    return a * 0.5\n\na = tf.ones((500, 500))\n"
        "while True:\n    a = f(a)\n",
        "@tf.function\ndef f(a):\n    return tf.reduce_sum(a)\n\na = tf.ones((500, 500))\n"
        "while True:\n    b = f(a)\n",
        "@tf.function\ndef f(a):\n    return a * 0.5\n\na = tf.constant(1.0)\n"
        "for _ in range(50):\n    a = f(a)\n",
        "@tf.function\ndef f(a):\n    return a * 0.5\n\n@tf.function\ndef g(a):\n"
        "    for _ in tf.range(9000):\n        a = f(a)\n    return a\n\ng(tf.constant(1.0))\n",
        "@tf.function\ndef f(a):\n    for _ in tf.range(9):\n        a = a * 0.5\n    return a\n\n"
        "a = tf.constant(1.0)\nwhile True:\n    a = f(a)\n",
    ],
}


def table(programs: dict[str, list[str]]) -> list[object]:
    """One case for each program, named by its cause and number."""
    return [
        pytest.param(code, HEAD + program, id=f"{code}-{number}")
        for code, every in programs.items()
        for number, program in enumerate(every)
    ]


def findings(code: str, program: str) -> list[Finding]:
    return list(find_page(code).in_source(Module.of(program)))


def fixed(code: str, program: str) -> str:
    """The program after all edits of its findings."""
    edits = [
        edit
        for finding in findings(code, program)
        for alternative in finding.alternatives
        for edit in alternative.edits
    ]
    return apply(program.encode(), edits).decode()


@pytest.mark.parametrize(("code", "program"), table(FOUND))
def test_found_at_its_line(code: str, program: str) -> None:
    (finding,) = findings(code, program)
    marked = [n for n, line in enumerate(program.splitlines(), 1) if line.endswith("# !")]
    assert [finding.site.line] == marked
    assert (finding.code, finding.kind) == (code, "suspicion")
    assert finding.message.endswith(".")
    assert not any("TF" in part for part in finding.message.split())


@pytest.mark.parametrize(("code", "program"), table(SILENT))
def test_look_alike_is_silent(code: str, program: str) -> None:
    assert findings(code, program) == []


@pytest.mark.parametrize(("code", "program"), table(FOUND))
def test_fixed_program_parses_and_has_nothing_left_to_fix(code: str, program: str) -> None:
    after = fixed(code, program)
    ast.parse(after)
    assert fixed(code, after) == after
    for alternative in (a for f in findings(code, program) for a in f.alternatives):
        assert alternative.edits
        assert alternative.safety == "safe" or alternative.note


@pytest.mark.parametrize(
    ("code", "number"),
    [("TF201", 1), ("TF203", 4), ("TF204", 0), ("TF204", 1), ("TF205", 1), ("TF207", 3)],
)
def test_what_cannot_be_fixed_for_sure_is_left(code: str, number: int) -> None:
    program = HEAD + FOUND[code][number]
    assert fixed(code, program) == program


def fix_of(code: str, program: str) -> str:
    return fixed(code, HEAD + textwrap.dedent(program)).removeprefix(HEAD)


class TestEdits:
    def test_a_number_becomes_a_tensor_of_the_dtype_it_meets(self) -> None:
        program = """\
            @tf.function
            def f(x, n):
                return tf.cast(x, tf.float64) * n

            for n in range(9):
                f(tf.ones(3), n)
            """
        assert "f(tf.ones(3), tf.constant(n, tf.float64))" in fix_of("TF201", program)

    @pytest.mark.parametrize(
        "body",
        [
            "for _ in range(n):\n        x = x + 1\n    return x",
            "return x if n > 3 else -x",
            "return tf.reshape(x, (n, 3))",
            "return x + table[n]",
            "return tf.strings.length(f'{n}')",
            "return other(x, n)",
        ],
    )
    def test_a_number_that_python_needs_stays(self, body: str) -> None:
        program = f"@tf.function\ndef f(x, n):\n    {body}\n\nfor n in range(9):\n    f(1, n)\n"
        assert fix_of("TF201", program) == program

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("@tf.function", "@tf.function(reduce_retracing=True)"),
            ("@tf.function()", "@tf.function(reduce_retracing=True)"),
            (
                "@tf.function(autograph=False)",
                "@tf.function(autograph=False, reduce_retracing=True)",
            ),
        ],
    )
    def test_decorators_get_their_option(self, before: str, after: str) -> None:
        program = PAD.replace("@tf.function", before)
        program += "for batch in rows.padded_batch(4):\n    score(batch)\n"
        assert fix_of("TF202", program) == program.replace(before, after)

    def test_a_function_is_made_before_the_loop(self) -> None:
        program = """\
            def plain(x):
                return x + 1

            for i in range(9):
                f = tf.function(plain)  # once
                f(tf.ones(3))
            """
        assert fix_of("TF203", program) == textwrap.dedent("""\
            def plain(x):
                return x + 1

            f = tf.function(plain)  # once
            for i in range(9):
                f(tf.ones(3))
            """)

    def test_a_name_that_is_taken_keeps_a_function_where_it_is(self) -> None:
        program = """\
            f = 3

            def score(x):
                @tf.function
                def f(y):
                    return y + 1

                return f(x)

            for i in range(9):
                score(tf.ones(3))
            """
        assert fix_of("TF203", program) == textwrap.dedent(program)

    @pytest.mark.parametrize(
        "line",
        [
            "print('step')",
            "history.append(loss)",
            "global count; count += 1",
            "seen = loss.numpy()",
            "seen = float(loss)",
            "noise = np.random.normal()",
            "extra = tf.Variable(1.0)",
            "model.fit(x, y)",
            "text = f'{loss}'",
            "helper(loss)",
            "model.rate = 1",
        ],
    )
    def test_a_step_with_python_in_it_is_not_compiled(self, line: str) -> None:
        program = TRAIN + "history = []\n" + self.step(line)
        assert len(findings("TF204", HEAD + program)) == 1
        assert fix_of("TF204", program) == program

    def test_a_plain_step_is_compiled(self) -> None:
        program = TRAIN + self.step("loss = loss * 1.0")
        assert fix_of("TF204", program) == program.replace("def train", "@tf.function\ndef train")

    @staticmethod
    def step(line: str) -> str:
        return (
            "def train_step(x, y):\n    with tf.GradientTape() as tape:\n"
            "        loss = loss_of(y, model(x))\n"
            "    grads = tape.gradient(loss, model.trainable_variables)\n"
            f"    {line}\n"
            "    optimizer.apply_gradients(zip(grads, model.trainable_variables))\n\n"
            "for x, y in ds.repeat():\n    train_step(x, y)\n"
        )

    @pytest.mark.parametrize(
        "body",
        [
            "ys.append(tf.tanh(x))",
            "x = tf.concat([x, tf.ones(3)], 0)",
            "x = tf.tanh(x) * i",
            "y = tf.tanh(x)",
            "x = tf.tanh(x) + np.random.normal()",
            "start = start + tf.tanh(x)",
        ],
    )
    def test_a_loop_that_needs_python_stays(self, body: str) -> None:
        program = (
            "@tf.function\ndef f(x):\n    ys, start = [], 0\n    for i in range(300):\n"
            f"        {body}\n    return x, ys, start, y\n\nf(tf.ones(3))\n"
        )
        assert fix_of("TF205", program) == program

    @pytest.mark.parametrize(
        ("switch", "more"),
        [
            (EAGERLY, ""),
            (EAGERLY, "@tf.function\ndef f(x):\n    return x * 2\n"),
            (EAGERLY, "seen = []\n\n@tf.function\ndef f(x):\n    seen.append(1)\n"),
            (EAGERLY, "@tf.function\ndef f(x):\n    logging.warning('f')\n    return x\n"),
            (EAGERLY, "def f(x):\n    return x.numpy()\n"),
            (DATA_DEBUG, "seen = []\nds = ds.map(lambda x: seen.append(1) or x)\n"),
        ],
    )
    def test_taking_a_switch_out_is_never_safe(self, switch: str, more: str) -> None:
        (finding,) = findings("TF209", HEAD + switch + more)
        (alternative,) = finding.alternatives
        assert alternative.safety == "unsafe"
        assert "once per trace" in alternative.note
        assert fixed("TF209", HEAD + switch + more) == HEAD + more

    @pytest.mark.parametrize(
        "body",
        [
            "return x * float(tf.reduce_max(x))",
            "seen.append(1)\n        return x",
            "self.count += 1\n        return x",
            "return x",
        ],
    )
    def test_compiling_a_model_again_is_never_safe(self, body: str) -> None:
        program = (
            f"seen = []\n\nclass Net(tf.keras.Model):\n    def call(self, x):\n        {body}\n"
            "\nmodel = Net()\nmodel.compile('sgd', 'mse', run_eagerly=True)\n"
        )
        (finding,) = findings("TF209", HEAD + program)
        assert [each.safety for each in finding.alternatives] == ["unsafe"]
        assert fix_of("TF209", program) == program.replace("True", "False")

    def test_runs_are_merged_with_the_names_they_had(self) -> None:
        program = GRAPH + (
            "for row in rows:\n    a, c = session.run([mean, peak], {x: row})\n"
            "    b = session.run(peak, {x: row})\n    d = session.run('z:0', {x: row})\n"
        )
        assert fix_of("TF211", program) == GRAPH + (
            "for row in rows:\n"
            "    (a, c), b, d = session.run([[mean, peak], peak, 'z:0'], {x: row})\n"
        )

    def test_a_session_is_kept_before_the_loop(self) -> None:
        program = """\
            graph = tf.Graph()
            for row in np.ones((9, 3)):
                with tf1.Session(graph=graph) as s:
                    s.run("y:0", {"x:0": row})
            """
        assert fix_of("TF207", program) == textwrap.dedent("""\
            graph = tf.Graph()
            shared_session = tf1.Session(graph=graph)
            for row in np.ones((9, 3)):
                with shared_session.as_default() as s:
                    s.run("y:0", {"x:0": row})
            """)

    LABEL = """\
        def label(file, row):
            definition = tf1.GraphDef()
            definition.ParseFromString(file.read_bytes())
            with tf.Graph().as_default() as graph:
                tf.import_graph_def(definition, name="")
                scaled = tf.constant(row) / 255.0
                with tf1.Session(graph=graph) as session:
                    pixels = session.run(scaled)
                    return session.run("y:0", feed_dict={"x:0": pixels})

        for row in rows:
            label(path, row)
        """

    def test_an_imported_graph_is_kept_beside_ops_of_the_call(self) -> None:
        fixed = fix_of(
            "TF207", "path = anything\nrows = np.ones((9, 3))\n" + textwrap.dedent(self.LABEL)
        )
        assert (
            """\
@functools.cache
def kept_session(file):
    definition = tf1.GraphDef()
    definition.ParseFromString(file.read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    return tf1.Session(graph=graph)


def label(file, row):
    with tf.Graph().as_default() as graph:
        scaled = tf.constant(row) / 255.0
        with tf1.Session(graph=graph) as session:
            pixels = session.run(scaled)
            return kept_session(file).run("y:0", feed_dict={"x:0": pixels})
"""
            in fixed
        )

    @pytest.mark.parametrize(
        ("there", "instead"),
        [
            ('name=""', 'name="net"'),
            ('"y:0"', 'graph.get_tensor_by_name("y:0")'),
            ("session.run(scaled)", 'session.run([scaled, "y:0"], {"x:0": row})[0]'),
            ("graph=graph", 'graph=graph, target=""'),
            ("definition = tf1.GraphDef()", "definition = anything()"),
        ],
    )
    def test_an_imported_graph_that_is_used_otherwise_is_left(
        self, there: str, instead: str
    ) -> None:
        program = self.LABEL.replace(there, instead)
        assert program != self.LABEL
        for finding in findings(
            "TF207", HEAD + "rows = np.ones((9, 3))\n" + textwrap.dedent(program)
        ):
            assert finding.alternatives == ()


PHOTO = """\
import pathlib
SIZE = (8, 8)
def label(file, photo):
    definition = tf1.GraphDef()
    definition.ParseFromString(file.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        # As large as the network wants it.
        image = tf.io.decode_png(tf.io.read_file(str(photo)), channels=3)
        image = tf.image.resize(image, SIZE) / 127.5 - 1.0
        batch = tf.expand_dims(image, 0)
        with tf1.Session(graph=graph) as session:
            # The network's own name.
            pixels = session.run(batch)
            scores = session.run("scores:0", feed_dict={"image:0": pixels})[0]
    return float(scores.sum())

path = pathlib.Path(work) / "net.pb"
for number in range(6):
    print(round(label(path, pathlib.Path(work) / f"{number}.png"), 3))
"""

PHOTO_KEPT = """\
@functools.cache
def kept_session(file):
    definition = tf1.GraphDef()
    definition.ParseFromString(file.read_bytes())
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
        name = tf.compat.v1.placeholder(tf.string, ())
        # As large as the network wants it.
        image = tf.io.decode_png(tf.io.read_file(name), channels=3)
        image = tf.image.resize(image, SIZE) / 127.5 - 1.0
        batch = tf.expand_dims(image, 0)
    return tf1.Session(graph=graph), name, batch


def label(file, photo):
    session, name, batch = kept_session(file)
    # The network's own name.
    pixels = session.run(batch, feed_dict={name: str(photo)})
    scores = session.run("scores:0", feed_dict={"image:0": pixels})[0]
    return float(scores.sum())
"""


class TestWholeGraphKept:
    """Where a function's own ops are plain, they move to the kept graph."""

    def fix(self, there: str = "", instead: str = "") -> str:
        program = HEAD + PHOTO
        if there:
            assert there in program
            program = program.replace(there, instead)
        after = fixed("TF207", program)
        ast.parse(after)
        assert fixed("TF207", after) == after
        return after

    def test_ops_move_and_what_varies_is_fed(self) -> None:
        assert PHOTO_KEPT in self.fix()

    def test_the_example_that_labels_photos(self) -> None:
        path = Path(__file__).parents[1] / "examples" / "label_image.py"
        assert """
    return tf.compat.v1.Session(graph=graph), name, batch


def label_image(graph_file: Path, image_file: Path) -> tuple[int, float]:
    session, name, batch = kept_session(graph_file)
    pixels = session.run(batch, feed_dict={name: str(image_file)})
    scores = session.run("scores:0", feed_dict={"image:0": pixels})[0]
    best = int(np.argmax(scores))
""" in fixed("TF207", path.read_text(encoding="utf-8"))

    def test_the_note_tells_that_the_ops_are_kept(self) -> None:
        (finding,) = findings("TF207", HEAD + PHOTO)
        (alternative,) = finding.alternatives
        assert (alternative.name, alternative.safety) == ("one session, kept", "unsafe")
        assert "fed" in alternative.note

    def test_a_session_after_the_graph(self) -> None:
        lines = PHOTO.split("\n")
        first = lines.index("        with tf1.Session(graph=graph) as session:")
        lines[first : first + 4] = [line[4:] for line in lines[first : first + 4]]
        assert PHOTO_KEPT in fixed("TF207", HEAD + "\n".join(lines))

    @pytest.mark.parametrize(
        ("there", "instead", "expected"),
        [
            (
                "session.run(batch)",
                "session.run([batch, image])[0]",
                "session.run([batch, image], feed_dict={name: str(photo)})[0]",
            ),
            (
                "session.run(batch)",
                "session.run(batch, {image: SMALL})",
                "session.run(batch, {name: str(photo), image: SMALL})",
            ),
            (
                "session.run(batch)",
                'session.run("ExpandDims:0")',
                'session.run("ExpandDims:0", feed_dict={name: str(photo)})',
            ),
            (
                "pixels = session.run(batch)",
                "batch = pixels = session.run(batch)",
                "batch = pixels = session.run(batch, feed_dict={name: str(photo)})",
            ),
            ("(str(photo))", '(f"{photo}")', 'feed_dict={name: f"{photo}"}'),
            ("str(photo)", '"a.png"', 'tf.io.read_file("a.png")'),
            ("def label(file, photo)", "def label(file, photo, name=1)", "session, name_2, batch"),
        ],
    )
    def test_what_the_runs_need_is_fed(self, there: str, instead: str, expected: str) -> None:
        if "ExpandDims" in instead:  # A tensor has to be fetched for the ops to be worth keeping.
            instead += "\n            session.run(image)"
        after = self.fix(there, instead)
        assert expected in after
        assert "tf.Graph().as_default()" not in after

    @pytest.mark.parametrize(
        ("there", "instead"),
        [
            ("str(photo)", "photo"),
            ("str(photo)", "str(next(photo))"),
            ("tf.io.read_file(str(photo))", "photo.read_bytes()"),
            ("SIZE)", "photo.size)"),
            ("SIZE = (8, 8)", "SIZE = [8, 8]"),
            ("tf.expand_dims(image, 0)", "tf.expand_dims(tf.image.random_hue(image, 0.1), 0)"),
            ("tf.expand_dims(image, 0)", 'tf.expand_dims(image, 0, name="batch")'),
            ("        batch =", "        print(image)\n        batch ="),
            ("pixels = session.run(batch)", "pixels = session.run(tf.cast(batch, tf.int32))"),
            ("pixels = session.run(batch)", "pixels = session.run(batch * 2)"),
            ("return float(scores.sum())", "return float(scores.sum()), batch"),
            ("    definition = tf1", "    photo = photo.resolve()\n    definition = tf1"),
        ],
    )
    def test_the_rest_is_left_where_it_is_not_plain(self, there: str, instead: str) -> None:
        after = self.fix(there, instead)
        assert "tf.Graph().as_default() as graph" in after
        assert 'kept_session(file).run("scores:0"' in after

    @pytest.mark.parametrize("there", ["session.run(batch)", "str(photo)"])
    def test_functions_of_the_program_are_not_moved(self, there: str) -> None:
        """A function of the program that is called beside the runs may build ops there."""
        instead = there.replace("session.run(batch)", "made(session.run(batch))")
        instead = instead.replace("str(photo)", "made(str(photo))")
        helper = "def made(x):\n    return tf.identity(x)\n\ndef label("
        program = HEAD + PHOTO.replace(there, instead).replace("def label(", helper)
        assert "placeholder" not in fixed("TF207", program)


SAME = {
    "TF201": STEP + "for i in range(9):\n    step(x, 0.1 / (1 + i))\nprint(weights.numpy())\n",
    "TF204": TRAIN
    + TestEdits.step("loss = loss * 1.0").replace(".repeat()", ".repeat(2)")
    + "print(np.round(sum(float(tf.reduce_sum(w)) for w in model.weights), 1) < 100)\n",
    "TF207": """\
g = tf.Graph()
with g.as_default():
    tf.add(tf1.placeholder(tf.float32, (), name="x"), 1.0, name="y")
network = g.as_graph_def()


def add_one(value):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(network, name="")
    with tf1.Session(graph=graph) as s:
        return s.run("y:0", {"x:0": value})


print([float(add_one(value)) for value in range(9)])
""",
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("code", SAME)
def test_fixed_program_prints_the_same(tmp_path: Path, code: str) -> None:
    program = HEAD + SAME[code]
    after = fixed(code, program)
    assert after != program
    assert_prints_the_same(tmp_path, program, after)


def assert_prints_the_same(folder: Path, program: str, after: str) -> None:
    before = printed_by(folder, "before.py", program)
    assert before
    assert printed_by(folder, "after.py", after) == before


FILES = """\
import tempfile
work = tempfile.mkdtemp()
with tf.Graph().as_default() as net:
    x = tf1.placeholder(tf.float32, (None, 8, 8, 3), name="image")
    tf.reduce_mean(x, axis=(1, 2), name="scores")
with open(work + "/net.pb", "wb") as out:
    out.write(net.as_graph_def().SerializeToString())
for n in range(6):
    pixels = np.full((9, 7 + n, 3), 40 * n, np.uint8)
    tf.io.write_file(f"{work}/{n}.png", tf.io.encode_png(pixels))
"""


@pytest.mark.tensorflow
@pytest.mark.parametrize("run", ["session.run(batch)", 'session.run([batch, "ReadFile:0"])[0]'])
def test_the_whole_graph_kept_prints_the_same(tmp_path: Path, run: str) -> None:
    program = HEAD + FILES + PHOTO.replace("session.run(batch)", run)
    after = fixed("TF207", program)
    assert "placeholder(tf.string, ())" in after
    assert_prints_the_same(tmp_path, program, after)


FETCHED = """\
    contents = tf1.placeholder(tf.string)
    picture = tf.io.decode_jpeg(contents, channels=3)
    for path in files:
        pixels = session.run(picture, feed_dict={contents: path.read_bytes()})
        small = session.run(tf.image.resize(pixels, (64, 64)) / 255.0)  # small
        means.append(small.mean())
"""
IN_SESSION = (
    "def means_of(files, means=()):\n  with tf.Graph().as_default(), tf1.Session() as session:\n"
)


class TestOpsBeforeTheLoop:
    """TF208: what the rounds of a loop make, made before it and fed."""

    def test_what_another_run_fetched_is_fed(self) -> None:
        assert fix_of("TF208", IN_SESSION + FETCHED) == IN_SESSION + FETCHED.replace(
            "    for path",
            "    fed_pixels = tf.compat.v1.placeholder(picture.dtype, picture.shape)\n"
            "    small_tensor = tf.image.resize(fed_pixels, (64, 64)) / 255.0\n"
            "    for path",
        ).replace(
            "tf.image.resize(pixels, (64, 64)) / 255.0)  #",
            "small_tensor, feed_dict={fed_pixels: pixels})  #",
        )

    @pytest.mark.parametrize(
        ("there", "instead"),
        [
            ("pixels, (64, 64)", "pixels, (len(means), 64)"),
            ("pixels, (64, 64)", "pixels, pixels.shape[:2]"),
            ("tf.image.resize(pixels, (64, 64))", "tf.image.random_flip_left_right(pixels)"),
            ("tf.image.resize(pixels, (64, 64))", "(tf.reduce_mean(pixels) + pixels)"),
            ("tf.image.resize(pixels, (64, 64))", "helper(pixels)"),
            ("tf.image.resize(pixels, (64, 64)) / 255.0", "tf.reduce_all(pixels)"),
            ("tf.image.resize(pixels, (64, 64))", "tf.image.rgb_to_hsv(pixels)"),
            ("tf.image.resize(pixels, (64, 64)) / 255.0", "[picture, pixels + tf.ones(3)]"),
            ("/ 255.0)", "/ 255.0, feed_dict=feed)"),
            ("/ 255.0)", "/ 255.0, **options)"),
            ("tf.io.decode_jpeg(contents, channels=3)", "tf.io.decode_image(contents)"),
            ("tf.io.decode_jpeg(contents, channels=3)", "load(contents)"),
            ("session.run(picture, feed", "session.run([picture], feed"),
            ("        small", "        pixels = pixels[:9]\n        small"),
            ("        small", "        pixels.shape = (-1, 3)\n        small"),
            ("        small", "        picture = tf.cast(picture, tf.int32)\n        small"),
            ("        small", "        if pixels.ndim == 3:\n          small"),
            ("        small", "        late = tf.constant(pixels)\n        small"),
            ("session.run(tf.image", "session.run((tf.image"),
        ],
    )
    def test_what_may_differ_is_left(self, there: str, instead: str) -> None:
        program = IN_SESSION + FETCHED.replace(there, instead)
        if instead.endswith("((tf.image"):
            program = program.replace("255.0)", "255.0))")
        assert program != IN_SESSION + FETCHED
        ast.parse(program)
        assert fix_of("TF208", program) == program

    def test_feeds_join_those_that_are_there(self) -> None:
        program = GRAPH + (
            "best = tf.sqrt(x)\nfed_row = None\nfor row in np.ones((50, 3, 4)):\n    pass\n"
            "rows = np.ones((50, 3, 4))\nfor epoch in range(20):\n    for row in rows:\n"
            "        total = session.run(best[0] + tf.reduce_sum(\n            row), {x: row})\n"
        )
        start, _, _ = program.partition("for epoch")
        assert fix_of("TF208", program) == start + (
            "fed_row_2 = tf.compat.v1.placeholder(rows.dtype, rows.shape[1:])\n"
            "total_tensor = (best[0] + tf.reduce_sum(\n    fed_row_2))\n"
            "for epoch in range(20):\n    for row in rows:\n"
            "        total = session.run(total_tensor, {fed_row_2: row, x: row})\n"
        )

    def test_a_tensor_with_a_name_moves_with_its_comment(self) -> None:
        program = GRAPH + (
            "for row in rows:\n    small = tf.image.resize(row, (2, 2))  # tiny\n"
            "    session.run(small, options=None)\n"
        )
        start, _, _ = program.partition("for row")
        assert fix_of("TF208", program) == start + (
            "fed_row = tf.compat.v1.placeholder(rows.dtype, rows.shape[1:])\n"
            "small = tf.image.resize(fed_row, (2, 2))  # tiny\n"
            "for row in rows:\n    session.run(small, feed_dict={fed_row: row}, options=None)\n"
        )
        assert fix_of("TF208", program + "    print(small)\n") == program + "    print(small)\n"

    def test_a_graph_of_each_outer_round_keeps_its_ops(self) -> None:
        program = (
            "rows = np.ones((50, 3, 4))\nfor fold in range(20):\n    graph = tf.Graph()\n"
            "    session = tf1.Session(graph=graph)\n    for row in rows:\n"
            "        session.run(tf.reduce_sum(row))\n"
        )
        after = fix_of("TF208", program)
        assert after == program.replace(
            "    for row",
            "    fed_row = tf.compat.v1.placeholder(rows.dtype, rows.shape[1:])\n"
            "    fetched = tf.reduce_sum(fed_row)\n    for row",
        ).replace("tf.reduce_sum(row)", "fetched, feed_dict={fed_row: row}")

    def test_it_is_unsafe_and_bears_the_name_of_what_was_tried(self) -> None:
        (finding,) = findings("TF208", HEAD + IN_SESSION + FETCHED)
        (alternative,) = finding.alternatives
        assert alternative.name == "all ops made before the first run"
        assert alternative.safety == "unsafe"
        assert "random" in alternative.note

    @pytest.mark.tensorflow
    def test_a_program_with_all_of_it_prints_the_same(self, tmp_path: Path) -> None:
        program = """\
import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
raw = tf.placeholder(tf.float32, (None, None, 3))
scaled = tf.sqrt(raw) * 0.5
rows = np.random.RandomState(0).uniform(size=(12, 6, 8, 3))
session = tf.Session()
for row in rows:
    values = session.run(scaled, {raw: row})
    grey = tf.reduce_sum(tf.image.rgb_to_grayscale(values), axis=(0, 1))
    peak = session.run(grey * 2.0 + scaled[0, 0, 0], {raw: row})
    mean = session.run(tf.reduce_mean(tf.square(row)))
    print(peak, mean)
for name in ["a", "bc"] * 6:
    print(session.run(tf.strings.length(name)), session.run(scaled[0, 0], {raw: rows[0]}))
images = (np.random.rand(12, 6, 8, 3) * 255).astype(np.uint8)
for image in images:
    turned = session.run(tf.image.flip_up_down(image), options=None)
    print(turned.dtype, turned.shape, session.run(tf.reduce_max(image)) >= 0)
"""
        after = program
        for _ in range(3):
            after = fixed("TF208", after)
        assert after.count("tf.compat.v1.placeholder(") == 4
        assert findings("TF208", after) == []
        assert_prints_the_same(tmp_path, program, after)
