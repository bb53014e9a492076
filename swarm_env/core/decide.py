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
from swarm_env.core.picks import NO_BIT, bit, first_of, without_first
from swarm_env.core.prefetch import ask_for_orders, ask_for_row, ask_for_vote, at_once
from swarm_env.core.sizes import agents_in, inbox_slots, is_watched, learner_of
from swarm_env.core.types import AS_SCRIPTED, HONEST, NOOP, NUM_CONDUCTS, PROPOSE, VOTE, Market


@rule
def decide(market: Market, actions: Any) -> None:
    """Fill every agent's `scratch`: the answer to what it proposed, and its own intent. actions: (L, I+3)."""
    num_agents, block = agents_in(market), at_once(market)
    ask_for_row(market)
    for start in range(0, num_agents, block):
        left = NO_BIT
        for k in range(min(block, num_agents - start)):
            left |= bit(_take_order(market, start + k, actions), k)
        while left != NO_BIT:
            _answer_and_act(market, start + first_of(left), actions)
            left = without_first(left)


@rule
def _take_order(market: Market, i: int, actions: Any) -> bool:
    """Note what a learner is told to do; returns whether that is not all: it may be asked, or left to its archetype."""
    ask_for_orders(market, i, actions)
    learner = learner_of(market, i)
    if learner < 0:
        return True
    agent, action = market.agents[i], actions[learner]
    active = not is_frozen(agent, market.row.epoch)
    intent, wrong = _intend_as_told(market, i, action, active & governance.may_act(market.params, agent))
    _note(market, agent.scratch, intent)
    left_to_script = action[inbox_slots(market)] == AS_SCRIPTED
    if is_watched(market):
        market.outcomes[i].illegal = wrong & (not left_to_script)
        return True  # for its answers, even if nobody asks it
    return (active & (agent.inbox > 0)) | left_to_script


@rule
def _note(market: Market, scratch: Any, intent: Intent) -> None:
    scratch.verb, scratch.contact, scratch.conduct = intent.verb, intent.contact, intent.conduct
    ask_for_vote(market, intent.verb, intent.contact)


@rule
def _answer_and_act(market: Market, i: int, actions: Any) -> None:
    """An agent's answers, and what its archetype would do, unless a learner has been told."""
    agent, learner = market.agents[i], learner_of(market, i)
    frozen, may = is_frozen(agent, market.row.epoch), governance.may_act(market.params, agent)
    if learner >= 0:
        busy, illegal = _answer_as_told(market, i, actions[learner], frozen)
        if is_watched(market):
            market.outcomes[i].illegal += illegal
        if actions[learner, inbox_slots(market)] != AS_SCRIPTED:
            return
    else:
        busy = _answer_by_script(market, i, frozen)
    _note(market, agent.scratch, archetypes.act(market, i) if may and not (busy or frozen) else idle())


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
def _intend_as_told(market: Market, i: int, action: Any, able: bool) -> tuple[Intent, bool]:
    """A learner's verb, peer and conduct; an illegal choice is a noop, and told. able: not frozen, may act."""
    at = inbox_slots(market)
    verb, conduct = action[at], action[at + 2]
    aims, contact = (verb == PROPOSE) | (verb == VOTE), peer_contact(market, i, action[at + 1])
    legal = able & (conduct >= 0) & (conduct < NUM_CONDUCTS) & within_budget(market, i, verb)
    legal &= (contact >= 0) | (not aims)
    intent = Intent(verb if legal else NOOP, contact if legal & aims else -1, conduct if legal else HONEST)
    return intent, (verb != NOOP) & (not legal)


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
