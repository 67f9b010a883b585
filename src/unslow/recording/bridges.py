"""Watches Python functions that graphs call, in whatever thread, and who waits for them."""

from __future__ import annotations

import functools
import threading
import time
from _thread import get_ident
from typing import Any

from unslow import seams
from unslow.finding import Claim, Site
from unslow.recording.bridge_samples import MOST_CALLS, BridgeSamples, Taken
from unslow.recording.clock import Call, Clock, ThreadClock, hide_caller, now
from unslow.recording.crossing import LEAST_CROSSINGS, crossing_seconds
from unslow.recording.data import Bridge
from unslow.recording.sites import Place, code_of
from unslow.recording.tables import SECOND

GENERATOR = "generator"

MOST_TOKENS = 256
"""Registered functions that are kept before those that are gone are looked for."""

_GENERATOR_NEXT = "generator_py_func"
_GENERATOR_OTHER = frozenset({"get_next_id", "finalize_py_func"})
"""Names of tf.data's own functions around a generator, of which the first yields elements."""

_PIPELINE_FILES = ("structured_function.py", "from_generator_op.py", "flat_map_op.py")
"""Files of tf.data that trace the functions of a pipeline's stages."""


class BridgeRow:
    """One registered function. Times in nanoseconds.

    `active`: calls under way in threads other than the main one, the longest
    since `since`; `busy`: wall-clock time with at least one, up to `since`.
    `waits`: the main thread's waiting by (code, instruction, part it waited in).
    `taken`: the calls of which the arguments are kept.
    """

    __slots__ = (
        "active",
        "busy",
        "bytes",
        "calls",
        "cpu",
        "definition",
        "function",
        "kind",
        "most",
        "ns",
        "pipeline",
        "rank",
        "since",
        "site",
        "taken",
        "waits",
    )

    def __init__(self, site: Site, place: Place, kind: str, function: Any, pipeline: bool) -> None:
        self.site = site
        self.taken = Taken(place)
        self.kind = kind
        self.function = _name_of(function)
        self.definition: Site | None = None
        self.pipeline = pipeline
        self.calls = self.ns = self.cpu = self.busy = self.bytes = self.rank = 0
        self.active = self.most = self.since = 0
        self.waits: dict[tuple[int, int, str], int] = {}

    def busy_until(self, moment: int) -> int:
        """Nanoseconds up to `moment` with at least one call under way."""
        return self.busy + (moment - self.since if self.active else 0)


def _name_of(function: Any) -> str:
    """A function's name; of an object that is called, its class's."""
    code = code_of(function)
    if code is None:
        return "<unknown>"
    if code.co_name != "__call__":
        return code.co_name
    while isinstance(function, functools.partial) or hasattr(function, "__wrapped__"):
        partial = isinstance(function, functools.partial)
        function = function.func if partial else function.__wrapped__
    return type(getattr(function, "__self__", function)).__name__


class Bridges:
    """Counts calls of Python functions from graphs, by the line that registered them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[tuple[Any, ...], BridgeRow] = {}
        self._tokens: dict[Any, BridgeRow] = {}
        self._most_tokens = MOST_TOKENS
        self._samples = BridgeSamples(clock.samples)

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        if patches.replace(seams.BRIDGE_INSERT, self._watch_insert):
            patches.replace(seams.BRIDGE_CALL, self._watch_call)

    def _watch_insert(self, original: Any) -> Any:
        def insert(registry: Any, function: Any) -> Any:
            try:
                token = original(registry, function)
            except BaseException as error:
                hide_caller(error)
                raise
            row = self._register(function)
            if row is not None:
                self._tokens[token] = row
            if len(self._tokens) >= self._most_tokens:
                self._forget(registry)
            return token

        insert.__wrapped__ = original  # type: ignore[attr-defined]
        return self._clock.disguise(insert)

    def _forget(self, registry: Any) -> None:
        """Drop the tokens of functions that are gone: each trace registers its own."""
        for token in [token for token in self._tokens if registry.get(token) is None]:
            del self._tokens[token]
        self._most_tokens = 2 * len(self._tokens) + MOST_TOKENS

    def _register(self, function: Any) -> BridgeRow | None:
        sites = self._clock.sites
        stack = seams.mapped_stack()
        site = sites.innermost(stack)
        pipeline = any(filename.endswith(_PIPELINE_FILES) for filename, _, _ in stack)
        user = seams.eager_python_function(function)
        kind = "numpy_function" if user is None else "py_function"
        user = seams.unconverted(function if user is None else user)
        code = code_of(user)
        name = code.co_name if code is not None else ""
        own = code is None or not sites.foreign[code.co_filename]
        if site is None or (name in _GENERATOR_OTHER and not own):
            return None
        if name == _GENERATOR_NEXT and not own:
            kind, pipeline, user = GENERATOR, True, _generator_of(user)
        definition = sites.definition(user)
        key = (site, kind, definition)
        with self._lock:
            row = self._rows.get(key)
            if row is None:
                row = self._rows[key] = BridgeRow(site, sites.stand_in(site), kind, user, pipeline)
                row.definition = definition
        return row

    def _watch_call(self, original: Any) -> Any:
        on_main = self._clock.watch(original, "bridge", self._note_main, self._begins)
        elsewhere = self._clock.watch(original, "bridge", self._note_elsewhere, self._begins)
        tokens = self._tokens
        main = self._clock.main
        threads = self._clock.threads

        def call(registry: Any, token: Any, device: Any, args: Any) -> Any:
            row = tokens.get(token)
            if row is None:
                watched = original
            else:
                watched = on_main if threads[get_ident()] is main else elsewhere
            try:
                return watched(registry, token, device, args)
            except BaseException as error:
                hide_caller(error)
                raise

        call.__wrapped__ = original  # type: ignore[attr-defined]
        return self._clock.disguise(call)

    def _begins(self, thread: ThreadClock, args: tuple[Any, ...]) -> bool:
        row = self._tokens[args[1]]
        if row.calls and row.taken.calls < MOST_CALLS:
            self._samples.copy(row.taken, args[3])
        thread.cpu.append(time.thread_time_ns())
        if not thread.main:
            with self._lock:
                moment = now()
                if row.active:
                    row.busy += moment - row.since
                row.since = moment
                row.active += 1
                row.most = max(row.most, row.active)
        return True

    def _note_main(self, call: Call) -> None:
        row = self._tokens[call.args[1]]
        with self._lock:
            self._count(row, call.thread, call.args, call.inclusive)
            row.busy += call.inclusive
            row.most = max(row.most, 1)
            key = (*call.place, "main")
            row.waits[key] = row.waits.get(key, 0) + call.own
        self._samples.keep(row.taken, row.kind, call)

    def _note_elsewhere(self, call: Call) -> None:
        row = self._tokens[call.args[1]]
        with self._lock:
            moment = now()
            row.busy += moment - row.since
            row.since = moment
            row.active -= 1
            self._count(row, call.thread, call.args, call.inclusive)
        self._samples.keep(row.taken, row.kind, call)

    def _count(
        self, row: BridgeRow, thread: ThreadClock, args: tuple[Any, ...], inclusive: int
    ) -> None:
        row.calls += 1
        row.ns += inclusive
        row.cpu += time.thread_time_ns() - thread.cpu.pop()
        for value in args[3]:
            row.bytes += getattr(value, "nbytes", 0)
        if args[3]:
            row.rank = max(row.rank, len(getattr(args[3][0], "shape", ())))

    def busy(self, pipeline: bool) -> list[tuple[BridgeRow, int]]:
        """What to give `waited` after the main thread's wait that begins now."""
        moment = now()
        with self._lock:
            return [
                (row, row.busy_until(moment))
                for row in self._rows.values()
                if row.pipeline == pipeline
            ]

    def ran(self, before: list[tuple[BridgeRow, int]], longest: int) -> int:
        """Nanoseconds, at most `longest`, in which Python ran elsewhere since `before`."""
        if not before:
            return 0
        moment = now()
        with self._lock:
            return min(longest, max(row.busy_until(moment) - busy for row, busy in before))

    def waited(
        self, before: list[tuple[BridgeRow, int]], place: Place, part: str, longest: int
    ) -> int:
        """Count the Python that ran elsewhere while the main thread waited at `place`.

        Returns its nanoseconds, at most `longest`, which it takes away from `part`.
        """
        moment = now()
        with self._lock:
            ran = [(row, row.busy_until(moment) - busy) for row, busy in before]
            total = sum(spent for _, spent in ran)
            if total <= 0:
                return 0
            union = min(longest, max(spent for _, spent in ran))
            for row, spent in ran:
                if spent:
                    key = (*place, part)
                    row.waits[key] = row.waits.get(key, 0) + union * spent // total
            return union

    def moved(self) -> dict[tuple[Place, str], int]:
        """Nanoseconds to move from a place's other part to its bridge part."""
        found: dict[tuple[Place, str], int] = {}
        for row in list(self._rows.values()):
            for (code, instruction, part), spent in list(row.waits.items()):
                if part != "main":
                    key = ((code, instruction), part)
                    found[key] = found.get(key, 0) + spent
        return found

    def rows(self, bridged_at: dict[Site, int], final: bool) -> list[Bridge]:
        """The bridges so far, or those of a program that has ended (`final`).

        `bridged_at`: nanoseconds, by line, that the main thread waited inside compiled
        functions for the Python of pipelines; each function has its share by how long it ran.
        """
        moment = now()
        every = list(self._rows.values())
        running = sum(row.busy_until(moment) for row in every if row.pipeline)
        crossing = {
            pipeline: crossing_seconds(pipeline)
            for pipeline in {row.pipeline for row in every if final and _is_hot(row)}
        }
        found = []
        for row in every:
            if not row.calls:
                continue
            lines: dict[Site, float] = {}
            for (code, instruction, _), spent in list(row.waits.items()):
                site = self._clock.sites.site((code, instruction))
                if site is not None:
                    lines[site.at_line] = lines.get(site.at_line, 0.0) + spent / SECOND
            if row.pipeline and running:
                for site, spent in bridged_at.items():
                    share = spent / SECOND * row.busy_until(moment) / running
                    lines[site] = lines.get(site, 0.0) + share
            found.append(
                Bridge(
                    site=row.site,
                    kind=row.kind,
                    function=row.function,
                    definition=row.definition,
                    calls=row.calls,
                    seconds=row.ns / SECOND,
                    cpu_seconds=row.cpu / SECOND,
                    busy_seconds=row.busy_until(moment) / SECOND,
                    waited_seconds=sum(lines.values()),
                    threads=row.most,
                    bytes=row.bytes,
                    rank=row.rank,
                    pipeline=row.pipeline,
                    claims=tuple(
                        Claim(site.path, site.line, "bridge", seconds, site.cell)
                        for site, seconds in lines.items()
                    ),
                    crossing_seconds=crossing.get(row.pipeline, 0.0) if _is_hot(row) else 0.0,
                )
            )
        return found


def _is_hot(row: BridgeRow) -> bool:
    """Whether the way to Python and back may count: many calls, one after the other."""
    return row.kind != GENERATOR and row.calls >= LEAST_CROSSINGS and row.most < 2


def _generator_of(function: Any) -> Any:
    """The user's generator function behind tf.data's function that asks it for elements."""
    for _ in range(8):
        if getattr(function, "__closure__", None):
            for name, cell in zip(function.__code__.co_freevars, function.__closure__, strict=True):
                if name == "generator_state":
                    return getattr(cell.cell_contents, "_generator", function)
        function = getattr(function, "__wrapped__", None)
        if function is None:
            break
    return function
