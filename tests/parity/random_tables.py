"""Random interactions, as our metrics take them and as SWARM does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from swarm.models.interaction import SoftInteraction

STEPS_PER_EPOCH = 10
SECONDS_PER_STEP = 60 / STEPS_PER_EPOCH  # SWARM's minute is our epoch
Table = dict[str, Any]


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
