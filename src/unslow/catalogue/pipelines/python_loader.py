"""TF313: batches are put together by Python, one file after the other."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unslow.catalogue.page import Page
from unslow.catalogue.pipelines import _functions
from unslow.finding import Finding
from unslow.source.module import Module

SEQUENCES = frozenset({"keras.utils.Sequence", "keras.utils.PyDataset"})

GENERATOR = "keras.preprocessing.image.ImageDataGenerator"

FROM_FILES = ("flow_from_directory", "flow_from_dataframe")

TURNS = ("rotation_range", "shear_range", "zoom_range", "width_shift_range", "height_shift_range")

READERS = frozenset(
    {
        *("cv2.imread", "PIL.Image.open", "skimage.io.imread", "imageio.imread"),
        *("imageio.v2.imread", "imageio.v3.imread", "matplotlib.pyplot.imread"),
        *("matplotlib.image.imread", "numpy.load", "numpy.loadtxt", "numpy.fromfile"),
        *("keras.utils.load_img", "keras.preprocessing.image.load_img", "librosa.load"),
        *("soundfile.read", "nibabel.load", "pydicom.dcmread", "tifffile.imread"),
    }
)


class PythonLoader(Page):
    """A Keras `Sequence` or `ImageDataGenerator` loads its files one by one in Python.

    ## What it is
    A class derived from `keras.utils.Sequence` or `PyDataset` whose `__getitem__` reads or
    decodes files in a Python loop. Or an `ImageDataGenerator` that reads files, or that
    turns, shears or zooms images.

    ## Why it is slow
    Unless `workers` is given, one thread prepares all batches, and the model waits for it.
    More threads help only with what releases the interpreter lock; more processes help, and
    each batch is then copied between them. A `tf.data` pipeline reads and decodes on all
    cores without the lock: often 4x faster.

    ## When it does not matter
    A `Sequence` that slices arrays in memory. Small images that are only flipped or scaled:
    NumPy does that in microseconds. A model that takes longer for a batch than the loader.

    ## What to do
    `keras.utils.image_dataset_from_directory` reads folders of images as a `tf.data`
    pipeline, and layers such as `keras.layers.RandomRotation` turn them in batches. For
    other files, write a `tf.data` pipeline: `from_tensor_slices(paths)`, `map` with TensorFlow
    ops, `batch`. Where the work must stay in Python, give the loader `workers` and
    `use_multiprocessing=True`.

    ## Safety of the fix
    No automatic fix. Decoders and resizing methods differ in their last digits, and random
    augmentations draw other numbers: compare a few batches, and the accuracy, of both.
    """

    code = "TF313"
    name = "python-loader"
    also = frozenset({"TF301", "TF312", "TF406"})
    by_default = False

    slow = """\
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(26)
folder = tempfile.TemporaryDirectory()
paths = [os.path.join(folder.name, f"{number}.bin") for number in range(1_200)]
for path, row in zip(paths, rng.integers(0, 256, size=(1_200, 32, 32, 3)).astype("uint8")):
    row.tofile(path)
light = rng.normal(size=(1_200, 1)).astype("float32")


class Photos(keras.utils.Sequence):  # <- slow
    def __len__(self):
        return len(paths) // 100

    def __getitem__(self, index):
        chosen = slice(100 * index, 100 * index + 100)
        photos = [np.fromfile(path, "uint8").reshape(32, 32, 3) / 255.0 for path in paths[chosen]]
        return np.stack(photos).astype("float32"), light[chosen]


keras.utils.set_random_seed(1)
layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
model = keras.Sequential(layers)
model.compile("sgd", "mse")
error = model.evaluate(Photos(), verbose=0)
folder.cleanup()
print(f"error {error:.2f}")
"""

    fast = """\
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(26)
folder = tempfile.TemporaryDirectory()
paths = [os.path.join(folder.name, f"{number}.bin") for number in range(1_200)]
for path, row in zip(paths, rng.integers(0, 256, size=(1_200, 32, 32, 3)).astype("uint8")):
    row.tofile(path)
light = rng.normal(size=(1_200, 1)).astype("float32")


def to_photos(data):
    pixels = tf.io.decode_raw(data, tf.uint8, fixed_length=32 * 32 * 3)
    return tf.cast(tf.reshape(pixels, (-1, 32, 32, 3)), tf.float32) / 255.0


photos = tf.data.FixedLengthRecordDataset(paths, 32 * 32 * 3).batch(100).map(to_photos)
batches = tf.data.Dataset.zip((photos, tf.data.Dataset.from_tensor_slices(light).batch(100)))

keras.utils.set_random_seed(1)
layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
model = keras.Sequential(layers)
model.compile("sgd", "mse")
error = model.evaluate(batches, verbose=0)
folder.cleanup()
print(f"error {error:.2f}")
"""

    fine = (
        """\
import keras
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(27)
series = rng.normal(size=(600, 3)).astype("float32")
photos = rng.integers(0, 256, size=(60, 16, 16, 3)).astype("float32")
kinds = rng.integers(0, 2, size=(60, 1)).astype("float32")


class Windows(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, index):
        starts = np.arange(index * 90, index * 90 + 90)
        windows = series[starts[:, None] + np.arange(10)]
        return windows.reshape(90, 30), series[starts + 10, :1]


keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.evaluate(Windows(), verbose=0)

flips = tf.keras.preprocessing.image.ImageDataGenerator(
    rescale=1 / 255, horizontal_flip=True
)
images, _ = next(flips.flow(photos, kinds, batch_size=20, seed=1))
print(images.shape)
""",
    )

    def in_source(self, module: Module) -> Iterator[Finding]:
        """Keras loaders in Python that read files, or turn images, one after the other."""
        for definition in module.nodes(ast.ClassDef):
            reader = _reader(definition, module)
            if reader is None or module.guarded(definition) or _has_workers(module):
                continue
            message = (
                f"{definition.name} reads its files one after the other in Python "
                f"({reader}), in one thread unless workers are given: the model waits for it."
            )
            yield self.suspicion(module, definition, message, {"reader": reader})
        for call in module.calls_to(GENERATOR):
            if module.guarded(call):
                continue
            why = _costly_generator(call, module)
            if why is not None and not _has_workers(module):
                message = (
                    f"ImageDataGenerator {why} image after image in Python, in one thread "
                    "unless workers are given: the model waits for it."
                )
                yield self.suspicion(module, call, message, {"why": why})
                return


def _has_workers(module: Module) -> bool:
    return any(
        keyword.arg in ("workers", "use_multiprocessing")
        for call in module.calls()
        for keyword in call.keywords
    )


def _reader(definition: ast.ClassDef, module: Module) -> str | None:
    """What a Keras `Sequence` reads files with, in a loop over them."""
    bases = {module.qualified(base) for base in definition.bases}
    if bases.isdisjoint(SEQUENCES):
        return None
    for method in definition.body:
        if not isinstance(method, ast.FunctionDef) or method.name != "__getitem__":
            continue
        for loop in ast.walk(method):
            if not isinstance(loop, (ast.For, ast.ListComp, ast.GeneratorExp)):
                continue
            for call in ast.walk(loop):
                if not isinstance(call, ast.Call) or loop not in module.loops(call):
                    continue
                name = module.qualified(call.func)
                names = {name} if name else set()
                inner = None if name else _functions.reached(call.func, module)
                names |= inner.names if inner is not None else set()
                found = sorted(names & READERS)
                if found:
                    return found[0]
    return None


def _costly_generator(call: ast.Call, module: Module) -> str | None:
    """What an `ImageDataGenerator` does that takes long; `None` where that is not known."""
    for keyword in call.keywords:
        if keyword.arg in TURNS and module.constant(keyword.value) not in (0, 0.0, None):
            return "turns, shears or zooms"
    parent = module.parent(call)
    if isinstance(parent, ast.Attribute) and parent.attr in FROM_FILES:
        return "reads and decodes"
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return None
    name = parent.targets[0]
    home = module.home(name)
    for use in module.uses(name.id):
        attribute = module.parent(use)
        if (
            isinstance(attribute, ast.Attribute)
            and attribute.attr in FROM_FILES
            and module.home(use) is home
        ):
            return "reads and decodes"
    return None
