"""What holds for every table: ranges, identities, and what no metric may depend on."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_env.metrics import METRICS, compute, gini, replay_incoherence, security_report, tabulate

EVERY = settings(max_examples=50, deadline=None)
UNIT = st.floats(0, 1) | st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0])
MONEY = st.floats(-20, 20) | st.just(0.0)


@st.composite
def payoffs(draw):
    names = ("s_plus", "s_minus", "h", "theta", "rho_a", "rho_b", "w_rep")
    return {name: draw(UNIT) * (1 if name in ("theta", "rho_a", "rho_b") else 4) for name in names}


@st.composite
def tables(draw, agents=6, **fixed):
    """Columns of up to 24 rows; keyword arguments replace a column's strategy."""
    n = draw(st.integers(0, 24))
    cells = {
        "initiator": st.integers(0, agents - 1),
        "counterparty": st.integers(0, agents - 1),
        "p": UNIT,
        "p_offer": UNIT,
        "accepted": st.booleans(),
        "v": st.sampled_from([1.0, -1.0, math.nan]),
        "misuse": st.integers(0, 3),
        "rejections": st.integers(0, 3),
        "step": st.integers(0, 30),
        **dict.fromkeys(("tau", "c_a", "c_b", "r_a", "r_b", "effort"), MONEY),
        **fixed,
    }
    rows = draw(st.lists(st.tuples(*cells.values()), min_size=n, max_size=n))
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(cells)
    table = {name: np.array(column) for name, column in zip(cells, columns, strict=True)}
    table["responded"] = table["accepted"].astype(bool) | (table["step"] % 3 > 0)
    return table


def same(one, other):
    assert one == pytest.approx(other, rel=1e-6, abs=1e-9, nan_ok=True)


@EVERY
@given(tables(), payoffs(), st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_registry_walk(table, payoff, trust):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = compute(table, payoff, trust=trust)
    assert set(values) == set(METRICS)
    for name, value in values.items():
        low, high = METRICS[name].range
        assert type(value) is float
        assert math.isnan(value) or low <= value <= high, (name, value)


def test_registry_reads_well():
    for name, metric in METRICS.items():
        assert metric.range[0] < metric.range[1], name
        assert metric.better in ("lower", "higher", None)
        assert metric.description


@EVERY
@given(tables(), payoffs(), st.lists(st.floats(-2, 2), min_size=6, max_size=6), st.randoms())
def test_the_order_of_rows_does_not_matter(table, payoff, trust, random):
    order = random.sample(range(len(table["p"])), len(table["p"]))
    shuffled = {name: column[order] for name, column in table.items()}
    one, other = compute(table, payoff, trust=trust), compute(shuffled, payoff, trust=trust)
    for values in (one, other):  # a mean near 0 magnifies rounding here
        del values["cv_payoff_initiator"], values["cv_payoff_counterparty"]
    same(one, other)


@EVERY
@given(tables(), payoffs(), st.permutations(range(6)))
def test_the_names_of_agents_do_not_matter(table, payoff, names):
    renamed = {name: np.array(names)[table[name].astype(int)] for name in ("initiator", "counterparty")}
    columns = [name for name in METRICS if not name.startswith("cv_payoff")]
    same(compute(table | renamed, payoff, columns), compute(table, payoff, columns))


@EVERY
@given(tables(), payoffs())
def test_identities(table, payoff):
    values = compute(table, payoff)
    accepted, v = table["accepted"].astype(bool), values
    assert v["accepted_interactions"] + v["rejected_interactions"] == v["total_interactions"] == accepted.size
    same(v["toxicity_rate"], 1.0 - v["average_quality_accepted"])
    same(v["toxicity_rate_all"], 1.0 - v["average_quality"])
    same(v["toxicity_rate"], v["baseline_harm"] - v["selection_credit"])
    same(v["spread"], -(payoff["s_plus"] + payoff["s_minus"]) * v["selection_credit"])
    if 0 < accepted.sum() < accepted.size:
        same(v["selection_credit"], (1.0 - v["acceptance_rate"]) * v["quality_gap"])
        assert abs(v["quality_gap"]) <= 1.0
    if accepted.any():
        both = v["avg_initiator_payoff"] + v["avg_counterparty_payoff"]
        same(v["total_welfare"], both * v["accepted_interactions"])


@EVERY
@given(tables(), payoffs(), st.floats(-10, 10))
def test_transfers_and_splits_cancel_in_welfare(table, payoff, shift):
    names = ["total_welfare", "net_social_welfare"]
    moved = compute(table | {"tau": table["tau"] + shift}, payoff | {"theta": 1 - payoff["theta"]}, names)
    same(moved, compute(table, payoff, names))


@EVERY
@given(tables(), payoffs())
def test_correlation_is_numpys(table, payoff):
    p, accepted = table["p"], table["accepted"].astype(float)
    found = compute(table, payoff, "quality_correlation")["quality_correlation"]
    if p.size and p.std() > 1e-3 and accepted.std() > 0:
        same(found, np.corrcoef(p, accepted)[0, 1])


@EVERY
@given(tables(), payoffs())
def test_auc_by_pairs(table, payoff):
    positive, negative = table["p"][table["v"] == 1], table["p"][table["v"] == -1]
    found = compute(table, payoff, "discrimination_auc")["discrimination_auc"]
    if positive.size and negative.size:
        gap = positive[:, None] - negative[None, :]
        same(found, float((gap > 0).mean() + 0.5 * (gap == 0).mean()))
    else:
        assert math.isnan(found)


@EVERY
@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.floats(0.1, 10))
def test_gini(values, scale):
    x = np.array(values)
    assert math.isnan(gini(x)) == (not x.any())
    if np.abs(x).sum() > 1e-6:
        assert 0.0 <= gini(x) <= 1.0
        same(gini(x), gini(scale * x[::-1]))
        same(gini(x), np.abs(x[:, None] - x[None, :]).sum() / (2 * x.size * np.abs(x).sum()))


@EVERY
@given(tables(agents=9, accepted=st.just(True), p=st.sampled_from([0.1, 0.9])))
def test_contagion_by_a_plain_walk(table):
    found = security_report(tabulate(table)).contagion
    rows = sorted(
        (int(t), int(a), int(b))
        for t, a, b, p in zip(*(table[c] for c in ("step", "initiator", "counterparty", "p")), strict=True)
        if p < 0.3
    )
    chains = []
    for t, a, b in rows:
        later = [(u, d) for u, c, d in rows if c == b and u > t]
        reached = list(dict.fromkeys([a, b, *(d for _, d in later[:5])]))
        if len(later) >= 2 and len(reached) >= 3 and (len(reached) - 1) / ((later[-1][0] - t) / 10 + 0.01) >= 2:
            chains.append(set(reached))
    kept = []
    for chain in sorted(chains, key=len, reverse=True):
        if not any(chain <= other for other in kept):
            kept.append(chain)
    agents = np.unique(np.concatenate((table["initiator"], table["counterparty"]))).astype(int)
    ours = [frozenset(agents[row[row >= 0]].tolist()) for row in found.chain]
    assert sorted(map(sorted, ours)) == sorted(map(sorted, kept))


@EVERY
@given(st.lists(st.lists(st.integers(-1, 3), min_size=4, max_size=4), min_size=1, max_size=5))
def test_replays_by_counting(actions):
    found = replay_incoherence(actions, [0] * len(actions))
    for i, replays in enumerate(actions):
        acted = [action for action in replays if action >= 0]
        if not acted:
            assert math.isnan(found.disagreement[i])
            continue
        same(found.disagreement[i], 1 - max(acted.count(action) for action in acted) / len(acted))
        same(found.error[i], sum(action != 0 for action in acted) / len(acted))
        assert 0.0 <= found.incoherence[i] <= 1.0
