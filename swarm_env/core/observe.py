"""Writing what is seen: observations and action masks, infos, the global state, the overseers' ledger.

The numbers stand in the order of the registries in `features.py`, each writer beside the name of its registry.
"""

from __future__ import annotations

from typing import Any

from swarm_env.core import governance
from swarm_env.core.compiled import kernel, natural, rule
from swarm_env.core.contacts import can_post, can_vote, can_work, is_frozen
from swarm_env.core.features import CHARGING, OWN, SIGNAL_BOUND
from swarm_env.core.foremost import put_foremost
from swarm_env.core.picks import NO_BIT, bit, first_of, without_first
from swarm_env.core.prefetch import at_once
from swarm_env.core.prefetch_large import ask_for_agent
from swarm_env.core.propose import ledger_reading
from swarm_env.core.proxy import clip
from swarm_env.core.quads import put, put_peer
from swarm_env.core.sizes import (
    UNKNOWN,
    agents_in,
    deal_of,
    first_contact,
    inbox_slots,
    learner_of,
    num_contacts,
    outcome_of,
    peer_slots,
)
from swarm_env.core.slots import clear_inbox, put_many_chosen, put_many_peers, put_peers, put_shares
from swarm_env.core.types import NOOP, NUM_CONDUCTS, POST, PROPOSE, TASK, VERBS, VOTE, Market, Scene, State, market_of

NUM_VERBS, NUM_OWN = len(VERBS), len(OWN)


@rule
def _write_own(market: Market, i: int, able: bool, out: Any) -> None:
    """What the agent knows of itself; of the market, see `_of_market`."""
    row, params, agent, shown = market.row, market.params, market.agents[i], market.shown[i]
    wealth = agent.resources / (agent.resources + max(params.initial_resources, 1.0))
    quarantined = row.epoch < agent.quarantined_until
    put(out, 0, shown.reputation, wealth, shown.frozen, 1.0 if quarantined else 0.0)
    out[4] = able
    put_shares(out, 5, agent, params)


@rule
def _of_market(market: Market) -> tuple[float, float, float, float]:
    """What everybody knows of the market: the last of `OWN`."""
    row, params = market.row, market.params
    step = row.step - row.epoch * params.steps_per_epoch
    return row.epoch / params.n_epochs, step / params.steps_per_epoch, row.toxicity, row.mean_p


@rule
def _clear_inbox(market: Market, out: Any, mask: Any) -> None:
    """No proposal in any slot, and no answer open, mask (2*I,)."""
    told = market.sizes.inbox
    clear_inbox(out, NUM_OWN, mask, told)
    # zeros with their mask: by themselves they would become a slow call of memset
    for slot in range(0 if len(told) > 1 else inbox_slots(market)):
        put(out, NUM_OWN + 4 * slot, 0.0, 0.0, 0.0, 0.0)
        mask[natural(2 * slot)], mask[natural(2 * slot + 1)] = 1, 0


@rule
def _write_inbox(market: Market, i: int, out: Any, mask: Any) -> None:
    """The linked list of proposals, and the answers that are open, mask (2*I,): over empty slots."""
    initiator, frozen = market.agents[i].first, market.shown[i].frozen > 0.0
    for slot in range(min(int(market.agents[i].inbox), inbox_slots(market))):
        k = natural(initiator)
        proposal, asked = market.proposals[k], market.agents[k]
        trust = market.contacts[natural(market.edges[natural(asked.proposed)].back)].trust
        surface = clip(proposal.signal, -SIGNAL_BOUND, SIGNAL_BOUND)
        put(out, NUM_OWN + 4 * slot, 1.0, surface, market.shown[k].reputation, trust)
        mask[natural(2 * slot)], mask[natural(2 * slot + 1)] = 1, not frozen
        initiator = proposal.next


@rule
def _write_peers(market: Market, i: int, able: bool, out: Any, mask: Any) -> bool:
    """All slots, and, if the agent is able to act, which of them it can choose; returns whether any is not empty."""
    slots, inbox, count = peer_slots(market), inbox_slots(market), 0
    at, choice = NUM_OWN + 4 * inbox, 2 * inbox + NUM_VERBS
    start, size = first_contact(market, i), num_contacts(market, i)
    told, shown, edges, contacts = market.sizes.contacts, market.shown, market.edges, market.contacts
    if size > slots:
        varied = market.slots
        many = slots if slots >= 4 else 0
        some = put_many_chosen(out, at, mask, choice, able, shown, edges, contacts, varied, start, many)
        for slot in range(many, slots):
            index = int(varied[natural(start + slot)].contact)
            count += _write_peer(market, index, able, out, at + 4 * slot, mask, choice + slot)
        return some or count > 0
    some = put_peers(out, at, mask, choice, able, shown, edges, contacts, start, told)
    many = len(told) == 1 and size >= 4  # contact k is in slot k, see `peer_contact`
    some |= put_many_peers(out, at, mask, choice, able, shown, edges, contacts, start, size if many else 0)
    for slot in range(0 if many or len(told) > 1 else size):
        count += _write_peer(market, start + slot, able, out, at + 4 * slot, mask, choice + slot)
    for slot in range(size, slots):
        put(out, at + 4 * slot, 0.0, 0.0, 0.0, 0.0)
        mask[natural(choice + slot)] = 0
    return some or count > 0


@rule
def _write_peer(market: Market, index: int, able: bool, out: Any, at: int, mask: Any, choice: int) -> int:
    """The slot of a contact, empty if there is none (-1) or its edge is severed; returns 1 if it is not."""
    if index < 0 or market.contacts[natural(index)].weight <= 0.0:
        put(out, at, 0.0, 0.0, 0.0, 0.0)
        mask[natural(choice)] = 0
        return 0
    put_peer(out, at, market.shown, market.edges[natural(index)].peer, market.contacts[natural(index)].trust)
    mask[natural(choice)] = able
    return 1


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
    for i in range(agents_in(market)):
        ask_for_agent(market, i)
        agent, shown = market.agents[i], market.shown[i]
        shown.present, shown.reputation = 1.0, agent.reputation
        shown.frozen = is_frozen(agent, market.row.epoch)
        shown.visibility = agent.visibility


@rule
def fill_slots(market: Market, i: int) -> None:
    """Peer slots of an agent with more contacts than slots: the most visible, first ones first among equals."""
    start, size, slots = first_contact(market, i), num_contacts(market, i), peer_slots(market)
    if size > slots:  # if not, contact k is in slot k, see `peer_contact`
        put_foremost(market.slots, market.shown, market.edges, market.contacts, start, start + size, slots)


@rule
def peer_contact(market: Market, i: int, slot: int) -> int:
    """The contact in a peer slot, -1 if there is no such slot, it is empty, or the contact's edge is severed."""
    size, slots = num_contacts(market, i), peer_slots(market)
    if size == 0:
        return -1
    exists = (slot >= 0) & (slot < min(size, slots))
    index = first_contact(market, i) + (slot if exists else 0)
    if size > slots:
        index = int(market.slots[natural(index)].contact)
    exists &= index >= 0
    return index if exists & (market.contacts[natural(max(index, 0))].weight > 0.0) else -1


@rule
def within_budget(market: Market, i: int, verb: int) -> bool:
    """Whether a verb other than the noop is within the epoch's budgets; False if there is no such verb."""
    agent, params = market.agents[i], market.params
    # no branch, see `picks`
    votes, posts = (verb == VOTE) & can_vote(params, agent), (verb == POST) & can_post(params, agent)
    return bool((verb == PROPOSE) | votes | posts | ((verb == TASK) & can_work(params, agent)))


@rule
def _write_view(market: Market, i: int, view: Any, mask: Any) -> None:
    """An agent's observation and mask, after `show_agents`, but for its inbox; the mask's heads: answers, verbs, peer
    slots, conducts."""
    params, agent, frozen = market.params, market.agents[i], market.shown[i].frozen > 0.0
    may = governance.may_act(params, agent)
    able = may and not frozen
    fill_slots(market, i)
    _write_own(market, i, may, view)
    _clear_inbox(market, view, mask)
    peers = _write_peers(market, i, able, view, mask)
    _write_choices(market, i, able, peers, mask)


@rule
def _write_choices(market: Market, i: int, able: bool, peers: bool, mask: Any) -> None:
    """The verbs, (len(VERBS),), and the conducts; able: not frozen, may act; peers: whether any could be chosen."""
    agent, params = market.agents[i], market.params
    verbs = 2 * inbox_slots(market)
    slots = verbs + NUM_VERBS
    conducts = slots + peer_slots(market)
    propose, post, task = able and peers, able and can_post(params, agent), able and can_work(params, agent)
    acts = propose or post or task
    mask[natural(verbs + NOOP)] = 1
    mask[natural(verbs + PROPOSE)] = propose
    mask[natural(verbs + POST)] = post
    mask[natural(verbs + VOTE)] = propose and can_vote(params, agent)
    mask[natural(verbs + TASK)] = task
    if not propose:
        mask[natural(slots)] = 1  # every head keeps one legal choice: samplers and softmaxes need something to choose
    for conduct in range(NUM_CONDUCTS):
        mask[natural(conducts + conduct)] = acts or conduct == 0


@rule
def _write_info(market: Market, i: int, out: Any) -> None:
    agent, outcome, deal = market.agents[i], outcome_of(market, i), deal_of(market, i)
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
    """A rule that shows every learner what it sees; ahead: rule called before agent i is shown it, as `_nothing` is."""

    @rule
    def observe(market: Market, observation: Any, mask: Any, reward: Any, info: Any) -> None:
        if len(observation) == 0:
            return
        show_agents(market)
        told, num_agents, block = _of_market(market), agents_in(market), at_once(market)
        for start in range(0, num_agents, block):
            asked = NO_BIT
            for k in range(min(block, num_agents - start)):
                asked |= bit(show(market, start + k, told, observation, mask, reward, info), k)
            while asked != NO_BIT:
                i = start + first_of(asked)
                _write_inbox(market, i, observation[learner_of(market, i)], mask[learner_of(market, i)])
                asked = without_first(asked)

    @rule
    def show(market: Market, i: int, told: Any, observation: Any, mask: Any, reward: Any, info: Any) -> bool:
        # all but the inbox, if it is a learner's; whether there is something in that
        learner = learner_of(market, i)
        if learner < 0:
            return False
        ahead(market, i, learner, observation, mask)
        epoch, step, toxicity, mean_p = told
        put(observation[learner], NUM_OWN - 4, epoch, step, toxicity, mean_p)
        _write_view(market, i, observation[learner], mask[learner])
        reward[learner] = market.agents[i].reward
        if len(market.sizes.unwatched) == 1 and learner < len(info):
            _write_info(market, i, info[learner])
        return bool(market.agents[i].inbox > 0)

    return observe


@rule
def _nothing(market: Market, i: int, learner: int, observation: Any, mask: Any) -> None:
    return


#: Write every learner's observation (L, F), mask (L, M), reward (L,) and info (L, len(INFO)).
observe = observer(_nothing)


@rule
def ledger_row(scene: Scene, state: State, out: Any, b: int) -> None:
    """The overseers' view of row b: out (N, I, len(LEDGER)) float32, zeroed."""
    market = market_of(scene, state, b, UNKNOWN)
    for i in range(agents_in(market)):
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
    market = market_of(scene, state, b, UNKNOWN)
    row, params = market.row, market.params
    out[0] = row.epoch / params.n_epochs
    out[1] = row.step / (params.n_epochs * params.steps_per_epoch)
    out[2], out[3] = row.toxicity, row.mean_p
    at = 4
    for i in range(agents_in(market)):
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
