"""Metrics: pure functions over recorded interactions, one registry, names as in SWARM.

`compute` checks the interactions once and evaluates `METRICS` by name. Each metric is a function of a
`Table`, which `tabulate` makes; beside the registry stand the richer answers: distributions, curves, reports,
replays. Undefined is NaN, never 0 and never None; counts of nothing and sums over nothing are 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import ArrayLike, NDArray

from swarm_env.metrics.calibration import CalibrationCurve, calibration_curve
from swarm_env.metrics.collusion import (
    CollusionReport,
    CollusionSettings,
    GroupScores,
    PairScores,
    collusion_report,
    group_scores,
    pair_scores,
)
from swarm_env.metrics.incoherence import (
    DualFailures,
    Illusion,
    ReplayIncoherence,
    dual_failures,
    illusion_delta,
    replay_incoherence,
)
from swarm_env.metrics.interactions import COLUMNS, Table
from swarm_env.metrics.quality import (
    Distribution,
    Participation,
    participation_by_quality,
    quality_distribution,
)
from swarm_env.metrics.registry import METRICS, Metric
from swarm_env.metrics.security import SecurityReport, SecuritySettings, security_report
from swarm_env.metrics.tabulate import nearest, tabulate
from swarm_env.metrics.welfare import agent_payoffs, gini


def compute(
    interactions: Mapping[str, ArrayLike] | NDArray[Any],
    payoff: object,
    names: Iterable[str] | None = None,
    *,
    trust: ArrayLike | None = None,
    num_agents: int | None = None,
    safety_threshold: float = 0.5,
    collusion: CollusionSettings | None = None,
    security: SecuritySettings | None = None,
) -> dict[str, float]:
    """Evaluate the metrics `names` (all of `METRICS` unless given), in that order; undefined ones are NaN.

    The other arguments are those of `tabulate`, which raises ValueError for what they may not hold; an
    unknown metric is a ValueError as well, with the nearest known names.
    """
    chosen = list(METRICS) if names is None else [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in METRICS:
            raise ValueError(f"unknown metric {name!r}; {nearest(name, METRICS)}")
    table = tabulate(
        interactions,
        payoff,
        trust=trust,
        num_agents=num_agents,
        safety_threshold=safety_threshold,
        collusion=collusion,
        security=security,
    )
    return {name: METRICS[name].function(table) for name in chosen}


__all__ = [
    "COLUMNS",
    "METRICS",
    "CalibrationCurve",
    "CollusionReport",
    "CollusionSettings",
    "Distribution",
    "DualFailures",
    "GroupScores",
    "Illusion",
    "Metric",
    "PairScores",
    "Participation",
    "ReplayIncoherence",
    "SecurityReport",
    "SecuritySettings",
    "Table",
    "agent_payoffs",
    "calibration_curve",
    "collusion_report",
    "compute",
    "dual_failures",
    "gini",
    "group_scores",
    "illusion_delta",
    "pair_scores",
    "participation_by_quality",
    "quality_distribution",
    "replay_incoherence",
    "security_report",
    "tabulate",
]
