"""Functions of scikit-image and SciPy as OpenCV has them, which releases the interpreter lock.

Each takes what the library's function takes and raises `Unfit` for all but those calls that
mean the same in OpenCV: linear interpolation of images in floating point.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any

from unslow.catalogue.trial import Unfit

LIBRARIES = {"skimage.transform": "scikit-image", "scipy.ndimage": "SciPy"}

SKIMAGE_BORDERS = {
    "constant": "BORDER_CONSTANT",
    "edge": "BORDER_REPLICATE",
    "symmetric": "BORDER_REFLECT",
    "reflect": "BORDER_REFLECT_101",
    "wrap": "BORDER_WRAP",
}
SCIPY_BORDERS = {
    "grid-constant": "BORDER_CONSTANT",
    "nearest": "BORDER_REPLICATE",
    "reflect": "BORDER_REFLECT",
    "grid-mirror": "BORDER_REFLECT",
    "mirror": "BORDER_REFLECT_101",
    "grid-wrap": "BORDER_WRAP",
}
"""SciPy's "constant" does not interpolate beyond the outermost pixels; OpenCV does."""


def is_installed() -> bool:
    """Whether OpenCV can be imported."""
    return "cv2" in sys.modules or importlib.util.find_spec("cv2") is not None


def replacements() -> dict[str, Callable[..., Any]]:
    """OpenCV's way by the full name of the library's function."""
    return {
        "skimage.transform.rotate": skimage_rotate,
        "skimage.transform.resize": skimage_resize,
        "skimage.transform.warp": skimage_warp,
        "scipy.ndimage.rotate": scipy_rotate,
        "scipy.ndimage.gaussian_filter": scipy_gaussian_filter,
    }


def skimage_rotate(
    image: Any,
    angle: float,
    resize: bool = False,
    center: Any = None,
    order: int | None = None,
    mode: str = "constant",
    cval: float = 0,
    clip: bool = True,
    preserve_range: bool = False,
) -> Any:
    """`skimage.transform.rotate`; floating-point images are not scaled, whatever the range.

    Raises:
        Unfit: OpenCV has no such rotation.
    """
    _need(not resize and order in (None, 1), "a rotation that resizes, or of another order than 1")
    border = _border(SKIMAGE_BORDERS, mode)
    return _rotated(_image(image), angle, center, border, cval)


def scipy_rotate(
    input: Any,
    angle: float,
    axes: tuple[int, int] = (1, 0),
    reshape: bool = True,
    output: Any = None,
    order: int = 3,
    mode: str = "constant",
    cval: float = 0.0,
    prefilter: bool = True,
) -> Any:
    """`scipy.ndimage.rotate` in the plane of the first two axes.

    Raises:
        Unfit: OpenCV has no such rotation.
    """
    plain = not reshape and output is None and order == 1 and sorted(axes) == [0, 1]
    _need(plain, "a rotation that reshapes, or of another order than 1")
    return _rotated(_image(input), angle, None, _border(SCIPY_BORDERS, mode), cval)


def skimage_warp(
    image: Any,
    inverse_map: Any,
    map_args: Any = None,
    output_shape: Any = None,
    order: int | None = None,
    mode: str = "constant",
    cval: float = 0.0,
    clip: bool = True,
    preserve_range: bool = False,
) -> Any:
    """`skimage.transform.warp` by an affine map.

    Raises:
        Unfit: OpenCV has no such warp.
    """
    import numpy as np

    cv2 = _cv2()

    matrix = np.asarray(getattr(inverse_map, "params", inverse_map))
    affine = matrix.shape == (3, 3) and matrix.dtype.kind == "f" and (matrix[2] == [0, 0, 1]).all()
    _need(bool(affine) and not map_args and order in (None, 1), "a warp that is not affine")
    image = _image(image)
    height, width = (image.shape if output_shape is None else output_shape)[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = _border(SKIMAGE_BORDERS, mode)
    return cv2.warpAffine(
        image, matrix[:2], (width, height), flags=flags, borderMode=border, borderValue=(cval,) * 4
    )


def skimage_resize(
    image: Any,
    output_shape: Any,
    order: int | None = None,
    mode: str = "reflect",
    cval: float = 0,
    clip: bool = True,
    preserve_range: bool = False,
    anti_aliasing: bool | None = None,
    anti_aliasing_sigma: Any = None,
) -> Any:
    """`skimage.transform.resize` without a filter.

    Raises:
        Unfit: OpenCV has no such resizing.
    """
    cv2 = _cv2()
    image = _image(image)
    height, width = output_shape[:2]
    smaller = height < image.shape[0] or width < image.shape[1]
    larger = height > image.shape[0] or width > image.shape[1]
    _need(tuple(output_shape[2:]) in ((), image.shape[2:]), "a resizing of the channels")
    _need(order in (None, 1), "a resizing of another order than 1")
    _need(not (smaller if anti_aliasing is None else anti_aliasing), "a resizing that filters")
    # Only a larger image reads beyond the outermost pixels.
    _need(not larger or mode in ("edge", "symmetric"), f"a resizing in mode {mode!r}")
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def scipy_gaussian_filter(
    input: Any,
    sigma: Any,
    order: int = 0,
    output: Any = None,
    mode: str = "reflect",
    cval: float = 0.0,
    truncate: float = 4.0,
    *,
    radius: Any = None,
    axes: Any = None,
) -> Any:
    """`scipy.ndimage.gaussian_filter` along the first two axes.

    Raises:
        Unfit: OpenCV has no such filter.
    """
    import numpy as np

    cv2 = _cv2()

    image = _image(input)
    plain = order == 0 and output is None and radius is None and axes is None
    sigmas = np.broadcast_to(np.asarray(sigma, float), (image.ndim,)).tolist()
    _need(plain and (image.ndim == 2 or sigmas[2] == 0), "a filter across the channels")
    _need(min(sigmas[:2]) > 0, "a filter along one axis")
    _need(mode not in ("grid-wrap", "grid-constant") or cval == 0, "such a border of a filter")
    border = _border(SCIPY_BORDERS, mode)
    _need(border != cv2.BORDER_WRAP, "such a border of a filter")
    rows, columns = (2 * int(truncate * each + 0.5) + 1 for each in sigmas[:2])
    return cv2.GaussianBlur(
        image, (columns, rows), sigmaX=sigmas[1], sigmaY=sigmas[0], borderType=border
    )


def _rotated(image: Any, angle: float, center: Any, border: int, fill: float) -> Any:
    cv2 = _cv2()
    height, width = image.shape[:2]
    if center is None:
        center = (width - 1) / 2, (height - 1) / 2
    matrix = cv2.getRotationMatrix2D(tuple(map(float, center)), float(angle), 1)
    return cv2.warpAffine(
        image, matrix, (width, height), borderMode=border, borderValue=(float(fill),) * 4
    )


def _cv2() -> Any:
    return importlib.import_module("cv2")


def _image(image: Any) -> Any:
    """The image, if it is one of floating-point numbers with at most four channels."""
    import numpy as np

    image = np.asarray(image)
    _need(image.dtype in (np.float32, np.float64), f"images of {image.dtype}")
    channels = image.ndim == 2 or (image.ndim == 3 and 2 <= image.shape[2] <= 4)
    _need(channels and image.size > 0, f"images of shape {image.shape}")
    return image


def _border(borders: dict[str, str], mode: str) -> int:
    cv2 = _cv2()
    _need(mode in borders, f"the mode {mode!r}")
    return int(getattr(cv2, borders[mode]))


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise Unfit(f"OpenCV has nothing that is the same for {what}")
