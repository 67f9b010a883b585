"""Live objects that passed hot places, kept for the experiments after the program's end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unslow.finding import Site, line_key, same_line
from unslow.recording.data import Stage
from unslow.recording.sites import Place, Sites

if TYPE_CHECKING:
    from unslow.recording.surroundings import Around

S = TypeVar("S")

LIMIT = 256 * 2**20
"""Bytes that samples may hold in all."""

FEW = 4
"""Samples of one kind that are kept of one place, unless the watcher asks for more."""


@dataclass(frozen=True)
class BridgeCall:
    """A Python function that a graph called, with copies of the arrays it was given.

    `kind`: "numpy_function" or "py_function", which is given tensors. `outputs`: data type and
    shape of each result; `single`: there is one, which stands in no list.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    kind: str = "numpy_function"
    outputs: tuple[tuple[Any, tuple[int, ...]], ...] = ()
    single: bool = True


@dataclass(frozen=True)
class OpCall:
    """An eager op: its name and all arguments of the seam's function.

    `digest`: of its array, where that had come by before.
    """

    op: str
    arguments: tuple[Any, ...]
    digest: int | None = None

    @property
    def has_state(self) -> bool:
        """Whether it is given a variable or another resource."""
        return any(
            getattr(getattr(value, "dtype", None), "name", "") in ("resource", "variant")
            for value in self.arguments
        )


@dataclass(frozen=True)
class RepeatedOp(OpCall):
    """An eager op that one place ran again and again after a dataset was iterated."""


@dataclass(frozen=True)
class Converted:
    """What was made a tensor: an array, or a list of arrays; `dtype` where one was asked for.

    `digest`: of an array that had come by before.
    """

    value: Any
    dtype: Any = None
    digest: int | None = None


@dataclass(frozen=True)
class FunctionCall:
    """A compiled function of the user's, called from Python.

    `owner`: the object whose method it is. `around`: what it takes from around it, where that
    was looked at.
    """

    function: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    owner: Any = None
    around: Around | None = None


@dataclass(frozen=True)
class UserCall:
    """A call of one of the user's own Python functions.

    `owner`: the object whose method it is. `around`: what it takes from around it.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    owner: Any = None
    around: Around | None = None


@dataclass(frozen=True)
class ModelCall:
    """A call of a Keras model's method.

    `rows`: how many it was given, 0 where a dataset holds them. Arrays among the keywords
    may hold the first of them only. `digest`: of the model's weights as they were at a `predict`.
    """

    model: Any
    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    rows: int = 0
    digest: bytes = b""


@dataclass(frozen=True)
class OtherModel:
    """A method was called of another model than the one whose calls were kept there."""


@dataclass(frozen=True)
class ModelLoad:
    """A model that was loaded from a file, whose bytes are `content` where they are few."""

    path: Path
    content: bytes | None
    model: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(frozen=True)
class HookCall:
    """A call of a Keras callback's method."""

    callback: Any
    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(frozen=True)
class InterpreterUsed:
    """A TFLite interpreter that was made here and then invoked.

    `kind`: its class; `arguments`, `keywords`: what it was made with. `inputs`: by the
    index of the tensor they were set in.
    """

    kind: type
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    inputs: dict[int, Any]


@dataclass(frozen=True)
class DatasetMade:
    """A dataset that was iterated, and its stages as the recording has them, the last first.

    `dataset` is a weak reference where the dataset holds much data itself.
    """

    dataset: Any
    stages: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class TensorRead:
    """A tensor that was made an array or a number, and the method that did it."""

    tensor: Any
    method: str


@dataclass(frozen=True)
class RowLoopCall:
    """An eager call of `tf.map_fn`, with all its arguments."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


class Samples:
    """Samples by kind and place, within a bound of bytes.

    `limit` 0 keeps nothing, and then none are `wanted`. `cut`: something was not kept because
    the bound was reached.
    """

    def __init__(self, sites: Sites, limit: int = LIMIT) -> None:
        self._sites = sites
        self._limit = limit
        self.wanted = limit > 0
        self._kept: dict[tuple[type, Place], list[Any]] = {}
        self.bytes = 0
        self.cut = False

    def wants(self, kind: type, place: Place, most: int = FEW) -> bool:
        """Whether another sample of this kind is welcome here. Cheap, for the hot path."""
        kept = self._kept.get((kind, place))
        return self._limit > 0 and (kept is None or len(kept) < most)

    def keep(self, place: Place, sample: Any, size: int) -> None:
        """Keep a sample that holds `size` bytes, if there is room."""
        if self.bytes + size > self._limit:
            self.cut = self._limit > 0
            return
        self.bytes += size
        self._kept.setdefault((type(sample), place), []).append(sample)

    def at(self, kind: type[S], site: Site) -> tuple[S, ...]:
        """The samples of this kind at the line of `site`, in the order they were kept."""
        found: list[S] = []
        for (each, place), samples in list(self._kept.items()):
            if each is kind:
                there = self._sites.site(place)
                if there is not None and same_line(there, site):
                    found += samples
        return tuple(found)

    def sites(self, kind: type) -> tuple[Site, ...]:
        """The lines at which samples of this kind were kept, in the order of their first ones."""
        sites = [self._sites.site(place) for each, place in list(self._kept) if each is kind]
        return tuple({line_key(each): each for each in sites if each is not None}.values())

    def passes(self, site: Site, stack: Iterable[tuple[str, int, str]]) -> bool:
        """Whether a stack of (file name, line, function) goes through the line of `site`."""
        return any(same_line(self._sites.in_file(*frame), site) for frame in stack)

    def every(self, kind: type[S]) -> tuple[S, ...]:
        """The samples of this kind at all places, in the order of the places' first ones."""
        return tuple(one for (each, _), kept in self._kept.items() if each is kind for one in kept)

    def has(self, kind: type) -> bool:
        """Whether there are samples of this kind; other threads may be keeping some."""
        return any(each is kind for each, _ in list(self._kept))

    def drop(self) -> None:
        """Let go of everything."""
        self._kept.clear()
        self.bytes = 0


@dataclass(frozen=True)
class TracedCall(FunctionCall):
    """A call for which the function was traced."""


@dataclass(frozen=True)
class FirstCall(FunctionCall):
    """The first call of one of many functions that were made at the same line."""


@dataclass(frozen=True)
class EagerCall(FunctionCall):
    """A call that ran op by op, as compiled functions were switched off.

    `count()`: how many there were at that place by now; the same for all of that place.
    """

    count: Callable[[], int] = int


@dataclass(frozen=True)
class GraphRun:
    """A run of a TensorFlow 1 session, kept where its graph was imported or it was opened.

    `session` tells the sessions of one place apart.
    """

    graph: Any
    session: int
    fetches: Any
    feed: Mapping[Any, Any]


@dataclass(frozen=True)
class GrownRun:
    """A run of a session whose graph had grown from `before` to `nodes` since the last one."""

    graph: Any
    before: int
    nodes: int
    fetches: Any
    feed: Mapping[Any, Any]
