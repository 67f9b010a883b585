"""The experiments of a run: what is tried once for several findings, and what the budget cuts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from unslow.catalogue.trial import Trial, Untried, Way
from unslow.experiment import session
from unslow.experiment.session import SPENT, Session, Tried
from unslow.finding import Claim, Cost, Finding, Site
from unslow.recording.samples import Samples
from unslow.recording.sites import Sites

pytest.importorskip("numpy")


@dataclass
class Asked:
    """A page that proposes these trials."""

    proposed: list[Trial | Untried]
    general: bool = False
    only_if_proven: bool = False

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        yield from self.proposed


def way(name: str, milliseconds: float) -> Way:
    def run() -> float:
        time.sleep(milliseconds / 1000)
        return 1.0

    return Way(name, run)


def trial(*ways: Way, **more: Any) -> Trial:
    return Trial(way("present", 6), ways, "numbers", **more)


def finding(code: str, line: int, seconds: float) -> Finding:
    claims = (Claim("program.py", line, "bridge", seconds),)
    site = Site("program.py", line)
    return Finding(code, "name", "problem", site, "", Cost(seconds, 10, 0, claims), {})


def all_kept(
    monkeypatch: pytest.MonkeyPatch, pages: dict[str, Asked], budget: float, costs: Iterable[float]
) -> list[Tried]:
    """What is known after each step, of a finding of each page."""
    monkeypatch.setattr(session, "page", pages.__getitem__)
    asked = enumerate(zip(pages, costs, strict=True), start=1)
    findings = [finding(code, line, cost) for line, (code, cost) in asked]
    kept: list[Tried] = []
    samples = Samples(Sites((), Path()))
    Session(findings, samples, 20.0, budget, lambda _: None, kept.append).run()
    assert kept[-1].complete and not kept[-1].notes
    return kept


def tried(
    monkeypatch: pytest.MonkeyPatch, pages: dict[str, Asked], budget: float, costs: Iterable[float]
) -> list[Finding]:
    """The findings in the end, in the order of the pages."""
    findings = all_kept(monkeypatch, pages, budget, costs)[-1].findings
    return sorted(findings, key=lambda each: list(pages).index(each.code))


def told(finding: Finding) -> dict[str, str]:
    """Of each alternative, "faster" or another verdict, or how it failed."""
    return {
        each.name: each.proof.verdict if each.proof is not None else each.failure
        for each in finding.alternatives
    }


def test_what_several_findings_have_in_common_is_tried_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = way("quick", 1)
    one = trial(quick, subject="calls")
    other = trial(quick, way("half", 3), subject="calls", share=0.5)
    first, second = tried(
        monkeypatch, {"TF101": Asked([one]), "TF305": Asked([other])}, 20.0, (9, 8)
    )
    assert told(first) == {"quick": "faster"}
    assert told(second) == {"quick": "faster", "half": "faster"}
    assert first.alternatives[0].proof == second.alternatives[0].proof
    assert first.gain is not None and second.gain is not None
    # The second way stands for half of its cost.
    assert second.gain.seconds / 8 == pytest.approx(first.gain.seconds / 9 / 2)


def test_what_findings_do_not_have_in_common_is_tried_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = [trial(way("quick", 1)) for _ in range(2)]
    pages = {"TF101": Asked(trials[:1]), "TF305": Asked(trials[1:])}
    first, second = tried(monkeypatch, pages, 20.0, (9, 8))
    assert told(first) == told(second) == {"quick": "faster"}
    assert first.alternatives[0].proof != second.alternatives[0].proof


def test_a_general_finding_takes_what_is_known_when_the_budget_is_spent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick, slow = way("quick", 1), way("slow", 900)
    pages = {
        "TF101": Asked([trial(quick, slow, subject="calls")]),
        "TF301": Asked([trial(quick, subject="calls")], general=True),
        "TF302": Asked([trial(quick)], general=True),
        "TF305": Asked([trial(quick, subject="calls")]),
    }
    first, general, other, last = tried(monkeypatch, pages, 0.5, (9, 8, 7, 6))
    assert told(first)["quick"] == told(general)["quick"] == "faster"
    assert general.gain is not None and not general.untried
    assert other.untried == last.untried == SPENT
    assert not other.alternatives and not last.alternatives


def test_what_a_later_trial_has_shown_is_told_of_an_earlier_finding_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow, quick = way("slow", 500), way("quick", 1)
    first, second = tried(
        monkeypatch,
        {
            "TF101": Asked([trial(slow, quick, subject="calls")]),
            "TF305": Asked([trial(quick, subject="calls")]),
        },
        0.8,
        (9, 8),
    )
    assert told(second) == {"quick": "faster"}
    assert told(first)["quick"] == "faster"


def test_what_was_measured_is_not_measured_again_for_what_was_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ways = way("quick", 1), way("slow", 150)
    pages = {"TF101": Asked([trial(*ways)]), "TF305": Asked([Untried("No.")])}
    kept = all_kept(monkeypatch, pages, 1.0, (1, 90))
    seen = [
        {each.name: each.proof for each in finding.alternatives}
        for state in kept
        for finding in state.findings
        if finding.code == "TF101"
    ]
    assert {"quick", "slow"} == {name for name, proof in seen[-1].items() if proof is not None}
    assert any("quick" in each and each["slow"] is None for each in seen if "slow" in each)
    assert len({each["quick"] for each in seen if each.get("quick") is not None}) == 1
