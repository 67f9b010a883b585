"""What stays the same from run to run of a program, and whether a changed one keeps it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from unslow.experiment.values import snapshot as snapshots
from unslow.experiment.values.equality import compare
from unslow.experiment.values.parts import TEXTS
from unslow.experiment.values.snapshot import Array, Opaque, Packed, Record, Scalar, Snapshot
from unslow.experiment.whole.observation import Observation
from unslow.experiment.whole.printed import Expected
from unslow.experiment.whole.screen import shown
from unslow.experiment.whole.written import TextPart

Kind = Literal["value", "returned", "history", "weights", "file"]

_RANDOM_KINDS = ("history", "weights", "returned")

_UNREAD = Opaque("object")

MOST_LISTED = 4

CONTEXT = 20
"""Characters that are shown before the place where two forms differ."""


@dataclass(frozen=True)
class Key:
    """One thing that a run leaves: a value, what a function returned or a fit gave, a file.

    `name`: for a file, the part of it.
    """

    kind: Kind
    path: str = ""
    name: str = ""
    number: int = 0

    def __str__(self) -> str:
        if self.kind == "value":
            return self.name
        if self.kind == "file":
            return f"{_shown(self.path)}: {self.name}" if self.name else _shown(self.path)
        if self.kind == "returned":
            return f"what {self.name}() returns at call {self.number + 1}"
        what = "losses" if self.kind == "history" else "weights"
        return f"the {what} of fit {self.number + 1}"


@dataclass(frozen=True)
class Judgement:
    """Whether a run of a changed program gave what the program itself gives.

    `equal` is "distribution" where nothing contradicts, but results that matter vary by
    themselves. `where`: what is not equal; there is always one where `equal` is `False`.
    `unseen`: it is not equal only for want of anything that could show it. `waiting`: whether
    something could not be judged, as it was seen in one run of the program only.
    """

    equal: bool | Literal["distribution"]
    where: str = ""
    max_error: float | None = None
    tolerance: float | None = None
    unseen: bool = False
    waiting: bool = False


@dataclass
class _Item:
    """A thing in the runs so far: the first two times it was seen, and whether it varies."""

    first: Snapshot
    second: Snapshot | None = None
    varies: bool = False
    seen: int = 1


@dataclass
class _Written:
    """A text in a file, and in how many runs it was written: it comes and goes if not in all."""

    expected: Expected
    seen: int = 1

    def stays(self, runs: int) -> bool:
        """Whether it can be compared; one that grows holds what earlier runs have written."""
        return self.seen == runs and self.expected.counted


@dataclass
class Known:
    """What the runs of a program as it is have shown; each further one is to be `learn`ed.

    `constants`: paths and names of values that stand in the source: they show nothing.
    """

    constants: Collection[tuple[str, str]] = ()
    runs: int = 0
    exit_statuses: set[int] = field(default_factory=set)
    printed: Expected | None = None
    items: dict[Key, _Item] = field(default_factory=dict)
    texts: dict[Key, _Written] = field(default_factory=dict)

    def learn(self, observation: Observation) -> bool:
        """Take in another run; return whether what is known has changed."""
        changed = self.runs < 2
        self.runs += 1
        self.exit_statuses.add(observation.exit_status)
        lines = shown(observation.out)
        if self.printed is None:
            self.printed = Expected(lines)
        elif self.printed.learn(lines):
            changed = True
        if self._learn_texts(observation):
            changed = True
        left = dict(_items(observation))
        for key, value in left.items():
            item = self.items.get(key)
            if item is None:
                # A file that the first run did not write comes and goes.
                if key.kind != "file" or self.runs == 1:
                    self.items[key] = _Item(value)
                    changed = True
                continue
            item.seen += 1
            if item.second is None:
                item.second = value
                changed = True
            if not item.varies and compare(*_readable(item.first, value)).equal is not True:
                item.varies = changed = True
        for key, item in self.items.items():
            # Values are looked for in every run, so one that is not there has come and gone.
            if key not in left and key.kind != "returned" and not item.varies:
                item.varies = changed = True
        return changed

    def _learn_texts(self, observation: Observation) -> bool:
        """Take in the texts of the files that were written; return whether that changes a thing."""
        changed = False
        written = dict(_texts(observation))
        for key, text in self.texts.items():
            if text.seen == self.runs - 1 and key not in written:
                changed = True
        for key, lines in written.items():
            if key in self.texts:
                self.texts[key].seen += 1
                changed = self.texts[key].expected.learn(lines) or changed
            elif self.runs == 1:
                self.texts[key] = _Written(Expected(lines, ("has", "have")))
        return changed

    def _stable_texts(self) -> Iterator[tuple[Key, Expected]]:
        return ((key, each.expected) for key, each in self.texts.items() if each.stays(self.runs))

    @property
    def random(self) -> list[str]:
        """The results that vary by themselves, so that equality cannot be seen."""
        found = [
            str(key) for key, item in self.items.items() if item.varies and _is_result(key, item)
        ]
        if found or self.printed is None:
            return found
        # Where no printed number but those of times stays, what varies is no time.
        if self.printed.varying_numbers and not self.printed.stable_fractions:
            return ["the printed numbers"]
        return []

    @property
    def varying(self) -> list[str]:
        """What varies from run to run and is not compared, in words."""
        listed = [str(key) for key, item in self.items.items() if item.varies]
        listed += [
            str(key)
            for key, each in self.texts.items()
            if not each.stays(self.runs) or each.expected.varying
        ]
        if len(listed) > MOST_LISTED:
            rest = len(listed) - MOST_LISTED + 1
            listed = [*listed[: MOST_LISTED - 1], f"{rest} other values"]
        lines = 0 if self.printed is None else self.printed.varying
        if lines:
            listed.insert(0, f"{lines} {'line' if lines == 1 else 'lines'} of what it prints")
        return listed

    def judge(self, observation: Observation, left_out: Collection[tuple[str, str]]) -> Judgement:
        """Compare a run of a changed program with what is known.

        `left_out`: paths and names that the change itself brings or takes away.
        """
        if observation.exit_status not in self.exit_statuses:
            was = " or ".join(map(str, sorted(self.exit_statuses)))
            raised = last_error(observation.err)
            where = f"exit status {observation.exit_status}, it was {was}"
            where += f": {raised}" if raised else ""
            return Judgement(False, where)
        printed = self.printed or Expected(())
        mismatch, error = printed.compare(shown(observation.out))
        if mismatch is not None:
            return Judgement(False, mismatch.where)
        errors, tolerances, waiting = [error], [0.0], False
        compared, shows = bool(printed.stable), printed.stable_numbers
        texts = dict(_texts(observation))
        for key, expected in self._stable_texts():
            if key not in texts:
                return Judgement(False, f"{key} is not written")
            mismatch, error = expected.compare(texts[key])
            if mismatch is not None:
                return Judgement(False, f"{key} {mismatch.where}")
            errors.append(error)
            compared = compared or bool(expected.stable)
            shows = shows or expected.stable_numbers
        given = dict(_items(observation))
        for key, item in self.items.items():
            if (key.path, key.name) in left_out:
                continue
            if item.seen < 2 and not item.varies:
                waiting = True
                continue
            value = given.get(key)
            if value is None:
                # A function may be called less often; a value must not go.
                if item.varies or key.kind == "returned" or isinstance(item.first, Opaque):
                    continue
                gone = " is not written" if key.kind == "file" else ": it is gone"
                return Judgement(False, f"{key}{gone}")
            first, other = _readable(item.first, value)
            if isinstance(first, Opaque):
                continue
            if item.varies:
                # No two runs are alike: all that can be seen is that it is of the same form.
                if _is_result(key, item) and form(first) != form(other):
                    return Judgement(False, f"{key}: {_apart(form(first), form(other))}")
                continue
            result = compare(first, other)
            if result.equal is not True:
                return Judgement(False, f"{key}: {result.where}")
            compared = True
            shows = shows or self._shows(key, first)
            errors.append(result.max_error or 0.0)
            tolerances.append(result.tolerance or 0.0)
        if not shows and not waiting:
            only = "only text and" if compared else "nothing but"
            return Judgement(False, f"{only} the exit status could be compared", unseen=True)
        return Judgement(
            "distribution" if self.random else True,
            max_error=max(errors) or None,
            tolerance=max(tolerances) or None,
            waiting=waiting,
        )

    def _shows(self, key: Key, value: Snapshot) -> bool:
        """Whether a value that stays the same says something of what the program computes."""
        if key.kind == "value":
            return (key.path, key.name) not in self.constants and has_numbers(value)
        return not (isinstance(value, Scalar) and value.value is None)


def _items(observation: Observation) -> Iterator[tuple[Key, Snapshot]]:
    for (path, name), value in observation.values.items():
        yield Key("value", path, name), value
    for (path, name), calls in observation.returned.items():
        for number, value in enumerate(calls):
            yield Key("returned", path, name, number), value
    for number, value in enumerate(observation.histories):
        yield Key("history", number=number), value
    for number, value in enumerate(observation.weights):
        yield Key("weights", number=number), value
    for (path, name), part in observation.written.items():
        if not isinstance(part, TextPart):
            yield Key("file", path, name), part


def _texts(observation: Observation) -> Iterator[tuple[Key, tuple[str, ...]]]:
    for (path, name), part in observation.written.items():
        if isinstance(part, TextPart):
            yield Key("file", path, name), part.lines


def _shown(path: str) -> str:
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _is_result(key: Key, item: _Item) -> bool:
    """Whether a thing that varies is a result: a number or a few may well be times."""
    if key.kind in _RANDOM_KINDS:
        return True
    value = item.first
    if key.kind == "file" and not isinstance(value, Array):
        # What no one can read may well hold a date.
        return False
    if isinstance(value, Array):
        return len(getattr(value.values, "shape", ())) > 0
    return isinstance(value, (Record, snapshots.Digest))


def has_numbers(value: Snapshot) -> bool:
    """Whether there is a number in a value, or an array; truth values are none."""
    if isinstance(value, Scalar):
        return isinstance(value.value, (int, float, complex)) and not isinstance(value.value, bool)
    if isinstance(value, Packed):
        return value.element not in TEXTS
    if isinstance(value, (snapshots.Sequence, snapshots.Members)):
        return any(map(has_numbers, value.items))
    if isinstance(value, snapshots.Mapping):
        return any(has_numbers(each) for _, each in value.items)
    if isinstance(value, Record):
        return any(has_numbers(each) for _, each in value.fields)
    return isinstance(value, (Array, snapshots.Digest))


def _apart(was: str, found: str) -> str:
    """How two forms differ, from the first place on where they do."""
    start = next((i for i, (a, b) in enumerate(zip(was, found, strict=False)) if a != b), 0)
    start = max(start - CONTEXT, 0)
    return f"{_piece(found, start)}, it was {_piece(was, start)}"


def _piece(text: str, start: int) -> str:
    end = start + 3 * CONTEXT
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def form(value: Snapshot) -> str:
    """What stays of a value when its numbers vary: shapes, types, names, and what is no number."""
    if isinstance(value, Array):
        shape = tuple(getattr(value.values, "shape", ()))
        # Only NaN is not equal to itself.
        odd = value.dtype.startswith(("float", "complex")) and bool(
            (value.values != value.values).any()
        )
        return f"{value.dtype}{list(shape)}{' with NaN' if odd else ''}"
    if isinstance(value, snapshots.Digest):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, Scalar):
        odd = isinstance(value.value, float) and math.isnan(value.value)
        return "NaN" if odd else value.kind
    if isinstance(value, snapshots.Sequence):
        return f"[{', '.join(map(form, value.items))}]"
    if isinstance(value, snapshots.Mapping):
        return f"{{{', '.join(form(each) for _, each in value.items)}}}"
    if isinstance(value, Record):
        fields = (f"{name}: {form(each)}" for name, each in value.fields)
        return f"{value.kind}({', '.join(fields)})"
    return type(value).__name__.lower()


def _readable(first: Snapshot, second: Snapshot) -> tuple[Snapshot, Snapshot]:
    """Both values, with what could not be read in one of them left out of both.

    The type of such a thing, a data set or a compiled function, is what fixes change.
    """
    if isinstance(first, Opaque) or isinstance(second, Opaque):
        return _UNREAD, _UNREAD
    if isinstance(first, snapshots.Sequence) and isinstance(second, snapshots.Sequence):
        if len(first.items) == len(second.items):
            ones, others = _each(first.items, second.items)
            return replace(first, items=ones), replace(second, items=others)
    elif isinstance(first, snapshots.Mapping) and isinstance(second, snapshots.Mapping):
        if len(first.items) == len(second.items):
            ones, others = _each([v for _, v in first.items], [v for _, v in second.items])
            return (
                replace(first, items=_keyed(first.items, ones)),
                replace(second, items=_keyed(second.items, others)),
            )
    elif (
        isinstance(first, Record)
        and isinstance(second, Record)
        and [name for name, _ in first.fields] == [name for name, _ in second.fields]
    ):
        ones, others = _each([v for _, v in first.fields], [v for _, v in second.fields])
        return (
            replace(first, fields=_keyed(first.fields, ones)),
            replace(second, fields=_keyed(second.fields, others)),
        )
    return first, second


def _each(
    first: Collection[Snapshot], second: Collection[Snapshot]
) -> tuple[tuple[Snapshot, ...], tuple[Snapshot, ...]]:
    pairs = [_readable(one, other) for one, other in zip(first, second, strict=True)]
    return tuple(one for one, _ in pairs), tuple(other for _, other in pairs)


def _keyed(pairs: Collection[tuple[Any, Any]], values: Collection[Snapshot]) -> Any:
    return tuple((key, value) for (key, _), value in zip(pairs, values, strict=True))


def last_error(err: str) -> str:
    """What the last line of standard error says, where it is that of an exception."""
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    if not lines:
        return ""
    last = " ".join(lines[-1].split())
    name = last.partition(":")[0]
    looks = name.replace(".", "").isidentifier() and name[:1].isalpha() and ":" in last
    return last[:160] if looks else ""
