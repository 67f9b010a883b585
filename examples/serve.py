"""Answers requests that each hold one drawn digit, with three models in three ways.

Most requests go to the model that is in use. Some go to the next version, which may be
replaced at any time. Every drawing also goes through the model made for phones, to see
whether the phone would have said the same.
"""

import argparse
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

DATA = Path(__file__).resolve().parent / "data"
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

    model = keras.models.load_model(DATA / "digits.keras")
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


def answer(model: keras.Model, drawing: np.ndarray) -> int:
    """Answer one request with the model that is in use."""
    rows = as_rows(drawing)
    scores = model.predict(rows, verbose=0)  # planted: TF401
    return int(np.argmax(scores))


def answer_with_next_version(drawing: np.ndarray) -> int:
    """Answer one request with whatever model file is there now."""
    model = keras.models.load_model(DATA / "digits.keras")  # planted: TF402
    scores = model(as_rows(drawing))
    return int(np.argmax(scores))


def answer_on_phone(drawing: np.ndarray) -> int:
    """Answer one request as the phone would."""
    interpreter = tf.lite.Interpreter(str(DATA / "phone.tflite"))  # planted: TF404
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], as_rows(drawing))
    interpreter.invoke()
    scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return int(np.argmax(scores))


def as_rows(drawing: np.ndarray) -> np.ndarray:
    return drawing.reshape(1, -1).astype(np.float32) / 255.0


def report(name: str, answers: list[int], digits: np.ndarray) -> None:
    correct = np.mean(np.array(answers) == digits[: len(answers)])
    print(f"{name}: {len(answers)} answers, {correct:.1%} correct, first {answers[:10]}")


if __name__ == "__main__":
    main()
