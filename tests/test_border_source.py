"""The causes at the border of Python and TensorFlow, as the source shows them."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from programs import run

from unslow.catalogue import page, pages
from unslow.finding import Alternative, Finding
from unslow.source.edits import apply
from unslow.source.module import Module

IMPORTS = "import numpy as np\nimport tensorflow as tf\n\nrng = np.random.default_rng(0)\n"

MARK = "  # here"


def found(code: str, program: str) -> list[Finding]:
    return list(page(code).in_source(Module.of(IMPORTS + program)))


def marked(program: str) -> list[int]:
    lines = (IMPORTS + program).splitlines()
    return [number for number, line in enumerate(lines, start=1) if line.endswith(MARK)]


def edited(text: str, alternative: Alternative) -> str:
    return apply(text.encode(), alternative.edits).decode()


def fixed(finding: Finding, program: str) -> tuple[str, Alternative]:
    """The program with the finding's first alternative, which has to be Python."""
    alternative = finding.alternatives[0]
    text = edited(IMPORTS + program, alternative)
    ast.parse(text)
    return text, alternative


FOUND = {
    "TF101": {
        "map of rows": """
def noise(x):
    return x + np.random.rand()
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3)))
ds = ds.shuffle(10).map(lambda x: tf.numpy_function(noise, [x], tf.float64))  # here
ds = ds.batch(3)
""",
        "named function": """
def noise(x):
    return x + 1
def load(path, label):
    image = tf.py_function(func=noise, inp=[path], Tout=tf.float32)  # here
    return image, label
ds = tf.data.Dataset.list_files("*.npy").map(load, num_parallel_calls=tf.data.AUTOTUNE)
""",
        "called by the mapped function, batched later": """
class Loader:
    def scale(self, x):
        return x / np.max(x)
    def scaled(self, x):
        return tf.numpy_function(self.scale, [x], tf.float32)  # here
    def load(self, items):
        items["x"] = self.scaled(items["x"])
        return items
    def create(self, generator):
        ds = tf.data.Dataset.from_generator(generator, output_types={"x": tf.float32})
        ds = ds.map(lambda items: self.load(items), tf.data.AUTOTUNE)
        ds = ds.shuffle(100)
        ds = ds.padded_batch(16)
        return ds
""",
        "a dataset from elsewhere that is batched": """
import tensorflow_datasets as tfds
def encode(text):
    return [ord(c) for c in text.numpy()]
data = tfds.load("words")["train"]
encoded = data.map(lambda text: tf.py_function(encode, [text], tf.int32))  # here
encoded = encoded.filter(lambda x: True).padded_batch(8)
""",
        "compiled step": """
@tf.function
def step(x):
    return tf.numpy_function(lambda v: v * 2, [x], tf.float32)  # here
for batch in tf.data.Dataset.range(1000):
    step(batch)
""",
        "cached before, written and trained with": """
def noise(x):
    return x + np.random.rand()
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3))).cache()
ds = ds.map(lambda x: tf.numpy_function(noise, [x], tf.float64))  # here
tf.data.experimental.TFRecordWriter("rows.tfrecord").write(ds)
for batch in ds.batch(3):
    print(batch)
""",
    },
    "TF102": {
        "op": """
table = rng.random((500, 500))
for i in range(50):
    tf.gather(table, [i])  # here
""",
        "loaded": """
table = np.load("table.npy")
for i in range(50):
    x = tf.reduce_sum(table)  # here
""",
        "operator": """
table = np.zeros((500, 500), np.float32)
x = tf.ones((500, 500))
for i in range(50):
    y = x * table  # here
""",
        "conversion in a comprehension": """
table = np.ones((100, 100))
sums = [tf.reduce_sum(tf.constant(table)) * i for i in range(50)]  # here
""",
        "in a function": """
def search(queries):
    table = np.random.rand(1000, 64)
    for query in queries:
        yield tf.linalg.matvec(table, query)  # here
search(tf.zeros((8, 64)))
""",
        "outer loop": """
table = np.random.rand(1000, 64)
for epoch in range(5):
    for i in range(50):
        tf.nn.l2_normalize(table)  # here
""",
    },
    "TF103": {
        "same tensor": """
table = tf.random.normal((500, 500))
for i in range(50):
    x = table.numpy()[i]  # here
""",
        "patches": """
photos = tf.random.normal((9, 500, 500, 3))
for i in range(50):
    photo = tf.nn.relu(photos[i % 9]).numpy()  # here
    y, x = i, i + 1
    patch = photo[y:y + 10, x:x + 10]
""",
        "there and back": """
x = tf.random.normal((500, 500))
for i in range(50):
    x = tf.tanh(x)
    x = tf.convert_to_tensor(np.fft.fftshift(x.numpy()))  # here
""",
        "there and back through a name": """
x = tf.random.normal((500, 500))
for i in range(50):
    array = tf.tanh(x).numpy()  # here
    rolled = np.roll(array, 3)
    y = tf.constant(rolled * 2)
""",
    },
    "TF104": {
        "elements": """
scores = tf.random.normal((5000,))
for score in scores:  # here
    print(score)
""",
        "enumerate": """
scores = tf.zeros(5000)
for i, score in enumerate(scores):  # here
    if score > 0.5:
        print(i)
""",
        "comprehension": """
scores = tf.zeros([5000])
values = [float(score) for score in scores]  # here
""",
        "indices": """
scores = tf.zeros([5000])
for i in range(len(scores)):
    print(scores[i])  # here
""",
        "small rows": """
rows = tf.zeros([5000, 4])
for row in rows:  # here
    print(row)
""",
        "per batch": """
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3))).batch(10)
for batch in ds:
    labels = tf.argmax(batch, axis=-1)
    for label in labels:  # here
        print(int(label))
""",
        "beside an array": """
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3))).batch(10)
for batch in ds:
    labels = tf.argmax(batch, axis=-1)
    for row, label in zip(np.zeros((10, 3)), labels):  # here
        print(row, int(label))
""",
    },
    "TF105": {
        "appended": """
photos = []
for i in range(50):
    photos.append(np.random.rand(64, 64))
batch = tf.convert_to_tensor(photos)  # here
""",
        "comprehension": """
batch = tf.constant([np.zeros((64, 64)) for i in range(9)])  # here
""",
        "stack": """
photos = [np.zeros((64, 64)) for i in range(9)]
batch = tf.stack(photos, axis=0)  # here
""",
        "large literals": """
left, right = np.zeros((64, 64)), np.ones((64, 64))
batch = tf.stack([left * 2, right])  # here
""",
    },
    "TF106": {
        "range": """
x = tf.zeros((0, 3))
for i in range(1000):
    x = tf.concat([x, tf.ones((1, 3))], axis=0)  # here
""",
        "dataset": """
def evaluate(dataset):
    total = tf.constant([])
    for batch in tf.data.Dataset.range(1000).batch(3):
        if tf.reduce_sum(batch) > 3:
            total = tf.concat((total, tf.cast(batch, tf.float32)), 0)  # here
    return total
""",
        "inner loop": """
for epoch in range(5):
    x = tf.zeros((0, 3))
    for i in range(1000):
        x = tf.concat([x, tf.ones((1, 3)), tf.ones((1, 3))], axis=0)  # here
    print(x)
""",
        "at the front": """
x = tf.zeros((0, 3))
i = 0
while i < 900:
    i += 1
    x = tf.concat(axis=0, values=[tf.ones((1, 3)), x])  # here
""",
    },
    "TF107": {
        "map_fn": """
x = tf.random.normal((5000, 30))
y = tf.map_fn(lambda row: tf.reduce_sum(row * row), x)  # here
""",
        "map_fn in a compiled function": """
def norm(row):
    length = tf.norm(row)
    return row / length
@tf.function
def norms():
    return tf.map_fn(fn=norm, elems=tf.ones((5000, 30)), dtype=tf.float32)  # here
""",
        "comprehension": """
x = tf.random.normal((5000, 30))
y = tf.stack([tf.reduce_sum(row) / 2 for row in x])  # here
""",
    },
    "TF108": {
        "product": """
a, b = np.random.rand(500, 500), np.random.rand(500, 500)
x = np.random.rand(500, 500)
w = np.linspace(0, 1, 250_000).reshape(500, 500)
for i in range(100):
    tf.matmul(x, w)  # here
""",
        "convolution": """
kernel = tf.constant(np.random.randn(3, 3, 64, 64))
photos = tf.Variable(np.zeros((9, 64, 64, 64)))
for i in range(100):
    y = tf.nn.conv2d(photos, kernel, 1, "SAME")  # here
""",
    },
}

SILENT = {
    "TF101": {
        "batches": """
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3))).batch(10)
ds = ds.map(lambda x: tf.numpy_function(lambda v: v * 2, [x], tf.float64))
""",
        "reading": """
def read(path):
    return np.load(path)
ds = tf.data.Dataset.list_files("*.npy").map(lambda p: tf.numpy_function(read, [p], tf.float32))
""",
        "a few": """
ds = tf.data.Dataset.from_tensor_slices(["a", "b"]).map(
    lambda p: tf.numpy_function(lambda v: v, [p], tf.string))
""",
        "every hundredth step": """
@tf.function
def step(x, i):
    if i % 100 == 0:
        tf.py_function(lambda v: print(v), [x], [])
for i in tf.range(1000):
    step(i, i)
""",
        "a dataset from elsewhere, batched before or never": """
import tensorflow_datasets as tfds
data = tfds.load("words")["train"].batch(8)
encoded = data.map(lambda text: tf.py_function(lambda t: t, [text], tf.int32))
encoded = encoded.unbatch().batch(9)
other = tfds.load("lines").map(lambda text: tf.py_function(lambda t: t, [text], tf.int32))
""",
        "a dataset nobody knows": """
def prepare(ds):
    return ds.map(lambda x: tf.numpy_function(lambda v: v, [x], tf.float32))
""",
        "for debugging": """
@tf.function
def step(x):
    if __debug__:
        tf.py_function(lambda v: print(v), [x], [])
for i in range(1000):
    step(tf.constant(i))
""",
        "each row is kept": """
def noise(x):
    return x + np.random.rand()
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3)))
ds = ds.map(lambda x: tf.numpy_function(noise, [x], tf.float64))
ds = ds.filter(lambda x: x[0] > 0).cache()
ds = ds.shuffle(10).batch(3)
""",
        "each row may be kept": """
def noise(x):
    return x + np.random.rand()
def create(allow_cache):
    ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3)))
    ds = ds.map(lambda x: tf.numpy_function(noise, [x], tf.float64))
    if allow_cache:
        ds = ds.cache()
    return ds.batch(3)
""",
        "each row is written to a file": """
def encode(x):
    return str(x)
def tf_encode(x):
    return tf.reshape(tf.py_function(encode, (x,), tf.string), ())
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3)))
encoded = ds.map(tf_encode)
encoded
for x in encoded.take(1):
    print(x)
writer = tf.data.experimental.TFRecordWriter("rows.tfrecord")
writer.write(encoded)
""",
        "each row is written in a loop": """
def encode(x):
    return str(x)
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3)))
ds = ds.map(lambda x: tf.py_function(encode, (x,), tf.string))
with tf.io.TFRecordWriter("rows.tfrecord") as writer:
    for row in ds:
        writer.write(row.numpy())
""",
    },
    "TF102": {
        "new arrays": """
for i in range(50):
    table = rng.random((500, 500))
    tf.reduce_sum(table)
""",
        "changed": """
table = rng.random((500, 500))
for i in range(50):
    table[i] = 0
    tf.reduce_sum(table)
""",
        "changed through another name": """
table = rng.random((500, 500))
view = table[0]
for i in range(50):
    view += 1
    tf.reduce_sum(table)
""",
        "handed to a function": """
from helpers import update
table = rng.random((500, 500))
for i in range(50):
    update(table)
    tf.reduce_sum(table)
""",
        "small": """
mean = np.array([0.4, 0.5, 0.6])
table = np.zeros((9, 9))
for i in range(50):
    x = tf.ones((8, 3)) - mean
    tf.reduce_sum(table)
""",
        "parts": """
table = rng.random((500, 500))
for i in range(50):
    tf.reduce_sum(table[i])
""",
        "twice": """
table = rng.random((500, 500))
for i in range(2):
    tf.reduce_sum(table)
""",
        "numpy": """
table = rng.random((500, 500))
for i in range(50):
    np.sum(table)
""",
        "compiled": """
table = rng.random((500, 500))
@tf.function
def f(x):
    for i in range(50):
        x += tf.reduce_sum(table)
    return x
""",
        "datasets": """
table = rng.random((500, 500))
for i in range(50):
    ds = tf.data.Dataset.from_tensor_slices(table)
    v = tf.Variable(table)
""",
        "now and then": """
table = rng.random((500, 500))
for i in range(5000):
    if i % 1000 == 0:
        tf.reduce_sum(table)
""",
        "unknown size": """
def f(x):
    a = np.array(x)
    for i in range(50):
        tf.reduce_sum(a)
f([1])
""",
        "changed as an element of a list": """
table, other = rng.random((500, 500)), rng.random((500, 500))
tables = [table, other]
for i in range(50):
    x = tf.reduce_sum(table)
    for each in tables:
        each *= 0.5
""",
        "changed as an element of a tuple": """
table = rng.random((500, 500))
tables = (table, 1)
for i in range(50):
    x = tf.reduce_sum(table)
    tables[0][i] = 1.0
""",
        "changed as a value of a dict": """
table = rng.random((500, 500))
tables = {"a": table}
for i in range(50):
    x = tf.reduce_sum(table)
    for each in tables.values():
        each += 1
""",
        "changed as a default argument": """
table = rng.random((500, 500))
def later(t=table):
    t += 1
for i in range(50):
    x = tf.reduce_sum(table)
    later()
""",
    },
    "TF103": {
        "numbers": """
losses = []
for i in range(500):
    loss = tf.reduce_mean(tf.ones((9, 9)) * i)
    losses.append(float(loss))
    losses.append(loss.numpy())
""",
        "results": """
outputs = []
for batch in tf.data.Dataset.range(900).batch(9):
    outputs.append(tf.cast(batch, tf.float32).numpy())
""",
        "logged": """
x = tf.ones((500, 500))
for i in range(500):
    x = tf.tanh(x)
    if i % 100 == 0:
        print(np.mean(x.numpy()))
    if i % 100:
        continue
    tf.constant(np.fft.fft(x.numpy()))
""",
        "afterwards": """
x = tf.ones((500, 500))
for i in range(500):
    x = tf.tanh(x)
y = x.numpy()[2:4, 3:5]
""",
        "a counter": """
step = tf.Variable(0)
for i in range(500):
    step.assign_add(1)
    print(step.numpy())
""",
        "other libraries": """
import scipy.ndimage
x = tf.ones((500, 500))
for i in range(500):
    x = tf.tanh(x)
    y = tf.constant(scipy.ndimage.zoom(x.numpy(), 2))
""",
        "a frame of pandas": """
import pandas as pd
frame = pd.read_csv("x.csv")
for i in range(500):
    frame.numpy()
""",
        "left at once": """
x = tf.ones((500, 500))
for i in range(500):
    if tf.reduce_sum(x) > i:
        y = tf.constant(np.abs(x.numpy()))
        break
    x = tf.tanh(x)
""",
    },
    "TF104": {
        "three": """
for x in tf.constant([1.0, 2.0, 3.0]):
    print(float(x))
""",
        "photos": """
for photo in tf.zeros((500, 64, 64, 3)):
    print(tf.reduce_mean(photo))
""",
        "unknown": """
def f(x):
    for row in x:
        print(row)
f(tf.nn.relu([1.0]))
""",
        "a list, an array": """
for x in [1.0] * 5000:
    print(x)
for x in np.zeros(5000):
    print(x)
""",
        "compiled": """
@tf.function
def f():
    x = tf.zeros(5000)
    total = 0.0
    for i in tf.range(5000):
        total += x[i]
    for e in x:
        total += e
    return total
""",
        "on a tape": """
x = tf.zeros(5000)
with tf.GradientTape() as tape:
    tape.watch(x)
    total = sum([e * 2 for e in x])
""",
        "tensors on purpose": """
@tf.function
def step(i):
    return i
for i in tf.range(5000):
    step(i)
""",
        "the shape": """
for size in tf.zeros((5000, 3)).shape:
    print(size)
""",
        "another tensor's length": """
x, y = tf.zeros((5000,)), tf.zeros((5000,))
for i in range(len(x)):
    print(i)
    x = x + y
    print(x[i])
""",
        "a file for each element": """
import os
scores = tf.random.normal((5000,))
for score in scores:
    np.save(os.path.join("scores", str(float(score))), score.numpy())
""",
        "a file for each, with open": """
scores = tf.random.normal((5000,))
for score in scores:
    with open("scores.txt", "a") as file:
        print(float(score), file=file)
""",
        "a file for each, in a function": """
def keep(path, score):
    path.write_text(str(score))
scores = tf.random.normal((5000,))
for i in range(5000):
    keep(path_of(i), float(scores[i]))
""",
        "a figure for each": """
from matplotlib import pyplot as plt
scores = tf.random.normal((5000,))
for score in scores:
    plt.axvline(float(score))
""",
        "others stay tensors": """
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3))).batch(10)
for batch in ds:
    labels = tf.argmax(batch, axis=-1)
    masks = tf.nn.relu(batch)
    for label, mask in zip(labels, masks):
        print(int(label), tf.linalg.norm(mask))
""",
        "others may stay tensors": """
ds = tf.data.Dataset.from_tensor_slices(np.zeros((900, 3))).batch(10)
for batch in ds:
    labels = tf.argmax(batch, axis=-1)
    for i, (name, label) in enumerate(zip(names_of(batch), labels)):
        show(name, int(label))
""",
    },
    "TF105": {
        "numbers": """
x = tf.constant([float(i) for i in range(900)])
y = tf.convert_to_tensor([np.float32(i) for i in range(900)])
""",
        "tensors": """
x = tf.stack([tf.ones((9, 9)) for i in range(900)])
""",
        "stacked": """
x = tf.convert_to_tensor(np.stack([np.ones((9, 9)) for i in range(900)]))
""",
        "small": """
x = tf.constant([np.zeros(3), np.ones(3)])
y = tf.constant([np.array([1, 2]) for i in range(3)])
""",
        "one array": """
x = tf.constant(np.zeros((900, 900)))
""",
        "another axis": """
x = tf.stack([np.zeros((64, 64)) for i in range(9)], axis=1)
""",
        "mixed": """
x = tf.convert_to_tensor([np.zeros((64, 64)), tf.zeros((64, 64))])
""",
    },
    "TF106": {
        "read": """
x = tf.zeros((1, 3))
for i in range(1000):
    x = tf.concat([x, x[-1:] * 2], axis=0)
y = tf.zeros((1, 3))
for i in range(1000):
    y = tf.concat([y, tf.ones((1, 3))], axis=0)
    print(y.shape)
""",
        "window": """
x = tf.zeros((5, 3))
for i in range(1000):
    x = tf.concat([x[1:], tf.ones((1, 3))], axis=0)
    y = tf.concat([x, tf.ones((1, 3))], axis=0)
    x = tf.concat([tf.ones((1, 3)), tf.ones((1, 3))], axis=0)
""",
        "a few": """
x = tf.zeros((0, 3))
for i in range(8):
    x = tf.concat([x, tf.ones((1, 3))], axis=0)
""",
        "layers": """
class Net(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.convs = [tf.keras.layers.Dense(3) for _ in range(50)]
    def call(self, inputs):
        x = inputs
        for conv in self.convs:
            x = tf.concat([x, conv(inputs)], axis=-1)
        return x
""",
        "list": """
pieces = []
for i in range(1000):
    pieces.append(tf.ones((1, 3)))
x = tf.concat(pieces, axis=0)
""",
        "read by a function": """
x = tf.zeros((0, 3))
def last():
    return x[-1]
for i in range(1000):
    x = tf.concat([x, tf.ones((1, 3))], axis=0)
    last()
""",
        "a condition reads it": """
x = tf.zeros((0, 3))
while len(x) < 900:
    x = tf.concat([x, tf.ones((1, 3))], axis=0)
""",
    },
    "TF107": {
        "few": """
x = tf.map_fn(lambda row: row * 2, tf.zeros((4, 3)))
""",
        "heavy": """
x = tf.map_fn(lambda row: tf.signal.fft(row), tf.zeros((4000, 3)))
""",
        "decoding": """
x = tf.map_fn(tf.io.decode_jpeg, tf.constant(["a"] * 900))
y = tf.map_fn(lambda e: tf.io.decode_raw(e, tf.uint8), tf.zeros(900))
""",
        "state": """
def f(row):
    print(row)
    return row
x = tf.map_fn(f, tf.zeros((4000, 3)))
""",
        "pieces of other lengths": """
bounds = tf.range(5000)
x = tf.map_fn(lambda i: tf.reduce_sum(x[i : i + 3]), bounds)
""",
        "unknown rows": """
def f(x):
    return tf.map_fn(lambda row: row * 2, x)
""",
        "vectorized": """
x = tf.vectorized_map(lambda row: row * 2, tf.zeros((4000, 3)))
""",
        "random": """
x = tf.map_fn(lambda row: row + tf.random.normal((3,)), tf.zeros((4000, 3)))
""",
        "layers": """
layers = [tf.keras.layers.Dense(3) for _ in range(500)]
x = tf.stack([layer(tf.zeros((2, 2))) for layer in layers])
""",
    },
    "TF108": {
        "float32": """
x = rng.random((500, 500)).astype(np.float32)
for i in range(100):
    tf.matmul(x, x)
""",
        "on purpose": """
x = tf.constant(rng.random((500, 500)), tf.float64)
for i in range(100):
    tf.matmul(x, x)
""",
        "once": """
x = rng.random((500, 500))
tf.matmul(x, x)
""",
        "small": """
x = rng.random((3, 3))
for i in range(100):
    tf.matmul(x, x)
""",
        "cast": """
x = rng.random((500, 500))
for i in range(100):
    tf.matmul(tf.cast(x, tf.float32), tf.ones((500, 500)))
""",
        "keras": """
layer = tf.keras.layers.Dense(500)
for i in range(100):
    layer(rng.random((500, 500)))
""",
        "one of them float32": """
x = rng.random((500, 500))
for i in range(100):
    tf.matmul(tf.ones((500, 500)), x)
""",
        "numpy": """
x = rng.random((500, 500))
for i in range(100):
    x = x @ x
""",
        "precise by setting": """
tf.keras.backend.set_floatx("float64")
x = rng.random((500, 500))
for i in range(100):
    tf.matmul(x, x)
""",
        "floor": """
x = np.arange(90_000).reshape(300, 300)
for i in range(100):
    tf.matmul(x, x)
""",
    },
}

BORDER = [each.code for each in pages() if each.code.startswith("TF10")]


def table(programs: dict[str, dict[str, str]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("code", "program"),
        [
            pytest.param(code, program, id=f"{code}-{name}")
            for code, each in programs.items()
            for name, program in each.items()
        ],
    )


def test_every_cause_has_both_kinds_of_programs() -> None:
    assert set(FOUND) == set(SILENT) == set(BORDER)
    assert all(page(code).seen_in_source() for code in BORDER)


@table(FOUND)
def test_it_is_found_at_its_line(code: str, program: str) -> None:
    compile(program, code, "exec")
    findings = found(code, program)
    assert [finding.site.line for finding in findings] == marked(program)
    assert {finding.kind for finding in findings} == {"suspicion"}


@table(SILENT)
def test_look_alikes_are_silent(code: str, program: str) -> None:
    compile(program, code, "exec")
    assert found(code, program) == []


@table(SILENT)
def test_look_alikes_have_no_other_border_cause_that_is_wrong(code: str, program: str) -> None:
    """What another page says of a look-alike names a line of it, and its edits parse."""
    for other in BORDER:
        for finding in found(other, program):
            assert finding.site.line > IMPORTS.count("\n")
            if finding.alternatives:
                fixed(finding, program)


@table(FOUND)
def test_edits_parse_and_fixing_twice_changes_nothing(code: str, program: str) -> None:
    (finding,) = found(code, program)
    for alternative in finding.alternatives:
        assert alternative.edits
        assert (alternative.safety == "unsafe") == bool(alternative.note)
        text, _ = fixed(finding, program)
        assert text != IMPORTS + program
        again = page(code).in_source(Module.of(text))
        assert not any(each.alternatives for each in again)


def test_nothing_is_found_in_sessions() -> None:
    program = """
import tensorflow.compat.v1 as tf1
tf1.disable_eager_execution()
table = rng.random((500, 500))
x = tf1.placeholder(tf.float32, (None, 3))
total = tf.zeros((0, 3))
with tf1.Session() as session:
    for i in range(100):
        tf.reduce_sum(table)
        total = tf.concat([total, x], axis=0)
        for row in tf.zeros((500, 3)):
            print(row)
"""
    assert not [finding for code in BORDER for finding in found(code, program)]


EDITED = [
    (
        "TF102",
        "safe",
        """
table = rng.random((500, 500))
queries = tf.constant(rng.random((9, 500)))
total = 0.0
for query in queries:
    total += tf.reduce_sum(tf.linalg.matvec(table, query)) + tf.reduce_max(table)
print(float(total))
""",
        "table_tensor = tf.convert_to_tensor(table)\nfor query in queries:\n"
        "    total += tf.reduce_sum(tf.linalg.matvec(table_tensor, query))"
        " + tf.reduce_max(table_tensor)\n",
    ),
    (
        "TF102",
        "safe",
        """
table = rng.random((500, 500))
x = tf.ones((500, 500))
for i in range(50):
    y = tf.nn.softmax(x * table)
print(round(float(tf.reduce_sum(y[0])), 4))
""",
        "table_tensor = tf.convert_to_tensor(table, tf.float32)\n",
    ),
    (
        "TF102",
        "unsafe",
        """
def scores(table, query):
    return [float(tf.reduce_sum(tf.matmul(table, query))) for _ in range(9)]
table = rng.random((50, 50))
if True:
    result = [float(tf.reduce_sum(tf.matmul(table, q))) for q in [np.array([[1.0]] * 50)] * 9]
print(result)
""",
        "    table_tensor = tf.convert_to_tensor(table)\n    result = [",
    ),
    (
        "TF104",
        "unsafe",
        """
scores = tf.random.stateless_uniform((500,), (1, 2))
print(sum(score.numpy() > 0.5 for score in scores))
""",
        "sum(score > 0.5 for score in scores.numpy())",
    ),
    (
        "TF104",
        "unsafe",
        """
scores = tf.random.stateless_uniform((500,), (1, 2)) * 2
count = 0
for i in range(len(scores)):
    if scores[i] > 0.5 and float(scores[i]) < 1.5:
        count += 1
print(count)
""",
        "scores_array = scores.numpy()\nfor i in range(len(scores)):\n"
        "    if scores_array[i] > 0.5 and float(scores_array[i]) < 1.5:\n",
    ),
    (
        "TF105",
        "safe",
        """
photos = [np.full((30, 40), i, np.float32) for i in range(9)]
print(tf.reduce_sum(tf.stack(photos)).numpy(), tf.stack(photos[:1]).dtype.name)
""",
        "tf.stack(np.stack(photos))",
    ),
    (
        "TF106",
        "safe",
        """
total = tf.zeros((0, 2), tf.int32)
for i in range(40):
    row = tf.constant([[i, i]])
    if i > 3:
        total = tf.concat([total, row, row + 1], axis=0)
for i in range(0):
    pass
print(total.shape, total.dtype.name, int(tf.reduce_sum(total[::2])))
""",
        "total_pieces = [total]\nfor i in range(40):\n    row = tf.constant([[i, i]])\n"
        "    if i > 3:\n        total_pieces.extend([row, row + 1])\n"
        "total = tf.concat(total_pieces, axis=0)\n",
    ),
    (
        "TF106",
        "unsafe",
        """
def collect(stop):
    x = tf.ones((1, 2))
    try:
        for i in range(40):
            if i == stop:
                raise ValueError
            x = tf.concat([x, tf.ones((1, 2))], 0)
    except ValueError:
        pass
    return x
print(collect(99).shape)
""",
        "        x = tf.concat(x_pieces, axis=0)\n    except ValueError:",
    ),
    (
        "TF107",
        "unsafe",
        """
x = tf.random.stateless_uniform((500, 3), (1, 2))
y = tf.map_fn(lambda row: tf.reduce_max(row) * 2, elems=x)
z = tf.map_fn(lambda row: tf.reduce_max(row), x, fn_output_signature=tf.float32)
print(y.shape, round(float(tf.reduce_sum(y + z)), 3))
""",
        "tf.vectorized_map(lambda row: tf.reduce_max(row) * 2, elems=x)",
    ),
]


@pytest.mark.parametrize(
    ("code", "safety", "program", "expected"),
    EDITED,
    ids=[f"{code}-{number}" for number, (code, *_) in enumerate(EDITED)],
)
def test_edits(code: str, safety: str, program: str, expected: str) -> None:
    text, alternative = fixed(found(code, program)[0], program)
    assert expected in text
    assert alternative.safety == safety


@pytest.mark.tensorflow
def test_edited_programs_print_the_same(tmp_path: Path) -> None:
    """All at once, each in a scope of its own: starting TensorFlow is what takes the time."""
    printed = []
    for turn in ("before", "after"):
        blocks = []
        for code, _, program, _ in EDITED:
            text = IMPORTS + program
            while turn == "after":
                edits = [f.alternatives for f in page(code).in_source(Module.of(text))]
                edits = [each for each in edits if each]
                if not edits:
                    break
                text = edited(text, edits[0][0])
            blocks.append(text)
        script = "\n".join(f"exec({block!r}, {{}})" for block in blocks)
        (tmp_path / f"{turn}.py").write_text(script, encoding="utf-8")
        ended = run([sys.executable, f"{turn}.py"], tmp_path)
        assert ended.status == 0, ended.err.decode()
        printed.append(ended.out)
    assert printed[0] == printed[1]
    assert len(printed[0].splitlines()) == len(EDITED)


@pytest.mark.parametrize(
    ("program", "safety"),
    [
        ("x = tf.constant([np.zeros((64, 64)) for i in range(9)])", "safe"),
        ("x = tf.constant([np.zeros((64, 64), np.int64) for i in range(9)])", "unsafe"),
        ("x = tf.constant([np.zeros((64, 64), np.uint8) for i in range(9)])", "unsafe"),
        ("n = int(input())\nx = tf.constant([np.zeros((64, 64)) for i in range(n)])", "unsafe"),
        ("x = tf.constant([np.zeros((64, 64)) for i in range(9)], tf.int32)", "unsafe"),
        ("s = 2.0\nx = tf.stack([np.ones((9, 99)) * s for i in range(9)])", "safe"),
        ("s = np.sum([1])\nx = tf.stack([np.ones((9, 99)) * s for i in range(9)])", "unsafe"),
        ("x = tf.stack([np.add(np.ones((9, 99)), i) for i in range(9)])", "unsafe"),
    ],
)
def test_stacking_is_safe_where_type_and_length_are_known(program: str, safety: str) -> None:
    (finding,) = found("TF105", program + "\n")
    assert finding.alternatives[0].safety == safety


def test_an_import_is_added_once() -> None:
    program = "import tensorflow as tf\nfrom numpy import zeros\n"
    program += "x = tf.stack([zeros((64, 64)) for i in range(9)])\n"
    (finding,) = page("TF105").in_source(Module.of(program))
    text = edited(program, finding.alternatives[0])
    assert text.count("import numpy as np\n") == 1
    assert "tf.stack(np.stack([zeros((64, 64)) for i in range(9)]))" in text
    ast.parse(text)


AROUND = {
    "function": "def main():\n{}\n\n\nmain()",
    "elif": "if rng is None:\n\tpass\nelif True:\n{}",
    "try": "try:\n{}\nfinally:\n\tprint()",
    "loop's end": "for _ in ():\n\tpass\nelse:\n{}",
}


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@table(FOUND)
def test_edits_parse_wherever_they_stand(code: str, program: str, around: str) -> None:
    """Indented by tabs, in other statements, at the end of a file without a newline."""
    body = "\n".join(f"\t{line}" if line else line for line in program.strip().splitlines())
    whole = around.format(body)
    for finding in found(code, whole):
        for _ in finding.alternatives:
            text, _ = fixed(finding, whole)
            again = page(code).in_source(Module.of(text))
            assert not any(each.alternatives for each in again)


@pytest.mark.parametrize(
    "program",
    [
        "x = tf.zeros((0, 3))\nfor i in range(99): x = tf.concat([x, tf.ones((1, 3))], 0)",
        "x = tf.zeros((0, 3))\nfor i in range(99):\n    x = tf.concat([x, x0], 0); x0 = 1",
        "a = rng.random((99, 99)); y = [tf.reduce_sum(a) for i in range(99)]",
        "a = rng.random((99, 99))\n"
        "if a is None: pass\nelif [tf.reduce_sum(a) for i in range(99)]:\n    pass",
        "a = rng.random((99, 99))\nf = lambda: [tf.reduce_sum(a) for i in range(99)]\nf()",
    ],
)
def test_no_edit_where_no_line_can_be_put(program: str) -> None:
    for code in BORDER:
        for finding in found(code, program):
            assert finding.alternatives == ()
