"""Episodes governed by one decider, in the market's own metrics: quality filtering, adverse selection, collusion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from swarm_env import AS_SCRIPTED, Scenario, metrics
from swarm_env.batch import EPISODE_METRICS
from trainers.games.live import LiveMarkets, Proposals
from trainers.games.market import MarketRules
from trainers.governed import HELD_OUT, Decider

#: Those that the research note asks for with MACPO, and those of every episode.
SUITE: tuple[str, ...] = (
    *EPISODE_METRICS, "spread", "conditional_loss_initiator", "conditional_loss_counterparty",
    "ecosystem_collusion_risk",
)  # fmt: skip


def suite(
    scenarios: Sequence[Scenario], rules: MarketRules, decider: Decider | None, episodes: int, seed: int = HELD_OUT
) -> dict[str, float]:
    """SUITE, each metric of whole episodes and its mean over those in which it is defined; NaN where in none.

    Args:
        scenarios: spread over the markets, see `LiveMarkets`.
        decider: of every answer in every market; None: the scripts answer.
        episodes: markets, one episode each. seed: market b plays seed + b.
    """
    live = LiveMarkets(scenarios, episodes, seed, groups=1, record=True)

    def decide(contexts: Proposals) -> Tensor:
        return torch.full((len(contexts),), AS_SCRIPTED) if decider is None else rules.action(decider(contexts).answer)

    deals = []
    for _ in range(scenarios[0].num_steps):
        live.step(decide)
        deals.append(live.envs[0].interactions())
    whole = np.concatenate(deals)
    rows = [_episode(scenarios[b * len(scenarios) // episodes], whole[whole["row"] == b]) for b in range(episodes)]
    return {name: _mean([row[name] for row in rows]) for name in SUITE}


def _episode(scenario: Scenario, deals: NDArray[np.void]) -> dict[str, float]:
    payoff = scenario.to_dict(defaults=True)["payoff"]
    return metrics.compute(
        {name: deals[name] for name in metrics.COLUMNS if name in (deals.dtype.names or ())}, payoff, SUITE,
        num_agents=scenario.num_agents, safety_threshold=scenario.market.safety_threshold,
    )  # fmt: skip


def _mean(values: Sequence[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return sum(kept) / len(kept) if kept else math.nan
