"""Which of a file's functions a code object was compiled from, if from any as they stand now."""

from __future__ import annotations
import __future__

import ast
import functools
import types
import warnings
from typing import Any

_FUTURE = functools.reduce(
    int.__or__, [getattr(__future__, name).compiler_flag for name in __future__.all_feature_names]
)
"""What `from __future__` and those who call `compile` put into a code object's flags."""


_COMPARED = (
    "co_name",
    "co_argcount",
    "co_posonlyargcount",
    "co_kwonlyargcount",
    "co_code",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
)


@functools.lru_cache(maxsize=64)
def _codes(text: str) -> dict[tuple[str, int], list[types.CodeType]]:
    """The code objects of a file by their names and first lines."""
    found: dict[tuple[str, int], list[types.CodeType]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = compile(text, "<source>", "exec", dont_inherit=True, flags=_cells(text))
    waiting = [whole]
    while waiting:
        code = waiting.pop()
        found.setdefault((code.co_name, code.co_firstlineno), []).append(code)
        waiting += [each for each in code.co_consts if isinstance(each, types.CodeType)]
    return found


def _cells(text: str) -> int:
    """A notebook's cell may `await` outside of functions."""
    return ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if "await" in text else 0


def is_current(code: types.CodeType, text: str) -> bool:
    """Whether a function was compiled from a file as its text is now, not edited since."""
    candidates = _codes(text).get((code.co_name, code.co_firstlineno), [])
    return any(_same(code, each) for each in candidates)


def _same(one: types.CodeType, other: types.CodeType) -> bool:
    if any(getattr(one, name) != getattr(other, name) for name in _COMPARED):
        return False
    if (one.co_flags ^ other.co_flags) & ~_FUTURE:
        return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    return all(map(_same_constant, one.co_consts, other.co_consts))


def _same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, types.CodeType) and isinstance(other, types.CodeType):
        return _same(one, other)
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_same_constant, one, other))
    return bool(one == other) if isinstance(one, frozenset) else repr(one) == repr(other)


def smallest(nodes: list[Any]) -> list[Any]:
    """Of functions that stand one within the other, the innermost; else all."""
    return [node for node in nodes if not any(_within(each, node) for each in nodes)]


def _within(inner: Any, outer: Any) -> bool:
    return inner is not outer and any(each is inner for each in ast.walk(outer))
