"""The clock that makes time add up.

Every watched call takes its own time and takes it away from what it was called
by: the own times of one thread never overlap. Own times are kept at the place
in the user's code, in a part of the time budget, inside a *context*: a node in
the tree of the calls whose inclusive time matters (a Keras `fit`, a training
step). What no watched call covers is the Python part; it is found between two
watched calls and belongs to the line of the later one, or, where it was long,
to the lines at which a sampler saw the thread. The recorder times itself.
"""

from __future__ import annotations

import functools
import threading
import time
from _thread import get_ident
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, NamedTuple

from unslow.recording.arrays import Repeats
from unslow.recording.samples import Samples
from unslow.recording.sites import NOWHERE, Place, Sites

now = time.perf_counter_ns

LONG_GAP = 2_000_000
"""Nanoseconds of unwatched Python from which the sampler's view of it is used."""

GAP = "gap"
"""The key, beside the parts, of long stretches of Python by the place that ended them."""

KERAS = "keras"
"""The context of an outermost Keras call."""

PART_OF_OP = {
    "IteratorGetNext": "input",
    "IteratorGetNextSync": "input",
    "AnonymousIteratorV3": "build",
    "MakeIterator": "build",
}
"""Eager ops that are not computation."""


class OpRow:
    """One eager op type at one place. Times in nanoseconds.

    `python`: unwatched Python on the way to the op. `inspected` calls had their
    arguments looked at; `arrays` of them were given a NumPy array (the first
    counts). There were `pairs` of neighbouring calls that were both given one;
    `repeats` tells in how many it was the same, unchanged. `seen`: what was seen
    of it last, at call `seen_call`.
    """

    __slots__ = (
        "array_bytes",
        "arrays",
        "calls",
        "inspected",
        "ns",
        "pairs",
        "python",
        "repeats",
        "seen",
        "seen_call",
    )

    def __init__(self) -> None:
        self.calls = self.ns = self.python = 0
        self.inspected = self.arrays = self.array_bytes = 0
        self.pairs = self.seen_call = 0
        self.repeats: Repeats | None = None
        self.seen: Any = None


class Context:
    """A node in the tree of calls whose inclusive time is kept.

    `ops` maps (code, instruction, op) and `own` maps (code, instruction, part) to
    the time spent here but not in a child. `places` counts where it ended, for
    contexts that begin and end at different lines.
    """

    __slots__ = (
        "calls",
        "children",
        "kind",
        "label",
        "longest",
        "ns",
        "ops",
        "own",
        "parent",
        "place",
        "places",
    )

    def __init__(self, kind: str, place: Place, parent: Context | None, label: str = "") -> None:
        self.kind = kind
        self.label = label
        self.place = place
        self.parent = parent
        self.children: dict[tuple[str, str, Place], Context] = {}
        self.ops: dict[tuple[int, int, str], OpRow] = {}
        self.own: dict[tuple[int, int, str], int] = {}
        self.calls = self.ns = self.longest = 0
        self.places: dict[Place, int] = {}

    def child(self, kind: str, place: Place, label: str = "") -> Context:
        """The context of this kind below this one, made on first use."""
        key = (kind, label, place)
        try:
            return self.children[key]
        except KeyError:
            child = self.children[key] = Context(kind, place, self, label)
            return child

    def subtree(self) -> Iterator[Context]:
        """This node and all below it."""
        yield self
        for child in list(self.children.values()):
            yield from child.subtree()

    def nearest(self, kind: str) -> Context | None:
        """This node, or the nearest above it, of `kind`."""
        node: Context | None = self
        while node is not None and node.kind != kind:
            node = node.parent
        return node

    def within(self, kind: str) -> bool:
        """Whether this node or one above it is of `kind`."""
        return self.nearest(kind) is not None

    def own_times(self) -> Iterator[tuple[Place, str, int]]:
        """Own nanoseconds in this node by place and part."""
        for (code, instruction, op), row in list(self.ops.items()):
            place = (code, instruction)
            yield place, PART_OF_OP.get(op, "eager"), row.ns
            if row.python:
                yield place, "python", row.python
        for (code, instruction, part), spent in list(self.own.items()):
            yield (code, instruction), part, spent


class ThreadClock:
    """The state of one thread's time.

    `inner`: nanoseconds of the watched calls that the current one has made so
    far. `last`: when the last outermost watched call ended. `depth`: how many
    watched calls are open. `doing`: the part of the innermost of them.
    `tracing`: how many functions are being traced. `traces`: how many were.
    `traces_before`, `busy_before`: for each open call of a compiled function,
    that number and what the bridges had run when it began. `busy_executing`:
    what those of pipelines had run when the execution under way began. `executed`:
    nanoseconds of execution since the last such call ended. `cpu`: for each
    open call from a graph, the CPU time when it began. `syncing`: a tensor is
    being made an array. `muted`: the recorder itself is calling.
    """

    __slots__ = (
        "busy_before",
        "busy_executing",
        "context",
        "cpu",
        "depth",
        "doing",
        "executed",
        "inner",
        "last",
        "main",
        "muted",
        "name",
        "ops",
        "own",
        "recorder",
        "root",
        "syncing",
        "traces",
        "traces_before",
        "tracing",
    )

    def __init__(self, name: str, main: bool, start: int) -> None:
        self.name = name
        self.main = main
        self.root = Context("thread", NOWHERE, None)
        self.last = start
        self.inner = self.depth = self.tracing = self.traces = self.recorder = 0
        self.executed = 0
        self.doing = ""
        self.traces_before: list[int] = []
        self.cpu: list[int] = []
        self.busy_before: list[Any] = []
        self.busy_executing: list[Any] = []
        self.muted = self.syncing = False
        self.use(self.root)

    def use(self, context: Context) -> None:
        """Make `context` the one that own times go to."""
        self.context = context
        self.ops = context.ops
        self.own = context.own


class Threads(dict[int, ThreadClock]):
    """The clock of every thread that was seen, by its identifier."""

    def __missing__(self, ident: int) -> ThreadClock:
        known = threading._active.get(ident)  # type: ignore[attr-defined]
        name = known.name if known is not None else "TensorFlow"
        clock = self[ident] = ThreadClock(name, ident == threading.main_thread().ident, now())
        return clock


class Call(NamedTuple):
    """A watched call that has ended. `result` is `None` where it raised; times in nanoseconds."""

    thread: ThreadClock
    place: Place
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    own: int
    inclusive: int


Note = Callable[[Call], None]
"""What a watcher notes of a call."""


When = Callable[[ThreadClock, tuple[Any, ...]], bool]
"""Whether a call with these arguments is one to watch."""


class Clock:
    """Exclusive time per thread, place and part.

    `samples` takes what watchers keep for the experiments after the end; by default nothing.
    """

    def __init__(self, sites: Sites, samples: Samples | None = None) -> None:
        self.start = now()
        self.sites = sites
        self.samples = samples or Samples(sites, limit=0)
        self.threads = Threads()
        self.main = self.threads[threading.main_thread().ident or get_ident()]
        self.main.last = self.start
        self._samples: dict[Place, int] = {}
        self._samples_since = -1
        self.profiles: dict[Place, dict[Place, int]] = {}
        self.failures: dict[str, str] = {}
        self._timed: dict[int, CodeType] = {}

    def watch(
        self,
        original: Callable[..., Any],
        part: str,
        note: Note | None = None,
        when: When | None = None,
    ) -> Callable[..., Any]:
        """`original`, its own time counted in `part` and each call told to `note`.

        Where `when` says no, the call is not watched. Exceptions pass with the
        traceback they have without the watch.
        """
        threads = self.threads
        enter, leave = self.enter, self.leave

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            began = now()
            thread = threads[get_ident()]
            if thread.muted or (when is not None and not self._asks(when, thread, args)):
                try:
                    return original(*args, **kwargs)
                except BaseException as error:
                    hide_caller(error)
                    raise
            outer = enter(thread, began)
            thread.doing = part
            start = now()
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                leave(thread, outer, began, start, part, note, args, kwargs, None)
                hide_caller(error)
                raise
            leave(thread, outer, began, start, part, note, args, kwargs, result)
            return result

        return self.disguise(watched, timed=True)

    def within(
        self,
        original: Callable[..., Any],
        kind: str,
        note: Note | None = None,
        label: str = "",
        when: When | None = None,
    ) -> Callable[..., Any]:
        """`original`, run in a context of `kind`: its inclusive time is kept, by line and part.

        Inner calls of the same kind belong to the outermost. `label` tells
        contexts of one kind apart.
        """
        threads = self.threads
        sites = self.sites

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            thread = threads[get_ident()]
            if (
                thread.muted
                or thread.tracing
                or thread.context.within(kind)
                or (when is not None and not self._asks(when, thread, args))
            ):
                try:
                    return original(*args, **kwargs)
                except BaseException as error:
                    hide_caller(error)
                    raise
            began = now()
            place = sites.place()
            outer = self.switch(thread, thread.context.child(kind, place, label))
            start = now()
            self.own_cost(thread, start - began)
            result = None
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise
            finally:
                end = now()
                self.close(thread, outer, end - start)
                if note is not None:
                    self._tell(note, Call(thread, place, args, kwargs, result, 0, end - start))
                self.own_cost(thread, now() - end)
            return result

        return self.disguise(watched)

    def disguise(self, wrapper: Callable[..., Any], timed: bool = False) -> Callable[..., Any]:
        """Keep AutoGraph from converting a wrapper; `timed`: what it calls is not unwatched."""
        wrapper.autograph_info__ = None  # type: ignore[attr-defined]
        if timed:
            code = wrapper.__code__
            self._timed[id(code)] = code
        return wrapper

    # A watcher that fails must not fail the program: it is reported.

    def _tell(self, note: Note, call: Call) -> None:
        try:
            note(call)
        except Exception as error:
            self.failures[f"{note.__module__}.{note.__qualname__}"] = repr(error)

    def _asks(self, when: When, thread: ThreadClock, args: tuple[Any, ...]) -> bool:
        try:
            return when(thread, args)
        except Exception as error:
            self.failures[f"{when.__module__}.{when.__qualname__}"] = repr(error)
            return False

    def own_cost(self, thread: ThreadClock, spent: int) -> None:
        """Count nanoseconds, up to now, that a watcher took outside a watched call of its own."""
        thread.recorder += spent
        thread.inner += spent
        if not thread.depth:
            thread.last = now()

    def enter(self, thread: ThreadClock, began: int) -> int:
        """Open a watched call that began at `began`; returns what `leave` needs back."""
        if not thread.depth:
            self.gap(thread, began)
        thread.depth += 1
        outer = thread.inner
        thread.inner = 0
        return outer

    def leave(
        self,
        thread: ThreadClock,
        outer: int,
        began: int,
        start: int,
        part: str,
        note: Note | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
    ) -> None:
        """Close the innermost watched call: count its own time, tell its watcher."""
        end = now()
        thread.doing = ""
        own = end - start - thread.inner
        place = self.sites.place(2)
        key = (*place, part)
        thread.own[key] = thread.own.get(key, 0) + own
        if note is not None:
            self._tell(note, Call(thread, place, args, kwargs, result, own, end - start))
        done = now()
        thread.recorder += done - end + start - began
        thread.inner = outer + done - began
        thread.depth -= 1
        if not thread.depth:
            thread.last = done

    def gap(self, thread: ThreadClock, until: int) -> None:
        """Count the Python that ran unwatched before the call that began at `until`."""
        spent = until - thread.last
        place = self.sites.place(3)
        if spent < LONG_GAP:
            key = (*place, "python")
            thread.own[key] = thread.own.get(key, 0) + spent
        else:
            self.long_gap(thread, place, spent)
        thread.last = until

    def long_gap(self, thread: ThreadClock, place: Place, spent: int) -> None:
        """Count a long stretch of Python that ended at `place`, and what the sampler saw of it."""
        key = (*place, GAP)
        thread.own[key] = thread.own.get(key, 0) + spent
        if thread.main and self._samples and self._samples_since == thread.last:
            samples, self._samples = self._samples, {}
            profile = self.profiles.setdefault(place, {})
            # The sampler may still be adding to these: look at a copy.
            for seen, count in list(samples.items()):
                profile[seen] = profile.get(seen, 0) + count

    def sample(self, frame: Any) -> Place | None:
        """Note where the main thread is, if it is in unwatched Python. Called by the sampler.

        Returns the place where it is inside a compiled function, else `None`.
        """
        foreign = self.sites.foreign
        place = NOWHERE
        watched = False
        while frame is not None:
            code = frame.f_code
            if id(code) in self._timed:
                watched = True
            elif place is NOWHERE and not foreign[code.co_filename]:
                place = self.sites.keep(code, frame.f_lasti)
            frame = frame.f_back
        if watched:
            return place if self.main.doing == "graph" else None
        if self._samples_since != self.main.last:
            self._samples = {}
            self._samples_since = self.main.last
        self._samples[place] = self._samples.get(place, 0) + 1
        return None

    def switch(self, thread: ThreadClock, context: Context) -> Context:
        """Make `context` the one that own times go to from now on; returns the one before."""
        if not thread.depth:
            self.gap(thread, now())
        before = thread.context
        thread.use(context)
        return before

    def close(self, thread: ThreadClock, outer: Context, spent: int) -> None:
        """Leave all contexts up to `outer`, the outermost of which took `spent` nanoseconds."""
        context = self.switch(thread, outer)
        while context.parent is not None and context.parent is not outer:
            context = context.parent
        context.calls += 1
        context.ns += spent
        context.longest = max(context.longest, spent)

    def times(self, context: Context) -> Iterator[tuple[Place, str, int]]:
        """Own nanoseconds of a context by place and part, long Python where the sampler saw it."""
        for place, part, spent in context.own_times():
            if part != GAP:
                yield place, part, spent
                continue
            profile = self.profiles.get(place) or {place: 1}
            total = sum(profile.values())
            for seen, count in list(profile.items()):
                yield seen, "python", spent * count // total

    def pending(self, until: int) -> dict[Place, int]:
        """The main thread's Python since its last watched call, by place, not yet counted."""
        spent = until - self.main.last
        if self.main.depth or spent <= 0:
            return {}
        if self._samples_since == self.main.last and self._samples:
            samples = dict(self._samples)
            total = sum(samples.values())
            return {place: spent * count // total for place, count in samples.items()}
        return {NOWHERE: spent}


def hide_caller(error: BaseException) -> None:
    """Take the catching frame out of the traceback of an error that it is about to re-raise.

    A bare `raise` does not put it back, from Python 3.11 on; under 3.10 the frame
    stays, and `startup` leaves it out of what is printed.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
