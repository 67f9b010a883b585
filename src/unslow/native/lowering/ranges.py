"""Numbers between two ends: evenly spaced, or as powers."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import call_numpy, lowers
from unslow.native.kit import (
    array_of,
    axis_number,
    cast,
    expected_dtype,
    fresh,
    integer,
    is_number,
    ndim,
    read,
    refuse,
    tensor,
)


@lowers(np.linspace)
def _linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    **kwargs: Any,
) -> Any:
    count = integer(num, "the number of elements")
    like = expected_dtype(np.linspace, start, stop, 3, dtype=dtype)
    wide = expected_dtype(np.linspace, start, stop, 3)
    first, last = tensor(start, wide), tensor(stop, wide)
    parts = count - 1 if endpoint else count
    rank = max(len(first.shape), len(last.shape))
    steps = np.arange(count, dtype=wide).reshape([-1] + [1] * rank)
    delta = ops.call("tf.subtract", last, first)
    if parts > 0:
        # In a wider dtype, as TensorFlow multiplies by the reciprocal of what is known.
        exact = "float64" if wide.kind == "f" else wide
        step = ops.call("tf.divide", cast(delta, exact), np.asarray(parts, exact))
        step = cast(step, wide)
        found = ops.call("tf.add", ops.call("tf.multiply", steps, step), first)
    else:
        step = None
        found = ops.call("tf.add", ops.call("tf.multiply", steps, delta), first)
    if endpoint and count > 1:
        end = ops.call("tf.broadcast_to", last, ops.call("tf.shape", ops.index(found, (0,))))
        found = ops.call(
            "tf.concat",
            [ops.index(found, (slice(None, -1),)), ops.call("tf.expand_dims", end, 0)],
            axis=0,
        )
    if np.dtype(like).kind in "iu":
        found = ops.call("tf.floor", found)
    result = _along(axis, fresh(cast(found, like)))
    if not retstep:
        return result
    return result, float("nan") if step is None else fresh(step)


@lowers(np.logspace)
def _logspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    refuse(not is_number(base) and ndim(array_of(base)), "several bases of np.logspace")
    powers = _linspace(start, stop, num, endpoint, axis=axis)
    found = call_numpy(np.power, (base, powers), {})
    return found if dtype is None else fresh(cast(read(found), dtype))


@lowers(np.geomspace)
def _geomspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    final = expected_dtype(np.geomspace, start, stop, 3, dtype=dtype)
    wide = expected_dtype(np.geomspace, start, stop, 3)
    refuse(wide.kind != "f", "np.geomspace of complex numbers")
    first, last = fresh(tensor(start, wide)), fresh(tensor(stop, wide))
    sign = call_numpy(np.sign, (first,), {})
    ends = [call_numpy(np.log10, (each / sign,), {}) for each in (first, last)]
    found = _logspace(*ends, num, endpoint, 10.0) * sign
    # NumPy, too, puts the ends there as they were.
    if len(found):
        found[0] = first
    if len(found) > 1 and endpoint:
        found[-1] = last
    return fresh(cast(read(_along(axis, found)), final))


def _along(axis: int, found: Any) -> Any:
    """Numbers that follow each other along the first axis, along another one."""
    if not axis_number(axis, ndim(found)):
        return found
    return call_numpy(np.moveaxis, (found, 0, axis), {})
