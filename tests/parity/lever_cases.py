"""The rules of our levers, run as plain Python, against SWARM's levers on random inputs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from swarm.env.state import EnvState
from swarm.governance.audits import RandomAuditLever
from swarm.governance.circuit_breaker import CircuitBreakerLever
from swarm.governance.collusion import CollusionPenaltyLever
from swarm.governance.config import GovernanceConfig
from swarm.governance.reputation import ReputationDecayLever, VoteNormalizationLever
from swarm.governance.security import SecurityLever
from swarm.governance.taxes import TransactionTaxLever
from swarm.metrics.collusion import CollusionReport
from swarm.metrics.security import SecurityReport
from swarm.models.agent import AgentState
from swarm.models.interaction import SoftInteraction

from swarm_env.core import effect as effects
from swarm_env.core.levers import (
    audit,
    circuit_breaker,
    collusion,
    reputation_decay,
    security,
    transaction_tax,
    vote_normalization,
)
from swarm_env.core.types import WINDOW
from tests.parity.assessment_cases import compare_assessments
from tests.parity.differences import Differences
from tests.parity.score_cases import compare_scores

FIELDS = ("c_a", "c_b", "reputation", "resources")


def market(config: GovernanceConfig, *agents: Any, epoch: int = 0, **more: float) -> Any:
    """As much of a market as a lever's rule reads."""
    params = SimpleNamespace(**config.model_dump(), s_plus=2.0, s_minus=1.0, **more)
    return SimpleNamespace(
        params=params, agents=agents, books=agents, row=SimpleNamespace(step_key=np.uint64(1), epoch=epoch)
    )


def random_dealing(rng: np.random.Generator) -> tuple[SoftInteraction, Any]:
    """One interaction, as SWARM and as our rules see it."""
    terms = {"p": float(rng.random()), "tau": float(rng.normal()), "accepted": bool(rng.random() < 0.7)}
    misuse, rejections = (int(n) for n in rng.integers(0, 4, 2))
    theirs = SoftInteraction(
        initiator="a", counterparty="b", tool_misuse_flags=misuse, verifier_rejections=rejections, **terms
    )
    return theirs, SimpleNamespace(counterparty=1, misuse=misuse, rejections=rejections, **terms)


def state(**reputations: float) -> EnvState:
    made = EnvState()
    for name, reputation in reputations.items():
        made.agents[name] = AgentState(agent_id=name, reputation=reputation)
    return made


def add_effect(seen: Differences, name: str, ours: effects.Effect, theirs: Any, agent: str = "a") -> None:
    """Costs and changes that an effect asks for, all under one name."""
    expected = (
        theirs.cost_a, theirs.cost_b, theirs.reputation_deltas.get(agent, 0.0), theirs.resource_deltas.get(agent, 0.0)
    )  # fmt: skip
    for field, value in zip(FIELDS, expected, strict=True):
        seen.add(name, getattr(ours, field), value)


def compare_simple(seen: Differences, rng: np.random.Generator) -> None:
    """Tax, audit (at probability 1), reputation decay, vote weight."""
    rate, split, threshold, decay = (float(x) for x in rng.random(4))
    config = GovernanceConfig(
        transaction_tax_rate=rate, transaction_tax_split=split, audit_enabled=True, audit_probability=1.0,
        audit_threshold_p=threshold, audit_penalty_multiplier=float(rng.uniform(0, 4)), reputation_decay_rate=decay,
        vote_normalization_enabled=True, max_vote_weight_per_agent=float(rng.uniform(0.5, 20)),
    )  # fmt: skip
    theirs, deal = random_dealing(rng)
    reputation, votes, known = float(rng.normal()), int(rng.integers(0, 60)), state(a=0.0, b=0.0)
    ours = market(config, SimpleNamespace(reputation=reputation, votes=votes))
    tax = TransactionTaxLever(config).on_interaction(theirs, known)
    add_effect(seen, "tax", transaction_tax.on_interaction(ours, 0, deal), tax)
    fine = RandomAuditLever(config, 0).on_interaction(theirs, known)
    add_effect(seen, "audit", audit.on_interaction(ours, 0, deal), fine)
    decayed = ReputationDecayLever(config).on_epoch_start(state(a=reputation), 1)
    add_effect(seen, "decay", reputation_decay.epoch_start(ours, 0), decayed)
    weight = VoteNormalizationLever(config).compute_vote_weight("a", votes)
    seen.add("vote weight", vote_normalization.vote_weight(ours.params, ours.agents[0]), weight)


def compare_breaker(seen: Differences, rng: np.random.Generator) -> None:
    """Five epochs of one agent's interactions: violations, freezes and pardons, interaction by interaction."""
    config = GovernanceConfig(
        circuit_breaker_enabled=True, freeze_threshold_toxicity=float(rng.uniform(0.3, 0.7)),
        freeze_threshold_violations=int(rng.integers(1, 6)), freeze_duration_epochs=int(rng.integers(1, 4)),
    )  # fmt: skip
    lever, known = CircuitBreakerLever(config), state(a=0.0)
    agent = SimpleNamespace(recent=[0.0] * WINDOW, initiated=0, violations=0, frozen_until=0)
    for epoch in range(5):
        known.current_epoch = epoch
        ours, freed = market(config, agent, epoch=epoch), lever.on_epoch_start(known, epoch)
        pardon = circuit_breaker.epoch_start(ours, 0).pardon
        seen.add("breaker pardon", pardon, float("a" in freed.agents_to_unfreeze))
        if pardon:
            agent.violations = agent.frozen_until = 0
        for _ in range(int(rng.integers(0, 8))):
            theirs, deal = random_dealing(rng)
            agent.recent[agent.initiated % WINDOW] = 1.0 - deal.p
            agent.initiated += 1
            mine, other = circuit_breaker.on_interaction(ours, 0, deal), lever.on_interaction(theirs, known)
            agent.violations += mine.violation
            if mine.freeze:
                agent.frozen_until = epoch + mine.freeze
            seen.add("breaker violations", agent.violations, other.details["violations"])
            seen.add("breaker freeze", float(mine.freeze > 0), float("a" in other.agents_to_freeze))
        free = float(lever.can_agent_act("a", known))
        seen.add("breaker may act", float(epoch >= agent.frozen_until), free)


def compare_collusion_fines(seen: Differences, rng: np.random.Generator) -> None:
    """What a given risk costs: at epoch start, and in each dealing of two flagged agents."""
    config = GovernanceConfig(
        collusion_detection_enabled=True, collusion_realtime_penalty=True, collusion_min_interactions=1,
        collusion_score_threshold=float(rng.uniform(0.1, 0.9)), collusion_realtime_rate=float(rng.random()),
        collusion_penalty_multiplier=float(rng.uniform(0, 3)),
    )  # fmt: skip
    risks, lever = [float(x) for x in rng.random(2)], CollusionPenaltyLever(config)
    report = CollusionReport(agent_collusion_risk=dict(zip("ab", risks, strict=True)))
    lever._latest_report = report
    lever._detector.analyze = lambda *_: report  # type: ignore[method-assign]
    theirs, deal = random_dealing(rng)
    ours = market(config, *(SimpleNamespace(collusion_risk=risk) for risk in risks))
    add_effect(
        seen,
        "collusion realtime",
        collusion.on_interaction(ours, 0, deal),
        lever.on_interaction(theirs, state(a=0.0, b=0.0)),
    )
    fine = lever.on_epoch_start(state(a=0.0, b=0.0), 1)
    add_effect(seen, "collusion fine", collusion.epoch_start(ours, 0), fine)


def compare_security_fines(seen: Differences, rng: np.random.Generator) -> None:
    """What a given threat costs and whether it is quarantined; the realtime score of one interaction."""
    config = GovernanceConfig(
        security_enabled=True, security_realtime_penalty=True, security_min_interactions=1,
        security_realtime_threshold=float(rng.random()), security_realtime_rate=float(rng.random()),
        security_penalty_threshold=float(rng.random()), security_quarantine_threshold=float(rng.random()),
        security_penalty_multiplier=float(rng.uniform(0, 3)),
    )  # fmt: skip
    threat, lever = float(rng.random()), SecurityLever(config, 0)
    report = SecurityReport(agent_threat_scores={"a": threat})
    lever._latest_report = report
    lever._analyzer.analyze = lambda *_: report  # type: ignore[method-assign]
    theirs, deal = random_dealing(rng)
    ours = market(config, SimpleNamespace(threat=threat))
    realtime = lever.on_interaction(theirs, state(a=0.0, b=0.0))
    add_effect(seen, "security realtime", security.on_interaction(ours, 0, deal), realtime)
    fine, mine = lever.on_epoch_start(state(a=0.0), 1), security.epoch_start(ours, 0)
    add_effect(seen, "security fine", mine, fine)
    seen.add("security quarantine", float(mine.quarantine > 0), float("a" in fine.agents_to_freeze))


def compare_levers(seen: Differences, rng: np.random.Generator, cases: int) -> None:
    """All of them; the assessments of whole histories are dearer, so there are fewer."""
    for _ in range(cases):
        compare_simple(seen, rng)
        compare_collusion_fines(seen, rng)
        compare_security_fines(seen, rng)
        compare_scores(seen, rng)
    for _ in range(max(1, cases // 10)):
        compare_breaker(seen, rng)
        compare_assessments(seen, rng)
