"""Recordings made by hand, and what every finding has to be, for the tests of the pages."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from unslow.catalogue.page import Page
from unslow.finding import Finding
from unslow.plain import to_plain
from unslow.recording.data import Machine, Program, Recording


def a_run(parts: Mapping[str, float], **tables: Any) -> Recording:
    """A run of 10 s."""
    empty = Recording(Program(("train.py",), "3.11.7"), Machine(2, 0), False, 10.0, parts)
    return dataclasses.replace(empty, **tables)


def assert_well_made(finding: Finding, page: Page) -> None:
    assert (finding.code, finding.name, finding.kind) == (page.code, page.name, "problem")
    assert list(finding.evidence)[:2] == ["calls", "seconds"]
    assert finding.evidence["seconds"] == finding.cost.seconds
    assert all(claim.part != "recorder" for claim in finding.cost.claims)
    assert finding.cost.seconds == pytest.approx(sum(c.seconds for c in finding.cost.claims))
    json.dumps(to_plain(finding))
