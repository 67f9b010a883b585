"""A plugin of pytest's that writes down what came of the calls of each test.

The file is named by UNSLOW_CONFORMANCE_FILE; each line is a test as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from conformance import calls


@pytest.hookimpl(trylast=True)
def pytest_configure(config: Any) -> None:
    """Have hypothesis take no time to make what fails smaller: here that takes minutes."""
    settings = hypothesis.settings
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    settings.register_profile("as given", settings.default, phases=phases, database=None)
    settings.load_profile("as given")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Generator[None, Any, Any]:
    """Write a line when a test has ended, and start afresh."""
    report = yield
    if report.when == "setup":
        calls.begin()
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        _write(item.nodeid, report)
    return report


def _write(test: str, report: Any) -> None:
    record = calls.record
    line = {
        "test": test,
        "outcome": report.outcome,
        "why": _last_line(report),
        "translated": record.translated,
        "same": record.same,
        "refused": [[*key, count] for key, count in record.refused.items()],
        "raised": dict(record.raised),
        "deviating": record.deviating,
    }
    with Path(os.environ["UNSLOW_CONFORMANCE_FILE"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _last_line(report: Any) -> str:
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message).partition("\n")[0] if crash is not None else ""
