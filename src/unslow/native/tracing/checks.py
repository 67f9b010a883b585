"""What NumPy and TensorFlow raise for and XLA does not: noted, and told afterwards.

A branch that is not taken notes nothing, nor do rounds of a loop that are not run: what is noted
is stored as arrays are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.tracing.state import isolated, session
from unslow.native.tracing.surroundings import compiled
from unslow.native.tracing.views import as_tensor, is_known

MESSAGE = (
    "NumPy raises here: an index out of bounds, a whole number divided by 0 or to a negative "
    "power, a slice that is assigned another number of values, or random numbers from a negative "
    "seed or an empty range"
)


def asked() -> bool:
    """Whether anybody asks: else nothing is to be made for an answer."""
    return session().wrong is not None and compiled()


def note(name: str, *operands: Any) -> None:
    """Note whether a comparison, an op of TensorFlow's by name, holds for any element.

    The operands are tensors or known numbers of one dtype.
    """
    noted = session().wrong
    if noted is None or not asked():
        return
    wrong = ops.call(name, *[as_tensor(each) for each in operands])
    if wrong.shape.rank != 0:
        wrong = ops.call("tf.reduce_any", wrong)
    before = noted.read()
    noted.put(wrong if is_known(before) else ops.call("tf.logical_or", before, wrong))


def note_outside(index: Any, size: Any) -> None:
    """Note whether a whole number of `index`, counted from the start, is none of `size` places."""
    if not asked():
        return
    dtype = index.dtype if is_known(index) else index.dtype.as_numpy_dtype
    if not isinstance(size, int):
        size = ops.call("tf.cast", size, np.dtype(dtype).name)
    note("tf.less", index, np.zeros((), dtype))
    note("tf.greater_equal", index, np.asarray(size, dtype) if isinstance(size, int) else size)


def zero_unless(wrong: Any) -> Any:
    """A zero of int64, but that what is computed of it raises where a scalar truth is true."""
    if not compiled():
        # XLA takes the nearest place, which is why it is noted there.
        return ops.call("tf.gather", np.zeros(1, np.int64), ops.call("tf.cast", wrong, "int32"))
    note("tf.identity", wrong)
    return ops.call("tf.constant", np.int64(0))


def unless_wrong(test: Any) -> Any:
    """The test of a loop, which ends as soon as something is wrong: else it might never do so."""
    noted = session().wrong
    if noted is None or is_known(noted.read()):
        return test
    return ops.call("tf.logical_and", test, ops.call("tf.logical_not", noted.read()))


def note_as_in(test: Callable[[], Any]) -> None:
    """Note what the last test of a loop notes, which changes nothing else."""
    noted = session().wrong
    if noted is None or not asked():
        return
    changes = isolated(test)[1]
    if (noted, "value") in changes:
        noted.put(changes[noted, "value"])
