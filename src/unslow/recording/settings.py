"""Watches slow modes that a program switches on."""

from __future__ import annotations

import functools
from typing import Any

from unslow import seams
from unslow.recording.clock import PART_OF_OP, Clock, Context, hide_caller
from unslow.recording.data import Setting
from unslow.recording.keras_calls import KerasCalls
from unslow.recording.sites import Place
from unslow.recording.steps import claims_of
from unslow.recording.tracing import EAGER_CALL


class Settings:
    """Lines that made compiled functions run op by op, and what ran so."""

    def __init__(self, clock: Clock, keras_calls: KerasCalls) -> None:
        self._clock = clock
        self._keras_calls = keras_calls
        self._eager: list[Place] = []
        self._debug: list[Place] = []

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        patches.replace(seams.RUN_EAGERLY, lambda original: self._watch(original, self._eager))
        patches.replace(seams.DATA_DEBUG, lambda original: self._watch(original, self._debug))

    def _watch(self, original: Any, places: list[Place]) -> Any:
        clock = self._clock

        @functools.wraps(original)
        def switch(*args: Any, **kwargs: Any) -> Any:
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise
            place = clock.sites.place()
            on = all((*args, *kwargs.values()))
            if on and place not in places:
                places.append(place)
            return result

        return clock.disguise(switch)

    def rows(self) -> list[Setting]:
        """The modes switched on so far."""
        contexts = [
            context for context in self._clock.main.root.subtree() if context.kind == EAGER_CALL
        ]
        keras: dict[Place, list[Context]] = {}
        found = [
            row
            for place in self._eager[:1]
            if (row := self._row("run_functions_eagerly", place, contexts)) is not None
        ]
        for place, context in self._keras_calls.run_eagerly():
            keras.setdefault(place, []).append(context)
        found += [
            row
            for place, nodes in keras.items()
            if (row := self._row("run_eagerly", place, nodes)) is not None
        ]
        found += [
            Setting("tf.data debug mode", site)
            for place in self._debug[:1]
            if (site := self._clock.sites.site(place)) is not None
        ]
        return found

    def _row(self, name: str, place: Place, contexts: list[Context]) -> Setting | None:
        site = self._clock.sites.site(place)
        if site is None:
            return None
        nodes = [node for context in contexts for node in context.subtree()]
        return Setting(
            name=name,
            site=site,
            ops=sum(
                row.calls
                for node in nodes
                for (_, _, op), row in list(node.ops.items())
                if op not in PART_OF_OP
            ),
            calls=sum(context.calls for context in contexts),
            claims=claims_of(self._clock, nodes),
        )
