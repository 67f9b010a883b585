"""What watching costs: programs as they are, under unslow, and under four profilers.

    python benchmarks/overhead.py [--rounds N] [--programs NAME ...] [--tools NAME ...]

Each round runs every program once under every tool, in shuffled order; a tool's
figure is the median over the rounds of its time divided by the plain time of
the same round. Start-up is left out (see timed.py). Needs the `bench` extra and
the data of `examples/make_data.py`.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TIMED = str(HERE / "timed.py")

EXAMPLES = ROOT / "examples"

PROGRAMS = {
    "micro_ops": (HERE / "micro_ops.py",),
    "resize_argmax": (
        *(EXAMPLES / "resize_argmax.py", "--images", "60"),
        *("--sizes", "200", "--exposures", "200"),
    ),
    "augment": (EXAMPLES / "augment.py", "--epochs", "2"),
    "label_image": (EXAMPLES / "label_image.py", "--images", "6"),
    "train": (EXAMPLES / "train.py", "--images", "40", "--steps", "30", "--epochs", "5"),
    "serve": (EXAMPLES / "serve.py", "--requests", "20", "--drawings", "400"),
    "fixed/augment": (EXAMPLES / "fixed/augment.py",),
}
"""Programs with arguments that make them short; the last is compiled training without faults."""

Command = Callable[[list[str], str], list[str]]
"""From the seconds' file with the program and its arguments, and a scratch folder, to a command."""

TOOLS: dict[str, Command] = {
    "plain": lambda words, _: [sys.executable, TIMED, *words],
    # Inputs are kept for experiments; these come after the end, and are not timed.
    "unslow": lambda words, _: [
        *(sys.executable, "-m", "unslow", "run", "--budget", "1", TIMED, *words),
    ],
    "TensorFlow profiler": lambda words, _: [
        *(sys.executable, TIMED, "--tensorflow-profiler", *words),
    ],
    "cProfile": lambda words, folder: [
        *(sys.executable, "-m", "cProfile", "-o", f"{folder}/profile", TIMED, *words),
    ],
    "pyinstrument": lambda words, folder: [
        *(sys.executable, "-m", "pyinstrument", "-o", f"{folder}/report.txt", TIMED, *words),
    ],
    "Scalene": lambda words, folder: [
        *(sys.executable, "-m", "scalene", "run", "-o", f"{folder}/report.json", TIMED, "---"),
        *words,
    ],
}


def seconds_of(tool: str, program: str) -> float | None:
    """Seconds of the program under a tool; `None` where the tool could not run it."""
    with tempfile.TemporaryDirectory() as folder:
        seconds = Path(folder) / "seconds"
        words = [str(seconds), *(str(word) for word in PROGRAMS[program])]
        done = subprocess.run(
            TOOLS[tool](words, folder),
            cwd=ROOT,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        try:
            return float(seconds.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            print(
                f"{tool} on {program}: status {done.returncode}: "
                f"{done.stderr.decode(errors='replace')[-300:]}",
                file=sys.stderr,
            )
            return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS))
    arguments = parser.parse_args()
    tools = ["plain", *(tool for tool in arguments.tools if tool != "plain")]
    print("| program | plain, s |", " | ".join(tools[1:]), "|")
    print("|---|---|" + "---|" * len(tools[1:]))
    for name in arguments.programs:
        ratios: dict[str, list[float]] = {tool: [] for tool in tools[1:]}
        plain: list[float] = []
        for _ in range(arguments.rounds):
            measured = {tool: seconds_of(tool, name) for tool in random.sample(tools, len(tools))}
            base = measured["plain"]
            if base is None:
                continue
            plain.append(base)
            for tool, values in ratios.items():
                value = measured[tool]
                if value is not None:
                    values.append(value / base)
        cells = [
            f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"
            if values
            else "–"
            for values in ratios.values()
        ]
        shown = f"{statistics.median(plain):.1f}" if plain else "–"
        print(f"| {name} | {shown} |", " | ".join(cells), "|", flush=True)


main()
