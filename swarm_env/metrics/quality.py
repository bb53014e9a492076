"""Quality and selection: how good the interactions are, and what accepting and rejecting did to them.

Formulas: SWARM section 3, with A accepted, R rejected (expired ones included), L all, alpha = |A|/|L|, and
population variances. Where SWARM returns 0 for want of data, these return NaN; counts of nothing are 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from swarm_env.metrics.grouped import count_by
from swarm_env.metrics.interactions import Bools, Floats, Ints, Record, Table
from swarm_env.metrics.sums import ratio
from swarm_env.metrics.totals import Totals


class Participation(NamedTuple):
    """Acceptance of sound (p >= t) and unsound (p < t) interactions; a rate is NaN where there are none."""

    high: float
    low: float
    high_count: int
    low_count: int


class Distribution(NamedTuple):
    """Histogram of p: ``edges`` (bins+1,) from 0 to 1, ``counts`` (bins,)."""

    edges: Floats
    counts: Ints


def total_interactions(table: Record) -> float:
    """|L|, >= 0."""
    return float(table.part(Totals).number)


def accepted_interactions(table: Record) -> float:
    """|A|, >= 0."""
    return float(table.part(Totals).count["accepted"])


def rejected_interactions(table: Record) -> float:
    """|R| = |L| - |A|, >= 0; proposals that expired count as rejected."""
    return float(table.part(Totals).count["rejected"])


def expired_interactions(table: Record) -> float:
    """Number that expired without an answer, >= 0. Ours."""
    return float(table.part(Totals).count["expired"])


def acceptance_rate(table: Record) -> float:
    """alpha = |A|/|L| in [0, 1]; NaN if L is empty."""
    return ratio(table.part(Totals).count["accepted"], table.part(Totals).number)


def toxicity_rate(table: Record) -> float:
    """mean_A(1-p) in [0, 1]; NaN if A is empty."""
    return 1.0 - average_quality_accepted(table)


def toxicity_rate_all(table: Record) -> float:
    """mean_L(1-p) in [0, 1]; NaN if L is empty."""
    return 1.0 - average_quality(table)


def toxicity_hard(table: Record) -> float:
    """Share of A with p < .5, in [0, 1]; NaN if A is empty."""
    count = table.part(Totals).count
    return ratio(count["toxic"], count["accepted"])


def quality_gap(table: Record) -> float:
    """Q = mean_A(p) - mean_R(p) in [-1, 1], negative under adverse selection; NaN if A or R is empty."""
    totals = table.part(Totals)
    return average_quality_accepted(table) - ratio(totals.sums["p_rejected"], totals.count["rejected"])


def spread(table: Record) -> float:
    """(s_plus+s_minus) * (mean_L(p) - mean_A(p)), positive where the better ones are turned away.

    NaN if A is empty.
    """
    scale = table.payoff.s_plus + table.payoff.s_minus
    return scale * (average_quality(table) - average_quality_accepted(table))


def quality_correlation(table: Record) -> float:
    """corr(p, accepted) = Q*sqrt(alpha*(1-alpha))/sigma_p in [-1, 1].

    NaN if alpha is 0 or 1, or all p are equal.
    """
    alpha, sigma = acceptance_rate(table), quality_std(table)
    if not 0.0 < alpha < 1.0 or not sigma > 0.0:
        return math.nan
    return float(np.clip(quality_gap(table) * math.sqrt(alpha * (1.0 - alpha)) / sigma, -1.0, 1.0))


def selection_saturation(table: Record) -> float:
    """|Q|*sqrt(alpha*(1-alpha))/sigma_p = |quality_correlation| in [0, 1]; NaN as there."""
    return abs(quality_correlation(table))


def baseline_harm(table: Record) -> float:
    """1 - mean_L(p) in [0, 1]: the toxicity of accepting everything; NaN if L is empty."""
    return 1.0 - average_quality(table)


def selection_credit(table: Record) -> float:
    """(1-alpha)*Q = mean_A(p) - mean_L(p) in [-1, 1].

    So that toxicity_rate = baseline_harm - selection_credit. NaN if A is empty; 0 if R is: the second form is
    defined there, and whoever accepts everything has selected nothing.
    """
    return average_quality_accepted(table) - average_quality(table)


def average_quality(table: Record) -> float:
    """mean_L(p) in [0, 1]; NaN if L is empty."""
    sums = table.part(Totals).sums
    return ratio(sums["p_accepted"] + sums["p_rejected"], table.part(Totals).number)


def average_quality_accepted(table: Record) -> float:
    """mean_A(p) in [0, 1]; NaN if A is empty."""
    return ratio(table.part(Totals).sums["p_accepted"], table.part(Totals).count["accepted"])


def quality_variance(table: Record) -> float:
    """Var_L(p) in [0, .25]; 0 for a single interaction, NaN if L is empty."""
    return float(np.minimum(table.part(Totals).p.variance, 0.25))  # .25 but for rounding


def quality_std(table: Record) -> float:
    """sqrt(Var_L(p)) in [0, .5]; NaN if L is empty."""
    return math.sqrt(quality_variance(table))


def uncertain_fraction(table: Record) -> float:
    """Share of L with .3 < p < .7, bounds left out, in [0, 1]; NaN if L is empty."""
    return ratio(table.part(Totals).count["uncertain"], table.part(Totals).number)


def participation_by_quality(table: Table, threshold: float | None = None) -> Participation:
    """Acceptance rates of p >= t and of p < t; t is the table's safety_threshold unless given."""
    high: Bools = table.p >= (table.safety_threshold if threshold is None else threshold)
    accepted, sound, unsound = table.accepted, int(high.sum()), int((~high).sum())
    return Participation(
        ratio(int(accepted[high].sum()), sound), ratio(int(accepted[~high].sum()), unsound), sound, unsound
    )


def participation_high_quality(table: Record) -> float:
    """P(accepted | p >= t) in [0, 1], t = safety_threshold; NaN if there are none."""
    count = table.part(Totals).count
    return ratio(count["sound_accepted"], count["sound"])


def participation_low_quality(table: Record) -> float:
    """P(accepted | p < t) in [0, 1], t = safety_threshold; NaN if there are none."""
    count = table.part(Totals).count
    return ratio(count["accepted"] - count["sound_accepted"], table.part(Totals).number - count["sound"])


def quality_bins(p: Floats, bins: int) -> Ints:
    """Bin of each p among `bins` left-closed bins of equal width, p = 1 in the last: ints in 0..bins-1."""
    if bins < 1:
        raise ValueError(f"bins must be >= 1, not {bins}")
    lower_edges = np.arange(bins) * (1.0 / bins)
    return np.searchsorted(lower_edges, p, side="right").astype(np.int64) - 1


def quality_distribution(table: Table, bins: int = 10) -> Distribution:
    """Histogram of p over L, bins as in `quality_bins`; all counts 0 if L is empty."""
    counts = count_by(quality_bins(table.p, bins), bins)
    return Distribution(np.arange(bins + 1, dtype=np.float64) * (1.0 / bins), counts)
