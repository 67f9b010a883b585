"""The pages of models and of the machine, on short sources: found, silent, and mended."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest
from programs import printed_by

from unslow.catalogue import inspect
from unslow.finding import Finding
from unslow.source.edits import apply
from unslow.source.module import Module

START = """\
import functools
import os
import time
import cv2
import keras
import numpy as np
import tensorflow as tf
from flask import Flask

app = Flask(__name__)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
rows = np.random.rand(50, 4)
"""


def source(text: str) -> str:
    return START + textwrap.dedent(text)


def found(code: str, text: str) -> list[Finding]:
    return inspect(Module.of(source(text)), [code])


def mended(code: str, text: str, name: str = "") -> str | None:
    """The text with the first alternative of that name of each finding in it."""
    whole = source(text)
    for _ in range(5):
        offers = [
            alternative
            for finding in inspect(Module.of(whole), [code])
            for alternative in finding.alternatives
            if alternative.edits and name in alternative.name
        ]
        if not offers:
            break
        whole = apply(whole.encode(), offers[0].edits).decode()
        ast.parse(whole)
    else:
        pytest.fail(f"the fixes do not come to an end:\n{whole}")
    return None if whole == source(text) else whole


def cases(*pairs: tuple[str, str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("code", "text"), [pytest.param(c, t, id=f"{c}-{n}") for n, (c, t) in enumerate(pairs)]
    )


@cases(
    # TF401: one row a call, however the row is made
    ("TF401", "for row in rows:\n    model.predict(row[None], verbose=0)\n"),
    ("TF401", "for row in rows:\n    model.predict(row[np.newaxis, :])\n"),
    ("TF401", "for row in rows:\n    model.predict(np.expand_dims(row, axis=0))\n"),
    ("TF401", "for row in rows:\n    model.predict(tf.expand_dims(row, 0))\n"),
    ("TF401", "for row in rows:\n    model.predict(row.reshape(1, 4))\n"),
    ("TF401", "for row in rows:\n    model.predict(np.reshape(row, [1, -1]))\n"),
    ("TF401", "for row in rows:\n    model.predict(np.array([row]))\n"),
    ("TF401", "for i in range(50):\n    model.predict(rows[i : i + 1])\n"),
    ("TF401", "answers = [model.predict(row[None]) for row in rows]\n"),
    (
        "TF401",
        "for row in rows:\n    x = row[None].astype('float32') / 255.0\n    model.predict(x)\n",
    ),
    ("TF401", "for row in rows:\n    best = np.argmax(model.predict(row))\n"),
    ("TF401", "for row in rows:\n    p = model.predict(row)\n    print(p[0, 1], p[0][0])\n"),
    (
        "TF401",
        """
        def prepare(path):
            image = cv2.imread(path)
            return np.expand_dims(image, 0)
        for path in os.listdir("."):
            model.predict(prepare(path))
        """,
    ),
    (
        "TF401",
        """
        @app.route("/answer")
        def answer():
            return str(model.predict(np.array([[1.0, 2.0, 3.0, 4.0]])))
        """,
    ),
    (
        "TF401",
        """
        class Agent:
            def __init__(self):
                self.model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
            def act(self, state):
                return np.argmax(self.model.predict(state)[0])
        agent = Agent()
        state = np.reshape(np.zeros(4), [1, 4])
        while True:
            action = agent.act(state)
            state = state + action
        """,
    ),
    # TF402
    (
        "TF402",
        "for row in rows:\n    m = keras.models.load_model('m.keras')\n    m.predict(rows)\n",
    ),
    (
        "TF402",
        """
        FOLDER = "models"
        for row in rows:
            path = os.path.join(FOLDER, "m.keras")
            m = tf.keras.models.load_model(path, compile=False)
            print(m(row[None]))
        """,
    ),
    (
        "TF402",
        """
        @app.route("/answer")
        def answer():
            m = keras.models.load_model("m.keras")
            return str(m(rows[:1]))
        """,
    ),
    (
        "TF402",
        """
        def features(image):
            part = keras.Model(inputs=model.input, outputs=model.get_layer("a").output)
            return part(image)
        for row in rows:
            features(row[None])
        """,
    ),
    (
        "TF402",
        """
        from tensorflow.keras.applications.vgg16 import VGG16
        for path in os.listdir("."):
            VGG16(weights="imagenet").predict(read(path))
        """,
    ),
    # TF403
    ("TF403", "model.predict(rows[:, :4], batch_size=1)\n"),
    ("TF403", "x, y = read()\nmodel.fit(x, y, batch_size=1, epochs=20)\n"),
    # TF404
    ("TF404", "for row in rows:\n    i = tf.lite.Interpreter(model_path='m.tflite')\n"),
    (
        "TF404",
        """
        from ai_edge_litert.interpreter import Interpreter
        def answer(path, row):
            interpreter = Interpreter(path)
            interpreter.allocate_tensors()
        for row in rows:
            answer("m.tflite", row)
        """,
    ),
    # TF406
    (
        "TF406",
        """
        x = np.zeros((64_000, 4), "float32")
        model.compile("sgd", "mse")
        model.fit(x, x[:, 0])
        """,
    ),
    (
        "TF406",
        "model.compile('sgd', 'mse')\nmodel.fit(stream(), steps_per_epoch=5_000, epochs=10)\n",
    ),
    # TF407
    (
        "TF407",
        """
        x = np.zeros((100, 4))
        for epoch in range(50):
            model.fit(x, x[:, 0], epochs=1)
            print(model.evaluate(x, x[:, 0]))
        """,
    ),
    ("TF407", "for row in rows:\n    model.fit(row[None], np.array([1.0]), verbose=0)\n"),
    (
        "TF407",
        "for i in range(5_000):\n    model.train_on_batch(np.zeros((8, 4)), np.zeros(8))\n",
    ),
    (
        "TF407",
        """
        for state, action, reward in read():
            target = model.predict(state)
            target[0][action] = reward
            model.fit(state, target, epochs=1, verbose=0)
        """,
    ),
    # TF408
    *(
        (
            "TF408",
            f"""
            import matplotlib.pyplot as plt
            class Own(keras.callbacks.Callback):
                def {method}(self, batch, logs=None):
                    {work}
            """,
        )
        for method, work in (
            ("on_batch_end", "self.model.save('latest.keras')"),
            ("on_train_batch_end", "print(self.model.predict(rows))"),
            ("on_train_batch_begin", "plt.savefig('loss.png')"),
            ("on_test_batch_end", "np.save('a.npy', rows)"),
            ("on_train_batch_end", "with open('log', 'a') as log: log.write(str(logs))"),
        )
    ),
    ("TF408", "keras.callbacks.ModelCheckpoint('m.keras', save_freq=1)\n"),
    # TF409
    (
        "TF409",
        "model.fit(d, epochs=9, steps_per_epoch=5, validation_data=v, validation_steps=100)\n",
    ),
    ("TF409", "model.fit(rows, rows, epochs=50, validation_split=0.9)\n"),
    # TF410
    (
        "TF410",
        """
        optimizer = keras.optimizers.SGD()
        sums = [tf.Variable(tf.zeros_like(w)) for w in model.trainable_variables]
        for number, batch in enumerate(read()):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model(batch))
            for total, gradient in zip(sums, tape.gradient(loss, model.trainable_variables)):
                total.assign_add(gradient)
            if number % 4 == 3:
                optimizer.apply_gradients(zip(sums, model.trainable_variables))
        """,
    ),
    # TF502
    ("TF502", "tf.config.threading.set_inter_op_parallelism_threads(4)\n"),
    ("TF502", "os.environ['TF_NUM_INTRAOP_THREADS'] = '1'\n"),
    ("TF502", "tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)\n"),
    # TF503
    (
        "TF503",
        """
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        def main():
            keras.mixed_precision.set_global_policy("mixed_float16")
        main()
        """,
    ),
    (
        "TF503",
        """
        tf.config.set_visible_devices([], "GPU")
        policy = keras.mixed_precision.Policy("mixed_float16")
        tf.keras.mixed_precision.set_global_policy(policy)
        """,
    ),
    # TF504
    ("TF504", "tf.debugging.enable_check_numerics()\n"),
    ("TF504", "tf.debugging.set_log_device_placement(True)\nmodel.fit(rows, rows)\n"),
    ("TF504", "tf.config.experimental.enable_op_determinism()\n"),
)
def test_found(code: str, text: str) -> None:
    (finding,) = found(code, text)
    assert finding.kind == "suspicion"
    assert finding.message.endswith(".")


@cases(
    # TF401: batches, few rounds, other predicts, waiting for people, training beside it
    ("TF401", "for part in np.array_split(rows, 10):\n    model.predict(part)\n"),
    ("TF401", "for batch in tf.data.Dataset.range(9).batch(3):\n    model.predict(batch)\n"),
    ("TF401", "for i in range(0, 50, 10):\n    model.predict(rows[i : i + 10])\n"),
    ("TF401", "for row in rows[:3]:\n    model.predict(row[None])\n"),
    ("TF401", "for i in range(4):\n    model.predict(rows[i : i + 1])\n"),
    ("TF401", "model.predict(np.zeros((1, 4)))\n"),
    ("TF401", "for row in rows:\n    model.predict_on_batch(row[None])\n"),
    ("TF401", "for row in rows:\n    model(row[None])\n"),
    (
        "TF401",
        """
        from sklearn.linear_model import LinearRegression
        line = LinearRegression().fit(rows, rows[:, 0])
        for row in rows:
            line.predict(row[None])
        """,
    ),
    (
        "TF401",
        """
        while True:
            text = input()
            model.predict(np.array([[float(text)] * 4]))
        """,
    ),
    (
        "TF401",
        """
        for epoch in range(20):
            model.fit(rows, rows[:, 0])
            print(model.predict(rows[:1]))
        """,
    ),
    (
        "TF401",
        """
        def score(x):
            return model.predict(x)
        for part in np.array_split(rows, 10):
            score(part)
        score(rows[:1])
        """,
    ),
    (
        "TF401",
        """
        for fold in range(10):
            m = keras.Sequential([keras.layers.Dense(1)])
            m.fit(rows, rows[:, 0])
            m.predict(rows[:1])
        """,
    ),
    (
        "TF401",
        """
        models = [keras.models.load_model(p) for p in os.listdir(".")]
        votes = [m.predict(rows[:1]) for m in models]
        """,
    ),
    (
        "TF401",
        """
        class Own(keras.Model):
            def predict(self, x):
                return x + 1
        own = Own()
        for row in rows:
            own.predict(row[None])
        """,
    ),
    # TF402: other paths, trained or saved models, few rounds, kept already
    ("TF402", "for path in os.listdir('.'):\n    m = keras.models.load_model(path)\n"),
    ("TF402", "for p in ('a', 'b', 'c'):\n    m = keras.models.load_model('m.keras')\n"),
    (
        "TF402",
        "for row in rows:\n    m = keras.models.load_model('m.keras')\n    m.fit(rows, rows)\n",
    ),
    (
        "TF402",
        """
        for fold in range(10):
            model.save("m.keras")
            m = keras.models.load_model("m.keras")
        """,
    ),
    *(
        (
            "TF402",
            f"""
            kept = {{}}
            class Server:
                m = None
                def model(self):
                    {lines}
            server = Server()
            for row in rows:
                server.model()
            """,
        )
        for lines in (
            "if self.m is None: self.m = keras.models.load_model('m.keras')",
            "if not hasattr(self, 'm'): self.m = keras.models.load_model('m.keras')",
            "if 'm' not in kept: kept['m'] = keras.models.load_model('m.keras')",
        )
    ),
    (
        "TF402",
        """
        m = None
        def loaded():
            global m
            if m is not None:
                return m
            m = keras.models.load_model("m.keras")
            return m
        for row in rows:
            loaded()
        """,
    ),
    (
        "TF402",
        """
        for number, row in enumerate(rows):
            if number == 0:
                m = keras.models.load_model("m.keras")
            m.predict(rows)
        """,
    ),
    (
        "TF402",
        """
        @functools.cache
        def loaded():
            return keras.models.load_model("m.keras")
        for row in rows:
            loaded().predict(rows)
        """,
    ),
    (
        "TF402",
        """
        cache = {}
        @app.route("/answer")
        def answer():
            name = request.args["model"]
            return str(keras.models.load_model(name)(rows))
        """,
    ),
    (
        "TF402",
        """
        def build(units):
            m = keras.Sequential([keras.layers.Dense(units)])
            m.compile("sgd", "mse")
            return m
        for units in range(8, 128, 8):
            m = build(units)
            m.fit(rows, rows[:, 0])
        """,
    ),
    (
        "TF402",
        "for layer in model.layers:\n    part = keras.Model(model.input, layer.output)\n",
    ),
    (
        "TF402",
        """
        from tensorflow.keras.applications import VGG16, ResNet50
        for make in (VGG16, ResNet50, VGG16, ResNet50):
            make(weights="imagenet")
        for trial in range(9):
            VGG16(weights=None)
        """,
    ),
    # TF403: few rows, models of unknown or large size, usual sizes
    ("TF403", "x = np.array([[0, 0, 0, 1], [1, 1, 1, 1]])\nmodel.fit(x, x, batch_size=1)\n"),
    ("TF403", "keras.models.load_model('m').predict(rows, batch_size=1)\n"),
    ("TF403", "model.fit(rows, rows, batch_size=16)\n"),
    (
        "TF403",
        """
        large = keras.Sequential([keras.Input((4,)), keras.layers.Dense(90_000)])
        large.add(keras.layers.Dense(9))
        large.predict(read(), batch_size=1)
        """,
    ),
    ("TF403", "for x in read():\n    model.predict(x, batch_size=1)\n"),
    # TF404
    ("TF404", "for p in os.listdir('.'):\n    i = tf.lite.Interpreter(model_path=p)\n"),
    ("TF404", "i = tf.lite.Interpreter(model_path='m.tflite')\n"),
    ("TF404", "def make():\n    return tf.lite.Interpreter(model_path='m.tflite')\nmake()\n"),
    # TF406
    ("TF406", "model.compile('sgd', 'mse')\nmodel.fit(read(), epochs=500)\n"),
    (
        "TF406",
        """
        x = np.zeros((64_000, 4))
        model.compile("sgd", "mse", steps_per_execution=20)
        model.fit(x, x)
        """,
    ),
    # TF407: long or unknown trainings, other data each time, states that are set back
    ("TF407", "for epoch in range(50):\n    model.fit(read(), epochs=1)\n"),
    (
        "TF407",
        """
        x = np.zeros((64_000, 4))
        for epoch in range(50):
            model.fit(x, x, epochs=1)
        """,
    ),
    (
        "TF407",
        """
        x = np.zeros((100, 4))
        for epoch in range(50):
            model.fit(x, x, epochs=1, shuffle=False)
            model.reset_states()
        """,
    ),
    (
        "TF407",
        """
        x = np.zeros((100, 4))
        for trial in range(20):
            m = keras.Sequential([keras.layers.Dense(trial)])
            m.compile("sgd", "mse")
            m.fit(x, x)
        """,
    ),
    ("TF407", "x = np.zeros((100, 4))\nfor round in range(50):\n    model.fit(x, x, epochs=20)\n"),
    ("TF407", "for batch in read():\n    model.train_on_batch(batch)\n"),
    # TF408: now and then, cheap work, other classes
    *(
        (
            "TF408",
            f"""
            class Own({base}):
                def {method}(self, batch, logs=None):
                    {work}
            """,
        )
        for base, method, work in (
            ("keras.callbacks.Callback", "on_epoch_end", "self.model.save('m.keras')"),
            ("keras.callbacks.Callback", "on_train_batch_end", "self.seen.append(logs['loss'])"),
            (
                "keras.callbacks.Callback",
                "on_batch_end",
                "if batch % 99 == 0: self.model.save('m')",
            ),
            ("keras.callbacks.Callback", "on_batch_end", "return self.model.save('m')"),
            ("object", "on_batch_end", "self.model.save('m.keras')"),
        )
    ),
    ("TF408", "keras.callbacks.ModelCheckpoint('m.keras', save_freq='epoch')\n"),
    ("TF408", "keras.callbacks.TensorBoard('logs', histogram_freq=1)\n"),
    # TF409
    ("TF409", "model.fit(rows, rows, epochs=9, validation_split=0.2)\n"),
    ("TF409", "model.fit(rows, rows, validation_split=0.9)\n"),
    ("TF409", "model.fit(rows, rows, epochs=9, validation_split=0.9, validation_freq=5)\n"),
    (
        "TF409",
        "model.fit(d, epochs=9, steps_per_epoch=500, validation_data=v, validation_steps=100)\n",
    ),
    # TF410: compiled, applied each time, other sums
    (
        "TF410",
        """
        optimizer = keras.optimizers.SGD()
        sums = [tf.Variable(tf.zeros_like(w)) for w in model.trainable_variables]
        @tf.function
        def accumulate(batch):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(model(batch))
            for total, gradient in zip(sums, tape.gradient(loss, model.trainable_variables)):
                total.assign_add(gradient)
        for number, batch in enumerate(read()):
            accumulate(batch)
            if number % 4 == 3:
                optimizer.apply_gradients(zip(sums, model.trainable_variables))
        """,
    ),
    (
        "TF410",
        """
        sums = [0.0, 0.0]
        for number, losses in enumerate(read()):
            sums = [a + b for a, b in zip(sums, losses)]
            if number % 4 == 3:
                optimizer.apply_gradients(losses)
        """,
    ),
    # TF502: for a fixed order, for sharing, from outside, zero
    ("TF502", "tf.config.threading.set_intra_op_parallelism_threads(0)\n"),
    (
        "TF502",
        "n = int(os.environ['N'])\ntf.config.threading.set_intra_op_parallelism_threads(n)\n",
    ),
    ("TF502", "tf.random.set_seed(1)\ntf.config.threading.set_intra_op_parallelism_threads(1)\n"),
    (
        "TF502",
        "import multiprocessing\ntf.config.threading.set_intra_op_parallelism_threads(1)\n",
    ),
    ("TF502", "os.environ['OMP_NUM_THREADS'] = '1'\n"),
    ("TF502", "os.environ.setdefault('TF_NUM_INTRAOP_THREADS', '1')\n"),
    # TF503: a GPU may be there, the user chooses
    ("TF503", "keras.mixed_precision.set_global_policy('mixed_float16')\n"),
    (
        "TF503",
        """
        os.environ["CUDA_VISIBLE_DEVICES"] = "0"
        keras.mixed_precision.set_global_policy("mixed_float16")
        """,
    ),
    (
        "TF503",
        """
        if options.cpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        keras.mixed_precision.set_global_policy("mixed_float16")
        """,
    ),
    (
        "TF503",
        """
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        if options.half:
            keras.mixed_precision.set_global_policy("mixed_float16")
        """,
    ),
    (
        "TF503",
        """
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        keras.mixed_precision.set_global_policy("float32")
        """,
    ),
    # TF504: under a flag, switched off again, wished for
    ("TF504", "if args.debug:\n    tf.debugging.enable_check_numerics()\n"),
    ("TF504", "if __debug__:\n    tf.debugging.set_log_device_placement(True)\nmodel.fit(rows)\n"),
    (
        "TF504",
        "tf.debugging.enable_check_numerics()\nf()\ntf.debugging.disable_check_numerics()\n",
    ),
    ("TF504", "tf.debugging.set_log_device_placement(True)\nprint(tf.ones(3) + 1)\n"),
    ("TF504", "keras.utils.set_random_seed(1)\ntf.config.experimental.enable_op_determinism()\n"),
)
def test_silent(code: str, text: str) -> None:
    assert [(finding.site.line, finding.message) for finding in found(code, text)] == []


PREDICT = "for row in rows:\n    model.predict({0})\n"


@pytest.mark.parametrize(
    ("before", "after", "safety"),
    [
        ("row[None], verbose=0", "row[None]", "safe"),
        ("x=row[None], verbose=0", "x=row[None]", "safe"),
        ("row[None], batch_size=1, verbose=0,", "row[None]", "safe"),
        ("np.expand_dims(row, 0)", "np.expand_dims(row, 0)", "unsafe"),
        ("row[None], verbose=1", "row[None]", "unsafe"),
        ("row[None], steps=1", None, ""),
        ("row[None], callbacks=[log]", None, ""),
        ("row[None], verbose=level", None, ""),
        ("verbose=0, x=row[None]", None, ""),
        ("rows[0:1], **options", None, ""),
        ("[row[None], row[None]], verbose=0", "[row[None], row[None]]", "safe"),
    ],
)
def test_predict_on_batch_takes_the_place_of_predict(
    before: str, after: str | None, safety: str
) -> None:
    text = PREDICT.format(before)
    if after is None:
        assert mended("TF401", text) is None
        return
    expected = PREDICT.format(after).replace("predict", "predict_on_batch")
    assert mended("TF401", text, "predict_on_batch") == source(expected)
    (finding,) = found("TF401", text)
    offered = {each.name: each for each in finding.alternatives}
    assert offered["predict_on_batch"].safety == safety


def test_lists_and_comments_of_a_call_are_left_alone() -> None:
    assert mended("TF401", "for row in rows:\n    p = np.argmax(model.predict(row))\n") is None
    text = "for row in rows:\n    model.predict(\n        row[None],  # one\n        verbose=0)\n"
    assert mended("TF401", text, "predict_on_batch") is None


BATCHED = """
for row in rows:
    answer = model.predict(row[None], verbose=0)
    print(answer[0], row)
"""


def test_one_predict_goes_before_a_loop_over_an_array() -> None:
    expected = """
predictions = model.predict(rows, verbose=0)
for row, prediction in zip(rows, predictions):
    answer = prediction[None]
    print(answer[0], row)
"""
    assert mended("TF401", BATCHED, "one predict") == source(expected)
    (finding,) = found("TF401", BATCHED)
    assert [each.safety for each in finding.alternatives] == ["unsafe", "safe"]


@pytest.mark.parametrize(
    "change",
    [
        ("for row in rows:", "for row in [*rows]:"),
        ("for row in rows:", "model = keras.models.load_model('m')\nfor row in rows:"),
        ("    print(", "    rows[0] = answer\n    print("),
        ("    print(", "    model.train_on_batch(row[None], answer)\n    print("),
        ("    print(", "    train(row, answer)\n    print("),
        ("    print(", "    if answer[0] > 1: break\n    print("),
        ("    answer", "    row = row + 1\n    answer"),
        ("row[None]", "row[None, :2]"),
    ],
)
def test_no_predict_goes_before_a_loop_that_may_need_it_there(change: tuple[str, str]) -> None:
    text = BATCHED.replace(*change)
    assert len(found("TF401", text)) == 1
    assert mended("TF401", text, "one predict") is None


LOAD = """
for row in rows:
    for part in row:
        # once would do
        m = keras.models.load_model(
            "m.keras",
            compile=False,
        )  # slow
        print(m.predict(rows, verbose=0))
"""


def test_a_load_goes_before_the_outermost_loop() -> None:
    expected = """
m = keras.models.load_model(
    "m.keras",
    compile=False,
)  # slow
for row in rows:
    for part in row:
        # once would do
        print(m.predict(rows, verbose=0))
"""
    assert mended("TF402", LOAD) == source(expected)
    (finding,) = found("TF402", LOAD)
    assert [each.safety for each in finding.alternatives] == ["safe"]


@pytest.mark.parametrize(
    "change",
    [
        ("print(m.predict(rows, verbose=0))", "use(m)"),
        ("print(m.predict(rows, verbose=0))", "m.layers[0].trainable = False"),
        ("print(m.predict(rows, verbose=0))", "print(m(rows, training=True))"),
        ("print(m.predict(rows, verbose=0))", "print(m(rows))\n        m = None"),
        ("# once would do", "print(m)"),
        ("# once would do", "if part: continue\n        if True:\n         pass"),
    ],
)
def test_a_load_stays_where_the_model_may_change(change: tuple[str, str]) -> None:
    text = LOAD.replace(*change)
    after = mended("TF402", text)
    if "continue" in change[1]:
        assert after is not None and after.index("load_model(") < after.index("for row")
    else:
        assert after is None


def test_a_load_in_a_handler_goes_into_a_cached_helper() -> None:
    text = """
    from pathlib import Path

    @app.route("/answer")
    def answer():
        path = Path("models") / "m.keras"
        return str(keras.models.load_model(path, compile=False)(rows[:1]))
    """
    after = mended("TF402", text)
    assert after is not None
    expected = textwrap.dedent(
        """
        @functools.cache
        def kept_model(filepath):
            return keras.models.load_model(filepath, compile=False)


        @app.route("/answer")
        def answer():
            path = Path("models") / "m.keras"
            return str(kept_model(path)(rows[:1]))
        """
    )
    assert after.endswith(expected)
    (finding,) = found("TF402", text)
    (alternative,) = finding.alternatives
    assert alternative.safety == "unsafe"
    assert alternative.note


def test_an_interpreter_goes_before_the_loop_with_its_allocation() -> None:
    text = """
    for row in rows:
        interpreter = tf.lite.Interpreter("m.tflite")
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, row)
        interpreter.invoke()
    """
    expected = """
    interpreter = tf.lite.Interpreter("m.tflite")
    interpreter.allocate_tensors()
    for row in rows:
        interpreter.reset_all_variables()
        interpreter.set_tensor(0, row)
        interpreter.invoke()
    """
    assert mended("TF404", text) == source(expected)
    resized = text.replace(
        "interpreter.set_tensor(0, row)", "interpreter.resize_tensor_input(0, 1)"
    )
    assert len(found("TF404", resized)) == 1
    assert mended("TF404", resized) is None


@pytest.mark.parametrize(
    ("code", "before", "after"),
    [
        (
            "TF403",
            "model.predict(rows[:], batch_size=1)\n",
            "model.predict(rows[:], batch_size=256)\n",
        ),
        ("TF403", "model.fit(read(), batch_size=1)\n", None),
        ("TF502", "tf.config.threading.set_intra_op_parallelism_threads(1)\nf()\n", "f()\n"),
        ("TF502", "tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1)\n", None),
        ("TF504", "tf.debugging.enable_check_numerics()  # why\nf()\n", "f()\n"),
        (
            "TF504",
            "def main():\n    tf.debugging.enable_check_numerics()\nmain()\n",
            "def main():\n    pass\nmain()\n",
        ),
        ("TF504", "tf.debugging.enable_check_numerics(); f()\n", None),
    ],
)
def test_small_edits(code: str, before: str, after: str | None) -> None:
    assert mended(code, before) == (None if after is None else source(after))


def test_a_check_that_the_program_may_catch_is_removed_only_when_asked() -> None:
    text = "tf.debugging.enable_check_numerics()\ntry:\n    f()\nexcept ValueError:\n    pass\n"
    (finding,) = found("TF504", text)
    assert [each.safety for each in finding.alternatives] == ["unsafe"]
    (finding,) = found("TF504", "tf.debugging.enable_check_numerics()\nf()\n")
    assert [each.safety for each in finding.alternatives] == ["safe"]


RUN = {
    "loads": (
        "TF402",
        """
        import os
        import tempfile
        import keras
        import numpy as np

        keras.utils.set_random_seed(1)
        folder = tempfile.mkdtemp()
        path = os.path.join(folder, "m.keras")
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]).save(path)
        rows = np.random.default_rng(1).normal(size=(6, 4)).astype("float32")
        for row in rows:
            m = keras.models.load_model(path)
            print(round(float(m(row[None])[0, 0]), 5))
        """,
    ),
    "interpreters": (
        "TF404",
        """
        import numpy as np
        import tensorflow as tf

        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
        def summed(row):
            return tf.reduce_sum(tf.tanh(row))

        content = tf.lite.TFLiteConverter.from_concrete_functions(
            [summed.get_concrete_function()], tf.Module()
        ).convert()
        rows = np.random.default_rng(1).normal(size=(6, 1, 4)).astype("float32")
        for row in rows:
            interpreter = tf.lite.Interpreter(model_content=content)
            interpreter.allocate_tensors()
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row)
            interpreter.invoke()
            print(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
        """,
    ),
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", RUN)
def test_what_is_taken_out_of_a_loop_gives_the_same(tmp_path: Path, name: str) -> None:
    code, text = RUN[name]
    before = textwrap.dedent(text).lstrip()
    (finding,) = inspect(Module.of(before), [code])
    (alternative,) = finding.alternatives
    assert alternative.safety == "safe"
    after = apply(before.encode(), alternative.edits).decode()
    printed = printed_by(tmp_path, "before.py", before)
    assert printed
    assert printed_by(tmp_path, "after.py", after) == printed
    assert inspect(Module.of(after), [code]) == []
