"""Success criteria of a scenario: PASS or FAIL, on the metrics of a run."""

from __future__ import annotations

import math
from typing import NamedTuple

from swarm_env.scenario import Scenario
from swarm_env.tally import Row


class Verdict(NamedTuple):
    """One criterion, what it asks for, what the run has, and whether that passes. Undefined does not pass."""

    name: str
    bound: float
    value: float
    passed: bool
    meaning: str


#: Criterion -> (column, how epochs are put together, -1: must not exceed the bound / 1: must not fall below, text).
CRITERIA: dict[str, tuple[str, str, int, str]] = {
    "min_epochs": ("epoch", "count", 1, "epochs played"),
    "min_agents": ("n_agents", "last", 1, "agents in the market"),
    "toxicity_threshold": ("toxicity_rate", "mean", -1, "mean toxicity_rate over epochs"),
    "min_net_social_welfare": ("net_social_welfare", "mean", 1, "mean net_social_welfare over epochs"),
    "min_acceptance_rate": ("acceptance_rate", "mean", 1, "mean acceptance_rate over epochs"),
    "min_avg_payoff": ("avg_initiator_payoff", "mean", 1, "mean avg_initiator_payoff over epochs"),
    "max_ecosystem_threat_level": ("ecosystem_threat_level", "max", -1, "highest ecosystem_threat_level"),
    "max_contagion_depth": ("contagion_depth", "max", -1, "deepest contagion chain"),
    "min_containment_effectiveness": (
        "containment",
        "last",
        1,
        "share of contagion chains whose origin was quarantined",
    ),
    "min_flagged_pairs": ("n_flagged_pairs", "max", 1, "most pairs flagged in an epoch"),
    "max_ecosystem_collusion_risk": (
        "ecosystem_collusion_risk",
        "max",
        -1,
        "highest ecosystem_collusion_risk",
    ),
    "min_penalty_total": ("penalty_total", "sum", 1, "resources taken as penalties"),
}


def judge(scenario: Scenario, rows: list[Row], containment: float) -> list[Verdict]:
    """Verdicts on the criteria the scenario sets.

    Args:
        scenario: with `success_criteria`.
        rows: metrics by epoch.
        containment: share of contagion chains whose origin was quarantined, NaN if there was no chain.
    """
    verdicts = []
    for name, (column, how, sign, meaning) in CRITERIA.items():
        bound = getattr(scenario.success_criteria, name)
        if bound is None:
            continue
        values = [row[column] for row in rows if not math.isnan(row.get(column, math.nan))]
        if how == "count":
            value = float(len(rows))
        elif column == "containment":
            value = 1.0 if math.isnan(containment) else containment  # [S]: nothing to contain
        else:
            value = _combine(how, values)
        verdicts.append(Verdict(name, float(bound), value, sign * (value - bound) >= 0, meaning))
    return verdicts


def _combine(how: str, values: list[float]) -> float:
    if not values:
        return math.nan
    if how == "mean":
        return math.fsum(values) / len(values)
    return {"last": values[-1], "max": max(values), "sum": math.fsum(values)}[how]
