"""Scripted archetypes: whom they propose to, what they accept, when they post, vote, work; each in its own conduct."""

import math
from collections import Counter

import numpy as np
import pytest

from swarm_env.core import archetypes, decide, random, respond, step
from swarm_env.core.archetypes import ARCHETYPES, deceptive
from swarm_env.core.types import ADVERSARIAL, DECEPTIVE, HONEST, NOOP, OPPORTUNISTIC, POST, PROPOSE, TASK, VOTE
from swarm_env.testing import plain_market


def market(kind, others=("honest",) * 3, config=None, **sections):
    """Agent 0 is what is asked for, the others follow."""
    groups = [{"type": kind, "name": "subject", "config": config or {}}, *({"type": other} for other in others)]
    return plain_market({"scenario_id": "t", "agents": groups, **sections})


def relation(m, j):
    return m.relations[edge(m, j)]


def pair(m, j):
    return m.pairs[m.edges[edge(m, j)].pair]


def contact(m, j):
    return m.contacts[edge(m, j)]


def edge(m, j):
    return next(k for k in range(m.seats[0].start, m.seats[0].stop) if m.edges[k].peer == j)


def accepts(m, j=1, conduct=HONEST, on_turn=False):
    m.proposals[j].conduct = conduct
    return archetypes.answer(m, 0, j, edge(m, j), on_turn)


def share(m, count=1500, **proposal):
    """How often agent 0 accepts, over steps, with the five-sigma bounds of that."""
    yes = 0
    for n in range(count):
        m.row.step_key = random.step_key(m.row.key, n)
        yes += accepts(m, **proposal)
    return pytest.approx(yes / count, abs=5 * math.sqrt(0.25 / count) if 0 < yes < count else 0)


def does(m, count=1):
    """What agent 0 does, over steps: (verb, target, conduct) -> how often."""
    seen = Counter()
    for n in range(count):
        m.row.step_key = random.step_key(m.row.key, n)
        intent = archetypes.act(m, 0)
        target = int(m.edges[intent.contact].peer) if intent.contact >= 0 else None
        seen[(intent.verb, target, intent.conduct)] += 1
    return dict(seen)


def whole_step(m, resources=None):
    step.begin(m)
    m.agents[0].resources = resources or m.agents[0].resources
    decide.decide(m, np.zeros((0, 8), dtype=np.int64))
    respond.respond(m)
    step.act(m)
    step.turn(m)


def test_each_plays_its_own_conduct():
    conducts = [module.CONDUCT for module in ARCHETYPES.values()]
    assert conducts[:6] == [HONEST, OPPORTUNISTIC, DECEPTIVE, ADVERSARIAL, HONEST, ADVERSARIAL]


IDLE = {"honest": {"post_probability": 0.0, "vote_probability": 0.0, "interact_probability": 0.0}}
IDLE["cautious"] = {"post_probability": 0.0, "interact_probability": 0.0}


@pytest.mark.parametrize("kind", ARCHETYPES)
def test_who_would_idle_works_while_the_budget_lasts(kind):
    others = ("honest",) if kind in IDLE else ("adversarial",)
    m = market(kind, others, IDLE.get(kind), rate_limits={"posts_per_epoch": 0, "votes_per_epoch": 0})
    m.agents[1].frozen_until = 9  # nobody to deal with
    m.agents[0].resources = 0.0
    assert does(m) == {(TASK, None, ARCHETYPES[kind].CONDUCT): 1}
    m.agents[0].tasks = 3
    assert does(m) == {(NOOP, None, HONEST): 1}


CHOOSY = {"acceptance_threshold": 0.6, "trust_weight": 1.0}


@pytest.mark.parametrize(
    ("config", "trust", "on_turn", "collaboration", "trade"),
    [({}, 0.0, False, True, False), ({}, 0.299, False, True, False), ({}, 0.301, True, True, False),
     ({}, 0.499, True, True, False), ({}, 0.5, True, True, True), (CHOOSY, 0.49, False, False, False),
     (CHOOSY, 0.51, True, True, False), (CHOOSY, 0.71, True, True, True)],
)  # fmt: skip
def test_honest_accepts_by_trust_and_prefers_collaborations(config, trust, on_turn, collaboration, trade):
    m = market("honest", config=config)
    contact(m, 1).trust = trust
    assert accepts(m, on_turn=True) == accepts(m, conduct=ADVERSARIAL, on_turn=True) == on_turn
    assert accepts(m, conduct=HONEST) == accepts(m, conduct=DECEPTIVE) == collaboration
    assert accepts(m, conduct=OPPORTUNISTIC) == accepts(m, conduct=ADVERSARIAL) == trade


def honest(**config):
    m = market("honest", config=IDLE["honest"] | {"interact_probability": 1.0} | config)
    m.agents[0].resources = 20.0  # not above 20: no solo work
    return m


def test_honest_proposes_to_whom_it_trusts_most():
    m = honest()
    assert does(m) == {(PROPOSE, 1, HONEST): 1}  # the first of equals
    contact(m, 3).trust = 0.6
    assert does(m) == {(PROPOSE, 3, HONEST): 1}
    m.agents[3].frozen_until = 1
    assert does(m) == {(PROPOSE, 1, HONEST): 1}
    contact(m, 1).trust, contact(m, 2).trust = 0.29, 0.3
    assert does(m) == {(PROPOSE, 2, HONEST): 1}
    contact(m, 2).weight = 0.0
    assert does(m) == {(TASK, None, HONEST): 1}


def test_honest_posts_then_votes_on_what_is_new_then_proposes():
    m = honest(post_probability=1.0, vote_probability=1.0)
    assert does(m) == {(POST, None, HONEST): 1}
    m.agents[0].posts = 10
    assert does(m) == {(PROPOSE, 1, HONEST): 1}  # nothing to vote on
    m.agents[2].visibility = 0.25
    assert does(m) == {(VOTE, 2, HONEST): 1}
    relation(m, 2).voted = m.row.epoch + 1
    assert does(m) == {(TASK, None, HONEST): 1}  # all voted on: the turn is lost
    m.agents[0].votes = 50
    assert does(m) == {(PROPOSE, 1, HONEST): 1}
    for votes, visibility, weight in ((0, 0.24, 1.0), (0, 0.25, 0.0)):  # out of sight, out of reach
        m.agents[0].votes, m.agents[2].visibility, contact(m, 2).weight = votes, visibility, weight
        assert does(m) == {(PROPOSE, 1, HONEST): 1}


def test_honest_acts_with_its_chances_and_works_alone_now_and_then_while_it_has_means():
    m = honest(post_probability=0.3, interact_probability=0.4)
    for resources, solo in ((20.0, 0.0), (20.01, 0.15)):
        m.agents[0].resources, seen, slack = resources, does(m, 1500), 5 * math.sqrt(0.25 * 1500)
        assert seen[(POST, None, HONEST)] == pytest.approx((1 - solo) * 0.3 * 1500, abs=slack)
        assert seen[(PROPOSE, 1, HONEST)] == pytest.approx((1 - solo) * 0.7 * 0.4 * 1500, abs=slack)
    m = honest()
    m.agents[0].resources = 20.01
    assert does(m, 1500)[(TASK, None, HONEST)] == pytest.approx(0.15 * 1500, abs=slack)


def test_opportunistic_accepts_a_good_name_on_its_turn_and_a_good_record_later():
    m = market("opportunistic", config={"risk_tolerance": 0.25})
    assert share(m, on_turn=True) == 0.4
    assert share(m) == 0.25
    m.agents[1].reputation = 1e-9
    assert share(m, on_turn=True) == 1
    for mean, yes in ((0.5, 0), (0.51, 1)):
        pair(m, 1).met, pair(m, 1).met_p = 4, 4 * mean
        assert share(m) == yes


def test_opportunistic_posts_votes_for_the_first_in_view_or_proposes_at_random_to_those_worth_it():
    m = market("opportunistic", config={"post_probability": 1.0, "vote_probability": 1.0})
    assert does(m) == {(POST, None, OPPORTUNISTIC): 1}
    m.agents[0].posts = 10
    m.agents.visibility[2:] = 0.25
    assert does(m, 20) == {(VOTE, 2, OPPORTUNISTIC): 20}
    m.agents[0].votes = 50
    m.agents.resources = (100.0, 80.0, 80.01, 0.0)
    m.agents.reputation = (0.0, 0.5, 0.0, 0.51)
    seen = does(m, 800)
    assert set(seen) == {(PROPOSE, 2, OPPORTUNISTIC), (PROPOSE, 3, OPPORTUNISTIC)}
    assert min(seen.values()) > 400 - 5 * math.sqrt(200)


def test_deceptive_accepts_while_it_builds_standing_and_then_where_it_stands_well():
    m = market("deceptive", config={"trust_building_phase": 2, "facade_probability": 0.7})
    pair(m, 1).met = 1
    assert share(m, on_turn=True) == 0.9
    assert share(m) == 0.7
    pair(m, 1).met = 2
    assert share(m, on_turn=True) == 0.6
    for won, yes in ((0.6, 0), (0.61, 1)):
        pair(m, 1).won = won
        assert share(m, 50) == yes


def test_deceptive_keeps_a_facade_of_posts_votes_and_new_contacts():
    m = market("deceptive", config={"post_probability": 1.0})
    assert does(m) == {(POST, None, DECEPTIVE): 1}
    m.agents[0].posts = 10
    m.agents.visibility[2:] = 0.5
    assert set(does(m, 60)) == {(VOTE, 2, DECEPTIVE), (VOTE, 3, DECEPTIVE)}
    m.agents.visibility = 0.0
    pair(m, 1).met, pair(m, 2).met = 5, 4
    assert set(does(m, 60)) == {(PROPOSE, 2, DECEPTIVE), (PROPOSE, 3, DECEPTIVE)}


def test_deceptive_exploits_where_it_stands_best_given_cover_and_two_targets():
    m = market("deceptive", config={"post_probability": 1.0})
    pair(m, 1).met, pair(m, 2).met, pair(m, 2).won, pair(m, 3).won = 6, 5, 0.71, 0.9
    assert does(m) == {(PROPOSE, 3, DECEPTIVE): 1}
    for spoil, value, spared in (("met", 5, 1), ("won", 0.7, 2)):  # ten dealings; one target
        was = getattr(pair(m, spared), spoil)
        setattr(pair(m, spared), spoil, value)
        assert does(m) == {(POST, None, DECEPTIVE): 1}
        setattr(pair(m, spared), spoil, was)
    m.agents[3].resources = 50.0  # not worth it: the next best
    assert does(m) == {(PROPOSE, 2, DECEPTIVE): 1}


def test_deceptive_reaches_its_exploit_phase():
    m = market("deceptive", ("honest",) * 3, simulation={"n_epochs": 10, "steps_per_epoch": 10}, conduct={})
    exploited = 0
    for _ in range(99):
        target = deceptive._target(m, 0)
        whole_step(m)
        exploited += target >= 0 and m.agents[0].scratch.contact == target
    assert exploited >= 5
    assert m.books[0].initiated > 10  # SWARM: .1 a run


def adversarial(resources=10.0, **config):
    m = market("adversarial", ("honest", "honest", "opportunistic", "adversarial"), {"post_probability": 0.0} | config)
    m.agents[0].resources = resources  # not above 10: no bait
    return m


def test_adversarial_accepts_allies_targets_trades_and_few_collaborations():
    m = adversarial()
    m.agents[2].resources = 50.0  # nothing to take
    assert [share(m, 50, j=j) for j in (1, 4)] == [1, 1]
    for j in (2, 3):
        assert share(m, j=j, on_turn=True) == 0.4
        assert share(m, j=j, conduct=DECEPTIVE) == 0.3
        assert share(m, 50, j=j, conduct=OPPORTUNISTIC) == 1
    m.agents[2].reputation = 0.01  # a name to take
    assert share(m, 50, j=2) == 1


def test_adversarial_attacks_targets_when_rested_else_posts_votes_them_down_or_exploits_anybody():
    m = adversarial(attack_probability=1.0, post_probability=1.0)
    targets = {(PROPOSE, 1, ADVERSARIAL), (PROPOSE, 2, ADVERSARIAL)}
    assert set(does(m, 40)) == targets
    m.agents[0].cooldown = 1
    assert does(m) == {(POST, None, ADVERSARIAL): 1}
    m.agents[0].posts, m.agents[3].visibility = 10, 0.25
    assert does(m) == {(VOTE, 3, ADVERSARIAL): 1}
    m.agents[2].visibility = m.agents[1].visibility = 0.25
    assert does(m) == {(VOTE, 1, ADVERSARIAL): 1}  # targets first
    m.agents[0].votes = 50
    assert set(does(m, 40)) == targets
    anybody = {(PROPOSE, j, ADVERSARIAL) for j in (1, 2, 3, 4)}
    m.agents.resources[1:3] = 50.0
    assert set(does(m, 60)) == set(does(adversarial(attack_probability=1.0, target_honest=False), 60)) == anybody


def test_adversarial_rests_a_step_after_an_attack_and_baits_one_step_in_five():
    m, seen = adversarial(attack_probability=1.0, post_probability=1.0), []
    for _ in range(5):
        whole_step(m, resources=10.0)
        seen.append(m.outcomes[0].verb)
    assert seen == [PROPOSE, POST, PROPOSE, POST, PROPOSE]
    baits = does(adversarial(10.01, attack_probability=1.0), 1500)[(TASK, None, ADVERSARIAL)]
    assert baits == pytest.approx(0.2 * 1500, abs=5 * math.sqrt(0.16 * 1500))


@pytest.mark.parametrize(
    ("met", "trust", "signal", "yes"),
    [(0, 1.0, 0.42, False), (0, 0.0, 0.43, True),  # 1/(1+exp(-2*.4236)) = .7
     (3, 0.9, 0.0, True), (3, 0.89, 0.0, False),  # half .9, half .5
     (9, 0.7, 0.43, True), (9, 0.6, 4.0, False), (9, 0.601, 9.0, True)],
)  # fmt: skip
def test_cautious_accepts_on_evidence_the_signal_first_and_trust_with_acquaintance(met, trust, signal, yes):
    m = market("cautious")
    pair(m, 1).met, contact(m, 1).trust = met, trust
    m.proposals[1].signal = signal
    assert accepts(m) == accepts(m, on_turn=True) == accepts(m, conduct=ADVERSARIAL) == yes


def test_cautious_proposes_to_the_most_trusted_from_a_strangers_trust_on_then_posts_then_votes():
    m = market("cautious", config={"interact_probability": 1.0, "post_probability": 1.0})
    for trust, deed in ((0.6, (PROPOSE, 2, HONEST)), (0.5, (PROPOSE, 1, HONEST)), (0.49, (POST, None, HONEST))):
        contact(m, 1).trust, contact(m, 2).trust, contact(m, 3).trust = min(trust, 0.5), trust, 0.49
        assert does(m) == {deed: 1}
    m.agents[0].posts, m.agents[3].visibility = 10, 0.25
    assert does(m) == {(VOTE, 3, HONEST): 1}
    relation(m, 3).voted = 1
    assert does(m) == {(TASK, None, HONEST): 1}


@pytest.mark.parametrize(("heat", "reputation", "cool"), [(0.6, 0.0, 1), (0.61, 1.0, 0), (0.0, -0.01, 0)])
def test_adaptive_adversary_attacks_anybody_but_lies_low_under_heat_or_in_disrepute(heat, reputation, cool):
    m = market("adaptive_adversary", config={"exploration_rate": 0.25})
    m.agents[0].heat, m.agents[0].reputation, contact(m, 2).trust = heat, reputation, 0.6
    seen, explored = does(m, 1500), 1.0 if cool else 0.25
    chances = {(PROPOSE, j, ADVERSARIAL): explored / 3 for j in (1, 2, 3)}
    chances |= {(POST, None, HONEST): 0.3 * (1 - explored), (PROPOSE, 2, HONEST): 0.7 * (1 - explored)}
    assert set(seen) == {deed for deed, chance in chances.items() if chance}
    for deed, count in seen.items():
        assert count == pytest.approx(chances[deed] * 1500, abs=5 * math.sqrt(0.25 * 1500))
    assert accepts(m) == accepts(m, on_turn=True) == accepts(m, conduct=ADVERSARIAL) is True
