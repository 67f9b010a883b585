"""The methods of NumPy's generators, whatever numbers they draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from unslow.native import ops
from unslow.native.kit import (
    Array,
    broadcast_shape,
    broadcast_shape_into,
    broadcast_to,
    cast,
    dtype_of,
    fresh,
    is_known,
    ndim,
    number,
    product,
    quietly,
    raw_shape,
    read,
    refuse,
    reshape,
    result,
    size_tensor,
    sizes,
    tensor,
    value_of,
)
from unslow.native.tracing.array import write
from unslow.native.untranslatable import Untranslatable


class Numbers(Protocol):
    """What a generator in a graph draws; each draw follows the one before.

    Shapes are sizes, of which each may be a tensor. `legacy`: it stands for `np.random` itself,
    or for a `RandomState`.
    """

    legacy: bool

    def shares(self, shape: list[Any], dtype: str) -> Any:
        """Floats from 0 to below 1."""

    def normals(self, shape: list[Any], dtype: str) -> Any:
        """Floats of the standard normal distribution."""

    def whole(self, shape: list[Any], first: Any, last: Any, dtype: Any) -> Any:
        """Whole numbers from `first` to before `last`, int64, to become such of `dtype`.

        Both are known numbers or tensors of int64.
        """

    def order(self, count: Any) -> Any:
        """The numbers below `count` in any order, int64."""

    def some(self, count: Any, wanted: Any) -> Any:
        """So many different numbers below `count`, int64."""

    def exponentials(self, shape: list[Any]) -> Any:
        """Floats of the standard exponential distribution, float64."""

    def gammas(self, shape: list[Any], alpha: Any) -> Any:
        """Floats of gamma distributions of scale 1, float64."""

    def poissons(self, shape: list[Any], lam: Any) -> Any:
        """Whole numbers of Poisson distributions, int64."""

    def binomials(self, shape: list[Any], n: Any, p: Any) -> Any:
        """Whole numbers of binomial distributions, int64."""


def consent(what: str) -> str:
    """Why numbers are not drawn without the user's consent."""
    return f'{what} differ from NumPy\'s: say random="distribution" to allow it'


class Generator:
    """`np.random.Generator` in a graph: calls of its methods become draws."""

    is_traced_generator = True

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in _DRAWS:
            raise Untranslatable(f"random numbers by `{name}` have no translation")

        def method(*args: Any, **kwargs: Any) -> Any:
            return _DRAWS[name](self, *args, **kwargs)

        method.__self__ = self  # type: ignore[attr-defined]
        return method


def _shape(size: Any, *parameters: Any) -> tuple[list[Any], bool]:
    """The shape that is drawn, and whether it is one number."""
    shapes = [sizes(value_of(each)) for each in parameters]
    if size is not None:
        wanted = raw_shape(size)
        for shape in shapes:
            broadcast_shape_into(shape, wanted)
            refuse(len(shape) > len(wanted), "NumPy raises ValueError: the size is not compatible")
        return wanted, False
    return broadcast_shape(*shapes), all(not shape for shape in shapes)


def _as_numpy(name: str, *parameters: Any) -> None:
    """Refuse parameters that NumPy refuses, where all are known."""
    values = [value_of(each) for each in parameters]
    if all(map(is_known, values)):
        quietly(getattr(np.random.default_rng(0), name), *values)


def _finished(value: Any, single: bool, dtype: Any = None) -> Any:
    """What the method returns: an array, a float of Python's, or a scalar of NumPy's."""
    if dtype is not None:
        value = cast(value, dtype)
    if not single:
        return fresh(value)
    return number(value) if dtype_of(value).kind == "f" else result(value)


def _random(g: Numbers, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
    refuse(out is not None, "`out` of a random draw")
    shape, single = _shape(size)
    return _finished(g.shares(shape, np.dtype(dtype).name), single)


def _uniform(g: Numbers, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, low, high)
    _as_numpy("uniform", low, high)
    start, stop = tensor(low, "float64"), tensor(high, "float64")
    span = ops.call("tf.subtract", stop, start)
    part = ops.call("tf.multiply", span, g.shares(shape, "float64"))
    return _finished(ops.call("tf.add", start, part), single)


def _normal(g: Numbers, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, loc, scale)
    _as_numpy("normal", loc, scale)
    return _finished(_spread(g, loc, scale, shape), single)


def _spread(g: Numbers, middle: Any, scale: Any, shape: list[Any]) -> Any:
    apart = ops.call("tf.multiply", tensor(scale, "float64"), g.normals(shape, "float64"))
    return ops.call("tf.add", tensor(middle, "float64"), apart)


def _standard_normal(g: Numbers, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
    refuse(out is not None, "`out` of a random draw")
    shape, single = _shape(size)
    return _finished(g.normals(shape, np.dtype(dtype).name), single)


def _lognormal(g: Numbers, mean: Any = 0.0, sigma: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, mean, sigma)
    _as_numpy("lognormal", mean, sigma)
    return _finished(ops.call("tf.exp", _spread(g, mean, sigma, shape)), single)


def _integers(
    g: Numbers,
    low: Any,
    high: Any = None,
    size: Any = None,
    dtype: Any = np.int64,
    endpoint: bool = False,
) -> Any:
    if high is None:
        low, high = 0, low
    shape, single = _shape(size, low, high)
    asked, dtype = dtype, np.dtype(dtype)
    refuse(dtype == np.uint64, "random unsigned integers of 64 bits")
    first, last = _bound(low), _bound(high)
    if endpoint:
        last = last + np.int64(1) if is_known(last) else ops.call("tf.add", last, np.int64(1))
    drawn = cast(g.whole(shape, first, last, dtype), dtype)
    if single and _is_plain(g, "randint" if g.legacy else "integers", 2, dtype=asked):
        return number(cast(drawn, "int64"))
    return _finished(drawn, single)


def _bound(value: Any) -> Any:
    """An end of a range: a known number, or tensor, of int64."""
    return cast(value_of(value), "int64")


def _is_plain(g: Numbers, name: str, *args: Any, **kwargs: Any) -> bool:
    """Whether NumPy returns one of Python's integers."""
    owner: Any = np.random.RandomState(0) if g.legacy else np.random.default_rng(0)
    return type(getattr(owner, name)(*args, **kwargs)) is int


def _randint(g: Numbers, low: Any, high: Any = None, size: Any = None, dtype: Any = int) -> Any:
    return _integers(g, low, high, size, dtype)


def _rand(g: Numbers, *dims: Any) -> Any:
    return _random(g, dims or None)


def _randn(g: Numbers, *dims: Any) -> Any:
    return _standard_normal(g, dims or None)


def _permutation(g: Numbers, x: Any, axis: int = 0) -> Any:
    if isinstance(x, (int, np.integer)) or (isinstance(x, Array) and not ndim(x)):
        return fresh(g.order(raw_shape(x)[0]))
    value = tensor(x)
    return fresh(ops.call("tf.gather", value, g.order(sizes(value)[axis]), axis=axis))


def _shuffle(g: Numbers, x: Any, axis: int = 0) -> None:
    refuse(not isinstance(x, Array), "a list is shuffled")
    write(x, read(_permutation(g, x, axis)))


def _choice(
    g: Numbers,
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
    refuse(p is not None and not replace, "a weighted choice without repetition")
    if p is not None:
        if isinstance(count, int) and is_known(value_of(p)):
            quietly(np.random.default_rng(0).choice, count, p=value_of(p))
        edges = ops.call("tf.cumsum", tensor(p, "float64"))
        edges = ops.call("tf.divide", edges, ops.index(edges, (-1,)))
        flat = reshape(g.shares(shape, "float64"), [-1])
        index = ops.call("tf.searchsorted", edges, flat, side="right", out_type="int64")
        index = reshape(index, shape)
    elif replace:
        index = g.whole(shape, np.int64(0), size_tensor(count), np.dtype(np.int64))
    else:
        index = reshape(g.some(count, product(shape)), shape)
    if not of_number:
        return result(ops.call("tf.gather", tensor(a), index))
    if single and _is_plain(g, "choice", 2):
        return number(index)
    return _finished(index, single)


def _exponential(g: Numbers, scale: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, scale)
    found = ops.call("tf.multiply", tensor(scale, "float64"), g.exponentials(shape))
    return _finished(found, single)


def _gamma(g: Numbers, shape: Any, scale: Any = 1.0, size: Any = None) -> Any:
    wanted, single = _shape(size, shape, scale)
    alpha = broadcast_to(tensor(shape, "float64"), wanted)
    found = ops.call("tf.multiply", g.gammas(wanted, alpha), tensor(scale, "float64"))
    return _finished(found, single)


def _beta(g: Numbers, a: Any, b: Any, size: Any = None) -> Any:
    shape, single = _shape(size, a, b)
    one, other = (g.gammas(shape, broadcast_to(tensor(each, "float64"), shape)) for each in (a, b))
    return _finished(ops.call("tf.divide", one, ops.call("tf.add", one, other)), single)


def _poisson(g: Numbers, lam: Any = 1.0, size: Any = None) -> Any:
    shape, single = _shape(size, lam)
    found = g.poissons(shape, broadcast_to(tensor(lam, "float64"), shape))
    return number(found) if single and _is_plain(g, "poisson") else _finished(found, single)


def _binomial(g: Numbers, n: Any, p: Any, size: Any = None) -> Any:
    shape, single = _shape(size, n, p)
    trials, chance = (broadcast_to(tensor(each, "float64"), shape) for each in (n, p))
    found = g.binomials(shape, trials, chance)
    plain = single and _is_plain(g, "binomial", 1, 0.5)
    return number(found) if plain else _finished(found, single)


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
