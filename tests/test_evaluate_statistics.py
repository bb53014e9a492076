"""The statistics of an evaluation, against values computed by hand, published ones, and scipy's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from swarm_env import statistics
from swarm_env.statistics import (
    compare,
    effect_size,
    holm,
    interquartile_mean,
    mean_interval,
    sign_flip_p,
    spread,
    stratified_interval,
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5, 8, 4, 38, 8, 6, 9, 7, 7, 3, 1, 6], 6.5),  # Wikipedia, Interquartile mean: a dataset divisible by four
        ([1, 3, 5, 7, 9, 11, 13, 15, 17], 9.0),  # and one that is not
        ([[1, 2], [2, 2], [1, 1], [2, 1]], 1.5),  # rliable's own test
        ([[1, 1], [2, 2], [3, 3]], 2.0),  # likewise
        ([0.0, 1.0, 2.0, 30.0, 40.0], 11.0),  # by hand: one cut off each end, (1 + 2 + 30) / 3
        ([4.0, 8.0, 0.0], 4.0),  # too few to cut: the mean
        ([7.0], 7.0),
    ],
)
def test_interquartile_mean(values: list[float], expected: float) -> None:
    assert interquartile_mean(values) == pytest.approx(expected)
    assert interquartile_mean(values) == pytest.approx(scipy.stats.trim_mean(np.ravel(values), 0.25))


def test_interquartile_mean_along_an_axis_and_of_nothing() -> None:
    values = np.array([[0.0, 10.0, 2.0, 4.0], [1.0, 1.0, 1.0, 9.0]])
    assert interquartile_mean(values, axis=1).tolist() == [3.0, 1.0]
    assert math.isnan(interquartile_mean([]))


def test_a_bootstrap_of_two_values_is_known_exactly() -> None:
    # resamples of {0, 1} have means 0, .5, 1 with probabilities 1/4, 1/2, 1/4: both 2.5 % tails lie in the ends
    assert mean_interval(np.array([0.0, 1.0])) == (0.0, 1.0)
    assert stratified_interval([np.array([0.0, 1.0])]) == (0.0, 1.0)


def test_strata_are_resampled_within_themselves() -> None:
    # two scenarios whose seeds agree: nothing varies within either, so a stratified interval is a point; mixing the
    # four values would give anything from 0 to 100
    strata = [np.array([0.0, 0.0]), np.array([100.0, 100.0])]
    assert stratified_interval(strata) == (50.0, 50.0)
    low, high = mean_interval(np.concatenate(strata))
    assert low < 20.0
    assert high > 80.0
    assert spread(strata)[4:9] == (50.0, 50.0, 50.0, 50.0, 50.0)


def test_intervals_cover_a_normal_mean_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    hits = [low <= 3.0 <= high for low, high in (mean_interval(rng.normal(3.0, 2.0, 30)) for _ in range(200))]
    assert 0.87 <= np.mean(hits) <= 0.99  # percentiles cover a little less than .95 at n = 30


def test_a_spread_by_hand() -> None:
    said = spread([np.array([1.0, 2.0, 3.0, 6.0, math.nan])])
    assert (said.n, said.undefined, said.mean, said.iqm) == (4, 1, 3.0, 2.5)
    assert said.sd == pytest.approx(math.sqrt((4 + 1 + 0 + 9) / 3))
    assert 1.0 <= said.low < 3.0 < said.high <= 6.0
    assert 1.0 <= said.iqm_low < 2.5 < said.iqm_high <= 6.0
    one = spread([np.array([4.0, math.nan])])
    assert (one.n, one.undefined, one.mean, one.iqm) == (1, 1, 4.0, 4.0)
    assert all(map(math.isnan, (one.sd, one.low, one.high, one.iqm_low, one.iqm_high)))
    none = spread([np.array([math.nan, math.nan])])
    assert (none.n, none.undefined) == (0, 2)
    assert all(map(math.isnan, none[2:]))


def test_equal_values_have_an_interval_of_no_width() -> None:
    said = spread([np.full(7, 0.1)])
    assert (said.mean, said.sd, said.low, said.high, said.iqm_low, said.iqm_high) == (0.1, 0.0, 0.1, 0.1, 0.1, 0.1)


def test_effect_size_by_hand() -> None:
    assert effect_size(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)  # mean 2, sd 1
    assert effect_size(np.array([-1.0, -2.0, -3.0])) == pytest.approx(-2.0)
    assert math.isnan(effect_size(np.array([2.0, 2.0])))
    assert math.isnan(effect_size(np.array([2.0])))


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0, 1.0, 1.0, 1.0, 1.0], 2 / 32),  # only all + and all - are as far from 0
        ([3.0, 1.0], 2 / 4),
        ([3.0, -1.0], 4 / 4),  # |3-1| = 2; ++ 4, +- 2, -+ 2, -- 4: all as far
        ([1.0, 2.0, 3.0, -1.0], 6 / 16),  # seen 5; signed sums of 1, 2, 3, 1 reach 5 or 7 in 6 of 16 cases
        ([0.0, 0.0, 0.0], 1.0),
    ],
)
def test_sign_flip_p_by_hand(differences: list[float], expected: float) -> None:
    assert sign_flip_p(np.array(differences)) == expected


def test_sign_flip_p_is_scipys_permutation_test() -> None:
    rng = np.random.default_rng(2)
    for n in (4, 7, 10, statistics.EXACT):
        x, y = rng.normal(0.4, 1.0, n), rng.normal(0.0, 1.0, n)
        theirs = scipy.stats.permutation_test(
            (x, y), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", n_resamples=np.inf,
            vectorized=True,
        ).pvalue  # fmt: skip
        assert sign_flip_p(x - y) == pytest.approx(theirs)
    many = rng.normal(0.5, 1.0, 40)
    assert sign_flip_p(many) == pytest.approx(scipy.stats.ttest_1samp(many, 0.0).pvalue, abs=0.01)
    assert sign_flip_p(np.ones(40)) == 1 / 20_001
    assert math.isnan(sign_flip_p(np.array([1.0])))


def test_holm_by_hand() -> None:
    # sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04, made monotone: .02 .03 .06 .06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    said = holm([math.nan, 0.02, math.nan, 0.04])  # undefined ones do not count
    assert (said[1], said[3]) == (0.04, 0.04)
    assert math.isnan(said[0])
    assert holm([]) == []


def test_a_comparison_is_paired() -> None:
    base = np.array([10.0, 200.0, 3.0, 50.0, math.nan])
    said = compare(base + np.array([1.0, 2.0, 3.0, 2.0, 1.0]), base)
    assert (said.n, said.undefined, said.difference) == (4, 1, 2.0)  # however much the seeds themselves differ
    assert said.effect_size == pytest.approx(2.0 / math.sqrt(2 / 3))
    assert (said.p, 1.0 <= said.low <= 2.0 <= said.high <= 3.0) == (2 / 16, True)
    same = compare(base, base)
    assert (same.difference, same.low, same.high, same.p) == (0.0, 0.0, 0.0, 1.0)
    nothing = compare(np.array([math.nan]), np.array([1.0]))
    assert (nothing.n, nothing.undefined) == (0, 1)
    assert all(map(math.isnan, nothing[2:]))
