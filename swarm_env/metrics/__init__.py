"""Metrics: pure functions over recorded interactions, one registry, names as in SWARM.

`compute` checks the interactions and evaluates `METRICS` by name; a `Stream` does so for interactions that come in
chunks. Each metric is a function of a `Record`: of a `Table`, which `tabulate` makes, or of what was added up from many
(statistics: `totals`, `outcomes`, `dealings`, `threats`, `bad_deals`). Beside the registry stand the richer answers:
distributions, curves, reports, replays. Undefined is NaN, never 0 and never None; counts of nothing and sums over
nothing are 0.
"""

from __future__ import annotations

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
from swarm_env.metrics.interactions import COLUMNS, Record, Table
from swarm_env.metrics.quality import (
    Distribution,
    Participation,
    participation_by_quality,
    quality_distribution,
)
from swarm_env.metrics.registry import METRICS, Metric
from swarm_env.metrics.security import SecurityLevels, SecurityReport, security_levels, security_report
from swarm_env.metrics.stream import Stream, compute
from swarm_env.metrics.tabulate import tabulate
from swarm_env.metrics.threats import SecuritySettings
from swarm_env.metrics.welfare import agent_payoffs, gini

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
    "Record",
    "ReplayIncoherence",
    "SecurityLevels",
    "SecurityReport",
    "SecuritySettings",
    "Stream",
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
    "security_levels",
    "security_report",
    "tabulate",
]
