"""The same function with OpenCV in place of a library that keeps the interpreter lock."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from unslow.catalogue.border import _opencv
from unslow.catalogue.border.rewrites import Rewrite
from unslow.catalogue.pipelines import _functions
from unslow.finding import Alternative

if TYPE_CHECKING:
    from unslow.recording.samples import BridgeCall
    from unslow.source.module import Module

NOTE = (
    "Only for images of floating-point numbers, of at most four channels; last digits differ, and "
    "other versions of OpenCV interpolate more coarsely."
)

PLAIN = {
    "skimage.transform.rotate": (_opencv.SKIMAGE_BORDERS, "constant"),
    "scipy.ndimage.rotate": (_opencv.SCIPY_BORDERS, "constant"),
}
"""The functions whose calls are written anew in the source; their modes, and the one by default."""

ROOTS = frozenset(each.partition(".")[0] for each in _opencv.LIBRARIES)

HARMLESS = frozenset({"preserve_range", "clip", "prefilter"})
"""Arguments that make no difference to floating-point images and linear interpolation."""


def name_of(functions: set[str]) -> str:
    """The way's name: which libraries are exchanged."""
    libraries = {_opencv.LIBRARIES[each.rpartition(".")[0]] for each in functions}
    return f"OpenCV in place of {' and '.join(sorted(libraries))}"


def rewrites(call: BridgeCall, each: float) -> Iterator[Rewrite]:
    """The function with OpenCV's functions, where it calls some that these can stand for."""
    if call.kind != "numpy_function" or not isinstance(call.function, FunctionType):
        return
    if not _opencv.is_installed():
        return
    exchange = _Exchange()
    function = exchange.function(call.function)
    if exchange.used:
        yield Rewrite(name_of(exchange.used), function, in_python=True, note=NOTE, each=True)


def alternatives(module: Module, call: ast.Call) -> Iterator[Alternative]:
    """The calls written with OpenCV, where all that can be exchanged are written plainly."""
    reached = _functions.reached(module.argument(call, 0, "func"), module)
    known = _opencv.replacements()
    calls = [each for each in (reached.calls if reached is not None else ()) if each[2] in known]
    if not calls:
        return
    texts = [_written(each, home, name) for each, home, name in calls if home is module]
    if None in texts or len(texts) < len(calls):
        return
    name, imports = module.imported("cv2")
    edits = [
        module.replace(each[0], text.replace("cv2.", f"{name}."))
        for each, text in zip(calls, texts, strict=True)
        if text is not None
    ]
    named = name_of({each[2] for each in calls})
    yield Alternative(named, "unsafe", (*edits, *imports), note=NOTE)


def _written(call: ast.Call, module: Module, name: str) -> str | None:
    """A rotation as a call of OpenCV's; `None` where it is none that is written plainly."""
    if name not in PLAIN or module.has_star(call) or len(call.args) != 2:
        return None
    image, angle = call.args
    given = {each.arg: module.constant(each.value) for each in call.keywords if each.arg}
    borders, mode = PLAIN[name]
    mode = given.pop("mode", mode)
    order = given.pop("order", 1 if name.startswith("skimage.") else 3)
    reshapes = given.pop("resize", False) or given.pop("reshape", name.startswith("scipy."))
    if order != 1 or reshapes is not False or mode not in borders or set(given) - HARMLESS:
        return None
    if not isinstance(image, ast.Name):
        return None
    center = f"(({image.id}.shape[1] - 1) / 2, ({image.id}.shape[0] - 1) / 2)"
    matrix = f"cv2.getRotationMatrix2D({center}, {module.text(angle)}, 1)"
    border = "" if mode in ("constant", "grid-constant") else f", borderMode=cv2.{borders[mode]}"
    return f"cv2.warpAffine({image.id}, {matrix}, {image.id}.shape[1::-1]{border})"


class _Exchange:
    """Copies functions of the user's so that they call OpenCV; `used` are those it stands for."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._ours: dict[int, tuple[str, Callable[..., Any]]] = {}
        for name, ours in _opencv.replacements().items():
            room, _, last = name.rpartition(".")
            theirs = getattr(sys.modules.get(room), last, None)
            if theirs is not None:
                self._ours[id(theirs)] = name, ours
        self._globals: dict[int, dict[str, Any]] = {}
        self._made: dict[int, Any] = {}

    def function(self, function: FunctionType) -> Any:
        """A copy of a function in whose world the library's functions are exchanged."""
        if id(function) in self._made:
            return self._made[id(function)]
        names = self._globals.setdefault(id(function.__globals__), dict(function.__globals__))
        made = FunctionType(
            function.__code__, names, function.__name__, function.__defaults__, function.__closure__
        )
        made.__kwdefaults__ = function.__kwdefaults__
        made.__module__ = function.__module__
        self._made[id(function)] = made
        used = set(_names(function.__code__))
        for name in used & names.keys():
            names[name] = self._value(function.__globals__[name], used, function.__globals__)
        return made

    def _value(self, value: Any, used: set[str], world: dict[str, Any]) -> Any:
        if id(value) in self._ours:
            name, ours = self._ours[id(value)]
            self.used.add(name)
            return ours
        if isinstance(value, FunctionType) and value.__globals__ is world:
            return self.function(value)
        if isinstance(value, ModuleType) and value.__name__.partition(".")[0] in ROOTS:
            return self._module(value, used, world)
        return value

    def _module(self, module: ModuleType, used: set[str], world: dict[str, Any]) -> Any:
        if id(module) in self._made:
            return self._made[id(module)]
        # A library's modules may know each other.
        self._made[id(module)] = module
        members = {name: vars(module)[name] for name in used & vars(module).keys()}
        changed = {name: self._value(each, used, world) for name, each in members.items()}
        changed = {name: each for name, each in changed.items() if each is not members[name]}
        if changed:
            self._made[id(module)] = _StandIn(module, changed)
        return self._made[id(module)]


class _StandIn:
    """A module of a library of which some functions are exchanged."""

    def __init__(self, module: ModuleType, exchanged: Mapping[str, Any]) -> None:
        self._module = module
        vars(self).update(exchanged)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _names(code: CodeType) -> Iterator[str]:
    """The names that code and the functions in it use."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
