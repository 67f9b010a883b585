"""TF212: what is proposed for XLA, and what is tried, on calls that were captured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from handmade import a_run, assert_well_made

from unslow.catalogue import diagnose
from unslow.catalogue.graphs.jit_would_help import JIT, JitWouldHelp
from unslow.catalogue.trial import Trial, Untried
from unslow.experiment.values.equality import judge
from unslow.experiment.values.snapshot import take
from unslow.finding import Claim, Cost, Site
from unslow.recording.data import FunctionCalls, LineTime, Recording
from unslow.recording.recorder import Recorder
from unslow.recording.samples import Samples

PAGE = JitWouldHelp()
CALL = Site("train.py", 20, "fit", 20, 12)
ROW = FunctionCalls(CALL, "step", Site("train.py", 9, "step"), 50, 5.0, 0.5, 120)


def recording(graph: float = 9.0, **changes: Any) -> Recording:
    """A run of 10 s, 4 s of them for imports."""
    rows = (dataclasses.replace(ROW, **changes),)
    lines = (LineTime(CALL.at_line, {"graph": graph}),)
    return a_run({"imports": 4.0, "graph": 5.0}, function_calls=rows, lines=lines)


def test_a_function_that_takes_much_of_the_time_is_proposed() -> None:
    (finding,) = PAGE.in_recording(recording())
    assert_well_made(finding, PAGE)
    assert finding.site == CALL.at_line
    assert finding.cost.claims == (Claim("train.py", 20, "graph", 4.5),)
    assert finding.message == (
        "step() took 4.5 s in 50 calls without XLA, which was tried on arguments that it had."
    )


def test_waits_inside_the_function_are_not_its_work() -> None:
    (finding,) = PAGE.in_recording(recording(graph=2.0))
    assert finding.cost.seconds == 2.0


@pytest.mark.parametrize(
    "changes",
    [
        {"seconds": 1.6},
        {"graph": 1.0},
        {"first_seconds": 4.9},
        {"definition": None},
        {"main": False},
        {"eager": 50},
    ],
    ids=["little", "waits", "traces", "library", "thread", "run eagerly"],
)
def test_look_alikes(changes: dict[str, Any]) -> None:
    assert list(PAGE.in_recording(recording(**changes))) == []


def test_it_is_a_problem_only_if_proven() -> None:
    assert diagnose(recording()) == []
    assert [finding.code for finding in diagnose(recording(), proposals=True)] == [PAGE.code]


def proposed(folder: Path, source: str) -> list[Trial | Untried]:
    """What is tried of the function of `source` that is called at the line marked `# here`."""
    pytest.importorskip("tensorflow")
    path = folder / "program.py"
    path.write_text(source, encoding="utf-8")
    recorder = Recorder(folder / "recording.json", ("program.py",), samples_limit=2**26)
    recorder.start(windows=False)
    try:
        exec(compile(source, str(path), "exec"), {"__name__": "__main__"})
    finally:
        recorder.stop()
    return tried(path, source, recorder.samples)


def tried(path: Path, source: str, samples: Samples) -> list[Trial | Untried]:
    lines = source.splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.endswith("# here"))
    evidence = {"calls": 5, "seconds": 1.0, "function": "step", "seconds_per_call": 0.2}
    finding = PAGE.problem(Site(str(path), line), "", Cost(1.0, 5), evidence)
    return list(PAGE.trials(finding, samples))


PROGRAM = """\
import tensorflow as tf

total = tf.Variable(0.0)


@tf.function{options}
def step(x, scale=1.0):
    {body}
    return {{"x": x * scale + 1.0, "sum": total.assign_add(tf.reduce_sum(x))}}


for number in range(5):
    step(tf.fill((4, 3), float(number)), scale=2.0)  # here
"""


def program(body: str = "x = tf.nn.relu(x)", options: str = "") -> str:
    return PROGRAM.format(body=body, options=options)


@pytest.mark.tensorflow
def test_xla_is_tried_on_captured_calls(tmp_path: Path) -> None:
    (trial,) = proposed(tmp_path, program())
    assert isinstance(trial, Trial)
    assert trial.state and trial.functions[0].__name__ == "step"
    (way,) = trial.ways
    assert (way.name, way.prepares) == (JIT, True)
    assert trial.inputs.endswith(" of its calls")
    present, again = trial.present.run(), trial.present.run()
    assert len(present) >= 2
    assert way.before is not None
    way.before()
    other = way.run()
    # The sum goes on from run to run; what does not is the same.
    same = judge(*(take([each["x"] for each in run]) for run in (present, again, other)))
    assert same.equal is True


@pytest.mark.tensorflow
def test_tracing_is_not_part_of_what_xla_takes(tmp_path: Path) -> None:
    source = program("traced.append(1)\n    x = x + 1").replace("total =", "traced = []\ntotal =")
    (trial,) = proposed(tmp_path, source)
    assert isinstance(trial, Trial)
    (way,) = trial.ways
    traced = trial.functions[0].__globals__["traced"]
    assert len(traced) == 1
    assert way.before is not None
    way.before()
    assert len(traced) == 2
    way.run()
    way.before()
    assert len(traced) == 2


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("source", "why"),
    [
        (program(options="(jit_compile=True)"), "already"),
        (program("x = tf.numpy_function(abs, [x], tf.float32)"), "Python"),
        (program("x = next(iter(tf.data.Dataset.from_tensors(x)))"), "dataset"),
        (program().replace("range(5)", "range(1)"), "captured"),
    ],
    ids=["with XLA", "bridge", "dataset", "one call"],
)
def test_where_xla_is_not_tried(tmp_path: Path, source: str, why: str) -> None:
    (untried,) = proposed(tmp_path, source)
    assert isinstance(untried, Untried)
    assert why in untried.why


@pytest.mark.tensorflow
def test_its_own_programs(tmp_path: Path) -> None:
    small = PAGE.slow.replace("1_000_000", "1_000").replace("range(100)", "range(4)")
    source = small.replace("# <- slow", "# here").replace("year(", "step(")
    (trial,) = proposed(tmp_path, source)
    assert isinstance(trial, Trial)
    fast = source.replace("@tf.function\n", "@tf.function(jit_compile=True)\n")
    (untried,) = proposed(tmp_path, fast)
    assert isinstance(untried, Untried)
