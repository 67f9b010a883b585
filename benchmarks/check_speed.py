"""How fast `unslow check` reads, beside linters, on the same files of real TensorFlow code.

    python benchmarks/check_speed.py [--rounds N] [--tools NAME ...] [PATH ...]

The files are those of PATH, else the layers of the installed Keras. They are copied to a scratch
folder first, so that no tool's own settings or caches there count. Each round runs every
tool once, in shuffled order: *cold* without a cache, *warm* with the cache of an earlier
run. A tool's figure is the median over the rounds of its lines per second; start-up is
part of it. Needs the `bench` extra.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PYTHON = sys.executable
JOBS = str(os.cpu_count() or 1)

COLD: dict[str, list[str]] = {
    "unslow check": [PYTHON, "-m", "unslow", "check", "--no-cache", "--quiet", "."],
    "ruff (PERF, NPY)": [
        *(PYTHON, "-m", "ruff", "check", "--no-cache", "--isolated", "--quiet"),
        *("--select", "PERF,NPY", "."),
    ],
    "flake8": [PYTHON, "-m", "flake8", "--isolated", "--quiet", "-j", JOBS, "."],
    "pylint with perflint": [
        *(PYTHON, "-m", "pylint", "--load-plugins=perflint", "--disable=all"),
        *("--enable=W8101,W8102,W8201,W8202,W8203,W8204,W8205,W8301", "-j", JOBS),
        *("--recursive=y", "."),
    ],
    "pylint": [PYTHON, "-m", "pylint", "-j", JOBS, "--recursive=y", "."],
}
"""The commands, run in the folder of the files."""

WARM: dict[str, list[str]] = {
    "unslow check": [PYTHON, "-m", "unslow", "check", "--quiet", "."],
    "ruff (PERF, NPY)": [
        *(PYTHON, "-m", "ruff", "check", "--isolated", "--quiet"),
        *("--select", "PERF,NPY", "."),
    ],
}
"""The commands of the tools that have a cache."""


def installed_keras() -> Path:
    """The folder of the installed Keras that holds its layers."""
    found = importlib.util.find_spec("keras")
    if found is None or found.origin is None:
        sys.exit("Keras is not installed; give a path")
    return Path(found.origin).parent / "src" / "layers"


def copied(paths: list[Path], folder: Path) -> int:
    """Copy the Python files of `paths` into `folder`; the number of their lines."""
    lines = 0
    for number, path in enumerate(paths):
        for file in sorted(path.rglob("*.py")):
            target = folder / f"{path.name}_{number}" / file.relative_to(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            lines += file.read_bytes().count(b"\n")
    return lines


def seconds(command: list[str], folder: Path) -> float:
    """The time a command takes; 0 and small statuses mean that it ran."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    spent = time.perf_counter() - start
    if done.returncode < 0 or b"No module named" in done.stderr:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr.decode(errors='replace')}")
    return spent


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", nargs="+", choices=sorted(COLD), default=sorted(COLD))
    parser.add_argument("paths", nargs="*", type=Path)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = copied(options.paths or [installed_keras()], folder)
        print(f"{lines} lines of Python, {JOBS} cores, {options.rounds} rounds\n")
        jobs = [("cold", name, COLD[name]) for name in options.tools]
        jobs += [("warm", name, WARM[name]) for name in options.tools if name in WARM]
        for _, _, command in jobs:
            if command in WARM.values():
                seconds(command, folder)
        taken: dict[tuple[str, str], list[float]] = {(kind, name): [] for kind, name, _ in jobs}
        for _ in range(options.rounds):
            for kind, name, command in random.sample(jobs, len(jobs)):
                taken[kind, name].append(seconds(command, folder))
        base = taken.get(("cold", "unslow check"))
        print("| tool | | seconds | lines per second | times as long as unslow, cold |")
        print("|---|---|---|---|---|")
        for (kind, name), each in taken.items():
            median = statistics.median(each)
            ratios = [one / other for one, other in zip(each, base or each, strict=True)]
            print(
                f"| {name} | {kind} | {median:.2f} | {lines / median:,.0f} "
                f"| {statistics.median(ratios):.2f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
