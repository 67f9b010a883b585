"""Whether a translation of a NumPy function gives what the function gives, and how fast."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from unslow.catalogue.border import _bridges, _draws
from unslow.catalogue.trial import Trial
from unslow.experiment.trials import Outcome, Tell, run_trial
from unslow.experiment.values.draws import compare_draws
from unslow.experiment.values.equality import Comparison, judge
from unslow.experiment.values.snapshot import Snapshot, take
from unslow.finding import Alternative
from unslow.recording.samples import BridgeCall

CALLS = 16
"""Calls that stand for the elements of a pipeline."""


@dataclass(frozen=True)
class Checked:
    """What came of one comparison.

    `name` says what the arguments were. `refused`: what the function itself raised, so that
    there is nothing to compare with. `failure`: what the translation raised.
    """

    name: str
    comparison: Comparison | None = None
    refused: str = ""
    failure: str = ""

    @property
    def is_equal(self) -> bool:
        return bool(self.refused) or (self.comparison is not None and bool(self.comparison.equal))


def check(
    original: Callable[..., Any],
    translated: Callable[..., Any],
    cases: Iterable[tuple[str, tuple[Any, ...]]],
    seeds: Sequence[int] | None = None,
) -> Iterator[Checked]:
    """Call both with the same arrays and compare what they return.

    Each is given copies. What the function gives in two calls is compared first: where it
    differs by itself, only the distribution of its numbers is compared. `seeds`: the
    translation draws random numbers of its own, and the arguments at these places say which;
    then many draws of both are compared.
    """
    for name, arguments in cases:
        if seeds is not None:
            yield _drawn(name, original, translated, arguments, seeds)
            continue
        once, why = _called(original, arguments)
        again, _ = _called(original, arguments)
        if once is None or again is None:
            yield Checked(name, refused=why)
            continue
        other, why = _called(translated, arguments)
        if other is None:
            yield Checked(name, failure=why)
        else:
            yield Checked(name, judge(once, again, other))


def _drawn(
    name: str,
    original: Callable[..., Any],
    translated: Callable[..., Any],
    arguments: tuple[Any, ...],
    seeds: Sequence[int],
) -> Checked:
    """Compare many draws of both for the same arguments but seeds."""
    import numpy as np

    call = BridgeCall(original, arguments)
    began = time.perf_counter()
    first, why = _called(original, _draws.redrawn([call], seeds, 1, 0)[0].arguments)
    if first is None:
        return Checked(name, refused=why)
    count = _draws.count_of([call], time.perf_counter() - began, 1)
    columns = []
    for function, times, stream in ((original, 2 * count, 0), (translated, count, 1)):
        drawn = []
        for each in _draws.redrawn([call], seeds, times, stream):
            arrays, why = _arrays(function, each.arguments)
            if arrays is None:
                if function is original:
                    return Checked(name, refused=why)
                return Checked(name, failure=why)
            drawn.append(arrays)
        if len({str([each.shape for each in arrays]) for arrays in drawn}) > 1:
            return Checked(name, Comparison(False, where="the shape of the result is random"))
        columns.append([np.stack(column) for column in zip(*drawn, strict=True)])
    if len(columns[0]) != len(columns[1]):
        where = f"{len(columns[0])} results against {len(columns[1])}"
        return Checked(name, Comparison(False, where=where))
    return Checked(name, compare_draws(columns[0], columns[1], inputs=1))


def measure(
    original: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], seconds: float, tell: Tell
) -> Iterator[Outcome]:
    """Measure the function behind a bridge, in a parallel map, against its other ways.

    `arguments`: one or more calls' arrays, alike in dtype and shape.
    """
    calls = [_call(original, each) for each in arguments]
    began = time.perf_counter()
    _called(original, arguments[0])
    each = time.perf_counter() - began
    for trial in _bridges.trials(calls, each, pipeline=True, threads=os.cpu_count() or 1):
        if isinstance(trial, Trial):
            for outcome in run_trial(trial, seconds, tell):
                if isinstance(outcome, Outcome):
                    yield outcome


def best(outcomes: Iterable[Outcome]) -> Alternative | None:
    """The fastest way with equal results that a program could take, if one is faster."""
    proven = [outcome.alternative for outcome in outcomes if outcome.wins]
    return max(proven, key=lambda each: each.proof.ratio if each.proof else 0.0, default=None)


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> BridgeCall:
    import numpy as np

    returned = function(*_copies(arguments))
    single = not isinstance(returned, (list, tuple))
    results = [np.asarray(each) for each in ([returned] if single else returned)]
    outputs = tuple((each.dtype, each.shape) for each in results)
    return BridgeCall(function, tuple(_copies(arguments)), outputs=outputs, single=single)


def _copies(arguments: tuple[Any, ...]) -> list[Any]:
    """The arguments as a bridge gives them: arrays of its own, and scalars."""
    return [each.copy()[()] for each in arguments]


def _arrays(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[list[Any] | None, str]:
    """The arrays in what a function returns, or `None` and what it raises."""
    import tensorflow as tf

    returned, why = _returned(function, arguments)
    return (None, why) if why else (tf.nest.flatten(returned), "")


def _called(
    function: Callable[..., Any], arguments: tuple[Any, ...]
) -> tuple[Snapshot | None, str]:
    """What a function returns as arrays, or `None` and what it raises."""
    returned, why = _returned(function, arguments)
    return (None, why) if why else (take(returned), "")


def _returned(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, str]:
    """What a function returns as arrays, and what it raises instead."""
    import numpy as np
    import tensorflow as tf

    try:
        # Overflow and division by zero are part of what is compared.
        with np.errstate(all="ignore"):
            returned = function(*_copies(arguments))
        return tf.nest.map_structure(np.asarray, returned), ""
    except Exception as error:
        first = next(iter(str(error).strip().splitlines()), "")
        return None, f"{type(error).__name__}: {first[:160]}".rstrip(": ")
