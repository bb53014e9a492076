"""Act: the verbs take effect, in a rotation that starts anywhere, so that no index is first in every inbox."""

from __future__ import annotations

from swarm_env.core import governance, random
from swarm_env.core.compiled import natural, rule
from swarm_env.core.contacts import is_frozen
from swarm_env.core.picks import NO_BIT, bit, first_of, without_first
from swarm_env.core.prefetch import LARGE, SEATS, ask_for_dealings, ask_for_target, at_once
from swarm_env.core.propose import draw_proposal
from swarm_env.core.proxy import clip
from swarm_env.core.respond import receive
from swarm_env.core.sizes import agents_in, inbox_slots, is_watched
from swarm_env.core.types import ADVERSARIAL, NOOP, POST, PROPOSE, TASK, VOTE, Market

COOLDOWN = 2  #: steps between two attacks of a scripted adversary [S]
LIKES = 0.5  #: trust from which on a vote is up


@rule
def act(market: Market) -> None:
    """Carry out every agent's intent."""
    num_agents, block = agents_in(market), at_once(market)
    start = random.integer(market.row.step_key, 0, random.ARRIVAL, 0, num_agents - 1)
    for begin in range(0, num_agents, block):
        dealing = NO_BIT
        for k in range(min(block, num_agents - begin)):
            i = _turned(start + begin + k, num_agents)
            if num_agents > LARGE:
                later = _turned(start + min(begin + k + 2 * SEATS, num_agents - 1), num_agents)
                ask_for_target(market, later, _turned(start + min(begin + k + SEATS, num_agents - 1), num_agents))
            else:
                ask_for_dealings(market, i)
            dealing |= bit(_do_alone(market, i), k)
        while dealing != NO_BIT:
            i = _turned(start + begin + first_of(dealing), num_agents)
            if market.agents[natural(i)].scratch.verb == PROPOSE:
                _propose(market, i)
            else:
                _vote(market, i)
            dealing = without_first(dealing)


@rule
def _turned(n: int, num_agents: int) -> int:
    return n if n < num_agents else n - num_agents


@rule
def _do_alone(market: Market, i: int) -> bool:
    """Count an agent's verb and carry out what takes nobody else; returns whether there is more: a proposal or vote.

    Nobody else's verb makes a difference to this, so it need not wait for the agent's turn.
    """
    agent, params = market.agents[natural(i)], market.params
    verb, conduct = agent.scratch.verb, agent.scratch.conduct
    # it may have been frozen, or fallen below the stake, in this very step
    acts = (verb != NOOP) & (not is_frozen(agent, market.row.epoch)) & governance.may_act(params, agent)
    posts, works = acts & (verb == POST), acts & (verb == TASK)
    agent.actions += acts
    agent.posts += posts
    agent.tasks += works
    agent.visibility += 1.0 if posts else 0.0
    pay = params.task_reward * (params.expected_p[conduct] - params.effort[conduct])
    receive(agent, pay if works else 0.0)
    if is_watched(market) and acts:
        market.outcomes[i].verb = verb
        market.outcomes[i].task_pay = pay if works else 0.0
    return acts & ((verb == PROPOSE) | (verb == VOTE))


@rule
def _propose(market: Market, i: int) -> None:
    """Open a proposal, unless the counterparty has been asked its fill this step."""
    agent, proposal = market.agents[natural(i)], market.proposals[natural(i)]
    contact = agent.scratch.contact
    j = market.edges[natural(contact)].peer
    peer = market.agents[natural(j)]
    if is_watched(market):
        market.outcomes[i].target = j
    if agent.cooldown == 0:
        agent.cooldown = COOLDOWN
    if peer.arrivals >= market.params.interactions_per_step:
        if is_watched(market):
            market.outcomes[i].bounced = True
        return
    peer.arrivals += 1
    agent.proposed, proposal.slot, proposal.next = contact, -1, -1
    if peer.inbox < inbox_slots(market):  # else it will expire: overflow
        proposal.slot = peer.inbox
        if peer.inbox == 0:
            peer.first = i
        else:
            market.proposals[natural(peer.last)].next = i
        peer.last = i
        peer.inbox += 1
    draw_proposal(market.params, proposal, agent.scratch.conduct, agent.reputation, market.row.step_key, i)


@rule
def _vote(market: Market, i: int) -> None:
    """Up for those it trusts, down for the others; adversarial conduct votes down."""
    agent = market.agents[natural(i)]
    contact = natural(agent.scratch.contact)
    j = market.edges[contact].peer
    peer = market.agents[natural(j)]
    up = market.contacts[contact].trust >= LIKES and agent.scratch.conduct != ADVERSARIAL
    direction, weight = 1.0 if up else -1.0, governance.vote_weight(market.params, agent)
    change = direction * market.params.vote_step * weight
    if is_watched(market):
        outcome = market.outcomes[i]
        outcome.target, outcome.direction, outcome.weight = j, 1 if up else -1, weight
    peer.reputation = clip(peer.reputation + change, -1.0, 1.0)
    market.relations[contact].voted = market.row.epoch + 1
    agent.votes += 1
