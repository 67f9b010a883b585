"""Programs that are run under a recorder in the tests' own process, which has TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from programs import run_here

from unslow.finding import Site
from unslow.recording.data import Recording
from unslow.recording.recorder import Recorder
from unslow.recording.samples import Samples


class Recorded:
    """A program that was run under a recorder, what it printed and what was kept of it."""

    def __init__(
        self, folder: Path, source: str, limit: int = 2**28, name: str = "program.py"
    ) -> None:
        self.path = folder / name
        self.path.write_text(source, encoding="utf-8")
        recorder = Recorder(folder / "recording.json", (name,), samples_limit=limit)
        recorder.start(windows=False)
        try:
            self.out, self.names = run_here(self.path)
        finally:
            recording = recorder.stop()
        assert recording is not None
        assert recorder.clock.failures == {}
        self.recording: Recording = recording
        self.samples: Samples = recorder.samples

    def kept(self, kind: type, line: int | str) -> tuple[Any, ...]:
        """The samples of a line, told by its number or by text that no other line holds."""
        if isinstance(line, str):
            lines = self.path.read_text(encoding="utf-8").splitlines()
            (line,) = (number for number, each in enumerate(lines, start=1) if line in each)
        return self.samples.at(kind, Site(str(self.path), line))
