"""The command that runs NumPy's conformance suites: what it counts, and what it sees."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("hypothesis")

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from conformance import arrays, calls, run  # noqa: E402

pytestmark = pytest.mark.tensorflow


def test_calls_run_as_ops_and_are_counted() -> None:
    calls.begin()
    numbers = np.array([[3.0, 1.0], [2.0, np.nan]])
    found = calls.both(np.nanmax, [numbers], {"axis": 1})
    assert found.tolist() == [3, 2]
    assert calls.record.translated == 1
    assert not calls.record.deviating
    assert calls.both(np.arange, [3], {}).tolist() == [0, 1, 2]
    assert calls.record.translated == 1, "without an array there is nothing to translate"


def test_what_is_refused_is_numpys_result_and_is_told() -> None:
    calls.begin()
    found = calls.both(np.linalg.svd, [np.eye(2)], {})
    assert found[1].tolist() == [1, 1]
    ((name, why),) = calls.record.refused
    assert name == "svd"
    assert "signs" in why
    assert not run.not_listed({"a test": {"refused": [[name, why, 1]]}})
    assert run.not_listed({"a test": {"refused": [[name, "it rains", 1]]}}) == ["it rains"]


def test_errors_are_numpys() -> None:
    calls.begin()
    with pytest.raises(ValueError, match="broadcast"):
        calls.both(np.add, [np.ones(2), np.ones(3)], {})
    with pytest.raises(ValueError, match="negative"):
        calls.both(np.bincount, [np.array([1, -1])], {})
    assert not calls.record.deviating
    assert sum(calls.record.raised.values()) <= 1


def test_a_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = np.array([1.0, np.nan, 0.0], np.float32)
    assert not calls.difference(right, right, each_alone=True)
    assert not calls.difference([right * (1 + 1e-7)], [right])
    wrong: list[Any] = [right.astype(np.float64), right[None], right + 1, np.zeros(3, np.float32)]
    for each in [*wrong, [right, right], None]:
        assert calls.difference(each, right)
    assert calls.difference(-right, right.copy() * 0, each_alone=True)
    assert calls.difference(right[2:] * -1, right[2:], each_alone=True), "the sign of zero"
    assert calls.difference(np.array([complex(1, np.inf)]), np.array([complex(np.nan, np.inf)]))
    calls.begin()
    monkeypatch.setattr(calls, "_by_ops", lambda function, args, kwargs: right + 1)
    calls.both(np.negative, [right], {})
    assert len(calls.record.deviating) == 1
    assert calls.record.deviating[0].startswith("negative(array(")


def test_arrays_go_through_ops_with_their_operators() -> None:
    calls.begin()
    xp = arrays.Namespace("xp", np)
    array = xp.asarray([[1, 2], [3, 4]])
    assert (array @ array.T + 1 - array[0]).tolist() == [[5, 10], [11, 24]]
    array += 1
    array[0, array[0] > 2] = 9
    assert array.tolist() == [[2, 9], [4, 5]]
    assert xp.linalg.det(array).shape == ()
    assert type(xp.fft.fft(array)) is arrays.Array
    assert calls.record.translated >= 8
    assert not calls.record.deviating


def test_every_entry_says_why() -> None:
    told = run.refused_list()
    assert len(told["refused"]) > 20
    for each in [*told["refused"], *told["left_out"]]:
        assert each["why"].endswith(".")


def a_test(outcome: str, **more: Any) -> dict[str, Any]:
    plain = {"translated": 3, "same": 2, "refused": [], "raised": {}, "deviating": [], "why": ""}
    return {"outcome": outcome, **plain, **more}


def test_tests_are_sorted_by_what_came_of_them() -> None:
    refused = [["svd", "the signs of singular vectors are not defined by NumPy", 1]]
    tests = {
        "good": a_test("passed"),
        "names": a_test("passed", translated=0),
        "some": a_test("passed", refused=refused),
        "all": a_test("passed", refused=refused, translated=0),
        "wrong": a_test("passed", deviating=["add(1, 1): 3, not 2"]),
        "fails": a_test("failed"),
        "fails with NumPy": a_test("failed"),
        "gives what NumPy gives": a_test("failed", same=3),
        "left": a_test("skipped"),
    }
    with_numpy = {"fails": a_test("passed"), "fails with NumPy": a_test("failed")}
    found = run.sorted_out(tests, with_numpy)
    assert found == {
        "passed": ["good"],
        "without arrays": ["names"],
        "passed, with refusals": ["some"],
        "refused": ["all"],
        "deviating": ["wrong", "fails"],
        "not NumPy's": ["fails with NumPy", "gives what NumPy gives"],
        "skipped": ["left"],
    }
    told = run.told(found, tests)
    assert "add(1, 1): 3, not 2" in told
    assert "2 svd: the signs" in told


SUITE = """
from conformance import array_api as xp

def test_sum():
    assert int(xp.sum(xp.asarray([1, 2]))) == 3

def test_svd():
    assert int(xp.linalg.svd(xp.asarray([[2.0]]))[1][0]) == 2
"""

CONFTEST = """
def pytest_addoption(parser):
    for name in ("--derandomize", "--disable-deadline"):
        parser.addoption(name, action="store_true")
    parser.addoption("--max-examples", type=int)
"""


def test_a_suite_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pytest_timeout")
    folder = tmp_path / "array_api_tests"
    folder.mkdir()
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (folder / "test_some.py").write_text(SUITE)
    output = tmp_path / "found.json"
    assert run.main(["array-api", str(tmp_path), "--output", str(output)]) == 0
    found = json.loads(output.read_text())
    counts = {verdict: len(names) for verdict, names in found["verdicts"].items()}
    assert (counts["passed"], counts["refused"], counts["deviating"]) == (1, 1, 0)
    assert "1 calls gave NumPy's results as ops, 1 were refused" in capsys.readouterr().out


def test_a_folder_that_is_no_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["tensorflow", str(tmp_path)])
    assert "has no folder" in capsys.readouterr().err
