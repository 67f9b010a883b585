"""A check from the paths asked for to its findings."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from unslow.check import cache as caching
from unslow.check.cache import Cache, Entry, digest
from unslow.check.codes import Code, chosen_by
from unslow.check.files import Files, Stamp, imported_names, names_of
from unslow.check.reading import Reading, is_notebook, read_file
from unslow.check.settings import Settings, matches, shown
from unslow.report.checked import Checked, Failure

if TYPE_CHECKING:
    from unslow.source.project import Facts, Project

MOST_HELD = 6_000_000
"""Bytes of source that are kept as syntax trees, which take some fifty times as much."""

MOST_BYTES = 5_000_000
"""A larger file is data that happens to be Python; its syntax tree may not fit into memory."""

WORTH_A_PROCESS = 400_000
"""Bytes of source that take longer to read than a process takes to start."""

Progress = Callable[[int, int], None]
"""Told how many files of how many are done."""

_STANDARD = sys.stdlib_module_names | {"tensorflow", "keras", "numpy"}


@dataclass(frozen=True)
class Choice:
    """What to look for: the codes that are known, those chosen, and where fewer are wanted."""

    known: tuple[Code, ...]
    codes: frozenset[str]
    settings: Settings

    def codes_for(self, path: str) -> frozenset[str]:
        """The codes to look for in the file at `path`."""
        ignores = self.settings.per_file_ignores
        if not ignores:
            return self.codes
        relative = path.removeprefix(f"{self.settings.root}".rstrip("/") + "/")
        left = self.codes
        for pattern, selectors in ignores:
            if matches(pattern, relative):
                left -= chosen_by(selectors, self.known)
        return left

    @property
    def key(self) -> str:
        """Differs where the same files may come to other findings."""
        parts = (sorted(self.codes), self.settings.per_file_ignores, str(self.settings.root))
        return "\n".join(map(repr, (*parts, str(Path.cwd()), caching.own_digest())))


class Check:
    """The files of one check: what is known of each, and which are worth reading."""

    def __init__(
        self,
        files: Files,
        choice: Choice,
        folder: Path | None = None,
        contents: Mapping[str, bytes] | None = None,
        processes: int | None = None,
    ) -> None:
        self.files = files
        self.choice = choice
        self.contents = contents or {}
        self._processes = processes
        self._cache = None if folder is None else Cache(folder, choice.key)
        self._failures: dict[str, Failure] = {}
        self.entries: dict[str, Entry] = {}
        self._look()
        self.relevant = self._relevant()

    def run(self, progress: Progress | None = None) -> Checked:
        """Check the files asked for."""
        asked = [path for path in self.files.asked if path in self.relevant]
        waiting = [path for path in asked if self.entries[path].reading is None]
        done = len(asked) - len(waiting)
        for reading in self._readings(waiting):
            entry = self.entries[reading.path]
            entry.reading = reading
            entry.consulted = caching.consulted_digests(reading, self.entries)
            done += 1
            if progress is not None:
                progress(done, len(asked))
        if self._cache is not None and (waiting or self._changed):
            self._cache.save(self._lasting())
        readings = [r for path in asked if (r := self.entries[path].reading) is not None]
        failures = [*self.files.failures, *self._failures.values()]
        return Checked(
            findings=tuple(f for r in readings for f in r.findings),
            suppressed=tuple(s for r in readings for s in r.suppressed),
            failures=(*failures, *(f for r in readings for f in r.failures)),
            files=len(asked),
            passed_over=len(self.files.asked) - len(asked) - len(self._failures),
        )

    def facts(self) -> dict[Path, Facts]:
        """What the project needs to know of its files before it reads them."""
        from unslow.source.project import Facts

        return {
            Path(path): Facts(entry.mentions, frozenset(entry.imports))
            for path, entry in self.entries.items()
        }

    def _look(self) -> None:
        """Find out about each file what can be told without parsing it."""
        old: Mapping[str, Entry] = {}
        if self._cache is not None:
            self._cache.load()
            old = self._cache.entries
        self._changed = False
        for path, stamp in (*self.files.asked.items(), *self.files.around.items()):
            if stamp[1] > MOST_BYTES and not is_notebook(path):
                continue
            known = old.get(path)
            if known is not None and known.stamp == stamp:
                self.entries[path] = known
                continue
            entry = self._entry(path, stamp, known)
            if entry is not None:
                self.entries[path] = entry
                self._changed = True
        if self._cache is None:
            return
        for path in caching.stale(old, self.entries):
            self._changed = True
            self.entries[path] = replace(self.entries[path], reading=None, consulted={})

    def _entry(self, path: str, stamp: Stamp, known: Entry | None) -> Entry | None:
        try:
            data = self.contents[path] if path in self.contents else Path(path).read_bytes()
        except OSError as error:
            if path in self.files.asked:
                self._failures[path] = Failure(shown(path), f"cannot be read: {error.strerror}")
            return None
        mark = digest(data) if self._cache is not None else ""
        if known is not None and known.digest == mark:
            return replace(known, stamp=stamp)
        from unslow.source.project import scan

        facts = scan(data)
        # What the standard library has is never a file of the project.
        imports = (name for name in facts.imports if name.split(".")[0] not in _STANDARD)
        return Entry(stamp, mark, facts.mentions, tuple(imports))

    def _relevant(self) -> set[str]:
        """The files that name TensorFlow, and those that import one that does."""
        found = {path for path, entry in self.entries.items() if entry.mentions}
        names = {name for path in found for name in names_of(path)}
        found |= {
            path
            for path, entry in self.entries.items()
            if path not in found and not names.isdisjoint(imported_names(path, entry.imports))
        }
        return found

    def _readings(self, paths: Sequence[str]) -> Iterable[Reading]:
        if not paths:
            return
        sizes = [(self.files.asked[path])[1] for path in paths]
        reader = partial(Reader, self.choice, tuple(self.entries), self.facts(), self.contents)
        from unslow.check import workers

        processes = self._processes or min(workers.cores(), sum(sizes) // WORTH_A_PROCESS + 1)
        if processes == 1 or len(paths) == 1:
            read = reader()
            with workers.uncollected():
                for path in paths:
                    yield read(path, self.files.asked[path][1])
            return
        from unslow.catalogue import pages

        # Loaded once, for all the processes to come.
        pages()
        chunks = workers.chunked(list(zip(paths, sizes, strict=True)), processes)
        yield from workers.read_all(chunks, reader, _died, processes)

    def _lasting(self) -> dict[str, Entry]:
        """The entries to keep: a file that failed is tried again."""
        return {
            path: replace(entry, reading=None)
            if entry.reading is not None and entry.reading.failures
            else entry
            for path, entry in self.entries.items()
        }


class Reader:
    """Reads one file after the other; what they share is read once, as long as it is not much."""

    def __init__(
        self,
        choice: Choice,
        paths: Sequence[str],
        facts: Mapping[Path, Facts],
        contents: Mapping[str, bytes],
    ) -> None:
        self._choice = choice
        self._files = [Path(path) for path in paths]
        self._facts = facts
        self._contents = contents
        self._project = self._opened()
        self._held = 0

    def __call__(self, path: str, size: int) -> Reading:
        self._held += size
        if self._held > MOST_HELD:
            # The syntax trees of a large project would not fit into memory.
            self._project = self._opened()
            gc.collect()
            self._held = size
        return read_one(self._project, self._choice, self._contents, path)

    def _opened(self) -> Project:
        from unslow.source.project import Project

        if not self._contents:
            return Project(self._files, self._facts)
        from unslow.check.overlay import Overlay

        contents = {Path(path): data for path, data in self._contents.items()}
        return Overlay(self._files, self._facts, contents)


def read_one(project: Project, choice: Choice, contents: Mapping[str, bytes], path: str) -> Reading:
    """What one file comes to."""
    try:
        data = contents[path] if path in contents else Path(path).read_bytes()
    except OSError as error:
        return Reading(path, failures=(Failure(shown(path), f"cannot be read: {error.strerror}"),))
    codes = choice.codes_for(path)
    return read_file(project, path, shown(path), data, codes, choice.known)


def _died(path: str, status: int | None) -> Reading:
    how = f"signal {-status}" if status is not None and status < 0 else f"status {status}"
    message = f"cannot be checked: the process that read it ended with {how}"
    return Reading(path, failures=(Failure(shown(path), message),))
