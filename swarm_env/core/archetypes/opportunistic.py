"""Opportunistic: deals with whoever has something to give."""

from __future__ import annotations

from pydantic import Field

from swarm_env.core import contacts, random
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import Intent
from swarm_env.core.section import Section
from swarm_env.core.types import OPPORTUNISTIC, POST, PROPOSE, VOTE, Market


class Config(Section):
    """``config:`` of an opportunistic agent."""

    risk_tolerance: float = Field(default=0.6, ge=0, le=1, description="chance of accepting a stranger")
    post_probability: float = Field(default=0.4, ge=0, le=1, description="chance of a post")
    vote_probability: float = Field(default=0.6, ge=0, le=1, description="chance of a vote")


CONDUCT = OPPORTUNISTIC
#: columns of `Agent.traits`, in the order of Config
RISK, POST_CHANCE, VOTE_CHANCE = range(len(Config.model_fields))

UNKNOWN_CHANCE = 0.4  #: chance of accepting, on its turn, someone without a good name [S]
RICH, REPUTABLE = 80.0, 0.5  #: resources or reputation above which a contact is worth a proposal [S]


@rule
def answer(market: Market, i: int, initiator: int, edge: int, on_turn: bool) -> bool:
    """On its turn whoever has a good name, at the step's end whoever has dealt well so far; else by chance [S]."""
    u = random.uniform(market.row.step_key, initiator, random.ANSWER)
    if on_turn:
        return bool(market.agents[initiator].reputation > 0.0 or u < UNKNOWN_CHANCE)
    contact = contacts.pair_of(market, edge)
    if contact.met > 0:
        return bool(contact.met_p / contact.met > 0.5)
    return bool(u < market.seats[i].traits[RISK])


@rule
def _worthwhile(market: Market, i: int, edge: int) -> bool:
    peer = market.agents[market.edges[edge].peer]
    return (peer.resources > RICH or peer.reputation > REPUTABLE) and contacts.is_open(market, edge)


_choose_worthwhile = contacts.chooser(_worthwhile)


@rule
def act(market: Market, i: int) -> Intent:
    """Post, vote for what is in view, or propose to someone worth it [S]."""
    agent, traits, key = market.agents[i], market.seats[i].traits, market.row.step_key
    if contacts.can_post(market.params, agent) and random.uniform(key, i, random.POST) < traits[POST_CHANCE]:
        return Intent(POST, -1, CONDUCT)
    if contacts.can_vote(market.params, agent) and random.uniform(key, i, random.VOTE) < traits[VOTE_CHANCE]:
        edge = contacts.choose_posted(market, i, 0.0)
        if edge >= 0:
            return Intent(VOTE, edge, CONDUCT)
    u = random.uniform(key, i, random.INTERACT_PEER)
    edge = _choose_worthwhile(market, i, u)
    return Intent(PROPOSE, edge, CONDUCT) if edge >= 0 else contacts.idle()
