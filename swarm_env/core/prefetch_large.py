"""Reading ahead in lists of contacts that lie anywhere, in markets larger than the caches (`prefetch.py` says how).

Who initiated an interaction stands three reads from its contact, so each of these is asked for a little later than the
one that it hangs on.
"""

from __future__ import annotations

from swarm_env.core.compiled import natural, rule
from swarm_env.core.prefetch import LARGE, hint
from swarm_env.core.sizes import agents_in
from swarm_env.core.types import Market

STRIDE = 8  #: entries of a list between one read and the one that hangs on it


@rule
def is_large(market: Market) -> bool:
    """Whether what agents touch is asked for."""
    return agents_in(market) >= LARGE


@rule
def ask_for_parties(market: Market, far: int, mid: int, near: int) -> None:
    """Of three contacts in a list: ask for the first one's edge, the edge back of the second, and what is on record of
    both agents of the third."""
    edges = market.edges
    hint(edges, far)
    hint(edges, edges[natural(mid)].back)
    edge = edges[natural(near)]
    hint(market.books, edge.peer)
    hint(market.books, edges[natural(edge.back)].peer)


@rule
def ask_for_agent(market: Market, i: int) -> None:
    """While all agents are looked at in turn."""
    if is_large(market):
        hint(market.agents, min(i + STRIDE, agents_in(market) - 1))


@rule
def ask_for_pair(market: Market, k: int) -> None:
    """While pairs are scored, the one with number k next but for the others: what both have in the other's eyes."""
    pairs, edges, last = market.pairs, market.edges, len(market.pairs) - 1
    later, soon = natural(min(k + 2 * STRIDE, last)), natural(min(k + STRIDE, last))
    if pairs[later].count > 0:
        forward = natural(edges[later].forward)
        hint(edges, edges[forward].back)
        hint(market.relations, edges[later].forward)
        hint(market.books, edges[forward].peer)
    if pairs[soon].count > 0:
        forward = natural(edges[soon].forward)
        hint(market.relations, edges[forward].back)


@rule
def ask_for_oldest(market: Market) -> None:
    """Before the oldest interaction of a full history goes: ask for what goes with those that follow it."""
    history, row = market.history, market.row
    if not is_large(market) or row.remembered < len(history):
        return
    size, place = len(history), row.oldest + STRIDE
    near = natural(place if place < size else place - size)
    place += STRIDE
    mid = natural(place if place < size else place - size)
    place += STRIDE
    far = natural(place if place < size else place - size)
    hint(market.relations, history[far].contact)
    ask_for_parties(market, history[far].contact, history[mid].contact, history[near].contact)
