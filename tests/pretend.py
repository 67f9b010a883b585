"""Pages that find what their name says, to test what surrounds the real ones."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from unslow import catalogue, cli
from unslow.catalogue.page import Page
from unslow.finding import Alternative, Edit, Finding
from unslow.recording.data import Recording
from unslow.source.module import Module


class _Call(Page):
    """Calls of one function of TensorFlow, to be replaced by another.

    ## What it is
    A pretended cause.
    """

    slow = fast = ""
    function: ClassVar[str]

    def in_source(self, module: Module) -> Iterator[Finding]:
        for call in module.calls_to(f"tensorflow.{self.function}"):
            yield self.suspicion(
                module, call, f"It calls {self.function}.", {}, self.ways(module, call)
            )

    def ways(self, module: Module, call: ast.Call) -> tuple[Alternative, ...]:
        return ()


class Safe(_Call):
    __doc__ = _Call.__doc__
    code, name, function = "TF901", "safe-call", "slow"

    def in_recording(self, recording: Recording) -> Iterator[Finding]:
        return iter(())

    def ways(self, module: Module, call: ast.Call) -> tuple[Alternative, ...]:
        return (Alternative("call fast()", "safe", (module.replace(call.func, "tf.fast"),)),)


class Unsafe(_Call):
    __doc__ = _Call.__doc__
    code, name, function = "TF902", "unsafe-call", "risky"

    def ways(self, module: Module, call: ast.Call) -> tuple[Alternative, ...]:
        edits = (module.replace(call.func, "tf.fast"),)
        return (Alternative("call fast()", "unsafe", edits, note="Digits may differ."),)


class Plain(_Call):
    __doc__ = _Call.__doc__
    code, name, function = "TF903", "plain-call", "other"


class Optional(_Call):
    __doc__ = _Call.__doc__
    code, name, function = "TF904", "optional-call", "optional"
    by_default = False


class Breaking(_Call):
    __doc__ = _Call.__doc__
    code, name, function = "TF905", "breaking-call", "breaking"

    def ways(self, module: Module, call: ast.Call) -> tuple[Alternative, ...]:
        return (Alternative("break it", "safe", (module.replace(call.func, "tf.("),)),)


class Endless(_Call):
    __doc__ = _Call.__doc__
    code, name, function = "TF906", "endless-call", "endless"

    def ways(self, module: Module, call: ast.Call) -> tuple[Alternative, ...]:
        edit = module.replace(call, f"{module.text(call)[:-1]}, 1)")
        return (Alternative("one more argument", "safe", (edit,)),)


class Faulty(_Call):
    __doc__ = _Call.__doc__
    code, name, function = "TF907", "faulty-call", "faulty"

    def in_source(self, module: Module) -> Iterator[Finding]:
        for finding in super().in_source(module):
            raise ZeroDivisionError(f"at {finding.site.line}")
        yield from ()


class Imported(_Call):
    """Calls of `slow` from another file: what the caller's file says decides."""

    code, name, function = "TF908", "called-from-afar", "afar"

    def in_source(self, module: Module) -> Iterator[Finding]:
        for call in module.calls_to("tensorflow.afar"):
            callers = [other.path for other in module.project.importers(module)]
            if callers:
                yield self.suspicion(module, call, f"Called from {', '.join(callers)}.")


class Elsewhere(_Call):
    """Mends another file than the one it was found in."""

    code, name, function = "TF909", "mended-elsewhere", "elsewhere"

    def ways(self, module: Module, call: ast.Call) -> tuple[Alternative, ...]:
        other = str(Path(module.path).with_name("other.py"))
        here = module.replace(call.func, "tf.fast")
        return (Alternative("both", "safe", (here, Edit(other, (1, 1), (1, 1), "# mended\n"))),)


PAGES = tuple(
    kind()
    for kind in (
        Safe,
        Unsafe,
        Plain,
        Optional,
        Breaking,
        Endless,
        Faulty,
        Imported,
        Elsewhere,
    )
)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put the pages here in place of the real ones, in an empty working directory."""
    monkeypatch.setattr(catalogue, "pages", lambda: PAGES)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def program(*calls: str) -> str:
    """A program that calls these functions of TensorFlow, one a line from line 2."""
    return "import tensorflow as tf\n" + "".join(f"tf.{call}(1)\n" for call in calls)


def notebook(*cells: str) -> str:
    """A notebook with these code cells."""
    return json.dumps(
        {
            "cells": [
                {
                    "cell_type": "code",
                    "metadata": {},
                    "execution_count": None,
                    "outputs": [],
                    "source": cell.splitlines(keepends=True),
                }
                for cell in cells
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        },
        indent=1,
    )


class Answer:
    """What a command answered."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def document(self) -> Any:
        """The JSON that was written."""
        return json.loads(self.out)

    @property
    def found(self) -> list[tuple[str, int, str]]:
        """Path, line and code of each finding in the JSON that was written."""
        return [(f["path"], f["line"], f["code"]) for f in self.document["findings"]]


def ask(capsys: pytest.CaptureFixture[str], *words: str) -> Answer:
    """Run a command in this process."""
    capsys.readouterr()
    status = cli.main(list(words))
    shown = capsys.readouterr()
    return Answer(status, shown.out, shown.err)
