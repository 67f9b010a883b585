"""One call of NumPy's: as TensorFlow ops through `unslow.native`, and by NumPy itself.

A suite of tests that is pointed at these calls sees what the ops give. Each call is compared
with NumPy too, so that a difference is seen whether or not the suite looks at it.
"""

from __future__ import annotations

import os
import pickle
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native import Untranslatable, native

NEAR = {
    "float16": 2e-3,
    "float32": 1e-5,
    "float64": 1e-11,
    "complex64": 2e-5,
    "complex128": 1e-11,
}
"""How far apart results may be, relative to their size."""


@dataclass
class Record:
    """What came of the calls of one test.

    `translated`: calls whose results were those of ops. `same`: those of them in which each result
    was the very one that NumPy gives. `refused`: names of functions with the
    reasons why they have no translation; NumPy's result was used. `raised`: calls in which
    NumPy raises an error and ops do not. `deviating`: results that are not NumPy's, and errors
    that are no refusals.
    """

    translated: int = 0
    same: int = 0
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    raised: Counter[str] = field(default_factory=Counter)
    deviating: list[str] = field(default_factory=list)


record = Record()
"""Of the test that is running."""


def begin() -> None:
    """Forget what came of earlier calls."""
    record.__init__()  # type: ignore[misc]


@dataclass(frozen=True)
class Settings:
    """`by_numpy`: nothing is translated. `open_sizes`: ops are made for sizes not yet known."""

    by_numpy: bool
    open_sizes: bool

    @classmethod
    def of_environment(cls) -> Settings:
        """What the command says to the process in which a suite runs."""
        wanted = os.environ.get("UNSLOW_CONFORMANCE", "").split()
        return cls("by-numpy" in wanted, "open-sizes" in wanted)


settings = Settings.of_environment()


def both(function: Callable[..., Any], args: Any, kwargs: Any, name: str = "") -> Any:
    """Call a function on arrays, and return what ops give, as arrays.

    What is refused is NumPy's result. Arguments are not changed.

    Raises:
        Exception: what NumPy raises.
    """
    name = name or function.__name__
    wanted, error = _by_numpy(function, args, kwargs)
    traced = any(isinstance(each, (np.ndarray, np.generic)) for each in leaves([args, kwargs]))
    if settings.by_numpy or not traced:
        if error is not None:
            raise error
        return wanted
    try:
        found = _by_ops(function, args, kwargs)
    except Untranslatable as refusal:
        if error is not None:
            raise error from None
        record.refused[name, refusal.reason] += 1
        return wanted
    except Exception as crash:
        text = str(crash).strip().partition("\n")[0]
        if error is None:
            record.deviating.append(_told(name, args, kwargs, f"{type(crash).__name__}: {text}"))
            return wanted
        raise error from None
    if error is not None:
        record.raised[f"{name}: {type(error).__name__}: {error}"] += 1
        raise error
    record.translated += 1
    record.same += _is_same(found, wanted)
    each_alone = isinstance(function, np.ufunc) and function.signature is None
    only_form = name in ("empty", "empty_like")
    if told := difference(found, wanted, each_alone=each_alone, only_form=only_form):
        record.deviating.append(_told(name, args, kwargs, told))
    return found


def _told(name: str, args: Any, kwargs: Any, what: str) -> str:
    given = [repr(each) for each in args] + [f"{key}={each!r}" for key, each in kwargs.items()]
    return f"{name}({', '.join(given)}): {what}"


def leaves(value: Any) -> list[Any]:
    """What lies in lists, tuples and dictionaries, at whatever depth."""
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in leaves(part)]
    if isinstance(value, dict):
        return leaves(list(value.values()))
    return [value]


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """The same lists, tuples and dictionaries with other leaves."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[mapped(function, each) for each in value])
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(function, each) for each in value)
    if isinstance(value, dict):
        return {key: mapped(function, each) for key, each in value.items()}
    return function(value)


def _by_numpy(function: Any, args: Any, kwargs: Any) -> tuple[Any, Exception | None]:
    def copied(value: Any) -> Any:
        return value.copy() if isinstance(value, np.ndarray) else value

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return function(*mapped(copied, args), **mapped(copied, kwargs)), None
        except Exception as error:
            return None, error


def _by_ops(function: Any, args: Any, kwargs: Any) -> Any:
    """The results of the function's ops, run as a graph."""
    given: list[Any] = []

    def placed(value: Any) -> Any:
        if not isinstance(value, (np.ndarray, np.generic)):
            return value
        if value.dtype.kind not in "biufc":
            raise Untranslatable(f"arrays of {value.dtype}")
        given.append(tf.constant(np.asarray(value)))
        return _Place(len(given) - 1)

    places = mapped(placed, (tuple(args), kwargs))
    compiled, structure = _compiled(function, places, given)
    results = iter(compiled(*given))
    return mapped(
        lambda each: np.array(next(results)) if tf.is_tensor(each) else each, structure[0]
    )


@dataclass(frozen=True)
class _Place:
    """Stands for an array among arguments."""

    number: int


def _compiled(function: Any, places: Any, given: list[Any]) -> tuple[Any, list[Any]]:
    """The function as a graph, and a list that then holds the structure of what it returns."""
    shapes = [[None] * t.shape.rank if settings.open_sizes else t.shape for t in given]
    signature = [tf.TensorSpec(shape, t.dtype) for shape, t in zip(shapes, given, strict=True)]
    key: Any = None
    try:
        key = function, pickle.dumps(places), tuple(signature)
        if key in _graphs:
            return _graphs[key]
    except (TypeError, AttributeError, pickle.PicklingError):
        key = None
    structure: list[Any] = []

    def graph(*tensors: Any) -> list[Any]:
        args, kwargs = mapped(
            lambda each: tensors[each.number] if isinstance(each, _Place) else each, places
        )
        structure[:] = [native(function)(*args, **kwargs)]
        return [each for each in leaves(structure[0]) if tf.is_tensor(each)]

    compiled = tf.function(graph, autograph=False, input_signature=signature)
    if key is not None:
        if len(_graphs) > 500:
            _graphs.clear()
        _graphs[key] = compiled, structure
    return compiled, structure


_graphs: dict[Any, tuple[Any, list[Any]]] = {}


def _is_same(found: Any, wanted: Any) -> bool:
    ours, theirs = leaves(found), leaves(wanted)
    if len(ours) != len(theirs) or any(each is None for each in [*ours, *theirs]):
        return False
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True)]
    return all(a.dtype == b.dtype and _bits(a) == _bits(b) for a, b in pairs)


def _bits(array: Any) -> tuple[Any, bytes]:
    """What tells arrays apart that are equal but for the sign of a zero; NaN is like NaN."""
    if array.dtype.kind == "c":
        array = np.stack([array.real, array.imag])
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.nan, array)
    return array.shape, array.tobytes()


def difference(
    found: Any, wanted: Any, *, each_alone: bool = False, only_form: bool = False
) -> str:
    """How a result differs from NumPy's, empty where it does not.

    With `each_alone` each element must be near, and a zero have its sign, else they must be near
    relative to the largest. Numbers that are too small to be normal are as good as zero:
    TensorFlow's kernels make zero of them. `only_form`: the values do not matter.
    """
    ours, theirs = leaves(found), leaves(wanted)
    if len(ours) != len(theirs):
        return f"{len(ours)} results, not {len(theirs)}"
    for one, other in zip(ours, theirs, strict=True):
        if other is None or one is None:
            if one is not other:
                return f"{one!r}, not {other!r}"
            continue
        one, other = np.asarray(one), np.asarray(other)  # noqa: PLW2901
        if one.dtype != other.dtype:
            return f"dtype {one.dtype}, not {other.dtype}"
        if one.shape != other.shape:
            return f"shape {one.shape}, not {other.shape}"
        if not only_form and not _near(one, other, each_alone):
            return f"{one!r}, not {other!r}"
    return ""


def _near(one: Any, other: Any, each_alone: bool) -> bool:
    near = NEAR.get(one.dtype.name, 0)
    if not near:
        return bool(np.array_equal(one, other))
    least = float(np.finfo(one.dtype).tiny)
    with np.errstate(all="ignore"):
        finite = np.abs(other[np.isfinite(other)]).astype(np.float64)
        scale = 0.0 if each_alone else float(finite.max(initial=1))
        if one.dtype.kind != "c":
            return _alike(one, other, near, near * scale + least, each_alone)
        # Of a complex number each part may be as far off as the whole is large.
        size = np.where(np.isfinite(other), np.abs(other), 0)
        away = near * np.maximum(size, scale) + least
        return all(
            _alike(getattr(one, part), getattr(other, part), near, away, each_alone)
            for part in ("real", "imag")
        )


def _alike(one: Any, other: Any, near: float, away: Any, signs: bool) -> bool:
    if not np.allclose(one, other, rtol=near, atol=away, equal_nan=True):
        return False
    zero = (one == 0) & (other == 0)
    return not signs or bool(np.all(np.signbit(one[zero]) == np.signbit(other[zero])))
