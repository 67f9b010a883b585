"""Watches Keras methods as a user calls them, and what its callbacks cost."""

from __future__ import annotations

import functools
import weakref
from typing import Any

from unslow import seams
from unslow.finding import Site
from unslow.recording.clock import KERAS, Call, Clock, Context, ThreadClock, hide_caller
from unslow.recording.data import CallbackTime, KerasCall
from unslow.recording.keras_samples import KerasSamples
from unslow.recording.sites import Place, calling_frame
from unslow.recording.tables import SECOND, Table

APPLY = "apply_gradients"
"""The context of `optimizer.apply_gradients`."""

BATCH_HOOKS = (
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_batch_begin",
    "on_batch_end",
)


class KerasRow:
    """What is told of the calls of one method at one place beside their times."""

    __slots__ = ("batch_size", "epochs", "rows", "run_eagerly", "steps", "steps_per_execution")

    def __init__(self) -> None:
        self.rows = self.epochs = self.steps = 0
        self.batch_size: int | None = None
        self.steps_per_execution = 1
        self.run_eagerly = False


class CallbackRow:
    """Calls and inclusive nanoseconds of a callback's method."""

    __slots__ = ("calls", "ns")

    def __init__(self) -> None:
        self.calls = self.ns = 0


class KerasCalls:
    """Keras calls per line, inclusive and by part; a user's per-batch callbacks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples = KerasSamples(clock)
        self._rows: Table[KerasRow] = Table(KerasRow)
        self._callbacks: Table[CallbackRow] = Table(CallbackRow)
        self._hooks: dict[Any, tuple[type, str, Any]] = {}
        self._compiled_eagerly: weakref.WeakKeyDictionary[Any, Place] = weakref.WeakKeyDictionary()
        self._eager_calls: dict[tuple[Place, str], Place] = {}

    def install(self, patches: seams.Patches) -> None:
        """Start to watch."""
        clock = self._clock
        for seam in seams.KERAS_METHODS:
            patches.replace(seam, functools.partial(self._watch, seam.attribute))
        patches.replace(seams.KERAS_COMPILE, functools.partial(self._watch, "compile"))
        patches.replace(
            seams.KERAS_MODEL, functools.partial(self._watch, "model", when=_is_whole_model)
        )
        for seam in seams.KERAS_LOADS:
            patches.replace(seam, functools.partial(self._watch, "load_model"))
        patches.replace(
            seams.KERAS_APPLY, lambda original: clock.within(original, APPLY, label=APPLY)
        )
        patches.replace(seams.KERAS_CALLBACKS, self._watch_callbacks)

    def _watch(self, method: str, original: Any, **more: Any) -> Any:
        return self._clock.within(
            original, KERAS, self._noter(method, original), label=method, **more
        )

    def _noter(self, method: str, original: Any) -> Any:
        def note(call: Call) -> None:
            row = self._rows.row(*call.place, method)
            model = call.args[0] if call.args else None
            row.run_eagerly = row.run_eagerly or bool(getattr(model, "run_eagerly", False))
            row.steps_per_execution = getattr(model, "steps_per_execution", 1) or 1
            if method == "compile" and row.run_eagerly:
                self._compiled_eagerly[model] = call.place
            if method in ("compile", "model", "load_model"):
                self._samples.made(call, method)
                return
            if row.run_eagerly:
                asked_at = self._compiled_eagerly.get(model, call.place)
                self._eager_calls[call.place, method] = asked_at
            data = call.args[1] if len(call.args) > 1 else call.kwargs.get("x")
            rows = rows_of(data)
            row.rows += rows
            if method == "fit":
                epochs = getattr(call.result, "epoch", None) or ()
                row.epochs += len(epochs)
                parameters = getattr(call.result, "params", None) or {}
                row.steps += len(epochs) * (parameters.get("steps") or 0)
            size = call.kwargs.get("batch_size")
            if size is None:
                size = getattr(data, "_batch_size", None)
            if size is None and rows:
                size = rows if method.endswith("_on_batch") else 32
            try:
                size = None if size is None else int(size)
            except (TypeError, ValueError):
                size = None
            if size is not None and rows and not method.endswith("_on_batch"):
                size = min(size, rows)
            if size is not None:
                row.batch_size = size if row.batch_size is None else min(row.batch_size, size)
            self._samples.called(call, method, original, rows)

        return note

    def _watch_callbacks(self, original: Any) -> Any:
        """Time the batch hooks of the user's own callbacks, once for each class."""

        @functools.wraps(original)
        def on_train_begin(callbacks: Any, *args: Any, **kwargs: Any) -> Any:
            for callback in getattr(callbacks, "callbacks", ()):
                self._watch_hooks(type(callback))
            try:
                return original(callbacks, *args, **kwargs)
            except BaseException as error:
                hide_caller(error)
                raise

        return self._clock.disguise(on_train_begin)

    def _watch_hooks(self, kind: type) -> None:
        for hook in BATCH_HOOKS:
            function: Any = vars(kind).get(hook)
            code = getattr(function, "__code__", None)
            if code is None or function in self._hooks:
                continue
            if self._clock.sites.foreign[code.co_filename]:
                continue
            place = self._clock.sites.keep(code, -1)
            watched = self._clock.within(
                function, f"callback {hook}", self._hook_noter(place, hook)
            )
            setattr(kind, hook, watched)
            self._hooks[watched] = (kind, hook, function)

    def take_back(self) -> None:
        """Give the users' callbacks their own methods back."""
        for kind, hook, function in self._hooks.values():
            setattr(kind, hook, function)
        self._hooks.clear()

    def _hook_noter(self, definition: Place, hook: str) -> Any:
        def note(call: Call) -> None:
            row = self._callbacks.row(*definition, *call.place)
            row.calls += 1
            row.ns += call.inclusive
            self._samples.hook_called(call, definition, hook)

        return note

    def rows(self) -> list[KerasCall]:
        """Keras calls so far."""
        groups: dict[tuple[Place, str], list[Context]] = {}
        for thread in list(self._clock.threads.values()):
            for context in thread.root.subtree():
                if context.kind in (KERAS, APPLY) and context.calls:
                    groups.setdefault((context.place, context.label), []).append(context)
        found = []
        for (place, method), contexts in groups.items():
            site = self._clock.sites.site(place)
            if site is None:
                continue
            parts = self._parts(contexts)
            row = self._rows.get(*place, method) or KerasRow()
            found.append(
                KerasCall(
                    site=site,
                    method=method,
                    calls=sum(context.calls for context in contexts),
                    seconds=sum(context.ns for context in contexts) / SECOND,
                    graph_seconds=parts.get("graph", 0.0),
                    build_seconds=parts.get("build", 0.0),
                    first_seconds=max(context.longest for context in contexts) / SECOND,
                    rows=row.rows,
                    batch_size=row.batch_size,
                    epochs=row.epochs,
                    steps=row.steps,
                    steps_per_execution=int(row.steps_per_execution),
                    run_eagerly=row.run_eagerly,
                    parts=parts,
                )
            )
        return found

    def run_eagerly(self) -> list[tuple[Place, Context]]:
        """Keras calls that ran op by op, each with the `compile` call that asked for it."""
        return [
            (self._eager_calls[context.place, context.label], context)
            for context in self._clock.main.root.subtree()
            if context.kind == KERAS and (context.place, context.label) in self._eager_calls
        ]

    def _parts(self, contexts: list[Context]) -> dict[str, float]:
        parts: dict[str, float] = {}
        for context in contexts:
            for node in context.subtree():
                for _, part, spent in self._clock.times(node):
                    parts[part] = parts.get(part, 0.0) + spent / SECOND
        return parts

    def callback_rows(self) -> list[CallbackTime]:
        """The users' per-batch callbacks so far."""
        found = []
        for (code, instruction, fit_code, fit_instruction), row in self._callbacks.items():
            site = self._site(code, instruction)
            fit = self._site(fit_code, fit_instruction)
            if site is not None and fit is not None:
                found.append(
                    CallbackTime(
                        site=site,
                        method=site.function,
                        fit=fit,
                        calls=row.calls,
                        seconds=row.ns / SECOND,
                    )
                )
        return found

    def _site(self, code: Any, instruction: Any) -> Site | None:
        return self._clock.sites.site((code, instruction))


def _is_whole_model(thread: ThreadClock, args: tuple[Any, ...]) -> bool:
    """Not the functional model that a sequential one makes inside itself."""
    frame = calling_frame()
    while frame is not None and seams.in_library(frame.f_code.co_filename):
        if isinstance(frame.f_locals.get("self"), seams.sequential_model()):
            return frame.f_locals["self"] is args[0]
        frame = frame.f_back
    return True


def rows_of(data: Any) -> int:
    """The leading dimension of an array, a tensor or a structure of them; 0 where unknown."""
    for _ in range(8):
        if isinstance(data, dict):
            data = next(iter(data.values()), None)
        elif isinstance(data, (list, tuple)) and data and hasattr(data[0], "shape"):
            data = data[0]
        else:
            break
    shape = getattr(data, "shape", None)
    if shape is not None and len(shape) > 0 and shape[0] is not None:
        return int(shape[0])
    return len(data) if isinstance(data, (list, tuple)) else 0
