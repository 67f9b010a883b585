"""Branches and loops whose course is known only when the graph runs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from unslow.native import ops
from unslow.native.tracing import checks, merging, surroundings
from unslow.native.tracing.array import Array, is_traced, read, to_python
from unslow.native.tracing.merging import Raw, Template, merged, note_sharing
from unslow.native.tracing.state import Key, Storage, Undefined, isolated, put, session
from unslow.native.tracing.state import read as read_state
from unslow.native.untranslatable import Untranslatable

ROUNDS = 8
"""How often the dtypes and shapes of a loop's variables may change before they must be fixed."""

Changes = dict[Key, Any]


def truth(value: Any) -> Any:
    """`bool(value)`: known, or a traced truth value."""
    if isinstance(value, Array) and is_traced(value):
        return to_python(value, bool)
    if isinstance(value, Array):
        return bool(read(value))
    if type(value) in (bool, int, float, str, list, tuple, dict, type(None)):
        return bool(value)
    from unslow.native.interpreter.objects import truth_of

    return truth_of(value)


def tried(function: Callable[..., Any], specs: list[tf.TensorSpec] | None = None) -> Any:
    """What a function does in a graph that is thrown away, to see what comes of it.

    With `specs`, the function is given a list of placeholders.
    """
    found: list[Any] = []

    def trace(*values: Any) -> None:
        found.append(function() if specs is None else function(list(values)))

    current = session()
    current.trials += 1
    try:
        with ops.recorded(None):
            tf.function(trace, autograph=False).get_concrete_function(*(specs or []))
    finally:
        current.trials -= 1
    return found[0]


class ChangingTest(Exception):
    """The test of a loop changes something, which would be lost: it is to be asked in the body."""


def _course(function: Callable[[], Any]) -> tuple[Any, Changes]:
    """What comes of a function and what it changes, with all that merging asks about it."""
    found, changes = isolated(function)
    for value in (found, *changes.values()):
        merging.note_forms(value)
    return found, changes


def _value(key: Key, value: Any) -> Any:
    return Raw(value) if isinstance(key[0], Storage) else value


def _name(key: Key) -> str:
    return "an array" if isinstance(key[0], Storage) else f"`{key[1]}`"


def _set(key: Key, value: Any) -> None:
    put(key, value.value if isinstance(value, Raw) else value)


def _identity(keys: Any) -> set[tuple[int, str]]:
    return {(id(owner), name) for owner, name in keys}


def branch(test: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """The result of `then` or of `otherwise`, with all that either changes."""
    if not is_traced(test):
        return then() if test else otherwise()
    loops = ops.loops()
    courses = [tried(functools.partial(_course, function)) for function in (then, otherwise)]
    looping = ops.loops() > loops
    results, changes = zip(*courses, strict=True)
    keys = list(dict.fromkeys([*changes[0], *changes[1]]))
    template = merged(results[0], results[1], "a value")
    templates: dict[Key, Template] = {}
    for key in keys:
        pair = [_value(key, changed.get(key, read_state(key))) for changed in changes]
        templates[key] = merged(pair[0], pair[1], _name(key))

    def traced(function: Callable[[], Any]) -> Callable[[], list[Any]]:
        def run() -> list[Any]:
            def inner() -> list[Any]:
                tensors = template.tensors(function())
                for key in keys:
                    tensors += templates[key].tensors(_value(key, read_state(key)))
                return tensors

            return list(isolated(inner)[0])

        return run

    if session().trials:
        # Nobody runs this graph: to trace the arms again, each within each, would take long.
        slots = [slot for each in (template, *templates.values()) for slot in each.slots()]
        tensors = [ops.placeholder(slot.dtype, slot.shape) for slot in slots]
    elif not looping and _selects([template, *templates.values()]):
        arms = zip(traced(then)(), traced(otherwise)(), strict=True)
        tensors = [ops.call("tf.where", read(test), *pair) for pair in arms]
    else:
        tensors = ops.cond(read(test), traced(then), traced(otherwise))
    result = template.build(tensors)
    slots = template.slots()
    for key in keys:
        _set(key, templates[key].build(tensors))
        slots += templates[key].slots()
    note_sharing(slots, _identity(keys))
    return result


def _selects(templates: list[Template]) -> bool:
    """Whether both arms are to run, and the results of one to be taken.

    `tf.vectorized_map` would run each arm on its rows alone. XLA does not know how many those are,
    and in its ops no arm fails on rows that are not its own.
    """
    slots = [slot for template in templates for slot in template.slots()]
    known = all(tf.TensorShape(slot.shape).is_fully_defined() for slot in slots)
    return known and surroundings.compiled() and surroundings.vectorised()


def loop(test: Callable[[], Any], body: Callable[[], None]) -> None:
    """`while test(): body()`, which changes variables and arrays of the running functions.

    Raises:
        ChangingTest: the test does, too; nothing was done then.
    """
    templates: dict[Key, Template] = {}
    initial: dict[Key, Any] = {}

    def begin(values: list[Any]) -> None:
        """Give everything that changes the values of this round."""
        slots = []
        for key, template in templates.items():
            _set(key, template.build(values))
            slots += template.slots()
        note_sharing(slots, _identity(templates))

    def one_round(values: list[Any]) -> Changes:
        def run() -> Changes:
            begin(values)
            value, changes = isolated(lambda: truth(test()))
            if any(owner is not session().wrong for owner, _ in changes):
                raise ChangingTest
            if not isinstance(value, (bool, Array)):
                raise Untranslatable("the test of a loop has no truth value")
            body()
            return {}

        return _course(run)[1]

    for _ in range(ROUNDS):
        specs = _specs(templates)
        changes = tried(one_round, specs)
        if not _widen(templates, initial, changes):
            break
    else:
        raise Untranslatable("the kinds of a loop's variables do not come to rest")

    def traced_test(values: list[Any]) -> Any:
        def run() -> Any:
            begin(list(values))
            value = truth(test())
            value = read(value) if isinstance(value, Array) else ops.call("tf.constant", value)
            return checks.unless_wrong(value)

        return isolated(run)[0]

    def traced_body(values: list[Any]) -> list[Any]:
        def run() -> list[Any]:
            begin(list(values))
            body()
            return [
                tensor
                for key, template in templates.items()
                for tensor in template.tensors(_value(key, read_state(key)))
            ]

        return list(isolated(run)[0])

    state = [
        tensor
        for key, template in templates.items()
        for tensor in template.tensors(_value(key, initial[key]))
    ]
    shapes = [spec.shape for spec in _specs(templates)]
    if not state:
        raise Untranslatable("a loop of the graph in which nothing changes")
    if session().trials:
        tensors = [ops.placeholder(spec.dtype, spec.shape) for spec in _specs(templates)]
        ops.note_loop()
    else:
        tensors = ops.while_loop(traced_test, traced_body, state, shapes)
    begin(tensors)
    checks.note_as_in(lambda: truth(test()))


def _specs(templates: dict[Key, Template]) -> list[tf.TensorSpec]:
    return [
        tf.TensorSpec(slot.shape, tf.as_dtype(slot.dtype))
        for template in templates.values()
        for slot in template.slots()
    ]


def _widen(templates: dict[Key, Template], initial: dict[Key, Any], changes: Changes) -> bool:
    """Let the templates hold what a round left behind; whether they had to be changed."""
    changed = False
    this_round = object()
    for key, after in changes.items():
        if key not in initial:
            initial[key] = read_state(key)
        before = initial[key]
        if isinstance(before, Undefined) and before is not merging.MISSING:
            if key not in templates:
                reason = f"{_name(key)} gets its value in a loop that may run no time at all"
                templates[key] = merging.Same(Undefined(reason))
                changed = True
            continue
        template = merged(_value(key, before), _value(key, after), _name(key))
        for slot in template.slots():
            slot.sources = [
                (side if side == merging.FIRST else this_round, each) for side, each in slot.sources
            ]
        old = templates.get(key)
        if old is not None:
            for slot, known in zip(template.slots(), old.slots(), strict=False):
                slot.shape = [
                    a if a == b else None for a, b in zip(slot.shape, known.shape, strict=False)
                ]
        if old is None or _form(template) != _form(old):
            templates[key] = template
            changed = True
        else:
            for slot, kept in zip(template.slots(), old.slots(), strict=False):
                kept.sources += slot.sources
    return changed


def _form(template: Template) -> list[Any]:
    return [(slot.dtype, slot.kind, slot.shape) for slot in template.slots()]
