"""Random audit: interactions of low quality are found out with some probability and fined."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swarm_env.core.compiled import rule
from swarm_env.core.effect import Effect, nothing
from swarm_env.core.random import AUDIT, uniform
from swarm_env.core.section import Section
from swarm_env.core.types import Market


class Config(Section):
    """Off unless enabled."""

    audit_enabled: bool = Field(default=False, description="turns the lever on")
    audit_probability: float = Field(default=0.1, ge=0, le=1, description="chance that an interaction is audited")
    audit_penalty_multiplier: float = Field(
        default=2.0, ge=0, le=1e6, description="penalty per unit of p below the threshold"
    )
    audit_threshold_p: float = Field(default=0.5, ge=0, le=1, description="p below which an audit fails")


CHARGES = True  #: its costs have a column in infos


@rule
def on_interaction(market: Market, i: int, deal: Any) -> Effect:
    """With audit_probability, if p < threshold: c_a += pen, reputation -= pen, pen = (threshold-p)*multiplier [S]."""
    if not market.params.audit_enabled or deal.p >= market.params.audit_threshold_p:
        return nothing()
    if uniform(market.row.step_key, i, AUDIT) >= market.params.audit_probability:
        return nothing()
    penalty = (market.params.audit_threshold_p - deal.p) * market.params.audit_penalty_multiplier
    return Effect(penalty, 0.0, -penalty, 0.0, 1, 0, 0, 0, 0)
