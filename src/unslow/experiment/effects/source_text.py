"""The syntax tree of a function that is there as an object."""

from __future__ import annotations

import ast
import linecache
from types import CodeType, FunctionType

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class NoSource(Exception):
    """There is no text that says what a function does."""


class Trees:
    """The definitions in the files of functions, each file read once.

    Text comes from `linecache`, which has the cells of notebooks as well.
    """

    def __init__(self) -> None:
        self._files: dict[str, dict[tuple[int, str], list[Definition]]] = {}

    def definitions(self, function: FunctionType) -> list[Definition]:
        """The definition of a function; all that look like it where one line holds several.

        Raises:
            NoSource: its text is not there, or does not have it.
        """
        code = function.__code__
        file = self._file(code.co_filename, function)
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        found = [
            each
            for each in file.get((code.co_firstlineno, code.co_name), ())
            if _arguments(each.args) == names
        ]
        if not found:
            raise NoSource(f"{code.co_filename} has no {code.co_name} at {code.co_firstlineno}")
        return found

    def _file(
        self, filename: str, function: FunctionType
    ) -> dict[tuple[int, str], list[Definition]]:
        if filename not in self._files:
            text = "".join(linecache.getlines(filename, function.__globals__))
            found: dict[tuple[int, str], list[Definition]] = {}
            try:
                tree = ast.parse(text, type_comments=False)
            except (SyntaxError, ValueError, RecursionError) as error:
                raise NoSource(f"{filename} is not Python") from error
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                    found.setdefault((first, node.name), []).append(node)
                elif isinstance(node, ast.Lambda):
                    found.setdefault((node.lineno, "<lambda>"), []).append(node)
            self._files[filename] = found
        return self._files[filename]


def _arguments(given: ast.arguments) -> tuple[str, ...]:
    return tuple(each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs))


def is_generated(code: CodeType) -> bool:
    """Whether a function was made by text that no file holds, as those of data classes are."""
    return code.co_filename.startswith("<")
