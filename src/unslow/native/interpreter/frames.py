"""Running functions: their names, and how they are called."""

from __future__ import annotations

import ast
import builtins
import inspect
import types
from typing import Any

from unslow.native.interpreter.source import Code
from unslow.native.tracing.state import Undefined, Variables
from unslow.native.untranslatable import Untranslatable


class Frame(Variables):
    """One call of a function, or one comprehension in it."""

    def __init__(
        self,
        code: Code,
        parent: Frame | None = None,
        around: dict[str, Any] | None = None,
        scope: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.code = code
        self.parent = parent
        self.around = around or {}
        self.scope: dict[str, Any] = scope if scope is not None else {}
        self.outer: set[str] = set()
        self.is_comprehension = False

    def look_up(self, name: str) -> Any:
        """The value of a name.

        Raises:
            Untranslatable: it has none, or none for sure.
        """
        frame: Frame | None = self
        while frame is not None:
            if name in frame.values:
                value = frame.values[name]
                if isinstance(value, Undefined):
                    raise Untranslatable(f"`{name}`: {value.reason}")
                return value
            if name in frame.code.own and not frame.is_comprehension and name not in frame.outer:
                raise Untranslatable(f"`{name}` has no value yet")
            if name in frame.around:
                return frame.around[name].cell_contents
            if frame.parent is None:
                break
            frame = frame.parent
        scope = frame.scope if frame is not None else {}
        if name in scope:
            return scope[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        raise Untranslatable(f"`{name}` is not defined")

    def bind(self, name: str, value: Any) -> None:
        """Give a name a value."""
        if name not in self.outer:
            self.assign(name, value)
            return
        frame = self.parent
        while frame is not None:
            if name in frame.code.own:
                frame.assign(name, value)
                return
            frame = frame.parent
        raise Untranslatable(f"`{name}` of an outer function is changed: a side effect")

    def function_frame(self) -> Frame:
        """The frame of the function that a comprehension is in."""
        frame = self
        while frame.is_comprehension and frame.parent is not None:
            frame = frame.parent
        return frame


def around(function: types.FunctionType) -> dict[str, Any]:
    """The cells of the names that a function has from around it."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


class Closure:
    """A function that was made while another ran."""

    def __init__(self, code: Code, frame: Frame, signature: inspect.Signature) -> None:
        self.code = code
        self.frame = frame
        self.signature = signature
        self.__name__ = code.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from unslow.native.interpreter.statements import run_closure

        return run_closure(self, args, kwargs)


def signature_of(arguments: ast.arguments, defaults: list[Any], named: list[Any]) -> Any:
    """The signature of a function made while another runs, with its evaluated defaults.

    `named`: the defaults of the arguments that are given by name alone, `None` without.
    """
    parameters = []
    kind = inspect.Parameter
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(defaults)
    for place, each in enumerate(positional):
        parameters.append(
            kind(
                each.arg,
                kind.POSITIONAL_ONLY
                if place < len(arguments.posonlyargs)
                else kind.POSITIONAL_OR_KEYWORD,
                default=defaults[place - without] if place >= without else kind.empty,
            )
        )
    if arguments.vararg:
        parameters.append(kind(arguments.vararg.arg, kind.VAR_POSITIONAL))
    for each, default in zip(arguments.kwonlyargs, named, strict=True):
        parameters.append(
            kind(
                each.arg,
                kind.KEYWORD_ONLY,
                default=kind.empty if default is None else default[0],
            )
        )
    if arguments.kwarg:
        parameters.append(kind(arguments.kwarg.arg, kind.VAR_KEYWORD))
    return inspect.Signature(parameters)


def bound(signature: inspect.Signature, args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments by name, defaults included.

    Raises:
        Untranslatable: Python refuses them.
    """
    try:
        arguments = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise Untranslatable(f"Python raises TypeError: {error}") from error
    arguments.apply_defaults()
    return dict(arguments.arguments)
