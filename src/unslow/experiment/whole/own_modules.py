"""The program's own modules, and what they hold."""

from __future__ import annotations

import functools
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

_NOT_VALUES = (
    types.ModuleType,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    functools.partial,
)


def own_modules(
    main_file: str | None, foreign: Callable[[str], bool]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The files of the main module and of those that are not `foreign`, each with its values.

    `main_file`: the main module's, where it does not tell itself. Modules, functions and
    classes are no values here. A file that was loaded more than once is known by its main
    module.
    """
    seen = set()
    modules = sorted(sys.modules.items(), key=lambda item: item[0] != "__main__")
    for name, module in modules:
        is_main = name == "__main__"
        file = (main_file if is_main else None) or file_of(module)
        if file is None or not file.endswith((".py", ".ipynb")):
            continue
        path = os.path.normpath(file)
        if path in seen or (not is_main and foreign(file)):
            continue
        seen.add(path)
        yield path, {key: each for key, each in names_of(module).items() if _is_value(key, each)}


def names_of(module: Any) -> dict[str, Any]:
    """A copy of a module's names, without loading one that loads when it is first used.

    What stands among the modules but is none has no names.
    """
    try:
        return dict(object.__getattribute__(module, "__dict__"))
    except AttributeError:
        return {}


def file_of(module: Any) -> str | None:
    """The file of a module, without loading one that loads when it is first used."""
    file = names_of(module).get("__file__")
    return file if isinstance(file, str) else None


def _is_value(name: str, value: Any) -> bool:
    if name.startswith("__") and name.endswith("__"):
        return False
    # TensorFlow's compiled functions are told by what they all have.
    return not isinstance(value, _NOT_VALUES) and not hasattr(type(value), "python_function")
