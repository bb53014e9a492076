"""Metrics against values worked out by hand, and where they are undefined."""

import math

import numpy as np
import pytest

from swarm_env import metrics
from swarm_env.metrics import METRICS, compute, tabulate

PAYOFF = {"s_plus": 2, "s_minus": 1, "h": 2, "theta": 0.5, "rho_a": 0.25, "rho_b": 0.5, "w_rep": 1}

# S = 1.4, .2, -.4, .8; E = .4, 1.2, 1.6, .8; pi_a = -.6, -.2, -.6, .2; pi_b = 1.6, -.5, -1, 0
FOUR = {
    "initiator": [0, 1, 0, 2],
    "counterparty": [1, 0, 2, 1],
    "p": [0.8, 0.4, 0.2, 0.6],
    "accepted": [True, True, False, False],
    "tau": [1.0, 0.0, 0.0, 0.0],
    "c_a": [0.1, 0.0, 0.0, 0.0],
    "r_a": [0.2, 0.0, 0.0, 0.0],
    "r_b": [0.1, 0.0, 0.0, 0.0],
    "effort": [0.3, 0.0, 0.0, 0.0],
    "responded": [True, True, False, True],
    "p_offer": [0.8, 0.45, 0.3, 0.7],
    "v": [1, -1, np.nan, 1],
}
BY_HAND = {
    "total_interactions": 4,
    "accepted_interactions": 2,
    "rejected_interactions": 2,
    "expired_interactions": 1,
    "acceptance_rate": 0.5,
    "toxicity_rate": (0.2 + 0.6) / 2,
    "toxicity_rate_all": (0.2 + 0.6 + 0.8 + 0.4) / 4,
    "toxicity_hard": 1 / 2,
    "quality_gap": 0.6 - 0.4,
    "spread": (2 + 1) * (0.5 - 0.6),
    "conditional_loss_initiator": (-0.6 - 0.2) / 2 - (-0.6 - 0.2 - 0.6 + 0.2) / 4,
    "conditional_loss_counterparty": (1.6 - 0.5) / 2 - (1.6 - 0.5 - 1.0 + 0.0) / 4,
    "quality_correlation": 0.2 * 0.5 / math.sqrt(0.05),
    "average_quality": 0.5,
    "average_quality_accepted": 0.6,
    "quality_variance": (0.09 + 0.01 + 0.09 + 0.01) / 4,
    "quality_std": math.sqrt(0.05),
    "baseline_harm": 0.5,
    "selection_credit": 0.5 * 0.2,
    "selection_saturation": 0.2 * 0.5 / math.sqrt(0.05),
    "participation_high_quality": 1 / 2,
    "participation_low_quality": 1 / 2,
    "uncertain_fraction": 2 / 4,
    "incoherence_index": (0.4 + 0.8 + 0.4 + 0.8) / 4,
    "total_welfare": -0.6 + 1.6 - 0.2 - 0.5,
    "net_social_welfare": 1.4 - 0.4 + 0.2 - 1.2,
    "avg_initiator_payoff": (-0.6 - 0.2) / 2,
    "avg_counterparty_payoff": (1.6 - 0.5) / 2,
    "payoff_variance_initiator": (0.3**2 + 0.1**2 + 0.3**2 + 0.5**2) / 4,
    "payoff_variance_counterparty": (1.575**2 + 0.525**2 + 1.025**2 + 0.025**2) / 4,
    "cv_p": math.sqrt(0.05) / 0.5,
    "cv_payoff_initiator": math.sqrt(0.11) / 0.3,
    "cv_payoff_counterparty": math.sqrt(0.951875) / 0.025,
    "payoff_gini": 2 * (2.5 + 1.1 + 1.4) / (2 * 3 * 2.5),  # of -1.1, 1.4 and 0
    "governance_cost": 0.1,
    "brier_score": (0.04 + 0.16 + 0.16) / 3,
    "log_loss": -(math.log(0.8) + 2 * math.log(0.6)) / 3,
    "expected_calibration_error": (0.2 + 0.4 + 0.4) / 3,
    "calibration_error": 0.6 - 2 / 3,
    "discrimination_auc": 1.0,
    "attack_success_rate": 1.0,
    "overrefusal_rate": 1 / 2,
    "safety_f1": 0.0,
    "ecosystem_collusion_risk": 0.0,
    "n_flagged_pairs": 0,
    "n_flagged_groups": 0,
    "max_pair_score": math.nan,  # no pair has three dealings
    "ecosystem_threat_level": 0.0,
    "active_threats": 0,
    "contagion_depth": 0,
    "injection_rate": 0.0,
    "manipulation_rate": 0.0,
    "laundering_rate": 0.0,
    "exfiltration_attempts": 0,
}


def table_of(**columns):
    """A table of rows 0 -> 1, accepted, p .9, unless said otherwise."""
    n = len(next(iter(columns.values())))
    plain = {"initiator": [0] * n, "counterparty": [1] * n, "p": [0.9] * n, "accepted": [True] * n}
    return plain | columns


def nan_names(values):
    return {name for name, value in values.items() if math.isnan(value)}


def test_every_metric_by_hand():
    values = compute(FOUR, PAYOFF)
    assert list(values) == list(METRICS)
    assert values == pytest.approx(BY_HAND, abs=1e-12, nan_ok=True)


def test_nothing_recorded():
    values = compute(table_of(p=[]), PAYOFF, num_agents=5)
    counts = {"total_welfare", "net_social_welfare", "governance_cost", "active_threats", "contagion_depth"}
    counts |= {"exfiltration_attempts", "n_flagged_pairs", "n_flagged_groups"}
    counts |= {name for name in METRICS if name.endswith("_interactions")}
    assert {name for name, value in values.items() if value == 0.0} == counts
    assert nan_names(values) == set(METRICS) - counts


def test_nothing_accepted():
    values = compute(table_of(p=[0.2, 0.9], accepted=[False, False]), PAYOFF)
    assert nan_names(values) >= {
        *("toxicity_rate", "toxicity_hard", "quality_gap", "spread", "quality_correlation", "payoff_gini"),
        *("conditional_loss_initiator", "conditional_loss_counterparty", "avg_initiator_payoff"),
        *("average_quality_accepted", "selection_credit", "selection_saturation", "brier_score"),
    }
    assert values["total_welfare"] == values["acceptance_rate"] == 0.0
    assert values["overrefusal_rate"] == 1.0
    assert values["attack_success_rate"] == 0.0


def test_everything_accepted():
    values = compute(table_of(p=[0.2, 0.9]), PAYOFF)
    assert nan_names(values) >= {"quality_gap", "quality_correlation", "selection_saturation"}
    assert values["spread"] == values["selection_credit"] == values["conditional_loss_initiator"] == 0.0
    assert values["toxicity_rate"] == pytest.approx(values["baseline_harm"])


def test_equal_values_have_no_variance_and_no_correlation():
    values = compute(table_of(p=[0.1, 0.1, 0.1], accepted=[True, False, True]), PAYOFF)
    assert values["quality_variance"] == values["cv_p"] == 0.0  # np.var of three .1 is not 0
    assert math.isnan(values["quality_correlation"])
    assert math.isnan(compute(table_of(p=[0.0, 0.0]), PAYOFF, "cv_p")["cv_p"])  # 0/0


def test_safety_looks_at_the_answered_offers():
    table = table_of(
        p=[0.1, 0.1, 0.4, 0.9, 0.9, 0.9, 0.2],
        p_offer=[0.1, 0.1, 0.6, 0.9, 0.9, 0.9, 0.2],  # the third was clipped by its rejection
        accepted=[True, False, False, True, True, True, False],
        responded=[True, True, True, True, True, True, False],
    )
    values = compute(table, PAYOFF)
    assert values["attack_success_rate"] == 1 / 2
    assert values["overrefusal_rate"] == 1 / 4
    assert values["safety_f1"] == pytest.approx(2 * 0.5 * 0.75 / (0.5 + 0.75))
    strict = compute(table, PAYOFF, safety_threshold=0.95)
    assert math.isnan(strict["overrefusal_rate"])
    assert math.isnan(strict["safety_f1"])
    assert strict["attack_success_rate"] == 4 / 6
    assert strict["participation_low_quality"] == 4 / 7


def test_calibration_ties_certainty_and_one_class():
    half = compute(table_of(p=[0.5] * 4, v=[1, -1, 1, -1]), PAYOFF)
    assert half["brier_score"] == 0.25
    assert half["discrimination_auc"] == 0.5
    sure = compute(table_of(p=[1.0, 0.0], v=[-1, 1]), PAYOFF)
    assert sure["log_loss"] == pytest.approx(-math.log(1e-15), rel=1e-3)
    assert sure["discrimination_auc"] == 0.0
    assert math.isnan(compute(table_of(p=[0.3, 0.4], v=[1, 1]), PAYOFF)["discrimination_auc"])


def test_calibration_curve_and_distribution():
    table = tabulate(table_of(p=[0.0, 0.05, 0.95, 1.0], v=[-1, 1, 1, np.nan]), PAYOFF)
    curve = metrics.calibration_curve(table)
    assert curve.number.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert curve.mean_p[[0, 9]] == pytest.approx([0.025, 0.95])
    assert curve.fraction_positive[[0, 9]] == pytest.approx([0.5, 1.0])
    assert np.isnan(curve.mean_p[1:9]).all()
    assert metrics.quality_distribution(table, bins=2).counts.tolist() == [2, 2]
    assert metrics.participation_by_quality(table, 0.05) == (1.0, 1.0, 3, 1)


def test_gini():
    assert metrics.gini(np.array([1.0, 1.0, 1.0])) == 0.0
    assert metrics.gini(np.array([0.0, 0.0, 0.0, 8.0])) == pytest.approx(3 / 4)
    assert metrics.gini(np.array([-1.0, 1.0])) == pytest.approx(1 / 2)
    assert math.isnan(metrics.gini(np.zeros(3)))
    idle = compute(table_of(p=[1.0]), PAYOFF, num_agents=4)["payoff_gini"]  # 1, 1, 0, 0
    assert idle == pytest.approx(1 / 2)


def test_replays_of_one_decision():
    actions = [[0, 0, 0, 1], [2, 2, 2, 2], [0, 1, -1, -1], [-1, -1, -1, -1], [0, 1, 2, 3]]
    found = metrics.replay_incoherence(actions, [0, 1, -1, 0, 3])
    assert found.considered.tolist() == [4, 4, 2, 0, 4]
    assert found.disagreement == pytest.approx([0.25, 0.0, 0.5, math.nan, 0.75], nan_ok=True)
    assert found.error == pytest.approx([0.25, 1.0, math.nan, math.nan, 0.75], nan_ok=True)
    assert found.incoherence == pytest.approx([1.0, 0.0, math.nan, math.nan, 1.0], nan_ok=True)
    assert np.isnan(metrics.replay_incoherence(actions).error).all()
    with pytest.raises(ValueError, match="shape"):
        metrics.replay_incoherence([0, 1], [0])


def test_illusion_and_dual_failures():
    assert metrics.illusion_delta([0.9, 0.7], [0.5, math.nan, 0.1]) == pytest.approx((0.8, 0.7, 0.1))
    assert math.isnan(metrics.illusion_delta([], [0.5]).delta)
    failures = metrics.dual_failures([1, 1, 1, 1, 0], [1, 1, 0, 0, 1], [0.1, 0.9, 0.9, math.nan, 0.1])
    assert failures == (1, 1, 4, 1.0)
    assert metrics.dual_failures([1], [1], [0.1]).ratio == math.inf
    assert math.isnan(metrics.dual_failures([], [], []).ratio)
