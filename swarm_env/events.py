"""From a step of the market to events: plain dicts, one JSON object each, enough to replay every metric.

Kinds, in the order in which a step emits them: settlement, audit, violation, freeze, penalty, post, task, vote,
proposal, bounce; then, at the end of an epoch: epoch, release, quarantine. `scenario` opens a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from swarm_env.compile import Compiled
from swarm_env.core.governance import LEVERS
from swarm_env.core.types import CONDUCTS, POST, PROPOSE, TASK, VOTE, State
from swarm_env.scenario import Scenario

Event = dict[str, Any]
FORMAT = 1  #: of the event log; raised when a field changes meaning

#: Fields of a settlement that are copied from the record as they are.
TERMS: tuple[str, ...] = (
    "progress", "rework", "rejections", "misuse", "engagement", "v_hat", "p", "p_offer", "signal", "tau", "effort",
    "c_a", "c_b", "r_a", "r_b", "payoff_a", "payoff_b", "v",
)  # fmt: skip
#: Fields of a proposal, likewise.
OFFER: tuple[str, ...] = ("progress", "rework", "rejections", "misuse", "engagement", "p", "signal")


def opening(scenario: Scenario, seed: int) -> Event:
    """What is about to be played: everything that the metrics of the log depend on."""
    agents = [
        {"name": name, "archetype": archetype}
        for name, archetype in zip(scenario.agent_names, scenario.archetypes, strict=True)
    ]
    return {
        "event": "scenario",
        "format": FORMAT,
        "seed": seed,
        "agents": agents,
        "scenario": scenario.to_dict(defaults=True),
    }


def of_step(compiled: Compiled, state: State) -> Iterator[Event]:
    """Events of the step that environment 0 has just played."""
    row, names = state.rows[0], compiled.names
    played, agents = int(row["step"]) - 1, state.agents[0]
    when = {"epoch": played // compiled.scenario.simulation.steps_per_epoch, "step": played}
    outcomes, deals, proposals = (np.asarray(part[0]) for part in (state.outcomes, state.deals, state.proposals))
    for i in np.flatnonzero(agents["settled"]):
        yield _settlement(deals[i], names, int(i), when)
        yield from _sanctions(outcomes[i], names[i], when)
    for i in np.flatnonzero(outcomes["penalty"]):
        yield {"event": "penalty", **when, "agent": names[i], "resources": float(outcomes[i]["penalty"])}
    for i in np.flatnonzero(outcomes["verb"]):
        yield _verb(outcomes[i], proposals[i], names, int(i), when)
    if (played + 1) % compiled.scenario.simulation.steps_per_epoch == 0:
        yield _epoch(outcomes, np.asarray(state.books[0]), when)
        for kind in ("released", "quarantined"):
            for i in np.flatnonzero(outcomes[kind]):
                yield _turned(kind, agents[i], names[i], when)


def _settlement(deal: Any, names: tuple[str, ...], i: int, when: Event) -> Event:
    costs = {
        lever: [float(a), float(b)] for lever, (a, b) in zip(LEVERS, deal["costs"], strict=True) if a != 0 or b != 0
    }
    return {
        "event": "settlement",
        **when,
        "initiator": names[i],
        "counterparty": names[deal["counterparty"]],
        "conduct": CONDUCTS[deal["conduct"]],
        "accepted": bool(deal["accepted"]),
        "answered": bool(deal["answered"]),
        **{name: deal[name].item() for name in TERMS},
        "costs": costs,
    }


def _sanctions(outcome: Any, name: str, when: Event) -> Iterator[Event]:
    if outcome["audited"]:
        yield {"event": "audit", **when, "agent": name, "failed": True}
    if outcome["violation"]:
        yield {"event": "violation", **when, "agent": name, "count": int(outcome["count"])}
    if outcome["froze"]:
        yield {"event": "freeze", **when, "agent": name, "until_epoch": int(outcome["until"])}


def _verb(outcome: Any, proposal: Any, names: tuple[str, ...], i: int, when: Event) -> Event:
    verb, head = int(outcome["verb"]), {**when, "agent": names[i]}
    if verb == POST:
        return {"event": "post", **head}
    if verb == TASK:
        return {"event": "task", **head, "pay": float(outcome["task_pay"])}
    target = names[outcome["target"]]
    if verb == VOTE:
        vote = {"direction": int(outcome["direction"]), "weight": float(outcome["weight"])}
        return {"event": "vote", **head, "target": target, **vote}
    assert verb == PROPOSE
    if outcome["bounced"]:
        return {"event": "bounce", **head, "target": target}
    terms = {name: proposal[name].item() for name in OFFER}
    overflow = bool(proposal["slot"] < 0)
    return {
        "event": "proposal", **head, "target": target, "conduct": CONDUCTS[proposal["conduct"]],
        "overflow": overflow, **terms,
    }  # fmt: skip


def _epoch(outcomes: Any, books: Any, when: Event) -> Event:
    """The epoch's close: how everybody stands before the next epoch's rules."""
    return {
        "event": "epoch",
        **when,
        "reputation": outcomes["close_reputation"].tolist(),
        "resources": outcomes["close_resources"].tolist(),
        "frozen": outcomes["close_frozen"].tolist(),
        "quarantined": outcomes["close_quarantined"].tolist(),
        "collusion_risk": books["collusion_risk"].tolist(),
        "threat": books["threat"].tolist(),
    }


def _turned(kind: str, agent: Any, name: str, when: Event) -> Event:
    if kind == "released":
        return {"event": "release", **when, "agent": name}
    return {"event": "quarantine", **when, "agent": name, "until_epoch": int(agent["quarantined_until"])}
