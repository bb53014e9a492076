"""What is seen, by name: the whitelist of all that agents and overseers get to know. `observe.py` writes it.

Latent p, conduct, archetype and what a proposal will extract are in no feature of an agent. The ledger features are
for overseers alone.
"""

from __future__ import annotations

from typing import NamedTuple

from swarm_env.core import governance

SIGNAL_BOUND = 4.0  #: signals and readings are clipped to +-4 (noise is unbounded, spaces are not)


class Feature(NamedTuple):
    """One number of an observation: its range and what it says."""

    low: float
    high: float
    description: str


#: Of the agent itself and the market, in the order of `_write_own`.
OWN: dict[str, Feature] = {
    "reputation": Feature(-1, 1, "own reputation"),
    "resources": Feature(0, 1, "r/(r + initial resources)"),
    "frozen": Feature(0, 1, "frozen or quarantined"),
    "quarantined": Feature(0, 1, "quarantined by security control"),
    "may_act": Feature(0, 1, "every lever lets it act"),
    "posts_left": Feature(0, 1, "share of the epoch's posts left"),
    "votes_left": Feature(0, 1, "share of the epoch's votes left"),
    "tasks_left": Feature(0, 1, "share of the epoch's tasks left"),
    "actions_left": Feature(0, 1, "share of the bandwidth cap left, 1 without a cap"),
    "epoch": Feature(0, 1, "epochs over, as a share"),
    "step": Feature(0, 1, "steps of the epoch over, as a share"),
    "market_toxicity": Feature(0, 1, "running mean of 1-p over accepted interactions"),
    "market_mean_p": Feature(0, 1, "running mean of p over all interactions"),
}
#: Of each proposal in the inbox, oldest first; zeros in an empty slot. In the order of `_write_inbox`.
INBOX: dict[str, Feature] = {
    "present": Feature(0, 1, "the slot holds a proposal"),
    "signal": Feature(-SIGNAL_BOUND, SIGNAL_BOUND, "surface signal: v_hat + bias + noise"),
    "reputation": Feature(-1, 1, "the initiator's reputation"),
    "trust": Feature(0, 1, "own trust in the initiator"),
}
#: Of each contact in a peer slot; zeros in an empty slot. In the order of `_write_peers`.
PEER: dict[str, Feature] = {
    "present": Feature(0, 1, "the slot holds a contact"),
    "reputation": Feature(-1, 1, "its reputation"),
    "trust": Feature(0, 1, "own trust in it"),
    "frozen": Feature(0, 1, "it is frozen or quarantined"),
}
#: For overseers, of each proposal in an inbox. In the order of `_write_ledger`.
LEDGER: dict[str, Feature] = {
    "reading": Feature(-SIGNAL_BOUND, SIGNAL_BOUND, "an independent reading of v_hat"),
    "mean_p": Feature(0, 1, "mean p of what the initiator has initiated, .5 if nothing"),
    "failed_audits": Feature(0, 1, "n/(n+1) of the initiator's failed audits"),
    "violations": Feature(0, 1, "n/(n+1) of its breaker violations"),
    "collusion_risk": Feature(0, 1, "its collusion risk"),
    "threat": Feature(0, 1, "its threat score"),
}
#: Everything that anybody gets to see, by scope.
FEATURES: dict[str, dict[str, Feature]] = {"own": OWN, "inbox": INBOX, "peer": PEER, "ledger": LEDGER}


#: Levers whose costs have a column in infos: those that say `CHARGES`, by position in LEVERS.
CHARGING: tuple[int, ...] = tuple(
    k for k, lever in enumerate(governance.LEVERS.values()) if getattr(lever, "CHARGES", False)
)
#: What a step did to a learner, for `infos`: not part of any observation. In the order of `_write_info`.
INFO: tuple[str, ...] = (
    "payoff_initiator", "payoff_counterparty", "task_pay", "rejected_cost", "penalty",
    "initiated", "initiated_accepted", "expired", "received", "received_accepted",
    "deal_p", "deal_tau", "deal_payoff", "illegal_actions", "bounced", "failed_audit", "violation",
    "frozen", "quarantined", "reputation", "resources",
    *(f"cost_{list(governance.LEVERS)[k]}" for k in CHARGING),
)  # fmt: skip
#: The market as a whole, for `state()`: row features, then these of every agent. In the order of `global_state`.
STATE_ROW: dict[str, Feature] = {
    "epoch": Feature(0, 1, "epochs over, as a share"),
    "step": Feature(0, 1, "steps over, as a share"),
    "market_toxicity": OWN["market_toxicity"],
    "market_mean_p": OWN["market_mean_p"],
}
STATE_AGENT: dict[str, Feature] = {
    "reputation": Feature(-1, 1, "reputation"),
    "resources": OWN["resources"],
    "frozen": OWN["frozen"],
    "quarantined": OWN["quarantined"],
    "may_act": OWN["may_act"],
    "visibility": Feature(0, 1, "v/(v+1)"),
    "violations": Feature(0, 1, "n/(n+1) of breaker violations"),
    "failed_audits": Feature(0, 1, "n/(n+1) of failed audits"),
    "collusion_risk": LEDGER["collusion_risk"],
    "threat": LEDGER["threat"],
    "inbox": Feature(0, 1, "share of the inbox filled"),
}
