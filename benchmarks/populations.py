"""The scenarios that are timed: any number of agents, as shipped or with every rule switched on."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import swarm_env

WALTZ = "alignment_waltz_targeted_feedback"
#: Who sits in a market of 7, and again in the next 7 of a larger one.
SEATS = ("honest", "opportunistic", "honest", "deceptive", "adversarial", "honest", "opportunistic")
CONTACTS = 16  #: of an agent of a market that is larger than that; smaller ones are complete graphs

#: All nine levers, at values of the shipped scenarios, and gently enough that the market goes on trading.
ALL_LEVERS: dict[str, Any] = {
    "reputation_decay_rate": 0.95,
    "vote_normalization_enabled": True,
    "max_vote_weight_per_agent": 5.0,
    "bandwidth_cap": 10,
    "staking_enabled": True,
    "min_stake_to_participate": 10.0,
    "stake_slash_rate": 0.05,
    "transaction_tax_rate": 0.05,
    "transaction_tax_split": 0.6,
    "audit_enabled": True,
    "audit_probability": 0.2,
    "audit_penalty_multiplier": 2.0,
    "audit_threshold_p": 0.6,
    "circuit_breaker_enabled": True,
    "freeze_threshold_toxicity": 0.7,
    "freeze_threshold_violations": 3,
    "freeze_duration_epochs": 1,
    "collusion_detection_enabled": True,
    "collusion_realtime_penalty": True,
    "collusion_realtime_rate": 0.1,
    "security_enabled": True,
    "security_quarantine_threshold": 0.9,
    "security_realtime_penalty": True,
    "security_realtime_threshold": 0.4,
    "security_realtime_rate": 0.2,
}
NETWORK: dict[str, Any] = {"topology": "small_world", "params": {"k": CONTACTS, "p": 0.2}}
DYNAMIC: dict[str, Any] = {
    "dynamic": True,
    "edge_strengthen_rate": 0.1,
    "edge_decay_rate": 0.03,
    "min_edge_weight": 0.1,
}


def scenario(
    rules: str, agents: int, epochs: int | None = None, complete: bool = False, rich: bool = False
) -> swarm_env.Scenario:
    """A market of so many agents.

    Args:
        rules: "shipped" (the waltz scenario's levers) or "all" (nine levers, and a network that changes).
        agents: how many, at least 2.
        epochs: instead of the scenario's 20.
        rich: agents have resources without end, so that no stake or fine ever stops them.
        complete: everybody is in contact with everybody, however many they are.
    """
    data: dict[str, Any] = swarm_env.load_scenario(WALTZ).to_dict()
    seats = list(islice(cycle(SEATS), agents))
    data["agents"] = [{"type": kind, "count": seats.count(kind)} for kind in dict.fromkeys(seats)]
    data.pop("success_criteria", None)
    data.pop("outputs", None)
    if rules == "all":
        data["governance"] = ALL_LEVERS
    elif rules != "shipped":
        raise ValueError(f"rules are 'shipped' or 'all', not {rules!r}")
    if agents > CONTACTS + 1 and not complete:
        data["network"] = NETWORK | (DYNAMIC if rules == "all" else {})
    elif rules == "all":
        data["network"] = {"topology": "complete"} | DYNAMIC
    if rich:
        data["market"] = {**data.get("market", {}), "initial_resources": 1e9}
    if epochs is not None:
        data["simulation"] = {**data["simulation"], "n_epochs": epochs}
    return swarm_env.load_scenario(data)
