"""Laundering, a threat that security control looks for: reputation gained along chains of accepted interactions.

A search from every agent is quadratic. Here 64 of them run at once, a bit each: one pass over the contacts takes all of
them a step further. Sources go by reputation, lowest first, so that the lowest bit that has reached an agent is the one
with the most to gain.
"""

from __future__ import annotations

import numpy as np

from swarm_env.core.compiled import rule
from swarm_env.core.types import Market

BITS = 64  #: searches that run at once
NO_BIT, ONE_BIT = np.uint64(0), np.uint64(1)


@rule
def laundering_risk(gain: float) -> float:
    """Severity * confidence of laundering over a gain of trust [S]."""
    return min(1.0, gain / 0.5) * min(0.8, 0.4 + gain)


@rule
def find_laundering(market: Market) -> None:
    """Raise the threat of both ends of every chain that is long enough and gains enough reputation."""
    agents, work, gap = market.agents, market.assessments, market.params.security_laundering_trust_gap
    _rank(market)
    best = agents[work[len(agents) - 1].order].reputation
    for first in range(0, len(market.agents), BITS):
        if not best - agents[work[first].order].reputation > gap:
            return  # nobody to launder towards, for these and all that follow
        last = min(first + BITS, len(market.agents))
        _spread(market, first, last)
        _find_gains(market, first, last)


@rule
def _rank(market: Market) -> None:
    """`order`: all agents by reputation, lowest first (Shell's sort with halving gaps)."""
    agents, work, gap = market.agents, market.assessments, len(market.agents)
    for i in range(len(market.agents)):
        work[i].order = i
    while gap > 1:
        gap = max(gap * 5 // 11, 1)
        for k in range(gap, len(market.agents)):
            moved, at = work[k].order, k
            while at >= gap and agents[work[at - gap].order].reputation > agents[moved].reputation:
                work[at].order = work[at - gap].order
                at -= gap
            work[at].order = moved


@rule
def _spread(market: Market, first: int, last: int) -> None:
    """`deep`: which of the sources first..last-1 reach an agent by a chain that is long enough."""
    work, depth, going = market.assessments, 2, True
    for i in range(len(market.agents)):
        work[i].reached, work[i].fresh, work[i].deep = NO_BIT, NO_BIT, NO_BIT
    for k in range(first, last):
        source, bit = work[k].order, ONE_BIT << np.uint64(k - first)
        work[source].reached |= bit
        for edge in range(market.seats[source].start, market.seats[source].stop):
            relation = market.relations[edge]
            if relation.launders > 0 and relation.laundered >= market.books[source].judged:  # else quarantined for it
                work[market.edges[edge].peer].fresh |= bit
    while going:
        going = False
        for i in range(len(market.agents)):
            here = work[i]
            here.front, here.fresh = here.fresh & ~here.reached, NO_BIT
            here.reached |= here.front
            if depth >= market.params.security_min_chain_length:
                here.deep |= here.front
            going = going or here.front != NO_BIT
        for i in range(len(market.agents) if going else 0):
            if work[i].front != NO_BIT:
                for edge in range(market.seats[i].start, market.seats[i].stop):
                    if market.relations[edge].launders > 0:
                        work[market.edges[edge].peer].fresh |= work[i].front
        depth += 1


@rule
def _find_gains(market: Market, first: int, last: int) -> None:
    """Threats by the largest gain of every source, and by three tenths of that of every agent that is reached [S]."""
    work, books, open_ = market.assessments, market.books, ~NO_BIT
    for k in range(len(market.agents) - 1, -1, -1):  # reputation from the highest down
        target = work[k].order
        hits, lowest = work[target].deep, True
        for n in range(last - first if hits != NO_BIT else 0):
            bit = ONE_BIT << np.uint64(n)
            if hits & bit != NO_BIT and (lowest or open_ & bit != NO_BIT):
                source = work[first + n].order
                gain = market.agents[target].reputation - market.agents[source].reputation
                if gain > market.params.security_laundering_trust_gap:
                    risk = laundering_risk(gain)
                    books[source].threat = max(books[source].threat, risk)
                    if lowest:
                        books[target].threat = max(books[target].threat, 0.3 * risk)
                lowest = False
        open_ &= ~hits
