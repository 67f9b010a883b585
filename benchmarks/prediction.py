"""How well the predicted gain meets the achieved one.

    python benchmarks/prediction.py [--rounds N] [--programs NAME ...]

Every page of the catalogue that a run can show has a slow program and a fast one that does
the same, and so has every example. In each round `unslow run --budget 30` says of the slow
one what it would gain, and both run as they are, in shuffled order. What is achieved is the
difference of their times after the import of TensorFlow; "off" is the difference of
prediction and achievement as a part of the achievement. The speed of a busy machine changes
between minutes: "off" is the median of the rounds' own. Needs the data of
`examples/make_data.py`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unslow.catalogue import pages

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = ("label_image", "resize_argmax", "serve", "train", "augment")
AIM = 0.2
BUDGET = 30
"""Seconds for experiments: the default, the program's own time, is short for short programs."""


@dataclass(frozen=True)
class Pair:
    """A slow program and the same without its causes."""

    name: str
    slow: Path
    fast: Path


def programs(folder: Path, wanted: list[str]) -> Iterator[Pair]:
    """The programs to measure, in a scratch folder."""
    for page in pages():
        if page.seen_in_recording() and page.tried() and (not wanted or page.code in wanted):
            slow, fast = folder / f"{page.code}_slow.py", folder / f"{page.code}_fast.py"
            slow.write_text(page.slow, encoding="utf-8")
            fast.write_text(page.fast, encoding="utf-8")
            yield Pair(f"{page.code} {page.name}", slow, fast)
    for name in NAMES:
        if not wanted or name in wanted:
            yield Pair(
                f"examples/{name}.py", copied(folder, name, ""), copied(folder, name, "fixed")
            )


def copied(folder: Path, name: str, variant: str) -> Path:
    """A copy of an example, beside the data that it reads."""
    place = folder / (variant or "present")
    place.mkdir(exist_ok=True)
    for data in (place / "data", place.parent / "data"):
        if not data.exists():
            data.symlink_to(EXAMPLES / "data")
    shutil.copyfile(EXAMPLES / variant / f"{name}.py", place / f"{name}.py")
    return place / f"{name}.py"


def finished(command: list[str], program: Path) -> None:
    """Run a program to its end."""
    done = subprocess.run(command, cwd=program.parent, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{program} failed:\n{done.stderr.decode(errors='replace')}")


def predicted(program: Path) -> dict[str, Any]:
    """The report on one watched run."""
    report = program.with_suffix(".json")
    watched = [sys.executable, "-m", "unslow", "run", "--budget", str(BUDGET)]
    finished([*watched, "--output", str(report), str(program)], program)
    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return content


TIMED = """\
import runpy, sys, time
sys.argv = sys.argv[1:]
import tensorflow
if "keras" in open(sys.argv[0], encoding="utf-8").read():
    tensorflow.keras.Model
began = time.perf_counter()
runpy.run_path(sys.argv[0], run_name="__main__")
with open(f"{sys.argv[0]}.seconds", "w") as file:
    file.write(str(time.perf_counter() - began))
"""


def seconds(program: Path) -> float:
    """How long a program takes once TensorFlow is imported.

    The import is in neither gain and varies by more than many of them.
    """
    finished([sys.executable, "-c", TIMED, str(program)], program)
    return float(Path(f"{program}.seconds").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Round:
    """The report on the slow program, and the seconds of both programs."""

    report: dict[str, Any]
    slow: float
    fast: float

    @property
    def gain(self) -> float | None:
        """The predicted gain in seconds."""
        return None if self.report["gain"] is None else float(self.report["gain"]["seconds"])

    @property
    def achieved(self) -> float:
        return self.slow - self.fast

    @property
    def off(self) -> float:
        """What the prediction is off, as a part of what was achieved."""
        gain = self.gain or 0.0
        if gain == 0 and self.achieved <= 0:
            return 0.0
        return (gain - self.achieved) / self.achieved if self.achieved > 0 else math.inf


def one_round(pair: Pair, shuffle: random.Random) -> Round:
    """Predict, and run both programs, in shuffled order."""
    found: dict[str, Any] = {}
    for name in shuffle.sample(("report", "slow", "fast"), 3):
        if name == "report":
            found[name] = predicted(pair.slow)
        else:
            found[name] = seconds(getattr(pair, name))
    return Round(**found)


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", nargs="+", default=[], metavar="CODE_OR_EXAMPLE")
    options = parser.parse_args()
    shuffle = random.Random(0)
    print("| program | takes | predicted gain | achieved | off | best alternative |")
    print("|---|---|---|---|---|---|")
    errors = []
    with tempfile.TemporaryDirectory() as scratch:
        for pair in programs(Path(scratch), options.programs):
            measured = [one_round(pair, shuffle) for _ in range(options.rounds)]
            slow = statistics.median(each.slow for each in measured)
            achieved = statistics.median(each.achieved for each in measured)
            report = measured[0].report
            head = f"| {pair.name} | {slow:.1f} s "
            gains = [each.gain for each in measured if each.gain is not None]
            if len(gains) < len(measured):
                print(f"{head}| not measured | {achieved:.2f} s | | {why(report)} |", flush=True)
                continue
            off = statistics.median(each.off for each in measured)
            errors.append(off)
            figures = f"{statistics.median(gains):.2f} s | {achieved:.2f} s | {off:+.0%}"
            print(f"{head}| {figures} | {best(report)} |", flush=True)
    within = sum(abs(error) <= AIM for error in errors)
    print(f"\n{within} of {len(errors)} predictions are within {AIM:.0%} of what was achieved.")
    return 0


def best(report: dict[str, Any]) -> str:
    """The best alternative of the first finding."""
    alternatives = report["findings"][0]["alternatives"]
    if not alternatives or alternatives[0]["ratio"] is None:
        return ""
    return f"{alternatives[0]['name']} {alternatives[0]['ratio']:.3g}x"


def why(report: dict[str, Any]) -> str:
    """Why there is no prediction."""
    for finding in report["findings"]:
        for each in finding["alternatives"]:
            if each["failure"] or each["where"]:
                return f"{each['name']}: {each['failure'] or each['where']}"
        if finding["untried"]:
            return str(finding["untried"])
    return "" if report["findings"] else "no finding"


if __name__ == "__main__":
    sys.exit(main())
