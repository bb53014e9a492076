"""Welfare: what the interactions paid, to whom, and at what cost to third parties.

Formulas: SWARM section 3 over the payoffs of section 2 (`Table.pi_a`, `Table.pi_b`), with A accepted and L
all, and population variances. Where SWARM returns 0 for want of data, these return NaN; a sum over nothing is
0.
"""

from __future__ import annotations

import math

import numpy as np

from swarm_env.metrics.interactions import NAN, Floats, Record
from swarm_env.metrics.sums import Moments, ratio
from swarm_env.metrics.totals import Payoffs, Totals

MEAN_FLOOR = 1e-8  # keeps a coefficient of variation finite where the mean is next to nothing (SWARM section 3)


def total_welfare(table: Record) -> float:
    """sum_A(pi_a + pi_b); 0 if A is empty. Transfers cancel. Ours: conduct's effort is taken off."""
    return table.part(Payoffs).sums["welfare"]


def net_social_welfare(table: Record) -> float:
    """sum_A(S - E), harm to third parties included; 0 if A is empty."""
    return table.part(Payoffs).sums["social"]


def avg_initiator_payoff(table: Record) -> float:
    """mean_A(pi_a); NaN if A is empty."""
    return ratio(table.part(Payoffs).sums["a_accepted"], table.part(Totals).count["accepted"])


def avg_counterparty_payoff(table: Record) -> float:
    """mean_A(pi_b); NaN if A is empty."""
    return ratio(table.part(Payoffs).sums["b_accepted"], table.part(Totals).count["accepted"])


def conditional_loss_initiator(table: Record) -> float:
    """mean_A(pi_a) - mean_L(pi_a), negative under adverse selection; NaN if A is empty."""
    sums = table.part(Payoffs).sums
    return avg_initiator_payoff(table) - ratio(sums["a_accepted"] + sums["a_rejected"], table.part(Totals).number)


def conditional_loss_counterparty(table: Record) -> float:
    """mean_A(pi_b) - mean_L(pi_b), negative under adverse selection; NaN if A is empty."""
    sums = table.part(Payoffs).sums
    return avg_counterparty_payoff(table) - ratio(sums["b_accepted"] + sums["b_rejected"], table.part(Totals).number)


def payoff_variance_initiator(table: Record) -> float:
    """Var_L(pi_a) >= 0; 0 for a single interaction, NaN if L is empty."""
    return table.part(Payoffs).a.variance


def payoff_variance_counterparty(table: Record) -> float:
    """Var_L(pi_b) >= 0; 0 for a single interaction, NaN if L is empty."""
    return table.part(Payoffs).b.variance


def coefficient_of_variation(values: Moments) -> float:
    """std / max(|mean|, 1e-8*(|mean|+std)), in [0, 1e8]; NaN of nothing and of zeros only (SWARM: 0)."""
    std, size = math.sqrt(values.variance), abs(values.mean)
    floor = max(size, MEAN_FLOOR * (size + std))
    return std / floor if floor > 0.0 else NAN


def cv_p(table: Record) -> float:
    """Coefficient of variation of p over L, see `coefficient_of_variation`."""
    return coefficient_of_variation(table.part(Totals).p)


def cv_payoff_initiator(table: Record) -> float:
    """Coefficient of variation of pi_a over L, see `coefficient_of_variation`."""
    return coefficient_of_variation(table.part(Payoffs).a)


def cv_payoff_counterparty(table: Record) -> float:
    """Coefficient of variation of pi_b over L, see `coefficient_of_variation`."""
    return coefficient_of_variation(table.part(Payoffs).b)


def gini(values: Floats) -> float:
    """sum_ij |x_i - x_j| / (2*n*sum_i |x_i|), in [0, 1]; NaN of nothing and of zeros only.

    For x >= 0 this is the Gini coefficient. Payoffs can be negative: dividing by the sum of |x| instead of
    the sum of x keeps the value in [0, 1] then (the double sum is at most 2*n*sum |x|). Shifting x by its
    minimum, as SWARM does in one place, would make the value depend on the single poorest agent.
    """
    x, n = np.sort(values), values.size
    scale = float(np.abs(x).sum())
    if scale == 0.0:
        return NAN
    differences = float(((2.0 * np.arange(1, n + 1) - n - 1.0) * x).sum())
    return min(1.0, max(0.0, differences / (n * scale)))


def agent_payoffs(table: Record) -> Floats:
    """Total payoff of each of `table.agents` from accepted interactions, shape (N,)."""
    return table.part(Payoffs).earned_a + table.part(Payoffs).earned_b


def payoff_gini(table: Record) -> float:
    """`gini` of `agent_payoffs`, in [0, 1]; NaN if A is empty or every total is 0. Ours.

    Over num_agents agents where that was given, so that those who never dealt count as 0; else over those
    seen.
    """
    return gini(agent_payoffs(table))


def governance_cost(table: Record) -> float:
    """sum_L(c_a + c_b): costs on rejected interactions are due as well; 0 if L is empty. Ours."""
    return table.part(Totals).sums["costs"]
