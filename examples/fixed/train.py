"""The program of `../train.py`, made fast; it learns the same.

What changed, and why:
- Patches are evened along an axis, all at once, instead of row by row in a `tf.map_fn`.
- The texture is read from arrays with `from_tensor_slices` in large batches; the generator
  gave one patch at a time.
- The function of the edges is told that photos have any size, so it is traced once instead
  of once for every size.
- The step with momentum is compiled; it ran op by op.
- The falling rate is a tensor. As a Python number it had the step traced for every value.
- Cross-validation compiles its step once for all parts.
- The patch model takes 64 steps in each call of its compiled step.
- The edge model is trained by one `fit`, and a callback ends it, instead of one `fit` an
  epoch. Keras shuffles differently then, so its accuracy can differ a little.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

DATA = Path(__file__).resolve().parents[1] / "data"
PATCH = 8
Weights = list[tf.Variable]
Batch = tuple[tf.Tensor, tf.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=120, help="photos to learn from (120)")
    parser.add_argument("--steps", type=int, default=100, help="steps of the loops (100)")
    parser.add_argument("--epochs", type=int, default=30, help="epochs of the last model (30)")
    options = parser.parse_args()

    files = sorted((DATA / "photos").glob("*/*.jpg"))
    if not files:
        sys.exit("the photos are missing: make them with `python examples/make_data.py`")
    files = spread_over(files, options.images)
    names = sorted({path.parent.name for path in files})
    photos = [load(path) for path in files]
    labels = np.array([names.index(path.parent.name) for path in files])
    keras.utils.set_random_seed(7)

    print(f"{len(photos)} photos of {', '.join(names)}")
    patches, kinds = all_patches(photos, labels)
    patches = even_light(patches)
    print(f"{len(patches)} patches, spread {patches.std():.3f} after evening the light")
    print(f"texture of the photos: {texture(photos):.4f}")
    edges = edge_features(photos)
    print(f"edges: {', '.join(f'{edge:.3f}' for edge in edges.mean(axis=0))}")

    print(f"loop: loss {training_loop(patches, kinds, options.steps):.2f}")
    print(f"falling rate: loss {falling_rate(patches, kinds, options.steps // 2):.2f}")
    print(f"cross-validation: accuracy {cross_validation(patches, kinds):.2f}")
    print(f"patch model: loss {patch_model(patches, kinds):.2f}")
    print(f"edge model: accuracy {edge_model(edges, labels, options.epochs):.2f}")


def spread_over(files: list[Path], count: int) -> list[Path]:
    """At most `count` of the files, spread over all."""
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)
    return [files[index] for index in chosen]


def load(path: Path) -> np.ndarray:
    pixels: np.ndarray = tf.io.decode_jpeg(path.read_bytes(), channels=3).numpy()
    return (pixels / 255.0).astype(np.float32)


def patches_of(photo: np.ndarray) -> Iterator[np.ndarray]:
    """The photo in squares, each as a row of numbers."""
    for top in range(0, photo.shape[0] - PATCH + 1, PATCH):
        for left in range(0, photo.shape[1] - PATCH + 1, PATCH):
            yield photo[top : top + PATCH, left : left + PATCH].reshape(-1)


def all_patches(photos: list[np.ndarray], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = [np.stack(list(patches_of(photo))) for photo in photos]
    kinds = np.repeat(labels, [len(row) for row in rows])
    order = np.random.default_rng(7).permutation(len(kinds))
    return np.concatenate(rows)[order], kinds[order]


def even_light(patches: np.ndarray) -> np.ndarray:
    """Take each patch's own brightness out of it."""
    means = patches.mean(axis=1, keepdims=True)
    evened: np.ndarray = (patches - means) / (patches.std(axis=1, keepdims=True) + 0.05)
    return evened


def texture(photos: list[np.ndarray]) -> float:
    """How much the pixels of a patch differ from its mean, over every other photo."""

    patches = np.stack([patch for photo in photos[::2] for patch in patches_of(photo)])
    deviations = patches - patches.mean(axis=1, keepdims=True)
    dataset = tf.data.Dataset.from_tensor_slices(deviations)
    squares, count = tf.constant(0.0), 0
    for batch in dataset.batch(4096):
        squares += tf.reduce_sum(tf.square(batch))
        count += batch.shape.num_elements()
    return (float(squares) / count) ** 0.5


@tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.float32)])
def edge_strengths(photo: tf.Tensor) -> tf.Tensor:
    """How strong the edges of a photo are, at several distances and in both directions."""
    grey = tf.reduce_mean(photo, axis=-1)
    strengths = []
    for distance in (1, 4, 16):
        down = grey[distance:] - grey[:-distance]
        right = grey[:, distance:] - grey[:, :-distance]
        strengths += [tf.reduce_mean(tf.abs(down)), tf.reduce_mean(tf.abs(right))]
    return tf.stack(strengths)


def edge_features(photos: list[np.ndarray]) -> np.ndarray:
    rows = []
    for photo in photos:
        pixels = tf.constant(photo)
        rows.append(edge_strengths(pixels))
    features: np.ndarray = tf.stack(rows).numpy()
    return features


def new_weights(sizes: tuple[int, ...]) -> Weights:
    rng = np.random.default_rng(7)
    weights = []
    for rows, columns in itertools.pairwise(sizes):
        kernel = rng.normal(scale=(2 / rows) ** 0.5, size=(rows, columns))
        weights += [tf.Variable(kernel, dtype=tf.float32), tf.Variable(tf.zeros(columns))]
    return weights


def forward(weights: Weights, rows: tf.Tensor) -> tf.Tensor:
    for index in range(0, len(weights) - 2, 2):
        rows = tf.nn.relu(rows @ weights[index] + weights[index + 1])
    return rows @ weights[-2] + weights[-1]


def loss_of(weights: Weights, rows: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
    logits = forward(weights, rows)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(kinds, logits))


def batches_of(patches: np.ndarray, kinds: np.ndarray, steps: int) -> Iterator[Batch]:
    """The first 64 batches of 128 patches, again and again."""
    starts = range(0, min(len(patches), 64 * 128), 128)
    kinds = kinds.astype(np.int32)
    batches = [(tf.constant(patches[i : i + 128]), tf.constant(kinds[i : i + 128])) for i in starts]
    return itertools.islice(itertools.cycle(batches), steps)


def training_loop(patches: np.ndarray, kinds: np.ndarray, steps: int) -> float:
    """A hand-written loop with momentum."""
    weights = new_weights((PATCH * PATCH * 3, 48, 48, 48, 4))
    momentum = [tf.Variable(tf.zeros_like(weight)) for weight in weights]
    loss = tf.constant(0.0)
    for rows, wanted in batches_of(patches, kinds, 5 * steps):
        loss = momentum_step(weights, momentum, rows, wanted)
    return float(loss)


@tf.function
def momentum_step(
    weights: Weights, momentum: Weights, rows: tf.Tensor, wanted: tf.Tensor
) -> tf.Tensor:
    with tf.GradientTape() as tape:
        loss = loss_of(weights, rows, wanted)
    gradients = tape.gradient(loss, weights)
    for weight, speed, gradient in zip(weights, momentum, gradients, strict=True):
        speed.assign(0.9 * speed - 0.02 * gradient)
        weight.assign_add(speed)
    return loss


def falling_rate(patches: np.ndarray, kinds: np.ndarray, steps: int) -> float:
    """The same network with a compiled step and a learning rate that falls."""
    weights = new_weights((PATCH * PATCH * 3, 48, 48, 48, 4))

    @tf.function
    def descend(rows: tf.Tensor, wanted: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(weights, rows, wanted)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(rate * gradient)
        return loss

    loss = tf.constant(0.0)
    for step, (rows, wanted) in enumerate(batches_of(patches, kinds, steps)):
        rate = tf.constant(0.1 / (1 + 0.05 * step))
        loss = descend(rows, wanted, rate)
    return float(loss)


def cross_validation(patches: np.ndarray, kinds: np.ndarray) -> float:
    """Leave out a part of the patches, learn from the others, and test on that part."""
    parts = 30
    rows = np.array_split(patches[: 128 * parts], parts)
    wanted = np.array_split(kinds[: 128 * parts].astype(np.int32), parts)
    correct = []
    for part in range(parts):
        weights = new_weights((PATCH * PATCH * 3, 48, 48, 48, 4))
        for other in range(parts):
            if other != part:
                plain_step(weights, tf.constant(rows[other]), tf.constant(wanted[other]))
        guesses = tf.argmax(forward(weights, tf.constant(rows[part])), axis=1)
        correct.append(np.mean(guesses.numpy() == wanted[part]))
    return float(np.mean(correct))


@tf.function
def plain_step(weights: Weights, rows: tf.Tensor, wanted: tf.Tensor) -> None:
    with tf.GradientTape() as tape:
        loss = loss_of(weights, rows, wanted)
    for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
        weight.assign_sub(0.1 * gradient)


def patch_model(patches: np.ndarray, kinds: np.ndarray) -> float:
    """A small Keras model of the patches, in batches of the usual size."""
    model = keras.Sequential([keras.Input((PATCH * PATCH * 3,)), *classifier(16)])
    model.compile(
        keras.optimizers.SGD(0.05),
        loss="sparse_categorical_crossentropy",
        steps_per_execution=64,
    )
    history = model.fit(patches, kinds, batch_size=32, epochs=3, verbose=0)
    return float(history.history["loss"][-1])


def edge_model(edges: np.ndarray, labels: np.ndarray, epochs: int) -> float:
    """A small Keras model of whole photos; training stops when it has become good enough."""
    edges = (edges - edges.mean(axis=0)) / edges.std(axis=0)
    model = keras.Sequential([keras.Input((edges.shape[1],)), *classifier(32)])
    model.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    enough = StopWhenGood()
    history = model.fit(edges, labels, batch_size=64, epochs=epochs, callbacks=[enough], verbose=0)
    return float(max(history.history["accuracy"]))


class StopWhenGood(keras.callbacks.Callback):
    """Ends the training after an epoch with hardly a mistake."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if logs and logs["accuracy"] > 0.995:
            self.model.stop_training = True


def classifier(units: int) -> list[keras.layers.Layer]:
    hidden = keras.layers.Dense(units, activation="relu")
    return [hidden, keras.layers.Dense(4, activation="softmax")]


if __name__ == "__main__":
    main()
