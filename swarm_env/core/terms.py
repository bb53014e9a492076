"""The interaction that is being settled, as the levers see it: numbers, not a record, so that machine code holds them
in registers. `Deal` is the record of it that is kept if anybody looks."""

from __future__ import annotations

from typing import Any, NamedTuple

from swarm_env.core.compiled import natural, rule
from swarm_env.core.payoff import payoff_a, payoff_b
from swarm_env.core.proxy import quality, v_hat
from swarm_env.core.types import Market


class Terms(NamedTuple):
    """Fields as in `Deal`; costs and the change of reputation are 0 until the levers have charged for it."""

    accepted: bool
    answered: bool
    counterparty: int
    conduct: int
    progress: float
    rework: int
    rejections: int
    misuse: int
    engagement: float
    p: float
    p_offer: float
    signal: float
    tau: float
    effort: float
    c_a: float
    c_b: float
    r_a: float
    r_b: float


@rule
def offered(market: Market, i: int, counterparty: int) -> Terms:
    """Agent i's open interaction as it stands before governance; a rejection clips engagement at 0 [S]."""
    params, proposal, scratch = market.params, market.proposals[i], market.agents[i].scratch
    answered, conduct, p = scratch.answered, natural(proposal.conduct), proposal.p
    accepted, engagement = answered and scratch.accepted, proposal.engagement
    if engagement > 0.0 and not accepted:
        engagement = 0.0
        p = quality(params, observed(params, proposal, engagement))
    return Terms(
        accepted,
        answered,
        counterparty,
        proposal.conduct,
        proposal.progress,
        proposal.rework,
        proposal.rejections,
        proposal.misuse,
        engagement,
        p,
        proposal.p,
        proposal.signal,
        -params.extraction[conduct],
        params.effort[conduct],
        0.0,
        0.0,
        0.0,
        0.0,
    )


@rule
def observed(params: Any, proposal: Any, engagement: float) -> float:
    """v_hat of what was proposed, or of its terms, at this engagement of the counterparty."""
    counts = natural(proposal.rework), natural(proposal.rejections), natural(proposal.misuse)
    return v_hat(params, proposal.progress, counts[0], counts[1], counts[2], engagement)


@rule
def charged(terms: Terms, c_a: float, c_b: float) -> Terms:
    """With the levers' costs, and the initiator's change of reputation: what it gains by quality, less its cost."""
    return Terms(
        terms.accepted,
        terms.answered,
        terms.counterparty,
        terms.conduct,
        terms.progress,
        terms.rework,
        terms.rejections,
        terms.misuse,
        terms.engagement,
        terms.p,
        terms.p_offer,
        terms.signal,
        terms.tau,
        terms.effort,
        c_a,
        c_b,
        (terms.p - 0.5) - c_a,
        0.0,
    )


@rule
def payoffs(params: Any, terms: Terms) -> tuple[float, float]:
    """Of initiator and counterparty, were it accepted; the initiator pays for its effort."""
    pi_a = payoff_a(params, terms.p, terms.tau, terms.c_a, terms.r_a) - terms.effort
    return pi_a, payoff_b(params, terms.p, terms.tau, terms.c_b, terms.r_b)
