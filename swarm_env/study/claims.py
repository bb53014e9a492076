"""Claims tested: supported, refuted or undecided, with the numbers.

A claim is a closed range for the mean, over seeds, of one number: a value, or a difference of two arms on the same
seeds. A direction is the range on its side of 0. "Unchanged" is a range about 0, and is supported only by evidence of
equivalence (Schuirmann 1987, doi 10.1007/BF01068419), never by a difference that failed to show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from swarm_env.evaluation import statistics
from swarm_env.study.annotation import Claim, Condition

Floats = NDArray[np.float64]
Values = Mapping[str, Mapping[str, Floats]]  # arm -> metric -> (S,) by seed

SUPPORTED, REFUTED, UNDECIDED, UNTESTABLE = VERDICTS = ("supported", "refuted", "undecided", "not testable here")
ALPHA = 0.05  #: of the family of a study's claims


class Finding(NamedTuple):
    """What became of a claim; NaN where it has no numbers."""

    claim: Claim
    verdict: str
    n: int  # seeds on which the number is defined
    undefined: int
    estimate: float
    low: float  # 95 % bootstrap interval over seeds
    high: float
    effect_size: float  # d_z of a difference; NaN of a value
    p: float
    p_holm: float
    values: tuple[tuple[str, float], ...]  # (arm, its mean) of the arms compared


def test_claims(claims: Sequence[Claim], values: Values) -> list[Finding]:
    """Findings in the order of the claims; Holm's correction is over the testable ones together."""
    found = [_measure(claim, values) if claim.testable else _untestable(claim) for claim in claims]
    corrected = statistics.holm([finding.p for finding in found])
    return [
        finding._replace(p_holm=p, verdict=_verdict(finding, p) if finding.claim.testable else UNTESTABLE)
        for finding, p in zip(found, corrected, strict=True)
    ]


def series(metric: str, arm: str, epochs: str, values: Values) -> Floats:
    """The number by seed (S,)."""
    if epochs == "growth":
        return values[arm][f"{metric}@late"] - values[arm][f"{metric}@early"]
    return values[arm][metric if epochs == "all" else f"{metric}@{epochs}"]


def _measure(claim: Claim, values: Values) -> Finding:
    metric, condition, expected = claim.metric, claim.condition, claim.expected
    assert metric is not None
    assert condition is not None
    assert expected is not None
    ours = series(metric, condition.arm, condition.epochs, values)
    theirs = np.zeros(len(ours))
    if condition.against is not None:
        theirs = series(metric, condition.against, condition.epochs, values)
    said = statistics.compare(ours, theirs)
    p = range_p(ours - theirs, *expected.bounds)
    levels = [(arm, _mean(series(metric, arm, condition.epochs, values))) for arm in _arms(condition)]
    effect = said.effect_size if condition.against is not None else math.nan
    return Finding(
        claim, "", said.n, said.undefined, said.difference, said.low, said.high, effect, p, math.nan, tuple(levels)
    )


def _arms(condition: Condition) -> list[str]:
    return [condition.arm] if condition.against is None else [condition.arm, condition.against]


def _mean(values: Floats) -> float:
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else math.nan


def _untestable(claim: Claim) -> Finding:
    nan = math.nan
    return Finding(claim, UNTESTABLE, 0, 0, nan, nan, nan, nan, nan, nan, ())


def range_p(values: Floats, low: float, high: float) -> float:
    """p of the mean's being on the side of the bounds on which it is seen.

    Sign-flip tests (`statistics.sign_flip_p`) of the distance from each bound. Outside the range it is the p of the
    bound that is passed; inside, the larger one, since both bounds must be kept (intersection-union test, Berger 1982,
    doi 10.1080/00401706.1982.10487790). NaN below two defined values.
    """
    kept = values[~np.isnan(values)]
    if len(kept) < 2:
        return math.nan
    mean = float(kept.mean())
    bounds = [bound for bound in (low, high) if math.isfinite(bound)]
    if mean < low or mean > high:
        bounds = [low if mean < low else high]
    return max(statistics.sign_flip_p(kept - bound) for bound in bounds)


def _verdict(finding: Finding, p: float) -> str:
    """The interval must lie within the range, or clear of it, and the corrected p must say so, too."""
    assert finding.claim.expected is not None
    low, high = finding.claim.expected.bounds
    if not p <= ALPHA:  # NaN decides nothing
        return UNDECIDED
    if low <= finding.low and finding.high <= high:
        return SUPPORTED
    return REFUTED if finding.high < low or finding.low > high else UNDECIDED


def to_dict(finding: Finding) -> dict[str, Any]:
    """A finding as plain data."""
    claim = finding.claim
    expected = claim.expected
    return {
        "id": claim.id,
        "text": claim.text,
        "source": claim.source,
        "testable": claim.testable,
        "metric": claim.metric,
        "condition": None if claim.condition is None else claim.condition.model_dump(),
        "expected": None if expected is None else expected.model_dump(exclude_none=True, mode="json"),
        "reason": claim.reason,
        "tested_by": claim.tested_by,
        **{name: getattr(finding, name) for name in Finding._fields[1:-1]},
        "values": dict(finding.values),
    }
