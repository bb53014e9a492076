"""Collusion and security reports, incoherence over replays: ours against SWARM's on random interactions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from swarm.metrics.collusion import CollusionDetector
from swarm.metrics.incoherence import DecisionRecord, IncoherenceMetrics, classify_dual_failure_modes
from swarm.metrics.incoherence import illusion_delta as swarm_illusion
from swarm.metrics.security import SecurityAnalyzer, ThreatType

from swarm_env import metrics
from tests.parity.differences import Differences
from tests.parity.random_tables import Table, as_swarm


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
        seen.add("group internal_rate", float(ours.groups.internal_rate[place]), group.internal_interaction_rate)
    flagged = {
        (f"agent_{low:02d}", f"agent_{high:02d}"): i for i, (low, high) in enumerate(zip(*ours.pairs[:2], strict=True))
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
