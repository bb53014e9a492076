"""What several tests share: a scenario with every lever awake, and the bytes of all that a run shows."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from swarm_env.compile import compile_scenario
from swarm_env.scenario import Scenario, load_scenario

#: Every lever on, sensitive enough to act within a few epochs; every archetype present; a network that changes.
RICH: dict[str, Any] = {
    "scenario_id": "rich",
    "agents": [
        {"type": "honest", "count": 3},
        {"type": "opportunistic", "count": 2},
        {"type": "deceptive", "count": 2},
        {"type": "adversarial", "count": 2},
        {"type": "cautious", "count": 1},
        {"type": "adaptive_adversary", "count": 1},
    ],
    "governance": {
        "reputation_decay_rate": 0.95,
        "vote_normalization_enabled": True,
        "max_vote_weight_per_agent": 4.0,
        "bandwidth_cap": 8,
        "staking_enabled": True,
        "min_stake_to_participate": 85.0,
        "stake_slash_rate": 0.05,
        "transaction_tax_rate": 0.05,
        "transaction_tax_split": 0.6,
        "audit_enabled": True,
        "audit_probability": 0.3,
        "audit_penalty_multiplier": 1.0,
        "audit_threshold_p": 0.6,
        "circuit_breaker_enabled": True,
        "freeze_threshold_toxicity": 0.5,
        "freeze_threshold_violations": 3,
        "freeze_duration_epochs": 1,
        "collusion_detection_enabled": True,
        "collusion_frequency_threshold": 1.0,
        "collusion_correlation_threshold": 0.5,
        "collusion_score_threshold": 0.25,
        "collusion_penalty_multiplier": 0.1,
        "collusion_realtime_penalty": True,
        "collusion_realtime_rate": 0.1,
        "security_enabled": True,
        "security_penalty_threshold": 0.1,
        "security_quarantine_threshold": 0.75,
        "security_penalty_multiplier": 0.1,
        "security_realtime_penalty": True,
        "security_realtime_threshold": 0.3,
    },
    "simulation": {"n_epochs": 8, "steps_per_epoch": 10, "seed": 3},
    "rate_limits": {"posts_per_epoch": 2, "interactions_per_step": 2, "votes_per_epoch": 3, "tasks_per_epoch": 1},
    "payoff": {"rho_a": 0.1, "rho_b": 0.1},
    "network": {
        "topology": "small_world",
        "params": {"k": 6, "p": 0.3},
        "dynamic": True,
        "edge_strengthen_rate": 0.05,
        "edge_decay_rate": 0.25,
        "min_edge_weight": 0.15,
        "reputation_disconnect_threshold": -0.95,
    },
}
SEEDS = 6


def shown(scenario: Scenario, seeds: int = SEEDS) -> str:
    """Hash of everything a run of several environments shows: what happened, and what a learner and an overseer see.

    The first agent is a learner that accepts everything, posts, and proposes deceptively in turn.
    """
    compiled = compile_scenario(scenario, scenario.agent_names[0])
    state, view = compiled.allocate(seeds)
    state.rows["seed"] = np.arange(seeds)
    compiled.reset(state, view, 0, seeds)
    digest = hashlib.sha256()
    action = np.zeros((seeds, 1, len(compiled.nvec)), dtype=np.int64)
    for step in range(scenario.num_steps):
        action[:, :, : compiled.inbox] = view.mask[:, :, 1 : 2 * compiled.inbox : 2]
        action[:, 0, compiled.inbox :] = (step % 3, step % compiled.peers, 2)
        compiled.advance(state, view, action, 0, seeds)
        outcomes, deals, settled = state.outcomes, state.deals, state.agents["settled"]
        digest.update(view.reward.tobytes() + outcomes["verb"].tobytes() + outcomes["weight"].tobytes())
        for name in ("accepted", "p", "c_a", "c_b", "signal", "payoff_a"):
            digest.update(np.where(settled, deals[name], 0).tobytes())
        digest.update(view.observation.tobytes() + view.mask.tobytes() + view.info.tobytes())
        digest.update(compiled.ledger(state).tobytes() + compiled.global_state(state).tobytes())
    return digest.hexdigest()


def rich(**sections: Any) -> Scenario:
    """RICH with some sections' keys changed: rich(governance={"bandwidth_cap": 3}). None leaves a key out."""
    data = {key: dict(value) if isinstance(value, dict) else value for key, value in RICH.items()}
    for section, changes in sections.items():
        if isinstance(changes, dict):
            changes = {key: value for key, value in {**data.get(section, {}), **changes}.items() if value is not None}
        data[section] = changes
    return load_scenario(data)
