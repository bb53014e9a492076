"""Choosing among an agent's contacts: what scripted policies share."""

from __future__ import annotations

from typing import Any, NamedTuple

from swarm_env.core.compiled import natural, rule, shorthand
from swarm_env.core.types import ADVERSARIAL, HONEST, NOOP, OPPORTUNISTIC, Market

VISIBLE = 0.25  #: visibility from which on an agent's posts can be voted on: a post fades from sight in two epochs


class Intent(NamedTuple):
    """What an agent wants to do in a step."""

    verb: int  # index into VERBS
    contact: int  # directed edge to the target of a proposal or vote, -1 = none
    conduct: int  # index into CONDUCTS, of a proposal or task


@shorthand
def pair_of(market: Market, edge: int) -> Any:
    """What the agents at both ends of a contact have had to do with each other."""
    return market.pairs[natural(market.edges[natural(edge)].pair)]


@rule
def idle() -> Intent:
    """Nothing."""
    return Intent(NOOP, -1, HONEST)


@rule
def is_trade(conduct: int) -> bool:
    """Whether a proposal comes as a trade; honest and deceptive ones come as collaborations [S]."""
    return conduct in (OPPORTUNISTIC, ADVERSARIAL)


@rule
def is_frozen(agent: Any, epoch: int) -> bool:
    """Frozen by the breaker or quarantined: neither acts nor answers."""
    return epoch < max(agent.frozen_until, agent.quarantined_until)


@rule
def is_open(market: Market, edge: int) -> bool:
    """The edge stands and the contact is not frozen."""
    peer = market.agents[market.edges[edge].peer]
    return market.contacts[edge].weight > 0.0 and not is_frozen(peer, market.row.epoch)


@rule
def anyone(market: Market, i: int, edge: int) -> bool:
    """Every open contact."""
    return is_open(market, edge)


@rule
def has_posted(market: Market, i: int, edge: int) -> bool:
    """Contacts whose posts can be voted on."""
    peer = market.agents[market.edges[edge].peer]
    return market.contacts[edge].weight > 0.0 and peer.visibility >= VISIBLE


@rule
def has_new_posts(market: Market, i: int, edge: int) -> bool:
    """Of these, the ones the agent has not voted on this epoch."""
    fresh = market.relations[edge].voted != market.row.epoch + 1
    return fresh and has_posted(market, i, edge)


def chooser(eligible: Any) -> Any:
    """A rule that draws one of an agent's eligible contacts; eligible: rule (market, i, edge)."""

    @rule
    def choose(market: Market, i: int, u: float) -> int:
        # every eligible contact has an equal chance as u runs over [0, 1); -1 if there is none
        seat, count = market.seats[i], 0
        for edge in range(seat.start, seat.stop):
            if eligible(market, i, edge):
                count += 1
        skip = int(u * count)
        for edge in range(seat.start, seat.stop):
            if eligible(market, i, edge):
                if skip == 0:
                    return int(edge)
                skip -= 1
        return -1

    return choose


choose_anyone = chooser(anyone)
choose_posted = chooser(has_posted)
choose_new_posts = chooser(has_new_posts)


@rule
def most_trusted(market: Market, i: int, least: float) -> int:
    """The open contact trusted most, at least `least`; the first of equals. -1 if there is none."""
    seat, best, trust = market.seats[i], -1, least
    for edge in range(seat.start, seat.stop):
        candidate = market.contacts[edge].trust
        if (candidate > trust or (best < 0 and candidate >= trust)) and is_open(market, edge):
            best, trust = edge, candidate
    return best


@rule
def can_post(params: Any, agent: Any) -> bool:
    """Posts left this epoch."""
    return agent.posts < params.posts_per_epoch


@rule
def can_vote(params: Any, agent: Any) -> bool:
    """Votes left this epoch."""
    return agent.votes < params.votes_per_epoch


@rule
def can_work(params: Any, agent: Any) -> bool:
    """Tasks left this epoch."""
    return agent.tasks < params.tasks_per_epoch
