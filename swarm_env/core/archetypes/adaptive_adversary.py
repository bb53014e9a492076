"""Adaptive adversary: attacks while nobody notices, plays honest while under heat or in disrepute.

SWARM's chooses among twelve attack strategies, most of which act alike there; what they have in common is kept:
it watches how much attention it draws (`Agent.heat`) and lies low above a threshold.
"""

from __future__ import annotations

from pydantic import Field

from swarm_env.core import contacts, random
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import Intent
from swarm_env.core.section import Section
from swarm_env.core.types import ADVERSARIAL, HONEST, POST, PROPOSE, Market


class Config(Section):
    """``config:`` of an adaptive adversary."""

    heat_threshold: float = Field(default=0.6, ge=0, le=1, description="heat above which it lies low")
    exploration_rate: float = Field(default=0.2, ge=0, le=1, description="chance of attacking in spite of heat")


CONDUCT = ADVERSARIAL
#: columns of `Agent.traits`, in the order of Config
HEAT_AT, EXPLORE_CHANCE = range(len(Config.model_fields))

POST_CHANCE = 0.3  #: chance of an innocent post while lying low [S]


@rule
def answer(market: Market, i: int, initiator: int, edge: int, on_turn: bool) -> bool:
    """Everything: to be dealt with builds the name it lives on."""
    return True


@rule
def act(market: Market, i: int) -> Intent:
    """Attack a contact at random while cool and in good standing; otherwise post, or deal honestly."""
    agent, traits, key = market.agents[i], market.seats[i].traits, market.row.step_key
    cool = agent.heat <= traits[HEAT_AT] and agent.reputation >= 0.0
    u = random.uniform(key, i, random.INTERACT_PEER)
    if cool or random.uniform(key, i, random.EXPLORE) < traits[EXPLORE_CHANCE]:
        edge = contacts.choose_anyone(market, i, u)
        return Intent(PROPOSE, edge, CONDUCT) if edge >= 0 else contacts.idle()
    if contacts.can_post(market.params, agent) and random.uniform(key, i, random.POST) < POST_CHANCE:
        return Intent(POST, -1, HONEST)
    edge = contacts.most_trusted(market, i, 0.0)
    return Intent(PROPOSE, edge, HONEST) if edge >= 0 else contacts.idle()
