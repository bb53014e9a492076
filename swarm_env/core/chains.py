"""Chains of accepted interactions, and a search along them from 64 agents at once, a bit each.

What the window holds is copied into lists of links first (`link`), so that a search touches nothing else.
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
def gains(market: Market, source: int, target: int) -> bool:
    """Whether a chain from source to target would gain enough reputation."""
    gain = market.agents[target].reputation - market.agents[source].reputation
    return bool(gain > market.params.security_laundering_trust_gap)


@rule
def raise_source(market: Market, source: int, target: int) -> None:
    """The threat of an agent that has a chain to the target."""
    if gains(market, source, target):
        risk = laundering_risk(market.agents[target].reputation - market.agents[source].reputation)
        market.books[source].threat = max(market.books[source].threat, risk)


@rule
def raise_target(market: Market, source: int, target: int) -> None:
    """The threat of an agent that the source has a chain to: three tenths of the source's [S]."""
    if gains(market, source, target):
        risk = laundering_risk(market.agents[target].reputation - market.agents[source].reputation)
        market.books[target].threat = max(market.books[target].threat, 0.3 * risk)


@rule
def rank(market: Market) -> None:
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
def link(market: Market) -> None:
    """Every agent's links: whom it had dealings accepted by, those that count against itself first."""
    for i in range(len(market.agents)):
        work = market.assessments[i]
        work.outs = 0
        _link_own(market, i)
        work.own = work.outs
        if market.books[i].judged > 0:
            _link_settled(market, i)


@rule
def link_back(market: Market) -> None:
    """And whose it accepted."""
    work, links = market.assessments, market.links
    for i in range(len(market.agents)):
        work[i].ins = 0
    for i in range(len(market.agents)):
        start = market.seats[i].start
        for n in range(start, start + work[i].outs):
            peer = links[n].onto
            links[market.seats[peer].start + work[peer].ins].by = i
            work[peer].ins += 1


@rule
def _link_own(market: Market, i: int) -> None:
    """What agent i was not quarantined for yet."""
    work, links, judged, start = market.assessments[i], market.links, market.books[i].judged, market.seats[i].start
    for edge in range(start, market.seats[i].stop):
        relation = market.relations[edge]
        if relation.launders > 0 and relation.laundered >= judged:
            links[start + work.outs].onto = market.edges[edge].peer
            work.outs += 1


@rule
def _link_settled(market: Market, i: int) -> None:
    """What it was quarantined for: no first link of its own chains, but a link in those of others."""
    work, links, judged, start = market.assessments[i], market.links, market.books[i].judged, market.seats[i].start
    for edge in range(start, market.seats[i].stop):
        relation = market.relations[edge]
        if relation.launders > 0 and relation.laundered < judged:
            links[start + work.outs].onto = market.edges[edge].peer
            work.outs += 1


@rule
def search(market: Market, count: int) -> None:
    """Raise the threats of what the first `count` listed agents reach, and theirs; the lowest reputation first."""
    work = market.assessments
    best = work[len(market.agents) - 1].order
    for first in range(0, count, BITS):
        if not gains(market, work[first].listed, best):
            return  # nor for these and all that follow
        last = min(first + BITS, count)
        spread(market, first, last, True)
        _raise_both(market, first, last)


@rule
def spread(market: Market, first: int, last: int, onward: bool) -> None:
    """`deep`: which of the listed agents first..last-1 an agent is far enough from, along links or against them."""
    work, links, depth = market.assessments, market.links, 2
    for i in range(len(market.agents)):
        work[i].reached, work[i].fresh, work[i].deep = NO_BIT, NO_BIT, NO_BIT
    waiting = 0  # agents with fresh bits: `queue`
    for k in range(first, last):
        root, bit = work[k].listed, ONE_BIT << np.uint64(k - first)
        work[root].reached |= bit
        start = market.seats[root].start
        for n in range(start, start + (work[root].own if onward else work[root].ins)):
            peer = links[n].onto if onward else links[n].by
            if work[peer].fresh == NO_BIT:
                work[waiting].queue = peer
                waiting += 1
            work[peer].fresh |= bit
    while waiting > 0:
        for n in range(waiting):
            here = work[work[n].queue]
            here.front, here.fresh = here.fresh & ~here.reached, NO_BIT
            here.reached |= here.front
            if depth >= market.params.security_min_chain_length:
                here.deep |= here.front
        waiting = _go_on(market, waiting, onward)
        depth += 1


@rule
def _go_on(market: Market, waiting: int, onward: bool) -> int:
    """One link further: pass `front` of the waiting agents on, and queue those that it came to; returns how many."""
    work, links, ahead = market.assessments, market.links, 0
    for n in range(waiting):
        i = work[n].queue
        bits, start = work[i].front, market.seats[i].start
        for at in range(start, start + (work[i].outs if onward else work[i].ins) if bits != NO_BIT else start):
            peer = links[at].onto if onward else links[at].by
            if work[peer].fresh == NO_BIT:
                work[ahead].via = peer
                ahead += 1
            work[peer].fresh |= bits
    for n in range(ahead):
        work[n].queue = work[n].via
    return ahead


@rule
def _raise_both(market: Market, first: int, last: int) -> None:
    """Threats by the largest gain of every source, and by three tenths of that of every agent that is reached [S].

    Sources are listed by reputation, so that the lowest bit that has reached an agent has the most to gain.
    """
    work, open_ = market.assessments, ~NO_BIT
    for k in range(len(market.agents) - 1, -1, -1):  # reputation from the highest down
        target = work[k].order
        hits, lowest = work[target].deep, True
        for n in range(last - first if hits != NO_BIT else 0):
            bit = ONE_BIT << np.uint64(n)
            if hits & bit != NO_BIT and (lowest or open_ & bit != NO_BIT):
                source = work[first + n].listed
                raise_source(market, source, target)
                if lowest:
                    raise_target(market, source, target)
                lowest = False
        open_ &= ~hits
