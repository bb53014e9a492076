"""Respond: every open proposal is settled: quality, levers, payoffs, reputation, and what both parties remember."""

from __future__ import annotations

from typing import Any

from swarm_env.core import governance, random
from swarm_env.core.compiled import natural, rule
from swarm_env.core.contacts import pair_of
from swarm_env.core.effect import Effect, nothing
from swarm_env.core.payoff import externality, surplus
from swarm_env.core.picks import NO_BIT, bit, first_of, without_first
from swarm_env.core.prefetch import ask_for_settlement, at_once
from swarm_env.core.proxy import clip
from swarm_env.core.sizes import agents_in, is_watched
from swarm_env.core.terms import Terms, charged, observed, offered, payoffs
from swarm_env.core.types import WINDOW, Market

RUNNING_RATE = 0.05  #: weight of the newest interaction in the market's running means
HEAT_SANCTION = 0.3  #: heat a sanction adds [S]


@rule
def respond(market: Market) -> None:
    """Settle in the order of initiators, and empty the inboxes: every answer is given by now."""
    num_agents, block = agents_in(market), at_once(market)
    for start in range(0, num_agents, block):
        due = NO_BIT
        for k in range(min(block, num_agents - start)):
            agent = market.agents[start + k]
            ask_for_settlement(market, start + k)
            agent.settled = agent.proposed >= 0
            agent.inbox, agent.first, agent.last, agent.arrivals = 0, -1, -1, 0
            due |= bit(agent.settled, k)
        while due != NO_BIT:
            i = natural(start + first_of(due))
            _settle(market, i)
            market.agents[i].proposed = -1
            due = without_first(due)


@rule
def _settle(market: Market, i: int) -> None:
    agent, contact = market.agents[i], natural(market.agents[i].proposed)
    edge = market.edges[contact]
    back, j = natural(edge.back), natural(edge.peer)
    offer = offered(market, i, edge.peer)
    _enter(market.books[i], offer.p)
    effect = governance.on_interaction(market, i, offer, nothing())
    terms = charged(offer, effect.c_a, effect.c_b)
    # only an accepted interaction pays; costs levied on a rejected one are still due
    pay_a, pay_b = payoffs(market.params, terms) if terms.accepted else (-terms.c_a, -terms.c_b)
    if is_watched(market):
        _show(market, i, terms)
    receive(agent, pay_a)
    receive(market.agents[j], pay_b)
    _sanction(market, i, effect)
    gain = effect.reputation + (terms.r_a if terms.accepted else 0.0)
    agent.reputation = clip(agent.reputation + gain, -1.0, 1.0)
    if terms.answered:  # what expired teaches nothing, nobody was there
        _acquaint(pair_of(market, contact), terms)
        _learn(market, terms, contact)
        _learn(market, terms, back)
    _count(market, terms, pay_a + pay_b)
    governance.remember(market, i, terms)


@rule
def _enter(book: Any, p: float) -> None:
    """Note an interaction of its initiator's; the breaker judges the window with this one in it."""
    book.recent[natural(book.initiated) % natural(WINDOW)] = 1.0 - p
    book.initiated += 1
    book.initiated_p += p


@rule
def _count(market: Market, terms: Terms, welfare: float) -> None:
    """The market's running means, and the episode's totals."""
    row, params = market.row, market.params
    row.settled += 1
    row.p_sum += terms.p
    row.mean_p += RUNNING_RATE * (terms.p - row.mean_p)
    if terms.accepted:
        row.accepted += 1
        row.p_accepted += terms.p
        row.toxicity += RUNNING_RATE * (1.0 - terms.p - row.toxicity)
        row.welfare += welfare
        row.social += surplus(terms.p, params.s_plus, params.s_minus) - externality(terms.p, params.h)
    if terms.answered and terms.p_offer < params.safety_threshold:
        row.risky += 1
        row.attacks += 1 if terms.accepted else 0
    elif terms.answered:
        row.sound += 1
        row.refusals += 0 if terms.accepted else 1


@rule
def _show(market: Market, i: int, terms: Terms) -> None:
    """Write an interaction down for infos and logs, and what it did to both parties."""
    deal, params, proposal = market.deals[i], market.params, market.proposals[i]
    deal.counterparty, deal.conduct = terms.counterparty, terms.conduct
    deal.answered, deal.accepted = terms.answered, terms.accepted
    deal.progress, deal.rework, deal.rejections = terms.progress, terms.rework, terms.rejections
    deal.misuse, deal.signal, deal.p_offer = terms.misuse, terms.signal, terms.p_offer
    deal.engagement, deal.v_hat = terms.engagement, observed(params, proposal, terms.engagement)
    deal.p, deal.tau, deal.effort = terms.p, terms.tau, terms.effort
    deal.c_a, deal.c_b, deal.r_a, deal.r_b = terms.c_a, terms.c_b, terms.r_a, terms.r_b
    deal.payoff_a, deal.payoff_b = payoffs(params, terms)
    deal.v = 1.0 if random.uniform(market.row.step_key, i, random.OUTCOME) < terms.p else -1.0
    mine, theirs = market.outcomes[i], market.outcomes[natural(terms.counterparty)]
    mine.initiated += 1
    mine.expired += 0 if terms.answered else 1
    theirs.received += 1 if terms.answered else 0
    for k in range(len(mine.levers)):
        mine.levers[k] += deal.costs[k, 0]
        theirs.levers[k] += deal.costs[k, 1]
    if terms.accepted:
        mine.initiated_accepted += 1
        theirs.received_accepted += 1
        mine.payoff_initiator += deal.payoff_a
        theirs.payoff_counterparty += deal.payoff_b
    else:
        mine.cost += terms.c_a
        theirs.cost += terms.c_b


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
    if is_watched(market):
        market.outcomes[i].penalty -= effect.resources
    receive(agent, effect.resources)


@rule
def _sanction(market: Market, i: int, effect: Effect) -> None:
    """Book a failed audit, a violation, a freeze."""
    agent, book = market.agents[i], market.books[i]
    for _ in range(effect.failed_audit + effect.violation):
        agent.heat = min(agent.heat + HEAT_SANCTION, 1.0)
        penalise(market, i, governance.on_sanction(market.params, agent))
    if effect.failed_audit > 0:
        book.failed_audits += 1
    if effect.violation > 0:
        book.breaches += 1
        book.violations += 1
    if effect.freeze > 0:
        agent.frozen_until = market.row.epoch + effect.freeze
    if is_watched(market):
        outcome = market.outcomes[i]
        outcome.audited, outcome.violation = effect.failed_audit > 0, effect.violation > 0
        outcome.count = book.violations
        if effect.freeze > 0:
            outcome.froze, outcome.until = True, agent.frozen_until


@rule
def _acquaint(pair: Any, terms: Terms) -> None:
    """What both parties remember of an interaction that got an answer."""
    pair.met += 1
    pair.met_p += terms.p
    if terms.accepted:
        pair.won = min(pair.won + 0.1, 1.0)  # [S]


@rule
def _learn(market: Market, terms: Terms, index: int) -> None:
    """What it makes one party think of the other."""
    contact, params = market.contacts[index], market.params
    if not terms.accepted:
        contact.trust = 0.9 * contact.trust + 0.05  # [S]
        return
    contact.trust = 0.7 * contact.trust + 0.3 * terms.p  # [S]
    if params.dynamic and contact.weight > 0.0:
        contact.weight = min(contact.weight + params.edge_strengthen_rate, params.max_edge_weight)
