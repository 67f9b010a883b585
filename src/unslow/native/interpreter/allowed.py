"""What may be called while the graph is made: it has no effect, and always gives the same."""

from __future__ import annotations

import collections
import decimal
import fractions
import functools
import inspect
import itertools
import operator
import sys
import types
from typing import Any

import numpy as np

from unslow.native.methods import METHODS


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BUILTINS = _names(
    "ascii bin bool bytearray bytes chr complex dict float frozenset hex int issubclass list "
    "object oct ord set slice str tuple"
)
_STANDARD: dict[str, frozenset[str]] = {
    "functools": frozenset({"partial", "reduce"}),
    "string": frozenset({"capwords"}),
    "fractions": frozenset({"Fraction"}),
    "decimal": frozenset({"Decimal"}),
    "bisect": frozenset({"bisect", "bisect_left", "bisect_right"}),
    "heapq": frozenset({"nlargest", "nsmallest", "merge"}),
    "copy": frozenset({"copy", "deepcopy"}),
    "types": frozenset({"SimpleNamespace", "MappingProxyType"}),
    "typing": frozenset({"cast"}),
    "dataclasses": frozenset({"asdict", "astuple", "fields", "is_dataclass"}),
    "collections": frozenset(
        {"Counter", "OrderedDict", "defaultdict", "deque", "namedtuple", "ChainMap"}
    ),
}
_WHOLE = {"math", "cmath", "itertools", "operator", "_operator", "statistics"}
"""Modules of the standard library that are allowed but for what `_NOT` names."""

_NUMPY = (
    "numpy",
    "numpy.linalg",
    "numpy.fft",
    "numpy.lib.stride_tricks",
    "numpy.lib.scimath",
    "numpy.ma",
    "numpy.char",
    "numpy.strings",
    "numpy.polynomial",
    "numpy.polynomial.polynomial",
    "numpy.polynomial.chebyshev",
    "numpy.polynomial.legendre",
    "numpy.polynomial.hermite",
    "numpy.polynomial.hermite_e",
    "numpy.polynomial.laguerre",
    "numpy.polynomial.polyutils",
)
_LIBRARIES = (
    "scipy.ndimage",
    "scipy.signal",
    "scipy.signal.windows",
    "scipy.special",
    "scipy.linalg",
    "scipy.fft",
    "scipy.fftpack",
    "scipy.spatial.distance",
    "skimage.transform",
    "skimage.morphology",
    "skimage.draw",
    "skimage.filters",
    "skimage.color",
    "skimage.exposure",
    "skimage.util",
)
_OPENCV = _names(
    "getRotationMatrix2D getAffineTransform getPerspectiveTransform invertAffineTransform "
    "getStructuringElement getGaussianKernel getGaborKernel getDerivKernels"
)
_PILLOW = frozenset({"fromarray", "new", "merge", "blend", "composite", "alpha_composite"})
_FILES = _names(
    "genfromtxt fromregex loadtxt savetxt load save savez savez_compressed fromfile memmap info "
    "DataSource show_config show_runtime disp try_all_threshold"
)
_SETTINGS = _names(
    "seterr seterrcall seterrobj setbufsize set_printoptions set_string_function geterr geterrcall "
    "geterrobj getbufsize get_printoptions printoptions set_numeric_ops set_workers get_workers "
    "set_backend set_global_backend register_backend skip_backend"
)
_CHANGING = _names(
    "setitem delitem iadd iand iconcat ifloordiv ilshift imod imul imatmul ior ipow irshift isub "
    "itruediv ixor"
)
"""Functions of `operator` that change an argument."""
_ASKING = _names("attrgetter methodcaller call")
"""Functions of `operator` that run what an argument has."""
_DRAWING = _names("random_noise random_shapes NormalDist byte_bounds")
"""Other numbers at each call, or addresses."""
_NOT = _FILES | _SETTINGS | _CHANGING | _ASKING | _DRAWING

_RANDOM = ("rng", "random_state", "seed")
"""Arguments of functions that draw random numbers."""

_UNCHANGING: tuple[type, ...] = (
    str,
    bytes,
    int,
    float,
    complex,
    tuple,
    frozenset,
    range,
    slice,
    fractions.Fraction,
    decimal.Decimal,
    np.generic,
    np.dtype,
    types.MappingProxyType,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)
"""Types whose objects nobody can change, so that their methods only read."""

_CALLABLE = (operator.itemgetter, np.poly1d)
"""Types whose objects may be called."""

_LOOKS = frozenset({"__len__", "__contains__", "__getitem__"})
_OF_CLASSES = frozenset({"fromkeys", "from_bytes", "fromhex", "maketrans", "from_float", "_make"})
_OF_ARRAYS = (frozenset(METHODS) - {"fill", "put", "sort"}) | {"tobytes", "byteswap"} | _LOOKS
_OF_PICTURES = _names(
    "resize rotate transpose crop convert copy getpixel getbands split getbbox histogram"
)
_ROTATIONS = "scipy.spatial.transform"
_ROTATIONS_FROM = _names("from_euler from_matrix from_quat from_rotvec identity")
_OF_ROTATIONS = _names("as_euler as_matrix as_quat as_rotvec apply inv magnitude")
_OF_LISTS = frozenset({"copy", "count", "index"})
_OF_DICTIONARIES = frozenset(
    {"copy", "get", "items", "keys", "values", "most_common", "elements", "total"}
)
_OF_SETS = _names(
    "copy difference intersection isdisjoint issubset issuperset symmetric_difference union"
)
CHANGES = _names(
    "append extend insert pop remove clear sort reverse update setdefault popitem add discard "
    "difference_update intersection_update symmetric_difference_update subtract move_to_end "
    "appendleft popleft extendleft rotate"
)
"""Methods that change a container, and may if it was made by the function."""


def only_reads(owner: Any, name: str) -> bool:
    """Whether a method, that is not the user's, of an object or class only looks at it."""
    if isinstance(owner, np.ndarray):
        return name in _OF_ARRAYS
    if isinstance(owner, (list, collections.deque)):
        return name in _OF_LISTS | _LOOKS
    if isinstance(owner, dict):
        looks = {"__len__", "__contains__"} if hasattr(type(owner), "__missing__") else _LOOKS
        return name in _OF_DICTIONARIES | looks
    if isinstance(owner, set):
        return name in _OF_SETS | _LOOKS
    if owner is itertools.chain:
        return name == "from_iterable"
    if isinstance(owner, type) and owner.__module__.startswith(_ROTATIONS):
        return name in _ROTATIONS_FROM
    if isinstance(owner, type):
        return issubclass(owner, (*_UNCHANGING, dict)) and name in _OF_CLASSES
    if isinstance(owner, _UNCHANGING):
        return not name.startswith("__") or name in _LOOKS
    kind = type(owner).__module__
    if kind.partition(".")[0] == "PIL":
        return name in _OF_PICTURES
    return kind.startswith(_ROTATIONS) and name in _OF_ROTATIONS


def is_allowed(function: Any) -> bool:
    """Whether a function, type or object from another library may be called with known values."""
    if isinstance(function, _CALLABLE) or type(function).__module__.startswith(
        "skimage.transform."
    ):
        return True
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if owner is not None and not isinstance(owner, types.ModuleType):
        return only_reads(owner, name)
    module = str(getattr(function, "__module__", None) or getattr(owner, "__name__", ""))
    root = module.partition(".")[0].removeprefix("_")
    if name in _NOT or not name:
        return False
    if root == "builtins":
        return name in _BUILTINS
    if module in _WHOLE or root in _STANDARD:
        known = _STANDARD.get(root)
        return known is None or name in known
    if root == "PIL":
        return name in _PILLOW
    if module.startswith(_ROTATIONS):
        return name in _ROTATIONS_FROM
    if name in _OPENCV:
        return getattr(sys.modules.get("cv2"), name, None) is function
    return root in ("numpy", "scipy", "skimage") and is_public(function, name, _NUMPY + _LIBRARIES)


def is_of_numpy(function: Any) -> bool:
    """Whether it is one of NumPy's functions, and without effects."""
    name = getattr(function, "__name__", "")
    module = getattr(function, "__module__", None) or ""
    return module.startswith("numpy") and name not in _NOT and is_public(function, name, _NUMPY)


def is_public(function: Any, name: str, places: tuple[str, ...]) -> bool:
    """Whether a function is what some modules have under its name, and draws no random numbers."""
    root = str(getattr(function, "__module__", "")).partition(".")[0]
    for place in places:
        module = sys.modules.get(place)
        if module is None or place.partition(".")[0] != root:
            continue
        if getattr(module, name, None) is function:
            return root == "numpy" or not _draws(function)
    return False


@functools.lru_cache(maxsize=1024)
def _draws(function: Any) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return any(name in parameters for name in _RANDOM)
