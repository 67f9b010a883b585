"""NumPy's conformance suites on the functions that `unslow.native` makes.

    python conformance/run.py array-api CLONE_OF_ARRAY_API_TESTS [options]
    python conformance/run.py tensorflow CLONE_OF_TENSORFLOW [options]

The first runs array-api-tests (github.com/data-apis/array-api-tests, with its submodule), the
second what TensorFlow tests its own NumPy with (tensorflow/python/ops/numpy_ops). Each call of
the suites goes through `unslow.native`, as ops of a graph, and is compared with NumPy's. It
tells how many tests passed, how many needed what is refused, by reason, and what deviates.
Tests that fail although each result was the very one that NumPy gives, or that fail when they
run again with NumPy itself behind the same calls, say nothing of the ops.

Options: --examples N (for each test of array-api-tests), --open-sizes (ops are made for sizes
that are not known), --select WORDS (pytest's -k), --timeout SECONDS (for one test), --output
FILE.json (all that was found). It needs pytest, pytest-timeout, pytest-json-report, hypothesis
and ndindex.
Exit status: 0 where nothing deviates and all that is refused is in refused.toml, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).resolve().parent
NUMPY_OPS = Path("tensorflow", "python", "ops", "numpy_ops")
FILES = (
    "np_array_ops_test.py",
    "np_math_ops_test.py",
    "np_logic_test.py",
    "tests/np_einsum_test.py",
    "tests/np_test.py",
)

Test = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a suite and tell what came of it."""
    options = _options(arguments)
    tests = suite(options, by_numpy=False)
    failed = [name for name, test in tests.items() if test["outcome"] == "failed"]
    failed = [name for name in failed if not gives_what_numpy_gives(tests[name])]
    with_numpy = suite(options, by_numpy=True, only=failed) if failed else {}
    found = sorted_out(tests, with_numpy)
    print(told(found, tests))
    if options.output is not None:
        options.output.write_text(json.dumps({"verdicts": found, "tests": tests}, indent=1))
    return 1 if found["deviating"] or not_listed(tests) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="NumPy's conformance suites on native ops.")
    parser.add_argument("suite", choices=["array-api", "tensorflow"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--examples", type=int, default=5)
    parser.add_argument("--open-sizes", action="store_true")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for one test")
    parser.add_argument("--select", default="")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(arguments)
    options.path = options.path.resolve()
    inner = "array_api_tests" if options.suite == "array-api" else str(NUMPY_OPS)
    if not (options.path / inner).is_dir():
        parser.error(f"{options.path} has no folder {inner}")
    return options


def suite(options: argparse.Namespace, by_numpy: bool, only: Sequence[str] = ()) -> dict[str, Test]:
    """Run a suite in a process of its own; what each of its tests found, by name."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tests.jsonl")
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(
                [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
            ),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "UNSLOW_CONFORMANCE_FILE": str(file),
            "UNSLOW_CONFORMANCE": " ".join(
                ["by-numpy"] * by_numpy + ["open-sizes"] * options.open_sizes
            ),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "conformance.plugin"]
        command += ["-p", "no:cacheprovider", "--tb", "line", "-W", "ignore"]
        command += ["--timeout", str(options.timeout)]
        if options.suite == "array-api":
            environment["ARRAY_API_TESTS_MODULE"] = "conformance.array_api"
            command += ["--max-examples", str(options.examples), "--derandomize"]
            command += ["--disable-deadline", *(only or ["array_api_tests"])]
            place = options.path
        else:
            place = options.path / NUMPY_OPS
            environment["UNSLOW_CONFORMANCE_TESTS"] = str(place)
            command += ["-p", "conformance.tensorflow_numpy", "--import-mode", "importlib"]
            command += only or FILES
        wanted = [options.select] if options.select else []
        wanted += ["not StringArrayTest"] if options.suite == "tensorflow" else []
        command += ["-k", " and ".join(f"({each})" for each in wanted)] if wanted else []
        done = subprocess.run(
            command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        # 0 and 1 are pytest's for a run to the end.
        if done.returncode not in (0, 1) or not file.exists():
            raise SystemExit(f"the suite did not run to its end:\n{done.stdout[-4000:]}")
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {line["test"]: line for line in lines}


def gives_what_numpy_gives(test: Test) -> bool:
    """Whether all that a test saw were results that are NumPy's to the last bit."""
    return bool(test["translated"] == test["same"] and not test["refused"])


VERDICTS = {
    "passed": "passed",
    "passed, with refusals": "passed, and some calls were refused",
    "refused": "passed by NumPy alone: all calls were refused",
    "without arrays": "passed without a call on arrays: names, signatures, constants",
    "not NumPy's": "failed, with NumPy itself, too",
    "skipped": "skipped by the suite",
}
"""What may come of a test, other than that it deviates."""


def sorted_out(tests: dict[str, Test], with_numpy: dict[str, Test]) -> dict[str, list[str]]:
    """The names of the tests by what came of them."""
    found: dict[str, list[str]] = {name: [] for name in (*VERDICTS, "deviating")}
    for name, test in tests.items():
        fails_anyway = (
            gives_what_numpy_gives(test) or with_numpy.get(name, {}).get("outcome") == "failed"
        )
        if test["deviating"] or (test["outcome"] == "failed" and not fails_anyway):
            verdict = "deviating"
        elif test["outcome"] == "failed":
            verdict = "not NumPy's"
        elif test["outcome"] == "skipped":
            verdict = "skipped"
        elif test["refused"]:
            verdict = "passed, with refusals" if test["translated"] else "refused"
        else:
            verdict = "passed" if test["translated"] else "without arrays"
        found[verdict].append(name)
    return found


def told(found: dict[str, list[str]], tests: dict[str, Test]) -> str:
    """The report."""
    lines = [f"{len(names):6} {VERDICTS.get(verdict, verdict)}" for verdict, names in found.items()]
    calls = sum(test["translated"] for test in tests.values())
    refused: Counter[tuple[str, str]] = Counter()
    raised: Counter[str] = Counter()
    for test in tests.values():
        refused.update({(name, why): count for name, why, count in test["refused"]})
        raised.update(test["raised"])
    lines += ["", f"{calls} calls gave NumPy's results as ops, {refused.total()} were refused:"]
    lines += [f"{count:6} {name}: {why}" for (name, why), count in refused.most_common()]
    if raised:
        lines += ["", "NumPy raises an error that hangs on values, ops do not:"]
        lines += [f"{count:6} {what}" for what, count in raised.most_common()]
    for why in not_listed(tests):
        lines += ["", f"not in refused.toml: {why}"]
    for name in found["deviating"]:
        test = tests[name]
        lines += ["", f"deviating: {name}", f"    {test['why']}"]
        lines += [f"    {each}" for each in test["deviating"][:3]]
    return "\n".join(lines)


def not_listed(tests: dict[str, Test]) -> list[str]:
    """The reasons of refusals that refused.toml says nothing of."""
    listed = [re.compile(each["reason"]) for each in refused_list()["refused"]]
    reasons = {why for test in tests.values() for _, why, _ in test["refused"]}
    return sorted(why for why in reasons if not any(each.fullmatch(why) for each in listed))


def refused_list() -> dict[str, Any]:
    """What refused.toml says."""
    told: dict[str, Any] = tomllib.loads((HERE / "refused.toml").read_text(encoding="utf-8"))
    return told


if __name__ == "__main__":
    sys.exit(main())
