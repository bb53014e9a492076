"""Circuit breaker: an initiator whose recent interactions are toxic is frozen for some epochs."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from swarm_env.core.compiled import rule
from swarm_env.core.effect import Effect, nothing
from swarm_env.core.section import Section
from swarm_env.core.types import WINDOW, Market


class Config(Section):
    """Off unless enabled."""

    circuit_breaker_enabled: bool = Field(default=False, description="turns the lever on")
    freeze_threshold_toxicity: float = Field(
        default=0.7,
        ge=0,
        le=1,
        description="mean 1-p over the last 10 interactions that counts as a violation",
    )
    freeze_threshold_violations: int = Field(
        default=3, ge=1, le=1_000_000, description="violations that freeze an agent"
    )
    freeze_duration_epochs: int = Field(
        default=2, ge=1, le=1_000_000, description="epochs a freeze or a quarantine lasts"
    )


@rule
def on_interaction(market: Market, i: int, deal: Any) -> Effect:
    """Mean 1-p over the last 10 >= threshold: a violation; at the limit: frozen [S]. Counts rejected ones too."""
    if not market.params.circuit_breaker_enabled:
        return nothing()
    book = market.books[i]  # `recent` and `initiated` already hold this interaction
    total = 0.0
    for n in range(WINDOW):  # zeros where there was none yet: no branch on how many there were
        total += book.recent[n]
    if total / min(book.initiated, WINDOW) < market.params.freeze_threshold_toxicity:
        return nothing()
    over = book.violations + 1 >= market.params.freeze_threshold_violations
    return Effect(0.0, 0.0, 0.0, 0.0, 0, 1, market.params.freeze_duration_epochs if over else 0, 0, 0)


@rule
def epoch_start(market: Market, i: int) -> Effect:
    """A freeze that has ended clears the violations; the window of interactions stays [S]."""
    agent = market.agents[i]
    ended = agent.frozen_until > 0 and market.row.epoch >= agent.frozen_until
    return Effect(0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 1 if ended else 0)
