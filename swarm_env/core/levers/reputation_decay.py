"""Reputation decay: what was earned fades at the start of every epoch."""

from __future__ import annotations

from pydantic import Field

from swarm_env.core.compiled import rule
from swarm_env.core.effect import Effect, change
from swarm_env.core.section import Section
from swarm_env.core.types import Market


class Config(Section):
    """Off at a rate of 1."""

    reputation_decay_rate: float = Field(
        default=1.0, ge=0, le=1, description="factor on every reputation at epoch start; 1 = off"
    )


@rule
def epoch_start(market: Market, i: int) -> Effect:
    """Reputation *= rate [S]."""
    return change((market.params.reputation_decay_rate - 1.0) * market.agents[i].reputation, 0.0)
