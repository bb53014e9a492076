"""Collusion control by hand: scores of pairs and groups, what is recorded of a pair, fines, forgetting."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from swarm_env.core import governance, step, turn
from swarm_env.core.contacts import pair_of
from swarm_env.core.effect import nothing
from swarm_env.core.levers import collusion
from swarm_env.metrics import tabulate
from swarm_env.metrics.collusion import CollusionSettings, collusion_report
from swarm_env.testing import plain_market


def market(agents=4, **changes):
    on = {"collusion_detection_enabled": True, **{f"collusion_{name}": value for name, value in changes.items()}}
    data = {"scenario_id": "t", "agents": [{"type": "honest", "count": agents}], "governance": on}
    return plain_market({**data, "simulation": {"n_epochs": 9, "steps_per_epoch": 1}})


def edge(m, i, j):
    agent = m.seats[i]
    return next(k for k in range(agent.start, agent.stop) if m.edges[k].peer == j)


def pair(m, i, j):
    return pair_of(m, edge(m, i, j))


def record(m, i, j, times=1, p=0.5, accepted=True, tau=0.0, c_a=0.0, c_b=0.0):
    m.agents[i].proposed = edge(m, i, j)
    deal = m.deals[i]
    deal.counterparty, deal.p, deal.accepted, deal.tau, deal.c_a, deal.c_b = j, p, accepted, tau, c_a, c_b
    for _ in range(times):
        collusion.remember(m, i, deal)


def next_epoch(m):
    step.begin(m)
    turn.turn(m)


@pytest.mark.parametrize(
    ("count", "accepted", "correlation", "mean_p", "z", "score"),
    [
        (10, 1.0, 0.8, 0.3, 1.0, 0.25 * 0.5 + 0.3 * 0.8 + 0.2 * 1 + 0.25 * 0.4),
        (40, 1.0, 0.8, 0.3, 1.0, 0.665),  # a full record is ten dealings
        (5, 1.0, 0.8, 0.3, 1.0, 0.665 / 2),
        (10, 1.0, 0.7, 0.3, 1.0, 0.425 + 0.3 * 0.7),  # a correlation at the threshold counts
        (10, 1.0, 0.69, 0.3, 1.0, 0.425),  # below it does not
        (10, 1.0, -1.0, 0.3, 1.0, 0.425),
        (10, 1.0, 0.0, 0.6, 5.0, 0.25 + 0.2),  # z is capped, good quality is no harm
        (10, 1.0, 0.0, 0.5, -5.0, 0.2),
        (10, 0.75, 0.0, 0.2, 0.0, 0.2 * 0.5 + 0.25 * 0.6),
        (10, 0.5, 0.0, 0.0, 0.0, 0.0),  # harm counts where more than half is accepted
        (10, 0.1, 0.0, 0.0, 2.0, 0.25),
        (10, 1.0, 1.0, 0.0, 2.0, 1.0),
    ],
)
def test_score_of_a_pair(count, accepted, correlation, mean_p, z, score):
    params = market().params
    assert collusion.pair_score(params, count, accepted, correlation, mean_p, z) == pytest.approx(score)


def test_a_correlation_counts_by_its_threshold_and_never_below_0():
    params = market(correlation_threshold=0.0).params
    scores = [collusion.pair_score(params, 10, 0.0, c, 0.5, 0.0) for c in (-0.5, 0.0, 0.1)]
    assert scores == pytest.approx([0, 0, 0.03])


@pytest.mark.parametrize(
    ("size", "n_in", "p_in", "n_out", "p_out", "score"),
    [
        (3, 6, 4.8, 2, 0.4, (0.4 * 0.5 + 0.6 * 0.6) * (0.5 + 0.5 * 0.6)),
        (9, 6, 4.8, 2, 0.4, 0.56),  # a full group has five members
        (5, 6, 4.8, 0, 0.0, 0.4 + 0.6 * 0.3),  # no dealings outside: p = .5
        (5, 0, 0.0, 3, 0.6, 0.6 * 0.3),
        (5, 2, 1.6, 2, 0.4, 0.6 * 0.6),  # half of them inside: no bias
        (5, 2, 0.4, 2, 1.6, 0.0),
        (5, 0, 0.0, 0, 0.0, 0.0),
    ],
)
def test_score_of_a_group(size, n_in, p_in, n_out, p_out, score):
    assert collusion.group_score(size, n_in, p_in, n_out, p_out) == pytest.approx(score)


def test_what_a_pair_initiates_is_recorded_by_direction_the_rest_of_both():
    m = market()
    record(m, 2, 1, 2, p=0.3)
    record(m, 1, 2, 3, p=0.7, accepted=False)
    there, back = m.relations[edge(m, 1, 2)], m.relations[edge(m, 2, 1)]
    assert m.edges[edge(m, 1, 2)].pair == m.edges[edge(m, 2, 1)].pair
    assert pair(m, 1, 2).count == m.pairs.count.sum() == 5
    assert (there.initiated, there.accepted, there.initiated_p) == (3, 0, pytest.approx(2.1))
    assert (back.initiated, back.accepted, back.initiated_p) == (2, 2, pytest.approx(0.6))


CENTS = st.integers(-300, 300).map(lambda n: n / 100)
DEALINGS = st.lists(st.tuples(st.booleans(), CENTS, CENTS, CENTS), min_size=2, max_size=25)


@given(DEALINGS)
@settings(deadline=None, max_examples=60)
def test_correlation_is_that_of_the_two_benefits_transfer_less_costs(dealings):
    m, benefits = market(2), []
    for forward, tau, c_a, c_b in dealings:
        record(m, 0 if forward else 1, 1 if forward else 0, tau=tau, c_a=c_a, c_b=c_b)
        benefits.append((-tau - c_a, tau - c_b) if forward else (tau - c_b, -tau - c_a))
    x, y = np.array(benefits).T
    found = collusion._correlation(pair(m, 0, 1))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found == 0.0
    elif min(np.ptp(x), np.ptp(y)) > 1e-9:
        assert found == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-6)


@given(st.integers(2, 40), st.floats(-3, 3), st.floats(0, 3), st.floats(0, 3))
@settings(deadline=None)
def test_benefits_that_never_change_have_correlation_0(times, tau, c_a, c_b):
    m = market(2)
    record(m, 1, 0, times, tau=tau, c_a=c_a, c_b=c_b)
    assert collusion._correlation(pair(m, 0, 1)) == 0.0


def test_one_dealing_has_no_correlation():
    m = market(2)
    record(m, 0, 1, tau=2.0, c_b=1.0)
    assert collusion._correlation(pair(m, 0, 1)) == 0.0


#: Dealings of three pairs: 12, 4 and 2, mean 6, sd sqrt(56/3); z of the first 1.389.
Z = 6 / math.sqrt(56 / 3)


def three_pairs(m):
    record(m, 0, 1, 12, p=0.2)
    record(m, 2, 3, 3, p=0.4)
    record(m, 3, 2, 1, p=0.1, accepted=False)
    record(m, 0, 2, 2, p=0.1)


def test_risk_is_the_highest_score_of_an_agents_pairs():
    m = market()
    three_pairs(m)
    collusion.assess(m)
    first = 0.25 * Z / 2 + 0.2 + 0.25 * 2 * (0.5 - (0.2 + 0.5) / 2)  # 1 never proposed to 0: .5
    second = (0.2 * 2 * (3 / 4 - 0.5) + 0.25 * 2 * (0.5 - (0.4 + 0.1) / 2)) * 0.4
    assert m.books.collusion_risk == pytest.approx([first, first, second, second])


def test_pairs_with_too_few_dealings_count_for_the_mean_but_have_no_score():
    m = market(min_interactions=5)
    three_pairs(m)
    collusion.assess(m)
    risk = m.books.collusion_risk
    assert risk[0] == risk[1] == pytest.approx(0.25 * Z / 2 + 0.2 + 0.075)
    assert risk[2] == risk[3] == 0.0
    m = market(min_interactions=19)
    three_pairs(m)
    collusion.assess(m)
    assert not m.books.collusion_risk.any()


def test_equal_pairs_have_no_frequency_term():
    m = market()
    for i, j in ((0, 1), (2, 3)):
        record(m, i, j, 10, p=0.9)
    collusion.assess(m)
    assert m.books.collusion_risk == pytest.approx([0.2] * 4)


def test_flagged_pairs_that_touch_form_a_group_with_a_score_of_its_own():
    m = market(6, score_threshold=0.2)
    for i, j in ((4, 1), (1, 3)):  # .2 each, flagged; a chain of three
        record(m, i, j, 10, p=0.9)
    record(m, 3, 0, 10, p=0.4, accepted=False)  # across the border
    collusion.assess(m)
    group = (0.4 * 2 * (20 / 30 - 0.5) + 0.6 * (0.9 - 0.4)) * (0.5 + 0.5 * 3 / 5)
    assert group > 0.2
    assert m.books.collusion_risk == pytest.approx([0, group, 0, group, group, 0])


def test_a_group_below_the_threshold_counts_for_nothing():
    m = market(score_threshold=0.2)
    record(m, 0, 1, 10, p=0.9)
    record(m, 0, 2, 10, p=0.9, accepted=False)
    record(m, 1, 2, 10, p=0.9, accepted=False)
    collusion.assess(m)  # r = 1/3, no favour: 0
    assert m.books.collusion_risk == pytest.approx([0.2, 0.2, 0.0, 0.0])


@pytest.mark.parametrize(("risk", "fined"), [(0.49, 0.0), (0.5, 0.5), (0.8, 0.8)])
def test_a_fine_takes_risk_of_reputation_and_ten_times_that_of_resources(risk, fined):
    m = market(penalty_multiplier=1.5, score_threshold=0.5)
    m.books[1].collusion_risk = risk
    effect = collusion.epoch_start(m, 1)
    assert effect == pytest.approx(nothing()._replace(reputation=-1.5 * fined, resources=-15 * fined))


def test_the_fine_comes_at_epoch_start_and_is_part_of_the_reward():
    m = market(score_threshold=0.2, penalty_multiplier=0.5)
    record(m, 0, 1, 10, p=0.6)
    next_epoch(m)
    # the pair: .2; the two of them as a group: (.4*1 + .6*.1)*(.5 + .5*.4)
    risk = 0.46 * 0.7
    assert m.books.collusion_risk == pytest.approx([risk, risk, 0, 0])
    for i in (0, 1):
        assert m.agents[i].reputation == pytest.approx(-0.5 * risk)
        assert m.agents[i].resources == pytest.approx(100 - 5 * risk)
        assert m.agents[i].reward == pytest.approx(-5 * risk)
        assert m.outcomes[i].penalty == pytest.approx(5 * risk)
    next_epoch(m)  # the record stays, so does the fine
    assert m.agents[0].resources == pytest.approx(100 - 10 * risk)


@pytest.mark.parametrize(
    ("risks", "cost"), [((0.5, 0.5), 0.1 * 0.5), ((0.9, 0.6), 0.075), ((0.49, 0.9), 0.0), ((0.9, 0.49), 0.0)]
)
@pytest.mark.parametrize("accepted", [True, False])
def test_realtime_two_flagged_agents_pay_the_rate_of_their_mean_risk(risks, cost, accepted):
    m = market(realtime_penalty=True, realtime_rate=0.1)
    m.books.collusion_risk[:2] = risks
    m.deals[0].counterparty, m.deals[0].accepted = 1, accepted
    effect = collusion.on_interaction(m, 0, m.deals[0])
    assert effect == pytest.approx(nothing()._replace(c_a=cost, c_b=cost))


def test_realtime_is_off_unless_asked_for():
    m = market()
    m.books.collusion_risk = 1.0
    assert governance.on_interaction(m, 0, m.deals[0], nothing()) == nothing()


def test_history_is_forgotten_after_the_assessment_if_asked():
    for forgets in (True, False):
        m = market(score_threshold=1.0, clear_history_on_epoch=forgets)
        record(m, 0, 1, 10, p=0.3, tau=0.3)
        record(m, 0, 1, 1, p=0.3, tau=0.4)
        next_epoch(m)
        assert m.books[0].collusion_risk == pytest.approx(0.2 + 0.25 * 0.2)
        both, there = pair(m, 0, 1), m.relations[edge(m, 0, 1)]
        left = [both.count, there.initiated, there.accepted, there.initiated_p, both.mean_x, both.mean_y]
        left += [both.m2_x, both.m2_y, both.m_xy]
        assert any(left) != forgets
        next_epoch(m)
        assert (m.books[0].collusion_risk == 0.0) == forgets


def test_what_is_off_keeps_no_books():
    m = market()
    m.params.collusion_detection_enabled = False
    record(m, 0, 1, 5)
    assert not m.pairs.count.any()
    assert not m.relations.initiated.any()


PAIRS = st.tuples(st.integers(0, 5), st.integers(0, 4))
EXACT = st.integers(-8, 8).map(lambda n: n / 4)  # no rounding that one side takes for a change of benefit
RECORD = st.tuples(PAIRS, st.floats(0, 1), st.booleans(), EXACT, st.sampled_from([0.0, 0.5]), st.integers(1, 9))


@given(st.lists(RECORD, min_size=1), st.sampled_from([0.1, 0.2, 0.35]))
@settings(deadline=None, max_examples=60)
def test_lever_and_report_find_the_same_risk(records, threshold):
    m, rows = market(6, score_threshold=threshold, correlation_threshold=0.3), []
    for (i, other), p, accepted, tau, c_a, times in records:
        j = other + (other >= i)
        record(m, i, j, times, p, accepted, tau, c_a)
        rows += [(i, j, p, accepted, tau, c_a)] * times
    collusion.assess(m)
    names = ("initiator", "counterparty", "p", "accepted", "tau", "c_a")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    settings = CollusionSettings(correlation_threshold=0.3, score_threshold=threshold)
    report = collusion_report(tabulate(columns, num_agents=6), settings)
    scores = [*report.pairs.score, *report.groups.score]
    assume(all(abs(score - threshold) > 1e-9 for score in scores))
    assume(all(abs(c - 0.3) > 1e-9 for c in report.pairs.correlation))
    assert m.books.collusion_risk == pytest.approx(report.agent_risk, abs=1e-6)
