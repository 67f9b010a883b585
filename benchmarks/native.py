"""NumPy functions in a parallel map: through the bridge, as TensorFlow ops, and by hand.

    python benchmarks/native.py [--rounds N] [--images N] [--tasks NAME ...] [--output FILE.md]

For each task the table tells milliseconds per image of a `tf.data` pipeline that maps it over
photos of 224 x 224 pixels with as many parallel calls as there are cores: the function as it
is in `tf.numpy_function`; as `unslow.numpy_function` makes it ("native"), which has XLA compile
some; as ops alone, and all compiled by XLA; the same on batches; written by hand in TensorFlow;
and written in JAX, through jax2tf, where that is installed. "pipeline" is a map
that hands the photo on as it is: what is in all figures but is no work of the function. All
ways of a task run in turn, in shuffled order; a figure is the median of the
rounds. "limit" is what reading each image once and writing the result once takes at the
bandwidth that copying large arrays has here. Libraries that are not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import unslow

SIZE = 224
BATCH = 32
ANGLE = 0.3
WAYS = (
    *("numpy_function", "native", "ops alone", "XLA", "in batches"),
    *("by hand", "jax2tf", "pipeline"),
)


@dataclass(frozen=True)
class Task:
    """A function on one image and what it is given: the image, then numbers for each."""

    name: str
    function: Callable[..., Any]
    given: Sequence[Any]
    by_hand: Callable[..., Any] | None = None
    needs: str = ""
    dtype: Any = np.float32


def photos(count: int) -> Any:
    """Smooth pictures with some noise, float32 of (count, SIZE, SIZE, 3) from 0 to 1."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE
    waves = generator.uniform(1, 9, (count, 2, 3)).astype(np.float32)
    light = np.sin(waves[:, None, None, 0] * x[..., None] + waves[:, None, None, 1] * y[..., None])
    noise = generator.normal(scale=0.05, size=(SIZE, SIZE, 3)).astype(np.float32)
    return np.clip(light * 0.5 + 0.5 + noise, 0, 1).astype(np.float32)


def flip_roll(image: Any) -> Any:
    image = np.roll(image[:, ::-1], (7, -11), axis=(0, 1))
    return (image - np.float32(0.45)) / np.float32(0.22)


def flip_roll_by_hand(image: Any) -> Any:
    image = tf.roll(tf.reverse(image, [1]), (7, -11), (0, 1))
    return (image - 0.45) / 0.22


def flip_roll_cutout(image: Any, top: Any, left: Any) -> Any:
    image = flip_roll(image)
    image[top : top + 48, left : left + 48] = 0
    return image


def flip_roll_cutout_by_hand(image: Any, top: Any, left: Any) -> Any:
    rows, columns = tf.range(SIZE, dtype=tf.int64), tf.range(SIZE, dtype=tf.int64)
    inside = ((rows >= top) & (rows < top + 48))[:, None] & (
        (columns >= left) & (columns < left + 48)
    )
    return tf.where(inside[..., None], 0.0, flip_roll_by_hand(image))


def jitter(image: Any, light: Any, contrast: Any) -> Any:
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    image = (image - grey.mean()) * contrast + grey.mean() + light
    return np.clip(image, 0, 1)


def jitter_by_hand(image: Any, light: Any, contrast: Any) -> Any:
    grey = tf.reduce_mean(tf.tensordot(image, [0.299, 0.587, 0.114], 1))
    return tf.clip_by_value((image - grey) * contrast + grey + light, 0.0, 1.0)


def mixup(image: Any, share: Any) -> Any:
    return share * image + (1 - share) * image[::-1]


def mixup_by_hand(image: Any, share: Any) -> Any:
    return share * image + (1 - share) * tf.reverse(image, [0])


def equalise(image: Any) -> Any:
    grey = (image.mean(axis=2) * 255).astype(np.uint8)
    counts = np.bincount(grey.ravel(), minlength=256)
    return (counts.cumsum() / np.float32(grey.size))[grey].astype(np.float32)


def equalise_by_hand(image: Any) -> Any:
    grey = tf.cast(tf.reduce_mean(image, 2) * 255, tf.int32)
    counts = tf.math.bincount(tf.reshape(grey, [-1]), minlength=256, maxlength=256)
    shares = tf.cast(tf.cumsum(counts), tf.float32) / tf.cast(tf.size(grey), tf.float32)
    return tf.gather(shares, grey)


def log_mel(image: Any, bank: Any) -> Any:
    sound = image[:, :, 0].reshape(-1)
    frames = np.stack([sound[start : start + 512] for start in range(0, sound.size - 512, 256)])
    power = np.abs(np.fft.rfft(frames * np.hanning(512).astype(np.float32))) ** 2
    return np.log(power.astype(np.float32) @ bank + np.float32(1e-6))


def log_mel_by_hand(image: Any, bank: Any) -> Any:
    sound = tf.reshape(image[:, :, 0], [-1])[: SIZE * SIZE - 256]
    frames = tf.signal.frame(sound, 512, 256) * np.hanning(512).astype(np.float32)
    return tf.math.log(tf.abs(tf.signal.rfft(frames)) ** 2 @ bank + 1e-6)


def rotate_skimage(image: Any, angle: Any) -> Any:
    from skimage.transform import rotate

    return rotate(image, angle, mode="edge")


def rotate_scipy(image: Any, angle: Any) -> Any:
    from scipy import ndimage

    return ndimage.rotate(image, angle, reshape=False, order=1, mode="nearest")


def rotate_opencv(image: Any, angle: Any) -> Any:
    import cv2

    matrix = cv2.getRotationMatrix2D((SIZE / 2 - 0.5, SIZE / 2 - 0.5), angle, 1.0)
    return cv2.warpAffine(image, matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)


def rotate_by_hand(image: Any, angle: Any) -> Any:
    turn = angle * (np.pi / 180)
    cos, sin, half = tf.cos(turn), tf.sin(turn), SIZE / 2 - 0.5
    zero = tf.zeros_like(cos)
    rows = [cos, -sin, half - cos * half + sin * half, sin, cos, half - sin * half - cos * half]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.cast(tf.stack([*rows, zero, zero])[None], tf.float32),
        output_shape=[SIZE, SIZE],
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )[0]


def tasks(count: int) -> list[Task]:
    """All tasks, on as many photos."""
    images = photos(count)
    generator = np.random.default_rng(1)
    corners = generator.integers(0, SIZE - 48, (2, count))
    numbers = generator.uniform(0.8, 1.2, (2, count)).astype(np.float32)
    angles = generator.uniform(-30, 30, count).astype(np.float32)
    banks = np.broadcast_to(
        np.abs(generator.normal(size=(257, 40))).astype(np.float32), (count, 257, 40)
    )
    turned = {"given": (images, angles), "by_hand": rotate_by_hand}
    return [
        Task("flip, roll, normalise", flip_roll, (images,), flip_roll_by_hand),
        Task(
            "the same with cutout",
            flip_roll_cutout,
            (images, *corners),
            flip_roll_cutout_by_hand,
        ),
        Task("colour jitter", jitter, (images, *numbers), jitter_by_hand),
        Task("mixup", mixup, (images, numbers[0]), mixup_by_hand),
        Task("equalise", equalise, (images,), equalise_by_hand),
        Task("log-mel spectrogram", log_mel, (images, banks), log_mel_by_hand),
        Task("rotate, scikit-image", rotate_skimage, needs="skimage", **turned),
        Task("rotate, SciPy", rotate_scipy, needs="scipy", **turned),
        Task("rotate, OpenCV", rotate_opencv, needs="cv2", **turned),
    ]


def in_jax() -> dict[str, Callable[..., Any]]:
    """The functions as one writes them in JAX, through jax2tf; empty where that is not installed.

    The last JAX with `jax.experimental.jax2tf` is needed.
    """
    try:
        import jax
        import jax.numpy as jnp
        from jax.experimental import jax2tf
    except ImportError as error:
        print(f"jax2tf is left out: {error}", file=sys.stderr)
        return {}

    def flip_roll(image: Any) -> Any:
        return (jnp.roll(image[:, ::-1], (7, -11), axis=(0, 1)) - 0.45) / 0.22

    def flip_roll_cutout(image: Any, top: Any, left: Any) -> Any:
        corner = (top, left, jnp.zeros_like(top))
        return jax.lax.dynamic_update_slice(flip_roll(image), jnp.zeros((48, 48, 3)), corner)

    def jitter(image: Any, light: Any, contrast: Any) -> Any:
        grey = (image @ jnp.array([0.299, 0.587, 0.114])).mean()
        return jnp.clip((image - grey) * contrast + grey + light, 0, 1)

    def mixup(image: Any, share: Any) -> Any:
        return share * image + (1 - share) * image[::-1]

    def equalise(image: Any) -> Any:
        grey = (image.mean(axis=2) * 255).astype(jnp.uint8)
        counts = jnp.bincount(grey.ravel(), length=256)
        return (counts.cumsum() / grey.size)[grey]

    def log_mel(image: Any, bank: Any) -> Any:
        sound = image[:, :, 0].reshape(-1)
        starts = jnp.arange(0, sound.size - 512, 256)
        frames = sound[starts[:, None] + jnp.arange(512)] * jnp.hanning(512)
        return jnp.log(jnp.abs(jnp.fft.rfft(frames)) ** 2 @ bank + 1e-6)

    written = (flip_roll, flip_roll_cutout, jitter, mixup, equalise, log_mel)
    return {
        each.__name__: tf.function(
            jax2tf.convert(each, with_gradient=False), autograph=False, jit_compile=True
        )
        for each in written
    }


def pipelines(task: Task, by_jax: Callable[..., Any] | None) -> dict[str, Any]:
    """A dataset for each way to do the task, with the results in batches."""
    rows = tf.data.Dataset.from_tensor_slices(tuple(task.given)).repeat()
    count = len(task.given[0])
    native = unslow.native(task.function)
    cores = os.cpu_count() or 1

    def each(function: Callable[..., Any]) -> Any:
        plain = tf.autograph.experimental.do_not_convert(function)
        return rows.map(plain, num_parallel_calls=cores).batch(BATCH).take(count // BATCH)

    def batches(function: Callable[..., Any]) -> Any:
        def whole(*columns: Any) -> Any:
            return tf.vectorized_map(lambda row: function(*row), columns)

        plain = tf.autograph.experimental.do_not_convert(whole)
        return rows.batch(BATCH).map(plain, num_parallel_calls=cores).take(count // BATCH)

    def bridged(*row: Any) -> Any:
        return tf.numpy_function(task.function, row, task.dtype)

    def ours(*row: Any) -> Any:
        return unslow.numpy_function(task.function, row, task.dtype, fallback=False)

    compiled = tf.function(native, jit_compile=True, autograph=False)
    ways = {
        "numpy_function": lambda: each(bridged),
        "native": lambda: each(ours),
        "ops alone": lambda: each(native),
        "XLA": lambda: each(compiled),
        "in batches": lambda: batches(native),
        "pipeline": lambda: each(lambda image, *_: image),
    }
    if task.by_hand is not None:
        ways["by hand"] = lambda: each(task.by_hand)
    if by_jax is not None:
        ways["jax2tf"] = lambda: each(by_jax)
    found: dict[str, Any] = {}
    for name, make in ways.items():
        try:
            found[name] = make()
            first = next(iter(found[name]))
            found[name, "first"] = first.numpy()
        except (unslow.Untranslatable, tf.errors.OpError, ValueError, TypeError) as error:
            found.pop(name, None)
            reason = str(error).strip().splitlines()[-1]
            print(f"{task.name}: {name}: {type(error).__name__}: {reason}", file=sys.stderr)
    return found


def copying() -> float:
    """Seconds per byte that is read and written, in copying large arrays."""
    block = np.ones(2**27, np.uint8)
    other = np.empty_like(block)
    times = []
    for _ in range(7):
        began = time.perf_counter()
        np.copyto(other, block)
        times.append(time.perf_counter() - began)
    return statistics.median(times) / (2 * block.nbytes)


def measured(
    task: Task, by_jax: Callable[..., Any] | None, rounds: int, shuffle: random.Random
) -> dict[str, float]:
    """Median milliseconds per image of each way."""
    found = pipelines(task, by_jax)
    names = [name for name in WAYS if name in found]
    count = len(task.given[0]) // BATCH * BATCH
    expected = found["numpy_function", "first"]
    for name in filter(lambda name: name != "pipeline", names):
        first = found[name, "first"]
        error = np.abs(first.astype("f8") - expected).max() / max(np.abs(expected).max(), 1e-9)
        if error > 1e-4:
            print(f"{task.name}: {name} differs by {error:.1g}", file=sys.stderr)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in shuffle.sample(names, len(names)):
            began = time.perf_counter()
            for _ in found[name]:
                pass
            if turn:
                times[name].append(1e3 * (time.perf_counter() - began) / count)
    return {name: statistics.median(each) for name, each in times.items()}


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=192)
    parser.add_argument("--tasks", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    shuffle = random.Random(0)
    each_byte = copying()
    jax = in_jax()
    lines = [f"| task | {' | '.join(WAYS)} | limit |", "|---" * (len(WAYS) + 2) + "|"]
    for line in lines:
        print(line, flush=True)
    for task in tasks(max(options.images, BATCH)):
        if options.tasks and not any(each in task.name for each in options.tasks):
            continue
        if task.needs and importlib.util.find_spec(task.needs) is None:
            continue
        found = measured(task, jax.get(task.function.__name__), options.rounds, shuffle)
        limit = 2 * 1e3 * each_byte * task.given[0][0].nbytes
        cells = [f"{found[name]:.2f}" if name in found else "" for name in WAYS]
        lines.append(f"| {task.name} | {' | '.join(cells)} | {limit:.2f} |")
        print(lines[-1], flush=True)
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
