"""Bandwidth cap: at most so many actions other than noop per agent and epoch."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swarm_env.core.compiled import rule
from swarm_env.core.section import Section


class Config(Section):
    """Off unless a cap is given. (SWARM's default of 10 is never enforced there.)"""

    bandwidth_cap: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        description="actions per agent and epoch; absent = off, 0 blocks all",
    )


@rule
def may_act(params: Any, agent: Any) -> bool:
    """Below the cap."""
    return bool(agent.actions < params.most_actions)
