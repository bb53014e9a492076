"""Decide: learners do as they are told, scripted agents as their archetype would. Reads State, writes `Scratch`.

A learner that is told `AS_SCRIPTED` leaves that answer, or its verb with peer and conduct, to its archetype: so who
answers can be somebody else than who acts, as under an overseer of a scripted population.
"""

from __future__ import annotations

from typing import Any

from swarm_env.core import archetypes, governance
from swarm_env.core.compiled import natural, rule
from swarm_env.core.contacts import Intent, idle, is_frozen
from swarm_env.core.observe import peer_contact, within_budget
from swarm_env.core.prefetch import ask_for_orders, ask_for_vote
from swarm_env.core.sizes import agents_in, inbox_slots, is_watched, learner_of, peer_slots
from swarm_env.core.types import AS_SCRIPTED, NOOP, NUM_CONDUCTS, PROPOSE, VOTE, Market


@rule
def decide(market: Market, actions: Any) -> None:
    """Fill every agent's `scratch`: the answer to what it proposed, and its own intent. actions: (L, I+3)."""
    for i in range(agents_in(market)):
        ask_for_orders(market, i, actions)
        agent, learner = market.agents[i], learner_of(market, i)
        frozen, may = is_frozen(agent, market.row.epoch), governance.may_act(market.params, agent)
        if learner >= 0:
            busy, illegal = _answer_as_told(market, i, actions[learner], frozen)
            told = actions[learner, inbox_slots(market)] != AS_SCRIPTED
        else:
            busy, illegal, told = _answer_by_script(market, i, frozen), 0, False
        if told:
            intent, wrong = _intend_as_told(market, i, actions[learner], may and not frozen)
            illegal += wrong
        else:
            intent = archetypes.act(market, i) if may and not (busy or frozen) else idle()
        if learner >= 0 and is_watched(market):
            market.outcomes[i].illegal = illegal
        scratch = agent.scratch
        scratch.verb, scratch.contact, scratch.conduct = intent.verb, intent.contact, intent.conduct
        ask_for_vote(market, intent.verb, intent.contact)


@rule
def _answer_as_told(market: Market, i: int, action: Any, frozen: bool) -> tuple[bool, int]:
    """A learner's answers; returns whether a script would have spent its turn on them, and how many were illegal."""
    busy, illegal, initiator = False, 0, market.agents[i].first
    slots = inbox_slots(market)
    waiting = 0 if frozen else min(int(market.agents[i].inbox), slots)
    for slot in range(waiting):
        told = action[slot]
        illegal += told != 0 and told != 1 and told != AS_SCRIPTED
        on_turn = initiator < i and not busy
        busy = busy or on_turn
        asked = market.agents[natural(initiator)]
        asked.scratch.answered, asked.scratch.accepted = True, told == 1
        if told == AS_SCRIPTED:
            contact = market.edges[asked.proposed].back
            asked.scratch.accepted = archetypes.answer(market, i, initiator, contact, on_turn)
        initiator = market.proposals[natural(initiator)].next
    for slot in range(waiting, slots if is_watched(market) else waiting):
        illegal += action[slot] != 0 and action[slot] != AS_SCRIPTED
    return busy, illegal


@rule
def _intend_as_told(market: Market, i: int, action: Any, able: bool) -> tuple[Intent, int]:
    """A learner's verb, peer and conduct; an illegal choice is a noop and counts one. able: not frozen, may act."""
    at = inbox_slots(market)
    verb, slot, conduct = action[at], action[at + 1], action[at + 2]
    if verb == NOOP:
        return idle(), 0
    if not (able and 0 <= conduct < NUM_CONDUCTS and within_budget(market, i, verb)):
        return idle(), 1
    contact = -1
    if verb in (PROPOSE, VOTE):
        contact = peer_contact(market, i, slot) if 0 <= slot < peer_slots(market) else -1
        if contact < 0:
            return idle(), 1
    return Intent(verb, contact, conduct), 0


@rule
def _answer_by_script(market: Market, i: int, frozen: bool) -> bool:
    """A scripted agent's answers; returns whether one of them took its turn (see archetypes)."""
    busy, initiator = False, market.agents[i].first
    for _ in range(0 if frozen else market.agents[i].inbox):
        asked = market.agents[initiator]
        on_turn = initiator < i and not busy
        busy = busy or on_turn
        contact = market.edges[asked.proposed].back
        asked.scratch.answered = True
        asked.scratch.accepted = archetypes.answer(market, i, initiator, contact, on_turn)
        initiator = market.proposals[initiator].next
    return busy
