"""How well the predicted gain meets the achieved one.

    python benchmarks/prediction.py [--rounds N] [--programs NAME ...]

Every page of the catalogue that a run can show has a slow program and a fast one that does
the same, and so has every example. In each round `unslow run` says of the slow one what it
would gain, and both run twice as they are, all in shuffled order. The speed of a
busy machine changes by half between seconds, so what is compared are parts of a program's own
time after the import of TensorFlow: the predicted gain as a part of the watched run that it was
predicted in, and what the fast program spares as a part of the slow one that ran next to it.
The fast programs do without unslow: where its ops in place of a Python function are what is
recommended, the fast one is the slow one with just that edit.
Both are medians, told as seconds of the slow program; "off" is their difference as a part of
what was achieved. Needs the data of `examples/make_data.py`.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unslow.catalogue import pages
from unslow.catalogue.border.rewrites import native_ops
from unslow.finding import Edit
from unslow.plain import from_plain
from unslow.source.edits import apply

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NAMES = ("label_image", "resize_argmax", "serve", "train", "augment")
AIM = 0.2
BUDGET = 15
"""Seconds for experiments with a page's program: its own time, the default, would be short."""

LITTLE = 0.02
"""Where the fast program spares no more than this part, no gain is the right prediction."""

ONE_ROUND = ("report", "slow", "slow", "fast", "fast")


@dataclass(frozen=True)
class Pair:
    """A slow program and the same without its causes; `budget` for experiments."""

    name: str
    slow: Path
    fast: Path
    budget: int | None = None


def programs(folder: Path, wanted: list[str]) -> Iterator[Pair]:
    """The programs to measure, in a scratch folder."""
    for page in pages():
        if page.seen_in_recording() and page.tried() and (not wanted or page.code in wanted):
            slow, fast = folder / f"{page.code}_slow.py", folder / f"{page.code}_fast.py"
            slow.write_text(page.slow, encoding="utf-8")
            fast.write_text(page.fast, encoding="utf-8")
            yield Pair(f"{page.code} {page.name}", slow, fast, BUDGET)
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


def predicted(program: Path, budget: int | None = None) -> dict[str, Any]:
    """The report on one watched run, with so many seconds for experiments."""
    report = program.with_suffix(".json")
    watched = [sys.executable, "-m", "unslow", "run"]
    watched += [] if budget is None else ["--budget", str(budget)]
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


@dataclass
class Measured:
    """The reports on the slow program, and the seconds that both programs took."""

    reports: list[dict[str, Any]] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)
    fast: list[float] = field(default_factory=list)

    def one_round(self, pair: Pair, shuffle: random.Random) -> None:
        """Predict, and run both programs."""
        order = shuffle.sample(ONE_ROUND, len(ONE_ROUND))
        if not self.reports:
            # It says what the fast program is.
            order.sort(key=lambda name: name != "report")
        for name in order:
            if name == "report":
                self.reports.append(predicted(pair.slow, pair.budget))
            elif name == "slow":
                self.slow.append(seconds(pair.slow))
            else:
                self.fast.append(seconds(with_ops(pair.slow, self.reports[0]) or pair.fast))

    @property
    def takes(self) -> float:
        return statistics.median(self.slow)

    @property
    def gain(self) -> float | None:
        """The part of its time that the program would gain; `None` unless each report tells."""
        gains = [part_gained(each) for each in self.reports]
        known = [gain for gain in gains if gain is not None]
        return statistics.median(known) if len(known) == len(gains) else None

    @property
    def achieved(self) -> float:
        """The part of the slow program's time that the fast one spares."""
        return 1 - statistics.median(f / s for s, f in zip(self.slow, self.fast, strict=True))

    @property
    def off(self) -> float:
        """What the prediction is off, as a part of what was achieved."""
        gain = self.gain or 0.0
        if gain == 0 and self.achieved <= LITTLE:
            return 0.0
        return (gain - self.achieved) / self.achieved if self.achieved > 0 else math.inf


def with_ops(program: Path, report: dict[str, Any]) -> Path | None:
    """The program with the edits of the best alternative, if that is unslow's own ops."""
    alternatives = report["findings"][0]["alternatives"] if report["findings"] else []
    if not alternatives or not alternatives[0]["name"].startswith(native_ops.NAME):
        return None
    edits = [from_plain(Edit, each) for each in alternatives[0]["edits"]]
    mended = program.with_name(f"{program.stem}_with_ops.py")
    mended.write_bytes(apply(program.read_bytes(), edits))
    return mended


def part_gained(report: dict[str, Any]) -> float | None:
    """The gain as a part of the program's own time: without imports and the cost of watching."""
    if report["gain"] is None:
        return None
    idle = [p["seconds"] for p in report["time"]["parts"] if p["name"] in ("imports", "recorder")]
    return float(report["gain"]["seconds"] / (report["time"]["wall"] - sum(idle)))


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", nargs="+", default=[], metavar="CODE_OR_EXAMPLE")
    options = parser.parse_args()
    shuffle = random.Random(0)
    print("| program | takes | predicted gain | achieved | off | best alternative |")
    print("|---|---|---|---|---|---|", flush=True)
    errors = []
    with tempfile.TemporaryDirectory() as scratch:
        for pair in programs(Path(scratch), options.programs):
            measured = Measured()
            for _ in range(options.rounds):
                measured.one_round(pair, shuffle)
            takes = measured.takes
            head = f"| {pair.name} | {takes:.1f} s "
            report, achieved = measured.reports[0], f"{measured.achieved * takes:.2f} s"
            if measured.gain is None:
                print(f"{head}| not measured | {achieved} | | {why(report)} |", flush=True)
                continue
            errors.append(measured.off)
            figures = f"{measured.gain * takes:.2f} s | {achieved} | {measured.off:+.0%}"
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
