"""What a lever asks for: a tuple of numbers that `step` applies. Levers decide, `step` writes."""

from __future__ import annotations

from typing import NamedTuple

from swarm_env.core.compiled import rule


class Effect(NamedTuple):
    """Sums over levers; `agent` is the initiator of the interaction, or the agent an epoch rule speaks of."""

    c_a: float  # cost to the initiator, >= 0
    c_b: float  # cost to the counterparty, >= 0
    reputation: float  # change of the agent's reputation
    resources: float  # change of the agent's resources; part of its reward
    failed_audit: int  # 1 if the interaction failed an audit
    violation: int  # 1 if it was a breaker violation
    freeze: int  # epochs to freeze the agent for, from this one on
    quarantine: int  # epochs to quarantine it for
    pardon: int  # 1 to clear its violations


@rule
def nothing() -> Effect:
    """No effect."""
    return Effect(0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0)


@rule
def costs(c_a: float, c_b: float) -> Effect:
    """Costs to both parties."""
    return Effect(c_a, c_b, 0.0, 0.0, 0, 0, 0, 0, 0)


@rule
def change(reputation: float, resources: float) -> Effect:
    """A change of reputation and resources."""
    return Effect(0.0, 0.0, reputation, resources, 0, 0, 0, 0, 0)


@rule
def add(x: Effect, y: Effect) -> Effect:
    """Both effects: costs and changes add up, the longer freeze holds."""
    return Effect(
        x.c_a + y.c_a,
        x.c_b + y.c_b,
        x.reputation + y.reputation,
        x.resources + y.resources,
        max(x.failed_audit, y.failed_audit),
        max(x.violation, y.violation),
        max(x.freeze, y.freeze),
        max(x.quarantine, y.quarantine),
        max(x.pardon, y.pardon),
    )
