"""The files of a program: read when asked for, and found by the names they are imported by."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unslow.seams import ALIASES
from unslow.source.flow import FlowAnalysis
from unslow.source.inference import Inference
from unslow.source.module import Module
from unslow.source.notebook import NotebookText
from unslow.source.text import SourceError, SourceText, Text

LIBRARIES = frozenset({"tensorflow", "keras", "numpy", "scipy", "torch", "jax"})
"""Top-level names that are never looked for among the program's own files."""

_MENTIONS = re.compile(rb"tensorflow|keras|tflite|ai_edge_litert")

_IMPORTS = re.compile(
    rb"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]+)|import[ \t]+([^\n#;]+))",
    re.MULTILINE,
)
_WORDS = re.compile(rb"[\w.]+")


@dataclass(frozen=True)
class Facts:
    """What a look at a file's bytes tells, without parsing it.

    `mentions`: whether TensorFlow or Keras is named anywhere in it; `imports`: the dotted
    names it may import, relative ones with their leading dots.
    """

    mentions: bool
    imports: frozenset[str]


def scan(data: bytes) -> Facts:
    """The facts about a file with these bytes."""
    found: set[str] = set()
    for source, names, plain in _IMPORTS.findall(data):
        if plain:
            found |= {part.split()[0] for part in _decoded(plain).split(",") if part.strip()}
            continue
        package = _decoded(source)
        found.add(package)
        joint = "" if package.endswith(".") else "."
        words = [_decoded(word) for word in _WORDS.findall(names)]
        found |= {f"{package}{joint}{word}" for word in words if word != "as"}
    return Facts(_MENTIONS.search(data) is not None, frozenset(found))


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


class Project:
    """The files given. Questions about one file may read others of them.

    `facts` are those of each file where they are known already.
    """

    def __init__(self, files: Iterable[Path], facts: Mapping[Path, Facts] | None = None) -> None:
        self._files = {Path(file).absolute() for file in files}
        self._facts = {Path(file).absolute(): each for file, each in (facts or {}).items()}
        self._modules: dict[Path, Module | None] = {}
        self._errors: dict[Path, SourceError] = {}
        self._importers: dict[Path, frozenset[Path]] | None = None
        self._resolved: dict[tuple[Path, str], Path | None] = {}
        self.inference = Inference(self)
        self.flow = FlowAnalysis(self)

    def module(self, path: Path) -> Module:
        """The module in a file.

        Raises:
            SourceError: it is no Python, or cannot be read.
        """
        file = Path(path).absolute()
        if file not in self._modules:
            self._modules[file] = None
            try:
                text = text_of(file, self._contents(file))
                self._modules[file] = Module(shown(file), text, self, file, self._name(file))
            except SourceError as error:
                self._errors[file] = error
        module = self._modules[file]
        if module is None:
            raise self._errors.get(file) or SourceError("it imports itself while being read")
        return module

    def _contents(self, file: Path) -> bytes:
        """The bytes of a file."""
        try:
            return file.read_bytes()
        except OSError as error:
            raise SourceError(f"it cannot be read: {error.strerror}") from error

    def canonical(self, name: str) -> str:
        """The one name of a library's thing that has several."""
        return _canonical(name)

    def imported(self, module: Module, dotted: str | None) -> Module | None:
        """The module of the project that `module` imports by a dotted name."""
        if not dotted:
            return None
        file = self._resolve(module.file, dotted)
        return None if file is None else self._consult(module, file)

    def submodule(self, package: Module, name: str) -> Module | None:
        """The module `name` in a package of the project."""
        if package.file.name != "__init__.py":
            return None
        for candidate in _candidates(package.file.parent, [name]):
            if candidate in self._files:
                return self._consult(package, candidate)
        return None

    def importers(self, module: Module) -> list[Module]:
        """The modules of the project that import a module and mention TensorFlow, or may."""
        found = []
        for file in sorted(self._imported_by.get(module.file, ())):
            other = self._consult(module, file)
            if other is not None:
                found.append(other)
        return found

    def neighbourhood(self, path: Path) -> tuple[Path, ...]:
        """The files that a file imports or is imported by."""
        file = Path(path).absolute()
        imported = {
            other
            for name in self.facts(file).imports
            if (other := self._resolve_name(file, name)) is not None
        }
        return tuple(sorted((imported | self._imported_by.get(file, frozenset())) - {file}))

    def facts(self, file: Path) -> Facts:
        """What a look at a file's bytes tells."""
        if file not in self._facts:
            try:
                self._facts[file] = scan(file.read_bytes())
            except OSError:
                self._facts[file] = Facts(False, frozenset())
        return self._facts[file]

    def _consult(self, module: Module, file: Path) -> Module | None:
        module.consulted.add(file)
        try:
            return self.module(file)
        except SourceError:
            return None

    @property
    def _imported_by(self) -> Mapping[Path, frozenset[Path]]:
        if self._importers is None:
            found: dict[Path, set[Path]] = {}
            for file in self._files:
                for name in self.facts(file).imports:
                    other = self._resolve_name(file, name)
                    if other is not None and other != file:
                        found.setdefault(other, set()).add(file)
            self._importers = {file: frozenset(others) for file, others in found.items()}
        return self._importers

    def _resolve_name(self, file: Path, name: str) -> Path | None:
        """The file that an import in `file` means, relative names included."""
        if not name.startswith("."):
            return self._resolve(file, name)
        rest = name.lstrip(".")
        folder = file.parent
        for _ in range(len(name) - len(rest) - 1):
            folder = folder.parent
        parts = rest.split(".") if rest else []
        return next((c for c in _candidates(folder, parts) if c in self._files), None)

    def _resolve(self, file: Path, dotted: str) -> Path | None:
        key = (file.parent, dotted)
        if key not in self._resolved:
            parts = dotted.split(".")
            self._resolved[key] = None
            if parts[0] not in LIBRARIES:
                self._resolved[key] = next(
                    (
                        candidate
                        for folder in self._roots(file)
                        for candidate in _candidates(folder, parts)
                        if candidate in self._files
                    ),
                    None,
                )
        return self._resolved[key]

    def _roots(self, file: Path) -> Iterator[Path]:
        """The folders in which a file's absolute imports may start, the nearest first."""
        base = self._base
        for folder in file.parents:
            yield folder
            if folder == base:
                return

    @functools.cached_property
    def _base(self) -> Path | None:
        """The folder that holds all files."""
        parents = {file.parent for file in self._files}
        if not parents:
            return None
        parts = [parent.parts for parent in parents]
        shared = min(parts)
        most = max(parts)
        length = 0
        while length < min(len(shared), len(most)) and shared[length] == most[length]:
            length += 1
        folder = Path(*shared[:length])
        while (folder / "__init__.py") in self._files and folder != folder.parent:
            folder = folder.parent
        return folder

    def _name(self, file: Path) -> str:
        """A file's dotted name, from the outermost folder that is a package."""
        parts = [] if file.name == "__init__.py" else [file.stem]
        folder = file.parent
        while (folder / "__init__.py") in self._files and folder != folder.parent:
            parts.insert(0, folder.name)
            folder = folder.parent
        return ".".join(parts)


def shown(file: Path) -> str:
    """A path as reports show it: relative to the working directory where it lies below it."""
    try:
        return str(file.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(file)


@functools.lru_cache(maxsize=20_000)
def _canonical(name: str) -> str:
    for prefix, canonical in ALIASES:
        if name == prefix:
            return canonical
        if name.startswith(prefix + "."):
            return _canonical(canonical + name[len(prefix) :])
    return name


def _candidates(folder: Path, parts: list[str]) -> tuple[Path, ...]:
    if not parts:
        return (folder / "__init__.py",)
    joined = folder.joinpath(*parts)
    return (joined.with_name(joined.name + ".py"), joined / "__init__.py")


def text_of(file: Path, data: bytes) -> Text:
    """The text of the file or notebook with this name and these bytes.

    Raises:
        SourceError: it is none.
    """
    return NotebookText.of(data) if file.suffix.lower() == ".ipynb" else SourceText.of(data)
