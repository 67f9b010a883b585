"""Calls of NumPy's random numbers: NumPy's own where a seed says which, else TensorFlow's."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native.dispatch import any_traced, known, ours
from unslow.native.kit import refuse
from unslow.native.lowering.distributions import TensorFlowGenerator
from unslow.native.lowering.drawing import consent
from unslow.native.lowering.numpy_numbers import NumpyGenerator
from unslow.native.tracing.state import session

CONSENT = consent("random numbers")


def draw(owner: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of np.random, or a method of one of its generators.

    Raises:
        Untranslatable: there is no consent to other numbers of the same distribution.
    """
    current = session()
    made = _made(current)
    if function in (np.random.default_rng, np.random.RandomState):
        given = (*args, *kwargs.values())
        seed = given[0] if given else None
        if seed is not None and not any_traced(given):
            if isinstance(seed, np.random.Generator):
                return seed
            generator = function(*known(args), **known(kwargs))
            made.append(generator)
            return generator
        if seed is not None and function is np.random.default_rng and current.random is None:
            return NumpyGenerator(seed)
        refuse(current.random is None, CONSENT)
        return TensorFlowGenerator(seed, function is np.random.RandomState)
    if any(owner is each for each in made):
        # Its numbers are always the same ones.
        refuse(current.journals, "a seeded generator is used in a branch or loop of the graph")
        refuse(any_traced(args, kwargs), "a seeded generator is given values of the graph")
        refuse(function.__name__ in ("shuffle",), "a seeded generator shuffles an array")
        return ours(function(*known(args), **known(kwargs)))
    refuse(current.random is None, CONSENT)
    name = function.__name__
    if name == "seed":
        return None
    legacy = not isinstance(owner, np.random.Generator)
    outside = getattr(current, "outside", None)
    if outside is None or current.journals:
        outside = TensorFlowGenerator(None, legacy)
        if not current.journals:
            current.outside = outside  # type: ignore[attr-defined]
    outside.legacy = legacy
    return getattr(outside, name)(*args, **kwargs)


def _made(current: Any) -> list[Any]:
    found: list[Any] = current.__dict__.setdefault("generators", [])
    return found
