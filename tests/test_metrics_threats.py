"""Collusion and security against values worked out by hand."""

import math

import numpy as np
import pytest

from swarm_env.metrics import (
    CollusionSettings,
    SecuritySettings,
    collusion_report,
    compute,
    pair_scores,
    security_report,
    tabulate,
)

PAYOFF = {"s_plus": 2, "s_minus": 1, "h": 2, "theta": 0.5, "rho_a": 0, "rho_b": 0, "w_rep": 1}
CHAIN = {"initiator": [0, 1, 1], "counterparty": [1, 2, 3], "p": [0.1] * 3, "accepted": [True] * 3}


def ring(p_within, **columns):
    """Agent 0 deals ten times with 1, costs falling on both alike; each of them once with 2 at p = .1."""
    return {
        "initiator": [0] * 10 + [0, 2],
        "counterparty": [1] * 10 + [2, 1],
        "p": [p_within] * 10 + [0.1, 0.1],
        "accepted": [True] * 12,
        "c_a": [*range(10), 0, 0],
        "c_b": [*range(10), 0, 0],
    } | columns


def security(settings=None, trust=None, **columns):
    return security_report(tabulate(columns, PAYOFF, trust=trust), settings)


def test_pair_score():
    pairs = collusion_report(tabulate(ring(0.2))).pairs
    frequency = (10 - 4) / math.sqrt((6**2 + 3**2 + 3**2) / 3) / 2
    assert (pairs.low.tolist(), pairs.high.tolist(), pairs.dealings.tolist()) == ([0], [1], [10])
    assert pairs.correlation == pytest.approx([1.0])
    assert pairs.mean_p == pytest.approx([(0.2 + 0.5) / 2])  # 1 never initiates: .5
    assert pairs.score == pytest.approx([0.25 * frequency + 0.3 * 1 + 0.2 * 1 + 0.25 * 2 * (0.5 - 0.35)])


def test_few_dealings_count_less_and_few_enough_not_at_all():
    table = tabulate({"initiator": [0] * 4, "counterparty": [1] * 4, "p": [0.5] * 4, "accepted": [True] * 4})
    assert pair_scores(table).score == pytest.approx([0.2 * 4 / 10])
    assert pair_scores(table, CollusionSettings(min_interactions=5)).score.size == 0


def test_correlation_counts_from_its_threshold_on():
    table = tabulate(ring(0.9, c_b=[0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0]))
    weak = float(pair_scores(table).correlation[0])
    assert 0.0 < weak < 0.7
    drop = pair_scores(table).score - pair_scores(table, CollusionSettings(correlation_threshold=0.7)).score
    assert drop == pytest.approx([0.3 * weak])


def test_unchanging_benefits_do_not_correlate():
    table = tabulate(ring(0.9, tau=[0.1] * 12, c_a=[0.0] * 12, c_b=[0.0] * 12))
    assert pair_scores(table).correlation.tolist() == [0.0]


def test_group_score_and_ecosystem_risk():
    table = tabulate(ring(0.9))
    report = collusion_report(table)
    score = (0.4 * 2 * (10 / 12 - 0.5) + 0.6 * (0.9 - 0.1)) * (0.5 + 0.5 * 2 / 5)
    assert report.groups.member.tolist() == [0, 0, -1]
    assert report.groups.score == pytest.approx([score])
    assert (report.n_flagged_pairs, report.n_flagged_groups) == (1, 1)
    assert report.ecosystem_collusion_risk == pytest.approx(0.3 * 1 / 3 + 0.3 * 2 / 3 + 0.4 * score)
    assert report.agent_risk == pytest.approx([report.max_pair_score] * 2 + [0.0])
    kept = collusion_report(table, CollusionSettings(score_threshold=0.6))
    assert (kept.n_flagged_pairs, kept.n_flagged_groups) == (1, 0)
    assert kept.ecosystem_collusion_risk == pytest.approx(0.3 * 1 / 3)


def test_settings_and_num_agents_reach_the_registry():
    names = ["n_flagged_groups", "ecosystem_collusion_risk"]
    strict = compute(ring(0.9), PAYOFF, names, collusion=CollusionSettings(score_threshold=0.6), num_agents=5)
    assert strict == pytest.approx({"n_flagged_groups": 0, "ecosystem_collusion_risk": 0.3 * 1 / 10})


def test_a_chain_of_pairs_is_one_group():
    links = 6
    edges = np.repeat(np.arange(links), 10)
    table = {"initiator": edges + 1, "counterparty": edges, "p": np.full(60, 0.9), "accepted": np.ones(60)}
    report = collusion_report(tabulate(table), CollusionSettings(score_threshold=0.2))
    assert report.groups.member.tolist() == [0] * (links + 1)
    assert report.groups.score == pytest.approx([0.4 + 0.6 * (0.9 - 0.5)])


def test_dealings_with_oneself_are_no_pair():
    alone = {"initiator": [3] * 9, "counterparty": [3] * 9, "p": [0.1] * 9, "accepted": [True] * 9}
    values = compute(alone, PAYOFF)
    assert math.isnan(values["max_pair_score"])
    assert math.isnan(values["ecosystem_collusion_risk"])


def test_injection_and_exfiltration():
    report = security(
        initiator=[0, 0, 1, 1],
        counterparty=[1, 1, 2, 2],
        p=[0.0, 0.9, 0.9, 0.1],
        accepted=[True, False, True, True],
        misuse=[0, 3, 1, 0],
        rejections=[0, 1, 0, 0],
    )
    assert report.indicators["injection"].severity == pytest.approx([0.3, 0.4 + 0.15])  # not .2, .2
    assert report.indicators["injection"].confidence == pytest.approx([0.5, 0.75])
    assert report.indicators["exfiltration"].severity == pytest.approx([0.9])
    assert (report.injection_rate, report.exfiltration_attempts, report.active_threats) == (0.5, 1, 3)
    assert report.agent_threat == pytest.approx([0.54, 0.3 * 0.54, 0.0])


def test_manipulation():
    columns = {
        "initiator": [0] * 4 + [2] * 2,
        "counterparty": [1, 1, 3, 1, 1, 1],
        "p": [0.35, 0.35, 0.45, 0.45] + [0.35] * 2,
        "accepted": [True] * 6,
        "r_a": [0.1] * 6,
        "tau": [0.0, 0.0, -2.0, 0.0, 0.0, 0.0],
    }
    report = security(**columns)  # agent 2 initiated too little
    signs = report.indicators["manipulation"]
    assert (signs.source.tolist(), signs.severity.tolist()) == ([0], [0.75])
    assert signs.confidence == pytest.approx([0.5 + 0.4 * 0.75])
    assert sorted(report.agents[signs.target].tolist()) == [1, 3]
    assert report.manipulation_rate == 1 / 4
    assert not security(SecuritySettings(manipulation_threshold=0.8), **columns).indicators["manipulation"].source.size


def test_laundering_takes_the_shortest_way():
    columns = {"initiator": [0, 1], "counterparty": [1, 2], "p": [0.9] * 2, "accepted": [True] * 2}
    trust = [0.1, 0.3, 0.8]
    report = security(trust=trust, **columns)
    signs = report.indicators["laundering"]
    assert (signs.source.tolist(), signs.target.tolist()) == ([0], [2])
    assert signs.risk == pytest.approx([1.0 * 0.8])
    assert report.laundering_rate == 1 / 2
    assert not security(**columns).indicators["laundering"].source.size
    pairs = security(SecuritySettings(min_chain_length=2), trust, **columns).indicators["laundering"]
    assert sorted(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == [(0, 2), (1, 2)]
    direct = {"initiator": [0, 1, 0], "counterparty": [1, 2, 2], "p": [0.9] * 3, "accepted": [True] * 3}
    assert security(trust=trust, **direct).laundering_rate == 0.0


def test_contagion():
    report = security(**CHAIN)
    assert report.contagion.chain.tolist() == [[0, 1, 2, 3, -1, -1, -1]]
    assert report.contagion.velocity == pytest.approx([3 / (2 / 10 + 0.01)])
    assert report.contagion_depth == 3
    risk = 0.6 * 0.9
    assert report.agent_threat == pytest.approx([risk, 0.3 * risk, 0.3 * risk, 0.3 * risk])
    level = 0.25 * 1 / 20 + 0.25 * 1 / 4 + 0.3 * 3 / 5
    assert report.ecosystem_threat_level == pytest.approx(level)


def test_contagion_takes_time_and_spreads_forward():
    assert security(**CHAIN, step=[5, 5, 6]).contagion_depth == 0  # one of the two is not later
    slow = {"step": [0, 20, 40]}
    assert security(**CHAIN, **slow).contagion_depth == 0  # 3/4.01 deals an epoch
    assert security(SecuritySettings(contagion_velocity=0.7), **CHAIN, **slow).contagion_depth == 3
    assert security(SecuritySettings(steps_per_epoch=40), **CHAIN, **slow).contagion_depth == 3
    assert security(SecuritySettings(min_chain_length=5), **CHAIN).contagion_depth == 0


def test_contained_chains_are_dropped():
    columns = {
        "initiator": [0, 2, 1, 1, 1],
        "counterparty": [1, 1, 2, 3, 0],
        "p": [0.1] * 5,
        "accepted": [True] * 5,
    }
    report = security(**columns)  # from 0: {0,1,2,3}; from 2: the same set, so the earlier stays
    assert report.contagion.chain[:, 0].tolist() == [0]


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        (CollusionSettings, "frequency_threshold", 0.0),
        (CollusionSettings, "correlation_threshold", 1.5),
        (CollusionSettings, "min_interactions", 0),
        (CollusionSettings, "score_threshold", math.nan),
        (SecuritySettings, "injection_threshold", -0.1),
        (SecuritySettings, "manipulation_threshold", 1.1),
        (SecuritySettings, "laundering_trust_gap", -1.0),
        (SecuritySettings, "contagion_velocity", 0.0),
        (SecuritySettings, "min_chain_length", 1),
        (SecuritySettings, "steps_per_epoch", 0),
    ],
)
def test_settings_out_of_range(settings, field, value):
    with pytest.raises(ValueError, match=field):
        settings(**{field: value})
