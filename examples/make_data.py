"""Makes every file that the examples read, in `data/` beside this script.

    python examples/make_data.py

The files are the same on every machine up to the rounding of TensorFlow, and none
is downloaded. What exists is kept; `--force` makes it anew.

    photos/<class>/<number>.jpg   256 photo-like JPEGs of four classes
    panorama.jpg                  one larger photo
    mobilenet.pb                  a frozen MobileNetV2 graph with untrained weights
    digits.keras                  a small network trained on drawn digits
    phone.tflite                  a smaller, recurrent one for TensorFlow Lite
    digits.npz                    drawn digits that neither has seen
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

DATA = Path(__file__).resolve().parent / "data"
PHOTOS_PER_CLASS = 64

GLYPHS = {
    0: "01110 10001 10011 10101 11001 10001 01110",
    1: "00100 01100 00100 00100 00100 00100 01110",
    2: "01110 10001 00001 00110 01000 10000 11111",
    3: "11110 00001 00001 01110 00001 00001 11110",
    4: "00010 00110 01010 10010 11111 00010 00010",
    5: "11111 10000 11110 00001 00001 10001 01110",
    6: "00110 01000 10000 11110 10001 10001 01110",
    7: "11111 00001 00010 00100 01000 01000 01000",
    8: "01110 10001 10001 01110 10001 10001 01110",
    9: "01110 10001 10001 01111 00001 00010 01100",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the files that the examples read.")
    parser.add_argument("--force", action="store_true", help="make again what exists")
    force = parser.parse_args().force

    make_photos(force)
    make(DATA / "panorama.jpg", write_panorama, force)
    make(DATA / "mobilenet.pb", write_mobilenet, force)
    make(DATA / "digits.npz", write_digit_requests, force)
    make(DATA / "digits.keras", write_digits_model, force)
    make(DATA / "phone.tflite", write_phone_model, force)


def make(path: Path, write: Callable[[Path], None], force: bool = False) -> bool:
    """Have `write` make the file unless it exists; it appears whole or not at all."""
    if path.exists() and not force:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    print(f"made {path.relative_to(DATA)}, {path.stat().st_size / 1e6:.1f} MB")
    return True


def make_photos(force: bool) -> None:
    made = 0
    for label, paint in enumerate((bricks, leaves, pebbles, ripples)):
        folder = DATA / "photos" / paint.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(PHOTOS_PER_CLASS):
            path = folder / f"{number:03}.jpg"
            if path.exists() and not force:
                continue
            rng = np.random.default_rng([label, number])
            height, width = (int(side) for side in rng.integers(160, 257, size=2))
            partial = folder / f".{os.getpid()}.jpg"
            partial.write_bytes(jpeg(photo(paint, height, width, rng)))
            partial.replace(path)
            made += 1
    if made:
        print(f"made {made} photos in {DATA.name}/photos")


def write_panorama(path: Path) -> None:
    rng = np.random.default_rng(11)
    ground = photo(pebbles, 480, 1280, rng)
    trees = photo(leaves, 480, 1280, rng)
    path.write_bytes(jpeg(np.concatenate([trees, ground])))


def jpeg(picture: np.ndarray) -> bytes:
    pixels = np.clip(picture * 255, 0, 255).astype(np.uint8)
    encoded: bytes = tf.io.encode_jpeg(pixels, quality=88).numpy()
    return encoded


def photo(
    paint: Callable[[int, int, np.random.Generator], np.ndarray],
    height: int,
    width: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """A painted surface under uneven light, with the grain of a small camera."""
    y, x = grid(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.5 * (np.cos(angle) * (y / height - 0.5) + np.sin(angle) * (x / width - 0.5))
    picture = paint(height, width, rng) * light[..., None] * rng.uniform(0.8, 1.1)
    return picture + rng.normal(scale=0.03, size=picture.shape)


def grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:height, 0:width]
    return y.astype(float), x.astype(float)


def bricks(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    y, x = grid(height, width)
    tall, wide = rng.uniform(14, 24), rng.uniform(34, 56)
    row = np.floor(y / tall)
    x = x + wide / 2 * (row % 2)
    column = np.floor(x / wide)
    shade = rng.uniform(0.7, 1.1, size=(40, 40))[row.astype(int) % 40, column.astype(int) % 40]
    mortar = (y % tall < 2.5) | (x % wide < 2.5)
    picture = shade[..., None] * rng.uniform([0.5, 0.25, 0.2], [0.7, 0.4, 0.35])
    picture[mortar] = rng.uniform(0.6, 0.8)
    return picture


def leaves(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    picture = np.tile(rng.uniform([0.1, 0.15, 0.05], [0.3, 0.3, 0.15]), (height, width, 1))
    for _ in range(height * width // 400):
        size = int(rng.integers(8, 20))
        top, left = int(rng.integers(-size, height)), int(rng.integers(-size, width))
        patch = picture[max(top, 0) : top + 2 * size, max(left, 0) : left + 2 * size]
        y, x = grid(*patch.shape[:2])
        y, x = y + max(top, 0) - top - size, x + max(left, 0) - left - size
        turn = rng.uniform(0, np.pi)
        along, across = y * np.cos(turn) + x * np.sin(turn), x * np.cos(turn) - y * np.sin(turn)
        leaf = (along / size) ** 2 + (across / (0.4 * size)) ** 2 < 1
        vein = leaf & (np.abs(across) < 0.7)
        colour = rng.uniform([0.2, 0.3, 0.1], [0.5, 0.65, 0.25])
        patch[leaf] = colour
        patch[vein] = colour * 0.7
    return picture


def pebbles(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    cell = rng.uniform(18, 28)
    rows, columns = int(height / cell) + 3, int(width / cell) + 3
    jitter = rng.uniform(0.1, 0.9, size=(rows, columns, 2))
    greys = rng.uniform(0.35, 0.75, size=(rows, columns))
    y, x = grid(height, width)
    row, column = (y / cell).astype(int) + 1, (x / cell).astype(int) + 1
    nearest = np.full((height, width), np.inf)
    second = nearest.copy()
    grey = np.zeros((height, width))
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            near = row + down, column + right
            middle_y = (near[0] - 1 + jitter[near][..., 0]) * cell
            middle_x = (near[1] - 1 + jitter[near][..., 1]) * cell
            distance = np.hypot(y - middle_y, x - middle_x)
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            nearest = np.where(closer, distance, nearest)
            grey = np.where(closer, greys[near], grey)
    stone = np.clip((second - nearest) / 6, 0.25, 1) * grey
    return stone[..., None] * rng.uniform([0.85, 0.8, 0.75], [1.1, 1.0, 1.0])


def ripples(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    y, x = grid(height, width)
    turn, length = rng.uniform(-0.6, 0.6), rng.uniform(9, 18)
    bend = 6 * np.sin(x / rng.uniform(25, 60)) + 4 * np.sin(y / rng.uniform(30, 70))
    wave = np.sin((y * np.cos(turn) + x * np.sin(turn) + bend) * 2 * np.pi / length)
    sand = 0.55 + 0.18 * wave + 0.05 * wave**2
    return sand[..., None] * rng.uniform([0.9, 0.75, 0.5], [1.2, 1.0, 0.8])


def write_mobilenet(path: Path) -> None:
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    keras.utils.set_random_seed(3)
    network = keras.applications.MobileNetV2(weights=None, input_shape=(224, 224, 3))
    spread_scores(network)

    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": tf.identity(network(image, training=False), name="scores")}

    image = tf.TensorSpec((None, 224, 224, 3), tf.float32, name="image")
    compiled = tf.function(classify).get_concrete_function(image)
    frozen = convert_variables_to_constants_v2(compiled)
    path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
    keras.backend.clear_session()


def spread_scores(network: keras.Model) -> None:
    """Make the last layer tell photos apart: fresh weights give all classes the same score."""
    folders = sorted((DATA / "photos").iterdir())
    files = [str(path) for folder in folders for path in sorted(folder.glob("*.jpg"))[:4]]
    pictures = [tf.io.decode_jpeg(tf.io.read_file(name), channels=3) for name in files]
    batch = tf.stack([tf.image.resize(picture, (224, 224)) for picture in pictures])
    head = network.layers[-1]
    features = keras.Model(network.inputs, head.input)
    seen = features(batch / 127.5 - 1.0, training=False).numpy()
    kernel = np.random.default_rng(3).normal(size=head.kernel.shape)
    kernel *= 4.0 / np.std((seen - seen.mean(axis=0)) @ kernel)
    head.kernel.assign(kernel)
    head.bias.assign(-seen.mean(axis=0) @ kernel)


def draw_digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of 28 by 28 grey values, shifted, faded and with specks."""
    rng = np.random.default_rng(seed)
    shapes = np.zeros((10, 28, 28))
    for digit, rows in GLYPHS.items():
        bits = np.array([[int(bit) for bit in row] for row in rows.split()])
        shapes[digit, 3:24, 6:21] = np.kron(bits, np.ones((3, 3)))
    labels = rng.integers(0, 10, size=count)
    images = np.empty((count, 28, 28))
    for index, label in enumerate(labels):
        images[index] = np.roll(shapes[label], rng.integers(-3, 4, size=2), axis=(0, 1))
    images *= rng.uniform(0.3, 1.0, size=(count, 1, 1))
    images += rng.normal(scale=0.25, size=images.shape)
    return np.clip(images * 255, 0, 255).astype(np.uint8), labels


def write_digit_requests(path: Path) -> None:
    images, labels = draw_digits(4000, seed=5)
    with path.open("wb") as file:
        np.savez_compressed(file, images=images, labels=labels)


def write_digits_model(path: Path) -> None:
    layers = [
        keras.Input((784,)),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(256, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = trained_on_digits(layers, epochs=3)
    whole = path.with_name(f"{path.name}.keras")  # Keras insists on the ending
    model.save(whole)
    whole.replace(path)


def write_phone_model(path: Path) -> None:
    """A network that reads a digit row by row; without its loop it is a long chain of ops."""
    layers = [
        keras.Input((784,)),
        keras.layers.Reshape((28, 28)),
        keras.layers.GRU(48, unroll=True),
        keras.layers.Dense(10, activation="softmax"),
    ]
    model = trained_on_digits(layers, epochs=5)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def trained_on_digits(layers: list[keras.layers.Layer], epochs: int) -> keras.Model:
    images, labels = draw_digits(6000, seed=4)
    keras.utils.set_random_seed(4)
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy")
    model.fit(images.reshape(-1, 784) / 255.0, labels, batch_size=64, epochs=epochs, verbose=0)
    return model


if __name__ == "__main__":
    main()
