"""Honest: deals with those it trusts, most trusted first, and works when it does not deal."""

from __future__ import annotations

from pydantic import Field

from swarm_env.core import contacts, random
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import Intent
from swarm_env.core.section import Section
from swarm_env.core.types import HONEST, POST, PROPOSE, VOTE, Market


class Config(Section):
    """``config:`` of an honest agent."""

    acceptance_threshold: float = Field(default=0.4, ge=0, le=1, description="score below which it refuses")
    trust_weight: float = Field(
        default=0.3, ge=0, le=1, description="weight of trust in the score, against a neutral .5"
    )
    post_probability: float = Field(default=0.3, ge=0, le=1, description="chance of a post")
    vote_probability: float = Field(default=0.5, ge=0, le=1, description="chance of a vote")
    interact_probability: float = Field(default=0.4, ge=0, le=1, description="chance of a proposal")


CONDUCT = HONEST
#: columns of `Agent.traits`, in the order of Config
THRESHOLD, TRUST_WEIGHT, POST_CHANCE, VOTE_CHANCE, INTERACT_CHANCE = range(len(Config.model_fields))

ROUNDING = 1e-12  #: so that .3t + .35 >= .5 holds at t = .5 exactly
LEAST_TRUST = 0.3  #: trust below which it proposes to nobody [S]
SOLO_CHANCE = 0.15  #: chance that it turns to solo work first ([S]: a bounty, which fails without a marketplace)
SOLO_RESOURCES = 20.0  #: resources it needs for that [S]


@rule
def answer(market: Market, i: int, initiator: int, edge: int, on_turn: bool) -> bool:
    """On its turn by trust alone, at the step's end by a score that favours collaborations over trades [S]."""
    traits, trust = market.seats[i].traits, market.contacts[edge].trust
    if on_turn:
        return bool(trust >= traits[THRESHOLD] - 0.1 - ROUNDING)
    score = trust * traits[TRUST_WEIGHT] + 0.5 * (1.0 - traits[TRUST_WEIGHT])
    trade = contacts.is_trade(market.proposals[initiator].conduct)
    return bool(score >= traits[THRESHOLD] + (0.1 if trade else -0.1) - ROUNDING)


@rule
def act(market: Market, i: int) -> Intent:
    """Work, post, vote on what is new, or propose to whom it trusts most [S]."""
    agent, traits, key = market.agents[i], market.seats[i].traits, market.row.step_key
    if agent.resources > SOLO_RESOURCES and random.uniform(key, i, random.IDLE) < SOLO_CHANCE:
        return contacts.idle()
    if contacts.can_post(market.params, agent) and random.uniform(key, i, random.POST) < traits[POST_CHANCE]:
        return Intent(POST, -1, CONDUCT)
    votes = random.uniform(key, i, random.VOTE) < traits[VOTE_CHANCE] and contacts.can_vote(market.params, agent)
    if votes and contacts.choose_posted(market, i, 0.0) >= 0:
        u = random.uniform(key, i, random.VOTE_PEER)
        edge = contacts.choose_new_posts(market, i, u)
        return Intent(VOTE, edge, CONDUCT) if edge >= 0 else contacts.idle()
    if random.uniform(key, i, random.INTERACT) < traits[INTERACT_CHANCE]:
        edge = contacts.most_trusted(market, i, LEAST_TRUST)
        if edge >= 0:
            return Intent(PROPOSE, edge, CONDUCT)
    return contacts.idle()
