"""From observables to v_hat to p, from p to payoffs: by hand, against SWARM's published numbers, and as properties."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from swarm_env.core import payoff as payoff_rules
from swarm_env.core import propose, proxy, random
from swarm_env.core.payoff import Payoff, payoffs
from swarm_env.core.proxy import count_signal, score
from swarm_env.core.types import ADVERSARIAL, CONDUCTS, DECEPTIVE, HONEST, OPPORTUNISTIC
from swarm_env.testing import plain_market

UNIT = st.floats(0, 1)
SIGNED = st.floats(-3, 3)
COUNT = st.integers(0, 20)
SIGNALS = st.tuples(SIGNED, COUNT, COUNT, COUNT, SIGNED)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_count_signals_by_hand():
    assert [count_signal(n, 0.3) for n in range(4)] == pytest.approx([1, -0.4, -0.82, -0.946])
    assert [count_signal(n, 0.4) for n in range(4)] == pytest.approx([1, -0.2, -0.68, -0.872])
    assert [count_signal(n, 0.5) for n in range(4)] == pytest.approx([1, 0, -0.5, -0.75])


@pytest.mark.parametrize(
    ("observables", "v_hat"),
    [
        ((1, 0, 0, 0, 1), 1.0),
        ((0, 0, 0, 0, 0), 0.4),  # .2*1 + .2*(1+1)/2
        ((0.5, 1, 1, 1, 0.2), 0.4 * 0.5 - 0.2 * 0.4 + 0.2 * (-0.2 + 0) / 2 + 0.2 * 0.2),
        ((-0.3, 3, 2, 1, -0.5), 0.4 * -0.3 + 0.2 * -0.946 + 0.2 * (-0.68 + 0) / 2 + 0.2 * -0.5),
        ((0.6, 0, 0, 2, 0), 0.24 + 0.2 + 0.2 * (1 - 0.5) / 2),
        ((5, 0, 0, 0, -5), 0.4 + 0.2 + 0.2 - 0.2),  # clipped to 1 and -1
    ],
)
def test_v_hat_and_p_by_hand(observables, v_hat):
    v, p = score(*observables)
    assert float(v) == pytest.approx(v_hat, abs=1e-15)
    assert float(p) == pytest.approx(sigmoid(2 * v_hat), abs=1e-15)


def test_v_hat_and_p_that_swarm_gives():
    v, p = score([0, 0.3, -0.2, 1, -1], [0, 0, 1, 0, 60], [0, 0, 0, 0, 60], [0, 1, 1, 0, 60], [-0.2, -0.4, -0.4, 1, -1])
    assert v == pytest.approx([0.36, 0.34, -0.14, 1, -1])
    assert p == pytest.approx([0.6726, 0.6637, 0.4305, 0.8808, 0.1192], abs=5e-5)


@given(SIGNALS, st.floats(0.01, 100))
def test_v_hat_and_p_keep_to_their_bounds(signals, k):
    v, p = score(*signals, k=k)
    assert -1 <= v <= 1
    assert sigmoid(-k) * (1 - 1e-12) <= p <= sigmoid(k)


@given(SIGNALS, st.integers(0, 4), st.floats(0, 5))
def test_p_never_falls_with_progress_or_engagement_nor_rises_with_a_count(signals, which, more):
    step = more if which in (0, 4) else math.ceil(more)
    changed = [x + step if n == which else x for n, x in enumerate(signals)]
    change = float(score(*changed)[1]) - float(score(*signals)[1])
    assert change >= -1e-15 if which in (0, 4) else change <= 1e-15


@pytest.mark.parametrize("which", range(5))
def test_every_observable_moves_p(which):
    base = [0.1, 1, 1, 1, 0.1]
    more = [x + 1 if n in (1, 2, 3) and n == which else x + 0.5 * (n == which) for n, x in enumerate(base)]
    assert (float(score(*more)[1]) > float(score(*base)[1])) == (which in (0, 4))
    assert float(score(*more)[1]) != float(score(*base)[1])


@given(SIGNALS, st.tuples(*[st.floats(0, 10)] * 4), st.floats(0.1, 50))
def test_only_the_ratio_of_weights_counts(signals, weights, scale):
    assume(sum(weights) > 1e-3)
    v, _ = score(*signals, weights=weights)
    assert float(score(*signals, weights=[scale * w for w in weights])[0]) == pytest.approx(float(v), abs=1e-12)
    parts = [float(score(*signals, weights=np.eye(4)[n])[0]) for n in range(4)]
    assert float(v) == pytest.approx(np.dot(weights, parts) / sum(weights), abs=1e-12)


def test_all_zero_weights_mean_equal_ones():
    observables = (0.5, 1, 0, 2, -0.25)
    assert float(score(*observables, weights=(0, 0, 0, 0))[0]) == pytest.approx((0.5 - 0.4 + 0.25 - 0.25) / 4)


def test_each_decay_belongs_to_its_count():
    v, _ = score(0, [1, 0, 0], [0, 1, 0], [0, 0, 1], 0, decays=(0.1, 0.2, 0.9), weights=(0, 1, 1, 0))
    assert v == pytest.approx([(-0.8 + 1) / 2, (1 + (-0.6 + 1) / 2) / 2, (1 + (1 + 0.8) / 2) / 2])


def test_score_broadcasts():
    v, p = score(np.zeros((3, 1)), [0, 1], 0, 0, 0.5)
    assert v.shape == p.shape == (3, 2)
    assert v[0].tolist() == v[2].tolist() == pytest.approx([0.5, 0.22])
    assert score([], 0, 0, 0, 0)[0].shape == (0,)
    assert score(0, 0, 0, 0, 0)[0].shape == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rework": -1}, "rework"),
        ({"rejections": [0, -1]}, "rejections"),
        ({"misuse": -0.5}, "misuse"),
        ({"k": 0}, "k must"),
        ({"k": 100.1}, "k must"),
        ({"k": math.nan}, "k must"),
        ({"weights": (1, 1, 1)}, "weights"),
        ({"weights": (1, 1, 1, -0.1)}, "weights"),
        ({"weights": (1, 1, 1, math.nan)}, "weights"),
        ({"decays": (0.3, 0.4, 1.0)}, "decays"),
        ({"decays": (0.009, 0.4, 0.5)}, "decays"),
        ({"decays": (0.3, math.nan, 0.5)}, "decays"),
    ],
)
def test_score_refuses_what_is_out_of_range(change, says):
    arguments = {"progress": 0, "rework": 0, "rejections": 0, "misuse": 0, "engagement": 0} | change
    with pytest.raises(ValueError, match=says):
        score(**arguments)


def test_the_market_scores_as_the_public_function_does():
    weights = {"task_progress": 3, "rework": 1, "verifier": 2, "engagement": 2}
    decays = {"rework": 0.2, "rejections": 0.6, "misuse": 0.7}
    params = market(payoff={"sigmoid_k": 3.5}, market={"weights": weights, "decays": decays}).params
    value = proxy.v_hat(params, 0.7, 2, 1, 3, -0.3)
    v, p = score(0.7, 2, 1, 3, -0.3, k=3.5, weights=list(weights.values()), decays=list(decays.values()))
    assert (value, proxy.quality(params, value)) == (float(v), float(p))


# ---- payoffs


def test_payoffs_by_hand():
    terms = Payoff(s_plus=2.5, s_minus=1.5, h=2.5, theta=0.4, rho_a=0.25, rho_b=0.5, w_rep=1.5)
    # S = .6*2.5 - .4*1.5 = .9, E = .4*2.5 = 1
    a, b = payoffs(0.6, terms, tau=-1.2, c_a=0.3, c_b=0.2, r_a=-0.2, r_b=0.1)
    assert float(a) == pytest.approx(0.4 * 0.9 + 1.2 - 0.3 - 0.25 - 1.5 * 0.2)
    assert float(b) == pytest.approx(0.6 * 0.9 - 1.2 - 0.2 - 0.5 + 1.5 * 0.1)


def test_default_payoffs_by_hand():
    a, b = payoffs([1.0, 0.0, 1 / 3, 0.75], Payoff())
    assert a.tolist() == b.tolist() == pytest.approx([1.0, -0.5, 0.0, 0.625])  # S/2; break-even at s_minus/(s+ + s-)
    assert Payoff().w_rep == 1


TEN = st.floats(0, 10)
TERMS = st.builds(
    Payoff, s_plus=TEN, s_minus=TEN, h=TEN, theta=UNIT, rho_a=UNIT, rho_b=UNIT, w_rep=st.floats(0, 5)
)  # fmt: skip


@given(TERMS, UNIT, SIGNED, UNIT, UNIT, SIGNED, SIGNED)
def test_together_they_share_the_surplus_less_costs_harm_borne_and_plus_reputation(t, p, tau, c_a, c_b, r_a, r_b):
    a, b = payoffs(p, t, tau, c_a, c_b, r_a, r_b)
    s, e = p * t.s_plus - (1 - p) * t.s_minus, (1 - p) * t.h
    together = s - c_a - c_b - (t.rho_a + t.rho_b) * e + t.w_rep * (r_a + r_b)
    assert float(a + b) == pytest.approx(together, abs=1e-9)


@given(TERMS, UNIT, SIGNED, SIGNED)
def test_the_transfer_moves_from_a_to_b_and_nothing_is_lost(t, p, tau, more):
    a, b = payoffs(p, t, [tau, tau + more])
    assert a[1] - a[0] == pytest.approx(-more, abs=1e-9)
    assert b[1] - b[0] == pytest.approx(more, abs=1e-9)


@given(TERMS, UNIT, UNIT)
def test_payoffs_never_fall_with_p(t, p, q):
    a, b = payoffs([min(p, q), max(p, q)], t)
    assert a[1] >= a[0] - 1e-12
    assert b[1] >= b[0] - 1e-12


def test_payoffs_broadcast_and_refuse_what_is_no_probability():
    a, b = payoffs(np.full((2, 1), 0.5), Payoff(), tau=[0.0, 1.0, 2.0])
    assert a.shape == b.shape == (2, 3)
    assert a[1].tolist() == pytest.approx([0.25, -0.75, -1.75])
    for wrong in (-0.01, 1.01, math.nan):
        with pytest.raises(ValueError, match="p must be"):
            payoffs([0.5, wrong], Payoff())


def test_the_rules_of_the_market_are_those_of_the_public_function():
    settings = Payoff(s_plus=3, s_minus=0.5, h=1, theta=0.3, rho_a=0.1, rho_b=0.2, w_rep=2)
    a, b = payoffs(0.7, settings, 0.4, 0.1, 0.2, 0.3, -0.1)
    assert float(a) == payoff_rules.payoff_a(settings, 0.7, 0.4, 0.1, 0.3)
    assert float(b) == payoff_rules.payoff_b(settings, 0.7, 0.4, 0.2, -0.1)


# ---- what a proposal is worth and what it looks like


def market(**sections):
    return plain_market({"scenario_id": "t", "agents": [{"type": "honest", "count": 2}], **sections})


def drawn(conduct, reputation=0.0, count=1500, **settings):
    """That many proposals, as columns."""
    m = market(market=settings)
    key, rows = random.episode_key(5, 0), []
    proposal = m.proposals[0]
    names = ("progress", "rework", "rejections", "misuse", "engagement", "p", "signal")
    for n in range(count):
        step = random.step_key(key, n)
        propose.draw_proposal(m.params, proposal, conduct, reputation, step, n % 3)
        reading = propose.ledger_reading(m.params, proposal, step, n % 3)
        rows.append([*(getattr(proposal, name) for name in names), reading])
    return SimpleNamespace(**dict(zip((*names, "reading"), np.array(rows).T, strict=True)))


def v_hat(draws):
    return score(draws.progress, draws.rework, draws.rejections, draws.misuse, draws.engagement)[0]


#: market.md's table: progress, rework, rejections, misuse, engagement.
TABLE = {
    HONEST: ((0.3, 0.8), (0, 1), (0, 0), (0, 0), (0.2, 0.6)),
    OPPORTUNISTIC: ((0.1, 0.5), (0, 2), (0, 1), (0, 0), (-0.2, 0.3)),
    DECEPTIVE: ((0.2, 0.6), (0, 2), (0, 1), (0, 0), (0.0, 0.4)),
    ADVERSARIAL: ((-0.3, 0.2), (1, 3), (1, 2), (0, 1), (-0.5, -0.1)),
}
#: Mean p at reputation -1, 0, 1 as measured in SWARM (swarm-spec 1.4).
MEAN_P = [(0.691, 0.722, 0.750), (0.592, 0.607, 0.622), (0.608, 0.631, 0.653), (0.412, 0.403, 0.394)]


@pytest.mark.parametrize("conduct", TABLE, ids=CONDUCTS)
def test_conduct_draws_the_observables_of_the_table(conduct):
    progress, rework, rejections, misuse, engagement = TABLE[conduct]
    draws = drawn(conduct, reputation=1.0)
    for values, (low, high) in ((draws.progress, progress), (draws.engagement, engagement)):
        assert low <= values.min() < low + 0.01
        assert high - 0.01 < values.max() < high
        assert values.mean() == pytest.approx((low + high) / 2, abs=5 * (high - low) / math.sqrt(12 * 1500))
    for values, (low, high) in ((draws.rework, rework), (draws.rejections, rejections), (draws.misuse, misuse)):
        seen, counts = np.unique(values, return_counts=True)
        assert seen.tolist() == list(range(low, high + 1))
        assert counts / 1500 == pytest.approx(1 / len(seen), abs=5 * 0.5 / math.sqrt(1500))
    assert np.log(draws.p / (1 - draws.p)) / 2 == pytest.approx(v_hat(draws))


@pytest.mark.parametrize("conduct", TABLE, ids=CONDUCTS)
def test_mean_p_is_that_of_swarm_at_every_reputation(conduct):
    means = [drawn(conduct, reputation).p.mean() for reputation in (-1, 0, 1)]
    assert means == pytest.approx(MEAN_P[conduct], abs=0.006)


@pytest.mark.parametrize(("reputation", "factor"), [(-3, 0.5), (-1, 0.5), (0, 0.75), (0.4, 0.85), (1, 1), (3, 1)])
def test_reputation_scales_progress_and_engagement_alone(reputation, factor):
    draws, full = drawn(HONEST, reputation, 20), drawn(HONEST, 1.0, 20)
    assert draws.progress == pytest.approx(factor * full.progress)
    assert draws.engagement == pytest.approx(factor * full.engagement)
    assert draws.rework.tolist() == full.rework.tolist()


def bias(conduct, count=1500, **settings):
    """What the surface adds to v_hat, where there is no noise."""
    draws = drawn(conduct, count=count, signal_noise=0.0, **settings)
    return np.round(draws.signal - v_hat(draws), 9)


@pytest.mark.parametrize(
    ("conduct", "add", "share"),
    [(HONEST, -0.5, 0.2), (OPPORTUNISTIC, 0, 1), (DECEPTIVE, 0.3, 1), (ADVERSARIAL, 0.6, 0.5)],
)
def test_surface_flatters_or_slanders_by_conduct(conduct, add, share):
    found = bias(conduct)
    assert set(found.tolist()) == {add} | ({0.0} if share < 1 else set())
    assert (found == add).mean() == pytest.approx(share, abs=5 * 0.5 / math.sqrt(1500))


def test_settings_of_the_surface_are_read():
    assert set(bias(HONEST, 40, sensitive_probability=1.0, sensitive_bias=-1.5)) == {-1.5}
    assert set(bias(ADVERSARIAL, 40, disguise_probability=0.0)) == {0}
    assert set(bias(ADVERSARIAL, 40, disguise_bias=2.0)) == {0, 2}
    assert set(bias(DECEPTIVE, 40, deceptive_bias=0.1)) == {0.1}


def test_signal_and_ledger_reading_are_independent_and_as_noisy_as_they_say():
    draws = drawn(OPPORTUNISTIC)
    surface, reading = draws.signal - v_hat(draws), draws.reading - v_hat(draws)
    for noise, sd in ((surface, 0.15), (reading, 0.3)):
        assert noise.std() == pytest.approx(sd, rel=5 / math.sqrt(2 * 1500))
        assert abs(noise.mean()) < 5 * sd / math.sqrt(1500)
    assert abs(np.corrcoef(surface, reading)[0, 1]) < 5 / math.sqrt(1500)
    exact = drawn(HONEST, count=5, ledger_noise=0.0)
    assert exact.reading == pytest.approx(v_hat(exact))
