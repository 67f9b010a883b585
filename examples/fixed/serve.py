"""The program of `../serve.py`, made fast; it prints the same.

What changed, and why:
- A request is answered by a compiled call of the model. `predict` is made for many rows: it
  sets up a pipeline and callbacks for each call.
- The next version is loaded again only when its file has changed.
- The interpreter for phones is made once and kept.
"""

import argparse
import functools
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

DATA = Path(__file__).resolve().parents[1] / "data"
Model = Callable[[np.ndarray], tf.Tensor]
NEEDED = ("digits.keras", "digits.npz", "phone.tflite")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100, help="requests to answer (100)")
    parser.add_argument("--drawings", type=int, default=2000, help="drawings for phones (2000)")
    options = parser.parse_args()

    if not all((DATA / name).exists() for name in NEEDED):
        sys.exit("the models are missing: make them with `python examples/make_data.py`")
    with np.load(DATA / "digits.npz") as file:
        drawings, digits = file["images"], file["labels"]

    model = compiled(keras.models.load_model(DATA / "digits.keras"))
    served = [answer(model, drawing) for drawing in drawings[: options.requests]]
    report("in use", served, digits)
    tried = [answer_with_next_version(drawing) for drawing in drawings[: options.requests // 5]]
    report("next version", tried, digits)
    if hasattr(tf, "lite"):
        warnings.filterwarnings("ignore", message=".*tf.lite.Interpreter is deprecated.*")
        phone = [answer_on_phone(drawing) for drawing in drawings[: options.drawings]]
        report("phone", phone, digits)
    else:
        print("phone: left out, this TensorFlow has no tf.lite")


def compiled(model: keras.Model) -> Model:
    """The model as a function that is traced once, for any number of rows."""
    rows = tf.TensorSpec((None, 784), tf.float32)
    return tf.function(lambda rows: model(rows, training=False), input_signature=[rows])


def answer(model: Model, drawing: np.ndarray) -> int:
    """Answer one request with the model that is in use."""
    return int(np.argmax(model(as_rows(drawing))))


def answer_with_next_version(drawing: np.ndarray) -> int:
    """Answer one request with whatever model file is there now."""
    file = DATA / "digits.keras"
    model = next_version(file, file.stat().st_mtime_ns)
    return int(np.argmax(model(as_rows(drawing))))


@functools.lru_cache(maxsize=1)
def next_version(file: Path, changed: int) -> Model:
    """The model in a file that was last changed then."""
    return compiled(keras.models.load_model(file))


def answer_on_phone(drawing: np.ndarray) -> int:
    """Answer one request as the phone would."""
    interpreter = phone_interpreter()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], as_rows(drawing))
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return int(np.argmax(scores))


@functools.cache
def phone_interpreter() -> Any:
    interpreter = tf.lite.Interpreter(str(DATA / "phone.tflite"))
    interpreter.allocate_tensors()
    return interpreter


def as_rows(drawing: np.ndarray) -> np.ndarray:
    return drawing.reshape(1, -1).astype(np.float32) / 255.0


def report(name: str, answers: list[int], digits: np.ndarray) -> None:
    correct = np.mean(np.array(answers) == digits[: len(answers)])
    print(f"{name}: {len(answers)} answers, {correct:.1%} correct, first {answers[:10]}")


if __name__ == "__main__":
    main()
