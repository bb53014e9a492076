"""Vote normalisation: the more an agent has voted this epoch, the less its next vote weighs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swarm_env.core.compiled import rule
from swarm_env.core.section import Section


class Config(Section):
    """Off unless enabled."""

    vote_normalization_enabled: bool = Field(default=False, description="turns the lever on")
    max_vote_weight_per_agent: float = Field(
        default=10.0, gt=0, le=1e6, description="votes after which a vote's weight has halved"
    )


@rule
def vote_weight(params: Any, agent: Any) -> float:
    """1/(1 + votes cast this epoch / max_vote_weight_per_agent) [S; nobody calls it there]."""
    if not params.vote_normalization_enabled:
        return 1.0
    return 1.0 / (1.0 + agent.votes / params.max_vote_weight_per_agent)
