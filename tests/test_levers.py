"""The levers by hand: off they do nothing, on they give the numbers of market.md, at a threshold exactly as it says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_env.core import act, decide, governance, random, respond, step, turn
from swarm_env.core.contacts import is_frozen
from swarm_env.core.effect import Effect, add, nothing
from swarm_env.core.governance import LEVERS
from swarm_env.core.levers import audit, circuit_breaker, transaction_tax
from swarm_env.core.types import ADVERSARIAL, HONEST, NOOP, POST, TASK, VOTE
from swarm_env.testing import plain_market

K = 10.0
#: p is a function of task progress alone, so that a test can choose it.
EXACT = {
    "market": {"weights": {"task_progress": 1, "rework": 0, "verifier": 0, "engagement": 0}},
    "payoff": {"sigmoid_k": K, "s_plus": 2.5, "s_minus": 1.5, "w_rep": 1.5},
    "simulation": {"n_epochs": 10, "steps_per_epoch": 2},
}


def market(learners="all", **governance):
    data = {"scenario_id": "t", "agents": [{"type": "honest", "count": 3}], **EXACT}
    return plain_market({**data, "governance": governance}, learners)


def deal(m, p=0.5, tau=0.0, accepted=True):
    it = m.deals[0]
    it.counterparty, it.p, it.tau, it.accepted = 1, p, tau, accepted
    return it


def settle(m, p, accepted=True, conduct=HONEST):
    """Let agent 0 propose to agent 1 with that quality and get that answer; returns the deal."""
    agent = m.agents[0]
    agent.proposed, m.proposals[0].conduct = m.seats[0].start, conduct
    m.proposals[0].progress, m.proposals[0].p = math.log(p / (1 - p)) / K, p
    agent.scratch.answered, agent.scratch.accepted = True, accepted
    respond.respond(m)
    assert m.deals[0].p == pytest.approx(p)
    return m.deals[0]


def epoch(m):
    for _ in range(2):
        step.begin(m)
        turn.turn(m)


#: Every setting of a lever but the one that turns it on, all as fierce as can be.
OFF = {
    "vote_normalization": {"max_vote_weight_per_agent": 0.1},
    "staking": {"min_stake_to_participate": 1e6, "stake_slash_rate": 1.0},
    "transaction_tax": {"transaction_tax_split": 1.0},
    "audit": {"audit_probability": 1.0, "audit_threshold_p": 1.0},
    "circuit_breaker": {"freeze_threshold_toxicity": 0.0, "freeze_threshold_violations": 1},
    "collusion": {"collusion_score_threshold": 0.0, "collusion_realtime_penalty": True, "collusion_realtime_rate": 9.0},
    "security": {"security_realtime_penalty": True, "security_realtime_threshold": 0.0},
    "nothing at all": {},
}  # fmt: skip


@pytest.mark.parametrize("lever", OFF)
@pytest.mark.parametrize("accepted", [True, False])
def test_a_lever_that_is_off_has_no_effect(lever, accepted):
    m = market(**OFF[lever])
    agent = m.agents[0]
    book = m.books[0]
    book.recent[:], book.initiated, book.violations, agent.reputation, agent.votes = 1.0, 10, 5, -0.5, 3
    m.books.collusion_risk = m.books.threat = 1.0
    assert governance.on_interaction(m, 0, deal(m, p=0.1, tau=-1.2, accepted=accepted), nothing()) == nothing()
    assert not m.deals[0].costs.any()
    assert governance.may_act(m.params, agent)
    assert governance.vote_weight(m.params, agent) == 1.0
    assert governance.on_sanction(m.params, agent) == nothing()
    epoch(m)
    assert (agent.reputation, agent.resources, agent.frozen_until, agent.quarantined_until) == (-0.5, 100.0, 0, 0)


def test_levers_act_in_the_order_of_the_registry():
    order = "reputation_decay vote_normalization bandwidth staking transaction_tax audit circuit_breaker"
    assert list(LEVERS) == [*order.split(), "collusion", "security"]


def test_effects_add_up_and_the_longer_freeze_holds():
    x, y = Effect(1, 2, 3, 4, 1, 0, 5, 0, 0), Effect(10, 20, 30, 40, 0, 1, 2, 7, 1)
    assert add(x, y) == add(y, x) == Effect(11, 22, 33, 44, 1, 1, 5, 7, 1)


def test_decay_multiplies_every_reputation_at_epoch_start():
    m = market(reputation_decay_rate=0.8)
    m.agents.reputation = (0.5, -1.0, 0.0)
    turn.turn(m)
    assert list(m.agents.reputation) == [0.5, -1.0, 0.0]
    turn.turn(m)
    assert list(m.agents.reputation) == pytest.approx([0.4, -0.8, 0.0])
    assert list(m.agents.resources) == [100.0] * 3


def test_decay_comes_before_the_fines_of_the_same_epoch():
    m = market(reputation_decay_rate=0.5, security_enabled=True, security_min_interactions=1)
    m.agents[0].reputation, m.row.remembered, m.row.suspects, past = 0.8, 1, 1, m.history[0]
    past.listed, past.risk = m.seats[0].start, 0.36  # an exfiltration's
    epoch(m)
    assert m.agents[0].reputation == pytest.approx(0.5 * 0.8 - 0.36)


def intend(m, i, verb, conduct=HONEST):
    scratch = m.agents[i].scratch
    scratch.verb, scratch.contact, scratch.conduct = verb, m.seats[i].start, conduct


def test_normalised_votes_move_reputation_by_their_weight_until_the_epoch_is_over():
    m = market(vote_normalization_enabled=True, max_vote_weight_per_agent=4.0)
    target = m.edges[m.seats[0].start].peer
    for total in (1, 1 + 0.8, 1 + 0.8 + 2 / 3, 1 + 0.8 + 2 / 3 + 4 / 7, 1 + 0.8 + 2 / 3 + 4 / 7 + 0.5):
        intend(m, 0, VOTE)
        act.act(m)
        assert m.agents[target].reputation == pytest.approx(0.01 * total)
    epoch(m)
    intend(m, 0, VOTE, ADVERSARIAL)
    act.act(m)
    assert m.outcomes[0].weight == 1.0
    assert m.agents[target].reputation == pytest.approx(0.01 * (total - 1))


def test_bandwidth_counts_every_verb_but_the_noop():
    m = market(bandwidth_cap=2)
    for verb, done in ((NOOP, NOOP), (POST, POST), (NOOP, NOOP), (TASK, TASK), (POST, NOOP), (VOTE, NOOP)):
        step.begin(m)
        intend(m, 0, verb)
        act.act(m)
        assert m.outcomes[0].verb == done
    assert m.agents[0].actions == 2
    epoch(m)
    assert governance.may_act(m.params, m.agents[0])


def test_bandwidth_0_blocks_all_who_act_but_nobody_who_answers():
    m = market(learners=(), bandwidth_cap=0)
    for _ in range(12):
        step.begin(m)
        decide.decide(m, np.zeros((0, 5), dtype=np.int64))
        act.act(m)
        assert {int(outcome.verb) for outcome in m.outcomes} == {NOOP}
    assert settle(m, 0.7).accepted


@pytest.mark.parametrize(("resources", "may"), [(9.99, False), (10.0, True), (10.01, True)])
def test_staking_bars_those_who_hold_less_than_the_stake(resources, may):
    m = market(staking_enabled=True, min_stake_to_participate=10.0)
    m.agents[0].resources = resources
    assert governance.may_act(m.params, m.agents[0]) == may
    intend(m, 0, POST)
    act.act(m)
    assert m.outcomes[0].verb == (POST if may else NOOP)


def test_staking_slashes_once_for_a_failed_audit_and_once_for_a_violation():
    audits = {"audit_enabled": True, "audit_probability": 1.0, "audit_threshold_p": 0.6}
    breaker = {"circuit_breaker_enabled": True, "freeze_threshold_toxicity": 0.5}
    for levers, times in ((audits, 1), (breaker, 1), (audits | breaker, 2), ({}, 0)):
        m = market(staking_enabled=True, stake_slash_rate=0.25, **levers)
        before = 100.0 + settle(m, 0.4).payoff_a
        assert m.agents[0].resources == pytest.approx(before * 0.75**times)
        assert m.outcomes[0].penalty == pytest.approx(before * (1 - 0.75**times))
        assert m.agents[0].reward == pytest.approx(m.agents[0].resources - 100.0)


#: p, tau, accepted -> what is taxed; S = 2.5p - 1.5(1-p).
TAXED = {
    (0.8, -1.2, True): 1.7 + 1.2, (0.8, 0.0, True): 1.7, (0.2, -1.2, True): 1.2, (0.2, 0.5, True): 0.5,
    (0.8, -1.2, False): 0.0,
}  # fmt: skip


@pytest.mark.parametrize(("terms", "base"), TAXED.items())
def test_tax_is_a_share_of_surplus_and_transfer_split_between_the_two(terms, base):
    m = market(transaction_tax_rate=0.1, transaction_tax_split=0.25)
    effect = transaction_tax.on_interaction(m, 0, deal(m, *terms))
    assert (effect.c_a, effect.c_b) == pytest.approx((0.1 * base * 0.25, 0.1 * base * 0.75))
    assert effect[2:] == nothing()[2:]


AUDIT = {"audit_enabled": True, "audit_probability": 1.0, "audit_threshold_p": 0.6, "audit_penalty_multiplier": 2.0}


@pytest.mark.parametrize(("p", "penalty"), [(0.4, 0.4), (0.1, 1.0), (0.6, 0.0), (0.9, 0.0)])
@pytest.mark.parametrize("accepted", [True, False])
def test_a_failed_audit_costs_the_shortfall_times_the_multiplier(p, penalty, accepted):
    m = market(**AUDIT)
    effect = audit.on_interaction(m, 0, deal(m, p, accepted=accepted))
    assert effect == pytest.approx(Effect(penalty, 0, -penalty, 0, int(penalty > 0), 0, 0, 0, 0))


def test_an_audit_takes_reputation_twice_by_the_penalty_and_by_the_cost():
    for accepted, reputation in ((True, (0.4 - 0.5) - 0.4 - 0.4), (False, -0.4)):
        m = market(**AUDIT)
        settle(m, 0.4, accepted)
        assert list(m.agents.reputation) == pytest.approx([reputation, 0, 0])
        assert (m.books[0].failed_audits, m.outcomes[0].audited) == (1, True)


@pytest.mark.parametrize(("probability", "share"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_an_audit_comes_with_its_probability(probability, share):
    m = market(**AUDIT | {"audit_probability": probability})
    failed = []
    for n in range(600):
        m.row.step_key = random.step_key(m.row.key, n // 3)
        failed.append(audit.on_interaction(m, n % 3, deal(m, 0.2)).failed_audit)
    assert np.mean(failed) == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / 600))


def breaker(**changes):
    limits = {"freeze_threshold_toxicity": 0.6, "freeze_threshold_violations": 2, "freeze_duration_epochs": 2}
    return market(circuit_breaker_enabled=True, **limits | changes)


@pytest.mark.parametrize(("toxicity", "violation"), [(0.4999, 0), (0.5, 1), (0.5001, 1)])  # sums of .5 are exact
@pytest.mark.parametrize("count", [1, 4, 10])
def test_the_breaker_counts_a_mean_at_the_threshold(toxicity, violation, count):
    m = breaker(freeze_threshold_toxicity=0.5)
    m.books[0].recent[:count], m.books[0].initiated = toxicity, count
    assert circuit_breaker.on_interaction(m, 0, deal(m)) == Effect(0, 0, 0, 0, 0, violation, 0, 0, 0)


def test_the_breaker_looks_at_the_last_ten_accepted_or_not():
    m = breaker(freeze_threshold_violations=100)
    for n in range(10):
        settle(m, 0.8, accepted=n % 2 == 0)
    for n in range(1, 11):  # mean 1-p is (n*.8 + (10-n)*.2)/10: from .6 on at n = 7
        settle(m, 0.2, accepted=n % 2 == 0)
        assert m.outcomes[0].violation == (n >= 7)
    assert (m.books[0].violations, m.books[0].breaches) == (4, 4)


def test_violations_up_to_the_limit_freeze_and_each_further_one_freezes_anew():
    m = breaker()
    for expected in ((1, 0, False), (2, 2, True)):
        settle(m, 0.2)
        assert (m.books[0].violations, m.agents[0].frozen_until, m.outcomes[0].froze) == expected
    epoch(m)
    settle(m, 0.2)  # proposed before it was frozen
    assert m.agents[0].frozen_until == 3


def test_a_freeze_ends_at_its_epoch_clears_the_violations_and_keeps_the_window():
    m = breaker()
    for _ in range(2):
        settle(m, 0.2)
    agent = m.agents[0]
    epoch(m)
    assert (is_frozen(agent, m.row.epoch), m.books[0].violations, m.outcomes[0].released) == (True, 2, False)
    epoch(m)
    assert (is_frozen(agent, m.row.epoch), m.books[0].violations, m.outcomes[0].released) == (False, 0, True)
    assert m.books[0].initiated == 2
    settle(m, 0.7)  # (.8 + .8 + .3)/3 = .63: the record still counts
    epoch(m)
    assert (m.books[0].violations, agent.frozen_until) == (1, 0)


def test_violations_short_of_the_limit_are_not_forgiven_with_the_epoch():
    m = breaker(freeze_duration_epochs=1)
    settle(m, 0.2)
    for _ in range(3):
        epoch(m)
    assert m.books[0].violations == 1
    settle(m, 0.2)
    assert m.agents[0].frozen_until == 3 + 1


EVERYTHING = {
    **AUDIT, "transaction_tax_rate": 0.2, "transaction_tax_split": 0.3, "circuit_breaker_enabled": True,
    "collusion_detection_enabled": True, "collusion_realtime_penalty": True, "collusion_realtime_rate": 0.5,
    "security_enabled": True, "security_realtime_penalty": True, "security_realtime_threshold": 0.1,
}  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 0.99), st.booleans(), st.floats(0, 1), st.floats(0, 1), st.sampled_from([HONEST, ADVERSARIAL]))
def test_costs_by_lever_add_up_to_what_the_two_parties_pay(p, accepted, risk, threat, conduct):
    m = market(**EVERYTHING)
    m.books.collusion_risk, m.books.threat = risk, threat
    it = settle(m, p, accepted, conduct)
    assert it.costs.sum(axis=0) == pytest.approx([it.c_a, it.c_b])
    assert (it.costs >= 0).all()
    costs = dict(zip(LEVERS, it.costs.tolist(), strict=True))
    base = max(2.5 * p - 1.5 * (1 - p), 0) + (1.2 if conduct == ADVERSARIAL else 0)
    assert costs["transaction_tax"] == pytest.approx([0.2 * base * s * accepted for s in (0.3, 0.7)])
    assert costs["audit"] == pytest.approx([2 * max(0.6 - p, 0), 0])
    assert costs["collusion"] == pytest.approx([0.5 * risk if risk >= 0.5 else 0] * 2)
    score = (0.3 if accepted and p < 0.3 else 0) + 0.3 * threat
    assert costs["security"] == pytest.approx([0.2 * score, 0.1 * score] if score >= 0.1 else [0, 0])
    for i in (0, 1):
        assert m.outcomes[i].levers == pytest.approx(it.costs[:, i])
