"""Whether two results are the same, and where they are not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from unslow.experiment.values import arrays, closeness, distribution
from unslow.experiment.values.parts import (
    TEXTS,
    as_array,
    identity,
    is_plainly,
    packed_numbers,
    parts,
    unpacked,
)
from unslow.experiment.values.snapshot import (
    Array,
    Back,
    Digest,
    Mapping,
    Members,
    Opaque,
    Packed,
    Record,
    Scalar,
    Sequence,
    Snapshot,
    Written,
)
from unslow.experiment.values.wording import differ, kind_of, shorten, show, shown_apart, written

_SHARED = (Array, Mapping, Members, Record, Sequence)


@dataclass(frozen=True)
class Comparison:
    """What comparing gave.

    `equal` is "distribution" where random values were among them and could be of the same
    distribution. `max_error` is the largest difference of two numbers that were taken as equal
    within `tolerance`, both relative to the size of the numbers; `None` where every number was
    exactly the same, and where `equal` is false. `where` says what differs, as in
    "[2]['loss']: 0.31 against 0.35". `opaque` counts the values that were compared by the
    names of their types only.
    """

    equal: bool | Literal["distribution"]
    max_error: float | None = None
    tolerance: float | None = None
    where: str = ""
    opaque: int = 0


def compare(
    first: Snapshot, second: Snapshot, *, same_kind: bool = False, looser: float = 1.0
) -> Comparison:
    """Compare two values: structure, dtypes, shapes, and values within a tolerance.

    Floating-point numbers may differ by what another order of the same operations does to
    numbers of their dtype (see `closeness.TOLERANCES`), times `looser`. All else is exact:
    whole numbers, truth values, texts, NaN and infinities. A list equals a tuple and an array
    equals a tensor with the same values, unless `same_kind`. What was kept as a digest is
    compared bit for bit, and what is opaque by its type's name.
    """
    walk = _Walk(same_kind, looser)
    where = walk.two(first, second, "")
    return walk.comparison(where)


def judge(once: Snapshot, again: Snapshot, other: Snapshot, *, looser: float = 1.0) -> Comparison:
    """Compare what another way gave with what the present way gave in two runs.

    Where `once` and `again` are equal, `other` has to be as well. What differs between them is
    random: of numbers, `other` must have the dtype, the shape where that does not differ too,
    and be possible as another draw (see `distribution.unlike`). That is weak for few numbers: a
    single one must only not be a hundred times larger. Of random texts, digests, and containers
    whose length or keys vary, only the type is compared.
    """
    walk = _Walk(False, looser)
    where = walk.three(once, again, other, "")
    return walk.comparison(where)


class _Walk:
    """Goes through values side by side up to the first difference."""

    def __init__(self, same_kind: bool, looser: float) -> None:
        self._same_kind = same_kind
        self._looser = looser
        self._done: set[tuple[int, int]] = set()
        self._error: float | None = None
        self._tolerance: float | None = None
        self._opaque = 0
        self._random = False

    def comparison(self, where: str) -> Comparison:
        if where:
            return Comparison(False, where=where, opaque=self._opaque)
        equal: bool | Literal["distribution"] = "distribution" if self._random else True
        return Comparison(equal, self._error, self._tolerance, opaque=self._opaque)

    def two(self, first: Snapshot, second: Snapshot, path: str) -> str:
        """Where the two differ; "" if they do not."""
        if not isinstance(first, _SHARED):
            return self._two(first, second, path)
        # What many places share is compared once. Scalars may be short-lived copies of what is
        # packed, whose identities come back; these live as long as what is compared.
        key = (id(first), id(second))
        if key in self._done:
            return ""
        where = self._two(first, second, path)
        if not where:
            self._done.add(key)
        return where

    def _two(self, first: Snapshot, second: Snapshot, path: str) -> str:
        if isinstance(first, Digest) or isinstance(second, Digest):
            return _digests(first, second, path)
        if self._same_kind and kind_of(first) != kind_of(second):
            return differ(path, kind_of(first), kind_of(second))
        if isinstance(first, Scalar) and isinstance(second, Scalar) and is_plainly(first, second):
            return ""
        one, two = as_array(first), as_array(second)
        if one is not None and two is not None:
            return self._arrays(one, two, path)
        if isinstance(first, Packed) and isinstance(second, Packed):
            return self._packed(first, second, path)
        first, second = unpacked(first), unpacked(second)
        if type(first) is not type(second):
            return differ(path, show(first), show(second))
        if isinstance(first, Scalar) and isinstance(second, Scalar):
            return differ(path, *shown_apart(first, second))
        if isinstance(first, (Back, Written)):
            return "" if first == second else differ(path, show(first), show(second))
        if isinstance(first, Opaque):
            self._opaque += 1
            same = kind_of(first) == kind_of(second)
            return "" if same else differ(path, show(first), show(second))
        if isinstance(first, Members) and isinstance(second, Members):
            return self._members(first, second, path)
        return self._containers(first, second, path)

    def _containers(self, first: Snapshot, second: Snapshot, path: str) -> str:
        if isinstance(first, Sequence) and isinstance(second, Sequence):
            if len(first.items) != len(second.items):
                return differ(path, f"length {len(first.items)}", str(len(second.items)))
            sides = zip(first.items, second.items, strict=True)
            named = ((f"{path}[{number}]", *pair) for number, pair in enumerate(sides))
            return next((w for place, a, b in named if (w := self.two(a, b, place))), "")
        one, two = dict(parts(first)), dict(parts(second))
        for key in [*one, *two]:
            if key not in two or key not in one:
                side = "first" if key in one else "second"
                return f"{path}{key[0]}: only in the {side}"
        return next((w for key in one if (w := self.two(one[key], two[key], path + key[0]))), "")

    def _arrays(self, first: Array, second: Array, path: str) -> str:
        if first.dtype != second.dtype:
            return differ(path, f"dtype {first.dtype}", second.dtype)
        if first.values.shape != second.values.shape:
            return differ(path, f"shape {first.values.shape}", str(second.values.shape))
        loose = first.kind == "float" or second.kind == "float" or first.values.ndim == 0
        return self._numbers(first, second, loose, path)

    def _packed(self, first: Packed, second: Packed, path: str) -> str:
        if len(first.values) != len(second.values):
            return differ(path, f"length {len(first.values)}", str(len(second.values)))
        if first.element in TEXTS or second.element in TEXTS:
            return self._containers(unpacked(first), unpacked(second), path)
        if first.element != second.element:
            return differ(f"{path}[0]", first.element, second.element)
        one = Array(first.element, first.values.dtype.name, first.values)
        return self._numbers(
            one, Array(second.element, one.dtype, second.values), first.element == "float", path
        )

    def _numbers(self, first: Array, second: Array, loose: bool, path: str) -> str:
        allowed = closeness.tolerance(first.dtype, loose, first.values, second.values)
        allowed *= self._looser
        found = closeness.difference(first.values, second.values, allowed)
        if found is None:
            return ""
        if found.count:
            index = f"[{', '.join(map(str, found.index))}]" if found.index else ""
            values = first.values[found.index], second.values[found.index]
            counted = f" ({found.count} of {first.values.size} differ)" if index else ""
            return differ(path + index, *map(written, values)) + counted
        if self._error is None or found.error > self._error:
            self._error, self._tolerance = found.error, allowed
        return ""

    def _members(self, first: Members, second: Members, path: str) -> str:
        one = Counter(identity(item) for item in first.items)
        two = Counter(identity(item) for item in second.items)
        left = _numbers_in_order(first, one - two)
        right = _numbers_in_order(second, two - one)
        if left is not None and right is not None and len(left) == len(right):
            sides = zip(left, right, strict=True)
            return next((w for a, b in sides if (w := self.two(a, b, f"{path}{{}}"))), "")
        only = [("first", one - two), ("second", two - one)]
        side, key = next((side, next(iter(keys))) for side, keys in only if keys)
        return f"{path}{{{shorten(key[1])}}}: only in the {side}"

    def three(self, once: Snapshot, again: Snapshot, other: Snapshot, path: str) -> str:
        """Where `other` is not what the present way could have given; "" if it is."""
        if not _Walk(False, self._looser).two(once, again, path):
            return self.two(once, other, path)
        one, two, three = as_array(once), as_array(again), as_array(other)
        if one is not None and two is not None and three is not None:
            return self._drawn(one, two, three, path)
        if all(isinstance(each, Packed) for each in (once, again, other)):
            one, two, three = (packed_numbers(each) for each in (once, again, other))
            if one is not None and two is not None and three is not None:
                return self._drawn(one, two, three, path)
        once, again, other = map(unpacked, (once, again, other))
        if type(once) is type(again) and type(once) is not type(other):
            return differ(path, show(once), show(other))
        scalars = [type(s.value) for s in (once, again, other) if isinstance(s, Scalar)]
        if len(scalars) == 3 and scalars[2] not in scalars[:2]:
            return differ(path, show(once), show(other))
        held = [dict(parts(each)) for each in (once, again, other)]
        if not held[0] or held[0].keys() != held[1].keys() or type(once) is not type(again):
            self._random = True
            return ""
        if held[0].keys() != held[2].keys():
            return self.two(once, other, path)
        for key in held[0]:
            once, again, other = (each[key] for each in held)
            if where := self.three(once, again, other, path + key[0]):
                return where
        return ""

    def _drawn(self, once: Array, again: Array, other: Array, path: str) -> str:
        """Random numbers: `other` as another draw."""
        if other.dtype not in (once.dtype, again.dtype):
            return differ(path, f"dtype {once.dtype}", other.dtype)
        shapes = [each.values.shape for each in (once, again, other)]
        varying = len(shapes[0]) != len(shapes[1])
        if not varying and (
            len(shapes[0]) != len(shapes[2])
            or any(a == b != c for a, b, c in zip(*shapes, strict=True))
        ):
            return differ(path, f"shape {shapes[0]}", str(shapes[2]))
        self._random = True
        why = distribution.unlike(once.values, again.values, other.values)
        return f"{path}: {why}".removeprefix(": ") if why else ""


def _digests(first: Snapshot, second: Snapshot, path: str) -> str:
    """Compare two values of which at least one is known by its digest only."""
    known = []
    for each in (first, second):
        array = as_array(each)
        if isinstance(each, Digest):
            known.append((each.dtype, each.shape, each.digest))
        elif array is not None:
            known.append((array.dtype, array.values.shape, arrays.digest(array.values)))
        elif isinstance(each, Scalar) and isinstance(each.value, str):
            import numpy

            known.append(("str", (), arrays.digest(numpy.array(each.value, dtype=object))))
        else:
            return differ(path, show(first), show(second))
    if known[0][:2] != known[1][:2]:
        return differ(path, show(first), show(second))
    if known[0] == known[1]:
        return ""
    said = "larger than the limit and not the same bit for bit"
    return f"{path}: {said}" if path else said


def _numbers_in_order(members: Members, keys: Counter[tuple[str, str]]) -> list[Any] | None:
    """Those members of a set, if all are floating-point numbers, from small to large."""
    chosen = [item for item in members.items if identity(item) in keys]
    numbers = [as_array(item) for item in chosen]
    if any(n is None or n.values.ndim or n.values.dtype.kind != "f" for n in numbers):
        return None
    return sorted(chosen, key=lambda item: float(as_array(item).values))  # type: ignore[union-attr]
