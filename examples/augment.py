"""Trains a small network to tell four kinds of surface apart, on turned and worn photos."""

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

DATA = Path(__file__).resolve().parent / "data"
SIZE = 96
BATCH = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=8, help="times through the photos (8)")
    options = parser.parse_args()

    folders = sorted(path for path in (DATA / "photos").glob("*") if path.is_dir())
    files = [str(path) for folder in folders for path in sorted(folder.glob("*.jpg"))]
    if not files:
        sys.exit("the photos are missing: make them with `python examples/make_data.py`")
    labels = [index for index, folder in enumerate(folders) for _ in folder.glob("*.jpg")]
    print(f"{len(files)} photos of {', '.join(folder.name for folder in folders)}")

    keras.utils.set_random_seed(1)
    model = build_model(len(folders))
    batches = training_batches(files, labels)
    show = keras.callbacks.LambdaCallback(on_epoch_end=print_epoch)
    model.fit(batches, epochs=options.epochs, callbacks=[show], verbose=0)  # planted: TF301


def print_epoch(epoch: int, logs: dict[str, float]) -> None:
    print(f"epoch {epoch + 1}: loss {logs['loss']:.2f}, accuracy {logs['accuracy']:.2f}")


def training_batches(files: list[str], labels: list[int]) -> tf.data.Dataset:
    photos = tf.data.Dataset.from_tensor_slices((files, labels)).shuffle(len(files), seed=1)
    seeds = tf.data.Dataset.random(seed=1)
    photos = tf.data.Dataset.zip((photos, seeds))
    photos = photos.map(load_and_augment, num_parallel_calls=4)
    return photos.batch(BATCH).prefetch(tf.data.AUTOTUNE)


def load_and_augment(
    photo: tuple[tf.Tensor, tf.Tensor], seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    file, label = photo
    image = tf.io.decode_jpeg(tf.io.read_file(file), channels=3)
    image = tf.image.resize(image, (SIZE, SIZE)) / 255.0
    image = tf.numpy_function(augment, [image, seed], tf.float32)  # planted: TF101, TF305
    image.set_shape((SIZE, SIZE, 3))
    return image, label


def augment(image: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    image = rotate(image, rng.uniform(-0.5, 0.5))
    image = add_scratches(image, rng)
    image += rng.normal(scale=0.02, size=image.shape)
    return np.clip(image, 0.0, 1.0).astype(np.float32)


def rotate(image: np.ndarray, angle: float) -> np.ndarray:
    """Turn about the middle; what comes from outside is black."""
    middle = (SIZE - 1) / 2
    y, x = np.mgrid[0:SIZE, 0:SIZE] - middle
    from_y = np.rint(y * np.cos(angle) + x * np.sin(angle) + middle).astype(int)
    from_x = np.rint(x * np.cos(angle) - y * np.sin(angle) + middle).astype(int)
    inside = (from_y >= 0) & (from_y < SIZE) & (from_x >= 0) & (from_x < SIZE)
    turned = image[from_y.clip(0, SIZE - 1), from_x.clip(0, SIZE - 1)]
    return turned * inside[..., None]


def add_scratches(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw bright lines pixel by pixel, as dust does on a scanned negative."""
    for _ in range(8):
        y, x = rng.integers(0, SIZE, size=2).tolist()
        for step in rng.integers(-1, 2, size=300).tolist():
            y = (y + 1) % SIZE
            x = (x + step) % SIZE
            image[y, x] = 0.9 * image[y, x] + 0.1
    return image


def build_model(classes: int) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            keras.layers.Conv2D(8, 5, strides=2, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


if __name__ == "__main__":
    main()
