"""`native` and `numpy_function`: NumPy code in graphs, with no Python at run time."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, overload
from typing import cast as cast_to

import numpy as np
import tensorflow as tf

from unslow.native import ops
from unslow.native.compiling import gains_by_xla
from unslow.native.interpreter.calls import call
from unslow.native.tracing.array import Array, fresh, read, result
from unslow.native.tracing.checks import MESSAGE
from unslow.native.tracing.dtypes import cast, checked
from unslow.native.tracing.sequences import ArrayList
from unslow.native.tracing.sequences import Sequence as Lazy
from unslow.native.tracing.state import tracing
from unslow.native.tracing.surroundings import any_op_will_do
from unslow.native.tracing.views import as_tensor, is_known
from unslow.native.untranslatable import Untranslatable

Random = Literal["distribution"] | None

MOST = 1000
"""So many refusals are kept, the latest."""

_refusals: deque[tuple[Any, Untranslatable]] = deque(maxlen=MOST)
_lock = threading.Lock()


@dataclass(eq=False)
class Translation:
    """What a function became for one set of arguments.

    `inputs` are the tensors of the arguments, `structure` is what the function returns, with the
    tensors in it. `seeds`: what its random numbers are drawn from, empty where it draws none.
    `wrong`: whether something happened that XLA does not raise for, where it was asked for.
    """

    name: str
    parameters: list[str]
    inputs: list[Any]
    block: ops.Block
    structure: Any
    seeds: list[Any] = field(default_factory=list)
    wrong: Any = None


class Native(Protocol):
    """A function on tensors that does as ops what `native_function` does on NumPy arrays.

    `refusal`: why it last could not be translated, `None` where it could.
    """

    native_function: Callable[..., Any]
    refusal: Untranslatable | None
    translate: Callable[..., Translation]
    """Adds the function's ops to the present graph, and tells what they are."""
    traced: Callable[..., tuple[Any, Translation]]
    """The compiled function for tensors, or `tf.TensorSpec`, and its translation for these."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


def _translation(
    made: Native, random: Random, args: Any, kwargs: Any, watched: bool = False
) -> Translation:
    """The translation for these arguments; why there is none is noted."""
    block = ops.Block()
    inputs: list[Any] = []
    function = made.native_function
    try:
        with tracing(random, watched) as session, ops.recorded(block):
            given = _arrays(args, inputs), _arrays(kwargs, inputs)
            structure = _whole(lambda: _tensors(call(function, given[0], given[1])))
    except Untranslatable as error:
        made.refusal = _note(function, error)
        raise
    made.refusal = None
    block.parameters = inputs
    block.results = [each for each in tf.nest.flatten(structure) if tf.is_tensor(each)]
    name = getattr(function, "__name__", "translated")
    names = _parameters(function, len(inputs))
    wrong = None if session.wrong is None else session.wrong.read()
    wrong = None if is_known(wrong) else wrong
    return Translation(name, names, inputs, block, structure, session.seeds, wrong)


def _whole(translate: Callable[[], Any]) -> Any:
    """What is translated; whatever else goes wrong means that the function cannot be."""
    try:
        return translate()
    except Untranslatable:
        raise
    except Exception as error:
        raise Untranslatable(f"{type(error).__name__}: {error}") from error


def _parameters(function: Callable[..., Any], count: int) -> list[str]:
    """Names for the arguments: the function's own, where each argument is one tensor."""
    try:
        named = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        named = []
    plain = [each.name for each in named if each.kind is each.POSITIONAL_OR_KEYWORD]
    taken = re.compile(r"np|tf|base64|zlib|(t|test|body|then|otherwise)\d+")
    if len(plain) != count or any(taken.fullmatch(each) for each in plain):
        return [f"x{place}" for place in range(count)]
    return plain


def _made(function: Callable[..., Any], random: Random, jit_compile: bool) -> Native:
    """The function on tensors that is made of one on arrays."""
    if random not in (None, "distribution"):
        raise ValueError(f'random is None or "distribution", not {random!r}')
    if inspect.getattr_static(function, "native_function", None) is not None:
        before: Any = function
        options = random or before.options[0], jit_compile or before.options[1]
        if options == before.options:
            return cast_to(Native, function)
        return _made(before.native_function, *options)

    def translate(*args: Any, **kwargs: Any) -> Translation:
        return _translation(made, random, args, kwargs)

    def inline(*args: Any, **kwargs: Any) -> Any:
        return translate(*args, **kwargs).structure

    translations: dict[Any, Translation] = {}

    def told(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        translation = _translation(made, random, args, kwargs, watched=jit_compile)
        translations[_kinds(args)] = translation
        return translation.structure, translation.wrong

    compiled = tf.function(told, autograph=False, jit_compile=jit_compile)

    def traced(*specs: Any) -> tuple[Any, Translation]:
        compiled.get_concrete_function(*specs)
        return compiled, translations[_kinds(specs)]

    def run(*args: Any, **kwargs: Any) -> Any:
        if not tf.executing_eagerly() and not jit_compile:
            return inline(*args, **kwargs)
        args, kwargs = tf.nest.map_structure(_as_tensor, (args, kwargs))
        if not all(map(_is_hashable, tf.nest.flatten((args, kwargs)))):
            return _raising(*_with_fixed(told, jit_compile, args, kwargs))
        return _raising(*compiled(*args, **kwargs))

    functools.update_wrapper(run, function)
    made: Any = tf.autograph.experimental.do_not_convert(run)
    made.native_function, made.translate, made.refusal = function, translate, None
    made.traced = traced
    made.options = random, jit_compile
    return cast_to(Native, made)


def _kinds(tensors: Sequence[Any]) -> Any:
    return tuple(
        (str(each.shape), each.dtype) if hasattr(each, "shape") else type(each) for each in tensors
    )


def _raising(found: Any, wrong: Any) -> Any:
    """The results, which raise once they are asked for if there was something `wrong`."""
    if wrong is None:
        return found
    check = tf.debugging.Assert(tf.logical_not(wrong), [MESSAGE])
    with tf.control_dependencies([] if check is None else [check]):
        return tf.nest.map_structure(
            lambda each: tf.identity(each) if tf.is_tensor(each) else each, found
        )


def _note(function: Any, error: Untranslatable) -> Untranslatable:
    """Keep a refusal, without the frames it came through and what they hold."""
    kept = Untranslatable(error.reason, error.path, error.line, error.expression)
    with _lock:
        _refusals.append((function, kept))
    return kept


def refusals() -> list[tuple[Any, Untranslatable]]:
    """The functions that could not be translated in this process, with the reasons.

    The latest `MOST` of them are kept.
    """
    with _lock:
        return list(_refusals)


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return bool(tf.is_tensor(value))
    return True


def _with_fixed(made: Callable[..., Any], jit_compile: bool, args: Any, kwargs: Any) -> Any:
    """A call with arguments that `tf.function` cannot tell apart: it is compiled for them alone."""
    values = tf.nest.flatten((args, kwargs))
    places = [place for place, each in enumerate(values) if tf.is_tensor(each)]

    def fixed(*tensors: Any) -> Any:
        given = list(values)
        for place, tensor in zip(places, tensors, strict=True):
            given[place] = tensor
        again = tf.nest.pack_sequence_as((args, kwargs), given)
        return made(*again[0], **again[1])

    compiled = tf.function(fixed, autograph=False, jit_compile=jit_compile)
    return compiled(*[values[place] for place in places])


def array_from(tensor: Any) -> Any:
    """What a NumPy function sees of a tensor: an array, or a scalar."""
    if tensor.dtype == tf.string:
        raise Untranslatable("text has no equal among NumPy's dtypes of numbers")
    if tensor.shape.rank is None:
        raise Untranslatable("the number of axes of an argument is not known")
    checked(np.dtype(tensor.dtype.as_numpy_dtype))
    return result(tensor, "scalar") if tensor.shape.rank == 0 else fresh(tensor)


def _as_tensor(value: Any) -> Any:
    return tf.constant(value) if isinstance(value, (np.ndarray, np.generic)) else value


def _arrays(value: Any, inputs: list[Any]) -> Any:
    def one(each: Any) -> Any:
        if isinstance(each, (np.ndarray, np.generic)):
            each = tf.constant(each)
        if isinstance(each, tf.Variable):
            each = tf.convert_to_tensor(each)
        if not tf.is_tensor(each):
            return each
        inputs.append(each)
        return array_from(each)

    return tf.nest.map_structure(one, value)


def _tensors(value: Any) -> Any:
    """What the function returns, as tensors."""
    if isinstance(value, ArrayList):
        value = value.array
    elif isinstance(value, Lazy):
        value = list(value)
    if isinstance(value, Array):
        # The result is a tensor of the graph, also where it is an argument or known.
        return as_tensor(
            cast(read(value), value.dtype if value._kind != "python" else _dtype(value))
        )
    if isinstance(value, (np.ndarray, np.generic, bool, int, float, complex)):
        plain = np.asarray(value)
        checked(plain.dtype)
        return ops.call("tf.constant", plain)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_tensors(each) for each in value])
    if isinstance(value, (list, tuple)):
        return type(value)(_tensors(each) for each in value)
    if isinstance(value, dict):
        return {key: _tensors(each) for key, each in value.items()}
    if value is None:
        return None
    raise Untranslatable(f"the function returns {type(value).__name__}, which is no tensor")


def _dtype(value: Array) -> Any:
    return read(value).dtype.as_numpy_dtype


@overload
def native(
    func: Callable[..., Any], *, random: Random = None, jit_compile: bool = False
) -> Native: ...


@overload
def native(
    *, random: Random = None, jit_compile: bool = False
) -> Callable[[Callable[..., Any]], Native]: ...


def native(
    func: Callable[..., Any] | None = None, *, random: Random = None, jit_compile: bool = False
) -> Any:
    """A function on NumPy arrays as a function on tensors, made of TensorFlow's ops.

    The ops have NumPy's dtypes, shapes and values. Also a decorator. `random="distribution"`
    lets NumPy's random numbers become TensorFlow's: other numbers of the same distribution.
    `jit_compile`: the ops are compiled by XLA, which fuses them; it has no kernels for some.
    Calling the result raises `Untranslatable` for what cannot be said in ops, naming the line.
    """
    if func is None:
        return functools.partial(native, random=random, jit_compile=jit_compile)
    # AutoGraph would rewrite the translator itself.
    return tf.autograph.experimental.do_not_convert(_made)(func, random, jit_compile)


def numpy_function(
    func: Callable[..., Any],
    inp: Sequence[Any],
    Tout: Any,
    stateful: bool = True,
    name: str | None = None,
    *,
    random: Random = None,
    jit_compile: bool | None = None,
    fallback: bool = True,
) -> Any:
    """`tf.numpy_function`, as TensorFlow ops wherever the function can be said in them.

    What cannot is called through `tf.numpy_function`, and the reason is kept in
    `native.refusals()`; with `fallback=False` it raises `Untranslatable` instead. `random` and
    `jit_compile` are those of `native`; where nothing is said, XLA compiles in a graph what has
    loops, or pixels from many places, if it can and all sizes are known. There is no gradient
    then, as `tf.numpy_function` has none.
    """
    # AutoGraph would rewrite the translator itself.
    plainly = tf.autograph.experimental.do_not_convert(_numpy_function)
    made = native(func, random=random, jit_compile=bool(jit_compile))
    return plainly(made, inp, Tout, stateful, name, fallback, jit_compile is None)


def _numpy_function(
    translated: Native,
    inp: Any,
    Tout: Any,
    stateful: bool,
    name: str | None,
    fallback: bool,
    may_compile: bool,
) -> Any:
    tensors = [tf.convert_to_tensor(each) for each in inp]
    if may_compile and not tf.executing_eagerly() and any_op_will_do():
        compiled = native(translated, jit_compile=True)
        if gains_by_xla(compiled, tensors):
            translated = compiled
            tensors = [tf.stop_gradient(each) for each in tensors]
    try:
        with tf.name_scope(name or "numpy_function"):
            return _with_dtypes(translated(*tensors), Tout, translated)
    except Untranslatable:
        if not fallback:
            raise
    return tf.numpy_function(
        translated.native_function, tensors, Tout, stateful=stateful, name=name
    )


def _with_dtypes(found: Any, Tout: Any, made: Native) -> Any:
    """The results in the form of `tf.numpy_function`, if their dtypes are those it was told."""
    wanted = [tf.as_dtype(each) for each in (Tout if isinstance(Tout, (list, tuple)) else [Tout])]
    several = isinstance(found, (list, tuple))
    if several and not isinstance(Tout, (list, tuple)):
        # TensorFlow takes a list of one for what is in it, and no other.
        found, several = _only(found, made), False
    values = list(found) if several else [found]
    if values == [None] and not wanted:
        return []
    dtypes = [each.dtype if tf.is_tensor(each) else None for each in values]
    if dtypes != wanted:
        names = ", ".join(each.name if each else "nothing" for each in dtypes)
        raise _refused(made, f"the function returns {names}, not what Tout says")
    return values if isinstance(Tout, (list, tuple)) else values[0]


def _only(found: Any, made: Native) -> Any:
    if len(found) != 1:
        raise _refused(made, f"the function returns {len(found)} values, and Tout is one dtype")
    if isinstance(found[0], (list, tuple)):
        return _stacked(found[0], made)
    return found[0]


def _stacked(found: Any, made: Native) -> Any:
    try:
        return tf.stack(list(found))
    except (ValueError, TypeError) as error:
        raise _refused(made, f"a list that is no array: {error}") from error


def _refused(made: Native, reason: str) -> Untranslatable:
    error = Untranslatable(reason)
    made.refusal = _note(made.native_function, error)
    return error


native.refusals = refusals  # type: ignore[attr-defined]

__all__ = ["Native", "Translation", "array_from", "native", "numpy_function", "refusals"]
