"""What `unslow fix` gives back: each example as it is and with its fixes, in turn.

    python benchmarks/fixed_examples.py [--rounds N] [--programs NAME ...]

The examples are copied to a scratch folder, where `unslow fix --unsafe-fixes` edits one
copy of each. Both run in every round, in shuffled order; what they print must be the same.
The figure is the median over the rounds of the ratio of their times, start-up left out
(see timed.py). Needs the data of `examples/make_data.py`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
TIMED = str(HERE / "timed.py")
NAMES = ("label_image", "resize_argmax", "serve", "train")


def seconds(program: Path, folder: Path) -> tuple[float, bytes]:
    """The time a program takes after its start-up, and what it prints."""
    note = folder / "seconds"
    done = subprocess.run(
        [sys.executable, TIMED, str(note), str(program)],
        cwd=program.parent,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{program} failed:\n{done.stderr.decode(errors='replace')}")
    return float(note.read_text()), done.stdout


def prepared(folder: Path, name: str) -> tuple[Path, Path]:
    """A copy of an example as it is, and one with its fixes."""
    copies = []
    for state in ("present", "fixed"):
        place = folder / state
        place.mkdir(exist_ok=True)
        if not (place / "data").exists():
            (place / "data").symlink_to(EXAMPLES / "data")
        shutil.copyfile(EXAMPLES / f"{name}.py", place / f"{name}.py")
        copies.append(place / f"{name}.py")
    command = [sys.executable, "-m", "unslow", "fix", "--unsafe-fixes", "--no-cache", "--quiet"]
    subprocess.run([*command, str(copies[1])], check=False, capture_output=True)
    if copies[0].read_bytes() == copies[1].read_bytes():
        sys.exit(f"{name}: nothing was fixed")
    return copies[0], copies[1]


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--programs", nargs="+", choices=NAMES, default=NAMES)
    options = parser.parse_args()
    print("| program | as it is | fixed | ratio | lowest and highest | prints the same |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in options.programs:
            programs = prepared(folder, name)
            pairs: list[dict[Path, tuple[float, bytes]]] = []
            for _ in range(options.rounds):
                order = random.sample(programs, 2)
                pairs.append({program: seconds(program, folder) for program in order})
            present, fixed = programs
            ratios = [pair[present][0] / pair[fixed][0] for pair in pairs]
            same = all(pair[present][1] == pair[fixed][1] for pair in pairs)
            print(
                f"| {name} | {statistics.median(pair[present][0] for pair in pairs):.1f} s "
                f"| {statistics.median(pair[fixed][0] for pair in pairs):.1f} s "
                f"| {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} "
                f"| {'yes' if same else 'NO'} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
