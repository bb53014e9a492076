"""Security control by hand: the five kinds of threat, the window, fines, quarantine and its end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_env.core import chains, governance, step, turn
from swarm_env.core.contacts import is_frozen
from swarm_env.core.effect import nothing
from swarm_env.core.levers import security
from swarm_env.testing import plain_market


def market(agents=5, history=32, steps=10, freeze=2, **changes):
    on = {"security_enabled": True, "freeze_duration_epochs": freeze, "security_min_interactions": 1}
    on |= {f"security_{name}": value for name, value in changes.items()}
    data = {"scenario_id": "t", "agents": [{"type": "honest", "count": agents}], "governance": on}
    data["market"] = {"history_per_agent": history}
    return plain_market({**data, "simulation": {"n_epochs": 9, "steps_per_epoch": steps}})


def record(m, i, j, p=0.6, at=0, accepted=True, misuse=0, rejections=0, tau=0.0, r_a=0.0):
    """A dealing of no interest, unless it says so, settled at a step."""
    agent, deal = m.agents[i], m.deals[i]
    agent.proposed = next(k for k in range(m.seats[i].start, m.seats[i].stop) if m.edges[k].peer == j)
    deal.counterparty, deal.p, deal.accepted, deal.tau, deal.r_a = j, p, accepted, tau, r_a
    deal.misuse, deal.rejections, m.row.step = misuse, rejections, at
    m.books[i].initiated += 1
    security.remember(m, i, deal)


def next_epoch(m):
    step.begin(m)
    turn.turn(m)


def threats(m):
    security.assess(m)
    return m.books.threat


@pytest.mark.parametrize(
    ("accepted", "p", "misuse", "rejections", "score"),
    [
        (True, 0.1, 0, 0, 0.2),
        (True, 0.3, 0, 0, 0.0),
        (False, 0.1, 0, 0, 0.0),
        (True, 0.6, 1, 1, 0.2 + 0.15),
        (False, 0.6, 2, 2, 0.4 + 0.3),
        (False, 0.6, 3, 3, 0.4 + 0.3),
        (True, 0.0, 2, 2, 1.0),
    ],
)
def test_injection_score(accepted, p, misuse, rejections, score):
    assert security.injection_score(accepted, p, misuse, rejections) == pytest.approx(score)


def test_risks_are_severity_times_confidence():
    assert [security.injection_risk(x) for x in (0.3, 0.6, 0.7, 1.0)] == pytest.approx([0.15, 0.48, 0.63, 0.9])
    assert [security.exfiltration_risk(n) for n in (0, 1, 2, 3, 4)] == pytest.approx([0, 0, 0.36, 0.54, 0.6])
    assert [security.manipulation_risk(x) for x in (0.5, 0.75, 1.0)] == pytest.approx([0.35, 0.6, 0.9])
    assert [chains.laundering_risk(x) for x in (0.1, 0.3, 0.5, 2)] == pytest.approx([0.1, 0.42, 0.8, 0.8])
    found = [security.contagion_risk(*x) for x in ((2, 2.0), (3, 10.0), (5, 4.0), (9, 3.0))]
    assert found == pytest.approx([0.4 * 0.7, 0.6 * 0.9, 0.9, 0.8])


def test_nothing_is_scored_before_there_are_interactions_enough():
    m = market(min_interactions=3)
    for _ in range(2):
        record(m, 0, 1, misuse=2)
    assert not threats(m).any()
    record(m, 2, 3)
    assert threats(m).any()


@pytest.mark.parametrize(("threshold", "counts"), [(0.34, True), (0.35, True), (0.36, False)])
def test_injection_counts_from_its_threshold_and_its_target_bears_three_tenths(threshold, counts):
    m = market(injection_threshold=threshold)
    record(m, 0, 1, misuse=1, rejections=1)
    risk = 0.35 * 0.55 if counts else 0.0
    assert threats(m) == pytest.approx([risk, 0.3 * risk, 0, 0, 0])


def test_exfiltration_takes_two_misuses_and_outdoes_the_injection_of_the_same_dealing():
    m = market()
    record(m, 0, 1, misuse=2, accepted=False)
    record(m, 2, 3, misuse=1)
    assert threats(m) == pytest.approx([0.36, 0.108, 0, 0, 0])


TRICK = {"p": 0.45, "tau": -1.01}


MANIPULATION = [
    ([TRICK, TRICK, {}], 2 / 3),
    ([TRICK, {}, {}, TRICK], 0.5),  # at the threshold
    ([TRICK, {}, {}, {}, TRICK], 0),
    ([TRICK, TRICK], 0),  # a record needs three
    ([TRICK | {"accepted": False}] * 3, 0),
    ([TRICK | {"tau": -1.0}] * 3, 0),
    ([TRICK | {"p": 0.5}] * 3, 0),
    ([{"p": 0.39, "r_a": 0.01}] * 3, 1),
    ([{"p": 0.4, "r_a": 0.01}] * 3, 0),
    ([{"p": 0.39, "r_a": 0.0}] * 3, 0),
]


@pytest.mark.parametrize(("dealings", "rate"), MANIPULATION)
def test_manipulation_is_gain_from_poor_quality_in_half_of_three_dealings_or_more(dealings, rate):
    m = market()
    for n, dealing in enumerate(dealings):
        record(m, 0, 1 + n % 2, **dealing)
    risk = rate * (0.5 + 0.4 * rate)
    assert threats(m)[0] == pytest.approx(risk)
    assert threats(m)[3] == 0.0
    assert threats(m)[1] == pytest.approx(0.3 * risk)  # the first of these dealings is a success, if any is


@pytest.mark.parametrize(
    ("edges", "reputations", "changes", "expected"),
    [
        ([(0, 1), (1, 2)], (-0.2, 0, 0.2), {}, (0.8 * 0.8, 0, 0.3 * 0.64)),
        ([(0, 1), (1, 2)], (-0.5, 0, 0.5), {}, (0.8, 0, 0.24)),
        ([(0, 1), (1, 2)], (0.25, 0, 0.5), {"laundering_trust_gap": 0.25}, (0, 0, 0)),  # gain = gap
        ([(0, 1), (1, 2)], (0.25, 0, 0.5), {"laundering_trust_gap": 0.24}, (0.5 * 0.65, 0, 0.3 * 0.325)),
        ([(1, 0), (2, 1)], (-0.5, 0, 0.5), {}, (0, 0, 0)),  # down, not up
        ([(0, 1), (1, 2), (0, 2)], (-0.5, 0, 0.5), {}, (0, 0, 0)),  # the shortest way counts
        ([(0, 1, 0.6, 0, False), (1, 2)], (-0.5, 0, 0.5), {}, (0, 0, 0)),  # refused
        ([(0, 1)], (-0.5, 0.5, 0), {}, (0, 0, 0)),
        ([(0, 1)], (-0.5, 0.5, 0), {"min_chain_length": 2}, (0.8, 0.24, 0)),
        ([(0, 1), (1, 2)], (-0.5, 0, 0.5), {"min_chain_length": 4}, (0, 0, 0)),
    ],
)
def test_laundering_is_reputation_gained_along_a_chain_of_accepted_dealings(edges, reputations, changes, expected):
    m = market(3, **changes)
    for dealing in edges:
        record(m, *dealing)
    m.agents.reputation = reputations
    assert threats(m) == pytest.approx(expected)


def test_contagion_is_harm_that_its_victim_passes_on_twice():
    m = market()
    for n, (i, j) in enumerate([(4, 1), (1, 2), (1, 3)]):
        record(m, i, j, p=0.25, at=6 * n)
    risk = 0.6 * (0.5 + 3 / (1.2 + 0.01) / 10)  # three reached in 1.2 epochs
    assert threats(m) == pytest.approx([0, 0.3 * risk, 0.3 * risk, 0.3 * risk, risk])


NO_CONTAGION = {
    "once": [(0, 1), (1, 2)],
    "before": [(1, 2), (1, 3), (0, 1)],
    "two agents": [(0, 1), (1, 0), (1, 0)],
    "no harm done": [(0, 1, 0.3), (1, 2), (1, 3)],
    "no harm passed on": [(0, 1), (1, 2, 0.3), (1, 3)],
    "refused": [(0, 1), (1, 2), (1, 3, 0.25, 0, False)],
}


@pytest.mark.parametrize("why", NO_CONTAGION)
def test_less_is_no_contagion(why):
    m = market()
    for n, (i, j, *rest) in enumerate(NO_CONTAGION[why]):
        p, *_, accepted = rest if len(rest) > 1 else (*rest, 0.25, True)
        record(m, i, j, p, at=n, accepted=accepted)
    assert not threats(m).any()


def test_contagion_needs_its_chain_length_and_its_velocity():
    for length, velocity, found in ((4, 1, True), (5, 1, False), (3, 1.49, True), (3, 1.5, False)):
        m = market(min_chain_length=length, contagion_velocity=velocity)
        for n, (i, j) in enumerate([(0, 1), (1, 2), (1, 3)]):
            record(m, i, j, p=0.25, at=10 * n)  # 3/2.01 an epoch
        assert threats(m).any() == found


def test_contagion_follows_five_dealings_and_counts_each_agent_once():
    m = market(8, steps=1)
    for n, j in enumerate([0, 2, 2, 3, 4, 5, 6, 7]):  # 1 hits 2 twice, and 6 and 7 too late
        record(m, *((0, 1) if n == 0 else (1, j)), p=0.25, at=n)
    m.params.security_contagion_velocity = 0.1
    risk = 1.0 * (0.5 + 5 / 7.01 / 10)  # 1, 2, 3, 4, 5 reached in the seven epochs to its last such dealing
    assert threats(m) == pytest.approx([risk, *[0.3 * risk] * 5, 0, 0])


def test_no_threat_hangs_on_the_order_in_which_one_step_is_settled():
    """What settles in one step is simultaneous: harm dealt in the same step was not passed on."""
    for names in ((0, 1, 2, 3), (3, 2, 1, 0)):
        m, (a, b, c, d) = market(), names
        for i, j in sorted([(a, b), (b, c)]):  # settled in the order of initiators
            record(m, i, j, p=0.25, at=1)
        record(m, b, d, p=0.25, at=2)
        assert not threats(m).any()


# ---- the window


def test_the_window_forgets_the_oldest():
    m = market(3, history=1)
    record(m, 0, 1, misuse=2)
    for _ in range(2):
        record(m, 1, 2)
    assert threats(m)[0] == pytest.approx(0.36)
    record(m, 1, 2)
    assert not threats(m).any()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans()), max_size=30), st.integers(1, 3))
@settings(deadline=None, max_examples=40)
def test_a_contact_launders_what_the_window_holds(dealings, history):
    m = market(3, history=history)
    for i, other, accepted in dealings:
        record(m, i, other + (other >= i), accepted=accepted)
    for k, (edge, relation) in enumerate(zip(m.edges, m.relations, strict=True)):
        i = next(i for i, agent in enumerate(m.seats) if agent.start <= k < agent.stop)
        kept = [(a, b + (b >= a)) for a, b, accepted in dealings[-3 * history :] if accepted]
        assert relation.launders == kept.count((i, edge.peer))


dealing = st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans(), st.sampled_from([0.1, 0.6]), st.integers(0, 2))


@given(st.lists(dealing, max_size=30), st.integers(1, 3), st.integers(0, 40))
@settings(deadline=None, max_examples=40)
def test_the_window_lists_what_is_suspicious_and_tallies_what_counts(dealings, history, judged):
    m = market(3, history=history)
    for n, (i, other, accepted, p, misuse) in enumerate(dealings):
        if n == judged:  # agent 0 is quarantined
            m.books[0].judged, m.books[0].lapsed = n, m.books[0].initiated
        record(m, i, other + (other >= i), p=p, at=n, accepted=accepted, misuse=misuse)
    kept = list(enumerate(dealings))[-3 * history :]
    listed = [m.history[security._place(m, n)] for n in range(m.row.suspects)]
    assert [past.listed_step for past in listed] == [n for n, (*_, a, p, t) in kept if t == 2 or (a and p == 0.1)]
    assert all(security._initiator(m, past.listed) == dealings[past.listed_step][0] for past in listed)
    for i, book in enumerate(m.books):
        since = judged if i == 0 and judged < len(dealings) else 0
        assert book.initiated - book.lapsed == sum(who == i and n >= since for n, (who, *_) in kept)


def test_history_is_forgotten_after_the_assessment_if_asked():
    for forgets in (True, False):
        m = market(3, clear_history_on_epoch=forgets, laundering_trust_gap=0.1)
        record(m, 0, 1, misuse=2)
        record(m, 1, 2)
        assert threats(m)[0] == pytest.approx(0.36)
        m.agents.reputation = (-0.5, 0, 0.5)
        assert threats(m)[0] == (0.0 if forgets else pytest.approx(0.8))
        record(m, 0, 1)
        assert (threats(m)[0] == 0.0) == forgets


def test_what_is_off_keeps_no_books():
    m = market()
    m.params.security_enabled = False
    record(m, 0, 1, misuse=2)
    assert m.row.remembered == 0
    assert not m.relations.launders.any()


# ---- what follows


@pytest.mark.parametrize(
    ("threat", "fine", "epochs"), [(0.0, 0, 0), (0.29, 0, 0), (0.3, 0.6, 0), (0.69, 1.38, 0), (0.7, 1.4, 3)]
)
def test_threats_are_fined_and_grave_ones_quarantined(threat, fine, epochs):
    m = market(penalty_multiplier=2.0, freeze=3)
    m.books[1].threat = threat
    expected = nothing()._replace(reputation=-fine, resources=-5 * fine, quarantine=epochs)
    assert security.epoch_start(m, 1) == pytest.approx(expected)


@pytest.mark.parametrize("freeze", [1, 2])
@pytest.mark.parametrize(("misuse", "reputation", "threat"), [(2, 0.0, 0.36), (0, 0.5, 0.8)])
def test_a_quarantine_ends_with_its_epochs_and_what_it_was_for_counts_no_more(freeze, misuse, reputation, threat):
    m, seen = market(3, steps=1, freeze=freeze, quarantine_threshold=0.36), []
    agent, m.agents[2].reputation = m.agents[0], reputation
    for again in (False, True):
        for i, j, flags in ((0, 1, misuse), (1, 2, 0)):  # exfiltration, or laundering by way of 1
            record(m, i, j, at=m.row.step, misuse=flags)
        for n in range(1 if again else 5):
            if n == 4:
                record(m, 1, 2, at=m.row.step)  # not its doing
            next_epoch(m)
            seen.append((is_frozen(agent, m.row.epoch), m.outcomes[0].quarantined, m.outcomes[0].released))
            if len(seen) == 1:
                assert (agent.reputation, agent.resources) == pytest.approx((-threat, 100 - 5 * threat))
                assert agent.reward == pytest.approx(-5 * threat)
    first, rest, free, idle = (True, True, False), (True, False, False), (False, False, True), (False, False, False)
    assert seen == [first, *[rest] * (freeze - 1), free, *[idle] * (4 - freeze), first]


@pytest.mark.parametrize(
    ("terms", "threat", "score"),
    [
        ({"p": 0.29}, 0.7, 0.3 + 0.21),
        ({"p": 0.3}, 1.0, 0.0),  # .3 in all
        ({"p": 0.29, "accepted": False}, 1.0, 0.0),
        ({"misuse": 1, "rejections": 2}, 0.0, 0.5),  # at the threshold
        ({"misuse": 1, "rejections": 1}, 0.51, 0.2 + 0.15 + 0.153),
        ({"misuse": 1, "rejections": 1}, 0.49, 0.0),
        ({"misuse": 5, "rejections": 5}, 0.0, 0.4 + 0.3),
        ({"misuse": 5, "rejections": 5, "p": 0.1}, 1.0, 1.0),
    ],
)
def test_realtime_a_suspicious_dealing_costs_the_initiator_and_half_of_it_the_other(terms, threat, score):
    m = market(realtime_penalty=True, realtime_rate=0.4)
    record(m, 0, 1, **terms)
    m.books[0].threat = threat
    effect = security.on_interaction(m, 0, m.deals[0])
    assert effect == pytest.approx(nothing()._replace(c_a=0.4 * score, c_b=0.2 * score))


def test_realtime_is_off_unless_asked_for():
    m = market(realtime_threshold=0.0)
    record(m, 0, 1, misuse=5)
    assert governance.on_interaction(m, 0, m.deals[0], nothing()) == nothing()
