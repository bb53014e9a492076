"""Welfare: what the interactions paid, to whom, and at what cost to third parties.

Formulas: SWARM section 3 over the payoffs of section 2 (`Table.pi_a`, `Table.pi_b`), with A accepted and L
all, and population variances. Where SWARM returns 0 for want of data, these return NaN; a sum over nothing is
0.
"""

from __future__ import annotations

import math

import numpy as np

from swarm_env.metrics.grouped import sum_by
from swarm_env.metrics.interactions import NAN, Floats, Table, mean, variance

MEAN_FLOOR = 1e-8  # keeps a coefficient of variation finite where the mean is next to nothing (SWARM section 3)


def total_welfare(table: Table) -> float:
    """sum_A(pi_a + pi_b); 0 if A is empty. Transfers cancel. Ours: conduct's effort is taken off."""
    return float((table.pi_a + table.pi_b)[table.accepted].sum())


def net_social_welfare(table: Table) -> float:
    """sum_A(S - E), harm to third parties included; 0 if A is empty."""
    return float((table.surplus - table.harm)[table.accepted].sum())


def avg_initiator_payoff(table: Table) -> float:
    """mean_A(pi_a); NaN if A is empty."""
    return mean(table.pi_a[table.accepted])


def avg_counterparty_payoff(table: Table) -> float:
    """mean_A(pi_b); NaN if A is empty."""
    return mean(table.pi_b[table.accepted])


def conditional_loss_initiator(table: Table) -> float:
    """mean_A(pi_a) - mean_L(pi_a), negative under adverse selection; NaN if A is empty."""
    return avg_initiator_payoff(table) - mean(table.pi_a)


def conditional_loss_counterparty(table: Table) -> float:
    """mean_A(pi_b) - mean_L(pi_b), negative under adverse selection; NaN if A is empty."""
    return avg_counterparty_payoff(table) - mean(table.pi_b)


def payoff_variance_initiator(table: Table) -> float:
    """Var_L(pi_a) >= 0; 0 for a single interaction, NaN if L is empty."""
    return variance(table.pi_a)


def payoff_variance_counterparty(table: Table) -> float:
    """Var_L(pi_b) >= 0; 0 for a single interaction, NaN if L is empty."""
    return variance(table.pi_b)


def coefficient_of_variation(values: Floats) -> float:
    """std / max(|mean|, 1e-8*(|mean|+std)), in [0, 1e8]; NaN of nothing and of zeros only (SWARM: 0)."""
    std, size = math.sqrt(variance(values)), abs(mean(values))
    floor = max(size, MEAN_FLOOR * (size + std))
    return std / floor if floor > 0.0 else NAN


def cv_p(table: Table) -> float:
    """Coefficient of variation of p over L, see `coefficient_of_variation`."""
    return coefficient_of_variation(table.p)


def cv_payoff_initiator(table: Table) -> float:
    """Coefficient of variation of pi_a over L, see `coefficient_of_variation`."""
    return coefficient_of_variation(table.pi_a)


def cv_payoff_counterparty(table: Table) -> float:
    """Coefficient of variation of pi_b over L, see `coefficient_of_variation`."""
    return coefficient_of_variation(table.pi_b)


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


def agent_payoffs(table: Table) -> Floats:
    """Total payoff of each of `table.agents` from accepted interactions, shape (N,)."""
    kept, size = table.accepted, table.agents.size
    return sum_by(table.pi_a[kept], table.a[kept], size) + sum_by(table.pi_b[kept], table.b[kept], size)


def payoff_gini(table: Table) -> float:
    """`gini` of `agent_payoffs`, in [0, 1]; NaN if A is empty or every total is 0. Ours.

    Over num_agents agents where that was given, so that those who never dealt count as 0; else over those
    seen.
    """
    return gini(agent_payoffs(table))


def governance_cost(table: Table) -> float:
    """sum_L(c_a + c_b): costs on rejected interactions are due as well; 0 if L is empty. Ours."""
    return float((table.c_a + table.c_b).sum())
