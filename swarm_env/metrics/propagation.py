"""Threats that travel: laundering through trusted agents, and bad deals that spread from victim to victim.

SWARM section 3 (Security). On purpose different: contagion is timed in simulated steps, not by the wall clock
(which makes SWARM's runs unrepeatable); what settles in one step is simultaneous, so "later" means a later
step, and no result depends on the order of rows; SWARM's demand for min_chain_length interactions in all is
dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from swarm_env.metrics.bad_deals import FOLLOWED, BadDeals
from swarm_env.metrics.dealings import ties
from swarm_env.metrics.interactions import Bools, Floats, Ints, Record
from swarm_env.metrics.threats import Indicators, one_target_each

SEARCHED = 2**28  # edges times sources searched at once, a bit each: bounds the memory of the search
SHOWN = 2**23  # agents times sources that the levels look at together, which bounds theirs


class Laundering(NamedTuple):
    """What the levels need of laundering: number of paths, and each agent's highest risk, shape (N,)."""

    paths: int
    own: Floats  # as a source
    suffered: Floats  # as the agent that a path leads to


class Contagion(NamedTuple):
    """Chains of bad deals, shape (k,) each but the first: the deepest first, none a subset of another."""

    chain: Ints  # (k, 2+5) origin, victim, whom that dealt with: positions in `Table.agents`, -1 for nobody new
    depth: Ints  # agents reached beyond the origin
    velocity: Floats  # deals per epoch


def laundering(table: Record, gap: float, min_chain_length: int) -> Indicators:
    """One for each source and agent it reaches over accepted deals, with trust higher by more than `gap`.

    The shortest way between them must have min_chain_length agents or more, both ends included. severity
    min(1, gain/.5), confidence min(.8, .4 + gain). None where the table carries no trust.
    """
    found = [np.empty((2, 0), dtype=np.int64)]
    trust = np.zeros(table.agents.size) if table.trust is None else table.trust
    for block, far in _paths(table, trust, gap, min_chain_length, SEARCHED):
        rows, reached = np.nonzero(far)
        found.append(np.stack((block[rows], reached)))
    source, target = np.concatenate(found, axis=1)
    gain = trust[target] - trust[source]
    return one_target_each(source, target, np.minimum(1.0, gain / 0.5), np.minimum(0.8, 0.4 + gain))


def laundering_levels(table: Record, gap: float, min_chain_length: int) -> Laundering:
    """What `laundering` comes to, in memory that does not grow with the number of paths: there may be one a pair."""
    trust = np.zeros(table.agents.size) if table.trust is None else table.trust
    paths, highest, lowest = 0, np.full(trust.size, -np.inf), np.full(trust.size, np.inf)
    for block, far in _paths(table, trust, gap, min_chain_length, SHOWN):
        paths += int(np.count_nonzero(far))
        highest[block] = np.where(far, trust[None, :], -np.inf).max(axis=1, initial=-np.inf)
        np.minimum(lowest, np.where(far, trust[block, None], np.inf).min(axis=0, initial=np.inf), out=lowest)
    return Laundering(paths, _risk(highest - trust), _risk(trust - lowest))


def _risk(gain: Floats) -> Floats:
    """severity * confidence of the largest gain, 0 where it is -inf: there is no path."""
    found = np.isfinite(gain)
    known = np.where(found, gain, 0.0)
    return np.where(found, np.minimum(1.0, known / 0.5) * np.minimum(0.8, 0.4 + known), 0.0)


def _paths(
    table: Record, trust: Floats, gap: float, min_chain_length: int, entries: int
) -> Iterator[tuple[Ints, Bools]]:
    """(sources (k,), whether a path leads from each to each agent (k, N)), some sources at a time."""
    sources = np.flatnonzero(trust + gap < trust.max(initial=-np.inf))
    tie = table.once(ties)
    edges = np.stack((tie.b, tie.a))[:, tie.accepted > 0]
    edges = edges[:, np.lexsort((edges[1], edges[0]))]
    together = max(8, entries // max(edges.shape[1], trust.size, 1))
    for start in range(0, sources.size, together):
        block = sources[start : start + together]
        far = _reached(edges, block, trust.size, min_chain_length - 1) & (trust[None, :] > trust[block, None] + gap)
        yield block, far


def _reached(edges: Ints, sources: Ints, size: int, min_edges: int) -> Bools:
    """Whether an agent is reached over min_edges edges or more, and not over fewer: shape (sources, size).

    edges: (2, e), to and from, sorted. A search of breadth first from all sources at once.
    """
    receivers, starts = np.unique(edges[0], return_index=True)
    at_source = np.zeros((size, sources.size), dtype=np.bool_)
    at_source[sources, np.arange(sources.size)] = True
    front = np.packbits(at_source, axis=1)
    seen, far, walked = front.copy(), np.zeros_like(front), 0
    while front.any() and edges.size:
        fresh = np.zeros_like(front)
        fresh[receivers] = np.bitwise_or.reduceat(front[edges[1]], starts, axis=0)
        front, walked = fresh & ~seen, walked + 1
        seen |= front
        if walked >= min_edges:
            far |= front
    return np.unpackbits(far, axis=1, count=sources.size).astype(np.bool_).T


def contagion(table: Record, min_velocity: float, min_chain_length: int, steps_per_epoch: int) -> Contagion:
    """Chains: a deal accepted with p < .3 whose victim initiates two or more such deals later.

    The first five of those are followed. Kept with min_chain_length distinct agents or more and a velocity of
    depth/(span/steps_per_epoch + .01) or more deals per epoch, span = steps up to the last of all those
    deals; then chains whose agents are a subset of another's are dropped, the deepest and earliest staying.
    """
    a, b, step = table.part(BadDeals).all()
    times, time = np.unique(step, return_inverse=True)
    first = np.searchsorted(a * times.size + time, b * times.size + time, side="right")
    end = np.searchsorted(a, b, side="right")
    spreads = np.flatnonzero(end - first >= 2)
    follow = first[spreads, None] + np.arange(FOLLOWED)
    followed = np.where(follow < end[spreads, None], b[np.minimum(follow, b.size - 1)], -1)
    chain = np.column_stack((a[spreads], b[spreads], followed))
    for column in range(1, chain.shape[1]):
        chain[(chain[:, :column] == chain[:, column : column + 1]).any(axis=1), column] = -1
    depth = (chain >= 0).sum(axis=1) - 1
    velocity = depth / ((step[end[spreads] - 1] - step[spreads]) / steps_per_epoch + 0.01)
    order = np.lexsort((chain[:, 1], chain[:, 0], step[spreads], -depth))
    order = order[((depth + 1 >= min_chain_length) & (velocity >= min_velocity))[order]]
    kept = order[_not_contained(chain[order])]
    return Contagion(chain[kept], depth[kept], velocity[kept])


def _not_contained(chain: Ints) -> Ints:
    """Rows whose agents are not all in an earlier row, shape (rows,); a walk over distinct sets of agents."""
    _, first = np.unique(np.sort(chain, axis=1), axis=0, return_index=True)
    kept: list[int] = []
    rows_with: dict[int, set[int]] = {}
    for row in np.sort(first).tolist():
        members = [agent for agent in chain[row].tolist() if agent >= 0]
        rows = sorted((rows_with.get(agent, set()) for agent in members), key=len)
        if not set.intersection(*rows):
            kept.append(row)
            for agent in members:
                rows_with.setdefault(agent, set()).add(row)
    return np.array(kept, dtype=np.int64)


def contagion_indicators(spread: Contagion) -> Indicators:
    """One for each chain; severity min(1, depth/5), confidence min(.9, .5 + velocity/10)."""
    struck_by, place = np.nonzero(spread.chain[:, 1:] >= 0)
    return Indicators(
        spread.chain[:, 0],
        np.minimum(1.0, spread.depth / 5.0),
        np.minimum(0.9, 0.5 + spread.velocity / 10.0),
        struck_by,
        spread.chain[struck_by, place + 1],
    )
