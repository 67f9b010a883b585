"""NumPy functions as ops, one by one, against NumPy: dtypes, shapes and values."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from native_cases import CASES, Case

from unslow.native import Untranslatable, native

pytestmark = pytest.mark.tensorflow

TOLERANCE = {
    "float16": 2e-3,
    "float32": 2e-5,
    "float64": 1e-10,
    "complex64": 5e-5,
    "complex128": 1e-10,
}


def flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [each for part in value for each in flat(part)]
    return [value]


def difference(found: Any, wanted: Any) -> str:
    """How a result differs from NumPy's, empty where it does not."""
    found, wanted = flat(found), flat(wanted)
    if len(found) != len(wanted):
        return f"{len(found)} results, not {len(wanted)}"
    for tensor, array in zip(found, wanted, strict=True):
        ours, theirs = np.asarray(tensor), np.asarray(array)
        if ours.dtype != theirs.dtype:
            return f"dtype {ours.dtype}, not {theirs.dtype}"
        if ours.shape != theirs.shape:
            return f"shape {ours.shape}, not {theirs.shape}"
        near = TOLERANCE.get(ours.dtype.name, 0)
        with np.errstate(all="ignore"):
            scale = np.nanmax(np.abs(theirs[np.isfinite(theirs)]), initial=1)
        if not np.allclose(
            ours, theirs, rtol=near, atol=near * scale, equal_nan=theirs.dtype.kind in "fc"
        ):
            return f"values {ours}, not {theirs}"
    return ""


def by_numpy(case: Case) -> Any:
    function, arguments = case
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*[each.copy() for each in arguments])


def traced(cases: list[Case], unknown: bool) -> tuple[list[Any], dict[int, Untranslatable]]:
    """The results of all cases in one graph, and the refusals by the cases' numbers."""
    refused: dict[int, Untranslatable] = {}
    structures: list[Any] = []

    def run(arguments: list[list[Any]]) -> list[Any]:
        refused.clear()
        structures.clear()
        results = []
        for place, (function, _) in enumerate(cases):
            try:
                result = native(function)(*arguments[place])
            except Untranslatable as error:
                refused[place] = error
                result = []
            results.append(tf.nest.flatten(result))
        return results

    given = [[tf.constant(each) for each in arguments] for _, arguments in cases]
    signature = [
        [tf.TensorSpec([None] * t.shape.rank if unknown else t.shape, t.dtype) for t in row]
        for row in given
    ]
    compiled = tf.function(run, autograph=False, input_signature=[signature])
    return compiled(given), refused


@pytest.mark.parametrize("family", CASES)
def test_what_numpy_does(family: str) -> None:
    cases = CASES[family]
    found, refused = traced(cases, unknown=False)
    problems = [
        f"{place}: refused: {error}"
        for place, error in refused.items()
        if "in NumPy 1" not in str(error)
    ]
    for place, case in enumerate(cases):
        if place not in refused:
            told = difference(found[place], by_numpy(case))
            if told:
                problems.append(f"{place} (line {case[0].__code__.co_firstlineno}): {told}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("family", CASES)
def test_what_numpy_does_with_sizes_that_are_not_known(family: str) -> None:
    cases = CASES[family]
    found, refused = traced(cases, unknown=True)
    problems = []
    for place, case in enumerate(cases):
        if place not in refused:
            told = difference(found[place], by_numpy(case))
            if told:
                problems.append(f"{place} (line {case[0].__code__.co_firstlineno}): {told}")
    assert not problems, "\n".join(problems)
    for error in refused.values():
        assert NEEDS_SIZES.search(str(error)), error
    assert len(refused) <= len(cases) * 0.35


NEEDS_SIZES = re.compile("known|hangs on|in NumPy 1")
"""What is refused when sizes are not known is refused for that."""


def test_nearly_all_cases_need_no_sizes() -> None:
    few = [case for cases in CASES.values() for case in cases[::3]]
    _, refused = traced(few, unknown=True)
    assert len(refused) <= 0.1 * len(few)


def test_there_are_enough_cases() -> None:
    assert sum(map(len, CASES.values())) >= 600


def test_a_difference_is_seen() -> None:
    wanted = np.array([1.0, np.nan], np.float32)
    assert not difference(wanted, wanted)
    for wrong in (wanted.astype(np.float64), wanted[None], wanted + 1, np.zeros(2, np.float32)):
        assert difference(wrong, wanted)
