"""Watches training steps that run op by op: from a gradient tape to the gradients' use."""

from __future__ import annotations

import functools
import inspect
import weakref
from _thread import get_ident
from types import CellType, CodeType, FrameType, FunctionType
from typing import Any

from unslow import seams
from unslow.finding import Claim, Site
from unslow.recording.arrays import size_of
from unslow.recording.clock import PART_OF_OP, Clock, Context, hide_caller, now
from unslow.recording.data import TapeSteps
from unslow.recording.keras_calls import APPLY
from unslow.recording.samples import FEW, UserCall
from unslow.recording.sites import Place
from unslow.recording.spans import Span, span_around
from unslow.recording.surroundings import Around
from unslow.recording.tables import SECOND

STEP = "eager step"
"""The context of what is recorded on a tape, and of taking its gradient."""

NOT_A_STEP = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
"""Flags of functions whose call is not over when it returns."""


class Steps:
    """Eager training steps by the function that holds them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[int, tuple[Context, Context, int]] = {}
        self._recorded: weakref.WeakKeyDictionary[Any, Context] = weakref.WeakKeyDictionary()
        self._spans: dict[int, Span | None] = {}
        self._captured: dict[int, int] = {}
        self._names: dict[int, Around] = {}
        self._calls: weakref.WeakKeyDictionary[Any, UserCall] = weakref.WeakKeyDictionary()

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        if patches.replace(seams.TAPE_ENTER, self._watch_enter):
            patches.replace(seams.TAPE_EXIT, self._watch_exit)
            patches.replace(seams.TAPE_GRADIENT, self._watch_gradient)

    def _watch_enter(self, original: Any) -> Any:
        clock = self._clock

        @functools.wraps(original)
        def enter(tape: Any) -> Any:
            thread = clock.threads[get_ident()]
            if not thread.muted and not thread.tracing and not thread.context.within(STEP):
                began = now()
                place = clock.sites.place()
                if clock.sites.site(place) is not None:
                    # Steps of one function are one context, whatever line the tape is at.
                    step = thread.context.child(STEP, (place[0], -1))
                    outer = clock.switch(thread, step)
                    self._enter(tape, place, step, thread.main)
                    self._open[id(tape)] = (outer, step, now())
                    clock.own_cost(thread, now() - began)
            try:
                return original(tape)
            except BaseException as error:
                hide_caller(error)
                raise

        return clock.disguise(enter)

    def _watch_exit(self, original: Any) -> Any:
        clock = self._clock

        @functools.wraps(original)
        def leave(tape: Any, *args: Any) -> Any:
            opened = self._open.pop(id(tape), None)
            if opened is not None:
                end = now()
                outer, step, started = opened
                self._recorded[tape] = step
                thread = clock.threads[get_ident()]
                clock.close(thread, outer, end - started)
                clock.own_cost(thread, now() - end)
            try:
                return original(tape, *args)
            except BaseException as error:
                hide_caller(error)
                raise

        return clock.disguise(leave)

    def _watch_gradient(self, original: Any) -> Any:
        clock = self._clock

        @functools.wraps(original)
        def gradient(tape: Any, *args: Any, **kwargs: Any) -> Any:
            thread = clock.threads[get_ident()]
            step = self._step_of(tape)
            if step is None:
                try:
                    return original(tape, *args, **kwargs)
                except BaseException as error:
                    hide_caller(error)
                    raise
            began = now()
            place = clock.sites.place()
            step.places[place] = step.places.get(place, 0) + 1
            call = self._calls.pop(tape, None)
            if call is not None:
                clock.samples.keep(place, call, size_of((call.arguments, call.keywords)))
            outer = clock.switch(thread, step)
            start = now()
            clock.own_cost(thread, start - began)
            try:
                return original(tape, *args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise
            finally:
                end = now()
                clock.switch(thread, outer)
                if outer is not step:
                    step.ns += end - start
                clock.own_cost(thread, now() - end)

        return clock.disguise(gradient)

    def _enter(self, tape: Any, place: Place, step: Context, main: bool) -> None:
        """Keep what the function that holds the tape was called with, of a few of its calls."""
        code = place[0]
        if code not in self._spans:
            site = self._clock.sites.site(place)
            assert site is not None
            self._spans[code] = span_around(self._clock.sites.codes[code], site.line)
        span = self._spans[code]
        samples = self._clock.samples
        if span is None or span.loop or not main or not step.calls or not samples.wanted:
            return
        around = self._names.get(code)
        if around is None:
            around = self._names[code] = Around(self._clock)
        wanted = self._captured.get(code, 0) < FEW and samples.wants(UserCall, place)
        due = around.due()
        if not wanted and not due:
            return
        call = call_of(self._clock.sites.codes[code], around)
        if call is None:
            return
        if due:
            around.look(call.function, call.owner)
        if wanted:
            self._captured[code] = self._captured.get(code, 0) + 1
            self._calls[tape] = call

    def _step_of(self, tape: Any) -> Context | None:
        opened = self._open.get(id(tape))
        return self._recorded.get(tape) if opened is None else opened[1]

    def rows(self) -> list[TapeSteps]:
        """Eager steps so far, with the main thread's time in them and in applying gradients."""
        found = []
        for thread in list(self._clock.threads.values()):
            for context in thread.root.subtree():
                if context.kind != STEP or not context.calls or not context.places:
                    continue
                place = max(context.places, key=lambda each: context.places[each])
                site = self._clock.sites.site(place)
                if site is None:
                    continue
                nodes = list(context.subtree())
                applied = 0
                for sibling in list((context.parent or context).children.values()):
                    if sibling.kind == APPLY and sibling.place[0] == context.place[0]:
                        nodes += sibling.subtree()
                        applied += sibling.ns
                nodes.append(around := self._around(context))
                ops = [
                    row
                    for node in nodes
                    for (_, _, op), row in list(node.ops.items())
                    if op not in PART_OF_OP
                ]
                found.append(
                    TapeSteps(
                        site=site,
                        steps=sum(context.places.values()),
                        seconds=(context.ns + applied + spent_in(around)) / SECOND,
                        ops=sum(row.calls for row in ops),
                        op_seconds=sum(row.ns for row in ops) / SECOND,
                        claims=claims_of(self._clock, nodes) if thread.main else (),
                    )
                )
        return found

    def _around(self, step: Context) -> Context:
        """The ops that a step's function runs outside the tape, such as those of its update."""
        found = Context("around", step.place, None)
        span, parent = self._spans.get(step.place[0]), step.parent
        if span is None or parent is None:
            return found
        for key, row in list(parent.ops.items()):
            if key[0] == step.place[0]:
                site = self._clock.sites.site((key[0], key[1]))
                if site is not None and span.first <= site.line <= span.last:
                    found.ops[key] = row
        return found


def spent_in(context: Context) -> int:
    """Own nanoseconds of a context, in all parts."""
    return sum(spent for _, _, spent in context.own_times())


def call_of(code: CodeType, around: Around) -> UserCall | None:
    """The innermost call under way of the function with this code, with its arguments.

    They are as they are now: the function may have given their names other values. It
    gets the values that names from around it have now, in cells of its own.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    if frame is None or code.co_flags & NOT_A_STEP or code.co_name == "<module>":
        return None
    return _call_in(frame, around)


def _call_in(frame: FrameType, around: Around) -> UserCall | None:
    code, seen = frame.f_code, frame.f_locals
    names = code.co_varnames
    positional = names[: code.co_argcount]
    by_name = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    rest = list(names[code.co_argcount + code.co_kwonlyargcount :])
    try:
        arguments = tuple(seen[name] for name in positional)
        keywords = {name: seen[name] for name in by_name}
        if code.co_flags & inspect.CO_VARARGS:
            arguments += tuple(seen[rest.pop(0)])
        if code.co_flags & inspect.CO_VARKEYWORDS:
            keywords.update(seen[rest.pop(0)])
    except (KeyError, IndexError):
        # The function has deleted one of its arguments.
        return None
    cells = tuple(CellType(seen[name]) if name in seen else CellType() for name in code.co_freevars)
    function = FunctionType(code, frame.f_globals, code.co_name, None, cells)
    owner = arguments[0] if names[:1] == ("self",) and arguments else None
    return UserCall(function, arguments, keywords, owner, around)


def claims_of(clock: Clock, nodes: list[Context]) -> tuple[Claim, ...]:
    """The own times of contexts as claims, summed by line and part."""
    sums: dict[tuple[Site, str], int] = {}
    for node in nodes:
        for place, part, spent in clock.times(node):
            site = clock.sites.site(place)
            if site is not None:
                key = (site.at_line, part)
                sums[key] = sums.get(key, 0) + spent
    return tuple(
        Claim(site.path, site.line, part, spent / SECOND, site.cell)
        for (site, part), spent in sums.items()
        if spent > 0
    )
