"""Python's builtin functions, and those of `math`, on traced values."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from unslow.native.dispatch import any_traced, call_numpy, known
from unslow.native.interpreter.objects import attribute_of, has_attribute, type_of
from unslow.native.tracing.array import Array, is_traced, ndim, outside, read, to_python
from unslow.native.tracing.control import branch, truth
from unslow.native.tracing.dtypes import dtype_of
from unslow.native.tracing.operators import greater_of, lesser_of, operate
from unslow.native.tracing.sequences import (
    Generator,
    Range,
    Sequence,
    enumerated,
    turned,
    zipped,
)
from unslow.native.tracing.state import make
from unslow.native.untranslatable import Untranslatable


def _plain(value: Any) -> Any:
    return outside(value) if isinstance(value, np.ndarray) else value


def _len(value: Any) -> Any:
    if isinstance(value, Sequence):
        return value.length
    if isinstance(value, Array):
        if not ndim(value):
            raise Untranslatable("NumPy raises TypeError: len() of unsized object")
        return value.shape[0]
    return len(value)


def _range(*bounds: Any) -> Any:
    if any_traced(bounds):
        return Range(*bounds)
    return range(*[known(each) for each in bounds])


def _converted(kind: type) -> Callable[..., Any]:
    def convert(*args: Any) -> Any:
        if args and isinstance(args[0], Array):
            if len(args) > 1:
                raise Untranslatable(f"{kind.__name__}() with two arguments")
            return truth(args[0]) if kind is bool else to_python(args[0], kind)
        if any_traced(args) and kind is not bool:
            raise Untranslatable(f"{kind.__name__}() of such a value")
        return kind(*known(args))

    return convert


def _abs(value: Any) -> Any:
    value = _plain(value)
    return operate("abs", value) if isinstance(value, Array) else abs(value)


def _itself(value: Any) -> Any:
    return value


def _least(better: str, python: Any, pick: Any) -> Callable[..., Any]:
    def choose(*values: Any, **kwargs: Any) -> Any:
        values = tuple(_plain(value) for value in values)
        if len(values) == 1 and isinstance(values[0], Generator):
            values = (list(values[0]),)
        if kwargs or not any_traced(values):
            if any_traced(values, kwargs):
                raise Untranslatable(f"{python.__name__}() with a key or a default")
            return python(*known(values), **kwargs)
        if len(values) == 1:
            values = tuple(values[0])
        found = values[0]
        for value in values[1:]:
            test = truth(operate(better, value, found))
            kinds = {_python_kind(value), _python_kind(found)}
            if len(kinds) == 1 and None not in kinds and kinds != {float}:
                found = pick(value, found)
            else:
                found = branch(
                    test, functools.partial(_itself, value), functools.partial(_itself, found)
                )
        return found

    return choose


def _python_kind(value: Any) -> Any:
    kind = type_of(value)
    return kind if kind in (bool, int, float, complex) else None


def _sum(values: Any, start: Any = 0) -> Any:
    total = start
    for value in _plain(values):
        total = operate("add", total, value) if any_traced(total, value) else total + value
    return total


def _any(values: Any) -> Any:
    found: Any = False
    for value in _plain(values):
        found = branch(truth(found), lambda: True, functools.partial(truth, value))
        if not is_traced(found) and found:
            break
    return found


def _all(values: Any) -> Any:
    found: Any = True
    for value in _plain(values):
        found = branch(truth(found), functools.partial(truth, value), lambda: False)
        if not is_traced(found) and not found:
            break
    return found


def _list(values: Any = ()) -> Any:
    return make(list(_plain(values)))


def _tuple(values: Any = ()) -> Any:
    return tuple(_plain(values))


def _dict(values: Any = (), **named: Any) -> Any:
    found = dict(values) if isinstance(values, dict) else dict(list(_plain(values)))
    if any_traced(list(found)):
        raise Untranslatable("a dictionary with keys that the graph knows")
    return make({**found, **named})


def _set(values: Any = ()) -> Any:
    found = list(_plain(values))
    if any_traced(found):
        raise Untranslatable("a set of what the graph knows")
    return make(set(found))


def _round(value: Any, digits: Any = None) -> Any:
    if not isinstance(value, Array):
        return round(value) if digits is None else round(value, digits)
    if digits is not None and value._kind == "python":
        raise Untranslatable("round() to digits, exactly as Python does it")
    return value.__round__(digits)


def _pow(base: Any, exponent: Any, modulus: Any = None) -> Any:
    if modulus is not None:
        if any_traced(base, exponent, modulus):
            raise Untranslatable("pow() with a modulus")
        return pow(base, exponent, modulus)
    return base**exponent


def _divmod(one: Any, other: Any) -> Any:
    return one // other, one % other


def _isinstance(value: Any, kinds: Any) -> bool:
    if not isinstance(value, (Array, Sequence, Generator)):
        return isinstance(value, kinds)
    return issubclass(type_of(value), kinds)


def _map(function: Any, *iterables: Any) -> Any:
    from unslow.native.interpreter.calls import call

    columns = [iter(_plain(each)) for each in iterables]
    values = (call(function, tuple(each), {}) for each in zip(*columns, strict=False))
    return Generator(map, values, sources=(function, *iterables))


def _filter(function: Any, iterable: Any) -> Any:
    from unslow.native.interpreter.calls import call

    def passes(value: Any) -> Any:
        test = truth(value if function is None else call(function, (value,), {}))
        if is_traced(test):
            raise Untranslatable("how long the list is hangs on values of the graph")
        return test

    values = (value for value in iter(_plain(iterable)) if passes(value))
    return Generator(filter, values, sources=(function, iterable))


def _reduce(function: Any, iterable: Any, *initial: Any) -> Any:
    from unslow.native.interpreter.calls import call

    values = [*initial, *_plain(iterable)]
    if not values:
        raise Untranslatable("Python raises TypeError: reduce() of an empty iterable")
    found = values[0]
    for value in values[1:]:
        found = call(function, (found, value), {})
    return found


def _sorted(values: Any, **kwargs: Any) -> Any:
    values = list(_plain(values))
    if any_traced(values) or kwargs.get("key") is not None:
        raise Untranslatable("sorted() of values of the graph, or with a key")
    return make(sorted(values, **kwargs))


def _zip(*iterables: Any, strict: bool = False) -> Any:
    iterables = tuple(_plain(each) for each in iterables)
    found = zipped(*iterables) if iterables else None
    if strict and isinstance(found, Sequence):
        lengths = [_len(each) for each in iterables]
        if any(isinstance(each, Array) or each != lengths[0] for each in lengths):
            raise Untranslatable("zip() of lengths that are not known to be equal")
    if found is None:
        return Generator(zip, zip(*iterables, strict=strict), sources=iterables)
    return found


def _enumerate(iterable: Any, start: Any = 0) -> Any:
    iterable = _plain(iterable)
    found = enumerated(iterable, start)
    if found is None:
        return Generator(enumerate, enumerate(iterable, start), sources=(iterable,))
    return found


def _reversed(iterable: Any) -> Any:
    iterable = _plain(iterable)
    found = turned(iterable)
    if found is None:
        values = reversed(iterable)
        return Generator(type(values), values, sources=(iterable,))
    return found


def _text(kind: Any) -> Callable[..., Any]:
    def convert(*args: Any, **kwargs: Any) -> Any:
        if any_traced(args):
            raise Untranslatable("values of the graph cannot become text")
        return kind(*known(args), **kwargs)

    return convert


def _getattr(owner: Any, name: str, *default: Any) -> Any:
    if default and not has_attribute(owner, name):
        return default[0]
    return attribute_of(owner, name)


def _callable(value: Any) -> bool:
    return not isinstance(value, Array) and callable(value)


def _math(name: str, ufunc: Any) -> Callable[..., Any]:
    """A function of `math`: it takes and gives Python's floats."""
    plain = getattr(math, name)

    def function(*values: Any) -> Any:
        if not any_traced(values):
            return plain(*known(values))
        if name in ("floor", "ceil", "trunc") and dtype_of(read(values[0])).kind in "biu":
            return to_python(values[0], int)
        floats = [to_python(value, float) if is_traced(value) else float(value) for value in values]
        found = call_numpy(ufunc, tuple(floats), {})
        return to_python(found, type(quietly_run(plain, len(values))))

    return function


def quietly_run(function: Any, arguments: int) -> Any:
    """What a function of `math` gives for ordinary numbers."""
    value = 1.0 if function is math.acosh else 0.5
    return function(*[value] * arguments)


_MATH = {
    "sqrt": np.sqrt,
    "exp": np.exp,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "hypot": np.hypot,
    "radians": np.radians,
    "degrees": np.degrees,
    "fabs": np.fabs,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
    "copysign": np.copysign,
    "fmod": np.fmod,
    "pow": np.power,
}


def _log(value: Any, base: Any = None) -> Any:
    if not any_traced(value, base):
        return math.log(*known([value] if base is None else [value, base]))
    top = to_python(call_numpy(np.log, (to_python(value, float),), {}), float)
    return top if base is None else top / _log(base)


_OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "neg", "pos"]
_OPERATORS += ["and_", "or_", "xor", "lshift", "rshift", "invert", "abs", "getitem"]
_OPERATORS += ["eq", "ne", "lt", "le", "gt", "ge"]
_IN_PLACE = ["iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul"]
_IN_PLACE += ["iand", "ior", "ixor", "ilshift", "irshift"]


def _operator(name: str) -> Callable[..., Any]:
    function = getattr(operator, name)

    def apply(*operands: Any) -> Any:
        values = [_plain(operand) for operand in operands]
        if name in _IN_PLACE and isinstance(values[0], (list, set, dict)):
            raise Untranslatable("a container is changed")
        return function(*values)

    return apply


BUILTINS: dict[Any, Callable[..., Any]] = {
    slice: slice,
    len: _len,
    range: _range,
    int: _converted(int),
    float: _converted(float),
    bool: _converted(bool),
    complex: _converted(complex),
    abs: _abs,
    min: _least("lt", min, lesser_of),
    max: _least("gt", max, greater_of),
    sum: _sum,
    any: _any,
    all: _all,
    list: _list,
    tuple: _tuple,
    dict: _dict,
    set: _set,
    round: _round,
    pow: _pow,
    divmod: _divmod,
    isinstance: _isinstance,
    type: type_of,
    map: _map,
    filter: _filter,
    functools.reduce: _reduce,
    sorted: _sorted,
    zip: _zip,
    enumerate: _enumerate,
    reversed: _reversed,
    str: _text(str),
    repr: _text(repr),
    format: _text(format),
    getattr: _getattr,
    hasattr: has_attribute,
    callable: _callable,
    math.log: _log,
    **{getattr(math, name): _math(name, ufunc) for name, ufunc in _MATH.items()},
    **{getattr(operator, name): _operator(name) for name in [*_OPERATORS, *_IN_PLACE]},
}
