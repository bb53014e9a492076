"""Writing what is seen: observations and action masks, infos, the global state, the overseers' ledger.

The numbers stand in the order of the registries in `features.py`, each writer beside the name of its registry.
"""

from __future__ import annotations

from typing import Any

from swarm_env.core import governance
from swarm_env.core.compiled import kernel, rule
from swarm_env.core.contacts import can_post, can_vote, is_frozen
from swarm_env.core.features import CHARGING, SIGNAL_BOUND
from swarm_env.core.proxy import clip
from swarm_env.core.types import NOOP, NUM_CONDUCTS, POST, PROPOSE, TASK, VERBS, VOTE, Market

NUM_VERBS = len(VERBS)


@rule
def _share_left(used: float, budget: float) -> float:
    return max(budget - used, 0.0) / budget if budget > 0 else 0.0


@rule
def _write_own(market: Market, i: int, out: Any) -> int:
    row, agent = market.row, market.agents[i]
    out[0] = agent.reputation
    out[1] = agent.resources / (agent.resources + max(market.params.initial_resources, 1.0))
    out[2] = is_frozen(agent, row.epoch)
    out[3] = row.epoch < agent.quarantined_until
    out[4] = governance.may_act(market.params, agent)
    out[5] = _share_left(agent.posts, market.params.posts_per_epoch)
    out[6] = _share_left(agent.votes, market.params.votes_per_epoch)
    out[7] = _share_left(agent.tasks, market.params.tasks_per_epoch)
    out[8] = _share_left(agent.actions, market.params.bandwidth_cap) if market.params.bandwidth_cap >= 0 else 1.0
    out[9] = row.epoch / market.params.n_epochs
    out[10] = (row.step - row.epoch * market.params.steps_per_epoch) / market.params.steps_per_epoch
    out[11] = row.toxicity
    out[12] = row.mean_p
    return 13


@rule
def _write_inbox(market: Market, i: int, out: Any, at: int) -> int:
    """All slots: the linked list of proposals, then zeros."""
    initiator, size = market.agents[i].first, 4
    for slot in range(market.params.inbox):
        if slot < market.agents[i].inbox:
            asked = market.agents[initiator]
            out[at] = 1.0
            out[at + 1] = clip(asked.proposal.signal, -SIGNAL_BOUND, SIGNAL_BOUND)
            out[at + 2] = asked.reputation
            out[at + 3] = market.contacts[market.contacts[asked.proposal.contact].back].trust
            initiator = asked.proposal.next
        else:
            for k in range(size):
                out[at + k] = 0.0
        at += size
    return at


@rule
def _write_peer(market: Market, i: int, slot: int, out: Any, at: int) -> int:
    index = peer_contact(market, i, slot)
    for k in range(4):
        out[at + k] = 0.0
    if index >= 0:
        contact = market.contacts[index]
        out[at] = 1.0
        out[at + 1] = market.agents[contact.peer].reputation
        out[at + 2] = contact.trust
        out[at + 3] = is_frozen(market.agents[contact.peer], market.row.epoch)
    return at + 4


@rule
def _write_ledger(market: Market, initiator: int, out: Any) -> None:
    agent = market.agents[initiator]
    out[0] = clip(agent.proposal.reading, -SIGNAL_BOUND, SIGNAL_BOUND)
    out[1] = agent.initiated_p / agent.initiated if agent.initiated > 0 else 0.5
    out[2] = agent.failed_audits / (agent.failed_audits + 1.0)
    out[3] = agent.breaches / (agent.breaches + 1.0)
    out[4] = agent.collusion_risk
    out[5] = agent.threat


@rule
def fill_slots(market: Market, i: int) -> None:
    """Peer slots of an agent with more contacts than slots: the most visible, first ones first among equals."""
    agent, slots = market.agents[i], market.params.peers
    if agent.stop - agent.start <= slots:
        return  # by index, as laid out once and for all
    for k in range(slots):
        market.contacts[agent.start + k].slot = -1
    for index in range(agent.start, agent.stop):  # insertion into a short sorted list: linear in contacts
        if market.contacts[index].weight <= 0.0:
            continue
        here = market.agents[market.contacts[index].peer].visibility
        k = slots
        while k > 0 and _less_visible(market, market.contacts[agent.start + k - 1].slot, here):
            k -= 1
        for moved in range(slots - 1, k, -1):
            market.contacts[agent.start + moved].slot = market.contacts[agent.start + moved - 1].slot
        if k < slots:
            market.contacts[agent.start + k].slot = index


@rule
def _less_visible(market: Market, index: int, visibility: float) -> bool:
    if index < 0:
        return True
    return bool(market.agents[market.contacts[index].peer].visibility < visibility)


@rule
def peer_contact(market: Market, i: int, slot: int) -> int:
    """The contact in a peer slot, -1 if there is none or its edge is severed."""
    agent = market.agents[i]
    if slot >= agent.stop - agent.start:
        return -1
    index = market.contacts[agent.start + slot].slot
    return int(index) if index >= 0 and market.contacts[index].weight > 0.0 else -1


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
def _write_mask(market: Market, i: int, mask: Any) -> None:
    """Heads in order: two entries an inbox slot (refuse, accept), the verbs, the peer slots, the conducts."""
    frozen, at = is_frozen(market.agents[i], market.row.epoch), 0
    for slot in range(market.params.inbox):
        mask[at] = 1
        mask[at + 1] = slot < market.agents[i].inbox and not frozen
        at += 2
    acts = False
    for verb in range(NUM_VERBS):
        legal = legal_verb(market, i, verb)
        mask[at + verb] = legal
        acts = acts or (legal and verb != NOOP)
    at += NUM_VERBS
    peers = 0
    for slot in range(market.params.peers):
        legal = acts and peer_contact(market, i, slot) >= 0
        mask[at + slot] = legal
        peers += legal
    if peers == 0:
        mask[at] = 1  # every head keeps one legal choice, so that samplers and softmaxes have something to choose
    at += market.params.peers
    for conduct in range(NUM_CONDUCTS):
        mask[at + conduct] = acts or conduct == 0


@rule
def _write_info(market: Market, i: int, out: Any) -> None:
    agent, outcome = market.agents[i], market.agents[i].outcome
    deal, settled = agent.deal, 1.0 if agent.deal.settled else 0.0
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
    out[21 + len(CHARGING)] = outcome.reward


@rule
def observe(market: Market, observation: Any, mask: Any, info: Any) -> None:
    """Write every learner's observation (L, F), mask (L, M) and info (L, len(INFO) + 1)."""
    for i in range(len(market.agents)):
        learner = market.agents[i].learner
        if learner < 0:
            continue
        fill_slots(market, i)
        view = observation[learner]
        at = _write_inbox(market, i, view, _write_own(market, i, view))
        for slot in range(market.params.peers):
            at = _write_peer(market, i, slot, view, at)
        _write_mask(market, i, mask[learner])
        if learner < len(info):
            _write_info(market, i, info[learner])


@rule
def ledger_row(table: Any, state: Any, out: Any, b: int) -> None:
    """The overseers' view of row b: out (N, I, len(LEDGER)) float32, zeroed."""
    row = state.rows[b]
    agents, contacts, pairs = state.agents[b], state.contacts[b], state.pairs[b]
    market = Market(table[row.params], row, agents, contacts, pairs, state.assessments[b], state.history[b])
    for i in range(len(market.agents)):
        initiator = market.agents[i].first
        for slot in range(market.agents[i].inbox):
            _write_ledger(market, initiator, out[i, slot])
            initiator = market.agents[initiator].proposal.next


@kernel
def ledger(table: Any, state: Any, out: Any, lo: int, hi: int) -> None:
    """The overseers' view of rows lo..hi-1: out (B, N, I, len(LEDGER)) float32, zeroed: empty slots stay so."""
    for b in range(lo, hi):
        ledger_row(table, state, out[b], b)


@rule
def global_state_row(table: Any, state: Any, out: Any, b: int) -> None:
    """The market of row b as a whole: out (len(STATE_ROW) + N*len(STATE_AGENT),) float32."""
    row, params = state.rows[b], table[state.rows[b].params]
    out[0] = row.epoch / params.n_epochs
    out[1] = row.step / (params.n_epochs * params.steps_per_epoch)
    out[2], out[3] = row.toxicity, row.mean_p
    at = 4
    for i in range(state.agents.shape[1]):
        agent = state.agents[b, i]
        out[at] = agent.reputation
        out[at + 1] = agent.resources / (agent.resources + max(params.initial_resources, 1.0))
        out[at + 2] = is_frozen(agent, row.epoch)
        out[at + 3] = row.epoch < agent.quarantined_until
        out[at + 4] = governance.may_act(params, agent)
        out[at + 5] = agent.visibility / (agent.visibility + 1.0)
        out[at + 6] = agent.breaches / (agent.breaches + 1.0)
        out[at + 7] = agent.failed_audits / (agent.failed_audits + 1.0)
        out[at + 8], out[at + 9] = agent.collusion_risk, agent.threat
        out[at + 10] = agent.inbox / params.inbox
        at += 11


@kernel
def global_state(table: Any, state: Any, out: Any, lo: int, hi: int) -> None:
    """The markets of rows lo..hi-1 as wholes: out (B, len(STATE_ROW) + N*len(STATE_AGENT)) float32."""
    for b in range(lo, hi):
        global_state_row(table, state, out[b], b)
