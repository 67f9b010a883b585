"""Proving: screening, rounds, what is equal, what is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from programs import Ended, environment
from programs import run as run_command

from unslow.experiment.values.snapshot import Digest, take
from unslow.experiment.whole.candidate import Candidate, Times, verdict
from unslow.experiment.whole.fixes import Fix, Named, Sources, constants
from unslow.experiment.whole.observation import Observation
from unslow.experiment.whole.outcome import Outcome, ProveError, Running
from unslow.experiment.whole.program import run_program_once
from unslow.experiment.whole.prove import default_budget, prove
from unslow.experiment.whole.stable import Known
from unslow.experiment.whole.written import Part, TextPart
from unslow.finding import Alternative, Edit, Finding, Proof, Site
from unslow.report import proofs
from unslow.source.edits import EditError

PATH = "/tmp/program.py"
TEXT = "a = 1\nb = 2\nc = 3\nd = 4\n"
STARTUP = 2.0


def fix(line: int, text: str, finding: Finding | None = None) -> Fix:
    """Replaces a line of the program."""
    edit = Edit(PATH, (line, 1), (line, 6), text)
    found = finding or Finding("TF000", "a-cause", "suspicion", Site(PATH, line), "It is slow.")
    return Fix(found, Alternative(f"write {text}", "safe", (edit,)))


@dataclass
class World:
    """Programs that take no time: what a line of text takes is looked up, and so is what it does.

    `effects` changes what a run of a program with this text in it comes to.
    """

    seconds: Mapping[str, float]
    effects: Mapping[str, Callable[[Observation], Observation]] = field(default_factory=dict)
    moment: float = 0.0
    runs: list[bytes] = field(default_factory=list)
    noise: float = 0.01

    def clock(self) -> float:
        return self.moment

    def run(
        self, contents: Mapping[str, bytes], functions: Collection[Named], limit: float | None
    ) -> Observation:
        text = contents.get(PATH, TEXT.encode()).decode()
        self.runs.append(text.encode())
        taken = sum(self.seconds.get(line, 1.0) for line in text.splitlines())
        taken *= 1 + self.noise * ((len(self.runs) * 7) % 5)
        wall = STARTUP + taken
        timed_out = limit is not None and wall > limit
        self.moment += min(wall, limit or wall)
        observation = Observation(
            exit_status=0,
            wall=wall,
            startup=STARTUP,
            out="result 1.2500\n",
            err="",
            files=(PATH,),
            values={(PATH, "a"): take(1.5)},
            timed_out=timed_out,
        )
        for line, effect in self.effects.items():
            if line in text.splitlines():
                observation = effect(observation)
        return observation

    def prove(self, *fixes: Fix, **options: float | None) -> Outcome:
        def find(files: tuple[str, ...]) -> tuple[Sources, list[Fix]]:
            assert files == (PATH,)
            return Sources({PATH: TEXT.encode()}), list(fixes)

        told: list[Running] = []
        return prove(self.run, find, told.append, clock=self.clock, **options)  # type: ignore[arg-type]


def printing(text: str) -> Callable[[Observation], Observation]:
    return lambda observation: replace(observation, out=text)


def of(candidate: Candidate) -> Proof:
    proof = candidate.proof
    assert proof is not None
    return proof


def test_a_fix_that_is_faster_and_equal_is_proven() -> None:
    outcome = World({"a = 1": 7.0}).prove(fix(1, "a = 9"))
    (tried,) = outcome.singles
    proof = of(tried)
    assert proof.ratio == pytest.approx(10 / 4, rel=0.1)
    assert proof.interval[0] > 1
    assert tried.whole == pytest.approx(12 / 6, rel=0.1)
    assert proof.equal is True
    assert proof.pairs >= 3
    assert outcome.chosen is tried
    assert outcome.together == []
    assert outcome.startup == pytest.approx(STARTUP)


def test_a_useless_fix_makes_no_difference() -> None:
    outcome = World({}).prove(fix(1, "a = 9"))
    assert outcome.singles[0].verdict == "no difference"
    assert outcome.chosen is None


def test_a_fix_that_is_slower_is_said_to_be() -> None:
    outcome = World({"a = 9": 9.0}).prove(fix(1, "a = 9"), budget=120.0)
    assert outcome.singles[0].verdict == "slower"
    assert outcome.chosen is None


def test_a_wrong_fix_is_out_after_one_run() -> None:
    world = World({"a = 1": 7.0}, {"a = 9": printing("result 1.3500\n")})
    outcome = world.prove(fix(1, "a = 9"))
    (tried,) = outcome.singles
    assert tried.out
    assert tried.proof is None
    assert tried.judgement is not None
    assert tried.judgement.where == "prints `result 1.3500`, it was `result 1.2500`"
    assert len([text for text in world.runs if b"a = 9" in text]) == 1
    assert outcome.chosen is None


@pytest.mark.parametrize(
    ("effect", "where"),
    [
        (
            lambda o: replace(o, exit_status=1, err="Traceback\nValueError: no\n"),
            "exit status 1, it was 0: ValueError: no",
        ),
        (lambda o: replace(o, values={(PATH, "a"): take(1.6)}), "a: "),
        (lambda o: replace(o, values={}), "a: it is gone"),
        (lambda o: replace(o, values={(PATH, "a"): take("1.5")}), "a: "),
        (lambda o: replace(o, out=""), "does not print `result 1.2500`"),
    ],
)
def test_what_differs_is_said(effect: Callable[[Observation], Observation], where: str) -> None:
    outcome = World({}, {"a = 9": effect}).prove(fix(1, "a = 9"))
    judgement = outcome.singles[0].judgement
    assert judgement is not None
    assert judgement.equal is False
    assert judgement.where.startswith(where)


def test_a_fix_that_hangs_is_ended() -> None:
    world = World({"a = 9": 1e6})
    outcome = world.prove(fix(1, "a = 9"))
    assert outcome.singles[0].failure.startswith("it did not end within 30.")
    assert world.moment < 100


def test_a_fix_that_cannot_be_applied_is_not_run() -> None:
    world = World({})
    outcome = world.prove(fix(1, "a = ("), fix(9, "a = 3"))
    assert outcome.singles[0].failure == "cannot be applied: the result would not parse"
    assert outcome.singles[1].failure.startswith("cannot be applied: ")
    assert set(world.runs) == {TEXT.encode()}


def test_what_varies_by_itself_is_not_compared() -> None:
    count = iter(range(1000))

    def varying(observation: Observation) -> Observation:
        number = next(count)
        return replace(
            observation,
            out=f"id {number}\nresult 1.2500\n",
            values={(PATH, "a"): take(1.5), (PATH, "t"): take(float(number))},
        )

    outcome = World({"a = 1": 7.0}, {"b = 2": varying}).prove(fix(1, "a = 9"))
    assert of(outcome.singles[0]).equal is True
    assert outcome.varying == ["1 line of what it prints", "t"]
    assert outcome.random == []


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [1.0, 1.0]])
def test_what_only_a_later_run_shows_to_vary_lets_a_fix_in_again(values: list[float]) -> None:
    counted = iter([*values, *map(float, range(2, 999))])

    def varying(observation: Observation) -> Observation:
        return replace(
            observation, values={(PATH, "a"): take(1.5), (PATH, "t"): take(next(counted))}
        )

    outcome = World({"a = 1": 7.0, "c = 3": 4.0}, {"b = 2": varying}).prove(
        fix(1, "a = 9"), fix(3, "c = 9")
    )
    assert outcome.varying == ["t"]
    assert [each.verdict for each in outcome.singles] == ["faster", "faster"]
    assert outcome.chosen is outcome.together[0]


def test_random_results_are_equal_in_distribution_at_best_and_not_chosen() -> None:
    import random

    generator = random.Random(0)

    def varying(observation: Observation) -> Observation:
        numbers = [generator.gauss(0, 1) for _ in range(300)]
        return replace(observation, weights=(take({"kernel": array(numbers)}),))

    outcome = World({"a = 1": 7.0}, {"b = 2": varying}).prove(fix(1, "a = 9"))
    assert of(outcome.singles[0]).equal == "distribution"
    assert outcome.random == ["the weights of fit 1"]
    assert outcome.chosen is None


def array(numbers: list[float]) -> object:
    import numpy as np

    return np.asarray(numbers, "float32")


@pytest.mark.parametrize(
    "other", [[1.0] * 200, [float("nan")] * 300, ["text"] * 300], ids=["shape", "nan", "dtype"]
)
def test_random_results_must_have_the_same_form(other: list[object]) -> None:
    import random

    import numpy as np

    generator = random.Random(0)

    def varying(observation: Observation) -> Observation:
        numbers = [generator.gauss(0, 1) for _ in range(300)]
        return replace(observation, weights=(take({"kernel": array(numbers)}),))

    def formed(observation: Observation) -> Observation:
        return replace(observation, weights=(take({"kernel": np.asarray(other)}),))

    outcome = World({}, {"b = 2": varying, "a = 9": formed}).prove(fix(1, "a = 9"))
    judgement = outcome.singles[0].judgement
    assert judgement is not None
    assert judgement.where.startswith("the weights of fit 1: {")


def test_a_program_of_which_nothing_is_seen_proves_nothing() -> None:
    def silent(observation: Observation) -> Observation:
        return replace(observation, out="", values={})

    outcome = World({"a = 1": 7.0}, {"b = 2": silent}).prove(fix(1, "a = 9"))
    judgement = outcome.singles[0].judgement
    assert judgement is not None
    assert judgement.where == "nothing but the exit status could be compared"
    assert "not equal" not in proofs.render(proved(outcome))


def writing(path: str, part: Part | None) -> Callable[[Observation], Observation]:
    """A program that writes a file, or does so no more."""
    return lambda observation: replace(
        observation,
        out="saved\n",
        values={},
        written={} if part is None else {(path, ""): part},
    )


def lines(*texts: str) -> TextPart:
    return TextPart(texts)


@pytest.mark.parametrize(
    ("was", "then", "where"),
    [
        (lines("loss 0.5"), lines("loss 0.7"), "/r/out has `loss 0.7`, it was `loss 0.5`"),
        (lines("loss 0.5"), lines(), "/r/out does not have `loss 0.5`"),
        (lines("loss 0.5"), None, "/r/out is not written"),
        (take([1.5, 2.5]), take([1.5, 2.0]), "/r/out: [1]: 2.5 against 2.0"),
        (take([1.5]), None, "/r/out is not written"),
        (lines("loss 0.5"), lines("loss 0.500001"), ""),
        (take([1.5, 2.5]), take([1.5, 2.5]), ""),
        (Digest("file", "bytes", (3,), "a"), Digest("file", "bytes", (3,), "a"), ""),
        (Digest("file", "bytes", (3,), "a"), Digest("file", "bytes", (3,), "b"), "/r/out: "),
        (lines("done"), lines("done"), "only text and the exit status could be compared"),
    ],
)
def test_files_that_it_writes_are_compared(was: Part, then: Part | None, where: str) -> None:
    path = "/r/out"
    effects = {"b = 2": writing(path, was), "a = 9": writing(path, then)}
    outcome = World({"a = 1": 7.0}, effects).prove(fix(1, "a = 9"))
    (tried,) = outcome.singles
    assert tried.judgement is not None
    assert tried.judgement.where.startswith(where)
    assert bool(tried.judgement.where) == bool(where)
    assert outcome.chosen is (None if where else tried)


def test_files_that_vary_by_themselves_are_left_out() -> None:
    count = iter(range(1000))

    def logging(observation: Observation) -> Observation:
        number = next(count)
        written: dict[tuple[str, str], Part] = {
            ("/r/grows", ""): lines(*["loss 0.5"] * (number + 1)),
            ("/r/log", ""): lines(f"run {number}", "loss 0.5"),
            ("/r/dated", ""): Digest("file", "bytes", (3,), str(number)),
            (f"/r/{number}.tmp", ""): lines("x"),
        }
        if number != 1:
            written["/r/sometimes", ""] = lines("loss 0.5")
        return replace(observation, written=written)

    def wrong(observation: Observation) -> Observation:
        return replace(observation, written={("/r/log", ""): lines("run 3", "loss 0.6")})

    world = World({"a = 1": 7.0}, {"b = 2": logging, "c = 9": wrong})
    outcome = world.prove(fix(1, "a = 9"), fix(3, "c = 9"))
    assert of(outcome.singles[0]).equal is True
    assert outcome.chosen is outcome.singles[0]
    assert outcome.varying == ["/r/dated", "/r/grows", "/r/log", "2 other values"]
    assert outcome.singles[1].judgement is not None
    assert outcome.singles[1].judgement.where.startswith("/r/log has `loss 0.6`")


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        ({"out": "saved res.npy\n", "values": {}}, False),
        ({"out": "saved res.npy in 3 s\n", "values": {(PATH, "name"): take("x")}}, False),
        ({"out": "saved\n", "values": {(PATH, "flag"): take(True)}}, False),
        ({"out": "saved\n", "values": {(PATH, "LIMIT"): take(3)}}, False),
        ({"out": "saved\n", "values": {(PATH, "total"): take(3)}}, True),
        ({"out": "saved\n", "values": {(PATH, "held"): take({"a": [None, 0.5]})}}, True),
        ({"out": "saved\n", "values": {}, "returned": {(PATH, "f"): (take("x"),)}}, True),
        ({"out": "saved\n", "values": {}, "returned": {(PATH, "f"): (take(None),)}}, False),
        ({"out": "accuracy 0.5\n", "values": {}}, True),
    ],
)
def test_text_alone_proves_nothing(seen: Mapping[str, object], shown: bool) -> None:
    def observed(observation: Observation) -> Observation:
        return replace(observation, **seen)  # type: ignore[arg-type]

    world = World({"a = 1": 7.0}, {"b = 2": observed})
    sources = Sources({PATH: TEXT.encode()}, {(PATH, "LIMIT")})
    outcome = prove(
        world.run, lambda _: (sources, [fix(1, "a = 9")]), lambda _: None, clock=world.clock
    )
    assert outcome.chosen is (outcome.singles[0] if shown else None)
    (tried,) = proofs.document(proved(outcome))["fixes"]
    if not shown:
        assert tried["equal"] is None
        assert tried["where"] == ""
        assert tried["failure"] == "only text and the exit status could be compared"
        # There is nothing that another run of the program as it is could settle.
        assert len(world.runs) == 3


def test_constants_of_the_source_are_told_from_results() -> None:
    source = """
import tensorflow as tf
LIMIT: int = 3
SIZE = 4 * LIMIT, -1
NAME = 'x'
total = 0
total += 1
count = 0
def add():
    global count
    count += 1
results = []
loss = compute(3)
for step in range(LIMIT):
    last = step
for value in results:
    pass
"""
    found = constants({PATH: source.encode(), "/tmp/broken.py": b"def ("})
    assert found == {(PATH, name) for name in ("LIMIT", "SIZE", "NAME", "step")}


@pytest.mark.parametrize("moved", range(4, 9))
def test_what_differs_late_and_varies_by_itself_is_let_in_again(moved: int) -> None:
    # From this run on the program prints something else, fixed or not.
    world = World({"a = 1": 4.0}, noise=0.2)

    def run(
        contents: Mapping[str, bytes], functions: Collection[Named], limit: float | None
    ) -> Observation:
        observation = world.run(contents, functions, limit)
        day = 1 if len(world.runs) < moved else 2
        return replace(observation, out=f"on 2024-05-0{day}\nresult 1.25\n")

    sources = Sources({PATH: TEXT.encode()})
    outcome = prove(run, lambda _: (sources, [fix(1, "a = 9")]), lambda _: None, clock=world.clock)
    assert of(outcome.singles[0]).equal is True


def test_all_together_are_proven_and_chosen() -> None:
    outcome = World({"a = 1": 7.0, "c = 3": 5.0}).prove(fix(1, "a = 9"), fix(3, "c = 9"))
    (together,) = outcome.together
    assert of(together).ratio == pytest.approx(14 / 4, rel=0.1)
    assert outcome.chosen is together


def test_what_gives_nothing_is_not_chosen() -> None:
    outcome = World({"a = 1": 7.0, "c = 3": 5.0}).prove(
        fix(1, "a = 9"), fix(2, "b = 9"), fix(3, "c = 9")
    )
    every, useful = outcome.together
    assert len(every.fixes) == 3
    assert useful.fixes == (outcome.singles[0].fixes[0], outcome.singles[2].fixes[0])
    assert outcome.chosen is useful


def test_little_that_is_unclear_alone_may_be_much_in_what_is_left() -> None:
    world = World({"a = 1": 40.0, "c = 3": 4.0}, noise=0.04)
    outcome = world.prove(fix(1, "a = 9"), fix(3, "c = 9"), budget=900.0)
    assert outcome.singles[1].verdict != "no difference"
    assert outcome.chosen is outcome.together[0]
    assert of(outcome.together[0]).ratio > 1.5 * of(outcome.singles[0]).ratio


def test_the_time_to_read_what_a_program_left_counts_in_the_budget() -> None:
    world = World({"a = 1": 7.0})

    def run(
        contents: Mapping[str, bytes], functions: Collection[Named], limit: float | None
    ) -> Observation:
        world.moment += 30.0
        return world.run(contents, functions, limit)

    sources = Sources({PATH: TEXT.encode()})
    fixes = [fix(1, "a = 9")]
    outcome = prove(run, lambda _: (sources, fixes), lambda _: None, clock=world.clock)
    assert outcome.budget > 600 * 0.99
    assert of(outcome.singles[0]).pairs >= 3


def test_fixes_that_are_wrong_together_only_are_chosen_alone() -> None:
    def spoiled(observation: Observation) -> Observation:
        return replace(observation, out="broken\n")

    world = World({"a = 1": 7.0, "c = 3": 5.0})

    def run(
        contents: Mapping[str, bytes], functions: Collection[Named], limit: float | None
    ) -> Observation:
        observation = world.run(contents, functions, limit)
        text = contents.get(PATH, b"")
        return spoiled(observation) if b"a = 9" in text and b"c = 9" in text else observation

    fixes = [fix(1, "a = 9"), fix(3, "c = 9")]
    sources = Sources({PATH: TEXT.encode()})
    outcome = prove(run, lambda _: (sources, fixes), lambda _: None, clock=world.clock)
    assert outcome.together[0].out
    assert outcome.chosen is outcome.singles[0]


def test_the_best_alternative_of_a_finding_goes_into_the_set() -> None:
    finding = Finding("TF000", "a-cause", "suspicion", Site(PATH, 1), "It is slow.")
    outcome = World({"a = 1": 7.0, "c = 3": 5.0, "a = 8": 3.0}).prove(
        fix(1, "a = 8", finding), fix(1, "a = 9", finding), fix(3, "c = 9")
    )
    assert outcome.chosen is not None
    assert outcome.chosen.fixes == (outcome.singles[1].fixes[0], outcome.singles[2].fixes[0])


def test_the_budget_is_kept_and_nothing_is_said_of_two_pairs() -> None:
    world = World({"a = 1": 7.0})
    outcome = world.prove(fix(1, "a = 9"), fix(2, "b = 9"), budget=40.0)
    assert world.moment < 24 + 40 + 12
    assert all(each.proof is None or each.proof.pairs >= 3 for each in outcome.singles)
    none = World({"a = 1": 7.0}).prove(fix(1, "a = 9"), budget=5.0)
    assert none.singles[0].failure == "not tried: the budget was spent"
    assert none.chosen is None


def test_the_budget_grows_with_the_program_within_bounds() -> None:
    assert default_budget(1.0, 1) == 60
    assert default_budget(10.0, 3) == 300
    assert default_budget(1000.0, 3) == 600


def test_a_program_that_does_not_end_is_an_error() -> None:
    with pytest.raises(ProveError, match="did not end within 5 s"):
        World({"a = 1": 7.0}).prove(fix(1, "a = 9"), limit=5.0)


def test_a_program_that_ends_in_two_ways_is_an_error() -> None:
    statuses = iter(range(10))
    world = World({}, {"b = 2": lambda o: replace(o, exit_status=next(statuses))})
    with pytest.raises(ProveError, match="another exit status"):
        world.prove(fix(1, "a = 9"))


def test_a_program_that_fails_must_fail_alike() -> None:
    def failing(observation: Observation) -> Observation:
        return replace(observation, exit_status=3, err="Traceback:\nValueError: no\n")

    world = World({"a = 1": 7.0}, {"b = 2": failing})
    outcome = world.prove(fix(1, "a = 9"), fix(2, "b = 9"))
    assert outcome.exit_status == 3
    assert "exit status 3 (ValueError: no); a fix" in " ".join(
        proofs.render(proved(outcome)).split()
    )
    assert of(outcome.singles[0]).equal is True
    assert outcome.singles[1].judgement is not None
    assert outcome.singles[1].judgement.where == "exit status 0, it was 3"


def test_without_fixes_the_program_runs_once() -> None:
    world = World({})
    assert world.prove().singles == []
    assert len(world.runs) == 1


def test_ctrl_c_keeps_what_is_known() -> None:
    world = World({"a = 1": 7.0, "c = 3": 5.0})

    def run(
        contents: Mapping[str, bytes], functions: Collection[Named], limit: float | None
    ) -> Observation:
        if len(world.runs) == 14:
            raise KeyboardInterrupt
        return world.run(contents, functions, limit)

    fixes = [fix(1, "a = 9"), fix(3, "c = 9")]
    sources = Sources({PATH: TEXT.encode()})
    outcome = prove(run, lambda _: (sources, fixes), lambda _: None, clock=world.clock)
    assert outcome.interrupted
    assert outcome.singles[0].judgement is not None
    for each in (*outcome.singles, *outcome.together):
        assert each.proof is None or each.proof.pairs >= 3


def test_the_same_seed_gives_the_same_order() -> None:
    orders = []
    for _ in range(2):
        world = World({"a = 1": 7.0, "c = 3": 5.0})
        world.prove(fix(1, "a = 9"), fix(3, "c = 9"))
        orders.append(world.runs)
    assert orders[0] == orders[1]


def pairs(own: list[float], fixed: list[float]) -> Candidate:
    candidate = Candidate((fix(1, "a = 9"),))
    known = Known()
    observation = World({}).run({}, (), None)
    known.learn(observation)
    known.learn(observation)
    candidate.take(observation, known, None)
    candidate.pairs = [(Times(a + 2, a), Times(b + 2, b)) for a, b in zip(own, fixed, strict=True)]
    return candidate


def test_few_pairs_that_overlap_prove_nothing() -> None:
    candidate = pairs([5.0, 4.0, 6.0], [4.5, 3.9, 5.5])
    assert of(candidate).interval == pytest.approx((4.0 / 5.5, 6.0 / 3.9))
    assert candidate.verdict == "unclear"
    assert not candidate.clear


def test_two_pairs_prove_nothing_at_all() -> None:
    assert pairs([9.0, 9.0], [1.0, 1.0]).proof is None


def test_a_narrow_interval_around_one_is_no_difference() -> None:
    candidate = pairs([5.0, 5.1, 5.05], [5.02, 5.08, 5.0])
    assert candidate.verdict == "no difference"
    assert candidate.clear
    assert verdict(Proof(1.0, (0.9, 1.1), 6, True)) == "unclear"


PROGRAM = """\
import helper
x = 1


class Model:
    def call(self, n):
        def inner(k):
            return k
        return inner(n)


@decorated
def outside():
    return 1


for i in range(3):
    total = i
try:
    pass
except OSError as error:
    pass
"""


def edit(start: tuple[int, int], end: tuple[int, int], text: str) -> Fix:
    return Fix(
        Finding("TF000", "a-cause", "suspicion", Site(PATH, 1), "…"),
        Alternative("…", "safe", (Edit(PATH, start, end, text),)),
    )


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ((2, 2), set()),
        ((7, 7), {"Model.call", "Model.call.inner"}),
        ((9, 9), {"Model.call"}),
        ((12, 12), {"outside"}),
        ((14, 14), {"outside"}),
    ],
)
def test_the_functions_around_an_edit(lines: tuple[int, int], names: set[str]) -> None:
    sources = Sources({PATH: PROGRAM.encode()})
    found = sources.functions([edit((lines[0], 1), (lines[1], 2), "")])
    assert found == {(PATH, name) for name in names}


def test_names_that_an_edit_brings_or_takes_away_are_left_out() -> None:
    sources = Sources({PATH: PROGRAM.encode()})
    new = edit((2, 1), (2, 6), "import json as j, os.path\ny = [z for z in (1,)]")
    assert sources.left_out(sources.changed([new])) == {
        (PATH, name) for name in ("x", "j", "os", "y")
    }
    assert sources.left_out(sources.contents) == set()


def test_edits_of_other_files_are_refused() -> None:
    other = Fix(
        Finding("TF000", "a-cause", "suspicion", Site(PATH, 1), "…"),
        Alternative("…", "safe", (Edit("/tmp/other.py", (1, 1), (1, 1), "x"),)),
    )
    with pytest.raises(EditError, match="no file of the program"):
        Sources({PATH: b"a = 1\n"}).changed([other])


def test_a_notebook_counts_lines_in_its_cells() -> None:
    path = "/tmp/program.ipynb"
    cells = ["x = 1\n", "def f():\n    return 2\n"]
    data = json.dumps(
        {"cells": [{"cell_type": "code", "source": each} for each in cells], "nbformat": 4}
    ).encode()
    sources = Sources({path: data})
    changed = Fix(
        Finding("TF000", "a-cause", "suspicion", Site(path, 2, cell=2), "…"),
        Alternative("…", "safe", (Edit(path, (2, 12), (2, 13), "3", cell=2),)),
    )
    assert sources.functions([changed]) == {(path, "f")}
    assert b"return 3" in sources.changed([changed])[path]


def test_a_known_item_seen_once_is_waited_for() -> None:
    known = Known()
    first = World({}).run({}, (), None)
    known.learn(first)
    second = replace(first, returned={(PATH, "f"): (take(1),)})
    known.learn(second)
    other = replace(first, returned={(PATH, "f"): (take(2),)})
    assert known.judge(other, ()).waiting
    known.learn(second)
    assert known.judge(other, ()).where.startswith("what f() returns at call 1")
    assert known.judge(second, ()).equal is True
    assert known.judge(first, ()).equal is True
    assert known.judge(other, {(PATH, "f")}).equal is True


def proved(outcome: Outcome, **more: object) -> proofs.Proved:
    from unslow.commands.prove import _proved

    return replace(_proved(("train.py",), outcome, outcome.notes, False, ()), **more)  # type: ignore[arg-type]


def test_the_table() -> None:
    outcome = World({"a = 1": 7.0, "c = 3": 5.0}, {"d = 9": printing("result 1.3\n")}).prove(
        fix(1, "a = 9"), fix(2, "b = 9"), fix(3, "c = 9"), fix(4, "d = 9")
    )
    lines = proofs.render(proved(outcome), 110).splitlines()
    assert lines[0].startswith("train.py takes 16")
    assert any("1  TF000 /tmp/program.py:1" in line and "faster" in line for line in lines)
    assert any("2  TF000" in line and "no difference" in line for line in lines)
    assert any("4  TF000" in line and "not equal" in line for line in lines)
    assert "    not equal: prints `result 1.3`, it was `result 1.2500`" in lines
    assert any(line.strip().startswith("1 and 3 together") for line in lines)
    assert (
        lines[-1] == "--write would apply 2 of 4 fixes: 1 and 3, proven together faster and equal."
    )
    assert all(len(line) <= 110 for line in lines)
    narrow = proofs.render(proved(outcome), 80).splitlines()
    assert all(len(line) <= 80 for line in narrow)
    head = next(index for index, line in enumerate(narrow) if line.startswith(" fix   whole  "))
    assert narrow[head + 1].startswith("   1 ") and "faster" in narrow[head + 1]
    assert narrow[head + 2] == "      TF000 /tmp/program.py:1: write a = 9"
    assert any(line.startswith(" all ") and "faster" in line for line in narrow) or any(
        line.startswith("1, 3 ") and "faster" in line for line in narrow
    )


def test_the_document_is_plain() -> None:
    outcome = World({"a = 1": 7.0, "c = 3": 5.0}).prove(fix(1, "a = 9"), fix(3, "c = 9"))
    document = json.loads(json.dumps(proofs.document(proved(outcome)), allow_nan=False))
    assert document["schema"] == 1
    first = document["fixes"][0]
    assert first["verdict"] == "faster"
    assert first["equal"] is True
    assert first["edits"][0]["text"] == "a = 9"
    assert document["together"][0]["fixes"] == [1, 2]
    assert document["chosen"] == [1, 2]
    assert document["program"] == {"argv": ["train.py"], "exit_status": 0, "error": ""}


@pytest.mark.parametrize(
    ("more", "ending"),
    [
        ({"written": ("train.py",)}, "Applied 1 of 1 fix, proven faster and equal, in train.py."),
        ({}, "--write would apply 1 of 1 fix: proven faster and equal."),
        ({"asked": True}, "Nothing was written."),
        (
            {"interrupted": True},
            "Stopped by Ctrl-C. --write would apply 1 of 1 fix: proven faster and equal.",
        ),
    ],
)
def test_the_last_sentence(more: Mapping[str, object], ending: str) -> None:
    outcome = World({"a = 1": 7.0}).prove(fix(1, "a = 9"))
    assert proofs.render(proved(outcome, **more)).splitlines()[-1] == ending


def test_the_last_sentence_where_nothing_is_to_be_done() -> None:
    assert "Nothing in its source" in proofs.render(proved(World({}).prove()))
    useless = proofs.render(proved(World({}).prove(fix(1, "a = 9"))))
    assert "The fix is not proven faster and equal: nothing to apply." in useless


REAL = """\
import time


def slowly(n):
    time.sleep(0.4)
    return n * 1.5


def idly(n):
    return n


total = idly(slowly(2))
print("total", total)
"""


def real_fix(path: Path, line: int, text: str) -> Fix:
    length = len(REAL.splitlines()[line - 1])
    change = Edit(str(path), (line, 1), (line, length + 1), text)
    found = Finding("TF000", "a-cause", "suspicion", Site(str(path), line), "It is slow.")
    return Fix(found, Alternative(f"write {text.strip()}", "safe", (change,)))


def test_a_real_program_with_a_right_a_wrong_a_failing_and_a_useless_fix(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(REAL)
    fixes = [
        real_fix(path, 5, "    time.sleep(0.0)"),
        real_fix(path, 6, "    return n * 1.6"),
        real_fix(path, 13, "total = idly(missing(2))"),
        real_fix(path, 10, "    return n + 0"),
        real_fix(path, 13, "print('now')"),
    ]
    sources = Sources({str(path): path.read_bytes()})

    def run(
        contents: Mapping[str, bytes], functions: Collection[Named], limit: float | None
    ) -> Observation:
        return run_program_once([str(path)], contents, functions, limit=limit)

    outcome = prove(run, lambda _: (sources, fixes), lambda _: None)
    right, wrong, failing, useless, gone = outcome.singles
    assert right.verdict == "faster"
    assert of(right).equal is True
    assert of(right).ratio > 10
    where = [each.judgement.where if each.judgement else "" for each in (wrong, failing, gone)]
    assert where[0].startswith("prints `total 3.2`")
    assert where[1].startswith("exit status 1, it was 0: NameError")
    assert where[2].startswith("exit status 1, it was 0: NameError")
    assert useless.verdict in ("no difference", "unclear")
    assert outcome.chosen is right
    assert path.read_text() == REAL


def test_what_an_edited_function_returns_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(REAL.replace("total = idly(slowly(2))", "total = idly(slowly(2)) > 1"))
    wrong = real_fix(path, 6, "    return n * 1.6")
    sources = Sources({str(path): path.read_bytes()})
    outcome = prove(
        lambda contents, functions, limit: run_program_once(
            [str(path)], contents, functions, limit=limit
        ),
        lambda _: (sources, [wrong]),
        lambda _: None,
    )
    judgement = outcome.singles[0].judgement
    assert judgement is not None
    assert judgement.where.startswith("what slowly() returns at call 1: ")


STUB = """\
import time
import numpy

class linalg:
    def matvec(matrix, vector):
        if isinstance(matrix, numpy.ndarray):
            time.sleep(0.15)
        return numpy.asarray(matrix) @ numpy.asarray(vector)

def argmax(values):
    return numpy.argmax(numpy.asarray(values))

def constant(value, dtype=None):
    return value.tolist() if isinstance(value, numpy.ndarray) else value

convert_to_tensor = constant
"""
"""Stands for TensorFlow in processes that have no time to import it."""

SEARCH = """\
import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
gallery = rng.standard_normal((200, 8))
queries = tf.constant(rng.standard_normal((12, 8)))

best = []
for query in queries:
    scores = tf.linalg.matvec(gallery, query)
    best.append(int(tf.argmax(scores)))
print("matches", best)
"""


@pytest.fixture
def stub(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("stub")
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow" / "__init__.py").write_text(STUB)
    return str(folder)


def command(cwd: Path, stub: str, *words: str) -> Ended:
    return run_command([sys.executable, "-m", "unslow", "prove", *words], cwd, path=stub)


def test_the_command_reports_and_writes(
    tmp_path: Path, stub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "search.py").write_text(SEARCH)
    ended = command(tmp_path, stub, "--output", "proof.json", "search.py")
    assert ended.status == 0, ended.err.decode()
    assert (tmp_path / "search.py").read_text() == SEARCH
    lines = ended.out.decode().splitlines()
    row = next(index for index, line in enumerate(lines) if line.startswith(" 1  TF102"))
    assert "search.py:10" in lines[row]
    assert "faster" in lines[row] + lines[row + 1]
    assert lines[-1] == "--write would apply 1 of 1 fix: proven faster and equal."
    document = json.loads((tmp_path / "proof.json").read_text())
    (tried,) = document["fixes"]
    assert tried["verdict"] == "faster"
    assert tried["equal"] is True
    assert tried["pairs"] >= 3
    assert document["chosen"] == [1]
    assert document["written"] == []

    (tmp_path / "search.py").chmod(0o444)
    refused = command(tmp_path, stub, "--write", "search.py")
    assert refused.status == 2
    assert b"search.py cannot be mended: it is read-only" in refused.err
    assert refused.out == b""
    assert (tmp_path / "search.py").read_text() == SEARCH

    # With the mark that some editors put first, and their ends of lines.
    (tmp_path / "search.py").chmod(0o640)
    marked = f"\ufeff{SEARCH}".replace("\n", "\r\n").encode()
    (tmp_path / "search.py").write_bytes(marked)
    written = command(tmp_path, stub, "--write", "search.py")
    assert written.status == 0, written.err.decode()
    assert b"Applied 1 of 1 fix, proven faster and equal, in search.py." in written.out
    data = (tmp_path / "search.py").read_bytes()
    assert (tmp_path / "search.py").stat().st_mode & 0o777 == 0o640
    assert data != marked
    assert data.count(b"\n") == data.count(b"\r\n")
    assert data.startswith(marked[:6])
    mended = data.decode("utf-8-sig")
    assert "convert_to_tensor(gallery)" in mended or "constant(gallery)" in mended
    assert list(tmp_path.glob(".search*")) == []


def test_a_notebook_is_mended_in_its_cell(tmp_path: Path, stub: str) -> None:
    head, _, tail = SEARCH.partition("best = []\n")
    cells = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": s}
        for s in (head, f"best = []\n{tail}".rstrip("\n"))
    ]
    document = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path = tmp_path / "search.ipynb"
    path.write_text(json.dumps(document, indent=1))
    ended = command(tmp_path, stub, "--write", "search.ipynb")
    assert ended.status == 0, ended.err.decode()
    assert b"Applied 1 of 1 fix" in ended.out, ended.out.decode()
    after = json.loads(path.read_text())
    assert after["cells"][0]["source"] == head or after["cells"][1]["source"] != cells[1]["source"]
    assert len(after["cells"]) == 2


def test_ignored_and_suppressed_findings_are_not_tried(tmp_path: Path, stub: str) -> None:
    (tmp_path / "search.py").write_text(SEARCH)
    ended = command(tmp_path, stub, "--ignore", "TF102", "search.py")
    assert b"Nothing in its source is known to be slow and can be mended." in ended.out
    silenced = SEARCH.replace("query)\n", "query)  # unslow: ignore[TF102] as it is meant\n", 1)
    (tmp_path / "search.py").write_text(silenced)
    assert b"Nothing in its source" in command(tmp_path, stub, "search.py").out
    (tmp_path / "search.py").write_text(SEARCH)
    (tmp_path / "pyproject.toml").write_text('[tool.unslow]\nignore = ["TF1"]\n')
    assert b"Nothing in its source" in command(tmp_path, stub, "search.py").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no program given"),
        (["-m"], "no module given after -m"),
        (["-"], "a program on standard input cannot be run"),
        (["none.py"], "none.py: no such file."),
        (["--select", "XX", "search.py"], "XX"),
        (["--output", "a.html", "search.py"], "known is .json"),
        (["--output", "no/a.json", "search.py"], "its directory does not exist"),
        (["--budget", "-1", "search.py"], "is not a number of seconds above zero"),
        (["--limit", "0.5", "forever.py"], "did not end within 0.5 s"),
        (["broken.py"], "not a Python program"),
    ],
)
def test_bad_input_is_told_in_one_sentence(
    tmp_path: Path, stub: str, words: list[str], said: str
) -> None:
    (tmp_path / "search.py").write_text(SEARCH)
    (tmp_path / "forever.py").write_text("import time\nwhile True: time.sleep(0.1)\n")
    (tmp_path / "broken.py").write_text("def (\n")
    ended = command(tmp_path, stub, *words)
    assert ended.status == 2
    assert ended.out == b""
    lines = ended.err.decode().splitlines()
    assert len(lines) == 1, lines
    assert said in lines[0]


def test_a_file_that_changed_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unslow.commands import prove as command_module

    monkeypatch.chdir(tmp_path)
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("a = 1\n")
    contents = {str(tmp_path / name): b"a = 1\n" for name in ("one.py", "two.py")}
    chosen = Candidate((), dict.fromkeys(contents, b"a = 2\n"))
    (tmp_path / "two.py").write_text("a = 3\n")
    written, failures = command_module.write(Sources(contents), chosen)
    assert written == ()
    assert failures == ["two.py is not mended: it has changed meanwhile"]
    assert (tmp_path / "one.py").read_text() == "a = 1\n"
    (tmp_path / "two.py").write_text("a = 1\n")
    assert command_module.write(Sources(contents), chosen) == (("one.py", "two.py"), [])
    assert (tmp_path / "two.py").read_text() == "a = 2\n"


def test_what_cannot_be_put_back_is_told_with_the_place_of_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unslow.commands import prove as command_module
    from unslow.report import output

    monkeypatch.chdir(tmp_path)
    names = ("one.py", "two.py")
    for name in names:
        (tmp_path / name).write_text("a = 1\n")
    contents = {str(tmp_path / name): b"a = 1\n" for name in names}
    chosen = Candidate((), dict.fromkeys(contents, b"a = 2\n"))
    replaces, calls = output.replace_file, iter(range(9))

    def full(target: Path, data: bytes) -> None:
        if next(calls):
            raise OSError(28, "No space left on device")
        replaces(target, data)

    monkeypatch.setattr(output, "replace_file", full)
    written, failures = command_module.write(Sources(contents), chosen)
    assert written == ()
    assert failures[0] == "two.py cannot be mended: No space left on device"
    said, _, kept = failures[1].partition("; what it held is in ")
    assert said == "one.py stays mended and cannot be put back: No space left on device"
    assert Path(kept).read_text() == "a = 1\n"
    Path(kept).unlink()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    (tmp_path / "one.py").write_text("a = 1\n")
    calls = iter(range(9))
    _, failures = command_module.write(Sources(contents), chosen)
    assert failures[1].endswith("could not be kept elsewhere either: No such file or directory")


EAGER_STUB = """\
import time

class config:
    eager = False
    def run_functions_eagerly(on):
        config.eager = on

def function(called):
    held = []
    def call(*args):
        if config.eager or not held:
            time.sleep(0.1)
            held.append(called(*args))
        return held[-1]
    return call

def constant(value):
    return value

zeros = constant
"""

EAGER = """\
import tensorflow as tf

tf.config.run_functions_eagerly(True)
counted = []


@tf.function
def step(x):
    counted.append(1)
    return x + len(counted)


def main():
    x = tf.constant(1)
    for _ in range(6):
        y = step(x)
    with open("result.txt", "w") as file:
        file.write(f"{y}")
    counted.clear()
    print("saved result.txt")


main()
"""


def test_a_wrong_fix_is_seen_in_a_file_alone(tmp_path: Path) -> None:
    (tmp_path / "stub" / "tensorflow").mkdir(parents=True)
    (tmp_path / "stub" / "tensorflow" / "__init__.py").write_text(EAGER_STUB)
    here = tmp_path / "here"
    here.mkdir()
    # With the mark that some editors put first.
    (here / "eager.py").write_text(EAGER, encoding="utf-8-sig")
    ended = command(here, str(tmp_path / "stub"), "--write", "--select", "TF209", "eager.py")
    assert ended.status == 0, ended.err.decode()
    assert "not equal: result.txt has `2`, it was `7`" in ended.out.decode()
    assert (here / "eager.py").read_text("utf-8-sig") == EAGER


def test_ctrl_c_ends_the_program_and_tells_what_is_known(tmp_path: Path, stub: str) -> None:
    counted = (
        "import os, time\n"
        "with open('runs', 'a') as file: file.write(f'{os.getpid()}\\n')\n"
        "if len(open('runs').readlines()) > 2: time.sleep(600)\n"
    )
    (tmp_path / "search.py").write_text(counted + SEARCH)
    variables = environment()
    variables["PYTHONPATH"] = os.pathsep.join([stub, variables["PYTHONPATH"]])
    process = subprocess.Popen(
        [sys.executable, "-m", "unslow", "prove", "--write", "search.py"],
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    runs: list[str] = []
    while len(runs) < 3 and process.poll() is None:
        time.sleep(0.05)
        path = tmp_path / "runs"
        runs = path.read_text().splitlines() if path.exists() else []
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert out.decode().splitlines()[-1].startswith("Stopped by Ctrl-C. ")
    assert "not measured: the runs were stopped" in out.decode()
    assert (tmp_path / "search.py").read_text() == counted + SEARCH
    with pytest.raises(ProcessLookupError):
        os.kill(int(runs[2]), 0)
