"""Whether the findings of a program stand in the order of what their fixes give back.

    python benchmarks/order.py [--rounds N] [--programs NAME ...]

`unslow run` predicts a gain for each finding of an example. Then each function of the
example is fixed alone: it is taken from the fixed example, everything else stays as it is.
These programs and the slow one run in turn, in shuffled order. What a fix gives back is the
difference of the times spent in the function; the rest of the program, which is the same in
both, tells how fast the machine was meanwhile. Where the fix is in `main` too there is no such
rest, and it is the difference of the programs' times after the import of TensorFlow. Medians
over the rounds. Two fixes are in the right order if the one with the larger predicted gain gives
back more, or if the predictions are too close to tell: less than 20 % apart. Needs the data of
`examples/make_data.py`.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from prediction import AIM, EXAMPLES, NAMES, copied, finished, predicted

INSTEAD = {
    "label_image": {"label_image": ("main",)},
    "serve": {"answer": ("answer", "main")},
    "train": {
        "even_batch": ("even_light",),
        "edge_features": ("edge_features", "edge_strengths"),
        "cross_validation": ("cross_validation", "plain_step"),
    },
}
"""Functions that change for the fix at another one, by example; by default it is that one.

The first of them is timed.
"""

TIMED = """\
import json, sys, time
sys.argv = sys.argv[1:]
program, names = sys.argv[0], json.loads(sys.argv.pop())
import tensorflow, tensorflow.keras
from importlib.util import module_from_spec, spec_from_file_location
module = module_from_spec(spec_from_file_location("program", program))
taken = dict.fromkeys(names, 0.0)

def timed(name, function):
    def call(*args, **kwargs):
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            taken[name] += time.perf_counter() - began
    return call

began = time.perf_counter()
module.__spec__.loader.exec_module(module)
for name in names:
    setattr(module, name, timed(name, getattr(module, name)))
module.main()
taken[""] = time.perf_counter() - began
with open(f"{program}.seconds", "w") as file:
    json.dump(taken, file)
"""


def fixed_alone(slow: str, fixed: str, functions: tuple[str, ...]) -> str:
    """The slow program with these functions, and all new definitions, of the fixed one."""
    parts = definitions(fixed)
    known = definitions(slow)
    new = [text for name, text in parts.items() if name not in known]
    imports = [text for name, text in parts.items() if name.startswith(("import ", "from "))]
    lines = slow.splitlines()
    body = ast.parse(slow).body
    for node in reversed(body):
        name = name_of(node)
        if name in functions and name in parts:
            lines[first_line(node) - 1 : node.end_lineno] = parts[name].splitlines()
    last = max(i for i, node in enumerate(body) if isinstance(node, ast.Import | ast.ImportFrom))
    end = body[last].end_lineno or 0
    return "\n".join([*lines[:end], *imports, *new, *lines[end:], ""])


def definitions(source: str) -> dict[str, str]:
    """The texts of a module's imports, functions, classes and variables, by name."""
    lines = source.splitlines()
    return {
        name: "\n".join(lines[first_line(node) - 1 : node.end_lineno])
        for node in ast.parse(source).body
        if (name := name_of(node))
    }


def name_of(node: ast.stmt) -> str:
    """What a statement of a module defines, or an import itself; nothing for any other."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "" if ast.unparse(node).startswith("from __future__") else ast.unparse(node)
    return ""


def first_line(node: ast.stmt) -> int:
    """The line of a statement, or of its first decorator."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])


def gains(report: dict[str, Any]) -> dict[str, float]:
    """The largest gain predicted for a finding of each function."""
    found: dict[str, float] = {}
    for finding in report["findings"]:
        if finding["gain"] is not None:
            function = finding["function"]
            found[function] = max(found.get(function, 0.0), finding["gain"]["seconds"])
    return found


def seconds(program: Path, functions: set[str]) -> dict[str, float]:
    """How long a program takes after its imports, by "", and how long these functions of it."""
    names = json.dumps(sorted(functions))
    finished([sys.executable, "-c", TIMED, str(program), names], program)
    taken: dict[str, float] = json.loads(Path(f"{program}.seconds").read_text(encoding="utf-8"))
    return taken


def given_back(slow: dict[str, float], fixed: dict[str, float], function: str) -> float:
    """Seconds that a fix of a function gives back, of a run of the slow and the fixed program."""
    if function == "main":
        return slow[""] - fixed[""]
    speed = (slow[""] - slow[function]) / (fixed[""] - fixed[function])
    return slow[function] - fixed[function] * speed


def achieved(name: str, functions: list[str], slow: Path, rounds: int) -> dict[str, float]:
    """Seconds that the fix of each function alone gives back."""
    source = slow.read_text(encoding="utf-8")
    fixed = (EXAMPLES / "fixed" / f"{name}.py").read_text(encoding="utf-8")
    changed = {each: INSTEAD.get(name, {}).get(each, (each,)) for each in functions}
    timed = {each: "main" if "main" in all_ else all_[0] for each, all_ in changed.items()}
    programs = {function: slow.with_name(f"{name}_{function}.py") for function in functions}
    for function, program in programs.items():
        program.write_text(fixed_alone(source, fixed, changed[function]), encoding="utf-8")
    found: dict[str, list[float]] = {function: [] for function in functions}
    shuffle = random.Random(0)
    for _ in range(rounds):
        took = {}
        for function in shuffle.sample(["", *functions], 1 + len(functions)):
            watched = set(timed.values()) if not function else {timed[function]}
            took[function] = seconds(programs.get(function, slow), watched - {"main"})
        for function in functions:
            found[function].append(given_back(took[""], took[function], timed[function]))
    return {function: statistics.median(each) for function, each in found.items()}


def main() -> int:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", nargs="+", default=list(NAMES[:-1]), metavar="EXAMPLE")
    options = parser.parse_args()
    right = pairs = 0
    print("| function | predicted gain | achieved alone |")
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.programs:
            slow = copied(Path(scratch), name, "")
            predictions = gains(predicted(slow))
            measured = achieved(name, list(predictions), slow, options.rounds)
            for function, gain in predictions.items():
                figures = f"{gain:.2f} s | {measured[function]:.2f} s"
                print(f"| {name}.py, {function}() | {figures} |", flush=True)
            for one, two in itertools.combinations(predictions, 2):
                more, less = sorted((one, two), key=predictions.__getitem__, reverse=True)
                close = predictions[less] >= (1 - AIM) * predictions[more]
                right += close or measured[more] > measured[less]
                pairs += 1
    print(f"\n{right} of {pairs} pairs of fixes are in the right order.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
