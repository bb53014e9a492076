"""A step of the market: its phases in order.

    decide    every agent makes up its mind, on what it saw                               (decide.py)
    respond   each proposal made in the step before is answered and settled               (respond.py)
    act       the verbs take effect                                                       (act.py)
    turn      at the end of an epoch: close it, open the next, every lever's epoch rule   (turn.py)
    observe   observations and masks, true of the step that is to come                    (observe.py)

These files, and a lever in its own memory, are the only code that writes State. An epoch opens at the end of the step
before its first, not at the start of its first, so that the masks are true of the actions they are shown for.
"""

from __future__ import annotations

from typing import Any

from swarm_env.core import random
from swarm_env.core.act import act
from swarm_env.core.compiled import kernel, rule
from swarm_env.core.decide import decide
from swarm_env.core.observe import observe
from swarm_env.core.respond import respond
from swarm_env.core.turn import turn
from swarm_env.core.types import NOOP, Market

HEAT_FADE = 0.9  #: what is left of an agent's heat after a step


@rule
def begin(market: Market) -> None:
    """Key the step's draws and clear what the last step left to be seen."""
    row = market.row
    row.step_key = random.step_key(row.key, row.step)
    for i in range(len(market.agents)):
        agent = market.agents[i]
        agent.heat *= HEAT_FADE
        agent.cooldown = max(agent.cooldown - 1, 0)
        scratch = agent.scratch
        scratch.verb, scratch.contact, scratch.conduct = NOOP, -1, 0
        scratch.answered, scratch.accepted = False, False
        clear_outcome(agent.outcome)
        agent.deal.settled = False


@rule
def clear_outcome(outcome: Any) -> None:
    """Nothing has happened yet."""
    outcome.reward, outcome.payoff_initiator, outcome.payoff_counterparty = 0.0, 0.0, 0.0
    outcome.task_pay, outcome.cost, outcome.penalty = 0.0, 0.0, 0.0
    outcome.initiated, outcome.initiated_accepted, outcome.expired = 0, 0, 0
    outcome.received, outcome.received_accepted, outcome.illegal = 0, 0, 0
    outcome.verb, outcome.target, outcome.direction, outcome.weight = NOOP, -1, 0, 0.0
    outcome.bounced, outcome.audited, outcome.violation, outcome.count, outcome.until = False, False, False, 0, 0
    outcome.froze, outcome.quarantined, outcome.released = False, False, False
    outcome.levers[:] = 0.0


@rule
def advance_row(table: Any, state: Any, view: Any, actions: Any, b: int) -> None:
    """Play one step of environment b."""
    row = state.rows[b]
    agents, contacts, pairs = state.agents[b], state.contacts[b], state.pairs[b]
    market = Market(table[row.params], row, agents, contacts, pairs, state.assessments[b], state.history[b])
    begin(market)
    decide(market, actions[b])
    respond(market)
    act(market)
    turn(market)
    observe(market, view.observation[b], view.mask[b], view.info[b])


@rule
def reset_row(table: Any, initial: Any, state: Any, view: Any, b: int) -> None:
    """Start the episode that `rows.seed` and `rows.episode` name in environment b, from the initial state."""
    row = state.rows[b]
    start = initial.rows[row.params]
    params = table[row.params]
    row.key = random.episode_key(row.seed, row.episode)
    row.step_key = random.step_key(row.key, 0)
    row.step, row.epoch, row.remembered, row.settled = 0, 0, 0, 0
    row.toxicity, row.mean_p = start.toxicity, start.mean_p
    row.accepted, row.risky, row.attacks, row.sound, row.refusals = 0, 0, 0, 0, 0
    row.p_sum, row.p_accepted, row.welfare, row.social = 0.0, 0.0, 0.0, 0.0
    for i in range(state.agents.shape[1]):
        state.agents[b, i] = initial.agents[row.params, i]
        state.agents[b, i].resources = params.initial_resources
    for edge in range(state.contacts.shape[1]):
        state.contacts[b, edge] = initial.contacts[row.params, edge]
        state.contacts[b, edge].weight = min(1.0, params.max_edge_weight)
    for edge in range(state.pairs.shape[1]):
        state.pairs[b, edge] = initial.pairs[row.params, edge]
    agents, contacts, pairs = state.agents[b], state.contacts[b], state.pairs[b]
    market = Market(params, row, agents, contacts, pairs, state.assessments[b], state.history[b])
    observe(market, view.observation[b], view.mask[b], view.info[b])


@kernel
def advance(table: Any, state: Any, view: Any, actions: Any, lo: int, hi: int) -> None:
    """Play one step of rows lo..hi-1. actions: int64 (B, L, I+3): accept bits, verb, peer slot, conduct."""
    for b in range(lo, hi):
        advance_row(table, state, view, actions, b)


@kernel
def reset(table: Any, initial: Any, state: Any, view: Any, lo: int, hi: int) -> None:
    """Start the episodes of rows lo..hi-1, see `reset_row`."""
    for b in range(lo, hi):
        reset_row(table, initial, state, view, b)
