"""How many there are of everything: looked up, or known when the machine code is made.

A step does little with each agent, so not knowing how many agents, contacts and slots there are costs: loops are not
unrolled, offsets are worked out again and again, and what nobody looks at is written all the same. Code that is made
for one shape of batch is faster, and takes as long to make as the code for all (`batch.vector_env`, `tuned`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from swarm_env.core.compiled import rule, shorthand
from swarm_env.core.types import Market, Scene


class Sizes(NamedTuple):
    """What code may take for granted: tuples, as their lengths are part of their types. Their entries mean nothing.

    A tuple of one says nothing; one of n + 1 says n.
    """

    agents: Any  # N
    inbox: Any  # I
    peers: Any  # P
    contacts: Any  # that every agent has
    learners: Any  # N: every agent is one
    unwatched: Any  # 1: nobody looks at outcomes, deals and infos


UNKNOWN = Sizes((0,), (0,), (0,), (0,), (0,), (0,))
MOST = 64  #: the largest number that is told: tuples cost their compiler as much as their length


def known(scene: Scene, inbox: int, peers: int, unwatched: bool) -> Sizes:
    """All that can be told of batches of these scenarios."""
    seats, told = scene.seats, np.arange(scene.seats.shape[1])
    num, contacts = len(told), int(seats["stop"][0, 0])
    if not (np.all(seats["start"] == contacts * told) and np.all(seats["stop"] == contacts * (told + 1))):
        contacts = 0
    learners = num if np.all(seats["learner"] == told) else 0
    numbers = (num, inbox, peers, contacts, learners, int(unwatched))
    return Sizes(*((0,) * (1 + (number if number <= MOST else 0)) for number in numbers))


@rule
def agents_in(market: Market) -> int:
    """N."""
    told = len(market.sizes.agents) - 1
    return told if told > 0 else len(market.agents)


@rule
def inbox_slots(market: Market) -> int:
    """I."""
    told = len(market.sizes.inbox) - 1
    return told if told > 0 else int(market.params.inbox)


@rule
def peer_slots(market: Market) -> int:
    """P."""
    told = len(market.sizes.peers) - 1
    return told if told > 0 else int(market.params.peers)


@rule
def first_contact(market: Market, i: int) -> int:
    """The first of agent i's contacts."""
    told = len(market.sizes.contacts) - 1
    return told * i if told > 0 else int(market.seats[i].start)


@rule
def num_contacts(market: Market, i: int) -> int:
    """How many contacts agent i has."""
    told = len(market.sizes.contacts) - 1
    return told if told > 0 else int(market.seats[i].stop - market.seats[i].start)


@rule
def contacts_of(market: Market, i: int) -> range:
    """Agent i's contacts."""
    first = first_contact(market, i)
    return range(first, first + num_contacts(market, i))


@rule
def learner_of(market: Market, i: int) -> int:
    """Agent i's row of actions and views, -1 for none."""
    told = len(market.sizes.learners) - 1
    return i if told > 0 else int(market.seats[i].learner)


@rule
def contacts_in(market: Market) -> int:
    """E."""
    told = len(market.sizes.contacts) - 1
    return told * agents_in(market) if told > 0 else len(market.contacts)


@rule
def learners_in(market: Market, table: Any) -> int:
    """L, the length of actions and views. table: one of them."""
    told = len(market.sizes.learners) - 1
    return told if told > 0 else len(table)


@rule
def is_watched(market: Market) -> bool:
    """Whether anybody will look at outcomes and deals."""
    return len(market.sizes.unwatched) == 1 and len(market.outcomes) == len(market.agents)


@shorthand
def outcome_of(market: Market, i: int) -> Any:
    """What the step did to agent i; one for all agents if nobody looks."""
    return market.outcomes[i if is_watched(market) else 0]


@shorthand
def deal_of(market: Market, i: int) -> Any:
    """The interaction that agent i initiated; likewise."""
    return market.deals[i if is_watched(market) else 0]
