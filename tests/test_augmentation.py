"""The augmentation example with nothing but the bridge's import changed: as TensorFlow's ops."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
pytest.importorskip("keras")

from unslow.native import refusals  # noqa: E402

EXAMPLE = Path(__file__).parent.parent / "examples" / "augment.py"
IMPORT = "import tensorflow as tf\n"
BRIDGE = "tf.numpy_function(augment, [image, seed], tf.float32)"
OURS = BRIDGE.replace("tf.", "unslow.", 1)
DRAWS = 24


def example(folder: Path, name: str, source: str) -> Any:
    """A module of this source."""
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def drawn(module: Any, files: list[str], first: int, count: int) -> Any:
    """What the module's pipeline makes of each photo, for `count` seeds from `first` on."""
    names = [name for name in files for _ in range(count)]
    seeds = np.arange(first, first + len(names))
    photos = tf.data.Dataset.from_tensor_slices(((names, np.zeros(len(names), int)), seeds))
    photos = photos.map(module.load_and_augment, num_parallel_calls=4)
    (batch,) = photos.map(lambda image, label: image).batch(len(names))
    return batch.numpy()


def test_it_runs_without_python_and_gives_the_same(tmp_path: Path) -> None:
    source = EXAMPLE.read_text(encoding="utf-8")
    assert source.count(BRIDGE) == source.count(IMPORT) == 1
    changed = source.replace(IMPORT, IMPORT + "import unslow\n").replace(BRIDGE, OURS)
    present = example(tmp_path, "augment_present", source)
    mended = example(tmp_path, "augment_mended", changed)
    # Dark with a bright corner: what is turned or mirrored shows.
    files = []
    for number in range(2):
        photo = np.full((96, 96, 3), 40, np.uint8)
        photo[8:40, 8 + 30 * number : 40] = 220
        files.append(str(tmp_path / f"{number}.jpg"))
        tf.io.write_file(files[-1], tf.io.encode_jpeg(photo, quality=100))
    refused = len(refusals())
    graph = tf.function(mended.load_and_augment).get_concrete_function(
        (tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)), tf.TensorSpec([], tf.int64)
    )
    assert len(refusals()) == refused
    definition = graph.graph.as_graph_def()
    nodes = [*definition.node, *(n for each in definition.library.function for n in each.node_def)]
    assert not {node.op for node in nodes} & {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
    # Its loops would take longer step by step than they do in Python.
    assert any(each.attr["_XlaMustCompile"].b for each in definition.library.function)
    found, wanted = drawn(mended, files, 0, DRAWS), drawn(present, files, 0, DRAWS)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert len({image.tobytes() for image in found}) == len(found)
