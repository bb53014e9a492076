"""Compare swarm_env.metrics with SWARM 1.9.0 on random tables; exit 1 beyond 1e-12.

Run with an interpreter that has swarm-safety and numpy, from the repository root:

    PYTHONPATH=. python tests/parity/check_metrics.py [--tables 3000] [--seed 0]

Where ours is NaN (undefined), SWARM must report its stand-in (0 or None). Metrics that SWARM's release lacks
are compared with a plain loop over the same rows, marked "loop". A coefficient of variation is compared
relative to its square, which is how rounding of a mean near 0 enters it. "nonzero" counts the comparisons
that say most.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from swarm.core.payoff import PayoffConfig, SoftPayoffEngine
from swarm.metrics.collusion import CollusionDetector
from swarm.metrics.incoherence import (
    DecisionRecord,
    IncoherenceMetrics,
    classify_dual_failure_modes,
)
from swarm.metrics.incoherence import illusion_delta as swarm_illusion
from swarm.metrics.reporters import MetricsReporter
from swarm.metrics.security import SecurityAnalyzer, ThreatType
from swarm.metrics.soft_metrics import SoftMetrics
from swarm.metrics.work_regime_metrics import compute_gini
from swarm.models.interaction import SoftInteraction

from swarm_env import metrics

TOLERANCE = 1e-12
STEPS_PER_EPOCH = 10
SECONDS_PER_STEP = 60 / STEPS_PER_EPOCH  # SWARM's minute is our epoch
Table = dict[str, Any]


class Differences:
    """The worst difference of each metric, and how often it was compared or undefined."""

    def __init__(self) -> None:
        self.worst: dict[str, float] = defaultdict(float)
        self.compared: dict[str, int] = defaultdict(int)
        self.nonzero: dict[str, int] = defaultdict(int)
        self.undefined: dict[str, int] = defaultdict(int)

    def add(self, name: str, ours: float, theirs: float | None, scale: float = 1.0) -> None:
        if math.isnan(ours):
            self.undefined[name] += 1
            self.worst[name] = max(self.worst[name], abs(theirs or 0.0))
        elif theirs is None:
            self.worst[name] = math.inf
        else:
            self.compared[name] += 1
            self.nonzero[name] += theirs != 0
            self.worst[name] = max(self.worst[name], 0.0 if ours == theirs else abs(ours - theirs) / scale)

    def add_arrays(self, name: str, ours: Any, theirs: Any) -> None:
        ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
        if ours.shape != theirs.shape:
            self.worst[name] = math.inf
            return
        for one, other in zip(ours.ravel(), theirs.ravel(), strict=True):
            self.add(name, float(one), float(other))

    def report(self) -> bool:
        print(f"{'metric':<36}{'max difference':>16}{'compared':>12}{'nonzero':>12}{'undefined':>12}")
        for name in sorted(self.worst):
            flag = "" if self.worst[name] <= TOLERANCE else "  <-- beyond 1e-12"
            counts = f"{self.compared[name]:>12}{self.nonzero[name]:>12}{self.undefined[name]:>12}"
            print(f"{name:<36}{self.worst[name]:>16.3e}{counts}{flag}")
        return all(worst <= TOLERANCE for worst in self.worst.values())


def random_payoff(rng: np.random.Generator) -> dict[str, float]:
    if rng.random() < 0.3:
        return {"s_plus": 2, "s_minus": 1, "h": 2, "theta": 0.5, "rho_a": 0, "rho_b": 0, "w_rep": 1}
    low, high = [0, 0, 0, 0, 0, 0, 0], [4, 3, 4, 1, 1, 1, 2]
    return dict(
        zip(
            ("s_plus", "s_minus", "h", "theta", "rho_a", "rho_b", "w_rep"),
            rng.uniform(low, high),
            strict=True,
        )
    )


def random_table(rng: np.random.Generator) -> tuple[Table, int]:
    """n interactions among N agents: all qualities, or mostly bad, or on a grid that hits every threshold."""
    n, agents = int(rng.integers(4, 60)), int(rng.integers(2, 9))
    initiator = rng.integers(0, agents, n)
    p = rng.random(n) ** rng.choice([0.5, 1.0, 4.0])
    if rng.random() < 0.25:
        p = np.round(p, 1)
    money = rng.choice([0.0, 0.5, 2.0])
    v = np.where(rng.random(n) < p, 1.0, -1.0)
    table = {
        "initiator": initiator,
        "counterparty": (initiator + rng.integers(1, agents, n)) % agents,
        "p": p,
        "accepted": rng.random(n) < rng.choice([0.0, 0.3, 0.7, 0.95, 1.0], p=[0.05, 0.2, 0.4, 0.3, 0.05]),
        "tau": money * rng.normal(size=n),
        "c_a": money * rng.random(n),
        "c_b": money * rng.random(n) * rng.integers(0, 2),
        "r_a": money * rng.normal(size=n),
        "r_b": money * rng.normal(size=n),
        "misuse": rng.integers(0, rng.integers(1, 4), n),
        "rejections": rng.integers(0, rng.integers(1, 4), n),
        "v": np.where(rng.random(n) < rng.choice([0.0, 0.5, 1.0]), v, np.nan),
        "step": rng.permutation(np.cumsum(rng.integers(1, 4, n))),
    }
    return table, agents


def as_swarm(table: Table) -> list[SoftInteraction]:
    start = datetime(2026, 1, 1)
    return [
        SoftInteraction(
            interaction_id=str(i),
            timestamp=start + timedelta(seconds=float(table["step"][i]) * SECONDS_PER_STEP),
            initiator=f"agent_{table['initiator'][i]:02d}",
            counterparty=f"agent_{table['counterparty'][i]:02d}",
            accepted=bool(table["accepted"][i]),
            verifier_rejections=int(table["rejections"][i]),
            tool_misuse_flags=int(table["misuse"][i]),
            ground_truth=None if np.isnan(table["v"][i]) else int(table["v"][i]),
            **{name: float(table[name][i]) for name in ("p", "tau", "c_a", "c_b", "r_a", "r_b")},
        )
        for i in range(len(table["p"]))
    ]


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
        values["payoff_gini"] = compute_gini(
            list(payoffs.values()) + [0.0] * (table["agents"] - len(payoffs))
        )
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
    seen.add_arrays(
        "calibration_curve", ours_curve.fraction_positive[filled], np.array([c[1] for c in curve])[filled]
    )
    seen.add_arrays("calibration_curve", ours_curve.number, _third(curve))


def _third(rows: list[tuple[float, float, int]]) -> list[int]:
    return [row[2] for row in rows]


def compare_collusion(seen: Differences, rng: np.random.Generator, table: Table, agents: int) -> None:
    settings = metrics.CollusionSettings()
    if rng.random() < 0.6:
        settings = metrics.CollusionSettings(
            frequency_threshold=float(rng.uniform(0.2, 3)),
            min_interactions=int(rng.integers(1, 5)),
            score_threshold=float(rng.uniform(0.05, 0.6)),
        )
    theirs = CollusionDetector(
        frequency_threshold=settings.frequency_threshold,
        min_interactions_for_analysis=settings.min_interactions,
        collusion_score_threshold=settings.score_threshold,
    ).analyze(as_swarm(table), names := [f"agent_{i:02d}" for i in range(agents)])
    ours = metrics.collusion_report(metrics.tabulate(table, num_agents=agents), settings)
    seen.add("ecosystem_collusion_risk", ours.ecosystem_collusion_risk, theirs.ecosystem_collusion_risk)
    seen.add("n_flagged_pairs", ours.n_flagged_pairs, theirs.n_flagged_pairs)
    seen.add("n_flagged_groups", ours.n_flagged_groups, theirs.n_flagged_groups)
    seen.add("max_pair_score", ours.max_pair_score, theirs.max_pair_collusion_score)
    seen.add_arrays("agent_risk", ours.agent_risk, [theirs.agent_collusion_risk[name] for name in names])
    for group in theirs.suspicious_groups:
        place = int(ours.groups.member[int(min(group.members)[-2:])])
        seen.add("group score", float(ours.groups.score[place]), group.collusion_score)
        seen.add(
            "group internal_rate", float(ours.groups.internal_rate[place]), group.internal_interaction_rate
        )
    flagged = {
        (f"agent_{low:02d}", f"agent_{high:02d}"): i
        for i, (low, high) in enumerate(zip(*ours.pairs[:2], strict=True))
    }
    for pair in theirs.suspicious_pairs:
        place = flagged[pair.agent_a, pair.agent_b]
        seen.add("pair score", float(ours.pairs.score[place]), pair.collusion_score)
        seen.add("pair correlation", float(ours.pairs.correlation[place]), pair.benefit_correlation)


def compare_security(seen: Differences, rng: np.random.Generator, table: Table, agents: int) -> None:
    settings = metrics.SecuritySettings()
    if rng.random() < 0.6:
        settings = metrics.SecuritySettings(
            injection_threshold=float(rng.uniform(0, 0.8)),
            manipulation_threshold=float(rng.uniform(0, 0.8)),
            laundering_trust_gap=float(rng.uniform(0, 0.5)),
            contagion_velocity=float(rng.uniform(0.05, 4)),
            min_chain_length=int(rng.integers(2, 5)),
        )
    trust, names = rng.normal(0.5, 0.5, agents), [f"agent_{i:02d}" for i in range(agents)]
    analyzer = SecurityAnalyzer(
        settings.injection_threshold,
        settings.manipulation_threshold,
        settings.laundering_trust_gap,
        settings.contagion_velocity,
        settings.min_chain_length,
    )
    analyzer.set_agent_trust_scores(dict(zip(names, trust.tolist(), strict=True)))
    theirs = analyzer.analyze(as_swarm(table), names)
    ours = metrics.security_report(metrics.tabulate(table, num_agents=agents, trust=trust), settings)
    seen.add("active_threats", ours.active_threats, theirs.active_threat_count)
    seen.add("injection_rate", ours.injection_rate, theirs.prompt_injection_rate)
    seen.add("ecosystem_threat_level", ours.ecosystem_threat_level, theirs.ecosystem_threat_level)
    for name in ("contagion_depth", "manipulation_rate", "laundering_rate", "exfiltration_attempts"):
        seen.add(name, getattr(ours, name), getattr(theirs, name))
    scores = [min(1.0, theirs.agent_threat_scores[name]) for name in names]  # ours on purpose: at most 1
    seen.add_arrays("agent_threat", ours.agent_threat, scores)
    chains = [c for c in theirs.threat_indicators if c.threat_type is ThreatType.CONTAGION]
    seen.add("contagion chains", len(ours.contagion.depth), len(chains))


def compare_replays(seen: Differences, rng: np.random.Generator) -> None:
    decisions, replays = int(rng.integers(1, 6)), int(rng.integers(1, 8))
    actions = rng.integers(-1, int(rng.integers(1, 4)), (decisions, replays))
    benchmark = rng.integers(0, 3, decisions)
    ours = metrics.replay_incoherence(actions, benchmark)

    class Benchmark:
        def action_for(self, decision_id: str, task_family: str, metadata: Any) -> int:
            return int(benchmark[int(decision_id)])

    for d in range(decisions):
        records = [
            DecisionRecord(str(d), "market", k, None if action < 0 else int(action))
            for k, action in enumerate(actions[d])
        ]
        theirs = IncoherenceMetrics(Benchmark()).compute_for_decision(records)
        for name in ("disagreement", "error", "incoherence"):
            seen.add(f"replay {name}", float(getattr(ours, name)[d]), getattr(theirs, name))
    p, index = rng.random(5), rng.random(12)
    defined = [d for d in ours.disagreement.tolist() if not math.isnan(d)]
    if defined:
        gap = swarm_illusion(p.tolist(), defined)
        seen.add("illusion_delta", metrics.illusion_delta(p, ours.disagreement).delta, gap.illusion_delta)
    harmful, adversarial = rng.random(12) < 0.5, rng.random(12) < 0.5
    incidents = [
        {"harmful": h, "agent_type": "adversarial" if a else "honest", "incoherence_index": i}
        for h, a, i in zip(harmful, adversarial, index, strict=True)
    ]
    failures, known = (
        metrics.dual_failures(harmful, adversarial, index),
        classify_dual_failure_modes(incidents),
    )
    seen.add("dual_failures ratio", failures.ratio, known.coherent_to_incoherent_ratio)
    seen.add("coherent_adversarial", failures.coherent_adversarial, known.coherent_adversarial_incidents)
    seen.add("incoherent_benign", failures.incoherent_benign, known.incoherent_benign_incidents)


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
