"""Trials, gains and the session of experiments, with ways that are plain Python."""

from __future__ import annotations

import gzip
import io
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from programs import plain

from unslow.catalogue.trial import Beside, Trial, Untried, Way
from unslow.experiment import trials
from unslow.experiment.gain import gain_of, ranked, with_outcomes
from unslow.experiment.quiet import TimeLimit, flush_files, limited
from unslow.experiment.state import TooLarge
from unslow.experiment.trials import Outcome, run_trial
from unslow.experiment.values.frozen import frozen_part
from unslow.experiment.values.snapshot import take
from unslow.finding import Alternative, Claim, Cost, Finding, Gain, Proof, Site, saved_seconds
from unslow.recording.samples import BridgeCall, Converted, Samples
from unslow.recording.sites import Sites


def outcomes(trial: Trial, seconds: float = 0.5) -> dict[str, Alternative]:
    return {
        outcome.alternative.name: outcome.alternative
        for outcome in run_trial(trial, seconds, lambda way, limit: None)
        if isinstance(outcome, Outcome)
    }


def why_untried(trial: Trial) -> str:
    (only,) = run_trial(trial, 0.5, lambda way, limit: None)
    assert isinstance(only, Untried)
    return only.why


def busy(milliseconds: float, result: Any = 1.0) -> Any:
    end = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < end:
        pass
    return result


def trial(*ways: Way, **more: Any) -> Trial:
    present = Way("as it is", lambda: busy(3), safety="safe")
    return Trial(present, ways, "numbers", **more)


def test_what_is_drawn_is_fixed_where_results_are_compared_and_not_where_they_are_timed() -> None:
    drawn = random.Random(0)
    calls = {"fixed": 0, "runs": 0}

    def fixed() -> None:
        drawn.seed(0)
        calls["fixed"] += 1

    def draw() -> Any:
        calls["runs"] += 1
        return busy(3, drawn.random())

    present = Way("as it is", draw, fixed=fixed)
    (outcome,) = run_trial(
        Trial(present, (Way("other", draw, fixed=fixed),), "numbers"), 0.5, lambda way, limit: None
    )
    assert isinstance(outcome, Outcome) and outcome.alternative.proof is not None
    assert outcome.alternative.proof.equal is True
    assert calls["fixed"] == 3 and calls["runs"] >= 3 + 1 + 2 * 5


def test_each_way_is_measured_and_compared() -> None:
    found = outcomes(trial(Way("quick", lambda: busy(0.3)), Way("other", lambda: busy(0.3, 2.0))))
    quick, other = found["quick"].proof, found["other"].proof
    assert quick is not None
    assert quick.equal is True
    assert quick.ratio > 1
    assert quick.pairs >= 5
    assert quick.inputs == "numbers"
    assert other is not None
    assert other.equal is False
    assert "1" in other.where
    assert "2" in other.where


def test_an_error_is_told_without_the_names_that_tensorflow_gives() -> None:
    def fails() -> None:
        raise RuntimeError("{{function_node __wrapped__Op_device_/job:a/task:0}} indices[0] = 4")

    assert (
        outcomes(trial(Way("bad", fails)))["bad"].failure == "raised RuntimeError: indices[0] = 4"
    )


def test_a_way_that_raises_is_told_and_the_others_are_tried() -> None:
    def fails() -> None:
        raise ValueError("no\n  such way")

    def leaves() -> None:
        sys.exit(3)

    found = outcomes(trial(Way("bad", fails), Way("gone", leaves), Way("good", lambda: busy(1))))
    assert found["bad"].failure == "raised ValueError: no such way"
    assert found["gone"].failure == "raised SystemExit: 3"
    assert found["bad"].proof is None
    assert found["good"].proof is not None


def test_a_way_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unslow.experiment.trials.LEAST_LIMIT", 0.2)

    def hangs() -> None:
        while True:
            time.sleep(0.01)

    found = outcomes(trial(Way("hangs", hangs), Way("good", lambda: busy(1))))
    assert found["hangs"].failure.startswith("did not end within")
    assert found["good"].proof is not None


def test_where_the_present_way_cannot_be_repeated_nothing_is_tried() -> None:
    calls = []

    def once() -> float:
        calls.append(1)
        if len(calls) > 1:
            raise RuntimeError("the iterator is used up")
        return 1.0

    why = why_untried(Trial(Way("as it is", once), (Way("quick", lambda: 1.0),), "numbers"))
    assert "raised RuntimeError: the iterator is used up" in why


def test_functions_with_effects_outside_are_not_run(tmp_path: Path) -> None:
    target = tmp_path / "written"

    def writes() -> None:
        target.write_text("")

    guarded = Trial(Way("as it is", writes), (Way("quick", writes),), "", functions=(writes,))
    assert "writes()" in why_untried(guarded)
    assert not target.exists()


def test_results_are_brought_into_one_form_before_they_are_compared() -> None:
    batched = Way("batched", lambda: [busy(0.2)], results=lambda pieces: pieces[0])
    proof = outcomes(trial(batched))["batched"].proof
    assert proof is not None
    assert proof.equal is True


def test_what_is_done_before_a_run_is_no_part_of_its_time() -> None:
    calls = []

    def forget() -> None:
        calls.append(1)
        busy(5)

    proof = outcomes(trial(Way("fresh", lambda: busy(0.5), before=forget)), 1.0)["fresh"].proof
    assert proof is not None
    assert proof.verdict == "faster"
    assert len(calls) > proof.pairs


def test_preparing_counts_once() -> None:
    made: list[Any] = []

    def prepares() -> float:
        if not made:
            made.append(busy(30))
        return float(busy(0.3))

    kept = trial(Way("kept", prepares, prepares=True))
    (found,) = run_trial(kept, 0.5, lambda way, limit: None)
    assert isinstance(found, Outcome)
    assert 0.02 < found.once < 5


def proof(ratio: float, equal: Any = True, narrow: float = 0.01) -> Proof:
    return Proof(ratio, (ratio * (1 - narrow), ratio * (1 + narrow)), 9, equal)


def test_results_that_a_way_has_frozen_are_not_equal() -> None:
    import numpy

    generator = numpy.random.default_rng(0)
    calls: list[int] = []

    def present() -> Any:
        calls.append(1)
        return {"noise": generator.normal(size=50), "rate": 1 / len(calls), "same": 1.0}

    kept = present()

    def alternating() -> Any:
        return {**present(), "rate": 0.5}

    ways = (
        Way("another draw", present),
        Way("the first draw", lambda: kept),
        Way("one part of it", alternating),
    )
    found = outcomes(Trial(Way("as it is", present), ways, "numbers"))
    proofs = [found[way.name].proof for way in ways]
    assert [each.equal for each in proofs if each] == ["distribution", False, False]
    assert [each.where for each in proofs if each][1:] == [
        "['noise']: the same random numbers in every call",
        "['rate']: the same random numbers in every call",
    ]


def test_few_whole_numbers_that_are_the_same_twice_tell_nothing() -> None:
    def frozen(*four: Any) -> str | None:
        one, two, three, other = (take(each) for each in four)
        return frozen_part(one, two, three, other)

    assert frozen(True, False, True, True) is None
    assert frozen([1, 2], [2, 1], [1, 2], [1, 2]) is None
    assert frozen(["a"], ["b"], ["a"], ["a"]) is None
    assert frozen(list(range(20)), list(range(19, -1, -1)), [0] * 20, [0] * 20) == ""
    assert frozen((0.5, 1.5), (0.5, 2.5), (0.5, 1.5), (0.5, 1.5)) == "[1]"
    assert frozen((0.5, 1.5), (0.5, 2.5), (0.5, 1.5), (0.5, 1.6)) is None
    assert frozen(0.5, 0.5, 0.5, 0.5) is None


def test_variables_that_are_too_large_to_be_kept_are_told_in_megabytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(limit: int) -> None:
        raise TooLarge(300 * 2**20, limit)

    monkeypatch.setattr(trials, "State", refuse)
    why = why_untried(trial(Way("quick", lambda: 1.0), state=True))
    assert "300 MB" in why
    assert "256 MB" in why


def test_what_does_not_fit_into_the_budget_is_given_up_after_its_first_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trials, "LEAST_START", 0.1)
    calls: list[int] = []

    def present() -> None:
        calls.append(1)
        time.sleep(0.08)

    def endless() -> None:
        time.sleep(60)

    for way in (present, endless):
        slow = Trial(Way("as it is", way), (Way("quick", lambda: calls.append(2)),), "numbers")
        (only,) = run_trial(slow, 0.001, lambda way, limit: None, cost=100, left=0.001)
        assert isinstance(only, Untried)
        assert "--budget" in only.why
    assert calls == [1]


def test_a_way_for_whose_pairs_there_is_no_time_is_not_run() -> None:
    calls: list[int] = []
    slow = Trial(
        Way("as it is", lambda: busy(20)), (Way("quick", lambda: calls.append(1)),), "numbers"
    )
    (only,) = run_trial(slow, 0.001, lambda way, limit: None, left=0.15)
    assert isinstance(only, Outcome)
    assert only.cut
    assert only.alternative.failure.startswith("not measured: 5 pairs of runs would need about")
    assert calls == []


def test_a_way_is_measured_where_much_is_left_for_all() -> None:
    slow = Trial(Way("as it is", lambda: busy(20)), (Way("quick", lambda: busy(5)),), "numbers")
    (only,) = run_trial(slow, 0.001, lambda way, limit: None, left=10.0)
    assert isinstance(only, Outcome)
    assert only.alternative.proof is not None
    assert not only.cut


FINDING = Finding(
    "TF104",
    "tensor-iteration",
    "problem",
    Site("a.py", 3),
    "Slow.",
    Cost(8.0, 10, 0, (Claim("a.py", 3, "eager", 8.0),)),
)


def outcome(name: str, ratio: float, equal: Any = True, **more: Any) -> Outcome:
    return Outcome(Alternative(name, "unsafe", proof=proof(ratio, equal)), **more)


def test_gain_comes_from_the_cost_and_the_best_equal_alternative() -> None:
    finding = with_outcomes(
        FINDING, [outcome("wrong", 100, False), outcome("half", 2), outcome("best", 4)], 16.0
    )
    assert finding.kind == "problem"
    assert finding.gain == Gain(6.0, 0.375)
    assert [each.name for each in finding.alternatives] == ["best", "half", "wrong"]


def test_gain_knows_shares_and_what_must_be_built_once() -> None:
    assert gain_of(8.0, outcome("a", 4, share=0.5, once=1.0)) == pytest.approx(2.0)
    assert gain_of(8.0, outcome("a", 4, once=100.0)) == 0
    assert gain_of(8.0, outcome("a", 4, equal=False)) == 0
    assert gain_of(8.0, outcome("a", 0.5)) == 0
    assert gain_of(8.0, Outcome(Alternative("a", "safe", failure="raised"))) == 0


def test_what_runs_beside_is_gained_too_and_is_then_a_part_of_the_cost() -> None:
    step = Claim("a.py", 4, "graph", 4.0)
    assert gain_of(8.0, outcome("a", 4, beside=step)) == pytest.approx(9.0)
    assert gain_of(8.0, outcome("a", 1000, beside=step, share=2.0)) == pytest.approx(12.0)
    finding = with_outcomes(FINDING, [outcome("a", 4, beside=step)], 18.0)
    assert finding.gain == Gain(9.0, 0.5)
    assert finding.cost.seconds == 9.0
    assert finding.cost.claims == (*FINDING.cost.claims, Claim("a.py", 4, "graph", 1.0))
    assert saved_seconds([finding, finding]) == pytest.approx(9.0)
    little = with_outcomes(FINDING, [outcome("a", 2, beside=step)], 18.0)
    assert little.cost == FINDING.cost


def test_what_runs_beside_is_bounded_by_what_the_trial_takes() -> None:
    # 30 runs are the program, whose cost is 2 s; 1 s of the 5 s beside it is surely the step's.
    beside = Beside(Claim("a.py", 4, "graph", 1.0), 5.0, lambda: 30.0)
    assert beside.seconds(0.1, 2.0) == pytest.approx(1.0)
    assert beside.seconds(0.2, 2.0) == pytest.approx(4.0)
    assert beside.seconds(0.9, 2.0) == pytest.approx(5.0)


def test_where_a_trial_cannot_be_run_the_other_one_is() -> None:
    def fails() -> None:
        raise ValueError("used up")

    other = trial(Way("quick", lambda: busy(0.3)))
    whole = Trial(Way("as it is", fails), (Way("quick", fails),), "numbers", instead=other)
    assert outcomes(whole)["quick"].proof is not None
    assert "used up" in why_untried(replace(whole, instead=None))


def test_an_unclear_ratio_gains_nothing() -> None:
    unclear = Outcome(Alternative("a", "safe", proof=proof(1.05, narrow=0.2)))
    assert unclear.alternative.proof is not None
    assert unclear.alternative.proof.verdict == "no difference"
    assert gain_of(8.0, unclear) == 0


def test_what_gains_nothing_is_cleared() -> None:
    assert with_outcomes(FINDING, [outcome("same", 1.0)], 16.0).kind == "cleared"
    assert with_outcomes(FINDING, [outcome("built", 9, once=9.0)], 16.0).kind == "cleared"


def test_without_an_equal_alternative_nothing_is_known() -> None:
    finding = with_outcomes(FINDING, [outcome("wrong", 9, False)], 16.0)
    assert finding.kind == "problem"
    assert finding.gain is None


def test_a_yardstick_is_shown_and_never_recommended() -> None:
    yardstick = outcome("the function alone", 50, offered=False)
    finding = with_outcomes(FINDING, [yardstick, outcome("half", 2)], 16.0)
    assert finding.gain == Gain(4.0, 0.25)
    assert [each.name for each in finding.alternatives] == ["half", "the function alone"]
    assert with_outcomes(FINDING, [yardstick], 16.0).gain is None


def test_random_results_of_the_same_distribution_count() -> None:
    finding = with_outcomes(FINDING, [outcome("other draws", 4, "distribution")], 16.0)
    assert finding.gain == Gain(6.0, 0.375)


def test_findings_are_ranked_by_gain_and_cleared_ones_come_last() -> None:
    small = replace(FINDING, gain=Gain(1.0, 0.1), code="TF101")
    large = replace(FINDING, gain=Gain(5.0, 0.5), code="TF102")
    unknown = replace(FINDING, code="TF103")
    cleared = replace(FINDING, kind="cleared", gain=Gain(0.0, 0.0), code="TF105")
    order = [f.code for f in ranked([cleared, unknown, small, large])]
    assert order == ["TF102", "TF101", "TF103", "TF105"]


def test_of_equal_gains_what_tells_of_others_time_comes_last() -> None:
    wait = replace(FINDING, gain=Gain(9 * 0.7, 0.1), code="TF301", cost=Cost(9.0))
    call = replace(FINDING, gain=Gain(6.3, 0.1), code="TF305", cost=Cost(8.0))
    assert [each.code for each in ranked([wait, call])] == ["TF305", "TF301"]
    larger = replace(wait, gain=Gain(6.4, 0.1))
    assert [each.code for each in ranked([call, larger])] == ["TF301", "TF305"]


def test_gains_are_added_and_overlaps_counted_once() -> None:
    large = replace(FINDING, gain=Gain(5.0, 0.5))
    small = replace(FINDING, gain=Gain(1.0, 0.1), code="TF101")
    elsewhere = replace(
        FINDING, gain=Gain(2.0, 0.2), cost=Cost(8.0, 1, 0, (Claim("a.py", 9, "eager", 8.0),))
    )
    assert saved_seconds([large, small]) == pytest.approx(5.0)
    assert saved_seconds([large, small, elsewhere]) == pytest.approx(7.0)


def test_samples_are_kept_within_their_bound() -> None:
    samples = Samples(Sites((), Path.cwd()), 1000)
    place = samples._sites.place(0)
    for number in range(10):
        if samples.wants(Converted, place, 3):
            samples.keep(place, Converted(number), 300)
    site = samples._sites.site(place)
    assert site is not None
    assert [each.value for each in samples.at(Converted, site)] == [0, 1, 2]
    assert samples.at(BridgeCall, site) == ()
    assert not samples.cut
    samples.keep(place, BridgeCall(len, ()), 300)
    assert samples.cut
    assert samples.bytes == 900
    samples.drop()
    assert samples.at(Converted, site) == ()


def test_without_a_limit_nothing_is_wanted() -> None:
    samples = Samples(Sites((), Path.cwd()), 0)
    assert not samples.wants(Converted, (1, 2))
    samples.keep((1, 2), Converted(1), 1)
    assert not samples.cut


QUIET = """
import logging, os, sys, warnings
from unslow.experiment.quiet import swallowed

print("before")
stream = sys.stdout
with swallowed():
    print("inside")
    print("inside", file=sys.stderr)
    print("inside", file=stream)
    os.write(1, b"inside")
    logging.getLogger("program").error("inside")
    warnings.warn("inside")
    try:
        input()
    except EOFError:
        pass
print("after")
logging.getLogger("program").error("told")
"""


def test_output_is_swallowed_and_the_streams_come_back(tmp_path: Path) -> None:
    (tmp_path / "quiet.py").write_text(QUIET)
    ended = plain(tmp_path, "quiet.py", stdin=b"not to be read\n")
    assert ended.out == b"before\nafter\n"
    assert ended.err == b"told\n"
    assert ended.status == 0


def test_files_that_were_not_closed_are_written_out(tmp_path: Path) -> None:
    names = ("text", "bytes", "both")
    with (
        (tmp_path / "text").open("w") as text,
        (tmp_path / "bytes").open("wb") as binary,
        (tmp_path / "both").open("w+b") as both,
        (tmp_path / "closed").open("w") as closed,
    ):
        text.write("kept")
        binary.write(b"kept")
        both.write(b"kept")
        closed.close()
        flush_files()
        assert [(tmp_path / name).read_text() for name in names] == ["kept"] * 3


def test_compressed_files_are_left_as_they_are(tmp_path: Path) -> None:
    sizes: list[int] = []
    actions: tuple[Callable[[], None], ...] = (lambda: None, flush_files)
    for act in actions:
        with (
            (tmp_path / "packed").open("wb") as file,
            io.TextIOWrapper(gzip.GzipFile("", "wb", fileobj=file, mtime=0)) as packed,
        ):
            packed.write("kept")
            act()
            packed.write("kept")
        sizes.append((tmp_path / "packed").stat().st_size)
    assert sizes[0] == sizes[1]


WORKERS = """
import os, sys, time
from unslow.catalogue.pipelines import _processes
_processes.LONGEST_CALL = 1.0
held = open("held.txt", "w")
held.write("once")

def answers(x):
    print("not to be seen", flush=True)
    try:
        os.fstat(held.fileno())
    except OSError:
        return x + 1

def hangs(x):
    time.sleep(x)

workers = _processes.Workers(answers, 2)
print(workers.call(1), workers.call(2))
processes = [*workers._running]
del workers
workers = _processes.Workers(hangs, 2)
processes += workers._running
for _ in range(2):
    try:
        workers.call(100)
    except _processes.WorkerFailed as error:
        print(error)
for process in processes:
    try:
        os.kill(process, 0)
        print("alive")
    except ProcessLookupError:
        pass
left = _processes.Workers(hangs, 1)
left._idle.get().send((100,))
if sys.argv[1:]:
    sys.stdout.flush()
    os._exit(3)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
@pytest.mark.parametrize("leaves", [(), ("now",)])
def test_worker_processes_end_and_hold_nothing_of_the_program(
    tmp_path: Path, leaves: tuple[str, ...]
) -> None:
    (tmp_path / "workers.py").write_text(WORKERS)
    # The pipe that this reads is at its end once no process holds the other side.
    began = time.monotonic()
    ended = plain(tmp_path, "workers.py", *leaves)
    assert time.monotonic() - began < 60
    assert ended.out.decode().splitlines() == [
        "2 3",
        "a worker process gave no answer within 1 s",
        "a worker process has failed before",
    ]
    assert (tmp_path / "held.txt").read_text() == ("" if leaves else "once")


def test_a_limit_is_raised_and_leaves_nothing_behind() -> None:
    with pytest.raises(TimeLimit), limited(0.05):
        time.sleep(5)
    with limited(0.05):
        pass
    time.sleep(0.1)
    # What the callback raised may have been turned into another error on its way.
    with pytest.raises(TimeLimit), limited(0.05):
        try:
            time.sleep(5)
        except BaseException as error:
            raise ValueError("internal error") from error
