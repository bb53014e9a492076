"""The phases of a step: what a settled proposal pays and teaches, what verbs do, what is legal, how an epoch turns."""

import math

import numpy as np
import pytest

from swarm_env.core import act, decide, respond, step, turn
from swarm_env.core.contacts import pair_of
from swarm_env.core.effect import change
from swarm_env.core.types import ADVERSARIAL, DECEPTIVE, HONEST, NOOP, POST, PROPOSE, TASK, VOTE
from swarm_env.testing import plain_market
from tests.market import rich


def market(count=4, learners="all", **sections):
    return plain_market({"scenario_id": "t", "agents": [{"type": "honest", "count": count}], **sections}, learners)


def edge(m, i, j):
    return next(k for k in range(m.seats[i].start, m.seats[i].stop) if m.edges[k].peer == j)


def contact(m, i, j):
    return m.contacts[edge(m, i, j)]


def relation(m, i, j):
    return m.relations[edge(m, i, j)]


def play(m, orders=None, **told):
    """One step; told: agent -> verb, peer slot, conduct, accept bits. A peer slot is the contact's place by index."""
    orders = np.zeros((len(m.agents), m.params.inbox + 3), dtype=np.int64) if orders is None else orders
    for name, (verb, peer, conduct, *bits) in told.items():
        orders[int(name[1:]), m.params.inbox :] = verb, peer, conduct
        orders[int(name[1:]), : len(bits)] = bits
    step.begin(m)
    decide.decide(m, orders)
    respond.respond(m)
    act.act(m)
    turn.turn(m)


def settle(m, accepted, conduct=HONEST, engagement=0.5):
    """Settle what agent 0 proposed to agent 1: v_hat .7 if accepted, .6 if not."""
    agent, proposal = m.agents[0], m.proposals[0]
    agent.proposed, proposal.conduct, proposal.p = m.seats[0].start, conduct, p_of(0.7)
    proposal.progress, proposal.engagement = 0.5, engagement
    agent.scratch.answered, agent.scratch.accepted = True, accepted
    respond.respond(m)
    return m.deals[0]


def p_of(v_hat):
    return 1 / (1 + math.exp(-2 * v_hat))


PAYOFF = {"s_plus": 2.5, "s_minus": 1.5, "h": 2.5, "theta": 0.4, "rho_a": 0.1, "rho_b": 0.2, "w_rep": 1.5}
TAXED = {"audit_enabled": True, "audit_probability": 1.0, "audit_threshold_p": 1.0, "audit_penalty_multiplier": 1.0}


def test_an_accepted_interaction_pays_both_sides_by_the_formula_less_effort_and_extraction():
    m = market(payoff=PAYOFF, governance={"transaction_tax_rate": 0.1, "transaction_tax_split": 0.25})
    deal, p = settle(m, True, DECEPTIVE), p_of(0.7)
    s, e, tax = 2.5 * p - 1.5 * (1 - p), 2.5 * (1 - p), 0.1 * (2.5 * p - 1.5 * (1 - p) + 0.15)
    assert (deal.p, deal.p_offer, deal.tau, deal.effort) == pytest.approx((p, p, -0.15, 0.2))
    r_a = p - 0.5 - 0.25 * tax
    pay_a = 0.4 * s + 0.15 - 0.25 * tax - 0.1 * e + 1.5 * r_a - 0.2
    pay_b = 0.6 * s - 0.15 - 0.75 * tax - 0.2 * e
    assert m.agents.resources == pytest.approx([100 + pay_a, 100 + pay_b, 100, 100])
    assert [a.reward for a in m.agents] == pytest.approx([pay_a, pay_b, 0, 0])
    assert m.outcomes[0].payoff_initiator == pytest.approx(pay_a)
    assert m.outcomes[1].payoff_counterparty == pytest.approx(pay_b)
    assert m.agents.reputation == pytest.approx([r_a, 0, 0, 0])
    assert (deal.r_a, deal.r_b) == pytest.approx((r_a, 0))


def test_a_rejected_interaction_pays_nothing_but_its_governance_costs_and_clips_engagement():
    m = market(governance=TAXED)
    deal, p = settle(m, False, ADVERSARIAL), p_of(0.6)
    assert (deal.engagement, deal.v_hat, deal.p, deal.p_offer) == pytest.approx((0, 0.6, p, p_of(0.7)))
    assert m.agents.resources == pytest.approx([100 - (1 - p), 100, 100, 100])
    assert (m.agents[0].reward, m.outcomes[0].cost) == pytest.approx((p - 1, 1 - p))
    assert m.outcomes[0].payoff_initiator == m.outcomes[1].payoff_counterparty == 0
    assert m.agents.reputation == pytest.approx([p - 1, 0, 0, 0])  # the audit's penalty, not r_a
    m = market()
    assert settle(m, False, ADVERSARIAL, engagement=-0.3).engagement == -0.3
    assert list(m.agents.resources) == [100.0] * 4
    assert not m.agents.reputation.any()


def test_reputation_is_clipped_but_what_it_earns_is_paid_in_full():
    p = p_of(0.7)
    for start, levers, r_a, end in ((0.9, {}, p - 0.5, 1), (-1, {}, p - 0.5, p - 1.5), (-0.95, TAXED, 2 * p - 1.5, -1)):
        m = market(governance=levers)
        m.agents[0].reputation = start
        assert settle(m, True).r_a == pytest.approx(r_a)
        assert m.agents[0].reputation == pytest.approx(end)
    respond.penalise(m, 0, change(-0.1, 0.0))
    assert m.agents[0].reputation == -1


def test_an_outcome_is_drawn_with_probability_p():
    m, drawn = market(), []
    for n in range(600):
        m.row.step_key = step.random.step_key(m.row.key, n)
        drawn.append(settle(m, True).v)
    assert set(drawn) == {-1, 1}
    assert drawn.count(1) / 600 == pytest.approx(p_of(0.7), abs=5 * math.sqrt(0.16 / 600))


@pytest.mark.parametrize(("accepted", "trust"), [(True, 0.7 * 0.8 + 0.3 * p_of(0.7)), (False, 0.9 * 0.8 + 0.05)])
def test_both_parties_learn_from_an_answer(accepted, trust):
    m = market()
    pair, known = (contact(m, 0, 1), contact(m, 1, 0)), pair_of(m, edge(m, 0, 1))
    known.won = 0.85
    for side in pair:
        side.trust = 0.8
    for n in (1, 2):
        p = settle(m, accepted).p
        assert (known.met, known.met_p) == (n, pytest.approx(n * p))
        assert known.won == pytest.approx(min(0.85 + 0.1 * n * accepted, 1))
        if n == 1:
            assert [side.trust for side in pair] == pytest.approx([trust] * 2)
    assert m.pairs.met.sum() == known.met


def test_running_means_and_totals_follow_what_is_settled():
    for threshold, counts in ((p_of(0.7), (0, 0, 2, 1)), (p_of(0.7) + 1e-9, (2, 1, 0, 0))):
        m, p, q = market(market={"safety_threshold": threshold}), p_of(0.7), p_of(0.6)
        deal, row = settle(m, True), m.row
        assert (row.mean_p, row.toxicity) == pytest.approx((0.475 + 0.05 * p, 0.475 + 0.05 * (1 - p)))
        welfare = deal.payoff_a + deal.payoff_b
        settle(m, False)
        assert (row.mean_p, row.toxicity) == pytest.approx((0.95 * (0.475 + 0.05 * p) + 0.05 * q, 0.525 - 0.05 * p))
        assert (row.settled, row.accepted, row.risky, row.attacks, row.sound, row.refusals) == (2, 1, *counts)
        assert (row.p_sum, row.p_accepted, row.welfare) == pytest.approx((p + q, p, welfare))
        assert row.social == pytest.approx(2 * p - (1 - p) - 2 * (1 - p))


def test_sanctions_draw_heat_which_fades():
    m = market(governance=TAXED | {"circuit_breaker_enabled": True, "freeze_threshold_toxicity": 0.0})
    for heat in (0.6, 1.0):
        settle(m, True)
        assert m.agents[0].heat == pytest.approx(heat)
    step.begin(m)
    assert m.agents[0].heat == pytest.approx(0.9)


def test_a_proposal_is_answered_in_the_next_step_as_it_was_drawn():
    m = market()
    play(m, a0=(PROPOSE, 1, DECEPTIVE))  # peer slot 1 of agent 0: agent 2
    offer = m.proposals[0]
    p, signal, seen = offer.p, offer.signal, (m.agents[2].inbox, m.agents[2].first, offer.slot)
    assert seen == (1, 0, 0)
    assert m.agents[0].reward == 0.0
    m.agents[0].reputation = -1.0  # too late to matter
    play(m, a2=(NOOP, 0, 0, 1))
    deal = m.deals[0]
    assert (m.agents[0].settled, deal.accepted, deal.counterparty, deal.conduct) == (True, True, 2, DECEPTIVE)
    assert (deal.p, deal.p_offer, deal.signal) == (p, p, signal)
    assert (m.agents[2].inbox, m.agents[2].first, m.agents[0].proposed) == (0, -1, -1)
    play(m)
    assert not m.agents[0].settled


def test_a_proposal_to_a_frozen_agent_expires_as_rejected_and_teaches_nothing():
    m = market(governance=TAXED)
    play(m, a0=(PROPOSE, 0, HONEST))
    m.agents[1].frozen_until = 1
    play(m, a1=(NOOP, 0, 0, 1))
    mine, theirs = m.outcomes[0], m.outcomes[1]
    assert (m.deals[0].answered, m.deals[0].accepted) == (False, False)
    assert (mine.initiated, mine.initiated_accepted, mine.expired, theirs.received) == (1, 0, 1, 0)
    assert m.agents[0].reward == pytest.approx(m.deals[0].p - 1)  # its audit is due all the same
    assert (contact(m, 0, 1).trust, pair_of(m, edge(m, 0, 1)).met) == (0.5, 0)


def test_an_inbox_takes_so_many_proposals_a_step_and_shows_so_many():
    m = market(6, rate_limits={"interactions_per_step": 3}, view={"inbox": 2})
    play(m, **{f"a{i}": (PROPOSE, 0, HONEST) for i in range(1, 6)})
    others, offers, outcomes = m.agents[1:], m.proposals[1:], m.outcomes[1:]
    assert (m.agents[0].arrivals, m.agents[0].inbox) == (3, 2)
    assert [it.bounced for it in outcomes].count(True) == 2
    assert [a.actions for a in others] == [1] * 5
    assert all((a.proposed < 0) == it.bounced for a, it in zip(others, outcomes, strict=True))
    assert sorted(o.slot for a, o in zip(others, offers, strict=True) if a.proposed >= 0) == [-1, 0, 1]
    play(m, a0=(NOOP, 0, 0, 1, 0))
    assert sum(it.initiated for it in outcomes) == 3
    assert sum(it.initiated_accepted for it in outcomes) == sum(it.expired for it in outcomes) == 1
    assert (m.outcomes[0].received, m.outcomes[0].received_accepted) == (2, 1)


def test_nobody_is_always_first_in_an_inbox():
    m, firsts = market(4, simulation={"n_epochs": 1, "steps_per_epoch": 60}), set()
    for _ in range(50):
        play(m, a1=(PROPOSE, 0, 0), a2=(PROPOSE, 0, 0), a3=(PROPOSE, 0, 0))
        firsts.add(int(m.agents[0].first))
    assert firsts == {1, 2, 3}


def test_verbs_take_effect_within_their_budgets():
    m = market(rate_limits={"posts_per_epoch": 1, "votes_per_epoch": 1, "tasks_per_epoch": 1})
    expected = 0.2 * (m.params.expected_p[DECEPTIVE] - 0.2)
    for again in (False, True):
        play(m, a0=(POST, 0, 0), a1=(TASK, 0, DECEPTIVE), a2=(VOTE, 0, 0))
        assert (m.agents[0].visibility, m.agents[0].posts, m.outcomes[0].illegal) == (1, 1, again)
        assert (m.agents[1].tasks, m.outcomes[1].illegal, m.outcomes[2].illegal) == (1, again, again)
        assert m.outcomes[1].task_pay == m.agents[1].reward == pytest.approx(expected * (not again))
    assert m.agents[1].resources == pytest.approx(100 + expected)
    assert (m.agents[2].votes, m.agents[0].reputation) == (1, 0.01)


@pytest.mark.parametrize(
    ("action", "count"),
    [([0, 0, 0, 9, 9], 0), ([2, 0, 0, 0, 0], 1), ([0, 1, 0, 0, 0], 1), ([-2, -2, 0, 0, 0], 2), ([0, 0, 5, 0, 0], 1),
     ([0, 0, -2, 0, 0], 1), ([0, 0, 1, 2, 0], 1), ([0, 0, 3, -1, 0], 1), ([0, 0, 4, 9, 0], 0), ([0, 0, 4, 0, 4], 1),
     ([7, 7, 7, 7, 7], 3), ([1, 0, 1, 1, 3], 0)],
)  # fmt: skip
def test_illegal_choices_are_counted_and_become_noops(action, count):
    m = market(3)
    m.agents[0].inbox, m.agents[0].first = 1, 1
    decide.decide(m, np.array([action, [0] * 5, [0] * 5]))
    assert m.outcomes[0].illegal == count
    assert m.agents[0].scratch.verb == (action[2] if count == 0 else NOOP)
    assert m.agents[1].scratch.accepted == (action[0] == 1)


@pytest.mark.parametrize(
    ("trust", "conduct", "before", "after"),
    [(0.5, HONEST, 0.2, 0.25), (0.49, HONEST, 0.2, 0.15), (1.0, ADVERSARIAL, 0.2, 0.15), (1.0, HONEST, 0.98, 1.0),
     (0.0, DECEPTIVE, -0.98, -1.0)],
)  # fmt: skip
def test_a_vote_moves_reputation_up_for_the_trusted(trust, conduct, before, after):
    m = market(market={"vote_step": 0.05})
    contact(m, 1, 0).trust, m.agents[0].reputation = trust, before
    play(m, a1=(VOTE, 0, conduct))
    assert m.agents[0].reputation == pytest.approx(after)
    assert (m.outcomes[1].direction, relation(m, 1, 0).voted) == (1 if after > before else -1, 1)


def test_who_is_frozen_while_answers_settle_does_not_act_in_that_step():
    breaker = {"circuit_breaker_enabled": True, "freeze_threshold_toxicity": 0.0, "freeze_threshold_violations": 1}
    m = market(governance=breaker)
    play(m, a0=(PROPOSE, 0, 0))
    play(m, a0=(POST, 0, 0), a1=(POST, 0, 0, 1))
    assert [(it.verb, it.illegal) for it in m.outcomes[:2]] == [(NOOP, 0), (POST, 0)]


def test_resources_have_a_floor_and_rewards_have_not():
    m = market()
    m.agents[0].resources = 1.0
    respond.receive(m.agents[0], -3.0)
    respond.receive(m.agents[0], 2.0)
    assert (m.agents[0].resources, m.agents[0].reward) == (2.0, -1.0)


@pytest.mark.parametrize("seed", range(2))
def test_what_a_step_pays_is_what_resources_change_by_and_the_sum_of_its_parts(seed):
    m = plain_market(rich(market={"initial_resources": 1e4}), "*_1", seed)
    rng, heads = np.random.default_rng(seed), [2] * m.params.inbox + [5, m.params.peers, 4]
    met = np.zeros(5)
    for _ in range(79):
        before = m.agents.resources.copy()
        play(m, rng.integers(heads, size=(6, len(heads))))
        for agent, it, was in zip(m.agents, m.outcomes, before, strict=True):
            parts = np.array([it.payoff_initiator, it.payoff_counterparty, it.task_pay, -it.cost, -it.penalty])
            assert agent.reward == pytest.approx(parts.sum(), abs=1e-9)
            assert agent.reward == pytest.approx(agent.resources - was, abs=1e-9)
            met += parts != 0
    assert (met > 0).all()  # every kind of pay was met


def test_an_epoch_turns_after_its_last_step():
    m = market(simulation={"n_epochs": 2, "steps_per_epoch": 2}, governance={"reputation_decay_rate": 0.5})
    agent, counts = m.agents[0], []
    agent.visibility, agent.reputation, agent.frozen_until = 2.0, 0.8, 1
    agent.posts = agent.votes = agent.tasks = agent.actions = 3
    for _ in range(4):
        play(m)
        used = (agent.posts, agent.votes, agent.tasks, agent.actions)
        counts.append((m.row.step, m.row.epoch, used[0], agent.visibility, round(agent.reputation, 9)))
        assert len(set(used)) == 1
        assert m.outcomes[0].released == (m.row.step == 2)
    # the episode ends with its last epoch open: visibility has faded, the levers are not called again
    assert counts == [(1, 0, 3, 2.0, 0.8), (2, 1, 0, 1.0, 0.4), (3, 1, 0, 1.0, 0.4), (4, 1, 0, 0.5, 0.4)]


def test_an_agent_answers_one_earlier_proposer_on_its_turn_and_then_does_nothing_else():
    m = market(learners=())
    m.contacts.trust = 0.45  # on its turn an honest agent asks .3, of a trade at the step's end .5
    for i, j in ((0, 2), (1, 2), (3, 2), (2, 1)):
        proposal, asked = m.proposals[i], m.agents[j]
        m.agents[i].proposed = m.edges[edge(m, j, i)].back
        proposal.conduct, proposal.next = ADVERSARIAL, -1
        asked.first = i if asked.inbox == 0 else asked.first
        if asked.inbox:
            m.proposals[asked.last].next = i
        asked.last, asked.inbox = i, asked.inbox + 1
    decide.decide(m, np.zeros((0, 8), dtype=np.int64))
    assert [bool(a.scratch.answered) for a in m.agents] == [True, True, True, True]
    assert [bool(a.scratch.accepted) for a in m.agents] == [True, False, False, False]
    assert m.agents[2].scratch.verb == NOOP  # its turn went into the answer to agent 0
    assert m.agents[1].scratch.verb != NOOP  # agent 2 comes after it
    respond.respond(m)
    assert [it.initiated_accepted for it in m.outcomes] == [1, 0, 0, 0]
