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
    BITS,
    NO_BIT,
    ONE_BIT,
    gains,
    link_back,
    raise_source,
    raise_target,
    spread,
)
from swarm_env.core.compiled import rule
from swarm_env.core.types import Market

TRIES = 4  #: searches that visit an agent before it is left to `chains.search`
OPEN, DECIDED, HARD = 0, 1, 2  #: states of an agent
FAR_OFF = 2**30  #: more than any distance


@rule
def find(market: Market) -> int:
    """Raise the threats of laundering; ranks and `chains.link` must be known.

    Returns how many agents it lists from which `chains.search` must still search.
    """
    work = market.assessments
    link_back(market)
    _clear(market)
    _find_targets(market)
    for i in range(len(market.agents)):
        tried = work[i].state == OPEN and work[i].visits >= TRIES and work[i].own > 0
        work[i].sought = work[i].state == HARD or tried
    _clear(market)
    _find_sources(market)
    hard = _list_hard_targets(market)
    _search_back(market, hard)
    return _list_sources(market, hard > 0)


@rule
def _clear(market: Market) -> None:
    for i in range(len(market.agents)):
        work = market.assessments[i]
        work.visits, work.mark, work.state = 0, -1, OPEN


@rule
def _is_mixed(work: Any, i: int) -> bool:
    """Some of its links count against it as a source, some do not."""
    return bool(0 < work[i].own < work[i].outs)


@rule
def _visit(work: Any, i: int, mark: int, level: int, via: int, waiting: int) -> int:
    """Come by agent i, unless this search or TRIES of them have; returns how many wait in the queue then."""
    here = work[i]
    if here.mark == mark or here.visits >= TRIES:
        return waiting
    here.mark, here.level, here.via = mark, level, via
    here.visits += 1
    work[waiting].queue = i
    return waiting + 1


@rule
def _find_targets(market: Market) -> None:
    """The threats of sources: from every target back, the most reputed one first."""
    work, lowest = market.assessments, market.assessments[0].order
    for n in range(len(market.agents) - 1, -1, -1):
        target = work[n].order
        if not gains(market, lowest, target):
            return
        waiting, at, mixed = _visit(work, target, n, 0, target, 0), 0, False
        while at < waiting:
            here = work[at].queue
            at += 1
            mixed = mixed or _is_mixed(work, here)
            _decide_source(market, here, target)
            start = market.seats[here].start
            for k in range(start, start + work[here].ins):
                waiting = _visit(work, market.links[k].by, n, work[here].level + 1, here, waiting)
        for k in range(waiting if mixed else 0):
            here = work[k].queue
            if _is_mixed(work, here) and work[here].state == OPEN and here != target:
                _decide_mixed(market, here, target, n)


@rule
def _decide_source(market: Market, source: int, target: int) -> None:
    """An agent all of whose links count, once a search has come by it."""
    here = market.assessments[source]
    if here.state == OPEN and not gains(market, source, target):
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
    work, least = market.assessments, market.params.security_min_chain_length - 1
    nearest, sure, start = FAR_OFF, FAR_OFF, market.seats[source].start
    for k in range(start, start + work[source].own):
        end = market.links[k].onto
        if work[end].mark != mark:
            continue  # has no way to the target
        here, distance = end, work[end].level + 1
        for _ in range(distance - 1 - work[source].level):
            here = work[here].via
        nearest = min(nearest, distance)
        if here != source:
            sure = min(sure, distance)
    if sure < least or nearest == FAR_OFF:
        return  # too close, or never reached
    if nearest >= least and sure < FAR_OFF:
        work[source].state = DECIDED
        raise_source(market, source, target)
    else:
        work[source].state = HARD


@rule
def _find_sources(market: Market) -> None:
    """The threats of targets: along the links from every source, the least reputed one first."""
    work, highest = market.assessments, market.assessments[len(market.agents) - 1].order
    for n in range(len(market.agents)):
        source = work[n].order
        if not gains(market, source, highest):
            return
        start, waiting, at, back = market.seats[source].start, 0, 0, False
        for k in range(start, start + work[source].own):
            waiting = _visit(work, market.links[k].onto, n, 1, source, waiting)
        while at < waiting:
            here = work[at].queue
            at += 1
            if here == source:
                back = True  # goes on below: by no chain of its own
                continue
            _decide_target(market, source, here)
            start = market.seats[here].start
            for k in range(start, start + work[here].outs):
                waiting = _visit(work, market.links[k].onto, n, work[here].level + 1, here, waiting)
        if back:
            _count_detours(market, source, n)


@rule
def _decide_target(market: Market, source: int, target: int) -> None:
    here = market.assessments[target]
    if here.state == OPEN and here.level >= market.params.security_min_chain_length - 1:
        here.state = DECIDED
        raise_target(market, source, target)


@rule
def _count_detours(market: Market, source: int, mark: int) -> None:
    """Come by those, too, that the source reaches by an old link of its own alone: they are visited, not decided.

    Without it an agent could be left out although others behind it have not been come by as often.
    """
    work, waiting, at = market.assessments, 0, 0
    start = market.seats[source].start
    for k in range(start + work[source].own, start + work[source].outs):
        waiting = _visit(work, market.links[k].onto, mark, 0, source, waiting)
    while at < waiting:
        here = work[at].queue
        at += 1
        start = market.seats[here].start
        for k in range(start, start + work[here].outs):
            waiting = _visit(work, market.links[k].onto, mark, 0, here, waiting)


@rule
def _list_hard_targets(market: Market) -> int:
    """`listed`: who is still undecided as a target, the least reputed first; returns how many."""
    work, count = market.assessments, 0
    for k in range(len(market.agents)):
        here = work[work[k].order]
        if here.state == OPEN and here.visits >= TRIES:
            work[count].listed = work[k].order
            count += 1
    return count


@rule
def _list_sources(market: Market, mixed: bool) -> int:
    """`listed`: who is still undecided as a source, the least reputed first; returns how many.

    With `mixed` also those whom a search against the links cannot judge as sources of undecided targets.
    """
    work, count = market.assessments, 0
    for k in range(len(market.agents)):
        i = work[k].order
        if work[i].sought or (mixed and _is_mixed(work, i)):
            work[count].listed = i
            count += 1
    return count


@rule
def _search_back(market: Market, count: int) -> None:
    """The threats of the first `count` listed targets, by their least reputed source."""
    work = market.assessments
    for first in range(0, count, BITS):
        last, open_ = min(first + BITS, count), ~NO_BIT
        spread(market, first, last, False)
        for k in range(len(market.agents)):
            source = work[k].order
            hits = work[source].deep & open_
            if hits == NO_BIT or work[source].own < work[source].outs:
                continue
            open_ &= ~hits
            for n in range(last - first):
                if hits & (ONE_BIT << np.uint64(n)) != NO_BIT:
                    raise_target(market, source, work[first + n].listed)
