"""Laundering in a market of up to 64 agents: a machine word holds a set of them, so a chain is followed from one agent
to whole sets at a time. Finds the same threats as a search along lists, see `chains`."""

from __future__ import annotations

import numpy as np

from swarm_env.core.chains import gains, laundering_risk
from swarm_env.core.compiled import natural, rule
from swarm_env.core.picks import BITS, NO_BIT, ONE_BIT, bit, first_of, without_first
from swarm_env.core.sizes import agents_in, contacts_of
from swarm_env.core.types import Market

MOST = BITS  #: agents that a word has bits for


@rule
def find(market: Market) -> None:
    """Raise the threats of both ends of every chain that is long enough and gains enough."""
    highest = market.agents[0].reputation
    for i in range(1, agents_in(market)):
        highest = max(highest, market.agents[i].reputation)
    linked = False
    for i in range(agents_in(market)):
        if gains(market, market.agents[i].reputation, highest):
            if not linked:
                _link(market)
                linked = True
            _search(market, i)


@rule
def _link(market: Market) -> None:
    for i in range(agents_in(market)):
        market.assessments[i].onto = _accepted(market, i, 0)


@rule
def _accepted(market: Market, i: int, judged: int) -> np.uint64:
    """Who accepted from agent i within the window, at step `judged` or later."""
    found = NO_BIT
    for k in contacts_of(market, i):
        edge = natural(k)
        relation = market.relations[edge]
        holds = (relation.launders > 0) & (relation.laundered >= judged)  # no branch: nobody could predict it
        found |= bit(holds, market.edges[edge].peer)
    return found


@rule
def _search(market: Market, source: int) -> None:
    """Agents in the order of their distance from the source, while some that it could gain by are still to come."""
    work, length, judged = market.assessments, 2, market.books[source].judged
    reached = ONE_BIT << np.uint64(source)
    fresh = work[source].onto if judged == 0 else _accepted(market, source, judged)
    near = reached | fresh if length < market.params.security_min_chain_length else reached  # too near for a chain
    targets = _above(market, market.agents[source].reputation, ~near)
    while True:
        fresh &= ~reached
        reached |= fresh
        if length >= market.params.security_min_chain_length:
            _raise_all(market, source, fresh & targets)
        if fresh == NO_BIT or targets & ~reached == NO_BIT:
            return
        fresh, length = _onward(market, fresh), length + 1


@rule
def _above(market: Market, low: float, candidates: np.uint64) -> np.uint64:
    """Whom of them an agent of this reputation would gain enough by."""
    found = NO_BIT
    for i in range(agents_in(market)):
        found |= bit(gains(market, low, market.agents[i].reputation), i)
    return found & candidates


@rule
def _onward(market: Market, agents: np.uint64) -> np.uint64:
    """Who accepted from any of them."""
    found = NO_BIT
    while agents != NO_BIT:
        found |= market.assessments[natural(first_of(agents))].onto
        agents = without_first(agents)
    return found


@rule
def _raise_all(market: Market, source: int, targets: np.uint64) -> None:
    """The threat of a source, and three tenths of it for each of its targets [S]."""
    low = market.agents[source].reputation
    while targets != NO_BIT:
        target = natural(first_of(targets))
        initiator, counterparty = market.books[source], market.books[target]
        risk = laundering_risk(market.agents[target].reputation - low)
        initiator.threat = max(initiator.threat, risk)
        counterparty.threat = max(counterparty.threat, 0.3 * risk)
        targets = without_first(targets)
