"""The program of `../resize_argmax.py`, made fast; it prints the same.

What changed, and why:
- The panorama becomes a float32 tensor once, before the loop over sizes, instead of a
  float64 array that every resize has to convert. So do the scores of the mosaic's tiles.
- Of a brighter picture the pixels that are counted come back to NumPy, not the whole.
- The rows are reduced along an axis instead of being taken out one by one.
- The squares are stacked by NumPy before they become a tensor.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

DATA = Path(__file__).resolve().parents[1] / "data"
TILE = 6
DEARER = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=240, help="photos to read (240)")
    parser.add_argument("--sizes", type=int, default=800, help="thumbnail sizes to try (800)")
    parser.add_argument("--exposures", type=int, default=1200, help="exposures to try (1200)")
    options = parser.parse_args()

    files = sorted((DATA / "photos").glob("*/*.jpg"))
    if not files or not (DATA / "panorama.jpg").exists():
        sys.exit("the photos are missing: make them with `python examples/make_data.py`")
    files = spread_over(files, options.images)

    panorama = load(DATA / "panorama.jpg")
    photos = [load(path) for path in files]
    print(f"read {len(photos)} photos and a panorama of {panorama.shape[1]}x{panorama.shape[0]}")

    width, difference = truest_thumbnail(panorama, options.sizes)
    print(f"the truest thumbnail is {width} pixels wide, off by {difference:.5f}")
    gain, clipped = brightest_exposure(panorama, options.exposures)
    print(f"exposure {gain:.2f} clips {clipped:.1%} of the panorama")
    uses = mosaic(panorama, photos)
    print(f"mosaic: photo {np.argmax(uses)} is used {uses.max()} times, {sum(uses == 0)} never")
    row, light = brightest_row(photos[::2])
    print(f"the brightest row is {row}, its peak {light:.3f} on average")
    sheet = contact_sheet(photos)
    print(f"contact sheet {sheet.shape}, mean {float(tf.reduce_mean(sheet)):.4f}")


def spread_over(files: list[Path], count: int) -> list[Path]:
    """At most `count` of the files, spread over all."""
    chosen = np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)
    return [files[index] for index in chosen]


def load(path: Path) -> np.ndarray:
    pixels: np.ndarray = tf.io.decode_jpeg(path.read_bytes(), channels=3).numpy()
    return pixels / 255.0


def truest_thumbnail(picture: np.ndarray, sizes: int) -> tuple[int, float]:
    """The width, of many tried, at which brightness spreads most like in the whole picture."""
    pixels = tf.constant(picture, tf.float32)
    spreads = []
    widths = np.linspace(32, 256, sizes).astype(int)
    for width in widths:
        small = tf.image.resize(pixels, (width * 3 // 4, width))
        spreads.append(tf.math.reduce_std(small))
    differences = np.abs(tf.stack(spreads).numpy() - picture.std())
    best = int(np.argmin(differences))
    return int(widths[best]), float(differences[best])


def brightest_exposure(picture: np.ndarray, steps: int) -> tuple[float, float]:
    """Raise the exposure step by step until a twentieth of the picture is clipped."""
    light = tf.constant(picture, tf.float32)
    gains = np.linspace(1.0, 3.0, steps)
    clipped = []
    for gain in gains:
        brighter = tf.multiply(light, gain)
        counted = brighter[::8, ::8].numpy()
        clipped.append(np.mean(counted > 1.0))
    last = np.searchsorted(clipped, 0.05)
    return float(gains[min(last, steps - 1)]), float(clipped[min(last, steps - 1)])


def mosaic(picture: np.ndarray, photos: list[np.ndarray]) -> np.ndarray:
    """How often each photo is a tile of a picture put together from photos.

    They are laid column by column; a photo that is used becomes dearer for the next ones.
    """
    rows, columns = picture.shape[0] // TILE, picture.shape[1] // TILE
    squares = picture[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE, 3)
    wanted = squares.mean(axis=(1, 3))
    offered = np.array([photo.mean(axis=(0, 1)) for photo in photos])
    # Twice the product less the square of the colour: largest at the smallest distance.
    scores = tf.constant(2 * wanted @ offered.T - (offered**2).sum(axis=1))
    uses = tf.zeros(len(photos), tf.int32)
    for column in range(columns):
        fit = tf.gather(scores, indices=column, axis=1)
        best = tf.argmax(fit - DEARER * tf.cast(uses, tf.float64), axis=1, output_type=tf.int32)
        uses += tf.math.bincount(best, minlength=len(photos))
    counts: np.ndarray = uses.numpy()
    return counts


def brightest_row(photos: list[np.ndarray]) -> tuple[int, float]:
    """The row whose brightest pixel is brightest, on average over the photos."""
    height = min(len(photo) for photo in photos)
    total = tf.zeros(height)
    for photo in photos:
        grey = tf.constant(photo[:height].mean(axis=-1), tf.float32)
        total += tf.reduce_max(grey, axis=1)
    mean = total / len(photos)
    best = int(tf.argmax(mean))
    return best, float(mean[best])


def contact_sheet(photos: list[np.ndarray]) -> tf.Tensor:
    """All photos in one tensor, cut to a square of 96 pixels from their middle."""
    squares = []
    for photo in photos:
        top, left = (photo.shape[0] - 96) // 2, (photo.shape[1] - 96) // 2
        squares.append(photo[top : top + 96, left : left + 96])
    return tf.convert_to_tensor(np.stack(squares), dtype=tf.float32)


if __name__ == "__main__":
    main()
