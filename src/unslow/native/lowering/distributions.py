"""Random numbers of TensorFlow's: others than NumPy's, of the same distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.kit import Array, as_tensor, cast, is_known, ndim, read, refuse, tensor
from unslow.native.lowering.drawing import Generator
from unslow.native.tracing.state import Variables, session
from unslow.native.tracing.views import static_shape


class TensorFlowGenerator(Generator):
    """Draws by TensorFlow's stateless ops: each has a seed made of one seed and a counter."""

    def __init__(self, seed: Any = None, legacy: bool = False) -> None:
        if seed is None:
            # This op draws anew each time the graph runs.
            self.seed = ops.call("tf.random.uniform", [], minval=0, maxval=2**31 - 1, dtype="int32")
        else:
            refuse(
                isinstance(seed, (list, tuple)) or (isinstance(seed, Array) and ndim(seed)),
                "a seed of several numbers",
            )
            # A tensor of its own, apart from whatever else an argument is used for.
            self.seed = ops.call("tf.identity", cast(tensor(seed), "int32"))
        session().seeds.append(self.seed)
        self.legacy = legacy
        self.drawn = Variables()
        self.drawn.assign("count", 0)

    def _drawn(self, name: str, shape: list[Any], **options: Any) -> Any:
        """The next draw, by an op of `tf.random`."""
        seed = self._next_seed()
        return ops.call(f"tf.random.{name}", static_shape(shape), seed=seed, **options)

    def _next_seed(self) -> Any:
        count = self.drawn.values["count"]
        self.drawn.assign("count", count + 1)
        place = cast(read(count), "int32") if isinstance(count, Array) else np.int32(count)
        return ops.call("tf.stack", [self.seed, place])

    def shares(self, shape: list[Any], dtype: str) -> Any:
        return self._drawn("stateless_uniform", shape, dtype=dtype)

    def normals(self, shape: list[Any], dtype: str) -> Any:
        return self._drawn("stateless_normal", shape, dtype=dtype)

    def whole(self, shape: list[Any], first: Any, last: Any, dtype: Any) -> Any:
        first, last = as_tensor(first), as_tensor(last)
        if first.shape.rank == last.shape.rank == 0:
            ends = {"minval": first, "maxval": last}
            return self._drawn("stateless_uniform", shape, dtype="int64", **ends)
        span = cast(ops.call("tf.subtract", last, first), "float64")
        part = ops.call("tf.multiply", self.shares(shape, "float64"), span)
        return ops.call("tf.add", first, cast(ops.call("tf.floor", part), "int64"))

    def order(self, count: Any) -> Any:
        line = np.arange(count) if isinstance(count, int) else ops.call("tf.range", count)
        line = as_tensor(line) if is_known(line) else line
        return ops.call("tf.random.experimental.stateless_shuffle", line, seed=self._next_seed())

    def some(self, count: Any, wanted: Any) -> Any:
        return ops.index(self.order(count), (slice(None, wanted),))

    def exponentials(self, shape: list[Any]) -> Any:
        share = ops.call("tf.negative", self.shares(shape, "float64"))
        return ops.call("tf.negative", ops.call("tf.math.log1p", share))

    def gammas(self, shape: list[Any], alpha: Any) -> Any:
        return self._drawn("stateless_gamma", shape, alpha=alpha, dtype="float64")

    def poissons(self, shape: list[Any], lam: Any) -> Any:
        return self._drawn("stateless_poisson", shape, lam=lam, dtype="int64")

    def binomials(self, shape: list[Any], n: Any, p: Any) -> Any:
        ends = {"counts": n, "probs": p}
        return self._drawn("stateless_binomial", shape, output_dtype="int64", **ends)
