"""The NumPy function as TensorFlow ops: one by one, on a whole batch, and with XLA."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from unslow.catalogue.border import _bridged
from unslow.catalogue.border.rewrites import Rewrite
from unslow.catalogue.trial import Unfit
from unslow.finding import Alternative

if TYPE_CHECKING:
    from unslow.native import Native, Translation
    from unslow.recording.samples import BridgeCall
    from unslow.source.module import Module

NAME = "native ops"
COMPILED = "native ops, with XLA"
BATCHED = "native ops, in batches"
BATCHED_COMPILED = "native ops, in batches, with XLA"

RANDOM = ", random numbers by TensorFlow"
"""Is added to a name where the function's random numbers are other ones."""

NOTE = (
    "unslow.numpy_function makes TensorFlow ops of the function. It is read once: what it finds "
    "outside its arguments is kept as it was then."
)

RANDOM_NOTE = f"{NOTE} Its random numbers are others, of the same distribution."

SHORTEST, LONGEST = 0.5, 5.0
"""Seconds after which the loops of one call are given up: at least, and at most."""

SLOWER, CHEAP = 2.0, 0.005
"""How many times as long as the function one call of its ops may take to be tried; or the seconds
that any may."""


def rewrites(call: BridgeCall, each: float) -> Iterator[Rewrite]:
    """The function made of TensorFlow's ops, where it can be; else why it cannot."""
    if call.kind != "numpy_function":
        return
    import numpy as np
    import tensorflow as tf

    from unslow.native import Untranslatable, native

    arrays = [np.asarray(each) for each in call.arguments]
    specs = [tf.TensorSpec(each.shape, each.dtype) for each in arrays]
    try:
        function, translation = translated(call.function, specs)
    except Untranslatable as error:
        yield Rewrite(NAME, _raises(error), in_python=False, each=True)
        return
    from unslow.native.compiling import gains_by_xla
    from unslow.native.ops import has_loops
    from unslow.native.seeds import seed_arguments

    random = bool(translation.seeds)
    seeds = seed_arguments(translation) if random else ()
    looping = _Looping(function, each) if has_loops(translation.block) else None

    def rewrite(
        name: str,
        made: Callable[..., Any],
        one: bool = False,
        check: Any = None,
        seconds: float = 0.0,
    ) -> Rewrite:
        return Rewrite(
            name + RANDOM if random else name,
            made,
            in_python=False,
            note=RANDOM_NOTE if random else NOTE,
            each=one,
            check=check,
            compiled="XLA" in name,
            random=random,
            seeds=seeds,
            seconds=seconds,
        )

    batched = _batched(function)
    compiled = native(function, jit_compile=True)
    began = time.perf_counter()
    gains = gains_by_xla(compiled, specs)
    taken = time.perf_counter() - began
    yield rewrite(COMPILED, _kept(compiled), one=True, seconds=taken)
    if not gains:
        # Else unslow.numpy_function has XLA compile them unasked.
        yield rewrite(NAME, _kept(function), True, looping and looping.check_each)
    yield rewrite(BATCHED_COMPILED, _kept(batched, jit_compile=True))
    yield rewrite(BATCHED, _kept(batched), False, looping and looping.check_batch)


def alternatives(module: Module, call: ast.Call) -> Iterator[Alternative]:
    """The same call of a function that makes ops of the NumPy function where it can.

    Without XLA a graph runs loops far slower than Python does: these have that way alone.
    """
    if call not in set(module.calls_to("tensorflow.numpy_function")) or module.has_star(call):
        return
    name, imports = module.imported("unslow")
    last = max((*call.args, *(each.value for each in call.keywords)), key=module.end)
    random = _bridged.draws(module, call)
    ending, note = (RANDOM, RANDOM_NOTE) if random else ("", NOTE)
    kinds = [(NAME, False), (COMPILED, True)][_bridged.loops(module, call) :]
    for kind, compiled in kinds:
        options = ', random="distribution"' * random + ", jit_compile=True" * compiled
        edits = (module.replace(call.func, f"{name}.numpy_function"), *imports)
        if options:
            edits = (module.replace(last, module.text(last) + options), *edits)
        yield Alternative(kind + ending, "unsafe", edits, note=note)


def translated(called: Callable[..., Any], specs: Sequence[Any]) -> tuple[Native, Translation]:
    """A function as ops; with random numbers of TensorFlow's where only these hinder.

    `specs`: the `tf.TensorSpec` of each of its arguments.

    Raises:
        Untranslatable: it cannot be.
    """
    from unslow.native import Untranslatable, native
    from unslow.native.standalone import traced

    function = native(called)
    try:
        return function, traced(function, specs)
    except Untranslatable as error:
        refusal = error
    function = native(called, random="distribution")
    try:
        return function, traced(function, specs)
    except Untranslatable:
        raise refusal from None


class _Looping:
    """Keeps ops from being run whose loops would take far longer than the function itself.

    What runs in the graph does not end before its time, however long that is.
    """

    def __init__(self, function: Native, each: float) -> None:
        self._function = function
        self._each = each
        self._seconds: float | None = None

    def check_each(self, arguments: tuple[Any, ...], count: int) -> None:
        """Raise `Unfit` where a call takes so long that as many at once would not help."""
        self._check(arguments, count, 1)

    def check_batch(self, arguments: tuple[Any, ...], count: int) -> None:
        """Raise `Unfit` where a single call takes too long for a batch of `count`."""
        self._check(arguments, count, count)

    def _check(self, arguments: tuple[Any, ...], count: int, calls: int) -> None:
        from unslow.native.looping import seconds_up_to

        # Of a function whose own time is not known, any may do that ends.
        known = max(SLOWER * self._each, CHEAP) if self._each else LONGEST
        most = min(max(SHORTEST, known * count), LONGEST)
        if self._seconds is None:
            self._seconds = seconds_up_to(most, self._function, arguments)
        if self._seconds >= min(known * calls, most):
            at_least = "more than " if self._seconds >= most else ""
            raise Unfit(
                f"not run: its loop takes {at_least}{self._seconds:.2g} s for one call, step by "
                "step in the graph"
            )


def _raises(error: Exception) -> Callable[..., Any]:
    def refused(*given: Any) -> Any:
        raise error

    return refused


def _batched(function: Native) -> Callable[..., Any]:
    def batch(*columns: Any) -> Any:
        import tensorflow as tf

        return tf.vectorized_map(lambda row: function(*row), columns)

    return batch


def _kept(function: Callable[..., Any], jit_compile: bool = False) -> Callable[..., Any]:
    """A compiled function: it is read once, however often a pipeline is made of it."""
    import tensorflow as tf

    return tf.function(  # type: ignore[no-any-return]
        function, autograph=False, jit_compile=jit_compile or None
    )
