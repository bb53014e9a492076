"""Deceptive: builds standing with many, then trades on it with those where it stands best."""

from __future__ import annotations

from pydantic import Field

from swarm_env.core import contacts, random
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import Intent
from swarm_env.core.section import Section
from swarm_env.core.types import DECEPTIVE, POST, PROPOSE, VOTE, Market


class Config(Section):
    """``config:`` of a deceptive agent."""

    trust_building_phase: int = Field(
        default=5, ge=0, le=1_000_000, description="interactions with a contact before it turns choosy"
    )
    exploitation_threshold: float = Field(
        default=0.7, ge=0, le=1, description="standing with a contact from which on it is exploited"
    )
    facade_probability: float = Field(
        default=0.8, ge=0, le=1, description="chance of accepting while building standing"
    )
    post_probability: float = Field(default=0.35, ge=0, le=1, description="chance of a post")


CONDUCT = DECEPTIVE
#: columns of `Agent.traits`, in the order of Config
PHASE, EXPLOIT_AT, FACADE_CHANCE, POST_CHANCE = range(len(Config.model_fields))

ON_TURN_CHANCE, ON_TURN_LATER = (
    0.9,
    0.6,
)  #: chance of accepting on its turn, before and after the building phase [S]
TRUSTED = 0.6  #: standing it asks for, after the building phase, at the step's end [S]
COVER, TARGETS = 10, 2  #: interactions (more than) and targets (at least) before it exploits [S]
RICH = 50.0  #: resources above which a target is worth exploiting [S]


@rule
def answer(market: Market, i: int, initiator: int, edge: int, on_turn: bool) -> bool:
    """Accept most while building standing, then only where it stands well [S]."""
    contact = contacts.pair_of(market, edge)
    building = contact.met < market.seats[i].traits[PHASE]
    u = random.uniform(market.row.step_key, initiator, random.ANSWER)
    if on_turn:
        return bool(u < (ON_TURN_CHANCE if building else ON_TURN_LATER))
    return bool(u < market.seats[i].traits[FACADE_CHANCE]) if building else bool(contact.won > TRUSTED)


@rule
def _exploitable(market: Market, i: int, edge: int) -> bool:
    peer = market.agents[market.edges[edge].peer]
    good = contacts.pair_of(market, edge).won > market.seats[i].traits[EXPLOIT_AT] and peer.resources > RICH
    return good and contacts.is_open(market, edge)


@rule
def _stranger(market: Market, i: int, edge: int) -> bool:
    return contacts.pair_of(market, edge).met < market.seats[i].traits[PHASE] and contacts.is_open(market, edge)


_choose_stranger = contacts.chooser(_stranger)


@rule
def _target(market: Market, i: int) -> int:
    """The exploitable contact where it stands best, once there are enough of them and enough cover; else -1."""
    seat, met, targets, best, standing = market.seats[i], 0, 0, -1, 0.0
    for edge in range(seat.start, seat.stop):
        contact = contacts.pair_of(market, edge)
        met += contact.met  # every interaction counts ([S]: only those it answered at a step's end)
        if contact.won > market.seats[i].traits[EXPLOIT_AT]:
            targets += 1
        if contact.won > standing and _exploitable(market, i, edge):
            best, standing = edge, contact.won
    return best if met > COVER and targets >= TARGETS else -1


@rule
def act(market: Market, i: int) -> Intent:
    """Exploit if it can; else keep the facade: post, vote, propose to those it hardly knows [S]."""
    agent, key = market.agents[i], market.row.step_key
    target = _target(market, i)
    if target >= 0:
        return Intent(PROPOSE, target, CONDUCT)
    if (
        contacts.can_post(market.params, agent)
        and random.uniform(key, i, random.POST) < market.seats[i].traits[POST_CHANCE]
    ):
        return Intent(POST, -1, CONDUCT)
    if contacts.can_vote(market.params, agent):
        u = random.uniform(key, i, random.VOTE_PEER)
        edge = contacts.choose_posted(market, i, u)
        if edge >= 0:
            return Intent(VOTE, edge, CONDUCT)
    u = random.uniform(key, i, random.INTERACT_PEER)
    edge = _choose_stranger(market, i, u)
    return Intent(PROPOSE, edge, CONDUCT) if edge >= 0 else contacts.idle()
