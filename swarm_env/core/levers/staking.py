"""Staking: who holds too little may not act, and who is caught loses a share of what it holds."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swarm_env.core.compiled import rule
from swarm_env.core.effect import Effect, change, nothing
from swarm_env.core.section import Section


class Config(Section):
    """Off unless enabled."""

    staking_enabled: bool = Field(default=False, description="turns the lever on")
    min_stake_to_participate: float = Field(
        default=0.0, ge=0, le=1e9, description="resources below which an agent may not act"
    )
    stake_slash_rate: float = Field(
        default=0.1, ge=0, le=1, description="share of resources lost at a failed audit or breaker violation"
    )


@rule
def may_act(params: Any, agent: Any) -> bool:
    """Holds the stake [S]."""
    return bool(agent.resources >= params.least_stake)


@rule
def on_sanction(params: Any, agent: Any) -> Effect:
    """A failed audit or a breaker violation slashes a share of the agent's resources."""
    if not params.staking_enabled:
        return nothing()
    return change(0.0, -params.stake_slash_rate * agent.resources)
