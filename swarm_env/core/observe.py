"""Writing what is seen: observations and action masks, infos, the global state, the overseers' ledger.

The numbers stand in the order of the registries in `features.py`, each writer beside the name of its registry.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from swarm_env.core import governance
from swarm_env.core.compiled import kernel, rule
from swarm_env.core.contacts import can_post, can_vote, is_frozen
from swarm_env.core.features import CHARGING, OWN, SIGNAL_BOUND
from swarm_env.core.propose import ledger_reading
from swarm_env.core.proxy import clip
from swarm_env.core.types import (
    NOOP,
    NUM_CONDUCTS,
    POST,
    PROPOSE,
    TASK,
    VERBS,
    VOTE,
    Market,
    Scene,
    State,
    market_of,
    seen,
)

NUM_VERBS, NUM_OWN = len(VERBS), len(OWN)


@rule
def _share_left(used: int, budget: int) -> np.float32:
    # the quotient of two counts, rounded once or twice, is the same float32
    return np.float32(max(budget - used, 0)) / np.float32(budget) if budget > 0 else np.float32(0.0)


@rule
def _write_own(market: Market, i: int, able: bool, out: Any) -> None:
    """What the agent knows of itself; of the market, see `_write_market`."""
    row, params, agent, shown = market.row, market.params, market.agents[i], market.shown[i]
    out[0] = shown.reputation
    out[1] = agent.resources / (agent.resources + max(params.initial_resources, 1.0))
    out[2] = shown.frozen
    out[3] = row.epoch < agent.quarantined_until
    out[4] = able
    out[5] = _share_left(agent.posts, params.posts_per_epoch)
    out[6] = _share_left(agent.votes, params.votes_per_epoch)
    out[7] = _share_left(agent.tasks, params.tasks_per_epoch)
    out[8] = _share_left(agent.actions, params.bandwidth_cap) if params.bandwidth_cap >= 0 else np.float32(1.0)


@rule
def _write_market(market: Market, out: Any) -> None:
    row, params = market.row, market.params
    out[9] = row.epoch / params.n_epochs
    out[10] = (row.step - row.epoch * params.steps_per_epoch) / params.steps_per_epoch
    out[11] = row.toxicity
    out[12] = row.mean_p


@rule
def _write_inbox(market: Market, i: int, out: Any) -> None:
    """All slots: the linked list of proposals, then zeros."""
    initiator, waiting = market.agents[i].first, market.agents[i].inbox
    for slot in range(market.params.inbox):
        at = 4 * slot
        if slot < waiting:
            proposal, asked = market.proposals[initiator], market.agents[initiator]
            out[at] = 1.0
            out[at + 1] = clip(proposal.signal, -SIGNAL_BOUND, SIGNAL_BOUND)
            out[at + 2] = market.shown[initiator].reputation
            out[at + 3] = market.contacts[market.edges[asked.proposed].back].trust
            initiator = proposal.next
        else:
            out[at], out[at + 1], out[at + 2], out[at + 3] = 0.0, 0.0, 0.0, 0.0


@rule
def _write_peers(market: Market, i: int, out: Any, mask: Any) -> int:
    """All slots, and which of them could be chosen, mask (P,); returns how many."""
    seat, count = market.seats[i], 0
    size = seat.stop - seat.start
    chosen = size > len(mask)  # else contact k is in slot k, see `peer_contact`
    for slot in range(min(size, len(mask))):
        index = int(market.slots[seat.start + slot].contact) if chosen else seat.start + slot
        count += _write_peer(market, index, out[4 * slot : 4 * slot + 4], mask[slot : slot + 1])
    for slot in range(size, len(mask)):
        _write_nobody(out[4 * slot : 4 * slot + 4], mask[slot : slot + 1])
    return count


@rule
def _write_peer(market: Market, index: int, out: Any, mask: Any) -> int:
    if index < 0 or market.contacts[index].weight <= 0.0:
        _write_nobody(out, mask)
        return 0
    peer = market.shown[market.edges[index].peer]
    out[0], out[1], out[2], out[3] = 1.0, peer.reputation, market.contacts[index].trust, peer.frozen
    mask[0] = 1
    return 1


@rule
def _write_nobody(out: Any, mask: Any) -> None:
    out[0], out[1], out[2], out[3], mask[0] = 0.0, 0.0, 0.0, 0.0, 0


@rule
def _write_ledger(market: Market, initiator: int, out: Any) -> None:
    book, proposal = market.books[initiator], market.proposals[initiator]
    reading = ledger_reading(market.params, proposal, market.row.step_key, initiator)
    out[0] = clip(reading, -SIGNAL_BOUND, SIGNAL_BOUND)
    out[1] = book.initiated_p / book.initiated if book.initiated > 0 else 0.5
    out[2] = book.failed_audits / (book.failed_audits + 1.0)
    out[3] = book.breaches / (book.breaches + 1.0)
    out[4] = book.collusion_risk
    out[5] = book.threat


@rule
def show_agents(market: Market) -> None:
    """Note what every agent's contacts see of it."""
    for i in range(len(market.agents)):
        agent, shown = market.agents[i], market.shown[i]
        shown.reputation = agent.reputation
        shown.frozen = is_frozen(agent, market.row.epoch)
        shown.visibility = agent.visibility


@rule
def fill_slots(market: Market, i: int) -> None:
    """Peer slots of an agent with more contacts than slots: the most visible, first ones first among equals."""
    seat, slots = market.seats[i], market.params.peers
    if seat.stop - seat.start <= slots:
        return  # contact k is in slot k, see `peer_contact`
    filled, chosen = 0, market.slots[seat.start : seat.stop]
    for index in range(seat.start, seat.stop):  # insertion into a short sorted list: linear in contacts
        if market.contacts[index].weight <= 0.0:
            continue
        here, k = market.shown[market.edges[index].peer].visibility, filled
        while k > 0 and market.shown[market.edges[chosen[k - 1].contact].peer].visibility < here:
            k -= 1
        if k >= slots:
            continue
        filled = min(filled + 1, slots)
        for moved in range(filled - 1, k, -1):
            chosen[moved].contact = chosen[moved - 1].contact
        chosen[k].contact = index
    for k in range(filled, slots):
        chosen[k].contact = -1


@rule
def peer_contact(market: Market, i: int, slot: int) -> int:
    """The contact in a peer slot, -1 if there is none or its edge is severed."""
    seat = market.seats[i]
    size = seat.stop - seat.start
    if slot >= size:
        return -1
    index = seat.start + slot
    if size > market.params.peers:
        index = int(market.slots[index].contact)
    return index if index >= 0 and market.contacts[index].weight > 0.0 else -1


@rule
def legal_verb(market: Market, i: int, verb: int) -> bool:
    """Whether the verb is open to the agent: not frozen, within every lever's and every epoch's budget."""
    agent = market.agents[i]
    if verb == NOOP:
        return True
    if is_frozen(agent, market.row.epoch) or not governance.may_act(market.params, agent):
        return False
    if verb == POST:
        return can_post(market.params, agent)
    if verb == TASK:
        return bool(agent.tasks < market.params.tasks_per_epoch)
    if verb == VOTE and not can_vote(market.params, agent):
        return False
    if verb in (PROPOSE, VOTE):
        for slot in range(market.params.peers):
            if peer_contact(market, i, slot) >= 0:
                return True
    return False


@rule
def _write_choices(market: Market, i: int, able: bool, peers: int, mask: Any) -> bool:
    """The verbs, (len(VERBS),), as `legal_verb` has them; returns whether there is more than the noop."""
    agent, params = market.agents[i], market.params
    mask[NOOP] = 1
    mask[PROPOSE] = able and peers > 0
    mask[POST] = able and can_post(params, agent)
    mask[VOTE] = able and peers > 0 and can_vote(params, agent)
    mask[TASK] = able and agent.tasks < params.tasks_per_epoch
    return bool(mask[PROPOSE] + mask[POST] + mask[VOTE] + mask[TASK] > 0)


@rule
def _write_view(market: Market, i: int, view: Any, mask: Any) -> None:
    """An agent's observation and mask; the mask's heads in order: answers, verbs, peer slots, conducts."""
    params, agent = market.params, market.agents[i]
    inbox, peers = params.inbox, params.peers
    frozen, may = is_frozen(agent, market.row.epoch), governance.may_act(params, agent)
    verbs, slots = 2 * inbox, 2 * inbox + NUM_VERBS
    fill_slots(market, i)
    _write_own(market, i, may, view)
    _write_inbox(market, i, view[NUM_OWN:])
    open_peers = mask[slots : slots + peers]
    count = _write_peers(market, i, view[NUM_OWN + 4 * inbox :], open_peers)
    waiting = 0 if frozen else agent.inbox
    for slot in range(inbox):
        mask[2 * slot], mask[2 * slot + 1] = 1, slot < waiting
    acts = _write_choices(market, i, may and not frozen, count, mask[verbs:slots])
    if not acts:
        open_peers[:] = 0
    if count == 0 or not acts:
        open_peers[0] = 1  # every head keeps one legal choice, so that samplers and softmaxes have something to choose
    for conduct in range(NUM_CONDUCTS):
        mask[slots + peers + conduct] = acts or conduct == 0


@rule
def _write_info(market: Market, i: int, out: Any) -> None:
    agent, outcome, deal = market.agents[i], seen(market.outcomes, i), seen(market.deals, i)
    settled = 1.0 if agent.settled else 0.0
    out[0], out[1] = outcome.payoff_initiator, outcome.payoff_counterparty
    out[2], out[3], out[4] = outcome.task_pay, outcome.cost, outcome.penalty
    out[5], out[6], out[7] = outcome.initiated, outcome.initiated_accepted, outcome.expired
    out[8], out[9] = outcome.received, outcome.received_accepted
    out[10], out[11], out[12] = settled * deal.p, settled * deal.tau, settled * deal.payoff_a
    out[13], out[14] = outcome.illegal, outcome.bounced
    out[15], out[16] = outcome.audited, outcome.violation
    out[17] = is_frozen(agent, market.row.epoch)
    out[18] = market.row.epoch < agent.quarantined_until
    out[19], out[20] = agent.reputation, agent.resources
    for k in range(len(CHARGING)):
        out[21 + k] = outcome.levers[CHARGING[k]]


def observer(ahead: Any) -> Any:
    """A rule that shows every learner what it sees; ahead: rule (market, i), called before agent i is shown it."""

    @rule
    def observe(market: Market, observation: Any, mask: Any, reward: Any, info: Any) -> None:
        if len(observation) == 0:
            return
        show_agents(market)
        _write_market(market, observation[0])
        for i in range(len(market.agents)):
            learner = market.seats[i].learner
            if learner < 0:
                continue
            ahead(market, i)
            for k in range(9, NUM_OWN):
                observation[learner, k] = observation[0, k]
            _write_view(market, i, observation[learner], mask[learner])
            reward[learner] = market.agents[i].reward
            if learner < len(info):
                _write_info(market, i, info[learner])

    return observe


@rule
def _nothing(market: Market, i: int) -> None:
    return


#: Write every learner's observation (L, F), mask (L, M), reward (L,) and info (L, len(INFO)).
observe = observer(_nothing)


@rule
def ledger_row(scene: Scene, state: State, out: Any, b: int) -> None:
    """The overseers' view of row b: out (N, I, len(LEDGER)) float32, zeroed."""
    market = market_of(scene, state, b)
    for i in range(len(market.agents)):
        initiator = market.agents[i].first
        for slot in range(market.agents[i].inbox):
            _write_ledger(market, initiator, out[i, slot])
            initiator = market.proposals[initiator].next


@kernel
def ledger(scene: Scene, state: State, out: Any, lo: int, hi: int) -> None:
    """The overseers' view of rows lo..hi-1: out (B, N, I, len(LEDGER)) float32, zeroed: empty slots stay so."""
    for b in range(lo, hi):
        ledger_row(scene, state, out[b], b)


@rule
def global_state_row(scene: Scene, state: State, out: Any, b: int) -> None:
    """The market of row b as a whole: out (len(STATE_ROW) + N*len(STATE_AGENT),) float32."""
    market = market_of(scene, state, b)
    row, params = market.row, market.params
    out[0] = row.epoch / params.n_epochs
    out[1] = row.step / (params.n_epochs * params.steps_per_epoch)
    out[2], out[3] = row.toxicity, row.mean_p
    at = 4
    for i in range(len(market.agents)):
        agent, book = market.agents[i], market.books[i]
        out[at] = agent.reputation
        out[at + 1] = agent.resources / (agent.resources + max(params.initial_resources, 1.0))
        out[at + 2] = is_frozen(agent, row.epoch)
        out[at + 3] = row.epoch < agent.quarantined_until
        out[at + 4] = governance.may_act(params, agent)
        out[at + 5] = agent.visibility / (agent.visibility + 1.0)
        out[at + 6] = book.breaches / (book.breaches + 1.0)
        out[at + 7] = book.failed_audits / (book.failed_audits + 1.0)
        out[at + 8], out[at + 9] = book.collusion_risk, book.threat
        out[at + 10] = agent.inbox / params.inbox
        at += 11


@kernel
def global_state(scene: Scene, state: State, out: Any, lo: int, hi: int) -> None:
    """The markets of rows lo..hi-1 as wholes: out (B, len(STATE_ROW) + N*len(STATE_AGENT)) float32."""
    for b in range(lo, hi):
        global_state_row(scene, state, out[b], b)
