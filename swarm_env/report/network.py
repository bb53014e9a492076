"""Where agents stand in the player when they deal along a network."""

from __future__ import annotations

from typing import Any

from swarm_env.report.episode import Episode
from swarm_env.report.played import played

MOST_AGENTS, MOST_EDGES = 400, 5000  #: beyond these a network is no picture any more


def contacts(episode: Episode) -> dict[str, Any] | None:
    """Edges at the start and a position (-1..1) for each agent; None where everybody deals with everybody.

    None as well for a network too large to be seen, and for a scenario that does not load in this version.
    """
    network = episode.opening["scenario"].get("network")
    if not isinstance(network, dict) or not network.get("enabled") or network.get("topology") == "complete":
        return None
    if len(episode.names) > MOST_AGENTS:
        return None
    try:
        scenario = played(episode.opening)
    except ValueError:
        return None
    if scenario.num_agents != len(episode.names):
        return None
    from swarm_env.contact_graph import contact_pairs

    pairs = contact_pairs(scenario).tolist()
    if len(pairs) > MOST_EDGES:
        return None
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(len(episode.names)))
    graph.add_edges_from(pairs)
    places = nx.kamada_kawai_layout(graph) if len(episode.names) <= 60 and nx.is_connected(graph) else None
    if places is None:
        places = nx.spring_layout(graph, seed=1)
    at = [[round(float(x), 3) for x in places[i]] for i in range(len(episode.names))]
    return {"edges": pairs, "at": at, "topology": str(network.get("topology")), "changes": bool(network.get("dynamic"))}
