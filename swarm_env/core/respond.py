"""Respond: every open proposal is settled: quality, levers, payoffs, reputation, and what both parties remember."""

from __future__ import annotations

from typing import Any

from swarm_env.core import governance, random
from swarm_env.core.compiled import natural, rule
from swarm_env.core.effect import Effect, nothing
from swarm_env.core.payoff import externality, payoff_a, payoff_b, surplus
from swarm_env.core.prefetch import ask_for_settlement
from swarm_env.core.proxy import clip, quality, v_hat
from swarm_env.core.types import WINDOW, Market, is_watched, seen

RUNNING_RATE = 0.05  #: weight of the newest interaction in the market's running means
HEAT_SANCTION = 0.3  #: heat a sanction adds [S]


@rule
def respond(market: Market) -> None:
    """Settle in the order of initiators, then empty the inboxes."""
    for i in range(len(market.agents)):
        market.agents[i].settled = market.agents[i].proposed >= 0
        ask_for_settlement(market, i)
        if market.agents[i].settled:
            _settle(market, i)
    for i in range(len(market.agents)):
        agent = market.agents[i]
        agent.proposed, agent.inbox, agent.first, agent.last, agent.arrivals = -1, 0, -1, -1, 0


@rule
def _settle(market: Market, i: int) -> None:
    agent, book, params = market.agents[i], market.books[i], market.params
    deal, contact = seen(market.deals, i), natural(agent.proposed)
    j = market.edges[contact].peer
    _describe(market, deal, i, j)
    book.recent[book.initiated % WINDOW] = 1.0 - deal.p
    book.initiated += 1
    book.initiated_p += deal.p
    effect = governance.on_interaction(market, i, deal, nothing())
    deal.c_a, deal.c_b = effect.c_a, effect.c_b
    deal.r_a, deal.r_b = (deal.p - 0.5) - effect.c_a, 0.0
    deal.payoff_a = payoff_a(params, deal.p, deal.tau, deal.c_a, deal.r_a) - deal.effort
    deal.payoff_b = payoff_b(params, deal.p, deal.tau, deal.c_b, deal.r_b)
    _pay(market, deal, i, j)
    _sanction(market, i, effect)
    gain = effect.reputation + (deal.r_a if deal.accepted else 0.0)
    agent.reputation = clip(agent.reputation + gain, -1.0, 1.0)
    if deal.answered:  # what expired teaches nothing, nobody was there
        _learn(market, deal, contact)
        _learn(market, deal, natural(market.edges[contact].back))
    _count(market, deal)
    governance.remember(market, i, deal)


@rule
def _count(market: Market, deal: Any) -> None:
    """The market's running means, and the episode's totals."""
    row, params = market.row, market.params
    row.settled += 1
    row.p_sum += deal.p
    row.mean_p += RUNNING_RATE * (deal.p - row.mean_p)
    if deal.accepted:
        row.accepted += 1
        row.p_accepted += deal.p
        row.toxicity += RUNNING_RATE * (1.0 - deal.p - row.toxicity)
        row.welfare += deal.payoff_a + deal.payoff_b
        row.social += surplus(deal.p, params.s_plus, params.s_minus) - externality(deal.p, params.h)
    if deal.answered and deal.p_offer < params.safety_threshold:
        row.risky += 1
        row.attacks += 1 if deal.accepted else 0
    elif deal.answered:
        row.sound += 1
        row.refusals += 0 if deal.accepted else 1


@rule
def _describe(market: Market, deal: Any, i: int, j: int) -> None:
    """The interaction as it stands before governance; a rejection clips engagement at 0 [S]."""
    params, proposal, scratch = market.params, market.proposals[i], market.agents[i].scratch
    deal.counterparty, deal.conduct = j, proposal.conduct
    deal.answered, deal.accepted = scratch.answered, scratch.answered and scratch.accepted
    deal.progress, deal.rework, deal.rejections = proposal.progress, proposal.rework, proposal.rejections
    deal.misuse, deal.signal, deal.p_offer = proposal.misuse, proposal.signal, proposal.p
    deal.engagement = proposal.engagement if deal.accepted else min(proposal.engagement, 0.0)
    deal.v_hat = v_hat(params, deal.progress, deal.rework, deal.rejections, deal.misuse, deal.engagement)
    deal.p = proposal.p if deal.engagement == proposal.engagement else quality(params, deal.v_hat)
    deal.tau = -params.extraction[deal.conduct]
    deal.effort = params.effort[deal.conduct]
    deal.v = 1.0 if random.uniform(market.row.step_key, i, random.OUTCOME) < deal.p else -1.0


@rule
def _pay(market: Market, deal: Any, i: int, j: int) -> None:
    """Only an accepted interaction pays; costs levied on a rejected one are still due."""
    mine, theirs = seen(market.outcomes, i), seen(market.outcomes, j)
    mine.initiated += 1
    mine.expired += 0 if deal.answered else 1
    theirs.received += 1 if deal.answered else 0
    for k in range(len(mine.levers) if is_watched(market) else 0):
        mine.levers[k] += deal.costs[k, 0]
        theirs.levers[k] += deal.costs[k, 1]
    if deal.accepted:
        mine.initiated_accepted += 1
        theirs.received_accepted += 1
        mine.payoff_initiator += deal.payoff_a
        theirs.payoff_counterparty += deal.payoff_b
        receive(market.agents[i], deal.payoff_a)
        receive(market.agents[natural(j)], deal.payoff_b)
    else:
        mine.cost += deal.c_a
        theirs.cost += deal.c_b
        receive(market.agents[i], -deal.c_a)
        receive(market.agents[natural(j)], -deal.c_b)


@rule
def receive(agent: Any, amount: float) -> None:
    """Rewards are what resources would change by without the floor at 0."""
    agent.reward += amount
    agent.gained += amount
    agent.resources = max(agent.resources + amount, 0.0)


@rule
def penalise(market: Market, i: int, effect: Effect) -> None:
    """Take reputation and resources."""
    agent = market.agents[i]
    agent.reputation = clip(agent.reputation + effect.reputation, -1.0, 1.0)
    seen(market.outcomes, i).penalty -= effect.resources
    receive(agent, effect.resources)


@rule
def _sanction(market: Market, i: int, effect: Effect) -> None:
    """Book a failed audit, a violation, a freeze."""
    agent, book, outcome = market.agents[i], market.books[i], seen(market.outcomes, i)
    outcome.audited = effect.failed_audit > 0
    outcome.violation = effect.violation > 0
    book.failed_audits += effect.failed_audit
    book.breaches += effect.violation
    book.violations += effect.violation
    outcome.count = book.violations
    for _ in range(effect.failed_audit + effect.violation):
        agent.heat = min(agent.heat + HEAT_SANCTION, 1.0)
        penalise(market, i, governance.on_sanction(market.params, agent))
    if effect.freeze > 0:
        agent.frozen_until = market.row.epoch + effect.freeze
        outcome.froze, outcome.until = True, agent.frozen_until


@rule
def _learn(market: Market, deal: Any, index: int) -> None:
    """What one party remembers of an interaction that got an answer."""
    contact, relation, params = market.contacts[index], market.relations[index], market.params
    relation.met += 1
    relation.met_p += deal.p
    if not deal.accepted:
        contact.trust = 0.9 * contact.trust + 0.05  # [S]
        return
    contact.trust = 0.7 * contact.trust + 0.3 * deal.p  # [S]
    relation.won = min(relation.won + 0.1, 1.0)  # [S]
    if params.dynamic and contact.weight > 0.0:
        contact.weight = min(contact.weight + params.edge_strengthen_rate, params.max_edge_weight)
