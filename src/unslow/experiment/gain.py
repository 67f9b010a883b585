"""What the whole program would gain: from a finding's cost and its best alternative."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from unslow.catalogue import page
from unslow.experiment.trials import Outcome
from unslow.finding import Alternative, Claim, Cost, Finding, Gain

LEAST_GAIN = 0.01
"""The part of its cost that a finding must give back; less is not worth a change."""


def with_outcomes(finding: Finding, outcomes: Sequence[Outcome], wall: float) -> Finding:
    """The finding with what was tried, the best first, its gain, and its kind.

    It is `cleared` where an alternative with equal results was measured, none of those gives
    anything back, and they are all there is to do. Where none could be measured, or none was
    equal, there is no gain to speak of: `gain` stays `None`.
    """
    seconds = finding.cost.seconds
    gains = [(gain_of(seconds, outcome), outcome) for outcome in outcomes]
    equal = [gain for gain, outcome in gains if outcome.offered and _is_equal(outcome)]
    alternatives = (
        *(each.alternative for _, each in sorted(gains, key=lambda pair: _rank(*pair))),
        *(each for each in finding.alternatives if not _among(each, outcomes)),
    )
    if not equal:
        return replace(finding, alternatives=alternatives)
    best = max(equal)
    if best <= LEAST_GAIN * seconds and not all(outcome.exhaustive for outcome in outcomes):
        return replace(finding, alternatives=alternatives)
    if best <= LEAST_GAIN * seconds:
        return replace(finding, kind="cleared", alternatives=alternatives, gain=Gain(0.0, 0.0))
    share = best / wall if wall > 0 else 0.0
    beside = next(outcome.beside for gain, outcome in gains if gain == best)
    cost = _shown(finding.cost, best, beside)
    return replace(finding, cost=cost, alternatives=alternatives, gain=Gain(best, share))


def gain_of(seconds: float, outcome: Outcome) -> float:
    """Seconds given back of a cost of `seconds`; 0 where the alternative is not clearly faster."""
    proof = outcome.alternative.proof
    if proof is None or not outcome.wins:
        return 0.0
    beside = 0.0 if outcome.beside is None else outcome.beside.seconds
    spent = min(seconds * outcome.share + beside, outcome.most)
    gain = spent * (1 - 1 / proof.ratio) - outcome.once
    return min(max(0.0, gain), seconds + beside)


def _shown(cost: Cost, gain: float, beside: Claim | None) -> Cost:
    """The cost with what an experiment has shown to be lost besides, where that comes back."""
    if beside is None or gain <= cost.seconds:
        return cost
    more = replace(beside, seconds=gain - cost.seconds)
    return replace(cost, seconds=gain, claims=(*cost.claims, more))


def _rank(gain: float, outcome: Outcome) -> tuple[float, bool, float]:
    proof = outcome.alternative.proof
    return -gain, not _is_equal(outcome), -(proof.ratio if proof else 0.0)


def _is_equal(outcome: Outcome) -> bool:
    proof = outcome.alternative.proof
    return proof is not None and bool(proof.equal)


def _among(alternative: Alternative, outcomes: Sequence[Outcome]) -> bool:
    return any(alternative.name == outcome.alternative.name for outcome in outcomes)


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by their gain; those without one follow by their cost, cleared ones last.

    Of equal gains, one that only tells of others' time comes after them.
    """
    return sorted(
        findings,
        key=lambda finding: (
            finding.kind == "cleared",
            finding.gain is None,
            -(float(f"{finding.gain.seconds:.6g}") if finding.gain is not None else 0.0),
            page(finding.code).general,
            -finding.cost.seconds,
            finding.code,
            finding.site.path,
            finding.site.line,
        ),
    )
