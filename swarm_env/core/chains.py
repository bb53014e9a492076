"""Chains of accepted interactions, and a search along them from 64 agents at once, a bit each.

What the window holds is copied into lists of links first (`link`), so that a search touches nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swarm_env.core.compiled import rule
from swarm_env.core.picks import BITS, NO_BIT, ONE_BIT
from swarm_env.core.prefetch import LINKS, NODES, ask_for_links, hint
from swarm_env.core.sizes import agents_in
from swarm_env.core.types import Market


@rule
def laundering_risk(gain: float) -> float:
    """Severity * confidence of laundering over a gain of trust [S]."""
    return min(1.0, gain / 0.5) * min(0.8, 0.4 + gain)


@rule
def gains(market: Market, low: float, high: float) -> bool:
    """Whether a chain from one of the low reputation to one of the high would gain enough."""
    return bool(high - low > market.params.security_laundering_trust_gap)


@rule
def raise_source(market: Market, source: int, target: int) -> None:
    """The threat of an agent that has a chain to the target."""
    low, high = market.nodes[source].reputation, market.nodes[target].reputation
    if gains(market, low, high):
        market.books[source].threat = max(market.books[source].threat, laundering_risk(high - low))


@rule
def raise_target(market: Market, source: int, target: int) -> None:
    """The threat of an agent that the source has a chain to: three tenths of the source's [S]."""
    low, high = market.nodes[source].reputation, market.nodes[target].reputation
    if gains(market, low, high):
        market.books[target].threat = max(market.books[target].threat, 0.3 * laundering_risk(high - low))


@rule
def rank(market: Market) -> None:
    """`order`: all agents by reputation, lowest first: into as many bins as agents, then Shell's sort of neighbours."""
    agents, places, num_agents = market.agents, market.places, agents_in(market)
    for k in range(num_agents):
        places[k].next = 0
    for i in range(num_agents):
        places[_bin(agents[i].reputation, num_agents)].next += 1
    below = 0
    for k in range(num_agents):
        here = places[k].next
        places[k].next = below
        below += here
    for i in range(num_agents):
        reputation = agents[i].reputation
        mine = places[_bin(reputation, num_agents)]
        places[mine.next].reputation, places[mine.next].order = reputation, i
        mine.next += 1
    _sort(places)


@rule
def _bin(reputation: float, num_bins: int) -> int:
    """In which bin a reputation lies: they share [-1, 1]."""
    return int(0.5 * (reputation + 1.0) * (num_bins - 1))


@rule
def _sort(places: Any) -> None:
    """Shell's sort with more than halving gaps: a few comparisons each where reputations lie in their bins evenly."""
    gap = len(places)
    while gap > 1:
        gap = max(gap * 5 // 11, 1)
        for k in range(gap, len(places)):
            reputation, agent, at = places[k].reputation, places[k].order, k
            while at >= gap and places[at - gap].reputation > reputation:
                places[at].reputation, places[at].order = places[at - gap].reputation, places[at - gap].order
                at -= gap
            places[at].reputation, places[at].order = reputation, agent


@rule
def link(market: Market) -> None:
    """Every agent's node and links: whom it had dealings accepted by, those that count against itself first."""
    for i in range(agents_in(market)):
        node = market.nodes[i]
        node.reputation, node.start, node.outs = market.agents[i].reputation, market.seats[i].start, 0
        _link_own(market, i)
        node.own = node.outs
        if market.books[i].judged > 0:
            _link_settled(market, i)


@rule
def link_back(market: Market) -> None:
    """And whose it accepted."""
    nodes, links = market.nodes, market.links
    for i in range(len(nodes)):
        nodes[i].ins = 0
    for i in range(len(nodes)):
        start = nodes[i].start
        for n in range(start, start + nodes[i].outs):
            peer = nodes[links[n].onto]
            links[peer.start + peer.ins].by = i
            peer.ins += 1


@rule
def _link_own(market: Market, i: int) -> None:
    """What agent i was not quarantined for yet."""
    node, links, judged = market.nodes[i], market.links, market.books[i].judged
    for edge in range(node.start, market.seats[i].stop):
        relation = market.relations[edge]
        if relation.launders > 0 and relation.laundered >= judged:
            links[node.start + node.outs].onto = market.edges[edge].peer
            node.outs += 1


@rule
def _link_settled(market: Market, i: int) -> None:
    """What it was quarantined for: no first link of its own chains, but a link in those of others."""
    node, links, judged = market.nodes[i], market.links, market.books[i].judged
    for edge in range(node.start, market.seats[i].stop):
        relation = market.relations[edge]
        if relation.launders > 0 and relation.laundered < judged:
            links[node.start + node.outs].onto = market.edges[edge].peer
            node.outs += 1


@rule
def search(market: Market, count: int) -> None:
    """Raise the threats of what the first `count` listed agents reach, and theirs; the lowest reputation first."""
    nodes, places = market.nodes, market.places
    highest = places[len(places) - 1].reputation
    for first in range(0, count, BITS):
        if not gains(market, nodes[places[first].listed].reputation, highest):
            return  # nor for these and all that follow
        last = min(first + BITS, count)
        spread(market, first, last, True)
        _raise_both(market, first, last)


@rule
def spread(market: Market, first: int, last: int, onward: bool) -> None:
    """`deep`: which of the listed agents first..last-1 an agent is far enough from, along links or against them."""
    nodes, places, waiting, depth = market.nodes, market.places, 0, 2
    for i in range(len(nodes)):
        nodes[i].reached, nodes[i].fresh, nodes[i].deep = NO_BIT, NO_BIT, NO_BIT
    for k in range(first, last):
        root, bit = nodes[places[k].listed], ONE_BIT << np.uint64(k - first)
        root.reached |= bit
        waiting = _go_on(market, root, root.own if onward else root.ins, onward, bit, waiting)
    while waiting > 0:
        for n in range(waiting):
            hint(nodes, places[min(n + NODES, waiting - 1)].next)
            place = places[n]
            place.queue = place.next
            here = nodes[place.queue]
            place.front, here.fresh = here.fresh & ~here.reached, NO_BIT
            here.reached |= place.front
            if depth >= market.params.security_min_chain_length:
                here.deep |= place.front
        came, waiting, depth = waiting, 0, depth + 1
        for n in range(came):
            ask_for_links(market, places[min(n + LINKS, came - 1)].queue)
            bits, here = places[n].front, nodes[places[n].queue]
            if bits != NO_BIT:
                waiting = _go_on(market, here, here.outs if onward else here.ins, onward, bits, waiting)


@rule
def _go_on(market: Market, node: Any, count: int, onward: bool, bits: np.uint64, waiting: int) -> int:
    """Pass bits over the first links of a node; returns how many agents have some to pass on `next`."""
    nodes, links = market.nodes, market.links
    for n in range(node.start, node.start + count):
        peer = links[n].onto if onward else links[n].by
        if nodes[peer].fresh == NO_BIT:
            market.places[waiting].next = peer
            waiting += 1
        nodes[peer].fresh |= bits
    return waiting


@rule
def _raise_both(market: Market, first: int, last: int) -> None:
    """Threats by the largest gain of every source, and by three tenths of that of every agent that is reached [S].

    Sources are listed by reputation, so that the lowest bit that has reached an agent has the most to gain.
    """
    nodes, places, open_ = market.nodes, market.places, ~NO_BIT
    for k in range(len(places) - 1, -1, -1):  # reputation from the highest down
        hint(nodes, places[max(k - NODES, 0)].order)
        target = places[k].order
        hits, lowest = nodes[target].deep, True
        for n in range(last - first if hits != NO_BIT else 0):
            bit = ONE_BIT << np.uint64(n)
            if hits & bit != NO_BIT and (lowest or open_ & bit != NO_BIT):
                source = places[first + n].listed
                raise_source(market, source, target)
                if lowest:
                    raise_target(market, source, target)
                lowest = False
        open_ &= ~hits
