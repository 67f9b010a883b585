"""Runs programs with and without unslow, in processes of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from apart import apart

T = TypeVar("T")

SOURCE = Path(__file__).parents[1] / "src"

_LOG_LINE = re.compile(
    rb"^(WARNING: All log messages|[IWEF]\d{4} |\d{4}-\d\d-\d\d .*: [IWEF] |To enable the)"
)
"""TensorFlow's C++ log: it carries times and thread numbers, which no two runs share."""


@dataclass(frozen=True)
class Ended:
    """How a process ended and what it printed."""

    status: int
    out: bytes
    err: bytes

    @property
    def quiet_err(self) -> bytes:
        """Standard error without TensorFlow's C++ log and addresses of objects."""
        lines = re.sub(rb"0x[0-9a-f]+", b"0x", self.err).splitlines(keepends=True)
        return b"".join(line for line in lines if not _LOG_LINE.match(line))


def environment(**more: str) -> dict[str, str]:
    """An environment in which unslow is importable and TensorFlow is quiet."""
    variables = dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3", PYTHONHASHSEED="0", **more)
    variables["PYTHONPATH"] = str(SOURCE)
    return variables


def run(command: list[str], cwd: Path, stdin: bytes = b"", path: str = "") -> Ended:
    """Run a command to its end; `path` stands before the sources on Python's search path."""
    variables = environment()
    if path:
        variables["PYTHONPATH"] = os.pathsep.join([path, variables["PYTHONPATH"]])
    done = subprocess.run(
        command,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        timeout=120,
        env=variables,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def plain(cwd: Path, *target: str, stdin: bytes = b"") -> Ended:
    """Run a program as it is."""
    return run([sys.executable, *target], cwd, stdin)


def watched(
    cwd: Path,
    *target: str,
    stdin: bytes = b"",
    options: tuple[str, ...] = (),
    experiments: bool = False,
) -> Ended:
    """Run a program under `unslow run`, its JSON report in `report.json`."""
    command = [sys.executable, "-m", "unslow", "run", "--output", "report.json"]
    if not experiments:
        command.append("--no-experiments")
    return run([*command, *options, *target], cwd, stdin)


_GLOBAL_STATE = re.compile(
    r"\b(enable_|disable_|run_functions_eagerly|set_global_policy|set_policy|threading|environ)"
)


def can_share(source: str) -> bool:
    """Whether a program leaves the process as it was for the next one."""
    return _GLOBAL_STATE.search(source) is None


def here_or_apart(source: str, function: Callable[..., T], *arguments: Any) -> T:
    """What a function that runs a program returns: in this process, where the program lets it."""
    return function(*arguments) if can_share(source) else apart(function, *arguments)


def run_here(path: Path) -> tuple[str, dict[str, Any]]:
    """Run a program in this process: what it prints, and its names at the end."""
    if "tensorflow" in sys.modules:
        # As in a process of its own: a seed that another program set is not this one's.
        sys.modules["tensorflow"].random.set_seed(None)
    names: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(path.read_bytes(), str(path), "exec"), names)
    return printed.getvalue(), names


def printed_by(folder: Path, name: str, source: str) -> bytes:
    """What a program prints: run in this process, which has TensorFlow, where that may be."""
    path = folder / name
    path.write_text(source, encoding="utf-8")
    return here_or_apart(source, _printed, path)


def _printed(path: Path) -> bytes:
    return run_here(path)[0].encode()


def report(cwd: Path) -> dict[str, Any]:
    """The JSON report of the last watched run."""
    content: dict[str, Any] = json.loads((cwd / "report.json").read_text(encoding="utf-8"))
    return content
