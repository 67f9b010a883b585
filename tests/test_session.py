"""The experiments of a run: what is tried, in which order and time, and what is kept of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from unslow.catalogue.trial import Trial, Untried, Way
from unslow.experiment import session
from unslow.experiment.session import HUNG, PROPOSING, SPENT, Session, Tried, Trying
from unslow.finding import Claim, Cost, Finding, Site
from unslow.plain import from_plain, to_plain
from unslow.recording.samples import Samples
from unslow.recording.sites import Sites

pytest.importorskip("numpy")


@dataclass(frozen=True)
class Asked:
    """A page that proposes these trials for a finding of so many seconds."""

    cost: float
    proposed: tuple[Trial | Untried, ...] = ()
    general: bool = False
    only_if_proven: bool = False
    before: Callable[[], Any] = field(default=lambda: None)

    def trials(self, finding: Finding, samples: Samples) -> Iterator[Trial | Untried]:
        self.before()
        yield from self.proposed


@dataclass(frozen=True)
class Ran:
    """What a session kept and told, each at its time; and the findings by their code."""

    kept: list[Tried]
    told: list[Trying]

    def __getitem__(self, code: str) -> Finding:
        (found,) = (each for each in self.kept[-1].findings if each.code == code)
        return found

    @property
    def notes(self) -> tuple[str, ...]:
        return self.kept[-1].notes


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Makes the experiments with a finding of each of these pages."""

    def run(budget: float, **pages: Asked) -> Ran:
        monkeypatch.setattr(session, "page", pages.__getitem__)
        findings = [
            finding(code, line, asked.cost)
            for line, (code, asked) in enumerate(pages.items(), start=1)
        ]
        ran = Ran([], [])
        samples = Samples(Sites((), Path()))
        Session(findings, samples, 20.0, budget, ran.told.append, ran.kept.append).run()
        assert ran.kept[-1].complete
        return ran

    return run


def finding(code: str, line: int, seconds: float) -> Finding:
    claims = (Claim("program.py", line, "bridge", seconds),)
    site = Site("program.py", line)
    return Finding(code, "name", "problem", site, "", Cost(seconds, 10, 0, claims), {})


def way(name: str, milliseconds: float) -> Way:
    def run() -> float:
        time.sleep(milliseconds / 1000)
        return 1.0

    return Way(name, run)


def trial(*ways: Way, **more: Any) -> Trial:
    return Trial(way("as it is", 6), ways, "numbers", **more)


def verdicts(finding: Finding) -> dict[str, str]:
    """Of each alternative, "faster" or another verdict, or how it failed."""
    return {
        each.name: each.proof.verdict if each.proof is not None else each.failure
        for each in finding.alternatives
    }


QUICK = way("quick", 1)


def test_what_is_known_is_kept_at_every_step(run: Run) -> None:
    ran = run(4.0, TF101=Asked(8, (trial(way("slow", 12), QUICK),)))
    assert [each.way for each in ran.told] == [PROPOSING, "as it is", "slow", "quick"]
    assert [each.complete for each in ran.kept][-2:] == [False, True]
    assert ran["TF101"].gain is not None
    assert [each.name for each in ran["TF101"].alternatives] == ["quick", "slow"]
    waiting = ran.kept[1].findings[0].alternatives
    assert [each.failure for each in waiting] == [HUNG]
    assert HUNG.endswith("had to be ended")
    again = from_plain(Tried, json.loads(json.dumps(to_plain(ran.kept[-1]))))
    assert again.findings[0].gain == ran["TF101"].gain


def test_why_there_is_no_experiment_is_kept(run: Run) -> None:
    ran = run(1.0, TF101=Asked(8, (Untried("Nothing was captured."),)))
    assert ran["TF101"].untried == "Nothing was captured."
    assert ran["TF101"].kind == "problem"


def test_a_fault_in_one_experiment_is_told_and_costs_no_other(run: Run) -> None:
    def fails() -> None:
        raise LookupError("a fault of ours")

    ran = run(1.0, TF101=Asked(8, before=fails), TF102=Asked(1, (trial(QUICK),)))
    assert "LookupError: a fault of ours" in ran.notes[0]
    assert ran["TF101"].gain is None
    assert ran["TF102"].gain is not None


def test_ctrl_c_keeps_what_is_known(run: Run) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    ran = run(2.0, TF101=Asked(8, (trial(QUICK, Way("stopped", interrupted)),)))
    assert ran["TF101"].gain is not None
    assert "Ctrl-C" in ran.notes[0]


def test_a_spent_budget_is_told(run: Run) -> None:
    ways = [way(f"way {number}", 400) for number in range(3)]
    ran = run(0.05, TF101=Asked(8, (trial(*ways),)))
    failures = list(verdicts(ran["TF101"]).values())
    assert len(failures) == 3
    assert all(each.startswith("not ") for each in failures)
    assert "not tried: the budget was spent" in failures


def test_after_the_budget_is_spent_nothing_more_is_begun(run: Run) -> None:
    begun: list[int] = []
    first = Asked(8, (trial(QUICK),), before=lambda: time.sleep(0.2))
    ran = run(0.1, TF101=first, TF102=Asked(1, (trial(QUICK),), before=lambda: begun.append(2)))
    assert begun == []
    assert ran["TF102"].untried == SPENT


def test_what_is_left_of_the_budget_goes_to_what_was_cut_short(run: Run) -> None:
    nothing = Asked(90, (Untried("Nothing was captured."),))
    ran = run(3.0, TF101=nothing, TF102=Asked(0.01, (trial(way("long", 30), way("longer", 50)),)))
    assert verdicts(ran["TF102"]) == {"long": "slower", "longer": "slower"}


def test_each_finding_has_a_faster_way_before_any_has_all_its_ways(run: Run) -> None:
    ways = QUICK, way("quicker", 0.5)
    ran = run(20.0, TF101=Asked(8, (trial(*ways),)), TF102=Asked(7, (trial(*ways),)))
    tried = [(each.finding[:5], each.way) for each in ran.told if each.way in ("quick", "quicker")]
    assert tried[:2] == [("TF101", "quick"), ("TF102", "quick")]
    assert set(tried[2:]) == {("TF101", "quicker"), ("TF102", "quicker")}
    assert verdicts(ran["TF101"]) == {"quick": "faster", "quicker": "faster"}


def test_what_several_findings_have_in_common_is_tried_once(run: Run) -> None:
    ran = run(
        20.0,
        TF101=Asked(9, (trial(QUICK, subject="calls"),)),
        TF305=Asked(8, (trial(QUICK, way("half", 3), subject="calls", share=0.5),)),
    )
    first, second = ran["TF101"], ran["TF305"]
    assert verdicts(first) == {"quick": "faster"}
    assert verdicts(second) == {"quick": "faster", "half": "faster"}
    assert first.alternatives[0].proof == second.alternatives[0].proof
    assert first.gain is not None and second.gain is not None
    # The second trial stands for half of its finding's cost.
    assert second.gain.seconds / 8 == pytest.approx(first.gain.seconds / 9 / 2)


def test_what_findings_do_not_have_in_common_is_tried_for_each(run: Run) -> None:
    ran = run(20.0, TF101=Asked(9, (trial(QUICK),)), TF305=Asked(8, (trial(QUICK),)))
    assert verdicts(ran["TF101"]) == verdicts(ran["TF305"]) == {"quick": "faster"}
    assert ran["TF101"].alternatives[0].proof != ran["TF305"].alternatives[0].proof


def test_a_general_finding_takes_what_is_known_when_the_budget_is_spent(run: Run) -> None:
    late = Asked(6, (trial(QUICK, subject="calls"),), before=lambda: time.sleep(1))
    ran = run(
        0.5,
        TF101=Asked(9, (trial(QUICK, subject="calls"),)),
        TF305=late,
        TF301=Asked(8, (trial(QUICK, subject="calls"),), general=True),
        TF302=Asked(7, (trial(QUICK),), general=True),
        TF306=Asked(1, (trial(QUICK, subject="calls"),)),
    )
    for code in ("TF101", "TF305", "TF301"):
        assert verdicts(ran[code]) == {"quick": "faster"}
        assert ran[code].gain is not None and not ran[code].untried
    for code in ("TF302", "TF306"):
        assert not ran[code].alternatives
        assert ran[code].untried == SPENT


def test_what_a_later_trial_has_shown_is_told_of_an_earlier_finding_too(run: Run) -> None:
    slow = way("slow", 500)
    ran = run(
        0.8,
        TF101=Asked(9, (trial(slow, QUICK, subject="calls"),)),
        TF305=Asked(8, (trial(QUICK, subject="calls"),)),
    )
    assert verdicts(ran["TF305"]) == {"quick": "faster"}
    assert verdicts(ran["TF101"])["quick"] == "faster"


def test_what_is_tried_instead_is_not_tried_again_either(run: Run) -> None:
    def fails() -> None:
        raise RuntimeError("used up")

    runs: list[int] = []
    quick = Way("quick", lambda: runs.append(1))
    half = way("half", 3)
    instead = trial(quick, half)
    broken = Trial(Way("as it is", fails), (quick, half), "numbers", instead=instead)
    ran = run(20.0, TF101=Asked(9, (broken,)))
    assert verdicts(ran["TF101"])["half"] == "faster"
    proofs = {
        each.proof
        for state in ran.kept
        for found in state.findings
        for each in found.alternatives
        if each.name == "quick" and each.proof is not None
    }
    assert len(proofs) == 1


def test_what_was_measured_is_not_measured_again_for_what_was_cut(run: Run) -> None:
    ran = run(3.0, TF101=Asked(1, (trial(QUICK, way("slow", 60)),)), TF102=Asked(9))
    seen = [
        {each.name: each.proof for each in found.alternatives}
        for state in ran.kept
        for found in state.findings
        if found.code == "TF101"
    ]
    assert verdicts(ran["TF101"]) == {"quick": "faster", "slow": "slower"}
    assert any(each.get("quick") is not None and each.get("slow") is None for each in seen)
    assert len({each["quick"] for each in seen if each.get("quick") is not None}) == 1
