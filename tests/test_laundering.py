"""The laundering search against a plain breadth-first search from every agent, of more than 64 agents, too."""

from __future__ import annotations

import numpy as np
import pytest

from swarm_env.core import chains, extremes, laundering, reach
from swarm_env.testing import plain_market


def market(agents, contacts, seed, gap, shortest, network=None):
    network = network or {"topology": "small_world", "k_neighbors": contacts, "rewire_probability": 0.3}
    m = plain_market(
        {
            "scenario_id": "t",
            "agents": [{"type": "honest", "count": agents}],
            "network": network,
            "governance": {
                "security_enabled": True,
                "security_laundering_trust_gap": gap,
                "security_min_chain_length": shortest,
            },
            "simulation": {"seed": seed},
        }
    )
    rng = np.random.default_rng(seed)
    m.agents.reputation = np.round(rng.uniform(-1, 1, agents), 1)  # with ties
    m.relations.launders = rng.random(len(m.relations)) < rng.uniform(0.05, 0.6)
    m.relations.laundered = rng.integers(0, 9, len(m.relations))
    m.books.judged = np.where(rng.random(agents) < 0.3, 5, 0)
    return m


def searched(m, gap, shortest):
    """Threats by a queue from every source."""
    threat = np.zeros(len(m.agents))
    for source in range(len(m.agents)):
        depth, queue = {source: 1}, [source]
        for here in queue:
            for edge in range(m.seats[here].start, m.seats[here].stop):
                relation, peer = m.relations[edge], int(m.edges[edge].peer)
                judged = here == source and relation.laundered < m.books[source].judged
                if relation.launders == 0 or peer in depth or judged:
                    continue
                depth[peer] = depth[here] + 1
                queue.append(peer)
                gain = m.agents[peer].reputation - m.agents[source].reputation
                if depth[peer] >= shortest and gain > gap:
                    risk = min(1.0, gain / 0.5) * min(0.8, 0.4 + gain)
                    threat[source] = max(threat[source], risk)
                    threat[peer] = max(threat[peer], 0.3 * risk)
    return threat


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("words", [True, False], ids=["sets", "lists"])
@pytest.mark.parametrize("agents", [5, 63, 64, 65, 150])
def test_many_searches_at_once_find_what_each_would_find(agents, words, seed, monkeypatch):
    """Small markets by sets of agents in words, or along lists as larger ones are."""
    if not words:
        monkeypatch.setattr(reach, "MOST", 0)
    gap, shortest = (0.0, 0.3, 0.9)[seed % 3], 2 + seed % 4
    m = market(agents, 4, seed, gap, shortest)
    laundering.find_laundering(m)
    expected = searched(m, gap, shortest)
    assert m.books.threat.tolist() == expected.tolist()
    if agents > 5 and seed == 0:
        assert (expected > 0).any()


def in_large_markets(monkeypatch):
    """Have markets of any size searched as large ones are; returns a list that fills with the agents left over."""
    left, find = [], extremes.find
    monkeypatch.setattr(reach, "MOST", 0)
    monkeypatch.setattr(laundering, "FEW", 0)
    monkeypatch.setattr(extremes, "find", lambda m: left.append(find(m)) or left[-1])
    return left


NETWORKS = [
    {"topology": "ring"},
    {"topology": "star"},
    {"topology": "scale_free", "m_edges": 2},
    {"topology": "random_erdos_renyi", "edge_probability": 0.04},
    {"topology": "random_erdos_renyi", "edge_probability": 0.5},
    {"topology": "small_world", "k_neighbors": 6, "rewire_probability": 0.2},
]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: "_".join(map(str, network.values())))
def test_large_markets_find_what_a_search_from_every_agent_finds(network, seed, monkeypatch):
    left = in_large_markets(monkeypatch)
    gap, shortest = (0.0, 0.3, 0.9)[seed % 3], 2 + seed % 5
    agents = (20, 40, 66)[seed % 3]
    m = market(agents, 0, seed, gap, shortest, network)
    laundering.find_laundering(m)
    assert m.books.threat.tolist() == searched(m, gap, shortest).tolist()
    assert len(left) == 1


def test_a_large_market_leaves_few_agents_to_a_search_from_each(monkeypatch):
    left = in_large_markets(monkeypatch)
    network = {"topology": "small_world", "k_neighbors": 8, "rewire_probability": 0.3}
    for agents in (100, 300):
        m = market(agents, 0, 4, 0.1, 3, network)
        laundering.find_laundering(m)
        assert (m.books.threat > 0).any()
        assert np.all(m.nodes.visits <= extremes.TRIES)
    assert max(left) < 32


def test_agents_are_ranked_by_reputation():
    m = market(150, 4, 3, 0.2, 3)
    chains.rank(m)
    order = [int(place.order) for place in m.places]
    assert sorted(order) == list(range(150))
    assert np.all(np.diff([m.agents[i].reputation for i in order]) >= 0)
