"""Transaction tax: a rate on the surplus and the transfer of every accepted interaction."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swarm_env.core.compiled import rule
from swarm_env.core.effect import Effect, costs, nothing
from swarm_env.core.payoff import surplus
from swarm_env.core.section import Section
from swarm_env.core.types import Market


class Config(Section):
    """Off at a rate of 0."""

    transaction_tax_rate: float = Field(
        default=0.0, ge=0, le=1, description="share of max(S,0) + |tau| that is taxed; 0 = off"
    )
    transaction_tax_split: float = Field(default=0.5, ge=0, le=1, description="initiator's share of the tax")


CHARGES = True  #: its costs have a column in infos


@rule
def on_interaction(market: Market, i: int, deal: Any) -> Effect:
    """Accepted: rate * (max(S, 0) + |tau|), with the scenario's own payoffs (SWARM hard-codes 2 and 1)."""
    if market.params.transaction_tax_rate == 0.0 or not deal.accepted:
        return nothing()
    base = max(surplus(deal.p, market.params.s_plus, market.params.s_minus), 0.0) + abs(deal.tau)
    tax = market.params.transaction_tax_rate * base
    return costs(tax * market.params.transaction_tax_split, tax * (1.0 - market.params.transaction_tax_split))
