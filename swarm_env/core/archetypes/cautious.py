"""Cautious: honest conduct, and deals only on evidence: an expected p above its line.

SWARM's cautious agent asks for trust .7 where strangers have .5, so it never deals at all, and its interactions are
drawn with adversarial quality. Here what it expects of a contact is the surface signal of the proposal, outweighed by
trust as interactions with the contact add up.
"""

from __future__ import annotations

from pydantic import Field

from swarm_env.core import contacts, proxy, random
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import Intent
from swarm_env.core.section import Section
from swarm_env.core.types import HONEST, POST, PROPOSE, VOTE, Market


class Config(Section):
    """``config:`` of a cautious agent."""

    threshold: float = Field(default=0.7, ge=0, le=1, description="expected p below which it refuses")
    post_probability: float = Field(default=0.2, ge=0, le=1, description="chance of a post")
    interact_probability: float = Field(default=0.4, ge=0, le=1, description="chance of a proposal")


CONDUCT = HONEST
#: columns of `Agent.traits`, in the order of Config
THRESHOLD, POST_CHANCE, INTERACT_CHANCE = range(len(Config.model_fields))

LEAST_TRUST = 0.5  #: trust below which it proposes to nobody: a stranger's
PRIOR = 3.0  #: interactions after which trust weighs as much as the signal


@rule
def answer(market: Market, i: int, initiator: int, edge: int, on_turn: bool) -> bool:
    """Expected p against its line."""
    met = contacts.pair_of(market, edge).met
    weight = met / (met + PRIOR)
    seen = proxy.quality(market.params, market.proposals[initiator].signal)
    return bool(weight * market.contacts[edge].trust + (1.0 - weight) * seen >= market.seats[i].traits[THRESHOLD])


@rule
def act(market: Market, i: int) -> Intent:
    """Propose to whom it trusts most, post now and then, vote on what is new."""
    agent, traits, key = market.agents[i], market.seats[i].traits, market.row.step_key
    if random.uniform(key, i, random.INTERACT) < traits[INTERACT_CHANCE]:
        edge = contacts.most_trusted(market, i, LEAST_TRUST)
        if edge >= 0:
            return Intent(PROPOSE, edge, CONDUCT)
    if contacts.can_post(market.params, agent) and random.uniform(key, i, random.POST) < traits[POST_CHANCE]:
        return Intent(POST, -1, CONDUCT)
    if contacts.can_vote(market.params, agent):
        u = random.uniform(key, i, random.VOTE_PEER)
        edge = contacts.choose_new_posts(market, i, u)
        if edge >= 0:
            return Intent(VOTE, edge, CONDUCT)
    return contacts.idle()
