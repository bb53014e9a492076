"""Event logs and evaluations made to measure, for the tests of `swarm report`."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import swarm_env
from swarm_env.events import TERMS

Event = dict[str, Any]


def scenario_event(names: Sequence[str], epochs: int, steps: int, seed: int = 1, scenario_id: str = "made") -> Event:
    settings = swarm_env.load_scenario("baseline").to_dict(defaults=True)
    settings |= {"scenario_id": scenario_id}
    settings["simulation"] |= {"n_epochs": epochs, "steps_per_epoch": steps}
    agents = [{"name": name, "archetype": "honest" if i % 2 else "adversarial"} for i, name in enumerate(names)]
    return {"event": "scenario", "format": 1, "seed": seed, "agents": agents, "scenario": settings}


def settlement(step: int, steps: int, a: str, b: str, draw: random.Random, **changed: Any) -> Event:
    numbers = {name: draw.random() for name in TERMS} | {"rework": 1, "rejections": 0, "misuse": 0, "v": 1.0}
    return {
        "event": "settlement", "epoch": step // steps, "step": step, "initiator": a, "counterparty": b,
        "conduct": "honest", "accepted": True, "answered": True, **numbers, "costs": {"audit": [0.25, 0.0]}, **changed,
    }  # fmt: skip


def close(epoch: int, steps: int, n: int) -> Event:
    lists: dict[str, list[Any]] = {name: [0.5] * n for name in ("reputation", "resources", "collusion_risk", "threat")}
    held = {"frozen": [False] * n, "quarantined": [False] * n}
    return {"event": "epoch", "epoch": epoch, "step": (epoch + 1) * steps - 1, **lists, **held}


def write(path: Path, events: Sequence[Event]) -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return path


def long_log(path: Path, epochs: int, steps: int, names: Sequence[str]) -> Path:
    """Five events a step (two settlements, two votes, a post), and the closes."""
    draw, events = random.Random(0), [scenario_event(names, epochs, steps)]
    for step in range(epochs * steps):
        when = {"epoch": step // steps, "step": step}
        for _ in range(2):
            a, b = draw.sample(list(names), 2)
            events.append(settlement(step, steps, a, b, draw, accepted=draw.random() < 0.7))
        for _ in range(2):
            a, b = draw.sample(list(names), 2)
            events.append({"event": "vote", **when, "agent": a, "target": b, "direction": 1, "weight": 1.0})
        events.append({"event": "post", **when, "agent": names[0]})
        if (step + 1) % steps == 0:
            events.append(close(step // steps, steps, len(names)))
    return write(path, events)


def evaluation(**changed: Any) -> dict[str, Any]:
    runs = [
        {"policy": policy, "scenario": "x", "mode": "resident", "seed": seed, "episodes": 4,
         "metrics": {"toxicity_rate": 0.1 * seed, "net_social_welfare": 3.0 + seed, "spread": None},
         "returns": {"honest_1": 1.0 * seed}, "roles": {"honest": 2.0 * seed},
         "criteria": {"toxicity_threshold": {"bound": 0.25, "value": 0.1 * seed, "passed": seed < 3}}}
        for policy in ("ours", "random") for seed in (1, 2, 3)
    ]  # fmt: skip
    spread = {"n": 3, "mean": 0.2, "sd": 0.1, "low": 0.125, "high": 0.275, "iqm": 0.2, "iqm_low": 0.1, "iqm_high": 0.3}
    summary = [{"policy": "ours", "scenario": "x", "metric": "toxicity_rate", **spread}]
    summary.append({**summary[0], "metric": "spread", **dict.fromkeys(spread), "n": 0})
    pair = {"policy": "ours", "baseline": "random", "scenario": "x", "metric": "toxicity_rate", "n": 3}
    pair |= {"difference": -0.0625, "low": -0.5, "high": 0.25, "effect_size": -1.5, "p": 0.03125, "p_holm": 0.125}
    whole = {"schema": "swarm-evaluation/1", "created": "2026", "versions": {"numpy": "2"}, "settings": {}}
    return {**whole, "scenarios": {}, "policies": {}, "seats": [], "runs": runs, "summary": summary,
            "comparisons": [pair], **changed}  # fmt: skip
