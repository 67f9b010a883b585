"""Random numbers: TensorFlow's, of the distribution that NumPy's have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native import ops
from unslow.native.dispatch import any_traced, known, ours
from unslow.native.kit import (
    Array,
    as_tensor,
    broadcast_shape,
    broadcast_to,
    cast,
    dtype_of,
    fresh,
    ndim,
    number,
    product,
    raw_shape,
    read,
    refuse,
    reshape,
    result,
    sizes,
    tensor,
    value_of,
)
from unslow.native.tracing.array import write
from unslow.native.tracing.state import Variables, session
from unslow.native.tracing.views import static_shape
from unslow.native.untranslatable import Untranslatable

CONSENT = 'random numbers differ from NumPy\'s: say random="distribution" to allow it'


class TracedGenerator:
    """`np.random.Generator` in a graph: each draw has a seed made of one seed and a counter."""

    is_traced_generator = True

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

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in _DRAWS:
            raise Untranslatable(f"random numbers by `{name}` have no translation")

        def method(*args: Any, **kwargs: Any) -> Any:
            return _DRAWS[name](self, *args, **kwargs)

        method.__self__ = self  # type: ignore[attr-defined]
        return method

    def next_seed(self) -> Any:
        """The seed of the next draw."""
        count = self.drawn.values["count"]
        self.drawn.assign("count", count + 1)
        place = cast(read(count), "int32") if isinstance(count, Array) else np.int32(count)
        return ops.call("tf.stack", [self.seed, place])


def draw(owner: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of np.random, or a method of one of its generators.

    Raises:
        Untranslatable: there is no consent to other numbers of the same distribution.
    """
    current = session()
    made = _made(current)
    if function in (np.random.default_rng, np.random.RandomState):
        given = (*args, *kwargs.values())
        if given and given[0] is not None and not any_traced(given):
            if isinstance(given[0], np.random.Generator):
                return given[0]
            generator = function(*known(args), **known(kwargs))
            made.append(generator)
            return generator
        refuse(current.random is None, CONSENT)
        return TracedGenerator(given[0] if given else None, function is np.random.RandomState)
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
        outside = TracedGenerator(None, legacy)
        if not current.journals:
            current.outside = outside  # type: ignore[attr-defined]
    outside.legacy = legacy
    return getattr(outside, name)(*args, **kwargs)


def _made(current: Any) -> list[Any]:
    found: list[Any] = current.__dict__.setdefault("generators", [])
    return found


def _shape(size: Any, *parameters: Any) -> tuple[list[Any], bool]:
    """The shape that is drawn, and whether it is one number."""
    if size is not None:
        return raw_shape(size), False
    shapes = [sizes(value_of(each)) for each in parameters]
    return broadcast_shape(*shapes), all(not shape for shape in shapes)


def _finished(value: Any, single: bool, legacy: bool, dtype: Any = None) -> Any:
    """What the method returns: an array, a float of Python's, or a scalar of NumPy's."""
    if dtype is not None:
        value = cast(value, dtype)
    if not single:
        return fresh(value)
    return number(value) if dtype_of(value).kind == "f" else result(value)


def _uniform01(generator: TracedGenerator, shape: list[Any], dtype: str = "float64") -> Any:
    return ops.call(
        "tf.random.stateless_uniform", static_shape(shape), seed=generator.next_seed(), dtype=dtype
    )


def _random(g: TracedGenerator, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
    refuse(out is not None, "`out` of a random draw")
    shape, single = _shape(size)
    return _finished(_uniform01(g, shape, np.dtype(dtype).name), single, g.legacy)


def _uniform(g: TracedGenerator, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, low, high)
    start, stop = tensor(low, "float64"), tensor(high, "float64")
    span = ops.call("tf.subtract", stop, start)
    return _finished(
        ops.call("tf.add", start, ops.call("tf.multiply", span, _uniform01(g, shape))),
        single,
        g.legacy,
    )


def _standard(g: TracedGenerator, shape: list[Any], dtype: str = "float64") -> Any:
    return ops.call(
        "tf.random.stateless_normal", static_shape(shape), seed=g.next_seed(), dtype=dtype
    )


def _normal(g: TracedGenerator, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, loc, scale)
    spread = ops.call("tf.multiply", tensor(scale, "float64"), _standard(g, shape))
    return _finished(ops.call("tf.add", tensor(loc, "float64"), spread), single, g.legacy)


def _standard_normal(
    g: TracedGenerator, size: Any = None, dtype: Any = np.float64, out: Any = None
) -> Any:
    shape, single = _shape(size)
    return _finished(_standard(g, shape, np.dtype(dtype).name), single, g.legacy)


def _integers(
    g: TracedGenerator,
    low: Any,
    high: Any = None,
    size: Any = None,
    dtype: Any = np.int64,
    endpoint: bool = False,
) -> Any:
    if high is None:
        low, high = 0, low
    shape, single = _shape(size, low, high)
    dtype = np.dtype(dtype)
    refuse(dtype == np.uint64, "random unsigned integers of 64 bits")
    first, last = tensor(low, "int64"), tensor(high, "int64")
    if endpoint:
        last = ops.call("tf.add", last, np.int64(1))
    span = ops.call("tf.subtract", last, first)
    if len(span.shape) == 0:
        drawn = ops.call(
            "tf.random.stateless_uniform",
            static_shape(shape),
            seed=g.next_seed(),
            minval=first,
            maxval=last,
            dtype="int64",
        )
    else:
        part = ops.call("tf.multiply", _uniform01(g, shape), cast(span, "float64"))
        drawn = ops.call("tf.add", first, cast(ops.call("tf.floor", part), "int64"))
    drawn = cast(drawn, dtype)
    if single and _plain_integer(g.legacy, dtype):
        return number(cast(drawn, "int64"))
    return _finished(drawn, single, g.legacy)


def _plain_integer(legacy: bool, dtype: np.dtype[Any]) -> bool:
    """Whether NumPy returns one of Python's integers."""
    one: Any
    if legacy:
        one = np.random.RandomState(0).randint(2) if dtype == np.int64 else np.int64(0)
    else:
        one = np.random.default_rng(0).integers(2, dtype=dtype.type)
    return type(one) is int


def _randint(
    g: TracedGenerator, low: Any, high: Any = None, size: Any = None, dtype: Any = int
) -> Any:
    return _integers(g, low, high, size, np.dtype(dtype))


def _rand(g: TracedGenerator, *dims: Any) -> Any:
    return _random(g, dims or None)


def _randn(g: TracedGenerator, *dims: Any) -> Any:
    return _standard_normal(g, dims or None)


def _shuffled(g: TracedGenerator, value: Any) -> Any:
    return ops.call("tf.random.experimental.stateless_shuffle", value, seed=g.next_seed())


def _order(g: TracedGenerator, count: Any) -> Any:
    line = as_tensor(np.arange(count)) if isinstance(count, int) else ops.call("tf.range", count)
    return _shuffled(g, line)


def _permutation(g: TracedGenerator, x: Any, axis: int = 0) -> Any:
    if isinstance(x, (int, np.integer)) or (isinstance(x, Array) and not ndim(x)):
        return fresh(_order(g, raw_shape(x)[0]))
    value = tensor(x)
    return fresh(ops.call("tf.gather", value, _order(g, sizes(value)[axis]), axis=axis))


def _shuffle(g: TracedGenerator, x: Any, axis: int = 0) -> None:
    refuse(not isinstance(x, Array), "a list is shuffled")
    write(x, read(_permutation(g, x, axis)))


def _choice(
    g: TracedGenerator,
    a: Any,
    size: Any = None,
    replace: bool = True,
    p: Any = None,
    axis: int = 0,
    shuffle: bool = True,
) -> Any:
    refuse(axis != 0, "a choice along another axis")
    of_number = isinstance(a, (int, np.integer)) or (isinstance(a, Array) and not ndim(a))
    count = raw_shape(a)[0] if of_number else sizes(value_of(a))[0]
    shape, single = _shape(size)
    if single or replace:
        if p is None:
            index = ops.call(
                "tf.random.stateless_uniform",
                static_shape(shape),
                seed=g.next_seed(),
                minval=np.int64(0),
                maxval=np.int64(count) if isinstance(count, int) else count,
                dtype="int64",
            )
        else:
            edges = ops.call("tf.cumsum", tensor(p, "float64"))
            edges = ops.call("tf.divide", edges, ops.index(edges, (-1,)))
            flat = reshape(_uniform01(g, shape), [-1])
            index = reshape(
                ops.call("tf.searchsorted", edges, flat, side="right", out_type="int64"), shape
            )
    else:
        refuse(p is not None, "a weighted choice without repetition")
        index = reshape(ops.index(_order(g, count), (slice(None, product(shape)),)), shape)
    if of_number:
        if single and _plain_integer(g.legacy, np.dtype(np.int64)):
            return number(index)
        return _finished(index, single, g.legacy)
    return result(ops.call("tf.gather", tensor(a), index))


def _exponential(g: TracedGenerator, scale: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, scale)
    drawn = ops.call(
        "tf.negative", ops.call("tf.math.log1p", ops.call("tf.negative", _uniform01(g, shape)))
    )
    return _finished(ops.call("tf.multiply", tensor(scale, "float64"), drawn), single, g.legacy)


def _lognormal(g: TracedGenerator, mean: Any = 0.0, sigma: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, mean, sigma)
    found = ops.call("tf.multiply", tensor(sigma, "float64"), _standard(g, shape))
    return _finished(
        ops.call("tf.exp", ops.call("tf.add", tensor(mean, "float64"), found)), single, g.legacy
    )


def _gammas(g: TracedGenerator, shape: list[Any], alpha: Any) -> Any:
    full = broadcast_to(tensor(alpha, "float64"), shape)
    return ops.call(
        "tf.random.stateless_gamma",
        static_shape(shape),
        seed=g.next_seed(),
        alpha=full,
        dtype="float64",
    )


def _gamma(g: TracedGenerator, shape: Any, scale: Any = 1.0, size: Any = None) -> Any:
    wanted, single = _shape(size, shape, scale)
    found = ops.call("tf.multiply", _gammas(g, wanted, shape), tensor(scale, "float64"))
    return _finished(found, single, g.legacy)


def _beta(g: TracedGenerator, a: Any, b: Any, size: Any = None) -> Any:
    shape, single = _shape(size, a, b)
    one, other = _gammas(g, shape, a), _gammas(g, shape, b)
    return _finished(ops.call("tf.divide", one, ops.call("tf.add", one, other)), single, g.legacy)


def _poisson(g: TracedGenerator, lam: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, lam)
    full = broadcast_to(tensor(lam, "float64"), shape)
    found = ops.call(
        "tf.random.stateless_poisson",
        static_shape(shape),
        seed=g.next_seed(),
        lam=full,
        dtype="int64",
    )
    if single and g.legacy:
        return number(found)
    return (
        number(found)
        if single and type(np.random.default_rng(0).poisson()) is int
        else _finished(found, single, g.legacy)
    )


def _binomial(g: TracedGenerator, n: Any, p: Any, size: Any = None) -> Any:
    shape, single = _shape(size, n, p)
    trials, chance = (
        broadcast_to(tensor(n, "float64"), shape),
        broadcast_to(tensor(p, "float64"), shape),
    )
    found = ops.call(
        "tf.random.stateless_binomial",
        static_shape(shape),
        seed=g.next_seed(),
        counts=trials,
        probs=chance,
        output_dtype="int64",
    )
    plain = g.legacy or type(np.random.default_rng(0).binomial(1, 0.5)) is int
    return number(found) if single and plain else _finished(found, single, g.legacy)


_DRAWS: dict[str, Callable[..., Any]] = {
    "random": _random,
    "random_sample": lambda g, size=None: _random(g, size),
    "ranf": lambda g, size=None: _random(g, size),
    "sample": lambda g, size=None: _random(g, size),
    "rand": _rand,
    "randn": _randn,
    "randint": _randint,
    "integers": _integers,
    "uniform": _uniform,
    "normal": _normal,
    "standard_normal": _standard_normal,
    "permutation": _permutation,
    "shuffle": _shuffle,
    "choice": _choice,
    "exponential": _exponential,
    "standard_exponential": lambda g, size=None: _exponential(g, 1.0, size),
    "lognormal": _lognormal,
    "gamma": _gamma,
    "standard_gamma": lambda g, shape, size=None: _gamma(g, shape, 1.0, size),
    "beta": _beta,
    "poisson": _poisson,
    "binomial": _binomial,
}
