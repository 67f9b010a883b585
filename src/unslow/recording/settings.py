"""Watches slow modes that a program switches on."""

from __future__ import annotations

import functools
import os
from typing import Any

from unslow import seams
from unslow.recording.clock import PART_OF_OP, Clock, Context, hide_caller
from unslow.recording.data import Setting, ThreadPool
from unslow.recording.keras_calls import KerasCalls
from unslow.recording.sites import NOWHERE, Place
from unslow.recording.steps import claims_of
from unslow.recording.tracing import EAGER_CALL

THREAD_VARIABLES = {"intra": "TF_NUM_INTRAOP_THREADS", "inter": "TF_NUM_INTEROP_THREADS"}
"""The environment variables that TensorFlow takes the sizes of its thread pools from."""


class Settings:
    """Lines that made compiled functions run op by op, and what ran so."""

    def __init__(self, clock: Clock, keras_calls: KerasCalls) -> None:
        self._clock = clock
        self._keras_calls = keras_calls
        self._eager: list[Place] = []
        self._debug: list[Place] = []
        self._pools: dict[str, tuple[int, Place]] = {}

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        patches.replace(seams.RUN_EAGERLY, lambda original: self._watch(original, self._eager))
        patches.replace(seams.DATA_DEBUG, lambda original: self._watch(original, self._debug))
        for pool, seam in seams.THREAD_POOLS.items():
            patches.replace(seam, functools.partial(self._watch_pool, pool))

    def _watch_pool(self, pool: str, original: Any) -> Any:
        clock = self._clock

        @functools.wraps(original)
        def set_threads(*args: Any, **kwargs: Any) -> Any:
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise
            threads = next(iter((*args, *kwargs.values())), 0)
            if isinstance(threads, int):
                self._pools[pool] = (threads, clock.sites.place())
            return result

        return clock.disguise(set_threads)

    def thread_pools(self) -> list[ThreadPool]:
        """The thread pools whose size the program or the environment has set."""
        found = []
        for pool, variable in THREAD_VARIABLES.items():
            threads, place = self._pools.get(pool, (0, NOWHERE))
            given = os.environ.get(variable, "").strip()
            if threads > 0:
                setting = f"tf.config.threading.{seams.THREAD_POOLS[pool].attribute}"
                found.append(ThreadPool(pool, threads, setting, self._clock.sites.site(place)))
            elif given.isdigit() and int(given) > 0:
                found.append(ThreadPool(pool, int(given), variable))
        return found

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
