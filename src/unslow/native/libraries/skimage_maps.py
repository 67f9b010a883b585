"""`skimage.transform`: the maps that are 3 by 3 matrices, with traced parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from unslow.native.libraries._arguments import library, need, static, traced
from unslow.native.libraries._sampling import number
from unslow.native.libraries.tolerance import Tolerance

LIBRARY = "skimage.transform"

TOLERANCES = {
    "AffineTransform": Tolerance(0, 0.0, 1e-12, "known values exact"),
    "EuclideanTransform": Tolerance(0, 0.0, 1e-12, "known values exact"),
    "SimilarityTransform": Tolerance(0, 0.0, 1e-12, "known values exact"),
    "ProjectiveTransform": Tolerance(0, 0.0, 1e-12, "known values exact"),
}


@dataclass(frozen=True)
class Map:
    """A map of the plane, by its homogeneous matrix [3, 3] in float64."""

    params: tf.Tensor

    @property
    def inverse(self) -> Map:
        return Map(tf.linalg.inv(self.params))

    def __add__(self, other: Any) -> Map:
        """This map, then the other."""
        return Map(tf.matmul(number(other.params, tf.float64), self.params))

    def __radd__(self, other: Any) -> Map:
        return Map(tf.matmul(self.params, number(other.params, tf.float64)))


def ProjectiveTransform(matrix: Any = None, **options: Any) -> Map:
    """`skimage.transform.ProjectiveTransform` by a 3 by 3 matrix."""
    return _made("ProjectiveTransform", matrix, {}, options)


def AffineTransform(
    matrix: Any = None,
    *,
    scale: Any = None,
    shear: Any = None,
    rotation: Any = None,
    translation: Any = None,
    **options: Any,
) -> Map:
    """`skimage.transform.AffineTransform`; a scale, rotation or translation may be a tensor."""
    given = {"scale": scale, "shear": shear, "rotation": rotation, "translation": translation}
    return _made("AffineTransform", matrix, given, options)


def EuclideanTransform(
    matrix: Any = None, *, rotation: Any = None, translation: Any = None, **options: Any
) -> Map:
    """`skimage.transform.EuclideanTransform`; a rotation or translation may be a tensor."""
    given = {"rotation": rotation, "translation": translation}
    return _made("EuclideanTransform", matrix, given, options)


def SimilarityTransform(
    matrix: Any = None,
    *,
    scale: Any = None,
    rotation: Any = None,
    translation: Any = None,
    **options: Any,
) -> Map:
    """`skimage.transform.SimilarityTransform`; all parameters may be tensors."""
    given = {"scale": scale, "rotation": rotation, "translation": translation}
    return _made("SimilarityTransform", matrix, given, options)


def _made(name: str, matrix: Any, given: dict[str, Any], options: dict[str, Any]) -> Map:
    """A map by the library where all is known, else by its formula."""
    what = f"skimage.transform.{name}"
    given = {key: value for key, value in given.items() if value is not None}
    if not traced(matrix) and not any(map(traced, given.values())):
        kind = getattr(library("skimage.transform"), name)
        known = {key: static(value, key) for key, value in given.items()}
        made = kind(**known, **options) if matrix is None else kind(static(matrix, ""), **options)
        need(made.params.shape == (3, 3), f"{what} of other than two dimensions.")
        return Map(tf.constant(made.params, tf.float64))
    need(not options, f"{what} with {', '.join(options)} is not matched.")
    if matrix is not None:
        need(not given, f"{what} of a matrix takes nothing else.")
        return Map(tf.ensure_shape(number(matrix, tf.float64), [3, 3]))
    need("shear" not in given, f"{what} with a shear and a traced parameter is not matched.")
    zero, one = tf.zeros([], tf.float64), tf.ones([], tf.float64)
    angle = tf.reshape(number(given.get("rotation", 0.0), tf.float64), [])
    scale_x, scale_y = _pair(given.get("scale", 1.0))
    x, y = _pair(given.get("translation", (0.0, 0.0)))
    cosine, sine = tf.cos(angle), tf.sin(angle)
    entries = [scale_x * cosine, -scale_y * sine, x, scale_x * sine, scale_y * cosine, y]
    return Map(tf.reshape(tf.stack([*entries, zero, zero, one]), [3, 3]))


def _pair(value: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Two float64 scalars from one number, from two, or from a tensor of them."""
    if isinstance(value, (tuple, list)):
        first, second = value
    elif tf.is_tensor(value) and value.shape.rank == 1:
        first, second = tf.unstack(value)
    else:
        first = second = value
    return tuple(tf.reshape(number(each, tf.float64), []) for each in (first, second))
