"""What the pages of input pipelines find in source, where they stay silent, and their edits."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap

import pytest
from programs import environment

from unslow.catalogue import page as find_page
from unslow.catalogue.pipelines import _functions, _stages
from unslow.finding import Edit, Finding
from unslow.source.edits import apply
from unslow.source.module import Module

IMPORTS = """\
import numpy as np
import tensorflow as tf

"""

DATA = (
    IMPORTS
    + """\
rows = np.random.rand(5_000, 8)
labels = np.arange(5_000)
names = [str(path) for path in sorted(open("names.txt"))]
files = tf.data.Dataset.from_tensor_slices(names)
pairs = tf.data.Dataset.from_tensor_slices((rows, labels))
serialised = tf.data.TFRecordDataset("rows.tfrecord")
model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
features = {"x": tf.io.FixedLenFeature([8], tf.float32), "y": tf.io.FixedLenFeature([], tf.int64)}


def decode(path):
    return tf.image.resize(tf.io.decode_jpeg(tf.io.read_file(path)), (32, 32))


def decode_and_flip(path):
    return tf.image.random_flip_left_right(decode(path))


def flip(image):
    return tf.image.random_flip_left_right(image)


def scale(x, y):
    return tf.cast(x, tf.float32) / 255.0, y


def parse(record):
    return tf.io.parse_single_example(record, features)


"""
)


def found(code: str, text: str) -> list[Finding]:
    return list(find_page(code).in_source(Module.of(DATA + textwrap.dedent(text))))


def edited(code: str, text: str) -> str:
    """The text after the edits of its only finding, without what stands above it."""
    source = DATA + textwrap.dedent(text)
    (finding,) = find_page(code).in_source(Module.of(source))
    (way,) = finding.alternatives
    result = apply(source.encode(), way.edits).decode()
    again = [f for f in find_page(code).in_source(Module.of(result)) if f.alternatives]
    assert again == []
    ast.parse(result)
    return result


FOUND = {
    "TF302": [
        "photos = files.map(decode_and_flip)",
        "photos = files.shuffle(100).map(lambda path: flip(decode(path))).batch(8)",
        """
        def load(path, size):
            image = tf.image.decode_png(tf.io.read_file(path))
            return tf.image.random_crop(tf.image.resize(image, size), (8, 8, 3))

        photos = files.map(lambda path: load(path, (16, 16)))
        """,
        """
        turn = tf.keras.layers.RandomRotation(0.1)
        photos = files.map(lambda path: turn(decode(path)))
        """,
        """
        def unpack(path):
            return tf.data.TFRecordDataset(path, compression_type="GZIP")

        records = files.interleave(unpack, cycle_length=4)
        """,
        """
        import time

        for number, image in enumerate(files.map(decode_and_flip)):
            if number % 1000 == 0:
                time.sleep(0.1)
        """,
    ],
    "TF303": [
        "batches = pairs.map(scale).batch(32)",
        "batches = pairs.map(scale).shuffle(1000).repeat().batch(32)",
        "batches = pairs.map(lambda x, y: (x * 2 - 1, tf.one_hot(y, 10))).batch(32)",
        "batches = pairs.map(lambda x, y: (x[..., tf.newaxis], y)).batch(32)",
        "batches = pairs.map(lambda x, y: {'x': tf.sqrt(x), 'y': y}).batch(batch_size=32)",
        "batches = tf.data.Dataset.range(100_000).map(lambda n: n * 2).batch(100)",
        """
        def unit(x):
            x = tf.cast(x, tf.float32)
            x /= 255
            return 2.0 * x - 1.0

        def prepare(x, y):
            return unit(x), tf.cast(y, tf.int64)

        train = pairs.map(prepare)
        train = train.shuffle(100)
        train = train.batch(8)
        """,
        """
        @tf.function
        def half(x, y):
            return x / 2, y

        def batches_of(dataset, size):
            return dataset.map(half).batch(size)

        batches_of(pairs, 32)
        """,
        """
        batches = pairs.map(scale).batch(32)
        windows = tf.data.Dataset.range(9_000).batch(9).map(lambda n: n * 2)
        """,
    ],
    "TF304": [
        """
        def each():
            for row, label in zip(rows, labels):
                yield row, label

        data = tf.data.Dataset.from_generator(each, (tf.float32, tf.int64))
        data = data.shuffle(100).batch(32)
        """,
        """
        class Reader:
            def __init__(self, table):
                self.table = table

            def lines(self):
                for number in np.random.permutation(len(self.table)):
                    yield self.table[number].astype("float32")

        reader = Reader(rows)
        tf.data.Dataset.from_generator(
            lambda: reader.lines(), output_signature=tf.TensorSpec((8,), tf.float32)
        ).prefetch(8).batch(32)
        """,
        """
        def lines():
            with_numbers = enumerate(names)
            for number, line in with_numbers:
                yield number, line.strip()

        tf.data.Dataset.from_generator(lines, (tf.int64, tf.string)).map(scale).batch(8)
        """,
    ],
    "TF305": [
        """
        def count(signal):
            crossings = 0
            for value in signal.tolist():
                if value > 0:
                    crossings += 1
            return np.int64(crossings)

        files.map(lambda x: tf.numpy_function(count, [x], tf.int64), num_parallel_calls=4)
        """,
        """
        def dither(image):
            for y in range(image.shape[0]):
                for x in range(image.shape[1]):
                    image[y, x] = image[y, x] // 2 * 2
            return image

        def load(path):
            return tf.py_function(dither, [decode(path)], tf.float32)

        files.map(load, num_parallel_calls=tf.data.AUTOTUNE)
        """,
    ],
    "TF306": [
        """
        photos = files.map(decode).batch(8)
        for epoch in range(10):
            for batch in photos:
                print(batch.shape)
        """,
        """
        photos = files.map(decode, num_parallel_calls=8).shuffle(100).map(flip).batch(8)
        model.fit(photos, epochs=20)
        """,
        """
        def photos_of(names):
            data = tf.data.Dataset.from_tensor_slices(names)
            return data.map(decode).batch(8).prefetch(2)

        def one_epoch(batches):
            for batch in batches:
                print(batch.shape)

        def main():
            photos = photos_of(names)
            for epoch in range(5):
                one_epoch(photos)

        main()
        """,
    ],
    "TF307": [
        "train = files.map(decode_and_flip).cache().batch(8)",
        "train = files.map(decode).map(flip).batch(8).cache('photos.cache')",
        """
        few = files.map(decode).cache().take(100).batch(8)
        for epoch in range(5):
            for batch in few:
                print(batch.shape)
        """,
        "model.fit(files.map(decode).cache().take(10), epochs=3)",
    ],
    "TF308": [
        "train = files.map(decode).shuffle(1000).batch(8)",
        "train = files.map(decode_and_flip, num_parallel_calls=4).repeat().shuffle(len(names))",
        """
        train = files.map(decode)
        train = train.batch(8)
        train = train.shuffle(buffer_size=500)
        """,
    ],
    "TF310": [
        "batches = serialised.map(parse).batch(64)",
        "batches = serialised.map(lambda r: tf.io.parse_single_example(r, features)).batch(64)",
        """
        def parse_pair(record):
            row = tf.io.parse_single_example(record, features=features)
            return row["x"], tf.cast(row["y"], tf.int32)

        batches = serialised.map(parse_pair, num_parallel_calls=4).shuffle(100).batch(64)
        """,
        """
        batches = serialised.map(parse).batch(64)
        for row in batches.take(2):
            print(row["x"])
        model.fit(batches)
        """,
        """
        batches = iter(serialised.map(parse).batch(64))
        for _ in range(3_000):
            print(next(batches))
        """,
        """
        batches = serialised.map(parse).batch(64)
        for epoch in range(9):
            for row in batches:
                print(row)
        """,
    ],
    "TF311": [
        """
        batches = pairs.shuffle(100).batch(8)
        for step in range(1000):
            x, y = next(iter(batches))
        """,
        """
        shown = pairs.batch(8)

        def next_batch():
            return next(iter(shown))

        for step in range(1000):
            x, y = next_batch()
        """,
        """
        def train(steps, dataset):
            step = 0
            while step < steps:
                x, y = next(iter(dataset.repeat()))
                step += 1

        train(1000, pairs.batch(8))
        """,
    ],
    "TF312": [
        "photos = tf.data.Dataset.list_files('photos/*.jpg').map(decode).batch(8)",
        "contents = files.map(tf.io.read_file)",
        """
        both = tf.data.Dataset.from_tensor_slices((names, labels))
        both.shuffle(100).map(lambda path, label: (decode(path), label))
        """,
    ],
    "TF313": [
        """
        import cv2
        from tensorflow.keras.utils import Sequence

        class Photos(Sequence):
            def __getitem__(self, index):
                return np.array([self.load(name) for name in names[index : index + 8]])

            def load(self, name):
                return cv2.resize(cv2.imread(name), (32, 32))
        """,
        """
        from PIL import Image

        class Photos(tf.keras.utils.Sequence):
            def __getitem__(self, index):
                images = []
                for name in names[index * 8 : index * 8 + 8]:
                    images.append(np.asarray(Image.open(name)))
                return np.stack(images)
        """,
        """
        from keras.preprocessing.image import ImageDataGenerator

        turned = ImageDataGenerator(rescale=1 / 255, rotation_range=20)
        model.fit(turned.flow(rows, labels))
        """,
        """
        loader = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255)
        train = loader.flow_from_directory("train")
        test = loader.flow_from_directory("test")
        """,
    ],
}

SILENT = {
    "TF302": [
        # TensorFlow makes maps without state parallel by itself.
        "photos = files.map(decode)",
        "photos = files.map(decode_and_flip, num_parallel_calls=tf.data.AUTOTUNE)",
        "photos = files.map(decode_and_flip, 8)",
        "photos = files.map(decode_and_flip, num_parallel_calls=None)",
        # Cheap, or no part of TensorFlow.
        "photos = pairs.map(lambda x, y: (tf.image.random_flip_left_right(x), y))",
        "photos = [decode_and_flip(name) for name in map(str, names)]",
        # Every element's numbers come from seeds.
        """
        def seeded(path, seed):
            return tf.image.stateless_random_crop(decode(path), (8, 8, 3), seed)

        photos = tf.data.Dataset.zip((files, tf.data.Dataset.random(1))).map(seeded)
        """,
        # Opened by an outer interleave.
        """
        def part(path):
            return tf.data.TextLineDataset(path).map(decode_and_flip)

        photos = files.interleave(part, num_parallel_calls=4)
        """,
        """
        photos = files.interleave(
            lambda path: tf.data.TextLineDataset(path).map(decode_and_flip), num_parallel_calls=4
        )
        """,
        "records = files.interleave(tf.data.TFRecordDataset, cycle_length=4)",
        "tf.config.experimental.enable_op_determinism()\nphotos = files.map(decode_and_flip)",
        "if __debug__:\n    photos = files.map(decode_and_flip)",
        # The program sleeps between the elements.
        """
        import time

        for image in files.map(decode_and_flip):
            print(image.shape)
            time.sleep(0.1)
        """,
        """
        from time import sleep

        def show(batches):
            for number, batch in enumerate(batches):
                wait(number)

        def wait(number):
            sleep(0.1)

        show(files.map(decode_and_flip).batch(8))
        """,
        """
        import time

        images = iter(files.map(decode_and_flip).prefetch(1))
        while True:
            image = next(images)
            time.sleep(1)
        """,
    ],
    "TF303": [
        "batches = pairs.batch(32).map(scale)",
        "batches = pairs.map(scale).batch(1)",
        # Rows of several lengths, or looked at one by one.
        "batches = pairs.map(scale).padded_batch(32)",
        "scaled = pairs.map(scale)\nfor x, y in scaled: print(x)",
        # The function mixes the numbers of a row, or counts its axes from the front.
        "batches = pairs.map(lambda x, y: (x / tf.reduce_max(x), y)).batch(32)",
        "batches = pairs.map(lambda x, y: (x * y, y)).batch(32)",
        "batches = pairs.map(lambda x, y: (x[0], y)).batch(32)",
        "batches = pairs.map(lambda x, y: (tf.reshape(x, (2, 4)), y)).batch(32)",
        "batches = pairs.map(lambda x, y: (tf.expand_dims(x, 0), y)).batch(32)",
        "batches = pairs.map(lambda x, y: (tf.transpose(x), y)).batch(32)",
        "batches = pairs.map(lambda x, y: (tf.concat([x, x], 0), y)).batch(32)",
        "batches = pairs.map(lambda x, y: (x - rows.mean(axis=0), y)).batch(32)",
        "batches = pairs.map(lambda x, y: (x, 1)).batch(32)",
        "batches = pairs.map(lambda x, y: (x + tf.random.normal([]), y)).batch(32)",
        """
        def scale_if_large(x, y):
            if tf.reduce_max(x) > 1:
                x = x / 255
            return x, y

        batches = pairs.map(scale_if_large).batch(32)
        """,
        # The cost is elsewhere, or paid once.
        "batches = files.map(decode).map(lambda x: x / 255).batch(32)",
        "batches = pairs.map(scale).batch(32).cache()",
        "kept = pairs.map(scale)\nkept = kept.batch(32)\nkept = kept.cache()",
        "batches = pairs.map(scale).cache().batch(32)",
        "few = tf.data.Dataset.from_tensor_slices([1, 2, 3]).map(lambda n: n * 2).batch(2)",
        """
        ragged = tf.data.Dataset.from_tensor_slices(tf.ragged.constant(open("a").readlines()))
        batches = ragged.map(lambda x: x[..., None]).batch(32)
        """,
        "few = tf.data.Dataset.range(10).map(lambda n: n * 2).batch(2)",
        # What it is called on, or calls, is not known.
        """
        def batches_of(dataset):
            return dataset.map(scale).batch(32)
        """,
        """
        import some_library

        batches = pairs.map(some_library.scale).batch(32)
        also = pairs.map(lambda x, y: (x * some_library.FACTOR, y)).batch(32)
        """,
        "class Frame:\n    def map(self, f): ...\nFrame().map(scale)",
        # Compared with what it is after a batch.
        """
        def increment(n):
            return n + 1

        def benchmark(dataset):
            for row in dataset:
                pass

        numbers = tf.data.Dataset.range(10_000)
        benchmark(numbers.map(increment).batch(256))
        benchmark(numbers.batch(256).map(increment))
        """,
        """
        slow = pairs.map(lambda x, y: (x * 2, y)).batch(32)
        fast = pairs.batch(32).map(lambda x, y: (x * 2, y))
        """,
    ],
    "TF304": [
        # It yields batches already.
        """
        def batches():
            for start in range(0, len(rows), 32):
                yield rows[start : start + 32]

        data = tf.data.Dataset.from_generator(batches, tf.float32).prefetch(2)
        """,
        # Rows that take long to make.
        """
        def scans():
            for seed in range(100):
                yield np.abs(np.fft.fft(np.random.default_rng(seed).normal(size=100_000)))

        data = tf.data.Dataset.from_generator(scans, tf.float64).batch(8)
        """,
        """
        import cv2

        def photos():
            for name in names:
                yield cv2.imread(name)

        data = tf.data.Dataset.from_generator(photos, tf.uint8).batch(8)
        """,
        """
        def large():
            for image in rows:
                yield image

        signature = tf.TensorSpec((512, 512, 3), tf.float32)
        data = tf.data.Dataset.from_generator(large, output_signature=signature).batch(8)
        """,
        """
        def count(stop):
            for number in range(stop):
                yield number

        few = tf.data.Dataset.from_generator(count, args=[25], output_types=tf.int32).batch(5)
        """,
        # One by one, or cut to a common length first.
        """
        def each():
            for row in rows:
                yield row

        tf.data.Dataset.from_generator(each, tf.float32).padded_batch(8)
        tf.data.Dataset.from_generator(each, tf.float32).batch(1)
        """,
    ],
    "TF305": [
        # NumPy and OpenCV let go of the lock.
        """
        def spectrum(signal):
            return np.abs(np.fft.rfft(signal)).astype("float32")

        files.map(lambda x: tf.numpy_function(spectrum, [x], tf.float32), num_parallel_calls=4)
        """,
        """
        import cv2

        def load(path):
            image = cv2.imread(path.decode())
            for row in range(1000):
                image[row] = image[row] + 1
            return image

        files.map(lambda x: tf.numpy_function(load, [x], tf.uint8), num_parallel_calls=4)
        """,
        """
        def mean_of_parts(image):
            return np.float32(sum(part.mean() for part in np.array_split(image, 4)))

        files.map(lambda x: tf.numpy_function(mean_of_parts, [x], tf.float32), 4)
        """,
        # Nothing is asked to run in parallel.
        """
        def count(signal):
            total = 0
            for value in signal.tolist():
                total += value
            return total

        files.map(lambda x: tf.numpy_function(count, [x], tf.int64))
        """,
    ],
    "TF306": [
        "for batch in files.map(decode).batch(8): print(batch.shape)",
        "model.fit(files.map(decode).batch(8))",
        "model.fit(files.map(decode).batch(8), epochs=1)",
        "model.fit(files.map(decode).cache().batch(8), epochs=10)",
        "model.fit(files.map(decode_and_flip).batch(8), epochs=10)",
        "model.fit(pairs.map(scale).batch(8), epochs=10)",
        "model.fit(files.map(decode).batch(8), epochs=10, steps_per_epoch=5)",
        """
        for fold in range(5):
            part = tf.data.Dataset.from_tensor_slices(names[fold::5]).map(decode).batch(8)
            for batch in part:
                print(batch.shape)
        """,
        """
        photos = files.map(decode).batch(8)
        for epoch in range(10):
            for batch in photos:
                print(batch.shape)
                break
        """,
    ],
    "TF307": [
        "train = files.map(decode).cache().map(flip).batch(8)",
        "train = files.map(decode).cache().shuffle(100).batch(8)",
        "test_photos = files.map(decode_and_flip).cache()",
        "few = files.map(decode).take(100).cache()",
        # A look at a dataset that is gone through whole elsewhere, or once.
        """
        train = files.map(decode).cache()
        for image in train.take(1):
            print(image.shape)
        model.fit(train.batch(8), epochs=5)
        """,
        "for image in files.map(decode).cache().take(3): print(image.shape)",
        """
        import functools

        @functools.cache
        def table(): ...

        table.cache()
        """,
    ],
    "TF308": [
        "train = files.shuffle(1000).map(decode).batch(8)",
        "train = files.map(decode).cache().shuffle(1000).batch(8)",
        "train = pairs.map(scale).shuffle(1000).batch(8)",
        "train = files.map(decode).shuffle(10)",
        "train = pairs.batch(8).shuffle(100)",
        "import random\nrandom.shuffle(names)\nnp.random.shuffle(rows)",
    ],
    "TF310": [
        "batches = serialised.batch(64).map(lambda b: tf.io.parse_example(b, features))",
        "rows_only = serialised.map(parse).take(3)",
        """
        def load(record):
            row = tf.io.parse_single_example(record, features)
            return tf.io.decode_png(row["x"]), row["y"]

        batches = serialised.map(load).batch(64)
        """,
        "kept = serialised.map(parse).filter(lambda row: row['y'] > 0).batch(64)",
        "padded = serialised.map(parse).padded_batch(64)",
        # Few elements are taken, or batches are small.
        "batches = serialised.map(parse).batch(7)",
        """
        batches = serialised.map(parse).shuffle(100).batch(64).prefetch(1)
        for row in batches.take(2):
            print(row["x"])
        """,
        """
        batches = iter(serialised.map(parse).batch(64))
        for _ in range(3):
            print(next(batches))
        """,
        """
        for row in serialised.map(parse).batch(64):
            print(row)
            break
        """,
        """
        def shown(dataset):
            return dataset.take(1)

        for row in shown(serialised.map(parse).batch(64)):
            print(row)
        """,
        """
        session = tf.compat.v1.Session()
        iterator = serialised.map(parse).batch(64).make_initializable_iterator()
        session.run(iterator.initializer)
        x = iterator.get_next()
        for i in range(3):
            print(session.run(x))
            print(session.run([x]))
        """,
    ],
    "TF311": [
        "x, y = next(iter(pairs.batch(8)))",
        # One look at each of several datasets.
        """
        for each in (pairs.batch(2), pairs.batch(4)):
            print(next(iter(each)))
        """,
        """
        for size in range(100):
            print(next(iter(pairs.batch(size))))
        """,
        # Once an epoch.
        """
        shown = pairs.batch(8)
        for epoch in range(100):
            for x, y in pairs.batch(16):
                print(x.shape)
            x, y = next(iter(shown))
        """,
        """
        shown = pairs.batch(8)
        for epoch in range(100):
            model.fit(pairs.batch(16))
            model.predict(next(iter(shown))[0])
        """,
        # One iterator, or no dataset.
        """
        batches = iter(pairs.repeat().batch(8))
        for step in range(1000):
            x, y = next(batches)
        """,
        """
        table = {1: 2}
        for step in range(1000):
            key = next(iter(table))
            name = next(iter(names))
        """,
        "for step in range(3):\n    print(next(iter(pairs)))",
        """
        for step in range(1000):
            if step % 100 == 0:
                print(next(iter(pairs)))
        """,
    ],
    "TF312": [
        "records = files.interleave(tf.data.TFRecordDataset)",
        "two = tf.data.Dataset.from_tensor_slices(['a.csv', 'b.csv']).map(tf.io.read_file)",
        "one = tf.io.read_file('a.png')",
        "some = files.take(5).map(decode)",
        "numbers = pairs.map(scale)",
    ],
    "TF313": [
        """
        class Windows(tf.keras.utils.Sequence):
            def __getitem__(self, index):
                return rows[index * 8 : index * 8 + 8]
        """,
        """
        class Tables(tf.keras.utils.Sequence):
            def __init__(self):
                self.parts = [np.load(name) for name in names]

            def __getitem__(self, index):
                return self.parts[index]
        """,
        """
        class Parts(tf.keras.utils.Sequence):
            def __getitem__(self, index):
                return np.load(names[index])
        """,
        """
        import cv2

        class Photos(tf.keras.utils.Sequence):
            def __getitem__(self, index):
                return np.stack([cv2.imread(name) for name in names[index : index + 8]])

        model.fit(Photos(), workers=8, use_multiprocessing=True)
        """,
        """
        from keras.preprocessing.image import ImageDataGenerator

        flips = ImageDataGenerator(rescale=1 / 255, horizontal_flip=True, rotation_range=0)
        model.fit(flips.flow(rows, labels))
        """,
        """
        import cv2

        class Photos:
            def __getitem__(self, index):
                return np.stack([cv2.imread(name) for name in names[index : index + 8]])
        """,
    ],
}


def table(programs: dict[str, list[str]]) -> list[object]:
    return [
        pytest.param(code, text, id=f"{code}-{number}")
        for code, texts in programs.items()
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize(("code", "text"), table(FOUND))
def test_found(code: str, text: str) -> None:
    (finding,) = found(code, text)
    assert (finding.code, finding.kind) == (code, "suspicion")
    assert finding.site.line > DATA.count("\n")
    assert finding.message.endswith(".")
    for way in finding.alternatives:
        assert (way.safety == "unsafe") == bool(way.note)


@pytest.mark.parametrize(("code", "text"), table(SILENT))
def test_silent(code: str, text: str) -> None:
    assert found(code, text) == []


@pytest.mark.parametrize("code", FOUND)
def test_code_for_sessions_is_read_without_a_crash(code: str) -> None:
    text = "import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()\n" + "\n".join(
        textwrap.dedent(each) for each in FOUND[code]
    )
    assert all(f.code == code for f in find_page(code).in_source(Module.of(DATA + text)))


def test_a_chain_over_several_lines_is_found_at_its_method() -> None:
    (finding,) = found("TF303", "batches = (\n    pairs\n    .map(scale)\n    .batch(32)\n)\n")
    assert finding.site.line == DATA.count("\n") + 3
    assert finding.site.column == 6


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (
            "TF302",
            "a = files.map(decode_and_flip)",
            "a = files.map(decode_and_flip, num_parallel_calls=tf.data.AUTOTUNE)",
        ),
        (
            "TF302",
            "a = files.map(\n    (lambda p: decode_and_flip(p)),\n)",
            "a = files.map(\n    (lambda p: decode_and_flip(p)), "
            "num_parallel_calls=tf.data.AUTOTUNE,\n)",
        ),
        (
            "TF302",
            "from tensorflow.data import Dataset as D\na = D.range(3).map(decode_and_flip)",
            "from tensorflow.data import Dataset as D\n"
            "a = D.range(3).map(decode_and_flip, num_parallel_calls=tf.data.AUTOTUNE)",
        ),
        (
            "TF303",
            "a = pairs.map(scale).shuffle(9).batch(32).prefetch(1)",
            "a = pairs.shuffle(9).batch(32).map(scale).prefetch(1)",
        ),
        (
            "TF303",
            "a = (\n    pairs  # all\n    .map(scale)  # floats\n    .batch(32)  # many\n)",
            "a = (\n    pairs  # floats\n    .batch(32)  # all\n    .map(scale)  # many\n)",
        ),
        (
            "TF303",
            "a = pairs \\\n    .map(scale, num_parallel_calls=4) \\\n    .batch(32)",
            "a = pairs \\\n    .batch(32) \\\n    .map(scale, num_parallel_calls=4)",
        ),
        (
            "TF303",
            "a = pairs\na = a.map(scale)\na = a.repeat()\na = a.batch(32)  # many\nb = a",
            "a = pairs\na = a.repeat()\na = a.batch(32)  # many\na = a.map(scale)\nb = a",
        ),
        ("TF306", "a = files.map(decode)\nmodel.fit(a, epochs=2)", None),
        (
            "TF307",
            "model.fit(files.cache().take(4), epochs=2)",
            "model.fit(files.take(4).cache(), epochs=2)",
        ),
        (
            "TF307",
            "a = files.map(flip).cache('x')",
            "a = files.cache('x').map(flip)",
        ),
        (
            "TF308",
            "a = files.map(decode, 4).shuffle(100, seed=3)",
            "a = files.shuffle(100, seed=3).map(decode, 4)",
        ),
        (
            "TF310",
            "a = serialised.map(lambda r: tf.io.parse_single_example(r, features)).batch(8)",
            "a = serialised.batch(8).map(lambda r: tf.io.parse_example(r, features))",
        ),
        (
            "TF311",
            "b = pairs.shuffle(9).batch(8)\nfor i in range(99):\n    # one\n"
            "    x = next(iter(b))\n",
            "b = pairs.shuffle(9).batch(8)\nelements = iter(b)\nfor i in range(99):\n    # one\n"
            "    x = next(elements)\n",
        ),
        (
            "TF311",
            "b = pairs.batch(8)\nfor i in range(99):\n    x = next(iter(b))[0] + i\n",
            "b = pairs.batch(8)\nfirst = next(iter(b))\nfor i in range(99):\n"
            "    x = first[0] + i\n",
        ),
    ],
)
def test_edits(code: str, text: str, expected: str | None) -> None:
    if expected is None:
        expected = text.replace("map(decode)", "map(decode).cache()")
    assert edited(code, text) == DATA + expected


@pytest.mark.parametrize(
    ("code", "text", "safety"),
    [
        ("TF302", "a = files.map(decode_and_flip)", "unsafe"),
        ("TF303", "a = pairs.map(scale).batch(8)", "safe"),
        ("TF303", "a = pairs.map(lambda x, y: (tf.exp(x), y)).batch(8)", "unsafe"),
        ("TF307", "a = files.map(flip).cache()", "unsafe"),
        ("TF307", "model.fit(files.cache().take(4), epochs=2)", "safe"),
        ("TF308", "a = files.map(decode).shuffle(99)", "safe"),
        ("TF308", "a = files.map(decode_and_flip).shuffle(99)", "unsafe"),
        ("TF310", "a = serialised.map(parse).batch(8)", "safe"),
        ("TF303", "a = pairs.map(lambda x, y: (tf.cast(x, 'float32'), y)).batch(8)", "safe"),
        # In the buffer of a shuffle rows are as they are before the map.
        ("TF303", "a = pairs.map(scale).shuffle(9).batch(8)", "unsafe"),
        ("TF303", "a = pairs.shuffle(9).map(scale).batch(8)", "safe"),
        ("TF303", "a = pairs.map(lambda x, y: (x * 2, y)).shuffle(9).batch(8)", "safe"),
        ("TF303", "a = pairs.map(lambda x, y: x * 2).shuffle(9).batch(8)", "unsafe"),
        ("TF303", "a = pairs.map(lambda x, y: (x > 0.5, y)).shuffle(9).batch(8)", "unsafe"),
        ("TF303", "a = pairs.map(lambda x, y: (tf.less(x, 1), y)).shuffle(9).batch(8)", "unsafe"),
        (
            "TF303",
            "rows = rows.astype('uint8')\n"
            "two = tf.data.Dataset.from_tensor_slices((rows, np.zeros(5_000)))\n"
            "a = two.map(scale).shuffle(9).batch(8)",
            "safe",
        ),
        (
            "TF303",
            "(x, y), _ = tf.keras.datasets.mnist.load_data()\n"
            "digits = tf.data.Dataset.from_tensor_slices((x, y))\n"
            "a = digits.map(scale).shuffle(9).batch(8)",
            "safe",
        ),
        (
            "TF303",
            "(x, y), _ = tf.keras.datasets.cifar100.load_data()\n"
            "photos = tf.data.Dataset.from_tensor_slices((x, y))\n"
            "a = photos.map(lambda x, y: (x, tf.cast(y, 'int32'))).shuffle(9).batch(8)",
            "unsafe",
        ),
        (
            "TF303",
            "dicts = tf.data.Dataset.from_tensor_slices(dict(x=rows, y=rows))\n"
            "a = dicts.map(lambda d: d['x'] * 2).shuffle(9).batch(8)",
            "unsafe",
        ),
        (
            "TF308",
            "def shown(path):\n    tf.print(path)\n    return decode(path)\n"
            "a = files.map(shown).shuffle(99)",
            "unsafe",
        ),
        (
            "TF310",
            "features['z'] = tf.io.VarLenFeature(tf.float32)\na = serialised.map(parse).batch(8)",
            "unsafe",
        ),
        (
            "TF310",
            "more = {'x': tf.io.VarLenFeature(tf.float32)}\n"
            "a = serialised.map(lambda r: tf.io.parse_single_example(r, more)).batch(8)",
            "unsafe",
        ),
    ],
)
def test_safety(code: str, text: str, safety: str) -> None:
    (finding,) = found(code, text)
    assert [way.safety for way in finding.alternatives] == [safety]


TAKEN_ONCE = {
    "a tuple": ("pairs", "", "x, y = next(iter(b))\nx *= 2\nprint(x + y, float(y[0]))"),
    "given to ops": ("dicts", "", "d = next(iter(b))\nprint(tf.reduce_sum(d['x']), d.keys())"),
    "given to ops in a list": (
        "tf.data.Dataset.from_tensor_slices(np.load('x'))",
        "",
        "x = next(iter(b))\nprint(tf.concat([x, x], axis=0))",
    ),
    "given to a model": ("dicts", "", "model(next(iter(b)))"),
    "given to a compiled function": (
        "dicts",
        "@tf.function\ndef total(d):\n    return d['x']",
        "total(next(iter(b)))",
    ),
    "given to a function that reads": (
        "dicts",
        "def total(d):\n    return float(d['x'][0])",
        "total(next(iter(b)))",
    ),
    "a name used again": (
        "dicts",
        "",
        "x = next(iter(b))\nprint(x['x'])\nx = table_of(i)\nx.pop('x')",
    ),
    "a constant": ("dicts.map(lambda d: d['x'] * RATE)", "RATE = 3", "print(next(iter(b)))"),
}

TAKEN_EACH_ROUND = {
    "pop": ("dicts", "", "d = next(iter(b))\ny = d.pop('y')"),
    "pop on the spot": ("dicts", "", "y = next(iter(b)).pop('y')"),
    "item assignment": ("dicts", "", "d = next(iter(b))\nd['x'] = d['x'] * 2"),
    "item deletion": ("dicts", "", "d = next(iter(b))\ndel d['x']"),
    "update by an operator": ("dicts", "", "d = next(iter(b))\nd |= {'x': 1}"),
    "another name": ("dicts", "", "d = next(iter(b))\ne = d\ne.clear()"),
    "inner dict": ("nested", "", "d, y = next(iter(b))\nd['x'] += 1"),
    "kept": ("dicts", "kept = []", "kept.append(next(iter(b)))"),
    "given to a function that changes": (
        "dicts",
        "def total(d):\n    return d.pop('x')",
        "total(next(iter(b)))",
    ),
    "given to a library": ("dicts", "import library", "library.train(next(iter(b)))"),
    "variable": (
        "dicts.map(lambda d: d['x'] * rate)",
        "rate = tf.Variable(1.0, dtype=tf.float64)",
        "x = next(iter(b))\nrate.assign_add(1.0)",
    ),
    "variable in a function of a function": (
        "dicts.map(turned)",
        "rate = tf.Variable(1.0, dtype=tf.float64)\ndef times(x):\n    return x * rate\n"
        "def turned(d):\n    return times(d['x'])",
        "x = next(iter(b))\nrate.assign_add(1.0)",
    ),
    "global that the loop assigns": (
        "dicts.map(lambda d: d['x'] * rate)",
        "rate = 1.0",
        "x = next(iter(b))\nrate = rate + i",
    ),
    "list": ("dicts.map(lambda d: d['x'] * rates[0])", "rates = [1.0]", "x = next(iter(b))"),
    "file of records": (
        "tf.data.TFRecordDataset('rows')",
        "",
        "x = next(iter(b))\nwith tf.io.TFRecordWriter('rows') as w:\n    w.write('x')",
    ),
    "file that a map reads": ("files.map(tf.io.read_file)", "", "x = next(iter(b))"),
}


def taken(dataset: str, before: str, body: str) -> tuple[str, str]:
    """How safe it is to take the first element once, and what the note says."""
    text = """\
table = {"x": rows, "y": rows}
dicts = tf.data.Dataset.from_tensor_slices(table)
nested = tf.data.Dataset.from_tensor_slices((table, rows))
"""
    text += f"{before}\nb = {dataset}.batch(8)\nfor i in range(99):\n"
    (finding,) = found("TF311", text + textwrap.indent(body, "    "))
    (way,) = finding.alternatives
    assert way.name == "taken once"
    return way.safety, way.note


@pytest.mark.parametrize("case", TAKEN_ONCE.values(), ids=TAKEN_ONCE)
def test_what_is_only_read_may_be_taken_once(case: tuple[str, str, str]) -> None:
    assert taken(*case) == ("safe", "")


@pytest.mark.parametrize("case", TAKEN_EACH_ROUND.values(), ids=TAKEN_EACH_ROUND)
def test_what_may_change_is_not_safely_taken_once(case: tuple[str, str, str]) -> None:
    safety, note = taken(*case)
    assert safety == "unsafe"
    assert note


@pytest.mark.parametrize(
    ("code", "text"),
    [
        # The mapped rows have another name, or a comment of their own.
        ("TF303", "scaled = pairs.map(scale)\na = scaled.batch(32)"),
        ("TF303", "a = pairs\n# to floats\na = a.map(scale)\na = a.batch(32)"),
        ("TF303", "a = pairs\na = a.map(scale)\nprint(a)\na = a.batch(32)"),
        ("TF303", "a = (pairs.map(scale)).batch(32)"),
        ("TF303", "a = pairs; a = a.map(scale).batch(32)"),
        ("TF302", "a = files.map(decode_and_flip  # both\n)"),
        # Another use of the function needs it as it is.
        ("TF310", "a = serialised.map(parse).batch(8)\none = parse('')"),
        ("TF306", "a = files.shuffle(99).map(decode)\nmodel.fit(a, epochs=2)"),
        ("TF304", FOUND["TF304"][0]),
        (
            "TF311",
            "def f():\n    for i in range(99):\n        for j in range(99):\n"
            "            x = next(iter(late))\n        late = pairs.batch(8)\n",
        ),
        ("TF311", FOUND["TF311"][1]),
    ],
)
def test_found_but_not_edited(code: str, text: str) -> None:
    (finding,) = found(code, text)
    assert finding.alternatives == ()


def test_a_function_for_each_field_is_followed() -> None:
    module = Module.of(DATA + "work = decode_and_flip\n")
    (assign,) = [n for n in module.nodes(ast.Assign) if module.text(n).startswith("work")]
    work = _functions.reached(assign.value, module)
    assert work is not None
    assert work.random and not work.opaque and not work.repeatable
    assert _functions.DECODERS & work.names


@pytest.mark.parametrize(
    ("expression", "names", "complete"),
    [
        ("pairs.map(scale).batch(2)", ["from_tensor_slices", "map", "batch"], True),
        ("made(pairs).cache()", ["from_tensor_slices", "shuffle", "cache"], True),
        ("either.batch(2)", ["batch"], False),
        ("grown.batch(2)", ["batch"], False),
        ("given.take(2)", ["take"], False),
        ("rows", [], False),
    ],
)
def test_chains(expression: str, names: list[str], complete: bool) -> None:
    text = f"""
def made(dataset):
    return dataset.shuffle(10)

either = pairs
if names:
    either = pairs.repeat()
grown = pairs
for size in names:
    grown = grown.concatenate(pairs)

def outer(given: tf.data.Dataset):
    last = {expression}
"""
    module = Module.of(DATA + text)
    (assign,) = [n for n in module.nodes(ast.Assign) if module.text(n).startswith("last")]
    chain = _stages.chain(assign.value, module)
    assert (list(chain.names), chain.complete) == (names, complete)


RUN = (
    IMPORTS
    + """\
import os, tempfile, zlib
rng = np.random.default_rng(3)
tf.random.set_seed(5)
rows = rng.integers(0, 256, size=(1_100, 6)).astype("uint8")
labels = np.arange(1_100)
pairs = tf.data.Dataset.from_tensor_slices((rows, labels))
images = rng.integers(0, 256, size=(40, 8, 8, 3)).astype("uint8")
photos = tf.data.Dataset.from_tensor_slices([tf.io.encode_png(i).numpy() for i in images])
folder = tempfile.mkdtemp()
paths = [os.path.join(folder, str(number)) for number in range(5)]
options = tf.io.TFRecordOptions(compression_type="GZIP")
for path in paths:
    with tf.io.TFRecordWriter(path, options) as writer:
        for number in range(7):
            writer.write(f"{path[-1]} {number}".encode())


def crc(dataset):
    parts = [x.numpy() for row in dataset for x in tf.nest.flatten(row)]
    return zlib.crc32(b"".join(x if isinstance(x, bytes) else x.tobytes() for x in parts))


def scale(x, y):
    x = tf.cast(x, tf.float32)
    x = (x / 127.5 - 1.0) * 0.7
    return tf.clip_by_value(tf.abs(x), 0.1, 0.6)[..., tf.newaxis], tf.one_hot(y, 30)


def decode(data):
    return tf.io.decode_png(data, channels=3)


def example(number):
    values = tf.train.Feature(float_list=tf.train.FloatList(value=[number, number / 3]))
    kind = tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))
    features = tf.train.Features(feature={"x": values, "y": kind})
    return tf.train.Example(features=features).SerializeToString()


features = {
    "x": tf.io.FixedLenFeature([2], tf.float32),
    "y": tf.io.FixedLenFeature([], tf.int64),
    "z": tf.io.FixedLenFeature([3], tf.int64, default_value=[1, 2, 3]),
}
examples = tf.data.Dataset.from_tensor_slices([example(number) for number in range(300)])


def parse(record):
    row = tf.io.parse_single_example(record, features)
    return {"x": row["x"] * 2.0, "y": tf.cast(row["y"], tf.int32), "z": row["z"]}


"""
)

SAME = {
    "TF302": """
def unpack(path):
    return tf.data.TFRecordDataset(path, "GZIP")

print(crc(tf.data.Dataset.from_tensor_slices(paths).interleave(unpack, 3, block_length=2)))
""",
    "TF303": """
print(crc(pairs.map(scale, num_parallel_calls=2).shuffle(50, seed=2).repeat(2).batch(64)))
""",
    "TF307": """
few = photos.map(decode).cache().take(9)
for epoch in range(10):
    for image in few:
        print(int(tf.reduce_sum(tf.cast(image, tf.int32))))
""",
    "TF308": "print(crc(photos.map(decode).shuffle(40)))\n",
    "TF310": "print(crc(examples.map(parse).shuffle(50, seed=2).batch(64)))\n",
    "TF311": """
shown = pairs.shuffle(50, seed=1, reshuffle_each_iteration=False).batch(16)
shown = shown.map(lambda x, y: (tf.cast(x, tf.float32), y))
for step in range(12):
    print(float(tf.reduce_sum(next(iter(shown))[0])))
""",
}


def printed(text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.tensorflow
def test_safe_edits_change_no_results() -> None:
    """All in one program, as starting TensorFlow takes longer than the rest."""
    before = RUN + "".join(SAME.values())
    edits: list[Edit] = []
    for code in SAME:
        (finding,) = find_page(code).in_source(Module.of(before))
        (way,) = finding.alternatives
        assert way.safety == "safe"
        edits += way.edits
    after = apply(before.encode(), edits).decode()
    assert after.count("parse_single_example") == 0
    for code in SAME:
        assert list(find_page(code).in_source(Module.of(after))) == []
    assert printed(after) == printed(before)
