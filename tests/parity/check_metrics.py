"""Compare swarm_env.metrics with SWARM 1.9.0 on random tables; exit 1 beyond 1e-12.

    python -m tests.parity.check_metrics [--tables 3000] [--seed 0]

Where ours is NaN (undefined), SWARM must report its stand-in (0 or None). Metrics that SWARM's release lacks
are compared with a plain loop over the same rows, marked "loop". A coefficient of variation is compared
relative to its square, which is how rounding of a mean near 0 enters it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from swarm.core.payoff import PayoffConfig, SoftPayoffEngine
from swarm.metrics.reporters import MetricsReporter
from swarm.metrics.soft_metrics import SoftMetrics
from swarm.metrics.work_regime_metrics import compute_gini
from swarm.models.interaction import SoftInteraction

from swarm_env import metrics
from tests.parity.differences import Differences
from tests.parity.random_tables import Table, as_swarm, random_payoff, random_table
from tests.parity.report_cases import compare_collusion, compare_replays, compare_security


def soft_values(rows: list[SoftInteraction], payoff: dict[str, float]) -> dict[str, float | None]:
    """Everything that SWARM's SoftMetrics and MetricsReporter report, under our names."""
    soft = SoftMetrics(SoftPayoffEngine(PayoffConfig(**payoff)))
    report = MetricsReporter(PayoffConfig(**payoff)).summary(rows)
    participation = soft.participation_by_quality(rows)
    values: dict[str, float | None] = {
        "total_interactions": report.total_interactions,
        "accepted_interactions": report.accepted_count,
        "rejected_interactions": report.rejected_count,
        "acceptance_rate": report.acceptance_rate,
        "toxicity_hard": report.toxicity_hard,
        "average_quality_accepted": soft.average_quality(rows, accepted_only=True),
        "participation_high_quality": participation["high_quality_acceptance"],
        "participation_low_quality": participation["low_quality_acceptance"],
    }
    for name in (
        *("toxicity_rate", "toxicity_rate_all", "quality_gap", "spread", "conditional_loss_initiator"),
        *("conditional_loss_counterparty", "average_quality", "quality_variance", "quality_std"),
        *("uncertain_fraction", "payoff_variance_initiator", "payoff_variance_counterparty", "brier_score"),
        *("log_loss", "expected_calibration_error", "calibration_error", "discrimination_auc"),
    ):
        values[name] = getattr(soft, name)(rows)
    welfare = soft.welfare_metrics(rows)
    for name in ("total_welfare", "net_social_welfare", "avg_initiator_payoff", "avg_counterparty_payoff"):
        values[name] = welfare[name]
    return values | soft.coefficient_of_variation(rows)


def loop_values(table: Table, rows: list[SoftInteraction], payoff: dict[str, float]) -> dict[str, float]:
    """By plain loops: what SWARM's release lacks (its repository has the first four)."""
    engine, n = SoftPayoffEngine(PayoffConfig(**payoff)), len(rows)
    accepted = [row for row in rows if row.accepted]
    rejected = [row for row in rows if not row.accepted]
    alpha, average = len(accepted) / n, sum(row.p for row in rows) / n
    sigma = math.sqrt(sum((row.p - average) ** 2 for row in rows) / n)
    gap, correlation = 0.0, 0.0
    if accepted and rejected:
        gap = sum(r.p for r in accepted) / len(accepted) - sum(r.p for r in rejected) / len(rejected)
        covariance = sum((row.p - average) * (row.accepted - alpha) for row in rows) / n
        correlation = covariance / (sigma * math.sqrt(alpha * (1 - alpha))) if sigma > 1e-12 else 0.0
    payoffs: dict[str, float] = defaultdict(float)
    for row in accepted:
        payoffs[row.initiator] += engine.payoff_initiator(row)
        payoffs[row.counterparty] += engine.payoff_counterparty(row)
    answers = [bool(answer) for answer in table["responded"]]
    sound = [row for row, answered in zip(rows, answers, strict=True) if answered and row.p >= 0.5]
    attacks = [row for row, answered in zip(rows, answers, strict=True) if answered and row.p < 0.5]
    values = {
        "quality_correlation": correlation,
        "selection_saturation": abs(gap) * math.sqrt(alpha * (1 - alpha)) / sigma if sigma > 1e-12 else 0.0,
        "baseline_harm": 1 - average,
        "selection_credit": (1 - alpha) * gap,
        "incoherence_index": sum(1 - abs(2 * row.p - 1) for row in rows) / n,
        "governance_cost": sum(row.c_a + row.c_b for row in rows),
        "expired_interactions": answers.count(False),
        "attack_success_rate": sum(r.accepted for r in attacks) / len(attacks) if attacks else 0.0,
        "overrefusal_rate": sum(not r.accepted for r in sound) / len(sound) if sound else 0.0,
    }
    if all(value >= 0 for value in payoffs.values()) and payoffs:
        values["payoff_gini"] = compute_gini(list(payoffs.values()) + [0.0] * (table["agents"] - len(payoffs)))
    return values


def compare_soft(seen: Differences, rng: np.random.Generator, table: Table, agents: int) -> None:
    payoff, rows = random_payoff(rng), as_swarm(table)
    table = {**table, "responded": table["accepted"] | (rng.random(len(rows)) < 0.8)}
    ours = metrics.compute(table, payoff, num_agents=agents)
    for name, theirs in soft_values(rows, payoff).items():
        cv = name.startswith("cv_") and not math.isnan(ours[name])
        seen.add(name, ours[name], theirs, max(1.0, ours[name] ** 2) if cv else 1.0)
    for name, value in loop_values({**table, "agents": agents}, rows, payoff).items():
        seen.add(f"{name} (loop)", ours[name], value)
    made, soft = metrics.tabulate(table, payoff), SoftMetrics()
    seen.add_arrays(
        "quality_distribution",
        metrics.quality_distribution(made).counts,
        _third(soft.quality_distribution(rows)),
    )
    curve = soft.calibration_curve(rows) or [(0.5, 0.0, 0)] * 10
    filled = np.array(_third(curve)) > 0
    ours_curve = metrics.calibration_curve(made)
    seen.add_arrays("calibration_curve", ours_curve.mean_p[filled], np.array([c[0] for c in curve])[filled])
    seen.add_arrays("calibration_curve", ours_curve.fraction_positive[filled], np.array([c[1] for c in curve])[filled])
    seen.add_arrays("calibration_curve", ours_curve.number, _third(curve))


def _third(rows: list[tuple[float, float, int]]) -> list[int]:
    return [row[2] for row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, seen = np.random.default_rng(options.seed), Differences()
    compare: list[Callable[..., None]] = [compare_soft, compare_collusion, compare_security]
    for _ in range(options.tables):
        table, agents = random_table(rng)
        for one in compare:
            one(seen, rng, table, agents)
        compare_replays(seen, rng)
    return 0 if seen.report() else 1


if __name__ == "__main__":
    sys.exit(main())
