"""Keeps a few calls of Keras models, with the data of a few batches, for experiments."""

from __future__ import annotations

import hashlib
import inspect
import math
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from unslow import seams
from unslow.recording import pipelines
from unslow.recording.arrays import size_of
from unslow.recording.clock import Call, Clock
from unslow.recording.samples import HookCall, ModelCall, ModelLoad, OtherModel
from unslow.recording.sites import Place

FEW_ROWS = 32
"""Rows up to which a `predict` is one of many for single items."""

MOST_CALLS = 8
"""Calls for single items or batches that are kept of one place."""

MOST_STEPS = 2_048
"""Batches that are kept of a call that works through many."""

MOST_BYTES = 16 * 2**20
"""Bytes of rows from which on no more batches of a call are kept; of files, no copies."""

MOST_DIGESTED = 20
MOST_NUMBERS = 10_000
"""Variables of a model, and numbers of one, that are looked at to tell whether it has changed."""

DATA = ("x", "y", "sample_weight", "validation_data")
LEFT_OUT = frozenset({"self", "callbacks", "verbose"})
WORKING = frozenset({"evaluate", "fit", "predict"})
"""Methods that work through their data in batches."""


class KerasSamples:
    """Calls of one model per place: where a loop makes models, all but one are let go.

    What is kept of the data are copies, so that it stays as it was and holds no more memory
    than is counted. A model counts with its variables.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[tuple[type, Place], int] = {}
        self._closed: set[Place] = set()
        self._model: dict[Place, weakref.ref[Any]] = {}
        self._counted: weakref.WeakSet[Any] = weakref.WeakSet()
        self._made_at: weakref.WeakKeyDictionary[Any, list[Place]] = weakref.WeakKeyDictionary()

    def made(self, call: Call, method: str) -> None:
        """A model was made, compiled or loaded."""
        model = call.result if method == "load_model" else call.args[0]
        if model is None or not self._again(ModelCall, call.place):
            return
        self._made_at.setdefault(model, []).append(call.place)
        if method == "load_model" and self._wants(ModelLoad, call.place):
            self._keep_load(call, model)

    def called(self, call: Call, method: str, original: Callable[..., Any], rows: int) -> None:
        """A method of a model has ended, given `rows` rows of data."""
        if call.result is None or (method not in WORKING and method != "train_on_batch"):
            return
        model = call.args[0]
        single = method == "train_on_batch" or (method == "predict" and 0 < rows <= FEW_ROWS)
        most = MOST_CALLS if single else 1
        places = [place for place in self._made_at.get(model, ()) if self._wants(ModelCall, place)]
        # A call that works through much data may be the only one.
        if self._again(ModelCall, call.place, most) or (
            not single and self._wants(ModelCall, call.place)
        ):
            kept = self._model.setdefault(call.place, weakref.ref(model))
            if kept() is model:
                places.append(call.place)
            elif self._clock.samples.wants(OtherModel, call.place, 1):
                self._clock.samples.keep(call.place, OtherModel(), 0)
        if places:
            given = inspect.signature(original).bind(*call.args, **call.kwargs).arguments
            self._keep_call(call, method, given, rows, places)

    def hook_called(self, call: Call, definition: Place, hook: str) -> None:
        """A per-batch method of a callback, defined at `definition`, has ended."""
        if self._again(HookCall, definition):
            callback, *arguments = call.args
            sample = HookCall(callback, hook, tuple(arguments), dict(call.kwargs))
            self._give(definition, sample, self._size(callback.model))

    def _wants(self, kind: type, place: Place, most: int = 1) -> bool:
        return place not in self._closed and self._clock.samples.wants(kind, place, most)

    def _again(self, kind: type, place: Place, most: int = 1) -> bool:
        """Whether a sample is welcome, and something of this kind came by here before."""
        if not self._wants(kind, place, most):
            return False
        seen = self._seen[kind, place] = self._seen.get((kind, place), 0) + 1
        return seen > 1

    def _give(self, place: Place, sample: Any, size: int) -> None:
        samples = self._clock.samples
        before = samples.bytes
        samples.keep(place, sample, size)
        if size and samples.bytes == before:
            # What has no room once is not copied again, which costs time.
            self._closed.add(place)

    def _keep_call(
        self, call: Call, method: str, given: dict[str, Any], rows: int, places: list[Place]
    ) -> None:
        keywords = {name: value for name, value in given.items() if name not in LEFT_OUT}
        muted, call.thread.muted = call.thread.muted, True
        try:
            size = self._cut(keywords, rows, rows if method not in WORKING else 0)
            digest = digest_of(call.args[0]) if method == "predict" else b""
        finally:
            call.thread.muted = muted
        if size is None:
            return
        model = call.args[0]
        sample = ModelCall(model, method, (), keywords, rows, digest)
        for place in places:
            self._give(place, sample, size + self._size(model))

    def _cut(self, keywords: dict[str, Any], rows: int, batch: int) -> int | None:
        """Leave the first rows of arrays only; the bytes of all data, `None` where unknown."""
        data = {name: keywords[name] for name in DATA if keywords.get(name) is not None}
        if rows and all(is_tabular(each) for each in data.values()):
            batch = batch or int(keywords.get("batch_size") or 32)
            affordable = MOST_BYTES * rows // max(size_of(list(data.values())), 1)
            wanted = min(rows, batch * MOST_STEPS, max(batch, affordable))
            for name, each in data.items():
                rows_of_all = rows if name != "validation_data" else _row_count(each)
                keywords[name] = first_rows(each, -(-rows_of_all * wanted // rows))
            return size_of([keywords[name] for name in data])
        dataset = seams.loaded("tensorflow").data.Dataset
        if not all(isinstance(each, dataset) for each in data.values()):
            return None
        return sum(stage.nbytes for each in data.values() for stage in pipelines.held(each))

    def _keep_load(self, call: Call, model: Any) -> None:
        path, *arguments = call.args or (call.kwargs.get("filepath"),)
        if not isinstance(path, (str, Path)):
            return
        path = Path(path).absolute()
        content = None
        if path.is_file() and path.stat().st_size <= MOST_BYTES:
            content = path.read_bytes()
        keywords = {name: value for name, value in call.kwargs.items() if name != "filepath"}
        load = ModelLoad(path, content, model, tuple(arguments), keywords)
        self._give(call.place, load, len(content or b"") + self._size(model))

    def _size(self, model: Any) -> int:
        """Bytes of a model's variables and its optimizer's, the first time it is asked for."""
        if model is None or model in self._counted:
            return 0
        self._counted.add(model)
        optimizer = getattr(model, "optimizer", None)
        variables = [*getattr(model, "variables", ()), *getattr(optimizer, "variables", ())]
        as_dtype = seams.loaded("tensorflow").as_dtype
        return sum(math.prod(each.shape) * as_dtype(each.dtype).size for each in variables)


def digest_of(model: Any) -> bytes:
    """A digest of the smallest weights of a model: training changes it."""
    if not seams.loaded("tensorflow").executing_eagerly():
        return b""
    found = hashlib.blake2b(digest_size=16)
    small = sorted(model.weights, key=lambda each: math.prod(each.shape))[:MOST_DIGESTED]
    for variable in small:
        if variable is small[0] or math.prod(variable.shape) <= MOST_NUMBERS:
            found.update(variable.numpy().tobytes())
    return found.digest()


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, (list, tuple)):
        for each in data:
            yield from _leaves(each)
    else:
        yield data


def _row_count(data: Any) -> int:
    return max((len(each) for each in _leaves(data) if each is not None), default=0)


def is_tabular(data: Any) -> bool:
    """Whether data is a structure of arrays and tensors that have rows, or `None`."""
    tensor = seams.loaded("tensorflow").Tensor
    return all(
        each is None
        or ((hasattr(each, "__array_interface__") or isinstance(each, tensor)) and each.ndim > 0)
        for each in _leaves(data)
    )


def first_rows(data: Any, rows: int) -> Any:
    """Copies of the first `rows` of each array in a structure; tensors cannot change."""
    if isinstance(data, dict):
        return {name: first_rows(each, rows) for name, each in data.items()}
    if isinstance(data, (list, tuple)):
        return [first_rows(each, rows) for each in data]
    if data is None or (len(data) <= rows and not hasattr(data, "__array_interface__")):
        return data
    return data[:rows].copy() if hasattr(data, "__array_interface__") else data[:rows]
