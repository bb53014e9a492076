"""Who may deal with whom: the shape of every topology, the directed edges, and what a changing network does."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_env.contact_graph import contact_pairs, directed
from swarm_env.core import decide, observe, respond, turn
from swarm_env.core.types import POST, PROPOSE, VOTE
from swarm_env.scenario import ScenarioError, load_scenario
from swarm_env.testing import plain_market


def scenario(count, seed=0, **network):
    data = {"scenario_id": "t", "agents": [{"type": "honest", "count": count}], "simulation": {"seed": seed}}
    return load_scenario({**data, "network": network} if network else data)


def pairs(count, seed=0, **network):
    return [tuple(pair) for pair in contact_pairs(scenario(count, seed, **network)).tolist()]


def graph(count, seed=0, **network):
    made = nx.empty_graph(count)
    made.add_edges_from(pairs(count, seed, **network))
    return made


def degrees(*args, **network):
    return [degree for _, degree in graph(*args, **network).degree()]


COMPLETE = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


@pytest.mark.parametrize(
    "network", [{}, {"topology": "complete"}, {"topology": "ring", "enabled": False}], ids=["none", "complete", "off"]
)
def test_without_a_network_everybody_deals_with_everybody(network):
    assert pairs(4, **network) == COMPLETE


def test_ring():
    assert pairs(5, topology="ring") == [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)]
    assert pairs(3, topology="ring") == [(0, 1), (0, 2), (1, 2)]


def test_star_has_the_first_agent_in_its_middle():
    assert pairs(5, topology="star") == [(0, 1), (0, 2), (0, 3), (0, 4)]


RANDOM = [
    {"topology": "random_erdos_renyi", "params": {"edge_probability": 0.4}},
    {"topology": "small_world", "params": {"k": 4, "p": 0.5}},
    {"topology": "scale_free", "params": {"m": 2}},
]
FIXED = [{"topology": name} for name in ("complete", "ring", "star")]


@pytest.mark.parametrize("network", FIXED + RANDOM[1:], ids=lambda n: n["topology"])
def test_two_agents_have_each_other(network):
    assert pairs(2, **network) == [(0, 1)]


@pytest.mark.parametrize("network", RANDOM, ids=lambda n: n["topology"])
def test_a_random_graph_belongs_to_the_seed_of_the_scenario(network):
    assert pairs(20, 5, **network) == pairs(20, 5, **network)
    assert len({tuple(pairs(20, seed, **network)) for seed in range(5)}) == 5


@pytest.mark.parametrize(("probability", "edges"), [(0.0, 0), (1.0, 45)])
def test_erdos_renyi_at_its_ends(probability, edges):
    assert len(pairs(10, topology="random_erdos_renyi", params={"edge_probability": probability})) == edges


def test_erdos_renyi_keeps_each_edge_with_its_probability():
    share = np.mean([len(pairs(20, s, topology="random_erdos_renyi", params={"edge_probability": 0.3}))
                     for s in range(40)]) / 190  # fmt: skip
    assert share == pytest.approx(0.3, abs=5 * np.sqrt(0.3 * 0.7 / (40 * 190)))


def test_an_agent_may_have_no_contacts_at_all():
    isolated = scenario(3, topology="random_erdos_renyi", params={"edge_probability": 0.0})
    market = plain_market(isolated)
    assert len(market.contacts) == 0
    assert all(seat.start == seat.stop == 0 for seat in market.seats)


@pytest.mark.parametrize(("k", "contacts"), [(2, 2), (4, 4), (6, 6)])
def test_small_world_without_rewiring_links_the_nearest(k, contacts):
    made = graph(9, topology="small_world", params={"k": k, "p": 0.0})
    assert all(min((a - b) % 9, (b - a) % 9) <= k // 2 for a, b in made.edges)
    assert degrees(9, topology="small_world", params={"k": k, "p": 0.0}) == [contacts] * 9


def test_small_world_rewires_the_share_it_says():
    near = {tuple(sorted((a, (a + d) % 40))) for a in range(40) for d in (1, 2)}
    far = [len(set(pairs(40, s, topology="small_world", params={"k": 4, "p": 0.25})) - near) for s in range(20)]
    assert np.mean(far) / 80 == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / (20 * 80)))
    assert all(len(pairs(40, s, topology="small_world", params={"k": 4, "p": 1.0})) == 80 for s in range(5))


@pytest.mark.parametrize("count", range(2, 8))
def test_small_world_with_neighbours_enough_links_everybody(count):
    """Asked for at least as many nearest neighbours as there are others, an agent has them all."""
    for k in range(2 * (count // 2), count + 4, 2):
        assert degrees(count, topology="small_world", params={"k": k, "p": 0.3}) == [count - 1] * count


def test_small_world_with_an_odd_k_does_not_load():
    with pytest.raises(ScenarioError, match=r"k: 5 is out of range; allowed: .* a multiple of 2"):
        degrees(9, topology="small_world", params={"k": 5, "p": 0.0})


def test_scale_free_brings_m_edges_with_every_new_agent():
    made = graph(30, topology="scale_free", params={"m": 3})
    assert made.number_of_edges() == 27 * 3  # networkx starts from a star of m + 1
    assert nx.is_connected(made)
    assert max(degrees(30, topology="scale_free", params={"m": 3})) > 6


@pytest.mark.parametrize("m", [4, 5, 9])
def test_scale_free_with_more_edges_than_agents_still_connects(m):
    assert nx.is_connected(graph(5, topology="scale_free", params={"m": m}))


@given(st.integers(2, 12).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_directed_edges_are_sorted_and_point_back_at_each_other(case):
    count, drawn = case
    undirected = sorted({(min(p), max(p)) for p in drawn if p[0] != p[1]})
    start, peer, back = directed(np.array(undirected, dtype=np.int64).reshape(-1, 2), count)
    assert start[0] == 0
    assert start[-1] == len(peer) == len(back) == 2 * len(undirected)
    source = np.repeat(np.arange(count), np.diff(start))
    edges = list(zip(source.tolist(), peer.tolist(), strict=True))
    assert edges == sorted({*undirected, *((b, a) for a, b in undirected)})
    assert [edges[k] for k in back] == [(b, a) for a, b in edges]


@pytest.mark.parametrize("network", FIXED + RANDOM, ids=lambda n: n["topology"])
def test_a_market_deals_along_the_graph(network):
    market = plain_market(scenario(9, 3, **network))
    found = {(i, int(c.peer)) for i, a in enumerate(market.seats) for c in market.edges[a.start : a.stop]}
    assert {pair for pair in found if pair[0] < pair[1]} == set(pairs(9, 3, **network))
    assert all(market.edges[c.back].back == k for k, c in enumerate(market.edges))


# ---- networks that change: weights fade at the close of an epoch, grow with use, and break


def dynamic(**settings):
    network = {"topology": "complete", "dynamic": True, "edge_decay_rate": 0.1, "min_edge_weight": 0.5} | settings
    data = {"scenario_id": "t", "agents": [{"type": "honest", "count": 3}], "network": network}
    return plain_market({**data, "simulation": {"n_epochs": 9, "steps_per_epoch": 1}})


def edge(market, i, j):
    seat = market.seats[i]
    return market.contacts[next(k for k in range(seat.start, seat.stop) if market.edges[k].peer == j)]


def test_edges_start_at_one_or_the_highest_weight():
    assert set(dynamic().contacts.weight) == {1.0}
    assert set(dynamic(max_edge_weight=3.0).contacts.weight) == {1.0}
    assert set(dynamic(max_edge_weight=0.75).contacts.weight) == {0.75}


def test_edges_fade_each_epoch_and_break_below_the_least_weight():
    market = dynamic()
    edge(market, 0, 1).weight = edge(market, 1, 0).weight = 0.5 / 0.9 + 1e-9
    edge(market, 0, 2).weight = edge(market, 2, 0).weight = 0.5 / 0.9 - 1e-9
    turn.turn(market)
    assert edge(market, 0, 1).weight == pytest.approx(0.5)
    assert edge(market, 0, 2).weight == edge(market, 2, 0).weight == 0.0
    assert edge(market, 1, 2).weight == pytest.approx(0.9)


def test_an_edge_at_exactly_the_least_weight_holds():
    market = dynamic(edge_decay_rate=0.5)
    turn.turn(market)
    assert set(market.contacts.weight) == {0.5}
    turn.turn(market)
    assert set(market.contacts.weight) == {0.0}


def test_an_edge_grows_with_acceptance_up_to_its_highest_weight_and_never_heals():
    market = dynamic(edge_strengthen_rate=0.2, max_edge_weight=1.3)
    agent, pair = market.agents[0], (edge(market, 0, 1), edge(market, 1, 0))

    def settle(answered, accepted):
        agent.proposed = market.seats[0].start
        agent.scratch.answered, agent.scratch.accepted = answered, accepted
        respond.respond(market)
        return [side.weight for side in pair]

    assert settle(True, False) == settle(False, False) == [1.0, 1.0]
    assert settle(True, True) == pytest.approx([1.2, 1.2])
    assert settle(True, True) == pytest.approx([1.3, 1.3])
    pair[0].weight = pair[1].weight = 0.0
    assert settle(True, True) == [0.0, 0.0]


def test_edges_fade_only_where_the_network_is_dynamic():
    for network in ({"topology": "complete"}, {"topology": "complete", "dynamic": True, "enabled": False}):
        market = plain_market({**scenario(3).to_dict(), "network": network, "simulation": {"steps_per_epoch": 1}})
        turn.turn(market)
        assert set(market.contacts.weight) == {1.0}


@pytest.mark.parametrize(("reputation", "severed"), [(-0.31, True), (-0.3, False), (0.0, False)])
def test_an_agent_below_the_threshold_of_reputation_loses_its_contacts(reputation, severed):
    network = {"topology": "complete", "reputation_disconnect_threshold": -0.3}
    market = plain_market({**scenario(3).to_dict(), "network": network, "simulation": {"steps_per_epoch": 2}})
    market.agents[1].reputation = reputation
    turn.turn(market)
    assert set(market.contacts.weight) == {1.0}  # the epoch is not over
    turn.turn(market)
    kept = {(i, j) for i in range(3) for j in range(3) if i != j and edge(market, i, j).weight > 0}
    assert kept == ({(0, 2), (2, 0)} if severed else {(i, j) for i in range(3) for j in range(3) if i != j})


def test_nobody_can_be_reached_over_a_severed_edge():
    data = scenario(3).to_dict()
    market = plain_market({**data, "network": {"topology": "complete"}}, "all")
    edge(market, 0, 1).weight = edge(market, 1, 0).weight = 0.0
    assert [observe.peer_contact(market, 0, slot) for slot in (0, 1)] == [-1, 1]
    actions = np.zeros((3, market.params.inbox + 3), dtype=np.int64)
    actions[0, market.params.inbox :] = (PROPOSE, 0, 0)
    decide.decide(market, actions)
    assert market.outcomes[0].illegal == 1
    edge(market, 0, 2).weight = edge(market, 2, 0).weight = 0.0
    actions[0, market.params.inbox + 1] = 1
    decide.decide(market, actions)
    assert market.outcomes[0].illegal == 1
    mask = np.zeros(2 * market.params.inbox + observe.NUM_VERBS + 2 + 4, dtype=np.int8)
    observe.show_agents(market)
    observe._write_view(market, 0, np.zeros(observe.NUM_OWN + 4 * (market.params.inbox + 2), np.float32), mask)
    verbs = mask[2 * market.params.inbox :]
    assert (verbs[PROPOSE], verbs[VOTE], verbs[POST]) == (0, 0, 1)


def test_peer_slots_show_the_most_visible_contacts_the_first_of_equals_first():
    market = plain_market({**scenario(6).to_dict(), "view": {"peers": 3}}, "all")

    def shown():
        observe.show_agents(market)
        observe.fill_slots(market, 2)
        found = [observe.peer_contact(market, 2, slot) for slot in range(3)]
        return [int(market.edges[k].peer) if k >= 0 else None for k in found]

    assert shown() == [0, 1, 3]
    market.agents.visibility = (0.5, 0.0, 9.0, 2.0, 0.5, 2.0)
    assert shown() == [3, 5, 0]
    edge(market, 2, 3).weight = edge(market, 3, 2).weight = 0.0
    assert shown() == [5, 0, 4]
    for j in (0, 1, 4):
        edge(market, 2, j).weight = 0.0
    assert shown() == [5, None, None]
    assert observe.peer_contact(market, 2, 9) == -1


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.sampled_from(FIXED + RANDOM), st.integers(0, 5))
def test_every_topology_gives_sorted_pairs_of_distinct_agents(count, network, seed):
    found = pairs(count, seed, **network)
    assert found == sorted(set(found))
    assert all(0 <= a < b < count for a, b in found)
