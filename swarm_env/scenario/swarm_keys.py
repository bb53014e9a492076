"""Names that SWARM 1.9.0 knows and swarm_env does not support yet, so that a refusal can say so by name.

Read off SWARM's scenario loader, its governance config and its scenario files. A test holds these sets
disjoint from what we support: a name leaves this file when its key works.
"""

from __future__ import annotations

from typing import Final


def _names(text: str, prefix: str = "") -> frozenset[str]:
    return frozenset(prefix + word for word in text.split())


#: Sections at the top of a scenario file.
SECTIONS: Final = _names(
    "awm contracts dynamic_toxicity evo_game kernel_oracle letta marketplace memory_tiers moltbook "
    "moltipedia perturbations resource_negotiation rivals scholar spawn tierra"
)

_GOVERNANCE: Final = {
    "adaptive": "governance_enabled incoherence_threshold use_behavioral_features",
    "adaptive_controller": "confidence_threshold contemplation_interval crystallization_min_epochs enabled "
    "evidence_window max_active_proposals max_degradation_tolerance min_evidence_epochs require_human_review",
    "attestation_heartbeat": "enabled interval reputation_penalty reset_on_epoch",
    "cascade_risk": "enabled p_threshold penalty_scale reputation_scale threshold window",
    "council_lever": "enabled penalty_multiplier review_probability",
    "decomposition": "enabled horizon_threshold",
    "diversity": "adversarial_fraction_min audit_cost correlation_penalty_rate correlation_window "
    "disagreement_tau enabled entropy_min entropy_penalty_rate error_threshold_p rho_max",
    "hardware_trust": "enabled propagation_enabled recovery_max_steps",
    "incoherence": "breaker_enabled breaker_threshold friction_enabled friction_rate",
    "loop_detector": "enabled freeze_duration freeze_threshold penalty_multiplier quality_threshold "
    "replan_threshold rework_threshold tool_misuse_threshold",
    "memory": "cross_verification_enabled cross_verification_k promotion_gate_enabled promotion_min_quality "
    "promotion_min_verifications provenance_enabled provenance_revert_penalty write_rate_limit_enabled "
    "write_rate_limit_per_epoch",
    "moderator": "enabled penalty_multiplier review_probability threshold_p",
    "moltbook": "challenge_difficulty challenge_enabled challenge_window_steps comment_cooldown_steps "
    "daily_comment_cap post_cooldown_steps rate_limit_enabled request_cap_per_step",
    "moltipedia": "daily_cap_enabled daily_policy_fix_cap no_self_fix page_cooldown_enabled "
    "page_cooldown_steps pair_cap_enabled pair_cap_max",
    "rbac": "enabled high_stakes_actions high_stakes_penalty_multiplier role_action_map "
    "security_clearance_required violation_penalty violation_reputation_penalty",
    "refinery": "enabled p_threshold",
    "resample": "compute_cost enabled evidence_decay evidence_rep_weight incrimination_threshold n_samples "
    "suspicion_threshold trajectory_analysis trajectory_window",
    "self_ensemble": "enabled samples",
    "self_evolution": "block_self_mod divergence_threshold enabled growth_freeze_duration max_growth_rate "
    "max_tools tool_risk_threshold",
    "self_modification": "enabled k_max_high k_max_low k_max_medium max_per_epoch tau_min_high tau_min_low "
    "tau_min_medium window_days",
    "sybil": "detection_enabled max_cluster_size penalty_multiplier realtime_penalty realtime_rate "
    "similarity_threshold",
    "transparency": "bonus_rate enabled threshold_p",
}

#: Keys of ``governance:``, by the lever whose name they begin with.
GOVERNANCE: Final = frozenset(name for lever, keys in _GOVERNANCE.items() for name in _names(keys, prefix=f"{lever}_"))

SIMULATION: Final = _names("max_actions_per_step observation_noise_probability observation_noise_std schedule_mode")
RATE_LIMITS: Final = frozenset(["bids_per_epoch", "bounties_per_epoch"])
OUTPUTS: Final = frozenset(["graph_memory_path"])

#: Keys of an entry of ``agents:``.
AGENT_GROUP: Final = _names("concordia council letta llm params strategy")

#: Keys of ``config:``, by the archetype that has them.
AGENT_CONFIG: Final = {
    "opportunistic": frozenset(["free_ride_probability", "payoff_threshold"]),
    "adversarial": frozenset(["aggression_level", "coordination_enabled"]),
}

#: Values of an agent's ``type:``, scripted and external.
AGENT_TYPES: Final = _names(
    "adversarial_ralph adversarial_retriever adversarial_synthesizer awm_agent cache_gamer "
    "cautious_reciprocator coding_agent collusive_editor collusive_verifier collusive_voter concordia_entity "
    "council crewai_adapter diligent_editor diligent_moltbook diligent_recorder fair_negotiator "
    "greedy_negotiator human_pretender hyperagent_self_mod ldt letta llm memory_poisoner modeling_adversary "
    "obfuscating point_farmer rain ralph_loop retriever river rivals_critic rivals_producer rlm "
    "self_optimizer skill_honest skill_opportunistic skillrl spam_bot strategic_negotiator swarms_adapter "
    "synthesizer threshold_dancer tierra vandal verifier work_regime"
)

#: Values of ``network.topology:``.
TOPOLOGIES: Final = frozenset(["custom"])

#: Keys of ``success_criteria:`` that SWARM checks, and some that its own scenario files carry.
SUCCESS_CRITERIA: Final = _names(
    "max_adversary_payoff max_avg_path_length max_infiltration_rate max_toxicity min_attack_displacement "
    "min_connected_components min_detection_rate min_quality_gap min_separation_quality "
    "min_welfare_delta"
)

#: Section path -> the keys there that only SWARM has.
KEYS: Final[dict[str, frozenset[str]]] = {
    "": SECTIONS,
    "governance": GOVERNANCE,
    "simulation": SIMULATION,
    "rate_limits": RATE_LIMITS,
    "outputs": OUTPUTS,
    "agents": AGENT_GROUP,
    "success_criteria": SUCCESS_CRITERIA,
}
