"""The settings in `[tool.unslow]` of a project's pyproject.toml."""

from __future__ import annotations

import fnmatch
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTPUT_FORMATS = ("text", "json", "sarif", "github")

ROOT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git")
"""What stands in the folder at the top of a project."""


class CheckError(Exception):
    """A check that cannot be done as asked; the message is one sentence for the user."""


class SettingsError(CheckError):
    """Settings that cannot be used."""


@dataclass(frozen=True)
class Settings:
    """What pyproject.toml says. `source` is that file; `None` where nothing is said.

    `root`: the folder that patterns are relative to, the project's top.
    `marked`: whether something there says that it is the top of a project.
    """

    root: Path
    marked: bool = False
    source: Path | None = None
    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    include: tuple[str, ...] = ("*.py", "*.ipynb")
    exclude: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    output_format: str = "text"
    unsafe_fixes: bool = False


def find_settings(start: Path, config: Path | None = None) -> Settings:
    """The settings for what lies at `start`, or those in the file `config`.

    Raises:
        SettingsError: they cannot be read or used.
    """
    folder = absolute(start)
    if not folder.is_dir():
        folder = folder.parent
    if config is not None:
        return _settings(_load(config), config, absolute(config).parent)
    marked = None
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        table = _load_if_ours(path)
        if table is not None:
            return _settings(table, path, place)
        if marked is None and any((place / mark).exists() for mark in ROOT_MARKS):
            marked = place
    return Settings(root=marked or folder, marked=marked is not None)


def absolute(path: Path) -> Path:
    """`path` from the file system's root, without `..`; links stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


def shown(path: Path | str) -> str:
    """`path` as reports show it: relative to the working directory where it lies below it."""
    text, here = str(path), f"{Path.cwd()}".rstrip(os.sep) + os.sep
    return text[len(here) :] if text.startswith(here) else text


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern names the file at `path`, or a folder that it lies in.

    A pattern without a slash is compared with each part of the path, another one with
    the whole path and with the folders on the way to it. `path` has slashes and is
    relative to the folder of the settings.
    """
    parts = path.split("/")
    pattern = pattern.removeprefix("./").rstrip("/")
    if "/" not in pattern:
        return any(fnmatch.fnmatchcase(part, pattern) for part in parts)
    patterns = {pattern, pattern.removeprefix("**/"), pattern.removesuffix("/**")}
    heads = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return any(fnmatch.fnmatchcase(head, each) for head in heads for each in patterns)


def _load_if_ours(path: Path) -> dict[str, Any] | None:
    try:
        # Most files say nothing about us; to parse them would cost more than all the rest.
        if b"unslow" not in path.read_bytes():
            return None
    except OSError:
        return None
    tool = _parse(path).get("tool")
    return _table(path, tool["unslow"]) if isinstance(tool, dict) and "unslow" in tool else None


def _load(path: Path) -> dict[str, Any]:
    data = _parse(path)
    tool = data.get("tool")
    if isinstance(tool, dict) and "unslow" in tool:
        return _table(path, tool["unslow"])
    return {} if path.name == "pyproject.toml" else data


def _table(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"{shown(path)}: tool.unslow is not a table")
    return value


def _parse(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        with path.open("rb") as file:
            data: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"cannot read {shown(path)}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SettingsError(f"{shown(path)} is not TOML: {error}") from error
    return data


def _settings(table: Mapping[str, Any], path: Path, root: Path) -> Settings:
    values: dict[str, Any] = {}
    for key, value in table.items():
        read = _READERS.get(key)
        if read is None:
            import difflib

            near = difflib.get_close_matches(key, _READERS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_READERS)}"
            raise SettingsError(f"{shown(path)}: there is no setting {key!r}; {hint}")
        try:
            values[key.replace("-", "_")] = read(value)
        except ValueError as error:
            raise SettingsError(f"{shown(path)}: {key} must be {error}") from None
    return Settings(root=root, marked=True, source=path, **values)


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("a list of strings")
    return tuple(value)


def _ignores(value: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ValueError("a table of patterns, each with a list of strings")
    try:
        return tuple((pattern, _strings(codes)) for pattern, codes in value.items())
    except ValueError:
        raise ValueError("a table of patterns, each with a list of strings") from None


def _format(value: Any) -> str:
    if value not in OUTPUT_FORMATS:
        raise ValueError(f"one of {', '.join(OUTPUT_FORMATS)}")
    return str(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


_READERS: dict[str, Callable[[Any], Any]] = {
    "select": _strings,
    "extend-select": _strings,
    "ignore": _strings,
    "include": _strings,
    "exclude": _strings,
    "per-file-ignores": _ignores,
    "output-format": _format,
    "unsafe-fixes": _switch,
}
