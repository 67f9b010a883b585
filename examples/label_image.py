"""Labels photos with a frozen MobileNet graph, then measures their colours in one session.

`label_image` does for one photo all that has to be done, and is called for each. The
second part keeps its session open.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

DATA = Path(__file__).resolve().parent / "data"
SIZE = (224, 224)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40, help="photos to label (40)")
    parser.add_argument("--graph", type=Path, default=DATA / "mobilenet.pb")
    options = parser.parse_args()

    files = sorted((DATA / "photos").glob("*/*.jpg"))
    if not files or not options.graph.exists():
        sys.exit("photos or graph are missing: make them with `python examples/make_data.py`")

    for path in spread_over(files, options.images):
        label, score = label_image(options.graph, path)
        print(f"{path.parent.name}/{path.name}: class {label:3}, score {score:.3f}")
    for name, colour in folder_colours(files).items():
        print(f"{name:<8} red {colour[0]:.3f} green {colour[1]:.3f} blue {colour[2]:.3f}")


def spread_over(files: list[Path], count: int) -> list[Path]:
    """At most `count` of the files, spread over all."""
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)
    return [files[index] for index in chosen]


def label_image(graph_file: Path, image_file: Path) -> tuple[int, float]:
    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(graph_file.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")  # planted: TF207
        image = tf.io.decode_jpeg(tf.io.read_file(str(image_file)), channels=3)
        image = tf.image.resize(image, SIZE) / 127.5 - 1.0
        batch = tf.expand_dims(image, 0)
        with tf.compat.v1.Session(graph=graph) as session:
            pixels = session.run(batch)
            scores = session.run("scores:0", feed_dict={"image:0": pixels})[0]
    best = int(np.argmax(scores))
    return best, float(scores[best])


def folder_colours(files: list[Path]) -> dict[str, np.ndarray]:
    """The mean colour of the photos of each folder."""
    colours: dict[str, list[np.ndarray]] = {}
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        contents = tf.compat.v1.placeholder(tf.string)
        picture = tf.io.decode_jpeg(contents, channels=3)
        for path in files:
            pixels = session.run(picture, feed_dict={contents: path.read_bytes()})
            small = session.run(tf.image.resize(pixels, (64, 64)) / 255.0)  # planted: TF208
            colours.setdefault(path.parent.name, []).append(small.mean(axis=(0, 1)))
    return {name: np.mean(found, axis=0) for name, found in colours.items()}


if __name__ == "__main__":
    main()
