"""Laundering in large markets: for every agent the most reputed one that its chains reach, and the least reputed one
whose chains reach it, in time linear in agents and links.

One search against the links starts from each agent, the most reputed first. An agent that TRIES of them have come by is
left out of all later ones: everybody who can reach it has been come by as often, so that nothing is missed, and no
agent is visited more than TRIES times. It is decided by the first that started far enough away. The second half is the
same along the links, from the least reputed agent up.

Undecided remains an agent that is too close to all of its first TRIES, and one whose own old links do not count, where
the way found passes through itself. From these few `chains.search` searches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swarm_env.core.chains import (
    gains,
    link_back,
    raise_source,
    raise_target,
    spread,
)
from swarm_env.core.compiled import rule
from swarm_env.core.picks import BITS, NO_BIT, ONE_BIT
from swarm_env.core.prefetch import ENDS, LINKS, NODES, ask_for_links, hint
from swarm_env.core.types import Market

TRIES = 4  #: searches that visit an agent before it is left to `chains.search`
OPEN, DECIDED, HARD = 0, 1, 2  #: states of an agent
FAR_OFF = 2**30  #: more than any distance


@rule
def find(market: Market) -> int:
    """Raise the threats of laundering; ranks and `chains.link` must be known.

    Returns how many agents it lists from which `chains.search` must still search.
    """
    link_back(market)
    _clear(market)
    _find_targets(market)
    for i in range(len(market.nodes)):
        node = market.nodes[i]
        tried = node.state == OPEN and node.visits >= TRIES and node.own > 0
        node.sought = node.state == HARD or tried
    _clear(market)
    _find_sources(market)
    return _list_sources(market, _search_back(market, _list_hard_targets(market)))


@rule
def _clear(market: Market) -> None:
    for i in range(len(market.nodes)):
        node = market.nodes[i]
        node.visits, node.mark, node.state = 0, -1, OPEN


@rule
def _is_mixed(node: Any) -> bool:
    """Some of its links count against it as a source, some do not."""
    return bool(0 < node.own < node.outs)


@rule
def _visit(market: Market, i: int, mark: int, level: int, via: int, waiting: int) -> int:
    """Come by agent i, unless this search or TRIES of them have; returns how many wait in the queue then."""
    here = market.nodes[i]
    if here.mark == mark or here.visits >= TRIES:
        return waiting
    here.mark, here.level, here.via = mark, level, via
    here.visits += 1
    market.places[waiting].queue = i
    return waiting + 1


@rule
def _ask(market: Market, at: int, waiting: int) -> None:
    """Ask for what a search that is at this place of its queue comes to."""
    places, last = market.places, waiting - 1
    hint(market.nodes, places[min(at + NODES, last)].queue)
    hint(market.books, places[min(at + LINKS, last)].queue)
    ask_for_links(market, places[min(at + LINKS, last)].queue)


@rule
def _ask_for_sources(market: Market, n: int) -> None:
    """Likewise for the agents from which searches start after the one of rank n."""
    places, last = market.places, len(market.places) - 1
    hint(market.nodes, places[min(n + NODES, last)].order)
    ask_for_links(market, places[min(n + LINKS, last)].order)


@rule
def _find_targets(market: Market) -> None:
    """The threats of sources: from every target back, the most reputed one first."""
    nodes, places, links = market.nodes, market.places, market.links
    for n in range(len(places) - 1, -1, -1):
        if not gains(market, places[0].reputation, places[n].reputation):
            return
        hint(nodes, places[max(n - NODES, 0)].order)
        target, mixed, at = places[n].order, False, 0
        waiting = _visit(market, target, n, 0, target, 0)
        while at < waiting:
            i = places[at].queue
            node = nodes[i]
            _ask(market, at, waiting)
            at += 1
            mixed = mixed or _is_mixed(node)
            _decide_source(market, i, target)
            for k in range(node.start, node.start + node.ins):
                waiting = _visit(market, links[k].by, n, node.level + 1, i, waiting)
        for k in range(waiting if mixed else 0):
            i = places[k].queue
            if _is_mixed(nodes[i]) and nodes[i].state == OPEN and i != target:
                _decide_mixed(market, i, target, n)


@rule
def _decide_source(market: Market, source: int, target: int) -> None:
    """An agent all of whose links count, once a search has come by it."""
    here = market.nodes[source]
    if here.state == OPEN and not gains(market, here.reputation, market.nodes[target].reputation):
        here.state = DECIDED  # and with all that follow it would gain less
    far = here.level >= market.params.security_min_chain_length - 1
    if far and here.state == OPEN and here.own == here.outs:
        here.state = DECIDED
        raise_source(market, source, target)


@rule
def _decide_mixed(market: Market, source: int, target: int, mark: int) -> None:
    """An agent some of whose links do not count: its chains begin with one that does, and never pass through itself.

    `level` is the distance of a link's end from the target by the shortest way, perhaps through the source. If that end
    is no further away than the source it is not; else the way that the search took shows it.
    """
    nodes, least = market.nodes, market.params.security_min_chain_length - 1
    node = nodes[source]
    nearest, sure = FAR_OFF, FAR_OFF
    for k in range(node.start, node.start + node.own):
        end = market.links[k].onto
        if nodes[end].mark != mark:
            continue  # has no way to the target
        here, distance = end, nodes[end].level + 1
        for _ in range(distance - 1 - node.level):
            here = nodes[here].via
        nearest = min(nearest, distance)
        if here != source:
            sure = min(sure, distance)
    if sure < least or nearest == FAR_OFF:
        return  # too close, or never reached
    if nearest >= least and sure < FAR_OFF:
        node.state = DECIDED
        raise_source(market, source, target)
    else:
        node.state = HARD


@rule
def _find_sources(market: Market) -> None:
    """The threats of targets: along the links from every source, the least reputed one first."""
    nodes, places, links = market.nodes, market.places, market.links
    for n in range(len(places)):
        if not gains(market, places[n].reputation, places[len(places) - 1].reputation):
            return
        _ask_for_sources(market, n)
        source, waiting, at, back = places[n].order, 0, 0, False
        start = nodes[source].start
        for k in range(start, start + nodes[source].own):
            waiting = _visit(market, links[k].onto, n, 1, source, waiting)
        while at < waiting:
            i = places[at].queue
            node = nodes[i]
            _ask(market, at, waiting)
            at += 1
            if i == source:
                back = True  # goes on below: by no chain of its own
                continue
            _decide_target(market, source, i)
            for k in range(node.start, node.start + node.outs):
                waiting = _visit(market, links[k].onto, n, node.level + 1, i, waiting)
        if back:
            _count_detours(market, source, n)


@rule
def _decide_target(market: Market, source: int, target: int) -> None:
    here = market.nodes[target]
    if here.state == OPEN and here.level >= market.params.security_min_chain_length - 1:
        here.state = DECIDED
        raise_target(market, source, target)


@rule
def _count_detours(market: Market, source: int, mark: int) -> None:
    """Come by those, too, that the source reaches by an old link of its own alone: they are visited, not decided.

    Without it an agent could be left out although others behind it have not been come by as often.
    """
    nodes, links, waiting, at = market.nodes, market.links, 0, 0
    node = nodes[source]
    for k in range(node.start + node.own, node.start + node.outs):
        waiting = _visit(market, links[k].onto, mark, 0, source, waiting)
    while at < waiting:
        i = market.places[at].queue
        here = nodes[i]
        at += 1
        for k in range(here.start, here.start + here.outs):
            waiting = _visit(market, links[k].onto, mark, 0, i, waiting)


@rule
def _list_hard_targets(market: Market) -> int:
    """`listed`: who is still undecided as a target, the least reputed first; returns how many."""
    places, count = market.places, 0
    for k in range(len(places)):
        hint(market.nodes, places[min(k + ENDS, len(places) - 1)].order)
        here = market.nodes[places[k].order]
        if here.state == OPEN and here.visits >= TRIES:
            places[count].listed = places[k].order
            count += 1
    return count


@rule
def _search_back(market: Market, count: int) -> int:
    """The threats of the first `count` listed targets, by their least reputed source among those that are not mixed.

    Returns below which rank a mixed source might still raise one of them.
    """
    nodes, places, below = market.nodes, market.places, 0
    for first in range(0, count, BITS):
        last, k = min(first + BITS, count), 0
        spread(market, first, last, False)
        open_ = ~NO_BIT >> np.uint64(BITS - (last - first))
        best = nodes[places[last - 1].listed].reputation
        while k < len(places) and open_ != NO_BIT and gains(market, places[k].reputation, best):
            source = nodes[places[k].order]
            hits = source.deep & open_ if source.own == source.outs else NO_BIT
            open_ &= ~hits
            for n in range(last - first if hits != NO_BIT else 0):
                if hits & (ONE_BIT << np.uint64(n)) != NO_BIT:
                    raise_target(market, places[k].order, places[first + n].listed)
            k += 1
        below = max(below, k)
    return below


@rule
def _list_sources(market: Market, below: int) -> int:
    """`listed`: who is still undecided as a source, the least reputed first; returns how many.

    With them, below that rank, those whom a search against the links cannot judge as sources of undecided targets.
    """
    places, count = market.places, 0
    for k in range(len(places)):
        hint(market.nodes, places[min(k + ENDS, len(places) - 1)].order)
        node = market.nodes[places[k].order]
        if node.sought or (k < below and _is_mixed(node)):
            places[count].listed = places[k].order
            count += 1
    return count
