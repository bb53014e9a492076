"""Adversarial: attacks those worth attacking, sides with its kind, votes everyone else down."""

from __future__ import annotations

from pydantic import Field

from swarm_env.core import contacts, random
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import Intent
from swarm_env.core.section import Section
from swarm_env.core.types import ADVERSARIAL, POST, PROPOSE, VOTE, Market


class Config(Section):
    """``config:`` of an adversarial agent."""

    attack_probability: float = Field(default=0.6, ge=0, le=1, description="chance of an attack when rested")
    post_probability: float = Field(default=0.5, ge=0, le=1, description="chance of a post")
    target_honest: bool = Field(default=True, description="whether honest agents are its targets")


CONDUCT = ADVERSARIAL
#: columns of `Agent.traits`, in the order of Config
ATTACK_CHANCE, POST_CHANCE, TARGET_HONEST = range(len(Config.model_fields))

HONEST_SEAT, ADVERSARIAL_SEAT = 0, 3  #: archetypes it knows by sight [S]: their place in ARCHETYPES
BAIT_CHANCE, BAIT_RESOURCES = 0.2, 10.0  #: [S]: a bait bounty, which fails without a marketplace
OTHER_CHANCE, COLLABORATION_CHANCE = (
    0.4,
    0.3,
)  #: chance of accepting others, on its turn and collaborations later [S]
RICH = 50.0  #: resources above which an honest agent is a target [S]


@rule
def is_ally(market: Market, j: int) -> bool:
    """Another adversarial agent."""
    return bool(market.seats[j].archetype == ADVERSARIAL_SEAT)


@rule
def is_target(market: Market, i: int, j: int) -> bool:
    """An honest agent with something to take."""
    peer = market.agents[j]
    worth = peer.resources > RICH or peer.reputation > 0.0
    return bool(market.seats[i].traits[TARGET_HONEST] > 0.0 and market.seats[j].archetype == HONEST_SEAT and worth)


@rule
def _baits(market: Market, i: int) -> bool:
    """Whether it wastes its turn on a bait, answering what waits for it only at the step's end [S]."""
    bait = random.uniform(market.row.step_key, i, random.IDLE) < BAIT_CHANCE
    return bool(market.agents[i].resources > BAIT_RESOURCES and bait)


@rule
def answer(market: Market, i: int, initiator: int, edge: int, on_turn: bool) -> bool:
    """Allies, targets and trades; a collaboration is mostly a waste of time [S]."""
    if is_ally(market, initiator) or is_target(market, i, initiator):
        return True
    u = random.uniform(market.row.step_key, initiator, random.ANSWER)
    if on_turn and not _baits(market, i):
        return bool(u < OTHER_CHANCE)
    return contacts.is_trade(market.proposals[initiator].conduct) or u < COLLABORATION_CHANCE


@rule
def _attackable(market: Market, i: int, edge: int) -> bool:
    return is_target(market, i, market.edges[edge].peer) and contacts.is_open(market, edge)


_choose_attackable = contacts.chooser(_attackable)


@rule
def _exposed(market: Market, i: int, edge: int) -> bool:
    target = is_target(market, i, market.edges[edge].peer)
    return target and contacts.has_posted(market, i, edge)


_choose_exposed = contacts.chooser(_exposed)


@rule
def act(market: Market, i: int) -> Intent:
    """Attack when rested, disrupt by posts, vote targets down, else exploit whoever there is [S]."""
    agent, traits, key = market.agents[i], market.seats[i].traits, market.row.step_key
    if _baits(market, i):
        return contacts.idle()
    u = random.uniform(key, i, random.INTERACT_PEER)
    victim = _choose_attackable(market, i, u)
    attacks = agent.cooldown == 0 and random.uniform(key, i, random.ATTACK) < traits[ATTACK_CHANCE]
    if attacks and victim >= 0:
        return Intent(PROPOSE, victim, CONDUCT)
    if contacts.can_post(market.params, agent) and random.uniform(key, i, random.POST) < traits[POST_CHANCE]:
        return Intent(POST, -1, CONDUCT)
    if contacts.can_vote(market.params, agent):
        edge = _choose_exposed(market, i, 0.0)
        if edge < 0:
            edge = contacts.choose_posted(market, i, 0.0)
        if edge >= 0:
            return Intent(VOTE, edge, CONDUCT)
    if victim < 0:
        victim = contacts.choose_anyone(market, i, u)
    return Intent(PROPOSE, victim, CONDUCT) if victim >= 0 else contacts.idle()
