"""Decide: learners do as they are told, scripted agents as their archetype would. Reads State, writes `Scratch`.

A learner that is told `AS_SCRIPTED` leaves that answer, or its verb with peer and conduct, to its archetype: so who
answers can be somebody else than who acts, as under an overseer of a scripted population.
"""

from __future__ import annotations

from typing import Any

from swarm_env.core import archetypes, governance
from swarm_env.core.compiled import rule
from swarm_env.core.contacts import Intent, idle, is_frozen
from swarm_env.core.observe import NUM_VERBS, legal_verb, peer_contact
from swarm_env.core.prefetch import ask_for_orders
from swarm_env.core.types import AS_SCRIPTED, NOOP, NUM_CONDUCTS, PROPOSE, VOTE, Market, seen


@rule
def decide(market: Market, actions: Any) -> None:
    """Fill every agent's `scratch`: the answer to what it proposed, and its own intent. actions: (L, I+3)."""
    for i in range(len(market.agents)):
        ask_for_orders(market, i, actions)
        agent, learner = market.agents[i], market.seats[i].learner
        frozen = is_frozen(agent, market.row.epoch)
        if learner >= 0:
            busy, illegal = _answer_as_told(market, i, actions[learner], frozen)
            told = actions[learner, market.params.inbox] != AS_SCRIPTED
        else:
            busy, illegal, told = _answer_by_script(market, i, frozen), 0, False
        if told:
            intent, wrong = _intend_as_told(market, i, actions[learner])
            illegal += wrong
        else:
            acts = not (busy or frozen) and governance.may_act(market.params, agent)
            intent = archetypes.act(market, i) if acts else idle()
        if learner >= 0:
            seen(market.outcomes, i).illegal = illegal
        scratch = agent.scratch
        scratch.verb, scratch.contact, scratch.conduct = intent.verb, intent.contact, intent.conduct


@rule
def _answer_as_told(market: Market, i: int, action: Any, frozen: bool) -> tuple[bool, int]:
    """A learner's answers; returns whether a script would have spent its turn on them, and how many were illegal."""
    busy, illegal, initiator = False, 0, market.agents[i].first
    for slot in range(market.params.inbox):
        told = action[slot]
        if slot >= market.agents[i].inbox or frozen:
            illegal += 1 if told != 0 and told != AS_SCRIPTED else 0
            continue
        illegal += 1 if told != 0 and told != 1 and told != AS_SCRIPTED else 0
        on_turn = initiator < i and not busy
        busy = busy or on_turn
        asked = market.agents[initiator]
        asked.scratch.answered, asked.scratch.accepted = True, told == 1
        if told == AS_SCRIPTED:
            contact = market.edges[asked.proposed].back
            asked.scratch.accepted = archetypes.answer(market, i, initiator, contact, on_turn)
        initiator = market.proposals[initiator].next
    return busy, illegal


@rule
def _intend_as_told(market: Market, i: int, action: Any) -> tuple[Intent, int]:
    """A learner's verb, peer and conduct; an illegal choice is a noop and counts one."""
    at = market.params.inbox
    verb, slot, conduct = action[at], action[at + 1], action[at + 2]
    if verb == NOOP:
        return idle(), 0
    if not (0 < verb < NUM_VERBS and 0 <= conduct < NUM_CONDUCTS and legal_verb(market, i, verb)):
        return idle(), 1
    contact = -1
    if verb in (PROPOSE, VOTE):
        contact = peer_contact(market, i, slot) if 0 <= slot < market.params.peers else -1
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
