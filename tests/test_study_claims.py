"""Verdicts on claims, against numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from swarm_env.evaluation import statistics
from swarm_env.study.annotation import Claim
from swarm_env.study.claims import range_p, test_claims

NAN = float("nan")
test_claims.__test__ = False  # type: ignore[attr-defined]  pytest takes it for a test


def claim(name: str = "a", against: str | None = "base", epochs: str = "all", **expected: Any) -> Claim:
    condition = {"arm": "arm", "against": against, "epochs": epochs}
    data = {
        "id": name,
        "text": name,
        "testable": True,
        "metric": "spread",
        "condition": condition,
        "expected": expected,
    }
    return Claim.model_validate(data)


def verdicts(claims: list[Claim], ours: Any, theirs: Any = None, **more: Any) -> list[Any]:
    base = np.zeros(len(ours)) if theirs is None else np.array(theirs, dtype=float)
    values = {"arm": {"spread": np.array(ours, dtype=float), **more}, "base": {"spread": base, **more}}
    return test_claims(claims, values)


EIGHT = [1.0, 1.1, 0.9, 1.2, 0.8, 1.05, 0.95, 1.0]


def test_a_direction_is_borne_out_refuted_or_left_open() -> None:
    higher, lower = claim(direction="higher"), claim(direction="lower")
    (found,) = verdicts([higher], EIGHT)
    assert found.verdict == "supported"
    assert found.estimate == pytest.approx(1.0)
    assert found.p == found.p_holm == 2 / 2**8  # all eight differences have one sign: 2 of 256 patterns are as far out
    assert found.values == (("arm", pytest.approx(1.0)), ("base", 0.0))
    assert found.effect_size == pytest.approx(1.0 / np.std(EIGHT, ddof=1))
    assert verdicts([lower], EIGHT)[0].verdict == "refuted"
    (found,) = verdicts([higher], [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    assert (found.verdict, found.estimate, found.p) == ("undecided", 0.0, 1.0)


def test_equal_arms_bear_out_no_direction_but_equivalence() -> None:
    same = [0.3, 0.5, 0.4, 0.2, 0.6, 0.1]
    directed, within = claim("d", direction="lower"), claim("r", range=[-0.1, 0.1])
    first, second = verdicts([directed, within], same, same)
    assert (first.verdict, first.p) == ("undecided", 1.0)
    assert second.verdict == "undecided"  # p = 2/64 is doubled by Holm
    assert second.p_holm == 4 / 64
    assert verdicts([within], same, same)[0].verdict == "supported"


def test_a_range_is_tested_at_both_its_ends() -> None:
    near_one = [0.99, 1.01, 1.0, 1.02, 0.98, 1.0, 1.01, 0.99]
    for expected, verdict in (
        ([0.9, 1.1], "supported"), ([1.5, 2.0], "refuted"), ([0.0, 0.5], "refuted"), ([0.5, None], "supported"),
        ([None, 0.5], "refuted"), ([1.0, 2.0], "undecided"),
    ):  # fmt: skip
        (found,) = verdicts([claim(against=None, range=expected)], near_one)
        assert found.verdict == verdict, expected
        assert math.isnan(found.effect_size)
        assert found.values == (("arm", pytest.approx(1.0)),)


def test_range_p_is_that_of_the_nearer_end_inside_and_of_the_passed_one_outside() -> None:
    values = np.array([1.0, 2.0, 3.0])
    # from 0: 1, 2, 3 all positive: 2 of 8 patterns. From 2.5: -1.5, -.5, .5, sum -1.5: patterns with |sum| >= 1.5
    # are +-(1.5+.5+.5), +-(1.5+.5-.5) twice: 6 of 8.
    assert range_p(values, 0.0, math.inf) == 2 / 8
    assert range_p(values, 0.0, 2.5) == 6 / 8
    assert range_p(values, -math.inf, 0.5) == 2 / 8
    assert range_p(values, 2.5, 9.0) == 6 / 8
    assert math.isnan(range_p(np.array([1.0, NAN]), 0.0, 1.0))


def test_one_seed_or_nothing_defined_decides_nothing() -> None:
    for ours in ([5.0], [NAN] * 6, [NAN, NAN, NAN, NAN, NAN, 1.0]):
        (found,) = verdicts([claim(direction="higher")], ours)
        assert found.verdict == "undecided"
        assert found.n + found.undefined == len(ours)
    (found,) = verdicts([claim(direction="higher")], [*EIGHT, NAN])
    assert (found.verdict, found.n, found.undefined) == ("supported", 8, 1)


def test_holm_is_over_the_tested_claims_and_leaves_the_others_alone() -> None:
    words = {"id": "w", "text": "w", "testable": False, "reason": "no words here"}
    claims = [claim("a", direction="higher"), Claim.model_validate(words), claim("b", direction="higher")]
    first, other, last = verdicts(claims, EIGHT[:6])
    assert (first.p, first.p_holm, last.p_holm) == (2 / 64, 4 / 64, 4 / 64)
    assert first.verdict == "undecided"
    assert other.verdict == "not testable here"
    assert math.isnan(other.p)
    assert math.isnan(other.p_holm)


def test_growth_is_the_last_third_less_the_first() -> None:
    values = {
        "arm": {"spread@early": np.arange(6.0), "spread@late": np.arange(6.0) + 3.0},
        "base": {"spread@early": np.arange(6.0), "spread@late": np.arange(6.0) + 1.0},
    }
    (found,) = test_claims([claim(epochs="growth", direction="higher")], values)
    assert (found.estimate, found.verdict) == (2.0, "supported")
    (found,) = test_claims([claim(epochs="late", direction="higher")], values)
    assert found.estimate == 2.0
    (found,) = test_claims([claim(epochs="growth", against=None, direction="lower")], values)
    assert (found.estimate, found.verdict) == (3.0, "refuted")


def test_a_refuted_claim_needs_the_interval_and_the_p() -> None:
    assert statistics.holm([0.03, 0.03]) == [0.06, 0.06]
    five = [1.0, 1.1, 0.9, 1.2, 0.8]  # p = 2/32 > .05 although the interval is far from 0
    (found,) = verdicts([claim(direction="lower")], five)
    assert found.low > 0.0
    assert found.verdict == "undecided"
