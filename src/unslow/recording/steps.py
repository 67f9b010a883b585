"""Watches training steps that run op by op: from a gradient tape to the gradients' use."""

from __future__ import annotations

import functools
import weakref
from _thread import get_ident
from typing import Any

from unslow import seams
from unslow.finding import Claim, Site
from unslow.recording.clock import PART_OF_OP, Clock, Context, hide_caller, now
from unslow.recording.data import TapeSteps
from unslow.recording.keras_calls import APPLY
from unslow.recording.tables import SECOND

STEP = "eager step"
"""The context of what is recorded on a tape, and of taking its gradient."""


class Steps:
    """Eager training steps by the function that holds them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: dict[int, tuple[Context, Context, int]] = {}
        self._recorded: weakref.WeakKeyDictionary[Any, Context] = weakref.WeakKeyDictionary()

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
                        seconds=(context.ns + applied) / SECOND,
                        ops=sum(row.calls for row in ops),
                        op_seconds=sum(row.ns for row in ops) / SECOND,
                        claims=claims_of(self._clock, nodes) if thread.main else (),
                    )
                )
        return found


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
