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

from collections.abc import Callable
from typing import Any

from swarm_env.core import random
from swarm_env.core.act import act
from swarm_env.core.claims import take
from swarm_env.core.compiled import Unchecked, kernel, rule
from swarm_env.core.decide import decide
from swarm_env.core.observe import NUM_OWN, NUM_VERBS, observe, observer
from swarm_env.core.prefetch import asker_for_contacts
from swarm_env.core.respond import respond
from swarm_env.core.sizes import UNKNOWN, Sizes, agents_in, is_watched
from swarm_env.core.tables import nested
from swarm_env.core.turn import turn
from swarm_env.core.types import (
    NOOP,
    NUM_CONDUCTS,
    Market,
    Scene,
    State,
    View,
    entry_of,
    market_of,
    nested_entry_of,
    nested_market_of,
)

HEAT_FADE = 0.9  #: what is left of an agent's heat after a step


@rule
def begin(market: Market) -> None:
    """Key the step's draws and clear what the last step left to be seen."""
    row = market.row
    row.step_key = random.step_key(row.key, row.step)
    for i in range(agents_in(market)):
        agent = market.agents[i]
        agent.reward = 0.0
        agent.heat *= HEAT_FADE
        agent.cooldown = max(agent.cooldown - 1, 0)
        scratch = agent.scratch
        scratch.answered, scratch.accepted = False, False
    for i in range(len(market.outcomes) if is_watched(market) else 0):
        clear_outcome(market.outcomes[i])


@rule
def clear_outcome(outcome: Any) -> None:
    """Nothing has happened yet."""
    outcome.payoff_initiator, outcome.payoff_counterparty = 0.0, 0.0
    outcome.task_pay, outcome.cost, outcome.penalty = 0.0, 0.0, 0.0
    outcome.initiated, outcome.initiated_accepted, outcome.expired = 0, 0, 0
    outcome.received, outcome.received_accepted, outcome.illegal = 0, 0, 0
    outcome.verb, outcome.target, outcome.direction, outcome.weight = NOOP, -1, 0, 0.0
    outcome.bounced, outcome.audited, outcome.violation, outcome.count, outcome.until = False, False, False, 0, 0
    outcome.froze, outcome.quarantined, outcome.released = False, False, False
    outcome.levers[:] = 0.0


def _player(observe: Any, market_of: Any, entry_of: Any) -> Any:
    @rule
    def advance_row(scene: Scene, state: State, view: View, actions: Any, b: int, sizes: Any) -> None:
        market = market_of(scene, state, b, sizes)
        begin(market)
        decide(market, entry_of(actions, b))
        respond(market)
        act(market)
        turn(market)
        observe(market, entry_of(view.observation, b), entry_of(view.mask, b), entry_of(view.reward, b), view.info[b])

    return advance_row


_observe_ahead = observer(asker_for_contacts(NUM_OWN, NUM_VERBS + NUM_CONDUCTS))
#: Play one step of environment b; the others read ahead, which a GPU cannot, the last in tables that are nested.
advance_row = _player(observe, market_of, entry_of)
_advance_row = _player(_observe_ahead, market_of, entry_of)
_advance_nested_row = _player(_observe_ahead, nested_market_of, nested_entry_of)


@rule
def reset_row(scene: Scene, initial: State, state: State, view: View, b: int) -> None:
    """Start the episode that `rows.seed` and `rows.episode` name in environment b, from the initial state."""
    row, which = state.rows[b], state.rows[b].params
    start, params = initial.rows[which], scene.params[which]
    row.key = random.episode_key(row.seed, row.episode)
    row.step_key = random.step_key(row.key, 0)
    row.step, row.epoch, row.settled = 0, 0, 0
    row.remembered, row.oldest, row.suspect, row.suspects = 0, 0, 0, 0
    row.toxicity, row.mean_p = start.toxicity, start.mean_p
    row.accepted, row.risky, row.attacks, row.sound, row.refusals = 0, 0, 0, 0, 0
    row.p_sum, row.p_accepted, row.welfare, row.social = 0.0, 0.0, 0.0, 0.0
    for i in range(state.agents.shape[1]):
        state.agents[b, i] = initial.agents[which, i]
        state.agents[b, i].resources = params.initial_resources
        state.books[b, i] = initial.books[which, i]
        state.proposals[b, i] = initial.proposals[which, i]
    if len(state.outcomes) == len(state.rows):
        for i in range(state.outcomes.shape[1]):
            state.outcomes[b, i], state.deals[b, i] = initial.outcomes[which, i], initial.deals[which, i]
    for edge in range(state.contacts.shape[1]):
        state.contacts[b, edge] = initial.contacts[which, edge]
        state.contacts[b, edge].weight = min(1.0, params.max_edge_weight)
        state.relations[b, edge] = initial.relations[which, edge]
    for edge in range(state.slots.shape[1]):
        state.slots[b, edge] = initial.slots[which, edge]
    for edge in range(state.pairs.shape[1]):
        state.pairs[b, edge] = initial.pairs[which, edge]
    observe(market_of(scene, state, b, UNKNOWN), view.observation[b], view.mask[b], view.reward[b], view.info[b])


@kernel
def advance(scene: Scene, state: State, view: View, actions: Any, lo: int, hi: int, claims: Any, me: int) -> None:
    """Play one step of rows lo..hi-1, then of those that thread `me` can take (`claims.ALONE`: there are none).

    actions: int64 (B, L, I+3): accept bits, verb, peer slot, conduct.
    """
    while True:
        for b in range(lo, hi):
            _advance_row(scene, state, view, actions, b, UNKNOWN)
        lo, hi = take(claims, me)
        if lo == hi:
            break


@kernel
def advance_sized(
    sizes: Sizes, scene: Scene, state: State, view: View, actions: Any, lo: int, hi: int, claims: Any, me: int
) -> None:
    """`advance`, as machine code of its own for each `sizes`; of all tables but infos it takes what `nested` gives."""
    while True:
        for b in range(lo, hi):
            _advance_nested_row(scene, state, view, actions, b, sizes)
        lo, hi = take(claims, me)
        if lo == hi:
            break


@kernel
def reset(scene: Scene, initial: State, state: State, view: View, lo: int, hi: int) -> None:
    """Start the episodes of rows lo..hi-1, see `reset_row`."""
    for b in range(lo, hi):
        reset_row(scene, initial, state, view, b)


#: For environments, whose tables and actions are laid out alike at every call.
advance_unchecked, reset_unchecked = Unchecked(advance), Unchecked(reset)


def advance_tuned(sizes: Sizes, scene: Scene, state: State) -> Callable[..., None]:
    """`advance_unchecked` for one batch, of these sizes; its first call compiles, unless there is code for all of the
    batch's shapes: numbers of entries are part of types here, so no other batch's entry point would do."""
    entry, tables = Unchecked(advance_sized), (Scene(*map(nested, scene)), State(*map(nested, state)))
    views: dict[int, tuple[View, View]] = {}  # by identity: a batch has one, or two that take turns

    def advance(scene: Scene, state: State, view: View, actions: Any, *rows: Any) -> None:
        if id(view) not in views:
            shown = (nested(view.observation), nested(view.mask), nested(view.reward))
            views[id(view)] = view, View(*shown, view.info)
        entry(sizes, *tables, views[id(view)][1], nested(actions), *rows)

    return advance
