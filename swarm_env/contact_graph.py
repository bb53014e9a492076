"""Who may deal with whom: the contact graph of a scenario, as directed edges in order of agent, then contact.

The graph belongs to the scenario: it is drawn once from ``simulation.seed``, and stays the same over episodes and over
the seeds a run is repeated with, so that runs stay paired. networkx draws the random topologies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from swarm_env.scenario import Scenario


def contact_pairs(scenario: Scenario) -> NDArray[np.int64]:
    """Undirected pairs (i < j) of agents in contact, shape (pairs, 2), sorted."""
    num_agents, network = scenario.num_agents, scenario.network
    if network is None or not network.enabled or network.topology == "complete":
        return _everybody(num_agents)
    if network.topology == "ring":
        ends = np.arange(num_agents)
        pairs = np.stack([ends, (ends + 1) % num_agents], axis=1)
    elif network.topology == "star":
        pairs = np.stack([np.zeros(num_agents - 1, np.int64), np.arange(1, num_agents)], axis=1)
    else:
        pairs = _random_pairs(scenario)
    return np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int64).reshape(-1, 2)


def _everybody(num_agents: int) -> NDArray[np.int64]:
    return np.stack(np.triu_indices(num_agents, 1), axis=1).astype(np.int64)


def _random_pairs(scenario: Scenario) -> NDArray[np.int64]:
    import networkx as nx

    num_agents, network, seed = scenario.num_agents, scenario.network, scenario.simulation.seed
    assert network is not None
    if network.topology == "random_erdos_renyi":
        graph = nx.fast_gnp_random_graph(num_agents, network.edge_probability, seed=seed)
    elif network.topology == "small_world":
        if network.k_neighbors >= num_agents - 1:  # networkx would round an odd number of neighbours down
            return _everybody(num_agents)
        graph = nx.watts_strogatz_graph(num_agents, network.k_neighbors, network.rewire_probability, seed=seed)
    else:
        if network.m_edges >= num_agents - 1:
            return _everybody(num_agents)
        graph = nx.barabasi_albert_graph(num_agents, network.m_edges, seed=seed)
    return np.array(list(graph.edges()), dtype=np.int64).reshape(-1, 2)


def directed(pairs: NDArray[np.int64], num_agents: int) -> tuple[NDArray[np.int64], ...]:
    """Directed edges of the pairs: (start (N+1,), peer (E,), back (E,)); agent i's are start[i]..start[i+1]-1."""
    source = np.concatenate([pairs[:, 0], pairs[:, 1]])
    peer = np.concatenate([pairs[:, 1], pairs[:, 0]])
    order = np.lexsort((peer, source))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    back = place[(order + len(pairs)) % max(len(order), 1)]  # the other half holds the reversed pairs
    start = np.searchsorted(source[order], np.arange(num_agents + 1))
    return start, peer[order], back
